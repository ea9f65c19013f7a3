package check

// form of a text that should be a date or a time.
type dateForm uint8

const (
	malformed dateForm = iota
	unreal             // right form, no such day or time
	real
)

func layout(typ string) string {
	if typ == "date" {
		return "yyyy-MM-dd"
	}
	return "yyyy-MM-dd HH:mm:ss"
}

// timely reads yyyy-MM-dd or yyyy-MM-dd HH:mm:ss against the calendar.
func timely(s, typ string) dateForm {
	want := layout(typ)
	if len(s) != len(want) {
		return malformed
	}
	for i := range len(want) {
		switch want[i] {
		case '-', ' ', ':':
			if s[i] != want[i] {
				return malformed
			}
		default:
			if s[i] < '0' || s[i] > '9' {
				return malformed
			}
		}
	}
	two := func(i int) int { return int(s[i]-'0')*10 + int(s[i+1]-'0') }
	year, month, day := two(0)*100+two(2), two(5), two(8)
	if year == 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return unreal
	}
	if typ == "datetime" && (two(11) > 23 || two(14) > 59 || two(17) > 59) {
		return unreal
	}
	return real
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
