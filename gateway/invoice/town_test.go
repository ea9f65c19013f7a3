package invoice

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/gateway/invoice/bill"
	"yiqiao/gateway/invoice/book"
	"yiqiao/gateway/invoice/identity"
	"yiqiao/gateway/store"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

var bg = context.Background()

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, gateway.China)

const hospital ident.Institution = "H44010000001"

var his = gateway.Caller{System: "his", Institutions: []ident.Institution{hospital}}

// killed is what a process dies of.
type killed struct{}

// made is a bill as the platform of these tests has it.
type made struct {
	gateway.PlatformBill
	at     time.Time
	posted bool
	order  int
}

// platform keeps bills in memory and fails as it is told. Only the methods these tests need do
// anything; unconnected answers for the rest.
type platform struct {
	mu     sync.Mutex
	clock  *gatewaytest.Clock
	bills  map[string]*made
	serial int
	down   bool
	fault  func(call string) string // "", lose, lost, late, kill-before, kill-after
	late   []func()
	sent   map[string]int // busNo -> messages
	paper  int
}

func newPlatform(c *gatewaytest.Clock) *platform {
	return &platform{clock: c, bills: map[string]*made{}, sent: map[string]int{}, fault: func(string) string { return "" }}
}

func (p *platform) Name() string { return "test" }

// through runs a call with what goes wrong around it.
func through[T any](p *platform, call string, do func() gateway.InvoiceAnswer[T]) gateway.InvoiceAnswer[T] {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return gateway.InvoiceAnswer[T]{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseNotSent}
	}
	switch p.fault(call) {
	case "lose":
		do()
		return gateway.InvoiceAnswer[T]{Cause: gateway.CauseTimeout}
	case "lost":
		return gateway.InvoiceAnswer[T]{Cause: gateway.CauseCut}
	case "late":
		p.late = append(p.late, func() { do() })
		return gateway.InvoiceAnswer[T]{Cause: gateway.CauseTimeout}
	case "kill-before":
		panic(killed{})
	case "kill-after":
		do()
		panic(killed{})
	}
	return do()
}

func done[T any](v T) gateway.InvoiceAnswer[T] {
	return gateway.InvoiceAnswer[T]{Outcome: gateway.OutcomeDone, Value: v}
}

func no[T any](text string) gateway.InvoiceAnswer[T] {
	return gateway.InvoiceAnswer[T]{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseBusiness, Code: "E", Message: text}
}

func (p *platform) Issue(_ context.Context, d gateway.InvoiceDraft) gateway.InvoiceAnswer[gateway.PlatformBill] {
	return through(p, "issue", func() gateway.InvoiceAnswer[gateway.PlatformBill] {
		p.sent[d.BusNo]++
		if p.bills[d.BusNo] != nil {
			a := no[gateway.PlatformBill]("已开票")
			a.Duplicate = true
			return a
		}
		if len(d.Check()) > 0 {
			return no[gateway.PlatformBill]("金额不平")
		}
		if d.Remark == "bad" {
			return no[gateway.PlatformBill]("字典不符")
		}
		p.serial++
		b := &made{PlatformBill: gateway.PlatformBill{Known: true, BusNo: d.BusNo, Kind: d.Kind, Total: d.Total, Random: "r", QR: []byte{1},
			Number: gateway.InvoiceNumber{Batch: "0601", No: fmt.Sprintf("%08d", p.serial)}, MadeAt: "20260302120000000", NetURL: "http://x"}, at: p.clock.Now(), order: p.serial}
		p.bills[d.BusNo] = b
		return done(b.PlatformBill)
	})
}

func (p *platform) of(n gateway.InvoiceNumber) *made {
	for _, b := range p.bills {
		if b.Number == n {
			return b
		}
	}
	return nil
}

func (p *platform) Find(_ context.Context, q gateway.InvoiceQuery) gateway.InvoiceAnswer[gateway.PlatformBill] {
	return through(p, "find", func() gateway.InvoiceAnswer[gateway.PlatformBill] {
		b := p.bills[q.BusNo]
		if b == nil {
			return done(gateway.PlatformBill{})
		}
		return done(b.PlatformBill)
	})
}

func (p *platform) Posted(_ context.Context, x gateway.PlatformBill) gateway.InvoiceAnswer[bool] {
	return through(p, "posted", func() gateway.InvoiceAnswer[bool] { b := p.of(x.Number); return done(b != nil && b.posted) })
}

