package rest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"yiqiao/adapters/his/bind"
	"yiqiao/gateway"
	"yiqiao/schemas/check"
	"yiqiao/schemas/strictjson"
)

// described are the Go types behind the schemas of openapi.json.
var described = map[string]reflect.Type{
	"Operator":          reflect.TypeFor[gateway.Operator](),
	"Transact":          reflect.TypeFor[gateway.Transact](),
	"Transaction":       reflect.TypeFor[gateway.Transaction](),
	"Coded":             reflect.TypeFor[gateway.Coded](),
	"Credential":        reflect.TypeFor[gateway.Credential](),
	"Visit":             reflect.TypeFor[gateway.VisitInfo](),
	"Diagnosis":         reflect.TypeFor[gateway.Diagnosis](),
	"Fee":               reflect.TypeFor[gateway.Fee](),
	"OpenSettlement":    reflect.TypeFor[gateway.OpenSettlement](),
	"ConfirmSettlement": reflect.TypeFor[gateway.ConfirmSettlement](),
	"RefundSettlement":  reflect.TypeFor[gateway.RefundSettlement](),
	"Settlement":        reflect.TypeFor[gateway.Settlement](),
	"StayInfo":          reflect.TypeFor[gateway.StayInfo](),
	"AdmitStay":         reflect.TypeFor[gateway.AdmitStay](),
	"ChargeStay":        reflect.TypeFor[gateway.ChargeStay](),
	"ChangeStay":        reflect.TypeFor[gateway.ChangeStay](),
	"StaySettlement":    reflect.TypeFor[gateway.StaySettlement](),
	"DischargeStay":     reflect.TypeFor[gateway.DischargeStay](),
	"SettleStay":        reflect.TypeFor[gateway.SettleStay](),
	"RefundStay":        reflect.TypeFor[gateway.RefundStay](),
	"Stay":              reflect.TypeFor[gateway.Stay](),
	"ClaimedBy":         reflect.TypeFor[gateway.ClaimedBy](),
	"HandDecision":      reflect.TypeFor[gateway.HandDecision](),
	"HandChoice":        reflect.TypeFor[gateway.HandChoice](),
	"ProposeReview":     reflect.TypeFor[gateway.ProposeReview](),
	"DecideReview":      reflect.TypeFor[gateway.DecideReview](),
	"JournalLine":       reflect.TypeFor[gateway.JournalLine](),
	"JournalList":       reflect.TypeFor[JournalList](),
	"AccountLine":       reflect.TypeFor[gateway.AccountLine](),
	"AccountList":       reflect.TypeFor[AccountList](),
	"DeliveryLine":      reflect.TypeFor[gateway.DeliveryLine](),
	"DeliveryState":     reflect.TypeFor[gateway.DeliveryState](),
	"DeliveryList":      reflect.TypeFor[DeliveryList](),
	"DeliveryOrder":     reflect.TypeFor[gateway.DeliveryOrder](),
	"DeliveryDone":      reflect.TypeFor[DeliveryDone](),
	"AuditLink":         reflect.TypeFor[gateway.AuditLink](),
	"AuditLine":         reflect.TypeFor[gateway.AuditLine](),
	"AuditState":        reflect.TypeFor[gateway.AuditState](),
	"Session":           reflect.TypeFor[Session](),
	"SignInBody":        reflect.TypeFor[SignInBody](),
	"PasswordBody":      reflect.TypeFor[PasswordBody](),
	"Person":            reflect.TypeFor[gateway.Person](),
	"Review":            reflect.TypeFor[gateway.Review](),
	"ReviewSubject":     reflect.TypeFor[gateway.ReviewSubject](),
	"ReviewMark":        reflect.TypeFor[gateway.ReviewMark](),
	"ReviewStep":        reflect.TypeFor[gateway.ReviewStep](),
	"ReviewWaiting":     reflect.TypeFor[gateway.ReviewWaiting](),
	"ReviewList":        reflect.TypeFor[gateway.ReviewList](),
	"SaleRow":           reflect.TypeFor[gateway.SaleRow](),
	"OpenSale":          reflect.TypeFor[gateway.OpenSale](),
	"ConfirmSale":       reflect.TypeFor[gateway.ConfirmSale](),
	"RefundSale":        reflect.TypeFor[gateway.RefundSale](),
	"Sale":              reflect.TypeFor[gateway.Sale](),
	"OpenFiling":        reflect.TypeFor[gateway.OpenFiling](),
	"WithdrawFiling":    reflect.TypeFor[gateway.WithdrawFiling](),
	"Filing":            reflect.TypeFor[gateway.Filing](),
	"IssueInvoice":      reflect.TypeFor[gateway.IssueInvoice](),
	"PayerAsked":        reflect.TypeFor[gateway.PayerAsked](),
	"Payment":           reflect.TypeFor[gateway.Payment](),
	"SelfPaid":          reflect.TypeFor[gateway.SelfPaid](),
	"SelfPaidRow":       reflect.TypeFor[gateway.SelfPaidRow](),
	"Deposit":           reflect.TypeFor[gateway.Deposit](),
	"ReverseInvoice":    reflect.TypeFor[gateway.ReverseInvoice](),
	"PaperInvoice":      reflect.TypeFor[gateway.PaperInvoice](),
	"DeliverInvoice":    reflect.TypeFor[gateway.DeliverInvoice](),
	"EInvoice":          reflect.TypeFor[gateway.EInvoice](),
	"EInvoiceList":      reflect.TypeFor[EInvoiceList](),
	"InvoiceNumber":     reflect.TypeFor[gateway.InvoiceNumber](),
	"PaperNumber":       reflect.TypeFor[gateway.PaperNumber](),
	"PaperStock":        reflect.TypeFor[gateway.PaperStock](),
	"VoidPapers":        reflect.TypeFor[gateway.VoidPapers](),
	"PaperPrint":        reflect.TypeFor[gateway.PaperPrint](),
	"SendVoucher":       reflect.TypeFor[gateway.SendVoucher](),
	"SendInvoiceFile":   reflect.TypeFor[gateway.SendInvoiceFile](),
	"InvoiceVoucherSet": reflect.TypeFor[gateway.InvoiceVoucherSet](),
	"InvoiceStep":       reflect.TypeFor[gateway.InvoiceStep](),
	"Amounts":           reflect.TypeFor[gateway.Amounts](),
	"FundPart":          reflect.TypeFor[gateway.FundPart](),
	"Step":              reflect.TypeFor[gateway.Step](),
	"Finding":           reflect.TypeFor[check.Finding](),
	"Problem":           reflect.TypeFor[Problem](),
	"Text":              reflect.TypeFor[Text](),
	"Index":             reflect.TypeFor[Index](),
	"Health":            reflect.TypeFor[Health](),
	"RowPart":           reflect.TypeFor[gateway.RowPart](),
	"Refund":            reflect.TypeFor[gateway.Refund](),
	"OpenCount":         reflect.TypeFor[gateway.OpenCount](),
	"ErrorTable":        reflect.TypeFor[ErrorTable](),
	"ErrorEntry":        reflect.TypeFor[ErrorEntry](),
}

