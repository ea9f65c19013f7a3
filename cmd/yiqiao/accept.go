package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/schemas/catalog"
	"yiqiao/simulator/acceptance"
)

func acceptCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "accept",
		Short: "接口验收 / Acceptance testing of an interface",
		Long: `按要求清单逐条验收接口, 给出可签名的报告。要求与用例都是数据 (docs/acceptance.md)。

可以验收中心 (模拟中心, 或中心的测试环境)、HIS (模拟中心在对面观察并评判) 和本网关自身。`,
		Example: "  yiqiao accept run --target simulator\n  yiqiao accept requirements 2207",
	}
	c.AddCommand(acceptRunCommand(s), acceptVerifyCommand(s), acceptOriginalsCommand(s), acceptListCommand(s), acceptSiteCommand(s))
	return c
}

// acceptFlags are what `yiqiao accept run` was asked for.
type acceptFlags struct {
	target, profile, config, centre, site string
	suite, out, key, previous             string
	listen, presetName                    string
	keepOriginals                         bool
	passFile                              string
	keep                                  func(acceptance.Original) // of keepOriginals, once its file is open
	preset                                *acceptance.Preset        // of presetName
	only                                  []string
	seed                                  uint64
	json, testPlace, rehearse, door       bool
	resume                                bool
	parallel                              int
	limit                                 time.Duration
	wait                                  time.Duration
}

