package centre

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
	"yiqiao/simulator/people"
)

// prepared is a desk with one visit whose batch B1 is uploaded and B0 settled.
func prepared(t *testing.T, o Options) (d *desk, p people.Person, visit, msgid, setl string) {
	d, p = newDesk(t, o), someone(t, people.Active)
	visit = d.open(p)
	var old []fee
	for i, f := range standardBill() {
		f.sn = fmt.Sprintf("0-%d", i)
		old = append(old, f)
	}
	msgid, out := d.settled(p, visit, "B0", old)
	setl = text(node(out, "setlinfo"), "setl_id")
	d.must(p, "2204", feeInput(t, p, visit, "B1", standardBill()...))
	return d, p, visit, msgid, setl
}

// with copies an input and sets one member of a node.
func with(in object, name, member string, v any) object {
	out, _ := strictjson.Clone(in).(object)
	if o, ok := out[name].(object); ok {
		o[member] = v
	}
	if list, ok := out[name].([]any); ok {
		if o, ok := list[0].(object); ok {
			o[member] = v
		}
	}
	return out
}

func without(in object, name, member string) object { return with(in, name, member, nil) }

func TestRefusalsChangeNothing(t *testing.T) {
	d, p, visit, msgid, setl := prepared(t, Options{})
	other := someone(t, people.Retired)
	reg := registration(p, "OTP9")
	info := visitInput(p, visit, "11")
	more := feeInput(t, p, visit, "B2", fee{"x1", "T990000001", "10", "0.1"}, fee{"x2", "T990000001", "10", "0.1"})
	trial := trialInput(p, visit, "B1", 479_54)
	settle := settleInput(p, visit, "B1", d.must(p, "2206", trial))
	settledSN := feeInput(t, p, visit, "B2", fee{"0-1", "T990000001", "10", "0.1"})
	lots := make([]fee, 101)
	for i := range lots {
		lots[i] = fee{fmt.Sprintf("l%d", i), "T990000001", "10", "0.1"}
	}
	query := object{"data": object{"psn_no": p.No, "setl_id": setl, "mdtrt_id": visit}}
	cases := []struct {
		name, infno string
		in          object
		says        string
	}{
		{"no such transaction", "9999", object{}, "不支持"},
		{"2101 is not simulated", "2102", object{}, ""},
		{"unknown person", "2201", with(reg, "data", "psn_no", "1"), "人员"},
		{"no such insurance", "2201", with(reg, "data", "insutype", "390"), "未参加"},
		{"missing member", "2201", without(reg, "data", "ipt_otp_no"), "ipt_otp_no"},
		{"empty member", "2201", with(reg, "data", "dr_name", ""), "dr_name"},
		{"member too long", "2201", with(reg, "data", "ipt_otp_no", strings.Repeat("1", 31)), "ipt_otp_no"},
		{"no such time", "2201", with(reg, "data", "begntime", "2025-02-30 00:00:00"), "begntime"},
		{"member of the wrong type", "2201", with(reg, "data", "dr_name", []any{"x"}), "dr_name"},
		{"node missing", "2201", object{}, "data"},
		{"node of the wrong type", "2201", object{"data": []any{}}, "data"},
		{"another person's credential", "2201", with(reg, "data", "mdtrt_cert_no", other.Cert), "凭证"},
		{"another person's visit", "2203", visitInput(other, visit, "11"), "就诊信息"},
		{"no diagnosis", "2203", object{"mdtrtinfo": info["mdtrtinfo"], "diseinfo": []any{}}, "diseinfo"},
		{"no valid diagnosis", "2203", with(info, "diseinfo", "vali_flag", "0"), "诊断"},
		{"no main diagnosis", "2203A", with(info, "diseinfo", "maindiag_flag", "0"), "主诊断"},
		{"inpatient category", "2203", with(info, "mdtrtinfo", "med_type", "21"), "医疗类别"},
		{"chronic without disease", "2203", with(with(info, "mdtrtinfo", "med_type", "14"), "mdtrtinfo", "dise_codg", ""), "dise_codg"},
		{"unknown visit", "2204", feeInput(t, p, "nope", "B2", fee{"x1", "T990000001", "10", "0.1"}), "就诊信息"},
		{"repeated serial", "2204", settledSN, "重复"},
		{"serial twice in one call", "2204", feeInput(t, p, visit, "B2", fee{"x", "T990000001", "1", "1"}, fee{"x", "T990000001", "1", "1"}), "重复"},
		{"wrong row sum", "2204", with(more, "feedetail", "det_item_fee_sumamt", json.Number("1.01")), "数量乘以单价"},
		{"no quantity", "2204", feeInput(t, p, visit, "B2", fee{"x1", "T990000001", "0", "0.1"}), "超出范围"},
		{"too many decimals", "2204", with(more, "feedetail", "cnt", json.Number("1.00001")), "cnt"},
		{"two batches", "2204", with(more, "feedetail", "chrg_bchno", "B3"), "收费批次"},
		{"two diseases", "2204", with(more, "feedetail", "dise_codg", "M1"), "病种"},
		{"settled batch", "2204", feeInput(t, p, visit, "B0", fee{"x1", "T990000001", "1", "1"}), "已结算"},
		{"101 rows", "2204", feeInput(t, p, visit, "B2", lots...), "100"},
		{"no rows", "2204", object{"feedetail": []any{}}, "feedetail"},
		{"bad approval", "2204", with(more, "feedetail", "hosp_appr_flag", "7"), "审批"},
		{"wrong total", "2206", trialInput(p, visit, "B1", 479_55), "不一致"},
		{"batch without rows", "2206", trialInput(p, visit, "B7", 1_00), "费用明细"},
		{"settled batch again", "2206", trialInput(p, visit, "B0", 479_54), "已结算"},
		{"another insurance", "2206", with(trial, "data", "insutype", "390"), "险种"},
		{"another category", "2206", with(trial, "data", "med_type", "13"), "医疗类别"},
		{"no such way", "2206", with(trial, "data", "psn_setlway", "09"), "结算方式"},
		{"no such account flag", "2206", with(trial, "data", "acct_used_flag", "2"), "个人账户"},
		{"wrong own pay", "2207", with(settle, "data", "fulamt_ownpay_amt", json.Number("35.51")), "fulamt_ownpay_amt"},
		{"wrong scope", "2207", with(settle, "data", "inscp_scp_amt", json.Number("0.00")), "inscp_scp_amt"},
		{"missing part", "2207", without(settle, "data", "preselfpay_amt"), "preselfpay_amt"},
		{"missing part, A version", "2207A", without(settle, "data", "overlmt_selfpay"), "overlmt_selfpay"},
		{"wrong credential", "2207", with(settle, "data", "mdtrt_cert_no", other.Cert), "凭证"},
		{"trace code of no row", "2207", object{"data": settle["data"], "drug_trac_info": []any{object{"feedetl_sn": "zz",
			"drug_trac_codg": "81000000000000000001", "trdn_flag": "0", "min_prcunt_type": "1"}}}, "追溯码"},
		{"settled batch dropped", "2205", object{"data": object{"mdtrt_id": visit, "chrg_bchno": "B0", "psn_no": p.No}}, "已结算"},
		{"nothing to drop", "2205", object{"data": object{"mdtrt_id": visit, "chrg_bchno": "B9", "psn_no": p.No}}, "未查询到任何有效相关的记录"},
		{"visit in use", "2202", object{"data": object{"psn_no": p.No, "mdtrt_id": visit, "ipt_otp_no": "x"}}, "门诊号"},
		{"no such settlement", "2208", undoInput(p, visit, "1"), "结算信息"},
		{"settlement of another visit", "2208", undoInput(p, "v", setl), "结算信息"},
		{"reverse what was never sent", "2601", reverseInput(p, d.msgid(), "2207"), "未找到原交易"},
		{"reverse under another number", "2601", reverseInput(p, msgid, "2208"), "未找到原交易"},
		{"reverse a visit", "2601", reverseInput(p, msgid, "2201"), "不支持冲正"},
		{"reverse the A version", "2601", reverseInput(p, msgid, "2207A"), "不支持冲正"},
		{"ask for nothing", "5203", with(query, "data", "setl_id", "7"), "结算信息"},
		{"ask backwards", "5201", object{"data": object{"psn_no": p.No, "begntime": "2025-06-19 00:00:00", "endtime": "2025-06-18 00:00:00", "med_type": "11"}}, "早于"},
		{"rows of no visit", "5204", with(query, "data", "mdtrt_id", "7"), "就诊信息"},
		{"sign in as somebody else", "9001", object{"signIn": object{"opter_no": "op2", "mac": "m", "ip": "i"}}, "操作员"},
		{"sign out of nothing", "9002", object{"signOut": object{"sign_no": "1", "opter_no": "op1"}}, "签到"},
	}
	before := d.c.Digest()
	for _, k := range cases {
		r := d.send(p, k.infno, k.in)
		if r.OK() {
			t.Fatalf("%s: accepted", k.name)
		}
		if !strings.Contains(r.ErrMsg, k.says) {
			t.Errorf("%s: %q does not speak of %q", k.name, r.ErrMsg, k.says)
		}
		if r.Output != nil {
			t.Errorf("%s: a refusal with output", k.name)
		}
		if d.c.Digest() != before {
			t.Fatalf("%s: the refusal changed something", k.name)
		}
	}
	if r := d.sendAs("2207", d.msgid(), p.Area, settle); !r.OK() {
		t.Errorf("the good request behind all the bad ones: %s", r.ErrMsg)
	}
}

