-- Each daemon, by its client id: when it last knew that it can commit, and whether a broker has had
-- a session for it.
CREATE TABLE daemon (
    instance    TEXT PRIMARY KEY,
    alive_at    BIGINT NOT NULL,
    had_session BIGINT NOT NULL DEFAULT 0
);
