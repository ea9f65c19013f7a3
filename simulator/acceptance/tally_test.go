package acceptance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A requirement without a verdict says why, each reason apart and in every form of the report; what no case tries stays testable.
func TestNoVerdictHasItsReason(t *testing.T) {
	res := run(t, simulated(t, "none", nil), Options{Only: []string{"OP-01"}})
	status := map[string]Status{}
	for _, q := range res.Requirements {
		status[q.ID] = q.Status
		if (q.Reason == "") != (q.Status == Pass || q.Status == Fail) {
			t.Errorf("%s is %s for the reason %q", q.ID, q.Status, q.Reason)
		}
	}
	for id, want := range map[string]Status{
		"FLD-2207-O": Pass, "FLD-2304-O": NotRun, "FLD-1302-O": NotRun, "FLD-2207-I": OtherSide, "TIM-01": OtherSide, "TIM-06": NotTestable, "DQ-10": NotTestable,
	} {
		if status[id] != want {
			t.Errorf("%s is %q, want %s", id, status[id], want)
		}
	}
	n := res.Counts()
	judged, testable := res.Testable()
	if judged != n[Pass] || testable != n[Pass]+n[NotRun]+n[NoCase] || testable+n[OtherSide]+n[NotTestable] != len(res.Requirements) {
		t.Errorf("%d of %d, %v", judged, testable, n)
	}
	dir := t.TempDir()
	if err := WriteReport(dir, res, nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	text := map[string]string{}
	for _, name := range []string{FileJSON, FileJUnit, FileHTML} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		text[name] = string(b)
	}
	var counted struct {
		Counts map[Status]int `json:"counts"`
	}
	if err := json.Unmarshal([]byte(text[FileJSON]), &counted); err != nil {
		t.Fatal(err)
	}
	for _, s := range Statuses() {
		number, _ := json.Marshal(n[s])
		if counted.Counts[s] != n[s] {
			t.Errorf("%s: %s %d, want %d", FileJSON, s, counted.Counts[s], n[s])
		}
		if want := `<property name="` + string(s) + `" value="` + string(number) + `">`; !strings.Contains(text[FileJUnit], want) {
			t.Errorf("%s: no %s", FileJUnit, want)
		}
		if want := `<div class="tile ` + string(s) + `"><b>` + string(number) + `</b><span class="zh">` + s.Word().ZH; !strings.Contains(text[FileHTML], want) {
			t.Errorf("%s: no %s", FileHTML, want)
		}
		if skipped := strings.Count(text[FileJUnit], `<skipped message="`+string(s)+`: `); s != Pass && s != Fail && skipped != n[s] {
			t.Errorf("%s: %d are skipped as %s, want %d", FileJUnit, skipped, s, n[s])
		}
	}
}
