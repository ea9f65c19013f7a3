package mapping

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"yiqiao/gateway"
	"yiqiao/schemas/check"
)

// fit reads s as the target's kind and puts the normal form into out. code is that of a finding,
// "" when it fits; rule says what was wanted.
func fit(s, format string, l *leaf, out *string) (code, rule string) {
	switch l.kind {
	case kindNumber:
		n, ok := number(s, format, l.decimals)
		if !ok {
			return CodeForm, "number"
		}
		whole := strings.TrimLeft(n, "-0")
		if i := strings.IndexByte(whole, '.'); i >= 0 {
			whole = whole[:i]
		}
		if l.digits > 0 && len(whole) > l.digits-max(l.decimals, 0) {
			return check.CodeAmountRange, strconv.Itoa(l.digits)
		}
		if i := strings.IndexByte(n, '.'); i >= 0 && l.decimals >= 0 && len(n)-i-1 > l.decimals && l.digits > 0 {
			return check.CodeAmountDecimals, strconv.Itoa(l.digits) + "," + strconv.Itoa(l.decimals)
		}
		*out = n
	case kindDate, kindTime:
		t, ok := instant(s, format)
		if !ok {
			return CodeForm, l.kind.String()
		}
		if *out = t; l.kind == kindDate {
			*out = t[:10]
		}
	case kindBool:
		b, ok := yes(s)
		if !ok {
			return CodeForm, l.kind.String()
		}
		*out = strconv.FormatBool(b)
	default:
		if l.max > 0 && len(s) > l.max && utf8.RuneCountInString(s) > l.max {
			return check.CodeFieldTooLong, "<=" + strconv.Itoa(l.max)
		}
		*out = s
	}
	return "", ""
}

// number gives a plain decimal literal. Zeros behind the last decimal the target has are dropped: a
// database column of four decimals writes 12.3000. fen moves the point, comma takes separators out.
func number(s, format string, decimals int) (string, bool) {
	switch format {
	case "comma":
		s = strings.ReplaceAll(s, ",", "")
	case "fen":
		neg := strings.HasPrefix(s, "-")
		d := strings.TrimPrefix(s, "-")
		if d == "" || strings.Trim(d, "0123456789") != "" {
			return "", false
		}
		d = strings.Repeat("0", max(0, 3-len(d))) + d
		s = d[:len(d)-2] + "." + d[len(d)-2:]
		if neg {
			s = "-" + s
		}
	}
	d := strings.TrimPrefix(s, "-")
	whole, frac, point := strings.Cut(d, ".")
	if whole == "" || len(d) > 32 || strings.Trim(whole, "0123456789") != "" || strings.Trim(frac, "0123456789") != "" || point && frac == "" {
		return "", false
	}
	if point && decimals >= 0 && len(frac) > decimals {
		kept := frac[:decimals]
		if strings.Trim(frac[decimals:], "0") == "" {
			s = s[:len(s)-len(frac)] + kept
			s = strings.TrimSuffix(s, ".")
		}
	}
	if neg := len(s) != 0 && s[0] == '-'; len(whole) > 1 && whole[0] == '0' {
		s = strings.TrimLeft(strings.TrimPrefix(s, "-"), "0")
		if s == "" || s[0] == '.' {
			s = "0" + s
		}
		if neg {
			s = "-" + s
		}
	}
	return s, true
}

func yes(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true", "1", "y", "yes", "t", "是", "有":
		return true, true
	case "false", "0", "n", "no", "f", "否", "无":
		return false, true
	}
	return false, false
}

// checkFormat refuses a format the target's kind can not be read with.
func checkFormat(format string, k kind) error {
	switch {
	case format == "":
		return nil
	case k == kindNumber && (format == "fen" || format == "comma"):
		return nil
	case (k == kindDate || k == kindTime) && (format == "excel" || format == "unix" || format == "partial" || goLayout(format) != ""):
		return nil
	}
	return fmt.Errorf("format %q is not for %s", format, k)
}

// instant reads a date or time, as its format says (excel: a serial day, or any of the following) or in one of the forms that can not be taken for
// another: yyyyMMdd, yyyyMMddHHmm[ss[.f]][+hhmm], yyyy-MM-dd and yyyy/MM/dd, alone or with HH:mm[:ss[.f]]
// after a blank or T, with Z or +hh:mm. A time in another zone is put into China's. A date alone is
// its midnight. The result is yyyy-MM-dd HH:mm:ss.
func instant(s, format string) (string, bool) {
	switch format {
	case "":
		return instantForms(s)
	case "excel":
		if day, ok := excelDay(s); ok {
			return day, true
		}
		return instantForms(s) // a cell may hold a date as text: neither can be taken for the other
	case "partial": // a year, or a year and a month: its first day
		switch {
		case len(s) == 4:
			s += "-01-01"
		case len(s) == 7 && s[4] == '-':
			s += "-01"
		}
		return instantForms(s)
	case "unix":
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 || n > 1<<40 {
			return "", false
		}
		return time.Unix(n, 0).In(gateway.China).Format(time.DateTime), true
	}
	t, err := time.ParseInLocation(goLayout(format), s, gateway.China)
	if err != nil || t.Year() < 1800 {
		return "", false
	}
	return t.In(gateway.China).Format(time.DateTime), true
}

