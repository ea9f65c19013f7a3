package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
	"yiqiao/gateway/review"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// reviewBook is the book of proposals on a desk.
func (s *gatewaySettings) reviewBook(desk *flow.Desk, p *parts, j opened, clock gateway.Clock) (*review.Book, error) {
	r, err := s.register(j, p.provider, clock)
	if err != nil {
		return nil, err
	}
	return review.New(review.Options{Journal: j, Hand: desk, Clock: clock, Digest: j.vault.Digest, Log: p.log, May: s.mayOf(r), Sees: s.seesOf(r)})
}

func reviewCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "review",
		Short: "双人复核: 处理网关不能自行了结的交易 / End what the gateway can not end by itself, two people",
		Long: `待人工的交易和对账差异, 由一人提出处理并附证据, 由另一人批准后才生效。每一步连同姓名、时间、证据记入
交易日志, 不能改、不能删。直接读写交易日志, 网关运行与否都可使用。

  adopt    中心已办成: 以中心所示 (--shown) 认定成功        absent   中心未办: 认定未发生
  reverse  由网关发 2601 冲正                              undo     由网关发相应的撤销交易

冲正和撤销由正在运行的网关发送 (每次批准只发一次); 其余批准后立即生效。证据种类 (--proof):
query 中心查询终端, statement 对账结果 (3202) 或清算单, office 医保经办机构答复。`,
		Example: `  yiqiao review list --config mysite
  yiqiao review propose H44010000001202611230915300001 --do absent --proof office --source "经办机构王某 11-23 电话" --why "中心无此笔" --by li --config mysite
  yiqiao review approve 12 --by wang --config mysite`,
	}
	c.AddCommand(reviewListCommand(s), reviewShowCommand(s), reviewProposeCommand(s),
		reviewDecideCommand(s, "approve", "批准 (须另一人) / Approve, another person", (*review.Book).Approve),
		reviewDecideCommand(s, "reject", "否决或撤回 / Reject or take back", (*review.Book).Reject))
	return c
}

// reviewFlags are the flags the commands share.
type reviewFlags struct {
	path, by, name, password string
	asJSON                   bool
}

func (f *reviewFlags) add(c *cobra.Command, person bool) {
	c.Flags().StringVar(&f.path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().BoolVar(&f.asJSON, "json", false, "以 JSON 输出 / print JSON")
	if person {
		c.Flags().StringVar(&f.by, "by", "", "谁, 默认当前系统用户; 建立人员账户后须是账户 / who; default the user of the machine; an account once there are any")
		c.Flags().StringVar(&f.password, "password-file", "", "此人口令所在文件, 否则取 "+passwordEnv+" 或询问 / file with that person's password")
		c.Flags().StringVar(&f.name, "name", "", "姓名 / full name")
	}
}

// reviewing is a book on a desk of its own, and who gives the command.
type reviewing struct {
	*review.Book
	by    gateway.Person
	close func()
}

// open gives the book on a desk of its own. Who is going to act proves to be that person.
func (f *reviewFlags) open(ctx context.Context, acts bool) (reviewing, error) {
	g, err := loadGateway(f.path)
	if err != nil {
		return reviewing{}, err
	}
	p, err := g.build(io.Discard, systemClock{})
	if err != nil {
		return reviewing{}, err
	}
	j, err := openJournal(ctx, f.path)
	if err != nil {
		return reviewing{}, err
	}
	out := reviewing{close: j.close}
	desk, err := g.sideDesk(p, j, systemClock{})
	if err == nil && acts {
		out.by, _, err = g.prove(ctx, j, f.by, f.name, f.password, "review")
	}
	if err == nil {
		out.Book, err = g.reviewBook(desk, p, j, systemClock{})
	}
	if err != nil {
		j.close()
	}
	return out, err
}

// listedReview is what `review list --json` prints.
type listedReview struct {
	Waiting   []listedWaiting   `json:"waiting"`
	Proposals []review.Proposal `json:"proposals"`
}

type listedWaiting struct {
	listed
	Choices []gateway.HandChoice `json:"choices"`
	Open    int                  `json:"open,omitempty"`
}

func reviewListCommand(s *streams) *cobra.Command {
	var f reviewFlags
	var all bool
	c := &cobra.Command{
		Use: "list", Short: "待人工的交易、建议和提案 / What waits for people",
		Example: "  yiqiao review list --config mysite\n  yiqiao review list --all --json --config mysite",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := f.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer b.close()
			waiting, err := b.Waiting(cmd.Context(), "")
			if err != nil {
				return plain(err)
			}
			var states []review.State
			if !all {
				states = []review.State{review.Suggested, review.Proposed, review.Approved, review.Expired}
			}
			list, err := b.List(cmd.Context(), states...)
			if err != nil {
				return plain(err)
			}
			out := listedReview{Waiting: []listedWaiting{}, Proposals: list}
			for _, w := range waiting {
				r := w.Record
				out.Waiting = append(out.Waiting, listedWaiting{listed{ID: r.ID, At: r.CreatedAt.In(gateway.China), Inst: r.Institution, Infno: r.Infno,
					State: r.State, Cause: r.Cause, System: r.Request.System, RequestID: r.Request.ID, Bill: r.Bill, Step: r.Step}, w.Choices, w.Open})
			}
			if f.asJSON {
				return printJSON(s.out, out)
			}
			printReviews(s.out, out)
			return nil
		},
	}
	f.add(c, false)
	c.Flags().BoolVar(&all, "all", false, "也列出已了结的 / those that are over, too")
	return c
}

