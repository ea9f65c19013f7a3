package invoice

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/schemas/strictjson"
	"yiqiao/simulator/fault"
)

type object = map[string]any

// maxBody bounds a request.
const maxBody = 4 << 20

// Handler serves the interface (POST …/api/medical/<method>) and the pages of patients (GET /h5/…,
// GET /qr/…).
func (p *Platform) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /h5/{batch}/{no}", p.page)
	mux.HandleFunc("GET /qr/{batch}/{no}", p.picture)
	mux.HandleFunc("POST /", p.serve)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.down.Load() {
			hangUp(w)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// request is the outer message; a reply has the same members.
type request struct {
	AppID   string `json:"appid"`
	Data    string `json:"data"`
	Noise   string `json:"noise"`
	Version string `json:"version"`
	Sign    string `json:"sign"`
}

func (p *Platform) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "request can not be read", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	p.requests++
	p.mu.Unlock()
	dir, method := path.Split(strings.TrimSuffix(r.URL.Path, "/"))
	if !strings.HasSuffix(dir, "/api/medical/") {
		http.NotFound(w, r)
		return
	}
	in, err := p.open(body)
	if err != nil {
		p.send(w, nil, err, false)
		return
	}
	name := text(in, "busNo")
	if name == "" {
		name = text(in, "billNo")
	}
	rule, bad := p.opt.Faults.Next(method, name)
	if bad {
		p.misbehave(w, r, rule, method, in)
		return
	}
	out, err := p.call(method, in)
	p.send(w, out, err, false)
}

// open checks the signature before it looks at anything else.
func (p *Platform) open(body []byte) (object, error) {
	var q request
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, refuse(errData, "请求报文不是 JSON")
	}
	want := envelope.EInvoiceSign(q.AppID, q.Data, q.Noise, p.opt.Key, q.Version)
	if q.AppID != p.opt.AppID || q.Version != "1.0" || q.Noise == "" ||
		subtle.ConstantTimeCompare([]byte(want), []byte(q.Sign)) != 1 {
		return nil, refuse(errSign, "签名验证失败")
	}
	data, err := base64.StdEncoding.Strict().DecodeString(q.Data)
	if err != nil {
		return nil, refuse(errData, "data 不是 base64")
	}
	v, err := strictjson.Decode(data, strictjson.Request())
	in, isObject := v.(object)
	if err != nil || !isObject {
		return nil, refuse(errData, "data 不是 JSON 对象")
	}
	return in, nil
}

// call runs a method. A string answers with plain text, anything else with JSON.
func (p *Platform) call(method string, in object) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch method {
	case "invoiceEBillOutpatient", "invEBillHospitalized", "invEBillRegistration", "invEBillCheckUp":
		return p.issue(method, in)
	case "invoicePayMentVoucher":
		return p.voucher(in)
	case "writeOffEBill":
		return p.reverse(in, false)
	case "writeOffPayMentVoucher", "cancelPayMentVoucherBalance":
		return p.reverse(in, true)
	case "getPaperBillNo":
		return p.nextPaper(in)
	case "getValidBillBatchCode":
		return p.batches(in)
	case "turnPaper", "reTurnPaper":
		return p.turnPaper(in, method == "reTurnPaper")
	case "invalidPaper", "invalidPayMentVoucherPaper":
		return p.voidPaper(in)
	case "invalidBlankBillNo":
		return p.voidBlank(in)
	case "printPaperBill":
		return p.printPaper(in)
	case "getEBillStatesByBillInfo":
		return p.state(in)
	case "getBillStateByBusNo":
		if p.opt.NoQueryByBusNo {
			return nil, refuse(errMethod, "接口不存在")
		}
		return p.byBusNo(in)
	case "getEBillAccountStatus":
		return p.posted(in)
	case "getBillByBusDate":
		return p.list(in)
	case "checkTotalData":
		return p.totals(in, false)
	case "checkWriteOffData":
		return p.totals(in, true)
	case "sendNotice":
		return p.notify(in)
	}
	return nil, refuse(errMethod, "接口不存在: %s", method)
}

