package centre

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
	"yiqiao/simulator/people"
)

const (
	big   = "H44010000001"
	small = "H44010000002"
)

func noon() time.Time { return time.Date(2025, 6, 18, 4, 0, 0, 0, time.UTC) } // 12:00 in China

// table is read once for all tests; it is immutable.
var table = sync.OnceValue(func() *catalog.Catalog {
	c, err := catalog.Default()
	if err != nil {
		panic(err)
	}
	return c
})

// desk plays a hospital against a centre.
type desk struct {
	t     testing.TB
	c     *Centre
	place string
	sign  string
	seq   atomic.Int64
}

func newDesk(t testing.TB, o Options) *desk {
	t.Helper()
	if o.Now == nil {
		o.Now = noon
	}
	o.Catalog = table()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &desk{t: t, c: c, place: big}
}

func (d *desk) msgid() string {
	n := d.seq.Add(1)
	at := noon().Add(time.Duration(n/10000) * time.Second).In(china())
	id, err := ident.NewMsgID(ident.Institution(d.place), at, int(n%10000))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(id)
}

func (d *desk) request(infno, msgid, area string, input any) wire.Request {
	raw := strictjson.Append(nil, input)
	return wire.Request{
		Infno: ident.Infno(infno), MsgID: ident.MsgID(msgid), MdtrtArea: "440100", InsuplcArea: area, Receiver: "YQ", Version: "V1.0",
		OperatorType: "1", Operator: "op1", OperatorName: "操作员", Time: noon().In(china()).Format(time.DateTime),
		Institution: ident.Institution(d.place), InstitutionNm: "测试机构", SignNo: d.sign, Input: raw,
	}
}

// post sends bytes straight to the handler.
func (d *desk) post(body []byte) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.c.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/hsa/2207", bytes.NewReader(body)))
	return w
}

func (d *desk) sendAs(infno, msgid, area string, input any) wire.Reply {
	d.t.Helper()
	body, err := wire.EncodeRequest(d.request(infno, msgid, area, input))
	if err != nil {
		d.t.Fatalf("%s: %v", infno, err)
	}
	w := d.post(body)
	r, err := wire.DecodeReply(w.Body.Bytes())
	if err != nil {
		d.t.Fatalf("%s: %v: %s", infno, err, w.Body)
	}
	return r
}

func (d *desk) send(p people.Person, infno string, input any) wire.Reply {
	d.t.Helper()
	return d.sendAs(infno, d.msgid(), p.Area, input)
}

// must sends and wants success; the output comes back as an object.
func (d *desk) must(p people.Person, infno string, input any) object {
	d.t.Helper()
	r := d.send(p, infno, input)
	if !r.OK() {
		d.t.Fatalf("%s refused: %s", infno, r.ErrMsg)
	}
	o, _ := r.Output.(object)
	return o
}

func someone(t testing.TB, no string) people.Person {
	t.Helper()
	for _, p := range people.Fixed() {
		if p.No == no {
			return p
		}
	}
	t.Fatalf("no person %s", no)
	return people.Person{}
}

func base(p people.Person) string {
	if len(p.Insurances) == 0 {
		return "310"
	}
	return p.Insurances[0].Type
}

// Inputs.

func registration(p people.Person, otp string) object {
	return object{"data": object{
		"psn_no": p.No, "insutype": base(p), "begntime": "2025-06-18 11:30:00", "mdtrt_cert_type": "02", "mdtrt_cert_no": p.Cert,
		"ipt_otp_no": otp, "atddr_no": "D01", "dr_name": "测试医师", "dept_code": "K01", "dept_name": "内科", "caty": "A03",
	}}
}

func visitInput(p people.Person, visit, medType string) object {
	return object{
		"mdtrtinfo": object{"mdtrt_id": visit, "psn_no": p.No, "med_type": medType, "begntime": "2025-06-18 11:30:00", "dise_codg": "M07800"},
		"diseinfo": []any{object{
			"psn_no": p.No, "diag_type": "1", "maindiag_flag": "1", "diag_srt_no": json.Number("1"), "diag_code": "J06.900",
			"diag_name": "急性上呼吸道感染", "diag_dept": "内科", "dise_dor_no": "D01", "dise_dor_name": "测试医师",
			"diag_time": "2025-06-18 11:35:00", "vali_flag": "1",
		}},
	}
}

