package rest

import (
	_ "embed"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"yiqiao/gateway"
)

//go:embed openapi.json
var openAPI []byte

// OpenAPI gives the description of this interface, OpenAPI 3.1 as JSON.
func OpenAPI() []byte { return slices.Clone(openAPI) }

func (h *Handler) description(*call) (answer, error) {
	return answer{status: http.StatusOK, body: openAPI}, nil
}

// Index is what GET / answers.
type Index struct {
	Name    string            `json:"name"`
	Version string            `json:"version"`
	Time    time.Time         `json:"time"`
	Links   map[string]string `json:"links"`
}

func (h *Handler) index(*call) (answer, error) {
	return asJSON(http.StatusOK, Index{
		Name: "医桥 yiqiao", Version: h.o.Version, Time: inChina(h.o.Clock.Now()),
		Links: map[string]string{"openapi": "/openapi.json", "errors": "/api/v1/errors", "health": "/healthz"},
	})
}

// Health is what GET /healthz answers, with 200 or 503.
type Health struct {
	Status  string       `json:"status"` // ok, degraded (new work is accepted, something else fails), unavailable
	Version string       `json:"version"`
	Time    time.Time    `json:"time"`
	Code    gateway.Code `json:"code,omitempty"`   // why new work is not accepted
	Reason  string       `json:"reason,omitempty"` // its words, or what fails
	// Open is what has no known end, where the desk counts it.
	Open *gateway.OpenCount `json:"open,omitempty"`
}

func (h *Handler) health(k *call) (answer, error) {
	out := Health{Status: "ok", Version: h.o.Version, Time: inChina(h.o.Clock.Now())}
	if w, ok := h.o.Desk.(gateway.Watched); ok {
		n := w.Open()
		if !n.Oldest.IsZero() {
			n.Oldest = inChina(n.Oldest)
		}
		out.Open = &n
	}
	err := h.o.Desk.Health(k.ctx())
	if err == nil {
		if d, ok := h.o.Desk.(gateway.Degraded); ok && d.Degraded() != "" {
			out.Status, out.Reason = "degraded", d.Degraded()
		}
		return asJSON(http.StatusOK, out)
	}
	out.Status, out.Code = "unavailable", gateway.CodeInternal
	var e *gateway.Error
	if errors.As(err, &e) && e != nil && gateway.Codes[e.Code].Status != 0 {
		out.Code = e.Code
	}
	out.Reason = gateway.Codes[out.Code].ZH
	k.code = out.Code
	return asJSON(http.StatusServiceUnavailable, out)
}

// ErrorTable is what GET /api/v1/errors answers.
type ErrorTable struct {
	Errors []ErrorEntry `json:"errors"`
}

// ErrorEntry is one error code with its words.
type ErrorEntry struct {
	Code   gateway.Code  `json:"code"`
	Status int           `json:"status"`
	Owner  gateway.Owner `json:"owner"`
	ZH     Text          `json:"zh"`
	EN     Text          `json:"en"`
}

func (h *Handler) errorTable(*call) (answer, error) {
	out := ErrorTable{Errors: []ErrorEntry{}}
	for code, w := range gateway.Codes {
		out.Errors = append(out.Errors, ErrorEntry{
			Code: code, Status: w.Status, Owner: w.Owner, ZH: Text{w.ZH, w.NextZH}, EN: Text{w.EN, w.NextEN},
		})
	}
	slices.SortFunc(out.Errors, func(a, b ErrorEntry) int { return strings.Compare(string(a.Code), string(b.Code)) })
	return asJSON(http.StatusOK, out)
}
