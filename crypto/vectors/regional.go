package vectors

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

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
		c.transport("tif", envelope.TransportConfig{PaasID: v.PaasID, Token: v.Token}, v.Timestamp, time.Second, http.Header{
			"X-Tif-Paasid": {v.PaasID}, "X-Tif-Timestamp": {v.Timestamp}, "X-Tif-Nonce": {v.Nonce}, "X-Tif-Signature": {v.SignatureHexLower}})
	case "csb":
		c.equal("input", v.Input, envelope.CSBInput(v.Params))
		c.that("signature", v.SignatureBase64 == envelope.CSBSign(v.Params, v.SecretKey))
		if len(v.Params) == 4 { // the transport has no further parameters
			h := http.Header{"_api_signature": {v.SignatureBase64}}
			for name, value := range v.Params {
				h[name] = []string{value}
			}
			c.transport("csb", envelope.TransportConfig{APIName: v.Params["_api_name"], APIVersion: v.Params["_api_version"],
				AccessKey: v.Params["_api_access_key"], SecretKey: v.SecretKey}, v.Params["_api_timestamp"], time.Millisecond, h)
		}
	default:
		return c.fail("unknown profile", nil)
	}
	return c
}

// transport holds headers against the centre's side of a transport, at the time they were made.
func (c *checks) transport(name string, config envelope.TransportConfig, stamp string, unit time.Duration, h http.Header) {
	t, err := envelope.NewTransport(name, config)
	if err != nil {
		c.fail("transport", err)
		return
	}
	n, err := strconv.ParseInt(stamp, 10, 50)
	if err != nil {
		c.fail("timestamp", err)
		return
	}
	c.that("headers", t.Check(time.UnixMilli(n*int64(unit/time.Millisecond)), 0, h, nil) == nil)
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

	// The same inside a message.
	profile, err := envelope.New("cainfo", envelope.Party{AppID: v.ClientID, UID: v.SM2UID, Sign: key, Verify: []*sm.PublicKey{key.Public()}}, envelope.Options{Provider: p})
	if err != nil {
		return c.fail("profile", err)
	}
	message, err := json.Marshal(map[string]string{"cainfo": v.Cainfo, "signtype": v.SignType, "encType": v.EncType, "input": v.InputEncryptedBase64})
	if err != nil {
		return c.fail("message", err)
	}
	plain, _, err := profile.Open(message)
	c.that("message", err == nil && string(plain) == `{"input":`+v.InputText+`}`)
	return c
}
