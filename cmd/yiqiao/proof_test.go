//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/proof"
	"yiqiao/simulator/fault"
	"yiqiao/simulator/people"
)

// A settlement that was found out after a lost answer and refunded later, proved from the outside with public
// keys alone; and every byte of the pack that is changed is noticed.
func TestProofOfASettlement(t *testing.T) {
	r := newLeakRig(t)
	who := people.Fixed()[1]
	c := gateway.Credential{Type: "01", Number: who.Token, CertType: "01", CertNo: who.Cert, Name: who.Name}
	var s gateway.Settlement
	b := r.bill("PROOF", c)
	if status := r.call("POST", "/api/v1/settlements", b, &s); status != 201 {
		t.Fatalf("open: %d", status)
	}
	at := "/api/v1/settlements/" + s.ID
	if status := r.call("POST", at+"/confirm", gateway.ConfirmSettlement{RequestID: "PROOF-C", Operator: b.Operator, Credential: &c}, &s); status != 200 {
		t.Fatalf("confirm: %d", status)
	}
	r.fault("2208", fault.CommitThenLose)
	r.call("POST", at+"/refund", gateway.RefundSettlement{RequestID: "PROOF-R", Operator: b.Operator}, nil)
	if _, _, err := r.gw.journal.audit.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(r.dir, name) }
	yq := func(args ...string) (int, string) {
		t.Helper()
		code, out, errs := yiqiao(t, "", args...)
		return code, out + errs
	}
	if code, out := yq("proof", "make", s.ID, "--config", r.dir, "--full"); code == exitOK {
		t.Fatalf("the full form without a purpose: %s", out)
	}
	full, page, masked := file("full.json"), file("full.html"), file("masked.json")
	for _, args := range [][]string{{string(s.MsgID), "--full", "--why", "核查", "--out", full}, {s.ID, "--full", "--why", "核查", "--out", page}, {s.ID, "--out", masked}} {
		if code, out := yq(append([]string{"proof", "make", "--config", r.dir}, args...)...); code != exitOK {
			t.Fatalf("%v: %s", args, out)
		}
	}
	gatewayKey, centreKey := file("keys/audit.pub"), file("keys/simulator.pub")
	heads := file("data/audit-heads.jsonl")
	check := func(path string, more ...string) (int, proof.Result) {
		t.Helper()
		code, out := yq(append([]string{"proof", "check", path, "--json"}, more...)...)
		var res proof.Result
		if err := json.Unmarshal([]byte(out), &res); err != nil {
			t.Fatalf("%s: %s", err, out)
		}
		return code, res
	}
	secret := []string{"--app-secret", "file:" + file("secrets/app-secret")}
	for _, path := range []string{full, page} {
		code, res := check(path, append(secret, "--keys", gatewayKey, "--centre", centreKey, "--head", heads)...)
		if code != exitOK || !res.Good || res.Signed < 2 || res.Verified != res.Signed || res.Outside != res.Heads {
			t.Errorf("%s: %d %+v", path, code, res.Findings)
		}
		if i := slices.IndexFunc(res.Summary.Steps, func(s proof.Step) bool { return s.Infno == "2207" }); i < 0 ||
			res.Summary.Steps[i].Name != b.Operator.Name || res.Summary.Steps[i].Events[0].Settled.Total != s.Amounts.Total {
			t.Errorf("%+v", res.Summary)
		}
	}
	if code, res := check(full, "--keys", gatewayKey); code != exitOK || res.NotLooked != res.Signed || res.Verified != 0 {
		t.Errorf("without the centre's key: %d %+v", code, res)
	}
	// Another key of either side, another secret, heads of another gateway.
	for want, more := range map[string][]string{
		proof.FoundPack:    {"--keys", centreKey},
		proof.FoundCentre:  append([]string{"--keys", gatewayKey, "--centre", gatewayKey}, secret...),
		proof.FoundOutside: {"--keys", gatewayKey, "--head", otherHeads(t)},
	} {
		if code, res := check(full, more...); code != exitNo || !slices.ContainsFunc(res.Findings, func(f proof.Finding) bool { return f.Kind == want }) {
			t.Errorf("%s: %d %+v", want, code, res.Findings)
		}
	}
	text := readText(t, masked)
	code, res := check(masked, "--keys", gatewayKey)
	if code != exitOK || res.Form != proof.Masked || res.NotLooked == 0 {
		t.Errorf("masked: %d %+v", code, res)
	}
	personal := []tracked{{"name", who.Name}, {"identity number", who.Cert}, {"person number", who.No}, {"operator", b.Operator.Name}, {"visit", string(s.Visit)}, {"token", who.Token}}
	for _, leak := range leaks(personal, []sink{{"masked", []byte(text)}}) {
		t.Error(leak)
	}
	if !strings.Contains(text, s.Amounts.Total) {
		t.Error("the masked form states no amounts")
	}
	sweep(t, r.dir, full, page, masked)
	// Once there are accounts the full form is for auditors of the institution.
	account := func(id, role, where string) []string {
		t.Helper()
		was, fresh := file("was-"+id), file("fresh-"+id)
		write(t, was, fmt.Sprintf("correct horse battery %d 7Q\n", int(id[0])*7))
		write(t, fresh, fmt.Sprintf("staple battery horse %d 9Z\n", int(id[0])*7))
		place := []string{"--everywhere"}
		if where != "" {
			place = []string{"--institution", where}
		}
		for _, args := range [][]string{append([]string{"people", "add", id, "--name", id, "--role", role, "--password-file", was, "--config", r.dir}, place...),
			{"people", "change-password", id, "--password-file", was, "--new-password-file", fresh, "--config", r.dir}} {
			if code, out := yq(args...); code != exitOK {
				t.Fatalf("%v: %s", args, out)
			}
		}
		return []string{"--by", id, "--password-file", fresh}
	}
	boss, auditor, cashier := account("boss", "administrator", ""), account("shen", "auditor", simHospital), account("qian", "cashier", simHospital)
	for want, by := range map[int][][]string{exitFail: {nil, boss, cashier, {"--by", "shen", "--password-file", cashier[3]}}, exitOK: {auditor}} {
		for _, who := range by {
			if code, out := yq(append([]string{"proof", "make", s.ID, "--config", r.dir, "--full", "--why", "核查", "--out", file("again.json")}, who...)...); code != want {
				t.Errorf("%v: %d %s", who, code, out)
			}
		}
	}
	if !slices.ContainsFunc(acts(t, r.dir), func(a string) bool { return a == "person:shen proof.full "+s.ID+" 核查" }) {
		t.Error("who has the full form is not in the record")
	}
	if code, out := yq("audit", "verify", "--config", r.dir); code != exitOK {
		t.Error(out)
	}
}

