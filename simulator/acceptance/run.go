package acceptance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
)

// china is the time messages carry.
var china = time.FixedZone("CST", 8*3600)

// Runner runs cases against a target, one after the other: later ones may meet what earlier ones left.
type Runner struct {
	o       Options
	cat     *catalog.Catalog
	checker *check.Checker
	cases   []Case
	inputs  Inputs
	reqs    []Requirement
	seq     int
	refs    map[string]bool // inf_refmsgid seen
	found   map[string]*RequirementResult
	signs   map[string]string // sign_no by institution
	reached bool
}

// New prepares a run; the error names what is wrong with cases, options or tables.
func New(c *catalog.Catalog, o Options) (*Runner, error) {
	reqs, err := Requirements(c)
	if err != nil {
		return nil, err
	}
	cases, inputs := o.Cases, o.Inputs
	if len(cases) == 0 {
		if cases, inputs, err = Cases(); err != nil {
			return nil, err
		}
	}
	if err := Check(cases, inputs, reqs); err != nil {
		return nil, err
	}
	checker, err := check.New(c, check.Options{FundIncludesAccount: o.Site.FundIncludesAccount})
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Runner{o: o, cat: c, checker: checker, inputs: inputs, reqs: reqs, seq: int(o.Seed % 9000), refs: map[string]bool{}, found: map[string]*RequirementResult{}, signs: map[string]string{}}
	for _, k := range cases {
		if (o.Suite == "" || k.Suite == o.Suite) && (len(o.Only) == 0 || slices.Contains(o.Only, k.ID)) {
			r.cases = append(r.cases, k)
		}
	}
	if len(r.cases) == 0 {
		return nil, fmt.Errorf("no case of suite %q among %v", o.Suite, o.Only)
	}
	return r, nil
}

// Run runs the cases. It ends early only when ctx does; the result then holds what was done. A Runner runs once.
func (r *Runner) Run(ctx context.Context) *Result {
	res := &Result{Tool: "yiqiao accept", Suite: r.o.Suite, Seed: r.o.Seed, Began: r.o.Now()}
	for _, q := range r.reqs {
		s := NotRun
		if q.Why != "" {
			s = NotTestable
		}
		r.found[q.ID] = &RequirementResult{Requirement: q, Status: s}
	}
	for i, c := range r.cases {
		if ctx.Err() != nil {
			break
		}
		k := r.run(ctx, c)
		res.Cases = append(res.Cases, k)
		if c.SignsOut {
			clear(r.signs)
		}
		if r.o.Progress != nil {
			r.o.Progress(i+1, len(r.cases), k)
		}
	}
	res.Ended, res.Reached = r.o.Now(), r.reached
	for _, q := range r.reqs {
		res.Requirements = append(res.Requirements, *r.found[q.ID])
	}
	return res
}

// signIn gets the number every message of an institution carries, once. Where that fails the messages
// that need it are refused, and that is what the report tells.
func (r *Runner) signIn(ctx context.Context, place string) {
	if _, done := r.signs[place]; done || !r.o.Site.SignIn {
		return
	}
	r.signs[place] = ""
	v := r.variables(Case{})
	input, err := v.value(r.inputs["sign-in"])
	if err != nil {
		return
	}
	msg, _, err := r.message(Step{Send: "9001", As: place}, v, input)
	if err != nil {
		return
	}
	reply, _, err := r.o.Target.Exchange(ctx, "9001", msg, "")
	if err != nil {
		return
	}
	if rep, err := wire.DecodeReply(reply); err == nil && rep.OK() {
		no, _ := at(rep.Output, "signinoutb.sign_no")
		r.signs[place] = strictjson.Text(no)
	}
}

// place is the institution a step speaks for.
func (r *Runner) place(s Step, v vars) (string, error) {
	if s.As == "" {
		return r.o.Site.Institution, nil
	}
	return v.text(s.As)
}

