// Package wire turns the outer message of the interface into Go and back (spec/envelope.json).
//
// EncodeRequest gives the exact bytes that are sent and digested; whoever signs or stores signs
// and stores these bytes, never a re-encoding.
package wire

import (
	"encoding/json"

	"yiqiao/schemas/ident"
)

// Request is the outer request message.
type Request struct {
	Infno         ident.Infno
	MsgID         ident.MsgID
	MdtrtArea     string // mdtrtarea_admvs, area where care is given
	InsuplcArea   string // insuplc_admdvs, area of insurance; needed once the person is known
	Receiver      string // recer_sys_code
	DevNo         string
	DevSafeInfo   string
	CAInfo        string
	SignType      string
	Version       string // infver
	OperatorType  string // opter_type
	Operator      string // opter
	OperatorName  string // opter_name
	Time          string // inf_time, yyyy-MM-dd HH:mm:ss
	Institution   ident.Institution
	InstitutionNm string // fixmedins_name
	SignNo        string
	Extra         map[string]string // regional members, sent after the standard ones in sorted order
	Input         json.RawMessage   // compact JSON
}

// Reply is the outer response message.
type Reply struct {
	InfCode     string // "0" is success; sent as number or text, kept as text
	RefMsgID    string // inf_refmsgid
	RefMsgTime  string // refmsg_time, yyyyMMddHHmmssSSS
	RespondTime string
	ErrMsg      string // err_msg; some gateways write message instead
	WarnMsg     string
	Output      any // decoded by strictjson; nil when absent or null
}

// OK reports infcode 0.
func (r Reply) OK() bool { return r.InfCode == "0" }

// InputLimit is the documented length of input and output, in characters. Real batches of 2204
// exceed it and centres take them, so nothing here enforces it; a caller may warn.
const InputLimit = 40000

// FieldError names a member of the outer message that is missing or has the wrong form. It never
// carries the value.
type FieldError struct {
	Field string
	Rule  string // missing, type, length, format
	Err   error  // for input: what strictjson says of it, otherwise nil
}

func (e *FieldError) Error() string {
	s := "wire: " + e.Field + ": " + e.Rule
	if e.Err != nil {
		s += " (" + e.Err.Error() + ")"
	}
	return s
}

func (e *FieldError) Unwrap() error { return e.Err }

// The values of FieldError.Rule.
const (
	RuleMissing = "missing"
	RuleType    = "type"
	RuleLength  = "length"
	RuleFormat  = "format"
)
