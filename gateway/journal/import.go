package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/gateway/vault"
	"yiqiao/schemas/ident"
)

// Import reads what Export wrote, from the beginning of r, in one transaction: the journal is whole
// afterwards or as empty as before. newSum is the hash of the export. ErrNotEmpty when there is
// anything in the journal; ErrDamaged when the file was cut or changed; other errors when a record
// is not the fold of its events, a body does not open, or a data key is wrapped by a key that is not
// among the vault's. Keys that are not used yet give way to those of the file. Then everything is
// exported once more, to nowhere, and compared: nil means that both are equal byte for byte.
//
// Nobody else may use the database meanwhile; on PostgreSQL store.Options.Timeout must be long
// enough for all of it.
func (j *Journal) Import(ctx context.Context, r io.ReadSeeker, newSum func() hash.Hash) (Moved, error) {
	if err := j.open(ctx); err != nil {
		return Moved{}, err
	}
	var in importing
	err := j.db.Do(ctx, func(tx *store.Tx) error {
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return err
		}
		in = importing{j: j, tx: tx, sum: newSum(), numbers: map[string]int64{}}
		if err := in.empty(); err != nil {
			return err
		}
		if err := in.read(ctx, bufio.NewReaderSize(r, 1<<20)); err != nil {
			return err
		}
		return in.imported()
	})
	// The vault has seen the keys of the file: whatever became of them, it looks again.
	if k, ok := j.o.Sealer.(keeper); ok {
		err = errors.Join(err, k.Reload(context.WithoutCancel(ctx)))
	}
	if err != nil {
		return Moved{}, err
	}
	if in.version == moveOlder {
		return in.moved, nil // it can not come out as it came in; fsck tells more
	}
	again, err := j.Export(ctx, io.Discard, newSum())
	if err != nil {
		return Moved{}, fmt.Errorf("journal: imported, but could not be read again: %w", err)
	}
	if again != in.moved {
		return again, fmt.Errorf("%w: after the import the journal holds %+v, not %+v", ErrDamaged, again, in.moved)
	}
	return again, nil
}

// keeper is a Sealer whose keys travel with the journal; vault.Vault is one.
type keeper interface {
	Adopt([]vault.Row) error
	Older() ([]vault.Row, error)
	Reload(context.Context) error
}

type importing struct {
	j        *Journal
	tx       *store.Tx
	sum      hash.Hash
	moved    Moved
	version  int
	keys     []vault.Row
	ready    bool             // the keys are there
	numbers  map[string]int64 // of data keys, by id
	youngest int64            // time of the youngest record, ms
}

func (in *importing) empty() error {
	for _, table := range []string{"msgid_counter", "bill", "request", "record", "body", "event", "mark",
		"einvoice_subject", "einvoice", "einvoice_event", "einvoice_mark", "einvoice_request"} {
		var one int
		found, err := in.tx.Get("SELECT 1 FROM "+table+" LIMIT 1", nil, &one)
		if err != nil {
			return err
		}
		if found {
			return fmt.Errorf("%w: there are rows in %s", ErrNotEmpty, table)
		}
	}
	return nil
}

func damaged(n int, format string, args ...any) error {
	return fmt.Errorf("%w: line %d: %s", ErrDamaged, n, fmt.Sprintf(format, args...))
}

func (in *importing) read(ctx context.Context, r *bufio.Reader) error {
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		text, err := readLine(r)
		if errors.Is(err, io.EOF) {
			return damaged(n, "the end is missing")
		}
		if err != nil {
			return err
		}
		var l line
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&l); err != nil {
			return damaged(n, "not a line of an export")
		}
		if (n == 1) != (l.Head != nil) || l.Head != nil && (l.Head.What != moveName || l.Head.Version != moveVersion && l.Head.Version != moveOlder) {
			return damaged(n, "the head is missing, or of another version of this program")
		}
		if l.Head != nil {
			in.version = l.Head.Version
		}
		if l.End != nil {
			in.moved.Digest = hex.EncodeToString(in.sum.Sum(nil))
			if *l.End != in.moved {
				return damaged(n, "holds %+v, its end says %+v", in.moved, *l.End)
			}
			if in.version == moveOlder { // the master expires as if it had sealed the youngest record
				if _, err := in.tx.Exec(`UPDATE data_key SET created = $1, day = $2 WHERE purpose = 'master'`,
					in.youngest, vault.Day(fromMillis(in.youngest))); err != nil {
					return err
				}
			}
			if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
				return damaged(n, "something follows the end")
			}
			return nil
		}
		in.sum.Write(text)
		in.moved.count(l)
		if err := in.line(l); err != nil {
			return fmt.Errorf("journal: import: line %d: %w", n, err)
		}
	}
}

// readLine gives a line with its end; io.EOF also for half a line.
func readLine(r *bufio.Reader) ([]byte, error) {
	var text []byte
	for {
		part, err := r.ReadSlice('\n')
		text = append(text, part...)
		if len(text) > maxLine {
			return nil, fmt.Errorf("%w: a line is too long", ErrDamaged)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, err
		}
	}
}

const (
	sqlPutCounter = `INSERT INTO msgid_counter (institution, second, seq) VALUES ($1, $2, $3)`
	sqlPutRecord  = `INSERT INTO record (id, institution, infno, request, step, attempt, bill, visit,
			operator, operator_name, operator_type, digest, created, queued, born, state, version, updated, cause, live, mapping)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`
)

