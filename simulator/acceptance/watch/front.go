package watch

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
	"yiqiao/simulator/acceptance"
)

// maxBody bounds a request, in bytes.
const maxBody = 8 << 20

// slowAnswer is how late an answer comes that is planted slow.
const slowAnswer = 2 * time.Second

var (
	china     = time.FixedZone("CST", 8*3600)
	goodMsgID = regexp.MustCompile(`^.{12}[0-9]{14}[0-9]{4}$`)
)

// ServeHTTP takes a message of the HIS as a centre does.
func (w *Watcher) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		http.Error(rw, "only POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, req.Body, maxBody))
	if err != nil {
		http.Error(rw, "request can not be read", http.StatusBadRequest)
		return
	}
	if kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type")); strings.HasPrefix(kind, "multipart/") {
		answer, kind := w.centre(req, body) // a file: its parts are the centre's to read
		w.Keep(acceptance.Original{Wire: []acceptance.Wire{{URL: req.URL.Path, Request: body, Status: http.StatusOK, Reply: answer}}})
		send(rw, answer, kind)
		return
	}
	a := w.take(req, body)
	w.keep(req, body, a)
	if a.wait > 0 {
		w.o.Wait(a.wait)
		w.mu.Lock()
		w.judging = a.r.infno
		w.verdict([]string{"HTIM-1"}, "等待答复 / waits for the answer", a.r.again)
		w.faults = nil
		w.open = slices.DeleteFunc(w.open, func(o *record) bool { return o == a.r })
		w.mu.Unlock()
	}
	if a.cut {
		panic(http.ErrAbortHandler) // the line is cut: net/http's own way
	}
	if a.status != 0 {
		rw.WriteHeader(a.status)
	}
	send(rw, a.body, a.media)
}

// keep hands over what came and what went back: as it was on the line, and opened.
func (w *Watcher) keep(req *http.Request, body []byte, a *answer) {
	o := acceptance.Original{Case: a.scene, Request: a.opened, Reply: a.plain, Wire: []acceptance.Wire{{URL: req.URL.Path, Request: body, Status: max(a.status, http.StatusOK), Reply: a.body}}}
	if a.r != nil {
		o.Infno = a.r.infno
	}
	if a.cut {
		o.Refusal = "按约定没有送达 / not delivered, on purpose"
		o.Wire[0].Status, o.Wire[0].Reply = 0, nil
	}
	w.Keep(o)
}

func send(rw http.ResponseWriter, body []byte, media string) {
	if media != "" {
		rw.Header().Set("Content-Type", media)
	}
	_, _ = rw.Write(body) // a client that has gone away is its own business
}

// answer is what goes back.
type answer struct {
	body   []byte
	media  string
	status int
	cut    bool
	wait   time.Duration
	r      *record
	opened []byte // the message that was answered, and the answer before it was protected
	plain  []byte
	scene  string // the scenario it belonged to
}

// take judges one message and gets its answer.
func (w *Watcher) take(req *http.Request, body []byte) *answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults, w.reached = nil, true
	now := w.o.Now()
	r := &record{}
	w.judging = ""
	w.hist = append(w.hist, r)
	data, no := w.open0(req, body, now)
	if no != nil {
		w.hist = w.hist[:len(w.hist)-1]
		w.note(&record{})
		w.show(w.faults)
		return no
	}
	head, input, err := wire.DecodeRequest(data)
	media, params, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	got := ""
	switch cs := params["charset"]; {
	case err != nil:
		got = "报文无法读取 / can not be read: " + err.Error()
	case cs != "" && !strings.EqualFold(cs, "utf-8"):
		got = "charset=" + cs
	case media != "" && media != "application/json" && media != "text/plain" && !strings.HasSuffix(media, "+json"):
		got = media
	}
	var bad *wire.FieldError
	if errors.As(err, &bad) { // it can be read, and says the wrong thing
		id, ok := map[string]string{"inf_time": "HENV-2", "msgid": "ENV-12"}[bad.Field]
		if !ok {
			id = "HENV-4"
		}
		w.verdict([]string{id}, "接口表 envelope / the table", bad.Error())
		got = ""
	}
	w.verdict([]string{"HENV-1"}, "UTF-8 的一个 JSON 对象 / one JSON object in UTF-8", got)
	if err != nil {
		w.hist = w.hist[:len(w.hist)-1]
		w.note(&record{})
		w.show(w.faults)
		plain, kind := w.centre(req, data)
		out := w.seal(plain, kind, now)
		out.opened, out.plain = data, plain
		return out
	}
	r.infno, r.msgid, r.head, r.in = strings.TrimSpace(string(head.Infno)), string(head.MsgID), head, input
	w.judging = r.infno
	if w.o.Seen != nil {
		w.o.Seen(r.infno, r.msgid)
	}
	return w.business(req, r, data, now)
}

