package envelope

import (
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"yiqiao/crypto/sm"
)

// line is what one provider does with one message of 4 KiB.
type line struct {
	d      *desk
	key    []byte
	sealed Sealed
}

func newLine(b *testing.B, name string, data []byte) *line {
	b.Helper()
	l := &line{d: newDesk(b, name, "mpc")}
	var err error
	if l.key, err = DeriveKey(l.d.p, testID, testSecret); err != nil {
		b.Fatal(err)
	}
	if l.sealed, err = l.d.request.Seal(rand.Reader, moment(), data); err != nil {
		b.Fatal(err)
	}
	return l
}

func (l *line) seal(b *testing.B, data []byte) {
	if _, err := l.d.request.Seal(rand.Reader, moment(), data); err != nil {
		b.Fatal(err)
	}
}

func (l *line) open(b *testing.B) {
	if _, _, err := l.d.reply.Open(l.sealed.Body); err != nil {
		b.Fatal(err)
	}
}

// primitives signs, verifies, encrypts and decrypts as many bytes.
func (l *line) primitives(b *testing.B, data []byte) {
	uid := []byte(sm.DefaultUID)
	sig, err := l.d.p.Sign(rand.Reader, l.d.hospital, uid, data)
	if err != nil || l.d.p.Verify(l.d.hospital.Public(), uid, data, sig) != nil {
		b.Fatal(err)
	}
	enc, err := sm.ECBEncrypt(l.d.p, l.key, data)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := sm.ECBDecrypt(l.d.p, l.key, enc); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkEnvelope(b *testing.B) {
	data := fourKiB()
	for _, name := range sm.Names() {
		l := newLine(b, name, data)
		for what, do := range map[string]func(){
			"seal": func() { l.seal(b, data) }, "open": func() { l.open(b) }, "primitives": func() { l.primitives(b, data) },
		} {
			b.Run(what+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					do()
				}
			})
		}
	}
}

// BenchmarkSealOpen is sealing and opening a message of 4 KiB. In each round the default provider, its
// primitives alone and the other provider take turns, so that whatever else the machine does falls
// on all of them: x/primitives is how much more the message costs than its cryptography, tjfoc/x how
// many times as much it costs with the other provider, both by the round that nine of ten are slower
// than, which a busy machine does not change much.
func BenchmarkSealOpen(b *testing.B) {
	data := fourKiB()
	quick, slow := newLine(b, sm.Names()[0], data), newLine(b, sm.Names()[1], data)
	b.ReportAllocs()
	var message, parts, other []time.Duration
	for b.Loop() {
		at := time.Now()
		quick.seal(b, data)
		quick.open(b)
		message = append(message, time.Since(at))
		b.StopTimer()
		at = time.Now()
		quick.primitives(b, data)
		parts = append(parts, time.Since(at))
		at = time.Now()
		slow.seal(b, data)
		slow.open(b)
		other = append(other, time.Since(at))
		b.StartTimer()
	}
	b.ReportMetric(quiet(message)/quiet(parts), "x/primitives")
	b.ReportMetric(quiet(other)/quiet(message), "tjfoc/x")
}

func quiet(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/10])
}
