package acceptance

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"yiqiao/schemas/strictjson"
	"yiqiao/simulator/acceptance/accepttest"
)

// A defect is a centre that does one thing wrong. The suite must catch it by the requirement it breaks.
type defect struct {
	name, caught string
	bend         func(http.Handler) http.Handler
}

// onReply changes the replies of some transactions ("" for all): doc is the whole reply message.
func onReply(infno string, change func(doc map[string]any)) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			out := rec.Body.Bytes()
			if infno == "" || strings.Contains(string(body), `"infno":"`+infno+`"`) {
				if v, err := strictjson.Decode(out, strictjson.Reply()); err == nil {
					if doc, ok := v.(map[string]any); ok {
						change(doc)
						out = strictjson.Encode(doc)
					}
				}
			}
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			w.WriteHeader(rec.Code)
			_, _ = w.Write(out)
		})
	}
}

// field changes a field of the output of a success.
func field(infno, where string, change func(any) any) func(http.Handler) http.Handler {
	return onReply(infno, func(doc map[string]any) {
		out := doc["output"]
		v, _ := at(out, where)
		if _, there := at(out, where[:max(0, strings.LastIndexByte(where, '.'))]); !there || strictjson.Text(doc["infcode"]) != "0" {
			return
		}
		if err := put(out, where, change(v), false); err != nil {
			panic(err)
		}
	})
}

func plus(fen int64) func(any) any {
	return func(v any) any {
		f, _ := strconv.ParseFloat(strictjson.Text(v), 64)
		return number2(int64(f*100+sign(f)*0.5) + fen)
	}
}

func sign(f float64) float64 {
	if f < 0 {
		return -1
	}
	return 1
}

func number2(fen int64) any {
	v, _ := strictjson.Decode([]byte(strconv.FormatFloat(float64(fen)/100, 'f', 2, 64)), strictjson.Reply())
	return v
}

func is(v any) func(any) any { return func(any) any { return v } }

// says makes a centre answer some transactions with success and a given output, doing nothing.
func says(infno, marker, output string) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		n := 0
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			if !strings.Contains(string(body), `"infno":"`+infno+`"`) || !strings.Contains(string(body), marker) {
				h.ServeHTTP(w, r)
				return
			}
			n++
			_, _ = io.WriteString(w, `{"infcode":0,"inf_refmsgid":"44010020260618120000`+leftPad(n+900000)+`","refmsg_time":"20260618120000000","respond_time":"20260618120000001","err_msg":null,"output":`+output+`}`)
		})
	}
}

func leftPad(n int) string { s := strconv.Itoa(n); return strings.Repeat("0", 10-len(s)) + s }

// gullible takes a refusal for done: every refusal of a transaction becomes a success.
func gullible(infno string) func(http.Handler) http.Handler {
	return onReply(infno, func(doc map[string]any) {
		if strictjson.Text(doc["infcode"]) != "0" {
			doc["infcode"] = number2(0)
			doc["infcode"], doc["err_msg"], doc["output"] = "0", nil, map[string]any{}
		}
	})
}

