// Package wire turns the outer message of the interface into Go and back (spec/envelope.json).
//
// EncodeRequest gives the exact bytes that are sent and digested; whoever signs or stores signs
// and stores these bytes, never a re-encoding.
package wire

import (
	"encoding/json"
	"errors"

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

// EncodeRequest gives the bytes to send, members in the order of the table.
func EncodeRequest(r Request) ([]byte, error) { return nil, errors.New("not built") }

// DecodeRequest reads a request strictly; input is also returned decoded. Errors are
// *strictjson.Error or *FieldError.
func DecodeRequest(b []byte) (Request, any, error) { return Request{}, nil, errors.New("not built") }

// EncodeReply gives a response message; infcode is written as a number when it is one.
func EncodeReply(r Reply) ([]byte, error) { return nil, errors.New("not built") }

// DecodeReply reads a response loosely: undeclared members, nulls and numbers as text are normal.
// A text without infcode is an error.
func DecodeReply(b []byte) (Reply, error) { return Reply{}, errors.New("not built") }

// FieldError names a member of the outer message that is missing or has the wrong form.
type FieldError struct {
	Field string
	Rule  string // missing, type, length, format
}

func (e *FieldError) Error() string { return "wire: " + e.Field + ": " + e.Rule }