// open0 is the protection of a message; a refusal when it does not hold.
func (w *Watcher) open0(req *http.Request, body []byte, now time.Time) ([]byte, *answer) {
	if w.o.Transport != nil {
		err := w.o.Transport.Check(now, w.o.Skew, req.Header, body)
		w.verdict([]string{"HSIG-4"}, "有效的认证头 / valid caller headers", fault(err, "无效 / invalid"))
		if err != nil {
			return nil, &answer{status: http.StatusUnauthorized, body: []byte(`{"code":"401","message":"网关鉴权失败"}`), media: "application/json"}
		}
	}
	if w.o.Profile == nil {
		return body, nil
	}
	data, head, err := w.o.Profile.Open(body)
	if w.o.Sealed {
		w.verdict([]string{"HSIG-1"}, "验签和解密通过 / verifies and opens", fault(err, "未通过 / does not"))
	}
	why := "报文验签或解密失败"
	if err == nil && head.Timestamp != "" {
		ms, perr := strconv.ParseInt(head.Timestamp, 10, 64)
		got := ""
		if perr != nil || now.Sub(time.UnixMilli(ms)).Abs() > w.o.Skew {
			got, why, err = head.Timestamp, "报文时间戳超出允许范围", envelope.ErrOpen
		}
		w.verdict([]string{"HSIG-2"}, "当前时间戳 / a present timestamp", got)
		sum := sha256.Sum256(body)
		got = ""
		if w.sealed[sum] && err == nil {
			got, why, err = "同一密文再次发送 / the same sealed bytes again", "重复的报文", envelope.ErrOpen
		}
		w.verdict([]string{"HSIG-3"}, "没有发送过的密文 / bytes not sent before", got)
		w.sealed[sum] = true
	}
	if err == nil {
		return data, nil
	}
	sealed, serr := w.o.Profile.SealReply(w.o.Rand, now, "-1", why, nil)
	if serr != nil || len(sealed.Body) == 0 {
		return nil, w.refusal(why, now)
	}
	return nil, &answer{body: sealed.Body, media: sealed.ContentType}
}

func fault(err error, word string) string {
	if err != nil {
		return word
	}
	return ""
}

// business judges an opened message, asks the centre and spoils its answer where that is planted.
func (w *Watcher) business(req *http.Request, r *record, data []byte, now time.Time) *answer {
	signed := w.header(r, now)
	w.unknown(r)
	step := w.flow(r)
	scene := w.scenario().ID
	w.before(r)
	plant := ""
	if step != nil {
		plant = step.Plant
	}
	if !signed {
		plant = "unsigned"
	}
	var reply wire.Reply
	var out *answer
	var plain []byte
	switch plant {
	case "refuse":
		out = w.refusal("验收: 本次请求按约定被拒绝, 请更正后重新办理", now)
	case "sign-expired", "unsigned":
		clear(w.signs)
		w.expired = true
		out = w.refusal("签到流水号已过期，请重新签到", now)
	case "dropped":
		out = &answer{cut: true}
	default:
		var kind string
		plain, kind = w.centre(req, data)
		if got, err := wire.DecodeReply(plain); err == nil {
			reply = got
			r.done, r.told, r.out = reply.OK(), reply.OK(), reply.Output
		}
		if kind == "application/octet-stream" {
			r.done, r.told = true, true
		}
		if r.done && plant != "" {
			plain, out = w.spoil(plant, plain, now, r)
		}
		if out == nil {
			out = w.seal(plain, kind, now)
		}
		if plant == "wrong-signature" {
			out.body = spoilSignature(out.body)
		}
	}
	w.learn(r, step, plant, reply)
	out.r, out.opened, out.scene = r, data, scene
	if out.plain == nil {
		out.plain = plain
	}
	w.note(r)
	w.finish()
	if plant == "slow" && r.done {
		w.open = append(w.open, r)
		out.wait = slowAnswer
	}
	w.show(w.faults)
	return out
}