func defects() []defect {
	list := []defect{
		{name: "inf_refmsgid too short", caught: "ENV-02", bend: onReply("", func(d map[string]any) { d["inf_refmsgid"] = "123" })},
		{name: "refmsg_time without milliseconds", caught: "ENV-03", bend: onReply("", func(d map[string]any) { d["refmsg_time"] = "20260618120000" })},
		{name: "respond_time as a date", caught: "ENV-03", bend: onReply("", func(d map[string]any) { d["respond_time"] = "2026-06-18 12:00:00" })},
		{name: "no infcode", caught: "ENV-01", bend: onReply("1101", func(d map[string]any) { delete(d, "infcode") })},
		{name: "a refusal without words", caught: "ENV-04", bend: onReply("", func(d map[string]any) { d["err_msg"] = nil })},
		{name: "a refusal of 300 characters", caught: "ENV-04", bend: onReply("", func(d map[string]any) {
			if d["err_msg"] != nil {
				d["err_msg"] = strings.Repeat("长", 300)
			}
		})},
		{name: "the same inf_refmsgid again", caught: "ENV-05", bend: onReply("", func(d map[string]any) { d["inf_refmsgid"] = "440100202606181200000000000001" })},
		{name: "any number is taken", caught: "ENV-07", bend: gullible("2999")},
		{name: "no dictionary is looked at", caught: "ENV-11", bend: says("2201", `"mdtrt_cert_type":"77"`, `{"data":{"mdtrt_id":"X1"}}`)},
		{name: "a missing field is not named", caught: "ENV-10", bend: onReply("2201", func(d map[string]any) {
			if d["err_msg"] != nil {
				d["err_msg"] = "系统错误"
			}
		})},
		{name: "a missing field is let through", caught: "ENV-10", bend: gullible("2201")},
		{name: "any institution is served", caught: "ENV-08", bend: says("1101", "X99999999999", `{"baseinfo":{"psn_no":"1"}}`)},
		{name: "a used message id does business", caught: "ENV-09", bend: gullible("2205")},
		{name: "A: a fen too much", caught: "AMT-A", bend: field("2206", "setlinfo.inscp_scp_amt", plus(1))},
		{name: "B: a fen too much", caught: "AMT-B", bend: field("2207", "setlinfo.psn_part_amt", plus(1))},
		{name: "C: a fen too little", caught: "AMT-C", bend: field("2207", "setlinfo.fund_pay_sumamt", plus(-1))},
		{name: "D: a fund a fen off", caught: "AMT-D", bend: field("2304", "setlinfo.hifp_pay", plus(1))},
		{name: "J: a row of the settlement a fen off", caught: "AMT-J", bend: field("2207", "setldetail.0.fund_payamt", plus(1))},
		{name: "K: an undo with positive amounts", caught: "AMT-K", bend: field("2208", "setlinfo.medfee_sumamt", is(number2(47954)))},
		{name: "a fee row whose parts do not add up", caught: "AMT-ROW", bend: field("2204", "result.0.inscp_scp_amt", plus(1))},
		{name: "a ratio in per cent", caught: "AMT-H", bend: field("2207", "setlinfo.pool_prop_selfpay", is("60"))},
		{name: "a trial with a settlement id", caught: "AMT-L", bend: field("2206", "setlinfo.setl_id", is("S1"))},
		{name: "medins_setl_id made up", caught: "AMT-M", bend: field("5203", "setlinfo.medins_setl_id", is("H44010000001202606181200009999"))},
		{name: "the settlement pays something else than the trial", caught: "AMT-T", bend: field("2206", "setlinfo.psn_cash_pay", plus(100))},
		{name: "a wrong total is let through", caught: "AMT-S", bend: says("2206", `"medfee_sumamt":479.55`, `{"setlinfo":{}}`)},
		{name: "wrong parts are let through", caught: "AMT-P", bend: says("2207", `"fulamt_ownpay_amt":35.51`, `{"setlinfo":{"setl_id":"S9"}}`)},
		{name: "a registration without visit id", caught: "ORD-2201-1", bend: field("2201", "data.mdtrt_id", is(nil))},
		{name: "an unknown person is registered", caught: "ORD-2201-2", bend: says("2201", "99999999999999999999", `{"data":{"mdtrt_id":"X1"}}`)},
		{name: "paused insurance is ignored", caught: "ORD-2201-3", bend: says("2201", "44010000000000000009", `{"data":{"mdtrt_id":"X1"}}`)},
		{name: "visit data without visit", caught: "ORD-2203-1", bend: gullible("2203")},
		{name: "rows without visit", caught: "ORD-2204-1", bend: gullible("2204")},
		{name: "a row number twice is taken", caught: "ORD-2204-2", bend: gullible("2204")},
		{name: "amount of a row is not looked at", caught: "ORD-2204-3", bend: gullible("2204")},
		{name: "rows of a settled batch go", caught: "ORD-2205-2", bend: gullible("2205")},
		{name: "a trial over nothing", caught: "ORD-2206-1", bend: gullible("2206")},
		{name: "a batch settled twice", caught: "ORD-2207-1", bend: gullible("2207")},
		{name: "a settlement without id", caught: "ORD-2207-2", bend: field("2207", "setlinfo.setl_id", is(nil))},
		{name: "an undo that gives nothing back", caught: "ORD-2208-1", bend: field("2208", "setlinfo.balc", plus(-35583))},
		{name: "undone twice", caught: "ORD-2208-2", bend: gullible("2208")},
		{name: "anything can be undone", caught: "ORD-2208-3", bend: gullible("2208")},
		{name: "a registration with a settlement goes", caught: "ORD-2202-2", bend: gullible("2202")},
		{name: "a swallowed reversal", caught: "REV-01", bend: says("2601", "", `null`)},
		{name: "2204 can be reversed", caught: "REV-02", bend: gullible("2601")},
		{name: "a reversal of nothing", caught: "REV-03", bend: gullible("2601")},
		{name: "a reversal twice", caught: "REV-04", bend: gullible("2601")},
		{name: "the number of the reversed message is not looked at", caught: "REV-06", bend: gullible("2601")},
		{name: "5203 with another amount", caught: "QRY-5203", bend: field("5203", "setlinfo.medfee_sumamt", plus(1))},
		{name: "5203 hides an undo", caught: "QRY-5203-2", bend: field("5203", "setlinfo.refd_setl_flag", is("0"))},
		{name: "a stay settled twice", caught: "INP-2304", bend: gullible("2304")},
		{name: "an admission with rows goes", caught: "INP-2404", bend: gullible("2404")},
		{name: "a sale undone twice", caught: "PHA-2103", bend: gullible("2103")},
		{name: "totals always agree", caught: "REC-3201-2", bend: field("3201", "stmtinfo.stmt_rslt", is("0"))},
		{name: "a sign-in without number", caught: "SGN-9001", bend: field("9001", "signinoutb.sign_no", is(nil))},
		{name: "nobody is somebody", caught: "PSN-1101-2", bend: gullible("1101")},
		{name: "no area of insurance", caught: "PSN-ELSE", bend: field("1101", "insuinfo.0.insuplc_admdvs", is(nil))},
		{name: "a field of the wrong type", caught: "FLD-2206-O", bend: field("2206", "setlinfo.medfee_sumamt", is(map[string]any{}))},
		{name: "a filing twice", caught: "FIL-2", bend: gullible("2503")},
		{name: "withdrawn by any transaction", caught: "FIL-5", bend: gullible("2502")},
		{name: "rows after the final settlement", caught: "INP-AFTER", bend: gullible("2301")},
		{name: "a settled stay loses its discharge", caught: "INP-2405", bend: gullible("2405")},
		{name: "in hospital twice", caught: "INP-TWICE", bend: gullible("2401")},
		{name: "refunds more than there was", caught: "INP-OVER", bend: gullible("2301")},
		{name: "rows under a cancelled registration", caught: "RFD-2", bend: gullible("2204")},
		{name: "undoes for anybody", caught: "RFD-4", bend: gullible("2208")},
		{name: "what was sent again is done again", caught: "TMO-2", bend: gullible("2207")},
		{name: "an upload without a required field is taken", caught: "UPL-2", bend: gullible("3501")},
		{name: "uploads are refused", caught: "UPL-1", bend: onReply("4401", func(d map[string]any) { d["infcode"], d["err_msg"] = "-1", "系统忙" })},
		{name: "any file number is taken", caught: "REC-3202-4", bend: gullible("3202")},
		{name: "a file that says something else is taken", caught: "REC-3202-3", bend: gullible("3202")},
		{name: "clearing twice", caught: "CLR-1", bend: gullible("3203")},
		{name: "a catalogue without number", caught: "CAT-1", bend: field("1301", "file_qury_no", is(nil))},
		{name: "a mapping is forgotten", caught: "MAP-1", bend: field("1317", "data", is([]any{}))},
		{name: "a stale sign-in is good", caught: "SGN-STALE", bend: gullible("1101")},
		{name: "5204 hides the rows", caught: "TMO-1", bend: onReply("5204", func(d map[string]any) { d["output"] = []any{} })},
		{name: "a partial refund settles the whole", caught: "RFD-1", bend: field("2207", "setlinfo.medfee_sumamt", plus(1))},
		{name: "HTML for JSON", caught: "PSN-1101", bend: func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>502</html>") })
		}},
	}
	return list
}

