//! What holds of every night, however it went (R8, R20, R21, R27), on small nights at random.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod properties {
    pub mod nights;
}

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{Datelike, Days, NaiveDate, TimeDelta};
use nightrun::domain::alert::AlertKind;
use nightrun::domain::calendar::DatedBy;
use nightrun::domain::casebook::Casebook;
use nightrun::domain::instant::{Instant, micros};
use nightrun::domain::policy::{Contract, Unit};
use nightrun::domain::schedule3::Schedule3;
use nightrun::domain::visit::{Status, Visit};
use nightrun::replay::play;
use nightrun::report;
use nightrun::report::alerts::Line;
use properties::nights::{Night, Places, extreme, message, night};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// The visit log and Schedule 3 of a casebook, as text.
fn reports(book: &Casebook, as_of: Instant) -> (String, String) {
    let visits = book.visits(as_of);
    let mut schedule3 = Schedule3::default();
    for visit in &visits {
        schedule3.add(&book.contract, visit);
    }
    let log = report::visits::csv(visits.iter().map(|visit| (&*book.contract, visit)));
    let rows = report::schedule3::csv(&schedule3.rows().unwrap());
    (String::from_utf8(log).unwrap(), String::from_utf8(rows).unwrap())
}

fn alerts(lines: Vec<Line>) -> String {
    String::from_utf8(report::alerts::csv(lines)).unwrap()
}

/// The same things in another order, by a random key for each.
fn shuffled<T>(things: impl IntoIterator<Item = T>, keys: &[u32]) -> Vec<T> {
    let mut keyed: Vec<(u32, T)> = keys.iter().copied().cycle().zip(things).collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, thing)| thing).collect()
}

/// A quantity as a whole number of parts: a twelfth of a microsecond's share of an hour, so that
/// hours, decimals of the plan, and halves, thirds and quarters of them are exact.
const PARTS: i128 = 12 * 3_600_000_000;

/// A row's quantities, worked again from its visits: what was planned, then what the row shows.
#[derive(Debug, Default)]
struct Sums {
    planned: i128,
    frustrated: i128,
    cancelled: i128,
    missed: i128,
    extra: i128,
}

fn hours(length: TimeDelta) -> i128 {
    i128::from(micros(length)) * 12
}

fn planned_parts(contract: &Contract, visit: &Visit) -> i128 {
    let plan = &visit.plan.as_ref().unwrap().visit;
    match (plan.quantity, contract.policy(visit.night).unit) {
        (Some(quantity), _) => {
            let text = quantity.to_exact();
            let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
            format!("{whole}{decimals:0<6}").parse::<i128>().unwrap() * (PARTS / 1_000_000)
        }
        (None, Unit::Visit) => PARTS,
        (None, Unit::Hour) => hours(plan.end - plan.start),
    }
}

impl Sums {
    fn add(&mut self, contract: &Contract, visit: &Visit) {
        if visit.plan.is_none() {
            self.extra += match (visit.status, contract.policy(visit.night).unit) {
                (Status::Delivered, Unit::Visit) => PARTS,
                (Status::Delivered, Unit::Hour) => visit.call.map_or(0, hours),
                _ => 0,
            };
            return;
        }
        let planned = planned_parts(contract, visit);
        match visit.status {
            Status::Delivered => {}
            Status::PartDelivered => {
                let absent = i128::from(visit.carers_required - visit.present);
                self.missed += planned * absent / i128::from(visit.carers_required);
            }
            Status::Frustrated => self.frustrated += planned,
            Status::Cancelled => self.cancelled += planned,
            Status::Missed => self.missed += planned,
            _ => return,
        }
        self.planned += planned;
    }
}

