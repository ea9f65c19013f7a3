package book

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// Sealer protects what is kept; keys.Sealer is one. Safe for concurrent use.
type Sealer interface {
	Seal(rand io.Reader, id string, plain []byte) ([]byte, error)
	Open(id string, sealed []byte) ([]byte, error)
}

// Book keeps bills in a database. Safe for concurrent use, also by several processes.
type Book struct {
	db     *store.DB
	sealer Sealer
}

// Open puts a book on db, whose tables are there already. Whoever opened db closes it.
func Open(db *store.DB, s Sealer) (*Book, error) {
	if db == nil || s == nil {
		return nil, errors.New("book: needs a database and a sealer")
	}
	return &Book{db: db, sealer: s}, nil
}

// Request is one call of a HIS system.
type Request struct {
	System, ID string
	Digest     [32]byte
	Op         string
	Ref        string // subject or bill
	At         time.Time
}

// Entry is what one Write makes durable. Several fields may be set; they are taken in the order they
// stand here.
type Entry struct {
	Request *Request // equal key and digest: Write stops and returns it; another digest: ErrConflict
	Subject *Subject // new when Rev is 0 (ErrExists), else it must still be at Rev (ErrStale)
	Bill    *Bill    // new, with its first event in Append.Event; ErrExists when the subject has a live one
	Marks   []string // of Bill: keyed digests it is found by
	Append  *Append  // event on a bill
}

// Append adds an event to a bill that must still be at Rev, and says when to go on.
type Append struct {
	ID    string
	Rev   int
	Event Event
	Due   time.Time
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).In(gateway.China)
}

func flag(on bool) int64 {
	if on {
		return 1
	}
	return 0
}

// seal gives nil for nothing.
func (b *Book) seal(name string, v any) (any, error) {
	plain, isBytes := v.([]byte)
	if !isBytes {
		var err error
		if plain, err = json.Marshal(v); err != nil {
			return nil, fmt.Errorf("book: %s: %w", name, err)
		}
	}
	if len(plain) == 0 {
		return nil, nil
	}
	return b.sealer.Seal(rand.Reader, name, plain)
}

func (b *Book) unseal(name string, sealed []byte, into any) error {
	if len(sealed) == 0 {
		return nil
	}
	plain, err := b.sealer.Open(name, sealed)
	if err != nil {
		return fmt.Errorf("book: opening %s: %w", name, err)
	}
	if raw, isBytes := into.(*[]byte); isBytes {
		*raw = plain
		return nil
	}
	if err := json.Unmarshal(plain, into); err != nil {
		return fmt.Errorf("book: reading %s: %w", name, err)
	}
	return nil
}

