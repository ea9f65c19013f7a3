package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
)

// profileTo samples the CPU into file until the returned function is called.
func profileTo(file string) (stop func(), err error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

// heapInUse is what is reachable now, in bytes.
func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// printStats prints one line of JSON: how often the journal was committed and synced, and the heap
// at the start and now.
func printStats(w io.Writer, srv *server, heapStart uint64) {
	st := srv.journal.db.Stats()
	fmt.Fprintf(w, "stats {\"commits\":%d,\"operations\":%d,\"syncs\":%d,\"heap_start\":%d,\"heap_end\":%d}\n",
		st.Commits, st.Operations, st.Syncs, heapStart, heapInUse())
}
