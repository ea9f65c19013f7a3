package centre

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
	"yiqiao/simulator/people"
)

const today = "2025-06-18"

// zipped packs texts under names.
func zipped(t testing.TB, names []string, texts ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for i, name := range names {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, texts[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func (d *desk) uploadInput(in any) object {
	return object{"fsUploadIn": object{"in": in, "filename": "detail.zip", "fixmedins_code": d.place}}
}

func (d *desk) uploaded(body []byte) string {
	d.t.Helper()
	out := d.must(people.Person{}, "9101", d.uploadInput(base64.StdEncoding.EncodeToString(body)))
	return text(out, "file_qury_no")
}

// fetch downloads a file and gives the answer as it came.
func (d *desk) fetch(no, name string) *httptest.ResponseRecorder {
	d.t.Helper()
	in := object{"fsDownloadIn": object{"file_qury_no": no, "filename": name, "fixmedins_code": d.place}}
	body, err := wire.EncodeRequest(d.request("9102", d.msgid(), "", in))
	if err != nil {
		d.t.Fatal(err)
	}
	return d.post(body)
}

func totalsInput(clr, ins string, x Totals) object {
	return object{"data": object{"insutype": ins, "clr_type": clr, "setl_optins": "440100", "stmt_begndate": today, "stmt_enddate": today,
		"medfee_sumamt": money.Number(x.Total), "fund_pay_sumamt": money.Number(x.Fund), "acct_pay": money.Number(x.Account),
		"fixmedins_setl_cnt": json.Number(fmt.Sprint(x.Count))}}
}

func (d *desk) rslt(in object) string {
	d.t.Helper()
	return text(node(d.must(people.Person{}, "3201", in), "stmtinfo"), "stmt_rslt")
}

// book is a hospital's own list of what was settled, as detail lines.
func (d *desk) book() []string {
	var out []string
	for _, s := range d.c.Settlements() {
		if s.Reversed || s.Place != d.place {
			continue
		}
		out = append(out, strings.Join([]string{s.ID, s.Visit, s.Person, s.Total.String(), s.Fund.String(), s.Account.String(), flag(s.UndoOf != "")}, "\t"))
	}
	return out
}

// detailInput uploads lines and writes the 3202 for them.
func (d *desk) detailInput(clr string, lines []string) object {
	d.t.Helper()
	no := d.uploaded(zipped(d.t, []string{"d.txt"}, strings.Join(lines, "\n")))
	var x Totals
	for _, l := range lines {
		cols := strings.Split(l, "\t")
		for i, to := range [...]*money.Fen{&x.Total, &x.Fund, &x.Account} {
			f, err := money.Parse(cols[3+i])
			if err != nil {
				d.t.Fatal(err)
			}
			*to += f
		}
		x.Count++
	}
	return object{"data": object{"setl_optins": "440100", "file_qury_no": no, "stmt_begndate": today, "stmt_enddate": today, "clr_type": clr,
		"refd_setl_flag": "1", "medfee_sumamt": money.Number(x.Total), "fund_pay_sumamt": money.Number(x.Fund),
		"cash_payamt": money.Number(x.Account), "fixmedins_setl_cnt": json.Number(fmt.Sprint(x.Count))}}
}

// result runs 3202 and 9102 and gives the lines.
func (d *desk) result(in object) []string {
	d.t.Helper()
	info := node(d.must(people.Person{}, "3202", in), "fileinfo")
	if text(info, "file_qury_no") == text(node(in, "data"), "file_qury_no") {
		d.t.Error("the result has the number of the upload")
	}
	w := d.fetch(text(info, "file_qury_no"), text(info, "filename"))
	if w.Header().Get("Content-Type") != "application/octet-stream" {
		d.t.Fatalf("9102: %s %s", w.Header().Get("Content-Type"), w.Body)
	}
	plain, err := onlyText(w.Body.Bytes())
	if err != nil {
		d.t.Fatal(err)
	}
	if plain == "" {
		return nil
	}
	return strings.Split(plain, "\n")
}

func TestTotals(t *testing.T) {
	d := newDesk(t, Options{})
	p, q := someone(t, people.Active), someone(t, people.Resident)
	v := d.open(p)
	_, out := d.settled(p, v, "B1", standardBill())
	d.settled(q, d.open(q), "B1", standardBill())
	own := Totals{479_54, 88_21, 355_83, 1}
	for ins, x := range map[string]Totals{"310": own, "390": {479_54, 98_80, 0, 1}} {
		if got := d.rslt(totalsInput("11", ins, x)); got != "0" {
			t.Errorf("%s: %s", ins, got)
		}
	}
	for name, x := range map[string]Totals{"total": {479_55, 88_21, 355_83, 1}, "fund": {479_54, 88_22, 355_83, 1},
		"account": {479_54, 88_21, 355_82, 1}, "count": {479_54, 88_21, 355_83, 2}, "nothing": {}} {
		if got := d.rslt(totalsInput("11", "310", x)); got != "1" {
			t.Errorf("%s off: %s", name, got)
		}
	}
	for name, in := range map[string]object{
		"another type": totalsInput("21", "310", Totals{}), "another insurance": totalsInput("11", "320", Totals{}),
		"another agency": with(totalsInput("11", "310", Totals{}), "data", "setl_optins", "440300"),
		"another day":    with(with(totalsInput("11", "310", Totals{}), "data", "stmt_begndate", "2025-06-17"), "data", "stmt_enddate", "2025-06-17"),
	} {
		if got := d.rslt(in); got != "0" {
			t.Errorf("%s: %s", name, got)
		}
	}
	d.must(p, "2208", undoInput(p, v, text(node(out, "setlinfo"), "setl_id")))
	for _, k := range []struct {
		member, value string
		x             Totals
	}{
		{"refd_setl_flag", "", Totals{0, 0, 0, 2}}, {"refd_setl_flag", "1", Totals{0, 0, 0, 2}},
		{"refd_setl_flag", "0", Totals{}}, {"REFD_SETL_FLAG", "0", Totals{}},
	} {
		if got := d.rslt(with(totalsInput("11", "310", k.x), "data", k.member, k.value)); got != "0" {
			t.Errorf("%s %q: %s", k.member, k.value, got)
		}
	}
	for name, in := range map[string]object{
		"backwards": with(totalsInput("11", "310", own), "data", "stmt_enddate", "2025-06-01"),
		"flag":      with(totalsInput("11", "310", own), "data", "refd_setl_flag", "2"),
		"count":     with(totalsInput("11", "310", own), "data", "fixmedins_setl_cnt", json.Number("-1")),
		"no total":  without(totalsInput("11", "310", own), "data", "medfee_sumamt"),
	} {
		if r := d.send(p, "3201", in); r.OK() {
			t.Errorf("%s: accepted", name)
		}
	}
	req := d.request("3201", d.msgid(), "", totalsInput("11", "310", Totals{}))
	req.Extra = map[string]string{"REFD_SETL_FLAG": "0"}
	body, err := wire.EncodeRequest(req)
	if err != nil {
		t.Fatal(err)
	}
	r, err := wire.DecodeReply(d.post(body).Body.Bytes())
	o, _ := r.Output.(object)
	if err != nil || text(node(o, "stmtinfo"), "stmt_rslt") != "0" {
		t.Errorf("the flag in the outer message: %v %v", err, o)
	}
}

// A lost answer, a trade made outside, a dropped one and an altered one: each is found as what it
// is, in every layout, and after the reversal the day balances.
func TestDetails(t *testing.T) {
	for _, f := range []StatementForm{{}, {Columns: 7}, {Columns: 8, Differing: true}, {Columns: 11, Hubei: true, Differing: true, Bare: true}, {Hubei: true}} {
		d := newDesk(t, Options{Region: Region{Statement: f}})
		p := someone(t, people.Active)
		for range 4 {
			d.settled(p, d.open(p), "B1", standardBill()[:2])
		}
		lines := d.book()
		id := func(i int) string { return strings.Split(lines[i], "\t")[0] }
		if err := d.c.Drop(id(1)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.c.Alter(id(2), 1); err != nil {
			t.Fatal(err)
		}
		out, err := d.c.Outside(OutsideTrade{Place: big, Person: p.No, Total: 50_00, UseAccount: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.c.Check(); err != nil {
			t.Fatal(err)
		}
		got := d.result(d.detailInput("11", append(lines, lines[0])))
		want := map[string]verdict{id(0): balanced, id(1): placeMore, id(2): differs, id(3): balanced, out.ID: centreMore}
		counts := map[verdict]int{}
		for _, line := range got {
			cols := strings.Split(line, "\t")
			width := f.Columns
			if width == 0 {
				width = 10
			}
			if len(cols) != width {
				t.Fatalf("%+v: %d columns: %q", f, len(cols), line)
			}
			v := verdict(-1)
			for _, one := range []verdict{balanced, centreMore, placeMore, differs} {
				if cols[4] == f.code(one) {
					v = one
				}
			}
			counts[v]++
			empty := ""
			if f.Hubei {
				empty = "null"
			}
			switch {
			case v == centreMore && (cols[3] != out.MsgID || f.Bare && cols[2] != empty || !f.Bare && cols[2] != out.ID):
				t.Errorf("%+v: %q", f, line)
			case v == placeMore && cols[3] != empty:
				t.Errorf("%+v: a message id from nowhere: %q", f, line)
			case v != centreMore && v != placeMore && want[cols[2]] != v:
				t.Errorf("%+v: %q is %d", f, line, v)
			case v == centreMore && width >= 10 && cols[7] != "50.00":
				t.Errorf("%+v: amount in %q", f, line)
			}
		}
		wanted := map[verdict]int{balanced: 2, placeMore: 2, differs: 1, centreMore: 1} // the repeated line is one too many
		if f.Differing {
			delete(wanted, balanced)
		}
		if fmt.Sprint(counts) != fmt.Sprint(wanted) {
			t.Errorf("%+v: %v, want %v", f, counts, wanted)
		}
		d.must(p, "2601", reverseInput(p, out.MsgID, "2207"))
		again := d.result(d.detailInput("11", d.book()))
		for _, line := range again {
			if strings.Split(line, "\t")[4] != f.code(balanced) {
				t.Errorf("%+v: %q", f, line)
			}
		}
		if f.Differing && len(again) != 0 {
			t.Errorf("%+v: %d lines of a balanced day", f, len(again))
		}
	}
}

func TestDetailRefusals(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Active)
	d.settled(p, d.open(p), "B1", standardBill())
	lines := d.book()
	good := d.detailInput("11", lines)
	bad := func(name string, body []byte, says string) {
		t.Helper()
		r := d.send(p, "3202", with(good, "data", "file_qury_no", d.uploaded(body)))
		if r.OK() || !strings.Contains(r.ErrMsg, says) {
			t.Errorf("%s: %q does not speak of %q", name, r.ErrMsg, says)
		}
	}
	row := lines[0]
	bad("no zip", []byte("hello"), "zip")
	bad("two files", zipped(t, []string{"a.txt", "b.txt"}, row, row), "只有一个")
	bad("no file", zipped(t, nil), "只有一个")
	bad("a path", zipped(t, []string{"../a.txt"}, row), "文件名")
	bad("a folder", zipped(t, []string{"x/a.txt"}, row), "文件名")
	bad("another kind", zipped(t, []string{"a.exe"}, row), "文件名")
	bad("a bomb", zipped(t, []string{"a.txt"}, strings.Repeat("0", maxText+1)), "超过")
	bad("not UTF-8", zipped(t, []string{"a.txt"}, "\xff\xfe"), "UTF-8")
	bad("too few columns", zipped(t, []string{"a.txt"}, "a\tb\tc"), "第 1 行")
	bad("too many columns", zipped(t, []string{"a.txt"}, row+"\n"+row+"\t1\t2"), "第 2 行")
	bad("no amount", zipped(t, []string{"a.txt"}, strings.Replace(row, "479.54", "4,79", 1)), "第 1 行")
	bad("a gap", zipped(t, []string{"a.txt"}, row+"\n\n"+row), "第 2 行")
	bad("other sums", zipped(t, []string{"a.txt"}, row+"\n"+row), "合计不一致")
	for name, text := range map[string]string{"crlf and a tab behind": row + "\t\r\n", "eight columns": row + "\tnull", "line end": row + "\n"} {
		in := with(good, "data", "file_qury_no", d.uploaded(zipped(t, []string{"a.TXT"}, text)))
		if got := d.result(in); len(got) != 1 || strings.Split(got[0], "\t")[4] != "0" {
			t.Errorf("%s: %q", name, got)
		}
	}
	if r := d.send(p, "3202", with(good, "data", "file_qury_no", "7")); r.OK() {
		t.Error("a file nobody uploaded")
	}
	d.place = small
	if r := d.send(p, "3202", good); r.OK() {
		t.Error("another institution's file")
	}
}

func TestFileForms(t *testing.T) {
	content := []byte{0, 1, 127, 128, 255, 'z'}
	signed, unsigned, low := []any{}, []any{}, []any{}
	for _, b := range content {
		signed = append(signed, json.Number(fmt.Sprint(int8(b))))
		unsigned = append(unsigned, json.Number(fmt.Sprint(b)))
		low = append(low, json.Number(fmt.Sprint(b&0x7f)))
	}
	forms := map[string]any{formBase64: base64.StdEncoding.EncodeToString(content), formInt8: signed, formUint8: unsigned}
	for _, only := range []string{"", formBase64, formInt8, formUint8} {
		d := newDesk(t, Options{Region: Region{FileForm: only}})
		for form, in := range forms {
			r := d.send(people.Person{}, "9101", d.uploadInput(in))
			if r.OK() != (only == "" || only == form) {
				t.Fatalf("%q in a region that wants %q: %q", form, only, r.ErrMsg)
			}
			if !r.OK() {
				continue
			}
			out, _ := r.Output.(object)
			if w := d.fetch(text(out, "file_qury_no"), text(out, "filename")); !bytes.Equal(w.Body.Bytes(), content) || w.Header().Get("Content-Type") != "application/octet-stream" {
				t.Errorf("%s: came back as %q", form, w.Body)
			}
		}
		if r := d.send(people.Person{}, "9101", d.uploadInput(low)); r.OK() != (only != formBase64) {
			t.Errorf("small bytes in a region that wants %q: %q", only, r.ErrMsg)
		}
	}
	if _, err := New(Options{Catalog: table(), Region: Region{FileForm: "hex"}}); err == nil {
		t.Error("a form that does not exist")
	}
	if _, err := New(Options{Catalog: table(), Region: Region{Statement: StatementForm{Columns: 9}}}); err == nil {
		t.Error("a layout that does not exist")
	}
	at := noon()
	d := newDesk(t, Options{Now: func() time.Time { return at }})
	for name, in := range map[string]any{"not base64": "*", "empty": "", "no array of bytes": []any{json.Number("256")}, "text in the array": []any{"1"},
		"a fraction": []any{json.Number("1.5")}, "both signs": []any{json.Number("-1"), json.Number("200")}, "an object": object{}, "nothing": nil} {
		if r := d.send(people.Person{}, "9101", d.uploadInput(in)); r.OK() {
			t.Errorf("%s: accepted", name)
		}
	}
	if r := d.send(people.Person{}, "9101", with(d.uploadInput("eA=="), "fsUploadIn", "filename", "../x")); r.OK() {
		t.Error("a path as a name")
	}
	id, in := d.msgid(), d.uploadInput("eA==")
	for range 2 { // the same message again is harmless
		if r := d.sendAs("9101", id, "", in); !r.OK() {
			t.Error(r.ErrMsg)
		}
	}
	no := d.uploaded([]byte("x"))
	if w := d.fetch(no, "plc"); w.Body.String() != "x" {
		t.Errorf("plc: %s", w.Body)
	}
	for name, try := range map[string][2]string{"another name": {no, "b.zip"}, "another number": {"1", "detail.zip"}} {
		w := d.fetch(try[0], try[1])
		r, err := wire.DecodeReply(w.Body.Bytes())
		if err != nil || r.OK() || strings.Contains(w.Header().Get("Content-Type"), "octet") {
			t.Errorf("%s: %v %s", name, err, w.Body)
		}
	}
	at = at.Add(8 * 24 * time.Hour)
	if r, err := wire.DecodeReply(d.fetch(no, "plc").Body.Bytes()); err != nil || r.OK() {
		t.Error("downloaded after its time")
	}
}

func TestClearing(t *testing.T) {
	d := newDesk(t, Options{})
	in := object{"data": object{"clr_type": "11", "clr_way": "01", "setlym": "202506", "psntime": json.Number("1"), "medfee_sumamt": json.Number("1.00"),
		"med_sumfee": json.Number("1.00"), "fund_appy_sum": json.Number("1.00"), "cash_payamt": json.Number("0.00"), "acct_pay": json.Number("0.00"),
		"begndate": "2025-06-01", "enddate": "2025-06-30"}}
	out := d.must(people.Person{}, "3203", in)
	off := object{"data": object{"clr_appy_evt_id": text(node(out, "result"), "clr_appy_evt_id")}}
	for name, k := range map[string]struct {
		infno string
		in    object
	}{"twice": {"3203", in}, "no month": {"3203", with(in, "data", "setlym", "202513")}, "backwards": {"3203", with(in, "data", "enddate", "2025-05-01")},
		"nothing": {"3204", object{"data": object{"clr_appy_evt_id": "1"}}}} {
		before := d.c.Digest()
		if r := d.send(people.Person{}, k.infno, k.in); r.OK() || d.c.Digest() != before {
			t.Errorf("%s: accepted", name)
		}
	}
	d.place = small
	if r := d.send(people.Person{}, "3204", off); r.OK() {
		t.Error("another institution's application")
	}
	d.place = big
	d.must(people.Person{}, "3204", off)
	if r := d.send(people.Person{}, "3204", off); r.OK() {
		t.Error("withdrawn twice")
	}
	d.must(people.Person{}, "3203", in)
}

func TestOutside(t *testing.T) {
	d := newDesk(t, Options{Region: Region{AskByVisit: true}})
	call := func(path, body string) (int, object) {
		w := httptest.NewRecorder()
		d.c.Control().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/control/"+path, strings.NewReader(body)))
		v, err := strictjson.Decode(w.Body.Bytes(), strictjson.Reply())
		if err != nil {
			t.Fatalf("%s: %v %s", path, err, w.Body)
		}
		o, _ := v.(object)
		return w.Code, o
	}
	before := d.c.MoneyDigest()
	for clr, infno := range map[string]string{"11": "2207", "21": "2304", "41": "2102"} {
		p := someone(t, people.Servant)
		code, s := call("outside", `{"fixmedins_code":"H44010000001","psn_no":"`+p.No+`","clr_type":"`+clr+`","medfee_sumamt":"1234.56","acct_used":true}`)
		if code != http.StatusOK || text(s, "infno") != infno || text(s, "clr_type") != clr || s["outside"] != true {
			t.Fatalf("outside %s: %d %v", clr, code, s)
		}
		info := node(d.must(p, "5203", object{"data": object{"psn_no": p.No, "mdtrt_id": s["mdtrt_id"]}}), "setlinfo")
		if text(info, "medins_setl_id") != text(s, "medins_setl_id") || fen(t, info, "medfee_sumamt") != 1234_56 {
			t.Errorf("5203: %v", info)
		}
		if code, s = call("alter", `{"setl_id":"`+text(s, "setl_id")+`","by":"-0.01"}`); code != http.StatusOK || text(s, "medfee_sumamt") != "1234.55" {
			if clr != "41" { // nothing the pool paid that could become less
				t.Errorf("alter: %d %v", code, s)
			}
		}
		if err := d.c.Check(); err != nil {
			t.Fatal(err)
		}
	}
	p := someone(t, people.Servant)
	for _, s := range d.c.Settlements() {
		switch s.ClrType {
		case "11":
			d.must(p, "2601", reverseInput(p, s.MsgID, s.Infno))
		case "21":
			d.must(p, "2305", undoInput(p, s.Visit, s.ID))
		default:
			if code, _ := call("drop", `{"setl_id":"`+s.ID+`"}`); code != http.StatusOK {
				t.Errorf("drop: %d", code)
			}
			if r := d.send(p, "2601", reverseInput(p, s.MsgID, s.Infno)); r.OK() || r.ErrMsg != "未找到原交易" {
				t.Errorf("a dropped trade was reversed: %q", r.ErrMsg)
			}
		}
	}
	if d.c.MoneyDigest() != before {
		t.Error("outside trades left a trace")
	}
	for _, bad := range [][2]string{{"outside", `{}`}, {"outside", `{"fixmedins_code":"H44010000001","psn_no":"1"}`}, {"drop", `{"setl_id":"x"}`},
		{"alter", `{"setl_id":"x"}`}, {"alter", `[`}, {"outside", `{"nosuch":1}`},
		{"outside", `{"fixmedins_code":"H44010000001","psn_no":"` + p.No + `","clr_type":"99","medfee_sumamt":"1"}`},
		{"outside", `{"fixmedins_code":"H44010000001","psn_no":"` + p.No + `","medfee_sumamt":"-1"}`},
		{"outside", `{"fixmedins_code":"H44010000001","psn_no":"` + someone(t, people.Paused).No + `","medfee_sumamt":"1"}`}} {
		if code, o := call(bad[0], bad[1]); code != http.StatusBadRequest {
			t.Errorf("%v: %d %v", bad, code, o)
		}
	}
	if err := d.c.Check(); err != nil {
		t.Error(err)
	}
}

// What an altered settlement paid counts towards the year, and its undo takes all of it back.
func TestAlterCounts(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Active)
	before := d.c.MoneyDigest()
	visit := d.open(p)
	_, out := d.settled(p, visit, "B1", standardBill())
	setl := text(node(out, "setlinfo"), "setl_id")
	if s, err := d.c.Alter(setl, 1_79); err != nil || s.Total != 481_33 || s.Fund != 90_00 {
		t.Fatalf("%+v %v", s, err)
	}
	for _, row := range rows(d.must(p, "5206", object{"data": object{"psn_no": p.No}}), "cuminfo") {
		if text(row, "cum_type_code") == "POOL" && fen(t, row, "cum") != 90_00 {
			t.Errorf("counted %v", row)
		}
	}
	if _, err := d.c.Alter(setl, -90_01); err == nil {
		t.Error("the fund paid less than nothing")
	}
	identities(t, d.must(p, "2208", undoInput(p, visit, setl)), false, true)
	if d.c.MoneyDigest() != before {
		t.Error("the undo left a trace")
	}
}

// Dropping an undo brings the settlement back.
func TestDropUndo(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Active)
	visit := d.open(p)
	_, out := d.settled(p, visit, "B1", standardBill())
	settled := d.c.MoneyDigest()
	setl := text(node(out, "setlinfo"), "setl_id")
	undo := text(node(d.must(p, "2208", undoInput(p, visit, setl)), "setlinfo"), "setl_id")
	if d.c.Drop(setl) == nil {
		t.Error("what was undone was dropped")
	}
	if _, err := d.c.Alter(setl, 1); err == nil {
		t.Error("what was undone was altered")
	}
	if err := d.c.Drop(undo); err != nil || d.c.MoneyDigest() != settled {
		t.Errorf("the settlement did not come back: %v", err)
	}
	if err := d.c.Check(); err != nil {
		t.Error(err)
	}
}

// Whatever bytes are uploaded, 3202 reads them or refuses, within bounds.
func FuzzDetailFile(f *testing.F) {
	f.Add([]byte("PK"), "a\tb\tc\t1\t1\t0\t0")
	f.Add(zipped(f, []string{"a.txt"}, "a\tb\tc\t1\t1\t0\t0\n"), "a\tb\tc\t-1.00\tnull\t0\t1\t\t\r")
	f.Fuzz(func(t *testing.T, body []byte, line string) {
		if list, err := readTable(body); err == nil && len(list) > maxLines {
			t.Fatal("more lines than allowed")
		}
		if r, ok := readLine(line); ok && (r.total > money.MaxFen || len(r.setl) > 64) {
			t.Fatal("a row out of bounds")
		}
	})
}

func TestReadLineKeepsWhatWasWritten(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 4))
	for range 2000 {
		want := tableRow{setl: fmt.Sprint(rnd.Uint32()), visit: fmt.Sprint(rnd.Uint32()), psn: fmt.Sprint(rnd.Uint32()),
			total: money.Fen(rnd.Int64N(1e9) - 5e8), fund: money.Fen(rnd.Int64N(1e9) - 5e8), account: money.Fen(rnd.Int64N(1e9)), refund: rnd.IntN(2) == 0}
		line := strings.Join([]string{want.setl, want.visit, want.psn, want.total.String(), want.fund.String(), want.account.String(), flag(want.refund)}, "\t")
		if got, ok := readLine(line + strings.Repeat("\t", rnd.IntN(3))); !ok || got != want {
			t.Fatalf("%q: %+v", line, got)
		}
	}
}
