package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"yiqiao/gateway/people"
	"yiqiao/gateway/review"
	simcentre "yiqiao/simulator/centre"
)

// The first administrator is made before the gateway was ever started, without a password anybody knows.
func TestPeopleCommand(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if code, _, errs := yiqiao(t, "", "init", dir); code != exitOK {
		t.Fatal(errs)
	}
	do := func(want int, args ...string) (out, errs string) {
		t.Helper()
		code, out, errs := yiqiao(t, "", append(append([]string{"people"}, args...), "--config", dir)...)
		if code != want {
			t.Fatalf("%q: exit %d: %s%s", args, code, out, errs)
		}
		return out, errs
	}
	if out, _ := do(exitOK, "list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("there are accounts in a new site: %s", out)
	}
	if _, errs := do(exitFail, "add", "li", "--name", "李会计", "--role", "finance", "--everywhere"); !strings.Contains(errs, "last-administrator") {
		t.Error(errs)
	}
	out, _ := do(exitOK, "add", "Wang", "--name", "王管理", "--role", "administrator", "--everywhere", "--json")
	var g given
	if err := json.Unmarshal([]byte(out), &g); err != nil || g.ID != "wang" || len(g.Password) < 16 || !g.MustChange {
		t.Fatalf("%s %v", out, err)
	}
	if out, _ := do(exitOK, "add", "zhang", "--name", "张收费", "--role", "cashier", "--institution", "H44010000001"); !strings.Contains(out, "一次性口令") || !strings.Contains(out, "收费员") {
		t.Error(out)
	}
	for _, bad := range [][]string{{"add", "x y", "--name", "x", "--role", "cashier", "--everywhere"}, {"add", "x", "--role", "cashier", "--everywhere"},
		{"add", "x", "--name", "x", "--role", "king", "--everywhere"}, {"add", "x", "--name", "x", "--role", "cashier"},
		{"add", "x", "--name", "x", "--role", "cashier", "--institution", "H99999999999"}, {"role", "zhang"}, {"disable", "nobody"}} {
		do(exitFail, bad...)
	}
	if _, errs := do(exitFail, "disable", "wang"); !strings.Contains(errs, "last-administrator") {
		t.Error(errs)
	}
	do(exitOK, "role", "zhang", "--role", "finance", "--role", "auditor")
	do(exitOK, "disable", "zhang")
	if out, _ := do(exitOK, "list"); !strings.Contains(out, "停用") || !strings.Contains(out, "审计 财务") || strings.Contains(out, "argon2") {
		t.Error(out)
	}
	do(exitOK, "enable", "zhang")
	do(exitOK, "unlock", "zhang")
	weak := filepath.Join(dir, "weak")
	if err := os.WriteFile(weak, []byte("password2026\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs := do(exitFail, "password", "zhang", "--password-file", weak); !strings.Contains(errs, "常见") {
		t.Error(errs)
	}
	if out, _ := do(exitOK, "password", "zhang", "--json"); !strings.Contains(out, "first_password") {
		t.Error(out)
	}
	code, out, errs := yiqiao(t, "", "audit", "verify", "--config", dir)
	if code != exitOK {
		t.Errorf("%s%s", out, errs)
	}
}

// Once there are accounts, two names are two people with two passwords, and roles.
func TestReviewNeedsAccounts(t *testing.T) {
	a := newAccounts(t, simcentre.Region{}, "")
	id := a.parked()
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		a.must(os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	secrets := map[string]string{}
	grants := map[string][]string{"boss": {"administrator", "--everywhere"}, "li": {"cashier", "--institution", string(simHospital)},
		"wang": {"finance", "--institution", string(simHospital)}, "zhao": {"cashier", "--institution", string(simHospital)}}
	for _, who := range []string{"boss", "li", "wang", "zhao"} {
		secrets[who] = file(who, "first-Pass-of-somebody-77-"+strings.ToUpper(who)[1:])
		a.command(exitOK, nil, append([]string{"people", "add", who, "--name", "某某" + who, "--password-file", secrets[who], "--role"}, grants[who]...)...)
	}
	propose := []string{"review", "propose", string(id), "--do", "absent", "--proof", "office", "--source", "电话", "--why", "无此笔"}
	a.command(exitFail, nil, propose...) // nobody said who
	if words := a.command(exitFail, nil, append(propose, "--by", "li", "--password-file", file("wrong", "not the password"))...); !strings.Contains(words, "login-refused") {
		t.Error(words)
	}
	if words := a.command(exitFail, nil, append(propose, "--by", "ghost", "--password-file", secrets["li"])...); !strings.Contains(words, "login-refused") {
		t.Error(words)
	}
	// A password somebody else gave has to be changed first.
	if words := a.command(exitFail, nil, append(propose, "--by", "li", "--password-file", secrets["li"])...); !strings.Contains(words, "password-change-needed") {
		t.Error(words)
	}
	for _, who := range []string{"li", "wang", "zhao"} {
		fresh := file(who+"2", "chosen-by-"+strings.ToUpper(who)[:1]+"-mself-4711")
		a.command(exitOK, nil, "people", "change-password", who, "--password-file", secrets[who], "--new-password-file", fresh)
		secrets[who] = fresh
	}
	var p review.Proposal
	a.command(exitOK, &p, append(propose, "--by", "li", "--password-file", secrets["li"], "--json")...)
	if p.Proposed.By.ID != "li" || p.Proposed.By.Name != "某某li" {
		t.Errorf("%+v", p.Proposed)
	}
	if words := a.command(exitNo, nil, "review", "approve", "1", "--by", "zhao", "--password-file", secrets["zhao"]); !strings.Contains(words, "not-permitted") {
		t.Error(words)
	}
	a.command(exitOK, &p, "review", "approve", "1", "--by", "wang", "--password-file", secrets["wang"], "--json")
	if p.State != review.Applied {
		t.Errorf("%+v", p)
	}
	// Who may only propose takes back its own, and nobody else's.
	again := slices.Clone(propose)
	again[2] = string(a.parked())
	a.command(exitOK, &p, append(again, "--by", "li", "--password-file", secrets["li"], "--json")...)
	back := []string{"review", "reject", strconv.Itoa(p.No), "--why", "看错"}
	if words := a.command(exitNo, nil, append(back, "--by", "zhao", "--password-file", secrets["zhao"])...); !strings.Contains(words, "not-permitted") {
		t.Error(words)
	}
	a.command(exitOK, &p, append(back, "--by", "li", "--password-file", secrets["li"], "--json")...)
	if p.State != review.Rejected || p.Decided.By.ID != "li" {
		t.Errorf("%+v", p)
	}
	var list []people.Account
	a.command(exitOK, &list, "people", "list", "--json")
	if len(list) != 4 || list[1].Failures != 0 {
		t.Errorf("%+v", list)
	}
}
