package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/codes"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
	"yiqiao/simulator/acceptance/sample"
)

func sampleCommand(s *streams) *cobra.Command {
	var seed uint64
	var invalid string
	c := &cobra.Command{
		Use:   "sample INFNO",
		Short: "按接口表生成一份样例 input / Make a sample input from the tables",
		Long: `按接口表生成一份合规的 input; 同一种子得到同一份。人员都是虚构的, 各金额之间不保证平衡。
--invalid 故意弄错一处 (` + fmt.Sprint(sample.Kinds()) + `), 错处写到标准错误。`,
		Example: "  yiqiao sample 2207\n  yiqiao sample 2207 --seed 7 | yiqiao validate --infno 2207 -\n  yiqiao sample 4101A --invalid missing",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			cat, err := catalog.Default()
			if err != nil {
				return err
			}
			dicts, err := codes.Default()
			if err != nil {
				return err
			}
			tx, ok := cat.Lookup(ident.Infno(args[0]))
			if !ok {
				return fmt.Errorf("没有交易 %s / no such transaction; 用 yiqiao describe 查看全部", args[0])
			}
			m := sample.New(cat, dicts, time.Date(2026, 1, 1, 12, 0, 0, 0, gateway.China))
			var in map[string]any
			var path string
			if invalid == "" {
				in, err = m.Valid(tx, seed)
			} else {
				in, path, err = m.Broken(tx, seed, sample.Kind(invalid))
			}
			if errors.Is(err, sample.ErrNone) {
				return fmt.Errorf("%s 的接口表没有可供生成的字段, 或不能这样弄错 / the table of %s has nothing for that", args[0], args[0])
			}
			if err != nil {
				return err
			}
			if path != "" {
				fmt.Fprintf(s.err, "错处: /input/%s (%s)\n", path, invalid)
			}
			return printJSON(s.out, in)
		},
	}
	c.Flags().Uint64Var(&seed, "seed", 1, "种子 / seed")
	c.Flags().StringVar(&invalid, "invalid", "", "弄错一处: "+fmt.Sprint(sample.Kinds())+" / break it in one way")
	_ = c.RegisterFlagCompletionFunc("invalid", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var out []string
		for _, k := range sample.Kinds() {
			out = append(out, string(k))
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

// messageFiles lists the *.json files below a folder, sorted.
func messageFiles(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.EqualFold(filepath.Ext(path), ".json") {
			out = append(out, path)
		}
		return err
	})
	slices.Sort(out)
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("%s: 没有 .json 文件 / no .json files", dir)
	}
	return out, err
}

var infnoInName = regexp.MustCompile(`(?:^|[^0-9A-Za-z])([0-9]{4,5}A?|D[0-9]{3})(?:[^0-9A-Za-z]|$)`)

// about guesses what a file of a folder is: the number from its name, a reply when it has an infcode or its name says so.
func about(path string, text []byte) (infno, direction string) {
	if m := infnoInName.FindStringSubmatch(filepath.Base(path)); m != nil {
		infno = m[1]
	}
	name := strings.ToLower(filepath.Base(path))
	v, err := strictjson.Decode(text, strictjson.Reply())
	doc, _ := v.(map[string]any)
	_, code := doc["infcode"]
	_, out := doc["output"]
	if err == nil && (code || out) || strings.Contains(name, "reply") || strings.Contains(name, "response") || strings.Contains(name, "应答") {
		return infno, "response"
	}
	return infno, "request"
}

// fileValidation is the finding of one file of a folder.
type fileValidation struct {
	File string `json:"file"`
	validation
	Problem string `json:"problem,omitempty"` // why it could not be checked
}

// validateFolder checks every file of a folder.
func validateFolder(s *streams, dir, infno, regionName string, asJSON bool) error {
	files, err := messageFiles(dir)
	if err != nil {
		return err
	}
	var list []fileValidation
	bad := 0
	for _, path := range files {
		text, err := readInput(s, path)
		if err != nil {
			return err
		}
		n, direction := about(path, text)
		if infno != "" {
			n = infno
		}
		name, _ := filepath.Rel(dir, path)
		v, err := validate(ident.Infno(n), direction, regionName, text)
		f := fileValidation{File: name, validation: v}
		if err != nil {
			f.Problem = err.Error()
		}
		if !v.Valid {
			bad++
		}
		list = append(list, f)
	}
	if asJSON {
		err = printJSON(s.out, list)
	} else {
		var rows [][]string
		for _, f := range list {
			word, why := "通过", f.Problem
			if !f.Valid {
				word = "不通过"
				for _, x := range f.Findings {
					if why == "" && x.Severity == "error" {
						why = x.Path + " " + x.ZH
					}
				}
			}
			rows = append(rows, []string{word, f.File, string(f.Infno), f.Direction, why})
		}
		table(s.out, []string{"结果", "文件", "交易", "方向", "第一处问题"}, rows)
		fmt.Fprintf(s.out, "\n%d 份, %d 份不通过\n", len(list), bad)
	}
	if err == nil && bad > 0 {
		err = errNo
	}
	return err
}

