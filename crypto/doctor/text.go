package doctor

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// build gives the bytes that are signed under p; ok is false when p can not be applied to the
// message (an array item without agreed text, a character the charset does not have).
func (s *source) build(p plan, appID string) (text []byte, ok bool) {
	var out string
	switch {
	case s.kind == "text":
		out = s.suffixed(s.eol(p, s.head), nil, p, appID)
	case p[dMembers] == membersWhole:
		out = s.eol(p, string(s.raw))
	case p[dMembers] == membersDataOnly:
		if s.dataAt < 0 {
			return nil, false
		}
		w := writer{p: p}
		out = w.value(s.root.kids[s.dataAt], s.dataRaw)
		if w.failed {
			return nil, false
		}
	default:
		pairs, ok := s.pairs(p)
		if !ok {
			return nil, false
		}
		out = s.suffixed(strings.Join(pairs, "&"), pairs, p, appID)
	}
	switch p[dEnd] {
	case endLF:
		out += "\n"
	case endCRLF:
		out += "\r\n"
	case endBOM:
		out = "\ufeff" + out
	case endTrim:
		out = strings.TrimSpace(out)
	}
	return encode(out, p[dCharset])
}

// pairs gives name=value of every signed member, in order.
func (s *source) pairs(p plan) ([]string, bool) {
	type pair struct{ name, text string }
	var all []pair
	for i, name := range s.root.names {
		kid, raw := s.root.kids[i], s.rawOf[i]
		switch name {
		case "signData":
			continue
		case "extra":
			if p[dMembers] != membersExtra {
				continue
			}
		case "encData":
			if p[dMembers] != membersBoth && p[dMembers] != membersEncOnly {
				continue
			}
		case "data":
			switch p[dMembers] {
			case membersEncrypted:
				if s.enc == "" {
					return nil, false
				}
				kid = &node{kind: 's', text: s.enc}
			case membersNoData, membersEncOnly:
				continue
			}
		case "encType", "signType":
			if p[dMembers] == membersNoTypes {
				continue
			}
		case "timestamp":
			if p[dMembers] == membersNoTime {
				continue
			}
		}
		if kid.empty() {
			switch p[dEmpty] {
			case emptyKept, emptyTopKept, emptyTopNull:
				text := ""
				if kid.kind == '[' {
					text = "[]"
				} else if kid.kind == '0' && p[dEmpty] != emptyTopKept {
					text = "null"
				}
				all = append(all, pair{name, name + "=" + text})
			}
			continue
		}
		if p[dEmpty] == emptyObjectDropped && kid.kind == '{' && len(kid.kids) == 0 {
			continue
		}
		w := writer{p: p}
		text := w.value(kid, raw)
		if w.failed {
			return nil, false
		}
		all = append(all, pair{name, name + "=" + text})
	}
	switch p[dMembers] {
	case membersBoth, membersEncOnly, membersEncrypted:
		if s.enc == "" || s.noData && p[dMembers] == membersBoth {
			return nil, false
		}
		if name := "encData"; p[dMembers] != membersEncrypted && s.root.member(name) == nil {
			all = append(all, pair{name, name + "=" + s.enc})
		}
		if p[dMembers] == membersEncrypted && s.dataAt < 0 {
			all = append(all, pair{"data", "data=" + s.enc})
		}
	default:
		if s.noData && p[dMembers] != membersNoData {
			return nil, false
		}
	}
	switch p[dOrder] {
	case orderTopSent, orderSent:
	case orderTopName:
		slices.SortStableFunc(all, func(a, b pair) int { return compareUnits(a.name, b.name) })
	default:
		slices.SortStableFunc(all, func(a, b pair) int { return compareFold(a.text, b.text) })
	}
	out := make([]string, len(all))
	for i, a := range all {
		out[i] = a.text
	}
	return out, true
}

// suffixed joins head and the secret. pairs are the parts of head, nil for a text.
func (s *source) suffixed(head string, pairs []string, p plan, appID string) string {
	amp := ""
	if head != "" {
		amp = "&"
	}
	if s.kind == "text" && !s.hasKey {
		switch p[dSuffix] {
		case 0, suffixNone:
			return head
		case suffixReplaced:
			if before, tail, ok := splitKey(head); ok && strings.TrimSpace(tail) != s.secret {
				return withKey(before, s.secret)
			}
			return head
		}
	}
	switch p[dSuffix] {
	case suffixNone:
		return head
	case suffixBare:
		return head + s.secret
	case suffixAppSecret:
		return head + amp + "appSecret=" + s.secret
	case suffixKEY:
		return head + amp + "KEY=" + s.secret
	case suffixKey:
		return head + amp + "Key=" + s.secret
	case suffixLower:
		return head + amp + "key=" + strings.ToLower(s.secret)
	case suffixUpper:
		return head + amp + "key=" + strings.ToUpper(s.secret)
	case suffixSorted:
		all := append(append([]string(nil), pairs...), "key="+s.secret)
		if pairs == nil && head != "" {
			all = append(strings.Split(head, "&"), "key="+s.secret)
		}
		slices.SortStableFunc(all, compareFold)
		return strings.Join(all, "&")
	case suffixBlank:
		return head + amp + "key="
	case suffixAmp:
		return head + amp
	case suffixFirst:
		return "key=" + s.secret + amp + head
	case suffixAppID:
		return head + amp + "key=" + appID
	case suffixDoubled:
		return head + amp + "key=" + s.secret + "&key=" + s.secret
	case suffixJoined:
		return head + "key=" + s.secret
	}
	return head + amp + "key=" + s.secret
}

