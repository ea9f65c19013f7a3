package audit

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/store"
)

// Shown is a line of the record together with what it stands for: what somebody else needs to hold it
// against what he is told.
type Shown struct {
	Line    string  `json:"line"` // to the byte, with its end
	Opening Opening `json:"opening"`
}

// Show gives the lines of an entry, opened. The entry must be as it was written; see journal.Written.
// Without body the bodies are left closed: their digests stand for them.
func (l *Log) Show(e *gateway.Entry, body bool) (list []Shown) {
	add := func(p part, evidence []byte) {
		hs, bs := l.salts(p.kind, p.ref)
		o := Opening{HeadSalt: hs[:], Head: string(p.head)}
		if body {
			o.BodySalt, o.Body = bs[:], p.body
			if len(evidence) > 0 {
				_, salt := l.salts("evidence", p.ref)
				o.EvidenceSalt, o.Evidence = salt[:], evidence
			}
		} else {
			d := l.o.SM3(bs[:], p.body)
			o.BodyHash = d[:]
		}
		list = append(list, Shown{string(p.line(l)), o})
	}
	if r := e.Request; r != nil {
		add(l.requestPart(r), nil)
		if len(r.Answer) > 0 {
			add(l.answerPart(&gateway.Answer{Key: r.Key, Body: r.Answer, At: r.AnsweredAt}), nil)
		}
	}
	if e.Bill != nil {
		add(l.billPart(e.Bill), nil)
	}
	if e.Record != nil {
		add(l.recordPart(e.Record), nil)
	}
	if e.Append != nil {
		add(l.eventPart(e.Append), e.Append.Event.Evidence)
	}
	if e.Answer != nil {
		add(l.answerPart(e.Answer), nil)
	}
	return list
}

