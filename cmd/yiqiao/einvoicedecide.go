package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"yiqiao/gateway/invoice"
	"yiqiao/gateway/invoice/book"
)

func einvoiceDecide(s *streams) *cobra.Command {
	var config, finding, operator, note string
	var d invoice.Decision
	var asJSON, yes bool
	c := &cobra.Command{
		Use: "decide ID", Short: "了结一张需人工处理的票据 / End what the gateway could not find out", Args: cobra.ExactArgs(1),
		Long: `网关查不清、已转人工的票据 (einvoice list --open 中的 "需人工处理"), 在平台查明之后由此了结。不带 --yes 只显示票据。

  --as made      平台有这张票据, 内容相符, 有效 (未告知号码的须写 --batch 和 --no)
  --as wrong     平台有这张票据, 有效, 但内容不符: 冲红后换号重开
  --as absent    平台没有这张票据: 以同一业务流水号重新开具; 已退费的不再开具
  --as reversed  平台上已经冲红: 结算仍有效的换号重开

平台未受理 (refused) 的票据不在此处理: 更正后由 HIS 重新申请。`,
		Example: "  yiqiao einvoice decide --config mysite --as made --batch 0601 --no 0000000007 --operator 0101 --note 平台后台查询 --yes BH…_1",
		RunE: func(cmd *cobra.Command, args []string) error {
			if finding == "" || operator == "" {
				return errors.New("需要 --as 和 --operator / finding and operator are needed")
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
					fmt.Fprintf(s.out, "将了结 %s (%s)\n", e.ID, finding)
					printInvoice(s.out, e)
					fmt.Fprintln(s.out, "确认后加 --yes 执行")
					return errNo
				}
				d.ID, d.Finding, d.Operator, d.Note = args[0], invoice.Finding(finding), operator, note
				e, err := f.Decide(cmd.Context(), caller, d)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(s.out, e)
				}
				printInvoice(s.out, e)
				return nil
			})
		},
	}
	c.Flags().StringVar(&config, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().StringVar(&finding, "as", "", "查明的情况: made, wrong, absent, reversed / what was found")
	c.Flags().StringVar(&d.Number.Batch, "batch", "", "票据代码 / batch of the bill")
	c.Flags().StringVar(&d.Number.No, "no", "", "票据号码 / its number")
	c.Flags().StringVar(&d.Random, "random", "", "校验码 / its check code")
	c.Flags().StringVar(&d.Red.Batch, "red-batch", "", "红票代码 / batch of the red bill")
	c.Flags().StringVar(&d.Red.No, "red-no", "", "红票号码 / its number")
	c.Flags().StringVar(&operator, "operator", "", "操作员编号 / who")
	c.Flags().StringVar(&note, "note", "", "在哪里查到的, 不写个人信息 / where it was seen")
	c.Flags().BoolVar(&yes, "yes", false, "执行 / do it")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}
