package doctor

import (
	"slices"
)

const (
	most       = 3         // deviations of one hypothesis
	textBudget = 64 << 20  // bytes of text that one search may make
	hashBudget = 192 << 20 // bytes that one search may hash
)

// entry is one distinct text and the sets of deviations that make it, all of one size.
type entry struct {
	bytes []byte
	sets  [][]*choice
	plan  plan // of the first set
}

// search makes the texts of a message, those with fewer deviations first, each only once.
type search struct {
	x      *exam
	all    []choice
	levels [][]*entry
	seen   map[[32]byte]*entry
	size   map[*entry]int
	spent  int
	made   int
}

func newSearch(x *exam) *search {
	return &search{x: x, all: x.textChoices(), seen: map[[32]byte]*entry{}, size: map[*entry]int{}}
}

// level gives the texts that need n deviations and no fewer. A third deviation is tried only of
// those kinds that matter to this message when they stand alone.
func (s *search) level(n int) []*entry {
	for len(s.levels) <= n {
		at := len(s.levels)
		all := s.all
		if at > 2 {
			all = s.effective()
		}
		var out []*entry
		for _, c := range combos(all, at)[at] {
			if s.spent > textBudget {
				break
			}
			text, ok := s.x.src.build(c.plan, s.x.c.AppID)
			s.made++
			s.spent += len(text) + len(s.x.src.raw)/4 + 64
			if !ok {
				continue
			}
			d := s.x.p.SM3(text)
			if e := s.seen[d]; e != nil {
				if s.size[e] == at {
					e.sets = append(e.sets, c.set)
				}
				continue
			}
			e := &entry{bytes: text, sets: [][]*choice{c.set}, plan: c.plan}
			s.seen[d], s.size[e] = e, at
			out = append(out, e)
		}
		s.levels = append(s.levels, out)
	}
	return s.levels[n]
}

// effective are the choices that change the text of this message alone or, when the rules give no
// text, make one.
func (s *search) effective() []choice {
	used := map[*choice]bool{}
	for n := 1; n <= 2; n++ {
		for _, e := range s.levels[n] {
			for _, set := range e.sets {
				for _, c := range set {
					used[c] = used[c] || n == 1 || len(s.levels[0]) == 0
				}
			}
		}
	}
	var out []choice
	for i := range s.all {
		if used[&s.all[i]] {
			out = append(out, s.all[i])
		}
	}
	return out
}

// hit is a hypothesis that gives what was looked for.
type hit struct {
	text    *entry
	combo   combo
	reading int
}

// digests goes through texts and ways to digest them, and asks match for every e; the hits with
// the fewest deviations are given. budget is false when the work was cut short.
func (s *search) digests(match func(e [32]byte, signer uint8) []int) (hits []hit, tried int, whole bool) {
	ways := s.x.digestChoices()
	sets := combos(ways, s.x.depth)
	h := hasher{x: s.x, c: newCurve(), zs: map[[3]uint8][32]byte{}}
	for total := 0; total <= s.x.depth; total++ {
		for nt := 0; nt <= total; nt++ {
			for _, t := range s.level(nt) {
				h.wraps = map[uint8][]byte{}
				for _, way := range sets[total-nt] {
					if h.bytes > hashBudget {
						return hits, tried, false
					}
					e, ok := h.e(t.bytes, way.plan)
					if !ok {
						continue
					}
					tried++
					for _, r := range match(e, way.plan[dSigner]) {
						hits = append(hits, hit{t, way, r})
					}
				}
			}
		}
		if len(hits) > 0 {
			break
		}
	}
	return hits, tried, s.spent <= textBudget
}

