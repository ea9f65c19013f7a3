package rest_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"yiqiao/adapters/his/histest"
	"yiqiao/gateway"
)

// While every place for POSTs is taken, further ones are refused at once, and asking goes on.
func TestPlaces(t *testing.T) {
	desk := &histest.Desk{}
	arrived, leave := make(chan struct{}), make(chan struct{})
	desk.On = map[histest.Op]func(context.Context, gateway.Caller, any) (any, error){
		histest.OpTransact: func(context.Context, gateway.Caller, any) (any, error) {
			arrived <- struct{}{}
			<-leave
			return histest.Transaction("R-1", 1, gateway.StateDone), nil
		},
	}
	o := options(desk)
	o.MaxConcurrent = 1
	h := open(t, o)
	done := make(chan int)
	go func() { done <- call(h, "POST", transactPath, body).Code }()
	<-arrived
	w := call(h, "POST", "/api/v1/settlements", []byte(histest.BillBody))
	if p := problem(t, w); p.Code != gateway.CodeRateLimited || w.Header().Get("Retry-After") == "" {
		t.Errorf("the second POST: %+v", p)
	}
	if w := call(h, "GET", "/api/v1/transactions/T1", nil); w.Code != 404 {
		t.Errorf("asking while it waits: %d", w.Code)
	}
	close(leave)
	if code := <-done; code != 200 {
		t.Errorf("the first POST: %d", code)
	}
	if w := call(h, "POST", "/api/v1/settlements", []byte(histest.BillBody)); w.Code != 201 {
		t.Errorf("after it: %d", w.Code)
	}
}

// doorkeeper lets everybody in.
type doorkeeper struct{ gateway.Doorkeeper }

func (doorkeeper) SignIn(_ context.Context, s gateway.SignIn) (gateway.Visitor, string, error) {
	return gateway.Visitor{Person: gateway.Person{ID: s.ID}}, "yqs_1", nil
}

// began tells that somebody reads.
type began struct {
	io.Reader
	tell chan struct{}
}

func (b began) Read(p []byte) (int, error) {
	select {
	case b.tell <- struct{}{}:
	default:
	}
	return b.Reader.Read(p)
}

// Strangers who send a sign-in letter by letter keep neither HIS systems nor people waiting.
func TestASlowSignInHoldsNoPlace(t *testing.T) {
	o := options(&histest.Desk{})
	o.MaxConcurrent, o.Doorkeeper = 1, doorkeeper{}
	h := open(t, o)
	slow, end := io.Pipe()
	reads, done := make(chan struct{}, 1), make(chan int)
	go func() {
		r := httptest.NewRequest("POST", "/api/v1/sessions", began{slow, reads})
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		done <- w.Code
	}()
	<-reads
	if w := call(h, "POST", "/api/v1/settlements", []byte(histest.BillBody)); w.Code != 201 {
		t.Errorf("a bill: %d %s", w.Code, w.Body)
	}
	signIn := []byte(`{"id":"li","password":"x"}`)
	if w := call(h, "POST", "/api/v1/sessions", signIn, "Authorization", ""); w.Code != 201 {
		t.Errorf("another sign-in: %d %s", w.Code, w.Body)
	}
	_, _ = end.Write(signIn)
	_ = end.Close()
	if code := <-done; code != 201 {
		t.Errorf("the slow one: %d", code)
	}
}

// A body that only turns out too large while it is read, and one that ends too early.
func TestBodiesOfUnknownLength(t *testing.T) {
	o := options(&histest.Desk{})
	o.MaxBody = 2000
	h := open(t, o)
	for _, c := range []struct {
		body io.Reader
		code gateway.Code
	}{
		{io.LimitReader(spaces{}, 2001), gateway.CodeBodyTooLarge},
		{io.MultiReader(strings.NewReader(`{"a":`), broken{}), gateway.CodeBodyNotJSON},
	} {
		r := httptest.NewRequest("POST", transactPath, c.body)
		r.ContentLength = -1
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-API-Key", histest.Key)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if p := problem(t, w); p.Code != c.code {
			t.Errorf("%s, want %s", p.Code, c.code)
		}
	}
}

