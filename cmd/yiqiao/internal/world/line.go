package world

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
)

type object = map[string]any

// mishap is what happens to one message on the way.
type mishap string

const (
	fine        mishap = ""
	notSent     mishap = "refused-connection" // no connection: nothing left
	lostOut     mishap = "request-lost"       // never arrives
	lostBack    mishap = "answer-lost"        // done, nobody hears
	cutOut      mishap = "cut-before"         // the line breaks, nothing arrived
	cutBack     mishap = "cut-after"          // done, the line breaks
	late        mishap = "request-late"       // nobody hears; it arrives minutes later
	slow        mishap = "answer-slow"        // the answer comes just in time
	pageOut     mishap = "html-not-done"      // a web page instead of an answer
	pageBack    mishap = "html-done"          // done, then a web page
	badSign     mishap = "answer-not-genuine" // done, the answer does not verify
	wrongTotal  mishap = "wrong-total"        // done, the total of the answer is not ours
	otherAnswer mishap = "answer-of-another"  // done, the answer to an earlier message comes
	tooBusy     mishap = "refused-busy"       // refused, nothing done
	twice       mishap = "request-twice"      // arrives twice; the first answer is heard
)

// limitOf is the time limit of a class; flow.Timing has the same defaults.
func limitOf(class catalog.Limit) time.Duration {
	switch class {
	case catalog.LimitSettle, catalog.LimitFile:
		return 3 * time.Minute
	}
	return time.Minute
}

const grace = time.Minute

// line is the way from one process to the centre.
type line struct{ p *process }

type permit struct {
	p     *process
	infno ident.Infno
}

// Admit implements gateway.Centre.
func (l *line) Admit(ctx context.Context, n ident.Infno) (gateway.Permit, error) {
	w, t := l.p.w, taskOf(ctx)
	if l.p.dead {
		return nil, &gateway.Error{Code: gateway.CodeCentreDown, Op: "world.admit"}
	}
	if n == "9001" {
		l.p.signing(t)
	} else {
		l.p.signed(t)
	}
	if w.maintenance && w.s.chance(500) {
		w.count("centre-down")
		return nil, &gateway.Error{Code: gateway.CodeCentreDown, Op: "world.admit", RetryAfter: time.Minute}
	}
	return &permit{l.p, n}, nil
}

// Seal implements gateway.Permit.
func (x *permit) Seal(m gateway.Message) (gateway.Sealed, error) {
	return gateway.Sealed{Message: m, Bytes: m.Body, Digest: digestOf(m.Body)}, nil
}

// Release implements gateway.Permit.
func (x *permit) Release() {}

// Send implements gateway.Permit.
func (x *permit) Send(ctx context.Context, s gateway.Sealed) gateway.Reply {
	p, w := x.p, x.p.w
	if p.dead {
		return gateway.Reply{Cause: gateway.CauseTimeout}
	}
	t := taskOf(ctx)
	w.leaves(p, s)
	m := w.mishap(s.Message)
	if p.noCentre {
		m = []mishap{notSent, notSent, lostOut}[w.s.rng.IntN(3)]
	}
	began := w.s.now
	out, back := w.s.between(10*time.Millisecond, 400*time.Millisecond), w.s.between(10*time.Millisecond, 600*time.Millisecond)
	if w.leaping { // nothing is held up, however far a clock leaps meanwhile
		out = w.s.between(0, time.Millisecond)
	}
	limit := limitOf(s.Message.Limit)
	var got gateway.Reply
	heard := out + back
	switch m {
	case notSent:
		got, heard = gateway.Reply{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseNotSent}, 3*back
	case lostOut:
		got, heard = gateway.Reply{Cause: gateway.CauseTimeout}, limit
	case cutOut:
		got = gateway.Reply{Cause: gateway.CauseCut}
	case pageOut:
		got = gateway.Reply{Cause: gateway.CauseNotInterface}
	case tooBusy:
		got = gateway.Reply{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseBusiness,
			Reply: wire.Reply{InfCode: "-1", ErrMsg: busyWords}}
	default:
		switch m {
		case late:
			out, heard = w.s.between(time.Second, limit+grace/3), limit
		case slow:
			heard = limit - time.Second
		case lostBack:
			heard = limit
		}
		w.s.after(out, func() {
			r := w.centre(s)
			if m == twice {
				_ = w.centre(s)
			}
			got = w.spoil(m, s, r)
		})
	}
	w.s.park(t, heard, heard)
	p.hold(t)
	// Whatever arrived meanwhile, nobody hears of it; who stood still finds the answer or the time gone.
	if p.dead || m == late || w.s.now.Sub(began) > limit && w.s.chance(500) {
		return gateway.Reply{Cause: gateway.CauseTimeout}
	}
	return got
}

