package journal

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/gateway/store"
)

var bg = context.Background()

// fatal is what opening needs of a test, a benchmark or a child process.
type fatal interface {
	Helper()
	Fatal(args ...any)
}

func testSealer(t fatal) Sealer {
	t.Helper()
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := keys.NewSealer(p, []byte("0123456789abcdefFEDCBA9876543210"))
	if err != nil {
		t.Fatal(err)
	}
	return s
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
	j, err := Open(db, Options{Sealer: testSealer(t)})
	if err != nil {
		t.Fatal(err)
	}
	return owned{j, db}
}

func TestConformance(t *testing.T) {
	gatewaytest.Journal(t, func(t *testing.T) gateway.Journal {
		return openAt(t, store.Options{Path: filepath.Join(t.TempDir(), "j.db"), Sync: "off"})
	})
	gatewaytest.DurableJournal(t, func(t *testing.T) (gateway.Journal, func(*testing.T) gateway.Journal) {
		o := store.Options{Path: filepath.Join(t.TempDir(), "j.db")}
		return openAt(t, o), func(t *testing.T) gateway.Journal { return openAt(t, o) }
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
