package trace

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// exporter sends spans by OTLP over HTTP with protobuf. The one of OpenTelemetry brings gRPC and its
// gateway into the program, ten times what is needed. What can not be sent is dropped and said once a
// minute.
type exporter struct {
	o Options

	mu   sync.Mutex
	said time.Time
	lost int
}

// ExportSpans implements sdk.SpanExporter. Its error is always nil: the batch is given up.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	if err := e.send(ctx, spans); err != nil {
		e.complain(len(spans), err)
	}
	return nil
}

func (e *exporter) send(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	body, err := proto.Marshal(request(spans))
	if err != nil {
		return fmt.Errorf("a batch can not be written")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.o.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("User-Agent", "yiqiao")
	if e.o.Token != "" {
		req.Header.Set("Authorization", "Bearer "+e.o.Token)
	}
	resp, err := e.o.Client.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answers %d", resp.StatusCode)
	}
	return nil
}

// complain logs once a minute.
func (e *exporter) complain(n int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost += n
	now := time.Now()
	if now.Sub(e.said) < time.Minute {
		return
	}
	e.said = now
	e.o.Log.Warn("spans were dropped", "spans", e.lost, "why", err.Error())
	e.lost = 0
}

// Shutdown implements sdk.SpanExporter.
func (e *exporter) Shutdown(context.Context) error {
	e.o.Client.CloseIdleConnections()
	return nil
}

// request is spans as OTLP has them: names, times, ids, and the attributes that are allowed.
func request(spans []sdk.ReadOnlySpan) *collector.ExportTraceServiceRequest {
	scope := &tracepb.ScopeSpans{Scope: &common.InstrumentationScope{Name: "yiqiao"}}
	for _, s := range spans {
		c, parent := s.SpanContext(), s.Parent()
		id, sid := c.TraceID(), c.SpanID()
		p := &tracepb.Span{TraceId: id[:], SpanId: sid[:], Name: word(s.Name()), Kind: tracepb.Span_SpanKind(s.SpanKind()),
			StartTimeUnixNano: uint64(s.StartTime().UnixNano()), EndTimeUnixNano: uint64(s.EndTime().UnixNano()), Flags: uint32(c.TraceFlags()),
			Status: &tracepb.Status{}}
		if parent.SpanID().IsValid() {
			pid := parent.SpanID()
			p.ParentSpanId = pid[:]
		}
		if s.Status().Code.String() == "Error" {
			p.Status.Code = tracepb.Status_STATUS_CODE_ERROR
		}
		allowed := Allowed()
		for _, a := range s.Attributes() {
			if slices.Contains(allowed, string(a.Key)) {
				p.Attributes = append(p.Attributes, keyValue(a))
			}
		}
		scope.Spans = append(scope.Spans, p)
	}
	res := &resourcepb.Resource{}
	for _, a := range spans[0].Resource().Attributes() {
		res.Attributes = append(res.Attributes, keyValue(a))
	}
	return &collector.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{Resource: res, ScopeSpans: []*tracepb.ScopeSpans{scope}}}}
}

func keyValue(a attribute.KeyValue) *common.KeyValue {
	v := &common.AnyValue{}
	if a.Value.Type() == attribute.INT64 {
		v.Value = &common.AnyValue_IntValue{IntValue: a.Value.AsInt64()}
	} else {
		v.Value = &common.AnyValue_StringValue{StringValue: word(a.Value.AsString())}
	}
	return &common.KeyValue{Key: string(a.Key), Value: v}
}
