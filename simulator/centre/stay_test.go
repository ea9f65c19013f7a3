package centre

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"yiqiao/schemas/money"
	"yiqiao/simulator/people"
)

func diagnosis(p people.Person) []any {
	return []any{object{
		"psn_no": p.No, "diag_type": "1", "maindiag_flag": "1", "diag_srt_no": json.Number("1"), "diag_code": "I10.x00",
		"diag_name": "原发性高血压", "diag_dept": "内科", "dise_dor_no": "D01", "dise_dor_name": "测试医师",
		"diag_time": "2025-06-10 09:00:00", "vali_flag": "1",
	}}
}

func admissionInput(p people.Person, ipt string) object {
	return object{"mdtrtinfo": object{
		"psn_no": p.No, "insutype": base(p), "begntime": "2025-06-10 08:30:00", "mdtrt_cert_type": "02", "mdtrt_cert_no": p.Cert,
		"med_type": "21", "ipt_no": ipt, "atddr_no": "D01", "chfpdr_name": "测试医师", "adm_diag_dscr": "高血压", "adm_dept_codg": "K01",
		"adm_dept_name": "内科", "adm_bed": "12", "dscg_maindiag_code": "I10.x00", "dscg_maindiag_name": "原发性高血压",
	}, "diseinfo": diagnosis(p)}
}

func dischargeInput(p people.Person, visit string) object {
	return object{"dscginfo": object{"mdtrt_id": visit, "psn_no": p.No, "insutype": base(p), "endtime": "2025-06-18 10:00:00",
		"dscg_dept_codg": "K01", "dscg_dept_name": "内科", "dscg_way": "1"}, "diseinfo": diagnosis(p)}
}

func changeInput(p people.Person, visit string) object {
	in := node(admissionInput(p, "x"), "mdtrtinfo")
	delete(in, "ipt_no")
	in["mdtrt_id"], in["ipt_otp_no"], in["adm_bed"] = visit, "ZY-NEW", "77"
	return object{"adminfo": in, "diseinfo": diagnosis(p)}
}

func (f fee) stay(t testing.TB, p people.Person, visit string) object {
	o := f.object(t, p, visit, "")
	for _, m := range []string{"chrg_bchno", "rxno", "rx_circ_flag"} {
		delete(o, m)
	}
	o["med_type"], o["drord_no"] = "21", "Y1"
	return o
}

// refund takes quantity of a fee back.
func (f fee) refund(t testing.TB, p people.Person, visit, sn, quantity string) object {
	back := fee{sn, f.code, quantity, f.price}
	o := back.stay(t, p, visit)
	o["init_feedetl_sn"], o["cnt"] = f.sn, json.Number("-"+quantity)
	o["det_item_fee_sumamt"] = money.Number(-back.sum(t))
	return o
}

func stayFees(t testing.TB, p people.Person, visit string, list ...fee) object {
	out := []any{}
	for _, f := range list {
		out = append(out, f.stay(t, p, visit))
	}
	return object{"feedetail": out}
}

// longBill is the stay of section 8 of docs/simulated-policy.md but its refund.
func longBill() []fee {
	return []fee{
		{"1", "009913000010000-990100013", "10", "8"},
		{"2", "XZ99AAA011A001010100001", "20", "3.2"},
		{"3", "XZ99AAA006A001010100001", "12", "45.678"},
		{"4", "009906000010000-990100006", "2", "260"},
		{"5", "009914000010000-990100014", "5", "400"},
		{"6", "C9901010010000999003", "5", "150"},
		{"7", "C9901010010000999004", "3", "99.99"},
	}
}

func stayKey(p people.Person, visit, sn string) object {
	return object{"mdtrt_id": visit, "psn_no": p.No, "feedetl_sn": sn}
}

