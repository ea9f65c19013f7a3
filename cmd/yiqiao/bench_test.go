//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"crypto/rand"

	"yiqiao/crypto/envelope"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
)

// The figures of a settlement: the real program in a process of its own, called over HTTP, talking
// to a centre in this process that answers every 2207 with a full reply. Only the gateway's own CPU
// is counted (from /proc), so neither the caller's nor the centre's is in it.

// replyOf2207 is a complete reply of a settlement over 479.54; %s is the msgid.
const replyOf2207 = `{"setlinfo":{"mdtrt_id":"M1","setl_id":"S1","psn_no":"44010000000000000001","psn_name":"测试甲","psn_cert_type":"01","certno":"999999198503120018","gend":"1","naty":"01","brdy":"1985-03-12","age":41.7,"insutype":"310","psn_type":"1101","cvlserv_flag":"0","setl_time":"2026-11-23 09:30:00","mdtrt_cert_type":"02","med_type":"11","medfee_sumamt":479.54,"fulamt_ownpay_amt":35.50,"overlmt_selfpay":37.03,"preselfpay_amt":60.00,"inscp_scp_amt":347.01,"act_pay_dedc":200.00,"hifp_pay":88.21,"pool_prop_selfpay":0.6,"cvlserv_pay":0,"hifes_pay":0,"hifmi_pay":0,"hifob_pay":0,"maf_pay":0,"oth_pay":0,"fund_pay_sumamt":88.21,"psn_part_amt":391.33,"acct_pay":355.83,"psn_cash_pay":35.50,"hosp_part_amt":0,"balc":644.17,"acct_mulaid_pay":0,"medins_setl_id":"%s","clr_optins":"440100","clr_way":"1","clr_type":"11","hifdm_pay":0},"setldetail":[{"fund_pay_type":"310100","inscp_scp_amt":347.01,"crt_payb_lmt_amt":6000,"fund_payamt":88.21,"fund_pay_type_name":"职工基本医疗保险统筹基金","setl_proc_info":null},{"fund_pay_type":"310200","inscp_scp_amt":0,"crt_payb_lmt_amt":0,"fund_payamt":355.83,"fund_pay_type_name":"个人账户","setl_proc_info":null}]}`

const inputOf2207 = `{"data":{"psn_no":"44010000000000000001","mdtrt_cert_type":"02","mdtrt_cert_no":"999999198503120018","med_type":"11","medfee_sumamt":479.54,"psn_setlway":"01","mdtrt_id":"M1","chrg_bchno":"C1","insutype":"310","acct_used_flag":"1","invono":"","fulamt_ownpay_amt":35.50,"overlmt_selfpay":37.03,"preselfpay_amt":60.00,"inscp_scp_amt":347.01}}`

// visitIn is the visit of a request of the benchmark.
var visitIn = regexp.MustCompile(`"mdtrt_id":"(M[0-9]+)"`)

// echoCentre answers 9001 and 2207 in the profile given.
func echoCentre(p envelope.Profile) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		data, _, err := p.Open(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		req, _, err := wire.DecodeRequest(data)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out := `{"signinoutb":{"sign_time":"2026-11-23 09:00:00","sign_no":"SIGN1"}}`
		if req.Infno == "2207" {
			out = strings.Replace(fmt.Sprintf(replyOf2207, req.MsgID), `"M1"`, `"`+string(visitIn.FindSubmatch(data)[1])+`"`, 1)
		}
		doc, err := strictjson.Decode([]byte(out), strictjson.Reply())
		if err != nil {
			panic(err)
		}
		reply, err := wire.EncodeReply(wire.Reply{InfCode: "0", RefMsgID: "440100" + "20261123093000" + "0000000001", RefMsgTime: "20261123093000000", RespondTime: "20261123093000001", Output: doc})
		if err != nil {
			panic(err)
		}
		sealed, err := p.SealReply(rand.Reader, time.Now(), "0", "", reply)
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", sealed.ContentType)
		_, _ = w.Write(sealed.Body)
	})
}

// rig is a gateway under load.
type rig struct {
	b      *testing.B
	url    string
	key    string
	cmd    *exec.Cmd
	log    *lockedBuffer
	client *http.Client
	next   atomic.Int64
}