type object = map[string]any

func description(t *testing.T) object {
	t.Helper()
	v, err := strictjson.Decode(openAPI, strictjson.Request())
	if err != nil {
		t.Fatal(err)
	}
	return v.(object)
}

// at follows names into nested objects; what is missing is nil.
func at(v any, names ...string) any {
	for _, n := range names {
		m, _ := v.(object)
		v = m[n]
	}
	return v
}

func texts(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, x := range list {
		out = append(out, x.(string))
	}
	slices.Sort(out)
	return out
}

func testHandler(t *testing.T) *Handler {
	t.Helper()
	h := &Handler{}
	if err := h.bindings(); err != nil {
		t.Fatal(err)
	}
	return h
}

// Every route is described, and nothing else is.
func TestRoutesAreDescribed(t *testing.T) {
	h, err := New(minimal())
	if err != nil {
		t.Fatal(err)
	}
	param := regexp.MustCompile(`:(\w+)`)
	var have, told []string
	for _, r := range h.engine.Routes() {
		have = append(have, r.Method+" "+param.ReplaceAllString(r.Path, "{$1}"))
	}
	shapes := map[string]string{}
	for path, ops := range at(description(t), "paths").(object) {
		for method := range ops.(object) {
			told = append(told, strings.ToUpper(method)+" "+path)
		}
		shape := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, "{}")
		if other, twice := shapes[shape]; twice {
			t.Errorf("%s and %s are one path to OpenAPI", path, other)
		}
		shapes[shape] = path
	}
	slices.Sort(have)
	slices.Sort(told)
	if !slices.Equal(have, told) {
		t.Errorf("routes    %q\ndescribed %q", have, told)
	}
}

