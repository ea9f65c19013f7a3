package recon

import (
	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

func askRemedy(zh string) Remedy { return Remedy{Action: ActAsk, Infno: infnoAsk, ZH: zh} }

// onlyHere proposes what to do about a row only we have.
func (w *work) onlyHere(r *row) []Remedy {
	if r.kind == undoes {
		return []Remedy{askRemedy("以 5203 核对原结算是否仍有效"), {Action: ActUndo, Infno: r.rec.Infno, ZH: "仍有效则重新撤销 " + string(r.rec.Infno)}}
	}
	return []Remedy{askRemedy("以 5203 核对; 中心确无此笔时"), {Action: ActUndo, ZH: "本方作废并重新结算 (不得自编结算编号)"}}
}

// explain finds the cause of a row only the centre has.
func (w *work) explain(d *Difference, c *resultRow) {
	if r := w.elsewhere(c); r != nil {
		d.Infno, d.State, d.Bill, d.Operator, d.MsgID = r.rec.Infno, r.rec.State, r.rec.Bill, r.rec.Operator.ID, r.rec.ID
		d.Insutype = orElse(r.dim("insutype"), d.Insutype)
		switch {
		case r.day != w.day:
			d.Cause, d.Note = OtherDay, "网关记在 "+r.day
			d.Remedies = []Remedy{{Action: ActNone, ZH: "核对两日账目, 合计应一致"}}
		case w.form.NoRefunds && (r.undone || r.kind == undoes):
			d.Cause, d.Note = UndoneOnce, "本方已撤销, 中心仍列为有效"
			d.Remedies = []Remedy{askRemedy("以 5203 核对原结算是否仍有效"), {Action: ActUndo, ZH: "仍有效则重新撤销"}}
		default:
			d.Cause, d.Note = OtherAmount, "中心重复列出, 或归入不同的清算类别 ("+line2(c.line)+")"
			d.Remedies = []Remedy{askRemedy("以 5203 核对是否重复入账")}
		}
		return
	}
	if rec, ok := w.book.all[ident.MsgID(c.msgid)]; ok {
		w.known(d, rec)
		return
	}
	if of := w.undoneThere(c); of != nil {
		d.Cause, d.Note = UndoneOnce, "中心已撤销本方仍有效的结算 "+string(of.rec.ID)
		d.Bill, d.Operator, d.Insutype = of.rec.Bill, of.rec.Operator.ID, orElse(d.Insutype, of.dim("insutype"))
		d.Remedies = []Remedy{askRemedy("以 5203 核对撤销"), {Action: ActLink, ZH: "确认后在 HIS 办理退费并关联中心的结算编号"}}
		return
	}
	d.Cause = Outside
	if c.msgid == "" {
		d.Note = "结果文件没有报文ID, 无法确认来源"
		if rec, ok := w.candidate(c); ok {
			d.Cause, d.Note, d.State, d.Infno, d.Bill = OnlyAtCentre, "可能是待核实的 "+string(rec.ID), rec.State, rec.Infno, rec.Bill
		}
	}
	d.Remedies = []Remedy{{Action: ActLink, ZH: "查明办理渠道, 补记到 HIS 并关联中心的结算编号"}, askRemedy("以 5203 取结算信息")}
}

// known: the gateway sent this message.
func (w *work) known(d *Difference, rec gateway.Record) {
	d.Infno, d.State, d.Bill, d.Operator = rec.Infno, rec.State, rec.Bill, rec.Operator.ID
	in := w.book.inputs[rec.ID]
	d.Insutype = orElse(d.Insutype, text(in["insutype"]))
	reverse := func() {
		if w.r.numbers.reversible[rec.Infno] {
			d.Remedies = append(d.Remedies, Remedy{Action: ActReverse, Infno: w.r.reversal(), OMsgID: rec.ID, OInfno: rec.Infno,
				ZH: "患者未实际缴费时以 2601 冲正原报文 " + string(rec.ID)})
		}
	}
	link := Remedy{Action: ActLink, ZH: "患者已缴费时关联结算编号 " + orElse(string(d.Setl), "(以 5203 查询)")}
	switch {
	case rec.State == gateway.StateReversed || w.book.reversed[rec.ID] != "":
		d.Cause, d.Note = UndoneOnce, "本方已冲正, 中心仍有效"
		d.Remedies = []Remedy{askRemedy("以 5203 核对; 冲正不得重复发送, 须人工决定")}
	case rec.State == gateway.StateDone:
		d.Cause, d.Note = OnlyAtCentre, "网关记为成功, 但没有可对账的金额"
		d.Remedies = []Remedy{askRemedy("以 5203 取结算信息"), link}
	case rec.State.Final():
		d.Cause, d.Note = OnlyAtCentre, "网关记为未成功 ("+string(rec.State)+"), 中心已入账"
		d.Remedies = []Remedy{link}
		reverse()
	default:
		d.Cause, d.Note = OnlyAtCentre, "应答丢失, 网关仍在核实"
		d.Remedies = []Remedy{{Action: ActResolve, ZH: "在网关核实该笔 (以 5203 查询后采纳)"}, link}
		reverse()
	}
}

func (r *Reconciler) reversal() ident.Infno {
	if len(r.numbers.reverse) > 0 {
		return r.numbers.reverse[0]
	}
	return ""
}

// elsewhere finds a row of the book that is this one, though it was not among those compared.
func (w *work) elsewhere(c *resultRow) *row {
	for _, r := range w.book.rows {
		if c.setl != "" && r.setl == c.setl && r.visit == c.visit || c.msgid != "" && string(r.rec.ID) == c.msgid {
			return r
		}
	}
	return nil
}

// undoneThere finds the settlement of ours that a row of the centre undoes.
func (w *work) undoneThere(c *resultRow) *row {
	if !c.refund && c.amounts.Total >= 0 {
		return nil
	}
	for _, r := range w.book.rows {
		if r.kind == settles && !r.undone && r.visit == c.visit && c.visit != "" && r.person == c.person &&
			(!c.known || r.amounts.Total == -c.amounts.Total) {
			return r
		}
	}
	return nil
}

// candidate is a settlement of the same person whose outcome is not known; only a single one counts.
func (w *work) candidate(c *resultRow) (gateway.Record, bool) {
	var found []gateway.Record
	for _, rec := range w.book.waiting {
		if text(w.book.inputs[rec.ID]["psn_no"]) == c.person && c.person != "" && dayOf(rec.CreatedAt) == w.day {
			found = append(found, rec)
		}
	}
	if len(found) != 1 {
		return gateway.Record{}, false
	}
	return found[0], true
}
