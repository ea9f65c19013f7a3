package people

import (
	"context"
	"encoding/base64"
	"io"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/audit"
	"yiqiao/gateway/store"
)

// mostSessions is how many sessions one person may have; the oldest makes room.
const mostSessions = 10

// seenEvery is how often the use of a session is written down.
const seenEvery = time.Minute

// clockSlack is how far a session may have been seen in the future: clocks of several gateways differ.
const clockSlack = 2 * time.Minute

const tokenPrefix = "yqs_"

var refused = &gateway.Error{Code: gateway.CodeLoginRefused, Op: op}

// SignIn implements gateway.Doorkeeper.
func (r *Register) SignIn(ctx context.Context, s gateway.SignIn) (gateway.Visitor, string, error) {
	var token string
	a, err := r.prove(ctx, s, "sign-in", nil, func(tx *store.Tx, a *Account, now time.Time) (err error) {
		token, err = r.begin(tx, a, now)
		return err
	})
	if err != nil {
		return gateway.Visitor{}, "", err
	}
	return r.arrived(a, r.o.Clock.Now()), token, nil
}

// Prove is SignIn without a session: for a command, which is over at once. what is noted.
func (r *Register) Prove(ctx context.Context, s gateway.SignIn, what string) (gateway.Visitor, error) {
	a, err := r.prove(ctx, s, what, nil, func(*store.Tx, *Account, time.Time) error { return nil })
	if err != nil {
		return gateway.Visitor{}, err
	}
	return a.visitor(), nil
}

// prove holds a password against an account. Whatever the reason of a refusal, one password is
// stretched and one commit made. When it is right before is called, and then in that commit.
func (r *Register) prove(ctx context.Context, s gateway.SignIn, what string, before func() error, then func(*store.Tx, *Account, time.Time) error) (*Account, error) {
	if d := r.addresses.wait(s.From, r.o.Clock.Now()); d > 0 {
		return nil, &gateway.Error{Code: gateway.CodeRateLimited, Op: op, RetryAfter: d}
	}
	busy := &gateway.Error{Code: gateway.CodeRateLimited, Op: op, RetryAfter: time.Second}
	select {
	case r.line <- struct{}{}:
		defer func() { <-r.line }()
	default:
		return nil, busy
	}
	select {
	case r.places <- struct{}{}:
		defer func() { <-r.places }()
	case <-ctx.Done():
		return nil, busy
	}
	var row scan
	nobody, err := r.nobody() // also when somebody has the name: the first to come pays
	if err != nil {
		return nil, &gateway.Error{Code: gateway.CodeInternal, Op: op, Err: err}
	}
	digest := nobody
	password := s.Password
	if len(password) > 4*MostPassword {
		password = password[:4*MostPassword+1] // no password is so long
	}
	found, err := r.o.DB.Get(ctx, `SELECT secret, `+columns+` FROM person WHERE id = $1`, []any{Fold(s.ID)}, append([]any{&digest}, row.into()...)...)
	if err != nil {
		return nil, storage(err)
	}
	r.tried.Add(1)
	right, cost, err := try(digest, password)
	if err != nil { // a damaged row: nobody gets in by it
		r.o.Log.Error("the digest of a password is not readable", "person", row.ID)
		_, _, _ = try(nobody, password)
	}
	a := row.done()
	if !found {
		a, right = nil, false
	}
	anew := ""
	if right && cost != r.o.Cost {
		if anew, err = r.o.Cost.seal(r.o.Rand, password); err != nil {
			return nil, &gateway.Error{Code: gateway.CodeInternal, Op: op, Err: err}
		}
	}
	if right && before != nil {
		if err := before(); err != nil {
			return nil, err
		}
	}
	now := r.o.Clock.Now()
	let := false
	err = r.o.DB.Do(ctx, func(tx *store.Tx) (err error) {
		if let, err = r.settle(tx, a, right, digest, now); err != nil || !let {
			r.note(tx, who(a), what+".refused", "", cause(a, right, let, now))
			return err
		}
		if anew != "" {
			if _, err := tx.Exec(`UPDATE person SET secret = $1 WHERE id = $2`, anew, a.ID); err != nil {
				return err
			}
		}
		r.note(tx, who(a), what, "", "")
		return then(tx, a, now)
	})
	if err != nil {
		return nil, storage(err)
	}
	if !let {
		r.addresses.fail(s.From, now)
		return nil, refused
	}
	return a, nil
}