// Every operation names the parameters of its path, and the public ones say they need no key.
func TestOperations(t *testing.T) {
	doc := description(t)
	ids := map[string]bool{}
	for path, ops := range at(doc, "paths").(object) {
		for method, op := range ops.(object) {
			id, _ := at(op, "operationId").(string)
			if id == "" || ids[id] {
				t.Errorf("%s %s: operationId %q", method, path, id)
			}
			ids[id] = true
			var named []string
			params, _ := at(op, "parameters").([]any)
			idempotency := false
			for _, p := range params {
				if at(p, "in") == "path" {
					named = append(named, "{"+at(p, "name").(string)+"}")
				}
				idempotency = idempotency || at(p, "$ref") == "#/components/parameters/IdempotencyKey"
			}
			if want := regexp.MustCompile(`\{\w+\}`).FindAllString(path, -1); !slices.Equal(named, want) {
				t.Errorf("%s %s names %v", method, path, named)
			}
			ofPeople := strings.HasPrefix(path, "/api/v1/sessions") || strings.HasPrefix(path, "/api/v1/reviews") || strings.HasPrefix(path, "/api/v1/operations")
			if idempotency != (method == "post" && !strings.HasPrefix(path, "/api/v1/sessions")) {
				t.Errorf("%s %s: Idempotency-Key described: %v", method, path, idempotency)
			}
			guarded := strings.HasPrefix(path, "/api/v1/") && path != "/api/v1/errors"
			if ofPeople {
				list, _ := at(op, "security").([]any)
				session := slices.ContainsFunc(list, func(v any) bool { return at(v, "session") != nil })
				if session == (id == "signIn") {
					t.Errorf("%s %s: what a person needs is described wrongly", method, path)
				}
			} else if _, public := op.(object)["security"]; public == guarded {
				t.Errorf("%s %s: security is wrong", method, path)
			}
			if guarded && at(op, "responses", "default") == nil {
				t.Errorf("%s %s: no problem answer", method, path)
			}
		}
	}
}

// Every member of every struct is in its schema, and the other way round.
func TestSchemasHaveEveryMember(t *testing.T) {
	schemas := at(description(t), "components", "schemas").(object)
	for name, typ := range described {
		var have []string
		for i := range typ.NumField() {
			if n, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ","); n != "-" {
				have = append(have, n)
				if !fits(at(schemas[name], "properties", n), typ.Field(i).Type, schemas) {
					t.Errorf("%s.%s: the schema is not that of a %s", name, n, typ.Field(i).Type)
				}
			}
		}
		props, _ := at(schemas[name], "properties").(object)
		told := slices.Sorted(maps.Keys(props))
		slices.Sort(have)
		if !slices.Equal(have, told) {
			t.Errorf("%s has  %q\ndescribed %q", name, have, told)
		}
	}
	for name, s := range schemas {
		if _, ok := described[name]; !ok && at(s, "type") == "object" {
			t.Errorf("schema %s describes nothing", name)
		}
	}
}

