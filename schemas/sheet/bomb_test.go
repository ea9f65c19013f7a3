package sheet

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"
)

// directory changes the size that the directory of a zip tells of a file.
func directory(t *testing.T, b []byte, name string, size uint32) []byte {
	t.Helper()
	b = bytes.Clone(b)
	for at := 0; ; at++ {
		next := bytes.Index(b[at:], []byte("PK\x01\x02"))
		if next < 0 {
			t.Fatalf("no %s in the workbook", name)
		}
		at += next
		if long := int(binary.LittleEndian.Uint16(b[at+28:])); string(b[at+46:at+46+long]) == name {
			binary.LittleEndian.PutUint32(b[at+24:], size)
			return b
		}
	}
}

// again packs a workbook anew with parts changed or added.
func again(t *testing.T, b []byte, parts map[string]string) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	put := func(name string, from io.Reader) {
		f, err := w.Create(name)
		if err == nil {
			_, err = io.Copy(f, from)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range z.File {
		if _, changed := parts[f.Name]; changed {
			continue
		}
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		put(f.Name, in)
		in.Close()
	}
	for name, text := range parts {
		put(name, strings.NewReader(text))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A workbook that unpacks to too much, says less than it unpacks to, or has too many rows or cells is refused; names
// of its parts lead nowhere.
func TestBombs(t *testing.T) {
	const part = "xl/worksheets/sheet1.xml"
	good := book(t, func(f *excelize.File) { _ = f.SetCellStr("Sheet1", "A1", "a") })
	var rows strings.Builder
	rows.WriteString(`<?xml version="1.0" encoding="UTF-8"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>`)
	for i := range 20_000 {
		fmt.Fprintf(&rows, `<row r="%d"><c r="A%d" t="inlineStr"><is><t>x</t></is></c></row>`, i+1, i+1)
	}
	rows.WriteString(`</sheetData></worksheet>`)
	big := again(t, good, map[string]string{part: rows.String()})
	if list, err := Read("a.xlsx", big); err != nil || len(list) != 20_000 {
		t.Fatalf("%d rows, %v", len(list), err)
	}
	for name, b := range map[string][]byte{
		"too much":             directory(t, good, part, 600<<20),
		"says less than it is": directory(t, big, part, 9),
		"a cell far out":       again(t, good, map[string]string{part: `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="XFD1" t="inlineStr"><is><t>x</t></is></c></row></sheetData></worksheet>`}),
		"a row far out":        again(t, good, map[string]string{part: `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="9999999999"><c r="A9999999999" t="inlineStr"><is><t>x</t></is></c></row></sheetData></worksheet>`}),
		"cut":                  big[:len(big)/2],
	} {
		if list, err := Read("a.xlsx", b); err == nil {
			t.Errorf("%s is taken: %d rows", name, len(list))
		}
	}
	if list, err := Read("a.xlsx", again(t, good, map[string]string{"../../evil.xml": "x", "/etc/evil": "x"})); err == nil && len(list) != 1 {
		t.Errorf("%d rows", len(list)) // parts nobody asks for are not unpacked anywhere
	}
}
