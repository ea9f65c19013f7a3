package sheet

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"path"
	"strings"
)

// Formulas gives, for every row of the first sheet of an XLSX workbook that has one, the first cell
// that holds a formula: 7 -> "D7". Read gives such a cell the result it had when the file was saved,
// which may be old, or nothing.
func Formulas(b []byte) (map[int]string, error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, errors.New("sheet: not a workbook")
	}
	part, err := firstSheet(z)
	if err != nil {
		return nil, err
	}
	out := map[int]string{}
	row, cell := 0, ""
	err = elements(z, part, maxSheet, func(e xml.StartElement) bool {
		switch e.Name.Local {
		case "row":
			row++
			if n := number(attr(e, "r")); n > 0 {
				row = n
			}
		case "c":
			cell = attr(e, "r")
		case "f":
			if out[row] == "" {
				if cell == "" {
					cell = "?"
				}
				out[row] = cell
			}
		}
		return true
	})
	return out, err
}

// firstSheet is the part of the first sheet, as Read takes it.
func firstSheet(z *zip.Reader) (string, error) {
	id := ""
	if err := elements(z, "xl/workbook.xml", 16<<20, func(e xml.StartElement) bool {
		if e.Name.Local == "sheet" {
			id = attr(e, "id")
		}
		return id == ""
	}); err != nil {
		return "", err
	}
	part := ""
	if err := elements(z, "xl/_rels/workbook.xml.rels", 16<<20, func(e xml.StartElement) bool {
		if e.Name.Local == "Relationship" && attr(e, "Id") == id {
			part = attr(e, "Target")
		}
		return part == ""
	}); err != nil {
		return "", err
	}
	if part == "" {
		return "", errors.New("sheet: no sheet in the workbook")
	}
	if strings.HasPrefix(part, "/") {
		return strings.TrimPrefix(part, "/"), nil
	}
	return path.Join("xl", part), nil
}

// elements calls f for every element of a part, until it says false.
func elements(z *zip.Reader, name string, limit int64, f func(xml.StartElement) bool) error {
	in, err := z.Open(name)
	if err != nil {
		return errors.New("sheet: the workbook lacks a part")
	}
	defer in.Close()
	d := xml.NewDecoder(io.LimitReader(in, limit))
	for {
		t, err := d.RawToken()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return errors.New("sheet: a part of the workbook can not be read")
		}
		if e, ok := t.(xml.StartElement); ok && !f(e) {
			return nil
		}
	}
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func number(s string) int {
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' || n > 1<<24 {
			return 0
		}
		n = n*10 + int(c-'0')
	}
	return n
}
