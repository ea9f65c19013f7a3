package keys

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yiqiao/crypto/sm"
)

var (
	quick = Stretch{Time: 1, MemoryKiB: 8 << 10, Threads: 1}
	day   = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
)

func mustRing(t testing.TB) (*Ring, sm.Provider) {
	t.Helper()
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRing(p)
	if err != nil {
		t.Fatal(err)
	}
	return r, p
}

func add(t testing.TB, r *Ring, name string, kind Kind, text string) Item {
	t.Helper()
	it, err := r.Add(name, kind, text, day)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return it
}

const masterText = "30313233343536373839616263646566464544434241393837363534333231303"

func TestRingKeepsKeys(t *testing.T) {
	r, p := mustRing(t)
	k := key(t, shortKey)
	add(t, r, "gateway", KindSM2, "00"+shortKey)
	add(t, r, "platform", KindPublic, FormatPublic(k.Public()))
	add(t, r, "journal", KindMaster, masterText[:64])
	add(t, r, "token", KindSecret, " 口令 A1-long-enough-to-be-no-accident\n")
	path := filepath.Join(t.TempDir(), "keys.sealed")
	if err := WriteRing(path, r, rand.Reader, []byte("correct horse"), quick, true); err != nil {
		t.Fatal(err)
	}
	if err := WriteRing(path, r, rand.Reader, []byte("x"), quick, true); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a new file over an old one: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{shortKey, "A1-long-enough", masterText[:64], FormatPrivate(k)} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%q is in the file", secret)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Error(info.Mode(), err)
	}
	got, err := ReadRing(p, path, []byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	if a, b := fmt.Sprint(got.List()), fmt.Sprint(r.List()); a != b || len(got.List()) != 4 {
		t.Errorf("%s\n%s", a, b)
	}
	for name, want := range map[string]string{"gateway": FormatPrivate(k), "platform": FormatPublic(k.Public()), "journal": masterText[:64], "token": "口令 A1-long-enough-to-be-no-accident"} {
		if text, err := got.Text(name); err != nil || text != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if pub, err := got.Public("gateway", StateCurrent); err != nil || !pub.Equal(k.Public()) {
		t.Error(err)
	}
	if _, err := got.Public("token", StateCurrent); !errors.Is(err, ErrKind) {
		t.Error(err)
	}
	if _, err := got.Text("nobody"); !errors.Is(err, ErrName) {
		t.Error(err)
	}
	value := *got.r.entries[0].value
	got.Close()
	if !bytes.Equal(value, make([]byte, len(value))) || len(got.List()) != 0 {
		t.Error("closing leaves keys in memory")
	}
}

func TestSealedFileRefusals(t *testing.T) {
	r, p := mustRing(t)
	add(t, r, "token", KindSecret, "geheim")
	good, err := r.Seal(rand.Reader, []byte("pass"), quick)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRing(p, good, []byte("pass")); err != nil {
		t.Fatal(err)
	}
	for _, pass := range []string{"", "Pass", "pass "} {
		if _, err := OpenRing(p, good, []byte(pass)); !errors.Is(err, ErrPassphrase) {
			t.Errorf("opens with %q: %v", pass, err)
		}
	}
	var f sealedFile
	if err := json.Unmarshal(good, &f); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*sealedFile)
		want   error
	}{
		"salt":        {func(f *sealedFile) { f.Salt = append([]byte{f.Salt[0] ^ 1}, f.Salt[1:]...) }, ErrPassphrase},
		"more time":   {func(f *sealedFile) { f.Stretch.Time++ }, ErrPassphrase},
		"text":        {func(f *sealedFile) { f.Sealed = append([]byte(nil), f.Sealed...); f.Sealed[30] ^= 1 }, ErrPassphrase},
		"cut":         {func(f *sealedFile) { f.Sealed = f.Sealed[:20] }, ErrPassphrase},
		"none":        {func(f *sealedFile) { f.Sealed = nil }, ErrPassphrase},
		"weak":        {func(f *sealedFile) { f.Stretch.MemoryKiB = 8 }, ErrFile},
		"endless":     {func(f *sealedFile) { f.Stretch.Time = 1 << 30 }, ErrFile},
		"huge":        {func(f *sealedFile) { f.Stretch.MemoryKiB = 1 << 31 }, ErrFile},
		"short salt":  {func(f *sealedFile) { f.Salt = f.Salt[:8] }, ErrFile},
		"version":     {func(f *sealedFile) { f.Version = 2 }, ErrFile},
		"another kdf": {func(f *sealedFile) { f.KDF = "md5" }, ErrFile},
	} {
		g := f
		c.change(&g)
		text, err := json.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenRing(p, text, []byte("pass")); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "{}", "geheim", `{"yiqiao":"keys"}`, string(good) + "{}", strings.Repeat(" ", maxSealedFile) + string(good)} {
		if _, err := OpenRing(p, []byte(text), []byte("pass")); !errors.Is(err, ErrFile) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if _, err := r.Seal(rand.Reader, nil, quick); !errors.Is(err, sm.ErrKey) {
		t.Error("sealed without a passphrase")
	}
	if _, err := r.Seal(strings.NewReader("x"), []byte("p"), quick); !errors.Is(err, sm.ErrRandom) {
		t.Error(err)
	}
}

