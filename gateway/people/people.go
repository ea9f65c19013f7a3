// Package people keeps the accounts of the people who may sign in at the gateway, what their roles
// allow them, and where they are signed in.
//
// # Accounts
//
// An account has an id (what is typed at sign-in, small letters), a full name, one or more roles, the
// institutions it works for (or all of them) and a password, of which an argon2id digest is kept.
// Which role may do what is a table, roles.json; the code knows no role but the one that manages
// people, and of that one there is always somebody left: the last administrator can not be disabled
// or given other roles, also not when two administrators disable each other at the same moment.
//
// A password that somebody else gave has to be changed before anything else can be done. There is no
// default account and no default password: the first administrator is made by whoever may run the
// command on the gateway's machine.
//
// # Signing in
//
// There is one answer (gateway.CodeLoginRefused) to a name nobody has, a wrong password, a locked and
// a disabled account, and all four take one argon2id and one commit. After Options.Tries failures in a
// row an account is locked for Options.Lock, and after that for each further failure again, until the
// right password is given. Whether a guess counts is decided in the commit, so guesses made at once are
// not more than guesses made one after the other. Failures are counted by network address as well, in
// memory, whatever names were tried; what goes beyond Options.AddressTries is turned away before any
// work is done. A locked account is unlocked by time, or by an administrator.
//
// # Sessions
//
// A token is 256 random bits, told once; its digest is kept. A session ends when it was not used for
// Options.Idle, after Options.Life whatever happens, when it is signed out, and when the password is
// changed or the account disabled. Roles and institutions are read each time, so a change holds at
// once. A clock that went back by more than a few minutes ends no session for good, but lets none in
// that was last seen later than now.
//
// Every change and every sign-in, refused or not, is noted in the audit record, in the commit that
// makes it. A name nobody has is not written down: it may be a password typed into the wrong field.
package people

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"yiqiao/gateway"
	"yiqiao/gateway/audit"
	"yiqiao/gateway/store"
	"yiqiao/schemas/ident"
)

// Auditor notes acts in the transactions that do them; audit.Log is one.
type Auditor interface {
	NoteIn(tx *store.Tx, a audit.Act)
	NoteLater(a audit.Act) bool
}

// Options of a Register. DB, Audit, Clock, Digest and Rand are required; the zero value of every other
// field is a good choice.
type Options struct {
	DB     *store.DB
	Audit  Auditor
	Clock  gateway.Clock
	Digest func(...[]byte) [32]byte // of tokens, which are random: SM3
	Rand   io.Reader                // crypto/rand

	Cost         Cost          // of a password; default DefaultCost
	Tries        int           // failures in a row before an account is locked; default 5
	Lock         time.Duration // default 15 min
	AddressTries int           // failures of one address within Lock; default 30, negative: not counted
	Idle         time.Duration // default 30 min, at least 5 min
	Life         time.Duration // default 12 h
	AtOnce       int           // passwords looked at at once, each takes Cost.MemoryKiB; default 2

	Institutions []ident.Institution // of the gateway; an account may be given no other
	Log          *slog.Logger        // default: nowhere
}

// Register is the book of accounts. Safe for concurrent use; several, in several processes, may share
// one database. Errors are *gateway.Error.
type Register struct {
	o         Options
	places    chan struct{}
	line      chan struct{} // those with a place and those who wait for one
	tried     atomic.Int64  // passwords looked at
	addresses *addresses
	nobody    func() (string, error) // digest that a name nobody has is tried on
}

const op = "people"

// mostWaiting is how many sign-ins may wait for a place.
const mostWaiting = 32

