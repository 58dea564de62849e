//! How far the consequences of an import have been drawn, and what it touches.

use std::collections::BTreeSet;

use serde_json::json;
use sqlx::FromRow;

use super::sql::sql;
use super::{Db, StoreError, at, night_text, read_night, rows};
use crate::domain::calendar::Night;
use crate::domain::instant::Instant;
use crate::domain::refs::{ClientRef, ContractId, VisitRef};

/// A version in force, or once in force, of a visit of which an import has a row.
#[derive(Debug)]
pub struct Touched {
    /// The number of the import's row.
    pub row: i64,
    /// The contract.
    pub contract: ContractId,
    /// The visit.
    pub visit_ref: VisitRef,
    /// At whose home it was planned.
    pub client: ClientRef,
    /// In which night.
    pub night: Night,
    /// When it was to start.
    pub start: Instant,
    /// When it was cancelled.
    pub cancelled_at: Option<Instant>,
}

#[derive(FromRow)]
struct TouchedRow {
    row: i64,
    contract: String,
    visit_ref: String,
    client_ref: String,
    night: String,
    start_at: i64,
    cancelled_at: Option<i64>,
}

/// All versions of the next visits of an import.
///
/// # Errors
/// When the database fails.
pub async fn touched(
    db: &mut Db,
    import: i64,
    after: i64,
    most: i64,
) -> Result<Vec<Touched>, StoreError> {
    let found: Vec<TouchedRow> =
        sql("SELECT v.id AS row, q.contract, q.visit_ref, q.client_ref, q.night, q.start_at, \
         q.cancelled_at FROM (SELECT id, contract, visit_ref FROM planned_visit \
         WHERE import_id = $1 AND id > $2 ORDER BY id LIMIT $3) v \
         CROSS JOIN planned_visit q CROSS JOIN import i WHERE q.contract = v.contract \
         AND q.visit_ref = v.visit_ref AND i.id = q.import_id AND i.seq IS NOT NULL")
        .bind(import)
        .bind(after)
        .bind(most)
        .fetch_all(db)
        .await?;
    found
        .into_iter()
        .map(|row| {
            Ok(Touched {
                row: row.row,
                contract: row.contract.parse()?,
                visit_ref: row.visit_ref.parse()?,
                client: row.client_ref.parse()?,
                night: read_night(&row.night)?,
                start: at(row.start_at),
                cancelled_at: row.cancelled_at.map(at),
            })
        })
        .collect()
}

/// A night whose loosely placed events are being placed anew for an import.
#[derive(Debug)]
pub struct LooseNight {
    /// The contract.
    pub contract: ContractId,
    /// The night.
    pub night: Night,
    /// The last event that was placed anew.
    pub placed_to: i64,
}

/// Of these nights, the first that has events which are unplaced or were placed by their position, and
/// have not been placed anew for this import.
///
/// # Errors
/// When the database fails.
pub async fn loose_night(
    db: &mut Db,
    import: i64,
    nights: &BTreeSet<(ContractId, Night)>,
) -> Result<Option<LooseNight>, StoreError> {
    let keys = nights.iter().map(
        |(contract, night)| json!({"contract": contract.as_str(), "night": night_text(*night)}),
    );
    sql("INSERT INTO import_night (import_id, contract, night) \
         SELECT $2, k.value->>'contract', k.value->>'night' FROM jsonb_each($1) k \
         WHERE EXISTS (SELECT 1 FROM event e WHERE e.contract = k.value->>'contract' \
         AND e.night = k.value->>'night' AND e.placed_by IN ('unplaced', 'position')) \
         ON CONFLICT DO NOTHING")
    .bind(rows(keys))
    .bind(import)
    .execute(db)
    .await?;
    let found: Option<(String, String, i64)> =
        sql("SELECT contract, night, placed_to FROM import_night WHERE import_id = $1 \
         AND done = 0 LIMIT 1")
        .bind(import)
        .fetch_optional(db)
        .await?;
    found
        .map(|(contract, night, placed_to)| {
            Ok(LooseNight { contract: contract.parse()?, night: read_night(&night)?, placed_to })
        })
        .transpose()
}

/// Records how far the events of a night have been placed anew; `None`: all have been.
///
/// # Errors
/// When the database fails.
pub async fn placed(
    db: &mut Db,
    import: i64,
    night: &LooseNight,
    placed_to: Option<i64>,
) -> Result<(), StoreError> {
    sql("UPDATE import_night SET placed_to = $4, done = $5 \
         WHERE import_id = $1 AND contract = $2 AND night = $3")
    .bind(import)
    .bind(night.contract.as_str())
    .bind(night_text(night.night))
    .bind(placed_to.unwrap_or(night.placed_to))
    .bind(i64::from(placed_to.is_none()))
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets the nights of an import that has been applied.
///
/// # Errors
/// When the database fails.
pub async fn forget_nights(db: &mut Db, import: i64) -> Result<(), StoreError> {
    sql("DELETE FROM import_night WHERE import_id = $1").bind(import).execute(db).await?;
    Ok(())
}
