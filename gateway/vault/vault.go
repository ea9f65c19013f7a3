// Package vault keeps the keys that seal the bodies of a journal.
//
// Each institution, class and day has a data key of its own, made from randomness when it is first
// needed and durable before anything sealed with it is. Data keys lie in the journal's database,
// wrapped by a key-encryption key (a keys.Wrapper) that does not. So the key-encryption key can
// change without a body being rewritten (Rewrap), and bodies can be ended for good, in every copy
// of the database, by destroying a key of 16 bytes (Expire). Two more keys are kept the same way:
// the one of keyed digests, which never changes, because what is recognised by a digest must be
// recognised for as long as the journal lives; and the master of a journal that was written before
// there were data keys, so that the master too can retire.
//
// What can not be opened is refused, never guessed: ErrKeyMissing, ErrKeyLost or gateway.ErrExpired.
package vault

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/schemas/ident"
)

var (
	// ErrKeyMissing: a key is wrapped by a key-encryption key that was not given. Its id is in the
	// error: put it back into the configuration.
	ErrKeyMissing = errors.New("vault: wrapped by a key that is not configured")
	// ErrKeyLost: sealed with a key of which the database knows nothing, or whose wrapping does not
	// open: the database was damaged, put together from several, or changed.
	ErrKeyLost = errors.New("vault: key lost or changed")
)

// Options of a vault.
type Options struct {
	Provider sm.Provider
	// Wrappers are the key-encryption keys, the present one first, which wraps what is new. The
	// others open what they wrapped until Rewrap has been run.
	Wrappers []keys.Wrapper
	Rand     io.Reader // safe for concurrent use. Default: crypto/rand
}

// Scope says which data key a body belongs to.
type Scope struct {
	Institution ident.Institution // "" for what is no institution's
	Class       gateway.Class     // "" is gateway.ClassSettlement
	At          time.Time         // when it is written; its day in China counts
}

// Vault holds the opened keys. Safe for concurrent use, also by several processes on one database.
type Vault struct {
	db *store.DB
	o  Options

	mu      sync.RWMutex
	today   int64            // the latest day sealed for; older keys are forgotten when it moves on
	use     map[slot]*opened // what seals
	byID    map[[8]byte]*opened
	masters map[[8]byte]*keys.Sealer
	gone    map[string]Row // destroyed keys of a journal that is being imported
	index   *keys.Digester

	making sync.Mutex // one key is made at a time
}

// slot is a Scope with its day counted.
type slot struct {
	institution ident.Institution
	class       gateway.Class
	day         int64
}

type opened struct {
	key    *keys.DataKey
	number int64
	day    int64
}

// chinaDay is the number of a day in China, which has had no daylight saving since 1991.
func chinaDay(t time.Time) int64 { return (t.Unix() + 8*3600) / 86400 }

func dayText(day int64) string { return time.Unix(day*86400, 0).UTC().Format(time.DateOnly) }

func (s Scope) slot() slot {
	if s.Class == "" {
		s.Class = gateway.ClassSettlement
	}
	return slot{s.Institution, s.Class, chinaDay(s.At)}
}

