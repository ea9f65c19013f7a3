//go:build alldb

package dbview

import (
	"database/sql"
	"errors"
	"net/url"
	"strconv"

	mssql "github.com/microsoft/go-mssqldb"
	ora "github.com/sijms/go-ora/v2"
)

// more are databases that nobody here has: written by their drivers' descriptions, compiled, never run
// against a server. They are compiled in with the build tag alldb only: together they make the program a third larger.
func more() map[string]dialect {
	return map[string]dialect{
		"sqlserver": {open: openSQLServer, place: func(n int) string { return "@p" + strconv.Itoa(n) }, limit: fetch, times: true},
		"oracle":    {open: openOracle, place: func(n int) string { return ":" + strconv.Itoa(n) }, limit: fetch, times: true},
	}
}

// fetch is the standard's way to say limit.
func fetch(query string, n int) string {
	return query + " offset 0 rows fetch next " + strconv.Itoa(n) + " rows only"
}

// withPassword puts a password into a DSN that is a URL.
func withPassword(dsn, password, scheme string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != scheme || u.User == nil {
		return "", errors.New("dbview: dsn must be " + scheme + "://user@host:port/...")
	}
	if _, has := u.User.Password(); has {
		return "", errPassword
	}
	u.User = url.UserPassword(u.User.Username(), password)
	return u.String(), nil
}

func openSQLServer(dsn, password string) (*sql.DB, error) {
	full, err := withPassword(dsn, password, "sqlserver")
	if err != nil {
		return nil, err
	}
	c, err := mssql.NewConnector(full)
	if err != nil {
		return nil, errors.New("dbview: dsn must be sqlserver://user@host:port?database=name")
	}
	return sql.OpenDB(c), nil
}

func openOracle(dsn, password string) (*sql.DB, error) {
	full, err := withPassword(dsn, password, "oracle")
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(ora.NewConnector(full)), nil
}
