-- The slots: sessions that the broker keeps for the daemons of this database, and whose each is now.
CREATE TABLE slot (
    number       BIGINT PRIMARY KEY,
    -- A process; empty: nobody.
    holder       TEXT COLLATE "C" NOT NULL,
    -- Moves as long as that process works.
    beat         BIGINT NOT NULL DEFAULT 0,
    -- Empty: of a daemon that shares with nobody.
    shared_group TEXT COLLATE "C" NOT NULL,
    -- 1: it hears how telecare units are, and no other does.
    hears_units  BIGINT NOT NULL DEFAULT 0,
    -- Everything that the broker had for it by then is committed; NULL: it never had anything.
    heard_to     BIGINT,
    -- What fell due before then is unconfirmed.
    sure_from    BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX slot_units ON slot (hears_units) WHERE hears_units = 1;

-- By which slot a message is published.
ALTER TABLE outbox ADD COLUMN slot BIGINT NOT NULL DEFAULT 0;
CREATE INDEX outbox_slot ON outbox (slot, id);
