package hl7_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"yiqiao/adapters/his/histest"
	"yiqiao/adapters/his/hl7"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// digest stands for SM3: the server takes whatever it is given.
func digest(b []byte) [32]byte { return sha256.Sum256(b) }

// carrier is a mapping for tests: ZJS holds the operation, number, id and the JSON of the body. What
// real definitions do is tested in the program, which knows both sides.
type carrier struct{}

func (carrier) Trace(gateway.Source) []gateway.Trace { return nil }

func (carrier) Map(s gateway.Source) (gateway.Mapped, error) {
	at := func(path string) string {
		p, err := hl7.Notation{}.Compile(path)
		if err != nil {
			panic(err)
		}
		v, _ := p.Value(s.Scope)
		return v
	}
	switch s.Type {
	case "ACK":
		return gateway.Mapped{}, nil
	case "ZZZ^Z99":
		panic("secret of a patient")
	}
	o := gateway.Order{Op: gateway.OrderOp(at("ZJS-1")), Infno: ident.Infno(at("ZJS-2")), ID: at("ZJS-3")}
	if body := at("ZJS-4"); body != "" {
		v, err := strictjson.Decode([]byte(body), strictjson.Request())
		if err != nil {
			return gateway.Mapped{}, err
		}
		o.Body, _ = v.(map[string]any)
	}
	return gateway.Mapped{Orders: []gateway.Order{o}, Rule: "carry", Version: "carrier@1"}, nil
}

func options(desk gateway.Desk) hl7.Options {
	return hl7.Options{
		Desk: desk, Mapper: carrier{}, Digest: digest, Clock: gatewaytest.NewClock(histest.At),
		Clients: []hl7.Client{
			{System: "other", KeyDigest: digest([]byte("other-key")), Institutions: []ident.Institution{"H44010000099"}},
			{System: histest.System, KeyDigest: digest([]byte(histest.Key)), Institutions: []ident.Institution{histest.Institution}},
		},
	}
}

// serve starts a server on a free port and stops it with the test.
func serve(t testing.TB, o hl7.Options) string {
	t.Helper()
	s, err := hl7.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute)) // a test that would hang fails
	return c
}

func esc(s string) string {
	return strings.NewReplacer(`\`, `\E\`, "|", `\F\`, "^", `\S\`, "&", `\T\`, "~", `\R\`, "\r", `\X0D\`, "\n", `\X0A\`).Replace(s)
}

// message carries a call. Its control id is derived from the call: the same call is the same message.
func message(c histest.Call) []byte {
	id := fmt.Sprintf("%x", digest([]byte(fmt.Sprint(c.Op, c.Infno, c.ID, string(c.Body)))))[:16]
	return []byte("MSH|^~\\&|HIS|HOSP|YIQIAO|X|20260304050607|" + esc(c.Key) + "|ZJS^Z01|" + id + "|P|2.5||||||UNICODE UTF-8\r" +
		"ZJS|" + string(c.Op) + "|" + esc(c.Infno) + "|" + esc(c.ID) + "|" + esc(string(c.Body)) + "\r")
}

// fields reads an acknowledgement by its own paths.
func fields(t testing.TB, ack []byte) func(path string) string {
	t.Helper()
	m, err := hl7.Parse(ack, "")
	if err != nil {
		t.Fatalf("the acknowledgement can not be read: %v\n%s", err, ack)
	}
	return func(path string) string {
		p, err := hl7.Notation{}.Compile(path)
		if err != nil {
			t.Fatal(err)
		}
		v, _ := p.Value(m)
		return v
	}
}

func read(t testing.TB, ack []byte) histest.Answer {
	at := fields(t, ack)
	a := histest.Answer{Raw: bytes.Clone(ack), Outcome: at("ZYB-3"), ID: at("ZYB-6"), Code: gateway.Code(at("ERR-5")),
		Path: at("ERR-6"), Rule: at("ERR-6[2]"), Detail: at("ZYB-20")}
	if a.Code != "" && at("ZYB-1") == "" {
		a.Outcome = histest.OutcomeOf(a.Code)
	}
	for i := 1; at(fmt.Sprintf("ERR[%d]-6[3]", i)) != ""; i++ {
		e := func(f string) string { return at(fmt.Sprintf("ERR[%d]-%s", i, f)) }
		a.Findings = append(a.Findings, check.Finding{Code: e("6[3]"), Path: e("6"), Rule: e("6[2]"), EN: e("7"), ZH: e("8"), Severity: check.Error})
	}
	want := "AA"
	switch {
	case a.Code == "" || a.Outcome == "unknown":
	case gateway.Codes[a.Code].Status >= 500, a.Code == gateway.CodeKeyMissing, a.Code == gateway.CodeKeyWrong, a.Code == gateway.CodeRequestInProgress, a.Code == gateway.CodeRateLimited:
		want = "AR"
	default:
		want = "AE"
	}
	if got := at("MSA-1"); got != want {
		t.Errorf("%s is acknowledged %s, want %s", a.Code, got, want)
	}
	if at("ERR-1") != "" || a.Code != "" && (at("ERR-3") == "" || at("ERR-8") == "" || at("ERR-10") == "") {
		t.Errorf("an incomplete ERR: %s", ack)
	}
	return a
}

func target(t *testing.T, desk gateway.Desk) histest.Target {
	addr := serve(t, options(desk))
	return histest.Target{Do: func(c histest.Call) histest.Answer {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Error(err)
			return histest.Answer{}
		}
		l := hl7.NewLink(conn, 0)
		defer l.Close()
		ack, err := l.Send(context.Background(), message(c))
		if err != nil {
			t.Error(err)
			return histest.Answer{}
		}
		told(t, l, desk)
		return read(t, ack)
	}}
}

// told waits until the server is done with the message: it reports an answer as delivered after it has
// written it, and takes the next message of a connection after that.
func told(t testing.TB, l *hl7.Link, _ gateway.Desk) {
	if _, err := l.Send(context.Background(), message(histest.Call{Op: "none", Key: "none"})); err != nil {
		t.Error(err)
	}
}

func TestSuite(t *testing.T) { histest.Suite(t, target) }
