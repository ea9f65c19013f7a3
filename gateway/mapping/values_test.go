package mapping

import (
	"strings"
	"testing"
)

func TestInstant(t *testing.T) {
	for _, c := range []struct{ in, format, want string }{
		{"20260304", "", "2026-03-04 00:00:00"},
		{"202603040506", "", "2026-03-04 05:06:00"},
		{"20260304050607", "", "2026-03-04 05:06:07"},
		{"20260304050607.1234", "", "2026-03-04 05:06:07"},
		{"20260304050607+0800", "", "2026-03-04 05:06:07"},
		{"20260304230000+0000", "", "2026-03-05 07:00:00"},
		{"2026-03-04", "", "2026-03-04 00:00:00"},
		{"2026/03/04 05:06", "", "2026-03-04 05:06:00"},
		{"2026-03-04T05:06:07Z", "", "2026-03-04 13:06:07"},
		{"2026-03-04T05:06:07.5+08:00", "", "2026-03-04 05:06:07"},
		{"2024-02-29", "", "2024-02-29 00:00:00"},
		{"2026-02-29", "", ""}, {"20261301", "", ""}, {"20260304250000", "", ""}, {"2026030405", "", ""}, {"2026-3-4", "", ""},
		{"", "", ""}, {"tomorrow", "", ""}, {"20260304050607+99", "", ""}, {"04.03.2026", "", ""}, {"2026-03/04", "", ""},
		{"04.03.2026", "dd.MM.yyyy", "2026-03-04 00:00:00"},
		{"31.02.2026", "dd.MM.yyyy", ""},
		{"2026年03月04日 05:06", "yyyy年MM月dd日 HH:mm", "2026-03-04 05:06:00"},
		{"46085", "excel", "2026-03-04 00:00:00"},
		{"46085.5", "excel", "2026-03-04 12:00:00"},
		{"46085.2543634259", "excel", "2026-03-04 06:06:17"},
		{"60", "excel", ""}, {"-1", "excel", ""}, {"99999999", "excel", ""}, {"2026-03-04 06:06:17", "excel", "2026-03-04 06:06:17"}, {"20260304", "excel", "2026-03-04 00:00:00"}, {"1.5.5", "excel", ""},
		{"2026", "partial", "2026-01-01 00:00:00"}, {"2026-03", "partial", "2026-03-01 00:00:00"}, {"2026-03-04", "partial", "2026-03-04 00:00:00"},
		{"2026-03-04T05:06:07Z", "partial", "2026-03-04 13:06:07"}, {"2026-13", "partial", ""}, {"202", "partial", ""}, {"2026-03", "", ""}, {"2026", "", ""},
		{"1772571967", "unix", "2026-03-04 05:06:07"},
	} {
		got, ok := instant(c.in, c.format)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("instant(%q, %q) = %q %v, want %q", c.in, c.format, got, ok, c.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		in, format string
		decimals   int
		want       string
	}{
		{"12.3000", "", 2, "12.30"}, {"12.3001", "", 2, "12.3001"}, {"12.000", "", 0, "12"}, {"007.50", "", 2, "7.50"}, {"-0.5", "", 2, "-0.5"},
		{"1,234.50", "comma", 2, "1234.50"}, {"1,234.50", "", 2, ""}, {"5", "fen", 2, "0.05"}, {"-12345", "fen", 2, "-123.45"}, {"1.5", "fen", 2, ""},
		{"1e3", "", 2, ""}, {"NaN", "", 2, ""}, {"+1", "", 2, ""}, {".5", "", 2, ""}, {"1.", "", 2, ""}, {"１２", "", 2, ""}, {"--1", "", 2, ""},
		{strings.Repeat("9", 33), "", 2, ""}, {"", "fen", 2, ""}, {"000", "", 2, "0"}, {"-00.10", "", 2, "-0.10"},
	} {
		got, ok := number(c.in, c.format, c.decimals)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("number(%q, %q, %d) = %q %v, want %q", c.in, c.format, c.decimals, got, ok, c.want)
		}
	}
}

func TestIdentity(t *testing.T) {
	for _, c := range []struct{ in, birthday, sex string }{
		{"999999198503120018", "1985-03-12", "1"}, {"99999919550608002X", "1955-06-08", "2"}, {"999999850312001", "1985-03-12", "1"},
		{"999999198513120018", "", ""}, {"1", "", ""}, {"", "", ""},
	} {
		if b, s := birthday(c.in), sex(c.in); b != c.birthday || s != c.sex {
			t.Errorf("%q: %q %q", c.in, b, s)
		}
	}
	for _, c := range []struct{ in, family, given string }{
		{"王小明", "王", "小明"}, {"欧阳修", "欧阳", "修"}, {"司马", "司", "马"}, {"阿依·古丽", "阿依", "古丽"}, {"李", "李", ""}, {"", "", ""},
	} {
		if f, g := nameParts(c.in); f != c.family || g != c.given {
			t.Errorf("%q: %q %q", c.in, f, g)
		}
	}
	if a, b := requestID("a_b"), requestID("a/b"); a == b || a != "a_5fb" {
		t.Errorf("%q %q", a, b)
	}
}

func TestReadItemsRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "empty"},
		{"a,b\n", "no column local_code"},
		{"院内编码,国家编码,院内编码\n1,2,3\n", "twice"},
		{"院内编码,国家编码\nL1,\n", "items.csv:2"},
		{"院内编码,国家编码,生效日期\nL1,N1,soon\n", "items.csv:2"},
		{"院内编码,国家编码,生效日期,失效日期\nL1,N1,2026-01-02,2026-01-01\n", "ends before"},
		{"院内编码,国家编码,生效日期,失效日期\nL1,N1,,2026-01-01\nL1,N2,2026-01-01,\n", "overlaps row 2"},
		{"院内编码,国家编码\nL1,N1\nL1,N1\n", "overlaps row 2"},
		{"院内编码,国家编码\n\"L1,N1\n", "sheet"},
	} {
		if _, err := ReadItems("items.csv", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func FuzzValues(f *testing.F) {
	for _, s := range []string{"20260304050607+0800", "2026-03-04T05:06:07Z", "12.3000", "-0", "46085.5", "0001.", "99999919550608002X"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, format := range []string{"", "excel", "unix", "dd.MM.yyyy"} {
			if out, ok := instant(s, format); ok {
				if again, ok := instant(out, ""); !ok || again != out {
					t.Errorf("%q reads as %q, which reads as %q", s, out, again)
				}
			}
		}
		for _, format := range []string{"", "comma", "fen"} {
			if out, ok := number(s, format, 2); ok {
				if again, ok := number(out, "", 2); !ok || again != out {
					t.Errorf("%q reads as %q, which reads as %q", s, out, again)
				}
			}
		}
		birthday(s)
		sex(s)
		nameParts(s)
	})
}
