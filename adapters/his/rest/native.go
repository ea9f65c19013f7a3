package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"yiqiao/adapters/his/admit"
	"yiqiao/adapters/his/counter"
	"yiqiao/gateway"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
)

// Native takes the national envelope as a HIS's present client builds it, so that a hospital can put
// the gateway in front of that client by changing its URL. It is mounted at NativePath:
//
//	POST /native                 with the API key in a header
//	POST /native/KEY             with the key in the URL, for clients that can set no header
//	POST /native/KEY/INFNO       for clients that put the number behind the URL; "-" for KEY: in a header
//
// The client's own msgid is its request id: the same message again gets the stored answer. Everything
// else of the outer message but infno, operator, institution and insuplc_admdvs is the gateway's to
// fill: it has its own msgid, sign-in, signature. An omsgid that is a msgid of the client is put into
// the gateway's before 2601 is sent.
//
// Answers are national replies. infcode 0: done, or for the upload class durably queued (warn_msg says
// so). infcode -1: refused, nothing was done. An outcome that is not known has no infcode at all: HTTP
// 504 and a problem document, which a client must treat as it treats a time-out.
type Native struct {
	o       Options
	counter *counter.Counter
	places  chan struct{}
}

// NativePath is where Native is mounted.
const NativePath = "/native"

// NewNative checks the options; they are those of Handler.
func NewNative(o Options) (*Native, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	c, err := counter.New(o.Desk, o.Log)
	if err != nil {
		return nil, err
	}
	return &Native{o: o, counter: c, places: make(chan struct{}, o.MaxConcurrent)}, nil
}

func (n *Native) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	parts := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, NativePath), "/"), "/")
	if len(parts) > 2 {
		n.refuse(w, &gateway.Error{Code: gateway.CodeNotFound})
		return
	}
	if r.Method != http.MethodPost {
		n.refuse(w, &gateway.Error{Code: gateway.CodeMethod})
		return
	}
	key := parts[0]
	if key == "-" {
		key = ""
	}
	pass, err := n.o.Guard.Who(r, key)
	if err != nil {
		n.refuse(w, admit.Refusal(err))
		return
	}
	who := pass.Caller
	select {
	case n.places <- struct{}{}:
		defer func() { <-n.places }()
	default:
		n.refuse(w, &gateway.Error{Code: gateway.CodeRateLimited})
		return
	}
	if err := pass.Enter(r.Context(), r); err != nil {
		n.refuse(w, admit.Refusal(err))
		return
	}
	b, rerr := io.ReadAll(http.MaxBytesReader(w, r.Body, n.o.MaxBody))
	if big := new(http.MaxBytesError); errors.As(rerr, &big) {
		n.refuse(w, &gateway.Error{Code: gateway.CodeBodyTooLarge})
		return
	} else if other := new(gateway.Error); errors.As(rerr, &other) { // not the body that was signed
		n.refuse(w, other)
		return
	} else if rerr != nil {
		return // nobody is there any more
	}
	infno := ""
	if len(parts) == 2 {
		infno = parts[1]
	}
	order, rejected := n.order(b, infno)
	if rejected != nil {
		n.refuse(w, rejected)
		return
	}
	n.original(r, who, order.Body["input"])
	a := n.counter.Do(r.Context(), who, order)
	if a.Code() == gateway.CodeInfnoNotAllowed && a.ID == "" {
		order.Op = gateway.OrderUpload
		if up := n.counter.Do(r.Context(), who, order); up.Code() != gateway.CodeInfnoNotAllowed {
			a = up
		}
	}
	n.o.Log.Info("native call", "system", who.System, "request_id", a.RequestID, "infno", string(order.Infno), "outcome", string(a.Outcome), "code", string(a.Code()))
	if n.answer(w, a) && r.Context().Err() == nil {
		n.counter.Told(who, a)
	}
}

// order reads the national message.
func (n *Native) order(b []byte, infno string) (gateway.Order, *gateway.Error) {
	req, input, err := wire.DecodeRequest(b)
	var field *wire.FieldError
	switch {
	case errors.As(err, &field):
		return gateway.Order{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Path: "/" + field.Field, Rule: field.Rule}
	case err != nil:
		var e *gateway.Error
		if !errors.As(jsonError(err), &e) {
			e = &gateway.Error{Code: gateway.CodeBodyNotJSON}
		}
		return gateway.Order{}, e
	case infno != "" && infno != string(req.Infno):
		return gateway.Order{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Path: "/infno", Rule: "URL"}
	}
	body := map[string]any{"request_id": string(req.MsgID), "institution": string(req.Institution), "input": input,
		"operator": map[string]any{"id": req.Operator, "name": req.OperatorName, "type": req.OperatorType}}
	if req.InsuplcArea != "" {
		body["insuplc_admdvs"] = req.InsuplcArea
	}
	return gateway.Order{Op: gateway.OrderTransact, Infno: req.Infno, Body: body}, nil
}

