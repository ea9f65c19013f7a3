package store

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"yiqiao/gateway"
)

// fixed are the migrations as they were released. A new file is added here; none is ever changed, for a database
// that has a migration does not take it again.
var fixed = map[string]string{
	"0001_journal.postgres.sql":  "c235dd8ef990b551",
	"0001_journal.sql":           "491401678fb79016",
	"0001_journal.sqlite.sql":    "1fd78957cce063d2",
	"0002_holders.postgres.sql":  "c24663f14cae9318",
	"0002_holders.sql":           "0910bdcd1566a8d7",
	"0003_lanes.sql":             "efe82da50e0d87e0",
	"0004_audit.postgres.sql":    "ebb65bfdd8cb3520",
	"0004_audit.sql":             "ac1d8906d5adfed5",
	"0004_audit.sqlite.sql":      "bad150d3de5efe61",
	"0005_einvoice.postgres.sql": "6433a03aaed49cf8",
	"0005_einvoice.sql":          "010762f1bd4e7cc6",
	"0005_einvoice.sqlite.sql":   "70799522a511ae6b",
	"0006_vault.sql":             "7c3b76e7df16f8d9",
	"0007_delivery.sql":          "9e196c29c4801bd9",
	"0008_people.sql":            "e9ec796b6a8565ac",
	"0009_einvoice_mark.sql":     "48bb5bec72e34b42",
	"0010_evidence.postgres.sql": "6a672e8c1447b4fc",
	"0010_evidence.sql":          "6f8e1ba1a60fb6f6",
	"0011_live.sql":              "d95dabf18b614a01",
	"0012_mapping.sql":           "a2e3c0000f32f8cb",
}

func TestMigrationsAreFixed(t *testing.T) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(migrationFiles, name)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(strings.ReplaceAll(string(text), "\r\n", "\n")))
		name, got := strings.TrimPrefix(name, "migrations/"), hex.EncodeToString(sum[:8])
		if fixed[name] != got {
			t.Errorf("%q: %q, want %q", name, got, fixed[name])
		}
	}
	if len(names) != len(fixed) {
		t.Errorf("%d files, %d are fixed", len(names), len(fixed))
	}
}

// Numbers that clash or leave a gap are found when the program starts, before a table is touched.
func TestMigrationNumbers(t *testing.T) {
	for name, files := range map[string][]string{
		"one number twice":    {"0001_a.sql", "0002_b.sql", "0002_c.sql"},
		"a gap":               {"0001_a.sql", "0003_b.sql"},
		"no number":           {"0001_a.sql", "b.sql"},
		"no common part":      {"0001_a.sql", "0002_b.sqlite.sql"},
		"does not begin at 1": {"0002_a.sql"},
	} {
		in := fstest.MapFS{}
		for _, f := range files {
			in["migrations/"+f] = &fstest.MapFile{Data: []byte("SELECT 1;\n")}
		}
		if list, err := migrations(in, sqliteDialect); err == nil {
			t.Errorf("%s: taken as %v", name, list)
		}
	}
}

// A number that another migration has taken in the database does not pass for ours.
func TestAnotherMigrationOfThatNumber(t *testing.T) { onBoth(t, testAnotherMigrationOfThatNumber) }

func testAnotherMigrationOfThatNumber(t *testing.T, o Options) {
	d := openAt(t, o)
	err := d.Do(bg, func(tx *Tx) error {
		_, err := tx.Exec("UPDATE schema_version SET name = 'sidings' WHERE version = 8")
		return err
	})
	if err = errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(bg, o); err == nil || errors.Is(err, gateway.ErrStorage) || !strings.Contains(err.Error(), "sidings") {
		t.Errorf("opened: %v", err)
	}
}

// Rows of the version before stay as they are, read as having nothing of what is new, and can be gone on with.
func TestDatabaseOfTheVersionBefore(t *testing.T) { onBoth(t, testDatabaseOfTheVersionBefore) }

func testDatabaseOfTheVersionBefore(t *testing.T, o Options) {
	const before = 7
	dl, driver, place := sqliteDialect, driverName, o.Path
	if o.DSN != "" {
		dl, driver, place = postgresDialect, "pgx", o.DSN
	}
	list, err := migrations(migrationFiles, dl)
	if err != nil {
		t.Fatal(err)
	}
	old, err := sql.Open(driver, place)
	if err != nil {
		t.Fatal(err)
	}
	if err := apply(bg, old, dl, list[:before]); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"INSERT INTO request (system, id, digest, op, institution, ref, created, answered, told) VALUES ('s', 'r1', '', 'bill.open', 'i', 'B1', 1, 0, 0)",
		"INSERT INTO bill (id, institution, system, created) VALUES ('B1', 'i', 's', 1)",
		"INSERT INTO record (id, institution, infno, request, step, attempt, bill, visit, operator, operator_name, operator_type, digest, created, queued, born, state, version, updated, cause, live)" +
			" VALUES ('m1', 'i', '2207', 1, '2207#1', 1, 1, '', '', '', '', '', 1, 0, 1, 'sent', 1, 1, '', 1)",
		"INSERT INTO event (place, kind, at, cause, ref, note) VALUES (1048577, 'sent', 1, '', '', '')",
		"INSERT INTO person (id, name, roles, institutions, secret, disabled, failures, locked, created, updated) VALUES ('p', '', '', '', '', 0, 0, 0, 1, 1)",
		"INSERT INTO einvoice_subject (id, institution, system, rev, wanted, hold, held, due) VALUES ('B1', 'i', 's', 1, 1, '', 0, 0)",
	} {
		if _, err := old.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	d := openAt(t, o)
	var mapping, state string
	var change, turn, events int
	for query, into := range map[string][]any{
		"SELECT mapping, state FROM record WHERE live = 1 AND id = 'm1'":     {&mapping, &state},
		"SELECT must_change FROM person":                                     {&change},
		"SELECT turn FROM person_turn":                                       {&turn},
		"SELECT COUNT(*) FROM event WHERE evidence IS NULL AND kind='sent'":  {&events},
		"SELECT COUNT(*) FROM einvoice_subject s JOIN bill b ON b.id = s.id": {new(int)},
	} {
		if found, err := d.Get(bg, query, nil, into...); err != nil || !found {
			t.Errorf("%s: %v %v", query, found, err)
		}
	}
	if mapping != "" || state != "sent" || change != 0 || turn != 0 || events != 1 {
		t.Errorf("read %q %q %d %d %d", mapping, state, change, turn, events)
	}
	err = d.Do(bg, func(tx *Tx) error {
		_, err := tx.Exec("INSERT INTO event (place, kind, at, cause, ref, note, evidence) VALUES (1048578, 'done', 2, '', '', '', '')")
		if err == nil {
			_, err = tx.Exec("UPDATE record SET state = 'done', version = 2, live = 0 WHERE id = 'm1'")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	var last int
	if _, err := d.Get(bg, "SELECT MAX(version) FROM schema_version", nil, &last); err != nil || last != len(list) || last <= before {
		t.Errorf("version %d %v, want %d", last, err, len(list))
	}
}
