package wire

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// column is one member of the outer request, in the order of the table. Lengths are characters.
// fixmedins_name is taken at the longer of the two published lengths (20 and 200).
type column struct {
	name     string
	most     int
	required bool
	get      func(*Request) string
	set      func(*Request, string)
}

// standardMembers counts the members of the table, input apart.
const standardMembers = 17

// columns gives the outer members but input, which comes last. The published insuplc_admdvs is
// required once a person is known, which only the transaction's own table can tell.
func columns() [standardMembers]column {
	return [standardMembers]column{
		{"infno", 6, true, func(r *Request) string { return string(r.Infno) }, func(r *Request, s string) { r.Infno = ident.Infno(s) }},
		{"msgid", 30, true, func(r *Request) string { return string(r.MsgID) }, func(r *Request, s string) { r.MsgID = ident.MsgID(s) }},
		{"mdtrtarea_admvs", 6, true, func(r *Request) string { return r.MdtrtArea }, func(r *Request, s string) { r.MdtrtArea = s }},
		{"insuplc_admdvs", 6, false, func(r *Request) string { return r.InsuplcArea }, func(r *Request, s string) { r.InsuplcArea = s }},
		{"recer_sys_code", 10, true, func(r *Request) string { return r.Receiver }, func(r *Request, s string) { r.Receiver = s }},
		{"dev_no", 100, false, func(r *Request) string { return r.DevNo }, func(r *Request, s string) { r.DevNo = s }},
		{"dev_safe_info", 2000, false, func(r *Request) string { return r.DevSafeInfo }, func(r *Request, s string) { r.DevSafeInfo = s }},
		{"cainfo", 1024, false, func(r *Request) string { return r.CAInfo }, func(r *Request, s string) { r.CAInfo = s }},
		{"signtype", 10, false, func(r *Request) string { return r.SignType }, func(r *Request, s string) { r.SignType = s }},
		{"infver", 6, true, func(r *Request) string { return r.Version }, func(r *Request, s string) { r.Version = s }},
		{"opter_type", 3, true, func(r *Request) string { return r.OperatorType }, func(r *Request, s string) { r.OperatorType = s }},
		{"opter", 30, true, func(r *Request) string { return r.Operator }, func(r *Request, s string) { r.Operator = s }},
		{"opter_name", 50, true, func(r *Request) string { return r.OperatorName }, func(r *Request, s string) { r.OperatorName = s }},
		{"inf_time", 19, true, func(r *Request) string { return r.Time }, func(r *Request, s string) { r.Time = s }},
		{"fixmedins_code", 12, true, func(r *Request) string { return string(r.Institution) }, func(r *Request, s string) { r.Institution = ident.Institution(s) }},
		{"fixmedins_name", 200, true, func(r *Request) string { return r.InstitutionNm }, func(r *Request, s string) { r.InstitutionNm = s }},
		{"sign_no", 30, false, func(r *Request) string { return r.SignNo }, func(r *Request, s string) { r.SignNo = s }},
	}
}

const memberInput = "input"

// EncodeRequest gives the bytes to send: compact JSON, the members in the order of the table, then
// Extra sorted by name, then input, exactly as given. Members that are not required and empty are
// sent as "", as clients in the field do. The same Request gives the same bytes.
//
// The error is a *FieldError: a required member is empty (missing), a member is longer than the
// table says (length, in characters; input only when the message exceeds strictjson.Request
// limits, see InputLimit), one of infno, msgid,
// inf_time and fixmedins_code is not formed as such, a text is not UTF-8, a name in Extra is empty
// or belongs to the table (format), Input is not an object (type) or not compact JSON within
// strictjson.Request limits (format, with Err).
func EncodeRequest(r Request) ([]byte, error) {
	if err := check(&r); err != nil {
		return nil, err
	}
	// The whole message must pass DecodeRequest, so input may not use up its limits.
	lim := strictjson.Request()
	lim.Compact = true
	lim.MaxDepth--
	lim.MaxNodes -= 2 + standardMembers + len(r.Extra)
	if len(r.Input) == 0 {
		return nil, &FieldError{Field: memberInput, Rule: RuleMissing}
	}
	input, err := strictjson.Decode(r.Input, lim)
	if err != nil {
		return nil, &FieldError{Field: memberInput, Rule: RuleFormat, Err: err}
	}
	if _, ok := strictjson.Object(input); !ok {
		return nil, &FieldError{Field: memberInput, Rule: RuleType}
	}
	b := make([]byte, 0, 1024+len(r.Input))
	sep := byte('{')
	for _, c := range columns() {
		b = append(b, sep)
		b = appendMember(b, c.name, c.get(&r))
		sep = ','
	}
	names := make([]string, 0, len(r.Extra))
	for name := range r.Extra {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b = append(b, ',')
		b = appendMember(b, name, r.Extra[name])
	}
	b = append(b, `,"input":`...)
	b = append(b, r.Input...)
	b = append(b, '}')
	if len(b) > lim.MaxBytes {
		return nil, &FieldError{Field: memberInput, Rule: RuleLength}
	}
	return b, nil
}

