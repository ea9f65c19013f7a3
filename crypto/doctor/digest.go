package doctor

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"yiqiao/crypto/sm"
)

// maker is somebody who may have made the signature.
type maker struct {
	key *sm.PublicKey
	Finding
}

// namedUID is a user id to try; the first one is as configured.
type namedUID struct {
	uid string
	Finding
}

// collectUIDs lists user ids, each value once.
func (x *exam) collectUIDs() {
	seen := map[string]bool{}
	fixZH, fixEN := remedy(dUID)
	add := func(uid, code, zh, en string) {
		if !seen[uid] && len(uid) <= 8191 {
			seen[uid] = true
			x.uids = append(x.uids, namedUID{uid, Finding{Code: code, ZH: zh, EN: en, FixZH: fixZH, FixEN: fixEN}})
		}
	}
	id, secret := x.c.AppID, x.c.AppSecret
	if x.c.UserID != "" {
		add(x.c.UserID, "", "", "")
	}
	add(sm.DefaultUID, "uid-default", "用户标识用的是默认值 1234567812345678, 不是所配置的", "the user id is the default 1234567812345678, not the configured one")
	for _, u := range x.c.UserIDs {
		add(u, "uid-given", "用户标识用的是所给的另一个值", "the user id is another one of those given")
	}
	if secret != "" {
		add(secret, "uid-appsecret", "用户标识用了 appSecret", "the appSecret was used as user id")
		add(first(secret, 16), "uid-appsecret16", "用户标识用了 appSecret 的前 16 位", "the first 16 characters of the appSecret were used as user id")
	}
	if id != "" {
		add(id, "uid-appid", "用户标识用了 appId", "the appId was used as user id")
		add(first(id, 16), "uid-appid16", "用户标识用了 appId 的前 16 位", "the first 16 characters of the appId were used as user id")
	}
	add("", "uid-empty", "用户标识为空 (ENTL=0)", "the user id is empty (ENTL=0)")
}

func first(s string, n int) string { return s[:min(n, len(s))] }

// combo is a set of deviations, one of a rule each, and the plan they make.
type combo struct {
	set  []*choice
	plan plan
}

// combos gives the sets of at most most choices, one of a rule each, by size.
func combos(all []choice, most int) [][]combo {
	out := [][]combo{{{}}}
	from := []int{0}
	for range most {
		var next []combo
		var nextFrom []int
		for i, c := range out[len(out)-1] {
			for j := from[i]; j < len(all); j++ {
				if n := len(c.set); n > 0 && c.set[n-1].dim == all[j].dim {
					continue // choices of a rule stand together
				}
				k := combo{append(c.set[:len(c.set):len(c.set)], &all[j]), c.plan}
				k.plan[all[j].dim] = all[j].value
				next = append(next, k)
				nextFrom = append(nextFrom, j+1)
			}
		}
		out, from = append(out, next), nextFrom
	}
	return out
}

// digestChoices are the deviations between text and e for this case.
func (x *exam) digestChoices() []choice {
	var all []choice
	for i, m := range x.makers {
		if i > 0 {
			all = append(all, choice{dSigner, uint8(i), m.Finding})
		}
	}
	for i, u := range x.uids {
		if i > 0 {
			all = append(all, choice{dUID, uint8(i), u.Finding})
		}
	}
	for _, c := range choices() {
		if c.dim == dZ {
			all = append(all, c)
		}
	}
	fixZH, fixEN := remedy(dZ)
	for i := range x.makers {
		if len(x.makers) > 1 && i < 4 {
			all = append(all, choice{dZ, zOther + uint8(i), Finding{Code: "z-other-key",
				ZH: "Z 用了另一把公钥, 不是签名者自己的", EN: "Z was made with another key than the signer's", FixZH: fixZH, FixEN: fixEN}})
		}
	}
	for _, c := range choices() {
		if c.dim == dWrap || c.dim == dHash {
			all = append(all, c)
		}
	}
	return all
}

