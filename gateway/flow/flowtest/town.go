package flowtest

import (
	"encoding/json"
	"fmt"
	"sync"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
)

type object = map[string]any

// Mode is what happens to one message on its way.
type Mode int

// Modes.
const (
	Fine     Mode = iota
	LostOut       // never arrives; the gateway hears nothing
	LostBack      // done, the answer is lost
	NotSent       // no connection
	Refusing      // refused for a business reason
)

// Town keeps the books of a small centre.
type Town struct {
	mu     sync.Mutex
	fault  func(n ident.Infno, call int) Mode
	calls  map[ident.Infno]int
	serial int
	sales  []*Sale
	files  []*Filing
}

// Sale is a settlement of the town.
type Sale struct {
	ID, MsgID, Visit string
	Total            money.Fen
	Gone             bool // taken back
}

// Filing is a filing of the town.
type Filing struct {
	Number string
	Infno  ident.Infno
	In     map[string]any
	Gone   bool
}

func newTown() *Town { return &Town{calls: map[ident.Infno]int{}} }

// Fault says what happens to a message: its number and which call of that number it is.
func (w *Town) Fault(f func(n ident.Infno, call int) Mode) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
}

// On is a fault that strikes one call of one number.
func On(n ident.Infno, call int, m Mode) func(ident.Infno, int) Mode {
	return func(got ident.Infno, c int) Mode {
		if got == n && c == call {
			return m
		}
		return Fine
	}
}

// Calls is how often a number arrived, or would have.
func (w *Town) Calls(n ident.Infno) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[n]
}

// Sales and Filings are those that stand.
func (w *Town) Sales() []Sale {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []Sale
	for _, s := range w.sales {
		if !s.Gone {
			list = append(list, *s)
		}
	}
	return list
}

// Filings are those that stand.
func (w *Town) Filings() []Filing {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []Filing
	for _, f := range w.files {
		if !f.Gone {
			list = append(list, *f)
		}
	}
	return list
}

func (w *Town) script(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[n]++
	m := Fine
	if w.fault != nil {
		m = w.fault(n, w.calls[n])
	}
	switch m {
	case LostOut:
		return gatewaytest.Unknown(gateway.CauseTimeout)
	case NotSent:
		return gatewaytest.CentreAnswer{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseNotSent}
	case Refusing:
		return gatewaytest.Refused("业务校验不通过")
	}
	a := w.do(n, id, input)
	a.Lost = m == LostBack
	return a
}

func (w *Town) next(prefix string) string {
	w.serial++
	return fmt.Sprintf("%s%06d", prefix, w.serial)
}

func first(v any, node string) object {
	if list := strictjson.Rows(v, node); len(list) > 0 {
		return list[0]
	}
	return object{}
}

func (w *Town) do(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
	data := first(input, "data")
	switch n {
	case "1101":
		return gatewaytest.Done(object{
			"baseinfo": object{"psn_no": "P1", "psn_name": "张三", "certno": "999999199001011238"},
			"insuinfo": []any{object{"insutype": "310", "psn_insu_stas": "1", "insuplc_admdvs": "430103", "balc": json.Number("500.00")}},
		})
	case "2101", "2102":
		return w.sell(n, id, input)
	case "2103", "2601":
		return w.takeBack(n, data)
	case "5203":
		for _, s := range w.sales {
			if s.ID == strictjson.Text(data["setl_id"]) {
				info := figures(s.Total, s.MsgID)
				info["setl_id"], info["mdtrt_id"], info["refd_setl_flag"] = s.ID, s.Visit, "0"
				if s.Gone {
					info["refd_setl_flag"] = "1"
				}
				return gatewaytest.Done(object{"setlinfo": info})
			}
		}
		return gatewaytest.Refused("未查询到结算信息")
	case "2501", "2503", "2505":
		node := data
		if n == "2501" {
			node = first(input, "refmedin")
		}
		f := &Filing{Number: w.next("T"), Infno: n, In: node}
		w.files = append(w.files, f)
		return gatewaytest.Done(object{"result": object{"trt_dcla_detl_sn": f.Number}})
	case "2502", "2504", "2506":
		for _, f := range w.files {
			if f.Number == strictjson.Text(data["trt_dcla_detl_sn"]) {
				if f.Gone {
					return gatewaytest.Refused("该备案已撤销，请勿重复操作")
				}
				f.Gone = true
				return gatewaytest.Done(object{})
			}
		}
		return gatewaytest.Refused("未查询到备案信息")
	case "5301", "5302", "5304":
		return w.filed(n)
	}
	return gatewaytest.Done(nil)
}