// stayDue adds up what the centre has of a stay, from 5204.
func (d *desk) stayDue(p people.Person, visit string) object {
	d.t.Helper()
	r := d.send(p, "5204", object{"data": object{"psn_no": p.No, "mdtrt_id": visit}})
	list, ok := r.Output.([]any)
	if !ok {
		d.t.Fatalf("5204: %s", r.ErrMsg)
	}
	var total, own, over, pre, scope money.Fen
	for _, v := range list {
		o, _ := v.(object)
		if o["setl_id"] != nil {
			continue
		}
		total, own, over = total+fen(d.t, o, "det_item_fee_sumamt"), own+fen(d.t, o, "fulamt_ownpay_amt"), over+fen(d.t, o, "overlmt_amt")
		pre, scope = pre+fen(d.t, o, "preselfpay_amt"), scope+fen(d.t, o, "inscp_scp_amt")
	}
	return object{"data": object{
		"psn_no": p.No, "mdtrt_cert_type": "02", "mdtrt_cert_no": p.Cert, "psn_setlway": "01", "mdtrt_id": visit, "acct_used_flag": "1",
		"insutype": base(p), "mid_setl_flag": "0", "medfee_sumamt": money.Number(total), "fulamt_ownpay_amt": money.Number(own),
		"overlmt_selfpay": money.Number(over), "preselfpay_amt": money.Number(pre), "inscp_scp_amt": money.Number(scope),
	}}
}

func (d *desk) admit(p people.Person, ipt string) string {
	d.t.Helper()
	return text(node(d.must(p, "2401", admissionInput(p, ipt)), "result"), "mdtrt_id")
}

func idOf(p people.Person, visit string) object {
	return object{"data": object{"mdtrt_id": visit, "psn_no": p.No}}
}

// lyingIn has a stay with the rows of the worked bill and its refund, discharged.
func lyingIn(d *desk, p people.Person) string {
	d.t.Helper()
	visit := d.admit(p, "ZY001")
	d.must(p, "2301", stayFees(d.t, p, visit, longBill()...))
	d.must(p, "2301", object{"feedetail": []any{longBill()[0].refund(d.t, p, visit, "8", "2")}})
	d.must(p, "2402", dischargeInput(p, visit))
	return visit
}

