package rest

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/strictjson"
)

// asJSON writes one of our own structs: compact, no HTML escapes, no newline at the end.
func asJSON(status int, v any) (answer, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return answer{}, err
	}
	return answer{status: status, body: bytes.TrimSuffix(b.Bytes(), []byte("\n"))}, nil
}

// transactionAnswer writes a transaction. The centre's output goes out as it was received.
func transactionAnswer(status int, t gateway.Transaction) (answer, error) {
	if t.Output != nil {
		t.Output = json.RawMessage(strictjson.Encode(t.Output))
	}
	t.CreatedAt, t.UpdatedAt = inChina(t.CreatedAt), inChina(t.UpdatedAt)
	return asJSON(status, t)
}

func settlementAnswer(status int, s gateway.Settlement) (answer, error) {
	s.Refund = refundInChina(s.Refund)
	s.Steps = append([]gateway.Step{}, slices.Clone(s.Steps)...)
	for i := range s.Steps {
		s.Steps[i].At = inChina(s.Steps[i].At)
	}
	return asJSON(status, s)
}

func refundInChina(r *gateway.Refund) *gateway.Refund {
	if r == nil {
		return nil
	}
	c := *r
	c.At = inChina(c.At)
	return &c
}

// inChina is a time as every time of the interface is written: +08:00, to the millisecond.
func inChina(t time.Time) time.Time { return t.In(gateway.China).Truncate(time.Millisecond) }
