// Package dbtest gives tests the database of a HIS: a real PostgreSQL or MariaDB, started by the scripts
// of this repository, on a port of its own, gone when the test program ends. Where none is installed
// the test is skipped, unless CI is set: then it is installed, or the test fails.
package dbtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Servers starts what the tests of one program need. The zero value is ready.
type Servers struct {
	mu  sync.Mutex
	all map[string]*Server
}

// Server is a database that can be killed and started again.
type Server struct {
	Driver    string // postgres or mysql, as dbview calls it
	DSN       string
	script    string
	dir, port string
	program   string
}

// Get gives the one server of a driver for this test program.
func (s *Servers) Get(t testing.TB, driver string) *Server {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.all[driver]; one != nil {
		return one
	}
	one := &Server{Driver: driver, script: "mariadb.sh", program: "mariadbd"}
	if driver == "postgres" {
		one.script, one.program = "postgres.sh", "postgres"
	}
	if os.Getenv("CI") == "" && !one.installed() {
		t.Skip(one.program + " is not installed here: not tested on it")
	}
	if err := one.prepare(); err != nil {
		t.Fatal(err)
	}
	if err := one.Start(); err != nil {
		t.Fatal(errors.Join(err, one.remove()))
	}
	if s.all == nil {
		s.all = map[string]*Server{}
	}
	s.all[driver] = one
	return one
}

// Stop ends every server that was started, and removes its data.
func (s *Servers) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, one := range s.all {
		errs = append(errs, one.remove())
	}
	s.all = nil
	return errors.Join(errs...)
}

func (s *Server) installed() bool {
	if _, err := exec.LookPath(s.program); err == nil {
		return true
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/", "/usr/sbin/"} {
		if found, _ := filepath.Glob(pattern + s.program); len(found) > 0 {
			return true
		}
	}
	return false
}

func (s *Server) prepare() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, s.port, _ = net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	at, err := os.Getwd()
	if err != nil {
		return err
	}
	for up := ""; ; at = up {
		if script := filepath.Join(at, "scripts", s.script); exists(script) {
			s.script = script
			break
		}
		if up = filepath.Dir(at); up == at {
			return errors.New("dbtest: the scripts are not above this folder")
		}
	}
	temp := os.TempDir()
	if exists("/var/tmp") {
		temp = "/var/tmp" // a socket's path is short, and other users may enter
	}
	if s.dir, err = os.MkdirTemp(temp, "yiqiao-his-"); err != nil {
		return err
	}
	return os.Chmod(s.dir, 0o755)
}

func exists(name string) bool { _, err := os.Stat(name); return err == nil }

// Start starts it, also after Kill. What was made in it is there again.
func (s *Server) Start() error {
	out, err := s.do("start")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		if dsn, ok := strings.CutPrefix(strings.TrimSpace(line), "dsn="); ok {
			s.DSN = dsn
			return nil
		}
	}
	return fmt.Errorf("dbtest: no dsn: %s", out)
}

// Kill ends it with SIGKILL.
func (s *Server) Kill() error { _, err := s.do("kill"); return err }

func (s *Server) remove() error {
	err := s.Kill()
	return errors.Join(err, os.RemoveAll(s.dir))
}

func (s *Server) do(command string) (string, error) {
	cmd := exec.Command("bash", s.script, command, "--port", s.port, "--dir", filepath.Join(s.dir, "db"))
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("dbtest: %s %s: %w: %s", s.script, command, err, said.String())
	}
	return string(out), nil
}

// Exec runs statements, one after the other.
func Exec(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, one := range statements {
		if _, err := db.ExecContext(ctx, one); err != nil {
			t.Fatalf("%s: %v", one, err)
		}
	}
}

// Table reads rows as text, each in one line with | between; NULL is -.
func Table(t testing.TB, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		got, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range got {
			into[i] = &got[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		cells := make([]string, len(got))
		for i, c := range got {
			if cells[i] = c.String; !c.Valid {
				cells[i] = "-"
			}
		}
		out = append(out, strings.Join(cells, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
