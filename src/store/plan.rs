//! The plan with its history: every version of a visit is appended, the latest is in force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use sqlx::FromRow;

use super::cases::CaseKey;
use super::sql::sql;
use super::{Db, StoreError, at, night_text, read_night, read_word, rows};
use crate::domain::calendar::Night;
use crate::domain::instant::Instant;
use crate::domain::plan::{Cancellation, PlannedVisit};
use crate::domain::refs::{ContractId, VisitRef};
use crate::domain::visit::PlanRow;

/// Versions of visits, each with the columns of its import.
macro_rules! versions {
    ($how:ident: $from:literal, $where:literal) => {
        $how!(
            "q.id, q.contract, q.visit_ref, q.client_ref, q.night, q.service, q.service_level, \
             q.run, q.start_at, q.end_at, q.carers_required, q.carers, q.time_specific, q.quantity, \
             q.cancelled_at, q.cancelled_by, q.cancel_reason, i.seq, i.committed_at",
            "FROM ",
            $from,
            " CROSS JOIN planned_visit q CROSS JOIN import i WHERE ",
            $where,
            "q.contract = p.contract AND q.visit_ref = p.visit_ref AND i.id = q.import_id \
             AND i.seq IS NOT NULL"
        )
    };
}

#[derive(FromRow, Deserialize)]
struct VersionRow {
    id: i64,
    contract: String,
    visit_ref: String,
    client_ref: String,
    night: String,
    service: String,
    service_level: String,
    run: Option<String>,
    start_at: i64,
    end_at: i64,
    carers_required: i64,
    carers: String,
    time_specific: i64,
    quantity: Option<String>,
    cancelled_at: Option<i64>,
    cancelled_by: Option<String>,
    cancel_reason: Option<String>,
    seq: i64,
    committed_at: i64,
}

/// One version of a visit.
#[derive(Debug, Clone)]
pub struct Version {
    /// The visit as that version has it.
    pub visit: Arc<PlannedVisit>,
    /// Its night.
    pub night: Night,
    /// When it came into force.
    pub known_from: Instant,
    /// The place of its import among all, and its own.
    order: (i64, i64),
}

impl VersionRow {
    fn read(self) -> Result<Version, StoreError> {
        let cancellation = match (self.cancelled_at, self.cancelled_by) {
            (Some(cancelled_at), Some(by)) => Some(Cancellation {
                at: at(cancelled_at),
                by: read_word(&by)?,
                reason: self.cancel_reason,
            }),
            _ => None,
        };
        let carers = self.carers.split(';').filter(|carer| !carer.is_empty());
        let visit = PlannedVisit {
            contract: self.contract.parse()?,
            visit_ref: self.visit_ref.parse()?,
            service: self.service,
            service_level: self.service_level,
            client_ref: self.client_ref.parse()?,
            run: self.run.map(|run| run.parse()).transpose()?,
            start: at(self.start_at),
            end: at(self.end_at),
            carers_required: u8::try_from(self.carers_required).unwrap_or(u8::MAX),
            carers: carers.map(str::parse).collect::<Result<_, _>>()?,
            time_specific: self.time_specific != 0,
            quantity: self.quantity.as_deref().map(read_word).transpose()?,
            cancellation,
        };
        Ok(Version {
            visit: Arc::new(visit),
            night: read_night(&self.night)?,
            known_from: at(self.committed_at),
            order: (self.seq, self.id),
        })
    }
}

/// Visits with their versions, the oldest first.
pub type History = BTreeMap<(ContractId, VisitRef), Vec<Version>>;

/// The row in force of a visit's versions, with what its history says about it.
#[must_use]
pub fn in_force(versions: &[Version]) -> Option<(Night, PlanRow)> {
    let last = versions.last()?;
    let replanned = versions.windows(2).any(|pair| {
        let changed_at = pair[1].known_from;
        changed_at > pair[0].visit.start || changed_at > pair[1].visit.start
    });
    // A change that leaves the times alone does not make the visit new to anybody.
    let times = |version: &Version| (version.visit.start, version.visit.end, version.night);
    let known_from = versions
        .iter()
        .rev()
        .take_while(|version| times(version) == times(last))
        .map(|version| version.known_from)
        .min()
        .unwrap_or(last.known_from);
    Some((last.night, PlanRow { visit: Arc::clone(&last.visit), replanned, known_from }))
}

fn history(found: Vec<VersionRow>) -> Result<History, StoreError> {
    let mut history = History::new();
    for row in found {
        let version = row.read()?;
        let key = (version.visit.contract.clone(), version.visit.visit_ref.clone());
        history.entry(key).or_default().push(version);
    }
    for versions in history.values_mut() {
        versions.sort_by_key(|version| version.order);
        versions.dedup_by_key(|version| version.order);
    }
    Ok(history)
}

/// All visits that have ever been planned for these client nights.
///
/// # Errors
/// When the database fails.
pub async fn of_cases(db: &mut Db, keys: &BTreeSet<CaseKey>) -> Result<History, StoreError> {
    let found = versions!(
        packed: "jsonb_each($1) k CROSS JOIN planned_visit p",
        "p.contract = k.value->>'contract' AND p.night = k.value->>'night' \
         AND p.client_ref = k.value->>'client' AND "
    )
    .bind(rows(keys.iter().map(CaseKey::to_row)))
    .fetch_packed(db)
    .await?;
    history(found)
}

/// The visits of these references.
///
/// # Errors
/// When the database fails.
pub async fn of_refs(
    db: &mut Db,
    refs: &BTreeSet<(ContractId, VisitRef)>,
) -> Result<History, StoreError> {
    if refs.is_empty() {
        return Ok(History::new());
    }
    let keys = refs
        .iter()
        .map(|(contract, visit)| row! { contract: contract.as_str(), visit: visit.as_str() });
    let found = versions!(
        packed: "(SELECT value->>'contract' AS contract, value->>'visit' AS visit_ref \
                 FROM jsonb_each($1)) p",
        ""
    )
    .bind(rows(keys))
    .fetch_packed(db)
    .await?;
    history(found)
}

/// All visits that have ever been planned for these nights of a contract, both ends included.
///
/// # Errors
/// When the database fails.
pub async fn of_nights(
    db: &mut Db,
    contract: &ContractId,
    from: Night,
    to: Night,
) -> Result<History, StoreError> {
    let found = versions!(
        plain: "(SELECT DISTINCT contract, visit_ref FROM planned_visit \
         WHERE contract = $1 AND night BETWEEN $2 AND $3) p",
        ""
    )
    .bind(contract.as_str())
    .bind(night_text(from))
    .bind(night_text(to))
    .fetch_all(db)
    .await?;
    history(found)
}

/// Whether any visit is planned for these nights of a contract, both ends included.
///
/// # Errors
/// When the database fails.
pub async fn has_visits(
    db: &mut Db,
    contract: &ContractId,
    from: Night,
    to: Night,
) -> Result<bool, StoreError> {
    let found: Option<(i64,)> =
        sql("SELECT p.id FROM planned_visit p JOIN import i ON i.id = p.import_id \
         WHERE p.contract = $1 AND p.night BETWEEN $2 AND $3 AND i.seq IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM planned_visit q JOIN import j ON j.id = q.import_id \
         WHERE q.contract = p.contract AND q.visit_ref = p.visit_ref AND j.seq > i.seq) LIMIT 1")
        .bind(contract.as_str())
        .bind(night_text(from))
        .bind(night_text(to))
        .fetch_optional(db)
        .await?;
    Ok(found.is_some())
}
