// Package bind turns a value decoded by strictjson into one of the gateway's own structs, and
// refuses everything it was not told about.
//
// It is what encoding/json is not: a member nobody declared is a finding, not a shrug; names match
// by case; a text is never made from a number unless the field is a decimal, and then the literal
// is kept as it was written; every finding says where by JSON Pointer. A HIS adapter of any form
// (JSON over HTTP, JSON in SOAP, a file) binds the same structs with the same rules.
//
// A member is required unless its tag says omitempty or omitzero, or the rules call it optional.
// null counts as absent. Findings carry the codes of package check, so that a HIS meets the same
// words whoever finds the fault.
package bind

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"yiqiao/schemas/check"
)

// MaxFindings bounds how many findings one value gives; what comes after is not looked at.
const MaxFindings = 100

// maxText is the longest text of a field without a length of its own, in characters.
const maxText = 4000

// maxDecimal is the longest decimal, as long as strictjson lets a number literal be.
const maxDecimal = 32

// maxName is how much of an undeclared member's name is repeated in a path.
const maxName = 64

// Rules are what the tags of a struct do not say. Fields are named "Type.member": "Fee.quantity".
// A name no struct has makes New fail, so that rules do not rot.
type Rules struct {
	Optional []string       // may be absent although the tag has no omitempty
	Decimal  []string       // text fields that may also come as a JSON number; the literal is kept
	MaxText  map[string]int // longest text in characters; where nothing is said 4000, a decimal 32
}

// Binder binds values to T. It is immutable and safe for concurrent use.
type Binder[T any] struct{ top *shape }

// shape is what is known of one Go type.
type shape struct {
	kind   reflect.Kind // String, Bool, Int, Struct, Slice, Map, Interface, Pointer
	elem   *shape       // of Slice and Pointer
	fields []field      // of Struct
	known  map[string]bool
}

type field struct {
	name     string
	index    int
	required bool
	decimal  bool
	max      int
	shape    *shape
}

// New reads the tags of T once. The error tells a type it can not bind or a rule for no field.
func New[T any](r Rules) (*Binder[T], error) {
	used := map[string]bool{}
	top, err := plan(reflect.TypeFor[T](), r, used, nil)
	if err != nil {
		return nil, err
	}
	if top.kind != reflect.Struct {
		return nil, fmt.Errorf("bind: %s is not a struct", reflect.TypeFor[T]())
	}
	names := append(append([]string{}, r.Optional...), r.Decimal...)
	for n := range r.MaxText {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		if !used[n] {
			return nil, fmt.Errorf("bind: a rule names %q, which %s does not have", n, reflect.TypeFor[T]())
		}
	}
	return &Binder[T]{top: top}, nil
}

func plan(t reflect.Type, r Rules, used map[string]bool, above []reflect.Type) (*shape, error) {
	if slices.Contains(above, t) {
		return nil, fmt.Errorf("bind: %s contains itself", t)
	}
	above = append(above, t)
	s := &shape{kind: t.Kind()}
	switch {
	case t.Kind() == reflect.String, t.Kind() == reflect.Bool, t.Kind() == reflect.Int:
	case t.Kind() == reflect.Interface && t.NumMethod() == 0:
	case t == reflect.TypeFor[map[string]any]():
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Pointer:
		elem, err := plan(t.Elem(), r, used, above)
		if err != nil {
			return nil, err
		}
		s.elem = elem
	case t.Kind() == reflect.Struct:
		return s, s.planFields(t, r, used, above)
	default:
		return nil, fmt.Errorf("bind: can not bind a %s", t)
	}
	return s, nil
}

func (s *shape) planFields(t reflect.Type, r Rules, used map[string]bool, above []reflect.Type) error {
	s.known = map[string]bool{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if name == "" || !f.IsExported() || f.Anonymous || s.known[name] {
			return fmt.Errorf("bind: %s.%s has no json name of its own", t, f.Name)
		}
		s.known[name] = true
		full := t.Name() + "." + name
		used[full] = true
		inner, err := plan(f.Type, r, used, above)
		if err != nil {
			return err
		}
		d := field{name: name, index: i, shape: inner, max: maxText}
		d.required = !strings.Contains(opts, "omit") && !slices.Contains(r.Optional, full)
		d.decimal = slices.Contains(r.Decimal, full)
		if d.decimal {
			d.max = maxDecimal
		}
		if n, ok := r.MaxText[full]; ok {
			d.max = n
		}
		if d.decimal && f.Type.Kind() != reflect.String {
			return fmt.Errorf("bind: %s is a decimal but not a text", full)
		}
		s.fields = append(s.fields, d)
	}
	return nil
}

