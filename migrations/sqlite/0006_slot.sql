-- By which slot a message is published: the daemon of a file has one, and that is 0.
ALTER TABLE outbox ADD COLUMN slot BIGINT NOT NULL DEFAULT 0;
