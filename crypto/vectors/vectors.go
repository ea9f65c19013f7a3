// Package vectors runs published test vectors against our cryptography: the standards' own
// examples, the signed and encrypted messages of the insurance envelope, messages that must be
// refused, gateway signatures, e-invoice signs and the cainfo construction.
//
// Run takes any file in the format of envelope.json (its member "fields" describes it), so a
// second, independently made file checks the same code.
package vectors

import (
	"bytes"
	_ "embed" // for envelope.json
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"yiqiao/crypto/sm"
)

// Embedded is the file that is kept with the source. It must not be changed in place.
//
//go:embed envelope.json
var Embedded []byte

const maxFile = 64 << 20 // bytes

// ErrFile is wrapped by every error of Run: the file is not in the format, or holds nothing that
// can be run. A vector that fails is not an error but an Item.
var ErrFile = errors.New("vectors: invalid file")

// Item is the result of one vector with one provider.
type Item struct {
	ID       string `json:"id"`      // of the vector; "#n" when it has none
	Section  string `json:"section"` // member of the file: positive, negative, standard ...
	Provider string `json:"provider"`
	OK       bool   `json:"ok"`
	Detail   string `json:"detail"` // what was checked, or what went wrong
}

// Report is the result of a file.
type Report struct {
	Items  []Item `json:"items"`
	Passed int    `json:"passed"`
	Failed int    `json:"failed"`
	// Skipped names the sections (arrays and objects) of the file that Run does not know.
	Skipped []string `json:"skipped,omitempty"`
}

// OK tells whether something was run and nothing failed.
func (r Report) OK() bool { return r.Failed == 0 && r.Passed > 0 }

// describing are the members of a file that hold no vectors.
func describing(name string) bool {
	switch name {
	case "format", "kind", "generated", "profileDefinition", "fields", "rules":
		return true
	}
	return false
}

// Run runs every vector of every known section of file with every provider; without providers,
// with all of them. An unknown section is named in Skipped, an unknown op or algorithm is a
// failure. The signatures made on the way draw on a fixed source, so a run can be repeated with
// the same result; nothing it makes may be used outside. It never panics; the error wraps ErrFile
// when file is malformed or nothing was run.
func Run(file []byte, providers ...sm.Provider) (Report, error) {
	if len(providers) == 0 {
		for _, name := range sm.Names() {
			p, err := sm.New(name)
			if err != nil {
				return Report{}, err
			}
			providers = append(providers, p)
		}
	}
	for _, p := range providers {
		if p == nil {
			return Report{}, fmt.Errorf("%w: no provider", ErrFile)
		}
	}
	sections, err := split(file)
	if err != nil {
		return Report{}, err
	}
	var r Report
	for _, sec := range sections {
		check := section(sec.name)
		if check == nil {
			if (sec.raw[0] == '[' || sec.raw[0] == '{') && !describing(sec.name) {
				r.Skipped = append(r.Skipped, sec.name)
			}
			continue
		}
		var raws []json.RawMessage
		if err := json.Unmarshal(sec.raw, &raws); err != nil || raws == nil {
			return Report{}, fmt.Errorf("%w: section %s is not an array", ErrFile, sec.name)
		}
		for i, raw := range raws {
			v, err := read(raw)
			if err != nil {
				return Report{}, fmt.Errorf("%w: %s %d is not an object", ErrFile, sec.name, i)
			}
			if v.ID == "" {
				v.ID = fmt.Sprintf("#%d", i)
			}
			for _, p := range providers {
				r.add(Item{ID: v.ID, Section: sec.name, Provider: p.Name()}, check(v, p))
			}
		}
	}
	if len(r.Items) == 0 {
		return r, fmt.Errorf("%w: no vector of a known section", ErrFile)
	}
	return r, nil
}

// part is one member of the file.
type part struct {
	name string
	raw  json.RawMessage
}

// split reads the top level of a file. Inside it stays as loose as encoding/json: a vector may
// hold a message that repeats a member, which is then for the envelope to refuse.
func split(file []byte) ([]part, error) {
	if len(file) > maxFile || !utf8.Valid(file) {
		return nil, fmt.Errorf("%w: too large or not UTF-8", ErrFile)
	}
	d := json.NewDecoder(bytes.NewReader(file))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("%w: not a JSON object", ErrFile)
	}
	var out []part
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		var raw json.RawMessage
		if err == nil {
			err = d.Decode(&raw)
		}
		if err != nil || !ok || len(raw) == 0 {
			return nil, fmt.Errorf("%w: not JSON", ErrFile)
		}
		out = append(out, part{name, raw})
	}
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		return nil, fmt.Errorf("%w: not JSON", ErrFile)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: text after the end", ErrFile)
	}
	return out, nil
}