// Fields are the parts of an opening's head; an error when it is not one, or says something twice.
func (o Opening) Fields() (map[string]string, error) {
	bad := errors.New("audit: not the head of an opening")
	if !strings.HasSuffix(o.Head, "\n") {
		return nil, bad
	}
	out := map[string]string{}
	for line := range strings.Lines(o.Head) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if _, twice := out[name]; !ok || twice || name == "" {
			return nil, bad
		}
		out[name] = strings.NewReplacer(`\\`, `\`, `\n`, "\n").Replace(value)
	}
	return out, nil
}

// Check tells whether what is shown is what the line committed to.
func (s Shown) Check(sm3 func(...[]byte) [32]byte) (Line, error) {
	line, err := ParseLine(s.Line)
	if err != nil {
		return line, err
	}
	if seal := s.Opening.Seal(sm3); seal == "" || seal != line.Seal {
		return line, fmt.Errorf("audit: %s %s is not what was committed to", line.Kind, line.Ref)
	}
	fields, err := s.Opening.Fields()
	if err != nil {
		return line, err
	}
	if o := s.Opening; len(o.Evidence) > 0 || len(o.EvidenceSalt) > 0 {
		if d := sm3(o.EvidenceSalt, o.Evidence); len(o.EvidenceSalt) != 16 || hex.EncodeToString(d[:]) != fields["evidence"] {
			return line, fmt.Errorf("audit: the evidence of %s is not what was committed to", line.Ref)
		}
	} else if len(o.BodySalt) > 0 && fields["evidence"] != "" {
		return line, fmt.Errorf("audit: the evidence of %s is missing", line.Ref)
	}
	return line, nil
}

// Place is where a line stands in the record, and how a signed head vouches for it. Hashes are hex.
type Place struct {
	Chain string   `json:"chain"`
	Seq   int64    `json:"seq"`
	At    int64    `json:"at"` // milliseconds since 1970
	Prev  string   `json:"prev"`
	Lines []string `json:"lines"` // SM3 of each line of the entry; those that are not shown stand for others' deeds
	Path  []string `json:"path"`  // through the Merkle tree of the head, nearest first
	Head  int      `json:"head"`  // which of the heads
}

// Proof is where lines stand: the i-th line in Places[At[i]].
type Proof struct {
	At     []int        `json:"at"`
	Places []Place      `json:"places"`
	Heads  []SignedHead `json:"heads"`
}

var (
	// ErrNotNoted: a line is not in the record.
	ErrNotNoted = errors.New("audit: not in the record")
	// ErrNotSigned: no signed head reaches it yet.
	ErrNotSigned = errors.New("audit: no signed head reaches it yet")
)

// Prove finds lines in the record. near says for each about when it was written; where it is far off the whole
// record is read. ErrNotNoted, ErrNotSigned.
func Prove(ctx context.Context, db *store.DB, sm3 func(...[]byte) [32]byte, lines []string, near []time.Time) (Proof, error) {
	p := proving{ctx: ctx, db: db, sm3: sm3, want: map[string]int{}}
	p.out.At = make([]int, len(lines))
	for i, l := range lines {
		p.want[l] = i
		p.out.At[i] = -1
	}
	var err error
	if p.chains, err = chainList(ctx, db); err != nil {
		return p.out, err
	}
	from, to := time.Time{}, time.Time{}
	for _, at := range near {
		if from.IsZero() || at.Before(from) {
			from = at
		}
		if at.After(to) {
			to = at
		}
	}
	for _, span := range [][2]int64{{from.Add(-time.Minute).UnixMilli(), to.Add(time.Hour).UnixMilli()}, {0, 1 << 62}} {
		for _, c := range p.chains {
			if err := p.scan(c, span[0], span[1]); err != nil {
				return p.out, err
			}
		}
		if len(p.want) == 0 {
			return p.out, p.sign()
		}
	}
	for line := range p.want {
		l, _ := ParseLine(line)
		return p.out, fmt.Errorf("%w: %s %s", ErrNotNoted, l.Kind, l.Ref)
	}
	return p.out, nil
}

type proving struct {
	ctx    context.Context
	db     *store.DB
	sm3    sm3Func
	chains []chainRow
	want   map[string]int // lines not found yet
	out    Proof
	number []int64 // of the chain of each place
}

// first is the place of the first entry of a chain written at or after a time, by halving: times grow with numbers but
// for a clock that was set back, which the second reading of Prove sees to.
func (p *proving) first(c chainRow, at int64) (int64, error) {
	base := c.number * entriesPerChain
	last, _, err := lastEntry(p.ctx, p.db, c.number)
	low, high := int64(1), last+1
	for err == nil && low < high {
		middle := (low + high) / 2
		var then int64
		var found bool
		found, err = p.db.Get(p.ctx, "SELECT at FROM audit_entry WHERE place >= $1 AND place < $2 ORDER BY place LIMIT 1",
			[]any{base + middle, base + entriesPerChain}, &then)
		if found && then < at {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return base + low, err
}

// scan looks for lines in what a chain wrote within a time.
func (p *proving) scan(c chainRow, from, to int64) error {
	if len(p.want) == 0 {
		return nil
	}
	base := c.number * entriesPerChain
	start := base + 1
	if from > 0 {
		var err error
		if start, err = p.first(c, from); err != nil {
			return err
		}
	}
	for n := stepEntries; n == stepEntries && len(p.want) > 0; {
		n = 0
		rows, err := p.db.Query(p.ctx, `SELECT place, at, prev, lines FROM audit_entry WHERE place >= $1 AND place < $2 ORDER BY place LIMIT 2000`,
			start, base+entriesPerChain)
		if err != nil {
			return err
		}
		past := false
		for err == nil && rows.Next() {
			err = p.entry(rows, c, base, to, &start, &past)
			n++
		}
		if err := p.db.Failed(errors.Join(err, rows.Err(), rows.Close())); err != nil {
			return err
		}
		if past {
			return nil
		}
	}
	return nil
}

func (p *proving) entry(rows *sql.Rows, c chainRow, base, to int64, start *int64, past *bool) error {
	var place, at int64
	var prev, text []byte
	if err := rows.Scan(&place, &at, &prev, &text); err != nil {
		return err
	}
	*start, *past = place+1, at > to
	here := -1
	for raw := range bytes.Lines(text) {
		i, wanted := p.want[string(raw)]
		if !wanted {
			continue
		}
		if here < 0 {
			here = len(p.out.Places)
			e := Place{Chain: c.name, Seq: place - base, At: at, Prev: hex.EncodeToString(prev), Head: -1}
			for raw := range bytes.Lines(text) {
				d := p.sm3(raw)
				e.Lines = append(e.Lines, hex.EncodeToString(d[:]))
			}
			p.out.Places, p.number = append(p.out.Places, e), append(p.number, c.number)
		}
		p.out.At[i] = here
		delete(p.want, string(raw))
	}
	return nil
}

// sign finds the heads that reach the places.
func (p *proving) sign() error {
	index := map[string]int{}
	for i := range p.out.Places {
		e := &p.out.Places[i]
		gatewayName, _, _ := strings.Cut(e.Chain, "/")
		signed, reach, err := p.head(gatewayName, e)
		if err != nil {
			return err
		}
		n, known := index[signed.Text]
		if !known {
			n = len(p.out.Heads)
			index[signed.Text] = n
			p.out.Heads = append(p.out.Heads, signed)
		}
		hashes, err := entryHashes(p.ctx, p.db, p.number[i], reach.From, reach.To)
		if err != nil {
			return err
		}
		if int64(len(hashes)) != reach.To-reach.From+1 {
			return fmt.Errorf("%w: entries of %s are missing", ErrNotNoted, e.Chain)
		}
		e.Head, e.Path = n, []string{}
		for _, h := range treePath(p.sm3, hashes, int(e.Seq-reach.From)) {
			e.Path = append(e.Path, hex.EncodeToString(h[:]))
		}
	}
	return nil
}

// head is the first head of a gateway that reaches a place, found by halving.
func (p *proving) head(name string, e *Place) (s SignedHead, r Reach, err error) {
	var low, high int64 = 1, 0
	if _, err = p.db.Get(p.ctx, "SELECT COALESCE(MAX(number), 0) FROM audit_head WHERE gateway = $1", []any{name}, &high); err != nil {
		return s, r, err
	}
	for low <= high {
		middle := (low + high) / 2
		var number int64
		var text, sig []byte
		found, err := p.db.Get(p.ctx, "SELECT number, text, signature FROM audit_head WHERE gateway = $1 AND number >= $2 ORDER BY number LIMIT 1",
			[]any{name, middle}, &number, &text, &sig)
		if err != nil {
			return s, r, err
		}
		if !found {
			high = middle - 1
			continue
		}
		h, err := ParseHead(string(text))
		if err != nil {
			return s, r, err
		}
		i := slices.IndexFunc(h.Chains, func(x Reach) bool { return x.Chain == e.Chain })
		switch {
		case i < 0 || h.Chains[i].To < e.Seq:
			low = number + 1
		case h.Chains[i].From > e.Seq:
			high = middle - 1
		default:
			return SignedHead{string(text), sig, h.Key}, h.Chains[i], nil
		}
	}
	return s, r, fmt.Errorf("%w: entry %d of %s", ErrNotSigned, e.Seq, e.Chain)
}

// Check tells whether a line stands where a place says, under a head that the caller has verified.
func (e Place) Check(sm3 func(...[]byte) [32]byte, line string, h Head) error {
	bad := func(what string) error { return fmt.Errorf("audit: entry %d of %s: %s", e.Seq, e.Chain, what) }
	d := sm3([]byte(line))
	if !slices.Contains(e.Lines, hex.EncodeToString(d[:])) {
		return bad("the line is not in it")
	}
	var digests []byte
	for _, l := range e.Lines {
		var one [32]byte
		if !exactHash(l, &one) {
			return bad("not a digest")
		}
		digests = append(digests, one[:]...)
	}
	entry := Entry{Chain: e.Chain, Seq: e.Seq, At: e.At, LinesHash: sm3(digests)}
	if !exactHash(e.Prev, &entry.Prev) {
		return bad("not a digest")
	}
	i := slices.IndexFunc(h.Chains, func(x Reach) bool { return x.Chain == e.Chain })
	if i < 0 {
		return bad("the head does not know the chain")
	}
	r := h.Chains[i]
	if e.Seq < r.From || e.Seq > r.To || r.To-r.From >= maxLeaves {
		return bad("the head does not reach it")
	}
	path := make([][32]byte, len(e.Path))
	for i, text := range e.Path {
		if !exactHash(text, &path[i]) {
			return bad("not a digest")
		}
	}
	root, ok := treeClimb(sm3, entry.hash(sm3), int(e.Seq-r.From), int(r.To-r.From+1), path)
	if !ok || root != r.Root {
		return bad("the signed head remembers something else")
	}
	return nil
}

// exactHash reads 64 lower-case hex digits.
func exactHash(s string, into *[32]byte) bool {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 32 || hex.EncodeToString(b) != s {
		return false
	}
	copy(into[:], b)
	return true
}
