package admit

import (
	"crypto/sha256"
	"net/http"
)

// byCertificate finds the system whose certificate the connection showed; nil when it showed none. bad
// says why one that was shown is nobody's. That the caller has the private key was proved in the
// handshake; that the certificate is in its time is looked at again, for connections live long.
func (g *Guard) byCertificate(r *http.Request) (found *Client, bad string) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, ""
	}
	cert := r.TLS.PeerCertificates[0]
	sum := sha256.Sum256(cert.Raw)
	subject := cert.Subject.String()
	for i := range g.o.Clients {
		for _, c := range g.o.Clients[i].Certificates {
			switch {
			case c.Subject == "" && c.SHA256 == sum:
				found = &g.o.Clients[i]
			case c.Subject != "" && c.Subject == subject && found == nil:
				if len(r.TLS.VerifiedChains) == 0 {
					bad = "the subject is known, but no CA stands for it"
					continue
				}
				found = &g.o.Clients[i]
			}
		}
	}
	now := g.o.Clock.Now()
	switch {
	case found == nil && bad == "":
		return nil, "a certificate that is not known"
	case found == nil:
		return nil, bad
	case now.Before(cert.NotBefore) || now.After(cert.NotAfter):
		return nil, "the certificate is out of its time"
	}
	return found, ""
}
