package rest_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"yiqiao/adapters/his/histest"
	"yiqiao/adapters/his/rest"
	"yiqiao/gateway"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
)

const nativeID = "H44010000012202603040506079999"

// nativeBody is a message as a present client builds it.
const nativeBody = `{"infno":"1101","msgid":"` + nativeID + `","mdtrtarea_admvs":"440100","insuplc_admdvs":"440100","recer_sys_code":"YBXT",
"dev_no":"","dev_safe_info":"","cainfo":"","signtype":"","infver":"V1.0","opter_type":"1","opter":"0001","opter_name":"张收费",
"inf_time":"2026-03-04 05:06:07","fixmedins_code":"H44010000012","fixmedins_name":"某医院","sign_no":"S1",
"input":{"data":{"mdtrt_cert_type":"02","age":61.50,"omsgid":"OLD"}}}`

func native(t *testing.T, desk gateway.Desk) *rest.Native {
	t.Helper()
	n, err := rest.NewNative(options(desk))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func post(n *rest.Native, path, key, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	return w
}

// oldIDs is a desk that knows what a request led to.
type oldIDs struct{ *histest.Desk }

func (oldIDs) Find(_ context.Context, c gateway.Caller, id string) (string, error) {
	if c.System == histest.System && id == "OLD" {
		return "H44010000012202603040506070042", nil
	}
	return "", &gateway.Error{Code: gateway.CodeNotFound}
}

func TestNativeHandsOver(t *testing.T) {
	desk := &histest.Desk{}
	n := native(t, oldIDs{desk})
	for _, path := range []string{"/native/" + histest.Key, "/native/" + histest.Key + "/1101", "/native", "/native/-/1101"} {
		w := post(n, path, histest.Key, nativeBody)
		r, err := wire.DecodeReply(w.Body.Bytes())
		if err != nil || w.Code != 200 || !r.OK() || strictjson.Text(strictjson.Get(r.Output, "baseinfo", "age")) != "61.50" || len(r.RefMsgID) != 30 {
			t.Fatalf("%s: %d %v %s", path, w.Code, err, w.Body)
		}
	}
	calls := desk.Calls()
	want := gateway.Transact{RequestID: nativeID, Infno: "1101", Institution: histest.Institution, InsuplcArea: "440100",
		Operator: gateway.Operator{ID: "0001", Name: "张收费", Type: "1"},
		Input:    map[string]any{"data": map[string]any{"mdtrt_cert_type": "02", "age": json.Number("61.50"), "omsgid": "H44010000012202603040506070042"}}}
	if !reflect.DeepEqual(calls[0].Request, want) || len(calls) != 4 || len(desk.ToldOf()) != 4 {
		t.Errorf("got  %+v\nwant %+v\n%d calls, told %d", calls[0].Request, want, len(calls), len(desk.ToldOf()))
	}
}

// Done, refused and unknown never pass for one another: what is not known has no infcode.
func TestNativeThreeValues(t *testing.T) {
	refused := histest.Transaction(nativeID, 1, gateway.StateRefused)
	for name, c := range map[string]struct {
		give   any
		status int
		code   string // infcode, "" for none
		text   string
		told   bool
	}{
		"done":          {histest.Transaction(nativeID, 1, gateway.StateDone), 200, "0", "", true},
		"refused":       {refused, 200, "-1", "该人员已暂停参保", true},
		"refused error": {&gateway.Error{Code: gateway.CodeCentreRefused, Detail: "该人员已暂停参保"}, 200, "-1", "该人员已暂停参保", true},
		"invalid":       {&gateway.Error{Code: gateway.CodeRequestInvalid, Path: "/input/data/x", Rule: "必填"}, 200, "-1", "/input/data/x", false},
		"not sent":      {&gateway.Error{Code: gateway.CodeCentreUnreachable}, 200, "-1", "centre-unreachable", false},
		"unknown":       {histest.Transaction(nativeID, 1, gateway.StateUnknown), 504, "", "outcome-unknown", false},
		"unknown error": {&gateway.Error{Code: gateway.CodeOutcomeUnknown}, 504, "", "outcome-unknown", false},
		"needs person":  {&gateway.Error{Code: gateway.CodeNeedsPerson}, 504, "", "needs-person", false},
		"in progress":   {&gateway.Error{Code: gateway.CodeRequestInProgress}, 409, "", "request-in-progress", false},
		"reused":        {&gateway.Error{Code: gateway.CodeRequestIDReused}, 409, "", "request-id-reused", false},
		"internal":      {context.DeadlineExceeded, 504, "", "outcome-unknown", false},
	} {
		desk := &histest.Desk{On: map[histest.Op]func(context.Context, gateway.Caller, any) (any, error){
			histest.OpTransact: func(context.Context, gateway.Caller, any) (any, error) {
				if err, ok := c.give.(error); ok {
					return nil, err
				}
				return c.give, nil
			}}}
		w := post(native(t, desk), "/native", histest.Key, nativeBody)
		var body struct {
			InfCode json.RawMessage `json:"infcode"`
			ErrMsg  string          `json:"err_msg"`
			Code    string          `json:"code"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		got := strings.Trim(string(body.InfCode), `"`)
		if w.Code != c.status || got != c.code || !strings.Contains(body.ErrMsg+body.Code, c.text) {
			t.Errorf("%s: %d infcode %q: %s", name, w.Code, got, w.Body)
		}
		if told := len(desk.ToldOf()) == 1; told != c.told {
			t.Errorf("%s: told is %v", name, told)
		}
	}
}

func TestNativeUpload(t *testing.T) {
	desk := &histest.Desk{On: map[histest.Op]func(context.Context, gateway.Caller, any) (any, error){
		histest.OpTransact: func(context.Context, gateway.Caller, any) (any, error) {
			return nil, &gateway.Error{Code: gateway.CodeInfnoNotAllowed, Detail: "upload class"}
		}}}
	w := post(native(t, desk), "/native", histest.Key, nativeBody)
	if r, err := wire.DecodeReply(w.Body.Bytes()); err != nil || !r.OK() || r.WarnMsg == "" || len(desk.Calls()) != 2 || desk.Calls()[1].Op != histest.OpUpload {
		t.Errorf("%v %s", err, w.Body)
	}
}

func TestNativeRefuses(t *testing.T) {
	desk := &histest.Desk{}
	n := native(t, desk)
	for name, c := range map[string]struct {
		path, key, body string
		status          int
		text            string
	}{
		"no key":       {"/native", "", nativeBody, 401, "api-key-missing"},
		"wrong key":    {"/native/nobody", "", nativeBody, 401, "api-key-wrong"},
		"too deep":     {"/native/a/b/c", histest.Key, nativeBody, 404, "not-found"},
		"not JSON":     {"/native", histest.Key, "x", 200, "body-not-json"},
		"infno":        {"/native/-/2207", histest.Key, nativeBody, 200, "/infno"},
		"no msgid":     {"/native", histest.Key, strings.Replace(nativeBody, nativeID, "", 1), 200, "/msgid"},
		"institution":  {"/native", histest.Key, strings.Replace(nativeBody, `"H44010000012","fix`, `"H44010000099","fix`, 1), 200, "institution-unknown"},
		"member twice": {"/native", histest.Key, strings.Replace(nativeBody, `"signtype":""`, `"signtype":"","signtype":""`, 1), 200, "body-duplicate-name"},
		"too large":    {"/native", histest.Key, strings.Repeat(" ", 9<<20), 413, "body-too-large"},
	} {
		w := post(n, c.path, c.key, c.body)
		r, err := wire.DecodeReply(w.Body.Bytes())
		if err != nil || r.OK() || w.Code != c.status || !strings.Contains(r.ErrMsg, c.text) {
			t.Errorf("%s: %d %v %s", name, w.Code, err, w.Body)
		}
	}
	r := httptest.NewRequest("GET", "/native", nil)
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	if w.Code != 405 || len(desk.Calls()) > 0 {
		t.Errorf("%d, %d calls", w.Code, len(desk.Calls()))
	}
}