// variables are those every case begins with.
func (r *Runner) variables(c Case) vars {
	now := r.o.Now().In(china)
	r.seq++
	v := vars{
		"now": now.Format(time.DateTime), "today": now.Format(time.DateOnly), "tomorrow": now.AddDate(0, 0, 1).Format(time.DateOnly),
		"hour_ago": now.Add(-time.Hour).Format(time.DateTime), "week_ago": now.AddDate(0, 0, -7).Format(time.DateTime),
		"month_begin": time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, china).Format(time.DateOnly),
		"unique":      fmt.Sprintf("%s%04d", now.Format("0102150405"), r.seq), "place": r.o.Site.Institution, "area": r.o.Site.Area,
	}
	for k, s := range r.o.Site.Values {
		v[k] = s
	}
	p := r.o.Site.People[c.Person]
	v["psn_no"], v["name"], v["certno"], v["insutype"], v["insuplc"] = p.No, p.Name, p.Cert, p.Insutype, p.Area
	return v
}

// attempt is a case under way.
type attempt struct {
	r     *Runner
	c     Case
	v     vars
	last  any // input of the step before
	step  int
	infno string
	res   *StepResult
}

func (r *Runner) run(ctx context.Context, c Case) CaseResult {
	began := r.o.Now()
	out := CaseResult{ID: c.ID, Suite: c.Suite, Title: c.Title, Status: Pass}
	if _, ok := r.o.Site.People[c.Person]; c.Person != "" && !ok {
		out.Status, out.Stopped = NotRun, "测试数据中没有这类人员: "+c.Person+" / no such person in the test data"
		return out
	}
	if c.Needs != "" && !slices.Contains(r.o.Target.Spoils(), c.Needs) {
		out.Status, out.Stopped = NotRun, "对方的安全方式不适用: "+c.Needs+" / not part of the target's security"
		return out
	}
	a := &attempt{r: r, c: c, v: r.variables(c)}
	for i, s := range c.Steps {
		a.step = i + 1
		res, goesOn := a.do(ctx, s)
		out.Steps = append(out.Steps, res)
		if res.Status == Fail {
			out.Status = Fail
		}
		if !goesOn {
			out.Stopped = fmt.Sprintf("第 %d 步没有通过, 后续步骤未执行 / stopped at step %d", i+1, i+1)
			break
		}
	}
	out.Took = r.o.Now().Sub(began)
	return out
}

// message makes the bytes of a step.
func (r *Runner) message(s Step, v vars, input any) ([]byte, string, error) {
	now := r.o.Now().In(china)
	place, err := r.place(s, v)
	if err != nil {
		return nil, "", err
	}
	sign := r.signs[place]
	if no, ok := v["sign_no"]; ok { // the case has signed in itself
		sign = strictjson.Text(no)
	}
	var id string
	if s.MsgID != "" {
		if id, err = v.text(s.MsgID); err != nil {
			return nil, "", err
		}
	} else {
		r.seq++
		id = fmt.Sprintf("%s%s%04d", place, now.Add(time.Duration(r.seq/10000)*time.Second).Format("20060102150405"), r.seq%10000)
	}
	msg, err := wire.EncodeRequest(wire.Request{
		Infno: ident.Infno(s.Send), MsgID: ident.MsgID(id), MdtrtArea: r.o.Site.Area, InsuplcArea: strictjson.Text(v["insuplc"]),
		Receiver: r.o.Site.Receiver, Version: r.o.Site.Version, OperatorType: "1", Operator: "accept", OperatorName: "验收",
		Time: now.Format(time.DateTime), Institution: ident.Institution(place), InstitutionNm: r.o.Site.InstitutionName,
		SignNo: sign, Input: strictjson.Encode(input),
	})
	return msg, id, err
}