func newRig(b *testing.B, cryptoName, sync, profileFile string, build ...string) *rig {
	b.Helper()
	bin := os.Getenv("YIQIAO_BIN") // built already, to compare builds in one run
	if bin == "" {
		bin = filepath.Join(b.TempDir(), "yiqiao")
		if out, err := exec.Command("go", append(append([]string{"build"}, build...), "-o", bin, ".")...).CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
	dir := filepath.Join(b.TempDir(), "site")
	if _, err := writeStarter(dir, starter{Listen: "127.0.0.1:0", Simulator: "127.0.0.1:1", Control: "127.0.0.1:0"}); err != nil {
		b.Fatal(err)
	}
	sim, err := loadSimulator(dir)
	if err != nil {
		b.Fatal(err)
	}
	fast, err := provider("emmansun")
	if err != nil {
		b.Fatal(err)
	}
	p, _, err := sim.Protect.protect(fast, newSecrets(sim.base, sim.Keys), lineEnds{})
	if err != nil {
		b.Fatal(err)
	}
	centre := httptest.NewServer(echoCentre(p))
	b.Cleanup(centre.Close)
	conf := filepath.Join(dir, "yiqiao.yaml")
	text, err := os.ReadFile(conf)
	if err != nil {
		b.Fatal(err)
	}
	edited := strings.NewReplacer("http://127.0.0.1:1/fsi/api", centre.URL, "crypto_provider: emmansun", "crypto_provider: "+cryptoName,
		"sync: full", "sync: "+sync, "max_in_flight: 64", "max_in_flight: 256", "level: info", "level: warn").Replace(string(text))
	if err := os.WriteFile(conf, []byte(edited), 0o600); err != nil {
		b.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, starterAPIKey))
	if err != nil {
		b.Fatal(err)
	}
	args := []string{"serve", "--config", dir, "--stats"}
	if profileFile != "" {
		args = append(args, "--cpuprofile", profileFile)
	}
	r := &rig{b: b, key: strings.TrimSpace(string(key)), cmd: exec.Command(bin, args...), log: &lockedBuffer{},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 512}}}
	r.cmd.Stderr = r.log
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = r.cmd.Process.Kill(); _ = r.cmd.Wait() })
	buf := make([]byte, 4096)
	n, _ := out.Read(buf)
	m := addrPattern.FindStringSubmatch(string(buf[:n]))
	if m == nil {
		b.Fatalf("the gateway did not start: %s %s", buf[:n], r.log)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	r.url = "http://" + m[1] + "/api/v1/transactions/2207"
	r.settle() // signs in
	return r
}

// settle sends one 2207 through the low-level route and fails the benchmark unless it is done.
func (r *rig) settle() {
	n := r.next.Add(1)
	body := fmt.Appendf(nil, `{"request_id":"B%d","operator":{"id":"0101","name":"王收费","type":"1"},"insuplc_admdvs":"440100","input":%s}`, n, strings.Replace(inputOf2207, `"M1"`, fmt.Sprintf(`"M%d"`, n), 1)) // nobody settles one visit again and again
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		r.b.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+r.key)
	resp, err := r.client.Do(req)
	if err != nil {
		r.b.Error(err)
		return
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		r.b.Errorf("HTTP %d %s %v", resp.StatusCode, answer, err)
	}
}

// cpu is the CPU the gateway has used, in ms; the clock ticks a hundred times a second.
func (r *rig) cpu() float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.cmd.Process.Pid))
	if err != nil {
		r.b.Fatal(err)
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+2:]))
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) * 10
}

// rss is the resident memory of the gateway in MB.
func (r *rig) rss() float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		r.b.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(b)
	kb, _ := strconv.ParseFloat(string(m[1]), 64)
	return kb / 1024
}

// stop ends the gateway politely and gives the figures it prints with --stats.
func (r *rig) stop() map[string]float64 {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	_ = r.cmd.Wait()
	stats := map[string]float64{}
	for _, line := range strings.Split(r.log.String(), "\n") {
		text, ok := strings.CutPrefix(line, "stats ")
		if !ok {
			continue
		}
		var m map[string]float64
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			r.b.Fatalf("%v: %s", err, line)
		}
		for k, v := range m {
			stats[k] = v
		}
	}
	return stats
}

