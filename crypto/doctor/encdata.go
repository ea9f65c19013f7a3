package doctor

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/sm"
)

// encHit is one way to read an encData.
type encHit struct {
	plain []byte // UTF-8
	tree  *node
	set   []Finding // how it was made otherwise
}

func encFinding(code, zh, en string) Finding {
	return Finding{Code: code, ZH: zh, EN: en,
		FixZH: "请加密的一方改为: 密钥取 SM4-ECB(appId 前 16 位, appSecret) 的大写十六进制前 16 字符; 数据用 SM4-ECB-PKCS7, 输出大写十六进制",
		FixEN: "the encrypting side should: derive the key as the first 16 upper-case hex digits of SM4-ECB(appId[:16], appSecret); encrypt with SM4-ECB-PKCS7; write upper-case hex"}
}

type namedKey struct {
	key []byte
	odd []Finding
}

// sm4Keys are the keys a side may have derived, the specified one first.
func (x *exam) sm4Keys() []namedKey {
	id, secret := x.c.AppID, x.c.AppSecret
	var all []namedKey
	seen := map[string]bool{}
	add := func(key string, code, zh, en string) {
		if len(key) != 16 || seen[key] {
			return
		}
		seen[key] = true
		k := namedKey{key: []byte(key)}
		if code != "" {
			k.odd = []Finding{encFinding(code, zh, en)}
		}
		all = append(all, k)
	}
	if key, err := envelope.DeriveKey(x.p, id, secret); err == nil {
		add(string(key), "", "", "")
	}
	if len(id) >= 16 && secret != "" {
		if c, err := sm.ECBEncrypt(x.p, []byte(id[:16]), []byte(secret)); err == nil {
			text := hex.EncodeToString(c)
			add(text[:16], "sm4-key-hex-lower", "SM4 密钥取了小写十六进制", "the SM4 key was taken from lower-case hex")
			add(strings.ToUpper(text[len(text)-16:]), "sm4-key-hex-tail", "SM4 密钥取了十六进制的最后 16 字符", "the SM4 key was taken from the last 16 hex digits")
			add(first(base64.StdEncoding.EncodeToString(c), 16), "sm4-key-base64", "SM4 密钥取了 base64 的前 16 字符, 不是十六进制", "the SM4 key was taken from base64 instead of hex")
			add(string(c[:16]), "sm4-key-raw", "SM4 密钥直接用了密文的前 16 字节, 没有转十六进制", "the SM4 key is the first 16 bytes of the ciphertext, not of its hex")
		}
	}
	if len(secret) >= 16 {
		add(secret[:16], "sm4-key-secret", "SM4 密钥直接用了 appSecret 的前 16 位", "the SM4 key is the first 16 characters of the appSecret")
		add(secret[len(secret)-16:], "sm4-key-secret-tail", "SM4 密钥直接用了 appSecret 的后 16 位", "the SM4 key is the last 16 characters of the appSecret")
		if id != "" {
			if c, err := sm.ECBEncrypt(x.p, []byte(secret[:16]), []byte(id)); err == nil {
				add(strings.ToUpper(hex.EncodeToString(c))[:16], "sm4-key-swapped", "派生 SM4 密钥时 appId 与 appSecret 颠倒", "appId and appSecret were swapped when the SM4 key was derived")
			}
		}
	}
	if len(id) >= 16 {
		add(id[:16], "sm4-key-appid", "SM4 密钥直接用了 appId 的前 16 位", "the SM4 key is the first 16 characters of the appId")
	}
	if b := unhex(secret); isHex(secret) && len(b) == 16 {
		add(string(b), "sm4-key-secret-hex", "SM4 密钥是把 appSecret 当十六进制解码", "the SM4 key is the appSecret decoded as hex")
	}
	if secret != "" {
		d := x.p.SM3([]byte(secret))
		add(string(d[:16]), "sm4-key-sm3", "SM4 密钥用了 SM3(appSecret) 的前 16 字节", "the SM4 key is the first 16 bytes of SM3(appSecret)")
	}
	return all
}

