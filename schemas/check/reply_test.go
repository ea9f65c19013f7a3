package check

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"yiqiao/schemas/ident"
)

// header of a settlement that adds up: 100.00 = 5 + 3 + 2 + 90, fund 60, account 15, cash 20, hospital 5.
const settled = `{"setlinfo":{"setl_id":"S1","medfee_sumamt":100.00,"fulamt_ownpay_amt":"5.00","overlmt_selfpay":3,
"preselfpay_amt":2.0,"inscp_scp_amt":9.000E1,"act_pay_dedc":10,"hifp_pay":50,"cvlserv_pay":1,"hifes_pay":2,"hifmi_pay":3,
"hifob_pay":4,"maf_pay":0,"oth_pay":0,"fund_pay_sumamt":60,"psn_part_amt":35,"acct_pay":15,"psn_cash_pay":20,
"hosp_part_amt":5,"balc":88.8,"acct_mulaid_pay":null,"pool_prop_selfpay":0.8333,"cashPayamt":"20","exp_content":{"a":[1]}},
"setldetail":[{"fund_pay_type":"310100","fund_payamt":60},{"fund_pay_type":"310200","fund_payamt":15},{"fund_pay_type":"999996","fund_payamt":"5.00"}]}`

// the same bill in a region whose fund total contains the account.
const settledInside = `{"setlinfo":{"medfee_sumamt":100.00,"fulamt_ownpay_amt":5,"overlmt_selfpay":3,"preselfpay_amt":2,"inscp_scp_amt":90,
"hifp_pay":50,"cvlserv_pay":10,"hifes_pay":0,"hifmi_pay":0,"hifob_pay":0,"maf_pay":0,"oth_pay":0,"fund_pay_sumamt":75,
"psn_part_amt":40,"acct_pay":15,"psn_cash_pay":25,"hosp_part_amt":0},
"setldetail":[{"fund_pay_type":"310100","fund_payamt":60},{"fund_pay_type":"310200","fund_payamt":15}]}`

const undone = `{"setlinfo":{"medfee_sumamt":-100,"fulamt_ownpay_amt":-5,"overlmt_selfpay":-3,"preselfpay_amt":-2,"inscp_scp_amt":-90,
"act_pay_dedc":-10,"hifp_pay":-60,"cvlserv_pay":0,"hifes_pay":0,"hifmi_pay":0,"hifob_pay":0,"maf_pay":0,"oth_pay":0,
"fund_pay_sumamt":-60,"psn_part_amt":null,"acct_pay":-15,"psn_cash_pay":-20,"hosp_part_amt":null,"balc":103.8,"acct_mulaid_pay":null},
"setldetail":[{"fund_pay_type":"310100","fund_payamt":-60},{"fund_pay_type":"310200","fund_payamt":-15},{"fund_pay_type":"999997","fund_payamt":-5}]}`

