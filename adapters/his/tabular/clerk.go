package tabular

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"

	"yiqiao/adapters/his/counter"
	"yiqiao/gateway"
	"yiqiao/schemas/check"
)

// Standing is what is to be done about a message.
type Standing int

const (
	Final Standing = iota // there is nothing more to find out
	Open                  // the outcome is not known yet: the same message again asks
	Held                  // the gateway or the centre takes nothing just now: the same message again, later
)

// Line is what came of one order of a message, or of a message nothing could be made of. Texts are
// for people; everything else is for programs.
type Line struct {
	Row       int       `json:"row"` // first of the message
	Last      int       `json:"last"`
	Type      string    `json:"type,omitempty"`
	Key       string    `json:"key,omitempty"`
	Order     int       `json:"order"` // from 1; 0: no order was made
	Op        string    `json:"op,omitempty"`
	Outcome   string    `json:"outcome"` // done, refused, unknown, queued, ignored; "": nothing can be said yet
	Code      string    `json:"code,omitempty"`
	Path      string    `json:"path,omitempty"`
	Rule      string    `json:"rule,omitempty"`
	Text      string    `json:"text,omitempty"`
	Next      string    `json:"next,omitempty"`
	Owner     string    `json:"owner,omitempty"`
	Detail    string    `json:"detail,omitempty"` // the centre's own words
	RequestID string    `json:"request_id,omitempty"`
	ID        string    `json:"id,omitempty"`
	State     string    `json:"state,omitempty"`
	SetlID    string    `json:"setl_id,omitempty"`
	Visit     string    `json:"mdtrt_id,omitempty"`
	MsgID     string    `json:"msgid,omitempty"`
	Charged   string    `json:"charged,omitempty"`
	Amounts   [6]string `json:"amounts,omitzero"` // AmountNames
	Mapping   string    `json:"mapping,omitempty"`
	Findings  []Finding `json:"findings,omitempty"`
	Tell      bool      `json:"tell,omitempty"`
	standing  Standing
}

// AmountNames are the columns of Line.Amounts.
var AmountNames = [6]string{"total", "fund", "account", "cash", "person", "balance"}

// Finding is one thing wrong, with its place in the source.
type Finding struct {
	Row    int    `json:"row,omitempty"`
	Part   string `json:"part,omitempty"`
	Column string `json:"column,omitempty"`
	Code   string `json:"code"`
	Path   string `json:"path,omitempty"`
	Rule   string `json:"rule,omitempty"`
	Text   string `json:"text,omitempty"`
}

// Result is what came of a message: at least one line.
type Result struct {
	Lines    []Line
	Standing Standing
}

// Clerk has messages mapped and carried out. Safe for concurrent use.
type Clerk struct {
	counter  *counter.Counter
	mapper   gateway.Mapper
	notation string
	who      gateway.Caller
	log      *slog.Logger
}

// NewClerk gives a clerk for one system. log may be nil.
func NewClerk(desk gateway.Desk, mapper gateway.Mapper, notation string, who gateway.Caller, log *slog.Logger) (*Clerk, error) {
	if mapper == nil || who.System == "" || len(who.Institutions) == 0 {
		return nil, errors.New("tabular: mapper, system and institutions are required")
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c, err := counter.New(desk, log)
	if err != nil {
		return nil, err
	}
	return &Clerk{c, mapper, notation, who, log}, nil
}

// Do carries a message out. It may be repeated: the same message leads to the same requests. It never
// panics.
func (c *Clerk) Do(ctx context.Context, m *Message) (r Result) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("panic over a message", "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			r = c.failed(m, &gateway.Error{Code: gateway.CodeInternal, Op: "tabular"})
		}
	}()
	src := m.Source(c.notation)
	mapped, e := counter.Map(c.mapper, src, "tabular", c.log)
	if e != nil {
		r = c.failed(m, e)
		c.place(m, src, mapped, &r.Lines[0], 0, e.Findings)
		return r
	}
	ctx = gateway.WithMapping(ctx, mapped.Version)
	for i, o := range mapped.Orders {
		a := c.counter.Do(ctx, c.who, o)
		l := c.line(m, a)
		l.Order, l.Mapping = i+1, mapped.Version
		if a.Err != nil {
			c.place(m, src, mapped, &l, i, a.Err.Findings)
		}
		c.log.Info("order", "system", c.who.System, "op", l.Op, "request_id", l.RequestID, "outcome", l.Outcome, "code", l.Code, "mapping", mapped.Version)
		r.Lines = append(r.Lines, l)
		if r.Standing = l.standing; a.Outcome != counter.Done && a.Outcome != counter.Queued {
			break
		}
	}
	if len(mapped.Orders) == 0 {
		l := blank(m)
		l.Outcome, l.Mapping = "ignored", mapped.Version
		r.Lines = []Line{l}
	}
	return r
}

