//! What follows from an import: the nights that it touches are looked at, and events whose place
//! depends on it are placed anew (R8). Done in steps, each a short transaction, so that events are
//! never kept waiting; how far it has come is in the database.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Contracts;
use crate::domain::calendar::{Night, previous_day};
use crate::domain::instant::Instant;
use crate::domain::policy::Policy;
use crate::domain::refs::{ContractId, VisitRef};
use crate::placing::place_anew;
use crate::store::applying::{LooseNight, Touched};
use crate::store::cases::CaseKey;
use crate::store::hold::Whole;
use crate::store::imports::{self, ToApply};
use crate::store::{Db, StoreError, applying, cases, evidence};

/// Most rows or events that are dealt with in one step.
pub const STEP_MAX: i64 = 500;

/// The word by which an import of visits is known; the others are registers.
pub const VISITS: &str = "visits";

/// Takes one step of the oldest import that has not been applied. Returns whether there was one.
///
/// # Errors
/// When the database fails.
pub async fn step(db: &mut Db, contracts: &Contracts, now: Instant) -> Result<bool, StoreError> {
    // One daemon does it, and the next goes on where that one has stopped.
    if !Whole::Imports.try_take(db).await? {
        return Ok(false);
    }
    let Some(import) = imports::to_apply(db).await? else { return Ok(false) };
    Whole::Plan.share(db).await?;
    if import.kind == VISITS {
        visits(db, contracts, &import, now).await?;
    } else {
        registers(db, contracts, &import, now).await?;
    }
    Ok(true)
}

/// The earliest instant at which an alert about a visit may be due.
fn earliest_due(policy: &Policy, touched: &Touched) -> Instant {
    let allowance = policy.tolerance.min(policy.time_specific_late);
    let late = touched.start + allowance;
    touched.cancelled_at.map_or(late, |cancelled_at| late.min(cancelled_at))
}

/// Visits: events that may belong to them are placed anew first, so that none of their nights is looked
/// at without its events.
async fn visits(
    db: &mut Db,
    contracts: &Contracts,
    import: &ToApply,
    now: Instant,
) -> Result<(), StoreError> {
    let touched = applying::touched(db, import.id, import.applied_to, STEP_MAX).await?;
    let Some(last) = touched.iter().map(|touched| touched.row).max() else {
        applying::forget_nights(db, import.id).await?;
        return imports::applied(db, import.id, import.applied_to, Some(now)).await;
    };
    let nights = touched.iter().map(|touched| (touched.contract.clone(), touched.night)).collect();
    if let Some(night) = applying::loose_night(db, import.id, &nights).await? {
        return loosely_placed(db, contracts, import, &night, now).await;
    }
    let mut due: BTreeMap<CaseKey, Instant> = BTreeMap::new();
    let mut refs: BTreeSet<(ContractId, VisitRef)> = BTreeSet::new();
    // The night that a visit has left is looked at as well.
    for touched in touched {
        // Of a contract that the configuration does not have yet they wait for it.
        let at = contracts
            .get(&touched.contract)
            .map_or(now, |contract| earliest_due(contract.policy(touched.night), &touched));
        let Touched { contract, visit_ref, night, client, .. } = touched;
        refs.insert((contract.clone(), visit_ref));
        let first = due.entry(CaseKey { contract, night, client }).or_insert(at);
        *first = at.min(*first);
    }
    let naming = evidence::naming(db, &refs).await?;
    due.extend(place_anew(db, contracts, naming, now).await?);
    cases::arm(db, &due, now).await?;
    imports::applied(db, import.id, last, None).await
}

/// The events of a night that are unplaced or were placed by their position.
async fn loosely_placed(
    db: &mut Db,
    contracts: &Contracts,
    import: &ToApply,
    night: &LooseNight,
    now: Instant,
) -> Result<(), StoreError> {
    let events =
        evidence::loosely_placed(db, &night.contract, night.night, night.placed_to, STEP_MAX)
            .await?;
    let last = events.last().map(|recorded| recorded.id);
    let touched = place_anew(db, contracts, events, now).await?;
    cases::arm(db, &touched, now).await?;
    applying::placed(db, import.id, night, last).await
}

/// A register: first the nights of its clients, then, in order of receipt, all events from the
/// earliest date on whose place depends on registers.
async fn registers(
    db: &mut Db,
    contracts: &Contracts,
    import: &ToApply,
    now: Instant,
) -> Result<(), StoreError> {
    if import.applied_to == 0 {
        for (contract, client) in imports::register_clients(db, import.id).await? {
            cases::arm_client(db, &contract, &client, now).await?;
        }
    }
    // A date begins within the night before it.
    let from: BTreeMap<ContractId, Option<Night>> = imports::placing_from(db, import.id)
        .await?
        .into_iter()
        .map(|(contract, from)| (contract, from.map(previous_day)))
        .collect();
    let events = evidence::to_place_anew(db, &from, import.applied_to, STEP_MAX).await?;
    let Some(last) = events.last().map(|recorded| recorded.id) else {
        return imports::applied(db, import.id, import.applied_to, Some(now)).await;
    };
    let touched = place_anew(db, contracts, events, now).await?;
    cases::arm(db, &touched, now).await?;
    imports::applied(db, import.id, last, None).await
}
