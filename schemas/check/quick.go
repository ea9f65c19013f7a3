package check

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode/utf8"
)

// quick says of most good values that they surely fit a schema, without the library: nearly every message
// is good, and the library is slow to find nothing. It is made from the same schema text and knows the few keywords the
// tables lead to. Where it does not know, or a value does not fit, the library is asked: what is wrong is said by the
// library alone. nil never knows.
type quick struct {
	types    map[string]bool // nil: every type
	shortest int             // characters of a text
	longest  int             // -1: no bound
	form     string          // a text of this form: 0 is any digit, every other character itself; "" no form
	pattern  *regexp.Regexp  // where it has another
	whole    int             // digits of a number before the point, -1: no bound
	fraction int             // and behind it
	positive bool            // not below zero
	required []string
	members  map[string]*quick
	items    *quick
	fewest   int // elements of a list
}

// quickOf reads a schema; nil when it has something that is not known here.
func quickOf(text []byte) *quick {
	var in map[string]json.RawMessage
	if json.Unmarshal(text, &in) != nil {
		return nil
	}
	q := &quick{longest: -1, whole: -1, fraction: -1}
	for key, raw := range in {
		if !q.keyword(key, raw) {
			return nil
		}
	}
	return q
}

// keyword takes one keyword up, false when it is not known.
func (q *quick) keyword(key string, raw json.RawMessage) bool {
	into := func(v any) bool { return json.Unmarshal(raw, v) == nil }
	switch key {
	case "title", "$schema":
		return true
	case "type":
		return q.typed(raw)
	case "minLength":
		return into(&q.shortest)
	case "maxLength":
		return into(&q.longest)
	case "minItems":
		return into(&q.fewest)
	case "required":
		return into(&q.required)
	case "pattern":
		return q.texts(raw)
	case "multipleOf":
		digits, ok := decimalsOf(string(raw))
		q.fraction = digits
		return ok
	case "minimum":
		q.positive = true
		return string(raw) == "0"
	case "exclusiveMaximum", "exclusiveMinimum":
		zeros, ok := strings.CutPrefix(strings.TrimPrefix(string(raw), "-"), "1")
		if q.whole < 0 || len(zeros) < q.whole {
			q.whole = len(zeros)
		}
		return ok && strings.Trim(zeros, "0") == "" && strings.HasPrefix(string(raw), "-") == (key == "exclusiveMinimum")
	case "items":
		q.items = quickOf(raw)
		return q.items != nil
	case "properties":
		var list map[string]json.RawMessage
		if !into(&list) {
			return false
		}
		q.members = make(map[string]*quick, len(list))
		for name, raw := range list {
			q.members[name] = quickOf(raw) // nil: the library is asked when it is there
		}
		return true
	}
	return false
}

func (q *quick) typed(raw json.RawMessage) bool {
	var one string
	var list []string
	if json.Unmarshal(raw, &one) == nil {
		list = []string{one}
	} else if json.Unmarshal(raw, &list) != nil {
		return false
	}
	q.types = map[string]bool{}
	for _, t := range list {
		q.types[t] = true
	}
	return !q.types["integer"]
}

// texts reads a pattern: the dates of the tables are a form.
func (q *quick) texts(raw json.RawMessage) bool {
	var p string
	if json.Unmarshal(raw, &p) != nil {
		return false
	}
	form := strings.NewReplacer("[0-9]{4}", "0000", "[0-9]{2}", "00").Replace(strings.TrimSuffix(strings.TrimPrefix(p, "^"), "$"))
	if strings.Trim(form, "0-: ") == "" && p == "^"+strings.NewReplacer("0000", "[0-9]{4}", "00", "[0-9]{2}").Replace(form)+"$" {
		q.form = form
		return true
	}
	var err error
	q.pattern, err = regexp.Compile(p)
	return err == nil
}

// decimalsOf is how many digits behind the point a multiple of 1, 0.1, 0.01 ... has at most.
func decimalsOf(s string) (int, bool) {
	if s == "1" {
		return 0, true
	}
	zeros, ok := strings.CutPrefix(s, "0.")
	zeros, one := strings.CutSuffix(zeros, "1")
	return len(zeros) + 1, ok && one && strings.Trim(zeros, "0") == ""
}

// fits reports whether v surely fits. v has passed the guard, so that it is not too deep.
func (q *quick) fits(v any) bool {
	if q == nil {
		return false
	}
	switch x := v.(type) {
	case nil:
		return q.is("null")
	case bool:
		return q.is("boolean")
	case string:
		return q.is("string") && q.text(x)
	case json.Number:
		return q.is("number") && q.number(string(x))
	case []any:
		if !q.is("array") || len(x) < q.fewest {
			return false
		}
		if q.items != nil {
			for _, e := range x {
				if !q.items.fits(e) {
					return false
				}
			}
		}
		return true
	case map[string]any:
		return q.is("object") && q.object(x)
	}
	return false
}

func (q *quick) is(kind string) bool { return q.types == nil || q.types[kind] }

func (q *quick) object(m map[string]any) bool {
	for _, name := range q.required {
		if _, there := m[name]; !there {
			return false
		}
	}
	for name, v := range m {
		if part, known := q.members[name]; known && !part.fits(v) {
			return false
		}
	}
	return true
}

func (q *quick) text(s string) bool {
	if q.shortest > 0 && len(s) < q.shortest*utf8.UTFMax && utf8.RuneCountInString(s) < q.shortest ||
		q.longest >= 0 && len(s) > q.longest && utf8.RuneCountInString(s) > q.longest {
		return false
	}
	if q.form == "" {
		return q.pattern == nil || q.pattern.MatchString(s)
	}
	if len(s) != len(q.form) {
		return false
	}
	for i := range len(s) {
		if q.form[i] != '0' && s[i] != q.form[i] || q.form[i] == '0' && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

// number takes a plain literal; one with an exponent is the library's.
func (q *quick) number(s string) bool {
	body, negative := strings.CutPrefix(s, "-")
	whole, fraction, _ := strings.Cut(body, ".")
	if whole == "" || digits(whole) != len(whole) || digits(fraction) != len(fraction) || negative && q.positive {
		return false
	}
	return (q.whole < 0 || len(strings.TrimLeft(whole, "0")) <= q.whole) && (q.fraction < 0 || len(strings.TrimRight(fraction, "0")) <= q.fraction)
}
