package flow

import (
	"encoding/json"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

const askedID ident.MsgID = "H43010000001202603020830000042"

func unknownRecord(n ident.Infno, input object) gateway.Record {
	b, err := json.Marshal(input)
	if err != nil {
		panic(err)
	}
	return gateway.Record{ID: askedID, Institution: hospital, Infno: n, CreatedAt: dawn, State: gateway.StateUnknown, Input: b}
}

func settleRecord() gateway.Record {
	return unknownRecord("2207", object{"data": object{"psn_no": "P1", "mdtrt_id": "V1", "mdtrt_cert_no": catalog.Redacted}})
}

func asked(result string, after time.Duration) gateway.Event {
	b, _ := json.Marshal(finding{Result: result})
	return gateway.Event{Kind: gateway.EventAsked, At: dawn.Add(after), Data: b}
}

func happened(cause gateway.Cause, more ...gateway.Event) []gateway.Event {
	return append([]gateway.Event{
		{Kind: gateway.EventSent, At: dawn}, {Kind: gateway.EventUnknown, At: dawn.Add(time.Second), Cause: cause},
	}, more...)
}

func TestDecide(t *testing.T) {
	cat, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	timing := Timing{}.filled()
	settled := dawn.Add(4 * time.Minute)
	with := func(r gateway.Record, f func(*gateway.Record)) gateway.Record { f(&r); return r }
	inBill := func(r *gateway.Record) { r.Bill = "B1" }
	tooMany := happened(gateway.CauseTimeout)
	for i := 0; i < timing.AskTries; i++ {
		tooMany = append(tooMany, asked(foundUnclear, time.Duration(i)*time.Hour))
	}
	unanswered := happened(gateway.CauseTimeout)
	for i := 0; i < 100; i++ {
		unanswered = append(unanswered, asked(foundFailed, time.Duration(i)*time.Hour))
	}
	parkedState := func(r *gateway.Record) { r.State = gateway.StateParked }
	parkedBy := func(result string) gateway.Event {
		b, _ := json.Marshal(finding{Result: result})
		return gateway.Event{Kind: gateway.EventParked, At: dawn.Add(time.Hour), Ref: "R1", Data: b}
	}
	fees := unknownRecord("2204", object{"feedetail": []any{object{"psn_no": "P1", "mdtrt_id": "V1", "chrg_bchno": "C1"}}})
	register := unknownRecord("2201", object{"data": object{"psn_no": "P1", "ipt_otp_no": "OP1"}})
	refund := unknownRecord("2208", object{"data": object{"psn_no": "P1", "mdtrt_id": "V1", "setl_id": "S1"}})
	for name, c := range map[string]struct {
		rec    gateway.Record
		events []gateway.Event
		region *gateway.Region
		want   Doing
		infno  ident.Infno
		at     time.Time // zero: at once; else not before
	}{
		"settlement is asked for at once":       {settleRecord(), happened(gateway.CauseTimeout), askingRegion(), DoAsk, "5203", time.Time{}},
		"not there yet: asked again later":      {settleRecord(), happened(gateway.CauseTimeout, asked(foundEarly, time.Minute)), askingRegion(), DoAsk, "5203", dawn.Add(time.Minute + timing.AskEvery)},
		"no answer: asked again later":          {settleRecord(), happened(gateway.CauseTimeout, asked(foundUnclear, time.Minute)), askingRegion(), DoAsk, "5203", dawn.Add(time.Minute + timing.AskEvery)},
		"not there after the time: absent":      {settleRecord(), happened(gateway.CauseTimeout, asked(foundNone, 5*time.Minute)), askingRegion(), DoAbsent, "", time.Time{}},
		"mismatch is asked for":                 {settleRecord(), happened(gateway.CauseMismatch), askingRegion(), DoAsk, "5203", time.Time{}},
		"mismatch not there: reversed":          {settleRecord(), happened(gateway.CauseMismatch, asked(foundNone, 5*time.Minute)), askingRegion(), DoReverse, "2601", settled},
		"answers that say nothing: parked":      {settleRecord(), tooMany, askingRegion(), DoPark, "", time.Time{}},
		"never an answer: asked for ever":       {settleRecord(), unanswered, askingRegion(), DoAsk, "5203", dawn.Add(99 * time.Hour)},
		"parked: asked slowly":                  {with(settleRecord(), parkedState), happened(gateway.CauseTimeout, parkedBy("")), askingRegion(), DoAsk, "5203", dawn.Add(time.Hour + 5*time.Minute)},
		"parked and not there: absent":          {with(settleRecord(), parkedState), happened(gateway.CauseTimeout, parkedBy(""), asked(foundNone, 2*time.Hour)), askingRegion(), DoAbsent, "", time.Time{}},
		"untold reversal took effect":           {with(settleRecord(), parkedState), happened(gateway.CauseMismatch, parkedBy(foundUntold), asked(foundNone, 2*time.Hour)), askingRegion(), DoReversed, "", time.Time{}},
		"nobody to ask: reversed after time":    {settleRecord(), happened(gateway.CauseTimeout), strictRegion(), DoReverse, "2601", settled},
		"crash is like silence":                 {settleRecord(), happened(gateway.CauseCrash), strictRegion(), DoReverse, "2601", settled},
		"nobody to name: parked":                {unknownRecord("2207", object{"data": object{}}), happened(gateway.CauseTimeout), askingRegion(), DoPark, "", time.Time{}},
		"person cut out: parked":                {unknownRecord("2207", object{"data": object{"psn_no": catalog.Redacted}}), happened(gateway.CauseTimeout), strictRegion(), DoPark, "", time.Time{}},
		"2207A can not be reversed":             {with(settleRecord(), func(r *gateway.Record) { r.Infno = "2207A" }), happened(gateway.CauseTimeout), strictRegion(), DoPark, "", time.Time{}},
		"a question is dropped":                 {unknownRecord("5203", object{}), happened(gateway.CauseTimeout), strictRegion(), DoAbsent, "", time.Time{}},
		"a trial is dropped":                    {unknownRecord("2206", object{}), happened(gateway.CauseTimeout), strictRegion(), DoAbsent, "", time.Time{}},
		"2601 is never repeated":                {unknownRecord("2601", object{}), happened(gateway.CauseTimeout), askingRegion(), DoPark, "", time.Time{}},
		"registration is asked for":             {register, happened(gateway.CauseTimeout), strictRegion(), DoAsk, "5201", time.Time{}},
		"registration not there: again":         {register, happened(gateway.CauseTimeout, asked(foundNone, 3*time.Minute)), strictRegion(), DoAbsent, "", time.Time{}},
		"visit information may go again":        {unknownRecord("2203", object{}), happened(gateway.CauseTimeout), strictRegion(), DoAbsent, "", dawn.Add(2 * time.Minute)},
		"fee rows of a bill are undone":         {with(fees, inBill), happened(gateway.CauseTimeout), strictRegion(), DoUndo, "2205", settled},
		"fee rows of a HIS are not":             {fees, happened(gateway.CauseTimeout), strictRegion(), DoPark, "", time.Time{}},
		"fee rows without a visit are not":      {with(unknownRecord("2204", object{"feedetail": []any{object{"psn_no": "P1"}}}), inBill), happened(gateway.CauseTimeout), strictRegion(), DoPark, "", time.Time{}},
		"refund is asked for by its settlement": {refund, happened(gateway.CauseTimeout), strictRegion(), DoAsk, "5203", time.Time{}},
		"pharmacy settlement is reversed":       {unknownRecord("2102", object{"druginfo": object{"psn_no": "P1"}}), happened(gateway.CauseTimeout), askingRegion(), DoReverse, "2601", settled},
		"order for mobile payment is parked":    {unknownRecord("6201", object{}), happened(gateway.CauseTimeout), askingRegion(), DoPark, "", time.Time{}},
		"a queued upload is not the resolver's": {with(unknownRecord("2203", object{}), func(r *gateway.Record) { r.Wire = []byte("x") }), happened(gateway.CauseTimeout), strictRegion(), DoNothing, "", time.Time{}},
		"what is done stays":                    {with(settleRecord(), func(r *gateway.Record) { r.State = gateway.StateDone }), happened(gateway.CauseTimeout), strictRegion(), DoNothing, "", time.Time{}},
		"parked where nobody is asked waits":    {with(settleRecord(), parkedState), happened(gateway.CauseTimeout), strictRegion(), DoNothing, "", time.Time{}},
		"what is sent is somebody's":            {with(settleRecord(), func(r *gateway.Record) { r.State = gateway.StateSent }), happened(gateway.CauseTimeout), strictRegion(), DoNothing, "", time.Time{}},
		"a number that left the tables":         {unknownRecord("0000", object{}), happened(gateway.CauseTimeout), strictRegion(), DoPark, "", time.Time{}},
		"input that can not be read":            {with(settleRecord(), func(r *gateway.Record) { r.Input = []byte("{") }), happened(gateway.CauseTimeout), askingRegion(), DoPark, "", time.Time{}},
	} {
		a := Decide(c.rec, c.events, cat, c.region, dawn.Add(time.Minute), timing)
		if a.Do != c.want || a.Infno != c.infno {
			t.Errorf("%s: %s %s, want %s %s", name, a.Do, a.Infno, c.want, c.infno)
		}
		if a.At.Before(c.at) || c.at.IsZero() && !a.At.IsZero() {
			t.Errorf("%s: at %s, want not before %s", name, a.At, c.at)
		}
	}
}

// A centre whose clock is before ours, or behind it, has done what we ask for in the period we ask about.
func TestAPeriodHoldsWhatAnotherClockSays(t *testing.T) {
	cat, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ sent, asked, from, to string }{
		{"2026-03-02 10:00:00", "2026-03-02 10:02:00", "2026-03-02 00:00:00", "2026-03-02 23:59:59"}, // the centre may have done it at 10:20
		{"2026-03-02 00:10:00", "2026-03-02 00:12:00", "2026-03-01 00:00:00", "2026-03-02 23:59:59"},
		{"2026-03-01 23:50:00", "2026-03-01 23:52:00", "2026-03-01 00:00:00", "2026-03-02 23:59:59"},
	} {
		at := func(text string) time.Time {
			v, err := time.ParseInLocation(time.DateTime, text, gateway.China)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		rec := unknownRecord("2501", object{"refmedin": object{"psn_no": "P1", "reflin_medins_no": "H1", "refl_date": "2026-03-02"}})
		rec.CreatedAt = at(c.sent)
		a := Decide(rec, happened(gateway.CauseTimeout), cat, strictRegion(), at(c.asked), Timing{})
		if got := row(a.Input, "data"); a.Infno != "5304" || got["begntime"] != c.from || got["endtime"] != c.to {
			t.Errorf("sent %s, asked %s: %s %v", c.sent, c.asked, a.Infno, got)
		}
	}
}

func TestQuestionsAreBuiltFromWhatIsKept(t *testing.T) {
	cat, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	now := dawn.Add(90 * time.Minute)
	register := unknownRecord("2201", object{"data": object{"psn_no": "P1", "ipt_otp_no": "OP1"}})
	a := Decide(register, happened(gateway.CauseTimeout), cat, strictRegion(), now, Timing{})
	got := row(a.Input, "data")
	want := object{"psn_no": "P1", "begntime": "2026-03-02 00:00:00", "endtime": "2026-03-02 23:59:59", "med_type": "11"}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %v, want %v", k, got[k], v)
		}
	}
	r := Decide(settleRecord(), happened(gateway.CauseTimeout), cat, strictRegion(), now, Timing{})
	got = row(r.Input, "data")
	if got["omsgid"] != string(askedID) || got["oinfno"] != "2207" || got["psn_no"] != "P1" {
		t.Errorf("reversal %v", got)
	}
}

