package rest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/check"
	"yiqiao/schemas/strictjson"
)

// Problem is an error answer, RFC 9457, media type application/problem+json.
type Problem struct {
	Type       string          `json:"type"`     // urn:yiqiao:error:<code>
	Title      string          `json:"title"`    // what happened
	Status     int             `json:"status"`   // the HTTP status
	Detail     string          `json:"detail"`   // one sentence about this call; the centre's words when it refused
	Instance   string          `json:"instance"` // where to ask about the record, or urn:yiqiao:call:<reference>
	Code       gateway.Code    `json:"code"`
	Owner      gateway.Owner   `json:"owner"` // whose job it is
	Next       string          `json:"next"`  // what to do now
	Path       string          `json:"path,omitempty"`
	Rule       string          `json:"rule,omitempty"`
	EN         *Text           `json:"en,omitempty"` // the words in English
	ZH         *Text           `json:"zh,omitempty"` // the words in Chinese, when English was asked for
	Findings   []check.Finding `json:"findings,omitempty"`
	Reference  string          `json:"reference"`             // of this call, for the operator of the gateway
	RetryAfter int             `json:"retry_after,omitempty"` // seconds
}

// Text is what happened and what to do, in one language.
type Text struct {
	Title string `json:"title"`
	Next  string `json:"next"`
}

// ProblemType is the media type of a Problem.
const ProblemType = "application/problem+json"

// maxRetryAfter bounds what a client is told to wait.
const maxRetryAfter = time.Hour

