package main

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"yiqiao/gateway"
	again "yiqiao/simulator/acceptance/replay"
)

// A day recorded by the gateway is sent to another centre, which answers the same to the fen.
func TestReplayADay(t *testing.T) {
	t.Parallel()
	st, err := newStage(t.Context(), io.Discard, io.Discard, "")
	if err != nil {
		t.Fatal(err)
	}
	defer st.stop()
	bill, patient := standardBill("R", "999999198503120018", "测试甲")
	set, err := st.settle(t.Context(), bill, patient)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.refund(t.Context(), set.ID); err != nil {
		t.Fatal(err)
	}
	day := time.Now().In(gateway.China).Format(time.DateOnly)
	code, text := cli(t, "", "replay", "--config", st.dir, "--day", day, "--json")
	var res again.Result
	if err := json.Unmarshal([]byte(text), &res); err != nil || code != exitOK || res.Requests < 8 || res.Same != res.Requests {
		t.Errorf("%d %v %s", code, err, text)
	}
	for _, args := range [][]string{{"--day", "2026-02-30"}, {"--day", "2020-01-01"}, {"--day", day, "--target", "centre", "--to", st.dir}, {"--day", day, "--target", "nobody"}} {
		if code, text := cli(t, "", append([]string{"replay", "--config", st.dir}, args...)...); code != exitFail {
			t.Errorf("%v: %d %s", args, code, text)
		}
	}
}
