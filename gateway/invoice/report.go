package invoice

import (
	"encoding/csv"
	"html/template"
	"io"
	"strconv"
	"strings"
)

// WriteCSV writes the differences for a spreadsheet in the form settlement reconciliation has: UTF-8 with a
// byte order mark, numbers that are names kept to the last digit, no cell taken for a formula.
func (r *Report) WriteCSV(w io.Writer) error {
	if _, err := io.WriteString(w, "\xef\xbb\xbf"); err != nil {
		return err
	}
	c := csv.NewWriter(w)
	c.UseCRLF = true
	rows := [][]string{{"日期", "机构", "序号", "原因", "业务流水号", "结算编号", "票据代码", "票据号码", "状态", "网关金额", "平台金额", "建议"}}
	for i, d := range r.Differences {
		rows = append(rows, []string{r.Date, cell(string(r.Institution)), strconv.Itoa(i + 1), CauseZH(d.Cause), cell(d.ID), cell(d.Settlement),
			cell(d.Number.Batch), cell(d.Number.No), string(d.State), d.Ours, d.Theirs, cell(d.Remedy)})
	}
	for _, n := range r.Notes {
		rows = append(rows, []string{r.Date, cell(string(r.Institution)), "", "说明", "", "", "", "", "", "", "", cell(n)})
	}
	_ = c.WriteAll(rows) // Error below has it
	return c.Error()
}

// cell keeps a text from being rounded, or taken for a formula.
func cell(s string) string {
	switch {
	case s == "":
	case strings.Trim(s, "0123456789") == "" && (len(s) > 11 || s[0] == '0'):
		return `="` + s + `"`
	case strings.ContainsRune("=+-@\t\r", rune(s[0])):
		return "'" + s
	}
	return s
}

const reportPage = `<!DOCTYPE html><html lang="zh"><head><meta charset="utf-8"><title>电子票据对账</title><style>
body{font:14px/1.5 sans-serif;margin:2em}table{border-collapse:collapse;margin:1em 0}th,td{border:1px solid #999;padding:.2em .6em;text-align:left}
td.n{text-align:right}.bad{color:#a00}.ok{color:#060}</style></head><body>
{{range .}}<h1>电子票据对账 {{.Institution}} {{.Date}}</h1>
<p>{{if .Balanced}}<b class="ok">对平</b>{{else}}<b class="bad">有差异</b>{{end}}</p>
<table><tr><th></th><th>开具笔数</th><th>开具金额</th><th>其中冲红</th><th>冲红金额</th></tr>
<tr><th>网关</th><td class="n">{{.Ours.Blue.Count}}</td><td class="n">{{.Ours.Blue.Amount}}</td><td class="n">{{.Ours.Red.Count}}</td><td class="n">{{.Ours.Red.Amount}}</td></tr>
<tr><th>平台</th><td class="n">{{.Theirs.Blue.Count}}</td><td class="n">{{.Theirs.Blue.Amount}}</td><td class="n">{{.Theirs.Red.Count}}</td><td class="n">{{.Theirs.Red.Amount}}</td></tr></table>
{{range .Notes}}<p class="bad">{{.}}</p>{{end}}
{{if .Differences}}<table><tr><th>业务流水号</th><th>结算编号</th><th>票据号码</th><th>差异</th><th>网关</th><th>平台</th><th>建议</th></tr>
{{range .Differences}}<tr><td>{{.ID}}</td><td>{{.Settlement}}</td><td>{{.Number.Batch}} {{.Number.No}}</td><td>{{cause .Cause}}</td><td class="n">{{.Ours}}</td><td class="n">{{.Theirs}}</td><td>{{.Remedy}}</td></tr>
{{end}}</table>{{end}}{{end}}</body></html>
`

// WriteHTML writes reports as one page that needs nothing else.
func WriteHTML(w io.Writer, reports []Report) error {
	t, err := template.New("einvoice").Funcs(template.FuncMap{"cause": CauseZH}).Parse(reportPage)
	if err != nil {
		return err
	}
	return t.Execute(w, reports)
}
