package check

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/xeipuuv/gojsonschema"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/strictjson"
)

type pair struct {
	name   string
	quick  *quick
	schema *gojsonschema.Schema
}

// agree fails where a value surely fits, and the library finds something.
func (p pair) agree(t testing.TB, v any) bool {
	t.Helper()
	if !p.quick.fits(v) {
		return false
	}
	if errs, err := validate(p.schema, v); err != nil || len(errs) > 0 {
		t.Errorf("%s: surely fits, yet %v %v: %s", p.name, err, errs, strictjson.Append(nil, v))
	}
	return true
}

// odd are values that stand at some border.
var odd = []any{nil, true, "", " ", "x", "2026-02-30", "2026-03-04 05:06:07", "2026-03-04 05:06:0x", "12.34", "-1.5", strings.Repeat("字", 31), strings.Repeat("a", 5000),
	json.Number("0"), json.Number("-0"), json.Number("-0.00"), json.Number("1"), json.Number("-1"), json.Number("0.1"), json.Number("1.10"), json.Number("0.001"), json.Number("99.999"),
	json.Number("100"), json.Number("1000.00"), json.Number("99999999999999.99"), json.Number("100000000000000"), json.Number("-100000000000000"), json.Number("0.0000001"), json.Number("1.0000000"),
	map[string]any{}, []any{}, []any{nil}, []any{map[string]any{}}, map[string]any{"x": json.Number("1")}, []any{"x", json.Number("1")}}

// What surely fits, the library has nothing against, in every table and both directions: of good messages, and of such in
// which one place, or some, are something else. Good messages need no library.
func TestQuickAgreesWithTheLibrary(t *testing.T) {
	_, cat := newChecker(t, Options{})
	rng := rand.New(rand.NewPCG(1, 2))
	sure, all := 0, 0
	for _, tr := range cat.All() {
		if !tr.Described() {
			continue
		}
		for _, d := range []catalog.Direction{catalog.Input, catalog.Output} {
			file, nodes := requestFile(tr.Infno), tr.Input
			if d == catalog.Output {
				file, nodes = replyFile(tr.Infno), tr.Output
			}
			text, err := schemaFS.ReadFile("schema/" + file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := compile(text)
			if err != nil {
				t.Fatal(err)
			}
			p := pair{file, quickOf(text), s}
			for _, full := range []bool{false, true} {
				good := sample(t, nodes, full)
				all++
				if p.agree(t, good) {
					sure++
				}
				for range 40 {
					p.agree(t, bent(rng, good, 1+rng.IntN(2)))
				}
				for _, o := range odd {
					p.agree(t, o)
				}
			}
		}
	}
	if sure*10 < all*9 {
		t.Errorf("only %d of %d good messages surely fit", sure, all)
	}
}

// bent puts something odd, or nothing, in some places of a copy.
func bent(rng *rand.Rand, v any, places int) any {
	var at []func(any)
	var copied func(v any, put func(any)) any
	copied = func(v any, put func(any)) any {
		if put != nil {
			at = append(at, put)
		}
		switch x := v.(type) {
		case map[string]any:
			m := maps.Clone(x)
			for _, k := range slices.Sorted(maps.Keys(m)) {
				m[k] = copied(m[k], func(v any) {
					if m[k] = v; v == any(gone) {
						delete(m, k)
					}
				})
			}
			return m
		case []any:
			l := slices.Clone(x)
			for i := range l {
				l[i] = copied(l[i], func(v any) { l[i] = v })
			}
			return l
		}
		return v
	}
	out := copied(v, nil)
	for range places {
		if len(at) > 0 {
			at[rng.IntN(len(at))](append(odd, gone)[rng.IntN(len(odd)+1)])
		}
	}
	return out
}

const gone = "\x00gone"

// A schema with a keyword that is not known is never decided without the library.
func TestQuickKnowsItsLimits(t *testing.T) {
	for text, v := range map[string]any{
		`{"enum":["a"]}`: "a", `{"type":"integer"}`: json.Number("1"), `{"type":"object","additionalProperties":false}`: map[string]any{}, `{"anyOf":[{}]}`: "a",
		`{"multipleOf":0.03}`: json.Number("1"), `{"minimum":1}`: json.Number("2"), `{"exclusiveMaximum":50}`: json.Number("2"), `{"exclusiveMinimum":0}`: json.Number("2"),
		`{"items":{"const":1}}`: []any{}, `{"properties":{"a":{"const":1}}}`: map[string]any{"a": "x"}, `[]`: nil, `{"pattern":"("}`: "a", `{"type":"number"}`: json.Number("1e2"),
	} {
		if quickOf([]byte(text)).fits(v) {
			t.Errorf("%s decided %v", text, v)
		}
	}
	if q := quickOf([]byte(`{"properties":{"a":{"const":1}}}`)); !q.fits(map[string]any{"b": "x"}) {
		t.Error("a member that is not there is in the way")
	}
}

func FuzzQuick(f *testing.F) {
	files, err := os.ReadDir("schema")
	if err != nil {
		f.Fatal(err)
	}
	pairs := make([]pair, len(files))
	for i, e := range files {
		text, err := os.ReadFile(path.Join("schema", e.Name()))
		if err != nil {
			f.Fatal(err)
		}
		s, err := compile(text)
		if err != nil {
			f.Fatal(err)
		}
		pairs[i] = pair{e.Name(), quickOf(text), s}
		if bytes.Contains(text, []byte("feedetail")) {
			f.Add(uint16(i), `{"feedetail":[{"feedetl_sn":"1","cnt":1.5,"pric":"2","fee_ocur_time":"2026-03-04 05:06:07"}]}`)
		}
	}
	f.Fuzz(func(t *testing.T, n uint16, text string) {
		v, err := strictjson.Decode([]byte(text), strictjson.Reply())
		if err != nil {
			return
		}
		if rows, f := guard(v, 0, true); f != sound || rows > rowsAtOnce {
			return
		}
		pairs[int(n)%len(pairs)].agree(t, v)
	})
}
