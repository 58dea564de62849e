//! What is still to be published: written in the transaction that brings it about, removed when the
//! broker has it.

use chrono::TimeDelta;
use serde_json::json;
use sqlx::FromRow;

use super::sql::sql;
use super::{Db, StoreError, rows};
use crate::domain::instant::Instant;

/// Most messages that are taken from the outbox at once.
pub const TAKE_MAX: i64 = 500;

/// A message that is to be published.
#[derive(Debug, Clone, FromRow)]
pub struct ToPublish {
    /// Its place in the outbox.
    pub id: i64,
    /// Where to.
    pub topic: String,
    /// The payload, JSON.
    pub payload: String,
}

/// A message that the broker refuses is given up after this long. A phone that misses its receipt
/// sends its event again, and gets another.
pub const REFUSED_MAX: TimeDelta = TimeDelta::days(1);

/// Adds messages, to be published at once, whatever the clock says then.
///
/// # Errors
/// When the database fails.
pub async fn add(
    db: &mut Db,
    messages: &[(String, String)],
    now: Instant,
) -> Result<(), StoreError> {
    if messages.is_empty() {
        return Ok(());
    }
    let values =
        messages.iter().map(|(topic, payload)| json!({"topic": topic, "payload": payload}));
    sql("INSERT INTO outbox (topic, payload, written_at, not_before) \
         SELECT value->>'topic', value->>'payload', $2, 0 FROM json_each($1)")
    .bind(rows(values))
    .bind(now.timestamp_micros())
    .execute(db)
    .await?;
    Ok(())
}

/// The next messages after `after` that may be published by `now`, the oldest first.
///
/// # Errors
/// When the database fails.
pub async fn take(db: &mut Db, after: i64, now: Instant) -> Result<Vec<ToPublish>, StoreError> {
    let found = sql("SELECT id, topic, payload FROM outbox WHERE id > $1 AND not_before <= $2 \
         ORDER BY id LIMIT $3")
    .bind(after)
    .bind(now.timestamp_micros())
    .bind(TAKE_MAX)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// Removes messages that the broker has.
///
/// # Errors
/// When the database fails.
pub async fn remove(db: &mut Db, ids: &[i64]) -> Result<(), StoreError> {
    sql("DELETE FROM outbox WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))")
        .bind(rows(ids.iter().map(|id| json!(id))))
        .execute(db)
        .await?;
    Ok(())
}

/// Puts off a message that the broker refused: it moves to the end, unless it was refused for too
/// long. Returns whether it is still there.
///
/// # Errors
/// When the database fails.
pub async fn put_off(
    db: &mut Db,
    id: i64,
    not_before: Instant,
    now: Instant,
) -> Result<bool, StoreError> {
    let done = sql("INSERT INTO outbox (topic, payload, written_at, not_before) \
         SELECT topic, payload, written_at, $2 FROM outbox WHERE id = $1 AND written_at > $3")
    .bind(id)
    .bind(not_before.timestamp_micros())
    .bind((now - REFUSED_MAX).timestamp_micros())
    .execute(db)
    .await?;
    remove(db, &[id]).await?;
    Ok(done > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::store::{Database, Store};

    #[tokio::test]
    async fn a_clock_that_is_put_back_holds_up_no_alert() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Database::file(&folder.path().join("nightrun.db"))).await.unwrap();
        let mut tx = store.write().await.unwrap();
        let ahead = clock::now();
        add(&mut tx, &[("topic".to_owned(), "{}".to_owned())], ahead).await.unwrap();
        let put_back = ahead - TimeDelta::hours(1);
        assert_eq!(take(&mut tx, 0, put_back).await.unwrap().len(), 1);
    }
}
