package centre

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
)

// Digest condenses all business state: visits, rows, settlements, accounts, accumulators, sign-ins
// and used message ids. Two equal digests mean that nothing in between changed anything.
func (c *Centre) Digest() string {
	h := sha256.New()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.state
	writeMoney(h, s)
	for _, v := range s.visitOrder {
		fmt.Fprintf(h, "visit %q %q %q %q %t %v %v %v %v\n", v.id, v.kind, v.who.No, v.insutype, v.cancelled, v.info, v.diagnoses,
			v.discharge, v.atExit)
		for _, r := range v.rows {
			id := ""
			if r.settled != nil {
				id = r.settled.id
			}
			fmt.Fprintf(h, "row %q %q %q %v\n", r.sn, r.batch, id, r.split)
		}
	}
	for _, x := range s.setlOrder {
		fmt.Fprintf(h, "settlement %v\n", x.public())
	}
	for _, f := range s.filingOrder {
		fmt.Fprintf(h, "filing %q %q %q %t %v\n", f.sn, f.infno, f.who.No, f.withdrawn, f.in)
	}
	for _, f := range s.fileOrder {
		fmt.Fprintf(h, "file %q %q %x\n", f.no, f.name, sha256.Sum256(f.body))
	}
	for _, id := range sorted(s.clearings) {
		fmt.Fprintf(h, "clearing %q %t %v\n", id, s.clearings[id].withdrawn, s.clearings[id].in)
	}
	for _, line := range s.kept.Lines() {
		fmt.Fprintln(h, line)
	}
	for _, id := range sorted(s.byMsg) {
		e := s.byMsg[id]
		fmt.Fprintf(h, "msg %q %q %t\n", id, e.infno, e.reversed)
	}
	for _, no := range sorted(s.signs) {
		fmt.Fprintf(h, "sign %q %v\n", no, s.signs[no].key)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// MoneyDigest condenses only accounts and accumulators: equal before a settlement and after its
// undo or reversal.
func (c *Centre) MoneyDigest() string {
	h := sha256.New()
	c.mu.Lock()
	defer c.mu.Unlock()
	writeMoney(h, c.state)
	return hex.EncodeToString(h.Sum(nil))
}

func writeMoney(w io.Writer, s *state) {
	for _, line := range s.book.Accounts() {
		fmt.Fprintf(w, "account %q %q %d\n", line.Account.Kind, line.Account.ID, line.Amount)
	}
	for _, no := range sorted(s.byNo) {
		p := s.byNo[no]
		keys := make([]usedKey, 0, len(p.used))
		for key := range p.used {
			keys = append(keys, key)
		}
		slices.SortFunc(keys, func(a, b usedKey) int {
			if a.year != b.year {
				return a.year - b.year
			}
			if a.insutype < b.insutype {
				return -1
			}
			return 1
		})
		for _, key := range keys {
			fmt.Fprintf(w, "used %q %v %v\n", no, key, *p.used[key])
		}
	}
}

func sorted[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
