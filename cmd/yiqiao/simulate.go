package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/sm"
	"yiqiao/gateway/config"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/overlay"
	simcentre "yiqiao/simulator/centre"
	"yiqiao/simulator/fault"
	siminvoice "yiqiao/simulator/invoice"
)

func simulateCommand(s *streams) *cobra.Command {
	var path, faults string
	c := &cobra.Command{
		Use:   "simulate",
		Short: "启动模拟医保中心 / Start the simulated insurance centre",
		Long: `启动一个有状态的模拟医保中心: 参保人、余额、目录和政策见 docs/simulated-policy.md。
控制口可以查看账目、注入故障:

  curl http://127.0.0.1:8191/control/state
  curl -d '{"infno":"2207","kind":"commit-then-lose","times":1}' http://127.0.0.1:8191/control/faults`,
		Example: "  yiqiao simulate --config mysite\n  yiqiao simulate --config mysite --faults 'infno: 2207, kind: html, nth: 2'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			set, err := loadSimulator(path)
			if err != nil {
				return err
			}
			srv, err := newSimServer(set)
			if err != nil {
				return err
			}
			defer srv.close()
			if faults != "" {
				if err := srv.inject(faults); err != nil {
					return err
				}
			}
			fmt.Fprintf(s.out, "模拟医保中心已启动: http://%s\n", srv.addr())
			if srv.controlLn != nil {
				fmt.Fprintf(s.out, "控制口: http://%s/control/state\n", srv.controlLn.Addr())
			}
			if srv.einvoiceLn != nil {
				fmt.Fprintf(s.out, "模拟电子票据平台: http://%s\n", srv.einvoiceLn.Addr())
			}
			return srv.run(cmd.Context())
		},
	}
	c.Flags().StringVar(&path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().StringVar(&faults, "faults", "", "故障脚本, 见 docs/simulator.md / fault script")
	return c
}

// tables are what the simulated centre knows; nil: the published ones.
func (s *simulatorSettings) tables() (*catalog.Catalog, error) {
	if len(s.Editions) == 0 {
		return nil, nil
	}
	var files []string
	for _, f := range s.Editions {
		if !filepath.IsAbs(f) {
			f = filepath.Join(s.base, f)
		}
		files = append(files, f)
	}
	list, err := readOverlays(files)
	if err != nil {
		return nil, err
	}
	cat, _, err := overlay.Union(list)
	return cat, err
}

// simServer is a running simulator: the centre's port and the control port.
type simServer struct {
	centre        *simcentre.Centre
	issuer        *simcentre.Issuer // nil without access tokens
	faults        *fault.Script
	ln, controlLn net.Listener
	einvoice      *siminvoice.Platform // nil: none
	einvoiceLn    net.Listener
}

func newSimServer(s *simulatorSettings) (_ *simServer, err error) {
	p, err := provider(s.Provider)
	if err != nil {
		return nil, err
	}
	profile, transport, issuer, err := s.line(p)
	if err != nil {
		return nil, err
	}
	mobile, prescription, err := s.services(p)
	if err != nil {
		return nil, err
	}
	srv := &simServer{issuer: issuer}
	defer func() {
		if err != nil {
			srv.close()
		}
	}()
	cat, err := s.tables()
	if err != nil {
		return nil, err
	}
	if srv.faults, err = fault.NewScript(); err != nil {
		return nil, err
	}
	srv.centre, err = simcentre.New(simcentre.Options{
		Catalog: cat, Seed: s.Seed, Now: time.Now, Profile: profile, Transport: transport, Issuer: issuer, Mobile: mobile, Prescription: prescription, Skew: s.Skew.Or(5 * time.Minute),
		Region: simcentre.Region{AskByVisit: s.AskByVisit, RequireSign: s.SignIn, FileForm: s.FileForm}, Faults: srv.faults,
	})
	if err != nil {
		return nil, err
	}
	if srv.ln, err = net.Listen("tcp", s.Listen); err != nil {
		return nil, err
	}
	if srv.einvoice, srv.einvoiceLn, err = s.platform(time.Now); err != nil {
		return nil, err
	}
	if s.Control != "" {
		if srv.controlLn, err = net.Listen("tcp", s.Control); err != nil {
			return nil, err
		}
	}
	return srv, nil
}

