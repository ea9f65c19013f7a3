package centre

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
	"yiqiao/simulator/fault"
)

// maxBody bounds a request.
const maxBody = 8 << 20

// Handler takes transactions: POST to any path, the infno in the body rules. What the envelope or
// the outer message gets wrong is answered, not dropped: a transport header with status 401, an
// envelope that does not verify with a code other than 0, everything else with infcode -1. The same
// nonce of a header again gets 401, the same sealed bytes again a code other than 0. Where there is an
// Issuer, POST to TokenPath asks it for a token.
func (c *Centre) Handler() http.Handler {
	if c.opt.Issuer == nil {
		return http.HandlerFunc(c.serve)
	}
	mux := http.NewServeMux()
	mux.Handle(TokenPath, c.opt.Issuer)
	mux.HandleFunc("/", c.serve)
	return mux
}

// TokenPath is where access tokens are given out.
const TokenPath = "/oauth/token"

func (c *Centre) serve(w http.ResponseWriter, r *http.Request) {
	received := c.opt.Now()
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "only POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "request can not be read", http.StatusBadRequest)
		return
	}
	if l, n := c.lineOf(r); l != nil {
		c.serveLine(w, r, l, n, received, body)
		return
	}
	if c.opt.Transport != nil {
		err := c.opt.Transport.Check(received, c.opt.Skew, r.Header, body)
		if nonce, ok := nonceOf(r.Header); err != nil || ok && c.memory.again(nonce, received, c.opt.Skew) {
			write(w, http.StatusUnauthorized, "application/json;charset=UTF-8", []byte(`{"code":"401","message":"网关鉴权失败"}`))
			return
		}
	}
	joined, isForm, err := joinForm(r.Header.Get("Content-Type"), body)
	if isForm && err == nil && c.opt.Region.FileForm != "" && c.opt.Region.FileForm != formMultipart {
		err = refuse("本地区文件内容应为 %s", c.opt.Region.FileForm)
	}
	if isForm && err != nil {
		sealed, err := c.reply(received, "", nil, err)
		c.send(w, sealed, err)
		return
	}
	if isForm {
		body = joined // which an envelope, where there is one, does not open
	}
	data := body
	if c.opt.Profile != nil {
		var head envelope.Head
		if data, head, err = c.opt.Profile.Open(body); err != nil {
			c.distrust(w, received, "报文验签或解密失败")
			return
		}
		if !c.fresh(head.Timestamp, received) {
			c.distrust(w, received, "报文时间戳超出允许范围")
			return
		}
		if head.Timestamp != "" && c.memory.again(sha256.Sum256(body), received, c.opt.Skew) {
			c.distrust(w, received, "重复的报文")
			return
		}
	}
	req, input, err := wire.DecodeRequest(data)
	if err != nil {
		sealed, err := c.reply(received, "", nil, badMessage(err))
		c.send(w, sealed, err)
		return
	}
	if c.opt.Region.FileForm == formMultipart && req.Infno == "9101" && !isForm {
		sealed, err := c.reply(received, "", nil, refuse("本地区文件内容应为 %s", formMultipart))
		c.send(w, sealed, err)
		return
	}
	rule, bad := c.opt.Faults.Next(string(req.Infno), string(req.MsgID))
	if !bad {
		out, err := c.business(req, input, "")
		sealed, err := c.reply(received, req.MdtrtArea, out, err)
		c.send(w, sealed, err)
		return
	}
	c.misbehave(w, r, rule, received, req, input)
}

// distrust answers a message whose envelope is not in order: in the envelope, with a code other
// than 0 and no data.
func (c *Centre) distrust(w http.ResponseWriter, now time.Time, why string) {
	sealed, err := c.opt.Profile.SealReply(c.opt.Rand, now, "-1", why, nil)
	if err != nil || len(sealed.Body) == 0 { // a profile without an envelope has no place for a code
		sealed, err = c.reply(now, "", nil, refuse("%s", why))
	}
	c.send(w, sealed, err)
}

// fresh holds the time of a sealed message (milliseconds; absent in some profiles) against ours.
func (c *Centre) fresh(timestamp string, now time.Time) bool {
	if timestamp == "" {
		return true
	}
	ms, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || len(timestamp) != 13 {
		return false
	}
	return now.Sub(time.UnixMilli(ms)).Abs() <= c.opt.Skew
}

// business runs a request and logs how it ended.
func (c *Centre) business(req wire.Request, input any, kind fault.Kind) (any, error) {
	out, err := c.answer(req, input)
	entry := Call{Outcome: Done}
	if err != nil {
		entry = Call{Outcome: Refused, Message: err.Error()}
	}
	c.log(req, entry, kind)
	return out, err
}

func (c *Centre) log(req wire.Request, entry Call, kind fault.Kind) {
	entry.At, entry.Infno, entry.MsgID = c.opt.Now(), trim(req.Infno), string(req.MsgID)
	entry.Place, entry.Fault = string(req.Institution), kind
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls.add(entry)
}

