-- Evidence is neither edited nor deleted, what could not be used neither: how often it came is all
-- that changes.
CREATE TRIGGER event_is_kept BEFORE DELETE ON event
BEGIN
    SELECT RAISE(ABORT, 'evidence is never deleted');
END;

CREATE TRIGGER rejected_is_kept BEFORE DELETE ON rejected
BEGIN
    SELECT RAISE(ABORT, 'what could not be used is never deleted');
END;

CREATE TRIGGER rejected_is_evidence
BEFORE UPDATE OF topic, payload_sha256, code, detail, payload, event_id, received_at ON rejected
BEGIN
    SELECT RAISE(ABORT, 'what could not be used is never edited');
END;
