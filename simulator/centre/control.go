package centre

import (
	"encoding/json"
	"io"
	"net/http"

	"yiqiao/schemas/money"
	"yiqiao/simulator/fault"
	"yiqiao/simulator/ledger"
	"yiqiao/simulator/people"
)

// Control is the handler tests and demonstrations steer a centre with. It is for a closed network:
// it asks for no credentials.
//
//	GET  /control/state        counts, ledger totals, fault counts, whether the ledger proves
//	GET  /control/calls        the call log
//	GET  /control/settlements  all settlements, ?mdtrt_id= for one visit
//	GET  /control/people       the persons with credentials and balances
//	GET  /control/items        the catalogue
//	POST /control/faults       adds the rules in the body (fault.Plan); ?replace=1 clears first
//	POST /control/outside      invents a settlement made outside the gateway (OutsideTrade)
//	POST /control/drop         forgets a settlement: {"setl_id":"..."}
//	POST /control/alter        changes an amount: {"setl_id":"...","by":"0.01"}
//	POST /control/reset        forgets everything but the options; the fault script is cleared too
func (c *Centre) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /control/state", func(w http.ResponseWriter, _ *http.Request) { give(w, http.StatusOK, c.State()) })
	mux.HandleFunc("GET /control/calls", func(w http.ResponseWriter, _ *http.Request) { give(w, http.StatusOK, c.Calls()) })
	mux.HandleFunc("GET /control/settlements", func(w http.ResponseWriter, r *http.Request) {
		visit, list := r.URL.Query().Get("mdtrt_id"), []Settlement{}
		for _, s := range c.Settlements() {
			if visit == "" || s.Visit == visit {
				list = append(list, s)
			}
		}
		give(w, http.StatusOK, list)
	})
	mux.HandleFunc("GET /control/people", func(w http.ResponseWriter, _ *http.Request) { give(w, http.StatusOK, c.People()) })
	mux.HandleFunc("GET /control/items", func(w http.ResponseWriter, _ *http.Request) { give(w, http.StatusOK, c.opt.Items) })
	mux.HandleFunc("POST /control/faults", c.takeFaults)
	for _, what := range [...]string{"outside", "drop", "alter"} {
		mux.HandleFunc("POST /control/"+what, c.tamper)
	}
	mux.HandleFunc("POST /control/reset", func(w http.ResponseWriter, _ *http.Request) {
		c.opt.Faults.Clear()
		if err := c.Reset(); err != nil {
			give(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
			return
		}
		give(w, http.StatusOK, c.State())
	})
	return mux
}

func (c *Centre) takeFaults(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		give(w, http.StatusBadRequest, map[string]string{"error": "plan can not be read"})
		return
	}
	rules, err := fault.Plan(string(text))
	if err != nil {
		give(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	if r.URL.Query().Get("replace") == "1" {
		c.opt.Faults.Clear()
	}
	if err := c.opt.Faults.Add(rules...); err != nil {
		give(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	give(w, http.StatusOK, c.opt.Faults.Counts())
}

// State is the summary the control port gives. Amounts are written in yuan.
type State struct {
	Counts      map[string]Count          `json:"counts"`
	Settlements int                       `json:"settlements"` // rows, undos and reversed ones included
	InForce     int                       `json:"in_force"`
	Totals      map[ledger.Kind]money.Fen `json:"ledger_totals"`
	Postings    int                       `json:"postings"`
	Proof       string                    `json:"ledger_proof"` // "ok" or what is wrong
	Faults      []fault.Count             `json:"faults"`
	Digest      string                    `json:"digest"`
	Region      Region                    `json:"region"`
}

// State sums the centre up.
func (c *Centre) State() State {
	s := State{Counts: c.Counts(), Proof: "ok", Faults: c.opt.Faults.Counts(), Digest: c.Digest(), Region: c.opt.Region}
	if err := c.Check(); err != nil {
		s.Proof = err.Error()
	}
	for _, one := range c.Settlements() {
		s.Settlements++
		if one.InForce() {
			s.InForce++
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Totals, s.Postings = c.state.book.Totals(), c.state.book.Postings()
	return s
}

// People lists the persons with their present balances, in the order they were given.
func (c *Centre) People() []people.Person {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]people.Person, len(c.opt.People))
	for i, p := range c.opt.People {
		p.Balance = c.state.balance(p.No)
		out[i] = p
	}
	return out
}

func give(w http.ResponseWriter, status int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, "answer can not be written", http.StatusInternalServerError)
		return
	}
	write(w, status, "application/json;charset=UTF-8", append(body, '\n'))
}
