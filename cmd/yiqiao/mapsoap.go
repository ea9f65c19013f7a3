package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"yiqiao/adapters/his/rest"
	"yiqiao/adapters/his/soap"
	"yiqiao/gateway"
)

// soapSettings takes XML at /soap on the address of the HTTP interface, from the systems under his.
type soapSettings struct {
	Mapping string `yaml:"mapping"` // name of a shipped one, or a folder; none: nothing is mounted
	Items   string `yaml:"items"`
}

const soapPath = "/soap"

// mount is what is mounted beside the HTTP interface, by the beginning of the path.
type mount struct {
	path string
	h    http.Handler
}

// openSOAP builds the handler and has its mapping watched; no mapping, no handler.
func (srv *server) openSOAP(g *gatewaySettings, clock gateway.Clock) error {
	if g.SOAP.Mapping == "" {
		if g.SOAP.Items != "" {
			return errors.New("soap: mapping is missing")
		}
		return nil
	}
	live, err := g.mappingAt(g.SOAP.Mapping, g.SOAP.Items)
	if err != nil {
		return fmt.Errorf("soap: %w", err)
	}
	if s := live.Current().Source; s != "xml" {
		return fmt.Errorf("soap: %s is a mapping of %s, not xml", g.SOAP.Mapping, s)
	}
	o := soap.Options{Desk: srv.desk, Mapper: live, Digest: func(b []byte) [32]byte { return srv.parts.provider.SM3(b) },
		Log: srv.parts.log, Path: soapPath, MaxBody: g.Limits.BodyBytes, MaxConcurrent: g.Limits.Concurrent}
	for _, c := range srv.parts.clients {
		o.Clients = append(o.Clients, soap.Client{System: c.System, KeyDigest: c.KeyDigest, Institutions: c.Institutions})
	}
	h, err := soap.New(o)
	if err != nil {
		return err
	}
	srv.mounts = append(srv.mounts, mount{soapPath, h})
	srv.beside = append(srv.beside, func(ctx context.Context) error {
		live.Watch(ctx, clock, mapReload, srv.parts.log)
		return nil
	})
	return nil
}

// mounted is the HTTP interface with what is mounted beside it: the national envelope for clients that
// have only changed their URL, and XML.
func (srv *server) mounted(o rest.Options) (http.Handler, error) {
	h, err := rest.New(o)
	if err != nil {
		return nil, err
	}
	n, err := rest.NewNative(o)
	if err != nil {
		return nil, err
	}
	list := append([]mount{{rest.NativePath, n}}, srv.mounts...)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, m := range list {
			if r.URL.Path == m.path || strings.HasPrefix(r.URL.Path, m.path+"/") {
				m.h.ServeHTTP(w, r)
				return
			}
		}
		h.ServeHTTP(w, r)
	}), nil
}