func (s *source) eol(p plan, t string) string {
	switch p[dEnd] {
	case endToCRLF:
		return strings.ReplaceAll(strings.ReplaceAll(t, "\r\n", "\n"), "\n", "\r\n")
	case endToLF:
		return strings.ReplaceAll(t, "\r\n", "\n")
	}
	return t
}

// writer writes one value under a plan.
type writer struct {
	p      plan
	failed bool
}

// value is the text behind name= : scalars bare.
func (w *writer) value(n *node, raw string) string {
	if n.scalar() {
		return w.bare(n)
	}
	if w.p[dNest] == nestRaw {
		return w.lines(raw)
	}
	var b strings.Builder
	switch w.p[dNest] {
	case nestJava:
		w.javaText(&b, n)
	default:
		w.write(&b, n, 0)
	}
	return b.String()
}

// bare is a scalar outside of JSON.
func (w *writer) bare(n *node) string {
	switch n.kind {
	case 's':
		return w.lines(n.text)
	case 'n':
		if w.p[dNest] == nestWeb {
			return n.forms[numberJS]
		}
		return n.forms[w.p[dNumber]]
	case 'b':
		switch w.p[dBool] {
		case boolCapital:
			return strings.ToUpper(n.text[:1]) + n.text[1:]
		case boolDigit:
			if n.text == "true" {
				return "1"
			}
			return "0"
		}
	}
	return n.text
}

func (w *writer) lines(s string) string {
	return (&source{}).eol(w.p, s)
}

// kept tells whether an empty member or item stays, and how null is written then.
func (w *writer) kept(n *node, item bool) (null string, keep bool) {
	switch w.p[dEmpty] {
	case emptyKept, emptyNestedKept:
		return "null", true
	case emptyNestedNull:
		return `"null"`, true
	case emptyNestedBlank:
		return `""`, true
	case emptyNestedText:
		return "null", item || n.kind != '0'
	}
	if !item {
		return "", false
	}
	switch w.p[dItem] {
	case itemKept:
		return "null", true
	case itemDropped:
		return "", false
	}
	w.failed = true
	return "", false
}

// write writes JSON; level 0 is the value of a top-level member. Under nestWeb only an object at
// level 0 is cleaned and its scalars made texts; what an array holds is sorted by name, anything
// deeper is left as it was sent.
func (w *writer) write(b *strings.Builder, n *node, level int) {
	web := w.p[dNest] == nestWeb
	switch n.kind {
	case '{', '[':
		if w.p[dNest] == nestText && level > 0 {
			inner := writer{p: w.p}
			inner.p[dNest] = 0
			var t strings.Builder
			inner.write(&t, n, level)
			w.failed = w.failed || inner.failed
			w.quote(b, t.String())
			return
		}
	case 's':
		w.quote(b, w.lines(n.text))
		return
	case '0':
		b.WriteString("null")
		return
	default:
		if w.p[dTypes] == typesKept || web && level > 1 {
			b.WriteString(w.bare(n))
		} else {
			b.WriteString(`"` + w.bare(n) + `"`)
		}
		return
	}
	comma, colon := ",", ":"
	if w.p[dSpace] == spacePython {
		comma, colon = ", ", ": "
	}
	object := n.kind == '{'
	order := make([]int, len(n.kids))
	for i := range order {
		order[i] = i
	}
	inArray := web && level == 2 // an item of an array of the first level
	if object && (!web || level == 0 || inArray) {
		switch w.p[dOrder] {
		case orderNestedSent, orderSent:
		case orderFold:
			slices.SortStableFunc(order, func(i, j int) int { return compareFold(n.names[i], n.names[j]) })
		default:
			slices.SortStableFunc(order, func(i, j int) int { return compareUnits(n.names[i], n.names[j]) })
		}
	}
	b.WriteByte(n.kind)
	first := true
	for _, i := range order {
		kid, null := n.kids[i], "null"
		if w.p[dEmpty] == emptyObjectDropped && kid.kind == '{' && len(kid.kids) == 0 {
			continue
		}
		if kid.empty() && !(web && level > 0) {
			var keep bool
			if null, keep = w.kept(kid, !object); !keep {
				continue
			}
		}
		if !first {
			b.WriteString(comma)
		}
		first = false
		if object {
			w.quote(b, n.names[i])
			b.WriteString(colon)
		}
		if kid.kind == '0' {
			b.WriteString(null)
			continue
		}
		next := level + 1
		if web && (level >= 2 || level == 1 && object) {
			next = 3 // neither cleaned nor sorted
		}
		w.write(b, kid, next)
	}
	b.WriteByte(n.kind + 2) // } is { + 2, ] is [ + 2
}