func TestHeaderRefusals(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Elsewhere)
	reg := registration(p, "OTP1")
	before := d.c.Digest()
	cases := []struct {
		name   string
		change func(*wire.Request)
		says   string
	}{
		{"unknown institution", func(r *wire.Request) { r.Institution, r.MsgID = "H99999999999", "H99999999999"+r.MsgID[12:] }, "机构"},
		{"another institution's msgid", func(r *wire.Request) { r.MsgID = small + r.MsgID[12:] }, "msgid"},
		{"another area of care", func(r *wire.Request) { r.MdtrtArea = "440300" }, "mdtrtarea_admvs"},
		{"no area of insurance", func(r *wire.Request) { r.InsuplcArea = "" }, "insuplc_admdvs"},
		{"wrong area of insurance", func(r *wire.Request) { r.InsuplcArea = "440100" }, "insuplc_admdvs"},
		{"no such operator type", func(r *wire.Request) { r.OperatorType = "9" }, "opter_type"},
	}
	for _, k := range cases {
		req := d.request("2201", d.msgid(), p.Area, reg)
		k.change(&req)
		body, err := wire.EncodeRequest(req)
		if err != nil {
			t.Fatal(err)
		}
		r, err := wire.DecodeReply(d.post(body).Body.Bytes())
		if err != nil || r.OK() || !strings.Contains(r.ErrMsg, k.says) {
			t.Errorf("%s: %v %q", k.name, err, r.ErrMsg)
		}
	}
	good, err := wire.EncodeRequest(d.request("2201", d.msgid(), p.Area, reg))
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"nothing":       "",
		"not JSON":      "infno=2201",
		"half a body":   string(good[:len(good)/2]),
		"twice":         string(good) + string(good),
		"no msgid":      strings.Replace(string(good), `"msgid":"H`, `"nomsgid":"H`, 1),
		"short msgid":   strings.Replace(string(good), `"msgid":"H`, `"msgid":"`, 1),
		"input as text": `{"infno":"2201","input":"x"}`,
	} {
		w := d.post([]byte(body))
		r, err := wire.DecodeReply(w.Body.Bytes())
		if err != nil || r.OK() || w.Code != http.StatusOK || !strings.Contains(r.ErrMsg, "报文") {
			t.Errorf("%s: %d %v %q", name, w.Code, err, r.ErrMsg)
		}
	}
	w := httptest.NewRecorder()
	d.c.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", w.Code)
	}
	if d.c.Digest() != before {
		t.Error("a bad message changed something")
	}
}

