package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
	"yiqiao/schemas/ident"
)

func uploadsCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "uploads",
		Short: "查看和管理排队上传 / Look after the queued uploads",
		Long: `排队上传的状态、搁置与被拒的上传、重放、暂停与恢复。直接读写交易日志, 网关运行与否都可使用;
正在运行的网关几秒内即按指令行事。每条指令连同下令人都记入交易日志。`,
		Example: "  yiqiao uploads status --config mysite\n  yiqiao uploads list --config mysite --state parked",
	}
	c.AddCommand(uploadsStatusCommand(s), uploadsListCommand(s), uploadsReplayCommand(s),
		uploadsRouteCommand(s, "pause", "暂停发送一类上传 / Stop sending a route", (*flow.Desk).PauseUploads),
		uploadsRouteCommand(s, "resume", "恢复发送一类上传 / Let a route go on", (*flow.Desk).ResumeUploads))
	return c
}

// uploadsDesk is a desk on the journal a configuration names; the gateway may be running.
func uploadsDesk(ctx context.Context, path string) (*flow.Desk, func(), error) {
	g, err := loadGateway(path)
	if err != nil {
		return nil, nil, err
	}
	clock := systemClock{}
	p, err := g.build(io.Discard, clock)
	if err != nil {
		return nil, nil, err
	}
	j, err := g.openPresent(ctx)
	if err != nil {
		return nil, nil, err
	}
	desk, err := g.sideDesk(p, j, clock)
	if err != nil {
		j.close()
		return nil, nil, err
	}
	return desk, j.close, nil
}

// uploadsBy is uploadsDesk for who may look after uploads.
func uploadsBy(ctx context.Context, path string, a actor) (*flow.Desk, *gatewaySettings, acting, func(), error) {
	g, err := loadGateway(path)
	if err != nil {
		return nil, nil, acting{}, nil, err
	}
	p, err := g.build(io.Discard, systemClock{})
	if err != nil {
		return nil, nil, acting{}, nil, err
	}
	j, err := g.openPresent(ctx)
	if err != nil {
		return nil, nil, acting{}, nil, err
	}
	desk, err := g.sideDesk(p, j, systemClock{})
	var who acting
	if err == nil {
		who, err = g.acts(ctx, j, a, gateway.ActUploadManage, "uploads")
	}
	if err != nil {
		j.close()
		return nil, nil, acting{}, nil, err
	}
	return desk, g, who, j.close, nil
}

// reaches are the institutions a selection of uploads may reach.
func reaches(f flow.UploadFilter, g *gatewaySettings) []ident.Institution {
	switch {
	case f.ID != "":
		return []ident.Institution{institutionOf(string(f.ID))}
	case f.Institution != "":
		return []ident.Institution{f.Institution}
	}
	return g.codes()
}

// uploadFlags are the flags that the commands share.
type uploadFlags struct {
	path, infno, inst, state, from, to string
	asJSON                             bool
}

func (f *uploadFlags) common(c *cobra.Command) {
	c.Flags().StringVar(&f.path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().BoolVar(&f.asJSON, "json", false, "以 JSON 输出 / print JSON")
}

func (f *uploadFlags) filter(c *cobra.Command) {
	f.common(c)
	c.Flags().StringVar(&f.infno, "infno", "", "只选某交易 / one transaction number")
	c.Flags().StringVar(&f.inst, "institution", "", "只选某机构 / one institution")
	c.Flags().StringVar(&f.state, "state", "", "只选 parked (搁置) 或 refused (被拒)")
	c.Flags().StringVar(&f.from, "from", "", "受理时间起, yyyy-MM-dd 或 \"yyyy-MM-dd HH:mm:ss\" / accepted from")
	c.Flags().StringVar(&f.to, "to", "", "受理时间止 (不含) / accepted before")
	_ = c.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"parked", "refused"}, cobra.ShellCompDirectiveNoFileComp))
}

func (f *uploadFlags) value() (flow.UploadFilter, error) {
	v := flow.UploadFilter{Infno: ident.Infno(f.infno), Institution: ident.Institution(f.inst), State: gateway.State(f.state)}
	for _, x := range []struct {
		name, text string
		into       *time.Time
	}{{"from", f.from, &v.From}, {"to", f.to, &v.To}} {
		if x.text == "" {
			continue
		}
		t, err := time.ParseInLocation(time.DateTime, x.text, gateway.China)
		if err != nil {
			t, err = time.ParseInLocation(time.DateOnly, x.text, gateway.China)
		}
		if err != nil {
			return v, fmt.Errorf("--%s 应为 yyyy-MM-dd 或 yyyy-MM-dd HH:mm:ss / must be a date or a date and time", x.name)
		}
		*x.into = t
	}
	return v, nil
}

