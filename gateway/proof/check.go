package proof

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/sm"
	"yiqiao/gateway/audit"
	"yiqiao/schemas/strictjson"
)

// Checking says what a pack is held against. Provider and Keys are required.
type Checking struct {
	Provider sm.Provider
	Keys     []*sm.PublicKey // of the gateway's audit record
	Centre   []*sm.PublicKey // of the centre; none: its signatures are not looked at
	Secret   string          // the application's, where the envelope signs it; "": such signatures are not looked at
	Outside  []audit.SignedHead
}

// What Check can find. The names are permanent.
const (
	FoundForm     = "form"     // not a pack, or changed so that it is not the text it was
	FoundPack     = "pack"     // the pack's own signature does not hold
	FoundHead     = "head"     // a head is not signed by a known key
	FoundItem     = "item"     // an item is not what was noted
	FoundEntry    = "entry"    // an entry is not where it is said to be
	FoundSummary  = "summary"  // the summary says something else than the items
	FoundCentre   = "centre"   // a signature of the centre does not hold
	FoundDiffers  = "differs"  // the centre signed another answer than the one that was kept
	FoundOutside  = "outside"  // a head of the pack is not among those kept elsewhere
	FoundNoBodies = "no-body"  // the full form without a body
	FoundSubject  = "subject"  // the pack is not about what it says
	FoundBodies   = "bodies"   // the masked form with a body
	FoundKeys     = "no-keys"  // there is nothing to check with
	FoundOrder    = "order"    // items refer to entries that are not there
	FoundUnused   = "unused"   // something no item needs
	FoundRepeated = "repeated" // an item is there twice
	FoundGap      = "gap"      // an event in the middle of a transaction's history is missing
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind string `json:"kind"`
	What string `json:"what"`
	ZH   string `json:"zh"`
}

// Result is what Check found. Good is that nothing is wrong; what was not looked at is counted.
type Result struct {
	Good     bool      `json:"good"`
	Form     string    `json:"form"`
	Subject  string    `json:"subject"`
	Findings []Finding `json:"findings"`
	Items    int       `json:"items"`
	Entries  int       `json:"entries"`
	Heads    int       `json:"heads"`
	Outside  int       `json:"outside"` // heads found among those kept elsewhere

	Signed    int     `json:"centre_signed"`   // answers with a signature of the centre
	Verified  int     `json:"centre_verified"` // of these, held against the text
	NotLooked int     `json:"centre_not_looked_at"`
	Summary   Summary `json:"summary"`
}

// Check holds a pack, as JSON or as a page, against public keys. It reads nothing else.
func Check(b []byte, o Checking) Result {
	c := &checking{o: o, r: Result{Findings: []Finding{}}, sm3: o.Provider.SM3}
	if len(o.Keys) == 0 {
		c.found(FoundKeys, "", "没有网关审计公钥, 无法核对")
		return c.r
	}
	p, err := Decode(b)
	if err != nil {
		c.found(FoundForm, err.Error(), "不是证明包, 或内容被改动")
		return c.r
	}
	c.p = p
	c.r.Form, c.r.Subject, c.r.Items, c.r.Entries, c.r.Heads = p.Form, p.Subject, len(p.Items), len(p.Entries), len(p.Heads)
	c.signature()
	c.heads()
	c.items()
	if s, err := summarise(p.Items); err != nil || !s.equal(p.Summary) {
		c.found(FoundSummary, "", "摘要与证明内容不一致")
	}
	c.subject()
	c.gaps()
	c.r.Summary = p.Summary
	c.r.Good = len(c.r.Findings) == 0
	return c.r
}

type checking struct {
	o     Checking
	p     *Pack
	sm3   func(...[]byte) [32]byte
	r     Result
	known []audit.Head // by place; only of those that verify
	good  []bool
}

func (c *checking) found(kind, what, zh string) {
	c.r.Findings = append(c.r.Findings, Finding{kind, what, zh})
}

