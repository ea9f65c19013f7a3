package audit

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/journal"
)

var _ journal.Auditor = (*Log)(nil)

// Opening is what a commitment stands for, in two parts that can be shown one without the other:
//
//	commitment = SM3(SM3(HeadSalt Head) SM3(BodySalt Body))
//
// Head is lines of name=value without a patient's data; Body is what the journal keeps sealed.
// Salts are 16 bytes, made from the record's secret, so nobody can try out what a body may have been.
type Opening struct {
	HeadSalt []byte `json:"head_salt"`
	Head     string `json:"head"`
	// BodySalt and Body are there when the body is shown, BodyHash, which is SM3(BodySalt Body), when
	// it is not.
	BodySalt []byte `json:"body_salt,omitempty"`
	Body     []byte `json:"body,omitempty"`
	BodyHash []byte `json:"body_hash,omitempty"`
	// Evidence is what the centre signed of the answer, bound by its digest in Head.
	EvidenceSalt []byte `json:"evidence_salt,omitempty"`
	Evidence     []byte `json:"evidence,omitempty"`
}

// Seal is the last part of the line an opening belongs to, "" when it can not be one.
func (o Opening) Seal(sm3 func(...[]byte) [32]byte) string {
	head := sm3(o.HeadSalt, []byte(o.Head))
	var body [32]byte
	switch {
	case len(o.BodyHash) == 32 && len(o.BodySalt) == 0 && len(o.Body) == 0:
		copy(body[:], o.BodyHash)
	case len(o.BodySalt) == 16 && len(o.BodyHash) == 0:
		body = sm3(o.BodySalt, o.Body)
	default:
		return ""
	}
	return string(commitment(sm3(head[:], body[:])))
}

func commitment(d [32]byte) []byte {
	return base64.StdEncoding.AppendEncode(append(make([]byte, 0, 46), "c:"...), d[:])
}

// salts are different for each line: one for the head, one for the body.
func (l *Log) salts(kind, ref string) (head, body [16]byte) {
	var room [160]byte
	b := append(room[:0], l.o.Secret[:]...)
	b = append(append(append(b, 's'), kind...), 0)
	d := l.o.SM3(append(b, ref...))
	return [16]byte(d[:16]), [16]byte(d[16:])
}

// seal is the commitment of a line.
func (l *Log) seal(kind, ref string, head, body []byte) []byte {
	hs, bs := l.salts(kind, ref)
	h, b := l.o.SM3(hs[:], head), l.o.SM3(bs[:], body)
	var both [64]byte
	copy(both[:32], h[:])
	copy(both[32:], b[:])
	return commitment(l.o.SM3(both[:]))
}

func plain(text string) []byte { return append([]byte("t:"), clean(text)...) }

// line puts a line together. The parts are cleaned of what would break it.
func (l *Log) line(kind string, at time.Time, who, what, ref string, seal []byte) []byte {
	b := make([]byte, 0, 48+len(kind)+len(who)+len(what)+len(ref)+len(seal))
	b = append(append(b, kind...), '\t')
	b = append(strconv.AppendInt(b, millis(at), 10), '\t')
	for _, part := range [...]string{who, what, ref} {
		if part = clean(part); part == "" {
			part = "-"
		}
		b = append(append(b, part...), '\t')
	}
	return append(append(b, seal...), '\n')
}

// clean replaces control characters, so that a part is one part.
func clean(s string) string {
	if strings.IndexFunc(s, isControl) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if isControl(r) {
			return '?'
		}
		return r
	}, s)
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 }

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// pseudonym stands for a value that is not written down, the same each time.
func (l *Log) pseudonym(kind byte, parts ...string) string {
	var room [160]byte
	b := append(room[:0], l.o.Secret[:]...)
	b = append(b, 'p', kind)
	for _, p := range parts {
		b = strconv.AppendInt(b, int64(len(p)), 10)
		b = append(append(b, ':'), p...)
	}
	d := l.o.SM3(b)
	return hex.EncodeToString(d[:8])
}

// requestRef names a request: its own id is the HIS's and may be anything.
func (l *Log) requestRef(k gateway.RequestKey) string { return "q:" + l.pseudonym('q', k.System, k.ID) }

// OperatorWho is how an operator of a HIS system stands in the record.
func (l *Log) OperatorWho(system, operator string) string {
	if system == "" {
		system = "yiqiao"
	}
	if operator == "" {
		return system
	}
	return system + "/op:" + l.pseudonym('o', system, operator)
}

// Items implements journal.Auditor.
func (l *Log) Items(e *gateway.Entry) (out journal.Items) {
	if r := e.Request; r != nil {
		out.Request = l.requestPart(r).line(l)
		if len(r.Answer) > 0 {
			out.Request = append(out.Request, l.answerPart(&gateway.Answer{Key: r.Key, Body: r.Answer, At: r.AnsweredAt}).line(l)...)
		}
	}
	if e.Bill != nil {
		out.Bill = l.billPart(e.Bill).line(l)
	}
	if e.Record != nil {
		out.Record = l.recordPart(e.Record).line(l)
	}
	if e.Append != nil {
		out.Append = l.eventPart(e.Append).line(l)
	}
	if e.Answer != nil {
		out.Answer = l.answerPart(e.Answer).line(l)
	}
	return out
}

// Imported implements journal.Auditor.
func (l *Log) Imported(m journal.Moved, p journal.Places) []byte {
	return l.line("begin", l.o.Clock.Now(), "yiqiao", "journal.import", "sm3:"+m.Digest,
		plain(placesText(p.Request, p.Bill, p.Record)))
}

