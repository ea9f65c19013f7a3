package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"yiqiao/cmd/yiqiao/internal/world"
)

func TestTortureCommand(t *testing.T) {
	code, out, errs := yiqiao(t, "", "torture", "--seeds", "4", "--from", "7", "--bills", "20", "--json")
	if code != exitOK {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	var r tortureReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if r.Seeds != 4 || r.From != 7 || r.Bills != 80 || r.Violations != 0 || r.Transactions == 0 || len(r.Faults) == 0 || len(r.Failed) != 0 {
		t.Errorf("%+v", r)
	}
	if code, out, _ := yiqiao(t, "", "torture", "--seeds", "1"); code != exitOK || !strings.Contains(out, "违约 0") {
		t.Errorf("for people: %d %s", code, out)
	}
	for _, args := range [][]string{{"--seeds", "0"}, {"--bills", "0"}, {"--seeds", "2", "--from", "18446744073709551615"}, {"extra"}} {
		if code, _, errs := yiqiao(t, "", append([]string{"torture"}, args...)...); code != exitFail || errs == "" {
			t.Errorf("%v: exit %d, %q", args, code, errs)
		}
	}
}

// sweepOf stands in for worlds: it begins the seeds one after the other and ends all but those that hang.
func sweepOf(hang map[uint64]bool, after func(seed uint64)) func(context.Context, *world.Kit, uint64, uint64, world.Options, world.Watch) error {
	return func(ctx context.Context, _ *world.Kit, from, n uint64, _ world.Options, to world.Watch) error {
		for seed := from; seed < from+n && ctx.Err() == nil; seed++ {
			to.Begun(seed)
			if hang[seed] {
				select {} // whatever was asked of it
			}
			to.Ended(world.Result{Seed: seed, Tally: world.Tally{Bills: 50}})
			after(seed)
		}
		return context.Cause(ctx)
	}
}

func tortureOf(ctx context.Context, o tortureRun) (tortureReport, string, error) {
	var out, errs bytes.Buffer
	var r tortureReport
	o.bills, o.asJSON = 50, true
	err := o.run(ctx, &streams{out: &out, err: &errs})
	if bad := json.Unmarshal(out.Bytes(), &r); bad != nil {
		return r, errs.String(), errors.Join(err, bad)
	}
	return r, errs.String(), err
}

// Whoever interrupts a long run is told what it came to so far.
func TestTortureIsInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r, _, err := tortureOf(ctx, tortureRun{seeds: 100, from: 3, sweep: sweepOf(nil, func(seed uint64) {
		if seed == 7 {
			stop()
		}
	})})
	if !errors.Is(err, errTortureStopped) || r.Seeds != 5 || r.Asked != 100 || r.Ended != "interrupted" || r.Bills != 250 {
		t.Errorf("%+v %v", r, err)
	}
	// The world under way does not end: a second signal does not wait for it.
	signals := make(chan os.Signal, 2)
	r, _, err = tortureOf(t.Context(), tortureRun{seeds: 100, stuck: time.Hour, signals: signals, sweep: sweepOf(map[uint64]bool{2: true}, func(seed uint64) {
		if seed == 1 {
			signals <- syscall.SIGTERM
			signals <- syscall.SIGTERM
		}
	})})
	if !errors.Is(err, errTortureStopped) || r.Seeds != 2 || r.Ended != "interrupted" {
		t.Errorf("%+v %v", r, err)
	}
	if code, out, errs := yiqiaoWith(ctx, "torture", "--seeds", "3", "--bills", "1"); code != exitFail || !strings.Contains(out, "没有跑完") || errs == "" {
		t.Errorf("for people: %d %s %s", code, out, errs)
	}
}

func yiqiaoWith(ctx context.Context, args ...string) (int, string, string) {
	var out, errs bytes.Buffer
	code := run(ctx, args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// A seed that comes to a standstill is named, with what everybody waits for.
func TestTortureNamesASeedThatHangs(t *testing.T) {
	r, errs, err := tortureOf(t.Context(), tortureRun{seeds: 9, from: 40, stuck: 40 * time.Millisecond,
		sweep: sweepOf(map[uint64]bool{43: true}, func(uint64) {})})
	if !errors.Is(err, errTortureStuck) || !strings.Contains(err.Error(), "43") || r.Ended != "stuck" || r.Seeds != 3 {
		t.Errorf("%+v %v", r, err)
	}
	if !strings.Contains(errs, "[43]") || !strings.Contains(errs, "sweepOf") {
		t.Errorf("no goroutines: %.300s", errs)
	}
}
