package hl7_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"yiqiao/adapters/his/hl7"
)

func gbk(t testing.TB, s string) string {
	t.Helper()
	out, err := simplifiedchinese.GB18030.NewEncoder().String(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func parse(t testing.TB, b string) *hl7.Message {
	t.Helper()
	m, err := hl7.Parse([]byte(b), "")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func value(t testing.TB, scope any, path string) string {
	t.Helper()
	p, err := hl7.Notation{}.Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := p.Value(scope)
	return v
}

const sample = "MSH|^~\\&|HIS|H1|YQ|X|20260304||DFT^P03|M1|P|2.5\r" +
	"PID|1||P1^^^H^MR~999999198503120018^^^G^NI||测试^甲||19850312|M|||广东\\T\\广州\\.br\\路^A&B^C\r" +
	"PV1||O|||||D1^王||||||||||||V1\r" +
	"FT1|1|\"\"|B1|20260304080000||CG|L1^药\r" +
	"ZF1|a\r" +
	"FT1|2|T2|B1|20260304||CG|L2\r" +
	"ZF1|b\r"

func TestPaths(t *testing.T) {
	m := parse(t, sample)
	for path, want := range map[string]string{
		"MSH-1": "|", "MSH-2": "^~\\&", "MSH-9": "DFT", "MSH-9.2": "P03", "MSH-10": "M1", "MSH-12": "2.5", "MSH-99": "",
		"PID-3": "P1", "PID-3.5": "MR", "PID-3[2]": "999999198503120018", "PID-3[3]": "", "PID-3[5=NI]": "999999198503120018",
		"PID-3[5=NI].4": "G", "PID-3[5=XX]": "", "PID-5": "测试", "PID-5.2": "甲", "PID-5.9": "", "PID-11": "广东&广州\n路",
		"PID-11.2": "A", "PID-11.2.2": "B", "PID-11.3": "C", "PV1-7.2": "王", "FT1-7": "L1", "FT1[2]-7": "L2", "FT1[3]-7": "", "ZZZ-1": "",
		"FT1-2": "", "FT1": "",
	} {
		if got := value(t, m, path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if p, _ := (hl7.Notation{}).Compile("FT1-2"); p != nil {
		if v, found := p.Value(m); v != "" || !found {
			t.Errorf("a deleted value reads as %q %v", v, found)
		}
	}
	for _, bad := range []string{"", "PID", "PID-", "pid-3", "PID-0", "PID-3.0", "PID-3[0]", "PID-3[x]", "PID.3", "PID-3.1.1.1", "PIDX-3", "PID-3[5=]"} {
		if _, err := (hl7.Notation{}).Compile(bad); (err == nil) != (bad == "PID") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestGroups(t *testing.T) {
	m := parse(t, sample)
	p, err := hl7.Notation{}.Compile("FT1")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.Each(m) {
		got = append(got, value(t, s, "FT1-7")+value(t, s, "ZF1-1")+value(t, s, "PV1-19")+value(t, s, "FT1[1]-1"))
	}
	if fmt.Sprint(got) != "[L1aV11 L2bV12]" {
		t.Errorf("%v", got)
	}
	q, err := hl7.Notation{}.Compile("FT1-4")
	if err != nil {
		t.Fatal(err)
	}
	if all := q.All(m); !reflect.DeepEqual(all, []string{"20260304080000", "20260304"}) {
		t.Errorf("%q", all)
	}
	if all := q.All(p.Each(m)[1]); !reflect.DeepEqual(all, []string{"20260304"}) {
		t.Errorf("within a group: %q", all)
	}
}

// What one row does not say is not taken from its neighbour, wherever that stands, and inside a row of a row
// the row around it is seen.
func TestGroupsKeepApart(t *testing.T) {
	m := parse(t, "MSH|^~\\&|A|B|C|D|20260304||ORU^R01|1|P|2.5\rPV1|1|I\rOBR|1|a\rNTE|1||first\rOBX|1||x\rOBX|2||y\rOBR|2|b\rOBX|1||z\rZZZ|last")
	each := func(v any, name string) []any {
		p, err := hl7.Notation{}.Compile(name)
		if err != nil {
			t.Fatal(err)
		}
		return p.Each(v)
	}
	var got []string
	for _, row := range each(m, "OBR") {
		for _, inner := range each(row, "OBX") {
			got = append(got, value(t, inner, "OBX-3")+value(t, inner, "OBR-2")+value(t, inner, "NTE-3")+value(t, inner, "PV1-2")+value(t, inner, "ZZZ-1"))
		}
	}
	if want := "[xafirstI yafirstI zbIlast]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// Every GBK character whose second byte is a delimiter stays whole, in the header and elsewhere,
// whatever the message says of its charset.
func TestGBKAgainstDelimiters(t *testing.T) {
	n := 0
	for _, trail := range []byte{'|', '^', '~', '\\'} {
		for lead := 0x81; lead <= 0xfe; lead++ {
			pair := string([]byte{byte(lead), trail})
			text, err := simplifiedchinese.GB18030.NewDecoder().String(pair)
			if err != nil || len([]rune(text)) != 1 || strings.ContainsRune(text, '\ufffd') || text >= "\ue000" && text <= "\uf8ff" {
				continue
			}
			n++
			for _, charset := range []string{"GBK", "GB 18030-2000", "GB18030", ""} {
				raw := "MSH|^~\\&|" + pair + "|H1|YQ|X|20260304||ADT^A01|M1|P|2.5||||||" + charset + "\rPID|1||P1||" + pair + "^" + pair + "甲"[:0] + "|x\r"
				m := parse(t, raw)
				if value(t, m, "MSH-3") != text || value(t, m, "PID-5") != text || value(t, m, "PID-5.2") != text || value(t, m, "PID-6") != "x" || m.ID() != "M1" {
					t.Fatalf("%x under %q is torn", pair, charset)
				}
			}
		}
	}
	if n < 464 {
		t.Errorf("only %d characters were tried", n)
	}
}

func TestCharsets(t *testing.T) {
	body := "MSH|^~\\&|医|H1|YQ|X|2026||ADT^A01|M1|P|2.5||||||%s\rPID|1||P1||张^三"
	for _, c := range []struct {
		name, text string
		want       string
		reason     hl7.Reason
	}{
		{"UTF-8 declared", fmt.Sprintf(body, "UNICODE UTF-8"), "张", ""},
		{"UTF-8 undeclared", fmt.Sprintf(body, ""), "张", ""},
		{"UTF-8 as ASCII", fmt.Sprintf(body, "ASCII"), "张", ""},
		{"GBK undeclared", gbk(t, fmt.Sprintf(body, "")), "张", ""},
		{"GBK declared", gbk(t, fmt.Sprintf(body, "GBK~ASCII")), "张", ""},
		{"GBK that says UTF-8", gbk(t, fmt.Sprintf(body, "UNICODE UTF-8")), "", hl7.Encoding},
		{"EBCDIC", fmt.Sprintf(body, "EBCDIC"), "", hl7.Charset},
		{"UTF-16", fmt.Sprintf(body, "UNICODE UTF-16"), "", hl7.Charset},
		{"a zero byte", fmt.Sprintf(body, "") + "\x00", "", hl7.Encoding},
		{"Latin", fmt.Sprintf("MSH|^~\\&|H|H1|YQ|X|2026||ADT^A01|M1|P|2.5||||||%s\rPID|1||P1||M\xfcller", "8859/1"), "Müller", ""},
	} {
		m, err := hl7.Parse([]byte(c.text), "")
		var pe *hl7.ParseError
		switch {
		case c.reason != "":
			if !errors.As(err, &pe) || pe.Reason != c.reason || m.ID() != "M1" {
				t.Errorf("%s: %v, id %q", c.name, err, m.ID())
			}
		case err != nil || value(t, m, "PID-5") != c.want:
			t.Errorf("%s: %v %q", c.name, err, value(t, m, "PID-5"))
		}
	}
}

func TestDelimitersAndLines(t *testing.T) {
	for _, end := range []string{"\r", "\n", "\r\n"} {
		m := parse(t, strings.ReplaceAll("MSH|^~\\&|A\rPID|1||a^b~c\r\r", "\r", end))
		if value(t, m, "PID-3[2]") != "c" {
			t.Errorf("%q ends no segment", end)
		}
	}
	m := parse(t, "MSH!@#$%!HIS!H!!!!!DFT@P03!M1!P!2.3\rPID!1!!a@b#c$S$d%e!x\r")
	if value(t, m, "PID-3.2") != "b" || value(t, m, "PID-3[2]") != "c@d" || value(t, m, "PID-3[2].1.2") != "e" || m.Type() != "DFT^P03" {
		t.Errorf("%q %q", value(t, m, "PID-3.2"), value(t, m, "PID-3[2]"))
	}
	if m := parse(t, "MSH|^|A|B|C|D|E||ADT^A01|1\rPID|1||a~b\\c&d"); value(t, m, "PID-3") != "a~b\\c&d" {
		t.Errorf("delimiters nobody declared: %q", value(t, m, "PID-3"))
	}
	for name, text := range map[string]string{
		"letters": "MSHa^~\\&aA", "twice": "MSH|^^\\&|A", "a blank": "MSH ^~\\& A", "too many": "MSH|^~\\&#!|A", "none": "MSH||A|B|C",
		"no MSH": "PID|1||a|b", "short": "MSH|", "a line of text": "MSH|^~\\&|A\rhello world\r", "lower case": "MSH|^~\\&|A\rpid|1", "another delimiter": "MSH|^~\\&|A\rPID!1",
		"second MSH": "MSH|^~\\&|A\rMSH|^~\\&|B\r",
	} {
		var pe *hl7.ParseError
		if _, err := hl7.Parse([]byte(text), ""); !errors.As(err, &pe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEscapes(t *testing.T) {
	for in, want := range map[string]string{
		`a\F\b\S\c\T\d\R\e\E\f`: `a|b^c&d~e\f`, `\XE5BCA0\`: "张", `\X0D0A\x`: "\r\nx", `\Z1\x`: `\Z1\x`, `\X0\`: `\X0\`, `\XFF\`: `\XFF\`, `a\b`: `a\b`,
		`\H\x\N\`: "x", `\.br\`: "\n", `\.sp3\`: "\n", `\.in+4\x`: " x", `\\`: `\\`, `\P\`: "#", `\X00\`: `\X00\`,
	} {
		m := parse(t, "MSH|^~\\&|A|B|C|D|E||ADT^A01|1|P|2.5\rNTE|1||"+in)
		if got := value(t, m, "NTE-3"); got != want {
			t.Errorf("%s reads as %q, want %q", in, got, want)
		}
	}
	m := parse(t, "MSH|^~\\&|A|B|C|D|E||ADT^A01|1|P|2.5||||||GBK\rNTE|1||\\XD5C5\\")
	if got := value(t, m, "NTE-3"); got != "张" {
		t.Errorf("%q", got)
	}
}

func TestSplit(t *testing.T) {
	msg := "MSH|^~\\&|A\rPID|1\r"
	for _, c := range []struct {
		text    string
		n       int
		wrapped bool
	}{
		{msg, 1, false}, {"\r\n" + msg, 1, false}, {msg + msg, 2, false}, {"FHS|^~\\&\rBHS|^~\\&\r" + msg + msg + "BTS|2\rFTS|1\r", 2, true},
		{"BHS|^~\\&\r" + msg + "BTS\r", 1, true}, {"FHS|^~\\&\rBHS|^~\\&\r" + msg + "BTS|1\rBHS|^~\\&\r" + msg + "BTS|1\rFTS|2\r", 2, true},
		{"BHS|^~\\&\r" + msg + "BTS|3\r", -1, true}, {"BHS|^~\\&\r" + msg, -1, true}, {msg + "BTS|1\r", -1, false},
		{"hello\r" + msg, -1, false}, {"", -1, false}, {"BHS|^~\\&\rBTS|0\r", -1, true},
	} {
		b, err := hl7.Split([]byte(c.text))
		if c.n < 0 {
			if err == nil {
				t.Errorf("%q was split", c.text)
			}
			continue
		}
		if err != nil || len(b.Messages) != c.n || b.Wrapped != c.wrapped {
			t.Errorf("%q: %d %v %v", c.text, len(b.Messages), b.Wrapped, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample), "PID-3[5=NI].1")
	f.Add([]byte("MSH!@#$%!HIS!H!!!!!DFT@P03!M1!P!2.3\rPID!1!!a@b#c$S$d%e!x\r"), "PID-3[2].1.2")
	f.Add([]byte(gbk(f, "MSH|^~\\&|医|H1|YQ|X|2026||ADT^A01|M1|P|2.5||||||GBK\rPID|1||P1||張^\\XD5C5\\")), "PID-5")
	f.Add([]byte("BHS|^~\\&\rMSH|^~\\&|A\rBTS|1\r"), "MSH-3")
	f.Fuzz(func(t *testing.T, b []byte, at string) {
		batch, err := hl7.Split(b)
		if err != nil {
			return
		}
		for _, raw := range batch.Messages {
			m, err := hl7.Parse(raw, "")
			_, _ = m.Type(), m.ID()
			p, bad := hl7.Notation{}.Compile(at)
			if bad != nil {
				continue
			}
			v, found := p.Value(m)
			if v != "" && !found {
				t.Errorf("%s: %q, yet not found", at, v)
			}
			for _, s := range p.Each(m) {
				p.Value(s)
				p.All(s)
			}
			if err == nil && len(p.All(m)) > len(raw) {
				t.Error("more values than bytes")
			}
		}
	})
}
