package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yiqiao/adapters/his/dbview"
	"yiqiao/adapters/his/dbview/dbtest"
)

// The real program is killed with -9 while it works on a file and on a row of a view: after a restart each
// has its final result, and the centre holds one settlement for each.
func TestKillOverFilesAndViews(t *testing.T) {
	var servers dbtest.Servers
	t.Cleanup(func() {
		if err := servers.Stop(); err != nil {
			t.Error(err)
		}
	})
	server := servers.Get(t, "postgres")
	db, err := dbview.Open("postgres", server.DSN, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	schema, err := os.ReadFile(filepath.Join("..", "..", "examples", "his-database", "schema.sql"))
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, db, string(schema))
	h := &hospitalTables{t, db}
	const sign = "流水号,业务,行别,账号,收费员工号,收费员,凭证类型,凭证号\nL0002,门诊结算,单据,ZD20261123001,0101,王收费,02,999999198503120018\n"
	for _, c := range []struct{ crash, way string }{
		{"before-sent:2207", "file"}, {"after-answer:2207", "view"}, {"after-stored:2207", "view"}, {"after-sent:2204", "view"}, {"after-stored:2206", "file"},
	} {
		crash, way := c.crash, c.way
		t.Run(crash+" "+way, func(t *testing.T) {
			dbtest.Exec(t, db, "delete from yb_request", "delete from yb_diagnosis", "delete from yb_fee", "delete from yb_result")
			s := newSite(t)
			d := &dropbox{t: t, dir: filepath.Join(s.dir, "in")}
			if err := os.Mkdir(d.dir, 0o700); err != nil {
				t.Fatal(err)
			}
			s.append("yiqiao.yaml", fmt.Sprintf("\nfiles:\n  - {system: clinic, folder: in, mapping: generic-csv, institutions: [H44010000001], settle: 1ms, every: 10ms}\n"+
				"dbview:\n  - {system: his-sql, driver: postgres, dsn: %q, mapping: generic-sql, institutions: [H44010000001], every: 10ms}\n", server.DSN))
			s.serve(crash)
			if way == "file" {
				bill := string(csvCase(t, "outpatient-bill"))
				d.put("bill.csv", []byte(bill))
				if strings.HasSuffix(crash, "2207") {
					d.rows("bill.csv.result.csv")
				}
				d.put("sign.csv", []byte(sign))
			} else {
				h.put("outpatient-bill")
				h.put("outpatient-settle", `"operator_id"`, `"cert_type": "02", "cert_no": "999999198503120018", "operator_id"`)
			}
			s.gw.died(t)
			s.serve("")
			var r map[string]string
			if way == "file" {
				d.rows("bill.csv.result.csv")
				r = d.rows("sign.csv.result.csv")[0]
			} else {
				r = h.result("L0002")
			}
			if r["outcome"] != "done" || r["state"] != "settled" || r["mdtrt_id"] == "" {
				t.Fatalf("%v; gateway log: %s", r, s.gw.log)
			}
			if n := s.atCentre(r["mdtrt_id"]); n != 1 {
				t.Errorf("the centre holds %d settlements of the visit, want 1", n)
			}
			s.ledger()
			s.gw.kill()
			s.fsck()
		})
	}
}
