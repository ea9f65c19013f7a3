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
	if text := k.c.Query("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > 1000 {
			return answer{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Op: "rest", Path: "/limit", Rule: "1-1000"}
		}
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
