-- What arrived, counted message by message as it was handed over: the one side of the ledger. The
-- rows of `event`, `rejected` and `alert` are the other. A page is a contract's night; what names no
-- contract of the daemon's is on the pages of the contract '' and the UTC date.
CREATE TABLE ledger (
    contract  TEXT NOT NULL,
    night     TEXT NOT NULL,
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
    PRIMARY KEY (contract, night)
);

CREATE TRIGGER alert_is_counted AFTER INSERT ON alert
BEGIN
    INSERT INTO ledger (contract, night, alerts) VALUES (NEW.contract, NEW.night, 1)
    ON CONFLICT (contract, night) DO UPDATE SET alerts = ledger.alerts + 1;
END;

-- In which nights a message came that could not be used, and how often.
CREATE TABLE rejected_night (
    rejected_id BIGINT NOT NULL REFERENCES rejected (id),
    contract    TEXT NOT NULL,
    night       TEXT NOT NULL,
    times       BIGINT NOT NULL,
    PRIMARY KEY (rejected_id, contract, night)
);
CREATE INDEX rejected_night_page ON rejected_night (contract, night);

CREATE INDEX event_effective ON event (contract, effective_at);

-- What is there already is taken as it is: nobody counted it when it arrived. Whose the rejected
-- messages were is not in their rows.
INSERT INTO ledger (contract, night, received, accepted, duplicate)
SELECT contract, night, COUNT(*) + SUM(duplicates), COUNT(*), SUM(duplicates)
FROM event GROUP BY contract, night;

INSERT INTO rejected_night (rejected_id, contract, night, times)
SELECT id, '', date(received_at / 1000000, 'unixepoch'), times FROM rejected;

INSERT INTO ledger (contract, night, received, rejected)
SELECT contract, night, SUM(times), SUM(times) FROM rejected_night GROUP BY contract, night;

INSERT INTO ledger (contract, night, alerts)
SELECT contract, night, COUNT(*) FROM alert WHERE true GROUP BY contract, night
ON CONFLICT (contract, night) DO UPDATE SET alerts = excluded.alerts;
