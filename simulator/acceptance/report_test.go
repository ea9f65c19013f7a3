package acceptance

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"yiqiao/crypto/sm"
	"yiqiao/simulator/acceptance/accepttest"
)

var update = flag.Bool("update", false, "write the generated files anew")

// The list in docs is the one the program uses.
func TestRequirementsInDocs(t *testing.T) {
	list, err := Requirements(accepttest.Tables())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteCSV(&b, list); err != nil {
		t.Fatal(err)
	}
	const file = "../../docs/acceptance/requirements.csv"
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s differs: go test ./simulator/acceptance -update (%v)", file, err)
	}
	again, err := ReadCSV(&b)
	if err != nil || !reflect.DeepEqual(again, list) {
		t.Errorf("not read back: %v", err)
	}
}

func TestTheSameSeedGivesTheSameResult(t *testing.T) {
	text := func() string {
		res := run(t, simulated(t, "none", nil), Options{Seed: 7})
		dir := t.TempDir()
		if err := WriteReport(dir, res, nil, nil, nil); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, FileJSON))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if first, second := text(), text(); first != second {
		t.Error("two runs differ")
	}
}

func TestAReportIsWhatWasSigned(t *testing.T) {
	p, err := sm.New("emmansun")
	if err != nil {
		t.Fatal(err)
	}
	res := run(t, simulated(t, "none", field("5203", "setlinfo.medfee_sumamt", plus(1))), Options{Suite: "outpatient"})
	before := run(t, simulated(t, "none", nil), Options{Suite: "outpatient"})
	if got := Compare(before, res); len(got) == 0 {
		t.Error("nothing is said to have changed")
	}
	k := accepttest.Key(t, 9)
	dir := t.TempDir()
	if err := WriteReport(dir, res, before, p, k); err != nil {
		t.Fatal(err)
	}
	again, err := Verify(os.DirFS(dir), p, k.Public())
	if err != nil || again.Passed() || len(again.Requirements) != len(res.Requirements) {
		t.Fatalf("%v", err)
	}
	if _, err := Verify(os.DirFS(dir), p, accepttest.Key(t, 10).Public()); !errors.Is(err, ErrReport) {
		t.Errorf("another key: %v", err)
	}
	for _, name := range []string{FileJSON, FileJUnit, FileHTML} {
		old, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(old), "999999198503120018") || strings.Contains(string(old), "测试甲") {
			t.Errorf("%s names a person", name)
		}
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Replace(old, []byte("QRY-5203"), []byte("QRY-5204"), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		if name == FileJUnit {
			old = append(old, ' ')
			if err := os.WriteFile(filepath.Join(dir, name), old, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Verify(os.DirFS(dir), p, k.Public()); !errors.Is(err, ErrReport) {
			t.Errorf("%s changed: %v", name, err)
		}
		if name == FileJUnit {
			old = old[:len(old)-1]
		}
		if err := os.WriteFile(filepath.Join(dir, name), old, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Verify(os.DirFS(dir), p, k.Public()); err != nil {
		t.Error(err)
	}
}
