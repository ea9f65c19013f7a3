package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
	"yiqiao/simulator/acceptance"
	again "yiqiao/simulator/acceptance/replay"
)

// replayFlags are what `yiqiao replay` was asked for.
type replayFlags struct {
	config, day, target, to, centre string
	json, testPlace                 bool
}

func replayCommand(s *streams) *cobra.Command {
	var f replayFlags
	c := &cobra.Command{
		Use:   "replay --day yyyy-MM-dd",
		Short: "把日志中某一日的交易重放到另一个中心 / Send a recorded day to another target",
		Long: `把日志中某一日已有结论的交易按原次序重新发给模拟中心, 或另一份配置中的测试中心, 逐笔比较: 办成与否、各项金额。
原中心给出的编号 (就诊ID、结算ID、报文ID 等) 换成新中心给出的; 日志里没有凭证, 只有以身份证号就诊的交易能够重放。
重放会真实登记和结算: 对测试中心须加 --this-is-a-test-environment。

退出码: 0 全部相同, 1 有不同, 2 未能执行。`,
		Example: "  yiqiao replay --config mysite --day 2026-11-23\n  yiqiao replay --config mysite --day 2026-11-23 --target centre --to testsite --this-is-a-test-environment --json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return replayDay(cmd.Context(), s, f) },
	}
	c.Flags().StringVar(&f.config, "config", ".", "录下这一日的网关配置 / configuration of the gateway that recorded it")
	c.Flags().StringVar(&f.day, "day", "", "哪一日, yyyy-MM-dd / the day")
	c.Flags().StringVar(&f.target, "target", "simulator", "simulator 或 centre / where to")
	c.Flags().StringVar(&f.to, "to", "", "目标中心所在的网关配置 (target centre) / configuration with the target")
	c.Flags().StringVar(&f.centre, "centre", "main", "其中的中心名 / name of the centre in it")
	c.Flags().BoolVar(&f.json, "json", false, "打印 JSON / print JSON")
	c.Flags().BoolVar(&f.testPlace, "this-is-a-test-environment", false, "确认对方是测试环境 / the target is no production")
	_ = c.MarkFlagRequired("day")
	_ = c.RegisterFlagCompletionFunc("target", cobra.FixedCompletions([]string{"simulator", "centre"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func replayDay(ctx context.Context, s *streams, f replayFlags) error {
	from, err := time.ParseInLocation(time.DateOnly, f.day, gateway.China)
	if err != nil {
		return fmt.Errorf("--day 应为 yyyy-MM-dd / is a date: %q", f.day)
	}
	g, err := loadGateway(f.config)
	if err != nil {
		return err
	}
	if len(g.Institutions) == 0 {
		return errors.New("配置中没有机构 / no institution")
	}
	p, err := provider("")
	if err != nil {
		return err
	}
	cat, err := catalog.Default()
	if err != nil {
		return err
	}
	site := acceptance.Site{Institution: g.Institutions[0].Code, TestInstitution: true}
	var target acceptance.Target
	switch {
	case f.target == "simulator":
		sim, err := acceptance.Simulate(acceptance.SimulationOptions{Catalog: cat, Profile: "none", Provider: p, Rand: rand.Reader, Now: time.Now})
		if err != nil {
			return err
		}
		defer sim.Centre.Close()
		target = sim.Target
	case f.target != "centre":
		return fmt.Errorf("--target %q: simulator, centre", f.target)
	case f.to == "" || !f.testPlace:
		return errors.New("需要 --to 目标配置, 并用 --this-is-a-test-environment 确认对方是测试环境 / --to and the confirmation are needed")
	default:
		if target, _, err = acceptCentre(p, acceptFlags{config: f.to, centre: f.centre, limit: time.Minute}, site); err != nil {
			return err
		}
	}
	day, left, err := recordedDay(ctx, f.config, from)
	if err != nil {
		return err
	}
	if len(day) == 0 {
		return fmt.Errorf("%s 没有可以重放的交易 / nothing was recorded that day", f.day)
	}
	send := &resender{target: target, place: g.Institutions[0], signs: map[string]string{}}
	res := again.New(send.send).Run(ctx, day)
	if f.json {
		err = printJSON(s.out, res)
	} else {
		var rows [][]string
		for _, d := range res.Differ {
			rows = append(rows, []string{fmt.Sprint(d.Number), d.Infno, d.MsgID, d.What, d.Was, d.Is})
		}
		if len(rows) > 0 {
			table(s.out, []string{"序", "交易", "原报文ID", "何处", "原来", "现在"}, rows)
			fmt.Fprintln(s.out)
		}
		fmt.Fprintf(s.out, "重放 %d 笔, 相同 %d 笔, 不同 %d 处; 没有结论而未重放 %d 笔\n", res.Requests, res.Same, len(res.Differ), left)
	}
	if err == nil && ctx.Err() != nil {
		return errors.New("重放被中断 / interrupted")
	}
	if err == nil && len(res.Differ) > 0 {
		err = errNo
	}
	return err
}

// recordedDay reads a day of a journal; left counts records without an outcome of the centre's own.
func recordedDay(ctx context.Context, config string, from time.Time) (day []again.Recorded, left int, err error) {
	j, err := openJournal(ctx, config)
	if err != nil {
		return nil, 0, err
	}
	defer j.close()
	q := gateway.Query{From: from, To: from.AddDate(0, 0, 1), Limit: 10_000}
	for {
		recs, err := j.List(ctx, q)
		if err != nil && !errors.Is(err, gateway.ErrExpired) {
			return nil, 0, err
		}
		for _, r := range recs {
			known := r.State == gateway.StateDone || r.State == gateway.StateReversed || r.State == gateway.StateRefused && r.Cause == gateway.CauseBusiness
			in, ierr := strictjson.Decode(r.Input, strictjson.Reply())
			if !known || ierr != nil {
				left++
				continue
			}
			one := again.Recorded{Infno: string(r.Infno), MsgID: string(r.ID), Input: in, Done: r.State != gateway.StateRefused}
			if out, err := strictjson.Decode(r.Output, strictjson.Reply()); err == nil {
				one.Output = out
			}
			day = append(day, one)
		}
		if len(recs) < q.Limit {
			return day, left, nil
		}
		q.After = recs[len(recs)-1].ID
	}
}

// resender sends a recorded input as a new message.
type resender struct {
	target acceptance.Target
	place  institutionSettings
	seq    int
	signs  map[string]string
	areas  map[string]string
}

func (r *resender) message(infno string, input any, sign string) ([]byte, string, error) {
	now := time.Now().In(gateway.China)
	r.seq++
	id := fmt.Sprintf("%s%s%04d", r.place.Code, now.Add(time.Duration(r.seq/10000)*time.Second).Format("20060102150405"), r.seq%10000)
	b, err := wire.EncodeRequest(wire.Request{Infno: ident.Infno(infno), MsgID: ident.MsgID(id), MdtrtArea: r.place.Area, InsuplcArea: r.area(input), Receiver: r.place.Receiver,
		Version: r.place.Version, OperatorType: "1", Operator: "replay", OperatorName: "重放", Time: now.Format(time.DateTime), Institution: ident.Institution(r.place.Code),
		InstitutionNm: r.place.Name, SignNo: sign, Input: strictjson.Encode(input)})
	return b, id, err
}

// area is the area of insurance of the person a message is about, as 1101 gave it.
func (r *resender) area(input any) string {
	persons, _ := peopleOf(input)
	for _, p := range persons {
		if a := r.areas[p]; a != "" {
			return a
		}
	}
	return r.place.Area
}

// peopleOf gives the psn_no of a message.
func peopleOf(v any) ([]string, bool) {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		if s := strictjson.Text(v["psn_no"]); s != "" {
			out = append(out, s)
		}
		for _, x := range v {
			more, _ := peopleOf(x)
			out = append(out, more...)
		}
	case []any:
		for _, x := range v {
			more, _ := peopleOf(x)
			out = append(out, more...)
		}
	}
	return out, len(out) > 0
}

func (r *resender) send(ctx context.Context, infno string, input any) (wire.Reply, string, error) {
	sign, signed := r.signs[r.place.Code]
	if !signed {
		in := map[string]any{"signIn": map[string]any{"opter_no": "replay", "mac": "00-00-00-00-00-00", "ip": "127.0.0.1"}}
		if reply, _, err := r.exchange(ctx, "9001", in, ""); err == nil && reply.OK() {
			if m, ok := strictjson.Object(strictjson.Get(reply.Output, "signinoutb")); ok {
				sign = strictjson.Text(m["sign_no"])
			}
		}
		r.signs[r.place.Code] = sign
	}
	reply, id, err := r.exchange(ctx, infno, input, sign)
	if infno == "1101" && err == nil && reply.OK() {
		persons, _ := peopleOf(reply.Output)
		for _, row := range strictjson.Rows(reply.Output, "insuinfo") {
			if r.areas == nil {
				r.areas = map[string]string{}
			}
			for _, p := range slices.Compact(persons) {
				r.areas[p] = strictjson.Text(row["insuplc_admdvs"])
			}
		}
	}
	return reply, id, err
}

func (r *resender) exchange(ctx context.Context, infno string, input any, sign string) (wire.Reply, string, error) {
	msg, id, err := r.message(infno, input, sign)
	if err != nil {
		return wire.Reply{}, id, err
	}
	body, refusal, err := r.target.Exchange(ctx, infno, msg, "")
	if err != nil {
		return wire.Reply{}, id, err
	}
	if refusal != "" {
		return wire.Reply{InfCode: "-1", ErrMsg: refusal}, id, nil
	}
	reply, err := wire.DecodeReply(body)
	return reply, id, err
}
