-- The journal. Times are milliseconds since 1970, 0 for none. Whole numbers carry a CHECK because
-- SQLite would take text in their place.

-- What Health writes.
CREATE TABLE probe (
	id BIGINT NOT NULL PRIMARY KEY,
	filler {bytes} NOT NULL
);

-- The last message id reserved for an institution: seconds since 1970 and number within.
CREATE TABLE msgid_counter (
	institution TEXT NOT NULL PRIMARY KEY,
	second BIGINT NOT NULL CHECK (second = CAST(second AS BIGINT)),
	seq BIGINT NOT NULL CHECK (seq = CAST(seq AS BIGINT) AND seq BETWEEN 0 AND 9999)
);

-- One call of a HIS system.
CREATE TABLE request (
	seq {serial},
	system TEXT NOT NULL CHECK (system <> ''),
	id TEXT NOT NULL CHECK (id <> ''),
	digest {bytes} NOT NULL,
	op TEXT NOT NULL,
	institution TEXT NOT NULL,
	ref TEXT NOT NULL,
	created BIGINT NOT NULL CHECK (created = CAST(created AS BIGINT)),
	answer {bytes}, -- sealed
	answered BIGINT NOT NULL CHECK (answered = CAST(answered AS BIGINT)),
	told BIGINT NOT NULL CHECK (told = CAST(told AS BIGINT)),
	CHECK (told = 0 OR answer IS NOT NULL),
	UNIQUE (system, id)
);

-- A settlement as it was handed in.
CREATE TABLE bill (
	seq {serial},
	id TEXT NOT NULL UNIQUE CHECK (id <> ''),
	institution TEXT NOT NULL,
	system TEXT NOT NULL,
	created BIGINT NOT NULL CHECK (created = CAST(created AS BIGINT)),
	body {bytes} -- sealed
);

-- One transaction with the centre. Only the last five columns ever change: they are the fold of
-- the record's events.
CREATE TABLE record (
	seq {serial},
	id TEXT NOT NULL UNIQUE CHECK (id <> ''),
	institution TEXT NOT NULL,
	infno TEXT NOT NULL,
	request BIGINT REFERENCES request (seq),
	step TEXT NOT NULL,
	attempt BIGINT NOT NULL CHECK (attempt = CAST(attempt AS BIGINT)),
	bill BIGINT REFERENCES bill (seq),
	visit TEXT NOT NULL,
	operator TEXT NOT NULL,
	operator_name TEXT NOT NULL,
	operator_type TEXT NOT NULL,
	digest {bytes} NOT NULL,
	created BIGINT NOT NULL CHECK (created = CAST(created AS BIGINT)),
	queued BIGINT NOT NULL CHECK (queued IN (0, 1)),
	born BIGINT NOT NULL CHECK (born IN (0, 1)), -- 1: written as sent
	state TEXT NOT NULL CHECK (state IN ('prepared', 'sent', 'done', 'refused', 'unknown', 'reversed', 'absent', 'parked')),
	version BIGINT NOT NULL CHECK (version = CAST(version AS BIGINT)),
	updated BIGINT NOT NULL CHECK (updated = CAST(updated AS BIGINT)),
	cause TEXT NOT NULL,
	live BIGINT NOT NULL CHECK (live = CASE WHEN state IN ('done', 'refused', 'reversed', 'absent') THEN 0 ELSE 1 END)
);

-- Records that are not finished are few and asked for often.
CREATE INDEX record_live ON record (seq) WHERE live = 1;
CREATE INDEX record_created ON record (created);
CREATE INDEX record_bill ON record (bill) WHERE bill IS NOT NULL;
-- A request has each attempt at each step once.
CREATE UNIQUE INDEX record_request ON record (request, step, attempt) WHERE request IS NOT NULL;

-- What a record carries, apart from it so that the record's row stays small.
CREATE TABLE body (
	record {key},
	input {bytes}, -- sealed
	wire {bytes} -- sealed; queued records only
);

-- What happened to a record, append-only. place is record * 1048576 + number within the record, so
-- that one key finds and orders them.
CREATE TABLE event (
	place {key},
	kind TEXT NOT NULL CHECK (kind <> ''),
	at BIGINT NOT NULL CHECK (at = CAST(at AS BIGINT)),
	cause TEXT NOT NULL,
	ref TEXT NOT NULL,
	note TEXT NOT NULL,
	data {bytes} -- sealed
);
