package check

import (
	"slices"
	"strconv"
	"strings"

	"yiqiao/schemas/check/internal/shape"
)

// Meaning is what a code of a finding says, for docs/errors.md.
type Meaning struct {
	Code string
	ZH   string
	EN   string
}

// Codes of findings. Each is permanent.
const (
	CodeInfnoUnknown      = "infno-unknown"
	CodeInfnoNotDescribed = "infno-not-described"
	CodeNodeMissing       = "node-missing"
	CodeNodeEmpty         = "node-empty"
	CodeNodeType          = "node-type"
	CodeNodeBoth          = "node-both"
	CodeNodeTooLong       = "node-too-long"
	CodeFieldMissing      = "field-missing"
	CodeFieldEmpty        = "field-empty"
	CodeFieldType         = "field-type"
	CodeFieldTooLong      = "field-too-long"
	CodeFieldFormat       = "field-format"
	CodeFieldUndeclared   = "field-undeclared"
	CodeDateInvalid       = "date-invalid"
	CodeAmountSyntax      = "amount-syntax"
	CodeAmountDecimals    = "amount-decimals"
	CodeAmountRange       = "amount-range"
	CodeAmountNegative    = "amount-negative"
	CodeCodeUnknown       = "code-unknown"
	CodeCodeLocal         = "code-local"
	CodeIdentityPrefix    = "identity-" // + A, B, C, D, E, J, K, row
	CodeMore              = "more"
	CodeFailed            = "check-failed"
)

// Codes lists every code a finding can have, in the order docs/errors.md lists them.
func Codes() []Meaning {
	list := []Meaning{
		{CodeInfnoUnknown, "没有这个交易编号", "no such transaction number"},
		{CodeInfnoNotDescribed, "该交易尚无字段说明", "the fields of this transaction are not described"},
		{CodeNodeMissing, "缺少必需的节点", "a required node is missing"},
		{CodeNodeEmpty, "必需的列表没有任何行", "a required list has no rows"},
		{CodeNodeType, "节点的形式不对 (对象与数组)", "a node has the wrong shape (object or array)"},
		{CodeNodeBoth, "两个互相替代的节点不能同时出现", "two nodes that replace each other are both present"},
		{CodeNodeTooLong, "一条记录内的行数过多, 未作检查", "too many rows inside one record; it was not checked"},
		{CodeFieldMissing, "缺少必填字段", "a required field is missing"},
		{CodeFieldEmpty, "必填字段为空", "a required field is empty"},
		{CodeFieldType, "字段的类型不对", "a field has the wrong type"},
		{CodeFieldTooLong, "字段超长", "a field is too long"},
		{CodeFieldFormat, "字段的格式不对", "a field has the wrong format"},
		{CodeFieldUndeclared, "规范中没有此字段, 将原样发送", "the table has no such field; it is sent as it is"},
		{CodeDateInvalid, "日期或时间不存在", "no such date or time"},
		{CodeAmountSyntax, "不是规范的十进制数", "not a plain decimal number"},
		{CodeAmountDecimals, "小数位过多", "too many decimals"},
		{CodeAmountRange, "数值超出范围", "a number is out of range"},
		{CodeAmountNegative, "此处不允许负数", "a negative number is not allowed here"},
		{CodeCodeUnknown, "字典中没有此代码", "the dictionary does not list this code"},
		{CodeCodeLocal, "此代码只在部分地区使用", "this code is used in some regions only"},
	}
	for _, id := range []string{"A", "B", "C", "D", "E", "J", "K", "row"} {
		list = append(list, Meaning{CodeIdentityPrefix + id, "金额不平: 恒等式 " + id, "amounts do not add up: identity " + id})
	}
	return append(list,
		Meaning{CodeMore, "问题过多, 其余未列出", "there is more than is listed"},
		Meaning{CodeFailed, "检查未能完成", "the check could not be completed"})
}

// most bounds the findings of one message, the last of them CodeMore when some were left out.
const most = 100

// collector gathers findings with their place in the document.
type collector struct {
	list    []placed
	errors  int
	seen    map[string]bool // path and code
	unnamed map[string]bool // node and member of undeclared fields already told
}

type placed struct {
	place []int32
	Finding
}

// full tells that looking further can not change the result: enough errors are known.
func (c *collector) full() bool { return c.errors > most }

func (c *collector) add(place []int32, f Finding) {
	key := f.Path + "\x00" + f.Code
	if c.seen[key] {
		return
	}
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.seen[key] = true
	if f.Severity == Error {
		c.errors++
	}
	c.list = append(c.list, placed{place, f})
}

// once reports whether an undeclared member of a node is met for the first time.
func (c *collector) once(node, member string) bool {
	key := node + "\x00" + member
	if c.unnamed[key] {
		return false
	}
	if c.unnamed == nil {
		c.unnamed = map[string]bool{}
	}
	c.unnamed[key] = true
	return true
}

// findings gives the list in document order. Of too many, errors are kept before warnings.
func (c *collector) findings(root string) []Finding {
	if len(c.list) == 0 {
		return nil
	}
	slices.SortStableFunc(c.list, func(a, b placed) int {
		if n := slices.Compare(a.place, b.place); n != 0 {
			return n
		}
		if n := strings.Compare(a.Path, b.Path); n != 0 {
			return n
		}
		return strings.Compare(a.Code, b.Code)
	})
	keep, warnings := len(c.list), len(c.list)
	if len(c.list) > most {
		keep = most - 1
		warnings = keep - min(keep, c.errors)
	}
	errors := keep - warnings
	if len(c.list) <= most {
		errors = keep
	}
	out := make([]Finding, 0, min(len(c.list), most))
	left := Warning
	for _, p := range c.list {
		room := &warnings
		if p.Severity == Error {
			room = &errors
		}
		if *room == 0 {
			if p.Severity == Error {
				left = Error
			}
			continue
		}
		*room--
		out = append(out, p.Finding)
	}
	if len(out) < len(c.list) {
		out = append(out, Finding{
			Code: CodeMore, Path: root, Severity: left, Rule: "<=" + strconv.Itoa(most),
			ZH: "问题过多, 其余未列出; 请先修改以上各项", EN: "there is more than is listed; correct these first",
		})
	}
	return out
}

// named gives "人员编号 (psn_no)".
func named(label, code string) string {
	if label == "" || label == code {
		return code
	}
	if code == "" {
		return label
	}
	return label + " (" + code + ")"
}

// say builds a finding about a member: its Chinese label and name, then what is wrong.
func say(code string, sev Severity, path string, m *shape.Member, rule, zh, en string) Finding {
	return Finding{Code: code, Path: path, Severity: sev, Rule: rule, ZH: named(m.Label, m.Name) + " " + zh, EN: m.Name + " " + en}
}

// escape writes a member name as a token of a JSON Pointer.
func escape(token string) string {
	if !strings.ContainsAny(token, "~/") {
		return token
	}
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}
