package watch

import (
	"bytes"
	"fmt"
	"maps"

	"go.yaml.in/yaml/v3"

	"yiqiao/simulator/acceptance"
)

// Script is a HIS that does everything right: cases that play the scenarios in their order against a Watcher, by an
// acceptance.Runner whose target is the Watcher. Whoever wants to see what a run looks like before his own HIS is
// connected rehearses with it; the tests bend it.
func Script() ([]acceptance.Case, acceptance.Inputs, error) {
	_, inputs, err := acceptance.Cases()
	if err != nil {
		return nil, nil, err
	}
	b, err := files.ReadFile("script.yaml")
	if err != nil {
		return nil, nil, err
	}
	var doc struct {
		Inputs map[string]yaml.Node `yaml:"inputs"`
		Cases  []acceptance.Case    `yaml:"cases"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&doc); err != nil {
		return nil, nil, fmt.Errorf("script.yaml: %w", err)
	}
	inputs = maps.Clone(inputs)
	for k, n := range doc.Inputs {
		inputs[k] = &n
	}
	return doc.Cases, inputs, nil
}