func (p *platform) Reverse(_ context.Context, r gateway.InvoiceReversal) gateway.InvoiceAnswer[gateway.PlatformBill] {
	return through(p, "reverse", func() gateway.InvoiceAnswer[gateway.PlatformBill] {
		b := p.of(r.Number)
		switch {
		case b == nil:
			return no[gateway.PlatformBill]("票据不存在")
		case b.Reversed:
			a := no[gateway.PlatformBill]("已冲红")
			a.Duplicate = true
			return a
		case b.Paper.No != "":
			return no[gateway.PlatformBill]("请先作废纸质票据")
		}
		b.Reversed, b.Red = true, gateway.InvoiceNumber{Batch: "0699", No: b.Number.No}
		return done(b.PlatformBill)
	})
}

func (p *platform) NextPaper(context.Context, string, string) gateway.InvoiceAnswer[gateway.PaperNumber] {
	return through(p, "next", func() gateway.InvoiceAnswer[gateway.PaperNumber] {
		return done(gateway.PaperNumber{Batch: "P", No: fmt.Sprint(p.paper + 1)})
	})
}

func (p *platform) TurnPaper(_ context.Context, o gateway.PaperOrder) gateway.InvoiceAnswer[struct{}] {
	return through(p, "turn", func() gateway.InvoiceAnswer[struct{}] {
		p.paper++
		p.of(o.Bill).Paper = o.Paper
		return done(struct{}{})
	})
}

func (p *platform) VoidPaper(_ context.Context, o gateway.PaperOrder) gateway.InvoiceAnswer[struct{}] {
	return through(p, "void", func() gateway.InvoiceAnswer[struct{}] {
		p.of(o.Bill).Paper = gateway.PaperNumber{}
		return done(struct{}{})
	})
}

func (p *platform) VoidBlank(context.Context, gateway.PaperOrder) gateway.InvoiceAnswer[struct{}] {
	return done(struct{}{})
}

func (p *platform) PaperBatches(context.Context, string) gateway.InvoiceAnswer[[]string] {
	return done([]string{"P"})
}

func (p *platform) PaperData(context.Context, gateway.PaperOrder) gateway.InvoiceAnswer[[]byte] {
	return done([]byte("x"))
}

func (p *platform) Notify(context.Context, gateway.PlatformBill, string, string) gateway.InvoiceAnswer[struct{}] {
	return through(p, "notify", func() gateway.InvoiceAnswer[struct{}] { return done(struct{}{}) })
}

func (p *platform) Totals(context.Context, string, time.Time) gateway.InvoiceAnswer[gateway.InvoiceTotals] {
	p.mu.Lock()
	defer p.mu.Unlock()
	var t gateway.InvoiceTotals
	for _, b := range p.bills {
		t.Count++
		t.Amount += b.Total
	}
	return done(t)
}

func (p *platform) RedTotals(context.Context, string, time.Time) gateway.InvoiceAnswer[gateway.InvoiceTotals] {
	p.mu.Lock()
	defer p.mu.Unlock()
	var t gateway.InvoiceTotals
	for _, b := range p.bills {
		if b.Reversed {
			t.Count++
			t.Amount += b.Total
		}
	}
	return done(t)
}

func (p *platform) Bills(_ context.Context, _ string, _ time.Time, page, size int) gateway.InvoiceAnswer[[]gateway.PlatformBill] {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []gateway.PlatformBill
	for n := 1; n <= p.serial; n++ {
		for _, b := range p.bills {
			if b.order == n {
				list = append(list, b.PlatformBill)
			}
		}
	}
	from, to := min((page-1)*size, len(list)), min(page*size, len(list))
	return done(list[from:to])
}

// settlements are those of a town.
type settlements struct {
	mu    sync.Mutex
	list  map[string]*settled
	asked map[string]*asked // refunds, by request
}

// asked is a refund the counter accepted.
type asked struct {
	revision int // in force then
	answered bool
}

func (s *settlements) Past(_ context.Context, r gateway.RequestKey, id string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, now := s.asked[r.ID], s.list[id].revision
	return a != nil && (a.answered || now != 0 && now != a.revision), nil
}

type settled struct {
	revision int // 0: none in force
	n        int
	total    money.Fen
	moving   bool
	gone     bool
	patient  string
}

func (s *settlements) Charged(_ context.Context, id string) (bill.Charged, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.list[id]
	if x == nil {
		return bill.Charged{}, &gateway.Error{Code: gateway.CodeNotFound, Ref: id}
	}
	c := bill.Charged{Subject: id, Institution: hospital, System: "his", Kind: gateway.KindOutpatient, Total: x.total, Moving: x.moving, Gone: x.gone, Patient: x.patient,
		Payer: gateway.InvoicePayer{Name: "测试甲", Sex: "1", Age: "40", IDCard: "999999198503120018"},
		Money: gateway.InvoiceMoney{Cash: x.total}, Rows: []bill.Row{{ID: "1", Code: "X", Name: "药", Category: "09", Quantity: "1", Price: x.total.String(), Amount: x.total}}}
	c.Marks = []identity.Mark{{Kind: identity.Visit, Value: "MZ-" + x.patient}, {Kind: identity.Settlement, Value: fmt.Sprint(id, "/", x.revision)}}
	if x.revision > 0 {
		c.Revision = fmt.Sprint("m", x.revision)
	}
	return c, nil
}

