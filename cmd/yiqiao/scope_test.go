package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"yiqiao/adapters/his/counter"
	"yiqiao/adapters/his/hl7"
	"yiqiao/crypto/sm"
	"yiqiao/examples"
	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/gateway/mapping/defs"
	"yiqiao/gateway/people"
	"yiqiao/gateway/review"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// An alliance of two hospitals on one gateway: near has patients, far has a key and wants to see them.
const (
	nearHospital = ident.Institution("H44010000001")
	farHospital  = ident.Institution("H44010000002")
	farKey       = "key-of-the-far-hospital"
	nearPatient  = "测试甲"
	nearCert     = "999999198503120018"
)

type alliance struct {
	t    *testing.T
	gw   *server
	near string            // key
	ids  map[string]string // what near has, by kind
}

func newAlliance(t *testing.T) *alliance {
	a := &alliance{t: t, ids: map[string]string{}}
	p, err := sm.New("")
	a.must(err)
	hexOf := func(key string) string {
		d := p.SM3([]byte(key))
		return fmt.Sprintf("%x", d[:])
	}
	_, a.gw = newHospital(t, func(g *gatewaySettings) {
		b, err := os.ReadFile(filepath.Join(g.base, starterAPIKey))
		a.must(err)
		a.near = strings.TrimSpace(string(b))
		far := g.Institutions[0]
		far.Code, far.Name = string(farHospital), "远县人民医院"
		g.Institutions = append(g.Institutions, far)
		g.HIS = append(g.HIS, hisSettings{System: "his-far", KeyDigest: hexOf(farKey), Institutions: []string{string(farHospital)}})
		g.HIS[0].Deliver = deliverSettings{URL: "http://127.0.0.1:9/none", Key: config.Secret("file:" + starterAPIKey), After: config.Duration(time.Hour)}
		g.SOAP.Mapping, g.FHIR.Mapping = "generic-xml", "generic-fhir"
		g.HL7 = []hl7Settings{{Listen: "127.0.0.1:0", Mapping: "generic-hl7", Clients: []hl7Client{
			{System: "his-main", KeyDigest: hexOf(a.near), Institutions: []string{string(nearHospital)}},
			{System: "his-far", KeyDigest: hexOf(farKey), Institutions: []string{string(farHospital)}}}}}
		a.must(g.check())
	})
	a.fill()
	return a
}

