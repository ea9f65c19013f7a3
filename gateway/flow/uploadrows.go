package flow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
)

// ReplayRows sends some rows of a refused upload again: those, counted from 1, of its one list of
// rows, as a message of its own behind what waits of its visit. The refusal proves that the centre
// took none of them; a parked upload is replayed whole, because it may have taken all. The same
// rows of the same upload again are the same message. The HIS's request keeps the answer it has.
func (d *Desk) ReplayRows(ctx context.Context, id ident.MsgID, rows []int, by, why string) (Replayed, error) {
	const op = "flow.uploads"
	r := Replayed{ID: id}
	old, err := d.opt.Journal.Record(ctx, id)
	if err != nil {
		return r, storage(op, err)
	}
	if len(old.Wire) == 0 || old.State != gateway.StateRefused {
		return r, &gateway.Error{Code: gateway.CodeState, Op: op, Ref: refOf(id), Detail: "not a refused upload: " + string(old.State)}
	}
	tx, ok := d.opt.Catalog.Lookup(old.Infno)
	inst := d.opt.Institutions[old.Institution]
	if !ok || inst == nil {
		return r, &gateway.Error{Code: gateway.CodeInfnoUnknown, Op: op, Ref: refOf(id), Detail: string(old.Infno)}
	}
	sent, input, err := wire.DecodeRequest(old.Wire)
	if err != nil {
		return r, internalError(op, err)
	}
	some, key, err := d.someRows(id, input, rows)
	if err != nil {
		return r, err
	}
	who := old.Operator
	who.Name = sent.OperatorName
	o := order{key: key, job: job{op: op, inst: inst, tx: tx, operator: who, area: sent.InsuplcArea, input: some,
		request: key, step: old.Step}}
	rec, err := d.fix(ctx, o)
	if err != nil {
		return r, err
	}
	req := d.guardRequest(inst.Code, key, "rows", rec.ID)
	existing, err := d.opt.Journal.Write(ctx, gateway.Entry{Request: req, Record: &rec, Class: d.class(rec)})
	switch {
	case existing != nil:
		r.Again, r.Why = ident.MsgID(existing.Ref), "sent again already"
		return r, nil
	case err != nil:
		return r, storage(op, err)
	}
	r.Again = rec.ID
	d.announceSoon(refOfUpload(rec))
	return r, d.orderUploads(ctx, UploadOrder{Do: orderReplay, Infno: old.Infno, By: by, Why: why,
		Note: fmt.Sprintf("rows %s of %s as %s", rowsText(rows), id, rec.ID)})
}

// someRows is an input with only some rows of its one list, and the key that makes them once.
func (d *Desk) someRows(id ident.MsgID, input any, rows []int) (object, gateway.RequestKey, error) {
	bad := func(rule string) error {
		return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: "flow.uploads", Ref: refOf(id), Path: "/rows", Rule: rule}
	}
	top, ok := input.(object)
	if !ok {
		return nil, gateway.RequestKey{}, bad("the message has no rows")
	}
	some, node := make(object, len(top)), ""
	for name, v := range top {
		some[name] = v
		if _, is := v.([]any); !is {
			continue
		}
		if node != "" {
			return nil, gateway.RequestKey{}, bad("the message has more than one list of rows")
		}
		node = name
	}
	list, _ := top[node].([]any)
	if len(list) == 0 {
		return nil, gateway.RequestKey{}, bad("the message has no rows")
	}
	if len(rows) == 0 {
		return nil, gateway.RequestKey{}, bad(fmt.Sprintf("1-%d", len(list)))
	}
	var kept []any
	for i, n := range rows {
		if n < 1 || n > len(list) || slices.Contains(rows[:i], n) {
			return nil, gateway.RequestKey{}, bad(fmt.Sprintf("1-%d, each once", len(list)))
		}
	}
	for i, row := range list { // in the order they had
		if slices.Contains(rows, i+1) {
			kept = append(kept, row)
		}
	}
	some[node] = kept
	sum := d.opt.Digest([]byte("rows"), strictjson.Append(nil, some))
	return some, guard("rows", string(id), fmt.Sprintf("%x", sum[:8])), nil
}

func rowsText(rows []int) string {
	sorted := slices.Sorted(slices.Values(rows))
	words := make([]string, len(sorted))
	for i, n := range sorted {
		words[i] = fmt.Sprint(n)
	}
	return strings.Join(words, ",")
}

// LateUploads says which routes are late or will be, "" when none is. It reads as Uploads does.
func (d *Desk) LateUploads(ctx context.Context) (string, error) {
	s, err := d.Uploads(ctx)
	if err != nil {
		return "", err
	}
	var list []string
	for _, r := range s.Routes {
		if r.Late+r.WillBe > 0 {
			list = append(list, fmt.Sprintf("%s: %d late, %d will be", r.Infno, r.Late, r.WillBe))
		}
	}
	if len(list) == 0 {
		return "", nil
	}
	return "uploads: " + strings.Join(list, "; "), nil
}
