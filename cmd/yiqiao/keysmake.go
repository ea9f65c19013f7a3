package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
)

func now() time.Time { return systemClock{}.Now() }

func keysGenerateCommand(s *streams) *cobra.Command {
	var k keyFile
	var asJSON bool
	var kind string
	c := &cobra.Command{
		Use:   "generate NAME",
		Short: "生成密钥: 写入 NAME.key 和 NAME.pub, 或密钥文件 / Make a key",
		Long: `生成一对 SM2 密钥 (--kind sm2), 或保护交易日志的主密钥 (--kind master)。
不给 --file 时私钥写入 NAME.key (权限 0600), 公钥写入 NAME.pub; 已有的文件不会被覆盖。
给出 --file 时以 NAME 为名存入用口令加密的密钥文件。私钥从不显示。`,
		Example: `  yiqiao keys generate secrets/gateway
  cat secrets/gateway.pub       把公钥交给医保中心
  yiqiao keys generate gateway --file mysite/secrets/keys.sealed`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := keys.Generate(rand.Reader, keys.Kind(kind))
			if err != nil {
				return explainKey(err)
			}
			return keep(s, &k, args[0], keys.Kind(kind), text, false, asJSON)
		},
	}
	k.flags(c)
	c.Flags().StringVar(&kind, "kind", "sm2", "sm2 或 master / sm2 or master")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

// keep puts a key into the sealed key file, or into files of its own, and shows what may be shown.
func keep(s *streams, k *keyFile, name string, kind keys.Kind, text string, replace, asJSON bool) error {
	if k.path != "" {
		var it keys.Item
		err := k.change(func(r *keys.Ring) (err error) {
			if replace {
				it, err = r.Replace(name, text, now())
			} else {
				it, err = r.Add(name, kind, text, now())
			}
			return err
		}, nil)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(s.out, it)
		}
		fmt.Fprintf(s.out, "%s 第 %d 代 (%s, %s) 已存入 %s\n", it.Name, it.Generation, kindZH(it.Kind), keyStateZH(it.State), k.path)
		if it.Fingerprint != "" {
			fmt.Fprintf(s.out, "指纹 %s\n", it.Fingerprint)
		}
		if it.State == keys.StateNext {
			fmt.Fprintf(s.out, "下一步: 用 yiqiao keys export-public %[1]s --state next 导出公钥交给对方, 登记后 yiqiao keys rotate %[1]s --activate\n", name)
		}
		return nil
	}
	if replace {
		return errors.New("--replace 只用于密钥文件 (--file): 单独的文件不会被覆盖")
	}
	out := map[string]string{}
	switch kind {
	case keys.KindSM2:
		key, err := keys.ParsePrivate(text)
		if err != nil {
			return explainKey(err)
		}
		if err := keys.WriteFile(name+".key", keys.FormatPrivate(key)+"\n"); err != nil {
			return err
		}
		out["private_key_file"], out["fingerprint"] = name+".key", key.Fingerprint()
		out["public_key_file"], out["public_key"] = name+".pub", keys.FormatPublic(key.Public())
	case keys.KindPublic:
		key, err := keys.ParsePublic(text)
		if err != nil {
			return explainKey(err)
		}
		out["public_key_file"], out["public_key"], out["fingerprint"] = name+".pub", keys.FormatPublic(key), key.Fingerprint()
	case keys.KindMaster:
		b, err := keys.ParseMaster(text)
		if err != nil {
			return explainKey(err)
		}
		defer clear(b)
		if err := keys.WriteFile(name+".key", hex.EncodeToString(b)+"\n"); err != nil {
			return err
		}
		out["key_file"] = name + ".key"
	default:
		return fmt.Errorf("%q 只能存入密钥文件 (--file) / goes into a sealed key file only", kind)
	}
	if pub := out["public_key_file"]; pub != "" {
		if err := keys.WriteFile(pub, out["public_key"]+"\n"); err != nil {
			return err
		}
	}
	if asJSON {
		return printJSON(s.out, out)
	}
	for _, row := range [][2]string{{"private_key_file", "私钥"}, {"key_file", "密钥"}, {"public_key_file", "公钥"}, {"fingerprint", "指纹"}} {
		if out[row[0]] != "" {
			fmt.Fprintf(s.out, "%s %s\n", row[1], out[row[0]])
		}
	}
	return nil
}

