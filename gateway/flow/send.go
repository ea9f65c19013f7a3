package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
)

// job is one transaction to be sent now.
type job struct {
	op       string // for errors: "flow.transact"
	inst     *gateway.Institution
	tx       *catalog.Transaction
	operator gateway.Operator
	area     string // insuplc_admdvs
	input    any    // with credentials; they go no further than the wire
	text     []byte // of input, when it was needed already
	request  gateway.RequestKey
	bill     string
	step     string
	attempt  int
	signNo   string
	own      bool // the gateway's own question or reversal: not checked like a HIS's input

	// first is written in the same breath as the record, before it: the HIS request, say.
	first []gateway.Entry
	// guard, when set, gives the key that makes an attempt unique.
	guard func(attempt int, id ident.MsgID) *gateway.Request
	// answer, when set, gives the final answer that is stored with an end.
	answer func(gateway.Record) *gateway.Answer
	// output, when set, takes what read would give of the output that is kept.
	output *any
}

// send is the only way a real-time transaction reaches a centre. The record it returns is as the
// journal has it. An error before the record was written is an *Error, or errTaken when the step is
// somebody else's; nothing was sent then. When the answer could not be written the record is
// returned as sent, with outcome-unknown.
//
// A refusal because the sign-in has run out proves that nothing was done; it is followed by one
// more attempt under a new sign-in.
func (d *Desk) send(ctx context.Context, j job) (gateway.Record, []check.Finding, error) {
	_, end := d.span(ctx, gateway.Span{Name: "validate", Infno: j.tx.Infno, Institution: j.inst.Code})
	warnings, err := d.checked(j)
	if err != nil {
		end("refused")
		return gateway.Record{}, nil, err
	}
	end("")
	if j.signNo, err = d.signNo(ctx, j); err != nil {
		return gateway.Record{}, nil, err
	}
	rec, err := d.sendOnce(ctx, j)
	if err == nil && rec.State == gateway.StateRefused && rec.Cause == gateway.CauseSignIn {
		d.forgetSign(j, j.signNo)
		j.attempt++
		j.first = nil
		var err2 error
		if j.signNo, err2 = d.signNo(ctx, j); err2 != nil {
			return rec, warnings, nil
		}
		again, err2 := d.sendOnce(ctx, j)
		if err2 == nil || again.ID != "" {
			rec, err = again, err2
		}
	}
	return rec, warnings, err
}

// checked gives the findings that travel with a request, or refuses it.
func (d *Desk) checked(j job) ([]check.Finding, error) {
	if j.own {
		return nil, nil
	}
	found := d.checkers[j.inst.Region].Request(j.tx.Infno, j.input)
	for _, f := range found {
		if f.Severity == check.Error {
			return nil, &gateway.Error{Code: gateway.CodeRequestInvalid, Op: j.op, Path: f.Path, Rule: f.Rule, Findings: found}
		}
	}
	return found, nil
}

func (d *Desk) sendOnce(ctx context.Context, j job) (gateway.Record, error) {
	permit, err := d.opt.Centre(j.inst.Code).Admit(ctx, j.tx.Infno)
	if err != nil {
		return gateway.Record{}, admission(j.op, err)
	}
	defer permit.Release()
	now := d.opt.Clock.Now()
	id, err := d.opt.Journal.NextMsgID(ctx, j.inst.Code, now)
	if err != nil {
		return gateway.Record{}, storage(j.op, err)
	}
	body, err := d.encode(j, id, j.signNo, now)
	if err != nil {
		return gateway.Record{}, internalError(j.op, err)
	}
	_, named := namedIn(j.tx)
	sealed, err := permit.Seal(gateway.Message{
		Infno: j.tx.Infno, Institution: j.inst.Code, MsgID: id, Body: body, Limit: j.tx.Limit,
		File: j.tx.Kind == catalog.Download, Named: named, Evidence: j.tx.Evidence || j.own && j.tx.Kind != catalog.Session,
	})
	if err != nil {
		return gateway.Record{}, internalError(j.op, err)
	}
	d.busy.claim(id)
	defer d.busy.free(id)
	rec, err := d.prepare(ctx, j, id, sealed.Digest, now)
	if err != nil {
		return gateway.Record{}, err
	}
	reply := gateway.Reply{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseNotSent, Detail: "too late to send"}
	if d.inTime(now) {
		reply = permit.Send(ctx, sealed)
	}
	event := d.judge(j, rec, reply)
	d.log.Info("transaction", "infno", string(rec.Infno), "msgid", string(rec.ID), "event", string(event.Kind),
		"cause", string(event.Cause), "detail", reply.Detail, "took", reply.Took.String())
	return d.conclude(ctx, j, rec, event)
}

