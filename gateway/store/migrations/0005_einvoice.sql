-- Electronic invoices. Times are milliseconds since 1970, 0 for none; amounts are fen.

-- What a bill is for: a settlement, a stay, a self-paid bill, a deposit.
CREATE TABLE einvoice_subject (
	id TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
	institution TEXT NOT NULL,
	system TEXT NOT NULL,
	rev BIGINT NOT NULL CHECK (rev = CAST(rev AS BIGINT)),
	wanted BIGINT NOT NULL CHECK (wanted IN (0, 1)), -- it is to have a bill as long as it is in force
	hold TEXT NOT NULL, -- request of the refund that keeps it from having one
	held BIGINT NOT NULL CHECK (held = CAST(held AS BIGINT)),
	due BIGINT NOT NULL CHECK (due = CAST(due AS BIGINT)), -- when to look at it; 0: it is at rest
	asked {bytes} -- sealed: who asked for what
);
CREATE INDEX einvoice_subject_due ON einvoice_subject (due) WHERE due > 0;

-- One bill: one business number. From state on the columns are the fold of its events.
CREATE TABLE einvoice (
	seq {serial},
	id TEXT NOT NULL UNIQUE CHECK (id <> ''), -- the business number
	subject TEXT NOT NULL REFERENCES einvoice_subject (id),
	n BIGINT NOT NULL CHECK (n = CAST(n AS BIGINT) AND n > 0),
	revision TEXT NOT NULL, -- which settlement of the subject
	kind TEXT NOT NULL,
	institution TEXT NOT NULL,
	system TEXT NOT NULL,
	request TEXT NOT NULL,
	lane TEXT NOT NULL, -- keyed digest of the patient: bills of a lane are made one after the other
	total BIGINT NOT NULL CHECK (total = CAST(total AS BIGINT)),
	place TEXT NOT NULL,
	business BIGINT NOT NULL CHECK (business = CAST(business AS BIGINT)),
	created BIGINT NOT NULL CHECK (created = CAST(created AS BIGINT)),
	draft {bytes}, -- sealed
	state TEXT NOT NULL CHECK (state IN ('draft', 'issuing', 'issue-unknown', 'refused', 'issued', 'paper-issuing', 'paper',
		'paper-voiding', 'reversing', 'reversal-unknown', 'reversed', 'cancelled', 'parked')),
	rev BIGINT NOT NULL CHECK (rev = CAST(rev AS BIGINT)),
	updated BIGINT NOT NULL CHECK (updated = CAST(updated AS BIGINT)),
	sent BIGINT NOT NULL CHECK (sent = CAST(sent AS BIGINT)), -- when the last message left
	tries BIGINT NOT NULL CHECK (tries = CAST(tries AS BIGINT)), -- messages since it last came to rest
	red_wanted BIGINT NOT NULL CHECK (red_wanted IN (0, 1)),
	cause TEXT NOT NULL,
	batch TEXT NOT NULL, -- of the bill at the platform; both empty until it is known
	number TEXT NOT NULL,
	platform {bytes}, -- sealed: what the platform told
	due BIGINT NOT NULL CHECK (due = CAST(due AS BIGINT)), -- when to go on; 0: it is at rest
	live BIGINT NOT NULL CHECK (live = CASE WHEN state IN ('reversed', 'cancelled') THEN 0 ELSE 1 END),
	UNIQUE (subject, n)
);
-- There is one live bill of a subject, whoever asks.
CREATE UNIQUE INDEX einvoice_live ON einvoice (subject) WHERE live = 1;
CREATE UNIQUE INDEX einvoice_number ON einvoice (institution, batch, number) WHERE number <> '';
CREATE INDEX einvoice_due ON einvoice (seq) WHERE due > 0;
CREATE INDEX einvoice_business ON einvoice (business);

-- What happened to a bill, append-only. place is seq * 1048576 + number within the bill.
CREATE TABLE einvoice_event (
	place {key},
	kind TEXT NOT NULL CHECK (kind <> ''),
	at BIGINT NOT NULL CHECK (at = CAST(at AS BIGINT)),
	state TEXT NOT NULL, -- after it
	system TEXT NOT NULL,
	desk TEXT NOT NULL,
	operator TEXT NOT NULL,
	request TEXT NOT NULL,
	cause TEXT NOT NULL,
	code TEXT NOT NULL,
	note TEXT NOT NULL,
	data {bytes} -- sealed
);

-- One call of a HIS system about e-invoices.
CREATE TABLE einvoice_request (
	system TEXT NOT NULL CHECK (system <> ''),
	id TEXT NOT NULL CHECK (id <> ''),
	digest {bytes} NOT NULL,
	op TEXT NOT NULL,
	ref TEXT NOT NULL, -- subject, or bill
	created BIGINT NOT NULL CHECK (created = CAST(created AS BIGINT)),
	PRIMARY KEY (system, id)
);
