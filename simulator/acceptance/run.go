package acceptance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/codes"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
	"yiqiao/simulator/acceptance/sample"
)

// china is the time messages carry.
var china = time.FixedZone("CST", 8*3600)

// Runner runs cases against a target, one after the other, or those of different persons beside each other: later ones
// may meet what earlier ones left.
type Runner struct {
	o       Options
	cat     *catalog.Catalog
	checker *check.Checker
	samples *sample.Maker
	whole   []Case // all there are
	cases   []Case // those chosen
	inputs  Inputs
	reqs    []Requirement
	found   map[string]*RequirementResult

	mu      sync.Mutex
	refs    map[string]bool   // inf_refmsgid seen
	signs   map[string]string // sign_no by institution
	reached bool
	done    int

	signing sync.Mutex // one sign-in at a time
}

// perCase is how many numbers a case has for its messages and rows.
const perCase = 50

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
	dicts, err := codes.Default()
	if err != nil {
		return nil, err
	}
	r := &Runner{o: o, cat: c, checker: checker, samples: sample.New(c, dicts, o.Now().In(china)), inputs: inputs, reqs: reqs, refs: map[string]bool{}, signs: map[string]string{}}
	r.whole = cases
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
	r.found = Unjudged(r.reqs)
	kept := r.all(ctx)
	for _, k := range kept {
		if k == nil {
			continue // the run ended before it
		}
		res.Cases = append(res.Cases, k.Case)
		r.reached = r.reached || k.Reached
		for _, b := range k.Booked {
			r.book(b)
		}
	}
	res.Ended, res.Reached = r.o.Now(), r.reached
	tried := Tried(r.whole)
	for _, q := range r.reqs {
		found := r.found[q.ID]
		found.Settle(q.Actor == "centre", tried[q.ID])
		res.Requirements = append(res.Requirements, *found)
	}
	return res
}

// all runs the cases that are not known already. Those that end the session or look at everything run last, alone; the others by
// person, Parallel lanes at once.
func (r *Runner) all(ctx context.Context) []*Kept {
	kept := make([]*Kept, len(r.cases))
	lanes := map[string][]int{}
	var order []string
	var alone []int
	for i, c := range r.cases {
		if k, ok := r.o.Known[c.ID]; ok {
			kept[i] = &k
			r.progress(k.Case)
			continue
		}
		if r.o.Parallel > 1 && (c.Alone || c.SignsOut) {
			alone = append(alone, i)
			continue
		}
		lane := ""
		if r.o.Parallel > 1 {
			lane = c.Person
		}
		if lanes[lane] == nil {
			order = append(order, lane)
		}
		lanes[lane] = append(lanes[lane], i)
	}
	one := func(i int) {
		if ctx.Err() != nil {
			return
		}
		k := r.run(ctx, r.cases[i], i)
		if ctx.Err() != nil {
			return // broken off in the middle: not known
		}
		r.mu.Lock()
		if r.cases[i].SignsOut {
			clear(r.signs)
		}
		kept[i] = k
		if r.o.Keep != nil {
			r.o.Keep(*k)
		}
		r.mu.Unlock()
		r.progress(k.Case)
	}
	work := make(chan []int)
	var wg sync.WaitGroup
	for range max(1, r.o.Parallel) {
		wg.Go(func() {
			for list := range work {
				for _, i := range list {
					one(i)
				}
			}
		})
	}
	for _, lane := range order {
		work <- lanes[lane]
	}
	close(work)
	wg.Wait()
	for _, i := range alone {
		one(i)
	}
	return kept
}

func (r *Runner) progress(c CaseResult) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	if r.o.Progress != nil {
		r.o.Progress(r.done, len(r.cases), c)
	}
}