// Open puts a vault on db, whose tables are there already. It opens the key of digests, or makes
// one; a journal of the time before data keys hands over its master, which must be among the
// wrappers. ErrKeyMissing when the database is kept under other key-encryption keys.
func Open(ctx context.Context, db *store.DB, o Options) (*Vault, error) {
	if db == nil || o.Provider == nil || len(o.Wrappers) == 0 || o.Wrappers[0] == nil {
		return nil, errors.New("vault: needs a database, a provider and a key-encryption key")
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	v := &Vault{db: db, o: o}
	v.empty()
	if err := v.begin(ctx); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

func (v *Vault) empty() {
	v.use, v.byID, v.masters, v.gone = map[slot]*opened{}, map[[8]byte]*opened{}, map[[8]byte]*keys.Sealer{}, nil
}

// Close zeroes the keys. Nothing may be sealed or opened any more.
func (v *Vault) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, k := range v.byID {
		k.key.Forget()
	}
	for _, m := range v.masters {
		m.Forget()
	}
	v.empty()
}

// Digest is a keyed digest over the parts; see keys.Digester.
func (v *Vault) Digest(parts ...[]byte) [32]byte {
	v.mu.RLock()
	d := v.index
	v.mu.RUnlock()
	return d.Digest(parts...)
}

// Mark is the keyed digest under which a number of a person or a visit is found again, 16 bytes.
// Equal numbers have equal marks within an institution and unlike ones elsewhere.
func (v *Vault) Mark(inst ident.Institution, kind, number string) []byte {
	sum := v.Digest([]byte("mark"), []byte(inst), []byte(kind), []byte(number))
	return sum[:16]
}

// Seal encrypts plain under the data key of a scope and binds it to name. The error is
// gateway.ErrStorage when the scope has no key yet and none could be made durable.
func (v *Vault) Seal(ctx context.Context, of Scope, name string, plain []byte) ([]byte, error) {
	k, err := v.key(ctx, of.slot())
	if err != nil {
		return nil, err
	}
	return k.key.Seal(v.o.Rand, name, plain)
}

// Drawer seals what other rooms keep in the same database: see Vault.Drawer.
type Drawer struct {
	v     *Vault
	class gateway.Class
	now   func() time.Time
}

// Drawer gives a sealer for what belongs to a class and to no institution: its data keys are of the
// day it is sealed on. Its methods are those of keys.Sealer.
func (v *Vault) Drawer(class gateway.Class, now func() time.Time) Drawer {
	return Drawer{v, class, now}
}

// Seal is Vault.Seal; the vault has randomness of its own.
func (d Drawer) Seal(_ io.Reader, name string, plain []byte) ([]byte, error) {
	return d.v.Seal(context.Background(), Scope{Class: d.class, At: d.now()}, name, plain)
}

// Open is Vault.Open.
func (d Drawer) Open(name string, sealed []byte) ([]byte, error) {
	return d.v.Open(context.Background(), name, sealed)
}

// Key is the number of the data key of a scope, which is made when there is none.
func (v *Vault) Key(ctx context.Context, of Scope) (int64, error) {
	k, err := v.key(ctx, of.slot())
	if err != nil {
		return 0, err
	}
	return k.number, nil
}

// Open gives back what was sealed for the same name. gateway.ErrExpired when its key was destroyed,
// ErrKeyMissing and ErrKeyLost as they say, keys.ErrSealed when the bytes or the name are others.
func (v *Vault) Open(ctx context.Context, name string, sealed []byte) ([]byte, error) {
	id, data, err := keys.SealedBy(sealed)
	if err != nil {
		return nil, err
	}
	v.mu.RLock()
	k, m := v.byID[id], v.masters[id]
	v.mu.RUnlock()
	if data && k == nil || !data && m == nil {
		if k, m, err = v.load(ctx, id, data); err != nil {
			return nil, err
		}
	}
	if data {
		return k.key.Open(name, sealed)
	}
	return m.Open(name, sealed)
}

// key gives the data key of a slot.
func (v *Vault) key(ctx context.Context, s slot) (*opened, error) {
	v.mu.RLock()
	k, today := v.use[s], v.today
	v.mu.RUnlock()
	if k != nil && s.day <= today {
		return k, nil
	}
	v.making.Lock()
	defer v.making.Unlock()
	v.mu.RLock()
	k, today = v.use[s], v.today
	v.mu.RUnlock()
	if k != nil && s.day <= today {
		return k, nil
	}
	row, found, err := v.inUse(ctx, s)
	if err == nil && !found {
		row, err = v.make(ctx, s)
	}
	if err != nil {
		return nil, err
	}
	if k, err = v.unwrap(row); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if s.day > v.today {
		v.forgetOld(s.day)
	}
	if was := v.byID[k.id()]; was != nil {
		k = was
	}
	v.use[s], v.byID[k.id()] = k, k
	return k, nil
}

// keepDays is for how many days opened keys are kept in memory.
const keepDays = 2

// forgetOld drops keys of days gone by, so that a key another process has destroyed does not live on
// here. They are opened again when they are needed. mu is held. They are not zeroed: somebody may
// just be sealing with one.
func (v *Vault) forgetOld(today int64) {
	v.today = today
	for s, k := range v.use {
		if s.day < today-keepDays {
			delete(v.use, s)
			delete(v.byID, k.id())
		}
	}
	for id, k := range v.byID {
		if k.day < today-keepDays {
			delete(v.byID, id)
		}
	}
}

func (k *opened) id() (id [8]byte) {
	_, _ = hex.Decode(id[:], []byte(k.key.ID())) // 16 hex digits
	return id
}

// load opens a key by its id.
func (v *Vault) load(ctx context.Context, id [8]byte, data bool) (*opened, *keys.Sealer, error) {
	v.mu.RLock()
	r, found := v.gone[hex.EncodeToString(id[:])]
	v.mu.RUnlock()
	if found {
		return v.adopt(r, data)
	}
	r, found, err := v.byKeyID(ctx, hex.EncodeToString(id[:]))
	if err != nil {
		return nil, nil, err
	}
	if !found {
		return nil, nil, fmt.Errorf("%w: no data key %x", ErrKeyLost, id)
	}
	return v.adopt(r, data)
}

// adopt opens a row and keeps its key.
func (v *Vault) adopt(r Row, data bool) (*opened, *keys.Sealer, error) {
	if data != (r.Purpose == purposeBody) {
		return nil, nil, fmt.Errorf("%w: %s is for another purpose", ErrKeyLost, r.ID)
	}
	if data {
		k, err := v.unwrap(r)
		if err != nil {
			return nil, nil, err
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		v.byID[k.id()] = k
		return k, nil, nil
	}
	m, err := v.master(r)
	if err != nil {
		return nil, nil, err
	}
	var id [8]byte
	_, _ = hex.Decode(id[:], []byte(r.ID))
	v.mu.Lock()
	defer v.mu.Unlock()
	v.masters[id] = m
	return nil, m, nil
}
