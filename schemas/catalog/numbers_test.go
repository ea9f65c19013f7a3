package catalog

import (
	"fmt"
	"slices"
	"testing"
)

func TestNumbers(t *testing.T) {
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	type m = map[string]any
	for _, x := range []struct {
		v               any
		persons, visits []string
	}{
		{nil, nil, nil}, {"psn_no", nil, nil}, {m{}, nil, nil}, {m{"data": nil, "rows": []any{}}, nil, nil},
		{m{"data": m{"psn_no": "P1", "certno": "C1", "mdtrt_id": "V1", "mdtrt_cert_no": "card", "psn_name": "n"}}, []string{"C1", "P1"}, []string{"V1"}},
		{m{"psn_no": "P1", "feedetail": []any{m{"psn_no": "P1", "mdtrt_id": "V1"}, m{"mdtrt_id": "V2"}}}, []string{"P1"}, []string{"V1"}},
		{m{"orgCodg": "o", "psnNo": "P2", "iptOtpNo": "V3", "payAuthNo": "secret"}, []string{"P2"}, []string{"V3"}},
		{m{"data": m{"psn_no": "", "certno": Redacted, "mdtrt_id": nil}}, nil, nil},
	} {
		p, v := c.Numbers(x.v)
		slices.Sort(p)
		if fmt.Sprint(p) != fmt.Sprint(x.persons) || fmt.Sprint(v) != fmt.Sprint(x.visits) {
			t.Errorf("%v: %v %v", x.v, p, v)
		}
	}
	for _, name := range append(slices.Clone(c.persons), c.visits...) {
		if c.Credential(name) {
			t.Errorf("%s is a credential and is searched for", name)
		}
	}
	var none *Catalog
	if p, v := none.Numbers(m{"psn_no": "1"}); p != nil || v != nil {
		t.Error(p, v)
	}
}
