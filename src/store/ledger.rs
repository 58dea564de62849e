//! The ledger: what was counted when it arrived, and the rows as they are, unread, so that one that
//! has been tampered with can be told.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::FromRow;

use super::sql::{either, sql};
use super::{Db, StoreError, night_text, outbox, rows};
use crate::domain::calendar::Night;
use crate::domain::instant::Instant;
use crate::domain::refs::{ContractId, EventId};

/// A contract's night. `None`: no contract of the daemon's, and the UTC date.
pub type PageKey = (Option<ContractId>, Night);

/// What was counted for a night.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Page {
    /// Messages of every kind that were received in it.
    pub received: i64,
    /// New events of it.
    pub accepted: i64,
    /// Repeats of its events.
    pub duplicate: i64,
    /// Messages received in it that could not be used.
    pub rejected: i64,
    /// States of units received in it.
    pub status: i64,
    /// Alerts of it that were raised.
    pub alerts: i64,
}

/// Pages by their names.
pub type Pages = BTreeMap<PageKey, Page>;

fn word(contract: Option<&ContractId>) -> &str {
    contract.map_or("", ContractId::as_str)
}

/// Each daemon counts for itself, under its own name.
macro_rules! add_as {
    ($counter:literal) => {
        concat!(
            "INSERT INTO ledger (contract, night, counter, received, accepted, duplicate, rejected, ",
            "status) SELECT value->>'contract', value->>'night', ",
            $counter,
            ", CAST(value->>'received' AS BIGINT), CAST(value->>'accepted' AS BIGINT), \
             CAST(value->>'duplicate' AS BIGINT), CAST(value->>'rejected' AS BIGINT), \
             CAST(value->>'status' AS BIGINT) FROM jsonb_each($1) WHERE true \
             ON CONFLICT (contract, night, counter) DO UPDATE SET \
             received = ledger.received + excluded.received, \
             accepted = ledger.accepted + excluded.accepted, \
             duplicate = ledger.duplicate + excluded.duplicate, \
             rejected = ledger.rejected + excluded.rejected, \
             status = ledger.status + excluded.status"
        )
    };
}

/// The counts of a page, of all daemons.
macro_rules! counts {
    ($of:literal) => {
        concat!(
            "SELECT CAST(COALESCE(SUM(received), 0) AS BIGINT) AS received, \
             CAST(COALESCE(SUM(accepted), 0) AS BIGINT) AS accepted, \
             CAST(COALESCE(SUM(duplicate), 0) AS BIGINT) AS duplicate, \
             CAST(COALESCE(SUM(rejected), 0) AS BIGINT) AS rejected, \
             CAST(COALESCE(SUM(status), 0) AS BIGINT) AS status, \
             CAST(COALESCE(SUM(alerts), 0) AS BIGINT) AS alerts FROM ledger WHERE ",
            $of
        )
    };
}

/// Adds what has arrived to what was counted before.
///
/// # Errors
/// When the database fails.
pub async fn add(db: &mut Db, pages: &Pages) -> Result<(), StoreError> {
    if pages.is_empty() {
        return Ok(());
    }
    let values = pages.iter().map(|((contract, night), page)| {
        row! {
            contract: word(contract.as_ref()),
            night: night,
            received: page.received,
            accepted: page.accepted,
            duplicate: page.duplicate,
            rejected: page.rejected,
            status: page.status,
        }
    });
    either(add_as!("''"), add_as!("current_setting('application_name')"))
        .bind(rows(values))
        .execute(db)
        .await?;
    Ok(())
}

/// Begins to read: what the transaction reads from now on is of this moment.
///
/// # Errors
/// When the database fails.
pub async fn fix_moment(db: &mut Db) -> Result<(), StoreError> {
    sql("SELECT contract FROM ledger LIMIT 1").execute(db).await?;
    Ok(())
}

/// What was counted for a night.
///
/// # Errors
/// When the database fails.
pub async fn page(
    db: &mut Db,
    contract: Option<&ContractId>,
    night: Night,
) -> Result<Page, StoreError> {
    sql(counts!("contract = $1 AND night = $2"))
        .bind(word(contract))
        .bind(night_text(night))
        .fetch_one(db)
        .await
}

/// What was counted for all nights of a contract.
///
/// # Errors
/// When the database fails.
pub async fn all_nights(db: &mut Db, contract: Option<&ContractId>) -> Result<Page, StoreError> {
    sql(counts!("contract = $1")).bind(word(contract)).fetch_one(db).await
}

/// An event's row, as it is.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "the columns of the table")]
pub struct EventRow {
    pub id: i64,
    pub event_id: String,
    pub content: String,
    pub topic: String,
    pub payload: String,
    pub received_at: i64,
    pub effective_at: i64,
    pub carer_ref: String,
    pub names_visit: Option<String>,
    pub night: String,
    pub client_ref: String,
    pub placed_by: String,
    pub duplicates: i64,
}

