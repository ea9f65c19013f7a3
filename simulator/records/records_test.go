package records

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// desk sends inputs to a book as an institution.
type desk struct {
	t    *testing.T
	cat  *catalog.Catalog
	book *Book
	f    Facts
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	cat, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	b, err := New()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	return &desk{t, cat, b, Facts{
		Place: "H1", Own: map[string]any{"opter_id": "op", "crte_time": "2026-06-18 08:00:00"},
		NewID: func() string { n++; return fmt.Sprint("N", n) },
		Known: func(psn string) error {
			if psn != "P1" {
				return Refusal("未查询到人员信息")
			}
			return nil
		},
		Person: func(string) map[string]any { return nil },
		View: func(name string) ([]map[string]any, bool) {
			return []map[string]any{{"file_qury_no": "F1"}}, name == "files"
		},
	}}
}

func (d *desk) send(infno, input string) (any, error) {
	d.t.Helper()
	t, ok := d.cat.Lookup(ident.Infno(infno))
	if !ok || !d.book.Knows(t.Infno) {
		d.t.Fatalf("%s is not of the book", infno)
	}
	in, err := strictjson.Decode([]byte(input), strictjson.Request())
	if err != nil {
		d.t.Fatal(err)
	}
	run, _, err := d.book.Plan(t, in.(map[string]any), d.f)
	if err != nil {
		var r Refusal
		if !errors.As(err, &r) {
			d.t.Fatalf("%s: %v is no refusal", infno, err)
		}
		return nil, err
	}
	return run(), nil
}

func (d *desk) done(infno, input string) any {
	d.t.Helper()
	out, err := d.send(infno, input)
	if err != nil {
		d.t.Fatalf("%s: %v", infno, err)
	}
	return out
}

func (d *desk) rows(infno, input, node string) []any {
	d.t.Helper()
	o, _ := d.done(infno, input).(map[string]any)
	list, ok := o[node].([]any)
	if !ok {
		d.t.Fatalf("%s: no %s in %v", infno, node, o)
	}
	return list
}

const fee = `{"fsiOwnpayPatnFeeListDDTO":[{"fixmedins_mdtrt_id":"V1","bkkp_sn":"%s","det_item_fee_sumamt":%s,"fee_ocur_time":"2026-06-18 07:00:00"}]}`
const ask = `{"fixmedins_mdtrt_id":"V1","fixmedins_code":"H1","page_num":%d,"page_size":%d}`

// What is shown is what was kept and what the centre knows; the rest of the table is null. The same key replaces, a page is a page.
func TestWhatIsKeptIsShown(t *testing.T) {
	d := newDesk(t)
	for i := range 5 {
		d.done("4201A", fmt.Sprintf(fee, fmt.Sprint(i), "1.20"))
	}
	d.done("4201A", fmt.Sprintf(fee, "3", "9.90"))
	list := d.rows("4207", fmt.Sprintf(ask, 1, 10), "data")
	last := list[len(list)-1].(map[string]any)
	if len(list) != 5 || last["bkkpSn"] != "3" || last["detItemFeeSumamt"] != json.Number("9.90") || last["opterId"] != "op" {
		t.Errorf("%d rows, the last %v", len(list), last)
	}
	if v, there := last["prodname"]; !there || v != nil {
		t.Errorf("what nobody said is %v", v)
	}
	if n := len(d.rows("4207", fmt.Sprintf(ask, 2, 3), "data")); n != 2 {
		t.Errorf("%d rows on the second page of three", n)
	}
	const huge = 9223372036854775807
	if n := len(d.rows("4207", fmt.Sprintf(ask, huge, 3), "data")); n != 0 {
		t.Errorf("%d rows on a page far behind the last", n)
	}
	if n := len(d.rows("4207", fmt.Sprintf(ask, 1, huge), "data")); n != 5 {
		t.Errorf("%d rows on a page without end", n)
	}
	if n := len(d.rows("4207", fmt.Sprintf(ask, huge, huge), "data")); n != 0 {
		t.Errorf("%d rows on a huge page far behind", n)
	}
	d.f.Place = "H2"
	if _, err := d.send("4207", fmt.Sprintf(ask, 1, 10)); err == nil {
		t.Error("another institution asks in the name of this one")
	}
}

