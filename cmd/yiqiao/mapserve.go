package main

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"yiqiao/adapters/his/hl7"
	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/gateway/mapping"
	"yiqiao/schemas/ident"
)

// hl7Settings is one MLLP listener of yiqiao.yaml.
type hl7Settings struct {
	Listen      string          `yaml:"listen"`
	Mapping     string          `yaml:"mapping"` // name of a shipped one, or a folder
	Items       string          `yaml:"items"`   // table of items; default: items.csv or .xlsx in the mapping's folder
	Charset     string          `yaml:"charset"` // of messages that do not say; default: found out
	Cert        string          `yaml:"cert"`    // TLS: certificate chain and key, PEM files
	Key         string          `yaml:"key"`
	ClientCA    string          `yaml:"client_ca"` // with TLS: senders must show a certificate of it
	Clients     []hl7Client     `yaml:"clients"`
	MaxFrame    int             `yaml:"max_frame_bytes"`
	FrameTime   config.Duration `yaml:"frame_time"`
	Idle        config.Duration `yaml:"idle"`
	Connections int             `yaml:"connections"`
	Concurrent  int             `yaml:"concurrent"`
}

type hl7Client struct {
	System       string          `yaml:"system"`
	KeyDigest    string          `yaml:"key_digest"` // SM3 of MSH-8, 64 hex digits
	Networks     []string        `yaml:"networks"`   // 10.1.0.0/16
	App          string          `yaml:"app"`        // MSH-3
	Facility     string          `yaml:"facility"`   // MSH-4
	Institutions []string        `yaml:"institutions"`
	Deliver      deliverSettings `yaml:"deliver"` // where final answers are brought as messages: url mllp://HOST:PORT or mllps://
}

// hl7Listener is one that is open, ready to be run.
type hl7Listener struct {
	ln   net.Listener
	srv  *hl7.Server
	live *mapping.Live
}

// mapReload is how often a mapping's files are looked at.
const mapReload = 5 * time.Second

// checkHL7 tells what does not fit together; the rest is found when it is built.
func (s *gatewaySettings) checkHL7(known map[string]bool) (faults []string) {
	for i, h := range s.HL7 {
		bad := func(format string, a ...any) {
			faults = append(faults, fmt.Sprintf("hl7[%d]: ", i)+fmt.Sprintf(format, a...))
		}
		if h.Listen == "" || h.Mapping == "" {
			bad("listen and mapping are needed")
		}
		if (h.Cert == "") != (h.Key == "") || h.ClientCA != "" && h.Cert == "" {
			bad("cert and key go together; client_ca needs them")
		}
		for _, c := range h.Clients {
			if c.System == "yiqiao" {
				bad("the name yiqiao is the gateway's own")
			}
			for _, code := range c.Institutions {
				if !known[code] {
					bad("client %s: institution %s is not described", c.System, code)
				}
			}
		}
	}
	return faults
}

// definitionAt is where a mapping of the configuration lies: a folder is relative to the configuration, every
// other name is that of a shipped one.
func (s *gatewaySettings) definitionAt(where string) string {
	at := s.path(where)
	if strings.ContainsAny(where, `/\.`) {
		return at
	}
	if _, err := os.Stat(filepath.Join(at, mapping.File)); err == nil {
		return at
	}
	return where
}

// mappingAt loads a mapping that may be changed while it is in use.
func (s *gatewaySettings) mappingAt(where, items string) (*mapping.Live, error) {
	where = s.definitionAt(where)
	if items != "" {
		items = s.path(items)
	}
	_, folder, _, err := findDefinition(where)
	if err != nil {
		return nil, err
	}
	cat, tables, err := s.tables()
	if err != nil {
		return nil, err
	}
	return mapping.NewLive(
		func() (*mapping.Definition, error) {
			d, err := loadDefinitionIn(where, items, cat, tables)
			if err != nil {
				return nil, err
			}
			return d.Definition, nil
		},
		func() string { return stampOf(folder, items) })
}

// openHL7 builds a listener and opens its port.
func (srv *server) openHL7(g *gatewaySettings, name string, h hl7Settings, clock gateway.Clock) (*hl7Listener, error) {
	live, err := g.mappingAt(h.Mapping, h.Items)
	if err != nil {
		return nil, err
	}
	kept, err := srv.kept(g, live, "hl7", clock)
	if err != nil {
		return nil, err
	}
	o := hl7.Options{Desk: srv.front(), Mapper: srv.drawnMapper(kept), Digest: func(b []byte) [32]byte { return srv.parts.provider.SM3(b) }, Clock: clock, Log: srv.parts.log, Charset: h.Charset,
		MaxFrame: h.MaxFrame, MaxConnections: h.Connections, MaxConcurrent: h.Concurrent, FrameTime: time.Duration(h.FrameTime), Idle: time.Duration(h.Idle)}
	for _, c := range h.Clients {
		client := hl7.Client{System: c.System, App: c.App, Facility: c.Facility}
		if c.KeyDigest != "" {
			if n, err := hex.Decode(client.KeyDigest[:], []byte(c.KeyDigest)); err != nil || n != len(client.KeyDigest) {
				return nil, fmt.Errorf("client %s: key_digest must be 64 hex digits", c.System)
			}
		}
		for _, n := range c.Networks {
			p, err := netip.ParsePrefix(n)
			if err != nil {
				return nil, fmt.Errorf("client %s: %w", c.System, err)
			}
			client.Networks = append(client.Networks, p)
		}
		for _, in := range c.Institutions {
			client.Institutions = append(client.Institutions, ident.Institution(in))
		}
		o.Clients = append(o.Clients, client)
	}
	l := &hl7Listener{live: live}
	if l.srv, err = hl7.New(o); err != nil {
		return nil, err
	}
	tc, err := srv.listenTLS(g, name, tlsSettings{Cert: h.Cert, Key: h.Key, ClientCA: h.ClientCA}, clock)
	if err != nil {
		return nil, err
	}
	if tc != nil && tc.ClientCAs != nil {
		tc.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if l.ln, err = net.Listen("tcp", h.Listen); err != nil {
		return nil, err
	}
	if tc != nil {
		l.ln = tls.NewListener(l.ln, tc)
	}
	return l, nil
}

// openMapped opens every listener of mapped messages; they work beside the desk.
func (srv *server) openMapped(g *gatewaySettings, clock gateway.Clock) error {
	for i, h := range g.HL7 {
		l, err := srv.openHL7(g, "hl7:"+strconv.Itoa(i), h, clock)
		if err != nil {
			return fmt.Errorf("hl7[%d]: %w", i, err)
		}
		srv.closers = append(srv.closers, func() { _ = l.ln.Close() })
		srv.hl7 = append(srv.hl7, l)
		srv.parts.log.Info("HL7 over MLLP", "listen", l.ln.Addr().String(), "mapping", l.live.Current().Version())
		srv.beside = append(srv.beside, func(ctx context.Context) error {
			var wg sync.WaitGroup
			defer wg.Wait()
			watch, stop := context.WithCancel(ctx)
			defer stop()
			wg.Go(func() { l.live.Watch(watch, clock, mapReload, srv.parts.log) })
			err := l.srv.Serve(ctx, l.ln)
			if err != nil {
				srv.parts.log.Error("an HL7 listener ended", "listen", h.Listen, "err", err.Error())
			}
			return err
		})
	}
	if err := srv.openFiles(g, clock); err != nil {
		return err
	}
	if err := srv.openDBView(g, clock); err != nil {
		return err
	}
	if err := srv.openSOAP(g, clock); err != nil {
		return err
	}
	return srv.openFHIR(g, clock)
}
