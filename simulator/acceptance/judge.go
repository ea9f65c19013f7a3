package acceptance

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
)

var (
	refMsgID = regexp.MustCompile(`^[0-9]{6}[0-9]{14}[0-9]{10}$`)
	refTime  = regexp.MustCompile(`^[0-9]{17}$`)
)

// judge holds an answer against what every answer must be and what the step expects. false: the
// next step can not be tried.
func (a *attempt) judge(s Step, reply []byte, refusal string) bool {
	ids := s.ids(a.c)
	want := s.Expect.Result
	if want == "" {
		want = "done"
	}
	if refusal != "" {
		a.res.Reply = refusal
		if a.c.Service != "" && want == "refused" {
			return a.verdict(ids, "拒绝 / refused", "")
		}
		if want == "not-done" || want == "unanswered" || want == "whatever" {
			return a.verdict(ids, "拒绝 / refused", "")
		}
		a.verdict(ids, wantWords(want), refusal)
		return false
	}
	if want == "file" {
		return a.file(s, ids, reply)
	}
	rep, err := a.decode(s, reply)
	if err != nil && (want == "unanswered" || want == "whatever") {
		a.res.Reply = "(不是报文 / no message)"
		for name, where := range s.Save {
			if where == "msgid" {
				a.v[name] = a.res.MsgID
			}
		}
		return a.verdict(ids, "", "")
	}
	if err != nil {
		a.verdict(append(ids, "ENV-01"), "返回报文 / a reply message", err.Error())
		return false
	}
	if a.c.Service == "" {
		a.every(rep)
	}
	a.res.Reply = fmt.Sprintf("infcode %s %s %s", rep.InfCode, rep.ErrMsg, a.masked(rep.Output))
	if want == "unanswered" {
		a.verdict(ids, "没有答复 / no answer", "infcode "+rep.InfCode)
		return false
	}
	if want != "whatever" && (want == "done") != rep.OK() {
		got := "infcode " + rep.InfCode
		if rep.ErrMsg != "" {
			got += " " + rep.ErrMsg
		}
		a.verdict(ids, wantWords(want), got)
		return false
	}
	good := true
	if rep.OK() {
		if _, ok := a.r.cat.Lookup(ident.Infno(s.Send)); ok {
			a.fields(s.Send, rep.Output)
		}
	} else if len(s.Expect.Says) > 0 && !slices.ContainsFunc(s.Expect.Says, func(t string) bool { return strings.Contains(rep.ErrMsg, t) }) {
		good = a.verdict(ids, "err_msg 含 "+strings.Join(s.Expect.Says, " 或 "), rep.ErrMsg)
	}
	for _, f := range a.expected(s.Expect, rep.Output) {
		good = a.verdict(ids, f[0], f[1]) && good
	}
	if good {
		a.verdict(ids, "", "")
	}
	for _, name := range sorted(s.Save) {
		where := s.Save[name]
		if where == "msgid" {
			a.v[name] = a.res.MsgID
			continue
		}
		if sum, ok := strings.CutPrefix(where, "="); ok {
			x, err := a.total(rep.Output, sum)
			if err != nil {
				a.verdict(ids, where, err.Error())
				return false
			}
			a.v[name] = json.Number(x.FloatString(2))
			continue
		}
		x, ok := at(rep.Output, where)
		if !ok || x == nil {
			a.verdict(ids, where+" 有值 / present", "没有 / missing")
			return false
		}
		a.v[name] = x
	}
	return true
}

// decode reads a reply: a reply message, or what a service answers.
func (a *attempt) decode(s Step, reply []byte) (wire.Reply, error) {
	if a.c.Service == "" {
		return wire.DecodeReply(reply)
	}
	v, err := strictjson.Decode(reply, strictjson.Reply())
	return wire.Reply{InfCode: "0", Output: v}, err
}

// file judges bytes that are no message.
func (a *attempt) file(s Step, ids []string, body []byte) bool {
	a.res.Reply = fmt.Sprintf("(文件 %d 字节 / a file of so many bytes)", len(body))
	if rep, err := wire.DecodeReply(body); err == nil {
		return a.verdict(ids, "文件 / a file", "infcode "+rep.InfCode+" "+rep.ErrMsg)
	}
	if z, err := zip.NewReader(bytes.NewReader(body), int64(len(body))); err == nil && len(z.File) == 1 {
		if f, err := z.File[0].Open(); err == nil {
			body, _ = io.ReadAll(io.LimitReader(f, maxReply)) // what can not be read is not there
			_ = f.Close()
		}
	}
	for _, e := range sorted(s.Expect.Match) {
		want, err := a.v.text(s.Expect.Match[e])
		if err != nil {
			return a.verdict(ids, e, err.Error())
		}
		if ok, err := regexp.MatchString(want, string(body)); err != nil || !ok {
			return a.verdict(ids, "文件内容 ~ "+want, "没有 / not in it")
		}
	}
	got := ""
	if len(body) == 0 {
		got = "空文件 / empty"
	}
	return a.verdict(ids, "文件 / a file", got)
}