func (c *checking) signature() {
	text, err := c.p.unsigned()
	var sig sm.Signature
	if err == nil && len(c.p.Sign) == len(sig) {
		copy(sig[:], c.p.Sign)
		for _, k := range c.o.Keys {
			if c.o.Provider.Verify(k, []byte(sm.DefaultUID), text, sig) == nil && k.Fingerprint() == c.p.Key {
				return
			}
		}
	}
	c.found(FoundPack, c.p.Key, "证明包的签名不成立: 内容被改动, 或不是所给公钥对应的网关所签")
}

func (c *checking) heads() {
	c.known, c.good = make([]audit.Head, len(c.p.Heads)), make([]bool, len(c.p.Heads))
	outside := map[string]bool{}
	for _, s := range c.o.Outside {
		if _, err := s.Verify(c.o.Provider, c.o.Keys); err == nil {
			outside[s.Text] = true
		}
	}
	for i, s := range c.p.Heads {
		h, err := s.Verify(c.o.Provider, c.o.Keys)
		if err != nil || s.Key != h.Key {
			c.found(FoundHead, fmt.Sprintf("head %d", i), "签名链头验签失败")
			continue
		}
		c.known[i], c.good[i] = h, true
		switch {
		case outside[s.Text]:
			c.r.Outside++
		case len(c.o.Outside) > 0:
			c.found(FoundOutside, fmt.Sprintf("%s head %d", h.Gateway, h.Number), "链头不在另处保存的链头之中")
		}
	}
}

func (c *checking) items() {
	used, seen := make([]bool, len(c.p.Entries)), map[string]bool{}
	usedHead := make([]bool, len(c.p.Heads))
	for _, it := range c.p.Items {
		if seen[it.Line] {
			c.found(FoundRepeated, it.Line, "同一项出现两次")
		}
		seen[it.Line] = true
		line, err := it.Check(c.sm3)
		what := line.Kind + " " + line.Ref
		if err != nil {
			c.found(FoundItem, what, "与写入审计记录时不同: "+what)
		}
		if err := c.matches(it, line); err != nil {
			c.found(FoundItem, what, "摘要行与其内容不是同一件事: "+what)
		}
		switch {
		case c.p.Form == Full && len(it.Opening.BodySalt) == 0:
			c.found(FoundNoBodies, what, "完整件缺少内容: "+what)
		case c.p.Form == Masked && (len(it.Opening.Body) > 0 || len(it.Opening.Evidence) > 0):
			c.found(FoundBodies, what, "遮盖件不应含内容: "+what)
		}
		if it.Entry < 0 || it.Entry >= len(c.p.Entries) {
			c.found(FoundOrder, what, "所指条目不存在: "+what)
			continue
		}
		e := c.p.Entries[it.Entry]
		used[it.Entry] = true
		if e.Head < 0 || e.Head >= len(c.p.Heads) {
			c.found(FoundOrder, what, "所指链头不存在: "+what)
			continue
		}
		usedHead[e.Head] = true
		if !c.good[e.Head] {
			continue // said already
		}
		if err := e.Check(c.sm3, it.Line, c.known[e.Head]); err != nil {
			c.found(FoundEntry, what, "不在签名链头所证的位置: "+what)
		}
		c.centre(it, what)
	}
	for i, u := range used {
		if !u {
			c.found(FoundUnused, fmt.Sprintf("entry %d", i), "多余的条目")
		}
	}
	for i, u := range usedHead {
		if !u {
			c.found(FoundUnused, fmt.Sprintf("head %d", i), "多余的链头")
		}
	}
}

// matches tells whether what an item opens is about what its line names: the line's words are not under its seal.
func (c *checking) matches(it Item, line audit.Line) error {
	f, err := it.Opening.Fields()
	if err != nil {
		return err
	}
	want := line.Ref
	switch line.Kind {
	case "record", "bill":
		if f[line.Kind] != want {
			return errors.New("another reference")
		}
	case "event":
		if f["record"]+"#"+f["event"] != want {
			return errors.New("another reference")
		}
	case "request", "answer":
		if f["system"] != line.Who {
			return errors.New("another system")
		}
	default:
		return errors.New("a kind that is not shown")
	}
	return nil
}

