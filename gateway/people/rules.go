package people

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"yiqiao/gateway"
)

// What a password must be; see rule. Length is what makes one strong: no kinds of characters are asked
// for, and none expires.
const (
	LeastPassword = 10 // characters
	MostPassword  = 128
)

//go:embed common.txt
var commonFile string

// common are passwords that are tried first, small letters.
var common = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for _, line := range strings.Fields(commonFile) {
		m[line] = true
	}
	return m
})

// rule names what a password is not, "" when it will do.
func rule(password string, a *Account) string {
	p := plain(password)
	if len(password) > 4*MostPassword || !utf8.ValidString(password) || utf8.RuneCountInString(p) > MostPassword {
		return "长度<=128"
	}
	if utf8.RuneCountInString(p) < LeastPassword {
		return "长度>=10"
	}
	if strings.IndexFunc(p, unicode.IsControl) >= 0 {
		return "不含控制字符"
	}
	low := strings.ToLower(p)
	for _, own := range []string{a.ID, strings.ToLower(a.Name)} {
		if n := utf8.RuneCountInString(own); n >= 3 && strings.Contains(low, own) || n > 0 && low == own {
			return "不含用户名或姓名"
		}
	}
	if len(kinds(low)) < 5 {
		return "至少 5 个不同字符"
	}
	if runs(low) {
		return "不是连续字符"
	}
	// A common one stays common with a year, some digits or an exclamation mark around it.
	bare := strings.TrimFunc(low, func(r rune) bool { return !unicode.IsLetter(r) })
	if common()[low] || common()[unleet(low)] || utf8.RuneCountInString(bare) >= 4 && (common()[bare] || common()[unleet(bare)]) {
		return "不是常见口令"
	}
	return ""
}

func kinds(s string) []rune {
	list := []rune(s)
	slices.Sort(list)
	return slices.Compact(list)
}

// runs reports whether a text is little else than neighbours one after the other: 1234567890, abcdefgh.
func runs(s string) bool {
	r := []rune(s)
	steps := 0
	for i := 1; i < len(r); i++ {
		if d := r[i] - r[i-1]; d == 1 || d == -1 || d == 0 || r[i] == '0' && r[i-1] == '9' {
			steps++
		}
	}
	return steps*10 >= (len(r)-1)*8
}

// unleet undoes the usual exchanges of letters.
func unleet(s string) string {
	return strings.NewReplacer("@", "a", "4", "a", "3", "e", "1", "i", "!", "i", "0", "o", "5", "s", "$", "s", "7", "t").Replace(s)
}

func refusedPassword(rule string) error {
	return &gateway.Error{Code: gateway.CodePasswordRefused, Op: op, Path: "/password", Rule: rule, Detail: rule}
}