func (a *alliance) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// call gives status and text of a call at the HTTP interface.
func (a *alliance) call(key, method, path string, body any) (int, string) {
	a.t.Helper()
	var text []byte
	switch b := body.(type) {
	case nil:
	case string:
		text = []byte(b)
	default:
		var err error
		text, err = json.Marshal(body)
		a.must(err)
	}
	r, err := http.NewRequest(method, "http://"+a.gw.addr()+path, bytes.NewReader(text))
	a.must(err)
	r.Header.Set("X-API-Key", key)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	a.must(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	a.must(err)
	return resp.StatusCode, string(b)
}

// make does something at near and keeps the id of it.
func (a *alliance) make(kind, path string, body any) {
	a.t.Helper()
	status, text := a.call(a.near, "POST", path, body)
	var got struct {
		ID       string `json:"id"`
		Instance string `json:"instance"`
	}
	a.must(json.Unmarshal([]byte(text), &got))
	if got.ID == "" && status == http.StatusAccepted {
		got.ID = got.Instance[strings.LastIndex(got.Instance, "/")+1:]
	}
	if status/100 != 2 || got.ID == "" {
		a.t.Fatalf("%s: %d %s", kind, status, text)
	}
	a.ids[kind] = got.ID
}

type obj = map[string]any

func (a *alliance) operator() gateway.Operator {
	return gateway.Operator{ID: "0101", Name: "王收费", Type: "1"}
}

// fill makes one of everything at near.
func (a *alliance) fill() {
	op := a.operator()
	bill, _ := standardBill("X", nearCert, nearPatient)
	bill.RequestID = "OP-X1"
	a.make("settlement", "/api/v1/settlements", bill)
	a.make("settled", "/api/v1/settlements/"+a.ids["settlement"]+"/confirm", gateway.ConfirmSettlement{RequestID: "OP-X1-C", Operator: op})
	a.make("invoice", "/api/v1/einvoices", gateway.IssueInvoice{RequestID: "E1", Settlement: a.ids["settlement"], Operator: op})
	a.make("transaction", "/api/v1/transactions/1101", gateway.Transact{RequestID: "T1", Operator: op, Input: obj{"data": obj{
		"mdtrt_cert_type": "02", "mdtrt_cert_no": nearCert, "psn_cert_type": "01", "certno": nearCert, "psn_name": nearPatient}}})
	a.make("upload", "/api/v1/uploads/4402", a.upload("U1", ""))
	a.make("stay", "/api/v1/stays", gateway.AdmitStay{RequestID: "A1", Operator: op, Credential: bill.Credential, Diagnoses: bill.Diagnoses,
		Visit: gateway.StayInfo{Number: "ZY-1", MedType: "21", Begin: bill.Visit.Begin, Doctor: bill.Visit.Doctor, Department: bill.Visit.Department, Bed: "01", Operation: gateway.Coded{Code: "00.1", Name: "测试手术"}}})
	a.make("sale", "/api/v1/pharmacy-sales", example[gateway.OpenSale](a.t, examples.PharmacySale))
	a.make("filing", "/api/v1/filings", example[gateway.OpenFiling](a.t, examples.Filing))
	ctx, j := a.t.Context(), a.gw.journal
	id, err := j.NextMsgID(ctx, nearHospital, time.Now())
	a.must(err)
	_, err = j.Write(ctx, gateway.Entry{Record: &gateway.Record{ID: id, Institution: nearHospital, Infno: "2207", Step: "2207", Attempt: 1, State: gateway.StateSent,
		CreatedAt: time.Now(), Operator: op, Input: []byte(`{"data":{"psn_no":"P1","mdtrt_id":"V1","medfee_sumamt":"12.00"}}`)}})
	a.must(err)
	for i, k := range []gateway.EventKind{gateway.EventUnknown, gateway.EventParked} {
		_, err = j.Write(ctx, gateway.Entry{Append: &gateway.Append{ID: id, Version: i + 1, Event: gateway.Event{Kind: k, At: time.Now(), Cause: gateway.CauseTimeout}}})
		a.must(err)
	}
	a.ids["parked"] = string(id)
	pr, err := a.gw.book.Propose(ctx, gateway.Person{ID: "li"}, review.Draft{Record: id, Why: "无此笔",
		Decision: gateway.HandDecision{Do: gateway.HandAbsent, Proof: "office", Source: "电话"}})
	a.must(err)
	a.ids["review"] = strconv.Itoa(pr.No)
}

func (a *alliance) upload(request string, in ident.Institution) gateway.Transact {
	return gateway.Transact{RequestID: request, Institution: in, Operator: a.operator(), InsuplcArea: "440100", Input: obj{"data": []any{
		obj{"mdtrt_sn": "SN1", "mdtrt_id": "M1", "psn_no": "P1", "vali_flag": "1", "medcas_drord_detl_id": "D1"}}}}
}

// secrets are what only near may read: what it looks like from there.
func (a *alliance) secrets() []string {
	list := []string{nearPatient, nearCert, "OP-X1", "office", "电话"}
	for _, path := range []string{"/api/v1/settlements/" + a.ids["settlement"], "/api/v1/stays/" + a.ids["stay"], "/api/v1/pharmacy-sales/" + a.ids["sale"],
		"/api/v1/filings/" + a.ids["filing"], "/api/v1/einvoices/" + a.ids["invoice"], "/api/v1/transactions/" + a.ids["transaction"], "/api/v1/reviews/" + a.ids["review"]} {
		status, text := a.call(a.near, "GET", path, nil)
		var got obj
		a.must(json.Unmarshal([]byte(text), &got))
		if status != 200 {
			a.t.Fatalf("%s: %d %s", path, status, text)
		}
		for _, m := range []string{"mdtrt_id", "setl_id", "msgid", "number"} {
			if v, ok := got[m].(string); ok && len(v) > 5 {
				list = append(list, v)
			}
		}
	}
	return list
}

// nobodys are ids of the right form that nothing has.
var nobodys = map[string]string{
	"settlement": "BH44010000001202001010101010001", "stay": "SH44010000001202001010101010001", "transaction": "H44010000001202001010101010001",
	"upload": "H44010000001202001010101010002", "sale": "DH44010000001202001010101010001", "filing": "FH44010000001202001010101010001",
	"invoice": "BH44010000001202001010101010001_1", "review": "7777", "parked": "H44010000001202001010101010003",
}

// entrance is what far tries at one route.
type entrance struct {
	public bool
	// path and body name something of near, by its id; "" for kind where the route names nothing.
	kind, path string
	body       func(id, request string) any
	// code is the answer; "" means an empty list.
	code gateway.Code
}

// doors is every route of the HTTP interface. A route that is not here fails the test.
func (a *alliance) doors() map[string]entrance {
	op := a.operator()
	bill, _ := standardBill("Y", nearCert, nearPatient)
	cred := bill.Credential
	by := gateway.ClaimedBy{ID: "wang"}
	opened := func(kind, path string) entrance { return entrance{kind: kind, path: path, code: gateway.CodeNotFound} }
	acts := func(kind, path string, body func(id, request string) any) entrance {
		return entrance{kind: kind, path: path, body: body, code: gateway.CodeNotFound}
	}
	enters := func(path string, body func(id, request string) any) entrance {
		return entrance{path: path, body: body, code: gateway.CodeInstitution}
	}
	deliveries := func(do string) entrance {
		return entrance{path: "/api/v1/operations/deliveries/his-main/" + do, body: func(string, string) any { return obj{"delivery": "NEAR-UNTOLD-1", "why": "x"} }, code: gateway.CodeSessionNeeded}
	}
	return map[string]entrance{
		"GET /": {public: true, path: "/"}, "GET /healthz": {public: true, path: "/healthz"},
		"GET /openapi.json": {public: true, path: "/openapi.json"}, "GET /api/v1/errors": {public: true, path: "/api/v1/errors"},

		// Of people: a key of a HIS is no session.
		"POST /api/v1/sessions":                  {path: "/api/v1/sessions", body: func(string, string) any { return obj{"id": "li", "password": "x"} }, code: gateway.CodeLoginRefused},
		"GET /api/v1/sessions/current":           {path: "/api/v1/sessions/current", code: gateway.CodeSessionNeeded},
		"DELETE /api/v1/sessions/current":        {path: "/api/v1/sessions/current"},
		"POST /api/v1/sessions/current/password": {path: "/api/v1/sessions/current/password", body: func(string, string) any { return obj{"password": "x", "new_password": "y"} }, code: gateway.CodeSessionNeeded},

		"GET /api/v1/operations/journal":                {path: "/api/v1/operations/journal", code: gateway.CodeSessionNeeded},
		"GET /api/v1/operations/uploads":                {path: "/api/v1/operations/uploads", code: gateway.CodeSessionNeeded},
		"GET /api/v1/operations/people":                 {path: "/api/v1/operations/people", code: gateway.CodeSessionNeeded},
		"GET /api/v1/operations/deliveries":             {path: "/api/v1/operations/deliveries", code: gateway.CodeSessionNeeded},
		"GET /api/v1/operations/audit":                  {path: "/api/v1/operations/audit", code: gateway.CodeSessionNeeded},
		"POST /api/v1/operations/deliveries/:id/retry":  deliveries("retry"),
		"POST /api/v1/operations/deliveries/:id/skip":   deliveries("skip"),
		"POST /api/v1/operations/deliveries/:id/pause":  deliveries("pause"),
		"POST /api/v1/operations/deliveries/:id/resume": deliveries("resume"),

		"GET /api/v1/transactions/:id": opened("transaction", "/api/v1/transactions/"),
		"POST /api/v1/transactions/:id": enters("/api/v1/transactions/1101", func(_, r string) any {
			return gateway.Transact{RequestID: r, Institution: nearHospital, Operator: op, Input: obj{"data": obj{}}}
		}),
		"POST /api/v1/uploads/:infno": enters("/api/v1/uploads/4402", func(_, r string) any { return a.upload(r, nearHospital) }),

		"GET /api/v1/settlements/:id": opened("settlement", "/api/v1/settlements/"),
		"POST /api/v1/settlements": enters("/api/v1/settlements", func(_, r string) any {
			b := bill
			b.RequestID, b.Institution = r, nearHospital
			return b
		}),
		"POST /api/v1/settlements/:id/confirm": acts("settlement", "/api/v1/settlements/{}/confirm", func(_, r string) any { return gateway.ConfirmSettlement{RequestID: r, Operator: op, Credential: &cred} }),
		"POST /api/v1/settlements/:id/refund":  acts("settlement", "/api/v1/settlements/{}/refund", func(_, r string) any { return gateway.RefundSettlement{RequestID: r, Operator: op} }),

		"GET /api/v1/stays/:id": opened("stay", "/api/v1/stays/"),
		"POST /api/v1/stays": enters("/api/v1/stays", func(_, r string) any {
			return gateway.AdmitStay{RequestID: r, Institution: nearHospital, Operator: op, Credential: cred, Diagnoses: bill.Diagnoses,
				Visit: gateway.StayInfo{Number: "ZY-2", MedType: "21", Begin: bill.Visit.Begin, Doctor: bill.Visit.Doctor, Department: bill.Visit.Department, Bed: "01", Operation: gateway.Coded{Code: "00.1", Name: "测试手术"}}}
		}),
		"POST /api/v1/stays/:id/fees": acts("stay", "/api/v1/stays/{}/fees", func(_, r string) any { return gateway.ChargeStay{RequestID: r, Operator: op, Fees: bill.Fees} }),
		"POST /api/v1/stays/:id/discharge": acts("stay", "/api/v1/stays/{}/discharge", func(_, r string) any {
			return gateway.DischargeStay{RequestID: r, Operator: op, End: bill.Visit.Begin, Department: bill.Visit.Department, Way: "1", Diagnoses: bill.Diagnoses, Operation: gateway.Coded{Code: "00.1", Name: "测试手术"}}
		}),
		"POST /api/v1/stays/:id/change": acts("stay", "/api/v1/stays/{}/change", func(_, r string) any {
			return gateway.ChangeStay{RequestID: r, Operator: op, Diagnoses: bill.Diagnoses, Visit: gateway.StayInfo{Number: "ZY-2", MedType: "21", Begin: bill.Visit.Begin,
				Doctor: bill.Visit.Doctor, Department: bill.Visit.Department, Bed: "01", Operation: gateway.Coded{Code: "00.1", Name: "测试手术"}}}
		}),
		"POST /api/v1/stays/:id/settle": acts("stay", "/api/v1/stays/{}/settle", func(_, r string) any { return gateway.SettleStay{RequestID: r, Operator: op, Credential: &cred} }),
		"POST /api/v1/stays/:id/refund": acts("stay", "/api/v1/stays/{}/refund", func(_, r string) any { return gateway.RefundStay{RequestID: r, Operator: op} }),

		"GET /api/v1/pharmacy-sales/:id": opened("sale", "/api/v1/pharmacy-sales/"),
		"POST /api/v1/pharmacy-sales": enters("/api/v1/pharmacy-sales", func(_, r string) any {
			s := example[gateway.OpenSale](a.t, examples.PharmacySale)
			s.RequestID, s.Institution = r, nearHospital
			return s
		}),
		"POST /api/v1/pharmacy-sales/:id/confirm": acts("sale", "/api/v1/pharmacy-sales/{}/confirm", func(_, r string) any { return gateway.ConfirmSale{RequestID: r, Operator: op, Credential: &cred} }),
		"POST /api/v1/pharmacy-sales/:id/refund":  acts("sale", "/api/v1/pharmacy-sales/{}/refund", func(_, r string) any { return gateway.RefundSale{RequestID: r, Operator: op} }),

		"GET /api/v1/filings/:id": opened("filing", "/api/v1/filings/"),
		"POST /api/v1/filings": enters("/api/v1/filings", func(_, r string) any {
			f := example[gateway.OpenFiling](a.t, examples.Filing)
			f.RequestID, f.Institution = r, nearHospital
			return f
		}),
		"POST /api/v1/filings/:id/withdraw": acts("filing", "/api/v1/filings/{}/withdraw", func(_, r string) any { return gateway.WithdrawFiling{RequestID: r, Operator: op, Memo: "x"} }),

		"GET /api/v1/settlements/:id/einvoices": opened("settlement", "/api/v1/settlements/{}/einvoices"),
		"GET /api/v1/einvoices/:id":             opened("invoice", "/api/v1/einvoices/"),
		"POST /api/v1/einvoices": acts("settlement", "/api/v1/einvoices", func(id, r string) any {
			return gateway.IssueInvoice{RequestID: r, Settlement: id, Operator: op}
		}),
		"POST /api/v1/einvoices/:id/reverse": acts("invoice", "/api/v1/einvoices/{}/reverse", func(_, r string) any { return gateway.ReverseInvoice{RequestID: r, Operator: op, Reason: "x"} }),
		"POST /api/v1/einvoices/:id/paper":   acts("invoice", "/api/v1/einvoices/{}/paper", func(_, r string) any { return gateway.PaperInvoice{RequestID: r, Operator: op} }),
		"POST /api/v1/einvoices/:id/deliver": acts("invoice", "/api/v1/einvoices/{}/deliver", func(_, r string) any { return gateway.DeliverInvoice{RequestID: r, Operator: op, Phone: "13900000000"} }),

		"GET /api/v1/einvoices/:id/paper":    opened("invoice", "/api/v1/einvoices/{}/paper"),
		"GET /api/v1/einvoices/:id/voucher":  opened("invoice", "/api/v1/einvoices/{}/voucher"),
		"POST /api/v1/einvoices/:id/voucher": acts("invoice", "/api/v1/einvoices/{}/voucher", func(_, r string) any { return gateway.SendVoucher{RequestID: r, Operator: op} }),
		"POST /api/v1/einvoices/:id/file": acts("invoice", "/api/v1/einvoices/{}/file", func(_, r string) any {
			return gateway.SendInvoiceFile{RequestID: r, Operator: op, Format: gateway.InvoicePDF, Content: "JVBERi0xLjQK"}
		}),
		"GET /api/v1/einvoice-papers": {path: "/api/v1/einvoice-papers?institution=" + string(nearHospital), code: gateway.CodeInstitution},
		"POST /api/v1/einvoice-papers/void": enters("/api/v1/einvoice-papers/void", func(_, r string) any {
			return gateway.VoidPapers{RequestID: r, Institution: nearHospital, Operator: op, Batch: "06010126", From: "0000000001", To: "0000000002", Reason: "x"}
		}),

		"GET /api/v1/reviews":     {path: "/api/v1/reviews?all=true"},
		"GET /api/v1/reviews/:id": opened("review", "/api/v1/reviews/"),
		"POST /api/v1/reviews": acts("parked", "/api/v1/reviews", func(id, r string) any {
			return gateway.ProposeReview{RequestID: r, By: by, Record: ident.MsgID(id), Why: "x", Decision: gateway.HandDecision{Do: gateway.HandAbsent, Proof: "office", Source: "x"}}
		}),
		"POST /api/v1/reviews/:id/approve": acts("review", "/api/v1/reviews/{}/approve", func(_, r string) any { return gateway.DecideReview{RequestID: r, By: by, Why: "x"} }),
		"POST /api/v1/reviews/:id/reject":  acts("review", "/api/v1/reviews/{}/reject", func(_, r string) any { return gateway.DecideReview{RequestID: r, By: by, Why: "x"} }),
	}
}

// mountedDoors are tried by TestForeignMessages.
var mountedDoors = []string{"* /native", "* /soap", "* /fhir"}

func (d entrance) at(id string) string {
	if strings.Contains(d.path, "{}") {
		return strings.Replace(d.path, "{}", id, 1)
	}
	if d.body == nil && strings.HasSuffix(d.path, "/") && d.kind != "" {
		return d.path + id
	}
	return d.path
}

// Every route, with the key of another hospital and the ids of this one: what is not one's own is not
// there, word for word as if it never was, and nothing changes.
func TestForeignInstitutions(t *testing.T) {
	a := newAlliance(t)
	doors, secrets := a.doors(), a.secrets()
	var tried []string
	for route := range doors {
		tried = append(tried, route)
	}
	tried = append(tried, mountedDoors...)
	slices.Sort(tried)
	have := slices.Clone(a.gw.routes)
	slices.Sort(have)
	if !slices.Equal(tried, have) {
		for _, r := range have {
			if !slices.Contains(tried, r) {
				t.Errorf("route %s is not in the table of this test: say what another institution gets there", r)
			}
		}
		for _, r := range tried {
			if !slices.Contains(have, r) {
				t.Errorf("route %s is in the table and not served", r)
			}
		}
	}
	before := a.states()
	n := 0
	for route, d := range doors {
		method, _, _ := strings.Cut(route, " ")
		try := func(id string) (int, string, gateway.Code) {
			n++
			var body any
			if d.body != nil {
				body = d.body(id, fmt.Sprintf("FAR-%d", n))
			}
			status, text := a.call(farKey, method, d.at(id), body)
			for _, s := range secrets {
				if strings.Contains(text, s) && !d.public {
					t.Errorf("%s gives away %q: %s", route, s, text)
				}
			}
			var p struct {
				Code gateway.Code `json:"code"`
			}
			_ = json.Unmarshal([]byte(text), &p)
			return status, text, p.Code
		}
		status, text, code := try(a.ids[d.kind])
		switch {
		case d.public && status == 200:
			continue
		case code != d.code || d.code == "" && status/100 != 2:
			t.Errorf("%s: %d %s, want %q", route, status, text, d.code)
		case d.code == "" && strings.Contains(text, string(nearHospital)):
			t.Errorf("%s lists what is another's: %s", route, text)
		}
		if d.kind == "" {
			continue
		}
		other, words, _ := try(nobodys[d.kind])
		if status != other || faceless(text, a.ids[d.kind]) != faceless(words, nobodys[d.kind]) {
			t.Errorf("%s tells what is another's from what is not there:\n%d %s\n%d %s", route, status, text, other, words)
		}
	}
	// A reversal at the low level that names a message of the other hospital.
	for _, id := range []string{a.ids["transaction"], a.ids["parked"]} {
		_, text := a.call(farKey, "POST", "/api/v1/transactions/2601", gateway.Transact{RequestID: "FAR-2601-" + id, Operator: a.operator(), InsuplcArea: "440100",
			Input: obj{"data": obj{"psn_no": "P1", "omsgid": id, "oinfno": "2207"}}})
		if !strings.Contains(text, "not-found") {
			t.Errorf("a reversal of another's message: %s", text)
		}
	}
	if after := a.states(); after != before {
		t.Errorf("something of near has changed:\n%s\n%s", before, after)
	}
	a.strangers()
}

// strangers are people of the far hospital with every role, signed in.
func (a *alliance) strangers() {
	a.t.Helper()
	p, err := sm.New("")
	a.must(err)
	r, err := people.New(people.Options{DB: a.gw.journal.db, Audit: a.gw.journal.audit, Clock: systemClock{}, Digest: p.SM3, Rand: rand.Reader,
		Institutions: []ident.Institution{nearHospital, farHospital}})
	a.must(err)
	tokens := map[ident.Institution]string{}
	for _, d := range []people.Draft{{ID: "boss", Name: "总管", Roles: []string{people.Administrator}, Everywhere: true},
		{ID: "near", Name: "近人", Roles: []string{"finance", "auditor"}, Institutions: []ident.Institution{nearHospital}},
		{ID: "far", Name: "远人", Roles: people.RoleNames(), Institutions: []ident.Institution{farHospital}}} {
		d.Password = "first-password-of-all-4711"
		_, _, err := r.Add(a.t.Context(), "os:test", d)
		a.must(err)
		_, token, err := r.SignIn(a.t.Context(), gateway.SignIn{ID: d.ID, Password: d.Password})
		a.must(err)
		_, token, err = r.ChangePassword(a.t.Context(), token, d.Password, "chosen-password-of-all-4711", "")
		a.must(err)
		if !d.Everywhere {
			tokens[d.Institutions[0]] = token
		}
	}
	// Something of near that was not fetched.
	delivery := gateway.RequestKey{System: "his-main", ID: "NEAR-UNTOLD-1"}
	_, err = a.gw.journal.Write(a.t.Context(), gateway.Entry{Request: &gateway.Request{Key: delivery, Op: "transact", Institution: nearHospital, Ref: a.ids["transaction"], CreatedAt: time.Now()}})
	a.must(err)
	_, err = a.gw.journal.Write(a.t.Context(), gateway.Entry{Answer: &gateway.Answer{Key: delivery, Body: []byte(`{}`), At: time.Now()}})
	a.must(err)
	for _, o := range []string{"retry", "skip", "pause", "resume"} {
		for system, want := range map[string]gateway.Code{"his-main": gateway.CodeNotFound, "nobody": gateway.CodeNotFound} {
			r, err := http.NewRequest("POST", "http://"+a.gw.addr()+"/api/v1/operations/deliveries/"+system+"/"+o, strings.NewReader(`{"request_id":"FAR-ORDER","delivery":"NEAR-UNTOLD-1","why":"x"}`))
			a.must(err)
			r.Header.Set("Authorization", "Bearer "+tokens[farHospital])
			r.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(r)
			a.must(err)
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			a.must(err)
			if resp.StatusCode != 404 || !strings.Contains(string(b), string(want)) || strings.Contains(string(b), string(nearHospital)) {
				a.t.Errorf("%s of %s by a person of far: %d %s", o, system, resp.StatusCode, b)
			}
		}
	}
	for _, path := range []string{"/api/v1/operations/deliveries", "/api/v1/operations/audit?limit=1000", "/api/v1/operations/journal", "/api/v1/operations/uploads", "/api/v1/operations/people", "/api/v1/reviews?all=true",
		"/api/v1/operations/journal?institution=" + string(nearHospital), "/api/v1/operations/uploads?institution=" + string(nearHospital), "/api/v1/reviews/" + a.ids["review"]} {
		for in, token := range tokens {
			r, err := http.NewRequest("GET", "http://"+a.gw.addr()+path, nil)
			a.must(err)
			r.Header.Set("Authorization", "Bearer "+token)
			resp, err := http.DefaultClient.Do(r)
			a.must(err)
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			a.must(err)
			if sees := strings.Contains(string(b), string(nearHospital)); sees != (in == nearHospital) || in == nearHospital && resp.StatusCode != 200 {
				a.t.Errorf("%s for a person of %s: %d %s", path, in, resp.StatusCode, b)
			}
			if in == farHospital && strings.Contains(string(b), "总管") {
				a.t.Errorf("%s shows accounts of others", path)
			}
		}
	}
}

// faceless is an answer without what differs in every answer: the id asked for and the reference.
func faceless(text, id string) string {
	var p obj
	if json.Unmarshal([]byte(text), &p) != nil {
		return text
	}
	delete(p, "reference")
	delete(p, "instance")
	b, _ := json.Marshal(p)
	return strings.ReplaceAll(string(b), id, "ID")
}

// states is how everything of near stands.
func (a *alliance) states() string {
	var b strings.Builder
	for _, path := range []string{"/api/v1/settlements/" + a.ids["settlement"], "/api/v1/stays/" + a.ids["stay"], "/api/v1/pharmacy-sales/" + a.ids["sale"],
		"/api/v1/filings/" + a.ids["filing"], "/api/v1/transactions/" + a.ids["transaction"], "/api/v1/reviews/" + a.ids["review"]} {
		status, text := a.call(a.near, "GET", path, nil)
		fmt.Fprintf(&b, "%s %d %s\n", path, status, text)
	}
	return b.String()
}

// orderOps reads the operations that orders may have from their contract.
func orderOps(t *testing.T) (ops []gateway.OrderOp) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "gateway", "order.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := v.Type.(*ast.Ident); ok && id.Name == "OrderOp" {
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			ops = append(ops, gateway.OrderOp(text))
		}
		return true
	})
	if len(ops) < 10 {
		t.Fatalf("only %q", ops)
	}
	return ops
}

