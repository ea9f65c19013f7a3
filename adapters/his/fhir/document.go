// Package fhir takes FHIR R4 in JSON from a HIS and hands what a mapping makes of it to the desk.
//
// What is taken: a Bundle of type message, transaction or collection, and a Claim by itself or in
// Parameters, as the operation $submit wants them. A Bundle is about one thing, its focus: the
// message's event, else the first resource of the kind that stands first in this list: Claim, Invoice,
// ChargeItem, Encounter, Condition, Procedure, Coverage, Patient. The source's type is "message:EVENT", or
// the focus with what tells its kinds apart: "Claim:predetermination" (use), "Encounter:finished",
// "ChargeItem:billable", "Invoice:issued" (status), "Condition".
//
// The gateway is no store of resources: nothing can be read, searched or deleted, and it says so in its
// CapabilityStatement. References inside a Bundle are resolved; one that can only be inside it and is not
// is an error. Whatever FHIR says changes a meaning and we do not know is refused by name: a modifier
// extension, implicitRules, a resource type, a status of entered-in-error. Extensions that modify nothing
// are there for paths to read and may be left unread.
//
// Reading is our own: the models that can be had drop extensions of primitive values or turn decimals
// into floats. Here a decimal is the literal as it was written, from the document to the order.
package fhir

import (
	"errors"
	"slices"
	"sort"
	"strconv"
	"strings"

	"yiqiao/adapters/his/bind"
	"yiqiao/schemas/strictjson"
)

// Error is what is wrong with a document. What names what was found there (a type, the url of an
// extension, a reference), never a value of a patient.
type Error struct {
	Rule, What string
	Path       string // JSON Pointer
}

func (e *Error) Error() string {
	return strings.TrimSpace("fhir: " + e.Rule + " " + e.Path + ": " + e.What)
}

// Rules of an Error, beside those of strictjson. Each is permanent.
const (
	RuleType      = "fhir-resource-type"
	RuleBundle    = "fhir-bundle"
	RuleModifier  = "fhir-modifier-extension"
	RuleImplicit  = "fhir-implicit-rules"
	RuleReference = "fhir-reference"
	RuleStatus    = "fhir-status"
	RuleForm      = "fhir-form"
)

// first lists what a Bundle can be about; the first that is there is its focus. kind is the member that
// tells kinds of it apart.
var first = []struct{ name, kind string }{
	{"Claim", "use"}, {"Invoice", "status"}, {"ChargeItem", "status"}, {"Encounter", "status"},
	{"Condition", ""}, {"Procedure", ""}, {"Coverage", ""}, {"Patient", ""},
}

// beside are the types that may be there besides, for references to lead to.
var beside = []string{"MessageHeader", "Organization", "Practitioner", "PractitionerRole", "Location"}

func taken(name string) bool {
	for _, f := range first {
		if f.name == name {
			return true
		}
	}
	return slices.Contains(beside, name)
}

// Limits of one document: what paths and references cost grows with them.
const (
	maxResources = 6000
	maxContained = 200 // in one resource
)

// resource is one of a document, with what holds the resources it contains.
type resource struct {
	body  map[string]any
	in    map[string]any // the outermost: contained ones are found there
	entry int            // of the Bundle
}

// Document is a document that was read and checked. It is immutable.
type Document struct {
	Root   map[string]any // as received; of Parameters what they held
	Bundle string         // type of the Bundle, "" for a resource by itself
	Event  string         // of a message
	Focus  map[string]any
	Kind   string // of the focus: "Claim:claim"; of a message "message:EVENT"

	at   resource              // of the focus
	of   map[string][]resource // by type
	list []resource            // in the order of the document, contained ones behind those that hold them
	refs map[string]resource   // by full URL and by Type/id; a nil body: more than one
}

