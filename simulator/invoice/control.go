package invoice

import (
	"encoding/json"
	"io"
	"net/http"

	"yiqiao/simulator/fault"
)

// Control is the handler tests and demonstrations steer a platform with. It is for a closed network:
// it asks for no credentials.
//
//	GET  /control/einvoice/bills   every bill and voucher
//	GET  /control/einvoice/state   counts and faults
//	POST /control/einvoice/faults  adds the rules in the body (fault.Plan); infno is the method's name
//	POST /control/einvoice/down    {"down":true} takes the platform off the net
//	POST /control/einvoice/posted  {"batch":"","no":"","posted":true} handed in for reimbursement
func (p *Platform) Control() http.Handler {
	mux := http.NewServeMux()
	give := func(w http.ResponseWriter, status int, v any) {
		write(w, status, "application/json; charset=utf-8", append(encode(v), '\n'))
	}
	mux.HandleFunc("GET /control/einvoice/bills", func(w http.ResponseWriter, _ *http.Request) { give(w, http.StatusOK, p.Bills()) })
	mux.HandleFunc("GET /control/einvoice/state", func(w http.ResponseWriter, _ *http.Request) {
		blue, red := 0, 0
		for _, b := range p.Bills() {
			if b.Red {
				red++
			} else {
				blue++
			}
		}
		give(w, http.StatusOK, object{"in_force": blue, "reversed": red, "requests": p.Requests(), "down": p.down.Load(),
			"generation": p.opt.Generation, "faults": p.opt.Faults.Counts()})
	})
	read := func(w http.ResponseWriter, r *http.Request, v any) bool {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err == nil {
			err = json.Unmarshal(text, v)
		}
		if err != nil {
			give(w, http.StatusBadRequest, object{"error": "body can not be read"})
		}
		return err == nil
	}
	mux.HandleFunc("POST /control/einvoice/faults", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		var rules []fault.Rule
		if err == nil {
			rules, err = fault.Plan(string(text))
		}
		if err == nil {
			err = p.opt.Faults.Add(rules...)
		}
		if err != nil {
			give(w, http.StatusBadRequest, object{"error": err.Error()})
			return
		}
		give(w, http.StatusOK, p.opt.Faults.Counts())
	})
	mux.HandleFunc("POST /control/einvoice/down", func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Down bool `json:"down"`
		}
		if read(w, r, &q) {
			p.SetDown(q.Down)
			give(w, http.StatusOK, q)
		}
	})
	mux.HandleFunc("POST /control/einvoice/posted", func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Batch  string `json:"batch"`
			No     string `json:"no"`
			Posted bool   `json:"posted"`
		}
		if !read(w, r, &q) {
			return
		}
		if !p.Post(q.Batch, q.No, q.Posted) {
			give(w, http.StatusNotFound, object{"error": "no such bill"})
			return
		}
		give(w, http.StatusOK, q)
	})
	return mux
}

// Inject adds fault rules written as fault.Plan reads them.
func (p *Platform) Inject(plan string) error {
	rules, err := fault.Plan(plan)
	if err != nil {
		return err
	}
	return p.opt.Faults.Add(rules...)
}
