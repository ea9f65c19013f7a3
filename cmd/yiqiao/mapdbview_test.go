package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"yiqiao/adapters/his/dbview"
	"yiqiao/adapters/his/dbview/dbtest"
	"yiqiao/gateway/config"
	"yiqiao/gateway/mapping/defs"
)

// hospitalTables is a HIS that writes requests into its own database.
type hospitalTables struct {
	t  testing.TB
	db *sql.DB
}

// put writes a case as a HIS does: one transaction, the request last.
func (h *hospitalTables) put(name string, edits ...string) {
	h.t.Helper()
	b, err := defs.FS.ReadFile("generic-sql/cases/" + name + ".jsonl")
	if err != nil {
		h.t.Fatal(err)
	}
	tx, err := h.db.Begin()
	if err != nil {
		h.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(strings.NewReplacer(edits...).Replace(string(b))), "\n")
	slices.Reverse(lines)
	for i, line := range lines {
		row := map[string]string{}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			h.t.Fatal(err)
		}
		table := "yb_request"
		if part := row["$part"]; part != "" {
			table = "yb_" + part
			delete(row, "$part")
			delete(row, "event")
			if part == "diagnosis" {
				row["line_no"] = fmt.Sprint(i)
			}
		}
		var names, values []string
		for n, v := range row {
			names, values = append(names, n), append(values, "'"+strings.ReplaceAll(v, "'", "''")+"'")
		}
		if _, err := tx.Exec("insert into " + table + " (" + strings.Join(names, ", ") + ") values (" + strings.Join(values, ", ") + ")"); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		h.t.Fatal(err)
	}
}

// result waits for the final result of a request.
func (h *hospitalTables) result(id string) map[string]string {
	h.t.Helper()
	for limit := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		names := []string{"outcome", "state", "code", "place", "total", "charged", "setl_id", "mdtrt_id"}
		got := dbtest.Table(h.t, h.db, "select "+strings.Join(names, ", ")+" from yb_result where final = '1' and req_id = '"+id+"'")
		if len(got) == 1 {
			out := map[string]string{}
			for i, v := range strings.Split(got[0], "|") {
				out[names[i]] = v
			}
			return out
		}
		if time.Now().After(limit) {
			h.t.Fatalf("no result of %s: %v", id, dbtest.Table(h.t, h.db, "select req_id, final, outcome, code, place from yb_result"))
		}
	}
}

func (h *hospitalTables) send(name, id, state string) map[string]string {
	h.t.Helper()
	h.put(name)
	r := h.result(id)
	if r["outcome"] != "done" || r["state"] != state {
		h.t.Fatalf("%s: %v, want %s", name, r, state)
	}
	return r
}

// The generic SQL hospital, on each database there is to test on: the whole outpatient ladder, with a
// lost answer and the refund, then a stay in hospital from admission to the way back.
func TestSQLHospital(t *testing.T) {
	var servers dbtest.Servers
	t.Cleanup(func() {
		if err := servers.Stop(); err != nil {
			t.Error(err)
		}
	})
	schema, err := os.ReadFile(filepath.Join("..", "..", "examples", "his-database", "schema.sql"))
	if err != nil {
		t.Fatal(err)
	}
	for _, driver := range []string{"postgres", "mysql"} {
		t.Run(driver, func(t *testing.T) {
			db := servers.Get(t, driver)
			h := &hospitalTables{t: t}
			if h.db, err = dbview.Open(driver, db.DSN, ""); err != nil {
				t.Fatal(err)
			}
			defer h.db.Close()
			for statement := range strings.SplitSeq(string(schema), ";\n") {
				if strings.TrimSpace(statement) != "" {
					dbtest.Exec(t, h.db, statement)
				}
			}
			sqlHospital(t, h, dbviewSettings{System: "his-sql", Driver: driver, DSN: db.DSN, Mapping: "generic-sql", Institutions: []string{"H44010000001"}, Every: config.Duration(5 * time.Millisecond)})
		})
	}
}

