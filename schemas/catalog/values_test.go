package catalog

import (
	"reflect"
	"slices"
	"testing"
)

func TestScrub(t *testing.T) {
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	type m = map[string]any
	in := m{"data": m{"mdtrt_cert_no": "TOKEN-1", "card_sn": "abc", "psn_name": "测试甲", "certno": "9999"},
		"rows": []any{m{"password": "pw-12345", "mdtrt_cert_no": "TOKEN-1", "psn_no": Redacted}, "x", nil}}
	secrets, persons := c.Secrets(in), c.Personals(in)
	slices.Sort(secrets)
	slices.Sort(persons)
	if !slices.Equal(secrets, []string{"TOKEN-1", "pw-12345"}) || !slices.Equal(persons, []string{"9999", "测试甲"}) {
		t.Errorf("%q %q", secrets, persons)
	}
	out := m{"note": "card TOKEN-1, TOKEN-1!", "certno": "TOKEN-1", "n": []any{"pw-12345", 1, nil, m{"memo": "pw-1234"}}}
	want := m{"note": "card " + Redacted + ", " + Redacted + "!", "certno": "TOKEN-1", "n": []any{Redacted, 1, nil, m{"memo": "pw-1234"}}}
	if got := c.Scrub(out, secrets); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	if out["note"] != "card TOKEN-1, TOKEN-1!" {
		t.Error("the original was changed")
	}
}