// part is one line before it is written, and what it commits to.
type part struct {
	kind, who, what, ref string
	at                   time.Time
	head, body           []byte
}

func (p part) line(l *Log) []byte {
	return l.line(p.kind, p.at, p.who, p.what, p.ref, l.seal(p.kind, p.ref, p.head, p.body))
}

// fields is the head of an opening: name=value lines, line ends and backslashes in values escaped.
type fields []byte

func (f fields) add(name, value string) fields {
	f = append(append(f, name...), '=')
	if strings.ContainsAny(value, "\\\n") {
		value = strings.NewReplacer("\\", "\\\\", "\n", "\\n").Replace(value)
	}
	return append(append(f, value...), '\n')
}

func (f fields) time(name string, t time.Time) fields {
	f = append(append(f, name...), '=')
	return append(strconv.AppendInt(f, millis(t), 10), '\n')
}

func (f fields) hex(name string, b []byte) fields {
	f = append(append(f, name...), '=')
	return append(hex.AppendEncode(f, b), '\n')
}

func (l *Log) requestPart(r *gateway.Request) part {
	head := make(fields, 0, 320).add("system", r.Key.System).add("request", r.Key.ID).add("op", r.Op).
		add("institution", string(r.Institution)).add("ref", r.Ref).time("created", r.CreatedAt).hex("digest", r.Digest[:])
	return part{"request", r.Key.System, r.Op, l.requestRef(r.Key), r.CreatedAt, head, nil}
}

func (l *Log) billPart(b *gateway.Bill) part {
	head := make(fields, 0, 160).add("bill", b.ID).add("institution", string(b.Institution)).add("system", b.System).
		time("created", b.CreatedAt)
	return part{"bill", b.System, "bill", b.ID, b.CreatedAt, head, b.Body}
}

func (l *Log) recordPart(r *gateway.Record) part {
	head := make(fields, 0, 512).add("record", string(r.ID)).add("institution", string(r.Institution)).add("infno", string(r.Infno)).
		add("system", r.Request.System).add("request", r.Request.ID).add("step", r.Step).add("attempt", strconv.Itoa(r.Attempt)).
		add("bill", r.Bill).add("visit", r.Visit).add("operator", r.Operator.ID).add("operator_type", r.Operator.Type).
		time("created", r.CreatedAt).add("state", string(r.State)).hex("wire", r.WireDigest[:])
	if r.Mapping != "" { // what came through none is bound as it always was
		head = head.add("mapping", r.Mapping)
	}
	if len(r.Wire) > 0 { // a queued message is kept whole: bound by its own salt
		_, salt := l.salts("message", string(r.ID))
		d := l.o.SM3(salt[:], r.Wire)
		head = head.hex("message", d[:])
	}
	what := string(r.Infno)
	if r.Step != "" && r.Step != what {
		what += ":" + r.Step
	}
	return part{"record", l.OperatorWho(r.Request.System, r.Operator.ID), what, string(r.ID), r.CreatedAt, head, r.Input}
}

func eventRef(id string, n int) string { return id + "#" + strconv.Itoa(n) }

func (l *Log) eventPart(a *gateway.Append) part {
	e, n := a.Event, a.Version+1
	head := make(fields, 0, 200).add("record", string(a.ID)).add("event", strconv.Itoa(n)).add("kind", string(e.Kind)).
		time("at", e.At).add("cause", string(e.Cause)).add("ref", string(e.Ref)).add("note", e.Note)
	if len(e.Evidence) > 0 { // bound by its own salt, so that it can be shown or not
		_, salt := l.salts("evidence", eventRef(string(a.ID), n))
		d := l.o.SM3(salt[:], e.Evidence)
		head = head.hex("evidence", d[:])
	}
	what := string(e.Kind)
	if e.Cause != "" {
		what += ":" + string(e.Cause)
	}
	return part{"event", "yiqiao", what, eventRef(string(a.ID), n), e.At, head, e.Data}
}

func (l *Log) answerPart(a *gateway.Answer) part {
	head := make(fields, 0, 120).add("system", a.Key.System).add("request", a.Key.ID).time("at", a.At)
	return part{"answer", a.Key.System, "answer", l.requestRef(a.Key), a.At, head, a.Body}
}

// Line is a line of the record, taken apart.
type Line struct {
	Kind string    `json:"kind"`
	At   time.Time `json:"at"`
	Who  string    `json:"who"`
	What string    `json:"what"`
	Ref  string    `json:"ref"`
	Seal string    `json:"seal"` // "c:..." or "t:..."
}

// ParseLine reads a line; what is not one is an error, never a panic.
func ParseLine(text string) (Line, error) {
	text, whole := strings.CutSuffix(text, "\n")
	parts := strings.Split(text, "\t")
	if !whole || len(parts) != 6 {
		return Line{}, fmt.Errorf("audit: not a line of six parts")
	}
	at, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || strconv.FormatInt(at, 10) != parts[1] {
		return Line{}, fmt.Errorf("audit: not a time")
	}
	for _, p := range parts {
		if p == "" {
			return Line{}, fmt.Errorf("audit: an empty part")
		}
	}
	if !strings.HasPrefix(parts[5], "c:") && !strings.HasPrefix(parts[5], "t:") {
		return Line{}, fmt.Errorf("audit: neither commitment nor text")
	}
	return Line{parts[0], time.UnixMilli(at).In(gateway.China), parts[2], parts[3], parts[4], parts[5]}, nil
}
