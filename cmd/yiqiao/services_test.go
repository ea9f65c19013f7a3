package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"yiqiao/schemas/ident"
)

// answer is what the low-level route says.
type lowAnswer struct {
	ID, State, Outcome, Code, Message string
	Output                            map[string]any
}

func (st *stage) low(t *testing.T, request, infno string, input any) (lowAnswer, string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"request_id": request, "operator": map[string]string{"id": "0101", "name": "王收费", "type": "1"}, "input": input})
	if err != nil {
		t.Fatal(err)
	}
	_, text, err := post(t.Context(), "http://"+st.gw.addr()+"/api/v1/transactions/"+infno, st.key, body)
	if err != nil {
		t.Fatal(err)
	}
	var a lowAnswer
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return a, string(text)
}

func (st *stage) done(t *testing.T, request, infno string, input any) map[string]any {
	t.Helper()
	a, text := st.low(t, request, infno, input)
	if a.Outcome != "done" {
		t.Fatalf("%s: %s", infno, text)
	}
	return a.Output
}

const payAuth = "SECRET-PAY-AUTH-NO"

func orderInput(order string) map[string]any {
	return map[string]any{"data": map[string]any{
		"orgCodg": "H44010000001", "insutype": "310", "psnNo": "44010000000000000000000001", "medOrgOrd": order, "begntime": "2026-11-23 09:00:00",
		"idNo": "999999198503120018", "userName": "测试甲", "idType": "01", "insuCode": "440100", "iptOtpNo": "MZ1", "deptCode": "A03.01", "deptName": "呼吸内科",
		"caty": "A03", "medType": "11", "feeType": "01", "medfeeSumamt": "30.00", "psnSetlway": "01", "chrgBchno": "B1", "payAuthNo": payAuth,
		"feedetailList": []any{
			map[string]any{"feedetlSn": "1", "detItemFeeSumamt": "10.00", "cnt": "1", "pric": "10.00"},
			map[string]any{"feedetlSn": "2", "detItemFeeSumamt": "20.00", "cnt": "1", "pric": "20.00"},
		},
	}}
}

