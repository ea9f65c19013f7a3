package doctor

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/sm"
	"yiqiao/schemas/strictjson"
)

// readMessage decides what the message is and makes it the source of the search.
func (x *exam) readMessage() error {
	b := x.c.Message
	if t, ok := bytes.CutPrefix(b, []byte("\xef\xbb\xbf")); ok {
		x.note(Finding{Code: "message-bom", ZH: "报文文件以 UTF-8 BOM 开头", EN: "the message file begins with a UTF-8 BOM",
			FixZH: "保存为无 BOM 的 UTF-8", FixEN: "save it as UTF-8 without BOM"})
		b = t
	}
	x.src = source{secret: x.c.AppSecret, dataAt: -1}
	if t := bytes.TrimSpace(b); len(t) > 0 && t[0] == '{' {
		root, err := parseTree(t)
		if err == nil {
			x.src.setRoot(t, root)
			return x.readObject()
		}
		x.noteJSON(err)
	}
	x.src.kind = "text"
	text := string(b)
	head, tail, ok := splitKey(text)
	x.src.head, x.src.hasKey = head, ok
	trimmed := strings.TrimRight(tail, "\r\n")
	if ok && !masked(tail) && x.c.AppSecret == "" {
		x.c.AppSecret, x.src.secret = trimmed, trimmed // the text brings its own
	}
	if ok && !masked(tail) && tail != x.c.AppSecret {
		x.src.hasKey, x.src.head = false, text // what stands there is signed as it is
		if trimmed != x.c.AppSecret {
			x.note(Finding{Code: "secret-differs", ZH: "所给文本里的 key 与 appSecret 不同", EN: "the key in the text given is not the appSecret",
				FixZH: "核对双方的 appSecret (测试与正式环境, 首尾空白)", FixEN: "compare the appSecret of both sides (test and live, blanks around it)"})
		}
	}
	x.collectUIDs()
	return nil
}

func (x *exam) noteJSON(err error) {
	f := Finding{Code: "message-json", ZH: "报文不是合规的 JSON, 按文本处理", EN: "the message is not strict JSON and is treated as a text",
		FixZH: "先改正报文; 对方多半也解析不了", FixEN: "mend the message first; most likely they can not read it either"}
	if e := (*strictjson.Error)(nil); errors.As(err, &e) {
		switch e.Kind {
		case strictjson.Duplicate:
			f.Code, f.ZH, f.EN = "message-duplicate", "报文里有重复的字段名, 各方取值会不同; 按文本处理", "a member stands twice in the message, and everybody takes another one; treated as a text"
		case strictjson.UTF8:
			f.Code, f.ZH, f.EN = "message-utf8", "报文不是 UTF-8 (可能是 GB18030); 按文本处理", "the message is not UTF-8 (perhaps GB18030); treated as a text"
		}
	}
	x.note(f)
}

// readObject looks at the top-level members and opens encData when data is not there.
func (x *exam) readObject() error {
	s := &x.src
	s.kind = "plain"
	if id := s.root.member("appId"); id != nil && id.kind == 's' {
		if x.c.AppID == "" {
			x.c.AppID = id.text
		} else if id.text != x.c.AppID {
			x.note(Finding{Code: "appid-differs", ZH: "报文的 appId 与所给的不同", EN: "the appId of the message is not the one given",
				FixZH: "核对配置的 app_id", FixEN: "check app_id in the configuration"})
		}
	}
	x.collectUIDs()
	if x.c.AppSecret == "" {
		x.note(Finding{Code: "secret-missing", ZH: "没有给出 appSecret, 签名串不完整", EN: "no appSecret was given, the signing string is incomplete"})
	}
	if enc := s.root.member("encData"); enc != nil && enc.kind == 's' && enc.text != "" {
		s.enc = enc.text
		hits, tried := x.readEnc(s.enc)
		if s.dataAt >= 0 && len(hits) == 0 {
			s.enc = ""
			x.note(Finding{Code: "encdata-unreadable", ZH: "报文同时有 data 和 encData, 而 encData 解不开; 签名按 data 计算, encData 不参与", EN: "the message has both data and encData, and encData does not open; data is signed, encData is not"})
		}
		if s.dataAt < 0 {
			s.kind = "wire"
			if len(hits) > 0 {
				s.addData(hits[0].plain, hits[0].tree)
			} else {
				s.noData = true
				x.note(Finding{Code: "wire-unreadable", ZH: "encData 用所有已知的密钥派生和填充方式都解不开", EN: "encData opens with no key derivation and padding we know",
					FixZH: "核对 app_id 和 appSecret 是否属于同一个应用和环境", FixEN: "check that app_id and appSecret belong to one application and environment"})
			}
		}
		if x.c.AppSecret != "" && s.enc != "" {
			x.judgeEnc(hits, tried)
		}
	}
	if s.dataAt >= 0 {
		x.report.EncData = x.encForms(s.dataRaw)
		if s.enc == "" && x.report.EncData != nil {
			s.enc = x.report.EncData.Hex
		}
	}
	x.adviseData(s.root, 0)
	return nil
}

