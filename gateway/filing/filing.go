// Package filing is what a hospital files with the centre for a person: a referral (2501), a chronic disease
// (2503), a fixed institution (2505), an accident (2507), and taking each back (2502, 2504, 2506, 2508). 1101 finds
// the person first.
//
// Kind says what the steps are and where a filing stands; both are pure. Office is how a HIS adapter asks. The
// sending, the keeping, and finding out what became of a filing nobody answered belong to gateway.Cases: 2501,
// 2503 and 2505 are asked for (5304, 5301, 5302), and no question tells the number of what it finds. Then the
// hospital gives it when it takes the filing back. The catalogue knows no evidenced fields of 2508, so an
// accident's filing is not taken back by the gateway.
package filing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"yiqiao/gateway"
	"yiqiao/gateway/draft"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

const (
	letter = 'F'

	opOpen     = "filing.open"
	opWithdraw = "filing.withdraw"
)

// sort is how one kind is filed and taken back.
type sort struct {
	file, back ident.Infno
	node       string
	name       string // for people
}

// sorts are the tables of 2501 to 2508.
var sorts = map[gateway.FilingKind]sort{
	gateway.FilingReferral: {"2501", "2502", "refmedin", "转院备案"},
	gateway.FilingChronic:  {"2503", "2504", "data", "人员慢特病备案"},
	gateway.FilingFixed:    {"2505", "2506", "data", "人员定点备案"},
	gateway.FilingAccident: {"2507", "2508", "data", "人员意外伤害备案"},
}

// ours are the members the gateway fills.
var ours = []string{"psn_no", "insutype", "insu_optins"}

// mostDetails bounds the members of a filing.
const mostDetails = 100

// Office implements gateway.Registry over the desk that carries the cases out, which must know Kind.
type Office struct{ Cases gateway.Cases }

var _ gateway.Registry = Office{}

func checkFiling(r *gateway.OpenFiling) []check.Finding {
	b := &draft.Sheet{}
	b.Credential(r.Credential)
	if _, known := sorts[r.Kind]; !known {
		b.Add(draft.NotListed, "/kind", "referral, chronic, fixed, accident")
	}
	if len(r.Details) == 0 {
		b.Add(check.CodeFieldMissing, "/details", "必填")
	}
	if len(r.Details) > mostDetails {
		b.Add(draft.FeesTooMany, "/details", "<=100")
		return b.Found
	}
	for _, name := range slices.Sorted(maps.Keys(r.Details)) {
		if slices.Contains(ours, name) {
			b.Add(draft.FeeExtra, "/details/"+draft.Escape(name), "")
		}
	}
	return b.Found
}

// OpenFiling implements gateway.Registry. What proves the person is no part of what two calls of one request id
// are compared by.
func (o Office) OpenFiling(ctx context.Context, c gateway.Caller, r gateway.OpenFiling) (gateway.Filing, error) {
	if err := draft.Refusal("filing.open", "", checkFiling(&r)); err != nil {
		return gateway.Filing{}, err
	}
	kept := r
	kept.Credential = gateway.Credential{Type: r.Credential.Type}
	body, err := json.Marshal(kept)
	if err != nil {
		return gateway.Filing{}, unwritable(err)
	}
	kept.Operator = gateway.Operator{}
	same, err := json.Marshal(kept)
	if err != nil {
		return gateway.Filing{}, unwritable(err)
	}
	f, err := o.do(ctx, c, gateway.CaseCall{Op: opOpen, RequestID: r.RequestID, Institution: r.Institution, Operator: r.Operator,
		Credential: &r.Credential, Kept: body, Same: same})
	return f, named(err, sorts[r.Kind].node)
}

// named puts places in the interface's message into the HIS's words.
func named(err error, node string) error {
	var e *gateway.Error
	if !errors.As(err, &e) || e.Code != gateway.CodeRequestInvalid {
		return err
	}
	n := *e
	n.Path = detail(e.Path, node)
	n.Findings = slices.Clone(e.Findings)
	for i := range n.Findings {
		n.Findings[i].Path = detail(n.Findings[i].Path, node)
	}
	return &n
}

func detail(path, node string) string {
	for _, at := range []string{"/input/" + node + "/", "/" + node + "/"} {
		if name, ok := strings.CutPrefix(path, at); ok {
			return "/details/" + name
		}
	}
	return path
}