func printReviews(w io.Writer, l listedReview) {
	rows := make([][]string, 0, len(l.Waiting))
	for _, x := range l.Waiting {
		var can []string
		for _, c := range x.Choices {
			can = append(can, string(c.Do))
		}
		open := ""
		if x.Open > 0 {
			open = strconv.Itoa(x.Open)
		}
		rows = append(rows, []string{x.At.Format(time.DateTime), string(x.ID), string(x.Infno), causeZH(x.Cause), strings.Join(can, " "), open})
	}
	table(w, []string{"时间", "报文ID", "交易", "原因", "可选处理", "提案"}, rows, 5)
	fmt.Fprintf(w, "\n%d 笔待人工\n\n", len(rows))
	rows = rows[:0]
	for _, p := range l.Proposals {
		who := p.Proposed.By.ID
		if p.Decided != nil {
			who += " / " + p.Decided.By.ID
		}
		rows = append(rows, []string{strconv.Itoa(p.No), reviewStateZH(p.State), string(p.Decision.Do), p.Subject.ID, p.Subject.Title, p.Subject.Amount, who, clockZH(p.Expires)})
	}
	table(w, []string{"编号", "状态", "处理", "对象", "说明", "金额", "提出/决定", "有效至"}, rows, 0, 5)
}

func clockZH(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(gateway.China).Format("01-02 15:04")
}

// reviewStateZH names the state of a proposal.
func reviewStateZH(st review.State) string {
	if zh, ok := map[review.State]string{
		review.Suggested: "建议", review.Taken: "已据此提案", review.Proposed: "待复核", review.Approved: "执行中", review.Applied: "已执行",
		review.Failed: "未能执行", review.Rejected: "已否决", review.Expired: "已过期",
	}[st]; ok {
		return zh
	}
	return string(st)
}

func reviewShowCommand(s *streams) *cobra.Command {
	var f reviewFlags
	c := &cobra.Command{
		Use: "show NO", Short: "查看一个提案的全过程 / Show one with its history",
		Example: "  yiqiao review show 12 --config mysite",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			no, err := reviewNo(args[0])
			if err != nil {
				return err
			}
			b, err := f.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer b.close()
			p, err := b.Show(cmd.Context(), no)
			return f.print(s, p, err)
		},
	}
	f.add(c, false)
	return c
}

func reviewNo(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, errors.New("提案编号应为数字 / the number of a proposal")
	}
	return n, nil
}

func (f *reviewFlags) print(s *streams, p review.Proposal, err error) error {
	if err != nil {
		return plain(err)
	}
	if f.asJSON {
		return printJSON(s.out, p)
	}
	fmt.Fprintln(s.out, strings.TrimSpace(fmt.Sprintf("%d  %s  %s  %s %s %s", p.No, reviewStateZH(p.State), p.Decision.Do, p.Subject.ID, p.Subject.Title, p.Outcome)))
	if p.Decision.Proof+p.Decision.Source != "" {
		fmt.Fprintf(s.out, "证据: %s %s\n", p.Decision.Proof, p.Decision.Source)
	}
	if len(p.Decision.Shown) > 0 {
		fmt.Fprintf(s.out, "中心所示: %s\n", strictjson.Append(nil, p.Decision.Shown))
	}
	rows := make([][]string, 0, len(p.History))
	for _, h := range p.History {
		rows = append(rows, []string{strconv.Itoa(h.Entry), h.At.In(gateway.China).Format(time.DateTime), h.Do, strings.TrimSpace(h.By.ID + " " + h.By.Name), h.Words})
	}
	table(s.out, []string{"序", "时间", "动作", "谁", "说明"}, rows, 0)
	if p.State == review.Approved {
		fmt.Fprintln(s.out, "\n由正在运行的网关发送; 稍后用 yiqiao review show 查看结果")
	}
	return nil
}

