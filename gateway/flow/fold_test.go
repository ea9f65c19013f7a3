package flow

import (
	"strings"
	"testing"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// history writes a bill's records as "2201=done 2204#2=unknown 2205=refused:text".
func historyOf(t *testing.T, words string) []gateway.Record {
	t.Helper()
	var recs []gateway.Record
	for i, w := range strings.Fields(words) {
		step, state, ok := strings.Cut(w, "=")
		if !ok {
			t.Fatalf("word %q", w)
		}
		rec := gateway.Record{ID: ident.MsgID(string(rune('a' + i))), Step: step}
		base, _, _ := strings.Cut(step, "#")
		if base == stepUndo || base == stepReverse {
			base = map[string]string{stepUndo: "2205", stepReverse: "2601"}[base]
		} else if base == step {
			rec.Step += "#1"
		}
		rec.Infno = ident.Infno(base)
		state, msg, _ := strings.Cut(state, ":")
		if state == "notsent" {
			state, rec.Cause = "refused", gateway.CauseNotSent
		}
		rec.State = gateway.State(state)
		if msg != "" {
			rec.Output = []byte(`{"infcode":"-1","err_msg":"` + msg + `"}`)
		}
		recs = append(recs, rec)
	}
	return recs
}

func TestBillState(t *testing.T) {
	const up = "1101=done 2201=done 2203=done 2204#1=done 2206=done "
	for words, c := range map[string]struct {
		m    marks
		want gateway.BillState
	}{
		"":                                {marks{}, gateway.BillOpening},
		"1101=done":                       {marks{}, gateway.BillOpening},
		"1101=refused":                    {marks{}, gateway.BillFailed},
		"1101=notsent":                    {marks{}, gateway.BillOpening},
		"1101=done 2201=unknown":          {marks{}, gateway.BillOpening},
		"1101=done 2201=parked":           {marks{}, gateway.BillOpening},
		"1101=done 2201=absent":           {marks{}, gateway.BillOpening},
		"1101=done 2201=done":             {marks{dead: true}, gateway.BillFailed},
		up:                                {marks{}, gateway.BillPresettled},
		up + " ":                          {marks{closed: true}, gateway.BillRefunding},
		up + "2207=sent":                  {marks{}, gateway.BillSettling},
		up + "2207=unknown":               {marks{}, gateway.BillSettling},
		up + "2207=parked":                {marks{}, gateway.BillSettling},
		up + "2207=notsent":               {marks{}, gateway.BillPresettled},
		up + "2207=refused":               {marks{}, gateway.BillPresettled},
		up + "2207=absent":                {marks{}, gateway.BillPresettled},
		up + "2207=reversed":              {marks{}, gateway.BillPresettled},
		up + "2207=done":                  {marks{}, gateway.BillSettled},
		up + "2207=absent 2207=done":      {marks{}, gateway.BillSettled},
		up + "2207=reversed reverse=done": {marks{}, gateway.BillPresettled},
		up + "2207=done 2208=unknown":     {marks{}, gateway.BillRefunding},
		up + "2207=done 2208=refused:不行":  {marks{}, gateway.BillSettled},
		up + "2207=done 2208=notsent":     {marks{}, gateway.BillSettled},
		up + "2207=done 2208=absent":      {marks{}, gateway.BillSettled},
		up + "2207=done 2208=done":        {marks{}, gateway.BillRefunding},
		up + "2207=done 2208=refused:该笔结算已撤销":                      {marks{}, gateway.BillRefunding},
		up + "2207=done 2208=done 2205=done":                       {marks{}, gateway.BillRefunding},
		up + "2207=done 2208=done 2205=done 2202=unknown":          {marks{}, gateway.BillRefunding},
		up + "2207=done 2208=done 2205=done 2202=done":             {marks{}, gateway.BillRefunded},
		up + "2207=done 2208=done 2205=refused:不行 2202=refused:不行": {marks{}, gateway.BillRefunded},
		up + "2205=done":            {marks{}, gateway.BillOpening},
		up + "2205=done 2202=done":  {marks{}, gateway.BillFailed},
		up + "2205=done 2202=done ": {marks{closed: true}, gateway.BillCancelled},
		"1101=done ":                {marks{closed: true}, gateway.BillCancelled},
		"1101=done 2201=done 2203=done 2204#1=done 2204#2=refused:不行":         {marks{}, gateway.BillFailed},
		"1101=done 2201=done 2204#1=done 2204#2=reversed undo=done 2206=done": {marks{}, gateway.BillPresettled},
	} {
		if got := billState(fold(historyOf(t, words), askingRegion()), c.m); got != c.want {
			t.Errorf("%q %+v: %s, want %s", words, c.m, got, c.want)
		}
	}
}

// An undo of fee rows takes all of them back, whoever made it.
func TestFoldForgetsWhatWasUndone(t *testing.T) {
	for _, undo := range []string{"2205=done", "undo=done", "2205=refused:未查询到任何有效相关的记录"} {
		s := fold(historyOf(t, "2201=done 2204#1=done 2204#2=unknown 2206=done "+undo), askingRegion())
		if s.any(stepFees, stands, pending) || s.is(stepTrial, stands) || !s.is(stepRegister, stands) {
			t.Errorf("%s: %+v", undo, s.last)
		}
		if s.attempts["2204#1"] != 1 {
			t.Errorf("%s: attempts are counted for ever: %v", undo, s.attempts)
		}
	}
	s := fold(historyOf(t, "2201=done 2204#1=done 2205=refused:不行"), askingRegion())
	if !s.any(stepFees, stands) {
		t.Error("a refused undo undid something")
	}
	s = fold(historyOf(t, "2201=done 2204#1=done undo=done 2204#1=done"), askingRegion())
	if !s.any(stepFees, stands) || s.attempts["2204#1"] != 2 {
		t.Error("what was uploaded after an undo does not count")
	}
}
