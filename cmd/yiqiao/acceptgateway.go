package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/simulator/acceptance"
	"yiqiao/simulator/acceptance/watch"
	simcentre "yiqiao/simulator/centre"
)

// watchedGateway is a gateway of this build with the watching centre behind it.
type watchedGateway struct {
	st    *stage
	w     *watch.Watcher
	logs  *logKept
	early []string // settlements that arrived before the journal knew them
	mu    sync.Mutex
	stop  func()
}

// logKept collects a log that is written from many places.
type logKept struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logKept) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logKept) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newWatchedGateway starts both. profile is envelope+transport.
func newWatchedGateway(ctx context.Context, p sm.Provider, cat *catalog.Catalog, o watch.Options, profile string) (_ *watchedGateway, err error) {
	g := &watchedGateway{logs: &logKept{}, stop: func() {}}
	var set *simulatorSettings
	var limits centreSettings
	var ln net.Listener
	var failed error
	var wg sync.WaitGroup
	via := func(addr string) string {
		var srv *http.Server
		if srv, failed = g.behind(p, cat, o, set); failed != nil {
			return addr
		}
		if ln, failed = net.Listen("tcp", "127.0.0.1:0"); failed != nil {
			return addr
		}
		wg.Go(func() { _ = srv.Serve(ln) })
		g.stop = func() { _ = srv.Close(); wg.Wait() }
		return ln.Addr().String()
	}
	g.st, err = newStageWith(ctx, nil, g.logs, profile, stageOptions{via: via, change: func(gs *gatewaySettings, ss *simulatorSettings) {
		set = ss
		gs.Log.Level = "debug"
		t := &gs.Timing // the waits of production would take minutes
		t.SettleGrace, t.AskEvery, t.AskMost, t.Poll = config.Duration(2*time.Second), config.Duration(200*time.Millisecond), config.Duration(500*time.Millisecond), config.Duration(100*time.Millisecond)
		limits = gs.Centres["main"]
		short := limits
		short.Query, short.Write, short.Settle = config.Duration(4*time.Second), config.Duration(4*time.Second), config.Duration(4*time.Second)
		gs.Centres["main"] = short
	}})
	if err = errors.Join(err, failed); err != nil {
		g.stop()
		return nil, err
	}
	stop := g.stop
	g.stop = func() { g.st.stop(); stop() }
	got := ""
	if q, s := time.Duration(limits.Query), time.Duration(limits.Settle); q != time.Minute || s != 3*time.Minute {
		got = fmt.Sprint(q, s)
	}
	g.w.Judge("TIM-05", "60 s, 180 s", got)
	return g, nil
}

// behind is the watching centre.
func (g *watchedGateway) behind(p sm.Provider, cat *catalog.Catalog, o watch.Options, set *simulatorSettings) (*http.Server, error) {
	var err error
	var issuer *simcentre.Issuer
	if o.Profile, o.Transport, issuer, err = set.line(p); err != nil {
		return nil, err
	}
	if issuer != nil {
		return nil, errors.New("oauth-cainfo 尚不支持 / is not there")
	}
	o.Catalog, o.Rand, o.Now, o.Actor = cat, rand.Reader, time.Now, "gateway"
	o.Sealed = set.Protect.Envelope != "none" && set.Protect.Envelope != ""
	o.Site.SignIn = set.SignIn
	o.Seen = func(infno, msgid string) {
		if infno != "2207" || g.st == nil || g.st.gw == nil {
			return
		}
		if events, err := g.st.gw.journal.Events(context.Background(), ident.MsgID(msgid)); err != nil || len(events) == 0 {
			g.mu.Lock()
			g.early = append(g.early, msgid)
			g.mu.Unlock()
		}
	}
	sim, err := simcentre.New(simcentre.Options{Catalog: cat, Region: simcentre.Region{AskByVisit: true, RequireSign: set.SignIn}})
	if err != nil {
		return nil, err
	}
	o.Centre = sim.Handler()
	if g.w, err = watch.New(o); err != nil {
		return nil, err
	}
	return &http.Server{Handler: g.w, ReadHeaderTimeout: 10 * time.Second}, nil
}

