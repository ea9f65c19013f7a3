package audit

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/journal"
	"yiqiao/gateway/store"
)

// What Verify can find. The names are permanent.
const (
	FoundChanged    = "changed"        // an entry does not give its hash
	FoundMoved      = "moved"          // an entry stands in the place of another
	FoundRemoved    = "removed"        // entries are missing in the middle
	FoundReplaced   = "replaced"       // the next entry remembers another one
	FoundCut        = "cut"            // a signed head knows of entries that are not there
	FoundRewritten  = "rewritten"      // a signed head remembers another hash
	FoundHead       = "head"           // a head is not signed by a known key, or does not follow the one before
	FoundLine       = "line"           // an entry holds something that is no line
	FoundNotAudited = "not-audited"    // in the journal, not in the record
	FoundDiffers    = "differs"        // the journal says something else than when it was written
	FoundMissing    = "missing"        // in the record, not in the journal
	FoundUnreadable = "unreadable"     // in the journal, can not be opened
	FoundChain      = "chain-missing"  // a head knows a chain that is not there
	FoundNoHead     = "head-not-there" // a head kept outside is not in the database
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind  string    `json:"kind"`
	Chain string    `json:"chain,omitempty"`
	Seq   int64     `json:"seq,omitempty"` // of the entry at fault, or the first of several
	To    int64     `json:"to,omitempty"`  // the last of several
	Ref   string    `json:"ref,omitempty"` // of the line: record, bill, request
	At    time.Time `json:"at,omitzero"`   // when the entry was written, as far as it can be believed
	ZH    string    `json:"zh"`
	EN    string    `json:"en"`
}

// ChainReport is how one chain stands.
type ChainReport struct {
	Chain    string    `json:"chain"`
	Entries  int64     `json:"entries"`
	Lines    int64     `json:"lines"`
	From     time.Time `json:"from,omitzero"`
	To       time.Time `json:"to,omitzero"`
	Last     string    `json:"last"`      // hash of the last entry, hex
	SignedTo int64     `json:"signed_to"` // last entry under a good head
	SignedAt time.Time `json:"signed_at,omitzero"`
}

// Report is what Verify found.
type Report struct {
	Chains   []ChainReport `json:"chains"`
	Heads    int           `json:"heads"`             // good ones in the database
	Outside  int           `json:"outside"`           // good ones from outside
	Journal  bool          `json:"journal"`           // held against the journal
	Held     int64         `json:"held"`              // lines that the journal confirms
	Expired  int64         `json:"expired,omitempty"` // parts whose bodies were destroyed in their time: not compared
	Older    int64         `json:"older"`             // parts of the journal from before the record began
	Findings []Finding     `json:"findings"`
	More     int           `json:"more,omitempty"` // findings beyond the first thousand
}

// maxFindings are listed; the rest is counted.
const maxFindings = 1000

func (r *Report) found(f Finding) {
	if len(r.Findings) >= maxFindings {
		r.More++
		return
	}
	r.Findings = append(r.Findings, f)
}

// VerifyOptions say what to hold the record against.
type VerifyOptions struct {
	DB       *store.DB
	Provider sm.Provider
	Keys     []*sm.PublicKey  // those that may have signed heads; none: heads are not looked at
	Outside  []SignedHead     // copies kept elsewhere
	Journal  *journal.Journal // nil: the journal is not looked at
	Items    journal.Auditor  // needed with Journal: the Log, or Reader
}

// Reader makes the lines of a record without writing any: what Verify and Prove need beside a running gateway.
// Only Name, SM3, Secret and Clock of o are needed.
func Reader(o Options) *Log { return &Log{o: o} }

// Verify reads the whole record. An error means that it could not be read, not that something is wrong.
func Verify(ctx context.Context, o VerifyOptions) (Report, error) {
	v := verifying{o: o, sm3: o.Provider.SM3, r: Report{Findings: []Finding{}, Chains: []ChainReport{}}}
	err := o.DB.Snapshot(ctx, func(r store.Reader) error {
		v.ctx, v.db = ctx, r
		if err := v.heads(); err != nil {
			return err
		}
		return v.chains()
	})
	if err != nil || o.Journal == nil {
		return v.r, err
	}
	return v.r, v.journal()
}

