package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"hash"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/adapters/his/hl7"
	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/gateway/deliver"
	"yiqiao/schemas/ident"
)

// deliverSettings say where final answers are brought that the HIS did not fetch.
type deliverSettings struct {
	URL     string          `yaml:"url"`     // "" for nowhere: the HIS asks
	Key     config.Secret   `yaml:"key"`     // of the signature, at least 16 characters
	After   config.Duration `yaml:"after"`   // how old an answer is before it is brought; default 10s
	Timeout config.Duration `yaml:"timeout"` // default 10s
	CA      string          `yaml:"ca"`      // certificates to trust; default those of the system
}

// receivers are the HIS systems that are brought their answers.
func (s *gatewaySettings) receivers() ([]deliver.Receiver, error) {
	var list []deliver.Receiver
	for _, h := range s.HIS {
		if h.Deliver.URL == "" {
			if h.Deliver.Key.Set() {
				return nil, fmt.Errorf("his %s: deliver.key is given, but no deliver.url", h.System)
			}
			continue
		}
		key, err := s.places().text(h.Deliver.Key)
		if err != nil {
			return nil, fmt.Errorf("his %s: deliver.key: %w", h.System, err)
		}
		r := deliver.Receiver{System: h.System, URL: h.Deliver.URL, Key: []byte(key), After: time.Duration(h.Deliver.After), Timeout: time.Duration(h.Deliver.Timeout)}
		if h.Deliver.CA != "" {
			if r.Roots, err = s.roots(h.Deliver.CA); err != nil {
				return nil, fmt.Errorf("his %s: deliver.%w", h.System, err)
			}
		}
		if err := r.Check(); err != nil {
			return nil, fmt.Errorf("his %s: %w", h.System, err)
		}
		list = append(list, r)
	}
	for _, h := range s.HL7 {
		for _, c := range h.Clients {
			if c.Deliver == (deliverSettings{}) {
				continue
			}
			r, err := s.hl7Receiver(h, c)
			if err != nil {
				return nil, fmt.Errorf("hl7 client %s: deliver: %w", c.System, err)
			}
			list = append(list, r)
		}
	}
	return list, nil
}

// hl7Receiver brings the answers of a client of HL7 to it as messages.
func (s *gatewaySettings) hl7Receiver(h hl7Settings, c hl7Client) (deliver.Receiver, error) {
	d := c.Deliver
	r := deliver.Receiver{System: c.System, After: time.Duration(d.After), Timeout: time.Duration(d.Timeout)}
	u, err := url.Parse(d.URL)
	if err != nil || u.Scheme != "mllp" && u.Scheme != "mllps" || u.Hostname() == "" || u.Port() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return r, errors.New("url must be mllp://HOST:PORT or mllps://HOST:PORT")
	}
	to := hl7.Receiver{Address: u.Host, TLS: u.Scheme == "mllps", App: c.App, Facility: c.Facility, Charset: h.Charset, Clock: systemClock{}}
	if d.Key.Set() {
		if to.Key, err = s.places().text(d.Key); err != nil {
			return r, fmt.Errorf("key: %w", err)
		}
	}
	if d.CA != "" {
		if to.Roots, err = s.roots(d.CA); err != nil {
			return r, err
		}
	}
	r.Bring = to.Bring
	return r, r.Check()
}

// roots reads the certificates to trust.
func (s *gatewaySettings) roots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(s.path(file))
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("ca: no certificate in it")
	}
	return pool, nil
}

// brought gives the systems that are brought their results, and the institutions they work for.
func (s *gatewaySettings) brought() map[string][]ident.Institution {
	out := map[string][]ident.Institution{}
	add := func(system, url string, institutions []string) {
		for _, in := range institutions {
			if url != "" && !slices.Contains(out[system], ident.Institution(in)) {
				out[system] = append(out[system], ident.Institution(in))
			}
		}
	}
	for _, h := range s.HIS {
		add(h.System, h.Deliver.URL, h.Institutions)
	}
	for _, h := range s.HL7 {
		for _, c := range h.Clients {
			add(c.System, c.Deliver.URL, c.Institutions)
		}
	}
	return out
}

// courier brings answers to those who have an address; nil when nobody has.
func (s *gatewaySettings) courier(srv *server, clock gateway.Clock) (*deliver.Courier, error) {
	list, err := s.receivers()
	if err != nil || len(list) == 0 {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	dir, err := filepath.Abs(s.path(s.Data))
	if err != nil {
		return nil, err
	}
	return deliver.New(deliver.Options{
		Journal: srv.journal, DB: srv.journal.db, Notices: srv.desk, Receivers: list, Clock: clock, Log: srv.parts.log, Trace: srv.drawn(),
		SM3: func() hash.Hash { return srv.parts.provider.NewSM3() }, Holder: host + ":" + dir,
	})
}

func deliveriesCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "deliveries",
		Short: "查看和管理结果推送 / Look after the results that are brought to a HIS",
		Long: `HIS 未取回的最终结果由网关推送到 his.deliver.url (HMAC-SM3 签名, 见 docs/operating.md)。推送失败的
保留在交易日志中并持续重试; 同一单据的结果按先后推送。网关运行与否都可使用本命令。`,
		Example: "  yiqiao deliveries list --config mysite\n  yiqiao deliveries retry his-main --config mysite",
	}
	c.AddCommand(deliveriesListCommand(s),
		deliveriesDoCommand(s, "retry SYSTEM [REQUEST_ID]", "立即重试失败的推送 / Try again at once", cobra.RangeArgs(1, 2), false,
			func(ctx context.Context, d deliver.Desk, args []string, _, _ string) (string, error) {
				id := ""
				if len(args) == 2 {
					id = args[1]
				}
				n, err := d.Retry(ctx, args[0], id)
				return fmt.Sprintf("%d 笔将立即重试", n), err
			}),
		deliveriesDoCommand(s, "skip SYSTEM REQUEST_ID", "不再推送一笔: 已另行告知 HIS / Give one up: the HIS was told otherwise", cobra.ExactArgs(2), true,
			func(ctx context.Context, d deliver.Desk, args []string, by, why string) (string, error) {
				return "不再推送", d.Skip(ctx, args[0], args[1], by, why)
			}),
		deliveriesDoCommand(s, "pause SYSTEM", "暂停向某系统推送 / Stop bringing results to a system", cobra.ExactArgs(1), true,
			func(ctx context.Context, d deliver.Desk, args []string, by, why string) (string, error) {
				return "已暂停", d.Pause(ctx, args[0], by, why)
			}),
		deliveriesDoCommand(s, "resume SYSTEM", "恢复推送 / Let it go on", cobra.ExactArgs(1), false,
			func(ctx context.Context, d deliver.Desk, args []string, _, _ string) (string, error) {
				return "已恢复", d.Pause(ctx, args[0], "", "")
			}))
	return c
}

