package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/term"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/gateway/config"
)

// keysSettings say where keys are that do not lie in files of their own.
type keysSettings struct {
	File       string                    `yaml:"file"`       // sealed key file; its keys are named key:NAME
	Passphrase config.Secret             `yaml:"passphrase"` // none: asked for at the terminal
	Devices    map[string]deviceSettings `yaml:"devices"`    // keys in HSMs and cryptographic services, named hsm:NAME
}

// deviceSettings name one key in a device.
type deviceSettings struct {
	Kind   string        `yaml:"kind"`
	URL    string        `yaml:"url"`
	Key    string        `yaml:"key"`    // the key's name or number in the device
	Secret config.Secret `yaml:"secret"` // PIN or token
}

// deviceKinds is the list of what can be plugged in, name -> constructor. A maker's library is one
// package that fills keys.Private, and one line here.
func deviceKinds() map[string]func(d deviceSettings, secret string) (keys.Private, error) {
	return map[string]func(deviceSettings, string) (keys.Private, error){}
}

// secrets finds secrets and keys at the places a configuration names: file:PATH, env:NAME,
// key:NAME (in the sealed key file) and hsm:NAME (a device). It belongs to one goroutine.
type secrets struct {
	base  string
	s     keysSettings
	p     sm.Provider
	ask   func(what string) ([]byte, error)
	kinds map[string]func(deviceSettings, string) (keys.Private, error)

	ring    *keys.Ring // opened when first needed
	devices map[string]keys.Private
}

func newSecrets(base string, s keysSettings) *secrets {
	return &secrets{base: base, s: s, ask: askPassphrase, kinds: deviceKinds(), devices: map[string]keys.Private{}}
}

// close zeroes what was opened; what is asked for later is opened anew.
func (s *secrets) close() {
	if s.ring != nil {
		s.ring.Close()
		s.ring = nil
		debug.FreeOSMemory() // stretching the passphrase took 64 MiB
	}
}

// text is the secret at a place.
func (s *secrets) text(at config.Secret) (string, error) {
	kind, name := at.Place()
	switch kind {
	case "key":
		r, err := s.open()
		if err != nil {
			return "", err
		}
		text, err := r.Text(name)
		if err != nil {
			return "", fmt.Errorf("%s: %w", s.s.File, err)
		}
		return text, nil
	case "hsm":
		return "", fmt.Errorf("hsm:%s never gives its key away: only private_key and journal.key can be there", name)
	}
	text, err := at.Resolve(s.base)
	if err == nil && keys.IsSealed([]byte(text)) {
		return "", fmt.Errorf("%s 是加密的密钥文件: 写在 keys.file, 并以 key:名称 引用 / is a sealed key file: give it as keys.file and write key:NAME", at)
	}
	return text, err
}

// old are the texts that a place held before and that still open or verify what was made with them.
func (s *secrets) old(at config.Secret) ([]string, error) {
	kind, name := at.Place()
	if kind != "key" {
		return nil, nil
	}
	r, err := s.open()
	if err != nil {
		return nil, err
	}
	return r.OldTexts(name)
}

// private is the private key at a place, wherever it lives.
func (s *secrets) private(p sm.Provider, at config.Secret) (keys.Private, error) {
	if kind, name := at.Place(); kind == "hsm" {
		return s.device(p, name)
	}
	text, err := s.text(at)
	if err != nil {
		return nil, err
	}
	k, err := keys.ParsePrivate(text)
	if err != nil {
		return nil, err
	}
	return keys.Soft(p, k)
}

