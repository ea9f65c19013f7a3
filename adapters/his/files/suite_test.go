package files

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"yiqiao/adapters/his/histest"
	"yiqiao/adapters/his/tabular"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/sheet/sheettest"
	"yiqiao/schemas/strictjson"
)

// carrier is a mapping for tests: the row holds the operation and the JSON of the body.
type carrier struct{}

func (carrier) Trace(gateway.Source) []gateway.Trace { return nil }

func (carrier) Map(s gateway.Source) (gateway.Mapped, error) {
	at := func(text string) string {
		p, err := tabular.Notation{Kind: Kind}.Compile(text)
		if err != nil {
			panic(err)
		}
		v, _ := p.Value(s.Scope)
		return v
	}
	if s.Type == "panic" {
		panic("secret of a patient")
	}
	o := gateway.Order{Op: gateway.OrderOp(at("op")), Infno: ident.Infno(at("infno")), ID: at("about")}
	if body := at("body"); body != "" {
		v, err := strictjson.Decode([]byte(body), strictjson.Request())
		if err != nil {
			return gateway.Mapped{}, err
		}
		o.Body, _ = v.(map[string]any)
	} else if at("request") != "" {
		o.Body = map[string]any{"request_id": at("request"), "operator": map[string]any{"id": "1", "name": "甲"}, "input": map[string]any{}}
	}
	return gateway.Mapped{Orders: []gateway.Order{o}, Rule: "carry", Version: "carrier@1"}, nil
}

var carried = Layout{As: "call", Columns: []string{"op"}}