/// Two decimals, half away from zero.
fn shown(parts: i128) -> String {
    let hundredths = (parts.abs() * 200 + PARTS) / (2 * PARTS);
    let sign = if parts < 0 && hundredths > 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The Monday of the week to which a visit counts.
fn week(contract: &Contract, visit: &Visit) -> NaiveDate {
    let date = match contract.policy(visit.night).dated_by {
        DatedBy::Night => visit.night,
        DatedBy::Start => visit.planned_start.with_timezone(&contract.zone).date_naive(),
    };
    date - Days::new(date.weekday().num_days_from_monday().into())
}

fn sums(contract: &Contract, visits: &[Visit]) -> BTreeMap<[String; 4], Sums> {
    let mut all: BTreeMap<_, Sums> = BTreeMap::new();
    for visit in visits {
        let policy = contract.policy(visit.night);
        let (service, level) = match &visit.plan {
            Some(plan) => (&plan.visit.service, &plan.visit.service_level),
            None => (&policy.unplanned_service, &policy.unplanned_service_level),
        };
        let week = week(contract, visit).to_string();
        let key = [service.clone(), level.clone(), visit.client.to_string(), week];
        if visit.status != Status::Void {
            all.entry(key).or_default().add(contract, visit);
        }
    }
    all
}

/// From when to when alerts were open, by what excludes each other.
fn open_spans(lines: &[Line]) -> BTreeMap<(String, String), Vec<(Instant, Instant)>> {
    let mut spans: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.kind != AlertKind::SequenceGap) {
        let until = line.resolved.map_or(Instant::MAX_UTC, |(at, _)| at);
        let visit = match &line.visit_ref {
            Some(visit) => visit.to_string(),
            None => line.night.to_string(),
        };
        let mut group = vec![line.kind.as_str()];
        if line.kind.is_exclusive() {
            group.push("one of five");
        }
        for name in group {
            let key = (visit.clone(), name.to_owned());
            spans.entry(key).or_default().push((line.raised_at, until));
        }
    }
    spans
}

/// Plays the night's messages in another order, and some of them again, and lets them arrive in
/// another order altogether: the visits, flags and quantities are the same.
fn check_any_order(
    night: &Night,
    keys: &[u32],
    again: &[(Index, i64)],
) -> Result<(), TestCaseError> {
    let mut book = night.book();
    let told = alerts(play(&mut book, night.evidence(), night.as_of));
    let expected = reports(&book, night.as_of);

    let mut evidence = night.evidence();
    if !night.events.is_empty() {
        for (index, fives) in again {
            let mut copy = index.get(&night.events).clone();
            copy.received_at += TimeDelta::minutes(5 * fives);
            evidence.push(message(&copy));
        }
    }
    let mut book = night.book();
    let told_again = alerts(play(&mut book, shuffled(evidence, keys), night.as_of));
    prop_assert_eq!(&reports(&book, night.as_of), &expected);
    prop_assert_eq!(told_again, told);

    // Arrival itself in another order: only the events know when they were received.
    let mut book = night.book();
    let mut corrections: Vec<_> =
        night.corrections.iter().filter(|correction| correction.at <= night.as_of).collect();
    corrections.sort_by_key(|correction| correction.at);
    let mut corrections = corrections.into_iter();
    let known = night.events.iter().filter(|event| event.received_at <= night.as_of);
    for (number, event) in shuffled(known, keys).into_iter().enumerate() {
        if keys[number % keys.len()].is_multiple_of(3)
            && let Some(correction) = corrections.next()
        {
            book.add_correction(correction.clone());
        }
        book.add_event(Arc::new(event.clone()));
    }
    for correction in corrections {
        book.add_correction(correction.clone());
    }
    prop_assert_eq!(reports(&book, night.as_of), expected);
    Ok(())
}

