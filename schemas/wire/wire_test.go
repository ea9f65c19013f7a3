package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"yiqiao/schemas/spec"
	"yiqiao/schemas/strictjson"
)

func sample() Request {
	return Request{
		Infno: "2207", MsgID: "H43010012345202601020304050007", MdtrtArea: "430100", InsuplcArea: "430102", Receiver: "YBXT",
		Version: "V1.0", OperatorType: "1", Operator: "D001", OperatorName: "收费员<一>", Time: "2026-01-02 03:04:05",
		Institution: "H43010012345", InstitutionNm: "示范医院", SignNo: "S1",
		Input: json.RawMessage(`{"data":{"psn_no":"43000000000000000001","medfee_sumamt":12.30}}`),
	}
}

const golden = `{"infno":"2207","msgid":"H43010012345202601020304050007","mdtrtarea_admvs":"430100","insuplc_admdvs":"430102",` +
	`"recer_sys_code":"YBXT","dev_no":"","dev_safe_info":"","cainfo":"","signtype":"","infver":"V1.0","opter_type":"1","opter":"D001",` +
	`"opter_name":"收费员<一>","inf_time":"2026-01-02 03:04:05","fixmedins_code":"H43010012345","fixmedins_name":"示范医院","sign_no":"S1",` +
	`"input":{"data":{"psn_no":"43000000000000000001","medfee_sumamt":12.30}}}`

func TestEncodeRequestGolden(t *testing.T) {
	r := sample()
	b, err := EncodeRequest(r)
	if err != nil || string(b) != golden {
		t.Fatalf("got %s, %v", b, err)
	}
	r.Extra = map[string]string{"serv_sign": "b\"", "serv_code": "", "enc_type": "SM4"}
	b, err = EncodeRequest(r)
	want := strings.Replace(golden, `"input":`, `"enc_type":"SM4","serv_code":"","serv_sign":"b\"","input":`, 1)
	if err != nil || string(b) != want {
		t.Fatalf("with extra members: got %s, %v", b, err)
	}
}

// The code's own table must say what the published one says.
func TestColumnsAreThePublishedOnes(t *testing.T) {
	raw, err := spec.FS.ReadFile("envelope.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Request struct {
			Fields []struct {
				Code, Length string
				Required     any
			}
		}
	}
	if err := json.Unmarshal(raw, &table); err != nil {
		t.Fatal(err)
	}
	cols := columns()
	if len(table.Request.Fields) != len(cols)+1 || table.Request.Fields[len(cols)].Code != memberInput {
		t.Fatalf("%d members published, input not last or not %d", len(table.Request.Fields), len(cols)+1)
	}
	seen := map[string]bool{}
	for i, c := range cols {
		f := table.Request.Fields[i]
		want, err := strconv.Atoi(f.Length)
		if err != nil {
			t.Fatal(err)
		}
		if f.Code == "fixmedins_name" {
			want = 200 // published as 20 and as 200
		}
		if c.name != f.Code || c.most != want || c.required != (f.Required == true) {
			t.Errorf("%s %d %v, published %s %s %v", c.name, c.most, c.required, f.Code, f.Length, f.Required)
		}
		var r Request
		c.set(&r, c.name)
		if c.get(&r) != c.name || seen[c.get(&r)] {
			t.Errorf("%s does not come back", c.name)
		}
		seen[c.name] = true
		for j, d := range cols {
			if j != i && d.get(&r) != "" {
				t.Errorf("%s and %s share a place", c.name, d.name)
			}
		}
	}
}

func wantField(t *testing.T, what string, err error, field, rule string) {
	t.Helper()
	var e *FieldError
	if !errors.As(err, &e) || e.Field != field || e.Rule != rule {
		t.Errorf("%s: got %v, want %s: %s", what, err, field, rule)
	}
}

