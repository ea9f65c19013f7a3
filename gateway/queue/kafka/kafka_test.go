package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/gateway/queue/kafka/kafkatest"
)

var (
	brokers kafkatest.Brokers
	serial  atomic.Int64
)

func TestMain(m *testing.M) {
	code := m.Run()
	brokers.Stop()
	os.Exit(code)
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// options of a queue nobody else uses.
func options(address string) Options {
	return Options{
		Brokers: []string{address}, Topic: fmt.Sprintf("t%d.%d", os.Getpid(), serial.Add(1)), Clock: realClock{},
		Partitions: 4, Tiers: []time.Duration{time.Second, 10 * time.Second}, Pause: 10 * time.Millisecond,
		Session: 6 * time.Second, Stall: 20 * time.Second, Timeout: 3 * time.Second,
	}
}

func open(t testing.TB, o Options) *Queue {
	t.Helper()
	q, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestQueue(t *testing.T) {
	shared := brokers.Shared(t)
	gatewaytest.Queue(t, func(t *testing.T) gatewaytest.QueueUnderTest {
		o := options(shared.Address)
		u := gatewaytest.QueueUnderTest{Shared: true, Open: func(t *testing.T) gateway.Queue { return open(t, o) }}
		if shared.Started() {
			u.Crash = func(t *testing.T) { restart(t, shared) }
		}
		return u
	})
}

func restart(t *testing.T, b *kafkatest.Broker) {
	t.Helper()
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
}

// letters reads a topic from its beginning until want letters came.
func letters(t *testing.T, address, topic string, want int) []kafkago.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r := kafkago.NewReader(kafkago.ReaderConfig{Brokers: []string{address}, Topic: topic, GroupID: topic + ".look",
		StartOffset: kafkago.FirstOffset, MaxWait: 200 * time.Millisecond, JoinGroupBackoff: 200 * time.Millisecond})
	defer r.Close()
	var list []kafkago.Message
	for len(list) < want {
		m, err := r.FetchMessage(ctx)
		if err != nil {
			t.Fatalf("%d letters in %s: %v", len(list), topic, err)
		}
		list = append(list, m)
	}
	return list
}

// What is dead and what can not be read is put where others find it, and holds nobody up.
func TestDeadLetters(t *testing.T) {
	b := brokers.Shared(t)
	o := options(b.Address)
	o.Partitions = 1
	q := open(t, o)
	defer q.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := q.write(ctx, kafkago.Message{Topic: o.Topic, Key: []byte("a"), Value: []byte("not ours")}); err != nil {
		t.Fatal(err)
	}
	if err := q.Announce(ctx, gateway.Ref{ID: "1", Lane: "a"}, gateway.Ref{ID: "2", Lane: "a"}); err != nil {
		t.Fatal(err)
	}
	seen := make(chan gateway.Ref, 10)
	ended := make(chan error, 1)
	life, stop := context.WithCancel(ctx)
	go func() {
		ended <- q.Deliver(life, func(_ context.Context, r gateway.Ref) gateway.Verdict {
			seen <- r
			if r.ID == "1" {
				return gateway.Verdict{Dead: "refused"}
			}
			return gateway.Verdict{}
		})
	}()
	for _, want := range []string{"1", "2"} {
		select {
		case r := <-seen:
			if string(r.ID) != want {
				t.Errorf("%s came, want %s", r.ID, want)
			}
		case <-ctx.Done():
			t.Fatal("the lane stands still behind a message that can not be read")
		}
	}
	list := letters(t, b.Address, o.deadTopic(), 2)
	if string(list[0].Value) != "not ours" {
		t.Errorf("first dead letter %q", list[0].Value)
	}
	if l, err := readLetter(list[1]); err != nil || l.ID != "1" || l.Why != "refused" {
		t.Errorf("second dead letter %+v, %v", l, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// An offset is committed only when all before it is done with.
func TestCommittedOffsetNeverPassesWhatIsNotDone(t *testing.T) {
	b := brokers.Shared(t)
	o := options(b.Address)
	o.Partitions = 1
	q := open(t, o)
	defer q.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := q.Announce(ctx, gateway.Ref{ID: "1", Lane: "a"}, gateway.Ref{ID: "2", Lane: "b"}, gateway.Ref{ID: "3", Lane: "c"}); err != nil {
		t.Fatal(err)
	}
	gate, others := make(chan struct{}), make(chan struct{}, 2)
	ended := make(chan error, 1)
	life, stop := context.WithCancel(ctx)
	go func() {
		ended <- q.Deliver(life, func(_ context.Context, r gateway.Ref) gateway.Verdict {
			if r.ID == "1" {
				<-gate
			} else {
				others <- struct{}{}
			}
			return gateway.Verdict{}
		})
	}()
	<-others
	<-others
	work := &stream{q: q, topic: o.Topic, group: o.Topic}
	committed := func() int64 {
		_, n, err := q.behind(ctx, work)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := committed(); n != 0 {
		t.Errorf("committed %d while the first is being worked on", n)
	}
	close(gate)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := committed(); n != 3 {
		t.Errorf("committed %d after all were done, want 3", n)
	}
}

func TestSignIn(t *testing.T) {
	b := brokers.Own(t, true)
	pem, err := os.ReadFile(b.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in " + b.CA)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, c := range []struct {
		mechanism, password string
		roots               *x509.CertPool
		trouble             string
	}{
		{"scram-sha-256", "yiqiao-test", roots, ""},
		{"scram-sha-512", "yiqiao-test", roots, ""},
		{"scram-sha-512", "wrong", roots, "sign"},
		{"scram-sha-512", "yiqiao-test", x509.NewCertPool(), "certificate"},
		{"plain", "yiqiao-test", roots, "sign"}, // not offered there
	} {
		o := options(b.SASL)
		o.TLS, o.Mechanism, o.User, o.Password = &tls.Config{RootCAs: c.roots}, c.mechanism, "yiqiao", c.password
		q := open(t, o)
		err := q.Announce(ctx, gateway.Ref{ID: "1"})
		if s := q.State(); (err == nil) != (c.trouble == "") || (s.Trouble == "") != (c.trouble == "") || !strings.Contains(s.Trouble, c.trouble) {
			t.Errorf("%s with %q: %v, state %+v", c.mechanism, c.password, err, s)
		}
		if c.trouble == "" {
			got := make(chan gateway.Ref, 1)
			life, stop := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() {
				ended <- q.Deliver(life, func(_ context.Context, r gateway.Ref) gateway.Verdict { got <- r; return gateway.Verdict{} })
			}()
			select {
			case <-got:
			case <-ctx.Done():
				t.Errorf("%s: nothing delivered", c.mechanism)
			}
			stop()
			<-ended
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}
}

// No broker: announcing fails with words for the operator, and nothing hangs.
func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	q := open(t, options(address))
	if err := q.Announce(context.Background(), gateway.Ref{ID: "1"}); err == nil {
		t.Error("announced to nobody")
	}
	if s := q.State(); !strings.Contains(s.Trouble, "no broker listens at "+address) || s.Since.IsZero() || s.Waiting != -1 {
		t.Errorf("%+v", s)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- q.Deliver(ctx, func(context.Context, gateway.Ref) gateway.Verdict { return gateway.Verdict{} })
	}()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}