// A mobile payment over the low-level route: its messages keep their names, go where their path says and are
// journalled. That 6202 was answered does not say that anything is paid; 6301 does.
func TestMobilePayment(t *testing.T) {
	st, err := newStage(t.Context(), io.Discard, io.Discard, "")
	if err != nil {
		t.Fatal(err)
	}
	defer st.stop()
	in := orderInput("ORDER-1")
	psn := st.done(t, "M-0", "1101", map[string]any{"data": map[string]any{"mdtrt_cert_type": "02", "mdtrt_cert_no": "999999198503120018", "psn_cert_type": "01", "certno": "999999198503120018", "psn_name": "测试甲"}})
	base, _ := psn["baseinfo"].(map[string]any)
	in["data"].(map[string]any)["psnNo"] = base["psn_no"]

	var ids []string
	first, answer := st.low(t, "M-1", "6201", in)
	if first.Outcome != "done" {
		t.Fatal(answer)
	}
	ids = append(ids, first.ID)
	placed, _ := first.Output["data"].(map[string]any)
	order, token := fmt.Sprint(placed["payOrdId"]), fmt.Sprint(placed["payToken"])
	ask := map[string]any{"data": map[string]any{"orgCodg": "H44010000001", "payOrdId": order, "payToken": token, "idNo": "999999198503120018", "userName": "测试甲", "idType": "01"}}
	status := func(request string) string {
		data, _ := st.done(t, request, "6301", ask)["data"].(map[string]any)
		return fmt.Sprint(data["ordStas"])
	}
	if got := status("M-2"); got != "0" {
		t.Errorf("ordStas %s before payment", got)
	}
	paid, _ := st.done(t, "M-3", "6202", map[string]any{"data": map[string]any{"payAuthNo": payAuth, "payOrdId": order, "payToken": token, "orgCodg": "H44010000001",
		"orgBizSer": "BIZ1", "chrgBchno": "B1", "feeType": "01", "mdtrtId": "V1"}})["data"].(map[string]any)
	if fmt.Sprint(paid["ordStas"]) != "1" {
		t.Errorf("6202 says %v", paid["ordStas"])
	}
	if got := status("M-4"); got != "6" {
		t.Errorf("ordStas %s after payment", got)
	}
	// The same bill again is refused by the centre, an invented field by us.
	in["data"].(map[string]any)["chrgBchno"] = "B2"
	if a, text := st.low(t, "M-5", "6201", in); a.Code != "centre-refused" || !strings.Contains(text, "已上传") {
		t.Errorf("%s", text)
	}
	if a, text := st.low(t, "M-6", "6301", map[string]any{"data": map[string]any{"payOrdId": order}}); a.Code != "request-invalid" || !strings.Contains(text, "orgCodg") {
		t.Errorf("%s", text)
	}
	// What was paid can not be revoked, and is refunded once. A refund that was taken and not made is refused.
	if a, text := st.low(t, "M-7", "6401", ask); a.Code != "centre-refused" {
		t.Errorf("%s", text)
	}
	refund := map[string]any{"data": map[string]any{"payOrdId": order, "appRefdSn": "R1", "appRefdTime": "20261123100000", "totlRefdAmt": "30.00", "cashRefdAmt": "9.00", "fundRefdAmt": "21.00", "refdType": "ALL", "payAuthNo": payAuth}}
	made, answer := st.low(t, "M-8", "6203", refund)
	if made.Outcome != "done" {
		t.Fatal(answer)
	}
	ids = append(ids, made.ID)
	refund["data"].(map[string]any)["appRefdSn"] = "R2"
	if a, text := st.low(t, "M-9", "6203", refund); a.Code != "centre-refused" {
		t.Errorf("%s", text)
	}
	if got := status("M-10"); got != "8" {
		t.Errorf("ordStas %s after the refund", got)
	}
	// The payment authorisation was cut out before anything was kept.
	kept := 0
	for _, id := range ids {
		rec, err := st.gw.journal.Record(t.Context(), ident.MsgID(id))
		if err != nil {
			t.Fatal(err)
		}
		kept += len(rec.Input)
		if bytes.Contains(rec.Input, []byte(payAuth)) || bytes.Contains(rec.Output, []byte(payAuth)) {
			t.Errorf("%s keeps the payment authorisation", rec.Infno)
		}
	}
	if kept == 0 {
		t.Error("no record of it")
	}
}

