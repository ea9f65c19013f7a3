package gateway

import (
	"context"

	"yiqiao/schemas/ident"
)

// OrderOp names what an Order asks of the desk.
type OrderOp string

const (
	OrderTransact    OrderOp = "transact"
	OrderUpload      OrderOp = "upload"
	OrderTransaction OrderOp = "transaction" // asks how one stands
	OrderOpen        OrderOp = "settlement.open"
	OrderConfirm     OrderOp = "settlement.confirm"
	OrderRefund      OrderOp = "settlement.refund"
	OrderSettlement  OrderOp = "settlement" // asks
	OrderAdmit       OrderOp = "stay.admit"
	OrderCharge      OrderOp = "stay.charge"
	OrderDischarge   OrderOp = "stay.discharge"
	OrderStaySettle  OrderOp = "stay.settle"
	OrderStayRefund  OrderOp = "stay.refund"
	OrderStay        OrderOp = "stay" // asks
)

// Order is one thing a HIS wants done, in the same members whatever form the HIS spoke.
type Order struct {
	Op    OrderOp
	Infno ident.Infno // of transact and upload
	// ID is the gateway's own id of the transaction, settlement or stay it is about. A HIS that does
	// not keep our ids gives Of instead: the id of its own request that opened the thing.
	ID string
	Of string
	// Body has the members of the operation's struct (OpenSettlement ...) as the HTTP interface takes
	// them: text, bool, json.Number, []any and map[string]any. None for the operations that ask.
	Body map[string]any
}

// Finder is a Desk that can say what a request of the caller opened.
type Finder interface {
	// Find gives the id of the transaction, settlement or stay the request led to. CodeNotFound when
	// the caller made no such request.
	Find(ctx context.Context, c Caller, requestID string) (string, error)
}

// Source is one message, document or row of a HIS, as its adapter has parsed it.
type Source struct {
	Notation string // in which paths into it are written: hl7, fhir, xml, row ...
	Type     string // the source's own name of what happened: DFT^P03
	ID       string // the source's own id of the message: MSH-10
	Scope    any    // the whole of it, for the Paths of its Notation
	// Raw is the bytes it was parsed from, when the adapter still has them, and Hide what of them is the sender's
	// key and no content. Both are for whoever keeps copies (package traffic); neither is changed.
	Raw  []byte
	Hide []string
}

// Notation is a way to name places in the documents of one kind of source.
type Notation interface {
	Name() string
	// Compile reads a path. The error says what is wrong with it. A Path is safe for concurrent use.
	Compile(path string) (Path, error)
}

// Path is a place in a document. A scope is a whole document or a part of one that Each gave.
type Path interface {
	// Value is the text there; of several the first. found is false when nothing is there; "" with
	// found means the source says that it is empty.
	Value(scope any) (text string, found bool)
	// All is every text there, in the order of the document.
	All(scope any) []string
	// Each is a scope for every repetition of the place.
	Each(scope any) []any
}

// Mapper turns what a source says into what the desk is asked to do. Safe for concurrent use.
type Mapper interface {
	// Map gives the orders of a source, in the order in which they are to be done; none without an
	// error when it is of no interest. An error is an *Error; its findings name targets, and
	// Trace says where each came from. The same source and the same mapper give the same orders.
	Map(s Source) (Mapped, error)
	// Trace explains Map, also when Map fails. It is slower.
	Trace(s Source) []Trace
}

// Mapped is what a source became.
type Mapped struct {
	Orders  []Order
	Rule    string // name of the event in the mapping
	Version string // of the mapping, with its name: "generic-hl7@1.2 (3f2a9c01)"
}

type mappingKey struct{}

// WithMapping says that what is asked of the desk under ctx was made by a mapping of that version: it stands
// in the records (Record.Mapping).
func WithMapping(ctx context.Context, version string) context.Context {
	return context.WithValue(ctx, mappingKey{}, version)
}

// MappingOf is the version WithMapping gave, "" for none.
func MappingOf(ctx context.Context) string {
	v, _ := ctx.Value(mappingKey{}).(string)
	return v
}

// Trace is how one value of an order was made. Value is masked where it tells of a person.
type Trace struct {
	Order  int    `json:"order"`  // index
	Target string `json:"target"` // JSON Pointer into the order's body
	Rule   string `json:"rule"`   // file and line
	Source string `json:"source"` // path in the source's notation, "" for a literal
	Value  string `json:"value"`
	Fault  string `json:"fault,omitempty"` // why there is no value: the code of a finding
}

// Items is the institution's own directory of what it charges for.
type Items interface {
	// National gives the national code of a local one on a day, yyyy-MM-dd.
	National(local, day string) (Item, bool)
}

// Item is one row of it.
type Item struct {
	Code string // national
	Name string
}
