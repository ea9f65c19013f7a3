package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"

	"yiqiao/gateway/journal"
)

// importTime bounds the one transaction of an import on PostgreSQL.
const importTime = 12 * time.Hour

func journalExportCommand(s *streams) *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "export FILE",
		Short: "导出全部交易日志 / Write the whole journal to a file",
		Long: "导出为一个文件, 报文保持加密; 结尾附数目与 SM3。用于迁移时请先停止网关。\n" +
			"Bodies stay sealed; the end of the file holds its counts and SM3. To move a journal stop the gateway first.",
		Example: "  yiqiao journal export journal.jsonl --config mysite",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			g, err := loadGateway(path)
			if err != nil {
				return err
			}
			p, err := provider(g.Provider)
			if err != nil {
				return err
			}
			j, err := g.openPresent(cmd.Context())
			if err != nil {
				return err
			}
			defer j.close()
			f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s 已存在, 不覆盖 / is there already and is not overwritten", args[0])
			}
			if err != nil {
				return err
			}
			defer func() {
				if err != nil {
					_ = f.Close()
					_ = os.Remove(f.Name())
				}
			}()
			moved, err := j.Export(cmd.Context(), f, p.NewSM3())
			if err != nil {
				return err
			}
			if err := errors.Join(f.Sync(), f.Close()); err != nil {
				return err
			}
			return printMoved(s, asJSON, "已导出", moved)
		},
	}
	c.Flags().StringVar(&path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

func journalImportCommand(s *streams) *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "导入交易日志到空库 / Read a journal into an empty database",
		Long: "导入到配置所指的日志 (journal.database, 或 data 文件夹), 只接受空库; 全部成功或全部不做。\n" +
			"导入后再导出一遍并比较: 数目与 SM3 必须与文件一致。需要同一个 journal.key。\n" +
			"The target is the journal the configuration names and must be empty. All or nothing; afterwards\n" +
			"everything is read back and compared with the file. It needs the same journal.key.",
		Example: "  yiqiao journal import journal.jsonl --config mysite",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			g, err := loadGateway(path)
			if err != nil {
				return err
			}
			p, err := provider(g.Provider)
			if err != nil {
				return err
			}
			dir := g.path(g.Data)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			lock := flock.New(filepath.Join(dir, "lock"))
			if ok, err := lock.TryLock(); err != nil || !ok {
				return fmt.Errorf("%s 正被网关使用, 请先停止 / is in use by a gateway, stop it first", dir)
			}
			defer func() { _ = lock.Unlock() }()
			o, err := g.store()
			if err != nil {
				return err
			}
			o.Timeout = importTime
			j, err := g.openJournalAt(cmd.Context(), p, o)
			if err != nil {
				return err
			}
			defer j.close()
			moved, err := j.Import(cmd.Context(), f, p.NewSM3)
			switch {
			case errors.Is(err, journal.ErrNotEmpty):
				return fmt.Errorf("目标不是空的, 没有导入 / the target is not empty, nothing was imported: %w", err)
			case errors.Is(err, journal.ErrDamaged):
				return fmt.Errorf("文件不完整或被改动 / the file is not whole or was changed: %w", err)
			case err != nil:
				return err
			}
			return printMoved(s, asJSON, "已导入并核对一致", moved)
		},
	}
	c.Flags().StringVar(&path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

func printMoved(s *streams, asJSON bool, what string, m journal.Moved) error {
	if asJSON {
		return printJSON(s.out, m)
	}
	fmt.Fprintf(s.out, "%s: %d 笔交易, %d 个事件, %d 个请求, %d 张结算单, %d 个机构\nSM3 %s\n",
		what, m.Records, m.Events, m.Requests, m.Bills, m.Counters, m.Digest)
	if m.Subjects > 0 {
		fmt.Fprintf(s.out, "电子票据: %d 张, %d 个事件, %d 个请求\n", m.Invoices, m.InvoiceEvents, m.InvoiceRequests)
	}
	return nil
}
