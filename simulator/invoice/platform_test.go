package invoice

import (
	"encoding/base64"
	"encoding/json"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"yiqiao/crypto/envelope"
)

func start(t *testing.T, o Options) (*Platform, string) {
	t.Helper()
	o.AppID, o.Key = "A", "K"
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, china)
	o.Now = func() time.Time { return now }
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(p.Handler())
	t.Cleanup(srv.Close)
	p.SetPublicURL(srv.URL)
	return p, srv.URL
}

// post sends business parameters and gives result and message.
func post(t *testing.T, url, method, in string) (result, message string) {
	t.Helper()
	data := base64.StdEncoding.EncodeToString([]byte(in))
	body := `{"appid":"A","data":"` + data + `","noise":"n","version":"1.0","sign":"` + envelope.EInvoiceSign("A", data, "n", "K", "1.0") + `"}`
	resp, err := http.Post(url+"/medical-web/api/medical/"+method, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var q request
	if err := json.NewDecoder(resp.Body).Decode(&q); err != nil {
		t.Fatal(err)
	}
	if q.Sign != envelope.EInvoiceSign("A", q.Data, q.Noise, "K", "1.0") {
		t.Fatal("the reply is not signed")
	}
	text, _ := base64.StdEncoding.DecodeString(q.Data)
	var r struct{ Result, Message string }
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	m, _ := base64.StdEncoding.DecodeString(r.Message)
	return r.Result, string(m)
}

const bill = `{"busNo":"1","busType":"02","payer":"测试","busDateTime":"20260302115900000","placeCode":"001","payee":"a","author":"a","payerType":"1",
"cardType":"1","cardNo":"1","sex":"男","age":"1","isArrears":"1","totalAmt":1.00,"consultationDate":"20260302","patientCategory":"内科","patientCategoryCode":"1",
"accountPay":0.00,"fundPay":0.00,"otherfundPay":0.00,"ownPay":0.00,"selfConceitedAmt":0.00,"selfPayAmt":0.00,"selfCashPay":1.00,
"payChannelDetail":[{"payChannelCode":"02","payChannelValue":1.00}],
"chargeDetail":[{"sortNo":1,"chargeCode":"1","chargeName":"药","amt":1.0000}]}`

// The traps of the interface are traps here as well.
func TestStrictness(t *testing.T) {
	_, url := start(t, Options{})
	for name, c := range map[string]struct{ in, code string }{
		"other generation": {strings.Replace(bill, `"patientCategoryCode":"1"`, `"category":"x"`, 1), errField},
		"other date":       {strings.Replace(bill, `"20260302",`, `"2026-03-02",`, 1), errField},
		"decimals":         {strings.Replace(bill, `"totalAmt":1.00`, `"totalAmt":1.0`, 1), errField},
		"amount as text":   {strings.Replace(bill, `"totalAmt":1.00`, `"totalAmt":"1.00"`, 1), errField},
		"channels":         {strings.Replace(bill, `"payChannelValue":1.00`, `"payChannelValue":0.99`, 1), errSum},
		"charges":          {strings.Replace(bill, `"amt":1.0000`, `"amt":1.0100`, 1), errSum},
		"parts":            {strings.Replace(bill, `"fundPay":0.00`, `"fundPay":0.01`, 1), errSum},
		"no payer":         {strings.Replace(bill, `"payer":"测试"`, `"payer":" "`, 1), errField},
		"place":            {strings.Replace(bill, `"placeCode":"001"`, `"placeCode":"002"`, 1), errField},
		"held, no reason":  {strings.Replace(bill, `"isArrears":"1"`, `"isArrears":"0"`, 1), errField},
		"good":             {bill, ok},
		"again":            {bill, ""},
	} {
		if name == "again" || name == "good" {
			continue
		}
		if got, text := post(t, url, "invoiceEBillOutpatient", c.in); got != c.code {
			t.Errorf("%s: %s %s", name, got, text)
		}
	}
	if got, text := post(t, url, "invEBillRegistration", bill); got != errField {
		t.Errorf("another method's kind: %s %s", got, text)
	}
	if got, text := post(t, url, "invoiceEBillOutpatient", bill); got != ok {
		t.Errorf("good: %s %s", got, text)
	}
	if got, _ := post(t, url, "invoiceEBillOutpatient", bill); got != errBusNo {
		t.Errorf("twice: %s", got)
	}
	if got, _ := post(t, url, "nothing", bill); got != errMethod {
		t.Errorf("unknown method: %s", got)
	}
}

// The page is for whoever has the check code; the QR code is a picture that can be read.
func TestPage(t *testing.T) {
	p, url := start(t, Options{})
	_, text := post(t, url, "invoiceEBillOutpatient", strings.Replace(bill, "测试", "<b>测</b>", 1))
	var r struct{ PictureNetUrl, BillQRCode, BillBatchCode, BillNo string }
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	get := func(u string) (int, string) {
		resp, err := http.Get(u)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	status, page := get(r.PictureNetUrl)
	if status != 200 || !strings.Contains(page, r.BillNo) || strings.Contains(page, "<b>测") || strings.Contains(page, "已冲红") {
		t.Errorf("%d %s", status, page)
	}
	if status, _ := get(strings.Replace(r.PictureNetUrl, "?c=", "?c=0", 1)); status != 404 {
		t.Errorf("a wrong check code gives %d", status)
	}
	raw, err := base64.StdEncoding.DecodeString(r.BillQRCode)
	if err != nil {
		t.Fatal(err)
	}
	if img, err := png.Decode(strings.NewReader(string(raw))); err != nil || img.Bounds().Dx() < 80 {
		t.Errorf("QR: %v", err)
	}
	post(t, url, "writeOffEBill", `{"billBatchCode":"`+r.BillBatchCode+`","billNo":"`+r.BillNo+`","reason":"r","operator":"o","busDateTime":"20260302120000000","placeCode":"001"}`)
	if _, page := get(r.PictureNetUrl); !strings.Contains(page, "已冲红") {
		t.Error("the page does not show the reversal")
	}
	p.SetDown(true)
	if _, err := http.Get(r.PictureNetUrl); err == nil {
		t.Error("an answer while down")
	}
}

// Whatever is sent, there is an answer and no crash.
func FuzzCall(f *testing.F) {
	f.Add("invoiceEBillOutpatient", bill)
	f.Add("writeOffEBill", `{"billBatchCode":1}`)
	f.Add("getBillByBusDate", `{"pageNo":"1","pageSize":"5","busBgnDate":"20260302000000000","busEndDate":"20260302000000000"}`)
	f.Fuzz(func(t *testing.T, method, in string) {
		p, err := New(Options{AppID: "A", Key: "K"})
		if err != nil {
			t.Fatal(err)
		}
		data := base64.StdEncoding.EncodeToString([]byte(in))
		got, err := p.open(encode(request{AppID: "A", Data: data, Noise: "n", Version: "1.0", Sign: envelope.EInvoiceSign("A", data, "n", "K", "1.0")}))
		if err != nil {
			return
		}
		if _, err := p.call(method, got); err == nil {
			for _, b := range p.Bills() {
				if b.Total < 0 || b.BusNo == "" {
					t.Errorf("%+v", b)
				}
			}
		}
	})
}
