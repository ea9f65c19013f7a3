package centre

import (
	"crypto/sha256"
	"net/http"
	"path"
	"strings"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
	"yiqiao/simulator/fault"
)

// Line is how one of the centres beside the core one is reached: the mobile payment centre and the
// prescription centre. Their messages are the data of a transaction, and the URL says which it is.
type Line struct {
	Profile   envelope.Profile
	Transport envelope.Transport // nil: no headers asked for
}

// methods gives the transaction of the last segment of a path.
func methods() map[string]ident.Infno {
	return map[string]ident.Infno{
		"uldFeeInfo": "6201", "pay_order": "6202", "refund_Order": "6203", "query_order_info": "6301", "revoke_order": "6401",
		"uploadChk": "D001", "rxFixmedinsSign": "D002", "rxFileUpld": "D003", "rxUndo": "D004", "hospRxDetlQuery": "D005",
		"rxChkInfoQuery": "D006", "rxSetlInfoQuery": "D007",
	}
}

// lineOf gives the line a request came in on; nil when it is none of these.
func (c *Centre) lineOf(r *http.Request) (*Line, ident.Infno) {
	n, ok := methods()[path.Base(r.URL.Path)]
	switch {
	case !ok:
		return nil, ""
	case strings.HasPrefix(string(n), "D"):
		return c.opt.Prescription, n
	}
	return c.opt.Mobile, n
}

// serveLine answers a message of another centre. Whatever is wrong with a message that verifies is
// answered inside the envelope, with a code other than 0 and no data.
func (c *Centre) serveLine(w http.ResponseWriter, r *http.Request, l *Line, n ident.Infno, received time.Time, body []byte) {
	if l.Transport != nil {
		err := l.Transport.Check(received, c.opt.Skew, r.Header, body)
		if nonce, ok := nonceOf(r.Header); err != nil || ok && c.memory.again(nonce, received, c.opt.Skew) {
			write(w, http.StatusUnauthorized, "application/json;charset=UTF-8", []byte(`{"code":"401","message":"网关鉴权失败"}`))
			return
		}
	}
	answer := func(code, message string, data []byte) {
		sealed, err := l.Profile.SealReply(c.opt.Rand, c.opt.Now(), code, message, data)
		c.send(w, sealed, err)
	}
	data, head, err := l.Profile.Open(body)
	switch {
	case err != nil:
		answer("-1", "报文验签或解密失败", nil)
		return
	case !c.fresh(head.Timestamp, received):
		answer("-1", "报文时间戳超出允许范围", nil)
		return
	case c.memory.again(sha256.Sum256(body), received, c.opt.Skew):
		answer("-1", "重复的报文", nil)
		return
	}
	v, err := strictjson.Decode(data, strictjson.Request())
	in, ok := v.(object)
	if err != nil || !ok {
		answer("-1", "报文内容应为对象", nil)
		return
	}
	rule, bad := c.opt.Faults.Next(string(n), "")
	if bad && !rule.Commits() {
		kill(w)
		return
	}
	out, err := c.beside(n, in)
	if bad && rule.Kind == fault.CommitThenLose {
		kill(w)
		return
	}
	if err != nil {
		answer("-1", err.Error(), nil)
		return
	}
	answer("0", "成功", strictjson.Append(nil, out))
}

// beside runs one transaction of another centre.
func (c *Centre) beside(n ident.Infno, in object) (out object, err error) {
	now := c.opt.Now().In(china())
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() {
		entry := Call{At: now, Infno: string(n), Outcome: Done}
		if err != nil {
			entry.Outcome, entry.Message = Refused, err.Error()
		}
		c.calls.add(entry)
	}()
	table, known := c.tableOf(n)
	if !known {
		return nil, refuse("不支持的交易")
	}
	whole := in
	if !strings.HasPrefix(string(n), "D") {
		whole = object{"data": in}
	}
	if err := c.checkFields(table, whole); err != nil {
		return nil, err
	}
	switch n {
	case "6201":
		return c.orderFees(in, now)
	case "6202":
		return c.placeOrder(in)
	case "6203":
		return c.refundOrder(in)
	case "6301":
		return c.askOrder(in)
	case "6401":
		return c.revokeOrder(in)
	case "D001":
		return c.preCheck(in, now)
	case "D002":
		return c.signPrescription(in)
	case "D003":
		return c.uploadPrescription(in)
	case "D004":
		return c.undoPrescription(in)
	case "D005", "D006", "D007":
		return c.askPrescription(n, in, now)
	}
	return nil, refuse("不支持的交易")
}

// mustText is for members the tables do not demand and the business needs.
func mustText(in object, name string) (string, error) {
	s := text(in, name)
	if s == "" {
		return "", refuse("缺少必填项：%s", name)
	}
	return s, nil
}
