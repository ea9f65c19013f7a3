package doctor

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
)

// checkKeys reads the keys, says how they were written, and lists who may have signed.
func (x *exam) checkKeys() {
	if text := strings.TrimSpace(x.c.PrivateKey); text != "" {
		k, odd := readPrivate(text)
		x.own = k
		x.report.Keys = append(x.report.Keys, keyCheck("private", text, k.Public()))
		x.keyNotes("private", odd)
	}
	seen := 0
	for i, text := range x.c.PublicKeys {
		role := fmt.Sprintf("public-%d", i+1)
		k, odd := readPublic(strings.TrimSpace(text))
		x.report.Keys = append(x.report.Keys, keyCheck(role, text, k))
		x.keyNotes(role, odd)
		if k == nil {
			continue
		}
		seen++
		if k.Equal(x.own.Public()) {
			x.note(Finding{Code: "own-key-as-platform",
				ZH: role + " 就是我方私钥对应的公钥: 验自己的签名时正常, 若它被当作平台公钥就配错了", EN: role + " is the public key of our own private key: right for our own signature, wrong as the platform's key",
				FixZH: "平台公钥 (peer_keys) 要用平台下发的那一把", FixEN: "peer_keys must hold the key that the platform issued"})
		} else if x.own != nil {
			x.note(Finding{Code: "keys-not-a-pair", ZH: role + " 不属于所给私钥: 作为平台公钥是正常的, 若它是交给平台的我方公钥就错了",
				EN: role + " does not belong to the private key given: right for the platform's key, wrong if it is what we handed to the platform"})
		}
		x.keys = append(x.keys, k)
	}
	fixZH := "核对双方登记的公钥: 我方用自己的私钥签名, 用平台公钥 (peer_keys) 验签"
	fixEN := "compare the registered keys: we sign with our own private key and verify with the platform's (peer_keys)"
	addMaker := func(k *sm.PublicKey, code, zh, en string) {
		if k.Point() != nil && !slices.ContainsFunc(x.makers, func(m maker) bool { return m.key.Equal(k) }) {
			x.makers = append(x.makers, maker{k, Finding{Code: code, ZH: zh, EN: en, FixZH: fixZH, FixEN: fixEN}})
		}
	}
	for i, k := range x.keys {
		addMaker(k, "signer-other-key", fmt.Sprintf("签名属于所给的第 %d 把公钥, 不是第一把", i+1), fmt.Sprintf("the signature belongs to public key %d of those given, not to the first", i+1))
	}
	addMaker(x.own.Public(), "signer-own-key", "签名是用我方自己的私钥做的, 不是对方的 (平台公钥与我方公钥弄混)", "the signature was made with our own private key, not theirs (platform key and own key mixed up)")
	if d := x.own.Scalar(); d != nil {
		defer clear(d)
		shifted := append([]byte{0}, d[:31]...)
		defer clear(shifted)
		if k, err := sm.NewPrivateKey(shifted); err == nil {
			addMaker(k.Public(), "signer-key-shifted", "签名用的私钥错位: 33 字节 (前导 00) 的私钥只取了前 32 字节", "the private key was shifted: the first 32 of 33 bytes (leading 00) were used")
		}
		turned := slices.Clone(d)
		defer clear(turned)
		slices.Reverse(turned)
		if k, err := sm.NewPrivateKey(turned); err == nil {
			addMaker(k.Public(), "signer-key-reversed", "签名用的私钥字节次序颠倒", "the bytes of the private key were reversed")
		}
	}
}

func (x *exam) keyNotes(role string, odd []Finding) {
	for _, f := range odd {
		f.ZH, f.EN = role+": "+f.ZH, role+": "+f.EN
		x.note(f)
	}
}

func keyCheck(role, text string, k *sm.PublicKey) KeyCheck {
	c := KeyCheck{Role: role, Form: keyForm(text), OK: k != nil}
	if k != nil {
		c.Fingerprint = k.Fingerprint()
	}
	return c
}

// keyForm says how a key is written, never what it is.
func keyForm(text string) string {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "-----") {
		kind, _, _ := strings.Cut(strings.TrimPrefix(text, "-----BEGIN "), "-----")
		switch kind {
		case "PRIVATE KEY", "EC PRIVATE KEY", "PUBLIC KEY":
			return "PEM " + kind
		}
		return "PEM"
	}
	name, b := keyBytes(text)
	if b == nil {
		return "?"
	}
	defer clear(b)
	extra := ""
	switch {
	case b[0] == 0x30 && len(b) > 66:
		extra = ", DER"
	case b[0] == 0 && (len(b) == 33 || len(b) == 66):
		extra = ", 00 + " + fmt.Sprint(len(b)-1)
	case b[0] == 4 && len(b) == 65:
		extra = ", 04||X||Y"
	case len(b) == 64:
		extra = ", X||Y"
	case len(b) == 33 && (b[0] == 2 || b[0] == 3):
		extra = ", compressed"
	}
	return fmt.Sprintf("%s %d bytes%s", name, len(b), extra)
}

// keyBytes decodes a key text leniently: blanks, colons and 0x are ignored.
func keyBytes(text string) (name string, b []byte) {
	text = strings.NewReplacer(":", "", "-", "+", "_", "/").Replace(strings.Join(strings.Fields(text), ""))
	text = withoutPrefix(text)
	if isHex(text) {
		return "hex", unhex(text)
	}
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(b) == 0 {
		return "", nil
	}
	return "base64", b
}

