package envelope

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"yiqiao/crypto/sm"
	"yiqiao/schemas/strictjson"
)

// mpc is the envelope of security.md section 2: encData is SM4 of data, signData is SM2 over the
// signing string. epc is the same with another version and lower-case type names, which are signed as
// they are sent.
type mpc struct{ *settings }

// settings holds the secrets of an mpc behind a pointer of its own, because fmt follows one pointer
// of a struct that holds a profile, but never two.
type settings struct {
	party     Party
	uid       []byte
	key       []byte // derived SM4 key
	version   string
	transType string
	encType   string // SM4, and
	signType  string // SM2, as they are written
	dropItems bool
	now       func() time.Time
	p         sm.Provider
	pool      sync.Pool // *scratch
}

func newMPC(p Party, o Options, version string, lowerTypes bool) (Profile, error) {
	encType, signType := "SM4", "SM2"
	switch o.TypeNames {
	case "":
	case "upper":
		lowerTypes = false
	case "lower":
		lowerTypes = true
	default:
		return nil, fmt.Errorf("%w: type names are upper or lower, not %q", ErrConfig, o.TypeNames)
	}
	if lowerTypes {
		encType, signType = "sm4", "sm2"
	}
	if o.Version != "" {
		version = o.Version
	}
	if o.Provider == nil {
		d, err := sm.New("")
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		o.Provider = d
	}
	if p.UID == "" {
		p.UID = sm.DefaultUID
	}
	if p.public() == nil {
		return nil, fmt.Errorf("%w: no private key", ErrConfig)
	}
	if err := p.peers(o.Now); err != nil {
		return nil, err
	}
	if !writable(version) || !writable(o.TransType) {
		return nil, fmt.Errorf("%w: version or transType can not be written", ErrConfig)
	}
	if _, err := sm.Z(o.Provider, p.public(), []byte(p.UID)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	key, err := DeriveKey(o.Provider, p.AppID, p.AppSecret)
	if err != nil {
		return nil, err
	}
	return &mpc{&settings{
		party: p, uid: []byte(p.UID), key: key, version: version, transType: o.TransType, encType: encType, signType: signType,
		dropItems: o.DropEmptyItems, now: o.Now, p: o.Provider,
	}}, nil
}

// Format shows the party without its secrets, whatever the verb.
func (m *mpc) Format(f fmt.State, verb rune) { m.party.Format(f, verb) }

// DeriveKey gives the 16-byte SM4 key of an application (security.md 2.5): SM4-ECB of the secret
// under the first 16 characters of the id, of which the first 16 upper-case hex digits are the
// key. It has 64 bits of variety at most. Deterministic. ErrConfig when the id has fewer than 16
// characters or others than printable ASCII, or when the secret is empty.
func DeriveKey(p sm.Provider, appID, appSecret string) ([]byte, error) {
	if len(appID) < 16 {
		return nil, fmt.Errorf("%w: appId must have at least 16 characters", ErrConfig)
	}
	for _, c := range []byte(appID) {
		if c < 0x21 || c > 0x7e {
			return nil, fmt.Errorf("%w: appId must be printable ASCII", ErrConfig)
		}
	}
	if appSecret == "" || !utf8.ValidString(appSecret) {
		return nil, fmt.Errorf("%w: appSecret must be UTF-8 text", ErrConfig)
	}
	c, err := sm.ECBEncrypt(p, []byte(appID[:16]), []byte(appSecret))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return appendHex(nil, c[:8]), nil
}

// Seal is Profile.Seal.
func (m *mpc) Seal(rand io.Reader, now time.Time, data []byte) (Sealed, error) {
	if data == nil {
		return Sealed{}, refusal("data")
	}
	return m.seal(rand, now, nil, data, strictjson.Request())
}

// SealReply is Profile.SealReply. code is written as a number when it looks like one; success is
// true for "0" only.
func (m *mpc) SealReply(rand io.Reader, now time.Time, code, message string, data []byte) (Sealed, error) {
	if code == "" || !writable(code) || !writable(message) {
		return Sealed{}, refusal("member")
	}
	if code == "0" && data == nil {
		return Sealed{}, refusal("data")
	}
	kind := "error"
	if code == "0" {
		kind = "success"
	}
	var codeValue any = code
	if isNumber(code) {
		codeValue = json.Number(code)
	}
	return m.seal(rand, now, []member{
		{"code", codeValue}, {"message", message}, {"success", code == "0"}, {"type", kind},
	}, data, strictjson.Reply())
}

// seal builds a message of the usual members, more, and data when it is not nil.
func (m *mpc) seal(rand io.Reader, now time.Time, more []member, data []byte, lim strictjson.Limits) (Sealed, error) {
	var store [12]member
	members := append(store[:0], more...)
	members = append(members,
		member{"appId", m.party.AppID}, member{"version", m.version},
		member{"encType", m.encType}, member{"signType", m.signType},
		member{"timestamp", strconv.FormatInt(now.UnixMilli(), 10)})
	if m.transType != "" {
		members = append(members, member{"transType", m.transType})
	}
	if len(members[len(more)+4].value.(string)) != 13 {
		return Sealed{}, refusal("member")
	}
	head := members
	if data != nil {
		members = append(members, member{"data", &dataText{data, lim, true}})
	}
	s := newScratch(&m.pool, false)
	defer s.free(&m.pool)
	text, err := s.signingText(members, m.party.AppSecret)
	if err != nil {
		return Sealed{}, err
	}
	if hasSeparator(text) {
		return Sealed{}, refusal("line-separator")
	}
	sig, err := m.party.sign(m.p, rand, m.uid, text)
	if err != nil {
		if errors.Is(err, sm.ErrRandom) {
			return Sealed{}, fmt.Errorf("%w: %w", refusal("random"), err)
		}
		return Sealed{}, refusal("sign")
	}
	body := make([]byte, 0, 2*len(data)+512)
	for i, h := range head {
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		body = append(appendString(append(body, sep), h.name), ':')
		switch v := h.value.(type) {
		case string:
			body = appendString(body, v)
		case bool:
			body = appendBool(body, v)
		case json.Number:
			body = append(body, v...)
		}
	}
	if data != nil {
		enc, err := sm.AppendECB(s.buf[:0], m.p, m.key, data) // what was built there is in text
		if err != nil {
			return Sealed{}, refusal("sign")
		}
		s.buf = enc
		body = append(appendHex(append(body, `,"encData":"`...), enc), '"')
	}
	body = append(body, `,"signData":"`...)
	body = base64.StdEncoding.AppendEncode(body, sig[:])
	return Sealed{Body: append(body, `"}`...), ContentType: contentType}, nil
}

// outgoing reads data we are asked to seal: a strict JSON object. A request has no exponents; some
// centres write a "no limit" price with one.
func outgoing(data []byte, lim strictjson.Limits) (any, error) {
	v, err := strictjson.Decode(data, lim)
	if err != nil {
		if e := (*strictjson.Error)(nil); errors.As(err, &e) && e.Kind == strictjson.Number {
			return nil, refusal("exponent")
		}
		return nil, refusal("json")
	}
	if _, ok := v.(map[string]any); !ok {
		return nil, refusal("data")
	}
	return v, nil
}

// hasSeparator finds U+2028 and U+2029.
func hasSeparator(text []byte) bool {
	for {
		i := bytes.Index(text, []byte("\xe2\x80"))
		if i < 0 || i+2 >= len(text) {
			return false
		}
		if c := text[i+2]; c == 0xa8 || c == 0xa9 {
			return true
		}
		text = text[i+2:]
	}
}

// writable tells whether s can be a value in a message we write.
func writable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsAny(s, "\u2028\u2029")
}

