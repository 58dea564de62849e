//! What coordinators decided: appended, and read in the order in which it was decided.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sqlx::FromRow;

use super::sql::sql;
use super::{Db, StoreError, at, night_text, read_word, rows};
use crate::domain::calendar::Night;
use crate::domain::correction::{Correction, CorrectionKind};
use crate::domain::refs::{ContractId, EventId, VisitRef};

const OUTCOME: &str = "outcome";
const WITHDRAW: &str = "withdraw";
const PLACE: &str = "place";
const COMMENT: &str = "comment";

#[derive(FromRow, Deserialize)]
struct CorrectionRow {
    id: i64,
    contract: String,
    visit_ref: String,
    event_id: Option<String>,
    kind: String,
    outcome: Option<String>,
    reason: Option<String>,
    comment: Option<String>,
    return_comment: Option<String>,
    at: i64,
    who: String,
}

impl CorrectionRow {
    fn read(self) -> Result<Correction, StoreError> {
        let visit_ref: VisitRef = self.visit_ref.parse()?;
        let foreign = || StoreError::Foreign("a correction".to_owned());
        let what = match self.kind.as_str() {
            OUTCOME => {
                let outcome = self.outcome.as_deref().ok_or_else(foreign)?;
                CorrectionKind::Outcome { visit_ref, outcome: read_word(outcome)? }
            }
            WITHDRAW => CorrectionKind::Withdraw { visit_ref },
            PLACE => {
                let event_id = self.event_id.as_deref().ok_or_else(foreign)?;
                CorrectionKind::Place { event_id: read_word(event_id)?, visit_ref }
            }
            COMMENT => CorrectionKind::Comment { visit_ref },
            _ => return Err(foreign()),
        };
        Ok(Correction {
            at: at(self.at),
            by: self.who,
            contract: self.contract.parse()?,
            reason: self.reason,
            comment: self.comment,
            return_comment: self.return_comment,
            what,
        })
    }
}

macro_rules! corrections {
    ($how:ident: $rest:literal) => {
        $how!(
            "c.id, c.contract, c.visit_ref, c.event_id, c.kind, c.outcome, c.reason, c.comment, \
             c.return_comment, c.at, c.who",
            $rest
        )
    };
}

/// In the order in which they were decided.
fn read_all(mut found: Vec<CorrectionRow>) -> Result<Vec<Correction>, StoreError> {
    found.sort_unstable_by_key(|row| (row.at, row.id));
    found.into_iter().map(CorrectionRow::read).collect()
}

/// Appends a decision.
///
/// # Errors
/// When the database fails.
pub async fn add(db: &mut Db, correction: &Correction) -> Result<(), StoreError> {
    let (kind, visit, event, outcome) = match &correction.what {
        CorrectionKind::Outcome { visit_ref, outcome } => {
            (OUTCOME, visit_ref, None, Some(outcome.as_str().to_owned()))
        }
        CorrectionKind::Withdraw { visit_ref } => (WITHDRAW, visit_ref, None, None),
        CorrectionKind::Place { event_id, visit_ref } => {
            (PLACE, visit_ref, Some(event_id.to_string()), None)
        }
        CorrectionKind::Comment { visit_ref } => (COMMENT, visit_ref, None, None),
    };
    sql("INSERT INTO correction (contract, visit_ref, event_id, kind, outcome, reason, comment, \
         return_comment, at, who) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
    .bind(correction.contract.as_str())
    .bind(visit.as_str())
    .bind(event)
    .bind(kind)
    .bind(outcome)
    .bind(correction.reason.clone())
    .bind(correction.comment.clone())
    .bind(correction.return_comment.clone())
    .bind(correction.at.timestamp_micros())
    .bind(&correction.by)
    .execute(db)
    .await?;
    Ok(())
}

/// What was decided about these visits, each by all its names.
///
/// # Errors
/// When the database fails.
pub async fn of_visits(
    db: &mut Db,
    visits: &BTreeSet<(ContractId, VisitRef)>,
) -> Result<Vec<Correction>, StoreError> {
    // Most nights need no correction, and most batches are of such nights.
    if visits.is_empty() || !any(db).await? {
        return Ok(Vec::new());
    }
    let keys = visits
        .iter()
        .map(|(contract, visit)| row! { contract: contract.as_str(), visit: visit.as_str() });
    let found = corrections!(
        packed: "FROM jsonb_each($1) k CROSS JOIN correction c \
         WHERE c.contract = k.value->>'contract' AND c.visit_ref = k.value->>'visit'"
    )
    .bind(rows(keys))
    .fetch_packed(db)
    .await?;
    read_all(found)
}

async fn any(db: &mut Db) -> Result<bool, StoreError> {
    let found: Option<(i64,)> = sql("SELECT id FROM correction LIMIT 1").fetch_optional(db).await?;
    Ok(found.is_some())
}

/// What was decided about the visits of a contract's nights, both ends included, and about those that
/// are called after an event of these nights.
///
/// # Errors
/// When the database fails.
pub async fn of_nights(
    db: &mut Db,
    contract: &ContractId,
    from: Night,
    to: Night,
) -> Result<Vec<Correction>, StoreError> {
    let found = corrections!(
        plain: "FROM correction c WHERE c.contract = $1 AND (EXISTS (SELECT 1 FROM planned_visit p \
         WHERE p.contract = c.contract AND p.visit_ref = c.visit_ref \
         AND p.night BETWEEN $2 AND $3) OR EXISTS (SELECT 1 FROM event e \
         WHERE e.contract = c.contract AND e.event_id = substr(c.visit_ref, 3) \
         AND e.night BETWEEN $2 AND $3))"
    )
    .bind(contract.as_str())
    .bind(night_text(from))
    .bind(night_text(to))
    .fetch_all(db)
    .await?;
    read_all(found)
}

/// To which visits coordinators have placed events.
pub type Placements = BTreeMap<(ContractId, EventId), VisitRef>;

/// To which visits a coordinator has placed these events: what was decided last.
///
/// # Errors
/// When the database fails.
pub async fn placements(
    db: &mut Db,
    events: &BTreeSet<(ContractId, EventId)>,
) -> Result<Placements, StoreError> {
    if events.is_empty() {
        return Ok(Placements::new());
    }
    let keys = events
        .iter()
        .map(|(contract, id)| row! { contract: contract.as_str(), id: id.to_string() });
    let found = corrections!(
        packed: "FROM jsonb_each($1) k CROSS JOIN correction c \
         WHERE c.contract = k.value->>'contract' AND c.event_id = k.value->>'id' \
         AND c.event_id IS NOT NULL"
    )
    .bind(rows(keys))
    .fetch_packed(db)
    .await?;
    let placed = read_all(found)?.into_iter().filter_map(|correction| match correction.what {
        CorrectionKind::Place { event_id, visit_ref } => {
            Some(((correction.contract, event_id), visit_ref))
        }
        _ => None,
    });
    Ok(placed.collect())
}
