package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"yiqiao/adapters/his/rest"
	"yiqiao/gateway"
	"yiqiao/gateway/people"
	"yiqiao/schemas/ident"
	simcentre "yiqiao/simulator/centre"
)

const otherHospital = ident.Institution("H44010000002")

// brought is a gateway that brings its results to his-main, which works for two hospitals; the courier is not running.
func brought(t *testing.T) (*accounts, *people.Register) {
	a := newAccounts(t, simcentre.Region{}, "")
	a.gw.close()
	file := filepath.Join(a.dir, "yiqiao.yaml")
	b, err := os.ReadFile(file)
	a.must(err)
	one := string(b)
	i := strings.Index(one, "  - code: "+simHospital)
	j := i + strings.Index(one[i:], "\ncentres:") + 1
	text := one[:j] + strings.Replace(one[i:j], simHospital, string(otherHospital), 1) + one[j:]
	text = strings.Replace(text, "institutions: ["+simHospital+"]", "institutions: ["+simHospital+", "+string(otherHospital)+"]\n    deliver: {url: 'http://127.0.0.1:9/none', key: 'file:"+starterAPIKey+"'}", 1)
	a.must(os.WriteFile(file, []byte(text), 0o600))
	g, err := loadGateway(a.dir)
	a.must(err)
	a.gw, err = newServer(t.Context(), g, &strings.Builder{}, a.clock)
	a.must(err)
	t.Cleanup(a.gw.close)
	r, err := g.register(a.gw.journal, a.gw.parts.provider, a.clock)
	a.must(err)
	return a, r
}

// untold is a final answer nobody fetched.
func (a *accounts) untold(id string, in ident.Institution) {
	a.t.Helper()
	key := gateway.RequestKey{System: "his-main", ID: id}
	at := time.Now().Add(-time.Minute) // past for the gateway's clock and for that of the command line
	if now := a.clock.Now(); now.Before(at) {
		at = now
	}
	_, err := a.gw.journal.Write(a.t.Context(), gateway.Entry{Request: &gateway.Request{Key: key, Op: "transact", Institution: in, Ref: string(in) + "202611230915300001", CreatedAt: at}})
	a.must(err)
	_, err = a.gw.journal.Write(a.t.Context(), gateway.Entry{Answer: &gateway.Answer{Key: key, Body: []byte(`{}`), At: at, Institution: in}})
	a.must(err)
}

func (a *accounts) deliveries(token string) rest.DeliveryList {
	a.t.Helper()
	var l rest.DeliveryList
	w := a.asked("GET", "/api/v1/operations/deliveries", nil, "Authorization", "Bearer "+token)
	if w.Code != 200 {
		a.t.Fatalf("%d %s", w.Code, w.Body)
	}
	a.must(json.Unmarshal(w.Body.Bytes(), &l))
	return l
}