// readEnc tries every way to read an encData; the hits with the fewest deviations are given.
func (x *exam) readEnc(text string) (best []encHit, tried int) {
	for _, d := range decodings(text, true) {
		if len(d.b)%16 != 0 || len(d.b) == 0 {
			continue
		}
		var odd []Finding
		switch {
		case d.found == "hex" && strings.ContainsAny(text, "abcdef"):
			odd = []Finding{encFinding("enc-hex-lower", "encData 是小写十六进制 (我方接受, 严格的一方会拒绝)", "encData is lower-case hex (we accept it, a strict side refuses)")}
		case d.found == "hex":
		default:
			odd = []Finding{encFinding("enc-base64", "encData 是 base64 而不是十六进制 ("+d.found+")", "encData is base64 instead of hex ("+d.found+")")}
		}
		for _, k := range x.sm4Keys() {
			for mode := range 3 {
				tried++
				for _, h := range x.opened(d.b, k.key, mode) {
					set := append(append(append([]Finding(nil), odd...), k.odd...), h.set...)
					if len(best) > 0 && len(set) > len(best[0].set) {
						continue
					}
					if len(best) > 0 && len(set) < len(best[0].set) {
						best = nil
					}
					h.set = set
					best = append(best, h)
				}
			}
		}
	}
	return best, tried
}

// opened decrypts in one mode and judges padding and charset. ECB is 0, CBC with a zero vector 1,
// CBC with the key as vector 2.
func (x *exam) opened(text, key []byte, mode int) []encHit {
	block, err := x.p.SM4(key)
	if err != nil {
		return nil
	}
	if !ends(block, text, key, mode) {
		return nil
	}
	buf := make([]byte, len(text))
	var odd []Finding
	if mode == 0 {
		for i := 0; i < len(text); i += 16 {
			block.Decrypt(buf[i:i+16], text[i:i+16])
		}
	} else {
		iv := make([]byte, 16)
		if mode == 2 {
			copy(iv, key)
			odd = []Finding{encFinding("sm4-cbc-key", "用了 SM4-CBC, 初始向量是密钥", "SM4-CBC with the key as vector was used")}
		} else {
			odd = []Finding{encFinding("sm4-cbc-zero", "用了 SM4-CBC, 初始向量全零", "SM4-CBC with a zero vector was used")}
		}
		cipher.NewCBCDecrypter(block, iv).CryptBlocks(buf, text)
	}
	plain, pad, ok := unpad(buf)
	if !ok {
		return nil
	}
	odd = append(odd, pad...)
	if !utf8.Valid(plain) {
		b, err := simplifiedchinese.GB18030.NewDecoder().Bytes(plain)
		if err != nil {
			return nil
		}
		plain = b
		odd = append(odd, encFinding("enc-charset-gb18030", "加密前按 GB18030/GBK 取字节, 不是 UTF-8", "the plain text was taken as GB18030/GBK, not UTF-8"))
	}
	tree, err := parseTree(plain)
	if err != nil || tree.scalar() {
		return nil
	}
	return []encHit{{plain, tree, odd}}
}

// ends looks at the last two blocks only: most keys are refused without decrypting the rest.
func ends(block cipher.Block, text, key []byte, mode int) bool {
	from := max(0, len(text)-32)
	buf := make([]byte, len(text)-from)
	for i := range len(buf) / 16 {
		at := from + 16*i
		block.Decrypt(buf[16*i:16*i+16], text[at:at+16])
		var before []byte
		switch {
		case mode == 0 || at == 0 && mode == 1:
			continue
		case at == 0:
			before = key
		default:
			before = text[at-16 : at]
		}
		for j := range before {
			buf[16*i+j] ^= before[j]
		}
	}
	_, _, ok := unpad(buf)
	return ok
}

// unpad finds the end of a JSON text behind which only padding follows, and names the padding.
func unpad(buf []byte) (plain []byte, odd []Finding, ok bool) {
	end := bytes.LastIndexAny(buf, "}]") + 1
	if end == 0 || len(buf)-end > 16 {
		return nil, nil, false
	}
	pad := buf[end:]
	n := len(pad)
	all := func(c byte) bool { return len(bytes.Trim(pad, string(rune(c)))) == 0 }
	switch {
	case n == 0:
		odd = []Finding{encFinding("padding-none", "没有填充 (应补足一整块)", "no padding at all (a whole block is due)")}
	case n == 16 && pad[15] == 16 && all(16), n < 16 && int(pad[n-1]) == n && all(byte(n)):
	case all(0):
		odd = []Finding{encFinding("padding-zero", "用零填充而不是 PKCS7", "padded with zeros instead of PKCS7")}
	case all(' '):
		odd = []Finding{encFinding("padding-blank", "用空格填充而不是 PKCS7", "padded with blanks instead of PKCS7")}
	case int(pad[n-1]) == n:
		odd = []Finding{encFinding("padding-random", "填充只有最后一个字节是长度 (ISO 10126 或 ANSI X9.23)", "only the last padding byte is the length (ISO 10126 or ANSI X9.23)")}
	default:
		// white space that belongs to the text may stand before regular padding
		k := int(buf[len(buf)-1])
		if k < 1 || k > n || bytes.Count(buf[len(buf)-k:], buf[len(buf)-1:]) != k || len(bytes.TrimSpace(buf[end:len(buf)-k])) != 0 {
			return nil, nil, false
		}
		return buf[:len(buf)-k], nil, true
	}
	return buf[:end], odd, true
}

