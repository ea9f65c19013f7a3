package envelope

import (
	"encoding/json"
	"strings"

	"yiqiao/schemas/strictjson"
)

// wire is a received message before anything in it is believed.
type wire struct {
	members           []member // all but signData, encData and extra
	head              Head
	encType, signType string
	encData, signData string
	hasEnc, hasSign   bool
	hasCode           bool
}

// readWire reads the top level of a message and the types of the members we know.
func readWire(body []byte, lim strictjson.Limits) (*wire, error) {
	v, err := strictjson.Decode(body, lim)
	if err != nil {
		return nil, jsonFault("", err)
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, fault("member")
	}
	w := &wire{members: make([]member, 0, len(object)+1)}
	for name, value := range object {
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
			if w.encData, ok = value.(string); !ok {
				return nil, fault("member")
			}
			w.hasEnc = true
			continue
		case "signData":
			if value == nil || value == "" {
				continue
			}
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
		w.members = append(w.members, member{name, value})
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
