//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"yiqiao/adapters/his/hl7"
	"yiqiao/crypto/envelope"
	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/gateway/mapping/defs"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/wire"
	simcentre "yiqiao/simulator/centre"
	"yiqiao/simulator/fault"
	"yiqiao/simulator/people"
)

// The leak test: marked persons and marked credentials go through every route, good, refused and
// faulty, in front of a centre that also repeats what it was sent wherever it can. Then everything
// the program has written or said is searched, in clear and in the usual disguises.

// tracked is a value that must not be seen.
type tracked struct{ what, value string }

// shapes are the disguises a value is looked for in.
func shapes(v string) []string {
	list := []string{v, hex.EncodeToString([]byte(v)), strings.ToUpper(hex.EncodeToString([]byte(v))), url.QueryEscape(v)}
	// In base64 a value looks different at each of three places; the characters at its ends depend
	// on its neighbours.
	for pad := range 3 {
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			text := enc.EncodeToString(append(bytes.Repeat([]byte{0}, pad), v...))
			from := []int{0, 2, 3}[pad]
			to := (len(v) + pad) * 8 / 6
			list = append(list, text[from:to])
		}
	}
	if q := strconv.QuoteToASCII(v); q != `"`+v+`"` { // as JSON and logs write Chinese
		list = append(list, q[1:len(q)-1], strings.ToUpper(q[1:len(q)-1]))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// sink is a place the program writes to.
type sink struct {
	name string
	text []byte
}

// leaks finds marks in sinks.
func leaks(marks []tracked, sinks []sink) (found []string) {
	for _, m := range marks {
		for _, form := range shapes(m.value) {
			for _, s := range sinks {
				if i := bytes.Index(s.text, []byte(form)); i >= 0 {
					from, to := max(0, i-80), min(len(s.text), i+len(form)+40)
					found = append(found, fmt.Sprintf("%s in %s: %q", m.what, s.name, s.text[from:to]))
				}
			}
		}
	}
	return found
}

func TestLeaksAreFound(t *testing.T) {
	m := []tracked{{"token", "TESTTOKEN00000000000000000002"}, {"name", "测试乙"}}
	for _, v := range m {
		for pad := range 3 {
			text := append(bytes.Repeat([]byte("x"), pad), "{\"a\":\""+v.value+"\"}"...)
			for name, disguised := range map[string][]byte{
				"clear": text, "hex": []byte(hex.EncodeToString(text)), "HEX": []byte(strings.ToUpper(hex.EncodeToString(text))),
				"base64": []byte(base64.StdEncoding.EncodeToString(text)), "base64url": []byte(base64.RawURLEncoding.EncodeToString(text)),
				"url": []byte(url.QueryEscape(string(text))), "quoted": []byte(strconv.QuoteToASCII(string(text))),
			} {
				if len(leaks([]tracked{v}, []sink{{"s", disguised}})) == 0 {
					t.Errorf("%s as %s at %d is not found", v.what, name, pad)
				}
			}
		}
	}
	if got := leaks(m, []sink{{"s", []byte("nothing of the kind, 测试丙")}}); len(got) != 0 {
		t.Error(got)
	}
}

// parrot stands in front of the simulated centre and, when told to, repeats what it was sent.
type parrot struct {
	profile envelope.Profile
	centre  http.Handler

	mu   sync.Mutex
	mode map[string]string // by infno
}

func (p *parrot) say(infno, mode string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode[infno] = mode
}

func (p *parrot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	data, _, err := p.profile.Open(body)
	if err != nil {
		p.centre.ServeHTTP(w, r)
		return
	}
	req, _, err := wire.DecodeRequest(data)
	if err != nil {
		p.centre.ServeHTTP(w, r)
		return
	}
	p.mu.Lock()
	mode := p.mode[string(req.Infno)]
	delete(p.mode, string(req.Infno))
	p.mu.Unlock()
	switch mode {
	case "":
		p.centre.ServeHTTP(w, r)
	case "refuse": // a refusal whose words repeat the whole request
		reply, err := wire.EncodeReply(wire.Reply{InfCode: "-1", RefMsgID: "440100" + "20261123093000" + "0000000001", RefMsgTime: "20261123093000000",
			RespondTime: "20261123093000001", ErrMsg: "无效: " + string(data), Output: map[string]any{}})
		if err == nil {
			sealed, err2 := p.profile.SealReply(rand.Reader, time.Now(), "0", "", reply)
			if err = err2; err == nil {
				w.Header().Set("Content-Type", sealed.ContentType)
				_, _ = w.Write(sealed.Body)
			}
		}
		if err != nil {
			http.Error(w, err.Error(), 500)
		}
	case "unsigned": // a refusal of the envelope, not signed, with the request in its words
		w.Header().Set("Content-Type", "application/json")
		b, _ := json.Marshal(map[string]string{"code": "500", "message": string(data)})
		_, _ = w.Write(b)
	case "html":
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html>"))
		_, _ = w.Write(data)
	case "500":
		http.Error(w, string(data), 500)
	case "redirect":
		http.Redirect(w, r, "/elsewhere?"+url.QueryEscape(string(data)), http.StatusFound)
	case "header":
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: x%s\r\n\r\n", url.QueryEscape(string(data)))
			_ = c.Close()
		}
	case "repeat": // it is done, and the answer repeats what it was sent under another name
		reply, err := wire.EncodeReply(wire.Reply{InfCode: "0", RefMsgID: "440100" + "20261123093000" + "0000000001", RefMsgTime: "20261123093000000",
			RespondTime: "20261123093000001", Output: map[string]any{"baseinfo": map[string]any{"psn_no": "44010000000000000002", "memo": string(data)}}})
		if err == nil {
			sealed, err2 := p.profile.SealReply(rand.Reader, time.Now(), "0", "", reply)
			if err = err2; err == nil {
				w.Header().Set("Content-Type", sealed.ContentType)
				_, _ = w.Write(sealed.Body)
			}
		}
		if err != nil {
			http.Error(w, err.Error(), 500)
		}
	}
}