// spoil does to a good answer what is planted; out is nil when it still goes out as plain.
func (w *Watcher) spoil(plant string, plain []byte, now time.Time, r *record) ([]byte, *answer) {
	switch plant {
	case "lost":
		r.told = false
		return plain, &answer{cut: true}
	case "html":
		r.told = false
		return plain, &answer{body: []byte("<html><body>系统繁忙，请稍后再试</body></html>"), media: "text/html;charset=UTF-8"}
	case "wrong-signature":
		r.told = false
	case "wrong-total":
		r.told = false
		return change(plain, "fund_pay_sumamt", func(s string) any {
			f, err := money.ParseReply(s)
			if err != nil {
				return s
			}
			return money.Number(f + 1)
		}), nil
	case "other-answer":
		r.told = false
		return change(plain, "medins_setl_id", func(s string) any { return s[:max(0, len(s)-4)] + "0000" }), nil
	}
	return plain, nil
}

// change rewrites a member of a reply.
func change(plain []byte, member string, by func(string) any) []byte {
	v, err := strictjson.Decode(plain, strictjson.Reply())
	if err != nil {
		return plain
	}
	for _, o := range rowsOf(v, member) {
		o[member] = by(strictjson.Text(o[member]))
	}
	return strictjson.Encode(v)
}

// learn keeps what a message did, and goes on in the scenario.
func (w *Watcher) learn(r *record, step *Step, plant string, reply wire.Reply) {
	w.session(r)
	if r.done {
		w.applied(r)
		w.after(r)
	}
	r.plant = plant
	lost := plant == "dropped" || r.done && !r.told
	if lost && !w.asks(r.infno) {
		w.open = append(w.open, r)
	}
	planted := plant == "refuse" || plant == "sign-expired" || plant == "dropped" || lost
	if !r.done && !planted {
		key := r.infno + string(strictjson.Encode(r.in))
		w.refused[key]++
		got := ""
		if n := w.refused[key]; n >= 3 {
			got = fmt.Sprintf("第 %d 次原样发送 / sent %d times as it was", n, n)
		}
		w.verdict([]string{"HREF-1"}, "被拒绝后先更正 / corrected before it is sent again", got)
	}
	if step == nil {
		return
	}
	resolving := len(w.open) > 0 && w.answers(r)
	if !r.done && !planted && !resolving && plant != "unsigned" {
		w.verdict([]string{"HFLOW-2"}, "中心接受 / taken by the centre", "拒绝: "+reply.ErrMsg)
		return
	}
	if r.done {
		w.verdict([]string{"HFLOW-2"}, "", "")
	}
	if plant != "unsigned" {
		w.step++
	}
}

// session keeps the sign-ins that are good.
func (w *Watcher) session(r *record) {
	switch {
	case r.infno == "9001" && r.done && r.told:
		me := string(r.head.Institution) + "/" + r.head.Operator
		for no, who := range w.signs {
			if who == me {
				delete(w.signs, no)
			}
		}
		w.signs[find(r.out, "sign_no")] = me
		w.expired = false
	case r.infno == "9002" && r.done:
		delete(w.signs, find(r.in, "sign_no"))
	}
}