// settle counts a try, and tells whether it lets in. The row may have changed since it was read: a right
// password lets in only while it still is the password, of an account that is neither disabled nor locked.
func (r *Register) settle(tx *store.Tx, a *Account, right bool, digest string, now time.Time) (bool, error) {
	switch {
	case a == nil:
		return false, nil
	case right:
		n, err := tx.Exec(`UPDATE person SET failures = 0, locked = 0 WHERE id = $1 AND secret = $2 AND disabled = 0 AND locked <= $3`,
			a.ID, digest, now.UnixMilli())
		return n == 1, err
	}
	_, err := tx.Exec(`UPDATE person SET failures = failures + 1,
		locked = CASE WHEN failures + 1 >= $1 THEN CAST($2 AS BIGINT) ELSE locked END WHERE id = $3 AND disabled = 0 AND locked <= $4`,
		int64(r.o.Tries), now.Add(r.o.Lock).UnixMilli(), a.ID, now.UnixMilli())
	return false, err
}

// cause is why somebody was not let in, for the audit record alone.
func cause(a *Account, right, let bool, now time.Time) string {
	switch {
	case let:
		return ""
	case a == nil:
		return "unknown name"
	case a.Disabled:
		return "disabled"
	case a.LockedUntil.After(now):
		return "locked"
	case right:
		return "changed meanwhile"
	}
	return "wrong password"
}

func who(a *Account) string {
	if a == nil {
		return "person:?"
	}
	return "person:" + a.ID
}

func (r *Register) note(tx *store.Tx, who, what, ref, detail string) {
	r.o.Audit.NoteIn(tx, audit.Act{Who: who, What: what, Ref: ref, Detail: detail})
}

// begin makes a session and gives its token.
func (r *Register) begin(tx *store.Tx, a *Account, now time.Time) (string, error) {
	var b [32]byte
	if _, err := io.ReadFull(r.o.Rand, b[:]); err != nil {
		return "", &gateway.Error{Code: gateway.CodeInternal, Op: op, Err: err}
	}
	token := tokenPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	digest := r.o.Digest([]byte(token))
	ms := now.UnixMilli()
	if _, err := tx.Exec(`DELETE FROM person_session WHERE expires <= $1 OR seen <= $2`, ms, now.Add(-r.o.Idle).UnixMilli()); err != nil {
		return "", err
	}
	if _, err := tx.Exec(`DELETE FROM person_session WHERE person = $1 AND digest NOT IN
		(SELECT digest FROM person_session WHERE person = $2 ORDER BY issued DESC, digest LIMIT `+itoa(mostSessions-1)+`)`, a.ID, a.ID); err != nil {
		return "", err
	}
	_, err := tx.Exec(`INSERT INTO person_session (digest, person, issued, seen, expires) VALUES ($1, $2, $3, $4, $5)`,
		digest[:], a.ID, ms, ms, now.Add(r.o.Life).UnixMilli())
	return token, err
}

// arrived is the visitor of a session that begins now.
func (r *Register) arrived(a *Account, now time.Time) gateway.Visitor {
	v := a.visitor()
	v.Issued, v.Expires, v.IdleUntil = now, now.Add(r.o.Life), now.Add(r.o.Idle)
	return v
}

// WhoIs implements gateway.Doorkeeper.
func (r *Register) WhoIs(ctx context.Context, token string) (gateway.Visitor, error) {
	a, s, err := r.session(ctx, token)
	if err != nil {
		return gateway.Visitor{}, err
	}
	v := a.visitor()
	v.Issued, v.Expires, v.IdleUntil = s.issued, s.expires, s.seen.Add(r.o.Idle)
	return v, nil
}

// session is a session that lives.
type session struct {
	digest                [32]byte
	issued, seen, expires time.Time
}

