//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"yiqiao/gateway"
)

// Bad input against the real program: a documented code with the field's path, never a 5xx, and
// nothing written or sent.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("")
	low := func(input string) string {
		return `{"request_id":"X1","operator":{"id":"0101","name":"王收费","type":"1"},"insuplc_admdvs":"440100","input":` + input + `}`
	}
	settle := func(field, value string) string {
		in := strings.Replace(inputOf2207Text, `"`+field+`":`, `"`+field+`":`+value+`,"_`+field+`":`, 1)
		return low(in)
	}
	bill := func(change func(*gateway.OpenSettlement)) string {
		b, _ := standardBill("X", "999999198503120018", "测试甲")
		change(&b)
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const t2207, t1101, sets = "/api/v1/transactions/2207", "/api/v1/transactions/1101", "/api/v1/settlements"
	for _, c := range []struct {
		name, route, body string
		status            int
		code              gateway.Code
		finding, path     string // of a finding, or path of the problem
	}{
		{"missing field", t1101, low(`{"data":{"mdtrt_cert_type":"02"}}`), 422, gateway.CodeRequestInvalid, "field-missing", "/input/data/mdtrt_cert_no"},
		{"over-long", t1101, low(`{"data":{"mdtrt_cert_type":"02","mdtrt_cert_no":"` + strings.Repeat("9", 51) + `"}}`), 422, gateway.CodeRequestInvalid, "field-too-long", "/input/data/mdtrt_cert_no"},
		{"mistyped", t1101, low(`{"data":{"mdtrt_cert_type":["02"],"mdtrt_cert_no":"1"}}`), 422, gateway.CodeRequestInvalid, "field-type", "/input/data/mdtrt_cert_type"},
		{"unknown dictionary value", t2207, settle("insutype", `"999"`), 422, gateway.CodeRequestInvalid, "code-unknown", "/input/data/insutype"},
		{"three decimals", t2207, settle("medfee_sumamt", "479.540"), 422, gateway.CodeRequestInvalid, "amount-decimals", "/input/data/medfee_sumamt"},
		{"three decimals as text", t2207, settle("medfee_sumamt", `"479.541"`), 422, gateway.CodeRequestInvalid, "amount-decimals", "/input/data/medfee_sumamt"},
		{"exponent", t2207, settle("medfee_sumamt", "1e3"), 400, gateway.CodeBodyNotJSON, "", "/input/data/medfee_sumamt"},
		{"exponent as text", t2207, settle("medfee_sumamt", `"1e3"`), 422, gateway.CodeRequestInvalid, "amount-syntax", "/input/data/medfee_sumamt"},
		{"NaN", t2207, settle("medfee_sumamt", "NaN"), 400, gateway.CodeBodyNotJSON, "", ""},
		{"NaN as text", t2207, settle("medfee_sumamt", `"NaN"`), 422, gateway.CodeRequestInvalid, "amount-syntax", "/input/data/medfee_sumamt"},
		{"negative", t2207, settle("medfee_sumamt", "-479.54"), 422, gateway.CodeRequestInvalid, "amount-negative", "/input/data/medfee_sumamt"},
		{"duplicate members", t1101, low(`{"data":{"mdtrt_cert_type":"02","mdtrt_cert_type":"02","mdtrt_cert_no":"1"}}`), 400, gateway.CodeBodyDuplicate, "", "/input/data/mdtrt_cert_type"},
		{"invalid UTF-8", t1101, low("{\"data\":{\"psn_name\":\"\xff\xfe\"}}"), 400, gateway.CodeBodyNotJSON, "", "/input/data/psn_name"},
		{"GBK bytes sent as UTF-8", t1101, low("{\"data\":{\"psn_name\":\"\xb2\xe2\xca\xd4\"}}"), 400, gateway.CodeBodyNotJSON, "", "/input/data/psn_name"},
		{"50 MB body", t1101, low(`"` + strings.Repeat("x", 50<<20) + `"`), 413, gateway.CodeBodyTooLarge, "", ""},
		{"deep nesting", t1101, low(strings.Repeat(`{"a":`, 3000) + "1" + strings.Repeat("}", 3000)), 400, gateway.CodeBodyNotJSON, "", ""},
		{"not JSON", t1101, "hello", 400, gateway.CodeBodyNotJSON, "", ""},
		{"empty", t1101, "", 400, gateway.CodeBodyNotJSON, "", ""},
		{"unknown member", t1101, `{"request_id":"X1","operater":{},"input":{}}`, 422, gateway.CodeRequestInvalid, "field-undeclared", "/operater"},
		{"unknown infno", "/api/v1/transactions/0000", low(`{"data":{}}`), 404, gateway.CodeInfnoUnknown, "", ""},
		{"infno not described", "/api/v1/transactions/" + notDescribed(t), low(`{"data":{}}`), 422, gateway.CodeInfnoNotDescribed, "", ""},
		{"unknown institution", t1101, `{"request_id":"X1","institution":"H99999999999","operator":{"id":"1","name":"x","type":"1"},"input":{"data":{}}}`, 403, gateway.CodeInstitution, "", "/institution"},
		{"no request id", t1101, `{"operator":{"id":"1","name":"x","type":"1"},"input":{"data":{}}}`, 400, gateway.CodeRequestIDMissing, "", "/request_id"},
		{"bad request id", t1101, `{"request_id":"a b","operator":{"id":"1","name":"x","type":"1"},"input":{"data":{}}}`, 400, gateway.CodeRequestIDMissing, "", "/request_id"},
		{"sum of the rows", sets, bill(func(b *gateway.OpenSettlement) { b.Total = "479.55" }), 422, gateway.CodeAmounts, "bill-total", "/total"},
		{"row amount", sets, bill(func(b *gateway.OpenSettlement) { b.Fees[1].Amount = "37.00" }), 422, gateway.CodeAmounts, "fee-amount", "/fees/1/amount"},
		{"row id twice", sets, bill(func(b *gateway.OpenSettlement) { b.Fees[1].ID = b.Fees[0].ID }), 422, gateway.CodeRequestInvalid, "", "/fees/1/id"},
		{"no rows", sets, bill(func(b *gateway.OpenSettlement) { b.Fees = nil }), 422, gateway.CodeRequestInvalid, "", "/fees"},
		{"unknown settlement", sets + "/B000/confirm", `{"request_id":"X1","operator":{"id":"1","name":"x","type":"1"}}`, 404, gateway.CodeNotFound, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, p := s.raw(t, c.route, c.body, s.key, "application/json")
			if status != c.status || p.Code != c.code {
				t.Errorf("HTTP %d %s, want %d %s; %+v", status, p.Code, c.status, c.code, p)
			}
			if p.Title == "" || p.EN.Title == "" || p.Next == "" || p.Owner == "" {
				t.Errorf("the refusal does not explain itself: %+v", p)
			}
			if c.finding == "" && len(p.Findings) == 0 {
				if c.path != "" && p.Path != c.path {
					t.Errorf("path %q, want %q", p.Path, c.path)
				}
				return
			}
			for _, f := range p.Findings {
				if (c.finding == "" || f.Code == c.finding) && (c.path == "" || f.Path == c.path) {
					return
				}
			}
			t.Errorf("no finding %s at %s: %+v", c.finding, c.path, p.Findings)
		})
	}
	for name, c := range map[string]struct {
		key, media string
		status     int
		code       gateway.Code
	}{
		"no key":      {"", "application/json", 401, gateway.CodeKeyMissing},
		"wrong key":   {"yq_wrong", "application/json", 401, gateway.CodeKeyWrong},
		"wrong media": {s.key, "text/plain", 415, gateway.CodeMediaType},
		"GBK charset": {s.key, "application/json; charset=gbk", 415, gateway.CodeMediaType},
	} {
		if status, p := s.raw(t, t1101, low(`{"data":{}}`), c.key, c.media); status != c.status || p.Code != c.code {
			t.Errorf("%s: HTTP %d %s, want %d %s", name, status, p.Code, c.status, c.code)
		}
	}
	for _, n := range []string{"9001", "1101", "2207", "2201"} {
		if got := s.calls(n); got != 0 {
			t.Errorf("%d messages of %s reached the centre", got, n)
		}
	}
	s.gw.kill()
	out, err := exec.Command(s.bin, "journal", "list", "--config", s.dir, "--json").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "[]" {
		t.Errorf("the journal holds something: %v %s", err, out)
	}
}

