//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
	"yiqiao/gateway/queue/kafka/kafkatest"
)

// The real program with queued uploads: accepted over HTTP, killed while it sends, started again;
// paused and resumed by a command beside it. Over both kinds of queue.
func TestUploadsOfTheRealProgram(t *testing.T) {
	var brokers kafkatest.Brokers
	t.Cleanup(brokers.Stop)
	for kind, settings := range map[string]func(t *testing.T) string{
		"embedded": func(*testing.T) string { return "" },
		"kafka": func(t *testing.T) string {
			return fmt.Sprintf("\nqueue:\n  kind: kafka\n  kafka:\n    brokers: [%s]\n    topic: site%d\n    partitions: 4\n",
				brokers.Shared(t).Address, os.Getpid())
		},
	} {
		t.Run(kind, func(t *testing.T) {
			more := settings(t)
			s := newSite(t)
			s.append("yiqiao.yaml", "  upload_retry: 200ms\n  upload_most: 1s\n"+more)
			s.edit("yiqiao.yaml", "write: 60s", "write: 2s")
			s.serve("")
			s.uploads("pause", "all", "--why", "试验")
			var ids []string
			for i := range 40 {
				ids = append(ids, s.upload(i))
			}
			// The gateway follows with its next poll: the first few may have left before it.
			if st := s.uploads("status"); len(st.Paused) != 1 || len(st.Routes) != 1 || st.Routes[0].Waiting == 0 ||
				st.Routes[0].Waiting+st.Routes[0].Drained != 40 || !st.Routes[0].Paused {
				t.Errorf("paused: %+v", st)
			}
			s.uploads("resume", "all")
			s.eventually("some were sent", func() bool { return s.uploads("status").Routes[0].Drained > 3 })
			s.gw.kill()
			s.serve("")
			ids = append(ids, s.upload(40))
			s.eventually("all were sent", func() bool { return s.uploads("status").Routes[0].Waiting == 0 })
			for _, id := range ids {
				if got := s.transaction(id); got.State != gateway.StateDone {
					t.Errorf("%s: %+v", id, got)
				}
			}
			out, err := exec.Command(s.bin, "uploads", "list", "--json", "--config", s.dir).CombinedOutput()
			if err != nil || string(out) != "[]\n" {
				t.Errorf("set aside: %s %v", out, err)
			}
			if out, err := exec.Command(s.bin, "uploads", "replay", "--config", s.dir).CombinedOutput(); err == nil {
				t.Errorf("replayed everything without being told to: %s", out)
			}
			s.fsck()
		})
	}
}

// upload hands in one order of an inpatient and gives the id it got.
func (s *site) upload(i int) string {
	s.t.Helper()
	row := map[string]any{"mdtrt_sn": fmt.Sprintf("SN%d", i%7), "mdtrt_id": fmt.Sprintf("V%d", i%7), "vali_flag": "1",
		"medcas_drord_detl_id": fmt.Sprintf("D%d", i)}
	var got gateway.Transaction
	status, body := s.post("/api/v1/uploads/4402", map[string]any{"request_id": fmt.Sprintf("up-%d", i),
		"operator": map[string]any{"id": "0101", "name": "李四"}, "input": map[string]any{"data": []any{row}}}, &got)
	if status != 202 || got.ID == "" {
		s.t.Fatalf("upload: %d %s", status, body)
	}
	return string(got.ID)
}

// transaction asks the gateway how one stands.
func (s *site) transaction(id string) (got gateway.Transaction) {
	s.t.Helper()
	req, err := http.NewRequest("GET", "http://"+s.gw.addr+"/api/v1/transactions/"+id, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != 200 {
		s.t.Fatalf("%s: %d %v", id, resp.StatusCode, err)
	}
	return got
}

// uploads runs a command of `yiqiao uploads` that prints the status.
func (s *site) uploads(args ...string) flow.UploadsStatus {
	s.t.Helper()
	out, err := exec.Command(s.bin, append(append([]string{"uploads"}, args...), "--json", "--config", s.dir)...).Output()
	if err != nil {
		s.t.Fatalf("uploads %v: %v %s", args, err, out)
	}
	var st struct {
		Routes []struct {
			Infno            string
			Waiting, Drained int
			Paused           bool
			InTen            int `json:"drained_in_10_min"`
		}
		Paused []flow.UploadOrder
	}
	if err := json.Unmarshal(out, &st); err != nil {
		s.t.Fatalf("%v in %s", err, out)
	}
	status := flow.UploadsStatus{Paused: st.Paused}
	for _, r := range st.Routes {
		status.Routes = append(status.Routes, flow.UploadRoute{Waiting: r.Waiting, Drained: r.InTen, Paused: r.Paused})
	}
	return status
}
