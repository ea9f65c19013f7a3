package mapping

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"

	"yiqiao/gateway"
	"yiqiao/schemas/money"
)

// formula is a compiled expression. The places of the source it reads are known beforehand, so that
// a bad path is found when the definition is loaded and a trace can name them.
type formula struct {
	at      place
	text    string
	program *vm.Program
	single  []gateway.Path // of at("..."), in the order of v
	many    []gateway.Path // of all("..."), in the order of w
	names   []string       // of all paths, as written
}

// surroundings are what an expression sees: the values of its paths. V and W are put in the place of
// at("...") and all("...").
type surroundings struct {
	V []string   `expr:"v"`
	W [][]string `expr:"w"`
}

// forbidden are built-ins that would make money inexact or a result depend on the day.
var forbidden = []string{"float", "now", "date", "duration", "timezone"}

// condition compiles an expression that says yes or no; nil when there is none.
func (c *compiler) condition(at place, text string) *formula {
	if text == "" {
		return nil
	}
	return c.formula(at, text, true)
}

func (c *compiler) formula(at place, text string, yesNo bool) *formula {
	f := &formula{at: at, text: text}
	v := &paths{c: c, f: f}
	options := append([]expr.Option{expr.Env(surroundings{}), expr.Patch(v), expr.MaxNodes(500)}, functions()...)
	if yesNo {
		options = append(options, expr.AsBool())
	}
	for _, name := range forbidden {
		options = append(options, expr.DisableBuiltin(name))
	}
	program, err := expr.Compile(text, options...)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		c.raw.fault(at, "表达式: %[1]s", "expression: %[1]s", first)
		return f
	}
	f.program = program
	return f
}

// paths is the visitor that replaces at("PID-3.1") by v[0] and all("FT1-11") by w[0].
type paths struct {
	c *compiler
	f *formula
}

func (p *paths) Visit(node *ast.Node) {
	var name string
	var args []ast.Node
	switch n := (*node).(type) {
	case *ast.CallNode:
		id, ok := n.Callee.(*ast.IdentifierNode)
		if !ok {
			return
		}
		name, args = id.Value, n.Arguments
	case *ast.BuiltinNode: // all is a predicate of the language as well
		name, args = n.Name, n.Arguments
	default:
		return
	}
	if name != "at" && name != "all" || len(args) != 1 {
		return
	}
	text, ok := args[0].(*ast.StringNode)
	if !ok {
		p.c.raw.fault(p.f.at, "%[1]s 的路径须为文本常量", "the path of %[1]s must be a literal text", name)
		return
	}
	list, v := &p.f.single, "v"
	if name == "all" {
		list, v = &p.f.many, "w"
	}
	*list = append(*list, p.c.path(p.f.at, text.Value))
	p.f.names = append(p.f.names, text.Value)
	ast.Patch(node, &ast.MemberNode{Node: &ast.IdentifierNode{Value: v}, Property: &ast.IntegerNode{Value: len(*list) - 1}})
}

// functions are what expressions may call beside the language's own. Amounts are text: sum, product,
// negate and plus are exact.
func functions() []expr.Option {
	text := func(name string, f func(string) (string, error)) expr.Option {
		return expr.Function(name, func(a ...any) (any, error) { return f(a[0].(string)) }, new(func(string) string))
	}
	both := func(name string, f func(a, b string) (string, error)) expr.Option {
		return expr.Function(name, func(a ...any) (any, error) { return f(a[0].(string), a[1].(string)) }, new(func(string, string) string))
	}
	return []expr.Option{
		// at and all are replaced before anything runs; they are here so that they are known.
		text("at", func(string) (string, error) { return "", nil }),
		expr.DisableBuiltin("all"),
		expr.Function("all", func(...any) (any, error) { return []string(nil), nil }, new(func(string) []string)),
		expr.DisableBuiltin("sum"),
		expr.Function("sum", func(a ...any) (any, error) { return sum(a[0].([]string)) }, new(func([]string) string)),
		both("product", product),
		both("plus", func(a, b string) (string, error) { return sum([]string{a, b}) }),
		text("negate", negate),
		text("birthday", func(s string) (string, error) { return birthday(s), nil }),
		text("sex", func(s string) (string, error) { return sex(s), nil }),
		text("family", func(s string) (string, error) { f, _ := nameParts(s); return f, nil }),
		text("given", func(s string) (string, error) { _, g := nameParts(s); return g, nil }),
		text("day", func(s string) (string, error) { t, ok := instant(s, ""); return t[:min(len(t), 10)], wrong(ok, "day") }),
		text("time", func(s string) (string, error) { t, ok := instant(s, ""); return t, wrong(ok, "time") }),
		text("id", func(s string) (string, error) { return requestID(s), nil }),
		expr.Function("part", func(a ...any) (any, error) { return part(a[0].(string), a[1].(string), a[2].(int)), nil },
			new(func(string, string, int) string)),
	}
}

