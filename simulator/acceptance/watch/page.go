package watch

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"

	"yiqiao/simulator/acceptance"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// state is what the page and its JSON show.
type state struct {
	Now   Hint                    `json:"now"`
	Over  bool                    `json:"over"`
	Cases []acceptance.CaseResult `json:"-"`
	List  []outcome               `json:"scenarios"`
}

type outcome struct {
	ID     string            `json:"id"`
	Title  acceptance.Text   `json:"title"`
	Status acceptance.Status `json:"status"`
	Why    string            `json:"why,omitempty"`
	Faults []string          `json:"faults,omitempty"`
}

func (w *Watcher) state() state {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := state{Now: w.hint(nil), Over: w.at >= len(w.plan)}
	for _, c := range w.cases {
		l := outcome{ID: c.ID, Title: c.Title, Status: c.Status, Why: c.Stopped}
		for _, st := range c.Steps {
			for _, f := range st.Faults {
				l.Faults = append(l.Faults, st.Infno+" "+f)
			}
		}
		s.List = append(s.List, l)
	}
	return s
}

// Page shows whoever sits at the HIS what is waited for and what went wrong, at any path; with ?json the same as data. It
// names no person.
func (w *Watcher) Page() http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("json") {
			rw.Header().Set("Content-Type", "application/json;charset=UTF-8")
			_ = json.NewEncoder(rw).Encode(w.state()) // a browser that has gone away is its own business
			return
		}
		rw.Header().Set("Content-Type", "text/html;charset=UTF-8")
		_ = page.Execute(rw, w.state())
	})
}
