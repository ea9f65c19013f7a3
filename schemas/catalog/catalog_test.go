package catalog

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"yiqiao/schemas/ident"
)

func load(t testing.TB) *Catalog {
	t.Helper()
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func get(t testing.TB, c *Catalog, n ident.Infno) *Transaction {
	t.Helper()
	x, ok := c.Lookup(n)
	if !ok {
		t.Fatalf("%s is not in the catalogue", n)
	}
	return x
}

func TestEverythingIsRead(t *testing.T) {
	c := load(t)
	all := c.All()
	if len(all) != 262 {
		t.Fatalf("%d transactions, want 262", len(all))
	}
	described, fields := 0, 0
	for i, x := range all {
		if i > 0 && all[i-1].Infno >= x.Infno {
			t.Errorf("%s after %s", x.Infno, all[i-1].Infno)
		}
		if x.Described() {
			described++
		}
		if x.Name == "" || x.Group == "" || x.Confidence == "" {
			t.Errorf("%s: incomplete: %+v", x.Infno, x)
		}
		for _, d := range []Direction{Input, Output} {
			for _, n := range x.Nodes(d) {
				fields += len(n.Fields)
			}
		}
	}
	if described != 197 || fields != 6083 {
		t.Errorf("described %d, fields %d; want 197, 6083", described, fields)
	}
	if _, ok := c.Lookup("0000"); ok {
		t.Error("0000 exists")
	}
}

func TestFieldsAndNodes(t *testing.T) {
	c := load(t)
	x := get(t, c, "2204")
	n, ok := x.Node(Input, "feedetail")
	if !ok || !n.Repeat || n.Required != Always {
		t.Fatalf("feedetail: %v %+v", ok, n)
	}
	for code, want := range map[string]Field{
		"det_item_fee_sumamt": {Type: "number", Length: 16, Decimals: 2, Required: Always},
		"cnt":                 {Type: "number", Length: 16, Decimals: 4, Required: Always},
		"rxno":                {Type: "string", Length: 30, Decimals: -1, Required: Conditional},
		"fee_ocur_time":       {Type: "datetime", Decimals: -1, Required: Always},
		"hosp_appr_flag":      {Type: "string", Length: 3, Decimals: -1, Dict: "hosp_appr_flag", Required: Always},
		"exp_content":         {Type: "string", Length: 4000, Decimals: -1, Assumed: true},
	} {
		f, ok := n.Field(code)
		if !ok || f.Name == "" || f.Type != want.Type || f.Length != want.Length || f.Decimals != want.Decimals ||
			f.Dict != want.Dict || f.Required != want.Required || f.Assumed != want.Assumed {
			t.Errorf("%s: %+v, want %+v", code, f, want)
		}
	}
	if n, _ := get(t, c, "3101").Node(Input, "fsi_order_dtos"); n == nil || n.Parent != "fsi_encounter_dtos" {
		t.Errorf("3101: nesting lost: %+v", n)
	}
	if n, _ := get(t, c, "3301").Node(Input, "catalogcompin"); n == nil || n.AlternativeTo != "data" {
		t.Errorf("3301: alternative lost: %+v", n)
	}
	if n, _ := get(t, c, "5204").Node(Output, ""); n == nil || !n.Repeat {
		t.Errorf("5204: fields directly in output lost: %+v", n)
	}
	if x := get(t, c, "25001"); x.Scope == "" || len(x.Sources) == 0 {
		t.Errorf("25001: scope or sources lost")
	}
	if x := get(t, c, "2207"); len(x.Disputes) == 0 || len(x.Extensions) != 1 || x.Extensions[0].Side != Output {
		t.Errorf("2207: disputes or extensions lost")
	}
	if x := get(t, c, "2601"); len(x.Remarks) == 0 || x.Undo != "" {
		t.Errorf("2601: remarks lost")
	}
	if f, _ := get(t, c, "3503").Node(Input, "purcinfo"); f != nil {
		if p, _ := f.Field("prodentp_name"); p == nil || !slices.Equal(p.Aliases, []string{"prdr_name", "prodentpName"}) {
			t.Errorf("3503: aliases lost: %+v", p)
		}
	}
}

// The transactions whose unknown outcome costs money; a change here is a change of behaviour.
func TestRemedies(t *testing.T) {
	c := load(t)
	for n, want := range map[ident.Infno]string{
		"2102": "reverse park", "2103": "ask resend park",
		"2201": "ask resend park", "2202": "resend park", "2203": "resend park", "2203A": "resend park",
		"2204": "undo park", "2205": "resend park",
		"2207": "ask reverse park", "2207A": "ask park", "2207B": "park", "2208": "ask resend park", "2208A": "park",
		"2301": "undo park", "2302": "resend park", "2304": "ask reverse park", "2304A": "reverse park", "2305": "ask resend park",
		"2401": "ask reverse park", "2402": "undo park", "2601": "park",
		"3203": "park", "3505": "resend park", "4101": "resend park", "6202": "park",
		"1101": "", "2001": "", "2206": "", "2303": "", "3201": "", "5203": "", "1301": "", "9001": "", "9002": "", "9102": "",
	} {
		x := get(t, c, n)
		var got []string
		for _, r := range x.Remedies {
			got = append(got, string(r))
		}
		if strings.Join(got, " ") != want || x.Commits != (want != "") {
			t.Errorf("%s: commits %v, remedies %v; want %q", n, x.Commits, got, want)
		}
	}
	for n, want := range map[ident.Infno]struct {
		limit  Limit
		queued bool
	}{
		"2207": {LimitSettle, false}, "2206": {LimitSettle, false}, "1101": {LimitQuery, false}, "2201": {LimitWrite, false},
		"2204": {LimitSettle, false}, "3505": {LimitWrite, true}, "4101": {LimitWrite, true}, "1301": {LimitFile, false},
		"9101": {LimitFile, false}, "3203": {LimitWrite, false}, "4402": {LimitWrite, true}, "7104": {LimitSettle, false},
	} {
		if x := get(t, c, n); x.Limit != want.limit || x.Queued != want.queued {
			t.Errorf("%s: limit %s queued %v, want %+v", n, x.Limit, x.Queued, want)
		}
	}
}

func TestDeadlines(t *testing.T) {
	c := load(t)
	for n, want := range map[ident.Infno]time.Duration{
		"2207": 0, "4101": 168 * time.Hour, "4402": 72 * time.Hour, "3505": 24 * time.Hour, "3103": 24 * time.Hour,
	} {
		if got := time.Duration(get(t, c, n).Deadline); got != want {
			t.Errorf("%s: %s, want %s", n, got, want)
		}
	}
	for _, x := range c.All() {
		if x.Queued != (x.Deadline > 0) {
			t.Errorf("%s: queued %v, deadline %s", x.Infno, x.Queued, time.Duration(x.Deadline))
		}
	}
	var soon Transaction
	if text := "soon"; (&columns{Deadline: &text}).apply(&soon) == nil {
		t.Error("a deadline that is no duration is taken")
	}
}

func TestWhatMayBeNegative(t *testing.T) {
	c := load(t)
	for _, k := range []struct {
		n      ident.Infno
		member string
		want   bool
	}{
		{"2301", "cnt", true}, {"2301", "det_item_fee_sumamt", true}, {"2301", "pric", false},
		{"2204", "cnt", false}, {"2207", "medfee_sumamt", false}, {"3201", "acct_pay", true}, {"4101", "psn_selfpay", false},
	} {
		if got := get(t, c, k.n).MayBeNegative(k.member); got != k.want {
			t.Errorf("%s %s: %v", k.n, k.member, got)
		}
	}
}

// Everything an ask or an undo names must exist where it is said to be.
func TestAsksAndUndosCanBeFollowed(t *testing.T) {
	c := load(t)
	for _, x := range c.All() {
		own := members(x.Input)
		if x.Queued && !x.Commits {
			t.Errorf("%s is queued and commits nothing", x.Infno)
		}
		if x.Commits && x.Remedies[len(x.Remedies)-1] != RemedyPark {
			t.Errorf("%s: the last remedy is %s: nobody is told when all else fails", x.Infno, x.Remedies[len(x.Remedies)-1])
		}
		if len(x.Asks) > 0 && !slices.Contains(x.Remedies, RemedyAsk) {
			t.Errorf("%s can be asked for and never is", x.Infno)
		}
		for _, a := range x.Asks {
			q := get(t, c, a.Infno)
			if q.Commits {
				t.Errorf("%s: the question %s changes something", x.Infno, q.Infno)
			}
			send, ok := q.Node(Input, a.Send)
			if !ok {
				t.Errorf("%s: %s has no input node %q", x.Infno, a.Infno, a.Send)
				continue
			}
			reply, ok := q.Node(Output, a.Node)
			if !ok || len(a.Match) == 0 {
				t.Errorf("%s: %s has no output node %q, or nothing is matched", x.Infno, a.Infno, a.Node)
				continue
			}
			sources := map[string]string{}
			for m, s := range a.By {
				if _, ok := send.Field(m); !ok {
					t.Errorf("%s: %s.%s has no member %q", x.Infno, a.Infno, a.Send, m)
				}
				sources[s] = "by"
			}
			for m, s := range a.Match {
				if _, ok := reply.Field(m); !ok {
					t.Errorf("%s: reply of %s has no member %q", x.Infno, a.Infno, m)
				}
				sources[s] = "match"
			}
			for s, where := range sources {
				if s != SourceMsgID && s != SourceUntil && s != SourceDay && !strings.HasPrefix(s, LiteralStart) && own[s] == nil {
					t.Errorf("%s: %s takes %q, which its input has not", x.Infno, where, s)
				}
			}
			for _, f := range send.Fields {
				if f.Required == Always && !f.Assumed && a.By[f.Code] == "" && a.Needs == "" {
					t.Errorf("%s: %s needs %q, and no capability is asked for", x.Infno, a.Infno, f.Code)
				}
			}
		}
		if slices.Contains(x.Remedies, RemedyUndo) {
			for _, n := range get(t, c, x.Undo).Input {
				for _, f := range n.Fields {
					if f.Required == Always && own[f.Code] == nil {
						t.Errorf("%s: its undo %s needs %q, which its input has not", x.Infno, x.Undo, f.Code)
					}
				}
			}
		}
	}
}

// Whatever the gateway may park people can end, both ways; and nothing is offered that does not apply.
func TestPeopleCanEndWhatIsParked(t *testing.T) {
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range c.All() {
		ways := map[Hand]bool{}
		for _, h := range x.ByHand {
			if ways[h.Do] {
				t.Errorf("%s: %s twice", x.Infno, h.Do)
			}
			ways[h.Do] = true
		}
		if x.Commits != (ways[HandAdopt] && ways[HandAbsent]) || ways[HandReverse] && !x.Reversible || ways[HandUndo] && x.Undo == "" {
			t.Errorf("%s: commits %v, by hand %+v", x.Infno, x.Commits, x.ByHand)
		}
	}
}

func members(ns []Node) map[string]*Field {
	m := map[string]*Field{}
	for i := range ns {
		for j := range ns[i].Fields {
			m[ns[i].Fields[j].Code] = &ns[i].Fields[j]
		}
	}
	return m
}

const oneTable = `{"infno":"1","name":"x","group":"g","kind":"settle","compensation":null,"input":[%],"output":[],"sources":[],"confidence":"low","disputes":[]}`

func TestLoadRefuses(t *testing.T) {
	good := `{"kinds":{"settle":{"limit":"settle","commits":true,"remedies":["park"]}}}`
	try := func(node, behaviour string) error {
		_, err := Load(fstest.MapFS{"transactions/1.json": {Data: []byte(strings.Replace(oneTable, "%", node, 1))}}, []byte(behaviour))
		return err
	}
	if err := try("", good); err != nil {
		t.Fatal(err)
	}
	field := `{"node":"a","title":"","repeat":false,"required":true,"fields":[{"code":"c","name":"","type":"number","length":"16,2","dict":null,"required":true,"note":""}]}`
	if err := try(field, good); err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string][2]string{
		"no defaults":         {"", `{"kinds":{}}`},
		"unknown key":         {"", `{"kinds":{},"x":1}`},
		"unknown number":      {"", strings.Replace(good, `{"kinds"`, `{"transactions":{"9":{}},"kinds"`, 1)},
		"no remedy":           {"", `{"kinds":{"settle":{"limit":"settle","commits":true}}}`},
		"remedy of nothing":   {"", `{"kinds":{"settle":{"limit":"settle","remedies":["park"]}}}`},
		"unknown remedy":      {"", `{"kinds":{"settle":{"limit":"settle","commits":true,"remedies":["hope"]}}}`},
		"reverse not taken":   {"", `{"kinds":{"settle":{"limit":"settle","commits":true,"remedies":["reverse"]}}}`},
		"undo of nothing":     {"", `{"kinds":{"settle":{"limit":"settle","commits":true,"remedies":["undo"]}}}`},
		"ask nobody":          {"", `{"kinds":{"settle":{"limit":"settle","commits":true,"remedies":["ask"]}}}`},
		"ask the unknown":     {"", `{"kinds":{"settle":{"limit":"settle","commits":true,"remedies":["ask"],"asks":[{"infno":"9"}]}}}`},
		"limit":               {"", `{"kinds":{"settle":{"limit":"long"}}}`},
		"by hand":             {"", `{"kinds":{"settle":{"limit":"settle","commits":true,"remedies":["park"],"by_hand":[{"do":"forget"}]}}}`},
		"proof":               {"", `{"kinds":{"settle":{"limit":"settle","commits":true,"remedies":["park"],"by_hand":[{"do":"absent","proof":["hope"]}]}}}`},
		"shows":               {"", `{"kinds":{"settle":{"limit":"settle","commits":true,"remedies":["park"],"by_hand":[{"do":"adopt","shows":["x"]}]}}}`},
		"credential twice":    {"", strings.Replace(good, `{"kinds"`, `{"credential":["a_b","aB"],"kinds"`, 1)},
		"length":              {strings.Replace(field, "16,2", "2,2", 1), good},
		"length text":         {strings.Replace(field, "16,2", "many", 1), good},
		"type":                {strings.Replace(field, "number", "float", 1), good},
		"required":            {strings.Replace(field, `"required":true,"note"`, `"required":"maybe","note"`, 1), good},
		"own parent":          {strings.Replace(field, `"title"`, `"parent":"a","title"`, 1), good},
		"parent is not there": {strings.Replace(field, `"title"`, `"parent":"b","title"`, 1), good},
		"node twice":          {field + "," + field, good},
		"alternative":         {strings.Replace(field, `"title"`, `"alternativeTo":"b","title"`, 1), good},
	} {
		if try(k[0], k[1]) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := Load(fstest.MapFS{"transactions/2.json": {Data: []byte(strings.Replace(oneTable, "%", "", 1))}}, []byte(good)); err == nil {
		t.Error("a file under another number: accepted")
	}
}

func TestNilCatalogIsHarmless(t *testing.T) {
	var c *Catalog
	if _, ok := c.Lookup("2207"); ok || c.All() != nil {
		t.Error("a nil catalogue has transactions")
	}
	if got := c.Redact(map[string]any{"x": "y"}); got.(map[string]any)["x"] != Redacted {
		t.Errorf("without tables %v was let through", got)
	}
}
