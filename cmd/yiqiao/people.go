package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/gateway/people"
	"yiqiao/schemas/ident"
)

// peopleSettings say how people sign in; the zero value is a good choice.
type peopleSettings struct {
	ByAccount    string          `yaml:"by_account"` // who decides must be an account: auto (default: as soon as there is one), always, never
	Tries        int             `yaml:"tries"`      // failures in a row before an account is locked; default 5
	Lock         config.Duration `yaml:"lock"`       // default 15m
	AddressTries int             `yaml:"address_tries"`
	Idle         config.Duration `yaml:"idle"` // a session that is not used; default 30m
	Life         config.Duration `yaml:"life"` // any session; default 12h
	MemoryMiB    int             `yaml:"memory_mib"`
	Passes       int             `yaml:"passes"` // of argon2id; default 3, with 64 MiB
}

func (s peopleSettings) faults() (list []string) {
	switch s.ByAccount {
	case "", "auto", "always", "never":
	default:
		list = append(list, "people.by_account must be auto, always or never")
	}
	if s.MemoryMiB < 0 || s.MemoryMiB > 1024 || s.Passes < 0 || s.Passes > 20 {
		list = append(list, "people.memory_mib or people.passes is out of range")
	}
	return list
}

// register is the book of accounts on a journal's database.
func (s *gatewaySettings) register(j opened, p sm.Provider, clock gateway.Clock) (*people.Register, error) {
	o := people.Options{DB: j.db, Audit: j.audit, Clock: clock, Digest: p.SM3, Rand: rand.Reader,
		Tries: s.People.Tries, Lock: time.Duration(s.People.Lock), AddressTries: s.People.AddressTries,
		Idle: time.Duration(s.People.Idle), Life: time.Duration(s.People.Life)}
	if s.People.MemoryMiB > 0 || s.People.Passes > 0 {
		o.Cost = people.DefaultCost
		if s.People.MemoryMiB > 0 {
			o.Cost.MemoryKiB = uint32(s.People.MemoryMiB) << 10
		}
		if s.People.Passes > 0 {
			o.Cost.Passes = uint32(s.People.Passes)
		}
	}
	for _, in := range s.Institutions {
		o.Institutions = append(o.Institutions, ident.Institution(in.Code))
	}
	return people.New(o)
}

// namesMatter reports whether a name has to be that of an account.
func (s *gatewaySettings) namesMatter(ctx context.Context, r *people.Register) (bool, error) {
	switch s.People.ByAccount {
	case "always":
		return true, nil
	case "never":
		return false, nil
	}
	return r.Any(ctx)
}

// mayOf and seesOf ask the accounts what a person may, where a name has to be an account's.
func (s *gatewaySettings) mayOf(r *people.Register) func(context.Context, gateway.Person, gateway.Act) error {
	return func(ctx context.Context, p gateway.Person, act gateway.Act) error {
		matter, err := s.namesMatter(ctx, r)
		if err != nil || !matter {
			return err
		}
		_, err = r.May(ctx, p.ID, act)
		return err
	}
}

func (s *gatewaySettings) seesOf(r *people.Register) func(context.Context, gateway.Person, ident.Institution) (bool, error) {
	return func(ctx context.Context, p gateway.Person, i ident.Institution) (bool, error) {
		matter, err := s.namesMatter(ctx, r)
		if err != nil || !matter {
			return !matter, err
		}
		v, err := r.May(ctx, p.ID, gateway.ActReviewRead)
		return v.Sees(i), err
	}
}

// passwordEnv is where a person's password may be given to a command.
const passwordEnv = "YIQIAO_PASSWORD"

// readPassword gives what a person types, or has put into a file or the environment.
func readPassword(file, what string) (string, error) {
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	if text := os.Getenv(passwordEnv); text != "" {
		return text, nil
	}
	b, err := askPassphrase(what)
	return string(b), err
}