// inTime reports whether a message written down at that time may still leave. Whoever resolves it
// counts from then; a process that was held up longer than half the grace (a slow disk, a paused
// machine) must not send what others may by now have proved absent, whatever its clock was set to.
func (d *Desk) inTime(written time.Time) bool {
	return gateway.Elapsed(d.opt.Clock, written) <= d.timing.SettleGrace/2
}

// prepare makes the record durable as sent: from here on the message may have left.
func (d *Desk) prepare(ctx context.Context, j job, id ident.MsgID, digest [32]byte, now time.Time) (gateway.Record, error) {
	rec := gateway.Record{
		ID: id, Institution: j.inst.Code, Infno: j.tx.Infno, Request: j.request, Step: j.step,
		Attempt: j.attempt, Bill: j.bill, Operator: unnamed(j.operator), WireDigest: digest, CreatedAt: now,
		Input: d.keptInput(j), Marks: d.marks(j.input, nil), State: gateway.StateSent,
	}
	if rec.Request.ID != "" { // not the sign-in on the way
		rec.Mapping = gateway.MappingOf(ctx)
	}
	entries := make([]gateway.Entry, 0, len(j.first)+2)
	for _, e := range j.first {
		if e.Request != nil && e.Request.Ref == "" {
			r := *e.Request
			r.Ref = refOf(id)
			e.Request = &r
		}
		entries = append(entries, e)
	}
	if j.guard != nil {
		entries = append(entries, gateway.Entry{Request: j.guard(j.attempt, id)})
	}
	entries = append(entries, gateway.Entry{Record: &rec, Class: d.class(rec)})
	existing, err := d.opt.Journal.Write(ctx, entries...)
	switch {
	case existing != nil, errors.Is(err, gateway.ErrExists), errors.Is(err, gateway.ErrConflict):
		return rec, errTaken
	case errors.Is(err, gateway.ErrStorage):
		// It may have been written all the same. Nothing was sent, and that is noted when possible.
		d.later(id, gateway.Event{Kind: gateway.EventRefused, At: now, Cause: gateway.CauseNotSent}, nil)
		return rec, storage(j.op, err)
	case err != nil:
		return rec, storage(j.op, err)
	}
	rec.Version, rec.UpdatedAt = 1, now
	return rec, nil
}

// conclude appends what became of a message. When that is impossible now the outcome is unknown to
// the caller, and the event is written later.
func (d *Desk) conclude(ctx context.Context, j job, rec gateway.Record, e gateway.Event) (gateway.Record, error) {
	var answer func(gateway.Record) *gateway.Answer
	if j.answer != nil {
		answer = j.answer
	}
	after, err := d.addFirst(ctx, rec, e, answer)
	if errors.Is(err, gateway.ErrStale) { // it was taken for lost meanwhile
		after, err = d.endLate(ctx, rec.ID, e, answer)
		if j.output != nil {
			*j.output = read(after.Output) // what ended it may not be what was heard here
		}
	}
	if err != nil && !errors.Is(err, errMoved) {
		d.log.Error("outcome not written", "msgid", string(rec.ID), "err", err.Error())
		d.later(rec.ID, e, answer)
		return rec, &gateway.Error{Code: gateway.CodeOutcomeUnknown, Op: j.op, Ref: refOf(rec.ID), Err: err}
	}
	if after.State == gateway.StateUnknown && !j.tx.Commits {
		// A question that got no answer changed nothing and need not be looked into.
		if closed, err := d.add(ctx, after, gateway.Event{Kind: gateway.EventAbsent, At: e.At, Cause: e.Cause, Note: noteHarmless}, nil); err == nil {
			after = closed
		}
	}
	return after, nil
}

