package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/gateway/audit"
	"yiqiao/gateway/config"
	"yiqiao/gateway/store"
)

// auditSettings say how the audit record is signed and where its heads are kept.
type auditSettings struct {
	Name  string          `yaml:"name"`  // of this gateway among those on one database; default: gateway, or the host's name on PostgreSQL
	Key   config.Secret   `yaml:"key"`   // SM2 private key that signs heads; none: the end of the record is not protected
	Every config.Duration `yaml:"every"` // how often; default 1m
	Heads string          `yaml:"heads"` // file that signed heads are appended to; none: they are in the database only
}

func (s auditSettings) faults() (list []string) {
	if s.Name != "" && (!audit.GoodName(s.Name) || s.Name == commandName) {
		list = append(list, "audit.name must be letters, digits, - and _, at most 40, and not "+commandName)
	}
	if s.Heads != "" && !s.Key.Set() {
		list = append(list, "audit.heads belongs to audit.key, which is missing")
	}
	if s.Every < 0 {
		list = append(list, "audit.every is negative")
	}
	return list
}

// commandName is the name under which commands write into the audit record.
const commandName = "cli"

// auditName is the gateway's own name in the record.
func (s *gatewaySettings) auditName() string {
	if s.Audit.Name != "" {
		return s.Audit.Name
	}
	if s.Journal.Database != "" {
		host, _ := os.Hostname()
		host = strings.Map(func(r rune) rune {
			if audit.GoodName(string(r)) {
				return r
			}
			return '-'
		}, host)
		if host = host[:min(len(host), 40)]; audit.GoodName(host) && host != commandName {
			return host
		}
	}
	return "gateway"
}

// openAudit makes the audit record the database's ledger. A command that may not read the key writes
// without signing.
func (s *gatewaySettings) openAudit(db *store.DB, p sm.Provider, secret [32]byte) (*audit.Log, error) {
	o := audit.Options{DB: db, Name: s.auditAs, SM3: p.SM3, Clock: s.clock, Secret: secret, Every: time.Duration(s.Audit.Every)}
	if o.Name == "" {
		o.Name = commandName
	}
	if o.Clock == nil {
		o.Clock = systemClock{}
	}
	if s.Audit.Key.Set() {
		key, err := s.auditKey()
		if err != nil && s.auditAs != "" {
			return nil, fmt.Errorf("audit.key: %w", err)
		}
		if err == nil {
			if o.Signer, err = keys.Soft(p, key); err != nil {
				return nil, fmt.Errorf("audit.key: %w", err)
			}
			o.Rand = rand.Reader
		}
	}
	if path := s.Audit.Heads; path != "" {
		path = s.path(path)
		o.Publish = func(h audit.SignedHead) error { return appendHead(path, h) }
	}
	return audit.Open(o)
}

func (s *gatewaySettings) auditKey() (*sm.PrivateKey, error) {
	text, err := s.places().text(s.Audit.Key)
	if err != nil {
		return nil, err
	}
	return keys.ParsePrivate(text)
}

// appendHead keeps a head as a line of JSON, durable.
func appendHead(path string, h audit.SignedHead) error {
	line, err := json.Marshal(h)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// signAudit leaves nothing unsigned behind when a command or the gateway ends. What a dead disk keeps from
// being signed now is signed at the next start.
func (o opened) signAudit() {
	if o.audit != nil {
		_, _, _ = o.audit.Head(context.Background())
	}
}

// readHeads reads a file of heads, one JSON a line, as audit.heads has it or `audit head --json` prints it.
func readHeads(path string) (list []audit.SignedHead, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bufio.NewReader(bytes.NewReader(b)))
	for dec.More() {
		var h audit.SignedHead
		if err := dec.Decode(&h); err != nil {
			return nil, fmt.Errorf("%s: 不是链头文件 / not a file of heads", filepath.Base(path))
		}
		list = append(list, h)
	}
	return list, nil
}

// readPublics reads public keys from files.
func readPublics(files []string) (list []*sm.PublicKey, err error) {
	for _, f := range files {
		text, err := keys.ReadFile(f)
		if err != nil {
			return nil, err
		}
		k, err := keys.ParsePublic(text)
		if err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, nil
}

// osUser is who runs a command, for the record.
func osUser() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "os:" + u.Username
	}
	return "os:" + strconv.Itoa(os.Getuid())
}

func auditCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:     "audit",
		Short:   "审计记录: 核对, 取签名链头 / The audit record: verify it, take a signed head",
		Example: "  yiqiao audit verify --config mysite\n  yiqiao audit head --config mysite --json >> /mnt/worm/heads.jsonl",
	}
	c.AddCommand(auditVerifyCommand(s), auditHeadCommand(s))
	return c
}

