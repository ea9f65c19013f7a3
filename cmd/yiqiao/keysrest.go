package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"yiqiao/gateway"
)

func keysRewrapCommand(s *streams) *cobra.Command {
	var path string
	var asJSON, dry bool
	c := &cobra.Command{
		Use:   "rewrap",
		Short: "用现用主密钥重新包裹全部数据密钥 / Wrap all data keys by the present journal key",
		Long: `更换 journal.key 的步骤: 新密钥写入 journal.key, 旧的移到 journal.old_keys (密钥文件中
keys rotate 已自动如此); 重启所有使用此数据库的网关; 运行本命令; 去掉旧密钥并销毁。
报文不被改写; 网关可以同时运行; 可重复执行, 中断后接着做。`,
		Example: "  yiqiao keys rewrap --config mysite --dry-run\n  yiqiao keys rewrap --config mysite",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			j, err := openJournal(cmd.Context(), path)
			if err != nil {
				return err
			}
			defer j.close()
			done := working("重新包裹数据密钥")
			n, err := j.vault.Rewrap(cmd.Context(), dry)
			done()
			if err != nil {
				return explainVault(err)
			}
			if asJSON {
				return printJSON(s.out, n)
			}
			if dry {
				fmt.Fprintf(s.out, "将重新包裹 %d 个数据密钥, %d 个已由现用主密钥包裹 (未改动)\n", n.Done, n.There)
				return nil
			}
			fmt.Fprintf(s.out, "已重新包裹 %d 个数据密钥, %d 个原已由现用主密钥包裹; 旧的主密钥可以去掉了\n", n.Done, n.There)
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().BoolVar(&dry, "dry-run", false, "只检查, 不改动 / change nothing")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

func keysExpireCommand(s *streams) *cobra.Command {
	var path string
	var asJSON, dry bool
	c := &cobra.Command{
		Use:   "expire",
		Short: "销毁超过保存期限的数据密钥, 报文从此无法恢复 / Destroy data keys past their retention",
		Long: `保存期限在 journal.retention 中按类配置 (天): settlement 结算, query 查询, upload 上传, invoice 电子票据;
未配置的类永久保存。销毁的是密钥: 该机构该日该类的报文内容从此无法恢复, 备份中的也一样
(备份中的密钥由当时的主密钥包裹, 更换并销毁主密钥后才彻底失效)。
交易记录、状态、时间、摘要和审计不受影响; 有未结束交易的机构和日期跳过。`,
		Example: "  yiqiao keys expire --config mysite --dry-run\n  yiqiao keys expire --config mysite --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			g, err := loadGateway(path)
			if err != nil {
				return err
			}
			j, err := g.openPresent(cmd.Context())
			if err != nil {
				return err
			}
			defer j.close()
			list, err := j.vault.Expire(cmd.Context(), now(), g.Journal.Retention, dry)
			if err != nil {
				return explainVault(err)
			}
			if asJSON {
				return printJSON(s.out, map[string]any{"dry_run": dry, "keys": list})
			}
			for _, class := range gateway.Classes() {
				fmt.Fprintf(s.out, "%s  %s\n", pad(string(class), 10), retentionText(g.Journal.Retention[class]))
			}
			destroyed := 0
			var rows [][]string
			for _, e := range list {
				what := "已销毁"
				switch {
				case e.Kept != "":
					what = "保留: 交易未结束 " + e.Kept
				case dry:
					what = "将销毁"
					destroyed++
				default:
					destroyed++
				}
				rows = append(rows, []string{e.Day, string(e.Institution), string(e.Class), e.ID, what})
			}
			if len(rows) > 0 {
				fmt.Fprintln(s.out)
				table(s.out, []string{"日期", "机构", "类别", "数据密钥", "处理"}, rows)
			}
			if dry {
				fmt.Fprintf(s.out, "\n将销毁 %d 个 (未改动)\n", destroyed)
			} else {
				fmt.Fprintf(s.out, "\n已销毁 %d 个\n", destroyed)
			}
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().BoolVar(&dry, "dry-run", false, "只列出, 不销毁 / list only")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}
