package acceptance

import (
	"crypto/rand"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
)

//go:embed report.html
var page embed.FS

// Names of the files of a report.
const (
	FileJSON  = "report.json"
	FileJUnit = "report.xml"
	FileHTML  = "report.html"
	FileSign  = "report.sig"
)

// signUID is the SM2 user id reports are signed with.
const signUID = "yiqiao accept report v1"

// Signature vouches for the files of a report, by their SM3 digests.
type Signature struct {
	Files     map[string]string `json:"files"` // name: SM3, hex
	PublicKey string            `json:"public_key"`
	Value     string            `json:"signature"` // SM2, r||s in base64, over the files as compact JSON
}

// ErrReport: a report is not what was signed.
var ErrReport = errors.New("acceptance: the report does not verify")

// Change is what a requirement was in the run before and is now.
type Change struct {
	ID       string
	Text     Text
	Was, Now Status
}

// Compare lists the requirements whose status changed.
func Compare(before, now *Result) []Change {
	was := map[string]Status{}
	for _, q := range before.Requirements {
		was[q.ID] = q.Status
	}
	var list []Change
	for _, q := range now.Requirements {
		if w, ok := was[q.ID]; ok && w != q.Status {
			list = append(list, Change{q.ID, q.Text, w, q.Status})
		}
	}
	return list
}

// WriteReport writes the files of a report into a folder; with a key they are signed. before may be nil.
func WriteReport(dir string, res, before *Result, p sm.Provider, key *sm.PrivateKey) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	text, err := json.MarshalIndent(res, "", " ")
	if err != nil {
		return err
	}
	var unit, html strings.Builder
	if err := writeJUnit(&unit, res); err != nil {
		return err
	}
	if err := writeHTML(&html, res, before); err != nil {
		return err
	}
	out := map[string][]byte{FileJSON: append(text, '\n'), FileJUnit: []byte(unit.String()), FileHTML: []byte(html.String())}
	if key != nil {
		s := Signature{Files: map[string]string{}, PublicKey: keys.FormatPublic(key.Public())}
		for name, b := range out {
			d := p.SM3(b)
			s.Files[name] = hex.EncodeToString(d[:])
		}
		if res.Originals {
			b, err := os.ReadFile(filepath.Join(dir, FileOriginals))
			if err != nil {
				return err
			}
			d := p.SM3(b)
			s.Files[FileOriginals] = hex.EncodeToString(d[:])
		}
		over, err := json.Marshal(s.Files)
		if err != nil {
			return err
		}
		sig, err := p.Sign(rand.Reader, key, []byte(signUID), over)
		if err != nil {
			return err
		}
		s.Value = base64.StdEncoding.EncodeToString(sig[:])
		if out[FileSign], err = json.MarshalIndent(s, "", " "); err != nil {
			return err
		}
	}
	for name, b := range out {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Verify holds the files of a report against its signature and the key of whoever is to have made it.
// Errors wrap ErrReport and name the file.
func Verify(dir fs.FS, p sm.Provider, key *sm.PublicKey) (*Result, error) {
	b, err := fs.ReadFile(dir, FileSign)
	if err != nil {
		return nil, fmt.Errorf("%w: 没有签名文件 / no %s", ErrReport, FileSign)
	}
	var s Signature
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrReport, FileSign)
	}
	over, err := json.Marshal(s.Files)
	if err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(s.Value)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrReport, FileSign)
	}
	var sig sm.Signature
	if len(raw) != len(sig) || p.Verify(key, []byte(signUID), over, sm.Signature(raw)) != nil {
		return nil, fmt.Errorf("%w: 签名不是这个公钥的 / not signed by this key", ErrReport)
	}
	for _, name := range []string{FileJSON, FileJUnit, FileHTML} {
		b, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, fmt.Errorf("%w: 缺少 %s / missing", ErrReport, name)
		}
		if d := p.SM3(b); hex.EncodeToString(d[:]) != s.Files[name] {
			return nil, fmt.Errorf("%w: %s 被改动 / was changed", ErrReport, name)
		}
	}
	if want := s.Files[FileOriginals]; want != "" { // whoever gets the report need not get the originals
		b, err := fs.ReadFile(dir, FileOriginals)
		if d := p.SM3(b); err == nil && hex.EncodeToString(d[:]) != want {
			return nil, fmt.Errorf("%w: %s 被改动 / was changed", ErrReport, FileOriginals)
		}
	}
	f, err := dir.Open(FileJSON)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadResult(f)
}

