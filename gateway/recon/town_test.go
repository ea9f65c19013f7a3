package recon

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
)

const (
	hospital ident.Institution = "H43010000001"
	area     string            = "430100"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, gateway.China)

// truth is a settlement or undo as the centre of these tests has it.
type truth struct {
	setl, visit, psn, msgid string
	insutype, clr, day      string
	amounts                 Amounts
	refund                  bool
}

// town is a centre that keeps a list and compares it, and a journal beside it.
type town struct {
	t       *testing.T
	journal *gatewaytest.MemJournal
	clock   *gatewaytest.Clock
	inst    *gateway.Institution
	truth   []truth
	serial  int

	// how results are written
	columns             int
	all, bare, dropFlag bool
	hide                map[string]bool // msgids the result file does not mention
	noAsk               bool            // 5203 is refused
	fail                map[ident.Infno]error
	files               map[string][]byte
	sent                []gateway.Transact
}

func newTown(t *testing.T) *town {
	return &town{t: t, journal: gatewaytest.NewJournal(), clock: gatewaytest.NewClock(noon.AddDate(0, 0, 1)), columns: 10,
		inst:  &gateway.Institution{Code: hospital, Name: "医院", Area: area, Region: &gateway.Region{Code: "x", Name: "X"}},
		files: map[string][]byte{}, hide: map[string]bool{}, fail: map[ident.Infno]error{}}
}

// tables are read once: they can not be changed.
var tables = sync.OnceValues(catalog.Default)

func (w *town) reconciler() *Reconciler {
	w.t.Helper()
	cat, err := tables()
	w.must(err)
	r, err := New(Options{Journal: w.journal, Office: w, Catalog: cat, Clock: w.clock, Archive: NewArchive(w.t.TempDir()),
		Institutions: map[ident.Institution]*gateway.Institution{hospital: w.inst}})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *town) run() Report {
	w.t.Helper()
	rep, err := w.reconciler().Run(context.Background(), hospital, noon)
	if err != nil {
		w.t.Fatal(err)
	}
	return rep
}

// sale is one settlement to put into the journal.
type sale struct {
	at           time.Time
	infno        ident.Infno
	psn          string
	insutype     string
	clr          string
	total, fund  money.Fen
	account      money.Fen
	state        gateway.State // default done
	undoOf       *truth
	operator     string
	adopted      bool
	reversedHere bool
}

