package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"yiqiao/adapters/his/rest"
	"yiqiao/adapters/his/tabular"
	"yiqiao/gateway"
	"yiqiao/gateway/flow"
	"yiqiao/gateway/mapping"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/simulator/acceptance"
	"yiqiao/simulator/acceptance/watch"
)

var update = flag.Bool("update", false, "write the generated documents and golden files anew")

// The generated documents say what the code says; `go test ./cmd/yiqiao -run Docs -update` writes them.
func TestDocsAreCurrent(t *testing.T) {
	cat, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"errors.md": errorsDoc(), "coverage.md": coverageDoc(t, cat)} {
		file := filepath.Join("..", "..", "docs", name)
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("docs/%s is out of date: go test ./cmd/yiqiao -run Docs -update", name)
		}
	}
}

func errorsDoc() string {
	var b strings.Builder
	b.WriteString(`# Errors

Every refusal is an RFC 9457 problem document (application/problem+json). A code is permanent: it never
gets another meaning. This page is generated from the code (` + "`go test ./cmd/yiqiao -run Docs -update`" + `).

## Codes of a call

| code | HTTP | owner | 含义 | 下一步 | meaning | next |
|---|---|---|---|---|---|---|
`)
	codes := make([]string, 0, len(gateway.Codes))
	for c := range gateway.Codes {
		codes = append(codes, string(c))
	}
	sort.Strings(codes)
	for _, c := range codes {
		w := gateway.Codes[gateway.Code(c)]
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s | %s | %s | %s |\n", c, w.Status, w.Owner, w.ZH, w.NextZH, w.EN, w.NextEN)
	}
	b.WriteString("\n`owner` says whose job it is: `his` the HIS vendor, `desk` the person at the counter, `operator` whoever runs\nthe gateway, `centre` the insurance centre. `outcome-unknown` is no failure: ask again with the same id.\n`needs-person` is none either: the gateway has found out what it can, and the answer stays the same until people have\nended the transaction; its id is in `instance`, a bill shows `needs_person`. Do not settle again meanwhile.\n")
	b.WriteString("\n## Findings inside `request-invalid`\n\n| code | 含义 | meaning |\n|---|---|---|\n")
	findings := append(append(append(append(check.Codes(), flow.FindingCodes()...), mapping.FindingCodes()...), tabular.FindingCodes()...), gateway.InvoiceFindings()...)
	findings = append(findings, check.Meaning{Code: rest.FindingConflict, ZH: "请求号在报文和请求头中不一致", EN: "request_id and Idempotency-Key differ"},
		check.Meaning{Code: "infno-mismatch", ZH: "报文中的交易编号与指定的不一致 (yiqiao validate)", EN: "infno in the message is not the one given (yiqiao validate)"},
		check.Meaning{Code: "header-*", ZH: "报文头字段缺失、过长或格式不对 (yiqiao validate)", EN: "an outer member is missing, too long or malformed (yiqiao validate)"})
	for _, k := range []struct{ kind, zh, en string }{
		{"json-syntax", "不是规范的 JSON", "not well-formed"}, {"json-trailing", "JSON 之后还有内容", "bytes after the value"},
		{"json-duplicate", "字段名重复", "a member name occurs twice"}, {"json-utf8", "不是 UTF-8", "not UTF-8"},
		{"json-depth", "嵌套过深", "nested too deep"}, {"json-size", "过大", "too large"}, {"json-number", "数字过长或使用了指数", "a number too long or with an exponent"},
	} {
		findings = append(findings, check.Meaning{Code: k.kind, ZH: k.zh, EN: k.en})
	}
	for _, c := range findings {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.Code, c.ZH, c.EN)
	}
	b.WriteString("\n## Causes of an outcome\n\n| cause | outcome | meaning |\n|---|---|---|\n")
	for _, c := range []struct {
		cause   gateway.Cause
		outcome string
		text    string
	}{
		{gateway.CauseBusiness, "refused", "infcode other than 0 in a verified reply"},
		{gateway.CauseSignIn, "refused", "the sign-in had run out; the same request may be sent again"},
		{gateway.CauseNotSent, "refused", "no connection: nothing left the gateway"},
		{gateway.CauseTimeout, "unknown", "no answer within the limit"},
		{gateway.CauseCut, "unknown", "the connection ended before a whole answer"},
		{gateway.CauseNotInterface, "unknown", "HTML, an HTTP error, JSON without infcode"},
		{gateway.CauseSignature, "unknown", "the envelope of the reply did not verify"},
		{gateway.CauseMismatch, "unknown", "a verified reply for another message, or with totals that can not be"},
		{"taken-up", "unknown", "an upload that was parked and put back into the queue by a person"},
		{gateway.CauseCrash, "unknown", "found as sent at start-up"},
		{"adopted", "done", "learnt by asking the centre"},
		{"by-hand", "done, reversed, absent", "people found out and ended it"},
	} {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.cause, c.outcome, c.text)
	}
	return b.String()
}