// Parse reads a document. known are the modifier extensions and implicit rules that are understood.
func Parse(b []byte, known ...string) (*Document, error) {
	v, err := strictjson.Decode(b, strictjson.Request())
	var bad *strictjson.Error
	if errors.As(err, &bad) {
		return nil, &Error{Rule: string(bad.Kind), Path: bad.Path, What: "not the JSON that is taken"}
	}
	root, ok := v.(map[string]any)
	if !ok {
		return nil, &Error{Rule: RuleForm, What: "not an object"}
	}
	if root["resourceType"] == "Parameters" {
		if root, err = unwrap(root); err != nil {
			return nil, err
		}
	}
	d := &Document{Root: root, refs: map[string]resource{}, of: map[string][]resource{}}
	if root["resourceType"] == "Bundle" {
		err = d.readBundle()
	} else {
		err = d.add(root, "", "", 0)
	}
	if err != nil {
		return nil, err
	}
	c := checker{d: d, known: known}
	if c.object(root, resource{}, ""); c.err != nil {
		return nil, c.err
	}
	for _, r := range d.list {
		name, _ := r.body["resourceType"].(string)
		d.of[name] = append(d.of[name], r)
	}
	return d, d.findFocus()
}

// unwrap takes the one resource out of Parameters.
func unwrap(p map[string]any) (map[string]any, error) {
	if _, there := p["implicitRules"]; there {
		return nil, &Error{Rule: RuleImplicit, What: "implicitRules of Parameters", Path: "/implicitRules"}
	}
	list := strictjson.Rows(p, "parameter")
	if len(list) == 1 && list[0]["name"] == "resource" {
		if r, ok := list[0]["resource"].(map[string]any); ok {
			return r, nil
		}
	}
	return nil, &Error{Rule: RuleForm, What: "Parameters must hold exactly one parameter: resource", Path: "/parameter"}
}

func (d *Document) readBundle() error {
	kind, _ := d.Root["type"].(string)
	switch kind {
	case "message", "transaction", "collection":
	default:
		return &Error{Rule: RuleBundle, What: "type must be message, transaction or collection", Path: "/type"}
	}
	d.Bundle = kind
	entries, ok := d.Root["entry"].([]any)
	if !ok || len(entries) == 0 {
		return &Error{Rule: RuleBundle, What: "no entries", Path: "/entry"}
	}
	for i, v := range entries {
		at := "/entry/" + strconv.Itoa(i)
		e, _ := v.(map[string]any)
		r, ok := e["resource"].(map[string]any)
		if !ok {
			return &Error{Rule: RuleBundle, What: "an entry without a resource", Path: at + "/resource"}
		}
		full, _ := e["fullUrl"].(string)
		if err := d.add(r, full, at+"/resource", i); err != nil {
			return err
		}
		if err := request(kind, e, r, at+"/request"); err != nil {
			return err
		}
	}
	return nil
}

// request checks what a transaction wants done with an entry: resources are handed in, nothing else.
func request(kind string, e, r map[string]any, at string) error {
	req, there := e["request"].(map[string]any)
	switch {
	case kind != "transaction":
		return nil
	case !there:
		return &Error{Rule: RuleBundle, What: "an entry of a transaction needs a request", Path: at}
	}
	method, _ := req["method"].(string)
	url, _ := req["url"].(string)
	name, _ := r["resourceType"].(string)
	if method != "POST" && method != "PUT" {
		return &Error{Rule: RuleBundle, What: "method must be POST or PUT", Path: at + "/method"}
	}
	if t, _, _ := strings.Cut(url, "/"); t != name || strings.ContainsRune(url, '?') {
		return &Error{Rule: RuleBundle, What: "url does not name the resource's type", Path: at + "/url"}
	}
	for _, m := range []string{"ifMatch", "ifNoneMatch", "ifModifiedSince", "ifNoneExist"} {
		if _, there := req[m]; there {
			return &Error{Rule: RuleBundle, What: m + " is not supported: nothing is stored here", Path: at + "/" + m}
		}
	}
	return nil
}

