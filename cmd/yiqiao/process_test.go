//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"yiqiao/gateway"
)

// These tests run the real program as real processes and kill it.

var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "yiqiao-bin-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "yiqiao")
	out, err := exec.Command("go", "build", "-tags", "crashpoints", "-o", bin, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin, err := built(); err == nil && strings.Contains(bin, "yiqiao-bin-") {
		_ = os.RemoveAll(filepath.Dir(bin))
	}
	os.Exit(code)
}

// site is a folder with a configuration, a running simulator and sometimes a running gateway.
type site struct {
	t       testing.TB
	bin     string
	dir     string
	key     string
	control string
	gw      *process
}

type process struct {
	cmd  *exec.Cmd
	addr string
	done chan error
	log  *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newSite(t testing.TB) *site {
	t.Helper()
	return newSiteOf(t, 2)
}

// newSiteOf waits for so many addresses of the simulator: the centre, the control port and, with three,
// the e-invoice platform, which the gateway is then told.
func newSiteOf(t testing.TB, addrs int) *site {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, bin: bin, dir: filepath.Join(t.TempDir(), "site")}
	if out, err := exec.Command(bin, "init", s.dir, "--listen", "127.0.0.1:0", "--simulator", "127.0.0.1:0", "--control", "127.0.0.1:0", "--einvoice", "127.0.0.1:0").CombinedOutput(); err != nil {
		t.Fatalf("init: %v: %s", err, out)
	}
	sim := s.start("simulate", nil, addrs)
	s.control = "http://" + sim.addrs[1]
	// Short limits, so that an outcome is settled within the test's patience.
	s.edit("yiqiao.yaml", "http://127.0.0.1:0/fsi/api", "http://"+sim.addrs[0]+"/fsi/api")
	if addrs > 2 {
		s.edit("yiqiao.yaml", "http://127.0.0.1:0/medical-web", "http://"+sim.addrs[2]+"/medical-web")
	}
	s.edit("yiqiao.yaml", "settle: 180s", "settle: 2s")
	s.append("yiqiao.yaml", "\ntiming:\n  settle_grace: 500ms\n  ask_every: 100ms\n  ask_most: 500ms\n  poll: 50ms\n")
	key, err := os.ReadFile(filepath.Join(s.dir, starterAPIKey))
	if err != nil {
		t.Fatal(err)
	}
	s.key = strings.TrimSpace(string(key))
	return s
}