// ladder is what package flow and the simulator know beyond the tables.
var ladder = map[string]string{
	"9001": "session", "9002": "session", "1101": "bill", "2001": "low level", "2201": "bill", "2202": "bill", "2203": "bill", "2204": "bill",
	"2205": "bill", "2206": "bill", "2207": "bill", "2208": "bill", "2601": "resolver", "5201": "resolver", "5203": "resolver", "5204": "low level",
	"2203A": "bill (by region)", "2206A": "bill (by region)", "2207A": "bill (by region)",
	"2401": "stay", "2301": "stay", "2302": "stay", "2402": "stay", "2303": "stay", "2304": "stay", "2305": "stay", "2405": "stay", "2404": "stay",
	"3201": "reconcile", "3202": "reconcile", "9101": "reconcile", "9102": "reconcile",
}

// tried gives the acceptance cases that send a transaction to a centre and the scenarios in which a HIS sends it, as the first and how many more.
func tried(t *testing.T) (centre, his map[string]string) {
	t.Helper()
	cases, _, err := acceptance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	scenarios, err := watch.Scenarios()
	if err != nil {
		t.Fatal(err)
	}
	c, h := map[string][]string{}, map[string][]string{}
	for _, k := range cases {
		for _, s := range k.Steps {
			if !slices.Contains(c[s.Send], k.ID) {
				c[s.Send] = append(c[s.Send], k.ID)
			}
		}
	}
	for _, k := range scenarios {
		for _, s := range k.Steps {
			for _, n := range s.Send {
				if !slices.Contains(h[n], k.ID) {
					h[n] = append(h[n], k.ID)
				}
			}
		}
	}
	words := func(m map[string][]string) map[string]string {
		out := map[string]string{}
		for n, ids := range m {
			out[n] = ids[0]
			if len(ids) > 1 {
				out[n] += fmt.Sprintf(" +%d", len(ids)-1)
			}
		}
		return out
	}
	return words(c), words(h)
}

// requirementsDoc tells how many requirements of each side can be tried at all, and how many something here tries.
func requirementsDoc(t *testing.T, cat *catalog.Catalog) string {
	t.Helper()
	list, err := acceptance.Requirements(cat)
	if err != nil {
		t.Fatal(err)
	}
	cases, _, err := acceptance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	plan, err := watch.Scenarios()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := acceptance.Methods()
	if err != nil {
		t.Fatal(err)
	}
	ofCentre, watched := acceptance.Tried(cases), watch.Tried(plan, "his", elsewhere)
	var b strings.Builder
	b.WriteString("| requirements of | all | declared not testable | no case tries them | tried | of the testable |\n|---|---|---|---|---|---|\n")
	for _, actor := range []string{"centre", "his", "gateway"} {
		all, declared, tried := 0, 0, 0
		for _, q := range list {
			switch {
			case q.Actor != actor:
				continue
			case q.Why != "":
				declared++
			case actor == "centre" && ofCentre[q.ID], actor != "centre" && watched(q):
				tried++
			}
			all++
		}
		testable := all - declared
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d %% |\n", actor, all, declared, testable-tried, tried, 100*tried/testable)
	}
	return b.String()
}

