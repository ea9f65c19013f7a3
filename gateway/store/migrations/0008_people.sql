-- A person whose password was given by somebody else has to change it: see gateway/people.
ALTER TABLE person ADD COLUMN must_change BIGINT NOT NULL DEFAULT 0 CHECK (must_change IN (0, 1));

-- One row, changed first by whoever changes people, so that changes come one after the other.
CREATE TABLE person_turn (
	id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
	turn BIGINT NOT NULL CHECK (turn = CAST(turn AS BIGINT))
);
INSERT INTO person_turn (id, turn) VALUES (1, 0);

-- Numbers that were used once in signed calls, and until when they must not be used again: see
-- gateway/nonce. The row with an empty system says up to when they have been forgotten.
CREATE TABLE his_nonce (
	system TEXT NOT NULL,
	nonce TEXT NOT NULL,
	expires BIGINT NOT NULL CHECK (expires = CAST(expires AS BIGINT)),
	PRIMARY KEY (system, nonce)
);
CREATE INDEX his_nonce_expires ON his_nonce (expires);