func TestDefectsAreCaught(t *testing.T) {
	list := defects()
	if len(list) < 40 {
		t.Fatalf("only %d", len(list))
	}
	cases, _, err := Cases()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		var only []string // those that name it; what is true of every reply is named by none
		for _, c := range cases {
			if slices.Contains(c.Verifies, d.caught) || slices.ContainsFunc(c.Steps, func(s Step) bool { return slices.Contains(s.Verifies, d.caught) }) {
				only = append(only, c.ID)
			}
		}
		res := run(t, simulated(t, "none", d.bend), Options{Only: only})
		i := slices.IndexFunc(res.Requirements, func(q RequirementResult) bool { return q.ID == d.caught })
		if i < 0 || res.Requirements[i].Status != Fail {
			t.Errorf("%s: not caught by %s", d.name, d.caught)
		}
		if res.Passed() {
			t.Errorf("%s: the run passes", d.name)
		}
	}
}

// A centre that checks no signatures is caught as well.
func TestDefectsOfSecurityAreCaught(t *testing.T) {
	keys := rand.NewChaCha8([32]byte{4}) // as Simulate makes them
	hospital, platform := made(t, keys), made(t, keys)
	good := accepttest.Line(t, "mpc", platform, hospital)
	trusting := func(http.Handler) http.Handler {
		plain := simulated(t, "none", nil).Target.HTTP.(local).Handler
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			data, _, err := good.Open(body)
			if err != nil {
				data = []byte(`{"infno":"1101"}`) // whatever it is, it is answered
			}
			rec := httptest.NewRecorder()
			plain.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(data)))
			out := rec.Body.Bytes()
			if err != nil {
				out = []byte(`{"infcode":0,"inf_refmsgid":"440100202606181200000000999999","refmsg_time":"20260618120000000","respond_time":"20260618120000001","err_msg":null,"output":{}}`)
			}
			sealed, err := good.SealReply(zero{}, accepttest.At0(), "0", "", out)
			if err != nil {
				panic(err)
			}
			_, _ = w.Write(sealed.Body)
		})
	}
	res := run(t, simulated(t, "mpc", trusting), Options{Suite: "security"})
	for _, id := range []string{"SIG-02", "SIG-03", "SIG-04", "SIG-05", "SIG-07"} {
		i := slices.IndexFunc(res.Requirements, func(q RequirementResult) bool { return q.ID == id })
		if res.Requirements[i].Status != Fail {
			t.Errorf("%s: %s", id, res.Requirements[i].Status)
		}
	}
}

