// Package acceptance tests an insurance centre, or the simulated one, through the interface alone,
// and says requirement by requirement what holds.
//
// What is required is data (rules.csv, written by hand, and a pair of requirements for each described
// transaction, made from the catalogue); what is tried is data as well (cases/*.yaml), each step naming the
// requirements it verifies. The engine knows how to send a message, how to look at an answer and how to
// count, and no field. A requirement passes when every check that names it held, fails when one did
// not, and is not-run when no step that names it was reached.
//
// A Runner keeps no state between runs. The same seed, clock and target give the same result but for
// the times.
package acceptance

import (
	"context"
	"embed"
	"time"
)

//go:embed rules.csv untestable.csv cases
var files embed.FS

// Status is how a requirement or a case ended.
type Status string

// How things end. Pass and Fail are verdicts; a requirement that has none says why in its Reason.
const (
	Pass        Status = "pass"
	Fail        Status = "fail"
	NotRun      Status = "not-run"      // there are cases for it, and this run did not come to it
	NoCase      Status = "no-case"      // it could be tried, and no case does
	OtherSide   Status = "other-side"   // another side has to meet it
	NotTestable Status = "not-testable" // the list of requirements says why it can not be tried from outside
)

// Statuses are all of them, in the order reports show them.
func Statuses() []Status { return []Status{Pass, Fail, NotRun, NoCase, OtherSide, NotTestable} }

// Word is a status for people.
func (s Status) Word() Text {
	return map[Status]Text{Pass: {"通过", "passed"}, Fail: {"未通过", "failed"}, NotRun: {"未执行", "not run"}, NoCase: {"没有用例", "no case tries it"},
		OtherSide: {"由另一方满足", "another side's"}, NotTestable: {"声明无法测试", "declared not testable"}}[s]
}

// Text is for people: Chinese first.
type Text struct {
	ZH string `json:"zh" yaml:"zh"`
	EN string `json:"en" yaml:"en"`
}

// Target is what is tried: something that takes one core message and gives the core message it
// answers. It does the sealing, the headers and the verifying.
type Target interface {
	// Exchange sends a request as it stands. how names what is to be wrong with its protection
	// ("" for nothing): see Spoils. reply is the opened answer; refusal is what was said instead of
	// one (an HTTP status, an unsigned refusal). An error means that nothing readable came.
	Exchange(ctx context.Context, infno string, message []byte, how string) (reply []byte, refusal string, err error)
	// Spoils lists what Exchange can do wrong: "unsigned", "other-key", "replayed", "stale", "altered",
	// "no-header", as the target's security allows.
	Spoils() []string
	// Signed reports whether answers are signed; Exchange then verified them.
	Signed() bool
}

// Person is an insured person of the target's test data.
type Person struct {
	No       string `yaml:"psn_no"`
	Name     string `yaml:"name"`
	Cert     string `yaml:"certno"`
	Insutype string `yaml:"insutype"`
	Area     string `yaml:"insuplc_admdvs"`
}

// Site is what a target has to be told: who treats, who is treated, and values the cases use.
type Site struct {
	Institution     string            `yaml:"fixmedins_code"`
	InstitutionName string            `yaml:"fixmedins_name"`
	Area            string            `yaml:"mdtrtarea_admvs"`
	Receiver        string            `yaml:"recer_sys_code"`
	Version         string            `yaml:"infver"`
	People          map[string]Person `yaml:"people"` // by role: active, resident, elsewhere, paused, nobody
	Values          map[string]string `yaml:"values"` // item codes and the like
	// FundIncludesAccount: fund_pay_sumamt contains acct_pay there (identity E).
	FundIncludesAccount bool `yaml:"fund_includes_account"`
	// SettleBeforeDischarge: a stay can be settled before its discharge is registered.
	SettleBeforeDischarge bool `yaml:"settle_before_discharge"`
	// Local lists the transactions of some areas only that the target answers; "*": all of them.
	Local []string `yaml:"local"`
	// TestInstitution: somebody made sure that institution and people are there for tests only.
	TestInstitution bool `yaml:"test_institution"`
	// SignIn: messages need a sign_no.
	SignIn bool `yaml:"sign_in"`
}

// Options of a Runner.
type Options struct {
	Target Target
	Site   Site
	Suite  string   // only cases of that suite; "" for all
	Only   []string // only these cases; nil for all
	Seed   uint64   // where numbers start
	// Cases and Inputs are tried instead of the embedded ones when there are any (see Load).
	Cases  []Case
	Inputs Inputs
	Now    func() time.Time
	// Services are the centres beside the core one, by the name a case gives: mobile, prescription, einvoice. Their messages are the
	// data of a transaction; cases of a service that is not there are not run.
	Services map[string]Target
	// Parallel is how many lanes run at once; cases of one person stay in one lane. Up to one: one after the other, and
	// the same seed gives the same report.
	Parallel int
	// Known are cases that need not be run again, by id; Keep, when set, is told of each that was.
	Known map[string]Kept
	Keep  func(Kept)
	// Originals, when set, is told of every exchange unmasked; with Parallel concurrently.
	Originals func(Original)
	// Progress, when set, is called after each case, never concurrently.
	Progress func(done, total int, c CaseResult)
}

// Result is a whole run.
type Result struct {
	Tool         string              `json:"tool"`
	Target       string              `json:"target"`
	Suite        string              `json:"suite,omitempty"`
	Seed         uint64              `json:"seed"`
	Began        time.Time           `json:"began"`
	Ended        time.Time           `json:"ended"`
	Originals    bool                `json:"originals,omitempty"` // FileOriginals belongs to the report
	Reached      bool                `json:"reached"`             // something readable came back at least once
	Requirements []RequirementResult `json:"requirements"`
	Cases        []CaseResult        `json:"cases"`
}

// RequirementResult is what was found out about a requirement.
type RequirementResult struct {
	Requirement
	Status   Status     `json:"status"`
	Reason   string     `json:"reason,omitempty"` // of a status that is no verdict
	Checks   int        `json:"checks"`
	Evidence []Evidence `json:"evidence,omitempty"` // of what failed; at most a few
}

// Evidence says where a check failed, with both sides. It carries no personal data.
type Evidence struct {
	Case   string `json:"case"`
	Step   int    `json:"step"` // from 1
	Infno  string `json:"infno,omitempty"`
	Wanted string `json:"wanted"`
	Got    string `json:"got"`
}

// CaseResult is how a case went. Stopped says why later steps were not tried, or is "".
type CaseResult struct {
	ID      string        `json:"id"`
	Suite   string        `json:"suite"`
	Title   Text          `json:"title"`
	Status  Status        `json:"status"`
	Stopped string        `json:"stopped,omitempty"`
	Took    time.Duration `json:"took_ns"`
	Steps   []StepResult  `json:"steps"`
}

// StepResult is one message and its answer, masked.
type StepResult struct {
	Infno   string   `json:"infno"`
	Note    Text     `json:"note"`
	MsgID   string   `json:"msgid,omitempty"`
	Status  Status   `json:"status"`
	Faults  []string `json:"faults,omitempty"`
	Request string   `json:"request,omitempty"`
	Reply   string   `json:"reply,omitempty"`
}

// Passed reports whether nothing failed and something was tried.
func (r *Result) Passed() bool {
	c := r.Counts()
	for _, k := range r.Cases {
		if k.Status == Fail {
			return false
		}
	}
	return c[Fail] == 0 && c[Pass] > 0
}