// New checks the options. It reads nothing and starts nothing.
func New(o Options) (*Register, error) {
	if o.DB == nil || o.Audit == nil || o.Clock == nil || o.Digest == nil || o.Rand == nil {
		return nil, errors.New("people: database, audit, clock, digest and randomness are required")
	}
	if o.Cost == (Cost{}) {
		o.Cost = DefaultCost
	}
	if err := o.Cost.check(); err != nil {
		return nil, err
	}
	for _, x := range []struct {
		v   *int
		def int
	}{{&o.Tries, 5}, {&o.AddressTries, 30}, {&o.AtOnce, 2}} {
		if *x.v == 0 {
			*x.v = x.def
		}
	}
	for _, x := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&o.Lock, 15 * time.Minute}, {&o.Idle, 30 * time.Minute}, {&o.Life, 12 * time.Hour}} {
		if *x.v == 0 {
			*x.v = x.def
		}
	}
	if o.Tries < 1 || o.AtOnce < 1 || o.Lock < time.Second || o.Idle < 5*time.Minute || o.Life < o.Idle {
		return nil, errors.New("people: a limit is out of range")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Register{o: o, places: make(chan struct{}, o.AtOnce), line: make(chan struct{}, o.AtOnce+mostWaiting), addresses: newAddresses(o.AddressTries, o.Lock)}
	r.nobody = sync.OnceValues(func() (string, error) { return o.Cost.seal(o.Rand, "nobody has this password") })
	return r, nil
}

var _ gateway.Doorkeeper = (*Register)(nil)

// Account is what is known of a person, without the password.
type Account struct {
	ID           string              `json:"id"`
	Name         string              `json:"name"`
	Roles        []string            `json:"roles"`
	Institutions []ident.Institution `json:"institutions"` // none with everywhere
	Everywhere   bool                `json:"everywhere"`
	Disabled     bool                `json:"disabled"`
	MustChange   bool                `json:"must_change_password"`
	Failures     int                 `json:"failures"` // since the last sign-in
	LockedUntil  time.Time           `json:"locked_until,omitzero"`
	Created      time.Time           `json:"created_at"`
	Updated      time.Time           `json:"updated_at"`
}

// everywhere is how all institutions are written in the table.
const everywhere = "*"

func (a *Account) institutionsText() string {
	if a.Everywhere {
		return everywhere
	}
	list := make([]string, len(a.Institutions))
	for i, in := range a.Institutions {
		list[i] = string(in)
	}
	return strings.Join(list, " ")
}

func (a *Account) readInstitutions(text string) {
	if a.Everywhere = text == everywhere; a.Everywhere {
		return
	}
	for _, f := range strings.Fields(text) {
		a.Institutions = append(a.Institutions, ident.Institution(f))
	}
}

// visitor is the account as somebody who is here.
func (a *Account) visitor() gateway.Visitor {
	return gateway.Visitor{
		Person:       gateway.Person{ID: a.ID, Name: a.Name, Roles: slices.Clone(a.Roles)},
		Institutions: slices.Clone(a.Institutions), Everywhere: a.Everywhere, Acts: ActsOf(a.Roles), MustChange: a.MustChange,
	}
}

// Fold is an id as it is kept: ASCII letters small. "" when it can not be one: 1 to 64 of a-z 0-9 . _
// - @ and Chinese characters, in their usual form.
func Fold(id string) string {
	if id == "" || len(id) > 4*64 || !utf8.ValidString(id) || utf8.RuneCountInString(id) > 64 || norm.NFKC.String(id) != id {
		return ""
	}
	id = strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, id)
	for _, r := range id {
		ascii := r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("._-@", r)
		if !ascii && !unicode.Is(unicode.Han, r) {
			return ""
		}
	}
	if id == gateway.OwnSystem {
		return ""
	}
	return id
}

// check refuses what an account can not be.
func (r *Register) check(a *Account) error {
	bad := func(path, rule string) error {
		return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: path, Rule: rule}
	}
	if a.ID = Fold(a.ID); a.ID == "" {
		return bad("/id", "1-64: a-z 0-9 . _ - @ 汉字, 非 "+gateway.OwnSystem)
	}
	a.Name = strings.TrimSpace(a.Name)
	if n := utf8.RuneCountInString(a.Name); n < 1 || n > 50 || !utf8.ValidString(a.Name) || strings.IndexFunc(a.Name, unicode.IsControl) >= 0 {
		return bad("/name", "长度 1-50")
	}
	if len(a.Roles) == 0 {
		return bad("/roles", strings.Join(RoleNames(), " "))
	}
	slices.Sort(a.Roles)
	a.Roles = slices.Compact(a.Roles)
	for _, role := range a.Roles {
		if !slices.Contains(RoleNames(), role) {
			return bad("/roles", strings.Join(RoleNames(), " "))
		}
	}
	slices.Sort(a.Institutions)
	a.Institutions = slices.Compact(a.Institutions)
	if a.Everywhere == (len(a.Institutions) > 0) {
		return bad("/institutions", "institutions, or all of them")
	}
	for _, in := range a.Institutions {
		if !slices.Contains(r.o.Institutions, in) {
			return bad("/institutions", "configured: "+string(in))
		}
	}
	return nil
}