// Decide is asked again after every crash: the same arguments give the same step.
func TestDecideIsAFunction(t *testing.T) {
	cat, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	events := happened(gateway.CauseTimeout, asked(foundEarly, time.Minute), asked(foundUnclear, 2*time.Minute))
	first := Decide(settleRecord(), events, cat, askingRegion(), dawn, Timing{})
	for i := 0; i < 10; i++ {
		a := Decide(settleRecord(), events, cat, askingRegion(), dawn, Timing{})
		if a.Do != first.Do || !a.At.Equal(first.At) || a.Infno != first.Infno {
			t.Fatalf("%+v and %+v", first, a)
		}
	}
}

// No transaction of the catalogue leaves the resolver without a step, and none is concluded from
// silence before the time is up.
func TestDecideKnowsAWayForEveryTransaction(t *testing.T) {
	cat, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	for _, tx := range cat.All() {
		rec := unknownRecord(tx.Infno, object{"data": object{"psn_no": "P1", "mdtrt_id": "V1", "setl_id": "S1"}})
		a := Decide(rec, happened(gateway.CauseTimeout), cat, askingRegion(), dawn.Add(2*time.Second), Timing{})
		switch a.Do {
		case DoNothing:
			t.Errorf("%s: nothing to do", tx.Infno)
		case DoAbsent:
			if tx.Commits && a.At.Before(dawn.Add(2*time.Minute)) {
				t.Errorf("%s: absent at %s", tx.Infno, a.At)
			}
		case DoReverse, DoUndo:
			if a.At.Before(dawn.Add(2 * time.Minute)) {
				t.Errorf("%s: %s at %s", tx.Infno, a.Do, a.At)
			}
		}
	}
}