func TestIdentities(t *testing.T) {
	c, _ := newChecker(t, Options{})
	inside, _ := newChecker(t, Options{FundIncludesAccount: true})
	n := func(s string) any { return json.Number(s) }
	for _, k := range []struct {
		name  string
		c     *Checker
		infno ident.Infno
		text  string
		path  string
		to    any
		want  string
	}{
		{name: "adds up", c: c, infno: "2207", text: settled},
		{name: "adds up, trial", c: c, infno: "2206", text: settled},
		{name: "A by one fen", c: c, infno: "2207", text: settled, path: "setlinfo/overlmt_selfpay", to: n("3.01"), want: "E identity-A /output/setlinfo/medfee_sumamt"},
		{name: "A, text", c: c, infno: "2304", text: settled, path: "setlinfo/fulamt_ownpay_amt", to: "4.99", want: "E identity-A /output/setlinfo/medfee_sumamt"},
		{name: "A with a null is not judged", c: c, infno: "2207", text: settled, path: "setlinfo/overlmt_selfpay", to: nil},
		{name: "A with an empty text is not judged", c: c, infno: "2207", text: settled, path: "setlinfo/overlmt_selfpay", to: ""},
		{name: "A without a term is not judged", c: c, infno: "2207", text: settled, path: "setlinfo/overlmt_selfpay", to: drop},
		{name: "B by one fen", c: c, infno: "2207", text: settled, path: "setlinfo/psn_cash_pay", to: n("20.01"), want: "E identity-B /output/setlinfo/psn_part_amt"},
		{name: "B with a null is not judged", c: c, infno: "2207", text: settled, path: "setlinfo/psn_cash_pay", to: nil},
		{name: "C by one fen", c: c, infno: "2207", text: settled, path: "setlinfo/hosp_part_amt", to: n("5.01"),
			want: "E identity-C /output/setlinfo/medfee_sumamt\nW identity-J /output/setldetail"},
		{name: "C with the hospital's part in a row only", c: c, infno: "2207", text: settled, path: "setlinfo/hosp_part_amt", to: nil},
		{name: "D by one fen", c: c, infno: "2207", text: settled, path: "setlinfo/hifob_pay", to: n("4.01"), want: "E identity-D /output/setlinfo/fund_pay_sumamt"},
		{name: "D with a null is not judged", c: c, infno: "2207", text: settled, path: "setlinfo/hifob_pay", to: nil},
		{name: "D with hifdm_pay", c: c, infno: "2207", text: settled, path: "setlinfo/hifdm_pay", to: n("0.01"), want: "E identity-D /output/setlinfo/fund_pay_sumamt"},
		{name: "D with hifdm_pay zero", c: c, infno: "2207", text: settled, path: "setlinfo/hifdm_pay", to: n("0")},
		{name: "D with hifdm_pay null", c: c, infno: "2207", text: settled, path: "setlinfo/hifdm_pay", to: nil},
		{name: "J by one fen", c: c, infno: "2207", text: settled, path: "setldetail/1/fund_payamt", to: n("15.01"), want: "W identity-J /output/setldetail"},
		{name: "J with a null is not judged", c: c, infno: "2207", text: settled, path: "setldetail/1/fund_payamt", to: nil},
		{name: "J without rows is not judged", c: c, infno: "2207", text: settled, path: "setldetail", to: drop},
		{name: "J with no rows at all is not judged", c: c, infno: "2207", text: settled, path: "setldetail", to: []any{}},
		{name: "the ratio is no amount", c: c, infno: "2207", text: settled, path: "setlinfo/pool_prop_selfpay", to: n("0.1")},
		{name: "the deductible is no term", c: c, infno: "2207", text: settled, path: "setlinfo/act_pay_dedc", to: n("99")},
		{name: "the balance is no term", c: c, infno: "2207", text: settled, path: "setlinfo/balc", to: n("-1")},
		{name: "no amount", c: c, infno: "2207", text: settled, path: "setlinfo/acct_pay", to: "many", want: "E amount-syntax /output/setlinfo/acct_pay"},
		{name: "parts of a fen", c: c, infno: "2207", text: settled, path: "setlinfo/acct_pay", to: n("15.001"), want: "E amount-syntax /output/setlinfo/acct_pay"},
		{name: "amounts of another transaction", c: c, infno: "1101", text: settled, path: "setlinfo/acct_pay", to: n("1")},

		{name: "E holds", c: inside, infno: "2207", text: settledInside},
		{name: "E is not C", c: c, infno: "2207", text: settledInside,
			want: "E identity-C /output/setlinfo/medfee_sumamt\nE identity-D /output/setlinfo/fund_pay_sumamt\nW identity-J /output/setldetail"},
		{name: "C is not E", c: inside, infno: "2207", text: settled, want: "E identity-E /output/setlinfo/medfee_sumamt"},
		{name: "E by one fen", c: inside, infno: "2207", text: settledInside, path: "setlinfo/psn_cash_pay", to: n("25.01"),
			want: "E identity-B /output/setlinfo/psn_part_amt\nE identity-E /output/setlinfo/medfee_sumamt"},
		{name: "E with a null is not judged", c: inside, infno: "2207", text: settledInside, path: "setlinfo/fund_pay_sumamt", to: nil},

		{name: "undo holds", c: c, infno: "2208", text: undone},
		{name: "undo with a positive amount", c: c, infno: "2305", text: undone, path: "setlinfo/act_pay_dedc", to: n("0.01"), want: "E identity-K /output/setlinfo/act_pay_dedc"},
		{name: "A in an undo", c: c, infno: "2208", text: undone, path: "setlinfo/fulamt_ownpay_amt", to: n("-5.01"), want: "E identity-A /output/setlinfo/medfee_sumamt"},
		{name: "C in an undo, hospital's part from 999997", c: c, infno: "2208", text: undone, path: "setlinfo/psn_part_amt", to: n("-35")},
		{name: "C in an undo by one fen", c: c, infno: "2208", text: undone, path: "setldetail/2/fund_payamt", to: n("-5.01"), want: ""},
		{name: "a settlement is no undo", c: c, infno: "2207", text: undone},
	} {
		out := decode(t, k.text)
		if k.path != "" {
			set(t, out, k.path, k.to)
		}
		if got := short(k.c.Amounts(k.infno, out)); got != k.want {
			t.Errorf("%s:\n got %s\nwant %s", k.name, got, k.want)
		}
		if got := short(k.c.Reply(k.infno, out)); got != k.want {
			t.Errorf("%s, as a reply:\n got %s\nwant %s", k.name, got, k.want)
		}
	}
}

