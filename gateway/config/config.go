// Package config reads configuration files strictly: unknown keys, wrong types, missing secrets and
// left-over documents are errors that name the file, the line and the key. It knows mechanics only;
// what the keys mean belongs to whoever declares the struct.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds a configuration or secret file, bytes.
const maxFile = 1 << 20

// Load reads the YAML file at path into v, a pointer to a struct with yaml tags. Keys that v does
// not declare are refused.
func Load(path string, v any) error {
	b, err := readFile(path)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	return Decode(path, b, v)
}

// Decode reads YAML text that came from path as Load does.
func Decode(path string, b []byte, v any) error {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("config: %s is empty", path)
		}
		return fmt.Errorf("config: %s: %s", path, oneLine(err))
	}
	var more any
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return fmt.Errorf("config: %s: more than one document", path)
	}
	return nil
}

var unknownKey = regexp.MustCompile(`^(line \d+): field (\S+) not found in type`)

// oneLine turns a yaml error, which may span lines, into one.
//
// An unknown key is named without the Go type it was looked for in.
func oneLine(err error) string {
	s := strings.TrimPrefix(err.Error(), "yaml: ")
	s = strings.TrimPrefix(s, "unmarshal errors:\n")
	parts := strings.Split(s, "\n")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
		if m := unknownKey.FindStringSubmatch(parts[i]); m != nil {
			parts[i] = m[1] + ": 未知的键 " + m[2] + " / unknown key " + m[2]
		}
	}
	return strings.Join(parts, "; ")
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return b, nil
}

// Duration reads "180s", "10m" and the like.
type Duration time.Duration

// UnmarshalYAML implements yaml.Unmarshaler.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || v < 0 {
		return fmt.Errorf("line %d: %q is not a duration such as 180s", n.Line, n.Value)
	}
	*d = Duration(v)
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (d Duration) MarshalYAML() (any, error) { return time.Duration(d).String(), nil }

// Or is d, or def when d is zero.
func (d Duration) Or(def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return time.Duration(d)
}

// Secret says where a secret is: "file:PATH" (relative to the configuration file) or "env:NAME".
// The secret itself is never written into a configuration file and a Secret never prints one.
type Secret string

// Set reports whether a place was given.
func (s Secret) Set() bool { return s != "" }

// Place is what stands before and behind the colon: "file" and a path, "env" and a name, or a kind of
// place that the program's wiring knows. "" and "" when there is no colon.
func (s Secret) Place() (kind, rest string) {
	kind, rest, ok := strings.Cut(string(s), ":")
	if !ok {
		return "", ""
	}
	return kind, rest
}

// Resolve reads the secret; base is the folder of the configuration file. White space around the
// content is dropped. An empty secret is an error.
func (s Secret) Resolve(base string) (string, error) {
	kind, rest, ok := strings.Cut(string(s), ":")
	switch {
	case s == "":
		return "", errors.New("config: secret is not set")
	case ok && kind == "env":
		v := strings.TrimSpace(os.Getenv(rest))
		if v == "" {
			return "", fmt.Errorf("config: environment variable %s is not set", rest)
		}
		return v, nil
	case ok && kind == "file":
		p := rest
		if !filepath.IsAbs(p) {
			p = filepath.Join(base, p)
		}
		b, err := readFile(p)
		if err != nil {
			return "", fmt.Errorf("config: secret: %w", err)
		}
		v := strings.TrimSpace(string(b))
		if v == "" {
			return "", fmt.Errorf("config: secret file %s is empty", p)
		}
		return v, nil
	}
	return "", errors.New("config: a secret must be given as file:PATH or env:NAME")
}
