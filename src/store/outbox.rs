//! What is still to be published: written in the transaction that brings it about, removed when the
//! broker has it. A row holds all receipts of a batch, or all alerts.

use chrono::TimeDelta;
use sqlx::FromRow;

use super::sql::sql;
use super::{Db, StoreError, at, read_word, rows};
use crate::domain::instant::Instant;
use crate::domain::words::words;
use crate::mqtt::SlotNumber;

/// Most rows that are taken from the outbox at once: an alert waits for the receipts of so many.
pub const TAKE_MAX: i64 = 2;

words! {
    /// What the messages of a row are.
    Kind {
        /// Receipts.
        Receipt = "receipt",
        /// Alerts.
        Alert = "alert",
    }
}

/// A topic, and a payload in JSON.
pub type Message = (String, String);

/// Messages that are to be published, in order.
#[derive(Debug, Clone)]
pub struct ToPublish {
    /// Their row of the outbox.
    pub id: i64,
    /// What they are.
    pub kind: Kind,
    /// Themselves.
    pub messages: Vec<Message>,
}

#[derive(FromRow)]
struct OutboxRow {
    id: i64,
    kind: String,
    messages: String,
    written_at: i64,
    slot: i64,
}

impl OutboxRow {
    fn read(self) -> Result<ToPublish, StoreError> {
        let messages = read_messages(&self.messages)?;
        Ok(ToPublish { id: self.id, kind: read_word(&self.kind)?, messages })
    }
}

/// The messages of a row.
pub(super) fn read_messages(text: &str) -> Result<Vec<Message>, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Foreign("a row of the outbox".to_owned()))
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
    kind: Kind,
    messages: &[Message],
    now: Instant,
) -> Result<(), StoreError> {
    if messages.is_empty() {
        return Ok(());
    }
    let slot = i64::from(db.slot());
    insert(db, kind, messages, now.timestamp_micros(), 0, slot).await
}

async fn insert(
    db: &mut Db,
    kind: Kind,
    messages: &[Message],
    written_at: i64,
    not_before: i64,
    slot: i64,
) -> Result<(), StoreError> {
    sql("INSERT INTO outbox (kind, messages, written_at, not_before, slot) \
         VALUES ($1, $2, $3, $4, $5)")
    .bind(kind.as_str())
    .bind(rows(messages))
    .bind(written_at)
    .bind(not_before)
    .bind(slot)
    .execute(db)
    .await?;
    Ok(())
}

/// The next rows of a slot and kind after `after` that may be published by `now`, the oldest first.
///
/// # Errors
/// When the database fails.
pub async fn take(
    db: &mut Db,
    slot: SlotNumber,
    kind: Kind,
    after: i64,
    now: Instant,
) -> Result<Vec<ToPublish>, StoreError> {
    let found: Vec<OutboxRow> = sql("SELECT id, kind, messages, written_at, slot FROM outbox \
         WHERE slot = $4 AND kind = $5 AND id > $1 AND not_before <= $2 ORDER BY id LIMIT $3")
    .bind(after)
    .bind(now.timestamp_micros())
    .bind(TAKE_MAX)
    .bind(i64::from(slot))
    .bind(kind.as_str())
    .fetch_all(db)
    .await?;
    found.into_iter().map(OutboxRow::read).collect()
}

/// What waits to be published: how many rows, and since when the oldest does.
///
/// # Errors
/// When the database fails.
pub async fn waiting(db: &mut Db) -> Result<Vec<(Kind, i64, Instant)>, StoreError> {
    let found: Vec<(String, i64, i64)> =
        sql("SELECT kind, count(*), min(written_at) FROM outbox GROUP BY kind")
            .fetch_all(db)
            .await?;
    let read = |(kind, rows, since): (String, i64, i64)| Ok((read_word(&kind)?, rows, at(since)));
    found.into_iter().map(read).collect()
}

