package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// tell runs a command that must succeed and gives what it printed.
func tell(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	code, out, errs := yiqiao(t, stdin, args...)
	if code != 0 {
		t.Fatalf("%v: exit %d: %s%s", args, code, out, errs)
	}
	return out
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// A key's whole life in a sealed file, and that nothing of it is ever shown.
func TestSealedKeyFileCommands(t *testing.T) {
	dir := t.TempDir()
	file, pass := filepath.Join(dir, "keys.sealed"), write(t, filepath.Join(dir, "pass"), "a long passphrase\n")
	with := func(args ...string) []string { return append(args, "--file", file, "--passphrase-file", pass) }
	var shown strings.Builder
	do := func(stdin string, args ...string) string {
		out := tell(t, stdin, args...)
		shown.WriteString(out)
		return out
	}
	do("", with("keys", "create")...)
	if code, _, errs := yiqiao(t, "", with("keys", "create")...); code != exitFail || !strings.Contains(errs, "已存在") {
		t.Errorf("a key file is overwritten: %d %s", code, errs)
	}
	k, err := sm.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	java := base64.StdEncoding.EncodeToString(append([]byte{0}, k.Scalar()...)) // 33 bytes, as BigInteger writes it
	pub := write(t, filepath.Join(dir, "gw.pub"), hex.EncodeToString(k.Public().Point()[1:]))
	do(java, with("keys", "import", "gateway", "--public", pub)...)
	do("the-token", with("keys", "import", "token", "--kind", "secret")...)
	do("", with("keys", "generate", "journal", "--kind", "master")...)
	if out := do("", with("keys", "export-public", "gateway")...); strings.TrimSpace(out) != keys.FormatPublic(k.Public()) {
		t.Error(out)
	}
	if out := do("", with("keys", "export-public", "gateway", "--format", "pem")...); out != keys.FormatPublicPEM(k.Public()) {
		t.Error(out)
	}
	// Rotation waits for the other side.
	do("", with("keys", "rotate", "gateway")...)
	next := strings.TrimSpace(do("", with("keys", "export-public", "gateway", "--state", "next")...))
	if out := do("", with("keys", "export-public", "gateway")...); strings.TrimSpace(out) == next {
		t.Error("the new key is in use before it is activated")
	}
	do("", with("keys", "rotate", "gateway", "--activate")...)
	if out := do("", with("keys", "export-public", "gateway")...); strings.TrimSpace(out) != next {
		t.Error("the new key is not in use")
	}
	var items []keys.Item
	if err := json.Unmarshal([]byte(do("", with("keys", "list", "--json")...)), &items); err != nil || len(items) != 4 {
		t.Errorf("%v %+v", err, items)
	}
	if out := do("", with("keys", "list")...); !strings.Contains(out, "已退役") || !strings.Contains(out, k.Fingerprint()) {
		t.Error(out)
	}
	do("", with("keys", "rotate", "gateway", "--drop", "1")...)
	newPass := write(t, filepath.Join(dir, "pass2"), "another passphrase")
	do("", with("keys", "passphrase", "--new-passphrase-file", newPass)...)
	if code, _, errs := yiqiao(t, "", with("keys", "list")...); code != exitFail || !strings.Contains(errs, "口令不对") {
		t.Errorf("the old passphrase opens: %d %s", code, errs)
	}
	pass = newPass
	do("", with("keys", "list")...)
	for _, secret := range []string{java, hex.EncodeToString(k.Scalar()), base64.StdEncoding.EncodeToString(k.Scalar()), "the-token", "a long passphrase"} {
		if strings.Contains(shown.String(), secret) || strings.Contains(readText(t, file), secret) {
			t.Errorf("%q is shown or stored", secret)
		}
	}
}

func TestKeyImportRefusals(t *testing.T) {
	dir := t.TempDir()
	k, err := sm.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := sm.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub := write(t, filepath.Join(dir, "pub"), keys.FormatPublic(other.Public()))
	n := "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123"
	off := keys.FormatPublic(k.Public())
	raw, _ := base64.StdEncoding.DecodeString(off)
	raw[64] ^= 1
	for name, c := range map[string]struct {
		text string
		args []string
		want string
	}{
		"out of range":  {n, nil, "不是可接受的密钥"},
		"no pair":       {keys.FormatPrivate(k), []string{"--public", pub}, "不是一对"},
		"off the curve": {base64.StdEncoding.EncodeToString(raw), []string{"--kind", "public"}, "不是可接受的密钥"},
		"words":         {"my key", nil, "不是可接受的密钥"},
		"empty":         {"", nil, "不是可接受的密钥"},
		"odd kind":      {"x", []string{"--kind", "odd"}, "odd"},
		"secret":        {"x", []string{"--kind", "secret"}, "--file"},
		"replace":       {keys.FormatPrivate(k), []string{"--replace"}, "--replace"},
	} {
		out := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		code, shown, errs := yiqiao(t, c.text, append([]string{"keys", "import", out}, c.args...)...)
		if code != exitFail || !strings.Contains(errs, c.want) || c.text != "" && len(c.text) > 8 && strings.Contains(errs+shown, c.text) {
			t.Errorf("%s: exit %d %s", name, code, errs)
		}
		if left, _ := filepath.Glob(out + "*"); len(left) > 0 {
			t.Errorf("%s leaves %v", name, left)
		}
	}
	tell(t, keys.FormatPrivate(k), "keys", "import", filepath.Join(dir, "ok"))
	if readText(t, filepath.Join(dir, "ok.pub")) != keys.FormatPublic(k.Public()) {
		t.Error("the public key is not beside it")
	}
}

// sealedSite is a starter site whose keys all lie in one sealed file.
func sealedSite(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "site")
	tell(t, "", "init", dir, "--listen", "127.0.0.1:0")
	file, pass := filepath.Join(dir, "secrets", "keys.sealed"), write(t, filepath.Join(dir, "pass"), "pass phrase")
	with := []string{"--file", file, "--passphrase-file", pass}
	tell(t, "", append([]string{"keys", "create"}, with...)...)
	conf := readText(t, filepath.Join(dir, "yiqiao.yaml"))
	for _, k := range []struct{ name, kind, path string }{
		{"journal", "master", "secrets/journal.key"}, {"gateway", "sm2", "secrets/gateway-private.key"},
		{"app-secret", "secret", "secrets/app-secret"}, {"token", "secret", "secrets/tif-token"}, {"platform", "public", "keys/simulator.pub"},
	} {
		tell(t, "", append([]string{"keys", "import", k.name, "--kind", k.kind, "--from", filepath.Join(dir, k.path)}, with...)...)
		if !strings.Contains(conf, "file:"+k.path) {
			t.Fatalf("the starter does not name %s", k.path)
		}
		conf = strings.ReplaceAll(conf, "file:"+k.path, "key:"+k.name)
		if k.path != "keys/simulator.pub" { // the simulator has the others too
			if err := os.Rename(filepath.Join(dir, k.path), filepath.Join(dir, k.path+".gone")); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(t, filepath.Join(dir, "yiqiao.yaml"), conf+"\nkeys:\n  file: secrets/keys.sealed\n  passphrase: file:pass\n")
	return dir
}

func TestServeFromASealedKeyFile(t *testing.T) {
	dir := sealedSite(t)
	tell(t, "", "config", "check", "--config", dir)
	var used []placed
	if err := json.Unmarshal([]byte(tell(t, "", "keys", "list", "--config", dir, "--json")), &used); err != nil {
		t.Fatal(err)
	}
	shown := map[string]placed{}
	for _, it := range used {
		shown[it.Use] = it
	}
	for use, place := range map[string]string{"journal.key": "key:journal", "keys.passphrase": "file:pass", "centres.main.protect.private_key": "key:gateway",
		"centres.main.protect.peer_keys[0]": "key:platform", "centres.main.protect.app_secret": "key:app-secret", "centres.main.protect.token": "key:token"} {
		it := shown[use]
		if it.Place != place || it.Problem != "" || (it.Fingerprint == "") == (strings.Contains(use, "key") && use != "keys.passphrase") {
			t.Errorf("%s: %+v", use, it)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "pass"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := yiqiao(t, "", "keys", "list", "--config", dir); code != exitNo || !strings.Contains(out, "过宽") {
		t.Errorf("others can read the passphrase: %d %s", code, out)
	}
	g, err := loadGateway(dir)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := newServer(context.Background(), g, io.Discard, systemClock{})
	if err != nil {
		t.Fatal(err)
	}
	srv.close()
	if g.places().ring != nil {
		t.Error("the keys stay open after the start")
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"wrong passphrase", "passphrase: file:pass", "passphrase: file:yiqiao.yaml", "口令不对"},
		{"nobody to ask", "  passphrase: file:pass\n", "", "no terminal"},
		{"no such key", "key:gateway", "key:nobody", "nobody"},
		{"no key file", "keys:\n  file: secrets/keys.sealed\n  passphrase: file:pass\n", "", "keys.file is missing"},
		{"key in a circle", "passphrase: file:pass", "passphrase: key:token", "keys.passphrase"},
		{"sealed file as a key", "key:gateway", "file:secrets/keys.sealed", "key:NAME"},
		{"no such device", "key:gateway", "hsm:box", "box"},
		{"a secret from a device", "app_secret: key:app-secret", "app_secret: hsm:box", "never gives"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(dir, "yiqiao.yaml")
			text := readText(t, path) + "\n"
			if !strings.Contains(text, c.old) {
				t.Fatalf("the configuration does not hold %q", c.old)
			}
			write(t, path, strings.Replace(text, c.old, c.new, 1))
			defer write(t, path, text)
			if code, _, errs := yiqiao(t, "", "config", "check", "--config", dir); code != exitFail || !strings.Contains(errs, c.want) {
				t.Errorf("exit %d %s", code, errs)
			}
		})
	}
}

// vendor is what somebody who plugs a device in writes: the key is his, the program gets a handle.
type vendor struct {
	keys.Private
	signed *int
}

func (v vendor) Sign(rand io.Reader, uid, msg []byte) (sm.Signature, error) {
	*v.signed++
	return v.Private.Sign(rand, uid, msg)
}

func TestADeviceCanBePluggedIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	tell(t, "", "init", dir)
	path := filepath.Join(dir, "yiqiao.yaml")
	text := strings.Replace(readText(t, path), "private_key: file:secrets/gateway-private.key", "private_key: hsm:box", 1)
	write(t, path, text+"\nkeys:\n  devices:\n    box: {kind: testbox, key: \"7\", secret: file:secrets/app-secret}\n")
	g, err := loadGateway(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.build(io.Discard, systemClock{}); err == nil || !strings.Contains(err.Error(), "testbox") {
		t.Fatalf("a kind of device nobody knows: %v", err)
	}
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	k, err := keys.ParsePrivate(readText(t, filepath.Join(dir, "secrets/gateway-private.key")))
	if err != nil {
		t.Fatal(err)
	}
	signed := 0
	g.places().kinds["testbox"] = func(d deviceSettings, pin string) (keys.Private, error) {
		if d.Key != "7" || pin != readText(t, filepath.Join(dir, "secrets/app-secret")) {
			return nil, errors.New("wrong PIN")
		}
		in, err := keys.Soft(p, k)
		return vendor{in, &signed}, err
	}
	parts, err := g.build(io.Discard, systemClock{})
	if err != nil {
		t.Fatal(err)
	}
	if signed == 0 {
		t.Error("the device was not tried at the start")
	}
	// What it signs the centre accepts.
	sim, err := loadSimulator(dir)
	if err != nil {
		t.Fatal(err)
	}
	theirs, _, err := sim.Protect.protect(p, newSecrets(sim.base, sim.Keys), lineEnds{})
	if err != nil {
		t.Fatal(err)
	}
	ours, _, err := g.Centres["main"].Protect.protect(parts.provider, g.places(), lineEnds{})
	if err != nil {
		t.Fatal(err)
	}
	before := signed
	sealed, err := ours.Seal(rand.Reader, time.Now(), []byte(`{"infno":"9001"}`))
	if err != nil {
		t.Fatal(err)
	}
	if data, _, err := theirs.Open(sealed.Body); err != nil || !bytes.Contains(data, []byte("9001")) || signed != before+1 {
		t.Errorf("%s %v, signed %d times", data, err, signed-before)
	}
}

// A journal's whole life under keys that change: rotated, wrapped anew, the old one dropped, one
// lost, its bodies expired.
func TestJournalKeyRotation(t *testing.T) {
	dir := sealedSite(t)
	with := []string{"--file", filepath.Join(dir, "secrets", "keys.sealed"), "--passphrase-file", filepath.Join(dir, "pass")}
	ctx := context.Background()
	open := func() opened {
		t.Helper()
		g, err := loadGateway(dir)
		if err != nil {
			t.Fatal(err)
		}
		p, err := provider("")
		if err != nil {
			t.Fatal(err)
		}
		j, err := g.openJournal(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	at := time.Date(2020, 1, 10, 12, 0, 0, 0, gateway.China)
	put := func(id string, person string) {
		t.Helper()
		j := open()
		defer j.close()
		r := gateway.Record{ID: ident.MsgID(id), Institution: simHospital, Infno: "1101", Step: "1101", Attempt: 1, CreatedAt: at, State: gateway.StateSent,
			Input: []byte(`{"data":{"psn_name":"测试甲"}}`), Marks: []gateway.Mark{{Kind: gateway.MarkPerson, Number: person}}}
		e := gateway.Event{Kind: gateway.EventDone, At: at, Data: []byte(`{"baseinfo":{"psn_no":"` + person + `"}}`)}
		if _, err := j.Write(ctx, gateway.Entry{Record: &r, Class: gateway.ClassQuery}, gateway.Entry{Append: &gateway.Append{ID: r.ID, Version: 1, Event: e}, Class: gateway.ClassQuery}); err != nil {
			t.Fatal(err)
		}
	}
	first, second := "H44010000001202001101200000001", "H44010000001202001101200000002"
	put(first, "P-1")
	tell(t, "", append([]string{"keys", "rotate", "journal"}, with...)...)
	put(second, "P-2")
	drop := func(args ...string) []string {
		return append(append([]string{"keys", "rotate", "journal", "--drop"}, args...), with...)
	}
	for _, args := range [][]string{drop("1"), drop("1", "--config", dir)} {
		if code, _, errs := yiqiao(t, "", args...); code != exitFail || !strings.Contains(errs, "包裹") {
			t.Errorf("a key in use is dropped: %d %s", code, errs)
		}
	}
	var n struct{ Done, There int }
	if err := json.Unmarshal([]byte(tell(t, "", "keys", "rewrap", "--config", dir, "--json")), &n); err != nil || n.Done != 2 {
		t.Errorf("%+v %v", n, err)
	}
	tell(t, "", drop("1", "--config", dir)...)
	for _, id := range []string{first, second} {
		if out := tell(t, "", "journal", "show", id, "--config", dir); !strings.Contains(out, "测***") && !strings.Contains(out, "psn_name") {
			t.Error(out)
		}
	}
	if out := tell(t, "", "journal", "list", "--person", "p-2", "--config", dir); !strings.Contains(out, second) || strings.Contains(out, first) {
		t.Error(out)
	}
	// A key that is lost is said to be lost, with its id, and nothing is written.
	tell(t, "", append([]string{"keys", "rotate", "journal"}, with...)...)
	tell(t, "", drop("2", "--force")...)
	for _, args := range [][]string{{"journal", "list"}, {"keys", "rewrap"}, {"keys", "expire"}} {
		if code, _, errs := yiqiao(t, "", append(args, "--config", dir)...); code != exitFail || !strings.Contains(errs, "journal.old_keys") {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
}

func TestExpireCommand(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	tell(t, "", "init", dir)
	path := filepath.Join(dir, "yiqiao.yaml")
	text := readText(t, path)
	retention := func(s string) {
		write(t, path, strings.Replace(text, "  sync: full", "  sync: full\n  retention: "+s, 1)+"\n")
	}
	for _, bad := range []string{"{query: 29}", "{queries: 400}", "{query: -1}", "{query: long}"} {
		retention(bad)
		if code, _, errs := yiqiao(t, "", "config", "check", "--config", dir); code != exitFail || !strings.Contains(errs, "retention") && !strings.Contains(errs, "long") {
			t.Errorf("%s: %d %s", bad, code, errs)
		}
	}
	retention("{query: 365}")
	g, err := loadGateway(dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := provider("")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	j, err := g.openJournal(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2020, 1, 10, 12, 0, 0, 0, gateway.China)
	msgid, err := j.NextMsgID(ctx, simHospital, at)
	if err != nil {
		t.Fatal(err)
	}
	id := string(msgid)
	r := gateway.Record{ID: msgid, Institution: simHospital, Infno: "1101", Step: "1101", Attempt: 1, CreatedAt: at, State: gateway.StateSent, Input: []byte(`{"a":"b"}`)}
	if _, err := j.Write(ctx, gateway.Entry{Record: &r, Class: gateway.ClassQuery},
		gateway.Entry{Append: &gateway.Append{ID: r.ID, Version: 1, Event: gateway.Event{Kind: gateway.EventRefused, At: at}}}); err != nil {
		t.Fatal(err)
	}
	j.close()
	if out := tell(t, "", "keys", "expire", "--dry-run", "--config", dir); !strings.Contains(out, "将销毁 1 个") || !strings.Contains(out, "2020-01-10") {
		t.Error(out)
	}
	if out := tell(t, "", "journal", "show", id, "--config", dir); strings.Contains(out, "销毁") {
		t.Error(out)
	}
	if out := tell(t, "", "keys", "expire", "--config", dir); !strings.Contains(out, "已销毁 1 个") {
		t.Error(out)
	}
	if out := tell(t, "", "journal", "show", id, "--config", dir); !strings.Contains(out, "已销毁") || !strings.Contains(out, "被拒绝") {
		t.Error(out)
	}
	tell(t, "", "journal", "fsck", "--config", dir)
	if out := tell(t, "", "keys", "expire", "--config", dir); !strings.Contains(out, "已销毁 0 个") {
		t.Error(out)
	}
}