func coverageDoc(t *testing.T, cat *catalog.Catalog) string {
	t.Helper()
	centre, his := tried(t)
	var b strings.Builder
	all := cat.All()
	described, untried, confidence := 0, 0, map[string]int{}
	for _, tx := range all {
		confidence[tx.Confidence]++
		if tx.Described() {
			described++
			if centre[string(tx.Infno)] == "" && his[string(tx.Infno)] == "" {
				untried++
			}
		}
	}
	fmt.Fprintf(&b, `# Coverage

What is known of each transaction and what the project does with it. Generated from the tables
(`+"`go test ./cmd/yiqiao -run Docs -update`"+`).

The tables were compiled from public code, not from an official text. Of %d transactions, %d have evidenced fields;
confidence is high for %d, medium for %d, low for %d. A transaction without fields is refused with
`+"`infno-not-described`"+`. Check the tables against your province's edition before going live.

*schema*: a JSON Schema is generated and every message is checked. *used by*: what sends it beyond the low-level
route. *simulator*: the simulator answers it, as an acceptance case shows. *centre cases*, *HIS scenarios*: the
acceptance cases that send it (`+"`yiqiao accept`"+`), the first and how many more. *disputes*: contradictions between sources, listed by
`+"`yiqiao describe`"+`.

The gaps: %d described transactions are sent by no acceptance case, and %d are not described at all.

An acceptance shows only what its cases try. How many of the requirements (`+"`docs/acceptance/requirements.csv`"+`) that is, by who has to meet them;
no case tries what a HIS sends to another centre (mobile payment, prescriptions; reported as `+"`no-case`"+`). A request table counts as tried where a scenario waits for it,
or the last one would judge it if the HIS sent it; when none came the report says `+"`not-run`"+`:

%s
| infno | name | group | kind | confidence | schema | used by | simulator | centre cases | HIS scenarios | undo | unknown outcome | disputes |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
`, len(all), described, confidence["high"], confidence["medium"], confidence["low"], untried, len(all)-described, requirementsDoc(t, cat))
	for _, tx := range all {
		schema := "yes"
		if !tx.Described() {
			schema = "**not described**"
		}
		remedies := make([]string, len(tx.Remedies))
		for i, r := range tx.Remedies {
			remedies[i] = string(r)
		}
		sim := ""
		if centre[string(tx.Infno)] != "" {
			sim = "yes"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %d |\n", tx.Infno, tx.Name, tx.Group, tx.Kind, tx.Confidence, schema,
			ladder[string(tx.Infno)], sim, centre[string(tx.Infno)], his[string(tx.Infno)], tx.Undo, strings.Join(remedies, ", "), len(tx.Disputes))
	}
	return b.String()
}

// volatile is what differs between two runs of the demo: ports, ids and times.
var volatile = regexp.MustCompile(`127\.0\.0\.1:\d+|\d{2}:\d{2}:\d{2}(\.\d{3})?|\d{4}-\d{2}-\d{2}|B?H44010000001\d{18}|440100\d{24}` + `|(?:\n +[█▀▄ ]{20,})+`)

// What the readmes show is what the demo prints.
func TestReadmeShowsTheDemo(t *testing.T) {
	code, out, errs := yiqiao(t, "", "demo")
	if code != 0 {
		t.Fatal(errs)
	}
	plain := func(s string) string { return strings.TrimSpace(volatile.ReplaceAllString(s, "#")) }
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		b, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.SplitN(string(b), "\n```\n医桥演示", 2)
		if len(parts) != 2 {
			t.Errorf("%s does not show the demo", name)
			continue
		}
		shown, rest, _ := strings.Cut("医桥演示"+parts[1], "\n```\n")
		if *update {
			text := parts[0] + "\n```\n" + strings.TrimRight(out, "\n") + "\n```\n" + rest
			if err := os.WriteFile(filepath.Join("..", "..", name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if plain(shown) != plain(out) {
			t.Errorf("%s shows another demo than runs: go test ./cmd/yiqiao -run Readme -update", name)
		}
	}
}
