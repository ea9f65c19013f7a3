package centre

import (
	"testing"

	"yiqiao/schemas/wire"
	"yiqiao/simulator/people"
)

// A settlement through the handler, plain bodies: decode, check, compute, book, answer.
func BenchmarkSettle(b *testing.B) {
	d := newDesk(b, Options{KeepCalls: 1000})
	crowd := people.Fixed()
	bodies := make([][]byte, b.N)
	for i := range bodies {
		p := crowd[i%3]
		visit := d.open(p)
		d.must(p, "2204", feeInput(b, p, visit, "B", standardBill()...))
		trial := d.must(p, "2206", trialInput(p, visit, "B", 479_54))
		body, err := wire.EncodeRequest(d.request("2207", d.msgid(), p.Area, settleInput(p, visit, "B", trial)))
		if err != nil {
			b.Fatal(err)
		}
		bodies[i] = body
	}
	b.ReportAllocs()
	b.ResetTimer()
	for _, body := range bodies {
		if w := d.post(body); w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
	b.StopTimer()
	if n := d.c.Counts()["2207"].Done; n != b.N {
		b.Fatalf("%d of %d settled", n, b.N)
	}
}
