package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/gateway/recon"
	"yiqiao/gateway/vault"
	"yiqiao/schemas/ident"
)

// gatewaySettings is yiqiao.yaml: what `yiqiao serve` needs to know.
type gatewaySettings struct {
	Listen       string                    `yaml:"listen"` // address of the HIS interface
	TLS          tlsSettings               `yaml:"tls"`    // of listen; none: plain HTTP
	Data         string                    `yaml:"data"`   // folder of the journal
	Name         string                    `yaml:"name"`   // of this gateway among those on one journal; default: made once, kept in data
	Provider     string                    `yaml:"crypto_provider"`
	Log          logSettings               `yaml:"log"`
	Journal      journalSettings           `yaml:"journal"`
	Institutions []institutionSettings     `yaml:"institutions"`
	Centres      map[string]centreSettings `yaml:"centres"`
	HIS          []hisSettings             `yaml:"his"`
	HL7          []hl7Settings             `yaml:"hl7"` // listeners of mapped HL7 messages
	SOAP         soapSettings              `yaml:"soap"`
	FHIR         fhirSettings              `yaml:"fhir"`
	Files        []filesSettings           `yaml:"files"`    // watched folders
	DBView       []dbviewSettings          `yaml:"dbview"`   // polled tables or views of a HIS's database
	Editions     []string                  `yaml:"editions"` // overlay files on top of the published tables: docs/schema.md
	Record       recordSettings            `yaml:"record"`
	Limits       limitSettings             `yaml:"limits"`
	Timing       timingSettings            `yaml:"timing"`
	Reconcile    reconcileSettings         `yaml:"reconcile"`
	Queue        queueSettings             `yaml:"queue"`
	Keys         keysSettings              `yaml:"keys"`
	Audit        auditSettings             `yaml:"audit"`
	People       peopleSettings            `yaml:"people"`
	Einvoice     einvoiceSettings          `yaml:"einvoice"`
	Manage       manageSettings            `yaml:"manage"`
	Trace        traceSettings             `yaml:"trace"`

	base   string   // folder of the file
	opened *secrets // see places

	auditAs string        // name in the audit record; "": a command's
	clock   gateway.Clock // nil: the real one
}

type logSettings struct {
	Level  string `yaml:"level"`  // debug info warn error
	Format string `yaml:"format"` // text json
}

type journalSettings struct {
	Key  config.Secret `yaml:"key"`  // 64 hex digits, or hsm:NAME: wraps the keys that seal bodies at rest
	Sync string        `yaml:"sync"` // full (default) or off (benchmarks only: power loss loses answers)
	// Database is a PostgreSQL, postgres://user@host/name?sslmode=verify-full; none: a file in data.
	Database         string        `yaml:"database"`
	DatabasePassword config.Secret `yaml:"database_password"`
	Writers          int           `yaml:"database_writers"` // transactions at once; see store.Options
	// OldKeys are former journal keys, until `yiqiao keys rewrap` has been run.
	OldKeys []config.Secret `yaml:"old_keys"`
	// Retention is after how many days bodies may be destroyed, by class; a class that is not there
	// is kept for ever. See `yiqiao keys expire`.
	Retention map[gateway.Class]int `yaml:"retention"`
}

// faults tells what is wrong with the place of the journal.
func (s journalSettings) faults() (list []string) {
	for class, days := range s.Retention {
		switch {
		case !slices.Contains(gateway.Classes(), class):
			list = append(list, fmt.Sprintf("journal.retention: %q is none of %v", class, gateway.Classes()))
		case days < vault.LeastKept:
			list = append(list, fmt.Sprintf("journal.retention.%s: %d days at least", class, vault.LeastKept))
		}
	}
	slices.Sort(list)
	if s.Database == "" {
		if s.DatabasePassword.Set() || s.Writers != 0 {
			list = append(list, "journal.database_password and journal.database_writers belong to journal.database, which is missing")
		}
		return list
	}
	u, err := url.Parse(s.Database)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Host == "" {
		return append(list, "journal.database must be postgres://user@host:port/name") // not its text: it may hold a password
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		list = append(list, "journal.database must not hold the password: give its place in journal.database_password")
	}
	if s.Writers < 0 || s.Writers > 16 {
		list = append(list, "journal.database_writers must be between 1 and 16")
	}
	return list
}

type institutionSettings struct {
	Code     string `yaml:"code"`
	Name     string `yaml:"name"`
	Area     string `yaml:"area"`
	Receiver string `yaml:"receiver"`
	Version  string `yaml:"version"`
	Level    string `yaml:"level"`
	Region   string `yaml:"region"` // name of a shipped region, or file:PATH
	Centre   string `yaml:"centre"`
	// Services are further centres, for what does not go over the core one: mobile payment, prescriptions.
	Services []string `yaml:"services"`
	MAC      string   `yaml:"mac"`
	IP       string   `yaml:"ip"`
	DevNo    string   `yaml:"dev_no"`
	DevSafe  string   `yaml:"dev_safe_info"`
}