// leakRig is a gateway whose every word is kept.
type leakRig struct {
	t      *testing.T
	dir    string
	gw     *server
	log    *lockedBuffer
	traces lockedBuffer // what a collector was sent
	key    string
	centre *parrot
	rules  *fault.Script
	sinks  []sink
	n      int
	hooks  atomic.Int64 // answers that were brought
	bills  []string
	inbox  string // of files
	end    context.CancelFunc
	ended  chan struct{}
}

func newLeakRig(t *testing.T) *leakRig {
	t.Helper()
	r := &leakRig{t: t, dir: filepath.Join(t.TempDir(), "site"), log: &lockedBuffer{}}
	_, err := writeStarter(r.dir, starter{Listen: "127.0.0.1:0", Simulator: "127.0.0.1:0", Control: "127.0.0.1:0"})
	r.must(err)
	s, err := loadSimulator(r.dir)
	r.must(err)
	p, err := provider("")
	r.must(err)
	profile, transport, err := s.Protect.protect(p, newSecrets(s.base, s.Keys), lineEnds{})
	r.must(err)
	r.rules, err = fault.NewScript()
	r.must(err)
	sim, err := simcentre.New(simcentre.Options{Seed: 7, Now: time.Now, Profile: profile, Transport: transport, Region: simcentre.Region{RequireSign: true, AskByVisit: true}, Faults: r.rules})
	r.must(err)
	t.Cleanup(sim.Close)
	r.centre = &parrot{profile: profile, centre: sim.Handler(), mode: map[string]string{}}
	web := httptest.NewServer(r.centre)
	t.Cleanup(web.Close)
	file := filepath.Join(r.dir, "yiqiao.yaml")
	text := strings.NewReplacer("http://127.0.0.1:0/fsi/api", web.URL+"/fsi/api", "level: info", "level: debug", "settle: 180s", "settle: 1s", "max_in_flight: 64", "max_in_flight: 64\n    breaker_trip: 100000",
		"write: 60s", "write: 1s", "query: 60s", "query: 1s").Replace(readText(t, file))
	write(t, file, text+"\ntiming:\n  settle_grace: 200ms\n  ask_every: 50ms\n  ask_most: 200ms\n  poll: 50ms\n  upload_retry: 50ms\n")
	g, err := loadGateway(r.dir)
	r.must(err)
	g.Manage.Listen = "127.0.0.1:0"
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		_, _ = r.traces.Write(b)
	}))
	t.Cleanup(collector.Close)
	g.Trace.URL = collector.URL + "/v1/traces"
	g.HL7 = []hl7Settings{{Listen: "127.0.0.1:0", Mapping: "generic-hl7",
		Clients: []hl7Client{{System: "his-hl7", Networks: []string{"127.0.0.0/8"}, Institutions: []string{simHospital}}}}}
	r.doors(g)
	// Answers nobody fetched are brought to a HIS that says back what it was brought, now and then as a fault.
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		r.hooks.Add(1)
		if r.hooks.Load()%2 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write(b)
	}))
	t.Cleanup(hook.Close)
	g.HIS[0].Deliver = deliverSettings{URL: hook.URL, Key: "file:secrets/app-secret", After: config.Duration(time.Millisecond)}
	r.gw, err = newServer(context.Background(), g, r.log, systemClock{})
	r.must(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.gw.run(ctx) }()
	r.end, r.ended = stop, done
	t.Cleanup(func() { stop(); <-done; r.gw.close() })
	r.key = readText(t, filepath.Join(r.dir, starterAPIKey))
	return r
}