// prove asks for a person's password where a name has to be an account's, and gives the person with its
// full name; else the name is taken for the person.
func (s *gatewaySettings) prove(ctx context.Context, j opened, id, name, passwordFile, what string) (gateway.Person, *gateway.Visitor, error) {
	p, err := sm.New("")
	if err != nil {
		return gateway.Person{}, nil, err
	}
	r, err := s.register(j, p, systemClock{})
	if err != nil {
		return gateway.Person{}, nil, err
	}
	matter, err := s.namesMatter(ctx, r)
	if err != nil {
		return gateway.Person{}, nil, err
	}
	if !matter {
		return gateway.Person{ID: orUser(id), Name: name}, nil, nil
	}
	if id == "" {
		return gateway.Person{}, nil, errors.New("已建立人员账户: 请用 --by 给出您的用户名 / there are accounts: say who you are with --by")
	}
	password, err := readPassword(passwordFile, id+" 的口令 / password")
	if err != nil {
		return gateway.Person{}, nil, err
	}
	v, err := r.Prove(ctx, gateway.SignIn{ID: id, Password: password, From: "command line"}, what)
	if err != nil {
		return gateway.Person{}, nil, plain(err)
	}
	return v.Person, &v, nil
}

func peopleCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "people",
		Short: "人员账户与角色 / Accounts and roles of people",
		Long: `可登录网关的人员: 用户名、姓名、角色、所属机构。没有默认账户, 也没有默认口令: 第一位管理员由能在网关机器上
执行本命令的人建立, 得到一次性口令, 首次登录必须修改。口令只存 argon2id 摘要。每次变动记入审计链。

` + rolesHelp(),
		Example: `  yiqiao people add wang --name 王管理 --role administrator --everywhere --config mysite
  yiqiao people add li --name 李会计 --role finance --institution H44010000001 --config mysite
  yiqiao people list --config mysite`,
	}
	c.AddCommand(peopleAddCommand(s), peopleListCommand(s), peopleRoleCommand(s), peoplePasswordCommand(s), peopleChangeCommand(s),
		peopleOneCommand(s, "disable", "停用账户, 其登录立即失效 / Shut an account and end its sessions", (*people.Register).Disable),
		peopleOneCommand(s, "enable", "重新启用账户 / Open it again", (*people.Register).Enable),
		peopleOneCommand(s, "unlock", "解除因口令错误造成的锁定 / Forget the failed sign-ins", (*people.Register).Unlock))
	return c
}

func rolesHelp() string {
	var b strings.Builder
	b.WriteString("角色 / roles:\n")
	for _, r := range people.Roles() {
		acts := make([]string, len(r.May))
		for i, a := range r.May {
			acts[i] = string(a)
		}
		fmt.Fprintf(&b, "  %s %s  %s\n", pad(r.Role, 14), pad(r.ZH, 10), strings.Join(acts, " "))
	}
	return strings.TrimRight(b.String(), "\n")
}

// peopleFlags are the flags the commands share.
type peopleFlags struct {
	path   string
	asJSON bool
}

func (f *peopleFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().BoolVar(&f.asJSON, "json", false, "以 JSON 输出 / print JSON")
}

// open gives the book of accounts; a database that is not there yet is made.
func (f *peopleFlags) open(ctx context.Context) (*people.Register, func(), error) {
	g, err := loadGateway(f.path)
	if err != nil {
		return nil, nil, err
	}
	p, err := provider(g.Provider)
	if err != nil {
		return nil, nil, err
	}
	j, err := g.openJournal(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	r, err := g.register(j, p, systemClock{})
	if err != nil {
		j.close()
		return nil, nil, err
	}
	return r, j.close, nil
}

// byMachine is who gives a command: the machine's account.
func byMachine() people.By { return people.By("os:" + orUser("")) }

// grantFlags are roles and institutions.
type grantFlags struct {
	roles, institutions []string
	everywhere          bool
}

func (g *grantFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&g.roles, "role", nil, "角色, 可多次 / role, may be repeated: "+strings.Join(people.RoleNames(), ", "))
	c.Flags().StringArrayVar(&g.institutions, "institution", nil, "所属机构, 可多次 / institution, may be repeated")
	c.Flags().BoolVar(&g.everywhere, "everywhere", false, "全部机构 / all institutions")
	_ = c.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(people.RoleNames(), cobra.ShellCompDirectiveNoFileComp))
}

func (g *grantFlags) list() []ident.Institution {
	var out []ident.Institution
	for _, in := range g.institutions {
		out = append(out, ident.Institution(in))
	}
	return out
}