func TestWorkedStay(t *testing.T) {
	for _, k := range []struct {
		psn                                         string
		dedc, fund, personal, account, cash, balanc money.Fen
	}{
		{people.Active, 800_00, 2396_15, 1849_96, 1000_00, 849_96, 0},
		{people.Retired, 600_00, 2686_91, 1559_20, 1259_23, 299_97, 1240_77},
		{people.Resident, 1000_00, 1702_35, 2543_76, 0, 2543_76, 0},
		{people.Servant, 800_00, 2607_58, 1638_53, 800_00, 838_53, 0},
		{people.Aided, 1000_00, 3044_01, 1202_10, 0, 1202_10, 0},
		{people.Elsewhere, 800_00, 2114_25, 2131_86, 600_00, 1531_86, 0},
	} {
		p := someone(t, k.psn)
		t.Run(p.Name, func(t *testing.T) {
			d := newDesk(t, Options{Region: Region{AskByVisit: true}})
			before := d.c.MoneyDigest()
			visit := lyingIn(d, p)
			in := d.stayDue(p, visit)
			trial := d.must(p, "2303", in)
			if s := node(trial, "setlinfo"); s["setl_id"] != nil || s["setl_time"] != nil || text(s, "clr_type") != "21" {
				t.Errorf("L: %v", s)
			}
			id := d.msgid()
			a := d.sendAs("2304", id, p.Area, in)
			if !a.OK() {
				t.Fatal(a.ErrMsg)
			}
			out, _ := a.Output.(object)
			for _, o := range []object{trial, out} {
				identities(t, o, false, false)
				s := node(o, "setlinfo")
				got := [...]money.Fen{fen(t, s, "medfee_sumamt"), fen(t, s, "act_pay_dedc"), fen(t, s, "fund_pay_sumamt"),
					fen(t, s, "psn_part_amt"), fen(t, s, "acct_pay"), fen(t, s, "psn_cash_pay"), fen(t, s, "balc")}
				if want := [...]money.Fen{4246_11, k.dedc, k.fund, k.personal, k.account, k.cash, k.balanc}; got != want {
					t.Errorf("got %v, want %v", got, want)
				}
			}
			s := node(out, "setlinfo")
			asked := node(d.must(p, "5203", object{"data": object{"psn_no": p.No, "mdtrt_id": visit}}), "setlinfo")
			if text(s, "medins_setl_id") != id || text(asked, "medins_setl_id") != id || text(asked, "setl_id") != text(s, "setl_id") {
				t.Errorf("M: %v %v", s, asked)
			}
			if text(asked, "begndate") != "2025-06-10" || text(asked, "clr_type") != "21" || text(asked, "med_type") != "21" {
				t.Errorf("5203: %v", asked)
			}
			undo := d.must(p, "2305", undoInput(p, visit, text(s, "setl_id")))
			identities(t, undo, false, true)
			if _, there := node(undo, "setlinfo")["pdn_cash_pay"]; there {
				t.Error("2305 has no pdn_cash_pay")
			}
			if d.c.MoneyDigest() != before {
				t.Error("the undo left a trace")
			}
			// All the way back.
			d.must(p, "2405", idOf(p, visit))
			d.must(p, "2302", object{"data": []any{stayKey(p, visit, "0000")}})
			d.must(p, "2404", idOf(p, visit))
			if err := d.c.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStayOrder(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Active)
	refused := func(infno string, in object, says string) {
		t.Helper()
		before := d.c.Digest()
		if r := d.send(p, infno, in); r.OK() || !strings.Contains(r.ErrMsg, says) {
			t.Errorf("%s: %q does not speak of %q", infno, r.ErrMsg, says)
		}
		if d.c.Digest() != before {
			t.Errorf("%s: the refusal changed something", infno)
		}
	}
	visit := d.admit(p, "ZY1")
	refused("2401", admissionInput(p, "ZY2"), "在院")
	refused("2405", idOf(p, visit), "未办理出院")
	refused("2302", object{"data": []any{stayKey(p, visit, "0000")}}, "未查询到任何有效相关的记录")
	refused("2204", feeInput(t, p, visit, "B", standardBill()...), "就诊信息")
	d.must(p, "2403", changeInput(p, visit))
	d.must(p, "2301", stayFees(t, p, visit, longBill()...))
	refused("2301", stayFees(t, p, visit, longBill()[0]), "重复")
	refused("2404", idOf(p, visit), "费用明细")
	refused("2304", d.stayDue(p, visit), "未办理出院")
	mid := func() object { return with(d.stayDue(p, visit), "data", "mid_setl_flag", "1") }
	refused("2304", with(mid(), "data", "medfee_sumamt", json.Number("1.00")), "不一致")
	refused("2304", with(mid(), "data", "inscp_scp_amt", json.Number("1.00")), "inscp_scp_amt")
	refused("2304", with(mid(), "data", "mid_setl_flag", "7"), "中途结算标志")
	d.must(p, "2304", without(without(mid(), "data", "inscp_scp_amt"), "data", "overlmt_selfpay"))
	refused("2304", mid(), "未结算的费用明细")
	one := fee{"m1", "009911000010000-990100011", "2", "55"}
	d.must(p, "2301", stayFees(t, p, visit, one))
	refused("2302", object{"data": []any{stayKey(p, visit, "1")}}, "已结算")
	refused("2301", object{"feedetail": []any{longBill()[0].refund(t, p, visit, "r0", "1")}}, "已结算")
	refused("2402", with(dischargeInput(p, visit), "dscginfo", "endtime", "2025-06-01 00:00:00"), "早于")
	refused("2402", with(dischargeInput(p, visit), "diseinfo", "vali_flag", "0"), "诊断")
	d.must(p, "2402", dischargeInput(p, visit))
	refused("2402", dischargeInput(p, visit), "已办理出院")
	refused("2403", changeInput(p, visit), "已办理出院")
	refused("2404", idOf(p, visit), "先撤销出院")
	refused("2304", mid(), "中途结算")
	d.must(p, "2303", d.stayDue(p, visit))
	out := node(d.must(p, "2304A", d.stayDue(p, visit)), "setlinfo")
	if got := fen(t, out, "act_pay_dedc"); got != 0 {
		t.Errorf("the deductible of one stay was charged twice: %s", got)
	}
	refused("2301", stayFees(t, p, visit, fee{"late", "T990000001", "1", "1"}), "已出院结算")
	refused("2405", idOf(p, visit), "先撤销结算")
	refused("2208", undoInput(p, visit, text(out, "setl_id")), "结算信息")
	d.must(p, "2305", undoInput(p, visit, text(out, "setl_id")))
	refused("2305", undoInput(p, visit, text(out, "setl_id")), "已撤销")
	d.must(p, "2405", idOf(p, visit))
	next := newDesk(t, Options{Region: Region{SettleBeforeDischarge: true}})
	visit = next.admit(p, "ZY1")
	next.must(p, "2301", stayFees(t, p, visit, one))
	next.must(p, "2304", next.stayDue(p, visit))
	if err := d.c.Check(); err != nil {
		t.Error(err)
	}
}

func TestSecondStayPaysHalfTheDeductible(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Retired)
	first := lyingIn(d, p)
	a := node(d.must(p, "2304", d.stayDue(p, first)), "setlinfo")
	second := lyingIn(d, p)
	in := d.stayDue(p, second)
	if got := fen(t, node(d.must(p, "2303", in), "setlinfo"), "act_pay_dedc"); got != 300_00 {
		t.Errorf("second stay: %s", got)
	}
	d.must(p, "2305", undoInput(p, first, text(a, "setl_id")))
	if got := fen(t, node(d.must(p, "2303", in), "setlinfo"), "act_pay_dedc"); got != 600_00 {
		t.Errorf("after the first was undone: %s", got)
	}
}

func TestRefundRows(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Servant)
	visit := d.admit(p, "ZY1")
	f := fee{"a", "XZ99AAA006A001010100001", "3", "45.678"}
	d.must(p, "2301", stayFees(t, p, visit, f))
	row := func(change func(object)) object {
		o := f.refund(t, p, visit, "r", "1")
		change(o)
		return object{"feedetail": []any{o}}
	}
	for name, in := range map[string]object{
		"no origin":       row(func(o object) { delete(o, "init_feedetl_sn") }),
		"unknown origin":  row(func(o object) { o["init_feedetl_sn"] = "zz" }),
		"another item":    row(func(o object) { o["med_list_codg"] = "T990000001" }),
		"another price":   row(func(o object) { o["pric"] = json.Number("45.67") }),
		"another amount":  row(func(o object) { o["det_item_fee_sumamt"] = json.Number("-45.67") }),
		"too much":        row(func(o object) { o["cnt"], o["det_item_fee_sumamt"] = json.Number("-4"), json.Number("-182.71") }),
		"a hair too much": row(func(o object) { o["cnt"], o["det_item_fee_sumamt"] = json.Number("-3.0001"), json.Number("-137.04") }),
		"origin of a fee": row(func(o object) { o["cnt"], o["det_item_fee_sumamt"] = json.Number("1"), json.Number("45.68") }),
		"negative price": row(func(o object) {
			o["cnt"], o["pric"] = json.Number("1"), json.Number("-45.678")
			delete(o, "init_feedetl_sn")
		}),
		"another category": row(func(o object) { o["med_type"] = "22" }),
	} {
		before := d.c.Digest()
		if r := d.send(p, "2301", in); r.OK() || d.c.Digest() != before {
			t.Errorf("%s: accepted", name)
		}
	}
	out := d.must(p, "2301", object{"feedetail": []any{f.refund(t, p, visit, "r1", "1"), f.refund(t, p, visit, "r2", "2")}})
	var sum money.Fen
	for _, r := range rows(out, "result") {
		if fen(t, r, "fulamt_ownpay_amt")+fen(t, r, "overlmt_amt")+fen(t, r, "preselfpay_amt")+fen(t, r, "inscp_scp_amt") != fen(t, r, "det_item_fee_sumamt") {
			t.Errorf("row %v", r)
		}
		sum += fen(t, r, "det_item_fee_sumamt")
	}
	if sum != -137_04 { // 45.68 + 91.36: rounded row by row, one fen more than was charged
		t.Errorf("refunds add up to %s", sum)
	}
	d.must(p, "2402", dischargeInput(p, visit))
	if r := d.send(p, "2303", d.stayDue(p, visit)); r.OK() || !strings.Contains(r.ErrMsg, "为负") {
		t.Errorf("a bill below zero: %q", r.ErrMsg)
	}
	if r := d.send(p, "2302", object{"data": stayKey(p, visit, "a")}); r.OK() || !strings.Contains(r.ErrMsg, "退费") {
		t.Errorf("a row went without its refunds: %q", r.ErrMsg)
	}
	d.must(p, "2302", object{"data": stayKey(p, visit, "r1")}) // one object instead of a list
	d.must(p, "2302", object{"data": []any{stayKey(p, visit, "a"), stayKey(p, visit, "r2")}})
	many := make([]fee, 101)
	for i := range many {
		many[i] = fee{fmt.Sprintf("n%d", i), "T990000001", "1", "1"}
	}
	if r := d.send(p, "2301", stayFees(t, p, visit, many...)); r.OK() || !strings.Contains(r.ErrMsg, "100") {
		t.Errorf("101 rows: %q", r.ErrMsg)
	}
	d.must(p, "2301", stayFees(t, p, visit, many[:100]...))
}

// Numbers sent as text may be spelled in ways that are no JSON; the answer spells them anew.
func TestOddNumbers(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Active)
	visit := d.admit(p, "ZY1")
	in := with(stayFees(t, p, visit, fee{"1", "T990000001", "2", "1"}), "feedetail", "cnt", "002.0")
	row := rows(d.must(p, "2301", with(in, "feedetail", "pric", "01")), "result")[0]
	if text(row, "cnt") != "2.0" || text(row, "pric") != "1" {
		t.Errorf("%v", row)
	}
	change := with(changeInput(p, visit), "diseinfo", "diag_srt_no", "01")
	d.must(p, "2403", change)
	if list := rows(d.must(p, "5202", idOf(p, visit)), "diseinfo"); len(list) != 1 || text(list[0], "diag_srt_no") != "1" {
		t.Errorf("%v", list)
	}
}

