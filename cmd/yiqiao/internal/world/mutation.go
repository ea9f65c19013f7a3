package world

import (
	"fmt"
	"slices"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
)

// Mutation names a planted fault: the program as it would be with one mistake in it. Each stands
// between the Desk and its surroundings, so that the program itself holds nothing of them.
type Mutation string

const (
	ResendOnTimeout   Mutation = "resend-on-timeout"          // no answer: the same bytes once more
	ResettleOnTimeout Mutation = "resend-under-new-msgid"     // no answer: once more, as a new message
	AckBeforeDurable  Mutation = "ack-before-durable"         // a write is acknowledged before it is on the disk
	DropLateAnswer    Mutation = "drop-late-answer"           // an answer that took long is taken for "not sent"
	ReverseBlindly    Mutation = "reverse-without-asking"     // no answer: 2601 at once, whatever it says
	ReuseMsgID        Mutation = "reuse-msgid"                // a settlement leaves under an earlier msgid
	UnknownIsFailure  Mutation = "unknown-is-failure"         // no answer: the HIS is told it failed
	AbsentAtOnce      Mutation = "absent-at-once"             // "not found" counts before the centre's time is up
	AdoptAnother      Mutation = "adopt-another"              // what asking finds is adopted, whosever it is
	CreditAnother     Mutation = "credit-another-answer"      // the answer to another message is taken for ours
	ForgetAnswer      Mutation = "forget-answer"              // the final answer is not stored
	NoBillKey         Mutation = "no-bill-key"                // nothing keeps two requests from settling one bill
	UploadsOutOfOrder Mutation = "uploads-out-of-order"       // the newest of a visit goes first
	UploadNewMsgID    Mutation = "upload-under-new-msgid"     // a queued record is re-sent as a new message
	SkipRecovery      Mutation = "skip-recovery"              // what was sent before a crash is forgotten
	RefusedIsRefunded Mutation = "refused-refund-is-refunded" // a refused 2208 counts as done
	IgnoreBody        Mutation = "ignore-body"                // another body under a known request id is not noticed
	WrongAmount       Mutation = "wrong-amount"               // one fen of cash too much is kept
	BusyIsAbsent      Mutation = "busy-is-absent"             // any refusal of a question proves absence
	LoseUpload        Mutation = "lose-upload"                // a queued record counts as done when it was sent

	// Of stays.
	StayResettle      Mutation = "stay-resend-under-new-msgid"     // no answer to a 2304: once more, as a new message
	StayUnknownFails  Mutation = "stay-unknown-is-failure"         // no answer to a 2304: the HIS is told it failed
	StayRefundRefused Mutation = "stay-refused-refund-is-refunded" // a refused 2305 counts as done
	RowsUnknownFail   Mutation = "stay-rows-unknown-is-failure"    // no answer to a 2301: the rows are said not to be there
	DischargeUnheard  Mutation = "stay-discharge-undo-unheard"     // no answer to a 2405: it counts as done

	// Of sales and filings.
	SaleResettle      Mutation = "sale-resend-under-new-msgid"     // no answer to a 2102: once more, as a new message
	SaleUnknownFails  Mutation = "sale-unknown-is-failure"         // no answer to a 2102: the shop is told it failed
	SaleRefundRefused Mutation = "sale-refused-refund-is-refunded" // a refused 2103 counts as done
	FilingFails       Mutation = "filing-unknown-is-failure"       // no answer to a filing: the HIS is told it failed
	WithdrawalUnheard Mutation = "filing-withdrawal-unheard"       // no answer to a withdrawal: it counts as done
	MidStayIsEnd      Mutation = "mid-stay-is-end"                 // the flag of a settlement in the middle is lost: it closes the stay

	// Of several gateways on one journal, and of the queue.
	StandingClock  Mutation = "stands-still-unnoticed"      // after a pause of the machine it sends as if no time had passed
	ClocksApart    Mutation = "clocks-minutes-apart"        // the clocks of two gateways differ by more than the grace
	CommitFirst    Mutation = "commit-offset-before-effect" // a reference is off the broker before its record has gone
	TrustTheBroker Mutation = "trust-the-broker"            // what the broker lost is not looked for
)

// Of electronic invoices.
const (
	ReissueNewNumber Mutation = "invoice-reissue-under-new-number" // no answer to an issue: once more, under another busNo
	RedUnheard       Mutation = "invoice-red-without-asking"       // no answer to a reversal: it counts as done
	TwoScreens       Mutation = "invoice-two-screens"              // nothing keeps two screens from making two bills
	RefundPastBill   Mutation = "invoice-refund-past-the-bill"     // a refund does not take the bill along
	DropUnknownBill  Mutation = "invoice-unknown-is-dropped"       // no answer to an issue: said never to have been made
)

