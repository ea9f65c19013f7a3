package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"strings"
	"time"

	"yiqiao/adapters/his/admit"
	"yiqiao/adapters/his/rest"
	"yiqiao/gateway"
	"yiqiao/gateway/certs"
	"yiqiao/gateway/nonce"
	"yiqiao/schemas/ident"
)

// tlsSettings protect the address of the HIS interface.
type tlsSettings struct {
	Cert     string `yaml:"cert"` // certificate chain and key, PEM files; none: plain HTTP
	Key      string `yaml:"key"`
	ClientCA string `yaml:"client_ca"` // stands for the certificates of HIS systems; none: only those named by SHA-256
}

func (s tlsSettings) faults() (list []string) {
	if (s.Cert == "") != (s.Key == "") || s.ClientCA != "" && s.Cert == "" {
		list = append(list, "tls: cert and key go together; client_ca needs them")
	}
	return list
}

// listenTLS is the TLS of one of our listeners, nil where it has none: its certificate is read anew when the files
// change, client_ca at the start only.
func (srv *server) listenTLS(g *gatewaySettings, name string, at tlsSettings, clock gateway.Clock) (*tls.Config, error) {
	if at.Cert == "" {
		return nil, nil
	}
	pair, err := certs.Open(certs.Options{Name: name, Cert: g.path(at.Cert), Key: g.path(at.Key), Clock: clock, Log: srv.parts.log})
	if err != nil {
		return nil, err
	}
	srv.pairs = append(srv.pairs, pair)
	tc := &tls.Config{GetCertificate: pair.Certificate, MinVersion: tls.VersionTLS12, Time: clock.Now}
	if at.ClientCA != "" {
		pem, err := os.ReadFile(g.path(at.ClientCA))
		if err != nil {
			return nil, err
		}
		if tc.ClientCAs = x509.NewCertPool(); !tc.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("client_ca holds no certificate")
		}
	}
	return tc, nil
}

// interfaceTLS is that of the HIS interface. Callers without a certificate are let in: they may have a key.
func (srv *server) interfaceTLS(g *gatewaySettings, clock gateway.Clock) (*tls.Config, error) {
	tc, err := srv.listenTLS(g, "interface", g.TLS, clock)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	if tc != nil {
		tc.ClientAuth = tls.RequestClientCert
		if tc.ClientCAs != nil {
			tc.ClientAuth = tls.VerifyClientCertIfGiven
		}
	}
	return tc, nil
}

func (s *gatewaySettings) scheme() string {
	if s.TLS.Cert != "" {
		return "https"
	}
	return "http"
}

// faults tells what is wrong with how a HIS system proves itself.
func (h hisSettings) faults(t tlsSettings) (list []string) {
	bad := func(format string, a ...any) {
		list = append(list, fmt.Sprintf("his %s: ", h.System)+fmt.Sprintf(format, a...))
	}
	others := len(h.SigningKeys) > 0 || len(h.Certificates) > 0
	if h.KeyDigest != "" && len(h.KeyDigest) != 64 || h.KeyDigest == "" && !others {
		bad("key_digest must be 64 hex digits, or signing_keys or certificates be given")
	}
	if h.KeyDigest == "" && h.PlainKey {
		bad("plain_key belongs to key_digest, which is missing")
	}
	if len(h.Certificates) > 0 && t.Cert == "" {
		bad("certificates need tls")
	}
	for _, c := range h.Certificates {
		one, err := certificateOf(c)
		if err != nil {
			bad("%v", err)
		} else if one.Subject != "" && t.ClientCA == "" {
			bad("a certificate named by its subject needs tls.client_ca")
		}
	}
	return list
}

// certificateOf reads "sha256:HEX", with or without colons in it, or "subject:CN=...".
func certificateOf(text string) (c admit.Certificate, err error) {
	kind, value, _ := strings.Cut(text, ":")
	switch {
	case kind == "sha256":
		b, err := hex.DecodeString(strings.ToLower(strings.ReplaceAll(value, ":", "")))
		if err == nil && len(b) == len(c.SHA256) {
			copy(c.SHA256[:], b)
			return c, nil
		}
	case kind == "subject" && value != "":
		c.Subject = value
		return c, nil
	}
	return c, errors.New("certificates: sha256: and 64 hex digits, or subject: and the subject as RFC 2253 writes it")
}

// client is a HIS system as the doors know it. Once it can sign or show a certificate its plain key is
// taken only where plain_key says so.
func (s *gatewaySettings) client(h hisSettings) (rest.Client, error) {
	c := rest.Client{System: h.System, Rate: h.Rate, Burst: h.Burst}
	if h.KeyDigest != "" && (h.PlainKey || len(h.SigningKeys)+len(h.Certificates) == 0) {
		if n, err := hex.Decode(c.KeyDigest[:], []byte(h.KeyDigest)); err != nil || n != len(c.KeyDigest) {
			return c, fmt.Errorf("his %s: key_digest must be 64 hex digits", h.System)
		}
	}
	for i, at := range h.SigningKeys {
		text, err := s.places().text(at)
		if err != nil {
			return c, fmt.Errorf("his %s: signing_keys[%d]: %w", h.System, i, err)
		}
		old, err := s.places().old(at)
		if err != nil {
			return c, fmt.Errorf("his %s: signing_keys[%d]: %w", h.System, i, err)
		}
		for _, text := range append([]string{text}, old...) {
			c.Signing = append(c.Signing, []byte(text))
		}
	}
	for _, text := range h.Certificates {
		one, err := certificateOf(text)
		if err != nil {
			return c, fmt.Errorf("his %s: %w", h.System, err)
		}
		c.Certificates = append(c.Certificates, one)
	}
	for _, in := range h.Institutions {
		c.Institutions = append(c.Institutions, ident.Institution(in))
	}
	return c, nil
}

// openGuard makes the one guard of all doors that speak HTTP.
func (srv *server) openGuard(g *gatewaySettings, clock gateway.Clock) (err error) {
	book, err := nonce.New(nonce.Options{DB: srv.journal.db, Clock: clock})
	if err != nil {
		return err
	}
	srv.guard, err = admit.New(admit.Options{Clients: srv.parts.clients, Digest: srv.sm3, Hash: func() hash.Hash { return srv.parts.provider.NewSM3() },
		Clock: clock, Nonces: book, Window: time.Duration(g.Limits.SignatureWindow), Log: srv.parts.log})
	if err != nil {
		return fmt.Errorf("his: %w", err)
	}
	return nil
}
