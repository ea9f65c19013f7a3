package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/store"
)

// SignedHead is a head as it is kept, and as it is given to those who keep a copy.
type SignedHead struct {
	Text      string `json:"text"`      // what is signed, to the byte
	Signature []byte `json:"signature"` // r and s, 64 bytes: SM2 with SM3 and the user id of GM/T 0009
	Key       string `json:"key"`       // fingerprint of the public key, for finding it; proves nothing
}

// Head is what a head's text says.
type Head struct {
	Gateway  string
	Number   int64 // 1, 2, ... of this gateway
	At       time.Time
	Key      string   // fingerprint
	Previous [32]byte // SM3 of the text of this gateway's head before; zero for the first
	Chains   []Reach
	Saw      []Reach // chains of others: only Chain, To and Hash
}

// Reach is how far a chain has come: its entries From to To are in the tree of Root.
type Reach struct {
	Chain      string
	From, To   int64
	Hash, Root [32]byte
}

const headLine = "yiqiao-audit-head-1"

func (h *Head) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\ngateway: %s\nnumber: %d\nat: %s\nkey: %s\nprevious: %x\n", headLine, h.Gateway, h.Number,
		h.At.In(gateway.China).Format(headTime), h.Key, h.Previous)
	for _, c := range h.Chains {
		fmt.Fprintf(&b, "chain: %s %d %d %x %x\n", c.Chain, c.From, c.To, c.Hash, c.Root)
	}
	for _, c := range h.Saw {
		fmt.Fprintf(&b, "saw: %s %d %x\n", c.Chain, c.To, c.Hash)
	}
	return b.String()
}

const headTime = "2006-01-02T15:04:05.000-07:00"

// maxHead bounds a head's text in bytes.
const maxHead = 1 << 20

