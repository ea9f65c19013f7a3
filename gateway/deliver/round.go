package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"yiqiao/gateway"
)

const (
	page      = 500
	mostPages = 40               // of what waits are looked at in one round
	lease     = 30 * time.Second // a gateway that is gone is replaced after this long
)

// round delivers what is due. The error is the journal's.
func (p *post) round(ctx context.Context) error {
	c := p.c
	ok, paused, err := p.hold(ctx)
	if err != nil || !ok || paused {
		return err
	}
	now := c.o.Clock.Now()
	if wait, down := p.down(now); wait {
		return nil
	} else if down {
		return p.walk(ctx, 1)
	}
	return p.walk(ctx, c.o.Workers)
}

// down tells whether the receiver is left alone for now, and whether it failed last time.
func (p *post) down(now time.Time) (wait, down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fails > 0 && now.Before(p.again), p.fails > 0
}

// walk goes through what waits, oldest first, and delivers the first of each lane with so many at
// once. It ends early when the receiver itself fails or the lease may be lost.
func (p *post) walk(ctx context.Context, workers int) error {
	c := p.c
	began := c.o.Clock.Now()
	tried, err := c.tries(ctx, p.r.System)
	if err != nil {
		return err
	}
	blocked := map[string]bool{} // lanes whose first has not come over
	keep := map[gateway.RequestKey]string{}
	var after gateway.RequestKey
	delivered := 0
	defer func() {
		if delivered > 0 {
			if err := c.count(context.WithoutCancel(ctx), p.r.System, delivered); err != nil {
				c.o.Log.Warn("deliveries not counted", "system", p.r.System, "err", err.Error())
			}
		}
		p.mu.Lock()
		p.lanes = keep
		p.mu.Unlock()
	}()
	for range mostPages {
		list, err := c.o.Journal.Untold(ctx, p.r.System, began.Add(-p.r.After), after, page)
		if err != nil {
			return err
		}
		n, stop, err := p.page(ctx, list, tried, blocked, keep, workers, began)
		if delivered += n; err != nil || stop {
			return err
		}
		if len(list) < page {
			return p.tidy(ctx, tried, keep)
		}
		after = list[len(list)-1].Key
	}
	return nil
}

// stuckTries is how often an answer is brought in vain before health speaks of it.
const stuckTries = 3

