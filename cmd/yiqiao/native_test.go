package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
)

// A client that speaks the national envelope works through the gateway by another URL: it signs in,
// finds the person, registers, and reverses what it registered by its own message id.
func TestNativeAtTheSimulator(t *testing.T) {
	key := ""
	sim, gw := newHospital(t, func(g *gatewaySettings) {
		b, err := os.ReadFile(filepath.Join(g.base, starterAPIKey))
		if err != nil {
			t.Fatal(err)
		}
		key = strings.TrimSpace(string(b))
	})
	n := 0
	send := func(infno, input string) wire.Reply {
		t.Helper()
		n++
		now := time.Now().In(gateway.China)
		body := fmt.Sprintf(`{"infno":%q,"msgid":"H44010000001%s%04d","mdtrtarea_admvs":"440100","insuplc_admdvs":"440100","recer_sys_code":"YBXT","dev_no":"","dev_safe_info":"",
"cainfo":"","signtype":"","infver":"V1.0","opter_type":"1","opter":"0101","opter_name":"王收费","inf_time":%q,"fixmedins_code":"H44010000001",
"fixmedins_name":"测试市第一人民医院","sign_no":"","input":%s}`, infno, now.Format("20060102150405"), n, now.Format(time.DateTime), input)
		resp, err := http.Post("http://"+gw.addr()+"/native/"+key+"/"+infno, "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		r, err := wire.DecodeReply(b)
		if err != nil {
			t.Fatalf("%s: %d %s", infno, resp.StatusCode, b)
		}
		return r
	}
	person := send("1101", `{"data":{"mdtrt_cert_type":"02","mdtrt_cert_no":"999999198503120018","card_sn":"","psn_cert_type":"01","certno":"999999198503120018","psn_name":"测试甲"}}`)
	psn := strictjson.Text(strictjson.Get(person.Output, "baseinfo", "psn_no"))
	if !person.OK() || psn == "" {
		t.Fatalf("1101: %+v", person)
	}
	visit := send("2201", `{"data":{"psn_no":"`+psn+`","insutype":"310","begntime":"`+time.Now().In(gateway.China).Format(time.DateTime)+`","mdtrt_cert_type":"02","mdtrt_cert_no":"999999198503120018",
"ipt_otp_no":"MZN1","atddr_no":"D440100000001","dr_name":"李医生","dept_code":"A03.01","dept_name":"呼吸内科门诊","caty":"A03"}}`)
	id := strictjson.Text(strictjson.Get(visit.Output, "data", "mdtrt_id"))
	if !visit.OK() || id == "" {
		t.Fatalf("2201: %+v", visit)
	}
	gone := send("2202", `{"data":{"psn_no":"`+psn+`","mdtrt_id":"`+id+`","ipt_otp_no":"MZN1"}}`)
	if !gone.OK() {
		t.Errorf("2202: %+v", gone)
	}
	if bad := send("2207", `{"data":{}}`); bad.OK() || !strings.Contains(bad.ErrMsg, "request-invalid") {
		t.Errorf("2207: %+v", bad)
	}
	if err := sim.checkLedger(); err != nil {
		t.Error(err)
	}
}