// ReadResult reads a report.json.
func ReadResult(r io.Reader) (*Result, error) {
	var res Result
	if err := json.NewDecoder(io.LimitReader(r, 256<<20)).Decode(&res); err != nil {
		return nil, fmt.Errorf("acceptance: no report: %w", err)
	}
	return &res, nil
}

type unitSuites struct {
	XMLName xml.Name    `xml:"testsuites"`
	Suites  []unitSuite `xml:"testsuite"`
}

type unitSuite struct {
	Name       string         `xml:"name,attr"`
	Tests      int            `xml:"tests,attr"`
	Failures   int            `xml:"failures,attr"`
	Skipped    int            `xml:"skipped,attr"`
	Properties []unitProperty `xml:"properties>property"`
	Cases      []unitCase     `xml:"testcase"`
}

type unitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type unitCase struct {
	Name    string    `xml:"name,attr"`
	Class   string    `xml:"classname,attr"`
	Failure *unitText `xml:"failure"`
	Skipped *unitText `xml:"skipped"`
}

type unitText struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// unitRequirements is the suite of the requirements: how many have which status are its properties, and what has no verdict
// is skipped with the status and the reason.
func unitRequirements(res *Result) unitSuite {
	s := unitSuite{Name: "requirements", Tests: len(res.Requirements)}
	n := res.Counts()
	for _, k := range Statuses() {
		s.Properties = append(s.Properties, unitProperty{string(k), strconv.Itoa(n[k])})
	}
	for _, q := range res.Requirements {
		u := unitCase{Name: q.ID + " " + q.Text.ZH, Class: "requirements." + q.Actor}
		switch q.Status {
		case Pass:
		case Fail:
			s.Failures++
			var faults []string
			for _, e := range q.Evidence {
				faults = append(faults, fmt.Sprintf("%s %d. %s: 应为 %s; 实为 %s", e.Case, e.Step, e.Infno, e.Wanted, e.Got))
			}
			u.Failure = &unitText{string(q.Status), strings.Join(faults, "\n")}
		default:
			s.Skipped++
			u.Skipped = &unitText{Message: string(q.Status) + ": " + q.Reason}
		}
		s.Cases = append(s.Cases, u)
	}
	return s
}

// writeJUnit writes the cases as JUnit XML, a suite for each suite, and the requirements as the last one.
func writeJUnit(w io.Writer, res *Result) error {
	var out unitSuites
	for _, c := range res.Cases {
		i := slices.IndexFunc(out.Suites, func(s unitSuite) bool { return s.Name == c.Suite })
		if i < 0 {
			i = len(out.Suites)
			out.Suites = append(out.Suites, unitSuite{Name: c.Suite})
		}
		s := &out.Suites[i]
		u := unitCase{Name: c.ID + " " + c.Title.ZH, Class: c.Suite}
		s.Tests++
		switch c.Status {
		case Fail:
			s.Failures++
			var faults []string
			for n, st := range c.Steps {
				for _, f := range st.Faults {
					faults = append(faults, fmt.Sprintf("%d. %s: %s", n+1, st.Infno, f))
				}
			}
			u.Failure = &unitText{c.Stopped, strings.Join(faults, "\n")}
		case NotRun:
			s.Skipped++
			u.Skipped = &unitText{Message: c.Stopped}
		}
		s.Cases = append(s.Cases, u)
	}
	out.Suites = append(out.Suites, unitRequirements(res))
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", " ")
	return enc.Encode(out)
}

// group is a row of the report's chart.
type group struct {
	Name           string
	Pass, Fail, No int
}

// Width is a share in per cent, for the chart.
func (g group) Width(n int) string {
	all := g.Pass + g.Fail + g.No
	if all == 0 {
		return "0"
	}
	return fmt.Sprintf("%.2f", 100*float64(n)/float64(all))
}

