//! What a daemon leaves behind for the next one of its name.

use std::collections::BTreeMap;

use super::sql::{either, sql};
use super::{Db, StoreError, at};
use crate::domain::instant::Instant;
use crate::domain::refs::ContractId;

/// Writes down that the daemon is alive.
///
/// # Errors
/// When the database fails.
pub async fn alive(db: &mut Db, instance: &str, now: Instant) -> Result<(), StoreError> {
    sql("INSERT INTO daemon (instance, alive_at) VALUES ($1, $2) \
         ON CONFLICT (instance) DO UPDATE SET alive_at = excluded.alive_at")
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
    let before: Option<(i64,)> = sql("SELECT had_session FROM daemon WHERE instance = $1")
        .bind(instance)
        .fetch_optional(db)
        .await?;
    sql("INSERT INTO daemon (instance, alive_at, had_session) VALUES ($1, $2, 1) \
         ON CONFLICT (instance) DO UPDATE SET had_session = 1")
    .bind(instance)
    .bind(now.timestamp_micros())
    .execute(db)
    .await?;
    Ok(before == Some((1,)))
}

/// Writes down which batch of messages is written with it.
///
/// # Errors
/// When the database fails.
pub async fn mark(
    db: &mut Db,
    instance: &str,
    batch: &str,
    now: Instant,
) -> Result<(), StoreError> {
    sql("INSERT INTO daemon (instance, alive_at, batch) VALUES ($1, $2, $3) \
         ON CONFLICT (instance) DO UPDATE SET batch = excluded.batch")
    .bind(instance)
    .bind(now.timestamp_micros())
    .bind(batch)
    .execute(db)
    .await?;
    Ok(())
}

/// Whether that batch is the one that was written last.
///
/// # Errors
/// When the database fails.
pub async fn is_marked(db: &mut Db, instance: &str, batch: &str) -> Result<bool, StoreError> {
    // PostgreSQL may still be about to commit it.
    let found: Option<(Option<String>,)> = either(
        "SELECT batch FROM daemon WHERE instance = $1",
        "SELECT batch FROM daemon WHERE instance = $1 FOR UPDATE",
    )
    .bind(instance)
    .fetch_optional(db)
    .await?;
    Ok(found.is_some_and(|(last,)| last.as_deref() == Some(batch)))
}

/// When a phone of each contract was heard last.
///
/// # Errors
/// When the database fails.
pub async fn phones_heard(db: &mut Db) -> Result<BTreeMap<ContractId, Instant>, StoreError> {
    let found: Vec<(String, i64)> =
        sql("SELECT contract, max(heard_at) FROM sender WHERE kind = 'carer' GROUP BY contract")
            .fetch_all(db)
            .await?;
    found.into_iter().map(|(contract, heard)| Ok((contract.parse()?, at(heard)))).collect()
}

/// When a phone of the contract was heard last, by whichever daemon; or, where none ever was, when a
/// unit said that something happened since `since`.
///
/// # Errors
/// When the database fails.
pub async fn heard(
    db: &mut Db,
    contract: &ContractId,
    since: Instant,
) -> Result<Option<Instant>, StoreError> {
    let phones = "SELECT max(heard_at) FROM sender WHERE contract = $1 AND kind = 'carer'";
    let (heard,): (Option<i64>,) = sql(phones).bind(contract.as_str()).fetch_one(db).await?;
    if heard.is_some() {
        return Ok(heard.map(at));
    }
    let units = "SELECT max(received_at) FROM event WHERE contract = $1 AND effective_at >= $2";
    let units = sql(units).bind(contract.as_str()).bind(since.timestamp_micros());
    let (heard,): (Option<i64>,) = units.fetch_one(db).await?;
    Ok(heard.map(at))
}