type fee struct{ sn, code, cnt, price string }

func (f fee) sum(t testing.TB) money.Fen {
	cnt, err := money.ParseDecimal(f.cnt, 4)
	if err != nil {
		t.Fatal(err)
	}
	price, err := money.ParseDecimal(f.price, 6)
	if err != nil {
		t.Fatal(err)
	}
	total, err := money.Product(cnt, price)
	if err != nil {
		t.Fatal(err)
	}
	return total
}

func (f fee) object(t testing.TB, p people.Person, visit, batch string) object {
	return object{
		"feedetl_sn": f.sn, "mdtrt_id": visit, "psn_no": p.No, "chrg_bchno": batch, "rxno": "R1", "rx_circ_flag": "0",
		"fee_ocur_time": "2025-06-18 11:40:00", "med_list_codg": f.code, "medins_list_codg": "L-" + f.sn,
		"det_item_fee_sumamt": money.Number(f.sum(t)), "cnt": json.Number(f.cnt), "pric": json.Number(f.price),
		"bilg_dept_codg": "K01", "bilg_dept_name": "内科", "bilg_dr_codg": "D01", "bilg_dr_name": "测试医师", "hosp_appr_flag": "1",
	}
}

func feeInput(t testing.TB, p people.Person, visit, batch string, list ...fee) object {
	var out []any
	for _, f := range list {
		out = append(out, f.object(t, p, visit, batch))
	}
	return object{"feedetail": out}
}

// standardBill is the one of docs/simulated-policy.md, section 7.
func standardBill() []fee {
	return []fee{
		{"1", "009901000010000-990100001", "1", "10"},
		{"2", "XZ99AAA001A001010100001", "3", "12.335"},
		{"3", "XZ99AAA006A001010100001", "3", "45.678"},
		{"4", "009906000010000-990100006", "1", "260"},
		{"5", "XZ99AAA013A001010100001", "1", "35.5"},
	}
}

func trialInput(p people.Person, visit, batch string, total money.Fen) object {
	return object{"data": object{
		"psn_no": p.No, "mdtrt_cert_type": "02", "mdtrt_cert_no": p.Cert, "med_type": "11", "medfee_sumamt": money.Number(total),
		"psn_setlway": "01", "mdtrt_id": visit, "chrg_bchno": batch, "acct_used_flag": "1", "insutype": base(p),
	}}
}

// settleInput copies the four parts out of a trial's answer.
func settleInput(p people.Person, visit, batch string, trial object) object {
	info := node(trial, "setlinfo")
	in := trialInput(p, visit, batch, 0)
	data := node(in, "data")
	for _, member := range []string{"medfee_sumamt", "fulamt_ownpay_amt", "overlmt_selfpay", "preselfpay_amt", "inscp_scp_amt"} {
		data[member] = info[member]
	}
	return in
}

func undoInput(p people.Person, visit, setl string) object {
	return object{"data": object{"setl_id": setl, "mdtrt_id": visit, "psn_no": p.No}}
}

func reverseInput(p people.Person, msgid, infno string) object {
	return object{"data": object{"psn_no": p.No, "omsgid": msgid, "oinfno": infno}}
}

// open registers a visit with its diagnoses and gives its id.
func (d *desk) open(p people.Person) string {
	d.t.Helper()
	out := d.must(p, "2201", registration(p, fmt.Sprintf("OTP%d", d.seq.Load())))
	visit := text(node(out, "data"), "mdtrt_id")
	d.must(p, "2203", visitInput(p, visit, "11"))
	return visit
}

// ladder goes from the visit to the trial and gives the trial's answer.
func (d *desk) ladder(p people.Person, visit, batch string, bill []fee) object {
	d.t.Helper()
	d.must(p, "2204", feeInput(d.t, p, visit, batch, bill...))
	var total money.Fen
	for _, f := range bill {
		total += f.sum(d.t)
	}
	return d.must(p, "2206", trialInput(p, visit, batch, total))
}