func TestRepeatedMessageID(t *testing.T) {
	d, p, visit, msgid, setl := prepared(t, Options{})
	before := d.c.Digest()
	settle := settleInput(p, visit, "B1", d.must(p, "2206", trialInput(p, visit, "B1", 479_54)))
	for infno, in := range map[string]object{
		"2207": settle, "2208": undoInput(p, visit, setl), "2201": registration(p, "OTP9"),
		"2204": feeInput(t, p, visit, "B1", fee{"n", "T990000001", "1", "1"}),
		"2205": {"data": object{"mdtrt_id": visit, "chrg_bchno": "B1", "psn_no": p.No}},
	} {
		if r := d.sendAs(infno, msgid, p.Area, in); r.OK() || !strings.Contains(r.ErrMsg, "报文ID重复") {
			t.Errorf("%s: %q", infno, r.ErrMsg)
		}
	}
	if d.c.Digest() != before {
		t.Error("a repeated message changed something")
	}
	// The same content again is harmless here, and queues do send it again byte for byte.
	info, id := visitInput(p, visit, "11"), d.msgid()
	for range 2 {
		if r := d.sendAs("2203", id, p.Area, info); !r.OK() {
			t.Errorf("2203 again: %s", r.ErrMsg)
		}
	}
	// An id that was refused was not used up.
	id = d.msgid()
	if r := d.sendAs("2207", id, p.Area, with(settle, "data", "medfee_sumamt", money.Number(1))); r.OK() {
		t.Fatal("wrong total accepted")
	}
	if r := d.sendAs("2207", id, p.Area, settle); !r.OK() {
		t.Errorf("after a refusal: %s", r.ErrMsg)
	}
}

