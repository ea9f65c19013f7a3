package centre

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"yiqiao/crypto/envelope"
	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
)

var errService = errors.New("no transaction of this service")

// service finds how a transaction travels; ok is false for one of the core interface.
func (c *Client) service(n ident.Infno) (x gateway.ServiceExchange, ok bool, err error) {
	if c.o.Service == nil {
		return x, false, nil
	}
	x, ok = c.o.Service.Transactions[n]
	if !ok {
		return x, false, errService
	}
	return x, true, nil
}

// payload gives the part of a core message that travels by itself: its input, or one node of it, byte
// for byte.
func payload(body []byte, node string) ([]byte, error) {
	input, err := memberOf(body, "input")
	if err != nil || node == "" {
		return input, err
	}
	return memberOf(input, node)
}

func memberOf(object []byte, name string) ([]byte, error) {
	members, err := strictjson.Members(object, strictjson.Request())
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if _, ok := m.Value.(map[string]any); ok && m.Name == name {
			return m.Raw, nil
		}
	}
	return nil, fmt.Errorf("no object %q in the message", name)
}

// classifyService says what a whole HTTP answer of a service means. sent is the data of the request. Done
// needs a verified reply of code 0 with data, the same identities in it, and the status that proves it
// where there is one; a verified reply of another code is a business refusal. That the request was
// answered at all proves nothing.
func classifyService(p envelope.Profile, want bool, x gateway.ServiceExchange, sent []byte, status int, header http.Header, body []byte) verdict {
	body, v, ok := wholeObject(status, header, body)
	if !ok {
		return v
	}
	data, head, evidence, err := openReply(p, want, body)
	if err != nil {
		return unverified(err, head)
	}
	v = serviceVerdict(x, sent, data, head)
	v.stamp, v.evidence = replyTime(head), evidence
	return v
}

func serviceVerdict(x gateway.ServiceExchange, sent, data []byte, head envelope.Head) verdict {
	if refusal(head.Code) {
		return verdict{outcome: gateway.OutcomeRefused, cause: gateway.CauseBusiness, health: healthy,
			reply: wire.Reply{InfCode: head.Code, ErrMsg: head.Message}, detail: "code " + printable(head.Code)}
	}
	if head.Code != "0" {
		return foreign("code " + printable(head.Code))
	}
	var output any = map[string]any{}
	if data != nil {
		var err error
		if output, err = strictjson.Decode(data, strictjson.Reply()); err != nil {
			return foreign(jsonFault(err))
		}
	}
	got, ok := output.(map[string]any)
	if !ok {
		return foreign("the data of the reply is no object")
	}
	request, err := strictjson.Decode(sent, strictjson.Request())
	if err != nil {
		return foreign("the request can not be read again")
	}
	for _, name := range x.Echo {
		want, have := strictjson.Text(strictjson.Get(request, name)), strictjson.Text(got[name])
		if want != "" && have != "" && want != have {
			return verdict{cause: gateway.CauseMismatch, detail: "the reply is about another " + name}
		}
	}
	reply := wire.Reply{InfCode: "0", ErrMsg: head.Message, Output: got}
	if x.Node != "" {
		reply.Output = map[string]any{x.Node: got}
	}
	done := verdict{outcome: gateway.OutcomeDone, reply: reply, health: healthy}
	if x.Status == nil {
		return done
	}
	word := strictjson.Text(got[x.Status.Member])
	if b, ok := got[x.Status.Member].(bool); ok {
		word = fmt.Sprint(b)
	}
	switch {
	case slices.Contains(x.Status.Done, word):
		return done
	case slices.Contains(x.Status.Refused, word):
		return verdict{outcome: gateway.OutcomeRefused, cause: gateway.CauseBusiness, health: healthy,
			reply: wire.Reply{InfCode: "-1", ErrMsg: head.Message}, detail: x.Status.Member + " " + printable(word)}
	}
	return verdict{cause: gateway.CauseMismatch, health: unclear, detail: "status " + printable(word) + " proves nothing"}
}

// Serves lists the transactions of a service; nil for the core interface.
func (c *Client) Serves() []ident.Infno {
	if c.o.Service == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(c.o.Service.Transactions))
}