func TestEncodeRequestRefuses(t *testing.T) {
	for _, c := range columns() {
		r := sample()
		c.set(&r, "")
		_, err := EncodeRequest(r)
		if c.required {
			wantField(t, "without "+c.name, err, c.name, RuleMissing)
		} else if err != nil {
			t.Errorf("without %s: %v", c.name, err)
		}
		r = sample()
		c.set(&r, strings.Repeat("医", c.most+1))
		_, err = EncodeRequest(r)
		wantField(t, "long "+c.name, err, c.name, RuleLength)
		r = sample()
		c.set(&r, strings.Repeat("医", c.most))
		switch _, err = EncodeRequest(r); c.name {
		case "infno", "msgid", "inf_time", "fixmedins_code":
			wantField(t, "odd "+c.name, err, c.name, RuleFormat)
		default:
			if err != nil {
				t.Errorf("%s of exactly %d characters: %v", c.name, c.most, err)
			}
		}
		r = sample()
		c.set(&r, "\xff")
		_, err = EncodeRequest(r)
		wantField(t, "bytes in "+c.name, err, c.name, RuleFormat)
	}
	for _, at := range []string{"2026-01-02T03:04:05", "2026-02-30 03:04:05", "2026-1-2 3:04:05", "20260102030405", "2026-01-02 03:04:5."} {
		r := sample()
		r.Time = at
		_, err := EncodeRequest(r)
		wantField(t, at, err, "inf_time", RuleFormat)
	}
	for _, name := range []string{"", "input", "infno", "sign_no", "\xff"} {
		r := sample()
		r.Extra = map[string]string{name: "x"}
		_, err := EncodeRequest(r)
		wantField(t, "extra "+name, err, name[:min(len(name), len(strings.ToValidUTF8(name, "")))], RuleFormat)
	}
	deep := strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 32)
	for text, rule := range map[string]string{
		``: RuleMissing, `[]`: RuleType, `"cipher"`: RuleType, `null`: RuleType, `{`: RuleFormat, `{ }`: RuleFormat, `{"a":1} `: RuleFormat, `{"a":1}{}`: RuleFormat,
		`{"a":1,"a":2}`: RuleFormat, "{\"a\":\"\xff\"}": RuleFormat, `{"a":1e5}`: RuleFormat, deep: RuleFormat,
		`{"a":"` + strings.Repeat("x", 8<<20-20) + `"}`: RuleLength,
	} {
		r := sample()
		r.Input = json.RawMessage(text)
		_, err := EncodeRequest(r)
		wantField(t, fmt.Sprintf("input %.40s", text), err, "input", rule)
	}
	r := sample()
	r.Input = json.RawMessage(`{"a":1,"a":2}`)
	_, err := EncodeRequest(r)
	var e *strictjson.Error
	if !errors.As(err, &e) || e.Kind != strictjson.Duplicate || e.Path != "/a" {
		t.Errorf("the inner cause is lost: %v", err)
	}
	r.Input = json.RawMessage(`{"a":"` + strings.Repeat("医", InputLimit) + `"}`)
	if _, err := EncodeRequest(r); err != nil {
		t.Errorf("an input beyond the documented length: %v", err)
	}
}

func TestDecodeRequest(t *testing.T) {
	r, input, err := DecodeRequest([]byte(golden))
	if err != nil || !reflect.DeepEqual(r, sample()) {
		t.Fatalf("got %+v, %v", r, err)
	}
	if got := strictjson.Text(strictjson.Get(input, "data", "medfee_sumamt")); got != "12.30" {
		t.Errorf("input: %v", input)
	}
	b := []byte(strings.NewReplacer(`"cainfo":""`, `"cainfo":null`, `"input":{"data"`, `"serv_code":"s", "input":{ "data"`, `"sign_no":"S1",`, ``).Replace(golden))
	r, _, err = DecodeRequest(b)
	want := sample()
	want.Extra, want.SignNo = map[string]string{"serv_code": "s"}, ""
	want.Input = json.RawMessage(`{ "data":{"psn_no":"43000000000000000001","medfee_sumamt":12.30}}`)
	if err != nil || !reflect.DeepEqual(r, want) {
		t.Fatalf("got %+v, %v", r, err)
	}
	clear(b)
	if !reflect.DeepEqual(r, want) {
		t.Error("the request changed with the bytes it was read from")
	}
}

