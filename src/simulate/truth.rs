//! What must be found in the visit log and in Schedule 3, by the scripts and the moments of receipt.
//!
//! Written anew from the rules, in the columns' own words; asks nothing of the domain's code but
//! the names of things.

mod schedule;

use std::collections::{BTreeMap, HashMap};

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Tz;

use super::night::{Event, Night, Visit};
use super::script::Answer;
use crate::domain::instant::Instant;
use crate::domain::policy::Contract;
use crate::domain::refs::{CarerRef, EventId};

/// A row of a file: its columns and cells.
pub type Row = BTreeMap<String, String>;

/// How much further ahead than the moment of receipt a clock is believed (R5).
const AHEAD_ALLOWED: TimeDelta = TimeDelta::minutes(2);
/// Evidence that takes longer has been reported late (R20).
const REPORTED_LATE_AFTER: TimeDelta = TimeDelta::minutes(60);
/// A night, with the moments of receipt.
pub struct Truth<'a> {
    /// The night.
    pub night: &'a Night,
    /// Its contract.
    pub contract: &'a Contract,
    /// When each event was received first.
    pub received: &'a HashMap<EventId, Instant>,
    /// The present instant.
    pub now: Instant,
}

impl Truth<'_> {
    /// Whether the script still says what is so: time alone changes some visits.
    #[must_use]
    pub fn holds(&self, visit: &Visit) -> bool {
        let until = visit.script.truth.until;
        until.is_none_or(|seconds| self.now < visit.start + TimeDelta::seconds(seconds))
    }

    /// When an event was received first.
    #[must_use]
    pub fn received(&self, event: &Event) -> Option<Instant> {
        self.received.get(&event.payload.event_id).copied()
    }

    /// The time by which an event counts (R5), and whether its clock was ahead.
    fn effective(&self, event: &Event) -> (Instant, bool) {
        let claimed = event.payload.occurred_at;
        match self.received(event) {
            Some(received) if claimed > received + AHEAD_ALLOWED => (received, true),
            _ => (claimed, false),
        }
    }

    fn of_deed(&self, visit: &Visit, deed: Option<usize>) -> Option<Instant> {
        let event = &self.night.events[*visit.events.get(deed?)?];
        Some(self.effective(event).0)
    }

    /// The name of a visit in reports.
    #[must_use]
    pub fn name(&self, visit: &Visit) -> Option<String> {
        match (&visit.plan, visit.script.truth.answer) {
            (Some(plan), _) => Some(plan.visit_ref.to_string()),
            (None, Answer::Unplanned) => {
                let first = &self.night.events[*visit.events.first()?];
                Some(format!("U-{}", first.payload.event_id))
            }
            (None, _) => None,
        }
    }

    /// From its first check-in to its last check-out (R14).
    fn call(&self, visit: &Visit) -> Option<TimeDelta> {
        let truth = &visit.script.truth;
        let from = self.of_deed(visit, truth.call_from)?;
        Some(self.of_deed(visit, truth.end)? - from)
    }

    /// Flags, sorted as the log has them.
    fn flags(&self, visit: &Visit) -> Vec<&'static str> {
        let truth = &visit.script.truth;
        let mut flags: Vec<&str> = truth.flags.iter().map(|flag| flag.as_str()).collect();
        for &event in &visit.events {
            let event = &self.night.events[event];
            let (effective, ahead) = self.effective(event);
            if ahead {
                flags.push("clock_ahead");
            }
            if self.received(event).is_some_and(|at| at - effective > REPORTED_LATE_AFTER) {
                flags.push("reported_late");
            }
        }
        if visit.script.by_receipt() {
            flags.extend(self.punctuality(visit));
        }
        flags.sort_unstable();
        flags.dedup();
        flags
    }

    /// The flags of a visit whose times are those of receipt (R17, R18, R20).
    fn punctuality(&self, visit: &Visit) -> Vec<&'static str> {
        let mut flags = Vec::new();
        let Some(started) = self.of_deed(visit, visit.script.truth.start) else { return flags };
        let deviation = started - visit.start;
        for (minutes, flag) in [(15, "late_start"), (30, "late"), (60, "after_missed")] {
            if deviation > TimeDelta::minutes(minutes) {
                flags.push(flag);
            }
        }
        if let (Some(call), Some(plan)) = (self.call(visit), &visit.plan) {
            let length = plan.end - plan.start;
            if call * 4 < length * 3 {
                flags.push("short");
            }
            if call * 2 > length * 3 {
                flags.push("overstay");
            }
        }
        flags
    }

    /// The line of the visit log; none if there is no visit.
    #[must_use]
    pub fn log_row(&self, visit: &Visit) -> Option<Row> {
        let truth = &visit.script.truth;
        let policy = self.contract.policy(night_of(self.contract.zone, visit.start));
        let start = self.of_deed(visit, truth.start);
        let seconds = |at: Option<Instant>| at.map_or(String::new(), text);
        let mut row = Row::new();
        let mut cell = |column: &str, value: String| {
            row.insert(column.to_owned(), value);
        };
        cell("contract", self.contract.id.to_string());
        cell("night", night_of(self.contract.zone, visit.start).to_string());
        cell("visit_ref", self.name(visit)?);
        cell("client_ref", visit.client.to_string());
        let plan = visit.plan.as_ref();
        let service = plan.map_or(&policy.unplanned_service, |plan| &plan.service);
        let level = plan.map_or(&policy.unplanned_service_level, |plan| &plan.service_level);
        cell("service", service.clone());
        cell("service_level", level.clone());
        let run = plan.and_then(|plan| plan.run.as_ref());
        cell("run", run.map_or(String::new(), ToString::to_string));
        cell("planned_start", seconds(plan.map(|plan| plan.start)));
        cell("planned_end", seconds(plan.map(|plan| plan.end)));
        let required = plan.map(|plan| plan.carers_required.to_string());
        cell("carers_required", required.unwrap_or_default());
        cell("present", truth.present.to_string());
        cell("start", seconds(start));
        cell("end", seconds(self.of_deed(visit, truth.end)));
        let call = self.call(visit).map(|call| rounded(micros(call), 600_000));
        cell("call_minutes", call.map_or(String::new(), decimal));
        let deviation = start.filter(|_| plan.is_some()).map(|start| start - visit.start);
        let deviation = deviation.map(|deviation| deviation.num_seconds().to_string());
        cell("deviation_seconds", deviation.unwrap_or_default());
        cell("status", truth.status.to_string());
        cell("reason", truth.reason.to_owned());
        cell("flags", self.flags(visit).join(";"));
        Some(row)
    }
    /// Whether a later event of the carer shows that the carer left this home for another (R21).
    #[must_use]
    pub fn seen_elsewhere(&self, visit: &Visit, carer: &CarerRef) -> bool {
        let own = visit.events.iter().map(|&event| &self.night.events[event]);
        let Some(last) = own.filter(|e| e.carer == *carer).map(|e| self.effective(e).0).max()
        else {
            return false;
        };
        self.night.by_carer.get(carer).into_iter().flatten().any(|&event| {
            let event = &self.night.events[event];
            let other = &self.night.visits[event.visit];
            let placed = matches!(other.script.truth.answer, Answer::Planned | Answer::Unplanned);
            placed && other.client != visit.client && self.effective(event).0 > last
        })
    }
}

/// The date of the first noon of a night (R3).
#[must_use]
pub fn night_of(zone: Tz, at: Instant) -> NaiveDate {
    (at.with_timezone(&zone).naive_local() - TimeDelta::hours(12)).date()
}

fn text(at: Instant) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn micros(length: TimeDelta) -> i64 {
    length.num_microseconds().unwrap_or(i64::MAX)
}

/// Rounded half up; nothing here is negative.
fn rounded(number: i64, by: i64) -> i64 {
    (number * 2 + by) / (by * 2)
}

/// Hundredths as a number with two decimals.
fn decimal(hundredths: i64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
