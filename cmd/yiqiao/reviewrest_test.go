package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/review"
	simcentre "yiqiao/simulator/centre"
)

// ask calls a route of the running gateway as its HIS.
func (a *accounts) ask(method, path string, body, into any) (int, string) {
	a.t.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		a.must(err)
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, path, r)
	a.must(err)
	key, err := os.ReadFile(filepath.Join(a.dir, starterAPIKey))
	a.must(err)
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	a.gw.http.Handler.ServeHTTP(w, req)
	if into != nil && w.Code/100 == 2 {
		a.must(json.Unmarshal(w.Body.Bytes(), into))
	}
	return w.Code, w.Body.String()
}

// Two people at two terminals of a HIS: one proposes, another one decides, of many who decide one wins and the
// others are told by whom it was decided.
func TestReviewsOverREST(t *testing.T) {
	a := newAccounts(t, simcentre.Region{}, "")
	id := a.parked()
	propose := gateway.ProposeReview{RequestID: "p1", By: gateway.ClaimedBy{ID: "li", Name: "李"}, Record: id, Why: "中心无此笔",
		Decision: gateway.HandDecision{Do: gateway.HandAbsent}}
	if status, words := a.ask("POST", "/api/v1/reviews", propose, nil); status/100 != 4 || !strings.Contains(words, "proof") {
		t.Errorf("without evidence: %d %s", status, words)
	}
	propose.Decision.Proof, propose.Decision.Source = "office", "经办机构王某 11-23 电话"
	var p, again review.Proposal
	if status, words := a.ask("POST", "/api/v1/reviews", propose, &p); status != 201 || p.State != review.Proposed {
		t.Fatalf("%d %s", status, words)
	}
	if status, words := a.ask("POST", "/api/v1/reviews", propose, &again); status != 201 || again.No != p.No {
		t.Errorf("the same again: %d %s", status, words)
	}
	other := propose
	other.By.ID = "zhao"
	if status, words := a.ask("POST", "/api/v1/reviews", other, nil); status != 409 || !strings.Contains(words, string(gateway.CodeReviewTaken)) || !strings.Contains(words, "李") {
		t.Errorf("another's proposal about the same: %d %s", status, words)
	}
	var list gateway.ReviewList
	if status, words := a.ask("GET", "/api/v1/reviews", nil, &list); status != 200 || len(list.Waiting) != 1 || list.Waiting[0].ID != id || list.Waiting[0].Open != p.No || len(list.Proposals) != 1 {
		t.Errorf("%d %s", status, words)
	}
	place := fmt.Sprint("/api/v1/reviews/", p.No)
	verdict := func(who, rid string) gateway.DecideReview {
		return gateway.DecideReview{RequestID: rid, By: gateway.ClaimedBy{ID: who}, Why: "已核对"}
	}
	if status, words := a.ask("POST", place+"/approve", verdict("LI", "a0"), nil); status/100 != 4 || !strings.Contains(words, string(gateway.CodeSecondPerson)) {
		t.Errorf("one's own: %d %s", status, words)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	won := 0
	for i := range 6 {
		wg.Go(func() {
			what := "/approve"
			if i%2 == 1 {
				what = "/reject"
			}
			status, words := a.ask("POST", place+what, verdict(fmt.Sprint("wang", i), fmt.Sprint("a", i+1)), nil)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case status == 200:
				won++
			case status != 409 || !strings.Contains(words, string(gateway.CodeReviewTaken)) || !strings.Contains(words, "wang"):
				t.Errorf("the one who came too late is told %d %s", status, words)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d have decided", won)
	}
	if status, words := a.ask("GET", place, nil, &p); status != 200 || p.Decided == nil || len(p.History) != 2 {
		t.Errorf("%d %s", status, words)
	}
	for _, path := range []string{"/api/v1/reviews/77", "/api/v1/reviews/x", "/api/v1/reviews/-1"} {
		if status, words := a.ask("GET", path, nil, nil); status != 404 {
			t.Errorf("%s: %d %s", path, status, words)
		}
	}
	if status, words := a.ask("POST", "/api/v1/reviews", map[string]any{"request_id": "x", "by": map[string]any{"id": "li"}, "from": 1.5, "why": "x"}, nil); status != 400 && status != 422 {
		t.Errorf("%d %s", status, words)
	}
}

// Once there are accounts, who decides over REST proves to be one.
func TestReviewsOverRESTNeedAccounts(t *testing.T) {
	a := newAccounts(t, simcentre.Region{}, "")
	g, err := loadGateway(a.dir)
	a.must(err)
	g.People.ByAccount = "always"
	r, err := g.register(a.gw.journal, a.gw.parts.provider, a.clock)
	a.must(err)
	for _, claim := range []gateway.PersonClaim{{ID: "li"}, {}, {ID: "li", Password: "guess", From: "127.0.0.1"}, {Session: "guess"}, {ID: "li", Session: "guess"}} {
		if who, err := (prover{g, r}).Who(context.Background(), claim); err == nil || who.ID != "" {
			t.Errorf("%+v is taken for %+v", claim, who)
		}
	}
}

// Where a name is enough, who is signed in still has but one: it can not be its own second person.
func TestASessionHasOneName(t *testing.T) {
	a := newAccounts(t, simcentre.Region{}, "")
	g, err := loadGateway(a.dir)
	a.must(err)
	r, err := g.register(a.gw.journal, a.gw.parts.provider, a.clock)
	a.must(err)
	a.enter(r, "boss", []string{"administrator"})
	token := a.enter(r, "li", []string{"finance"})
	g.People.ByAccount = "never"
	p := prover{g, r}
	for _, c := range []struct {
		claim gateway.PersonClaim
		who   string
		code  gateway.Code
	}{{gateway.PersonClaim{ID: "wang"}, "wang", ""}, {gateway.PersonClaim{Session: token}, "li", ""}, {gateway.PersonClaim{ID: "LI", Session: token}, "li", ""},
		{gateway.PersonClaim{ID: "wang", Session: token}, "", gateway.CodeRequestInvalid}, {gateway.PersonClaim{ID: "li", Session: "guess"}, "", gateway.CodeSessionNeeded}} {
		who, err := p.Who(t.Context(), c.claim)
		var e *gateway.Error
		if errors.As(err, &e); err == nil && (who.ID != c.who || c.code != "") || err != nil && (e == nil || e.Code != c.code) {
			t.Errorf("%+v: %+v %v", c.claim, who, err)
		}
	}
}