// original puts the gateway's msgid for the client's where a reversal names what it reverses.
func (n *Native) original(r *http.Request, who gateway.Caller, input any) {
	f, ok := n.o.Desk.(gateway.Finder)
	nodes, _ := strictjson.Object(input)
	for _, node := range nodes {
		row, isRow := strictjson.Object(node)
		was, isText := row["omsgid"].(string)
		if !ok || !isRow || !isText {
			continue
		}
		if id, err := f.Find(r.Context(), who, was); err == nil {
			row["omsgid"] = id
		}
	}
}

// answer writes the national reply of an answer; false when nobody was there to take it.
func (n *Native) answer(w http.ResponseWriter, a counter.Answer) bool {
	now := n.o.Clock.Now()
	reply := wire.Reply{InfCode: "0", RefMsgID: a.ID, RespondTime: stamp(now), RefMsgTime: stamp(now)}
	switch {
	case a.Outcome == counter.Done && a.Transaction != nil:
		reply.RefMsgTime, reply.RespondTime = stamp(a.Transaction.CreatedAt), stamp(a.Transaction.UpdatedAt)
		reply.Output = a.Transaction.Output
	case a.Outcome == counter.Queued:
		reply.WarnMsg = "已落盘排队, 由网关上传"
	case a.Outcome == counter.Refused && a.Err == nil:
		reply.InfCode, reply.ErrMsg = "-1", "本笔未执行或已冲正"
	case a.Outcome == counter.Refused:
		return n.refuse(w, a.Err)
	default:
		e := a.Err
		if e == nil {
			e = &gateway.Error{Code: gateway.CodeOutcomeUnknown, Ref: a.ID}
		}
		return n.problem(w, e)
	}
	b, err := wire.EncodeReply(reply)
	if err != nil {
		n.o.Log.Error("a native reply can not be written", "err", err.Error())
		return n.problem(w, &gateway.Error{Code: gateway.CodeInternal})
	}
	return n.write(w, http.StatusOK, "application/json; charset=utf-8", b)
}

// refuse writes a reply that says that nothing was done.
func (n *Native) refuse(w http.ResponseWriter, e *gateway.Error) bool {
	words := gateway.Codes[e.Code]
	text := words.ZH
	switch {
	case e.Code == gateway.CodeCentreRefused && e.Detail != "":
		text = e.Detail
	case len(e.Findings) > 0:
		text += ": " + strings.TrimSpace(e.Findings[0].Path+" "+e.Findings[0].ZH)
	case e.Path != "" || e.Rule != "":
		text += ": " + strings.TrimSpace(e.Path+" "+e.Rule)
	}
	if e.Code != gateway.CodeCentreRefused {
		text = "[" + string(e.Code) + "] " + text + "; " + words.NextZH
	}
	now := n.o.Clock.Now()
	b, err := wire.EncodeReply(wire.Reply{InfCode: "-1", RefMsgID: e.Ref, RefMsgTime: stamp(now), RespondTime: stamp(now), ErrMsg: text})
	if err != nil {
		return n.problem(w, &gateway.Error{Code: gateway.CodeInternal})
	}
	status := http.StatusOK
	switch e.Code {
	case gateway.CodeKeyMissing, gateway.CodeKeyWrong, gateway.CodeSignature, gateway.CodeSignatureStale, gateway.CodeReplayed, gateway.CodeCertificate, gateway.CodeMethod, gateway.CodeNotFound, gateway.CodeRateLimited, gateway.CodeBodyTooLarge:
		status = words.Status
	}
	return n.write(w, status, "application/json; charset=utf-8", b)
}

// problem answers what must not be read as done or refused: without an infcode.
func (n *Native) problem(w http.ResponseWriter, e *gateway.Error) bool {
	words := gateway.Codes[e.Code]
	status := words.Status
	if status < 400 {
		status = http.StatusGatewayTimeout
	}
	p := Problem{Type: "urn:yiqiao:error:" + string(e.Code), Title: words.ZH, Status: status, Detail: words.ZH, Code: e.Code, Owner: words.Owner,
		Next: words.NextZH, Instance: "urn:yiqiao:transaction:" + e.Ref, Reference: e.Ref, EN: &Text{words.EN, words.NextEN}}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(p); err != nil {
		status = http.StatusInternalServerError
	}
	return n.write(w, status, ProblemType, b.Bytes())
}

func (n *Native) write(w http.ResponseWriter, status int, kind string, b []byte) bool {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, err := w.Write(b)
	return err == nil
}

// stamp is a time as replies have it: yyyyMMddHHmmssSSS.
func stamp(t time.Time) string {
	s := t.In(gateway.China).Format("20060102150405.000")
	return s[:14] + s[15:]
}