// fits reports whether a schema is of the JSON kind that a Go type is written as.
func fits(s any, t reflect.Type, schemas object) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if r, ok := at(s, "$ref").(string); ok {
		name := strings.TrimPrefix(r, "#/components/schemas/")
		if named, ok := described[name]; ok {
			return named == t
		}
		s = schemas[name]
	}
	kind := at(s, "type")
	switch {
	case t == reflect.TypeFor[time.Time]():
		return kind == "string" && at(s, "format") == "date-time"
	case t.Kind() == reflect.String:
		return kind == "string" || len(texts(kind)) == 2
	case t.Kind() == reflect.Bool:
		return kind == "boolean"
	case t.Kind() == reflect.Int:
		return kind == "integer"
	case t.Kind() == reflect.Map:
		return kind == "object"
	case t.Kind() == reflect.Slice:
		return kind == "array" && fits(at(s, "items"), t.Elem(), schemas)
	case t.Kind() == reflect.Interface:
		return s != nil
	}
	return false
}

// Every error code is listed with its status.
func TestCodesAreDescribed(t *testing.T) {
	code := at(description(t), "components", "schemas", "Code")
	var have []string
	status := object{}
	for c, w := range gateway.Codes {
		have = append(have, string(c))
		status[string(c)] = json.Number(fmt.Sprint(w.Status))
	}
	slices.Sort(have)
	if told := texts(at(code, "enum")); !slices.Equal(have, told) {
		t.Errorf("codes     %q\ndescribed %q", have, told)
	}
	if told := at(code, "x-status"); !reflect.DeepEqual(told, any(status)) {
		t.Errorf("statuses  %v\ndescribed %v", status, told)
	}
}