func TestFound(t *testing.T) {
	cat, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	tx, _ := cat.Lookup("2207")
	ask := &tx.Asks[0]
	rec := settleRecord()
	q := question{rec: rec, tx: tx, cat: cat, input: read(rec.Input), now: dawn}
	ours := object{"medins_setl_id": string(askedID), "setl_id": "S1", "psn_pay": json.Number("3.00"), "cash_payamt": json.Number("1.00")}
	for name, c := range map[string]struct {
		output any
		want   bool
	}{
		"ours":           {object{"setlinfo": ours}, true},
		"ours in a list": {object{"setlinfo": []any{object{"medins_setl_id": "other"}, ours}}, true},
		"another's":      {object{"setlinfo": object{"medins_setl_id": "other"}}, false},
		"no number":      {object{"setlinfo": object{"setl_id": "S1"}}, false},
		"empty":          {object{}, false},
		"null":           {nil, false},
		"odd":            {[]any{"x"}, false},
	} {
		if ok := len(q.found(ask, c.output)) > 0; ok != c.want {
			t.Errorf("%s: %v", name, ok)
		}
	}
	out := adopted(tx, ask, ours, object{"setlinfo": ours, "setldetail": []any{object{"fund_pay_type": "310100"}}, "other": 1})
	info := row(out, "setlinfo")
	if text(info["psn_part_amt"]) != "3.00" || text(info["psn_cash_pay"]) != "1.00" || text(info["setl_id"]) != "S1" {
		t.Errorf("adopted %v", info)
	}
	if len(rows(out, "setldetail")) != 1 || out.(object)["other"] != nil {
		t.Errorf("adopted %v", out)
	}
}