// acceptGateway tries this build: a scripted HIS in front of it, the watching centre behind it.
func acceptGateway(ctx context.Context, s *streams, f acceptFlags, p sm.Provider, cat *catalog.Catalog, site acceptance.Site) (*acceptance.Result, error) {
	o := watch.Options{Site: site, Suite: f.suite, Only: f.only, Originals: f.keep, Show: func(h watch.Hint) {
		if !f.json {
			acceptHint(s, h)
		}
	}}
	profile := map[string]string{"none": "none+plain", "mpc": "mpc+tif"}[f.profile]
	if profile == "" {
		profile = f.profile
	}
	g, err := newWatchedGateway(ctx, p, cat, o, profile)
	if err != nil {
		return nil, err
	}
	defer g.stop()
	h := &deskHIS{g: g, ctx: ctx, at: "http://" + g.st.gw.addr()}
	h.play()
	h.end()
	return g.w.Result(true), nil
}

// play goes through the scenarios.
func (h *deskHIS) play() {
	g, ctx := h.g, h.ctx
	for {
		now := g.w.Now()
		if now.Scenario == "" || ctx.Err() != nil {
			break
		}
		play, ok := deskScripts[now.Scenario]
		switch {
		case h.last == now.Scenario && g.w.GoOn():
		case h.last == now.Scenario:
			g.w.Judge("HFLOW-1", strings.Join(now.Next, " / "), "没有收到 / never came")
			g.w.Skip("网关没有做完 / the gateway did not finish")
		case !ok:
			g.w.Skip("网关没有对应的业务 / nothing of the gateway's")
		default:
			h.last = now.Scenario
			if err := play(h, now.Scenario); err != nil {
				g.w.Judge("HFLOW-2", now.Scenario, err.Error())
			}
		}
	}
}

// acceptDoor watches a HIS that speaks to a gateway: a gateway of this build stands between, its door is judged as well.
func acceptDoor(ctx context.Context, s *streams, f acceptFlags, p sm.Provider, cat *catalog.Catalog, site acceptance.Site) (*acceptance.Result, error) {
	heard := make(chan struct{}, 1)
	o := watch.Options{Site: site, Suite: f.suite, Only: f.only, Originals: f.keep, Show: func(h watch.Hint) {
		acceptHint(s, h)
		select {
		case heard <- struct{}{}:
		default:
		}
	}}
	g, err := newWatchedGateway(ctx, p, cat, o, "mpc+tif")
	if err != nil {
		return nil, err
	}
	defer g.stop()
	listen := f.listen
	if listen == "" {
		listen = "127.0.0.1:8180"
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(s.err, "\nHIS 经网关验收: HIS 接口 http://%s/api/v1/ , 接入密钥 (X-API-Key 或 Bearer, 只用于本次) %s\n浏览器打开 http://%s/ 可看进度; 跳过: s 回车; 结束: q 回车\n", ln.Addr(), g.st.key, ln.Addr())
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", g.w.Page())
	mux.Handle("/", newDoor(g.w, g.st.gw.addr()))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(ln) })
	defer func() { _ = srv.Close(); wg.Wait() }()
	if f.rehearse {
		h := &deskHIS{g: g, ctx: ctx, at: "http://" + ln.Addr().String()}
		h.play()
		return g.w.Result(true), nil
	}
	res := acceptWatch(ctx, s, f, g.w, heard)
	return res, nil
}

// deskHIS is a HIS that speaks to the front door of a gateway.
type deskHIS struct {
	g    *watchedGateway
	ctx  context.Context
	at   string // the door
	bill gateway.OpenSettlement
	set  gateway.Settlement
	stay gateway.Stay
	last string // the scenario played last
}

