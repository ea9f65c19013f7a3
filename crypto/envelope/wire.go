package envelope

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"yiqiao/schemas/strictjson"
)

// wire is a received message before anything in it is believed.
type wire struct {
	members           []member // all but signData, encData and extra
	head              Head
	encType, signType string
	encData           []byte // hex as it came, and nil when it is in cipher
	cipher            []byte // what the hex says
	signData          string
	hasEnc, hasSign   bool
	hasCode           bool
}

// readWire reads the top level of a message and the types of the members we know.
func readWire(body []byte, lim strictjson.Limits) (*wire, error) {
	members, ok := flat(body, lim)
	if !ok {
		v, err := strictjson.Decode(body, lim)
		if err != nil {
			return nil, jsonFault("", err)
		}
		object, ok := v.(map[string]any)
		if !ok {
			return nil, fault("member")
		}
		members = make([]member, 0, len(object)+1)
		for name, value := range object {
			members = append(members, member{name, value})
		}
	}
	return newWire(members)
}

// maxFlat is how many members a message has at most; one with more is read the long way.
const maxFlat = 16

// flat gives the members of a message whose values are strings without escapes, and nothing else:
// what a message usually is. Everything that is more, or wrong, is for strictjson to read. encData, most of
// the message, is read once: as hex, which has nothing that would have to be looked for in a string.
func flat(body []byte, lim strictjson.Limits) ([]member, bool) {
	c := canon{src: body}
	i := c.blanks(0)
	if i >= len(body) || body[i] != '{' || len(body) > lim.MaxBytes || lim.MaxNodes <= maxFlat {
		return nil, false
	}
	from, to := 0, 0 // of encData in body
	members := make([]member, 0, maxFlat)
	for i = c.blanks(i + 1); ; i = c.blanks(i + 1) {
		name, next, ok := c.bare(i)
		if !ok || len(members) == maxFlat-1 { // one place is left for data
			return nil, false
		}
		for _, m := range members {
			if m.name == string(name) {
				return nil, false
			}
		}
		if i = c.blanks(next); i >= len(body) || body[i] != ':' {
			return nil, false
		}
		m := member{name: known(name)}
		i = c.blanks(i + 1)
		if m.name == "encData" && i < len(body) && body[i] == '"' {
			from = i + 1
			to = from + bytes.IndexByte(body[from:], '"')
			if to < from {
				return nil, false
			}
			b, ok := decodeHex(body[from:to])
			if !ok {
				return nil, false
			}
			m.value, i = cipherText(b), to+1
		} else if text, next, ok := c.bare(i); !ok {
			if m.value, i, ok = c.scalar(i); !ok {
				return nil, false
			}
		} else {
			m.value, i = known(text), next
		}
		members = append(members, m)
		if i = c.blanks(i); i >= len(body) || body[i] != ',' {
			break
		}
	}
	if i >= len(body) || body[i] != '}' || c.blanks(i+1) != len(body) || !utf8.Valid(body[:from]) || !utf8.Valid(body[to:]) {
		return nil, false
	}
	return members, true
}

// cipherText is the value of encData, no longer hex.
type cipherText []byte

// bare gives what stands between the quotes of the string at i when it has no escapes.
func (c *canon) bare(i int) (text []byte, next int, ok bool) {
	if i >= len(c.src) || c.src[i] != '"' {
		return nil, i, false
	}
	end := plainRun(c.src, i+1)
	if end >= len(c.src) || c.src[end] != '"' {
		return nil, end, false
	}
	return c.src[i+1 : end], end + 1, true
}

// known is string(text) without making the words that most messages have.
func known(text []byte) string {
	switch string(text) {
	case "appId":
		return "appId"
	case "code":
		return "code"
	case "encData":
		return "encData"
	case "encType":
		return "encType"
	case "message":
		return "message"
	case "signData":
		return "signData"
	case "signType":
		return "signType"
	case "success":
		return "success"
	case "timestamp":
		return "timestamp"
	case "transType":
		return "transType"
	case "type":
		return "type"
	case "version":
		return "version"
	case "SM2":
		return "SM2"
	case "SM4":
		return "SM4"
	}
	return string(text)
}

// scalar reads true, false or null, or a plain integer.
func (c *canon) scalar(i int) (v any, next int, ok bool) {
	if i >= len(c.src) {
		return nil, i, false
	}
	rest := c.src[i:]
	switch {
	case bytes.HasPrefix(rest, []byte("true")):
		return true, i + 4, true
	case bytes.HasPrefix(rest, []byte("false")):
		return false, i + 5, true
	case bytes.HasPrefix(rest, []byte("null")):
		return nil, i + 4, true
	}
	next = digitRun(c.src, i)
	if n := next - i; n == 0 || n > maxPlainNumber || n > 1 && rest[0] == '0' || next == len(c.src) || c.src[next] != ',' && c.src[next] != '}' {
		return nil, i, false
	}
	return json.Number(rest[:next-i]), next, true
}

// newWire sorts out the members.
func newWire(members []member) (*wire, error) {
	w := &wire{members: members[:0]}
	for _, m := range members {
		name, value := m.name, m.value
		var to *string
		number := false
		switch name {
		case "extra":
			continue
		case "data":
			return nil, fault("member") // would stand beside what encData holds
		case "encData":
			if value == nil {
				continue
			}
			switch v := value.(type) {
			case cipherText:
				w.cipher = v
			case string:
				w.encData = []byte(v)
			default:
				return nil, fault("member")
			}
			w.hasEnc = true
			continue
		case "signData":
			if value == nil || value == "" {
				continue
			}
			var ok bool
			if w.signData, ok = value.(string); !ok {
				return nil, fault("member")
			}
			w.hasSign = true
			continue
		case "appId":
			to = &w.head.AppID
		case "version":
			to = &w.head.Version
		case "transType":
			to = &w.head.TransType
		case "encType":
			to = &w.encType
		case "signType":
			to = &w.signType
		case "message":
			to = &w.head.Message
		case "timestamp":
			to, number = &w.head.Timestamp, true
		case "code":
			to, number = &w.head.Code, true
			w.hasCode = value != nil
		default:
			// = or & in a name would let one signing string belong to two messages.
			if strings.ContainsAny(name, "=&") {
				return nil, fault("member")
			}
		}
		if to != nil {
			switch v := value.(type) {
			case nil:
			case string:
				*to = v
			case json.Number:
				if !number {
					return nil, fault("member")
				}
				*to = numberText(string(v))
			default:
				return nil, fault("member")
			}
		}
		w.members = append(w.members, m)
	}
	return w, nil
}

// check looks at the top-level members before anything is decrypted. Requests must have all of
// them; in replies of old middle platforms appId, types and timestamp may be missing.
func (w *wire) check(appID string, reply bool) error {
	if w.head.AppID != appID && (!reply || w.head.AppID != "") {
		return fault("appid")
	}
	if !strings.EqualFold(w.encType, "SM4") && (!reply || w.encType != "") {
		return fault("enctype")
	}
	if !strings.EqualFold(w.signType, "SM2") && (!reply || w.signType != "") {
		return fault("signtype")
	}
	if !isTime(w.head.Timestamp) && (!reply || w.head.Timestamp != "") {
		return fault("timestamp")
	}
	if reply {
		if !w.hasCode || w.head.Code == "" {
			return fault("member")
		}
		return nil
	}
	if !w.hasEnc || !w.hasSign {
		return fault("member")
	}
	return nil
}

// isTime accepts 13 digits (milliseconds) and 14 (yyyyMMddHHmmss, in one documentation).
func isTime(s string) bool {
	if len(s) != 13 && len(s) != 14 {
		return false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