type zero struct{}

func (zero) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(i + 1)
	}
	return len(b), nil
}

// For every table that has a case of its own: a reply that is not as the table has it is caught by the requirement on it, and a request
// with one thing wrong that is done all the same by the step that sent it.
func TestDefectsOfTablesAreCaught(t *testing.T) {
	cases, _, err := Cases()
	if err != nil {
		t.Fatal(err)
	}
	byID, infnos := map[string]Case{}, []string{}
	for _, c := range cases {
		if c.Table != "" && c.Service == "" {
			byID[c.ID] = c
			infnos = append(infnos, c.Table)
		}
	}
	if len(byID) < 60 {
		t.Errorf("only %d tables", len(byID))
	}
	of := func(change func(map[string]any)) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler {
			for _, n := range infnos {
				h = onReply(n, change)(h)
			}
			return h
		}
	}
	res := run(t, simulated(t, "none", of(func(d map[string]any) { // says nothing
		if strictjson.Text(d["infcode"]) == "0" {
			d["output"] = map[string]any{}
		}
	})), Options{Suite: "table"})
	for _, c := range byID {
		if c.Table == "3212" {
			continue // what it needs first is spoilt as well
		}
		if i := slices.IndexFunc(res.Requirements, func(q RequirementResult) bool { return q.ID == fieldsID(c.Table) }); res.Requirements[i].Status != Fail {
			t.Errorf("%s: an empty answer: %s is %s", c.ID, res.Requirements[i].ID, res.Requirements[i].Status)
		}
	}
	res = run(t, simulated(t, "none", of(func(d map[string]any) { // takes whatever comes
		if strictjson.Text(d["infcode"]) != "0" {
			d["infcode"], d["err_msg"], d["output"] = "0", nil, map[string]any{}
		}
	})), Options{Suite: "table"})
	for _, k := range res.Cases {
		c := byID[k.ID]
		i := slices.IndexFunc(c.Steps, func(s Step) bool { return s.Send == c.Table && s.Expect.Result == "refused" })
		if i >= 0 && (len(k.Steps) != i+1 || k.Steps[i].Status != Fail) {
			t.Errorf("%s: what is wrong in step %d is taken and nobody notices", k.ID, i+1)
		}
	}
}