func keyFinding(code, zh, en string) Finding {
	return Finding{Code: code, ZH: zh, EN: en,
		FixZH: "私钥用 32 字节的 base64 或十六进制, 公钥用 04||X||Y 或 X||Y 的 base64 或十六进制, 或 PEM",
		FixEN: "write a private key as base64 or hex of 32 bytes, a public key as base64 or hex of 04||X||Y or X||Y, or PEM"}
}

// readPrivate reads a private key, mending what can be mended and saying so.
func readPrivate(text string) (*sm.PrivateKey, []Finding) {
	if k, err := keys.ParsePrivate(text); err == nil {
		var odd []Finding
		if _, b := keyBytes(text); len(b) == 33 && b[0] == 0 && !strings.HasPrefix(text, "-") {
			odd = append(odd, Finding{Code: "key-leading-00", ZH: "私钥有前导 00 (Java BigInteger), 我方能读; 有的库会错位", EN: "the private key has a leading 00 (Java BigInteger): we read it, some libraries shift it"})
		}
		return k, odd
	}
	if _, err := keys.ParsePublic(text); err == nil {
		return nil, []Finding{keyFinding("key-public-as-private", "给的是公钥, 需要私钥", "this is a public key, a private one is needed")}
	}
	_, b := keyBytes(text)
	defer clear(b)
	if k, err := keys.ParsePrivate(base64.StdEncoding.EncodeToString(b)); err == nil {
		return k, []Finding{keyFinding("key-form", "私钥的写法不规范 (URL base64, 缺 =, 0x, 冒号或空白)", "the private key is written loosely (URL base64, missing =, 0x, colons or blanks)")}
	}
	if len(b) == 33 && (b[0] == 4 || b[0] == 1) {
		if k, err := keys.ParsePrivate(base64.StdEncoding.EncodeToString(b[1:])); err == nil {
			return k, []Finding{keyFinding("key-prefix", "私钥多了一个前缀字节", "the private key has a byte too many in front")}
		}
	}
	switch {
	case len(b) == 32:
		return nil, []Finding{keyFinding("key-range", "私钥不在 [1, n-2] 之内", "the private key is outside [1, n-2]")}
	case len(b) > 0 && len(b) < 24:
		return nil, []Finding{keyFinding("key-cut", "私钥太短, 可能复制时被截断", "the private key is too short, perhaps cut when it was copied")}
	}
	return nil, []Finding{keyFinding("key-unreadable", "私钥读不出来", "the private key can not be read")}
}

// readPublic reads a public key, mending what can be mended and saying so.
func readPublic(text string) (*sm.PublicKey, []Finding) {
	if k, err := keys.ParsePublic(text); err == nil {
		return k, nil
	}
	if _, err := keys.ParsePrivate(text); err == nil {
		return nil, []Finding{keyFinding("key-private-as-public", "给的是私钥! 公钥文件里不应有私钥; 若已外发须立即更换", "this is a PRIVATE key; it must not stand in a file of public keys, and must be replaced if it was handed out")}
	}
	_, b := keyBytes(text)
	try := func(b []byte) *sm.PublicKey {
		k, err := keys.ParsePublic(base64.StdEncoding.EncodeToString(b))
		if err != nil {
			return nil
		}
		return k
	}
	if k := try(b); k != nil {
		return k, []Finding{keyFinding("key-form", "公钥的写法不规范 (URL base64, 缺 =, 0x, 冒号或空白)", "the public key is written loosely (URL base64, missing =, 0x, colons or blanks)")}
	}
	switch {
	case len(b) == 66 && b[0] == 0 && b[1] == 4, len(b) == 66 && b[0] == 4 && b[1] == 4:
		if k := try(b[1:]); k != nil {
			return k, []Finding{keyFinding("key-prefix", "公钥前面多了一个 00 或 04", "the public key has a 00 or 04 too many in front")}
		}
	case len(b) == 65 && b[0] == 0:
		if k := try(b[1:]); k != nil {
			return k, []Finding{keyFinding("key-prefix", "公钥的前缀是 00, 应为 04", "the public key begins with 00 instead of 04")}
		}
	case len(b) == 66 && b[0] == 0 && b[33] == 0:
		if k := try(append(slices.Clone(b[1:33]), b[34:]...)); k != nil {
			return k, []Finding{keyFinding("key-prefix", "公钥的 X 和 Y 各多一个前导 00 (Java BigInteger)", "X and Y of the public key have a leading 00 each (Java BigInteger)")}
		}
	case len(b) == 33 && (b[0] == 2 || b[0] == 3):
		return nil, []Finding{keyFinding("key-compressed", "公钥是压缩形式 (33 字节), 需要 04||X||Y", "the public key is compressed (33 bytes), 04||X||Y is needed")}
	}
	if len(b) == 64 || len(b) == 65 && b[0] == 4 {
		half := b[len(b)-64:]
		if k := try(append(slices.Clone(half[32:]), half[:32]...)); k != nil {
			return k, []Finding{keyFinding("key-swapped", "公钥的 X 和 Y 颠倒", "X and Y of the public key are swapped")}
		}
		return nil, []Finding{keyFinding("key-off-curve", "公钥不在 SM2 曲线上: 复制有误, 或是别的曲线 (如 P-256) 的密钥", "the public key is not on the SM2 curve: copied wrongly, or a key of another curve such as P-256")}
	}
	if bytes.Contains([]byte(text), []byte("CERTIFICATE")) {
		return nil, []Finding{keyFinding("key-certificate", "给的是证书, 需要其中的公钥", "this is a certificate, the public key inside it is needed")}
	}
	return nil, []Finding{keyFinding("key-unreadable", "公钥读不出来", "the public key can not be read")}
}
