package doctor

import (
	"bytes"
	"encoding/json"
	"strings"

	"yiqiao/crypto/envelope"
	"yiqiao/schemas/strictjson"
)

// node is a JSON value that remembers the order of its members and how its numbers were written.
type node struct {
	kind  byte // { [ s n b 0
	text  string
	names []string
	kids  []*node
	forms *[numberRules]string // kind n: its text by each rule
}

func (n *node) empty() bool {
	switch n.kind {
	case '0':
		return true
	case 's':
		return n.text == ""
	case '[':
		return len(n.kids) == 0
	}
	return false
}

// member gives the value of a member, nil when there is none.
func (n *node) member(name string) *node {
	for i, m := range n.names {
		if m == name {
			return n.kids[i]
		}
	}
	return nil
}

func (n *node) scalar() bool { return n.kind != '{' && n.kind != '[' }

// parseTree reads what strictjson accepts.
func parseTree(b []byte) (*node, error) {
	if _, err := strictjson.Decode(b, strictjson.Reply()); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return readTree(d)
}

// readTree recurses no deeper than strictjson has allowed.
func readTree(d *json.Decoder) (*node, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch v := t.(type) {
	case string:
		return &node{kind: 's', text: v}, nil
	case json.Number:
		n := &node{kind: 'n', text: string(v)}
		n.forms = numberForms(n.text)
		return n, nil
	case bool:
		n := &node{kind: 'b', text: "false"}
		if v {
			n.text = "true"
		}
		return n, nil
	case json.Delim:
		n := &node{kind: byte(v)}
		for d.More() {
			if v == '{' {
				name, err := d.Token()
				if err != nil {
					return nil, err
				}
				s, _ := name.(string)
				n.names = append(n.names, s)
			}
			kid, err := readTree(d)
			if err != nil {
				return nil, err
			}
			n.kids = append(n.kids, kid)
		}
		_, err := d.Token()
		return n, err
	}
	return &node{kind: '0', text: "null"}, nil
}

// same compares values as JSON: the order of members and the way numbers are written do not count.
func same(a, b *node) bool {
	if a.kind != b.kind || len(a.kids) != len(b.kids) {
		return false
	}
	switch a.kind {
	case 'n':
		return a.forms[numberPlain] == b.forms[numberPlain] || a.forms[numberJS] == b.forms[numberJS]
	case '{':
		index := make(map[string]*node, len(b.names))
		for i, name := range b.names {
			index[name] = b.kids[i]
		}
		for i, name := range a.names {
			if o := index[name]; o == nil || !same(a.kids[i], o) {
				return false
			}
		}
		return true
	case '[':
		for i := range a.kids {
			if !same(a.kids[i], b.kids[i]) {
				return false
			}
		}
		return true
	}
	return a.text == b.text
}

// source is the message in the shape the search works on.
type source struct {
	kind    string // plain, wire, text
	root    *node  // plain and wire; nil for text
	raw     []byte // the whole message
	rawOf   []string
	enc     string // encData as it travels, "" when unknown
	dataAt  int    // index of data in root, -1
	dataRaw string
	secret  string
	head    string // text: up to the key, without & before it
	hasKey  bool   // text: there was one
	noData  bool   // wire: encData could not be read
}

// setRoot takes a parsed object.
func (s *source) setRoot(raw []byte, root *node) {
	s.root, s.raw, s.dataAt = root, raw, -1
	if members, err := strictjson.Members(raw, strictjson.Reply()); err == nil {
		for _, m := range members {
			s.rawOf = append(s.rawOf, string(m.Raw))
		}
	}
	for i, name := range root.names {
		if name == "data" {
			s.dataAt = i
			s.dataRaw = s.rawOf[i]
		}
	}
}

// addData puts decrypted data where encData stood.
func (s *source) addData(plain []byte, data *node) {
	at := len(s.root.names)
	for i, name := range s.root.names {
		if name == "encData" {
			at = i + 1
		}
	}
	r := *s.root
	r.names = append(append(append([]string(nil), r.names[:at]...), "data"), s.root.names[at:]...)
	r.kids = append(append(append([]*node(nil), r.kids[:at]...), data), s.root.kids[at:]...)
	s.rawOf = append(append(append([]string(nil), s.rawOf[:at]...), string(plain)), s.rawOf[at:]...)
	s.root, s.dataAt, s.dataRaw = &r, at, string(plain)
}

// splitKey parts a text at its last "key=" that stands alone or behind &.
func splitKey(text string) (head, tail string, ok bool) {
	i := strings.LastIndex(text, "&key=")
	if i < 0 {
		if rest, found := strings.CutPrefix(text, "key="); found {
			return "", rest, true
		}
		return text, "", false
	}
	return text[:i], text[i+len("&key="):], true
}

// masked tells whether a secret was replaced by stars or the like.
func masked(tail string) bool {
	tail = strings.TrimSpace(tail)
	return tail != "" && strings.Trim(tail, "*xX.…•●") == ""
}

// specNumber is the text of a number as the envelope signs it.
func specNumber(lit string) string {
	text, err := envelope.SigningString([]byte(`{"n":`+lit+`}`), "")
	if err != nil {
		return lit
	}
	return strings.TrimSuffix(strings.TrimPrefix(text, "n="), "&key=")
}
