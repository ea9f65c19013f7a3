package flow

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

const infnoSignIn ident.Infno = "9001"

// signs remembers the sign-in of each operator. The zero value is ready.
type signs struct {
	flights flights
	mu      sync.Mutex
	no      map[signKey]string
	old     map[signKey]string // the last that the centre no longer knew
}

type signKey struct {
	inst ident.Institution
	oper string
}

// signNo is the sign_no for a message: "" where the region wants none, the remembered one, or a new
// one from 9001. Several callers share one sign-in.
func (d *Desk) signNo(ctx context.Context, j job) (string, error) {
	if !j.inst.Region.SignIn || j.tx.Kind == catalog.Session {
		return "", nil
	}
	key := signKey{j.inst.Code, j.operator.ID}
	if no := d.signs.get(key); no != "" {
		return no, nil
	}
	v, err := d.signs.flights.do(ctx, &d.work, gateway.RequestKey{System: string(key.inst), ID: key.oper}, [32]byte{},
		func(ctx context.Context) (any, error) {
			if no := d.signs.get(key); no != "" {
				return no, nil
			}
			if no := d.signedInElsewhere(ctx, key); no != "" {
				d.signs.put(key, no)
				return no, nil
			}
			return d.signIn(ctx, key, j)
		})
	if err != nil {
		return "", err
	}
	no, _ := v.(string)
	return no, nil
}

func (d *Desk) signIn(ctx context.Context, key signKey, j job) (any, error) {
	const op = "flow.sign-in"
	tx, err := d.lookup(infnoSignIn)
	if err != nil {
		return "", err
	}
	rec, _, err := d.send(ctx, job{
		op: op, inst: j.inst, tx: tx, operator: j.operator, step: string(tx.Infno), attempt: 1, own: true,
		input: object{"signIn": object{"opter_no": j.operator.ID, "mac": j.inst.MAC, "ip": j.inst.IP}},
	})
	if err != nil {
		return "", signError(err)
	}
	if standingOf(rec) != stands {
		e := failure(op, rec, refOf(rec.ID))
		if e.Code != gateway.CodeCentreUnreachable {
			e.Code = gateway.CodeSignIn
		}
		return "", e
	}
	no := text(member(read(rec.Output), tx.Output, "sign_no"))
	if no == "" {
		return "", &gateway.Error{Code: gateway.CodeSignIn, Op: op, Detail: "no sign_no in the reply", Ref: refOf(rec.ID)}
	}
	d.signs.put(key, no)
	return no, nil
}

// signError keeps an unwritten sign-in from being taken for an unknown outcome of the caller's own
// transaction, which was never sent.
func signError(err error) error {
	var e *gateway.Error
	if errors.As(err, &e) && e.Code == gateway.CodeOutcomeUnknown {
		c := *e
		c.Code = gateway.CodeSignIn
		return &c
	}
	return err
}

// signExpired reports whether a message was refused because the sign-in is no longer valid.
func (d *Desk) signExpired(j job, errMsg string) bool {
	return j.inst.Region.SignIn && j.tx.Kind != catalog.Session && contains(errMsg, j.inst.Region.SignExpired)
}

// forgetSign notes that the centre no longer knows a sign-in. One that came in its place stays.
func (d *Desk) forgetSign(j job, no string) {
	key := signKey{j.inst.Code, j.operator.ID}
	d.signs.mu.Lock()
	defer d.signs.mu.Unlock()
	if d.signs.no[key] == no {
		delete(d.signs.no, key)
	}
	if d.signs.old == nil {
		d.signs.old = map[signKey]string{}
	}
	d.signs.old[key] = no
}

// signedInElsewhere is the sign-in another gateway on the journal has made for an operator just now:
// a centre knows only the last of an operator, and gateways that took turns to sign in would make
// each other's messages void for ever.
func (d *Desk) signedInElsewhere(ctx context.Context, key signKey) string {
	tx, ok := d.opt.Catalog.Lookup(infnoSignIn)
	if d.held == nil || !ok {
		return ""
	}
	recs, err := d.opt.Journal.List(ctx, gateway.Query{Institution: key.inst, Infno: infnoSignIn, States: []gateway.State{gateway.StateDone},
		From: d.opt.Clock.Now().Add(-signedLately), Newest: true})
	if err != nil {
		return ""
	}
	for _, rec := range recs {
		if rec.Operator.ID != key.oper {
			continue
		}
		no := text(member(read(rec.Output), tx.Output, "sign_no"))
		d.signs.mu.Lock()
		defer d.signs.mu.Unlock()
		if no == d.signs.old[key] {
			return ""
		}
		return no
	}
	return ""
}

// signedLately is how long ago another gateway may have signed in for us to use it without asking.
const signedLately = 15 * time.Minute

func (s *signs) get(k signKey) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.no[k]
}

func (s *signs) put(k signKey, no string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.no == nil {
		s.no = map[signKey]string{}
	}
	if no == "" {
		delete(s.no, k)
		return
	}
	s.no[k] = no
}

// contains reports whether a message holds one of the texts.
func contains(msg string, texts []string) bool {
	for _, t := range texts {
		if t != "" && strings.Contains(msg, t) {
			return true
		}
	}
	return false
}

// SignIns counts the operators signed in, for each institution whose region wants that.
func (d *Desk) SignIns() map[ident.Institution]int {
	count := map[ident.Institution]int{}
	for code, inst := range d.opt.Institutions {
		if inst.Region.SignIn {
			count[code] = 0
		}
	}
	d.signs.mu.Lock()
	defer d.signs.mu.Unlock()
	for k := range d.signs.no {
		count[k.inst]++
	}
	return count
}