// The personal amounts go by two names; an undo of the pharmacy has the other ones.
func TestOtherNames(t *testing.T) {
	c, _ := newChecker(t, Options{})
	text := strings.NewReplacer("psn_part_amt", "psn_pay", "psn_cash_pay", "cash_payamt").Replace(undone)
	text = strings.Replace(text, `"psn_pay":null`, `"psn_pay":-35`, 1)
	out := decode(t, text)
	if got := short(c.Amounts("2103", out)); got != "" {
		t.Errorf("2103: %s", got)
	}
	set(t, out, "setlinfo/cash_payamt", json.Number("-20.01"))
	if got := short(c.Amounts("2103", out)); got != "E identity-B /output/setlinfo/psn_pay" {
		t.Errorf("2103 by one fen: %s", got)
	}
	set(t, out, "setlinfo/cash_payamt", json.Number("0.01"))
	if got := short(c.Amounts("2103", out)); !strings.Contains(got, "E identity-K /output/setlinfo/cash_payamt") {
		t.Errorf("2103 positive: %s", got)
	}
}

// Two rows that could both be the hospital's part, with different amounts, say nothing.
func TestAmbiguousHospitalPart(t *testing.T) {
	c, _ := newChecker(t, Options{})
	out := decode(t, settled)
	set(t, out, "setlinfo/hosp_part_amt", nil)
	rows := out.(map[string]any)["setldetail"].([]any)
	out.(map[string]any)["setldetail"] = append(rows, map[string]any{"fund_pay_type": "999997", "fund_payamt": json.Number("7")})
	if got := short(c.Amounts("2207", out)); got != "" {
		t.Errorf("judged all the same: %s", got)
	}
}

func TestRowIdentity(t *testing.T) {
	c, _ := newChecker(t, Options{})
	row := func(own string) string {
		return `{"det_item_fee_sumamt":10.00,"fulamt_ownpay_amt":` + own + `,"overlmt_amt":0,"preselfpay_amt":1,"inscp_scp_amt":7,"pric_uplmt_amt":9.99999E12}`
	}
	for own, want := range map[string]string{"2": "", "2.01": "W identity-row /output/result/1/det_item_fee_sumamt", "null": ""} {
		out := decode(t, `{"result":[`+row("2")+","+row(own)+`]}`)
		if got := short(c.Reply("2204", out)); got != want {
			t.Errorf("%s: %s", own, got)
		}
	}
	single := decode(t, `{"result":`+row("2.01")+`}`)
	if got := short(c.Reply("2301", single)); got != "W identity-row /output/result/det_item_fee_sumamt" {
		t.Errorf("a single row: %s", got)
	}
	top := decode(t, `[`+row("2.01")+`]`)
	if got := short(c.Reply("5204", top)); got != "W identity-row /output/0/det_item_fee_sumamt" {
		t.Errorf("rows that are the output: %s", got)
	}
}

