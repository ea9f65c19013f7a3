package counter_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"yiqiao/adapters/his/counter"
	"yiqiao/adapters/his/histest"
	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// target is a counter as an adapter would use it, with the least of an adapter around it: JSON for
// bodies and one key.
func target(t *testing.T, desk gateway.Desk) histest.Target {
	c, err := counter.New(desk, nil)
	if err != nil {
		t.Fatal(err)
	}
	who := gateway.Caller{System: histest.System, Institutions: []ident.Institution{histest.Institution}}
	return histest.Target{Do: func(call histest.Call) histest.Answer {
		var a counter.Answer
		switch call.Key {
		case histest.Key:
			o := gateway.Order{Op: gateway.OrderOp(call.Op), Infno: ident.Infno(call.Infno), ID: call.ID}
			if len(call.Body) > 0 {
				v, err := strictjson.Decode(call.Body, strictjson.Request())
				if err != nil {
					t.Error(err)
				}
				o.Body, _ = v.(map[string]any)
			}
			a = c.Do(context.Background(), who, o)
			c.Told(who, a)
		case "":
			a.Err = &gateway.Error{Code: gateway.CodeKeyMissing}
		default:
			a.Err = &gateway.Error{Code: gateway.CodeKeyWrong}
		}
		return Read(a)
	}}
}

// Read is an answer as the suite wants it.
func Read(a counter.Answer) histest.Answer {
	out := histest.Answer{Outcome: string(a.Outcome), Code: a.Code(), ID: a.ID}
	if a.Err != nil {
		e := *a.Err
		e.Err = nil
		out.Path, out.Rule, out.Findings, out.Detail = e.Path, e.Rule, e.Findings, e.Detail
		a.Err = &e
	}
	out.Raw, _ = json.Marshal(a)
	return out
}

func TestSuite(t *testing.T) { histest.Suite(t, target) }

// finding is a desk that knows what requests opened.
type finding struct {
	*histest.Desk
	ids map[string]string
	err error
}

func (f finding) Find(_ context.Context, c gateway.Caller, request string) (string, error) {
	if f.err != nil {
		return "", f.err
	}
	if id, ok := f.ids[c.System+" "+request]; ok {
		return id, nil
	}
	return "", &gateway.Error{Code: gateway.CodeNotFound, Op: "test"}
}

// An order may name what it is about by the request that opened it.
func TestOf(t *testing.T) {
	body := map[string]any{"request_id": "R-3", "operator": map[string]any{"id": "1", "name": "甲"}}
	who := gateway.Caller{System: "his"}
	for _, c := range []struct {
		name string
		desk gateway.Desk
		of   string
		code gateway.Code
		id   string
	}{
		{"known", finding{&histest.Desk{}, map[string]string{"his OP-1": "B1"}, nil}, "OP-1", "", "B1"},
		{"another system's", finding{&histest.Desk{}, map[string]string{"other OP-1": "B1"}, nil}, "OP-1", gateway.CodeNotFound, ""},
		{"not an id", finding{&histest.Desk{}, nil, nil}, "a b", gateway.CodeNotFound, ""},
		{"neither", &histest.Desk{}, "", gateway.CodeNotFound, ""},
		{"a desk that can not find", &histest.Desk{}, "OP-1", gateway.CodeNotSupported, ""},
		{"storage away", finding{&histest.Desk{}, nil, &gateway.Error{Code: gateway.CodeStorage}}, "OP-1", gateway.CodeStorage, ""},
		{"unforeseen", finding{&histest.Desk{}, nil, errors.New("x")}, "OP-1", gateway.CodeInternal, ""},
	} {
		k, err := counter.New(c.desk, nil)
		if err != nil {
			t.Fatal(err)
		}
		a := k.Do(context.Background(), who, gateway.Order{Op: gateway.OrderConfirm, Of: c.of, Body: body})
		if a.Code() != c.code || a.ID != c.id {
			t.Errorf("%s: %q about %q, want %q about %q", c.name, a.Code(), a.ID, c.code, c.id)
		}
	}
}

func TestUnknownOperation(t *testing.T) {
	k, err := counter.New(&histest.Desk{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := k.Do(context.Background(), gateway.Caller{}, gateway.Order{Op: "settlement.burn", ID: "B1"}); a.Code() != gateway.CodeNotSupported {
		t.Errorf("%+v", a)
	}
}
