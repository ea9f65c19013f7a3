-- One row for each connection that writes, of no use but to find out how a commit ended whose
-- answer was lost: the row is changed in every transaction and shows the number of the last that
-- was committed. (The server's own transaction numbers would not do: after a crash it may give one
-- again that nothing was heard of.)
CREATE TABLE line (
	id TEXT NOT NULL PRIMARY KEY,
	batch BIGINT NOT NULL,
	touched TIMESTAMPTZ NOT NULL
);
ALTER TABLE line SET (fillfactor = 50);
