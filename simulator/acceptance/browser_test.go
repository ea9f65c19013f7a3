package acceptance

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"yiqiao/simulator/acceptance/accepttest"
)

// chromium finds the browser. In CI there has to be one (scripts/chromium.sh).
func chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{os.Getenv("YIQIAO_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" || os.Getenv("YIQIAO_CHROMIUM") != "" {
		t.Fatal("no Chromium: scripts/chromium.sh installs one")
	}
	t.Skip("no Chromium: scripts/chromium.sh installs one")
	return ""
}

// look opens a page: the document as the browser has it, or with a file a picture of it.
func look(t testing.TB, page, picture string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	args := []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1200,1600", "--user-data-dir=" + t.TempDir()}
	if picture != "" {
		args = append(args, "--screenshot="+picture)
	} else {
		args = append(args, "--dump-dom")
	}
	cmd := exec.CommandContext(ctx, chromium(t), append(args, page)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v %.500s", err, &errs)
	}
	return out.String()
}

// report writes the page of a result and gives its address.
func report(t testing.TB, res, before *Result) string {
	t.Helper()
	dir := t.TempDir()
	if err := WriteReport(dir, res, before, nil, nil); err != nil {
		t.Fatal(err)
	}
	return "file://" + filepath.Join(dir, FileHTML)
}

// near counts pixels of a colour in a part of a picture.
func near(img image.Image, part image.Rectangle, r, g, b uint8) int {
	n := 0
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			d := func(a, b uint8) int { return max(int(a)-int(b), int(b)-int(a)) }
			if d(c.R, r) < 24 && d(c.G, g) < 24 && d(c.B, b) < 24 {
				n++
			}
		}
	}
	return n
}

// The report in a real browser: its main parts are there, in both languages, and can be seen.
func TestTheReportInABrowser(t *testing.T) {
	chromium(t)
	before := run(t, simulated(t, "none", nil), Options{Suite: "outpatient"})
	res := run(t, simulated(t, "none", gullible("2208")), Options{Suite: "outpatient"})
	page := report(t, res, before)
	dom := look(t, page, "")
	for _, part := range []string{`id="summary"`, `id="coverage"`, `id="chart"`, `id="failed"`, `id="cases"`, `id="requirements"`, "医保接口验收报告", "与上次相比", "ORD-2208-2", "data-ms="} {
		if !strings.Contains(dom, part) {
			t.Errorf("%s is not in the page", part)
		}
	}
	if n, want := strings.Count(dom, "<details"), len(res.Cases)+1; n != want {
		t.Errorf("%d cases to open, want %d", n, want)
	}
	if strings.Count(dom, "<details open") == 0 || strings.Count(dom, "<template>")+strings.Count(dom, "<details open") != len(res.Cases)+1 {
		t.Error("what failed is not open, or what is closed is laid out")
	}
	if strings.Contains(dom, `class="english"`) || !strings.Contains(look(t, page+"#english", ""), `class="english"`) {
		t.Error("the switch of the language")
	}
	shot := func(page, name string) image.Image {
		file := filepath.Join(t.TempDir(), name)
		look(t, page, file)
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	zh, en := shot(page, "zh.png"), shot(page+"#english", "en.png")
	if zh.Bounds().Dx() != 1200 {
		t.Fatal(zh.Bounds())
	}
	tiles, charts := image.Rect(0, 80, 1200, 260), image.Rect(0, 220, 700, 1600)
	for _, c := range []struct {
		what       string
		n, atLeast int
	}{
		{"ink of the title", near(zh, image.Rect(0, 0, 600, 80), 0x1f, 0x27, 0x33), 200}, {"the green number", near(zh, tiles, 0x1a, 0x7f, 0x37), 100},
		{"the red number", near(zh, tiles, 0xc6, 0x28, 0x28), 20}, {"green bars", near(zh, charts, 0x1a, 0x7f, 0x37), 2000}, {"a red bar", near(zh, charts, 0xc6, 0x28, 0x28), 20},
	} {
		if c.n < c.atLeast {
			t.Errorf("%s: %d pixels, want %d", c.what, c.n, c.atLeast)
		}
	}
	differ := 0
	for y := range 80 {
		for x := range 600 {
			if zh.At(x, y) != en.At(x, y) {
				differ++
			}
		}
	}
	if differ < 200 {
		t.Errorf("the title is the same in both languages (%d pixels differ)", differ)
	}
}

// large is a result of so many requirements, a tenth of them failed, with a case of five steps for each five.
func large(n int) *Result {
	res := &Result{Tool: "yiqiao accept", Target: "large", Began: accepttest.At0(), Ended: accepttest.At0(), Reached: true}
	for i := range n {
		q := RequirementResult{Requirement: Requirement{ID: fmt.Sprintf("G%d-%d", i%40, i), Kind: "must", Actor: "centre", Text: Text{"一条足够长的要求, 说明应当怎样", "a requirement of some length"}, Source: "invariants", Confidence: "high"}, Status: Pass, Checks: 1}
		if i%10 == 0 {
			q.Status, q.Evidence = Fail, []Evidence{{fmt.Sprint("C-", i/5), 1, "2207", "应为这样", "实为那样"}}
		}
		res.Requirements = append(res.Requirements, q)
		if i%5 != 0 {
			continue
		}
		c := CaseResult{ID: fmt.Sprint("C-", i/5), Suite: "large", Title: Text{"一个用例", "a case"}, Status: q.Status}
		for range 5 {
			c.Steps = append(c.Steps, StepResult{Infno: "2207", Status: Pass, Request: strings.Repeat(`{"data":{"psn_no":"4***1"}}`, 8), Reply: strings.Repeat(`infcode 0 {"setlinfo":{}}`, 16)})
		}
		res.Cases = append(res.Cases, c)
	}
	return res
}

var loaded = regexp.MustCompile(`data-ms="([0-9]+)"`)

// A report of 10,000 results opens: load-ms is the browser's own time until it is there.
func BenchmarkReportInABrowser(b *testing.B) {
	page := report(b, large(10_000), nil)
	for b.Loop() {
		m := loaded.FindStringSubmatch(look(b, page, ""))
		if m == nil {
			b.Fatal("the page did not load")
		}
		ms, err := strconv.Atoi(m[1])
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(ms), "load-ms")
	}
}