// The states and owners a client may meet are listed.
func TestEnumsAreComplete(t *testing.T) {
	schemas := at(description(t), "components", "schemas")
	for name, want := range map[string][]string{
		"State": {string(gateway.StatePrepared), string(gateway.StateSent), string(gateway.StateDone), string(gateway.StateRefused),
			string(gateway.StateUnknown), string(gateway.StateReversed), string(gateway.StateAbsent), string(gateway.StateParked)},
		"BillState": {string(gateway.BillOpening), string(gateway.BillPresettled), string(gateway.BillSettling), string(gateway.BillSettled),
			string(gateway.BillRefunding), string(gateway.BillResettling), string(gateway.BillRefunded), string(gateway.BillCancelled), string(gateway.BillFailed)},
		"StayState": {string(gateway.StayAdmitting), string(gateway.StayIn), string(gateway.StayDischarged), string(gateway.StaySettling),
			string(gateway.StaySettled), string(gateway.StayRefunding), string(gateway.StayCancelled), string(gateway.StayFailed)},
		"SaleState": {string(gateway.SaleOpening), string(gateway.SalePresettled), string(gateway.SaleSettling), string(gateway.SaleSettled),
			string(gateway.SaleRefunding), string(gateway.SaleRefunded), string(gateway.SaleFailed)},
		"FilingState": {string(gateway.FilingOpening), string(gateway.FilingFiled), string(gateway.FilingWithdrawing), string(gateway.FilingWithdrawn),
			string(gateway.FilingFailed)},
		"Owner": {string(gateway.OwnerHIS), string(gateway.OwnerDesk), string(gateway.OwnerOperator), string(gateway.OwnerCentre)},
	} {
		slices.Sort(want)
		if got := texts(at(schemas, name, "enum")); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// Every example in the description is valid by it.
func TestExamplesAreValid(t *testing.T) {
	doc := description(t)
	n := 0
	var walk func(v any, path string)
	walk = func(v any, path string) {
		switch x := v.(type) {
		case object:
			if ex, ok := x["example"]; ok && x["schema"] != nil {
				n++
				for _, fault := range (validator{doc}).faults(x["schema"], ex, "") {
					t.Errorf("%s: %s", path, fault)
				}
			}
			for k, v := range x {
				walk(v, path+"/"+bind.Escape(k))
			}
		case []any:
			for i, v := range x {
				walk(v, fmt.Sprint(path, "/", i))
			}
		}
	}
	walk(doc, "")
	if n < 20 {
		t.Errorf("only %d examples", n)
	}
}

// What the description calls required, too long or of a wrong type is what the program refuses.
func TestRequestsAreJudgedAsDescribed(t *testing.T) {
	doc := description(t)
	h := testHandler(t)
	for path, judge := range map[string]func(any) []check.Finding{
		"/api/v1/transactions/{id}":               func(v any) []check.Finding { _, f := h.transact.Bind(v); return f },
		"/api/v1/settlements":                     func(v any) []check.Finding { _, f := h.opening.Bind(v); return f },
		"/api/v1/settlements/{id}/confirm":        func(v any) []check.Finding { _, f := h.confirm.Bind(v); return f },
		"/api/v1/settlements/{id}/refund":         func(v any) []check.Finding { _, f := h.refund.Bind(v); return f },
		"/api/v1/reviews":                         func(v any) []check.Finding { _, f := h.review.propose.Bind(v); return f },
		"/api/v1/reviews/{id}/approve":            func(v any) []check.Finding { _, f := h.review.decide.Bind(v); return f },
		"/api/v1/reviews/{id}/reject":             func(v any) []check.Finding { _, f := h.review.decide.Bind(v); return f },
		"/api/v1/operations/deliveries/{id}/skip": func(v any) []check.Finding { _, f := h.delivery.Bind(v); return f },
		"/api/v1/pharmacy-sales":                  func(v any) []check.Finding { _, f := h.cases.sale.Bind(v); return f },
		"/api/v1/pharmacy-sales/{id}/confirm":     func(v any) []check.Finding { _, f := h.cases.confirm.Bind(v); return f },
		"/api/v1/pharmacy-sales/{id}/refund":      func(v any) []check.Finding { _, f := h.cases.refund.Bind(v); return f },
		"/api/v1/filings":                         func(v any) []check.Finding { _, f := h.cases.filing.Bind(v); return f },
		"/api/v1/filings/{id}/withdraw":           func(v any) []check.Finding { _, f := h.cases.withdraw.Bind(v); return f },
		"/api/v1/stays":                           func(v any) []check.Finding { _, f := h.stay.admit.Bind(v); return f },
		"/api/v1/stays/{id}/fees":                 func(v any) []check.Finding { _, f := h.stay.charge.Bind(v); return f },
		"/api/v1/stays/{id}/change":               func(v any) []check.Finding { _, f := h.stay.change.Bind(v); return f },
		"/api/v1/stays/{id}/discharge":            func(v any) []check.Finding { _, f := h.stay.discharge.Bind(v); return f },
		"/api/v1/stays/{id}/settle":               func(v any) []check.Finding { _, f := h.stay.settle.Bind(v); return f },
		"/api/v1/stays/{id}/refund":               func(v any) []check.Finding { _, f := h.stay.refund.Bind(v); return f },
		"/api/v1/einvoices":                       func(v any) []check.Finding { _, f := h.invoice.issue.Bind(v); return f },
		"/api/v1/einvoices/{id}/reverse":          func(v any) []check.Finding { _, f := h.invoice.reverse.Bind(v); return f },
		"/api/v1/einvoices/{id}/paper":            func(v any) []check.Finding { _, f := h.invoice.paper.Bind(v); return f },
		"/api/v1/einvoices/{id}/deliver":          func(v any) []check.Finding { _, f := h.invoice.deliver.Bind(v); return f },
		"/api/v1/einvoices/{id}/voucher":          func(v any) []check.Finding { _, f := h.paper.voucher.Bind(v); return f },
		"/api/v1/einvoices/{id}/file":             func(v any) []check.Finding { _, f := h.paper.file.Bind(v); return f },
		"/api/v1/einvoice-papers/void":            func(v any) []check.Finding { _, f := h.paper.void.Bind(v); return f },
	} {
		content := at(doc, "paths", path, "post", "requestBody", "content", "application/json")
		schema, example := at(content, "schema"), at(content, "example")
		if found := judge(example); len(found) > 0 {
			t.Errorf("%s: the example is refused: %v", path, found)
		}
		n := 0
		spoil(example, "", func(at string) {
			n++
			told := (validator{doc}).faults(schema, example, "")
			found := judge(example)
			// Members of input and extra are the desk's business, request_id that of identify.
			if at == "/request_id" || strings.HasPrefix(at, "/input") || strings.HasPrefix(at, "/details/") {
				return
			}
			if (len(told) > 0) != (len(found) > 0) {
				t.Errorf("%s spoilt at %s: described %v, judged %v", path, at, told, found)
			}
		})
		if n < 10 {
			t.Errorf("%s was spoilt in %d ways only", path, n)
		}
	}
}

// spoil makes one change after another somewhere in v, calls try, and takes it back.
func spoil(v any, path string, try func(at string)) {
	set := func(put func(any), old any, at string) {
		for _, bad := range []any{json.Number("7"), "x", strings.Repeat("长", 60), strings.Repeat("长", 4001), true, []any{}, object{}, object{"?": "?"}} {
			put(bad)
			try(at)
		}
		put(old)
	}
	switch x := v.(type) {
	case object:
		for k, old := range x {
			at := path + "/" + k
			delete(x, k)
			try(at)
			set(func(v any) { x[k] = v }, old, at)
			spoil(old, at, try)
		}
		if path != "" {
			x["undeclared"] = "x"
			if !strings.HasSuffix(path, "/extra") {
				try(path)
			}
			delete(x, "undeclared")
		}
	case []any:
		for i, old := range x {
			at := fmt.Sprint(path, "/", i)
			set(func(v any) { x[i] = v }, old, at)
			spoil(old, at, try)
		}
	}
}

// validator knows the part of JSON Schema that openapi.json uses; another keyword is a fault.
type validator struct{ doc object }

func (v validator) faults(schema, value any, path string) (out []string) {
	s, ok := schema.(object)
	if !ok {
		return []string{path + ": no schema"}
	}
	bad := func(format string, a ...any) { out = append(out, path+": "+fmt.Sprintf(format, a...)) }
	for key, rule := range s {
		switch key {
		case "description", "format", "x-status", "required", "properties":
		case "$ref":
			target := at(v.doc, strings.Split(strings.TrimPrefix(rule.(string), "#/"), "/")...)
			out = append(out, v.faults(target, value, path)...)
		case "type":
			kinds := texts(rule)
			if one, ok := rule.(string); ok {
				kinds = []string{one}
			}
			if !slices.Contains(kinds, kindOf(value)) && !(slices.Contains(kinds, "integer") && isInteger(value)) {
				bad("a %s, want %v", kindOf(value), kinds)
			}
		case "enum":
			if text, _ := value.(string); !slices.Contains(texts(rule), text) {
				bad("not in %v", rule)
			}
		case "pattern":
			if text, ok := value.(string); ok && !regexp.MustCompile(rule.(string)).MatchString(text) {
				bad("not like %s", rule)
			}
		case "maxLength":
			longest, err := rule.(json.Number).Int64()
			if text, ok := value.(string); err != nil || ok && utf8.RuneCountInString(text) > int(longest) {
				bad("longer than %v", rule)
			}
		case "items":
			list, _ := value.([]any)
			for i, x := range list {
				out = append(out, v.faults(rule, x, fmt.Sprint(path, "/", i))...)
			}
		case "additionalProperties":
			m, _ := value.(object)
			for name, x := range m {
				if at(s, "properties", name) != nil {
					continue
				}
				if rule == false {
					bad("undeclared member %s", name)
				} else {
					out = append(out, v.faults(rule, x, path+"/"+name)...)
				}
			}
		default:
			bad("the validator does not know %q", key)
		}
	}
	if m, ok := value.(object); ok {
		for _, name := range texts(s["required"]) {
			if _, has := m[name]; !has {
				bad("no %s", name)
			}
		}
		for name, x := range m {
			if inner := at(s, "properties", name); inner != nil {
				out = append(out, v.faults(inner, x, path+"/"+name)...)
			}
		}
	}
	return out
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case json.Number:
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

func isInteger(v any) bool {
	n, ok := v.(json.Number)
	return ok && !strings.ContainsAny(n.String(), ".eE")
}