// signIn gets the number every message of an institution carries, once. Where that fails the messages
// that need it are refused, and that is what the report tells.
func (a *attempt) signIn(ctx context.Context, place string) {
	r := a.r
	r.signing.Lock()
	defer r.signing.Unlock()
	r.mu.Lock()
	_, done := r.signs[place]
	if !done {
		r.signs[place] = ""
	}
	r.mu.Unlock()
	if done || !r.o.Site.SignIn {
		return
	}
	v := a.r.variables(Case{}, a.number())
	input, err := v.value(r.inputs["sign-in"])
	if err != nil {
		return
	}
	msg, _, err := a.message(Step{Send: "9001", As: place}, v, input)
	if err != nil {
		return
	}
	reply, _, err := r.sent(ctx, r.o.Target, Original{Case: a.c.ID, Infno: "9001"}, msg, "")
	if err != nil {
		return
	}
	if rep, err := wire.DecodeReply(reply); err == nil && rep.OK() {
		no, _ := at(rep.Output, "signinoutb.sign_no")
		r.mu.Lock()
		r.signs[place] = strictjson.Text(no)
		r.mu.Unlock()
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
func (r *Runner) variables(c Case, seq int) vars {
	now := r.o.Now().In(china)
	v := vars{
		"now": now.Format(time.DateTime), "today": now.Format(time.DateOnly), "tomorrow": now.AddDate(0, 0, 1).Format(time.DateOnly),
		"hour_ago": now.Add(-time.Hour).Format(time.DateTime), "week_ago": now.AddDate(0, 0, -7).Format(time.DateTime),
		"yesterday": now.AddDate(0, 0, -1).Format(time.DateOnly), "month": now.Format("200601"), "year": now.Format("2006"), "month_only": now.Format("01"), "month_ago": now.AddDate(0, -1, 0).Format(time.DateOnly),
		"compact": now.Format("20060102150405"), "year_end": now.Format("2006") + "-12-31",
		"month_begin": time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, china).Format(time.DateOnly),
		"unique":      fmt.Sprintf("%s%04d", now.Format("0102150405"), seq%10000), "place": r.o.Site.Institution, "area": r.o.Site.Area,
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
	base  int // where its numbers begin
	used  int
	kept  *Kept
}

// number gives the next number of the case.
func (a *attempt) number() int {
	a.used++
	return a.base + a.used
}

// Kept is a case that was run and what it says of the requirements: what a run that was broken off can go on with.
type Kept struct {
	Case    CaseResult `json:"case"`
	Booked  []Booking  `json:"booked"`
	Reached bool       `json:"reached"`
}

// Booking is one check of some requirements.
type Booking struct {
	IDs      []string `json:"ids"`
	Evidence Evidence `json:"evidence"`
	Failed   bool     `json:"failed,omitempty"`
}

// book counts a check.
func (r *Runner) book(b Booking) {
	for _, id := range b.IDs {
		q := r.found[id]
		if q == nil {
			continue
		}
		q.Checks++
		switch {
		case b.Failed:
			q.Status = Fail
			if len(q.Evidence) < 5 {
				q.Evidence = append(q.Evidence, b.Evidence)
			}
		case q.Status == NotRun:
			q.Status = Pass
		}
	}
}

func (r *Runner) run(ctx context.Context, c Case, place int) *Kept {
	a := &attempt{r: r, c: c, base: int(r.o.Seed%9000) + (place+1)*perCase, kept: &Kept{}}
	a.kept.Case = a.through(ctx)
	return a.kept
}

// through takes the steps of a case.
func (a *attempt) through(ctx context.Context) CaseResult {
	r, c := a.r, a.c
	began := r.o.Now()
	out := CaseResult{ID: c.ID, Suite: c.Suite, Title: c.Title, Status: Pass}
	if _, ok := r.o.Site.People[c.Person]; c.Person != "" && !ok {
		out.Status, out.Stopped = NotRun, "测试数据中没有这类人员: "+c.Person+" / no such person in the test data"
		return out
	}
	if c.Needs == "sign-in" && !r.o.Site.SignIn {
		out.Status, out.Stopped = NotRun, "对方不要求签到 / no sign-in is asked for"
		return out
	}
	if c.Needs == "discharge-first" && r.o.Site.SettleBeforeDischarge {
		out.Status, out.Stopped = NotRun, "对方可先结算后出院 / a stay may be settled before its discharge there"
		return out
	}
	if !slices.Contains([]string{"", "sign-in", "discharge-first"}, c.Needs) && !slices.Contains(r.o.Target.Spoils(), c.Needs) {
		out.Status, out.Stopped = NotRun, "对方的安全方式不适用: "+c.Needs+" / not part of the target's security"
		return out
	}
	if c.Local && !slices.Contains(r.o.Site.Local, c.Table) && !slices.Contains(r.o.Site.Local, "*") {
		out.Status, out.Stopped = NotRun, "地方交易, 测试数据的 local 中没有 / a transaction of some areas only, not in local of the site file: "+c.Table
		return out
	}
	if c.Service != "" && r.o.Services[c.Service] == nil {
		out.Status, out.Stopped = NotRun, "没有接入这项服务: "+c.Service+" / no such service here"
		return out
	}
	a.v = r.variables(c, a.number())
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
func (a *attempt) message(s Step, v vars, input any) ([]byte, string, error) {
	r := a.r
	now := r.o.Now().In(china)
	place, err := r.place(s, v)
	if err != nil {
		return nil, "", err
	}
	r.mu.Lock()
	sign := r.signs[place]
	r.mu.Unlock()
	if no, ok := v["sign_no"]; ok { // the case has signed in itself
		sign = strictjson.Text(no)
	}
	if s.Sign != "" {
		if sign, err = v.text(s.Sign); err != nil {
			return nil, "", err
		}
		sign = strings.TrimSpace(sign)
	}
	var id string
	if s.MsgID != "" {
		if id, err = v.text(s.MsgID); err != nil {
			return nil, "", err
		}
	} else {
		seq := a.number()
		id = fmt.Sprintf("%s%s%04d", place, now.Add(time.Duration(seq/10000)*time.Second).Format("20060102150405"), seq%10000)
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
	if s.Input == SampleInput {
		t, ok := a.r.cat.Lookup(ident.Infno(s.Send))
		if !ok {
			return nil, fmt.Errorf("no transaction %s", s.Send)
		}
		x, err := a.r.samples.Valid(t, a.r.o.Seed)
		if err != nil {
			return nil, err
		}
		a.own(x)
		in = x
	} else if s.Input != "" {
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
	if s.Break {
		return in, a.spoil(s.Send, in)
	}
	return in, nil
}

// spoil makes one thing of an input wrong: what is surest to be refused comes first.
func (a *attempt) spoil(infno string, in any) error {
	t, ok := a.r.cat.Lookup(ident.Infno(infno))
	top, isObject := in.(map[string]any)
	if !ok || !isObject {
		return fmt.Errorf("nothing of %s can be made wrong", infno)
	}
	var err error
	for _, kind := range []sample.Kind{sample.Missing, sample.Node, sample.Date, sample.Type} {
		if _, err = a.r.samples.Spoil(t, top, kind); err == nil {
			break
		}
	}
	return err
}

// SampleInput as the input of a step is one made from the catalogue (package sample).
const SampleInput = "sample"

// ownMembers are members of a sample that take the value of a variable, where there is one.
var ownMembers = map[string]string{"psn_no": "psn_no", "certno": "certno", "psn_name": "name", "mdtrt_id": "visit", "setl_id": "setl", "fixmedins_code": "place", "insutype": "insutype",
	"insu_admdvs": "insuplc", "mdtrtarea_admvs": "area"}

// own puts what the case knows into a sample.
func (a *attempt) own(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if name, ok := ownMembers[k]; ok && a.v[name] != nil {
				v[k] = a.v[name]
				continue
			}
			a.own(x)
		}
	case []any:
		for _, x := range v {
			a.own(x)
		}
	}
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
	if place, err := a.r.place(s, a.v); err == nil && s.Send != "9001" && s.Sign == "" && a.c.Service == "" {
		a.signIn(ctx, place)
	}
	if s.Raw == "" || strings.Contains(s.Raw, "${message}") {
		if in, err = a.input(s); err == nil {
			if a.c.Service != "" {
				msg = strictjson.Encode(in)
			} else {
				msg, res.MsgID, err = a.message(s, a.v, in)
			}
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
	reply, refusal, err := a.exchange(ctx, s, msg)
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
	a.kept.Reached = true
	return res, a.judge(s, reply, refusal)
}

// exchange sends a message where the case sends it. Spoil "lost" sends it as it is and hears nothing.
func (a *attempt) exchange(ctx context.Context, s Step, msg []byte) ([]byte, string, error) {
	to := a.r.o.Target
	if a.c.Service != "" {
		to = a.r.o.Services[a.c.Service]
	}
	o := Original{Case: a.c.ID, Step: a.step, Infno: s.Send}
	if s.Spoil != "lost" {
		return a.r.sent(ctx, to, o, msg, s.Spoil)
	}
	if _, _, err := a.r.sent(ctx, to, o, msg, ""); err != nil {
		return nil, "", err
	}
	return nil, "", errors.New("按用例约定不看答复 / the answer is not looked at")
}

// broken is a fault of the case itself, or of the test data.
func (a *attempt) broken(err error) {
	a.res.Status = Fail
	a.res.Faults = append(a.res.Faults, "用例或测试数据有误: "+err.Error())
}

func (s Step) ids(c Case) []string { return append(slices.Clone(c.Verifies), s.Verifies...) }

// verdict books a check: got is "" when it held.
func (a *attempt) verdict(ids []string, wanted, got string) bool {
	a.kept.Booked = append(a.kept.Booked, Booking{ids, Evidence{a.c.ID, a.step, a.infno, wanted, got}, got != ""})
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
