package rest

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"yiqiao/adapters/his/bind"
	"yiqiao/gateway"
	"yiqiao/schemas/check"
	"yiqiao/schemas/strictjson"
)

// read takes the body of a POST: media type, size, JSON and request id, in that order.
func (k *call) read() (any, error) {
	r := k.c.Request
	if !isJSON(r.Header) {
		return nil, &gateway.Error{Code: gateway.CodeMediaType, Op: "rest"}
	}
	tooLarge := &gateway.Error{Code: gateway.CodeBodyTooLarge, Op: "rest", Rule: string(strictjson.Size)}
	if r.ContentLength > k.h.o.MaxBody {
		return nil, k.leaveUnread(tooLarge)
	}
	b, err := io.ReadAll(http.MaxBytesReader(k.c.Writer, r.Body, k.h.o.MaxBody))
	if err != nil {
		if big := new(http.MaxBytesError); errors.As(err, &big) {
			return nil, k.leaveUnread(tooLarge)
		}
		if other := new(gateway.Error); errors.As(err, &other) { // not the body that was signed
			return nil, other
		}
		return nil, &gateway.Error{Code: gateway.CodeBodyNotJSON, Op: "rest", Rule: string(strictjson.Syntax)}
	}
	limits := strictjson.Request()
	limits.MaxBytes = int(k.h.o.MaxBody)
	v, err := strictjson.Decode(b, limits)
	if err != nil {
		return nil, jsonError(err)
	}
	return v, k.identify(v)
}

// leaveUnread ends the connection with the answer: what is left of the body is not read.
func (k *call) leaveUnread(err error) error {
	k.c.Writer.Header().Set("Connection", "close")
	return err
}

// isJSON reports whether a body is plain JSON in UTF-8, by its headers.
func isJSON(h http.Header) bool {
	if enc := h.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return false
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return false
	}
	switch strings.ToLower(params["charset"]) {
	case "", "utf-8", "utf8":
		return true
	}
	return false
}

func jsonError(err error) error {
	e := new(strictjson.Error)
	if !errors.As(err, &e) {
		return err
	}
	out := &gateway.Error{Code: gateway.CodeBodyNotJSON, Op: "rest", Path: e.Path, Rule: string(e.Kind)}
	switch e.Kind {
	case strictjson.Duplicate:
		out.Code = gateway.CodeBodyDuplicate
	case strictjson.Size:
		out.Code = gateway.CodeBodyTooLarge
	}
	return out
}

// FindingConflict is the finding of two places that should say the same and do not.
const FindingConflict = "field-conflict"

// identify finds the request id: the member request_id, or the header Idempotency-Key.
func (k *call) identify(v any) error {
	malformed := &gateway.Error{Code: gateway.CodeRequestIDMissing, Op: "rest", Path: "/request_id", Rule: "1-64 位 A-Za-z0-9-_.:"}
	head := strings.TrimSpace(k.c.GetHeader("Idempotency-Key"))
	if n := len(head); n >= 2 && head[0] == '"' && head[n-1] == '"' {
		head = head[1 : n-1] // a structured-field string
	}
	body, _ := v.(map[string]any)
	member, present := body["request_id"]
	text, isText := member.(string)
	switch {
	case body == nil: // bind says what is wrong
		return nil
	case present && member != nil && !isText:
		return malformed
	case text == "" && present && member != nil:
		return malformed
	case text == "":
		text = head
	case head != "" && head != text:
		return bind.Refused("rest", check.Finding{Code: FindingConflict, Path: "/request_id", Rule: "Idempotency-Key",
			ZH: "request_id 与请求头 Idempotency-Key 不一致", EN: "request_id differs from the header Idempotency-Key."})
	}
	if !bind.IsRequestID(text) {
		return malformed
	}
	k.requestID = text
	return nil
}

// readAs reads a body and binds it.
func readAs[T any](k *call, b *bind.Binder[T]) (T, error) {
	v, err := k.read()
	if err != nil {
		var zero T
		return zero, err
	}
	out, findings := b.Bind(v)
	if len(findings) > 0 {
		return out, bind.Refused("rest", findings...)
	}
	return out, nil
}
