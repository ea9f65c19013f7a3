package gateway

import (
	"context"
	"slices"
	"time"

	"yiqiao/schemas/ident"
)

// Act is something a person has to be allowed. Which role may do what is a table: package people.
type Act string

const (
	ActPeopleRead     Act = "people.read"
	ActPeopleManage   Act = "people.manage" // add, change, disable, unlock people
	ActReviewRead     Act = "review.read"
	ActReviewPropose  Act = "review.propose"
	ActReviewDecide   Act = "review.decide" // approve or reject what another person proposed
	ActDeliveryRead   Act = "delivery.read"
	ActDeliveryManage Act = "delivery.manage" // retry, skip, pause, resume
	ActUploadRead     Act = "upload.read"
	ActUploadManage   Act = "upload.manage" // replay, pause, resume
	ActJournalRead    Act = "journal.read"
	ActAuditRead      Act = "audit.read"
	ActProofFull      Act = "proof.full" // a proof pack with a patient's data in it
)

// Acts lists them.
func Acts() []Act {
	return []Act{ActPeopleRead, ActPeopleManage, ActReviewRead, ActReviewPropose, ActReviewDecide, ActDeliveryRead, ActDeliveryManage,
		ActUploadRead, ActUploadManage, ActJournalRead, ActAuditRead, ActProofFull}
}

// Visitor is a person who has proved who it is.
type Visitor struct {
	Person
	Institutions []ident.Institution // those it works for; none with Everywhere
	Everywhere   bool                // all institutions of the gateway
	Acts         []Act               // what its roles allow, in the order of Acts
	MustChange   bool                // its password was given by somebody else: it may only change it
	Issued       time.Time           // of the session
	Expires      time.Time           // whatever happens
	IdleUntil    time.Time           // when nothing happens before
}

// May refuses an act the visitor's roles do not allow (CodeNotPermitted), and every act until a given
// password was changed (CodePasswordChange).
func (v Visitor) May(a Act) error {
	if v.MustChange {
		return &Error{Code: CodePasswordChange, Op: "people"}
	}
	if !slices.Contains(v.Acts, a) {
		return &Error{Code: CodeNotPermitted, Op: "people", Rule: string(a)}
	}
	return nil
}

// Sees reports whether the visitor works for an institution. What belongs to none, "", is seen by those
// who see everything. What a visitor does not see is CodeNotFound to it, as if it were not there.
func (v Visitor) Sees(i ident.Institution) bool {
	return v.Everywhere || i != "" && slices.Contains(v.Institutions, i)
}

// SignIn is what a person gives to be let in.
type SignIn struct {
	ID       string
	Password string
	From     string // network address of the caller; failures are counted by it, too
}

// Doorkeeper lets people in. Errors are *Error. Safe for concurrent use.
type Doorkeeper interface {
	// SignIn begins a session; the token is told once and kept nowhere. CodeLoginRefused is the one
	// answer to a name nobody has, a wrong password, a locked and a disabled account, and takes the
	// same work for each; CodeRateLimited when too many tries came from an address or are under way.
	SignIn(ctx context.Context, s SignIn) (v Visitor, token string, err error)
	// WhoIs gives the person of a session; CodeSessionNeeded when the token is none that lives. What
	// was changed about the person since it signed in holds at once.
	WhoIs(ctx context.Context, token string) (Visitor, error)
	// SignOut ends a session. A token that is none is no error.
	SignOut(ctx context.Context, token string) error
	// ChangePassword changes it, ends every session of the person and begins a new one.
	// CodeLoginRefused when from is wrong (counted like a failed sign-in), CodePasswordRefused with
	// the rule that to breaks.
	ChangePassword(ctx context.Context, token, from, to, address string) (v Visitor, fresh string, err error)
	// Denied notes in the audit record that somebody tried what its roles do not allow.
	Denied(v Visitor, a Act)
}
