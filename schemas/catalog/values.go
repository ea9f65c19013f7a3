package catalog

import (
	"slices"
	"strings"
)

// leastValue is the least number of bytes of a value that is looked for in other texts: shorter ones
// are everywhere.
const leastValue = 4

// Secrets lists the values of all credentials in a decoded input, for Scrub: whoever was sent them
// may repeat them under other names or in the middle of a sentence.
func (c *Catalog) Secrets(v any) []string { return c.values(v, credential, nil) }

// Personals lists the values of all personal members in a decoded input or output, for Scrub.
func (c *Catalog) Personals(v any) []string { return c.values(v, personal, nil) }

func (c *Catalog) values(v any, k class, into []string) []string {
	switch x := v.(type) {
	case map[string]any:
		for member, e := range x {
			if s, ok := e.(string); ok {
				if len(s) >= leastValue && s != Redacted && c.class(member) == k && !slices.Contains(into, s) {
					into = append(into, s)
				}
				continue
			}
			into = c.values(e, k, into)
		}
	case []any:
		for _, e := range x {
			into = c.values(e, k, into)
		}
	}
	return into
}

// ScrubText cuts values out of a text.
func ScrubText(text string, values []string) string {
	for _, v := range values {
		if strings.Contains(text, v) {
			text = strings.ReplaceAll(text, v, Redacted)
		}
	}
	return text
}

// Scrub returns a deep copy of a decoded output in which values are cut out of every text, but for
// personal members: a person's identity number may be both, and stays there.
func (c *Catalog) Scrub(v any, values []string) any {
	switch x := v.(type) {
	case string:
		return ScrubText(x, values)
	case map[string]any:
		out := make(map[string]any, len(x))
		for member, e := range x {
			if s, ok := e.(string); ok && c.class(member) == personal {
				out[member] = s
				continue
			}
			out[member] = c.Scrub(e, values)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = c.Scrub(e, values)
		}
		return out
	}
	return v
}