/// The events that happened from `from` up to `to`, or were placed in that night.
///
/// # Errors
/// When the database fails.
pub async fn events(
    db: &mut Db,
    contract: &ContractId,
    night: Night,
    (from, to): (Instant, Instant),
) -> Result<Vec<EventRow>, StoreError> {
    let found =
        sql("SELECT id, event_id, content, topic, payload, received_at, effective_at, carer_ref, \
         names_visit, night, client_ref, placed_by, duplicates FROM event WHERE id IN (\
         SELECT id FROM event WHERE contract = $1 AND effective_at >= $2 AND effective_at < $3 \
         UNION SELECT id FROM event WHERE contract = $1 AND night = $4) ORDER BY id")
        .bind(contract.as_str())
        .bind(from.timestamp_micros())
        .bind(to.timestamp_micros())
        .bind(night_text(night))
        .fetch_all(db)
        .await?;
    Ok(found)
}

/// A message that could not be used, in a night in which it came. The message itself may be gone.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "the columns of the tables")]
pub struct RejectedRow {
    pub rejected_id: i64,
    /// How often it came in this night.
    pub in_night: i64,
    /// How often it came in all nights, by their counts.
    pub in_all: i64,
    pub topic: Option<String>,
    pub payload_sha256: Option<String>,
    pub code: Option<String>,
    pub payload: Option<Vec<u8>>,
    pub event_id: Option<String>,
    pub received_at: Option<i64>,
    pub times: Option<i64>,
}

/// The messages of a page that could not be used.
///
/// # Errors
/// When the database fails.
pub async fn rejected(
    db: &mut Db,
    contract: Option<&ContractId>,
    night: Night,
) -> Result<Vec<RejectedRow>, StoreError> {
    let found =
        sql("SELECT n.rejected_id, n.times AS in_night, (SELECT CAST(SUM(m.times) AS BIGINT) \
         FROM rejected_night m WHERE m.rejected_id = n.rejected_id) AS in_all, r.topic, \
         r.payload_sha256, r.code, r.payload, r.event_id, r.received_at, r.times \
         FROM rejected_night n LEFT JOIN rejected r ON r.id = n.rejected_id \
         WHERE n.contract = $1 AND n.night = $2 ORDER BY n.rejected_id")
        .bind(word(contract))
        .bind(night_text(night))
        .fetch_all(db)
        .await?;
    Ok(found)
}

/// An alert's row, as it is.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "the columns of the table")]
pub struct AlertRow {
    pub id: String,
    pub client_ref: Option<String>,
    pub visit_ref: Option<String>,
    pub sender_kind: Option<String>,
    pub sender_ref: Option<String>,
    pub carer_ref: Option<String>,
    pub kind: String,
    pub due_at: i64,
    pub raised_at: i64,
    pub resolved_at: Option<i64>,
    pub resolution: Option<String>,
    pub message: String,
}

/// The alerts of a contract's night.
///
/// # Errors
/// When the database fails.
pub async fn alerts(
    db: &mut Db,
    contract: &ContractId,
    night: Night,
) -> Result<Vec<AlertRow>, StoreError> {
    let found =
        sql("SELECT id, client_ref, visit_ref, sender_kind, sender_ref, carer_ref, kind, due_at, \
         raised_at, resolved_at, resolution, message FROM alert \
         WHERE contract = $1 AND night = $2 ORDER BY raised_at, id")
        .bind(contract.as_str())
        .bind(night_text(night))
        .fetch_all(db)
        .await?;
    Ok(found)
}

/// The open alerts about a contract's phones and units, of all nights: kind of sender, its
/// reference, kind of alert, and the night.
///
/// # Errors
/// When the database fails.
pub async fn open_of_senders(
    db: &mut Db,
    contract: &ContractId,
) -> Result<Vec<(String, String, String, String)>, StoreError> {
    let found = sql("SELECT sender_kind, sender_ref, kind, night FROM alert \
         WHERE contract = $1 AND sender_kind IN ('carer', 'device') AND resolved_at IS NULL \
         ORDER BY sender_kind, sender_ref, kind")
    .bind(contract.as_str())
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// The events of a contract whose receipts have not been published yet.
///
/// # Errors
/// When the database fails.
pub async fn receipts_waiting(
    db: &mut Db,
    contract: &ContractId,
) -> Result<BTreeSet<EventId>, StoreError> {
    let found: Vec<(String,)> = sql("SELECT messages FROM outbox WHERE kind = $1")
        .bind(outbox::Kind::Receipt.as_str())
        .fetch_all(db)
        .await?;
    let stem = format!("nightrun/v1/{contract}/");
    let id = |(topic, payload): outbox::Message| -> Option<EventId> {
        let receipt: serde_json::Value = serde_json::from_str(&payload).ok()?;
        receipt["event_id"].as_str().filter(|_| topic.starts_with(&stem))?.parse().ok()
    };
    let mut waiting = BTreeSet::new();
    for (messages,) in found {
        waiting.extend(outbox::read_messages(&messages)?.into_iter().filter_map(id));
    }
    Ok(waiting)
}
