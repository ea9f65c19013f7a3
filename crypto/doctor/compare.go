package doctor

import (
	"strings"
	"unicode/utf8"
)

// peerString is the signing string of the other side with the secret put in where it was masked;
// "" when there is none.
func (x *exam) peerString() string {
	text := x.c.ExpectString
	if head, tail, ok := splitKey(text); ok && masked(tail) {
		return withKey(head, x.c.AppSecret)
	}
	return text
}

func withKey(head, secret string) string {
	if head == "" {
		return "key=" + secret
	}
	return head + "&key=" + secret
}

// judgeString compares the signing string of the other side with ours and looks for the rule that
// explains the difference.
func (x *exam) judgeString(s *search) {
	res := Result{Subject: SubjectString, Verdict: NoMatch}
	head, tail, hasKey := splitKey(x.c.ExpectString)
	theirs := x.peerString()
	otherSecret := hasKey && !masked(tail) && strings.TrimRight(tail, "\r\n") != x.c.AppSecret
	wanted := []string{theirs}
	if otherSecret && x.c.AppSecret != "" {
		wanted = append(wanted, withKey(head, x.c.AppSecret))
	}
	best, near := -1, []*choice(nil)
	var fallback [][]Finding
search:
	for n := 0; n <= x.depth; n++ {
		for _, e := range s.level(n) {
			res.Tried++
			for i, want := range wanted {
				if string(e.bytes) != want {
					continue
				}
				for _, set := range e.sets {
					if f := stringFindings(set, i > 0); i == 0 {
						res.Explanations = append(res.Explanations, f)
					} else {
						fallback = append(fallback, f)
					}
				}
			}
			if len(res.Explanations) == 0 && n > 0 && n < most {
				if k := common(string(e.bytes), wanted[len(wanted)-1]); k > best {
					best, near = k, e.sets[0]
				}
			}
		}
		if len(res.Explanations) > 0 {
			break search
		}
	}
	if len(res.Explanations) == 0 {
		res.Explanations = fallback
	}
	ours, ok := x.src.build(plan{}, x.c.AppID)
	if ok {
		res.Diff = difference(string(ours), theirs, x.c.AppSecret)
		if res.Diff != nil {
			switch {
			case !hasKey:
				res.Diff.Tail = "absent"
			case masked(tail):
				res.Diff.Tail = "masked"
			case otherSecret:
				res.Diff.Tail = "other"
			default:
				res.Diff.Tail = "same"
			}
		}
		if len(res.Explanations) == 0 && best > common(string(ours), wanted[len(wanted)-1]) {
			for _, c := range near {
				res.Near = append(res.Near, c.Finding)
			}
		}
	}
	x.settle(res, s.spent <= textBudget)
}

// stringFindings words a set; another secret comes on top of it.
func stringFindings(set []*choice, otherSecret bool) []Finding {
	f := []Finding{}
	for _, c := range set {
		f = append(f, c.Finding)
	}
	if otherSecret {
		f = append(f, Finding{Code: "secret-other", ZH: "对方签名串里的 appSecret 与我方的不同", EN: "the appSecret in their signing string is not ours",
			FixZH: "核对双方的 appSecret (测试与正式环境, 是否重置过)", FixEN: "compare the appSecret of both sides (test and live, whether it was reset)"})
	}
	return f
}

// common counts the bytes that both have at the front and at the end.
func common(a, b string) int {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	j := 0
	for j < n-i && a[len(a)-1-j] == b[len(b)-1-j] {
		j++
	}
	return 2*(i+j) - max(len(a), len(b))
}

const around = 24 // characters shown on each side of a difference

// difference finds the first place where theirs leaves ours; nil when they are equal.
func difference(ours, theirs, secret string) *Diff {
	if ours == theirs {
		return nil
	}
	ours, theirs = mask(ours, secret), mask(theirs, secret)
	if ours == theirs {
		head, _, _ := splitKey(ours)
		return &Diff{At: utf8.RuneCountInString(head), Member: "key", Ours: stars, Theirs: stars}
	}
	i := 0
	for i < min(len(ours), len(theirs)) && ours[i] == theirs[i] {
		i++
	}
	for i > 0 && (i < len(ours) && !utf8.RuneStart(ours[i]) || i < len(theirs) && !utf8.RuneStart(theirs[i])) {
		i--
	}
	d := &Diff{At: utf8.RuneCountInString(ours[:i]), Ours: ahead(ours[i:]), Theirs: ahead(theirs[i:])}
	before := []rune(ours[:i])
	d.Before = string(before[max(0, len(before)-around):])
	from := strings.LastIndex(ours[:i], "&") + 1
	d.Member, _, _ = strings.Cut(ours[from:], "=")
	d.Member = ahead(d.Member)
	return d
}

func ahead(s string) string {
	r := []rune(first(s, 4*around))
	return strings.ToValidUTF8(string(r[:min(len(r), around)]), "")
}
