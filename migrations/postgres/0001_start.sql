-- Instants are microseconds since 1970, UTC. Dates are texts, YYYY-MM-DD. References are texts, in the
-- order of their bytes. The same tables as in a SQLite file: the same statements work on both.

-- Rows come as one JSON array.
CREATE FUNCTION jsonb_each(given text) RETURNS TABLE (value jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 100
AS $$ SELECT jsonb_array_elements(given::jsonb) $$;

CREATE FUNCTION nightrun_refuses() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0]; END $$;

-- Files that were imported. Rows of an import are staged first, in short transactions; one update,
-- that of `seq`, switches all of them in. Nothing of an import without `seq` is in force.
CREATE TABLE import (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         TEXT COLLATE "C" NOT NULL,
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
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    import_id       BIGINT NOT NULL REFERENCES import (id),
    contract        TEXT COLLATE "C" NOT NULL,
    visit_ref       TEXT COLLATE "C" NOT NULL,
    client_ref      TEXT COLLATE "C" NOT NULL,
    night           TEXT COLLATE "C" NOT NULL,
    service         TEXT COLLATE "C" NOT NULL,
    service_level   TEXT COLLATE "C" NOT NULL,
    run             TEXT COLLATE "C",
    start_at        BIGINT NOT NULL,
    end_at          BIGINT NOT NULL,
    carers_required BIGINT NOT NULL,
    carers          TEXT COLLATE "C" NOT NULL,
    time_specific   BIGINT NOT NULL,
    quantity        TEXT COLLATE "C",
    cancelled_at    BIGINT,
    cancelled_by    TEXT COLLATE "C",
    cancel_reason   TEXT COLLATE "C"
);
CREATE INDEX planned_visit_ref ON planned_visit (contract, visit_ref);
CREATE INDEX planned_visit_night ON planned_visit (contract, night, client_ref);
CREATE INDEX planned_visit_import ON planned_visit (import_id, id);

-- The registers with their history: clients, carers, devices, tags, suspensions. `held_from` is the
-- date, or of a suspension the instant, as of which the row holds; empty: always has.
CREATE TABLE register_row (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    import_id BIGINT NOT NULL REFERENCES import (id),
    contract  TEXT COLLATE "C" NOT NULL,
    kind      TEXT COLLATE "C" NOT NULL,
    ref       TEXT COLLATE "C" NOT NULL,
    held_from TEXT COLLATE "C" NOT NULL,
    content   TEXT COLLATE "C" NOT NULL,
    -- In which cell of a grid a client's home is; -1: its fence is so wide that it may be near from afar.
    cell      BIGINT
);
CREATE INDEX register_row_ref ON register_row (contract, kind, ref);
CREATE INDEX register_row_import ON register_row (import_id, id);
CREATE INDEX register_row_cell ON register_row (contract, cell) WHERE cell IS NOT NULL;

-- Evidence: what was received, as it was received, and where it was placed. Only the last four
-- columns are ever updated.
CREATE TABLE event (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contract     TEXT COLLATE "C" NOT NULL,
    event_id     TEXT COLLATE "C" NOT NULL,
    content      TEXT COLLATE "C" NOT NULL,
    topic        TEXT COLLATE "C" NOT NULL,
    payload      TEXT COLLATE "C" NOT NULL,
    received_at  BIGINT NOT NULL,
    effective_at BIGINT NOT NULL,
    carer_ref    TEXT COLLATE "C" NOT NULL,
    -- The visit that an event without a client of its own names.
    names_visit  TEXT COLLATE "C",
    night        TEXT COLLATE "C" NOT NULL,
    client_ref   TEXT COLLATE "C" NOT NULL, -- empty: unplaced
    placed_by    TEXT COLLATE "C" NOT NULL,
    duplicates   BIGINT NOT NULL DEFAULT 0,
    UNIQUE (contract, event_id)
);
CREATE INDEX event_night ON event (contract, night, client_ref);
CREATE INDEX event_effective ON event (contract, effective_at);
CREATE INDEX event_carer ON event (contract, carer_ref, effective_at);
CREATE INDEX event_names_visit ON event (contract, names_visit) WHERE names_visit IS NOT NULL;
CREATE INDEX event_to_place_anew ON event (contract, night) WHERE placed_by <> 'client';

CREATE TRIGGER event_is_evidence
BEFORE UPDATE OF contract, event_id, content, topic, payload, received_at, effective_at, carer_ref, names_visit ON event
FOR EACH STATEMENT EXECUTE FUNCTION nightrun_refuses('evidence is never edited');

CREATE TRIGGER event_is_kept BEFORE DELETE OR TRUNCATE ON event
FOR EACH STATEMENT EXECUTE FUNCTION nightrun_refuses('evidence is never deleted');

-- Messages that could not be used, with the reason; the same message again counts up.
CREATE TABLE rejected (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic          TEXT COLLATE "C" NOT NULL,
    payload_sha256 TEXT COLLATE "C" NOT NULL,
    code           TEXT COLLATE "C" NOT NULL,
    detail         TEXT COLLATE "C" NOT NULL,
    payload        BYTEA NOT NULL,
    event_id       TEXT COLLATE "C",
    received_at    BIGINT NOT NULL,
    times          BIGINT NOT NULL DEFAULT 1,
    UNIQUE (topic, payload_sha256, code)
);

