package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/examples"
	"yiqiao/gateway"
	"yiqiao/gateway/config"
)

func demoCommand(s *streams) *cobra.Command {
	var asJSON bool
	var profile string
	c := &cobra.Command{
		Use:   "demo",
		Short: "从头到尾结算一张门诊单, 再演示应答丢失 / Settle a bill end to end, then lose an answer",
		Long: `在一个进程里启动网关和模拟医保中心 (各占一个空闲端口, 数据放在临时文件夹), 像 HIS 一样通过 HTTP
结算一张门诊单, 打印每一步; 然后让中心在入账之后丢掉 2207 的应答, 看网关如何查清结果而不重复结算。`,
		Example: "  yiqiao demo\n  yiqiao demo --profile none+csb\n  yiqiao demo --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := s.out
			if asJSON {
				out = io.Discard
			}
			r, err := runDemo(cmd.Context(), out, s.err, profile)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(s.out, r)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	c.Flags().StringVar(&profile, "profile", demoProfile, "报文+请求头 / envelope+transport: "+strings.Join(demoProfiles(), " "))
	return c
}

// demoResult is what `demo --json` prints.
type demoResult struct {
	Normal        gateway.Settlement `json:"normal"`
	LostAnswer    gateway.Settlement `json:"lost_answer"`
	Refunded      gateway.Settlement `json:"refunded"`
	EInvoice      gateway.EInvoice   `json:"einvoice"`
	Reversed      gateway.EInvoice   `json:"einvoice_after_refund"`
	AtCentre      int                `json:"settlements_at_centre_after_lost_answer"`
	LedgerBalance bool               `json:"ledger_balanced"`
	Journal       int                `json:"journal_records"`
	Problems      int                `json:"journal_problems"`
}

// stage is a gateway and a simulator running side by side for one demo.
type stage struct {
	sim  *simServer
	gw   *server
	key  string
	out  io.Writer
	dir  string // of the configuration
	stop func()
}

// runDemo tells the story; what it prints is what really happened.
func runDemo(ctx context.Context, out, errw io.Writer, profile string) (r demoResult, err error) {
	st, err := newStage(ctx, out, errw, profile)
	if err != nil {
		return r, err
	}
	defer st.stop()
	fmt.Fprintf(out, "医桥演示: 一张门诊单的医保结算\n\n  HIS 接口   http://%s\n  模拟中心   http://%s  (%s)\n", st.gw.addr(), st.sim.addr(), profileZH(profile))

	fmt.Fprintf(out, "\n【一】正常结算: 测试甲, 职工医保\n")
	bill, patient := standardBill("A", "999999198503120018", "测试甲")
	if r.Normal, err = st.settle(ctx, bill, patient); err != nil {
		return r, err
	}

	fmt.Fprintf(out, "\n【二】应答丢失: 测试乙; 中心入账后, 2207 的应答在路上丢了\n")
	if err := st.sim.inject(`{"infno":"2207","kind":"commit-then-lose","times":1}`); err != nil {
		return r, err
	}
	bill, patient = standardBill("B", "99999919550608002X", "测试乙")
	if r.LostAnswer, err = st.settle(ctx, bill, patient); err != nil {
		return r, err
	}
	r.AtCentre = st.sim.settlements(string(r.LostAnswer.Visit))
	if err := st.explain(ctx, r.LostAnswer); err != nil {
		return r, err
	}
	fmt.Fprintf(out, "  中心为该就诊入账 %d 笔; 网关发出 2207 共 %d 次。没有重复结算。\n", r.AtCentre, count(r.LostAnswer.Steps, "2207"))

	fmt.Fprintf(out, "\n【三】电子票据: 为测试乙的结算开具\n")
	if r.EInvoice, err = st.einvoice(ctx, "B", r.LostAnswer.ID); err != nil {
		return r, err
	}
	if err := printQR(out, r.EInvoice); err != nil {
		return r, err
	}

	fmt.Fprintf(out, "\n【四】退费: 测试乙整单退回, 票据先冲红\n")
	if r.Refunded, err = st.refund(ctx, r.LostAnswer.ID); err != nil {
		return r, err
	}
	printSteps(out, r.Refunded.Steps, len(r.LostAnswer.Steps))
	if r.Reversed, err = st.invoice(ctx, r.EInvoice.ID); err != nil {
		return r, err
	}
	fmt.Fprintf(out, "\n  GET  /api/v1/einvoices/…            → %s\n", r.Reversed.State)
	printInvoice(out, r.Reversed)
	shown, err := pageShows(ctx, r.Reversed.NetURL, "已冲红")
	if err != nil {
		return r, err
	}
	if r.Reversed.State != gateway.InvoiceReversed || !shown {
		return r, fmt.Errorf("票据未冲红 / the e-invoice was not reversed: %s", r.Reversed.State)
	}
	return r, st.verify(ctx, &r)
}

func newStage(ctx context.Context, out, errw io.Writer, profile string) (*stage, error) {
	return newStageWith(ctx, out, errw, profile, stageOptions{})
}

// stageOptions change a stage before it is built.
type stageOptions struct {
	via    func(addr string) string // the address the gateway is told for the one the centre listens on
	change func(*gatewaySettings, *simulatorSettings)
}

func newStageWith(ctx context.Context, out, errw io.Writer, profile string, o stageOptions) (_ *stage, err error) {
	dir, err := os.MkdirTemp("", "yiqiao-demo-")
	if err != nil {
		return nil, err
	}
	if _, err := writeStarter(dir, starter{Listen: "127.0.0.1:0", Simulator: "127.0.0.1:0", Control: "127.0.0.1:0"}); err != nil {
		return nil, err
	}
	st := &stage{out: out, dir: dir}
	var wg sync.WaitGroup
	running, cancel := context.WithCancel(ctx)
	st.stop = func() {
		cancel()
		wg.Wait()
		if st.gw != nil {
			st.gw.close()
		}
		if st.sim != nil {
			st.sim.close()
		}
		_ = os.RemoveAll(dir)
	}
	defer func() {
		if err != nil {
			st.stop()
		}
	}()
	simSettings, err := loadSimulator(dir)
	if err != nil {
		return nil, err
	}
	g, err := loadGateway(dir)
	if err != nil {
		return nil, err
	}
	g.Log.Level = "error"
	c := g.Centres["main"]
	late, err := speak(profile, dir, &c.Protect, &simSettings.Protect, func() string { return st.sim.addr() })
	if err != nil {
		return nil, err
	}
	g.Centres["main"] = c
	if o.change != nil {
		o.change(g, simSettings)
		c = g.Centres["main"]
	}
	if st.sim, err = newSimServer(simSettings); err != nil {
		return nil, err
	}
	late()
	address := st.sim.addr()
	if o.via != nil {
		address = o.via(address)
	}
	c.URL = "http://" + address + "/fsi/api"
	g.Centres["main"] = c
	for name, c := range g.Centres {
		if c.Service != "" {
			c.URL = strings.Replace(c.URL, "127.0.0.1:0", st.sim.addr(), 1)
			g.Centres[name] = c
		}
	}
	if st.sim.einvoiceLn != nil {
		g.Einvoice.Timeout, g.Einvoice.Grace, g.Einvoice.Retry = config.Duration(5*time.Second), config.Duration(time.Second), config.Duration(100*time.Millisecond)
		g.Einvoice.URL = "http://" + st.sim.einvoiceLn.Addr().String() + "/medical-web/api/medical"
	}
	if st.gw, err = newServer(ctx, g, errw, systemClock{}); err != nil {
		return nil, err
	}
	key, err := os.ReadFile(filepath.Join(dir, starterAPIKey))
	if err != nil {
		return nil, err
	}
	st.key = strings.TrimSpace(string(key))
	wg.Go(func() { _ = st.sim.run(running) })
	wg.Go(func() { _ = st.gw.run(running) })
	return st, nil
}

// standardBill is the bill of examples/, for another person and under other numbers.
func standardBill(tag, certno, name string) (gateway.OpenSettlement, string) {
	var b gateway.OpenSettlement
	if err := json.Unmarshal(examples.OutpatientBill, &b); err != nil {
		panic("examples/outpatient-bill.json: " + err.Error()) // embedded and tested
	}
	b.RequestID = "DEMO-" + tag
	b.Credential = gateway.Credential{Type: "02", Number: certno, CertType: "01", CertNo: certno, Name: name}
	b.Visit.Number += "-" + tag
	for i := range b.Fees {
		b.Fees[i].ID += "-" + tag
	}
	return b, name
}

// settle does what a HIS does: open, look at the trial amounts, confirm.
func (st *stage) settle(ctx context.Context, bill gateway.OpenSettlement, patient string) (gateway.Settlement, error) {
	var s gateway.Settlement
	if err := st.post(ctx, "/api/v1/settlements", bill, &s); err != nil {
		return s, err
	}
	fmt.Fprintf(st.out, "\n  POST /api/v1/settlements            → %s (%s)\n", s.ID, s.State)
	printSteps(st.out, s.Steps, 0)
	confirm := gateway.ConfirmSettlement{RequestID: bill.RequestID + "-C", Operator: bill.Operator}
	shown := len(s.Steps)
	if err := st.post(ctx, "/api/v1/settlements/"+s.ID+"/confirm", confirm, &s); err != nil {
		return s, err
	}
	fmt.Fprintf(st.out, "\n  POST /api/v1/settlements/…/confirm  → %s\n", s.State)
	printSteps(st.out, s.Steps, shown)
	if s.Amounts == nil {
		return s, errors.New("结算没有金额 / no amounts in the settlement")
	}
	fmt.Fprintln(st.out)
	sums(st.out, s.Amounts)
	fmt.Fprintln(st.out)
	hospital := ""
	for _, in := range st.gw.parts.institutions {
		hospital = in.Name
	}
	printSlip(st.out, hospital, patient, bill, s)
	return s, nil
}

func (st *stage) refund(ctx context.Context, id string) (gateway.Settlement, error) {
	var s gateway.Settlement
	body := gateway.RefundSettlement{RequestID: "DEMO-REFUND", Operator: gateway.Operator{ID: "0101", Name: "王收费", Type: "1"}}
	err := st.post(ctx, "/api/v1/settlements/"+id+"/refund", body, &s)
	fmt.Fprintf(st.out, "\n  POST /api/v1/settlements/…/refund   → %s\n", s.State)
	return s, err
}

// explain shows the history of the 2207 whose answer was lost.
func (st *stage) explain(ctx context.Context, s gateway.Settlement) error {
	events, err := st.gw.journal.Events(ctx, s.MsgID)
	if err != nil {
		return err
	}
	fmt.Fprintf(st.out, "\n  这笔 2207 的历史 (yiqiao journal show):\n")
	for _, e := range events {
		fmt.Fprintf(st.out, "    %d  %s  %s  %s\n", e.Seq, e.At.In(gateway.China).Format("15:04:05.000"), pad(eventZH(e.Kind), 8), strings.TrimSpace(causeZH(e.Cause)+"  "+e.Note))
	}
	return nil
}

// verify ends the story: the ledger balances and the journal is sound.
func (st *stage) verify(ctx context.Context, r *demoResult) error {
	if err := st.sim.checkLedger(); err != nil {
		return fmt.Errorf("模拟中心账目不平 / the simulator's ledger does not balance: %w", err)
	}
	r.LedgerBalance = true
	f, err := st.gw.journal.Fsck(ctx)
	if err != nil {
		return err
	}
	r.Journal, r.Problems = f.Records, len(f.Problems)
	fmt.Fprintf(st.out, "\n核对: 模拟中心复式账平衡; 网关日志 %d 笔交易, %d 个问题。\n", r.Journal, r.Problems)
	if r.AtCentre != 1 || r.Problems > 0 {
		return errNo
	}
	return nil
}

func printSteps(w io.Writer, steps []gateway.Step, from int) {
	rows := make([][]string, 0, len(steps))
	for _, s := range steps[min(from, len(steps)):] {
		rows = append(rows, []string{string(s.Infno), s.Name, string(s.MsgID), stateZH(s.State), causeZH(s.Cause)})
	}
	if len(rows) > 0 {
		var b strings.Builder
		table(&b, []string{"交易", "名称", "报文ID", "结果", "说明"}, rows)
		for line := range strings.Lines(b.String()) {
			fmt.Fprint(w, "    ", line)
		}
	}
}

func count(steps []gateway.Step, infno string) int {
	n := 0
	for _, s := range steps {
		if string(s.Infno) == infno {
			n++
		}
	}
	return n
}

// post sends body to the gateway and decodes a good answer into v; a problem document is an error.
func (st *stage) post(ctx context.Context, path string, body, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return err
	}
	status, answer, err := post(ctx, "http://"+st.gw.addr()+path, st.key, b.Bytes())
	if err != nil {
		return err
	}
	if status != http.StatusOK && status != http.StatusCreated {
		return fmt.Errorf("POST %s: HTTP %d: %s", path, status, answer)
	}
	return json.Unmarshal(answer, v)
}