// town is an office with everything around it.
type town struct {
	t        *testing.T
	clock    *gatewaytest.Clock
	platform *platform
	charged  *settlements
	book     *book.Book
	office   *Office
	order    string
	requests int
}

func newTown(t *testing.T, order string) *town {
	t.Helper()
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := keys.NewSealer(p, []byte("0123456789abcdefFEDCBA9876543210"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(bg, store.Options{Path: filepath.Join(t.TempDir(), "j.db"), Sync: "off"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w := &town{t: t, clock: gatewaytest.NewClock(noon), charged: &settlements{list: map[string]*settled{}, asked: map[string]*asked{}}, order: order}
	w.platform = newPlatform(w.clock)
	if w.book, err = book.Open(db, sealer); err != nil {
		t.Fatal(err)
	}
	w.start()
	return w
}

// start makes a new process on the same book.
func (w *town) start() {
	w.t.Helper()
	var err error
	if w.office, err = New(Options{Book: w.book, Platform: func(ident.Institution) gateway.InvoicePlatform { return w.platform }, Source: w.charged,
		Clock: w.clock, Order: w.order, Workers: 1, Digest: func(parts ...[]byte) [32]byte {
			h := sha256.New()
			for _, p := range parts {
				fmt.Fprintf(h, "%d:%s", len(p), p)
			}
			return [32]byte(h.Sum(nil))
		}}); err != nil {
		w.t.Fatal(err)
	}
}

// run calls fn as the process would; false when it was killed meanwhile and started anew.
func (w *town) run(fn func()) (alive bool) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(killed); !ok {
				panic(p)
			}
			w.start()
		}
	}()
	fn()
	return true
}

func (w *town) settled(id string, total money.Fen, patient string) {
	w.charged.list[id] = &settled{revision: 1, n: 1, total: total, patient: patient}
}

func (w *town) issue(id string) (gateway.EInvoice, error) {
	w.requests++
	return w.office.IssueInvoice(bg, his, gateway.IssueInvoice{RequestID: fmt.Sprint("R", w.requests), Settlement: id, Desk: "1号窗",
		Operator: gateway.Operator{ID: "0101", Name: "王收费", Type: "1"}})
}

// refund takes part back (0: all), as the counter would; insurance decides how it goes.
func (w *town) refund(id string, part money.Fen, how string) error {
	w.requests++
	return w.refundAs(fmt.Sprint("R", w.requests), id, part, how)
}

// refundAs is a refund under an id of a request, perhaps one that came before.
func (w *town) refundAs(request, id string, part money.Fen, how string) error {
	_, err := refund(bg, w.office, his, 'B', id, request, w.office.pastOrNot(his, id, request), func(context.Context) (struct{}, error) {
		w.charged.mu.Lock()
		defer w.charged.mu.Unlock()
		x, a := w.charged.list[id], w.charged.asked[request]
		switch {
		case a != nil && a.answered:
			return struct{}{}, nil
		case how == "kill-before":
			panic(killed{})
		case a == nil && x.revision == 0:
			return struct{}{}, &gateway.Error{Code: gateway.CodeState}
		case a == nil:
			a = &asked{revision: x.revision}
			w.charged.asked[request] = a
		}
		switch {
		case how == "refused":
			a.answered = true
			return struct{}{}, &gateway.Error{Code: gateway.CodeCentreRefused}
		case how == "unknown":
			return struct{}{}, &gateway.Error{Code: gateway.CodeOutcomeUnknown}
		case x.revision != a.revision: // undone for it before, or by another
		case part > 0 && part < x.total:
			x.settle(x.total - part)
		default:
			x.revision = 0
		}
		if how == "kill-after" {
			panic(killed{})
		}
		a.answered = true
		if how == "kill-answered" {
			panic(killed{})
		}
		return struct{}{}, nil
	})
	return err
}

// unheld is the bill of the settlement in force that no refund is about, or nil.
func (w *town) unheld(id string) *book.Bill {
	s, err := w.book.Subject(bg, id)
	if err != nil || s.Hold != "" {
		return nil
	}
	b, err := w.office.live(bg, id)
	if err != nil || b == nil || b.RedWanted || b.Revision != fmt.Sprint("m", w.charged.list[id].revision) {
		return nil
	}
	return b
}

// settle is a settlement made anew.
func (x *settled) settle(total money.Fen) {
	x.n++
	x.revision, x.total = x.n, total
}

// calm ends all faults and lets the time pass until nothing is left to do.
func (w *town) calm() {
	w.t.Helper()
	w.platform.mu.Lock()
	w.platform.down, w.platform.fault = false, func(string) string { return "" }
	for _, f := range w.platform.late {
		f()
	}
	w.platform.late = nil
	w.platform.mu.Unlock()
	for range 400 {
		if _, err := w.office.Round(bg); err != nil {
			w.t.Fatal(err)
		}
		lanes, err := w.office.lanes(bg)
		if err != nil {
			w.t.Fatal(err)
		}
		due, err := w.book.DueSubjects(bg, w.clock.Now().Add(1000*time.Hour), 1000)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(lanes) == 0 && len(due) == 0 {
			return
		}
		w.clock.Advance(20 * time.Second)
	}
	w.t.Fatal("something never comes to rest")
}

// check holds the three sides against each other.
func (w *town) check(issued map[string]bool) {
	w.t.Helper()
	var inForce, atPlatform, here money.Fen
	live := map[string]int{}
	for busNo, b := range w.platform.bills {
		if !b.Reversed {
			live[subjectOf(busNo)]++
			atPlatform += b.Total
		}
	}
	for id := range issued {
		x := w.charged.list[id]
		want := 0
		if x.revision > 0 {
			want = 1
			inForce += x.total
		}
		if live[id] != want {
			w.t.Errorf("%s: %d live bills at the platform, want %d", id, live[id], want)
		}
		list, err := w.book.Bills(bg, id)
		if err != nil {
			w.t.Fatal(err)
		}
		n := 0
		for _, b := range list {
			if b.State.Live() {
				n++
				here += b.Total
				if b.State != gateway.InvoiceIssued && b.State != gateway.InvoicePaper || b.Total != x.total || b.Revision != fmt.Sprint("m", x.revision) {
					w.t.Errorf("%s: %+v", id, b.State)
				}
			}
		}
		if n != want {
			w.t.Errorf("%s: %d live bills in the book, want %d", id, n, want)
		}
	}
	if inForce != atPlatform || inForce != here {
		w.t.Errorf("settlements %s, platform %s, book %s", inForce, atPlatform, here)
	}
}

func subjectOf(busNo string) string { s, _, _ := strings.Cut(busNo, "_"); return s }

// Whatever happens in whatever order, each settlement in force ends with exactly one live bill and
// the sums of all three sides are equal. The process is killed between any two steps.
func TestAnySequence(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 10
	}
	for _, order := range []string{RedFirst, InsuranceFirst} {
		for seed := range seeds {
			t.Run(fmt.Sprint(order, "/", seed), func(t *testing.T) {
				w := newTown(t, order)
				r := rand.New(rand.NewPCG(uint64(seed), 7))
				w.platform.fault = func(string) string {
					return []string{"", "", "", "", "", "lose", "lost", "late", "kill-before", "kill-after"}[r.IntN(10)]
				}
				issued := map[string]bool{}
				type refunded struct {
					request, id string
					part        money.Fen
				}
				var refunds []refunded
				for range 60 {
					id := fmt.Sprintf("B%d", r.IntN(6))
					switch r.IntN(10) {
					case 0, 1:
						if w.charged.list[id] == nil {
							w.settled(id, money.Fen(1000+r.IntN(100000)), fmt.Sprint("p", r.IntN(3)))
						}
					case 2, 3, 4:
						if w.charged.list[id] != nil && w.charged.list[id].revision > 0 {
							issued[id] = true // asked for, even when the process dies over it
							for !w.run(func() { _, _ = w.issue(id) }) {
								continue
							}
						}
					case 5, 6:
						if w.charged.list[id] != nil {
							part := money.Fen(r.IntN(2) * (1 + r.IntN(900)))
							how := []string{"", "", "", "refused", "unknown", "kill-before", "kill-after", "kill-answered"}[r.IntN(8)]
							w.run(func() { _ = w.refund(id, part, how) })
							refunds = append(refunds, refunded{fmt.Sprint("R", w.requests), id, part})
							if x := w.charged.list[id]; x.revision == 0 && r.IntN(2) == 0 {
								x.settle(x.total)
								for issued[id] && !w.run(func() { _, _ = w.issue(id) }) { // its bill is asked for
									continue
								}
							}
						}
						if len(refunds) > 0 { // an old one once more
							old := refunds[r.IntN(len(refunds))]
							past, _ := w.charged.Past(bg, gateway.RequestKey{ID: old.request}, old.id)
							stood := w.unheld(old.id)
							w.run(func() { _ = w.refundAs(old.request, old.id, old.part, "") })
							if past && stood != nil {
								if b, err := w.book.Bill(bg, stood.ID); err != nil || b.RedWanted || !b.State.Live() {
									t.Errorf("%s again took %s of a later settlement along: %+v %v", old.request, b.ID, b.State, err)
								}
							}
						}
					case 7:
						w.platform.down = !w.platform.down
					case 8:
						w.clock.Advance(time.Duration(r.IntN(300)) * time.Second)
					case 9:
						w.run(func() { _, _ = w.office.Round(bg) })
					}
					if r.IntN(4) == 0 {
						late := w.platform.late
						w.platform.late = nil
						for _, f := range late {
							f()
						}
					}
				}
				w.calm()
				w.check(issued)
			})
		}
	}
}