func keysImportCommand(s *streams) *cobra.Command {
	var k keyFile
	var from, kind, public string
	var replace, asJSON bool
	c := &cobra.Command{
		Use:   "import NAME",
		Short: "导入密钥, 并检查取值范围、是否在曲线上、是否成对 / Import a key and check it",
		Long: `接受的形式: 十六进制或 base64 的私钥 (32 字节; Java 写出的 33 字节; 缺前导零的也可),
PEM、PKCS#8、SEC 1; 公钥 04||X||Y 或 X||Y、PEM、DER。其他一概拒绝。
--public 给出对应的公钥时, 检查两者是否成对。不给 --file 时写入 NAME.key 和 NAME.pub。`,
		Example: `  yiqiao keys import gateway --from java-key.txt --file mysite/secrets/keys.sealed
  yiqiao keys import gateway --from key.pem --public key.pub --file mysite/secrets/keys.sealed
  yiqiao keys import platform --kind public --from platform.txt --file mysite/secrets/keys.sealed
  yiqiao keys import mysite/keys/platform --kind public --from -`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			b, err := readInput(s, from)
			if err != nil {
				return err
			}
			defer clear(b)
			text := strings.TrimSpace(string(b))
			if public != "" {
				if err := fits(s, keys.Kind(kind), text, public); err != nil {
					return err
				}
			}
			return keep(s, &k, args[0], keys.Kind(kind), text, replace, asJSON)
		},
	}
	k.flags(c)
	c.Flags().StringVar(&from, "from", "-", "密钥所在文件, - 为标准输入 / file with the key, - for standard input")
	c.Flags().StringVar(&kind, "kind", "sm2", "sm2 (私钥) public (对方公钥) master (主密钥) secret (口令或令牌)")
	c.Flags().StringVar(&public, "public", "", "对应的公钥文件, 用于检查 / file with the public key, to check the pair")
	c.Flags().BoolVar(&replace, "replace", false, "替换已有的名称, 旧的退役 / replace a name that is there; the old one retires")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

// fits checks that a private key and a public one are a pair.
func fits(s *streams, kind keys.Kind, private, publicFile string) error {
	if kind != keys.KindSM2 {
		return errors.New("--public 只用于私钥 / belongs to a private key")
	}
	b, err := readInput(s, publicFile)
	if err != nil {
		return err
	}
	pub, err := keys.ParsePublic(string(b))
	if err != nil {
		return fmt.Errorf("--public: %w", explainKey(err))
	}
	key, err := keys.ParsePrivate(private)
	if err != nil {
		return explainKey(err)
	}
	if !key.Public().Equal(pub) {
		return fmt.Errorf("公钥与私钥不是一对: 私钥的公钥指纹 %s, 给出的公钥指纹 %s / the two are no pair", key.Fingerprint(), pub.Fingerprint())
	}
	return nil
}

