package soap

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"yiqiao/adapters/his/admit"
	"yiqiao/adapters/his/counter"
	"yiqiao/gateway"
)

// Options is what a Handler needs. Fields without a default are required.
type Options struct {
	Desk   gateway.Desk
	Mapper gateway.Mapper // of notation "xml"
	Guard  *admit.Guard   // who may call, shared by all doors
	Log    *slog.Logger   // default: nowhere
	Path   string         // where it is mounted, "/soap"; behind it the key may stand: /soap/KEY

	MaxBody       int64 // default 8 MiB
	MaxConcurrent int   // default 512
}

// Handler is the interface as an http.Handler. GET with ?wsdl gives the WSDL. The key stands in a
// header, Authorization or X-API-Key, or behind the path.
type Handler struct {
	o       Options
	counter *counter.Counter
	places  chan struct{}
}

// New checks the options.
func New(o Options) (*Handler, error) {
	if o.Desk == nil || o.Mapper == nil || o.Guard == nil || o.Path == "" {
		return nil, errors.New("soap: desk, mapper, guard and path are required")
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 8 << 20
	}
	if o.MaxConcurrent <= 0 {
		o.MaxConcurrent = 512
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c, err := counter.New(o.Desk, o.Log)
	if err != nil {
		return nil, err
	}
	return &Handler{o: o, counter: c, places: make(chan struct{}, o.MaxConcurrent)}, nil
}

// reply is what goes back.
type reply struct {
	version string // of the envelope, "" for plain XML
	err     *gateway.Error
	answers []counter.Answer
	mapped  gateway.Mapped
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rep := &reply{}
	if r.Method == http.MethodGet && r.URL.Query().Has("wsdl") {
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		_, _ = io.WriteString(w, strings.ReplaceAll(wsdl, "{address}", "http://"+escaped(r.Host)+h.o.Path))
		return
	}
	pass, err := h.o.Guard.Who(r, strings.Trim(strings.TrimPrefix(r.URL.Path, h.o.Path), "/"))
	who := pass.Caller
	switch {
	case r.Method != http.MethodPost:
		rep.err = &gateway.Error{Code: gateway.CodeMethod, Op: "soap"}
	case err != nil:
		rep.err = admit.Refusal(err)
	default:
		if err := pass.Within(h.places, r, "soap", func() { h.work(w, r, who, rep) }); err != nil {
			rep.err = err
		}
	}
	if h.write(w, rep) && r.Context().Err() == nil {
		for _, a := range rep.answers {
			h.counter.Told(who, a)
		}
	}
}

// work reads, maps and carries out one document. It never panics.
func (h *Handler) work(w http.ResponseWriter, r *http.Request, who gateway.Caller, rep *reply) {
	defer func() {
		if p := recover(); p != nil {
			h.o.Log.Error("panic in a call", "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			rep.err, rep.answers = &gateway.Error{Code: gateway.CodeInternal, Op: "soap"}, nil
		}
	}()
	if strings.Contains(r.Header.Get("Content-Type"), "soap+xml") {
		rep.version = soap12
	} else if r.Header.Get("SOAPAction") != "" {
		rep.version = soap11
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.o.MaxBody))
	if err != nil {
		rep.err = &gateway.Error{Code: gateway.CodeBodyTooLarge, Op: "soap"}
		if other := new(gateway.Error); errors.As(err, &other) { // not the body that was signed
			rep.err = other
		}
		return
	}
	root, err := Parse(b)
	var body *Node
	if err == nil {
		body, rep.version, err = payload(root)
	}
	var bad *Error
	if errors.As(err, &bad) {
		rep.err = &gateway.Error{Code: gateway.CodeMessage, Op: "soap", Rule: bad.Rule, Detail: bad.What}
		return
	}
	src := Source(body)
	src.Raw = b
	if rep.mapped, rep.err = counter.Map(h.o.Mapper, src, "soap", h.o.Log); rep.err != nil {
		return
	}
	rep.answers = h.counter.Carry(r.Context(), who, rep.mapped, h.o.Log)
}

// Element names of the answer; docs/mapping.md lists them.
type answerXML struct {
	XMLName xml.Name   `xml:"urn:yiqiao:his YiqiaoResponse"`
	Mapping string     `xml:"Mapping,omitempty"`
	Event   string     `xml:"Event,omitempty"`
	Error   *errorXML  `xml:"Error"`
	Orders  []orderXML `xml:"Order"`
}

type orderXML struct {
	Op           string           `xml:"Operation"`
	Outcome      string           `xml:"Outcome"`
	RequestID    string           `xml:"RequestId,omitempty"`
	ID           string           `xml:"Id,omitempty"`
	State        string           `xml:"State,omitempty"`
	SettlementID string           `xml:"SetlId,omitempty"`
	Visit        string           `xml:"MdtrtId,omitempty"`
	MsgID        string           `xml:"MsgId,omitempty"`
	Charged      string           `xml:"Charged,omitempty"`
	Amounts      *gateway.Amounts `xml:"Amounts"`
	Error        *errorXML        `xml:"Error"`
}

type errorXML struct {
	Code     string       `xml:"Code"`
	Path     string       `xml:"Path,omitempty"`
	Rule     string       `xml:"Rule,omitempty"`
	Text     string       `xml:"Text"`
	Next     string       `xml:"Next"`
	Detail   string       `xml:"Detail,omitempty"`
	Owner    string       `xml:"Owner"`
	Findings []findingXML `xml:"Finding"`
}

type findingXML struct {
	Code string `xml:"Code"`
	Path string `xml:"Path"`
	Rule string `xml:"Rule,omitempty"`
	Text string `xml:"Text"`
}

func errorOf(e *gateway.Error) *errorXML {
	if e == nil {
		return nil
	}
	w := gateway.Codes[e.Code]
	out := &errorXML{Code: string(e.Code), Path: e.Path, Rule: e.Rule, Text: w.ZH, Next: w.NextZH, Owner: string(w.Owner)}
	if w.Owner == gateway.OwnerHIS || w.Owner == gateway.OwnerDesk {
		out.Detail = e.Detail
	}
	for _, f := range e.Findings {
		out.Findings = append(out.Findings, findingXML{f.Code, f.Path, f.Rule, f.ZH})
	}
	return out
}

func (h *Handler) write(w http.ResponseWriter, r *reply) bool {
	out := answerXML{Mapping: r.mapped.Version, Event: r.mapped.Rule, Error: errorOf(r.err)}
	for _, a := range r.answers {
		o := orderXML{Op: string(a.Op), Outcome: string(a.Outcome), RequestID: a.RequestID, ID: a.ID, Error: errorOf(a.Err)}
		switch {
		case a.Settlement != nil:
			s := a.Settlement
			o.State, o.SettlementID, o.Visit, o.MsgID, o.Amounts = string(s.State), string(s.SettlementID), string(s.Visit), string(s.MsgID), s.Amounts
		case a.Stay != nil:
			s := a.Stay
			o.State, o.SettlementID, o.Visit, o.MsgID, o.Amounts, o.Charged = string(s.State), string(s.SettlementID), string(s.Visit), string(s.MsgID), s.Amounts, s.Charged
		case a.Transaction != nil:
			o.State, o.MsgID = string(a.Transaction.State), string(a.Transaction.ID)
		}
		out.Orders = append(out.Orders, o)
	}
	var b bytes.Buffer
	b.WriteString(xml.Header)
	status := http.StatusOK
	if r.err != nil {
		status = gateway.Codes[r.err.Code].Status
	}
	if r.version != "" {
		fmt.Fprintf(&b, `<soap:Envelope xmlns:soap="%s"><soap:Body>`, r.version)
		if r.err != nil {
			status = h.fault(&b, r)
		}
	}
	if err := xml.NewEncoder(&b).Encode(out); err != nil {
		h.o.Log.Error("an answer can not be written", "err", err.Error())
		status = http.StatusInternalServerError
	}
	if r.version != "" {
		if r.err != nil {
			b.WriteString(map[string]string{soap11: `</detail></soap:Fault>`, soap12: `</soap:Detail></soap:Fault>`}[r.version])
		}
		b.WriteString(`</soap:Body></soap:Envelope>`)
	}
	kind := "text/xml; charset=utf-8"
	if r.version == soap12 {
		kind = "application/soap+xml; charset=utf-8"
	}
	head := w.Header()
	head.Set("Content-Type", kind)
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	return err == nil
}

// fault begins a SOAP fault: the client's when the message is at fault, else the server's.
func (h *Handler) fault(b *bytes.Buffer, r *reply) int {
	w := gateway.Codes[r.err.Code]
	theirs := w.Owner == gateway.OwnerHIS || w.Owner == gateway.OwnerDesk
	text := escaped(w.ZH)
	if r.version == soap12 {
		code := "Receiver"
		if theirs {
			code = "Sender"
		}
		fmt.Fprintf(b, `<soap:Fault><soap:Code><soap:Value>soap:%s</soap:Value></soap:Code><soap:Reason><soap:Text xml:lang="zh">%s</soap:Text></soap:Reason><soap:Detail>`, code, text)
	} else {
		code := "Server"
		if theirs {
			code = "Client"
		}
		fmt.Fprintf(b, `<soap:Fault><faultcode>soap:%s</faultcode><faultstring>%s</faultstring><detail>`, code, text)
	}
	if theirs && r.version == soap12 {
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

// wsdl describes one operation whose request and answer are any XML.
const wsdl = xml.Header + `<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/" xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:y="urn:yiqiao:his" targetNamespace="urn:yiqiao:his" name="Yiqiao">
<types><xs:schema targetNamespace="urn:yiqiao:his" elementFormDefault="qualified">
<xs:element name="Submit"><xs:complexType><xs:sequence><xs:any processContents="lax"/></xs:sequence></xs:complexType></xs:element>
<xs:element name="YiqiaoResponse"><xs:complexType><xs:sequence><xs:any processContents="lax" minOccurs="0" maxOccurs="unbounded"/></xs:sequence></xs:complexType></xs:element>
</xs:schema></types>
<message name="SubmitRequest"><part name="parameters" element="y:Submit"/></message>
<message name="SubmitResponse"><part name="parameters" element="y:YiqiaoResponse"/></message>
<portType name="His"><operation name="Submit"><input message="y:SubmitRequest"/><output message="y:SubmitResponse"/></operation></portType>
<binding name="HisSoap11" type="y:His"><soap:binding transport="http://schemas.xmlsoap.org/soap/http"/><operation name="Submit"><soap:operation soapAction="urn:yiqiao:his:Submit"/><input><soap:body use="literal"/></input><output><soap:body use="literal"/></output></operation></binding>
<binding name="HisSoap12" type="y:His"><soap12:binding transport="http://schemas.xmlsoap.org/soap/http"/><operation name="Submit"><soap12:operation soapAction="urn:yiqiao:his:Submit"/><input><soap12:body use="literal"/></input><output><soap12:body use="literal"/></output></operation></binding>
<service name="Yiqiao"><port name="HisSoap11" binding="y:HisSoap11"><soap:address location="{address}"/></port><port name="HisSoap12" binding="y:HisSoap12"><soap12:address location="{address}"/></port></service>
</definitions>
`
