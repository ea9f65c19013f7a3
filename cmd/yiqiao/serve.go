package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"

	"yiqiao/adapters/his/admit"
	"yiqiao/adapters/his/rest"
	"yiqiao/gateway"
	"yiqiao/gateway/certs"
	"yiqiao/gateway/flow"
	"yiqiao/gateway/invoice"
	"yiqiao/gateway/observe/trace"
	"yiqiao/gateway/review"
	"yiqiao/gateway/traffic"
	"yiqiao/schemas/ident"
)

func serveCommand(s *streams) *cobra.Command {
	var path, listen, profile, name string
	var stats bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "启动网关 / Start the gateway",
		Long: `启动网关并提供 HIS 接口。按 Ctrl-C 时先办完手上的请求再退出; 任何时候断电或被强制结束也不会
丢失或重复结算: 重启后自动核实未决的交易。`,
		Example: "  yiqiao serve --config mysite\n  yiqiao serve --config mysite2 --name gateway-2   # 另一台, 同一 PostgreSQL",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			g, err := loadGateway(path)
			if err != nil {
				return err
			}
			if listen != "" {
				g.Listen = listen
			}
			if name != "" {
				g.Name = name
			}
			srv, err := newServer(cmd.Context(), g, s.err, systemClock{})
			if err != nil {
				return err
			}
			defer srv.close()
			tuneCollector()
			if profile != "" {
				stop, err := profileTo(profile)
				if err != nil {
					return err
				}
				defer stop()
			}
			if stats {
				defer printStats(s.err, srv, heapInUse())
			}
			fmt.Fprintf(s.out, "医桥网关已启动: %s://%s  (接口说明 /openapi.json)\n", g.scheme(), srv.addr())
			return srv.run(cmd.Context())
		},
	}
	c.Flags().StringVar(&path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().StringVar(&name, "name", "", "本网关在共用交易日志的各网关中的名字 / what this gateway is called among those on one journal")
	c.Flags().StringVar(&profile, "cpuprofile", "", "把 CPU 采样写入文件 / write a CPU profile")
	c.Flags().BoolVar(&stats, "stats", false, "退出时打印落盘与内存统计 / print journal and memory figures at the end")
	c.Flags().StringVar(&listen, "listen", "", "覆盖配置中的地址 / listen here instead")
	return c
}

// server is a running gateway: everything in parts, plus the journal, the desk and a listener.
type server struct {
	parts    *parts
	lock     *flock.Flock
	journal  opened
	queue    gateway.Queue
	tracer   *trace.Tracer // nil: nobody looks
	desk     *flow.Desk
	book     *review.Book
	invoices *invoice.Office
	beside   []func(context.Context) error // what runs beside the desk; see besides
	troubles []func() string               // what they say fails, "" when nothing does
	hl7      []*hl7Listener
	recorder *traffic.Recorder // nil unless traffic is recorded
	mounts   []mount
	routes   []string // of the HIS interface, and what is mounted beside it
	refused  *refusals
	guard    *admit.Guard
	pairs    []*certs.Pair // certificates of our listeners; nothing is added once it runs
	ln       net.Listener
	http     *http.Server
	closers  []func()
}

// tuneCollector lets the heap grow to several times what is in use before it is swept: the gateway
// keeps a few MB and makes much short-lived garbage. What reading the tables at the start took goes
// back first. GOGC and GOMEMLIMIT in the environment have the last word.
func tuneCollector() {
	debug.FreeOSMemory()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(1000)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(512 << 20) // beyond this it is swept more often, not refused
	}
}

// drain is how long open requests may take to finish when the program is told to stop.
const drain = 30 * time.Second