type verifying struct {
	o    VerifyOptions
	sm3  sm3Func
	ctx  context.Context
	db   store.Reader
	r    Report
	know map[string][]knowledge // by chain, what heads say of it
	// For the journal: digests of lines by kind and ref, each to be found there.
	lines map[[16]byte][16]byte
	older []journal.Places
	seen  map[int64]int64 // last entry read of each chain, by its number
	// What the journal has and the record had not when it was read: it may have come meanwhile.
	fresh map[[16]byte]freshPart
}

type freshPart struct {
	short   [16]byte
	finding Finding
}

// knowledge is what a head says of a chain.
type knowledge struct {
	seq  int64
	hash [32]byte
	by   Head
	// from and root are of the head's own chains only.
	from int64
	root [32]byte
}

func (v *verifying) each(query string, args []any, see func(*sql.Rows) error) error {
	rows, err := v.db.Query(v.ctx, query, args...)
	if err != nil {
		return err
	}
	for err == nil && rows.Next() {
		err = see(rows)
	}
	return v.o.DB.Failed(errors.Join(err, rows.Err(), rows.Close()))
}

// heads reads those of the database and those from outside.
func (v *verifying) heads() error {
	v.know = map[string][]knowledge{}
	if len(v.o.Keys) == 0 {
		return nil
	}
	last := map[string]string{}
	have := map[string]bool{}
	err := v.each("SELECT gateway, text, signature FROM audit_head ORDER BY number", nil, func(rows *sql.Rows) error {
		var name string
		var s SignedHead
		var text []byte
		if err := rows.Scan(&name, &text, &s.Signature); err != nil {
			return err
		}
		s.Text = string(text)
		have[s.Text] = true
		h, err := s.Verify(v.o.Provider, v.o.Keys)
		if err != nil || h.Gateway != name {
			v.r.found(Finding{Kind: FoundHead, Ref: name, ZH: "签名链头验签失败, 或不是所给公钥所签", EN: "a head is not signed by a known key"})
			last[name] = s.Text
			return nil
		}
		before, first := last[name], Head{}
		follows := h.Previous == [32]byte{} && h.Number == 1
		if before != "" {
			first, _ = ParseHead(before)
			follows = h.Previous == v.sm3([]byte(before)) && h.Number == first.Number+1
		}
		if !follows {
			v.r.found(Finding{Kind: FoundHead, Ref: fmt.Sprintf("%s head %d", name, h.Number), At: h.At,
				ZH: fmt.Sprintf("链头 %d 与前一个不相接: 中间有链头被删除或替换", h.Number), EN: "a head does not follow the one before: some were removed or replaced"})
		}
		last[name] = s.Text
		v.r.Heads++
		v.learn(h)
		return nil
	})
	if err != nil {
		return err
	}
	for _, s := range v.o.Outside {
		h, err := s.Verify(v.o.Provider, v.o.Keys)
		if err != nil {
			v.r.found(Finding{Kind: FoundHead, Ref: "outside", ZH: "外部保存的链头验签失败", EN: "a head kept outside is not signed by a known key"})
			continue
		}
		v.r.Outside++
		if !have[s.Text] {
			v.r.found(Finding{Kind: FoundNoHead, Ref: fmt.Sprintf("%s head %d", h.Gateway, h.Number), At: h.At,
				ZH: fmt.Sprintf("外部保存的链头 %s/%d 在库中不存在", h.Gateway, h.Number), EN: "a head kept outside is not in the database"})
		}
		v.learn(h)
	}
	return nil
}

func (v *verifying) learn(h Head) {
	for _, c := range h.Chains {
		v.know[c.Chain] = append(v.know[c.Chain], knowledge{c.To, c.Hash, h, c.From, c.Root})
	}
	for _, c := range h.Saw {
		v.know[c.Chain] = append(v.know[c.Chain], knowledge{seq: c.To, hash: c.Hash, by: h})
	}
}

func (v *verifying) chains() error {
	var list []chainRow
	if err := v.each("SELECT number, name FROM audit_chain ORDER BY number", nil, func(rows *sql.Rows) error {
		var c chainRow
		err := rows.Scan(&c.number, &c.name)
		list = append(list, c)
		return err
	}); err != nil {
		return err
	}
	for name := range v.know {
		if !slices.ContainsFunc(list, func(c chainRow) bool { return c.name == name }) {
			v.r.found(Finding{Kind: FoundChain, Chain: name, ZH: "整条链 " + name + " 不见了", EN: "the whole chain is gone"})
		}
	}
	if v.o.Journal != nil {
		v.lines, v.seen, v.fresh = map[[16]byte][16]byte{}, map[int64]int64{}, map[[16]byte]freshPart{}
	}
	for _, c := range list {
		if err := v.chain(c); err != nil {
			return err
		}
	}
	return nil
}