func TestRotation(t *testing.T) {
	r, _ := mustRing(t)
	add(t, r, "gateway", KindSM2, shortKey)
	add(t, r, "journal", KindMaster, masterText[:64])
	add(t, r, "token", KindSecret, "a")
	if _, err := r.Add("token", KindSecret, "b", day); !errors.Is(err, ErrName) {
		t.Error("a name twice")
	}
	for _, name := range []string{"", "A", "a b", strings.Repeat("a", 65), "../x"} {
		if _, err := r.Add(name, KindSecret, "b", day); !errors.Is(err, ErrName) {
			t.Errorf("name %q", name)
		}
	}
	// An SM2 key waits until the other side knows it.
	next, err := r.Rotate(rand.Reader, "gateway", day)
	if err != nil || next.State != StateNext || next.Generation != 2 {
		t.Fatal(next, err)
	}
	if text, _ := r.Text("gateway"); text != FormatPrivate(key(t, shortKey)) {
		t.Error("a key nobody knows is in use")
	}
	if _, err := r.Rotate(rand.Reader, "gateway", day); !errors.Is(err, ErrName) {
		t.Error("two keys wait")
	}
	if err := r.Drop("gateway", 1); !errors.Is(err, ErrName) {
		t.Error("the current key can be dropped")
	}
	if it, err := r.Activate("gateway"); err != nil || it.Fingerprint != next.Fingerprint || it.State != StateCurrent {
		t.Fatal(it, err)
	}
	if _, err := r.Activate("gateway"); !errors.Is(err, ErrName) {
		t.Error("activated twice")
	}
	if err := r.Drop("gateway", 1); err != nil {
		t.Error(err)
	}
	// A master is used at once, and the old one stays to open.
	it, err := r.Rotate(rand.Reader, "journal", day)
	if err != nil || it.State != StateCurrent || it.Generation != 2 {
		t.Fatal(it, err)
	}
	if old, err := r.OldTexts("journal"); err != nil || len(old) != 1 || old[0] != masterText[:64] {
		t.Error(old, err)
	}
	if _, err := r.Rotate(rand.Reader, "token", day); !errors.Is(err, ErrKind) {
		t.Error(err)
	}
	if _, err := r.Replace("token", "b", day); err != nil {
		t.Error(err)
	}
	if _, err := r.Replace("nobody", "b", day); !errors.Is(err, ErrName) {
		t.Error(err)
	}
	for kind, text := range map[Kind]string{KindSM2: "x", KindPublic: shortKey, KindMaster: shortKey[2:], KindSecret: " ", "odd": "x"} {
		before := len(r.List())
		if _, err := r.Add("bad", kind, text, day); err == nil || len(r.List()) != before {
			t.Errorf("%s %q: %v", kind, text, err)
		}
	}
}

// forms are the ways a secret shows itself in an output.
func forms(secret []byte) []string {
	return []string{string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)),
		base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret),
		strings.Trim(fmt.Sprint(secret[:8]), "[]"), strings.Join(strings.Split(strings.Trim(fmt.Sprintf("%#v", secret[:8]), "[]byte{}"), ","), ",")}
}

func TestKeysNeverPrint(t *testing.T) {
	r, p := mustRing(t)
	k := key(t, shortKey)
	add(t, r, "gateway", KindSM2, shortKey)
	add(t, r, "token", KindSecret, "the-token-itself")
	one, err := Soft(p, k)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewDeviceWrapper(p, one)
	if err != nil {
		t.Fatal(err)
	}
	dk, err := NewDataKey(p, []byte("the-token-itself"), "use")
	if err != nil {
		t.Fatal(err)
	}
	dg, err := NewDigester(p, []byte("the-token-itself"))
	if err != nil {
		t.Fatal(err)
	}
	type holder struct {
		D    *DataKey
		d    *DataKey
		dv   DataKey
		G    *Digester
		g    Digester
		R    *Ring
		in   *Ring
		v    Ring
		K    Private
		k    Private
		W    Wrapper
		list []Item
	}
	h := holder{dk, dk, *dk, dg, *dg, r, r, *r, one, one, w, r.List()}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%c", "%U", "%b", "%o"} {
		for _, x := range []any{dk, *dk, dg, *dg, r, *r, one, w, h, &h, []any{r, one}, r.List()} {
			fmt.Fprintf(&out, verb, x)
		}
	}
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("keys", "ring", r, "value", *r, "key", one, "wrapper", w, "all", h)
	slog.New(slog.NewTextHandler(&out, nil)).Info("keys", "ring", r, "value", *r, "key", one, "wrapper", w, "all", h)
	func() {
		defer func() { fmt.Fprint(&out, recover()) }()
		panic(h)
	}()
	for _, secret := range [][]byte{k.Scalar(), []byte("the-token-itself")} {
		for _, form := range forms(secret) {
			if strings.Contains(out.String(), form) {
				t.Errorf("%q is in the output", form)
			}
		}
	}
}

