// Package catalog says what a transaction of the interface is: its nodes and fields, what kind of
// thing it does, how it is undone, how its outcome can be asked for, and how long it may take.
//
// The tables are data (package spec, and behaviour.json beside this file for the columns we add);
// this package only reads them. It knows no field by name.
package catalog

import (
	"slices"
	"time"

	"yiqiao/schemas/ident"
)

// Kind is what a transaction does, as spec/FORMAT.md lists it.
type Kind string

const (
	Query    Kind = "query"
	Write    Kind = "write"
	Settle   Kind = "settle"
	Reverse  Kind = "reverse"
	Upload   Kind = "upload"
	Download Kind = "download"
	Session  Kind = "session"
)

// Limit is a class of time limit; the gateway's configuration gives each a duration.
type Limit string

const (
	LimitQuery  Limit = "query"  // default 60 s
	LimitWrite  Limit = "write"  // default 60 s
	LimitSettle Limit = "settle" // default 180 s
	LimitFile   Limit = "file"   // default 180 s
)

// Required says whether a field or node must be there.
type Required uint8

const (
	Optional    Required = iota
	Conditional          // depends on the case; see Note
	Always
)

// MarshalText names the requirement: optional, conditional, always.
func (r Required) MarshalText() ([]byte, error) {
	switch r {
	case Always:
		return []byte("always"), nil
	case Conditional:
		return []byte("conditional"), nil
	}
	return []byte("optional"), nil
}

// Direction is a side of a transaction.
type Direction string

const (
	Input  Direction = "input"
	Output Direction = "output"
)

// Field is one member of a node.
type Field struct {
	Code     string   `json:"code,omitempty"`     // member name as sent
	Name     string   `json:"name,omitempty"`     // Chinese label
	Aliases  []string `json:"aliases,omitempty"`  // other spellings: accepted, never sent
	Type     string   `json:"type,omitempty"`     // string number date datetime array object
	Length   int      `json:"length,omitempty"`   // characters, or digits of a number; 0 unknown
	Decimals int      `json:"decimals,omitempty"` // decimals of a number; -1 when the table gives no "n,d" form
	Dict     string   `json:"dict,omitempty"`     // dictionary name, "" for none
	Required Required `json:"required"`
	Assumed  bool     `json:"assumed,omitempty"`  // required flag is only a default (required_known: false)
	Borrowed bool     `json:"borrowed,omitempty"` // type and length come from the same code elsewhere: not enforced
	Note     string   `json:"note,omitempty"`
}

// Node is an object or a list of objects inside input or output.
type Node struct {
	Name          string   `json:"name,omitempty"` // member name; "" means the fields lie directly in input or output
	Title         string   `json:"title,omitempty"`
	Repeat        bool     `json:"repeat,omitempty"` // an array of objects
	Required      Required `json:"required"`
	Parent        string   `json:"parent,omitempty"`         // "" or the node it lies inside
	AlternativeTo string   `json:"alternative_to,omitempty"` // sent instead of that node
	OnlyIn        string   `json:"only_in,omitempty"`        // seen in that client only
	Fields        []Field  `json:"fields,omitempty"`
}

// Field finds a field by its code; aliases are not looked at.
func (n *Node) Field(code string) (*Field, bool) {
	for i := range n.Fields {
		if n.Fields[i].Code == code {
			return &n.Fields[i], true
		}
	}
	return nil, false
}

// Extension is a node that one client has and the common interface has not. It is not checked.
type Extension struct {
	Side   Direction
	OnlyIn string
	Node   Node
}

// Ask is one way to find out what became of a transaction whose answer is unknown: a query, and
// how to recognise the transaction in its reply.
type Ask struct {
	Infno ident.Infno `json:"infno,omitempty"` // the query to send
	Send  string      `json:"send,omitempty"`  // node of the query's input the members of By go into, usually "data"
	// By names the members of the query and where each value comes from: a member of the asked
	// transaction's own input ("psn_no"), SourceMsgID, SourceDay, SourceUntil, or a literal written "=1".
	By map[string]string `json:"by,omitempty"`
	// Node and Match: the transaction happened when a row of Node in the reply has, for every
	// member named in Match, the value of that source (as in By).
	Node  string            `json:"node,omitempty"`
	Match map[string]string `json:"match,omitempty"`
	// Gives is the member of such a row, and of the asked transaction's own output, that names what
	// was made. Where Match is a likeness it keeps apart what two transactions made: a row whose
	// Gives another one was given is that one's. "" when Match alone is proof.
	Gives string `json:"gives,omitempty"`
	// Needs names a region capability that must be on, "" when every centre answers.
	Needs string `json:"needs,omitempty"`
}

// Exact reports whether a row that is found can be of no other transaction: it carries the message
// id, which is given once.
func (a *Ask) Exact() bool {
	for _, source := range a.Match {
		if source == SourceMsgID {
			return true
		}
	}
	return false
}

// Sources of Ask.By and Ask.Match that are not a member of the asked transaction's input. Our clock may be before or
// behind the centre's: a period from SourceDay to SourceUntil has what was sent in it all the same.
const (
	SourceMsgID  = "msgid" // its message id
	SourceDay    = "day"   // the date an hour before it was sent; of a datetime member the first second
	SourceUntil  = "until" // the date an hour after the asking; of a datetime member the last second
	LiteralStart = "="     // what follows is the value
)

// Remedy is one way to end an unknown outcome; a transaction lists those that apply, in the order
// they are tried.
type Remedy string