// newServer builds the gateway, recovers the journal and listens; run starts to work. On error
// nothing is left open.
func newServer(ctx context.Context, g *gatewaySettings, logTo io.Writer, clock gateway.Clock) (_ *server, err error) {
	srv := &server{}
	defer func() {
		if err != nil {
			srv.close()
		}
	}()
	defer g.places().close() // from now on every part has the keys it needs
	if srv.parts, err = g.build(logTo, clock); err != nil {
		return nil, err
	}
	log := srv.parts.log
	// net/http reports some bytes of a broken reply through the standard logger.
	slog.SetDefault(log)
	dir := g.path(g.Data)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	srv.lock = flock.New(filepath.Join(dir, "lock"))
	if ok, err := srv.lock.TryLock(); err != nil || !ok {
		return nil, fmt.Errorf("%s 正被另一个网关使用 / is in use by another gateway", dir)
	}
	srv.closers = append(srv.closers, func() { _ = srv.lock.Unlock() })
	if err = srv.openTracer(g); err != nil {
		return nil, err
	}
	g.auditAs, g.clock = g.auditName(), clock
	if srv.journal, err = g.openJournal(ctx, srv.parts.provider); err != nil {
		return nil, err
	}
	srv.closers = append(srv.closers, srv.journal.close)
	if srv.queue, err = g.openQueue(clock, log); err != nil {
		return nil, err
	}
	srv.closers = append(srv.closers, func() { _ = srv.queue.Close() })
	name, err := g.processName()
	if err != nil {
		return nil, err
	}
	checkers, err := g.checkers(srv.parts, clock)
	if err != nil {
		return nil, err
	}
	srv.desk, err = flow.New(flow.Options{
		Name:         name,
		Queue:        srv.queue,
		Journal:      srv.drawnJournal(crashJournal(srv.journal)),
		Trace:        srv.drawn(),
		Centre:       func(i ident.Institution) gateway.Centre { return srv.centre(i) },
		Institutions: srv.parts.institutions, Catalog: srv.parts.catalog, Check: checkers, Clock: clock,
		Digest: srv.journal.vault.Digest, Timing: g.timing(), Log: log, Kinds: caseKinds(),
	})
	if err != nil {
		return nil, err
	}
	log.Info("gateway", "name", name, "version", version)
	if err := srv.desk.Recover(ctx); err != nil {
		return nil, fmt.Errorf("核实上次未决的交易时 / recovering the journal: %w", err)
	}
	if err := srv.started(ctx, name); err != nil {
		return nil, err
	}
	if srv.invoices, err = g.invoiceOffice(srv.parts, srv.journal, srv.desk, clock); err != nil {
		return nil, err
	}
	srv.beside = append(srv.beside, srv.invoices.Run)
	if err = srv.besides(g, clock); err != nil {
		return nil, err
	}
	if err = srv.openGuard(g, clock); err != nil {
		return nil, err
	}
	if err = srv.openMapped(g, clock); err != nil {
		return nil, err
	}
	srv.refused = &refusals{dir: filepath.Join(dir, "refused"), log: log}
	srv.closers = append(srv.closers, srv.refused.close)
	o := rest.Options{
		Desk: srv.front(), Guard: srv.guard, Digest: func(b []byte) [32]byte { return srv.parts.provider.SM3(b) },
		Clock: clock, Log: log, Version: version, MaxBody: g.Limits.BodyBytes, MaxConcurrent: g.Limits.Concurrent, Refused: srv.refused.note,
	}
	srv.parts.watch.calls(&o)
	srv.denied(&o, clock)
	if err = srv.watched(g); err != nil {
		return nil, err
	}
	register, err := g.register(srv.journal, srv.parts.provider, clock)
	if err != nil {
		return nil, err
	}
	o.Reviews, o.People, o.Doorkeeper = review.Desk{Book: srv.book}, prover{g, register}, register
	for _, in := range g.Institutions {
		o.Institutions = append(o.Institutions, ident.Institution(in.Code))
	}
	if o.Operations, err = srv.operations(g, register, clock, o.Institutions); err != nil {
		return nil, err
	}
	h, err := srv.mounted(o)
	if err != nil {
		return nil, err
	}
	tc, err := srv.interfaceTLS(g, clock)
	if err != nil {
		return nil, err
	}
	if srv.ln, err = net.Listen("tcp", g.Listen); err != nil {
		return nil, err
	}
	if tc != nil {
		srv.ln = tls.NewListener(srv.ln, tc)
	}
	srv.closers = append(srv.closers, func() { _ = srv.ln.Close() })
	srv.http = &http.Server{
		Handler: srv.drawnHandler(h), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute,
		WriteTimeout: 15 * time.Minute, // the waiting for a centre is bounded by the centre's own limits
		IdleTimeout:  2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return srv, nil
}

// centre is the way to the centre an institution belongs to.
func (srv *server) centre(i ident.Institution) gateway.Centre {
	return crashCentre(srv.parts.ways[i])
}

func (srv *server) addr() string { return srv.ln.Addr().String() }

// run serves until ctx ends, lets open requests finish, and stops what it started.
func (srv *server) run(ctx context.Context) (over error) {
	defer func() { srv.stopped(over) }() // when everything has ended
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	deskErr := make(chan error, 1)
	wg.Go(func() { deskErr <- srv.desk.Run(work) })
	wg.Go(func() { _ = srv.journal.audit.Run(work) })
	for _, run := range srv.beside {
		wg.Go(func() { _ = run(work) }) // it logs what goes wrong, and ends with work
	}
	served := make(chan error, 1)
	wg.Go(func() { served <- srv.http.Serve(srv.ln) })
	var err error
	select {
	case err = <-served:
	case err = <-deskErr:
	case <-ctx.Done():
		limit, cancel := context.WithTimeout(work, drain)
		err = srv.http.Shutdown(limit)
		cancel()
	}
	_ = srv.http.Close()
	stop()
	switch {
	case errors.Is(err, http.ErrServerClosed), errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, gateway.ErrStale):
		return fmt.Errorf("另一个网关以同一名字启动, 本网关退出; 请给各网关不同的 name / %w", err)
	}
	return err
}

