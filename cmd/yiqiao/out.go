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

// working shows on a terminal that something long is going on, from the second second on: what it
// is and for how long. Call the function it returns when the work is done.
func working(what string) (done func()) {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		start := time.Now()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for shown := false; ; {
			select {
			case <-stop:
				if shown {
					fmt.Fprint(os.Stderr, "\r\033[K")
				}
				return
			case now := <-tick.C:
				if d := now.Sub(start).Round(time.Second); d >= 2*time.Second {
					fmt.Fprintf(os.Stderr, "\r%s … %s", what, d)
					shown = true
				}
			}
		}
	}()
	return func() { close(stop); <-stopped }
}
