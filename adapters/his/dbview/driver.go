package dbview

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"yiqiao/gateway"
)

// dialect is what databases do not agree on.
type dialect struct {
	open  func(dsn, password string) (*sql.DB, error)
	place func(n int) string               // of the n-th value, from 1
	limit func(query string, n int) string // query has an order
	times bool                             // marks that are times are given as such, not as text
	locks locks                            // none: a view can not be claimed
}

// Drivers lists the databases there are.
func Drivers() []string {
	var list []string
	for name := range dialects() {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// Open opens a database as a Source does.
func Open(driver, dsn, password string) (*sql.DB, error) {
	d, ok := dialects()[driver]
	if !ok {
		return nil, fmt.Errorf("dbview: driver %q 不在此程序中 / is not in this program: %s", driver, strings.Join(Drivers(), ", "))
	}
	return d.open(dsn, password)
}

func dialects() map[string]dialect {
	list := map[string]dialect{
		"postgres": {open: openPostgres, place: func(n int) string { return "$" + strconv.Itoa(n) }, limit: limit, locks: postgresLocks},
		"mysql":    {open: openMySQL, place: func(int) string { return "?" }, limit: limit, locks: mysqlLocks},
	}
	for name, d := range more() {
		list[name] = d
	}
	return list
}

func limit(query string, n int) string { return query + " limit " + strconv.Itoa(n) }

var errPassword = errors.New("dbview: the dsn must not hold the password: give its place in password")

func openPostgres(dsn, password string) (*sql.DB, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("dbview: dsn must be postgres://user@host:port/name?sslmode=verify-full") // not its text: it may hold a password
	}
	if c.Password != "" {
		return nil, errPassword
	}
	c.Password = password
	if c.RuntimeParams["application_name"] == "" {
		host, _ := os.Hostname()
		c.RuntimeParams["application_name"] = "yiqiao@" + host
	}
	// Plans are not kept: a view that is made anew would not fit them.
	c.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	return stdlib.OpenDB(*c), nil
}

type silent struct{}

func (silent) Print(...any) {}

func openMySQL(dsn, password string) (*sql.DB, error) {
	c, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, errors.New("dbview: dsn must be user@tcp(host:port)/name")
	}
	if c.Passwd != "" {
		return nil, errPassword
	}
	c.Passwd = password
	c.ParseTime, c.MultiStatements = false, false
	c.ClientFoundRows = true // an update that changes nothing has found its row all the same
	c.Logger = silent{}      // its words may hold what rows hold
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = time.Minute
	}
	conn, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(conn), nil
}

// short says what is wrong with a database without repeating its words, which may hold what rows hold.
func short(err error) error {
	var state interface{ SQLState() string }
	var my *mysql.MySQLError
	var number interface{ SQLErrorNumber() int32 }
	var ours *problem
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &state):
		return fmt.Errorf("SQLSTATE %s", state.SQLState())
	case errors.As(err, &my):
		return fmt.Errorf("MySQL %d (%s)", my.Number, my.SQLState[:])
	case errors.As(err, &number):
		return fmt.Errorf("SQL Server %d", number.SQLErrorNumber())
	}
	text := err.Error()
	if i := strings.IndexAny(text, "\"'`"); i >= 0 {
		text = text[:i] + "…"
	}
	return errors.New(clip(text, 200))
}

// problem is one in our own words.
type problem struct{ text string }

func (p *problem) Error() string { return p.text }

// textOf is a cell as a mapping reads it, and as a mark that can be given back.
func textOf(v any, kind string) (cell, mark string) {
	switch x := v.(type) {
	case nil:
		return "", ""
	case string:
		return x, x
	case []byte:
		return string(x), string(x)
	case int64:
		s := strconv.FormatInt(x, 10)
		return s, s
	case float64:
		s := strconv.FormatFloat(x, 'f', -1, 64)
		return s, s
	case bool:
		s := strconv.FormatBool(x)
		return s, s
	case time.Time:
		return timeText(x, kind)
	}
	s := fmt.Sprint(v)
	return s, s
}

const (
	timeForm = "2006-01-02 15:04:05.999999999"
	zoneForm = timeForm + "-07:00"
)

// timeText writes a time of the wall without a zone, and one with a zone as China's.
func timeText(t time.Time, kind string) (cell, mark string) {
	switch {
	case strings.Contains(kind, "TZ") || strings.Contains(kind, "OFFSET"):
		return t.In(gateway.China).Format(timeForm), t.Format(zoneForm)
	case kind == "DATE" && t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0:
		return t.Format(time.DateOnly), t.Format(time.DateOnly)
	}
	return t.Format(timeForm), t.Format(timeForm)
}

// parseMark reads a mark that is a time.
func parseMark(s string) (t time.Time, form string, ok bool) {
	for _, form := range []string{zoneForm, timeForm, time.DateOnly} {
		if t, err := time.Parse(form, s); err == nil {
			return t, form, true
		}
	}
	return t, "", false
}
