-- Nights that an import touches and of which there were events that are unplaced or were placed by their
-- position. They are placed anew once, before anything of the night is looked at; `placed_to` is the
-- last that was. Gone when the import is applied.
CREATE TABLE import_night (
    import_id BIGINT NOT NULL REFERENCES import (id),
    contract  TEXT COLLATE "C" NOT NULL,
    night     TEXT COLLATE "C" NOT NULL,
    placed_to BIGINT NOT NULL DEFAULT 0,
    done      BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (import_id, contract, night)
);

CREATE INDEX event_loose ON event (contract, night, id) WHERE placed_by IN ('unplaced', 'position');
