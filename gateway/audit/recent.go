package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"yiqiao/crypto/sm"
	"yiqiao/gateway/store"
)

// Recent is the end of the record: the newest entries of each chain, held against each other and against the
// newest signed heads. It costs the same however long the record is; what is wrong before that end only
// Verify finds.
type Recent struct {
	Entries int // looked at
	Heads   int // newest head of each gateway, as far as they are signed by one of the keys
	Chains  []RecentChain
	Lines   []Line // newest first
}

// RecentChain is the end of one chain.
type RecentChain struct {
	ChainReport
	Found string // the first thing that is wrong, one of the names above; "" for nothing
}

// Sound reports whether nothing that was looked at is wrong.
func (r *Recent) Sound() bool {
	return !slices.ContainsFunc(r.Chains, func(c RecentChain) bool { return c.Found != "" })
}

// Last looks at most at the n newest entries of each chain.
func Last(ctx context.Context, db *store.DB, p sm.Provider, keys []*sm.PublicKey, n int) (Recent, error) {
	var r Recent
	heads, err := Heads(ctx, db)
	if err != nil {
		return r, err
	}
	reach := map[string]Reach{} // the farthest a good head knows
	bad := false
	for _, s := range heads {
		h, err := s.Verify(p, keys)
		if err != nil {
			bad = bad || len(keys) > 0
			continue
		}
		r.Heads++
		for _, c := range slices.Concat(h.Chains, h.Saw) {
			if c.To >= reach[c.Chain].To {
				reach[c.Chain] = c
			}
		}
	}
	list, err := chainList(ctx, db)
	if err != nil {
		return r, err
	}
	for _, c := range list {
		one, err := r.chain(ctx, db, p.SM3, c, n)
		if err != nil {
			return r, err
		}
		if known, ok := reach[c.name]; ok {
			delete(reach, c.name)
			one.SignedTo = known.To
			if err := one.held(ctx, db, c, known); err != nil {
				return r, err
			}
		}
		if bad && one.Found == "" {
			one.Found = FoundHead
		}
		r.Chains = append(r.Chains, one)
	}
	for name := range reach {
		r.Chains = append(r.Chains, RecentChain{ChainReport: ChainReport{Chain: name}, Found: FoundChain})
	}
	slices.SortStableFunc(r.Lines, func(a, b Line) int { return b.At.Compare(a.At) })
	return r, nil
}

// held compares a chain with what a signed head says of it.
func (c *RecentChain) held(ctx context.Context, db *store.DB, row chainRow, known Reach) error {
	at, err := entryHashes(ctx, db, row.number, known.To, known.To)
	switch {
	case err != nil || c.Found != "":
	case len(at) == 0:
		c.Found = FoundCut
	case at[0] != known.Hash:
		c.Found = FoundRewritten
	}
	return err
}

// chain reads the end of one chain, the newest first.
func (r *Recent) chain(ctx context.Context, db *store.DB, sm3 sm3Func, c chainRow, n int) (one RecentChain, err error) {
	one.Chain = c.name
	base := c.number * entriesPerChain
	rows, err := db.Query(ctx, "SELECT place, at, prev, hash, lines FROM audit_entry WHERE place > $1 AND place < $2 ORDER BY place DESC LIMIT $3",
		base, base+entriesPerChain, int64(n))
	if err != nil {
		return one, err
	}
	var after *Entry // the one behind
	for rows.Next() && err == nil {
		var place int64
		var prev, hash, lines []byte
		e := &Entry{Chain: c.name}
		if err = rows.Scan(&place, &e.At, &prev, &hash, &lines); err != nil {
			break
		}
		e.Seq = place - base
		copy(e.Prev[:], prev)
		copy(e.Hash[:], hash)
		e.LinesHash = linesHash(sm3, lines)
		if found := e.wrong(sm3, after); found != "" && one.Found == "" {
			one.Found = found
		}
		if after == nil {
			one.Entries, one.Last, one.To = e.Seq, fmt.Sprintf("%x", e.Hash), at(e.At)
		}
		after = e
		r.Entries++
		r.read(string(lines), &one)
	}
	return one, db.Failed(errors.Join(err, rows.Err(), rows.Close()))
}

// wrong is what is wrong with an entry and the one behind it, nil for the last.
func (e *Entry) wrong(sm3 sm3Func, after *Entry) string {
	switch {
	case e.hash(sm3) != e.Hash:
		return FoundChanged
	case after != nil && after.Seq != e.Seq+1:
		return FoundRemoved
	case after != nil && after.Prev != e.Hash:
		return FoundReplaced
	}
	return ""
}

func (r *Recent) read(lines string, one *RecentChain) {
	for text := range strings.Lines(lines) {
		l, err := ParseLine(text)
		if err != nil {
			if one.Found == "" {
				one.Found = FoundLine
			}
			continue
		}
		r.Lines = append(r.Lines, l)
	}
}
