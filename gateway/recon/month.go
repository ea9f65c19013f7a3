package recon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// Month rolls up the days of a month out of the reports that were kept; nothing is sent. The journal
// is added up again for the whole month and held against the days.
type Month struct {
	Institution ident.Institution `json:"institution"`
	Name        string            `json:"name"`
	Month       string            `json:"month"` // yyyy-MM
	MadeAt      time.Time         `json:"made_at"`
	Days        []Day             `json:"days"`
	Journal     Amounts           `json:"journal"` // what the journal says of these days now
	Reported    Amounts           `json:"reported"`
	Changed     []string          `json:"changed"` // days on which the journal has moved since their last report
	Missing     []string          `json:"missing"` // days that are over and were not reconciled
	Balanced    bool              `json:"balanced"`
	// Clearing is what the journal has of the month for an application for clearing (3203), which
	// people make: a second one is a second application.
	Clearing []Clearing `json:"clearing"`
}

// Clearing is a sum of a month by agency, way and type of clearing.
type Clearing struct {
	Agency  string  `json:"clr_optins"`
	ClrWay  string  `json:"clr_way,omitempty"`
	ClrType string  `json:"clr_type"`
	Ours    Amounts `json:"ours"`
	Cash    string  `json:"psn_cash_pay"`
}

// clearing adds the counted rows of the days up.
func (w *work) clearing(rows []*row) []Clearing {
	type key struct{ agency, way, kind string }
	sums, cash := map[key]Amounts{}, map[key]money.Fen{}
	for _, r := range rows {
		k := key{w.agency(r), r.dim("clr_way"), r.dim("clr_type")}
		sums[k] = sums[k].plus(r.amounts)
		cash[k] += r.cash
	}
	list := make([]Clearing, 0, len(sums))
	for k, a := range sums {
		list = append(list, Clearing{k.agency, k.way, k.kind, a, cash[k].String()})
	}
	slices.SortFunc(list, func(a, b Clearing) int {
		return strings.Compare(a.Agency+"/"+a.ClrWay+"/"+a.ClrType, b.Agency+"/"+b.ClrWay+"/"+b.ClrType)
	})
	return list
}

// Day is the last finished report of a day.
type Day struct {
	Date        string  `json:"date"`
	Run         string  `json:"run,omitempty"`
	Runs        int     `json:"runs"`
	Balanced    bool    `json:"balanced"`
	Ours        Amounts `json:"ours"`
	Difference  Amounts `json:"difference"`
	Differences int     `json:"differences"`
	Unexplained int     `json:"unexplained"`
}

// RollUp makes the month that begins at first.
func (r *Reconciler) RollUp(ctx context.Context, code ident.Institution, first time.Time) (Month, error) {
	inst := r.opt.Institutions[code]
	if inst == nil || inst.Region == nil {
		return Month{}, &gateway.Error{Code: gateway.CodeInstitution, Op: "recon.month"}
	}
	first = first.In(gateway.China)
	first = time.Date(first.Year(), first.Month(), 1, 0, 0, 0, 0, gateway.China)
	now := r.opt.Clock.Now().In(gateway.China)
	m := Month{Institution: code, Name: inst.Name, Month: first.Format("2006-01"), MadeAt: now, Balanced: true}
	if now.Before(first) {
		return m, fmt.Errorf("recon: %s has not begun", m.Month)
	}
	b, err := r.load(ctx, code, first.AddDate(0, 0, -1))
	if err != nil {
		return m, err
	}
	w := &work{r: r, inst: inst, form: inst.Region.Statement.Filled(), book: b}
	var rows []*row
	for at := first; at.Month() == first.Month() && !at.After(now); at = at.AddDate(0, 0, 1) {
		d, err := r.day(at.Format(time.DateOnly), code)
		if err != nil {
			return m, err
		}
		var sum Amounts
		counted := b.counted(d.Date, w.form.NoRefunds)
		rows = append(rows, counted...)
		for _, one := range counted {
			sum = sum.plus(w.fixed(one.amounts))
		}
		m.Journal = m.Journal.plus(sum)
		over := d.Date < dayOf(now)
		switch {
		case d.Run == "" && over:
			m.Missing = append(m.Missing, d.Date)
		case d.Run != "" && d.Ours != sum:
			m.Changed = append(m.Changed, d.Date)
		}
		m.Balanced = m.Balanced && (d.Balanced && d.Ours == sum || !over && d.Run == "")
		m.Reported = m.Reported.plus(d.Ours)
		m.Days = append(m.Days, d)
	}
	m.Clearing = w.clearing(rows)
	return m, nil
}

// day sums up the last finished report of a day.
func (r *Reconciler) day(date string, code ident.Institution) (Day, error) {
	d := Day{Date: date}
	list, _, err := r.opt.Archive.Day(date, code)
	if err != nil {
		return d, err
	}
	d.Runs = len(list)
	for _, rep := range list {
		if rep.Failed == "" && !rep.Offline {
			d.Run, d.Balanced, d.Ours, d.Difference = rep.Run, rep.Balanced, rep.Centre.Ours, rep.Centre.Difference
			d.Differences, d.Unexplained = len(rep.Differences), len(rep.Unexplained)
		}
	}
	return d, nil
}
