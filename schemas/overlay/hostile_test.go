package overlay_test

import (
	"testing"

	"yiqiao/schemas/overlay"
)

// Tables of a form that is none are an error, whichever way they are taken in.
func TestForeignForm(t *testing.T) {
	for _, text := range []string{
		"overlay: a\ntransactions: {\"4298\": {table: {name: x, kind: query, confidence: low, input: [x], output: []}}}\n",
		"overlay: a\ntransactions: {\"4298\": {table: {name: x, kind: query, confidence: low, input: [{node: a, required: [x]}], output: []}}}\n",
		"overlay: a\ntransactions: {\"2204\": {input: {feedetail: {change: [{code: cnt, required: [x]}]}}}}\n",
		"overlay: a\ntransactions: {\"2204\": {nodes: {input: [{node: feedetail, required: {a: b}}]}}}\n",
		"overlay: a\ntransactions: {\"2204\": {add_nodes: {input: [{node: z, required: [1]}]}}}\n",
		"overlay: a\ntransactions: {\"4298\": {table: {input: [{node: a, fields: [x]}], output: []}}}\n",
	} {
		list := []*overlay.Overlay{read(t, text), read(t, "overlay: b\nregions: [sichuan]\nfrom: 2027-01-01\n")}
		if _, _, err := overlay.Union(list); err == nil {
			t.Errorf("taken: %s", text)
		}
		if _, err := overlay.Editions(list, ""); err == nil {
			t.Errorf("taken as an edition: %s", text)
		}
	}
}

// What an edition adds can be a credential; what is one stays one, and so do its other spellings.
func TestMembers(t *testing.T) {
	c, _, err := overlay.Union([]*overlay.Overlay{
		read(t, "overlay: a\nregions: [sichuan]\ncredential: [face_token, psn_alias]\npersonal: [psn_alias, mdtrt_cert_no, nick]\n"),
		read(t, "overlay: b\nfrom: 2027-01-01\ntransactions: {\"2206\": {input: {data: {change: [{code: mdtrt_cert_no, aliases: [kh]}, {code: psn_no, aliases: [nick2]}], add: [{code: voucher, aliases: [card_sn2, card_token]}]}}}}\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"face_token", "faceToken", "psn_alias", "mdtrt_cert_no", "kh", "KH", "voucher", "card_sn2", "card_token"} {
		if !c.Credential(m) {
			t.Errorf("%s is no credential", m)
		}
	}
	for _, m := range []string{"nick", "nick2", "psn_no"} {
		if !c.Personal(m) {
			t.Errorf("%s is not personal", m)
		}
	}
	if c.Credential("memo") || c.Personal("memo") {
		t.Error("memo")
	}
	if _, err := overlay.Editions([]*overlay.Overlay{read(t, "overlay: a\ncredential: [\"_\"]\n")}, ""); err == nil {
		t.Error("a member without a name")
	}
}

// A member that gets another name, its old one an alias, is two members of the union.
func TestRenamed(t *testing.T) {
	c, _, err := overlay.Union([]*overlay.Overlay{read(t, "overlay: a\nfrom: 2027-01-01\ntransactions: {\"2206\": {input: {data: {remove: [mdtrt_cert_no], add: [{code: chip, aliases: [mdtrt_cert_no]}]}}}}\n")})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Credential("chip") {
		t.Error("the new name of a credential is none")
	}
}
