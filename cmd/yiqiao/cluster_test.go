//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/queue/kafka/kafkatest"
	"yiqiao/gateway/store/storetest"
	"yiqiao/schemas/ident"
)

// Several real gateways over one real PostgreSQL, with cashiers who never stop.

// cluster is a site with several gateways and the people who work at it.
type cluster struct {
	*site
	journal opened

	mu       sync.Mutex
	gateways map[string]*process // by name; those that are dead are not there
	bills    []*clusterBill
	uploads  []string // ids that were accepted

	busy   sync.WaitGroup
	closed atomic.Bool // no new bills
	serial atomic.Int64
	told   atomic.Int64 // answers that were final
	failed atomic.Bool
}

type clusterBill struct {
	visit    string
	settled  gateway.Settlement // as the HIS was told
	refunded bool
}

func newCluster(t *testing.T, dsn, more string) *cluster {
	t.Helper()
	c := &cluster{site: newSite(t), gateways: map[string]*process{}}
	c.edit("yiqiao.yaml", "settle: 2s", "settle: 3s")
	c.edit("yiqiao.yaml", "query: 60s\n    write: 60s", "query: 3s\n    write: 3s")
	c.edit("yiqiao.yaml", "settle_grace: 500ms", "settle_grace: 2s")
	c.edit("yiqiao.yaml", "journal:\n", "journal:\n  database: "+dsn+"\n")
	c.append("yiqiao.yaml", "  lease: 1s\n  upload_retry: 200ms\n  upload_most: 1s\n"+more)
	return c
}

// open opens the journal, to look on. The gateways have made it.
func (c *cluster) open() {
	c.t.Helper()
	j, err := openJournal(c.t.Context(), filepath.Join(c.dir, "yiqiao.yaml"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.journal = j
	c.t.Cleanup(j.close)
}

// run starts the gateway of a name, each with a configuration and a data folder of its own.
func (c *cluster) run(name string) {
	c.t.Helper()
	c.runIn(name, "data-"+name)
}

func (c *cluster) runIn(name, folder string) {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "yiqiao.yaml"))
	if err != nil {
		c.t.Fatal(err)
	}
	own := strings.Replace(string(text), "data: data", "data: "+folder+"\nname: "+name, 1)
	if own == string(text) {
		c.t.Fatal("the starter configuration names no data folder")
	}
	config := filepath.Join(c.dir, folder+".yaml")
	if err := os.WriteFile(config, []byte(own), 0o600); err != nil {
		c.t.Fatal(err)
	}
	p := c.startAt("serve", config, 1).process
	c.mu.Lock()
	c.gateways[name] = p
	c.gw = p
	c.mu.Unlock()
}

// end kills a gateway; nobody calls it any more.
func (c *cluster) end(name string) {
	c.mu.Lock()
	p := c.gateways[name]
	delete(c.gateways, name)
	c.mu.Unlock()
	p.kill()
}