// close releases everything, last opened first. It may be called more than once.
func (srv *server) close() {
	for i := len(srv.closers) - 1; i >= 0; i-- {
		srv.closers[i]()
	}
	srv.closers = nil
}

// refusals keeps the record of refused calls: one line of JSON each, one file a day. It holds no
// content of messages.
type refusals struct {
	dir string
	log *slog.Logger

	mu  sync.Mutex
	day string
	f   *os.File
}

func (r *refusals) note(c rest.RefusedCall) {
	r.mu.Lock()
	defer r.mu.Unlock()
	day := c.At.In(gateway.China).Format("2006-01-02")
	if day != r.day {
		if err := r.open(day); err != nil {
			r.log.Error("refused calls can not be recorded", "err", err)
			return
		}
	}
	line, err := json.Marshal(map[string]any{
		"at": c.At.In(gateway.China).Format(time.RFC3339Nano), "method": c.Method, "route": c.Route, "system": c.System,
		"request_id": c.RequestID, "code": c.Code, "status": c.Status, "path": plainPath(c.Path), "reference": c.Reference,
	})
	if err == nil {
		_, err = r.f.Write(append(line, '\n'))
	}
	if err != nil {
		r.log.Error("refused calls can not be recorded", "err", err)
	}
}

// plainPath is the path of a field as it may be written down: members whose names are none of an
// interface may be anything, a person's number too.
func plainPath(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		digits := 0
		for _, c := range []byte(p) {
			switch {
			case c >= '0' && c <= '9':
				digits++
			case (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_':
				digits = 99
			}
		}
		if digits > 5 || len(p) > 40 {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

func (r *refusals) open(day string) error {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(r.dir, day+".jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if r.f != nil {
		_ = r.f.Close()
	}
	r.f, r.day = f, day
	return nil
}

func (r *refusals) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.f != nil {
		_ = r.f.Close()
		r.f, r.day = nil, ""
	}
}
