package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"yiqiao/gateway"
)

func mapReplayCommand(s *streams) *cobra.Command {
	var where, against, items, config, day string
	var asJSON bool
	c := &cobra.Command{
		Use:   "replay [FILE|DIR] --defs NEW [--against OLD]",
		Short: "用候选映射重放录下的报文, 不发送 / Feed recorded messages through a candidate mapping",
		Long: `把报文分别经过现用映射和候选映射, 逐条、逐字段列出差别。不发送任何内容; 值都遮盖。有差别时退出码为 1。
报文来自一个文件或文件夹; 或 --config 时来自网关录下的报文 (record: {on: true}), --day 指定一天,
--against 不写则为该配置现用的映射。录下的报文中就诊凭证已涂去。`,
		Example: "  yiqiao map replay recorded/ --defs ./new --against ./ours\n  yiqiao map replay --config mysite --day 2026-11-23 --defs ./new",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if where == "" || (len(args) == 1) == (config != "") || against == "" && config == "" {
				return fmt.Errorf("--defs 要给出; 报文来自 FILE (同时给 --against) 或 --config / give --defs, and FILE with --against or --config")
			}
			candidate, err := loadDefinition(where, items)
			if err != nil {
				return mappingFaults(s, asJSON, err)
			}
			var g *gatewaySettings
			if config != "" {
				if g, err = loadGateway(config); err != nil {
					return err
				}
			}
			currentItems := items
			if against == "" {
				if against, currentItems = g.mappingOf(candidate.Source); against == "" {
					return fmt.Errorf("配置中没有 %[1]s 的映射, 请给出 --against / the configuration has no mapping for %[1]s", candidate.Source)
				}
			}
			current, err := loadDefinition(against, currentItems)
			if err != nil {
				return mappingFaults(s, asJSON, err)
			}
			if candidate.Source != current.Source {
				return fmt.Errorf("两个映射的来源不同 / the mappings are for %s and %s", candidate.Source, current.Source)
			}
			var r replayReport
			if g != nil {
				r, err = replayRecorded(cmd.Context(), g, day, current, candidate)
			} else {
				r, err = replay(args[0], current, candidate)
			}
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
	c.Flags().StringVar(&config, "config", "", "重放这份配置录下的报文 / replay what this configuration recorded")
	c.Flags().StringVar(&day, "day", "", "哪一天, yyyy-MM-dd; 不写为全部 / which day; all by default")
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
	Lost     int             `json:"lost,omitempty"` // recorded, and can not be opened any more
}

type replayMessage struct {
	File    string   `json:"file"`
	Number  int      `json:"number"` // in the file, from 1
	Type    string   `json:"type"`
	ID      string   `json:"id"`
	Changes []change `json:"changes"`
}

func newReplay(current, candidate *definition) replayReport {
	return replayReport{Old: current.Version(), New: candidate.Version(), Differ: []replayMessage{}, Unread: []caseResult{}}
}

func replay(from string, current, candidate *definition) (replayReport, error) {
	r := newReplay(current, candidate)
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
		list, bad := current.read(file, text)
		if err := r.add(file, list, bad, current, candidate); err != nil {
			return r, err
		}
	}
	return r, nil
}

// add feeds the messages of one file, or one that was recorded, through both mappings. bad is why they can
// not be read.
func (r *replayReport) add(name string, list []gateway.Source, bad error, current, candidate *definition) error {
	if bad != nil {
		r.Unread = append(r.Unread, caseResult{Name: name, Problem: bad.Error()})
		return nil
	}
	for i, src := range list {
		r.Messages++
		was, err := goldenText([]outcome{outcomeOf(current, src)})
		if err != nil {
			return err
		}
		is, err := goldenText([]outcome{outcomeOf(candidate, src)})
		if err != nil {
			return err
		}
		diff, err := changes(was, is)
		if err != nil {
			return err
		}
		if len(diff) > 0 {
			veil(diff, current.Trace(src), candidate.Trace(src))
			r.Changed++
			r.Differ = append(r.Differ, replayMessage{name, i + 1, src.Type, src.ID, diff})
		}
	}
	return nil
}

// inBody is the place of a change in the body of an order.
var inBody = regexp.MustCompile(`^/0/orders/(\d+)/body(/.*)$`)

// ourWords are places that hold words of the mapping or the interface, never of a message.
var ourWords = regexp.MustCompile(`^/0/(event|orders/\d+/(op|infno)|faults/\d+/(code|path))$`)

// veil shows a value as a trace of its mapping does, where it is short: codes, amounts, days; persons and credentials
// are masked there. Everything else is masked: recorded messages are of real people.
func veil(list []change, old, new []gateway.Trace) {
	show := func(at, value string, traces []gateway.Trace) string {
		if ourWords.MatchString(at) {
			return value
		}
		if g := inBody.FindStringSubmatch(at); g != nil {
			for _, t := range traces {
				if strconv.Itoa(t.Order) == g[1] && t.Target == g[2] && t.Fault == "" && utf8.RuneCountInString(t.Value) <= 20 {
					return t.Value
				}
			}
		}
		return veiled(value)
	}
	for i := range list {
		c := &list[i]
		c.Old, c.New = show(c.Path, c.Old, old), show(c.Path, c.New, new)
	}
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
	if r.Lost > 0 {
		fmt.Fprintf(s.out, "%d 条的密钥已销毁或内容受损, 未能打开\n", r.Lost)
	}
	fmt.Fprintf(s.out, "%s -> %s: %d 条报文, %d 条不同, %d 个文件未能读取\n", r.Old, r.New, r.Messages, r.Changed, len(r.Unread))
}