// describedField is a field of a message in words.
type describedField struct {
	Path    string `json:"path"`
	Name    string `json:"name,omitempty"`
	Value   string `json:"value"` // masked where it is a person's
	Meaning string `json:"meaning,omitempty"`
}

// describedMessage is what `describe FILE` prints.
type describedMessage struct {
	File      string           `json:"file"`
	Infno     string           `json:"infno"`
	Name      string           `json:"name"`
	Section   string           `json:"section"`
	Direction string           `json:"direction"`
	Fields    []describedField `json:"fields"`
}

// describeFiles tells of one message, or of all of a folder, field by field: names, what codes mean, persons masked.
func describeFiles(s *streams, cat *catalog.Catalog, path, infno string, asJSON bool) error {
	files := []string{path}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		if files, err = messageFiles(path); err != nil {
			return err
		}
	}
	dicts, err := codes.Default()
	if err != nil {
		return err
	}
	var list []describedMessage
	for _, f := range files {
		text, err := readInput(s, f)
		if err != nil {
			return err
		}
		m, err := describeMessage(cat, dicts, f, infno, text)
		if err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		list = append(list, m)
	}
	if asJSON {
		return printJSON(s.out, list)
	}
	for i, m := range list {
		if i > 0 {
			fmt.Fprintln(s.out)
		}
		fmt.Fprintf(s.out, "%s\n%s %s (%s, %s)\n", m.File, m.Infno, m.Name, m.Section, map[string]string{"request": "请求", "response": "应答"}[m.Direction])
		var rows [][]string
		for _, f := range m.Fields {
			rows = append(rows, []string{f.Path, f.Name, f.Value, f.Meaning})
		}
		table(s.out, []string{"位置", "名称", "值", "含义"}, rows)
	}
	return nil
}

func describeMessage(cat *catalog.Catalog, dicts *codes.Tables, path, infno string, text []byte) (describedMessage, error) {
	n, direction := about(path, text)
	v, err := strictjson.Decode(text, strictjson.Reply())
	if err != nil {
		return describedMessage{}, errors.New(textFinding(err).ZH)
	}
	doc, _ := v.(map[string]any)
	if s := strictjson.Text(doc["infno"]); s != "" {
		n = strings.TrimSpace(s)
	}
	if infno != "" {
		n = infno
	}
	tx, ok := cat.Lookup(ident.Infno(n))
	if !ok {
		return describedMessage{}, fmt.Errorf("不知道是哪个交易 (%q): 用 --infno 指明, 或写在文件名里 / give --infno", n)
	}
	body, _ := unwrap(v, direction)
	nodes, top := tx.Input, "/input"
	if direction == "response" {
		nodes, top = tx.Output, "/output"
	}
	m := describedMessage{File: path, Infno: n, Name: tx.Name, Section: tx.Group, Direction: direction, Fields: []describedField{}}
	m.walk(cat.Mask(body), top, "", nodes, dicts)
	return m, nil
}

// walk adds the fields of a value.
func (m *describedMessage) walk(v any, path, node string, nodes []catalog.Node, dicts *codes.Tables) {
	switch v := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for k := range v {
			names = append(names, k)
		}
		slices.Sort(names)
		for _, k := range names {
			switch v[k].(type) {
			case map[string]any, []any:
				m.walk(v[k], path+"/"+k, k, nodes, dicts)
				continue
			}
			f := describedField{Path: path + "/" + k, Value: strictjson.Text(v[k])}
			for i := range nodes {
				if nodes[i].Name != node {
					continue
				}
				if d, ok := nodes[i].Field(k); ok {
					f.Name = d.Name
					for _, dict := range []string{d.Dict, d.Code} {
						if t, ok := dicts.Lookup(dict); ok && f.Meaning == "" && dict != "" {
							f.Meaning, _ = t.Label(f.Value)
						}
					}
				}
			}
			m.Fields = append(m.Fields, f)
		}
	case []any:
		for i, x := range v {
			m.walk(x, fmt.Sprintf("%s/%d", path, i), node, nodes, dicts)
		}
	}
}
