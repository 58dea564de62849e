//! What the database holds of references that begin alike: for the simulated night, which has
//! references of its own and compares what became of them with what it knows.

use sqlx::FromRow;

use super::alerts::read_message;
use super::sql::sql;
use super::{Db, StoreError, at};
use crate::domain::instant::Instant;
use crate::domain::refs::{ContractId, EventId};
use crate::wire::alert::AlertMessage;

/// The first text behind all that begin so.
fn behind(prefix: &str) -> String {
    // '\u{10ffff}' sorts after every character of a reference.
    format!("{prefix}\u{10ffff}")
}

/// When the events of carers whose references begin so were received first.
///
/// # Errors
/// When the database fails.
pub async fn received(
    db: &mut Db,
    contract: &ContractId,
    prefix: &str,
) -> Result<Vec<(EventId, Instant)>, StoreError> {
    let found: Vec<(String, i64)> = sql("SELECT event_id, received_at FROM event \
         WHERE contract = $1 AND carer_ref >= $2 AND carer_ref < $3")
    .bind(contract.as_str())
    .bind(prefix)
    .bind(behind(prefix))
    .fetch_all(db)
    .await?;
    found
        .into_iter()
        .map(|(id, received_at)| {
            let id = id.parse().map_err(|_| StoreError::Foreign(format!("the event {id:?}")))?;
            Ok((id, at(received_at)))
        })
        .collect()
}

/// How many visits the plan has whose references begin so.
///
/// # Errors
/// When the database fails.
pub async fn planned(db: &mut Db, contract: &ContractId, prefix: &str) -> Result<i64, StoreError> {
    let (count,) = sql(
        "SELECT COUNT(DISTINCT v.visit_ref) FROM planned_visit v JOIN import i ON i.id = v.import_id \
         WHERE v.contract = $1 AND v.visit_ref >= $2 AND v.visit_ref < $3 AND i.seq IS NOT NULL",
    )
    .bind(contract.as_str())
    .bind(prefix)
    .bind(behind(prefix))
    .fetch_one(db)
    .await?;
    Ok(count)
}

/// An alert, as it was last said.
#[derive(Debug, Clone)]
pub struct Raised {
    /// As it was last said to others, or would have been.
    pub message: AlertMessage,
    /// Whether anybody was told.
    pub told: bool,
}

#[derive(FromRow)]
struct AlertRow {
    told: i64,
    resolved_at: Option<i64>,
    message: String,
}

/// The alerts about clients, or phones and units, whose references begin so.
///
/// # Errors
/// When the database fails.
pub async fn alerts(
    db: &mut Db,
    contract: &ContractId,
    prefix: &str,
) -> Result<Vec<Raised>, StoreError> {
    let found: Vec<AlertRow> =
        sql("SELECT told, resolved_at, message FROM alert WHERE contract = $1 \
         AND COALESCE(client_ref, sender_ref) >= $2 AND COALESCE(client_ref, sender_ref) < $3 \
         ORDER BY id")
        .bind(contract.as_str())
        .bind(prefix)
        .bind(behind(prefix))
        .fetch_all(db)
        .await?;
    found
        .into_iter()
        .map(|row| {
            let message = read_message(&row.message)?;
            if message.resolution.is_some() != row.resolved_at.is_some() {
                return Err(StoreError::Foreign("an alert that is over and is not".into()));
            }
            Ok(Raised { message, told: row.told != 0 })
        })
        .collect()
}

/// What the daemon has still to do about references that begin so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Unsettled {
    /// Imports, of whatever, whose consequences have not been drawn.
    pub imports: i64,
    /// Client nights that are due.
    pub nights: i64,
    /// Receipts and alerts, of whatever, that are still to be published.
    pub outbox: i64,
}

impl Unsettled {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_settled(self) -> bool {
        self == Self { imports: 0, nights: 0, outbox: 0 }
    }
}

/// What is still to be done by `now`.
///
/// # Errors
/// When the database fails.
pub async fn unsettled(
    db: &mut Db,
    contract: &ContractId,
    prefix: &str,
    now: Instant,
) -> Result<Unsettled, StoreError> {
    sql("SELECT \
         (SELECT COUNT(*) FROM import WHERE seq IS NOT NULL AND applied_at IS NULL) AS imports, \
         (SELECT COUNT(*) FROM night WHERE contract = $1 AND client_ref >= $2 \
          AND client_ref < $3 AND due_at <= $4) AS nights, \
         (SELECT COUNT(*) FROM outbox) AS outbox")
    .bind(contract.as_str())
    .bind(prefix)
    .bind(behind(prefix))
    .bind(now.timestamp_micros())
    .fetch_one(db)
    .await
}