func uploadsStatusCommand(s *streams) *cobra.Command {
	var f uploadFlags
	c := &cobra.Command{
		Use:     "status",
		Short:   "各类上传的积压、速度与时限 / What waits, how fast it goes, what will be late",
		Example: "  yiqiao uploads status --config mysite\n  yiqiao uploads status --config mysite --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			desk, done, err := uploadsDesk(cmd.Context(), f.path)
			if err != nil {
				return err
			}
			defer done()
			st, err := desk.Uploads(cmd.Context())
			if err != nil {
				return plain(err)
			}
			if f.asJSON {
				return printJSON(s.out, st)
			}
			printUploads(s.out, st)
			return nil
		},
	}
	f.common(c)
	return c
}

func printUploads(w io.Writer, st flow.UploadsStatus) {
	rows := make([][]string, 0, len(st.Routes))
	for _, r := range st.Routes {
		oldest, done, state := "", "", ""
		if !r.Oldest.IsZero() {
			oldest = st.At.Sub(r.Oldest).Round(time.Second).String()
		}
		if !r.Done.IsZero() {
			done = r.Done.In(gateway.China).Format("01-02 15:04")
		}
		if r.Paused {
			state = "暂停"
		}
		rows = append(rows, []string{string(r.Infno), r.Name, strconv.Itoa(r.Waiting), strconv.Itoa(r.Failing), strconv.Itoa(r.Parked),
			strconv.Itoa(r.Refused), oldest, strconv.Itoa(r.Drained), done, time.Duration(r.Deadline).String(),
			strconv.Itoa(r.Late), strconv.Itoa(r.WillBe), state})
	}
	table(w, []string{"交易", "名称", "等待", "重试中", "搁置", "近日被拒", "最久已等", "10分钟发出", "预计发完", "时限", "已逾期", "将逾期", ""}, rows, 2, 3, 4, 5, 7, 10, 11)
	for _, o := range st.Paused {
		n := string(o.Infno)
		if o.Infno == flow.EveryRoute {
			n = "全部"
		}
		fmt.Fprintf(w, "暂停: %s  %s  %s %s\n", n, o.At.In(gateway.China).Format(time.DateTime), o.By, o.Why)
	}
}

