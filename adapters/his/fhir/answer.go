package fhir

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"yiqiao/adapters/his/counter"
	"yiqiao/gateway"
	"yiqiao/schemas/check"
	"yiqiao/schemas/strictjson"
)

// Names of what FHIR has no member for: systems of codes and identifiers, and urls of extensions.
const (
	sysCode    = "urn:yiqiao:code"    // of errors and findings: docs/errors.md
	sysAmount  = "urn:yiqiao:amount"  // of totals
	sysRequest = "urn:yiqiao:request" // identifier: the request id
	ours       = "urn:yiqiao:"
)

type obj = map[string]any

// mostIssues of one OperationOutcome.
const mostIssues = 100

func ext(name, value string) obj { return obj{"url": ours + name, "valueString": value} }

// exts are extensions with texts, by pairs of name and text; empty ones are left out.
func exts(pairs ...string) []obj {
	var out []obj
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, ext(pairs[i], pairs[i+1]))
		}
	}
	return out
}

func (h *Handler) send(w http.ResponseWriter, status int, body any) bool {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		h.o.Log.Error("an answer can not be written", "err", err.Error())
		b.Reset()
		status = http.StatusInternalServerError
		_ = e.Encode(outcome(&gateway.Error{Code: gateway.CodeInternal}, counter.Answer{}, nil))
	}
	head := w.Header()
	head.Set("Content-Type", "application/fhir+json; fhirVersion=4.0; charset=utf-8")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusUnauthorized {
		head.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	return err == nil
}

// answer is the whole of what goes back, in the form the document came in.
func (h *Handler) answer(r *reply) (int, any) {
	status, parts := http.StatusOK, []any{}
	worst := r.err
	if r.err != nil {
		status = gateway.Codes[r.err.Code].Status
		parts = append(parts, outcome(r.err, counter.Answer{Outcome: counter.Outcome(outcomeOf(r.err))}, h.sources(r)))
	}
	for _, a := range r.answers {
		switch {
		case a.Err != nil:
			status, worst = gateway.Codes[a.Err.Code].Status, a.Err
			parts = append(parts, outcome(a.Err, a, h.sources(r)))
			continue
		case a.Outcome == counter.Unknown || a.Outcome == counter.Queued:
			status = http.StatusAccepted
		}
		parts = append(parts, r.resource(a))
	}
	if len(parts) == 0 {
		parts = append(parts, obj{"resourceType": "OperationOutcome", "issue": []obj{{"severity": "information", "code": "informational",
			"details": obj{"text": "已收到, 无需处理 / received, nothing to do"}}}, "extension": exts("mapping", r.mapped.Version, "event", r.mapped.Rule)})
	}
	switch {
	case r.d == nil:
		return status, parts[0]
	case r.d.Bundle == "message":
		return status, h.message(r, worst, parts)
	case r.d.Bundle == "transaction" && worst == nil:
		return status, r.transacted(parts)
	}
	return status, together(parts)
}

// outcomeOf is what an error before any order says of the outcome: nothing was done, or nothing at all.
func outcomeOf(e *gateway.Error) string {
	if e.Code == gateway.CodeInternal {
		return ""
	}
	return string(counter.Refused)
}

// together is one resource, or a Bundle of several.
func together(parts []any) any {
	if len(parts) == 1 {
		return parts[0]
	}
	entries := make([]obj, len(parts))
	for i, p := range parts {
		entries[i] = obj{"resource": p}
	}
	return obj{"resourceType": "Bundle", "type": "collection", "entry": entries}
}

// transacted answers a transaction: an entry for each of theirs, that of the focus with what came of it.
func (r *reply) transacted(parts []any) any {
	var entries []obj
	for i := range list(r.d.Root["entry"]) {
		e := obj{"response": obj{"status": "200 OK"}}
		if parts != nil && i == r.d.at.entry {
			e["resource"], parts = together(parts), nil
		}
		entries = append(entries, e)
	}
	return obj{"resourceType": "Bundle", "type": "transaction-response", "entry": entries}
}

// message answers a message with a message.
func (h *Handler) message(r *reply, worst *gateway.Error, parts []any) any {
	id, _ := r.d.Focus["id"].(string)
	if id == "" {
		id = r.d.ID()
	}
	response := obj{"identifier": id, "code": "ok"}
	if worst != nil {
		switch st := gateway.Codes[worst.Code].Status; {
		case worst.Code == gateway.CodeOutcomeUnknown || worst.Code == gateway.CodeNeedsPerson: // taken, being found out
		case st >= 500 || st == http.StatusTooManyRequests:
			response["code"] = "transient-error"
		default:
			response["code"] = "fatal-error"
		}
		response["details"] = obj{"reference": ours + "answer:1"}
	}
	head := obj{"resourceType": "MessageHeader", "source": obj{"name": "Yiqiao 医桥", "endpoint": ours + "gateway"}, "response": response}
	for _, m := range []string{"eventCoding", "eventUri"} {
		if v, there := r.d.Focus[m]; there {
			head[m] = v
		}
	}
	entries := []obj{{"fullUrl": ours + "answer:0", "resource": head}}
	for i, p := range parts {
		entries = append(entries, obj{"fullUrl": ours + "answer:" + strconv.Itoa(i+1), "resource": p})
	}
	return obj{"resourceType": "Bundle", "type": "message", "entry": entries}
}