// javaText writes {a=1, b=[x, y]}.
func (w *writer) javaText(b *strings.Builder, n *node) {
	if n.scalar() {
		b.WriteString(w.bare(n))
		return
	}
	inner := *n
	if n.kind == '{' && w.p[dOrder] != orderNestedSent && w.p[dOrder] != orderSent {
		order := make([]int, len(n.kids))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(i, j int) int { return compareUnits(n.names[i], n.names[j]) })
		inner.names, inner.kids = nil, nil
		for _, i := range order {
			inner.names, inner.kids = append(inner.names, n.names[i]), append(inner.kids, n.kids[i])
		}
	}
	b.WriteByte(n.kind)
	first := true
	for i, kid := range inner.kids {
		if kid.empty() && n.kind == '{' {
			if _, keep := w.kept(kid, false); !keep {
				continue
			}
		}
		if !first {
			b.WriteString(", ")
		}
		first = false
		if n.kind == '{' {
			b.WriteString(inner.names[i] + "=")
		}
		w.javaText(b, kid)
	}
	b.WriteByte(n.kind + 2)
}

// quote writes a JSON text with the escapes of the plan.
func (w *writer) quote(b *strings.Builder, s string) {
	const lower, upper = "0123456789abcdef", "0123456789ABCDEF"
	digits := lower
	if w.p[dEscape] == escapeUpper {
		digits = upper
	}
	code := func(u uint16, digits string) {
		b.WriteString(`\u`)
		for shift := 12; shift >= 0; shift -= 4 {
			b.WriteByte(digits[u>>shift&15])
		}
	}
	ascii := w.p[dEscape] == escapeLower || w.p[dEscape] == escapeUpper || w.p[dEscape] == escapePHP
	slash := w.p[dEscape] == escapeSlash || w.p[dEscape] == escapePHP
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r < 0x20:
			code(uint16(r), lower)
		case r == '/' && slash:
			b.WriteString(`\/`)
		case w.p[dEscape] == escapeHTML && (r == '<' || r == '>' || r == '&' || r == 0x2028 || r == 0x2029):
			code(uint16(r), lower)
		case r > 0x7e && ascii:
			for _, u := range utf16.Encode([]rune{r}) {
				code(u, digits)
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

// compareUnits orders by UTF-16 code units.
func compareUnits(a, b string) int {
	if !high(a) && !high(b) {
		return strings.Compare(a, b)
	}
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

func high(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0xe000 }) >= 0
}

// compareFold orders as Java's String.CASE_INSENSITIVE_ORDER, then by bytes.
func compareFold(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		r, n := utf8.DecodeRuneInString(x)
		s, m := utf8.DecodeRuneInString(y)
		if r != s {
			r, s = unicode.ToLower(unicode.ToUpper(r)), unicode.ToLower(unicode.ToUpper(s))
			if r != s {
				return compareUnits(string(r), string(s))
			}
		}
		x, y = x[n:], y[m:]
	}
	if len(x) != len(y) {
		return len(x) - len(y)
	}
	return strings.Compare(a, b)
}

// encode gives the bytes of text; ok is false when the charset lacks a character.
func encode(text string, charset uint8) ([]byte, bool) {
	switch charset {
	case charsetGB:
		out, err := simplifiedchinese.GB18030.NewEncoder().Bytes([]byte(text))
		return out, err == nil
	case charsetQuestion:
		out := make([]byte, 0, len(text))
		for _, u := range utf16.Encode([]rune(text)) {
			if u > 0x7e {
				u = '?'
			}
			out = append(out, byte(u))
		}
		return out, true
	case charsetUTF16LE, charsetUTF16BE:
		out := make([]byte, 0, 2*len(text))
		for _, u := range utf16.Encode([]rune(text)) {
			if charset == charsetUTF16LE {
				out = append(out, byte(u), byte(u>>8))
			} else {
				out = append(out, byte(u>>8), byte(u))
			}
		}
		return out, true
	case charsetLatin:
		out := make([]byte, 0, 2*len(text))
		for _, c := range []byte(text) {
			out = utf8.AppendRune(out, rune(c))
		}
		return out, true
	}
	return []byte(text), true
}
