package journal

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/store"
)

// BenchmarkWriteSettlement is the hot path of one settlement: a message id, the record before it is
// sent, the end with the answer, and the note that the HIS was told. 1.5 KB in, 1.2 KB out.
func BenchmarkWriteSettlement(b *testing.B) {
	type kind struct {
		name    string
		options func(b *testing.B) store.Options
	}
	kinds := []kind{{"sqlite", func(b *testing.B) store.Options { return store.Options{Path: filepath.Join(b.TempDir(), "j.db")} }}}
	for _, writers := range []int{1, 2, 3, 4} {
		kinds = append(kinds, kind{fmt.Sprint("postgres-", writers), func(b *testing.B) store.Options {
			return store.Options{DSN: servers.Schema(b), Writers: writers}
		}})
	}
	for _, k := range kinds {
		benchWriteSettlement(b, k.name, k.options)
	}
}

func benchWriteSettlement(b *testing.B, kind string, options func(b *testing.B) store.Options) {
	for _, mode := range []string{"full", "off"} {
		for _, callers := range []int{1, 16, 64, 128} {
			b.Run(fmt.Sprintf("store=%s/sync=%s/callers=%d", kind, mode, callers), func(b *testing.B) {
				o := options(b)
				o.Sync = mode
				j := openAt(b, o)
				before := j.db.Stats()
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				from := time.Now()
				for range callers {
					wg.Go(func() {
						for {
							n := next.Add(1)
							if n > int64(b.N) {
								return
							}
							now := time.Now()
							id, err := j.NextMsgID(bg, testInst, now)
							if err != nil {
								b.Error(err)
								return
							}
							key := gateway.RequestKey{System: "his", ID: fmt.Sprint("r", n)}
							if _, err := j.Write(bg, sentEntry(id, key, now)); err != nil {
								b.Error(err)
								return
							}
							if _, err := j.Write(bg, doneEntry(id, key, now)); err != nil {
								b.Error(err)
								return
							}
							j.Told(key, now)
						}
					})
				}
				wg.Wait()
				took := time.Since(from).Seconds()
				b.StopTimer()
				s := j.db.Stats()
				b.ReportMetric(float64(b.N)/took, "settlements/s")
				b.ReportMetric(float64(s.Syncs-before.Syncs)/float64(b.N), "syncs/settlement")
				b.ReportMetric(float64(s.Operations-before.Operations)/float64(max(s.Commits-before.Commits, 1)), "ops/commit")
				if err := j.Close(); err != nil {
					b.Error(err)
				}
			})
		}
	}
}
