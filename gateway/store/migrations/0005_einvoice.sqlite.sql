-- The history can not be rewritten, not even by mistake.
CREATE TRIGGER einvoice_event_fixed BEFORE UPDATE ON einvoice_event BEGIN
	SELECT RAISE(ABORT, 'events are never changed');
END;

CREATE TRIGGER einvoice_event_kept BEFORE DELETE ON einvoice_event BEGIN
	SELECT RAISE(ABORT, 'events are never removed');
END;

CREATE TRIGGER einvoice_kept BEFORE DELETE ON einvoice BEGIN
	SELECT RAISE(ABORT, 'bills are never removed');
END;
