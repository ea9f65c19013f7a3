package world

import (
	"bytes"
	"context"
	"slices"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
)

// Mutations that stand between the Desk and the centre.

// sender stands in the way of one Send.
type sender = func(context.Context, gateway.Centre, func() gateway.Reply, gateway.Sealed) gateway.Reply

// bentCentre changes what is sealed and what is sent.
type bentCentre struct {
	gateway.Centre
	seal func(gateway.Message) gateway.Message
	send sender
}

type bentPermit struct {
	gateway.Permit
	c *bentCentre
}

func (c *bentCentre) Admit(ctx context.Context, n ident.Infno) (gateway.Permit, error) {
	p, err := c.Centre.Admit(ctx, n)
	if err != nil {
		return nil, err
	}
	return bentPermit{p, c}, nil
}

func (p bentPermit) Seal(m gateway.Message) (gateway.Sealed, error) {
	if p.c.seal != nil {
		m = p.c.seal(m)
	}
	return p.Permit.Seal(m)
}

func (p bentPermit) Send(ctx context.Context, s gateway.Sealed) gateway.Reply {
	if p.c.send == nil {
		return p.Permit.Send(ctx, s)
	}
	return p.c.send(ctx, p.c.Centre, func() gateway.Reply { return p.Permit.Send(ctx, s) }, s)
}

func sends(send sender) bend {
	return bend{centre: func(_ *process, c gateway.Centre) gateway.Centre { return &bentCentre{Centre: c, send: send} }}
}

func unknown(r gateway.Reply) bool { return r.Outcome == gateway.OutcomeUnknown }

func refusedWith(words string) gateway.Reply {
	return gateway.Reply{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseBusiness, Reply: wire.Reply{InfCode: "-1", ErrMsg: words}}
}

func resendOnTimeout(_ context.Context, _ gateway.Centre, send func() gateway.Reply, s gateway.Sealed) gateway.Reply {
	r := send()
	if unknown(r) && s.Message.Infno == "2207" {
		r = send()
	}
	return r
}

// renamed is a message under another msgid of the same length.
func renamed(m gateway.Message, id ident.MsgID) gateway.Message {
	m.Body = bytes.Replace(bytes.Clone(m.Body), []byte(m.MsgID), []byte(id), 1)
	return m
}

// fresh is a msgid no journal gave.
func fresh(id ident.MsgID) ident.MsgID {
	b := []byte(id)
	b[len(b)-4] = '9' - (b[len(b)-4] - '0')
	return ident.MsgID(b)
}

// resettle sends a settlement without an answer once more, as a new message.
func resettle(n ident.Infno) sender {
	return func(ctx context.Context, c gateway.Centre, send func() gateway.Reply, s gateway.Sealed) gateway.Reply {
		r := send()
		if !unknown(r) || s.Message.Infno != n {
			return r
		}
		return sendAnew(ctx, c, s, r)
	}
}

func sendAnew(ctx context.Context, c gateway.Centre, s gateway.Sealed, r gateway.Reply) gateway.Reply {
	p, err := c.Admit(ctx, s.Message.Infno)
	if err != nil {
		return r
	}
	again, err := p.Seal(renamed(s.Message, fresh(s.Message.MsgID)))
	if err != nil {
		return r
	}
	return p.Send(ctx, again)
}

// dropLateAnswer: whoever waits for an answer gives up early and says that nothing was sent.
func dropLateAnswer(_ context.Context, _ gateway.Centre, send func() gateway.Reply, _ gateway.Sealed) gateway.Reply {
	if r := send(); r.Cause != gateway.CauseTimeout {
		return r
	}
	return gateway.Reply{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseNotSent}
}

// unknownIsFailure says of a transaction without an answer that it failed.
func unknownIsFailure(n ...ident.Infno) sender {
	return func(_ context.Context, _ gateway.Centre, send func() gateway.Reply, s gateway.Sealed) gateway.Reply {
		r := send()
		if unknown(r) && slices.Contains(n, s.Message.Infno) {
			return refusedWith("失败")
		}
		return r
	}
}

// unheardIsDone says of an undo without an answer that it was done.
func unheardIsDone(n ...ident.Infno) sender {
	return func(_ context.Context, _ gateway.Centre, send func() gateway.Reply, s gateway.Sealed) gateway.Reply {
		r := send()
		if unknown(r) && slices.Contains(n, s.Message.Infno) {
			return gateway.Reply{Outcome: gateway.OutcomeDone, Reply: wire.Reply{InfCode: "0"}}
		}
		return r
	}
}

// reverseBlindly sends a 2601 of its own as soon as there is no answer, and calls it failed.
func reverseBlindly(ctx context.Context, c gateway.Centre, send func() gateway.Reply, s gateway.Sealed) gateway.Reply {
	r := send()
	if !unknown(r) || s.Message.Infno != "2207" {
		return r
	}
	req, input, err := wire.DecodeRequest(s.Bytes)
	if err != nil {
		return r
	}
	req.Infno, req.MsgID = "2601", fresh(s.Message.MsgID)
	req.Input = strictjson.Append(nil, object{"data": object{"psn_no": strictjson.Get(input, "data", "psn_no"),
		"omsgid": string(s.Message.MsgID), "oinfno": "2207"}})
	if body, err := wire.EncodeRequest(req); err == nil {
		if p, err := c.Admit(ctx, "2601"); err == nil {
			m := gateway.Message{Infno: "2601", Institution: s.Message.Institution, MsgID: req.MsgID, Body: body, Limit: catalog.LimitSettle}
			if undo, err := p.Seal(m); err == nil {
				p.Send(ctx, undo)
			}
		}
	}
	return refusedWith("结算失败，已冲正")
}