// issueType is FHIR's word for an error, by the status it has over HTTP.
func issueType(e *gateway.Error) string {
	switch gateway.Codes[e.Code].Status {
	case 400, 415:
		return "structure"
	case 401:
		return "login"
	case 403:
		return "forbidden"
	case 404, 410:
		return "not-found"
	case 405, 501:
		return "not-supported"
	case 409:
		return "conflict"
	case 413:
		return "too-long"
	case 429:
		return "throttled"
	case 422:
		if e.Code == gateway.CodeRequestInvalid {
			return "invalid"
		}
		return "business-rule"
	case 503:
		return "transient"
	case 502, 504:
		return "timeout"
	case 500:
		return "exception"
	}
	return "processing"
}

// outcome puts an error into an OperationOutcome, Chinese first: an issue for it, then one for each finding.
func outcome(err *gateway.Error, a counter.Answer, places map[string]gateway.Trace) obj {
	w := gateway.Codes[err.Code]
	text, detail := w.ZH, ""
	if w.Owner == gateway.OwnerHIS || w.Owner == gateway.OwnerDesk || err.Code == gateway.CodeCentreRefused {
		detail = err.Detail
	}
	if detail != "" {
		text += ": " + detail
	}
	severity := "error"
	if a.Outcome == counter.Unknown {
		severity = "warning" // no failure: it is being found out
	}
	top := obj{"severity": severity, "code": issueType(err), "diagnostics": w.EN + " " + w.NextEN,
		"details": obj{"coding": []obj{{"system": sysCode, "code": string(err.Code), "display": w.ZH}}, "text": text + "; " + w.NextZH},
		"extension": exts("path", err.Path, "rule", err.Rule, "detail", detail, "owner", string(w.Owner), "outcome", string(a.Outcome),
			"request", a.RequestID, "id", a.ID)}
	if s := places[err.Path].Source; s != "" {
		top["expression"] = []string{s}
	}
	issues := []obj{top}
	for _, f := range err.Findings {
		if len(issues) == mostIssues {
			break
		}
		i := obj{"severity": string(f.Severity), "code": "invalid", "diagnostics": f.EN,
			"details":   obj{"coding": []obj{{"system": sysCode, "code": f.Code}}, "text": f.ZH},
			"extension": exts("path", f.Path, "rule", f.Rule)}
		if f.Severity != check.Error {
			i["severity"] = "warning"
		}
		if f.Code == check.CodeFieldMissing {
			i["code"] = "required"
		}
		if s := places[f.Path].Source; s != "" {
			i["expression"] = []string{s}
		}
		issues = append(issues, i)
	}
	return obj{"resourceType": "OperationOutcome", "issue": issues}
}

// sources says where in their document the targets came from; asked only when something is wrong.
func (h *Handler) sources(r *reply) map[string]gateway.Trace {
	out := map[string]gateway.Trace{}
	if r.d == nil {
		return out
	}
	for _, t := range h.o.Mapper.Trace(r.source) {
		out[t.Target] = t
	}
	return out
}

// resource is what came of an order: a ClaimResponse for a bill or a stay, else Parameters.
func (r *reply) resource(a counter.Answer) any {
	switch {
	case a.Settlement != nil:
		s := a.Settlement
		return r.claim(a, about{string(s.State), s.Message, string(s.SettlementID), string(s.Visit), string(s.MsgID), "", s.Amounts, s.Steps, s.NeedsPerson})
	case a.Stay != nil:
		s := a.Stay
		return r.claim(a, about{string(s.State), s.Message, string(s.SettlementID), string(s.Visit), string(s.MsgID), s.Charged, s.Amounts, s.Steps, s.NeedsPerson})
	}
	p := exts("operation", string(a.Op), "outcome", string(a.Outcome), "request", a.RequestID, "id", a.ID, "mapping", r.mapped.Version)
	if t := a.Transaction; t != nil {
		p = append(p, exts("infno", string(t.Infno), "state", string(t.State), "message", t.Message)...)
		if t.Output != nil {
			p = append(p, ext("output", string(strictjson.Encode(t.Output))))
		}
	}
	for i := range p {
		p[i] = obj{"name": strings.TrimPrefix(p[i]["url"].(string), ours), "valueString": p[i]["valueString"]}
	}
	return obj{"resourceType": "Parameters", "parameter": p}
}

// about is what a bill and a stay have in common.
type about struct {
	state, message, settlement, visit, msgid, charged string
	amounts                                           *gateway.Amounts
	steps                                             []gateway.Step
	person                                            bool
}

