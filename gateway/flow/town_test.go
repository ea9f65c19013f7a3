package flow

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

const hospital ident.Institution = "H43010000001"

var dawn = time.Date(2026, 3, 2, 8, 30, 0, 0, gateway.China)

// mode is what happens to one message on the way to the town's centre.
type mode int

const (
	fine       mode = iota
	lostOut         // never arrives; the gateway hears nothing
	lostBack        // done, the answer is lost
	notSent         // no connection
	delayed         // the gateway hears nothing; it arrives 90 s later
	refusing        // refused for a business reason
	wrongMsgID      // done, but the reply names another message
	wrongTotal      // done, but the reply has another total
	wrongSplit      // done, the total is right and the cash is not
	veryLate        // the gateway hears nothing; it arrives when its time was up long ago
)

// town is a centre that keeps books. It takes a second settlement of the same bill without a word,
// so that it is the gateway that must not send one.
type town struct {
	mu     sync.Mutex
	clock  *gatewaytest.Clock
	fault  func(n ident.Infno, call int) mode
	calls  map[ident.Infno]int
	serial int
	visits map[string]*townVisit
	setls  []*townSetl
	queue  []townLate
	signed string // the sign_no that is valid; "" when none is wanted
}

type townVisit struct {
	id, person, number string
	begin              string
	cancelled          bool
	stay, left         bool
	rows               map[string]money.Fen
	batch              map[string]string
}

type townSetl struct {
	id, msgid, visit   string
	total              money.Fen
	refunded, reversed bool
	rows               []string // of a settlement in the middle of a stay: what it took
}

type townLate struct {
	at  time.Time
	run func()
}

func newTown(clock *gatewaytest.Clock) *town {
	return &town{clock: clock, calls: map[ident.Infno]int{}, visits: map[string]*townVisit{}}
}

// standing lists the settlements that count, of one visit or of all.
func (w *town) standing(visit string) []*townSetl {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.standingLocked(visit)
}

func (w *town) standingLocked(visit string) []*townSetl {
	var list []*townSetl
	for _, s := range w.setls {
		if !s.refunded && !s.reversed && (visit == "" || s.visit == visit) {
			list = append(list, s)
		}
	}
	return list
}

func (w *town) script(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrive()
	w.calls[n]++
	m := fine
	if w.fault != nil {
		m = w.fault(n, w.calls[n])
	}
	switch m {
	case lostOut:
		return gatewaytest.Unknown(gateway.CauseTimeout)
	case notSent:
		return gatewaytest.CentreAnswer{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseNotSent}
	case refusing:
		return gatewaytest.Refused("业务校验不通过")
	case veryLate:
		w.queue = append(w.queue, townLate{w.clock.Now().Add(20 * time.Minute), func() { w.do(n, id, input) }})
		return gatewaytest.Unknown(gateway.CauseCut)
	case delayed:
		w.queue = append(w.queue, townLate{w.clock.Now().Add(90 * time.Second), func() { w.do(n, id, input) }})
		return gatewaytest.Unknown(gateway.CauseCut)
	}
	a := w.do(n, id, input)
	if a.Outcome == gateway.OutcomeDone {
		info := row(a.Output, "setlinfo")
		switch m {
		case lostBack:
			a.Lost = true
		case wrongMsgID:
			if info != nil {
				info["medins_setl_id"] = "somebody else's"
			}
		case wrongSplit:
			if info != nil {
				info["psn_cash_pay"] = "0.02"
			}
		case wrongTotal:
			if info != nil {
				info["medfee_sumamt"] = "0.01"
			}
		}
	}
	return a
}

// arrive carries out what was delayed.
func (w *town) arrive() {
	rest := w.queue[:0]
	for _, l := range w.queue {
		if w.clock.Now().Before(l.at) {
			rest = append(rest, l)
			continue
		}
		l.run()
	}
	w.queue = rest
}

func (w *town) next(prefix string) string {
	w.serial++
	return fmt.Sprintf("%s%06d", prefix, w.serial)
}

