-- A row of the outbox holds all receipts of a batch, or all alerts, as an array of topics and payloads;
-- it leaves when the broker has them all. Alerts wait after a start.
ALTER TABLE outbox RENAME TO outbox_of_messages;

CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL,
    messages   TEXT NOT NULL,
    written_at BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    slot       BIGINT NOT NULL DEFAULT 0
);

INSERT INTO outbox (kind, messages, written_at, not_before, slot)
SELECT CASE WHEN topic LIKE 'nightrun/v1/%/alert/%' THEN 'alert' ELSE 'receipt' END,
       json_array(json_array(topic, payload)), written_at, not_before, slot
FROM outbox_of_messages ORDER BY id;
DROP TABLE outbox_of_messages;

-- Rows that are always found by their keys are kept with them.
DROP INDEX night_due;
ALTER TABLE night RENAME TO night_by_row;

CREATE TABLE night (
    contract   TEXT NOT NULL,
    client_ref TEXT NOT NULL,
    night      TEXT NOT NULL,
    due_at     BIGINT,
    PRIMARY KEY (contract, client_ref, night)
) WITHOUT ROWID;

INSERT INTO night (contract, client_ref, night, due_at)
SELECT contract, client_ref, night, due_at FROM night_by_row;
DROP TABLE night_by_row;
CREATE INDEX night_due ON night (due_at) WHERE due_at IS NOT NULL;

DROP INDEX sender_due;
ALTER TABLE sender RENAME TO sender_by_row;

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
) WITHOUT ROWID;

INSERT INTO sender (contract, kind, ref, complete_to, ahead, heard_at, lost_at, due_at)
SELECT contract, kind, ref, complete_to, ahead, heard_at, lost_at, due_at FROM sender_by_row;
DROP TABLE sender_by_row;
CREATE INDEX sender_due ON sender (due_at) WHERE due_at IS NOT NULL;

-- In which cell of a grid a client's home is; -1: its fence is so wide that it may be near from afar.
ALTER TABLE register_row ADD COLUMN cell BIGINT;

UPDATE register_row SET cell = CASE
    WHEN CAST(content->>'fence_m' AS REAL) > 500 THEN -1
    ELSE CAST((content->>'lat' + 90.0) * 200.0 AS BIGINT) * 72001
       + CAST((content->>'lon' + 180.0) * 200.0 AS BIGINT) END
WHERE kind = 'client' AND content->>'lat' IS NOT NULL AND content->>'lon' IS NOT NULL;

CREATE INDEX register_row_cell ON register_row (contract, cell) WHERE cell IS NOT NULL;
