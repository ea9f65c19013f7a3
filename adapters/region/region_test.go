package region_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"yiqiao/adapters/region"
	"yiqiao/adapters/region/regiontest"
	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

func load(t *testing.T, name string) *gateway.Region {
	t.Helper()
	r, err := region.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryRegion(t *testing.T) {
	if !slices.Equal(region.Names(), []string{"hubei", "national", "national-strict", "sichuan"}) {
		t.Errorf("the regions are %v", region.Names())
	}
	for _, name := range region.Names() {
		t.Run(name, func(t *testing.T) { regiontest.Suite(t, load(t, name)) })
	}
}

func TestNational(t *testing.T) {
	r := load(t, "national")
	if !r.SignIn || !r.Can("5203-by-visit") || len(r.Variant) != 0 || !slices.Equal(r.Relax["5203"], []string{"data.setl_id"}) {
		t.Errorf("national is %+v", r)
	}
	// invariants.md, "Error messages that code reacts to"
	for n, msgs := range map[string][]string{
		"2208": {"该笔结算已撤销，请勿重复操作", "该笔结算已撤销!"},
		"2205": {"未查询到任何有效相关的记录", "费用明细List不能为空"},
		"2302": {"未查询到任何有效相关的记录", "没有需要撤销的处方"},
	} {
		for _, msg := range msgs {
			if !slices.ContainsFunc(r.NothingToUndo[ident.Infno(n)], func(s string) bool { return strings.Contains(msg, s) }) {
				t.Errorf("%s: %q is not recognised", n, msg)
			}
		}
	}
}

// National-strict is national but for asking by visit.
func TestStrictDiffersInOneThing(t *testing.T) {
	a, b := load(t, "national"), load(t, "national-strict")
	if b.Can("5203-by-visit") || len(b.Relax) != 0 {
		t.Errorf("strict is %+v", b)
	}
	b.Code, b.Name, b.Capabilities, b.Relax = a.Code, a.Name, a.Capabilities, a.Relax
	if !reflect.DeepEqual(a, b) {
		t.Errorf("they differ in more:\n%+v\n%+v", a, b)
	}
}

func TestLoadGivesANewRegion(t *testing.T) {
	load(t, "national").NotFound[0] = "changed"
	if load(t, "national").NotFound[0] == "changed" {
		t.Error("a change to one reached another")
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, name := range []string{"", "nowhere", "../region", "national.yaml", "/national"} {
		if r, err := region.Load(name); err == nil || r != nil {
			t.Errorf("%q was loaded", name)
		}
	}
}

const small = "code: x\nname: X\n"

func TestReadRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":           "",
		"only a comment":    "# hello\n",
		"unknown key":       small + "signin: true\n",
		"key twice":         small + "code: y\n",
		"two documents":     small + "---\n" + small,
		"a list":            "- code\n",
		"no code":           "name: X\n",
		"no name":           "code: x\n",
		"code with a path":  "code: ../x\nname: X\n",
		"wrong type":        small + "sign_in: perhaps\n",
		"empty text":        small + "not_found: ['']\n",
		"short text":        small + "sign_expired: [签到]\n",
		"text with blanks":  small + "not_found: [' 未查询到']\n",
		"text twice":        small + "not_found: [未查询到结算信息, 未查询到结算信息]\n",
		"no number":         small + "nothing_to_undo: {all: [未查询到]}\n",
		"number too long":   small + "variant: {'2203': '220333A'}\n",
		"chain of variants": small + "variant: {'2203': 2203A, 2203A: 2203B}\n",
		"variant of itself": small + "variant: {'2203': '2203'}\n",
		"empty code":        small + "codes: {insutype: ['']}\n",
		"unknown column":    small + "statement: {detail: {columns: [setl_id, price]}}\n",
		"unknown meaning":   small + "statement: {result: {codes: {'0': fine}}}\n",
		"form of bytes":     small + "statement: {detail: {bytes: hex}}\n",
		"no agency":         small + "statement: {dimensions: [insutype, clr_type], cash_from: nothing}\n",
		"not UTF-8":         small + "not_found: ['\xce\xb4\xb2\xe9\xd1\xaf']\n",
		"too long":          small + strings.Repeat("#\n", 1<<20),
	} {
		if r, err := region.Read(strings.NewReader(text)); err == nil || r != nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error has several lines: %v", name, err)
		}
	}
}

func TestReadAnOperatorsFile(t *testing.T) {
	r, err := region.Read(strings.NewReader(small + "variant: {2203: 2203A}\ncodes: {med_type: [1199]}\nnot_found: [查无此记录]\nfund_includes_account: true\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := &gateway.Region{Code: "x", Name: "X", Variant: r.Variant, Codes: r.Codes, NotFound: []string{"查无此记录"}, FundIncludesAccount: true}
	if !reflect.DeepEqual(r, want) || r.Variant["2203"] != "2203A" || r.Codes["med_type"][0] != "1199" {
		t.Errorf("read %+v", r)
	}
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	if err := region.Check(r, c); err != nil {
		t.Error(err)
	}
}

func TestCheckRefuses(t *testing.T) {
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"unknown replacement":      "variant: {'2203': 9999Z}",
		"unknown original":         "variant: {'9999': 2203A}",
		"another kind":             "variant: {'2207': '2208'}",
		"not described":            "variant: {'2207': 2207B}",
		"unknown transaction":      "relax: {'9999': [data.psn_no]}",
		"unknown field":            "relax: {'5203': [data.nothing]}",
		"unknown node":             "relax: {'5203': [nothing.setl_id]}",
		"unknown dictionary":       "codes: {nothing: ['1']}",
		"unknown capability":       "capabilities: [5203-by-moon]",
		"texts of a settlement":    "nothing_to_undo: {'2207': [未查询到结算信息]}",
		"texts of a number unseen": "nothing_to_undo: {'9999': [未查询到结算信息]}",
	} {
		r, err := region.Read(strings.NewReader(small + text + "\n"))
		if err != nil {
			t.Errorf("%s: not even read: %v", name, err)
			continue
		}
		if err := region.Check(r, c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Any text is read or refused.
func FuzzRead(f *testing.F) {
	for _, s := range []string{small, "", "a: &a [*a]", small + "variant: {2203: 2203A}", "<<: {code: x}", "- !!binary x", "code: !!int x\nname: *b", "\x00", "? {}\n: {}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := region.Read(strings.NewReader(s))
		if (r == nil) == (err == nil) {
			t.Fatalf("%v, %v", r, err)
		}
		if r != nil {
			for _, text := range slices.Concat(r.NotFound, r.SignExpired) {
				if strings.TrimSpace(text) == "" {
					t.Fatal("a text that every refusal contains was accepted")
				}
			}
		}
	})
}
