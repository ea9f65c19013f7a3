package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"yiqiao/gateway"
	"yiqiao/gateway/queue"
)

// stream reads one topic as a member of a group.
type stream struct {
	q     *Queue
	topic string
	group string
	tier  time.Duration // how long this topic holds back; 0: the work itself
	// take begins what a message asks for; done is called when the message may be taken off. An
	// error means that ctx ended.
	take func(ctx context.Context, m kafkago.Message, done func()) error
	// settle waits for what was begun; messages not begun are let go.
	settle func()

	mu      sync.Mutex
	tracked *tracker
	end     context.CancelFunc // ends the reader in use
	fetched int64              // messages ever
}

func (s *stream) inFlight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tracked == nil {
		return 0
	}
	return s.tracked.inFlight()
}

// renew gives the reader up for another one.
func (s *stream) renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		s.end()
	}
}

// run reads until ctx ends.
func (s *stream) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.q.topics(ctx); err != nil {
			if ctx.Err() == nil {
				s.q.ail(err)
				_ = s.q.o.Clock.Sleep(ctx, time.Second) // ends early with ctx, which the loop sees
			}
			continue
		}
		s.read(ctx)
	}
	s.settle()
}

// read is the life of one reader.
func (s *stream) read(ctx context.Context) {
	life, end := context.WithCancel(ctx)
	defer end()
	t := newTracker()
	s.mu.Lock()
	s.tracked, s.end = t, end
	s.mu.Unlock()
	r := kafkago.NewReader(s.config())
	wake := make(chan struct{}, 1)
	var commits sync.WaitGroup
	stop := make(chan struct{})
	commits.Go(func() { s.commit(r, t, wake, stop) })
	for {
		m, err := r.FetchMessage(life)
		if err != nil {
			break // life has ended: every other failure the reader keeps to itself and tries again
		}
		s.mu.Lock()
		s.fetched++
		s.mu.Unlock()
		k := t.begin(m)
		done := func() {
			t.end(k)
			select {
			case wake <- struct{}{}:
			default:
			}
		}
		if s.take(life, m, done) != nil {
			break
		}
	}
	if ctx.Err() != nil {
		s.settle()
	}
	close(stop)
	commits.Wait()
	if err := r.Close(); err != nil {
		s.q.o.Log.Debug("reader not closed", "topic", s.topic, "err", err.Error())
	}
}

func (s *stream) config() kafkago.ReaderConfig {
	o := &s.q.o
	return kafkago.ReaderConfig{
		Brokers: o.Brokers, Dialer: s.q.dialer, GroupID: s.group, Topic: s.topic,
		QueueCapacity: 64, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 500 * time.Millisecond,
		ReadBackoffMin: 5 * time.Millisecond, ReadBackoffMax: 250 * time.Millisecond,
		SessionTimeout: o.Session, HeartbeatInterval: o.Session / 5, RebalanceTimeout: o.Session,
		JoinGroupBackoff: 300 * time.Millisecond, StartOffset: kafkago.FirstOffset,
		WatchPartitionChanges: true, PartitionWatchInterval: 30 * time.Second,
		ErrorLogger: kafkago.LoggerFunc(func(format string, a ...any) {
			o.Log.Debug("kafka reader", "topic", s.topic, "says", fmt.Sprintf(format, a...))
		}),
	}
}

// commit tells the broker what is done with, until stop and once more then. A commit that fails is
// repeated; when the partition has gone to another member it is dropped with the next fetch, and
// what it was about comes twice.
func (s *stream) commit(r *kafkago.Reader, t *tracker, wake, stop chan struct{}) {
	once := func() bool {
		list := t.ready()
		if len(list) == 0 {
			return true
		}
		ctx, cancel := context.WithTimeout(context.Background(), s.q.o.Timeout)
		defer cancel()
		if err := r.CommitMessages(ctx, list...); err != nil {
			s.q.o.Log.Debug("offset not committed", "topic", s.topic, "err", err.Error())
			return false
		}
		t.committed(list)
		return true
	}
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	for {
		var later <-chan time.Time
		select {
		case <-stop:
			once()
			return
		case <-wake:
		}
		for !once() {
			pause.Reset(200 * time.Millisecond)
			later = pause.C
			select {
			case <-stop:
				once()
				return
			case <-later:
			}
		}
	}
}

