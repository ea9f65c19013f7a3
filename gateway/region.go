package gateway

import (
	"yiqiao/schemas/ident"
)

// Region is how one area's centre differs from the national tables. It is data.
type Region struct {
	Code string `yaml:"code"` // "national", "guangdong", ...
	Name string `yaml:"name"`
	// Variant replaces a transaction number in the flows: "2203" -> "2203A".
	Variant map[ident.Infno]ident.Infno `yaml:"variant"`
	// Capabilities that asking may need: "5203-by-visit" (answers without setl_id).
	Capabilities []string `yaml:"capabilities"`
	// Relax lists fields that are not required here: infno -> "data.setl_id".
	Relax map[ident.Infno][]string `yaml:"relax"`
	// Codes lists further dictionary values: dictionary -> codes.
	Codes map[string][]string `yaml:"codes"`
	// FundIncludesAccount: identity E of invariants.md.
	FundIncludesAccount bool `yaml:"fund_includes_account"`
	// SignIn: transactions need a sign_no from 9001.
	SignIn bool `yaml:"sign_in"`
	// SettleBeforeDischarge: a stay is settled (2303, 2304) before its discharge is registered
	// (2402); otherwise the other way round.
	SettleBeforeDischarge bool `yaml:"settle_before_discharge"`
	// TreatmentCheck: 2001 is called before a visit is registered.
	TreatmentCheck bool `yaml:"treatment_check"`
	// NothingToUndo lists parts of err_msg that mean an undo had nothing to do: infno -> texts.
	NothingToUndo map[ident.Infno][]string `yaml:"nothing_to_undo"`
	// SignExpired lists parts of err_msg that mean the sign-in is no longer valid.
	SignExpired []string `yaml:"sign_expired"`
	// Statement is how totals and details are reconciled.
	Statement Statement `yaml:"statement"`
	// NotFound lists parts of err_msg by which a query says there is no such thing.
	NotFound []string `yaml:"not_found"`
}

// Can reports whether the region has a capability.
func (r *Region) Can(capability string) bool {
	for _, c := range r.Capabilities {
		if c == capability {
			return true
		}
	}
	return false
}

// Institution is a hospital, clinic or pharmacy the gateway speaks for.
type Institution struct {
	Code      ident.Institution
	Name      string
	Area      string // mdtrtarea_admvs, 6 digits
	Receiver  string // recer_sys_code
	Version   string // infver
	MAC, IP   string // for 9001
	DevNo     string
	DevSafe   string
	HospLevel string
	Region    *Region
}
