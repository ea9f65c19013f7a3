package hl7

import (
	"strconv"
	"strings"
	"time"

	"yiqiao/adapters/his/counter"
	"yiqiao/gateway"
	"yiqiao/schemas/check"
)

// reply is what is known when a message is answered.
type reply struct {
	m       *Message // as far as it could be read
	err     *gateway.Error
	answers []counter.Answer
	mapped  gateway.Mapped
	trace   func() []gateway.Trace // where targets came from; only asked when there are findings
	now     time.Time
}

// code is MSA-1 in original mode, without the first letter: A accepted, E at fault, R not taken.
func (r *reply) code() byte {
	worst := byte('A')
	for _, e := range r.errors() {
		switch ackOf(e) {
		case 'R':
			return 'R'
		case 'E':
			worst = 'E'
		}
	}
	return worst
}

func (r *reply) errors() []*gateway.Error {
	var list []*gateway.Error
	if r.err != nil {
		list = append(list, r.err)
	}
	for _, a := range r.answers {
		if a.Err != nil {
			list = append(list, a.Err)
		}
	}
	return list
}

// ackOf says how an error is acknowledged. An unknown outcome is accepted: the journal holds it, and a
// refusal would make a clerk settle again. R is what the same message may be sent again for.
func ackOf(e *gateway.Error) byte {
	switch w := gateway.Codes[e.Code]; {
	case unknown(e.Code):
		return 'A'
	case e.Code == gateway.CodeRequestInProgress, e.Code == gateway.CodeRateLimited, e.Code == gateway.CodeKeyMissing, e.Code == gateway.CodeKeyWrong:
		return 'R'
	case w.Status >= 500:
		return 'R'
	}
	return 'E'
}

// condition is table 0357 for ERR-3.
func condition(e *gateway.Error, finding string) (code, text string) {
	switch {
	case unknown(e.Code):
		return "0", "Message accepted"
	case finding == check.CodeFieldMissing, finding == check.CodeFieldEmpty, e.Code == gateway.CodeRequestIDMissing:
		return "101", "Required field missing"
	case finding == check.CodeFieldType, finding == check.CodeDateInvalid, finding == check.CodeAmountSyntax, finding == "map-value-form":
		return "102", "Data type error"
	case finding == check.CodeCodeUnknown, finding == "map-value-unlisted", finding == "map-item-unknown":
		return "103", "Table value not found"
	case finding == "map-event-unknown":
		return "201", "Unsupported event code"
	case e.Code == gateway.CodeNotFound:
		return "204", "Unknown key identifier"
	case e.Code == gateway.CodeRequestIDReused:
		return "205", "Duplicate key identifier"
	case e.Code == gateway.CodeRequestInProgress, e.Code == gateway.CodeCentreBusy:
		return "206", "Application record locked"
	}
	return "207", "Application internal error"
}

// bytes is the acknowledgement, in the delimiters everybody uses and the message's own charset. kind
// is the first letter of MSA-1: A in original mode and for the application, C for the commit.
func (r *reply) bytes(kind byte) []byte {
	var b strings.Builder
	h := func(field int) string { return r.m.Header(field, 1) }
	version := h(12)
	if version == "" {
		version = "2.5"
	}
	event := r.m.Header(9, 2)
	ack := "ACK"
	if event != "" {
		ack += "^" + escape(event)
		if version >= "2.3.1" {
			ack += "^ACK"
		}
	}
	// The acknowledgement's own id follows from the message's: a repeat of one is a repeat of the other.
	id := "A" + h(10)
	if kind == 'C' {
		id = "C" + h(10)
	}
	seg(&b, "MSH", `^~\&`, e(h(5)), e(h(6)), e(h(3)), e(h(4)), r.now.In(gateway.China).Format("20060102150405.000-0700"), "", ack,
		e(cut(id, 50)), e(orElse(h(11), "P")), e(version), "", "", "NE", "NE", "", r.m.charset.Name())
	msa := []string{string([]byte{kind, r.code()}), e(h(10))}
	if list := r.errors(); len(list) > 0 {
		msa = append(msa, e(cut(gateway.Codes[list[0].Code].ZH, 80)))
	}
	seg(&b, "MSA", msa...)
	for _, err := range r.errors() {
		r.errorSegments(&b, err)
	}
	if kind != 'C' {
		for i, a := range r.answers {
			r.answer(&b, i, a)
		}
	}
	return r.m.charset.encode(b.String())
}

// mostErrors bounds the ERR segments of one answer.
const mostErrors = 50

