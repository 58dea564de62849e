//! Whether a plan has come (R21, `no_plan`).

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::calendar::{Night, plus_days};
use super::instant::Instant;
use super::policy::Contract;

/// How long before service hours begin the plan of the night must be there.
pub const PLAN_BEFORE: TimeDelta = TimeDelta::hours(2);
/// A contract is expected to have visits if it had some within so many nights before.
pub const EXPECTED_AFTER_NIGHTS: i64 = 7;

/// The instant by which the plan of that night must be there.
#[must_use]
pub fn plan_due_at(contract: &Contract, night: Night) -> Instant {
    contract.policy(night).service_hours.begin(contract.zone, night) - PLAN_BEFORE
}

/// The nights up to `until` for which no plan came by its instant, although the contract had visits
/// in the week before, each with that instant. `planned` are the nights that have any.
#[must_use]
pub fn nights_without_plan(
    contract: &Contract,
    planned: &BTreeSet<Night>,
    until: Instant,
) -> Vec<(Night, Instant)> {
    let after = planned
        .iter()
        .flat_map(|night| (1..=EXPECTED_AFTER_NIGHTS).map(|days| plus_days(*night, days)));
    let expected: BTreeSet<Night> = after.filter(|night| !planned.contains(night)).collect();
    (expected.into_iter())
        .map(|night| (night, plan_due_at(contract, night)))
        .filter(|(_, due_at)| *due_at <= until)
        .collect()
}
