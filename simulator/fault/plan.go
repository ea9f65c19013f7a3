package fault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxPlan bounds the text of a plan, maxRules the number of rules in it.
const (
	maxPlan  = 1 << 20
	maxRules = 10_000
)

// Plan reads rules out of text. Either JSON, one rule or an array of rules,
//
//	[{"infno":"2207","kind":"commit-then-lose","nth":1}]
//
// or one rule a line, members separated by commas, # starting a comment:
//
//   - infno: 2207, kind: commit-then-lose, nth: 1, delay: 2s
//   - kind: html, times: 3, commit: true
//
// An unknown member is an error (ErrRule), and so is a rule that Valid refuses.
func Plan(text string) ([]Rule, error) {
	if len(text) > maxPlan {
		return nil, fmt.Errorf("%w: text too long", ErrRule)
	}
	trimmed := strings.TrimSpace(text)
	var rules []Rule
	var err error
	switch {
	case strings.HasPrefix(trimmed, "["):
		err = decode(trimmed, &rules)
	case strings.HasPrefix(trimmed, "{"):
		rules = make([]Rule, 1)
		err = decode(trimmed, &rules[0])
	default:
		rules, err = lines(trimmed)
	}
	if err != nil {
		return nil, err
	}
	if len(rules) > maxRules {
		return nil, fmt.Errorf("%w: more than %d rules", ErrRule, maxRules)
	}
	for _, r := range rules {
		if err := r.Valid(); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

func decode(text string, to any) error {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("%w: %v", ErrRule, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("%w: text after the rules", ErrRule)
	}
	return nil
}

func lines(text string) ([]Rule, error) {
	var out []Rule
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if line == "-" || line == "" {
			continue
		}
		r, err := oneLine(strings.TrimPrefix(line, "- "))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		out = append(out, r)
	}
	return out, nil
}

func oneLine(line string) (Rule, error) {
	var r Rule
	for _, part := range strings.Split(line, ",") {
		key, value, ok := strings.Cut(part, ":")
		key, value = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), `"'`)
		if !ok || value == "" {
			return Rule{}, fmt.Errorf("%w: %q is not name: value", ErrRule, strings.TrimSpace(part))
		}
		var err error
		switch key {
		case "infno":
			r.Infno = value
		case "msgid":
			r.MsgID = value
		case "kind":
			r.Kind = Kind(value)
		case "nth":
			r.Nth, err = strconv.Atoi(value)
		case "times":
			r.Times, err = strconv.Atoi(value)
		case "delay":
			err = r.Delay.UnmarshalText([]byte(value))
		case "commit":
			r.Commit, err = strconv.ParseBool(value)
		default:
			err = fmt.Errorf("unknown member %q", key)
		}
		if err != nil {
			return Rule{}, fmt.Errorf("%w: %s: %v", ErrRule, key, err)
		}
	}
	return r, nil
}
