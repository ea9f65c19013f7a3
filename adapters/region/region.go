// Package region holds what is known of the areas' centres, as data: one YAML file per area, embedded,
// and a reader for an operator's own file.
//
// A file is a gateway.Region. Read refuses unknown keys and what can not be meant; Check holds a
// region against the catalogue and belongs at program start.
package region

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

//go:embed *.yaml
var files embed.FS

// maxFile bounds a region file, bytes.
const maxFile = 1 << 20

// shortest is the least length of a text that a centre's refusals are matched with, in characters:
// a shorter one is in too many of them.
const shortest = 3

// Names lists the embedded regions in order.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// Load gives the embedded region of that name, a new one each time.
func Load(name string) (*gateway.Region, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("region: no region %q; there are %s", name, strings.Join(Names(), ", "))
	}
	b, err := files.ReadFile(path.Clean(name) + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("region: %s: %w", name, err)
	}
	r, err := Read(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	if r.Code != name {
		return nil, fmt.Errorf("region: file %s.yaml says it is %q", name, r.Code)
	}
	return r, nil
}

// Read reads one region, strictly: exactly one YAML document of at most 1 MiB, no unknown keys, no
// transaction number of a wrong form, no text too short to be matched with. The error lists
// everything that is wrong.
func Read(src io.Reader) (*gateway.Region, error) {
	b, err := io.ReadAll(io.LimitReader(src, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("region: %w", err)
	case len(b) > maxFile:
		return nil, fmt.Errorf("region: more than %d bytes", maxFile)
	case !utf8.Valid(b):
		return nil, errors.New("region: not UTF-8")
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	r := new(gateway.Region)
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("region: %s", strings.Join(strings.Fields(err.Error()), " "))
	}
	var more any
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("region: more than one document")
	}
	if err := wellFormed(r); err != nil {
		return nil, fmt.Errorf("region: %w", err)
	}
	return r, nil
}

// wellFormed checks what can be checked without the catalogue.
func wellFormed(r *gateway.Region) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !codeForm(r.Code) {
		fault("code %q: want 1-40 of a-z 0-9 -", r.Code)
	}
	if strings.TrimSpace(r.Name) == "" {
		fault("name is missing")
	}
	number := func(key string, n ident.Infno) {
		if _, err := ident.ParseInfno(string(n)); err != nil {
			fault("%s: %q is not a transaction number", key, n)
		}
	}
	texts := func(key string, list []string) {
		for i, s := range list {
			if s != strings.TrimSpace(s) || utf8.RuneCountInString(s) < shortest {
				fault("%s: %q has blanks around it or fewer than %d characters", key, s, shortest)
			}
			if slices.Contains(list[:i], s) {
				fault("%s: %q is there twice", key, s)
			}
		}
	}
	for from, to := range r.Variant {
		number("variant", from)
		number("variant", to)
		if _, chain := r.Variant[to]; chain {
			fault("variant: %s leads to %s, which is replaced itself", from, to)
		}
	}
	for n, list := range r.Relax {
		number("relax", n)
		texts("relax "+string(n), list)
	}
	for n, list := range r.NothingToUndo {
		number("nothing_to_undo", n)
		texts("nothing_to_undo "+string(n), list)
	}
	for dict, list := range r.Codes {
		for _, code := range list {
			if code == "" || code != strings.TrimSpace(code) {
				fault("codes %s: %q is empty or has blanks around it", dict, code)
			}
		}
	}
	texts("sign_expired", r.SignExpired)
	texts("not_found", r.NotFound)
	texts("capabilities", r.Capabilities)
	if err := r.Statement.Check(); err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			fault("%s", line)
		}
	}
	return join(faults)
}

// Check holds a region against the catalogue: every transaction it names is there, replacements do
// the same kind of thing, relaxed fields and dictionaries exist, capabilities are ones that asking
// can need, and texts of undoing belong to transactions that undo. The error lists everything that
// is wrong.
func Check(r *gateway.Region, c *catalog.Catalog) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for from, to := range r.Variant {
		a, okA := c.Lookup(from)
		b, okB := c.Lookup(to)
		switch {
		case !okA || !okB:
			fault("variant: no transaction %s or %s", from, to)
		case a.Kind != b.Kind || a.Commits != b.Commits:
			fault("variant: %s (%s) and %s (%s) do not do the same kind of thing", from, a.Kind, to, b.Kind)
		case !b.Described():
			fault("variant: the fields of %s are not described", to)
		}
	}
	for n := range r.NothingToUndo {
		if t, ok := c.Lookup(n); !ok || t.Kind != catalog.Reverse {
			fault("nothing_to_undo: %s is no transaction that undoes", n)
		}
	}
	needed := map[string]bool{}
	for _, t := range c.All() {
		for _, a := range t.Asks {
			needed[a.Needs] = true
		}
	}
	for _, name := range r.Capabilities {
		if !needed[name] {
			fault("capabilities: nothing needs %q", name)
		}
	}
	if _, err := check.New(c, check.Options{Relax: r.Relax, Codes: r.Codes, FundIncludesAccount: r.FundIncludesAccount}); err != nil {
		faults = append(faults, err)
	}
	if err := join(faults); err != nil {
		return fmt.Errorf("region %s: %w", r.Code, err)
	}
	return nil
}

// join puts faults into one line, in a stable order.
func join(faults []error) error {
	if len(faults) == 0 {
		return nil
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	text := make([]string, len(faults))
	for i, f := range faults {
		text[i] = f.Error()
	}
	return errors.New(strings.Join(text, "; "))
}

func codeForm(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