func open(t testing.TB, desk gateway.Desk, set func(o *Options)) *Folder {
	t.Helper()
	o := Options{Desk: desk, Mapper: carrier{}, Clock: gatewaytest.NewClock(histest.At), System: histest.System,
		Institutions: []ident.Institution{histest.Institution}, Dir: t.TempDir(), Layout: carried, Settle: -1, Wait: -1}
	if set != nil {
		set(&o)
	}
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func put(t testing.TB, f *Folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(f.at(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func look(t testing.TB, f *Folder) {
	t.Helper()
	if err := f.Look(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// cells reads a file of results: rows by the names of their columns.
func cells(t testing.TB, name string) []map[string]string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	list, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for _, r := range list[1:] {
		m := map[string]string{}
		for i, name := range list[0] {
			m[name] = r[i]
		}
		out = append(out, m)
	}
	return out
}

// target puts every call into a file of its own. Who may call is who may write to the folder: a call
// without the key has no folder to go to.
func target(t *testing.T, desk gateway.Desk) histest.Target {
	f := open(t, desk, nil)
	var mu sync.Mutex
	n := 0
	return histest.Target{Do: func(c histest.Call) histest.Answer {
		switch c.Key {
		case histest.Key:
		case "":
			return histest.Answer{Code: gateway.CodeKeyMissing, Outcome: "refused"}
		default:
			return histest.Answer{Code: gateway.CodeKeyWrong, Outcome: "refused"}
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		_ = w.Write([]string{"op", "infno", "about", "body"})
		_ = w.Write([]string{string(c.Op), c.Infno, c.ID, string(c.Body)})
		w.Flush()
		name := fmt.Sprintf("call%d.csv", n)
		put(t, f, name, b.String())
		look(t, f)
		return read(t, f.at(name))
	}}
}

func read(t testing.TB, name string) histest.Answer {
	raw, err := os.ReadFile(name + resultX)
	if err != nil {
		t.Fatal(err)
	}
	r := cells(t, name+resultX)[0]
	a := histest.Answer{Raw: raw, Outcome: r["outcome"], Code: gateway.Code(r["code"]), Path: r["path"], Rule: r["rule"], ID: r["id"], Detail: r["detail"]}
	if _, err := os.Stat(name + rejectX); err == nil {
		for _, l := range cells(t, name+rejectX) {
			if l["row"] != "2" || l["text"] == "" {
				t.Errorf("a reject without place or words: %v", l)
			}
			if l["code"] != r["code"] {
				a.Findings = append(a.Findings, check.Finding{Code: l["code"], Path: l["path"], Rule: l["rule"], ZH: l["text"], Severity: check.Error})
			}
		}
	}
	return a
}

func TestSuite(t *testing.T) { histest.Suite(t, target) }

func line(request string) string { return "transact,1101," + request }

const head = "op,infno,request\n"

// Every row that can not be meant as it stands is refused with its number and column; the others go on.
func TestRowsAtFault(t *testing.T) {
	for name, c := range map[string]struct{ row, code, column string }{
		"too few cells":   {"transact,1101", tabular.CodeCells, ""},
		"too many":        {line("R-2") + ",x", tabular.CodeCells, ""},
		"formula":         {`transact,1101,=1+1`, tabular.CodeFormula, "request"},
		"hidden formula":  {`transact,1101,"=""A""&B1"`, tabular.CodeFormula, "request"},
		"zero byte":       {"transact,1101,R\x002", tabular.CodeZero, "request"},
		"exponent":        {"transact,1101,9.99999E+17", tabular.CodeExponent, "request"},
		"repeated":        {line("R-1"), tabular.CodeDuplicate, ""},
		"not the charset": {"transact,1101,\xff\xff", tabular.CodeCharset, "request"},
	} {
		desk := &histest.Desk{}
		f := open(t, desk, nil)
		put(t, f, "a.csv", head+line("R-1")+"\n\n"+c.row+"\n"+line("R-3")+"\n")
		look(t, f)
		r := cells(t, f.at("a.csv"+resultX))
		if len(r) != 3 || r[0]["outcome"] != "done" || r[1]["outcome"] != "refused" || r[1]["code"] != string(gateway.CodeMessage) || r[2]["outcome"] != "done" {
			t.Errorf("%s: %v", name, r)
			continue
		}
		bad := cells(t, f.at("a.csv"+rejectX))
		if len(bad) != 1 || bad[0]["row"] != "4" || bad[0]["code"] != c.code || bad[0]["column"] != c.column || bad[0]["text"] == "" {
			t.Errorf("%s: %v", name, bad)
		}
		if n := len(desk.Calls()); n != 2 {
			t.Errorf("%s: the desk was asked %d times", name, n)
		}
	}
}

// ="001" is how programs are made to keep a text.
func TestTextInDisguise(t *testing.T) {
	desk := &histest.Desk{}
	f := open(t, desk, nil)
	put(t, f, "a.csv", head+`transact,1101,"=""R-001"""`+"\n")
	look(t, f)
	if got := cells(t, f.at("a.csv"+resultX))[0]["request_id"]; got != "R-001" {
		t.Errorf("%q", got)
	}
}

// A file whose rows or columns are not sure is refused as a whole, before anything of it is done.
func TestFilesAtFault(t *testing.T) {
	deep := strings.Repeat("x", maxLine)
	for name, c := range map[string]struct {
		file, text string
		row, code  string
	}{
		"quote":           {"a.csv", head + line("R-1") + "\n" + `transact,11"01,R-2` + "\n", "3", tabular.CodeSyntax},
		"open quote":      {"a.csv", head + line("R-1") + "\n" + `transact,"1101,R-2` + "\n" + line("R-3"), "3", tabular.CodeSyntax},
		"open quote, far": {"a.csv", head + line("R-1") + "\n" + `transact,"1101` + strings.Repeat(deep+"\n", 3), "3", tabular.CodeLimits},
		"column renamed":  {"a.csv", "operation,infno,request\n" + line("R-1"), "1", tabular.CodeColumns},
		"column twice":    {"a.csv", "op,op,request\n" + line("R-1"), "1", tabular.CodeColumns},
		"no column name":  {"a.csv", "op,,request\n" + line("R-1"), "1", tabular.CodeColumns},
		"UTF-16":          {"a.csv", "\xff\xfeo\x00p\x00", "0", tabular.CodeCharset},
		"no workbook":     {"a.xlsx", "PK", "0", tabular.CodeSyntax},
		"formula in head": {"a.csv", "op,=1,request\n", "1", tabular.CodeFormula},
		"long JSON":       {"a.jsonl", deep, "1", tabular.CodeLimits},
	} {
		desk := &histest.Desk{}
		f := open(t, desk, nil)
		put(t, f, c.file, c.text)
		look(t, f)
		if b, err := os.ReadFile(f.at(c.file + refusedX)); err != nil || string(b) != c.text {
			t.Errorf("%s: the file was not given back: %v", name, err)
		}
		r, bad := cells(t, f.at(c.file+resultX)), cells(t, f.at(c.file+rejectX))
		if len(r) != 1 || r[0]["outcome"] != "refused" || r[0]["code"] != string(gateway.CodeMessage) || len(bad) != 1 || bad[0]["row"] != c.row || bad[0]["code"] != c.code {
			t.Errorf("%s: %v\n%v", name, r, bad)
		}
		if n := len(desk.Calls()); n > 0 {
			t.Errorf("%s: the desk was asked %d times", name, n)
		}
		if left, _ := os.ReadDir(f.at(working)); len(left) > 0 {
			t.Errorf("%s: %v is left", name, left)
		}
	}
}

func TestForms(t *testing.T) {
	gbk := "\xb1\xe0\xba\xc5" // 编号
	fixedLayout := Layout{As: "call", Format: "fixed", Fixed: []Width{{"op", 8}, {"infno", 4}, {"request", 6}}}
	for name, c := range map[string]struct {
		file, text string
		layout     *Layout
		faults     int
	}{
		"BOM, CRLF":       {"a.csv", "\xef\xbb\xbf" + strings.ReplaceAll(head+line("R-1")+"\n", "\n", "\r\n"), nil, 0},
		"GB18030":         {"a.csv", "op,infno,request," + gbk + "\n" + line("R-1") + "," + gbk + "\n", nil, 0},
		"TSV":             {"a.txt", strings.ReplaceAll(head+line("R-1"), ",", "\t"), nil, 0},
		"semicolons":      {"a.csv", strings.ReplaceAll(head+line("R-1"), ",", ";"), &Layout{As: "call", Comma: ";"}, 0},
		"without a head":  {"a.csv", line("R-1"), &Layout{As: "call", Names: []string{"op", "infno", "request"}}, 0},
		"JSON lines":      {"a.jsonl", `{"op":"transact","infno":1101,"request":"R-1","x":{"y":null}}` + "\n", nil, 0},
		"JSON, no object": {"a.jsonl", "[1]\n" + `{"op":"transact","infno":"1101","request":"R-1"}` + "\n{\n", nil, 2},
		"JSON, a list":    {"a.jsonl", `{"op":"transact","infno":"1101","request":"R-1"}` + "\n" + `{"fees":[1]}`, nil, 1},
		"fixed":           {"a.dat", "transact1101R-1   \r\n", &fixedLayout, 0},
		"fixed, shifted":  {"a.dat", "transact1101R-1   \ntransact1101R-22222\n", &fixedLayout, 1},
		"trailer":         {"a.csv", head + line("R-1") + "\nEND,1\n", &Layout{As: "call", Trailer: "END"}, 0},
		"trailer, none":   {"a.csv", head + line("R-1") + "\n", &Layout{As: "call", Trailer: "END"}, -1},
	} {
		desk := &histest.Desk{}
		f := open(t, desk, func(o *Options) {
			if c.layout != nil {
				o.Layout = *c.layout
			}
		})
		put(t, f, c.file, c.text)
		look(t, f)
		r := cells(t, f.at(c.file+resultX))
		refused := 0
		for _, l := range r {
			if l["outcome"] == "refused" {
				refused++
			}
		}
		if c.faults < 0 {
			if len(desk.Calls()) > 0 || refused != 1 {
				t.Errorf("%s: %v", name, r)
			}
			continue
		}
		if calls := desk.Calls(); len(calls) != 1 || calls[0].Request.(gateway.Transact).RequestID != "R-1" || calls[0].Request.(gateway.Transact).Infno != "1101" {
			t.Errorf("%s: the desk saw %+v; %v", name, calls, r)
		}
		if refused != c.faults {
			t.Errorf("%s: %d refused: %v", name, refused, r)
		}
	}
}

// Rows that stand together are one message. A row that can not be placed spoils both its neighbours.
func TestGroups(t *testing.T) {
	grouped := Layout{As: "call", Group: []string{"request"}}
	row := func(no, x string) string { return "transact,1101," + no + "," + x + "\n" }
	for name, c := range map[string]struct {
		rows string
		want string // outcome by message
		bad  string // code@row
	}{
		"two":             {row("R-1", "a") + row("R-1", "b") + row("R-2", "c"), "done done", ""},
		"apart":           {row("R-1", "a") + row("R-2", "b") + row("R-1", "c"), "done done refused", "row-apart@4"},
		"repeated":        {row("R-1", "a") + row("R-1", "a") + row("R-2", "a"), "refused done", "row-duplicate@3"},
		"shifted between": {row("R-1", "a") + "transact,1101\n" + row("R-2", "b") + row("R-3", "c"), "refused refused refused done", "row-neighbour@3 row-cells@3 row-neighbour@3"},
		"formula inside":  {row("R-1", "a") + row("R-1", "=1") + row("R-2", "b"), "refused done", "row-formula@3"},
		"formula in key":  {row("R-1", "a") + row("=1", "b"), "refused refused", "row-neighbour@3 row-formula@3"},
	} {
		f := open(t, &histest.Desk{}, func(o *Options) { o.Layout = grouped })
		put(t, f, "a.csv", "op,infno,request,x\n"+c.rows)
		look(t, f)
		var got, bad []string
		for _, l := range cells(t, f.at("a.csv"+resultX)) {
			got = append(got, l["outcome"])
		}
		if _, err := os.Stat(f.at("a.csv" + rejectX)); err == nil {
			for _, l := range cells(t, f.at("a.csv"+rejectX)) {
				bad = append(bad, l["code"]+"@"+l["row"])
			}
		}
		if strings.Join(got, " ") != c.want || strings.Join(bad, " ") != c.bad {
			t.Errorf("%s: %q %q", name, got, bad)
		}
	}
}

func TestBigFile(t *testing.T) {
	desk := &histest.Desk{}
	f := open(t, desk, func(o *Options) { o.MaxSize = 1 << 10 })
	put(t, f, "a.csv", head+strings.Repeat("x", 1<<10))
	look(t, f)
	if r := cells(t, f.at("a.csv"+rejectX)); r[0]["code"] != tabular.CodeLimits {
		t.Errorf("%v", r)
	}
	var b strings.Builder
	for i := range 3000 {
		b.WriteString(line("R-"+strconv.Itoa(i)) + "\n")
	}
	f = open(t, desk, nil)
	put(t, f, "a.csv", head+b.String())
	look(t, f)
	if r := cells(t, f.at("a.csv"+resultX)); len(r) != 3000 || r[2999]["request_id"] != "R-2999" || r[2999]["row"] != "3001" {
		t.Errorf("%d lines", len(r))
	}
	if names, _ := filepath.Glob(f.at("*")); len(names) != 2 { // working and the result
		t.Errorf("%v", names)
	}
}

// A workbook: text stays text, a formula is refused where it stands.
func TestWorkbook(t *testing.T) {
	b, err := sheettest.Book([][]any{{"op", "infno", "request", nil}, {"transact", 1101, "R-1"}, {}, {"transact", 1101, sheettest.Formula("A1")}, {"transact", 1101, "0012"}})
	if err != nil {
		t.Fatal(err)
	}
	desk := &histest.Desk{}
	f := open(t, desk, nil)
	put(t, f, "a.xlsx", string(b))
	look(t, f)
	if r := cells(t, f.at("a.xlsx"+resultX)); len(r) != 3 || r[0]["outcome"] != "done" || r[1]["outcome"] != "refused" || r[2]["request_id"] != "0012" {
		t.Errorf("%v", r)
	}
	if bad := cells(t, f.at("a.xlsx"+rejectX)); len(bad) != 1 || bad[0]["row"] != "4" || bad[0]["rule"] != "C4" || bad[0]["code"] != tabular.CodeFormula {
		t.Errorf("%v", bad)
	}
}