// errMoved: the record has gone on to a state the event can not follow.
var errMoved = errors.New("flow: record has moved on")

// add appends an event to a record, reading it again when somebody else was faster. With errMoved
// the record returned is as it stands now.
func (d *Desk) add(ctx context.Context, rec gateway.Record, e gateway.Event, answer func(gateway.Record) *gateway.Answer) (gateway.Record, error) {
	for try := 0; try < 8; try++ {
		next, err := d.addFirst(ctx, rec, e, answer)
		if !errors.Is(err, gateway.ErrStale) {
			return next, err
		}
		if rec, err = d.opt.Journal.Record(ctx, rec.ID); err != nil {
			return rec, err
		}
	}
	return rec, gateway.ErrStale
}

// addFirst is add for who must be the first to write since the record was read: ErrStale when
// somebody else was, or has taken the record over.
func (d *Desk) addFirst(ctx context.Context, rec gateway.Record, e gateway.Event, answer func(gateway.Record) *gateway.Answer) (gateway.Record, error) {
	next := rec
	if next.Apply(e) != nil {
		return rec, errMoved
	}
	entry := gateway.Entry{Append: &gateway.Append{ID: rec.ID, Version: rec.Version, Event: e}, Class: d.class(rec)}
	if answer != nil {
		entry.Answer = answer(next)
	}
	entries := []gateway.Entry{entry}
	if news := d.news(next, e); news != nil {
		entries = append(entries, *news)
	}
	if _, err := d.opt.Journal.Write(ctx, entries...); err != nil {
		return rec, err
	}
	return next, nil
}

// judge turns a reply into the event it is.
func (d *Desk) judge(j job, rec gateway.Record, r gateway.Reply) gateway.Event {
	e := gateway.Event{At: d.opt.Clock.Now(), Cause: r.Cause}
	switch r.Outcome {
	case gateway.OutcomeDone:
		var output any
		e.Data, output = d.kept(r.Reply.Output)
		if said := repeated(e.Data, d.opt.Catalog.Secrets(shallow(j.input))); len(said) > 0 {
			output = d.opt.Catalog.Scrub(output, said)
			e.Data = strictjson.Encode(output)
		}
		if r.File != nil {
			e.Data = keptFile(r)
			output = read(e.Data)
		}
		if j.output != nil {
			*j.output = output
		}
		if doubt := d.doubt(j, rec.ID, r.Reply); doubt != "" {
			e.Kind, e.Cause, e.Note = gateway.EventUnknown, gateway.CauseMismatch, doubt
			return e
		}
		if r.Evidence != nil && len(d.opt.Catalog.Secrets(r.Reply.Output)) == 0 {
			e.Evidence = d.keptEvidence(j, r.Evidence)
		}
		e.Kind, e.Cause, e.Marks = gateway.EventDone, gateway.CauseNone, d.marks(output, rec.Marks)
	case gateway.OutcomeRefused:
		e.Kind = gateway.EventRefused
		if e.Cause != gateway.CauseNotSent {
			e.Cause = gateway.CauseBusiness
			if d.signExpired(j, r.Reply.ErrMsg) {
				e.Cause = gateway.CauseSignIn
			}
			words := catalog.ScrubText(r.Reply.ErrMsg, d.opt.Catalog.Secrets(j.input))
			e.Data, _ = json.Marshal(refusal{InfCode: r.Reply.InfCode, ErrMsg: words})
			e.Evidence = d.keptEvidence(j, r.Evidence)
		}
	default:
		e.Kind, e.Note = gateway.EventUnknown, r.Detail
		if e.Cause == gateway.CauseNone {
			e.Cause = gateway.CauseTimeout
		}
	}
	return e
}

// repeated are those credentials of a request that its answer holds.
func repeated(answer []byte, secrets []string) []string {
	return slices.DeleteFunc(secrets, func(s string) bool { return !bytes.Contains(answer, []byte(s)) })
}

