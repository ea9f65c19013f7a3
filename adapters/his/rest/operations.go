package rest

import (
	"net/http"
	"strconv"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// JournalList and AccountList are what people who are signed in may look at.
type JournalList struct {
	Records []gateway.JournalLine `json:"records"`
}

// AccountList is the answer to a question about accounts.
type AccountList struct {
	People []gateway.AccountLine `json:"people"`
}

func (k *call) operations() (gateway.Operations, error) {
	if k.h.o.Operations == nil {
		return nil, &gateway.Error{Code: gateway.CodeNotSupported, Op: "rest"}
	}
	return k.h.o.Operations, nil
}

func (h *Handler) getJournal(k *call, v gateway.Visitor) (answer, error) { return k.lines(v, false) }

func (h *Handler) getUploads(k *call, v gateway.Visitor) (answer, error) { return k.lines(v, true) }

func (k *call) lines(v gateway.Visitor, uploads bool) (answer, error) {
	o, err := k.operations()
	if err != nil {
		return answer{}, err
	}
	q := gateway.LinesAsked{Institution: ident.Institution(k.c.Query("institution")), State: gateway.State(k.c.Query("state")), Infno: ident.Infno(k.c.Query("infno")), Uploads: uploads}
	if q.Limit, err = k.limit(); err != nil {
		return answer{}, err
	}
	list, err := o.JournalLines(k.ctx(), v, q)
	if err != nil {
		return answer{}, err
	}
	out := JournalList{Records: []gateway.JournalLine{}}
	for _, l := range list {
		l.CreatedAt, l.UpdatedAt = inChina(l.CreatedAt), inChina(l.UpdatedAt)
		out.Records = append(out.Records, l)
	}
	return asJSON(http.StatusOK, out)
}

func (h *Handler) getPeople(k *call, v gateway.Visitor) (answer, error) {
	o, err := k.operations()
	if err != nil {
		return answer{}, err
	}
	list, err := o.Accounts(k.ctx(), v)
	if err != nil {
		return answer{}, err
	}
	return asJSON(http.StatusOK, AccountList{People: append([]gateway.AccountLine{}, list...)})
}

// limit is how many the call asks for, 0 when it does not say.
func (k *call) limit() (n int, err error) {
	text := k.c.Query("limit")
	if text == "" {
		return 0, nil
	}
	if n, err = strconv.Atoi(text); err != nil || n < 1 || n > 1000 {
		return 0, &gateway.Error{Code: gateway.CodeRequestInvalid, Op: "rest", Path: "/limit", Rule: "1-1000"}
	}
	return n, nil
}

// DeliveryList is the answer to a question about deliveries.
type DeliveryList struct {
	Systems []gateway.DeliveryState `json:"systems"`
}

// DeliveryDone is the answer to an order about deliveries.
type DeliveryDone struct {
	Changed int `json:"changed"` // how many it was about
}

func (h *Handler) getDeliveries(k *call, v gateway.Visitor) (answer, error) {
	o, err := k.operations()
	if err != nil {
		return answer{}, err
	}
	n, err := k.limit()
	if err != nil {
		return answer{}, err
	}
	list, err := o.Deliveries(k.ctx(), v, n)
	if err != nil {
		return answer{}, err
	}
	return asJSON(http.StatusOK, DeliveryList{Systems: append([]gateway.DeliveryState{}, list...)})
}

func (h *Handler) postDelivery(do string) func(*call, gateway.Visitor) (answer, error) {
	return func(k *call, v gateway.Visitor) (answer, error) {
		o, err := k.operations()
		if err != nil {
			return answer{}, err
		}
		d, err := readAs(k, h.delivery)
		if err != nil {
			return answer{}, err
		}
		d.Do, d.System = do, k.c.Param("id")
		n, err := o.Deliver(k.ctx(), v, d)
		if err != nil {
			return answer{}, err
		}
		return asJSON(http.StatusOK, DeliveryDone{Changed: n})
	}
}

func (h *Handler) getAudit(k *call, v gateway.Visitor) (answer, error) {
	o, err := k.operations()
	if err != nil {
		return answer{}, err
	}
	n, err := k.limit()
	if err != nil {
		return answer{}, err
	}
	s, err := o.AuditState(k.ctx(), v, n)
	if err != nil {
		return answer{}, err
	}
	return asJSON(http.StatusOK, s)
}
