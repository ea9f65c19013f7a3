package ident

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// Texts of which nothing but the outer characters may come out anywhere.
const (
	person = "43000000000987654321"
	cert   = "110101199003070011"
	name   = "欧阳秘密"
	phone  = "13912345678"
)

type patient struct {
	Person Person `json:"psn_no"`
	Cert   Cert   `json:"certno"`
	Name   Name   `json:"psn_name"`
	Phone  Phone  `json:"tel"`
}

// shut holds them where fmt can not call methods.
type shut struct {
	p patient
	l []Cert
	m map[Person]Name
	x *Phone
	a any
}

func leaks(s string) bool {
	for _, part := range []string{"00987654", "19900307", "阳秘密", "1391234", "12345678", fmt.Sprintf("%x", "阳秘"), fmt.Sprintf("%X", "阳秘"),
		fmt.Sprintf("%x", "19900307"), fmt.Sprintf("% x", "19900307"), fmt.Sprintf("%X", "1391234"), `\u9633`} {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}

func TestNothingLeaks(t *testing.T) {
	p := patient{NewPerson(person), NewCert(cert), NewName(name), NewPhone(phone)}
	if !leaks(person) || !leaks(cert) || !leaks(name) || !leaks(phone) {
		t.Fatal("leaks does not see a leak")
	}
	s := shut{p: p, l: []Cert{p.Cert}, m: map[Person]Name{p.Person: p.Name}, x: &p.Phone, a: p.Name}
	values := []any{p, &p, s, &s, []any{p.Person, p.Cert, p.Name, p.Phone}, map[Person]patient{p.Person: p}, p.Person, p.Cert, p.Name, p.Phone,
		&p.Person, &p.Cert, &p.Name, &p.Phone, []Cert{p.Cert}, fmt.Errorf("refused: %w %v", errors.New("x"), p.Cert)}
	for i, v := range values {
		check := func(how, out string) {
			t.Helper()
			if leaks(out) {
				t.Errorf("value %d leaks through %s: %s", i, how, out)
			}
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%+q", "%#q", "%x", "%X", "% x", "%d", "%c", "%U", "%t", "%e", "%b", "%o", "%p", "%w", "%z",
			"%40v", "%-40s", "%.2s", "%!", "%[2]v", "%*d", "no verb"} {
			check(verb, fmt.Sprintf(verb, v))
		}
		check("Sprint", fmt.Sprint(v))
		check("Sprintln", fmt.Sprintln("x", v, v))
		if b, err := json.Marshal(v); err == nil {
			check("json", string(b))
		}
		if b, err := xml.Marshal(v); err == nil {
			check("xml", string(b))
		}
		var b bytes.Buffer
		if gob.NewEncoder(&b).Encode(v) == nil {
			check("gob", b.String())
		}
		b.Reset()
		opts := &slog.HandlerOptions{Level: slog.LevelDebug}
		for _, l := range []*slog.Logger{slog.New(slog.NewTextHandler(&b, opts)), slog.New(slog.NewJSONHandler(&b, opts))} {
			l.Info("x", "v", v)
			l.With("v", v).WithGroup("g").Info("x", slog.Any("w", []any{v}), slog.Group("y", "z", v))
		}
		check("slog", b.String())
	}
}

func TestMaskedForms(t *testing.T) {
	p := patient{NewPerson(person), NewCert(cert), NewName(name), NewPhone(phone)}
	b, err := json.Marshal(p)
	want := `{"psn_no":"43****************21","certno":"110***********0011","psn_name":"欧***","tel":"139****5678"}`
	if err != nil || string(b) != want {
		t.Errorf("json: %s, %v", b, err)
	}
	for verb, want := range map[string]string{"%v": "欧***", "%+v": "欧***", "%s": "欧***", "%q": `"欧***"`, "%#v": `ident.Name("欧***")`, "%x": "欧***", "%d": "欧***"} {
		if got := fmt.Sprintf(verb, p.Name); got != want {
			t.Errorf("%s: got %s, want %s", verb, got, want)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "cert", p.Cert)
	if !strings.Contains(log.String(), "cert=110***********0011") {
		t.Errorf("slog: %s", log.String())
	}
	b, err = json.Marshal(map[Person]int{p.Person: 1})
	if err != nil || string(b) != `{"43****************21":1}` {
		t.Errorf("as a key: %s, %v", b, err)
	}
}

func TestMask(t *testing.T) {
	for _, c := range []struct {
		mask     func(string) string
		in, want string
	}{
		{MaskCert, "", ""}, {MaskCert, "1234567890", "**********"}, {MaskCert, "12345678901", "123****8901"}, {MaskCert, "一二三四五六七八九十甲", "一二三****八九十甲"},
		{MaskCert, strings.Repeat("a", 2000), "aaa" + strings.Repeat("*", 32) + "aaaa"},
		{MaskCert, "1\n3456789\x00\xff1", "1?3*****9??1"},
		{MaskPerson, "1234567", "*******"}, {MaskPerson, "12345678", "12****78"},
		{MaskName, "", ""}, {MaskName, "张", "*"}, {MaskName, "张三", "张*"}, {MaskName, "欧阳娜娜", "欧***"}, {MaskName, "\n三", "?*"},
		{MaskPhone, "1234567890", "**********"}, {MaskPhone, "13800138000", "138****8000"},
	} {
		if got := c.mask(c.in); got != c.want {
			t.Errorf("%.40q: got %s, want %s", c.in, got, c.want)
		}
	}
}

func TestSensitiveValues(t *testing.T) {
	if NewPerson("") != (Person{}) || NewCert("") != (Cert{}) || NewName("") != (Name{}) || NewPhone("") != (Phone{}) {
		t.Error("the empty text is not the zero value")
	}
	if !NewPerson("").IsZero() || NewPerson(person).IsZero() || !(Cert{}).IsZero() || !(Name{}).IsZero() || !(Phone{}).IsZero() {
		t.Error("IsZero is wrong")
	}
	if (Person{}).Reveal() != "" || (Person{}).String() != "" {
		t.Error("the zero person has a text")
	}
	b, err := json.Marshal(struct {
		P Person `json:"p,omitzero"`
		C Cert   `json:"c"`
	}{})
	if err != nil || string(b) != `{"c":""}` {
		t.Errorf("zero values: %s, %v", b, err)
	}
	if NewCert(cert) != NewCert(strings.Clone(cert)) || NewCert(cert) == NewCert(cert+"1") {
		t.Error("equality is not that of the texts")
	}
	if NewPerson(person).Reveal() != person || NewCert(cert).Reveal() != cert || NewName(name).Reveal() != name || NewPhone(phone).Reveal() != phone {
		t.Error("Reveal does not give the text back")
	}
}

func TestParseInstitution(t *testing.T) {
	for text, ok := range map[string]bool{"H43010012345": true, "P11010100001": true, "123456789012": true, "ABCDEFGHIJKL": true,
		"": false, "H4301001234": false, "H430100123456": false, "h43010012345": false, "H4301001234 ": false, "H4301001234医": false, "H43010012医": false} {
		got, err := ParseInstitution(text)
		if ok != (err == nil) || ok && string(got) != text || !ok && (got != "" || !errors.Is(err, ErrInstitution)) {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}

func TestParseInfno(t *testing.T) {
	for text, ok := range map[string]bool{"2207": true, "2203A": true, "13203": true, "D001": true, "220": false, "2207abc": false, "": false, "ABCD": false, "22 7": false, "../1": false} {
		if got, err := ParseInfno(text); ok != (err == nil) || ok && string(got) != text {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}

func TestMsgID(t *testing.T) {
	china := time.FixedZone("CST", 8*3600)
	at := time.Date(2026, 1, 2, 3, 4, 5, 999_999_999, china)
	id, err := NewMsgID("H43010012345", at, 7)
	if err != nil || id != "H43010012345202601020304050007" {
		t.Fatalf("got %s, %v", id, err)
	}
	if id.Institution() != "H43010012345" || !id.Time(china).Equal(at.Truncate(time.Second)) || id.Seq() != 7 {
		t.Errorf("read back: %s %s %d", id.Institution(), id.Time(china), id.Seq())
	}
	if !id.Time(nil).Equal(at.Truncate(time.Second).Add(8 * time.Hour)) {
		t.Errorf("without a zone: %s", id.Time(nil))
	}
	for _, seq := range []int{-1, 10000} {
		if _, err := NewMsgID("H43010012345", at, seq); !errors.Is(err, ErrMsgID) {
			t.Errorf("sequence %d: %v", seq, err)
		}
	}
	if _, err := NewMsgID("short", at, 1); !errors.Is(err, ErrInstitution) {
		t.Errorf("bad institution: %v", err)
	}
	if _, err := NewMsgID("H43010012345", time.Date(10000, 1, 1, 0, 0, 0, 0, china), 1); !errors.Is(err, ErrMsgID) {
		t.Errorf("year 10000: %v", err)
	}
	for text, ok := range map[string]bool{
		"H43010012345202601020304050007":           true,
		"H43010012345202402290000009999":           true,
		"H43010012345202602290000000000":           false, // no such day
		"H43010012345202601022400000000":           false,
		"H43010012345202601020360000000":           false,
		"H4301001234520260102030405000":            false,
		"H430100123452026010203040500070":          false,
		"h43010012345202601020304050007":           false,
		"H4301001234520260102030405000x":           false,
		"H43010012345 2026010203040507 ":           false,
		"":                                         false,
		strings.Repeat("医", 10):                    false,
		"H430100123452026010203040５":               false,
		"H43010012345" + "20260102030405" + "-001": false,
		"H43010012345" + "2026-01-020304" + "0001": false,
		"H43010012345" + "20260102030405" + ".001": false,
		"H43010012345" + "20260102030461" + "0001": false,
		"H43010012345" + "20261302030405" + "0001": false,
		"H43010012345" + "20260132030405" + "0001": false,
		"H43010012345" + "00010101000000" + "0000": true,
		"H43010012345" + "99991231235959" + "9999": true,
	} {
		got, err := ParseMsgID(text)
		if ok != (err == nil) || ok && string(got) != text || !ok && !errors.Is(err, ErrMsgID) {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
		if bad := MsgID(text); !ok && (bad.Institution() != "" || !bad.Time(china).IsZero() || bad.Seq() != -1) {
			t.Errorf("%q: parts of a bad id: %q %s %d", text, bad.Institution(), bad.Time(china), bad.Seq())
		}
	}
}

func FuzzParseMsgID(f *testing.F) {
	f.Add("H43010012345202601020304050007")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseMsgID(s)
		if err != nil {
			return
		}
		again, err := NewMsgID(id.Institution(), id.Time(time.UTC), id.Seq())
		if err != nil || again != id {
			t.Fatalf("%s put together again is %s, %v", id, again, err)
		}
	})
}

func FuzzMask(f *testing.F) {
	f.Add(cert)
	f.Add(name)
	f.Fuzz(func(t *testing.T, s string) {
		for _, mask := range []func(string) string{MaskCert, MaskName, MaskPerson, MaskPhone} {
			if got := mask(s); s != "" && !strings.Contains(got, "*") || s == "" && got != "" || strings.ContainsAny(got, "\n\r\x00\x1b") {
				t.Fatalf("%q: %q", s, got)
			}
		}
	})
}

func BenchmarkParseMsgID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseMsgID("H43010012345202601020304050007"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewMsgID(b *testing.B) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewMsgID("H43010012345", at, 7); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewCert(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = NewCert(cert)
	}
}