// ParseHead reads the text of a head. Only the exact form is taken.
func ParseHead(text string) (Head, error) {
	bad := errors.New("audit: not the text of a head")
	if len(text) > maxHead || !strings.HasSuffix(text, "\n") {
		return Head{}, bad
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 6 || lines[0] != headLine {
		return Head{}, bad
	}
	var h Head
	for i, name := range []string{"gateway", "number", "at", "key", "previous"} {
		value, ok := strings.CutPrefix(lines[i+1], name+": ")
		if !ok {
			return Head{}, bad
		}
		switch name {
		case "gateway":
			h.Gateway = value
		case "number":
			h.Number, _ = strconv.ParseInt(value, 10, 64)
		case "at":
			h.At, _ = time.ParseInLocation(headTime, value, gateway.China)
		case "key":
			h.Key = value
		case "previous":
			parseHash(value, &h.Previous)
		}
	}
	for _, line := range lines[6:] {
		kind, rest, _ := strings.Cut(line, ": ")
		parts := strings.Split(rest, " ")
		var r Reach
		if len(parts) < 3 {
			return Head{}, bad
		}
		r.Chain = parts[0]
		switch {
		case kind == "chain" && len(parts) == 5:
			r.From, _ = strconv.ParseInt(parts[1], 10, 64)
			r.To, _ = strconv.ParseInt(parts[2], 10, 64)
			parseHash(parts[3], &r.Hash)
			parseHash(parts[4], &r.Root)
			h.Chains = append(h.Chains, r)
		case kind == "saw" && len(parts) == 3:
			r.To, _ = strconv.ParseInt(parts[1], 10, 64)
			parseHash(parts[2], &r.Hash)
			h.Saw = append(h.Saw, r)
		default:
			return Head{}, bad
		}
	}
	if h.text() != text {
		return Head{}, bad
	}
	return h, nil
}

func parseHash(s string, into *[32]byte) {
	if b, err := hex.DecodeString(s); err == nil && len(b) == 32 {
		copy(into[:], b)
	}
}

// Verify checks the signature of a head under one of the keys and reads it. The error does not say
// more than that it is not good.
func (s SignedHead) Verify(p sm.Provider, keys []*sm.PublicKey) (Head, error) {
	h, err := ParseHead(s.Text)
	if err != nil {
		return Head{}, err
	}
	var sig sm.Signature
	if len(s.Signature) != len(sig) {
		return Head{}, fmt.Errorf("audit: head: %w", sm.ErrSignature)
	}
	copy(sig[:], s.Signature)
	for _, k := range keys {
		if p.Verify(k, uid(), []byte(s.Text), sig) == nil {
			return h, nil
		}
	}
	return Head{}, fmt.Errorf("audit: head: %w", sm.ErrSignature)
}

// ErrNoSigner: there is no key to sign heads with.
var ErrNoSigner = errors.New("audit: no signing key")

const (
	sqlLastHead = `SELECT text FROM audit_head WHERE gateway = $1 ORDER BY number DESC LIMIT 1`
	sqlPutHead  = `INSERT INTO audit_head (gateway, text, signature) VALUES ($1, $2, $3)`
)

// Head signs how far the chains have come, when something was written since the last one, and
// publishes it; fresh is false when nothing was, and then it is the last one again.
func (l *Log) Head(ctx context.Context) (signed SignedHead, fresh bool, err error) {
	if l.o.Signer == nil {
		return SignedHead{}, false, ErrNoSigner
	}
	for range 8 {
		last, was, err := l.lastHead(ctx)
		if err != nil {
			return SignedHead{}, false, err
		}
		h, err := l.nextHead(ctx, was, last)
		if err != nil {
			return SignedHead{}, false, err
		}
		if len(h.Chains) == 0 {
			return l.stored(ctx, last)
		}
		text := h.text()
		sig, err := l.o.Signer.Sign(l.o.Rand, uid(), []byte(text))
		if err != nil {
			return SignedHead{}, false, fmt.Errorf("audit: signing a head: %w", err)
		}
		placed := false
		err = l.o.DB.Do(ctx, func(tx *store.Tx) error {
			// One at a time: the row of the chain is the lock.
			var number int64
			var now []byte
			placed = false
			if _, err := tx.Get(sqlChain+" {lock}", []any{h.Chains[0].Chain}, &number); err != nil {
				return err
			}
			if _, err := tx.Get(sqlLastHead, []any{l.o.Name}, &now); err != nil || string(now) != last {
				return err
			}
			placed = true
			return tx.Put(sqlPutHead, l.o.Name, []byte(text), sig[:])
		})
		if err != nil {
			return SignedHead{}, false, err
		}
		if placed {
			signed = SignedHead{text, sig[:], h.Key}
			if err := l.o.Publish(signed); err != nil {
				l.o.Log.Error("a signed head of the audit record could not be published", "err", err)
			}
			return signed, true, nil
		}
	}
	return SignedHead{}, false, errors.New("audit: others keep signing under this name")
}

// stored gives the last head again.
func (l *Log) stored(ctx context.Context, text string) (s SignedHead, fresh bool, err error) {
	s.Text = text
	if text == "" {
		return s, false, nil
	}
	h, err := ParseHead(text)
	if err != nil {
		return s, false, err
	}
	s.Key = h.Key
	_, err = l.o.DB.Get(ctx, `SELECT signature FROM audit_head WHERE gateway = $1 ORDER BY number DESC LIMIT 1`, []any{l.o.Name}, &s.Signature)
	return s, false, err
}

func (l *Log) lastHead(ctx context.Context) (text string, h Head, err error) {
	var b []byte
	found, err := l.o.DB.Get(ctx, sqlLastHead, []any{l.o.Name}, &b)
	if err != nil || !found {
		return "", Head{}, err
	}
	h, err = ParseHead(string(b))
	return string(b), h, err
}

// nextHead looks at every chain. Chains is empty when none of ours has grown.
func (l *Log) nextHead(ctx context.Context, was Head, last string) (Head, error) {
	h := Head{Gateway: l.o.Name, Number: was.Number + 1, At: l.o.Clock.Now(), Key: l.o.Signer.Public().Fingerprint()}
	if last != "" {
		h.Previous = l.o.SM3([]byte(last))
	}
	chains, err := chainList(ctx, l.o.DB)
	if err != nil {
		return h, err
	}
	grown := false
	for _, c := range chains {
		if !strings.HasPrefix(c.name, l.o.Name+"/") {
			to, hash, err := lastEntry(ctx, l.o.DB, c.number)
			if err != nil {
				return h, err
			}
			if to > 0 {
				h.Saw = append(h.Saw, Reach{Chain: c.name, To: to, Hash: hash})
			}
			continue
		}
		r := Reach{Chain: c.name, From: 1}
		if i := slices.IndexFunc(was.Chains, func(x Reach) bool { return x.Chain == c.name }); i >= 0 {
			r.From = was.Chains[i].To + 1
			r.Hash = was.Chains[i].Hash
		}
		hashes, err := entryHashes(ctx, l.o.DB, c.number, r.From, r.From+maxLeaves-1)
		if err != nil {
			return h, err
		}
		r.To = r.From + int64(len(hashes)) - 1
		if n := len(hashes); n > 0 {
			grown = true
			r.Hash, r.Root = hashes[n-1], treeRoot(l.o.SM3, hashes)
		}
		h.Chains = append(h.Chains, r)
	}
	if !grown {
		h.Chains = nil
	}
	return h, nil
}

// maxLeaves bounds the entries under one head; more wait for the next.
const maxLeaves = 1 << 20

type chainRow struct {
	number int64
	name   string
}

func chainList(ctx context.Context, db *store.DB) (list []chainRow, err error) {
	rows, err := db.Query(ctx, "SELECT number, name FROM audit_chain ORDER BY number")
	if err != nil {
		return nil, err
	}
	for rows.Next() && err == nil {
		var c chainRow
		err = rows.Scan(&c.number, &c.name)
		list = append(list, c)
	}
	return list, db.Failed(errors.Join(err, rows.Err(), rows.Close()))
}

func lastEntry(ctx context.Context, db *store.DB, chain int64) (seq int64, hash [32]byte, err error) {
	var b []byte
	from := chain * entriesPerChain
	found, err := db.Get(ctx, sqlLast, []any{from, from + entriesPerChain}, &seq, &b)
	if err != nil || !found {
		return 0, hash, err
	}
	copy(hash[:], b)
	return seq - from, hash, nil
}

// entryHashes gives the hashes of entries from to to, as many as there are without a gap.
func entryHashes(ctx context.Context, db *store.DB, chain, from, to int64) (list [][32]byte, err error) {
	base := chain * entriesPerChain
	rows, err := db.Query(ctx, "SELECT place, hash FROM audit_entry WHERE place >= $1 AND place <= $2 ORDER BY place", base+from, base+to)
	if err != nil {
		return nil, err
	}
	for rows.Next() && err == nil {
		var place int64
		var b []byte
		if err = rows.Scan(&place, &b); err != nil {
			break
		}
		if place != base+from+int64(len(list)) {
			break
		}
		list = append(list, [32]byte{})
		copy(list[len(list)-1][:], b)
	}
	return list, db.Failed(errors.Join(err, rows.Err(), rows.Close()))
}

// Run signs a head whenever Every has passed and there is something new, until ctx ends, and one more
// at the end. It returns at once, with nil, when there is no signing key.
func (l *Log) Run(ctx context.Context) error {
	if l.o.Signer == nil {
		return nil
	}
	for {
		err := l.o.Clock.Sleep(ctx, l.o.Every)
		if _, _, err := l.Head(context.WithoutCancel(ctx)); err != nil {
			l.o.Log.Error("the audit record could not be signed", "err", err)
		}
		if err != nil {
			return nil
		}
	}
}

// Heads gives the newest head of each gateway.
func Heads(ctx context.Context, db *store.DB) (list []SignedHead, err error) {
	rows, err := db.Query(ctx, `SELECT text, signature FROM audit_head
		WHERE number IN (SELECT MAX(number) FROM audit_head GROUP BY gateway) ORDER BY number`)
	if err != nil {
		return nil, err
	}
	for rows.Next() && err == nil {
		var text []byte
		var s SignedHead
		if err = rows.Scan(&text, &s.Signature); err == nil {
			s.Text = string(text)
			h, _ := ParseHead(s.Text)
			s.Key = h.Key
			list = append(list, s)
		}
	}
	return list, db.Failed(errors.Join(err, rows.Err(), rows.Close()))
}