func sqlHospital(t *testing.T, h *hospitalTables, s dbviewSettings) {
	base := ""
	sim, gw := newHospital(t, func(g *gatewaySettings) { g.DBView, base, g.Record.On = []dbviewSettings{s}, g.base, true })
	if r := h.send("outpatient-bill", "L0001", "presettled"); r["total"] != "479.54" {
		t.Errorf("trial: %v", r)
	}
	if err := sim.inject(`{"infno":"2207","kind":"commit-then-lose","times":1}`); err != nil {
		t.Fatal(err)
	}
	settled := h.send("outpatient-settle", "L0002", "settled")
	if n := sim.settlements(settled["mdtrt_id"]); n != 1 || settled["setl_id"] == "" {
		t.Errorf("%d settlements at the centre: %v", n, settled)
	}
	// A HIS that puts a request back to new gets the same answer, and nothing is done again.
	dbtest.Exec(t, h.db, "update yb_result set final = '0' where req_id = 'L0002'", "update yb_request set status = '0' where req_id = 'L0002'")
	if r := h.result("L0002"); r["setl_id"] != settled["setl_id"] || sim.settlements(settled["mdtrt_id"]) != 1 {
		t.Errorf("again: %v", r)
	}
	h.send("outpatient-refund", "L0003", "refunded")

	h.send("admission", "L0010", "in-hospital")
	if r := h.send("charges", "L0011", "in-hospital"); r["charged"] != "479.54" {
		t.Errorf("charged %s", r["charged"])
	}
	if r := h.send("charges-taken-back", "L0012", "in-hospital"); r["charged"] != "444.04" {
		t.Errorf("charged %s after taking back", r["charged"])
	}
	h.send("discharge", "L0013", "discharged")
	h.send("trial", "L0014", "discharged")
	if r := h.send("settle", "L0015", "settled"); r["total"] != "444.04" {
		t.Errorf("settled %s", r["total"])
	}
	h.send("undo-settlement", "L0020", "discharged")
	h.send("undo-discharge", "L0021", "in-hospital")
	h.send("undo-admission", "L0022", "cancelled")

	h.put("outpatient-bill-bad", "ZD20261123001", "ZD7", "L0001", "L0007", "MZ20261123000001", "MZ7", "壹佰", "1")
	if r := h.result("L0007"); r["outcome"] != "refused" || !strings.Contains(r["place"], "[fee]1 item_code /fees/0/code map-item-unknown") {
		t.Errorf("%v", r)
	}
	if got := dbtest.Table(t, h.db, "select distinct status from yb_request where req_id <> 'L0007'"); len(got) != 1 || got[0] != "1" {
		t.Errorf("status %v", got)
	}
	if err := sim.checkLedger(); err != nil {
		t.Error(err)
	}
	if f, err := gw.journal.Fsck(context.Background()); err != nil || len(f.Problems) > 0 {
		t.Errorf("%v %v", err, f.Problems)
	}
	replaysItsDay(t, base, "generic-sql", 13, 1)
}

func TestDBViewSettings(t *testing.T) {
	dir := t.TempDir()
	if _, err := writeStarter(dir, starter{Listen: "127.0.0.1:0", Simulator: "127.0.0.1:0", Control: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	good := dbviewSettings{System: "a", Driver: "mysql", DSN: "u@tcp(127.0.0.1:1)/x", Mapping: "generic-sql", Institutions: []string{"H44010000001"}}
	for name, c := range map[string]struct {
		change func(*dbviewSettings)
		want   string
	}{
		"good":        {func(*dbviewSettings) {}, ""}, // the database need not be there yet
		"driver":      {func(s *dbviewSettings) { s.Driver = "access" }, "access"},
		"password":    {func(s *dbviewSettings) { s.DSN = "u:secret@tcp(127.0.0.1:1)/x" }, "must not hold the password"},
		"not of rows": {func(s *dbviewSettings) { s.Mapping = "generic-csv" }, "not sql"},
		"no mapping":  {func(s *dbviewSettings) { s.Mapping = "" }, "are needed"},
	} {
		g, err := loadGateway(dir)
		if err != nil {
			t.Fatal(err)
		}
		s := good
		c.change(&s)
		g.DBView, g.Data, g.Log.Level = []dbviewSettings{s}, filepath.Join(t.TempDir(), "data"), "error"
		if err = g.check(); err == nil {
			var srv *server
			if srv, err = newServer(context.Background(), g, &bytes.Buffer{}, systemClock{}); err == nil {
				srv.close()
			}
		}
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
