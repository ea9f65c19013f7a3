package flow

import (
	"encoding/json"
	"testing"

	"yiqiao/schemas/ident"
	"yiqiao/schemas/wire"
)

// A verified reply that is about another message, another total, or about nothing proves nothing about ours.
func TestAReplyAboutAnotherMessage(t *testing.T) {
	cat, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	const id = ident.MsgID("H43010000001202603020830000001")
	good := object{"medins_setl_id": string(id), "setl_id": "S1", "medfee_sumamt": json.Number("12.00")}
	with := func(change object) object {
		out := object{}
		for k, v := range good {
			out[k] = v
		}
		for k, v := range change {
			if out[k] = v; v == nil {
				delete(out, k)
			}
		}
		return object{"setlinfo": out}
	}
	for _, infno := range []ident.Infno{"2207", "2304"} {
		tx, ok := cat.Lookup(infno)
		if !ok {
			t.Fatal(infno)
		}
		node := "data"
		for _, n := range tx.Input {
			node = n.Name
			break
		}
		j := job{tx: tx, input: object{node: object{"medfee_sumamt": "12.00"}}}
		for name, c := range map[string]struct {
			code   string
			output any
			doubt  bool
		}{
			"ours":                {"0", with(nil), false},
			"ours, another form":  {"0", with(object{"medfee_sumamt": "12"}), false},
			"without our number":  {"0", with(object{"medins_setl_id": nil}), false}, // some centres leave it out
			"another message":     {"0", with(object{"medins_setl_id": "H43010000001202603020830000002"}), true},
			"ours with a blank":   {"0", with(object{"medins_setl_id": string(id) + " x"}), true},
			"a number for a text": {"0", with(object{"medins_setl_id": json.Number("1")}), true},
			"about nothing":       {"0", with(object{"medins_setl_id": nil, "setl_id": nil}), true},
			"another total":       {"0", with(object{"medfee_sumamt": json.Number("12.01")}), true},
			"no total":            {"0", with(object{"medfee_sumamt": nil}), true},
			"another node":        {"0", object{"other": good}, true},
			"no object":           {"0", []any{"x"}, true},
			"empty":               {"0", nil, true},
			"not done":            {"-1", with(nil), true},
		} {
			if why := new(Desk).doubt(j, id, wire.Reply{InfCode: c.code, Output: c.output}); (why != "") != c.doubt {
				t.Errorf("%s %s: %q", infno, name, why)
			}
		}
	}
}
