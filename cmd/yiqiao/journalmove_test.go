package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/store/storetest"
	"yiqiao/schemas/ident"
)

// edit changes a configuration.
func edit(t *testing.T, dir, old, text string) {
	t.Helper()
	file := filepath.Join(dir, "yiqiao.yaml")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		t.Fatalf("%s has no %q", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), old, text, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

const keyLine = "  key: file:secrets/journal.key"

// A hospital moves from the file to PostgreSQL and back.
func TestJournalMoves(t *testing.T) {
	var servers storetest.Servers
	t.Cleanup(func() {
		if err := servers.Stop(); err != nil {
			t.Error(err)
		}
	})
	dsn := servers.Schema(t)
	root := t.TempDir()
	site := filepath.Join(root, "site")
	do := func(want int, args ...string) (out, errs string) {
		t.Helper()
		code, out, errs := yiqiao(t, "", args...)
		if code != want {
			t.Fatalf("%v: exit %d, want %d\n%s%s", args, code, want, out, errs)
		}
		return out, errs
	}
	do(0, "init", site)
	first, second, third := filepath.Join(root, "1.jsonl"), filepath.Join(root, "2.jsonl"), filepath.Join(root, "3.jsonl")
	do(exitFail, "journal", "export", first, "--config", site) // there is none yet
	writeSome(t, site, 25)
	before, _ := do(0, "journal", "list", "--config", site, "--json")
	exported, _ := do(0, "journal", "export", first, "--config", site, "--json")
	if _, errs := do(exitFail, "journal", "export", first, "--config", site); !strings.Contains(errs, "不覆盖") {
		t.Errorf("over a file: %s", errs)
	}
	if _, errs := do(exitFail, "journal", "import", first, "--config", site); !strings.Contains(errs, "不是空的") {
		t.Errorf("into the journal it came from: %s", errs)
	}

	edit(t, site, keyLine, keyLine+"\n  database: "+dsn)
	if _, errs := do(exitFail, "journal", "import", cutShort(t, first), "--config", site); !strings.Contains(errs, "不完整") {
		t.Errorf("half a file: %s", errs)
	}
	imported, _ := do(0, "journal", "import", first, "--config", site, "--json")
	if imported != exported {
		t.Errorf("exported %s imported %s", exported, imported)
	}
	after, _ := do(0, "journal", "list", "--config", site, "--json")
	if after != before || strings.Count(after, `"id"`) != 25 {
		t.Errorf("listed before\n%s\nand after\n%s", before, after)
	}
	do(0, "journal", "fsck", "--config", site)
	do(exitFail, "journal", "import", first, "--config", site)
	do(0, "journal", "export", second, "--config", site)

	// And back, into another folder.
	edit(t, site, "\n  database: "+dsn, "")
	edit(t, site, "data: data ", "data: other ")
	out, _ := do(0, "journal", "import", second, "--config", site)
	if !strings.Contains(out, "已导入并核对一致: 25 笔交易") {
		t.Error(out)
	}
	do(0, "journal", "export", third, "--config", site)
	a, err1 := os.ReadFile(first)
	b, err2 := os.ReadFile(third)
	if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
		t.Errorf("not the same after two moves: %d and %d bytes, %v, %v", len(a), len(b), err1, err2)
	}
}

func cutShort(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	short := file + ".short"
	if err := os.WriteFile(short, b[:len(b)*2/3], 0o600); err != nil {
		t.Fatal(err)
	}
	return short
}

// writeSome puts records into the journal of a site.
func writeSome(t *testing.T, site string, n int) {
	t.Helper()
	g, err := loadGateway(site)
	if err != nil {
		t.Fatal(err)
	}
	p, err := provider(g.Provider)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	j, err := g.openJournal(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	const inst = ident.Institution("H44010000001")
	at := time.Date(2026, 3, 31, 9, 0, 0, 0, gateway.China)
	for range n {
		id, err := j.NextMsgID(ctx, inst, at)
		if err != nil {
			t.Fatal(err)
		}
		r := gateway.Record{ID: id, Institution: inst, Infno: "4101", Step: "4101", Attempt: 1, CreatedAt: at,
			State: gateway.StateSent, Input: []byte(`{"data":{}}`)}
		done := gateway.Append{ID: id, Version: 1, Event: gateway.Event{Kind: gateway.EventDone, At: at, Data: []byte(`{}`)}}
		if _, err := j.Write(ctx, gateway.Entry{Record: &r}, gateway.Entry{Append: &done}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJournalDatabaseMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"database: postgres://u:swordfish@h/d":                                           "must not hold the password",
		"database: postgres://u@h/d?password=swordfish":                                  "must not hold the password",
		"database: mysql://u:swordfish@h/d":                                              "postgres://user@host",
		"database: \"host=h password=swordfish\"":                                        "postgres://user@host",
		"database_password: env:NOBODY":                                                  "which is missing",
		"database: postgres://u@h/d\n  database_writers: 99":                             "between 1 and 16",
		"database: postgres://u@h/d\n  database_password: swordfish":                     "file:PATH or env:NAME",
		"database: postgres://u@127.0.0.1:1/d\n  database_password: env:YIQIAO_NOT_SET_": "YIQIAO_NOT_SET_",
	} {
		site := filepath.Join(t.TempDir(), "site")
		if code, _, errs := yiqiao(t, "", "init", site); code != 0 {
			t.Fatal(errs)
		}
		edit(t, site, keyLine, keyLine+"\n  "+text)
		code, _, errs := yiqiao(t, "", "journal", "list", "--config", site)
		if code != exitFail || !strings.Contains(errs, want) || strings.Contains(errs, "swordfish") {
			t.Errorf("%s: exit %d, %s; want %q", text, code, errs, want)
		}
	}
}
