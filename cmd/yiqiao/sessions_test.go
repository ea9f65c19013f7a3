package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"yiqiao/adapters/his/rest"
	"yiqiao/gateway"
	"yiqiao/gateway/people"
	"yiqiao/gateway/review"
	"yiqiao/schemas/ident"
	simcentre "yiqiao/simulator/centre"
)

const chosenPassword = "风调雨顺-2-国泰民安"

// asked is a call without a network; headers are pairs.
func (a *accounts) asked(method, path string, body any, headers ...string) *httptest.ResponseRecorder {
	a.t.Helper()
	var text []byte
	switch b := body.(type) {
	case nil:
	case []byte:
		text = b
	default:
		var err error
		text, err = json.Marshal(body)
		a.must(err)
	}
	r := httptest.NewRequest(method, path, bytes.NewReader(text))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	a.gw.http.Handler.ServeHTTP(w, r)
	return w
}

func problemCode(w *httptest.ResponseRecorder) gateway.Code {
	var p rest.Problem
	_ = json.Unmarshal(w.Body.Bytes(), &p)
	return p.Code
}

// enter makes an account and signs it in, with its own password.
func (a *accounts) enter(r *people.Register, id string, roles []string, at ...ident.Institution) string {
	a.t.Helper()
	_, made, err := r.Add(a.t.Context(), "os:test", people.Draft{ID: id, Name: "某某" + id, Roles: roles, Institutions: at, Everywhere: len(at) == 0})
	a.must(err)
	var s rest.Session
	w := a.asked("POST", "/api/v1/sessions", map[string]string{"id": id, "password": made})
	a.must(json.Unmarshal(w.Body.Bytes(), &s))
	if w.Code != 201 || !s.MustChange || s.Token == "" {
		a.t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := a.asked("GET", "/api/v1/reviews", nil, "Authorization", "Bearer "+s.Token); problemCode(w) != gateway.CodePasswordChange {
		a.t.Errorf("with a given password: %d %s", w.Code, w.Body)
	}
	w = a.asked("POST", "/api/v1/sessions/current/password", map[string]string{"password": made, "new_password": chosenPassword}, "Authorization", "Bearer "+s.Token)
	old := s.Token
	a.must(json.Unmarshal(w.Body.Bytes(), &s))
	if w.Code != 200 || s.MustChange || s.Token == old {
		a.t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := a.asked("GET", "/api/v1/sessions/current", nil, "Authorization", "Bearer "+old); problemCode(w) != gateway.CodeSessionNeeded {
		a.t.Error("a session of before the change lives")
	}
	return s.Token
}

// People at the real gateway: sign-in, who am I, roles, institutions, sign-out, and what attackers try.
func TestSessions(t *testing.T) {
	a := newAccounts(t, simcentre.Region{}, "")
	g, err := loadGateway(a.dir)
	a.must(err)
	r, err := g.register(a.gw.journal, a.gw.parts.provider, a.clock)
	a.must(err)
	a.enter(r, "boss", []string{"administrator"})
	li := a.enter(r, "li", []string{"cashier"}, simHospital)
	wang := a.enter(r, "wang", []string{"finance"}, simHospital)
	audit := a.enter(r, "shen", []string{"auditor"})
	key, err := os.ReadFile(filepath.Join(a.dir, starterAPIKey))
	a.must(err)
	his := strings.TrimSpace(string(key))

	w := a.asked("GET", "/api/v1/sessions/current", nil, "Authorization", "Bearer "+li)
	var me rest.Session
	a.must(json.Unmarshal(w.Body.Bytes(), &me))
	if w.Code != 200 || me.Token != "" || me.Person.ID != "li" || !slices.Equal(me.Institutions, []ident.Institution{simHospital}) || !slices.Contains(me.Acts, gateway.ActReviewPropose) {
		t.Errorf("%d %s", w.Code, w.Body)
	}

	// One proposes, another decides, each in a session and without any key of a HIS.
	id := a.parked()
	propose := gateway.ProposeReview{RequestID: "p1", By: gateway.ClaimedBy{ID: "li"}, Record: id, Why: "中心无此笔",
		Decision: gateway.HandDecision{Do: gateway.HandAbsent, Proof: "office", Source: "电话"}}
	decide := gateway.DecideReview{RequestID: "d1", By: gateway.ClaimedBy{ID: "wang"}, Why: "已核对"}
	for name, c := range map[string]struct {
		w    *httptest.ResponseRecorder
		code gateway.Code
	}{
		"nobody":             {a.asked("POST", "/api/v1/reviews", propose), gateway.CodeKeyMissing},
		"a made-up token":    {a.asked("POST", "/api/v1/reviews", propose, "Authorization", "Bearer yqs_"+strings.Repeat("A", 43)), gateway.CodeSessionNeeded},
		"an auditor":         {a.asked("POST", "/api/v1/reviews", gateway.ProposeReview{RequestID: "p", By: gateway.ClaimedBy{ID: "shen"}, Record: id, Why: "x", Decision: propose.Decision}, "Authorization", "Bearer "+audit), gateway.CodeNotPermitted},
		"in another's name":  {a.asked("POST", "/api/v1/reviews", propose, "Authorization", "Bearer "+wang), gateway.CodeRequestInvalid},
		"two tokens":         {a.asked("POST", "/api/v1/reviews", propose, "Authorization", "Bearer "+li, "X-Person-Session", wang), gateway.CodeSessionNeeded},
		"one token twice":    {a.asked("GET", "/api/v1/sessions/current", nil, "Authorization", "Bearer "+li, "Authorization", "Bearer "+wang), gateway.CodeSessionNeeded},
		"a session as a key": {a.asked("GET", "/api/v1/settlements/B1", nil, "Authorization", "Bearer "+li), gateway.CodeKeyWrong},
		"as a key, too":      {a.asked("GET", "/api/v1/settlements/B1", nil, "X-API-Key", li), gateway.CodeKeyWrong},
		"a key as a session": {a.asked("GET", "/api/v1/sessions/current", nil, "Authorization", "Bearer "+his), gateway.CodeSessionNeeded},
		"in a cookie":        {a.asked("GET", "/api/v1/sessions/current", nil, "Cookie", "session="+li), gateway.CodeSessionNeeded},
		"a big body":         {a.asked("POST", "/api/v1/sessions", []byte(`{"id":"li","password":"`+strings.Repeat("x", 20<<10)+`"}`)), gateway.CodeBodyTooLarge},
		"a long password":    {a.asked("POST", "/api/v1/sessions", map[string]string{"id": "li", "password": strings.Repeat("x", 200)}), gateway.CodeRequestInvalid},
		"another member":     {a.asked("POST", "/api/v1/sessions", map[string]string{"id": "li", "password": "x", "token": li}), gateway.CodeRequestInvalid},
		"a number":           {a.asked("POST", "/api/v1/sessions", []byte(`{"id":1,"password":"x"}`)), gateway.CodeRequestInvalid},
		"a form":             {a.asked("POST", "/api/v1/sessions", []byte(`id=li`), "Content-Type", "application/x-www-form-urlencoded"), gateway.CodeBodyNotJSON},
	} {
		if got := problemCode(c.w); got != c.code {
			t.Errorf("%s: %d %s", name, c.w.Code, c.w.Body)
		}
	}
	w = a.asked("POST", "/api/v1/reviews", propose, "Authorization", "Bearer "+li)
	var p review.Proposal
	a.must(json.Unmarshal(w.Body.Bytes(), &p))
	if w.Code != 201 || p.Proposed.By.ID != "li" || p.Proposed.By.Name != "某某li" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	at := "/api/v1/reviews/1/approve"
	if w := a.asked("POST", at, gateway.DecideReview{RequestID: "d", By: gateway.ClaimedBy{ID: "li"}, Why: "x"}, "Authorization", "Bearer "+li); problemCode(w) != gateway.CodeNotPermitted {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	// What it proposed it may take back; another who may not decide can not.
	zhao := a.enter(r, "zhao", []string{"cashier"}, simHospital)
	other := propose
	other.RequestID, other.Record = "p2", a.parked()
	a.must(json.Unmarshal(a.asked("POST", "/api/v1/reviews", other, "Authorization", "Bearer "+li).Body.Bytes(), &p))
	back := fmt.Sprintf("/api/v1/reviews/%d/reject", p.No)
	if w := a.asked("POST", back, gateway.DecideReview{RequestID: "d", By: gateway.ClaimedBy{ID: "zhao"}, Why: "x"}, "Authorization", "Bearer "+zhao); problemCode(w) != gateway.CodeNotPermitted {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = a.asked("POST", back, gateway.DecideReview{RequestID: "d", By: gateway.ClaimedBy{ID: "li"}, Why: "看错"}, "Authorization", "Bearer "+li)
	a.must(json.Unmarshal(w.Body.Bytes(), &p))
	if w.Code != 200 || p.State != review.Rejected {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	// Somebody of another hospital does not see it.
	a.must(errOf(r.Change(t.Context(), "os:test", "li", "", nil, nil, true)))
	if w := a.asked("POST", at, decide, "Authorization", "Bearer "+wang, "X-Person-Session", wang); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}

	// A token is never taken from the client, and each sign-in makes another.
	first := a.asked("POST", "/api/v1/sessions", map[string]string{"id": "li", "password": chosenPassword}, "Authorization", "Bearer yqs_"+strings.Repeat("B", 43), "X-Person-Session", "fixed")
	var s1 rest.Session
	a.must(json.Unmarshal(first.Body.Bytes(), &s1))
	if first.Code != 201 || s1.Token == li || len(first.Result().Cookies()) != 0 || first.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", first.Code, first.Body)
	}
	if w := a.asked("DELETE", "/api/v1/sessions/current", nil, "Authorization", "Bearer "+s1.Token); w.Code != http.StatusNoContent || w.Body.Len() != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := a.asked("GET", "/api/v1/sessions/current", nil, "Authorization", "Bearer "+s1.Token); problemCode(w) != gateway.CodeSessionNeeded || w.Header().Get("WWW-Authenticate") == "" {
		t.Error("lives after it was signed out")
	}
	a.must(errOf(r.Disable(t.Context(), "os:test", "wang")))
	if w := a.asked("GET", "/api/v1/sessions/current", nil, "Authorization", "Bearer "+wang); problemCode(w) != gateway.CodeSessionNeeded {
		t.Error("disabled, and still in")
	}
	// Unknown, wrong, disabled: one answer, but for the reference.
	var answers []string
	for _, c := range [][2]string{{"nobody", chosenPassword}, {"li", "wrong-Password-1"}, {"wang", chosenPassword}, {"", ""}} {
		w := a.asked("POST", "/api/v1/sessions", map[string]string{"id": c[0], "password": c[1]})
		answers = append(answers, faceless(w.Body.String(), "\x00"))
	}
	if slices.Sort(answers); len(slices.Compact(answers)) != 1 {
		t.Errorf("%q", answers)
	}
	a.searchSecrets(li, wang, s1.Token, chosenPassword)
	code, out, errs := yiqiao(t, "", "audit", "verify", "--config", a.dir)
	if code != exitOK {
		t.Errorf("%s%s", out, errs)
	}
}

func errOf[T any](_ T, err error) error { return err }

// searchSecrets looks for passwords and tokens in every file of the site.
func (a *accounts) searchSecrets(list ...string) {
	a.t.Helper()
	a.must(filepath.WalkDir(a.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, s := range list {
			if bytes.Contains(b, []byte(s)) {
				a.t.Errorf("%s holds %.8s...", path, s)
			}
		}
		return err
	}))
}

// A locked account is locked at the interface, too, and time unlocks it.
func TestLockOutAtTheGateway(t *testing.T) {
	a := newAccounts(t, simcentre.Region{}, "")
	g, err := loadGateway(a.dir)
	a.must(err)
	r, err := g.register(a.gw.journal, a.gw.parts.provider, a.clock)
	a.must(err)
	a.enter(r, "boss", []string{"administrator"})
	in := func(password string) gateway.Code {
		return problemCode(a.asked("POST", "/api/v1/sessions", map[string]string{"id": "boss", "password": password}))
	}
	for range 5 {
		if c := in("wrong-Password-1"); c != gateway.CodeLoginRefused {
			t.Fatal(c)
		}
	}
	if c := in(chosenPassword); c != gateway.CodeLoginRefused {
		t.Errorf("not locked: %q", c)
	}
	a.clock.by.Add(int64(15 * time.Minute))
	if c := in(chosenPassword); c != "" {
		t.Errorf("still locked: %q", c)
	}
}
