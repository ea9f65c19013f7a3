package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/mapping"
	"yiqiao/gateway/mapping/defs"
)

// Every kind of message of the book, for outpatients and for a stay: what the generic hospital makes of it. What it
// has no rule for is refused, and a mapping may name it.
func TestHL7Book(t *testing.T) {
	d, err := loadDefinition("generic-hl7", "")
	if err != nil {
		t.Fatal(err)
	}
	event := func(d *definition, typ, class string) string {
		t.Helper()
		list, err := hl7Sources([]byte("MSH|^~\\&|HIS|H1|YQ|X|20261123092000||" + typ + "|M1|P|2.5\rPID|1||||||||||||||||||A1\rPV1|1|" + class + "\r"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Map(list[0])
		var e *gateway.Error
		if errors.As(err, &e) && e.Findings[0].Code == mapping.CodeNoEvent {
			return "refused"
		}
		return got.Rule
	}
	for _, c := range []struct{ typ, outpatient, inpatient string }{
		{"ADT^A01", "registration", "admission"}, {"ADT^A03", "registration", "discharge"}, {"ADT^A04", "registration", "registration"},
		{"ADT^A08", "registration", "registration"}, {"ADT^A11", "registration", "inpatient-undo"}, {"ADT^A13", "registration", "inpatient-undo"},
		{"DFT^P03", "outpatient-bill", "inpatient-charges"},
		{"BAR^P01", "registration", "registration"}, {"BAR^P02", "outpatient-refund", "inpatient-undo"},
		{"BAR^P05", "registration", "inpatient-trial"}, {"BAR^P06", "outpatient-settle", "inpatient-settle"},
		{"ORM^O01", "outpatient-orders", "inpatient-orders"}, {"OMP^O09", "outpatient-orders", "inpatient-orders"}, {"RDE^O11", "outpatient-orders", "inpatient-orders"},
		{"ORU^R01", "report", "report"}, {"MDM^T02", "documents", "documents"}, {"MDM^T10", "documents", "documents"},
		{"SIU^S12", "appointments", "appointments"}, {"SIU^S15", "appointments", "appointments"},
		{"ADT^A40", "refused", "refused"}, {"VXU^V04", "refused", "refused"}, {"DFT^P11", "refused", "refused"}, {"QBP^Q11", "refused", "refused"},
	} {
		for class, want := range map[string]string{"O": c.outpatient, "I": c.inpatient} {
			if got := event(d, c.typ, class); got != want {
				t.Errorf("%s of %s: %s, want %s", c.typ, class, got, want)
			}
		}
	}
	own := unpack(t, "generic-hl7")
	file := filepath.Join(own, mapping.File)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const was = "{type: SIU^*, ignore: 接口表中没有预约的交易}"
	changed := strings.Replace(string(text), was, `{type: SIU^S12, do: transact, infno: "1101", set: {request_id: MSH-10, operator.id: ="1", operator.name: ="甲",
    input.data.mdtrt_cert_type: ="02", input.data.mdtrt_cert_no: PID-3, input.data.certno: PID-3}}`, 1)
	if changed == string(text) {
		t.Fatal("the rule for SIU is not as it was")
	}
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	ours, err := loadDefinition(own, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := event(ours, "SIU^S12", "O"); got != "appointments" {
		t.Errorf("SIU^S12 of a mapping that names it: %s", got)
	}
	if got := event(ours, "SIU^S15", "O"); got != "refused" {
		t.Errorf("SIU^S15 of a mapping that has no rule for it: %s", got)
	}
}

var versionField = regexp.MustCompile(`(\|[A-Z]{3}\^[A-Z0-9]{3})(\^[A-Z0-9_]+)?(\|[^|]+\|P\|)2\.5`)

// What the cases become does not depend on the version that is written in them.
func TestHL7CasesInEveryVersion(t *testing.T) {
	d, err := loadDefinition("generic-hl7", "")
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Glob(defs.FS, "generic-hl7/cases/*.hl7")
	if err != nil || len(files) < 20 {
		t.Fatal(err, len(files))
	}
	for _, file := range files {
		text, err := defs.FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := defs.FS.ReadFile(strings.TrimSuffix(file, path.Ext(file)) + ".json")
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{"${1}${3}2.3", "${1}^DFT_P03${3}2.3.1", "${1}^DFT_P03${3}2.4^CHN", "${1}^DFT_P03${3}2.5.1^CHN&&ISO3166^2.5.1", "${1}^DFT_P03${3}2.6",
			"${1}^DFT_P03${3}2.7", "${1}^DFT_P03${3}2.7.1", "${1}^DFT_P03${3}2.8", "${1}^DFT_P03${3}2.8.2"} {
			msg := versionField.ReplaceAll(text, []byte(form))
			if bytes.Equal(msg, text) {
				t.Fatalf("%s: the version was not found", file)
			}
			if strings.HasSuffix(form, "2.7") {
				msg = bytes.Replace(msg, []byte(`MSH|^~\&|`), []byte(`MSH|^~\&#|`), 1)
			}
			list, err := hl7Sources(msg)
			if err != nil {
				t.Fatal(err)
			}
			var got []outcome
			for _, src := range list {
				got = append(got, outcomeOf(d, src))
			}
			have, err := goldenText(got)
			if err != nil {
				t.Fatal(err)
			}
			if diff, err := changes(want, have); err != nil || len(diff) > 0 {
				t.Errorf("%s as %s: %v %+v", file, form, err, diff)
			}
		}
	}
}