func wantWords(want string) string {
	if want == "done" {
		return "成功 / success"
	}
	return "拒绝 / a refusal"
}

// everyReply are the requirements every judges.
var everyReply = []string{"ENV-01", "ENV-02", "ENV-03", "ENV-04", "ENV-05", "SIG-01"}

// every holds what is true of all replies.
func (a *attempt) every(r wire.Reply) {
	a.verdict([]string{"ENV-01"}, "", "")
	if a.r.o.Target.Signed() {
		a.verdict([]string{"SIG-01"}, "", "") // Exchange would not have given it otherwise
	}
	hold := func(id, wanted string, ok bool, got string) {
		if ok {
			got = ""
		} else if got == "" {
			got = "(空)"
		}
		a.verdict([]string{id}, wanted, got)
	}
	hold("ENV-02", "30 位数字", refMsgID.MatchString(r.RefMsgID), r.RefMsgID)
	hold("ENV-03", "17 位时间 refmsg_time", refTime.MatchString(r.RefMsgTime), r.RefMsgTime)
	hold("ENV-03", "17 位时间 respond_time", refTime.MatchString(r.RespondTime), r.RespondTime)
	a.r.mu.Lock()
	used := a.r.refs[r.RefMsgID]
	a.r.refs[r.RefMsgID] = true
	a.r.mu.Unlock()
	hold("ENV-05", "没有用过的 inf_refmsgid", !used, "重复 / used before")
	if !r.OK() {
		n := utf8.RuneCountInString(r.ErrMsg)
		hold("ENV-04", "1 到 200 个字符的 err_msg", n > 0 && n <= 200, fmt.Sprint(n, " 个字符"))
	}
}

// fields holds an output against its table and the amounts against each other.
func (a *attempt) fields(infno string, output any) {
	n := ident.Infno(infno)
	var bad []string
	amounts := map[string][]string{}
	for _, f := range a.r.checker.Reply(n, output) {
		if kind, ok := strings.CutPrefix(f.Code, check.CodeIdentityPrefix); ok {
			kind = strings.ToUpper(kind)
			if kind == "E" {
				kind = "C"
			}
			amounts["AMT-"+kind] = append(amounts["AMT-"+kind], f.Path)
			continue
		}
		if f.Severity == check.Error || f.Code == check.CodeFieldMissing {
			bad = append(bad, f.Path+" "+f.ZH)
		}
	}
	a.verdict([]string{fieldsID(infno)}, "接口表 / the table", strings.Join(bad, "; "))
	for _, k := range amountsOf(infno) {
		a.verdict([]string{k}, "恒等式成立 / the identity holds", strings.Join(amounts[k], "; "))
	}
}

// fieldsID is the requirement on the table of a reply.
func fieldsID(infno string) string { return "FLD-" + infno + "-O" }

// amountsOf lists the identities the output of a transaction is subject to.
func amountsOf(infno string) []string {
	switch infno {
	case "2206", "2207", "2303", "2304", "2101", "2102":
		return []string{"AMT-A", "AMT-B", "AMT-C", "AMT-D", "AMT-J"}
	case "2208", "2305", "2103":
		return []string{"AMT-K"}
	case "2204", "2301":
		return []string{"AMT-ROW"}
	}
	return nil
}

