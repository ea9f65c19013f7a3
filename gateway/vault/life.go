package vault

import (
	"context"
	"fmt"
	"time"

	"yiqiao/crypto/keys"
	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/schemas/ident"
)

// Rewrapped is what Rewrap did.
type Rewrapped struct {
	Done  int `json:"done"`  // keys wrapped anew
	There int `json:"there"` // keys that were wrapped by the present key-encryption key already
}

// Rewrap wraps every key by the present key-encryption key, so that the others can retire. No body
// is touched and the gateway may run, as long as it was started with the present key among its
// own. It may be repeated, and goes on where it was stopped. dry: it opens everything and changes
// nothing. The first key that can not be opened ends it.
func (v *Vault) Rewrap(ctx context.Context, dry bool) (Rewrapped, error) {
	var n Rewrapped
	list, err := v.rows(ctx, `WHERE wrapped IS NOT NULL`)
	if err != nil {
		return n, err
	}
	now := v.o.Wrappers[0].KeyID()
	for _, r := range list {
		if r.Wrapper == now {
			n.There++
			continue
		}
		if err := v.rewrap(ctx, r, dry); err != nil {
			return n, err
		}
		n.Done++
	}
	return n, nil
}

// WrappedBy counts the keys that a key-encryption key still wraps: it must not be thrown away while
// there are any.
func (v *Vault) WrappedBy(ctx context.Context, id string) (int, error) {
	list, err := v.rows(ctx, `WHERE wrapped IS NOT NULL AND wrapper = $1`, id)
	return len(list), err
}

func (v *Vault) rewrap(ctx context.Context, r Row, dry bool) error {
	secret, err := v.secret(r)
	if err != nil {
		return err
	}
	defer clear(secret)
	was := r.Wrapper
	if err := v.wrap(&r, secret); err != nil || dry {
		return err
	}
	return v.db.Do(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(sqlRewrap, r.Wrapper, r.Wrapped, r.ID, was) // destroyed meanwhile: nothing to do
		return err
	})
}

// Expired is a key whose time is over.
type Expired struct {
	ID          string            `json:"id"`
	Institution ident.Institution `json:"institution"`
	Class       gateway.Class     `json:"class"`
	Day         string            `json:"day"`
	// Kept says why it was not destroyed all the same: a record that is not finished.
	Kept string `json:"kept,omitempty"`
}

// LeastKept is the shortest retention in days: bills are confirmed and refunded within it.
const LeastKept = 30

// Expire destroys the data keys whose day is more than keep[class] days before now, together with
// the marks of their records: what they sealed is gone for good, while records, events, times and
// digests stay. A class without an entry is kept for ever, and so is a journal's first master while
// any class is. The keys of an institution from the day of its oldest unfinished record on are
// kept. dry: nothing is destroyed, the answer is the same. Fewer than LeastKept days is an error.
//
// Copies of a destroyed key may be left on the disk (free pages, the log) and in backups, wrapped.
// They are worth nothing once the key-encryption key has been changed (Rewrap) and the old one
// destroyed.
func (v *Vault) Expire(ctx context.Context, now time.Time, keep map[gateway.Class]int, dry bool) ([]Expired, error) {
	longest := 0
	for _, class := range gateway.Classes() {
		days := keep[class]
		if days != 0 && days < LeastKept {
			return nil, fmt.Errorf("vault: %s must be kept for %d days at least", class, LeastKept)
		}
		if days == 0 || longest < 0 {
			longest = -1 // for ever
		} else {
			longest = max(longest, days)
		}
	}
	list, err := v.rows(ctx, `WHERE wrapped IS NOT NULL AND purpose <> $1`, purposeIndex)
	if err != nil {
		return nil, err
	}
	out := []Expired{}
	for _, r := range list {
		days := keep[r.Class]
		if r.Purpose == purposeMaster {
			days = longest
		}
		day, err := time.Parse(time.DateOnly, r.Day)
		if err != nil || days <= 0 || day.Unix()/86400+int64(days) >= chinaDay(now) {
			continue
		}
		e := Expired{ID: r.ID, Institution: r.Institution, Class: r.Class, Day: r.Day}
		if e.Kept, err = v.unfinished(ctx, r, day.Unix()/86400); err != nil {
			return out, err
		}
		if e.Kept == "" && !dry {
			if err := v.destroy(ctx, r, now); err != nil {
				return out, err
			}
		}
		out = append(out, e)
	}
	return out, nil
}