func reviewProposeCommand(s *streams) *cobra.Command {
	var f reviewFlags
	var do, proof, source, why, shownFile string
	var shown []string
	var from int
	c := &cobra.Command{
		Use: "propose [MSGID]", Short: "提出处理并附证据 / Propose a remedy with its evidence",
		Example: `  yiqiao review propose H44010000001202611230915300001 --do adopt --proof query --source "中心终端 11-23 10:02" \
      --shown setl_id=4400001 --shown setl_time="2026-11-23 09:15:31" --shown medfee_sumamt=120.00 --shown fund_pay_sumamt=80.00 \
      --shown acct_pay=0 --shown psn_cash_pay=40.00 --shown clr_type=11 --why "应答丢失, 中心已结算" --by li
  yiqiao review propose --from 7 --source "HIS 补记单 1123-05" --why "已在 HIS 补记" --by li`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d := review.Draft{From: from, Why: why, Decision: gateway.HandDecision{Do: gateway.HandAction(do), Proof: proof, Source: source}}
			switch {
			case len(args) == 1 && from == 0:
				d.Record = ident.MsgID(args[0])
			case len(args) == 1 || from == 0:
				return errors.New("请给出报文ID或 --from 建议编号 / name a message id, or a suggestion with --from")
			}
			var err error
			if d.Decision.Shown, err = shownMembers(shownFile, shown); err != nil {
				return err
			}
			b, err := f.open(cmd.Context(), true)
			if err != nil {
				return err
			}
			defer b.close()
			p, err := b.Propose(cmd.Context(), b.by, d)
			return f.print(s, p, err)
		},
	}
	f.add(c, true)
	c.Flags().StringVar(&do, "do", "", "adopt, absent, reverse, undo")
	c.Flags().StringVar(&proof, "proof", "", "证据种类: query, statement, office")
	c.Flags().StringVar(&source, "source", "", "证据出处: 文件号、查询时间、答复人 / where the proof can be looked up")
	c.Flags().StringVar(&why, "why", "", "理由, 给复核人看 / why")
	c.Flags().StringArrayVar(&shown, "shown", nil, "中心所示的字段, 名=值 / a member as the centre shows it, name=value")
	c.Flags().StringVar(&shownFile, "shown-file", "", "中心所示, JSON 文件 / the same as a JSON file")
	c.Flags().IntVar(&from, "from", 0, "采用某条建议 / take up a suggestion")
	_ = c.RegisterFlagCompletionFunc("do", cobra.FixedCompletions([]string{"adopt", "absent", "reverse", "undo"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("proof", cobra.FixedCompletions([]string{"query", "statement", "office"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// shownMembers reads what the centre shows.
func shownMembers(file string, pairs []string) (map[string]any, error) {
	var out map[string]any
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		v, err := strictjson.Decode(b, strictjson.Request())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		var ok bool
		if out, ok = v.(map[string]any); !ok {
			return nil, fmt.Errorf("%s: 应为 JSON 对象 / must be an object", file)
		}
	}
	for _, p := range pairs {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, errors.New("--shown 应为 名=值 / must be name=value")
		}
		if out == nil {
			out = map[string]any{}
		}
		out[name] = value
	}
	return out, nil
}

func reviewDecideCommand(s *streams, name, short string, do func(*review.Book, context.Context, gateway.Person, int, string) (review.Proposal, error)) *cobra.Command {
	var f reviewFlags
	var why string
	c := &cobra.Command{
		Use: name + " NO", Short: short,
		Example: "  yiqiao review " + name + " 12 --by wang --why 已核对 --config mysite",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			no, err := reviewNo(args[0])
			if err != nil {
				return err
			}
			b, err := f.open(cmd.Context(), true)
			if err != nil {
				return err
			}
			defer b.close()
			p, err := do(b.Book, cmd.Context(), b.by, no, why)
			var e *gateway.Error
			if errors.As(err, &e) && slices.Contains([]gateway.Code{gateway.CodeReviewTaken, gateway.CodeSecondPerson, gateway.CodeState, gateway.CodeNotPermitted}, e.Code) {
				w := gateway.Codes[e.Code]
				detail := ""
				if e.Detail != "" {
					detail = " (" + e.Detail + ")"
				}
				fmt.Fprintf(s.err, "%s: %s; %s%s\n", e.Code, w.ZH, w.NextZH, detail)
				return errNo
			}
			return f.print(s, p, err)
		},
	}
	f.add(c, true)
	c.Flags().StringVar(&why, "why", "", "理由 / why")
	return c
}
