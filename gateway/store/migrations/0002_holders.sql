-- Who works on the journal: the present life of each name and the end of its lease.
CREATE TABLE holder (
	name TEXT NOT NULL PRIMARY KEY CHECK (name <> ''),
	life BIGINT NOT NULL CHECK (life = CAST(life AS BIGINT)),
	until BIGINT NOT NULL CHECK (until = CAST(until AS BIGINT))
);

-- Who works on a record, as name#life, and the end of the claim. These two are not part of its fold.
ALTER TABLE record ADD COLUMN holder TEXT NOT NULL DEFAULT '';
ALTER TABLE record ADD COLUMN held BIGINT NOT NULL DEFAULT 0 CHECK (held = CAST(held AS BIGINT));
