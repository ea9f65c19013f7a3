//go:build linux || darwin || freebsd

package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"yiqiao/gateway"
)

// TestDiskFull runs in a process of its own, whose files may not grow beyond a size.
func TestDiskFull(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fullChild+"="+filepath.Join(t.TempDir(), "a.db"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func fullDisk(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	d, err := Open(bg, Options{Path: path, MinFree: -1, CheckpointPages: 100})
	if err != nil {
		return err
	}
	limit := func(bytes uint64) error {
		var r unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &r); err != nil {
			return err
		}
		r.Cur = min(bytes, r.Max)
		return unix.Setrlimit(unix.RLIMIT_FSIZE, &r)
	}
	var rows int
	for round := range 3 {
		if err := limit(uint64(round+1) * 2 << 20); err != nil {
			return err
		}
		n, err := fillUp(d, fmt.Sprint("round", round, "-"))
		if rows += n; !errors.Is(err, gateway.ErrStorage) {
			return fmt.Errorf("round %d after %d rows: %w, want ErrStorage", round, n, err)
		}
		if err := d.Health(bg); !errors.Is(err, gateway.ErrStorage) {
			return fmt.Errorf("health on a full disk: %w, want ErrStorage", err)
		}
		if err := limit(1 << 40); err != nil {
			return err
		}
		if err := d.Health(bg); err != nil {
			return fmt.Errorf("health after recovery: %w", err)
		}
	}
	var n int
	if _, err := d.Get(bg, "SELECT COUNT(*) FROM bill", nil, &n); err != nil || n != rows {
		return fmt.Errorf("%d rows (%w), want the %d that were accepted", n, err, rows)
	}
	if err := intact(d); err != nil {
		return err
	}
	return d.Close()
}
