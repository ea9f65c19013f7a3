package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/codes"
	"yiqiao/schemas/ident"
)

func describeCommand(s *streams) *cobra.Command {
	var asJSON, dict bool
	var infno string
	c := &cobra.Command{
		Use:   "describe [INFNO|DICTIONARY|FILE|DIR]",
		Short: "查看交易的字段、代码表、一份报文, 或全部交易 / Show a transaction, a dictionary, a message, or all transactions",
		Example: `  yiqiao describe              全部交易
  yiqiao describe 2207         交易 2207
  yiqiao describe --dict insutype   代码表
  yiqiao describe recorded/2207-1.json   逐字段说明一份报文, 个人信息遮盖`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			cat, err := catalog.Default()
			if err != nil {
				return err
			}
			if dict {
				return describeDictionary(s, args, asJSON)
			}
			if len(args) == 0 {
				return listTransactions(s, cat, asJSON)
			}
			tx, ok := cat.Lookup(ident.Infno(args[0]))
			if _, err := os.Stat(args[0]); !ok && err == nil {
				return describeFiles(s, cat, args[0], infno, asJSON)
			}
			if !ok {
				return fmt.Errorf("没有交易 %s / no such transaction; 用 yiqiao describe 查看全部", args[0])
			}
			if asJSON {
				return printJSON(s.out, tx)
			}
			describeTransaction(s.out, tx)
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			cat, err := catalog.Default()
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			var out []string
			for _, tx := range cat.All() {
				out = append(out, string(tx.Infno)+"\t"+tx.Name)
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	c.Flags().StringVar(&infno, "infno", "", "报文的交易编号, 报文和文件名都没有时 / number of a message")
	c.Flags().BoolVar(&dict, "dict", false, "查看代码表 / show a dictionary")
	return c
}

func listTransactions(s *streams, cat *catalog.Catalog, asJSON bool) error {
	type row struct {
		Infno      ident.Infno  `json:"infno"`
		Name       string       `json:"name"`
		Group      string       `json:"group"`
		Kind       catalog.Kind `json:"kind"`
		Confidence string       `json:"confidence"`
		Described  bool         `json:"described"`
	}
	var all []row
	var cells [][]string
	for _, tx := range cat.All() {
		r := row{tx.Infno, tx.Name, tx.Group, tx.Kind, tx.Confidence, tx.Described()}
		all = append(all, r)
		described := "是"
		if !r.Described {
			described = "否"
		}
		cells = append(cells, []string{string(r.Infno), r.Name, r.Group, string(r.Kind), r.Confidence, described})
	}
	if asJSON {
		return printJSON(s.out, all)
	}
	table(s.out, []string{"编号", "名称", "分组", "类别", "可信度", "有字段"}, cells)
	return nil
}

func describeTransaction(w io.Writer, tx *catalog.Transaction) {
	fmt.Fprintf(w, "%s %s  (%s, %s, 可信度 %s)\n", tx.Infno, tx.Name, tx.Group, tx.Kind, tx.Confidence)
	if tx.Undo != "" {
		fmt.Fprintf(w, "撤销交易: %s\n", tx.Undo)
	}
	if tx.Reversible {
		fmt.Fprintln(w, "可用 2601 冲正")
	}
	if len(tx.Remedies) > 0 {
		words := make([]string, len(tx.Remedies))
		for i, r := range tx.Remedies {
			words[i] = string(r)
		}
		fmt.Fprintf(w, "结果不明时: %s\n", strings.Join(words, " → "))
	}
	if !tx.Described() {
		fmt.Fprintln(w, "\n没有可靠来源的字段说明; 网关拒绝发送此交易。")
	}
	for _, d := range []struct {
		title string
		nodes []catalog.Node
	}{{"输入", tx.Input}, {"输出", tx.Output}} {
		for _, n := range d.nodes {
			name := n.Name
			if name == "" {
				name = "(直接)"
			}
			many := "单条"
			if n.Repeat {
				many = "多条"
			}
			fmt.Fprintf(w, "\n%s %s  %s (%s)\n", d.title, name, n.Title, many)
			rows := make([][]string, 0, len(n.Fields))
			for _, f := range n.Fields {
				rows = append(rows, []string{f.Code, f.Name, f.Type, lengthText(f), requiredText(f.Required), f.Dict, f.Note})
			}
			table(w, []string{"字段", "名称", "类型", "长度", "必填", "代码表", "备注"}, rows)
		}
	}
	for _, d := range tx.Disputes {
		fmt.Fprintf(w, "\n存疑: %s", d)
	}
	fmt.Fprintf(w, "\n来源: %d 处 (--json 查看)\n", len(tx.Sources))
}

func lengthText(f catalog.Field) string {
	switch {
	case f.Length == 0:
		return ""
	case f.Decimals >= 0:
		return fmt.Sprintf("%d,%d", f.Length, f.Decimals)
	}
	return strconv.Itoa(f.Length)
}

func requiredText(r catalog.Required) string {
	switch r {
	case catalog.Always:
		return "是"
	case catalog.Conditional:
		return "视情况"
	}
	return ""
}

func describeDictionary(s *streams, args []string, asJSON bool) error {
	t, err := codes.Default()
	if err != nil {
		return err
	}
	if len(args) == 0 {
		names := t.Names()
		if asJSON {
			return printJSON(s.out, names)
		}
		fmt.Fprintln(s.out, strings.Join(names, "\n"))
		return nil
	}
	d, ok := t.Lookup(args[0])
	if !ok {
		return fmt.Errorf("没有代码表 %s / no such dictionary", args[0])
	}
	if asJSON {
		return printJSON(s.out, d)
	}
	fmt.Fprintf(s.out, "%s %s (可信度 %s)\n", args[0], d.Name, d.Confidence)
	var rows [][]string
	for _, v := range d.Values {
		rows = append(rows, []string{v.Code, v.Label})
	}
	table(s.out, []string{"代码", "含义"}, rows)
	return nil
}
