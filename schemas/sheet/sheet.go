// Package sheet reads tables that other people made: CSV and TSV in UTF-8 or GB18030, and the first
// sheet of an XLSX workbook. It knows no column; what the cells mean is for the caller.
package sheet

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// Row is one row that holds anything, with its number in the file, counted from 1.
type Row struct {
	Number int
	Cells  []string
}

// Limits of one file.
const (
	MaxBytes = 64 << 20
	MaxRows  = 200_000
	maxCells = 1000      // in a row
	maxSheet = 512 << 20 // of an unpacked workbook
	lastRow  = 1 << 20   // of a sheet, by the format
)

// ErrKind: the name does not end in .csv, .tsv, .txt or .xlsx.
var ErrKind = errors.New("sheet: not a CSV, TSV or XLSX file")

// Read reads a file by the ending of its name. Cells are as written: a date of a workbook is the
// serial number Excel keeps, a formula the result it had when the file was saved. Rows without any
// text are left out.
func Read(name string, b []byte) ([]Row, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("sheet: %s is larger than %d bytes", path.Base(name), MaxBytes)
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".csv":
		return separated(b, ',')
	case ".tsv", ".txt":
		return separated(b, '\t')
	case ".xlsx":
		return workbook(b)
	}
	return nil, ErrKind
}

// Text makes bytes UTF-8: a byte order mark is dropped, what is no UTF-8 is read as GB18030. What is
// neither, or holds a zero byte, is an error.
func Text(b []byte) (string, error) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("\xfe\xff")) {
		return "", errors.New("sheet: UTF-16 is not read: save as UTF-8 or GB18030")
	}
	if bytes.IndexByte(b, 0) >= 0 {
		return "", errors.New("sheet: a zero byte: not a text file")
	}
	if utf8.Valid(b) {
		return string(b), nil
	}
	out, err := simplifiedchinese.GB18030.NewDecoder().Bytes(b)
	if err != nil || bytes.ContainsRune(out, utf8.RuneError) {
		return "", errors.New("sheet: neither UTF-8 nor GB18030")
	}
	return string(out), nil
}

func separated(b []byte, comma rune) ([]Row, error) {
	text, err := Text(b)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord = comma, -1
	var out []Row
	for {
		cells, err := r.Read()
		if err != nil {
			if cells == nil && errors.Is(err, io.EOF) {
				return out, nil
			}
			return nil, fmt.Errorf("sheet: %w", err)
		}
		line, _ := r.FieldPos(0)
		if out, err = add(out, line, cells); err != nil {
			return nil, err
		}
	}
}

func add(out []Row, number int, cells []string) ([]Row, error) {
	if len(cells) > maxCells || len(out) >= MaxRows {
		return nil, fmt.Errorf("sheet: more than %d rows or %d cells in a row", MaxRows, maxCells)
	}
	if strings.TrimSpace(strings.Join(cells, "")) == "" {
		return out, nil
	}
	return append(out, Row{number, cells}), nil
}

// whole refuses a workbook that unpacks to too much, and one of which a part is cut or not as long as it says: the
// library would take what it gets for all there is.
func whole(z *zip.Reader) error {
	var size uint64
	for _, f := range z.File {
		if size += f.UncompressedSize64; size > maxSheet || f.UncompressedSize64 > maxSheet {
			return errors.New("sheet: the workbook unpacks to too much")
		}
	}
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			return errors.New("sheet: not a readable workbook")
		}
		_, err = io.Copy(io.Discard, in) // no more than it says, or an error
		if err = errors.Join(err, in.Close()); err != nil {
			return errors.New("sheet: not a readable workbook")
		}
	}
	return nil
}

func workbook(b []byte) (_ []Row, err error) {
	defer func() { // the library trusts the parts of a workbook
		if r := recover(); r != nil {
			err = fmt.Errorf("sheet: not a readable workbook (%T)", r)
		}
	}()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, errors.New("sheet: not a workbook")
	}
	if err := whole(z); err != nil {
		return nil, err
	}
	f, err := excelize.OpenReader(bytes.NewReader(b), excelize.Options{RawCellValue: true, UnzipSizeLimit: maxSheet, UnzipXMLSizeLimit: 16 << 20})
	if err != nil {
		return nil, fmt.Errorf("sheet: %w", err)
	}
	defer f.Close()
	names := f.GetSheetList()
	if len(names) == 0 {
		return nil, errors.New("sheet: no sheet in the workbook")
	}
	rows, err := f.Rows(names[0])
	if err != nil {
		return nil, fmt.Errorf("sheet: %w", err)
	}
	defer rows.Close()
	var out []Row
	for n := 1; rows.Next(); n++ {
		if n > lastRow {
			return nil, fmt.Errorf("sheet: a row beyond %d", lastRow)
		}
		cells, err := rows.Columns()
		if err != nil {
			return nil, fmt.Errorf("sheet: row %d: %w", n, err)
		}
		if out, err = add(out, n, cells); err != nil {
			return nil, err
		}
	}
	return out, rows.Error()
}