// post sends a request until its outcome is known; first is the first answer's status.
func (h *deskHIS) post(path string, body, v any) (first int, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	var status int
	var answer []byte
	for tries := range 100 {
		status, answer, err = post(h.ctx, h.at+path, h.g.st.key, text)
		if err != nil {
			return first, err
		}
		if tries == 0 {
			first = status
		}
		var state struct {
			Unknown bool `json:"outcome_unknown"`
		}
		switch _ = json.Unmarshal(answer, &state); {
		case (status == http.StatusOK || status == http.StatusCreated) && !state.Unknown:
			return first, json.Unmarshal(answer, v)
		case status == http.StatusOK || status == http.StatusCreated || status == http.StatusAccepted || status == http.StatusConflict || status >= 500:
		default:
			return first, fmt.Errorf("POST %s: %d %s", plainPath(path), status, told(answer))
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-h.ctx.Done():
			return first, h.ctx.Err()
		}
	}
	return first, fmt.Errorf("POST %s: 一直没有结果 / no outcome: %d %s", plainPath(path), status, told(answer))
}

// told is what a refusal says.
func told(answer []byte) string {
	var p struct {
		Code   string `json:"code"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
	}
	_ = json.Unmarshal(answer, &p) // a text that is no problem document says nothing
	return strings.TrimSpace(p.Code + " " + p.Title + " " + p.Detail)
}

// open makes the bill of a scenario and brings it up to the trial.
func (h *deskHIS) open(id, role string) error {
	p := h.g.w.Site().People[role]
	h.bill, _ = standardBill("A"+id, p.Cert, p.Name)
	h.bill.Insutype = p.Insutype
	h.set = gateway.Settlement{}
	_, err := h.post("/api/v1/settlements", h.bill, &h.set)
	return err
}

func (h *deskHIS) confirm() (int, error) {
	return h.post("/api/v1/settlements/"+h.set.ID+"/confirm", gateway.ConfirmSettlement{RequestID: h.bill.RequestID + "-C", Operator: h.bill.Operator}, &h.set)
}

func (h *deskHIS) refund(tag string, rows ...string) error {
	r := gateway.RefundSettlement{RequestID: h.bill.RequestID + tag, Operator: h.bill.Operator, Rows: rows}
	if len(rows) > 0 {
		r.Credential = &h.bill.Credential
	}
	_, err := h.post("/api/v1/settlements/"+h.set.ID+"/refund", r, &h.set)
	return err
}

// settled plays a settlement for a person.
func settled(role string) func(*deskHIS, string) error {
	return func(h *deskHIS, id string) error {
		if err := h.open(id, role); err != nil {
			return err
		}
		_, err := h.confirm()
		return err
	}
}

// unsure plays a settlement whose answer is not to be had or not to be believed: the answer to the HIS must not say
// that it failed, and the same request again must not settle again.
func unsure(h *deskHIS, id string) error {
	if err := h.open(id, "active"); err != nil {
		return err
	}
	first, err := h.confirm()
	got := ""
	if first != http.StatusOK && first != http.StatusAccepted {
		got = fmt.Sprint("HTTP ", first)
	}
	h.g.w.Judge("TIM-02", "200 或 202, 不是失败 / no failure", got)
	if err != nil {
		return err
	}
	was := h.set.SettlementID
	if _, err := h.confirm(); err != nil {
		return err
	}
	got = ""
	if h.set.SettlementID != was || h.set.State != gateway.BillSettled {
		got = string(h.set.State) + " " + string(h.set.SettlementID)
	}
	h.g.w.Judge("TIM-04", "同一笔结算 / the same settlement", got)
	return nil
}

// deskScripts is what the scripted HIS does in each scenario.
var deskScripts = map[string]func(*deskHIS, string) error{
	"H-OP-01": settled("active"), "H-OP-04": settled("elsewhere"), "H-UN-08": settled("active"), "H-SG-01": settled("active"),
	"H-UN-01": unsure, "H-UN-02": unsure, "H-UN-03": unsure, "H-UN-04": unsure, "H-UN-05": unsure, "H-UN-06": unsure, "H-UN-09": settled("active"),
	"H-OP-02": func(h *deskHIS, id string) error {
		return errors.Join(settled("active")(h, id), h.refund("-R"))
	},
	"H-UN-07": func(h *deskHIS, id string) error {
		return errors.Join(settled("active")(h, id), h.refund("-R"))
	},
	"H-OP-03": func(h *deskHIS, id string) error {
		if err := settled("active")(h, id); err != nil {
			return err
		}
		return h.refund("-P", h.bill.Fees[1].ID)
	},
	"H-OP-05": func(h *deskHIS, id string) error {
		p := h.g.w.Site().People["active"]
		h.bill, _ = standardBill("A"+id, p.Cert, p.Name)
		row := h.bill.Fees[0]
		h.bill.Fees = nil
		for i := range 120 {
			row.ID = fmt.Sprintf("A%s-%d", id, i)
			h.bill.Fees = append(h.bill.Fees, row)
		}
		h.bill.Total = "1200.00"
		h.set = gateway.Settlement{}
		if _, err := h.post("/api/v1/settlements", h.bill, &h.set); err != nil {
			return err
		}
		_, err := h.confirm()
		return err
	},
	"H-OP-06": func(h *deskHIS, id string) error {
		if err := h.open(id, "active"); err == nil {
			return errors.New("被拒绝的费用没有告知 HIS / the refusal was not told")
		}
		h.bill.RequestID += "-2"
		if _, err := h.post("/api/v1/settlements", h.bill, &h.set); err != nil {
			return err
		}
		_, err := h.confirm()
		return err
	},
	"H-IP-01": func(h *deskHIS, id string) error {
		p := h.g.w.Site().People["resident"]
		bill, _ := standardBill("A"+id, p.Cert, p.Name)
		day, operation := bill.Visit.Begin, gateway.Coded{Code: "00.1", Name: "测试手术"}
		h.bill, h.stay = bill, gateway.Stay{}
		for _, c := range []struct {
			path string
			body any
		}{
			{"", gateway.AdmitStay{RequestID: "A" + id, Operator: bill.Operator, Credential: bill.Credential, Insutype: p.Insutype, Diagnoses: bill.Diagnoses, Visit: gateway.StayInfo{
				Number: "ZY-" + id, MedType: "21", Begin: day, Doctor: bill.Visit.Doctor, Department: bill.Visit.Department, Bed: "01", Operation: operation}}},
			{"/fees", gateway.ChargeStay{RequestID: "F" + id, Operator: bill.Operator, Fees: bill.Fees}},
			{"/discharge", gateway.DischargeStay{RequestID: "D" + id, Operator: bill.Operator, End: day, Department: bill.Visit.Department, Way: "1", Diagnoses: bill.Diagnoses, Operation: operation}},
			{"/settle", gateway.SettleStay{RequestID: "E" + id, Operator: bill.Operator, Credential: &bill.Credential}},
		} {
			path := "/api/v1/stays"
			if c.path != "" {
				path += "/" + h.stay.ID + c.path
			}
			if _, err := h.post(path, c.body, &h.stay); err != nil {
				return err
			}
		}
		return nil
	},
	"H-IP-02": func(h *deskHIS, id string) error {
		if h.stay.ID == "" {
			return errors.New("没有住院可撤 / there is no stay")
		}
		_, err := h.post("/api/v1/stays/"+h.stay.ID+"/refund", gateway.RefundStay{RequestID: "X" + id, Operator: h.bill.Operator, To: "admission"}, &h.stay)
		return err
	},
}

// end judges what only the whole run shows: what stood in the journal before it left, and what lies on disk and in the log.
func (h *deskHIS) end() {
	g := h.g
	g.mu.Lock()
	g.w.Judge("TIM-03", "发送前已在日志中 / in the journal before it left", strings.Join(g.early, " "))
	g.mu.Unlock()
	var secrets, persons []string
	for _, p := range g.w.Site().People {
		secrets, persons = append(secrets, p.Cert), append(persons, p.Cert, p.Name)
	}
	got := ""
	_ = filepath.WalkDir(filepath.Join(g.st.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // a file that went away holds nothing
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		for _, s := range secrets {
			if bytes.Contains(b, []byte(s)) {
				got = filepath.Base(path)
			}
		}
		return nil
	})
	g.w.Judge("PRV-01", "数据文件夹里没有凭证 / no credential in the data folder", got)
	got = ""
	for _, s := range persons {
		if s != "" && strings.Contains(g.logs.text(), s) {
			got = "日志含个人信息 / the log names a person"
		}
	}
	g.w.Judge("PRV-02", "日志不含个人信息 / no person in the log", got)
}