// add takes a resource with those it contains.
func (d *Document) add(r map[string]any, full, at string, entry int) error {
	if err := d.typed(r, at); err != nil {
		return err
	}
	it := resource{r, r, entry}
	d.list = append(d.list, it)
	name, _ := r["resourceType"].(string)
	keys := map[string]bool{tail(full): true}
	if id, _ := r["id"].(string); id != "" {
		keys[name+"/"+id] = true
	}
	for key := range keys {
		if _, twice := d.refs[key]; twice {
			d.refs[key] = resource{in: r}
		} else if key != "" {
			d.refs[key] = it
		}
	}
	if full != "" {
		if _, twice := d.refs[full]; twice {
			return &Error{Rule: RuleReference, What: "two entries have one fullUrl", Path: strings.TrimSuffix(at, "/resource") + "/fullUrl"}
		}
		d.refs[full] = it
	}
	inside := list(r["contained"])
	if len(inside) > maxContained {
		return &Error{Rule: RuleForm, What: "too many contained resources", Path: at + "/contained"}
	}
	for i, v := range inside {
		c, _ := v.(map[string]any)
		if err := d.typed(c, at+"/contained/"+strconv.Itoa(i)); err != nil {
			return err
		}
		d.list = append(d.list, resource{c, r, entry})
	}
	if len(d.list) > maxResources {
		return &Error{Rule: RuleBundle, What: "too many resources", Path: "/entry"}
	}
	return nil
}

func (d *Document) typed(r map[string]any, at string) error {
	if name, _ := r["resourceType"].(string); !taken(name) {
		return &Error{Rule: RuleType, What: "resource type " + named(name) + " is not taken", Path: at + "/resourceType"}
	}
	return nil
}

