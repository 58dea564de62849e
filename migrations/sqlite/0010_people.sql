-- What people decide and do, and who may.

-- What coordinators decided about visits, and where events belong. Appended, never edited: who withdraws
-- a decision appends that.
CREATE TABLE correction (
    id             INTEGER PRIMARY KEY,
    contract       TEXT NOT NULL,
    -- The visit that it is about; of `place`, to which the event belongs.
    visit_ref      TEXT NOT NULL,
    -- Of `place`: the event.
    event_id       TEXT,
    kind           TEXT NOT NULL,
    outcome        TEXT,
    reason         TEXT,
    comment        TEXT,
    return_comment TEXT,
    at             BIGINT NOT NULL,
    who            TEXT NOT NULL
);
CREATE INDEX correction_visit ON correction (contract, visit_ref);
CREATE INDEX correction_event ON correction (contract, event_id) WHERE event_id IS NOT NULL;

CREATE TRIGGER correction_is_evidence BEFORE UPDATE ON correction
BEGIN SELECT RAISE(ABORT, 'a correction is never edited'); END;
CREATE TRIGGER correction_is_kept BEFORE DELETE ON correction
BEGIN SELECT RAISE(ABORT, 'a correction is never deleted'); END;

-- What coordinators did about alerts: acknowledged them, spoke to the client, resolved them. Appended.
CREATE TABLE act (
    id       INTEGER PRIMARY KEY,
    contract TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    kind     TEXT NOT NULL,
    at       BIGINT NOT NULL,
    who      TEXT NOT NULL,
    note     TEXT,
    -- Of a contact: who was spoken to, what came of it, when that was, the new time and the reason.
    spoke_to TEXT,
    outcome  TEXT,
    spoke_at BIGINT,
    new_time BIGINT,
    reason   TEXT
);
CREATE INDEX act_alert ON act (alert_id);

CREATE TRIGGER act_is_evidence BEFORE UPDATE ON act
BEGIN SELECT RAISE(ABORT, 'what was done is never edited'); END;
CREATE TRIGGER act_is_kept BEFORE DELETE ON act
BEGIN SELECT RAISE(ABORT, 'what was done is never deleted'); END;

-- Events that a carer phoned in: who took the call, and why. Also messages that could not be used and
-- were tried again.
CREATE TABLE handed_in (
    id          INTEGER PRIMARY KEY,
    contract    TEXT NOT NULL,
    event_id    TEXT NOT NULL,
    rejected_id BIGINT REFERENCES rejected (id),
    at          BIGINT NOT NULL,
    who         TEXT NOT NULL,
    why         TEXT
);
CREATE INDEX handed_in_event ON handed_in (contract, event_id);
CREATE INDEX handed_in_rejected ON handed_in (rejected_id) WHERE rejected_id IS NOT NULL;

-- Who may do what. Of a token only a hash is kept.
CREATE TABLE token (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    -- Empty: all contracts.
    contract   TEXT NOT NULL,
    hash       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

-- Who is signed in in a browser. The name of the session is kept as a hash.
CREATE TABLE session (
    hash       TEXT PRIMARY KEY,
    token_id   TEXT NOT NULL REFERENCES token (id),
    csrf       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);
CREATE INDEX session_seen ON session (seen_at);

-- Who looked at which client's record, and who did what. Appended.
CREATE TABLE access (
    id         INTEGER PRIMARY KEY,
    at         BIGINT NOT NULL,
    who        TEXT NOT NULL,
    role       TEXT NOT NULL,
    what       TEXT NOT NULL,
    contract   TEXT NOT NULL,
    client_ref TEXT,
    visit_ref  TEXT,
    night      TEXT
);
CREATE INDEX access_client ON access (contract, client_ref, at);

CREATE TRIGGER access_is_kept BEFORE UPDATE ON access
BEGIN SELECT RAISE(ABORT, 'the access log is never edited'); END;
CREATE TRIGGER access_stays BEFORE DELETE ON access
BEGIN SELECT RAISE(ABORT, 'the access log is never deleted'); END;

-- The latest alerts of a contract, page by page.
CREATE INDEX alert_raised ON alert (contract, raised_at, id);