fn cases(number: u32) -> ProptestConfig {
    ProptestConfig { cases: number, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(2000))]

    /// (R6, R8) In any order, each with its moment of receipt, and any of them again.
    #[test]
    fn any_order_and_any_duplication_give_the_same_night(
        night in night(Places::Planned),
        keys in vec(any::<u32>(), 1..40),
        again in vec((any::<Index>(), 0..24_i64), 0..5),
    ) {
        check_any_order(&night, &keys, &again)?;
    }

    /// (R8, R11, R12) Also where an event, or a coordinator, names an unplanned visit, whose event
    /// may arrive later or be placed elsewhere.
    #[test]
    fn any_order_of_events_that_are_placed_by_each_other(
        night in night(Places::Any),
        keys in vec(any::<u32>(), 1..40),
    ) {
        check_any_order(&night, &keys, &[])?;
    }

    /// (R27) Every row balances, by quantities worked again from its visits.
    #[test]
    fn every_row_of_schedule_3_balances(night in night(Places::Any)) {
        let mut book = night.book();
        play(&mut book, night.evidence(), night.as_of);
        let visits = book.visits(night.as_of);
        let mut schedule3 = Schedule3::default();
        for visit in &visits {
            schedule3.add(&night.contract, visit);
        }
        let rows = schedule3.rows().unwrap();
        let sums = sums(&night.contract, &visits);
        prop_assert_eq!(rows.len(), sums.len());
        for row in rows {
            let key = &row.key;
            let (client, week) = (key.client.to_string(), key.start_date.to_string());
            let key = [key.service.clone(), key.service_level.clone(), client, week];
            let Sums { planned, frustrated, cancelled, missed, extra } = sums[&key];
            let actual = planned + extra - frustrated - cancelled - missed;
            prop_assert_eq!(row.actual.to_string(), shown(actual), "actual of {:?}", key);
            prop_assert_eq!(row.frustrated.to_string(), shown(frustrated), "of {:?}", key);
            prop_assert_eq!(row.cancelled.to_string(), shown(cancelled), "of {:?}", key);
            prop_assert_eq!(row.missed.to_string(), shown(missed), "of {:?}", key);
            prop_assert_eq!(row.extra.to_string(), shown(extra), "of {:?}", key);
            prop_assert!(actual >= 0);
        }
    }

    /// (R21) At every point at most one alert is open for a visit and kind, and at most one of the
    /// five that exclude each other.
    #[test]
    fn at_most_one_alert_is_open(night in night(Places::Any)) {
        let mut book = night.book();
        let lines = play(&mut book, night.evidence(), night.as_of);
        for line in &lines {
            prop_assert!(line.raised_at >= line.due_at, "raised before it was due: {:?}", line);
            prop_assert!(line.raised_at <= night.as_of, "raised after now: {:?}", line);
            let ended = line.resolved.is_none_or(|(at, _)| line.raised_at <= at);
            prop_assert!(ended, "ended before it was raised: {:?}", line);
        }
        for (key, mut spans) in open_spans(&lines) {
            spans.sort();
            for pair in spans.windows(2) {
                prop_assert!(pair[0].1 <= pair[1].0, "two are open for {:?}: {:?}", key, spans);
            }
        }
    }

    /// Nothing panics: whatever the instants, from the first that can be written to the last.
    #[test]
    fn no_instant_is_too_extreme(
        night in night(Places::Any),
        of_plan in vec(extreme(), 5),
        of_events in vec((extreme(), extreme()), 12),
        of_corrections in vec(extreme(), 4),
        as_of in extreme(),
    ) {
        let mut night: Night = night;
        for (visit, at) in night.plan.iter_mut().zip(of_plan) {
            let length = visit.length();
            visit.start = at;
            visit.end = at + length;
            if let Some(cancellation) = &mut visit.cancellation {
                cancellation.at = at;
            }
        }
        for (event, (occurred_at, received_at)) in night.events.iter_mut().zip(of_events) {
            event.occurred_at = occurred_at;
            event.received_at = received_at;
        }
        for (correction, at) in night.corrections.iter_mut().zip(of_corrections) {
            correction.at = at;
        }
        let mut book = night.book();
        alerts(play(&mut book, night.evidence(), as_of));
        for now in [as_of, Instant::MIN_UTC, Instant::MAX_UTC] {
            reports(&book, now);
        }
    }
}
