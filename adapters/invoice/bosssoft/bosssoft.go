// Package bosssoft speaks to a fiscal e-invoice platform in the style that most hospitals meet: one
// POST for each method, business parameters as base64 of JSON inside a signed outer message, the
// reply twice base64. What is known of it, and how surely, is in docs/interface/einvoice.md.
//
// Two generations of the interface are spoken; they differ in field names, dates and decimals
// (Options.Generation). A reply is believed only when its signature verifies. A method that is marked C
// there has its name in Options, for it may be spelt otherwise where you are.
//
// The signature is MD5 with a shared key: weak. Use TLS or a private line. The key is never logged.
package bosssoft

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"yiqiao/gateway"
)

// Generations of the interface.
const (
	Gen310 = "3.1.0" // and before
	Gen320 = "3.2.0" // and later
)

// Character sets of the business parameters.
const (
	UTF8    = "utf-8"
	GB18030 = "gb18030"
)

// Options of a platform. BaseURL, AppID, Key, Rand and Clock are required.
type Options struct {
	BaseURL    string // up to the method: https://host/medical-web/api/medical
	AppID, Key string
	Generation string        // default Gen320
	Charset    string        // default UTF8
	Timeout    time.Duration // of a whole call; default 30 s
	Connect    time.Duration // default 10 s
	Rand       io.Reader     // of the noise; safe for concurrent use
	Clock      gateway.Clock
	// ByBusNo is the method that asks by business number; "-": there is none and the day's list is
	// searched. Default getBillStateByBusNo.
	ByBusNo string
	// Notice is the method that sends the link again; "-": there is none. Default sendNotice.
	Notice string
	// Words tell refusals apart: no table of result codes is published. A refusal whose code is one of
	// them, or whose text holds one, means that. An empty list means its default.
	Words Words
	// Transport takes the place of the network; its limits count then, not Timeout and Connect.
	Transport http.RoundTripper
	// Conns bounds the connections to the platform; default 32.
	Conns int
}

// Words by which a platform says something.
type Words struct {
	Duplicate []string `yaml:"duplicate"` // the business number has a bill
	Reversed  []string `yaml:"reversed"`  // the bill was reversed before
	NotFound  []string `yaml:"not_found"` // there is no such bill; must not be part of "no such method"
	NoMethod  []string `yaml:"no_method"` // the interface does not know the method
}

func (w Words) filled() Words {
	fill := func(list *[]string, def ...string) {
		if len(*list) == 0 {
			*list = def
		}
	}
	fill(&w.Duplicate, "已开票", "流水号重复", "重复开票")
	fill(&w.Reversed, "已冲红", "已红冲")
	fill(&w.NotFound, "票据不存在", "未开票", "未查询到票据")
	fill(&w.NoMethod, "接口不存在", "方法不存在")
	return w
}

// Platform implements gateway.InvoicePlatform.
type Platform struct {
	o      Options
	client *http.Client
}

var _ gateway.InvoicePlatform = (*Platform)(nil)

// New checks the options. It starts nothing; Close gives idle connections back.
func New(o Options) (*Platform, error) {
	u, err := url.Parse(o.BaseURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("bosssoft: url must be http(s)://host/…/api/medical")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("bosssoft: url has a query")
	case o.AppID == "" || o.Key == "":
		return nil, errors.New("bosssoft: app id and key are required")
	case o.Rand == nil || o.Clock == nil:
		return nil, errors.New("bosssoft: rand and clock are required")
	}
	o.BaseURL = strings.TrimRight(o.BaseURL, "/")
	def := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	def(&o.Generation, Gen320)
	def(&o.Charset, UTF8)
	def(&o.ByBusNo, "getBillStateByBusNo")
	def(&o.Notice, "sendNotice")
	if o.Generation != Gen310 && o.Generation != Gen320 {
		return nil, fmt.Errorf("bosssoft: generation %q, want %s or %s", o.Generation, Gen310, Gen320)
	}
	if o.Charset = strings.ToLower(o.Charset); o.Charset != UTF8 && o.Charset != GB18030 {
		return nil, fmt.Errorf("bosssoft: charset %q, want %s or %s", o.Charset, UTF8, GB18030)
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Connect <= 0 {
		o.Connect = 10 * time.Second
	}
	if o.Conns <= 0 {
		o.Conns = 32
	}
	o.Words = o.Words.filled()
	p := &Platform{o: o}
	p.client = &http.Client{
		Timeout: o.Timeout,
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: o.Connect}).DialContext,
			TLSHandshakeTimeout: o.Connect, MaxIdleConnsPerHost: o.Conns, MaxConnsPerHost: o.Conns, IdleConnTimeout: time.Minute,
			DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if o.Transport != nil {
		p.client.Timeout, p.client.Transport = 0, o.Transport
	}
	return p, nil
}

// Close gives idle connections back.
func (p *Platform) Close() { p.client.CloseIdleConnections() }

// Name implements gateway.InvoicePlatform.
func (p *Platform) Name() string { return "bosssoft" }

// noise is a text nobody has used before.
func (p *Platform) noise() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(p.o.Rand, b[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(b[:]), nil
}

// stamp is a time as the interface writes it.
func stamp(t time.Time) string {
	return strings.Replace(t.In(gateway.China).Format("20060102150405.000"), ".", "", 1)
}

// Posted implements gateway.InvoicePlatform.
func (p *Platform) Posted(ctx context.Context, b gateway.PlatformBill) gateway.InvoiceAnswer[bool] {
	a := p.call(ctx, "getEBillAccountStatus", obj{{"billBatchCode", b.Number.Batch}, {"billNo", b.Number.No}, {"random", b.Random}, {"createTime", b.MadeAt}})
	v := as[bool](a)
	if v.Outcome == gateway.OutcomeDone {
		switch a.text("accountStatus") {
		case "0":
		case "1":
			v.Value = true
		default:
			return mismatch[bool](a, "accountStatus")
		}
	}
	return v
}

// Notify implements gateway.InvoicePlatform.
func (p *Platform) Notify(ctx context.Context, b gateway.PlatformBill, phone, email string) gateway.InvoiceAnswer[struct{}] {
	if p.o.Notice == "-" {
		return unsupported[struct{}]("notice")
	}
	var list []any
	if phone != "" {
		list = append(list, obj{{"noticeType", "1201"}, {"noticeValue", phone}})
	}
	if email != "" {
		list = append(list, obj{{"noticeType", "1202"}, {"noticeValue", email}})
	}
	return as[struct{}](p.call(ctx, p.o.Notice, obj{{"billBatchCode", b.Number.Batch}, {"billNo", b.Number.No}, {"noticeList", list}}))
}
