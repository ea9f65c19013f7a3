package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"yiqiao/crypto/keys"
	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/schemas/ident"
)

const (
	purposeBody   = "body"
	purposeIndex  = "index"
	purposeMaster = "master" // of a journal older than data keys
)

// Row is a key as it lies in the database.
type Row struct {
	Number      int64
	ID          string
	Purpose     string // "body", "index" or "master"
	Institution ident.Institution
	Class       gateway.Class
	Day         string // yyyy-MM-dd
	Wrapper     string // id of the key-encryption key
	Wrapped     []byte // nil when destroyed
	Created     int64  // ms
	Destroyed   int64  // ms, or 0
}

const (
	sqlColumns = `SELECT number, id, purpose, institution, class, day, wrapper, wrapped, created, destroyed FROM data_key `
	sqlInUse   = sqlColumns + `WHERE purpose = $1 AND institution = $2 AND class = $3 AND day = $4 AND wrapped IS NOT NULL`
	sqlByID    = sqlColumns + `WHERE id = $1`
	sqlPut     = `INSERT INTO data_key (id, purpose, institution, class, day, wrapper, wrapped, created, destroyed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING number`
	sqlRewrap  = `UPDATE data_key SET wrapper = $1, wrapped = $2 WHERE id = $3 AND wrapper = $4 AND wrapped IS NOT NULL`
	sqlDestroy = `UPDATE data_key SET wrapped = NULL, destroyed = $1 WHERE id = $2 AND wrapped IS NOT NULL`
	sqlUnmark  = `DELETE FROM mark WHERE data_key = $1`
)

func (r *Row) columns() []any {
	return []any{&r.Number, &r.ID, &r.Purpose, &r.Institution, &r.Class, &r.Day, &r.Wrapper, &r.Wrapped, &r.Created, &r.Destroyed}
}

// use is what a key is for, as its id and its wrapping are bound to it. Those that are not of one day
// may be moved to another.
func (r Row) use() string {
	if r.Purpose != purposeBody {
		return r.Purpose
	}
	return strings.Join([]string{r.Purpose, string(r.Institution), string(r.Class), r.Day}, "|")
}

func (r Row) name() string { return "data key|" + r.ID + "|" + r.use() }

func (v *Vault) inUse(ctx context.Context, s slot) (r Row, found bool, err error) {
	found, err = v.db.Get(ctx, sqlInUse, []any{purposeBody, string(s.institution), string(s.class), dayText(s.day)}, r.columns()...)
	return r, found, err
}

func (v *Vault) byKeyID(ctx context.Context, id string) (r Row, found bool, err error) {
	found, err = v.db.Get(ctx, sqlByID, []any{id}, r.columns()...)
	return r, found, err
}

// rows lists keys by a condition, oldest first.
func (v *Vault) rows(ctx context.Context, where string, args ...any) (list []Row, err error) {
	rows, err := v.db.Query(ctx, sqlColumns+where+" ORDER BY number", args...)
	if err != nil {
		return nil, err
	}
	for rows.Next() && err == nil {
		var r Row
		if err = rows.Scan(r.columns()...); err == nil {
			list = append(list, r)
		}
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return nil, v.db.Failed(err)
	}
	return list, nil
}

// put writes a row unless its place is taken; then it gives the row that has it.
func (v *Vault) put(ctx context.Context, r Row) (Row, error) {
	var out Row
	err := v.db.Do(ctx, func(tx *store.Tx) error {
		out = r
		fresh, err := tx.Insert(sqlPut, []any{r.ID, r.Purpose, string(r.Institution), string(r.Class), r.Day, r.Wrapper,
			r.Wrapped, r.Created, r.Destroyed}, &out.Number)
		if err != nil || fresh {
			return err
		}
		found, err := tx.Get(sqlInUse, []any{r.Purpose, string(r.Institution), string(r.Class), r.Day}, out.columns()...)
		if err == nil && !found {
			found, err = tx.Get(sqlByID, []any{r.ID}, out.columns()...)
		}
		if err == nil && !found {
			err = fmt.Errorf("vault: no place for data key %s", r.ID)
		}
		return err
	})
	return out, err
}

