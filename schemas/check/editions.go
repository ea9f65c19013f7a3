package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/codes"
	"yiqiao/schemas/ident"
)

// Edition is the tables as they hold from a day on.
//
// The day that counts is the business's own: that of the member Day names, of several rows the earliest; of a
// message without one it is today. So what was charged before the change is sent as it was charged, and what
// is charged after it in the new form, on the same morning. After OldUntil the new edition alone is left.
type Edition struct {
	Name     string
	From     string // first business day, yyyy-MM-dd
	OldUntil string // last day on which business of before may be sent in its old form; "": for ever
	Version  string // of the interface, in the header; "": as before
	Catalog  *catalog.Catalog
	Tables   *codes.Tables          // nil: the published ones
	Day      map[ident.Infno]string // the member that holds the business day: "feedetail.fee_ocur_time"
}

// later is an edition made ready.
type later struct {
	Edition
	check *Checker
}

// follow makes the later editions ready. What a region relaxes or adds that an edition no longer has is left out there.
func (c *Checker) follow(o Options) error {
	if len(o.Later) > 0 && o.Today == nil {
		return errors.New("check: editions need Today")
	}
	c.today = o.Today
	last := ""
	for _, e := range o.Later {
		switch {
		case e.Catalog == nil || !day(e.From) || e.OldUntil != "" && (!day(e.OldUntil) || e.OldUntil < e.From):
			return fmt.Errorf("check: edition %s: catalogue or days", e.Name)
		case e.From < last:
			return fmt.Errorf("check: edition %s comes after a later one", e.Name)
		}
		last = e.From
		own := o
		own.Later, own.Tables, own.Relax = nil, e.Tables, still(e.Catalog, o.Relax)
		ch, err := New(e.Catalog, own)
		if err != nil {
			return fmt.Errorf("check: edition %s: %w", e.Name, err)
		}
		c.later = append(c.later, later{e, ch})
	}
	return nil
}

// still are the relaxed fields that are there.
func still(c *catalog.Catalog, relax map[ident.Infno][]string) map[ident.Infno][]string {
	out := map[ident.Infno][]string{}
	for n, names := range relax {
		t, ok := c.Lookup(n)
		if !ok {
			continue
		}
		for _, name := range names {
			if slices.ContainsFunc(t.Input, func(node catalog.Node) bool {
				return relaxKey(node.Parent, node.Name) == name || slices.ContainsFunc(node.Fields, func(f catalog.Field) bool { return relaxKey(node.Name, f.Code) == name })
			}) {
				out[n] = append(out[n], name)
			}
		}
	}
	return out
}

func day(s string) bool {
	return len(s) == 10 && s[4] == '-' && s[7] == '-' && strings.Trim(s, "0123456789-") == ""
}

// edition is the index into later of the edition for a message, -1 for the first one.
func (c *Checker) edition(n ident.Infno, v any) int {
	if len(c.later) == 0 {
		return -1
	}
	today := c.today()
	at := -1
	for i, e := range c.later {
		on := businessDay(e.Day[n], v)
		if on == "" || e.OldUntil != "" && today > e.OldUntil {
			on = max(on, today)
		}
		if on >= e.From {
			at = i
		}
	}
	return at
}

func (c *Checker) on(n ident.Infno, v any) *Checker {
	if i := c.edition(n, v); i >= 0 {
		return c.later[i].check
	}
	return c
}

// Version is that of the interface a message is written in: of its edition, else the one given.
func (c *Checker) Version(n ident.Infno, input any, otherwise string) string {
	for i := c.edition(n, input); i >= 0; i-- {
		if v := c.later[i].Version; v != "" {
			return v
		}
	}
	return otherwise
}

// businessDay is the earliest day the member at path holds, "" when there is none.
func businessDay(path string, v any) string {
	if path == "" {
		return ""
	}
	found := ""
	node, name, inside := strings.Cut(path, ".")
	if !inside {
		node, name = "", path
	}
	look := func(v any) {
		m, _ := v.(map[string]any)
		s, _ := m[name].(string)
		if len(s) >= 10 && day(s[:10]) && (found == "" || s[:10] < found) {
			found = s[:10]
		}
	}
	at := v
	if node != "" {
		m, _ := v.(map[string]any)
		at = m[node]
	}
	if rows, ok := at.([]any); ok {
		for _, r := range rows {
			look(r)
		}
	} else {
		look(at)
	}
	return found
}
