// Package service holds what is known of the centres beside the core one, as data: where each of their
// transactions goes and how its reply is read. One YAML file each, embedded, and a reader for an
// operator's own.
//
// A transaction of such a centre travels in an envelope (mpc, epc) without the outer message of the core
// interface, and its URL says what it is.
package service

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

//go:embed *.yaml
var files embed.FS

const maxFile = 1 << 20 // bytes

// Names lists the embedded services in order.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// Load gives the embedded service of that name.
func Load(name string) (gateway.Service, error) {
	if !slices.Contains(Names(), name) {
		return gateway.Service{}, fmt.Errorf("service: no service %q; there are %s", name, strings.Join(Names(), ", "))
	}
	b, err := files.ReadFile(path.Clean(name) + ".yaml")
	if err != nil {
		return gateway.Service{}, fmt.Errorf("service: %s: %w", name, err)
	}
	return Read(bytes.NewReader(b))
}

// Read reads one service, strictly: one YAML document of at most 1 MiB, no unknown keys, no path that
// leaves its prefix or that two transactions share. The error lists everything that is wrong.
func Read(src io.Reader) (gateway.Service, error) {
	var s gateway.Service
	b, err := io.ReadAll(io.LimitReader(src, maxFile+1))
	switch {
	case err != nil:
		return s, fmt.Errorf("service: %w", err)
	case len(b) > maxFile:
		return s, fmt.Errorf("service: more than %d bytes", maxFile)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil {
		return gateway.Service{}, fmt.Errorf("service: %s", strings.Join(strings.Fields(err.Error()), " "))
	}
	var more any
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return gateway.Service{}, errors.New("service: more than one document")
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if s.Name == "" || len(s.Transactions) == 0 {
		fault("name or transactions are missing")
	}
	taken := map[string]ident.Infno{}
	for _, n := range slices.Sorted(maps.Keys(s.Transactions)) {
		t := s.Transactions[n]
		if _, err := ident.ParseInfno(string(n)); err != nil {
			fault("%q is not a transaction number", n)
		}
		if t.Path == "" || t.Path != strings.TrimPrefix(path.Clean("/"+t.Path), "/") || strings.ContainsAny(t.Path, "?#%\\ \r\n\t") {
			fault("%s: path %q must be a relative one, without query and escapes", n, t.Path)
		}
		if other, ok := taken[t.Path]; ok {
			fault("%s and %s have the same path", other, n)
		}
		taken[t.Path] = n
		if st := t.Status; st != nil && (st.Member == "" || len(st.Done) == 0) {
			fault("%s: status needs a member and what it is when done", n)
		}
	}
	if len(faults) > 0 {
		return gateway.Service{}, fmt.Errorf("service: %w", errors.Join(faults...))
	}
	return s, nil
}

// Check holds a service against the catalogue: every transaction is there, and its node.
func Check(s gateway.Service, c *catalog.Catalog) error {
	var faults []error
	for n, t := range s.Transactions {
		tx, ok := c.Lookup(n)
		if !ok {
			faults = append(faults, fmt.Errorf("service %s: no transaction %s", s.Name, n))
			continue
		}
		if _, ok := tx.Node(catalog.Input, t.Node); !ok && len(tx.Input) > 0 {
			faults = append(faults, fmt.Errorf("service %s: %s has no input node %q", s.Name, n, t.Node))
		}
	}
	return errors.Join(faults...)
}
