package centre

import (
	"encoding/json"
	"strings"
	"testing"

	"yiqiao/schemas/money"
	"yiqiao/simulator/people"
)

const shop = "P44010000001"

// saleInput is the sale of section 9 of docs/simulated-policy.md.
func saleInput(t testing.TB, p people.Person, medType string, list ...fee) object {
	var out []any
	var total money.Fen
	for _, f := range list {
		o := f.object(t, p, "", "")
		for _, m := range []string{"mdtrt_id", "psn_no", "chrg_bchno", "hosp_appr_flag", "bilg_dept_codg", "bilg_dept_name"} {
			delete(o, m)
		}
		out = append(out, o)
		total += f.sum(t)
	}
	return object{"druginfo": object{"psn_no": p.No, "mdtrt_cert_type": "02", "mdtrt_cert_no": p.Cert, "begntime": "2025-06-18 11:50:00",
		"medfee_sumamt": money.Number(total), "insutype": base(p), "acct_used_flag": "1", "med_type": medType, "dise_codg": "M00500"},
		"drugdetail": out}
}

func worked() []fee { b := standardBill(); return []fee{b[1], b[2], b[4]} }

func TestWorkedSales(t *testing.T) {
	for _, k := range []struct {
		psn, medType               string
		fund, account, cash, after money.Fen
	}{
		{people.Active, "41", 0, 174_04, 35_50, 825_96},
		{people.Resident, "41", 0, 0, 209_54, 0},
		{people.Active, "14", 123_26, 50_78, 35_50, 949_22},
	} {
		d, p := newDesk(t, Options{Region: Region{AskByVisit: true}}), someone(t, k.psn)
		d.place = shop
		before := d.c.MoneyDigest()
		in := saleInput(t, p, k.medType, worked()...)
		trial := d.must(p, "2101", in)
		if s := node(trial, "setlinfo"); s["setl_id"] != nil || s["mdtrt_id"] != nil || s["clr_way"] != nil {
			t.Errorf("a trial with ids: %v", s)
		}
		if d.c.MoneyDigest() != before || len(d.c.Settlements()) != 0 {
			t.Error("a trial booked something")
		}
		id := d.msgid()
		a := d.sendAs("2102", id, p.Area, in)
		if !a.OK() {
			t.Fatal(a.ErrMsg)
		}
		out, _ := a.Output.(object)
		for _, o := range []object{trial, out} {
			identities(t, o, false, false)
			s := node(o, "setlinfo")
			got := [...]money.Fen{fen(t, s, "medfee_sumamt"), fen(t, s, "fund_pay_sumamt"), fen(t, s, "acct_pay"), fen(t, s, "psn_cash_pay"), fen(t, s, "balc")}
			if want := [...]money.Fen{209_54, k.fund, k.account, k.cash, k.after}; got != want || text(s, "clr_type") != "41" {
				t.Errorf("%s %s: got %v, want %v", p.Name, k.medType, got, want)
			}
			if n := len(rows(o, "detlcutinfo")); n != 3 {
				t.Errorf("%d rows cut", n)
			}
		}
		s := node(out, "setlinfo")
		visit, setl := text(s, "mdtrt_id"), text(s, "setl_id")
		asked := node(d.must(p, "5203", object{"data": object{"psn_no": p.No, "mdtrt_id": visit}}), "setlinfo")
		if len(visit) != 30 || text(asked, "medins_setl_id") != id || text(asked, "refd_setl_flag") != "0" {
			t.Errorf("5203: %v", asked)
		}
		undo := d.must(p, "2103", undoInput(p, visit, setl))
		u := node(undo, "setlinfo")
		if _, there := u["psn_part_amt"]; there || fen(t, u, "psn_pay") != -k.account-k.cash || fen(t, u, "cash_payamt") != -k.cash || fen(t, u, "medfee_sumamt") != -209_54 {
			t.Errorf("2103: %v", u)
		}
		if d.c.MoneyDigest() != before {
			t.Error("the undo left a trace")
		}
		by := object{"data": object{"psn_no": p.No, "setl_id": setl, "mdtrt_id": visit}}
		if asked := node(d.must(p, "5203", by), "setlinfo"); text(asked, "refd_setl_flag") != "1" {
			t.Errorf("5203 after 2103: %v", asked)
		}
		if r := d.send(p, "2103", undoInput(p, visit, setl)); r.OK() || !strings.Contains(r.ErrMsg, "已撤销") {
			t.Errorf("second 2103: %q", r.ErrMsg)
		}
		if err := d.c.Check(); err != nil {
			t.Error(err)
		}
	}
}

