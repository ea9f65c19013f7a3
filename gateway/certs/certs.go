// Package certs is the certificate of a listener: read when the listener is opened, and read anew when its
// files have changed, without a restart and without a connection that breaks.
//
// Nothing runs by itself: Certificate, which a handshake asks, looks at the files at most once in
// Options.Every, and so does Look for whoever wants to know while nobody calls. A new pair that can not be
// used (half written, a key of another certificate, not valid now) is not taken: the one there is stays, the
// log says why once, Stand says it until it is mended, and each look tries again. The clock is passed in.
package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"yiqiao/gateway"
)

// Options of a Pair. Name, Cert, Key and Clock are required.
type Options struct {
	Name      string // for the log
	Cert, Key string // PEM files: certificate chain and private key
	Clock     gateway.Clock
	Every     time.Duration // between two looks at the files; default 10 s
	Log       *slog.Logger  // default: nowhere
}

// Pair is the certificate and key in use. Safe for concurrent use.
type Pair struct {
	o   Options
	now atomic.Pointer[held]

	mu      sync.Mutex // held by whoever looks
	looked  time.Time
	trouble atomic.Pointer[string] // why what the files hold is not in use; nil: it is
}

// held is a pair and the files it came from, as they were before they were read.
type held struct {
	cert  tls.Certificate
	files [2]os.FileInfo
}

// Stand is how a pair stands.
type Stand struct {
	Name    string
	Until   time.Time // end of the certificate in use
	Trouble string    // why what the files hold now is not in use; "" when it is
}

// Open reads the pair. What can not be used as it is now is an error, but for the time it is valid: that is
// told by those who are called with it, and by Stand.
func Open(o Options) (*Pair, error) {
	if o.Clock == nil || o.Cert == "" || o.Key == "" {
		return nil, errors.New("certs: certificate, key and clock are required")
	}
	if o.Every <= 0 {
		o.Every = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Pair{o: o}
	p.looked = o.Clock.Now()
	files, err := p.stat()
	if err != nil {
		return nil, err
	}
	h, err := p.read(files)
	if err != nil {
		return nil, err
	}
	p.now.Store(h)
	return p, nil
}

// Certificate is for tls.Config.GetCertificate. It never fails: there is always a pair.
func (p *Pair) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.Look()
	return &p.now.Load().cert, nil
}

// Stand tells how the pair stands; it does not look at the files.
func (p *Pair) Stand() Stand {
	s := Stand{Name: p.o.Name, Until: p.now.Load().cert.Leaf.NotAfter}
	if t := p.trouble.Load(); t != nil {
		s.Trouble = *t
	}
	return s
}

// Look reads the files anew when they have changed, at most once in Options.Every. Who finds another one
// looking does not wait.
func (p *Pair) Look() {
	if !p.mu.TryLock() {
		return
	}
	defer p.mu.Unlock()
	now := p.o.Clock.Now()
	if since := now.Sub(p.looked); since >= 0 && since < p.o.Every { // a clock that was set back is no reason to wait
		return
	}
	p.looked = now
	files, err := p.stat()
	if err == nil && same(files, p.now.Load().files) {
		p.trouble.Store(nil)
		return
	}
	var h *held
	if err == nil {
		h, err = p.read(files)
	}
	if err == nil {
		err = valid(h, now)
	}
	if err != nil {
		if words, old := err.Error(), p.trouble.Load(); old == nil || *old != words {
			p.trouble.Store(&words)
			p.o.Log.Error("the new certificate is not taken, the old one stays in use", "listener", p.o.Name, "err", words, "until", p.now.Load().cert.Leaf.NotAfter)
		}
		return
	}
	p.now.Store(h)
	p.trouble.Store(nil)
	p.o.Log.Info("certificate read anew", "listener", p.o.Name, "until", h.cert.Leaf.NotAfter)
}

// stat is taken before the files are read: what is written afterwards is another change.
func (p *Pair) stat() (files [2]os.FileInfo, err error) {
	for i, path := range []string{p.o.Cert, p.o.Key} {
		if files[i], err = os.Stat(path); err != nil {
			return files, err
		}
	}
	return files, nil
}

func (p *Pair) read(files [2]os.FileInfo) (*held, error) {
	c, err := tls.LoadX509KeyPair(p.o.Cert, p.o.Key)
	if err != nil {
		return nil, err
	}
	return &held{cert: c, files: files}, nil
}

func same(a, b [2]os.FileInfo) bool {
	for i := range a {
		if !os.SameFile(a[i], b[i]) || !a[i].ModTime().Equal(b[i].ModTime()) || a[i].Size() != b[i].Size() {
			return false
		}
	}
	return true
}

// valid refuses a new certificate that nobody would accept now.
func valid(h *held, now time.Time) error {
	if l := h.cert.Leaf; now.Before(l.NotBefore) || now.After(l.NotAfter) {
		return fmt.Errorf("valid from %s to %s only", l.NotBefore.UTC().Format(time.RFC3339), l.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}