func (s *simServer) addr() string { return s.ln.Addr().String() }

func (s *simServer) inject(plan string) error {
	rules, err := fault.Plan(plan)
	if err != nil {
		return err
	}
	return s.faults.Add(rules...)
}

// settlements counts what the centre has booked for a visit.
func (s *simServer) settlements(visit string) int {
	n := 0
	for _, set := range s.centre.Settlements() {
		if set.Visit == visit {
			n++
		}
	}
	return n
}

func (s *simServer) checkLedger() error { return s.centre.Check() }

// run serves both ports until ctx ends.
func (s *simServer) run(ctx context.Context) error {
	servers := []*http.Server{{Handler: s.centre.Handler(), ReadHeaderTimeout: 10 * time.Second}}
	listeners := []net.Listener{s.ln}
	if s.einvoice != nil {
		servers = append(servers, &http.Server{Handler: s.einvoice.Handler(), ReadHeaderTimeout: 10 * time.Second})
		listeners = append(listeners, s.einvoiceLn)
	}
	if s.controlLn != nil {
		control := http.NewServeMux()
		control.Handle("/", s.centre.Control())
		if s.einvoice != nil {
			control.Handle("/control/einvoice/", s.einvoice.Control())
		}
		servers = append(servers, &http.Server{Handler: control, ReadHeaderTimeout: 10 * time.Second})
		listeners = append(listeners, s.controlLn)
	}
	var wg sync.WaitGroup
	ended := make(chan error, len(servers))
	for i := range servers {
		wg.Go(func() { ended <- servers[i].Serve(listeners[i]) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	for _, srv := range servers {
		_ = srv.Close()
	}
	wg.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *simServer) close() {
	if s.centre != nil {
		s.centre.Close()
	}
	for _, ln := range []net.Listener{s.ln, s.controlLn, s.einvoiceLn} {
		if ln != nil {
			_ = ln.Close()
		}
	}
}

// checkSimulator does everything start-up does, short of listening.
func checkSimulator(path string) error {
	s, err := loadSimulator(path)
	if err != nil {
		return err
	}
	p, err := provider(s.Provider)
	if err != nil {
		return err
	}
	if _, _, _, err = s.line(p); err == nil {
		_, _, err = s.services(p)
	}
	return err
}

// services are the lines of the centres beside the core one; nil where there is none.
func (s *simulatorSettings) services(p sm.Provider) (mobile, prescription *simcentre.Line, err error) {
	sec := newSecrets(s.base, s.Keys)
	for _, l := range []struct {
		name string
		set  *endpointSettings
		to   **simcentre.Line
	}{{"mobile", s.Mobile, &mobile}, {"prescription", s.Prescription, &prescription}} {
		if l.set == nil {
			continue
		}
		if err := l.set.sealed(); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", l.name, err)
		}
		line := &simcentre.Line{}
		if line.Profile, line.Transport, err = l.set.protect(p, sec, lineEnds{now: time.Now}); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", l.name, err)
		}
		*l.to = line
	}
	return mobile, prescription, nil
}

// line is the centre's end of an endpoint; issuer is nil for a transport without access tokens.
func (s *simulatorSettings) line(p sm.Provider) (envelope.Profile, envelope.Transport, *simcentre.Issuer, error) {
	e, ends, sec := s.Protect, lineEnds{now: time.Now}, newSecrets(s.base, s.Keys)
	var issuer *simcentre.Issuer
	if e.Transport == "oauth-cainfo" {
		o := simcentre.IssuerOptions{Username: e.Username}
		for _, f := range []struct {
			name string
			from config.Secret
			to   *string
		}{{"client_id", e.ClientID, &o.ClientID}, {"client_secret", e.ClientSecret, &o.ClientSecret}, {"password", e.Password, &o.Password}} {
			if f.name == "password" && e.Username == "" {
				continue
			}
			var err error
			if *f.to, err = sec.text(f.from); err != nil {
				return nil, nil, nil, fmt.Errorf("%s: %w", f.name, err)
			}
		}
		issuer = simcentre.NewIssuer(o)
		ends.accept = issuer.Accept
	}
	profile, transport, err := e.protect(p, sec, ends)
	return profile, transport, issuer, err
}
