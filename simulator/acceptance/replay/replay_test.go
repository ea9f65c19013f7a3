package replay

import (
	"context"
	"errors"
	"testing"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
)

func decode(t *testing.T, s string) any {
	t.Helper()
	v, err := strictjson.Decode([]byte(s), strictjson.Reply())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The target's own numbers stand where the first centre's stood, the credential is put back, amounts and outcomes are compared.
func TestReplay(t *testing.T) {
	day := []Recorded{
		{Infno: "9001", Done: true},
		{Infno: "1101", MsgID: "A1", Done: true, Input: decode(t, `{"data":{"certno":"C1","mdtrt_cert_type":"02","mdtrt_cert_no":"`+catalog.Redacted+`"}}`), Output: decode(t, `{"baseinfo":{"psn_no":"P1","certno":"C1"}}`)},
		{Infno: "2201", MsgID: "A2", Done: true, Input: decode(t, `{"data":{"psn_no":"P1","mdtrt_cert_type":"02","mdtrt_cert_no":"`+catalog.Redacted+`"}}`), Output: decode(t, `{"data":{"mdtrt_id":"V1"}}`)},
		{Infno: "2207", MsgID: "A3", Done: true, Input: decode(t, `{"data":{"mdtrt_id":"V1"}}`), Output: decode(t, `{"setlinfo":{"setl_id":"S1","medfee_sumamt":10.00,"psn_cash_pay":"1.50"}}`)},
		{Infno: "2601", MsgID: "A4", Done: true, Input: decode(t, `{"data":{"omsgid":"A3"}}`)},
		{Infno: "2208", MsgID: "A5", Done: false, Input: decode(t, `{"data":{"setl_id":"S1"}}`)},
		{Infno: "5203", MsgID: "A6", Done: true, Input: decode(t, `{}`)},
	}
	n := 0
	sent := map[string]any{}
	send := func(_ context.Context, infno string, input any) (wire.Reply, string, error) {
		n++
		sent[infno] = input
		out := map[string]string{"1101": `{"baseinfo":{"psn_no":"P9","certno":"C1"}}`, "2201": `{"data":{"mdtrt_id":"V9"}}`, "2207": `{"setlinfo":{"setl_id":"S9","medfee_sumamt":"10","psn_cash_pay":1.51}}`}[infno]
		if infno == "5203" {
			return wire.Reply{}, "", errors.New("down")
		}
		if infno == "2601" {
			return wire.Reply{InfCode: "-1", ErrMsg: "no"}, "B", nil
		}
		r := wire.Reply{InfCode: "0"}
		if out != "" {
			r.Output = decode(t, out)
		}
		return r, "B" + infno, nil
	}
	res := New(send).Run(context.Background(), day)
	get := func(infno, member string) string { return find(sent[infno], member) }
	if get("1101", "mdtrt_cert_no") != "C1" || get("2201", "mdtrt_cert_no") != "C1" || get("2201", "psn_no") != "P9" || get("2207", "mdtrt_id") != "V9" || get("2601", "omsgid") != "B2207" || get("2208", "setl_id") != "S9" {
		t.Errorf("%v", sent)
	}
	var whats []string
	for _, d := range res.Differ {
		whats = append(whats, d.Infno+" "+d.What)
	}
	want := []string{"2207 /setlinfo/psn_cash_pay", "2601 outcome", "2208 outcome", "5203 no-answer"}
	if n != 6 || res.Requests != 6 || res.Same != 2 || len(whats) != len(want) {
		t.Fatalf("%d %+v", n, res)
	}
	for i := range want {
		if whats[i] != want[i] {
			t.Errorf("%s, want %s", whats[i], want[i])
		}
	}
	if find(day[2].Input, "psn_no") != "P1" {
		t.Error("the record was changed")
	}
}