// make makes the data key of a slot.
func (v *Vault) make(ctx context.Context, s slot) (Row, error) {
	secret := make([]byte, keys.DataKeySize)
	defer clear(secret)
	if err := v.read(secret); err != nil {
		return Row{}, err
	}
	r := Row{Purpose: purposeBody, Institution: s.institution, Class: s.class, Day: dayText(s.day), Created: s.day*86400_000 - 8*3600_000}
	k, err := keys.NewDataKey(v.o.Provider, secret, r.use())
	if err != nil {
		return Row{}, err
	}
	defer k.Forget()
	r.ID = k.ID()
	if err := v.wrap(&r, secret); err != nil {
		return Row{}, err
	}
	return v.put(ctx, r)
}

func (v *Vault) read(b []byte) error {
	for n := 0; n < len(b); {
		m, err := v.o.Rand.Read(b[n:])
		if n += m; err != nil {
			return fmt.Errorf("vault: no randomness: %w", err)
		}
	}
	return nil
}

// wrap wraps a secret under the present key-encryption key.
func (v *Vault) wrap(r *Row, secret []byte) (err error) {
	w := v.o.Wrappers[0]
	r.Wrapper = w.KeyID()
	if r.Wrapped, err = w.Seal(v.o.Rand, r.name(), secret); err != nil {
		return fmt.Errorf("%w: a data key could not be wrapped: %w", gateway.ErrStorage, err)
	}
	return nil
}

// secret unwraps a row.
func (v *Vault) secret(r Row) ([]byte, error) {
	if r.Destroyed != 0 || len(r.Wrapped) == 0 {
		at := time.UnixMilli(r.Destroyed).In(gateway.China).Format(time.DateOnly)
		return nil, fmt.Errorf("%w: data key %s (%s %s %s) was destroyed on %s", gateway.ErrExpired, r.ID, r.Institution, r.Class, r.Day, at)
	}
	for _, w := range v.o.Wrappers {
		if w.KeyID() != r.Wrapper {
			continue
		}
		b, err := w.Open(r.name(), r.Wrapped)
		if errors.Is(err, keys.ErrSealed) {
			return nil, fmt.Errorf("%w: data key %s does not open with %s", ErrKeyLost, r.ID, r.Wrapper)
		}
		return b, err
	}
	var have []string
	for _, w := range v.o.Wrappers {
		have = append(have, w.KeyID())
	}
	return nil, fmt.Errorf("%w: data key %s wants %s, configured: %s", ErrKeyMissing, r.ID, r.Wrapper, strings.Join(have, ", "))
}

// unwrap opens the data key of a row.
func (v *Vault) unwrap(r Row) (*opened, error) {
	secret, err := v.secret(r)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	k, err := keys.NewDataKey(v.o.Provider, secret, r.use())
	if err != nil || k.ID() != r.ID {
		return nil, fmt.Errorf("%w: data key %s is another", ErrKeyLost, r.ID)
	}
	day, err := time.Parse(time.DateOnly, r.Day)
	if err != nil {
		return nil, fmt.Errorf("%w: data key %s of no day", ErrKeyLost, r.ID)
	}
	return &opened{key: k, number: r.Number, day: day.Unix() / 86400}, nil
}

// master opens the master of a journal older than data keys.
func (v *Vault) master(r Row) (*keys.Sealer, error) {
	secret, err := v.secret(r)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	m, err := keys.NewSealer(v.o.Provider, secret)
	if err != nil || m.KeyID() != r.ID {
		return nil, fmt.Errorf("%w: master %s is another", ErrKeyLost, r.ID)
	}
	return m, nil
}

// begin finds the key of digests, or takes over or makes one.
func (v *Vault) begin(ctx context.Context) error {
	list, err := v.rows(ctx, `WHERE purpose = $1 AND wrapped IS NOT NULL`, purposeIndex)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		old, err := v.older(ctx)
		if err != nil {
			return err
		}
		r, err := v.first(ctx, old)
		if err != nil {
			return err
		}
		list = append(list, r)
	}
	return v.digester(list[0])
}