func TestReverseSale(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Active)
	before := d.c.MoneyDigest()
	in := saleInput(t, p, "41", worked()...)
	for _, infno := range []string{"2102", "2102A"} {
		id := d.msgid()
		if r := d.sendAs(infno, id, p.Area, in); !r.OK() {
			t.Fatal(r.ErrMsg)
		}
		d.must(p, "2601", reverseInput(p, id, infno))
		if d.c.MoneyDigest() != before {
			t.Errorf("%s left a trace", infno)
		}
		if r := d.sendAs(infno, id, p.Area, in); r.OK() {
			t.Errorf("%s: the message id of a reversed sale was taken again", infno)
		}
	}
	s := node(d.must(p, "2102", in), "setlinfo")
	settled := d.c.MoneyDigest()
	id := d.msgid()
	if r := d.sendAs("2103", id, p.Area, undoInput(p, text(s, "mdtrt_id"), text(s, "setl_id"))); !r.OK() {
		t.Fatal(r.ErrMsg)
	}
	visits := func() int {
		return len(rows(d.must(p, "5201", object{"data": object{"psn_no": p.No, "begntime": "2025-06-01 00:00:00", "endtime": "2025-07-01 00:00:00", "med_type": "41"}}), "mdtrtinfo"))
	}
	if visits() != 0 {
		t.Error("an undone sale is still a visit")
	}
	d.must(p, "2601", reverseInput(p, id, "2103"))
	if d.c.MoneyDigest() != settled || visits() != 1 {
		t.Error("the sale did not come back")
	}
}

func TestSaleRefusals(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Active)
	d.place = shop
	in := saleInput(t, p, "41", worked()...)
	twice := saleInput(t, p, "41", worked()[0], worked()[0])
	for name, k := range map[string]struct {
		infno string
		in    object
		says  string
	}{
		"wrong total":          {"2102", with(in, "druginfo", "medfee_sumamt", json.Number("1.00")), "不一致"},
		"no total":             {"2102", without(in, "druginfo", "medfee_sumamt"), "medfee_sumamt"},
		"no time":              {"2102", without(in, "druginfo", "begntime"), "begntime"},
		"outpatient category":  {"2102", with(in, "druginfo", "med_type", "11"), "医疗类别"},
		"chronic, no disease":  {"2102", with(with(in, "druginfo", "med_type", "14"), "druginfo", "dise_codg", ""), "dise_codg"},
		"another insurance":    {"2102", with(in, "druginfo", "insutype", "390"), "未参加"},
		"wrong credential":     {"2102", with(in, "druginfo", "mdtrt_cert_no", "x"), "凭证"},
		"nobody":               {"2102", without(in, "druginfo", "psn_no"), "人员"},
		"no rows":              {"2102", object{"druginfo": in["druginfo"], "drugdetail": []any{}}, "drugdetail"},
		"serial twice":         {"2102", twice, "重复"},
		"no serial":            {"2102", without(in, "drugdetail", "feedetl_sn"), "feedetl_sn"},
		"no item":              {"2102", without(in, "drugdetail", "med_list_codg"), "med_list_codg"},
		"wrong row":            {"2102", with(in, "drugdetail", "det_item_fee_sumamt", json.Number("0.01")), "数量乘以单价"},
		"an outpatient visit":  {"2201", registration(p, "O1"), "药店"},
		"an admission":         {"2401", admissionInput(p, "Z1"), "药店"},
		"an undo of something": {"2103", undoInput(p, "v", "s"), "结算信息"},
	} {
		before := d.c.Digest()
		if r := d.send(p, k.infno, k.in); r.OK() || !strings.Contains(r.ErrMsg, k.says) {
			t.Errorf("%s: %q does not speak of %q", name, r.ErrMsg, k.says)
		}
		if d.c.Digest() != before {
			t.Errorf("%s: the refusal changed something", name)
		}
	}
}
