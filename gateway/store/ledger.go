package store

// Ledger keeps an account of what is committed: see Tx.Note. It is called on the goroutine of a
// lane, each lane having one transaction at a time; lanes are numbered from 0.
type Ledger interface {
	// Append writes the account of a transaction that is about to be committed: everything its
	// operations have noted, in their order, never nothing. It comes last in the transaction, so a
	// row it locks is locked for as short as can be. Its error undoes the transaction. tx is valid
	// during the call only, the notes as long as the transaction.
	Append(tx *Tx, lane int, notes [][]byte) error
	// Undone is told when a transaction Append has written into did not come to be, or nobody knows.
	Undone(lane int)
}

// Account makes l the ledger of everything written from now on. It must be called before the first
// operation, and once.
func (d *DB) Account(l Ledger) { d.ledger = l }

// Note gives the ledger a line about what this operation does. It becomes durable together with it,
// in the same commit, or not at all: the note of an operation that fails is dropped. Without a
// ledger it is nothing. note must not be changed afterwards.
func (t *Tx) Note(note []byte) {
	if t.db.ledger != nil && len(note) > 0 {
		t.notes = append(t.notes, note)
	}
}

// account lets the ledger write what was noted.
func (t *Tx) account() error {
	if len(t.notes) == 0 {
		return nil
	}
	t.entered = true
	return call(func(tx *Tx) error { return tx.db.ledger.Append(tx, tx.lane, tx.notes) }, t)
}

// unaccount tells the ledger that it was for nothing.
func (t *Tx) unaccount() {
	if t.entered {
		t.entered = false
		t.db.ledger.Undone(t.lane)
	}
}
