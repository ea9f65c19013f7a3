package flow

import (
	"maps"
	"slices"
	"strconv"

	"yiqiao/gateway"
	"yiqiao/schemas/money"
)

// partial reports whether a refund leaves something of the bill.
func partial(r gateway.RefundSettlement) bool { return len(r.Rows)+len(r.Parts) > 0 }

// lessen puts the parts of rows a refund takes back into a plan whose Gone is complete: Left says what stays of a
// row. A part that is all that was left of its row takes the row.
func (p *plan) lessen(b *billCheck, fees []gateway.Fee, parts []gateway.RowPart) {
	by := make(map[string]*gateway.Fee, len(fees))
	for i := range fees {
		by[fees[i].ID] = &fees[i]
	}
	seen := map[string]bool{}
	for i, part := range parts {
		at := "/parts/" + strconv.Itoa(i)
		f := by[part.ID]
		switch {
		case f == nil:
			b.Add(CodeRowUnknown, at+"/id", "")
			continue
		case seen[part.ID]:
			b.Add(CodeFeeDuplicate, at+"/id", "")
			continue
		case slices.Contains(p.Gone, part.ID):
			b.Add(CodeRowGone, at+"/id", "")
			continue
		}
		seen[part.ID] = true
		had := orElse(p.Left[part.ID], f.Quantity)
		left, ok := minus(had, part.Quantity)
		switch {
		case !ok:
			b.Add(CodePartQuantity, at+"/quantity", "0 < x <= "+had)
		case left.Coef == 0:
			p.Gone = append(p.Gone, part.ID)
		default:
			if p.Left == nil {
				p.Left = map[string]string{}
			}
			p.Left[part.ID] = left.String()
		}
	}
	for _, id := range p.Gone {
		delete(p.Left, id)
	}
}

// minus is a quantity less a part of it that is more than nothing and no more than all; false when it is not.
func minus(had, part string) (money.Decimal, bool) {
	x, errX := money.ParseDecimal(had, 4)
	y, errY := money.ParseDecimal(part, 4)
	if errX != nil || errY != nil || y.Coef <= 0 {
		return money.Decimal{}, false
	}
	for x.Scale < y.Scale {
		if x.Coef > 1<<59 {
			return money.Decimal{}, false
		}
		x.Coef, x.Scale = x.Coef*10, x.Scale+1
	}
	for y.Scale < x.Scale {
		if y.Coef > x.Coef {
			return money.Decimal{}, false
		}
		if y.Coef > 1<<59 {
			return money.Decimal{}, false
		}
		y.Coef, y.Scale = y.Coef*10, y.Scale+1
	}
	if y.Coef > x.Coef {
		return money.Decimal{}, false
	}
	return money.Decimal{Coef: x.Coef - y.Coef, Scale: x.Scale}, true
}

// rest is what a plan leaves of a bill's rows, with the amount of what is left: quantity times price, half up.
func (p *plan) rest(fees []gateway.Fee) []gateway.Fee {
	left := leftOf(fees, p.Gone)
	for i := range left {
		quantity, less := p.Left[left[i].ID]
		if !less {
			continue
		}
		q, errQ := money.ParseDecimal(quantity, 4)
		price, errP := money.ParseDecimal(left[i].Price, 6)
		if errQ != nil || errP != nil {
			continue // both were read before
		}
		if amount, err := money.Product(q, price); err == nil {
			left[i].Quantity, left[i].Amount = quantity, amount.String()
		}
	}
	return left
}

// reduced lists what is left of rows that were taken back in part.
func (p *plan) reduced() []gateway.RowPart {
	var list []gateway.RowPart
	for _, id := range slices.Sorted(maps.Keys(p.Left)) {
		list = append(list, gateway.RowPart{ID: id, Quantity: p.Left[id]})
	}
	return list
}