// A prescription over the low-level route: checked, signed, uploaded, asked for, undone.
func TestPrescription(t *testing.T) {
	st, err := newStage(t.Context(), io.Discard, io.Discard, "")
	if err != nil {
		t.Fatal(err)
	}
	defer st.stop()
	drug := map[string]any{"medListCodg": "XA01ABD075A002010100483", "rxItemTypeCode": "11", "drugGenname": "测试药", "drugDosform": "片剂", "drugSpec": "10mg", "medcWayCodg": "1",
		"medcBegntime": "2026-11-23 09:00:00", "medcEndtime": "2026-11-26 09:00:00", "medcDays": "3", "usedFrquCodg": "11", "drugDosunt": "片", "drugCnt": "9", "hospApprFlag": "0"}
	check := map[string]any{"mdtrtCertType": "02", "bizTypeCode": "01", "hospRxno": "RX1", "rxTypeCode": "1", "prscTime": "2026-11-23 09:00:00", "rxDrugCnt": "1", "valiDays": "3", "valiEndTime": "2026-11-26 09:00:00",
		"rxdrugdetail": []any{drug}, "mdtrtinfo": map[string]any{"fixmedinsCode": "H44010000001", "fixmedinsName": "测试市第一人民医院", "mdtrtId": "V1", "drCode": "D440100000001"}, "diseinfo": []any{map[string]any{"diagCode": "J06.900"}}}
	first := st.done(t, "RX-1", "D001", check)
	no := fmt.Sprint(first["hiRxno"])
	text, err := json.Marshal(map[string]any{"hiRxno": no})
	if err != nil {
		t.Fatal(err)
	}
	signed := st.done(t, "RX-2", "D002", map[string]any{"fixmedinsCode": "H44010000001", "originalValue": base64.StdEncoding.EncodeToString(text), "originalRxFile": "JVBERi0="})
	upload := map[string]any{"rxTraceCode": first["rxTraceCode"], "hiRxno": no, "mdtrtId": "V1", "patnName": "测试甲", "psnCertType": "01", "certno": "999999198503120018", "fixmedinsName": "测试市第一人民医院", "fixmedinsCode": "H44010000001",
		"drCode": "D440100000001", "prscDrName": "李医生", "pharDeptName": "药房", "pharDeptCode": "Y01", "pharCode": "YS1", "pharName": "张药师", "pharChkTime": "2026-11-23 09:10:00", "rxFile": signed["rxFile"], "signDigest": signed["signDigest"]}
	ask := map[string]any{"hiRxno": no, "fixmedinsCode": "H44010000001", "mdtrtId": "V1", "psnName": "测试甲", "psnCertType": "01", "certno": "999999198503120018"}
	if a, text := st.low(t, "RX-3", "D006", ask); a.Code != "centre-refused" {
		t.Errorf("%s", text)
	}
	if got := st.done(t, "RX-4", "D003", upload); got["rxStasCodg"] != "1" {
		t.Errorf("%v", got)
	}
	if got := st.done(t, "RX-5", "D005", ask); got["rxStasCodg"] != "1" || got["hiRxno"] != no {
		t.Errorf("%v", got)
	}
	if got := st.done(t, "RX-6", "D006", ask); got["rxChkStasCodg"] != "1" {
		t.Errorf("%v", got)
	}
	if got := st.done(t, "RX-7", "D007", ask); got["rxUsedStasCodg"] != "1" {
		t.Errorf("%v", got)
	}
	// The answer to the undoing is lost; asking finds that it happened.
	if err := st.sim.inject(`{"infno":"D004","kind":"commit-then-lose","times":1}`); err != nil {
		t.Fatal(err)
	}
	undo := map[string]any{"hiRxno": no, "fixmedinsCode": "H44010000001", "drCode": "D440100000001", "undoDrName": "李医生", "undoDrCertType": "01", "undoDrCertno": "999999198503120018", "undoRea": "录入错误", "undoTime": "2026-11-23 09:20:00"}
	if a, text := st.low(t, "RX-8", "D004", undo); a.Outcome != "done" {
		t.Errorf("%s", text)
	}
	if got := st.done(t, "RX-9", "D005", ask); got["rxStasCodg"] != "3" {
		t.Errorf("%v", got)
	}
}

func TestServicesAreConfiguredWhole(t *testing.T) {
	dir := t.TempDir()
	if _, err := writeStarter(dir, starter{Listen: "127.0.0.1:0", Simulator: "127.0.0.1:1", Control: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*gatewaySettings)
		want   string
	}{
		"as it is":        {func(*gatewaySettings) {}, ""},
		"no such service": {func(g *gatewaySettings) { c := g.Centres["mobile"]; c.Service = "card"; g.Centres["mobile"] = c }, "no service"},
		"without an envelope": {func(g *gatewaySettings) {
			c := g.Centres["mobile"]
			c.Protect = endpointSettings{}
			g.Centres["mobile"] = c
		}, "needs mpc or epc"},
		"the same twice": {func(g *gatewaySettings) {
			c := g.Centres["prescription"]
			c.Service = "mobile"
			g.Centres["prescription"] = c
		}, "two of them"},
		"a service as centre": {func(g *gatewaySettings) { g.Institutions[0].Centre = "mobile" }, "is a service"},
		"a centre as service": {func(g *gatewaySettings) { g.Institutions[0].Services = []string{"main"} }, "not a centre with a service"},
		"an unknown centre":   {func(g *gatewaySettings) { g.Institutions[0].Services = []string{"x"} }, "not a centre with a service"},
		"an own table, absent": {func(g *gatewaySettings) {
			c := g.Centres["mobile"]
			c.Service = "file:none.yaml"
			g.Centres["mobile"] = c
		}, "none.yaml"},
	} {
		g, err := loadGateway(dir)
		if err != nil {
			t.Fatal(err)
		}
		c.change(g)
		if err = g.check(); err == nil {
			_, err = g.build(io.Discard, systemClock{})
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
