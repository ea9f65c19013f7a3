package centre

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"yiqiao/schemas/money"
	"yiqiao/schemas/wire"
	"yiqiao/simulator/people"
)

// The worked bills of docs/simulated-policy.md, through the whole ladder.
func TestWorkedBills(t *testing.T) {
	cases := []struct {
		psn                                     string
		dedc, fund, personal, account, cash, bl money.Fen
	}{
		{people.Active, 200_00, 88_21, 391_33, 355_83, 35_50, 644_17},
		{people.Retired, 100_00, 160_56, 318_98, 283_48, 35_50, 2216_52},
		{people.Resident, 100_00, 98_80, 380_74, 0, 380_74, 0},
		{people.Servant, 200_00, 117_61, 361_93, 326_43, 35_50, 473_57},
		{people.Heavy, 0, 176_57, 302_97, 267_47, 35_50, 32_53},
		{people.Poor, 200_00, 88_21, 391_33, 3_50, 387_83, 0},
		{people.Elsewhere, 200_00, 73_51, 406_03, 370_53, 35_50, 229_47},
	}
	for _, k := range cases {
		p := someone(t, k.psn)
		t.Run(p.Name, func(t *testing.T) {
			d := newDesk(t, Options{})
			visit := d.open(p)
			trial := d.ladder(p, visit, "B1", standardBill())
			msgid := d.msgid()
			r := d.sendAs("2207", msgid, p.Area, settleInput(p, visit, "B1", trial))
			if !r.OK() {
				t.Fatal(r.ErrMsg)
			}
			out, _ := r.Output.(object)
			identities(t, trial, false, false)
			identities(t, out, false, false)
			for _, o := range []object{trial, out} {
				s := node(o, "setlinfo")
				got := [...]money.Fen{fen(t, s, "medfee_sumamt"), fen(t, s, "act_pay_dedc"), fen(t, s, "fund_pay_sumamt"),
					fen(t, s, "psn_part_amt"), fen(t, s, "acct_pay"), fen(t, s, "psn_cash_pay"), fen(t, s, "balc")}
				if want := [...]money.Fen{479_54, k.dedc, k.fund, k.personal, k.account, k.cash, k.bl}; got != want {
					t.Errorf("got %v, want %v", got, want)
				}
			}
			s := node(out, "setlinfo")
			if text(s, "medins_setl_id") != msgid {
				t.Errorf("M: medins_setl_id %s", text(s, "medins_setl_id"))
			}
			if len(text(s, "setl_id")) != 30 || text(s, "setl_time") != "2025-06-18 12:00:00" {
				t.Errorf("setl_id %q at %q", text(s, "setl_id"), text(s, "setl_time"))
			}
			if b, ok := d.c.Balance(p.No); !ok || b != k.bl {
				t.Errorf("account holds %s", b)
			}
			if err := d.c.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTrialBooksNothing(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Active)
	visit := d.open(p)
	d.must(p, "2204", feeInput(t, p, visit, "B1", standardBill()...))
	before := d.c.Digest()
	for _, infno := range []string{"2206", "2206A"} {
		out := d.must(p, infno, trialInput(p, visit, "B1", 479_54))
		s := node(out, "setlinfo")
		if s["setl_id"] != nil {
			t.Errorf("%s gave a setl_id", infno)
		}
		for _, m := range []string{"setl_time", "clr_optins", "clr_way"} {
			if v, there := s[m]; !there || v != nil {
				t.Errorf("L: %s %s is %v", infno, m, v)
			}
		}
	}
	if d.c.Digest() != before {
		t.Error("a trial changed something")
	}
}

func TestFeeAnswer(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Active)
	visit := d.open(p)
	bill := append(standardBill(), fee{"6", "NO-SUCH", "1.5", "2.01"}, fee{"7", "XZ99AAA009A001010100001", "1", "0.000001"})
	out := d.must(p, "2204", feeInput(t, p, visit, "B1", bill...))
	list := rows(out, "result")
	if len(list) != len(bill) {
		t.Fatalf("%d rows answered", len(list))
	}
	for i, r := range list {
		sum := fen(t, r, "fulamt_ownpay_amt") + fen(t, r, "overlmt_amt") + fen(t, r, "preselfpay_amt") + fen(t, r, "inscp_scp_amt")
		if sum != fen(t, r, "det_item_fee_sumamt") || text(r, "feedetl_sn") != bill[i].sn {
			t.Errorf("row %d: %v", i, r)
		}
	}
	if got := text(list[5], "chrgitm_lv"); got != "03" || fen(t, list[5], "fulamt_ownpay_amt") != 3_02 {
		t.Errorf("unknown item: class %s %v", got, list[5])
	}
	if got := text(list[6], "pric_uplmt_amt"); !strings.Contains(got, "E") {
		t.Errorf("no price limit written %s", got)
	}
}

func TestReplyLooksReal(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Active)
	in := object{"data": object{"mdtrt_cert_type": "03", "mdtrt_cert_no": p.Card, "card_sn": p.CardSN}}
	body, err := wire.EncodeRequest(d.request("1101", d.msgid(), "", in))
	if err != nil {
		t.Fatal(err)
	}
	w := d.post(body)
	var outer struct {
		InfCode json.RawMessage `json:"infcode"`
		Ref     string          `json:"inf_refmsgid"`
		At      string          `json:"refmsg_time"`
		Until   string          `json:"respond_time"`
		Output  struct {
			Insured []object `json:"insuinfo"`
		} `json:"output"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &outer); err != nil {
		t.Fatal(err)
	}
	if string(outer.InfCode) != "0" {
		t.Errorf("infcode %s, a number is wanted", outer.InfCode)
	}
	if len(outer.Ref) != 30 || !strings.HasPrefix(outer.Ref, "44010020250618120000") {
		t.Errorf("inf_refmsgid %s", outer.Ref)
	}
	if outer.At != "20250618120000000" || outer.Until != outer.At {
		t.Errorf("times %s %s", outer.At, outer.Until)
	}
	if len(outer.Output.Insured) != 1 || outer.Output.Insured[0]["insuplc_admdvs"] != "440100" {
		t.Errorf("insurance %v", outer.Output.Insured)
	}
}

func TestIdentify(t *testing.T) {
	d := newDesk(t, Options{})
	for _, p := range people.Fixed() {
		for _, cert := range []object{
			{"mdtrt_cert_type": "01", "mdtrt_cert_no": p.Token},
			{"mdtrt_cert_type": "02", "mdtrt_cert_no": p.Cert, "certno": p.Cert, "psn_name": p.Name},
			{"mdtrt_cert_type": "03", "mdtrt_cert_no": p.Card, "card_sn": p.CardSN},
		} {
			r := d.sendAs("1101", d.msgid(), "", object{"data": cert})
			if p.No == people.Uninsured {
				if r.OK() || r.ErrMsg != "参保信息为空" {
					t.Errorf("%s: %q", p.Name, r.ErrMsg)
				}
				continue
			}
			out, _ := r.Output.(object)
			if !r.OK() || text(node(out, "baseinfo"), "psn_no") != p.No || len(rows(out, "insuinfo")) != len(p.Insurances) {
				t.Errorf("%s: %s %v", p.Name, r.ErrMsg, out)
			}
		}
	}
	for _, cert := range []object{
		{"mdtrt_cert_type": "02", "mdtrt_cert_no": "999999000000000000"},
		{"mdtrt_cert_type": "03", "mdtrt_cert_no": "T99900001"},
		{"mdtrt_cert_type": "03", "mdtrt_cert_no": "T99900001", "card_sn": "x"},
		{"mdtrt_cert_type": "09", "mdtrt_cert_no": "T99900001"},
		{"mdtrt_cert_type": "02", "mdtrt_cert_no": "999999198503120018", "psn_name": "别人"},
	} {
		if r := d.sendAs("1101", d.msgid(), "", object{"data": cert}); r.OK() {
			t.Errorf("%v was found", cert)
		}
	}
}

func TestUndoAndSettleAgain(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Servant)
	visit := d.open(p)
	money0 := d.c.MoneyDigest()
	_, out := d.settled(p, visit, "B1", standardBill())
	setl := text(node(out, "setlinfo"), "setl_id")
	undo := d.must(p, "2208", undoInput(p, visit, setl))
	identities(t, undo, false, true)
	u := node(undo, "setlinfo")
	if id := text(u, "setl_id"); id == setl || id == "" {
		t.Errorf("the undo has setl_id %q", id)
	}
	if fen(t, u, "medfee_sumamt") != -479_54 || fen(t, u, "act_pay_dedc") != -200_00 || fen(t, u, "pdn_cash_pay") != -35_50 || fen(t, u, "balc") != 800_00 {
		t.Errorf("undo %v", u)
	}
	if d.c.MoneyDigest() != money0 {
		t.Error("the undo left a trace in accounts or accumulators")
	}
	if r := d.send(p, "2208", undoInput(p, visit, setl)); r.OK() || !strings.Contains(r.ErrMsg, "该笔结算已撤销") {
		t.Errorf("second undo: %q", r.ErrMsg)
	}
	if r := d.send(p, "2208", undoInput(p, visit, text(u, "setl_id"))); r.OK() {
		t.Error("an undo was undone")
	}
	// The rows are free again: settle once more under the same batch, undo, drop, sign off.
	trial := d.must(p, "2206", trialInput(p, visit, "B1", 479_54))
	out = d.must(p, "2207", settleInput(p, visit, "B1", trial))
	d.must(p, "2208", undoInput(p, visit, text(node(out, "setlinfo"), "setl_id")))
	d.must(p, "2205", object{"data": object{"mdtrt_id": visit, "chrg_bchno": "B1", "psn_no": p.No}})
	if r := d.send(p, "2205", object{"data": object{"mdtrt_id": visit, "chrg_bchno": "0000", "psn_no": p.No}}); r.OK() || r.ErrMsg != "未查询到任何有效相关的记录" {
		t.Errorf("nothing left to drop: %q", r.ErrMsg)
	}
	if err := d.c.Check(); err != nil {
		t.Error(err)
	}
	if n := len(d.c.Settlements()); n != 4 {
		t.Errorf("%d settlements listed", n)
	}
}

func TestDropAllAndUnregister(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Resident)
	out := d.must(p, "2201", registration(p, "OTP7"))
	visit := text(node(out, "data"), "mdtrt_id")
	d.must(p, "2203A", visitInput(p, visit, "11"))
	d.must(p, "2204", feeInput(t, p, visit, "B1", standardBill()[:2]...))
	d.must(p, "2204", feeInput(t, p, visit, "B2", standardBill()[2:]...))
	off := object{"data": object{"psn_no": p.No, "mdtrt_id": visit, "ipt_otp_no": "OTP7"}}
	if r := d.send(p, "2202", off); r.OK() {
		t.Error("a visit with fee rows was cancelled")
	}
	d.must(p, "2205", object{"data": object{"mdtrt_id": visit, "chrg_bchno": "0000", "psn_no": p.No}})
	d.must(p, "2204", feeInput(t, p, visit, "B1", standardBill()...)) // serials may be used again after 2205
	d.must(p, "2205", object{"data": object{"mdtrt_id": visit, "chrg_bchno": "B1", "psn_no": p.No}})
	d.must(p, "2202", off)
	if r := d.send(p, "2202", off); r.OK() {
		t.Error("a visit was cancelled twice")
	}
}

func TestFundIncludesAccount(t *testing.T) {
	d, p := newDesk(t, Options{Region: Region{FundIncludesAccount: true}}), someone(t, people.Active)
	visit := d.open(p)
	_, out := d.settled(p, visit, "B1", standardBill())
	identities(t, out, true, false)
	s := node(out, "setlinfo")
	if got := fen(t, s, "fund_pay_sumamt"); got != 88_21+355_83 {
		t.Errorf("fund_pay_sumamt %s", got)
	}
	identities(t, d.must(p, "2208", undoInput(p, visit, text(s, "setl_id"))), true, true)
}

func TestQueries(t *testing.T) {
	d, p := newDesk(t, Options{Region: Region{AskByVisit: true}}), someone(t, people.Active)
	empty := d.must(p, "2201", registration(p, "OTP-E"))
	emptyID := text(node(empty, "data"), "mdtrt_id")
	visit := d.open(p)
	ask := object{"data": object{"psn_no": p.No, "mdtrt_id": visit}}
	if out := d.must(p, "5203", ask); out["setlinfo"] != nil {
		t.Errorf("a settlement before there is one: %v", out)
	}
	msgid, settled := d.settled(p, visit, "B1", standardBill())
	setl := text(node(settled, "setlinfo"), "setl_id")
	out := d.must(p, "5203", ask)
	if s := node(out, "setlinfo"); text(s, "medins_setl_id") != msgid || text(s, "refd_setl_flag") != "0" || fen(t, s, "cash_payamt") != 35_50 {
		t.Errorf("by visit: %v", s)
	}
	r := d.send(p, "5204", object{"data": object{"psn_no": p.No, "setl_id": setl, "mdtrt_id": visit}})
	list, ok := r.Output.([]any)
	if !r.OK() || !ok || len(list) != 5 {
		t.Fatalf("5204: %s %v", r.ErrMsg, r.Output)
	}
	var total money.Fen
	for _, v := range list {
		row, _ := v.(object)
		total += fen(t, row, "det_item_fee_sumamt")
		if text(row, "setl_id") != setl {
			t.Errorf("row without its settlement: %v", row)
		}
	}
	if total != 479_54 {
		t.Errorf("rows add up to %s", total)
	}
	d.must(p, "2208", undoInput(p, visit, setl))
	out = d.must(p, "5203", object{"data": object{"psn_no": p.No, "setl_id": setl, "mdtrt_id": visit}})
	if s := node(out, "setlinfo"); text(s, "refd_setl_flag") != "1" || fen(t, s, "medfee_sumamt") != 479_54 {
		t.Errorf("undone: %v", s)
	}
	if both := rows(d.must(p, "5203", ask), "setlinfo"); len(both) != 2 || fen(t, both[1], "medfee_sumamt") != -479_54 {
		t.Errorf("by visit after the undo: %v", both)
	}
	visits := func(from, to, med string) []object {
		return rows(d.must(p, "5201", object{"data": object{"psn_no": p.No, "begntime": from, "endtime": to, "med_type": med}}), "mdtrtinfo")
	}
	if got := visits("2025-06-18 00:00:00", "2025-06-18 23:59:59", "11"); len(got) != 2 || text(got[0], "mdtrt_id") != emptyID || text(got[0], "ipt_otp_no") != "OTP-E" {
		t.Errorf("5201: %v", got)
	}
	if got := visits("2025-06-18 00:00:00", "2025-06-18 23:59:59", "14"); len(got) != 1 {
		t.Errorf("5201 for another category: %d", len(got))
	}
	if got := visits("2025-06-19 00:00:00", "2025-06-20 00:00:00", "11"); len(got) != 0 {
		t.Errorf("5201 for another day: %d", len(got))
	}
	other := newDesk(t, Options{})
	v2 := other.open(p)
	if r := other.send(p, "5203", object{"data": object{"psn_no": p.No, "mdtrt_id": v2}}); r.OK() {
		t.Error("5203 without setl_id answered where the region does not")
	}
}

func TestSignIn(t *testing.T) {
	at := noon()
	d := newDesk(t, Options{Now: func() time.Time { return at }, Region: Region{RequireSign: true, SignLife: time.Hour}})
	p := someone(t, people.Active)
	cert := object{"data": object{"mdtrt_cert_type": "02", "mdtrt_cert_no": p.Cert}}
	if r := d.send(p, "1101", cert); r.OK() {
		t.Error("answered without a sign_no")
	}
	in := object{"signIn": object{"opter_no": "op1", "mac": "00-00", "ip": "10.0.0.1"}}
	d.sign = text(node(d.must(p, "9001", in), "signinoutb"), "sign_no")
	d.must(p, "1101", cert)
	old := d.sign
	d.sign = text(node(d.must(p, "9001", in), "signinoutb"), "sign_no")
	d.must(p, "1101", cert)
	fresh := d.sign
	d.sign = old
	if r := d.send(p, "1101", cert); r.OK() {
		t.Error("a replaced sign_no is still good")
	}
	d.sign = fresh
	at = at.Add(time.Hour + time.Second)
	if r := d.send(p, "1101", cert); r.OK() || !strings.Contains(r.ErrMsg, "过期") {
		t.Errorf("an old sign_no is still good: %q", r.ErrMsg)
	}
	at = noon()
	d.must(p, "9002", object{"signOut": object{"sign_no": fresh, "opter_no": "op1"}})
	if r := d.send(p, "1101", cert); r.OK() {
		t.Error("a sign_no that was signed out is still good")
	}
}
