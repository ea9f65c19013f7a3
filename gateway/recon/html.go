package recon

import (
	_ "embed"
	"html/template"
	"io"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/money"
)

//go:embed report.html
var reportPage string

// bar is one cause in the picture.
type bar struct {
	Name   string
	Amount money.Fen
	Count  int
	Y, X   int
	Width  int
	Minus  bool
}

// picture is the size of the drawing and its bars.
type picture struct {
	Height int
	Bars   []bar
}

// WriteHTML writes reports as one page that needs nothing else: no script, no font, no picture from
// elsewhere.
func WriteHTML(w io.Writer, reports []Report) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"cause": CauseZH, "leg": legZH, "result": ResultZH, "remedies": remediesZH,
		"picture": drawing,
		"time":    func(t time.Time) string { return t.In(gateway.China).Format(time.DateTime) },
		"none":    func(a *Amounts) bool { return a == nil },
	}).Parse(reportPage)
	if err != nil {
		return err
	}
	return t.Execute(w, reports)
}

// drawing makes a bar for each cause, as long as the amount at stake, whichever its sign.
func drawing(r Report) picture {
	const width, height = 420, 26
	var p picture
	at := map[Cause]int{}
	for _, d := range r.Differences {
		n, ok := at[d.Cause]
		if !ok {
			n = len(p.Bars)
			at[d.Cause] = n
			p.Bars = append(p.Bars, bar{Name: CauseZH(d.Cause), Y: n * height})
		}
		p.Bars[n].Count++
		p.Bars[n].Amount += d.By.Total
	}
	most := money.Fen(1)
	for _, b := range p.Bars {
		most = max(most, b.Amount, -b.Amount)
	}
	shift := 0 // keeps the product below within 64 bits
	for most>>shift > 1<<50 {
		shift++
	}
	for i := range p.Bars {
		b := &p.Bars[i]
		size := max(b.Amount, -b.Amount)
		b.Width = max(2, int((size>>shift)*width/(most>>shift)))
		b.Minus, b.X = b.Amount < 0, 190
	}
	p.Height = max(1, len(p.Bars)) * height
	return p
}
