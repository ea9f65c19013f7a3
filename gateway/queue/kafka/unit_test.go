package kafka

import (
	"crypto/tls"
	"slices"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

func offsets(t *tracker) []int64 {
	var list []int64
	for _, m := range t.ready() {
		list = append(list, m.Offset)
	}
	slices.Sort(list)
	return list
}

func at(partition int, offset int64) kafkago.Message {
	return kafkago.Message{Topic: "t", Partition: partition, Offset: offset}
}

func TestTracker(t *testing.T) {
	k := newTracker()
	a, b, c := k.begin(at(0, 10)), k.begin(at(0, 11)), k.begin(at(0, 12))
	other := k.begin(at(1, 5))
	k.end(c)
	k.end(b)
	if got := offsets(k); got != nil {
		t.Errorf("%v may be committed while 10 is open", got)
	}
	k.end(other)
	if got := offsets(k); !slices.Equal(got, []int64{5}) {
		t.Errorf("%v", got)
	}
	k.end(a)
	if got := offsets(k); !slices.Equal(got, []int64{5, 12}) {
		t.Errorf("%v", got)
	}
	list := k.ready()
	d := k.begin(at(0, 13))
	k.end(d)
	k.committed(list)
	if got := offsets(k); !slices.Equal(got, []int64{13}) {
		t.Errorf("what ended while a commit was under way is forgotten: %v", got)
	}
	k.end(d)
	if n := k.inFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// A partition that was away begins anew: what was fetched before counts no more.
func TestTrackerAfterAPartitionCameBack(t *testing.T) {
	k := newTracker()
	old := k.begin(at(0, 10))
	k.end(k.begin(at(0, 11)))
	again, next := k.begin(at(0, 10)), k.begin(at(0, 11))
	k.end(old)
	if got := offsets(k); got != nil {
		t.Errorf("%v may be committed by what was fetched before", got)
	}
	k.end(next)
	k.end(again)
	if got := offsets(k); !slices.Equal(got, []int64{11}) {
		t.Errorf("%v", got)
	}
}

func TestTiers(t *testing.T) {
	o := Options{}
	o.fill()
	for wait, want := range map[time.Duration]string{
		time.Millisecond: "yiqiao.uploads.retry.10s", 10 * time.Second: "yiqiao.uploads.retry.10s",
		11 * time.Second: "yiqiao.uploads.retry.1m", 2 * time.Minute: "yiqiao.uploads.retry.15m",
		9 * time.Hour: "yiqiao.uploads.retry.15m",
	} {
		if got := o.retryTopic(o.tier(wait)); got != want {
			t.Errorf("%s waits in %s, want %s", wait, got, want)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Brokers: []string{"k:9092"}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Options){
		"no brokers":             func(o *Options) { o.Brokers = nil },
		"topic":                  func(o *Options) { o.Topic = "a b" },
		"descending tiers":       func(o *Options) { o.Tiers = []time.Duration{2, 1} },
		"password, no mechanism": func(o *Options) { o.Password = "x" },
		"no password":            func(o *Options) { o.Mechanism, o.User = "scram-sha-512", "u" },
		"unknown mechanism":      func(o *Options) { o.Mechanism, o.User, o.Password = "gssapi", "u", "p" },
		"plain without TLS":      func(o *Options) { o.Mechanism, o.User, o.Password = "plain", "u", "p" },
	} {
		o := good
		change(&o)
		if o.Check() == nil {
			t.Errorf("%s: taken", name)
		}
	}
	o := good
	o.Mechanism, o.User, o.Password, o.TLS = "plain", "u", "p", &tls.Config{}
	if err := o.Check(); err != nil {
		t.Error(err)
	}
}
