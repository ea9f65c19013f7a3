//go:build linux

package kafka

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
)

// callers is how many write at once, in every case.
const callers = 128

// crowd calls fn n times from many goroutines.
func crowd(n int, fn func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range callers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := fn(i); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	return failed
}

// BenchmarkAccepted holds uploads that are checked, durable in the journal and announced at the
// broker against kafka-go alone, which hands a body of that size to the same broker with the same
// batch settings, a message a call, read by nobody. accepted-announced is the same: the messages
// are not read here. In accepted-announced-sent the same process reads and sends them meanwhile.
func BenchmarkAccepted(b *testing.B) {
	shared := brokers.Shared(b)
	var alone float64
	b.Run("kafka-go-alone", func(b *testing.B) {
		o := options(shared.Address)
		o.Partitions = 12
		q := open(b, o)
		defer q.Close()
		body := []byte(strings.Repeat("x", 700)) // the core message of such an upload
		var warm []kafkago.Message               // until every partition has its leader
		for i := range 200 {
			warm = append(warm, kafkago.Message{Topic: o.Topic, Key: fmt.Append(nil, i), Value: body})
		}
		if err := q.write(context.Background(), warm...); err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		if err := crowd(b.N, func(i int) error {
			return q.writer.WriteMessages(context.Background(), kafkago.Message{Topic: o.Topic, Key: fmt.Append(nil, i%1000), Value: body})
		}); err != nil {
			b.Fatal(err)
		}
		alone = float64(b.N) / b.Elapsed().Seconds()
		b.ReportMetric(alone, "msg/s")
	})
	for _, c := range []struct {
		name string
		read bool
	}{{"accepted-announced", false}, {"accepted-announced-sent", true}} {
		b.Run(c.name, func(b *testing.B) {
			accepted := measureAccepted(b, shared.Address, c.read)
			if alone > 0 {
				b.ReportMetric(accepted/alone, "of-kafka-go")
			}
		})
	}
}

// unread is a queue whose messages somebody else reads.
type unread struct{ *Queue }

func (unread) Deliver(ctx context.Context, _ gateway.Handler) error { <-ctx.Done(); return nil }

func measureAccepted(b *testing.B, address string, read bool) float64 {
	o := options(address)
	o.Partitions = 12
	w, q := newTown(b), open(b, o)
	w.hall.quiet = true
	d := w.desk(b, unread{q}, flow.Timing{})
	if read {
		d = w.desk(b, q, flow.Timing{})
	}
	stop := run(b, d, q)
	defer stop()
	ends := &stream{q: q, topic: o.Topic, group: "nobody"} // has committed nothing: behind by all
	announced := func() int64 {
		for try := 0; ; try++ {
			n, _, err := q.behind(context.Background(), ends)
			if err == nil {
				return n
			}
			if try > 1000 { // a fresh topic or group has no leader for a moment
				b.Fatal(err)
			}
			runtime.Gosched()
		}
	}
	before := announced()
	b.ResetTimer()
	if err := crowd(b.N, func(i int) error {
		_, err := upload(d, i, fmt.Sprintf("V%d", i%1000))
		return err
	}); err != nil {
		b.Fatal(err)
	}
	accepted := float64(b.N) / b.Elapsed().Seconds()
	if !read {
		for announced()-before < int64(b.N) {
			if b.Elapsed() > 10*time.Minute {
				b.Fatal("not all were announced")
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "announced/s")
	}
	b.StopTimer()
	b.ReportMetric(accepted, "accepted/s")
	return accepted
}

// BenchmarkDrain sends what waits: YIQIAO_DRAIN uploads (20,000). The peak of memory is that of the
// sending alone. What each quarter took shows whether it stays as quick while others wait.
func BenchmarkDrain(b *testing.B) {
	n := 20_000
	if s := os.Getenv("YIQIAO_DRAIN"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	o := options(brokers.Shared(b).Address)
	o.Partitions = 12
	w, q := newTown(b), open(b, o)
	w.hall.quiet = true
	d := w.desk(b, q, flow.Timing{})
	if err := crowd(n, func(i int) error {
		_, err := upload(d, i, fmt.Sprintf("V%d", i%(n/4))) // four of each visit
		return err
	}); err != nil {
		b.Fatal(err)
	}
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600); err != nil {
		b.Logf("the peak is that of the whole program: %v", err)
	}
	start := resident(b, "VmRSS")
	b.ResetTimer()
	stop := run(b, d, q)
	last := b.Elapsed()
	for quarter := range 4 {
		w.hall.await(b, int64(n)*int64(quarter+1)/4, time.Hour)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		now := b.Elapsed()
		b.Logf("%d of %d sent, the last quarter at %.0f/s: heap in use %d MB", w.hall.count.Load(), n,
			float64(n)/4/(now-last).Seconds(), m.HeapInuse>>20)
		last = now
	}
	b.StopTimer()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "sent/s")
	b.ReportMetric(float64(start)/1024, "MB-before")
	b.ReportMetric(float64(resident(b, "VmHWM"))/1024, "MB-peak")
	stop()
	if got := w.hall.count.Load(); got != int64(n) {
		b.Errorf("%d sent, %d accepted", got, n)
	}
}

// resident reads a line of /proc/self/status, in kB.
func resident(b *testing.B, name string) int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return kb
		}
	}
	b.Fatalf("no %s", name)
	return 0
}
