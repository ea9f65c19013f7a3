package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"yiqiao/adapters/his/files"
	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/gateway/mapping"
	"yiqiao/schemas/ident"
)

// filesSettings is one watched folder of yiqiao.yaml. How its files are read is in layout.yaml beside
// the mapping.
type filesSettings struct {
	System       string          `yaml:"system"`
	Folder       string          `yaml:"folder"`
	Mapping      string          `yaml:"mapping"` // name of a shipped one, or a folder
	Items        string          `yaml:"items"`
	Institutions []string        `yaml:"institutions"`
	Settle       config.Duration `yaml:"settle"`    // how long a file must stand still
	Marker       string          `yaml:"marker"`    // .done: take a.csv only when a.csv.done is there
	Every        config.Duration `yaml:"every"`     // between two looks
	Wait         config.Duration `yaml:"wait"`      // how long what can not be taken is tried again
	Keep         config.Duration `yaml:"keep"`      // how long files that are done stay; none: not at all
	Charset      string          `yaml:"charset"`   // of results: utf-8 (default) or gb18030
	MaxBytes     int64           `yaml:"max_bytes"` // of one file
}

// checkFiles tells what does not fit together; the rest is found when it is built.
func (s *gatewaySettings) checkFiles(known map[string]bool) (faults []string) {
	folders := map[string]bool{}
	for i, f := range s.Files {
		bad := func(format string, a ...any) {
			faults = append(faults, fmt.Sprintf("files[%d]: ", i)+fmt.Sprintf(format, a...))
		}
		if f.System == "" || f.Folder == "" || f.Mapping == "" || len(f.Institutions) == 0 {
			bad("system, folder, mapping and institutions are needed")
		}
		if f.System == "yiqiao" {
			bad("the name yiqiao is the gateway's own")
		}
		if at := s.path(f.Folder); folders[at] {
			bad("folder %s is there twice", f.Folder)
		} else {
			folders[at] = true
		}
		if f.Charset != "" && f.Charset != "utf-8" && f.Charset != "gb18030" {
			bad("charset must be utf-8 or gb18030")
		}
		for _, code := range f.Institutions {
			if !known[code] {
				bad("institution %s is not described", code)
			}
		}
	}
	return faults
}

// openFiles has every folder watched, by this gateway alone.
func (srv *server) openFiles(g *gatewaySettings, clock gateway.Clock) error {
	for i, s := range g.Files {
		if err := srv.openFolder(g, s, clock); err != nil {
			return fmt.Errorf("files[%d]: %w", i, err)
		}
	}
	return nil
}

func (srv *server) openFolder(g *gatewaySettings, s filesSettings, clock gateway.Clock) error {
	live, err := g.mappingAt(s.Mapping, s.Items)
	if err != nil {
		return err
	}
	if kind := live.Current().Source; kind != files.Kind {
		return fmt.Errorf("%s is a mapping of %s, not %s", s.Mapping, kind, files.Kind)
	}
	beside, err := g.besideMapping(s.Mapping)
	if err != nil {
		return err
	}
	layout, err := loadLayout(beside)
	if err != nil {
		return err
	}
	kept, err := srv.kept(g, live, files.Kind, clock)
	if err != nil {
		return err
	}
	o := files.Options{Desk: srv.front(), Mapper: srv.drawnMapper(kept), Clock: clock, System: s.System, Dir: g.path(s.Folder), Layout: layout, Log: srv.parts.log,
		Settle: time.Duration(s.Settle), Marker: s.Marker, Every: time.Duration(s.Every), Wait: time.Duration(s.Wait), Keep: time.Duration(s.Keep),
		GB18030: s.Charset == "gb18030", MaxSize: s.MaxBytes}
	for _, code := range s.Institutions {
		o.Institutions = append(o.Institutions, ident.Institution(code))
	}
	folder, err := files.New(o)
	if err != nil {
		return err
	}
	lock := flock.New(filepath.Join(o.Dir, "working", ".lock"))
	owner := filepath.Join(o.Dir, "working", ".owner")
	if ok, err := lock.TryLock(); err != nil || !ok {
		by, _ := os.ReadFile(owner)
		return fmt.Errorf("%[1]s 正被另一个网关使用 (%[2]s) / is in use by another gateway (%[2]s)", o.Dir, bytes.TrimSpace(by))
	}
	srv.closers = append(srv.closers, func() { _ = lock.Unlock() })
	name, err := g.processName()
	if err != nil {
		return err
	}
	host, _ := os.Hostname()
	if err := os.WriteFile(owner, []byte(name+" @ "+host+":"+g.path(g.Data)+"\n"), 0o600); err != nil {
		return err
	}
	srv.parts.log.Info("watching a folder", "system", s.System, "mapping", live.Current().Version())
	srv.tended(live, clock, folder.Trouble, folder.Run)
	return nil
}

// tended has a source worked on beside the desk, and its mapping looked after.
func (srv *server) tended(live *mapping.Live, clock gateway.Clock, trouble func() string, run func(context.Context) error) {
	srv.troubles = append(srv.troubles, trouble)
	srv.beside = append(srv.beside, func(ctx context.Context) error {
		var wg sync.WaitGroup
		defer wg.Wait()
		watch, stop := context.WithCancel(ctx)
		defer stop()
		wg.Go(func() { live.Watch(watch, clock, mapReload, srv.parts.log) })
		return run(ctx)
	})
}

// besideMapping is the folder of a mapping, where its layout lies.
func (s *gatewaySettings) besideMapping(where string) (fs.FS, error) {
	fsys, _, _, err := findDefinition(s.definitionAt(where))
	return fsys, err
}
