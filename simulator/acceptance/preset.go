package acceptance

import (
	"bytes"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed presets
var presetFiles embed.FS

// Preset is how an area's interface is spoken: what protects messages, how addresses are formed, what differs in figures, and in
// which order a stay ends. It is a starting point to be checked against the area's own edition; Confidence and Source say what it rests on.
type Preset struct {
	Code                string `yaml:"-" json:"code"`
	Name                Text   `yaml:"name" json:"name"`
	Envelope            string `yaml:"envelope" json:"envelope"`   // none or mpc
	Transport           string `yaml:"transport" json:"transport"` // plain, tif or csb
	URLStyle            string `yaml:"url_style" json:"url_style"` // per-infno or single
	SignIn              bool   `yaml:"sign_in" json:"sign_in"`
	AskByVisit          bool   `yaml:"ask_by_visit" json:"ask_by_visit"` // 5203 answers without setl_id
	FundIncludesAccount bool   `yaml:"fund_includes_account" json:"fund_includes_account"`
	Order               string `yaml:"order" json:"order"` // discharge-first or settle-first: whether 2402 comes before 2304
	Confidence          string `yaml:"confidence" json:"confidence"`
	Source              string `yaml:"source" json:"source"`
}

// Presets gives the embedded presets by name.
func Presets() ([]Preset, error) {
	names, err := fs.Glob(presetFiles, "presets/*.yaml")
	if err != nil {
		return nil, err
	}
	var list []Preset
	for _, name := range names {
		b, err := presetFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		p, err := ReadPreset(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		p.Code = strings.TrimSuffix(strings.TrimPrefix(name, "presets/"), ".yaml")
		list = append(list, p)
	}
	return list, nil
}

// ReadPreset reads a preset strictly. Its Code is for the caller to give.
func ReadPreset(r io.Reader) (Preset, error) {
	dec := yaml.NewDecoder(io.LimitReader(r, 1<<20))
	dec.KnownFields(true)
	var p Preset
	if err := dec.Decode(&p); err != nil {
		return p, fmt.Errorf("preset: %w", err)
	}
	for _, c := range []struct {
		key, value string
		of         []string
	}{
		{"envelope", p.Envelope, []string{"none", "mpc"}}, {"transport", p.Transport, []string{"plain", "tif", "csb"}},
		{"url_style", p.URLStyle, []string{"per-infno", "single"}}, {"order", p.Order, []string{"discharge-first", "settle-first"}},
		{"confidence", p.Confidence, []string{"high", "medium", "low"}},
	} {
		if !slices.Contains(c.of, c.value) {
			return p, fmt.Errorf("preset: %s %q: %s", c.key, c.value, strings.Join(c.of, ", "))
		}
	}
	if p.Name.ZH == "" || p.Name.EN == "" || p.Source == "" {
		return p, fmt.Errorf("preset: name (zh, en) and source are needed")
	}
	return p, nil
}

// Apply puts what the preset says of an area into test data.
func (p Preset) Apply(s *Site) {
	s.SignIn, s.FundIncludesAccount, s.SettleBeforeDischarge = p.SignIn, p.FundIncludesAccount, p.Order == "settle-first"
}
