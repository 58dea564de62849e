//! A contract's nights, from the database into a casebook: what reports are made from.

use std::sync::Arc;

use chrono::NaiveDate;

use crate::caseload;
use crate::domain::calendar::{Night, plus_days};
use crate::domain::casebook::Casebook;
use crate::domain::instant::Instant;
use crate::domain::policy::Contract;
use crate::domain::visit::Visit;
use crate::store::{Db, StoreError, corrections, evidence, plan, registers};

/// The plan, the evidence and the corrections of these nights, both ends included, with all registers.
///
/// # Errors
/// When the database fails.
pub async fn load(
    db: &mut Db,
    contract: &Arc<Contract>,
    from: Night,
    to: Night,
) -> Result<Casebook, StoreError> {
    let registers = registers::load_all(db, &contract.id).await?;
    let mut book = Casebook::new(Arc::clone(contract), registers);
    for versions in plan::of_nights(db, &contract.id, from, to).await?.values() {
        if let Some((night, row)) = plan::in_force(versions)
            && (from..=to).contains(&night)
        {
            book.add_visit(row);
        }
    }
    let events = evidence::of_nights(db, &contract.id, from, to).await?;
    let placements = caseload::placements(db, &events).await?;
    for recorded in events {
        let visit_ref = caseload::visit_of(&recorded, &placements);
        if let Some(client) = recorded.client {
            book.put(Arc::new(recorded.event), client, recorded.night, visit_ref);
        }
    }
    for correction in corrections::of_nights(db, &contract.id, from, to).await? {
        // Where events were placed is read with them.
        if correction.about().is_some() {
            book.add_correction(correction);
        }
    }
    Ok(book)
}

/// The visits that are dated from `first` to `last` (R4), as the evidence has them at `now`.
///
/// # Errors
/// When the database fails.
pub async fn visits(
    db: &mut Db,
    contract: &Arc<Contract>,
    (first, last): (NaiveDate, NaiveDate),
    now: Instant,
) -> Result<Vec<Visit>, StoreError> {
    // A visit may be dated a day after its night, and overlap one of the night before or after.
    let book = load(db, contract, plus_days(first, -2), plus_days(last, 1)).await?;
    let mut visits = book.visits(now);
    visits
        .retain(|visit| (first..=last).contains(&contract.dated(visit.night, visit.planned_start)));
    Ok(visits)
}
