package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"yiqiao/adapters/his/rest"
	"yiqiao/adapters/his/soap"
	"yiqiao/gateway"
	"yiqiao/gateway/mapping"
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
	live, err := srv.openMapping(g, "soap", g.SOAP.Mapping, g.SOAP.Items, "xml", clock)
	if live == nil || err != nil {
		return err
	}
	kept, err := srv.kept(g, live, "xml", clock)
	if err != nil {
		return err
	}
	o := soap.Options{Desk: srv.front(), Mapper: srv.drawnMapper(kept), Guard: srv.guard, Log: srv.parts.log, Path: soapPath,
		MaxBody: g.Limits.BodyBytes, MaxConcurrent: g.Limits.Concurrent}
	h, err := soap.New(o)
	if err != nil {
		return err
	}
	srv.mounts = append(srv.mounts, mount{soapPath, h})
	return nil
}

// openMapping loads the mapping of the settings called name and has it watched; nil when none is given.
func (srv *server) openMapping(g *gatewaySettings, name, where, items, source string, clock gateway.Clock) (*mapping.Live, error) {
	if where == "" {
		if items != "" {
			return nil, fmt.Errorf("%s: mapping is missing", name)
		}
		return nil, nil
	}
	live, err := g.mappingAt(where, items)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if s := live.Current().Source; s != source {
		return nil, fmt.Errorf("%s: %s is a mapping of %s, not %s", name, where, s, source)
	}
	srv.beside = append(srv.beside, func(ctx context.Context) error {
		live.Watch(ctx, clock, mapReload, srv.parts.log)
		return nil
	})
	return live, nil
}

func (srv *server) sm3(b []byte) [32]byte { return srv.parts.provider.SM3(b) }

// mounted is the HTTP interface with what is mounted beside it: the national envelope for clients that
// have only changed their URL, XML and FHIR.
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
	srv.routes = h.Routes()
	for _, m := range list {
		srv.routes = append(srv.routes, "* "+m.path)
	}
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
