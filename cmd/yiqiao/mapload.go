package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"yiqiao/adapters/his/dbview"
	"yiqiao/adapters/his/fhir"
	"yiqiao/adapters/his/files"
	"yiqiao/adapters/his/hl7"
	"yiqiao/adapters/his/soap"
	"yiqiao/adapters/his/tabular"
	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/gateway/mapping"
	"yiqiao/gateway/mapping/defs"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/codes"
)

// sourceKind is one form a HIS may speak: how its places are named, and how a file of it is read.
type sourceKind struct {
	name     string
	notation gateway.Notation
	endings  []string // of its cases
	read     func(b []byte) ([]gateway.Source, error)
	rows     bool   // it is read by the layout beside the definition instead
	shipped  string // the definition that is taken when none is given
}

// sourceKinds is the one list of what `yiqiao map` reads.
func sourceKinds() []sourceKind {
	return []sourceKind{
		{name: "hl7", notation: hl7.Notation{}, endings: []string{".hl7"}, read: hl7Sources, shipped: "generic-hl7"},
		{name: "xml", notation: soap.Notation{}, endings: []string{".xml"}, read: xmlSources, shipped: "generic-xml"},
		{name: "fhir", notation: fhir.Notation{}, endings: []string{".fhir"}, read: fhirSources(), shipped: "generic-fhir"},
		{name: files.Kind, notation: tabular.Notation{Kind: files.Kind}, endings: []string{".csv", ".tsv", ".txt", ".xlsx", ".jsonl"}, rows: true, shipped: "generic-csv"},
		{name: dbview.Kind, notation: tabular.Notation{Kind: dbview.Kind}, endings: []string{".jsonl"}, rows: true, shipped: "generic-sql"},
	}
}

func notations() []gateway.Notation {
	var list []gateway.Notation
	for _, k := range sourceKinds() {
		list = append(list, k.notation)
	}
	return list
}

func kindOf(source string) (sourceKind, error) {
	var names []string
	for _, k := range sourceKinds() {
		if k.name == source {
			return k, nil
		}
		names = append(names, k.name)
	}
	return sourceKind{}, fmt.Errorf("--source 须为 %[1]s 之一 / must be one of %[1]s", strings.Join(names, ", "))
}

// hl7Sources reads a file of one or more messages, with or without MLLP frames.
func hl7Sources(b []byte) ([]gateway.Source, error) {
	text := strings.NewReplacer("\x0b", "\r", "\x1c\r", "\r", "\x1c", "\r").Replace(string(b))
	batch, err := hl7.Split([]byte(text))
	if err != nil {
		return nil, err
	}
	var list []gateway.Source
	for i, raw := range batch.Messages {
		m, err := hl7.Parse(raw, "")
		if err != nil {
			return nil, fmt.Errorf("第 %[1]d 条 / message %[1]d: %[2]w", i+1, err)
		}
		list = append(list, hl7.Source(m))
	}
	return list, nil
}

// xmlSources reads one document, in a SOAP envelope or plain.
func xmlSources(b []byte) ([]gateway.Source, error) {
	src, err := soap.Read(b)
	if err != nil {
		return nil, err
	}
	return []gateway.Source{src}, nil
}

// fhirSources reads one document; known are modifier extensions that are understood.
func fhirSources(known ...string) func([]byte) ([]gateway.Source, error) {
	return func(b []byte) ([]gateway.Source, error) {
		src, err := fhir.Read(b, known...)
		if err != nil {
			return nil, err
		}
		return []gateway.Source{src}, nil
	}
}

// definition is a mapping and where it lies.
type definition struct {
	*mapping.Definition
	fsys   fs.FS  // its folder: mapping.yaml, items, cases
	folder string // "" when it is shipped
	kind   sourceKind
}

// findDefinition is the folder of a definition: one that is shipped, by name, or a path.
func findDefinition(where string) (fsys fs.FS, folder, file string, err error) {
	if !strings.ContainsAny(where, `/\.`) {
		if sub, err := fs.Sub(defs.FS, where); err == nil {
			if _, err := fs.Stat(sub, mapping.File); err == nil {
				return sub, "", where + "/" + mapping.File, nil
			}
		}
	}
	if st, err := os.Stat(where); err == nil && !st.IsDir() {
		where = filepath.Dir(where)
	}
	if _, err := os.Stat(filepath.Join(where, mapping.File)); err != nil {
		return nil, "", "", fmt.Errorf("没有映射 %[1]q: 应为随程序提供的名称 (%[2]s) 或含 %[3]s 的文件夹 / no mapping %[1]q: %[4]w",
			where, strings.Join(shippedNames(), ", "), mapping.File, err)
	}
	return os.DirFS(where), where, filepath.ToSlash(filepath.Join(where, mapping.File)), nil
}

