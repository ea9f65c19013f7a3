package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
	"yiqiao/gateway/invoice"
	"yiqiao/gateway/invoice/book"
	"yiqiao/schemas/ident"
)

func einvoiceCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "einvoice",
		Short: "电子票据: 查看、冲红、对账 / Electronic invoices",
		Long: `查看和处理电子票据。网关运行时也可以执行: 同一张票据的每一步只会做一次, 不论由谁来做。

  list       列出某日或某种状态的票据
  show       一张票据的经过: 谁在哪个窗口申请, 平台怎么答
  reverse    冲红一张票据 (结算仍有效时); 退费引起的冲红由退费自动完成
  decide     了结一张需人工处理的票据: 在平台查明之后说明它的真实情况
  reconcile  与电子票据平台逐笔核对, 给出原因和处理建议`,
		Example: "  yiqiao einvoice list --config mysite\n  yiqiao einvoice show --config mysite OPB…_1\n  yiqiao einvoice reconcile --config mysite --date 2026-11-22",
	}
	c.AddCommand(einvoiceList(s), einvoiceShow(s), einvoiceReverse(s), einvoiceDecide(s), einvoiceReconcile(s))
	return c
}

// withOffice opens what a configuration names and gives an office on it.
func withOffice(ctx context.Context, s *streams, config string, clock gateway.Clock, do func(*gatewaySettings, *invoice.Office, *book.Book) error) error {
	g, err := loadGateway(config)
	if err != nil {
		return err
	}
	p, err := g.build(s.err, clock)
	if err != nil {
		return err
	}
	j, err := openJournal(ctx, config)
	if err != nil {
		return err
	}
	defer j.close()
	desk, err := flow.New(flow.Options{Journal: j, Centre: func(i ident.Institution) gateway.Centre { return p.ways[i] },
		Institutions: p.institutions, Catalog: p.catalog, Clock: clock, Digest: j.vault.Digest, Timing: g.timing(), Log: p.log})
	if err != nil {
		return err
	}
	office, err := g.invoiceOffice(p, j, desk, clock)
	if err != nil {
		return err
	}
	b, err := j.invoiceBook(clock)
	if err != nil {
		return err
	}
	return do(g, office, b)
}

// dayOf reads a date; "" is the day of now moved by so many days.
func dayOf(s string, now time.Time, move int) (time.Time, error) {
	if s == "" {
		n := now.In(gateway.China).AddDate(0, 0, move)
		return time.Date(n.Year(), n.Month(), n.Day(), 0, 0, 0, 0, gateway.China), nil
	}
	t, err := time.ParseInLocation(time.DateOnly, s, gateway.China)
	if err != nil {
		return t, fmt.Errorf("日期 %q 应为 yyyy-MM-dd", s)
	}
	return t, nil
}

// einvoiceRow is one line of `einvoice list --json`.
type einvoiceRow struct {
	ID         string                `json:"id"`
	Settlement string                `json:"settlement"`
	State      gateway.InvoiceState  `json:"state"`
	Number     gateway.InvoiceNumber `json:"number,omitzero"`
	Total      string                `json:"total"`
	At         time.Time             `json:"at"`
	Cause      gateway.Cause         `json:"cause,omitempty"`
}

// invoiceCauseZH is causeZH where the other side is the platform.
func invoiceCauseZH(c gateway.Cause) string {
	return strings.ReplaceAll(causeZH(c), "中心", "平台")
}

