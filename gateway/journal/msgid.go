package journal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/schemas/ident"
)

const (
	lastSeq  = 9999 // the last number of a second; the first is 1
	maxBlock = 256  // ids reserved at once
)

// idBlocks holds, for each institution, the ids this process has reserved and not given yet.
type idBlocks struct {
	mu sync.Mutex
	of map[ident.Institution]*idBlock
}

// idBlock is a run of numbers of one second. What is left of it when its second is over is never
// given: ids do not lag behind the clock.
type idBlock struct {
	turn    chan struct{} // holds one token: whose turn it is
	second  int64
	next    int64
	end     int64 // last number that may be given
	size    int64 // of the last reservation
	given   int64 // in this second
	waiting int64 // callers who want a turn; guarded by idBlocks.mu
}

func (b *idBlocks) enter(inst ident.Institution) *idBlock {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.of[inst]
	if k == nil {
		k = &idBlock{turn: make(chan struct{}, 1)}
		k.turn <- struct{}{}
		if b.of == nil {
			b.of = map[ident.Institution]*idBlock{}
		}
		b.of[inst] = k
	}
	k.waiting++
	return k
}

func (b *idBlocks) leave(k *idBlock) {
	b.mu.Lock()
	k.waiting--
	b.mu.Unlock()
}

func (b *idBlocks) wanted(k *idBlock) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return k.waiting
}

// NextMsgID see gateway.Journal. Ids are reserved in blocks, as many at once as were needed lately;
// a reservation is durable before the first of its ids is given. "Earlier" between processes means
// earlier by their clocks: a process may still give ids of the second its own clock shows.
func (j *Journal) NextMsgID(ctx context.Context, inst ident.Institution, now time.Time) (ident.MsgID, error) {
	if err := j.open(ctx); err != nil {
		return "", err
	}
	if _, err := ident.NewMsgID(inst, now.In(gateway.China), 0); err != nil {
		return "", fmt.Errorf("journal: %w", err)
	}
	k := j.ids.enter(inst)
	defer j.ids.leave(k)
	select {
	case <-k.turn:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { k.turn <- struct{}{} }()
	if second := now.Unix(); second > k.second || k.next > k.end {
		size := 2 * k.size
		if second > k.second {
			size = k.given // what the last second needed
		}
		size = min(max(size, j.ids.wanted(k), 1), maxBlock)
		if err := j.reserve(ctx, inst, max(second, k.second), size, k); err != nil {
			return "", err
		}
	}
	id, err := ident.NewMsgID(inst, fromSeconds(k.second), int(k.next))
	if err != nil {
		return "", fmt.Errorf("journal: %w", err)
	}
	k.next++
	k.given++
	return id, nil
}

func fromSeconds(n int64) time.Time { return time.Unix(n, 0).In(gateway.China) }

const (
	sqlCounter    = `SELECT second, seq FROM msgid_counter WHERE institution = $1 {lock}`
	sqlNewCounter = `INSERT INTO msgid_counter (institution, second, seq) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING`
	sqlSetCounter = `UPDATE msgid_counter SET second = $1, seq = $2 WHERE institution = $3`
)

// reserve takes numbers of the earliest second that is not before want and has some left.
func (j *Journal) reserve(ctx context.Context, inst ident.Institution, want, size int64, k *idBlock) error {
	var second, first, last int64
	err := j.db.DoLast(ctx, "counter "+string(inst), func(tx *store.Tx) error {
		var seq int64
		found, err := tx.Get(sqlCounter, []any{string(inst)}, &second, &seq)
		if err == nil && !found { // it may appear meanwhile
			if _, err = tx.Exec(sqlNewCounter, string(inst)); err == nil {
				found, err = tx.Get(sqlCounter, []any{string(inst)}, &second, &seq)
			}
		}
		switch {
		case err != nil:
			return err
		case !found:
			return fmt.Errorf("journal: no counter of %s", inst)
		}
		switch {
		case second < want:
			second, seq = want, 0
		case seq >= lastSeq:
			second, seq = second+1, 0
		}
		first, last = seq+1, min(seq+size, lastSeq)
		return tx.Put(sqlSetCounter, second, last, string(inst))
	})
	if err != nil {
		return err
	}
	if second != k.second {
		k.given = 0
	}
	k.second, k.next, k.end, k.size = second, first, last, size
	return nil
}
