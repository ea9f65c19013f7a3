package acceptance

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"yiqiao/schemas/catalog"
)

// Requirement is something a person would tick.
type Requirement struct {
	ID         string `json:"id"`
	Infno      string `json:"infno,omitempty"` // "" for those of all transactions
	Kind       string `json:"kind"`            // must, should
	Actor      string `json:"actor"`           // his, gateway, centre
	Text       Text   `json:"text"`
	Source     string `json:"source"`                     // a table of the interface, or a rule of docs/interface
	Confidence string `json:"confidence"`                 // high, medium, low
	Why        string `json:"why_not_testable,omitempty"` // "" for what can be tried
}

var columns = []string{"id", "infno", "kind", "actor", "zh", "en", "source", "confidence", "why_not_testable"}

// Requirements gives the rules and the pair of each described transaction, in the order of their ids.
func Requirements(c *catalog.Catalog) ([]Requirement, error) {
	b, err := files.ReadFile("rules.csv")
	if err != nil {
		return nil, err
	}
	list, err := ReadCSV(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("rules.csv: %w", err)
	}
	for _, t := range c.All() {
		if len(t.Input) > 0 {
			list = append(list, Requirement{
				ID: "FLD-" + string(t.Infno) + "-I", Infno: string(t.Infno), Kind: "must", Actor: "his",
				Text: Text{
					fmt.Sprintf("%s %s 的请求报文: 节点与字段符合接口表, 必填齐全, 类型、长度、字典值正确", t.Infno, t.Name),
					fmt.Sprintf("The request of %s carries the nodes and fields of its table: required ones present, types, lengths and dictionary values right", t.Infno),
				},
				Source: "接口表 " + string(t.Infno) + " 输入", Confidence: t.Confidence,
			})
		}
		if len(t.Output) > 0 {
			list = append(list, Requirement{
				ID: "FLD-" + string(t.Infno) + "-O", Infno: string(t.Infno), Kind: "must", Actor: "centre",
				Text: Text{
					fmt.Sprintf("%s %s 的返回报文: 节点与字段符合接口表 (允许空值与未声明字段)", t.Infno, t.Name),
					fmt.Sprintf("The reply of %s carries the nodes and fields of its table (nulls and undeclared fields are normal)", t.Infno),
				},
				Source: "接口表 " + string(t.Infno) + " 输出", Confidence: t.Confidence,
			})
		}
	}
	if err := untestable(list); err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b Requirement) int { return strings.Compare(a.ID, b.ID) })
	for i := 1; i < len(list); i++ {
		if list[i].ID == list[i-1].ID {
			return nil, fmt.Errorf("requirement %s twice", list[i].ID)
		}
	}
	return list, nil
}

// untestable puts the reasons of untestable.csv to requirements made from the tables.
func untestable(list []Requirement) error {
	b, err := files.ReadFile("untestable.csv")
	if err != nil {
		return err
	}
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil {
		return fmt.Errorf("untestable.csv: %w", err)
	}
	for _, row := range rows[1:] {
		i := slices.IndexFunc(list, func(q Requirement) bool { return q.ID == row[0] })
		if i < 0 || row[1] == "" || list[i].Why != "" {
			return fmt.Errorf("untestable.csv: %s is no requirement, or has no reason or two", row[0])
		}
		list[i].Why = row[1]
	}
	return nil
}

// ReadCSV reads requirements; the first line names the columns.
func ReadCSV(r io.Reader) ([]Requirement, error) {
	in := csv.NewReader(r)
	in.FieldsPerRecord = len(columns)
	head, err := in.Read()
	if err != nil {
		return nil, err
	}
	if !slices.Equal(head, columns) {
		return nil, fmt.Errorf("the columns are %s", strings.Join(columns, ","))
	}
	var list []Requirement
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		q := Requirement{ID: row[0], Infno: row[1], Kind: row[2], Actor: row[3], Text: Text{row[4], row[5]}, Source: row[6], Confidence: row[7], Why: row[8]}
		switch {
		case q.ID == "" || q.Text.ZH == "" || q.Text.EN == "" || q.Source == "":
			return nil, fmt.Errorf("requirement %q lacks its id, a text or its source", q.ID)
		case q.Kind != "must" && q.Kind != "should":
			return nil, fmt.Errorf("requirement %s is neither must nor should", q.ID)
		case !slices.Contains([]string{"his", "gateway", "centre"}, q.Actor):
			return nil, fmt.Errorf("requirement %s has nobody to meet it", q.ID)
		case !slices.Contains([]string{"high", "medium", "low"}, q.Confidence):
			return nil, fmt.Errorf("requirement %s: confidence %q", q.ID, q.Confidence)
		}
		list = append(list, q)
	}
}

// WriteCSV writes requirements as ReadCSV reads them.
func WriteCSV(w io.Writer, list []Requirement) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return err
	}
	for _, q := range list {
		if err := out.Write([]string{q.ID, q.Infno, q.Kind, q.Actor, q.Text.ZH, q.Text.EN, q.Source, q.Confidence, q.Why}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
