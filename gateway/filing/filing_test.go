package filing_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/filing"
	"yiqiao/gateway/flow/flowtest"
	"yiqiao/schemas/ident"
)

var bg = context.Background()

func bench(t testing.TB) (*flowtest.Bench, func() filing.Office) {
	b := flowtest.New(t, filing.Kind{})
	return b, func() filing.Office { return filing.Office{Cases: b.Desk} }
}

var details = map[gateway.FilingKind]map[string]any{
	gateway.FilingReferral: {"diag_code": "J18.900", "diag_name": "肺炎", "reflin_medins_no": "H43010000002", "reflin_medins_name": "省人民医院", "mdtrtarea_admdvs": "430100",
		"refl_type": "1", "refl_date": "2026-03-02", "refl_rea": "病情需要", "refl_opnn": "同意"},
	gateway.FilingChronic: {"opsp_dise_code": "M03900", "opsp_dise_name": "高血压", "ide_fixmedins_no": "H43010000001", "ide_fixmedins_name": "测试医院",
		"hosp_ide_date": "2026-03-01", "diag_dr_codg": "D1", "diag_dr_name": "李医生", "begndate": "2026-03-02"},
	gateway.FilingFixed: {"biz_appy_type": "03", "begndate": "2026-03-02", "fix_srt_no": "1", "fixmedins_code": "H43010000001", "fixmedins_name": "测试医院"},
}

func order(id string, k gateway.FilingKind) gateway.OpenFiling {
	return gateway.OpenFiling{RequestID: id, Operator: flowtest.Clerk, Kind: k, Details: details[k],
		Credential: gateway.Credential{Type: "02", Number: "999999199001011238"}}
}

func back(id, of string) gateway.WithdrawFiling {
	return gateway.WithdrawFiling{RequestID: id, ID: of, Operator: flowtest.Clerk, Memo: "录入有误"}
}

func TestFiledAndWithdrawn(t *testing.T) {
	for k := range details {
		b, office := bench(t)
		f, err := office().OpenFiling(bg, flowtest.Caller, order("r1", k))
		if err != nil || f.State != gateway.FilingFiled || f.Number == "" || f.Kind != k || len(f.Steps) != 2 {
			t.Fatalf("%s: %+v %v", k, f, err)
		}
		if in := b.Town.Filings()[0].In; in["psn_no"] != "P1" || k == gateway.FilingChronic && in["insu_optins"] != "430103" {
			t.Errorf("%s: sent %v", k, in)
		}
		b.Restart()
		if again, err := office().OpenFiling(bg, flowtest.Caller, order("r1", k)); err != nil || again.Number != f.Number || len(b.Town.Filings()) != 1 {
			t.Errorf("%s: %+v %v", k, again, err)
		}
		// Behind the filing's back it is not taken back, by nobody; another number is nobody's.
		undo := map[gateway.FilingKind]ident.Infno{gateway.FilingReferral: "2502", gateway.FilingChronic: "2504", gateway.FilingFixed: "2506"}[k]
		for who, want := range map[string]gateway.Code{flowtest.Caller.System: gateway.CodeState, "other": gateway.CodeNotFound} {
			caller := gateway.Caller{System: who, Institutions: flowtest.Caller.Institutions}
			low := gateway.Transact{RequestID: "l1", Infno: undo, Operator: flowtest.Clerk, InsuplcArea: "430103",
				Input: map[string]any{"data": map[string]any{"trt_dcla_detl_sn": f.Number, "psn_no": "P1", "memo": "录入有误"}}}
			_, err := b.Desk.Transact(bg, caller, low)
			var e *gateway.Error
			if flowtest.Code(err) != want || !errors.As(err, &e) || e.Path != "/input/data/trt_dcla_detl_sn" || b.Town.Calls(undo) != 0 {
				t.Errorf("%s: %s on the low-level route by %s: %v", k, undo, who, err)
			}
		}
		low := gateway.Transact{RequestID: "l2", Infno: undo, Operator: flowtest.Clerk, InsuplcArea: "430103",
			Input: map[string]any{"data": map[string]any{"trt_dcla_detl_sn": "T9", "psn_no": "P1", "memo": "录入有误"}}}
		if _, err := b.Desk.Transact(bg, flowtest.Caller, low); flowtest.Code(err) == gateway.CodeState || b.Town.Calls(undo) != 1 {
			t.Errorf("%s: %s of what is nobody's: %v", k, undo, err)
		}
		wrong := back("w0", f.ID)
		wrong.Number = "T9"
		if _, err := office().WithdrawFiling(bg, flowtest.Caller, wrong); flowtest.Code(err) != gateway.CodeRequestInvalid {
			t.Errorf("%s: another number: %v", k, err)
		}
		for range 2 {
			if w, err := office().WithdrawFiling(bg, flowtest.Caller, back("w1", f.ID)); err != nil || w.State != gateway.FilingWithdrawn || len(b.Town.Filings()) != 0 {
				t.Errorf("%s: %+v %v", k, w, err)
			}
		}
		if _, err := office().WithdrawFiling(bg, flowtest.Caller, back("w2", f.ID)); flowtest.Code(err) != gateway.CodeState {
			t.Errorf("%s: withdrawn twice: %v", k, err)
		}
		if now, err := office().OpenFiling(bg, flowtest.Caller, order("r1", k)); err != nil || now.State != gateway.FilingWithdrawn {
			t.Errorf("%s: %+v %v", k, now, err)
		}
	}
}

