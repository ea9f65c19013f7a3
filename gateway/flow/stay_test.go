package flow

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// doStay is the town's ward.
func (w *town) doStay(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
	switch n {
	case "2401":
		info := row(input, "mdtrtinfo")
		v := &townVisit{id: w.next("V"), person: text(info["psn_no"]), number: text(info["ipt_no"]), stay: true, rows: map[string]money.Fen{}}
		w.visits[v.id] = v
		return gatewaytest.Done(object{"result": object{"mdtrt_id": v.id}})
	case "5303":
		var list []any
		for _, v := range w.visits {
			if v.stay && !v.cancelled && !v.left {
				list = append(list, object{"mdtrt_id": v.id, "psn_no": v.person, "ipt_otp_no": v.number})
			}
		}
		return gatewaytest.Done(object{"data": list})
	}
	node := map[ident.Infno]string{"2301": "feedetail", "2402": "dscginfo", "2403": "adminfo"}[n]
	if node == "" {
		node = "data"
	}
	data := row(input, node)
	v := w.visits[text(data["mdtrt_id"])]
	switch {
	case v == nil:
		return gatewaytest.Refused("就诊信息不存在")
	case v.cancelled:
		return gatewaytest.Refused("该住院登记已撤销")
	}
	paid := w.paid(v.id)
	settled := false
	for _, s := range w.standingLocked(v.id) {
		settled = settled || s.rows == nil
	}
	switch n {
	case "2301":
		return w.charge(v, rows(input, node), settled)
	case "2302":
		gone := 0
		for _, r := range rows(input, node) {
			for sn := range v.rows {
				if !settled && !paid[sn] && (text(r["feedetl_sn"]) == "0000" || text(r["feedetl_sn"]) == sn) {
					delete(v.rows, sn)
					gone++
				}
			}
		}
		if gone == 0 {
			return gatewaytest.Refused("未查询到任何有效相关的记录")
		}
	case "2402":
		v.left = true
	case "2403":
		if v.left {
			return gatewaytest.Refused("已办理出院")
		}
		v.begin = text(data["adm_bed"])
	case "2405":
		switch {
		case settled:
			return gatewaytest.Refused("已结算")
		case !v.left:
			return gatewaytest.Refused("未办理出院，无需撤销")
		}
		v.left = false
	case "2404":
		if len(v.rows) > 0 || v.left {
			return gatewaytest.Refused("存在费用明细或已出院")
		}
		v.cancelled = true
	case "2305":
		return w.undo("2208", data)
	case "2303", "2304":
		return w.settleStay(n, id, v, data, settled)
	}
	return gatewaytest.Done(nil)
}

func (w *town) charge(v *townVisit, sent []object, settled bool) gatewaytest.CentreAnswer {
	for _, r := range sent {
		if _, twice := v.rows[text(r["feedetl_sn"])]; twice || settled {
			return gatewaytest.Refused("费用明细流水号重复或已结算")
		}
	}
	var list []any
	for _, r := range sent {
		f, _ := money.ParseReply(text(r["det_item_fee_sumamt"]))
		v.rows[text(r["feedetl_sn"])] = f
		list = append(list, object{"feedetl_sn": r["feedetl_sn"], "det_item_fee_sumamt": money.Number(f), "cnt": r["cnt"], "pric": r["pric"],
			"fulamt_ownpay_amt": 0, "overlmt_amt": 0, "preselfpay_amt": 0, "inscp_scp_amt": money.Number(f)})
	}
	return gatewaytest.Done(object{"result": list})
}

// paid are the rows of a stay that were settled in the middle of it.
func (w *town) paid(visit string) map[string]bool {
	paid := map[string]bool{}
	for _, s := range w.standingLocked(visit) {
		for _, sn := range s.rows {
			paid[sn] = true
		}
	}
	return paid
}

