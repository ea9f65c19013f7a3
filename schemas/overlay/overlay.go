// Package overlay lays editions on top of the published tables: what an area or a new version of the
// interface adds, changes and takes away, as one YAML file each, with the day from which it holds.
//
//	overlay: sichuan-1.1            # its name
//	about: 省平台 2027 年接口调整
//	version: V1.1                   # infver in the header from then on; none: as before
//	from: 2027-01-01                # first business day; none: it has always held
//	old_until: 2027-01-31           # last day on which business of before may be sent in its old form
//	regions: [sichuan]              # none: every region
//	sources: [notice of the bureau, number and day]
//	business_day: {"2204": feedetail.fee_ocur_time}   # the member whose day decides; else the day of sending
//	credential: [face_token]        # further members that carry a patient's credential: never stored
//	personal: [psn_alias]           # further members that identify a person: masked. A published one stays what it is
//	transactions:
//	  "2204":
//	    input:
//	      feedetail:
//	        add: [{code: prd_batch, name: 生产批号, type: string, length: "30", required: true}]
//	        change: [{code: memo, length: "200"}]
//	        remove: [old_member]
//	    add_nodes: {output: [{node: extra, title: 附加, fields: [...]}]}
//	    remove_nodes: {input: [old]}
//	dictionaries:
//	  med_type: {add: {"99": 其他}, remove: ["5301"]}
//
// The keys of a field and of a node are those of schemas/spec/FORMAT.md. A transaction the tables do not
// have is given whole, under table. Overlays are laid on in the order of their days, each on what the one
// before made; what is to be changed or removed must be there, what is added must not.
package overlay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"yiqiao/schemas/ident"
)

// Overlay is one file.
type Overlay struct {
	Name         string                 `yaml:"overlay"`
	About        string                 `yaml:"about"`
	Version      string                 `yaml:"version"`
	From         string                 `yaml:"from"`
	OldUntil     string                 `yaml:"old_until"`
	Regions      []string               `yaml:"regions"`
	Sources      []string               `yaml:"sources"`
	BusinessDay  map[ident.Infno]string `yaml:"business_day"`
	Credential   []string               `yaml:"credential"`
	Personal     []string               `yaml:"personal"`
	Transactions map[ident.Infno]Change `yaml:"transactions"`
	Dictionaries map[string]DictChange  `yaml:"dictionaries"`
}

// Change is what becomes of one transaction.
type Change struct {
	Why         string              `yaml:"why"`
	Table       map[string]any      `yaml:"table"` // the whole of a new one
	Input       map[string]Node     `yaml:"input"` // by node name
	Output      map[string]Node     `yaml:"output"`
	AddNodes    Sides[[]RawNode]    `yaml:"add_nodes"`
	RemoveNodes Sides[[]string]     `yaml:"remove_nodes"`
	Nodes       Sides[[]NodeChange] `yaml:"nodes"` // what is said of nodes themselves
}

// Sides are the two sides of a transaction.
type Sides[T any] struct {
	Input  T `yaml:"input"`
	Output T `yaml:"output"`
}

// Node is what becomes of the fields of a node.
type Node struct {
	Add    []Field  `yaml:"add"`
	Change []Field  `yaml:"change"`
	Remove []string `yaml:"remove"`
}

// Field is a field; of a changed one only what is given changes.
type Field struct {
	Code     string   `yaml:"code"`
	Name     *string  `yaml:"name"`
	Aliases  []string `yaml:"aliases"`
	Type     *string  `yaml:"type"`
	Length   *string  `yaml:"length"`
	Dict     *string  `yaml:"dict"`
	Required any      `yaml:"required"` // true, false, conditional
	Note     *string  `yaml:"note"`
}

// RawNode is a node that is added.
type RawNode struct {
	Node     string  `yaml:"node"`
	Title    string  `yaml:"title"`
	Repeat   bool    `yaml:"repeat"`
	Required any     `yaml:"required"`
	Parent   string  `yaml:"parent"`
	Fields   []Field `yaml:"fields"`
}

// NodeChange changes a node itself.
type NodeChange struct {
	Node     string `yaml:"node"`
	Required any    `yaml:"required"`
	Repeat   *bool  `yaml:"repeat"`
}

// DictChange is what becomes of a dictionary's values.
type DictChange struct {
	Name       string            `yaml:"name"`       // of a new one
	Confidence string            `yaml:"confidence"` // of a new one: high, medium, low
	Add        map[string]string `yaml:"add"`
	Remove     []string          `yaml:"remove"`
}

// maxFile bounds an overlay, bytes.
const maxFile = 4 << 20

// Read reads one overlay, strictly. file is where it came from, for errors.
func Read(file string, b []byte) (*Overlay, error) {
	fail := func(format string, a ...any) (*Overlay, error) {
		return nil, fmt.Errorf("overlay %s: %s", file, fmt.Sprintf(format, a...))
	}
	if len(b) > maxFile || !utf8.Valid(b) {
		return fail("more than %d bytes, or not UTF-8", maxFile)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	o := new(Overlay)
	if err := d.Decode(o); err != nil {
		return fail("%s", strings.Join(strings.Fields(err.Error()), " "))
	}
	var more any
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return fail("more than one document")
	}
	if o.Name == "" || len(o.Name) > 60 || strings.Trim(o.Name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
		return fail("overlay: a name of a-z 0-9 - . is needed")
	}
	if o.From != "" && !day(o.From) || o.OldUntil != "" && (!day(o.OldUntil) || o.OldUntil < o.From || o.From == "") {
		return fail("from and old_until are days, yyyy-MM-dd, old_until not before from")
	}
	if len(o.Version) > 6 {
		return fail("version: at most 6 characters")
	}
	for n := range o.Transactions {
		if _, err := ident.ParseInfno(string(n)); err != nil {
			return fail("transactions: %q is not a number", n)
		}
	}
	for n, at := range o.BusinessDay {
		if _, err := ident.ParseInfno(string(n)); err != nil || at == "" {
			return fail("business_day: %q", n)
		}
	}
	return o, nil
}

func day(s string) bool {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return false
	}
	month, date := s[5:7], s[8:]
	return strings.Trim(s, "0123456789-") == "" && "01" <= month && month <= "12" && "01" <= date && date <= "31"
}

// For reports whether an overlay holds in a region.
func (o *Overlay) For(region string) bool {
	return len(o.Regions) == 0 || slices.Contains(o.Regions, region)
}

// ordered puts overlays in the order they are laid on: those without a day first, as given.
func ordered(list []*Overlay) []*Overlay {
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b *Overlay) int { return strings.Compare(a.From, b.From) })
	return out
}