// bend is how a mutation stands in the way of the program.
type bend struct {
	journal    func(*process, gateway.Journal) gateway.Journal
	centre     func(*process, gateway.Centre) gateway.Centre
	options    func(*process, *flow.Options)
	region     func(*gateway.Region)
	noRecovery bool
	invoice    Mutation // see invoicebend.go

	commitFirst bool // a reference is taken off the broker before its record has gone
}

// bends lists them all.
func bends() map[Mutation]bend {
	return map[Mutation]bend{
		ResendOnTimeout:   sends(resendOnTimeout),
		ResettleOnTimeout: sends(resettle("2207")),
		AckBeforeDurable:  {journal: func(_ *process, j gateway.Journal) gateway.Journal { return &hasty{Journal: j} }},
		DropLateAnswer:    sends(dropLateAnswer),
		ReverseBlindly:    sends(reverseBlindly),
		ReuseMsgID:        {centre: reuseMsgID},
		UnknownIsFailure:  sends(unknownIsFailure("2207")),
		AbsentAtOnce:      {options: absentAtOnce},
		AdoptAnother:      {centre: adoptAnother},
		CreditAnother:     {centre: creditAnother},
		ForgetAnswer:      {journal: func(_ *process, j gateway.Journal) gateway.Journal { return forgetful{j} }},
		NoBillKey:         {journal: func(p *process, j gateway.Journal) gateway.Journal { return &keyless{Journal: j, p: p} }},
		UploadsOutOfOrder: {journal: func(_ *process, j gateway.Journal) gateway.Journal { return newestFirst{j} }},
		UploadNewMsgID:    {centre: uploadNewMsgID},
		SkipRecovery:      {noRecovery: true, journal: func(_ *process, j gateway.Journal) gateway.Journal { return blind{j} }},
		RefusedIsRefunded: sends(refusedIsRefunded("2208")),
		IgnoreBody: {options: func(_ *process, o *flow.Options) {
			o.Digest = func(parts ...[]byte) [32]byte { return keyed(parts[0]) }
		}},
		WrongAmount:  sends(wrongAmount),
		BusyIsAbsent: {region: func(r *gateway.Region) { r.NotFound = append(slices.Clone(r.NotFound), "系统繁忙") }},
		LoseUpload:   sends(loseUpload),

		StayResettle:      sends(resettle("2304")),
		StayUnknownFails:  sends(unknownIsFailure("2304")),
		StayRefundRefused: sends(refusedIsRefunded("2305")),
		RowsUnknownFail:   sends(unknownIsFailure("2301")),
		DischargeUnheard:  sends(unheardIsDone("2405")),

		SaleResettle:      sends(resettle("2102")),
		SaleUnknownFails:  sends(unknownIsFailure("2102")),
		SaleRefundRefused: sends(refusedIsRefunded("2103")),
		FilingFails:       sends(unknownIsFailure("2501", "2503", "2505")),
		WithdrawalUnheard: sends(unheardIsDone("2502", "2504", "2506")),
		MidStayIsEnd:      {centre: midStayIsEnd},

		StandingClock:  {options: func(p *process, o *flow.Options) { o.Clock = standingClock{p} }},
		ClocksApart:    {options: clocksMinutesApart},
		CommitFirst:    {commitFirst: true, journal: trust},
		TrustTheBroker: {journal: trust},
	}
}

// invoiceBends are the planted faults of electronic invoices.
var invoiceBends = []Mutation{ReissueNewNumber, RedUnheard, TwoScreens, RefundPastBill, DropUnknownBill}

// Mutations lists the names, sorted.
func Mutations() []Mutation {
	var list []Mutation
	for m := range bends() {
		list = append(list, m)
	}
	list = append(list, invoiceBends...)
	slices.Sort(list)
	return list
}

// bent puts the mutation of the options in place.
func (w *World) bent() error {
	if w.opt.Mutation == "" {
		return nil
	}
	if slices.Contains(invoiceBends, w.opt.Mutation) {
		w.bend.invoice = w.opt.Mutation
		return nil
	}
	var ok bool
	if w.bend, ok = bends()[w.opt.Mutation]; !ok {
		return fmt.Errorf("world: no mutation %q", w.opt.Mutation)
	}
	return nil
}
