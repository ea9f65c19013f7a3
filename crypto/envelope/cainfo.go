package envelope

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"yiqiao/crypto/sm"
	"yiqiao/schemas/strictjson"
)

// bearer is the header half of oauth-cainfo: an access token somebody else fetches and judges.
type bearer struct{ c *TransportConfig }

// Format shows no secret, whatever the verb.
func (t *bearer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "transport:oauth-cainfo") }

func newBearer(c TransportConfig) (Transport, error) {
	if c.Bearer == nil && c.Accept == nil {
		return nil, fmt.Errorf("%w: oauth-cainfo needs a source of tokens or a judge of them", ErrConfig)
	}
	return &bearer{&c}, nil
}

// maxToken bounds an access token, bytes.
const maxToken = 4096

// Stamp writes the token of the moment. A token that could not stand in a header is refused.
func (t *bearer) Stamp(_ io.Reader, _ time.Time, h http.Header, _ []byte) error {
	if t.c.Bearer == nil {
		return fault("caller")
	}
	token, err := t.c.Bearer()
	if err != nil {
		return err
	}
	if token == "" || len(token) > maxToken || !visible(token) {
		return fault("caller")
	}
	h.Set("Authorization", "Bearer "+token)
	return nil
}

// Check asks the judge, who knows how long a token lives; skew does not matter.
func (t *bearer) Check(now time.Time, _ time.Duration, h http.Header, _ []byte) error {
	values := h.Values("Authorization")
	if len(values) != 1 || t.c.Accept == nil {
		return fault("caller")
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken || !t.c.Accept(token, now) {
		return fault("caller")
	}
	return nil
}

// cainfo is the body half of oauth-cainfo, profile "cainfo" of New. The data is a core message, and
// two of its members are changed: input becomes base64 of SM4-ECB of its text, cainfo the SM2
// signature over that text, with signtype SM2 and encType SM4. In a reply output becomes base64 text
// likewise, which encType says.
//
// Party.AppID is the client id, 16 bytes, and the SM4 key: it is no secret to anybody on the line, and
// in the one product this is known from replies carry no signature. So the line must be TLS. Where a
// centre does sign, give its keys in Party.Verify: then every reply with output must carry cainfo and
// verify; one without output, a refusal mostly, never does. Sealing needs a key of our own, opening
// requests needs Verify; each side may leave the other out.
type cainfo struct{ s *cainfoSettings }

type cainfoSettings struct {
	party Party
	key   []byte
	uid   []byte
	now   func() time.Time
	p     sm.Provider
}

// Format shows no secret: the client id is the key.
func (c cainfo) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "party:cainfo "+c.s.party.public().Fingerprint())
}

func newCainfo(p Party, o Options) (Profile, error) {
	if o.Provider == nil {
		d, err := sm.New("")
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		o.Provider = d
	}
	if len(p.AppID) != 16 {
		return nil, fmt.Errorf("%w: the client id must be 16 bytes, because it is the SM4 key", ErrConfig)
	}
	if p.public() == nil && len(p.Verify) == 0 {
		return nil, fmt.Errorf("%w: no private key and no public key of the peer", ErrConfig)
	}
	if p.UID == "" {
		p.UID = sm.DefaultUID
	}
	if len(p.Verify) > 0 {
		if err := p.peers(o.Now); err != nil {
			return nil, err
		}
	}
	return cainfo{&cainfoSettings{party: p, key: []byte(p.AppID), uid: []byte(p.UID), now: o.Now, p: o.Provider}}, nil
}

// Seal is Profile.Seal. data is a core message whose input is an object.
func (c cainfo) Seal(rand io.Reader, _ time.Time, data []byte) (Sealed, error) {
	members, err := strictjson.Members(data, strictjson.Request())
	if err != nil {
		return Sealed{}, refusal("json")
	}
	if c.s.party.public() == nil {
		return Sealed{}, refusal("sign")
	}
	return c.seal(rand, members, "input")
}

// SealReply is Profile.SealReply. There is no place for code and message: they are part of data. A
// reply without output, and any reply of a party without a key, goes out unsigned.
func (c cainfo) SealReply(rand io.Reader, _ time.Time, _, _ string, data []byte) (Sealed, error) {
	if len(data) == 0 {
		return Sealed{}, refusal("data")
	}
	members, err := strictjson.Members(data, strictjson.Reply())
	if err != nil {
		return Sealed{}, refusal("json")
	}
	for _, m := range members {
		if m.Name == "output" && m.Value != nil {
			return c.seal(rand, members, "output")
		}
	}
	return Sealed{Body: data, ContentType: contentType}, nil
}

