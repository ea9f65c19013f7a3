package centre

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
)

// tunnel is a proxy that opens tunnels (CONNECT), or refuses to.
func tunnel(t *testing.T, refuse bool) (u *url.URL, tunnels *atomic.Int32) {
	tunnels = new(atomic.Int32)
	var wg sync.WaitGroup
	srv := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || refuse {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		there, err := net.Dial("tcp", r.Host)
		if err != nil {
			t.Error(err)
			return
		}
		rw.WriteHeader(http.StatusOK)
		here, buffered, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		tunnels.Add(1)
		wg.Go(func() { io.Copy(there, buffered); there.Close() })
		wg.Go(func() { io.Copy(here, there); here.Close() })
	}))
	t.Cleanup(wg.Wait)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u, tunnels
}

func TestThroughAProxy(t *testing.T) {
	var in inbox
	srv := httptest.NewUnstartedServer(good(t, &in))
	quiet(srv)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())

	proxy, tunnels := tunnel(t, false)
	o := options(t, srv.URL, clock())
	o.TLS = &tls.Config{RootCAs: roots}
	o.Proxy = http.ProxyURL(proxy)
	c := newClient(t, o)
	t.Cleanup(c.Close)
	want(t, attempt(t, c, "M1", catalog.LimitSettle), done, gateway.CauseNone)
	want(t, attempt(t, c, "M2", catalog.LimitQuery), done, gateway.CauseNone)
	want(t, attempt(t, c, "M3", catalog.LimitQuery), done, gateway.CauseNone)
	if tunnels.Load() != 2 {
		t.Errorf("%d tunnels, want one for the settlement and one for the questions", tunnels.Load())
	}

	o.Proxy = func() func(*http.Request) (*url.URL, error) {
		u, _ := tunnel(t, true)
		return http.ProxyURL(u)
	}()
	want(t, attempt(t, newClient(t, o), "M4", catalog.LimitSettle), refused, gateway.CauseNotSent)
	if in.count("M4") != 0 {
		t.Error("the message arrived")
	}
}

// No proxy is used because the environment names one.
func TestTheEnvironmentNamesNoProxy(t *testing.T) {
	c := newClient(t, options(t, "http://centre.invalid", clock()))
	if c.shared.Proxy != nil || c.fresh.Proxy != nil {
		t.Error("a proxy is chosen by somebody else")
	}
}
