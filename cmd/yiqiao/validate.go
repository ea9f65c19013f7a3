package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"

	"yiqiao/adapters/region"
)

// validation is what `yiqiao validate --json` prints.
type validation struct {
	Infno     ident.Infno    `json:"infno"`
	Name      string         `json:"name,omitempty"`
	Section   string         `json:"section,omitempty"` // of the interface document
	Direction string         `json:"direction"`
	Valid     bool           `json:"valid"`
	Findings  []fieldFinding `json:"findings"`
}

// fieldFinding is a finding with what the interface calls the place it is at.
type fieldFinding struct {
	check.Finding
	Field string `json:"field,omitempty"` // "人员编号", or the title of a node; "" where the tables do not know it
	Dict  string `json:"dict,omitempty"`  // the dictionary its values are from
}

func validateCommand(s *streams) *cobra.Command {
	var infno, direction, regionName string
	var asJSON bool
	c := &cobra.Command{
		Use:   "validate --infno N [--direction request|response] FILE|DIR|-",
		Short: "按接口规范检查一份报文 / Check a message against the interface tables",
		Long: `检查一份请求或应答: 可以是完整报文, 也可以只是 input 或 output 对象。
文件夹则检查其中全部 .json: 交易编号取自报文或文件名 (如 2207-1.json), 含 infcode 或 output 的是应答。
没有错误时退出码为 0, 有错误为 1, 无法检查 (文件不存在等) 为 2。`,
		Example: `  yiqiao validate --infno 2207 --direction request request.json
  cat reply.json | yiqiao validate --infno 2207 --direction response --json -
  yiqiao validate recorded/`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if direction != "request" && direction != "response" {
				return fmt.Errorf("--direction 必须是 request 或 response / must be request or response")
			}
			if info, err := os.Stat(args[0]); err == nil && info.IsDir() {
				return validateFolder(s, args[0], infno, regionName, asJSON)
			}
			text, err := readInput(s, args[0])
			if err != nil {
				return err
			}
			v, err := validate(ident.Infno(infno), direction, regionName, text)
			if err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(s.out, v); err != nil {
					return err
				}
			} else {
				printValidation(s.out, v)
			}
			if !v.Valid {
				return errNo
			}
			return nil
		},
	}
	c.Flags().StringVar(&infno, "infno", "", "交易编号; 完整请求报文可省略 / transaction number")
	c.Flags().StringVar(&direction, "direction", "request", "request 或 response")
	c.Flags().StringVar(&regionName, "region", "national", "地区规则: "+fmt.Sprint(region.Names()))
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	_ = c.RegisterFlagCompletionFunc("direction", cobra.FixedCompletions([]string{"request", "response"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// maxMessage bounds a message read from a file, bytes.
const maxMessage = 32 << 20

func readInput(s *streams, name string) ([]byte, error) {
	r := s.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, maxMessage+1))
	if err == nil && len(b) > maxMessage {
		return nil, fmt.Errorf("%s: 超过 %d 字节 / larger than that many bytes", name, maxMessage)
	}
	return b, err
}

// newChecker gives a checker for a region.
func newChecker(regionName string) (*check.Checker, *catalog.Catalog, error) {
	cat, err := catalog.Default()
	if err != nil {
		return nil, nil, err
	}
	r, err := region.Load(regionName)
	if err != nil {
		return nil, nil, err
	}
	ck, err := check.New(cat, check.Options{Relax: r.Relax, Codes: r.Codes, FundIncludesAccount: r.FundIncludesAccount})
	return ck, cat, err
}

// validate checks one message; an error means it could not be checked at all.
func validate(infno ident.Infno, direction, regionName string, text []byte) (validation, error) {
	ck, cat, err := newChecker(regionName)
	if err != nil {
		return validation{}, err
	}
	v := validation{Infno: infno, Direction: direction, Findings: []fieldFinding{}}
	limits := strictjson.Request()
	if direction == "response" {
		limits = strictjson.Reply()
	}
	doc, err := strictjson.Decode(text, limits)
	if err != nil {
		v.add(nil, textFinding(err))
		return v, nil
	}
	body, envelope := unwrap(doc, direction)
	if direction == "request" && envelope {
		req, _, err := wire.DecodeRequest(text)
		if err != nil {
			v.add(nil, textFinding(err))
		}
		if v.Infno == "" {
			v.Infno = req.Infno
		} else if req.Infno != "" && req.Infno != v.Infno {
			v.add(nil, check.Finding{Code: "infno-mismatch", Path: "/infno", Severity: check.Error, Rule: string(v.Infno),
				ZH: "报文中的交易编号与 --infno 不一致", EN: "infno in the message is not the one given"})
		}
	}
	if v.Infno == "" {
		return v, errors.New("请用 --infno 指明交易编号 / give the transaction number with --infno")
	}
	if direction == "response" && envelope {
		if _, err := wire.DecodeReply(text); err != nil {
			v.add(nil, textFinding(err))
		}
	}
	var nodes []catalog.Node
	if tx, ok := cat.Lookup(v.Infno); ok {
		v.Name, v.Section, nodes = tx.Name, tx.Group, tx.Output
		if direction == "request" {
			nodes = tx.Input
		}
	}
	if direction == "request" {
		v.add(nodes, ck.Request(v.Infno, body)...)
	} else if body != nil || !envelope {
		v.add(nodes, ck.Reply(v.Infno, body)...)
	}
	v.Valid = true
	for _, f := range v.Findings {
		if f.Severity == check.Error {
			v.Valid = false
		}
	}
	return v, nil
}

// add takes findings over, each with the name of its field among nodes.
func (v *validation) add(nodes []catalog.Node, list ...check.Finding) {
	for _, f := range list {
		named := fieldFinding{Finding: f}
		named.Field, named.Dict = called(nodes, f.Path)
		v.Findings = append(v.Findings, named)
	}
}

// called is what the tables call the place of a path such as /input/data/0/psn_no.
func called(nodes []catalog.Node, path string) (name, dict string) {
	var parts []string
	for _, p := range strings.Split(path, "/")[1:] {
		if _, err := strconv.Atoi(p); err != nil {
			parts = append(parts, p)
		}
	}
	if len(parts) < 2 {
		return "", ""
	}
	last, node := parts[len(parts)-1], ""
	if len(parts) > 2 {
		node = parts[len(parts)-2]
	}
	for i := range nodes {
		if nodes[i].Name == node {
			if f, ok := nodes[i].Field(last); ok {
				return f.Name, f.Dict
			}
		}
	}
	for i := range nodes {
		if nodes[i].Name == last {
			return nodes[i].Title, ""
		}
	}
	return "", ""
}

// unwrap finds the input or output inside a whole message; envelope tells whether doc was one.
func unwrap(doc any, direction string) (body any, envelope bool) {
	m, ok := doc.(map[string]any)
	if !ok {
		return doc, false
	}
	if direction == "request" {
		in, has := m["input"]
		_, head := m["infno"]
		_, msgid := m["msgid"]
		if has && !head && !msgid && len(m) == 1 {
			return in, false // {"input": ...} alone
		}
		return pick(has || head || msgid, in, doc)
	}
	out, has := m["output"]
	_, code := m["infcode"]
	if has && len(m) == 1 {
		return out, false
	}
	return pick(has || code, out, doc)
}

func pick(envelope bool, inner, doc any) (any, bool) {
	if envelope {
		return inner, true
	}
	return doc, false
}

// textFinding puts a decoding error as a finding.
func textFinding(err error) check.Finding {
	var je *strictjson.Error
	if errors.As(err, &je) {
		zh := map[strictjson.Kind]string{
			strictjson.Syntax: "不是规范的 JSON", strictjson.Trailing: "JSON 之后还有多余内容", strictjson.Duplicate: "同一层出现重复的字段名",
			strictjson.UTF8: "不是规范的 UTF-8 编码", strictjson.Depth: "嵌套过深", strictjson.Size: "报文过大", strictjson.Number: "数字写法不允许 (过长或使用了指数)",
		}[je.Kind]
		if je.Kind == strictjson.UTF8 {
			zh += "; 若原文是 GBK 或 GB18030, 请先转换为 UTF-8"
		}
		return check.Finding{Code: string(je.Kind), Path: je.Path, Severity: check.Error, Rule: fmt.Sprintf("offset %d", je.Offset),
			ZH: fmt.Sprintf("%s (第 %d 字节)", zh, je.Offset), EN: fmt.Sprintf("not acceptable JSON: %s at byte %d", je.Kind, je.Offset)}
	}
	var fe *wire.FieldError
	if errors.As(err, &fe) {
		return check.Finding{Code: "header-" + fe.Rule, Path: "/" + fe.Field, Severity: check.Error, Rule: fe.Rule,
			ZH: fmt.Sprintf("报文头字段 %s 不符合规范 (%s)", fe.Field, fe.Rule), EN: fmt.Sprintf("outer member %s: %s", fe.Field, fe.Rule)}
	}
	return check.Finding{Code: string(strictjson.Syntax), Severity: check.Error, ZH: "无法解读", EN: err.Error()}
}

func printValidation(w io.Writer, v validation) {
	rows := make([][]string, 0, len(v.Findings))
	for _, f := range v.Findings {
		level := "错误"
		if f.Severity == check.Warning {
			level = "提示"
		}
		rows = append(rows, []string{level, f.Code, f.Path, f.ZH})
	}
	if len(rows) > 0 {
		table(w, []string{"级别", "代码", "位置", "说明"}, rows)
		fmt.Fprintln(w)
	}
	if v.Valid {
		fmt.Fprintf(w, "通过: %s %s 符合规范\n", v.Infno, v.title())
		return
	}
	fmt.Fprintln(w, strings.TrimSpace(fmt.Sprintf("不通过: %s %s", v.Infno, v.title())))
}

// title is the name of the transaction and the section it stands in.
func (v *validation) title() string {
	if v.Section == "" {
		return v.Name
	}
	return v.Name + " (" + v.Section + ")"
}
