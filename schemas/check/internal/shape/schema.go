package shape

import (
	"encoding/json"
	"fmt"
	"strings"

	"yiqiao/schemas/catalog"
)

// Request gives the JSON Schema of an input: strict. The text is deterministic.
func Request(c *catalog.Catalog, t *catalog.Transaction) []byte {
	return schema(c, t, catalog.Input, "request", true)
}

// Reply gives the JSON Schema of an output: nothing is required, null may stand anywhere, numbers
// may be texts, further members are welcome. Only a wrong kind of value is refused.
func Reply(c *catalog.Catalog, t *catalog.Transaction) []byte {
	return schema(c, t, catalog.Output, "reply", false)
}

func schema(c *catalog.Catalog, t *catalog.Transaction, d catalog.Direction, what string, strict bool) []byte {
	root, list := Tree(c, t, d)
	w := &writer{strict: strict}
	w.line(0, `{`)
	w.line(1, `"$schema": "http://json-schema.org/draft-07/schema#",`)
	w.line(1, `"title": %s,`, quote(string(t.Infno)+" "+t.Name+" "+what))
	if list {
		w.line(1, `"type": ["array", "object", "null"],`)
		w.line(1, `"items": {`)
		w.object(root, 2, false)
		w.line(1, `}`)
	} else {
		w.object(root, 1, strict)
	}
	w.line(0, `}`)
	return []byte(w.String())
}

type writer struct {
	strings.Builder
	strict bool
}

func (w *writer) line(depth int, format string, args ...any) {
	w.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

// object writes the keywords of an object, without braces.
func (w *writer) object(o *Object, depth int, needed bool) {
	kinds := `["object", "null"]`
	switch {
	case needed:
		kinds = `"object"`
	case !w.strict:
		kinds = `["object", "null", "string"], "maxLength": 0`
	}
	w.line(depth, `"type": %s,`, kinds)
	if w.strict {
		w.required(o, depth)
	}
	w.line(depth, `"properties": {`)
	type named struct {
		name string
		m    *Member
	}
	var all []named
	for i := range o.Members {
		for _, name := range append([]string{o.Members[i].Name}, o.Members[i].Aliases...) {
			if o.Index[name] == i { // otherwise it is the name of another member
				all = append(all, named{name, &o.Members[i]})
			}
		}
	}
	for i, n := range all {
		comma := ","
		if i == len(all)-1 {
			comma = ""
		}
		w.member(n.m, n.name, depth+1, comma)
	}
	w.line(depth, `}`)
}

// required writes what must be there. A member that goes by several names, or that another may
// replace, needs one of them.
func (w *writer) required(o *Object, depth int) {
	var names, choices []string
	for i := range o.Members {
		m := &o.Members[i]
		if !m.Required || m.Instead != "" {
			continue
		}
		either := append([]string{m.Name}, m.Aliases...)
		if m.Rival != "" {
			either = append(either, m.Rival)
		}
		if len(either) == 1 {
			names = append(names, quote(m.Name))
			continue
		}
		var of []string
		for _, n := range either {
			of = append(of, `{"required": [`+quote(n)+`]}`)
		}
		choices = append(choices, `{"anyOf": [`+strings.Join(of, ", ")+`]}`)
	}
	if len(names) > 0 {
		w.line(depth, `"required": [%s],`, strings.Join(names, ", "))
	}
	if len(choices) > 0 {
		w.line(depth, `"allOf": [%s],`, strings.Join(choices, ", "))
	}
}

func (w *writer) member(m *Member, name string, depth int, comma string) {
	switch {
	case m.Object == nil && w.strict:
		w.line(depth, `%s: {"title": %s%s}%s`, quote(name), quote(m.Label), strictField(m), comma)
	case m.Object == nil:
		w.line(depth, `%s: {"title": %s%s}%s`, quote(name), quote(m.Label), looseField(m), comma)
	case m.List:
		w.line(depth, `%s: {`, quote(name))
		w.line(depth+1, `"title": %s,`, quote(m.Label))
		switch {
		case !w.strict:
			w.line(depth+1, `"type": ["array", "null", "string"], "maxLength": 0,`)
		case m.Required:
			w.line(depth+1, `"type": "array", "minItems": 1,`)
		default:
			w.line(depth+1, `"type": ["array", "null"],`)
		}
		w.line(depth+1, `"items": {`)
		w.object(m.Object, depth+2, w.strict)
		w.line(depth+1, `}`)
		w.line(depth, `}%s`, comma)
	default:
		w.line(depth, `%s: {`, quote(name))
		w.line(depth+1, `"title": %s,`, quote(m.Label))
		w.object(m.Object, depth+1, w.strict && m.Required)
		w.line(depth, `}%s`, comma)
	}
}

func looseField(m *Member) string {
	if m.Any || m.Field.Type == "array" || m.Field.Type == "object" {
		return ""
	}
	return `, "type": ["string", "number", "boolean", "null"]`
}

// strictField gives the keywords of a field. Keywords of texts say nothing about numbers and the
// other way round, so that one flat schema serves both ways of sending a number.
func strictField(m *Member) string {
	f := m.Field
	if m.Any {
		return ""
	}
	switch f.Type {
	case "array", "object":
		return kinds(m, f.Type)
	case "number":
		return kinds(m, "number", "string") + number(m)
	case "date":
		if !Loose(f) {
			return kinds(m, "string") + pattern(m, `[0-9]{4}-[0-9]{2}-[0-9]{2}`)
		}
	case "datetime":
		if !Loose(f) {
			return kinds(m, "string") + pattern(m, `[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}`)
		}
	}
	s := kinds(m, "string")
	if f.Borrowed {
		s = kinds(m, "string", "number")
	}
	if m.Required {
		s += `, "minLength": 1`
	}
	if f.Length > 0 && !f.Borrowed && f.Type == "string" {
		s += fmt.Sprintf(`, "maxLength": %d`, f.Length)
	}
	return s
}

// number limits a number, or the text of one, to the digits the table gives.
func number(m *Member) string {
	f := m.Field
	sign, digits, decimals := "", 30, `(\.[0-9]{1,12})?`
	if m.Negative {
		sign = "-?"
	}
	s := ""
	if f.Length > 0 && !f.Borrowed {
		digits = f.Length
		switch {
		case f.Decimals > 0:
			digits -= f.Decimals
			decimals = fmt.Sprintf(`(\.[0-9]{1,%d})?`, f.Decimals)
			s += `, "multipleOf": 0.` + strings.Repeat("0", f.Decimals-1) + `1`
		case f.Decimals == 0:
			decimals = ""
			s += `, "multipleOf": 1`
		}
		limit := "1" + strings.Repeat("0", digits)
		s += `, "exclusiveMaximum": ` + limit
		if m.Negative {
			s += `, "exclusiveMinimum": -` + limit
		}
	}
	if !m.Negative {
		s += `, "minimum": 0`
	}
	return s + pattern(m, fmt.Sprintf(`%s[0-9]{1,%d}%s`, sign, digits, decimals))
}

// pattern wants the whole text to match; an empty text is as good as none for what is not required.
func pattern(m *Member, re string) string {
	if m.Required {
		return `, "pattern": ` + quote(`^`+re+`$`)
	}
	return `, "pattern": ` + quote(`^(`+re+`)?$`)
}

func kinds(m *Member, names ...string) string {
	if !m.Required {
		names = append(names, "null")
	}
	if len(names) == 1 {
		return `, "type": ` + quote(names[0])
	}
	for i, n := range names {
		names[i] = quote(n)
	}
	return `, "type": [` + strings.Join(names, ", ") + `]`
}

func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil { // a string always encodes
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}