func keysRotateCommand(s *streams) *cobra.Command {
	var k keyFile
	var activate, force, asJSON bool
	var drop int
	var path string
	c := &cobra.Command{
		Use:   "rotate NAME",
		Short: "轮换密钥文件中的密钥 / Rotate a key of a sealed key file",
		Long: `SM2 私钥分两步: 先生成新一代 (待启用), 把公钥交给对方登记; 登记后用 --activate 启用,
重启网关生效。主密钥立即换用, 旧的留作打开旧数据; 重启全部网关后用 yiqiao keys rewrap
重新包裹数据密钥, 再用 --drop 删除旧的一代: 删除主密钥时须给出 --config, 还有数据密钥
由它包裹时拒绝 (--force 强行删除, 那些报文从此无法恢复)。对方公钥和口令用 keys import --replace 更换。`,
		Example: `  yiqiao keys rotate gateway --file mysite/secrets/keys.sealed
  yiqiao keys rotate gateway --activate --file mysite/secrets/keys.sealed
  yiqiao keys rotate gateway --drop 1 --file mysite/secrets/keys.sealed
  yiqiao keys rotate journal --drop 1 --file mysite/secrets/keys.sealed --config mysite`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if k.path == "" {
				return errors.New("--file 是必需的 / is needed")
			}
			if activate && drop != 0 {
				return errors.New("--activate 和 --drop 不能同时给出 / not both")
			}
			var items []keys.Item
			err := k.change(func(r *keys.Ring) (err error) {
				switch {
				case activate:
					_, err = r.Activate(args[0])
				case drop != 0:
					if !force {
						err = unused(ctx, r, args[0], drop, path)
					}
					if err == nil {
						err = r.Drop(args[0], drop)
					}
				default:
					_, err = r.Rotate(rand.Reader, args[0], now())
				}
				for _, it := range r.List() {
					if it.Name == args[0] {
						items = append(items, it)
					}
				}
				return err
			}, nil)
			if err != nil {
				return err
			}
			if err := printItems(s, asJSON, items); err != nil || asJSON {
				return err
			}
			if len(items) > 0 && items[0].State == keys.StateNext {
				fmt.Fprintf(s.out, "\n下一步: yiqiao keys export-public %[1]s --state next --file %[2]s 导出新公钥交对方登记;\n登记后 yiqiao keys rotate %[1]s --activate --file %[2]s 并重启网关\n", args[0], k.path)
			}
			return nil
		},
	}
	k.flags(c)
	c.Flags().StringVar(&path, "config", "", "删除主密钥时: 用它的网关配置 / when dropping a journal key: the gateway that uses it")
	c.Flags().BoolVar(&force, "force", false, "不检查就删除 / drop it without looking")
	c.Flags().BoolVar(&activate, "activate", false, "启用待启用的一代 / use the generation that waits")
	c.Flags().IntVar(&drop, "drop", 0, "删除某一代 (不能是在用的) / forget a generation")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

// unused refuses a journal key that still wraps data keys of the gateway a configuration describes.
func unused(ctx context.Context, r *keys.Ring, name string, generation int, path string) error {
	for _, it := range r.List() {
		if it.Name != name || it.Generation != generation || it.Kind != keys.KindMaster {
			continue
		}
		if path == "" {
			return errors.New("删除主密钥须给出 --config, 以确认没有数据密钥由它包裹 / give --config, so that its use can be checked")
		}
		j, err := openJournal(ctx, path)
		if err != nil {
			return err
		}
		defer j.close()
		n, err := j.vault.WrappedBy(ctx, it.Fingerprint)
		if err == nil && n > 0 {
			err = fmt.Errorf("还有 %d 个数据密钥由它包裹, 请先执行 yiqiao keys rewrap / %d data keys are wrapped by it", n, n)
		}
		return err
	}
	return nil
}

func keysExportCommand(s *streams) *cobra.Command {
	var k keyFile
	var state, format string
	var asJSON bool
	c := &cobra.Command{
		Use:   "export-public NAME|FILE",
		Short: "导出公钥, 交给对方登记 / Print a public key",
		Long:  "NAME 是密钥文件 (--file) 中的名称; 不给 --file 时是单独的私钥或公钥文件。私钥从不导出。",
		Example: `  yiqiao keys export-public gateway --file mysite/secrets/keys.sealed
  yiqiao keys export-public mysite/secrets/gateway-private.key --format pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			pub, err := k.public(s, args[0], keys.State(state))
			if err != nil {
				return explainKey(err)
			}
			var text string
			switch format {
			case "base64":
				text = keys.FormatPublic(pub)
			case "hex":
				text = hex.EncodeToString(pub.Point())
			case "pem":
				text = strings.TrimSpace(keys.FormatPublicPEM(pub))
			default:
				return fmt.Errorf("--format %q: base64, hex, pem", format)
			}
			if asJSON {
				return printJSON(s.out, map[string]string{"public_key": text, "fingerprint": pub.Fingerprint()})
			}
			fmt.Fprintln(s.out, text)
			return nil
		},
	}
	k.flags(c)
	c.Flags().StringVar(&state, "state", "current", "current (在用) next (待启用)")
	c.Flags().StringVar(&format, "format", "base64", "base64 (04||X||Y) hex pem")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

func (k *keyFile) public(s *streams, name string, state keys.State) (*sm.PublicKey, error) {
	if k.path != "" {
		r, err := k.read()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return r.Public(name, state)
	}
	b, err := readInput(s, name)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	key, private := keys.ParsePrivate(string(b))
	if private == nil {
		return key.Public(), nil
	}
	pub, err := keys.ParsePublic(string(b))
	if err != nil {
		return nil, private
	}
	return pub, nil
}
