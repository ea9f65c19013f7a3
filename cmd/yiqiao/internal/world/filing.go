package world

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/draft"
	"yiqiao/gateway/filing"
	"yiqiao/gateway/flow"
	"yiqiao/schemas/ident"
)

// What a hospital files for a person, and takes back.

const (
	opFile     = "file"
	opWithdraw = "withdraw"
)

// paper is a filing of a HIS.
type paper struct {
	in     gateway.OpenFiling
	number string // the HIS has asked the office for it
}

// newFiling makes one. No two are alike: another one that looks the same is not filed twice in a town.
func (w *World) newFiling(n int, c *cashier) *bill {
	p := w.people[w.cases.IntN(len(w.people))]
	day := dawn().AddDate(0, 0, -n).Format(time.DateOnly)
	code, name := c.place.Code, c.place.Name
	kinds := []struct {
		kind    gateway.FilingKind
		details object
	}{
		{gateway.FilingReferral, object{"diag_code": "J18.900", "diag_name": "肺炎", "reflin_medins_no": "H43010000002", "reflin_medins_name": "省人民医院",
			"mdtrtarea_admdvs": "430100", "refl_type": "1", "refl_date": day, "refl_rea": "病情需要", "refl_opnn": "同意"}},
		{gateway.FilingChronic, object{"opsp_dise_code": fmt.Sprintf("M%05d", n), "opsp_dise_name": "高血压", "ide_fixmedins_no": code,
			"ide_fixmedins_name": name, "hosp_ide_date": day, "diag_dr_codg": "D1", "diag_dr_name": "李医生", "begndate": day}},
		{gateway.FilingFixed, object{"biz_appy_type": "03", "begndate": day, "fix_srt_no": fmt.Sprint(n), "fixmedins_code": code, "fixmedins_name": name}},
		{gateway.FilingAccident, object{"trum_time": day + " 08:00:00", "trum_site": fmt.Sprintf("厂区%d", n)}},
	}
	k := kinds[min(w.cases.IntN(10)/3, 3)]
	b := &bill{c: c, name: fmt.Sprintf("%d-f%d", w.opt.Seed, n), person: p}
	b.open.Credential = credential(w.cases, p)
	b.paper = &paper{in: gateway.OpenFiling{RequestID: "o" + b.name, Institution: ident.Institution(code), Operator: c.oper,
		Credential: b.open.Credential, Kind: k.kind, Details: k.details}}
	w.papers = append(w.papers, b)
	return b
}

func (b *bill) paperwork(op, id string, do func(context.Context, filing.Office) (gateway.Filing, error)) *request {
	return b.add(&request{op: op, id: id, key: b.name, do: func(ctx context.Context, d *flow.Desk) (answer, error) {
		f, err := do(ctx, filing.Office{Cases: d})
		return answer{filing: f}, err
	}})
}

func (b *bill) filing() *request {
	return b.paperwork(opFile, b.paper.in.RequestID, func(ctx context.Context, o filing.Office) (gateway.Filing, error) {
		return o.OpenFiling(ctx, b.c.caller, b.paper.in)
	})
}

func (b *bill) withdrawing(tag string) *request {
	in := gateway.WithdrawFiling{RequestID: "w" + tag + b.name, ID: b.id, Operator: b.c.oper, Memo: "录入有误", Number: b.paper.number}
	return b.paperwork(opWithdraw, in.RequestID, func(ctx context.Context, o filing.Office) (gateway.Filing, error) {
		return o.WithdrawFiling(ctx, b.c.caller, in)
	})
}

// file hands a filing in, and now and then takes it back.
func (c *cashier) file(b *bill) {
	c.w.tally.Filings++
	open := b.filing()
	if !c.insist(open, 8) || open.told == nil || b.id == "" || !c.w.s.chance(400) {
		return
	}
	c.pause(time.Second, 10*time.Minute)
	r := b.withdrawing("1")
	if c.chance(100) {
		c.w.count("his-double-click")
		c.ask(5*time.Minute, r, b.withdrawing("2"))
	}
	if !c.insist(r, 8) || r.err == nil || !numberNeeded(r.err) {
		return
	}
	c.w.count("his-number-asked")
	for _, f := range c.w.sim.Filings() {
		if f.MsgID == string(open.told.filing.MsgID) {
			b.paper.number = f.Number
		}
	}
	c.insist(b.withdrawing("3"), 8)
}

func numberNeeded(err error) bool {
	var e *gateway.Error
	return errors.As(err, &e) && len(e.Findings) > 0 && e.Findings[0].Code == draft.NumberNeeded
}

// filings holds every filing of the centre against the journal, and what the HIS were told against both.
func (w *World) filings(b *books) {
	inForce := map[string]int{}
	for _, f := range w.sim.Filings() {
		r := b.byID[ident.MsgID(f.MsgID)]
		if r == nil {
			w.violate("unknown-to-journal", "the centre has the filing %s, the journal no record of it", f.MsgID)
			continue
		}
		if f.Withdrawn || r.State == gateway.StateParked {
			continue
		}
		if inForce[r.Bill]++; inForce[r.Bill] > 1 {
			w.violate("filed-twice", "%s", r.Bill)
		}
		if r.State != gateway.StateDone {
			w.violate("one-sided", "the filing %s is in force at the centre and %s here", f.MsgID, r.State)
		}
	}
	d := w.procs[0].desk
	for _, x := range w.papers {
		if x.id == "" || b.parked[x.id] || d == nil {
			continue
		}
		f, err := filing.Office{Cases: d}.Filing(bg(), x.c.caller, x.id)
		if err != nil {
			w.violate("no-view", "%s: %v", x.id, err)
			continue
		}
		filed, back := x.filedByHIS()
		switch there := inForce[x.id] > 0; {
		case there != (f.State == gateway.FilingFiled):
			w.violate("filed", "%s is %s here, in force at the centre: %t", x.id, f.State, there)
		case there && back, !there && filed && !back:
			w.violate("filed", "the HIS was told that %s is filed (%t) and withdrawn (%t), in force at the centre: %t", x.id, filed, back, there)
		case f.Unknown:
			w.violate("still-unknown", "%s says its outcome is unknown", x.id)
		}
	}
}

// filedByHIS is what the HIS was told.
func (b *bill) filedByHIS() (filed, withdrawn bool) {
	told := func(op string) bool {
		return slices.ContainsFunc(b.requests, func(r *request) bool { return r.op == op && r.told != nil })
	}
	return told(opFile), told(opWithdraw)
}
