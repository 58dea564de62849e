//! Client nights: by what they are loaded, and when something about them is due.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::sql::{Statement, either, sql};
use super::{Db, StoreError, contract_rows, hold, night_text, read_night, rows};
use crate::domain::calendar::Night;
use crate::domain::instant::Instant;
use crate::domain::refs::{ClientRef, ContractId};

/// A client's night. In order of contract, night, client: whoever writes several, does so in that
/// order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseKey {
    /// The contract.
    pub contract: ContractId,
    /// The night.
    pub night: Night,
    /// The client.
    pub client: ClientRef,
}

impl CaseKey {
    /// As a row of a statement's array.
    #[must_use]
    pub(super) fn to_row(&self) -> impl Serialize {
        row! {
            contract: self.contract.as_str(),
            night: self.night,
            client: self.client.as_str(),
        }
    }
}

/// Client nights from their contract, night and client.
pub(super) fn read_keys(
    found: Vec<(String, String, String)>,
) -> Result<BTreeSet<CaseKey>, StoreError> {
    found
        .into_iter()
        .map(|(contract, night, client)| {
            let night = read_night(&night)?;
            Ok(CaseKey { contract: contract.parse()?, night, client: client.parse()? })
        })
        .collect()
}

macro_rules! due {
    ($hold:literal) => {
        concat!(
            "SELECT n.contract, n.night, n.client_ref FROM night n WHERE n.due_at <= $1 \
             AND EXISTS (SELECT 1 FROM jsonb_each($3) k WHERE k.value->>'contract' = n.contract) \
             ORDER BY n.due_at DESC LIMIT $2 ",
            $hold
        )
    };
}

/// The client nights of these contracts about which something is due by `now`, those that became due
/// last first: an old backlog does not hold up what happens now.
///
/// # Errors
/// When the database fails.
pub async fn due(
    db: &mut Db,
    of: &BTreeSet<ContractId>,
    now: Instant,
    most: i64,
) -> Result<BTreeSet<CaseKey>, StoreError> {
    // Not by IN: that would read all nights of these contracts, and not what is due. What another
    // daemon has in hand, it looks at.
    let found = either(due!(""), due!("FOR UPDATE OF n SKIP LOCKED"))
        .bind(now.timestamp_micros())
        .bind(most)
        .bind(contract_rows(of))
        .fetch_all(db)
        .await?;
    read_keys(found)
}

macro_rules! due_at {
    ($how:ident: $hold:literal) => {
        $how!(
            "n.contract, n.night, n.client_ref, n.due_at",
            "FROM jsonb_each($1) k CROSS JOIN night n WHERE n.contract = k.value->>'contract' \
             AND n.night = k.value->>'night' AND n.client_ref = k.value->>'client' ",
            $hold
        )
    };
}

/// When something about these client nights is due next. Where other daemons may write, no other has
/// these nights in hand until the transaction ends, also those that have no row yet.
///
/// # Errors
/// When the database fails.
pub async fn due_at(
    db: &mut Db,
    keys: &BTreeSet<CaseKey>,
) -> Result<BTreeMap<CaseKey, Option<i64>>, StoreError> {
    if !db.must_hold() {
        return read_due(due_at!(packed: ""), db, keys).await;
    }
    let hold = || due_at!(plain: "ORDER BY n.contract, n.night, n.client_ref FOR UPDATE OF n");
    let mut found = read_due(hold(), db, keys).await?;
    let new: BTreeSet<CaseKey> =
        keys.iter().filter(|key| !found.contains_key(key)).cloned().collect();
    if !new.is_empty() {
        let name = |key: &CaseKey| format!("{}/{}/{}", key.contract, key.night, key.client);
        hold::names(db, rows(new.iter().map(name))).await?;
        // Whoever held a name before may have made the row.
        found.extend(read_due(hold(), db, &new).await?);
    }
    Ok(found)
}

async fn read_due(
    statement: Statement,
    db: &mut Db,
    keys: &BTreeSet<CaseKey>,
) -> Result<BTreeMap<CaseKey, Option<i64>>, StoreError> {
    let found: Vec<(String, String, String, Option<i64>)> =
        statement.bind(rows(keys.iter().map(CaseKey::to_row))).fetch_packed(db).await?;
    found
        .into_iter()
        .map(|(contract, night, client, due_at)| {
            let night = read_night(&night)?;
            Ok((CaseKey { contract: contract.parse()?, night, client: client.parse()? }, due_at))
        })
        .collect()
}

/// When something about a client's night is due next.
pub struct Next<'a> {
    /// The client's night.
    pub key: &'a CaseKey,
    /// When; `None`: nothing is.
    pub due_at: Option<Instant>,
    /// What it came to, if nothing is due ([`super::settled`]).
    pub settled: Option<String>,
}

/// Records when something about client nights is due next.
///
/// # Errors
/// When the database fails.
pub async fn set_next<'a>(
    db: &mut Db,
    next: impl IntoIterator<Item = Next<'a>>,
) -> Result<(), StoreError> {
    let next = next.into_iter().map(|Next { key, due_at, settled }| {
        row! {
            contract: key.contract.as_str(),
            night: key.night,
            client: key.client.as_str(),
            due: due_at.map(|at| at.timestamp_micros()),
            settled: settled,
        }
    });
    sql("INSERT INTO night (contract, night, client_ref, due_at, settled) \
         SELECT value->>'contract', value->>'night', value->>'client', \
         CAST(value->>'due' AS BIGINT), value->>'settled' FROM jsonb_each($1) WHERE true \
         ON CONFLICT (contract, client_ref, night) \
         DO UPDATE SET due_at = excluded.due_at, settled = excluded.settled")
    .bind(rows(next))
    .execute(db)
    .await?;
    Ok(())
}

/// Has client nights looked at: those that are known now, others at the instant given.
///
/// # Errors
/// When the database fails.
pub async fn arm(
    db: &mut Db,
    due: &BTreeMap<CaseKey, Instant>,
    now: Instant,
) -> Result<(), StoreError> {
    let due = due.iter().map(|(key, at)| {
        row! {
            contract: key.contract.as_str(),
            night: key.night,
            client: key.client.as_str(),
            due: at.timestamp_micros(),
        }
    });
    sql("INSERT INTO night (contract, night, client_ref, due_at) \
         SELECT value->>'contract', value->>'night', value->>'client', \
         CAST(value->>'due' AS BIGINT) FROM jsonb_each($1) WHERE true \
         ON CONFLICT (contract, client_ref, night) DO UPDATE SET due_at = $2")
    .bind(rows(due))
    .bind(now.timestamp_micros())
    .execute(db)
    .await?;
    Ok(())
}

/// Has all nights of a client looked at now.
///
/// # Errors
/// When the database fails.
pub async fn arm_client(
    db: &mut Db,
    contract: &ContractId,
    client: &ClientRef,
    now: Instant,
) -> Result<(), StoreError> {
    sql("UPDATE night SET due_at = $3 WHERE contract = $1 AND client_ref = $2")
        .bind(contract.as_str())
        .bind(client.as_str())
        .bind(now.timestamp_micros())
        .execute(db)
        .await?;
    Ok(())
}

/// Has all client nights from that one on looked at now.
///
/// # Errors
/// When the database fails.
pub async fn arm_from(db: &mut Db, night: Night, now: Instant) -> Result<(), StoreError> {
    sql("UPDATE night SET due_at = $2 WHERE night >= $1")
        .bind(night_text(night))
        .bind(now.timestamp_micros())
        .execute(db)
        .await?;
    Ok(())
}
