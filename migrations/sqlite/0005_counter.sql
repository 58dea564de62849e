-- Pages of the ledger are counted by each daemon for itself, so that several daemons on one database
-- do not wait for each other; the ledger adds them up. In a SQLite file there is one, without a name.
DROP TRIGGER alert_is_counted;
ALTER TABLE ledger RENAME TO ledger_of_all;

CREATE TABLE ledger (
    contract  TEXT NOT NULL,
    night     TEXT NOT NULL,
    counter   TEXT NOT NULL DEFAULT '',
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
) WITHOUT ROWID;

INSERT INTO ledger (contract, night, received, accepted, duplicate, rejected, status, alerts)
SELECT contract, night, received, accepted, duplicate, rejected, status, alerts FROM ledger_of_all;
DROP TABLE ledger_of_all;

CREATE TRIGGER alert_is_counted AFTER INSERT ON alert
BEGIN
    INSERT INTO ledger (contract, night, alerts) VALUES (NEW.contract, NEW.night, 1)
    ON CONFLICT (contract, night, counter) DO UPDATE SET alerts = ledger.alerts + 1;
END;

-- By what a daemon tells whether a batch was committed of whose commit it has had no answer.
ALTER TABLE daemon ADD COLUMN batch TEXT;
