package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cli runs a command and gives its code and output.
func cli(t *testing.T, in string, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code := run(context.Background(), args, strings.NewReader(in), &out, &out)
	return code, out.String()
}

// A sample is valid, a broken one is not, and both are told of in words, one by one and as a folder.
func TestTheMessageLaboratory(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []string{"2207", "4101A", "3505", "D001"} {
		code, text := cli(t, "", "sample", n, "--seed", "7")
		if code != exitOK {
			t.Fatalf("%s: %d %s", n, code, text)
		}
		if _, again := cli(t, "", "sample", n, "--seed", "7"); again != text {
			t.Errorf("%s: another sample", n)
		}
		if code, said := cli(t, text, "validate", "--infno", n, "-"); code != exitOK {
			t.Errorf("%s: %d %s", n, code, said)
		}
		write(n+"-1.json", text)
	}
	if code, text := cli(t, "", "validate", dir); code != exitOK || !strings.Contains(text, "4 份, 0 份不通过") {
		t.Errorf("%d %s", code, text)
	}
	var broken bytes.Buffer
	if code := run(context.Background(), []string{"sample", "2207", "--invalid", "missing"}, strings.NewReader(""), &broken, &bytes.Buffer{}); code != exitOK {
		t.Fatal(code)
	}
	write("2207-broken.json", broken.String())
	write("nothing.json", "{")
	if code, text := cli(t, "", "validate", dir); code != exitNo || !strings.Contains(text, "6 份, 2 份不通过") {
		t.Errorf("%d %s", code, text)
	}
	write("2201.json", `{"infno":"2201","msgid":"H44010000001202601010000000001","input":{"data":{"psn_no":"44010000000000000001","certno":"999999198503120018","insutype":"310"}}}`)
	code, text := cli(t, "", "describe", filepath.Join(dir, "2201.json"))
	if code != exitOK || !strings.Contains(text, "险种类型") || !strings.Contains(text, "职工基本医疗保险") || strings.Contains(text, "999999198503120018") {
		t.Errorf("%d %s", code, text)
	}
	if code, _ := cli(t, "", "describe", dir); code != exitFail { // nothing.json is none
		t.Error(code)
	}
	if err := os.Remove(filepath.Join(dir, "nothing.json")); err != nil {
		t.Fatal(err)
	}
	if code, text := cli(t, "", "describe", dir, "--json"); code != exitOK || !strings.Contains(text, `"section"`) {
		t.Errorf("%d %.300s", code, text)
	}
	for _, args := range [][]string{{"sample", "9999X"}, {"sample", "2207", "--invalid", "nonsense"}, {"sample", "9102X"}, {"validate", t.TempDir()}, {"describe", "nowhere.json"}} {
		if code, text := cli(t, "", args...); code != exitFail {
			t.Errorf("%v: %d %s", args, code, text)
		}
	}
}
