package watch

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"yiqiao/crypto/envelope"
	"yiqiao/schemas/strictjson"
	"yiqiao/simulator/acceptance"
)

// bent is a HIS that does one thing wrong; see testdata/defects.yaml.
type bent struct {
	Name    string               `yaml:"name"`
	Caught  string               `yaml:"caught"`
	Case    string               `yaml:"case"`
	With    string               `yaml:"with"` // a case behind it
	At      string               `yaml:"at"`
	Nth     int                  `yaml:"nth"`
	Do      string               `yaml:"do"`
	Set     map[string]yaml.Node `yaml:"set"`
	Drop    []string             `yaml:"drop"`
	Rows    int                  `yaml:"rows"`
	Head    map[string]string    `yaml:"head"`
	Also    string               `yaml:"also"` // another step with the same head
	Bytes   string               `yaml:"bytes"`
	Media   string               `yaml:"media"`
	Spoil   string               `yaml:"spoil"`
	Profile string               `yaml:"profile"`
	Steps   []acceptance.Step    `yaml:"steps"`
}

// step finds the step that is bent.
func (b bent) step(t *testing.T, c acceptance.Case, at string) int {
	t.Helper()
	n := max(b.Nth, 1)
	for i, s := range c.Steps {
		if s.Send == at {
			if n--; n == 0 {
				return i
			}
		}
	}
	t.Fatalf("%s: %s has no step %s", b.Name, c.ID, at)
	return 0
}

// apply bends the case.
func (b bent) apply(t *testing.T, c acceptance.Case) acceptance.Case {
	i := b.step(t, c, b.At)
	c.Steps = slices.Clone(c.Steps)
	s := &c.Steps[i]
	if len(b.Set) > 0 {
		set := map[string]yaml.Node{}
		for k, v := range s.Set {
			set[k] = v
		}
		for k, v := range b.Set {
			set[k] = v
		}
		s.Set = set
	}
	s.Drop = append(slices.Clone(s.Drop), b.Drop...)
	if b.Rows > 0 {
		s.Rows = b.Rows
	}
	if len(b.Head) > 0 || b.Bytes != "" || b.Media != "" {
		s.Spoil = "bend"
	}
	if b.Also != "" {
		c.Steps[b.step(t, c, b.Also)].Spoil = "bend"
	}
	if b.Spoil != "" {
		s.Spoil = b.Spoil
	}
	careless := func(s acceptance.Step) acceptance.Step { s.Expect.Result = "whatever"; s.Save = nil; return s }
	switch b.Do {
	case "skip":
		c.Steps = slices.Delete(c.Steps, i, i+1)
	case "twice":
		c.Steps = slices.Insert(c.Steps, i+1, careless(*s))
	case "thrice":
		c.Steps = slices.Insert(c.Steps, i, careless(*s), careless(*s))
	case "swap":
		c.Steps[i], c.Steps[i+1] = c.Steps[i+1], c.Steps[i]
	case "stop":
		c.Steps = c.Steps[:i]
	case "instead":
		c.Steps = slices.Replace(c.Steps, i, i+1, b.Steps...)
	}
	for i := range c.Steps { // it goes on whatever comes
		if len(c.Steps[i].Save) == 0 {
			c.Steps[i] = careless(c.Steps[i])
		}
	}
	return c
}

// bender is the way of a bent HIS to the watcher.
type bender struct {
	*acceptance.Client
	b bent
}

func (x bender) Spoils() []string { return []string{"unsigned"} }

func (x bender) Exchange(ctx context.Context, infno string, msg []byte, how string) ([]byte, string, error) {
	if how != "bend" {
		return x.Client.Exchange(ctx, infno, msg, how)
	}
	if len(x.b.Head) > 0 {
		v, err := strictjson.Decode(msg, strictjson.Request())
		if err != nil {
			return nil, "", err
		}
		doc := v.(map[string]any)
		for k, s := range x.b.Head {
			doc[k] = s
		}
		msg = strictjson.Encode(doc)
	}
	switch x.b.Bytes {
	case "gbk":
		msg = bytes.ReplaceAll(msg, []byte("内科"), []byte{0xc4, 0xda, 0xbf, 0xc6})
	case "bom":
		msg = append([]byte{0xef, 0xbb, 0xbf}, msg...)
	case "double":
		msg = bytes.Replace(msg, []byte(`{`), []byte(`{"infver":"V1.0",`), 1)
	case "trailing":
		msg = append(bytes.Clone(msg), `{}`...)
	}
	if x.b.Media != "" {
		c := *x.Client
		c.HTTP = announced{x.Client.HTTP, x.b.Media}
		return c.Exchange(ctx, infno, msg, "")
	}
	return x.Client.Exchange(ctx, infno, msg, "")
}