// groupWords say what the letters of an id stand for.
var groupWords = map[string]Text{
	"AMT": {"金额恒等式", "amounts"}, "CAT": {"目录下载", "catalogues"}, "CHR": {"慢特病", "chronic diseases"}, "CLR": {"清算", "clearing"}, "DQ": {"结算清单质量", "data quality"},
	"EIN": {"电子票据", "e-invoices"}, "ENV": {"报文", "messages"}, "FIL": {"备案", "filings"}, "FLD": {"字段", "fields"}, "INP": {"住院", "stays"}, "LIM": {"上限", "limits"}, "MAP": {"目录对照", "mappings"},
	"MOB": {"移动支付", "mobile payment"}, "NWB": {"新生儿", "newborns"}, "ORD": {"次序", "order"}, "PHA": {"药店", "pharmacies"}, "PRV": {"隐私", "privacy"}, "PSN": {"人员", "persons"}, "QRY": {"查询", "queries"},
	"RCH": {"差异处理", "differences"}, "REC": {"对账", "reconciliation"}, "REF": {"退费", "refunds"}, "REV": {"冲正", "reversal"}, "RFD": {"退费", "refunds"}, "RXC": {"处方", "prescriptions"}, "SGN": {"签到", "sign-in"},
	"SIG": {"签名", "signatures"}, "TIM": {"时限", "time limits"}, "TMO": {"无答复", "no answer"}, "UPL": {"上传", "uploads"}, "VER": {"验证答复", "verifying"},
	"HAMT": {"HIS: 金额", "HIS: amounts"}, "HBAT": {"HIS: 批次", "HIS: batches"}, "HBCK": {"HIS: 撤回次序", "HIS: the way back"}, "HDOOR": {"HIS: 网关接口", "HIS: the door"}, "HDUP": {"HIS: 不重复", "HIS: nothing twice"},
	"HENV": {"HIS: 报文", "HIS: messages"}, "HFLOW": {"HIS: 流程", "HIS: business"}, "HKNW": {"HIS: 编号来源", "HIS: numbers"}, "HMID": {"HIS: 中途结算", "HIS: mid-stay"}, "HORD": {"HIS: 次序", "HIS: order"}, "HREC": {"HIS: 对账", "HIS: reconciliation"},
	"HREF": {"HIS: 被拒绝之后", "HIS: after a refusal"}, "HREP": {"HIS: 答复的采用", "HIS: replies"}, "HREV": {"HIS: 冲正", "HIS: reversal"}, "HSGN": {"HIS: 签到", "HIS: sign-in"}, "HSIG": {"HIS: 签名", "HIS: signatures"},
	"HTIM": {"HIS: 等待", "HIS: waiting"}, "HUNK": {"HIS: 结果未知", "HIS: unknown outcomes"},
}

// groups counts by the first part of the id.
func groups(res *Result) []group {
	return count(res, func(q RequirementResult) string { name, _, _ := strings.Cut(q.ID, "-"); return name })
}

// count counts requirements by a name.
func count(res *Result, by func(RequirementResult) string) []group {
	var list []group
	for _, q := range res.Requirements {
		name := by(q)
		i := slices.IndexFunc(list, func(g group) bool { return g.Name == name })
		if i < 0 {
			i = len(list)
			list = append(list, group{Name: name})
		}
		switch q.Status {
		case Pass:
			list[i].Pass++
		case Fail:
			list[i].Fail++
		default:
			list[i].No++
		}
	}
	return list
}

func writeHTML(w io.Writer, res, before *Result) error {
	t, err := template.New("report.html").Funcs(template.FuncMap{
		"groupWord": func(s string) Text { return groupWords[s] },
		"safe":      func(s string) template.CSS { return template.CSS(s) },
		"add":       func(a, b int) int { return a + b },
	}).ParseFS(page, "report.html")
	if err != nil {
		return err
	}
	data := struct {
		*Result
		Groups           []group
		Actors           []group
		Statuses         []Status
		Count            map[string]int
		Judged, Testable int
		Changes          []Change
		Before           *Result
	}{Result: res, Groups: groups(res), Actors: count(res, func(q RequirementResult) string { return q.Actor }), Statuses: Statuses(), Count: map[string]int{}, Before: before}
	for k, n := range res.Counts() {
		data.Count[string(k)] = n
	}
	data.Judged, data.Testable = res.Testable()
	if before != nil {
		data.Changes = Compare(before, res)
	}
	return t.Execute(w, data)
}
