package mapping

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/sheet"
)

// ItemTable is a table of local and national codes, each valid for a time. It is immutable and
// implements gateway.Items.
type ItemTable struct {
	spans map[string][]span // by local code, by day
}

type span struct {
	from, to string // days, to is included
	item     gateway.Item
	row      int
}

var _ gateway.Items = (*ItemTable)(nil)

const (
	firstDay = "0000-00-00"
	lastDay  = "9999-99-99"
)

// itemColumns are the heads of the columns and what else they may be called.
var itemColumns = map[string][]string{
	"local_code":    {"院内编码", "本地编码", "medins_list_codg"},
	"national_code": {"国家编码", "医保编码", "med_list_codg"},
	"name":          {"名称", "项目名称", "medins_list_name"},
	"valid_from":    {"生效日期", "begndate"},
	"valid_to":      {"失效日期", "enddate"},
}

// ReadItems reads a table from a CSV, TSV or XLSX file, by the ending of its name. The first row names
// the columns: local_code, national_code, and where there are name, valid_from and valid_to (the last
// valid day; empty: for ever). All faults of rows are told at once, with their numbers; two rows of one
// local code that are valid on the same day are one.
func ReadItems(name string, b []byte) (*ItemTable, error) {
	rows, err := sheet.Read(name, b)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("mapping: %s: empty", name)
	}
	cols, err := heads(name, rows[0].Cells)
	if err != nil {
		return nil, err
	}
	t := &ItemTable{spans: map[string][]span{}}
	var faults Error
	for _, row := range rows[1:] {
		cell := func(head string) string {
			if i, ok := cols[head]; ok && i < len(row.Cells) {
				return trim(row.Cells[i])
			}
			return ""
		}
		s := span{from: firstDay, to: lastDay, item: gateway.Item{Code: cell("national_code"), Name: cell("name")}, row: row.Number}
		local := cell("local_code")
		ok := true
		if v := cell("valid_from"); v != "" {
			s.from, ok = sheetDay(v)
		}
		if v := cell("valid_to"); v != "" && ok {
			s.to, ok = sheetDay(v)
		}
		switch {
		case !ok:
			faults = append(faults, Fault{name, row.Number, "日期无法识别 / a date can not be read"})
		case local == "" || s.item.Code == "":
			faults = append(faults, Fault{name, row.Number, "缺少院内编码或国家编码 / a code is missing"})
		case s.from > s.to:
			faults = append(faults, Fault{name, row.Number, "失效早于生效 / it ends before it begins"})
		case len(s.item.Code) > 50 || len([]rune(local)) > 150:
			faults = append(faults, Fault{name, row.Number, "编码过长 / a code is too long"})
		default:
			t.spans[local] = append(t.spans[local], s)
		}
	}
	for _, list := range t.spans {
		slices.SortFunc(list, func(a, b span) int { return strings.Compare(a.from, b.from) })
		for i := 1; i < len(list); i++ {
			if list[i].from <= list[i-1].to {
				faults = append(faults, Fault{name, list[i].row, fmt.Sprintf("与第 %[1]d 行的有效期重叠 / overlaps row %[1]d", list[i-1].row)})
			}
		}
	}
	if len(faults) > 0 {
		sort.SliceStable(faults, func(i, j int) bool { return faults[i].Line < faults[j].Line })
		return nil, faults
	}
	return t, nil
}

func heads(file string, cells []string) (map[string]int, error) {
	cols := map[string]int{}
	for i, c := range cells {
		c = strings.ToLower(trim(c))
		for head, others := range itemColumns {
			if c != head && !slices.Contains(others, c) {
				continue
			}
			if _, twice := cols[head]; twice {
				return nil, fmt.Errorf("mapping: %s: column %s twice", file, head)
			}
			cols[head] = i
		}
	}
	for _, head := range []string{"local_code", "national_code"} {
		if _, ok := cols[head]; !ok {
			return nil, fmt.Errorf("mapping: %s: no column %s (%s)", file, head, strings.Join(itemColumns[head], ", "))
		}
	}
	return cols, nil
}

// sheetDay reads a day as text or as the serial number a workbook keeps.
func sheetDay(s string) (string, bool) {
	t, ok := instantForms(s)
	if !ok {
		t, ok = excelDay(s)
	}
	return t[:min(len(t), 10)], ok
}

// National implements gateway.Items.
func (t *ItemTable) National(local, day string) (gateway.Item, bool) {
	list := t.spans[local]
	i := sort.Search(len(list), func(i int) bool { return list[i].from > day }) - 1
	if i < 0 || day > list[i].to {
		return gateway.Item{}, false
	}
	return list[i].item, true
}

// Len is how many local codes there are.
func (t *ItemTable) Len() int { return len(t.spans) }
