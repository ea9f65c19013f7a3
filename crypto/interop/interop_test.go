//go:build !race

// The peers are other programs: under the race detector their work would only be done once more.

package interop

import (
	"bufio"
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/crypto/vectors"
)

// cases is how many random cases each peer works through.
const cases = 200

// peer answers one request: an operation with fields in hex, as peers/Peer.java describes them.
type peer interface {
	ask(op string, fields ...string) (string, error)
}

// folder is where scripts/interop.sh put the peers.
func folder(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("YIQIAO_INTEROP")
	if dir == "" {
		dir = filepath.Join("..", "..", ".cache", "interop")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "classes", "Peer.class")); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("the peers are not in %s: run make interop", dir)
		}
		t.Skipf("the peers are not in %s: make interop fetches them", dir)
	}
	return dir
}

func TestOpenSSL(t *testing.T) {
	folder(t)
	t.Parallel()
	work(t, &openssl{dir: t.TempDir(), keys: map[string]string{}}, quirks{})
}

func TestBouncyCastle(t *testing.T) {
	dir := folder(t)
	t.Parallel()
	jars, err := filepath.Glob(filepath.Join(dir, "bcprov-*.jar"))
	if err != nil || len(jars) != 1 {
		t.Fatalf("%v %v", jars, err)
	}
	work(t, start(t, "java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", jars[0]+string(os.PathListSeparator)+filepath.Join(dir, "classes"), "Peer"), quirks{})
}

func TestSMCrypto(t *testing.T) {
	dir := folder(t)
	t.Parallel()
	work(t, start(t, "node", filepath.Join("peers", "peer.js"), dir), quirks{})
}

func TestGMSSL(t *testing.T) {
	dir := folder(t)
	t.Parallel()
	work(t, start(t, "python3", filepath.Join("peers", "peer.py"), dir), quirks{defaultUID: true, noC3: true})
}

// quirks are what a peer is not asked, because it is known not to do it.
type quirks struct {
	defaultUID bool // knows no other user id
	noC3       bool // decrypts without looking at C3
}

// line is a peer that reads requests and writes answers, one a line.
type line struct {
	in  io.Writer
	out *bufio.Reader
}

func start(t *testing.T, name string, args ...string) *line {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	return &line{in, bufio.NewReaderSize(out, 1<<20)}
}

func (l *line) ask(op string, fields ...string) (string, error) {
	for i, f := range fields {
		if f == "" {
			fields[i] = "-"
		}
	}
	if _, err := io.WriteString(l.in, op+" "+strings.Join(fields, " ")+"\n"); err != nil {
		return "", err
	}
	answer, err := l.out.ReadString('\n')
	answer = strings.TrimSpace(answer)
	if answer == "-" {
		answer = ""
	}
	return answer, err
}

// openssl is the command line program; every request is a run of it.
type openssl struct {
	dir  string
	n    int
	keys map[string]string // files of keys, by hex
}

var errRefused = errors.New("refused")

func (o *openssl) run(stdin []byte, args ...string) ([]byte, error) {
	cmd := exec.Command("openssl", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.Output()
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		return nil, errRefused
	}
	return out, err
}

func (o *openssl) file(content []byte) (string, error) {
	o.n++
	path := filepath.Join(o.dir, fmt.Sprint(o.n%64))
	return path, os.WriteFile(path, content, 0o600)
}

// key gives the file of a key in PEM, made with the program's own means where it is private.
func (o *openssl) key(text string) (string, error) {
	if path := o.keys[text]; path != "" {
		return path, nil
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return "", err
	}
	block := ""
	if len(raw) == 65 {
		pub, err := keys.ParsePublic(text)
		if err != nil {
			return "", err
		}
		block = keys.FormatPublicPEM(pub)
	} else {
		k, err := keys.ParsePrivate(text)
		if err != nil {
			return "", err
		}
		der, err := asn1.Marshal(struct {
			Version int
			D       []byte
			Curve   asn1.ObjectIdentifier `asn1:"explicit,tag:0"`
			Public  asn1.BitString        `asn1:"explicit,tag:1"`
		}{1, k.Scalar(), asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301}, asn1.BitString{Bytes: k.Public().Point(), BitLength: 8 * 65}})
		if err != nil {
			return "", err
		}
		block = string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	}
	path := filepath.Join(o.dir, fmt.Sprintf("key%d.pem", len(o.keys)))
	o.keys[text] = path
	return path, os.WriteFile(path, []byte(block), 0o600)
}