func (w *town) settleStay(n ident.Infno, id ident.MsgID, v *townVisit, data object, settled bool) gatewaytest.CentreAnswer {
	mid := text(data["mid_setl_flag"]) == "1"
	if mid && v.left {
		return gatewaytest.Refused("已办理出院，不能中途结算")
	}
	var sum money.Fen
	var took []string
	paid := w.paid(v.id)
	for sn, f := range v.rows {
		if !paid[sn] {
			sum += f
			took = append(took, sn)
		}
	}
	if total, err := money.Parse(text(data["medfee_sumamt"])); err != nil || total != sum {
		return gatewaytest.Refused("总金额与费用明细不符")
	}
	info := setlinfo(sum, v, string(id))
	if n == "2304" {
		s := &townSetl{id: w.next("S"), msgid: string(id), visit: v.id, total: sum}
		if mid {
			s.rows = took
		}
		w.setls = append(w.setls, s) // a second one is taken without a word
		info["setl_id"], info["setl_time"] = s.id, "2026-03-10 08:31:00"
	}
	return gatewaytest.Done(object{"setlinfo": info, "setldetail": []any{}})
}

var ward = gateway.Coded{Code: "A01", Name: "内科"}

func admissionOf(id string) gateway.AdmitStay {
	b := bill(id, 1)
	return gateway.AdmitStay{RequestID: id, Operator: clerk, Credential: b.Credential, Diagnoses: b.Diagnoses, Visit: gateway.StayInfo{
		Number: "IP-" + id, MedType: "21", Begin: "2026-03-02 08:00:00", Doctor: b.Visit.Doctor, Department: ward, Bed: "01",
		Operation: gateway.Coded{Code: "00.1", Name: "手术"}}}
}

func chargesOf(id, stay string, n int) gateway.ChargeStay {
	return gateway.ChargeStay{RequestID: id, ID: stay, Operator: clerk, Fees: bill(id, n).Fees}
}

func discharge(id, stay string) gateway.DischargeStay {
	return gateway.DischargeStay{RequestID: id, ID: stay, Operator: clerk, End: "2026-03-10 08:00:00", Department: ward, Way: "1",
		Diagnoses: bill("x", 1).Diagnoses, Operation: gateway.Coded{Code: "00.1", Name: "手术"}}
}

func settleOf(id, stay string) gateway.SettleStay {
	cred := bill("x", 1).Credential
	return gateway.SettleStay{RequestID: id, ID: stay, Operator: clerk, Credential: &cred}
}

func (b *bench) stayed(s gateway.Stay, err error, want gateway.StayState) gateway.Stay {
	b.t.Helper()
	if err != nil || s.State != want {
		b.t.Fatalf("%s %+v %v, want %s", s.State, s, err, want)
	}
	return s
}

func TestStay(t *testing.T) {
	for _, before := range []bool{false, true} {
		region := askingRegion()
		region.SettleBeforeDischarge = before
		b := newBench(t, region)
		s, err := b.desk.AdmitStay(bg, his, admissionOf("r1"))
		s = b.stayed(s, err, gateway.StayIn)
		s, err = b.desk.ChargeStay(bg, his, chargesOf("f1", s.ID, 101))
		if b.stayed(s, err, gateway.StayIn); s.Charged != "203.01" || s.Rows != 101 {
			t.Errorf("charged %s in %d rows", s.Charged, s.Rows)
		}
		back := gateway.ChargeStay{RequestID: "f2", ID: s.ID, Operator: clerk, Fees: bill("f2", 1).Fees}
		back.Fees[0].Quantity, back.Fees[0].Amount, back.Fees[0].RefundOf = "-2", "-2.01", "f1-0"
		s, err = b.desk.ChargeStay(bg, his, back)
		b.stayed(s, err, gateway.StayIn)
		if before {
			if _, err := b.desk.DischargeStay(bg, his, discharge("d0", s.ID)); codeOf(err) != gateway.CodeState {
				t.Errorf("discharge first: %v", err)
			}
			s, err = b.desk.SettleStay(bg, his, settleOf("s1", s.ID))
			b.stayed(s, err, gateway.StaySettled)
			s, err = b.desk.DischargeStay(bg, his, discharge("d1", s.ID))
		} else {
			if _, err := b.desk.SettleStay(bg, his, settleOf("s0", s.ID)); codeOf(err) != gateway.CodeState {
				t.Errorf("settled first: %v", err)
			}
			s, err = b.desk.DischargeStay(bg, his, discharge("d1", s.ID))
			b.stayed(s, err, gateway.StayDischarged)
			s, err = b.desk.SettleStay(bg, his, settleOf("s1", s.ID))
		}
		b.stayed(s, err, gateway.StaySettled)
		if s.Amounts == nil || s.Amounts.Total != "201.00" || len(b.town.standing("")) != 1 || s.SettlementID == "" {
			t.Errorf("settled: %+v", s)
		}
		if again, err := b.desk.SettleStay(bg, his, settleOf("s1", s.ID)); err != nil || again.SettlementID != s.SettlementID {
			t.Errorf("again: %+v %v", again, err)
		}
		if _, err := b.desk.Settlement(bg, his, s.ID); codeOf(err) != gateway.CodeNotFound {
			t.Errorf("a stay is no settlement: %v", err)
		}
		b.restart()
		s, err = b.desk.RefundStay(bg, his, gateway.RefundStay{RequestID: "x1", ID: s.ID, Operator: clerk, To: "admission"})
		b.stayed(s, err, gateway.StayCancelled)
		if len(b.town.standing("")) != 0 || !b.town.visits["V000001"].cancelled {
			t.Error("something is left at the centre")
		}
		for _, m := range b.centre.Misuse() {
			t.Error(m)
		}
	}
}