// problem turns an error into its answer. What a client must not see goes to the log here.
func (k *call) problem(err error) (answer, error) {
	e := k.known(err)
	w := gateway.Codes[e.Code]
	k.code, k.path = e.Code, e.Path
	p := Problem{
		Type: "urn:yiqiao:error:" + string(e.Code), Status: w.Status, Code: e.Code, Owner: w.Owner,
		Path: e.Path, Rule: e.Rule, Findings: e.Findings,
		Instance: "urn:yiqiao:call:" + k.reference, Reference: k.reference,
		RetryAfter: retryAfter(e, w.Status),
	}
	if !k.named {
		k.note(e.Ref)
	}
	var location string
	if k.where != "" && k.id != "" {
		p.Instance = k.where + url.PathEscape(k.id)
		if w.Status == http.StatusAccepted {
			location = p.Instance
		}
	}
	zh, en := Text{w.ZH, w.NextZH}, Text{w.EN, w.NextEN}
	head := k.c.Writer.Header()
	head.Set("Vary", "Accept-Language")
	if k.english {
		head.Set("Content-Language", "en")
		p.Title, p.Next, p.ZH = en.Title, en.Next, &zh
		p.Detail = sentence(w.EN, ": ", e, func(f check.Finding) string { return f.EN })
	} else {
		head.Set("Content-Language", "zh")
		p.Title, p.Next, p.EN = zh.Title, zh.Next, &en
		p.Detail = sentence(w.ZH, ": ", e, func(f check.Finding) string { return f.ZH })
	}
	if p.RetryAfter > 0 {
		head.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	switch e.Code {
	case gateway.CodeSessionNeeded:
		head.Set("WWW-Authenticate", `Bearer realm="yiqiao-people"`)
	case gateway.CodeKeyMissing:
		head.Set("WWW-Authenticate", `Bearer realm="yiqiao"`)
	case gateway.CodeKeyWrong:
		head.Set("WWW-Authenticate", `Bearer realm="yiqiao", error="invalid_token"`)
	}
	a, err := asJSON(w.Status, p)
	a.kind, a.location = ProblemType, location
	return a, err
}

// known is err as an *Error with a code that has words. Anything else is a fault of the gateway.
func (k *call) known(err error) *gateway.Error {
	var e *gateway.Error
	isOurs := errors.As(err, &e) && e != nil
	switch {
	case err == errPanic: // logged where it was caught
		return &gateway.Error{Code: gateway.CodeInternal}
	case isOurs && gateway.Codes[e.Code].Status != 0:
		switch status := gateway.Codes[e.Code].Status; {
		case e.Code == gateway.CodeInternal:
			k.h.o.Log.Error("a call failed", "reference", k.reference, "err", e.Error())
		case status >= 500, status == http.StatusAccepted:
			k.h.o.Log.Warn("a call failed", "reference", k.reference, "err", e.Error())
		}
		return e
	case !isOurs && k.method == http.MethodPost && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		// The waiting ended, the work did not: never call that a failure.
		return &gateway.Error{Code: gateway.CodeOutcomeUnknown}
	}
	text := "nil *gateway.Error"
	if isOurs || e == nil && !errors.As(err, &e) {
		text = err.Error()
	}
	k.h.o.Log.Error("a call failed in an unforeseen way", "reference", k.reference, "err", text)
	return &gateway.Error{Code: gateway.CodeInternal}
}

// sentence is the detail of a problem: the code's words, and what is known beyond them.
func sentence(words, colon string, e *gateway.Error, of func(check.Finding) string) string {
	words = strings.TrimRight(words, ".")
	switch {
	case (e.Code == gateway.CodeCentreRefused || e.Code == gateway.CodeRestUnsettled) && e.Detail != "":
		return words + colon + e.Detail
	case len(e.Findings) > 0 && of(e.Findings[0]) != "":
		f := e.Findings[0]
		s := words + colon + strings.TrimSpace(f.Path+" "+of(f))
		if n := len(e.Findings); n > 1 {
			s += " (1/" + strconv.Itoa(n) + ")"
		}
		return s
	case e.Detail != "" && shown(e.Code):
		return words + colon + e.Detail
	case e.Path != "" || e.Rule != "":
		return words + colon + strings.TrimSpace(e.Path+" "+of(rule(e.Rule)))
	}
	return words
}

// rule puts the rules of strictjson in words; another rule speaks for itself.
func rule(r string) check.Finding {
	switch strictjson.Kind(r) {
	case strictjson.Syntax:
		return check.Finding{ZH: "此处语法有误或报文不完整", EN: "a syntax error, or the end is missing"}
	case strictjson.Trailing:
		return check.Finding{ZH: "报文之后还有多余内容", EN: "something follows the value"}
	case strictjson.Duplicate:
		return check.Finding{ZH: "字段重复", EN: "a repeated member"}
	case strictjson.UTF8:
		return check.Finding{ZH: "不是 UTF-8 编码 (是否误用了 GBK)", EN: "not UTF-8 (GBK perhaps)"}
	case strictjson.Depth:
		return check.Finding{ZH: "嵌套过深", EN: "nested too deeply"}
	case strictjson.Size:
		return check.Finding{ZH: "超过大小上限", EN: "beyond the size limit"}
	case strictjson.Number:
		return check.Finding{ZH: "数字写法不允许 (科学计数、NaN 或过长)", EN: "a number in exponent form, NaN or too long"}
	}
	return check.Finding{ZH: r, EN: r}
}

// shown reports whether Detail is for the caller: the centre's words and hints on how to call.
// Details of faults on our side name addresses and files, and are for the log.
func shown(c gateway.Code) bool {
	switch c {
	case gateway.CodeInfnoNotDescribed, gateway.CodeNotSupported, gateway.CodeReviewTaken, gateway.CodeSecondPerson:
		return true
	}
	w := gateway.Codes[c]
	return w.Owner == gateway.OwnerHIS || w.Owner == gateway.OwnerDesk
}

// retryAfter is in whole seconds, rounded up; 0 means nothing is said.
func retryAfter(e *gateway.Error, status int) int {
	d := min(e.RetryAfter, maxRetryAfter)
	if d <= 0 {
		switch {
		case status == http.StatusServiceUnavailable:
			d = 5 * time.Second
		case status == http.StatusAccepted:
			d = 3 * time.Second
		case status == http.StatusTooManyRequests, e.Code == gateway.CodeRequestInProgress:
			d = time.Second
		default:
			return 0
		}
	}
	return int((d + time.Second - 1) / time.Second)
}

// prefersEnglish reads Accept-Language: English must weigh more than Chinese.
func prefersEnglish(header string) bool {
	var zh, en float64
	for part := range strings.SplitSeq(header[:min(len(header), 1000)], ",") {
		tag, params, _ := strings.Cut(part, ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			n, err := strconv.ParseFloat(v, 64)
			if err != nil || !(n >= 0 && n <= 1) {
				n = 0
			}
			q = n
		}
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		switch primary {
		case "zh":
			zh = max(zh, q)
		case "en":
			en = max(en, q)
		}
	}
	return en > zh
}
