package hl7

import (
	"bytes"
	"strconv"
)

// Batch is what one frame or file holds: one message, or several between FHS/BHS and BTS/FTS.
type Batch struct {
	Messages [][]byte // raw, each beginning with MSH
	Wrapped  bool     // there were batch headers: the answer has them too
}

// Split cuts a frame into messages. It looks at the beginnings of lines only, which no multi-byte
// character of GB18030 or UTF-8 can contain, and never at what is in a message. A batch whose trailer
// counts otherwise than it holds is refused.
func Split(b []byte) (Batch, error) {
	b = bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), "\r\n")
	var out Batch
	from, inBatch, counted, begun := -1, false, -1, 0
	flush := func(at int) {
		if from >= 0 {
			out.Messages = append(out.Messages, b[from:at])
			from = -1
		}
	}
	for i := 0; i < len(b); {
		end := i
		for end < len(b) && b[end] != '\r' && b[end] != '\n' {
			end++
		}
		line := b[i:end]
		switch name := string(line[:min(3, len(line))]); name {
		case "FHS", "BHS":
			flush(i)
			out.Wrapped, inBatch, begun = true, true, len(out.Messages)
		case "MSH":
			flush(i)
			from = i
		case "BTS", "FTS":
			flush(i)
			if !inBatch {
				return out, &ParseError{BadBatch, 0, "a batch ends that did not begin"}
			}
			if name == "BTS" {
				counted = len(out.Messages)
				if n, ok := count(line); ok && n != counted-begun {
					return out, &ParseError{BadBatch, 0, "BTS-1 does not count the messages of the batch"}
				}
			}
		default:
			if from < 0 && len(bytes.TrimSpace(line)) > 0 {
				return out, &ParseError{NoHeader, 1, "something stands before MSH"}
			}
		}
		for end < len(b) && (b[end] == '\r' || b[end] == '\n') {
			end++
		}
		i = end
	}
	flush(len(b))
	if inBatch && counted < 0 && len(out.Messages) > 0 && !bytes.Contains(b, []byte("FTS")) {
		return out, &ParseError{BadBatch, 0, "the batch has no end: BTS or FTS is missing"}
	}
	if len(out.Messages) == 0 {
		return out, &ParseError{NoHeader, 1, "no message: MSH is missing"}
	}
	return out, nil
}

// count is BTS-1, when it is there.
func count(line []byte) (int, bool) {
	if len(line) < 5 {
		return 0, false
	}
	f := line[4:]
	if i := bytes.IndexByte(f, line[3]); i >= 0 {
		f = f[:i]
	}
	n, err := strconv.Atoi(string(f))
	return n, err == nil
}