// tidy counts what is refused again and again, once everything that waits was seen, and forgets the
// tries of what the HIS has fetched by itself meanwhile.
func (p *post) tidy(ctx context.Context, tried map[string]attempt, waiting map[gateway.RequestKey]string) error {
	n := 0
	for id, a := range tried {
		key := gateway.RequestKey{System: p.r.System, ID: id}
		_, waits := waiting[key]
		switch {
		case a.skipped != "":
		case !waits:
			if err := p.c.forget(context.WithoutCancel(ctx), key); err != nil {
				return err
			}
		case a.tries >= stuckTries:
			n++
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stuck = n
	return nil
}

// job is one answer to be brought.
type job struct {
	req  gateway.Request
	lane string
	past attempt
}

// page delivers one page. The first of a lane goes; those behind it in the page follow in the same
// worker, so that a lane is never worked on by two.
func (p *post) page(ctx context.Context, list []gateway.Request, tried map[string]attempt, blocked map[string]bool,
	keep map[gateway.RequestKey]string, workers int, began time.Time) (delivered int, stop bool, err error) {
	c := p.c
	lanes := map[string][]job{}
	var order []string
	for _, req := range list {
		if req.Told {
			continue
		}
		lane, err := p.lane(ctx, req)
		if err != nil {
			return 0, true, err
		}
		keep[req.Key] = lane
		past := tried[req.Key.ID]
		if blocked[lane] {
			continue
		}
		if past.skipped == "" && began.Before(past.again) {
			blocked[lane] = true
			continue
		}
		if lanes[lane] == nil {
			order = append(order, lane)
		}
		lanes[lane] = append(lanes[lane], job{req, lane, past})
	}
	var mu sync.Mutex
	work := make(chan []job)
	var wg sync.WaitGroup
	for range min(workers, len(order)) {
		wg.Go(func() {
			for jobs := range work {
				for _, j := range jobs {
					mu.Lock()
					over := stop || ctx.Err() != nil || c.o.Clock.Now().Sub(began) > lease/2
					mu.Unlock()
					if over {
						break
					}
					ok, dead, failed := p.bring(ctx, j)
					mu.Lock()
					err = errors.Join(err, failed)
					stop = stop || dead || failed != nil
					if ok {
						delivered++
					} else {
						blocked[j.lane] = true
					}
					mu.Unlock()
					if !ok {
						break
					}
				}
			}
		})
	}
	for _, lane := range order {
		work <- lanes[lane]
	}
	close(work)
	wg.Wait()
	return delivered, stop || ctx.Err() != nil || c.o.Clock.Now().Sub(began) > lease/2, err
}

// lane tells which lane a request is in. Those without one are each in their own.
func (p *post) lane(ctx context.Context, req gateway.Request) (string, error) {
	p.mu.Lock()
	lane, ok := p.lanes[req.Key]
	p.mu.Unlock()
	if ok {
		return lane, nil
	}
	n, err := p.c.o.Notices.Notice(ctx, req.Key)
	if isStorage(err) {
		return "", err
	}
	if n.Lane == "" || err != nil {
		return "request:" + req.Key.ID, nil
	}
	return n.Lane, nil
}

func isStorage(err error) bool {
	var e *gateway.Error
	return errors.As(err, &e) && e.Code == gateway.CodeStorage || errors.Is(err, gateway.ErrStorage)
}

// bring makes one try. dead: the receiver itself does not work. The error is the journal's.
func (p *post) bring(ctx context.Context, j job) (ok, dead bool, err error) {
	c, key := p.c, j.req.Key
	if j.past.skipped != "" { // given up by a person: nothing is sent
		c.o.Journal.Told(key, c.o.Clock.Now())
		return true, false, nil
	}
	why := ""
	n, err := c.o.Notices.Notice(ctx, key)
	switch {
	case isStorage(err):
		return false, true, err
	case err != nil:
		why = "the answer can not be read: " + err.Error()
	case n.Moot:
		c.o.Journal.Told(key, c.o.Clock.Now())
		return true, false, nil
	default:
		why, dead = p.drawn(ctx, n, c.id(key, j.req.AnsweredAt), j.past.tries+1)
	}
	now := c.o.Clock.Now()
	if why == "" {
		c.o.Journal.Told(key, now)
		p.health("", false, now)
		if j.past.tries > 0 {
			err = c.forget(context.WithoutCancel(ctx), key)
		}
		return true, false, err
	}
	if ctx.Err() != nil {
		return false, true, nil // stopped, not failed
	}
	p.health(why, dead, now)
	c.o.Log.Warn("delivery failed", "system", key.System, "request_id", key.ID, "tries", j.past.tries+1, "why", why)
	a := attempt{tries: j.past.tries + 1, tried: now, why: why}
	a.again = now.Add(c.pause(a.tries, key.ID))
	return false, dead, c.failed(context.WithoutCancel(ctx), key, a)
}

// health notes how the receiver does. Only what is its own fault counts.
func (p *post) health(why string, dead bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case dead:
		if p.fails == 0 {
			p.since = now
		}
		p.fails++
		p.why, p.again = why, now.Add(p.c.pause(p.fails, p.r.System))
	default: // it works, even where it refused one
		p.fails, p.why = 0, ""
	}
}

// pause doubles with every try and is spread by a fifth.
func (c *Courier) pause(tries int, id string) time.Duration {
	d := c.o.First
	for i := 1; i < tries && d < c.o.Most; i++ {
		d *= 2
	}
	d = min(d, c.o.Most)
	h := fnv.New32a()
	fmt.Fprintf(h, "%s %d", id, tries)
	return d + d/5*time.Duration(h.Sum32()%1000)/1000
}

// message is the body of a delivery.
type message struct {
	Delivery string `json:"delivery_id"`
	Event    string `json:"event"` // request.answered, outcome.absent, outcome.reversed
	gateway.Notice
}

// drawn is post as a span, where somebody looks.
func (p *post) drawn(ctx context.Context, n gateway.Notice, id string, try int) (why string, dead bool) {
	if p.c.o.Trace == nil {
		return p.post(ctx, n, id, try)
	}
	ctx, end := p.c.o.Trace.Begin(ctx, gateway.Span{Name: "deliver", System: p.r.System, Count: try})
	why, dead = p.post(ctx, n, id, try)
	switch {
	case dead:
		end("unavailable")
	case why != "":
		end("refused")
	default:
		end("done")
	}
	return why, dead
}

func event(n gateway.Notice) string {
	if n.Event == "" {
		return "request.answered"
	}
	return n.Event
}

// post sends one answer; why is "" when the receiver took it. dead: nobody could have delivered
// anything there just now.
func (p *post) post(ctx context.Context, n gateway.Notice, id string, try int) (why string, dead bool) {
	if p.r.Bring != nil {
		ctx, stop := context.WithTimeout(ctx, p.r.Timeout)
		defer stop()
		return p.r.Bring(ctx, id, n)
	}
	c := p.c
	body, err := json.Marshal(message{Delivery: id, Event: event(n), Notice: n})
	if err != nil {
		return "the answer can not be written: " + err.Error(), false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.r.URL, bytes.NewReader(body))
	if err != nil {
		return "the address can not be called", true
	}
	stamp := strconv.FormatInt(c.o.Clock.Now().Unix(), 10)
	h := req.Header
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("User-Agent", "yiqiao")
	h.Set(HeaderID, id)
	h.Set(HeaderTime, stamp)
	h.Set(HeaderTry, strconv.Itoa(try))
	h.Set(HeaderSignature, Sign(c.o.SM3, p.r.Key, stamp, body))
	resp, err := p.client.Do(req)
	if err != nil {
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			return "no answer in time", true
		}
		return "can not be reached", true
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	_ = resp.Body.Close()
	switch s := resp.StatusCode; {
	case s >= 200 && s < 300:
		return "", false
	case s >= 300 && s < 400:
		return fmt.Sprintf("redirects (%d), which is not followed", s), true
	case s == http.StatusRequestTimeout, s == http.StatusTooManyRequests, s == http.StatusUnauthorized, s == http.StatusForbidden, s == http.StatusNotFound, s >= 500:
		return fmt.Sprintf("answers %d", s), true
	default:
		return fmt.Sprintf("refuses it with %d", s), false
	}
}