// WithdrawFiling implements gateway.Registry.
func (o Office) WithdrawFiling(ctx context.Context, c gateway.Caller, r gateway.WithdrawFiling) (gateway.Filing, error) {
	if r.ID == "" {
		return gateway.Filing{}, &gateway.Error{Code: gateway.CodeNotFound, Op: "filing.withdraw"}
	}
	b := &draft.Sheet{}
	b.Need("/memo", r.Memo)
	if err := draft.Refusal("filing.withdraw", r.ID, b.Found); err != nil {
		return gateway.Filing{}, err
	}
	return o.do(ctx, c, gateway.CaseCall{Op: opWithdraw, RequestID: r.RequestID, ID: r.ID, Operator: r.Operator,
		Same: []byte(r.Memo + "\x00" + r.Number), Asked: r})
}

// Filing implements gateway.Registry.
func (o Office) Filing(ctx context.Context, c gateway.Caller, id string) (gateway.Filing, error) {
	a, err := o.Cases.Case(ctx, c, letter, id)
	return filingOf(a), err
}

func (o Office) do(ctx context.Context, c gateway.Caller, r gateway.CaseCall) (gateway.Filing, error) {
	a, err := o.Cases.DoCase(ctx, c, letter, r)
	return filingOf(a), err
}

func filingOf(a gateway.CaseAnswer) gateway.Filing {
	if a.Filing == nil {
		return gateway.Filing{}
	}
	return *a.Filing
}

func unwritable(err error) error {
	return &gateway.Error{Code: gateway.CodeInternal, Op: "filing", Err: err}
}

// Kind is a filing as a kind of case.
type Kind struct{}

var _ gateway.CaseKind = Kind{}

// Letter implements gateway.CaseKind.
func (Kind) Letter() byte { return letter }

// Place implements gateway.CaseKind.
func (Kind) Place() string { return "/api/v1/filings/" }

// StepName implements gateway.CaseKind.
func (Kind) StepName(n ident.Infno) string {
	for _, s := range sorts {
		switch n[:min(4, len(n))] {
		case s.file:
			return s.name
		case s.back:
			return s.name + "撤销"
		}
	}
	return map[ident.Infno]string{"1101": "人员信息获取", "2601": "冲正"}[n]
}

// body is the filing as it was handed in.
func body(v gateway.CaseView) (gateway.OpenFiling, sort, error) {
	var r gateway.OpenFiling
	dec := json.NewDecoder(bytes.NewReader(v.Bill.Body))
	dec.UseNumber()
	if err := dec.Decode(&r); err != nil {
		return r, sort{}, unwritable(err)
	}
	s, known := sorts[r.Kind]
	if !known {
		return r, s, unwritable(errors.New("filing: of no kind"))
	}
	return r, s, nil
}

func (s sort) fileStep() string { return string(s.file) + "#1" }
func (s sort) backStep() string { return string(s.back) + "#1" }

// Next implements gateway.CaseKind.
func (Kind) Next(v gateway.CaseView) (gateway.CaseStep, error) {
	r, s, err := body(v)
	if err != nil {
		return gateway.CaseStep{}, err
	}
	switch v.Op {
	case opOpen:
		return file(v, r, s), nil
	case opWithdraw:
		return withdraw(v, s)
	}
	return gateway.CaseStep{}, &gateway.Error{Code: gateway.CodeState, Detail: string(stateOf(v, s))}
}

func file(v gateway.CaseView, r gateway.OpenFiling, s sort) gateway.CaseStep {
	switch {
	case v.Stands(s.fileStep()):
		return gateway.CaseStep{}
	case v.Person.No == "":
		return gateway.CaseStep{Name: gateway.CasePerson, Needs: true}
	}
	keep := map[string]bool{}
	for name := range r.Details {
		keep[name] = true // a member the table does not have is for the check to judge
	}
	return gateway.CaseStep{Name: s.fileStep(), Keep: keep, Input: func(gateway.Credential) any {
		o := map[string]any{}
		for name, v := range r.Details {
			o[name] = v
		}
		o["psn_no"], o["insutype"], o["insu_optins"] = v.Person.No, v.Person.Insutype, v.Person.Area
		return map[string]any{s.node: o}
	}}
}

