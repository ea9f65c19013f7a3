package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"yiqiao/gateway"
	"yiqiao/gateway/mapping"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

func mapCommand(s *streams) *cobra.Command {
	var source, where, items, region string
	var explain, asJSON bool
	c := &cobra.Command{
		Use:   "map FILE --source hl7|xml|fhir|csv|sql [--defs DIR] [--explain]",
		Short: "看一份来源报文会变成什么交易 / Show what a source message becomes",
		Long: `按映射定义把 HIS 的原始报文变成交易或账单, 不发送任何内容。患者信息打印时遮盖。
--defs 是随程序提供的映射名称, 或一个含 mapping.yaml 的文件夹; 不写则用该来源的通用映射。
--explain 给出每个目标字段的来历: 目标 <- 规则 (文件:行) <- 来源路径 <- 值。
有不能映射的内容时退出码为 1。`,
		Example: `  yiqiao map charge.hl7 --source hl7
  yiqiao map charge.hl7 --source hl7 --defs ./ours --explain
  yiqiao map claim.fhir --source fhir --explain
  yiqiao map bills.xlsx --source csv --explain
  yiqiao map test --defs ./ours
  yiqiao map replay recorded/ --defs ./new --against ./ours`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			kind, err := kindOf(source)
			if err != nil {
				return err
			}
			if where == "" {
				where = kind.shipped
			}
			d, err := loadDefinition(where, items)
			if err != nil {
				return mappingFaults(s, asJSON, err)
			}
			if d.Source != source {
				return fmt.Errorf("%[1]s 是 %[2]s 的映射, 不是 %[3]s / is a mapping of %[2]s, not %[3]s", d.Name, d.Source, source)
			}
			text, err := readInput(s, args[0])
			if err != nil {
				return err
			}
			list, err := d.read(args[0], text)
			if err != nil {
				return err
			}
			ck, _, err := newChecker(region)
			if err != nil {
				return err
			}
			report := mapReport{Mapping: d.Version(), Valid: true, Messages: []mappedMessage{}}
			for _, src := range list {
				m := mapOne(d, ck, src)
				report.Valid = report.Valid && len(m.Findings) == 0
				report.Messages = append(report.Messages, m)
			}
			if asJSON {
				err = printJSON(s.out, report)
			} else {
				printMapped(s, report, explain)
			}
			if err == nil && !report.Valid {
				err = errNo
			}
			return err
		},
	}
	c.Flags().StringVar(&source, "source", "", "来源 / source: hl7, xml, fhir, csv, sql")
	c.Flags().StringVar(&where, "defs", "", "映射名称或文件夹 / mapping: shipped name or folder")
	c.Flags().StringVar(&items, "items", "", "项目对照表 (CSV/XLSX) / table of items")
	c.Flags().StringVar(&region, "region", "national", "地区规则 / region whose rules apply")
	c.Flags().BoolVar(&explain, "explain", false, "给出每个值的来历 / say where each value came from")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	c.AddCommand(mapTestCommand(s), mapReplayCommand(s))
	return c
}

// mapReport is what `yiqiao map --json` prints.
type mapReport struct {
	Mapping  string          `json:"mapping"`
	Valid    bool            `json:"valid"`
	Messages []mappedMessage `json:"messages"`
}

type mappedMessage struct {
	Type     string          `json:"type"`
	ID       string          `json:"id"`
	Event    string          `json:"event"`
	Orders   []mappedOrder   `json:"orders"`
	Values   []gateway.Trace `json:"values"`
	Findings []check.Finding `json:"findings"`
}

type mappedOrder struct {
	Op    gateway.OrderOp `json:"op"`
	Infno ident.Infno     `json:"infno,omitempty"`
	Of    string          `json:"of,omitempty"`
	ID    string          `json:"id,omitempty"`
}

// mapOne maps a message and checks what can be checked without a centre.
func mapOne(d gateway.Mapper, ck *check.Checker, src gateway.Source) mappedMessage {
	m := mappedMessage{Type: src.Type, ID: src.ID, Orders: []mappedOrder{}, Values: d.Trace(src), Findings: []check.Finding{}}
	got, err := d.Map(src)
	m.Event = got.Rule
	var e *gateway.Error
	if errors.As(err, &e) {
		m.Findings = append(m.Findings, e.Findings...)
	}
	for _, o := range got.Orders {
		m.Orders = append(m.Orders, mappedOrder{o.Op, o.Infno, o.Of, o.ID})
		if o.Infno == "" {
			continue
		}
		for _, f := range ck.Request(o.Infno, o.Body["input"]) {
			if f.Severity == check.Error {
				m.Findings = append(m.Findings, f)
			}
		}
	}
	return m
}

func printMapped(s *streams, r mapReport, explain bool) {
	for _, m := range r.Messages {
		fmt.Fprintf(s.out, "%s %s", oneLine(m.Type), oneLine(m.ID))
		if m.Event != "" {
			fmt.Fprintf(s.out, "  事件 %s", m.Event)
		}
		fmt.Fprintln(s.out)
		if m.Event != "" && len(m.Orders) == 0 && len(m.Findings) == 0 {
			fmt.Fprintln(s.out, "  无需处理")
		}
		for i, o := range m.Orders {
			fmt.Fprintf(s.out, "  [%d] %s\n", i+1, strings.TrimSpace(fmt.Sprint(o.Op, " ", o.Infno, " ", o.Of, o.ID)))
		}
		if len(m.Values) > 0 {
			fmt.Fprintln(s.out)
			printTraces(s, m.Values, explain)
		}
		if len(m.Findings) > 0 {
			fmt.Fprintln(s.out)
			rows := make([][]string, 0, len(m.Findings))
			for _, f := range m.Findings {
				rows = append(rows, []string{f.Code, f.Path, f.ZH})
			}
			table(s.out, []string{"代码", "目标", "说明"}, rows)
		}
		fmt.Fprintln(s.out)
	}
	if r.Valid {
		fmt.Fprintf(s.out, "通过: %s, %d 条报文\n", r.Mapping, len(r.Messages))
	} else {
		fmt.Fprintf(s.out, "不通过: %s\n", r.Mapping)
	}
}

func printTraces(s *streams, list []gateway.Trace, explain bool) {
	rows := make([][]string, 0, len(list))
	for _, t := range list {
		value := t.Value
		if t.Fault != "" {
			value = "! " + t.Fault
		}
		value = oneLine(value)
		if explain {
			rows = append(rows, []string{t.Target, t.Rule, t.Source, value})
		} else {
			rows = append(rows, []string{t.Target, value})
		}
	}
	head := []string{"目标", "值"}
	if explain {
		head = []string{"目标", "规则", "来源", "值"}
	}
	table(s.out, head, rows)
}

func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if list := []rune(s); len(list) > 60 {
		return string(list[:59]) + "…"
	}
	return s
}

// mappingFaults prints what is wrong with a definition; the answer is no.
func mappingFaults(s *streams, asJSON bool, err error) error {
	var faults mapping.Error
	if !errors.As(err, &faults) {
		return err
	}
	if asJSON {
		if err := printJSON(s.out, struct {
			Valid  bool            `json:"valid"`
			Faults []mapping.Fault `json:"faults"`
		}{false, faults}); err != nil {
			return err
		}
		return errNo
	}
	rows := make([][]string, 0, len(faults))
	for _, f := range faults {
		rows = append(rows, []string{fmt.Sprintf("%s:%d", f.File, f.Line), f.Text})
	}
	table(s.out, []string{"位置", "问题"}, rows)
	fmt.Fprintf(s.out, "\n映射不能使用: %d 处问题\n", len(faults))
	return errNo
}
