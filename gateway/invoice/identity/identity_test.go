package identity

import (
	"encoding/json"
	"reflect"
	"testing"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/strictjson"
)

func table(t testing.TB) Table {
	t.Helper()
	tab, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func input(t testing.TB, s string) any {
	t.Helper()
	v, err := strictjson.Decode([]byte(s), strictjson.Request())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The table that ships names only what the interface has.
func TestTableAgainstCatalogue(t *testing.T) {
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	if err := table(t).Check(c); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]string{
		"number":  `{"columns":[{"infno":"9999X","node":"a","batch":"b","no":"c","by":[["visit","d"]]}]}`,
		"node":    `{"columns":[{"infno":"4101","node":"a","batch":"b","no":"c","by":[["visit","d"]]}]}`,
		"member":  `{"columns":[{"infno":"4101","node":"setlinfo","batch":"bill_code","no":"bill_number","by":[["settlement","setl_id"]]}]}`,
		"by":      `{"columns":[{"infno":"4101","node":"setlinfo","batch":"bill_code","no":"bill_no","by":[["settlement","x"]]}]}`,
		"kind":    `{"columns":[{"infno":"4101","node":"setlinfo","batch":"bill_code","no":"bill_no","by":[["person","setl_id"]]}]}`,
		"nothing": `{"columns":[{"infno":"4101","node":"setlinfo","batch":"bill_code","no":"bill_no","by":[]}]}`,
		"unknown": `{"columns":[{"infno":"4101","nodes":"setlinfo"}]}`,
	} {
		tab, err := Load([]byte(bad))
		if err == nil {
			err = tab.Check(c)
		}
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestClaimsAndPut(t *testing.T) {
	tab := table(t)
	in := input(t, `{"mdtrtinfo":{"fixmedins_mdtrt_id":"MZ1","ipt_op_no":"9","medfee_sumamt":30.00,"elec_bill_code":" "},"feedetail":[]}`)
	claims := tab.Claims("4205", in)
	if len(claims) != 1 || claims[0].Path != "/input/mdtrtinfo" || !claims[0].Empty() || *claims[0].Given.Total != 3000 ||
		!reflect.DeepEqual(claims[0].Marks, []Mark{{Visit, "MZ1"}, {Visit, "9"}}) {
		t.Fatalf("%+v", claims)
	}
	b := gateway.PlatformBill{Number: gateway.InvoiceNumber{Batch: "0601", No: "7"}, Random: "abc123"}
	out := tab.Put("4205", in, []*gateway.PlatformBill{&b})
	got, _ := json.Marshal(out)
	want := `{"feedetail":[],"mdtrtinfo":{"elec_bill_chkcode":"abc123","elec_bill_code":"0601","elec_billno_code":"7","fixmedins_mdtrt_id":"MZ1","ipt_op_no":"9","medfee_sumamt":30.00}}`
	if string(got) != want {
		t.Errorf("%s", got)
	}
	if !tab.Claims("4205", in)[0].Empty() {
		t.Error("the input itself was changed")
	}
	list := input(t, `{"setlinfo":[{"setl_id":"1","bill_code":"0601","bill_no":"8"},{"setl_id":"2"}]}`)
	claims = tab.Claims("4101", list)
	if len(claims) != 2 || claims[1].Path != "/input/setlinfo/1" || claims[0].Agrees(Bill{Batch: "0601", No: "7"}) || claims[0].At(Bill{Batch: "0601", No: "7"}) != "/input/setlinfo/0/bill_no" {
		t.Errorf("%+v", claims)
	}
	got, _ = json.Marshal(tab.Put("4101", list, []*gateway.PlatformBill{nil, &b}))
	if string(got) != `{"setlinfo":[{"bill_code":"0601","bill_no":"8","setl_id":"1"},{"bill_code":"0601","bill_no":"7","setl_id":"2"}]}` {
		t.Errorf("%s", got)
	}
}

// Whatever a HIS hands in, there is no crash and nothing that was said is overwritten.
func FuzzPut(f *testing.F) {
	f.Add("4205", `{"mdtrtinfo":{"fixmedins_mdtrt_id":1}}`)
	f.Add("4101", `{"setlinfo":[1,null,{}]}`)
	f.Add("4202", `[]`)
	tab := table(f)
	b := &gateway.PlatformBill{Number: gateway.InvoiceNumber{Batch: "B", No: "N"}, Random: "R"}
	f.Fuzz(func(t *testing.T, infno, in string) {
		v, err := strictjson.Decode([]byte(in), strictjson.Request())
		if err != nil {
			return
		}
		for n := range tab {
			before := tab.Claims(n, v)
			bills := make([]*gateway.PlatformBill, len(before))
			for i := range bills {
				bills[i] = b
			}
			after := tab.Claims(n, tab.Put(n, v, bills))
			if len(after) != len(before) {
				t.Fatalf("%d rows became %d", len(before), len(after))
			}
			for i := range after {
				if after[i].Given.Batch == "" || before[i].Given.No != "" && after[i].Given.No != before[i].Given.No {
					t.Errorf("%+v became %+v", before[i], after[i])
				}
			}
		}
	})
}