/// Removes rows of which the broker has all messages, or has refused them.
///
/// # Errors
/// When the database fails.
pub async fn remove(db: &mut Db, ids: &[i64]) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    sql("DELETE FROM outbox WHERE id IN (SELECT CAST(value AS BIGINT) FROM jsonb_each($1))")
        .bind(rows(ids))
        .execute(db)
        .await?;
    Ok(())
}

/// Puts off a message that the broker refused, in a row of its own at the end, unless it was refused
/// for too long. Returns whether it is put off; what is no longer there is not.
///
/// # Errors
/// When the database fails.
pub async fn put_off(
    db: &mut Db,
    (id, place): (i64, usize),
    not_before: Instant,
    now: Instant,
) -> Result<bool, StoreError> {
    let found: Option<OutboxRow> = sql("SELECT id, kind, messages, written_at, slot FROM outbox \
             WHERE id = $1 AND written_at > $2")
    .bind(id)
    .bind((now - REFUSED_MAX).timestamp_micros())
    .fetch_optional(db)
    .await?;
    let Some(row) = found else { return Ok(false) };
    let (written_at, slot) = (row.written_at, row.slot);
    let ToPublish { kind, messages, .. } = row.read()?;
    let Some(message) = messages.get(place..=place) else { return Ok(false) };
    insert(db, kind, message, written_at, not_before.timestamp_micros(), slot).await?;
    Ok(true)
}

/// What the one slot had to publish is the other's.
///
/// # Errors
/// When the database fails.
pub async fn inherit(db: &mut Db, from: SlotNumber, heir: SlotNumber) -> Result<(), StoreError> {
    sql("UPDATE outbox SET slot = $2 WHERE slot = $1")
        .bind(i64::from(from))
        .bind(i64::from(heir))
        .execute(db)
        .await?;
    Ok(())
}

/// What slots had to publish that are not there any more is that one's. Returns whether there was
/// anything.
///
/// # Errors
/// When the database fails.
pub async fn inherit_orphans(db: &mut Db, heir: SlotNumber) -> Result<bool, StoreError> {
    let orphans = sql("UPDATE outbox SET slot = $1 \
         WHERE NOT EXISTS (SELECT 1 FROM slot s WHERE s.number = outbox.slot)")
    .bind(i64::from(heir))
    .execute(db)
    .await?;
    Ok(orphans > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::store::{Database, Store};

    fn message(topic: &str) -> Message {
        (topic.to_owned(), r#"{"event_id":null}"#.to_owned())
    }

    #[tokio::test]
    async fn a_clock_that_is_put_back_holds_up_no_alert() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Database::file(&folder.path().join("nightrun.db"))).await.unwrap();
        let mut tx = store.write().await.unwrap();
        let ahead = clock::now();
        add(&mut tx, Kind::Alert, &[message("topic")], ahead).await.unwrap();
        let put_back = ahead - TimeDelta::hours(1);
        assert_eq!(take(&mut tx, 0, Kind::Alert, 0, put_back).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_message_that_is_refused_is_put_off_alone_and_given_up_after_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Database::file(&folder.path().join("nightrun.db"))).await.unwrap();
        let mut tx = store.write().await.unwrap();
        let now = clock::now();
        let messages = ["a", "b", "c"].map(message);
        add(&mut tx, Kind::Receipt, &messages, now).await.unwrap();
        let row = take(&mut tx, 0, Kind::Receipt, 0, now).await.unwrap().remove(0);
        assert_eq!((row.kind, row.messages.as_slice()), (Kind::Receipt, &messages[..]));
        let later = now + TimeDelta::seconds(30);
        assert!(put_off(&mut tx, (row.id, 1), later, now).await.unwrap());
        remove(&mut tx, &[row.id]).await.unwrap();
        assert!(take(&mut tx, 0, Kind::Receipt, 0, now).await.unwrap().is_empty(), "not yet");
        let again = take(&mut tx, 0, Kind::Receipt, 0, later).await.unwrap().remove(0);
        assert_eq!((again.kind, again.messages), (Kind::Receipt, vec![message("b")]));
        let next_day = now + REFUSED_MAX;
        assert!(!put_off(&mut tx, (again.id, 0), next_day, next_day).await.unwrap());
    }
}
