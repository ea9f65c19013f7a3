-- The history can not be rewritten, not even by mistake.
CREATE FUNCTION journal_fixed() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RAISE EXCEPTION ''% of %: the journal only grows'', TG_OP, TG_TABLE_NAME; END';

CREATE TRIGGER event_fixed BEFORE UPDATE OR DELETE ON event FOR EACH ROW EXECUTE FUNCTION journal_fixed();
CREATE TRIGGER event_kept BEFORE TRUNCATE ON event FOR EACH STATEMENT EXECUTE FUNCTION journal_fixed();
CREATE TRIGGER record_kept BEFORE DELETE ON record FOR EACH ROW EXECUTE FUNCTION journal_fixed();
CREATE TRIGGER record_all_kept BEFORE TRUNCATE ON record FOR EACH STATEMENT EXECUTE FUNCTION journal_fixed();
CREATE TRIGGER request_kept BEFORE DELETE ON request FOR EACH ROW EXECUTE FUNCTION journal_fixed();
CREATE TRIGGER request_all_kept BEFORE TRUNCATE ON request FOR EACH STATEMENT EXECUTE FUNCTION journal_fixed();

-- Sealed bytes can not be compressed.
ALTER TABLE body ALTER COLUMN input SET STORAGE EXTERNAL;
ALTER TABLE body ALTER COLUMN wire SET STORAGE EXTERNAL;
ALTER TABLE event ALTER COLUMN data SET STORAGE EXTERNAL;
ALTER TABLE bill ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE request ALTER COLUMN answer SET STORAGE EXTERNAL;

-- Rows that change soon after they were written find room beside themselves.
ALTER TABLE record SET (fillfactor = 80);
ALTER TABLE request SET (fillfactor = 60);