// input makes the input of a step.
func (a *attempt) input(s Step) (any, error) {
	var in any
	if s.Input != "" {
		x, err := a.v.value(a.r.inputs[s.Input])
		if err != nil {
			return nil, err
		}
		in = x
	} else {
		in = strictjson.Clone(a.last)
	}
	for where, n := range s.Set {
		x, err := a.v.value(&n)
		if err == nil {
			err = put(in, where, x, false)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, where := range s.Drop {
		if err := put(in, where, nil, true); err != nil {
			return nil, err
		}
	}
	if s.Rows > 0 {
		repeatRows(in, s.Rows)
	}
	return in, nil
}

// repeatRows makes so many rows of the first one of the first list, each with a number of its own.
func repeatRows(in any, n int) {
	top, _ := in.(map[string]any)
	for name, node := range top {
		list, ok := node.([]any)
		if !ok || len(list) == 0 {
			continue
		}
		out := make([]any, n)
		for i := range out {
			row := strictjson.Clone(list[0])
			if m, ok := row.(map[string]any); ok {
				m["feedetl_sn"] = strictjson.Text(m["feedetl_sn"]) + fmt.Sprint("-", i)
			}
			out[i] = row
		}
		top[name] = out
		return
	}
}

// do takes one step; goesOn reports whether the next can be tried.
func (a *attempt) do(ctx context.Context, s Step) (StepResult, bool) {
	res := StepResult{Infno: s.Send, Note: s.Note, Status: Pass}
	a.res, a.infno = &res, s.Send
	var msg []byte
	var in any
	var err error
	if place, err := a.r.place(s, a.v); err == nil && s.Send != "9001" {
		a.r.signIn(ctx, place)
	}
	if s.Raw == "" || strings.Contains(s.Raw, "${message}") {
		if in, err = a.input(s); err == nil {
			msg, res.MsgID, err = a.r.message(s, a.v, in)
		}
		if err != nil {
			a.broken(err)
			return res, false
		}
		a.last = in
		res.Request = string(strictjson.Encode(a.r.cat.Mask(in)))
	}
	if s.Raw != "" {
		msg = []byte(strings.ReplaceAll(s.Raw, "${message}", string(msg)))
	}
	reply, refusal, err := a.r.o.Target.Exchange(ctx, s.Send, msg, s.Spoil)
	if err != nil && (s.Expect.Result == "unanswered" || s.Expect.Result == "whatever") {
		res.Reply = "(没有答复 / no answer: " + err.Error() + ")"
		a.verdict(s.ids(a.c), "", "")
		for name, where := range s.Save {
			if where == "msgid" {
				a.v[name] = res.MsgID
			}
		}
		return res, true
	}
	if err != nil {
		a.verdict(s.ids(a.c), "一个答复 / an answer", "没有可用的答复: "+err.Error())
		return res, false
	}
	a.r.reached = true
	return res, a.judge(s, reply, refusal)
}

// broken is a fault of the case itself, or of the test data.
func (a *attempt) broken(err error) {
	a.res.Status = Fail
	a.res.Faults = append(a.res.Faults, "用例或测试数据有误: "+err.Error())
}

func (s Step) ids(c Case) []string { return append(slices.Clone(c.Verifies), s.Verifies...) }

// verdict books a check: got is "" when it held.
func (a *attempt) verdict(ids []string, wanted, got string) bool {
	for _, id := range ids {
		q := a.r.found[id]
		if q == nil {
			continue
		}
		q.Checks++
		switch {
		case got != "":
			q.Status = Fail
			if len(q.Evidence) < 5 {
				q.Evidence = append(q.Evidence, Evidence{a.c.ID, a.step, a.infno, wanted, got})
			}
		case q.Status == NotRun:
			q.Status = Pass
		}
	}
	if got != "" {
		a.res.Status = Fail
		a.res.Faults = append(a.res.Faults, fmt.Sprintf("应为 %s; 实为 %s", wanted, got))
	}
	return got == ""
}

// masked is an output for the report.
func (a *attempt) masked(v any) string {
	b := strictjson.Encode(a.r.cat.Mask(v))
	if len(b) > 4000 {
		return string(b[:4000]) + "…"
	}
	return string(b)
}