// Deliver see gateway.Queue.
func (q *Queue) Deliver(ctx context.Context, h gateway.Handler) error {
	q.mu.Lock()
	if q.closed || q.delivering {
		q.mu.Unlock()
		return fmt.Errorf("kafka: closed, or delivering already")
	}
	q.delivering = true
	streams := []*stream{q.workStream(ctx, h)}
	for i := range q.o.Tiers {
		streams = append(streams, q.holdStream(i))
	}
	q.streams = streams
	q.mu.Unlock()
	var wg sync.WaitGroup
	for _, s := range streams {
		wg.Go(func() { s.run(ctx) })
	}
	wg.Go(func() { q.watch(ctx, streams) })
	wg.Wait()
	q.mu.Lock()
	q.delivering, q.streams = false, nil
	q.mu.Unlock()
	return nil
}

// job is one message a worker is to do.
type job struct {
	m    kafkago.Message
	done func()
}

// workStream hands what comes to the handler.
func (q *Queue) workStream(ctx context.Context, h gateway.Handler) *stream {
	s := &stream{q: q, topic: q.o.Topic, group: q.o.Group}
	lanes := queue.NewLanes(q.o.Workers, q.o.InFlight, func(j job) { q.work(ctx, h, j) })
	lanes.Start()
	s.take = func(ctx context.Context, m kafkago.Message, done func()) error {
		return lanes.Add(ctx, string(m.Key), job{m, done})
	}
	s.settle = lanes.Stop
	return s
}

// work is one call of the handler and what follows from its verdict. Only when all that is with
// the broker the message is done with.
func (q *Queue) work(ctx context.Context, h gateway.Handler, j job) {
	l, err := readLetter(j.m)
	if err != nil {
		q.o.Log.Error("message set aside", "topic", j.m.Topic, "partition", j.m.Partition, "offset", j.m.Offset, "why", err.Error())
		if q.insist(ctx, kafkago.Message{Topic: q.o.deadTopic(), Key: j.m.Key, Value: j.m.Value,
			Headers: []kafkago.Header{{Key: "why", Value: []byte("unreadable")}}}) == nil {
			j.done()
		}
		return
	}
	v := queue.Call(context.WithoutCancel(ctx), h, l.Ref, q.o.Log, func() time.Time { return q.o.Clock.Now().Add(q.o.Pause) })
	var out []kafkago.Message
	if v.Dead != "" {
		q.o.Log.Warn("upload set aside", "msgid", string(l.ID), "why", v.Dead)
		m, err := letter{Ref: l.Ref, Why: v.Dead}.message(q.o.deadTopic())
		if err == nil {
			out = append(out, m)
		}
	}
	if !v.Again.IsZero() {
		next := letter{Ref: l.Ref}
		if v.Next.ID != "" {
			next.Ref = v.Next
		}
		topic := q.o.Topic
		if wait := v.Again.Sub(q.o.Clock.Now()); wait > 0 {
			next.Due, topic = millisUp(v.Again), q.o.retryTopic(q.o.tier(wait))
		}
		m, err := next.message(topic)
		if err != nil {
			return
		}
		out = append(out, m)
	}
	if len(out) == 0 || q.insist(ctx, out...) == nil {
		j.done()
	}
}

// holdStream brings back what a retry topic holds when its time has come.
func (q *Queue) holdStream(i int) *stream {
	s := &stream{q: q, topic: q.o.retryTopic(i), group: q.o.Group + ".retry." + short(q.o.Tiers[i]), tier: q.o.Tiers[i]}
	room := make(chan struct{}, q.o.InFlight)
	var held sync.WaitGroup
	s.take = func(ctx context.Context, m kafkago.Message, done func()) error {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		held.Go(func() {
			defer func() { <-room }()
			l, err := readLetter(m)
			to := letter{Ref: l.Ref}
			out, err2 := to.message(q.o.Topic)
			if err != nil || err2 != nil {
				out = kafkago.Message{Topic: q.o.deadTopic(), Key: m.Key, Value: m.Value}
			} else if q.o.Clock.Sleep(ctx, l.due().Sub(q.o.Clock.Now())) != nil {
				return
			}
			if q.insist(ctx, out) == nil {
				done()
			}
		})
		return nil
	}
	s.settle = held.Wait
	return s
}
