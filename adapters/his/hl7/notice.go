package hl7

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"

	"yiqiao/adapters/his/counter"
	"yiqiao/gateway"
)

// Receiver is a HIS that takes answers as messages, over MLLP.
type Receiver struct {
	Address       string         // host:port
	TLS           bool           // with the certificates of Roots, nil for the system's
	Roots         *x509.CertPool //
	App, Facility string         // MSH-5 and MSH-6
	Charset       string         // as MSH-18 names it; "" is UTF-8
	Key           string         // MSH-8, "" for none
	Clock         gateway.Clock
}

// noticeEvents are MSH-9.2 of the events of a Notice.
var noticeEvents = map[string]string{"": "Z01", "request.answered": "Z01", "outcome.absent": "Z02", "outcome.reversed": "Z03"}

// Bring sends a final answer and waits for its acknowledgement. why is "" when the receiver took it (AA or CA); dead: it takes
// nothing just now. id names the delivery: it is MSH-10, the same each time the same answer comes. ctx bounds it.
func (r Receiver) Bring(ctx context.Context, id string, n gateway.Notice) (why string, dead bool) {
	conn, err := r.dial(ctx)
	if err != nil {
		return unreached(ctx), true
	}
	l := NewLink(conn, 1<<20)
	defer l.Close()
	b, err := l.Send(ctx, r.message(id, n))
	if err != nil {
		return unreached(ctx), true
	}
	m, err := Parse(b, r.Charset)
	if err != nil {
		return "its acknowledgement can not be read", true
	}
	at := func(field string) string {
		p, _ := Notation{}.Compile(field)
		v, _ := p.Value(m)
		return v
	}
	switch code := at("MSA-1"); {
	case at("MSA-2") != id:
		return "acknowledges another message", true
	case code == "AA", code == "CA":
		return "", false
	case code == "AE", code == "CE":
		return "refuses it with " + code, false
	default:
		return "answers " + cut(code, 2), true
	}
}

// unreached says how it failed, without the words of the network, which repeat addresses.
func unreached(ctx context.Context) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "no answer in time"
	}
	return "can not be reached"
}

func (r Receiver) dial(ctx context.Context) (net.Conn, error) {
	if !r.TLS {
		return (&net.Dialer{}).DialContext(ctx, "tcp", r.Address)
	}
	return (&tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: r.Roots}}).DialContext(ctx, "tcp", r.Address)
}

// message has the segments an answer to the request would have: MSA-2 is the request id, ZYB as in every acknowledgement.
func (r Receiver) message(id string, n gateway.Notice) []byte {
	a := counter.Answer{Op: gateway.OrderOp(n.Op), Outcome: counter.Done, ID: n.Ref, RequestID: n.RequestID, Transaction: n.Transaction, Settlement: n.Settlement, Stay: n.Stay}
	if n.Error != nil {
		a.Outcome, a.Err = counter.Refused, &gateway.Error{Code: n.Error.Code, Detail: n.Error.Detail, Path: n.Error.Path}
	} else if n.Event != "" && n.Event != "request.answered" {
		a.Outcome = counter.Refused // it does not stand at the centre any more
	}
	set := charsets[nameOf(r.Charset)]
	rep := &reply{m: &Message{delims: usual, charset: set}, answers: []counter.Answer{a}, now: r.Clock.Now()}
	var b strings.Builder
	seg(&b, "MSH", `^~\&`, "YIQIAO", e(string(n.Institution)), e(r.App), e(r.Facility), rep.now.In(gateway.China).Format("20060102150405.000-0700"), e(r.Key),
		"ZYB^"+noticeEvents[n.Event]+"^ZYB_Z01", e(id), "P", "2.5", "", "", "", "", "", set.Name())
	msa := []string{"A" + string(rep.code()), e(n.RequestID)}
	if a.Err != nil {
		msa = append(msa, e(cut(gateway.Codes[a.Err.Code].ZH, 80)))
	}
	seg(&b, "MSA", msa...)
	if a.Err != nil {
		rep.errorSegments(&b, a.Err)
	}
	rep.answer(&b, 0, a)
	return set.encode(b.String())
}
