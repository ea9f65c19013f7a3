package gatewaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/wire"
)

// CentreAnswer is what the script of a Centre answers to one message. The zero value is an unknown
// outcome by time-out.
type CentreAnswer struct {
	Outcome gateway.Outcome
	Cause   gateway.Cause // default: business when refused, timeout when unknown
	InfCode string        // default: "0" when done, "-1" when refused for business
	ErrMsg  string
	Output  any    // anything encoding/json takes; handed on as strictjson would decode it
	File    []byte // the answer is a file; Output is not looked at
	Lost    bool   // the centre did what the answer says, but the answer is lost: unknown, time-out
}

// Done is the answer of a centre that did it.
func Done(output any) CentreAnswer {
	return CentreAnswer{Outcome: gateway.OutcomeDone, Output: output}
}

// Refused is the answer of a centre that refused for a business reason.
func Refused(errMsg string) CentreAnswer {
	return CentreAnswer{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseBusiness, ErrMsg: errMsg}
}

// Unknown is an attempt whose outcome is not known.
func Unknown(cause gateway.Cause) CentreAnswer {
	return CentreAnswer{Cause: cause}
}

// CentreCall is one message that was sent.
type CentreCall struct {
	Infno   ident.Infno
	MsgID   ident.MsgID
	Request wire.Request // the outer message as decoded
	Input   any          // its input, decoded
	Bytes   []byte       // as they left
	Reply   gateway.Reply
	Ended   bool // Send has returned
}

// Centre is a gateway.Centre in memory that answers as its script says. Safe for concurrent use;
// the script is called without a lock held, possibly several times at once.
type Centre struct {
	// Clock, when set before first use, gives SentFrom and Took.
	Clock gateway.Clock
	// Observe, when set before first use, is called with every message before the script.
	Observe func(CentreCall)
	// MaxInFlight, when set before first use, bounds the permits out at once; 0 is no bound.
	MaxInFlight int

	script func(n ident.Infno, msgid ident.MsgID, input any) CentreAnswer

	mu     sync.Mutex
	refuse *gateway.Error
	calls  []*CentreCall
	out    int
	gate   *Gate
	misuse []string
}

// NewCentre gives a centre that answers with script. The script may be nil: every message is then
// done with an empty output.
func NewCentre(script func(n ident.Infno, msgid ident.MsgID, input any) CentreAnswer) *Centre {
	if script == nil {
		script = func(ident.Infno, ident.MsgID, any) CentreAnswer { return Done(nil) }
	}
	return &Centre{script: script}
}

// RefuseAdmission makes Admit fail with err until it is called with nil.
func (c *Centre) RefuseAdmission(err *gateway.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = err
}

// Hold makes every Send from now on wait, after the script has run, until the gate is opened.
func (c *Centre) Hold() *Gate {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gate = &Gate{open: make(chan struct{}), changed: make(chan struct{})}
	return c.gate
}

// Calls lists what was sent so far, oldest first, as copies.
func (c *Centre) Calls() []CentreCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]CentreCall, len(c.calls))
	for i, call := range c.calls {
		list[i] = *call
	}
	return list
}

// Sent lists the calls of one transaction number.
func (c *Centre) Sent(n ident.Infno) []CentreCall {
	var list []CentreCall
	for _, call := range c.Calls() {
		if call.Infno == n {
			list = append(list, call)
		}
	}
	return list
}

// InFlight is the number of permits that are out.
func (c *Centre) InFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out
}

// Misuse lists breaches of the contract of Permit by the caller; a test of a caller ends with
// checking that there is none.
func (c *Centre) Misuse() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.misuse...)
}

// Admit implements gateway.Centre.
func (c *Centre) Admit(ctx context.Context, n ident.Infno) (gateway.Permit, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse != nil {
		e := *c.refuse
		return nil, &e
	}
	if err := ctx.Err(); err != nil || c.MaxInFlight > 0 && c.out >= c.MaxInFlight {
		return nil, &gateway.Error{Code: gateway.CodeCentreBusy, Op: "centre.admit", RetryAfter: time.Second, Err: err}
	}
	c.out++
	return &permit{centre: c, infno: n}, nil
}

