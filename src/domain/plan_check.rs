//! Whether a plan has come (R21, `no_plan`), and whether it can be worked.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::calendar::{Night, plus_days};
use super::instant::Instant;
use super::plan::PlannedVisit;
use super::policy::Contract;
use super::refs::{CarerRef, ClientRef, RunRef, VisitRef};

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

/// What is remarkable about a plan: something that cannot be worked, or that the client should know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remark {
    /// One carer is to be in two homes at once.
    InTwoHomes {
        /// The carer.
        carer: CarerRef,
        /// The visit that begins first.
        visit: VisitRef,
        /// The one that begins before it ends.
        other: VisitRef,
    },
    /// Fewer carers are listed than the visit needs.
    TooFewCarers {
        /// The visit.
        visit: VisitRef,
        /// How many are listed.
        listed: usize,
        /// How many it needs.
        required: u8,
    },
    /// Nobody is listed for any visit of a run, although others have lists.
    RunWithoutCarers(RunRef),
    /// The visit is outside service hours (R3).
    OutsideServiceHours(VisitRef),
    /// The client has not met the carer, and is to be told [OOH 6.6.1].
    NotMet {
        /// The client.
        client: ClientRef,
        /// The carer.
        carer: CarerRef,
        /// The first visit at which they meet.
        visit: VisitRef,
    },
}

/// What is remarkable about the plan of a night. `has_met` says whether a client has had a visit by a
/// carer before. Visits that are cancelled are left out.
#[must_use]
pub fn remarks(
    contract: &Contract,
    night: Night,
    plan: &[&PlannedVisit],
    has_met: impl Fn(&ClientRef, &CarerRef) -> bool,
) -> Vec<Remark> {
    let mut plan: Vec<&PlannedVisit> =
        plan.iter().copied().filter(|visit| visit.cancellation.is_none()).collect();
    plan.sort_by_key(|visit| (visit.start, visit.visit_ref.clone()));
    let mut remarks = Vec::new();
    let hours = contract.policy(night).service_hours;
    let service = (hours.begin(contract.zone, night), hours.end(contract.zone, night));
    let lists_carers = plan.iter().any(|visit| !visit.carers.is_empty());
    let mut of_carer: BTreeMap<&CarerRef, Vec<&PlannedVisit>> = BTreeMap::new();
    let mut runs: BTreeMap<&RunRef, bool> = BTreeMap::new();
    let mut meetings = BTreeSet::new();
    for visit in &plan {
        let (name, listed) = (|| visit.visit_ref.clone(), visit.carers.len());
        if visit.start < service.0 || visit.end > service.1 {
            remarks.push(Remark::OutsideServiceHours(name()));
        }
        if listed > 0 && listed < usize::from(visit.carers_required) {
            let required = visit.carers_required;
            remarks.push(Remark::TooFewCarers { visit: name(), listed, required });
        }
        if let Some(run) = &visit.run {
            *runs.entry(run).or_default() |= listed > 0;
        }
        for carer in &visit.carers {
            of_carer.entry(carer).or_default().push(visit);
            let meet = (&visit.client_ref, carer);
            if meetings.insert(meet) && !has_met(meet.0, meet.1) {
                let (client, carer) = (visit.client_ref.clone(), carer.clone());
                remarks.push(Remark::NotMet { client, carer, visit: name() });
            }
        }
    }
    for (carer, visits) in of_carer {
        for pair in visits.windows(2).filter(|pair| pair[1].start < pair[0].end) {
            if pair[0].client_ref != pair[1].client_ref {
                remarks.push(Remark::InTwoHomes {
                    carer: carer.clone(),
                    visit: pair[0].visit_ref.clone(),
                    other: pair[1].visit_ref.clone(),
                });
            }
        }
    }
    let empty = runs.into_iter().filter(|(_, has_carers)| lists_carers && !has_carers);
    remarks.extend(empty.map(|(run, _)| Remark::RunWithoutCarers(run.clone())));
    remarks.sort();
    remarks
}