// A filing whose answer was lost is found by asking; its number is not, so the hospital has to give it.
func TestALostFilingIsFound(t *testing.T) {
	b, office := bench(t)
	b.Town.Fault(func(n ident.Infno, call int) flowtest.Mode {
		switch {
		case n == "2503" && call == 1:
			return flowtest.LostBack
		case n == "5301" && call == 1:
			return flowtest.LostOut
		}
		return flowtest.Fine
	})
	if _, err := office().OpenFiling(bg, flowtest.Caller, order("r1", gateway.FilingChronic)); flowtest.Code(err) != gateway.CodeOutcomeUnknown {
		t.Fatalf("%v", err)
	}
	b.Rest()
	n, err := b.Desk.Notice(bg, gateway.RequestKey{System: flowtest.System, ID: "r1"})
	if err != nil || n.Filing == nil || n.Filing.State != gateway.FilingFiled {
		t.Fatalf("no answer although nobody repeated the call: %+v %v", n, err)
	}
	f, err := office().OpenFiling(bg, flowtest.Caller, order("r1", gateway.FilingChronic))
	if err != nil || f.State != gateway.FilingFiled || f.Number != "" || b.Town.Calls("2503") != 1 {
		t.Fatalf("%+v %v", f, err)
	}
	w := back("w1", f.ID)
	if _, err := office().WithdrawFiling(bg, flowtest.Caller, w); flowtest.Code(err) != gateway.CodeRequestInvalid {
		t.Errorf("%v", err)
	}
	w.Number = b.Town.Filings()[0].Number
	if f, err := office().WithdrawFiling(bg, flowtest.Caller, w); err != nil || f.State != gateway.FilingWithdrawn {
		t.Errorf("%+v %v", f, err)
	}
}

func TestRefusals(t *testing.T) {
	b, office := bench(t)
	r := order("r1", "holiday")
	r.Details = map[string]any{"psn_no": "P2"}
	_, err := office().OpenFiling(bg, flowtest.Caller, r)
	e, _ := err.(*gateway.Error)
	if e == nil || e.Code != gateway.CodeRequestInvalid || len(e.Findings) != 2 {
		t.Fatalf("%+v", e)
	}
	r = order("r1", gateway.FilingReferral)
	r.Details = map[string]any{"refl_date": "2026-03-02", "mdtrt_cert_no": "999999199001011238"}
	if _, err := office().OpenFiling(bg, flowtest.Caller, r); flowtest.Code(err) != gateway.CodeRequestInvalid || b.Town.Calls("1101") != 0 {
		t.Errorf("a card number among what is kept: %v", err)
	}
	r = order("r2", gateway.FilingReferral)
	r.Details = map[string]any{"refl_date": "yesterday"}
	_, err = office().OpenFiling(bg, flowtest.Caller, r)
	if !errors.As(err, &e) || e.Code != gateway.CodeRequestInvalid || !strings.HasPrefix(e.Path, "/details/") {
		t.Errorf("%+v", err)
	}
	if n := b.Town.Calls("2501"); n != 0 {
		t.Errorf("%d left", n)
	}
	b.Town.Fault(flowtest.On("2505", 1, flowtest.Refusing))
	for range 2 {
		f, err := office().OpenFiling(bg, flowtest.Caller, order("r3", gateway.FilingFixed))
		if flowtest.Code(err) != gateway.CodeCentreRefused || f.State != gateway.FilingFailed || b.Town.Calls("2505") != 1 {
			t.Errorf("%+v %v", f, err)
		}
	}
	// 2508 has no evidenced fields: taking back an accident is refused, nothing is sent.
	r = order("r4", gateway.FilingAccident)
	r.Details = map[string]any{"trum_time": "2026-03-01 08:00:00", "trum_site": "家中"}
	f, err := office().OpenFiling(bg, flowtest.Caller, r)
	if err != nil || f.State != gateway.FilingFiled {
		t.Fatalf("%+v %v", f, err)
	}
	w := back("w4", f.ID)
	w.Number = "T1"
	if _, err := office().WithdrawFiling(bg, flowtest.Caller, w); flowtest.Code(err) != gateway.CodeInfnoNotDescribed {
		t.Errorf("%v", err)
	}
}