type centreSettings struct {
	URL         string           `yaml:"url"`
	URLStyle    string           `yaml:"url_style"` // per-infno (default) or single
	ContentType string           `yaml:"content_type"`
	Service     string           `yaml:"service"` // mobile, prescription or file:PATH; none: the core interface
	Protect     endpointSettings `yaml:"protect"`
	// Multipart makes the file of 9101 travel in a part of its own; envelope none only.
	Multipart   *multipartSettings `yaml:"multipart"`
	Connect     config.Duration    `yaml:"connect"`
	Query       config.Duration    `yaml:"query"`
	Write       config.Duration    `yaml:"write"`
	Settle      config.Duration    `yaml:"settle"`
	File        config.Duration    `yaml:"file"`
	MaxInFlight int                `yaml:"max_in_flight"`
	ReplyWindow config.Duration    `yaml:"reply_window"` // how far the time in a signed reply may be off; default 15m
	MaxSkew     config.Duration    `yaml:"max_skew"`     // how far the centre's clock may be off before the log says so; default 30s
	BreakerOpen config.Duration    `yaml:"breaker_open"`
	BreakerTrip int                `yaml:"breaker_trip"`
}

// multipartSettings name the two parts; default file and data.
type multipartSettings struct {
	File    string `yaml:"file"`
	Message string `yaml:"message"`
}

type hisSettings struct {
	System       string          `yaml:"system"`
	KeyDigest    string          `yaml:"key_digest"` // SM3 of the plain API key, 64 hex digits
	PlainKey     bool            `yaml:"plain_key"`  // take the plain key although the system can sign or has a certificate
	SigningKeys  []config.Secret `yaml:"signing_keys"`
	Certificates []string        `yaml:"certificates"` // sha256:HEX or subject:CN=...
	Institutions []string        `yaml:"institutions"`
	Deliver      deliverSettings `yaml:"deliver"`
	Rate         float64         `yaml:"rate"`  // calls a second on the average; none: no limit
	Burst        int             `yaml:"burst"` // calls at once; default twice the rate
}

type limitSettings struct {
	BodyBytes  int64 `yaml:"body_bytes"`
	Concurrent int   `yaml:"concurrent"`
	// SignatureWindow is how far the time of a signed call may be off; default 5m.
	SignatureWindow config.Duration `yaml:"signature_window"`
}

// timingSettings are the times of package flow; its defaults hold where nothing is given.
type timingSettings struct {
	SettleGrace   config.Duration `yaml:"settle_grace"`
	AskEvery      config.Duration `yaml:"ask_every"`
	AskMost       config.Duration `yaml:"ask_most"`
	AskTries      int             `yaml:"ask_tries"`
	CredentialTTL config.Duration `yaml:"credential_ttl"`
	UploadRetry   config.Duration `yaml:"upload_retry"`
	UploadMost    config.Duration `yaml:"upload_most"`
	UploadTries   int             `yaml:"upload_tries"`
	UploadSweep   config.Duration `yaml:"upload_sweep"`
	Poll          config.Duration `yaml:"poll"`
	Lease         config.Duration `yaml:"lease"`
}

// places finds the secrets the configuration names.
func (s *gatewaySettings) places() *secrets {
	if s.opened == nil {
		s.opened = newSecrets(s.base, s.Keys)
	}
	return s.opened
}

// simulatorSettings is simulator.yaml: what `yiqiao simulate` needs to know.
type simulatorSettings struct {
	Listen   string           `yaml:"listen"`
	Control  string           `yaml:"control"` // address of the control port; "" for none
	Seed     uint64           `yaml:"seed"`
	Provider string           `yaml:"crypto_provider"`
	Protect  endpointSettings `yaml:"protect"`
	// The centres beside the core one, on the same port: 6201 to 6401, and D001 to D007.
	Mobile       *endpointSettings `yaml:"mobile"`
	Prescription *endpointSettings `yaml:"prescription"`
	Skew         config.Duration   `yaml:"skew"`
	FileForm     string            `yaml:"file_form"`    // the only form of a file in 9101: base64, int8array, uint8array, multipart; none: any
	AskByVisit   bool              `yaml:"ask_by_visit"` // answers 5203 without setl_id
	SignIn       bool              `yaml:"sign_in"`
	Editions     []string          `yaml:"editions"` // overlay files, as the gateway has them: describes what the published tables do not
	Keys         keysSettings      `yaml:"keys"`
	// Einvoice is the simulated platform of electronic invoices, on a port of its own.
	Einvoice simEinvoiceSettings `yaml:"einvoice"`

	base string
}

