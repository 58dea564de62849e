//! Phones and telecare units: the numbers that their messages had, and when they were heard.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sqlx::FromRow;

use super::sql::{Statement, either, sql};
use super::{Db, StoreError, at, contract_rows, hold, rows};
use crate::domain::event::Sender;
use crate::domain::instant::Instant;
use crate::domain::refs::ContractId;
use crate::domain::sequence::{Run, Sequence};

/// A phone or unit of a contract.
pub type SenderKey = (ContractId, Sender);

/// What is known of a phone or unit.
#[derive(Debug, Clone)]
pub struct SenderState {
    /// The numbers that its messages had (R9).
    pub sequence: Sequence,
    /// When anything was heard from it last.
    pub heard_at: Instant,
    /// When the broker reported it lost, if it has not said since that it is online. What was heard
    /// later shows that it is not lost any more.
    pub lost_at: Option<Instant>,
    /// The next instant at which silence, or a gap, is to be flagged.
    pub due_at: Option<Instant>,
}

impl SenderState {
    /// One that is heard for the first time.
    #[must_use]
    pub fn heard(at: Instant) -> Self {
        Self { sequence: Sequence::default(), heard_at: at, lost_at: None, due_at: None }
    }
}

/// The word for a kind of sender, and its reference.
#[must_use]
pub fn words(sender: &Sender) -> (&'static str, &str) {
    match sender {
        Sender::Carer(carer) => ("carer", carer.as_str()),
        Sender::Device(device) => ("device", device.as_str()),
    }
}

pub(super) fn sender(kind: &str, reference: &str) -> Result<Sender, StoreError> {
    Ok(match kind {
        "device" => Sender::Device(reference.parse()?),
        _ => Sender::Carer(reference.parse()?),
    })
}

#[derive(FromRow, Deserialize)]
struct SenderRow {
    contract: String,
    kind: String,
    #[sqlx(rename = "ref")]
    reference: String,
    complete_to: i64,
    ahead: String,
    heard_at: i64,
    lost_at: Option<i64>,
    due_at: Option<i64>,
}

impl SenderRow {
    fn read(self) -> Result<(SenderKey, SenderState), StoreError> {
        let runs: Vec<(u64, u64, i64)> = serde_json::from_str(&self.ahead)
            .map_err(|_| StoreError::Foreign("the numbers of a sender".to_owned()))?;
        let runs = runs.into_iter().map(|(first, last, micros)| Run {
            first,
            last,
            received_at: at(micros),
        });
        let complete_to = u64::try_from(self.complete_to).unwrap_or_default();
        let state = SenderState {
            sequence: Sequence::from_parts(complete_to, runs.collect()),
            heard_at: at(self.heard_at),
            lost_at: self.lost_at.map(at),
            due_at: self.due_at.map(at),
        };
        Ok(((self.contract.parse()?, sender(&self.kind, &self.reference)?), state))
    }
}

macro_rules! of_keys {
    ($how:ident: $hold:literal) => {
        $how!(
            "s.contract, s.kind, s.ref, s.complete_to, s.ahead, s.heard_at, s.lost_at, s.due_at",
            "FROM jsonb_each($1) k CROSS JOIN sender s \
             WHERE s.contract = k.value->>'contract' \
             AND s.kind = k.value->>'kind' AND s.ref = k.value->>'ref' ",
            $hold
        )
    };
}

/// What is known of these phones and units. Where other daemons may write, no other has them in hand
/// until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn load(
    db: &mut Db,
    keys: &BTreeSet<SenderKey>,
) -> Result<BTreeMap<SenderKey, SenderState>, StoreError> {
    if !db.must_hold() {
        return read(of_keys!(packed: ""), db, keys).await;
    }
    let hold = || of_keys!(plain: "ORDER BY s.contract, s.kind, s.ref FOR UPDATE OF s");
    let mut found = read(hold(), db, keys).await?;
    let new: BTreeSet<SenderKey> =
        keys.iter().filter(|key| !found.contains_key(key)).cloned().collect();
    if !new.is_empty() {
        let name = |(contract, sender): &SenderKey| {
            let (kind, reference) = words(sender);
            format!("{contract}/{kind}/{reference}")
        };
        hold::names(db, rows(new.iter().map(name))).await?;
        found.extend(read(hold(), db, &new).await?);
    }
    Ok(found)
}