func TestDecodeRequestRefuses(t *testing.T) {
	for _, c := range []struct{ from, to, field, rule string }{
		{`"infno":"2207"`, `"infno":2207`, "infno", RuleType},
		{`"infno":"2207",`, ``, "infno", RuleMissing},
		{`"infno":"2207"`, `"infno":null`, "infno", RuleMissing},
		{`"infno":"2207"`, `"infno":""`, "infno", RuleMissing},
		{`"infno":"2207"`, `"infno":"22 7"`, "infno", RuleFormat},
		{`"infno":"2207"`, `"infno":"2207ABC"`, "infno", RuleLength},
		{`"sign_no":"S1"`, `"sign_no":1`, "sign_no", RuleType},
		{`"sign_no":"S1"`, `"sign_no":["S1"]`, "sign_no", RuleType},
		{`"sign_no":"S1"`, `"serv_code":1`, "serv_code", RuleType},
		{`"sign_no":"S1"`, `"serv_code":null`, "serv_code", RuleType},
		{`"sign_no":"S1"`, `"":"x"`, "", RuleFormat},
		{`"opter_type":"1"`, `"opter_type":"1234"`, "opter_type", RuleLength},
		{`2026-01-02 03:04:05`, `2026-01-02 24:04:05`, "inf_time", RuleFormat},
		{`0304050007"`, `030405000x"`, "msgid", RuleFormat},
		{`"input":{"data":{"psn_no":"43000000000000000001","medfee_sumamt":12.30}}`, `"dev":"x"`, "input", RuleMissing},
		{`{"data":{"psn_no":"43000000000000000001","medfee_sumamt":12.30}}`, `null`, "input", RuleMissing},
		{`{"data":{"psn_no":"43000000000000000001","medfee_sumamt":12.30}}`, `"x"`, "input", RuleType},
		{`{"data":{"psn_no":"43000000000000000001","medfee_sumamt":12.30}}`, `[]`, "input", RuleType},
	} {
		if !strings.Contains(golden, c.from) {
			t.Fatalf("%s is not in the sample", c.from)
		}
		_, _, err := DecodeRequest([]byte(strings.Replace(golden, c.from, c.to, 1)))
		wantField(t, c.to, err, c.field, c.rule)
	}
	for text, kind := range map[string]strictjson.Kind{``: strictjson.Syntax, `[]`: strictjson.Syntax, golden + `x`: strictjson.Trailing,
		strings.Replace(golden, `"dev_no"`, `"infno"`, 1):  strictjson.Duplicate,
		strings.Replace(golden, `12.30`, `1e400000000`, 1): strictjson.Number} {
		_, _, err := DecodeRequest([]byte(text))
		var e *strictjson.Error
		if !errors.As(err, &e) || e.Kind != kind {
			t.Errorf("%.60s: got %v, want %s", text, err, kind)
		}
	}
	_, _, err := DecodeRequest([]byte(`{"` + strings.Repeat("医", 3000) + `":1}`))
	if err == nil || len(err.Error()) > 200 {
		t.Errorf("a long member name comes back: %v", err)
	}
}

func TestEncodeReplyGolden(t *testing.T) {
	r := Reply{InfCode: "0", RefMsgID: "430100202601020304050000000001", RefMsgTime: "20260102030405000", RespondTime: "20260102030405123",
		Output: map[string]any{"setlinfo": map[string]any{"setl_id": "S1", "medfee_sumamt": json.Number("12.30")}}}
	want := `{"infcode":0,"inf_refmsgid":"430100202601020304050000000001","refmsg_time":"20260102030405000","respond_time":"20260102030405123",` +
		`"err_msg":"","output":{"setlinfo":{"medfee_sumamt":12.30,"setl_id":"S1"}}}`
	b, err := EncodeReply(r)
	if err != nil || string(b) != want {
		t.Fatalf("got %s, %v", b, err)
	}
	if back, err := DecodeReply(b); err != nil || !reflect.DeepEqual(back, r) || !back.OK() {
		t.Fatalf("came back as %+v, %v", back, err)
	}
	b, err = EncodeReply(Reply{InfCode: "-1", ErrMsg: "该笔结算已撤销", WarnMsg: "注意"})
	want = `{"infcode":-1,"inf_refmsgid":"","refmsg_time":"","respond_time":"","err_msg":"该笔结算已撤销","output":null,"warn_msg":"注意"}`
	if err != nil || string(b) != want {
		t.Fatalf("got %s, %v", b, err)
	}
	for code, want := range map[string]string{"0": "0", "-1": "-1", "999999999": "999999999", "1234567890": `"1234567890"`, "007": `"007"`, "E001": `"E001"`, "-": `"-"`, "1.5": `"1.5"`} {
		b, err := EncodeReply(Reply{InfCode: code})
		if err != nil || !strings.HasPrefix(string(b), `{"infcode":`+want+`,`) {
			t.Errorf("%s: got %s, %v", code, b, err)
		}
	}
	for code, rule := range map[string]string{"": RuleMissing, " 0": RuleFormat, "-0": RuleFormat, strings.Repeat("1", 33): RuleLength} {
		_, err := EncodeReply(Reply{InfCode: code})
		wantField(t, "infcode "+code, err, "infcode", rule)
	}
	_, err = EncodeReply(Reply{InfCode: "0", Output: map[string]any{"a": 1.5}})
	wantField(t, "a float", err, "output", RuleType)
}

