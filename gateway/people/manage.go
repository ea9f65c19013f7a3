package people

import (
	"context"
	"encoding/base32"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/schemas/ident"
)

func itoa(n int) string { return strconv.Itoa(n) }

func isCode(err error, c gateway.Code) bool {
	var e *gateway.Error
	return errors.As(err, &e) && e.Code == c
}

// By is who changes people, for the audit record: "person:ID", or "os:NAME" at the command line.
type By string

// Draft is an account to be made.
type Draft struct {
	ID, Name     string
	Roles        []string
	Institutions []ident.Institution
	Everywhere   bool
	// Password is the first one, which has to be changed; "" has one made.
	Password string
}

// Add makes an account, and gives its first password when it was to be made. CodeState when the id is
// taken. The first account of all must be an administrator's: otherwise nobody could make a second.
func (r *Register) Add(ctx context.Context, by By, d Draft) (Account, string, error) {
	now := r.o.Clock.Now()
	a := Account{ID: d.ID, Name: d.Name, Roles: append([]string(nil), d.Roles...), Institutions: append([]ident.Institution(nil), d.Institutions...),
		Everywhere: d.Everywhere, MustChange: true, Created: now, Updated: now}
	if err := r.check(&a); err != nil {
		return Account{}, "", err
	}
	password, made, err := r.first(d.Password, &a)
	if err != nil {
		return Account{}, "", err
	}
	sealed, err := r.o.Cost.seal(r.o.Rand, password)
	if err != nil {
		return Account{}, "", &gateway.Error{Code: gateway.CodeInternal, Op: op, Err: err}
	}
	err = r.o.DB.Do(ctx, func(tx *store.Tx) error {
		if err := turn(tx); err != nil {
			return err
		}
		n, err := tx.Exec(`INSERT INTO person (id, name, roles, institutions, secret, disabled, failures, locked, created, updated, must_change)
			VALUES ($1, $2, $3, $4, $5, 0, 0, 0, $6, $7, 1) ON CONFLICT DO NOTHING`,
			a.ID, a.Name, strings.Join(a.Roles, " "), a.institutionsText(), sealed, now.UnixMilli(), now.UnixMilli())
		if err == nil && n == 0 {
			return &gateway.Error{Code: gateway.CodeState, Op: op, Path: "/id", Detail: "there is an account of this name"}
		}
		if err != nil {
			return err
		}
		r.note(tx, string(by), "people.add", "person:"+a.ID, a.words())
		return administratorLeft(tx)
	})
	if err != nil {
		return Account{}, "", storage(err)
	}
	return a, made, nil
}

// words are an account's rights, for the audit record.
func (a *Account) words() string {
	return "roles=" + strings.Join(a.Roles, ",") + " institutions=" + strings.ReplaceAll(a.institutionsText(), " ", ",")
}

// first gives the password somebody is given, and again as made when nobody chose it.
func (r *Register) first(chosen string, a *Account) (password, made string, err error) {
	if chosen != "" {
		if bad := rule(chosen, a); bad != "" {
			return "", "", refusedPassword(bad)
		}
		return chosen, "", nil
	}
	for {
		var b [10]byte // 80 bits: it is to be changed at once, and guesses are counted
		if _, err := io.ReadFull(r.o.Rand, b[:]); err != nil {
			return "", "", &gateway.Error{Code: gateway.CodeInternal, Op: op, Err: err}
		}
		s := strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
		s = s[:4] + "-" + s[4:8] + "-" + s[8:12] + "-" + s[12:]
		if rule(s, a) == "" {
			return s, s, nil
		}
	}
}

// turn makes changes of people come one after the other, over all gateways on the database.
func turn(tx *store.Tx) error {
	_, err := tx.Exec(`UPDATE person_turn SET turn = turn + 1 WHERE id = 1`)
	return err
}

// administratorLeft refuses what would leave nobody to manage people.
func administratorLeft(tx *store.Tx) error {
	var n int64
	_, err := tx.Get(`SELECT COUNT(*) FROM person WHERE disabled = 0 AND institutions = '*' AND ' ' || roles || ' ' LIKE '% `+Administrator+` %'`, nil, &n)
	if err == nil && n == 0 {
		err = &gateway.Error{Code: gateway.CodeLastAdministrator, Op: op}
	}
	return err
}

// changing changes an account and says what is noted; its sessions are over when out.
type changing func(a *Account) (what, detail string, out bool, err error)

// change is one change of one account.
func (r *Register) change(ctx context.Context, by By, id string, do changing) (Account, error) {
	return r.changeWith(ctx, by, id, "", do)
}

