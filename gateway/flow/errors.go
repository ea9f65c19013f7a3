package flow

import (
	"errors"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// internal is the system name of keys the gateway makes for itself. No HIS may use it.
const internal = gateway.OwnSystem

// errTaken: somebody else has written this step; read again.
var errTaken = errors.New("flow: step is taken")

// storage words an error of the journal.
func storage(op string, err error) error {
	var e *gateway.Error
	if errors.As(err, &e) {
		return err
	}
	code := gateway.CodeStorage
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		code = gateway.CodeNotFound
	case errors.Is(err, gateway.ErrConflict):
		code = gateway.CodeRequestIDReused
	case errors.Is(err, gateway.ErrExpired):
		code = gateway.CodeExpired
	}
	return &gateway.Error{Code: code, Op: op, Err: err}
}

func internalError(op string, err error) error {
	return &gateway.Error{Code: gateway.CodeInternal, Op: op, Err: err}
}

// refusal is what is kept of a business refusal, as JSON in the record's output.
type refusal struct {
	InfCode string `json:"infcode"`
	ErrMsg  string `json:"err_msg"`
}

// refused reads the centre's words out of a refused record.
func refused(rec gateway.Record) refusal {
	o := row(read(rec.Output), "")
	return refusal{InfCode: text(o["infcode"]), ErrMsg: text(o["err_msg"])}
}

// standing is what a record means for whoever wants the transaction done.
type standing uint8

const (
	stands  standing = iota // done
	denied                  // the centre refused it for a business reason
	pending                 // under way, or its outcome is not known
	free                    // it is proved that nothing stands: may be attempted again
)

func standingOf(rec gateway.Record) standing {
	switch rec.State {
	case gateway.StateDone:
		return stands
	case gateway.StateRefused:
		if rec.Cause == gateway.CauseNotSent || rec.Cause == gateway.CauseSignIn {
			return free
		}
		return denied
	case gateway.StateAbsent, gateway.StateReversed:
		return free
	}
	return pending
}

// failure is the error a record that is not done answers with. ref is what the caller asks about.
func failure(op string, rec gateway.Record, ref string) *gateway.Error {
	e := &gateway.Error{Op: op, Ref: ref}
	switch {
	case rec.State == gateway.StateRefused && rec.Cause == gateway.CauseNotSent:
		e.Code = gateway.CodeCentreUnreachable
	case rec.State == gateway.StateRefused && rec.Cause == gateway.CauseSignIn:
		e.Code, e.Detail = gateway.CodeSignIn, refused(rec).ErrMsg
	case rec.State == gateway.StateRefused:
		e.Code, e.Detail = gateway.CodeCentreRefused, refused(rec).ErrMsg
	case rec.State == gateway.StateParked:
		e.Code, e.Detail, e.RetryAfter = gateway.CodeNeedsPerson, string(rec.Cause), personPace
	default:
		e.Code, e.Detail = gateway.CodeOutcomeUnknown, string(rec.Cause)
	}
	return e
}

// failed is failure for any record: a query that got no answer leaves nothing open.
func (d *Desk) failed(op string, rec gateway.Record, ref string) *gateway.Error {
	e := failure(op, rec, ref)
	if tx, ok := d.opt.Catalog.Lookup(rec.Infno); ok && !tx.Commits && rec.State == gateway.StateAbsent {
		e.Code = gateway.CodeCentreNoAnswer
	}
	return e
}

// personPace is how soon a HIS is told to ask again about what waits for a person.
const personPace = 10 * time.Minute

func inProgress(op, ref string) *gateway.Error {
	return &gateway.Error{Code: gateway.CodeRequestInProgress, Op: op, Ref: ref}
}

// validRequestID: 1 to 64 characters of A-Z a-z 0-9 - _ . :
func validRequestID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := 0; i < len(id); i++ {
		c := id[i]
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '-', c == '_', c == '.', c == ':':
		default:
			return false
		}
	}
	return true
}

func requestKey(c gateway.Caller, id string) (gateway.RequestKey, error) {
	if !validRequestID(id) {
		return gateway.RequestKey{}, &gateway.Error{Code: gateway.CodeRequestIDMissing, Op: "flow.request", Path: "/request_id"}
	}
	return gateway.RequestKey{System: c.System, ID: id}, nil
}

// guard is a key of our own that makes one thing happen once, whichever process tries it.
func guard(parts ...string) gateway.RequestKey {
	id := ""
	for i, p := range parts {
		if i > 0 {
			id += ":"
		}
		for j := 0; j < len(p); j++ {
			if p[j] == '#' {
				id += "-"
				continue
			}
			id += p[j : j+1]
		}
	}
	return gateway.RequestKey{System: internal, ID: id}
}

// refOf is the id of a record as a reference.
func refOf(id ident.MsgID) string { return string(id) }