// reuseMsgID sends a settlement under the msgid of an earlier one that got no answer.
func reuseMsgID(_ *process, c gateway.Centre) gateway.Centre {
	var earlier ident.MsgID
	return &bentCentre{Centre: c,
		seal: func(m gateway.Message) gateway.Message {
			if m.Infno == "2207" && len(earlier) == len(m.MsgID) && earlier.Institution() == m.Institution {
				return renamed(m, earlier)
			}
			return m
		},
		send: func(_ context.Context, _ gateway.Centre, send func() gateway.Reply, s gateway.Sealed) gateway.Reply {
			r := send()
			if unknown(r) && s.Message.Infno == "2207" {
				earlier = s.Message.MsgID
			}
			return r
		}}
}

// uploadNewMsgID sends every repeat of a queued record as a message of its own.
func uploadNewMsgID(_ *process, c gateway.Centre) gateway.Centre {
	sent := map[ident.MsgID]bool{}
	return &bentCentre{Centre: c, seal: func(m gateway.Message) gateway.Message {
		if m.Infno[0] != '4' {
			return m
		}
		if sent[m.MsgID] {
			return renamed(m, fresh(m.MsgID))
		}
		sent[m.MsgID] = true
		return m
	}}
}

// adoptAnother makes whatever a question finds look like what was asked for.
func adoptAnother(_ *process, c gateway.Centre) gateway.Centre {
	latest := map[string]ident.MsgID{} // visit -> its last 2207
	return &bentCentre{Centre: c, send: func(_ context.Context, _ gateway.Centre, send func() gateway.Reply, s gateway.Sealed) gateway.Reply {
		_, input, err := wire.DecodeRequest(s.Bytes)
		visit := strictjson.Text(strictjson.Get(input, "data", "mdtrt_id"))
		if err == nil && s.Message.Infno == "2207" {
			latest[visit] = s.Message.MsgID
		}
		r := send()
		if s.Message.Infno != "5203" || latest[visit] == "" {
			return r
		}
		out, _ := r.Reply.Output.(object)
		switch info := out["setlinfo"].(type) {
		case object:
			info["medins_setl_id"] = string(latest[visit])
		case []any:
			for _, x := range info {
				if o, ok := x.(object); ok {
					o["medins_setl_id"] = string(latest[visit])
				}
			}
		}
		return r
	}}
}

// creditAnother takes the answer of an earlier settlement for that of one without an answer.
func creditAnother(_ *process, c gateway.Centre) gateway.Centre {
	var earlier gateway.Reply
	return &bentCentre{Centre: c, send: func(_ context.Context, _ gateway.Centre, send func() gateway.Reply, s gateway.Sealed) gateway.Reply {
		r := send()
		if s.Message.Infno != "2207" {
			return r
		}
		if r.Outcome == gateway.OutcomeDone {
			earlier = r
			return r
		}
		if !unknown(r) || earlier.Outcome != gateway.OutcomeDone {
			return r
		}
		_, input, err := wire.DecodeRequest(s.Bytes)
		if err != nil || settlementInfo(earlier) == nil {
			return r
		}
		other := strictjson.Clone(earlier.Reply.Output)
		into, _ := strictjson.Get(other, "setlinfo").(object)
		into["medins_setl_id"], into["medfee_sumamt"] = string(s.Message.MsgID), strictjson.Get(input, "data", "medfee_sumamt")
		r = earlier
		r.Reply.Output = other
		return r
	}}
}

func refusedIsRefunded(n ident.Infno) sender {
	return func(_ context.Context, _ gateway.Centre, send func() gateway.Reply, s gateway.Sealed) gateway.Reply {
		r := send()
		if s.Message.Infno == n && r.Outcome == gateway.OutcomeRefused && r.Cause == gateway.CauseBusiness {
			return gateway.Reply{Outcome: gateway.OutcomeDone, Reply: wire.Reply{InfCode: "0", Output: object{
				"setlinfo": object{"setl_id": "0", "medfee_sumamt": money.Number(0)}}}}
		}
		return r
	}
}

func wrongAmount(_ context.Context, _ gateway.Centre, send func() gateway.Reply, s gateway.Sealed) gateway.Reply {
	r := send()
	if info := settlementInfo(r); info != nil && s.Message.Infno == "2207" {
		info["psn_cash_pay"] = money.Number(fen(strictjson.Text(info["psn_cash_pay"])) + 1)
	}
	return r
}

func loseUpload(_ context.Context, _ gateway.Centre, send func() gateway.Reply, s gateway.Sealed) gateway.Reply {
	r := send()
	if s.Message.Infno[0] == '4' && unknown(r) {
		return gateway.Reply{Outcome: gateway.OutcomeDone, Reply: wire.Reply{InfCode: "0"}}
	}
	return r
}

// absentAtOnce believes that the centre needs no time.
func absentAtOnce(_ *process, o *flow.Options) {
	o.Timing.SettleGrace = time.Second
	o.Timing.Limits = map[catalog.Limit]time.Duration{}
	for _, l := range []catalog.Limit{catalog.LimitQuery, catalog.LimitWrite, catalog.LimitSettle, catalog.LimitFile} {
		o.Timing.Limits[l] = time.Millisecond
	}
}

// midStayIsEnd sends what is settled in the middle of a stay as its end, where a stay is settled before the discharge.
func midStayIsEnd(_ *process, c gateway.Centre) gateway.Centre {
	return &bentCentre{Centre: c, seal: func(m gateway.Message) gateway.Message {
		if m.Infno == "2303" || m.Infno == "2304" {
			m.Body = bytes.Replace(bytes.Clone(m.Body), []byte(`"mid_setl_flag":"1"`), []byte(`"mid_setl_flag":"0"`), 1)
		}
		return m
	}}
}