// Bind fills a T from a value decoded by strictjson. With findings the T is not to be used. The
// members of an any or map field are the decoded ones, not copies.
func (b *Binder[T]) Bind(v any) (T, []check.Finding) {
	var out T
	r := reader{}
	r.read(reflect.ValueOf(&out).Elem(), b.top, field{max: maxText}, v, "")
	return out, r.found
}

type reader struct{ found []check.Finding }

func (r *reader) full() bool { return len(r.found) >= MaxFindings }

func (r *reader) add(f check.Finding) {
	if !r.full() {
		f.Severity = check.Error
		r.found = append(r.found, f)
	}
}

// read puts v into dst. f carries what the field around it says of texts.
func (r *reader) read(dst reflect.Value, s *shape, f field, v any, path string) {
	if r.full() {
		return
	}
	switch s.kind {
	case reflect.String:
		r.readText(dst, f, v, path)
	case reflect.Bool:
		if b, ok := v.(bool); ok {
			dst.SetBool(b)
			return
		}
		r.add(wrongType(path, "true 或 false", "true or false"))
	case reflect.Int:
		n, ok := v.(json.Number)
		i, err := strconv.ParseInt(n.String(), 10, 32)
		if !ok || err != nil {
			r.add(wrongType(path, "整数", "an integer"))
			return
		}
		dst.SetInt(i)
	case reflect.Interface:
		if v != nil {
			dst.Set(reflect.ValueOf(v))
		}
	case reflect.Map:
		if m, ok := v.(map[string]any); ok {
			dst.Set(reflect.ValueOf(m))
			return
		}
		r.add(wrongType(path, "对象", "an object"))
	case reflect.Pointer:
		p := reflect.New(dst.Type().Elem())
		r.read(p.Elem(), s.elem, f, v, path)
		dst.Set(p)
	case reflect.Slice:
		r.readSlice(dst, s, f, v, path)
	case reflect.Struct:
		r.readStruct(dst, s, v, path)
	}
}

func (r *reader) readText(dst reflect.Value, f field, v any, path string) {
	text, ok := v.(string)
	if n, isNumber := v.(json.Number); isNumber && f.decimal {
		text, ok = n.String(), true
	}
	switch {
	case !ok && f.decimal:
		r.add(wrongType(path, "数字或文本", "a number or text"))
	case !ok:
		r.add(wrongType(path, "文本", "text"))
	case len(text) > f.max && utf8.RuneCountInString(text) > f.max:
		n := strconv.Itoa(f.max)
		r.add(check.Finding{Code: check.CodeFieldTooLong, Path: path, Rule: "长度<=" + n,
			ZH: "内容过长, 最多 " + n + " 个字符", EN: "Too long: at most " + n + " characters."})
	default:
		dst.SetString(text)
	}
}

func (r *reader) readSlice(dst reflect.Value, s *shape, f field, v any, path string) {
	list, ok := v.([]any)
	if !ok {
		r.add(wrongType(path, "数组", "an array"))
		return
	}
	out := reflect.MakeSlice(dst.Type(), len(list), len(list))
	for i, v := range list {
		if r.full() {
			return
		}
		r.read(out.Index(i), s.elem, f, v, path+"/"+strconv.Itoa(i))
	}
	dst.Set(out)
}

func (r *reader) readStruct(dst reflect.Value, s *shape, v any, path string) {
	m, ok := v.(map[string]any)
	if !ok {
		r.add(wrongType(path, "对象", "an object"))
		return
	}
	for _, f := range s.fields {
		at := path + "/" + Escape(f.name)
		v := m[f.name]
		switch {
		case v != nil:
			r.read(dst.Field(f.index), f.shape, f, v, at)
		case f.required:
			r.add(check.Finding{Code: check.CodeFieldMissing, Path: at, Rule: "必填", ZH: "缺少必填字段", EN: "A required field is missing."})
		}
	}
	var strange []string
	for name := range m {
		if !s.known[name] {
			strange = append(strange, name)
		}
	}
	sort.Strings(strange)
	for _, name := range strange {
		r.add(check.Finding{Code: check.CodeFieldUndeclared, Path: path + "/" + Escape(cut(name)), Rule: "未定义的字段",
			ZH: "接口没有定义这个字段", EN: "The interface does not have this field."})
	}
}

func wrongType(path, zh, en string) check.Finding {
	return check.Finding{Code: check.CodeFieldType, Path: path, Rule: zh, ZH: "类型不对, 应为" + zh, EN: "Wrong type: " + en + " is wanted."}
}

func cut(name string) string {
	if utf8.RuneCountInString(name) <= maxName {
		return name
	}
	return string([]rune(name)[:maxName]) + "…"
}

// Escape makes a member name a token of a JSON Pointer (RFC 6901).
func Escape(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}