// reply writes the answer as it leaves.
func (p *Platform) reply(out any, failed error, wrongSign bool) []byte {
	result, message := ok, []byte(nil)
	switch v := out.(type) {
	case string:
		message = []byte(v)
	default:
		message = encode(v)
	}
	if failed != nil {
		var r refusal
		if !errors.As(failed, &r) {
			r = refusal{errData, "系统异常"}
		}
		result, message = r.code, []byte(r.text)
	}
	data := base64.StdEncoding.EncodeToString(encode(object{"result": result, "message": base64.StdEncoding.EncodeToString(message)}))
	q := request{AppID: p.opt.AppID, Data: data, Noise: fmt.Sprintf("%032x", p.noise.Add(1)), Version: "1.0"}
	q.Sign = envelope.EInvoiceSign(q.AppID, q.Data, q.Noise, p.opt.Key, q.Version)
	if wrongSign {
		q.Sign = envelope.EInvoiceSign(q.AppID, q.Data, q.Noise, p.opt.Key+"x", q.Version)
	}
	return encode(q)
}

func (p *Platform) send(w http.ResponseWriter, out any, failed error, wrongSign bool) {
	write(w, http.StatusOK, "application/json; charset=utf-8", p.reply(out, failed, wrongSign))
}

// misbehave does what a rule asks for.
func (p *Platform) misbehave(w http.ResponseWriter, r *http.Request, rule fault.Rule, method string, in object) {
	delay := time.Duration(rule.Delay)
	if rule.Kind == fault.Late {
		p.opt.Wait(context.WithoutCancel(r.Context()), delay)
	}
	var out any
	var failed error
	if rule.Commits() {
		out, failed = p.call(method, in)
	}
	switch rule.Kind {
	case fault.Slow:
		p.opt.Wait(r.Context(), delay)
		p.send(w, out, failed, false)
	case fault.Late:
		p.send(w, out, failed, false)
	case fault.NeverAnswer:
		if delay == 0 {
			delay = time.Hour
		}
		p.opt.Wait(r.Context(), delay)
		hangUp(w)
	case fault.CommitThenLose, fault.DropBeforeCommit, fault.Refuse:
		p.opt.Wait(r.Context(), delay)
		hangUp(w)
	case fault.AnswerTwice:
		b := p.reply(out, failed, false)
		write(w, http.StatusOK, "application/json; charset=utf-8", append(b, b...))
	case fault.HTML:
		write(w, http.StatusOK, "text/html", []byte("<html><body>系统维护中</body></html>"))
	case fault.HTTP500:
		write(w, http.StatusInternalServerError, "text/plain", []byte("error"))
	case fault.Garbage:
		write(w, http.StatusOK, "application/json; charset=utf-8", []byte("{\"appid\":\x00\xff"))
	case fault.CutMidBody:
		cut(w, p.reply(out, failed, false))
	case fault.WrongSignature:
		p.send(w, out, failed, true)
	case fault.WrongTotal:
		if o, isObject := out.(object); isObject {
			o["billNo"] = "" // an answer that can not be
		}
		p.send(w, out, failed, false)
	}
}

// hangUp closes the connection without a word.
func hangUp(w http.ResponseWriter) {
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = c.Close()
	}
}

// cut sends half of an answer.
func cut(w http.ResponseWriter, body []byte) {
	c, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprintf(buf, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
	_, _ = buf.Write(body[:len(body)/2])
	_ = buf.Flush()
}

func write(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// encode writes JSON; what the simulator makes can always be written.
func encode(v any) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte("null")
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

// text is a member that is a text, without blanks around it.
func text(in object, name string) string {
	s, _ := in[name].(string)
	return strings.TrimSpace(s)
}
