package recon

import (
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// Report is what one run found. Persons are masked in every written form.
type Report struct {
	Run         string            `json:"run"`
	Institution ident.Institution `json:"institution"`
	Name        string            `json:"name"`
	Region      string            `json:"region"`
	Date        string            `json:"date"` // yyyy-MM-dd
	MadeAt      time.Time         `json:"made_at"`
	NoRefunds   bool              `json:"no_refunds"` // undone settlements are left out
	Offline     bool              `json:"offline,omitempty"`
	Balanced    bool              `json:"balanced"`
	Failed      string            `json:"failed,omitempty"` // why the run could not be finished

	Groups      []Group       `json:"groups"`
	Sets        []Set         `json:"sets"`
	Centre      Leg           `json:"centre"`
	HIS         Leg           `json:"his"`
	Differences []Difference  `json:"differences"`
	Unexplained []Unexplained `json:"unexplained"`
	Open        []Open        `json:"open"`
	Shifts      []Shift       `json:"shifts"`
	Calls       []Call        `json:"calls"`
	Notes       []string      `json:"notes,omitempty"`
}

// Group is one 3201.
type Group struct {
	Agency   string            `json:"setl_optins"`
	Insutype string            `json:"insutype,omitempty"`
	ClrType  string            `json:"clr_type"`
	More     map[string]string `json:"more,omitempty"` // further dimensions
	Ours     Amounts           `json:"ours"`
	Result   string            `json:"result"` // "" when not asked
	Code     string            `json:"stmt_rslt,omitempty"`
	Said     string            `json:"stmt_rslt_dscr,omitempty"`
	Proved   bool              `json:"proved,omitempty"` // the explanation was confirmed by a second 3201
	MsgID    ident.MsgID       `json:"msgid,omitempty"`
}

// Results of a group.
const (
	GroupBalanced   = "balanced"
	GroupUnbalanced = "unbalanced"
	GroupRefused    = "refused" // the centre would not compare
)

func (g *Group) key() string { return g.Agency + "/" + g.Insutype + "/" + g.ClrType }

// Leg compares two books: Theirs - Ours = Difference = Explained + Unexplained.
type Leg struct {
	Ours        Amounts `json:"ours"`
	Theirs      Amounts `json:"theirs"`
	Difference  Amounts `json:"difference"`
	Explained   Amounts `json:"explained"`
	Unexplained Amounts `json:"unexplained"`
}

// Set is one comparison by rows: an agency and a clearing type, all insurances.
type Set struct {
	Agency   string `json:"setl_optins"`
	ClrType  string `json:"clr_type"`
	Sent     string `json:"sent_file,omitempty"`   // file_qury_no of 9101
	Got      string `json:"result_file,omitempty"` // file_qury_no of 3202
	Columns  int    `json:"columns"`
	Rows     int    `json:"rows"`      // rows of the result
	ListsAll bool   `json:"lists_all"` // balanced rows are listed too
	Leg      Leg    `json:"leg"`
}

// Which books a difference is between.
const (
	LegCentre = "centre"
	LegHIS    = "his"
)

// Cause is why two books differ; permanent words.
type Cause string

const (
	OnlyAtCentre Cause = "only-at-centre"           // the journal knows the message, but not that it was done
	OnlyHere     Cause = "only-here"                // done in the journal, not at the centre
	OtherAmount  Cause = "amount"                   // the same settlement with other figures
	UndoneOnce   Cause = "undone-on-one-side"       // one side has undone or reversed it
	Outside      Cause = "made-outside-the-gateway" // the gateway never sent it
	OtherDay     Cause = "other-day"                // the journal has it on another day
	Unlinked     Cause = "unlinked"                 // the same in amount; its number was never learnt
	NotTold      Cause = "his-not-told"             // settled, and the HIS has not been told
)

// Action is what a person may do about a difference.
type Action string

const (
	ActReverse Action = "reverse" // 2601 with the original message id
	ActAsk     Action = "ask"     // 5203, then decide
	ActLink    Action = "link"    // book it in the HIS under the centre's number
	ActUndo    Action = "undo"    // undo it (again) through the gateway
	ActResolve Action = "resolve" // end the unknown record: the gateway asks, or a person decides
	ActTell    Action = "tell"    // let the HIS fetch the answer: the same request again
	ActNone    Action = "none"    // nothing to do but know it
)

// Remedy is a proposal; it is never taken by itself.
type Remedy struct {
	Action Action      `json:"action"`
	Infno  ident.Infno `json:"infno,omitempty"`
	OMsgID ident.MsgID `json:"omsgid,omitempty"` // with reverse: the original message
	OInfno ident.Infno `json:"oinfno,omitempty"`
	ZH     string      `json:"zh"`
}

// Difference is one row in which two books differ. By is theirs minus ours.
type Difference struct {
	No       int              `json:"no"`
	Leg      string           `json:"leg"`
	Cause    Cause            `json:"cause"`
	By       Amounts          `json:"by"`
	Ours     *Amounts         `json:"ours,omitempty"`
	Theirs   *Amounts         `json:"theirs,omitempty"`
	Agency   string           `json:"setl_optins,omitempty"`
	Insutype string           `json:"insutype,omitempty"`
	ClrType  string           `json:"clr_type,omitempty"`
	Setl     ident.Settlement `json:"setl_id,omitempty"`
	Visit    ident.Visit      `json:"mdtrt_id,omitempty"`
	Person   string           `json:"psn_no"` // masked
	MsgID    ident.MsgID      `json:"msgid,omitempty"`
	Unknown  bool             `json:"amount_unknown,omitempty"` // the centre's amounts could not be had
	Infno    ident.Infno      `json:"infno,omitempty"`
	State    gateway.State    `json:"state,omitempty"` // of the journal's record
	Bill     string           `json:"bill,omitempty"`
	Operator string           `json:"operator,omitempty"`
	Memo     string           `json:"memo,omitempty"` // the centre's words
	Note     string           `json:"note,omitempty"`
	Remedies []Remedy         `json:"remedies"`
}

// Unexplained is a part of the difference nobody can account for. By is nil when not even the amount
// is known.
type Unexplained struct {
	Why      string      `json:"why"`
	By       *Amounts    `json:"by,omitempty"`
	Agency   string      `json:"setl_optins,omitempty"`
	Insutype string      `json:"insutype,omitempty"`
	ClrType  string      `json:"clr_type,omitempty"`
	MsgID    ident.MsgID `json:"msgid,omitempty"`
}

// Open is a settlement or undo of the day whose outcome is not known.
type Open struct {
	MsgID    ident.MsgID   `json:"msgid"`
	Infno    ident.Infno   `json:"infno"`
	State    gateway.State `json:"state"`
	Cause    gateway.Cause `json:"cause,omitempty"`
	Bill     string        `json:"bill,omitempty"`
	Operator string        `json:"operator,omitempty"`
	At       time.Time     `json:"at"`
	Total    *money.Fen    `json:"medfee_sumamt,omitempty"`
}

// Call is one transaction of the run.
type Call struct {
	Infno   ident.Infno `json:"infno"`
	MsgID   ident.MsgID `json:"msgid,omitempty"`
	Outcome string      `json:"outcome"`
}

// CauseZH names a cause.
func CauseZH(c Cause) string {
	switch c {
	case OnlyAtCentre:
		return "中心有, 网关未确认"
	case OnlyHere:
		return "网关有, 中心无"
	case OtherAmount:
		return "金额不一致"
	case UndoneOnce:
		return "仅一方撤销"
	case Outside:
		return "网关以外办理"
	case OtherDay:
		return "入账日期不同"
	case Unlinked:
		return "未关联结算编号"
	case NotTold:
		return "HIS 未获知结果"
	}
	return string(c)
}

// ResultZH names the result of a group.
func ResultZH(s string) string {
	switch s {
	case GroupBalanced:
		return "对平"
	case GroupUnbalanced:
		return "不平"
	case GroupRefused:
		return "中心拒绝对账"
	}
	return "未对账"
}

// remediesZH puts the proposals into one line.
func remediesZH(list []Remedy) string {
	var words []string
	for _, r := range list {
		words = append(words, r.ZH)
	}
	return strings.Join(words, "; ")
}
