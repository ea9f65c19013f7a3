package centre

import (
	"fmt"
	"time"
	"unicode/utf8"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
)

// refusal is a business refusal; its text is err_msg.
type refusal string

func (r refusal) Error() string { return string(r) }

func refuse(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

type object = map[string]any

// tableOf gives the table whose field rules apply: A versions whose own table has no fields, or
// whose flags are not known, carry the fields of the plain ones.
func (c *Centre) tableOf(n ident.Infno) (*catalog.Transaction, bool) {
	switch n {
	case "2206A":
		n = "2206"
	case "2207A":
		n = "2207"
	case "2102A":
		n = "2102"
	case "2304A":
		n = "2304"
	case "2401A":
		n = "2401"
	}
	return c.table.Lookup(n)
}

// checkFields holds an input against the published table: nodes, required members, lengths, forms.
func (c *Centre) checkFields(t *catalog.Transaction, input object) error {
	for i := range t.Input {
		n := &t.Input[i]
		if n.Parent != "" || n.AlternativeTo != "" || n.OnlyIn != "" {
			continue
		}
		if n.Name == "" {
			if err := c.checkNode(t.Infno, n, input); err != nil {
				return err
			}
			continue
		}
		v, there := input[n.Name]
		if !there || v == nil {
			if n.Required == catalog.Always {
				return refuse("缺少输入节点：%s", n.Name)
			}
			continue
		}
		if !n.Repeat {
			o, ok := v.(object)
			if !ok {
				return refuse("输入节点 %s 应为对象", n.Name)
			}
			if err := c.checkNode(t.Infno, n, o); err != nil {
				return err
			}
			continue
		}
		rows, ok := v.([]any)
		if o, single := v.(object); single && t.Infno == "2302" { // a list in one client, one object in three
			rows, ok = []any{o}, true
		}
		if !ok {
			return refuse("输入节点 %s 应为数组", n.Name)
		}
		if len(rows) == 0 && n.Required == catalog.Always {
			return refuse("输入节点 %s 不能为空", n.Name)
		}
		for _, row := range rows {
			o, ok := row.(object)
			if !ok {
				return refuse("输入节点 %s 的元素应为对象", n.Name)
			}
			if err := c.checkNode(t.Infno, n, o); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Centre) checkNode(infno ident.Infno, n *catalog.Node, o object) error {
	for i := range n.Fields {
		f := &n.Fields[i]
		v := o[f.Code]
		for _, alias := range f.Aliases {
			if v == nil {
				v = o[alias]
			}
		}
		text := strictjson.Text(v)
		if v == nil || text == "" && v == any("") {
			byVisit := infno == "5203" && f.Code == "setl_id" && c.opt.Region.AskByVisit
			if f.Required == catalog.Always && !f.Assumed && !byVisit {
				return refuse("缺少必填项：%s.%s（%s）", n.Name, f.Code, f.Name)
			}
			continue
		}
		if !wellFormed(f, v, text) {
			return refuse("%s.%s（%s）格式或长度不正确", n.Name, f.Code, f.Name)
		}
	}
	return nil
}

func wellFormed(f *catalog.Field, v any, text string) bool {
	switch f.Type {
	case "number":
		if text == "" {
			return false
		}
		most := uint8(8)
		if f.Decimals >= 0 && f.Decimals < 8 && !f.Borrowed {
			most = uint8(f.Decimals)
		}
		_, err := money.ParseDecimal(text, most)
		return err == nil
	case "date":
		_, err := time.Parse(time.DateOnly, text)
		return err == nil
	case "datetime":
		if len(text) != len(time.DateTime) {
			return false
		}
		_, err := time.Parse(time.DateTime, text)
		return err == nil
	case "string":
		if text == "" { // an object or an array; only free-form members and files may be one
			return f.Code == "exp_content" || f.Code == "in"
		}
		return f.Length == 0 || f.Borrowed || len(text) <= f.Length || utf8.RuneCountInString(text) <= f.Length
	}
	return true
}

// node gives an input node that checkFields has seen to.
func node(input object, name string) object {
	o, ok := input[name].(object)
	if !ok {
		return object{}
	}
	return o
}

// rows gives a repeated input node.
func rows(input object, name string) []object {
	list, ok := input[name].([]any)
	if !ok {
		return nil
	}
	out := make([]object, 0, len(list))
	for _, v := range list {
		if o, ok := v.(object); ok {
			out = append(out, o)
		}
	}
	return out
}

// rowsOrOne gives a repeated node that may also have been sent as one object.
func rowsOrOne(input object, name string) []object {
	if o, ok := input[name].(object); ok {
		return []object{o}
	}
	return rows(input, name)
}

func text(o object, member string) string { return strictjson.Text(o[member]) }

// amount reads a 16,2 amount of a request.
func amount(o object, member string) (money.Fen, error) {
	f, err := money.Parse(text(o, member))
	if err != nil {
		return 0, refuse("%s 金额格式不正确", member)
	}
	return f, nil
}

// moment reads a datetime of a request in China's zone.
func moment(o object, member string) time.Time {
	t, err := time.ParseInLocation(time.DateTime, text(o, member), china())
	if err != nil {
		return time.Time{}
	}
	return t
}
