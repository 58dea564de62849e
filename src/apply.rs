//! What follows from an import: the nights that it touches are looked at, and events whose place
//! depends on it are placed anew (R8). Done in steps, each a short transaction, so that events are
//! never kept waiting; how far it has come is in the database.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Contracts;
use crate::domain::calendar::{Night, previous_day};
use crate::domain::instant::Instant;
use crate::domain::plan::PlannedVisit;
use crate::domain::policy::Policy;
use crate::domain::refs::{ContractId, VisitRef};
use crate::placing::place_anew;
use crate::store::cases::CaseKey;
use crate::store::hold::Whole;
use crate::store::imports::{self, ToApply};
use crate::store::{Db, StoreError, cases, evidence, plan};

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

/// The earliest instant at which an alert about a visit of this row may be due.
fn earliest_due(policy: &Policy, visit: &PlannedVisit) -> Instant {
    let allowance = policy.tolerance.min(policy.time_specific_late);
    let late = visit.start + allowance;
    visit.cancellation.as_ref().map_or(late, |cancellation| late.min(cancellation.at))
}

async fn visits(
    db: &mut Db,
    contracts: &Contracts,
    import: &ToApply,
    now: Instant,
) -> Result<(), StoreError> {
    let rows = imports::visits(db, import.id, import.applied_to, STEP_MAX).await?;
    let Some((last, ..)) = rows.last() else {
        return imports::applied(db, import.id, import.applied_to, Some(now)).await;
    };
    let last = *last;
    let refs: BTreeSet<(ContractId, VisitRef)> =
        rows.into_iter().map(|(_, contract, visit)| (contract, visit)).collect();
    let mut due: BTreeMap<CaseKey, Instant> = BTreeMap::new();
    let mut nights: BTreeSet<(ContractId, Night)> = BTreeSet::new();
    for ((contract, _), versions) in plan::of_refs(db, &refs).await? {
        let policies = contracts.get(&contract);
        // The night that a visit has left is looked at as well.
        for version in &versions {
            let client = version.visit.client_ref.clone();
            let key = CaseKey { contract: contract.clone(), night: version.night, client };
            // Of a contract that the configuration does not have yet they wait for it.
            let at = policies.map_or(now, |contract| {
                earliest_due(contract.policy(version.night), &version.visit)
            });
            let first = due.entry(key).or_insert(at);
            *first = at.min(*first);
            nights.insert((contract.clone(), version.night));
        }
    }
    let mut to_place = evidence::loosely_placed(db, &nights).await?;
    to_place.extend(evidence::naming(db, &refs).await?);
    to_place.sort_by_key(|recorded| recorded.id);
    to_place.dedup_by_key(|recorded| recorded.id);
    due.extend(place_anew(db, contracts, to_place, now).await?);
    cases::arm(db, &due, now).await?;
    imports::applied(db, import.id, last, None).await
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
