package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"yiqiao/cmd/yiqiao/internal/world"
)

// tortureRun is what `torture` is asked to do.
type tortureRun struct {
	seeds, from uint64
	bills       int
	mutation    string
	asJSON      bool
	stuck       time.Duration
	signals     chan os.Signal // see tortureWatch
	sweep       func(context.Context, *world.Kit, uint64, uint64, world.Options, world.Watch) error
}

// tortureReport is what `torture --json` prints.
type tortureReport struct {
	Seeds      uint64  `json:"seeds"`
	From       uint64  `json:"from"`
	Mutation   string  `json:"mutation,omitempty"`
	Asked      uint64  `json:"seeds_asked,omitempty"` // when the run ended before its time
	Ended      string  `json:"ended,omitempty"`       // interrupted, stuck; absent when all seeds were done
	Seconds    float64 `json:"seconds"`
	PerMinute  float64 `json:"seeds_per_minute"`
	Violations int     `json:"violations"`
	world.Tally
	Failed []tortureSeed `json:"failed"`
}

// tortureSeed is a seed that broke a promise.
type tortureSeed struct {
	Seed       uint64   `json:"seed"`
	Digest     string   `json:"digest"`
	Violations []string `json:"violations"`
	Replay     string   `json:"replay"`
}

func tortureCommand(s *streams) *cobra.Command {
	o := tortureRun{sweep: world.Sweep}
	c := &cobra.Command{
		Use:   "torture",
		Short: "用随机种子折磨整套系统, 再核对每一分钱 / Whole-system simulation under seeds",
		Long: `每个种子是一座小城: 医院、收费员、病人、网关、网络和模拟医保中心, 共用一只虚拟时钟。
断网、丢应答、磁盘出错、进程被杀、时钟跳变之后, 核对没有丢、没有重、没有说不清的钱。见 docs/torture.md。

Ctrl-C (SIGINT, SIGTERM): 正在跑的种子跑完就停, 再按一次立刻停; 都会打印已完成的部分。
一个种子迟迟不结束 (--stuck), 就说出是哪个, 打印所有 goroutine 后退出。

退出码: 0 全部守约, 1 有种子违约 (给出重放命令), 2 没能完成。`,
		Example: "  yiqiao torture --seeds 1000\n  yiqiao torture --seeds 1 --from 4711 --json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), s) },
	}
	c.Flags().Uint64Var(&o.seeds, "seeds", 100, "种子个数 / how many seeds")
	c.Flags().Uint64Var(&o.from, "from", 0, "第一个种子 / the first seed")
	c.Flags().IntVar(&o.bills, "bills", 50, "每个种子的账单数 / bills of each seed")
	c.Flags().BoolVar(&o.asJSON, "json", false, "以 JSON 输出 / print JSON")
	c.Flags().DurationVar(&o.stuck, "stuck", 0, "一个种子最多跑多久, 缺省每 50 张账单 1m / how long one seed may take")
	mutationFlag(c, &o.mutation)
	return c
}

