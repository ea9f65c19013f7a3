package service

import (
	"strings"
	"testing"

	"yiqiao/schemas/catalog"
)

func TestServicesFitTheCatalogue(t *testing.T) {
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	if len(Names()) < 2 {
		t.Fatal(Names())
	}
	for _, name := range Names() {
		s, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Name != name {
			t.Errorf("%s.yaml says it is %q", name, s.Name)
		}
		if err := Check(s, c); err != nil {
			t.Error(err)
		}
	}
	if _, err := Load("none"); err == nil {
		t.Error("a service that does not exist")
	}
	s, err := Read(strings.NewReader("name: x\ntransactions: {\"0000\": {path: a}, \"6202\": {path: b, node: nodata}}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(s, c); err == nil || !strings.Contains(err.Error(), "0000") || !strings.Contains(err.Error(), "nodata") {
		t.Error(err)
	}
}

func TestReadIsStrict(t *testing.T) {
	for _, bad := range []string{
		"", "name: x", "transactions: {\"6201\": {path: a}}", "name: x\nmore: 1\ntransactions: {\"6201\": {path: a}}",
		"name: x\ntransactions: {\"6201\": {path: a}, \"6202\": {path: a}}", "name: x\ntransactions: {\"6201\": {}}",
		"name: x\ntransactions: {\"6201\": {path: ../a}}", "name: x\ntransactions: {\"6201\": {path: /a}}", "name: x\ntransactions: {\"6201\": {path: \"a?b=c\"}}",
		"name: x\ntransactions: {\"6201\": {path: \"a%2fb\"}}", "name: x\ntransactions: {\"62 01\": {path: a}}", "name: x\ntransactions: {\"6201\": {path: a, status: {member: x}}}",
		"name: x\ntransactions: {\"6201\": {path: a}}\n---\nname: y", strings.Repeat("#", maxFile+1),
	} {
		if _, err := Read(strings.NewReader(bad)); err == nil {
			t.Errorf("%.80q was taken", bad)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("name: x\ntransactions: {\"6201\": {path: a, node: data, echo: [b], status: {member: c, done: [d]}}}")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Read(strings.NewReader(text))
		if err == nil && (s.Name == "" || len(s.Transactions) == 0) {
			t.Fatal(text)
		}
	})
}