// claim is a ClaimResponse. outcome is FHIR's: complete, error, queued (also: not known yet; the extension
// outcome tells the two apart).
func (r *reply) claim(a counter.Answer, s about) any {
	word := map[counter.Outcome]string{counter.Done: "complete", counter.Refused: "error"}[a.Outcome]
	if word == "" {
		word = "queued"
	}
	c := obj{"resourceType": "ClaimResponse", "id": a.ID, "status": "active", "use": "claim", "outcome": word,
		"type": obj{"text": "医保结算"}, "patient": obj{"display": "见原请求 / as in the request"}, "insurer": obj{"display": "医疗保障经办机构"},
		"disposition": disposition(a, s),
		"extension": exts("operation", string(a.Op), "outcome", string(a.Outcome), "state", s.state, "charged", s.charged,
			"mapping", r.mapped.Version, "event", r.mapped.Rule)}
	r.echo(c)
	var ids []obj
	for _, i := range [][2]string{{sysRequest, a.RequestID}, {ours + "setl_id", s.settlement}, {ours + "mdtrt_id", s.visit}, {ours + "msgid", s.msgid}} {
		if i[1] != "" {
			ids = append(ids, obj{"system": i[0], "value": i[1]})
		}
	}
	if ids != nil {
		c["identifier"] = ids
	}
	if n := len(s.steps); n > 0 {
		c["created"] = s.steps[n-1].At.In(gateway.China).Format(time.RFC3339)
	} else {
		c["_created"] = obj{"extension": []obj{{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}}}
	}
	if t := totals(s.amounts); len(t) > 0 {
		c["total"] = t
	}
	if s.message != "" {
		c["processNote"] = []obj{{"type": "display", "text": s.message}}
	}
	return c
}

// echo repeats of their Claim what a ClaimResponse must say again, and nothing of the person.
func (r *reply) echo(c obj) {
	for _, it := range r.d.list {
		if it.body["resourceType"] != "Claim" {
			continue
		}
		if use, _ := it.body["use"].(string); use == "predetermination" || use == "preauthorization" {
			c["use"] = use
		}
		if ref, _ := strictjson.Get(it.body, "patient", "reference").(string); strings.HasPrefix(ref, "urn:uuid:") {
			c["patient"] = obj{"reference": ref}
		}
		return
	}
}

func disposition(a counter.Answer, s about) string {
	switch {
	case s.person:
		return "结果未知, 需人工核实; 请勿换号重发"
	case a.Outcome == counter.Unknown:
		return "结果未知, 正在查询, 并非失败; 请原样重发同一报文询问结果"
	case a.Outcome == counter.Refused:
		return "未受理"
	}
	if zh, ok := states[s.state]; ok {
		return zh
	}
	return s.state
}

// states in words.
var states = map[string]string{
	string(gateway.BillPresettled): "已预结算, 尚未结算", string(gateway.BillSettled): "已结算", string(gateway.BillRefunded): "已撤销结算",
	string(gateway.BillCancelled): "已撤销登记与明细", string(gateway.BillFailed): "未成功", string(gateway.StayIn): "在院", string(gateway.StayDischarged): "已出院",
}

// totals are the amounts as the centre gave them; where FHIR has a word for one it stands first.
func totals(m *gateway.Amounts) []obj {
	if m == nil {
		return nil
	}
	var out []obj
	for _, t := range []struct{ code, standard, zh, value string }{
		{"medfee_sumamt", "submitted", "医疗费总额", m.Total}, {"fund_pay_sumamt", "benefit", "基金支付", m.Fund},
		{"acct_pay", "", "个人账户支付", m.Account}, {"psn_cash_pay", "", "个人现金支付", m.Cash}, {"psn_part_amt", "copay", "个人负担", m.Person},
		{"act_pay_dedc", "deductible", "起付线", m.Deduct}, {"inscp_scp_amt", "eligible", "符合政策范围", m.InScope}, {"fulamt_ownpay_amt", "", "全自费", m.OwnPay},
		{"overlmt_selfpay", "", "超限价自费", m.OverLmt}, {"preselfpay_amt", "", "先行自付", m.PreSelf}, {"hosp_part_amt", "", "医院负担", m.Hospital},
		{"balc", "", "账户余额", m.Balance},
	} {
		if !decimal(t.value) {
			continue
		}
		coding := []obj{{"system": sysAmount, "code": t.code, "display": t.zh}}
		if t.standard != "" {
			coding = append([]obj{{"system": "http://terminology.hl7.org/CodeSystem/adjudication", "code": t.standard}}, coding...)
		}
		out = append(out, obj{"category": obj{"coding": coding, "text": t.zh}, "amount": obj{"value": json.Number(t.value), "currency": "CNY"}})
	}
	return out
}

// decimal reports whether s may stand as a number in JSON.
func decimal(s string) bool {
	d := strings.TrimPrefix(s, "-")
	whole, frac, point := strings.Cut(d, ".")
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	return digits(whole) && (len(whole) == 1 || whole[0] != '0') && (!point || digits(frac))
}
