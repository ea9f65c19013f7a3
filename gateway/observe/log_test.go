package observe

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestNothingPersonalIsLogged(t *testing.T) {
	var out bytes.Buffer
	personal := map[string]bool{"psn_name": true, "mdtrt_cert_no": true}
	log := NewLogger(&out, Options{JSON: true, Personal: func(k string) bool { return personal[k] }})
	const id, phone, card, name = "999999199001010014", "13900001234", "CARD0099887766", "测试甲"
	log = log.With("psn_name", name).WithGroup("g")
	log.Info("person "+id, "mdtrt_cert_no", card, "PSN_NAME", name,
		"tel", "call "+phone, "err", errors.New("bad id "+id),
		slog.Group("inner", "psn_name", name, "text", id), "any", struct{ Text string }{id})
	for _, secret := range []string{id, phone, card, name} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("log shows %q: %s", secret, out.String())
		}
	}
}

func TestIdsOfBusinessStayReadable(t *testing.T) {
	for _, s := range []string{"H44010000001202611230915300001", "2026-11-23 09:15:30", "infno=2207 12.50"} {
		if got := MaskText(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	if got := MaskText("x 99999919900101001X y"); got != "x 999***********001X y" {
		t.Errorf("got %q", got)
	}
}
