package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type sample struct {
	Listen string   `yaml:"listen"`
	Wait   Duration `yaml:"wait"`
	Token  Secret   `yaml:"token"`
	Inner  struct {
		Names []string `yaml:"names"`
	} `yaml:"inner"`
}

func write(t *testing.T, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLoad(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"good", "listen: a\nwait: 3s\ninner:\n  names: [x]\n", ""},
		{"unknown key", "listen: a\nlisten_port: 3\n", "listen_port"},
		{"unknown inner key", "inner:\n  name: x\n", "name"},
		{"duplicate key", "listen: a\nlisten: b\n", "already defined"},
		{"wrong type", "inner: 3\n", "cannot unmarshal"},
		{"bad duration", "wait: soon\n", "not a duration"},
		{"negative duration", "wait: -1s\n", "not a duration"},
		{"second document", "listen: a\n---\nlisten: b\n", "more than one document"},
		{"empty", "", "is empty"},
		{"binary", "\x00\x01", "config:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s sample
			err := Load(write(t, c.text), &s)
			if c.want == "" {
				if err != nil || s.Wait != Duration(3*time.Second) {
					t.Fatalf("got %+v, %v", s, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error about %q", err, c.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error spans lines: %q", err)
			}
		})
	}
}

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "k"), []byte(" s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("YQ_TEST_SECRET", "from-env")
	for in, want := range map[Secret]string{"file:k": "s3cret", "env:YQ_TEST_SECRET": "from-env"} {
		if got, err := in.Resolve(dir); err != nil || got != want {
			t.Errorf("%s: got %q, %v", in, got, err)
		}
	}
	for _, in := range []Secret{"", "s3cret", "file:none", "env:YQ_TEST_NOT_SET"} {
		got, err := in.Resolve(dir)
		if err == nil {
			t.Errorf("%q: got %q, want an error", in, got)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error shows the secret: %v", err)
		}
	}
}
