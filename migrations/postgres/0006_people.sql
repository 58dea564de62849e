-- What people decide and do, and who may.

-- What coordinators decided about visits, and where events belong. Appended, never edited: who withdraws
-- a decision appends that.
CREATE TABLE correction (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contract       TEXT COLLATE "C" NOT NULL,
    -- The visit that it is about; of `place`, to which the event belongs.
    visit_ref      TEXT COLLATE "C" NOT NULL,
    -- Of `place`: the event.
    event_id       TEXT COLLATE "C",
    kind           TEXT COLLATE "C" NOT NULL,
    outcome        TEXT COLLATE "C",
    reason         TEXT COLLATE "C",
    comment        TEXT COLLATE "C",
    return_comment TEXT COLLATE "C",
    at             BIGINT NOT NULL,
    who            TEXT COLLATE "C" NOT NULL
);
CREATE INDEX correction_visit ON correction (contract, visit_ref);
CREATE INDEX correction_event ON correction (contract, event_id) WHERE event_id IS NOT NULL;

CREATE TRIGGER correction_is_evidence BEFORE UPDATE ON correction
FOR EACH STATEMENT EXECUTE FUNCTION nightrun_refuses('a correction is never edited');
CREATE TRIGGER correction_is_kept BEFORE DELETE OR TRUNCATE ON correction
FOR EACH STATEMENT EXECUTE FUNCTION nightrun_refuses('a correction is never deleted');

-- What coordinators did about alerts: acknowledged them, spoke to the client, resolved them. Appended.
CREATE TABLE act (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contract TEXT COLLATE "C" NOT NULL,
    alert_id TEXT COLLATE "C" NOT NULL,
    kind     TEXT COLLATE "C" NOT NULL,
    at       BIGINT NOT NULL,
    who      TEXT COLLATE "C" NOT NULL,
    note     TEXT COLLATE "C",
    -- Of a contact: who was spoken to, what came of it, when that was, the new time and the reason.
    spoke_to TEXT COLLATE "C",
    outcome  TEXT COLLATE "C",
    spoke_at BIGINT,
    new_time BIGINT,
    reason   TEXT COLLATE "C"
);
CREATE INDEX act_alert ON act (alert_id);

CREATE TRIGGER act_is_evidence BEFORE UPDATE ON act
FOR EACH STATEMENT EXECUTE FUNCTION nightrun_refuses('what was done is never edited');
CREATE TRIGGER act_is_kept BEFORE DELETE OR TRUNCATE ON act
FOR EACH STATEMENT EXECUTE FUNCTION nightrun_refuses('what was done is never deleted');

-- Events that a carer phoned in: who took the call, and why. Also messages that could not be used and
-- were tried again.
CREATE TABLE handed_in (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contract    TEXT COLLATE "C" NOT NULL,
    event_id    TEXT COLLATE "C" NOT NULL,
    rejected_id BIGINT REFERENCES rejected (id),
    at          BIGINT NOT NULL,
    who         TEXT COLLATE "C" NOT NULL,
    why         TEXT COLLATE "C"
);
CREATE INDEX handed_in_event ON handed_in (contract, event_id);
CREATE INDEX handed_in_rejected ON handed_in (rejected_id) WHERE rejected_id IS NOT NULL;

-- Who may do what. Of a token only a hash is kept.
CREATE TABLE token (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL,
    role       TEXT COLLATE "C" NOT NULL,
    -- Empty: all contracts.
    contract   TEXT COLLATE "C" NOT NULL,
    hash       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

-- Who is signed in in a browser. The name of the session is kept as a hash.
CREATE TABLE session (
    hash       TEXT COLLATE "C" PRIMARY KEY,
    token_id   TEXT COLLATE "C" NOT NULL REFERENCES token (id),
    csrf       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);
CREATE INDEX session_seen ON session (seen_at);

-- Who looked at which client's record, and who did what. Appended.
CREATE TABLE access (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         BIGINT NOT NULL,
    who        TEXT COLLATE "C" NOT NULL,
    role       TEXT COLLATE "C" NOT NULL,
    what       TEXT COLLATE "C" NOT NULL,
    contract   TEXT COLLATE "C" NOT NULL,
    client_ref TEXT COLLATE "C",
    visit_ref  TEXT COLLATE "C",
    night      TEXT COLLATE "C"
);
CREATE INDEX access_client ON access (contract, client_ref, at);

CREATE TRIGGER access_is_kept BEFORE UPDATE ON access
FOR EACH STATEMENT EXECUTE FUNCTION nightrun_refuses('the access log is never edited');
CREATE TRIGGER access_stays BEFORE DELETE OR TRUNCATE ON access
FOR EACH STATEMENT EXECUTE FUNCTION nightrun_refuses('the access log is never deleted');

-- The latest alerts of a contract, page by page.
CREATE INDEX alert_raised ON alert (contract, raised_at, id);
