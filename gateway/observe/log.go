// Package observe is how the gateway is watched: logs that carry no personal data.
//
// NewLogger wraps any slog handler so that members known to name a person are masked by key, and
// texts that look like an identity or telephone number are masked wherever they stand. It is the
// last net, not the rule: code above logs ids, sizes and codes, never bodies.
package observe

import (
	"context"
	"io"
	"log/slog"
	"regexp"
	"strings"

	"yiqiao/gateway"
)

// Options choose the form of the log.
type Options struct {
	Level slog.Level
	JSON  bool
	// Personal reports whether a key names a person or a credential.
	Personal func(key string) bool
	// TraceID gives the id of the trace a context belongs to, "" for none; nil: there are no traces.
	TraceID func(context.Context) string
}

// NewLogger writes masked records to w.
func NewLogger(w io.Writer, o Options) *slog.Logger {
	ho := &slog.HandlerOptions{Level: o.Level}
	var h slog.Handler = slog.NewTextHandler(w, ho)
	if o.JSON {
		h = slog.NewJSONHandler(w, ho)
	}
	if o.Personal == nil {
		o.Personal = func(string) bool { return false }
	}
	return slog.New(&masker{next: h, personal: o.Personal, traceID: o.TraceID})
}

// masker is a slog.Handler that masks before it hands on.
type masker struct {
	next     slog.Handler
	personal func(string) bool
	traceID  func(context.Context) string
}

func (m *masker) Enabled(ctx context.Context, l slog.Level) bool { return m.next.Enabled(ctx, l) }

func (m *masker) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time.In(gateway.China), r.Level, MaskText(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(m.mask(a))
		return true
	})
	if m.traceID != nil {
		if id := m.traceID(ctx); id != "" {
			out.AddAttrs(slog.String("trace", id))
		}
	}
	return m.next.Handle(ctx, out)
}

func (m *masker) WithAttrs(as []slog.Attr) slog.Handler {
	masked := make([]slog.Attr, len(as))
	for i, a := range as {
		masked[i] = m.mask(a)
	}
	return &masker{next: m.next.WithAttrs(masked), personal: m.personal, traceID: m.traceID}
}

func (m *masker) WithGroup(name string) slog.Handler {
	return &masker{next: m.next.WithGroup(name), personal: m.personal, traceID: m.traceID}
}

func (m *masker) mask(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		group := v.Group()
		masked := make([]slog.Attr, len(group))
		for i, g := range group {
			masked[i] = m.mask(g)
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(masked...)}
	}
	if m.personal(strings.ToLower(a.Key)) {
		return slog.String(a.Key, "***")
	}
	switch v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, MaskText(v.String()))
	case slog.KindAny:
		// Whatever it is prints as text first, so that nothing inside escapes the net.
		return slog.String(a.Key, MaskText(v.String()))
	}
	return slog.Attr{Key: a.Key, Value: v}
}

// numbers that identify a person: 18 or 15 digit identity numbers and mobile numbers standing alone.
var personalNumber = regexp.MustCompile(`\b(?:\d{17}[0-9Xx]|\d{15}|1[3-9]\d{9})\b`)

// MaskText masks identity and telephone numbers inside a text: first three and last four characters
// stay.
func MaskText(s string) string {
	if len(s) < 11 {
		return s
	}
	return personalNumber.ReplaceAllStringFunc(s, func(n string) string {
		return n[:3] + strings.Repeat("*", len(n)-7) + n[len(n)-4:]
	})
}
