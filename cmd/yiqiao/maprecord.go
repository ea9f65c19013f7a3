package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"yiqiao/adapters/his/dbview"
	"yiqiao/adapters/his/files"
	"yiqiao/adapters/his/tabular"
	"yiqiao/gateway"
	"yiqiao/gateway/mapping"
	"yiqiao/gateway/traffic"
)

// recordSettings keeps what HIS systems send, for `yiqiao map replay`. Off by default.
type recordSettings struct {
	On       bool  `yaml:"on"`
	Days     int   `yaml:"days"`      // default 7
	MaxBytes int64 `yaml:"max_bytes"` // of all days; default 256 MiB
}

// faults tells what can not be meant.
func (s recordSettings) faults() (list []string) {
	if s.Days < 0 || s.Days > 90 || s.MaxBytes < 0 {
		list = append(list, "record: days must be between 1 and 90, max_bytes not below 0")
	}
	return list
}

func (s *gatewaySettings) trafficDir() string { return filepath.Join(s.path(s.Data), "traffic") }

// kept is a mapping whose messages are recorded when that is turned on.
func (srv *server) kept(g *gatewaySettings, live *mapping.Live, source string, clock gateway.Clock) (gateway.Mapper, error) {
	if !g.Record.On {
		return live, nil
	}
	kind, err := kindOf(source)
	if err != nil {
		return nil, err
	}
	if srv.recorder == nil {
		srv.recorder, err = traffic.Open(traffic.Options{Dir: g.trafficDir(), Sealer: srv.journal.vault.Drawer(gateway.ClassQuery, clock.Now), Clock: clock,
			Days: g.Record.Days, MaxBytes: g.Record.MaxBytes, Log: srv.parts.log})
		if err != nil {
			return nil, err
		}
		srv.closers = append(srv.closers, srv.recorder.Close)
	}
	mapper := srv.recorder.Mapper(live, g.reader(kind))
	if kind.rows {
		mapper = &rowKeeper{Mapper: mapper, seen: map[[sha256.Size]byte]bool{}}
	}
	return mapper, nil
}

// rowKeeper has messages of rows written down to be kept: they have no bytes of their own. One that is tried
// again, because it is held or its outcome is not known yet, is kept once.
type rowKeeper struct {
	gateway.Mapper
	mu   sync.Mutex
	seen map[[sha256.Size]byte]bool
}

// mostSeen bounds what is remembered; what is forgotten may be kept twice.
const mostSeen = 50_000

// Map implements gateway.Mapper.
func (k *rowKeeper) Map(s gateway.Source) (gateway.Mapped, error) {
	if raw := tabular.Write(s); raw != nil && k.first(sha256.Sum256(raw)) {
		s.Raw = raw
	}
	return k.Mapper.Map(s)
}

func (k *rowKeeper) first(d [sha256.Size]byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.seen[d] {
		return false
	}
	if len(k.seen) >= mostSeen {
		clear(k.seen)
	}
	k.seen[d] = true
	return true
}

// reader reads messages as the gateway of this configuration does.
func (s *gatewaySettings) reader(kind sourceKind) func([]byte) ([]gateway.Source, error) {
	switch {
	case kind.name == "fhir":
		return fhirSources(s.FHIR.Known...)
	case kind.rows: // as they were written down
		return func(b []byte) ([]gateway.Source, error) {
			src, err := tabular.Read(kind.name, b)
			return []gateway.Source{src}, err
		}
	}
	return kind.read
}

// mappingOf is the mapping the configuration has for a kind of source, "" for none.
func (s *gatewaySettings) mappingOf(source string) (where, items string) {
	switch source {
	case "hl7":
		if len(s.HL7) > 0 {
			where, items = s.HL7[0].Mapping, s.HL7[0].Items
		}
	case "xml":
		where, items = s.SOAP.Mapping, s.SOAP.Items
	case "fhir":
		where, items = s.FHIR.Mapping, s.FHIR.Items
	case files.Kind:
		if len(s.Files) > 0 {
			where, items = s.Files[0].Mapping, s.Files[0].Items
		}
	case dbview.Kind:
		if len(s.DBView) > 0 {
			where, items = s.DBView[0].Mapping, s.DBView[0].Items
		}
	}
	if where != "" {
		where = s.definitionAt(where)
	}
	if items != "" {
		items = s.path(items)
	}
	return where, items
}

// replayRecorded feeds what was recorded on a day ("": every day) through both mappings. Messages of other
// kinds of source than theirs are left out.
func replayRecorded(ctx context.Context, g *gatewaySettings, day string, current, candidate *definition) (replayReport, error) {
	r := newReplay(current, candidate)
	read := g.reader(current.kind)
	days := traffic.Days(g.trafficDir())
	if day != "" {
		if !slices.Contains(days, day) {
			return r, fmt.Errorf("%[1]s 没有录下的报文 (有: %[2]s) / nothing was recorded on %[1]s", day, strings.Join(days, " "))
		}
		days = []string{day}
	}
	if len(days) == 0 {
		return r, errors.New("没有录下的报文: 在 yiqiao.yaml 中设 record: {on: true} / nothing was recorded")
	}
	j, err := g.openPresent(ctx)
	if err != nil {
		return r, err
	}
	defer j.close()
	sealer := j.vault.Drawer(gateway.ClassQuery, systemClock{}.Now)
	for _, d := range days {
		n := 0
		lost, err := traffic.Read(g.trafficDir(), d, sealer, func(m traffic.Message) error {
			n++
			if m.Kind != current.Source {
				return nil
			}
			list, err := read(m.Raw)
			return r.add(fmt.Sprintf("%s/%d", d, n), list, err, current, candidate)
		})
		if err != nil {
			return r, err
		}
		r.Lost += lost
	}
	return r, nil
}
