package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yiqiao/crypto/doctor"
	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
)

const (
	doctorSecret = "Sq8vT2mNx4LpZ7wKc1RbYd6HgJf3Ue9A"
	doctorHead   = `appId=DEMOAPP000000001&data={"amt":"0.10","name":"测试\u0007"}&timestamp=1707593788918`
	doctorBody   = `{"appId":"DEMOAPP000000001","timestamp":"1707593788918","data":{"name":"测试\u0007","amt":0.10}}`
)

// doctorFiles writes the files of a case; files maps names to contents.
func doctorFiles(t *testing.T) (dir string, own, platform *sm.PrivateKey) {
	t.Helper()
	dir = t.TempDir()
	var err error
	if own, err = sm.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	if platform, err = sm.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"req.json": doctorBody, "secret": doctorSecret + "\n", "own.key": keys.FormatPrivate(own), "own.pub": keys.FormatPublic(own.Public()),
		"platform.pub": keys.FormatPublic(platform.Public()),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, own, platform
}

func signText(t *testing.T, k *sm.PrivateKey, uid, text string) sm.Signature {
	t.Helper()
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	sig, err := p.Sign(rand.Reader, k, []byte(uid), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func TestDoctorSign(t *testing.T) {
	dir, own, platform := doctorFiles(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	right := doctorHead + "&key=" + doctorSecret
	good := signText(t, own, sm.DefaultUID, right)
	bad := signText(t, own, doctorSecret, strings.Replace(right, "0.10", "0.1", 1))
	theirs := signText(t, own, sm.DefaultUID, right)
	if err := os.WriteFile(at("theirs.txt"), []byte(doctorHead+"&key=***\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("sig"), []byte(base64.StdEncoding.EncodeToString(good[:])+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := signText(t, platform, sm.DefaultUID, "something else")
	base := []string{"doctor", "sign", "--message", at("req.json"), "--app-secret-file", at("secret")}
	var all strings.Builder
	for _, c := range []struct {
		name string
		args []string
		exit int
		want []string
	}{
		{"shown", []string{"--key-file", at("own.key")}, exitOK, []string{"key=***", "测试", "用户标识", "base64 DER", "encData"}},
		{"good", []string{"--public-key-file", at("own.pub"), "--expect", "@" + at("sig")}, exitOK, []string{"符合规范"}},
		{"two deviations", []string{"--public-key-file", at("own.pub"), "--expect", hex.EncodeToString(bad.DER())}, exitNo,
			[]string{"number-shortest", "uid-appsecret", "form-der", "form-hex", "user_id"}},
		{"swapped keys", []string{"--public-key-file", at("platform.pub"), "--key-file", at("own.key"), "--expect", base64.StdEncoding.EncodeToString(theirs[:])}, exitNo,
			[]string{"signer-own-key", "keys-not-a-pair", "peer_keys"}},
		{"no match", []string{"--public-key-file", at("own.pub"), "--expect", base64.StdEncoding.EncodeToString(wrong[:])}, exitNo,
			[]string{"没有吻合", "还要核对", "check-string", "tried"}},
		{"string", []string{"--expect-string", at("theirs.txt")}, exitOK, []string{"签名串 / signing string: 符合规范"}},
		{"user id", []string{"--public-key-file", at("own.pub"), "--user-id", "X", "--try-user-id", "Y", "--expect", base64.StdEncoding.EncodeToString(good[:])}, exitNo, []string{"uid-default"}},
	} {
		for _, asJSON := range []bool{false, true} {
			args := append(append([]string(nil), base...), c.args...)
			if asJSON {
				args = append(args, "--json")
			}
			code, out, errs := yiqiao(t, "", args...)
			all.WriteString(out + errs)
			if code != c.exit {
				t.Errorf("%s: exit %d %s %s", c.name, code, out, errs)
			}
			if asJSON {
				var r doctor.Report
				if err := json.Unmarshal([]byte(out), &r); err != nil || r.Verdict == "" {
					t.Errorf("%s: %v %s", c.name, err, out)
				}
				continue
			}
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("%s: no %q in\n%s", c.name, w, out)
				}
			}
		}
	}
	d := own.Scalar()
	for _, secret := range []string{doctorSecret, strings.ToLower(doctorSecret), doctorSecret[:16], keys.FormatPrivate(own), hex.EncodeToString(d),
		strings.ToUpper(hex.EncodeToString(d)), hex.EncodeToString([]byte(doctorSecret))} {
		if strings.Contains(all.String(), secret) {
			t.Errorf("a secret of %d characters is shown", len(secret))
		}
	}
}

func TestDoctorSignReadsStandardInput(t *testing.T) {
	dir, own, _ := doctorFiles(t)
	sig := signText(t, own, sm.DefaultUID, "a=1\x1b[2J&key="+doctorSecret)
	code, out, errs := yiqiao(t, "a=1\x1b[2J&key=***", "doctor", "sign", "--message", "-", "--app-secret-file", filepath.Join(dir, "secret"),
		"--public-key-file", filepath.Join(dir, "own.pub"), "--expect", base64.StdEncoding.EncodeToString(sig[:]))
	if code != exitOK || !strings.Contains(out, `a=1\x1b[2J&key=***`) || strings.Contains(out, "\x1b") {
		t.Errorf("%d %q %s", code, out, errs)
	}
}

func TestDoctorSignRefuses(t *testing.T) {
	dir, _, _ := doctorFiles(t)
	req := filepath.Join(dir, "req.json")
	for _, args := range [][]string{
		{}, {"--message", filepath.Join(dir, "none")}, {"--message", "-", "--expect-string", "-"}, {"--message", req, "--app-secret-file", dir},
		{"--message", req, "--expect", "@" + filepath.Join(dir, "none")}, {"--message", req, "--public-key-file", filepath.Join(dir, "none")}, {"--message", req, "more"},
	} {
		if code, _, errs := yiqiao(t, "", append([]string{"doctor", "sign"}, args...)...); code != exitFail || errs == "" {
			t.Errorf("%v: %d %q", args, code, errs)
		}
	}
}
