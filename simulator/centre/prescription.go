package centre

import (
	"crypto/sha256"
	"encoding/base64"
	"time"

	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// prescription is one electronic prescription on its way: checked, signed, uploaded, perhaps undone.
type prescription struct {
	trace, no string
	in        object // of D001
	doctor    string
	place     string
	digest    string // of the signed file
	stas      string // "" before the upload, 1 valid, 3 undone
}

const (
	rxValid  = "1"
	rxUndone = "3"
)

// preCheck is D001.
func (c *Centre) preCheck(in object, now time.Time) (object, error) {
	visit := node(in, "mdtrtinfo")
	place, ok := c.places[text(visit, "fixmedinsCode")]
	if !ok {
		return nil, refuse("未找到定点医药机构：%s", text(visit, "fixmedinsCode"))
	}
	drugs := rows(in, "rxdrugdetail")
	if len(drugs) == 0 {
		return nil, refuse("处方没有药品")
	}
	if text(in, "rxDrugCnt") != itoa(len(drugs)) {
		return nil, refuse("rxDrugCnt 与药品明细数量不符")
	}
	for _, r := range c.state.scripts {
		if r.place == place.Code && text(r.in, "hospRxno") == text(in, "hospRxno") && r.stas != rxUndone {
			return nil, refuse("院内处方号重复：%s", text(in, "hospRxno"))
		}
	}
	r := &prescription{trace: c.state.id(place.Area, now)[10:], no: c.state.id(place.Area, now), in: in, place: place.Code, doctor: text(visit, "drCode")}
	c.state.scripts[r.no] = r
	return object{"rxTraceCode": r.trace, "hiRxno": r.no}, nil
}

// signPrescription is D002: the institution's signature over the prescription and its file.
func (c *Centre) signPrescription(in object) (object, error) {
	if _, ok := c.places[text(in, "fixmedinsCode")]; !ok {
		return nil, refuse("未找到定点医药机构：%s", text(in, "fixmedinsCode"))
	}
	value, err := mustText(in, "originalValue")
	if err != nil {
		return nil, err
	}
	plain, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return nil, refuse("originalValue 不是合法的 base64")
	}
	v, err := strictjson.Decode(plain, strictjson.Request())
	base, ok := v.(object)
	if err != nil || !ok {
		return nil, refuse("originalValue 不是合法的 JSON")
	}
	file, err := mustText(in, "originalRxFile")
	if err != nil {
		return nil, err
	}
	if raw, err := base64.StdEncoding.DecodeString(file); err != nil || len(raw) == 0 {
		return nil, refuse("originalRxFile 不是合法的 base64")
	}
	r := c.state.scripts[text(base, "hiRxno")]
	if r == nil || r.place != text(in, "fixmedinsCode") {
		return nil, refuse("处方未预核验")
	}
	sum := sha256.Sum256(append(plain, file...))
	r.digest = base64.StdEncoding.EncodeToString(sum[:])
	return object{"rxFile": file, "signDigest": r.digest, "signCertSn": "SIM00000001", "signCertDn": "CN=模拟机构"}, nil
}

// uploadPrescription is D003: what was checked and signed becomes valid, once.
func (c *Centre) uploadPrescription(in object) (object, error) {
	r := c.state.scripts[text(in, "hiRxno")]
	switch {
	case r == nil || r.trace != text(in, "rxTraceCode") || r.place != text(in, "fixmedinsCode"):
		return nil, refuse("处方未预核验或追溯码不符")
	case r.digest == "" || r.digest != text(in, "signDigest"):
		return nil, refuse("处方签名与机构签名结果不符")
	case r.stas != "":
		return nil, refuse("处方已上传")
	}
	r.stas = rxValid
	return object{"hiRxno": r.no, "rxStasCodg": r.stas, "rxStasName": "有效"}, nil
}

// undoPrescription is D004.
func (c *Centre) undoPrescription(in object) (object, error) {
	r := c.state.scripts[text(in, "hiRxno")]
	if r == nil || r.place != text(in, "fixmedinsCode") || r.stas == "" {
		return nil, refuse("未查询到处方")
	}
	if r.stas != rxValid {
		return nil, refuse("处方状态不允许撤销")
	}
	r.stas = rxUndone
	return object{"hiRxno": r.no, "rxStasCodg": r.stas, "rxStasName": "已撤销"}, nil
}

// askPrescription is D005, D006 and D007: nothing has been dispensed.
func (c *Centre) askPrescription(n ident.Infno, in object, now time.Time) (object, error) {
	r := c.state.scripts[text(in, "hiRxno")]
	if r == nil || r.place != text(in, "fixmedinsCode") || r.stas == "" {
		return nil, refuse("未查询到处方")
	}
	word := "有效"
	if r.stas == rxUndone {
		word = "已撤销"
	}
	out := object{"hiRxno": r.no, "rxStasCodg": r.stas, "rxStasName": word, "rxUsedStasCodg": "1", "rxUsedStasName": "未使用"}
	stamp := now.Format(time.DateTime)
	switch n {
	case "D005":
		for _, name := range []string{"prscTime", "rxDrugCnt", "valiDays", "valiEndTime", "reptFlag", "rxTypeCode"} {
			out[name] = r.in[name]
		}
		out["fixmedinsCode"], out["fixmedinsName"] = r.place, c.places[r.place].Name
		out["rxDetlList"], out["rxOtpinfo"], out["rxDiseList"] = r.in["rxdrugdetail"], r.in["mdtrtinfo"], r.in["diseinfo"]
	case "D006":
		out["pharName"], out["pharCode"] = "模拟药师", "YS00000001"
		out["rxChkStasCodg"], out["rxChkStasName"], out["rxChkTime"] = "1", "审核通过", stamp
	default:
		out["setlTime"], out["seltdelts"] = nil, []any{}
	}
	return out, nil
}