// What a HIS sends has any shape.
func TestDetailsOfAnyShape(t *testing.T) {
	_, office := bench(t)
	for i, text := range []string{`{"refl_date":{"a":1}}`, `{"":null}`, `{"a/b":[1,2]}`, `{"diag_code":null}`} {
		r := order("r"+string(rune('a'+i)), gateway.FilingReferral)
		r.Details = nil
		if err := json.Unmarshal([]byte(text), &r.Details); err != nil {
			t.Fatal(err)
		}
		if _, err := office().OpenFiling(bg, flowtest.Caller, r); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

// Killed at any write, with the message on its way lost or not: filed once, and what the HIS is told is what stands.
func TestKilledAtEveryWrite(t *testing.T) {
	for n := 1; n < 30; n++ {
		most := 0
		for variant := range 8 {
			b, office := bench(t)
			d := &flowtest.Death{At: n, Stored: variant&1 != 0}
			b.Journal.Hook(d.Hook)
			b.Town.Fault(func(infno ident.Infno, call int) flowtest.Mode {
				if variant&2 != 0 && !d.Dead() && d.Writes() == n-1 {
					return flowtest.LostOut
				}
				if variant&4 != 0 && (infno == "2503" || infno == "2504") && call == 1 {
					return flowtest.LostBack
				}
				return flowtest.Fine
			})
			var f gateway.Filing
			err := b.Insist(d, func() (err error) {
				f, err = office().OpenFiling(bg, flowtest.Caller, order("r1", gateway.FilingChronic))
				return err
			})
			stand := b.Town.Filings()
			if err != nil || len(stand) != 1 || f.State != gateway.FilingFiled || f.Number != "" && f.Number != stand[0].Number {
				t.Fatalf("write %d: %+v %v, %d stand", n, f, err, len(stand))
			}
			w := back("w1", f.ID)
			w.Number = stand[0].Number
			err = b.Insist(d, func() (err error) { f, err = office().WithdrawFiling(bg, flowtest.Caller, w); return err })
			if err != nil || f.State != gateway.FilingWithdrawn || len(b.Town.Filings()) != 0 {
				t.Fatalf("write %d: %+v %v, %d stand", n, f, err, len(b.Town.Filings()))
			}
			most = max(most, d.Writes())
			for _, m := range b.Centre.Misuse() {
				t.Error(m)
			}
		}
		if most < n {
			return
		}
	}
	t.Error("a life has more writes than that")
}

// A withdrawal nobody answered may be done: that its repeat is refused does not say that the filing stands. Refused each
// time, it is believed to be.
func TestARefusalAfterALostWithdrawalIsNotBelievedAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		first   flowtest.Mode
		refused int // of the calls that follow
		end     gateway.Code
		state   gateway.FilingState
	}{
		"done, and the centre is busy": {flowtest.LostBack, 1, "", gateway.FilingWithdrawn},
		"never done, and refused":      {flowtest.LostOut, 99, gateway.CodeCentreRefused, gateway.FilingFiled},
	} {
		b, office := bench(t)
		f, err := office().OpenFiling(bg, flowtest.Caller, order("r1", gateway.FilingChronic))
		if err != nil {
			t.Fatal(err)
		}
		b.Town.Fault(func(n ident.Infno, call int) flowtest.Mode {
			switch {
			case n == "2504" && call == 1:
				return c.first
			case n == "2504" && call <= 1+c.refused:
				return flowtest.Refusing
			}
			return flowtest.Fine
		})
		told := 0
		var w gateway.Filing
		for range 10 {
			if w, err = office().WithdrawFiling(bg, flowtest.Caller, back("w1", f.ID)); flowtest.Code(err) != gateway.CodeOutcomeUnknown {
				break
			}
			told++
			b.Rest()
		}
		if flowtest.Code(err) != c.end || w.State != c.state || told < 2 {
			t.Errorf("%s: %+v %v after %d without an outcome", name, w.State, err, told)
		}
	}
}
