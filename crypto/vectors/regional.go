package vectors

import (
	"encoding/base64"
	"encoding/json"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/sm"
)

// gateway runs header signatures.
func gateway(v *vector, _ sm.Provider) *checks {
	c := &checks{}
	switch v.Profile {
	case "x-tif":
		c.equal("input", v.Input, v.Timestamp+v.Token+v.Nonce+v.Timestamp)
		c.that("signature", v.SignatureHexLower == envelope.TIFSignature(v.Token, v.Timestamp, v.Nonce, false))
	case "csb":
		c.equal("input", v.Input, envelope.CSBInput(v.Params))
		c.that("signature", v.SignatureBase64 == envelope.CSBSign(v.Params, v.SecretKey))
	default:
		return c.fail("unknown profile", nil)
	}
	return c
}

// einvoiceSign runs the sign of e-invoice messages.
func einvoiceSign(v *vector, _ sm.Provider) *checks {
	c := &checks{}
	var key string
	if err := json.Unmarshal(v.Key, &key); err != nil {
		return c.fail("key is not a text", nil)
	}
	if v.DataJSON != "" {
		c.that("data", base64.StdEncoding.EncodeToString([]byte(v.DataJSON)) == v.Data)
	}
	c.equal("signInput", v.SignInput, envelope.EInvoiceInput(v.EInvoiceAppID, v.Data, v.Noise, key, v.Version))
	sign := envelope.EInvoiceSign(v.EInvoiceAppID, v.Data, v.Noise, key, v.Version)
	c.that("sign", v.Sign == sign)
	if v.Body != nil {
		b := v.Body
		c.that("body", b["appid"] == v.EInvoiceAppID && b["data"] == v.Data && b["noise"] == v.Noise &&
			b["sign"] == sign && b["version"] == v.Version)
	}
	return c
}

// coreCainfo runs the construction of the core interface behind OAuth2.
func coreCainfo(v *vector, p sm.Provider) *checks {
	c := &checks{}
	if v.Expect != "" && v.Expect != "accept" {
		return c.fail("expect is not accept", nil)
	}
	var k pair
	if err := json.Unmarshal(v.Key, &k); err != nil {
		return c.fail("key is not an object", nil)
	}
	key, ok := c.load(k)
	if !ok {
		return c
	}
	input, err := envelope.CainfoOpen(p, key.Public(), v.SM2UID, v.ClientID, v.Cainfo, v.InputEncryptedBase64)
	if err != nil {
		return c.fail("open", err)
	}
	c.that("open", string(input) == v.InputText)
	c.equal("signtype", v.SignType, "SM2")
	c.equal("encType", v.EncType, "SM4")
	cainfo, text, err := envelope.CainfoSeal(p, &numbers{p: p, seed: v.ID}, key, v.SM2UID, v.ClientID, []byte(v.InputText))
	if err != nil {
		return c.fail("seal", err)
	}
	c.that("encrypted input", text == v.InputEncryptedBase64)
	_, err = envelope.CainfoOpen(p, key.Public(), v.SM2UID, v.ClientID, cainfo, text)
	c.that("sealed again", err == nil)
	return c
}
