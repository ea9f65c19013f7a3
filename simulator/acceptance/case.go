package acceptance

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"yiqiao/schemas/strictjson"
)

// Case is one scenario: steps that build on each other. A step that fails where its answer is needed
// ends the case.
type Case struct {
	ID       string   `yaml:"id"`
	Suite    string   `yaml:"suite"`
	Title    Text     `yaml:"title"`
	Person   string   `yaml:"person"` // a role of Site.People
	Needs    string   `yaml:"needs"`  // "" or what the target's security must allow (Target.Spoils), sign-in where one is asked for, or discharge-first
	Verifies []string `yaml:"verifies"`
	SignsOut bool     `yaml:"signs_out"` // the session ends with it; the run signs in again
	Service  string   `yaml:"service"`   // "" or one of Options.Services
	Alone    bool     `yaml:"alone"`     // nothing else may go on beside it
	// Table: the case is about the table of this transaction. Its title and what it verifies follow from the number, and a last step is
	// added, where the last one sends it and succeeds, that sends the same again with one thing wrong, which must be refused.
	Table string `yaml:"table"`
	// Local: only some areas have the transaction; the site says whether the target does (Site.Local).
	Local bool   `yaml:"local"`
	Steps []Step `yaml:"steps"`
}

// Step is one message. Input is the name of an input of inputs.yaml, changed by Set and Drop; "" repeats
// the input of the step before.
type Step struct {
	Note     Text                 `yaml:"note"`
	Send     string               `yaml:"send"`
	Input    string               `yaml:"input"`
	Set      map[string]yaml.Node `yaml:"set"`
	Drop     []string             `yaml:"drop"`
	Break    bool                 `yaml:"break"` // one thing is made wrong, as the table says it must not be (package sample)
	Rows     int                  `yaml:"rows"`  // so many copies of the first row of its list, numbered
	As       string               `yaml:"as"`    // another institution's code
	Sign     string               `yaml:"sign"`  // instead of the sign_no of the run
	MsgID    string               `yaml:"msgid"` // instead of a new one
	Raw      string               `yaml:"raw"`   // these bytes instead of a message; ${message} is the message
	Spoil    string               `yaml:"spoil"` // see Target.Exchange; lost: sent as it is, the answer not looked at
	Expect   Expect               `yaml:"expect"`
	Save     map[string]string    `yaml:"save"` // variable: path in output, "= path + path - 1.00", or "msgid"
	Verifies []string             `yaml:"verifies"`
}

// Expect is what the answer must be.
type Expect struct {
	// Result is done (when empty), refused, not-done (refused in whatever way), unanswered (nothing usable comes), file (bytes that are no message), or whatever
	Result  string               `yaml:"result"`
	Says    []string             `yaml:"says"`    // one of these texts is in err_msg
	Equal   map[string]yaml.Node `yaml:"equal"`   // path: value; numbers by value
	Present []string             `yaml:"present"` // there, not null and not empty
	Absent  []string             `yaml:"absent"`  // null or not there
	Sums    []string             `yaml:"sums"`    // "path = path + path - 1.00"
	Count   map[string]int       `yaml:"count"`   // path of a list: how many
	Match   map[string]string    `yaml:"match"`   // path: regular expression
	// Contains: some row of the list at a path has all these members with these values; Lacks: none has.
	Contains map[string]map[string]yaml.Node `yaml:"contains"`
	Lacks    map[string]map[string]yaml.Node `yaml:"lacks"`
}

// Cases reads the embedded cases, in the order of their files and within them as they stand.
func Cases() ([]Case, Inputs, error) {
	dir, err := fs.Sub(files, "cases")
	if err != nil {
		return nil, nil, err
	}
	return Load(dir)
}

// whole gives a case about a table what follows from its number.
func (c Case) whole() Case {
	if c.Table == "" {
		return c
	}
	c.Title = Text{c.Table + ": 按接口表答复, 有一处错误的请求被拒绝", c.Table + ": answers as its table has it, and refuses a request with one thing wrong"}
	c.Steps = slices.Clone(c.Steps)
	for i, s := range c.Steps {
		if s.Send == c.Table && s.Expect.Result == "" {
			c.Steps[i].Verifies = append(slices.Clone(s.Verifies), fieldsID(c.Table))
		}
	}
	broken := slices.ContainsFunc(c.Steps, func(s Step) bool { return s.Break })
	if n := len(c.Steps); n > 0 && !broken && c.Steps[n-1].Send == c.Table && c.Steps[n-1].Expect.Result == "" {
		last := c.Steps[n-1]
		c.Steps = append(c.Steps, Step{Send: c.Table, As: last.As, Break: true, Expect: Expect{Result: "refused"}, Verifies: []string{"TBL-1"}, Note: Text{"同一请求, 一处错误", "the same request with one thing wrong"}})
	}
	return c
}

// Inputs are message inputs by name, with variables in them.
type Inputs map[string]*yaml.Node

// Load reads *.yaml of a folder; inputs.yaml holds the inputs. Unknown keys, names and requirements that do not
// exist are found by Check.
func Load(dir fs.FS) ([]Case, Inputs, error) {
	names, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(names)
	var all []Case
	inputs := Inputs{}
	for _, name := range names {
		b, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, nil, err
		}
		if path.Base(name) == "inputs.yaml" {
			var m map[string]yaml.Node
			if err := yaml.Unmarshal(b, &m); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", name, err)
			}
			for k, n := range m {
				inputs[k] = &n
			}
			continue
		}
		dec := yaml.NewDecoder(bytes.NewReader(b))
		dec.KnownFields(true)
		var list []Case
		if err := dec.Decode(&list); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, c := range list {
			all = append(all, c.whole())
		}
	}
	return all, inputs, nil
}

