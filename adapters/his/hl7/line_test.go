package hl7_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/adapters/his/histest"
	"yiqiao/adapters/his/hl7"
	"yiqiao/gateway"
)

var open = histest.Call{Op: histest.OpOpen, Key: histest.Key, Body: []byte(histest.BillBody)}

func framed(msg []byte) []byte { return []byte("\x0b" + string(msg) + "\x1c\r") }

// next reads one frame of an answer.
func next(t testing.TB, c net.Conn) func(string) string {
	t.Helper()
	var b []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(b, []byte("\x1c\r")) {
		if _, err := io.ReadFull(c, one); err != nil {
			t.Fatalf("no answer: %v after %q", err, b)
		}
		b = append(b, one[0])
	}
	return fields(t, bytes.TrimSuffix(bytes.TrimPrefix(b, []byte("\x0b")), []byte("\x1c\r")))
}

func closed(t testing.TB, c net.Conn) {
	t.Helper()
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Errorf("the connection is not closed: %q %v", b, err)
	}
}

// However the network cuts what is sent, each message is answered once and in order.
func TestPieces(t *testing.T) {
	desk := &histest.Desk{}
	addr := serve(t, options(desk))
	first := message(open)
	second := bytes.Replace(message(open), []byte("R-2"), []byte("R-9"), 1)
	whole := append(append(framed(first), "\r\n"...), framed(second)...)
	for _, size := range []int{len(whole), 1, 7, len(whole)/40 + 1} {
		c := dial(t, addr)
		for from := 0; from < len(whole); from += size {
			if _, err := c.Write(whole[from:min(from+size, len(whole))]); err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range []string{"R-2", "R-9"} {
			if at := next(t, c); at("MSA-1") != "AA" || at("ZYB-5") != id {
				t.Errorf("in pieces of %d: %s for %s, want %s", size, at("MSA-1"), at("ZYB-5"), id)
			}
		}
	}
}

// What is no good is answered in the source's own protocol, and others go on undisturbed.
func TestBadFrames(t *testing.T) {
	good := string(message(open))
	broken := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	id := strings.Split(good, "|")[9]
	for _, c := range []struct {
		name, bytes, ack, code, where, control string
		ends                                   bool
	}{
		{"no start byte", good + "\x1c\r", "AE", "message-unreadable", "", "", true},
		{"another byte behind the end", "\x0b" + good + "\x1cX", "AE", "message-unreadable", "", id, true},
		{"truncated", "\x0b" + good[:len(good)/2], "AE", "message-unreadable", "", id, true},
		{"oversized", "\x0b" + good + strings.Repeat("x", 1<<16) + "\x1c\r", "AE", "body-too-large", "", id, true},
		{"no control id", "\x0b" + broken("|"+id+"|", "||") + "\x1c\r", "AE", "message-unreadable", "MSH-10", "", false},
		{"no type", "\x0b" + broken("ZJS^Z01", "") + "\x1c\r", "AE", "message-unreadable", "MSH-9", id, false},
		{"version 3", "\x0b" + broken("|2.5|", "|3.0|") + "\x1c\r", "AE", "message-unreadable", "MSH-12", id, false},
		{"version 2.2", "\x0b" + broken("|2.5|", "|2.2|") + "\x1c\r", "AE", "message-unreadable", "MSH-12", id, false},
		{"delimiters", "\x0b" + broken(`^~\&`, "aaaa") + "\x1c\r", "AE", "message-unreadable", "", "", false},
		{"charset", "\x0b" + broken("UNICODE UTF-8", "EBCDIC") + "\x1c\r", "AE", "message-unreadable", "", id, false},
		{"not in the charset", "\x0b" + broken("李四", "\xc0\xee\xcb\xc4") + "\x1c\r", "AE", "message-unreadable", "", id, false},
		{"a zero byte", "\x0b" + broken("李四", "\x00") + "\x1c\r", "AE", "message-unreadable", "", id, false},
		{"nothing", "\x0b\x1c\r", "AE", "message-unreadable", "", "", false},
		{"not HL7", "\x0b{}\x1c\r", "AE", "message-unreadable", "", "", false},
		{"a panic behind", "\x0b" + broken("ZJS^Z01", "ZZZ^Z99") + "\x1c\r", "AR", "internal", "", id, false},
		{"batch without an end", "\x0bBHS|^~\\&\r" + good + "\x1c\r", "AE", "message-unreadable", "", id, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			desk := &histest.Desk{}
			o := options(desk)
			o.MaxFrame = 32 << 10
			addr := serve(t, o)
			other := dial(t, addr)
			conn := dial(t, addr)
			if _, err := conn.Write([]byte(c.bytes)); err != nil {
				t.Fatal(err)
			}
			if c.name == "truncated" {
				if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			at := next(t, conn)
			if at("MSA-1") != c.ack || at("ERR-5") != c.code || at("ERR-6") != c.where || at("MSA-2") != c.control || at("ERR-8") == "" {
				t.Errorf("%s %s at %q for %q", at("MSA-1"), at("ERR-5"), at("ERR-6"), at("MSA-2"))
			}
			if n := len(desk.Calls()); n > 0 {
				t.Errorf("the desk was asked %d times", n)
			}
			if c.ends {
				closed(t, conn)
			} else {
				_, _ = conn.Write(framed([]byte(good)))
				if at := next(t, conn); at("MSA-1") != "AA" {
					t.Errorf("the next message: %s", at("MSA-1"))
				}
			}
			_, _ = other.Write(framed([]byte(good)))
			if at := next(t, other); at("MSA-1") != "AA" {
				t.Errorf("another sender: %s %s", at("MSA-1"), at("ERR-5"))
			}
		})
	}
}

// Who sends a frame too slowly is told so and put out; the limit is on the whole frame, not on pauses.
func TestSlowSender(t *testing.T) {
	o := options(&histest.Desk{})
	o.FrameTime = 30 * time.Millisecond
	addr := serve(t, o)
	c := dial(t, addr)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for b := []byte("\x0bMSH|^~\\&|"); ; b = []byte("x") {
			if _, err := c.Write(b); err != nil {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	if at := next(t, c); at("ERR-6[2]") != "mllp-slow" {
		t.Errorf("%s", at("ERR-6[2]"))
	}
	close(stop)
	wg.Wait()
}

// A sender that broke off begins its frame anew.
func TestBegunAnew(t *testing.T) {
	desk := &histest.Desk{}
	c := dial(t, serve(t, options(desk)))
	_, _ = c.Write(append([]byte("\x0bMSH|^~\\&|HIS|half of"), framed(message(open))...))
	if at := next(t, c); at("MSA-1") != "AA" || len(desk.Calls()) != 1 {
		t.Errorf("%s, %d calls", at("MSA-1"), len(desk.Calls()))
	}
}

func TestEnhancedAcknowledgement(t *testing.T) {
	for _, c := range []struct {
		accept, application string
		fails               bool
		want                []string
	}{
		{"AL", "AL", false, []string{"CA", "AA"}}, {"AL", "NE", false, []string{"CA"}}, {"NE", "AL", false, []string{"AA"}},
		{"AL", "ER", false, []string{"CA"}}, {"AL", "ER", true, []string{"CE", "AE"}}, {"ER", "SU", true, []string{"CE"}}, {"SU", "SU", false, []string{"CA", "AA"}},
		{"NE", "NE", false, nil},
	} {
		desk := &histest.Desk{}
		if c.fails {
			desk.Err = &gateway.Error{Code: gateway.CodeState}
		}
		conn := dial(t, serve(t, options(desk)))
		msg := strings.Replace(string(message(open)), "|P|2.5||||||", "|P|2.5|||"+c.accept+"|"+c.application+"||", 1)
		_, _ = conn.Write(framed([]byte(msg)))
		for _, want := range c.want {
			if at := next(t, conn); at("MSA-1") != want {
				t.Errorf("%s %s: %s, want %s", c.accept, c.application, at("MSA-1"), want)
			}
		}
		_, _ = conn.Write(framed(message(histest.Call{Op: "none", Key: "x"})))
		if at := next(t, conn); at("MSA-1") != "AR" {
			t.Errorf("%s %s: one more answer %s", c.accept, c.application, at("MSA-1"))
		}
		if told := len(desk.ToldOf()); !c.fails && (told == 1) != (c.want != nil) {
			t.Errorf("%s %s: told %d times", c.accept, c.application, told)
		}
	}
}

func TestBatch(t *testing.T) {
	desk := &histest.Desk{}
	c := dial(t, serve(t, options(desk)))
	second := bytes.Replace(message(open), []byte("R-2"), []byte("R-9"), 1)
	_, _ = c.Write(framed(append(append([]byte("FHS|^~\\&\rBHS|^~\\&\r"), append(message(open), second...)...), "BTS|2\rFTS|1\r"...)))
	var b []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(b, []byte("\x1c\r")) {
		if _, err := io.ReadFull(c, one); err != nil {
			t.Fatal(err)
		}
		b = append(b, one[0])
	}
	batch, err := hl7.Split(bytes.Trim(b, "\x0b\x1c\r"))
	if err != nil || len(batch.Messages) != 2 || !batch.Wrapped {
		t.Fatalf("%v %q", err, b)
	}
	for i, id := range []string{"R-2", "R-9"} {
		if at := fields(t, batch.Messages[i]); at("ZYB-5") != id || at("MSA-1") != "AA" {
			t.Errorf("%d: %s", i, batch.Messages[i])
		}
	}
	_, _ = c.Write(framed(append(message(open), second...))) // two without a batch: an answer each
	for _, id := range []string{"R-2", "R-9"} {
		if at := next(t, c); at("ZYB-5") != id {
			t.Errorf("%s, want %s", at("ZYB-5"), id)
		}
	}
}

// The answer comes in the charset of the question.
func TestAnswerCharset(t *testing.T) {
	desk := &histest.Desk{Err: &gateway.Error{Code: gateway.CodeCentreRefused, Detail: "该人员已暂停参保|^", Ref: "B1"}}
	c := dial(t, serve(t, options(desk)))
	_, _ = c.Write(framed([]byte(gbk(t, strings.Replace(string(message(open)), "UNICODE UTF-8", "GBK", 1)))))
	at := next(t, c)
	if at("MSH-18") != "GB 18030-2000" || at("ZYB-20") != "该人员已暂停参保|^" || at("MSA-1") != "AE" {
		t.Errorf("%q %q", at("MSH-18"), at("ZYB-20"))
	}
}

func TestClients(t *testing.T) {
	addr := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	for _, c := range []struct {
		name   string
		client hl7.Client
		key    string
		code   string
	}{
		{"by network", hl7.Client{Networks: addr("127.0.0.0/8")}, "", ""},
		{"from elsewhere", hl7.Client{Networks: addr("10.0.0.0/8")}, "", "api-key-wrong"},
		{"by name", hl7.Client{Networks: addr("127.0.0.0/8"), App: "HIS", Facility: "HOSP"}, "", ""},
		{"another name", hl7.Client{Networks: addr("127.0.0.0/8"), App: "LIS"}, "", "api-key-wrong"},
		{"no key", hl7.Client{KeyDigest: digest([]byte("k"))}, "", "api-key-missing"},
		{"wrong key", hl7.Client{KeyDigest: digest([]byte("k"))}, "l", "api-key-wrong"},
		{"key", hl7.Client{KeyDigest: digest([]byte("k"))}, "k", ""},
	} {
		o := options(&histest.Desk{})
		c.client.System, c.client.Institutions = histest.System, o.Clients[1].Institutions
		o.Clients = []hl7.Client{c.client}
		conn := dial(t, serve(t, o))
		call := open
		call.Key = c.key
		_, _ = conn.Write(framed(message(call)))
		if at := next(t, conn); at("ERR-5") != c.code {
			t.Errorf("%s: %q, want %q", c.name, at("ERR-5"), c.code)
		}
	}
	for name, c := range map[string]hl7.Client{"neither key nor network": {}, "empty key": {KeyDigest: digest(nil)}} {
		o := options(&histest.Desk{})
		c.System, c.Institutions = "x", o.Clients[0].Institutions
		o.Clients = []hl7.Client{c}
		if _, err := hl7.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTooManyConnections(t *testing.T) {
	o := options(&histest.Desk{})
	o.MaxConnections = 1
	addr := serve(t, o)
	first := dial(t, addr)
	_, _ = first.Write(framed(message(open)))
	next(t, first)
	closed(t, dial(t, addr))
	_, _ = first.Write(framed(message(open)))
	next(t, first)
}

// What is being worked on when the server is told to stop is answered.
func TestStop(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	desk := &histest.Desk{On: map[histest.Op]func(context.Context, gateway.Caller, any) (any, error){
		histest.OpOpen: func(context.Context, gateway.Caller, any) (any, error) {
			close(entered)
			<-leave
			return histest.Settlement("R-2", "B1", gateway.BillPresettled), nil
		},
	}}
	s, err := hl7.New(options(desk))
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
	idle, c := dial(t, ln.Addr().String()), dial(t, ln.Addr().String())
	_, _ = c.Write(framed(message(open)))
	<-entered
	stop()
	closed(t, idle)
	close(leave)
	if at := next(t, c); at("MSA-1") != "AA" {
		t.Errorf("%s", at("MSA-1"))
	}
	closed(t, c)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The listener going away ends Serve with its error, also with an idle connection.
func TestListenerGoesAway(t *testing.T) {
	s, err := hl7.New(options(&histest.Desk{}))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), ln) }()
	c := dial(t, ln.Addr().String())
	_, _ = c.Write(framed(message(open)))
	next(t, c)
	_ = ln.Close()
	if err := <-done; err == nil {
		t.Error("no error")
	}
}

// certificate is that of a server on this machine, and who trusts it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

func TestTLS(t *testing.T) {
	conf, pool := certificate(t)
	o := options(&histest.Desk{})
	o.FrameTime = 2 * time.Second
	s, err := hl7.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	plain := dial(t, ln.Addr().String()) // one that does not speak TLS disturbs nobody
	_, _ = plain.Write(framed(message(open)))
	mute := dial(t, ln.Addr().String()) // nor one that says nothing at all: it is put out
	c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	l := hl7.NewLink(c, 0)
	ack, err := l.Send(context.Background(), message(open))
	if err != nil || fields(t, ack)("MSA-1") != "AA" {
		t.Errorf("%v %s", err, ack)
	}
	_ = l.Close()
	closed(t, mute)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A client that gets no answer knows that the message may have arrived.
func TestLinkUnanswered(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = c.Read(make([]byte, 10))
		_ = c.Close()
	}()
	l := hl7.NewLink(dial(t, ln.Addr().String()), 0)
	if _, err := l.Send(context.Background(), message(open)); err == nil || !strings.Contains(err.Error(), "not answered") {
		t.Errorf("%v", err)
	}
}