func appendMember(b []byte, name, value string) []byte {
	b = strictjson.AppendString(b, name)
	b = append(b, ':')
	return strictjson.AppendString(b, value)
}

// check sees to everything but input.
func check(r *Request) error {
	table := columns()
	for _, c := range table {
		v := c.get(r)
		if v == "" {
			if c.required {
				return &FieldError{Field: c.name, Rule: RuleMissing}
			}
			continue
		}
		if len(v) > c.most && utf8.RuneCountInString(v) > c.most {
			return &FieldError{Field: c.name, Rule: RuleLength}
		}
		if !utf8.ValidString(v) || !formed(c.name, v) {
			return &FieldError{Field: c.name, Rule: RuleFormat}
		}
	}
	for name, v := range r.Extra {
		standard := slices.ContainsFunc(table[:], func(c column) bool { return c.name == name })
		if name == "" || name == memberInput || standard || !utf8.ValidString(name) || !utf8.ValidString(v) {
			return &FieldError{Field: short(name), Rule: RuleFormat}
		}
	}
	return nil
}

// short cuts a member name somebody else chose, for an error.
func short(name string) string {
	const most = 64
	return strings.ToValidUTF8(name[:min(len(name), most)], "")
}

// formed checks the members whose form is more than a length.
func formed(name, v string) bool {
	var err error
	switch name {
	case "infno":
		_, err = ident.ParseInfno(v)
	case "msgid":
		_, err = ident.ParseMsgID(v)
	case "fixmedins_code":
		_, err = ident.ParseInstitution(v)
	case "inf_time":
		if len(v) != len(time.DateTime) {
			return false
		}
		_, err = time.Parse(time.DateTime, v)
	}
	return err == nil
}

// DecodeRequest reads a request strictly, within strictjson.Request limits; input is also returned
// decoded. Input holds its very bytes, a copy, which need not be compact. Unknown outer members
// that are strings are kept in Extra (nil when there are none). A null stands for "" where a
// member is not required. What is accepted here and has a compact input, EncodeRequest accepts.
//
// Errors are *strictjson.Error (not JSON, or not an object) or *FieldError: as for EncodeRequest,
// and type for a member that is no string or an input that is no object.
func DecodeRequest(b []byte) (Request, any, error) {
	members, err := strictjson.Members(b, strictjson.Request())
	if err != nil {
		return Request{}, nil, err
	}
	var r Request
	var input any
	table := columns()
	for _, m := range members {
		if m.Name == memberInput {
			r.Input, input = append(r.Input, m.Raw...), m.Value
			continue
		}
		at := slices.IndexFunc(table[:], func(c column) bool { return c.name == m.Name })
		if at >= 0 && m.Value == nil {
			continue
		}
		v, ok := m.Value.(string)
		switch {
		case !ok:
			return Request{}, nil, &FieldError{Field: short(m.Name), Rule: RuleType}
		case at >= 0:
			table[at].set(&r, v)
		default:
			if r.Extra == nil {
				r.Extra = make(map[string]string)
			}
			r.Extra[m.Name] = v
		}
	}
	if err := check(&r); err != nil {
		return Request{}, nil, err
	}
	if input == nil {
		return Request{}, nil, &FieldError{Field: memberInput, Rule: RuleMissing}
	}
	if _, ok := strictjson.Object(input); !ok {
		return Request{}, nil, &FieldError{Field: memberInput, Rule: RuleType}
	}
	return r, input, nil
}
