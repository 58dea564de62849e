//! The truth looked at from another side: the scripts against the tables of the rules, the nights
//! against the borders that they must keep.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::TimeDelta;
use clap::ValueEnum;
use proptest::prelude::*;

use super::night::{self, Night, Shape};
use super::script::{Answer, Counts, Fault, Says, Script, When};
use super::scripts;
use super::truth::{Row, Truth, night_of};
use super::verify::{Found, Heard, verify};
use crate::config::load;
use crate::domain::instant::{Instant, parse_instant};
use crate::domain::policy::Contract;
use crate::domain::visit::{Flag, Status};

fn contract() -> Contract {
    load(None, []).unwrap().default_contract("default".parse().unwrap())
}

fn laid(seed: u64, visits: usize, anchor: Instant) -> Night {
    let faults = Fault::value_variants().iter().copied().collect();
    night::night(&Shape { seed, visits, faults, anchor }, &contract()).unwrap()
}

#[test]
fn a_status_counts_where_the_table_says() {
    for script in scripts::all() {
        let truth = &script.truth;
        let counts = match (truth.status, script.plan) {
            _ if !matches!(truth.answer, Answer::Planned | Answer::Unplanned) => Counts::Nothing,
            (Status::Delivered, None) => Counts::Extra,
            (Status::Delivered, Some(_)) => Counts::Actual,
            (Status::PartDelivered, _) => Counts::HalfActual,
            (Status::Frustrated, _) => Counts::Frustrated,
            (Status::Cancelled, _) => Counts::Cancelled,
            (Status::Missed, _) => Counts::Missed,
            (Status::Void, _) => Counts::Void,
            _ => Counts::Provisional,
        };
        assert_eq!(truth.counts, counts, "{}", script.name);
    }
}

#[test]
fn alerts_that_exclude_each_other_are_not_open_together() {
    for script in scripts::all() {
        let truth = &script.truth;
        let exclusive = truth.open.iter().filter(|kind| kind.is_exclusive()).count();
        assert!(exclusive <= 1, "{}", script.name);
        for kind in truth.open {
            let twice = truth.over.contains(kind) || truth.passing.contains(kind);
            assert!(!twice, "{}: {kind} is open in the end, or is not", script.name);
        }
    }
}

/// The deeds that count as the first of each carer, and what the scripts say of them.
fn punctuality(script: &Script) -> BTreeSet<Flag> {
    let (truth, Some(plan)) = (&script.truth, script.plan) else { return BTreeSet::new() };
    let at = |deed: Option<usize>| deed.map(|deed| script.deeds[deed].at + script.clock);
    let mut flags = BTreeSet::new();
    let mut note = |holds: bool, flag| {
        if holds {
            flags.insert(flag);
        }
    };
    let began = matches!(truth.status, Status::Delivered | Status::InProgress);
    if let Some(start) = at(truth.start).filter(|_| began) {
        let late = if plan.time_specific { 15 } else { 30 };
        note(start < -15 * 60, Flag::Early);
        note(start > 15 * 60, Flag::LateStart);
        note(start > late * 60, Flag::Late);
        note(start > 60 * 60, Flag::AfterMissed);
    }
    if let (Some(from), Some(end), Status::Delivered) =
        (at(truth.call_from), at(truth.end), truth.status)
    {
        note((end - from) * 4 < plan.length * 3, Flag::Short);
        note((end - from) * 2 > plan.length * 3, Flag::Overstay);
    }
    flags
}

#[test]
fn flags_of_time_are_those_that_the_times_make() {
    let of_time =
        [Flag::Early, Flag::LateStart, Flag::Late, Flag::AfterMissed, Flag::Short, Flag::Overstay];
    for script in scripts::all().filter(|script| !script.by_receipt()) {
        let stated = script.truth.flags.iter().copied().filter(|flag| of_time.contains(flag));
        assert_eq!(stated.collect::<BTreeSet<_>>(), punctuality(script), "{}", script.name);
    }
}

#[test]
fn who_is_present_has_come() {
    for script in scripts::all().filter(|script| script.truth.answer != Answer::WrongSender) {
        let carers: BTreeSet<u8> = script
            .deeds
            .iter()
            .filter(|deed| !matches!(deed.says, Says::Not(_)))
            .map(|deed| deed.who as u8)
            .collect();
        let family = script.deeds.iter().any(|deed| deed.says == Says::InWithFamily);
        let came = carers.len() + usize::from(family);
        let present = usize::from(script.truth.present);
        let is_a_visit = script.truth.counts != Counts::Nothing;
        assert_eq!(present, if is_a_visit { came } else { 0 }, "{}", script.name);
    }
}

#[test]
fn every_script_is_drawn() {
    let night = laid(7, 3_000, parse_instant("2026-11-22T02:00:00Z").unwrap());
    let drawn: BTreeSet<&str> = night.visits.iter().map(|visit| visit.script.name).collect();
    let all: BTreeSet<&str> = scripts::all().map(|script| script.name).collect();
    assert_eq!(drawn, all);
    assert_eq!(scripts::all().count(), all.len(), "each has a name of its own");
}