// goLayout turns yyyy.MM.dd HH:mm:ss into Go's way of saying it; "" when there is no year, month and day.
func goLayout(f string) string {
	if !strings.Contains(f, "yyyy") || !strings.Contains(f, "MM") || !strings.Contains(f, "dd") {
		return ""
	}
	return strings.NewReplacer("yyyy", "2006", "MM", "01", "dd", "02", "HH", "15", "mm", "04", "ss", "05").Replace(f)
}

// excelDay reads a serial day: days since 1899-12-30, the time of day as a fraction. Before March 1900
// Excel counts a day that never was: refused.
func excelDay(s string) (string, bool) {
	whole, frac, _ := strings.Cut(s, ".")
	n, err := strconv.Atoi(whole)
	if err != nil || n < 61 || n > 2958465 || strings.Trim(frac, "0123456789") != "" {
		return "", false
	}
	frac = frac[:min(len(frac), 12)]
	share, scale := int64(0), int64(1)
	for _, c := range []byte(frac) {
		share, scale = share*10+int64(c-'0'), scale*10
	}
	seconds := (share*86400*2 + scale) / (2 * scale)
	day := time.Date(1899, 12, 30, 0, 0, 0, 0, gateway.China).AddDate(0, 0, n).Add(time.Duration(seconds) * time.Second)
	return day.Format(time.DateTime), true
}

// instantForms reads the forms that need no telling.
func instantForms(s string) (string, bool) {
	var part [6]int // year month day hour minute second
	var ok bool
	rest := s
	if len(s) >= 10 && (s[4] == '-' || s[4] == '/') && s[7] == s[4] {
		if part[0], ok = digits(s[:4]); !ok {
			return "", false
		}
		for i, at := range []int{5, 8} {
			if part[i+1], ok = digits(s[at : at+2]); !ok {
				return "", false
			}
		}
		rest = s[10:]
		if rest != "" && rest[0] != ' ' && rest[0] != 'T' {
			return "", false
		}
		if rest != "" {
			if part, rest, ok = clockOf(part, rest[1:], ":"); !ok {
				return "", false
			}
		}
	} else {
		if len(s) < 8 {
			return "", false
		}
		for i, at := range [][2]int{{0, 4}, {4, 6}, {6, 8}} {
			if part[i], ok = digits(s[at[0]:at[1]]); !ok {
				return "", false
			}
		}
		if rest = s[8:]; rest != "" {
			if part, rest, ok = clockOf(part, rest, ""); !ok {
				return "", false
			}
		}
	}
	shift, ok := zone(rest)
	if !ok || part[0] < 1800 || part[0] > 2999 || part[3] > 23 || part[4] > 59 || part[5] > 59 {
		return "", false
	}
	if part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > 28 && part[2] > time.Date(part[0], time.Month(part[1])+1, 0, 0, 0, 0, 0, time.UTC).Day() {
		return "", false
	}
	if shift != 0 {
		t := time.Date(part[0], time.Month(part[1]), part[2], part[3], part[4], part[5], 0, time.UTC).Add(shift)
		return t.Format(time.DateTime), true
	}
	b := make([]byte, 0, 19)
	b = two(two(b, part[0]/100), part[0]%100)
	for i, sep := range "-- ::" {
		b = two(append(b, byte(sep)), part[i+1])
	}
	return string(b), true
}

func two(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// clockOf reads HH mm [ss[.fraction]] with a separator between them; the fraction is dropped.
func clockOf(part [6]int, s, sep string) ([6]int, string, bool) {
	for i := 3; i < 6; i++ {
		if i > 3 && sep != "" {
			if !strings.HasPrefix(s, sep) {
				return part, s, i == 5
			}
			s = s[1:]
		}
		if len(s) < 2 {
			return part, s, i == 5 && sep == ""
		}
		n, ok := digits(s[:2])
		if !ok {
			return part, s, i == 5 && sep == ""
		}
		part[i], s = n, s[2:]
	}
	if f, ok := strings.CutPrefix(s, "."); ok {
		s = strings.TrimLeft(f, "0123456789")
		if len(s) == len(f) {
			return part, s, false
		}
	}
	return part, s, true
}

// zone gives how far a time must be moved to be China's.
func zone(s string) (time.Duration, bool) {
	switch s {
	case "", "+0800", "+08:00":
		return 0, true
	case "Z":
		return 8 * time.Hour, true
	}
	sign := time.Duration(1)
	if s[0] == '-' {
		sign = -1
	} else if s[0] != '+' {
		return 0, false
	}
	s = strings.Replace(s[1:], ":", "", 1)
	if len(s) != 4 {
		return 0, false
	}
	h, ok := digits(s[:2])
	m, ok2 := digits(s[2:])
	if !ok || !ok2 || h > 14 || m > 59 {
		return 0, false
	}
	return 8*time.Hour - sign*(time.Duration(h)*time.Hour+time.Duration(m)*time.Minute), true
}

func digits(s string) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}