const columns = `id, name, roles, institutions, disabled, must_change, failures, locked, created, updated`

// scan reads the columns.
type scan struct {
	Account
	roles, institutions                 string
	disabled, must                      int64
	failures, locked, created, updated_ int64
}

func (s *scan) into() []any {
	return []any{&s.ID, &s.Name, &s.roles, &s.institutions, &s.disabled, &s.must, &s.failures, &s.locked, &s.created, &s.updated_}
}

func (s *scan) done() *Account {
	a := &s.Account
	a.Roles = strings.Fields(s.roles)
	a.readInstitutions(s.institutions)
	a.Disabled, a.MustChange, a.Failures = s.disabled == 1, s.must == 1, int(s.failures)
	if s.locked > 0 {
		a.LockedUntil = time.UnixMilli(s.locked)
	}
	a.Created, a.Updated = time.UnixMilli(s.created), time.UnixMilli(s.updated_)
	return a
}

// List gives all accounts in the order of their ids.
func (r *Register) List(ctx context.Context) ([]Account, error) {
	rows, err := r.o.DB.Query(ctx, `SELECT `+columns+` FROM person ORDER BY id`)
	if err != nil {
		return nil, storage(err)
	}
	defer rows.Close()
	list := []Account{}
	for rows.Next() {
		var s scan
		if err := rows.Scan(s.into()...); err != nil {
			return nil, storage(r.o.DB.Failed(err))
		}
		list = append(list, *s.done())
	}
	if err := rows.Err(); err != nil {
		return nil, storage(r.o.DB.Failed(err))
	}
	return list, nil
}

// Get gives one account; CodeNotFound when there is none.
func (r *Register) Get(ctx context.Context, id string) (Account, error) {
	var s scan
	found, err := r.o.DB.Get(ctx, `SELECT `+columns+` FROM person WHERE id = $1`, []any{Fold(id)}, s.into()...)
	switch {
	case err != nil:
		return Account{}, storage(err)
	case !found:
		return Account{}, &gateway.Error{Code: gateway.CodeNotFound, Op: op}
	}
	return *s.done(), nil
}

// Any reports whether there is any account.
func (r *Register) Any(ctx context.Context) (bool, error) {
	var n int64
	_, err := r.o.DB.Get(ctx, `SELECT COUNT(*) FROM person`, nil, &n)
	return n > 0, storage(err)
}

// May refuses an act to a person who has no account, a disabled one, or none of the roles for it. It is
// for those who know who somebody is from elsewhere; who is signed in is asked by Visitor.May.
func (r *Register) May(ctx context.Context, id string, act gateway.Act) (gateway.Visitor, error) {
	a, err := r.Get(ctx, id)
	var e *gateway.Error
	if errors.As(err, &e) && e.Code == gateway.CodeNotFound || err == nil && a.Disabled {
		return gateway.Visitor{}, &gateway.Error{Code: gateway.CodeNotPermitted, Op: op, Rule: string(act), Detail: "no account of this name"}
	}
	if err != nil {
		return gateway.Visitor{}, err
	}
	v := a.visitor()
	err = v.May(act)
	if isCode(err, gateway.CodeNotPermitted) {
		r.Denied(v, act)
	}
	return v, err
}

// Denied implements gateway.Doorkeeper.
func (r *Register) Denied(v gateway.Visitor, a gateway.Act) {
	if !r.o.Audit.NoteLater(audit.Act{Who: "person:" + v.ID, What: "not-permitted", Detail: string(a)}) {
		r.o.Log.Warn("a refusal was not noted", "person", v.ID, "act", string(a))
	}
}

// storage makes an error of the database one of ours.
func storage(err error) error {
	var e *gateway.Error
	if err == nil || errors.As(err, &e) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &gateway.Error{Code: gateway.CodeStorage, Op: op, Err: err}
}
