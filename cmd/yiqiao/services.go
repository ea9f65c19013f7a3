package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"yiqiao/adapters/region/service"
	"yiqiao/gateway"
	"yiqiao/gateway/centre"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

// service reads the table of a centre beside the core one; nil for the core interface.
func (s *gatewaySettings) service(c centreSettings, cat *catalog.Catalog) (*gateway.Service, error) {
	if c.Service == "" {
		return nil, nil
	}
	if err := c.Protect.sealed(); err != nil {
		return nil, err
	}
	var t gateway.Service
	var err error
	if file, ok := strings.CutPrefix(c.Service, "file:"); ok {
		f, openErr := os.Open(s.path(file))
		if openErr != nil {
			return nil, fmt.Errorf("service: %w", openErr)
		}
		defer f.Close()
		t, err = service.Read(f)
	} else {
		t, err = service.Load(c.Service)
	}
	if err == nil {
		err = service.Check(t, cat)
	}
	return &t, err
}

// sealed refuses an endpoint without an envelope of its own: only that says what a reply of a service
// is worth.
func (e endpointSettings) sealed() error {
	if name, _ := e.names(); name == "none" {
		return fmt.Errorf("envelope %s: a service needs mpc or epc", name)
	}
	return nil
}

// way makes one centre of the core one and the services of an institution.
func (s *gatewaySettings) way(in institutionSettings, p *parts) (gateway.Centre, error) {
	core := p.centres[in.Centre]
	if len(in.Services) == 0 {
		return core, nil
	}
	w := &ways{core: core, beside: map[ident.Infno]gateway.Centre{}}
	for _, name := range in.Services {
		for _, n := range p.centres[name].Serves() {
			if w.beside[n] != nil {
				return nil, fmt.Errorf("services: two of them have transaction %s", n)
			}
			w.beside[n] = p.centres[name]
		}
	}
	return w, nil
}

// ways sends each transaction to the centre that has it.
type ways struct {
	core   gateway.Centre
	beside map[ident.Infno]gateway.Centre
}

// Admit implements gateway.Centre.
func (w *ways) Admit(ctx context.Context, n ident.Infno) (gateway.Permit, error) {
	if c := w.beside[n]; c != nil {
		return c.Admit(ctx, n)
	}
	return w.core.Admit(ctx, n)
}

// multipart says how the file of 9101 travels; nil for inside the message.
func (c centreSettings) multipart() (*centre.Multipart, error) {
	if c.Multipart == nil {
		return nil, nil
	}
	if name, transport := c.Protect.names(); name != "none" || transport == "oauth-cainfo" {
		return nil, fmt.Errorf("multipart: a file in a part of its own does not go with envelope %s and transport %s", name, transport)
	}
	m := &centre.Multipart{Infno: "9101", Node: "fsUploadIn", Member: "in", Name: "filename", FileField: c.Multipart.File, MessageField: c.Multipart.Message}
	if m.FileField == "" {
		m.FileField = "file"
	}
	if m.MessageField == "" {
		m.MessageField = "data"
	}
	return m, nil
}
