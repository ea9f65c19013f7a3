package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"yiqiao/crypto/doctor"
	"yiqiao/crypto/keys"
)

func doctorCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:     "doctor",
		Short:   "诊断 / Find out what is wrong",
		Example: "  yiqiao doctor sign --message req.json --app-secret-file secret --key-file our.key",
	}
	c.AddCommand(doctorSignCommand(s))
	return c
}

func doctorSignCommand(s *streams) *cobra.Command {
	var f signFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "sign --message FILE|-",
		Short: "诊断签名和加密: 为什么对方说验签失败 / Why a signature does not verify",
		Long: `根据报文重建签名串, 检查密钥和签名的形式; 给出对方的签名、密文或签名串时, 逐一尝试已知的
错误做法, 指出是哪一种。离线运行, 不显示密钥和 appSecret; 但签名串里有报文本身的内容 (可能有患者信息),
转发前请先处理。

报文可以是明文请求, 也可以是传输中的报文 (有 encData/signData), 或者就是被签名的那段文本。
退出码: 0 符合规范, 1 找到偏差或不能解释, 2 无法运行。`,
		Example: `  yiqiao doctor sign --message req.json --app-secret-file secret --key-file our.key
  yiqiao doctor sign --message reply.json --app-secret-file secret --public-key-file platform.pub
  yiqiao doctor sign --message req.json --app-secret-file secret --public-key-file our.pub --expect MEUCIQ...
  yiqiao doctor sign --message req.json --app-secret-file secret --expect-string theirs.txt`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			k, err := f.read(s)
			if err != nil {
				return err
			}
			r, err := doctor.Examine(k)
			if err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(s.out, r); err != nil {
					return err
				}
			} else {
				printDiagnosis(s.out, r)
			}
			if r.Verdict != doctor.AsSpecified && r.Verdict != doctor.Shown {
				return errNo
			}
			return nil
		},
	}
	c.Flags().StringVar(&f.message, "message", "", "报文或签名文本的文件, - 为标准输入 / the message or the signed text")
	c.Flags().StringVar(&f.appID, "app-id", "", "appId, 默认取自报文 / default: from the message")
	c.Flags().StringVar(&f.secret, "app-secret-file", "", "appSecret 的文件 / file of the appSecret")
	c.Flags().StringVar(&f.key, "key-file", "", "我方私钥文件 / our private key")
	c.Flags().StringArrayVar(&f.public, "public-key-file", nil, "签名者的公钥文件, 可多次, 第一把为应有的 / public key of the signer, may be repeated, the expected one first")
	c.Flags().StringVar(&f.expect, "expect", "", "对方给出的签名、encData 或 SM3 摘要 (base64/hex/DER), @FILE 从文件读 / what the other side gives or complains about")
	c.Flags().StringVar(&f.theirs, "expect-string", "", "对方签名串的文件, key 可隐去, - 为标准输入 / file with their signing string")
	c.Flags().StringVar(&f.uid, "user-id", "", "配置的 SM2 用户标识, 默认 1234567812345678 / configured SM2 user id")
	c.Flags().StringArrayVar(&f.uids, "try-user-id", nil, "另外尝试的用户标识, 可多次 / further user ids to try")
	c.Flags().StringVar(&f.cipher, "cipher", "", "SM2 加密的字段值, 判断 C1C3C2/C1C2C3, @FILE 从文件读 / an SM2 ciphertext whose layout is asked for")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

// signFlags are the inputs of doctor sign as they were typed.
type signFlags struct {
	message, appID, secret, key, expect, theirs, uid, cipher string
	public, uids                                             []string
}

// read opens the files of the flags.
func (f signFlags) read(s *streams) (doctor.Case, error) {
	k := doctor.Case{AppID: f.appID, UserID: f.uid, UserIDs: f.uids, Rand: rand.Reader}
	if f.message == "" {
		return k, errors.New("需要 --message / --message is needed")
	}
	if f.message == "-" && f.theirs == "-" {
		return k, errors.New("--message 和 --expect-string 不能都取标准输入 / only one of them can be standard input")
	}
	var err error
	if k.Message, err = readInput(s, f.message); err != nil {
		return k, err
	}
	if f.theirs != "" {
		b, err := readInput(s, f.theirs)
		if err != nil {
			return k, err
		}
		k.ExpectString = strings.TrimRight(string(b), "\r\n")
	}
	for _, v := range []struct {
		from string
		to   *string
	}{{f.secret, &k.AppSecret}, {f.key, &k.PrivateKey}} {
		if v.from == "" {
			continue
		}
		if *v.to, err = keys.ReadFile(v.from); err != nil {
			return k, err
		}
	}
	for _, name := range f.public {
		text, err := keys.ReadFile(name)
		if err != nil {
			return k, err
		}
		k.PublicKeys = append(k.PublicKeys, text)
	}
	for _, v := range []struct {
		from string
		to   *string
	}{{f.expect, &k.Expect}, {f.cipher, &k.Cipher}} {
		*v.to = v.from
		if name, ok := strings.CutPrefix(v.from, "@"); ok {
			b, err := os.ReadFile(name)
			if err != nil {
				return k, err
			}
			*v.to = string(b)
		}
	}
	return k, nil
}