func auditVerifyCommand(s *streams) *cobra.Command {
	var path string
	var heads, publics []string
	var chainOnly, asJSON bool
	c := &cobra.Command{
		Use:   "verify",
		Short: "核对审计链, 并与交易日志逐条对照 / Verify the chains and hold them against the journal",
		Long: `重算每条链, 指出被改动、删除、调换或截断的条目; 验证签名链头; 再与交易日志逐条对照,
指出事后被改动或不经网关写入的内容。--head 给出另处保存的链头, 可发现连同库内链头一起被截断的末尾。
有问题时退出码为 1。网关可以同时运行。`,
		Example: `  yiqiao audit verify --config mysite
  yiqiao audit verify --config mysite --head /mnt/worm/audit-heads.jsonl --key keys/audit.pub`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			j, p, own, err := openAuditOf(cmd.Context(), path)
			if err != nil {
				return err
			}
			defer j.close()
			o := audit.VerifyOptions{DB: j.db, Provider: p, Items: j.audit, Keys: own}
			if !chainOnly {
				o.Journal = j.Journal
			}
			if len(publics) > 0 {
				if o.Keys, err = readPublics(publics); err != nil {
					return err
				}
			}
			for _, f := range heads {
				list, err := readHeads(f)
				if err != nil {
					return err
				}
				o.Outside = append(o.Outside, list...)
			}
			if len(o.Outside) > 0 && len(o.Keys) == 0 {
				return errors.New("--head 需要 --key: 没有公钥无法验签 / a head can not be checked without a key")
			}
			done := working("核对审计记录")
			r, err := audit.Verify(cmd.Context(), o)
			done()
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(s.out, r)
			} else {
				printAudit(s, r, len(o.Keys) > 0)
			}
			if err == nil && len(r.Findings) > 0 {
				err = errNo
			}
			return err
		},
	}
	c.Flags().StringVar(&path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().StringArrayVar(&heads, "head", nil, "另处保存的链头文件 / file of heads kept elsewhere")
	c.Flags().StringArrayVar(&publics, "key", nil, "链头签名公钥文件, 默认取自配置 / public key of the signer")
	c.Flags().BoolVar(&chainOnly, "chain-only", false, "不与交易日志对照 / do not look at the journal")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

// openAuditOf opens the journal with its record, and gives the public key of the configuration.
func openAuditOf(ctx context.Context, path string) (opened, sm.Provider, []*sm.PublicKey, error) {
	g, err := loadGateway(path)
	if err != nil {
		return opened{}, nil, nil, err
	}
	p, err := provider(g.Provider)
	if err != nil {
		return opened{}, nil, nil, err
	}
	var own []*sm.PublicKey
	if g.Audit.Key.Set() {
		k, err := g.auditKey()
		if err != nil {
			return opened{}, nil, nil, fmt.Errorf("audit.key: %w", err)
		}
		own = append(own, k.Public())
	}
	j, err := openJournal(ctx, path)
	return j, p, own, err
}

func printAudit(s *streams, r audit.Report, keyed bool) {
	rows := make([][]string, 0, len(r.Chains))
	for _, c := range r.Chains {
		rows = append(rows, []string{c.Chain, strconv.FormatInt(c.Entries, 10), strconv.FormatInt(c.Lines, 10), c.To.Format("2006-01-02 15:04:05"), strconv.FormatInt(c.SignedTo, 10)})
	}
	table(s.out, []string{"链", "条目", "行", "最后写入", "签名至"}, rows, 1, 2, 4)
	fmt.Fprintln(s.out)
	for _, f := range r.Findings {
		place := f.Chain
		if f.Seq > 0 {
			place = strings.TrimPrefix(place+" #"+strconv.FormatInt(f.Seq, 10), " ")
		}
		fmt.Fprintf(s.out, "%s  %s  %s\n", pad(f.Kind, 12), place, f.ZH)
	}
	if !keyed {
		fmt.Fprintln(s.out, "没有公钥: 未核对签名链头, 末尾被截断无法发现 / no key: heads were not checked")
	}
	held := "未与交易日志对照"
	if r.Journal {
		held = fmt.Sprintf("与交易日志一致 %d 行", r.Held)
		if r.Older > 0 {
			held += fmt.Sprintf(", 早于审计记录 %d 项", r.Older)
		}
	}
	fmt.Fprintf(s.out, "链头 %d 个, 外部链头 %d 个; %s; %d 个问题\n", r.Heads, r.Outside, held, len(r.Findings)+r.More)
}

func auditHeadCommand(s *streams) *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:     "head",
		Short:   "输出各网关最新的签名链头, 供另处保存 / Print the newest signed head of each gateway, to be kept elsewhere",
		Long:    "把输出另存到网关管理员改不到的地方; 日后 audit verify --head 可证明末尾没有被截断、全链没有被重写。",
		Example: "  yiqiao audit head --config mysite --json >> /mnt/worm/heads.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			j, err := openJournal(cmd.Context(), path)
			if err != nil {
				return err
			}
			defer j.close()
			list, err := audit.Heads(cmd.Context(), j.db)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return errors.New("还没有签名链头: 配置 audit.key 后由网关每分钟签一次 / no head was signed yet")
			}
			for _, h := range list {
				if asJSON {
					line, err := json.Marshal(h)
					if err != nil {
						return err
					}
					fmt.Fprintf(s.out, "%s\n", line)
					continue
				}
				fmt.Fprintf(s.out, "%ssignature: %x\n\n", h.Text, h.Signature)
			}
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().BoolVar(&asJSON, "json", false, "每行一个 JSON / one JSON a line")
	return c
}