// textChoices are the deviations of the text that can apply to this message.
func (x *exam) textChoices() []choice {
	var all []choice
	for _, c := range choices() {
		isText := x.src.kind == "text"
		onlyText := c.dim == dSuffix && (c.value == suffixAdded || c.value == suffixReplaced || c.value == suffixDoubled)
		switch {
		case c.dim >= dSigner, onlyText && !isText, isText && c.dim < dSuffix, isText && (c.dim == dEscape || c.dim == dSpace):
			continue
		case c.dim == dSuffix && x.c.AppSecret == "" && c.value != suffixNone:
			continue
		}
		all = append(all, c)
	}
	return all
}

// hasher makes e for one text; wrapped forms and Z are kept.
type hasher struct {
	x     *exam
	c     *curve
	zs    map[[3]uint8][32]byte
	wraps map[uint8][]byte
	bytes int // hashed so far
}

// e gives the digest of text under p, modulo n. ok is false when there is none.
func (h *hasher) e(text []byte, p plan) (e [32]byte, ok bool) {
	wrapped, ok := h.wraps[p[dWrap]]
	if !ok {
		wrapped = wrap(h.x.p, text, p[dWrap])
		h.wraps[p[dWrap]] = wrapped
	}
	h.bytes += len(wrapped) + 128
	switch p[dHash] {
	case hashNone:
		if p[dUID] != 0 || p[dZ] != 0 || len(wrapped) > 1<<16 {
			return e, false // no part in this digest, or a number that nobody would take
		}
		return h.c.reduce(wrapped), true
	case hashNoZ:
		if p[dUID] != 0 || p[dZ] != 0 {
			return e, false
		}
		d := h.x.p.SM3(wrapped)
		return h.c.reduce(d[:]), true
	case hashSHA256:
		if p[dUID] != 0 || p[dZ] != 0 {
			return e, false
		}
		d := sha256.Sum256(wrapped)
		return h.c.reduce(d[:]), true
	}
	z, ok := h.z(p)
	if !ok {
		return e, false
	}
	switch p[dHash] {
	case hashZSHA:
		e = sha256.Sum256(append(z[:len(z):len(z)], wrapped...))
	case hashTwice:
		inner := h.x.p.SM3(z[:], wrapped)
		e = h.x.p.SM3(z[:], inner[:])
	default:
		e = h.x.p.SM3(z[:], wrapped)
	}
	return h.c.reduce(e[:]), true
}

func (h *hasher) z(p plan) ([32]byte, bool) {
	at := [3]uint8{p[dSigner], p[dUID], p[dZ]}
	if z, ok := h.zs[at]; ok {
		return z, true
	}
	who, how := int(p[dSigner]), p[dZ]
	if how >= zOther {
		other := int(how - zOther)
		if other == who {
			return [32]byte{}, false
		}
		who, how = other, zSpec
	}
	if who >= len(h.x.makers) {
		return [32]byte{}, false
	}
	z, ok := h.c.z(h.x.p, h.x.makers[who].key, h.x.uids[p[dUID]].uid, how)
	if ok {
		h.zs[at] = z
	}
	return z, ok
}

func wrap(p sm.Provider, text []byte, how uint8) []byte {
	switch how {
	case wrapBase64:
		return []byte(base64.StdEncoding.EncodeToString(text))
	case wrapHex:
		return []byte(hex.EncodeToString(text))
	case 0:
		return text
	}
	d := p.SM3(text)
	switch how {
	case wrapSM3Hex:
		return []byte(hex.EncodeToString(d[:]))
	case wrapSM3HexUpper:
		return []byte(strings.ToUpper(hex.EncodeToString(d[:])))
	case wrapSM3Base64:
		return []byte(base64.StdEncoding.EncodeToString(d[:]))
	}
	return d[:]
}
