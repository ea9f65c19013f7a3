package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"yiqiao/gateway"
)

// Queue implements gateway.Queue over Apache Kafka.
type Queue struct {
	o         Options
	transport *kafkago.Transport
	dialer    *kafkago.Dialer
	client    *kafkago.Client
	writer    *kafkago.Writer

	making sync.Mutex // one attempt to make topics at a time

	mu         sync.Mutex
	made       bool // the topics are there
	closed     bool
	delivering bool
	streams    []*stream
	lag        int64 // of all topics, as last asked; -1 before
	held       int64
	trouble    string
	since      time.Time
}

var _ gateway.Queue = (*Queue)(nil)

// New makes a queue. It reaches for no broker: a gateway starts also when there is none.
func New(o Options) (*Queue, error) {
	if o.Clock == nil {
		return nil, errors.New("kafka: needs a clock")
	}
	if err := o.Check(); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	o.fill()
	signIn, err := o.mechanism()
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	const name = "yiqiao"
	q := &Queue{o: o, lag: -1}
	q.transport = &kafkago.Transport{ClientID: name, DialTimeout: o.Timeout, MetadataTTL: 2 * time.Second, TLS: o.TLS, SASL: signIn}
	q.dialer = &kafkago.Dialer{ClientID: name, Timeout: o.Timeout, DualStack: true, TLS: o.TLS, SASLMechanism: signIn}
	q.client = &kafkago.Client{Addr: kafkago.TCP(o.Brokers...), Timeout: o.Timeout, Transport: q.transport}
	q.writer = &kafkago.Writer{
		Addr: kafkago.TCP(o.Brokers...), Transport: q.transport, Balancer: &kafkago.Hash{},
		RequiredAcks: kafkago.RequireAll, BatchSize: o.Batch, BatchTimeout: o.BatchWait,
		MaxAttempts: 3, WriteBackoffMin: 50 * time.Millisecond, WriteBackoffMax: 500 * time.Millisecond,
		WriteTimeout: o.Timeout, ReadTimeout: o.Timeout,
	}
	return q, nil
}

// Announce see gateway.Queue.
func (q *Queue) Announce(ctx context.Context, refs ...gateway.Ref) error {
	list := make([]kafkago.Message, 0, len(refs))
	for _, r := range refs {
		m, err := letter{Ref: r}.message(q.o.Topic)
		if err != nil {
			return fmt.Errorf("kafka: %w", err)
		}
		list = append(list, m)
	}
	return q.write(ctx, list...)
}

// write produces messages. An error says that some may be there and some not.
func (q *Queue) write(ctx context.Context, list ...kafkago.Message) error {
	if q.isClosed() {
		return errors.New("kafka: closed")
	}
	err := q.topics(ctx)
	for try := 0; err == nil && len(list) > 0; try++ {
		err = q.writer.WriteMessages(ctx, list...)
		// A topic just made, or one whose broker came back, has no leader for a moment.
		if left := unled(err, list); left != nil && try < 20 {
			list = left
			err = q.o.Clock.Sleep(ctx, 250*time.Millisecond)
			continue
		}
		break
	}
	if err != nil {
		if ctx.Err() == nil {
			q.ail(err)
		}
		return fmt.Errorf("kafka: %w", firstOf(err))
	}
	q.heal()
	return nil
}

// unled gives the messages that could not be written because their partition has no leader now, nil
// when something else is wrong too.
func unled(err error, list []kafkago.Message) []kafkago.Message {
	leaderless := func(err error) bool {
		return errors.Is(err, kafkago.UnknownTopicOrPartition) || errors.Is(err, kafkago.LeaderNotAvailable) ||
			errors.Is(err, kafkago.NotLeaderForPartition)
	}
	var each kafkago.WriteErrors
	if !errors.As(err, &each) || len(each) != len(list) {
		if leaderless(err) {
			return list
		}
		return nil
	}
	var left []kafkago.Message
	for i, e := range each {
		switch {
		case leaderless(e):
			left = append(left, list[i])
		case e != nil:
			return nil
		}
	}
	return left
}

