package invoice

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"

	"yiqiao/gateway"
)

// A report for people: every difference is in it, and nothing of it is taken for a formula or for HTML.
func TestReports(t *testing.T) {
	r := Report{Institution: hospital, Date: "2026-03-02", Notes: []string{"<b>清单不一致"}, Differences: []Difference{
		{Cause: HereOnly, ID: "B1_1", Settlement: "B1", Number: gateway.InvoiceNumber{Batch: "06010126", No: "0000000001"}, Ours: "10.00", Remedy: "=核实"}}}
	var b bytes.Buffer
	if err := r.WriteCSV(&b); err != nil || !strings.HasPrefix(b.String(), "\xef\xbb\xbf") {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String()[3:])).ReadAll()
	if err != nil || len(rows) != 3 || rows[1][7] != `="0000000001"` || rows[1][11] != "'=核实" || rows[1][3] != CauseZH(HereOnly) || len(rows[0]) != len(rows[2]) {
		t.Errorf("%q %v", rows, err)
	}
	b.Reset()
	if err := WriteHTML(&b, []Report{r}); err != nil || !strings.Contains(b.String(), "0000000001") || strings.Contains(b.String(), "<b>清单") || !strings.Contains(b.String(), "有差异") {
		t.Errorf("%s %v", b.String(), err)
	}
}
