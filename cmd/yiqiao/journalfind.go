package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// readNumbers reads the numbers that are given as "-" from standard input, one a line, so that they
// need not stand in a command line that others can see.
func readNumbers(s *streams, numbers ...*string) error {
	lines := bufio.NewScanner(s.in)
	for _, n := range numbers {
		if *n != "-" {
			continue
		}
		*n = ""
		if lines.Scan() {
			*n = strings.TrimSpace(lines.Text())
		}
		if *n == "" {
			return errors.New("标准输入没有号码 / no number on standard input")
		}
	}
	return lines.Err()
}

// openMost bounds how many records are opened to learn a person's other numbers.
const openMost = 20

// find lists the records of a person, of a visit, or of a person at a visit, in every configured
// institution, newest first. Nothing is opened but a few records of the person, which may tell the
// number under which the others are found: an identity number leads to the person's number at the
// insurance and back.
func (g *gatewaySettings) find(ctx context.Context, j gateway.Journal, q gateway.Query, person, visit string) ([]gateway.Record, error) {
	cat, err := catalog.Default()
	if err != nil {
		return nil, err
	}
	var list []gateway.Record
	for _, in := range g.Institutions {
		q.Institution = ident.Institution(in.Code)
		q.Brief = true
		var marks []gateway.Mark
		if person != "" {
			if marks, err = persons(ctx, j, cat, q.Institution, person); err != nil {
				return nil, err
			}
		}
		atVisit := []gateway.Mark{{Kind: gateway.MarkVisit, Number: visit}}
		switch {
		case visit == "":
			q.Marks = marks
		default:
			q.Marks = atVisit
		}
		found, err := j.List(ctx, q)
		if err != nil {
			return nil, err
		}
		if person != "" && visit != "" {
			if found, err = among(ctx, j, q, marks, found); err != nil {
				return nil, err
			}
		}
		list = append(list, found...)
	}
	slices.SortStableFunc(list, func(a, b gateway.Record) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return list[:min(len(list), q.Limit)], nil
}

// among keeps those of found that have one of marks too.
func among(ctx context.Context, j gateway.Journal, q gateway.Query, marks []gateway.Mark, found []gateway.Record) ([]gateway.Record, error) {
	q.Marks, q.Limit = marks, 10_000
	of, err := j.List(ctx, q)
	if err != nil {
		return nil, err
	}
	has := map[ident.MsgID]bool{}
	for _, r := range of {
		has[r.ID] = true
	}
	return slices.DeleteFunc(found, func(r gateway.Record) bool { return !has[r.ID] }), nil
}

// persons gives the marks of a person's number and of the other numbers that the newest records
// with it name beside it.
func persons(ctx context.Context, j gateway.Journal, cat *catalog.Catalog, inst ident.Institution, number string) ([]gateway.Mark, error) {
	marks := []gateway.Mark{{Kind: gateway.MarkPerson, Number: number}}
	recs, err := j.List(ctx, gateway.Query{Institution: inst, Marks: marks, Newest: true, Limit: openMost})
	if err != nil && !errors.Is(err, gateway.ErrExpired) {
		return nil, err
	}
	for _, r := range recs {
		for _, body := range [][]byte{r.Input, r.Output} {
			v, err := strictjson.Decode(body, strictjson.Reply())
			if len(body) == 0 || err != nil {
				continue
			}
			names, _ := cat.Numbers(v)
			if !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, strings.TrimSpace(number)) }) {
				continue // it names others than this person
			}
			for _, n := range names {
				if m := (gateway.Mark{Kind: gateway.MarkPerson, Number: n}); !slices.Contains(marks, m) {
					marks = append(marks, m)
				}
			}
		}
	}
	return marks, nil
}

// retentionText is a retention for people.
func retentionText(days int) string {
	if days == 0 {
		return "永久 / for ever"
	}
	return fmt.Sprintf("%d 天 / days", days)
}
