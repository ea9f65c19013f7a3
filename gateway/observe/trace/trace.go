// Package trace follows requests with OpenTelemetry: spans for request, map, validate, journal, send,
// verify, resolve and deliver, sent to a collector by OTLP over HTTP. It is off unless configured, and
// then nothing of it runs.
//
// A HIS that sends a W3C traceparent has its own trace continued; tracestate and baggage are not read,
// because they can hold anything. The id of the trace stands in the log beside the message id (ID).
// Nothing is added to what is sent to a centre.
//
// What a span says comes from a fixed list of attributes (Allowed), and each value is a short word of
// letters, digits and a few signs; anything else is replaced by "?". There is no place for a body, an
// error text or a number of a person.
//
// Spans wait in a bounded queue and are sent in batches; when the collector does not take them they
// are dropped, and nothing waits for it.
package trace

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"yiqiao/gateway"
)

// Options of a Tracer. URL is required.
type Options struct {
	URL     string        // of the collector: https://host:4318/v1/traces
	Token   string        // Authorization: Bearer; "": none
	Name    string        // of this gateway
	Version string        // of the program
	Ratio   float64       // of traces that begin here and are kept; 0 means all. A caller's own decision is followed
	Queue   int           // spans that may wait; default 2048. More are dropped
	Every   time.Duration // how often they are sent; default 5 s
	Timeout time.Duration // of one sending; default 10 s
	Client  *http.Client  // default: no proxy, no redirects
	Log     *slog.Logger  // default: nowhere
}

// Tracer implements gateway.Tracer. Close it.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

var _ gateway.Tracer = (*Tracer)(nil)

// Allowed lists the attributes a span may have.
func Allowed() []string {
	return []string{"yiqiao.infno", "yiqiao.msgid", "yiqiao.institution", "yiqiao.system", "yiqiao.outcome", "yiqiao.count", "http.route", "http.status"}
}

// Check tells what is wrong with an address. Pure.
func Check(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return errors.New("trace: the address must be http://HOST:4318/v1/traces or https")
	case u.User != nil, u.Fragment != "", u.RawQuery != "":
		return errors.New("trace: the address must not hold a user, query or fragment")
	}
	return nil
}

// New makes a Tracer, which from now on sends what has ended.
func New(o Options) (*Tracer, error) {
	if err := Check(o.URL); err != nil {
		return nil, err
	}
	if o.Ratio < 0 || o.Ratio > 1 {
		return nil, errors.New("trace: the ratio is between 0 and 1")
	}
	if o.Ratio == 0 {
		o.Ratio = 1
	}
	if o.Queue <= 0 {
		o.Queue = 2048
	}
	if o.Every <= 0 {
		o.Every = 5 * time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Client == nil {
		o.Client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: o.Timeout},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	t := &Tracer{provider: sdk.NewTracerProvider(
		sdk.WithBatcher(&exporter{o: o}, sdk.WithMaxQueueSize(o.Queue), sdk.WithMaxExportBatchSize(min(512, o.Queue)), sdk.WithBatchTimeout(o.Every), sdk.WithExportTimeout(o.Timeout)),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(o.Ratio))),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "yiqiao"), attribute.String("service.instance.id", word(o.Name)),
			attribute.String("service.version", word(o.Version)))),
		sdk.WithRawSpanLimits(sdk.SpanLimits{AttributeValueLengthLimit: maxWord, AttributeCountLimit: 16, EventCountLimit: 0, LinkCountLimit: 0}),
	)}
	t.tracer = t.provider.Tracer("yiqiao")
	return t, nil
}

// Close sends what waits, for as long as ctx lasts, and ends the Tracer.
func (t *Tracer) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Begin implements gateway.Tracer.
func (t *Tracer) Begin(ctx context.Context, s gateway.Span) (context.Context, func(string)) {
	ctx, span := t.tracer.Start(ctx, word(s.Name), trace.WithAttributes(attributes(s)...))
	return ctx, func(outcome string) { end(span, outcome) }
}

func end(span trace.Span, outcome string) {
	if outcome != "" {
		span.SetAttributes(attribute.String("yiqiao.outcome", word(outcome)))
		if outcome == "unavailable" || outcome == string(gateway.CauseSignature) || strings.HasPrefix(outcome, "unknown") {
			span.SetStatus(codes.Error, "")
		}
	}
	span.End()
}

func attributes(s gateway.Span) []attribute.KeyValue {
	list := make([]attribute.KeyValue, 0, 6)
	for _, a := range [...]struct{ key, value string }{{"yiqiao.infno", string(s.Infno)}, {"yiqiao.msgid", string(s.MsgID)},
		{"yiqiao.institution", string(s.Institution)}, {"yiqiao.system", s.System}, {"http.route", s.Route}} {
		if a.value != "" {
			list = append(list, attribute.String(a.key, word(a.value)))
		}
	}
	if s.Count > 0 {
		list = append(list, attribute.Int("yiqiao.count", s.Count))
	}
	return list
}

const maxWord = 64

// word is a value as it may stand in a span.
func word(s string) string {
	if len(s) > maxWord || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:{}*#@ ()") != "" || personal(s) {
		return "?"
	}
	return s
}

// personal tells of a value that may be an identity or telephone number.
func personal(s string) bool { return len(s) >= 11 && strings.Trim(s, "0123456789Xx") == "" }

// ID is the id of the trace in ctx, "" when there is none.
func ID(ctx context.Context) string {
	if c := trace.SpanContextFromContext(ctx); c.IsValid() {
		return c.TraceID().String()
	}
	return ""
}

// only is a carrier of traceparent and nothing else.
type only http.Header

func (h only) Get(key string) string {
	if key != "traceparent" {
		return ""
	}
	return http.Header(h).Get(key)
}
func (h only) Set(string, string) {}
func (h only) Keys() []string     { return []string{"traceparent"} }

// Handler draws each call as a span and continues the caller's trace.
func (t *Tracer) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), only(r.Header))
		method := r.Method
		if !slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, method) {
			method = "OTHER"
		}
		ctx, span := t.tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("http.route", method+" "+route(r.URL.Path))))
		seen := &status{ResponseWriter: w, code: http.StatusOK}
		defer func() {
			span.SetAttributes(attribute.Int("http.status", seen.code))
			if seen.code >= 500 {
				span.SetStatus(codes.Error, "")
			}
			span.End()
		}()
		next.ServeHTTP(seen, r.WithContext(ctx))
	})
}

// status remembers the status of an answer.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// known are the words paths are made of; everything else is a value and becomes *.
var known = []string{"", "api", "v1", "transactions", "uploads", "settlements", "stays", "einvoices", "confirm", "refund", "fees", "discharge", "settle",
	"reverse", "paper", "deliver", "errors", "healthz", "openapi.json", "native", "soap", "fhir", "einvoice-papers", "void", "voucher", "file", "filings",
	"withdraw", "pharmacy-sales", "reviews", "approve", "reject"}

func route(path string) string {
	parts := strings.Split(path, "/")
	if len(parts) > 8 {
		return "*"
	}
	for i, p := range parts {
		if !slices.Contains(known, p) {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}