/// A visit that is paid for twice is as wrong as one that is not paid for.
#[test]
fn what_is_reported_twice_is_a_difference() {
    let anchor = parse_instant("2026-11-22T02:00:00Z").unwrap();
    let (night, contract) = (laid(7, 10, anchor), contract());
    let received: HashMap<_, _> =
        night.events.iter().map(|e| (e.payload.event_id, e.send_from)).collect();
    let truth = Truth { night: &night, contract: &contract, received: &received, now: anchor };
    let file = |rows: Vec<Row>| {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(rows[0].keys()).unwrap();
        for row in &rows {
            writer.write_record(row.values()).unwrap();
        }
        writer.into_inner().unwrap()
    };
    let mut log: Vec<Row> = night.visits.iter().filter_map(|v| truth.log_row(v)).collect();
    let mut schedule: Vec<Row> = truth.schedule().0.into_values().collect();
    let differences = |log: &[Row], schedule: &[Row]| {
        let (log, schedule) = (file(log.to_vec()), file(schedule.to_vec()));
        let found = Found { received: received.clone(), alerts: Vec::new(), log, schedule };
        let verdict = verify(&truth, &found, &Heard::default()).unwrap();
        let of_reports = verdict.differences.into_iter();
        of_reports.filter(|line| line.contains("expected one")).collect::<Vec<_>>()
    };
    assert!(differences(&log, &schedule).is_empty());
    log.push(log[3].clone());
    schedule.push(schedule[2].clone());
    assert_eq!(differences(&log, &schedule).len(), 2);
}

#[test]
fn a_policy_for_which_no_script_is_written_is_refused() {
    let settings = tempfile::NamedTempFile::new().unwrap();
    let text = "[[contract]]\nid = \"c\"\nlate_minutes = 20\n";
    std::fs::write(settings.path(), text).unwrap();
    let contracts = load(Some(settings.path()), []).unwrap().contracts;
    let contract = contracts.get(&"c".parse().unwrap()).unwrap();
    let anchor = parse_instant("2026-11-22T02:00:00Z").unwrap();
    let shape = Shape { seed: 1, visits: 1, faults: BTreeSet::new(), anchor };
    let refused = night::night(&shape, contract).unwrap_err().to_string();
    assert!(refused.contains("late_minutes = 30"), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// At every hour of the year, those included at which the clocks change.
    #[test]
    fn a_night_keeps_its_borders(seed: u64, minute in 0..366 * 24 * 60_i64) {
        let anchor = parse_instant("2026-01-01T00:00:00Z").unwrap() + TimeDelta::minutes(minute);
        let night = laid(seed, 120, anchor);
        let zone = contract().zone;
        let mut ids = BTreeSet::new();
        let mut inside: HashMap<_, Vec<_>> = HashMap::new();
        for visit in &night.visits {
            for &event in &visit.events {
                let event = &night.events[event];
                prop_assert!(ids.insert(event.payload.event_id));
                // What a clock that is ahead says is not believed.
                let at = event.payload.occurred_at.min(event.send_from.max(visit.start));
                prop_assert_eq!(night_of(zone, at), night_of(zone, visit.start));
            }
            let times = visit.events.iter().map(|&event| night.events[event].payload.occurred_at);
            let Some((from, to)) = times.clone().min().zip(times.max()) else { continue };
            for carer in visit.events.iter().map(|&event| &night.events[event].carer) {
                inside.entry(carer).or_default().push((from, to, &visit.client));
            }
        }
        for mut stays in inside.into_values() {
            stays.sort();
            stays.dedup();
            for pair in stays.windows(2) {
                prop_assert!(pair[0].1 < pair[1].0, "at two homes at once");
            }
        }
    }

    #[test]
    fn the_same_seed_is_the_same_night(seed: u64) {
        let anchor = parse_instant("2026-06-01T01:00:00Z").unwrap();
        let (one, other) = (laid(seed, 50, anchor), laid(seed, 50, anchor));
        let said = |night: &Night| -> Vec<_> {
            night.events.iter().map(|e| (e.sender.clone(), e.payload.clone())).collect()
        };
        prop_assert_eq!(said(&one), said(&other));
        prop_assert!(one.plan().eq(other.plan()));
    }

    /// Actual = Planned + Extra − Frustrated − Cancelled − Missed (R27), in the truth too.
    #[test]
    fn the_truth_balances(seed: u64) {
        let anchor = parse_instant("2026-06-01T01:00:00Z").unwrap();
        let (night, contract) = (laid(seed, 200, anchor), contract());
        let received: HashMap<_, _> =
            night.events.iter().map(|e| (e.payload.event_id, e.send_from)).collect();
        let truth = Truth { night: &night, contract: &contract, received: &received, now: anchor };
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        for row in truth.schedule().0.values() {
            for name in ["Actual", "Frustrated", "Cancelled", "Missed", "Extra"] {
                let cell: f64 = row[&format!("{name} Quantity")].parse().unwrap();
                *sums.entry(name).or_default() += cell;
            }
        }
        let counted = night.visits.iter().filter(|visit| {
            visit.plan.is_some()
                && !matches!(visit.script.truth.counts, Counts::Void | Counts::Provisional)
        });
        let planned: f64 = counted
            .map(|visit| visit.script.plan.and_then(|plan| plan.hundredths).unwrap_or(100))
            .map(|hundredths| f64::from(u32::try_from(hundredths).unwrap()) / 100.0)
            .sum();
        let rest = sums["Frustrated"] + sums["Cancelled"] + sums["Missed"];
        let difference = sums["Actual"] - (planned + sums["Extra"] - rest);
        prop_assert!(difference.abs() < 0.001, "{difference}");
        let ahead = night.visits.iter().filter(|v| matches!(v.script.when, When::Ahead(_)));
        prop_assert!(ahead.count() > 0);
    }
}
