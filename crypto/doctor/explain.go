package doctor

import (
	"slices"
	"strings"
)

const (
	maxShown = 8   // explanations of one result
	maxSets  = 256 // sets that are compared with each other
)

// distinct drops repeated explanations and those with more findings than the shortest, puts
// together what differs in one place only, and bounds their number.
func distinct(all [][]Finding) [][]Finding {
	var out [][]Finding
	seen := map[string]bool{}
	slices.SortStableFunc(all, func(a, b []Finding) int { return len(a) - len(b) })
	for _, set := range all {
		if len(set) > len(all[0]) || len(out) == maxSets {
			break
		}
		if k := key(set); !seen[k] {
			seen[k] = true
			out = append(out, slices.Clone(set))
		}
	}
	for merged := true; merged; {
		merged = false
		for i := 0; i < len(out); i++ {
			for j := i + 1; j < len(out); j++ {
				if merge(out[i], out[j]) {
					out = slices.Delete(out, j, j+1)
					merged = true
					j--
				}
			}
		}
	}
	return out[:min(len(out), maxShown)]
}

// key names a set by its codes, alternatives too.
func key(set []Finding) string {
	var b strings.Builder
	for _, f := range set {
		b.WriteString(f.Code)
		for _, o := range f.Or {
			b.WriteString("|" + o.Code)
		}
		b.WriteByte(' ')
	}
	return b.String()
}

// merge adds the one finding of b that a lacks to the alternatives of the one that b lacks; false
// when they differ in more.
func merge(a, b []Finding) bool {
	at, from := -1, -1
	for i := range a {
		if !slices.ContainsFunc(b, func(f Finding) bool { return key([]Finding{f}) == key(a[i:i+1]) }) {
			if at >= 0 {
				return false
			}
			at = i
		}
	}
	for j := range b {
		if !slices.ContainsFunc(a, func(f Finding) bool { return key([]Finding{f}) == key(b[j:j+1]) }) {
			if from >= 0 {
				return false
			}
			from = j
		}
	}
	if at < 0 || from < 0 || len(a) != len(b) {
		return false
	}
	other := b[from]
	more := other.Or
	other.Or = nil
	or := slices.Clone(a[at].Or)
	for _, f := range append([]Finding{other}, more...) {
		if f.Code != a[at].Code && !slices.ContainsFunc(or, func(o Finding) bool { return o.Code == f.Code }) {
			or = append(or, f)
		}
	}
	a[at].Or = or
	return true
}
