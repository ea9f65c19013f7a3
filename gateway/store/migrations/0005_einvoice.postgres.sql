-- The history can not be rewritten, not even by mistake.
CREATE TRIGGER einvoice_event_fixed BEFORE UPDATE OR DELETE ON einvoice_event FOR EACH ROW EXECUTE FUNCTION journal_fixed();
CREATE TRIGGER einvoice_event_all_kept BEFORE TRUNCATE ON einvoice_event FOR EACH STATEMENT EXECUTE FUNCTION journal_fixed();
CREATE TRIGGER einvoice_kept BEFORE DELETE ON einvoice FOR EACH ROW EXECUTE FUNCTION journal_fixed();
CREATE TRIGGER einvoice_all_kept BEFORE TRUNCATE ON einvoice FOR EACH STATEMENT EXECUTE FUNCTION journal_fixed();

-- Sealed bytes can not be compressed.
ALTER TABLE einvoice ALTER COLUMN draft SET STORAGE EXTERNAL;
ALTER TABLE einvoice ALTER COLUMN platform SET STORAGE EXTERNAL;
ALTER TABLE einvoice_event ALTER COLUMN data SET STORAGE EXTERNAL;
ALTER TABLE einvoice_subject ALTER COLUMN asked SET STORAGE EXTERNAL;

-- Rows that change soon after they were written find room beside themselves.
ALTER TABLE einvoice SET (fillfactor = 60);
ALTER TABLE einvoice_subject SET (fillfactor = 60);