// A record goes once; what is not there is refused, and a refusal changes nothing.
func TestWhatIsNotThereIsRefused(t *testing.T) {
	d := newDesk(t)
	d.done("4201A", fmt.Sprintf(fee, "1", "1.20"))
	before := d.book.Lines()
	for infno, input := range map[string]string{
		"4204":  `{"feedetail":{"fixmedins_mdtrt_id":"V2","fixmedins_code":"H1"},"feedetl":[{"bkkp_sn":"1"}]}`,
		"3402":  `{"deptinfo":{"hosp_dept_codg":"K1","hosp_dept_name":"内科"}}`,
		"4501":  `{"examinfo":{"psn_no":"P2","rpotc_no":"R1"}}`,
		"3211":  `{"data":{"file_qury_no":"F2"}}`,
		"3508":  `{"data":{"fixmedins_code":"H1","fixmedins_bchno":"B1"}}`,
		"4103":  `{"data":{"setl_id":"S1"}}`,
		"25002": `{"data":{"psn_no":"P2"}}`,
	} {
		if out, err := d.send(infno, input); err == nil {
			t.Errorf("%s: %v", infno, out)
		}
	}
	if !reflect.DeepEqual(before, d.book.Lines()) {
		t.Error("a refusal changed something")
	}
	gone := `{"feedetail":{"fixmedins_mdtrt_id":"V1","fixmedins_code":"H1"},"feedetl":[{"bkkp_sn":"1"}]}`
	d.done("4204", gone)
	if _, err := d.send("4204", gone); err == nil || len(d.book.Lines()) != 0 {
		t.Error("the same row went twice, or is still there")
	}
	d.done("3211", `{"data":{"file_qury_no":"F1"}}`)
}

// The parts of a list that is sent again are replaced whole, and a book does not grow without end.
func TestABookIsBounded(t *testing.T) {
	d := newDesk(t)
	list := `{"setlinfo":{"setl_id":"S1","mdtrt_id":"V1"},"diseinfo":[%s]}`
	d.done("4101", fmt.Sprintf(list, `{"diag_code":"A"},{"diag_code":"B"}`))
	out := d.done("4101", fmt.Sprintf(list, `{"diag_code":"C"}`)).(map[string]any)
	shown := d.done("4103", `{"data":{"setl_id":"S1"}}`).(map[string]any)
	diag, _ := shown["diseinfo"].(map[string]any)
	if out["setl_list_id"] == nil || diag["diag_code"] != "C" || len(d.book.Lines()) != 2 {
		t.Errorf("%v %v %d", out, shown["diseinfo"], len(d.book.Lines()))
	}
	for i := range most + 20 {
		d.done("4201A", fmt.Sprintf(fee, fmt.Sprint(i), "1"))
	}
	if n := len(d.rows("4207", fmt.Sprintf(ask, 1, 10_000), "data")); n != most {
		t.Errorf("%d rows are kept, want %d", n, most)
	}
}

// Every rule is about a described transaction, and tells into a node of its table.
func TestRulesFitTheTables(t *testing.T) {
	d := newDesk(t)
	rules, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	for n, list := range rules {
		x, ok := d.cat.Lookup(ident.Infno(n))
		if !ok || !x.Described() {
			t.Errorf("%s is not described", n)
			continue
		}
		for _, q := range list {
			if q.To != "" && q.To != "." && !node(x.Output, q.To) || q.Of != "" && !node(x.Input, q.Of) {
				t.Errorf("%s: no node %q or %q", n, q.To, q.Of)
			}
		}
	}
}

// node reports whether a table has the node at the end of a path.
func node(list []catalog.Node, path string) bool {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '.' {
			path = path[i+1:]
			break
		}
	}
	for _, n := range list {
		if n.Name == path {
			return true
		}
	}
	return false
}

// FuzzPlan: whatever an input is, it is answered or refused.
func FuzzPlan(f *testing.F) {
	for _, seed := range []string{`{}`, `{"data":null}`, `{"data":[null,1,"x",{},[{"psn_no":{}}]]}`, `{"data":{"stastinfo":[1,{"setl_id":[]}]},"setlinfo":[]}`, `{"page_num":"-1","page_size":"x","data":{"page_size":1e3}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := strictjson.Decode(b, strictjson.Request())
		in, ok := v.(map[string]any)
		if err != nil || !ok {
			return
		}
		d := newDesk(t)
		for n := range d.book.rules {
			x, _ := d.cat.Lookup(ident.Infno(n))
			run, _, err := d.book.Plan(x, in, d.f)
			var r Refusal
			switch {
			case err == nil:
				run()
			case !errors.As(err, &r):
				t.Fatalf("%s: %v", n, err)
			}
		}
	})
}
