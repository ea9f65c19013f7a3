-- The mapping that made the request a record is of, with its version; '' when none did.
ALTER TABLE record ADD COLUMN mapping TEXT NOT NULL DEFAULT '';