// judgeSignature finds out how a signature was made.
func (x *exam) judgeSignature(s *search, rs []reading) {
	type at struct {
		signer uint8
		e      [32]byte
	}
	curve := newCurve()
	signed := map[at][]int{}
	for i, r := range rs {
		for j, m := range x.makers {
			if e, ok := curve.signedDigest(m.key, r.sig); ok {
				k := at{uint8(j), e}
				signed[k] = append(signed[k], i)
			}
		}
	}
	match := func(e [32]byte, signer uint8) []int { return signed[at{signer, e}] }
	res := Result{Subject: SubjectSignature, Verdict: NoMatch}
	hits, tried, whole := s.digests(match)
	res.Tried = tried * len(rs)
	for _, h := range hits {
		if !x.confirmed(h, rs[h.reading].sig) {
			continue
		}
		if len(res.Explanations) == 0 {
			x.report.Signature = forms(rs[h.reading].sig, rs[h.reading].found)
		}
		for _, set := range h.text.sets {
			var f []Finding
			for _, c := range slices.Concat(set, h.combo.set) {
				f = append(f, c.Finding)
			}
			res.Explanations = append(res.Explanations, append(f, rs[h.reading].odd...))
		}
	}
	if len(res.Explanations) == 0 {
		if f := x.theirText(curve, rs); f != nil {
			res.Explanations = [][]Finding{f}
		}
	}
	x.settle(res, whole)
}

// theirText tries the signing string of the other side as it stands.
func (x *exam) theirText(c *curve, rs []reading) []Finding {
	text := x.peerString()
	if text == "" {
		return nil
	}
	for _, r := range rs {
		for _, m := range x.makers {
			e, ok := c.signedDigest(m.key, r.sig)
			z, ok2 := c.z(x.p, m.key, x.uids[0].uid, zSpec)
			if d := x.p.SM3(z[:], []byte(text)); ok && ok2 && c.reduce(d[:]) == e {
				f := Finding{Code: "peer-string-signed", ZH: "签名与对方给出的签名串相符, 与我方的不符: 分歧在签名串", EN: "the signature belongs to the signing string of the other side, not to ours: the strings differ",
					FixZH: "按上面签名串的比较结果处理", FixEN: "see the comparison of the signing strings"}
				return append([]Finding{f}, r.odd...)
			}
		}
	}
	return nil
}

// judgeDigest compares a 32-byte value with the digests that may be meant.
func (x *exam) judgeDigest(s *search, b []byte) {
	want := newCurve().reduce(b)
	res := Result{Subject: SubjectDigest, Verdict: NoMatch}
	if text, ok := x.src.build(plan{}, x.c.AppID); ok && x.p.SM3(text) == [32]byte(b) {
		res.Verdict, res.Tried = AsSpecified, 1
		res.Explanations = [][]Finding{{{Code: "digest-sm3", ZH: "它是 SM3(签名串), 与我方一致: 签名串没有分歧", EN: "it is SM3 of the signing string, equal to ours: the strings agree"}}}
		x.report.Results = append(x.report.Results, res)
		return
	}
	hits, tried, whole := s.digests(func(e [32]byte, _ uint8) []int {
		if e == want {
			return []int{0}
		}
		return nil
	})
	res.Tried = tried
	for _, h := range hits {
		for _, set := range h.text.sets {
			var f []Finding
			for _, c := range slices.Concat(set, h.combo.set) {
				f = append(f, c.Finding)
			}
			res.Explanations = append(res.Explanations, f)
		}
	}
	x.settle(res, whole)
}

// settle gives a result its verdict and adds it.
func (x *exam) settle(res Result, whole bool) {
	res.Explanations = distinct(res.Explanations)
	if len(res.Explanations) > 0 {
		res.Verdict = Variant
		if len(res.Explanations[0]) == 0 {
			res.Verdict, res.Explanations = AsSpecified, nil
		}
	} else if !whole {
		x.note(Finding{Code: "search-cut", ZH: "报文较大, 没有试完所有组合", EN: "the message is large, not every combination was tried",
			FixZH: "用一条短的报文重现问题再诊断", FixEN: "reproduce the problem with a short message"})
	}
	x.report.Results = append(x.report.Results, res)
}
