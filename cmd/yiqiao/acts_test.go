//go:build unix

package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"yiqiao/gateway/audit"
	"yiqiao/simulator/people"
)

// acts is what the record says was done, without times.
func acts(t *testing.T, dir string) []string {
	t.Helper()
	j, err := openJournal(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	rows, err := j.db.Query(t.Context(), "SELECT lines FROM audit_entry ORDER BY place")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var text []byte
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			l, err := audit.ParseLine(line)
			if err != nil {
				t.Fatal(err)
			}
			if l.Kind == "act" {
				list = append(list, l.Who+" "+l.What+" "+l.Ref+" "+strings.TrimPrefix(l.Seal, "t:"))
			}
		}
	}
	return list
}

// Who started, stopped, looked, searched, acted and was turned away stands in the record, without what was
// searched for.
func TestActsAreNoted(t *testing.T) {
	r := newLeakRig(t)
	who := people.Fixed()[1]
	for range 3 {
		req, err := http.NewRequest("GET", "http://"+r.gw.addr()+"/api/v1/settlements/B1", nil)
		r.must(err)
		req.Header.Set("Authorization", "Bearer "+who.Token)
		resp, err := http.DefaultClient.Do(req)
		r.must(err)
		_ = resp.Body.Close()
	}
	for _, args := range [][]string{
		{"journal", "list", "--config", r.dir}, // shows nobody
		{"journal", "list", "--person", "-", "--config", r.dir}, {"journal", "list", "--person", who.No, "--config", r.dir},
		{"journal", "show", "H44010000001202611230930000001", "--config", r.dir}, {"journal", "show", who.Cert, "--config", r.dir},
		{"uploads", "pause", "4101", "--why", who.Name, "--config", r.dir}, {"keys", "expire", "--dry-run", "--config", r.dir},
	} {
		yiqiao(t, who.No+"\n", args...)
	}
	r.stop()
	got := acts(t, r.dir)
	me := osUser()
	for _, want := range []string{
		me + " gateway.start ", "yiqiao gateway.stop - in order", "unknown refused.api-key-wrong - calls=3", me + " cli.journal.list - --person",
		me + " cli.journal.show H44010000001202611230930000001 ", me + " cli.journal.show ? ", me + " cli.uploads.pause 4101 --why", me + " cli.keys.expire - --dry-run",
	} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("not noted: %s", want)
		}
	}
	if n := len(slices.DeleteFunc(slices.Clone(got), func(s string) bool { return !strings.Contains(s, "cli.journal.list") })); n != 2 {
		t.Errorf("%d searches are noted", n)
	}
	for _, m := range []string{who.No, who.Cert, who.Name, who.Token} {
		if strings.Contains(strings.Join(got, "\n"), m) {
			t.Errorf("%s stands in the record:\n%s", m, strings.Join(got, "\n"))
		}
	}
}

// Every name in the list is a command, so that none is forgotten when one is renamed.
func TestNotedCommandsExist(t *testing.T) {
	have := map[string]bool{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		have[strings.TrimPrefix(c.CommandPath(), "yiqiao ")] = true
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(&streams{}))
	for name := range noted {
		if !have[name] {
			t.Errorf("there is no command %q", name)
		}
	}
}

// stop ends the gateway before the end of the test.
func (r *leakRig) stop() {
	r.end()
	<-r.ended
	r.gw.close()
}
