package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"yiqiao/crypto/sm"
	"yiqiao/schemas/catalog"
	"yiqiao/simulator/acceptance"
	"yiqiao/simulator/acceptance/watch"
	simcentre "yiqiao/simulator/centre"
)

// acceptHIS watches a HIS: a simulated centre listens, the HIS works through the scenarios, and every message is judged.
func acceptHIS(ctx context.Context, s *streams, f acceptFlags, p sm.Provider, cat *catalog.Catalog, site acceptance.Site) (*acceptance.Result, error) {
	listen := f.listen
	o := watch.Options{Catalog: cat, Rand: rand.Reader, Now: time.Now, Site: site, Suite: f.suite, Only: f.only, Originals: f.keep}
	if f.config != "" {
		set, err := loadSimulator(f.config)
		if err != nil {
			return nil, err
		}
		var issuer *simcentre.Issuer
		if o.Profile, o.Transport, issuer, err = set.line(p); err != nil {
			return nil, err
		}
		envelopeName, transportName := set.Protect.names()
		if err := presetFits(f, envelopeName, transportName, ""); err != nil {
			return nil, err
		}
		o.Site.SignIn = set.SignIn
		if f.preset != nil {
			o.Site.SignIn = f.preset.SignIn
		}
		if issuer != nil {
			return nil, errors.New("令牌方式 (oauth-cainfo) 的 HIS 验收尚不支持 / oauth-cainfo is not there for a HIS")
		}
		o.Sealed, o.Skew = o.Profile != nil && set.Protect.Envelope != "none" && set.Protect.Envelope != "", set.Skew.Or(5*time.Minute)
		if listen == "" {
			listen = set.Listen
		}
	}
	if listen == "" {
		listen = "127.0.0.1:8190"
	}
	sim, err := simcentre.New(simcentre.Options{Catalog: cat, Region: simcentre.Region{AskByVisit: f.preset == nil || f.preset.AskByVisit, SettleBeforeDischarge: site.SettleBeforeDischarge, RequireSign: o.Site.SignIn, FundIncludesAccount: site.FundIncludesAccount}})
	if err != nil {
		return nil, err
	}
	defer sim.Close()
	o.Centre = sim.Handler()
	heard := make(chan struct{}, 1)
	o.Show = func(h watch.Hint) {
		acceptHint(s, h)
		select {
		case heard <- struct{}{}:
		default:
		}
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(s.err, "HIS 验收: 请把 HIS 的中心地址指向 http://%s/ (任何路径); 浏览器打开同一地址可看进度\n测试人员与项目: yiqiao accept site; 跳过当前场景: 输入 s 回车; 结束: 输入 q 回车\n\n", ln.Addr())
	w, err := watch.New(o)
	if err != nil {
		_ = ln.Close()
		return nil, err
	}
	page := w.Page()
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			page.ServeHTTP(rw, r)
			return
		}
		w.ServeHTTP(rw, r)
	})}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(ln) })
	defer func() { // the last answer is still on its way
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if srv.Shutdown(end) != nil {
			_ = srv.Close()
		}
		wg.Wait()
	}()
	if f.rehearse {
		wg.Go(func() {
			rehearse(ctx, cat, "http://"+ln.Addr().String()+"/fsi/api", o.Site)
			w.GoOn() // the script has nothing more to send
		})
	}
	return acceptWatch(ctx, s, f, w, heard), nil
}

// acceptWatch waits until the scenarios are over, nothing came for too long, or the person ends it.
func acceptWatch(ctx context.Context, s *streams, f acceptFlags, w *watch.Watcher, heard <-chan struct{}) *acceptance.Result {
	lines := make(chan string)
	if !f.rehearse && s.in != nil {
		go func() { // ends with the input, or with the program: reading can not be called off
			in := bufio.NewScanner(s.in)
			for in.Scan() {
				select {
				case lines <- strings.TrimSpace(in.Text()):
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	quiet := time.NewTimer(f.wait)
	defer quiet.Stop()
	for {
		select {
		case <-w.Done():
			return w.Result(true)
		case <-ctx.Done():
			return w.Result(true)
		case <-quiet.C:
			fmt.Fprintf(s.err, "%s 内没有收到报文, 验收结束\n", f.wait)
			return w.Result(true)
		case <-heard:
			quiet.Reset(f.wait)
		case line := <-lines:
			switch line {
			case "s":
				w.Skip("由操作者跳过 / skipped by the person at the HIS")
			case "q":
				return w.Result(true)
			}
		}
	}
}

// acceptHint prints what is waited for.
func acceptHint(s *streams, h watch.Hint) {
	for _, f := range h.Faults {
		fmt.Fprintf(s.err, "  ✗ %s\n", f)
	}
	switch {
	case h.Scenario == "":
		fmt.Fprintln(s.err, "全部场景已结束")
	case h.Step == 1 && len(h.Next) == 0:
		fmt.Fprintf(s.err, "\n【%s】%s\n  %s\n", h.Scenario, h.Title.ZH, h.Task.ZH)
	case h.Step == 1:
		fmt.Fprintf(s.err, "\n【%s】%s\n  %s\n  下一步: %s %s\n", h.Scenario, h.Title.ZH, h.Task.ZH, strings.Join(h.Next, " / "), h.Note.ZH)
	case len(h.Next) > 0:
		fmt.Fprintf(s.err, "  %d/%d 下一步: %s %s\n", h.Step, h.Of, strings.Join(h.Next, " / "), h.Note.ZH)
	}
}

// rehearse plays a correct HIS, so that somebody can see a run before his own HIS is connected.
func rehearse(ctx context.Context, cat *catalog.Catalog, url string, site acceptance.Site) {
	cases, inputs, err := watch.Script()
	if err != nil {
		return
	}
	c := &acceptance.Client{URL: url, HTTP: &http.Transport{DisableKeepAlives: true}, Rand: rand.Reader, Now: time.Now}
	if c.Profile, err = plainLine(); err != nil {
		return
	}
	r, err := acceptance.New(cat, acceptance.Options{Target: c, Site: site, Cases: cases, Inputs: inputs, Now: time.Now, Seed: 1})
	if err != nil {
		return
	}
	r.Run(ctx)
}
