package recon

import (
	"strings"

	"yiqiao/gateway"
	"yiqiao/gateway/review"
)

// mostSuggestions bounds what one report puts before people.
const mostSuggestions = 200

// Suggestions are what people might decide because of a report, for the book of proposals. A parked
// record that the centre lists is suggested to be adopted with the centre's figures; one of a day
// that balances without it, to be absent; every other difference is put down to be dealt with.
func (r *Report) Suggestions() []review.Suggestion {
	if r.Offline || r.Failed != "" {
		return nil
	}
	var list []review.Suggestion
	seen := map[string]bool{}
	source := "对账 " + r.Run
	for _, d := range r.Differences {
		seen[string(d.MsgID)] = true
		if d.Cause == NotTold || len(d.Remedies) == 0 || d.Remedies[0].Action == ActNone || len(list) == mostSuggestions {
			continue
		}
		if d.Cause == OnlyAtCentre && d.State == gateway.StateParked && d.MsgID != "" && d.Setl != "" && d.Theirs != nil {
			list = append(list, review.Suggestion{
				Subject: review.Subject{Kind: review.KindRecord, ID: string(d.MsgID), Institution: r.Institution, Infno: d.Infno, Bill: d.Bill,
					Title: CauseZH(d.Cause), Amount: d.By.Total.String()},
				Decision: gateway.HandDecision{Do: gateway.HandAdopt, Proof: "statement", Source: source, Shown: map[string]any{
					"setl_id": string(d.Setl), "mdtrt_id": string(d.Visit), "medfee_sumamt": d.Theirs.Total.String(),
					"fund_pay_sumamt": d.Theirs.Fund.String(), "acct_pay": d.Theirs.Account.String(), "clr_type": d.ClrType}},
				Why: strings.TrimSpace(d.Note + " " + d.Memo),
			})
			continue
		}
		id := string(d.Setl)
		if id == "" {
			id = string(d.MsgID)
		}
		list = append(list, review.Suggestion{
			Subject: review.Subject{Kind: review.KindDifference, ID: strings.Join([]string{string(r.Institution), r.Date, d.Leg, string(d.Cause), id}, "/"),
				Institution: r.Institution, Infno: d.Infno, Bill: d.Bill, Title: CauseZH(d.Cause), Amount: d.By.Total.String()},
			Decision: gateway.HandDecision{Do: gateway.HandAction(d.Remedies[0].Action)},
			Why:      remediesZH(d.Remedies),
		})
	}
	return append(list, r.absent(seen, source, mostSuggestions-len(list))...)
}

// absent suggests that what is parked and in no difference of a day that balances never happened.
func (r *Report) absent(seen map[string]bool, source string, most int) []review.Suggestion {
	if len(r.Unexplained) > 0 || len(r.Groups) == 0 {
		return nil
	}
	for _, g := range r.Groups {
		if g.Result != GroupBalanced {
			return nil
		}
	}
	var list []review.Suggestion
	for _, o := range r.Open {
		if o.State != gateway.StateParked || seen[string(o.MsgID)] || len(list) >= most {
			continue
		}
		s := review.Suggestion{
			Subject:  review.Subject{Kind: review.KindRecord, ID: string(o.MsgID), Institution: r.Institution, Infno: o.Infno, Bill: o.Bill, Title: "当日对平, 中心无此笔"},
			Decision: gateway.HandDecision{Do: gateway.HandAbsent, Proof: "statement", Source: source},
			Why:      "当日各组总额不含此笔而对平; 零点前后的交易请同时核对次日",
		}
		if o.Total != nil {
			s.Subject.Amount = o.Total.String()
		}
		list = append(list, s)
	}
	return list
}
