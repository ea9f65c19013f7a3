package kafka

import (
	"sync"

	kafkago "github.com/segmentio/kafka-go"
)

// tracker knows which messages of each partition are done with, so that an offset is committed only
// when everything before it is done: Kafka itself would take any offset and forget what lies before.
type tracker struct {
	mu    sync.Mutex
	parts map[int]*part
	open  int
}

type part struct {
	marks  []*mark // in the order fetched, those not committed yet
	last   int64   // highest offset fetched
	commit *kafkago.Message
}

// mark is one fetched message.
type mark struct {
	m    kafkago.Message
	part *part
	done bool
}

func newTracker() *tracker { return &tracker{parts: map[int]*part{}} }

// begin notes a fetched message. When a partition goes back, because it was somebody else's for a
// while or the broker was restarted, what was known of it counts no more.
func (t *tracker) begin(m kafkago.Message) *mark {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.parts[m.Partition]
	if p == nil || m.Offset <= p.last {
		p = &part{}
		t.parts[m.Partition] = p
	}
	p.last = m.Offset
	k := &mark{m: kafkago.Message{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset}, part: p}
	p.marks = append(p.marks, k)
	t.open++
	return k
}

// end notes that a message is done with.
func (t *tracker) end(k *mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k.done {
		return
	}
	k.done = true
	t.open--
	p := k.part
	for len(p.marks) > 0 && p.marks[0].done {
		p.commit = &p.marks[0].m
		p.marks[0] = nil
		p.marks = p.marks[1:]
	}
}

// ready gives for each partition the message up to which everything is done and not committed.
func (t *tracker) ready() []kafkago.Message {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []kafkago.Message
	for _, p := range t.parts {
		if p.commit != nil {
			list = append(list, *p.commit)
		}
	}
	return list
}

// committed notes that the broker knows.
func (t *tracker) committed(list []kafkago.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range list {
		if p := t.parts[m.Partition]; p != nil && p.commit != nil && p.commit.Offset <= m.Offset {
			p.commit = nil
		}
	}
}

// inFlight is the number of messages begun and not ended.
func (t *tracker) inFlight() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open
}
