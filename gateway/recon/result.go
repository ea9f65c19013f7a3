package recon

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"yiqiao/gateway"
	"yiqiao/schemas/money"
)

// Bounds of a file we get, unpacked.
const (
	mostText    = 32 << 20
	mostLines   = 200_000
	mostCell    = 500
	mostEntries = 16
	mostFen     = money.Fen(10_000_000_000_000) // of one row: that many of them still add up in 64 bits
)

// resultRow is one row of a result file.
type resultRow struct {
	line                       int
	person, visit, setl, msgid string
	code, meaning              string
	refund                     bool
	memo                       string
	amounts                    Amounts
	known                      bool // the amounts are there
	insutype                   string
}

// unpack takes the one text file out of a zip. Paths, several texts, links, encryption and anything
// larger than the bounds, whatever its head says, are refused.
func unpack(b []byte) (string, error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return "", errors.New("不是合法的 zip")
	}
	if len(z.File) > mostEntries {
		return "", fmt.Errorf("zip 内文件多于 %d 个", mostEntries)
	}
	var one *zip.File
	for _, f := range z.File {
		switch {
		case strings.ContainsAny(f.Name, "/\\:\x00") || strings.Contains(f.Name, "..") || !f.Mode().IsRegular():
			return "", errors.New("zip 内文件名不合法")
		case f.Flags&1 != 0:
			return "", errors.New("zip 已加密")
		case f.UncompressedSize64 > mostText:
			return "", fmt.Errorf("zip 内文件超过 %d 字节", mostText)
		case one != nil:
			return "", errors.New("zip 内不止一个文件")
		}
		one = f
	}
	if one == nil {
		return "", errors.New("zip 是空的")
	}
	r, err := one.Open()
	if err != nil {
		return "", errors.New("zip 不能解压")
	}
	defer r.Close()
	plain, err := io.ReadAll(io.LimitReader(r, mostText+1))
	switch {
	case err != nil:
		return "", errors.New("zip 不能解压")
	case len(plain) > mostText:
		return "", fmt.Errorf("zip 内文件超过 %d 字节", mostText)
	}
	plain = bytes.TrimPrefix(plain, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(plain) {
		return "", errors.New("结果文件不是 UTF-8")
	}
	return string(plain), nil
}

// readResult reads a result file, and says how many columns its widest row has. A row that can not
// be understood makes the whole file unusable: leaving it out would hide money. Whether the flag
// stands before the result is decided for the file as a whole: where both ways can be read, the
// columns of the area hold.
func readResult(plain string, form gateway.ResultFile, meaning func(string) string) ([]resultRow, int, error) {
	table, widest, err := cellsOf(plain)
	if err != nil {
		return nil, 0, err
	}
	rows, bad := readTable(table, form.Columns, meaning)
	if bad != 0 {
		var still int
		if rows, still = readTable(table, swap(form.Columns, "stmt_rslt", "refd_setl_flag"), meaning); still != 0 {
			return nil, 0, fmt.Errorf("结果文件第 %d 行格式不正确", bad)
		}
	}
	return rows, widest, nil
}

// line is one line of a file, cut at the tabs. bare marks cells in which there was nothing, not even
// the word for it.
type line struct {
	n     int
	cells []string
	bare  []bool
}

func cellsOf(plain string) (table []line, widest int, err error) {
	for n := 1; plain != ""; n++ {
		var one string
		one, plain, _ = strings.Cut(plain, "\n")
		one = strings.TrimSuffix(one, "\r")
		if strings.TrimSpace(one) == "" {
			continue
		}
		if len(table) >= mostLines {
			return nil, 0, fmt.Errorf("结果文件超过 %d 行", mostLines)
		}
		cells := strings.SplitN(one, "\t", 20)
		if len(cells) == 20 {
			return nil, 0, fmt.Errorf("结果文件第 %d 行列数过多", n)
		}
		bare := make([]bool, len(cells))
		for i, c := range cells {
			bare[i] = c == ""
			if len(c) > 4*mostCell {
				return nil, 0, fmt.Errorf("结果文件第 %d 行内容过长", n)
			}
			if c = strings.TrimSpace(c); strings.EqualFold(c, "null") {
				c = ""
			}
			cells[i] = c
		}
		widest = max(widest, len(cells))
		table = append(table, line{n, cells, bare})
	}
	return table, widest, nil
}

