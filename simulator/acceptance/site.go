package acceptance

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

//go:embed site.yaml
var simulatorSite []byte

// SimulatorSite is the test data of the simulated centre, which answers what some areas only have as well.
func SimulatorSite() (Site, error) {
	s, err := ReadSite(bytes.NewReader(simulatorSite))
	s.Local = []string{"*"}
	return s, err
}

// SiteExample is the text of SimulatorSite: what somebody who tests another centre copies and fills in.
func SiteExample() []byte { return bytes.Clone(simulatorSite) }

// ReadSite reads a site file strictly.
func ReadSite(r io.Reader) (Site, error) {
	dec := yaml.NewDecoder(io.LimitReader(r, 1<<20))
	dec.KnownFields(true)
	var s Site
	if err := dec.Decode(&s); err != nil {
		return s, fmt.Errorf("site: %w", err)
	}
	if len(s.Institution) != 12 || s.Area == "" {
		return s, fmt.Errorf("site: fixmedins_code has 12 characters and mdtrtarea_admvs is needed")
	}
	return s, nil
}