// read reads one vector. A member of another type than ours is left out, as if it were absent:
// the checks that need it fail, and members we do not use may be anything.
func read(raw json.RawMessage) (*vector, error) {
	v := &vector{}
	err := json.Unmarshal(raw, v)
	if e := (*json.UnmarshalTypeError)(nil); errors.As(err, &e) && raw[0] == '{' {
		err = nil
	}
	return v, err
}

func (r *Report) add(it Item, c *checks) {
	it.OK, it.Detail = c.result()
	if it.OK {
		r.Passed++
	} else {
		r.Failed++
	}
	r.Items = append(r.Items, it)
}

// section gives the check of the vectors of a section, nil when the section is unknown.
func section(name string) func(*vector, sm.Provider) *checks {
	switch name {
	case "standard":
		return standard
	case "positive":
		return positive
	case "negative":
		return negative
	case "gateway":
		return gateway
	case "einvoiceSign":
		return einvoiceSign
	case "coreCainfo":
		return coreCainfo
	}
	return nil
}

// vector is the union of the members of all sections.
type vector struct {
	ID            string `json:"id"`
	Profile       string
	Op            string
	Alg           string
	Expect        string
	AppID         string          `json:"appId"`
	AppSecret     string          `json:"appSecret"`
	Key           json.RawMessage `json:"key"` // an object, or the text key of an e-invoice
	UID           string          `json:"uid"`
	SM2UID        string          `json:"sm2Uid"`
	RequestRaw    *string         `json:"requestRaw"`
	SignString    *string         `json:"signString"`
	ZaHex         string          `json:"zaHex"`
	EHex          string          `json:"eHex"`
	SignData      *string         `json:"signData"`
	SignRawHex    string          `json:"signRawHex"`
	SignDerBase64 *string         `json:"signDerBase64"`
	SM4Key        *struct {
		Step1KeyASCII       string `json:"step1KeyAscii"`
		Step1CipherHexUpper string `json:"step1CipherHexUpper"`
		KeyASCII            string `json:"keyAscii"`
		KeyHex              string `json:"keyHex"`
	} `json:"sm4Key"`
	DataPlaintext *string         `json:"dataPlaintext"`
	EncData       *string         `json:"encData"`
	Wire          json.RawMessage `json:"wire"`

	PubHex    string  `json:"pubHex"`
	DHex      string  `json:"dHex"`
	KeyHex    *string `json:"keyHex"`
	SM4KeyHex string  `json:"sm4KeyHex"`

	MessageASCII *string `json:"messageAscii"`
	MessageHex   *string `json:"messageHex"`
	DigestHex    string  `json:"digestHex"`
	PlainHex     string  `json:"plainHex"`
	CipherHex    string  `json:"cipherHex"`
	RHex         string  `json:"rHex"`
	SHex         string  `json:"sHex"`
	DerHex       string  `json:"derHex"`

	PaasID            string            `json:"paasid"`
	Token             string            `json:"token"`
	Timestamp         string            `json:"timestamp"`
	Nonce             string            `json:"nonce"`
	Input             string            `json:"input"`
	SignatureHexLower string            `json:"signatureHexLower"`
	SignatureBase64   string            `json:"signatureBase64"`
	SecretKey         string            `json:"secretKey"`
	Params            map[string]string `json:"params"`

	EInvoiceAppID string            `json:"appid"`
	DataJSON      string            `json:"dataJson"`
	Data          string            `json:"data"`
	Noise         string            `json:"noise"`
	Version       string            `json:"version"`
	SignInput     string            `json:"signInput"`
	Sign          string            `json:"sign"`
	Body          map[string]string `json:"body"`

	ClientID             string `json:"clientId"`
	InputText            string `json:"inputText"`
	Cainfo               string `json:"cainfo"`
	SignType             string `json:"signtype"`
	EncType              string `json:"encType"`
	InputEncryptedBase64 string `json:"inputEncryptedBase64"`
}

// pair is the member key of the envelope sections.
type pair struct {
	DHex    string `json:"dHex"`
	DBase64 string `json:"dBase64"`
	DJava   string `json:"dBase64JavaBigInteger"`
	PubHex  string `json:"pubHex"`
	PubB64  string `json:"pubBase64"`
}
