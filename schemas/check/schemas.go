package check

import (
	"embed"
	"fmt"
	"sync"

	"github.com/xeipuuv/gojsonschema"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check/internal/shape"
	"yiqiao/schemas/ident"
)

//go:generate go run yiqiao/schemas/check/gen schema

// schemaFS holds the generated schemas: <infno>.request.json and <infno>.reply.json.
//
//go:embed schema/*.json
var schemaFS embed.FS

// Generate gives the schema files of every described transaction, by file name.
func Generate(c *catalog.Catalog) map[string][]byte {
	files := map[string][]byte{}
	for _, t := range c.All() {
		if t.Described() {
			files[requestFile(t.Infno)] = shape.Request(c, t)
			files[replyFile(t.Infno)] = shape.Reply(c, t)
		}
	}
	return files
}

func requestFile(n ident.Infno) string { return string(n) + ".request.json" }
func replyFile(n ident.Infno) string   { return string(n) + ".reply.json" }

// side is one direction of a transaction, made ready when it is first needed.
type side struct {
	once   sync.Once
	schema *gojsonschema.Schema
	quick  *quick // of the same text
	form   *object
	list   bool // the side itself is a list
	err    error
}

func (s *side) ready(c *Checker, t *catalog.Transaction, d catalog.Direction) error {
	s.once.Do(func() {
		file := requestFile(t.Infno)
		if d == catalog.Output {
			file = replyFile(t.Infno)
		}
		text, err := schemaFS.ReadFile("schema/" + file)
		if err != nil || len(t.Overlays) > 0 { // a table of the operator's own, or one that an edition changed
			text = shape.Request(c.catalog, t)
			if d == catalog.Output {
				text = shape.Reply(c.catalog, t)
			}
		}
		if s.schema, s.err = compile(text); s.err != nil {
			s.err = fmt.Errorf("check: %s: %w", file, s.err)
			return
		}
		s.quick = quickOf(text)
		var root *shape.Object
		root, s.list = shape.Tree(c.catalog, t, d)
		s.form = c.form(t.Infno, root)
	})
	return s.err
}

// compile turns a panic of the library into an error.
func compile(text []byte) (s *gojsonschema.Schema, err error) {
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, fmt.Errorf("schema: %v", p)
		}
	}()
	return gojsonschema.NewSchema(gojsonschema.NewBytesLoader(text))
}

// validate runs the library over a value that passed the guard. A panic becomes an error.
func validate(s *gojsonschema.Schema, v any) (errs []gojsonschema.ResultError, err error) {
	defer func() {
		if p := recover(); p != nil {
			errs, err = nil, fmt.Errorf("validate: %v", p)
		}
	}()
	r, err := s.Validate(gojsonschema.NewRawLoader(v))
	if err != nil {
		return nil, err
	}
	return r.Errors(), nil
}
