package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yiqiao/gateway/audit"
	"yiqiao/gateway/store"
)

// The real gateway, the real commands: a settled bill is in the record, and what is done to the
// database beside the gateway is named.
func TestAuditOfARealGateway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if _, err := writeStarter(dir, starter{Listen: "127.0.0.1:0", Simulator: "127.0.0.1:1", Control: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	g, err := loadGateway(dir)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := newServer(t.Context(), g, os.Stderr, systemClock{})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := srv.journal.audit.Note(t.Context(), audit.Act{Who: osUser(), What: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	srv.close()
	heads := filepath.Join(dir, "data", "audit-heads.jsonl")
	verify := func() (int, audit.Report) {
		var out, errw strings.Builder
		code := run(t.Context(), []string{"audit", "verify", "--config", dir, "--json", "--head", heads, "--key", filepath.Join(dir, "keys", "audit.pub")}, nil, &out, &errw)
		var r audit.Report
		if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
			t.Fatal(err, errw.String())
		}
		return code, r
	}
	if code, r := verify(); code != exitOK || r.Outside != 1 || r.Heads != 1 {
		t.Fatal(code, r)
	}
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(dir, "data", journalFile)})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Do(t.Context(), func(tx *store.Tx) error {
		for _, q := range []string{"DROP TRIGGER audit_entry_kept", "DROP TRIGGER audit_head_kept", "DELETE FROM audit_head",
			"DELETE FROM audit_entry WHERE place = (SELECT MAX(place) FROM audit_entry)"} {
			if _, err := tx.Exec(q); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	code, r := verify()
	if code != exitNo || len(r.Findings) != 2 || r.Findings[1].Kind != audit.FoundCut || r.Findings[1].Seq != 4 { // its start was noted as well
		t.Fatalf("%d %+v", code, r.Findings)
	}
}
