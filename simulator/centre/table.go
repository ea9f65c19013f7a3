package centre

import (
	"archive/zip"
	"bytes"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"yiqiao/schemas/money"
)

// Bounds of an uploaded detail file, unpacked.
const (
	maxText  = 16 << 20
	maxLines = 200_000
)

// tableRow is one row of an institution's detail file.
type tableRow struct {
	setl, visit, psn     string
	total, fund, account money.Fen
	refund               bool
}

// onlyText unpacks a zip that holds one text file, within bounds.
func onlyText(body []byte) (string, error) {
	z, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return "", refuse("文件不是合法的 zip")
	}
	if len(z.File) != 1 {
		return "", refuse("zip 内必须有且只有一个文本文件")
	}
	f := z.File[0]
	switch {
	case strings.ContainsAny(f.Name, "/\\:\x00") || strings.Contains(f.Name, "..") || !strings.HasSuffix(strings.ToLower(f.Name), ".txt"):
		return "", refuse("zip 内文件名不合法")
	case f.Flags&1 != 0:
		return "", refuse("zip 文件不能加密")
	case f.UncompressedSize64 > maxText:
		return "", refuse("zip 内文件超过 %d 字节", maxText)
	}
	r, err := f.Open()
	if err != nil {
		return "", refuse("zip 内文件不能解压")
	}
	defer r.Close()
	plain, err := io.ReadAll(io.LimitReader(r, maxText+1)) // the size in the head may be a lie
	switch {
	case err != nil:
		return "", refuse("zip 内文件不能解压")
	case len(plain) > maxText:
		return "", refuse("zip 内文件超过 %d 字节", maxText)
	case !utf8.Valid(plain):
		return "", refuse("zip 内文件不是 UTF-8 编码")
	}
	return strings.TrimPrefix(string(plain), "\ufeff"), nil
}

// readTable reads a detail file: seven columns, or eight as in Hubei; a separator behind the last
// column and either line end are taken; null stands for nothing.
func readTable(body []byte) ([]tableRow, error) {
	plain, err := onlyText(body)
	if err != nil {
		return nil, err
	}
	var out []tableRow
	for n := 1; plain != ""; n++ {
		var line string
		line, plain, _ = strings.Cut(plain, "\n")
		line = strings.TrimSuffix(line, "\r")
		if line == "" && plain == "" {
			break
		}
		if n > maxLines {
			return nil, refuse("明细文件超过 %d 行", maxLines)
		}
		r, ok := readLine(line)
		if !ok {
			return nil, refuse("明细文件第 %d 行格式不正确", n)
		}
		out = append(out, r)
	}
	return out, nil
}

func readLine(line string) (tableRow, bool) {
	cols := strings.SplitN(line, "\t", 11)
	for len(cols) > 7 && cols[len(cols)-1] == "" {
		cols = cols[:len(cols)-1]
	}
	if len(cols) != 7 && len(cols) != 8 {
		return tableRow{}, false
	}
	for i, v := range cols {
		if v == "null" {
			cols[i] = ""
		}
	}
	r := tableRow{setl: cols[0], visit: cols[1], psn: cols[2], refund: cols[6] == "1"}
	ok := len(cols[0]) <= 64 && len(cols[1]) <= 64 && len(cols[2]) <= 64 && (cols[6] == "0" || cols[6] == "1" || cols[6] == "")
	for i, to := range [...]*money.Fen{&r.total, &r.fund, &r.account} {
		var err error
		*to, err = money.Parse(cols[3+i])
		ok = ok && err == nil
	}
	return r, ok
}

// packText makes a zip of one text file. The same content and time give the same bytes.
func packText(name string, now time.Time, lines []string) ([]byte, error) {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: now})
	if err == nil {
		_, err = io.WriteString(w, strings.Join(lines, "\n"))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return nil, refuse("结果文件不能生成：%s", strconv.Quote(name))
	}
	return buf.Bytes(), nil
}
