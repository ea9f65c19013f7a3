-- The audit record: see gateway/audit. A chain is written by one lane of one gateway.
CREATE TABLE audit_chain (
	number {serial},
	name TEXT NOT NULL UNIQUE CHECK (name <> '')
);

-- One entry for each transaction that noted something. place is chain * 1099511627776 + number
-- within the chain; lines is what was noted, one line each.
CREATE TABLE audit_entry (
	place {key},
	at BIGINT NOT NULL CHECK (at = CAST(at AS BIGINT)),
	prev {bytes} NOT NULL,
	hash {bytes} NOT NULL,
	lines {bytes} NOT NULL
);

-- Signed statements of how far the chains had come.
CREATE TABLE audit_head (
	number {serial},
	gateway TEXT NOT NULL CHECK (gateway <> ''),
	text {bytes} NOT NULL,
	signature {bytes} NOT NULL
);

-- People who may sign in, and where they are signed in: see gateway/people. secret is an argon2id
-- digest, digest that of a session's token.
CREATE TABLE person (
	id TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
	name TEXT NOT NULL,
	roles TEXT NOT NULL,
	institutions TEXT NOT NULL,
	secret TEXT NOT NULL,
	disabled BIGINT NOT NULL CHECK (disabled IN (0, 1)),
	failures BIGINT NOT NULL CHECK (failures = CAST(failures AS BIGINT)),
	locked BIGINT NOT NULL CHECK (locked = CAST(locked AS BIGINT)),
	created BIGINT NOT NULL CHECK (created = CAST(created AS BIGINT)),
	updated BIGINT NOT NULL CHECK (updated = CAST(updated AS BIGINT))
);

CREATE TABLE person_session (
	digest {bytes} NOT NULL PRIMARY KEY,
	person TEXT NOT NULL REFERENCES person (id),
	issued BIGINT NOT NULL CHECK (issued = CAST(issued AS BIGINT)),
	seen BIGINT NOT NULL CHECK (seen = CAST(seen AS BIGINT)),
	expires BIGINT NOT NULL CHECK (expires = CAST(expires AS BIGINT))
);
CREATE INDEX person_session_of ON person_session (person);
