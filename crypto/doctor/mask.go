package doctor

import "strings"

const stars = "***"

// mask hides the secret in a signing string: the value of every member named like a key, and the
// secret itself wherever else it stands, in either case.
func mask(text, secret string) string {
	for _, name := range []string{"key=", "appsecret="} {
		text = maskMember(text, name)
	}
	return hide(text, secret)
}

// maskMember hides what follows name (lower case) at the start or behind & up to the next & that
// begins a member, whatever the case of the name.
func maskMember(text, name string) string {
	var b strings.Builder
	for {
		i := -1
		for at := 0; at+len(name) <= len(text); at++ {
			if strings.EqualFold(text[at:at+len(name)], name) && (b.Len() == 0 && at == 0 || at > 0 && text[at-1] == '&') {
				i = at + len(name)
				break
			}
		}
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:i])
		rest := text[i:]
		j := strings.IndexByte(rest, '&')
		if j < 0 {
			j = len(rest)
		}
		if end := len(strings.TrimRight(rest[:j], "\r\n")); end > 0 {
			b.WriteString(stars)
			rest = rest[end:]
		}
		if text = rest; text == "" {
			return b.String()
		}
	}
}

// hide replaces the secret, as it is or in one case, by stars. A secret of fewer than four
// characters is left to its place in the signing string: it would hide half of everything.
func hide(text, secret string) string {
	if len(secret) < 4 {
		return text
	}
	for _, s := range []string{secret, strings.ToUpper(secret), strings.ToLower(secret)} {
		text = strings.ReplaceAll(text, s, stars)
	}
	return text
}

// clean hides the secret wherever a report repeats what it was given: a message may hold it where
// nobody expects it, or it may have been configured as the user id. Everything else in a report is
// words of ours, digests, signatures and ciphertexts.
func (x *exam) clean(r Report) Report {
	if id := r.Signing.UserID; len(id) >= 4 && strings.Contains(x.c.AppSecret, id) {
		r.Signing.UserID = stars
	}
	texts := []*string{&r.Signing.String, &r.Signing.UserID}
	for _, res := range r.Results {
		if d := res.Diff; d != nil {
			texts = append(texts, &d.Member, &d.Ours, &d.Theirs, &d.Before)
		}
	}
	for _, t := range texts {
		*t = hide(hide(*t, x.c.AppSecret), strings.TrimSpace(x.c.PrivateKey))
	}
	return r
}

// finish gives the report its verdict and, when something is unexplained, what to look at next.
func (x *exam) finish() {
	rank := []string{Shown, AsSpecified, Variant, Unusable, NoMatch}
	worst := 0
	for _, r := range x.report.Results {
		for i, v := range rank {
			if v == r.Verdict {
				worst = max(worst, i)
			}
		}
	}
	x.report.Verdict = rank[worst]
	if x.report.Verdict != NoMatch {
		return
	}
	rest := func(code, zh, en string) {
		x.report.Remaining = append(x.report.Remaining, Finding{Code: code, ZH: zh, EN: en})
	}
	rest("check-message", "这是不是同一条报文: 核对 timestamp 和单据号, 报文有没有经过代理改写或重新序列化", "is it the same message: compare timestamp and ids; did a proxy change or re-serialise it")
	rest("check-keys", "签名者的公钥是不是现用的那一把: 测试与正式环境, 是否换过密钥", "is the public key the one in use: test or live, was it replaced")
	rest("check-secret", "appId 与 appSecret 是否成对, 是否重置过, 首尾有无空白", "do appId and appSecret belong together, was the secret reset, are there blanks around it")
	rest("check-uid", "对方是否使用自定义用户标识: 用 --user-id 或 --try-user-id 再试", "do they use a user id of their own: try again with --user-id or --try-user-id")
	rest("check-string", "请对方提供他们的签名串 (隐去 key), 用 --expect-string 比较", "ask them for their signing string with the key masked, and compare with --expect-string")
}
