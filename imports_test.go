package yiqiao_test

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// rooms says which packages of this module a package may import, by longest prefix. Imports point
// down: cmd -> adapters -> gateway -> schemas, crypto; the simulator stands beside the gateway and
// knows nothing of it. docs/architecture.md draws the picture.
var rooms = []struct {
	prefix string
	may    []string // prefixes; "=" means exactly this package
}{
	{"yiqiao/schemas", []string{"yiqiao/schemas"}},
	{"yiqiao/crypto", []string{"yiqiao/crypto", "=yiqiao/schemas/strictjson"}},
	{"yiqiao/gateway", []string{"yiqiao/gateway", "yiqiao/schemas", "yiqiao/crypto"}},
	{"yiqiao/adapters", []string{"yiqiao/adapters", "=yiqiao/gateway", "=yiqiao/gateway/gatewaytest", "yiqiao/schemas", "yiqiao/crypto"}},
	{"yiqiao/simulator", []string{"yiqiao/simulator", "yiqiao/schemas", "yiqiao/crypto"}},
	{"yiqiao/cmd", []string{"yiqiao/"}},
	{"yiqiao", []string{"yiqiao/"}},
}

// only says which outside packages stay in one room, or in the rooms named.
var only = map[string]string{
	"modernc.org/sqlite":              "yiqiao/gateway/store",
	"github.com/jackc/pgx":            "yiqiao/gateway/store yiqiao/adapters/his/dbview",
	"github.com/go-sql-driver/mysql":  "yiqiao/adapters/his/dbview",
	"github.com/microsoft/go-mssqldb": "yiqiao/adapters/his/dbview",
	"github.com/sijms/go-ora":         "yiqiao/adapters/his/dbview",
	"github.com/gin-gonic/gin":        "yiqiao/adapters/his/rest",
	"github.com/sony/gobreaker":       "yiqiao/gateway/centre",
	"github.com/segmentio/kafka-go":   "yiqiao/gateway/queue",
	"github.com/tjfoc/gmsm":           "yiqiao/crypto",
	"github.com/emmansun/gmsm":        "yiqiao/crypto",
	"github.com/xeipuuv/gojsonschema": "yiqiao/schemas/check",
	"github.com/spf13/cobra":          "yiqiao/cmd",
	"github.com/expr-lang/expr":       "yiqiao/gateway/mapping",
	"github.com/xuri/excelize":        "yiqiao/schemas/sheet",
	"rsc.io/qr":                       "yiqiao/simulator/invoice",
	"github.com/prometheus":           "yiqiao/gateway/observe/metrics",
	"go.opentelemetry.io":             "yiqiao/gateway/observe/trace",
	"google.golang.org/protobuf":      "yiqiao/gateway/observe/trace",
	"github.com/VictoriaMetrics":      "yiqiao/gateway/observe/metrics",
}

type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func TestImportsPointDown(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	n := 0
	for {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		n++
		for _, msg := range p.faults() {
			t.Error(msg)
		}
	}
	if n < 10 {
		t.Fatalf("only %d packages were looked at", n)
	}
}

// The test must be able to fail.
func TestImportRuleBites(t *testing.T) {
	for _, p := range []pkg{
		{ImportPath: "yiqiao/schemas/wire", Imports: []string{"yiqiao/gateway"}},
		{ImportPath: "yiqiao/crypto/sm", Imports: []string{"yiqiao/schemas/catalog"}},
		{ImportPath: "yiqiao/simulator/centre", Imports: []string{"yiqiao/gateway"}},
		{ImportPath: "yiqiao/adapters/his/rest", Imports: []string{"yiqiao/gateway/journal"}},
		{ImportPath: "yiqiao/gateway/flow", TestImports: []string{"yiqiao/simulator/centre"}},
		{ImportPath: "yiqiao/gateway/journal", Imports: []string{"modernc.org/sqlite"}},
		{ImportPath: "yiqiao/gateway", Imports: []string{"yiqiao/gateway/flow"}},
	} {
		if len(p.faults()) == 0 {
			t.Errorf("%s importing %v%v is not noticed", p.ImportPath, p.Imports, p.TestImports)
		}
	}
}

func (p pkg) faults() []string {
	var out []string
	imports := append(append(append([]string(nil), p.Imports...), p.TestImports...), p.XTestImports...)
	for _, i := range imports {
		for lib, home := range only {
			at := func(room string) bool { return strings.HasPrefix(p.ImportPath, room) }
			if strings.HasPrefix(i, lib) && !slices.ContainsFunc(strings.Fields(home), at) {
				out = append(out, p.ImportPath+" imports "+i+", which belongs in "+home)
			}
		}
		if !strings.HasPrefix(i, "yiqiao") {
			continue
		}
		if !p.may(i) {
			out = append(out, p.ImportPath+" must not import "+i)
		}
	}
	return out
}

func (p pkg) may(i string) bool {
	// The root package gateway holds contracts: it imports none of its rooms.
	if p.ImportPath == "yiqiao/gateway" && strings.HasPrefix(i, "yiqiao/gateway/") {
		return false
	}
	for _, r := range rooms {
		if p.ImportPath != r.prefix && !strings.HasPrefix(p.ImportPath, r.prefix+"/") {
			continue
		}
		for _, m := range r.may {
			if exact, ok := strings.CutPrefix(m, "="); ok {
				if i == exact {
					return true
				}
			} else if i == m || strings.HasPrefix(i, strings.TrimSuffix(m, "/")+"/") {
				return true
			}
		}
		return false
	}
	return false
}

// Every package but those of tests stands on the map, docs/architecture.md, by its name.
func TestEveryRoomIsOnTheMap(t *testing.T) {
	out, err := exec.Command("go", "list", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range strings.Fields(string(out)) {
		room := path.Base(p)
		if p == "yiqiao" || strings.HasPrefix(p, "yiqiao/examples") || strings.Contains(p, "/internal/") || strings.HasSuffix(room, "test") && !strings.HasPrefix(p, "yiqiao/gateway/gateway") {
			continue
		}
		if !strings.Contains(string(text), room+"/") && !strings.HasSuffix(p, "/cmd/yiqiao") {
			t.Errorf("%s is not on the map", p)
		}
	}
}
