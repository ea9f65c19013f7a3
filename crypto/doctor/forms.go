package doctor

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"yiqiao/crypto/sm"
)

// reading is one way to understand an expected value as a signature.
type reading struct {
	sig   sm.Signature
	found string    // how it was written, for people
	odd   []Finding // how that differs from base64 of 64 bytes
}

// decoded is one way to understand a text as bytes.
type decoded struct {
	b     []byte
	digit string // the hex digits, when it was hex
	found string
	odd   []Finding
}

func oddForm(code, zh, en string) Finding {
	return Finding{Code: code, ZH: zh, EN: en,
		FixZH: "接口要求 signData 为 64 字节 r||s 的标准 base64; 请产生它的一方改正, 或在收发处转换",
		FixEN: "the interface wants signData as standard base64 of the 64 bytes r||s; the maker should mend it, or convert on the way"}
}

// decodings reads text as hex and as base64, white space ignored, and once more when what comes
// out is such a text again.
func decodings(text string, deeper bool) []decoded {
	text = strings.Join(strings.Fields(text), "")
	text = withoutPrefix(text)
	var out []decoded
	if isHex(text) {
		even := text
		if len(even)%2 == 1 {
			even = "0" + even
		}
		if b, err := hex.DecodeString(even); err == nil && len(b) > 0 {
			out = append(out, decoded{b, text, "hex", []Finding{oddForm("form-hex", "签名写成了十六进制, 不是 base64", "the signature is written in hex, not base64")}})
		}
	}
	for _, e := range []struct {
		enc        *base64.Encoding
		found      string
		code       string
		zh, en     string
		isStandard bool
	}{
		{enc: base64.StdEncoding.Strict(), found: "base64", isStandard: true},
		{base64.RawStdEncoding, "base64", "form-unpadded", "base64 末尾缺少 =", "base64 without its = at the end", false},
		{base64.URLEncoding, "base64url", "form-base64url", "用了 URL 安全的 base64 (- 和 _)", "base64 of the URL kind (- and _)", false},
		{base64.RawURLEncoding, "base64url", "form-base64url", "用了 URL 安全的 base64 (- 和 _)", "base64 of the URL kind (- and _)", false},
	} {
		b, err := e.enc.DecodeString(text)
		if err != nil || len(b) == 0 {
			continue
		}
		d := decoded{b: b, found: e.found}
		if !e.isStandard {
			d.odd = []Finding{oddForm(e.code, e.zh, e.en)}
		}
		out = append(out, d)
		if deeper && len(b) >= 80 {
			for _, in := range decodings(string(b), false) {
				in.found = e.found + "(" + in.found + ")"
				in.odd = append(d.odd[:len(d.odd):len(d.odd)], oddForm("form-encoded-twice", "签名被编码了两次 (base64 里面是 hex 或 base64 文本)", "the signature is encoded twice (base64 of a hex or base64 text)"))
				out = append(out, in)
			}
		}
		break
	}
	return out
}