// walk is one chain being read.
type walk struct {
	v        *verifying
	c        chainRow
	rep      ChainReport
	know     []knowledge // by seq
	last     [32]byte    // hash of the entry before, as stored
	seq      int64       // its number
	good     int64       // last entry a head agreed with
	rewriten bool        // reported already
}

const stepEntries = 2000

func (v *verifying) chain(c chainRow) error {
	w := walk{v: v, c: c, rep: ChainReport{Chain: c.name}, know: slices.Clone(v.know[c.name])}
	slices.SortStableFunc(w.know, func(a, b knowledge) int { return int(min(max(a.seq-b.seq, -1), 1)) })
	base := c.number * entriesPerChain
	for from, n := base, stepEntries; n == stepEntries; {
		n = 0
		err := v.each(`SELECT place, at, prev, hash, lines FROM audit_entry WHERE place > $1 AND place < $2 ORDER BY place LIMIT 2000`,
			[]any{from, base + entriesPerChain}, func(rows *sql.Rows) error {
				var e Entry
				var place int64
				var prev, hash, lines []byte
				if err := rows.Scan(&place, &e.At, &prev, &hash, &lines); err != nil {
					return err
				}
				e.Chain, e.Seq = c.name, place-base
				copy(e.Prev[:], prev)
				copy(e.Hash[:], hash)
				e.LinesHash = linesHash(v.sm3, lines)
				w.entry(&e, lines)
				n++
				from = place
				return nil
			})
		if err != nil {
			return err
		}
	}
	w.end()
	if v.seen != nil {
		v.seen[c.number] = w.seq
	}
	return nil
}

func at(ms int64) time.Time { return time.UnixMilli(ms).In(gateway.China) }

func (w *walk) entry(e *Entry, lines []byte) {
	if missing := e.Seq - w.seq - 1; missing > 0 {
		w.v.r.found(Finding{Kind: FoundRemoved, Chain: w.c.name, Seq: w.seq + 1, To: e.Seq - 1, At: at(e.At),
			ZH: fmt.Sprintf("第 %d 至 %d 条被删除", w.seq+1, e.Seq-1), EN: fmt.Sprintf("entries %d to %d were removed", w.seq+1, e.Seq-1)})
	} else if e.Prev != w.last {
		w.v.r.found(Finding{Kind: FoundReplaced, Chain: w.c.name, Seq: e.Seq - 1, To: e.Seq, At: at(e.At),
			ZH: fmt.Sprintf("第 %d 条记得的前一条不是现在的第 %d 条: 二者之一被替换", e.Seq, e.Seq-1),
			EN: fmt.Sprintf("entry %d remembers another entry %d: one of them was replaced", e.Seq, e.Seq-1)})
	}
	if h := e.hash(w.v.sm3); h != e.Hash {
		w.bad(e)
	}
	for len(w.know) > 0 && w.know[0].seq <= e.Seq {
		w.head(w.know[0], e)
		w.know = w.know[1:]
	}
	w.seq, w.last = e.Seq, e.Hash
	w.rep.Entries++
	if w.rep.From.IsZero() {
		w.rep.From = at(e.At)
	}
	w.rep.To = at(e.At)
	w.lines(e, lines)
}

// bad says of an entry that does not give its hash whether it is another one in the wrong place.
func (w *walk) bad(e *Entry) {
	moved := *e
	for d := int64(1); d <= 1000; d++ {
		for _, seq := range [2]int64{e.Seq - d, e.Seq + d} {
			if moved.Seq = seq; moved.hash(w.v.sm3) == e.Hash {
				w.v.r.found(Finding{Kind: FoundMoved, Chain: w.c.name, Seq: e.Seq, To: seq, At: at(e.At),
					ZH: fmt.Sprintf("第 %d 条的位置上是第 %d 条: 顺序被调换", e.Seq, seq), EN: fmt.Sprintf("in the place of entry %d stands entry %d", e.Seq, seq)})
				return
			}
		}
	}
	w.v.r.found(Finding{Kind: FoundChanged, Chain: w.c.name, Seq: e.Seq, At: at(e.At),
		ZH: fmt.Sprintf("第 %d 条被改动", e.Seq), EN: fmt.Sprintf("entry %d was changed", e.Seq)})
}