// A refund is repeated when it is over, and the settlement made since has a bill: that bill stays. The process
// died, or not, between each two durable writes of the refund.
func TestRefundRepeatedLater(t *testing.T) {
	for _, order := range []string{RedFirst, InsuranceFirst} {
		for _, how := range []string{"", "refused", "kill-before", "kill-after", "kill-answered"} {
			t.Run(order+"/"+how, func(t *testing.T) {
				w := newTown(t, order)
				w.settled("B1", 1000, "p")
				if _, err := w.issue("B1"); err != nil {
					t.Fatal(err)
				}
				again := func(how string) (err error) {
					w.run(func() { err = w.refundAs("OLD", "B1", 0, how) })
					return err
				}
				_ = again(how)
				if how == "kill-before" || how == "refused" { // nothing was undone: another refund does it
					w.calm()
					if err := w.refund("B1", 0, ""); err != nil {
						t.Fatal(err)
					}
				}
				if how == "kill-before" { // nor does anybody know of it: it never came
					w.charged.asked["OLD"] = &asked{revision: 1, answered: true}
				}
				w.calm()
				w.charged.list["B1"].settle(700)
				e, err := w.issue("B1")
				if err != nil || e.State != gateway.InvoiceIssued || e.Total != "7.00" {
					t.Fatalf("%+v %v", e, err)
				}
				made := len(w.platform.bills)
				if err := again(""); err != nil {
					t.Fatal(err)
				}
				w.calm()
				if len(w.platform.bills) != made || w.platform.bills[e.ID].Reversed {
					t.Errorf("%d bills, then %d; reversed %v", made, len(w.platform.bills), w.platform.bills[e.ID].Reversed)
				}
				w.check(map[string]bool{"B1": true})
			})
		}
	}
}