func (r *leakRig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *leakRig) keep(name string, text []byte) {
	r.sinks = append(r.sinks, sink{name, bytes.Clone(text)})
}

// call sends a request and keeps the answer as a sink: of a refusal all of it, for every answer what
// no credential may be in.
func (r *leakRig) call(method, path string, body any, v any) int {
	r.t.Helper()
	var b []byte
	switch x := body.(type) {
	case nil:
	case string:
		b = []byte(x)
	default:
		var err error
		b, err = json.Marshal(x)
		r.must(err)
	}
	req, err := http.NewRequest(method, "http://"+r.gw.addr()+path, bytes.NewReader(b))
	r.must(err)
	req.Header.Set("Authorization", "Bearer "+r.key)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	req.Header.Set("tracestate", "his="+people.Fixed()[1].Token)
	req.Header.Set("baggage", "name="+people.Fixed()[1].Cert)
	resp, err := http.DefaultClient.Do(req)
	r.must(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	r.must(err)
	r.n++
	name := fmt.Sprintf("answer %d to %s", resp.StatusCode, path)
	r.keep(name, answer)
	r.keep(name+" (headers)", fmt.Appendf(nil, "%v", resp.Header))
	if v != nil && resp.StatusCode/100 == 2 {
		r.must(json.Unmarshal(answer, v))
	}
	return resp.StatusCode
}

func (r *leakRig) fault(infno string, kind fault.Kind) {
	r.rules.Add(fault.Rule{Infno: infno, Kind: kind, Times: 1})
}

func (r *leakRig) bill(tag string, c gateway.Credential) gateway.OpenSettlement {
	b, _ := standardBill(tag, c.CertNo, c.Name)
	b.Credential = c
	b.Visit.Begin = time.Now().In(gateway.China).Format(time.DateOnly) + " 00:00:01"
	for i := range b.Fees {
		b.Fees[i].Time = b.Visit.Begin
	}
	return b
}

// low sends a transaction through the low-level route.
func (r *leakRig) low(route, infno string, input any) int {
	r.t.Helper()
	r.n++
	return r.call("POST", "/api/v1/"+route+"/"+infno, map[string]any{"request_id": fmt.Sprintf("LOW-%d", r.n),
		"operator": map[string]string{"id": "0101", "name": "王收费", "type": "1"}, "insuplc_admdvs": "440100", "input": input}, nil)
}

func TestNothingLeaks(t *testing.T) {
	r := newLeakRig(t)
	who := people.Fixed()[1] // 测试乙
	secret := []tracked{{"token", who.Token}, {"card", "CARD" + who.Card}, {"card serial", who.CardSN}, {"password", "PASSWORD-MARK-7731"},
		{"pay authorisation", "PAYAUTH-MARK-5502"}, {"key of the HIS", r.key}}
	personal := []tracked{{"name", who.Name}, {"identity number", who.Cert}, {"person number", who.No}, {"telephone", "13977731177"}, {"address", "测试大道之七十七号"}}
	for _, file := range []string{"journal.key", "gateway-private.key", "app-secret", "tif-token"} {
		secret = append(secret, tracked{file, readText(t, filepath.Join(r.dir, "secrets", file))})
	}

	r.highLevel(who)
	r.lowLevel(who)
	r.stay(who)
	r.hl7(who)
	r.otherDoors(who)
	r.commands(who)
	r.metrics()
	r.traced()

	// What the program keeps, opened with its own keys, holds no credential either.
	opened := r.opened()
	for _, leak := range leaks(secret, append(slices.Clone(r.sinks), opened...)) {
		t.Error("credential:", leak)
	}
	files := r.files()
	for _, leak := range leaks(append(secret, personal...), append(files, sink{"log", []byte(r.log.String())})) {
		t.Error(leak)
	}
	var said []sink // to others than the HIS whose patient it is
	for _, s := range r.sinks {
		if !strings.HasPrefix(s.name, "answer") {
			said = append(said, s)
		}
	}
	for _, leak := range leaks(personal, said) {
		t.Error("personal:", leak)
	}
	// It was all there to be leaked.
	if got := leaks(personal[:3], opened); len(got) < 3 {
		t.Errorf("the journal does not hold the persons it should: %v", got)
	}
	if r.hooks.Load() == 0 {
		t.Error("no answer was brought to the HIS")
	}
	if r.log.String() == "" || len(files) < 3 || len(opened) < 20 {
		t.Errorf("too little was searched: log %d, %d files, %d bodies", len(r.log.String()), len(files), len(opened))
	}
}

// highLevel drives bills, with each kind of credential and each kind of trouble.
func (r *leakRig) highLevel(who people.Person) {
	r.t.Helper()
	token := gateway.Credential{Type: "01", Number: who.Token, CertType: "01", CertNo: who.Cert, Name: who.Name}
	card := gateway.Credential{Type: "03", Number: who.Card, CardSN: who.CardSN, CertType: "01", CertNo: who.Cert, Name: who.Name}
	var s gateway.Settlement
	for i, c := range []gateway.Credential{token, card} {
		b := r.bill("LK"+strconv.Itoa(i), c)
		if status := r.call("POST", "/api/v1/settlements", b, &s); status != 201 && status != 200 {
			r.t.Fatalf("open: %d %s", status, r.sinks[len(r.sinks)-2].text)
		}
		at := "/api/v1/settlements/" + s.ID
		r.bills = append(r.bills, s.ID)
		r.call("GET", at, nil, nil)
		if i == 0 {
			r.fault("2207", fault.CommitThenLose)
		}
		confirm := gateway.ConfirmSettlement{RequestID: b.RequestID + "-C", Operator: b.Operator, Credential: &c}
		for n := 0; r.call("POST", at+"/confirm", confirm, &s) != 200; n++ {
			if n > 200 {
				r.t.Fatalf("confirm: %s", r.sinks[len(r.sinks)-2].text)
			}
			time.Sleep(20 * time.Millisecond)
		}
		r.call("POST", at+"/refund", gateway.RefundSettlement{RequestID: b.RequestID + "-P", Operator: b.Operator, Rows: []string{b.Fees[1].ID}, Credential: &c}, nil)
		r.call("POST", at+"/refund", gateway.RefundSettlement{RequestID: b.RequestID + "-R", Operator: b.Operator}, nil)
		r.call("GET", at, nil, nil)
	}
	n := 0
	for _, infno := range []string{"1101", "2201", "2203", "2204", "2206", "2207"} {
		for _, mode := range []string{"refuse", "unsigned", "html", "500", "redirect", "header"} {
			n++
			b := r.bill("X"+strconv.Itoa(n), token)
			if infno == "2207" {
				if r.call("POST", "/api/v1/settlements", b, &s)/100 != 2 {
					r.t.Fatalf("open %s", r.sinks[len(r.sinks)-2].text)
				}
			}
			r.centre.say(infno, mode)
			if infno == "2207" {
				r.call("POST", "/api/v1/settlements/"+s.ID+"/confirm", gateway.ConfirmSettlement{RequestID: b.RequestID + "-C", Operator: b.Operator, Credential: &token}, nil)
			} else {
				r.call("POST", "/api/v1/settlements", b, nil)
			}
			r.centre.say(infno, "")
		}
	}
	for _, kind := range fault.Kinds() {
		if kind == fault.Slow || kind == fault.Late {
			continue
		}
		n++
		r.fault("1101", kind)
		r.call("POST", "/api/v1/settlements", r.bill("F"+strconv.Itoa(n), card), nil)
	}
	// Bills no centre sees.
	b := r.bill("BAD", token)
	b.Total = "1.00"
	r.call("POST", "/api/v1/settlements", b, nil)
	text, err := json.Marshal(r.bill("BAD2", card))
	r.must(err)
	for _, bad := range []string{
		strings.Replace(string(text), `"number":"`+who.Card, `"number":["`+who.Card, 1), strings.Replace(string(text), `"credential":{`, `"credential":{"password":"PASSWORD-MARK-7731",`, 1),
		strings.Replace(string(text), who.Name, who.Name+`","unknown_`+who.Cert+`":"`+who.Token, 1), string(text[:len(text)/2]), string(text) + who.Token, `"` + who.Token + `"`,
	} {
		r.call("POST", "/api/v1/settlements", bad, nil)
	}
	for _, path := range []string{"/api/v1/settlements/" + who.Token, "/api/v1/transactions/" + who.Cert, "/api/v1/nothing/" + who.Token + "?q=" + who.Token} {
		r.call("GET", path, nil, nil)
		// The path is the caller's own; it comes back to him and to nobody else.
		r.sinks = r.sinks[:len(r.sinks)-2]
	}
	for _, path := range []string{"/healthz", "/metrics", "/", "/openapi.json", "/api/v1/errors"} {
		r.call("GET", path, nil, nil)
		r.sinks[len(r.sinks)-2].name = "page " + path
	}
}

func (r *leakRig) lowLevel(who people.Person) {
	r.t.Helper()
	type m = map[string]any
	ask := func() m {
		return m{"data": m{"mdtrt_cert_type": "01", "mdtrt_cert_no": who.Token, "psn_cert_type": "01", "certno": who.Cert, "psn_name": who.Name}}
	}
	for _, mode := range []string{"", "refuse", "repeat", "unsigned", "html", "500", "redirect", "header"} {
		r.centre.say("1101", mode)
		r.low("transactions", "1101", ask())
	}
	r.centre.say("1101", "")
	for _, change := range []func(m){
		func(d m) { d["mdtrt_cert_no"] = []string{who.Token} },
		func(d m) { d["mdtrt_cert_no"] = strings.Repeat(who.Token, 9) },
		func(d m) { d["mdtrt_cert_type"] = who.Token },
		func(d m) {
			d["psn_cert_type"], d["tel"], d["addr"] = who.Cert, "13977731177", "测试大道之七十七号"
		},
		func(d m) {
			d["card_sn"], d["password"], d["payAuthNo"] = who.CardSN, "PASSWORD-MARK-7731", "PAYAUTH-MARK-5502"
		},
		func(d m) { d["begntime"] = who.Token },
		func(d m) { d["psn_name"] = strings.Repeat(who.Name, 200) },
	} {
		in := ask()
		change(in["data"].(m))
		r.low("transactions", "1101", in)
	}
	r.low("transactions", "2201", m{"data": m{"psn_no": who.No, "insutype": "310", "begntime": "2026-11-23 09:00:00", "mdtrt_cert_type": "03",
		"mdtrt_cert_no": "CARD" + who.Card, "card_sn": who.CardSN, "ipt_otp_no": "OTP1", "atddr_no": "D1", "dr_name": "李医生", "dept_code": "A03", "dept_name": "内科", "caty": "A03"}})
	r.low("transactions", "6201", m{"orgCodg": "H44010000001", "payAuthNo": "PAYAUTH-MARK-5502", "ecToken": who.Token, "idNo": who.Cert, "userName": who.Name})
	r.low("transactions", "9999", ask())
	r.low("uploads", "1101", ask())
	row := m{"mdtrt_sn": "SN1", "mdtrt_id": "M1", "psn_no": who.No, "vali_flag": "1", "medcas_drord_detl_id": "D1"}
	r.low("uploads", "4402", m{"data": []any{row}})
	bad := m{"mdtrt_sn": "SN2", "psn_no": who.No, "vali_flag": "1", "medcas_drord_detl_id": "D2", "mdtrt_cert_no": who.Token}
	r.low("uploads", "4402", m{"data": []any{bad}})
	r.centre.say("4402", "refuse")
	row = m{"mdtrt_sn": "SN3", "mdtrt_id": "M3", "psn_no": who.No, "vali_flag": "1", "medcas_drord_detl_id": "D3"}
	r.low("uploads", "4402", m{"data": []any{row}})
}

func (r *leakRig) stay(who people.Person) {
	r.t.Helper()
	c := gateway.Credential{Type: "01", Number: who.Token, CertType: "01", CertNo: who.Cert, Name: who.Name}
	b := r.bill("ST", c)
	var stay gateway.Stay
	admit := gateway.AdmitStay{RequestID: "ST-A", Operator: b.Operator, Credential: c, Diagnoses: b.Diagnoses, Visit: gateway.StayInfo{Number: "ZY-1", MedType: "21",
		Begin: b.Visit.Begin, Doctor: b.Visit.Doctor, Department: b.Visit.Department, Bed: "01", Operation: gateway.Coded{Code: "00.1", Name: "测试手术"}}}
	r.centre.say("2401", "refuse")
	r.call("POST", "/api/v1/stays", admit, nil)
	admit.RequestID = "ST-B"
	if status := r.call("POST", "/api/v1/stays", admit, &stay); status != 201 {
		r.t.Fatalf("admit: %d %s", status, r.sinks[len(r.sinks)-2].text)
	}
	at := "/api/v1/stays/" + stay.ID
	r.call("POST", at+"/fees", gateway.ChargeStay{RequestID: "ST-F", Operator: b.Operator, Fees: b.Fees}, nil)
	r.call("POST", at+"/discharge", gateway.DischargeStay{RequestID: "ST-D", Operator: b.Operator, End: b.Visit.Begin, Department: b.Visit.Department, Way: "1",
		Diagnoses: b.Diagnoses, Operation: gateway.Coded{Code: "00.1", Name: "测试手术"}}, nil)
	r.centre.say("2304", "html")
	settle := gateway.SettleStay{RequestID: "ST-E", Operator: b.Operator, Credential: &c}
	for n := 0; r.call("POST", at+"/settle", settle, nil) != 200 && n < 200; n++ {
		time.Sleep(20 * time.Millisecond)
	}
	r.call("POST", at+"/refund", gateway.RefundStay{RequestID: "ST-X", Operator: b.Operator, To: "admission"}, nil)
	r.call("GET", at, nil, nil)
}

// hl7 drives the mapped listener: good messages, refused ones, and what is none.
func (r *leakRig) hl7(who people.Person) {
	r.t.Helper()
	c, err := net.Dial("tcp", r.gw.hl7[0].ln.Addr().String())
	r.must(err)
	link := hl7.NewLink(c, 0)
	defer func() { _ = link.Close() }()
	send := func(name string, edits ...string) {
		r.t.Helper()
		b, err := defs.FS.ReadFile("generic-hl7/cases/" + name + ".hl7")
		r.must(err)
		r.n++
		edits = append(edits, "999999198503120018", who.Cert, "测试甲", who.Name, "TESTTOKEN00000000000000000001", who.Token, "T99900001", "CARD"+who.Card,
			"0000000000000000000000000000A001", who.CardSN, "20261123001", "2026112399"+strconv.Itoa(r.n))
		ack, err := link.Send(context.Background(), []byte(strings.NewReplacer(edits...).Replace(string(b))))
		r.must(err)
		r.keep("answer to hl7 "+name, ack)
	}
	for _, name := range []string{"outpatient-bill-token", "outpatient-settle-card", "outpatient-bill-unknown-item", "admission-card", "outpatient-refund", "registration", "report"} {
		send(name)
	}
	for _, mode := range []string{"refuse", "unsigned", "html", "500", "header"} {
		r.centre.say("1101", mode)
		send("outpatient-bill-token", "|M0", "|M"+mode)
	}
	r.centre.say("1101", "")
	send("outpatient-bill-token", "PID|", "PID|"+who.Token+"|")
	send("outpatient-bill-token", "DFT^P03", "DFT^"+who.Token)
	send("outpatient-bill-token", "TEST1", who.Token)
	r.sinks = r.sinks[:len(r.sinks)-2] // an acknowledgement repeats the head of the message to who sent it
	send("outpatient-bill-token", "|19850312|", "|"+who.Token+"|")
	for _, text := range []string{"MSH|" + who.Token, who.Cert + "\r" + who.Name, "\x0b" + who.Token} {
		raw, err := net.Dial("tcp", r.gw.hl7[0].ln.Addr().String())
		r.must(err)
		_, _ = raw.Write([]byte("\x0b" + text + "\x1c\r" + who.Token))
		_ = raw.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		ack, _ := io.ReadAll(raw)
		r.keep("answer to what is no HL7", ack)
		_ = raw.Close()
	}
}

// commands runs every command that looks at the journal, beside the running gateway.
func (r *leakRig) commands(who people.Person) {
	r.t.Helper()
	run := func(stdin string, args ...string) string {
		r.t.Helper()
		code, out, errs := yiqiao(r.t, stdin, append(args, "--config", r.dir)...)
		r.keep(strings.Join(args, " "), []byte(out+errs))
		if code == exitFail {
			r.t.Errorf("%v: %s", args, errs)
		}
		return out
	}
	var list []struct {
		ID ident.MsgID `json:"id"`
	}
	r.must(json.Unmarshal([]byte(run("", "journal", "list", "--json", "--limit", "1000")), &list))
	if len(list) < 60 {
		r.t.Errorf("%d records", len(list))
	}
	for i, rec := range list {
		if i%7 == 0 {
			run("", "journal", "show", string(rec.ID))
			run("", "journal", "show", string(rec.ID), "--json")
		}
	}
	run("", "journal", "list")
	for _, number := range []string{who.No, who.Cert} {
		var mine []json.RawMessage
		r.must(json.Unmarshal([]byte(run(number+"\n", "journal", "list", "--person", "-", "--json", "--limit", "1000")), &mine))
		if len(mine) < 40 {
			r.t.Errorf("%d records are found by %s", len(mine), number)
		}
	}
	if out := run("nobody", "journal", "list", "--person", "-"); !strings.Contains(out, "0 笔") {
		r.t.Error(out)
	}
	_, _, err := r.gw.journal.audit.Head(context.Background())
	r.must(err)
	run("", "proof", "make", r.bills[0], "--out", filepath.Join(r.dir, "data", "proof.json"))
	run("", "proof", "make", r.bills[0], "--out", filepath.Join(r.dir, "data", "proof.html"))
	_, out, _ := yiqiao(r.t, "", "proof", "make", r.bills[0], "--full", "--why", "test", "--config", r.dir)
	r.keep("answer: the full form, for those who may see the patient", []byte(out))
	run("", "journal", "fsck")
	run("", "journal", "export", filepath.Join(r.dir, "data", "export.jsonl"))
	run("", "uploads", "status")
	run("", "uploads", "list")
	run("", "deliveries", "list")
	run("", "keys", "list")
	run("", "keys", "rewrap", "--dry-run")
	run("", "keys", "expire", "--dry-run")
	run("", "config", "check")
	today := time.Now().In(gateway.China).Format(time.DateOnly)
	for _, args := range [][]string{{"reconcile", "--date", today}, {"reconcile", "--date", today, "--json"},
		{"reconcile", "--date", today, "--html", filepath.Join(r.dir, "data", "day.html"), "--csv", filepath.Join(r.dir, "data", "day.csv")}} {
		run("", args...)
	}
}

// metrics reads what a monitoring system sees.
func (r *leakRig) metrics() {
	r.t.Helper()
	resp, err := http.Get("http://" + r.gw.parts.watch.ln.Addr().String() + "/metrics")
	r.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	r.must(err)
	r.keep("metrics", text)
	for _, want := range []string{`yiqiao_transactions_total{cause="",centre="main",infno="2207",outcome="done"}`, `yiqiao_calls_total{method="POST",route="/api/v1/settlements",`,
		`yiqiao_refusals_total{code="amounts`, `yiqiao_centre_breaker{centre="main",state="closed"} 1`, `yiqiao_journal_healthy 1`} {
		if !bytes.Contains(text, []byte(want)) {
			r.t.Errorf("metrics: no %s", want)
		}
	}
}

// traced reads what a collector of traces was sent.
func (r *leakRig) traced() {
	r.t.Helper()
	r.must(r.gw.tracer.Close(context.Background()))
	text := r.traces.String()
	r.keep("traces", []byte(text))
	for _, name := range []string{"request", "map", "validate", "journal", "send", "verify", "resolve", "deliver"} {
		if !strings.Contains(text, name) {
			r.t.Errorf("traces: no span %s", name)
		}
	}
	if !strings.Contains(r.log.String(), " trace=") {
		r.t.Error("no trace in the log")
	}
}

// opened is every body the journal keeps, opened.
func (r *leakRig) opened() (list []sink) {
	r.t.Helper()
	ctx := context.Background()
	j := r.gw.journal
	recs, err := j.List(ctx, gateway.Query{Limit: 10_000})
	r.must(err)
	for _, rec := range recs {
		list = append(list, sink{"input of " + string(rec.Infno), rec.Input}, sink{"wire of " + string(rec.Infno), rec.Wire})
		events, err := j.Events(ctx, rec.ID)
		r.must(err)
		for _, e := range events {
			list = append(list, sink{fmt.Sprintf("event %s of %s", e.Kind, rec.Infno), e.Data}, sink{"note", []byte(e.Note)}, sink{"evidence of " + string(rec.Infno), e.Evidence})
		}
	}
	for query, see := range map[string]func(a, b string){
		`SELECT system, id FROM request`: func(a, b string) {
			q, err := j.Request(ctx, gateway.RequestKey{System: a, ID: b})
			r.must(err)
			list = append(list, sink{"answer of " + q.Op, q.Answer})
		},
		`SELECT id, id FROM bill`: func(a, _ string) {
			b, err := j.Bill(ctx, a)
			r.must(err)
			list = append(list, sink{"bill", b.Body})
		},
	} {
		rows, err := j.db.Query(ctx, query)
		r.must(err)
		var pairs [][2]string
		for rows.Next() {
			var p [2]string
			r.must(rows.Scan(&p[0], &p[1]))
			pairs = append(pairs, p)
		}
		r.must(rows.Close())
		for _, p := range pairs {
			see(p[0], p[1])
		}
	}
	return list
}

// files is everything under the site but the keys themselves: the database with its log, refused
// calls, exports, reports.
func (r *leakRig) files() (list []sink) {
	r.t.Helper()
	r.must(filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == "secrets" {
				return fs.SkipDir
			}
			return err
		}
		b, err := os.ReadFile(path)
		list = append(list, sink{path, b})
		return err
	}))
	return list
}
