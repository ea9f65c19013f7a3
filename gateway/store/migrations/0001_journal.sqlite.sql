-- The history can not be rewritten, not even by mistake.
CREATE TRIGGER event_fixed BEFORE UPDATE ON event BEGIN
	SELECT RAISE(ABORT, 'events are never changed');
END;

CREATE TRIGGER event_kept BEFORE DELETE ON event BEGIN
	SELECT RAISE(ABORT, 'events are never removed');
END;

CREATE TRIGGER record_kept BEFORE DELETE ON record BEGIN
	SELECT RAISE(ABORT, 'records are never removed');
END;

CREATE TRIGGER request_kept BEFORE DELETE ON request BEGIN
	SELECT RAISE(ABORT, 'requests are never removed');
END;
