package bosssoft

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"

	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
)

// obj is a JSON object whose members keep their order: what is sent can be compared to the byte.
type obj []member

type member struct {
	name  string
	value any // string, number, int, obj, []any
}

// number is a JSON number as it is to be written.
type number string

// fen writes an amount with so many decimals, at least two.
func fen(f money.Fen, decimals int) number {
	return number(f.String() + strings.Repeat("0", max(decimals-2, 0)))
}

// set appends a member that has something to say.
func (o *obj) set(name, value string) {
	if value != "" {
		*o = append(*o, member{name, value})
	}
}

func (o *obj) put(name string, value any) { *o = append(*o, member{name, value}) }

// appendJSON writes v.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return strictjson.AppendString(b, v)
	case number:
		return append(b, v...)
	case int:
		return fmt.Appendf(b, "%d", v)
	case obj:
		b = append(b, '{')
		for i, m := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(strictjson.AppendString(b, m.name), ':')
			b = appendJSON(b, m.value)
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, x := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, x)
		}
		return append(b, ']')
	}
	return append(b, "null"...)
}

// pack writes business parameters as they travel.
func pack(in obj, charset string) (string, error) {
	text := appendJSON(nil, in)
	if charset == GB18030 {
		var err error
		if text, err = simplifiedchinese.GB18030.NewEncoder().Bytes(text); err != nil {
			return "", err
		}
	}
	return base64.StdEncoding.EncodeToString(text), nil
}

// outer is the message around the parameters; a reply has the same members.
type outer struct {
	AppID   string `json:"appid"`
	Data    string `json:"data"`
	Noise   string `json:"noise"`
	Sign    string `json:"sign"`
	Version string `json:"version"`
}

// version of the outer message.
const version = "1.0"

// readOuter reads an outer message strictly: exactly one JSON object, no name twice.
func readOuter(b []byte) (m outer, err error) {
	v, err := strictjson.Decode(b, limits())
	if err != nil {
		return m, err
	}
	o, isObject := v.(map[string]any)
	if !isObject {
		return m, fmt.Errorf("a %T", v)
	}
	for name, into := range map[string]*string{"appid": &m.AppID, "data": &m.Data, "noise": &m.Noise, "sign": &m.Sign, "version": &m.Version} {
		s, isText := o[name].(string)
		if !isText || s == "" {
			return m, fmt.Errorf("%s is missing", name)
		}
		*into = s
	}
	return m, nil
}

// inner is what a reply says.
type inner struct {
	result  string
	message []byte // UTF-8
}

// readInner undoes both base64 of a reply whose signature was verified.
func readInner(data, charset string) (in inner, err error) {
	text, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return in, fmt.Errorf("data is not base64")
	}
	v, err := strictjson.Decode(text, limits())
	if err != nil {
		return in, fmt.Errorf("data: %w", err)
	}
	o, _ := v.(map[string]any)
	in.result, _ = o["result"].(string)
	if in.result = strings.TrimSpace(in.result); in.result == "" {
		return in, fmt.Errorf("no result")
	}
	message, isText := o["message"].(string)
	if !isText && o["message"] != nil {
		return in, fmt.Errorf("message is no text")
	}
	if in.message, err = base64.StdEncoding.DecodeString(message); err != nil {
		return in, fmt.Errorf("message is not base64")
	}
	if charset == GB18030 {
		if in.message, err = simplifiedchinese.GB18030.NewDecoder().Bytes(in.message); err != nil {
			return in, fmt.Errorf("message is not GB18030")
		}
	}
	if !utf8.Valid(in.message) {
		return in, fmt.Errorf("message is not UTF-8")
	}
	return in, nil
}

func limits() strictjson.Limits { return strictjson.Reply() }

// textOf is a member of a reply as text, whether it came as text or as a number.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v)
	case json.Number:
		return string(v)
	}
	return ""
}