// keptEvidence is what the centre signed as it may be kept: nothing when it repeats a credential of the
// request.
func (d *Desk) keptEvidence(j job, evidence []byte) []byte {
	if evidence == nil {
		return nil
	}
	for _, s := range d.opt.Catalog.Secrets(j.input) {
		if strings.ContainsAny(s, "\"\\\n\r\t") || bytes.Contains(evidence, []byte(s)) {
			return nil
		}
	}
	return evidence
}

// shallow is an input without its rows, in which no credential stands.
func shallow(input any) any {
	top, ok := input.(object)
	if !ok {
		return nil
	}
	out := make(object, len(top))
	for name, node := range top {
		if _, rows := node.([]any); !rows {
			out[name] = node
		}
	}
	return out
}

// kept is an output as the journal keeps it, and decoded again.
func (d *Desk) kept(output any) ([]byte, any) {
	if output == nil || !strictjson.Writable(output) {
		return nil, nil
	}
	output = d.opt.Catalog.Redact(output)
	return strictjson.Encode(output), output
}

// areaMember of the envelope stands beside the nodes of a kept input: whoever asks about the record
// later must name the same area.
const areaMember = "insuplc_admdvs"

// keptInput is an input as the journal keeps it: credentials cut out, the area of insurance and the
// operator's name added.
func (d *Desk) keptInput(j job) []byte {
	v := d.opt.Catalog.Redact(j.input)
	top, ok := v.(object)
	if !ok {
		return strictjson.Encode(v)
	}
	for name, value := range map[string]string{areaMember: j.area, gateway.OperatorNameMember: j.operator.Name} {
		if _, has := top[name]; !has && value != "" {
			top[name] = value
		}
	}
	return strictjson.Encode(v)
}

// unnamed is an operator as it is kept in clear.
func unnamed(o gateway.Operator) gateway.Operator {
	o.Name = ""
	return o
}

// encode gives the core message.
func (d *Desk) encode(j job, id ident.MsgID, signNo string, now time.Time) ([]byte, error) {
	text := j.text
	if text == nil {
		if !strictjson.Writable(j.input) {
			return nil, errors.New("flow: input holds a type no decoder gives")
		}
		text = strictjson.Encode(j.input)
	}
	return wire.EncodeRequest(wire.Request{
		Infno: j.tx.Infno, MsgID: id, MdtrtArea: j.inst.Area, InsuplcArea: j.area,
		Receiver: j.inst.Receiver, DevNo: j.inst.DevNo, DevSafeInfo: j.inst.DevSafe, Version: d.checkers[j.inst.Region].Version(j.tx.Infno, j.input, j.inst.Version),
		OperatorType: j.operator.Type, Operator: j.operator.ID, OperatorName: j.operator.Name,
		Time: now.In(gateway.China).Format(time.DateTime), Institution: j.inst.Code,
		InstitutionNm: j.inst.Name, SignNo: signNo, Input: text,
	})
}

// operator fills the default and refuses what the envelope can not carry.
func operator(op string, o gateway.Operator) (gateway.Operator, error) {
	if o.Type == "" {
		o.Type = "1"
	}
	bad := func(path, rule string) (gateway.Operator, error) {
		return o, &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: path, Rule: rule}
	}
	switch {
	case strings.TrimSpace(o.ID) == "":
		return bad("/operator/id", "必填")
	case len([]rune(o.ID)) > 30:
		return bad("/operator/id", "长度<=30")
	case strings.TrimSpace(o.Name) == "":
		return bad("/operator/name", "必填")
	case len([]rune(o.Name)) > 50:
		return bad("/operator/name", "长度<=50")
	case o.Type != "1" && o.Type != "2" && o.Type != "3":
		return bad("/operator/type", "1, 2, 3")
	}
	return o, nil
}

func admission(op string, err error) error {
	var e *gateway.Error
	if errors.As(err, &e) {
		return e
	}
	return &gateway.Error{Code: gateway.CodeCentreBusy, Op: op, Err: err}
}

// attemptText is an attempt as part of a key.
func attemptText(n int) string { return strconv.Itoa(n) }