// box is a device: nothing of the key but its public half can be had from it.
type box struct {
	Private
	broken bool
	calls  int
}

func (b *box) Sign(r io.Reader, uid, msg []byte) (sm.Signature, error) {
	b.calls++
	if b.broken {
		return sm.Signature{}, fmt.Errorf("%w: no card", ErrDevice)
	}
	return b.Private.Sign(r, uid, msg)
}

func TestDeviceWrapper(t *testing.T) {
	for _, name := range sm.Names() {
		p, err := sm.New(name)
		if err != nil {
			t.Fatal(err)
		}
		inside, err := Soft(p, key(t, shortKey))
		if err != nil {
			t.Fatal(err)
		}
		dev := &box{Private: inside}
		if err := Try(p, rand.Reader, dev); err != nil {
			t.Fatal(err)
		}
		w, err := NewDeviceWrapper(p, dev)
		if err != nil {
			t.Fatal(err)
		}
		secret := []byte("0123456789abcdef")
		sealed, err := w.Seal(rand.Reader, "day 1", secret)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := w.Open("day 1", sealed); err != nil || !bytes.Equal(got, secret) {
			t.Fatal(err)
		}
		if _, err := w.Open("day 2", sealed); !errors.Is(err, ErrSealed) {
			t.Error("opens under another name")
		}
		for i := range sealed {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1
			if _, err := w.Open("day 1", bad); !errors.Is(err, ErrSealed) {
				t.Errorf("byte %d may be changed: %v", i, err)
			}
			if _, err := w.Open("day 1", sealed[:i]); !errors.Is(err, ErrSealed) {
				t.Errorf("may be cut to %d: %v", i, err)
			}
		}
		// Whoever has only the public key can encrypt, but not wrap.
		head := sealed[:wrapHead]
		text, err := p.Encrypt(rand.Reader, dev.Public(), []byte("attacker's key!!"), sm.C1C3C2)
		if err != nil {
			t.Fatal(err)
		}
		mine, err := sm.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := p.Sign(rand.Reader, mine, []byte(wrapUID), signed(head, "day 1", text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Open("day 1", append(append(bytes.Clone(head), sig[:]...), text...)); !errors.Is(err, ErrSealed) {
			t.Error("a forged key is taken")
		}
		dev.broken = true
		if err := Try(p, rand.Reader, dev); !errors.Is(err, ErrDevice) {
			t.Error(err)
		}
		if _, err := w.Seal(rand.Reader, "day 1", secret); !errors.Is(err, ErrDevice) {
			t.Error(err)
		}
		other, err := Soft(p, mine)
		if err != nil {
			t.Fatal(err)
		}
		if err := Try(p, rand.Reader, twoFaced{inside, other}); !errors.Is(err, ErrDevice) {
			t.Errorf("a device whose key does not fit: %v", err)
		}
	}
}

type twoFaced struct {
	Private
	other Private
}

func (d twoFaced) Public() *sm.PublicKey { return d.other.Public() }

func TestPublicPEM(t *testing.T) {
	k := key(t, shortKey)
	got, err := ParsePublic(FormatPublicPEM(k.Public()))
	if err != nil || !got.Equal(k.Public()) {
		t.Error(err)
	}
	if want := pemText("PUBLIC KEY", write(t, k).spki); FormatPublicPEM(k.Public()) != want {
		t.Error("another implementation writes it differently")
	}
}

func FuzzOpenRing(f *testing.F) {
	r, p := mustRing(f)
	add(f, r, "token", KindSecret, "geheim")
	good, err := r.Seal(bytes.NewReader(bytes.Repeat([]byte{7}, 64)), []byte("pass"), quick)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"yiqiao":"keys","version":1,"kdf":"argon2id","stretch":{"time":1,"memory_kib":8192,"threads":1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var head sealedFile
		if json.Unmarshal(b, &head) == nil && (head.Stretch.MemoryKiB > 16<<10 || head.Stretch.Time > 2) {
			return // slow by design
		}
		got, err := OpenRing(p, b, []byte("pass"))
		if err != nil && !errors.Is(err, ErrFile) && !errors.Is(err, ErrPassphrase) {
			t.Fatal(err)
		}
		if err == nil && len(got.List()) != 1 {
			t.Fatal("forged")
		}
	})
}