func TestRepliesAreReadLoosely(t *testing.T) {
	c, _ := newChecker(t, Options{})
	for _, k := range []struct {
		n          ident.Infno
		text, want string
	}{
		{"1101", `null`, ""},
		{"1101", `{}`, ""},
		{"1101", `""`, ""},
		{"1101", `{"baseinfo":null,"insuinfo":null,"idetinfo":[]}`, ""},
		{"1101", `{"baseinfo":{"psn_no":123,"age":"30.5","brdy":"whenever","unknown":{"x":[1]}},"more":1}`, ""},
		{"1101", `{"insuinfo":{"balc":"1"}}`, ""}, // one object where a list is usual
		{"1101", `{"insuinfo":""}`, ""},
		{"1101", `{"insuinfo":[{"balc":1e2}]}`, ""},
		{"1101", `{"insuinfo":[null]}`, ""},
		{"1101", `{"baseinfo":{"exp_content":{"any":"thing"}}}`, ""},
		{"1101", `{"baseinfo":{"psn_no":{}}}`, "E field-type /output/baseinfo/psn_no"},
		{"1101", `{"baseinfo":[{}]}`, "E node-type /output/baseinfo"},
		{"1101", `{"baseinfo":"x"}`, "E node-type /output/baseinfo"},
		{"1101", `{"insuinfo":[{"balc":[1]}]}`, "E field-type /output/insuinfo/0/balc"},
		{"1101", `{"insuinfo":["x",{}]}`, "E node-type /output/insuinfo/0"},
		{"1101", `{"insuinfo":"x"}`, "E node-type /output/insuinfo"},
		{"1101", `[]`, "E node-type /output"},
		{"1101", `"<html>"`, "E node-type /output"},
		{"5204", `[{"cnt":"1"},{"cnt":{}}]`, "E field-type /output/1/cnt"},
		{"5204", `{"feedetail":[1]}`, ""},
		{"5204", `7`, "E node-type /output"},
		{"2205", `{"anything":1}`, ""},
		{"2207B", `{"setlinfo":7}`, ""},
		{"0000", `{}`, "E infno-unknown /output"},
	} {
		if got := short(c.Reply(k.n, decode(t, k.text))); got != k.want {
			t.Errorf("%s %s:\n got %s\nwant %s", k.n, k.text, got, k.want)
		}
	}
}

func TestIdentitiesNameRealMembers(t *testing.T) {
	c, cat := newChecker(t, Options{})
	s := c.identities.Settlement
	names := map[string]bool{}
	for _, r := range s.Identities {
		names[r.Left] = true
		for _, right := range r.Right {
			for _, m := range right {
				names[strings.Trim(m, "[]")] = true
			}
		}
	}
	for _, m := range s.Undo.Members {
		names[m] = true
	}
	for m := range names {
		found := false
		for _, n := range s.Infnos {
			x, ok := cat.Lookup(n)
			if !ok {
				t.Fatalf("no %s", n)
			}
			node, ok := x.Node("output", s.Node)
			if !ok {
				t.Fatalf("%s has no %s", n, s.Node)
			}
			if _, ok := node.Field(m); ok {
				found = true
			}
		}
		if !found {
			t.Errorf("no settlement has %s", m)
		}
	}
	for _, r := range c.identities.Rows {
		for _, n := range r.Infnos {
			x, _ := cat.Lookup(n)
			node, ok := x.Node("output", r.Node)
			if !ok {
				t.Fatalf("%s has no %q", n, r.Node)
			}
			for _, m := range append([]string{r.Left}, r.Right[0]...) {
				if _, ok := node.Field(m); !ok {
					t.Errorf("%s %s has no %s", n, r.Node, m)
				}
			}
		}
	}
	for _, bad := range []string{`{`, `{"x":1}`, `{"rows":[{"id":"x"}]}`, fmt.Sprintf(`{"rows":[{"id":"x","severity":"error","left":"a","right":[["b"]],"when":%q}]}`, "never"), `{}`} {
		if _, err := loadIdentities([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", bad)
		}
	}
}
