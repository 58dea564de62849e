//! Imports: staged first, in short transactions, then switched in by one update.

use sqlx::FromRow;

use super::hold::Whole;
use super::sql::sql;
use super::{Db, StoreError, read_night};
use crate::domain::calendar::Night;
use crate::domain::instant::Instant;
use crate::domain::refs::{ClientRef, ContractId};

/// Staged rows of an import that was never finished are removed after this long.
const ABANDONED_AFTER: chrono::TimeDelta = chrono::TimeDelta::days(1);

/// An import that is being staged.
#[derive(Debug, Clone, Copy)]
pub struct Staging {
    /// Its number.
    pub id: i64,
    /// The latest import in force when it began.
    base: i64,
}

/// Begins an import, and clears away those that were abandoned.
///
/// # Errors
/// When the database fails.
pub async fn begin(db: &mut Db, kind: &str, now: Instant) -> Result<Staging, StoreError> {
    let abandoned: Vec<(i64,)> = sql("SELECT id FROM import WHERE seq IS NULL AND started_at < $1")
        .bind((now - ABANDONED_AFTER).timestamp_micros())
        .fetch_all(db)
        .await?;
    for (id,) in abandoned {
        discard(db, id).await?;
    }
    let base = latest(db).await?;
    let (id,) = sql("INSERT INTO import (kind, started_at) VALUES ($1, $2) RETURNING id")
        .bind(kind)
        .bind(now.timestamp_micros())
        .fetch_one(db)
        .await?;
    Ok(Staging { id, base })
}

async fn latest(db: &mut Db) -> Result<i64, StoreError> {
    let (seq,) = sql("SELECT COALESCE(MAX(seq), 0) FROM import").fetch_one(db).await?;
    Ok(seq)
}

/// Removes an import that is not in force, with its rows.
///
/// # Errors
/// When the database fails.
pub async fn discard(db: &mut Db, id: i64) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM planned_visit WHERE import_id = $1",
        "DELETE FROM register_row WHERE import_id = $1",
        "DELETE FROM import WHERE id = $1 AND seq IS NULL",
    ] {
        sql(statement).bind(id).execute(db).await?;
    }
    Ok(())
}

/// Puts an import in force, all of it at once. `false`: another one came in between, against which
/// this one was not compared; nothing was done.
///
/// # Errors
/// When the database fails.
pub async fn commit(db: &mut Db, staging: Staging, now: Instant) -> Result<bool, StoreError> {
    // Who places events by the plan as it was has finished before, and others wait.
    Whole::Plan.take(db).await?;
    if latest(db).await? != staging.base {
        return Ok(false);
    }
    sql("UPDATE import SET seq = $2, committed_at = $3 WHERE id = $1")
        .bind(staging.id)
        .bind(staging.base + 1)
        .bind(now.timestamp_micros())
        .execute(db)
        .await?;
    Ok(true)
}

/// An import in force whose consequences have not all been drawn.
#[derive(Debug, Clone, FromRow)]
pub struct ToApply {
    /// Its number.
    pub id: i64,
    /// What it holds.
    pub kind: String,
    /// How far its consequences have been drawn.
    pub applied_to: i64,
}

/// The oldest import whose consequences have not all been drawn.
///
/// # Errors
/// When the database fails.
pub async fn to_apply(db: &mut Db) -> Result<Option<ToApply>, StoreError> {
    sql("SELECT id, kind, applied_to FROM import \
         WHERE seq IS NOT NULL AND applied_at IS NULL ORDER BY seq LIMIT 1")
    .fetch_optional(db)
    .await
}

/// Records how far the consequences of an import have been drawn.
///
/// # Errors
/// When the database fails.
pub async fn applied(
    db: &mut Db,
    id: i64,
    applied_to: i64,
    finished_at: Option<Instant>,
) -> Result<(), StoreError> {
    sql("UPDATE import SET applied_to = $2, applied_at = $3 WHERE id = $1")
        .bind(id)
        .bind(applied_to)
        .bind(finished_at.map(|at| at.timestamp_micros()))
        .execute(db)
        .await?;
    Ok(())
}

/// The contracts in which an import changes where events belong, each with the earliest date as of
/// which it does; `None`: always.
///
/// # Errors
/// When the database fails.
pub async fn placing_from(
    db: &mut Db,
    id: i64,
) -> Result<Vec<(ContractId, Option<Night>)>, StoreError> {
    let found: Vec<(String, String)> = sql("SELECT contract, MIN(held_from) FROM register_row \
         WHERE import_id = $1 AND kind IN ('client', 'device', 'tag') \
         GROUP BY contract ORDER BY contract")
    .bind(id)
    .fetch_all(db)
    .await?;
    found
        .into_iter()
        .map(|(contract, from)| Ok((contract.parse()?, read_night(&from).ok())))
        .collect()
}

/// The clients of whom an import holds register rows.
///
/// # Errors
/// When the database fails.
pub async fn register_clients(
    db: &mut Db,
    id: i64,
) -> Result<Vec<(ContractId, ClientRef)>, StoreError> {
    let found: Vec<(String, String)> = sql("SELECT DISTINCT contract, ref FROM register_row \
         WHERE import_id = $1 AND kind IN ('client', 'suspension')")
    .bind(id)
    .fetch_all(db)
    .await?;
    found.into_iter().map(|(contract, client)| Ok((contract.parse()?, client.parse()?))).collect()
}