// public is the public key at a place, and those it held before: what was signed with the old key just
// before a change still verifies.
func (s *secrets) public(at config.Secret) ([]*sm.PublicKey, error) {
	text, err := s.text(at)
	if err != nil {
		return nil, err
	}
	old, err := s.old(at)
	if err != nil {
		return nil, err
	}
	var list []*sm.PublicKey
	for _, text := range append([]string{text}, old...) {
		k, err := keys.ParsePublic(text)
		if err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, nil
}

// device opens a key in a device and proves that it is there.
func (s *secrets) device(p sm.Provider, name string) (keys.Private, error) {
	if k := s.devices[name]; k != nil {
		return k, nil
	}
	d, ok := s.s.Devices[name]
	if !ok {
		return nil, fmt.Errorf("keys.devices has no %q", name)
	}
	open := s.kinds[d.Kind]
	if open == nil {
		return nil, fmt.Errorf("keys.devices.%s: 没有此类设备 / no kind of device %q in this program", name, d.Kind)
	}
	pin := ""
	if d.Secret.Set() {
		var err error
		if pin, err = s.text(d.Secret); err != nil {
			return nil, fmt.Errorf("keys.devices.%s.secret: %w", name, err)
		}
	}
	k, err := open(d, pin)
	if err == nil {
		err = keys.Try(p, rand.Reader, k)
	}
	if err != nil {
		return nil, fmt.Errorf("keys.devices.%s: %w", name, err)
	}
	s.devices[name] = k
	return k, nil
}

// open gives the sealed key file's ring.
func (s *secrets) open() (*keys.Ring, error) {
	if s.ring != nil {
		return s.ring, nil
	}
	if s.s.File == "" {
		return nil, errors.New("keys.file is missing: key:NAME is a key in a sealed key file")
	}
	path := s.s.File
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.base, path)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("keys.file: %w", err)
	}
	pass, err := s.passphrase("密钥文件口令 / passphrase of " + s.s.File)
	if err != nil {
		return nil, fmt.Errorf("keys.passphrase: %w", err)
	}
	defer clear(pass)
	p := s.p
	if p == nil {
		if p, err = sm.New(""); err != nil {
			return nil, err
		}
	}
	r, err := keys.ReadRing(p, path, pass)
	if errors.Is(err, keys.ErrPassphrase) {
		return nil, fmt.Errorf("keys.file %s: 口令不对, 或文件被改动: %w", s.s.File, err)
	}
	if err != nil {
		return nil, fmt.Errorf("keys.file %s: %w", s.s.File, err)
	}
	s.ring = r
	return r, nil
}

func (s *secrets) passphrase(what string) ([]byte, error) {
	if s.s.Passphrase.Set() {
		if kind, _ := s.s.Passphrase.Place(); kind == "key" || kind == "hsm" {
			return nil, errors.New("must be file:PATH or env:NAME")
		}
		text, err := s.s.Passphrase.Resolve(s.base)
		return []byte(text), err
	}
	return s.ask(what)
}

// askPassphrase asks at the terminal, without echo.
func askPassphrase(what string) ([]byte, error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return nil, errors.New("没有给出口令, 也没有终端可问: 用 file:PATH 或 env:NAME / no passphrase is given and there is no terminal to ask at")
	}
	fmt.Fprintf(os.Stderr, "%s: ", what)
	b, err := term.ReadPassword(fd)
	fmt.Fprintln(os.Stderr)
	if err != nil {
		return nil, err
	}
	if b = bytes.TrimSpace(b); len(b) == 0 {
		return nil, errors.New("空口令 / empty passphrase")
	}
	return b, nil
}

// newPassphrase asks for one twice.
func newPassphrase() ([]byte, error) {
	a, err := askPassphrase("新口令 / new passphrase")
	if err != nil {
		return nil, err
	}
	b, err := askPassphrase("再输一次 / again")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(a, b) {
		return nil, errors.New("两次输入不同 / the two differ")
	}
	return a, nil
}

// passphraseEnv is where a passphrase may be given to every command.
const passphraseEnv = "YIQIAO_PASSPHRASE"

// readPassphrase reads the passphrase of a command: from a file, from the environment, else at the
// terminal, twice when it is a new one.
func readPassphrase(file string, fresh bool) ([]byte, error) {
	switch {
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, 64<<10))
		if err != nil {
			return nil, err
		}
		if b = bytes.TrimSpace(b); len(b) == 0 {
			return nil, fmt.Errorf("%s 是空的 / is empty", file)
		}
		return b, nil
	case strings.TrimSpace(os.Getenv(passphraseEnv)) != "":
		return []byte(strings.TrimSpace(os.Getenv(passphraseEnv))), nil
	case fresh:
		return newPassphrase()
	}
	return askPassphrase("密钥文件口令 / passphrase")
}

// faults tells what is wrong with the settings.
func (s keysSettings) faults() (list []string) {
	if s.File == "" && s.Passphrase.Set() {
		list = append(list, "keys.passphrase belongs to keys.file, which is missing")
	}
	for name, d := range s.Devices {
		if d.Kind == "" {
			list = append(list, "keys.devices."+name+".kind is missing")
		}
	}
	slices.Sort(list)
	return list
}
