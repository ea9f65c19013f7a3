package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"

	"yiqiao/gateway"
	"yiqiao/simulator/acceptance"
	"yiqiao/simulator/acceptance/watch"
)

// door stands before a gateway's own door and judges what a HIS does there. What the HIS makes the gateway send is judged by
// the watching centre; here it is about the requests themselves: their ids, their form, and what follows an answer that is not
// final.
type door struct {
	w    *watch.Watcher
	next *httputil.ReverseProxy
	mu   sync.Mutex
	sent map[string][32]byte    // request id: what it said
	open map[string]string      // visit number of a bill whose outcome is not known: its request id
	bill map[string]doorRequest // what a bill was opened with, by its id
}

// doorKey finds what was asked when its answer comes.
type doorKey struct{}

// doorBody finds what it said.
type doorBody struct{}

func newDoor(w *watch.Watcher, gatewayAt string) *door {
	d := &door{w: w, next: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: gatewayAt}), sent: map[string][32]byte{}, open: map[string]string{}, bill: map[string]doorRequest{}}
	d.next.ModifyResponse = d.answered
	return d
}

// ServeHTTP passes a request on.
func (d *door) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/api/v1/") {
		d.next.ServeHTTP(rw, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, 8<<20))
	if err != nil {
		http.Error(rw, "request can not be read", http.StatusBadRequest)
		return
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	ctx := context.WithValue(r.Context(), doorKey{}, d.asked(r.URL.Path, body))
	d.next.ServeHTTP(rw, r.WithContext(context.WithValue(ctx, doorBody{}, body)))
}

// doorRequest is what all requests say.
type doorRequest struct {
	RequestID string `json:"request_id"`
	Visit     struct {
		Number string `json:"number"`
	} `json:"visit"`
}

func (d *door) asked(path string, body []byte) doorRequest {
	var q doorRequest
	got := ""
	if err := json.Unmarshal(body, &q); err != nil {
		got = "不是 JSON / no JSON"
	} else if q.RequestID == "" {
		got = "没有 request_id / none"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	sum := sha256.Sum256(append([]byte(path+"\n"), body...))
	if was, ok := d.sent[q.RequestID]; ok && was != sum {
		got = "同一 request_id 内容不同 / the same id for something else"
	}
	d.sent[q.RequestID] = sum
	d.w.Judge("HDOOR-1", "每个请求一个 request_id, 重试不变 / one id for each request, kept for its repetition", got)
	if !strings.HasSuffix(path, "/settlements") {
		return q
	}
	got = ""
	if id, ok := d.open[q.Visit.Number]; ok && id != q.RequestID {
		got = "为同一就诊另开一单 / another bill for the same visit"
	}
	d.w.Judge("HDOOR-2", "先查清上一请求 / find out about the request before", got)
	return q
}

// answered looks at what the gateway said.
func (d *door) answered(resp *http.Response) error {
	if resp.Request.Method != http.MethodPost || !strings.HasPrefix(resp.Request.URL.Path, "/api/v1/") {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // it was read
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var p struct {
		ID      string        `json:"id"`
		Code    gateway.Code  `json:"code"`
		Owner   gateway.Owner `json:"owner"`
		Unknown bool          `json:"outcome_unknown"`
	}
	_ = json.Unmarshal(body, &p) // an answer that is none says nothing
	got := ""
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode >= 400 && resp.StatusCode < 500 && p.Owner == gateway.OwnerHIS {
		got = fmt.Sprintf("%d %s", resp.StatusCode, p.Code)
	}
	d.w.Judge("HDOOR-3", "网关接受请求 / the gateway takes the request", got)
	d.mu.Lock()
	defer d.mu.Unlock()
	asked, _ := resp.Request.Context().Value(doorBody{}).([]byte)
	d.w.Keep(acceptance.Original{Request: asked, Reply: body, Wire: []acceptance.Wire{{URL: resp.Request.URL.Path, Request: asked, Status: resp.StatusCode, Reply: body}}})
	q, _ := resp.Request.Context().Value(doorKey{}).(doorRequest)
	if q.Visit.Number == "" { // a later step of a bill
		for id, b := range d.bill {
			if strings.Contains(resp.Request.URL.Path, "/"+id+"/") {
				q = b
			}
		}
	} else if p.ID != "" {
		d.bill[p.ID] = q
	}
	switch {
	case q.Visit.Number == "":
	case resp.StatusCode == http.StatusAccepted || p.Unknown:
		d.open[q.Visit.Number] = q.RequestID
	default:
		delete(d.open, q.Visit.Number)
	}
	return nil
}