// Refuse is the result of a message that holds rows which can not be read.
func Refuse(m *Message, faults ...Fault) Result {
	l := blank(m)
	l.fail(&gateway.Error{Code: gateway.CodeMessage, Rule: faults[0].Code})
	l.Outcome = string(counter.Refused)
	for _, f := range faults {
		w := f.Finding()
		l.Findings = append(l.Findings, Finding{Row: f.Row, Column: f.Column, Code: f.Code, Rule: f.What, Text: w.ZH})
	}
	return Result{Lines: []Line{l}}
}

// Told reports every final answer of r as delivered.
func (c *Clerk) Told(lines []Line) {
	for _, l := range lines {
		if l.Tell && l.RequestID != "" {
			c.counter.Told(c.who, counter.Answer{Tell: true, RequestID: l.RequestID})
		}
	}
}

func blank(m *Message) Line {
	l := Line{Type: m.Type, Key: m.Key}
	if len(m.Rows) > 0 {
		l.Row, l.Last = m.Rows[0].Number, m.Rows[len(m.Rows)-1].Number
	}
	return l
}

func (c *Clerk) failed(m *Message, e *gateway.Error) Result {
	l := blank(m)
	l.fail(e)
	return Result{Lines: []Line{l}, Standing: l.standing}
}

// fail puts an error into the line.
func (l *Line) fail(e *gateway.Error) {
	w := gateway.Codes[e.Code]
	l.Code, l.Path, l.Rule, l.Text, l.Next, l.Owner = string(e.Code), e.Path, e.Rule, w.ZH, w.NextZH, string(w.Owner)
	if w.Owner == gateway.OwnerHIS || w.Owner == gateway.OwnerDesk {
		l.Detail = e.Detail
	}
	switch e.Code {
	case gateway.CodeCentreBusy, gateway.CodeCentreDown, gateway.CodeCentreUnreachable, gateway.CodeCentreNoAnswer,
		gateway.CodeStorage, gateway.CodeRateLimited, gateway.CodeSignIn:
		l.standing = Held
	case gateway.CodeOutcomeUnknown, gateway.CodeNeedsPerson, gateway.CodeRequestInProgress, gateway.CodeInternal:
		l.standing = Open
	}
	if l.Outcome == "" && l.standing == Final && e.Code != gateway.CodeRequestIDReused {
		l.Outcome = string(counter.Refused)
	}
}

func (c *Clerk) line(m *Message, a counter.Answer) Line {
	l := blank(m)
	l.Op, l.Outcome, l.RequestID, l.ID, l.Tell = string(a.Op), string(a.Outcome), a.RequestID, a.ID, a.Tell
	var amounts *gateway.Amounts
	switch {
	case a.Settlement != nil:
		s := a.Settlement
		l.State, l.SetlID, l.Visit, l.MsgID, amounts = string(s.State), string(s.SettlementID), string(s.Visit), string(s.MsgID), s.Amounts
	case a.Stay != nil:
		s := a.Stay
		l.State, l.SetlID, l.Visit, l.MsgID, l.Charged, amounts = string(s.State), string(s.SettlementID), string(s.Visit), string(s.MsgID), s.Charged, s.Amounts
	case a.Transaction != nil:
		l.State, l.MsgID = string(a.Transaction.State), string(a.Transaction.ID)
	}
	if amounts != nil {
		l.Amounts = [6]string{amounts.Total, amounts.Fund, amounts.Account, amounts.Cash, amounts.Person, amounts.Balance}
	}
	if a.Err != nil {
		l.fail(a.Err)
		l.Outcome = string(a.Outcome)
	}
	if a.Outcome == counter.Unknown {
		l.standing = Open
	}
	return l
}

var inRow = regexp.MustCompile(`^(.+)\[(\d+)\] (.*)$`)

// place finds the row and column behind every finding: the mapping says where a target came from.
func (c *Clerk) place(m *Message, src gateway.Source, mapped gateway.Mapped, l *Line, order int, found []check.Finding) {
	if len(found) == 0 {
		return
	}
	if l.Mapping == "" {
		l.Mapping = mapped.Version
	}
	from := map[string]string{}
	for _, t := range c.mapper.Trace(src) {
		if t.Source == "" || t.Order != order && len(mapped.Orders) > 0 {
			continue
		}
		if _, there := from[t.Target]; !there || t.Fault != "" {
			from[t.Target] = t.Source
		}
	}
	for _, f := range found {
		out := Finding{Row: l.Row, Code: f.Code, Path: f.Path, Rule: f.Rule, Text: f.ZH}
		source := from[f.Path]
		for at := src.Scope; source != ""; {
			g := inRow.FindStringSubmatch(source)
			if g == nil {
				out.Column = source
				break
			}
			rows := c.each(g[1], at)
			n, _ := strconv.Atoi(g[2])
			if n < 1 || n > len(rows) {
				break
			}
			if s, ok := rows[n-1].(*scope); ok {
				out.Row, out.Part = s.at.Number, s.at.Part
			}
			at, source = rows[n-1], g[3]
		}
		l.Findings = append(l.Findings, out)
	}
}

func (c *Clerk) each(text string, at any) []any {
	p, err := Notation{c.notation}.Compile(strings.TrimSpace(text))
	if err != nil {
		return nil
	}
	return p.Each(at)
}
