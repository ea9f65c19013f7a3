package hl7

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strconv"
	"strings"

	"yiqiao/adapters/his/counter"
	"yiqiao/gateway"
)

// answered is what goes back for one message, and whom to report to once it is gone.
type answered struct {
	frames  [][]byte // one, or commit and application acknowledgement; none when nobody wants any
	caller  gateway.Caller
	answers []counter.Answer
}

// handle works on one message, from its bytes to its acknowledgement. It never panics.
func (s *Server) handle(ctx context.Context, raw []byte, from net.Addr) (out answered) {
	r := &reply{now: s.o.Clock.Now()}
	defer func() {
		if p := recover(); p != nil {
			s.o.Log.Error("panic in a message", "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			r.err, r.answers = &gateway.Error{Code: gateway.CodeInternal, Op: "hl7"}, nil
			out = answered{frames: s.acknowledge(r)}
		}
	}()
	var perr error
	r.m, perr = Parse(raw, s.o.Charset)
	r.err = s.judge(r.m, perr)
	if r.err == nil {
		var err error
		if out.caller, err = s.o.caller(r.m, from); err != nil {
			errors.As(err, &r.err)
		} else {
			s.work(ctx, r, out.caller, raw)
		}
	}
	out.frames, out.answers = s.acknowledge(r), r.answers
	s.log(r, out.caller)
	return out
}

// judge says what is wrong with a message before anybody looks at its content.
func (s *Server) judge(m *Message, err error) *gateway.Error {
	var pe *ParseError
	unreadable := func(path, rule string) *gateway.Error {
		return &gateway.Error{Code: gateway.CodeMessage, Op: "hl7", Path: path, Rule: rule}
	}
	switch {
	case errors.As(err, &pe):
		rule := string(pe.Reason)
		if pe.Segment > 0 {
			rule += " " + strconv.Itoa(pe.Segment)
		}
		e := unreadable("", rule)
		e.Detail = pe.What
		return e
	case m.ID() == "":
		return unreadable("MSH-10", "必填 / required")
	case len(m.ID()) > 199:
		return unreadable("MSH-10", "<=199")
	case m.Header(9, 1) == "":
		return unreadable("MSH-9", "必填 / required")
	case !supported(m.Header(12, 1)):
		return unreadable("MSH-12", "2.3 - 2.8")
	}
	return nil
}

// supported takes 2.3 to 2.8 with their corrections, and a message that does not say.
func supported(version string) bool {
	if version == "" {
		return true
	}
	parts := strings.Split(version, ".")
	if len(parts) < 2 || parts[0] != "2" {
		return false
	}
	minor, err := strconv.Atoi(parts[1])
	return err == nil && minor >= 3 && minor <= 8
}

// work maps a message and carries its orders out, in their order, up to the first that was not taken.
func (s *Server) work(ctx context.Context, r *reply, who gateway.Caller, raw []byte) {
	src := Source(r.m)
	src.Raw = raw
	r.trace = func() []gateway.Trace { return s.o.Mapper.Trace(src) }
	if r.mapped, r.err = counter.Map(s.o.Mapper, src, "hl7", s.o.Log); r.err != nil {
		return
	}
	ctx = gateway.WithMapping(ctx, r.mapped.Version)
	for _, o := range r.mapped.Orders {
		a := s.counter.Do(ctx, who, o)
		r.answers = append(r.answers, a)
		if a.Outcome != counter.Done && a.Outcome != counter.Queued {
			break
		}
	}
}

// Source is a message as a mapping sees it.
func Source(m *Message) gateway.Source {
	return gateway.Source{Notation: Notation{}.Name(), Type: m.Type(), ID: m.ID(), Scope: m, Hide: []string{m.Header(8, 1)}}
}

// acknowledge gives the frames the sender asked for. In enhanced mode (MSH-15 or MSH-16 is there) the
// commit acknowledgement goes out when the work is done, never before the journal holds it.
func (s *Server) acknowledge(r *reply) [][]byte {
	if r.m == nil {
		r.m = &Message{delims: usual}
	}
	accept, application := r.m.Header(15, 1), r.m.Header(16, 1)
	if accept == "" && application == "" {
		return [][]byte{r.bytes('A')}
	}
	var out [][]byte
	good := r.code() == 'A'
	if wanted(accept, good) {
		out = append(out, r.bytes('C'))
	}
	if wanted(application, good) {
		out = append(out, r.bytes('A'))
	}
	return out
}

// wanted reads table 0155: AL always, NE never, ER on error, SU on success.
func wanted(condition string, good bool) bool {
	switch condition {
	case "AL":
		return true
	case "ER":
		return !good
	case "SU":
		return good
	}
	return false
}

func (s *Server) log(r *reply, who gateway.Caller) {
	attrs := []any{"type", kindOf(r.m.Type()), "id", clean(r.m.ID()), "ack", string([]byte{'A', r.code()}), "took", s.o.Clock.Now().Sub(r.now)}
	if who.System != "" {
		attrs = append(attrs, "system", who.System)
	}
	if r.mapped.Version != "" {
		attrs = append(attrs, "mapping", r.mapped.Version, "event", r.mapped.Rule)
	}
	for _, e := range r.errors() {
		attrs = append(attrs, "code", string(e.Code))
		break
	}
	for i, a := range r.answers {
		if i == 3 {
			break
		}
		attrs = append(attrs, "op", string(a.Op), "request_id", a.RequestID, "outcome", string(a.Outcome))
	}
	s.o.Log.Info("message", attrs...)
}

// clean keeps what a header field should hold: a log line is not the place for anything else.
func clean(s string) string {
	out := []byte(s)
	for i, c := range out {
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte("^-_.:", c) >= 0) {
			out[i] = '?'
		}
	}
	return string(out[:min(len(out), 64)])
}

// kindOf is a message type as it may be logged: ADT^A01 and the like. Anything else in its place may
// be anything.
func kindOf(s string) string {
	for _, part := range strings.Split(s, "^") {
		if len(part) != 3 && (len(part) != 7 || part[3] != '_') { // ADT_A01 is a structure
			return "?"
		}
	}
	return clean(s)
}