// head holds an entry against what a head says of it.
func (w *walk) head(k knowledge, e *Entry) {
	switch {
	case k.seq < 1:
	case k.seq < e.Seq: // the entry itself is missing, which was said
	case k.hash == e.Hash:
		w.good = e.Seq
		if k.root != ([32]byte{}) && e.Seq > w.rep.SignedTo {
			w.rep.SignedTo, w.rep.SignedAt = e.Seq, k.by.At
		}
	case !w.rewriten:
		w.rewriten = true
		w.v.r.found(Finding{Kind: FoundRewritten, Chain: w.c.name, Seq: w.good + 1, To: e.Seq, At: k.by.At,
			ZH: fmt.Sprintf("第 %d 至 %d 条中有改动: %s 签名的链头记得的是另一条第 %d 条", w.good+1, e.Seq, k.by.At.Format("2006-01-02 15:04:05"), e.Seq),
			EN: fmt.Sprintf("something in entries %d to %d was rewritten: the head signed at %s remembers another entry %d", w.good+1, e.Seq, k.by.At.Format(time.RFC3339), e.Seq)})
	}
}

// end looks for a cut tail.
func (w *walk) end() {
	w.rep.Last = fmt.Sprintf("%x", w.last)
	if n := len(w.know); n > 0 && w.know[n-1].seq > w.seq {
		k := w.know[n-1]
		w.v.r.found(Finding{Kind: FoundCut, Chain: w.c.name, Seq: w.seq + 1, To: k.seq, At: k.by.At,
			ZH: fmt.Sprintf("末尾被截断: 第 %d 至 %d 条不见了 (%s 签名的链头可证)", w.seq+1, k.seq, k.by.At.Format("2006-01-02 15:04:05")),
			EN: fmt.Sprintf("the end was cut off: entries %d to %d, which the head signed at %s knows, are gone", w.seq+1, k.seq, k.by.At.Format(time.RFC3339))})
	}
	w.v.r.Chains = append(w.v.r.Chains, w.rep)
}

func (w *walk) lines(e *Entry, text []byte) {
	for raw := range bytes.Lines(text) {
		w.rep.Lines++
		line, err := ParseLine(string(raw))
		if err != nil {
			w.v.r.found(Finding{Kind: FoundLine, Chain: w.c.name, Seq: e.Seq, At: at(e.At),
				ZH: fmt.Sprintf("第 %d 条中有无法识别的内容", e.Seq), EN: fmt.Sprintf("entry %d holds something that is no line", e.Seq)})
			continue
		}
		if w.v.lines == nil {
			continue
		}
		switch line.Kind {
		case "act":
		case "begin":
			var p journal.Places
			if _, err := fmt.Sscanf(line.Seal, "t:requests=%d bills=%d records=%d", &p.Request, &p.Bill, &p.Record); err == nil {
				w.v.older = append(w.v.older, p)
			}
		default:
			w.v.lines[w.v.name(line.Kind, line.Ref)] = w.v.short(raw)
		}
	}
}

func (v *verifying) name(kind, ref string) [16]byte { return v.short([]byte(kind + "\t" + ref)) }

func (v *verifying) short(b []byte) (out [16]byte) {
	d := v.sm3(b)
	copy(out[:], d[:])
	return out
}

// journal holds what the journal says now against what was noted when it was written.
func (v *verifying) journal() error {
	v.r.Journal = true
	err := v.o.Journal.Walk(v.ctx, v.written)
	if err == nil && len(v.fresh) > 0 {
		err = v.catchUp()
	}
	if err != nil || len(v.lines) == 0 {
		return err
	}
	// What is left was noted and is not in the journal: read the chains once more to name it.
	return v.o.DB.Snapshot(v.ctx, func(r store.Reader) error {
		v.db = r
		return v.each("SELECT place, at, lines FROM audit_entry ORDER BY place", nil, func(rows *sql.Rows) error {
			var place, when int64
			var text []byte
			if err := rows.Scan(&place, &when, &text); err != nil {
				return err
			}
			for raw := range bytes.Lines(text) {
				line, err := ParseLine(string(raw))
				if err != nil {
					continue
				}
				if _, left := v.lines[v.name(line.Kind, line.Ref)]; left && line.Kind != "act" && line.Kind != "begin" {
					v.r.found(Finding{Kind: FoundMissing, Seq: place % entriesPerChain, Ref: line.Kind + " " + line.Ref, At: at(when),
						ZH: kindZH(line.Kind) + " " + line.Ref + " 已记入审计, 但交易日志中没有", EN: line.Kind + " " + line.Ref + " was noted and is not in the journal"})
				}
			}
			return nil
		})
	})
}