func (c *cluster) signal(name string, s syscall.Signal) {
	c.t.Helper()
	c.mu.Lock()
	p := c.gateways[name]
	c.mu.Unlock()
	if err := p.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// any gives the address of a gateway.
func (c *cluster) any(n int64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := int64(len(c.gateways))
	for _, p := range c.gateways {
		if k--; n%int64(len(c.gateways)) == k {
			return p.addr
		}
	}
	return ""
}

var clusterClient = http.Client{Timeout: 2 * time.Second}

// ask repeats a call under one request id, at one gateway or another, until there is a final answer.
func (c *cluster) ask(path string, body, into any) {
	b, err := json.Marshal(body)
	if err != nil {
		c.fail("%v", err)
		return
	}
	last := ""
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline) && !c.failed.Load(); time.Sleep(20 * time.Millisecond) {
		addr := c.any(c.serial.Add(1))
		if addr == "" {
			continue
		}
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+addr+path, bytes.NewReader(b))
		if err != nil {
			c.fail("%v", err)
			return
		}
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
		req.Header.Set("Authorization", "Bearer "+c.key)
		resp, err := clusterClient.Do(req)
		if err != nil {
			last = err.Error()
			continue
		}
		answer, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		last = fmt.Sprintf("%d %s", resp.StatusCode, answer)
		var problem struct{ Code gateway.Code }
		switch {
		case err != nil:
			last = err.Error()
			continue
		case resp.StatusCode == 200, resp.StatusCode == 201, resp.StatusCode == 202 && strings.Contains(path, "/uploads/"):
			if err := json.Unmarshal(answer, into); err != nil {
				c.fail("%s: %v in %s", path, err, answer)
			}
			c.told.Add(1)
			return
		case json.Unmarshal(answer, &problem) != nil:
			continue
		}
		switch problem.Code {
		case gateway.CodeOutcomeUnknown, gateway.CodeRequestInProgress, gateway.CodeStorage, gateway.CodeCentreBusy, gateway.CodeCentreDown,
			gateway.CodeCentreUnreachable, gateway.CodeSignIn, "busy", "shutting-down":
		default:
			c.fail("%s: %s", path, last)
			return
		}
	}
	c.fail("%s was never answered for good: %s", path, last)
}

func (c *cluster) fail(format string, args ...any) {
	if !c.failed.Swap(true) {
		c.t.Errorf(format, args...)
	}
}

// cashiers sets n of them to work until the site closes.
func (c *cluster) cashiers(n int) {
	for i := range n {
		c.busy.Go(func() {
			for k := 0; !c.closed.Load() && !c.failed.Load(); k++ {
				c.serve(fmt.Sprintf("%d-%d", i, k), k%5 == 4)
			}
		})
	}
}

// serve settles a bill, and now and then refunds it.
func (c *cluster) serve(tag string, refund bool) {
	bill, _ := standardBill(tag, "999999198503120018", "测试甲")
	var opened, got gateway.Settlement
	c.ask("/api/v1/settlements", bill, &opened)
	if c.failed.Load() {
		return
	}
	c.ask("/api/v1/settlements/"+opened.ID+"/confirm", gateway.ConfirmSettlement{RequestID: "C-" + tag, Operator: bill.Operator, Credential: &bill.Credential}, &got)
	if c.failed.Load() {
		return
	}
	b := &clusterBill{visit: string(got.Visit), settled: got}
	if got.State != gateway.BillSettled || got.SettlementID == "" {
		c.fail("%s: %+v", tag, got)
	}
	if refund {
		var back gateway.Settlement
		c.ask("/api/v1/settlements/"+opened.ID+"/refund", gateway.RefundSettlement{RequestID: "R-" + tag, Operator: bill.Operator}, &back)
		b.refunded = true
		if back.State != gateway.BillRefunded && !c.failed.Load() {
			c.fail("%s: refunded: %+v", tag, back)
		}
	}
	c.mu.Lock()
	c.bills = append(c.bills, b)
	c.mu.Unlock()
}

// clerks hand in uploads until the site closes.
func (c *cluster) clerks(n int) {
	for i := range n {
		c.busy.Go(func() {
			for k := 0; !c.closed.Load() && !c.failed.Load(); k++ {
				row := map[string]any{"mdtrt_sn": fmt.Sprintf("SN%d", k%7), "mdtrt_id": fmt.Sprintf("V%d-%d", i, k%7), "vali_flag": "1",
					"medcas_drord_detl_id": fmt.Sprintf("D%d-%d", i, k)}
				var got gateway.Transaction
				c.ask("/api/v1/uploads/4402", map[string]any{"request_id": fmt.Sprintf("up-%d-%d", i, k),
					"operator": map[string]any{"id": "0101", "name": "李四"}, "input": map[string]any{"data": []any{row}}}, &got)
				c.mu.Lock()
				c.uploads = append(c.uploads, string(got.ID))
				c.mu.Unlock()
				time.Sleep(40 * time.Millisecond) // they are not what is measured
			}
		})
	}
}