func shippedNames() []string {
	var names []string
	list, _ := fs.ReadDir(defs.FS, ".")
	for _, e := range list {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// loadDefinition loads a mapping with its table of items: the file given, or items.csv, items.tsv or
// items.xlsx in the mapping's folder.
func loadDefinition(where, items string) (*definition, error) {
	cat, err := catalog.Default()
	if err != nil {
		return nil, err
	}
	tables, err := codes.Default()
	if err != nil {
		return nil, err
	}
	return loadDefinitionIn(where, items, cat, tables)
}

// loadDefinitionIn holds it against other tables than the published ones.
func loadDefinitionIn(where, items string, cat *catalog.Catalog, tables *codes.Tables) (*definition, error) {
	fsys, folder, file, err := findDefinition(where)
	if err != nil {
		return nil, err
	}
	text, err := fs.ReadFile(fsys, mapping.File)
	if err != nil {
		return nil, err
	}
	o := mapping.Options{Notations: notations(), Catalog: cat, Tables: tables}
	if o.Items, err = loadItems(fsys, items); err != nil {
		return nil, err
	}
	d, err := mapping.Load(file, text, mapping.Folder(defs.FS), o)
	if err != nil {
		return nil, err
	}
	kind, err := kindOf(d.Source)
	return &definition{d, fsys, folder, kind}, err
}

// read gives the messages of a file. name is the file's.
func (d *definition) read(name string, b []byte) ([]gateway.Source, error) {
	if !d.kind.rows {
		return d.kind.read(b)
	}
	l, err := d.layout()
	if err != nil {
		return nil, err
	}
	msgs, err := files.Read(filepath.ToSlash(name), b, l)
	if err != nil {
		return nil, err
	}
	var list []gateway.Source
	for _, m := range msgs {
		list = append(list, m.Source(d.kind.name))
	}
	return list, nil
}

// layoutFile lies beside a mapping of rows; a mapping without one has that of the mapping it extends.
const layoutFile = "layout.yaml"

func loadLayout(fsys fs.FS) (l files.Layout, err error) {
	if err = decodeLayout(fsys, &l); err == nil {
		err = l.Check()
	}
	return l, err
}

// loadView is the layout of a mapping for databases.
func loadView(fsys fs.FS) (v dbview.View, err error) {
	if err = decodeLayout(fsys, &v); err == nil {
		err = v.Check()
	}
	return v, err
}

// layout is how files of the definition's cases are read.
func (d *definition) layout() (files.Layout, error) {
	if d.kind.name != dbview.Kind {
		return loadLayout(d.fsys)
	}
	v, err := loadView(d.fsys)
	return v.Cases(), err
}

func decodeLayout(fsys fs.FS, into any) error {
	for range 8 {
		b, err := fs.ReadFile(fsys, layoutFile)
		if err == nil {
			return config.Decode(layoutFile, b, into)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		var head struct {
			Extends string `yaml:"extends"`
		}
		text, err := fs.ReadFile(fsys, mapping.File)
		if err != nil {
			return err
		}
		if err := yaml.Unmarshal(text, &head); err != nil || head.Extends == "" {
			break
		}
		if fsys, err = fs.Sub(defs.FS, head.Extends); err != nil {
			return err
		}
	}
	return fmt.Errorf("映射旁没有 %[1]s / no %[1]s beside the mapping", layoutFile)
}

func loadItems(fsys fs.FS, given string) (gateway.Items, error) {
	if given != "" {
		b, err := os.ReadFile(given)
		if err != nil {
			return nil, err
		}
		t, err := mapping.ReadItems(given, b)
		if err != nil {
			return nil, err
		}
		return t, nil
	}
	for _, name := range []string{"items.csv", "items.tsv", "items.xlsx"} {
		b, err := fs.ReadFile(fsys, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		t, err := mapping.ReadItems(name, b)
		if err != nil {
			return nil, err
		}
		return t, nil
	}
	return nil, nil
}

// stampOf changes when a file of a folder does; shipped definitions do not change.
func stampOf(folder string, files ...string) string {
	var b strings.Builder
	for _, name := range []string{mapping.File, "items.csv", "items.tsv", "items.xlsx"} {
		if folder != "" {
			files = append(files, filepath.Join(folder, name))
		}
	}
	for _, f := range files {
		if st, err := os.Stat(f); err == nil {
			fmt.Fprintf(&b, "%s %d %d;", f, st.Size(), st.ModTime().UnixNano())
		}
	}
	return b.String()
}