// named repeats a name of theirs, when it is one.
func named(s string) string {
	if s == "" {
		return "(none)"
	}
	for _, c := range s {
		if c < '!' || c > '~' {
			return "(?)"
		}
	}
	return s[:min(len(s), 200)]
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// checker looks for what changes a meaning, and for references that lead nowhere.
type checker struct {
	d     *Document
	known []string
	err   error
}

func (c *checker) fail(rule, what, at string) {
	if c.err == nil {
		c.err = &Error{rule, what, at}
	}
}

func (c *checker) value(v any, in resource, at string) {
	switch x := v.(type) {
	case map[string]any:
		c.object(x, in, at)
	case []any:
		for i, e := range x {
			if c.err != nil {
				return
			}
			c.value(e, in, at+"/"+strconv.Itoa(i))
		}
	}
}

func (c *checker) object(m map[string]any, in resource, at string) {
	if _, is := m["resourceType"]; is {
		in.body = m
		if in.in == nil || !strings.Contains(at, "/contained/") {
			in.in = m
		}
		c.status(m, at)
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names) // the same document gives the same error
	for _, name := range names {
		if c.err != nil {
			return
		}
		here := at + "/" + bind.Escape(name)
		switch name {
		case "modifierExtension":
			c.modifiers(m[name], here)
		case "implicitRules":
			if s, _ := m[name].(string); !slices.Contains(c.known, s) {
				c.fail(RuleImplicit, named(s), here)
			}
		case "reference":
			if s, ok := m[name].(string); ok {
				c.reference(s, in, here)
			}
		}
		c.value(m[name], in, here)
	}
}

func (c *checker) modifiers(v any, at string) {
	exts := list(v)
	if len(exts) == 0 {
		c.fail(RuleForm, "not a list of extensions", at)
	}
	for i, x := range exts {
		url, _ := strictjson.Get(x, "url").(string)
		if !slices.Contains(c.known, url) {
			c.fail(RuleModifier, named(url), at+"/"+strconv.Itoa(i))
		}
	}
}

// status refuses what its author took back: a row that was entered in error is no charge.
func (c *checker) status(m map[string]any, at string) {
	if m["status"] == "entered-in-error" {
		c.fail(RuleStatus, "entered-in-error", at+"/status")
	}
	for _, x := range list(strictjson.Get(m, "verificationStatus", "coding")) {
		if code, _ := strictjson.Get(x, "code").(string); code == "entered-in-error" || code == "refuted" {
			c.fail(RuleStatus, code, at+"/verificationStatus")
		}
	}
}

// reference checks one that can only lead somewhere inside the document.
func (c *checker) reference(s string, in resource, at string) {
	inside := strings.HasPrefix(s, "#") || strings.HasPrefix(s, "urn:")
	r, found := c.d.resolve(s, in.in)
	switch {
	case found && r.body == nil:
		c.fail(RuleReference, "more than one resource is meant by "+kindOf(s), at)
	case !found && inside:
		c.fail(RuleReference, "nothing in the document is meant by "+kindOf(s), at)
	}
}

// kindOf says what a reference looks like without its id, which may be a patient's number.
func kindOf(s string) string {
	for _, p := range []string{"#", "urn:uuid:", "urn:oid:", "urn:"} {
		if strings.HasPrefix(s, p) {
			return p + "…"
		}
	}
	t, _, _ := strings.Cut(s, "/")
	if taken(t) {
		return t + "/…"
	}
	return "…"
}

// resolve finds what a reference means. found with a nil body: more than one.
func (d *Document) resolve(s string, in map[string]any) (r resource, found bool) {
	if id, ok := strings.CutPrefix(s, "#"); ok {
		if id == "" {
			return resource{body: in, in: in}, in != nil
		}
		for _, v := range list(in["contained"]) {
			if c, ok := v.(map[string]any); ok && c["id"] == id {
				if found {
					return resource{in: in}, true
				}
				r, found = resource{body: c, in: in}, true
			}
		}
		return r, found
	}
	s, _, _ = strings.Cut(s, "/_history/")
	if r, found = d.refs[s]; found {
		return r, true
	}
	// An absolute reference to an entry that has no fullUrl, or the other way round.
	if key := tail(s); key != "" {
		r, found = d.refs[key]
	}
	return r, found
}

// tail is Type/id at the end of a URL, "" when it does not end so.
func tail(url string) string {
	parts := strings.Split(url, "/")
	if n := len(parts); n > 2 && taken(parts[n-2]) && parts[n-1] != "" {
		return parts[n-2] + "/" + parts[n-1]
	}
	return ""
}

// findFocus says what the document is about.
func (d *Document) findFocus() error {
	if d.Bundle == "message" {
		head := d.list[0].body
		if head["resourceType"] != "MessageHeader" {
			return &Error{Rule: RuleBundle, What: "the first entry of a message must be its MessageHeader", Path: "/entry/0/resource"}
		}
		d.Event, _ = strictjson.Get(head, "eventCoding", "code").(string)
		if uri, ok := head["eventUri"].(string); ok && d.Event == "" {
			d.Event = uri[strings.LastIndexAny(uri, "/:#")+1:]
		}
		if d.Event == "" {
			return &Error{Rule: RuleForm, What: "the message has no event", Path: "/entry/0/resource/eventCoding"}
		}
		d.Focus, d.Kind, d.at = head, "message:"+d.Event, d.list[0]
		return nil
	}
	for _, f := range first {
		if len(d.of[f.name]) == 0 {
			continue
		}
		r := d.of[f.name][0]
		d.Focus, d.Kind, d.at = r.body, f.name, r
		if k, _ := r.body[f.kind].(string); k != "" {
			d.Kind += ":" + k
		}
		return nil
	}
	return &Error{Rule: RuleType, What: "nothing that can be acted on: a Claim, Invoice, ChargeItem, Encounter, Condition, Procedure, Coverage or Patient"}
}

// ID is what the sender calls the document: the Bundle's identifier, else the focus's, else the id of either.
func (d *Document) ID() string {
	for _, m := range []map[string]any{d.Root, d.Focus} {
		for _, row := range strictjson.Rows(m, "identifier") {
			if s, _ := row["value"].(string); s != "" {
				return s
			}
		}
	}
	for _, m := range []map[string]any{d.Root, d.Focus} {
		if s, _ := m["id"].(string); s != "" {
			return s
		}
	}
	return ""
}
