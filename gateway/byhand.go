package gateway

import (
	"context"
	"time"

	"yiqiao/schemas/ident"
)

// Person is somebody who decides. Whoever hands one in has made sure that it is that person.
type Person struct {
	ID    string   `json:"id"` // unique among the people of a site
	Name  string   `json:"name,omitempty"`
	Roles []string `json:"roles,omitempty"` // none where nobody gives out roles
}

// HandAction is how people may end a record that the gateway can not end by itself.
type HandAction string

const (
	HandAdopt   HandAction = "adopt"   // the centre did it: what it shows is taken for the answer
	HandAbsent  HandAction = "absent"  // the centre never did it
	HandReverse HandAction = "reverse" // the gateway takes it back with 2601
	HandUndo    HandAction = "undo"    // the gateway takes it back with its own undo
)

// HandChoice is one thing people may decide about a record, as the catalogue has it.
type HandChoice struct {
	Do    HandAction  `json:"do"`
	Proof []string    `json:"proof,omitempty"` // one of these kinds must be given; see catalog.ByHand
	Shows []string    `json:"shows,omitempty"` // members of the answer that must be given
	Sends ident.Infno `json:"sends,omitempty"` // what will be sent to the centre
}

// HandDecision is what people decided.
type HandDecision struct {
	Do     HandAction `json:"do"`
	Proof  string     `json:"proof,omitempty"`  // kind of proof
	Source string     `json:"source,omitempty"` // where it can be looked up: file number, who at the office said so
	// Shown is what the centre shows, with HandAdopt: the members of the answer's first node, or the
	// whole answer. Values as strictjson decodes them.
	Shown map[string]any `json:"shown,omitempty"`
	Note  string         `json:"note,omitempty"` // kept with the event; no personal data
}

// HandProgress is how far taking back has come. Neither Done nor Failed: it is under way, ask again.
type HandProgress struct {
	Record Record
	Try    ident.MsgID // the message that takes it back, when one was made
	Done   bool        // the record is ended: reversed, or proved absent
	Failed string      // why it will not be: the centre's words, or what became of the record
}

// ByHand ends records on the word of people. It does not ask who they are: package review does.
// Errors are *Error: CodeNotFound, CodeState when the record is not parked (any more),
// CodeRequestInvalid when the proof or what is shown will not do, CodeStorage. ErrConflict comes
// as it is when an entry of with is there already with another body.
type ByHand interface {
	// HandChoices lists what may be decided about a record now; nothing unless it is parked.
	HandChoices(ctx context.Context, id ident.MsgID) (Record, []HandChoice, error)
	// HandCheck tells whether a decision could be carried out now. It changes nothing.
	HandCheck(ctx context.Context, id ident.MsgID, h HandDecision) error
	// HandEnd carries out HandAdopt and HandAbsent: the record's end and with are one write.
	HandEnd(ctx context.Context, id ident.MsgID, h HandDecision, with ...Entry) (Record, error)
	// HandTakeBack carries out HandReverse and HandUndo as far as that goes now. It is repeated until
	// it is done or has failed, and sends once for each decision, however often it is called: since
	// is when the decision was made. What was refused before then is tried anew; what has no known
	// outcome never is.
	HandTakeBack(ctx context.Context, id ident.MsgID, h HandDecision, since time.Time) (HandProgress, error)
}