const (
	RemedyAsk     Remedy = "ask"     // Asks; found means done, not found after the settling time means absent
	RemedyReverse Remedy = "reverse" // 2601 with the original msgid
	RemedyUndo    Remedy = "undo"    // Undo, when its input can be built from the original input alone
	RemedyResend  Remedy = "resend"  // the same content again is harmless at the centre
	RemedyPark    Remedy = "park"    // a person decides
)

// ByHand is one way for people to end a record of this transaction that is parked.
type ByHand struct {
	Do    Hand     `json:"do"`
	Proof []string `json:"proof,omitempty"` // kinds of proof, one of which is needed; none: not asked for
	Shows []string `json:"shows,omitempty"` // with adopt: members of the first node of the answer that must be given
}

// Held is a member of an input that may name what a bill of the gateway holds: who sends the transaction past the bill
// would leave the bill telling an untruth.
type Held struct {
	Member string `json:"member"`
	By     string `json:"by"`
}

// How a Held member is known to be a bill's.
const (
	HeldVisit = "visit" // a record of the bill is about that visit
	HeldGiven = "given" // the answer to a record of the bill, about the same person, gave that number under the same name
)

// Hand is what people may decide.
type Hand string

const (
	HandAdopt   Hand = "adopt"   // it was done
	HandAbsent  Hand = "absent"  // it never happened
	HandReverse Hand = "reverse" // the gateway takes it back by 2601
	HandUndo    Hand = "undo"    // the gateway takes it back by Undo, when its input can be built
)

// Kinds of proof.
const (
	ProofQuery     = "query"     // seen at the centre's own terminal
	ProofStatement = "statement" // in the result of 3202, or in the statement of a clearing
	ProofOffice    = "office"    // the insurance office says so
)

// Span is a length of time that is written as "24h0m0s".
type Span time.Duration

// MarshalText writes it.
func (s Span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

// Transaction is one row of the catalogue.
type Transaction struct {
	Infno      ident.Infno `json:"infno,omitempty"`
	Name       string      `json:"name,omitempty"`
	Group      string      `json:"group,omitempty"`
	Kind       Kind        `json:"kind,omitempty"`
	Scope      string      `json:"scope,omitempty"`      // "" for national
	Confidence string      `json:"confidence,omitempty"` // high, medium, low
	Input      []Node      `json:"input,omitempty"`
	Output     []Node      `json:"output,omitempty"`
	Undo       ident.Infno `json:"undo,omitempty"`       // the number that undoes this one, "" for none
	Reversible bool        `json:"reversible,omitempty"` // 2601 takes it
	Asks       []Ask       `json:"asks,omitempty"`       // in order of preference
	Remedies   []Remedy    `json:"remedies,omitempty"`   // for an unknown outcome, in the order they are tried
	ByHand     []ByHand    `json:"by_hand,omitempty"`    // how people may end it
	Held       []Held      `json:"held,omitempty"`       // what of its input may be a bill's; see Held
	Limit      Limit       `json:"limit,omitempty"`
	Commits    bool        `json:"commits,omitempty"`  // changes something at the centre: an unknown outcome must be resolved
	Queued     bool        `json:"queued,omitempty"`   // upload class: may be queued and re-sent byte for byte
	Deadline   Span        `json:"deadline,omitempty"` // of the upload class: from accepting to sent; 0 when none is known
	Signed     bool        `json:"signed,omitempty"`   // amounts may be negative in requests
	Negative   []string    `json:"negative,omitempty"` // with Signed: only these members may be; empty: any
	Evidence   bool        `json:"evidence,omitempty"` // what the centre signed of its answer is kept
	Sources    []string    `json:"sources,omitempty"`
	Disputes   []string    `json:"disputes,omitempty"`
	Remarks    []string    `json:"remarks,omitempty"`
	Extensions []Extension `json:"extensions,omitempty"`
	Overlays   []string    `json:"overlays,omitempty"` // editions that changed the published table, in the order they were laid on
}

// Described reports whether any field of the transaction is evidenced.
func (t *Transaction) Described() bool {
	for _, side := range [][]Node{t.Input, t.Output} {
		for i := range side {
			if len(side[i].Fields) > 0 {
				return true
			}
		}
	}
	return false
}

// MayBeNegative reports whether a member of a request may hold a negative number.
func (t *Transaction) MayBeNegative(member string) bool {
	return t.Signed && (len(t.Negative) == 0 || slices.Contains(t.Negative, member))
}

// Node finds a node by its name.
func (t *Transaction) Node(d Direction, name string) (*Node, bool) {
	ns := t.Nodes(d)
	for i := range ns {
		if ns[i].Name == name {
			return &ns[i], true
		}
	}
	return nil, false
}

// Nodes gives the nodes of one side.
func (t *Transaction) Nodes(d Direction) []Node {
	if d == Input {
		return t.Input
	}
	return t.Output
}

// Catalog is the set of all transactions. It is immutable and safe for concurrent use; what it
// hands out is shared and must not be changed.
type Catalog struct {
	byNumber map[ident.Infno]*Transaction
	all      []*Transaction

	classes map[string]class // by folded member name, see fold
	persons []string         // members that number a person, by spelling
	visits  []string         // members that number a visit
	spelled map[string]class // by spelling, for the names the tables use
}

// Lookup finds a transaction by its number.
func (c *Catalog) Lookup(n ident.Infno) (*Transaction, bool) {
	if c == nil {
		return nil, false
	}
	t, ok := c.byNumber[n]
	return t, ok
}

// All lists the transactions by number.
func (c *Catalog) All() []*Transaction {
	if c == nil {
		return nil
	}
	return slices.Clone(c.all)
}
