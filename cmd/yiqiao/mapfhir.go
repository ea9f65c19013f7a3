package main

import (
	"fmt"

	"yiqiao/adapters/his/fhir"
	"yiqiao/gateway"
)

// fhirSettings takes FHIR R4 at /fhir on the address of the HTTP interface, from the systems under his.
type fhirSettings struct {
	Mapping string   `yaml:"mapping"` // name of a shipped one, or a folder; none: nothing is mounted
	Items   string   `yaml:"items"`
	Known   []string `yaml:"known"` // urls of modifier extensions and implicit rules that the mapping understands
}

const fhirPath = "/fhir"

// openFHIR builds the handler and has its mapping watched; no mapping, no handler.
func (srv *server) openFHIR(g *gatewaySettings, clock gateway.Clock) error {
	live, err := srv.openMapping(g, "fhir", g.FHIR.Mapping, g.FHIR.Items, "fhir", clock)
	if live == nil || err != nil {
		return err
	}
	kept, err := srv.kept(g, live, "fhir", clock)
	if err != nil {
		return err
	}
	o := fhir.Options{Desk: srv.front(), Mapper: srv.drawnMapper(kept), Guard: srv.guard, Log: srv.parts.log, Path: fhirPath, Known: g.FHIR.Known,
		MaxBody: g.Limits.BodyBytes, MaxConcurrent: g.Limits.Concurrent}
	h, err := fhir.New(o)
	if err != nil {
		return fmt.Errorf("fhir: %w", err)
	}
	srv.mounts = append(srv.mounts, mount{fhirPath, h})
	return nil
}
