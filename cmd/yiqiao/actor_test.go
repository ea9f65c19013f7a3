package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
)

// Once there are accounts, who changes something at the command line is one with the role, of the institutions it
// is about, and stands in the record; the machine's account still looks after accounts.
func TestCommandsNeedAccounts(t *testing.T) {
	a, r := brought(t)
	a.untold("NEAR-1", simHospital)
	a.untold("FAR-1", otherHospital)
	a.command(exitOK, nil, "deliveries", "pause", "his-main", "--why", "x") // nobody has an account yet
	a.command(exitOK, nil, "uploads", "pause", "4101", "--why", "x", "--by", "li")
	a.enter(r, "boss", []string{"administrator"})
	a.enter(r, "eng", []string{"engineer"})
	a.enter(r, "near", []string{"engineer"}, simHospital)
	a.enter(r, "cash", []string{"cashier"}, simHospital)
	a.enter(r, "chief", []string{"administrator"}, simHospital)
	secret := filepath.Join(t.TempDir(), "password")
	a.must(os.WriteFile(secret, []byte(chosenPassword+"\n"), 0o600))
	wrong := filepath.Join(t.TempDir(), "wrong")
	a.must(os.WriteFile(wrong, []byte("not-the-password-1"), 0o600))
	as := func(who string, args ...string) []string { return append(args, "--by", who, "--password-file", secret) }
	denied := func(words string, args ...string) {
		t.Helper()
		if got := a.command(exitFail, nil, args...); !strings.Contains(got, words) {
			t.Errorf("%q: %s", args, got)
		}
	}
	denied("--by", "deliveries", "resume", "his-main")
	denied("--by", "uploads", "resume", "4101")
	denied("login-refused", "uploads", "resume", "4101", "--by", "eng", "--password-file", wrong)
	denied("login-refused", as("nobody", "deliveries", "retry", "his-main")...)
	denied("not-permitted", as("cash", "deliveries", "resume", "his-main")...)
	denied("not-permitted", as("cash", "uploads", "replay", "--all")...)
	denied("not-permitted", as("boss", "uploads", "resume", "4101")...)
	denied("not-permitted", as("near", "uploads", "resume", "4101")...) // a route is everybody's
	denied("not-permitted", as("near", "uploads", "replay", "--institution", string(otherHospital))...)
	denied("not-permitted", as("near", "uploads", "replay", string(otherHospital)+"202611230915300001")...)
	denied("not-permitted", as("near", "deliveries", "resume", "his-main")...)
	denied("not-found", as("near", "deliveries", "skip", "his-main", "FAR-1", "--why", "x")...)
	var st flow.UploadsStatus
	a.command(exitOK, &st, "uploads", "status", "--json")
	if len(st.Paused) != 1 || st.Paused[0].By != "li" {
		t.Errorf("%+v", st.Paused)
	}
	a.command(exitOK, nil, as("near", "deliveries", "skip", "his-main", "NEAR-1", "--why", "电话告知")...)
	a.command(exitOK, nil, as("eng", "deliveries", "resume", "his-main")...)
	a.command(exitOK, nil, as("near", "uploads", "replay", "--institution", string(simHospital))...)
	a.command(exitOK, &st, as("eng", "uploads", "pause", "4102", "--why", "x", "--json")...)
	if len(st.Paused) != 2 || st.Paused[1].By != "eng" {
		t.Errorf("%+v", st.Paused)
	}

	// Accounts: in one's own name, of one's own institutions; the machine's account can always help.
	in := func(who string, args ...string) []string {
		return append(append([]string{"people"}, args...), "--by", who, "--by-password-file", secret)
	}
	denied("not-permitted", in("eng", "disable", "cash")...)
	denied("not-permitted", in("chief", "disable", "eng")...)
	denied("not-permitted", in("chief", "add", "x1", "--name", "某", "--role", "cashier", "--everywhere")...)
	denied("not-permitted", in("chief", "add", "x1", "--name", "某", "--role", "cashier", "--institution", string(otherHospital))...)
	denied("not-permitted", in("chief", "role", "cash", "--everywhere")...)
	denied("login-refused", "people", "disable", "cash", "--by", "chief", "--by-password-file", wrong)
	a.command(exitOK, nil, in("chief", "add", "x1", "--name", "某", "--role", "cashier", "--institution", simHospital)...)
	a.command(exitOK, nil, in("chief", "disable", "cash")...)
	a.command(exitOK, nil, in("boss", "password", "eng")...)
	a.command(exitOK, nil, "people", "unlock", "eng")

	record, err := srvOperations(a).AuditState(t.Context(), gateway.Visitor{Everywhere: true}, 1000)
	a.must(err)
	var all strings.Builder
	for _, l := range record.Lines {
		all.WriteString(l.Who + " " + l.What + " " + l.Ref + " " + l.Text + "\n")
	}
	for _, want := range []string{"person:chief people.disable person:cash", "person:chief people.add person:x1", "person:boss people.password person:eng", "os:", "cli.deliveries.skip his-main", "cli.uploads.pause 4102", "person:cash "} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no %q in the record:\n%s", want, all.String())
		}
	}
	a.searchSecrets(chosenPassword)
}

func srvOperations(a *accounts) gateway.Operations {
	return operations{journal: a.gw.journal, clock: a.clock, provider: a.gw.parts.provider}
}
