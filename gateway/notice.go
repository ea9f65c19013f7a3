package gateway

import (
	"context"
	"time"

	"yiqiao/schemas/ident"
)

// Notice is the final answer of a request, as it is brought to a HIS that did not fetch it: one of
// Transaction, Settlement, Stay, Sale and Filing, or Error. It is the same however often it is made.
type Notice struct {
	System      string            `json:"system"`
	RequestID   string            `json:"request_id"`
	Op          string            `json:"op"` // see Request.Op
	Institution ident.Institution `json:"institution"`
	Ref         string            `json:"ref"` // the transaction, bill or stay to ask about
	AnsweredAt  time.Time         `json:"answered_at"`
	Transaction *Transaction      `json:"transaction,omitempty"`
	Settlement  *Settlement       `json:"settlement,omitempty"`
	Stay        *Stay             `json:"stay,omitempty"`
	Sale        *Sale             `json:"sale,omitempty"`
	Filing      *Filing           `json:"filing,omitempty"`
	Error       *NoticeError      `json:"error,omitempty"`

	// Event is "request.answered" when it is "". "outcome.absent" and "outcome.reversed" are no answers: the
	// transaction of the request is known not to stand at the centre any more, and nobody was waiting. The same
	// request may be sent again, or another one.
	Event string `json:"-"`
	Moot  bool   `json:"-"` // need not be brought any more: the HIS knows better by now
	Lane  string `json:"-"` // notices of one lane, a bill, a stay or a visit, are brought in order; "" is in no order
}

// NoticeError is why a request was not carried out.
type NoticeError struct {
	Code   Code   `json:"code"`
	ZH     string `json:"zh"`
	EN     string `json:"en"`
	Detail string `json:"detail,omitempty"` // the centre's words, when it refused
	Path   string `json:"path,omitempty"`
}

// Notices gives final answers.
type Notices interface {
	// Notice gives the final answer of a request. CodeNotFound, CodeState when it has none yet,
	// CodeStorage, CodeInternal when it can not be read.
	Notice(ctx context.Context, key RequestKey) (Notice, error)
}