// Every operation a mapped message may become, at the desk that all such adapters share.
func TestForeignOrders(t *testing.T) {
	a := newAlliance(t)
	c, err := counter.New(a.gw.front(), nil)
	a.must(err)
	secrets, before := a.secrets(), a.states()
	far := gateway.Caller{System: "his-far", Institutions: []ident.Institution{farHospital}}
	doors := a.doors()
	body := func(route string) map[string]any {
		b, err := json.Marshal(doors[route].body("", "X"))
		a.must(err)
		v, err := strictjson.Decode(b, strictjson.Request())
		a.must(err)
		return v.(map[string]any)
	}
	table := map[gateway.OrderOp]struct{ kind, route string }{
		gateway.OrderTransact: {"", "POST /api/v1/transactions/:id"}, gateway.OrderUpload: {"", "POST /api/v1/uploads/:infno"}, gateway.OrderTransaction: {"transaction", ""},
		gateway.OrderOpen: {"", "POST /api/v1/settlements"}, gateway.OrderConfirm: {"settlement", "POST /api/v1/settlements/:id/confirm"},
		gateway.OrderRefund: {"settlement", "POST /api/v1/settlements/:id/refund"}, gateway.OrderSettlement: {"settlement", ""},
		gateway.OrderAdmit: {"", "POST /api/v1/stays"}, gateway.OrderCharge: {"stay", "POST /api/v1/stays/:id/fees"}, gateway.OrderDischarge: {"stay", "POST /api/v1/stays/:id/discharge"},
		gateway.OrderStaySettle: {"stay", "POST /api/v1/stays/:id/settle"}, gateway.OrderStayRefund: {"stay", "POST /api/v1/stays/:id/refund"}, gateway.OrderStay: {"stay", ""},
	}
	for _, op := range orderOps(t) {
		d, ok := table[op]
		if !ok {
			t.Errorf("operation %s is not in the table of this test: say what another institution gets", op)
			continue
		}
		for _, of := range []string{"", "OP-X1"} { // by our id, and by near's own number of the request
			o := gateway.Order{Op: op, Infno: "1101"}
			if op == gateway.OrderUpload {
				o.Infno = "4402"
			}
			if d.route != "" {
				o.Body = body(d.route)
				o.Body["request_id"] = "FAR-" + strings.ReplaceAll(string(op), ".", "-") + of
			}
			want := gateway.CodeInstitution
			if d.kind != "" {
				if o.ID, o.Of, want = a.ids[d.kind], of, gateway.CodeNotFound; of != "" {
					o.ID = ""
				}
			}
			got := c.Do(context.Background(), far, o)
			if got.Code() != want || got.Transaction != nil || got.Settlement != nil || got.Stay != nil {
				t.Errorf("%s %q: %+v %v, want %s", op, of, got, got.Err, want)
			}
			for _, s := range secrets {
				if got.Err != nil && strings.Contains(got.Err.Error(), s) {
					t.Errorf("%s gives away %q", op, s)
				}
			}
		}
	}
	if a.states() != before {
		t.Error("something of near has changed")
	}
}