func (c *Centre) now() time.Time {
	if c.Clock == nil {
		return time.Time{}
	}
	return c.Clock.Now()
}

type permit struct {
	centre *Centre
	infno  ident.Infno

	// Guarded by centre.mu.
	sealed   bool
	bytes    []byte
	digest   [32]byte
	released bool
	done     chan struct{} // set by the first Send, closed when reply is set
	reply    gateway.Reply
}

// Seal implements gateway.Permit.
func (p *permit) Seal(m gateway.Message) (gateway.Sealed, error) {
	p.centre.mu.Lock()
	defer p.centre.mu.Unlock()
	fault := ""
	switch {
	case p.released || p.done != nil:
		fault = "Seal after the permit was used or released"
	case p.sealed:
		fault = "Seal called twice"
	case m.Infno != p.infno:
		fault = "admitted for " + string(p.infno) + ", sealed " + string(m.Infno)
	}
	if fault != "" {
		p.centre.note(m.MsgID, fault)
		return gateway.Sealed{}, &gateway.Error{Code: gateway.CodeInternal, Op: "centre.seal", Detail: fault}
	}
	provider, err := sm.New("")
	if err != nil {
		return gateway.Sealed{}, &gateway.Error{Code: gateway.CodeInternal, Op: "centre.seal", Err: err}
	}
	s := gateway.Sealed{Message: m, Bytes: bytes.Clone(m.Body), Digest: provider.SM3(m.Body)}
	p.sealed, p.bytes, p.digest = true, s.Bytes, s.Digest
	return s, nil
}

// Send implements gateway.Permit.
func (p *permit) Send(ctx context.Context, s gateway.Sealed) gateway.Reply {
	c := p.centre
	c.mu.Lock()
	if done := p.done; done != nil {
		c.note(s.Message.MsgID, "Send called twice")
		c.mu.Unlock()
		<-done
		return p.reply
	}
	fault := ""
	switch {
	case p.released:
		fault = "Send after Release"
	case !p.sealed:
		fault = "Send without Seal"
	case s.Digest != p.digest || !bytes.Equal(s.Bytes, p.bytes):
		fault = "Send of other bytes than were sealed"
	}
	p.done = make(chan struct{})
	if fault != "" {
		c.note(s.Message.MsgID, fault)
		p.reply = gateway.Reply{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseNotSent, Detail: fault, SentFrom: c.now()}
		p.release()
		close(p.done)
		c.mu.Unlock()
		return p.reply
	}
	call := &CentreCall{Infno: s.Message.Infno, MsgID: s.Message.MsgID, Bytes: bytes.Clone(s.Bytes)}
	call.Request, call.Input = decode(s.Bytes)
	c.calls = append(c.calls, call)
	gate, seen := c.gate, *call
	c.mu.Unlock()
	if c.Observe != nil {
		c.Observe(seen)
	}

	from := c.now()
	reply := c.script(call.Infno, call.MsgID, call.Input).reply()
	if gate != nil && gate.pass() {
		reply = gateway.Reply{Cause: gateway.CauseTimeout, Detail: "no answer within the limit"}
	}
	reply.SentFrom, reply.Took = from, c.now().Sub(from)

	c.mu.Lock()
	defer c.mu.Unlock()
	p.reply, call.Reply, call.Ended = reply, reply, true
	p.release()
	close(p.done)
	return reply
}

// Release implements gateway.Permit.
func (p *permit) Release() {
	p.centre.mu.Lock()
	defer p.centre.mu.Unlock()
	if p.done == nil {
		p.release()
	}
}

func (p *permit) release() {
	if !p.released {
		p.released = true
		p.centre.out--
	}
}

