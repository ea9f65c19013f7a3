package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Statement is how an area compares its books with ours: 3201 for totals, 9101, 3202 and 9102 for
// details. It is data; a zero field means what Filled says.
type Statement struct {
	// Dimensions are members of a settlement's answer by which totals are grouped, one 3201 each.
	// Default: clr_optins, insutype, clr_type, which 3201 asks for by name. Any further one only splits.
	Dimensions []string `yaml:"dimensions"`
	// Insutypes and ClrTypes: these groups are asked about also when we have nothing in them, or what
	// only the centre has would stay unseen. Default 310, 390 and 11, 21.
	Insutypes []string `yaml:"insutypes"`
	ClrTypes  []string `yaml:"clr_types"`
	// NoRefunds leaves out undos and what they undid (refd_setl_flag 0); otherwise both count.
	NoRefunds bool `yaml:"no_refunds"`
	// Rename gives members of 3201 and 3202 other names: refd_setl_flag -> REFD_SETL_FLAG. A member
	// renamed to "-" is left out.
	Rename map[string]string `yaml:"rename"`
	// DayTimes sends the days with times, 00:00:00 and 23:59:59.
	DayTimes bool `yaml:"day_times"`
	// CashFrom is the member of a settlement whose total fills cash_payamt of 3202: acct_pay
	// (default), psn_cash_pay or psn_part_amt. Clients in the field differ.
	CashFrom string `yaml:"cash_from"`
	// Confirm asks 3201 once more with the totals the explanation leads to, which proves it to the
	// fen, and then again with our own, so that these stay the last word.
	Confirm bool `yaml:"confirm"`

	Detail DetailFile `yaml:"detail"`
	Result ResultFile `yaml:"result"`
}

// DetailFile is the layout of the file we send: text in UTF-8, separated by tabs, no head, in a zip.
type DetailFile struct {
	// Columns by name: setl_id, mdtrt_id, psn_no, medfee_sumamt, fund_pay_sumamt, acct_pay,
	// refd_setl_flag; "-" is an empty column. Default: these seven in this order.
	Columns []string `yaml:"columns"`
	// Fixed columns hold the same text in every row, and count as that in the totals: acct_pay -> "0.00".
	Fixed map[string]string `yaml:"fixed"`
	// Trailing puts a tab behind the last column. CRLF ends lines with \r\n. Null is written for an
	// empty value.
	Trailing bool   `yaml:"trailing_tab"`
	CRLF     bool   `yaml:"crlf"`
	Null     string `yaml:"null_text"`
	// Bytes is how 9101 writes a file: base64 (default), int8array or uint8array.
	Bytes string `yaml:"bytes"`
}

// ResultFile is the layout of the file we get.
type ResultFile struct {
	// Columns by name: psn_no, mdtrt_id, setl_id, msgid, stmt_rslt, refd_setl_flag, memo,
	// medfee_sumamt, fund_pay_sumamt, acct_pay. Default: these ten in this order. The reader takes
	// files without the amounts, with an eighth or eleventh column, with an empty column in between and
	// with the flag before the result as they come.
	Columns []string `yaml:"columns"`
	// Codes of stmt_rslt: code -> balanced, centre-more, here-more, differs; "*" stands for any other.
	Codes map[string]string `yaml:"codes"`
	// All: balanced rows are listed too. Otherwise that is found out from the file.
	All bool `yaml:"all"`
}

// Forms of a file inside 9101.
const (
	BytesBase64 = "base64"
	BytesInt8   = "int8array"
	BytesUint8  = "uint8array"
)

// Meanings of a stmt_rslt.
const (
	StatementBalanced   = "balanced"
	StatementCentreMore = "centre-more"
	StatementHereMore   = "here-more"
	StatementDiffers    = "differs"
)

// Filled is s with the national values where it has none.
func (s Statement) Filled() Statement {
	fill := func(list *[]string, v ...string) {
		if len(*list) == 0 {
			*list = v
		}
	}
	fill(&s.Dimensions, "clr_optins", "insutype", "clr_type")
	fill(&s.Insutypes, "310", "390")
	fill(&s.ClrTypes, "11", "21")
	fill(&s.Detail.Columns, detailColumns()...)
	fill(&s.Result.Columns, resultColumns()...)
	if s.CashFrom == "" {
		s.CashFrom = "acct_pay"
	}
	if s.Detail.Bytes == "" {
		s.Detail.Bytes = BytesBase64
	}
	if len(s.Result.Codes) == 0 {
		s.Result.Codes = map[string]string{"0": StatementBalanced, "1": StatementCentreMore, "2": StatementHereMore, "3": StatementDiffers,
			"000000": StatementBalanced, "000101": StatementCentreMore, "000102": StatementHereMore, "000103": StatementDiffers}
	}
	return s
}

func detailColumns() []string {
	return []string{"setl_id", "mdtrt_id", "psn_no", "medfee_sumamt", "fund_pay_sumamt", "acct_pay", "refd_setl_flag"}
}

func resultColumns() []string {
	return []string{"psn_no", "mdtrt_id", "setl_id", "msgid", "stmt_rslt", "refd_setl_flag", "memo", "medfee_sumamt", "fund_pay_sumamt", "acct_pay"}
}

// Check tells everything that is wrong with a statement. Pure.
func (s Statement) Check() error {
	s = s.Filled()
	var faults []error
	bad := func(format string, a ...any) { faults = append(faults, fmt.Errorf("statement: "+format, a...)) }
	for _, list := range [][]string{s.Dimensions, s.Insutypes, s.ClrTypes} {
		for i, v := range list {
			if v == "" || v != strings.TrimSpace(v) || slices.Contains(list[:i], v) {
				bad("%q is empty, has blanks around it or is there twice", v)
			}
		}
	}
	for _, want := range []string{"clr_optins", "clr_type"} {
		if !slices.Contains(s.Dimensions, want) {
			bad("dimensions need %s: 3202 goes by it", want)
		}
	}
	if !slices.Contains([]string{"acct_pay", "psn_cash_pay", "psn_part_amt"}, s.CashFrom) {
		bad("cash_from %q", s.CashFrom)
	}
	if !slices.Contains([]string{BytesBase64, BytesInt8, BytesUint8}, s.Detail.Bytes) {
		bad("bytes %q", s.Detail.Bytes)
	}
	columns := func(what string, list, known []string) {
		for i, c := range list {
			if c != "-" && (!slices.Contains(known, c) || slices.Contains(list[:i], c)) {
				bad("%s column %q is unknown or there twice", what, c)
			}
		}
	}
	columns("detail", s.Detail.Columns, detailColumns())
	columns("result", s.Result.Columns, resultColumns())
	for c, v := range s.Detail.Fixed {
		if !slices.Contains(detailColumns(), c) || strings.ContainsAny(v, "\t\r\n") {
			bad("fixed column %q", c)
		}
	}
	for _, want := range resultColumns()[:5] {
		if !slices.Contains(s.Result.Columns, want) {
			bad("result columns need %s", want)
		}
	}
	for code, m := range s.Result.Codes {
		if code == "" || !slices.Contains([]string{StatementBalanced, StatementCentreMore, StatementHereMore, StatementDiffers}, m) {
			bad("code %q means %q", code, m)
		}
	}
	if strings.ContainsAny(s.Detail.Null, "\t\r\n") {
		bad("null_text holds a separator")
	}
	return errors.Join(faults...)
}
