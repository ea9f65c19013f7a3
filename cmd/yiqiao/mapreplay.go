package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"github.com/spf13/cobra"
)

func mapReplayCommand(s *streams) *cobra.Command {
	var where, against, items string
	var asJSON bool
	c := &cobra.Command{
		Use:   "replay FILE|DIR --defs NEW --against OLD",
		Short: "用候选映射重放录下的报文, 不发送 / Feed recorded messages through a candidate mapping",
		Long: `把录下的报文 (一个文件或整个文件夹) 分别经过现用映射和候选映射, 逐条、逐字段列出差别。不发送任何内容;
值都遮盖。有差别时退出码为 1。`,
		Example: "  yiqiao map replay recorded/ --defs ./new --against ./ours\n  yiqiao map replay day.hl7 --defs ./new --against generic-hl7 --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if where == "" || against == "" {
				return fmt.Errorf("--defs 和 --against 都要给出 / both are needed")
			}
			candidate, err := loadDefinition(where, items)
			if err != nil {
				return mappingFaults(s, asJSON, err)
			}
			current, err := loadDefinition(against, items)
			if err != nil {
				return mappingFaults(s, asJSON, err)
			}
			if candidate.Source != current.Source {
				return fmt.Errorf("两个映射的来源不同 / the mappings are for %s and %s", candidate.Source, current.Source)
			}
			r, err := replay(args[0], current, candidate)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(s.out, r)
			} else {
				printReplay(s, r)
			}
			if err == nil && r.Changed > 0 {
				err = errNo
			}
			return err
		},
	}
	c.Flags().StringVar(&where, "defs", "", "候选映射 / candidate mapping")
	c.Flags().StringVar(&against, "against", "", "现用映射 / mapping in force")
	c.Flags().StringVar(&items, "items", "", "项目对照表 (CSV/XLSX) / table of items")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

// replayReport is what `yiqiao map replay --json` prints. Unread names files that are no messages.
type replayReport struct {
	Old      string          `json:"old"`
	New      string          `json:"new"`
	Messages int             `json:"messages"`
	Changed  int             `json:"changed"`
	Differ   []replayMessage `json:"differ"`
	Unread   []caseResult    `json:"unread"`
}

type replayMessage struct {
	File    string   `json:"file"`
	Number  int      `json:"number"` // in the file, from 1
	Type    string   `json:"type"`
	ID      string   `json:"id"`
	Changes []change `json:"changes"`
}

func replay(from string, current, candidate *definition) (replayReport, error) {
	r := replayReport{Old: current.Version(), New: candidate.Version(), Differ: []replayMessage{}, Unread: []caseResult{}}
	var files []string
	err := filepath.WalkDir(from, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		return r, err
	}
	sort.Strings(files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return r, err
		}
		list, err := current.read(file, text)
		if err != nil {
			r.Unread = append(r.Unread, caseResult{Name: file, Problem: err.Error()})
			continue
		}
		for i, src := range list {
			r.Messages++
			was, err := goldenText([]outcome{outcomeOf(current, src)})
			if err != nil {
				return r, err
			}
			is, err := goldenText([]outcome{outcomeOf(candidate, src)})
			if err != nil {
				return r, err
			}
			diff, err := changes(was, is, true)
			if err != nil {
				return r, err
			}
			if len(diff) > 0 {
				r.Changed++
				r.Differ = append(r.Differ, replayMessage{file, i + 1, src.Type, src.ID, diff})
			}
		}
	}
	return r, nil
}

func printReplay(s *streams, r replayReport) {
	var rows [][]string
	for _, m := range r.Differ {
		rows = append(rows, []string{fmt.Sprintf("%s#%d", m.File, m.Number), oneLine(m.Type + " " + m.ID), "", ""})
		for _, c := range m.Changes {
			rows = append(rows, []string{"", c.Path[min(len(c.Path), 2):], oneLine(c.Old), oneLine(c.New)})
		}
	}
	if len(rows) > 0 {
		table(s.out, []string{"报文", "目标", "现用", "候选"}, rows)
		fmt.Fprintln(s.out)
	}
	for _, u := range r.Unread {
		fmt.Fprintf(s.out, "未能读取: %s: %s\n", u.Name, u.Problem)
	}
	fmt.Fprintf(s.out, "%s -> %s: %d 条报文, %d 条不同, %d 个文件未能读取\n", r.Old, r.New, r.Messages, r.Changed, len(r.Unread))
}
