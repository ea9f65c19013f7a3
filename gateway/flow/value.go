package flow

import (
	"strings"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
)

// Decoded values are what strictjson gives: nil, bool, string, json.Number, []any, map[string]any.

type object = map[string]any

// read decodes what we stored ourselves; what can not be read is nil.
func read(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	v, err := strictjson.Decode(b, strictjson.Reply())
	if err != nil {
		return nil
	}
	return v
}

// text is a value as the centre would have written it, without blanks around it; "" for null and for
// structures.
func text(v any) string { return strings.TrimSpace(strictjson.Text(v)) }

// rows lists the objects of a node: an array of them, a single one, or for the node "" the value
// itself.
func rows(v any, node string) []object { return strictjson.Rows(v, node) }

// row is the first object of a node; a nil object reads as empty.
func row(v any, node string) object {
	if r := rows(v, node); len(r) > 0 {
		return r[0]
	}
	return nil
}

// member finds a member anywhere in an input: directly, or in the first row of one of the nodes in
// the order of the table.
func member(input any, nodes []catalog.Node, name string) any {
	top, _ := input.(object)
	if v, ok := top[name]; ok {
		return v
	}
	for _, n := range nodes {
		if v, ok := row(input, n.Name)[name]; ok {
			return v
		}
	}
	return nil
}

// same reports whether two texts say the same, as text or as an amount.
func same(a, b string) bool {
	if a == b {
		return true
	}
	x, err := money.ParseReply(a)
	if err != nil {
		return false
	}
	y, err := money.ParseReply(b)
	return err == nil && x == y
}

// nodeWith names the node of a side that has a field of that code.
func nodeWith(nodes []catalog.Node, code string) (string, bool) {
	for _, n := range nodes {
		for _, f := range n.Fields {
			if f.Code == code {
				return n.Name, true
			}
		}
	}
	return "", false
}
