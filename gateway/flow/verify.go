package flow

import (
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/wire"
)

// namedIn is the node of a settlement's reply that names the message it answers; false for transactions
// whose reply does not.
func namedIn(tx *catalog.Transaction) (node string, ok bool) {
	if tx.Kind != catalog.Settle || !tx.Commits {
		return "", false
	}
	return nodeWith(tx.Output, "medins_setl_id")
}

// doubt tells why a reply that says "done" can not be believed, "" when it can. For a settlement
// the reply must be about the message we sent (identity M of the interface) and about the same
// total. The other amount identities are less sure than a verified reply is: what they find travels
// as a warning and does not make a settlement doubtful.
func (d *Desk) doubt(j job, id ident.MsgID, r wire.Reply) string {
	if !r.OK() {
		return "infcode is not 0"
	}
	node, ok := namedIn(j.tx)
	if !ok {
		return ""
	}
	info := row(r.Output, node)
	switch got := text(info["medins_setl_id"]); {
	case got == "" && text(info["setl_id"]) == "":
		return "neither medins_setl_id nor setl_id in the reply"
	case got != "" && got != string(id):
		return "medins_setl_id is not our msgid"
	}
	sent := text(member(j.input, j.tx.Input, "medfee_sumamt"))
	if got := text(info["medfee_sumamt"]); sent != "" && !same(sent, got) {
		return "medfee_sumamt differs from what was sent"
	}
	return ""
}