func (in *importing) line(l line) error {
	var seq int64
	if l.Key != nil {
		in.keys = append(in.keys, l.Key.row())
		return nil
	}
	if l.Head == nil && !in.ready {
		if err := in.adopt(); err != nil {
			return err
		}
	}
	switch {
	case l.Mark != nil:
		return in.mark(l.Mark)
	case l.Counter != nil:
		return in.tx.Put(sqlPutCounter, l.Counter.Institution, l.Counter.Second, l.Counter.Seq)
	case l.Bill != nil:
		b := l.Bill
		if err := in.j.opens(context.Background(), billName(b.ID), b.Body); err != nil {
			return err
		}
		return in.insert(sqlBill, []any{b.ID, b.Institution, b.System, b.Created, null(b.Body)}, &seq)
	case l.Request != nil:
		q := l.Request
		if err := in.j.opens(context.Background(), answerName(q.key()), q.Answer); err != nil {
			return err
		}
		return in.insert(sqlRequest, []any{q.System, q.ID, q.Digest, q.Op, q.Institution, q.Ref, q.Created, null(q.Answer), q.Answered, q.Told}, &seq)
	case l.Record != nil:
		return in.record(l.Record)
	}
	_, err := in.invoiceLine(l)
	return err
}

const sqlPutKey = `INSERT INTO data_key (id, purpose, institution, class, day, wrapper, wrapped, created, destroyed)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING number`

// adopt puts the keys of the file in place of the journal's own, with which nothing was sealed yet.
func (in *importing) adopt() error {
	in.ready = true
	k, ok := in.j.o.Sealer.(keeper)
	if !ok {
		return nil
	}
	if in.version == moveOlder && len(in.keys) == 0 {
		var err error
		if in.keys, err = k.Older(); err != nil {
			return err
		}
	}
	if err := k.Adopt(in.keys); err != nil {
		return err
	}
	if _, err := in.tx.Exec("DELETE FROM data_key"); err != nil {
		return err
	}
	for _, r := range in.keys {
		var number int64
		if _, err := in.tx.Insert(sqlPutKey, []any{r.ID, r.Purpose, string(r.Institution), string(r.Class), r.Day, r.Wrapper,
			null(r.Wrapped), r.Created, r.Destroyed}, &number); err != nil {
			return err
		}
		in.numbers[r.ID] = number
	}
	return nil
}

func (in *importing) mark(m *markLine) error {
	key, ok := in.numbers[m.Key]
	if !ok {
		return fmt.Errorf("%w: a mark of key %s, which is not there", ErrDamaged, m.Key)
	}
	var seq int64
	found, err := in.tx.Get(sqlLock, []any{m.Record}, &seq)
	if err == nil && !found {
		err = fmt.Errorf("%w: a mark of %s, which is not there", ErrDamaged, m.Record)
	}
	if err != nil {
		return err
	}
	return in.tx.Put(sqlMark, m.Digest, seq, key)
}

func (in *importing) insert(query string, args []any, seq *int64) error {
	fresh, err := in.tx.Add(query, args, seq)
	if err == nil && !fresh {
		err = gateway.ErrExists
	}
	return err
}

func (in *importing) record(r *recordLine) error {
	id := ident.MsgID(r.ID)
	in.youngest = max(in.youngest, r.Updated)
	if err := in.whole(r, id); err != nil {
		return err
	}
	w := writing{tx: in.tx}
	var request, bill any // nil, or their seq
	if r.Request != "" {
		seq, err := w.requestSeq(gateway.RequestKey{System: r.System, ID: r.Request})
		if err != nil {
			return err
		}
		request = seq
	}
	if r.Bill != "" {
		seq, err := w.billSeq(r.Bill)
		if err != nil {
			return err
		}
		bill = seq
	}
	live := int64(1)
	if gateway.State(r.State).Final() {
		live = 0
	}
	var seq int64
	if err := in.insert(sqlPutRecord, []any{r.ID, r.Institution, r.Infno, request, r.Step, r.Attempt, bill, r.Visit,
		r.Operator, r.OperatorName, r.OperatorType, r.Digest, r.Created, r.Queued, r.Born,
		r.State, r.Version, r.Updated, r.Cause, live, r.Mapping}, &seq); err != nil {
		return err
	}
	if len(r.Input)+len(r.Wire) > 0 {
		if err := in.tx.Put(sqlBody, seq, null(r.Input), null(r.Wire)); err != nil {
			return err
		}
	}
	for n, e := range r.Events {
		key, err := place(seq, n+1)
		if err != nil {
			return err
		}
		if err := in.tx.Put(sqlEvent, key, e.Kind, e.At, e.Cause, e.Ref, e.Note, null(e.Data), null(e.Evidence)); err != nil {
			return err
		}
	}
	return nil
}

// whole checks that a record is the fold of its events and that its bodies open.
func (in *importing) whole(r *recordLine, id ident.MsgID) error {
	err1 := in.j.opens(context.Background(), inputName(id), r.Input)
	err2 := in.j.opens(context.Background(), wireName(id), r.Wire)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	fold := gateway.Record{State: gateway.StatePrepared, UpdatedAt: fromMillis(r.Created)}
	for n, e := range r.Events {
		if err := in.j.opens(context.Background(), eventName(id, n+1), e.Data); err != nil {
			return err
		}
		if err := in.j.opens(context.Background(), evidenceName(id, n+1), e.Evidence); err != nil {
			return err
		}
		if err := fold.Apply(gateway.Event{Kind: gateway.EventKind(e.Kind), At: fromMillis(e.At), Cause: gateway.Cause(e.Cause)}); err != nil {
			return err
		}
	}
	if string(fold.State) != r.State || int64(fold.Version) != r.Version || string(fold.Cause) != r.Cause || toMillis(fold.UpdatedAt) != r.Updated {
		return fmt.Errorf("%s is %s at version %d, its events make it %s at version %d", r.ID, r.State, r.Version, fold.State, fold.Version)
	}
	return nil
}