// A larger body than the usual 8 MiB is the operator's choice; too many values are too large as well.
func TestOtherLimits(t *testing.T) {
	o := options(&histest.Desk{})
	o.MaxBody = 10 << 20
	h := open(t, o)
	large := append(bytes.Repeat([]byte(" "), 9<<20), body...)
	if w := call(h, "POST", transactPath, large); w.Code != 200 {
		t.Errorf("9 MiB with a limit of 10: %d %s", w.Code, w.Body)
	}
	many := []byte("[" + strings.Repeat("1,", 1<<20) + "1]")
	if p := problem(t, call(h, "POST", transactPath, many)); p.Code != gateway.CodeBodyTooLarge {
		t.Errorf("a million values: %s", p.Code)
	}
}

// Waiting that ended says nothing of what was asked to be done; of a question it is just a failure.
func TestWaitingEnds(t *testing.T) {
	for _, err := range []error{context.Canceled, context.DeadlineExceeded} {
		h := open(t, options(&histest.Desk{Err: err}))
		if p := problem(t, call(h, "POST", "/api/v1/settlements/B1/confirm", []byte(histest.ConfirmBody))); p.Code != gateway.CodeOutcomeUnknown {
			t.Errorf("POST: %s", p.Code)
		}
		if p := problem(t, call(h, "GET", "/api/v1/settlements/B1", nil)); p.Code != gateway.CodeInternal {
			t.Errorf("GET: %s", p.Code)
		}
	}
}

type spaces struct{}

func (spaces) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Over a real connection: 50 MB are refused by the announcement, before a byte of them is sent.
func TestLargeBodyIsRefusedUnread(t *testing.T) {
	srv := httptest.NewServer(open(t, options(&histest.Desk{})))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "POST "+transactPath+" HTTP/1.1\r\nHost: x\r\nX-API-Key: "+histest.Key+"\r\nContent-Type: application/json\r\nContent-Length: 52428800\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 413 || !resp.Close {
		t.Errorf("%d, close %v", resp.StatusCode, resp.Close)
	}
}

// A client that goes away ends the waiting but is never told of; the work it asked for goes on.
func TestClientGone(t *testing.T) {
	desk := &histest.Desk{}
	arrived, over := make(chan struct{}), make(chan struct{})
	desk.On = map[histest.Op]func(context.Context, gateway.Caller, any) (any, error){
		histest.OpTransact: func(ctx context.Context, _ gateway.Caller, _ any) (any, error) {
			close(arrived)
			<-ctx.Done()
			return histest.Transaction("R-1", 1, gateway.StateDone), nil
		},
	}
	h := open(t, options(desk))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(over)
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", srv.URL+transactPath, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-API-Key", histest.Key)
	go func() { <-arrived; leave() }()
	if resp, err := http.DefaultClient.Do(r); err == nil {
		resp.Body.Close()
		t.Fatal("the client got an answer after leaving")
	}
	<-over
	if told := desk.ToldOf(); len(told) > 0 {
		t.Errorf("told of %v to nobody", told)
	}
}

// A writer that fails, as a cut connection does, means nobody was told.
func TestWriteFails(t *testing.T) {
	desk := &histest.Desk{}
	h := open(t, options(desk))
	r := httptest.NewRequest("POST", transactPath, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-API-Key", histest.Key)
	for _, w := range []http.ResponseWriter{cutWriter{httptest.NewRecorder()}, cutFlusher{httptest.NewRecorder()}} {
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.ServeHTTP(w, r)
	}
	if told := desk.ToldOf(); len(told) > 0 || len(desk.Calls()) != 2 {
		t.Errorf("told of %v over a cut line, %d calls", told, len(desk.Calls()))
	}
}

type cutWriter struct{ *httptest.ResponseRecorder }

func (cutWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

type cutFlusher struct{ *httptest.ResponseRecorder }

func (cutFlusher) FlushError() error { return io.ErrClosedPipe }