async fn read(
    statement: Statement,
    db: &mut Db,
    keys: &BTreeSet<SenderKey>,
) -> Result<BTreeMap<SenderKey, SenderState>, StoreError> {
    let keys = keys.iter().map(|(contract, sender)| {
        let (kind, reference) = words(sender);
        row! { contract: contract.as_str(), kind: kind, r#ref: reference }
    });
    let found: Vec<SenderRow> = statement.bind(rows(keys)).fetch_packed(db).await?;
    found.into_iter().map(SenderRow::read).collect()
}

/// What is known of all phones and units of a contract.
///
/// # Errors
/// When the database fails.
pub async fn of_contract(
    db: &mut Db,
    contract: &ContractId,
) -> Result<BTreeMap<SenderKey, SenderState>, StoreError> {
    let found: Vec<SenderRow> = sql("SELECT * FROM sender WHERE contract = $1")
        .bind(contract.as_str())
        .fetch_all(db)
        .await?;
    found.into_iter().map(SenderRow::read).collect()
}

macro_rules! due {
    ($hold:literal) => {
        concat!(
            "SELECT s.* FROM sender s WHERE s.due_at <= $1 \
             AND EXISTS (SELECT 1 FROM jsonb_each($3) k WHERE k.value->>'contract' = s.contract) \
             ORDER BY s.due_at LIMIT $2 ",
            $hold
        )
    };
}

/// The phones and units of these contracts about which something is due by `now`.
///
/// # Errors
/// When the database fails.
pub async fn due(
    db: &mut Db,
    of: &BTreeSet<ContractId>,
    now: Instant,
    most: i64,
) -> Result<BTreeMap<SenderKey, SenderState>, StoreError> {
    let found: Vec<SenderRow> = either(due!(""), due!("FOR UPDATE OF s SKIP LOCKED"))
        .bind(now.timestamp_micros())
        .bind(most)
        .bind(contract_rows(of))
        .fetch_all(db)
        .await?;
    found.into_iter().map(SenderRow::read).collect()
}

/// Has all phones and units looked at now.
///
/// # Errors
/// When the database fails.
pub async fn arm_all(db: &mut Db, now: Instant) -> Result<(), StoreError> {
    let now = now.timestamp_micros();
    sql("UPDATE sender SET due_at = $1").bind(now).execute(db).await?;
    Ok(())
}

/// Saves what is known of phones and units.
///
/// # Errors
/// When the database fails.
pub async fn save(
    db: &mut Db,
    senders: &BTreeMap<SenderKey, SenderState>,
) -> Result<(), StoreError> {
    if senders.is_empty() {
        return Ok(());
    }
    let values = senders.iter().map(|((contract, sender), state)| {
        let (kind, reference) = words(sender);
        let (complete_to, ahead) = state.sequence.parts();
        let ahead: Vec<(u64, u64, i64)> = ahead
            .iter()
            .map(|run| (run.first, run.last, run.received_at.timestamp_micros()))
            .collect();
        row! {
            contract: contract.as_str(),
            kind: kind,
            r#ref: reference,
            complete: complete_to,
            ahead: serde_json::to_string(&ahead).unwrap_or_default(),
            heard: state.heard_at.timestamp_micros(),
            lost: state.lost_at.map(|at| at.timestamp_micros()),
            due: state.due_at.map(|at| at.timestamp_micros()),
        }
    });
    sql("INSERT INTO sender (contract, kind, ref, complete_to, ahead, heard_at, lost_at, due_at) \
         SELECT value->>'contract', value->>'kind', value->>'ref', \
         CAST(value->>'complete' AS BIGINT), value->>'ahead', CAST(value->>'heard' AS BIGINT), \
         CAST(value->>'lost' AS BIGINT), CAST(value->>'due' AS BIGINT) \
         FROM jsonb_each($1) WHERE true \
         ON CONFLICT (contract, kind, ref) DO UPDATE SET complete_to = excluded.complete_to, \
         ahead = excluded.ahead, heard_at = excluded.heard_at, lost_at = excluded.lost_at, \
         due_at = excluded.due_at")
    .bind(rows(values))
    .execute(db)
    .await?;
    Ok(())
}
