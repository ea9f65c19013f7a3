package flow

import (
	"context"
	"encoding/json"
	"strconv"

	"yiqiao/gateway"
)

// A request whose outcome turns out to be "nothing stands" has no final answer: the HIS may send it again. When
// nobody was waiting for it the HIS does not know that. So the end of such a record is written together with
// a request of the HIS's system that it never made, whose answer is the news: it waits to be told like any
// other, is brought in the same order, and is lost as little.

// opOutcome is the operation of such a request.
const opOutcome = "outcome"

// newsStart begins its id; no HIS may use the letter.
const newsStart = "!"

// news is that entry, nil when there is nobody to be told or somebody waits. rec is as it stands after e.
func (d *Desk) news(rec gateway.Record, e gateway.Event) *gateway.Entry {
	if rec.State != gateway.StateAbsent && rec.State != gateway.StateReversed || rec.Request.ID == "" || rec.Request.System == internal ||
		len(rec.Wire) > 0 || e.Cause != causeByHand && !d.alone.has(rec.ID) {
		return nil
	}
	if tx, ok := d.opt.Catalog.Lookup(rec.Infno); !ok || !tx.Commits {
		return nil
	}
	body, err := json.Marshal(stored{Record: rec.ID, Outcome: rec.State})
	if err != nil {
		return nil
	}
	ref := rec.Bill
	if ref == "" {
		ref = refOf(rec.ID)
	}
	key := gateway.RequestKey{System: rec.Request.System, ID: newsStart + string(rec.ID) + "." + strconv.Itoa(rec.Version)}
	return &gateway.Entry{
		Request: &gateway.Request{Key: key, Digest: d.opt.Digest([]byte(opOutcome), body), Op: opOutcome, Institution: rec.Institution,
			Ref: ref, CreatedAt: e.At},
		Answer: &gateway.Answer{Key: key, Body: body, At: e.At, Institution: rec.Institution},
	}
}

// tellsNews makes the notice of such a request. It is moot when the HIS knows better by now: it has sent the
// request again, or was answered.
func (d *Desk) tellsNews(ctx context.Context, n gateway.Notice, a stored) (gateway.Notice, error) {
	const op = "flow.notice"
	rec, err := d.opt.Journal.Record(ctx, a.Record)
	if err != nil {
		return n, storage(op, err)
	}
	req, err := d.opt.Journal.Request(ctx, rec.Request)
	if err != nil {
		return n, storage(op, err)
	}
	recs, err := d.opt.Journal.RequestRecords(ctx, rec.Request)
	if err != nil {
		return n, storage(op, err)
	}
	t := d.transaction(rec, nil)
	n.Event, n.RequestID, n.Op, n.Lane, n.Transaction = "outcome."+string(a.Outcome), rec.Request.ID, req.Op, d.laneOf(rec), &t
	n.Moot = rec.State != a.Outcome || len(req.Answer) > 0
	for _, later := range recs {
		n.Moot = n.Moot || later.Step == rec.Step && later.Attempt > rec.Attempt && standingOf(later) != free
	}
	return n, nil
}
