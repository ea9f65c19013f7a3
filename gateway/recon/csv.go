package recon

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
)

// WriteCSV writes the differences for a spreadsheet: UTF-8 with a byte order mark, commas. Numbers
// that are names are written so that a spreadsheet keeps every digit, and no cell is taken for a
// formula.
func (r *Report) WriteCSV(w io.Writer) error {
	if _, err := io.WriteString(w, "\xef\xbb\xbf"); err != nil {
		return err
	}
	c := csv.NewWriter(w)
	c.UseCRLF = true
	put := func(cells ...string) { _ = c.Write(cells) } // Error below has it
	put("日期", "机构", "序号", "账别", "原因", "经办机构", "险种", "清算类别", "结算编号", "就诊编号", "人员编号", "报文ID", "交易", "状态", "收费员",
		"本方总额", "对方总额", "总额差", "基金差", "账户差", "笔数差", "对方说明", "备注", "建议")
	for _, d := range r.Differences {
		ours, theirs := "", ""
		if d.Ours != nil {
			ours = d.Ours.Total.String()
		}
		if d.Theirs != nil {
			theirs = d.Theirs.Total.String()
		}
		put(r.Date, name(string(r.Institution)), strconv.Itoa(d.No), legZH(d.Leg), CauseZH(d.Cause), name(d.Agency), name(d.Insutype), name(d.ClrType),
			name(string(d.Setl)), name(string(d.Visit)), name(d.Person), name(string(d.MsgID)), name(string(d.Infno)), string(d.State), name(d.Operator),
			ours, theirs, d.By.Total.String(), d.By.Fund.String(), d.By.Account.String(), strconv.Itoa(d.By.Count), words(d.Memo), words(d.Note), words(remediesZH(d.Remedies)))
	}
	for _, u := range r.Unexplained {
		cells := make([]string, 24)
		cells[0], cells[1], cells[3], cells[4] = r.Date, name(string(r.Institution)), legZH(LegCentre), "未能解释"
		cells[5], cells[6], cells[7], cells[11], cells[22] = name(u.Agency), name(u.Insutype), name(u.ClrType), name(string(u.MsgID)), words(u.Why)
		if u.By != nil {
			cells[17], cells[18], cells[19], cells[20] = u.By.Total.String(), u.By.Fund.String(), u.By.Account.String(), strconv.Itoa(u.By.Count)
		}
		put(cells...)
	}
	c.Flush()
	return c.Error()
}

// WriteShiftCSV writes the shifts in the same way.
func (r *Report) WriteShiftCSV(w io.Writer) error {
	if _, err := io.WriteString(w, "\xef\xbb\xbf"); err != nil {
		return err
	}
	c := csv.NewWriter(w)
	c.UseCRLF = true
	put := func(cells ...string) { _ = c.Write(cells) }
	put("日期", "机构", "收费员", "姓名", "结算笔数", "结算总额", "退费笔数", "退费总额", "净额", "基金", "个人账户", "收现金", "退现金", "应交现金", "待核实", "首笔", "末笔")
	for _, s := range r.Shifts {
		put(r.Date, name(string(r.Institution)), name(s.Operator), words(s.Name), strconv.Itoa(s.Settled.Count), s.Settled.Total.String(), strconv.Itoa(s.Undone.Count),
			s.Undone.Total.String(), s.Net.Total.String(), s.Net.Fund.String(), s.Net.Account.String(), s.CashIn.String(), s.CashOut.String(), s.Cash.String(),
			strconv.Itoa(s.Open), s.First, s.Last)
	}
	c.Flush()
	return c.Error()
}

// name writes an identifier: one of digits alone as ="..." when a spreadsheet would round it or drop
// its zeros.
func name(s string) string {
	if s != "" && strings.Trim(s, "0123456789") == "" && (len(s) > 11 || s[0] == '0') {
		return `="` + s + `"`
	}
	return words(s)
}

// words keeps a text from being taken for a formula.
func words(s string) string {
	s = clip(s, 1000)
	if s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}

func legZH(leg string) string {
	if leg == LegHIS {
		return "HIS 与网关"
	}
	return "网关与中心"
}