func printDiagnosis(w io.Writer, r doctor.Report) {
	words := map[string]string{
		doctor.AsSpecified: "符合规范 / as specified",
		doctor.Variant:     "找到偏差 / explained by a deviation",
		doctor.NoMatch:     "没有吻合的做法 / nothing known matches",
		doctor.Unusable:    "缺少条件, 无法判断 / can not be judged",
		doctor.Shown:       "没有给出期望值, 只显示应有的结果 / nothing to compare with",
	}
	subjects := map[string]string{
		doctor.SubjectSignature: "签名 / signature", doctor.SubjectDigest: "摘要 / digest", doctor.SubjectEncData: "encData",
		doctor.SubjectString: "签名串 / signing string", doctor.SubjectCipher: "SM2 密文 / SM2 ciphertext",
	}
	kinds := map[string]string{"plain": "明文报文 / plain message", "wire": "传输报文 / wire message", "text": "文本 / text"}
	sg := r.Signing
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(w, "%s %s\n", pad(label, 14), text)
		}
	}
	fmt.Fprintf(w, "结论: %s\n\n", words[r.Verdict])
	line("输入", kinds[sg.Kind])
	if sg.String != "" {
		line("签名串", visible(sg.String))
		line("长度", fmt.Sprintf("%d 字节 (含 key)", sg.Bytes))
		line("SM3", sg.SM3)
	}
	line("用户标识", visible(sg.UserID))
	line("Z", sg.Z)
	line("e", sg.E)
	for _, k := range r.Keys {
		state := "可用, 指纹 " + k.Fingerprint
		if !k.OK {
			state = "不可用"
		}
		line("密钥 "+k.Role, k.Form+"; "+state)
	}
	printForms(w, "期望的签名 / expected signature", r.Signature)
	printForms(w, "我方的签名 (每次不同) / our signature (differs each time)", r.Ours)
	if e := r.EncData; e != nil {
		fmt.Fprintln(w, "\nencData / 应有的密文")
		line("  hex", brief(e.Hex))
		line("  hex 小写", brief(e.HexLower))
		line("  base64", brief(e.Base64))
	}
	for _, res := range r.Results {
		fmt.Fprintf(w, "\n%s: %s", subjects[res.Subject], words[res.Verdict])
		if res.Tried > 0 {
			fmt.Fprintf(w, " (试了 %d 种 / %d tried)", res.Tried, res.Tried)
		}
		fmt.Fprintln(w)
		if len(res.Explanations) > 1 {
			fmt.Fprintln(w, "  凭这条报文无法区分以下几种 / this message can not tell these apart:")
		}
		for i, set := range res.Explanations {
			if len(res.Explanations) > 1 {
				fmt.Fprintf(w, "  %d)\n", i+1)
			}
			printFindings(w, set)
		}
		printDifference(w, res)
	}
	for _, part := range []struct {
		title string
		all   []doctor.Finding
	}{{"注意 / notes", r.Notes}, {"还要核对 / what remains", r.Remaining}} {
		if len(part.all) > 0 {
			fmt.Fprintf(w, "\n%s\n", part.title)
			printFindings(w, part.all)
		}
	}
}

func printDifference(w io.Writer, res doctor.Result) {
	d := res.Diff
	if d == nil {
		return
	}
	fmt.Fprintf(w, "  第 %d 个字符起不同, 在成员 %s 里 / differs from character %d on, in member %s\n", d.At+1, visible(d.Member), d.At+1, visible(d.Member))
	fmt.Fprintf(w, "    之前 %s\n    我方 %s\n    对方 %s\n", visible(d.Before), visible(d.Ours), visible(d.Theirs))
	if t, ok := map[string]string{"same": "相同 / same", "masked": "已隐去 / masked", "absent": "没有 / absent", "other": "不同 / another"}[d.Tail]; ok {
		fmt.Fprintf(w, "    key  %s\n", t)
	}
	if len(res.Near) > 0 {
		fmt.Fprintln(w, "  最接近的做法 (还有别的不同) / closest rule (something else differs too):")
		printFindings(w, res.Near)
	}
}

func printFindings(w io.Writer, all []doctor.Finding) {
	for _, f := range all {
		fmt.Fprintf(w, "  - [%s] %s\n    %s\n", f.Code, f.ZH, f.EN)
		if f.FixZH != "" {
			fmt.Fprintf(w, "    → %s\n      %s\n", f.FixZH, f.FixEN)
		}
		if len(f.Or) > 0 {
			fmt.Fprintln(w, "    对这条报文效果相同的还有 / the same for this message:")
			for _, o := range f.Or {
				fmt.Fprintf(w, "      [%s] %s\n", o.Code, o.ZH)
			}
		}
	}
}

func printForms(w io.Writer, title string, f *doctor.Forms) {
	if f == nil {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, row := range [][2]string{{"写法", f.Found}, {"base64 r||s", f.RawBase64}, {"hex r||s", f.RawHex}, {"base64 DER", f.DERBase64}, {"hex DER", f.DERHex}} {
		if row[1] != "" {
			fmt.Fprintf(w, "%s %s\n", pad("  "+row[0], 14), row[1])
		}
	}
}

// visible writes control characters as \n, \x1b and the like, so that a text stays on its line and
// does nothing to the terminal; --json has it as it is.
func visible(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) || r == 0xfeff || r == 0x2028 || r == 0x2029 {
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// brief shortens a long ciphertext for the eye; --json has all of it.
func brief(s string) string {
	const most = 96
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s... (%d 字符, 全文见 --json)", s[:most], len(s))
}