// encForms encrypts data as specified; nil when id or secret do not allow it.
func (x *exam) encForms(data string) *EncForms {
	key, err := envelope.DeriveKey(x.p, x.c.AppID, x.c.AppSecret)
	if err != nil {
		return nil
	}
	c, err := sm.ECBEncrypt(x.p, key, []byte(data))
	if err != nil {
		return nil
	}
	text := hex.EncodeToString(c)
	return &EncForms{Hex: strings.ToUpper(text), HexLower: text, Base64: base64.StdEncoding.EncodeToString(c)}
}

// judgeEnc compares an expected encData with the message; hits come from readEnc.
func (x *exam) judgeEnc(hits []encHit, tried int) {
	r := Result{Subject: SubjectEncData, Verdict: NoMatch, Tried: tried}
	for _, h := range hits {
		set := h.set
		if x.src.kind == "plain" && x.src.dataAt >= 0 {
			mine := x.src.root.kids[x.src.dataAt]
			switch {
			case !same(mine, h.tree):
				set = append(set[:len(set):len(set)], Finding{Code: "enc-data-differs",
					ZH: "encData 解开后的内容与报文的 data 不同: 加密的是另一份数据", EN: "what encData holds differs from data: another text was encrypted",
					FixZH: "请对方确认加密的就是这次请求的 data", FixEN: "ask them whether they encrypted the data of this very request"})
			case string(h.plain) != x.src.dataRaw:
				x.note(Finding{Code: "enc-text-differs", ZH: "encData 的原文与 data 值相同但写法不同 (空格、顺序或转义); 这是允许的",
					EN: "encData holds the same value written otherwise (blanks, order, escapes); that is allowed"})
			}
		}
		r.Verdict = Variant
		r.Explanations = append(r.Explanations, set)
	}
	r.Explanations = distinct(r.Explanations)
	if len(r.Explanations) > 0 && len(r.Explanations[0]) == 0 {
		r.Verdict, r.Explanations = AsSpecified, nil
	}
	x.report.Results = append(x.report.Results, r)
}

// judgeCipher looks for the layout of an SM2 ciphertext; what it holds is not shown.
func (x *exam) judgeCipher() {
	r := Result{Subject: SubjectCipher, Verdict: NoMatch}
	fixZH := "双方约定一种密文次序; 国标现行为 C1C3C2"
	fixEN := "agree on one layout; the standard's is C1C3C2"
	for _, d := range decodings(x.c.Cipher, false) {
		for _, o := range []struct {
			order    sm.Order
			code, zh string
		}{{sm.C1C3C2, "cipher-c1c3c2", "C1C3C2"}, {sm.C1C2C3, "cipher-c1c2c3", "C1C2C3 (旧)"}, {sm.ASN1, "cipher-asn1", "ASN.1 DER (GM/T 0009)"}} {
			for _, prefix := range []bool{false, true} {
				b := d.b
				if prefix {
					if o.order == sm.ASN1 {
						continue
					}
					b = append([]byte{4}, b...)
				}
				r.Tried++
				if _, err := x.p.Decrypt(x.own, b, o.order); err != nil {
					continue
				}
				f := Finding{Code: o.code, ZH: "密文次序是 " + o.zh, EN: "the layout is " + strings.TrimSuffix(o.zh, " (旧)"), FixZH: fixZH, FixEN: fixEN}
				set := []Finding{f}
				if prefix {
					set = append(set, Finding{Code: "cipher-no-04", ZH: "密文缺少开头的 04 (sm-crypto 的默认输出)", EN: "the ciphertext lacks its 04 in front (what sm-crypto gives)",
						FixZH: "解密前补上 04", FixEN: "put 04 in front before decrypting"})
				}
				r.Verdict = Variant
				if o.order == sm.C1C3C2 && !prefix {
					r.Verdict = AsSpecified
				}
				r.Explanations = append(r.Explanations, set)
			}
		}
	}
	x.report.Results = append(x.report.Results, r)
}