func TestWrongOrder(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Active)
	visit := text(node(d.must(p, "2201", registration(p, "OTP1")), "data"), "mdtrt_id")
	if r := d.send(p, "2204", feeInput(t, p, visit, "B1", standardBill()...)); r.OK() {
		t.Error("fees before diagnoses")
	}
	if r := d.send(p, "2206", trialInput(p, visit, "B1", 1)); r.OK() {
		t.Error("trial before diagnoses")
	}
	d.must(p, "2202", object{"data": object{"psn_no": p.No, "mdtrt_id": visit, "ipt_otp_no": "OTP1"}})
	if r := d.send(p, "2203", visitInput(p, visit, "11")); r.OK() || !strings.Contains(r.ErrMsg, "已撤销") {
		t.Errorf("diagnoses for a cancelled visit: %q", r.ErrMsg)
	}
	for _, no := range []string{people.Paused, people.Uninsured} {
		q := someone(t, no)
		if r := d.send(q, "2201", registration(q, "OTP2")); r.OK() {
			t.Errorf("%s was registered", q.Name)
		}
	}
	q := someone(t, people.Paused)
	in := object{"data": object{"psn_no": q.No, "insutype": "310", "fixmedins_code": big, "med_type": "11", "begntime": "2025-06-18 00:00:00"}}
	out := d.must(q, "2001", with(in, "data", "oprn_oprt_code", ""))
	if row := rows(out, "trtinfo"); len(row) != 1 || text(row[0], "trt_enjymnt_flag") != "0" || text(row[0], "trt_chk_rslt") == "" {
		t.Errorf("2001 for a paused insurance: %v", out)
	}
	r := newDesk(t, Options{Region: Region{RefuseUnknownItem: true}})
	visit = r.open(p)
	if a := r.send(p, "2204", feeInput(t, p, visit, "B1", fee{"1", "NO-SUCH", "1", "1"})); a.OK() {
		t.Error("an unknown item was accepted where the region refuses it")
	}
}

// Every other upload of the queued class is taken when its required members are there, also twice,
// and refused when its nodes are not.
func TestOtherUploadsAreAccepted(t *testing.T) {
	d := newDesk(t, Options{})
	tried := 0
	for _, x := range table().All() {
		switch x.Infno {
		case "2203", "2203A", "2204", "2205":
			continue
		}
		if !x.Queued || !x.Described() || len(x.Input) == 0 {
			continue
		}
		in, nodes := object{}, 0
		for _, n := range x.Input {
			if n.Parent != "" || n.AlternativeTo != "" || n.OnlyIn != "" || n.Required != catalog.Always {
				continue
			}
			o := object{}
			if n.Name == "" {
				o = in
			}
			for _, f := range n.Fields {
				switch f.Type {
				case "number":
					o[f.Code] = json.Number("1")
				case "date":
					o[f.Code] = "2025-06-18"
				case "datetime":
					o[f.Code] = "2025-06-18 12:00:00"
				case "string":
					o[f.Code] = "1"
				}
			}
			switch {
			case n.Name == "":
			case n.Repeat:
				in[n.Name], nodes = []any{o}, nodes+1
			default:
				in[n.Name], nodes = o, nodes+1
			}
		}
		id := d.msgid()
		for range 2 {
			// what changes or takes away a record finds none here, and the person "1" is nobody
			if r := d.sendAs(string(x.Infno), id, "", in); !r.OK() && !strings.HasPrefix(r.ErrMsg, "未查询到") {
				t.Errorf("%s: %s", x.Infno, r.ErrMsg)
			}
		}
		if nodes > 0 {
			tried++
			if r := d.send(people.Person{}, string(x.Infno), object{}); r.OK() {
				t.Errorf("%s without its nodes was accepted", x.Infno)
			}
		}
	}
	if tried < 20 {
		t.Errorf("only %d uploads tried", tried)
	}
}