// inputOf2207Text is a good 2207; the tests spoil one field of it.
const inputOf2207Text = `{"data":{"psn_no":"44010000000000000001","mdtrt_cert_type":"02","mdtrt_cert_no":"999999198503120018","med_type":"11","medfee_sumamt":479.54,"psn_setlway":"01","mdtrt_id":"M1","chrg_bchno":"C1","insutype":"310","acct_used_flag":"1","invono":"","fulamt_ownpay_amt":35.50,"overlmt_selfpay":37.03,"preselfpay_amt":60.00,"inscp_scp_amt":347.01}}`

// problem is what a caller reads of a problem document.
type problem struct {
	Code  gateway.Code `json:"code"`
	Path  string       `json:"path"`
	Title string       `json:"title"`
	Next  string       `json:"next"`
	Owner string       `json:"owner"`
	EN    struct {
		Title string `json:"title"`
	} `json:"en"`
	Findings []struct {
		Code string `json:"code"`
		Path string `json:"path"`
	} `json:"findings"`
}

func (s *site) raw(t *testing.T, route, body, key, media string) (int, problem) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+s.gw.addr+route, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", media)
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p problem
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return resp.StatusCode, p
}

// notDescribed is a transaction without evidenced fields.
func notDescribed(t *testing.T) string {
	t.Helper()
	_, out, _ := yiqiao(t, "", "describe", "--json")
	var all []struct {
		Infno     string `json:"infno"`
		Described bool   `json:"described"`
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	for _, tx := range all {
		if !tx.Described {
			return tx.Infno
		}
	}
	t.Fatal("every transaction is described")
	return ""
}
