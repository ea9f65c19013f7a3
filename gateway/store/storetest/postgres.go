// Package storetest gives tests a real PostgreSQL.
//
// A test program makes one Servers in TestMain and stops it at the end; nothing is started before a
// test asks. With YIQIAO_POSTGRES set (a DSN) that server is used, otherwise the program starts one
// of its own with scripts/postgres.sh. Each test works in a schema of its own. Where no PostgreSQL
// is installed the test is skipped, unless CI is set: then it fails.
package storetest

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Env names the variable with the DSN of a server to use.
const Env = "YIQIAO_POSTGRES"

const folderPrefix = "yiqiao-test-postgres-"

// Servers starts what the tests of one program need. The zero value is ready.
type Servers struct {
	mu     sync.Mutex
	common *Server
	all    []*Server
}

// Stop ends every server that was started, and removes its data.
func (s *Servers) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, one := range s.all {
		errs = append(errs, one.remove())
	}
	s.all, s.common = nil, nil
	return errors.Join(errs...)
}

// Schema makes a schema for one test and gives the DSN to it. It is dropped when the test is over.
func (s *Servers) Schema(t testing.TB) (dsn string) {
	t.Helper()
	dsn = os.Getenv(Env)
	if dsn == "" {
		s.mu.Lock()
		if s.common == nil {
			s.common = s.start(t)
		}
		dsn = s.common.DSN
		s.mu.Unlock()
	}
	return schema(t, dsn)
}

// Own starts a server nobody else uses, to be killed.
func (s *Servers) Own(t testing.TB) *Server {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.start(t)
}

// Server is one that was started here.
type Server struct {
	DSN       string
	port, dir string
	script    string
}

// start is called with the lock held.
func (s *Servers) start(t testing.TB) *Server {
	t.Helper()
	if os.Getenv("CI") == "" && !installed() {
		t.Skip("PostgreSQL is not installed here and " + Env + " does not name one: not tested on it")
	}
	script, err := findScript()
	if err != nil {
		t.Fatal(err)
	}
	sweep(script)
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(tempFolder(), folderPrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the server may run as somebody else
		t.Fatal(err)
	}
	one := &Server{port: port, dir: dir, script: script}
	s.all = append(s.all, one)
	if err := one.Start(); err != nil {
		t.Fatal(err)
	}
	return one
}

// Start starts it again after Kill.
func (s *Server) Start() error {
	out, err := s.do("start")
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(strings.NewReader(out))
	for lines.Scan() {
		if dsn, ok := strings.CutPrefix(lines.Text(), "dsn="); ok {
			s.DSN = dsn
			return nil
		}
	}
	return fmt.Errorf("storetest: scripts/postgres.sh start named no dsn: %s", out)
}

// Kill ends all its processes with SIGKILL.
func (s *Server) Kill() error {
	_, err := s.do("kill")
	return err
}

// Schema makes a schema for one test. It goes with the server.
func (s *Server) Schema(t testing.TB) (dsn string) {
	t.Helper()
	dsn, _, err := newSchema(s.DSN)
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

func (s *Server) do(command string) (string, error) {
	cmd := exec.Command("bash", s.script, command, "--port", s.port, "--dir", filepath.Join(s.dir, "server"))
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("storetest: scripts/postgres.sh %s: %w: %s", command, err, said.String())
	}
	return string(out), nil
}

func (s *Server) remove() error {
	_, err := s.do("kill")
	return errors.Join(err, os.RemoveAll(s.dir))
}

// sweep ends the servers of test programs that were killed before they could.
func sweep(script string) {
	folders, err := filepath.Glob(filepath.Join(tempFolder(), folderPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range folders {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), folderPrefix), "-")
		if _, err := os.Stat("/proc/self"); err != nil {
			return // no way to see who is alive
		}
		if _, err := os.Stat("/proc/" + pid); err == nil {
			continue
		}
		_ = (&Server{dir: dir, script: script, port: "1"}).remove()
	}
}

func installed() bool {
	if _, err := exec.LookPath("postgres"); err == nil {
		return true
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	return err == nil && len(found) > 0
}

// tempFolder is one that other users may enter, with a short name: a socket's path is limited.
func tempFolder() string {
	if info, err := os.Stat("/var/tmp"); err == nil && info.IsDir() {
		return "/var/tmp"
	}
	return os.TempDir()
}

func findScript() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		path := filepath.Join(dir, "scripts", "postgres.sh")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("storetest: scripts/postgres.sh is not above this folder")
		}
		dir = up
	}
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

func schema(t testing.TB, dsn string) string {
	t.Helper()
	own, name, err := newSchema(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := execute(dsn, "DROP SCHEMA "+name+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	return own
}

func newSchema(dsn string) (own, name string, err error) {
	random := make([]byte, 8)
	if _, err := rand.Read(random); err != nil {
		return "", "", err
	}
	name = "test_" + hex.EncodeToString(random)
	if err := execute(dsn, "CREATE SCHEMA "+name); err != nil {
		return "", "", err
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", "", fmt.Errorf("storetest: %s must be a URL", Env)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String(), name, nil
}

// execute runs one statement on a connection of its own.
func execute(dsn, statement string) error {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err = db.ExecContext(ctx, statement)
	return errors.Join(err, db.Close())
}