// expected gives what of an expectation does not hold: wanted, got.
func (a *attempt) expected(e Expect, out any) (faults [][2]string) {
	add := func(wanted, got string) { faults = append(faults, [2]string{wanted, got}) }
	for _, where := range sorted(e.Equal) {
		n := e.Equal[where]
		want, err := a.v.value(&n)
		if err != nil {
			add(where, err.Error())
			continue
		}
		if got, _ := at(out, where); !same(want, got) {
			add(where+" = "+show(want), a.showField(where, got))
		}
	}
	for _, where := range e.Present {
		if got, ok := at(out, where); !ok || got == nil || got == "" {
			add(where+" 有值 / present", "没有 / missing")
		}
	}
	for _, where := range e.Absent {
		if got, ok := at(out, where); ok && got != nil && got != "" {
			add(where+" 没有 / absent", a.showField(where, got))
		}
	}
	for _, where := range sorted(e.Count) {
		got, _ := at(out, where)
		list, _ := got.([]any)
		if len(list) != e.Count[where] {
			add(fmt.Sprintf("%s: %d 行", where, e.Count[where]), fmt.Sprintf("%d 行", len(list)))
		}
	}
	for _, where := range sorted(e.Match) {
		got, _ := at(out, where)
		if ok, err := regexp.MatchString(e.Match[where], strictjson.Text(got)); err != nil || !ok {
			add(where+" ~ "+e.Match[where], a.showField(where, got))
		}
	}
	for _, where := range sorted(e.Contains) {
		if wanted, there := a.row(out, where, e.Contains[where]); !there {
			add(where+": 有一行 / a row with "+wanted, "没有 / none")
		}
	}
	for _, where := range sorted(e.Lacks) {
		if wanted, there := a.row(out, where, e.Lacks[where]); there {
			add(where+": 没有一行 / no row with "+wanted, "有 / there is one")
		}
	}
	for _, sum := range e.Sums {
		if got := a.sum(out, sum); got != "" {
			add(sum, got)
		}
	}
	return faults
}

// row looks for a row of a list with these members.
func (a *attempt) row(out any, where string, members map[string]yaml.Node) (wanted string, there bool) {
	want := map[string]any{}
	for _, m := range sorted(members) {
		n := members[m]
		x, err := a.v.value(&n)
		if err != nil {
			return m + ": " + err.Error(), false
		}
		want[m] = x
		wanted += " " + m + " = " + strings.ReplaceAll(a.showField(m, x), " ", "")
	}
	v, _ := at(out, where)
	list, _ := v.([]any)
	return strings.TrimSpace(wanted), slices.ContainsFunc(list, func(r any) bool {
		o, _ := r.(map[string]any)
		for m, x := range want {
			if !same(x, o[m]) {
				return false
			}
		}
		return true
	})
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// same compares numbers by value, however they are written, and texts as they are.
func same(want, got any) bool {
	w, wok := new(big.Rat).SetString(strictjson.Text(want))
	g, gok := new(big.Rat).SetString(strictjson.Text(got))
	_, wnum := want.(json.Number)
	_, gnum := got.(json.Number)
	if wok && gok && (wnum || gnum) {
		return w.Cmp(g) == 0
	}
	return strictjson.Text(want) == strictjson.Text(got)
}

func show(v any) string {
	if v == nil {
		return "null"
	}
	return strictjson.Text(v)
}

// showField is a value for the report; what identifies a person stays out.
func (a *attempt) showField(where string, v any) string {
	name := where[strings.LastIndexByte(where, '.')+1:]
	if a.r.cat.Personal(name) || a.r.cat.Credential(name) {
		return "(不显示 / not shown)"
	}
	return show(v)
}

// sum judges "path = term + term - term"; terms are paths, variables or amounts. "" when it holds.
func (a *attempt) sum(out any, text string) string {
	left, right, ok := strings.Cut(text, "=")
	if !ok {
		return "不是等式 / no equation"
	}
	l, err := a.total(out, left)
	if err != nil {
		return err.Error()
	}
	r, err := a.total(out, right)
	if err != nil {
		return err.Error()
	}
	if l.Cmp(r) != 0 {
		return l.FloatString(2) + " ≠ " + r.FloatString(2)
	}
	return ""
}

func (a *attempt) total(out any, text string) (*big.Rat, error) {
	total, sign := new(big.Rat), int64(1)
	for _, word := range strings.Fields(text) {
		switch word {
		case "+":
			sign = 1
			continue
		case "-":
			sign = -1
			continue
		}
		var v any = word
		if strings.HasPrefix(word, "$") {
			x, err := a.v.value(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: word})
			if err != nil {
				return nil, err
			}
			v = x
		} else if word[0] < '0' || word[0] > '9' {
			v, _ = at(out, word)
		}
		n, ok := new(big.Rat).SetString(strictjson.Text(v))
		if !ok {
			return nil, fmt.Errorf("%s 没有数值 / is no number", word)
		}
		total.Add(total, n.Mul(n, big.NewRat(sign, 1)))
		sign = 1
	}
	return total, nil
}
