package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/codes"
	"yiqiao/schemas/overlay"
)

// readOverlays reads the files of editions.
func readOverlays(files []string) ([]*overlay.Overlay, error) {
	var list []*overlay.Overlay
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("editions: %w", err)
		}
		o, err := overlay.Read(f, b)
		if err != nil {
			return nil, err
		}
		for _, other := range list {
			if other.Name == o.Name {
				return nil, fmt.Errorf("editions: %s is given twice", o.Name)
			}
		}
		list = append(list, o)
	}
	return list, nil
}

// overlays are the editions of the configuration; paths are relative to it.
func (s *gatewaySettings) overlays() ([]*overlay.Overlay, error) {
	var files []string
	for _, f := range s.Editions {
		files = append(files, s.path(f))
	}
	return readOverlays(files)
}

// tables are what the gateway works with: the published ones, or those of every edition.
func (s *gatewaySettings) tables() (*catalog.Catalog, *codes.Tables, error) {
	list, err := s.overlays()
	if err != nil {
		return nil, nil, err
	}
	if len(list) > 0 {
		return overlay.Union(list)
	}
	c, err := catalog.Default()
	if err != nil {
		return nil, nil, err
	}
	t, err := codes.Default()
	return c, t, err
}

// checkers gives the checker of each region, with the editions of it; nil without editions.
func (s *gatewaySettings) checkers(p *parts, clock gateway.Clock) (func(*gateway.Region) *check.Checker, error) {
	list, err := s.overlays()
	if err != nil || len(list) == 0 {
		return nil, err
	}
	today := func() string { return clock.Now().In(gateway.China).Format(time.DateOnly) }
	made := map[*gateway.Region]*check.Checker{}
	for _, inst := range p.institutions {
		r := inst.Region
		if made[r] != nil {
			continue
		}
		st, err := overlay.Editions(list, r.Code)
		if err != nil {
			return nil, err
		}
		made[r], err = check.New(st.Base, check.Options{Relax: r.Relax, Codes: r.Codes, FundIncludesAccount: r.FundIncludesAccount,
			Tables: st.Tables, Later: st.Later, Today: today})
		if err != nil {
			return nil, fmt.Errorf("editions: region %s: %w", r.Code, err)
		}
	}
	return func(r *gateway.Region) *check.Checker { return made[r] }, nil
}

// edition is what a command names: national, or files of overlays with commas between them, laid on together.
func edition(name string) (*overlay.Stack, error) {
	var files []string
	if name != "national" {
		files = strings.Split(name, ",")
	}
	list, err := readOverlays(files)
	if err != nil {
		return nil, err
	}
	return overlay.Editions(list, "")
}