// Check finds what is wrong with cases: ids twice, unknown inputs and requirements, steps that verify nothing.
func Check(list []Case, inputs Inputs, reqs []Requirement) error {
	known := map[string]bool{}
	for _, q := range reqs {
		known[q.ID] = true
	}
	var bad []error
	seen := map[string]bool{}
	for _, c := range list {
		if seen[c.ID] || c.ID == "" || c.Suite == "" || c.Title.ZH == "" || c.Title.EN == "" {
			bad = append(bad, fmt.Errorf("case %q: twice, or without suite or title", c.ID))
		}
		seen[c.ID] = true
		n := len(c.Verifies)
		for i, s := range c.Steps {
			if s.Input != "" && s.Input != SampleInput && inputs[s.Input] == nil {
				bad = append(bad, fmt.Errorf("case %s step %d: no input %q", c.ID, i+1, s.Input))
			}
			if s.Input == "" && i == 0 && s.Raw == "" {
				bad = append(bad, fmt.Errorf("case %s step 1 has no input", c.ID))
			}
			n += len(s.Verifies)
			for _, id := range s.Verifies {
				if !known[id] {
					bad = append(bad, fmt.Errorf("case %s step %d: no requirement %s", c.ID, i+1, id))
				}
			}
		}
		for _, id := range c.Verifies {
			if !known[id] {
				bad = append(bad, fmt.Errorf("case %s: no requirement %s", c.ID, id))
			}
		}
		if n == 0 {
			bad = append(bad, fmt.Errorf("case %s verifies nothing", c.ID))
		}
	}
	return errors.Join(bad...)
}

// vars are the variables of a case: texts and numbers.
type vars map[string]any

var variable = regexp.MustCompile(`\$\{([a-z0-9_]+)\}`)

// value turns a node into what strictjson writes, with its variables filled in. A text that is one
// variable takes over its type.
func (v vars) value(n *yaml.Node) (any, error) {
	switch n.Tag {
	case "!b64", "!zip":
		return v.packed(n)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return v.value(n.Content[0])
	case yaml.AliasNode:
		return v.value(n.Alias)
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			x, err := v.value(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			out[n.Content[i].Value] = x
		}
		return out, nil
	case yaml.SequenceNode:
		out := []any{}
		for _, c := range n.Content {
			x, err := v.value(c)
			if err != nil {
				return nil, err
			}
			out = append(out, x)
		}
		return out, nil
	}
	switch n.Tag {
	case "!!null":
		return nil, nil
	case "!!bool":
		return n.Value == "true", nil
	case "!!int", "!!float":
		return json.Number(n.Value), nil
	}
	if m := variable.FindStringSubmatch(n.Value); m != nil && m[0] == n.Value {
		x, ok := v[m[1]]
		if !ok {
			return nil, fmt.Errorf("no value for ${%s}", m[1])
		}
		return x, nil
	}
	return v.text(n.Value)
}

// packed is the base64 of a value: of a text as it is, of anything else as JSON; !zip packs a text into a zip archive of one file first.
func (v vars) packed(n *yaml.Node) (any, error) {
	plain := *n
	plain.Tag = ""
	if plain.Kind == yaml.ScalarNode {
		plain.Tag = "!!str"
	}
	x, err := v.value(&plain)
	if err != nil {
		return nil, err
	}
	b := strictjson.Encode(x)
	if s, ok := x.(string); ok {
		b = []byte(s)
	}
	if n.Tag == "!zip" {
		var out bytes.Buffer
		z := zip.NewWriter(&out)
		w, err := z.Create("detail.txt")
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(b); err != nil {
			return nil, err
		}
		if err := z.Close(); err != nil {
			return nil, err
		}
		b = out.Bytes()
	}
	return base64.StdEncoding.EncodeToString(b), nil
}

func (v vars) text(s string) (string, error) {
	var missing string
	out := variable.ReplaceAllStringFunc(s, func(m string) string {
		x, ok := v[m[2:len(m)-1]]
		if !ok {
			missing = m
		}
		return strictjson.Text(x)
	})
	if missing != "" {
		return "", fmt.Errorf("no value for %s", missing)
	}
	return out, nil
}

// at finds the value at a path of names and list places, "setlinfo.setl_id" or "result.0.feedetl_sn".
func at(v any, where string) (any, bool) {
	if where == "" {
		return v, true
	}
	for part := range strings.SplitSeq(where, ".") {
		switch x := v.(type) {
		case map[string]any:
			y, ok := x[part]
			if !ok {
				return nil, false
			}
			v = y
		case []any:
			i, err := place(part, len(x))
			if err != nil {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, true
}

func place(part string, n int) (int, error) {
	i := 0
	if _, err := fmt.Sscanf(part, "%d", &i); err != nil || i < 0 || i >= n {
		return 0, fmt.Errorf("no place %s", part)
	}
	return i, nil
}

// put sets or, with drop, removes the value at a path.
func put(root any, where string, x any, drop bool) error {
	up, name := "", where
	if i := strings.LastIndexByte(where, '.'); i >= 0 {
		up, name = where[:i], where[i+1:]
	}
	v, ok := at(root, up)
	if !ok {
		return fmt.Errorf("no place %s", where)
	}
	switch v := v.(type) {
	case map[string]any:
		if drop {
			delete(v, name)
		} else {
			v[name] = x
		}
		return nil
	case []any:
		i, err := place(name, len(v))
		if err != nil || drop {
			return fmt.Errorf("no place %s", where)
		}
		v[i] = x
		return nil
	}
	return fmt.Errorf("no place %s", where)
}