// catchUp reads what was noted while the journal was walked.
func (v *verifying) catchUp() error {
	err := v.o.DB.Snapshot(v.ctx, func(r store.Reader) error {
		v.db = r
		return v.each("SELECT number FROM audit_chain", nil, func(rows *sql.Rows) error {
			var number int64
			err := rows.Scan(&number)
			if _, known := v.seen[number]; err == nil && !known {
				v.seen[number] = 0
			}
			return err
		})
	})
	for number, seq := range v.seen {
		if err != nil {
			break
		}
		base := number * entriesPerChain
		err = v.o.DB.Snapshot(v.ctx, func(r store.Reader) error {
			v.db = r
			return v.each("SELECT lines FROM audit_entry WHERE place > $1 AND place < $2", []any{base + seq, base + entriesPerChain}, func(rows *sql.Rows) error {
				var text []byte
				if err := rows.Scan(&text); err != nil {
					return err
				}
				for raw := range bytes.Lines(text) {
					if line, err := ParseLine(string(raw)); err == nil {
						name := v.name(line.Kind, line.Ref)
						if f, ok := v.fresh[name]; ok && f.short == v.short(raw) {
							delete(v.fresh, name)
							v.r.Held++
						}
					}
				}
				return nil
			})
		})
	}
	var list []Finding
	for _, f := range v.fresh {
		list = append(list, f.finding)
	}
	slices.SortFunc(list, func(a, b Finding) int { return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Ref, b.Ref)) })
	for _, f := range list {
		v.r.found(f)
	}
	return err
}

func (v *verifying) written(w journal.Written) error {
	items := v.o.Items.Items(&w.Entry)
	for _, raw := range [][]byte{items.Request, items.Bill, items.Record, items.Append, items.Answer} {
		if len(raw) == 0 {
			continue
		}
		line, err := ParseLine(string(raw))
		if err != nil {
			return err
		}
		name := v.name(line.Kind, line.Ref)
		noted, ok := v.lines[name]
		delete(v.lines, name)
		switch {
		case errors.Is(w.Err, gateway.ErrExpired):
			v.r.Expired++
		case w.Err != nil:
			ref := line.Kind + " " + line.Ref
			v.r.found(Finding{Kind: FoundUnreadable, Ref: ref, At: line.At, ZH: kindZH(line.Kind) + " " + line.Ref + " 的密文打不开", EN: ref + " can not be opened"})
		case !ok && v.before(&w):
			v.r.Older++
		case !ok:
			v.fresh[name] = freshPart{v.short(raw), Finding{Kind: FoundNotAudited, Ref: line.Kind + " " + line.Ref, At: line.At,
				ZH: kindZH(line.Kind) + " " + line.Ref + " 在交易日志中, 但没有审计记录", EN: line.Kind + " " + line.Ref + " is in the journal and was never noted"}}
		case noted != v.short(raw):
			v.r.found(Finding{Kind: FoundDiffers, Ref: line.Kind + " " + line.Ref, At: line.At,
				ZH: kindZH(line.Kind) + " " + line.Ref + " 与写入时不同: 交易日志被改动", EN: line.Kind + " " + line.Ref + " differs from what was noted: the journal was changed"})
		default:
			v.r.Held++
		}
	}
	return nil
}

// before: it was there when the record began, or was imported.
func (v *verifying) before(w *journal.Written) bool {
	for _, p := range v.older {
		e := &w.Entry
		switch {
		case e.Bill != nil && w.Seq <= p.Bill, (e.Request != nil || e.Answer != nil) && w.Seq <= p.Request,
			(e.Record != nil || e.Append != nil) && w.Seq <= p.Record:
			return true
		}
	}
	return false
}

func kindZH(kind string) string {
	switch kind {
	case "request":
		return "请求"
	case "bill":
		return "结算单"
	case "record":
		return "交易"
	case "event":
		return "事件"
	case "answer":
		return "答复"
	}
	return kind
}
