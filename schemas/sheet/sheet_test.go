package sheet

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/simplifiedchinese"
)

func book(t testing.TB, set func(f *excelize.File)) []byte {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	set(f)
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRead(t *testing.T) {
	gbk, err := simplifiedchinese.GB18030.NewEncoder().String("名称,价\n阿莫西林㐀,1\n")
	if err != nil {
		t.Fatal(err)
	}
	xlsx := book(t, func(f *excelize.File) {
		_ = f.SetCellValue("Sheet1", "A1", "编码")
		_ = f.SetCellValue("Sheet1", "A3", "001")  // text stays text
		_ = f.SetCellValue("Sheet1", "B3", 46085)  // a date is its serial number
		_ = f.SetCellValue("Sheet1", "C3", 12.335) // a number is not rounded
		_ = f.SetCellFormula("Sheet1", "D3", "1+1")
	})
	for _, c := range []struct {
		name string
		file []byte
		want []Row
	}{
		{"a.csv", []byte("\xef\xbb\xbfa,b\r\n\r\n\"x\ny\",2\n,\nz,3"), []Row{{1, []string{"a", "b"}}, {3, []string{"x\ny", "2"}}, {6, []string{"z", "3"}}}},
		{"a.CSV", []byte(gbk), []Row{{1, []string{"名称", "价"}}, {2, []string{"阿莫西林㐀", "1"}}}},
		{"a.tsv", []byte("a\tb,c\n"), []Row{{1, []string{"a", "b,c"}}}},
		{"dir/a.xlsx", xlsx, []Row{{1, []string{"编码"}}, {3, []string{"001", "46085", "12.335"}}}},
		{"empty.csv", nil, nil},
	} {
		got, err := Read(c.name, c.file)
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%s: %v %v", c.name, got, err)
			continue
		}
		for i := range got {
			cells := got[i].Cells
			for len(cells) > len(c.want[i].Cells) && cells[len(cells)-1] == "" {
				cells = cells[:len(cells)-1]
			}
			if got[i].Number != c.want[i].Number || !reflect.DeepEqual(cells, c.want[i].Cells) {
				t.Errorf("%s: row %d is %d %q", c.name, i, got[i].Number, cells)
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		file string
		want string
	}{
		{"a.doc", "x", "not a CSV"}, {"a.csv", "a\x00b", "zero byte"}, {"a.csv", "\xff\xfea", "UTF-16"}, {"a.csv", "\xff\xff", "neither"},
		{"a.csv", "\"a", "sheet"}, {"a.xlsx", "PK", "not a workbook"}, {"a.csv", strings.Repeat(",", 2000), "cells"},
	} {
		if _, err := Read(c.name, []byte(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %.10q: %v, want %q", c.name, c.file, err, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a.csv", []byte("a,b\n1,2\n"))
	f.Add("a.xlsx", book(f, func(x *excelize.File) { _ = x.SetCellValue("Sheet1", "A1", "x") }))
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		_, _ = Formulas(b)
		rows, err := Read(name, b)
		for i, r := range rows {
			if err != nil || i > 0 && r.Number <= rows[i-1].Number {
				t.Errorf("row %d is number %d, err %v", i, r.Number, err)
			}
		}
	})
}

func TestFormulas(t *testing.T) {
	b := book(t, func(f *excelize.File) {
		_ = f.SetCellValue("Sheet1", "A1", "x")
		_ = f.SetCellFormula("Sheet1", "B3", "1+1")
		_ = f.SetCellFormula("Sheet1", "C3", "1+2")
		_, _ = f.NewSheet("Other")
		_ = f.SetCellFormula("Other", "A1", "1+1")
	})
	got, err := Formulas(b)
	if err != nil || !reflect.DeepEqual(got, map[int]string{3: "B3"}) {
		t.Errorf("%v %v", got, err)
	}
	if _, err := Formulas([]byte("PK")); err == nil {
		t.Error("not a workbook, and no error")
	}
}
