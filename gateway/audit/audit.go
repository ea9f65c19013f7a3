// Package audit keeps the record of who did what: append-only, chained by SM3, from time to time
// signed by SM2, and apart from the logs.
//
// # What is kept
//
// For everything the journal writes, and for every act of a person or of the program that matters,
// one line of text:
//
//	kind TAB time TAB who TAB what TAB ref TAB seal LF
//
// kind is request, bill, record, event, answer, act or begin; time is in milliseconds since 1970;
// who is a HIS system, with "/op:" and a pseudonym of its operator behind it, "yiqiao" for what the
// gateway does by itself, "person:ID" or "os:NAME" for people; what is the operation, the transaction
// or the event with its cause; ref is the record (with "#n" for its n-th event), the bill, or "q:"
// and a pseudonym of the request. A line holds no personal data in clear. seal is "c:" and a
// commitment (base64) to everything else there is to know about it, see Opening, or "t:" and a plain
// text.
//
// # The chain
//
// The lines of one database transaction are one entry, written in that very commit (store.Ledger),
// so the record costs no flush of its own and no line stands without its deed. An entry's hash is
//
//	SM3("yiqiao-audit-entry-1" LF chain LF number LF time LF hex(previous hash) LF hex(lines) LF)
//
// where lines is SM3 over the SM3 of each line (with its LF), and the previous hash of the first
// entry is zero. Each lane of each gateway writes a chain of its own, "gateway/lane": one chain for
// all would let every commit of every gateway wait for the one before it, flush and all. Heads bind
// the chains together.
//
// # Heads
//
// A head is a text that says how far a gateway's chains have come, with a Merkle root (RFC 6962, SM3)
// over the hashes of the entries since the head before, the last entries of the others' chains as
// they were seen, and the SM3 of that gateway's head before. It is signed with SM2. A copy of a head
// kept outside shows when the end of a chain was cut off, or everything was written anew.
package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/store"
)

// Options of a Log. Fields without a default are required.
type Options struct {
	DB    *store.DB
	Name  string // of this gateway among those that share the database: letters, digits, - and _
	SM3   func(parts ...[]byte) [32]byte
	Clock gateway.Clock
	// Secret keeps commitments and pseudonyms from being guessed. It must stay the same as long as
	// the record is to be held against the journal.
	Secret [32]byte

	Signer keys.Private  // signs heads; nil: they are not signed, and the record's end is not protected
	Rand   io.Reader     // for Signer
	Every  time.Duration // how often Run signs when there is something new; default 1 min
	// Publish is given each new head, to be kept outside. Its error is logged, and it is asked again
	// with the next head. Default: nobody.
	Publish func(SignedHead) error
	Log     *slog.Logger // default: nowhere
}

// maxLanes is more than a database ever has.
const maxLanes = 64

// Log writes the record. Safe for concurrent use; it implements store.Ledger and journal.Auditor.
type Log struct {
	o     Options
	lanes [maxLanes]laneState
}

// laneState is what the one goroutine of a lane knows of its chain.
type laneState struct {
	known  bool
	first  bool  // there is no chain but this, and nothing in it
	number int64 // of the chain
	seq    int64
	hash   [32]byte
	text   []byte // room for lines
}

// entriesPerChain: place is chain * entriesPerChain + number.
const entriesPerChain = 1 << 40

