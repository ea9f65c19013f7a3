package world

// Tally counts what happened.
type Tally struct {
	Transactions   int            `json:"transactions"`
	Messages       int            `json:"messages"` // that reached the centre
	Bills          int            `json:"bills"`
	Settled        int            `json:"settled"`  // in force in the end
	Stays          int            `json:"stays"`    // of the bills, how many were patients in hospital
	MidStay        int            `json:"mid_stay"` // of stays, settlements in the middle
	Sales          int            `json:"sales"`    // of the bills, how many were over a pharmacy's counter
	Filings        int            `json:"filings"`  // beside the bills
	Invoices       int            `json:"invoices"` // live in the end
	Uploads        int            `json:"uploads"`
	UploadsRefused map[string]int `json:"uploads_refused"` // by cause
	Unknowns       int            `json:"unknowns"`
	Resolutions    map[string]int `json:"resolutions"`
	Faults         map[string]int `json:"faults"`
}

func newTally() Tally {
	return Tally{UploadsRefused: map[string]int{}, Resolutions: map[string]int{}, Faults: map[string]int{}}
}

// Add sums two tallies up.
func (t *Tally) Add(o Tally) {
	t.Transactions += o.Transactions
	t.Messages += o.Messages
	t.Bills += o.Bills
	t.Settled += o.Settled
	t.Stays += o.Stays
	t.MidStay += o.MidStay
	t.Sales += o.Sales
	t.Filings += o.Filings
	t.Invoices += o.Invoices
	t.Uploads += o.Uploads
	t.Unknowns += o.Unknowns
	if t.Faults == nil {
		n := newTally()
		t.UploadsRefused, t.Resolutions, t.Faults = n.UploadsRefused, n.Resolutions, n.Faults
	}
	for _, m := range []struct{ to, from map[string]int }{
		{t.UploadsRefused, o.UploadsRefused}, {t.Resolutions, o.Resolutions}, {t.Faults, o.Faults},
	} {
		for k, n := range m.from {
			m.to[k] += n
		}
	}
}
