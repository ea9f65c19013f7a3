// Package check tells whether an input or output says what the catalogue says it should.
//
// JSON Schemas (draft-07) are generated from the catalogue into schema/ and checked in; they are
// validated with gojsonschema, compiled on first use and shared; what surely fits (quick) is not handed to it.
// Requests are read strictly, replies loosely (null, undeclared fields and numbers as text are normal there). Amount
// identities A to K of docs/interface/invariants.md are in Amounts.
package check

import (
	"errors"
	"fmt"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/codes"
	"yiqiao/schemas/ident"
)

// Severity of a finding: an Error refuses a request, a Warning travels with it.
type Severity string

const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one thing wrong with a message. It never carries the offending value.
type Finding struct {
	Code     string   `json:"code"` // permanent, listed in docs/errors.md
	Path     string   `json:"path"` // JSON Pointer, from the message's root: /input/data/psn_no
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"` // what the table says, e.g. "长度<=30", "16,2"
	ZH       string   `json:"zh"`
	EN       string   `json:"en"`
}

// Options are the facts that differ by region.
type Options struct {
	// Relax lists fields that are not required there: infno -> "data.setl_id". A node is named
	// like a field: "drug_trac_info", or "data.warns" for one inside another.
	Relax map[ident.Infno][]string
	// Codes lists further dictionary values that are accepted: dictionary -> codes.
	Codes map[string][]string
	// FundIncludesAccount: fund_pay_sumamt already contains acct_pay (identity E).
	FundIncludesAccount bool
	// Tables are the dictionaries; nil: the published ones.
	Tables *codes.Tables
	// Later are the editions that follow the catalogue given to New, oldest first. Today says which day it
	// is, yyyy-MM-dd; it is needed with Later.
	Later []Edition
	Today func() string
}

// Checker is immutable after New and safe for concurrent use.
type Checker struct {
	catalog    *catalog.Catalog
	tables     *codes.Tables
	relaxed    map[ident.Infno]map[string]bool
	further    map[string]map[string]bool
	fundHolds  bool // FundIncludesAccount
	requests   map[ident.Infno]*side
	replies    map[ident.Infno]*side
	identities *identities
	later      []later
	today      func() string
}

// New prepares a checker; schemas are compiled when first needed. Options that name a transaction,
// field or dictionary that does not exist are an error.
func New(c *catalog.Catalog, o Options) (*Checker, error) {
	if c == nil {
		return nil, errors.New("check: no catalogue")
	}
	tables, err := o.Tables, error(nil)
	if tables == nil {
		if tables, err = codes.Default(); err != nil {
			return nil, err
		}
	}
	ids, err := loadIdentities(identityText)
	if err != nil {
		return nil, err
	}
	ch := &Checker{
		catalog: c, tables: tables, identities: ids, fundHolds: o.FundIncludesAccount,
		relaxed: map[ident.Infno]map[string]bool{}, further: map[string]map[string]bool{},
		requests: map[ident.Infno]*side{}, replies: map[ident.Infno]*side{},
	}
	for _, t := range c.All() {
		ch.requests[t.Infno], ch.replies[t.Infno] = &side{}, &side{}
	}
	for n, names := range o.Relax {
		t, ok := c.Lookup(n)
		if !ok {
			return nil, fmt.Errorf("check: relax: no transaction %s", n)
		}
		known := map[string]bool{}
		for _, node := range t.Input {
			known[relaxKey(node.Parent, node.Name)] = true
			for _, f := range node.Fields {
				known[relaxKey(node.Name, f.Code)] = true
			}
		}
		set := map[string]bool{}
		for _, name := range names {
			if !known[name] {
				return nil, fmt.Errorf("check: relax: %s has no field %q", n, name)
			}
			set[name] = true
		}
		ch.relaxed[n] = set
	}
	for dict, values := range o.Codes {
		d, ok := tables.Lookup(dict)
		if !ok {
			return nil, fmt.Errorf("check: codes: no dictionary %q", dict)
		}
		set := ch.further[d.Code]
		if set == nil {
			set = map[string]bool{}
			ch.further[d.Code] = set
		}
		for _, v := range values {
			set[v] = true
		}
	}
	return ch, ch.follow(o)
}

// Request checks a decoded input object against the table of infno. A transaction that is unknown
// or not described gives exactly one finding (infno-unknown, infno-not-described). The findings
// are in document order, members in the order of the table, at most 100. input is not changed.
// Where there are editions the one of the business day is taken (Edition).
func (c *Checker) Request(n ident.Infno, input any) []Finding {
	c = c.on(n, input)
	t, f := c.lookup(n, "/input")
	if f != nil {
		return f
	}
	r := run{root: "/input", side: c.requests[n], strict: true}
	if err := r.side.ready(c, t, catalog.Input); err != nil {
		return failed(r.root)
	}
	if stop := r.look(input); stop != nil {
		return stop
	}
	return r.out.findings(r.root)
}

// Reply checks a decoded output object loosely, with amounts (see Amounts) included. A reply
// without output, or of a transaction that is not described, has no findings.
func (c *Checker) Reply(n ident.Infno, output any) []Finding {
	c = c.on(n, output)
	t, f := c.lookup(n, "/output")
	if t == nil {
		return f
	}
	if f != nil || output == nil {
		return nil
	}
	r := run{root: "/output", side: c.replies[n]}
	if err := r.side.ready(c, t, catalog.Output); err != nil {
		return failed(r.root)
	}
	if stop := r.look(r.side.lists(output)); stop != nil {
		return stop
	}
	c.amounts(t, output, &r.out)
	return r.out.findings(r.root)
}

// lookup finds a transaction, and says when it is not there or not described.
func (c *Checker) lookup(n ident.Infno, root string) (*catalog.Transaction, []Finding) {
	t, ok := c.catalog.Lookup(n)
	switch {
	case !ok:
		return nil, []Finding{{Code: CodeInfnoUnknown, Path: root, Severity: Error, ZH: "没有这个交易编号", EN: "no such transaction number"}}
	case !t.Described():
		return t, []Finding{{Code: CodeInfnoNotDescribed, Path: root, Severity: Error,
			ZH: string(t.Infno) + " " + t.Name + " 尚无字段说明, 不能检查", EN: "the fields of " + string(t.Infno) + " are not described"}}
	}
	return t, nil
}

func failed(root string) []Finding {
	return []Finding{{Code: CodeFailed, Path: root, Severity: Error, ZH: "检查未能完成, 请联系网关管理员", EN: "the check could not be completed"}}
}
