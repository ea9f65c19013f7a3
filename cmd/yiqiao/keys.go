package main

import (
	"crypto/rand"
	"fmt"

	"github.com/spf13/cobra"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/crypto/vectors"
)

func keysCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "生成密钥, 检验密码实现 / Make keys, check the cryptography",
	}
	c.AddCommand(keysGenerateCommand(s), keysVectorsCommand(s))
	return c
}

func keysGenerateCommand(s *streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "generate NAME",
		Short: "生成一对 SM2 密钥: NAME.key (私钥) 和 NAME.pub (公钥) / Make an SM2 key pair",
		Long:  "私钥只写入文件 (权限 0600), 从不显示。已有的文件不会被覆盖。",
		Example: `  yiqiao keys generate secrets/gateway
  cat secrets/gateway.pub       把公钥交给医保中心`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			k, err := sm.GenerateKey(rand.Reader)
			if err != nil {
				return err
			}
			private, public := args[0]+".key", args[0]+".pub"
			if err := keys.WriteFile(private, keys.FormatPrivate(k)+"\n"); err != nil {
				return err
			}
			if err := keys.WriteFile(public, keys.FormatPublic(k.Public())+"\n"); err != nil {
				return err
			}
			if asJSON {
				return printJSON(s.out, map[string]string{"private_key_file": private, "public_key_file": public,
					"public_key": keys.FormatPublic(k.Public()), "fingerprint": k.Public().Fingerprint()})
			}
			fmt.Fprintf(s.out, "私钥 %s\n公钥 %s\n指纹 %s\n", private, public, k.Public().Fingerprint())
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

func keysVectorsCommand(s *streams) *cobra.Command {
	var asJSON, all bool
	var provider string
	c := &cobra.Command{
		Use:   "vectors [FILE|-]",
		Short: "用测试向量检验密码实现 / Run a file of test vectors",
		Long: `对每个密码实现逐条运行测试向量: 正例必须通过, 反例必须被拒绝。
全部符合时退出码为 0, 否则为 1。不给文件时运行内置的向量。`,
		Example: "  yiqiao keys vectors\n  yiqiao keys vectors envelope.json --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			text := vectors.Embedded
			if len(args) == 1 {
				b, err := readInput(s, args[0])
				if err != nil {
					return err
				}
				text = b
			}
			var ps []sm.Provider
			for _, name := range sm.Names() {
				if provider != "" && provider != name {
					continue
				}
				p, err := sm.New(name)
				if err != nil {
					return err
				}
				ps = append(ps, p)
			}
			if len(ps) == 0 {
				return fmt.Errorf("没有密码实现 %q / no such provider", provider)
			}
			done := working("运行测试向量")
			r, err := vectors.Run(text, ps...)
			done()
			if err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(s.out, r); err != nil {
					return err
				}
			} else {
				printVectors(s, r, all)
			}
			if r.Failed > 0 || r.Passed == 0 {
				return errNo
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	c.Flags().BoolVar(&all, "all", false, "逐条列出 / list every vector")
	c.Flags().StringVar(&provider, "provider", "", "只检验一个实现 / one provider only")
	return c
}

func printVectors(s *streams, r vectors.Report, all bool) {
	var rows [][]string
	for _, it := range r.Items {
		if it.OK && !all {
			continue
		}
		verdict := "通过"
		if !it.OK {
			verdict = "不符"
		}
		rows = append(rows, []string{verdict, it.Section, it.ID, it.Provider, it.Detail})
	}
	if len(rows) > 0 {
		table(s.out, []string{"结果", "分组", "编号", "实现", "说明"}, rows)
		fmt.Fprintln(s.out)
	}
	fmt.Fprintf(s.out, "%d 条通过, %d 条不符 / %d passed, %d failed\n", r.Passed, r.Failed, r.Passed, r.Failed)
}
