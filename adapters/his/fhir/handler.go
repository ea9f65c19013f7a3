package fhir

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"strings"

	"yiqiao/adapters/his/admit"
	"yiqiao/adapters/his/counter"
	"yiqiao/gateway"
)

// Options is what a Handler needs. Fields without a default are required.
type Options struct {
	Desk   gateway.Desk
	Mapper gateway.Mapper // of notation "fhir"
	Guard  *admit.Guard   // who may call, shared by all doors
	Log    *slog.Logger   // default: nowhere
	Path   string         // where it is mounted, "/fhir": the base of the FHIR server
	Known  []string       // urls of modifier extensions and implicit rules that the mapping understands

	MaxBody       int64 // default 8 MiB
	MaxConcurrent int   // default 512
}

// Handler is the interface as an http.Handler. Below the path:
//
//	GET  metadata           the CapabilityStatement, for everybody
//	POST (the base)         a Bundle of type transaction
//	POST $process-message   a Bundle of type message
//	POST Claim/$submit      a Claim, a Bundle of type collection with one, or Parameters with either
//
// The key stands in a header, Authorization or X-API-Key.
type Handler struct {
	o       Options
	counter *counter.Counter
	places  chan struct{}
}

// New checks the options.
func New(o Options) (*Handler, error) {
	if o.Desk == nil || o.Mapper == nil || o.Guard == nil || o.Path == "" {
		return nil, errors.New("fhir: desk, mapper, guard and path are required")
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 8 << 20
	}
	if o.MaxConcurrent <= 0 {
		o.MaxConcurrent = 512
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c, err := counter.New(o.Desk, o.Log)
	if err != nil {
		return nil, err
	}
	return &Handler{o: o, counter: c, places: make(chan struct{}, o.MaxConcurrent)}, nil
}

// reply is what goes back.
type reply struct {
	d       *Document // nil when it could not be read
	source  gateway.Source
	err     *gateway.Error
	answers []counter.Answer
	mapped  gateway.Mapped
}

// routes are the places to POST to, and what a document must be there.
var routes = map[string]func(*Document) bool{
	"":                 func(d *Document) bool { return d.Bundle == "transaction" },
	"$process-message": func(d *Document) bool { return d.Bundle == "message" },
	"Claim/$submit": func(d *Document) bool {
		return (d.Bundle == "" || d.Bundle == "collection") && d.Focus["resourceType"] == "Claim"
	},
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rep := &reply{}
	at := strings.Trim(strings.TrimPrefix(r.URL.Path, h.o.Path), "/")
	if at == "metadata" && r.Method == http.MethodGet {
		h.send(w, http.StatusOK, h.capability())
		return
	}
	pass, err := h.o.Guard.Who(r, "")
	who := pass.Caller
	fits, known := routes[at]
	switch {
	case err != nil:
		rep.err = admit.Refusal(err)
	case !known:
		rep.err = &gateway.Error{Code: gateway.CodeNotFound, Op: "fhir"}
	case r.Method != http.MethodPost:
		rep.err = &gateway.Error{Code: gateway.CodeMethod, Op: "fhir"}
	default:
		if err := pass.Within(h.places, r, "fhir", func() { h.work(w, r, who, fits, rep) }); err != nil {
			rep.err = err
		}
	}
	status, body := h.answer(rep)
	if h.send(w, status, body) && r.Context().Err() == nil {
		for _, a := range rep.answers {
			h.counter.Told(who, a)
		}
	}
}

// work reads, maps and carries out one document. It never panics.
func (h *Handler) work(w http.ResponseWriter, r *http.Request, who gateway.Caller, fits func(*Document) bool, rep *reply) {
	defer func() {
		if p := recover(); p != nil {
			h.o.Log.Error("panic in a call", "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			rep.err, rep.answers = &gateway.Error{Code: gateway.CodeInternal, Op: "fhir"}, nil
		}
	}()
	switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind {
	case "", "application/fhir+json", "application/json", "text/json":
	default:
		rep.err = &gateway.Error{Code: gateway.CodeMediaType, Op: "fhir", Detail: "application/fhir+json"}
		return
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.o.MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		rep.err = &gateway.Error{Code: gateway.CodeBodyTooLarge, Op: "fhir"}
		return
	case errors.As(err, &rep.err): // not the body that was signed
		return
	case err != nil:
		rep.err = &gateway.Error{Code: gateway.CodeMessage, Op: "fhir", Rule: RuleForm, Detail: "the body ended early"}
		return
	}
	d, err := Parse(b, h.o.Known...)
	if err == nil && !fits(d) {
		err = &Error{Rule: RuleBundle, What: "not what this address takes; the CapabilityStatement at metadata says what is taken where", Path: "/type"}
	}
	var bad *Error
	if errors.As(err, &bad) {
		rep.err = refused(bad)
		return
	}
	rep.d, rep.source = d, Source(d)
	rep.source.Raw = b
	if rep.mapped, rep.err = counter.Map(h.o.Mapper, rep.source, "fhir", h.o.Log); rep.err != nil {
		return
	}
	rep.answers = h.counter.Carry(r.Context(), who, rep.mapped, h.o.Log)
}

// refused is what a document that could not be read is answered with.
func refused(e *Error) *gateway.Error {
	code := gateway.CodeMessage
	switch {
	case e.Rule == "json-duplicate":
		code = gateway.CodeBodyDuplicate
	case e.Rule == "json-size":
		code = gateway.CodeBodyTooLarge
	case strings.HasPrefix(e.Rule, "json-"):
		code = gateway.CodeBodyNotJSON
	}
	return &gateway.Error{Code: code, Op: "fhir", Path: e.Path, Rule: e.Rule, Detail: e.What}
}
