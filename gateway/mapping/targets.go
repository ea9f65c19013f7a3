package mapping

import (
	_ "embed"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

//go:embed targets.yaml
var targetsText []byte

// kind is what a value must read as.
type kind uint8

const (
	kindText kind = iota
	kindNumber
	kindDate // yyyy-MM-dd
	kindTime // yyyy-MM-dd HH:mm:ss
	kindBool
	kindFree // whatever the source has
)

func (k kind) String() string {
	return [...]string{"text", "number", "date", "datetime", "true/false", "any"}[k]
}

// leaf is what is known of one member that holds a value.
type leaf struct {
	kind     kind
	asNumber bool // goes out as a JSON number: members of an input
	max      int  // characters, 0 unknown
	digits   int  // of a number
	decimals int
	dict     string
	hide     hide
}

type hide uint8

const (
	hideNot hide = iota
	hidePersonal
	hideCredential
)

// form is what may stand at one place of an order's body.
type form struct {
	name     string
	required bool
	list     bool
	members  []*form // of an object, in the order of the tables
	open     bool    // an object whose members are not known: any may be given
	leaf     *leaf   // of a value
}

func (f *form) member(name string) *form {
	for _, m := range f.members {
		if m.name == name {
			return m
		}
	}
	if f.open {
		return &form{name: name, leaf: &leaf{kind: kindFree}}
	}
	return nil
}

// operations are the structs behind the operations, and which of their members the desk can do
// without although the struct's tag does not say so.
var operations = map[gateway.OrderOp]reflect.Type{
	gateway.OrderOpen:       reflect.TypeFor[gateway.OpenSettlement](),
	gateway.OrderConfirm:    reflect.TypeFor[gateway.ConfirmSettlement](),
	gateway.OrderRefund:     reflect.TypeFor[gateway.RefundSettlement](),
	gateway.OrderAdmit:      reflect.TypeFor[gateway.AdmitStay](),
	gateway.OrderCharge:     reflect.TypeFor[gateway.ChargeStay](),
	gateway.OrderDischarge:  reflect.TypeFor[gateway.DischargeStay](),
	gateway.OrderStaySettle: reflect.TypeFor[gateway.SettleStay](),
	gateway.OrderStayRefund: reflect.TypeFor[gateway.RefundStay](),
	gateway.OrderTransact:   reflect.TypeFor[gateway.Transact](),
	gateway.OrderUpload:     reflect.TypeFor[gateway.Transact](),
}

// asks are the operations without a body.
var asks = map[gateway.OrderOp]bool{gateway.OrderTransaction: true, gateway.OrderSettlement: true, gateway.OrderStay: true}

// about are the operations on something that is there: they need id or of.
var about = map[gateway.OrderOp]bool{
	gateway.OrderConfirm: true, gateway.OrderRefund: true, gateway.OrderCharge: true, gateway.OrderDischarge: true,
	gateway.OrderStaySettle: true, gateway.OrderStayRefund: true,
	gateway.OrderTransaction: true, gateway.OrderSettlement: true, gateway.OrderStay: true,
}

// targets knows the forms of all operations.
type targets struct {
	catalog *catalog.Catalog
	refs    map[string]string
	used    map[string]bool
}

func newTargets(c *catalog.Catalog) (*targets, error) {
	t := &targets{catalog: c, refs: map[string]string{}, used: map[string]bool{}}
	if err := yaml.Unmarshal(targetsText, &t.refs); err != nil {
		return nil, fmt.Errorf("mapping: targets: %w", err)
	}
	return t, nil
}

// form of one operation; infno of transact and upload.
func (t *targets) form(op gateway.OrderOp, infno ident.Infno) (*form, error) {
	st, ok := operations[op]
	if !ok {
		return nil, fmt.Errorf("no operation %q", op)
	}
	f, err := t.structure(st, "")
	if err != nil || op != gateway.OrderTransact && op != gateway.OrderUpload {
		return f, err
	}
	tx, ok := t.catalog.Lookup(infno)
	switch {
	case !ok:
		return nil, fmt.Errorf("no transaction %q", infno)
	case !tx.Described():
		return nil, fmt.Errorf("the fields of %s are not described", infno)
	}
	in := f.member("input")
	*in = form{name: "input", required: true, members: t.nodes(tx.Input, "")}
	return f, nil
}

// structure is the form of one of the gateway's structs. prefix is set for a struct that has no
// entries of its own: Coded is described by whoever holds it.
func (t *targets) structure(st reflect.Type, prefix string) (*form, error) {
	out := &form{}
	for i := range st.NumField() {
		f := st.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || name == "" {
			continue
		}
		full := st.Name() + "." + name
		if prefix != "" {
			full = prefix + "." + name
		}
		m, err := t.place(f.Type, full)
		if err != nil {
			return nil, err
		}
		m.name = name
		m.required = !strings.Contains(opts, "omit") && f.Type.Kind() != reflect.Bool && full != "Operator.type"
		out.members = append(out.members, m)
	}
	return out, nil
}

func (t *targets) place(ft reflect.Type, full string) (*form, error) {
	switch ft.Kind() {
	case reflect.Pointer:
		return t.place(ft.Elem(), full)
	case reflect.Slice:
		m, err := t.place(ft.Elem(), full)
		if err != nil {
			return nil, err
		}
		m.list = true
		return m, nil
	case reflect.Struct:
		if ft == reflect.TypeFor[gateway.Coded]() {
			return t.structure(ft, full)
		}
		return t.structure(ft, "")
	case reflect.Map:
		return &form{open: true}, nil
	case reflect.Interface:
		return &form{}, nil
	case reflect.Bool:
		return &form{leaf: &leaf{kind: kindBool}}, nil
	}
	l, err := t.refer(full)
	if err != nil {
		return nil, err
	}
	return &form{leaf: l}, nil
}

// refer reads what targets.yaml says of a member.
func (t *targets) refer(full string) (*leaf, error) {
	ref, ok := t.refs[full]
	t.used[full] = true
	if !ok {
		return &leaf{}, nil // a text of any length; the test of this package finds it
	}
	if n, err := strconv.Atoi(ref); err == nil {
		return &leaf{max: n}, nil
	}
	infno, at, _ := strings.Cut(ref, " ")
	node, code, _ := strings.Cut(at, ".")
	tx, ok := t.catalog.Lookup(ident.Infno(infno))
	if !ok {
		return nil, fmt.Errorf("mapping: targets: %s: no transaction %s", full, infno)
	}
	n, ok := tx.Node(catalog.Input, node)
	if !ok {
		return nil, fmt.Errorf("mapping: targets: %s: %s has no node %q", full, infno, node)
	}
	f, ok := n.Field(code)
	if !ok {
		return nil, fmt.Errorf("mapping: targets: %s: %s %s has no field %q", full, infno, node, code)
	}
	l := t.field(f)
	l.asNumber = false
	return l, nil
}

// field is a field of the tables.
func (t *targets) field(f *catalog.Field) *leaf {
	l := &leaf{dict: f.Dict}
	switch f.Type {
	case "number":
		l.kind, l.asNumber = kindNumber, true
		l.digits, l.decimals = f.Length, f.Decimals
	case "date":
		l.kind = kindDate
	case "datetime":
		l.kind = kindTime
	case "array", "object":
		l.kind = kindFree
	default:
		l.max = f.Length
	}
	if f.Borrowed {
		l.max, l.digits = 0, 0
	}
	switch {
	case t.catalog.Credential(f.Code):
		l.hide = hideCredential
	case t.catalog.Personal(f.Code):
		l.hide = hidePersonal
	}
	return l
}

// nodes are the members of an input, or of a node inside it.
func (t *targets) nodes(list []catalog.Node, parent string) []*form {
	var out []*form
	for i := range list {
		n := &list[i]
		if n.Parent != parent || n.Name == parent && parent != "" {
			continue
		}
		var fields []*form
		for j := range n.Fields {
			f := &n.Fields[j]
			fields = append(fields, &form{name: f.Code, required: f.Required == catalog.Always && !f.Assumed, leaf: t.field(f)})
		}
		if n.Name == "" {
			out = append(out, fields...)
			continue
		}
		required := n.Required == catalog.Always && n.AlternativeTo == "" && n.OnlyIn == "" && !replaced(list, n.Name)
		out = append(out, &form{name: n.Name, required: required, list: n.Repeat, members: append(fields, t.nodes(list, n.Name)...)})
	}
	return out
}

// replaced reports whether another node may be sent instead.
func replaced(list []catalog.Node, name string) bool {
	for i := range list {
		if list[i].AlternativeTo == name {
			return true
		}
	}
	return false
}
