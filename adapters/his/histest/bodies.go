package histest

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"yiqiao/schemas/strictjson"
)

// TransactBody is a low-level transaction as a HIS sends it.
const TransactBody = `{"request_id":"R-1","institution":"H44010000012",
"operator":{"id":"0001","name":"张收费","type":"1"},"insuplc_admdvs":"440100",
"input":{"data":{"mdtrt_cert_type":"02","certno":"999999199001011238","psn_cert_type":"01"}}}`

// BillBody is a bill as a HIS sends it.
const BillBody = `{"request_id":"R-2","institution":"H44010000012",
"operator":{"id":"0001","name":"张收费","type":"1"},
"credential":{"type":"02","number":"999999199001011238","psn_cert_type":"01","certno":"999999199001011238","name":"李四"},
"insutype":"310","psn_setlway":"01","use_account":true,
"visit":{"number":"MZ20260304001","med_type":"11","begin":"2026-03-04 08:00:00",
 "doctor":{"code":"D440100000001","name":"王医生"},"department":{"code":"A03","name":"内科"},"caty":"A03","complaint":"咳嗽三天",
 "disease":{"code":"M03900","name":"高血压"}},
"diagnoses":[{"type":"1","code":"J06.900","name":"急性上呼吸道感染","department":"A03","doctor":{"code":"D440100000001","name":"王医生"},"time":"2026-03-04 08:10:00"}],
"fees":[{"id":"F1","code":"XA01AB03","local_code":"YP001","name":"某药","quantity":"2","price":"25.00","amount":"50.00","time":"2026-03-04 08:20:00",
 "department":{"code":"A03","name":"内科"},"doctor":{"code":"D440100000001","name":"王医生"},"hosp_appr_flag":"1","rx_circ_flag":"0","rxno":"RX1","extra":{"memo":"饭后"}},
 {"id":"F2","code":"001101000010000","local_code":"FW001","quantity":1,"price":50,"amount":50.00,"time":"2026-03-04 08:21:00",
 "department":{"code":"A03","name":"内科"},"doctor":{"code":"D440100000001","name":"王医生"}}],
"total":"100.00"}`

// ConfirmBody settles a bill.
const ConfirmBody = `{"request_id":"R-3","operator":{"id":"0001","name":"张收费","type":"1"},
"credential":{"type":"02","number":"999999199001011238"},"invono":"No1","expect_cash":"10.00"}`

// RefundBody undoes a bill.
const RefundBody = `{"request_id":"R-4","operator":{"id":"0001","name":"张收费","type":"1"},"rows":["F1"],
"credential":{"type":"02","number":"999999199001011238"},"invono":"No2"}`

// Edit changes a body: each pair of edits is a JSON Pointer and the JSON text to put there, "" to
// take the member out. It is for tests of adapters; a pointer that leads nowhere fails the test.
func Edit(t testing.TB, body string, edits ...string) []byte {
	t.Helper()
	v, err := strictjson.Decode([]byte(body), strictjson.Request())
	if err != nil {
		t.Fatalf("histest: %v", err)
	}
	for i := 0; i+1 < len(edits); i += 2 {
		at, text := edits[i], edits[i+1]
		names := strings.Split(strings.TrimPrefix(at, "/"), "/")
		last := names[len(names)-1]
		into := v
		for _, n := range names[:len(names)-1] {
			into = child(t, into, n)
		}
		m, ok := into.(map[string]any)
		if !ok {
			t.Fatalf("histest: %s is not a member of an object", at)
		}
		if text == "" {
			delete(m, last)
		} else {
			m[last] = json.RawMessage(text)
		}
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("histest: %v", err)
	}
	return out
}

func child(t testing.TB, v any, name string) any {
	switch x := v.(type) {
	case map[string]any:
		return x[name]
	case []any:
		if n, err := strconv.Atoi(name); err == nil && n >= 0 && n < len(x) {
			return x[n]
		}
	}
	t.Fatalf("histest: no %q", name)
	return nil
}
