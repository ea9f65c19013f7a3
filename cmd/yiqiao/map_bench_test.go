package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"yiqiao/adapters/his/counter"
	"yiqiao/adapters/his/hl7"
	"yiqiao/gateway"
	"yiqiao/gateway/mapping/defs"
	"yiqiao/schemas/check"
)

// bill50 is the generic hospital's DFT^P03 with fifty FT1.
func bill50(tb testing.TB) []byte {
	tb.Helper()
	b, err := defs.FS.ReadFile("generic-hl7/cases/outpatient-bill.hl7")
	if err != nil {
		tb.Fatal(err)
	}
	var head, rows, tail []string
	for line := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n") {
		switch {
		case strings.HasPrefix(line, "FT1"):
			rows = append(rows, line)
		case len(rows) == 0:
			head = append(head, line)
		default:
			tail = append(tail, line)
		}
	}
	for i := range 50 {
		head = append(head, strings.Replace(rows[i%len(rows)], "ZD20261123001-0", fmt.Sprintf("ZD20261123001-%02d-", i), 1))
	}
	return []byte(strings.Join(append(head, tail...), "\r"))
}

// taker is a desk that takes every bill: what is measured is the way to it.
type taker struct{ gateway.Desk }

func (taker) OpenSettlement(context.Context, gateway.Caller, gateway.OpenSettlement) (gateway.Settlement, error) {
	return gateway.Settlement{ID: "B1", State: gateway.BillPresettled}, nil
}

// BenchmarkMapBill measures a DFT^P03 of fifty FT1: parsed; mapped, with every value held against the
// length, type and dictionary of its target; bound to the desk's bill; and its rows checked as 2204.
func BenchmarkMapBill(b *testing.B) {
	d, err := loadDefinition("generic-hl7", "")
	if err != nil {
		b.Fatal(err)
	}
	ck, _, err := newChecker("national")
	if err != nil {
		b.Fatal(err)
	}
	k, err := counter.New(taker{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	raw := bill50(b)
	rows := map[string]any{"feedetail": rows2204()}
	parse := func(b *testing.B) *hl7.Message {
		m, err := hl7.Parse(raw, "")
		if err != nil {
			b.Fatal(err)
		}
		return m
	}
	mapped := func(b *testing.B) gateway.Order {
		got, err := d.Map(hl7.Source(parse(b)))
		if err != nil || len(got.Orders) != 1 || len(got.Orders[0].Body["fees"].([]any)) != 50 {
			b.Fatal(err, got)
		}
		return got.Orders[0]
	}
	bound := func(b *testing.B) {
		if a := k.Do(context.Background(), gateway.Caller{}, mapped(b)); a.Outcome != counter.Done {
			b.Fatalf("%+v", a)
		}
	}
	for name, f := range map[string]func(b *testing.B){
		"parse":                      func(b *testing.B) { parse(b) },
		"parse+map":                  func(b *testing.B) { mapped(b) },
		"parse+map+bind":             bound,
		"parse+map+bind+check(2204)": func(b *testing.B) { bound(b); ck.Request("2204", rows) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					f(b)
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// rows2204 is what fifty rows become.
func rows2204() []any {
	list := make([]any, 50)
	for i := range list {
		list[i] = map[string]any{"feedetl_sn": fmt.Sprint("F", i), "mdtrt_id": "V1", "psn_no": "P1", "chrg_bchno": "C1", "rx_circ_flag": "0",
			"fee_ocur_time": "2026-11-23 09:20:00", "med_list_codg": "XZ99AAA001A001010100001", "medins_list_codg": "YP0101",
			"det_item_fee_sumamt": json.Number("37.01"), "cnt": json.Number("3"), "pric": json.Number("12.335"), "bilg_dept_codg": "A03.01", "bilg_dept_name": "呼吸内科门诊",
			"bilg_dr_codg": "D440100000001", "bilg_dr_name": "李医生", "hosp_appr_flag": "1"}
	}
	return list
}

func TestBenchmarkBillIsGood(t *testing.T) {
	ck, _, err := newChecker("national")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range ck.Request("2204", map[string]any{"feedetail": rows2204()}) {
		if f.Severity == check.Error {
			t.Errorf("%+v", f)
		}
	}
}

// BenchmarkLine compares the ways in for one and the same bill, up to the trial settlement at the
// simulator with a durable journal: 64 connections over HTTP, and 64 over MLLP with the mapping.
func BenchmarkLine(b *testing.B) {
	// A hospital of its own for each: the simulator gets slower with every bill it has.
	hospital := func(b *testing.B) (gw *server, key string) {
		_, gw = newHospital(b, func(g *gatewaySettings) {
			text, err := os.ReadFile(filepath.Join(g.base, starterAPIKey))
			if err != nil {
				b.Fatal(err)
			}
			key = strings.TrimSpace(string(text))
			g.HL7 = []hl7Settings{{Listen: "127.0.0.1:0", Mapping: "generic-hl7",
				Clients: []hl7Client{{System: "his-hl7", Networks: []string{"127.0.0.0/8"}, Institutions: []string{"H44010000001"}}}}}
		})
		b.ResetTimer()
		return gw, key
	}
	sample, err := defs.FS.ReadFile("generic-hl7/cases/outpatient-bill.hl7")
	if err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	parallel := max(1, 64/runtime.GOMAXPROCS(0))
	b.Run("rest", func(b *testing.B) {
		gw, key := hospital(b)
		http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 128
		b.SetParallelism(parallel)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				bill, _ := standardBill(fmt.Sprint("R", n.Add(1)), "999999198503120018", "测试甲")
				body, err := json.Marshal(bill)
				if err != nil {
					b.Error(err)
					return
				}
				if status, answer, err := post(context.Background(), "http://"+gw.addr()+"/api/v1/settlements", key, body); err != nil || status != 201 {
					b.Errorf("%d %v %s", status, err, answer)
					return
				}
			}
		})
	})
	b.Run("mllp", func(b *testing.B) {
		gw, _ := hospital(b)
		b.SetParallelism(parallel)
		b.RunParallel(func(pb *testing.PB) {
			c, err := net.Dial("tcp", gw.hl7[0].ln.Addr().String())
			if err != nil {
				b.Error(err)
				return
			}
			l := hl7.NewLink(c, 0)
			defer l.Close()
			for pb.Next() {
				tag := fmt.Sprint("H", n.Add(1))
				msg := strings.NewReplacer("ZD20261123001", tag, "|M001|", "|"+tag+"|", "MZ20261123000001", "MZ"+tag).Replace(string(sample))
				ack, err := l.Send(context.Background(), []byte(msg))
				if err != nil || !strings.Contains(string(ack), "|presettled|") {
					b.Errorf("%v %s", err, ack)
					return
				}
			}
		})
	})
}