// sweep changes bytes of packs; each change must be found.
func sweep(t *testing.T, dir string, paths ...string) {
	t.Helper()
	keys, err := readPublics([]string{filepath.Join(dir, "keys", "audit.pub")})
	if err != nil {
		t.Fatal(err)
	}
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	o := proof.Checking{Provider: p, Keys: keys}
	for _, path := range paths {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !proof.Check(whole, o).Good {
			t.Fatalf("%s is not good", path)
		}
		step := max(1, len(whole)/200) // gateway/proof does it more closely
		for i := 0; i < len(whole); i += step {
			bad := bytes.Clone(whole)
			bad[i] ^= 1
			if proof.Check(bad, o).Good {
				t.Fatalf("%s: byte %d (%q) can be changed", path, i, whole[max(0, i-20):min(len(whole), i+20)])
			}
		}
		for _, bad := range [][]byte{whole[:len(whole)-1], append(bytes.Clone(whole), ' '), append([]byte{' '}, whole...), whole[:len(whole)/2], nil} {
			if proof.Check(bad, o).Good {
				t.Errorf("%s: %d bytes of %d pass", path, len(bad), len(whole))
			}
		}
	}
}

// otherHeads is a file of heads of another gateway.
func otherHeads(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "heads.jsonl")
	write(t, path, `{"text":"yiqiao-audit-head-1\n","signature":"AA==","key":""}`+"\n")
	return path
}
