package proof

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/audit"
	"yiqiao/schemas/strictjson"
)

// Summary is what the items say, for a reader. It is a pure function of them.
type Summary struct {
	Institution string    `json:"institution"`
	Bill        string    `json:"bill,omitempty"`
	Requests    []Request `json:"requests"`
	Steps       []Step    `json:"steps"`
	Answers     int       `json:"answers"` // final answers that were kept for the HIS
}

// Request is one request of a HIS.
type Request struct {
	System string `json:"system"`
	ID     string `json:"id"`
	Op     string `json:"op"`
	At     string `json:"at"`
	Digest string `json:"digest"` // keyed: tells one body from another, to the gateway only
}

// Step is one transaction with the centre.
type Step struct {
	MsgID    string  `json:"msgid"`
	Infno    string  `json:"infno"`
	Step     string  `json:"step"`
	Attempt  string  `json:"attempt"`
	Operator string  `json:"operator"`
	Name     string  `json:"operator_name,omitempty"` // full form
	At       string  `json:"at"`
	Wire     string  `json:"wire_sm3"` // of the exact bytes that left
	Events   []Event `json:"events"`
}

// Event is one step in a transaction's history.
type Event struct {
	No       string `json:"no"`
	Kind     string `json:"kind"`
	Cause    string `json:"cause,omitempty"`
	At       string `json:"at"`
	Ref      string `json:"ref,omitempty"`
	Note     string `json:"note,omitempty"`
	Evidence bool   `json:"centre_signature"` // what the centre signed was kept
	Settled  *Shown `json:"settled,omitempty"`
}

// Shown is what an answer of the centre says, in the full form.
type Shown struct {
	Settlement string `json:"setl_id,omitempty"`
	Visit      string `json:"mdtrt_id,omitempty"`
	Person     string `json:"psn_name,omitempty"`
	Time       string `json:"setl_time,omitempty"`
	Total      string `json:"medfee_sumamt,omitempty"`
	Fund       string `json:"fund_pay_sumamt,omitempty"`
	Account    string `json:"acct_pay,omitempty"`
	Cash       string `json:"psn_cash_pay,omitempty"`
	InfCode    string `json:"infcode,omitempty"` // of a refusal
	ErrMsg     string `json:"err_msg,omitempty"`
}

// summarise reads the items; an error when one can not be read. It checks nothing.
func summarise(items []Item) (s Summary, err error) {
	s.Requests, s.Steps = []Request{}, []Step{}
	place := map[string]int{}
	for _, it := range items {
		line, err := audit.ParseLine(it.Line)
		if err != nil {
			return s, err
		}
		f, err := it.Opening.Fields()
		if err != nil {
			return s, err
		}
		if inst := f["institution"]; inst != "" {
			if s.Institution != "" && s.Institution != inst {
				return s, fmt.Errorf("proof: items of two institutions")
			}
			s.Institution = inst
		}
		switch line.Kind {
		case "request":
			s.Requests = append(s.Requests, Request{f["system"], f["request"], f["op"], when(f["created"]), f["digest"]})
		case "bill":
			s.Bill = f["bill"]
		case "record":
			place[f["record"]] = len(s.Steps)
			st := Step{MsgID: f["record"], Infno: f["infno"], Step: f["step"], Attempt: f["attempt"], Operator: f["operator"],
				At: when(f["created"]), Wire: f["wire"], Events: []Event{}}
			if top, ok := read(it.Opening.Body).(map[string]any); ok {
				st.Name = strictjson.Text(top[gateway.OperatorNameMember])
			}
			s.Steps = append(s.Steps, st)
		case "event":
			i, ok := place[f["record"]]
			if !ok {
				return s, fmt.Errorf("proof: an event without its transaction")
			}
			s.Steps[i].Events = append(s.Steps[i].Events, Event{No: f["event"], Kind: f["kind"], Cause: f["cause"], At: when(f["at"]),
				Ref: f["ref"], Note: f["note"], Evidence: f["evidence"] != "", Settled: shown(it.Opening.Body)})
		case "answer":
			s.Answers++
		default:
			return s, fmt.Errorf("proof: an item of kind %s", line.Kind)
		}
	}
	slices.SortStableFunc(s.Steps, func(a, b Step) int { return strings.Compare(a.At, b.At) })
	return s, nil
}

// read decodes a body; nil when it is none.
func read(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	v, err := strictjson.Decode(b, strictjson.Reply())
	if err != nil {
		return nil
	}
	return v
}

// shown reads the figures of an answer; nil when it has none.
func shown(body []byte) *Shown {
	top, ok := read(body).(map[string]any)
	if !ok {
		return nil
	}
	if code := strictjson.Text(top["infcode"]); code != "" {
		return &Shown{InfCode: code, ErrMsg: strictjson.Text(top["err_msg"])}
	}
	info := settlement(top)
	if info == nil {
		return nil
	}
	text := func(name string) string { return strictjson.Text(info[name]) }
	return &Shown{Settlement: text("setl_id"), Visit: text("mdtrt_id"), Person: text("psn_name"), Time: text("setl_time"), Total: text("medfee_sumamt"),
		Fund: text("fund_pay_sumamt"), Account: text("acct_pay"), Cash: text("psn_cash_pay")}
}

// settlement is the node of an output that has the figures.
func settlement(top map[string]any) map[string]any {
	info, ok := top["setlinfo"].(map[string]any)
	if rows, list := top["setlinfo"].([]any); list && len(rows) == 1 {
		info, ok = rows[0].(map[string]any)
	}
	if !ok || strictjson.Text(info["medfee_sumamt"]) == "" && strictjson.Text(info["setl_id"]) == "" {
		return nil
	}
	return info
}

// when is a time in milliseconds as people read it.
func when(ms string) string {
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil || n == 0 {
		return ""
	}
	return time.UnixMilli(n).In(gateway.China).Format("2006-01-02 15:04:05.000")
}

// equal tells whether two summaries say the same.
func (s Summary) equal(o Summary) bool {
	a, errA := json.Marshal(s)
	b, errB := json.Marshal(o)
	return errA == nil && errB == nil && string(a) == string(b)
}
