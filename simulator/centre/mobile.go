package centre

import (
	"strconv"
	"time"

	"yiqiao/schemas/money"
)

func itoa(n int) string { return strconv.Itoa(n) }

// States of a mobile order, as ordStas says them: 0 to 2 are under way, 3 to 6 paid, 7 to 13 cancelled.
const (
	orderUploaded = 0
	orderPaying   = 1
	orderPaid     = 6
	orderRefunded = 8
	orderRevoked  = 13
)

// order is one mobile payment. It stands beside the ledger: 6201 to 6401 are simulated for their
// messages, their business is that fund, account and own part add up.
type order struct {
	id, token, place, who, bill string
	total, fund, account, own   money.Fen
	refunded                    money.Fen
	refunds                     map[string]bool // by appRefdSn
	stas                        int
}

// orderFees is 6201: the rows must add up, and a bill is uploaded once.
func (c *Centre) orderFees(in object, now time.Time) (object, error) {
	place, ok := c.places[text(in, "orgCodg")]
	if !ok {
		return nil, refuse("未找到定点医药机构：%s", text(in, "orgCodg"))
	}
	who := c.state.byNo[text(in, "psnNo")]
	if who == nil || who.Cert != text(in, "idNo") {
		return nil, refuse("未查询到人员信息")
	}
	if text(in, "ecToken") == "" && text(in, "payAuthNo") == "" {
		return nil, refuse("ecToken 和 payAuthNo 不能都为空")
	}
	total, err := amount(in, "medfeeSumamt")
	if err != nil || total <= 0 {
		return nil, refuse("medfeeSumamt 格式不正确")
	}
	list := rows(in, "feedetailList")
	var sum money.Fen
	for _, row := range list {
		f, err := amount(row, "detItemFeeSumamt")
		if err != nil {
			return nil, refuse("detItemFeeSumamt 格式不正确")
		}
		sum += f
	}
	if len(list) == 0 || sum != total {
		return nil, refuse("费用明细合计与 medfeeSumamt 不符")
	}
	bill := place.Code + " " + text(in, "medOrgOrd")
	for _, o := range c.state.orders {
		if o.bill == bill && o.stas != orderRevoked {
			return nil, refuse("该医疗机构订单已上传：%s", text(in, "medOrgOrd"))
		}
	}
	o := &order{id: "ORD" + c.state.id(place.Area, now)[6:], token: "TOK" + c.state.id(place.Area, now)[6:], place: place.Code, who: who.Cert, bill: bill, total: total, refunds: map[string]bool{}}
	c.state.orders[o.id] = o
	return object{"payOrdId": o.id, "payToken": o.token}, nil
}

// orderOf finds an order by number and token.
func (c *Centre) orderOf(in object) (*order, error) {
	o := c.state.orders[text(in, "payOrdId")]
	if o == nil || !same(o.token, text(in, "payToken")) || o.place != text(in, "orgCodg") {
		return nil, refuse("未查询到订单")
	}
	return o, nil
}

// placeOrder is 6202: it takes the order and says so. Whether it is paid only 6301 tells.
func (c *Centre) placeOrder(in object) (object, error) {
	o, err := c.orderOf(in)
	if err != nil {
		return nil, err
	}
	if o.stas != orderUploaded {
		return nil, refuse("订单状态不允许支付")
	}
	o.fund = o.total * 7 / 10
	o.own = o.total - o.fund
	o.stas = orderPaying
	out := o.amounts()
	out["payOrdId"], out["ordStas"] = o.id, itoa(o.stas)
	o.stas = orderPaid // by the time anybody asks
	return out, nil
}

func (o *order) amounts() object {
	return object{"feeSumamt": money.Number(o.total), "ownPayAmt": money.Number(o.own), "psnAcctPay": money.Number(o.account), "fundPay": money.Number(o.fund)}
}

// askOrder is 6301.
func (c *Centre) askOrder(in object) (object, error) {
	o, err := c.orderOf(in)
	if err != nil {
		return nil, err
	}
	if o.who != text(in, "idNo") {
		return nil, refuse("未查询到订单")
	}
	out := o.amounts()
	out["payOrdId"], out["ordStas"], out["setlType"] = o.id, itoa(o.stas), "ALL"
	return out, nil
}

// refundOrder is 6203: the parts add up and are not more than what is left; the same refund again is
// the same refund.
func (c *Centre) refundOrder(in object) (object, error) {
	o := c.state.orders[text(in, "payOrdId")]
	if o == nil {
		return nil, refuse("未查询到订单")
	}
	if (text(in, "ecToken") == "") == (text(in, "payAuthNo") == "") {
		return nil, refuse("ecToken 和 payAuthNo 必须且只能有一个")
	}
	total, err := amount(in, "totlRefdAmt")
	if err != nil || total <= 0 {
		return nil, refuse("totlRefdAmt 格式不正确")
	}
	var sum money.Fen
	for _, name := range []string{"cashRefdAmt", "psnAcctRefdAmt", "fundRefdAmt"} {
		if text(in, name) == "" {
			continue
		}
		f, err := amount(in, name)
		if err != nil || f < 0 {
			return nil, refuse("%s 格式不正确", name)
		}
		sum += f
	}
	serial := text(in, "appRefdSn")
	switch {
	case sum != total:
		return nil, refuse("退费各部分合计与 totlRefdAmt 不符")
	case o.refunds[serial]:
		return object{"refStatus": "SUCC"}, nil
	case o.stas != orderPaid || o.refunded+total > o.total:
		return object{"refStatus": "FAIL"}, nil
	}
	o.refunds[serial] = true
	if o.refunded += total; o.refunded == o.total {
		o.stas = orderRefunded
	}
	return object{"refStatus": "SUCC"}, nil
}

// revokeOrder is 6401, before payment only.
func (c *Centre) revokeOrder(in object) (object, error) {
	o, err := c.orderOf(in)
	if err != nil {
		return nil, err
	}
	if o.stas != orderUploaded {
		return object{"success": false, "message": "订单已支付或已撤销"}, nil
	}
	o.stas = orderRevoked
	return object{"success": true, "message": "撤销成功"}, nil
}