// header judges the outer message; false when the sign-in is not good.
func (w *Watcher) header(r *record, now time.Time) bool {
	h := r.head
	got := ""
	switch {
	case !goodMsgID.MatchString(r.msgid) || !strings.HasPrefix(r.msgid, string(h.Institution)):
		got = r.msgid
	case w.msgids[r.msgid]:
		got = r.msgid + " 已用过 / used before"
	}
	w.msgids[r.msgid] = true
	w.verdict([]string{"ENV-12"}, "机构编号 + 时间 + 顺序号, 唯一 / institution, time, sequence, unique", got)
	got = ""
	if t, err := time.ParseInLocation(time.DateTime, h.Time, china); err != nil || now.Sub(t).Abs() > w.o.Skew {
		got = h.Time
	}
	w.verdict([]string{"HENV-2"}, "当前的 inf_time / a present inf_time", got)
	known := string(h.Institution) == w.o.Site.Institution || string(h.Institution) == w.o.Site.Values["pharmacy"]
	got = ""
	if !known || h.MdtrtArea != w.o.Site.Area {
		got = string(h.Institution) + " " + h.MdtrtArea
	}
	w.verdict([]string{"HENV-3"}, w.o.Site.Institution+" "+w.o.Site.Area, got)
	got = ""
	for _, m := range [][2]string{{"infver", h.Version}, {"recer_sys_code", h.Receiver}, {"opter_type", h.OperatorType}, {"opter", h.Operator}, {"opter_name", h.OperatorName}, {"fixmedins_name", h.InstitutionNm}} {
		if m[1] == "" {
			got = strings.TrimSpace(got + " " + m[0])
		}
	}
	w.verdict([]string{"HENV-4"}, "报文头必填项齐全 / the members of the header", got)
	if psn := find(r.in, "psn_no"); psn != "" {
		areas := w.areas(psn)
		if len(areas) > 0 {
			got = ""
			if !slices.Contains(areas, h.InsuplcArea) {
				got = "insuplc_admdvs " + h.InsuplcArea
			}
			w.verdict([]string{"ENV-13"}, "insuplc_admdvs "+strings.Join(areas, "/"), got)
		}
	}
	if !w.o.Site.SignIn || r.infno == "9001" {
		if w.expired && r.infno == "9001" {
			w.verdict([]string{"HSGN-2"}, "", "")
		}
		return true
	}
	_, good := w.signs[h.SignNo]
	got = ""
	if !good {
		got = "没有签到或签到已失效 / no sign-in, or one that ended"
	}
	if w.expired {
		w.verdict([]string{"HSGN-2"}, "重新签到 (9001) / a new sign-in first", r.infno)
	}
	w.verdict([]string{"HSGN-1"}, "有效的 sign_no / a good sign_no", got)
	return good
}

// areas are those 1101 gave for a person.
func (w *Watcher) areas(psn string) []string {
	var out []string
	for _, o := range w.hist {
		if o.infno == "1101" && o.done && find(o.out, "psn_no") == psn {
			out = append(out, all(o.out, "insuplc_admdvs")...)
		}
	}
	return out
}

// answers reports whether a message ends what is not known.
func (w *Watcher) answers(r *record) bool {
	for _, o := range w.open {
		if w.resolves(o, r) {
			return true
		}
	}
	return false
}

func (w *Watcher) resolves(o, r *record) bool {
	if find(o.in, "psn_no") != find(r.in, "psn_no") {
		return false
	}
	if r.infno == "2601" {
		return find(r.in, "omsgid") == o.msgid
	}
	t, ok := w.o.Catalog.Lookup(ident.Infno(o.infno))
	if !ok {
		return false
	}
	for _, a := range t.Asks {
		if string(a.Infno) == r.infno && alike(o, r, []string{"mdtrt_id"}) {
			return true
		}
	}
	if string(t.Undo) == r.infno && find(r.in, "setl_id") == "" { // with one it has adopted the answer
		return alike(o, r, identity)
	}
	q, ok := w.o.Catalog.Lookup(ident.Infno(r.infno))
	return ok && q.Kind == catalog.Query && find(r.in, "mdtrt_id") != "" && find(r.in, "mdtrt_id") == find(o.in, "mdtrt_id")
}

// plantIDs are the requirements a spoilt answer is to show.
var plantIDs = map[string][]string{"wrong-total": {"HREP-1"}, "other-answer": {"HREP-2"}, "wrong-signature": {"HREP-3"}}

// unknown judges a message that comes while an outcome is not known.
func (w *Watcher) unknown(r *record) {
	w.open = slices.DeleteFunc(w.open, func(o *record) bool {
		if o.told { // its answer is only late
			if o.infno == r.infno && alike(o, r, identity) && find(o.in, "psn_no") == find(r.in, "psn_no") {
				o.again = "在答复之前又发送 / sent again before the answer"
			}
			return false
		}
		if r.infno == "2601" && find(o.in, "psn_no") == find(r.in, "psn_no") {
			got := ""
			if find(r.in, "omsgid") != o.msgid || find(r.in, "oinfno") != o.infno {
				got = "oinfno " + find(r.in, "oinfno") + " omsgid " + find(r.in, "omsgid")
			}
			w.verdict([]string{"HREV-3"}, "oinfno "+o.infno+" omsgid "+o.msgid, got)
		}
		if w.resolves(o, r) {
			w.verdict(append([]string{"HUNK-1", "HUNK-2", "HUNK-3"}, plantIDs[o.plant]...), "", "")
			return true
		}
		same := find(o.in, "psn_no") == find(r.in, "psn_no")
		switch {
		case same && r.infno == o.infno && alike(o, r, []string{"mdtrt_id", "chrg_bchno"}):
			w.verdict(append([]string{"HUNK-2"}, plantIDs[o.plant]...), "先查询或冲正 / ask or reverse first", r.infno+" 再次发送 / sent again")
		case same && !w.asks(r.infno) && r.infno != "2601":
			w.verdict(append([]string{"HUNK-3"}, plantIDs[o.plant]...), "先查清 "+o.infno+" / know first", r.infno)
		case r.infno == "1101" && w.at+1 < len(w.plan):
			w.verdict(append([]string{"HUNK-1"}, plantIDs[o.plant]...), "查询或冲正 "+o.infno+" / asked for or reversed", "开始了别的业务 / went on with something else")
			w.cases[w.at].Status = acceptance.Fail
			w.step = len(w.plan[w.at].Steps)
			return true
		}
		return false
	})
	if r.infno == "2601" {
		for _, o := range w.hist {
			if o != r && o.msgid == find(r.in, "omsgid") && o.done && !w.undoes(o.infno) {
				got := ""
				if o.told {
					got = o.infno + " 的答复已收到 / its answer was received"
				}
				w.verdict([]string{"HREV-2"}, "结果未知的交易才冲正 / only what has no known outcome", got)
			}
		}
	}
}

