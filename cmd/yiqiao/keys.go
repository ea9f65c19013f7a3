package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"yiqiao/crypto/sm"
	"yiqiao/crypto/vectors"
)

func keysCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "生成、导入、轮换、查看密钥, 检验密码实现 / Keys: make, import, rotate, look at; check the cryptography",
		Long: `密钥可以各自存放在文件中 (权限 0600), 或一起存放在用口令加密的密钥文件中 (--file)。
配置中分别写作 file:路径 和 key:名称。私钥和口令从不显示。

口令依次取自 --passphrase-file、环境变量 ` + passphraseEnv + `、终端 (不回显)。`,
		Example: "  yiqiao keys list --config mysite\n  yiqiao keys generate NAME",
	}
	c.AddCommand(keysGenerateCommand(s), keysVectorsCommand(s), keysCreateCommand(s), keysListCommand(s), keysImportCommand(s),
		keysRotateCommand(s), keysExportCommand(s), keysPassphraseCommand(s),
		keysRewrapCommand(s), keysExpireCommand(s))
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
