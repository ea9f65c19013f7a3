package main

import (
	"fmt"
	"io"
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/codes"
)

// slipWidth is how many columns the printed slip takes.
const slipWidth = 58

// printSlip prints a settlement slip in Chinese, as a cashier hands it out.
func printSlip(w io.Writer, hospital, patient string, bill gateway.OpenSettlement, s gateway.Settlement) {
	line := func(text string) { fmt.Fprintf(w, "  │ %s │\n", pad(text, slipWidth-4)) }
	money := func(label, amount string) {
		line(pad(label, 36) + padLeft(amount, slipWidth-4-36))
	}
	rule := func(l, r string) { fmt.Fprintf(w, "  %s%s%s\n", l, strings.Repeat("─", slipWidth-2), r) }
	centred := func(text string) {
		left := (slipWidth - 4 - width(text)) / 2
		line(strings.Repeat(" ", max(left, 0)) + text)
	}
	rule("┌", "┐")
	centred(hospital)
	centred("门诊医保结算单")
	rule("├", "┤")
	line(pad("姓名 "+patient, 27) + "就诊号 " + bill.Visit.Number)
	line(pad("险种 "+insurance(s.Insutype), 27) + "时间 " + s.SettledAt)
	line("结算ID " + string(s.SettlementID))
	rule("├", "┤")
	for _, f := range bill.Fees {
		line(pad(f.Name, 20) + padLeft(f.Quantity+" × "+f.Price, 16) + padLeft(f.Amount, slipWidth-4-36))
	}
	rule("├", "┤")
	a := s.Amounts
	money("医疗费总额", a.Total)
	for _, f := range s.Funds {
		money("  其中 "+f.Name, f.Amount)
	}
	money("基金支付合计", a.Fund)
	money("个人账户支付", a.Account)
	money("个人现金支付", a.Cash)
	if a.Hospital != "0.00" && a.Hospital != "" {
		money("医院负担", a.Hospital)
	}
	money("账户余额", a.Balance)
	rule("└", "┘")
}

// insurance names an insurance type.
func insurance(code string) string {
	if t, err := codes.Default(); err == nil {
		if label, ok := t.Label("insutype", code); ok {
			return label
		}
	}
	return code
}

// sums shows how the amounts of a settlement meet.
func sums(w io.Writer, a *gateway.Amounts) {
	fmt.Fprintf(w, "  总额 %s = 全自费 %s + 超限价 %s + 先行自付 %s + 政策范围 %s\n", a.Total, a.OwnPay, a.OverLmt, a.PreSelf, a.InScope)
	fmt.Fprintf(w, "  总额 %s = 基金 %s + 个人账户 %s + 现金 %s + 医院 %s\n", a.Total, a.Fund, a.Account, a.Cash, orZero(a.Hospital))
}

func orZero(s string) string {
	if s == "" {
		return "0.00"
	}
	return s
}