// record writes a sale into the journal and gives what an honest centre has for it.
func (w *town) record(s sale) truth {
	w.t.Helper()
	ctx := context.Background()
	w.serial++
	if s.at.IsZero() {
		s.at = noon
	}
	if s.infno == "" {
		s.infno = "2207"
	}
	if s.operator == "" {
		s.operator = "0101"
	}
	id, err := w.journal.NextMsgID(ctx, hospital, s.at)
	w.must(err)
	tr := truth{setl: fmt.Sprintf("S%08d", w.serial), visit: fmt.Sprintf("V%08d", w.serial), psn: s.psn, msgid: string(id),
		insutype: s.insutype, clr: s.clr, day: dayOf(s.at), amounts: Amounts{s.total, s.fund, s.account, 1}}
	in := object{"psn_no": s.psn, "mdtrt_id": tr.visit, "insutype": s.insutype, "medfee_sumamt": money.Number(s.total)}
	if s.undoOf != nil {
		o := s.undoOf
		tr.visit, tr.psn, tr.insutype, tr.clr, tr.refund = o.visit, o.psn, o.insutype, o.clr, true
		tr.amounts = Amounts{-o.amounts.Total, -o.amounts.Fund, -o.amounts.Account, 1}
		in = object{"psn_no": o.psn, "mdtrt_id": o.visit, "setl_id": o.setl}
	}
	out := object{"setl_id": tr.setl, "mdtrt_id": tr.visit, "psn_no": tr.psn, "setl_time": s.at.In(gateway.China).Format(time.DateTime),
		"medfee_sumamt": tr.amounts.Total.String(), "fund_pay_sumamt": money.Number(tr.amounts.Fund), "acct_pay": money.Number(tr.amounts.Account),
		"psn_cash_pay": money.Number(tr.amounts.Total - tr.amounts.Fund - tr.amounts.Account), "clr_optins": area}
	if s.undoOf == nil {
		out["insutype"], out["clr_type"] = s.insutype, s.clr
	}
	e := gateway.Event{At: s.at, Kind: gateway.EventDone}
	if s.adopted {
		e.Cause = "adopted"
		if s.undoOf != nil { // what was found by asking is the original row
			out["setl_id"], out["medfee_sumamt"] = s.undoOf.setl, s.undoOf.amounts.Total.String()
			out["fund_pay_sumamt"], out["acct_pay"] = s.undoOf.amounts.Fund.String(), s.undoOf.amounts.Account.String()
		}
	}
	e.Data = strictjson.Append(nil, object{"setlinfo": out})
	rec := gateway.Record{ID: id, Institution: hospital, Infno: s.infno, Step: string(s.infno), Attempt: 1, CreatedAt: s.at, State: gateway.StateSent,
		Operator: gateway.Operator{ID: s.operator, Name: "收费员" + s.operator, Type: "1"}, Input: strictjson.Append(nil, object{"data": in})}
	w.write(gateway.Entry{Record: &rec})
	switch s.state {
	case gateway.StateUnknown:
		e = gateway.Event{At: s.at, Kind: gateway.EventUnknown, Cause: gateway.CauseTimeout}
	case gateway.StateSent:
		return tr
	case gateway.StateAbsent:
		w.write(gateway.Entry{Append: &gateway.Append{ID: id, Version: 1, Event: gateway.Event{At: s.at, Kind: gateway.EventUnknown}}})
		w.write(gateway.Entry{Append: &gateway.Append{ID: id, Version: 2, Event: gateway.Event{At: s.at, Kind: gateway.EventAbsent}}})
		return tr
	}
	w.write(gateway.Entry{Append: &gateway.Append{ID: id, Version: 1, Event: e}})
	if s.reversedHere {
		rid, err := w.journal.NextMsgID(ctx, hospital, s.at)
		w.must(err)
		rev := gateway.Record{ID: rid, Institution: hospital, Infno: "2601", Step: "2601", Attempt: 1, CreatedAt: s.at, State: gateway.StateSent,
			Input: strictjson.Append(nil, object{"data": object{"psn_no": s.psn, "omsgid": string(id), "oinfno": string(s.infno)}})}
		w.write(gateway.Entry{Record: &rev})
		w.write(gateway.Entry{Append: &gateway.Append{ID: rid, Version: 1, Event: gateway.Event{At: s.at, Kind: gateway.EventDone}}})
	}
	return tr
}

func (w *town) write(e gateway.Entry) {
	w.t.Helper()
	_, err := w.journal.Write(context.Background(), e)
	w.must(err)
}

func (w *town) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// sum adds the centre's rows of a day up.
func (w *town) sum(day, insutype, clr string) Amounts {
	var a Amounts
	for _, tr := range w.truth {
		if tr.day == day && (insutype == "" || tr.insutype == insutype) && (clr == "" || tr.clr == clr) {
			a = a.plus(tr.amounts)
		}
	}
	return a
}

// Own implements gateway.Office the way the centre would answer.
func (w *town) Own(_ context.Context, r gateway.Transact) (gateway.Transaction, error) {
	w.sent = append(w.sent, r)
	t := gateway.Transaction{ID: ident.MsgID(fmt.Sprintf("%s-%d", r.Infno, len(w.sent)))}
	if err := w.fail[r.Infno]; err != nil {
		return t, err
	}
	refuse := func(msg string) (gateway.Transaction, error) {
		return t, &gateway.Error{Code: gateway.CodeCentreRefused, Detail: msg}
	}
	in := findRow(r.Input, "file_qury_no")
	switch r.Infno {
	case "3201":
		in = findRow(r.Input, "clr_type")
		ours := w.sum(text(in["stmt_begndate"]), text(in["insutype"]), text(in["clr_type"]))
		rslt := "0"
		if claim := claimOf(in); claim != ours {
			rslt = "1"
		}
		t.Output = object{"stmtinfo": object{"stmt_rslt": rslt, "stmt_rslt_dscr": "x"}}
	case "9101":
		b, err := base64.StdEncoding.DecodeString(text(findRow(r.Input, "in")["in"]))
		w.must(err)
		no := fmt.Sprintf("F%d", len(w.files))
		w.files[no] = b
		t.Output = object{"file_qury_no": no}
	case "3202":
		no := fmt.Sprintf("F%d", len(w.files))
		w.files[no] = zipped(w.t, "result.txt", w.result(w.unzipped(text(in["file_qury_no"])), text(in["stmt_begndate"]), text(in["clr_type"])))
		t.Output = object{"fileinfo": object{"file_qury_no": no, "filename": "result.zip"}}
	case "9102":
		t.Output = object{gateway.FileBody: base64.StdEncoding.EncodeToString(w.files[text(in["file_qury_no"])])}
	case "5203":
		in = findRow(r.Input, "setl_id")
		for _, tr := range w.truth {
			if !w.noAsk && tr.setl == text(in["setl_id"]) && tr.visit == text(in["mdtrt_id"]) && tr.psn == text(in["psn_no"]) {
				t.Output = object{"setlinfo": object{"setl_id": tr.setl, "insutype": tr.insutype, "medfee_sumamt": money.Number(tr.amounts.Total),
					"fund_pay_sumamt": money.Number(tr.amounts.Fund), "acct_pay": money.Number(tr.amounts.Account)}}
				return t, nil
			}
		}
		return refuse("未查询到结算信息")
	default:
		w.t.Fatalf("%s was sent", r.Infno)
	}
	return t, nil
}