// The doors that take whole messages, in their own words: the key of another hospital finds nothing of
// this one, neither by its institution nor by its numbers.
func TestForeignMessages(t *testing.T) {
	a := newAlliance(t)
	secrets, before := a.secrets(), a.states()
	check := func(what, text string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: no %q in %s", what, w, text)
			}
		}
		for _, s := range secrets {
			if s != "OP-X1" && strings.Contains(text, s) {
				t.Errorf("%s gives away %q: %s", what, s, text)
			}
		}
	}
	native := func(key, infno, in, input string) string {
		now := time.Now().In(gateway.China)
		_, text := a.call(key, "POST", "/native", fmt.Sprintf(`{"infno":%q,"msgid":"%s%s%04d","mdtrtarea_admvs":"440100","insuplc_admdvs":"440100","recer_sys_code":"YBXT","dev_no":"","dev_safe_info":"",
"cainfo":"","signtype":"","infver":"V1.0","opter_type":"1","opter":"0101","opter_name":"王收费","inf_time":%q,"fixmedins_code":%q,
"fixmedins_name":"远县人民医院","sign_no":"","input":%s}`, infno, in, now.Format("20060102150405"), len(input), now.Format(time.DateTime), in, input))
		return text
	}
	check("native", native(farKey, "1101", string(nearHospital), `{"data":{"mdtrt_cert_type":"02","mdtrt_cert_no":"x","psn_cert_type":"01","certno":"x","psn_name":"x"}}`), "institution-unknown")

	soap := func(key, name string) string {
		b, err := defs.FS.ReadFile("generic-xml/cases/" + name + ".xml")
		a.must(err)
		_, text := a.call(key, "POST", "/soap/"+key, string(b))
		return text
	}
	check("soap, near", strings.NewReplacer(secretsOut(secrets)...).Replace(soap(a.near, "ask")), "settled") // the message finds it with the right key
	for _, name := range []string{"ask", "settle-plain", "refund"} {
		check("soap "+name, soap(farKey, name), "not-found")
	}

	fhir := func(key string) string {
		b, err := defs.FS.ReadFile("generic-fhir/cases/outpatient-ask.fhir")
		a.must(err)
		_, text := a.call(key, "POST", "/fhir/$process-message", strings.ReplaceAll(string(b), `"F1"`, `"X1"`))
		return text
	}
	check("fhir, near", strings.NewReplacer(secretsOut(secrets)...).Replace(fhir(a.near)), "479.54")
	check("fhir", fhir(farKey), "not-found")

	line := func(key, name string) string {
		b, err := defs.FS.ReadFile("generic-hl7/cases/" + name + ".hl7")
		a.must(err)
		conn, err := net.Dial("tcp", a.gw.hl7[0].ln.Addr().String())
		a.must(err)
		link := hl7.NewLink(conn, 0)
		defer link.Close()
		text := strings.NewReplacer("+0800||", "+0800|"+key+"|", "ZD20261123001", "X1", "|M00", "|MF0").Replace(string(b))
		ack, err := link.Send(context.Background(), []byte(text))
		a.must(err)
		return string(ack)
	}
	check("hl7", line(farKey, "outpatient-settle"), "not-found")
	check("hl7", line(farKey, "outpatient-refund"), "not-found")
	check("hl7 without a key", line("wrong", "outpatient-refund"), "api-key-wrong")
	if a.states() != before {
		t.Error("something of near has changed")
	}
}

// secretsOut are replacements that take secrets out of an answer near may see.
func secretsOut(secrets []string) (pairs []string) {
	for _, s := range secrets {
		pairs = append(pairs, s, "")
	}
	return pairs
}
