package rest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"yiqiao/adapters/his/admit"
	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// call is one HTTP call from its first line to its log line.
type call struct {
	h         *Handler
	c         *gin.Context
	start     time.Time
	reference string // names this call in the log and in a problem document
	method    string
	route     string
	english   bool

	caller    gateway.Caller
	person    string // who is signed in, or ""
	requestID string // well-formed, or ""
	id        string // msgid or bill id, well-formed, or ""
	named     bool   // id was in the path: that is what is asked about, whatever the desk refers to
	tell      string // request id whose final answer this is, or ""
	where     string // path under which a record of this route is asked about: "/api/v1/transactions/"

	code   gateway.Code // of the problem, or ""
	path   string       // of the problem
	status int
}

func (h *Handler) begin(c *gin.Context) *call {
	k := &call{h: h, c: c, start: h.o.Clock.Now(), reference: rand.Text()[:16], route: c.FullPath()}
	switch c.Request.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		k.method = c.Request.Method
	default:
		k.method = "OTHER"
	}
	k.english = prefersEnglish(c.GetHeader("Accept-Language"))
	return k
}

func (k *call) ctx() context.Context { return k.c.Request.Context() }

// errPanic marks a panic that run has caught and logged.
var errPanic = errors.New("rest: panic")

// run calls f. A panic is logged by its kind and place, not by its value, which may hold anything.
func (k *call) run(f step) (a answer, err error) {
	defer func() {
		if r := recover(); r != nil {
			k.logPanic(r)
			a, err = answer{}, errPanic
		}
	}()
	return f(k)
}

// explain is the problem document of err, whatever happens on the way to it.
func (k *call) explain(err error) answer {
	for _, err := range []error{err, errPanic} {
		a, failed := k.run(func(*call) (answer, error) { return k.problem(err) })
		if failed != nil {
			continue
		}
		if k.code == gateway.CodeInternal {
			k.tell = "" // what was to be told could not be said
		}
		return a
	}
	k.tell, k.code = "", gateway.CodeInternal
	return answer{status: http.StatusInternalServerError, kind: ProblemType, body: []byte("{}")}
}

// shielded calls a hook that must not take the answer down with it.
func (k *call) shielded(f func()) {
	defer func() {
		if r := recover(); r != nil {
			k.logPanic(r)
		}
	}()
	f()
}

func (k *call) logPanic(r any) {
	what := fmt.Sprintf("%T", r)
	if e, ok := r.(runtime.Error); ok {
		what = e.Error() // indexes and type names
	}
	k.h.o.Log.Error("panic in a call", "reference", k.reference, "route", k.route, "panic", what, "stack", string(debug.Stack()))
}

// authenticate finds the system that calls, while its rate lets it.
func (k *call) authenticate() (admit.Pass, error) {
	k.caller = gateway.Caller{}
	p, err := k.h.o.Guard.Who(k.c.Request, "")
	if err == nil {
		k.caller = p.Caller
	}
	return p, err
}

// write sends an answer and reports whether a client was there to take it.
func (k *call) write(a answer) bool {
	head := k.c.Writer.Header()
	if a.kind == "" {
		a.kind = "application/json; charset=utf-8"
	}
	head.Set("Content-Type", a.kind)
	head.Set("Content-Length", strconv.Itoa(len(a.body)))
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	if a.location != "" {
		head.Set("Location", a.location)
	}
	k.c.Writer.WriteHeader(a.status)
	n, err := k.c.Writer.Write(a.body)
	if err != nil || n != len(a.body) {
		return false
	}
	// gin's own Flush drops the error of a connection that is gone.
	w := http.ResponseWriter(k.c.Writer)
	if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		w = u.Unwrap()
	}
	if err := http.NewResponseController(w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return false
	}
	return k.ctx().Err() == nil
}

func (k *call) reportTold() {
	k.shielded(func() { k.h.o.Desk.Told(k.caller, k.tell) })
}

func (k *call) reportRefused() {
	k.shielded(func() {
		k.h.o.Refused(RefusedCall{
			At: k.start, Method: k.method, Route: k.route, System: k.caller.System, RequestID: k.requestID,
			Code: k.code, Status: k.status, Path: k.path, Reference: k.reference,
		})
	})
}

// ours is an id as it may be logged: one of our form. What else stands in a path may be anything, a
// patient's token too.
func ours(id string) string {
	if _, err := ident.ParseMsgID(id); err == nil || id == "" {
		return id
	}
	if strings.IndexByte("BSDF", id[0]) >= 0 { // bills, stays, sales, filings
		if _, err := ident.ParseMsgID(id[1:]); err == nil {
			return id
		}
	}
	return "?"
}

func (k *call) log() {
	took := k.h.o.Clock.Now().Sub(k.start)
	k.shielded(func() { k.h.o.Served(k.method, k.route, k.status, took) })
	attrs := []slog.Attr{
		slog.String("method", k.method), slog.String("route", k.route), slog.Int("status", k.status),
		slog.Duration("took", took), slog.String("reference", k.reference),
	}
	for _, a := range []slog.Attr{
		slog.String("system", k.caller.System), slog.String("person", k.person), slog.String("request_id", k.requestID),
		slog.String("id", ours(k.id)), slog.String("code", string(k.code)),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	k.h.o.Log.LogAttrs(context.WithoutCancel(k.ctx()), slog.LevelInfo, "call", attrs...)
}
