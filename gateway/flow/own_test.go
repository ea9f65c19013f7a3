package flow

import (
	"context"
	"encoding/base64"
	"errors"
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

func ownDesk(t *testing.T, script func(ident.Infno, ident.MsgID, any) gatewaytest.CentreAnswer) (*Desk, *gatewaytest.Centre) {
	t.Helper()
	cat, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	c := gatewaytest.NewCentre(script)
	inst := &gateway.Institution{Code: hospital, Name: "医院", Area: "430100", Receiver: "X", Version: "V1.0", Region: &gateway.Region{Code: "x", Name: "X"}}
	d, err := New(Options{Journal: gatewaytest.NewJournal(), Centre: func(ident.Institution) gateway.Centre { return c }, Catalog: cat,
		Institutions: map[ident.Institution]*gateway.Institution{hospital: inst}, Clock: gatewaytest.NewClock(dawn),
		Digest: func(parts ...[]byte) [32]byte { return [32]byte{byte(len(parts))} }})
	if err != nil {
		t.Fatal(err)
	}
	return d, c
}

// The gateway's own transactions go the way of every other, are stored once, and give a file as text.
func TestOwn(t *testing.T) {
	file := []byte("PK\x03\x04\x00\xff")
	d, c := ownDesk(t, func(n ident.Infno, _ ident.MsgID, _ any) gatewaytest.CentreAnswer {
		return gatewaytest.CentreAnswer{Outcome: gateway.OutcomeDone, File: file}
	})
	r := gateway.Transact{RequestID: "run:9102:1", Infno: "9102", Institution: hospital, Operator: gateway.Operator{ID: "r", Name: "对账"},
		Input: object{"fsDownloadIn": object{"file_qury_no": "1", "filename": "x", "fixmedins_code": string(hospital)}}}
	for range 2 {
		got, err := d.Own(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := base64.StdEncoding.DecodeString(text(row(got.Output, "")[gateway.FileBody]))
		if err != nil || string(b) != string(file) {
			t.Errorf("the file is %q, %v", b, err)
		}
	}
	if n := len(c.Calls()); n != 1 {
		t.Errorf("%d messages for one request", n)
	}
}

// What moves money, or waits in a queue, is not sent in the gateway's own name; and no HIS may use
// that name.
func TestOwnRefuses(t *testing.T) {
	d, c := ownDesk(t, nil)
	for _, n := range []ident.Infno{"2207", "2208", "2601", "2304", "4101", "9999"} {
		_, err := d.Own(context.Background(), gateway.Transact{RequestID: "x", Infno: n, Institution: hospital, Operator: gateway.Operator{ID: "r", Name: "对账"}})
		if e := (*gateway.Error)(nil); !errors.As(err, &e) || e.Code != gateway.CodeInfnoNotAllowed && e.Code != gateway.CodeInfnoUnknown {
			t.Errorf("%s: %v", n, err)
		}
	}
	_, err := d.Transact(context.Background(), gateway.Caller{System: gateway.OwnSystem, Institutions: []ident.Institution{hospital}},
		gateway.Transact{RequestID: "x", Infno: "3201", Operator: gateway.Operator{ID: "r", Name: "对账"}})
	if e := (*gateway.Error)(nil); !errors.As(err, &e) || e.Code != gateway.CodeInstitution {
		t.Errorf("a HIS spoke in the gateway's name: %v", err)
	}
	if n := len(c.Calls()); n != 0 {
		t.Errorf("%d messages left", n)
	}
}
