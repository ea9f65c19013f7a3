package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestTortureCommand(t *testing.T) {
	code, out, errs := yiqiao(t, "", "torture", "--seeds", "4", "--from", "7", "--bills", "20", "--json")
	if code != exitOK {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	var r tortureReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if r.Seeds != 4 || r.From != 7 || r.Bills != 80 || r.Violations != 0 || r.Transactions == 0 || len(r.Faults) == 0 || len(r.Failed) != 0 {
		t.Errorf("%+v", r)
	}
	if code, out, _ := yiqiao(t, "", "torture", "--seeds", "1"); code != exitOK || !strings.Contains(out, "违约 0") {
		t.Errorf("for people: %d %s", code, out)
	}
	for _, args := range [][]string{{"--seeds", "0"}, {"--bills", "0"}, {"--seeds", "2", "--from", "18446744073709551615"}, {"extra"}} {
		if code, _, errs := yiqiao(t, "", append([]string{"torture"}, args...)...); code != exitFail || errs == "" {
			t.Errorf("%v: exit %d, %q", args, code, errs)
		}
	}
}