// isNumber tells whether code reads the same as a JSON integer.
func isNumber(s string) bool {
	n, err := strconv.ParseInt(s, 10, 32)
	return err == nil && strconv.FormatInt(n, 10) == s
}

// Open is Profile.Open.
func (m *mpc) Open(body []byte) ([]byte, Head, error) {
	lim := strictjson.Request()
	lim.Exponent = true
	return m.open(body, lim, nil, false)
}

// OpenReply is Profile.OpenReply.
func (m *mpc) OpenReply(body []byte) ([]byte, Head, error) {
	return m.open(body, strictjson.Reply(), nil, true)
}

// OpenReplyEvidence is Witness.OpenReplyEvidence.
func (m *mpc) OpenReplyEvidence(body []byte) ([]byte, Head, *Evidence, error) {
	e := &Evidence{Secret: true}
	data, head, err := m.open(body, strictjson.Reply(), e, true)
	if err != nil || e.Key == nil {
		return data, head, nil, err
	}
	return data, head, e, nil
}

// open reads, decrypts, verifies, in this order because the signature covers the plain data; the
// data is looked at by nobody before the signature holds. keep, when it is not nil, is filled with what
// was signed.
func (m *mpc) open(body []byte, lim strictjson.Limits, keep *Evidence, reply bool) ([]byte, Head, error) {
	w, err := readWire(body, lim)
	if err != nil {
		return nil, Head{}, err
	}
	if err := w.check(m.party.AppID, reply); err != nil {
		return nil, Head{}, err
	}
	if reply && !w.hasSign {
		if w.head.Code == "0" {
			return nil, Head{}, fault("unsigned")
		}
		return nil, w.head, fault("unsigned-error")
	}
	var plain []byte
	if w.hasEnc || !reply {
		if plain, err = m.decrypt(w); err != nil {
			return nil, Head{}, err
		}
		w.members = append(w.members, member{"data", &dataText{plain, lim, false}})
	}
	s := newScratch(&m.pool, m.dropItems)
	defer s.free(&m.pool)
	text, err := s.signingText(w.members, m.party.AppSecret)
	if err != nil {
		return nil, Head{}, err
	}
	sig, key, err := m.verify(text, w.signData)
	if err != nil {
		return nil, Head{}, err
	}
	if keep != nil {
		keep.Text, keep.Signature, keep.Key, keep.UID = bytes.Clone(text[:len(text)-len(m.party.AppSecret)]), sig, key, m.uid
	}
	return plain, w.head, nil
}

