// Package identity puts the identity of an electronic invoice into messages that name one: the uploads
// of self-paid visits and the settlement list. Which members they are and by what a bill is found is a
// table (columns.json); nothing here knows a field. Pure: whoever asks looks the bills up.
package identity

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
)

// Kinds of marks a bill is found by.
const (
	Visit      = "visit"      // the hospital's own visit number
	Settlement = "settlement" // setl_id
)

// Mark is a number by which a bill is found.
type Mark struct{ Kind, Value string }

// Column says where one transaction names a bill.
type Column struct {
	Infno ident.Infno `json:"infno"`
	Node  string      `json:"node"`
	Batch string      `json:"batch"`
	No    string      `json:"no"`
	Check string      `json:"check,omitempty"` // the check code, where there is a member for it
	Total string      `json:"total,omitempty"` // tells several bills of one visit apart
	By    [][2]string `json:"by"`              // kind of mark, member
}

// Table is the columns by number.
type Table map[ident.Infno]Column

//go:embed columns.json
var columns []byte

// Default is the table that ships.
func Default() (Table, error) { return Load(columns) }

// Load reads a table; unknown names are errors.
func Load(b []byte) (Table, error) {
	var file struct {
		About   []string `json:"about"`
		Columns []Column `json:"columns"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	t := Table{}
	for _, c := range file.Columns {
		if _, twice := t[c.Infno]; twice || c.Infno == "" || c.Batch == "" || c.No == "" || len(c.By) == 0 {
			return nil, fmt.Errorf("identity: %q stands there twice or says too little", c.Infno)
		}
		for _, by := range c.By {
			if by[0] != Visit && by[0] != Settlement || by[1] == "" {
				return nil, fmt.Errorf("identity: %s: by %q", c.Infno, by)
			}
		}
		t[c.Infno] = c
	}
	return t, nil
}

// Check holds the table against the catalogue: every member it names must be there.
func (t Table) Check(c *catalog.Catalog) error {
	for _, infno := range slices.Sorted(maps.Keys(t)) {
		col := t[infno]
		tx, ok := c.Lookup(infno)
		if !ok {
			return fmt.Errorf("identity: there is no %s", infno)
		}
		node, ok := tx.Node(catalog.Input, col.Node)
		if !ok {
			return fmt.Errorf("identity: %s has no node %q", infno, col.Node)
		}
		names := []string{col.Batch, col.No, col.Check, col.Total}
		for _, by := range col.By {
			names = append(names, by[1])
		}
		for _, name := range names {
			if _, ok := node.Field(name); name != "" && !ok {
				return fmt.Errorf("identity: %s %s has no member %q", infno, col.Node, name)
			}
		}
	}
	return nil
}

// Bill is what a message says of a bill. Total is nil when it does not say.
type Bill struct {
	Batch, No, Check string
	Total            *money.Fen
}

// Claim is one row of a message that has room for a bill.
type Claim struct {
	Path  string // of the row: /input/mdtrtinfo, /input/mdtrtinfo/0
	Marks []Mark // what finds the bill, best first
	Given Bill   // what the HIS says itself

	column Column
}

// Path of a member of the claim.
func (c Claim) At(b Bill) string {
	switch {
	case b.Batch != c.Given.Batch && c.Given.Batch != "":
		return c.Path + "/" + c.column.Batch
	case b.No != c.Given.No && c.Given.No != "":
		return c.Path + "/" + c.column.No
	}
	return c.Path + "/" + c.column.Check
}

// Empty reports whether the HIS left it to the gateway.
func (c Claim) Empty() bool { return c.Given.Batch == "" && c.Given.No == "" }

// Agrees reports whether what the HIS says is true of a bill.
func (c Claim) Agrees(b Bill) bool {
	is := func(given, real string) bool { return given == "" || given == real }
	return is(c.Given.Batch, b.Batch) && is(c.Given.No, b.No) && (c.column.Check == "" || is(c.Given.Check, b.Check))
}

// Claims lists the rows of an input that have room for a bill, in order. A message that is not in the
// table, or is not shaped as it says, has none.
func (t Table) Claims(infno ident.Infno, input any) (out []Claim) {
	col, ok := t[infno]
	if !ok {
		return nil
	}
	_, list := rowsOf(input, col)
	_, isObject := nodeOf(input, col).(map[string]any)
	for i, row := range list {
		c := Claim{Path: "/input/" + col.Node, column: col, Given: Bill{Batch: text(row, col.Batch), No: text(row, col.No), Check: text(row, col.Check)}}
		if !isObject {
			c.Path += "/" + strconv.Itoa(i)
		}
		if f, err := money.ParseReply(text(row, col.Total)); err == nil && col.Total != "" {
			c.Given.Total = &f
		}
		for _, by := range col.By {
			if v := text(row, by[1]); v != "" {
				c.Marks = append(c.Marks, Mark{by[0], v})
			}
		}
		out = append(out, c)
	}
	return out
}

// Put gives input with the bills of its claims filled in where they were empty; nil fills nothing. The
// input itself stays as it was.
func (t Table) Put(infno ident.Infno, input any, bills []*gateway.PlatformBill) any {
	col := t[infno]
	top, list := rowsOf(input, col)
	if top == nil || len(list) != len(bills) {
		return input
	}
	rows := make([]any, len(list))
	for i, row := range list {
		b := bills[i]
		if b != nil {
			row = maps.Clone(row)
			for name, v := range map[string]string{col.Batch: b.Number.Batch, col.No: b.Number.No, col.Check: b.Random} {
				if name != "" && v != "" && text(row, name) == "" {
					row[name] = v
				}
			}
		}
		rows[i] = row
	}
	out := maps.Clone(top)
	if _, isObject := top[col.Node].(map[string]any); isObject {
		out[col.Node] = rows[0]
	} else {
		out[col.Node] = rows
	}
	return out
}

func nodeOf(input any, col Column) any {
	top, _ := input.(map[string]any)
	return top[col.Node]
}

func rowsOf(input any, col Column) (top map[string]any, rows []map[string]any) {
	top, _ = input.(map[string]any)
	switch v := top[col.Node].(type) {
	case map[string]any:
		rows = append(rows, v)
	case []any:
		for _, x := range v {
			row, ok := x.(map[string]any)
			if !ok {
				return top, nil // the check of the message says so
			}
			rows = append(rows, row)
		}
	}
	return top, rows
}

func text(row map[string]any, name string) string {
	if name == "" {
		return ""
	}
	return strings.TrimSpace(strictjson.Text(row[name]))
}