// withoutPrefix takes 0x off hex; base64 may begin with the same characters.
func withoutPrefix(text string) string {
	if len(text) > 2 && (text[:2] == "0x" || text[:2] == "0X") && isHex(text[2:]) {
		return text[2:]
	}
	return text
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

const maxReadings = 12

// readings lists the signatures that text may be, the regular one first.
func readings(text string) []reading {
	var out []reading
	add := func(d decoded, r, s []byte, found string, odd ...Finding) {
		var sig sm.Signature
		r, s = trim(r), trim(s)
		if len(r) > 32 || len(s) > 32 || len(out) >= maxReadings {
			return
		}
		copy(sig[32-len(r):32], r)
		copy(sig[64-len(s):], s)
		out = append(out, reading{sig, d.found + " " + found, append(d.odd[:len(d.odd):len(d.odd)], odd...)})
	}
	for _, d := range decodings(text, true) {
		if sig, err := sm.ParseDER(d.b); err == nil {
			add(d, sig[:32], sig[32:], "DER", oddForm("form-der", "签名是 DER (ASN.1) 编码, 不是 r||s", "the signature is DER (ASN.1), not r||s"))
			continue
		}
		if r, s, ok := looseDER(d.b); ok {
			add(d, r, s, "DER", oddForm("form-der", "签名是 DER (ASN.1) 编码, 不是 r||s", "the signature is DER (ASN.1), not r||s"),
				oddForm("form-der-loose", "DER 不规范 (多余的零、缺少符号字节、长形式长度或尾部多余字节)", "the DER is not strict (superfluous or missing zero, long length, bytes behind the end)"))
		}
		if len(d.b) == 64 && (d.digit == "" || len(d.digit) == 128) {
			add(d, d.b[:32], d.b[32:], "r||s")
			add(d, d.b[32:], d.b[:32], "s||r", oddForm("form-swapped", "r 和 s 的次序颠倒", "r and s are swapped"))
			continue
		}
		splits(d, add)
	}
	return out
}

// splits reads r and s whose zeros in front were trimmed, or that carry a sign byte. Where r ends
// is not known then, so every place is tried; hex counts in digits, as big numbers are printed.
func splits(d decoded, add func(decoded, []byte, []byte, string, ...Finding)) {
	try := func(r, s []byte, size int) {
		f := oddForm("form-trimmed", "r 或 s 前面的零被去掉, 不足 32 字节", "zeros in front of r or s were trimmed: fewer than 32 bytes")
		if size > 64 {
			f = oddForm("form-sign-byte", "r 或 s 前面多了一个 00 (33 字节, Java BigInteger)", "r or s has a 00 in front (33 bytes, Java BigInteger)")
		}
		add(d, r, s, "r||s", f)
	}
	if d.digit != "" {
		n := len(d.digit)
		for rl := 66; rl >= 58; rl-- {
			if sl := n - rl; sl >= 58 && sl <= 66 && (rl <= 64 || d.digit[:2] == "00") && (sl <= 64 || d.digit[rl:rl+2] == "00") {
				try(unhex(d.digit[:rl]), unhex(d.digit[rl:]), (n+1)/2)
			}
		}
		return
	}
	n := len(d.b)
	for rl := 33; rl >= 29; rl-- {
		if sl := n - rl; sl >= 29 && sl <= 33 && (rl <= 32 || d.b[0] == 0) && (sl <= 32 || d.b[rl] == 0) {
			try(d.b[:rl], d.b[rl:], n)
		}
	}
}

func unhex(s string) []byte {
	if len(s)%2 == 1 {
		s = "0" + s
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

func trim(b []byte) []byte {
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return b
}

// looseDER reads SEQUENCE { INTEGER, INTEGER } the way careless parsers do: any length form, any
// number of zeros, unsigned, bytes behind the end ignored.
func looseDER(b []byte) (r, s []byte, ok bool) {
	body, _, ok := tlv(b, 0x30)
	if !ok {
		return nil, nil, false
	}
	r, body, ok = tlv(body, 0x02)
	if !ok {
		return nil, nil, false
	}
	s, _, ok = tlv(body, 0x02)
	return r, s, ok && len(trim(r)) > 0 && len(trim(s)) > 0
}

func tlv(b []byte, tag byte) (value, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != tag {
		return nil, nil, false
	}
	n, at := int(b[1]), 2
	if n == 0x81 && len(b) > 2 {
		n, at = int(b[2]), 3
	} else if n >= 0x80 {
		return nil, nil, false
	}
	if len(b) < at+n {
		return nil, nil, false
	}
	return b[at : at+n], b[at+n:], true
}

// forms writes a signature in every way.
func forms(sig sm.Signature, found string) *Forms {
	der := sig.DER()
	return &Forms{
		Found: found, R: hex.EncodeToString(sig[:32]), S: hex.EncodeToString(sig[32:]),
		RawBase64: base64.StdEncoding.EncodeToString(sig[:]), RawHex: hex.EncodeToString(sig[:]),
		DERBase64: base64.StdEncoding.EncodeToString(der), DERHex: hex.EncodeToString(der),
	}
}