// adviseData notes what is known to divide libraries even where this message agrees.
func (x *exam) adviseData(n *node, depth int) {
	have := map[string]bool{}
	for _, f := range x.report.Notes {
		have[f.Code] = true
	}
	advise := func(code, zh, en string) {
		if !have[code] {
			have[code] = true
			x.note(Finding{Code: code, ZH: zh, EN: en})
		}
	}
	var walk func(n *node, depth int)
	walk = func(n *node, depth int) {
		switch {
		case n.kind == 'n' && depth > 1 && n.forms[numberSpec] != n.forms[numberJS]:
			advise("risk-number", "data 里有各语言写法不同的数字 (如 0.10); 建议以字符串发送", "data has numbers that languages write differently (such as 0.10); send them as strings")
		case n.kind == 's' && strings.ContainsAny(n.text, "\u2028\u2029"):
			advise("risk-separator", "内容里有 U+2028/U+2029, 有的库会转义", "the content has U+2028 or U+2029, which some libraries escape")
		case n.kind == 's' && strings.ContainsFunc(n.text, func(r rune) bool { return r > 0xffff }):
			advise("risk-surrogate", "内容里有基本平面以外的字符 (生僻字或表情), 有的库会拆坏", "the content has characters beyond the basic plane, which some libraries split")
		}
		lower := map[string]bool{}
		for i, k := range n.kids {
			if n.kind == '[' && k.empty() {
				advise("risk-item", "数组里有 null、\"\" 或 [], 没有公认的签名写法, 我方拒绝发送", "an array holds null, \"\" or []: there is no agreed signing text, and we refuse to send it")
			}
			if n.kind == '{' {
				l := strings.ToLower(n.names[i])
				if lower[l] {
					advise("risk-case", "有只差大小写的字段名, 排序会不一致", "names differ by case only, and are sorted differently")
				}
				lower[l] = true
			}
			walk(k, depth+1)
		}
	}
	walk(n, depth)
}

// show fills in what we would sign.
func (x *exam) show() {
	sg := &x.report.Signing
	sg.Kind, sg.UserID = x.src.kind, x.uids[0].uid
	text, ok := x.src.build(plan{}, x.c.AppID)
	if ok && x.src.kind != "text" {
		// What is shown is what the product signs; the search must not have another opinion.
		if said, err := envelope.SigningString(x.plainMessage(), x.c.AppSecret); err != nil || said != string(text) {
			x.note(Finding{Code: "doctor-disagrees", ZH: "诊断程序与网关对签名串的理解不同, 请报告此问题", EN: "doctor and gateway differ in the signing string; please report this"})
		}
	}
	if !ok {
		return
	}
	sg.String, sg.Bytes = mask(string(text), x.c.AppSecret), len(text)
	d := x.p.SM3(text)
	sg.SM3 = hex.EncodeToString(d[:])
	if len(x.makers) > 0 {
		key := x.makers[0].key
		c := newCurve()
		if z, ok := c.z(x.p, key, sg.UserID, zSpec); ok {
			e := x.p.SM3(z[:], text)
			sg.Z, sg.E = hex.EncodeToString(z[:]), hex.EncodeToString(e[:])
		}
	}
	if x.own != nil && x.c.Rand != nil {
		if sig, err := x.p.Sign(x.c.Rand, x.own, []byte(sg.UserID), text); err == nil {
			x.report.Ours = forms(sig, "")
		}
	}
}

