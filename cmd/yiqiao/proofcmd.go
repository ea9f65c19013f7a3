package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/crypto/keys"
	"yiqiao/gateway"
	"yiqiao/gateway/audit"
	"yiqiao/gateway/config"
	"yiqiao/gateway/proof"
	"yiqiao/schemas/ident"
)

func proofCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "proof",
		Short: "结算证明: 生成, 第三方离线核对 / Proof of a settlement: make it, check it offline",
		Example: "  yiqiao proof make BH44010000001... --config mysite --out proof.html\n" +
			"  yiqiao proof check proof.html --keys audit.pub",
	}
	c.AddCommand(proofMakeCommand(s), proofCheckCommand(s))
	return c
}

func proofMakeCommand(s *streams) *cobra.Command {
	var path, out, why, by, password string
	var full bool
	c := &cobra.Command{
		Use:   "make MSGID|BILL",
		Short: "生成一笔结算的证明包 / Make the proof pack of a settlement",
		Long: `收集一张结算单 (或一笔交易) 的请求、发出报文摘要、经办人、时间、中心应答及其签名、审计链位置,
用审计密钥签名, 输出为 JSON 或可打印的 HTML 页。默认是遮盖件, 不含个人信息; --full 是完整件, 含姓名、
证件号和金额明细, 须写明用途。两者都记入审计记录。最近一分钟内的交易要等审计链头签名后才能生成。`,
		Example: `  yiqiao proof make 440100... --config mysite > proof.json
  yiqiao proof make BH4401... --config mysite --full --why "医保局核查 2026-118 号" --out proof.html`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if full && strings.TrimSpace(why) == "" {
				return errors.New("完整件含个人信息: 请用 --why 写明用途 / the full form needs --why")
			}
			p, err := makeProof(cmd.Context(), path, args[0], proofWish{full, why, by, password})
			if err != nil {
				return explainProof(err)
			}
			text, err := p.Encode()
			if strings.HasSuffix(strings.ToLower(out), ".html") || strings.HasSuffix(strings.ToLower(out), ".htm") {
				text, err = p.Page()
			}
			if err != nil {
				return err
			}
			if out == "" {
				_, err = s.out.Write(text)
				return err
			}
			if err := os.WriteFile(out, text, 0o600); err != nil {
				return err
			}
			fmt.Fprintf(s.out, "已写入 %s: %d 项, %d 个链上条目, %d 个签名链头\n", out, len(p.Items), len(p.Entries), len(p.Heads))
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().StringVar(&out, "out", "", "输出文件, .html 为可打印的网页; 默认 JSON 到标准输出 / file to write, .html for a page")
	c.Flags().BoolVar(&full, "full", false, "完整件, 含个人信息 / with names, numbers and figures")
	c.Flags().StringVar(&why, "why", "", "用途, 记入审计记录 / what it is for")
	c.Flags().StringVar(&by, "by", "", "谁要完整件, 默认当前系统用户; 建立人员账户后须是有审计角色的账户 / who wants the full form; an auditor's account once there are any")
	c.Flags().StringVar(&password, "password-file", "", "此人口令所在文件, 否则取 "+passwordEnv+" 或询问 / file with that person's password")
	return c
}

// proofWish is who wants which form, and what for.
type proofWish struct {
	full              bool
	why, by, password string
}

// allowed tells who makes the pack. The full form is for those whose role allows it and who work for the institution,
// once there are accounts; the masked one is for whoever may run commands on the machine.
func (w proofWish) allowed(ctx context.Context, g *gatewaySettings, j opened) (who string, sees func(ident.Institution) bool, err error) {
	everybody := func(ident.Institution) bool { return true }
	if !w.full {
		return osUser(), everybody, nil
	}
	_, v, err := g.prove(ctx, j, w.by, "", w.password, "proof")
	if err != nil || v == nil {
		return osUser(), everybody, err
	}
	return "person:" + v.ID, v.Sees, plain(v.May(gateway.ActProofFull))
}

// makeProof makes a pack and notes that it was made, before anybody has it.
func makeProof(ctx context.Context, path, subject string, w proofWish) (*proof.Pack, error) {
	g, err := loadGateway(path)
	if err != nil {
		return nil, err
	}
	if !g.Audit.Key.Set() {
		return nil, errors.New("没有配置 audit.key: 审计链没有签名, 无法向第三方证明 / audit.key is needed")
	}
	p, err := provider(g.Provider)
	if err != nil {
		return nil, err
	}
	key, err := g.auditKey()
	if err != nil {
		return nil, fmt.Errorf("audit.key: %w", err)
	}
	signer, err := keys.Soft(p, key)
	if err != nil {
		return nil, fmt.Errorf("audit.key: %w", err)
	}
	j, err := openJournal(ctx, path)
	if err != nil {
		return nil, err
	}
	defer j.close()
	who, sees, err := w.allowed(ctx, g, j)
	if err != nil {
		return nil, err
	}
	pack, err := proof.Make(ctx, subject, proof.Making{Journal: j.Journal, DB: j.db, Audit: j.audit, SM3: p.SM3, Signer: signer, Rand: rand.Reader,
		Now: time.Now(), By: who, Program: "yiqiao " + version, Full: w.full})
	if err != nil {
		return nil, err
	}
	if !sees(ident.Institution(pack.Summary.Institution)) {
		return nil, gateway.ErrNotFound
	}
	return pack, j.audit.Note(ctx, audit.Act{Who: who, What: "proof." + pack.Form, Ref: pack.Subject, Detail: w.why})
}

// explainProof says in Chinese what to do.
func explainProof(err error) error {
	switch {
	case errors.Is(err, audit.ErrNotSigned):
		return fmt.Errorf("审计链头还没有签到这笔交易, 请一分钟后再试 (网关须在运行): %w", err)
	case errors.Is(err, audit.ErrNotNoted):
		return fmt.Errorf("审计记录中没有与交易日志相符的内容: 早于审计记录, 或事后被改动 (yiqiao audit verify): %w", err)
	case errors.Is(err, gateway.ErrExpired):
		return fmt.Errorf("内容已过保存期并已销毁, 无法证明: %w", err)
	case errors.Is(err, gateway.ErrNotFound):
		return fmt.Errorf("没有这笔交易或结算单: %w", err)
	}
	return err
}

func proofCheckCommand(s *streams) *cobra.Command {
	var publics, centre, heads []string
	var secret config.Secret
	var asJSON bool
	c := &cobra.Command{
		Use:   "check FILE",
		Short: "离线核对证明包, 只需公钥 / Check a proof pack offline, with public keys only",
		Long: `核对证明包 (JSON 或 HTML): 包的签名、每一项与审计记录的承诺、在签名链头下的位置、摘要与内容是否一致。
不需要网关、数据库和任何私钥。--head 给出另处保存的链头, 可排除网关自己事后重写。--centre 给出中心公钥以验证中心
对应答的签名; mpc 和 epc 报文的签名覆盖应用密钥, 须另以 --app-secret 给出 (file: 或 env:), 否则只报告未核对。
有问题时退出码为 1。`,
		Example: `  yiqiao proof check proof.html --keys audit.pub
  yiqiao proof check proof.json --keys audit.pub --head heads.jsonl --centre centre.pub --app-secret file:app-secret`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			b, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			var o proof.Checking
			if o.Provider, err = provider(""); err != nil {
				return err
			}
			if o.Keys, err = readPublics(publics); err != nil {
				return err
			}
			if o.Centre, err = readPublics(centre); err != nil {
				return err
			}
			if secret.Set() {
				if o.Secret, err = newSecrets(".", keysSettings{}).text(secret); err != nil {
					return err
				}
			}
			for _, f := range heads {
				list, err := readHeads(f)
				if err != nil {
					return err
				}
				o.Outside = append(o.Outside, list...)
			}
			r := proof.Check(b, o)
			if asJSON {
				err = printJSON(s.out, r)
			} else {
				printProof(s, r, len(heads) > 0)
			}
			if err == nil && !r.Good {
				err = errNo
			}
			return err
		},
	}
	c.Flags().StringSliceVar(&publics, "keys", nil, "网关审计公钥文件 (audit.pub) / public key of the gateway's audit record")
	c.Flags().StringSliceVar(&centre, "centre", nil, "中心公钥文件 / public key of the centre")
	c.Flags().StringVar((*string)(&secret), "app-secret", "", "应用密钥的位置, file: 或 env: / place of the application's secret")
	c.Flags().StringArrayVar(&heads, "head", nil, "另处保存的链头文件 / file of heads kept elsewhere")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	_ = c.MarkFlagRequired("keys")
	return c
}