func einvoiceList(s *streams) *cobra.Command {
	var config, date, state string
	var asJSON, open bool
	c := &cobra.Command{
		Use: "list", Short: "列出票据 / List", Args: cobra.NoArgs,
		Example: "  yiqiao einvoice list --config mysite --date 2026-11-22\n  yiqiao einvoice list --config mysite --open",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withOffice(cmd.Context(), s, config, systemClock{}, func(_ *gatewaySettings, _ *invoice.Office, b *book.Book) error {
				q := book.Query{}
				if !open {
					day, err := dayOf(date, time.Now(), 0)
					if err != nil {
						return err
					}
					q.From, q.To = day, day.AddDate(0, 0, 1)
				} else {
					q.States = []gateway.InvoiceState{gateway.InvoiceDrafted, gateway.InvoiceIssuing, gateway.InvoiceIssueOpen, gateway.InvoiceRefused,
						gateway.InvoiceTurning, gateway.InvoiceVoiding, gateway.InvoiceReversing, gateway.InvoiceRedOpen, gateway.InvoiceParked}
				}
				if state != "" {
					q.States = []gateway.InvoiceState{gateway.InvoiceState(state)}
				}
				rows := []einvoiceRow{}
				for {
					list, next, err := b.List(cmd.Context(), q)
					if err != nil {
						return err
					}
					for _, x := range list {
						rows = append(rows, einvoiceRow{x.ID, x.Subject, x.State, x.Platform.Number, x.Total.String(), x.CreatedAt, x.Cause})
					}
					if q.After = next; len(list) < 1000 {
						break
					}
				}
				if asJSON {
					return printJSON(s.out, rows)
				}
				var cells [][]string
				for _, r := range rows {
					cells = append(cells, []string{r.ID, invoiceZH(r.State), r.Number.Batch, r.Number.No, r.Total, r.At.In(gateway.China).Format(time.DateTime), invoiceCauseZH(r.Cause)})
				}
				table(s.out, []string{"业务流水号", "状态", "票据代码", "票据号码", "金额", "申请时间", "说明"}, cells, 4)
				fmt.Fprintf(s.out, "%d 张\n", len(rows))
				return nil
			})
		},
	}
	c.Flags().StringVar(&config, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().StringVar(&date, "date", "", "开票日期 yyyy-MM-dd; 缺省为今天 / the day; default today")
	c.Flags().StringVar(&state, "state", "", "只列某种状态 / one state only")
	c.Flags().BoolVar(&open, "open", false, "所有未办结的, 不限日期 / whatever is not at rest, of any day")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

// callerOf is the system a bill belongs to: a person at the gateway acts in its place.
func callerOf(ctx context.Context, b *book.Book, id string) (gateway.Caller, error) {
	x, err := b.Bill(ctx, id)
	if errors.Is(err, gateway.ErrNotFound) {
		return gateway.Caller{}, fmt.Errorf("没有票据 %s / no such bill", id)
	}
	return gateway.Caller{System: x.System, Institutions: []ident.Institution{x.Institution}}, err
}

func einvoiceShow(s *streams) *cobra.Command {
	var config string
	var asJSON bool
	c := &cobra.Command{
		Use: "show ID", Short: "一张票据的经过 / One bill and its history", Args: cobra.ExactArgs(1),
		Example: "  yiqiao einvoice show --config mysite BH44010000001202611221100000001_1",
		RunE: func(cmd *cobra.Command, args []string) error {
			return withOffice(cmd.Context(), s, config, systemClock{}, func(_ *gatewaySettings, f *invoice.Office, b *book.Book) error {
				caller, err := callerOf(cmd.Context(), b, args[0])
				if err != nil {
					return err
				}
				e, err := f.Invoice(cmd.Context(), caller, args[0])
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(s.out, e)
				}
				fmt.Fprintf(s.out, "%s  结算 %s\n", e.ID, e.Settlement)
				printInvoice(s.out, e)
				var rows [][]string
				for _, h := range e.History {
					rows = append(rows, []string{h.At.In(gateway.China).Format("01-02 15:04:05.000"), h.Event, invoiceZH(h.State), h.System, h.Desk, h.Operator,
						strings.TrimSpace(invoiceCauseZH(h.Cause) + " " + h.Note)})
				}
				table(s.out, []string{"时间", "事件", "状态", "系统", "窗口", "操作员", "说明"}, rows)
				return nil
			})
		},
	}
	c.Flags().StringVar(&config, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

func einvoiceReverse(s *streams) *cobra.Command {
	var config, reason, operator string
	var asJSON, yes, reissue bool
	c := &cobra.Command{
		Use: "reverse ID", Short: "冲红 / Reverse a bill", Args: cobra.ExactArgs(1),
		Long: `冲红一张票据。不带 --yes 只说明将要做什么。操作员记入票据的经过。
结算已经撤销的票据由网关自动冲红, 不需要此命令。`,
		Example: "  yiqiao einvoice reverse --config mysite --reason 姓名有误 --operator 0101 --reissue --yes BH…_1",
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" || operator == "" {
				return errors.New("需要 --reason 和 --operator / reason and operator are needed")
			}
			return withOffice(cmd.Context(), s, config, systemClock{}, func(_ *gatewaySettings, f *invoice.Office, b *book.Book) error {
				caller, err := callerOf(cmd.Context(), b, args[0])
				if err != nil {
					return err
				}
				if !yes {
					e, err := f.Invoice(cmd.Context(), caller, args[0])
					if err != nil {
						return err
					}
					fmt.Fprintf(s.out, "将冲红 %s\n", e.ID)
					printInvoice(s.out, e)
					fmt.Fprintln(s.out, "确认后加 --yes 执行")
					return errNo
				}
				e, err := f.ReverseInvoice(cmd.Context(), caller, gateway.ReverseInvoice{RequestID: "cli-" + randomHex(8), ID: args[0], Reason: reason, Reissue: reissue,
					Desk: "yiqiao", Operator: gateway.Operator{ID: operator, Name: operator, Type: "1"}})
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(s.out, e)
				}
				printInvoice(s.out, e)
				if e.State != gateway.InvoiceReversed {
					return errNo
				}
				return nil
			})
		},
	}
	c.Flags().StringVar(&config, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().StringVar(&reason, "reason", "", "冲红原因 / why")
	c.Flags().StringVar(&operator, "operator", "", "操作员编号 / who")
	c.Flags().BoolVar(&reissue, "reissue", false, "冲红后重新开具 / issue a new one")
	c.Flags().BoolVar(&yes, "yes", false, "执行 / do it")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

func einvoiceReconcile(s *streams) *cobra.Command {
	var config, date, institution, html, csv string
	var asJSON bool
	c := &cobra.Command{
		Use: "reconcile", Short: "与电子票据平台对账 / Hold a day against the platform", Args: cobra.NoArgs,
		Long: `取平台某日的总数、冲红数和逐笔清单, 与网关的票据和有效结算逐笔核对。只查不改。
退出码: 0 对平, 1 有差异, 2 未能完成。`,
		Example: "  yiqiao einvoice reconcile --config mysite --date 2026-11-22 --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			day, err := dayOf(date, time.Now(), -1)
			if err != nil {
				return err
			}
			return withOffice(cmd.Context(), s, config, systemClock{}, func(g *gatewaySettings, f *invoice.Office, _ *book.Book) error {
				reports := []invoice.Report{}
				for _, in := range g.Institutions {
					if institution != "" && in.Code != institution {
						continue
					}
					r, err := f.Reconcile(cmd.Context(), ident.Institution(in.Code), day)
					if err != nil {
						return err
					}
					reports = append(reports, r)
				}
				if err := einvoiceFiles(reports, html, csv); err != nil {
					return err
				}
				return einvoiceReports(s, reports, asJSON)
			})
		},
	}
	c.Flags().StringVar(&config, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().StringVar(&date, "date", "", "对账日期 yyyy-MM-dd; 缺省为昨天 / the day; default yesterday")
	c.Flags().StringVar(&institution, "institution", "", "只对某机构 / one institution only")
	c.Flags().StringVar(&html, "html", "", "写出网页报告 / write a page")
	c.Flags().StringVar(&csv, "csv", "", "写出差异表 (Excel 可直接打开) / write the differences")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

// einvoiceFiles writes the reports for people.
func einvoiceFiles(reports []invoice.Report, html, csv string) error {
	write := func(name string, do func(io.Writer) error) error {
		if name == "" {
			return nil
		}
		f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		return errors.Join(do(f), f.Close())
	}
	return errors.Join(write(html, func(w io.Writer) error { return invoice.WriteHTML(w, reports) }), write(csv, func(w io.Writer) error {
		for i := range reports {
			var b bytes.Buffer
			if err := reports[i].WriteCSV(&b); err != nil {
				return err
			}
			text := b.Bytes()
			if i > 0 { // one mark at the beginning of the file
				text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
			}
			if _, err := w.Write(text); err != nil {
				return err
			}
		}
		return nil
	}))
}

func einvoiceReports(s *streams, reports []invoice.Report, asJSON bool) error {
	balanced := true
	for _, r := range reports {
		balanced = balanced && r.Balanced
	}
	if asJSON {
		if err := printJSON(s.out, reports); err != nil {
			return err
		}
	} else {
		for _, r := range reports {
			fmt.Fprintf(s.out, "电子票据对账  %s  %s\n", r.Institution, r.Date)
			row := func(who string, x invoice.Sums) []string {
				return []string{who, fmt.Sprint(x.Blue.Count), x.Blue.Amount.String(), fmt.Sprint(x.Red.Count), x.Red.Amount.String()}
			}
			table(s.out, []string{"", "开具笔数", "开具金额", "其中冲红", "冲红金额"}, [][]string{row("网关", r.Ours), row("平台", r.Theirs)}, 1, 2, 3, 4)
			for _, n := range r.Notes {
				fmt.Fprintln(s.out, n)
			}
			var rows [][]string
			for _, d := range r.Differences {
				rows = append(rows, []string{d.ID, d.Number.No, invoice.CauseZH(d.Cause), d.Ours, d.Theirs, d.Remedy})
			}
			if len(rows) > 0 {
				fmt.Fprintln(s.out)
				table(s.out, []string{"业务流水号", "票据号码", "差异", "网关", "平台", "建议"}, rows, 3, 4)
			}
			if r.Balanced {
				fmt.Fprintln(s.out, "对平")
			}
		}
	}
	if !balanced {
		return errNo
	}
	return nil
}