func (w *town) do(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
	data := row(input, "data")
	switch n {
	case "9001":
		w.signed = w.next("SIGN")
		return gatewaytest.Done(object{"signinoutb": object{"sign_no": w.signed, "sign_time": "2026-03-02 08:30:00"}})
	case "1101":
		return gatewaytest.Done(object{
			"baseinfo": object{"psn_no": "P1", "psn_name": "张三", "certno": "999999199001011238"},
			"insuinfo": []any{
				object{"insutype": "390", "psn_insu_stas": "2", "insuplc_admdvs": "430199", "balc": 0},
				object{"insutype": "310", "psn_insu_stas": "1", "insuplc_admdvs": "430103", "balc": json.Number("500.00")},
			},
		})
	case "2001":
		return gatewaytest.Done(object{"trtinfo": []any{}})
	case "2201":
		v := &townVisit{id: w.next("V"), person: text(data["psn_no"]), number: text(data["ipt_otp_no"]), begin: text(data["begntime"]),
			rows: map[string]money.Fen{}, batch: map[string]string{}}
		w.visits[v.id] = v
		return gatewaytest.Done(object{"data": object{"mdtrt_id": v.id, "psn_no": v.person, "ipt_otp_no": v.number}})
	case "2203", "2203A":
		return gatewaytest.Done(nil)
	case "2204":
		return w.fees(input)
	case "2206", "2207":
		return w.settle(n, id, data)
	case "2208", "2205", "2202", "2601":
		return w.undo(n, data)
	case "5201":
		var list []any
		for _, v := range w.visits {
			if v.person == text(data["psn_no"]) && !v.cancelled {
				list = append(list, object{"mdtrt_id": v.id, "psn_no": v.person, "ipt_otp_no": v.number, "begntime": v.begin})
			}
		}
		return gatewaytest.Done(object{"mdtrtinfo": list})
	case "5203":
		return w.lookUp(data)
	case "2401", "2301", "2302", "2402", "2403", "2405", "2404", "2303", "2304", "2305", "5303":
		return w.doStay(n, id, input)
	}
	return gatewaytest.Done(nil)
}

func (w *town) fees(input any) gatewaytest.CentreAnswer {
	var list []any
	sent := rows(input, "feedetail")
	for _, r := range sent {
		v := w.visits[text(r["mdtrt_id"])]
		if v == nil || v.cancelled {
			return gatewaytest.Refused("就诊信息不存在")
		}
		if _, twice := v.rows[text(r["feedetl_sn"])]; twice {
			return gatewaytest.Refused("费用明细流水号重复")
		}
	}
	for _, r := range sent {
		v := w.visits[text(r["mdtrt_id"])]
		f, _ := money.Parse(text(r["det_item_fee_sumamt"]))
		sn := text(r["feedetl_sn"])
		v.rows[sn], v.batch[sn] = f, text(r["chrg_bchno"])
		list = append(list, object{"feedetl_sn": sn, "det_item_fee_sumamt": money.Number(f), "cnt": r["cnt"], "pric": r["pric"],
			"fulamt_ownpay_amt": 0, "overlmt_amt": 0, "preselfpay_amt": 0, "inscp_scp_amt": money.Number(f)})
	}
	return gatewaytest.Done(object{"result": list})
}

func (w *town) settle(n ident.Infno, id ident.MsgID, data object) gatewaytest.CentreAnswer {
	v := w.visits[text(data["mdtrt_id"])]
	if v == nil || v.cancelled {
		return gatewaytest.Refused("就诊信息不存在")
	}
	var sum money.Fen
	for sn, f := range v.rows {
		if v.batch[sn] == text(data["chrg_bchno"]) {
			sum += f
		}
	}
	if total, err := money.Parse(text(data["medfee_sumamt"])); err != nil || total != sum {
		return gatewaytest.Refused("总金额与费用明细不符")
	}
	info := setlinfo(sum, v, string(id))
	if n == "2207" {
		s := &townSetl{id: w.next("S"), msgid: string(id), visit: v.id, total: sum}
		w.setls = append(w.setls, s)
		info["setl_id"], info["setl_time"] = s.id, "2026-03-02 08:31:00"
	}
	return gatewaytest.Done(object{"setlinfo": info, "setldetail": []any{
		object{"fund_pay_type": "310100", "fund_pay_type_name": "统筹基金", "fund_payamt": money.Number(sum / 2)},
	}})
}

