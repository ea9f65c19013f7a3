-- The keys that bodies are sealed with, each wrapped by a key that is not in the database: see
-- gateway/vault. A row is never removed; destroying a key empties wrapped.
CREATE TABLE data_key (
	number {serial},
	id TEXT NOT NULL UNIQUE CHECK (id <> ''),
	purpose TEXT NOT NULL CHECK (purpose IN ('body', 'index', 'master')),
	institution TEXT NOT NULL,
	class TEXT NOT NULL,
	day TEXT NOT NULL, -- yyyy-MM-dd in China
	wrapper TEXT NOT NULL, -- id of the key that wraps it
	wrapped {bytes},
	created BIGINT NOT NULL CHECK (created = CAST(created AS BIGINT)),
	destroyed BIGINT NOT NULL CHECK (destroyed = CAST(destroyed AS BIGINT)),
	CHECK ((wrapped IS NULL) = (destroyed <> 0))
);
-- One key is in use for an institution, a class and a day.
CREATE UNIQUE INDEX data_key_use ON data_key (purpose, institution, class, day) WHERE wrapped IS NOT NULL;

-- Keyed digests of person and visit numbers, by which records are found without opening them. They
-- go with the data key (its number) their record was written under.
CREATE TABLE mark (
	digest {bytes} NOT NULL,
	record BIGINT NOT NULL,
	data_key BIGINT NOT NULL,
	PRIMARY KEY (digest, record)
);
CREATE INDEX mark_key ON mark (data_key);
CREATE INDEX mark_record ON mark (record);
