package main

import (
	"crypto/rand"
	"fmt"
	"net"
	"time"

	"yiqiao/adapters"
	"yiqiao/adapters/invoice/bosssoft"
	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/gateway/invoice"
	"yiqiao/gateway/invoice/bill"
	"yiqiao/gateway/invoice/book"
	"yiqiao/schemas/ident"
	siminvoice "yiqiao/simulator/invoice"
)

// einvoiceSettings say which platform issues electronic invoices. Without platform there is none.
type einvoiceSettings struct {
	Platform   string          `yaml:"platform"` // bosssoft, unconnected
	URL        string          `yaml:"url"`      // up to the method: https://host/medical-web/api/medical
	AppID      string          `yaml:"app_id"`
	Key        config.Secret   `yaml:"key"`
	Generation string          `yaml:"generation"` // 3.1.0 (and before) or 3.2.0 (and later)
	Charset    string          `yaml:"charset"`    // utf-8 (default) or gb18030
	ByBusNo    string          `yaml:"query_method"`
	Notice     string          `yaml:"notice_method"`
	Words      bosssoft.Words  `yaml:"words"`
	Timeout    config.Duration `yaml:"timeout"` // default 30 s
	Grace      config.Duration `yaml:"grace"`   // absence counts when asked so long after timeout; default 30 s
	Retry      config.Duration `yaml:"retry"`
	Order      string          `yaml:"refund_order"` // red-first (default), insurance-first
	Hold       config.Duration `yaml:"hold"`
	Tables     bill.Tables     `yaml:"tables"`
	// Institutions have tables of their own.
	Institutions map[string]bill.Tables `yaml:"institutions"`
}

// platform builds the way to the platform.
func (s *gatewaySettings) invoicePlatform(clock gateway.Clock) (gateway.InvoicePlatform, error) {
	e := s.Einvoice
	name := e.Platform
	if name == "" {
		name = "unconnected"
	}
	build, ok := adapters.InvoicePlatforms()[name]
	if !ok {
		return nil, fmt.Errorf("einvoice.platform: %q is not one of bosssoft, unconnected", name)
	}
	key := ""
	if e.Key.Set() {
		var err error
		if key, err = e.Key.Resolve(s.base); err != nil {
			return nil, fmt.Errorf("einvoice.key: %w", err)
		}
	}
	p, err := build(bosssoft.Options{BaseURL: e.URL, AppID: e.AppID, Key: key, Generation: e.Generation, Charset: e.Charset, ByBusNo: e.ByBusNo,
		Notice: e.Notice, Words: e.Words, Timeout: time.Duration(e.Timeout), Rand: rand.Reader, Clock: clock})
	if err != nil {
		return nil, fmt.Errorf("einvoice: %w", err)
	}
	for code, t := range e.Institutions {
		if err := t.Check(); err != nil {
			return nil, fmt.Errorf("einvoice.institutions.%s: %w", code, err)
		}
	}
	if err := e.Tables.Check(); err != nil {
		return nil, fmt.Errorf("einvoice.tables: %w", err)
	}
	return p, nil
}

func (e *einvoiceSettings) tables(i ident.Institution) bill.Tables {
	if t, ok := e.Institutions[string(i)]; ok {
		return t
	}
	return e.Tables
}

// invoiceBook opens the book of bills in the journal's database.
func (o opened) invoiceBook(clock gateway.Clock) (*book.Book, error) {
	return book.Open(o.db, o.vault.Drawer(gateway.ClassInvoice, clock.Now))
}

// invoiceOffice puts the office together; the counter is where settlements are read.
func (s *gatewaySettings) invoiceOffice(p *parts, j opened, counter invoice.Counter, clock gateway.Clock) (*invoice.Office, error) {
	platform, err := s.invoicePlatform(clock)
	if err != nil {
		return nil, err
	}
	b, err := j.invoiceBook(clock)
	if err != nil {
		return nil, err
	}
	platform = crashPlatform(platform)
	return invoice.New(invoice.Options{
		Book: crashBook(b), Platform: func(ident.Institution) gateway.InvoicePlatform { return platform }, Tables: s.Einvoice.tables,
		Source: bill.Settlements{Desk: counter, Ward: counter, Journal: j}, Clock: clock, Digest: j.vault.Digest, Overtaken: b.Overtaken, Order: s.Einvoice.Order, Log: p.log,
		Limit: time.Duration(s.Einvoice.Timeout), Grace: time.Duration(s.Einvoice.Grace), Retry: time.Duration(s.Einvoice.Retry), HoldFor: time.Duration(s.Einvoice.Hold),
	})
}

// simEinvoiceSettings describe the simulated e-invoice platform. Without listen there is none.
type simEinvoiceSettings struct {
	Listen     string        `yaml:"listen"`
	AppID      string        `yaml:"app_id"`
	Key        config.Secret `yaml:"key"`
	Generation string        `yaml:"generation"`
	RefuseZero bool          `yaml:"refuse_zero"`
}

// platform builds and listens; both nil when there is none.
func (s *simulatorSettings) platform(now func() time.Time) (*siminvoice.Platform, net.Listener, error) {
	e := s.Einvoice
	if e.Listen == "" {
		return nil, nil, nil
	}
	key, err := e.Key.Resolve(s.base)
	if err != nil {
		return nil, nil, fmt.Errorf("einvoice.key: %w", err)
	}
	p, err := siminvoice.New(siminvoice.Options{AppID: e.AppID, Key: key, Generation: e.Generation, RefuseZero: e.RefuseZero, Now: now})
	if err != nil {
		return nil, nil, fmt.Errorf("einvoice: %w", err)
	}
	ln, err := net.Listen("tcp", e.Listen)
	if err != nil {
		return nil, nil, err
	}
	p.SetPublicURL("http://" + ln.Addr().String())
	return p, ln, nil
}
