package trace

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// heard is a collector that keeps what it is sent.
type heard struct {
	mu    sync.Mutex
	spans []*tracepb.Span
	raw   []byte
	auth  string
}

func (h *heard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	var m collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(b, &m) != nil || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "what?", http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.raw, h.auth = append(h.raw, b...), r.Header.Get("Authorization")
	for _, rs := range m.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			h.spans = append(h.spans, ss.Spans...)
		}
	}
}

func (h *heard) named(name string) *tracepb.Span {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.IndexFunc(h.spans, func(s *tracepb.Span) bool { return s.Name == name }); i >= 0 {
		return h.spans[i]
	}
	return &tracepb.Span{}
}

func told(s *tracepb.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

func open(t *testing.T, o Options) (*Tracer, *heard) {
	t.Helper()
	h := &heard{}
	if o.URL == "" {
		web := httptest.NewServer(h)
		t.Cleanup(web.Close)
		o.URL = web.URL + "/v1/traces"
	}
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close(context.Background()) })
	return tr, h
}

func flush(t *testing.T, tr *Tracer) {
	t.Helper()
	if err := tr.provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The caller's trace goes on, and nothing else of what it sent goes with it.
func TestRequest(t *testing.T) {
	tr, h := open(t, Options{Token: "secret", Name: "测试", Version: "v1"})
	var inside string
	handler := tr.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inside = ID(r.Context())
		ctx, end := tr.Begin(r.Context(), gateway.Span{Name: "validate", Infno: "2207", MsgID: "H44010000001202611230930000001", Institution: "H44010000001", System: "999999198503120018"})
		defer end("refused")
		trace.SpanFromContext(ctx).SetAttributes(attribute.String("psn_name", "NAME-MARK"), attribute.String("http.route", "张三"))
		w.WriteHeader(http.StatusTeapot)
	}))
	const id = "0af7651916cd43dd8448eb211c80319c"
	r := httptest.NewRequest("POST", "/api/v1/settlements/B4401-999999198503120018/confirm?q=NAME-MARK", nil)
	r.Header.Set("traceparent", "00-"+id+"-b7ad6b7169203331-01")
	r.Header.Set("tracestate", "his=NAME-MARK")
	r.Header.Set("baggage", "name=NAME-MARK")
	handler.ServeHTTP(httptest.NewRecorder(), r)
	flush(t, tr)
	req, val := h.named("request"), h.named("validate")
	if inside != id || hex.EncodeToString(req.TraceId) != id || hex.EncodeToString(req.ParentSpanId) != "b7ad6b7169203331" || string(val.ParentSpanId) != string(req.SpanId) {
		t.Errorf("%s %v %v", inside, req, val)
	}
	if got := told(req, "http.route"); got != "POST /api/v1/settlements/*/confirm" {
		t.Error(got)
	}
	if told(val, "yiqiao.infno") != "2207" || told(val, "yiqiao.outcome") != "refused" || told(val, "yiqiao.msgid") != "H44010000001202611230930000001" ||
		told(val, "yiqiao.institution") != "H44010000001" || told(val, "yiqiao.system") != "?" || told(val, "http.route") != "?" {
		t.Errorf("%v", val.Attributes)
	}
	for _, never := range []string{"NAME-MARK", "张三", "999999198503120018", "psn_name", "测试"} {
		if strings.Contains(string(h.raw), never) {
			t.Errorf("%s reached the collector", never)
		}
	}
	if h.auth != "Bearer secret" {
		t.Error(h.auth)
	}
	for _, bad := range []string{"00-" + id + "-b7ad6b7169203331", "zz", strings.Repeat("0", 9000), "00-00000000000000000000000000000000-b7ad6b7169203331-01"} {
		r.Header.Set("traceparent", bad)
		if handler.ServeHTTP(httptest.NewRecorder(), r); inside == id || inside == "" {
			t.Errorf("%.20q begins trace %q", bad, inside)
		}
	}
}

type centre struct{ reply gateway.Reply }

func (c centre) Admit(context.Context, ident.Infno) (gateway.Permit, error) {
	if c.reply.Took < 0 {
		return nil, errors.New("busy")
	}
	return c, nil
}
func (c centre) Seal(m gateway.Message) (gateway.Sealed, error) {
	return gateway.Sealed{Message: m}, nil
}
func (c centre) Send(context.Context, gateway.Sealed) gateway.Reply { return c.reply }
func (c centre) Release()                                           {}

func TestSendAndVerify(t *testing.T) {
	tr, h := open(t, Options{})
	c := tr.Centre(centre{gateway.Reply{Outcome: gateway.OutcomeUnknown, Cause: gateway.CauseSignature, Checking: time.Millisecond, Detail: "NAME-MARK"}})
	p, err := c.Admit(t.Context(), "2207")
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Seal(gateway.Message{Infno: "2207", MsgID: "H4", Body: []byte("NAME-MARK")})
	if err != nil {
		t.Fatal(err)
	}
	p.Send(t.Context(), s)
	if _, err := tr.Centre(centre{gateway.Reply{Took: -1}}).Admit(t.Context(), "2207"); err == nil {
		t.Error("admitted")
	}
	flush(t, tr)
	send, verify := h.named("send"), h.named("verify")
	if told(send, "yiqiao.outcome") != "unknown:signature" || send.Status.Code != tracepb.Status_STATUS_CODE_ERROR || told(send, "yiqiao.infno") != "2207" ||
		string(verify.ParentSpanId) != string(send.SpanId) || told(verify, "yiqiao.outcome") != "signature" || strings.Contains(string(h.raw), "NAME-MARK") {
		t.Errorf("%v %v", send, verify)
	}
}

// A collector that hangs costs spans and nothing else.
func TestCollectorHangs(t *testing.T) {
	block := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-block }))
	defer web.Close()
	defer close(block)
	tr, _ := open(t, Options{URL: web.URL, Queue: 16, Every: time.Millisecond, Timeout: 50 * time.Millisecond})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 10_000 {
			_, end := tr.Begin(context.Background(), gateway.Span{Name: "send"})
			end("done")
		}
	}()
	select {
	case <-done:
	case <-t.Context().Done():
	}
	<-done
}

func TestCheck(t *testing.T) {
	for _, bad := range []string{"", "collector:4317", "grpc://x", "http://", "http://u:p@x/v1", "http://x/?a=b", "http://x/#a"} {
		if Check(bad) == nil {
			t.Errorf("%q passes", bad)
		}
	}
	if _, err := New(Options{URL: "http://x", Ratio: 2}); err == nil {
		t.Error("a ratio of 2")
	}
}

func TestWord(t *testing.T) {
	for _, bad := range []string{"测试甲", "13977731177", "99999919850312001X", strings.Repeat("a", 65), "a=b", "a\nb", `"`} {
		if word(bad) != "?" {
			t.Errorf("%q is a word", bad)
		}
	}
	for _, good := range []string{"2207", "H44010000001", "H44010000001202611230930000001", "unknown:timeout", "his-main", "POST /api/v1/stays/*"} {
		if word(good) != good {
			t.Errorf("%q is no word", good)
		}
	}
}