func (o tortureRun) run(ctx context.Context, s *streams) error {
	if o.seeds == 0 || o.bills < 1 || o.bills > 5000 {
		return errors.New("--seeds 须大于 0, --bills 须为 1 至 5000 / seeds must be above 0, bills 1 to 5000")
	}
	if o.from+o.seeds < o.from {
		return errors.New("--from 加 --seeds 超出范围 / the last seed is out of range")
	}
	kit, err := world.NewKit()
	if err != nil {
		return err
	}
	// Worlds are short-lived garbage; collecting it less often is worth a third of the time.
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	r := tortureReport{From: o.from, Mutation: o.mutation, Failed: []tortureSeed{}}
	began := systemClock{}.Now()
	shown := began
	show := term.IsTerminal(int(os.Stderr.Fd()))
	w := &tortureWatch{signals: o.signals, began: map[uint64]time.Time{}, ended: func(one world.Result) {
		r.add(one, o)
		if now := (systemClock{}).Now(); show && now.Sub(shown) > time.Second {
			shown = now
			left := time.Duration(float64(now.Sub(began)) / float64(r.Seeds) * float64(o.seeds-r.Seeds))
			fmt.Fprintf(os.Stderr, "\r%d/%d seeds, %d violations … %s, 还需 %s\033[K", r.Seeds, o.seeds, r.Violations,
				now.Sub(began).Round(time.Second), left.Round(time.Second))
		}
	}}
	early := w.run(ctx, stuckAfter(o.stuck, o.bills), s.err, func(ctx context.Context, to world.Watch) error {
		return o.sweep(ctx, kit, o.from, o.seeds, world.Options{Bills: o.bills, Mutation: world.Mutation(o.mutation)}, to)
	})
	w.mu.Lock() // worlds that were left behind may still end
	defer w.mu.Unlock()
	if show {
		fmt.Fprint(os.Stderr, "\r\033[K")
	}
	switch {
	case errors.Is(early, errTortureStopped):
		r.Asked, r.Ended = o.seeds, "interrupted"
	case errors.Is(early, errTortureStuck):
		r.Asked, r.Ended = o.seeds, "stuck"
	case early != nil:
		return early
	}
	took := systemClock{}.Now().Sub(began)
	r.Seconds, r.PerMinute = took.Seconds(), float64(r.Seeds)/took.Minutes()
	slices.SortFunc(r.Failed, func(a, b tortureSeed) int { return cmp.Compare(a.Seed, b.Seed) })
	if o.asJSON {
		err = printJSON(s.out, r)
	} else {
		r.print(s)
	}
	switch {
	case err != nil, r.Violations == 0 && early == nil:
		return err
	case r.Violations > 0 && r.Ended != "stuck":
		return errNo
	}
	return early
}

func (r *tortureReport) add(one world.Result, o tortureRun) {
	r.Seeds++
	r.Tally.Add(one.Tally)
	if len(one.Violations) == 0 {
		return
	}
	r.Violations += len(one.Violations)
	replay := fmt.Sprintf("yiqiao torture --seeds 1 --from %d --bills %d --json", one.Seed, o.bills)
	if o.mutation != "" {
		replay += " --mutation " + o.mutation
	}
	r.Failed = append(r.Failed, tortureSeed{Seed: one.Seed, Digest: one.Digest, Violations: one.Violations, Replay: replay})
}

// print is the report for people.
func (r *tortureReport) print(s *streams) {
	if r.Ended != "" {
		fmt.Fprintf(s.out, "没有跑完 (%s): 只有 %d 个种子中的 %d 个 / of %d seeds %d were done\n", r.Ended, r.Asked, r.Seeds, r.Asked, r.Seeds)
	}
	fmt.Fprintf(s.out, "种子 %d (自 %d 起), %.0f 个/分钟; 账单 %d, 在账结算 %d, 交易 %d, 到达中心 %d\n",
		r.Seeds, r.From, r.PerMinute, r.Bills, r.Settled, r.Transactions, r.Messages)
	fmt.Fprintf(s.out, "有效票据 %d, 上传 %d, 被拒: %s\n", r.Invoices, r.Uploads, counts(r.UploadsRefused))
	fmt.Fprintf(s.out, "结果不明 %d: %s\n", r.Unknowns, counts(r.Resolutions))
	fmt.Fprintf(s.out, "注入故障: %s\n", counts(r.Faults))
	for _, f := range r.Failed {
		fmt.Fprintf(s.out, "\n种子 %d 违约 %d 处; 重放: %s\n", f.Seed, len(f.Violations), f.Replay)
		for _, v := range f.Violations {
			fmt.Fprintf(s.out, "  %s\n", v)
		}
	}
	fmt.Fprintf(s.out, "违约 %d\n", r.Violations)
}

func counts(m map[string]int) string {
	if len(m) == 0 {
		return "0"
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+" "+strconv.Itoa(m[k]))
	}
	return strings.Join(parts, ", ")
}