// settled goes all the way and gives the message id and the answer.
func (d *desk) settled(p people.Person, visit, batch string, bill []fee) (string, object) {
	d.t.Helper()
	in := settleInput(p, visit, batch, d.ladder(p, visit, batch, bill))
	id := d.msgid()
	r := d.sendAs("2207", id, p.Area, in)
	if !r.OK() {
		d.t.Fatalf("2207 refused: %s", r.ErrMsg)
	}
	out, _ := r.Output.(object)
	return id, out
}

func fen(t testing.TB, o object, member string) money.Fen {
	t.Helper()
	if o[member] == nil {
		return 0
	}
	f, err := money.ParseReply(text(o, member))
	if err != nil {
		t.Fatalf("%s %q: %v", member, text(o, member), err)
	}
	return f
}

// identities holds a setlinfo answer against A, B, C, D, J of invariants.md, read anew here.
func identities(t testing.TB, out object, withAccount, undo bool) {
	t.Helper()
	s := node(out, "setlinfo")
	f := func(m string) money.Fen { return fen(t, s, m) }
	if a := f("fulamt_ownpay_amt") + f("overlmt_selfpay") + f("preselfpay_amt") + f("inscp_scp_amt"); a != f("medfee_sumamt") {
		t.Errorf("A: %s, parts %s", f("medfee_sumamt"), a)
	}
	parts := f("hifp_pay") + f("cvlserv_pay") + f("hifes_pay") + f("hifmi_pay") + f("hifob_pay") + f("maf_pay") + f("oth_pay") + f("hifdm_pay")
	if withAccount {
		parts += f("acct_pay")
	}
	if parts != f("fund_pay_sumamt") {
		t.Errorf("D: %s, parts %s", f("fund_pay_sumamt"), parts)
	}
	var rows money.Fen
	var hospital money.Fen
	details, _ := out["setldetail"].([]any)
	for _, d := range details {
		row, _ := d.(object)
		rows += fen(t, row, "fund_payamt")
		if text(row, "fund_pay_type") == "999996" {
			hospital = fen(t, row, "fund_payamt")
		}
	}
	want := f("fund_pay_sumamt") + f("acct_pay") + hospital
	if withAccount {
		want -= f("acct_pay")
	}
	if rows != want {
		t.Errorf("J: rows %s, header %s", rows, want)
	}
	if undo {
		for _, m := range []string{"psn_part_amt", "hosp_part_amt", "acct_mulaid_pay"} {
			if v, there := s[m]; !there || v != nil {
				t.Errorf("K: %s is %v, a real undo has null", m, v)
			}
		}
		for m, v := range s {
			if n, ok := v.(json.Number); ok && m != "balc" && m != "pool_prop_selfpay" && m != "age" && m != "dedc_std" && strings.Trim(string(n), "0.") != "" && n[0] != '-' {
				t.Errorf("K: %s is %s", m, n)
			}
		}
		if f("medfee_sumamt") != f("fund_pay_sumamt")+f("acct_pay")+f("psn_cash_pay")+hospital && !withAccount {
			t.Error("C: the undo does not add up")
		}
		return
	}
	if f("hosp_part_amt") != hospital {
		t.Errorf("J: hospital %s, row %s", f("hosp_part_amt"), hospital)
	}
	if f("psn_part_amt") != f("acct_pay")+f("psn_cash_pay") {
		t.Errorf("B: %s = %s + %s", f("psn_part_amt"), f("acct_pay"), f("psn_cash_pay"))
	}
	rest := f("psn_part_amt")
	if withAccount {
		rest = f("psn_cash_pay")
	}
	if f("medfee_sumamt") != f("fund_pay_sumamt")+rest+f("hosp_part_amt") {
		t.Errorf("C or E: %s = %s + %s + %s", f("medfee_sumamt"), f("fund_pay_sumamt"), rest, f("hosp_part_amt"))
	}
}