// unfinished names the oldest record whose bodies a key of that day may hold and that is not final.
func (v *Vault) unfinished(ctx context.Context, r Row, day int64) (string, error) {
	end := (day+1)*86400_000 - 8*3600_000 // the end of that day in China
	query, args := `SELECT id FROM record WHERE live = 1 AND created < $1 AND institution = $2 ORDER BY seq LIMIT 1`, []any{end, string(r.Institution)}
	if r.Institution == "" {
		query, args = `SELECT id FROM record WHERE live = 1 AND created < $1 ORDER BY seq LIMIT 1`, []any{end}
	}
	var id string
	_, err := v.db.Get(ctx, query, args, &id)
	return id, err
}

func (v *Vault) destroy(ctx context.Context, r Row, now time.Time) error {
	err := v.db.Do(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(sqlDestroy, max(now.UnixMilli(), 1), r.ID); err != nil {
			return err
		}
		_, err := tx.Exec(sqlUnmark, r.Number)
		return err
	})
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for s, k := range v.use {
		if k.number == r.Number {
			delete(v.use, s)
		}
	}
	for id, k := range v.byID {
		if k.number == r.Number {
			delete(v.byID, id)
		}
	}
	for id, m := range v.masters {
		if m.KeyID() == r.ID {
			delete(v.masters, id)
		}
	}
	return nil
}

// Older gives the keys of a journal that was exported before there were data keys and sealed with
// the present key-encryption key, or the first of them that is a master: for Adopt and the database.
func (v *Vault) Older() ([]Row, error) {
	for _, w := range v.o.Wrappers {
		if s, ok := w.(*keys.Sealer); ok {
			return v.rowsOf(s, 0)
		}
	}
	return nil, fmt.Errorf("%w: a journal of an older version wants its master", ErrKeyMissing)
}

// Reload forgets what is open and reads the key of digests again.
func (v *Vault) Reload(ctx context.Context) error {
	v.mu.Lock()
	v.empty()
	v.mu.Unlock()
	return v.begin(ctx)
}

// Day is the day in China a time belongs to, as Row.Day writes it.
func Day(t time.Time) string { return dayText(chinaDay(t)) }

// Check opens every key that was not destroyed and says what is wrong with those that do not open.
func (v *Vault) Check(ctx context.Context) ([]string, error) {
	list, err := v.rows(ctx, `WHERE wrapped IS NOT NULL`)
	if err != nil {
		return nil, err
	}
	var wrong []string
	for _, r := range list {
		switch r.Purpose {
		case purposeBody:
			_, err = v.unwrap(r)
		case purposeMaster:
			_, err = v.master(r)
		default:
			err = v.digester(r)
		}
		if err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	return wrong, nil
}

// Adopt takes the keys of a journal that is being imported in place of its own. Nothing is written:
// the caller writes the rows in the transaction of the import. The error is that of the first key
// that can not be opened; keys that were destroyed are no error.
func (v *Vault) Adopt(list []Row) error {
	v.mu.Lock()
	v.empty()
	v.gone = map[string]Row{}
	for _, r := range list {
		if r.Destroyed != 0 {
			v.gone[r.ID] = r
		}
	}
	v.mu.Unlock()
	for _, r := range list {
		if r.Destroyed != 0 || r.Purpose == purposeIndex {
			continue
		}
		if _, _, err := v.adopt(r, r.Purpose == purposeBody); err != nil {
			return err
		}
	}
	for _, r := range list {
		if r.Purpose == purposeIndex {
			return v.digester(r)
		}
	}
	return fmt.Errorf("%w: an export without its key of digests", ErrKeyLost)
}