func printProof(s *streams, r proof.Result, outside bool) {
	for _, f := range r.Findings {
		fmt.Fprintf(s.out, "%s  %s\n", pad(f.Kind, 10), f.ZH)
	}
	if !r.Good {
		fmt.Fprintf(s.out, "不成立: %d 个问题 / NOT proved\n", len(r.Findings))
		return
	}
	form := "遮盖件: 金额仅由网关签名陈述"
	if r.Form == proof.Full {
		form = "完整件"
	}
	fmt.Fprintf(s.out, "成立 / proved: %s (%s)\n", r.Subject, form)
	rows := make([][]string, 0, len(r.Summary.Steps))
	for _, st := range r.Summary.Steps {
		last, total := "", ""
		for _, e := range st.Events {
			last = e.Kind
			if e.Settled != nil {
				total = e.Settled.Total
			}
		}
		rows = append(rows, []string{st.At, st.Infno, st.MsgID, st.Operator, last, total})
	}
	table(s.out, []string{"时间", "交易", "报文ID", "经办人", "结果", "总额"}, rows, 5)
	fmt.Fprintf(s.out, "%d 项, %d 个链上条目, %d 个签名链头", r.Items, r.Entries, r.Heads)
	if outside {
		fmt.Fprintf(s.out, ", 其中 %d 个与另处保存的一致", r.Outside)
	} else {
		fmt.Fprint(s.out, "; 未给出另处保存的链头, 不能排除网关事后重写全链")
	}
	fmt.Fprintln(s.out)
	switch {
	case r.Signed == 0:
		fmt.Fprintln(s.out, "应答中没有保存的中心签名 (线路不签名, 或早于保存)")
	case r.NotLooked > 0:
		fmt.Fprintf(s.out, "中心签名 %d 个, 已核对 %d 个; 其余需要完整件、--centre 和 --app-secret\n", r.Signed, r.Verified)
	default:
		fmt.Fprintf(s.out, "中心签名 %d 个, 全部成立\n", r.Signed)
	}
}
