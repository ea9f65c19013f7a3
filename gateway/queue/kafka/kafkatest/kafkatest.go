// Package kafkatest starts real brokers for tests, through scripts/kafka.sh.
package kafkatest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Brokers are the brokers of one test binary. Its TestMain makes them and calls Stop at the end.
type Brokers struct {
	mu     sync.Mutex
	shared *Broker
	err    error
	tried  bool
	all    []*Broker
}

// Broker is one running broker.
type Broker struct {
	Address string
	SASL    string // address with TLS and SCRAM, when it was asked for: user yiqiao, password yiqiao-test
	CA      string // file of the certificate it shows there

	dir  string
	port int
	sasl bool
}

// Shared gives the broker that tests share: the one at YIQIAO_KAFKA, or one that is started. A test
// is skipped where none can be had, and fails for it where CI is set.
func (b *Brokers) Shared(t testing.TB) *Broker {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.tried {
		b.tried = true
		if a := os.Getenv("YIQIAO_KAFKA"); a != "" {
			b.shared = &Broker{Address: a}
		} else {
			b.shared, b.err = b.start(false)
		}
	}
	if b.err != nil {
		missing(t, b.err)
	}
	return b.shared
}

// Own starts a broker for one test, which may kill it.
func (b *Brokers) Own(t testing.TB, sasl bool) *Broker {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	x, err := b.start(sasl)
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(x.stop)
	return x
}

// Stop ends every broker that was started.
func (b *Brokers) Stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, x := range b.all {
		x.stop()
	}
	b.all = nil
}

func missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("no Kafka to test with: %v", err)
	}
	t.Skipf("no Kafka to test with (name one in YIQIAO_KAFKA): %v", err)
}

func (b *Brokers) start(sasl bool) (*Broker, error) {
	for _, tool := range []string{"bash", "java"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%s is not installed", tool)
		}
	}
	dir, err := os.MkdirTemp("", "yiqiao-kafka-")
	if err != nil {
		return nil, err
	}
	x := &Broker{dir: dir, sasl: sasl}
	if x.port, err = freePorts(); err == nil {
		err = x.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	b.all = append(b.all, x)
	return x, nil
}

// freePorts finds a port with two free ones behind it. They lie below those the system gives to
// clients: while a broker is dead, one of its clients that dials anew could otherwise be given the
// broker's own port.
func freePorts() (int, error) {
	free := func(p int) bool {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			return false
		}
		return l.Close() == nil
	}
	for range 100 {
		p := 20_000 + rand.IntN(10_000)
		if free(p) && free(p+1) && free(p+2) {
			return p, nil
		}
	}
	return 0, errors.New("no three free ports in a row")
}

// Started reports whether the broker was started here, and so may be killed.
func (x *Broker) Started() bool { return x.dir != "" }

// Start starts the broker, again after Kill, and waits until it answers.
func (x *Broker) Start() error {
	args := []string{"start", "--port", fmt.Sprint(x.port)}
	if x.sasl {
		args = append(args, "--sasl")
	}
	out, err := x.script(args...)
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "bootstrap":
			x.Address = value
		case "sasl_bootstrap":
			x.SASL = value
		case "sasl_ca":
			x.CA = value
		}
	}
	if x.Address == "" {
		return errors.New("scripts/kafka.sh named no address")
	}
	return nil
}

// Kill ends the broker with SIGKILL.
func (x *Broker) Kill() error {
	_, err := x.script("kill")
	return err
}

func (x *Broker) stop() {
	if x.dir == "" {
		return
	}
	_ = x.Kill() // its data is removed: nothing is worth an orderly end
	_ = os.RemoveAll(x.dir)
	x.dir = ""
}

func (x *Broker) script(args ...string) (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("where the sources are is not known")
	}
	path := filepath.Join(filepath.Dir(file), "..", "..", "..", "..", "scripts", "kafka.sh")
	// Files, not pipes: the broker would keep a pipe open.
	said, err := os.CreateTemp(x.dir, "script-*.log")
	if err != nil {
		return "", err
	}
	defer said.Close()
	cmd := exec.Command("bash", append([]string{path}, append(args, "--dir", filepath.Join(x.dir, "broker"))...)...)
	var out strings.Builder
	cmd.Stderr = said
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(said.Name())
		return "", fmt.Errorf("scripts/kafka.sh %s: %w: %s", args[0], err, lastLine(string(text)))
	}
	return out.String(), nil
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