func setlinfo(total money.Fen, v *townVisit, msgid string) object {
	fund := total / 2
	return object{
		"psn_no": v.person, "mdtrt_id": v.id, "medins_setl_id": msgid, "medfee_sumamt": money.Number(total),
		"fulamt_ownpay_amt": json.Number("0.00"), "overlmt_selfpay": json.Number("0"), "preselfpay_amt": json.Number("0"),
		"inscp_scp_amt": money.Number(total), "hifp_pay": money.Number(fund), "fund_pay_sumamt": money.Number(fund),
		"psn_part_amt": money.Number(total - fund), "acct_pay": json.Number("0"), "psn_cash_pay": money.Number(total - fund),
		"hosp_part_amt": json.Number("0"), "cvlserv_pay": 0, "hifes_pay": 0, "hifmi_pay": 0, "hifob_pay": 0, "maf_pay": 0,
		"oth_pay": 0, "balc": json.Number("500.00"),
	}
}

func (w *town) undo(n ident.Infno, data object) gatewaytest.CentreAnswer {
	v := w.visits[text(data["mdtrt_id"])]
	switch n {
	case "2601":
		for _, s := range w.setls {
			if s.msgid == text(data["omsgid"]) && !s.reversed && !s.refunded {
				s.reversed = true
				return gatewaytest.Done(nil)
			}
		}
		return gatewaytest.Refused("未查询到原交易")
	case "2208":
		for _, s := range w.setls {
			if s.id != text(data["setl_id"]) {
				continue
			}
			if s.refunded || s.reversed {
				return gatewaytest.Refused("该笔结算已撤销")
			}
			s.refunded = true
			return gatewaytest.Done(object{"setlinfo": object{"setl_id": w.next("R"), "medfee_sumamt": money.Number(-s.total)}})
		}
		return gatewaytest.Refused("未查询到结算信息")
	case "2205":
		gone := 0
		for sn := range v.rows {
			if len(w.standingLocked(v.id)) == 0 && v.batch[sn] == text(data["chrg_bchno"]) {
				delete(v.rows, sn)
				gone++
			}
		}
		if gone == 0 {
			return gatewaytest.Refused("未查询到任何有效相关的记录")
		}
		return gatewaytest.Done(nil)
	}
	if v.cancelled {
		return gatewaytest.Refused("挂号已撤销")
	}
	if len(v.rows) > 0 {
		return gatewaytest.Refused("存在未撤销的费用明细")
	}
	v.cancelled = true
	return gatewaytest.Done(nil)
}

func (w *town) lookUp(data object) gatewaytest.CentreAnswer {
	var hit *townSetl
	for _, s := range w.setls {
		if id := text(data["setl_id"]); id != "" && s.id == id {
			hit = s
		}
		if text(data["setl_id"]) == "" && s.visit == text(data["mdtrt_id"]) && !s.refunded && !s.reversed {
			hit = s
		}
	}
	if hit == nil {
		return gatewaytest.Refused("未查询到结算信息")
	}
	info := setlinfo(hit.total, w.visits[hit.visit], hit.msgid)
	info["setl_id"], info["setl_time"], info["refd_setl_flag"] = hit.id, "2026-03-02 08:31:00", "0"
	if hit.refunded {
		info["refd_setl_flag"] = "1"
	}
	info["psn_pay"], info["cash_payamt"] = info["psn_part_amt"], info["psn_cash_pay"]
	delete(info, "psn_part_amt")
	delete(info, "psn_cash_pay")
	return gatewaytest.Done(object{"setlinfo": info})
}

// bench is a desk with everything around it.
type bench struct {
	t       testing.TB
	clock   *gatewaytest.Clock
	town    *town
	centre  *gatewaytest.Centre
	journal *gatewaytest.MemJournal
	region  *gateway.Region
	inst    *gateway.Institution
	desk    *Desk
}

var his = gateway.Caller{System: "his", Institutions: []ident.Institution{hospital}}

func askingRegion() *gateway.Region {
	r := strictRegion()
	r.Capabilities = []string{"5203-by-visit"}
	return r
}

// strictRegion does not answer 5203 without a setl_id: an unknown settlement is reversed there.
func strictRegion() *gateway.Region {
	return &gateway.Region{
		Code: "test", NotFound: []string{"未查询到"}, SignExpired: []string{"签到已失效"},
		NothingToUndo: map[ident.Infno][]string{
			"2208": {"该笔结算已撤销"}, "2205": {"未查询到任何有效相关的记录"}, "2202": {"挂号已撤销"},
			"2305": {"该笔结算已撤销"}, "2302": {"未查询到任何有效相关的记录"}, "2404": {"该住院登记已撤销"}, "2405": {"未办理出院，无需撤销"},
		},
	}
}