// centre holds what the centre signed against its key and against the answer that was kept.
func (c *checking) centre(it Item, what string) {
	if len(it.Opening.Evidence) == 0 {
		if f, err := it.Opening.Fields(); err == nil && f["evidence"] != "" {
			c.r.Signed++
			c.r.NotLooked++
		}
		return
	}
	c.r.Signed++
	e, err := envelope.ParseEvidence(it.Opening.Evidence)
	if err != nil {
		c.found(FoundCentre, what, "中心签名的原文无法识别: "+what)
		return
	}
	if !sameAnswer(e, it.Opening.Body) {
		c.found(FoundDiffers, what, "中心签名的内容与保存的应答不同: "+what)
	}
	if len(c.o.Centre) == 0 || e.Secret && c.o.Secret == "" {
		c.r.NotLooked++
		return
	}
	for _, k := range c.o.Centre {
		if e.Verify(c.o.Provider, k, c.o.Secret) == nil {
			c.r.Verified++
			return
		}
	}
	c.found(FoundCentre, what, "中心签名不成立: "+what)
}

// sameAnswer tells whether the text the centre signed is of the answer in body.
func sameAnswer(e *envelope.Evidence, body []byte) bool {
	signed := any(nil)
	if !e.Secret { // the output itself
		signed = read(e.Text)
	} else if signed = signedData(e.Text); signed == nil {
		return false
	}
	kept, ok := read(body).(map[string]any)
	if !ok && len(body) > 0 {
		return false
	}
	message, isObject := signed.(map[string]any)
	if isObject && e.Secret {
		if code := strictjson.Text(message["infcode"]); code != "" && code != "0" {
			return strictjson.Text(kept["infcode"]) == code
		}
		if out, has := message["output"]; has || strictjson.Text(message["infcode"]) == "0" {
			return canonical(out) == canonical(kept)
		}
		// A centre beside the core one: the data is the answer, in a node of its own.
		if len(kept) == 1 {
			for _, node := range kept {
				if canonical(node) == canonical(signed) {
					return true
				}
			}
		}
		if code := strictjson.Text(kept["infcode"]); code != "" {
			return true // refused by the outer code, which the text has as well
		}
	}
	return canonical(signed) == canonical(kept)
}

// signedData finds the member data in a signing text: name=value joined by &, sorted, and the data is JSON.
func signedData(text []byte) any {
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte("data="))
		if i < 0 {
			return nil
		}
		at := from + i
		from = at + 1
		if at > 0 && text[at-1] != '&' {
			continue
		}
		dec := json.NewDecoder(bytes.NewReader(text[at+len("data="):]))
		var raw json.RawMessage
		if dec.Decode(&raw) != nil {
			continue
		}
		if v := read(raw); v != nil {
			return v
		}
	}
}

// canonical is a value as it is signed: numbers as their text, nothing that is empty.
func canonical(v any) string {
	if m, ok := v.(map[string]any); v == nil || ok && len(m) == 0 {
		return ""
	}
	text, err := envelope.SigningString(strictjson.Encode(map[string]any{"v": v}), "")
	if err != nil {
		return err.Error()
	}
	return text
}

// gaps finds events that were left out: they are numbered. What was left out at the end can not be seen.
func (c *checking) gaps() {
	for _, st := range c.p.Summary.Steps {
		for i, e := range st.Events {
			n, err := strconv.Atoi(e.No)
			if err != nil || i == 0 && n > 2 || i > 0 && e.No != strconv.Itoa(next(st.Events[i-1].No)) {
				c.found(FoundGap, st.MsgID, "经过不完整: "+st.MsgID)
				break
			}
		}
	}
}

func next(no string) int {
	n, _ := strconv.Atoi(no)
	return n + 1
}

// subject: the pack is about what it says.
func (c *checking) subject() {
	s := c.p.Summary
	if c.p.Subject == s.Bill && s.Bill != "" {
		return
	}
	for _, st := range s.Steps {
		if st.MsgID == c.p.Subject && c.p.Subject != "" {
			return
		}
	}
	c.found(FoundSubject, strings.TrimSpace(c.p.Subject), "证明包不是关于所写的结算")
}
