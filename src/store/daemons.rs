//! What a daemon leaves behind for the next one of its name.

use std::collections::BTreeMap;

use super::{Db, StoreError, at};
use crate::domain::instant::Instant;
use crate::domain::refs::ContractId;

/// Writes down that the daemon is alive.
///
/// # Errors
/// When the database fails.
pub async fn alive(db: &mut Db, instance: &str, now: Instant) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO daemon (instance, alive_at) VALUES ($1, $2) \
         ON CONFLICT (instance) DO UPDATE SET alive_at = excluded.alive_at",
    )
    .bind(instance)
    .bind(now.timestamp_micros())
    .execute(db)
    .await?;
    Ok(())
}

/// Writes down that a broker has a session for the daemon. Returns whether one had before.
///
/// # Errors
/// When the database fails.
pub async fn had_session(db: &mut Db, instance: &str, now: Instant) -> Result<bool, StoreError> {
    let before: Option<i64> =
        sqlx::query_scalar("SELECT had_session FROM daemon WHERE instance = $1")
            .bind(instance)
            .fetch_optional(&mut *db)
            .await?;
    sqlx::query(
        "INSERT INTO daemon (instance, alive_at, had_session) VALUES ($1, $2, 1) \
         ON CONFLICT (instance) DO UPDATE SET had_session = 1",
    )
    .bind(instance)
    .bind(now.timestamp_micros())
    .execute(db)
    .await?;
    Ok(before == Some(1))
}

/// When a phone of each contract was heard last.
///
/// # Errors
/// When the database fails.
pub async fn phones_heard(db: &mut Db) -> Result<BTreeMap<ContractId, Instant>, StoreError> {
    let found: Vec<(String, i64)> = sqlx::query_as(
        "SELECT contract, max(heard_at) FROM sender WHERE kind = 'carer' GROUP BY contract",
    )
    .fetch_all(db)
    .await?;
    found.into_iter().map(|(contract, heard)| Ok((contract.parse()?, at(heard)))).collect()
}
