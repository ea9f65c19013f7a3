package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// yiqiao runs the program as a shell would and gives exit code, standard output and error.
func yiqiao(t *testing.T, stdin string, args ...string) (int, string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(context.Background(), args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

func TestHelpHasExamples(t *testing.T) {
	root := newRoot(&streams{})
	for _, c := range root.Commands() {
		if c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		if c.Short == "" {
			t.Errorf("%s has no help", c.Name())
		}
		if c.Example == "" {
			t.Errorf("%s has no example", c.Name())
		}
		for _, sub := range c.Commands() {
			if sub.Example == "" || sub.Short == "" {
				t.Errorf("%s %s has no help or example", c.Name(), sub.Name())
			}
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, out, errs := yiqiao(t, "", "completion", shell); code != 0 || len(out) < 100 {
			t.Errorf("completion %s: %d %s", shell, code, errs)
		}
	}
}

func TestUnknownCommandFails(t *testing.T) {
	if code, _, errs := yiqiao(t, "", "setle"); code != exitFail || !strings.Contains(errs, "setle") {
		t.Errorf("exit %d, %q", code, errs)
	}
}

func TestInitNeverOverwrites(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if code, out, errs := yiqiao(t, "", "init", dir); code != 0 || !strings.Contains(out, "secrets/his-main.key") {
		t.Fatalf("init: %d %s %s", code, out, errs)
	}
	before := snapshot(t, dir)
	if code, _, errs := yiqiao(t, "", "init", dir); code != exitFail || !strings.Contains(errs, "已存在") {
		t.Errorf("second init: %d %s", code, errs)
	}
	// One file that is there already must keep every other from being written.
	other := filepath.Join(t.TempDir(), "other")
	if err := os.MkdirAll(other, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "yiqiao.yaml"), []byte("mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := yiqiao(t, "", "init", other); code != exitFail {
		t.Error("init over a present configuration must fail")
	}
	if got := snapshot(t, other); len(got) != 1 || got["yiqiao.yaml"] != "mine\n" {
		t.Errorf("init wrote beside a present file: %v", got)
	}
	after := snapshot(t, dir)
	for name, text := range before {
		if after[name] != text {
			t.Errorf("%s was changed by the second init", name)
		}
	}
	for _, name := range []string{"secrets/gateway-private.key", "secrets/journal.key", "secrets/his-main.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v %v", name, info.Mode(), err)
		}
	}
	for _, c := range [][]string{{"config", "check", "--config", dir}, {"config", "check", "--config", filepath.Join(dir, "simulator.yaml"), "--json"}} {
		if code, out, errs := yiqiao(t, "", c...); code != 0 {
			t.Errorf("%v: %d %s %s", c, code, out, errs)
		}
	}
}

func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.Walk(dir, func(p string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		name, _ := filepath.Rel(dir, p)
		files[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Each mistake in a configuration stops the program with one clear line that names it.
func TestConfigMistakes(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", "listen: 127.0.0.1:8180", "listen: 127.0.0.1:8180\nlisten_port: 1", "listen_port"},
		{"missing secret", "app_secret: file:secrets/app-secret", "app_secret: file:secrets/none", "secrets/none"},
		{"secret in clear", "app_secret: file:secrets/app-secret", "app_secret: 0123456789", "file:PATH or env:NAME"},
		{"environment not set", "token: file:secrets/tif-token", "token: env:YIQIAO_TEST_NOT_SET", "YIQIAO_TEST_NOT_SET"},
		{"own key as peer", "peer_keys: [file:keys/simulator.pub]", "peer_keys: [file:keys/gateway.pub]", "our own public key"},
		{"not a key", "private_key: file:secrets/gateway-private.key", "private_key: file:secrets/app-secret", "private_key"},
		{"unknown region", "region: national", "region: atlantis", "atlantis"},
		{"unknown envelope", "envelope: mpc", "envelope: rot13", "rot13"},
		{"unknown transport", "transport: tif", "transport: pigeon", "pigeon"},
		{"unknown centre", "centre: main", "centre: other", "other"},
		{"bad institution", "code: H44010000001", "code: H4401", "institutions[0].code"},
		{"reserved system name", "system: his-main", "system: yiqiao", "gateway's own"},
		{"bad digest", "key_digest: ", "key_digest: zz", "key_digest"},
		{"bad level", "level: info", "level: loud", "loud"},
		{"bad duration", "settle: 180s", "settle: 180", "duration"},
		{"unknown provider", "crypto_provider: emmansun", "crypto_provider: none", "none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "site")
			if code, _, errs := yiqiao(t, "", "init", dir); code != 0 {
				t.Fatal(errs)
			}
			p := filepath.Join(dir, "yiqiao.yaml")
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(b), c.old) {
				t.Fatalf("the starter file does not hold %q", c.old)
			}
			if err := os.WriteFile(p, []byte(strings.Replace(string(b), c.old, c.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, sub := range [][]string{{"config", "check", "--config", dir}, {"serve", "--config", dir}} {
				code, _, errs := yiqiao(t, "", sub...)
				if code != exitFail || !strings.Contains(errs, c.want) || strings.Count(strings.TrimSpace(errs), "\n") > 0 {
					t.Errorf("%v: exit %d, %q; want one line about %q", sub, code, errs, c.want)
				}
			}
		})
	}
}

func TestValidate(t *testing.T) {
	good := `{"data":{"mdtrt_cert_type":"02","mdtrt_cert_no":"999999198503120018"}}`
	head := `"msgid":"H44010000001202611230915300001","mdtrtarea_admvs":"440100","insuplc_admdvs":"","recer_sys_code":"YBXT","dev_no":"","dev_safe_info":"","cainfo":"","signtype":"","infver":"V1.0","opter_type":"1","opter":"0101","opter_name":"王","inf_time":"2026-11-23 09:15:30","fixmedins_code":"H44010000001","fixmedins_name":"医院","sign_no":""`
	for _, c := range []struct {
		name, direction, infno, text string
		code                         int
		want                         string // code of a finding
	}{
		{"bare input", "request", "1101", good, 0, ""},
		{"whole envelope", "request", "1101", `{"infno":"1101",` + head + `,"input":` + good + `}`, 0, ""},
		{"number from the envelope", "request", "", `{"infno":"1101",` + head + `,"input":` + good + `}`, 0, ""},
		{"other number in the envelope", "request", "2201", `{"infno":"1101",` + head + `,"input":` + good + `}`, 1, "infno-mismatch"},
		{"missing field", "request", "1101", `{"data":{"mdtrt_cert_type":"02"}}`, 1, "field-missing"},
		{"unknown dictionary value", "request", "1101", `{"data":{"mdtrt_cert_type":"77","mdtrt_cert_no":"1"}}`, 1, "code-unknown"},
		{"over-long", "request", "1101", `{"data":{"mdtrt_cert_type":"02","mdtrt_cert_no":"` + strings.Repeat("9", 51) + `"}}`, 1, "field-too-long"},
		{"mistyped", "request", "1101", `{"data":{"mdtrt_cert_type":2,"mdtrt_cert_no":"1"}}`, 1, "field-type"},
		{"duplicate members", "request", "1101", `{"data":{"mdtrt_cert_type":"02","mdtrt_cert_type":"03","mdtrt_cert_no":"1"}}`, 1, "json-duplicate"},
		{"trailing bytes", "request", "1101", good + "x", 1, "json-trailing"},
		{"GBK bytes", "request", "1101", "{\"data\":{\"psn_name\":\"\xb2\xe2\"}}", 1, "json-utf8"},
		{"deep", "request", "1101", strings.Repeat("[", 5000), 1, "json-depth"},
		{"not JSON", "request", "1101", "hello", 1, "json-syntax"},
		{"empty", "request", "1101", "", 1, "json-syntax"},
		{"unknown number", "request", "0000", good, 1, "infno-unknown"},
		{"reply", "response", "1101", `{"infcode":0,"inf_refmsgid":"4401002026112309153000000000010","output":{"baseinfo":{"psn_no":"1"},"insuinfo":[],"idetinfo":[]}}`, 0, ""},
		{"reply output alone", "response", "1101", `{"baseinfo":{"psn_no":"1"}}`, 0, ""},
		{"refusal", "response", "1101", `{"infcode":-1,"err_msg":"x","output":null}`, 0, ""},
		{"gross type error in a reply", "response", "1101", `{"infcode":0,"output":{"baseinfo":"x"}}`, 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"validate", "--direction", c.direction, "--json", "-"}
			if c.infno != "" {
				args = append(args, "--infno", c.infno)
			}
			code, out, errs := yiqiao(t, c.text, args...)
			var v validation
			if err := json.Unmarshal([]byte(out), &v); err != nil {
				t.Fatalf("%v: %s %s", err, out, errs)
			}
			if code != c.code || v.Valid != (c.code == 0) {
				t.Errorf("exit %d, valid %v; want %d: %s", code, v.Valid, c.code, out)
			}
			found := c.want == ""
			for _, f := range v.Findings {
				found = found || f.Code == c.want
				if f.ZH == "" || f.EN == "" {
					t.Errorf("finding without words: %+v", f)
				}
			}
			if !found {
				t.Errorf("no finding %q in %s", c.want, out)
			}
		})
	}
	_, out, _ := yiqiao(t, `{"data":{"med_type":"zz"}}`, "validate", "--infno", "2207", "--json", "-")
	var v validation
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.Section == "" ||
		!slices.ContainsFunc(v.Findings, func(f fieldFinding) bool {
			return f.Path == "/input/data/med_type" && f.Field == "医疗类别" && f.Dict == "med_type"
		}) {
		t.Errorf("section, field and dictionary are not named: %v %s", err, out)
	}
	if code, _, _ := yiqiao(t, "", "validate", "--infno", "1101", "/does/not/exist"); code != exitFail {
		t.Errorf("a missing file must end with %d", exitFail)
	}
	if code, out, _ := yiqiao(t, `{"data":{}}`, "validate", "--infno", "1101", "-"); code != 1 || !strings.Contains(out, "不通过") {
		t.Errorf("table output: %d %s", code, out)
	}
}

func TestKeysVectors(t *testing.T) {
	if code, out, errs := yiqiao(t, "", "keys", "vectors"); code != 0 {
		t.Errorf("built-in vectors: %d %s %s", code, out, errs)
	}
	b, err := os.ReadFile("../../crypto/vectors/envelope.json")
	if err != nil {
		t.Fatal(err)
	}
	// A positive that is spoilt and a negative that is valid must both end with 1.
	spoilt := strings.Replace(string(b), `"expect": "accept"`, `"expect": "accept", "encData": "00"`, 1)
	for name, text := range map[string]string{"spoilt": spoilt, "empty": `{"format":1}`, "none": `{}`} {
		if code, _, _ := yiqiao(t, text, "keys", "vectors", "-"); code == 0 {
			t.Errorf("%s vectors pass", name)
		}
	}
	if code, _, _ := yiqiao(t, "not json", "keys", "vectors", "-"); code == 0 {
		t.Error("text that is no vector file passes")
	}
}

func TestKeysGenerate(t *testing.T) {
	name := filepath.Join(t.TempDir(), "k")
	code, out, errs := yiqiao(t, "", "keys", "generate", name)
	if code != 0 {
		t.Fatal(errs)
	}
	private, err := os.ReadFile(name + ".key")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, strings.TrimSpace(string(private))) {
		t.Error("the private key was printed")
	}
	if code, _, _ := yiqiao(t, "", "keys", "generate", name); code != exitFail {
		t.Error("a present key was overwritten")
	}
}

func TestDescribe(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"describe"}, "门诊结算"},
		{[]string{"describe", "2207"}, "medfee_sumamt"},
		{[]string{"describe", "2207", "--json"}, `"required": "always"`},
		{[]string{"describe", "--dict", "insutype"}, "职工基本医疗保险"},
		{[]string{"version"}, "yiqiao"},
		{[]string{"version", "--json"}, `"go"`},
	} {
		if code, out, errs := yiqiao(t, "", c.args...); code != 0 || !strings.Contains(out, c.want) {
			t.Errorf("%v: %d, no %q in the output; %s", c.args, code, c.want, errs)
		}
	}
	if code, _, _ := yiqiao(t, "", "describe", "0000"); code != exitFail {
		t.Error("an unknown number must fail")
	}
}

