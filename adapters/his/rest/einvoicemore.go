package rest

import (
	"net/http"

	"yiqiao/adapters/his/bind"
	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// paperBinders read the bodies of calls about papers, vouchers and layout files.
type paperBinders struct {
	void    *bind.Binder[gateway.VoidPapers]
	voucher *bind.Binder[gateway.SendVoucher]
	file    *bind.Binder[gateway.SendInvoiceFile]
}

func newPaperBinders() (b paperBinders, err error) {
	rules := func(name string) bind.Rules {
		return bind.Rules{Optional: append([]string{name + ".request_id"}, operatorOptional...), MaxText: operatorText}
	}
	if b.void, err = bind.New[gateway.VoidPapers](rules("VoidPapers")); err != nil {
		return b, err
	}
	if b.voucher, err = bind.New[gateway.SendVoucher](rules("SendVoucher")); err != nil {
		return b, err
	}
	file := rules("SendInvoiceFile")
	file.MaxText = map[string]int{"SendInvoiceFile.content": 12 << 20}
	for k, v := range operatorText {
		file.MaxText[k] = v
	}
	b.file, err = bind.New[gateway.SendInvoiceFile](file)
	return b, err
}

func (h *Handler) papers() (gateway.InvoicePapers, error) {
	if v, ok := h.o.Desk.(gateway.InvoicePapers); ok {
		return v, nil
	}
	return nil, &gateway.Error{Code: gateway.CodeInvoiceNotSet, Op: "rest"}
}

func (h *Handler) invoiceUploads() (gateway.InvoiceUploads, error) {
	if v, ok := h.o.Desk.(gateway.InvoiceUploads); ok {
		return v, nil
	}
	return nil, &gateway.Error{Code: gateway.CodeInvoiceNotSet, Op: "rest"}
}

func (h *Handler) getPapers(k *call) (answer, error) {
	v, err := h.papers()
	if err != nil {
		return answer{}, err
	}
	q := k.c.Request.URL.Query()
	asked := gateway.PapersAsked{Institution: ident.Institution(q.Get("institution")), Desk: q.Get("desk"), Batch: q.Get("batch")}
	if err := bind.MayActFor("rest", k.caller, asked.Institution); err != nil {
		return answer{}, err
	}
	out, err := v.Papers(k.ctx(), k.caller, asked)
	if err != nil {
		return answer{}, err
	}
	return asJSON(http.StatusOK, out)
}

func (h *Handler) postVoidPapers(k *call) (answer, error) {
	v, err := h.papers()
	if err != nil {
		return answer{}, err
	}
	r, err := readAs(k, h.paper.void)
	if err != nil {
		return answer{}, err
	}
	r.RequestID = k.requestID
	if err := bind.MayActFor("rest", k.caller, r.Institution); err != nil {
		return answer{}, err
	}
	out, err := v.VoidPapers(k.ctx(), k.caller, r)
	if err != nil {
		return answer{}, k.fromDesk(err)
	}
	return asJSON(http.StatusOK, out)
}

func (h *Handler) getInvoicePaper(k *call) (answer, error) {
	v, err := h.papers()
	if err != nil {
		return answer{}, err
	}
	id, err := k.idParam()
	if err != nil {
		return answer{}, err
	}
	out, err := v.PaperPrint(k.ctx(), k.caller, id)
	if err != nil {
		return answer{}, err
	}
	return asJSON(http.StatusOK, out)
}

func (h *Handler) getInvoiceVoucher(k *call) (answer, error) {
	v, err := h.invoiceUploads()
	if err != nil {
		return answer{}, err
	}
	id, err := k.idParam()
	if err != nil {
		return answer{}, err
	}
	red := k.c.Request.URL.Query().Get("red")
	if red != "" && red != "true" && red != "false" {
		return answer{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Op: "rest", Path: "red", Rule: "true, false"}
	}
	out, err := v.InvoiceVoucher(k.ctx(), k.caller, id, red == "true")
	if err != nil {
		return answer{}, err
	}
	return asJSON(http.StatusOK, out)
}

func (h *Handler) postInvoiceVoucher(k *call) (answer, error) {
	k.where = einvoices
	t, err := about(k, h.invoiceUploads, h.paper.voucher, func(r *gateway.SendVoucher, request, id string) { r.RequestID, r.ID = request, id }, gateway.InvoiceUploads.SendVoucher)
	if err != nil {
		return answer{}, err
	}
	return k.sent(t)
}

func (h *Handler) postInvoiceFile(k *call) (answer, error) {
	k.where = einvoices
	t, err := about(k, h.invoiceUploads, h.paper.file, func(r *gateway.SendInvoiceFile, request, id string) { r.RequestID, r.ID = request, id }, gateway.InvoiceUploads.SendInvoiceFile)
	if err != nil {
		return answer{}, err
	}
	return k.sent(t)
}
