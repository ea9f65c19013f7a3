package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// width counts terminal columns: a Chinese character takes two.
func width(s string) int { return wide.StringWidth(s) }

var wide = &runewidth.Condition{EastAsianWidth: false, StrictEmojiNeutral: true}

// pad fills s with blanks to n columns.
func pad(s string, n int) string {
	if w := width(s); w < n {
		return s + strings.Repeat(" ", n-w)
	}
	return s
}

// padLeft right-aligns s in n columns.
func padLeft(s string, n int) string {
	if w := width(s); w < n {
		return strings.Repeat(" ", n-w) + s
	}
	return s
}

// table prints rows under a head, columns aligned. Columns named in right are right-aligned.
func table(w io.Writer, head []string, rows [][]string, right ...int) {
	cols := make([]int, len(head))
	for i, h := range head {
		cols[i] = width(h)
	}
	for _, r := range rows {
		for i, c := range r {
			cols[i] = max(cols[i], width(c))
		}
	}
	align := make([]bool, len(head))
	for _, c := range right {
		align[c] = true
	}
	line := func(cells []string) {
		var b strings.Builder
		for i, c := range cells {
			if i > 0 {
				b.WriteString("  ")
			}
			if align[i] {
				b.WriteString(padLeft(c, cols[i]))
			} else {
				b.WriteString(pad(c, cols[i]))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
	line(head)
	rule := make([]string, len(head))
	for i := range rule {
		rule[i] = strings.Repeat("-", cols[i])
	}
	line(rule)
	for _, r := range rows {
		line(r)
	}
}

// printJSON writes v for machines: indented, Chinese as it is.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// progress shows how far a long piece of work is, on a terminal only, from the second second on.
type progress struct {
	w     io.Writer
	what  string
	start time.Time
	last  time.Time
	shown bool
}

func newProgress(what string) *progress {
	p := &progress{what: what, start: time.Now()}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		p.w = os.Stderr
	}
	return p
}

// at reports n of total done; total 0 means unknown.
func (p *progress) at(n, total int) {
	now := time.Now()
	if p.w == nil || now.Sub(p.start) < 2*time.Second || now.Sub(p.last) < 200*time.Millisecond {
		return
	}
	p.last, p.shown = now, true
	if total > 0 {
		left := time.Duration(float64(now.Sub(p.start)) / float64(max(n, 1)) * float64(total-n)).Round(time.Second)
		fmt.Fprintf(p.w, "\r%s %d/%d (%d%%), 约剩 %s   ", p.what, n, total, 100*n/total, left)
		return
	}
	fmt.Fprintf(p.w, "\r%s %d ...", p.what, n)
}

// done clears the line.
func (p *progress) done() {
	if p.shown {
		fmt.Fprint(p.w, "\r\033[K")
	}
}
