// Package replay sends the requests of a recorded day to another target and tells where it answers otherwise.
//
// What the first centre gave out (mdtrt_id, setl_id and the like) is replaced by what the new one gives for the same request; a credential that was
// cut out of the record is put back where it is the person's own identity number. Two answers are the same when both
// did it, or both refused, and the amounts agree. A Player is for one replay and one goroutine.
package replay

import (
	"context"
	"fmt"
	"math/big"
	"slices"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
)

// Recorded is one request of the day and what became of it. Input and Output are as strictjson decodes them; what Decode gave is not changed.
type Recorded struct {
	Infno  string
	MsgID  string
	Input  any
	Output any
	Done   bool
}

// Send brings one request to the target: the core message it answered, and the msgid it was sent under.
type Send func(ctx context.Context, infno string, input any) (reply wire.Reply, msgid string, err error)

// Difference is one request the target answered otherwise. Was and Is carry no personal data.
type Difference struct {
	Number int    `json:"number"` // of the request in the day, from 1
	Infno  string `json:"infno"`
	MsgID  string `json:"msgid"` // of the record
	What   string `json:"what"`  // outcome, no-answer, or the path of an amount
	Was    string `json:"was"`
	Is     string `json:"is"`
}

// Result of a replay.
type Result struct {
	Requests int          `json:"requests"`
	Same     int          `json:"same"`
	Differ   []Difference `json:"differ"`
}

// amounts are the members that have to agree.
var amounts = []string{"medfee_sumamt", "fund_pay_sumamt", "psn_part_amt", "psn_cash_pay", "acct_pay", "hosp_part_amt", "fulamt_ownpay_amt", "overlmt_selfpay", "preselfpay_amt", "inscp_scp_amt", "det_item_fee_sumamt"}

// given are the members whose values a centre gives out.
var given = []string{"mdtrt_id", "setl_id", "medins_setl_id", "trt_dcla_detl_sn", "file_qury_no", "filename", "clr_appy_evt_id", "setl_list_id", "psn_no"}

// session is not replayed: whoever sends signs in himself.
var session = []string{"9001", "9002"}

// Player knows what stands for what.
type Player struct {
	send  Send
	now   map[string]string // what the first centre gave: what the target gave
	cert  map[string]string // identity number by psn_no
	Shown func(done int, d []Difference)
}

// New makes a Player.
func New(send Send) *Player {
	return &Player{send: send, now: map[string]string{}, cert: map[string]string{}}
}

// Run sends the requests in their order. It ends early only when ctx does.
func (p *Player) Run(ctx context.Context, day []Recorded) Result {
	res := Result{Differ: []Difference{}}
	for i, r := range day {
		if ctx.Err() != nil {
			break
		}
		if slices.Contains(session, r.Infno) {
			continue
		}
		res.Requests++
		d := p.one(ctx, i+1, r)
		if len(d) == 0 {
			res.Same++
		}
		res.Differ = append(res.Differ, d...)
		if p.Shown != nil {
			p.Shown(res.Requests, d)
		}
	}
	return res
}

func (p *Player) one(ctx context.Context, number int, r Recorded) []Difference {
	base := Difference{Number: number, Infno: r.Infno, MsgID: r.MsgID}
	p.people(r.Output)
	reply, msgid, err := p.send(ctx, r.Infno, p.translate(strictjson.Clone(r.Input), find(r.Input, "psn_no"), find(r.Input, "certno")))
	if err != nil {
		base.What, base.Was, base.Is = "no-answer", word(r.Done), err.Error()
		return []Difference{base}
	}
	p.now[r.MsgID] = msgid
	if reply.OK() != r.Done {
		base.What, base.Was, base.Is = "outcome", word(r.Done), word(reply.OK())
		if !reply.OK() {
			base.Is += ": " + reply.ErrMsg
		}
		return []Difference{base}
	}
	if !r.Done {
		return nil
	}
	p.learn(r.Output, reply.Output)
	var list []Difference
	p.compare(r.Output, reply.Output, "", func(path, was, is string) {
		d := base
		d.What, d.Was, d.Is = path, was, is
		list = append(list, d)
	})
	return list
}

func word(done bool) string {
	if done {
		return "done"
	}
	return "refused"
}

// people keeps who a number is.
func (p *Player) people(out any) {
	if no, cert := find(out, "psn_no"), find(out, "certno"); no != "" && cert != "" {
		p.cert[no] = cert
	}
}

// translate puts the target's numbers into an input.
func (p *Player) translate(v any, psn, cert string) any {
	switch v := v.(type) {
	case map[string]any:
		if v["mdtrt_cert_type"] == "02" && (v["mdtrt_cert_no"] == nil || v["mdtrt_cert_no"] == catalog.Redacted) {
			if c := p.cert[psn]; c != "" {
				v["mdtrt_cert_no"] = c
			} else if cert != "" {
				v["mdtrt_cert_no"] = cert
			}
		}
		for k, x := range v {
			v[k] = p.translate(x, psn, cert)
		}
		return v
	case []any:
		for i, x := range v {
			v[i] = p.translate(x, psn, cert)
		}
		return v
	case string:
		if n, ok := p.now[v]; ok {
			return n
		}
	}
	return v
}

// learn holds two outputs beside each other.
func (p *Player) learn(was, is any) {
	switch w := was.(type) {
	case map[string]any:
		n, _ := is.(map[string]any)
		for k, x := range w {
			if slices.Contains(given, k) {
				old, fresh := strictjson.Text(x), strictjson.Text(n[k])
				if old != "" && fresh != "" && old != fresh {
					p.now[old] = fresh
				}
			}
			p.learn(x, n[k])
		}
	case []any:
		n, _ := is.([]any)
		for i := range min(len(w), len(n)) {
			p.learn(w[i], n[i])
		}
	}
}

// compare tells of amounts that do not agree, in the order of their names.
func (p *Player) compare(was, is any, path string, tell func(path, was, is string)) {
	switch w := was.(type) {
	case map[string]any:
		n, _ := is.(map[string]any)
		names := make([]string, 0, len(w))
		for k := range w {
			names = append(names, k)
		}
		slices.Sort(names)
		for _, k := range names {
			if slices.Contains(amounts, k) && w[k] != nil {
				if !sameNumber(strictjson.Text(w[k]), strictjson.Text(n[k])) {
					tell(path+"/"+k, strictjson.Text(w[k]), strictjson.Text(n[k]))
				}
				continue
			}
			p.compare(w[k], n[k], path+"/"+k, tell)
		}
	case []any:
		n, _ := is.([]any)
		for i := range w {
			var x any
			if i < len(n) {
				x = n[i]
			}
			p.compare(w[i], x, fmt.Sprintf("%s/%d", path, i), tell)
		}
	}
}

func sameNumber(a, b string) bool {
	x, ok := new(big.Rat).SetString(a)
	y, ok2 := new(big.Rat).SetString(b)
	return ok && ok2 && x.Cmp(y) == 0
}

// find gives the first value of a member, wherever it is.
func find(v any, name string) string {
	switch v := v.(type) {
	case map[string]any:
		if s := strictjson.Text(v[name]); s != "" {
			return s
		}
		for _, x := range v {
			if s := find(x, name); s != "" {
				return s
			}
		}
	case []any:
		for _, x := range v {
			if s := find(x, name); s != "" {
				return s
			}
		}
	}
	return ""
}
