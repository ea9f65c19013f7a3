package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"yiqiao/simulator/acceptance"
)

// listPresets prints what --preset takes.
func listPresets(s *streams, asJSON bool) error {
	list, err := acceptance.Presets()
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(s.out, list)
	}
	var rows [][]string
	for _, p := range list {
		account, visit := "不含个人账户", "须有结算ID"
		if p.FundIncludesAccount {
			account = "含个人账户"
		}
		if p.AskByVisit {
			visit = "可按就诊"
		}
		order := map[string]string{"discharge-first": "先出院后结算", "settle-first": "可先结算"}[p.Order]
		rows = append(rows, []string{p.Code, p.Name.ZH, p.Envelope + "+" + p.Transport, p.URLStyle, account, visit, order, p.Confidence, p.Source})
	}
	table(s.out, []string{"预设", "名称", "报文方式", "地址", "基金总额", "5203", "次序", "可信度", "来源"}, rows)
	return nil
}

// readPreset finds the preset that was asked for, if one was; own: a profile was given beside it.
func (f *acceptFlags) readPreset(own bool) error {
	switch {
	case f.presetName == "":
		return nil
	case own:
		return errors.New("--preset 已包含报文方式, 不能再用 --profile / a preset says the profile")
	case f.target == "gateway" || f.door:
		return errors.New("--preset 用于 simulator, centre, his (不带 --door) / no preset for a gateway")
	}
	list, err := acceptance.Presets()
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(list, func(p acceptance.Preset) bool { return p.Code == f.presetName }); i >= 0 {
		f.preset = &list[i]
		return nil
	}
	file, err := os.Open(f.presetName)
	if err != nil {
		return fmt.Errorf("没有预设 %s, 也没有这个文件; --preset list 列出 / there is no such preset or file", f.presetName)
	}
	defer file.Close()
	p, err := acceptance.ReadPreset(file)
	f.preset = &p
	return err
}

// presetFits holds a preset, if there is one, against what a configuration says of the line; style may be "".
func presetFits(f acceptFlags, envelope, transport, style string) error {
	p := f.preset
	if p == nil || p.Envelope == envelope && p.Transport == transport && (style == "" || p.URLStyle == style) {
		return nil
	}
	return fmt.Errorf("配置为 %s+%s %s, 与预设 %s 的 %s+%s %s 不符 / the configuration does not agree with the preset", envelope, transport, style, f.presetName, p.Envelope, p.Transport, p.URLStyle)
}

// watchedPreset: without a configuration a HIS speaks plain messages.
func (f *acceptFlags) watchedPreset() error {
	if f.config == "" {
		return presetFits(*f, "none", "plain", "")
	}
	return nil
}