// A refused call takes the rows of the calls before it back: all rows of a request, or none.
func TestChargesAreAllOrNone(t *testing.T) {
	b := newBench(t, askingRegion())
	s, err := b.desk.AdmitStay(bg, his, admissionOf("r1"))
	s = b.stayed(s, err, gateway.StayIn)
	b.town.fault = on("2301", 2, refusing)
	got, err := b.desk.ChargeStay(bg, his, chargesOf("f1", s.ID, 150))
	if codeOf(err) != gateway.CodeCentreRefused || got.Rows != 0 || len(b.town.visits["V000001"].rows) != 0 {
		t.Fatalf("%+v %v, the centre has %d rows", got, err, len(b.town.visits["V000001"].rows))
	}
	if _, err := b.desk.ChargeStay(bg, his, chargesOf("f1", s.ID, 150)); codeOf(err) != gateway.CodeCentreRefused {
		t.Errorf("again: %v", err)
	}
	got, err = b.desk.ChargeStay(bg, his, chargesOf("f2", s.ID, 150))
	if b.stayed(got, err, gateway.StayIn); got.Rows != 150 {
		t.Errorf("%+v", got)
	}
}

// stayInsist repeats a call about a stay until it is answered for good.
func (p *patient) stayInsist(call func() (gateway.Stay, error)) (gateway.Stay, error) {
	var s gateway.Stay
	_, err := p.insist(func() (gateway.Settlement, error) {
		var err error
		s, err = call()
		return gateway.Settlement{}, err
	})
	return s, err
}

// stayLife is a stay from admission to settlement, settled anew after a refund, and taken back.
func (p *patient) stayLife() (whole bool) {
	b, t := p.b, p.b.t
	t.Helper()
	s, err := p.stayInsist(func() (gateway.Stay, error) { return b.desk.AdmitStay(bg, his, admissionOf("r1")) })
	if err != nil {
		return false
	}
	id := s.ID
	type step func() (gateway.Stay, error)
	back := func(request, to string) step {
		return func() (gateway.Stay, error) {
			return b.desk.RefundStay(bg, his, gateway.RefundStay{RequestID: request, ID: id, Operator: clerk, To: to})
		}
	}
	for i, call := range []step{
		func() (gateway.Stay, error) { return b.desk.ChargeStay(bg, his, chargesOf("f1", id, 101)) },
		func() (gateway.Stay, error) { return b.desk.DischargeStay(bg, his, discharge("d1", id)) },
		func() (gateway.Stay, error) { return b.desk.SettleStay(bg, his, settleOf("s1", id)) },
		back("x1", ""),
		func() (gateway.Stay, error) { return b.desk.SettleStay(bg, his, settleOf("s2", id)) },
		back("x2", "admission"),
	} {
		s, err := p.stayInsist(call)
		stand := b.town.standing("")
		if !s.Unknown && s.ID != "" && (s.State == gateway.StaySettled) != (len(stand) == 1) {
			t.Fatalf("call %d: told %s %v, the centre has %d", i, s.State, err, len(stand))
		}
		if s.State == gateway.StaySettled && (s.Amounts.Total != s.Charged || stand[0].total.String() != s.Charged || stand[0].id != string(s.SettlementID)) {
			t.Fatalf("call %d: told %+v, the centre has %s", i, s.Amounts, stand[0].total)
		}
		if err != nil {
			p.last = fmt.Sprint(i, " ", err, " ", s.State)
			return false
		}
	}
	return true
}

