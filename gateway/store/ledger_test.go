package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// counting is a ledger that writes its notes into probe rows and remembers what was undone.
type counting struct {
	mu     sync.Mutex
	wrote  []string
	undone int
	fail   error
}

func (c *counting) Append(tx *Tx, _ int, notes [][]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return c.fail
	}
	var all []string
	for _, n := range notes {
		all = append(all, string(n))
	}
	c.wrote = append(c.wrote, strings.Join(all, "+"))
	return tx.Put("INSERT INTO probe (id, filler) VALUES ($1, $2)", int64(1000+len(c.wrote)), []byte(strings.Join(all, "+")))
}

func (c *counting) Undone(int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.undone++
}

func TestNotesAreCommittedWithWhatTheyTellOf(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			o := Options{Sync: "off"}
			if kind == "postgres" {
				o.DSN = servers.Schema(t)
			} else {
				o.Path = t.TempDir() + "/x.db"
			}
			d, err := Open(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			l := &counting{}
			d.Account(l)
			put := func(id int64, note string, end error) error {
				return d.Do(context.Background(), func(tx *Tx) error {
					tx.Note([]byte(note))
					if _, err := tx.Exec("INSERT INTO probe (id, filler) VALUES ($1, $2)", id, []byte{1}); err != nil {
						return err
					}
					return end
				})
			}
			if err := put(2, "a", nil); err != nil {
				t.Fatal(err)
			}
			wrong := errors.New("wrong")
			if err := put(3, "b", wrong); !errors.Is(err, wrong) {
				t.Fatal(err)
			}
			if err := put(2, "again", nil); err == nil {
				t.Fatal("a key twice")
			}
			if !slices.Equal(l.wrote, []string{"a"}) {
				t.Fatalf("accounts %q", l.wrote)
			}
			// A ledger that fails takes the operation with it, and is told.
			l.fail = errors.New("full")
			if err := put(5, "c", nil); err == nil {
				t.Fatal("written without an account")
			}
			var n int64
			if _, err := d.Get(context.Background(), "SELECT COUNT(*) FROM probe WHERE id = 5", nil, &n); err != nil || n != 0 {
				t.Fatal(n, err)
			}
			if l.undone == 0 {
				t.Fatal("the ledger was not told that its entry is gone")
			}
			l.fail = nil
			// Many at once: every note stands in exactly one account.
			var wg sync.WaitGroup
			for i := range 200 {
				wg.Go(func() {
					var end error
					if i%10 == 3 {
						end = wrong
					}
					_ = put(int64(100+i), fmt.Sprintf("n%d", i), end)
				})
			}
			wg.Wait()
			var kept []string
			rows, err := d.Query(context.Background(), "SELECT filler FROM probe WHERE id >= 1000")
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				var b []byte
				if err := rows.Scan(&b); err != nil {
					t.Fatal(err)
				}
				kept = append(kept, strings.Split(string(b), "+")...)
			}
			if err := rows.Close(); err != nil {
				t.Fatal(err)
			}
			slices.Sort(kept)
			if len(kept) != 181 || len(slices.Compact(kept)) != 181 {
				t.Fatalf("%d notes were kept", len(kept))
			}
		})
	}
}