// asn1Cipher is an SM2 ciphertext as GM/T 0009 writes it.
type asn1Cipher struct {
	X, Y   *big.Int
	C3, C2 []byte
}

func (o *openssl) ask(op string, f ...string) (string, error) {
	answer, err := o.answer(op, f)
	if errors.Is(err, errRefused) {
		if op == "verify" {
			return "false", nil
		}
		return "error", nil
	}
	return answer, err
}

func (o *openssl) answer(op string, f []string) (string, error) {
	b := make([][]byte, len(f))
	for i := range f {
		if op != "sm4" || i > 1 {
			var err error
			if b[i], err = hex.DecodeString(f[i]); err != nil {
				return "", err
			}
		}
	}
	switch op {
	case "sm3":
		out, err := o.run(b[0], "dgst", "-sm3", "-binary")
		return hex.EncodeToString(out), err
	case "sm4":
		way := "-e"
		if f[1] == "dec" {
			way = "-d"
		}
		args := []string{"enc", "-sm4-" + f[0], way, "-K", f[2]}
		if f[0] == "cbc" {
			args = append(args, "-iv", f[3])
		}
		out, err := o.run(b[4], args...)
		return hex.EncodeToString(out), err
	}
	key, err := o.key(f[0])
	if err != nil {
		return "", err
	}
	id := func(uid []byte) string { return "hexdistid:" + hex.EncodeToString(uid) }
	switch op {
	case "sign":
		msg, err := o.file(b[3])
		if err != nil {
			return "", err
		}
		der, err := o.run(nil, "pkeyutl", "-sign", "-rawin", "-digest", "sm3", "-inkey", key, "-pkeyopt", id(b[2]), "-in", msg)
		if err != nil {
			return "", err
		}
		sig, err := sm.ParseDER(der)
		return hex.EncodeToString(sig[:]), err
	case "verify":
		msg, err := o.file(b[2])
		if err != nil {
			return "", err
		}
		sig, err := o.file(sm.Signature(b[3]).DER())
		if err != nil {
			return "", err
		}
		_, err = o.run(nil, "pkeyutl", "-verify", "-rawin", "-digest", "sm3", "-pubin", "-inkey", key, "-pkeyopt", id(b[1]), "-in", msg, "-sigfile", sig)
		return "true", err
	case "encrypt":
		der, err := o.run(b[1], "pkeyutl", "-encrypt", "-pubin", "-inkey", key)
		if err != nil {
			return "", err
		}
		var c asn1Cipher
		if rest, err := asn1.Unmarshal(der, &c); err != nil || len(rest) > 0 {
			return "", fmt.Errorf("%x: %v", der, err)
		}
		out := make([]byte, 65, 65+len(c.C3)+len(c.C2))
		out[0] = 4
		c.X.FillBytes(out[1:33])
		c.Y.FillBytes(out[33:65])
		return hex.EncodeToString(append(append(out, c.C3...), c.C2...)), nil
	case "decrypt":
		c := b[1]
		der, err := asn1.Marshal(asn1Cipher{new(big.Int).SetBytes(c[1:33]), new(big.Int).SetBytes(c[33:65]), c[65:97], c[97:]})
		if err != nil {
			return "", err
		}
		out, err := o.run(der, "pkeyutl", "-decrypt", "-inkey", key)
		return hex.EncodeToString(out), err
	}
	return "", fmt.Errorf("no operation %q", op)
}

// bench is one peer beside our providers.
type bench struct {
	*testing.T
	p      peer
	ours   []sm.Provider
	random *rand.ChaCha8
	q      quirks
}