// refusal is an answer that says no.
func (w *Watcher) refusal(why string, now time.Time) *answer {
	stamp := strings.Replace(now.In(china).Format("20060102150405.000"), ".", "", 1)
	plain, err := wire.EncodeReply(wire.Reply{InfCode: "-1", ErrMsg: why, RefMsgTime: stamp, RespondTime: stamp, RefMsgID: w.o.Site.Area + stamp[:14] + fmt.Sprintf("%010d", 9000000+len(w.hist))})
	if err != nil {
		return &answer{status: http.StatusInternalServerError}
	}
	return w.seal(plain, "application/json;charset=UTF-8", now)
}

func (w *Watcher) seal(plain []byte, kind string, now time.Time) *answer {
	if w.o.Profile == nil || kind == "application/octet-stream" {
		return &answer{body: plain, media: kind, plain: plain}
	}
	s, err := w.o.Profile.SealReply(w.o.Rand, now, "0", "成功", plain)
	if err != nil {
		return &answer{status: http.StatusInternalServerError}
	}
	return &answer{body: s.Body, media: s.ContentType, plain: plain}
}

// centre asks the centre behind.
func (w *Watcher) centre(req *http.Request, data []byte) (body []byte, media string) {
	in, err := http.NewRequestWithContext(req.Context(), http.MethodPost, req.URL.String(), bytes.NewReader(data))
	if err != nil {
		return nil, ""
	}
	in.Header.Set("Content-Type", req.Header.Get("Content-Type"))
	resp, err := acceptance.Local(w.o.Centre).RoundTrip(in)
	if err != nil {
		return nil, ""
	}
	defer resp.Body.Close()
	body, _ = io.ReadAll(resp.Body) // a buffer in this process
	return body, resp.Header.Get("Content-Type")
}

// note puts a message into the scenario's record, masked.
func (w *Watcher) note(r *record) {
	if w.at >= len(w.cases) {
		return
	}
	s := acceptance.StepResult{Infno: r.infno, MsgID: r.msgid, Status: acceptance.Pass, Faults: w.faults}
	if len(w.faults) > 0 {
		s.Status = acceptance.Fail
		w.cases[w.at].Status = acceptance.Fail
	}
	if r.in != nil {
		s.Request = w.masked(r.in)
	}
	switch {
	case r.done && r.told:
		s.Reply = "infcode 0 " + w.masked(r.out)
	case r.done:
		s.Reply = "(已办理, 答复按约定没有正常送达 / done; the answer was spoilt on purpose)"
	case r.infno != "":
		s.Reply = "(未办理 / not done)"
	}
	w.cases[w.at].Steps = append(w.cases[w.at].Steps, s)
}

func (w *Watcher) masked(v any) string {
	b := strictjson.Encode(w.o.Catalog.Mask(v))
	if len(b) > 4000 {
		return string(b[:4000]) + "…"
	}
	return string(b)
}

// spoilSignature changes signData of a sealed reply.
func spoilSignature(body []byte) []byte {
	i := bytes.Index(body, []byte(`"signData":"`))
	if i < 0 {
		return body
	}
	out := bytes.Clone(body)
	i += len(`"signData":"`)
	if out[i] == 'A' {
		out[i] = 'B'
	} else {
		out[i] = 'A'
	}
	return out
}