// misbehave does what a rule asks for.
func (c *Centre) misbehave(w http.ResponseWriter, r *http.Request, rule fault.Rule, received time.Time, req wire.Request, input any) {
	ctx, cancel := c.waiting(r.Context())
	defer cancel()
	delay := time.Duration(rule.Delay)
	if rule.Kind == fault.Late {
		// The client's patience does not matter: what was sent arrives, only later.
		lateCtx, stop := c.waiting(context.WithoutCancel(r.Context()))
		defer stop()
		c.opt.Wait(lateCtx, delay)
	}
	var sealed envelope.Sealed
	var err error
	if rule.Commits() {
		out, refusal := c.business(req, input, rule.Kind)
		if rule.Kind == fault.WrongTotal {
			out = wrongTotal(out)
		}
		if sealed, err = c.reply(received, req.MdtrtArea, out, refusal); err != nil {
			c.send(w, sealed, err)
			return
		}
	} else {
		c.log(req, Call{Outcome: Skipped}, rule.Kind)
	}
	switch rule.Kind {
	case fault.Slow:
		c.opt.Wait(ctx, delay)
		c.send(w, sealed, nil)
	case fault.Late, fault.WrongTotal:
		c.send(w, sealed, nil)
	case fault.WrongSignature:
		sealed.Body = wrongSignature(sealed.Body)
		c.send(w, sealed, nil)
	case fault.NeverAnswer:
		if delay == 0 {
			<-ctx.Done()
		} else {
			c.opt.Wait(ctx, delay)
		}
		kill(w)
	case fault.HTML:
		write(w, http.StatusOK, "text/html;charset=UTF-8", []byte("<html><head><title>系统维护</title></head><body>系统繁忙，请稍后再试</body></html>"))
	case fault.HTTP500:
		write(w, http.StatusInternalServerError, "application/json", []byte(`{"timestamp":0,"status":500,"error":"Internal Server Error"}`))
	case fault.Garbage:
		write(w, http.StatusOK, "application/json", []byte("\x00\xff{\"infcode\":0,,\"output\":\x1b"))
	case fault.CutMidBody:
		raw(w, sealed, 1, len(sealed.Body)/2)
	case fault.AnswerTwice:
		raw(w, sealed, 2, len(sealed.Body))
	default: // CommitThenLose, DropBeforeCommit, Refuse
		if delay > 0 {
			c.opt.Wait(ctx, delay)
		}
		kill(w)
	}
}

// waiting ends with the request or with Close.
func (c *Centre) waiting(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	stop := make(chan struct{})
	go func() {
		select {
		case <-c.closed:
			cancel()
		case <-stop:
		}
	}()
	return ctx, func() { close(stop); cancel() }
}

// reply seals the answer to a request. err other than nil is the refusal it carries.
func (c *Centre) reply(received time.Time, area string, out any, refused error) (envelope.Sealed, error) {
	if f, ok := out.(download); ok && refused == nil { // a file goes out as it is
		return envelope.Sealed{Body: f.body, ContentType: "application/octet-stream"}, nil
	}
	now := c.opt.Now().In(china())
	if len(area) != 6 {
		area = "000000"
	}
	m := wire.Reply{InfCode: "0", Output: out, RefMsgTime: stamp(received.In(china())), RespondTime: stamp(now),
		RefMsgID: area + now.Format("20060102150405") + fmt.Sprintf("%010d", c.refs.Add(1)%10_000_000_000)}
	if refused != nil {
		m.InfCode, m.Output, m.ErrMsg = "-1", nil, refused.Error()
	}
	plain, err := wire.EncodeReply(m)
	if err != nil {
		return envelope.Sealed{}, err
	}
	if c.opt.Profile == nil {
		return envelope.Sealed{Body: plain, ContentType: "application/json;charset=UTF-8"}, nil
	}
	return c.opt.Profile.SealReply(c.opt.Rand, now, "0", "成功", plain)
}

// stamp writes yyyyMMddHHmmssSSS.
func stamp(t time.Time) string { return strings.Replace(t.Format("20060102150405.000"), ".", "", 1) }

func (c *Centre) send(w http.ResponseWriter, s envelope.Sealed, err error) {
	if err != nil {
		http.Error(w, "answer can not be written", http.StatusInternalServerError)
		return
	}
	write(w, http.StatusOK, s.ContentType, s.Body)
}

func write(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone away is its own business
}

// kill drops the connection without an answer.
func kill(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // net/http's own way to drop a connection it can not hand over
	}
	_ = conn.Close() // nobody is to hear of it
}

// raw writes an answer by hand: its head, the first n bytes of the body, all of it so many times,
// and the end of the connection.
func raw(w http.ResponseWriter, s envelope.Sealed, times, n int) {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	for range times {
		_, err = fmt.Fprintf(buf, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", s.ContentType, len(s.Body), s.Body[:n])
		if err != nil {
			return
		}
	}
	_ = buf.Flush() // the peer may be gone already, which is what this is about
}

// wrongTotal raises fund_pay_sumamt by one fen.
func wrongTotal(out any) any {
	out = strictjson.Clone(out)
	if o, ok := out.(object); ok {
		if info, ok := o["setlinfo"].(object); ok {
			if f, err := money.Parse(text(info, "fund_pay_sumamt")); err == nil {
				info["fund_pay_sumamt"] = money.Number(f + 1)
			}
		}
	}
	return out
}

// wrongSignature changes signData of a sealed reply. A plain reply gets a signature it should not
// have, since there is none to spoil.
func wrongSignature(body []byte) []byte {
	v, err := strictjson.Decode(body, strictjson.Reply())
	if err != nil {
		return body
	}
	o, ok := v.(object)
	if !ok {
		return body
	}
	sign := text(o, "signData")
	switch {
	case sign == "":
		o["signtype"], o["cainfo"] = "SM2", strings.Repeat("A", 88)
	case sign[0] == 'A':
		o["signData"] = "B" + sign[1:]
	default:
		o["signData"] = "A" + sign[1:]
	}
	return strictjson.Encode(o)
}
