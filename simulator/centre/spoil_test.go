package centre

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
	"yiqiao/simulator/people"
)

// Every member of every request, one at a time, is sent missing, empty, of another type or out of
// range: each gets an answer that can be read, and the books stay in order.
func TestSpoiltMembers(t *testing.T) {
	d, p := newDesk(t, Options{Region: Region{AskByVisit: true, RequireFiling: true}}), someone(t, people.Elsewhere)
	d.must(p, "2503", chronic(p, "M00500"))
	visit := d.open(p)
	trial := d.ladder(p, visit, "B1", standardBill())
	stay := d.admit(p, "ZY1")
	d.must(p, "2301", stayFees(t, p, stay, longBill()...))
	no := d.uploaded(zipped(t, []string{"a.txt"}, "a\tb\tc\t1\t1\t0\t0"))
	due := with(d.stayDue(p, stay), "data", "mid_setl_flag", "1")
	span := object{"data": object{"psn_no": p.No, "begntime": "2025-06-01 00:00:00", "endtime": "2025-06-30 00:00:00", "med_type": "21"}}
	one := Totals{100, 100, 0, 1}
	detail := with(totalsInput("11", "310", one), "data", "file_qury_no", no)
	node(detail, "data")["cash_payamt"], node(detail, "data")["refd_setl_flag"] = json.Number("0"), "1"
	inputs := map[string]object{
		"2401": admissionInput(p, "ZY2"), "2403": changeInput(p, stay), "2301": {"feedetail": []any{longBill()[0].refund(t, p, stay, "r", "1")}},
		"2302": {"data": []any{stayKey(p, stay, "7")}}, "2303": due, "2304": due, "2404": idOf(p, stay), "2405": idOf(p, stay),
		"2305": undoInput(p, stay, "1"), "2101": saleInput(t, p, "14", worked()...), "2102": saleInput(t, p, "41", worked()...),
		"2103": undoInput(p, visit, "1"), "2207": settleInput(p, visit, "B1", trial), "2501": transfer(p, small), "2503": chronic(p, "M1"),
		"2505": fixed(p), "2507": accident(p), "2502": backOf(p, "1"), "2508": backOf(p, "1"), "3201": totalsInput("11", "310", one),
		"3202": detail, "9101": d.uploadInput(base64.StdEncoding.EncodeToString([]byte("x"))),
		"9102": {"fsDownloadIn": object{"file_qury_no": "1", "filename": "x", "fixmedins_code": big}}, "3204": {"data": object{"clr_appy_evt_id": "1"}},
		"5201": span, "5202": idOf(p, stay), "5203": idOf(p, visit), "5204": idOf(p, stay), "5205": span, "5206": {"data": object{"psn_no": p.No, "cum_ym": "202506"}},
		"5301": {"data": object{"psn_no": p.No}}, "5302": {"data": object{"psn_no": p.No, "biz_appy_type": "03"}}, "5303": span, "5304": span,
		"2601": reverseInput(p, d.msgid(), "2401"), "2402": dischargeInput(p, stay),
	}
	odd := []any{nil, "", "x", "0000", json.Number("-1"), json.Number("99999999999999"), json.Number("0.00001"), "-0001.50", []any{}, object{}, true,
		"2025-02-30 25:61:00", strings.Repeat("测", 5000)}
	calls := 0
	for _, infno := range slices.Sorted(maps.Keys(inputs)) {
		in := inputs[infno]
		for _, name := range slices.Sorted(maps.Keys(in)) {
			first, ok := in[name].(object)
			if list, isList := in[name].([]any); isList {
				first, ok = list[0].(object)
			}
			if !ok {
				t.Fatalf("%s: %s is no node", infno, name)
			}
			for _, v := range odd {
				whole, _ := strictjson.Clone(in).(object)
				whole[name] = v
				d.read(infno, p.Area, whole)
				for _, member := range slices.Sorted(maps.Keys(first)) {
					d.read(infno, p.Area, with(in, name, member, v))
					calls++
				}
			}
		}
	}
	if calls < 3000 {
		t.Errorf("only %d spoilt requests", calls)
	}
	if err := d.c.Check(); err != nil {
		t.Error(err)
	}
}

// read sends and wants an answer that can be read.
func (d *desk) read(infno, area string, in object) {
	d.t.Helper()
	body, err := wire.EncodeRequest(d.request(infno, d.msgid(), area, in))
	if err != nil {
		d.t.Fatalf("%s: %v", infno, err)
	}
	w := d.post(body)
	if _, err := wire.DecodeReply(w.Body.Bytes()); err != nil || w.Code != 200 {
		d.t.Errorf("%s: %d %v: %.200s for %.400s", infno, w.Code, err, w.Body, body)
	}
}
