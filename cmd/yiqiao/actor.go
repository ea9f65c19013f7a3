package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/people"
	"yiqiao/schemas/ident"
)

// actor is who gives a command that changes something: a name as long as there are no accounts, then an account
// with the role, proved by its password.
type actor struct {
	by, password string
}

func (a *actor) flags(c *cobra.Command) {
	c.Flags().StringVar(&a.by, "by", "", "谁, 默认当前系统用户; 建立人员账户后须是账户 / who; default the user of the machine; an account once there are any")
	c.Flags().StringVar(&a.password, "password-file", "", "此人口令所在文件, 否则取 "+passwordEnv+" 或询问 / file with that person's password")
}

// acting is who gives a command, after it was proved.
type acting struct {
	by  string           // as it is kept with what was done
	all bool             // there are no accounts: everybody sees everything
	v   *gateway.Visitor // the account; nil with all
}

func (a acting) sees(i ident.Institution) bool { return a.all || a.v.Sees(i) }

// everywhere refuses who does not see every one of the institutions.
func (a acting) everywhere(list []ident.Institution) error {
	if slices.ContainsFunc(list, func(i ident.Institution) bool { return !a.sees(i) }) {
		return plain(&gateway.Error{Code: gateway.CodeNotPermitted, Op: "people", Rule: "institutions"})
	}
	return nil
}

// acts proves who gives a command and that its roles allow the act. A refusal is in the audit record.
func (s *gatewaySettings) acts(ctx context.Context, j opened, a actor, act gateway.Act, what string) (acting, error) {
	p, v, err := s.prove(ctx, j, a.by, "", a.password, what)
	if err != nil || v == nil {
		return acting{by: p.ID, all: true}, err
	}
	if err := v.May(act); err != nil {
		provider, failed := sm.New("")
		if failed != nil {
			return acting{}, failed
		}
		r, failed := s.register(j, provider, systemClock{})
		if failed != nil {
			return acting{}, failed
		}
		r.Denied(*v, act)
		return acting{}, plain(err)
	}
	return acting{by: p.ID, v: v}, nil
}

// codes are the institutions of the gateway.
func (s *gatewaySettings) codes() (list []ident.Institution) {
	for _, in := range s.Institutions {
		list = append(list, ident.Institution(in.Code))
	}
	return list
}

// manager is who changes accounts at the command line: the machine's account, which can always help, or, with
// --by, an account that may manage people of its institutions.
type manager struct {
	peopleFlags
	by, password string
	who          people.By
	as           acting
}

func (m *manager) add(c *cobra.Command) {
	m.peopleFlags.add(c)
	c.Flags().StringVar(&m.by, "by", "", "以此管理员账户的名义; 不给则记为当前系统用户 / in the name of this administrator; default the user of the machine")
	c.Flags().StringVar(&m.password, "by-password-file", "", "此人口令所在文件, 否则取 "+passwordEnv+" 或询问 / file with that person's password")
}

// open gives the book of accounts to whoever proved to be that administrator.
func (m *manager) open(ctx context.Context) (*people.Register, func(), error) {
	m.who, m.as = byMachine(), acting{all: true}
	if m.by == "" {
		return m.peopleFlags.open(ctx)
	}
	g, err := loadGateway(m.path)
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
	if err == nil {
		m.as, err = g.acts(ctx, j, actor{m.by, m.password}, gateway.ActPeopleManage, "people")
	}
	if err != nil {
		j.close()
		return nil, nil, err
	}
	if m.as.v != nil {
		m.who = people.By("person:" + m.as.by)
	}
	return r, j.close, nil
}

// over refuses who is no administrator of all institutions of an account, as it is or as it is to be.
func (m *manager) over(institutions []ident.Institution, everywhere bool) error {
	if everywhere && !m.as.all && !m.as.v.Everywhere {
		institutions = []ident.Institution{""}
	}
	return m.as.everywhere(institutions)
}

// overAccount is over for an account that is there.
func (m *manager) overAccount(ctx context.Context, r *people.Register, id string) error {
	if m.as.all {
		return nil
	}
	a, err := r.Get(ctx, id)
	if err != nil {
		return plain(err)
	}
	return m.over(a.Institutions, a.Everywhere)
}
