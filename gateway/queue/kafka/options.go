// Package kafka is the queue of gateways that share their work: references travel through Apache
// Kafka. One topic holds what is to be done now, one for each retry tier what is held back until
// its time, and one the dead letters.
//
// Nothing depends on the broker keeping its promises: an offset is committed after the journal
// knows, what comes twice has one effect, and a reference that is lost is found in the journal.
package kafka

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"yiqiao/gateway"
)

// Options of a Kafka queue. Brokers and Clock are required.
type Options struct {
	Brokers []string // host:port, some of the cluster
	Topic   string   // name of the topic, and of what the others begin with; default "yiqiao.uploads"
	Group   string   // consumer group; gateways of one group share the work. Default: Topic
	// Partitions and Replicas of topics that are not there yet. Default 12 and what the broker says.
	Partitions int
	Replicas   int
	// Tiers are the longest times that each retry topic holds a reference back, ascending; longer
	// waits go through the last one. Default 10 s, 1 min, 15 min.
	Tiers    []time.Duration
	Workers  int // handlers at once; default 16
	InFlight int // references fetched and not taken off yet, for each topic; default 512

	Batch     int           // references in one produce request; default 500
	BatchWait time.Duration // how long a produce request waits for more; default 5 ms
	Session   time.Duration // after which a silent worker is taken for dead; default 10 s
	Stall     time.Duration // standstill with work waiting after which a reader is made anew; default 1 min
	Pause     time.Duration // how long a reference waits whose handler panicked; default 5 s
	Timeout   time.Duration // of one attempt to reach a broker; default 5 s

	TLS       *tls.Config // nil: none
	Mechanism string      // "", plain, scram-sha-256, scram-sha-512
	User      string
	Password  string

	Clock gateway.Clock
	Log   *slog.Logger // nil: nothing is logged
}

var topicName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,200}$`)

// Check tells what is wrong with the options, without reaching for a broker.
func (o Options) Check() error {
	o.fill()
	var errs []error
	if len(o.Brokers) == 0 {
		errs = append(errs, errors.New("no brokers"))
	}
	for _, name := range []string{o.Topic, o.Group} {
		if !topicName.MatchString(name) {
			errs = append(errs, fmt.Errorf("%q is not a name for a topic or group", name))
		}
	}
	if !slices.IsSorted(o.Tiers) || o.Tiers[0] <= 0 {
		errs = append(errs, errors.New("retry tiers must be positive and ascending"))
	}
	if _, err := o.mechanism(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (o *Options) fill() {
	if o.Topic == "" {
		o.Topic = "yiqiao.uploads"
	}
	if o.Group == "" {
		o.Group = o.Topic
	}
	if o.Replicas <= 0 {
		o.Replicas = -1
	}
	if len(o.Tiers) == 0 {
		o.Tiers = []time.Duration{10 * time.Second, time.Minute, 15 * time.Minute}
	}
	for _, x := range []struct {
		n *int
		v int
	}{{&o.Partitions, 12}, {&o.Workers, 16}, {&o.InFlight, 512}, {&o.Batch, 500}} {
		if *x.n <= 0 {
			*x.n = x.v
		}
	}
	for _, x := range []struct {
		d *time.Duration
		v time.Duration
	}{
		{&o.BatchWait, 5 * time.Millisecond}, {&o.Session, 10 * time.Second}, {&o.Stall, time.Minute},
		{&o.Pause, 5 * time.Second}, {&o.Timeout, 5 * time.Second},
	} {
		if *x.d <= 0 {
			*x.d = x.v
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// mechanism is how the gateway signs in at the broker; nil: it does not.
func (o *Options) mechanism() (sasl.Mechanism, error) {
	if o.Mechanism == "" {
		if o.User != "" || o.Password != "" {
			return nil, errors.New("user and password without a mechanism: plain, scram-sha-256 or scram-sha-512")
		}
		return nil, nil
	}
	if o.User == "" || o.Password == "" {
		return nil, fmt.Errorf("mechanism %s needs user and password", o.Mechanism)
	}
	switch o.Mechanism {
	case "plain":
		if o.TLS == nil {
			return nil, errors.New("mechanism plain without TLS would show the password")
		}
		return plain.Mechanism{Username: o.User, Password: o.Password}, nil
	case "scram-sha-256":
		return scram.Mechanism(scram.SHA256, o.User, o.Password)
	case "scram-sha-512":
		return scram.Mechanism(scram.SHA512, o.User, o.Password)
	}
	return nil, fmt.Errorf("mechanism %q is not one of plain, scram-sha-256, scram-sha-512", o.Mechanism)
}

// tier is the place of the retry topic for a wait: the first that holds so long, or the last.
func (o *Options) tier(wait time.Duration) int {
	for i, d := range o.Tiers {
		if wait <= d {
			return i
		}
	}
	return len(o.Tiers) - 1
}

// topics of the queue: work, the retry tiers, dead letters.
func (o *Options) retryTopic(i int) string { return o.Topic + ".retry." + short(o.Tiers[i]) }
func (o *Options) deadTopic() string       { return o.Topic + ".dead" }

// short writes a duration as a name: 10s, 1m, 15m.
func short(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d%time.Second == 0:
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return fmt.Sprintf("%dms", d/time.Millisecond)
}