func uploadsListCommand(s *streams) *cobra.Command {
	var f uploadFlags
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "列出搁置和被拒的上传 / List the uploads that were set aside",
		Example: `  yiqiao uploads list --config mysite
  yiqiao uploads list --config mysite --state parked --infno 4101 --from 2026-11-01 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.value()
			if err != nil {
				return err
			}
			desk, done, err := uploadsDesk(cmd.Context(), f.path)
			if err != nil {
				return err
			}
			defer done()
			recs, err := desk.DeadUploads(cmd.Context(), filter, limit)
			if err != nil {
				return plain(err)
			}
			all := make([]listed, 0, len(recs))
			rows := make([][]string, 0, len(recs))
			for _, r := range recs {
				all = append(all, listed{r.ID, r.CreatedAt.In(gateway.China), r.Institution, r.Infno, r.State, r.Cause, r.Request.System, r.Request.ID, r.Bill, r.Step})
				rows = append(rows, []string{r.CreatedAt.In(gateway.China).Format(time.DateTime), string(r.ID), string(r.Infno), stateZH(r.State), causeZH(r.Cause), r.Request.System, r.Request.ID})
			}
			if f.asJSON {
				return printJSON(s.out, all)
			}
			table(s.out, []string{"受理时间", "报文ID", "交易", "状态", "原因", "接入方", "请求号"}, rows)
			fmt.Fprintf(s.out, "\n%d 笔; 详情: yiqiao journal show 报文ID\n", len(rows))
			return nil
		},
	}
	f.filter(c)
	c.Flags().IntVar(&limit, "limit", 50, "最多几笔 / at most that many")
	return c
}

func uploadsReplayCommand(s *streams) *cobra.Command {
	var f uploadFlags
	var by actor
	var why, rows string
	var all bool
	c := &cobra.Command{
		Use:   "replay [MSGID]",
		Short: "把搁置或被拒的上传放回队列 / Put uploads back into the queue",
		Long: `搁置的上传原样再发; 被拒的上传以新的报文ID重新发起一次, 重复执行不会发起两次。
给出报文ID重放一笔; 给出条件重放一批; --all 重放全部。--rows 只重发一笔被拒上传中的若干行 (从 1 数起)。`,
		Example: `  yiqiao uploads replay H44010000001202611230915300001 --config mysite
  yiqiao uploads replay H44010000001202611230915300001 --rows 2,5-7 --why 其余行已更正 --config mysite
  yiqiao uploads replay --infno 4101 --from 2026-11-22 --to 2026-11-23 --why 中心已修复 --config mysite`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := f.value()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				filter.ID = ident.MsgID(args[0])
			} else if filter == (flow.UploadFilter{}) && !all {
				return errors.New("请给出报文ID、条件或 --all / name a message id, a filter or --all")
			}
			desk, g, who, done, err := uploadsBy(cmd.Context(), f.path, by)
			if err != nil {
				return err
			}
			defer done()
			if err := who.everywhere(reaches(filter, g)); err != nil {
				return err
			}
			var list []flow.Replayed
			if rows != "" {
				list, err = replayRows(cmd.Context(), desk, args, rows, who.by, why)
			} else {
				list, err = desk.ReplayUploads(cmd.Context(), filter, who.by, why)
			}
			if err != nil {
				return plain(err)
			}
			if f.asJSON {
				return printJSON(s.out, append([]flow.Replayed{}, list...))
			}
			n := 0
			lines := make([][]string, 0, len(list))
			for _, r := range list {
				if r.Why == "" {
					n++
				}
				lines = append(lines, []string{string(r.ID), string(r.Again), r.Why})
			}
			table(s.out, []string{"报文ID", "新报文ID", "未重放的原因"}, lines)
			fmt.Fprintf(s.out, "\n%d 笔放回队列\n", n)
			return nil
		},
	}
	f.filter(c)
	c.Flags().StringVar(&rows, "rows", "", "只重发这些行, 如 2,5-7 / only these rows of it")
	c.Flags().BoolVar(&all, "all", false, "全部 / everything that was set aside")
	by.flags(c)
	c.Flags().StringVar(&why, "why", "", "原因 / why")
	return c
}

// replayRows sends some rows of one upload again.
func replayRows(ctx context.Context, desk *flow.Desk, args []string, text, by, why string) ([]flow.Replayed, error) {
	if len(args) != 1 {
		return nil, errors.New("--rows 需要报文ID / needs a message id")
	}
	rows, err := rowNumbers(text)
	if err != nil {
		return nil, err
	}
	r, err := desk.ReplayRows(ctx, ident.MsgID(args[0]), rows, by, why)
	return []flow.Replayed{r}, err
}

// rowNumbers reads "2,5-7".
func rowNumbers(text string) ([]int, error) {
	const most = 10_000
	bad := errors.New("--rows 应如 2,5-7 / must be like 2,5-7")
	var list []int
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(part, "-")
		from, err := strconv.Atoi(strings.TrimSpace(first))
		if err != nil {
			return nil, bad
		}
		to := from
		if ranged {
			if to, err = strconv.Atoi(strings.TrimSpace(last)); err != nil {
				return nil, bad
			}
		}
		if from < 1 || to < from || to > most {
			return nil, bad
		}
		for n := from; n <= to; n++ {
			list = append(list, n)
		}
	}
	return list, nil
}

func uploadsRouteCommand(s *streams, name, short string, do func(*flow.Desk, context.Context, ident.Infno, string, string) error) *cobra.Command {
	var f uploadFlags
	var by actor
	var why string
	c := &cobra.Command{
		Use:     name + " INFNO|all",
		Short:   short,
		Example: "  yiqiao uploads " + name + " 4101 --why 中心维护 --config mysite\n  yiqiao uploads " + name + " all --config mysite",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n := ident.Infno(args[0])
			if n == "all" {
				n = flow.EveryRoute
			}
			desk, g, who, done, err := uploadsBy(cmd.Context(), f.path, by)
			if err != nil {
				return err
			}
			defer done()
			if err := who.everywhere(g.codes()); err != nil { // a route is everybody's
				return err
			}
			if err := do(desk, cmd.Context(), n, who.by, why); err != nil {
				return plain(err)
			}
			st, err := desk.Uploads(cmd.Context())
			if err != nil {
				return plain(err)
			}
			if f.asJSON {
				return printJSON(s.out, st)
			}
			printUploads(s.out, st)
			return nil
		},
	}
	f.common(c)
	by.flags(c)
	c.Flags().StringVar(&why, "why", "", "原因 / why")
	return c
}

// orUser is the name of whoever is signed in at the machine when none is given.
func orUser(name string) string {
	if name != "" {
		return name
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "unknown"
}

// plain puts a gateway's error into words.
func plain(err error) error {
	var e *gateway.Error
	if !errors.As(err, &e) {
		return err
	}
	w := gateway.Codes[e.Code]
	return fmt.Errorf("%s: %s / %s (%w)", e.Code, w.ZH, w.EN, err)
}
