package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"yiqiao/gateway/config"
	"yiqiao/gateway/mapping/defs"
	"yiqiao/schemas/sheet/sheettest"
)

// dropbox is a HIS that speaks in files.
type dropbox struct {
	t    testing.TB
	dir  string
	base string // of the gateway
}

// clinic is the generic CSV clinic: a gateway that watches a folder, and the simulated centre.
func clinic(t testing.TB) (*simServer, *server, *dropbox) {
	d := &dropbox{t: t, dir: t.TempDir()}
	sim, gw := newHospital(t, func(g *gatewaySettings) {
		g.Files = []filesSettings{{System: "clinic", Folder: d.dir, Mapping: "generic-csv", Institutions: []string{"H44010000001"},
			Settle: config.Duration(-1), Every: config.Duration(5 * time.Millisecond)}}
		d.base, g.Record.On = g.base, true
	})
	return sim, gw, d
}

// put writes a file as a HIS should: under another name first.
func (d *dropbox) put(name string, b []byte) {
	d.t.Helper()
	tmp := filepath.Join(d.dir, name+".tmp")
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(d.dir, name)); err != nil {
		d.t.Fatal(err)
	}
}

// rows waits for a result in which nothing is unknown, and gives its rows by the names of columns.
func (d *dropbox) rows(name string) []map[string]string {
	d.t.Helper()
	limit := time.Now().Add(time.Minute)
	for ; ; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			d.t.Fatalf("no result of %s", name)
		}
		b, err := os.ReadFile(filepath.Join(d.dir, name))
		if err != nil {
			continue
		}
		list, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))).ReadAll()
		if err != nil {
			d.t.Fatalf("%s: %v", name, err)
		}
		var out []map[string]string
		unknown := false
		for _, r := range list[1:] {
			m := map[string]string{}
			for i, cell := range r {
				m[list[0][i]] = cell
			}
			unknown = unknown || m["outcome"] == "unknown"
			out = append(out, m)
		}
		if !unknown {
			return out
		}
	}
}

func csvCase(t testing.TB, name string, edits ...string) []byte {
	t.Helper()
	b, err := defs.FS.ReadFile("generic-csv/cases/" + name + ".csv")
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.NewReplacer(edits...).Replace(string(b)))
}

// send drops a case and wants one row that is done in this state.
func (d *dropbox) send(name, state string, edits ...string) map[string]string {
	d.t.Helper()
	d.put(name+".csv", csvCase(d.t, name, edits...))
	r := d.rows(name + ".csv.result.csv")
	if len(r) != 1 || r[0]["outcome"] != "done" || r[0]["state"] != state {
		d.t.Fatalf("%s: %v, want %s", name, r, state)
	}
	return r[0]
}