func TestStayKilledAtEveryWrite(t *testing.T) {
	for _, region := range []func() *gateway.Region{askingRegion, strictRegion} {
		for n := 1; n < 80; n++ {
			dead := false
			for variant := 0; variant < 4; variant++ {
				b := newBench(t, region())
				d := &death{at: n, stored: variant&1 != 0}
				if variant&2 != 0 {
					b.town.fault = func(ident.Infno, int) mode {
						if !d.dead && d.writes == n-1 {
							return lostOut
						}
						return fine
					}
				}
				p := &patient{b: b, deaths: []*death{d}}
				p.arm()
				if !p.stayLife() {
					parked, err := b.journal.List(bg, gateway.Query{States: []gateway.State{gateway.StateParked}})
					if err != nil || len(parked) == 0 {
						t.Fatalf("death at %d, variant %d: stopped, and nobody is asked: %v %s", n, variant, err, p.last)
					}
				}
				dead = dead || d.dead
			}
			if !dead {
				break
			}
		}
	}
}

func TestStaysBySeed(t *testing.T) {
	for seed := 0; seed < 300; seed++ {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 13))
			b := newBench(t, askingRegion())
			share := rng.IntN(4)
			modes := []mode{lostOut, lostBack, notSent, delayed, refusing, wrongMsgID}
			b.town.fault = func(n ident.Infno, _ int) mode {
				if n < "5000" && rng.IntN(12) < share {
					return modes[rng.IntN(len(modes))]
				}
				return fine
			}
			p := &patient{b: b}
			for n := rng.IntN(3); n > 0; n-- {
				p.deaths = append(p.deaths, &death{at: 1 + rng.IntN(30), stored: rng.IntN(2) == 0})
			}
			p.arm()
			p.stayLife()
		})
		if !ok {
			break
		}
	}
}

// A refund whose answer could not be kept is not told as done, and repeated it does not undo what was
// settled since.
func TestRefundOfAStayRepeatedUndoesNothingNew(t *testing.T) {
	undone := 0
	for n := 1; n < 12; n++ {
		b := newBench(t, askingRegion())
		s, err := b.desk.AdmitStay(bg, his, admissionOf("r1"))
		s = b.stayed(s, err, gateway.StayIn)
		_, err = b.desk.ChargeStay(bg, his, chargesOf("f1", s.ID, 1))
		b.stayed(s, err, gateway.StayIn)
		got, err := b.desk.DischargeStay(bg, his, discharge("d1", s.ID))
		b.stayed(got, err, gateway.StayDischarged)
		got, err = b.desk.SettleStay(bg, his, settleOf("s1", s.ID))
		b.stayed(got, err, gateway.StaySettled)
		back := gateway.RefundStay{RequestID: "x1", ID: s.ID, Operator: clerk}
		writes := 0
		b.journal.Hook(func(point string) error {
			if point == "write" {
				writes++
			}
			if point == "write" && writes == n {
				return gateway.ErrStorage
			}
			return nil
		})
		_, err = b.desk.RefundStay(bg, his, back)
		b.journal.Hook(nil)
		if n <= writes && err == nil {
			t.Errorf("write %d of %d failed, and the refund is told as done", n, writes)
		}
		if len(b.town.standing("")) > 0 { // not undone: nothing to be mistaken about
			continue
		}
		undone++
		if got, err = b.desk.SettleStay(bg, his, settleOf("s2", s.ID)); err != nil || got.State != gateway.StaySettled {
			continue // what became of the refund is still being found out
		}
		if got, err = b.desk.RefundStay(bg, his, back); err != nil || len(b.town.standing("")) != 1 {
			t.Errorf("write %d: the repeated refund left %d in force: %s %v", n, len(b.town.standing("")), got.State, err)
		}
	}
	if undone == 0 {
		t.Error("nothing was ever undone")
	}
}
