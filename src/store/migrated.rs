//! What older databases hold is there after their tables were brought up to date.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, raw_sql};

use crate::domain::grid;
use crate::domain::plan::LatLon;

const BEFORE: [&str; 6] = [
    include_str!("../../migrations/sqlite/0001_start.sql"),
    include_str!("../../migrations/sqlite/0002_daemon.sql"),
    include_str!("../../migrations/sqlite/0003_ledger.sql"),
    include_str!("../../migrations/sqlite/0004_kept.sql"),
    include_str!("../../migrations/sqlite/0005_counter.sql"),
    include_str!("../../migrations/sqlite/0006_slot.sql"),
];
const LEAN: &str = include_str!("../../migrations/sqlite/0007_lean.sql");

const HELD: &str = r#"
    INSERT INTO outbox (topic, payload, written_at, not_before) VALUES
        ('nightrun/v1/a/carer/amy/receipt', '{"event_id":null}', 1, 0),
        ('nightrun/v1/a/alert/late', '{"alert_id":"x"}', 2, 3);
    INSERT INTO night (contract, client_ref, night, due_at) VALUES ('a', 'c', '2019-02-04', 7);
    INSERT INTO sender (contract, kind, ref, heard_at) VALUES ('a', 'carer', 'amy', 8);
    INSERT INTO import (id, kind, started_at) VALUES (1, 'clients', 1);
    INSERT INTO register_row (import_id, contract, kind, ref, held_from, content) VALUES
        (1, 'a', 'client', 'near', '', '{"lat":51.4781,"lon":-0.3201,"fence_m":null}'),
        (1, 'a', 'client', 'wide', '', '{"lat":51.4781,"lon":0.3201,"fence_m":501}'),
        (1, 'a', 'client', 'lost', '', '{"lat":null,"lon":null,"fence_m":null}'),
        (1, 'a', 'tag', 'tag', '', '{"client_ref":"near"}');
"#;

#[tokio::test]
async fn what_a_database_holds_is_there_after_it_was_made_lean() {
    let mut db = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    for text in BEFORE.into_iter().chain([HELD, LEAN]) {
        raw_sql(text).execute(&mut db).await.unwrap();
    }
    let outbox: Vec<(i64, String, String, i64, i64)> =
        sqlx::query_as("SELECT id, kind, messages, written_at, not_before FROM outbox ORDER BY id")
            .fetch_all(&mut db)
            .await
            .unwrap();
    let row = |id, kind: &str, topic: &str, payload: &str, written_at, not_before| {
        let messages = super::rows([(topic, payload)]);
        (id, kind.to_owned(), messages, written_at, not_before)
    };
    let receipt =
        row(1, "receipt", "nightrun/v1/a/carer/amy/receipt", r#"{"event_id":null}"#, 1, 0);
    let alert = row(2, "alert", "nightrun/v1/a/alert/late", r#"{"alert_id":"x"}"#, 2, 3);
    assert_eq!(outbox, [receipt, alert]);
    let due: Vec<(i64, i64)> = sqlx::query_as("SELECT n.due_at, s.heard_at FROM night n, sender s")
        .fetch_all(&mut db)
        .await
        .unwrap();
    assert_eq!(due, [(7, 8)]);
    let cells: Vec<(Option<i64>,)> = sqlx::query_as("SELECT cell FROM register_row ORDER BY id")
        .fetch_all(&mut db)
        .await
        .unwrap();
    let near = grid::cell(LatLon { lat: 51.4781, lon: -0.3201 }, None);
    assert_eq!(cells, [(Some(near),), (Some(grid::ANYWHERE),), (None,), (None,)]);
}
