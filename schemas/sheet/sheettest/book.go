// Package sheettest makes workbooks for tests of whoever reads them.
package sheettest

import (
	"bytes"

	"github.com/xuri/excelize/v2"
)

// Book is an XLSX file whose first sheet holds the cells: text, numbers and times as such; nil leaves
// a cell out, a Formula is one.
func Book(rows [][]any) ([]byte, error) {
	f := excelize.NewFile()
	defer f.Close()
	for i, row := range rows {
		for j, v := range row {
			at, err := excelize.CoordinatesToCellName(j+1, i+1)
			if err != nil {
				return nil, err
			}
			switch x := v.(type) {
			case nil:
			case Formula:
				err = f.SetCellFormula("Sheet1", at, string(x))
			default:
				err = f.SetCellValue("Sheet1", at, x)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	var b bytes.Buffer
	err := f.Write(&b)
	return b.Bytes(), err
}

// Formula is the text of one, without the sign before it.
type Formula string