// What another refund holds is not let go by the repeat of an old one; what its own first try held is, at once.
func TestRefundRepeatedLetsGoItsOwn(t *testing.T) {
	w := newTown(t, RedFirst)
	w.settled("B1", 1000, "p")
	if _, err := w.issue("B1"); err != nil {
		t.Fatal(err)
	}
	old := func(how string) { w.run(func() { _ = w.refundAs("OLD", "B1", 300, how) }) }
	old("kill-answered")
	if bills := len(w.platform.bills); bills != 1 {
		t.Fatalf("%d bills while it is held", bills)
	}
	old("")
	if b := w.platform.bills["B1_2"]; b == nil || b.Reversed || b.Total != 700 {
		t.Fatalf("the rest has no bill: %+v", b)
	}
	if err := w.refundAs("NEXT", "B1", 0, "unknown"); !is(err, gateway.CodeOutcomeUnknown) {
		t.Fatal(err)
	}
	old("")
	if s, err := w.book.Subject(bg, "B1"); err != nil || s.Hold != "NEXT" || len(w.platform.bills) != 2 {
		t.Errorf("%+v %v, %d bills", s, err, len(w.platform.bills))
	}
}

// What can not be refunded by this way keeps its bill: a bill without insurance, a stay, a request without a usable id.
func TestRefundOfWhatIsNone(t *testing.T) {
	w := newTown(t, RedFirst)
	w.settled("B1", 1000, "p")
	if _, err := w.issue("B1"); err != nil {
		t.Fatal(err)
	}
	d, err := w.office.IssueInvoice(bg, his, gateway.IssueInvoice{RequestID: "D1", Operator: gateway.Operator{ID: "0101", Name: "王收费", Type: "1"},
		Payer:   gateway.PayerAsked{Name: "测试乙", Sex: "女", Age: "30", PatientID: "P9"},
		Deposit: &gateway.Deposit{ID: "YJ1", StayNo: "ZY1", Amount: "500.00"}})
	if err != nil {
		t.Fatal(err)
	}
	no := &gateway.Error{Code: gateway.CodeNotFound}
	for _, x := range [][3]string{{"B", d.Settlement, "R1"}, {"S", d.Settlement, "R2"}, {"S", "B1", "R3"}, {"B", "B1", ""}, {"B", "B1", strings.Repeat("R", 65)}} {
		if _, err := refund(bg, w.office, his, x[0][0], x[1], x[2], w.office.pastOrNot(his, x[1], x[2]), func(context.Context) (int, error) { return 0, no }); !is(err, no.Code) {
			t.Errorf("%v: %v", x, err)
		}
	}
	if len(w.platform.bills) != 2 || w.platform.bills["B1_1"].Reversed || w.platform.bills[d.ID].Reversed {
		t.Errorf("%+v", w.platform.bills)
	}
}

