//go:build unix

package audit

import (
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"yiqiao/gateway/gatewaytest"
	"yiqiao/gateway/journal"
	"yiqiao/gateway/store"
)

// BenchmarkSettle is two writes of a settlement, with and without the record; cpu-us/op is the CPU of
// the whole process.
func BenchmarkSettle(b *testing.B) {
	for _, audit := range []bool{false, true} {
		name := map[bool]string{false: "without", true: "with"}[audit]
		b.Run(name, func(b *testing.B) {
			s := open(b, store.Options{Path: filepath.Join(b.TempDir(), "a.db")}, "gw", false)
			if !audit {
				s.close()
				db, err := store.Open(bg, store.Options{Path: filepath.Join(b.TempDir(), "b.db")})
				if err != nil {
					b.Fatal(err)
				}
				s.db = db
				if s.j, err = journal.Open(db, journal.Options{Sealer: testVault(b, db, s.p)}); err != nil {
					b.Fatal(err)
				}
			}
			s.clock = gatewaytest.NewClock(t0)
			before := usage(b)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range 64 {
				wg.Go(func() {
					for next.Add(1) <= int64(b.N) {
						s.settle()
					}
				})
			}
			wg.Wait()
			b.ReportMetric((usage(b)-before)/float64(b.N), "cpu-us/op")
			b.ReportMetric(float64(s.db.Stats().Commits)/float64(b.N), "commits/op")
		})
	}
}

func usage(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1000
}