// seal writes members anew, the one called what protected.
func (c cainfo) seal(rand io.Reader, members []strictjson.Member, what string) (Sealed, error) {
	body := []byte{'{'}
	var text []byte
	for _, m := range members {
		switch m.Name {
		case "cainfo", "signtype", "encType":
			continue
		case what:
			text = m.Raw
			continue
		}
		body = append(append(append(appendString(body, m.Name), ':'), m.Raw...), ',')
	}
	if len(text) == 0 || what == "input" && text[0] != '{' {
		return Sealed{}, refusal("data")
	}
	enc, err := sm.ECBEncrypt(c.s.p, c.s.key, text)
	if err != nil {
		return Sealed{}, refusal("sign")
	}
	if c.s.party.public() != nil {
		sig, err := c.s.party.sign(c.s.p, rand, c.s.uid, text)
		if err != nil {
			if errors.Is(err, sm.ErrRandom) {
				return Sealed{}, fmt.Errorf("%w: %w", refusal("random"), err)
			}
			return Sealed{}, refusal("sign")
		}
		body = base64.StdEncoding.AppendEncode(append(body, `"cainfo":"`...), sig[:])
		body = append(body, `","signtype":"SM2",`...)
	}
	body = append(append(body, `"encType":"SM4","`...), what...)
	body = base64.StdEncoding.AppendEncode(append(body, `":"`...), enc)
	return Sealed{Body: append(body, `"}`...), ContentType: contentType}, nil
}

// Open is Profile.Open: data is the core message with its input in the plain and without cainfo,
// signtype and encType, which are about the envelope.
func (c cainfo) Open(body []byte) ([]byte, Head, error) {
	members, err := strictjson.Members(body, strictjson.Request())
	if err != nil {
		return nil, Head{}, jsonFault("", err)
	}
	data, err := c.open(members, "input", strictjson.Request(), nil, true)
	return data, Head{}, err
}

// OpenReply is Profile.OpenReply.
func (c cainfo) OpenReply(body []byte) ([]byte, Head, error) {
	data, err := c.openReply(body, nil)
	return data, Head{}, err
}

// OpenReplyEvidence is Witness.OpenReplyEvidence. Only the output is signed.
func (c cainfo) OpenReplyEvidence(body []byte) ([]byte, Head, *Evidence, error) {
	e := &Evidence{}
	data, err := c.openReply(body, e)
	if err != nil || e.Key == nil {
		return data, Head{}, nil, err
	}
	return data, Head{}, e, nil
}

func (c cainfo) openReply(body []byte, keep *Evidence) ([]byte, error) {
	members, err := strictjson.Members(body, strictjson.Reply())
	if err != nil {
		return nil, jsonFault("", err)
	}
	encrypted, signed, output := false, false, false
	for _, m := range members {
		given := m.Value != nil && m.Value != ""
		switch m.Name {
		case "encType":
			encrypted = strings.EqualFold(strictjson.Text(m.Value), "SM4")
		case "cainfo":
			signed = given
		case "output":
			output = given
		}
	}
	must := len(c.s.party.Verify) > 0
	switch {
	case encrypted:
		return c.open(members, "output", strictjson.Reply(), keep, must)
	case signed: // over what?
		return nil, fault("enctype")
	case output && must:
		return nil, fault("unsigned")
	}
	return body, nil
}

// open gives the message with the member called what in the plain. Nothing is given back before
// the signature holds; must says that there has to be one. keep, when it is not nil, is filled with what was signed.
func (c cainfo) open(members []strictjson.Member, what string, lim strictjson.Limits, keep *Evidence, must bool) ([]byte, error) {
	out := []byte{'{'}
	var enc, sign, encType, signType string
	for _, m := range members {
		var to *string
		switch m.Name {
		case "cainfo":
			to = &sign
		case "signtype":
			to = &signType
		case "encType":
			to = &encType
		case what:
			to = &enc
		default:
			out = append(append(append(appendString(out, m.Name), ':'), m.Raw...), ',')
			continue
		}
		text, ok := m.Value.(string)
		if !ok && m.Value != nil {
			return nil, fault("member")
		}
		*to = text
	}
	switch {
	case !strings.EqualFold(encType, "SM4"):
		return nil, fault("enctype")
	case enc == "":
		return nil, fault("member")
	case sign == "" && must:
		return nil, fault("unsigned")
	case sign != "" && !strings.EqualFold(signType, "SM2"):
		return nil, fault("signtype")
	}
	cipher, err := decode64(enc)
	if err != nil {
		return nil, err
	}
	plain, err := sm.ECBDecryptIn(c.s.p, c.s.key, cipher)
	switch {
	case errors.Is(err, sm.ErrPadding):
		return nil, fault("padding")
	case err != nil:
		return nil, fault("length")
	}
	if sign != "" {
		raw, err := decode64(sign)
		if err != nil {
			return nil, err
		}
		var sig sm.Signature
		if len(raw) != len(sig) {
			return nil, fault("signature-length")
		}
		copy(sig[:], raw)
		key, err := c.s.party.verify(c.s.p, c.s.uid, plain, sig, c.s.now)
		if err != nil {
			return nil, err
		}
		if keep != nil {
			keep.Text, keep.Signature, keep.Key, keep.UID = bytes.Clone(plain), sig, key, c.s.uid
		}
	}
	if _, err := strictjson.Decode(plain, lim); err != nil {
		return nil, jsonFault("data-", err)
	}
	out = append(append(append(append(out, '"'), what...), '"', ':'), plain...)
	return append(out, '}'), nil
}

// decode64 is strict: no line ends, no stray bits.
func decode64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, fault("base64")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, fault("base64")
	}
	return b, nil
}