// The same request after a refund tells how the bill stands by now; it is no error and makes none.
func TestIssueRepeatedAfterRefund(t *testing.T) {
	w := newTown(t, "")
	w.settled("B1", 1000, "p")
	r := gateway.IssueInvoice{RequestID: "A", Settlement: "B1", Operator: gateway.Operator{ID: "0101", Name: "王收费", Type: "1"}}
	a, err := w.office.IssueInvoice(bg, his, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.refund("B1", 0, ""); err != nil {
		t.Fatal(err)
	}
	b, err := w.office.IssueInvoice(bg, his, r)
	if err != nil || b.ID != a.ID || b.State != gateway.InvoiceReversed {
		t.Errorf("%+v %v", b, err)
	}
	r.Remark = "other"
	if _, err := w.office.IssueInvoice(bg, his, r); !is(err, gateway.CodeRequestIDReused) {
		t.Errorf("another body: %v", err)
	}
	r.RequestID = "B"
	if _, err := w.office.IssueInvoice(bg, his, r); !is(err, gateway.CodeState) {
		t.Errorf("a new request for what is refunded: %v", err)
	}
	w.calm()
	w.check(map[string]bool{"B1": true})
}

// Two screens ask for one settlement: the second gets the first one's bill, and both are on record.
func TestSecondScreen(t *testing.T) {
	w := newTown(t, "")
	w.settled("B1", 1000, "p")
	a, err := w.issue("B1")
	if err != nil || a.State != gateway.InvoiceIssued || a.QR == "" || a.NetURL == "" || a.Total != "10.00" {
		t.Fatalf("%+v %v", a, err)
	}
	b, err := w.office.IssueInvoice(bg, his, gateway.IssueInvoice{RequestID: "other", Settlement: "B1", Desk: "2号窗", Operator: gateway.Operator{ID: "0202", Name: "李", Type: "1"}})
	if err != nil || b.ID != a.ID || b.Number != a.Number {
		t.Fatalf("%+v %v", b, err)
	}
	last := b.History[len(b.History)-1]
	if last.Event != "seen" || last.Desk != "2号窗" || last.Operator != "0202" || b.History[0].Desk != "1号窗" {
		t.Errorf("history %+v", b.History)
	}
	if len(w.platform.bills) != 1 {
		t.Errorf("%d bills", len(w.platform.bills))
	}
	if _, err := w.office.Invoice(bg, gateway.Caller{System: "another", Institutions: his.Institutions}, a.ID); !is(err, gateway.CodeNotFound) {
		t.Errorf("another system sees it: %v", err)
	}
}

func is(err error, c gateway.Code) bool {
	var e *gateway.Error
	return errors.As(err, &e) && e.Code == c
}

// A time-out is asked about before anything is sent again.
func TestUnknownIsAskedFirst(t *testing.T) {
	for _, how := range []string{"lose", "lost", "late"} {
		w := newTown(t, "")
		w.settled("B1", 1000, "p")
		first := true
		w.platform.fault = func(call string) string {
			if call == "issue" && first {
				first = false
				return how
			}
			return ""
		}
		a, err := w.issue("B1")
		if err != nil || a.State != gateway.InvoiceIssueOpen || a.ForPatient == "" {
			t.Fatalf("%s: %+v %v", how, a, err)
		}
		if how == "lost" {
			w.clock.Advance(6 * time.Second)
			if _, err := w.office.Round(bg); err != nil {
				t.Fatal(err)
			}
			if n := w.platform.sent["B1_1"]; n != 0 {
				t.Errorf("sent again %d times before absence was certain", n)
			}
		}
		w.calm()
		w.check(map[string]bool{"B1": true})
	}
}

// The settlement is undone and the rest of its refund is left lying: the bill is reversed all the same,
// and what is settled later gets one of its own.
func TestHalfRefundedLeavesNoBill(t *testing.T) {
	w := newTown(t, InsuranceFirst)
	w.settled("B1", 1000, "p")
	if _, err := w.issue("B1"); err != nil {
		t.Fatal(err)
	}
	x := w.charged.list["B1"]
	x.moving = true // sent, and nobody knows: the bill stays
	if err := w.refund("B1", 0, "unknown"); !is(err, gateway.CodeOutcomeUnknown) {
		t.Fatal(err)
	}
	for range 20 {
		w.clock.Advance(time.Minute)
		if _, err := w.office.Round(bg); err != nil {
			t.Fatal(err)
		}
	}
	if w.platform.bills["B1_1"].Reversed {
		t.Error("reversed before the settlement was known to be undone")
	}
	x.gone = true
	for range 20 {
		w.clock.Advance(time.Minute)
		if _, err := w.office.Round(bg); err != nil {
			t.Fatal(err)
		}
	}
	if !w.platform.bills["B1_1"].Reversed || len(w.platform.bills) != 1 {
		t.Errorf("%d bills, reversed %v", len(w.platform.bills), w.platform.bills["B1_1"].Reversed)
	}
	x.moving, x.gone, x.revision, x.total = false, false, 2, 700
	w.calm()
	w.check(map[string]bool{"B1": true})
}

// Posted for reimbursement: red first refuses the refund with nothing undone.
func TestPosted(t *testing.T) {
	w := newTown(t, RedFirst)
	w.settled("B1", 1000, "p")
	if _, err := w.issue("B1"); err != nil {
		t.Fatal(err)
	}
	w.platform.bills["B1_1"].posted = true
	if err := w.refund("B1", 0, ""); !is(err, gateway.CodeInvoicePosted) {
		t.Errorf("refund: %v", err)
	}
	if w.charged.list["B1"].revision != 1 {
		t.Error("the insurance was refunded all the same")
	}
	w.calm()
	w.check(map[string]bool{"B1": true})
	w.platform.bills["B1_1"].posted = false
	if err := w.refund("B1", 0, ""); err != nil {
		t.Errorf("after the posting was taken back: %v", err)
	}
	w.calm()
	w.check(map[string]bool{"B1": true})
}

// Paper is voided before a bill is reversed, also when the answers get lost.
func TestPaperThenRefund(t *testing.T) {
	for _, how := range []string{"", "lose", "lost"} {
		w := newTown(t, RedFirst)
		w.settled("B1", 1000, "p")
		a, err := w.issue("B1")
		if err != nil {
			t.Fatal(err)
		}
		r := gateway.PaperInvoice{RequestID: "P0", ID: a.ID, No: "77", Operator: gateway.Operator{ID: "1", Name: "王"}}
		if _, err := w.office.PaperInvoice(bg, his, r); !is(err, gateway.CodeInvoicePaper) {
			t.Errorf("wrong number: %v", err)
		}
		r.RequestID, r.No = "P1", "1"
		once := map[string]bool{}
		w.platform.fault = func(call string) string {
			if (call == "turn" || call == "void") && !once[call] {
				once[call] = true
				return how
			}
			return ""
		}
		p, err := w.office.PaperInvoice(bg, his, r)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			w.clock.Advance(time.Minute)
			if _, err := w.office.Round(bg); err != nil {
				t.Fatal(err)
			}
		}
		if p, err = w.office.PaperInvoice(bg, his, r); err != nil || how != "lost" && p.State != gateway.InvoicePaper {
			t.Errorf("%q: %s %v", how, p.State, err)
		}
		for range 5 {
			if err = w.refund("B1", 300, ""); err == nil {
				break
			}
			w.clock.Advance(2 * time.Minute)
		}
		w.calm()
		w.check(map[string]bool{"B1": true})
		if w.charged.list["B1"].total != 700 {
			t.Errorf("%q: not refunded: %v", how, err)
		}
	}
}

