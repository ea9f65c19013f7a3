package kafka

import (
	"context"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// watchEvery is how often the broker is asked how much waits.
const watchEvery = 2 * time.Second

// standing is where a stream stood when it last made progress.
type standing struct {
	fetched, committed int64
	since              time.Time
}

// watch asks what waits, and gives a reader up that stands still although something does: the
// library has been seen to hang after a broker came back.
func (q *Queue) watch(ctx context.Context, streams []*stream) {
	seen := map[*stream]standing{}
	failures := 0
	for q.o.Clock.Sleep(ctx, watchEvery) == nil {
		total, held := int64(0), int64(0)
		ok := true
		for _, s := range streams {
			lag, committed, err := q.behind(ctx, s)
			if err != nil {
				// Once is nothing: a group that is new, or moves, has no coordinator for a moment.
				if failures++; failures > 1 && ctx.Err() == nil {
					q.ail(err)
				}
				ok = false
				break
			}
			total += lag
			if s.tier > 0 {
				held += lag
			}
			now := q.o.Clock.Now()
			if seen[s] = seen[s].step(s, lag, committed, now); now.Sub(seen[s].since) > q.o.Stall+s.tier {
				q.o.Log.Warn("reader stands still: made anew", "topic", s.topic, "waiting", lag)
				s.renew()
				seen[s] = standing{since: now}
			}
		}
		if !ok {
			continue
		}
		failures = 0
		q.heal()
		q.mu.Lock()
		q.lag, q.held = total, held
		q.mu.Unlock()
	}
}

// step notes progress: something was fetched or committed, by us or by another member of the group,
// or is being worked on, or nothing waits.
func (old standing) step(s *stream, lag, committed int64, now time.Time) standing {
	s.mu.Lock()
	fetched := s.fetched
	s.mu.Unlock()
	if lag == 0 || s.inFlight() > 0 || fetched != old.fetched || committed != old.committed || old.since.IsZero() {
		return standing{fetched, committed, now}
	}
	return old
}

// behind is how many messages of a stream's topic are not taken off yet by its group, and the sum of
// what it has committed.
func (q *Queue) behind(ctx context.Context, s *stream) (lag, committed int64, err error) {
	if err := q.topics(ctx); err != nil {
		return 0, 0, err
	}
	meta, err := q.client.Metadata(ctx, &kafkago.MetadataRequest{Topics: []string{s.topic}})
	if err != nil {
		return 0, 0, err
	}
	var numbers []int
	var asked []kafkago.OffsetRequest
	for _, t := range meta.Topics {
		if t.Error != nil {
			return 0, 0, t.Error
		}
		for _, p := range t.Partitions {
			numbers = append(numbers, p.ID)
			asked = append(asked, kafkago.FirstOffsetOf(p.ID), kafkago.LastOffsetOf(p.ID))
		}
	}
	have, err := q.client.OffsetFetch(ctx, &kafkago.OffsetFetchRequest{GroupID: s.group, Topics: map[string][]int{s.topic: numbers}})
	if err == nil && have.Error != nil {
		err = have.Error
	}
	if err != nil {
		return 0, 0, err
	}
	ends, err := q.client.ListOffsets(ctx, &kafkago.ListOffsetsRequest{Topics: map[string][]kafkago.OffsetRequest{s.topic: asked}})
	if err != nil {
		return 0, 0, err
	}
	done := map[int]int64{}
	for _, p := range have.Topics[s.topic] {
		done[p.Partition] = p.CommittedOffset
		committed += max(p.CommittedOffset, 0)
	}
	for _, p := range ends.Topics[s.topic] {
		if p.Error != nil {
			return 0, 0, p.Error
		}
		lag += max(p.LastOffset-max(done[p.Partition], p.FirstOffset), 0)
	}
	return lag, committed, nil
}
