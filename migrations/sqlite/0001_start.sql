-- Instants are microseconds since 1970, UTC. Dates are texts, YYYY-MM-DD. References are texts.
-- Written so that PostgreSQL takes the same statements on the same tables.

-- Files that were imported. Rows of an import are staged first, in short transactions; one update,
-- that of `seq`, switches all of them in. Nothing of an import without `seq` is in force.
CREATE TABLE import (
    id           INTEGER PRIMARY KEY,
    kind         TEXT NOT NULL,
    started_at   BIGINT NOT NULL,
    seq          BIGINT UNIQUE,
    committed_at BIGINT,
    -- The last row that was applied to the nights it touches; NULL in `applied_at`: not finished.
    applied_to   BIGINT NOT NULL DEFAULT 0,
    applied_at   BIGINT
);
CREATE INDEX import_to_apply ON import (seq) WHERE seq IS NOT NULL AND applied_at IS NULL;

-- The plan with its history: every version of a visit, appended. The one of the import with the
-- greatest `seq` is in force.
CREATE TABLE planned_visit (
    id              INTEGER PRIMARY KEY,
    import_id       BIGINT NOT NULL REFERENCES import (id),
    contract        TEXT NOT NULL,
    visit_ref       TEXT NOT NULL,
    client_ref      TEXT NOT NULL,
    night           TEXT NOT NULL,
    service         TEXT NOT NULL,
    service_level   TEXT NOT NULL,
    run             TEXT,
    start_at        BIGINT NOT NULL,
    end_at          BIGINT NOT NULL,
    carers_required BIGINT NOT NULL,
    carers          TEXT NOT NULL,
    time_specific   BIGINT NOT NULL,
    quantity        TEXT,
    cancelled_at    BIGINT,
    cancelled_by    TEXT,
    cancel_reason   TEXT
);
CREATE INDEX planned_visit_ref ON planned_visit (contract, visit_ref);
CREATE INDEX planned_visit_night ON planned_visit (contract, night, client_ref);
CREATE INDEX planned_visit_import ON planned_visit (import_id, id);

-- The registers with their history: clients, carers, devices, tags, suspensions. `held_from` is the
-- date, or of a suspension the instant, as of which the row holds; empty: always has.
CREATE TABLE register_row (
    id        INTEGER PRIMARY KEY,
    import_id BIGINT NOT NULL REFERENCES import (id),
    contract  TEXT NOT NULL,
    kind      TEXT NOT NULL,
    ref       TEXT NOT NULL,
    held_from TEXT NOT NULL,
    content   TEXT NOT NULL
);
CREATE INDEX register_row_ref ON register_row (contract, kind, ref);
CREATE INDEX register_row_import ON register_row (import_id, id);

-- Evidence: what was received, as it was received, and where it was placed. Only the last four
-- columns are ever updated.
CREATE TABLE event (
    id           INTEGER PRIMARY KEY,
    contract     TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    content      TEXT NOT NULL,
    topic        TEXT NOT NULL,
    payload      TEXT NOT NULL,
    received_at  BIGINT NOT NULL,
    effective_at BIGINT NOT NULL,
    carer_ref    TEXT NOT NULL,
    -- The visit that an event without a client of its own names.
    names_visit  TEXT,
    night        TEXT NOT NULL,
    client_ref   TEXT NOT NULL, -- empty: unplaced
    placed_by    TEXT NOT NULL,
    duplicates   BIGINT NOT NULL DEFAULT 0,
    UNIQUE (contract, event_id)
);
CREATE INDEX event_night ON event (contract, night, client_ref);
CREATE INDEX event_carer ON event (contract, carer_ref, effective_at);
CREATE INDEX event_names_visit ON event (contract, names_visit) WHERE names_visit IS NOT NULL;
CREATE INDEX event_to_place_anew ON event (contract, night) WHERE placed_by <> 'client';

CREATE TRIGGER event_is_evidence
BEFORE UPDATE OF contract, event_id, content, topic, payload, received_at, effective_at, carer_ref, names_visit ON event
BEGIN
    SELECT RAISE(ABORT, 'evidence is never edited');
END;

-- Messages that could not be used, with the reason; the same message again counts up.
CREATE TABLE rejected (
    id             INTEGER PRIMARY KEY,
    topic          TEXT NOT NULL,
    payload_sha256 TEXT NOT NULL,
    code           TEXT NOT NULL,
    detail         TEXT NOT NULL,
    payload        BLOB NOT NULL,
    event_id       TEXT,
    received_at    BIGINT NOT NULL,
    times          BIGINT NOT NULL DEFAULT 1,
    UNIQUE (topic, payload_sha256, code)
);

-- A client's night, and the next instant at which time alone may change something about it.
CREATE TABLE night (
    contract   TEXT NOT NULL,
    client_ref TEXT NOT NULL,
    night      TEXT NOT NULL,
    due_at     BIGINT,
    PRIMARY KEY (contract, client_ref, night)
);
CREATE INDEX night_due ON night (due_at) WHERE due_at IS NOT NULL;

-- Phones and units: the numbers that their messages had, and when they were heard.
CREATE TABLE sender (
    contract    TEXT NOT NULL,
    kind        TEXT NOT NULL,
    ref         TEXT NOT NULL,
    complete_to BIGINT NOT NULL DEFAULT 0,
    ahead       TEXT NOT NULL DEFAULT '[]',
    heard_at    BIGINT NOT NULL,
    lost_at     BIGINT,
    due_at      BIGINT,
    PRIMARY KEY (contract, kind, ref)
);
CREATE INDEX sender_due ON sender (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE alert (
    id            TEXT PRIMARY KEY,
    contract      TEXT NOT NULL,
    night         TEXT NOT NULL,
    client_ref    TEXT,
    visit_ref     TEXT,
    sender_kind   TEXT,
    sender_ref    TEXT,
    carer_ref     TEXT,
    kind          TEXT NOT NULL,
    due_at        BIGINT NOT NULL,
    raised_at     BIGINT NOT NULL,
    told          BIGINT NOT NULL,
    resolved_at   BIGINT,
    resolution    TEXT,
    -- The alert as it was last published.
    message       TEXT NOT NULL
);
CREATE INDEX alert_night ON alert (contract, night, client_ref);
CREATE INDEX alert_open ON alert (contract, kind, carer_ref) WHERE resolved_at IS NULL;

-- What is still to be published: receipts and alerts.
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    topic      TEXT NOT NULL,
    payload    TEXT NOT NULL,
    written_at BIGINT NOT NULL,
    not_before BIGINT NOT NULL
);