// announced sets another Content-Type.
type announced struct {
	http.RoundTripper
	media string
}

func (a announced) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Content-Type", a.media)
	return a.RoundTripper.RoundTrip(r)
}

// Each bent HIS is caught by the requirement it breaks.
func TestBentHISsAreCaught(t *testing.T) {
	text, err := os.ReadFile("testdata/defects.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	var list []bent
	if err := dec.Decode(&list); err != nil {
		t.Fatal(err)
	}
	if len(list) < 60 {
		t.Fatalf("only %d", len(list))
	}
	cases, inputs, err := Script()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, b := range list {
		t.Run(strings.ReplaceAll(b.Name, " ", "-"), func(t *testing.T) {
			var script []acceptance.Case
			var only []string
			for _, c := range cases {
				switch c.ID {
				case b.Case:
					script = append(script, b.apply(t, c))
				case b.With:
					script = append(script, c)
				}
			}
			only = append(only, b.Case, b.With)
			if b.Case == "H-IP-01" {
				only = append(only, "H-IP-02")
			}
			if b.Case == "H-IP-03" {
				only = append(only, "H-UP-03", "H-UP-01", "H-UP-02", "H-RC-01")
			}
			o := Options{Only: only}
			var client *acceptance.Client
			var site acceptance.Site
			meanwhile := func() {}
			o.Wait = func(time.Duration) { meanwhile() }
			if b.Profile == "" {
				b.Profile = "none"
			}
			var w *Watcher
			if b.Spoil == "no-header" {
				tr, err := envelope.NewTransport("tif", envelope.TransportConfig{PaasID: "test", Token: "token"})
				if err != nil {
					t.Fatal(err)
				}
				o.Transport = tr
				w, client, site = watched(t, b.Profile, o)
				client.Transport, client.Stamps = tr, true
			} else {
				w, client, site = watched(t, b.Profile, o)
			}
			if b.Do == "meanwhile" {
				once := false
				meanwhile = func() {
					if once {
						return
					}
					once = true
					last := w.last()
					_, _, _ = client.Exchange(context.Background(), "2207", bytes.Replace(last, []byte(`"msgid":"`), []byte(`"msgid":"`), 1), "")
				}
			}
			site.Values = maps.Clone(site.Values) // what a step that was left out would have given
			for k, v := range map[string]string{"visit": "MZ0001", "setl": "S0001", "total": "479.54", "own": "35.50", "over": "37.03", "pre": "60.00", "scope": "347.01"} {
				site.Values[k] = v
			}
			his := play(t, bender{client, b}, site, script, inputs)
			res := w.Result(true)
			i := slices.IndexFunc(res.Requirements, func(q acceptance.RequirementResult) bool { return q.ID == b.Caught })
			if i < 0 || res.Requirements[i].Status != acceptance.Fail {
				t.Errorf("not caught by %s", b.Caught)
				for _, q := range res.Requirements {
					if q.Status == acceptance.Fail {
						t.Logf("  but by %s %+v", q.ID, q.Evidence)
					}
				}
				for _, k := range his.Cases {
					for i, s := range k.Steps {
						t.Logf("    %s step %d %s: %v %.200s", k.ID, i+1, s.Infno, s.Faults, s.Reply)
					}
				}
			}
			if res.Passed() {
				t.Error("the run passes")
			}
		})
		seen[b.Caught] = true
	}
	rules, _, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if !seen[r.ID] {
			t.Errorf("no HIS breaks %s", r.ID)
		}
	}
}