func TestReverseStay(t *testing.T) {
	d, p := newDesk(t, Options{Region: Region{AskByVisit: true}}), someone(t, people.Active)
	id := d.msgid()
	if r := d.sendAs("2401", id, p.Area, admissionInput(p, "ZY1")); !r.OK() {
		t.Fatal(r.ErrMsg)
	}
	day := object{"data": object{"psn_no": p.No, "begntime": "2025-06-10 08:30:00", "endtime": "2025-06-18 12:00:00"}}
	if got := rows(d.must(p, "5303", day), "data"); len(got) != 1 || text(got[0], "ipt_otp_no") != "ZY1" || text(got[0], "out_flag") != "0" {
		t.Fatalf("5303: %v", got)
	}
	d.must(p, "2601", reverseInput(p, id, "2401"))
	if got := rows(d.must(p, "5303", day), "data"); len(got) != 0 {
		t.Errorf("5303 after the reversal: %v", got)
	}
	id = d.msgid()
	if r := d.sendAs("2401", id, p.Area, admissionInput(p, "ZY2")); !r.OK() {
		t.Fatal(r.ErrMsg)
	}
	visit := text(rows(d.must(p, "5303", day), "data")[0], "mdtrt_id")
	d.must(p, "2301", stayFees(t, p, visit, longBill()...))
	if r := d.send(p, "2601", reverseInput(p, id, "2401")); r.OK() {
		t.Error("an admission with fee rows was reversed")
	}
	d.must(p, "2402", dischargeInput(p, visit))
	in := d.stayDue(p, visit)
	before := d.c.MoneyDigest()
	for _, infno := range []string{"2304", "2304A"} {
		id = d.msgid()
		if r := d.sendAs(infno, id, p.Area, in); !r.OK() {
			t.Fatal(r.ErrMsg)
		}
		d.must(p, "2601", reverseInput(p, id, infno))
		if d.c.MoneyDigest() != before || d.must(p, "5203", object{"data": object{"psn_no": p.No, "mdtrt_id": visit}})["setlinfo"] != nil {
			t.Errorf("%s was not reversed without a trace", infno)
		}
	}
	setl := text(node(d.must(p, "2304", in), "setlinfo"), "setl_id")
	settled := d.c.MoneyDigest()
	undo := func() string {
		id := d.msgid()
		if r := d.sendAs("2305", id, p.Area, undoInput(p, visit, setl)); !r.OK() {
			t.Fatal(r.ErrMsg)
		}
		return id
	}
	d.must(p, "2601", reverseInput(p, undo(), "2305"))
	if d.c.MoneyDigest() != settled {
		t.Error("the settlement did not come back exactly")
	}
	id = undo()
	for _, k := range []struct {
		says string
		in   object
	}{
		{"又上传", stayFees(t, p, visit, fee{"new", "T990000001", "1", "1"})},
		{"退费", object{"feedetail": []any{longBill()[0].refund(t, p, visit, "8", "2")}}},
	} {
		d.must(p, "2301", k.in)
		if r := d.send(p, "2601", reverseInput(p, id, "2305")); r.OK() || !strings.Contains(r.ErrMsg, k.says) {
			t.Errorf("%q does not speak of %q", r.ErrMsg, k.says)
		}
		d.must(p, "2302", object{"data": stayKey(p, visit, text(rows(k.in, "feedetail")[0], "feedetl_sn"))})
	}
	d.must(p, "2405", idOf(p, visit))
	if r := d.send(p, "2601", reverseInput(p, id, "2305")); r.OK() || !strings.Contains(r.ErrMsg, "撤销出院") {
		t.Errorf("settled while in hospital: %q", r.ErrMsg)
	}
	if err := d.c.Check(); err != nil {
		t.Error(err)
	}
}