func withdraw(v gateway.CaseView, s sort) (gateway.CaseStep, error) {
	if last, tried := v.Last(s.backStep()); tried && last.Key == v.Key && last.Done {
		return gateway.CaseStep{}, nil
	}
	if state := stateOf(v, s); state != gateway.FilingFiled {
		return gateway.CaseStep{}, &gateway.Error{Code: gateway.CodeState, Detail: string(state)}
	}
	r, _ := v.Asked.(gateway.WithdrawFiling)
	number := numberOf(v, s)
	switch {
	case number == "" && r.Number == "":
		f := draft.Finding(draft.NumberNeeded, "/number", "trt_dcla_detl_sn")
		return gateway.CaseStep{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Path: "/number", Rule: f.Rule, Findings: []check.Finding{f}}
	case number != "" && r.Number != "" && r.Number != number:
		f := draft.Finding(draft.NumberDiffers, "/number", number)
		return gateway.CaseStep{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Path: "/number", Rule: f.Rule, Findings: []check.Finding{f}}
	case number == "":
		number = r.Number
	}
	return gateway.CaseStep{Name: s.backStep(), Input: func(gateway.Credential) any {
		return map[string]any{"data": map[string]any{"trt_dcla_detl_sn": number, "psn_no": v.Person.No, "memo": r.Memo}}
	}}, nil
}

// numberOf is what the centre called the filing; "" when its answer was lost.
func numberOf(v gateway.CaseView, s sort) string {
	a, _ := v.Last(s.fileStep())
	for _, node := range []string{"result", ""} {
		for _, r := range strictjson.Rows(a.Output, node) {
			if n := strictjson.Text(r["trt_dcla_detl_sn"]); n != "" {
				return n
			}
		}
	}
	return ""
}

// stateOf is where a filing stands; a pure function of its attempts.
func stateOf(v gateway.CaseView, s sort) gateway.FilingState {
	filed, tried := v.Last(s.fileStep())
	back, undone := v.Last(s.backStep())
	person, asked := v.Last(gateway.CasePerson)
	switch {
	case tried && filed.End == gateway.CaseDone && undone && back.Done:
		return gateway.FilingWithdrawn
	case tried && filed.End == gateway.CaseDone && undone && back.End == gateway.CaseOpen:
		return gateway.FilingWithdrawing
	case tried && filed.End == gateway.CaseDone:
		return gateway.FilingFiled
	case v.Dead, tried && filed.End == gateway.CaseRefused, asked && person.End == gateway.CaseRefused:
		return gateway.FilingFailed
	}
	return gateway.FilingOpening
}

// Answer implements gateway.CaseKind.
func (k Kind) Answer(v gateway.CaseView) gateway.CaseAnswer {
	r, s, err := body(v)
	f := gateway.Filing{ID: v.Bill.ID, RequestID: v.Request, Kind: r.Kind, State: gateway.FilingOpening, Unknown: v.Unknown,
		NeedsPerson: v.NeedsPerson, Insutype: v.Person.Insutype, Steps: []gateway.Step{}, Warnings: v.Warnings}
	for _, a := range v.Attempts {
		f.Steps = append(f.Steps, gateway.Step{Infno: a.Infno, Name: k.StepName(a.Infno), MsgID: a.ID, State: a.State, Cause: a.Cause, At: a.At})
	}
	if last := len(v.Attempts) - 1; last >= 0 && v.Attempts[last].End == gateway.CaseRefused && !v.Attempts[last].Done {
		f.Message = v.Attempts[last].Words
	}
	if err != nil {
		return gateway.CaseAnswer{Filing: &f}
	}
	f.State, f.Number = stateOf(v, s), numberOf(v, s)
	if a, ok := v.Last(s.fileStep()); ok && (a.End == gateway.CaseDone || a.End == gateway.CaseOpen) {
		f.MsgID = a.ID
	}
	return gateway.CaseAnswer{Filing: &f}
}

// Again implements gateway.CaseKind.
func (Kind) Again(kept, now gateway.CaseAnswer) gateway.CaseAnswer {
	if kept.Filing == nil || now.Filing == nil {
		return now
	}
	f := *kept.Filing
	if f.State != gateway.FilingFailed {
		f.State, f.Unknown, f.NeedsPerson = now.Filing.State, now.Filing.Unknown, now.Filing.NeedsPerson
	}
	return gateway.CaseAnswer{Filing: &f}
}