// Open makes a Log the ledger of the database. It must be called before anything is written, and
// writes nothing by itself. The first line ever written tells how far the journal had come without it.
func Open(o Options) (*Log, error) {
	switch {
	case o.DB == nil || o.SM3 == nil || o.Clock == nil:
		return nil, errors.New("audit: database, digest or clock is missing")
	case !GoodName(o.Name):
		return nil, fmt.Errorf("audit: %q can not be the name of a gateway: letters, digits, - and _, at most 40", o.Name)
	case o.Signer != nil && o.Rand == nil:
		return nil, errors.New("audit: a signer needs randomness")
	}
	if o.Every <= 0 {
		o.Every = time.Minute
	}
	if o.Publish == nil {
		o.Publish = func(SignedHead) error { return nil }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Log{o: o}
	o.DB.Account(l)
	return l, nil
}

// GoodName tells whether a gateway may be called so.
func GoodName(s string) bool {
	if s == "" || len(s) > 40 {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

const sqlPlaces = `SELECT (SELECT COALESCE(MAX(seq), 0) FROM request), (SELECT COALESCE(MAX(seq), 0) FROM bill),
	(SELECT COALESCE(MAX(seq), 0) FROM record)`

// begin is the first line of the first chain: how far the journal has come without the record.
func (l *Log) begin(tx *store.Tx) ([]byte, error) {
	var requests, bills, records int64
	if _, err := tx.Get(sqlPlaces, nil, &requests, &bills, &records); err != nil {
		return nil, err
	}
	return l.line("begin", l.o.Clock.Now(), "yiqiao", "journal", "-", plain(placesText(requests, bills, records))), nil
}

func placesText(requests, bills, records int64) string {
	return fmt.Sprintf("requests=%d bills=%d records=%d", requests, bills, records)
}

// Act is something a person, or the program by itself, has done outside the journal. Nothing in it may be
// personal data of a patient.
type Act struct {
	Who    string // "person:ID", "os:NAME", "yiqiao" or the name of a HIS system
	What   string // "people.add", "sign-in", "proof.unmasked"
	Ref    string // what it was done to, or ""
	Detail string // a few words
}

// Note makes an act durable. The error is gateway.ErrStorage when it is not.
func (l *Log) Note(ctx context.Context, a Act) error {
	line := l.act(a)
	return l.o.DB.Do(ctx, func(tx *store.Tx) error {
		tx.Note(line)
		return nil
	})
}

// NoteIn notes an act in the transaction that does it.
func (l *Log) NoteIn(tx *store.Tx, a Act) { tx.Note(l.act(a)) }

// NoteLater notes an act with the next commit; false when too much is waiting and it will not be.
func (l *Log) NoteLater(a Act) bool {
	line := l.act(a)
	return l.o.DB.Later(func(tx *store.Tx) error {
		tx.Note(line)
		return nil
	}, nil)
}

func (l *Log) act(a Act) []byte {
	return l.line("act", l.o.Clock.Now(), a.Who, a.What, a.Ref, plain(a.Detail))
}

const (
	sqlChain    = `SELECT number FROM audit_chain WHERE name = $1`
	sqlNewChain = `INSERT INTO audit_chain (name) VALUES ($1) ON CONFLICT DO NOTHING RETURNING number`
	sqlLast     = `SELECT place, hash FROM audit_entry WHERE place > $1 AND place < $2 ORDER BY place DESC LIMIT 1`
	sqlEntry    = `INSERT INTO audit_entry (place, at, prev, hash, lines) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`
)

// Append implements store.Ledger.
func (l *Log) Append(tx *store.Tx, lane int, notes [][]byte) error {
	if lane >= maxLanes {
		return fmt.Errorf("audit: lane %d", lane)
	}
	c := &l.lanes[lane]
	lines := c.text[:0]
	for _, n := range notes {
		lines = append(lines, n...)
	}
	c.text = lines
	e := Entry{Chain: l.chainName(lane), At: l.o.Clock.Now().UnixMilli(), LinesHash: linesHash(l.o.SM3, lines)}
	for range 8 {
		if !c.known {
			if err := c.load(tx, e.Chain); err != nil {
				return err
			}
		}
		if c.first {
			line, err := l.begin(tx)
			if err != nil {
				return err
			}
			c.first, lines = false, append(line, lines...)
			e.LinesHash = linesHash(l.o.SM3, lines)
		}
		e.Seq, e.Prev = c.seq+1, c.hash
		e.Hash = e.hash(l.o.SM3)
		n, err := tx.Exec(sqlEntry, c.number*entriesPerChain+e.Seq, e.At, e.Prev[:], e.Hash[:], lines)
		if err != nil {
			return err
		}
		if n == 1 {
			c.seq, c.hash = e.Seq, e.Hash
			return nil
		}
		c.known = false // another process writes under our name
	}
	return errors.New("audit: others keep writing into this chain")
}

// Undone implements store.Ledger.
func (l *Log) Undone(lane int) {
	if lane < maxLanes {
		l.lanes[lane].known = false
	}
}

func (l *Log) chainName(lane int) string { return l.o.Name + "/" + strconv.Itoa(lane) }

// load finds out how far a chain has come.
func (c *laneState) load(tx *store.Tx, name string) error {
	found, err := tx.Get(sqlChain, []any{name}, &c.number)
	for n := 0; err == nil && !found && n < 8; n++ {
		if found, err = tx.Insert(sqlNewChain, []any{name}, &c.number); err == nil && !found {
			found, err = tx.Get(sqlChain, []any{name}, &c.number)
		}
	}
	if err != nil {
		return err
	}
	var place int64
	var hash []byte
	from := c.number * entriesPerChain
	found, err = tx.Get(sqlLast, []any{from, from + entriesPerChain}, &place, &hash)
	if err != nil {
		return err
	}
	c.seq, c.hash, c.first = 0, [32]byte{}, false
	if !found {
		var chains int64
		_, err = tx.Get("SELECT COUNT(*) FROM audit_chain", nil, &chains)
		c.first = chains == 1
	} else {
		c.seq = place - from
		copy(c.hash[:], hash)
	}
	c.known = err == nil
	return err
}

// Entry is one entry of a chain.
type Entry struct {
	Chain     string
	Seq       int64 // 1, 2, ... within the chain
	At        int64 // milliseconds since 1970
	Prev      [32]byte
	LinesHash [32]byte
	Hash      [32]byte
}

// hash is what Hash has to be.
func (e *Entry) hash(sm3 func(...[]byte) [32]byte) [32]byte {
	b := make([]byte, 0, 256)
	b = append(b, "yiqiao-audit-entry-1\n"...)
	b = append(append(b, e.Chain...), '\n')
	b = append(strconv.AppendInt(b, e.Seq, 10), '\n')
	b = append(strconv.AppendInt(b, e.At, 10), '\n')
	b = append(hex.AppendEncode(b, e.Prev[:]), '\n')
	b = append(hex.AppendEncode(b, e.LinesHash[:]), '\n')
	return sm3(b)
}

// linesHash is SM3 over the digests of the lines, each with its end.
func linesHash(sm3 func(...[]byte) [32]byte, lines []byte) [32]byte {
	b := make([]byte, 0, 32*(1+len(lines)/100))
	for line := range bytes.Lines(lines) {
		d := sm3(line)
		b = append(b, d[:]...)
	}
	return sm3(b)
}

// uid is the user id of every signature of the record.
func uid() []byte { return []byte(sm.DefaultUID) }