// loadGateway reads and checks yiqiao.yaml. path may name the file or its folder.
func loadGateway(path string) (*gatewaySettings, error) {
	path = fileIn(path, "yiqiao.yaml")
	s := &gatewaySettings{base: filepath.Dir(path)}
	if err := config.Load(path, s); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func loadSimulator(path string) (*simulatorSettings, error) {
	path = fileIn(path, "simulator.yaml")
	s := &simulatorSettings{base: filepath.Dir(path)}
	if err := config.Load(path, s); err != nil {
		return nil, err
	}
	if s.Listen == "" {
		return nil, fmt.Errorf("%s: listen is missing", path)
	}
	return s, nil
}

// fileIn is path itself, or name inside it when path has no .yaml ending.
func fileIn(path, name string) string {
	if strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml") {
		return path
	}
	return filepath.Join(path, name)
}

// check finds what is missing or does not fit together; all mistakes in one line.
func (s *gatewaySettings) check() error {
	var faults []string
	bad := func(format string, a ...any) { faults = append(faults, fmt.Sprintf(format, a...)) }
	if s.Listen == "" {
		bad("listen is missing")
	}
	if s.Data == "" {
		bad("data is missing")
	}
	if !s.Journal.Key.Set() {
		bad("journal.key is missing: give file:PATH or env:NAME")
	}
	if s.Journal.Sync != "" && s.Journal.Sync != "full" && s.Journal.Sync != "off" {
		bad("journal.sync must be full or off")
	}
	if s.Name != "" && checkName(s.Name) != nil {
		bad("name: letters, digits and - _ . only, at most 64")
	}
	faults = append(faults, s.Journal.faults()...)
	faults = append(faults, s.Audit.faults()...)
	faults = append(faults, s.Record.faults()...)
	faults = append(faults, s.Trace.faults()...)
	faults = append(faults, s.People.faults()...)
	faults = append(faults, s.TLS.faults()...)
	faults = append(faults, s.Keys.faults()...)
	if _, err := logLevel(s.Log.Level); err != nil {
		bad("log.level: %v", err)
	}
	if s.Log.Format != "" && s.Log.Format != "text" && s.Log.Format != "json" {
		bad("log.format must be text or json")
	}
	if s.Reconcile.At != "" {
		if _, err := recon.ParseAt(s.Reconcile.At); err != nil {
			bad("reconcile.at: %v", err)
		}
	}
	if e := time.Duration(s.Reconcile.Every); e != 0 && e < time.Minute {
		bad("reconcile.every must be at least 1m")
	}
	if len(s.Institutions) == 0 {
		bad("institutions is empty")
	}
	known := map[string]bool{}
	for i, in := range s.Institutions {
		if _, err := ident.ParseInstitution(in.Code); err != nil {
			bad("institutions[%d].code: %v", i, err)
		}
		if known[in.Code] {
			bad("institutions[%d].code %s is there twice", i, in.Code)
		}
		known[in.Code] = true
		if in.Name == "" || in.Area == "" || in.Version == "" || in.Receiver == "" {
			bad("institutions[%d] (%s): name, area, receiver and version are needed", i, in.Code)
		}
		if _, ok := s.Centres[in.Centre]; !ok {
			bad("institutions[%d] (%s): centre %q is not described under centres", i, in.Code, in.Centre)
		} else if s.Centres[in.Centre].Service != "" {
			bad("institutions[%d] (%s): centre %q is a service: name it under services", i, in.Code, in.Centre)
		}
		for _, name := range in.Services {
			if s.Centres[name].Service == "" {
				bad("institutions[%d] (%s): services: %q is not a centre with a service", i, in.Code, name)
			}
		}
	}
	for name, c := range s.Centres {
		if c.URL == "" {
			bad("centres.%s.url is missing", name)
		}
	}
	faults = append(faults, s.checkHL7(known)...)
	faults = append(faults, s.checkFiles(known)...)
	faults = append(faults, s.checkDBView(known)...)
	if err := s.checkQueue(); err != nil {
		bad("%v", err)
	}
	if len(s.HIS) == 0 {
		bad("his is empty: no system may call the gateway")
	}
	systems := map[string]bool{}
	for i, h := range s.HIS {
		switch {
		case h.System == "" || systems[h.System]:
			bad("his[%d].system is missing or there twice", i)
		case h.System == "yiqiao":
			bad("his[%d].system: the name yiqiao is the gateway's own", i)
		}
		systems[h.System] = true
		faults = append(faults, h.faults(s.TLS)...)
		for _, code := range h.Institutions {
			if !known[code] {
				bad("his[%d] (%s): institution %s is not described", i, h.System, code)
			}
		}
	}
	if len(faults) > 0 {
		return errors.New(strings.Join(faults, "; "))
	}
	return nil
}

func logLevel(s string) (slog.Level, error) {
	if s == "" {
		return slog.LevelInfo, nil
	}
	var l slog.Level
	if err := l.UnmarshalText([]byte(s)); err != nil {
		return 0, fmt.Errorf("%q is not one of debug, info, warn, error", s)
	}
	return l, nil
}

// systemClock is the real clock.
type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