// People look after deliveries: by role, and each for the own institutions.
func TestDeliveriesOfPeople(t *testing.T) {
	a, r := brought(t)
	a.enter(r, "boss", []string{"administrator"})
	eng := a.enter(r, "eng", []string{"engineer"})                     // of all
	near := a.enter(r, "near", []string{"engineer"}, simHospital)      // of one of the two
	look := a.enter(r, "look", []string{"finance"}, otherHospital)     // may only look
	cash := a.enter(r, "cash", []string{"cashier"}, simHospital)       // may not even
	stranger := a.enter(r, "far", []string{"auditor"}, "H44010000002") // looks at the other one
	a.untold("NEAR-1", simHospital)
	a.untold("FAR-1", otherHospital)
	a.untold("FAR-2", otherHospital)
	ids := func(token string) (list []string) {
		for _, s := range a.deliveries(token).Systems {
			for _, w := range s.Waiting {
				list = append(list, w.Delivery)
			}
		}
		return list
	}
	for token, want := range map[string][]string{eng: {"NEAR-1", "FAR-1", "FAR-2"}, near: {"NEAR-1"}, look: {"FAR-1", "FAR-2"}, stranger: {"FAR-1", "FAR-2"}} {
		if got := ids(token); !slices.Equal(got, want) {
			t.Errorf("%q are seen, want %q", got, want)
		}
	}
	order := func(token, do, system string, body map[string]any) gateway.Code {
		w := a.asked("POST", "/api/v1/operations/deliveries/"+system+"/"+do, body, "Authorization", "Bearer "+token, "Idempotency-Key", "TS-1")
		if w.Code == 200 {
			return ""
		}
		return problemCode(w)
	}
	if w := a.asked("GET", "/api/v1/operations/deliveries", nil, "Authorization", "Bearer "+cash); problemCode(w) != gateway.CodeNotPermitted {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	type m = map[string]any
	for name, c := range map[string]struct {
		token, do, system string
		body              m
		want              gateway.Code
	}{
		"who only looks":        {look, "retry", "his-main", m{"delivery": "FAR-1"}, gateway.CodeNotPermitted},
		"who may not look":      {cash, "skip", "his-main", m{"delivery": "NEAR-1", "why": "x"}, gateway.CodeNotPermitted},
		"nobody":                {"", "retry", "his-main", m{}, gateway.CodeSessionNeeded},
		"another's":             {near, "skip", "his-main", m{"delivery": "FAR-1", "why": "x"}, gateway.CodeNotFound},
		"another's, again":      {near, "retry", "his-main", m{"delivery": "FAR-1"}, gateway.CodeNotFound},
		"not there":             {near, "skip", "his-main", m{"delivery": "NEAR-9", "why": "x"}, gateway.CodeNotFound},
		"no such system":        {eng, "pause", "his-nobody", m{"why": "x"}, gateway.CodeNotFound},
		"a part pauses all":     {near, "pause", "his-main", m{"why": "x"}, gateway.CodeNotPermitted},
		"a part retries all":    {near, "retry", "his-main", m{}, gateway.CodeNotPermitted},
		"no reason":             {eng, "skip", "his-main", m{"delivery": "FAR-1"}, gateway.CodeRequestInvalid},
		"a blank reason":        {eng, "pause", "his-main", m{"why": "  "}, gateway.CodeRequestInvalid},
		"which":                 {eng, "skip", "his-main", m{"why": "x"}, gateway.CodeRequestInvalid},
		"one is not paused":     {eng, "pause", "his-main", m{"delivery": "FAR-1", "why": "x"}, gateway.CodeRequestInvalid},
		"another member":        {eng, "pause", "his-main", m{"why": "x", "by": "boss"}, gateway.CodeRequestInvalid},
		"a number for a reason": {eng, "pause", "his-main", m{"why": 1}, gateway.CodeRequestInvalid},
	} {
		if got := order(c.token, c.do, c.system, c.body); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := ids(eng); len(got) != 3 || a.deliveries(eng).Systems[0].Paused {
		t.Errorf("an order that was refused did something: %q", got)
	}
	for _, c := range []struct {
		token, do string
		body      m
	}{{near, "retry", m{"delivery": "NEAR-1"}}, {near, "skip", m{"delivery": "NEAR-1", "why": "已电话告知"}}, {eng, "pause", m{"why": "维护"}}, {eng, "pause", m{"why": "维护"}}} {
		if got := order(c.token, c.do, "his-main", c.body); got != "" {
			t.Errorf("%s: %s", c.do, got)
		}
	}
	a.untold("FAR-3", otherHospital) // so that what was told is written
	if got := ids(eng); !slices.Equal(got, []string{"FAR-1", "FAR-2", "FAR-3"}) {
		t.Errorf("%q", got)
	}
	whole, part := a.deliveries(eng).Systems[0], a.deliveries(look).Systems[0]
	if !whole.Paused || !whole.Whole || !strings.Contains(whole.PausedWhy, "eng: 维护") || !part.Paused || part.Whole || part.PausedWhy != "" || part.Delivered != 0 {
		t.Errorf("%+v %+v", whole, part)
	}
	if got := order(eng, "resume", "his-main", m{}); got != "" || a.deliveries(eng).Systems[0].Paused {
		t.Errorf("resume: %s", got)
	}
	code, out, errs := yiqiao(t, "", "audit", "verify", "--config", a.dir)
	if code != exitOK {
		t.Errorf("%s%s", out, errs)
	}
}

// The auditor sees who did what, each for the own institutions, and that the end of the record is sound; what was
// changed in it is seen.
func TestAuditRecordOfPeople(t *testing.T) {
	a, r := brought(t)
	boss := a.enter(r, "boss", []string{"administrator"})
	all := a.enter(r, "shen", []string{"auditor"})
	near := a.enter(r, "shen1", []string{"auditor"}, simHospital)
	far := a.enter(r, "shen2", []string{"auditor"}, otherHospital)
	eng := a.enter(r, "eng", []string{"engineer"})
	id := a.parked()
	if w := a.asked("POST", "/api/v1/operations/deliveries/his-main/pause", map[string]any{"why": "维护"}, "Authorization", "Bearer "+eng, "Idempotency-Key", "TS-1"); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	a.gw.journal.signAudit()
	look := func(token string) (s gateway.AuditState) {
		t.Helper()
		w := a.asked("GET", "/api/v1/operations/audit?limit=1000", nil, "Authorization", "Bearer "+token)
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		a.must(json.Unmarshal(w.Body.Bytes(), &s))
		return s
	}
	has := func(s gateway.AuditState, who, what, ref string) bool {
		return slices.ContainsFunc(s.Lines, func(l gateway.AuditLine) bool {
			return (who == "" || l.Who == who) && (what == "" || l.What == what) && (ref == "" || strings.HasPrefix(l.Ref, ref))
		})
	}
	s := look(all)
	if !s.Sound || s.Checked < 10 || s.Heads != 1 || len(s.Chains) == 0 || s.Chains[0].SignedTo == 0 || !has(s, "person:eng", "deliveries.pause", "his-main") || !has(s, "", "", string(id)) || !has(s, "person:shen", "sign-in", "") {
		t.Errorf("%+v", s)
	}
	if s := look(boss); !s.Sound {
		t.Error("an administrator may look, too")
	}
	s = look(near)
	if !s.Sound || len(s.Chains) != 0 || !has(s, "", "", string(id)) || has(s, "", "sign-in", "") || has(s, "person:eng", "", "") {
		t.Errorf("%+v", s)
	}
	if s = look(far); len(s.Lines) != 0 || len(s.Chains) != 0 {
		t.Errorf("%+v", s)
	}
	if w := a.asked("GET", "/api/v1/operations/audit", nil, "Authorization", "Bearer "+eng); problemCode(w) != gateway.CodeNotPermitted {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, limit := range []string{"0", "1001", "x", "-1"} {
		if w := a.asked("GET", "/api/v1/operations/audit?limit="+limit, nil, "Authorization", "Bearer "+all); problemCode(w) != gateway.CodeRequestInvalid {
			t.Errorf("%s: %d %s", limit, w.Code, w.Body)
		}
	}
}