// works waits until the HIS have got n more final answers: everything goes on.
func (c *cluster) works(n int64) {
	c.t.Helper()
	began := time.Now()
	defer func() { c.t.Logf("%d answers in %s", n, time.Since(began).Round(time.Millisecond)) }()
	want := c.told.Load() + n
	for deadline := time.Now().Add(time.Minute); c.told.Load() < want && !c.failed.Load(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("the site stands still")
		}
	}
}

// close lets everybody finish, waits until nothing is left to find out, and compares the books.
func (c *cluster) close() {
	c.t.Helper()
	c.closed.Store(true)
	c.busy.Wait()
	if c.failed.Load() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for name, p := range c.gateways {
			c.t.Logf("%s: %s", name, lastLines(p.log.String(), 40))
		}
		return
	}
	open := func(states ...gateway.State) []gateway.Record {
		list, err := c.journal.List(c.t.Context(), gateway.Query{States: states, Limit: 1000})
		if err != nil {
			c.t.Fatal(err)
		}
		return list
	}
	c.eventually("everything has ended", func() bool {
		return len(open(gateway.StatePrepared, gateway.StateSent, gateway.StateUnknown)) == 0
	})
	for _, r := range open(gateway.StateParked) {
		c.t.Errorf("%s %s is parked: %s", r.Infno, r.ID, r.Cause)
	}
	c.compare()
	for _, id := range c.uploads {
		if got, err := c.journal.Record(c.t.Context(), ident.MsgID(id)); err != nil || got.State != gateway.StateDone {
			c.t.Errorf("upload %s: %s %v", id, got.State, err)
		}
	}
	c.ledger()
	c.fsck()
	c.t.Logf("%d bills, %d uploads", len(c.bills), len(c.uploads))
	if len(c.bills) == 0 {
		c.t.Error("no bill was settled")
	}
}

