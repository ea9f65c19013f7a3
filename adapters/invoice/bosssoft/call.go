package bosssoft

import (
	"bytes"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"yiqiao/crypto/envelope"
	"yiqiao/gateway"
	"yiqiao/schemas/strictjson"
)

// maxReply bounds a reply.
const maxReply = 8 << 20

// success is the one result that is.
const success = "S0000"

// answer is a reply before anybody asked what it means for a certain call.
type answer struct {
	gateway.InvoiceAnswer[any]
	message []byte
	fields  map[string]any // of a message that is an object
}

func (a *answer) text(name string) string { return textOf(a.fields[name]) }

// says reports whether a refusal is one of these.
func (a *answer) says(words []string) bool {
	return a.Outcome == gateway.OutcomeRefused && a.Cause == gateway.CauseBusiness && (slices.Contains(words, a.Code) ||
		slices.ContainsFunc(words, func(w string) bool { return w != "" && strings.Contains(a.Message, w) }))
}

// as is an answer without its value.
func as[T any](a answer) gateway.InvoiceAnswer[T] {
	return gateway.InvoiceAnswer[T]{Outcome: a.Outcome, Cause: a.Cause, Duplicate: a.Duplicate, Code: a.Code, Message: a.Message,
		Detail: a.Detail, Raw: a.Raw}
}

// mismatch is a reply that verified and can not be.
func mismatch[T any](a answer, what string) gateway.InvoiceAnswer[T] {
	return gateway.InvoiceAnswer[T]{Cause: gateway.CauseMismatch, Code: a.Code, Detail: what, Raw: a.Raw}
}

func unsupported[T any](what string) gateway.InvoiceAnswer[T] {
	return gateway.InvoiceAnswer[T]{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseUnsupported, Detail: what}
}

func unknown(c gateway.Cause, detail string) (a answer) {
	a.Cause, a.Detail = c, detail
	return a
}

func notSent(detail string) (a answer) {
	a.Outcome, a.Cause, a.Detail = gateway.OutcomeRefused, gateway.CauseNotSent, detail
	return a
}

// call sends one message and judges what comes back. The sending is not cut short by ctx: only the
// platform's own limit ends it, so that what was sent is waited for.
func (p *Platform) call(ctx context.Context, method string, in obj) answer {
	if err := ctx.Err(); err != nil {
		return notSent("cancelled")
	}
	noise, err := p.noise()
	if err != nil {
		return notSent("noise")
	}
	data, err := pack(in, p.o.Charset)
	if err != nil {
		return notSent("charset")
	}
	body := appendJSON(nil, obj{{"appid", p.o.AppID}, {"data", data}, {"noise", noise},
		{"sign", envelope.EInvoiceSign(p.o.AppID, data, noise, p.o.Key, version)}, {"version", version}})
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, p.o.BaseURL+"/"+strings.TrimSpace(method), bytes.NewReader(body))
	if err != nil {
		return notSent("url")
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	resp, err := p.client.Do(req)
	if err != nil {
		return failed(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	switch {
	case err != nil:
		return failed(err)
	case resp.StatusCode != http.StatusOK:
		return unknown(gateway.CauseNotInterface, resp.Status)
	case len(got) > maxReply:
		return unknown(gateway.CauseNotInterface, "reply too long")
	}
	return p.judge(got)
}

// failed judges an error of the network.
func failed(err error) answer {
	var op *net.OpError
	var timeout net.Error
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &cert):
		return notSent("certificate")
	case errors.As(err, &op) && op.Op == "dial":
		return notSent("no connection")
	case errors.As(err, &timeout) && timeout.Timeout():
		return unknown(gateway.CauseTimeout, "")
	}
	return unknown(gateway.CauseCut, "")
}

// judge says what a reply proves. Nothing of it is looked at before its signature is verified.
func (p *Platform) judge(body []byte) answer {
	m, err := readOuter(body)
	if err != nil {
		return unknown(gateway.CauseNotInterface, err.Error())
	}
	want := envelope.EInvoiceSign(p.o.AppID, m.Data, m.Noise, p.o.Key, version)
	if m.AppID != p.o.AppID || m.Version != version || subtle.ConstantTimeCompare([]byte(want), []byte(strings.ToUpper(m.Sign))) != 1 {
		return unknown(gateway.CauseSignature, "")
	}
	in, err := readInner(m.Data, p.o.Charset)
	if err != nil {
		return unknown(gateway.CauseNotInterface, err.Error())
	}
	var a answer
	a.Code, a.message = in.result, in.message
	if in.result != success {
		a.Outcome, a.Cause, a.Message = gateway.OutcomeRefused, gateway.CauseBusiness, plainly(in.message)
		return a
	}
	a.Outcome, a.Raw = gateway.OutcomeDone, in.message
	if v, err := strictjson.Decode(in.message, limits()); err == nil {
		a.fields, _ = v.(map[string]any)
	}
	return a
}

// plainly is the text of a refusal: one line of bounded length.
func plainly(b []byte) string {
	s := strings.Join(strings.Fields(string(b)), " ")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "…"
	}
	return s
}
