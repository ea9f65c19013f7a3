-- Final answers that the HIS has not been given, in the order they were given.
CREATE INDEX request_untold ON request (system, answered, seq) WHERE told = 0 AND answer IS NOT NULL;

-- Who brings answers to a system, until when, and how it went; see gateway/deliver.
CREATE TABLE receiver (
	system TEXT NOT NULL PRIMARY KEY CHECK (system <> ''),
	holder TEXT NOT NULL,
	until BIGINT NOT NULL CHECK (until = CAST(until AS BIGINT)),
	delivered BIGINT NOT NULL CHECK (delivered = CAST(delivered AS BIGINT)),
	at BIGINT NOT NULL CHECK (at = CAST(at AS BIGINT)),
	paused TEXT NOT NULL -- by whom and why; '' when it is not
);

-- Answers that were brought in vain: how often, and when again.
CREATE TABLE delivery (
	system TEXT NOT NULL,
	id TEXT NOT NULL,
	tries BIGINT NOT NULL CHECK (tries = CAST(tries AS BIGINT)),
	tried BIGINT NOT NULL CHECK (tried = CAST(tried AS BIGINT)),
	again BIGINT NOT NULL CHECK (again = CAST(again AS BIGINT)),
	why TEXT NOT NULL,
	skipped TEXT NOT NULL, -- by whom and why a person gave it up; '' when nobody did
	PRIMARY KEY (system, id)
);