func TestStayQueries(t *testing.T) {
	at := noon()
	d := newDesk(t, Options{Now: func() time.Time { return at }})
	p := someone(t, people.Elsewhere)
	visit := d.admit(p, "ZY9")
	d.must(p, "2403", changeInput(p, visit))
	span := object{"begntime": "2025-06-01 00:00:00", "endtime": "2025-06-30 00:00:00"}
	got := rows(d.send(p, "5303", object{"data": span}).Output.(object), "data")
	if len(got) != 1 || text(got[0], "ipt_otp_no") != "ZY-NEW" || text(got[0], "out_flag") != "1" {
		t.Errorf("5303 without a person: %v", got)
	}
	d.must(p, "2402", dischargeInput(p, visit))
	if n := len(rows(d.must(p, "5202", idOf(p, visit)), "diseinfo")); n != 2 {
		t.Errorf("5202 gives %d diagnoses", n)
	}
	seen := rows(d.must(p, "5201", object{"data": object{"psn_no": p.No, "begntime": span["begntime"], "endtime": span["endtime"], "med_type": "21"}}), "mdtrtinfo")
	if len(seen) != 1 || text(seen[0], "ipt_otp_no") != "ZY-NEW" || text(seen[0], "adm_bed") != "77" || text(seen[0], "endtime") != "2025-06-18 10:00:00" {
		t.Errorf("5201: %v", seen)
	}
	d.must(p, "2301", stayFees(t, p, visit, longBill()...))
	d.must(p, "2304", d.stayDue(p, visit))
	cum := rows(d.must(p, "5206", object{"data": object{"psn_no": p.No, "cum_ym": "202506"}}), "cuminfo")
	if len(cum) != 1 || text(cum[0], "cum_type_code") != "STAYPOOL" || fen(t, cum[0], "cum") == 0 {
		t.Errorf("5206: %v", cum)
	}
	if other := rows(d.must(p, "5206", object{"data": object{"psn_no": p.No, "cum_ym": "202406"}}), "cuminfo"); len(other) != 0 {
		t.Errorf("5206 of another year: %v", other)
	}
}
