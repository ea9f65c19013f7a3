package vectors

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/schemas/strictjson"
)

// positive follows a message through every step, each against the vector's own intermediate value.
func positive(v *vector, p sm.Provider) *checks {
	c := &checks{}
	if v.Expect != "" && v.Expect != "accept" {
		return c.fail("expect is not accept", nil)
	}
	name, reply, ok := profileOf(v.Profile)
	if !ok {
		return c.fail("unknown profile", nil)
	}
	if v.SignString == nil || v.SignData == nil || v.RequestRaw == nil || v.DataPlaintext == nil ||
		v.EncData == nil || len(v.Wire) == 0 || len(v.Key) == 0 {
		return c.fail("members missing", nil)
	}
	var k pair
	if err := json.Unmarshal(v.Key, &k); err != nil {
		return c.fail("key is not an object of texts", nil)
	}
	key, ok := c.load(k)
	if !ok {
		return c
	}
	c.digest(p, key.Public(), v.SM2UID, *v.SignString, v.ZaHex, v.EHex)
	text, err := envelope.SigningString([]byte(*v.RequestRaw), v.AppSecret)
	if err != nil {
		return c.fail("signString", err)
	}
	c.that("signString", text == *v.SignString)
	c.cipher(v, p)
	c.signature(v, p, key.Public())

	party := envelope.Party{
		AppID: v.AppID, AppSecret: v.AppSecret, UID: v.SM2UID,
		Sign: key, Verify: []*sm.PublicKey{key.Public()},
	}
	profile, err := envelope.New(name, party, envelope.Options{Provider: p})
	if err != nil {
		return c.fail("profile", err)
	}
	open := profile.Open
	if reply {
		open = profile.OpenReply
	}
	data, _, err := open(v.Wire)
	if err != nil {
		return c.fail("open", err)
	}
	c.that("open", string(data) == *v.DataPlaintext)
	c.wireAgrees(v)
	c.again(v, p, profile, reply)
	return c
}

// profileOf: "mpc", "epc", and with "-response" the reply of each.
func profileOf(s string) (name string, reply, ok bool) {
	name, reply = strings.CutSuffix(s, "-response")
	return name, reply, name == "mpc" || name == "epc"
}

// cipher checks the derived key step by step and the deterministic ciphertext.
func (c *checks) cipher(v *vector, p sm.Provider) {
	key, err := envelope.DeriveKey(p, v.AppID, v.AppSecret)
	if err != nil {
		c.fail("sm4 key", err)
		return
	}
	if k := v.SM4Key; k != nil {
		c.equal("step1 key", k.Step1KeyASCII, v.AppID[:16])
		step1, err := sm.ECBEncrypt(p, []byte(v.AppID[:16]), []byte(v.AppSecret))
		c.equal("step1", k.Step1CipherHexUpper, strings.ToUpper(hex.EncodeToString(step1)))
		c.that("sm4 key", err == nil)
		c.equal("sm4 key", k.KeyASCII, string(key))
		c.equal("sm4 key", strings.ToLower(k.KeyHex), hex.EncodeToString(key))
	}
	enc, err := sm.ECBEncrypt(p, key, []byte(*v.DataPlaintext))
	c.that("encData", err == nil && strings.ToUpper(hex.EncodeToString(enc)) == *v.EncData)
}

// signature verifies signData and demands that the raw and the DER form say the same.
func (c *checks) signature(v *vector, p sm.Provider, key *sm.PublicKey) {
	sig, ok := rawSignature(*v.SignData)
	if !c.that("signData form", ok) {
		return
	}
	c.that("signData", p.Verify(key, []byte(v.SM2UID), []byte(*v.SignString), sig) == nil)
	c.equal("signRawHex", strings.ToLower(v.SignRawHex), hex.EncodeToString(sig[:]))
	if v.SignDerBase64 != nil {
		der, err := base64.StdEncoding.DecodeString(*v.SignDerBase64)
		parsed, perr := sm.ParseDER(der)
		c.that("DER", err == nil && perr == nil && parsed == sig && string(sig.DER()) == string(der))
	}
}

// wireAgrees demands that the message on the wire carries the members the vector lists.
func (c *checks) wireAgrees(v *vector) {
	var w struct {
		EncData  string `json:"encData"`
		SignData string `json:"signData"`
	}
	err := json.Unmarshal(v.Wire, &w)
	c.that("wire", err == nil && w.EncData == *v.EncData && w.SignData == *v.SignData)
}

