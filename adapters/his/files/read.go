package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"yiqiao/adapters/his/tabular"
)

// Read gives the messages of a file that is held in memory, for tools that try a mapping. The first
// row that can not be used is an error which names it.
func Read(name string, b []byte, l Layout) ([]*tabular.Message, error) {
	if err := l.Check(); err != nil {
		return nil, err
	}
	digest, charset, err := survey(bytes.NewReader(b))
	if err != nil {
		return nil, inWords(err)
	}
	r, _, err := l.open(name, charset, bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, inWords(err)
	}
	var out []*tabular.Message
	for list := l.messages(r, name, digest); ; {
		g, err := list.next()
		switch {
		case err == io.EOF:
			return out, nil
		case err != nil:
			return nil, inWords(err)
		case len(g.faults) > 0:
			return nil, inWords(&wholeFault{g.faults[0]})
		}
		out = append(out, g.m)
	}
}

func inWords(err error) error {
	var f *wholeFault
	if !errors.As(err, &f) {
		return err
	}
	w := f.Finding()
	return fmt.Errorf("第 %d 行 %s: %s %s / row %d: %s (%s)", f.Row, f.Column, w.ZH, f.What, f.Row, w.EN, f.Code)
}