// compare holds what the HIS were told against the centre.
func (c *cluster) compare() {
	c.t.Helper()
	resp, err := http.Get(c.control + "/control/settlements")
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	var list []struct {
		ID       string `json:"setl_id"`
		Visit    string `json:"mdtrt_id"`
		UndoOf   string `json:"undo_of"`
		UndoneBy string `json:"undone_by"`
		Reversed bool   `json:"reversed"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		c.t.Fatal(err)
	}
	inForce := map[string][]string{}
	for _, s := range list {
		if s.UndoOf == "" && s.UndoneBy == "" && !s.Reversed {
			inForce[s.Visit] = append(inForce[s.Visit], s.ID)
		}
	}
	for _, b := range c.bills {
		here := inForce[b.visit]
		delete(inForce, b.visit)
		switch {
		case b.refunded && len(here) > 0:
			c.t.Errorf("visit %s was refunded, %v are in force", b.visit, here)
		case !b.refunded && (len(here) != 1 || here[0] != string(b.settled.SettlementID)):
			c.t.Errorf("visit %s: the HIS was told %s, the centre has %v", b.visit, b.settled.SettlementID, here)
		}
	}
	for visit, ids := range inForce {
		c.t.Errorf("visit %s: %v are in force and nobody was told", visit, ids)
	}
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// sentBy lists what a gateway has sent and not heard of.
func (c *cluster) sentBy(name string) (list []gateway.Record) {
	c.t.Helper()
	all, err := c.journal.List(c.t.Context(), gateway.Query{States: []gateway.State{gateway.StateSent}, Limit: 1000})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range all {
		if strings.HasPrefix(string(r.Holder), name+"#") {
			list = append(list, r)
		}
	}
	return list
}

// caught waits until a gateway has sent something of a number and hears nothing.
func (c *cluster) caught(name string, infno ident.Infno) {
	c.t.Helper()
	c.eventually("a "+string(infno)+" of "+name+" is on its way", func() bool {
		return slices.ContainsFunc(c.sentBy(name), func(r gateway.Record) bool { return r.Infno == infno })
	})
}

// takenOver waits until others have found out what became of everything a gateway had sent.
func (c *cluster) takenOver(name string, sent []gateway.Record) {
	c.t.Helper()
	began := time.Now()
	defer func() {
		c.t.Logf("%d of %s taken over in %s", len(sent), name, time.Since(began).Round(time.Millisecond))
	}()
	c.eventually("what "+name+" sent is taken over", func() bool {
		for _, r := range sent {
			if now, err := c.journal.Record(c.t.Context(), r.ID); err != nil || !now.State.Final() {
				return false
			}
		}
		return true
	})
}

// Two gateways on one database, one killed, one frozen that goes on, under load: each bill is settled
// once, nothing is lost, and what a gateway left is taken over.
func TestTwoGatewaysOnOneDatabase(t *testing.T) {
	var servers storetest.Servers
	t.Cleanup(func() { _ = servers.Stop() })
	c := newCluster(t, servers.Schema(t), "")
	c.run("a")
	c.run("b")
	c.open()
	c.cashiers(6)
	c.clerks(1)
	c.works(20)

	// Killed with settlements that the centre has made and not answered: the other finds them.
	c.inject(`{"infno":"2207","kind":"never-answer","commit":true,"times":4}`)
	c.caught("a", "2207")
	c.end("a")
	c.takenOver("a", c.sentBy("a"))
	c.works(20)
	c.run("a")
	c.works(20)
	c.end("b")
	c.run("b") // at once, under its name
	c.works(20)

	// Frozen until everything it had sent has been found out by the other; then it goes on.
	c.inject(`{"infno":"2207","kind":"slow","delay":"2s","times":8}`)
	c.caught("a", "2207")
	c.signal("a", syscall.SIGSTOP)
	c.takenOver("a", c.sentBy("a"))
	c.works(10)
	c.signal("a", syscall.SIGCONT)
	c.works(30)
	c.close()
}

// Another gateway under the same name: the older one stops, and says why.
func TestTwoGatewaysUnderOneName(t *testing.T) {
	var servers storetest.Servers
	t.Cleanup(func() { _ = servers.Stop() })
	c := newCluster(t, servers.Schema(t), "")
	c.run("a")
	older := c.gateways["a"]
	c.runIn("a", "copy")
	select {
	case err := <-older.done:
		older.done <- err
		if err == nil || !strings.Contains(older.log.String(), "同一名字") {
			t.Errorf("%v: %s", err, lastLines(older.log.String(), 5))
		}
	case <-time.After(30 * time.Second):
		t.Error("the older one goes on")
	}
}

// Gateway, broker and database are killed in turn under load: nothing is lost, nothing is done twice.
func TestEverythingIsKilledInTurn(t *testing.T) {
	var servers storetest.Servers
	t.Cleanup(func() { _ = servers.Stop() })
	var brokers kafkatest.Brokers
	t.Cleanup(brokers.Stop)
	broker, server := brokers.Own(t, false), servers.Own(t)
	c := newCluster(t, server.Schema(t), fmt.Sprintf("\nqueue:\n  kind: kafka\n  kafka:\n    brokers: [%s]\n    topic: turn\n    partitions: 4\n", broker.Address))
	c.run("a")
	c.run("b")
	c.open()
	c.cashiers(5)
	c.clerks(2)
	c.works(50)
	do := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for range 2 {
		c.end("a")
		c.works(50)
		c.run("a")
		c.works(50)

		do("the broker is killed", broker.Kill())
		c.works(50) // uploads are accepted without it
		do("the broker comes back", broker.Start())
		c.works(50)

		do("the database is killed", server.Kill())
		do("the database comes back", server.Start())
		c.works(50)
	}
	c.close()
}
