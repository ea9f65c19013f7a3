package bosssoft

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yiqiao/adapters/invoice/invoicetest"
	"yiqiao/crypto/envelope"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, gateway.China)

func platform(t testing.TB, change func(*Options)) *Platform {
	t.Helper()
	o := Options{BaseURL: "http://127.0.0.1:1/api/medical", AppID: "TESTAPP5478180", Key: "6b0d7eff11ad1828d4e100afa8",
		Rand: rand.Reader, Clock: gatewaytest.NewClock(noon)}
	if change != nil {
		change(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// What is sent for each kind in both generations, to the byte.
func TestRequestsAreGolden(t *testing.T) {
	for _, g := range []string{Gen310, Gen320} {
		p := platform(t, func(o *Options) { o.Generation = g })
		for _, kind := range []gateway.InvoiceKind{gateway.KindOutpatient, gateway.KindStay, gateway.KindRegistration, gateway.KindCheckUp, gateway.KindStayDeposit} {
			d := invoicetest.Draft("OPB1_1", "001", kind, noon)
			if kind == gateway.KindStay {
				d.Vouchers = []gateway.InvoiceVoucher{{Number: gateway.InvoiceNumber{Batch: "06070126", No: "0000000001"}, Amount: 50000}}
				d.Money.Deposit, d.Money.PaidBack = 50000, 48000
			}
			var out bytes.Buffer
			if err := json.Indent(&out, appendJSON(nil, p.request(&d)), "", " "); err != nil {
				t.Fatal(err)
			}
			out.WriteByte('\n')
			file := filepath.Join("testdata", g+"-"+string(kind)+".json")
			if *update {
				if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(want, out.Bytes()) {
				t.Errorf("%s differs:\n%s", file, out.Bytes())
			}
		}
	}
}

// signed writes a reply as a platform would.
func signed(p *Platform, data string) []byte {
	noise := "c22f414fe84b9d7c27d2146c273e74e1"
	return appendJSON(nil, obj{{"appid", p.o.AppID}, {"data", data}, {"noise", noise},
		{"sign", envelope.EInvoiceSign(p.o.AppID, data, noise, p.o.Key, version)}, {"version", version}})
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func saying(p *Platform, result, message string) []byte {
	return signed(p, b64(`{"result":"`+result+`","message":"`+b64(message)+`"}`))
}

func TestRepliesAreJudged(t *testing.T) {
	p := platform(t, nil)
	good := saying(p, "S0000", `{"billNo":"1"}`)
	for name, c := range map[string]struct {
		body    []byte
		outcome gateway.Outcome
		cause   gateway.Cause
	}{
		"done":             {good, gateway.OutcomeDone, ""},
		"lower-case sign":  {bytes.Replace(good, []byte(signOf(good)), []byte(strings.ToLower(signOf(good))), 1), gateway.OutcomeDone, ""},
		"unknown result":   {saying(p, "E9999", "系统异常"), gateway.OutcomeRefused, gateway.CauseBusiness},
		"wrong sign":       {bytes.Replace(good, []byte(signOf(good)), []byte(strings.Repeat("0", 32)), 1), gateway.OutcomeUnknown, gateway.CauseSignature},
		"no sign":          {bytes.Replace(good, []byte(signOf(good)), nil, 1), gateway.OutcomeUnknown, gateway.CauseNotInterface},
		"twice":            {append(bytes.Clone(good), good...), gateway.OutcomeUnknown, gateway.CauseNotInterface},
		"not base64":       {signed(p, "*"), gateway.OutcomeUnknown, gateway.CauseNotInterface},
		"no result":        {signed(p, b64(`{"message":""}`)), gateway.OutcomeUnknown, gateway.CauseNotInterface},
		"message no text":  {signed(p, b64(`{"result":"S0000","message":1}`)), gateway.OutcomeUnknown, gateway.CauseNotInterface},
		"message no base":  {signed(p, b64(`{"result":"S0000","message":"*"}`)), gateway.OutcomeUnknown, gateway.CauseNotInterface},
		"message no UTF-8": {signed(p, b64(`{"result":"S0000","message":"/w=="}`)), gateway.OutcomeUnknown, gateway.CauseNotInterface},
		"a web page":       {[]byte("<html>"), gateway.OutcomeUnknown, gateway.CauseNotInterface},
		"nothing":          {nil, gateway.OutcomeUnknown, gateway.CauseNotInterface},
	} {
		a := p.judge(c.body)
		if a.Outcome != c.outcome || a.Cause != c.cause {
			t.Errorf("%s: %v %q %s", name, a.Outcome, a.Cause, a.Detail)
		}
	}
}

func signOf(body []byte) string {
	m, err := readOuter(body)
	if err != nil {
		return "?"
	}
	return m.Sign
}

// The published vector is what leaves.
func TestRequestIsSigned(t *testing.T) {
	var got []byte
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		_, _ = b.ReadFrom(r.Body)
		got = b.Bytes()
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer srv.Close()
	p := platform(t, func(o *Options) {
		o.BaseURL = srv.URL + "/medical-web/api/medical/"
		o.Rand = bytes.NewReader([]byte{0xc2, 0x2f, 0x41, 0x4f, 0xe8, 0x4b, 0x9d, 0x7c, 0x27, 0xd2, 0x14, 0x6c, 0x27, 0x3e, 0x74, 0xe1})
	})
	a := p.call(context.Background(), " invoiceEBillOutpatient ", obj{{"busNo", "OP0000000001"}, {"busType", "02"}, {"payer", "测试戊"}, {"busDateTime", "20240101120000000"},
		{"placeCode", "001"}, {"payee", "收费员"}, {"author", "编制人"}, {"totalAmt", fen(1250, 2)}})
	if a.Outcome != gateway.OutcomeUnknown || a.Cause != gateway.CauseNotInterface {
		t.Errorf("a bad gateway: %+v", a)
	}
	m, err := readOuter(got)
	if err != nil || m.Sign != "38F78ADF51B39333A31384B3FB843756" {
		t.Errorf("sign %q, %v: %s", m.Sign, err, got)
	}
}

// Where the platform does not know a method, "there is no such method" is never "there is no such bill".
func TestNoMethodIsNoProof(t *testing.T) {
	calls := 0
	var p *Platform
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		_, _ = w.Write(saying(p, "E1", "接口不存在"))
	}))
	defer srv.Close()
	p = platform(t, func(o *Options) { o.BaseURL = srv.URL })
	f := p.Find(context.Background(), gateway.InvoiceQuery{BusNo: "X", Kind: gateway.KindOutpatient, Place: "001", At: noon})
	if f.Outcome != gateway.OutcomeRefused || f.Value.Known || calls != 2 {
		t.Errorf("%+v after %d calls", f, calls)
	}
}

// The key is in nothing that is printed.
func TestBadOptions(t *testing.T) {
	for _, change := range []func(*Options){
		func(o *Options) { o.BaseURL = "ftp://x" }, func(o *Options) { o.BaseURL = "http://x/?a=1" }, func(o *Options) { o.Key = "" },
		func(o *Options) { o.Generation = "4" }, func(o *Options) { o.Charset = "latin1" }, func(o *Options) { o.Rand = nil },
	} {
		o := Options{BaseURL: "http://x/api", AppID: "a", Key: "sEcReT", Rand: rand.Reader, Clock: gatewaytest.NewClock(noon)}
		change(&o)
		if _, err := New(o); err == nil || strings.Contains(err.Error(), "sEcReT") {
			t.Errorf("error %v", err)
		}
	}
}

func TestCharset(t *testing.T) {
	for _, c := range []string{UTF8, GB18030} {
		data, err := pack(obj{{"payer", "测试戊"}}, c)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := base64.StdEncoding.DecodeString(data)
		in, err := readInner(b64(`{"result":"S0000","message":"`+base64.StdEncoding.EncodeToString(text)+`"}`), c)
		if err != nil || string(in.message) != `{"payer":"测试戊"}` {
			t.Errorf("%s: %q %v", c, in.message, err)
		}
	}
}

func FuzzJudge(f *testing.F) {
	p := platform(f, nil)
	f.Add([]byte(`{"appid":"a","data":"b","noise":"c","sign":"d","version":"1.0"}`), "S0000", `{"billNo":"1"}`)
	f.Add([]byte(""), "E1", "x")
	f.Fuzz(func(t *testing.T, body []byte, result, message string) {
		if a := p.judge(body); a.Outcome == gateway.OutcomeDone {
			if m, err := readOuter(body); err != nil || m.AppID != p.o.AppID {
				t.Errorf("believed %q", body)
			}
		}
		a := p.judge(signed(p, b64(string(appendJSON(nil, obj{{"result", result}, {"message", b64(message)}})))))
		if a.Outcome == gateway.OutcomeDone && strings.TrimSpace(result) != success {
			t.Errorf("result %q is taken for success", result)
		}
		_ = p.found(a, gateway.InvoiceQuery{BusNo: "1"})
		if b, wrong := bill(a.fields); wrong == "" && b.Number.No == "" {
			t.Errorf("a bill without a number: %q", message)
		}
	})
}