func acceptRunCommand(s *streams) *cobra.Command {
	var f acceptFlags
	c := &cobra.Command{
		Use:   "run",
		Short: "执行验收 / Run an acceptance",
		Long: `--target simulator 验收内置的模拟中心 (无需配置); --target centre 验收配置文件中的一个中心, 使用其中的地址、密钥和认证方式;
--target his 由模拟中心接收 HIS 的报文, 逐步提示下一步应办什么并评判每条报文 (有 --config 时用其中 simulator.yaml 的密钥和地址);
--target gateway 验收本程序的网关: 前面由脚本扮演 HIS, 后面由模拟中心观察评判; --target his --door 让被测的 HIS 经网关的 REST 接口办理。

验收会真实登记、结算、撤销和冲正: 只能对测试环境进行, 并用 --this-is-a-test-environment 确认。测试人员与项目写在
--site 文件里 (yiqiao accept site 给出样例)。

退出码: 0 全部通过, 1 有未通过, 2 未能执行。`,
		Example: `  yiqiao accept run --target simulator
  yiqiao accept run --target simulator --suite outpatient --out report
  yiqiao accept run --target centre --config mysite --centre main --site test-site.yaml --this-is-a-test-environment --out report --key office.key
  yiqiao accept run --target simulator --only OP-01 --json
  yiqiao accept run --target simulator --preset guangdong
  yiqiao accept run --preset list
  yiqiao accept run --target his --listen 0.0.0.0:8190 --out report
  yiqiao accept run --target his --rehearse
  yiqiao accept run --target his --door --listen 0.0.0.0:8180
  yiqiao accept run --target gateway --profile mpc`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.presetName == "list" {
				return listPresets(s, f.json)
			}
			if err := f.readPreset(cmd.Flags().Changed("profile")); err != nil {
				return err
			}
			if f.profile == "" {
				f.profile = "none"
				if f.target == "simulator" {
					f.profile = "mpc" // what is about security is tried as well
				}
			}
			return acceptRun(cmd.Context(), s, f)
		},
	}
	c.Flags().StringVar(&f.target, "target", "simulator", "simulator, centre, his 或 gateway / what is tried")
	c.Flags().StringVar(&f.profile, "profile", "", "模拟中心的报文方式: none, mpc; 不写时 simulator 为 mpc (安全要求一并验收), 其他为 none / how the simulated centre protects messages")
	c.Flags().StringVar(&f.presetName, "preset", "", "地区预设 (报文方式、地址形式、开关、次序): 名称, 文件, 或 list 列出 / how an area speaks: a name, a file, or list")
	c.Flags().BoolVar(&f.keepOriginals, "keep-originals", false, "未遮盖的报文原文用口令加密, 存入报告文件夹 / keep the originals sealed beside the report")
	c.Flags().StringVar(&f.passFile, "passphrase-file", "", "从文件读取原文的口令 (否则取自 "+passphraseEnv+" 或终端) / passphrase of the originals")
	c.Flags().StringVar(&f.config, "config", "", "配置文件夹 (centre: 网关配置, 不写为当前目录; his: 模拟中心配置) / configuration")
	c.Flags().StringVar(&f.listen, "listen", "", "接收 HIS 报文的地址 (his) / where the HIS connects")
	c.Flags().DurationVar(&f.wait, "wait", 30*time.Minute, "这么久没有报文则结束 (his) / how long to wait for a message")
	c.Flags().BoolVar(&f.door, "door", false, "HIS 经本网关的 REST 接口办理, 一并评判 (his) / the HIS speaks to a gateway's front door")
	c.Flags().BoolVar(&f.rehearse, "rehearse", false, "由内置脚本扮演一个正确的 HIS, 先看一遍过程 (his) / play a correct HIS")
	c.Flags().StringVar(&f.centre, "centre", "main", "配置中的中心名 / name of the centre in it")
	c.Flags().StringVar(&f.site, "site", "", "测试数据文件 / file of test data")
	c.Flags().StringVar(&f.suite, "suite", "", "只执行一组 / only one suite")
	c.Flags().StringSliceVar(&f.only, "only", nil, "只执行这些用例 / only these cases")
	c.Flags().StringVar(&f.out, "out", "", "报告文件夹 / folder for the report")
	c.Flags().StringVar(&f.key, "key", "", "用此 SM2 私钥签名报告 / sign the report with this key file")
	c.Flags().StringVar(&f.previous, "previous", "", "与此 report.json 比较 / compare with this report")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "编号起点; 模拟中心的密钥与随机数也由此而来 / where numbers start, and the keys and randomness of the simulator")
	c.Flags().BoolVar(&f.resume, "resume", false, "接着上次中断的验收 (需要同一个 --out) / go on with a run that was broken off")
	c.Flags().IntVar(&f.parallel, "parallel", 1, "同时进行的人员数; 1 时结果按种子可重复 / lanes at once, one for each person")
	c.Flags().DurationVar(&f.limit, "limit", time.Minute, "一次答复的时限 (centre) / limit of one answer")
	c.Flags().BoolVar(&f.json, "json", false, "打印 JSON / print JSON")
	c.Flags().BoolVar(&f.testPlace, "this-is-a-test-environment", false, "确认对方是测试环境 / the target is no production")
	_ = c.RegisterFlagCompletionFunc("target", cobra.FixedCompletions([]string{"simulator", "centre", "his", "gateway"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("profile", cobra.FixedCompletions([]string{"none", "mpc"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func acceptRun(ctx context.Context, s *streams, f acceptFlags) error {
	p, err := provider("")
	if err != nil {
		return err
	}
	cat, err := catalog.Default()
	if err != nil {
		return err
	}
	o := acceptance.Options{Suite: f.suite, Only: f.only, Seed: f.seed, Now: time.Now, Parallel: f.parallel}
	name := f.target
	switch f.target {
	case "simulator":
		o.Site, err = acceptance.SimulatorSite()
		if err == nil {
			var sim *acceptance.Simulation
			if sim, err = acceptance.Simulate(acceptance.SimulationOptions{Catalog: cat, Profile: f.profile, Preset: f.preset, Provider: p, Rand: seeded(f.seed), Now: time.Now}); err != nil {
				return err
			}
			defer sim.Centre.Close()
			o.Target, o.Services = sim.Target, sim.Services
		}
		name += " (" + cmp.Or(f.presetName, f.profile) + ")"
	case "centre":
		if !f.testPlace {
			return errors.New("验收会真实结算和撤销, 只能对测试环境进行: 确认后加 --this-is-a-test-environment / not confirmed as a test environment")
		}
		if f.site == "" {
			return errors.New("需要 --site 测试数据文件 (yiqiao accept site 给出样例) / --site is needed")
		}
		if o.Site, err = readSite(f.site); err != nil {
			return err
		}
		o.Target, name, err = acceptCentre(p, f, o.Site)
	case "his", "gateway":
		return acceptWatched(ctx, s, f, p, cat)
	default:
		return fmt.Errorf("--target %q: simulator, centre, his, gateway", f.target)
	}
	if err == nil && f.site != "" {
		o.Site, err = readSite(f.site)
	}
	if err != nil {
		return err
	}
	if f.preset != nil {
		f.preset.Apply(&o.Site)
	}
	var kept *acceptance.Progress
	if f.out != "" {
		if err := os.MkdirAll(f.out, 0o700); err != nil {
			return err
		}
		what, err := json.Marshal([]any{name, f.suite, f.only, f.seed, o.Site})
		if err != nil {
			return err
		}
		if kept, o.Known, err = acceptance.OpenProgress(filepath.Join(f.out, "progress.jsonl"), string(what), f.resume); err != nil {
			return err
		}
		o.Keep = kept.Keep
	} else if f.resume {
		return errors.New("--resume 需要 --out: 进度保存在报告文件夹里 / --resume needs --out")
	}
	originals, err := f.originals(p)
	if err != nil {
		return err
	}
	o.Originals = f.keep
	if !f.json && term.IsTerminal(int(os.Stderr.Fd())) {
		began := time.Now()
		o.Progress = func(done, total int, c acceptance.CaseResult) {
			left := time.Since(began) / time.Duration(done) * time.Duration(total-done)
			fmt.Fprintf(s.err, "\r\033[K%d/%d %s %s, 约剩 %s", done, total, c.ID, c.Title.ZH, left.Round(time.Second))
			if done == total {
				fmt.Fprint(s.err, "\r\033[K")
			}
		}
	}
	r, err := acceptance.New(cat, o)
	if err != nil {
		return errors.Join(err, closeOriginals(originals, false))
	}
	res := r.Run(ctx)
	res.Target, res.Originals = name, originals != nil
	if err := closeOriginals(originals, ctx.Err() == nil); err != nil {
		return err
	}
	if kept != nil {
		if err := kept.Close(ctx.Err() == nil); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("验收被中断, 已执行 %d 个用例; 有 --out 时加 --resume 继续 / interrupted", len(res.Cases))
	}
	return acceptEnd(s, p, f, res)
}

// acceptWatched is an acceptance of what sends messages.
func acceptWatched(ctx context.Context, s *streams, f acceptFlags, p sm.Provider, cat *catalog.Catalog) error {
	site, err := acceptance.SimulatorSite()
	site.SignIn = true
	if err == nil && f.site != "" {
		site, err = readSite(f.site)
	}
	if err != nil {
		return err
	}
	if f.preset != nil {
		if err := f.watchedPreset(); err != nil {
			return err
		}
		f.preset.Apply(&site)
	}
	if f.rehearse && f.config != "" {
		return errors.New("--rehearse 不带 --config: 演练使用明文 / a rehearsal speaks plain messages")
	}
	if f.listen == "" && f.rehearse {
		f.listen = "127.0.0.1:0"
	}
	of := acceptHIS
	switch {
	case f.target == "gateway":
		of = acceptGateway
	case f.door:
		of = acceptDoor
	}
	if f.out != "" {
		if err := os.MkdirAll(f.out, 0o700); err != nil {
			return err
		}
	}
	originals, err := f.originals(p)
	if err != nil {
		return err
	}
	res, err := of(ctx, s, f, p, cat, site)
	if err := errors.Join(err, closeOriginals(originals, err == nil)); err != nil {
		return err
	}
	res.Target, res.Originals = f.target, originals != nil
	return acceptEnd(s, p, f, res)
}

// acceptEnd writes a result and says how the run went.
func acceptEnd(s *streams, p sm.Provider, f acceptFlags, res *acceptance.Result) error {
	if err := acceptWrite(s, p, f, res); err != nil {
		return err
	}
	switch {
	case !slices.ContainsFunc(res.Cases, func(c acceptance.CaseResult) bool { return len(c.Steps) > 0 }):
		return errors.New("什么也没有发生: 所选用例都不适用, 或 HIS 没有发来报文; 原因见上 (安全用例须有签名的报文方式) / no case applies, or nothing came")
	case !res.Reached:
		return errors.New("对方没有给出任何可用的答复, 验收未能执行 / nothing readable came back: could not run")
	case !res.Passed():
		return errNo
	}
	return nil
}

// acceptWrite prints a result and writes the report.
func acceptWrite(s *streams, p sm.Provider, f acceptFlags, res *acceptance.Result) error {
	var before *acceptance.Result
	if f.previous != "" {
		file, err := os.Open(f.previous)
		if err != nil {
			return err
		}
		defer file.Close()
		if before, err = acceptance.ReadResult(file); err != nil {
			return err
		}
	}
	var key *sm.PrivateKey
	if f.key != "" {
		text, err := keys.ReadFile(f.key)
		if err != nil {
			return err
		}
		if key, err = keys.ParsePrivate(text); err != nil {
			return err
		}
	}
	if f.out != "" {
		if err := acceptance.WriteReport(f.out, res, before, p, key); err != nil {
			return err
		}
	}
	if f.json {
		return printJSON(s.out, res)
	}
	var rows [][]string
	for _, c := range res.Cases {
		why := c.Stopped
		if n := len(c.Steps); n > 0 && len(c.Steps[n-1].Faults) > 0 {
			why = fmt.Sprintf("第 %d 步 %s: %s", n, c.Steps[n-1].Infno, c.Steps[n-1].Faults[0])
		}
		rows = append(rows, []string{c.Status.Word().ZH, c.ID, c.Title.ZH, why})
	}
	table(s.out, []string{"结果", "用例", "内容", "说明"}, rows)
	for _, q := range res.Requirements {
		if q.Status != acceptance.Fail {
			continue
		}
		fmt.Fprintf(s.out, "\n%s %s\n", q.ID, q.Text.ZH)
		for _, e := range q.Evidence {
			fmt.Fprintf(s.out, "  %s 第 %d 步 %s: 应为 %s; 实为 %s\n", e.Case, e.Step, e.Infno, e.Wanted, e.Got)
		}
	}
	n := res.Counts()
	counts := make([]string, 0, len(n))
	for _, k := range acceptance.Statuses() {
		counts = append(counts, fmt.Sprintf("%s %d", k.Word().ZH, n[k]))
	}
	judged, testable := res.Testable()
	fmt.Fprintf(s.out, "\n要求: %s\n被测一方可测的 %d 条中, %d 条有结论, %d 条没有用例\n", strings.Join(counts, ", "), testable, judged, n[acceptance.NoCase])
	if before != nil {
		for _, c := range acceptance.Compare(before, res) {
			fmt.Fprintf(s.out, "与上次相比: %s %s -> %s\n", c.ID, c.Was, c.Now)
		}
	}
	if f.out != "" {
		fmt.Fprintf(s.out, "报告: %s/%s\n", f.out, acceptance.FileHTML)
	}
	return nil
}

// seededSource is the randomness of a simulated line, which protects nothing: the same seed, the same bytes.
type seededSource struct {
	mu sync.Mutex
	r  *mathrand.ChaCha8
}

func seeded(seed uint64) *seededSource {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return &seededSource{r: mathrand.NewChaCha8(key)}
}

// Read fills b; safe for concurrent use.
func (s *seededSource) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.Read(b)
}

func readSite(path string) (acceptance.Site, error) {
	file, err := os.Open(path)
	if err != nil {
		return acceptance.Site{}, err
	}
	defer file.Close()
	return acceptance.ReadSite(file)
}

// plainLine is the profile of messages that nothing protects.
func plainLine() (envelope.Profile, error) {
	return envelope.New("none", envelope.Party{}, envelope.Options{})
}

// acceptCentre is the way to a centre of a configuration, with its own keys and headers.
func acceptCentre(p sm.Provider, f acceptFlags, site acceptance.Site) (acceptance.Target, string, error) {
	g, err := loadGateway(cmp.Or(f.config, "."))
	if err != nil {
		return nil, "", err
	}
	set, ok := g.Centres[f.centre]
	if !ok {
		return nil, "", fmt.Errorf("centres.%s: 配置中没有 / not in the configuration", f.centre)
	}
	if !site.TestInstitution {
		return nil, "", errors.New("测试数据中没有 test_institution: true: 请确认机构与人员都是测试用的 / the site file does not say that its institution is one for tests")
	}
	if !slices.ContainsFunc(g.Institutions, func(i institutionSettings) bool { return i.Code == site.Institution }) {
		return nil, "", fmt.Errorf("测试数据的机构 %s 不在配置中 / the institution is not in the configuration", site.Institution)
	}
	profile, transport, _, err := set.line(p, g.places(), systemClock{})
	if err != nil {
		return nil, "", fmt.Errorf("centres.%s: %w", f.centre, err)
	}
	envelopeName, transportName := set.Protect.names()
	if err := presetFits(f, envelopeName, transportName, cmp.Or(set.URLStyle, "per-infno")); err != nil {
		return nil, "", err
	}
	c := &acceptance.Client{
		URL: set.URL, HTTP: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 2}, Profile: profile, Seals: envelopeName != "none",
		Transport: transport, Stamps: transportName != "plain" && transportName != "", Rand: rand.Reader, Now: time.Now,
		PerInfno: set.URLStyle != "single", Limit: f.limit,
	}
	return c, set.URL, nil
}

// verified is what `accept verify --json` prints.
type verified struct {
	Valid   bool                      `json:"valid"`
	Problem string                    `json:"problem,omitempty"`
	Target  string                    `json:"target,omitempty"`
	Began   time.Time                 `json:"began,omitzero"`
	Passed  bool                      `json:"passed"`
	Counts  map[acceptance.Status]int `json:"counts,omitempty"`
}

func acceptVerifyCommand(s *streams) *cobra.Command {
	var key string
	var asJSON bool
	c := &cobra.Command{
		Use:     "verify FOLDER",
		Short:   "验证报告的签名 / Verify the signature of a report",
		Example: "  yiqiao accept verify report --key office.pub\n  yiqiao accept verify report --key office.pub --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := provider("")
			if err != nil {
				return err
			}
			text, err := keys.ReadFile(key)
			if err != nil {
				return err
			}
			pub, err := keys.ParsePublic(text)
			if err != nil {
				return err
			}
			res, err := acceptance.Verify(os.DirFS(args[0]), p, pub)
			if errors.Is(err, acceptance.ErrReport) {
				if asJSON {
					if err := printJSON(s.out, verified{Problem: err.Error()}); err != nil {
						return err
					}
					return errNo
				}
				fmt.Fprintln(s.out, err)
				return errNo
			}
			if err != nil {
				return err
			}
			n := res.Counts()
			if asJSON {
				return printJSON(s.out, verified{Valid: true, Target: res.Target, Began: res.Began, Passed: res.Passed(), Counts: n})
			}
			fmt.Fprintf(s.out, "签名有效: %s, %s, 通过 %d, 未通过 %d\n", res.Target, res.Began.Format(time.DateTime), n[acceptance.Pass], n[acceptance.Fail])
			return nil
		},
	}
	c.Flags().StringVar(&key, "key", "", "签名者的公钥文件 / the signer's public key")
	c.Flags().BoolVar(&asJSON, "json", false, "打印 JSON / print JSON")
	_ = c.MarkFlagRequired("key")
	return c
}

func acceptListCommand(s *streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "requirements [TEXT]",
		Short:   "列出要求 / List the requirements",
		Example: "  yiqiao accept requirements 2207\n  yiqiao accept requirements --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			cat, err := catalog.Default()
			if err != nil {
				return err
			}
			list, err := acceptance.Requirements(cat)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				list = slices.DeleteFunc(list, func(q acceptance.Requirement) bool {
					return !strings.Contains(q.ID+" "+q.Infno+" "+q.Text.ZH+" "+q.Text.EN, args[0])
				})
			}
			if asJSON {
				return printJSON(s.out, list)
			}
			var rows [][]string
			for _, q := range list {
				rows = append(rows, []string{q.ID, q.Kind, q.Actor, q.Confidence, q.Text.ZH})
			}
			table(s.out, []string{"编号", "程度", "由谁", "把握", "要求"}, rows)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "打印 JSON / print JSON")
	return c
}

func acceptSiteCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:     "site",
		Short:   "打印测试数据样例 / Print an example of a file of test data",
		Example: "  yiqiao accept site > test-site.yaml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.Copy(s.out, bytes.NewReader(acceptance.SiteExample()))
			return err
		},
	}
}