// What the platform refuses can be corrected: the number stays, the content is new.
func TestRefusedAndCorrected(t *testing.T) {
	w := newTown(t, "")
	w.settled("B1", 1000, "p")
	r := gateway.IssueInvoice{RequestID: "A", Settlement: "B1", Remark: "bad", Operator: gateway.Operator{ID: "0101", Name: "王收费", Type: "1"}}
	a, err := w.office.IssueInvoice(bg, his, r)
	if err != nil || a.State != gateway.InvoiceRefused || a.Message != "字典不符" {
		t.Fatalf("%+v %v", a, err)
	}
	r.RequestID, r.Remark = "B", ""
	b, err := w.office.IssueInvoice(bg, his, r)
	if err != nil || b.State != gateway.InvoiceIssued || b.ID != a.ID {
		t.Fatalf("%+v %v", b, err)
	}
	w.calm()
	w.check(map[string]bool{"B1": true})
}

// Self-paid bills and deposits have no settlement behind them.
func TestSelfPaidAndDeposit(t *testing.T) {
	w := newTown(t, "")
	op := gateway.Operator{ID: "0101", Name: "王收费", Type: "1"}
	payer := gateway.PayerAsked{Name: "测试乙", Sex: "女", Age: "30", PatientID: "P9"}
	r := gateway.IssueInvoice{RequestID: "S1", Operator: op, Payer: payer, SelfPaid: &gateway.SelfPaid{ID: "ZF1", Visit: "MZ9", Date: "2026-03-02",
		Department: gateway.Coded{Code: "1", Name: "内科"}, Total: "30.00",
		Rows: []gateway.SelfPaidRow{{ID: "1", Code: "C", Name: "检查", Category: "03", Quantity: "2", Price: "15", Amount: "30.00"}}},
		Payments: []gateway.Payment{{Way: "wechat", Amount: "20.00"}, {Way: "cash", Amount: "10.00"}}}
	a, err := w.office.IssueInvoice(bg, his, r)
	if err != nil || a.State != gateway.InvoiceIssued || a.Total != "30.00" {
		t.Fatalf("%+v %v", a, err)
	}
	other := r
	changed := *r.SelfPaid
	changed.Total, changed.Rows = "15.00", []gateway.SelfPaidRow{{ID: "1", Code: "C", Name: "检查", Category: "03", Quantity: "1", Price: "15", Amount: "15.00"}}
	other.RequestID, other.SelfPaid, other.Payments = "S2", &changed, nil
	if _, err := w.office.IssueInvoice(bg, his, other); !is(err, gateway.CodeState) {
		t.Errorf("other content under one number: %v", err)
	}
	for name, bad := range map[string]func(*gateway.IssueInvoice){
		"category": func(r *gateway.IssueInvoice) { r.SelfPaid.Rows[0].Category = "77" },
		"sum":      func(r *gateway.IssueInvoice) { r.SelfPaid.Total = "31.00" },
		"row":      func(r *gateway.IssueInvoice) { r.SelfPaid.Rows[0].Price = "15.01" },
		"way":      func(r *gateway.IssueInvoice) { r.Payments[0].Way = "gold" },
		"paid":     func(r *gateway.IssueInvoice) { r.Payments[0].Amount = "19.00" },
		"payer":    func(r *gateway.IssueInvoice) { r.Payer.Name = "" },
		"both":     func(r *gateway.IssueInvoice) { r.Settlement = "B1" },
	} {
		x := r
		sp := *r.SelfPaid
		sp.ID, sp.Rows = "ZF-"+name, append([]gateway.SelfPaidRow{}, r.SelfPaid.Rows...)
		x.SelfPaid, x.RequestID, x.Payments = &sp, "bad-"+name, append([]gateway.Payment{}, r.Payments...)
		bad(&x)
		if v, err := w.office.IssueInvoice(bg, his, x); err == nil {
			t.Errorf("%s: issued %+v", name, v)
		}
	}
	if len(w.platform.bills) != 1 {
		t.Errorf("%d bills", len(w.platform.bills))
	}
	d, err := w.office.IssueInvoice(bg, his, gateway.IssueInvoice{RequestID: "D1", Operator: op, Payer: payer, Deposit: &gateway.Deposit{ID: "YJ1", StayNo: "ZY1", Amount: "500.00"}})
	if err != nil || d.State != gateway.InvoiceIssued || d.Kind != gateway.KindStayDeposit {
		t.Fatalf("%+v %v", d, err)
	}
	rev, err := w.office.ReverseInvoice(bg, his, gateway.ReverseInvoice{RequestID: "V1", ID: a.ID, Reason: "姓名错", Operator: op, Reissue: true, Payer: &payer})
	if err != nil || rev.State != gateway.InvoiceReversed {
		t.Fatalf("%+v %v", rev, err)
	}
	list, err := w.office.SettlementInvoices(bg, his, a.Settlement)
	if err != nil || len(list) != 2 || list[1].State != gateway.InvoiceIssued {
		t.Errorf("reissued: %+v %v", list, err)
	}
	sent, err := w.office.DeliverInvoice(bg, his, gateway.DeliverInvoice{RequestID: "L1", ID: list[1].ID, Phone: "13900000000", Operator: op})
	if err != nil || sent.History[len(sent.History)-1].Event != "delivered" {
		t.Errorf("delivered: %+v %v", sent, err)
	}
}

// After an outage everything is issued, each patient's bills in the order they were asked for.
func TestCatchUpKeepsOrder(t *testing.T) {
	w := newTown(t, "")
	w.platform.down = true
	issued := map[string]bool{}
	for i := range 60 {
		id := fmt.Sprintf("B%03d", i)
		issued[id] = true
		w.settled(id, money.Fen(100+i), fmt.Sprint("p", i%7))
		a, err := w.issue(id)
		if err != nil || a.State != gateway.InvoiceDrafted || !strings.Contains(a.ForPatient, "开具中") {
			t.Fatalf("%+v %v", a, err)
		}
	}
	w.clock.Advance(time.Hour)
	w.start()
	w.office.o.Workers = 8
	w.calm()
	w.check(issued)
	for i := 7; i < 60; i++ {
		a, b := w.platform.bills[fmt.Sprintf("B%03d_1", i-7)], w.platform.bills[fmt.Sprintf("B%03d_1", i)]
		if a == nil || b == nil || a.order > b.order {
			t.Errorf("bill %d was made before bill %d of the same patient", i, i-7)
		}
	}
}