// The demo tells of one settlement at the centre although the answer was lost, and of sound books.
func TestDemo(t *testing.T) {
	code, out, errs := yiqiao(t, "", "demo", "--json")
	if code != 0 {
		t.Fatalf("demo: %d %s", code, errs)
	}
	var r demoResult
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if r.AtCentre != 1 || !r.LedgerBalance || r.Problems != 0 {
		t.Errorf("%+v", r)
	}
	// docs/simulated-policy.md, section 7.
	for name, got := range map[string][2]string{
		"甲 fund": {r.Normal.Amounts.Fund, "88.21"}, "甲 account": {r.Normal.Amounts.Account, "355.83"},
		"甲 cash": {r.Normal.Amounts.Cash, "35.50"}, "甲 balance": {r.Normal.Amounts.Balance, "644.17"},
		"乙 fund": {r.LostAnswer.Amounts.Fund, "160.56"}, "乙 account": {r.LostAnswer.Amounts.Account, "283.48"},
		"乙 cash": {r.LostAnswer.Amounts.Cash, "35.50"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %s, want %s", name, got[0], got[1])
		}
	}
	if code, out, errs := yiqiao(t, "", "demo"); code != 0 || !strings.Contains(out, "门诊医保结算单") {
		t.Errorf("demo for people: %d %s %s", code, out, errs)
	}
}