func (r *Register) session(ctx context.Context, token string) (*Account, session, error) {
	needed := &gateway.Error{Code: gateway.CodeSessionNeeded, Op: op}
	var s session
	if !strings.HasPrefix(token, tokenPrefix) || len(token) != len(tokenPrefix)+43 {
		return nil, s, needed
	}
	s.digest = r.o.Digest([]byte(token))
	var row scan
	var issued, seen, expires int64
	const query = `SELECT s.issued, s.seen, s.expires, p.id, p.name, p.roles, p.institutions, p.disabled, p.must_change, p.failures, p.locked, p.created, p.updated
		FROM person_session s JOIN person p ON p.id = s.person WHERE s.digest = $1`
	found, err := r.o.DB.Get(ctx, query, []any{s.digest[:]}, append([]any{&issued, &seen, &expires}, row.into()...)...)
	if err != nil {
		return nil, s, storage(err)
	}
	now := r.o.Clock.Now()
	s.issued, s.seen, s.expires = time.UnixMilli(issued), time.UnixMilli(seen), time.UnixMilli(expires)
	switch a := row.done(); {
	case !found:
		return nil, s, needed
	case !now.Before(s.expires), now.Sub(s.seen) >= r.o.Idle:
		// Gone for good, so that a clock that goes back does not bring it to life again.
		if err := r.o.DB.Do(ctx, func(tx *store.Tx) error { return r.end(tx, s.digest, "expired", a) }); err != nil {
			return nil, s, storage(err)
		}
		return nil, s, needed
	case a.Disabled, now.Before(s.seen.Add(-clockSlack)):
		return nil, s, needed
	case now.Sub(s.seen) >= seenEvery:
		s.seen = now
		err := r.o.DB.Do(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE person_session SET seen = $1 WHERE digest = $2 AND seen < $3`, now.UnixMilli(), s.digest[:], now.UnixMilli())
			return err
		})
		if err != nil {
			return nil, s, storage(err)
		}
		return a, s, nil
	default:
		return a, s, nil
	}
}

// end removes a session, and notes it when it was there.
func (r *Register) end(tx *store.Tx, digest [32]byte, why string, a *Account) error {
	n, err := tx.Exec(`DELETE FROM person_session WHERE digest = $1`, digest[:])
	if err == nil && n > 0 {
		r.note(tx, who(a), "sign-out", "", why)
	}
	return err
}

// SignOut implements gateway.Doorkeeper.
func (r *Register) SignOut(ctx context.Context, token string) error {
	a, s, err := r.session(ctx, token)
	if a == nil {
		if isCode(err, gateway.CodeSessionNeeded) {
			return nil
		}
		return err
	}
	return storage(r.o.DB.Do(ctx, func(tx *store.Tx) error { return r.end(tx, s.digest, "", a) }))
}

// ChangePassword implements gateway.Doorkeeper.
func (r *Register) ChangePassword(ctx context.Context, token, from, to, address string) (gateway.Visitor, string, error) {
	a, _, err := r.session(ctx, token)
	if err != nil {
		return gateway.Visitor{}, "", err
	}
	if bad := rule(to, a); bad != "" {
		return gateway.Visitor{}, "", refusedPassword(bad)
	}
	if plain(from) == plain(to) {
		return gateway.Visitor{}, "", refusedPassword("与原口令不同")
	}
	var fresh, sealed string
	before := func() (err error) {
		if sealed, err = r.o.Cost.seal(r.o.Rand, to); err != nil {
			err = &gateway.Error{Code: gateway.CodeInternal, Op: op, Err: err}
		}
		return err
	}
	a, err = r.prove(ctx, gateway.SignIn{ID: a.ID, Password: from, From: address}, "password", before, func(tx *store.Tx, a *Account, now time.Time) error {
		if _, err := tx.Exec(`UPDATE person SET secret = $1, must_change = 0, updated = $2 WHERE id = $3`, sealed, now.UnixMilli(), a.ID); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM person_session WHERE person = $1`, a.ID); err != nil {
			return err
		}
		fresh, err = r.begin(tx, a, now)
		return err
	})
	if err != nil {
		return gateway.Visitor{}, "", err
	}
	a.MustChange = false
	return r.arrived(a, r.o.Clock.Now()), fresh, nil
}