// readTable reads every line by the same columns; bad is the number of the first that can not be.
func readTable(table []line, columns []string, meaning func(string) string) (rows []resultRow, bad int) {
	memo := slices.Index(columns, "memo")
	for _, l := range table {
		ok := false
		for _, cells := range squeezed(l, len(columns), memo) {
			var r resultRow
			if r, ok = fitLine(cells, columns, meaning); ok {
				r.line = l.n
				rows = append(rows, r)
				break
			}
		}
		if !ok {
			return nil, l.n
		}
	}
	return rows, 0
}

// squeezed gives the ways to read a line: as it is, and when it has a column too many with an empty
// cell from the memo on taken out, the last one first. A line that goes on behind its columns is
// rather one with an empty column than one with a column more.
func squeezed(l line, most, memo int) [][]string {
	cells := l.cells
	list := [][]string{cells}
	if memo < 0 || len(cells) <= most && len(cells) != memo+2 {
		return list
	}
	for i := len(cells) - 1; i >= memo; i-- {
		if l.bare[i] {
			list = append(list, slices.Delete(slices.Clone(cells), i, i+1))
		}
	}
	if len(cells) > most && cells[most] != "" {
		return append(list[1:], cells)
	}
	return list
}

// fitLine reads cells as these columns. The amounts may be missing together; behind a row with
// amounts one more cell may stand, which nobody explains.
func fitLine(cells, columns []string, meaning func(string) string) (resultRow, bool) {
	r := resultRow{}
	money3 := [3]string{}
	flag, seen := "", 0
	for i, name := range columns {
		if i >= len(cells) {
			break
		}
		v := cells[i]
		switch name {
		case "psn_no":
			r.person = v
		case "mdtrt_id":
			r.visit = v
		case "setl_id":
			r.setl = v
		case "msgid":
			r.msgid = v
		case "stmt_rslt":
			r.code = v
		case "refd_setl_flag":
			flag = v
		case "memo":
			r.memo = clip(v, mostCell)
		case "medfee_sumamt":
			money3[0] = v
		case "fund_pay_sumamt":
			money3[1] = v
		case "acct_pay":
			money3[2] = v
		}
		seen++
	}
	extra := 0
	for _, c := range cells[min(seen, len(cells)):] {
		if c != "" {
			extra++
		}
	}
	for _, id := range []string{r.person, r.visit, r.setl, r.msgid} {
		if len(id) > 64 || strings.ContainsFunc(id, func(c rune) bool { return c < '!' || c > '~' }) {
			return r, false
		}
	}
	r.meaning = meaning(r.code)
	r.refund = flag == "1"
	if r.meaning == "" || r.code == "" || flag != "" && flag != "0" && flag != "1" || r.setl == "" && r.visit == "" && r.msgid == "" && r.person == "" {
		return r, false
	}
	r.insutype = memoInsutype(r.memo)
	ok := r.readAmounts(money3)
	return r, ok && (extra == 0 || extra == 1 && r.known)
}

// readAmounts: all three, or none; an empty account is nothing.
func (r *resultRow) readAmounts(cells [3]string) bool {
	if cells[0] == "" && cells[1] == "" && cells[2] == "" {
		return true
	}
	for i, to := range []*money.Fen{&r.amounts.Total, &r.amounts.Fund, &r.amounts.Account} {
		if cells[i] == "" && i == 2 {
			continue
		}
		f, err := money.ParseReply(cells[i])
		if err != nil || f > mostFen || f < -mostFen {
			return false
		}
		*to = f
	}
	r.amounts.Count, r.known = 1, true
	return true
}

// memoInsutype: some centres end the memo with the insurance, three digits.
func memoInsutype(memo string) string {
	if len(memo) < 3 {
		return ""
	}
	tail := memo[len(memo)-3:]
	if strings.Trim(tail, "0123456789") != "" || len(memo) > 3 && strings.ContainsAny(memo[len(memo)-4:len(memo)-3], "0123456789.") {
		return ""
	}
	return tail
}

// swap gives the columns with two of them changed over.
func swap(columns []string, a, b string) []string {
	out := slices.Clone(columns)
	i, j := slices.Index(out, a), slices.Index(out, b)
	if i >= 0 && j >= 0 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}