// The generic CSV clinic: the whole outpatient ladder, with a lost answer, a repeated file and the
// refund; then a stay in hospital from admission to the way back. Once more as a workbook.
func TestCSVClinic(t *testing.T) {
	sim, gw, d := clinic(t)
	opened := d.send("outpatient-bill", "presettled")
	if opened["total"] != "479.54" || opened["cash"] == "" || opened["row"] != "2" || opened["last"] != "8" {
		t.Errorf("trial: %v", opened)
	}
	if again := d.send("outpatient-bill", "presettled"); again["id"] != opened["id"] {
		t.Errorf("the same file opened %s after %s", again["id"], opened["id"])
	}
	if err := sim.inject(`{"infno":"2207","kind":"commit-then-lose","times":1}`); err != nil {
		t.Fatal(err)
	}
	settled := d.send("outpatient-settle", "settled")
	if n := sim.settlements(settled["mdtrt_id"]); n != 1 || settled["setl_id"] == "" {
		t.Errorf("%d settlements at the centre: %v", n, settled)
	}
	d.send("outpatient-refund", "refunded")

	d.send("admission", "in-hospital")
	if r := d.send("charges", "in-hospital"); r["charged"] != "479.54" {
		t.Errorf("charged %s", r["charged"])
	}
	if r := d.send("charges-taken-back", "in-hospital"); r["charged"] != "444.04" {
		t.Errorf("charged %s after taking back", r["charged"])
	}
	d.send("discharge", "discharged")
	d.send("trial", "discharged")
	if r := d.send("settle", "settled"); r["total"] != "444.04" {
		t.Errorf("settled %s", r["total"])
	}
	d.send("undo-settlement", "discharged")
	d.send("undo-discharge", "in-hospital")
	d.send("undo-admission", "cancelled")

	d.put("bad.csv", csvCase(t, "outpatient-bill-bad", "ZD20261123001", "ZD7", "MZ20261123000001", "MZ7"))
	d.rows("bad.csv.result.csv")
	bad := d.rows("bad.csv.reject.csv")
	if len(bad) < 2 || bad[0]["row"] != "4" || bad[0]["column"] != "项目编码" || bad[0]["code"] != "map-item-unknown" || bad[1]["row"] != "6" || bad[1]["column"] != "金额" {
		t.Errorf("%v", bad)
	}
	d.put("book.xlsx", asBook(t, csvCase(t, "outpatient-bill", "ZD20261123001", "ZD8", "L0001", "L0008", "MZ20261123000001", "MZ8")))
	if r := d.rows("book.xlsx.result.csv"); len(r) != 1 || r[0]["state"] != "presettled" || r[0]["total"] != "479.54" {
		t.Errorf("workbook: %v", r)
	}
	if err := sim.checkLedger(); err != nil {
		t.Error(err)
	}
	if f, err := gw.journal.Fsck(context.Background()); err != nil || len(f.Problems) > 0 {
		t.Errorf("%v %v", err, f.Problems)
	}
	if left, _ := filepath.Glob(filepath.Join(d.dir, "working", "2*")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	replaysItsDay(t, d.base, "generic-csv", 12, 2)
}

// asBook is a CSV as people's programs write it into a workbook: times are real dates, amounts numbers.
func asBook(t testing.TB, text []byte) []byte {
	t.Helper()
	list, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]any
	for i, row := range list {
		cells := make([]any, len(row))
		for j, cell := range row {
			number, err := strconv.ParseFloat(cell, 64)
			day, notDay := time.Parse(time.DateTime, cell)
			switch {
			case cell == "":
			case notDay == nil:
				cells[j] = day
			case i > 0 && err == nil && list[0][j] == "金额":
				cells[j] = number
			default:
				cells[j] = cell
			}
		}
		rows = append(rows, cells)
	}
	b, err := sheettest.Book(rows)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFilesSettings(t *testing.T) {
	dir := starterSite(t)
	settingsSay(t, dir, map[string]said{
		"good":        {"files:\n  - {system: a, folder: in, mapping: generic-csv, institutions: [H44010000001], settle: 5s}\n", ""},
		"no mapping":  {"files:\n  - {system: a, folder: in, institutions: [H44010000001]}\n", "are needed"},
		"twice":       {"files:\n  - {system: a, folder: in, mapping: generic-csv, institutions: [H44010000001]}\n  - {system: b, folder: ./in, mapping: generic-csv, institutions: [H44010000001]}\n", "there twice"},
		"institution": {"files:\n  - {system: a, folder: in, mapping: generic-csv, institutions: [H1]}\n", "H1 is not described"},
		"charset":     {"files:\n  - {system: a, folder: in, mapping: generic-csv, institutions: [H44010000001], charset: gbk}\n", "charset"},
		"unknown key": {"files:\n  - {foldr: in}\n", "foldr"},
	})
	for name, s := range map[string]filesSettings{
		"no such folder": {System: "a", Folder: "nowhere", Mapping: "generic-csv", Institutions: []string{"H44010000001"}},
		"not of rows":    {System: "a", Folder: dir, Mapping: "generic-xml", Institutions: []string{"H44010000001"}},
	} {
		notStarted(t, dir, name, func(g *gatewaySettings) { g.Files = []filesSettings{s} })
	}
}

// A folder is one gateway's: a second one does not start, and is told whose it is.
func TestOneGatewayToAFolder(t *testing.T) {
	_, gw, d := clinic(t)
	err := notStarted(t, starterSite(t), "a second gateway", func(g *gatewaySettings) {
		g.Files = []filesSettings{{System: "other", Folder: d.dir, Mapping: "generic-csv", Institutions: []string{"H44010000001"}}}
	})
	if !strings.Contains(err.Error(), "is in use by another gateway (") || !strings.Contains(err.Error(), filepath.Join(d.base, "data")) {
		t.Error(err)
	}
	if gw.addr() == "" {
		t.Error("the first is disturbed")
	}
	d.send("outpatient-bill", "presettled")
}
