-- What waits of a visit, oldest first, among the many that wait; and what was done lately.
CREATE INDEX record_lane ON record (visit, seq) WHERE live = 1 AND queued = 1;
CREATE INDEX record_drained ON record (updated) WHERE live = 0 AND queued = 1;
