package journal

import (
	"bytes"
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

// BenchmarkWriteUpload is the acceptance of one upload: its id, its request and its record with the
// bytes that will be sent.
func BenchmarkWriteUpload(b *testing.B) {
	j := openAt(b, store.Options{Path: filepath.Join(b.TempDir(), "j.db")})
	const callers = 128
	before := j.db.Stats()
	var next atomic.Int64
	var wg sync.WaitGroup
	body := bytes.Repeat([]byte("w"), 700)
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				now := time.Now()
				id, err := j.NextMsgID(bg, testInst, now)
				if err != nil {
					b.Error(err)
					return
				}
				key := gateway.RequestKey{System: "his", ID: fmt.Sprint("r", n)}
				visit := fmt.Sprintf("%032x", n%1000)
				e := gateway.Entry{
					Request: &gateway.Request{Key: key, Digest: [32]byte{1}, Op: "upload", Institution: testInst, Ref: string(id), CreatedAt: now},
					Record: &gateway.Record{ID: id, Institution: testInst, Infno: "4402", Request: key, Step: "4402", Attempt: 1, Visit: visit,
						Operator: gateway.Operator{ID: "op", Name: "员", Type: "1"}, CreatedAt: now, Input: body[:300], Wire: body,
						Marks: []gateway.Mark{{Kind: gateway.MarkVisit, Number: visit}, {Kind: gateway.MarkVisit, Number: fmt.Sprint("s", n)}},
						State: gateway.StatePrepared},
				}
				if _, err := j.Write(bg, e); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	s := j.db.Stats()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "uploads/s")
	b.ReportMetric(float64(s.Operations-before.Operations)/float64(max(s.Commits-before.Commits, 1)), "ops/commit")
	if err := j.Close(); err != nil {
		b.Error(err)
	}
}