func (w *Town) filed(n ident.Infno) gatewaytest.CentreAnswer {
	of := map[ident.Infno]ident.Infno{"5301": "2503", "5302": "2505", "5304": "2501"}[n]
	node := map[ident.Infno]string{"5301": "feedetail", "5302": "psnfixmedin", "5304": "refmedin"}[n]
	list := []any{}
	for _, f := range w.files {
		if f.Infno == of && !f.Gone {
			list = append(list, object(f.In))
		}
	}
	return gatewaytest.Done(object{node: list})
}

func (w *Town) sell(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
	head := first(input, "druginfo")
	total, err := money.Parse(strictjson.Text(head["medfee_sumamt"]))
	var sum money.Fen
	var cut []any
	for _, r := range strictjson.Rows(input, "drugdetail") {
		f, _ := money.Parse(strictjson.Text(r["det_item_fee_sumamt"]))
		sum += f
		cut = append(cut, object{"feedetl_sn": r["feedetl_sn"], "det_item_fee_sumamt": money.Number(f)})
	}
	if err != nil || sum != total {
		return gatewaytest.Refused("总金额与费用明细不符")
	}
	info := figures(total, "")
	if n == "2102" {
		s := &Sale{ID: w.next("S"), MsgID: string(id), Visit: w.next("V"), Total: total}
		w.sales = append(w.sales, s)
		info = figures(total, string(id))
		info["setl_id"], info["mdtrt_id"], info["setl_time"] = s.ID, s.Visit, "2026-03-02 08:31:00"
	}
	return gatewaytest.Done(object{"setlinfo": info, "detlcutinfo": cut, "setldetail": []any{
		object{"fund_pay_type": "310200", "fund_pay_type_name": "个人账户", "fund_payamt": money.Number(total / 2)}}})
}

func figures(total money.Fen, msgid string) object {
	account := total / 2
	o := object{
		"psn_no": "P1", "medfee_sumamt": money.Number(total), "fulamt_ownpay_amt": 0, "overlmt_selfpay": 0, "preselfpay_amt": 0,
		"inscp_scp_amt": money.Number(total), "hifp_pay": 0, "fund_pay_sumamt": 0, "psn_part_amt": money.Number(total),
		"acct_pay": money.Number(account), "psn_cash_pay": money.Number(total - account), "balc": json.Number("1.00"),
	}
	if msgid != "" {
		o["medins_setl_id"] = msgid
	}
	return o
}

func (w *Town) takeBack(n ident.Infno, data object) gatewaytest.CentreAnswer {
	for _, s := range w.sales {
		switch {
		case n == "2601" && s.MsgID != strictjson.Text(data["omsgid"]), n == "2103" && s.ID != strictjson.Text(data["setl_id"]):
			continue
		case s.Gone && n == "2103":
			return gatewaytest.Refused("该笔结算已撤销")
		case s.Gone:
			continue
		}
		s.Gone = true
		if n == "2601" {
			return gatewaytest.Done(nil)
		}
		return gatewaytest.Done(object{"setlinfo": object{"setl_id": w.next("R"), "mdtrt_id": s.Visit, "medfee_sumamt": money.Number(-s.Total),
			"psn_pay": money.Number(-s.Total), "cash_payamt": money.Number(-(s.Total - s.Total/2))}})
	}
	return gatewaytest.Refused("未查询到原交易")
}
