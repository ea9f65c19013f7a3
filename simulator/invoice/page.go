package invoice

import (
	"crypto/subtle"
	"html/template"
	"net/http"
	"net/url"

	"rsc.io/qr"
)

func (p *Platform) pageURL(b *Bill) string {
	return *p.public.Load() + "/h5/" + b.Batch + "/" + b.No + "?c=" + url.QueryEscape(b.Random)
}

// qr is the QR code of a bill's page as PNG.
func (p *Platform) qr(b *Bill) []byte {
	c, err := qr.Encode(p.pageURL(b), qr.L)
	if err != nil {
		return nil // the text is short
	}
	c.Scale = 4
	return c.PNG()
}

// find gives the bill of a page to whoever knows its check code.
func (p *Platform) find(r *http.Request) (Bill, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.bills[r.PathValue("batch")+"/"+r.PathValue("no")]
	if b == nil || subtle.ConstantTimeCompare([]byte(b.Random), []byte(r.URL.Query().Get("c"))) != 1 {
		return Bill{}, false
	}
	return *b, true
}

func (p *Platform) picture(w http.ResponseWriter, r *http.Request) {
	b, found := p.find(r)
	if !found {
		http.NotFound(w, r)
		return
	}
	write(w, http.StatusOK, "image/png", p.qr(&b))
}

var pageText = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>医疗收费电子票据 {{.No}}</title>
<style>body{font-family:sans-serif;max-width:32em;margin:1em auto;padding:0 1em}table{width:100%;border-collapse:collapse}
td{border-bottom:1px solid #ddd;padding:.4em 0}td+td{text-align:right}.red{color:#b00}</style></head><body>
<h1>医疗{{if .Voucher}}预交金凭证{{else}}收费电子票据{{end}}{{if .Red}} <span class="red">(已冲红)</span>{{end}}</h1>
<p>票据代码 {{.Batch}}　票据号码 {{.No}}　校验码 {{.Random}}</p>
<p>交款人 {{.Payer}}　开票日期 {{.Created.Format "2006-01-02"}}</p>
<table>{{range .Charges}}<tr><td>{{.Name}}</td><td>{{.Amount}}</td></tr>{{end}}
<tr><td><b>合计</b></td><td><b>{{.Total}}</b></td></tr></table>
{{if .PaperNo}}<p>已换开纸质票据 {{.PaperBatch}} {{.PaperNo}}</p>{{end}}
{{if .Red}}<p class="red">红字票据 {{.RedBatch}} {{.RedNo}}</p>{{end}}
<p><img alt="二维码" src="/qr/{{.Batch}}/{{.No}}?c={{.Random}}"></p><p>模拟平台, 不具法律效力</p></body></html>
`))

func (p *Platform) page(w http.ResponseWriter, r *http.Request) {
	b, found := p.find(r)
	if !found {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pageText.Execute(w, b) // the client may be gone
}