// firstOf is one error instead of the same for every message.
func firstOf(err error) error {
	var each kafkago.WriteErrors
	if errors.As(err, &each) {
		for _, e := range each {
			if e != nil {
				return fmt.Errorf("%d of %d not written: %w", each.Count(), len(each), e)
			}
		}
	}
	return err
}

// insist produces messages until it works or ctx ends.
func (q *Queue) insist(ctx context.Context, list ...kafkago.Message) error {
	wait := 100 * time.Millisecond
	for {
		err := q.write(ctx, list...)
		if err == nil || q.isClosed() {
			return err
		}
		if err := q.o.Clock.Sleep(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// topics makes the topics that are not there yet.
func (q *Queue) topics(ctx context.Context) error {
	q.mu.Lock()
	made := q.made
	q.mu.Unlock()
	if made {
		return nil
	}
	q.making.Lock()
	defer q.making.Unlock()
	names := []string{q.o.Topic, q.o.deadTopic()}
	for i := range q.o.Tiers {
		names = append(names, q.o.retryTopic(i))
	}
	req := &kafkago.CreateTopicsRequest{}
	for _, n := range names {
		req.Topics = append(req.Topics, kafkago.TopicConfig{Topic: n, NumPartitions: q.o.Partitions, ReplicationFactor: q.o.Replicas})
	}
	res, err := q.client.CreateTopics(ctx, req)
	if err != nil {
		return err
	}
	var errs []error
	for name, err := range res.Errors {
		if err != nil && !errors.Is(err, kafkago.TopicAlreadyExists) {
			errs = append(errs, fmt.Errorf("topic %s: %w", name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	q.mu.Lock()
	q.made = true
	q.mu.Unlock()
	return nil
}

// ail notes trouble with the broker, heal its end.
func (q *Queue) ail(err error) {
	if errors.Is(err, kafkago.BrokerNotAvailable) {
		err = q.probe(err) // says nothing of why
	}
	words := q.o.explain(err)
	q.mu.Lock()
	fresh := q.trouble == ""
	q.trouble = words
	if fresh {
		q.since = q.o.Clock.Now()
	}
	if errors.Is(err, kafkago.UnknownTopicOrPartition) {
		q.made = false
	}
	q.mu.Unlock()
	if fresh {
		q.o.Log.Warn("queue degraded: uploads are accepted and wait in the journal", "why", words, "err", err.Error())
	}
}

// probe finds out why no broker can be used.
func (q *Queue) probe(err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), q.o.Timeout)
	defer cancel()
	for _, b := range q.o.Brokers {
		conn, failed := q.dialer.DialContext(ctx, "tcp", b)
		if failed != nil {
			err = failed
			continue
		}
		_ = conn.Close() // only whether it opens was asked
	}
	return err
}

func (q *Queue) heal() {
	q.mu.Lock()
	ill := q.trouble != ""
	q.trouble, q.since = "", time.Time{}
	q.mu.Unlock()
	if ill {
		q.o.Log.Info("queue is well again")
	}
}

func (q *Queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// State see gateway.Queue. What waits is asked for every few seconds while the queue delivers.
func (q *Queue) State() gateway.QueueState {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := gateway.QueueState{Kind: "kafka", Waiting: q.lag, Held: q.held, Trouble: q.trouble, Since: q.since}
	here := 0
	for _, x := range q.streams {
		here += x.inFlight()
	}
	s.Waiting = max(s.Waiting, int64(here))
	if q.lag < 0 && here == 0 {
		s.Waiting = -1
	}
	return s
}

// Close see gateway.Queue.
func (q *Queue) Close() error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	q.mu.Unlock()
	err := q.writer.Close()
	q.transport.CloseIdleConnections()
	return err
}