func (v *Vault) digester(r Row) error {
	secret, err := v.secret(r)
	if err != nil {
		return err
	}
	defer clear(secret)
	d, err := keys.NewDigester(v.o.Provider, secret)
	if err != nil || v.indexID(secret) != r.ID {
		return fmt.Errorf("%w: %s", ErrKeyLost, r.ID)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.index = d
	return nil
}

func (v *Vault) indexID(secret []byte) string {
	sum := v.o.Provider.SM3([]byte("yiqiao index key\x00"), secret)
	return hex.EncodeToString(sum[:8])
}

// first makes the key of digests: of a journal older than data keys the half of its master.
func (v *Vault) first(ctx context.Context, old *keys.Sealer) (Row, error) {
	if old == nil {
		secret := make([]byte, 32)
		defer clear(secret)
		if err := v.read(secret); err != nil {
			return Row{}, err
		}
		r, err := v.indexRow(secret)
		if err != nil {
			return Row{}, err
		}
		return v.put(ctx, r)
	}
	// What the master has sealed is no younger than the youngest record.
	var youngest int64
	if _, err := v.db.Get(ctx, `SELECT COALESCE(MAX(updated), 0) FROM record`, nil, &youngest); err != nil {
		return Row{}, err
	}
	list, err := v.rowsOf(old, youngest)
	if err != nil {
		return Row{}, err
	}
	var r Row
	for _, r = range list { // the master first: whoever finds the key of digests takes the master for there
		if r, err = v.put(ctx, r); err != nil {
			return Row{}, err
		}
	}
	return r, nil
}

// rowsOf are the rows of a journal older than data keys: its master, then the key of digests.
func (v *Vault) rowsOf(old *keys.Sealer, youngest int64) ([]Row, error) {
	m, mac := old.Parts()
	defer clear(m)
	defer clear(mac)
	master := Row{Purpose: purposeMaster, ID: old.KeyID(), Created: youngest, Day: dayText(chinaDay(time.UnixMilli(youngest)))}
	if err := v.wrap(&master, m); err != nil {
		return nil, err
	}
	index, err := v.indexRow(mac)
	if err != nil {
		return nil, err
	}
	return []Row{master, index}, nil
}

func (v *Vault) indexRow(secret []byte) (Row, error) {
	r := Row{Purpose: purposeIndex, Day: dayText(0), ID: v.indexID(secret)}
	return r, v.wrap(&r, secret)
}

// older tells whether the journal was written before there were data keys: the master then, which
// must be among the wrappers. nil for a new journal.
func (v *Vault) older(ctx context.Context) (*keys.Sealer, error) {
	var sealed []byte
	written := false
	for _, q := range []string{`SELECT answer FROM request ORDER BY CASE WHEN answer IS NULL THEN 1 ELSE 0 END, seq LIMIT 1`,
		`SELECT body FROM bill WHERE body IS NOT NULL LIMIT 1`, `SELECT input FROM body WHERE input IS NOT NULL LIMIT 1`,
		`SELECT wire FROM body WHERE wire IS NOT NULL LIMIT 1`, `SELECT data FROM event WHERE data IS NOT NULL LIMIT 1`} {
		found, err := v.db.Get(ctx, q, nil, &sealed)
		if err != nil {
			return nil, err
		}
		written = written || found
		if found && len(sealed) > 0 {
			break
		}
	}
	if !written {
		return nil, nil
	}
	for _, w := range v.o.Wrappers {
		s, ok := w.(*keys.Sealer)
		if !ok {
			continue
		}
		if len(sealed) == 0 { // requests only, and nothing sealed: their digests are the first master's
			return s, nil
		}
		id, data, err := keys.SealedBy(sealed)
		if err != nil || data {
			return nil, fmt.Errorf("%w: there are bodies and no key of digests", ErrKeyLost)
		}
		if s.KeyID() == hex.EncodeToString(id[:]) {
			return s, nil
		}
	}
	id, _, err := keys.SealedBy(sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: the journal holds what nobody sealed", ErrKeyLost)
	}
	return nil, fmt.Errorf("%w: the journal was sealed with %x, which must be the journal key or among its old ones", ErrKeyMissing, id)
}
