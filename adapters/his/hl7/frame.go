package hl7

import (
	"bufio"
	"errors"
	"io"
)

// A frame of MLLP: start byte, message, end byte, CR.
const (
	frameStart = 0x0b
	frameEnd   = 0x1c
	frameCR    = 0x0d
)

var (
	// ErrFrame: bytes that are no frame of MLLP. Nothing behind them can be trusted.
	ErrFrame = errors.New("hl7: not an MLLP frame")
	// ErrTooLong: a frame beyond the limit.
	ErrTooLong = errors.New("hl7: the frame is too long")
)

// mostBetween bounds the white space that is tolerated between frames.
const mostBetween = 64

// readFrame gives the content of the next frame, as it came however the network cut it. begun is
// called when its first byte is there. io.EOF between frames is an ordinary end; inside one it is
// io.ErrUnexpectedEOF. A start byte inside a frame begins the frame anew: its sender broke off and
// tried again. With an error the bytes are what came of the frame, for an answer to be addressed.
func readFrame(r *bufio.Reader, limit int, begun func()) ([]byte, error) {
	for n := 0; ; n++ {
		c, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		if c == frameStart {
			break
		}
		if n >= mostBetween || c != '\r' && c != '\n' && c != ' ' && c != '\t' {
			return nil, ErrFrame
		}
	}
	if begun != nil {
		begun()
	}
	var out []byte
	for {
		part, err := r.ReadSlice(frameEnd)
		if i := lastStart(part); i >= 0 {
			out, part = out[:0], part[i+1:]
		}
		if len(out)+len(part) > limit {
			return out[:min(len(out), 4096)], ErrTooLong
		}
		out = append(out, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return out, io.ErrUnexpectedEOF
		case err != nil:
			return out, err
		}
		c, err := r.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return out, io.ErrUnexpectedEOF
		case err != nil:
			return out, err
		case c != frameCR:
			return out, ErrFrame
		}
		return out[:len(out)-1], nil
	}
}

func lastStart(b []byte) int {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == frameStart {
			return i
		}
	}
	return -1
}

// frame wraps a message.
func frame(msg []byte) []byte {
	out := make([]byte, 0, len(msg)+3)
	out = append(out, frameStart)
	out = append(out, msg...)
	return append(out, frameEnd, frameCR)
}