func (c *Centre) note(id ident.MsgID, fault string) {
	c.misuse = append(c.misuse, fmt.Sprintf("%s (msgid %s)", fault, id))
}

func (a CentreAnswer) reply() gateway.Reply {
	if a.Lost {
		return gateway.Reply{Cause: gateway.CauseTimeout, Detail: "answer lost"}
	}
	r := gateway.Reply{Outcome: a.Outcome, Cause: a.Cause}
	switch a.Outcome {
	case gateway.OutcomeDone:
		r.Reply = wire.Reply{InfCode: "0"}
	case gateway.OutcomeRefused:
		if r.Cause == gateway.CauseNone {
			r.Cause = gateway.CauseBusiness
		}
		if r.Cause != gateway.CauseBusiness {
			return r
		}
		r.Reply = wire.Reply{InfCode: "-1"}
	default:
		if r.Cause == gateway.CauseNone {
			r.Cause = gateway.CauseTimeout
		}
		return r
	}
	if a.InfCode != "" {
		r.Reply.InfCode = a.InfCode
	}
	r.Reply.ErrMsg = a.ErrMsg
	r.Reply.Output = plain(a.Output)
	if a.File != nil {
		r.Reply.Output, r.File, r.FileType = nil, a.File, "application/octet-stream"
	}
	return r
}

// plain turns any value into what a JSON decoder that keeps number literals gives.
func plain(v any) any {
	if v == nil {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var out any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if d.Decode(&out) != nil {
		return nil
	}
	return out
}

// decode reads a request leniently: a test may send what no centre would take.
func decode(b []byte) (wire.Request, any) {
	var top map[string]json.RawMessage
	if json.Unmarshal(b, &top) != nil {
		return wire.Request{}, nil
	}
	text := func(name string) string {
		var s string
		if json.Unmarshal(top[name], &s) != nil {
			return string(top[name]) // a bare number
		}
		return s
	}
	r := wire.Request{
		Infno: ident.Infno(text("infno")), MsgID: ident.MsgID(text("msgid")),
		MdtrtArea: text("mdtrtarea_admvs"), InsuplcArea: text("insuplc_admdvs"),
		Receiver: text("recer_sys_code"), DevNo: text("dev_no"), DevSafeInfo: text("dev_safe_info"),
		CAInfo: text("cainfo"), SignType: text("signtype"), Version: text("infver"),
		OperatorType: text("opter_type"), Operator: text("opter"), OperatorName: text("opter_name"),
		Time: text("inf_time"), Institution: ident.Institution(text("fixmedins_code")),
		InstitutionNm: text("fixmedins_name"), SignNo: text("sign_no"), Input: top["input"],
	}
	return r, plain(top["input"])
}

// Gate holds answers back.
type Gate struct {
	mu      sync.Mutex
	held    int
	lapsed  bool
	opened  bool
	open    chan struct{}
	changed chan struct{}
}

// Open lets every held answer, and all that follow, through. It may be called again.
func (g *Gate) Open() { g.end(false) }

// Lapse ends every held call, and all that follow, as a time-out: the centre did it and nobody
// heard.
func (g *Gate) Lapse() { g.end(true) }

func (g *Gate) end(lapsed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.opened {
		g.opened, g.lapsed = true, lapsed
		close(g.open)
	}
}

// Held is the number of calls that wait at the gate.
func (g *Gate) Held() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

// Await blocks until n calls wait at the gate, or ctx ends.
func (g *Gate) Await(ctx context.Context, n int) error {
	for {
		g.mu.Lock()
		enough, changed := g.held >= n, g.changed
		g.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pass waits for the gate and reports whether the answer lapsed.
func (g *Gate) pass() bool {
	g.count(+1)
	<-g.open
	g.count(-1)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lapsed
}

func (g *Gate) count(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held += n
	close(g.changed)
	g.changed = make(chan struct{})
}