// given is an account with the password it was given, when one was made.
type given struct {
	people.Account
	Password string `json:"first_password,omitempty"` // told once
}

func (f *peopleFlags) print(out io.Writer, g given, err error) error {
	if err != nil {
		return peopleWords(err)
	}
	if f.asJSON {
		return printJSON(out, g)
	}
	printPeople(out, []people.Account{g.Account})
	if g.Password != "" {
		fmt.Fprintf(out, "\n一次性口令 (只显示这一次, 首次登录必须修改): %s\n", g.Password)
	}
	return nil
}

// peopleWords puts a refusal into words, with the rule.
func peopleWords(err error) error {
	var e *gateway.Error
	if errors.As(err, &e) && e.Rule != "" {
		w := gateway.Codes[e.Code]
		return fmt.Errorf("%s: %s %s: %s", e.Code, w.ZH, e.Path, e.Rule)
	}
	return plain(err)
}

func peopleAddCommand(s *streams) *cobra.Command {
	var f manager
	var g grantFlags
	var name, file string
	c := &cobra.Command{
		Use: "add ID", Short: "建立账户 / Make an account",
		Long: "建立账户。不给 --password-file 时生成一次性口令并显示一次; 两种情况下首次登录都必须修改。\n第一个账户必须是管理员 (--role administrator --everywhere)。",
		Example: `  yiqiao people add wang --name 王管理 --role administrator --everywhere --config mysite
  yiqiao people add li --name 李会计 --role finance --institution H44010000001 --config mysite --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			password := ""
			if file != "" {
				var err error
				if password, err = readPassword(file, ""); err != nil {
					return err
				}
			}
			r, done, err := f.open(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if err := f.over(g.list(), g.everywhere); err != nil {
				return err
			}
			a, made, err := r.Add(cmd.Context(), f.who, people.Draft{ID: args[0], Name: name, Roles: g.roles, Institutions: g.list(), Everywhere: g.everywhere, Password: password})
			return f.print(s.out, given{a, made}, err)
		},
	}
	f.add(c)
	g.add(c)
	c.Flags().StringVar(&name, "name", "", "姓名 / full name")
	c.Flags().StringVar(&file, "password-file", "", "初始口令所在文件; 不给则生成 / file with the first password; default: one is made")
	return c
}

func peopleListCommand(s *streams) *cobra.Command {
	var f peopleFlags
	c := &cobra.Command{
		Use: "list", Short: "列出账户 / All accounts",
		Example: "  yiqiao people list --config mysite\n  yiqiao people list --json --config mysite",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, done, err := f.open(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			list, err := r.List(cmd.Context())
			if err != nil {
				return plain(err)
			}
			if f.asJSON {
				return printJSON(s.out, list)
			}
			printPeople(s.out, list)
			return nil
		},
	}
	f.add(c)
	return c
}

func printPeople(w io.Writer, list []people.Account) {
	zh := map[string]string{}
	for _, r := range people.Roles() {
		zh[r.Role] = r.ZH
	}
	rows := make([][]string, 0, len(list))
	for _, a := range list {
		roles := make([]string, len(a.Roles))
		for i, r := range a.Roles {
			roles[i] = zh[r]
		}
		where := "全部"
		if !a.Everywhere {
			codes := make([]string, len(a.Institutions))
			for i, in := range a.Institutions {
				codes[i] = string(in)
			}
			where = strings.Join(codes, " ")
		}
		state := "正常"
		switch {
		case a.Disabled:
			state = "停用"
		case a.LockedUntil.After(time.Now()):
			state = "锁定至 " + clockZH(a.LockedUntil)
		case a.MustChange:
			state = "待改口令"
		}
		rows = append(rows, []string{a.ID, a.Name, strings.Join(roles, " "), where, state, a.Updated.In(gateway.China).Format(time.DateTime)})
	}
	table(w, []string{"用户名", "姓名", "角色", "机构", "状态", "更新"}, rows)
}

func peopleRoleCommand(s *streams) *cobra.Command {
	var f manager
	var g grantFlags
	var name string
	c := &cobra.Command{
		Use: "role ID", Short: "更改角色、机构或姓名 / Other roles, institutions or another name",
		Long: "给出的角色 (或机构) 替换原有的全部角色 (或机构), 未给出的不变; 对已登录者立即生效。",
		Example: `  yiqiao people role li --role finance --role auditor --config mysite
  yiqiao people role li --institution H44010000001 --config mysite`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(g.roles)+len(g.institutions) == 0 && !g.everywhere && name == "" {
				return errors.New("请给出 --role、--institution、--everywhere 或 --name / nothing is to be changed")
			}
			r, done, err := f.open(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if err = f.overAccount(cmd.Context(), r, args[0]); err == nil {
				err = f.over(g.list(), g.everywhere)
			}
			if err != nil {
				return err
			}
			a, err := r.Change(cmd.Context(), f.who, args[0], name, g.roles, g.list(), g.everywhere)
			return f.print(s.out, given{Account: a}, err)
		},
	}
	f.add(c)
	g.add(c)
	c.Flags().StringVar(&name, "name", "", "姓名 / full name")
	return c
}

func peoplePasswordCommand(s *streams) *cobra.Command {
	var f manager
	var file string
	c := &cobra.Command{
		Use: "password ID", Short: "重置口令 / Give another first password",
		Long:    "重置口令并解除锁定, 已有登录全部失效; 下次登录必须修改。不给 --password-file 时生成一次性口令并显示一次。",
		Example: "  yiqiao people password li --config mysite",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			password := ""
			if file != "" {
				var err error
				if password, err = readPassword(file, ""); err != nil {
					return err
				}
			}
			r, done, err := f.open(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if err := f.overAccount(cmd.Context(), r, args[0]); err != nil {
				return err
			}
			a, made, err := r.SetPassword(cmd.Context(), f.who, args[0], password)
			return f.print(s.out, given{a, made}, err)
		},
	}
	f.add(c)
	c.Flags().StringVar(&file, "password-file", "", "口令所在文件; 不给则生成 / file with the password; default: one is made")
	return c
}

func peopleChangeCommand(s *streams) *cobra.Command {
	var f peopleFlags
	var was, fresh string
	c := &cobra.Command{
		Use: "change-password ID", Short: "修改自己的口令 / Change one's own password",
		Long:    "修改自己的口令 (也可在首次登录时修改)。口令 10-128 个字符, 不含用户名和姓名, 不是常见口令; 不要求字符种类, 不会到期。",
		Example: "  yiqiao people change-password li --config mysite",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			r, done, err := f.open(ctx)
			if err != nil {
				return err
			}
			defer done()
			from, err := readPassword(was, "现口令 / present password")
			if err != nil {
				return err
			}
			var to string
			if fresh != "" {
				to, err = readPassword(fresh, "")
			} else {
				var b []byte
				b, err = newPassphrase()
				to = string(b)
			}
			if err != nil {
				return err
			}
			_, token, err := r.SignIn(ctx, gateway.SignIn{ID: args[0], Password: from, From: "command line"})
			if err == nil {
				_, token, err = r.ChangePassword(ctx, token, from, to, "command line")
			}
			if err != nil {
				return peopleWords(err)
			}
			if err := r.SignOut(ctx, token); err != nil {
				return peopleWords(err)
			}
			a, err := r.Get(ctx, args[0])
			return f.print(s.out, given{Account: a}, err)
		},
	}
	f.add(c)
	c.Flags().StringVar(&was, "password-file", "", "现口令所在文件 / file with the present password")
	c.Flags().StringVar(&fresh, "new-password-file", "", "新口令所在文件 / file with the new one")
	return c
}

func peopleOneCommand(s *streams, name, short string, do func(*people.Register, context.Context, people.By, string) (people.Account, error)) *cobra.Command {
	var f manager
	c := &cobra.Command{
		Use: name + " ID", Short: short,
		Example: "  yiqiao people " + name + " li --config mysite",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, done, err := f.open(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if err := f.overAccount(cmd.Context(), r, args[0]); err != nil {
				return err
			}
			a, err := do(r, cmd.Context(), f.who, args[0])
			return f.print(s.out, given{Account: a}, err)
		},
	}
	f.add(c)
	return c
}
