package vectors

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"yiqiao/crypto/sm"
)

func provider(t testing.TB, name string) sm.Provider {
	t.Helper()
	p, err := sm.New(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEmbeddedFileHoldsForBothProviders(t *testing.T) {
	r, err := Run(Embedded)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range r.Items {
		if !it.OK {
			t.Errorf("%s %s (%s): %s", it.Section, it.ID, it.Provider, it.Detail)
		}
	}
	if len(r.Skipped) != 0 {
		t.Errorf("skipped %v", r.Skipped)
	}
	// 5 standard, 17 positive, 37 negative, 5 gateway, 2 e-invoice, 2 cainfo; two providers.
	if want := 2 * (5 + 17 + 37 + 5 + 2 + 2); r.Passed != want || len(r.Items) != want {
		t.Errorf("passed %d of %d items, want %d", r.Passed, len(r.Items), want)
	}
	if !r.OK() {
		t.Error("report is not OK")
	}
}

// document is the embedded file as values that a test may change.
func document(t testing.TB) map[string][]map[string]any {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal(Embedded, &all); err != nil {
		t.Fatal(err)
	}
	out := map[string][]map[string]any{}
	for name, raw := range all {
		if section(name) == nil {
			continue
		}
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.UseNumber()
		var list []map[string]any
		if err := d.Decode(&list); err != nil {
			t.Fatal(err)
		}
		out[name] = list
	}
	return out
}

// runOne runs a file of one vector.
func runOne(t testing.TB, p sm.Provider, section string, v map[string]any) Item {
	t.Helper()
	b, err := json.Marshal(map[string]any{section: []any{v}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(b, p)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Items) != 1 {
		t.Fatalf("%d items", len(r.Items))
	}
	return r.Items[0]
}

// checked are the texts of each section whose every change must be noticed.
func checked(section string, v map[string]any) []string {
	switch section {
	case "positive":
		return []string{
			"appId", "appSecret", "sm2Uid", "requestRaw", "signString", "zaHex", "eHex", "signData",
			"signRawHex", "signDerBase64", "dataPlaintext", "encData",
			"key/dHex", "key/dBase64", "key/dBase64JavaBigInteger", "key/pubHex", "key/pubBase64",
			"sm4Key/step1KeyAscii", "sm4Key/step1CipherHexUpper", "sm4Key/keyAscii", "sm4Key/keyHex",
			"wire/appId", "wire/encData", "wire/signData", "wire/version", "wire/encType", "wire/signType",
		}
	case "standard":
		out := []string{"alg"}
		for _, k := range []string{
			"messageAscii", "digestHex", "keyHex", "plainHex", "cipherHex", "dHex", "pubHex", "uid",
			"zaHex", "eHex", "rHex", "sHex", "derHex",
		} {
			if _, ok := v[k]; ok {
				out = append(out, k)
			}
		}
		return out
	case "gateway":
		if v["profile"] == "csb" {
			return []string{"profile", "secretKey", "input", "signatureBase64", "params/_api_name"}
		}
		return []string{"profile", "token", "timestamp", "nonce", "input", "signatureHexLower"}
	case "einvoiceSign":
		return []string{"appid", "key", "dataJson", "data", "noise", "version", "signInput", "sign", "body/sign", "body/data"}
	case "coreCainfo":
		return []string{
			"clientId", "key/dHex", "key/pubHex", "sm2Uid", "inputText", "cainfo", "signtype", "encType",
			"inputEncryptedBase64", "expect",
		}
	}
	return nil
}

// spoil changes one character in the middle of the text to another of its kind.
func spoil(s string) string {
	b := []byte(s)
	for i := len(b) / 2; i < len(b); i++ {
		switch c := b[i]; {
		case c >= '0' && c <= '8', c >= 'a' && c <= 'e', c >= 'A' && c <= 'E', c >= 'g' && c < 'z', c >= 'G' && c < 'Z':
			b[i]++
			return string(b)
		case c == '9':
			b[i] = '1'
			return string(b)
		case c == 'f' || c == 'F' || c == 'z' || c == 'Z':
			b[i]--
			return string(b)
		}
	}
	return "0" + s
}

func TestEveryChangedTextOfAPositiveIsNoticed(t *testing.T) {
	p := provider(t, "emmansun")
	slow := provider(t, "tjfoc")
	for section, list := range document(t) {
		if section == "negative" {
			continue
		}
		for i, v := range list {
			if alg, _ := v["alg"].(string); strings.Contains(alg, "1000000") {
				v["alg"] = "SM4 block" // without its iterations the cipher text is another: fails too
			}
			for _, path := range checked(section, v) {
				holder, name := v, path
				if outer, inner, ok := strings.Cut(path, "/"); ok {
					holder, name = v[outer].(map[string]any), inner
				}
				was, ok := holder[name].(string)
				if !ok {
					t.Fatalf("%s %v has no text %s", section, v["id"], path)
				}
				holder[name] = spoil(was)
				if it := runOne(t, p, section, v); it.OK {
					t.Errorf("%s %s: change of %s to %q not noticed (%s)", section, it.ID, path, holder[name], it.Detail)
				}
				if section == "positive" && i == 0 {
					if it := runOne(t, slow, section, v); it.OK {
						t.Errorf("tjfoc: %s %s: change of %s not noticed", section, it.ID, path)
					}
				}
				holder[name] = was
			}
		}
	}
}

func TestMissingMembersDoNotPass(t *testing.T) {
	p := provider(t, "emmansun")
	doc := document(t)
	for section, needed := range map[string][]string{
		"positive":     {"appId", "appSecret", "key", "requestRaw", "signString", "signData", "dataPlaintext", "encData", "wire", "profile", "sm2Uid"},
		"negative":     {"op"},
		"standard":     {"alg"},
		"gateway":      {"profile"},
		"einvoiceSign": {"key", "sign"},
		"coreCainfo":   {"key", "cainfo", "inputEncryptedBase64", "clientId"},
	} {
		for _, name := range needed {
			v := doc[section][0]
			was := v[name]
			delete(v, name)
			if it := runOne(t, p, section, v); it.OK {
				t.Errorf("%s without %s passes: %s", section, name, it.Detail)
			}
			v[name] = map[string]any{"another": []any{"type"}}
			if it := runOne(t, p, section, v); it.OK {
				t.Errorf("%s with an object as %s passes: %s", section, name, it.Detail)
			}
			v[name] = was
		}
	}
	if it := runOne(t, p, "positive", map[string]any{"id": "x"}); it.OK {
		t.Error("an empty positive passes")
	}
}

// A negative must fail when what it offers is in fact sound, else it proves nothing.
func TestSoundNegativesFail(t *testing.T) {
	doc := document(t)
	good := doc["positive"][0]
	key := good["key"].(map[string]any)
	sound := []map[string]any{
		{"op": "verify", "pubHex": key["pubHex"], "sm2Uid": good["sm2Uid"], "signString": good["signString"], "signData": good["signData"]},
		{"op": "verify-der", "pubHex": key["pubHex"], "sm2Uid": good["sm2Uid"], "signString": good["signString"], "signDerBase64": good["signDerBase64"]},
		{"op": "decrypt", "sm4KeyHex": good["sm4Key"].(map[string]any)["keyHex"], "encData": good["encData"]},
		{"op": "load-pub", "keyHex": key["pubHex"]},
		{"op": "load-priv", "keyHex": key["dHex"]},
		{"op": "open-envelope", "appId": good["appId"], "appSecret": good["appSecret"], "pubHex": key["pubHex"], "sm2Uid": good["sm2Uid"], "wire": good["wire"]},
		{"op": "verify", "pubHex": "04", "sm2Uid": good["sm2Uid"], "signString": "x", "signData": "x"},
		{"op": "open-envelope", "pubHex": key["pubHex"], "wire": good["wire"]},
		{"op": "a new one", "pubHex": key["pubHex"]},
		{"op": "load-pub", "keyHex": "05", "expect": "accept"},
	}
	for _, name := range sm.Names() {
		p := provider(t, name)
		for i, v := range sound {
			if it := runOne(t, p, "negative", v); it.OK {
				t.Errorf("%s: sound negative %d (%v) passes: %s", name, i, v["op"], it.Detail)
			}
		}
	}
}

func TestUnknownSectionsAreNamed(t *testing.T) {
	r, err := Run([]byte(`{"format":1,"rules":"x","zucStream":[{"id":"Z1"}],"fields":{},"more":{"a":1},"gateway":[
		{"id":"T","profile":"x-tif","timestamp":"1","token":"2","nonce":"3","signatureHexLower":"x"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(r.Skipped, ",") != "zucStream,more" {
		t.Errorf("skipped %v", r.Skipped)
	}
	if r.Failed != 2 || r.Passed != 0 || r.OK() {
		t.Errorf("passed %d failed %d", r.Passed, r.Failed)
	}
}

func TestMalformedFiles(t *testing.T) {
	for _, text := range []string{
		"", "null", "[]", "{", "{}", `{"format":1}`, `{"other":[1]}`, `{"positive":{}}`, `{"positive":null}`,
		`{"positive":[1]}`, `{"positive":["x"]}`, `{"positive":[[]]}`, `{"gateway":[]}`, `{"gateway":[{}]} x`,
		"{\"gateway\":[{\"id\":\"\xff\"}]}", strings.Repeat(`{"a":`, 20000),
	} {
		if r, err := Run([]byte(text)); !errors.Is(err, ErrFile) {
			t.Errorf("%.40q: %v, %d items", text, err, len(r.Items))
		}
	}
	if _, err := Run(Embedded, nil); !errors.Is(err, ErrFile) {
		t.Errorf("nil provider: %v", err)
	}
}

func TestRunIsRepeatable(t *testing.T) {
	a, err := Run(Embedded, provider(t, "emmansun"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Run(Embedded, provider(t, "emmansun"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range a.Items {
		if a.Items[i] != b.Items[i] {
			t.Errorf("%+v then %+v", a.Items[i], b.Items[i])
		}
	}
}

func FuzzRun(f *testing.F) {
	for section, list := range document(f) {
		for i, v := range list {
			if i%7 != 0 || strings.Contains(v["id"].(string), "SM4-2") {
				continue
			}
			b, err := json.Marshal(map[string]any{section: []any{v}})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Add([]byte(`{"positive":[{"key":{},"sm4Key":{},"wire":{}}],"negative":[{"op":"verify"}],"x":[]}`))
	p := provider(f, "emmansun")
	f.Fuzz(func(t *testing.T, file []byte) {
		if strings.Contains(string(file), "iteration") {
			return // bounded, but too long for a fuzz step
		}
		r, err := Run(file, p)
		if err != nil && !errors.Is(err, ErrFile) {
			t.Fatalf("error is not ErrFile: %v", err)
		}
		if r.Passed+r.Failed != len(r.Items) {
			t.Fatalf("%d + %d of %d", r.Passed, r.Failed, len(r.Items))
		}
	})
}
