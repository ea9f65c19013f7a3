package flow

import (
	"yiqiao/schemas/catalog"
)

// otherNames: a query calls some members otherwise than the transaction it is asked about
// (invariants.md, "Nulls and types in real replies").
var otherNames = map[string]string{"psn_part_amt": "psn_pay", "psn_cash_pay": "cash_payamt"}

// adopted gives the output a HIS would have had from tx, made from the reply to a question: the row
// that was found becomes the node it stands for, other nodes of the same name come along, and
// members known under another name are given under tx's own as well.
func adopted(tx *catalog.Transaction, a *catalog.Ask, found object, reply any) any {
	out := object{}
	if top, ok := reply.(object); ok {
		for _, n := range tx.Output {
			if v, ok := top[n.Name]; ok && n.Name != "" && n.Name != a.Node {
				out[n.Name] = v
			}
		}
	}
	if len(tx.Output) == 0 {
		return out
	}
	node := tx.Output[0]
	for _, n := range tx.Output {
		if n.Name == a.Node {
			node = n
		}
	}
	r := make(object, len(found)+len(otherNames))
	for k, v := range found {
		r[k] = v
	}
	for _, f := range node.Fields {
		if other, ok := otherNames[f.Code]; ok && text(r[f.Code]) == "" {
			if v, ok := r[other]; ok {
				r[f.Code] = v
			}
		}
	}
	switch {
	case node.Name == "" && !node.Repeat:
		for k, v := range r {
			out[k] = v
		}
	case node.Name == "":
		return []any{r}
	case node.Repeat:
		out[node.Name] = []any{r}
	default:
		out[node.Name] = r
	}
	return out
}