// again seals the same data and opens the result.
func (c *checks) again(v *vector, p sm.Provider, profile envelope.Profile, reply bool) {
	rand := &numbers{p: p, seed: v.ID}
	now := time.UnixMilli(1700000000000)
	seal, open := func() (envelope.Sealed, error) {
		return profile.Seal(rand, now, []byte(*v.DataPlaintext))
	}, profile.Open
	if reply {
		seal, open = func() (envelope.Sealed, error) {
			return profile.SealReply(rand, now, "0", "成功", []byte(*v.DataPlaintext))
		}, profile.OpenReply
	}
	sealed, err := seal()
	if r := (*envelope.Refusal)(nil); errors.As(err, &r) {
		switch r.Code {
		case "exponent", "array-item", "line-separator":
			// We read such data but do not send it (security.md 2.2, 2.3, 2.7).
			c.that("sealing refused by policy: "+r.Code, true)
			return
		}
	}
	if err != nil {
		c.fail("seal", err)
		return
	}
	data, _, err := open(sealed.Body)
	if err != nil {
		c.fail("open what was sealed", err)
		return
	}
	c.that("sealed again", string(data) == *v.DataPlaintext)
}

// rawSignature reads base64 of exactly 64 bytes.
func rawSignature(text string) (sig sm.Signature, ok bool) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(sig) {
		return sig, false
	}
	copy(sig[:], b)
	return sig, true
}

// negative passes when what the vector describes is refused.
func negative(v *vector, p sm.Provider) *checks {
	c := &checks{}
	if v.Expect != "" && v.Expect != "reject" {
		return c.fail("expect is not reject", nil)
	}
	switch v.Op {
	case "verify", "verify-der":
		c.refusedSignature(v, p)
	case "decrypt":
		if v.EncData == nil {
			return c.fail("encData missing", nil)
		}
		key, ok := unhex(v.SM4KeyHex)
		if !ok || len(key) != 16 {
			return c.fail("sm4KeyHex", nil)
		}
		c.that("refused", !readable(p, key, *v.EncData))
	case "load-pub", "load-priv":
		if v.KeyHex == nil {
			return c.fail("keyHex missing", nil)
		}
		var err error
		if v.Op == "load-pub" {
			_, err = keys.ParsePublic(*v.KeyHex)
		} else {
			_, err = keys.ParsePrivate(*v.KeyHex)
		}
		c.that("refused", err != nil)
	case "open-envelope":
		c.refusedMessage(v, p)
	default:
		return c.fail("unknown op "+strings.ToValidUTF8(v.Op, "?"), nil)
	}
	return c
}

// refusedSignature takes user id and text from the vector as they are. The key itself must load:
// otherwise the vector would test something else.
func (c *checks) refusedSignature(v *vector, p sm.Provider) {
	key, err := keys.ParsePublic(v.PubHex)
	if err != nil {
		c.fail("pubHex", err)
		return
	}
	if v.SignString == nil {
		c.fail("signString missing", nil)
		return
	}
	var sig sm.Signature
	ok := false
	switch {
	case v.Op == "verify" && v.SignData != nil:
		sig, ok = rawSignature(*v.SignData)
	case v.Op == "verify-der" && v.SignDerBase64 != nil:
		if der, err := base64.StdEncoding.DecodeString(*v.SignDerBase64); err == nil {
			sig, err = sm.ParseDER(der)
			ok = err == nil
		}
	default:
		c.fail("signature missing", nil)
		return
	}
	c.that("refused", !ok || p.Verify(key, []byte(v.SM2UID), []byte(*v.SignString), sig) != nil)
}

// readable tells whether encData opens to strict JSON under key.
func readable(p sm.Provider, key []byte, encData string) bool {
	text, ok := unhex(encData)
	if !ok {
		return false
	}
	plain, err := sm.ECBDecrypt(p, key, text)
	if err != nil {
		return false
	}
	_, err = strictjson.Decode(plain, strictjson.Reply())
	return err == nil
}

// refusedMessage opens a whole message. Whatever is wrong with the vector's own settings is a
// failure, so that only the message can be the reason of the refusal.
func (c *checks) refusedMessage(v *vector, p sm.Provider) {
	key, err := keys.ParsePublic(v.PubHex)
	if err != nil {
		c.fail("pubHex", err)
		return
	}
	own, err := sm.GenerateKey(&numbers{p: p, seed: "own"}) // a profile needs one; opening does not use it
	if err != nil {
		c.fail("own key", err)
		return
	}
	profile, err := envelope.New("mpc", envelope.Party{
		AppID: v.AppID, AppSecret: v.AppSecret, UID: v.SM2UID,
		Sign: own, Verify: []*sm.PublicKey{key},
	}, envelope.Options{Provider: p})
	if err != nil {
		c.fail("profile", err)
		return
	}
	if len(v.Wire) == 0 {
		c.fail("wire missing", nil)
		return
	}
	var top struct {
		Code *json.RawMessage `json:"code"`
	}
	open := profile.Open
	if _, reply, _ := profileOf(v.Profile); reply || json.Unmarshal(v.Wire, &top) == nil && top.Code != nil {
		open = profile.OpenReply
	}
	data, _, err := open(v.Wire)
	c.that("refused", errors.Is(err, envelope.ErrOpen) && data == nil)
}