CREATE TRIGGER rejected_is_evidence
BEFORE UPDATE OF topic, payload_sha256, code, detail, payload, event_id, received_at ON rejected
FOR EACH STATEMENT EXECUTE FUNCTION nightrun_refuses('what could not be used is never edited');

CREATE TRIGGER rejected_is_kept BEFORE DELETE OR TRUNCATE ON rejected
FOR EACH STATEMENT EXECUTE FUNCTION nightrun_refuses('what could not be used is never deleted');

-- In which nights a message came that could not be used, and how often.
CREATE TABLE rejected_night (
    rejected_id BIGINT NOT NULL REFERENCES rejected (id),
    contract    TEXT COLLATE "C" NOT NULL,
    night       TEXT COLLATE "C" NOT NULL,
    times       BIGINT NOT NULL,
    PRIMARY KEY (rejected_id, contract, night)
);
CREATE INDEX rejected_night_page ON rejected_night (contract, night);

-- A client's night, and the next instant at which time alone may change something about it.
CREATE TABLE night (
    contract   TEXT COLLATE "C" NOT NULL,
    client_ref TEXT COLLATE "C" NOT NULL,
    night      TEXT COLLATE "C" NOT NULL,
    due_at     BIGINT,
    PRIMARY KEY (contract, client_ref, night)
);
CREATE INDEX night_due ON night (due_at) WHERE due_at IS NOT NULL;

-- Phones and units: the numbers that their messages had, and when they were heard.
CREATE TABLE sender (
    contract    TEXT COLLATE "C" NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL,
    ref         TEXT COLLATE "C" NOT NULL,
    complete_to BIGINT NOT NULL DEFAULT 0,
    ahead       TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    heard_at    BIGINT NOT NULL,
    lost_at     BIGINT,
    due_at      BIGINT,
    PRIMARY KEY (contract, kind, ref)
);
CREATE INDEX sender_due ON sender (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE alert (
    id            TEXT COLLATE "C" PRIMARY KEY,
    contract      TEXT COLLATE "C" NOT NULL,
    night         TEXT COLLATE "C" NOT NULL,
    client_ref    TEXT COLLATE "C",
    visit_ref     TEXT COLLATE "C",
    sender_kind   TEXT COLLATE "C",
    sender_ref    TEXT COLLATE "C",
    carer_ref     TEXT COLLATE "C",
    kind          TEXT COLLATE "C" NOT NULL,
    due_at        BIGINT NOT NULL,
    raised_at     BIGINT NOT NULL,
    told          BIGINT NOT NULL,
    resolved_at   BIGINT,
    resolution    TEXT COLLATE "C",
    -- The alert as it was last published.
    message       TEXT COLLATE "C" NOT NULL
);
CREATE INDEX alert_night ON alert (contract, night, client_ref);
CREATE INDEX alert_open ON alert (contract, kind, carer_ref) WHERE resolved_at IS NULL;

-- What is still to be published. A row holds all receipts of a batch, or all alerts, as an array of
-- topics and payloads; it leaves when the broker has them all. Alerts wait after a start.
CREATE TABLE outbox (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       TEXT COLLATE "C" NOT NULL,
    messages   TEXT COLLATE "C" NOT NULL,
    written_at BIGINT NOT NULL,
    not_before BIGINT NOT NULL
);

-- Each daemon, by its client id: when it last knew that it can commit, and whether a broker has had
-- a session for it.
CREATE TABLE daemon (
    instance    TEXT COLLATE "C" PRIMARY KEY,
    alive_at    BIGINT NOT NULL,
    had_session BIGINT NOT NULL DEFAULT 0,
    -- By what it tells whether a batch was committed of whose commit it has had no answer.
    batch       TEXT COLLATE "C"
);

-- What arrived, counted message by message as it was handed over: the one side of the ledger. The
-- rows of `event`, `rejected` and `alert` are the other. A page is a contract's night; what names no
-- contract of the daemon's is on the pages of the contract '' and the UTC date. Each daemon counts for
-- itself (`counter`), so that none waits for another; the ledger adds them up.
CREATE TABLE ledger (
    contract  TEXT COLLATE "C" NOT NULL,
    night     TEXT COLLATE "C" NOT NULL,
    counter   TEXT COLLATE "C" NOT NULL DEFAULT '',
    -- Messages of every kind, by the night of their receipt.
    received  BIGINT NOT NULL DEFAULT 0,
    -- New events and repeated ones, by the night of the event.
    accepted  BIGINT NOT NULL DEFAULT 0,
    duplicate BIGINT NOT NULL DEFAULT 0,
    -- Messages that could not be used, and states of units, by the night of their receipt.
    rejected  BIGINT NOT NULL DEFAULT 0,
    status    BIGINT NOT NULL DEFAULT 0,
    -- Alerts that were raised, by their night.
    alerts    BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (contract, night, counter)
);

CREATE FUNCTION nightrun_counts_alert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger (contract, night, counter, alerts)
    VALUES (NEW.contract, NEW.night, current_setting('application_name'), 1)
    ON CONFLICT (contract, night, counter) DO UPDATE SET alerts = ledger.alerts + 1;
    RETURN NULL;
END $$;

CREATE TRIGGER alert_is_counted AFTER INSERT ON alert
FOR EACH ROW EXECUTE FUNCTION nightrun_counts_alert();