// changeWith is change with another digest of the password, too; "" leaves it.
func (r *Register) changeWith(ctx context.Context, by By, id, sealed string, do changing) (Account, error) {
	var a *Account
	err := r.o.DB.Do(ctx, func(tx *store.Tx) error {
		if err := turn(tx); err != nil {
			return err
		}
		var s scan
		found, err := tx.Get(`SELECT `+columns+` FROM person WHERE id = $1`, []any{Fold(id)}, s.into()...)
		if err != nil {
			return err
		}
		if !found {
			return &gateway.Error{Code: gateway.CodeNotFound, Op: op}
		}
		a = s.done()
		what, detail, out, err := do(a)
		if err != nil {
			return err
		}
		a.Updated = r.o.Clock.Now()
		if err := r.write(tx, a, sealed); err != nil {
			return err
		}
		if out {
			if _, err := tx.Exec(`DELETE FROM person_session WHERE person = $1`, a.ID); err != nil {
				return err
			}
		}
		r.note(tx, string(by), what, "person:"+a.ID, detail)
		return administratorLeft(tx)
	})
	if err != nil {
		return Account{}, storage(err)
	}
	return *a, nil
}

// write brings the row of an account up to date.
func (r *Register) write(tx *store.Tx, a *Account, sealed string) error {
	bit := func(b bool) int64 {
		if b {
			return 1
		}
		return 0
	}
	locked := int64(0)
	if !a.LockedUntil.IsZero() {
		locked = a.LockedUntil.UnixMilli()
	}
	if sealed != "" {
		if _, err := tx.Exec(`UPDATE person SET secret = $1 WHERE id = $2`, sealed, a.ID); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`UPDATE person SET name = $1, roles = $2, institutions = $3, disabled = $4, must_change = $5, failures = $6, locked = $7,
		updated = $8 WHERE id = $9`, a.Name, strings.Join(a.Roles, " "), a.institutionsText(), bit(a.Disabled), bit(a.MustChange),
		int64(a.Failures), locked, a.Updated.UnixMilli(), a.ID)
	return err
}

// Change gives an account other roles, institutions or another name; what is nil or empty stays.
func (r *Register) Change(ctx context.Context, by By, id, name string, roles []string, institutions []ident.Institution, everywhere bool) (Account, error) {
	return r.change(ctx, by, id, func(a *Account) (string, string, bool, error) {
		was := a.words()
		if name != "" {
			a.Name = name
		}
		if len(roles) > 0 {
			a.Roles = append([]string(nil), roles...)
		}
		if everywhere || len(institutions) > 0 {
			a.Institutions, a.Everywhere = append([]ident.Institution(nil), institutions...), everywhere
		}
		if err := r.check(a); err != nil {
			return "", "", false, err
		}
		return "people.role", a.words() + " was " + was, false, nil
	})
}

// Disable shuts an account and ends its sessions; Enable opens it again.
func (r *Register) Disable(ctx context.Context, by By, id string) (Account, error) {
	return r.change(ctx, by, id, func(a *Account) (string, string, bool, error) {
		a.Disabled = true
		return "people.disable", "", true, nil
	})
}

// Enable opens a disabled account again.
func (r *Register) Enable(ctx context.Context, by By, id string) (Account, error) {
	return r.change(ctx, by, id, func(a *Account) (string, string, bool, error) {
		a.Disabled = false
		return "people.enable", "", false, nil
	})
}

// Unlock forgets an account's failures.
func (r *Register) Unlock(ctx context.Context, by By, id string) (Account, error) {
	return r.change(ctx, by, id, func(a *Account) (string, string, bool, error) {
		a.Failures, a.LockedUntil = 0, time.Time{}
		return "people.unlock", "", false, nil
	})
}

// SetPassword gives an account another password, which has to be changed at the next sign-in; "" has one
// made and given back. It unlocks the account and ends its sessions.
func (r *Register) SetPassword(ctx context.Context, by By, id, password string) (Account, string, error) {
	a, err := r.Get(ctx, id)
	if err != nil {
		return Account{}, "", err
	}
	password, made, err := r.first(password, &a)
	if err != nil {
		return Account{}, "", err
	}
	sealed, err := r.o.Cost.seal(r.o.Rand, password)
	if err != nil {
		return Account{}, "", &gateway.Error{Code: gateway.CodeInternal, Op: op, Err: err}
	}
	a, err = r.changeWith(ctx, by, id, sealed, func(a *Account) (string, string, bool, error) {
		a.Failures, a.LockedUntil, a.MustChange = 0, time.Time{}, true
		return "people.password", "", true, nil
	})
	return a, made, err
}
