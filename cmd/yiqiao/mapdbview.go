package main

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"yiqiao/adapters/his/dbview"
	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/schemas/ident"
)

// dbviewSettings is one view of a HIS's database. Which tables and columns it has is in layout.yaml
// beside the mapping.
type dbviewSettings struct {
	System       string          `yaml:"system"`
	Driver       string          `yaml:"driver"` // postgres or mysql; see yiqiao version for what else is in the program
	DSN          string          `yaml:"dsn"`    // without the password
	Password     config.Secret   `yaml:"password"`
	Mapping      string          `yaml:"mapping"` // name of a shipped one, or a folder
	Items        string          `yaml:"items"`
	Institutions []string        `yaml:"institutions"`
	Every        config.Duration `yaml:"every"` // between two looks
	Wait         config.Duration `yaml:"wait"`  // how long what can not be taken is tried again
	Batch        int             `yaml:"batch"` // rows read at once
}

// checkDBView tells what does not fit together; the rest is found when it is built.
func (s *gatewaySettings) checkDBView(known map[string]bool) (faults []string) {
	systems := map[string]bool{}
	for i, d := range s.DBView {
		bad := func(format string, a ...any) {
			faults = append(faults, fmt.Sprintf("dbview[%d]: ", i)+fmt.Sprintf(format, a...))
		}
		if d.System == "" || d.Driver == "" || d.DSN == "" || d.Mapping == "" || len(d.Institutions) == 0 {
			bad("system, driver, dsn, mapping and institutions are needed")
		}
		if d.System == "yiqiao" || systems[d.System] {
			bad("system %s is there twice, or the gateway's own", d.System)
		}
		systems[d.System] = true
		for _, code := range d.Institutions {
			if !known[code] {
				bad("institution %s is not described", code)
			}
		}
	}
	return faults
}

// openDBView has every view polled.
func (srv *server) openDBView(g *gatewaySettings, clock gateway.Clock) error {
	for i, s := range g.DBView {
		if err := srv.openView(g, s, clock); err != nil {
			return fmt.Errorf("dbview[%d]: %w", i, err)
		}
	}
	return nil
}

var plainName = regexp.MustCompile(`[^A-Za-z0-9_.-]`)

func (srv *server) openView(g *gatewaySettings, s dbviewSettings, clock gateway.Clock) error {
	live, err := g.mappingAt(s.Mapping, s.Items)
	if err != nil {
		return err
	}
	if kind := live.Current().Source; kind != dbview.Kind {
		return fmt.Errorf("%s is a mapping of %s, not %s", s.Mapping, kind, dbview.Kind)
	}
	beside, err := g.besideMapping(s.Mapping)
	if err != nil {
		return err
	}
	view, err := loadView(beside)
	if err != nil {
		return err
	}
	kept, err := srv.kept(g, live, dbview.Kind, clock)
	if err != nil {
		return err
	}
	own := srv.journal.vault.Digest([]byte("yiqiao dbview")) // by its key: no other journal has it
	o := dbview.Options{Desk: srv.front(), Mapper: srv.drawnMapper(kept), Clock: clock, System: s.System, Driver: s.Driver, DSN: s.DSN, View: view, Log: srv.parts.log,
		Journal:  hex.EncodeToString(own[:]),
		MarkFile: filepath.Join(g.path(g.Data), "dbview-"+plainName.ReplaceAllString(s.System, "_")+".json"),
		Every:    time.Duration(s.Every), Wait: time.Duration(s.Wait), Batch: s.Batch}
	if s.Password.Set() {
		if o.Password, err = g.places().text(s.Password); err != nil {
			return fmt.Errorf("password: %w", err)
		}
	}
	for _, code := range s.Institutions {
		o.Institutions = append(o.Institutions, ident.Institution(code))
	}
	source, err := dbview.New(o)
	if err != nil {
		return err
	}
	srv.closers = append(srv.closers, func() { _ = source.Close() })
	srv.parts.log.Info("polling a view", "system", s.System, "driver", s.Driver, "mapping", live.Current().Version())
	srv.tended(live, clock, source.Trouble, source.Run)
	return nil
}
