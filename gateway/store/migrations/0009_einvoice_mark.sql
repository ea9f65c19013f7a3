-- By what a bill is found again when something else is sent about the same visit: keyed digests of the
-- hospital's visit number, of the centre's and of the settlement.
CREATE TABLE einvoice_mark (
	mark TEXT NOT NULL CHECK (mark <> ''),
	bill TEXT NOT NULL REFERENCES einvoice (id),
	PRIMARY KEY (mark, bill)
);
