package check

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/xeipuuv/gojsonschema"
)

// between parts the tokens of the library's context; no member of a table has it in its name.
const between = "\x00"

// translate puts what the library found into findings. offset is added to the row of the list
// called shifted at the top (a later piece of it); errors elsewhere are then left out, they belong
// to the first piece.
func (r *run) translate(errs []gojsonschema.ResultError, shifted string, offset int) {
	for _, e := range errs {
		tokens := strings.Split(e.Context().String(between), between)[1:] // without "(root)"
		if shifted != "" && (len(tokens) < 2 || tokens[0] != shifted) {
			continue
		}
		r.one(e, tokens, shifted, offset)
	}
}

func (r *run) one(e gojsonschema.ResultError, tokens []string, shifted string, offset int) {
	o := r.side.form
	var (
		at   *trail
		mem  *member
		list = r.side.list
	)
	for i := 0; i < len(tokens); i++ {
		if list {
			row, err := strconv.Atoi(tokens[i])
			if err != nil {
				return
			}
			if i == 0 || i == 1 && tokens[0] == shifted {
				row += offset
			}
			if at == nil || at.row >= 0 {
				at = &trail{up: at, row: row}
			} else {
				at.row = row
			}
			list = false
			continue
		}
		n, m := o.find(tokens[i])
		if m == nil {
			return
		}
		mem, at = m, &trail{at, tokens[i], -1, int32(n)}
		if m.object != nil {
			o, list = m.object, m.List
		}
	}
	r.tell(e, o, mem, at)
}

// tell writes the finding about the value at at, which is mem (nil for the root).
func (r *run) tell(e gojsonschema.ResultError, o *object, mem *member, at *trail) {
	add := func(code string, m *member, rule, zh, en string) {
		r.out.add(at.places(), say(code, Error, at.path(r.root), m.Member, rule, zh, en))
	}
	if mem == nil {
		mem = r.self()
	}
	switch kind := e.Type(); kind {
	case "required":
		name, _ := e.Details()["property"].(string)
		i, missing := o.find(name)
		if missing == nil || missing.relaxed || r.cut[missing] {
			return
		}
		at = &trail{at, missing.Name, -1, int32(i)}
		if missing.object != nil {
			add(CodeNodeMissing, missing, "必填", "节点必填", "is required")
			return
		}
		add(CodeFieldMissing, missing, "必填", "必填", "is required")
	case "invalid_type":
		r.wrongType(e.Value(), mem, at != nil && at.row >= 0, add)
	case "string_gte":
		r.empty(mem, add)
	case "string_lte":
		if mem.object != nil { // a text where rows or an object should be
			r.wrongType(e.Value(), mem, at != nil && at.row >= 0, add)
			return
		}
		n := itoa(mem.Field.Length)
		add(CodeFieldTooLong, mem, "长度<="+n, "超长, 最多 "+n+" 个字符", "is too long, at most "+n+" characters")
	case "array_min_items":
		if !mem.relaxed && !r.cut[mem] {
			add(CodeNodeEmpty, mem, ">=1", "至少要有一行", "must have at least one row")
		}
	case "pattern":
		r.pattern(e.Value(), mem, add)
	case "multiple_of", "number_lt", "number_gt", "number_gte":
		r.numeric(e.Value(), kind, mem, add)
	}
	// number_any_of and number_all_of only sum up what "required" said.
}

type adder func(code string, m *member, rule, zh, en string)

func (r *run) wrongType(v any, mem *member, row bool, add adder) {
	switch {
	case v == nil && mem.object != nil && row:
		add(CodeNodeType, mem, "对象的数组", "应为由对象组成的数组, 不能有 null", "must be an array of objects, without null")
	case v == nil && mem.relaxed:
	case v == nil && mem.object != nil:
		add(CodeNodeMissing, mem, "必填", "节点必填, 不能为 null", "is required and must not be null")
	case v == nil:
		r.empty(mem, add)
	case mem.object != nil && mem.List:
		if _, isList := v.([]any); !isList {
			if _, isObject := v.(map[string]any); isObject {
				add(CodeNodeType, mem, "数组", "应为数组: 由多行组成的列表", "must be an array of objects")
				return
			}
		}
		add(CodeNodeType, mem, "对象的数组", "应为由对象组成的数组", "must be an array of objects")
	case mem.object != nil:
		add(CodeNodeType, mem, "对象", "应为对象", "must be an object")
	default:
		zh, en := kindWords(mem.Field.Type)
		add(CodeFieldType, mem, mem.Field.Type, "类型不对, 应为"+zh, "must be "+en)
	}
}

func kindWords(typ string) (zh, en string) {
	switch typ {
	case "number":
		return "数字", "a number"
	case "array":
		return "数组", "an array"
	case "object":
		return "对象", "an object"
	}
	return "文本", "text"
}

func (r *run) empty(mem *member, add adder) {
	if !mem.relaxed {
		add(CodeFieldEmpty, mem, "必填", "必填, 不能为空", "is required and must not be empty")
	}
}

func (r *run) pattern(v any, mem *member, add adder) {
	s, _ := v.(string)
	if s == "" {
		r.empty(mem, add)
		return
	}
	if mem.Required && strings.TrimSpace(s) == "" {
		return // the walk calls it blank
	}
	if mem.Field.Type != "number" {
		want := layout(mem.Field.Type)
		add(CodeFieldFormat, mem, want, "格式不对, 应为 "+want, "has the wrong format, want "+want)
		return
	}
	found := literal(mem, s)
	if len(found) == 0 {
		found = []string{CodeAmountSyntax}
	}
	for _, code := range found {
		zh, en, rule := numberWords(mem, code)
		add(code, mem, rule, zh, en)
	}
}

func (r *run) numeric(v any, kind string, mem *member, add adder) {
	code := CodeAmountRange
	switch kind {
	case "multiple_of":
		code = CodeAmountDecimals
	case "number_gte":
		code = CodeAmountNegative
	}
	if n, ok := v.(json.Number); ok && strings.HasPrefix(string(n), "-") && kind == "number_gt" && !mem.Negative {
		code = CodeAmountNegative
	}
	zh, en, rule := numberWords(mem, code)
	add(code, mem, rule, zh, en)
}
