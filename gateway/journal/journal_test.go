package journal

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/gateway/store"
	"yiqiao/gateway/vault"
)

var bg = context.Background()

// fatal is what opening needs of a test, a benchmark or a child process.
type fatal interface {
	Helper()
	Fatal(args ...any)
}

const testMaster = "0123456789abcdefFEDCBA9876543210"

// testVault opens the keys of a database under masters, the first of which wraps.
func testVault(t fatal, db *store.DB, masters ...string) *vault.Vault {
	t.Helper()
	v, err := tryVault(t, db, masters...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func tryVault(t fatal, db *store.DB, masters ...string) (*vault.Vault, error) {
	t.Helper()
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	o := vault.Options{Provider: p}
	for _, m := range masters {
		s, err := keys.NewSealer(p, []byte(m))
		if err != nil {
			t.Fatal(err)
		}
		o.Wrappers = append(o.Wrappers, s)
	}
	return vault.Open(bg, db, o)
}

// owned closes the database together with the journal.
type owned struct {
	*Journal
	db *store.DB
}

func (o owned) Close() error {
	if err := o.Journal.Close(); err != nil {
		return err
	}
	return o.db.Close()
}

func openAt(t fatal, o store.Options) owned {
	t.Helper()
	db, err := store.Open(bg, o)
	if err != nil {
		t.Fatal(err)
	}
	j, err := Open(db, Options{Sealer: testVault(t, db, testMaster)})
	if err != nil {
		t.Fatal(err)
	}
	return owned{j, db}
}

// at is the options for a file or for a DSN.
func at(place string) store.Options {
	if strings.HasPrefix(place, "postgres:") {
		return store.Options{DSN: place}
	}
	return store.Options{Path: place}
}

// onBoth runs a test on a file and on a server; place gives a new database.
func onBoth(t *testing.T, test func(t *testing.T, place func(*testing.T) string)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, func(t *testing.T) string { return filepath.Join(t.TempDir(), "j.db") })
	})
	t.Run("postgres", func(t *testing.T) {
		test(t, func(t *testing.T) string { return servers.Schema(t) })
	})
}

func TestConformance(t *testing.T) {
	onBoth(t, func(t *testing.T, place func(*testing.T) string) {
		gatewaytest.Journal(t, func(t *testing.T) gateway.Journal {
			o := at(place(t))
			o.Sync = "off"
			return openAt(t, o)
		})
		gatewaytest.DurableJournal(t, func(t *testing.T) (gateway.Journal, func(*testing.T) gateway.Journal) {
			o := at(place(t))
			return openAt(t, o), func(t *testing.T) gateway.Journal { return openAt(t, o) }
		})
		gatewaytest.SharedJournal(t, func(t *testing.T) (a, b gateway.Journal) {
			o := at(place(t))
			o.Sync = "off"
			return openAt(t, o), openAt(t, o)
		})
	})
}

func fsckClean(j *Journal) error {
	r, err := j.Fsck(bg)
	if err != nil {
		return err
	}
	if !r.Clean() {
		return fmt.Errorf("fsck: %d problems, first %+v", len(r.Problems)+r.More, r.Problems[0])
	}
	return nil
}