func (s *site) edit(name, old, new string) {
	s.t.Helper()
	p := filepath.Join(s.dir, name)
	b, err := os.ReadFile(p)
	if err != nil {
		s.t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(old)) {
		s.t.Fatalf("%s does not hold %q", name, old)
	}
	if err := os.WriteFile(p, bytes.ReplaceAll(b, []byte(old), []byte(new)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) append(name, text string) {
	s.t.Helper()
	f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

type started struct {
	*process
	addrs []string
}

var addrPattern = regexp.MustCompile(`http://([0-9.]+:[0-9]+)`)

// start runs a subcommand and waits until it has named n addresses.
func (s *site) start(sub string, env []string, n int) started {
	s.t.Helper()
	cmd := exec.Command(s.bin, sub, "--config", s.dir)
	cmd.Env = append(os.Environ(), env...)
	return s.startCommand(cmd, n)
}

// startAt is start with a configuration file of its own.
func (s *site) startAt(sub, config string, n int) started {
	s.t.Helper()
	return s.startCommand(exec.Command(s.bin, sub, "--config", config), n)
}

func (s *site) startCommand(cmd *exec.Cmd, n int) started {
	s.t.Helper()
	p := &process{cmd: cmd, done: make(chan error, 1), log: &lockedBuffer{}}
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	var addrs []string
	lines := bufio.NewScanner(out)
	for len(addrs) < n && lines.Scan() {
		if m := addrPattern.FindStringSubmatch(lines.Text()); m != nil {
			addrs = append(addrs, m[1])
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, out)
		p.done <- p.cmd.Wait()
	}()
	s.t.Cleanup(func() { p.kill() })
	if len(addrs) < n {
		s.t.Fatalf("%v did not start: %s", cmd.Args, p.log)
	}
	p.addr = addrs[0]
	return started{p, addrs}
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.done
	p.done <- nil
}

// died waits for a process that kills itself.
func (p *process) died(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.done:
		p.done <- nil
		if err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the gateway was to be killed, it ended with %v: %s", err, p.log)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the gateway was to die and did not")
	}
}

func (s *site) serve(crash string) {
	s.t.Helper()
	var env []string
	if crash != "" {
		env = []string{"YIQIAO_CRASH=" + crash}
	}
	s.gw = s.start("serve", env, 1).process
}

// post sends body to the gateway; status 0 means the connection broke.
func (s *site) post(path string, body, v any) (int, string) {
	s.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	status, answer, err := post(context.Background(), "http://"+s.gw.addr+path, s.key, b)
	if err != nil {
		return 0, err.Error()
	}
	if v != nil && status/100 == 2 {
		if err := json.Unmarshal(answer, v); err != nil {
			s.t.Fatalf("%s: %v in %s", path, err, answer)
		}
	}
	return status, string(answer)
}

// eventually repeats f until it holds or the patience ends.
func (s *site) eventually(what string, f func() bool) {
	s.t.Helper()
	deadline := time.After(30 * time.Second)
	for !f() {
		select {
		case <-deadline:
			s.t.Fatalf("never: %s; gateway log: %s", what, s.gw.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// atCentre asks the simulator's control port how many settlements it holds for a visit.
func (s *site) atCentre(visit string) int {
	s.t.Helper()
	resp, err := http.Get(s.control + "/control/settlements?mdtrt_id=" + visit)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var list []json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		s.t.Fatal(err)
	}
	return len(list)
}

func (s *site) inject(rule string) {
	s.t.Helper()
	resp, err := http.Post(s.control+"/control/faults", "application/json", strings.NewReader(rule))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		b, _ := io.ReadAll(resp.Body)
		s.t.Fatalf("faults: %d %s", resp.StatusCode, b)
	}
}

// ledger fails the test when the simulator's books do not balance.
func (s *site) ledger() {
	s.t.Helper()
	resp, err := http.Get(s.control + "/control/state")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var state struct {
		Proof string `json:"ledger_proof"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&state); err != nil {
		s.t.Fatal(err)
	}
	if state.Proof != "ok" {
		s.t.Errorf("the centre's ledger does not balance: %s", state.Proof)
	}
}

func (s *site) fsck() {
	s.t.Helper()
	out, err := exec.Command(s.bin, "journal", "fsck", "--config", s.dir).CombinedOutput()
	if err != nil {
		s.t.Errorf("journal fsck: %v: %s", err, out)
	}
}

// open brings the standard bill to the trial settlement and gives the confirm request for it; the
// credential goes with it, since a restarted gateway no longer has it.
func (s *site) open(tag string) (gateway.Settlement, gateway.ConfirmSettlement) {
	s.t.Helper()
	bill, _ := standardBill(tag, "999999198503120018", "测试甲")
	var set gateway.Settlement
	if status, answer := s.post("/api/v1/settlements", bill, &set); status/100 != 2 {
		s.t.Fatalf("open: %d %s", status, answer)
	}
	return set, gateway.ConfirmSettlement{RequestID: "C-" + tag, Operator: bill.Operator, Credential: &bill.Credential}
}

func TestKillAtEveryBoundary(t *testing.T) {
	for _, c := range []struct{ name, crash string }{
		{"before SENT", "before-sent:2207"},
		{"after SENT, nothing left", "after-sent:2207"},
		{"after the centre committed", "after-answer:2207"},
		{"after the answer was stored, before the HIS was answered", "after-stored:2207"},
		{"in the middle of the ladder, before", "before-sent:2204"},
		{"in the middle of the ladder, after SENT", "after-sent:2204"},
		{"in the middle of the ladder, after the answer", "after-answer:2204"},
		{"after the trial settlement was stored", "after-stored:2206"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.serve(c.crash)
			bill, _ := standardBill("K", "999999198503120018", "测试甲")
			confirm := gateway.ConfirmSettlement{RequestID: "C-K", Operator: bill.Operator, Credential: &bill.Credential}
			var set gateway.Settlement
			open := func() bool {
				status, _ := s.post("/api/v1/settlements", bill, &set)
				return status == 200 || status == 201
			}
			settled := func() bool {
				var got gateway.Settlement
				status, _ := s.post("/api/v1/settlements/"+set.ID+"/confirm", confirm, &got)
				return (status == 200 || status == 201) && got.State == gateway.BillSettled
			}
			if strings.HasSuffix(c.crash, "2207") {
				if !open() {
					t.Fatalf("the bill was not opened: %s", s.gw.log)
				}
				if settled() {
					t.Fatal("the gateway was to die before it answered")
				}
			} else if open() {
				t.Fatal("the gateway was to die before it answered")
			}
			s.gw.died(t)
			s.serve("")
			s.eventually("the bill is opened", open)
			s.eventually("the repeated request says settled", settled)
			if n := s.atCentre(string(set.Visit)); n != 1 {
				t.Errorf("the centre holds %d settlements of the visit, want 1", n)
			}
			s.ledger()
			s.gw.kill()
			s.fsck()
		})
	}
}

// The centre has committed and keeps silent; the gateway is killed while it waits.
func TestKillWhileTheCentreKeepsSilent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("")
	set, confirm := s.open("S")
	s.inject(`{"infno":"2207","kind":"never-answer","commit":true,"times":1}`)
	answered := make(chan int, 1)
	go func() {
		status, _ := s.post("/api/v1/settlements/"+set.ID+"/confirm", confirm, nil)
		answered <- status
	}()
	s.eventually("the centre commits", func() bool { return s.atCentre(string(set.Visit)) == 1 })
	s.gw.kill()
	if status := <-answered; status == 200 {
		t.Fatal("the gateway answered before it was killed: the test came too late")
	}
	s.serve("")
	s.eventually("the outcome is found", func() bool {
		var got gateway.Settlement
		status, _ := s.post("/api/v1/settlements/"+set.ID+"/confirm", confirm, &got)
		return status == 200 && got.State == gateway.BillSettled && got.SettlementID != ""
	})
	if n := s.atCentre(string(set.Visit)); n != 1 {
		t.Errorf("the centre holds %d settlements of the visit, want 1", n)
	}
	s.ledger()
}

func TestDoubleClicks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("")
	set, confirm := s.open("D")
	const clicks = 100
	answers := make([]gateway.Settlement, clicks)
	statuses := make([]int, clicks)
	var wg sync.WaitGroup
	for i := range clicks {
		wg.Go(func() {
			statuses[i], _ = s.post("/api/v1/settlements/"+set.ID+"/confirm", confirm, &answers[i])
		})
	}
	wg.Wait()
	for i := range clicks {
		if statuses[i] != 200 || answers[i].SettlementID != answers[0].SettlementID || answers[i].SettlementID == "" {
			t.Fatalf("click %d: HTTP %d, settlement %q; the first got %q", i, statuses[i], answers[i].SettlementID, answers[0].SettlementID)
		}
	}
	if n := s.atCentre(string(set.Visit)); n != 1 {
		t.Errorf("the centre holds %d settlements of the visit, want 1", n)
	}
}

// The same id and body gives the stored answer after a restart; another body is a conflict.
func TestStoredAnswerOutlivesRestart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("")
	set, confirm := s.open("R")
	path := "/api/v1/settlements/" + set.ID + "/confirm"
	var first, again gateway.Settlement
	if status, answer := s.post(path, confirm, &first); status != 200 {
		t.Fatalf("confirm: %d %s", status, answer)
	}
	s.gw.kill()
	s.serve("")
	if status, answer := s.post(path, confirm, &again); status != 200 || again.SettlementID != first.SettlementID || *again.Amounts != *first.Amounts {
		t.Errorf("after the restart: %d %s, want settlement %s", status, answer, first.SettlementID)
	}
	confirm.Invoice = "FP0001"
	if status, answer := s.post(path, confirm, nil); status != 409 || !strings.Contains(answer, string(gateway.CodeRequestIDReused)) {
		t.Errorf("another body under the same id: %d %s", status, answer)
	}
}

// An unwritable database: nothing is accepted, health says why, nothing is sent.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	// The process may write files of at most a few hundred KiB: the journal can not grow beyond.
	script := fmt.Sprintf("ulimit -f 600; exec %q serve --config %q", s.bin, s.dir)
	s.gw = s.startCommand(exec.Command("bash", "-c", script), 1).process
	operator := map[string]string{"id": "0101", "name": "王收费", "type": "1"}
	full := false
	for i := 0; i < 3000 && !full; i++ {
		status, answer := s.post("/api/v1/transactions/1101", map[string]any{"request_id": fmt.Sprintf("F%d", i), "operator": operator,
			"input": map[string]any{"data": map[string]string{"mdtrt_cert_type": "02", "mdtrt_cert_no": "999999198503120018"}}}, nil)
		switch status {
		case 200:
		case 503:
			full = true
			if !strings.Contains(answer, string(gateway.CodeStorage)) {
				t.Fatalf("503 without saying why: %s", answer)
			}
		case 202: // sent, and the answer could not be written: truthfully unknown
			full = true
		default:
			t.Fatalf("call %d: HTTP %d %s", i, status, answer)
		}
	}
	if !full {
		t.Fatal("the disk never filled up")
	}
	s.eventually("health says why", func() bool {
		resp, err := http.Get("http://" + s.gw.addr + "/healthz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode == 503 && strings.Contains(string(b), string(gateway.CodeStorage))
	})
	before := s.calls("1101")
	for i := range 5 {
		if status, answer := s.post("/api/v1/transactions/1101", map[string]any{"request_id": fmt.Sprintf("G%d", i), "operator": operator,
			"input": map[string]any{"data": map[string]string{"mdtrt_cert_type": "02", "mdtrt_cert_no": "999999198503120018"}}}, nil); status != 503 {
			t.Errorf("with a full disk: HTTP %d %s, want 503", status, answer)
		}
	}
	if after := s.calls("1101"); after != before {
		t.Errorf("%d messages were sent without a journal", after-before)
	}
}

// calls counts the messages of one number the centre has seen.
func (s *site) calls(infno string) int {
	s.t.Helper()
	resp, err := http.Get(s.control + "/control/state")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var state struct {
		Counts map[string]struct{ Done, Refused, Skipped int } `json:"counts"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&state); err != nil {
		s.t.Fatal(err)
	}
	c := state.Counts[infno]
	return c.Done + c.Refused + c.Skipped
}