var shared = sync.OnceValues(func() (*catalog.Catalog, error) { return catalog.Default() })

var checkers = sync.OnceValues(func() (*check.Checker, error) {
	cat, err := shared()
	if err != nil {
		return nil, err
	}
	return check.New(cat, check.Options{})
})

func newBench(t testing.TB, region *gateway.Region) *bench {
	t.Helper()
	b := &bench{t: t, clock: gatewaytest.NewClock(dawn), journal: gatewaytest.NewJournal(), region: region}
	b.town = newTown(b.clock)
	b.centre = gatewaytest.NewCentre(b.town.script)
	b.inst = &gateway.Institution{Code: hospital, Name: "测试医院", Area: "430100", Receiver: "YBXT", Version: "V1.0", Region: region}
	b.desk = b.newDesk()
	return b
}

// newDesk is a program started anew over the same journal and the same centre.
func (b *bench) newDesk() *Desk {
	b.t.Helper()
	cat, err := shared()
	if err != nil {
		b.t.Fatal(err)
	}
	ch, err := checkers()
	if err != nil {
		b.t.Fatal(err)
	}
	d, err := New(Options{
		Journal: b.journal, Centre: func(ident.Institution) gateway.Centre { return b.centre },
		Institutions: map[ident.Institution]*gateway.Institution{hospital: b.inst},
		Catalog:      cat, Check: func(*gateway.Region) *check.Checker { return ch }, Clock: b.clock, Digest: digest, Workers: 1,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

func (b *bench) restart() {
	b.t.Helper()
	b.desk.work.Wait()
	b.desk = b.newDesk()
	if err := b.desk.Recover(context.Background()); err != nil {
		b.t.Fatal(err)
	}
}

// rest lets time pass until the resolver has nothing left to do, or gives up after a day.
func (b *bench) rest() {
	b.t.Helper()
	for i := 0; i < 200; i++ {
		b.clock.Advance(20 * time.Second << min(i/8, 6))
		if err := b.desk.tick(context.Background()); err != nil {
			b.t.Fatal(err)
		}
		b.desk.work.Wait()
		open, err := b.journal.List(context.Background(), gateway.Query{
			States: []gateway.State{gateway.StateSent, gateway.StateUnknown, gateway.StatePrepared}, Limit: 1,
		})
		if err != nil {
			b.t.Fatal(err)
		}
		if len(open) == 0 {
			return
		}
	}
	b.t.Fatal("something is never resolved")
}

func digest(parts ...[]byte) [32]byte {
	h := hmac.New(sha256.New, []byte("test"))
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

var clerk = gateway.Operator{ID: "0101", Name: "李四"}

func bill(id string, fees int) gateway.OpenSettlement {
	doctor, dept := gateway.Coded{Code: "D430100000001", Name: "王医生"}, gateway.Coded{Code: "A01", Name: "内科"}
	r := gateway.OpenSettlement{
		RequestID: id, Operator: clerk,
		Credential: gateway.Credential{Type: "02", Number: "999999199001011238"},
		Visit: gateway.VisitInfo{Number: "OP-" + id, MedType: "11", Begin: "2026-03-02 08:00:00", Doctor: doctor,
			Department: dept, Caty: "A03"},
		Diagnoses: []gateway.Diagnosis{{Type: "1", Code: "J06.900", Name: "急性上呼吸道感染", Department: "内科", Doctor: doctor, Time: "2026-03-02 08:10:00"}},
	}
	for i := 0; i < fees; i++ {
		r.Fees = append(r.Fees, gateway.Fee{
			ID: fmt.Sprintf("%s-%d", id, i), Code: "XA01", LocalCode: "L01", Quantity: "2", Price: "1.005", Amount: "2.01",
			Time: "2026-03-02 08:20:00", Department: dept, Doctor: doctor,
		})
	}
	r.Total = money.Fen(201 * fees).String()
	return r
}

func codeOf(err error) gateway.Code {
	if e, ok := err.(*gateway.Error); ok {
		return e.Code
	}
	return ""
}

// on gives a fault plan: the nth message of a number, n from 1.
func on(n ident.Infno, nth int, m mode) func(ident.Infno, int) mode {
	return func(x ident.Infno, call int) mode {
		if x == n && call == nth {
			return m
		}
		return fine
	}
}
