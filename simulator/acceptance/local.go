package acceptance

import (
	"bytes"
	"io"
	"net/http"
)

// Local sends requests to a handler in this process: a Client without a network.
func Local(h http.Handler) http.RoundTripper { return local{h} }

type local struct{ http.Handler }

func (l local) RoundTrip(r *http.Request) (*http.Response, error) {
	a := &kept{header: http.Header{}, status: http.StatusOK}
	l.ServeHTTP(a, r)
	return &http.Response{
		StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: a.header, Request: r,
		Body: io.NopCloser(&a.body), ContentLength: int64(a.body.Len()),
	}, nil
}

// kept is an answer in memory.
type kept struct {
	header  http.Header
	status  int
	written bool
	body    bytes.Buffer
}

func (k *kept) Header() http.Header { return k.header }

func (k *kept) WriteHeader(status int) {
	if !k.written {
		k.status, k.written = status, true
	}
}

func (k *kept) Write(b []byte) (int, error) {
	k.written = true
	return k.body.Write(b)
}