func claimOf(in object) Amounts {
	fen := func(name string) money.Fen {
		f, err := money.Parse(text(in[name]))
		if err != nil {
			return -1
		}
		return f
	}
	var n int
	_ = json.Unmarshal([]byte(text(in["fixmedins_setl_cnt"])), &n)
	return Amounts{fen("medfee_sumamt"), fen("fund_pay_sumamt"), fen("acct_pay"), n}
}

// result compares rows as a centre does: by setl_id and mdtrt_id alone.
func (w *town) result(lines []string, day, clr string) string {
	theirs := map[string]truth{}
	var order []string
	for _, tr := range w.truth {
		if tr.day == day && tr.clr == clr {
			theirs[tr.setl] = tr
			order = append(order, tr.setl)
		}
	}
	var out []string
	add := func(tr truth, code, memo string) {
		if code == "0" && !w.all || w.hide[tr.msgid] {
			return
		}
		flag := "0"
		if tr.refund {
			flag = "1"
		}
		cells := []string{tr.psn, tr.visit, tr.setl, tr.msgid, code, flag, memo, tr.amounts.Total.String(), tr.amounts.Fund.String(), tr.amounts.Account.String(), ""}
		if w.dropFlag && flag == "0" { // an empty column moves the memo to the right
			cells = append(cells[:6:6], append([]string{""}, cells[6:10]...)...)
		}
		n := min(w.columns, len(cells))
		if w.columns == 8 {
			cells = append(cells[:7:7], "")
		}
		out = append(out, strings.Join(cells[:n], "\t"))
	}
	for _, l := range lines {
		c := strings.Split(l, "\t")
		a := Amounts{Count: 1}
		for i, to := range []*money.Fen{&a.Total, &a.Fund, &a.Account} {
			f, err := money.Parse(c[3+i])
			w.must(err)
			*to = f
		}
		tr, ok := theirs[c[0]]
		switch {
		case !ok || tr.visit != c[1]:
			add(truth{setl: c[0], visit: c[1], psn: c[2], amounts: a, refund: c[6] == "1"}, "2", "中心无此记录")
			continue
		case tr.amounts != a:
			add(tr, "3", "金额不一致"+tr.insutype)
		default:
			add(tr, "0", tr.insutype)
		}
		delete(theirs, c[0])
	}
	for _, id := range order {
		tr, ok := theirs[id]
		if !ok {
			continue
		}
		if w.bare {
			tr.setl, tr.visit = "", ""
		}
		add(tr, "1", "机构无此记录"+tr.insutype)
	}
	return strings.Join(out, "\n")
}

func (w *town) unzipped(no string) []string {
	w.t.Helper()
	z, err := zip.NewReader(bytes.NewReader(w.files[no]), int64(len(w.files[no])))
	w.must(err)
	f, err := z.File[0].Open()
	w.must(err)
	b, err := io.ReadAll(f)
	w.must(err)
	if len(b) == 0 {
		return nil
	}
	return strings.Split(string(b), "\n")
}

func zipped(t testing.TB, name, text string) []byte {
	t.Helper()
	b, err := pack(name, noon, text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