impl Remark {
    /// As a sentence.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::InTwoHomes { carer, visit, other } => {
                format!("carer {carer} is to be at {visit} and at {other} at the same time")
            }
            Self::TooFewCarers { visit, listed, required } => {
                format!("{visit} needs {required} carers, and {listed} is listed")
            }
            Self::RunWithoutCarers(run) => format!("nobody is listed for run {run}"),
            Self::OutsideServiceHours(visit) => format!("{visit} is outside service hours"),
            Self::NotMet { client, carer, visit } => {
                format!(
                    "client {client} has not met carer {carer}, who comes at {visit}: tell them"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use crate::domain::instant::parse_instant;

    fn visit(name: &str, client: &str, (from, to): (&str, &str), carers: &[&str]) -> PlannedVisit {
        let at = |time: &str| parse_instant(&format!("2019-02-05T{time}:00Z")).unwrap();
        PlannedVisit {
            contract: "default".parse().unwrap(),
            visit_ref: name.parse().unwrap(),
            service: "Night care".to_owned(),
            service_level: "Standard".to_owned(),
            client_ref: client.parse().unwrap(),
            run: Some(format!("run-{}", &name[..1]).parse().unwrap()),
            start: at(from),
            end: at(to),
            carers_required: 2,
            carers: carers.iter().map(|carer| carer.parse().unwrap()).collect(),
            time_specific: false,
            quantity: None,
            cancellation: None,
        }
    }

    #[test]
    fn what_cannot_be_worked_is_pointed_out() {
        let contract = load(None, []).unwrap().default_contract("default".parse().unwrap());
        let night = "2019-02-04".parse().unwrap();
        let told = |plan: &[PlannedVisit]| -> Vec<String> {
            let plan: Vec<&PlannedVisit> = plan.iter().collect();
            let met = |client: &ClientRef, carer: &CarerRef| {
                client.as_str() != "c-new" && carer.as_str() != "new"
            };
            remarks(&contract, night, &plan, met).iter().map(Remark::text).collect()
        };
        let good = visit("a1", "c-1", ("01:00", "01:30"), &["ann", "ben"]);
        assert_eq!(told(std::slice::from_ref(&good)), [""; 0]);
        let also = |other: PlannedVisit| told(&[good.clone(), other]);
        assert_eq!(
            also(visit("a2", "c-2", ("01:29", "02:00"), &["ann", "cat"])),
            ["carer ann is to be at a1 and at a2 at the same time"]
        );
        // The one ends as the other begins; and two visits in one home are one.
        assert_eq!(also(visit("a2", "c-2", ("01:30", "02:00"), &["ann", "cat"])), [""; 0]);
        assert_eq!(also(visit("a2", "c-1", ("01:10", "02:00"), &["ann", "cat"])), [""; 0]);
        assert_eq!(
            also(visit("a2", "c-2", ("02:00", "02:30"), &["cat"])),
            ["a2 needs 2 carers, and 1 is listed"]
        );
        assert_eq!(
            also(visit("b1", "c-2", ("02:00", "02:30"), &[])),
            ["nobody is listed for run run-b"]
        );
        assert_eq!(
            also(visit("a2", "c-2", ("06:50", "07:10"), &["cat", "dan"])),
            ["a2 is outside service hours"]
        );
        assert_eq!(
            also(visit("a2", "c-2", ("02:00", "02:30"), &["cat", "new"])),
            ["client c-2 has not met carer new, who comes at a2: tell them"]
        );
        let mut cancelled = visit("a2", "c-2", ("01:00", "01:30"), &["ann"]);
        cancelled.cancellation = Some(crate::domain::plan::Cancellation {
            at: good.start,
            by: crate::domain::plan::CancelledBy::Client,
            reason: None,
        });
        assert_eq!(also(cancelled), [""; 0]);
        // A plan that lists nobody says nothing about carers.
        assert_eq!(told(&[visit("b1", "c-2", ("02:00", "02:30"), &[])]), [""; 0]);
    }
}
