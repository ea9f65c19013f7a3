package check

import (
	"bytes"
	"encoding/json"
	"fmt"

	"yiqiao/schemas/ident"
)

// Regions the identities depend on.
const (
	includes = "fund-includes-account"
	excludes = "fund-excludes-account"
)

// identities is identities.json.
type identities struct {
	About      string     `json:"about"`
	Settlement settlement `json:"settlement"`
	Rows       []identity `json:"rows"`
}

type settlement struct {
	Infnos     []ident.Infno       `json:"infnos"`
	Node       string              `json:"node"`
	Names      map[string][]string `json:"names"`
	Fallback   map[string]fallback `json:"fallback"`
	Identities []identity          `json:"identities"`
	Parts      struct {
		ID       string     `json:"id"`
		Severity Severity   `json:"severity"`
		Node     string     `json:"node"`
		Value    string     `json:"value"`
		Excludes [][]string `json:"excludes_account"`
		Includes [][]string `json:"includes_account"`
	} `json:"parts"`
	Undo struct {
		ID       string        `json:"id"`
		Severity Severity      `json:"severity"`
		Infnos   []ident.Infno `json:"infnos"`
		Members  []string      `json:"members"`
	} `json:"undo"`
}

// identity says left = one of right.
type identity struct {
	ID       string        `json:"id"`
	Severity Severity      `json:"severity"`
	When     string        `json:"when"`
	Infnos   []ident.Infno `json:"infnos"`
	Node     string        `json:"node"`
	Left     string        `json:"left"`
	Right    [][]string    `json:"right"`
}

// fallback says where a term stands when the header has none: in the rows of node whose by is one
// of is, as value.
type fallback struct {
	Node  string   `json:"node"`
	By    string   `json:"by"`
	Is    []string `json:"is"`
	Value string   `json:"value"`
}

func loadIdentities(text []byte) (*identities, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var ids identities
	if err := dec.Decode(&ids); err != nil {
		return nil, fmt.Errorf("check: identities: %w", err)
	}
	all := append(append([]identity{}, ids.Settlement.Identities...), ids.Rows...)
	for _, r := range all {
		bad := r.ID == "" || r.Left == "" || len(r.Right) == 0 || r.Severity != Error && r.Severity != Warning ||
			r.When != "" && r.When != includes && r.When != excludes
		if bad {
			return nil, fmt.Errorf("check: identities: %q is incomplete", r.ID)
		}
	}
	if len(ids.Settlement.Parts.Excludes) == 0 || len(ids.Settlement.Parts.Includes) == 0 {
		return nil, fmt.Errorf("check: identities: parts are incomplete")
	}
	return &ids, nil
}
