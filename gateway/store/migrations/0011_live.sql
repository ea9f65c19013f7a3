-- What is not at an end is looked through by state every few seconds. With the state in the index the many
-- uploads that wait are passed over without being fetched.
DROP INDEX record_live;
CREATE INDEX record_live ON record (seq, state, queued) WHERE live = 1;