func wrong(ok bool, what string) error {
	if ok {
		return nil
	}
	return fmt.Errorf("%s: can not be read", what)
}

// sum adds amounts; empty ones count as nothing.
func sum(list []string) (string, error) {
	var total money.Fen
	for _, s := range list {
		if s == "" {
			continue
		}
		n, ok := number(s, "", 2)
		if !ok {
			return "", fmt.Errorf("sum: not an amount")
		}
		f, err := money.Parse(n)
		if err != nil {
			return "", err
		}
		if total, err = money.Sum(total, f); err != nil {
			return "", err
		}
	}
	return total.String(), nil
}

// product is quantity times price in fen, rounded half up.
func product(quantity, price string) (string, error) {
	q, ok := number(quantity, "", 4)
	p, ok2 := number(price, "", 6)
	if !ok || !ok2 {
		return "", fmt.Errorf("product: not a number")
	}
	dq, err := money.ParseDecimal(q, 4)
	if err != nil {
		return "", err
	}
	dp, err := money.ParseDecimal(p, 6)
	if err != nil {
		return "", err
	}
	f, err := money.Product(dq, dp)
	return f.String(), err
}

func negate(s string) (string, error) {
	n, ok := number(s, "", -1)
	switch {
	case !ok:
		return "", fmt.Errorf("negate: not a number")
	case strings.Trim(n, "-0.") == "":
		return strings.TrimPrefix(n, "-"), nil
	case n[0] == '-':
		return n[1:], nil
	}
	return "-" + n, nil
}

// part is the n-th piece of s, counted from 1, and "" beyond the end.
func part(s, sep string, n int) string {
	list := strings.Split(s, sep)
	if sep == "" || n < 1 || n > len(list) {
		return ""
	}
	return list[n-1]
}

// birthday and sex are read out of a resident identity number of 18 or 15 digits; "" when it is none.
func birthday(no string) string {
	switch len(no) {
	case 18:
		no = no[6:14]
	case 15:
		no = "19" + no[6:12]
	default:
		return ""
	}
	t, ok := instantForms(no)
	if !ok {
		return ""
	}
	return t[:10]
}

// sex is 1 for male, 2 for female, as dictionary gend has it.
func sex(no string) string {
	var digit byte
	switch len(no) {
	case 18:
		digit = no[16]
	case 15:
		digit = no[14]
	default:
		return ""
	}
	if digit < '0' || digit > '9' || birthday(no) == "" {
		return ""
	}
	return strconv.Itoa(2 - int(digit-'0')%2)
}

// compound are the commonest family names of two characters.
const compound = " 欧阳 司马 上官 诸葛 东方 皇甫 尉迟 公孙 慕容 令狐 夏侯 宇文 司徒 司空 长孙 轩辕 端木 百里 南宫 独孤 呼延 闻人 澹台 公冶 宗政 濮阳 淳于 单于 太叔 申屠 仲孙 钟离 东郭 "

// nameParts splits a Chinese name into family and given name; one with a middle dot or a blank there.
func nameParts(s string) (family, given string) {
	s = strings.TrimSpace(s)
	for _, dot := range []string{"·", "•", " "} {
		if a, b, ok := strings.Cut(s, dot); ok {
			return a, b
		}
	}
	r := []rune(s)
	switch {
	case len(r) < 2:
		return s, ""
	case len(r) > 2 && strings.Contains(compound, " "+string(r[:2])+" "):
		return string(r[:2]), string(r[2:])
	}
	return string(r[:1]), string(r[1:])
}

// requestID makes a text fit to be a request id: what is not A-Z a-z 0-9 - _ . : becomes its hexadecimal
// code after an underscore, so that two different texts never become one.
func requestID(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == ':':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}

// The result of a formula as text; ok is false when there is none.
func (f *formula) value(scope any) (text string, ok bool, err error) {
	v, err := f.run(scope)
	if err != nil {
		return "", false, err
	}
	switch x := v.(type) {
	case nil:
		return "", false, nil
	case string:
		return x, x != "", nil
	case bool:
		return strconv.FormatBool(x), true, nil
	case int:
		return strconv.Itoa(x), true, nil
	}
	return "", false, fmt.Errorf("%T is neither text nor a whole number", v)
}

// yes is what a condition says; nil says yes.
func (f *formula) yes(scope any) (bool, error) {
	if f == nil {
		return true, nil
	}
	v, err := f.run(scope)
	b, _ := v.(bool)
	return b, err
}

// run never panics, whatever the message holds.
func (f *formula) run(scope any) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%T", r)
		}
	}()
	env := surroundings{V: make([]string, len(f.single))}
	for i, p := range f.single {
		env.V[i], _ = p.Value(scope)
	}
	if len(f.many) > 0 {
		env.W = make([][]string, len(f.many))
		for i, p := range f.many {
			env.W[i] = p.All(scope)
		}
	}
	return vm.Run(f.program, env)
}