func deliveriesListCommand(s *streams) *cobra.Command {
	var path string
	var asJSON bool
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "未送达的结果 / What has not come over",
		Example: "  yiqiao deliveries list --config mysite\n  yiqiao deliveries list --json --config mysite",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			g, j, d, err := deliveriesDesk(cmd.Context(), path)
			if err != nil {
				return err
			}
			defer j.close()
			list := []deliver.State{}
			for _, system := range slices.Sorted(maps.Keys(g.brought())) {
				st, err := d.State(cmd.Context(), system, limit)
				if err != nil {
					return plain(err)
				}
				list = append(list, st)
			}
			if asJSON {
				return printJSON(s.out, list)
			}
			rows := [][]string{}
			for _, st := range list {
				for _, w := range st.Waiting {
					rows = append(rows, []string{st.System, w.RequestID, w.Op, w.AnsweredAt.Format(time.DateTime), strconv.Itoa(w.Tries), clockZH(w.Again), w.Why})
				}
			}
			table(s.out, []string{"接入方", "请求号", "业务", "结果时间", "已试", "下次", "原因"}, rows, 4)
			fmt.Fprintln(s.out)
			for _, st := range list {
				more, last := "", clockZH(st.Last)
				if st.More {
					more = " (未列全)"
				}
				fmt.Fprintf(s.out, "%s: 未送达 %d%s, 累计送达 %d, 最近 %s", st.System, len(st.Waiting), more, st.Delivered, last)
				if st.Paused != "" {
					fmt.Fprintf(s.out, ", 暂停: %s", st.Paused)
				}
				fmt.Fprintln(s.out)
			}
			if len(list) == 0 {
				fmt.Fprintln(s.out, "没有配置推送地址 (his.deliver.url); HIS 自行查询结果")
			}
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	c.Flags().IntVar(&limit, "limit", 100, "每个系统最多几笔 / at most that many of a system")
	return c
}

func deliveriesDesk(ctx context.Context, path string) (*gatewaySettings, opened, deliver.Desk, error) {
	g, err := loadGateway(path)
	if err != nil {
		return nil, opened{}, deliver.Desk{}, err
	}
	j, err := g.openPresent(ctx)
	if err != nil {
		return nil, opened{}, deliver.Desk{}, err
	}
	return g, j, deliver.Desk{Journal: j, DB: j.db, Clock: systemClock{}}, nil
}

func deliveriesDoCommand(s *streams, use, short string, count cobra.PositionalArgs, reason bool,
	do func(ctx context.Context, d deliver.Desk, args []string, by, why string) (string, error)) *cobra.Command {
	var path, why string
	var by actor
	example := "  yiqiao deliveries " + strings.NewReplacer("SYSTEM", "his-main", " [REQUEST_ID]", "", "REQUEST_ID", "OP20261123-0001").Replace(use)
	if reason {
		example += " --why 已电话告知"
	}
	c := &cobra.Command{
		Use: use, Short: short, Args: count, Example: example + " --config mysite",
		RunE: func(cmd *cobra.Command, args []string) error {
			g, j, d, err := deliveriesDesk(cmd.Context(), path)
			if err != nil {
				return err
			}
			defer j.close()
			if g.brought()[args[0]] == nil {
				return fmt.Errorf("%s 没有配置推送地址 / has no deliver.url", args[0])
			}
			if reason && why == "" {
				return errors.New("请用 --why 说明原因 / say why")
			}
			who, err := g.acts(cmd.Context(), j, by, gateway.ActDeliveryManage, "deliveries")
			if err != nil {
				return err
			}
			if who.v != nil {
				o := gateway.DeliveryOrder{Do: cmd.Name(), System: args[0], Why: why}
				if len(args) > 1 {
					o.Delivery = args[1]
				}
				if err := (operations{journal: j, brought: g.brought()}).mayOrder(cmd.Context(), *who.v, o); err != nil {
					return plain(err)
				}
			}
			words, err := do(cmd.Context(), d, args, who.by, why)
			if err != nil {
				return plain(err)
			}
			fmt.Fprintln(s.out, words)
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	by.flags(c)
	if reason {
		c.Flags().StringVar(&why, "why", "", "原因 / why")
	}
	return c
}