// errorSegments writes an ERR for each finding, or one for the error.
func (r *reply) errorSegments(b *strings.Builder, err *gateway.Error) {
	w := gateway.Codes[err.Code]
	severity := "E"
	if unknown(err.Code) {
		severity = "W"
	}
	var places map[string]gateway.Trace
	if len(err.Findings) > 0 || err.Path != "" {
		places = r.places()
	}
	write := func(finding, path, rule, zh, en string) {
		code, text := condition(err, finding)
		seg(b, "ERR", "", location(places[path].Source), code+"^"+text+"^HL70357", severity,
			e(string(err.Code))+"^"+e(w.EN)+"^YIQIAO", e(cut(path, 200))+"~"+e(cut(rule, 100))+"~"+e(finding), e(cut(en, 250)),
			e(cut(zh, 250)), "", string(w.Owner))
	}
	detail := w.ZH
	if err.Detail != "" && shown(err.Code) {
		detail += ": " + err.Detail
	}
	if len(err.Findings) == 0 {
		write("", err.Path, err.Rule, detail+"; "+w.NextZH, w.EN+" "+w.NextEN)
		return
	}
	for i, f := range err.Findings {
		if i == mostErrors {
			break
		}
		zh, en := f.ZH, f.EN
		if err.Code == gateway.CodeCentreRefused && i == 0 {
			zh = detail + "; " + zh
		}
		write(f.Code, f.Path, f.Rule, zh, en)
	}
}

// places finds the source of each target, for ERR-2.
func (r *reply) places() map[string]gateway.Trace {
	if r.trace == nil {
		return nil
	}
	out := map[string]gateway.Trace{}
	for _, t := range r.trace() {
		out[t.Target] = t
	}
	return out
}

// location turns "FT1[2] FT1-7.1" into ERR-2: FT1^2^7^1^1.
func location(source string) string {
	if source == "" {
		return ""
	}
	parts := strings.Fields(source)
	p, err := Notation{}.Compile(parts[len(parts)-1])
	if err != nil {
		return ""
	}
	x := p.(*path)
	nth := x.nth
	for _, group := range parts[:len(parts)-1] {
		name, rest, ok := strings.Cut(group, "[")
		if n, err := strconv.Atoi(strings.TrimSuffix(rest, "]")); ok && err == nil && name == x.name {
			nth = n
		}
	}
	out := x.name + "^" + strconv.Itoa(nth)
	if x.field > 0 {
		out += "^" + strconv.Itoa(x.field) + "^" + strconv.Itoa(max(x.rep, 1)) + "^" + strconv.Itoa(x.component)
	}
	return out
}

// answer writes what came of one order: ZYB, a segment of our own. Its fields are in docs/mapping.md.
func (r *reply) answer(b *strings.Builder, i int, a counter.Answer) {
	f := make([]string, 22)
	f[0], f[1], f[2], f[3], f[4] = strconv.Itoa(i+1), string(a.Op), string(a.Outcome), string(a.Code()), e(a.RequestID)
	f[5] = e(a.ID)
	amounts := (*gateway.Amounts)(nil)
	switch {
	case a.Settlement != nil:
		s := a.Settlement
		f[6], f[7], f[8], f[9], amounts = string(s.State), e(string(s.SettlementID)), e(string(s.Visit)), e(string(s.MsgID)), s.Amounts
	case a.Stay != nil:
		s := a.Stay
		f[6], f[7], f[8], f[9], amounts = string(s.State), e(string(s.SettlementID)), e(string(s.Visit)), e(string(s.MsgID)), s.Amounts
		f[10] = s.Charged
	case a.Transaction != nil:
		f[6], f[9] = string(a.Transaction.State), e(string(a.Transaction.ID))
	}
	if amounts != nil {
		f[10], f[11], f[12], f[13], f[14] = amounts.Total, amounts.Fund, amounts.Account, amounts.Cash, amounts.OwnPay
		f[15], f[16], f[17], f[18] = amounts.OverLmt, amounts.PreSelf, amounts.InScope, amounts.Balance
	}
	if a.Err != nil && a.Err.Detail != "" && shown(a.Err.Code) {
		f[19] = e(cut(a.Err.Detail, 200))
	}
	f[20], f[21] = e(r.mapped.Rule), e(r.mapped.Version)
	seg(b, "ZYB", f...)
}

// shown reports whether a detail is for the HIS: not one of faults on our side.
func shown(c gateway.Code) bool {
	w := gateway.Codes[c]
	return w.Owner == gateway.OwnerHIS || w.Owner == gateway.OwnerDesk
}

func e(s string) string { return escape(s) }

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// seg writes a segment without the empty fields at its end.
func seg(b *strings.Builder, name string, fields ...string) {
	for len(fields) > 0 && fields[len(fields)-1] == "" {
		fields = fields[:len(fields)-1]
	}
	b.WriteString(name)
	for _, f := range fields {
		b.WriteByte('|')
		b.WriteString(f)
	}
	b.WriteByte('\r')
}

// unknown reports a code that leaves the outcome open.
func unknown(c gateway.Code) bool {
	return c == gateway.CodeOutcomeUnknown || c == gateway.CodeNeedsPerson
}
