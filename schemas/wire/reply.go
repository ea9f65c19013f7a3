package wire

import (
	"strings"
	"unicode"

	"yiqiao/schemas/strictjson"
)

// mostInfCode bounds infcode; the table says 4, replies in the field are longer.
const mostInfCode = 32

// EncodeReply gives a response message: compact JSON, infcode, inf_refmsgid, refmsg_time,
// respond_time, err_msg, output (null when nil), and warn_msg behind them when there is one.
// infcode is written as a number when it is one, else as text. The same Reply gives the same bytes.
//
// The error is a *FieldError: infcode is empty (missing) or one DecodeReply would refuse (length,
// format), or output is not made of the types strictjson.Decode returns (type).
func EncodeReply(r Reply) ([]byte, error) {
	if err := checkInfCode(r.InfCode); err != nil {
		return nil, err
	}
	if !strictjson.Writable(r.Output) {
		return nil, &FieldError{Field: "output", Rule: RuleType}
	}
	b := make([]byte, 0, 512)
	b = append(b, `{"infcode":`...)
	if integer(r.InfCode) {
		b = append(b, r.InfCode...)
	} else {
		b = strictjson.AppendString(b, r.InfCode)
	}
	for _, m := range [4][2]string{{"inf_refmsgid", r.RefMsgID}, {"refmsg_time", r.RefMsgTime}, {"respond_time", r.RespondTime}, {"err_msg", r.ErrMsg}} {
		b = append(b, ',')
		b = appendMember(b, m[0], m[1])
	}
	b = append(b, `,"output":`...)
	b = strictjson.Append(b, r.Output)
	if r.WarnMsg != "" {
		b = append(b, ',')
		b = appendMember(b, "warn_msg", r.WarnMsg)
	}
	return append(b, '}'), nil
}

// DecodeReply reads a response loosely, within strictjson.Reply limits: undeclared members, nulls
// and numbers as text are normal. A text member that holds something else than text, number or
// null is given as compact JSON. ErrMsg is err_msg, or message when that is empty.
//
// Errors are *strictjson.Error (not JSON, or not an object) or *FieldError of infcode: missing
// (also null or empty), type, length, or format for a code with blanks or control characters in it
// and for an odd zero (0.0, 00, -0), of which nobody can say whether it means success. Any error
// says that nothing is known of the outcome.
func DecodeReply(b []byte) (Reply, error) {
	members, err := strictjson.Members(b, strictjson.Reply())
	if err != nil {
		return Reply{}, err
	}
	var r Reply
	var message string
	for _, m := range members {
		switch m.Name {
		case "infcode":
			if r.InfCode = strictjson.Text(m.Value); r.InfCode == "" && m.Value != nil && m.Value != "" {
				return Reply{}, &FieldError{Field: "infcode", Rule: RuleType}
			}
		case "inf_refmsgid":
			r.RefMsgID = looseText(m.Value)
		case "refmsg_time":
			r.RefMsgTime = looseText(m.Value)
		case "respond_time":
			r.RespondTime = looseText(m.Value)
		case "err_msg":
			r.ErrMsg = looseText(m.Value)
		case "message":
			message = looseText(m.Value)
		case "warn_msg":
			r.WarnMsg = looseText(m.Value)
		case "output":
			r.Output = m.Value
		}
	}
	if r.ErrMsg == "" {
		r.ErrMsg = message
	}
	if err := checkInfCode(r.InfCode); err != nil {
		return Reply{}, err
	}
	return r, nil
}

func looseText(v any) string {
	switch v.(type) {
	case bool, []any, map[string]any:
		return string(strictjson.Encode(v))
	}
	return strictjson.Text(v)
}

func checkInfCode(s string) error {
	rule := ""
	switch {
	case s == "":
		rule = RuleMissing
	case len(s) > mostInfCode:
		rule = RuleLength
	case strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == unicode.ReplacementChar
	}):
		rule = RuleFormat
	case s != "0" && oddZero(s):
		rule = RuleFormat
	default:
		return nil
	}
	return &FieldError{Field: "infcode", Rule: rule}
}

// oddZero reports whether s is some spelling of the number zero.
func oddZero(s string) bool {
	s, _, _ = strings.Cut(strings.ToLower(strings.TrimLeft(s, "+-")), "e")
	return strings.Contains(s, "0") && strings.Trim(s, "0.") == ""
}

// integer reports whether s is the JSON literal of an integer of at most nine digits.
func integer(s string) bool {
	d := strings.TrimPrefix(s, "-")
	if d == "" || len(d) > 9 || d[0] == '0' && s != "0" {
		return false
	}
	return strings.Trim(d, "0123456789") == ""
}