func (b *bench) ask(op string, fields ...string) string {
	b.Helper()
	answer, err := b.p.ask(op, fields...)
	if err != nil {
		b.Fatalf("%s: %v", op, err)
	}
	return answer
}

func (b *bench) want(what, got, want string) {
	b.Helper()
	if !strings.EqualFold(got, want) {
		b.Errorf("%s: %.80q, want %.80q", what, got, want)
	}
}

// work takes a peer through the vectors and the random cases.
func work(t *testing.T, p peer, q quirks) {
	b := &bench{T: t, p: p, random: rand.NewChaCha8([32]byte{'i', 'n', 't', 'e', 'r', 'o', 'p'}), q: q}
	for _, name := range sm.Names() {
		p, err := sm.New(name)
		if err != nil {
			t.Fatal(err)
		}
		b.ours = append(b.ours, p)
	}
	b.vectors()
	for n := range cases {
		b.one(n)
		if t.Failed() {
			t.Fatalf("in case %d", n)
		}
	}
}

// bytes gives from least to most random bytes; the lengths that lie at the edge of a block come often.
func (b *bench) bytes(least, most int) []byte {
	n := least + int(b.random.Uint64()%uint64(most-least+1))
	if b.random.Uint64()%3 == 0 {
		n = min(max(n/16*16, least), most)
	}
	out := make([]byte, n)
	_, _ = b.random.Read(out) // never fails
	return out
}

func (b *bench) one(n int) {
	key, err := sm.GenerateKey(b.random)
	if err != nil {
		b.Fatal(err)
	}
	d, pub := hex.EncodeToString(key.Scalar()), hex.EncodeToString(key.Public().Point())
	msg, uid := b.bytes(0, 300), []byte(sm.DefaultUID)
	if n%4 == 3 && !b.q.defaultUID {
		uid = []byte(fmt.Sprintf("caller-%d-%d", n, b.random.Uint64()))
	}
	b.signatures(n, key, d, pub, uid, msg)
	// Not shorter: the key stream of a very short text can be all zeros, with which peers deal
	// differently, and their nonces are their own.
	b.ciphertexts(n, key, d, pub, b.bytes(16, 120))
	b.sm4(n, b.bytes(16, 16), b.bytes(16, 16), msg)
	digest := b.ask("sm3", hex.EncodeToString(msg))
	for _, p := range b.ours {
		sum := p.SM3(msg)
		b.want("SM3 "+p.Name(), hex.EncodeToString(sum[:]), digest)
	}
}

func (b *bench) signatures(n int, key *sm.PrivateKey, d, pub string, uid, msg []byte) {
	text, id := hex.EncodeToString(msg), hex.EncodeToString(uid)
	theirs, err := hex.DecodeString(b.ask("sign", d, pub, id, text))
	if err != nil || len(theirs) != len(sm.Signature{}) {
		b.Fatalf("a signature of %d bytes: %v", len(theirs), err)
	}
	changed := append([]byte{^byte(n)}, msg...)
	for i, p := range b.ours {
		if err := p.Verify(key.Public(), uid, msg, sm.Signature(theirs)); err != nil {
			b.Errorf("%s does not verify what the peer signed: %v", p.Name(), err)
		}
		if p.Verify(key.Public(), uid, changed, sm.Signature(theirs)) == nil {
			b.Errorf("%s verifies another message", p.Name())
		}
		sig, err := p.Sign(b.random, key, uid, msg)
		if err != nil {
			b.Fatal(err)
		}
		b.want("the peer verifies "+p.Name(), b.ask("verify", pub, id, text, hex.EncodeToString(sig[:])), "true")
		if n%2 == i {
			b.want("the peer verifies another message", b.ask("verify", pub, id, hex.EncodeToString(changed), hex.EncodeToString(sig[:])), "false")
		}
	}
}

