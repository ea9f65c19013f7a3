CREATE TRIGGER audit_entry_fixed BEFORE UPDATE ON audit_entry BEGIN
	SELECT RAISE(ABORT, 'audit entries are never changed');
END;

CREATE TRIGGER audit_entry_kept BEFORE DELETE ON audit_entry BEGIN
	SELECT RAISE(ABORT, 'audit entries are never removed');
END;

CREATE TRIGGER audit_head_fixed BEFORE UPDATE ON audit_head BEGIN
	SELECT RAISE(ABORT, 'signed heads are never changed');
END;

CREATE TRIGGER audit_head_kept BEFORE DELETE ON audit_head BEGIN
	SELECT RAISE(ABORT, 'signed heads are never removed');
END;
