package recon

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	"yiqiao/gateway"
)

func meaningOf(s gateway.Statement) func(string) string {
	return func(code string) string {
		if m, ok := s.Result.Codes[code]; ok {
			return m
		}
		return s.Result.Codes["*"]
	}
}

func TestReadResult(t *testing.T) {
	form := gateway.Statement{}.Filled()
	foshan := gateway.Statement{Result: gateway.ResultFile{Codes: map[string]string{"0": "balanced", "99": "here-more", "*": "differs"}}}.Filled()
	for name, c := range map[string]struct {
		form gateway.Statement
		text string
		want resultRow
		ok   bool
	}{
		"ten":                   {form, "P\tV\tS\tM\t1\t0\t多310\t10.00\t8.00\t1.00", resultRow{meaning: "centre-more", memo: "多310", insutype: "310", amounts: Amounts{1000, 800, 100, 1}, known: true}, true},
		"seven":                 {form, "P\tV\tS\tM\t0\t0\t", resultRow{meaning: "balanced"}, true},
		"eight, Hubei":          {form, "P\tV\tS\tM\t000103\t1\tnull\tnull\n", resultRow{meaning: "differs", refund: true}, true},
		"eleven, a tab behind":  {form, "P\tV\tS\tM\t2\t0\tx\t10.00\t8.00\t1.00\t\r\n", resultRow{meaning: "here-more", memo: "x", amounts: Amounts{1000, 800, 100, 1}, known: true}, true},
		"eleven, something":     {form, "P\tV\tS\tM\t2\t0\tx\t10.00\t8.00\t1.00\tabc", resultRow{meaning: "here-more", memo: "x", amounts: Amounts{1000, 800, 100, 1}, known: true}, true},
		"memo moved":            {form, "P\tV\tS\tM\t0\t0\t\t310\t10.00\t8.00\t1.00", resultRow{meaning: "balanced", memo: "310", insutype: "310", amounts: Amounts{1000, 800, 100, 1}, known: true}, true},
		"flag first, undecided": {form, "P\tV\tS\tM\t0\t1\tx\t10.00\t8.00\t1.00", resultRow{meaning: "balanced", refund: true, memo: "x", amounts: Amounts{1000, 800, 100, 1}, known: true}, true},
		"flag first":            {form, "P\tV\tS\tM\t1\t000102\tx\t10.00\t8.00\t1.00", resultRow{meaning: "here-more", refund: true, memo: "x", amounts: Amounts{1000, 800, 100, 1}, known: true}, true},
		"another code":          {foshan, "P\tV\tS\tM\t7\t0\tx\t10.00\t8.00\t", resultRow{meaning: "differs", memo: "x", amounts: Amounts{1000, 800, 0, 1}, known: true}, true},
		"negative":              {form, "P\tV\tS\tM\t1\t1\tx\t-10.00\t-8.00\t0", resultRow{meaning: "centre-more", refund: true, memo: "x", amounts: Amounts{-1000, -800, 0, 1}, known: true}, true},
		"unknown code":          {form, "P\tV\tS\tM\t7\t0\tx\t10.00\t8.00\t1.00", resultRow{}, false},
		"too short":             {form, "P\tV\tS\tM", resultRow{}, false},
		"no identity":           {form, "\t\t\t\t1\t0\tx\t1.00\t1.00\t0.00", resultRow{}, false},
		"a head":                {form, "psn_no\tmdtrt_id\tsetl_id\tmsgid\tstmt_rslt\trefd_setl_flag\tmemo", resultRow{}, false},
		"half the amounts":      {form, "P\tV\tS\tM\t1\t0\tx\t10.00\t\t1.00", resultRow{}, false},
		"an amount too great":   {form, "P\tV\tS\tM\t1\t0\tx\t99999999999999.00\t8.00\t1.00", resultRow{}, false},
		"an amount misspelt":    {form, "P\tV\tS\tM\t1\t0\tx\t1O.00\t8.00\t1.00", resultRow{}, false},
		"blanks in an id":       {form, "P X\tV\tS\tM\t1\t0\tx\t10.00\t8.00\t1.00", resultRow{}, false},
		"thirty columns":        {form, strings.Repeat("P\t", 30), resultRow{}, false},
		"a cell too long":       {form, strings.Repeat("P", 5000) + "\tV\tS\tM\t0\t0\t", resultRow{}, false},
	} {
		rows, _, err := readResult(c.text, c.form.Result, meaningOf(c.form))
		if (err == nil) != c.ok {
			t.Errorf("%s: %v %+v", name, err, rows)
			continue
		}
		if !c.ok {
			continue
		}
		got := rows[0]
		if got.person != "P" || got.visit != "V" || got.setl != "S" || got.msgid != "M" {
			t.Errorf("%s: %+v", name, got)
		}
		got.line, got.code, got.person, got.visit, got.setl, got.msgid = 0, "", "", "", "", ""
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// One row that decides the order of result and flag decides it for the file.
func TestFlagOrderIsOfTheFile(t *testing.T) {
	form := gateway.Statement{}.Filled()
	text := "P\tV\tS\tM\t0\t1\tx\t1.00\t1.00\t0.00\nP\tV\tS2\tM\t1\t3\tx\t1.00\t1.00\t0.00"
	rows, _, err := readResult(text, form.Result, meaningOf(form))
	if err != nil || rows[0].meaning != gateway.StatementCentreMore || rows[0].refund || rows[1].meaning != gateway.StatementDiffers {
		t.Errorf("%v %+v", err, rows)
	}
}

func zipOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		f, err := z.Create(name)
		if err == nil {
			_, err = f.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUnpackRefuses(t *testing.T) {
	bomb := zipOf(t, map[string]string{"a.txt": strings.Repeat("0", mostText+1)})
	lying := bytes.Clone(bomb) // says in its directory that it is short
	at := bytes.LastIndex(lying, []byte("PK\x01\x02"))
	copy(lying[at+24:], []byte{9, 0, 0, 0})
	for name, b := range map[string][]byte{
		"nothing": nil, "no zip": []byte("hello"), "an empty zip": zipOf(t, nil),
		"two files": zipOf(t, map[string]string{"a.txt": "", "b.txt": ""}), "a path": zipOf(t, map[string]string{"../a.txt": "x"}),
		"a folder": zipOf(t, map[string]string{"a/b.txt": "x"}), "a drive": zipOf(t, map[string]string{"c:a.txt": "x"}),
		"a bomb": bomb, "a bomb that lies": lying, "cut": zipOf(t, map[string]string{"a.txt": "hello"})[:40],
		"GBK": zipOf(t, map[string]string{"a.txt": "\xb2\xe2"}),
	} {
		if text, err := unpack(b); err == nil {
			t.Errorf("%s: %d bytes were taken", name, len(text))
		}
	}
	if text, err := unpack(zipOf(t, map[string]string{"result.txt": "\xef\xbb\xbfhello"})); err != nil || text != "hello" {
		t.Errorf("%q %v", text, err)
	}
}

// Any text is read or refused, and what is read keeps the promises of the parser.
func FuzzReadResult(f *testing.F) {
	for _, s := range []string{"", "P\tV\tS\tM\t1\t0\t多310\t10.00\t8.00\t1.00", "P\tV\tS\tM\t0\t0\t\t310\t10.00\t8.00\t1.00", "P\tV\tS\tM\t000103\t1\tnull\tnull\r\n",
		"\tV\t\tM\t1\t2\tx", "P\tV\tS\tM\t0\t1\t\t\t\t\t", "\xff\t\t\t"} {
		f.Add(s)
	}
	form := gateway.Statement{}.Filled()
	f.Fuzz(func(t *testing.T, text string) {
		rows, _, err := readResult(text, form.Result, meaningOf(form))
		if err != nil && rows != nil {
			t.Fatal("rows beside an error")
		}
		lines := 0
		for _, l := range strings.Split(text, "\n") {
			if strings.TrimSpace(strings.TrimSuffix(l, "\r")) != "" {
				lines++
			}
		}
		if err == nil && len(rows) != lines {
			t.Fatalf("%d lines, %d rows: a line was passed over", lines, len(rows))
		}
		for _, r := range rows {
			if r.meaning == "" || r.known != (r.amounts.Count == 1) || r.amounts.Total > mostFen || r.amounts.Total < -mostFen || strings.ContainsAny(r.memo, "\t\n") {
				t.Fatalf("%+v", r)
			}
			if r.setl+r.visit+r.msgid+r.person == "" {
				t.Fatal("a row of nothing")
			}
		}
	})
}

// Any bytes are unpacked within bounds, or refused.
func FuzzUnpack(f *testing.F) {
	f.Add(zipOf(f, map[string]string{"a.txt": "hello"}))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, err := unpack(b); err == nil && len(text) > mostText {
			t.Fatal("too much")
		}
	})
}
