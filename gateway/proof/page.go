package proof

import (
	"bytes"
	_ "embed"
	"html/template"

	"yiqiao/gateway"
)

//go:embed page.html
var pageText string

// The pack stands in its own page between these; JSON has no < in it.
const (
	packBegin = "<script type=\"application/json\" id=\"yiqiao-proof\">\n"
	packEnd   = "</script></body></html>\n"
)

// Page is the pack as one page that needs nothing else and runs nothing: to be printed, and to be checked
// like the JSON, which stands inside it.
func (p *Pack) Page() ([]byte, error) {
	t, err := template.New("page").Funcs(template.FuncMap{
		"kind": func(s string) string { return eventsZH[gateway.EventKind(s)] },
		"op":   func(s string) string { return opsZH[s] },
	}).Parse(pageText)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return nil, err
	}
	text, err := p.Encode()
	if err != nil {
		return nil, err
	}
	b.WriteString(packBegin)
	b.Write(text)
	b.WriteString(packEnd)
	return b.Bytes(), nil
}

var eventsZH = map[gateway.EventKind]string{
	gateway.EventSent: "已发出", gateway.EventDone: "成功", gateway.EventRefused: "被拒绝", gateway.EventUnknown: "结果待核实", gateway.EventAsked: "已查询",
	gateway.EventReversed: "已冲正", gateway.EventAbsent: "核实未发生", gateway.EventParked: "转人工",
}

var opsZH = map[string]string{
	"settlement.open": "提交结算单", "settlement.confirm": "确认结算", "settlement.refund": "退费", "settlement.cancel": "取消",
	"transact": "单笔交易", "upload": "上传", "stay.admit": "入院", "stay.charge": "费用", "stay.discharge": "出院", "stay.settle": "出院结算", "stay.refund": "撤销",
}