// decrypt gives the plain text of encData.
func (m *mpc) decrypt(w *wire) ([]byte, error) {
	text := w.cipher
	if text == nil {
		var ok bool
		if text, ok = decodeHex(w.encData); !ok {
			return nil, fault("hex")
		}
	}
	plain, err := sm.ECBDecryptIn(m.p, m.key, text)
	switch {
	case errors.Is(err, sm.ErrPadding):
		return nil, fault("padding")
	case err != nil:
		return nil, fault("length")
	}
	return plain, nil
}

// incoming reads data we received. A scalar or an empty array would vanish from the signing string
// or be ambiguous in it.
func incoming(plain []byte, lim strictjson.Limits) (any, error) {
	value, err := strictjson.Decode(plain, lim)
	if err != nil {
		return nil, jsonFault("data-", err)
	}
	switch v := value.(type) {
	case map[string]any:
		return v, nil
	case []any:
		if len(v) > 0 {
			return v, nil
		}
	}
	return nil, fault("data")
}

// verify accepts signData when one of the peer's keys made it over text.
func (m *mpc) verify(text []byte, signData string) (sig sm.Signature, key *sm.PublicKey, err error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(signData)
	if err != nil || strings.ContainsAny(signData, "\r\n") {
		return sig, nil, fault("base64")
	}
	if len(raw) != len(sig) {
		return sig, nil, fault("signature-length")
	}
	copy(sig[:], raw)
	key, err = m.party.verify(m.p, m.uid, text, sig, m.now)
	return sig, key, err
}