// plainMessage is the message with decrypted data in its place.
func (x *exam) plainMessage() []byte {
	if x.src.kind != "wire" {
		return x.src.raw
	}
	out := []byte{'{'}
	for i, name := range x.src.root.names {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(strictjson.AppendString(out, name), ':')
		out = append(out, x.src.rawOf[i]...)
	}
	return append(out, '}')
}

// judge looks at everything that was expected.
func (x *exam) judge() {
	s := newSearch(x)
	expect, fromMessage := strings.TrimSpace(x.c.Expect), false
	if expect != "" {
		if hits, tried := x.readEnc(expect); len(hits) > 0 {
			x.judgeEnc(hits, tried)
			expect = ""
		}
	}
	if expect == "" && x.src.root != nil {
		if sign := x.src.root.member("signData"); sign != nil && sign.kind == 's' && sign.text != "" {
			expect, fromMessage = sign.text, true
		}
	}
	if x.c.ExpectString != "" {
		x.judgeString(s)
	}
	if expect != "" {
		x.judgeExpect(s, expect, fromMessage)
	}
	if x.c.Cipher != "" {
		if x.own == nil {
			x.note(Finding{Code: "cipher-no-key", ZH: "检查 SM2 密文需要我方私钥", EN: "our private key is needed to look at an SM2 ciphertext"})
		} else {
			x.judgeCipher()
		}
	}
}

// judgeExpect looks for the signature or digest in expect.
func (x *exam) judgeExpect(s *search, expect string, fromMessage bool) {
	for _, d := range decodings(expect, false) {
		if len(d.b) == 32 && !fromMessage {
			x.judgeDigest(s, d.b)
			return
		}
	}
	rs := readings(expect)
	if len(rs) == 0 && fromMessage && x.src.kind == "plain" {
		x.note(Finding{Code: "signdata-unreadable", ZH: "报文里的 signData 不是签名, 不参与诊断", EN: "signData of the message is no signature and was left aside"})
		return
	}
	if len(rs) == 0 {
		r := Result{Subject: SubjectSignature, Verdict: NoMatch}
		for _, d := range decodings(expect, false) {
			if len(d.b)%16 == 0 && len(d.b) > 0 && !fromMessage {
				r.Subject = SubjectEncData
				_, r.Tried = x.readEnc(expect)
			}
		}
		if r.Subject == SubjectSignature {
			x.note(Finding{Code: "expect-form", ZH: "期望值既不是签名、摘要, 也不是密文 (64 字节 r||s, DER, 32 字节摘要, 或 16 的倍数)",
				EN:    "the expected value is no signature, digest or ciphertext (64 bytes r||s, DER, 32 bytes, or a multiple of 16)",
				FixZH: "检查是否复制不全", FixEN: "check whether it was copied whole"})
		}
		x.report.Results = append(x.report.Results, r)
		return
	}
	x.report.Signature = forms(rs[0].sig, rs[0].found)
	if len(x.makers) == 0 {
		x.report.Results = append(x.report.Results, Result{Subject: SubjectSignature, Verdict: Unusable})
		x.note(Finding{Code: "key-needed", ZH: "没有可用的密钥, 无法验证签名", EN: "no usable key, the signature can not be verified",
			FixZH: "用 --public-key-file 给出签名者的公钥, 或用 --key-file 给出我方私钥", FixEN: "give the signer's public key with --public-key-file or our private key with --key-file"})
		return
	}
	x.judgeSignature(s, rs)
}

// confirmed asks the provider too, wherever it can make the same digest.
func (x *exam) confirmed(h hit, sig sm.Signature) bool {
	p := h.combo.plan
	uid := x.uids[p[dUID]].uid
	if p[dHash] != 0 || p[dZ] != 0 || uid == "" {
		return true // made otherwise than the library makes it
	}
	return x.p.Verify(x.makers[p[dSigner]].key, []byte(uid), wrap(x.p, h.text.bytes, p[dWrap]), sig) == nil
}
