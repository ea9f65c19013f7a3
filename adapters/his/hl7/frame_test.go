package hl7

import (
	"bufio"
	"bytes"
	"errors"
	"testing"
	"testing/iotest"
)

// Whatever comes, and however it is cut: a frame is what stands between its ends, no longer than the limit, and one that was
// framed comes back as it was.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x0bMSH|^~\\&|A\x1c\r\r\n\x0bMSH\x1c\r"), uint8(20))
	f.Add([]byte("\x0bhalf\x0bwhole\x1c\r"), uint8(3))
	f.Add([]byte("noise\x0b\x1cX"), uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, most uint8) {
		limit := int(most)*8 + 16
		whole, pieces := bufio.NewReaderSize(bytes.NewReader(b), 16), bufio.NewReaderSize(iotest.OneByteReader(bytes.NewReader(b)), 16)
		for {
			one, err := readFrame(whole, limit, nil)
			two, again := readFrame(pieces, limit, nil)
			if !errors.Is(err, again) || !bytes.Equal(one, two) && err == nil {
				t.Fatalf("%q %v, in pieces %q %v", one, err, two, again)
			}
			if len(one) > max(limit, 4096) || bytes.IndexByte(one, frameStart) >= 0 {
				t.Fatalf("%d bytes of at most %d: %q", len(one), limit, one)
			}
			if err != nil {
				return
			}
			if back, err := readFrame(bufio.NewReader(bytes.NewReader(frame(one))), limit, nil); err != nil || !bytes.Equal(back, one) {
				t.Fatalf("%q %v, was %q", back, err, one)
			}
		}
	})
}