const (
	sqlRequest = `INSERT INTO einvoice_request (system, id, digest, op, ref, created) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT DO NOTHING`
	sqlKnown      = `SELECT digest, op, ref, created FROM einvoice_request WHERE system = $1 AND id = $2`
	sqlNewSubject = `INSERT INTO einvoice_subject (id, institution, system, rev, wanted, hold, held, due, asked)
		VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`
	sqlSetSubject = `UPDATE einvoice_subject SET rev = rev + 1, wanted = $1, hold = $2, held = $3, due = $4, asked = $5 WHERE id = $6 AND rev = $7`
	sqlBill       = `INSERT INTO einvoice (id, subject, n, revision, kind, institution, system, request, lane, total, place, business, created, draft,
		state, rev, updated, sent, tries, red_wanted, cause, batch, number, platform, due, live)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'draft', 0, $13, 0, 0, 0, '', '', '', NULL, 0, 1)
		ON CONFLICT DO NOTHING RETURNING seq`
	sqlLock   = `SELECT seq, state, rev, sent, tries, red_wanted, cause, batch, number, total FROM einvoice WHERE id = $1 {lock}`
	sqlUpdate = `UPDATE einvoice SET state = $1, rev = $2, updated = $3, sent = $4, tries = $5, red_wanted = $6, cause = $7, batch = $8,
		number = $9, due = $10, live = $11, total = $12 WHERE seq = $13`
	sqlMark  = `INSERT INTO einvoice_mark (mark, bill) VALUES ($1, $2) ON CONFLICT DO NOTHING`
	sqlTold  = `UPDATE einvoice SET platform = $1 WHERE seq = $2`
	sqlDraft = `UPDATE einvoice SET draft = $1 WHERE seq = $2`
	sqlEvent = `INSERT INTO einvoice_event (place, kind, at, state, system, desk, operator, request, cause, code, note, data)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
)

// eventsPerBill: see the migration.
const eventsPerBill = 1 << 20

// sealedEntry is an entry with what is sealed, sealed.
type sealedEntry struct {
	Entry
	asked, draft, told any
}

func (b *Book) sealEntry(e Entry) (s sealedEntry, err error) {
	s.Entry = e
	if e.Subject != nil {
		if s.asked, err = b.seal("einvoice-subject:"+e.Subject.ID, e.Subject.Asked); err != nil {
			return s, err
		}
	}
	if e.Bill != nil {
		if s.draft, err = b.seal("einvoice-draft:"+e.Bill.ID, e.Bill.Draft); err != nil {
			return s, err
		}
	}
	if a := e.Append; a != nil && a.Event.Bill != nil {
		if s.told, err = b.seal("einvoice-platform:"+a.ID, a.Event.Bill); err != nil {
			return s, err
		}
	}
	if a := e.Append; a != nil && a.Event.Draft != nil {
		s.draft, err = b.seal("einvoice-draft:"+a.ID, a.Event.Draft)
	}
	return s, err
}

// Write makes entries durable in one transaction, in order. existing is the request that was known
// already: then nothing was written. Errors: gateway.ErrConflict, ErrStale, ErrExists, ErrNotFound
// and ErrStorage, as of gateway.Journal; an event that can not follow is an error of its own.
func (b *Book) Write(ctx context.Context, entries ...Entry) (existing *Request, err error) {
	sealed := make([]sealedEntry, len(entries))
	for i, e := range entries {
		if sealed[i], err = b.sealEntry(e); err != nil {
			return nil, err
		}
	}
	err = b.db.Do(ctx, func(tx *store.Tx) error {
		existing = nil
		for i := range sealed {
			found, err := b.entry(tx, &sealed[i])
			if err != nil {
				return err
			}
			if found != nil {
				if i > 0 {
					return errors.New("book: a request must come first")
				}
				existing = found
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return existing, nil
}

func (b *Book) entry(tx *store.Tx, e *sealedEntry) (*Request, error) {
	if r := e.Request; r != nil {
		n, err := tx.Exec(sqlRequest, r.System, r.ID, r.Digest[:], r.Op, r.Ref, millis(r.At))
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return known(tx, r)
		}
	}
	if s := e.Subject; s != nil {
		if err := b.subject(tx, s, e.asked); err != nil {
			return nil, err
		}
	}
	if x := e.Bill; x != nil {
		var seq int64
		fresh, err := tx.Insert(sqlBill, []any{x.ID, x.Subject, x.N, x.Revision, string(x.Kind), string(x.Institution), x.System, x.Request, x.Lane,
			int64(x.Total), x.Place, millis(x.Business), millis(x.CreatedAt), e.draft}, &seq)
		if err != nil {
			return nil, err
		}
		if !fresh {
			return nil, fmt.Errorf("%w: bill %s, or another live bill of %s", gateway.ErrExists, x.ID, x.Subject)
		}
		for _, m := range e.Marks {
			if _, err := tx.Exec(sqlMark, m, x.ID); err != nil {
				return nil, err
			}
		}
	}
	if e.Append != nil {
		return nil, b.append(tx, e)
	}
	return nil, nil
}

func known(tx *store.Tx, r *Request) (*Request, error) {
	old := &Request{System: r.System, ID: r.ID}
	var digest []byte
	var at int64
	found, err := tx.Get(sqlKnown, []any{r.System, r.ID}, &digest, &old.Op, &old.Ref, &at)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, fmt.Errorf("%w: request %s", gateway.ErrNotFound, r.ID)
	case !slices.Equal(digest, r.Digest[:]):
		return nil, gateway.ErrConflict
	}
	old.Digest, old.At = r.Digest, fromMillis(at)
	return old, nil
}

func (b *Book) subject(tx *store.Tx, s *Subject, asked any) error {
	if s.Rev == 0 {
		n, err := tx.Exec(sqlNewSubject, s.ID, string(s.Institution), s.System, flag(s.Wanted), s.Hold, millis(s.HeldAt), millis(s.Due), asked)
		if err == nil && n == 0 {
			err = fmt.Errorf("%w: subject %s", gateway.ErrExists, s.ID)
		}
		return err
	}
	n, err := tx.Exec(sqlSetSubject, flag(s.Wanted), s.Hold, millis(s.HeldAt), millis(s.Due), asked, s.ID, s.Rev)
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: subject %s", gateway.ErrStale, s.ID)
	}
	return err
}

// append adds an event and writes the fold anew.
func (b *Book) append(tx *store.Tx, e *sealedEntry) error {
	a := e.Append
	now := Bill{ID: a.ID}
	var seq, sent, red, total int64
	var number gateway.InvoiceNumber
	found, err := tx.Get(sqlLock, []any{a.ID}, &seq, &now.State, &now.Rev, &sent, &now.Tries, &red, &now.Cause, &number.Batch, &number.No, &total)
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("%w: bill %s", gateway.ErrNotFound, a.ID)
	case now.Rev != a.Rev:
		return fmt.Errorf("%w: bill %s is at %d, not %d", gateway.ErrStale, a.ID, now.Rev, a.Rev)
	}
	now.SentAt, now.RedWanted, now.Platform.Number, now.Total = fromMillis(sent), red == 1, number, money.Fen(total)
	if now.Rev == 0 {
		now.State = ""
	}
	if err := now.Apply(a.Event); err != nil {
		return err
	}
	if now.Rev >= eventsPerBill {
		return fmt.Errorf("book: bill %s has too many events", a.ID)
	}
	number = now.Platform.Number
	if _, err := tx.Exec(sqlUpdate, string(now.State), now.Rev, millis(now.UpdatedAt), millis(now.SentAt), now.Tries, flag(now.RedWanted), string(now.Cause),
		number.Batch, number.No, millis(a.Due), flag(now.State.Live()), int64(now.Total), seq); err != nil {
		if store.IsUnique(err) {
			return fmt.Errorf("%w: another bill has number %s %s", gateway.ErrExists, number.Batch, number.No)
		}
		return err
	}
	if e.told != nil {
		if err := tx.Put(sqlTold, e.told, seq); err != nil {
			return err
		}
	}
	if a.Event.Draft != nil {
		if err := tx.Put(sqlDraft, e.draft, seq); err != nil {
			return err
		}
	}
	v := a.Event
	return tx.Put(sqlEvent, seq*eventsPerBill+int64(now.Rev), string(v.Kind), millis(v.At), string(now.State), v.System, v.Desk, v.Operator, v.Request,
		string(v.Cause), v.Code, v.Note, e.told)
}

// Institution names are kept as text.
func institution(s string) ident.Institution { return ident.Institution(s) }
