package check

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"yiqiao/schemas/codes"
)

func itoa(n int) string { return strconv.Itoa(n) }

// walk looks at what a schema can not say: dictionaries, real dates, blank texts, the literal of
// a number, undeclared members.
type walk struct {
	root string
	out  *collector
	mute bool // enough warnings are known; decided row by row
}

// object walks one object. A row that starts after enough is known is left out.
func (w *walk) object(o *object, m map[string]any, at *trail) {
	if w.out.full() {
		return
	}
	w.mute = len(w.out.list)-w.out.errors > 2*most
	var strangers []string
	nodes := false
	for name, v := range m {
		i, mem := o.find(name)
		if mem == nil {
			strangers = append(strangers, name)
			continue
		}
		if mem.object == nil {
			switch x := v.(type) {
			case string:
				if mem.dict != nil || mem.time || mem.Required {
					w.text(mem, x, at, name, i)
				}
			case json.Number:
				w.number(mem, string(x), at, name, i)
			}
			continue
		}
		nodes = true
	}
	if nodes { // in the order of the table, so that what is left out is always the same
		for i := range o.members {
			if mem := &o.members[i]; mem.object != nil {
				w.node(o, m, mem, at, i)
			}
		}
	}
	if len(strangers) > 0 {
		w.strangers(o, strangers, at)
	}
}

// node walks what lies inside a member.
func (w *walk) node(o *object, m map[string]any, mem *member, at *trail, i int) {
	switch x := m[mem.Name].(type) {
	case nil:
		return
	case map[string]any:
		if !mem.List {
			w.object(mem.object, x, &trail{at, mem.Name, -1, int32(i)})
		}
	case []any:
		if mem.List {
			for r, e := range x {
				if row, ok := e.(map[string]any); ok {
					w.object(mem.object, row, &trail{at, mem.Name, r, int32(i)})
				}
			}
		}
	}
	if mem.Instead != "" && m[mem.Instead] != nil {
		w.add(CodeNodeBoth, Error, mem, at, mem.Name, i, mem.Instead,
			"与 "+mem.Instead+" 只能有其一", "stands instead of "+mem.Instead+", not beside it")
	}
}

// strangers tells of members the table has not, once for all rows of a node.
func (w *walk) strangers(o *object, names []string, at *trail) {
	slices.Sort(names)
	for i, name := range names {
		if i >= most || len(w.out.list)-w.out.errors > 2*most {
			break
		}
		if !w.out.once(o.Node, name) {
			continue
		}
		t := &trail{at, name, -1, int32(len(o.members))}
		shown := name
		if len(shown) > 64 {
			shown = "?"
		}
		path := t.path(w.root)
		if name == "" {
			path += "/"
		}
		w.out.add(t.places(), Finding{
			Code: CodeFieldUndeclared, Path: path, Severity: Warning, Rule: "",
			ZH: shown + " 不在规范的字段表中, 将原样发送", EN: shown + " is not in the table; it is sent as it is",
		})
	}
}

func (w *walk) add(code string, sev Severity, mem *member, at *trail, name string, i int, rule, zh, en string) {
	if w.mute && sev == Warning {
		return
	}
	t := &trail{at, name, -1, int32(i)}
	w.out.add(t.places(), say(code, sev, t.path(w.root), mem.Member, rule, zh, en))
}

func (w *walk) text(mem *member, s string, at *trail, name string, i int) {
	if s == "" {
		return // the schema tells when it must not be
	}
	if mem.Required && !mem.relaxed && strings.TrimSpace(s) == "" {
		w.add(CodeFieldEmpty, Error, mem, at, name, i, "必填", "必填, 不能只有空白", "is required and must not be blank")
		return
	}
	if mem.time && timely(s, mem.Field.Type) == unreal {
		w.add(CodeDateInvalid, Error, mem, at, name, i, layout(mem.Field.Type), "不是存在的日期或时间", "is not a real date or time")
	}
	if mem.dict != nil {
		w.listed(mem, s, at, name, i)
	}
}

// listed checks a value against its dictionary. Only a table that is well enough known refuses.
func (w *walk) listed(mem *member, s string, at *trail, name string, i int) {
	switch mem.dict.Meaning(s) {
	case codes.Unknown:
		if mem.further[s] {
			return
		}
		sev := Warning
		if mem.dict.Enforced() {
			sev = Error
		}
		w.add(CodeCodeUnknown, sev, mem, at, name, i, "字典 "+mem.dict.Code,
			"不在字典 "+mem.dict.Name+" ("+mem.dict.Code+") 中", "is not listed in dictionary "+mem.dict.Code)
	case codes.Local:
		if !mem.further[s] {
			w.add(CodeCodeLocal, Warning, mem, at, name, i, "字典 "+mem.dict.Code,
				"是部分地区使用的代码, 请确认本地可用", "is a code of some regions only (dictionary "+mem.dict.Code+")")
		}
	}
}

// number looks at the literal: it is what will be sent, so zeros beyond the table's decimals and
// a minus before a zero count.
func (w *walk) number(mem *member, s string, at *trail, name string, i int) {
	if mem.dict != nil && mem.Field.Type == "string" && mem.Field.Borrowed {
		w.listed(mem, s, at, name, i)
	}
	if mem.Field.Type != "number" || mem.Any {
		return
	}
	for _, code := range literal(mem, s) {
		zh, en, rule := numberWords(mem, code)
		w.add(code, Error, mem, at, name, i, rule, zh, en)
	}
}

// literal gives what is wrong with a number, as codes; nil when nothing is.
func literal(mem *member, s string) []string {
	body, negative := strings.CutPrefix(s, "-")
	whole, fraction, dot := strings.Cut(body, ".")
	if whole == "" || digits(whole) != len(whole) || digits(fraction) != len(fraction) || dot && fraction == "" {
		return []string{CodeAmountSyntax}
	}
	var found []string
	f := mem.Field
	if negative && !mem.Negative {
		found = append(found, CodeAmountNegative)
	}
	if f.Length == 0 || f.Borrowed {
		return found
	}
	if f.Decimals >= 0 && len(fraction) > f.Decimals {
		found = append(found, CodeAmountDecimals)
	}
	if len(strings.TrimLeft(whole, "0")) > f.Length-max(f.Decimals, 0) {
		found = append(found, CodeAmountRange)
	}
	return found
}

func numberWords(mem *member, code string) (zh, en, rule string) {
	rule = width(mem)
	switch code {
	case CodeAmountNegative:
		return "不能为负数", "must not be negative", ">=0"
	case CodeAmountDecimals:
		return "小数位过多, 最多 " + itoa(max(mem.Field.Decimals, 0)) + " 位", "has too many decimals, at most " + itoa(max(mem.Field.Decimals, 0)), rule
	case CodeAmountRange:
		return "数值过大, 整数最多 " + itoa(mem.Field.Length-max(mem.Field.Decimals, 0)) + " 位",
			"is too large, at most " + itoa(mem.Field.Length-max(mem.Field.Decimals, 0)) + " digits before the point", rule
	}
	return "不是规范的十进制数 (不能有空格、加号、逗号、指数)", "is not a plain decimal number (no blanks, plus sign, commas, exponent)", rule
}

// width writes the length of a number as the table does.
func width(mem *member) string {
	f := mem.Field
	switch {
	case f.Length == 0 || f.Borrowed:
		return "number"
	case f.Decimals >= 0:
		return itoa(f.Length) + "," + itoa(f.Decimals)
	}
	return itoa(f.Length)
}
