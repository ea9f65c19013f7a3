package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"yiqiao/adapters/his/rest"
	"yiqiao/adapters/region"
	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/audit"
	"yiqiao/gateway/centre"
	"yiqiao/gateway/config"
	"yiqiao/gateway/flow"
	"yiqiao/gateway/journal"
	"yiqiao/gateway/observe"
	"yiqiao/gateway/store"
	"yiqiao/gateway/vault"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

// journalFile is the database inside the data folder.
const journalFile = "journal.db"

// parts is everything a configuration describes, built but not started.
type parts struct {
	provider     sm.Provider
	catalog      *catalog.Catalog
	institutions map[ident.Institution]*gateway.Institution
	centres      map[string]*centre.Client
	ways         map[ident.Institution]gateway.Centre // all centres of an institution as one
	clients      []rest.Client
	log          *slog.Logger
	watch        *watching // nil: nobody watches
}

// path is p relative to the folder of the configuration file.
func (s *gatewaySettings) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(s.base, p)
}

// provider gives the cryptography of a configuration, tested against known answers and against the
// other implementation before it is used.
func provider(name string) (sm.Provider, error) {
	if name == "" {
		name = "emmansun"
	}
	chosen, err := sm.New(name)
	if err != nil {
		return nil, err
	}
	all := []sm.Provider{chosen}
	for _, other := range sm.Names() {
		if other == name {
			continue
		}
		p, err := sm.New(other)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	if err := sm.SelfTest(all...); err != nil {
		return nil, fmt.Errorf("密码自检失败 / self-test of the cryptography failed: %w", err)
	}
	return chosen, nil
}

// build makes every part that needs no disk but keys, and so finds every mistake of a configuration.
func (s *gatewaySettings) build(logTo io.Writer, clock gateway.Clock) (*parts, error) {
	cat, _, err := s.tables()
	if err != nil {
		return nil, err
	}
	level, err := logLevel(s.Log.Level)
	if err != nil {
		return nil, err
	}
	p := &parts{catalog: cat, institutions: map[ident.Institution]*gateway.Institution{}, ways: map[ident.Institution]gateway.Centre{},
		centres: map[string]*centre.Client{},
		log: observe.NewLogger(logTo, observe.Options{Level: level, JSON: s.Log.Format == "json", TraceID: s.Trace.traceID(),
			Personal: func(key string) bool { return cat.Personal(key) || cat.Credential(key) }})}
	if p.provider, err = provider(s.Provider); err != nil {
		return nil, err
	}
	if p.watch, err = s.watching(p, clock); err != nil {
		return nil, err
	}
	if _, err := s.wrappers(p.provider); err != nil {
		return nil, err
	}
	if _, err := s.databasePassword(); err != nil {
		return nil, err
	}
	if _, err := s.receivers(); err != nil {
		return nil, err
	}
	for name, c := range s.Centres {
		if p.centres[name], err = s.buildCentre(name, c, p, clock); err != nil {
			return nil, fmt.Errorf("centres.%s: %w", name, err)
		}
	}
	for _, in := range s.Institutions {
		r, err := s.region(in.Region)
		if err != nil {
			return nil, fmt.Errorf("institution %s: %w", in.Code, err)
		}
		code := ident.Institution(in.Code)
		p.institutions[code] = &gateway.Institution{Code: code, Name: in.Name, Area: in.Area, Receiver: in.Receiver, Version: in.Version,
			MAC: in.MAC, IP: in.IP, DevNo: in.DevNo, DevSafe: in.DevSafe, HospLevel: in.Level, Region: r}
		if p.ways[code], err = s.way(in, p); err != nil {
			return nil, fmt.Errorf("institution %s: %w", in.Code, err)
		}
	}
	for _, h := range s.HIS {
		c, err := s.client(h)
		if err != nil {
			return nil, err
		}
		p.clients = append(p.clients, c)
	}
	return p, nil
}

func (s *gatewaySettings) region(name string) (*gateway.Region, error) {
	if file, ok := strings.CutPrefix(name, "file:"); ok {
		f, err := os.Open(s.path(file))
		if err != nil {
			return nil, fmt.Errorf("region: %w", err)
		}
		defer f.Close()
		return region.Read(f)
	}
	if name == "" {
		name = "national"
	}
	return region.Load(name)
}

func (s *gatewaySettings) buildCentre(name string, c centreSettings, p *parts, clock gateway.Clock) (*centre.Client, error) {
	profile, transport, tokens, err := c.line(p.provider, s.places(), clock)
	if err != nil {
		return nil, err
	}
	service, err := s.service(c, p.catalog)
	if err != nil {
		return nil, err
	}
	multi, err := c.multipart()
	if err != nil {
		return nil, err
	}
	limits := map[catalog.Limit]time.Duration{}
	for class, d := range map[catalog.Limit]config.Duration{catalog.LimitQuery: c.Query, catalog.LimitWrite: c.Write, catalog.LimitSettle: c.Settle, catalog.LimitFile: c.File} {
		if d > 0 {
			limits[class] = time.Duration(d)
		}
	}
	return centre.New(centre.Options{
		BaseURL: c.URL, URLStyle: c.URLStyle, ContentType: c.ContentType,
		Profile: profile, Transport: transport, Tokens: tokens, Service: service, Multipart: multi, ReplyWindow: time.Duration(c.ReplyWindow), MaxSkew: time.Duration(c.MaxSkew),
		Limits: limits, Connect: time.Duration(c.Connect), MaxInFlight: c.MaxInFlight,
		Breaker: centre.Breaker{Consecutive: uint32(max(c.BreakerTrip, 0)), Open: time.Duration(c.BreakerOpen)},
		Clock:   clock, Rand: rand.Reader, SM3: p.provider.SM3, Log: p.log, Observe: p.watch.line(name),
	})
}

// wrappers are the keys that wrap the keys of bodies at rest, the present one first.
func (s *gatewaySettings) wrappers(p sm.Provider) ([]keys.Wrapper, error) {
	sec := s.places()
	w, err := sec.wrapper(p, s.Journal.Key)
	if err != nil {
		return nil, fmt.Errorf("journal.key: %w", err)
	}
	list := []keys.Wrapper{w}
	old, err := sec.old(s.Journal.Key)
	if err != nil {
		return nil, fmt.Errorf("journal.key: %w", err)
	}
	for _, text := range old {
		m, err := masterWrapper(p, text)
		if err != nil {
			return nil, fmt.Errorf("journal.key: %w", err)
		}
		list = append(list, m)
	}
	for i, at := range s.Journal.OldKeys {
		w, err := sec.wrapper(p, at)
		if err != nil {
			return nil, fmt.Errorf("journal.old_keys[%d]: %w", i, err)
		}
		list = append(list, w)
	}
	return list, nil
}

// opened is an open database with the journal on it.
type opened struct {
	*journal.Journal
	db    *store.DB
	vault *vault.Vault
	audit *audit.Log
}

func (o opened) close() {
	err := o.Journal.Close()
	o.signAudit()
	_ = errors.Join(err, o.db.Close())
	o.vault.Close()
}

// store says where the journal is kept.
func (s *gatewaySettings) store() (store.Options, error) {
	o := store.Options{Sync: s.Journal.Sync, Writers: s.Journal.Writers}
	if s.Journal.Database == "" {
		dir := s.path(s.Data)
		o.Path = filepath.Join(dir, journalFile)
		return o, os.MkdirAll(dir, 0o700)
	}
	o.DSN = s.Journal.Database
	var err error
	o.Password, err = s.databasePassword()
	return o, err
}

// databasePassword is "" where none is given.
func (s *gatewaySettings) databasePassword() (string, error) {
	if !s.Journal.DatabasePassword.Set() {
		return "", nil
	}
	text, err := s.places().text(s.Journal.DatabasePassword)
	if err != nil {
		return "", fmt.Errorf("journal.database_password: %w", err)
	}
	return text, nil
}

// openJournal opens the database and the journal on it.
func (s *gatewaySettings) openJournal(ctx context.Context, p sm.Provider) (opened, error) {
	o, err := s.store()
	if err != nil {
		return opened{}, err
	}
	return s.openJournalAt(ctx, p, o)
}

func (s *gatewaySettings) openJournalAt(ctx context.Context, p sm.Provider, o store.Options) (opened, error) {
	wrappers, err := s.wrappers(p)
	if err != nil {
		return opened{}, err
	}
	db, err := store.Open(ctx, o)
	if err != nil {
		return opened{}, err
	}
	v, err := vault.Open(ctx, db, vault.Options{Provider: p, Wrappers: wrappers})
	if err != nil {
		return opened{}, errors.Join(explainVault(err), db.Close())
	}
	record, err := s.openAudit(db, p, v.Digest([]byte("yiqiao audit")))
	if err != nil {
		v.Close()
		return opened{}, errors.Join(err, db.Close())
	}
	j, err := journal.Open(db, journal.Options{Sealer: sealerOf(v), Audit: record})
	if err != nil {
		v.Close()
		return opened{}, errors.Join(err, db.Close())
	}
	return opened{j, db, v, record}, nil
}

// explainVault says in Chinese what to do when the keys of the journal are not there.
func explainVault(err error) error {
	switch {
	case errors.Is(err, vault.ErrKeyMissing):
		return fmt.Errorf("交易日志由另一把主密钥保护: 请把它配回 journal.key 或 journal.old_keys: %w", err)
	case errors.Is(err, vault.ErrKeyLost):
		return fmt.Errorf("数据密钥丢失或被改动: 请从备份恢复数据库: %w", err)
	}
	return err
}

// timing puts the configured times together with the limits of the centres: an absent answer counts
// only after the longest limit of that class.
func (s *gatewaySettings) timing() flow.Timing {
	t := s.Timing
	limits := map[catalog.Limit]time.Duration{}
	for _, c := range s.Centres {
		for class, d := range map[catalog.Limit]config.Duration{catalog.LimitQuery: c.Query, catalog.LimitWrite: c.Write, catalog.LimitSettle: c.Settle, catalog.LimitFile: c.File} {
			limits[class] = max(limits[class], time.Duration(d))
		}
	}
	return flow.Timing{Limits: limits, SettleGrace: time.Duration(t.SettleGrace), AskEvery: time.Duration(t.AskEvery), AskMost: time.Duration(t.AskMost), AskTries: t.AskTries,
		CredentialTTL: time.Duration(t.CredentialTTL), UploadRetry: time.Duration(t.UploadRetry), UploadMost: time.Duration(t.UploadMost),
		UploadTries: t.UploadTries, UploadSweep: time.Duration(t.UploadSweep), Poll: time.Duration(t.Poll), Lease: time.Duration(t.Lease)}
}

// checkGateway does everything start-up does, short of opening the database and listening.
func checkGateway(path string) error {
	s, err := loadGateway(path)
	if err != nil {
		return err
	}
	p, err := s.build(io.Discard, systemClock{})
	if err != nil {
		return err
	}
	_, err = (&server{parts: p}).interfaceTLS(s, systemClock{})
	return err
}