// load settles n times from so many callers and gives every duration.
func (r *rig) load(n, callers int) []time.Duration {
	took := make([]time.Duration, n)
	var at atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for {
				i := int(at.Add(1)) - 1
				if i >= n {
					return
				}
				start := time.Now()
				r.settle()
				took[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	return took
}

func BenchmarkSettlement(b *testing.B) {
	for _, c := range []struct {
		provider, sync string
		callers        int
	}{
		{"emmansun", "full", 1}, {"emmansun", "full", 64}, {"emmansun", "off", 64}, {"tjfoc", "full", 64},
	} {
		b.Run(fmt.Sprintf("provider=%s/sync=%s/callers=%d", c.provider, c.sync, c.callers), func(b *testing.B) {
			r := newRig(b, c.provider, c.sync, "")
			r.load(500, c.callers) // warm
			idle := r.cpu()
			b.ResetTimer()
			start := time.Now()
			took := r.load(b.N, c.callers)
			elapsed := time.Since(start)
			b.StopTimer()
			used := r.cpu() - idle
			stats := r.stop()
			slices.Sort(took)
			b.ReportMetric(used/float64(b.N), "cpu-ms/settlement")
			b.ReportMetric(float64(b.N)/elapsed.Seconds(), "settlements/s")
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			if total := float64(b.N + 501); stats["syncs"] > 0 {
				b.ReportMetric(stats["syncs"]/total, "fsyncs/settlement")
			}
		})
	}
}

// BenchmarkAtRest reports what protection at rest (sealing under data keys, marks) adds to the CPU of a
// settlement: the program beside the same program built without it, in turns.
func BenchmarkAtRest(b *testing.B) {
	rigs := []*rig{newRig(b, "emmansun", "full", ""), newRig(b, "emmansun", "full", "", "-tags", "unsealed")}
	for _, r := range rigs {
		r.load(1000, 64) // warm
	}
	const turns = 10
	each := max(b.N/turns, 100)
	used := make([]float64, len(rigs))
	b.ResetTimer()
	for turn := range turns {
		for i := range rigs {
			r := rigs[(i+turn)%len(rigs)]
			before := r.cpu()
			r.load(each, 64)
			used[(i+turn)%len(rigs)] += r.cpu() - before
		}
	}
	b.StopTimer()
	b.ReportMetric(used[0]/float64(each*turns), "sealed-cpu-ms")
	b.ReportMetric(used[1]/float64(each*turns), "open-cpu-ms")
	b.ReportMetric(100*(used[0]/used[1]-1), "added-%")
}

// BenchmarkMemory reports what an idle gateway takes and whether 100,000 settlements leave anything.
func BenchmarkMemory(b *testing.B) {
	r := newRig(b, "emmansun", "off", "")
	idle := r.rss()
	r.load(1000, 16)
	before := r.rss()
	r.load(100_000, 16)
	after := r.rss()
	stats := r.stop()
	b.ReportMetric(idle, "idle-rss-MB")
	b.ReportMetric(before, "rss-after-1k-MB")
	b.ReportMetric(after, "rss-after-101k-MB")
	b.ReportMetric(stats["heap_start"]/(1<<20), "heap-start-MB")
	b.ReportMetric(stats["heap_end"]/(1<<20), "heap-end-MB")
}

// BenchmarkShares profiles the gateway under load and says where its CPU goes.
func BenchmarkShares(b *testing.B) {
	file := os.Getenv("YIQIAO_CPUPROFILE") // kept when named
	if file == "" {
		file = filepath.Join(b.TempDir(), "cpu.prof")
	}
	r := newRig(b, "emmansun", "full", file)
	r.load(max(b.N, 5000), 16)
	r.stop()
	out, err := exec.Command("go", "tool", "pprof", "-traces", file).Output()
	if err != nil {
		b.Fatal(err)
	}
	total, share := shares(string(out))
	for name, ms := range share {
		b.ReportMetric(100*ms/total, name+"-%")
	}
}

// rooms of a settlement, matched from the outermost call inwards: the first that matches has it.
var shareRooms = []struct{ name, pattern string }{
	{"journal", `gateway/(journal|store)\.|modernc\.org|crypto/keys\.`},
	{"crypto", `crypto/(envelope|sm)\.|gmsm`},
	{"validation", `schemas/check\.|gojsonschema`},
	{"json", `strictjson\.|schemas/wire\.|encoding/json|catalog\.`},
	{"http-out", `gateway/centre\.|net/http\.\(\*(Transport|persistConn)`},
	{"http-in", `net/http\.|gin-gonic|adapters/his`},
	{"gc", `runtime\.(gcBgMarkWorker|bgsweep|gcAssist|mcall|mallocgc)`},
}

// shares reads `pprof -traces`: blocks of "value function" lines, leaf first. Each sample goes to
// the innermost room that its stack names, except that the garbage collector stands alone.
func shares(traces string) (float64, map[string]float64) {
	patterns := make([]*regexp.Regexp, len(shareRooms))
	for i, r := range shareRooms {
		patterns[i] = regexp.MustCompile(r.pattern)
	}
	total, share := 0.0, map[string]float64{}
	for _, block := range strings.Split(traces, "-----------+")[1:] {
		lines := strings.Split(block, "\n")
		if len(lines) < 2 {
			continue
		}
		var ms float64
		f := strings.Fields(lines[1])
		if len(f) < 2 {
			continue
		}
		d, err := time.ParseDuration(f[0])
		if err != nil {
			continue
		}
		ms = float64(d.Microseconds()) / 1000
		total += ms
		name := "other"
	stack:
		for _, l := range lines[1:] {
			for i, p := range patterns {
				if p.MatchString(l) {
					name = shareRooms[i].name
					break stack
				}
			}
		}
		share[name] += ms
	}
	return total, share
}