const busyWords = "系统繁忙，请稍后再试"

// mishap draws what happens to a message.
func (w *World) mishap(m gateway.Message) mishap {
	if !w.storm {
		return fine
	}
	if w.maintenance {
		w.count("maintenance")
		return []mishap{pageOut, tooBusy, notSent, cutOut}[w.s.rng.IntN(4)]
	}
	rate := w.rates.line
	if settles(m.Infno) || undoesOne(m.Infno) || m.Infno == "2601" || strings.HasPrefix(string(m.Infno), "25") {
		rate *= 3
	}
	if !w.s.chance(rate) {
		return fine
	}
	list := []mishap{notSent, lostOut, lostBack, cutOut, cutBack, slow, pageOut, pageBack, badSign, tooBusy, twice, lostBack, cutBack}
	if !w.leaping {
		list = append(list, late, late)
	}
	if settles(m.Infno) {
		list = append(list, wrongTotal, otherAnswer)
	}
	k := list[w.s.rng.IntN(len(list))]
	w.count(string(k))
	return k
}

// spoil is what is heard of a reply.
func (w *World) spoil(m mishap, s gateway.Sealed, r gateway.Reply) gateway.Reply {
	info := settlementInfo(r)
	switch m {
	case lostBack:
		return gateway.Reply{Cause: gateway.CauseTimeout}
	case cutBack:
		return gateway.Reply{Cause: gateway.CauseCut}
	case pageBack:
		return gateway.Reply{Cause: gateway.CauseNotInterface}
	case badSign:
		return gateway.Reply{Cause: gateway.CauseSignature}
	case wrongTotal:
		if f, err := money.ParseReply(strictjson.Text(info["medfee_sumamt"])); err == nil {
			info["medfee_sumamt"] = money.Number(f + 1)
		}
	case otherAnswer:
		if info != nil && w.lastSettled.Outcome == gateway.OutcomeDone {
			r, w.lastSettled = w.lastSettled, r
			return r
		}
	}
	if info != nil && settles(s.Message.Infno) && m == fine {
		w.lastSettled = r
	}
	return r
}

func settlementInfo(r gateway.Reply) object {
	out, _ := r.Reply.Output.(object)
	info, _ := out["setlinfo"].(object)
	return info
}

// centre hands a message to the simulated centre and classifies what it says, as a client without a
// signed envelope would.
func (w *World) centre(s gateway.Sealed) gateway.Reply {
	w.arrives(s)
	req, err := http.NewRequest(http.MethodPost, "/fsi/api", bytes.NewReader(s.Bytes))
	if err != nil {
		return gateway.Reply{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseNotSent, Detail: err.Error()}
	}
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	w.handler.ServeHTTP(rec, req)
	if rec.status != http.StatusOK {
		return gateway.Reply{Cause: gateway.CauseNotInterface}
	}
	reply, err := wire.DecodeReply(rec.body.Bytes())
	switch {
	case err != nil:
		return gateway.Reply{Cause: gateway.CauseNotInterface}
	case reply.OK():
		w.did(s)
		return gateway.Reply{Outcome: gateway.OutcomeDone, Reply: reply}
	}
	return gateway.Reply{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseBusiness, Reply: reply}
}

// recorder is an answer kept in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