func (b *bench) ciphertexts(n int, key *sm.PrivateKey, d, pub string, msg []byte) {
	text := hex.EncodeToString(msg)
	theirs, err := hex.DecodeString(b.ask("encrypt", pub, text))
	if err != nil {
		b.Fatal(err)
	}
	for i, p := range b.ours {
		got, err := p.Decrypt(key, theirs, sm.C1C3C2)
		if err != nil || !bytes.Equal(got, msg) {
			b.Errorf("%s does not decrypt what the peer encrypted: %v", p.Name(), err)
		}
		ours, err := p.Encrypt(b.random, key.Public(), msg, sm.C1C3C2)
		if err != nil {
			b.Fatal(err)
		}
		b.want("the peer decrypts "+p.Name(), b.ask("decrypt", d, hex.EncodeToString(ours)), text)
		ours[65+n%32] ^= 1 // in C3
		if _, err := p.Decrypt(key, ours, sm.C1C3C2); err == nil {
			b.Errorf("%s decrypts what was changed", p.Name())
		}
		if n%2 == i && !b.q.noC3 {
			b.want("the peer decrypts what was changed", b.ask("decrypt", d, hex.EncodeToString(ours)), "error")
		}
	}
}

func (b *bench) sm4(n int, key, iv, msg []byte) {
	mode, text := [2]string{"ecb", "cbc"}[n%2], hex.EncodeToString(msg)
	ivText := ""
	if mode == "cbc" {
		ivText = hex.EncodeToString(iv)
	}
	theirs := b.ask("sm4", mode, "enc", hex.EncodeToString(key), ivText, text)
	raw, err := hex.DecodeString(theirs)
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range b.ours {
		enc, dec := func() ([]byte, error) { return sm.ECBEncrypt(p, key, msg) }, func() ([]byte, error) { return sm.ECBDecrypt(p, key, raw) }
		if mode == "cbc" {
			enc, dec = func() ([]byte, error) { return sm.CBCEncrypt(p, key, iv, msg) }, func() ([]byte, error) { return sm.CBCDecrypt(p, key, iv, raw) }
		}
		ours, err := enc()
		if err != nil {
			b.Fatal(err)
		}
		b.want("SM4 "+mode+" "+p.Name(), hex.EncodeToString(ours), theirs)
		if got, err := dec(); err != nil || !bytes.Equal(got, msg) {
			b.Errorf("%s does not decrypt SM4 %s of the peer: %v", p.Name(), mode, err)
		}
	}
	b.want("the peer decrypts SM4 "+mode, b.ask("sm4", mode, "dec", hex.EncodeToString(key), ivText, theirs), text)
}

// vectors gives the published messages to the peer: it verifies their signatures and reads what they
// encrypt. That our providers do so is tested where the vectors are.
func (b *bench) vectors() {
	var file struct {
		Positive []struct {
			ID, SignString, SM2UID, SignRawHex, EncDataHexUpper, EncData string
			Key                                                          struct{ DHex, PubHex string }
			SM4Key                                                       map[string]string
		}
	}
	if err := json.Unmarshal(vectors.Embedded, &file); err != nil {
		b.Fatal(err)
	}
	signed, opened := 0, 0
	for _, v := range file.Positive {
		if v.SignRawHex == "" || v.Key.PubHex == "" {
			continue
		}
		if !b.q.defaultUID || v.SM2UID == sm.DefaultUID {
			signed++
			b.want(v.ID, b.ask("verify", v.Key.PubHex, hex.EncodeToString([]byte(v.SM2UID)), hex.EncodeToString([]byte(v.SignString)), v.SignRawHex), "true")
		}
		key, enc := v.SM4Key["keyAscii"], v.EncData
		if key == "" || enc == "" {
			continue
		}
		opened++
		plain := b.ask("sm4", "ecb", "dec", hex.EncodeToString([]byte(key)), "", strings.ToLower(enc))
		ours, err := sm.ECBDecrypt(b.ours[0], []byte(key), unhex(b.T, enc))
		if err != nil {
			b.Errorf("%s: %v", v.ID, err)
		}
		b.want(v.ID+" encData", plain, hex.EncodeToString(ours))
	}
	if signed < 10 || opened < 10 {
		b.Errorf("only %d signatures and %d ciphertexts among the vectors", signed, opened)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
