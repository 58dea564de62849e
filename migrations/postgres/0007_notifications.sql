-- Who is told what: one row for each recipient, alert and occasion, written when that comes about.
CREATE TABLE notification (
    -- The same whenever the same is to be told.
    id         TEXT COLLATE "C" PRIMARY KEY,
    contract   TEXT COLLATE "C" NOT NULL,
    alert_id   TEXT COLLATE "C" NOT NULL,
    recipient  TEXT COLLATE "C" NOT NULL,
    occasion   TEXT COLLATE "C" NOT NULL,
    -- What may be told together agrees in this.
    theme      TEXT COLLATE "C" NOT NULL,
    -- The alert as it was then.
    message    TEXT COLLATE "C" NOT NULL,
    state      TEXT COLLATE "C" NOT NULL,
    written_at BIGINT NOT NULL,
    -- When it is to be sent; NULL: not any more.
    due_at     BIGINT,
    give_up_at BIGINT NOT NULL,
    tries      BIGINT NOT NULL DEFAULT 0,
    -- 1: the recipient has it, or may have it.
    heard      BIGINT NOT NULL DEFAULT 0,
    -- The id under which it is sent: that of the first of those with which it is.
    envelope   TEXT COLLATE "C",
    ended_at   BIGINT,
    -- What came of the last try that failed.
    trouble    TEXT COLLATE "C"
);
CREATE INDEX notification_due ON notification (recipient, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX notification_alert ON notification (alert_id);

-- Recipients, each in the hand of one daemon at a time.
CREATE TABLE recipient (
    name         TEXT COLLATE "C" PRIMARY KEY,
    -- Until when one has it in hand that does not say otherwise before.
    leased_until BIGINT NOT NULL,
    -- Nothing is sent to it before then.
    free_at      BIGINT NOT NULL,
    -- How often in a row it could not be reached.
    failures     BIGINT NOT NULL DEFAULT 0
);