func TestDecodeReply(t *testing.T) {
	for text, want := range map[string]Reply{
		`{"infcode":0}`: {InfCode: "0"},
		`{"infcode":"0","output":null,"extra":{"a":[1e5]}}`:                                                     {InfCode: "0"},
		`{"infcode":-1,"err_msg":null,"message":"失败"}`:                                                          {InfCode: "-1", ErrMsg: "失败"},
		`{"infcode":"-1","err_msg":"甲","message":"乙"}`:                                                          {InfCode: "-1", ErrMsg: "甲"},
		`{"infcode":"E_01","err_msg":{"b":1,"a":true}}`:                                                         {InfCode: "E_01", ErrMsg: `{"a":true,"b":1}`},
		`{"infcode":100,"respond_time":20260102030405123,"refmsg_time":null,"inf_refmsgid":7,"warn_msg":false}`: {InfCode: "100", RespondTime: "20260102030405123", RefMsgID: "7", WarnMsg: "false"},
		`{"infcode":0,"output":{"setlinfo":{"balc":"1.00","acct_pay":1.5E1,"hosp_part_amt":null}}}`: {InfCode: "0",
			Output: map[string]any{"setlinfo": map[string]any{"balc": "1.00", "acct_pay": json.Number("1.5E1"), "hosp_part_amt": nil}}},
		"\n {\"infcode\" : 0 , \"output\" : \"cipher\" }\r\n": {InfCode: "0", Output: "cipher"},
	} {
		got, err := DecodeReply([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) || got.OK() != (want.InfCode == "0") {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	for text, rule := range map[string]string{
		`{}`: RuleMissing, `{"code":0}`: RuleMissing, `{"infcode":null}`: RuleMissing, `{"infcode":""}`: RuleMissing, `{"Infcode":0}`: RuleMissing,
		`{"infcode":true}`: RuleType, `{"infcode":{}}`: RuleType, `{"infcode":[0]}`: RuleType,
		`{"infcode":" 0"}`: RuleFormat, `{"infcode":"0 "}`: RuleFormat, `{"infcode":"0\n"}`: RuleFormat, `{"infcode":"\u0000"}`: RuleFormat,
		`{"infcode":0.0}`: RuleFormat, `{"infcode":-0}`: RuleFormat, `{"infcode":"00"}`: RuleFormat, `{"infcode":0e5}`: RuleFormat, `{"infcode":"+0"}`: RuleFormat, `{"infcode":"-0.00E1"}`: RuleFormat,
		`{"infcode":"` + strings.Repeat("9", 33) + `"}`: RuleLength,
	} {
		_, err := DecodeReply([]byte(text))
		wantField(t, text, err, "infcode", rule)
	}
	for text, kind := range map[string]strictjson.Kind{
		``: strictjson.Syntax, `<html>`: strictjson.Syntax, `[{"infcode":0}]`: strictjson.Syntax, `"0"`: strictjson.Syntax, `{"infcode":0`: strictjson.Syntax,
		`{"infcode":0}{"infcode":-1}`: strictjson.Trailing, `{"infcode":0,"infcode":-1}`: strictjson.Duplicate, "{\"infcode\":0,\"err_msg\":\"\xb3\xc9\"}": strictjson.UTF8,
		`{"infcode":0,"a":1e1000001}`: strictjson.Number,
	} {
		_, err := DecodeReply([]byte(text))
		var e *strictjson.Error
		if !errors.As(err, &e) || e.Kind != kind {
			t.Errorf("%s: got %v, want %s", text, err, kind)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(golden))
	f.Add([]byte(strings.Replace(golden, `"input":{`, `"serv_code":"\ud83d\ude00","input":{ `, 1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, input, err := DecodeRequest(b)
		if err != nil {
			var field *FieldError
			var text *strictjson.Error
			if !errors.As(err, &field) && !errors.As(err, &text) {
				t.Fatalf("unknown error %T", err)
			}
			return
		}
		if again, err := strictjson.Decode(r.Input, strictjson.Request()); err != nil || !reflect.DeepEqual(again, input) {
			t.Fatalf("input %s is not %v", r.Input, input)
		}
		r.Input = strictjson.Append(nil, input)
		out, err := EncodeRequest(r)
		if err != nil {
			t.Fatalf("%+v is refused: %v", r, err)
		}
		back, _, err := DecodeRequest(out)
		if err != nil || !reflect.DeepEqual(back, r) {
			t.Fatalf("%+v came back as %+v, %v", r, back, err)
		}
	})
}

func FuzzDecodeReply(f *testing.F) {
	for _, s := range []string{`{"infcode":0,"output":{"a":[1.5E1,null]}}`, `{"infcode":"-1","message":"x","err_msg":null}`, `{"infcode":"00"}`, `{"infcode":1e1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeReply(b)
		if err != nil {
			var field *FieldError
			var text *strictjson.Error
			if !errors.As(err, &field) && !errors.As(err, &text) {
				t.Fatalf("unknown error %T", err)
			}
			return
		}
		if r.InfCode == "" || r.OK() != (r.InfCode == "0") {
			t.Fatalf("infcode %q, ok %v", r.InfCode, r.OK())
		}
		out, err := EncodeReply(r)
		if err != nil {
			t.Fatalf("%+v is refused: %v", r, err)
		}
		back, err := DecodeReply(out)
		if err != nil || !reflect.DeepEqual(back, r) {
			t.Fatalf("%+v came back as %+v, %v", r, back, err)
		}
	})
}

// fees is a 2204 message of 50 rows.
func fees() Request {
	row := `{"feedetl_sn":"SN00000001","mdtrt_id":"43000023345566","psn_no":"43000000000000123456","chrg_bchno":"B20260101001","dise_codg":"",` +
		`"rxno":"RX1","rx_circ_flag":"0","fee_ocur_time":"2026-01-01 12:00:00","med_list_codg":"XA02BCA0000001","medins_list_codg":"YP000001",` +
		`"det_item_fee_sumamt":2.50,"cnt":2.0000,"pric":1.250000,"sin_dos_dscr":"每次一片","used_frqu_dscr":"每日三次","prd_days":3,` +
		`"bilg_dept_codg":"A03.01","bilg_dept_name":"消化内科门诊","bilg_dr_codg":"D430100001234","bilg_dr_name":"张三","hosp_appr_flag":"1"}`
	r := sample()
	r.Infno = "2204"
	r.Input = json.RawMessage(`{"feedetail":[` + row + strings.Repeat(","+row, 49) + `]}`)
	return r
}

func BenchmarkEncodeRequest(b *testing.B) {
	for name, r := range map[string]Request{"small": sample(), "fees50": fees()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(r.Input)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := EncodeRequest(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeRequest(b *testing.B) {
	for name, r := range map[string]Request{"small": sample(), "fees50": fees()} {
		msg, err := EncodeRequest(r)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := DecodeRequest(msg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReply(b *testing.B) {
	r := Reply{InfCode: "0", RefMsgID: "430100202601020304050000000001", Output: map[string]any{"setlinfo": map[string]any{
		"setl_id": "S1", "medfee_sumamt": json.Number("12.30"), "fund_pay_sumamt": json.Number("2.30"), "psn_cash_pay": json.Number("10.00")}}}
	msg, err := EncodeReply(r)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := EncodeReply(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeReply(msg); err != nil {
				b.Fatal(err)
			}
		}
	})
}
