//! What a visit's plan, attendances, statement and corrections make of it (R13 to R17, R20, R22).

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::attendance::{Attendance, PlacedEvent};
use super::calendar::{local_date, noon};
use super::correction::{Correction, CorrectionKind, Outcome};
use super::instant::{Instant, minutes};
use super::place::Whereabouts;
use super::plan::{Cancellation, CancelledBy};
use super::policy::{Contract, Policy};
use super::visit::{ClientNight, Flag, InForce, Status, Visit};

/// Evidence that takes longer than this to arrive is flagged (R20).
pub const REPORTED_LATE_AFTER: TimeDelta = minutes(60);

/// Fills in everything that follows from a visit's plan and attendances.
pub(super) fn judge(visit: &mut Visit, of: &ClientNight<'_>, policy: &Policy, now: Instant) {
    count_people(visit);
    let last_check_in = visit.attendances.iter().filter_map(Attendance::began).max();
    if let Some(statement) = &mut visit.statement {
        statement.stands = last_check_in.is_none_or(|at| at <= statement.event.effective_at);
    }
    apply_corrections(visit, of.corrections, now);
    (visit.status, visit.reason) = status(visit, of.contract, policy, now);
    visit.flags = flags(visit, policy);
}

/// Present, start, end and call duration (R13, R14).
fn count_people(visit: &mut Visit) {
    let mut checked_in: Vec<Instant> = Vec::new();
    let mut present = 0_usize;
    for (index, attendance) in visit.attendances.iter().enumerate() {
        let carer = &attendance.carer;
        if visit.attendances[..index].iter().any(|earlier| earlier.carer == *carer) {
            continue;
        }
        present += 1;
        let of_carer = visit.attendances.iter().filter(|other| other.carer == *carer);
        checked_in.extend(of_carer.filter_map(Attendance::began).min());
    }
    let first_check_in = checked_in.iter().min().copied();
    let informal = visit.attendances.iter().filter(|a| a.informal_carer());
    if let Some(from) = informal.filter_map(Attendance::began).min() {
        present += 1;
        checked_in.push(from);
    }
    checked_in.sort();
    visit.present = u8::try_from(present).unwrap_or(u8::MAX);
    visit.start = checked_in.get(usize::from(visit.carers_required) - 1).copied();
    visit.end = visit.attendances.iter().filter_map(Attendance::ended).max();
    visit.call = (first_check_in.zip(visit.end))
        .map(|(began, ended)| ended - began)
        .filter(|call| *call >= TimeDelta::zero());
}

/// Finds the correction in force at `now` and the comments for the return.
fn apply_corrections(visit: &mut Visit, corrections: &[Correction], now: Instant) {
    for correction in corrections.iter().filter(|correction| correction.at <= now) {
        if !correction.about().is_some_and(|name| visit.is_named(name)) {
            continue;
        }
        let return_comment = correction.return_comment.clone();
        match &correction.what {
            CorrectionKind::Outcome { outcome, .. } => {
                let reason = correction.reason.clone();
                visit.correction = Some(InForce { outcome: *outcome, reason, return_comment });
            }
            CorrectionKind::Withdraw { .. } => visit.correction = None,
            CorrectionKind::Comment { .. } => visit.comments.extend(return_comment),
            CorrectionKind::Place { .. } => {}
        }
    }
}

/// Status and its reason at `now`: the first that applies (R16).
fn status(
    visit: &Visit,
    contract: &Contract,
    policy: &Policy,
    now: Instant,
) -> (Status, Option<String>) {
    if let Some(correction) = &visit.correction {
        let status = match correction.outcome {
            Outcome::Delivered => Status::Delivered,
            Outcome::Frustrated => Status::Frustrated,
            Outcome::Missed => Status::Missed,
            Outcome::Cancelled => Status::Cancelled,
        };
        return (status, correction.reason.clone());
    }
    if let Some(cancellation) = &visit.cancellation {
        let status = cancelled_status(contract, visit.planned_start, cancellation);
        return (status, cancellation.reason.clone());
    }
    if let Some(statement) = visit.statement.as_ref().filter(|statement| statement.stands) {
        let frustrated = statement.reason.is_frustrated();
        let status = if frustrated { Status::Frustrated } else { Status::Missed };
        return (status, Some(statement.reason.as_str().to_owned()));
    }
    let inside_until = visit.planned_end + policy.overdue_checkout;
    let status = if visit.is_staffed() {
        let inside = visit.inside().next().is_some() && now < inside_until;
        if inside { Status::InProgress } else { Status::Delivered }
    } else if visit.present > 0 {
        if now < visit.missed_at { Status::InProgress } else { Status::PartDelivered }
    } else if now < visit.planned_start {
        Status::Planned
    } else if now >= visit.missed_at {
        Status::Missed
    } else if visit.is_time_specific() {
        if now <= visit.late_at { Status::Due } else { Status::Late }
    } else if now <= visit.planned_start + policy.tolerance {
        Status::Due
    } else if now <= visit.late_at {
        Status::Overdue
    } else {
        Status::Late
    };
    (status, None)
}

/// What a cancellation makes of a visit, by the notice that was given (R22).
#[must_use]
pub fn cancelled_status(
    contract: &Contract,
    planned_start: Instant,
    cancellation: &Cancellation,
) -> Status {
    match cancellation.by {
        CancelledBy::Error => Status::Void,
        CancelledBy::Provider => Status::Missed,
        CancelledBy::Client | CancelledBy::Council => {
            let day = local_date(contract.zone, planned_start);
            let notice_day = contract.holidays.working_day_before(day);
            let in_time = cancellation.at <= noon(contract.zone, notice_day);
            if in_time { Status::Cancelled } else { Status::Frustrated }
        }
    }
}

/// What is to be noted about the visit (R20), save `overlap`, which looks beyond it.
fn flags(visit: &Visit, policy: &Policy) -> BTreeSet<Flag> {
    let mut flags = BTreeSet::new();
    let mut note = |holds: bool, flag: Flag| {
        if holds {
            flags.insert(flag);
        }
    };
    let came = !visit.attendances.is_empty();
    if let Some(plan) = &visit.plan {
        let began = matches!(visit.status, Status::InProgress | Status::Delivered);
        if let Some(deviation) = visit.deviation().filter(|_| began) {
            note(deviation < -policy.tolerance, Flag::Early);
            note(deviation > policy.tolerance, Flag::LateStart);
            note(visit.start > Some(visit.late_at), Flag::Late);
            note(visit.start > Some(visit.missed_at), Flag::AfterMissed);
        }
        if let Some(call) = visit.call.filter(|_| visit.status == Status::Delivered) {
            let length = plan.visit.length();
            let all_out = visit.attendances.iter().all(|a| a.check_out.is_some());
            note(call * 100 < length * 75 && all_out, Flag::Short);
            note(call * 100 > length * 150, Flag::Overstay);
        }
        let listed = &plan.visit.carers;
        let stranger = visit.attendances.iter().any(|a| !listed.contains(&a.carer));
        note(!listed.is_empty() && stranger, Flag::UnplannedCarer);
        note(plan.replanned, Flag::Replanned);
    } else {
        note(true, Flag::Unplanned);
    }
    let in_progress = visit.status == Status::InProgress;
    let without = |missing: fn(&Attendance) -> bool| visit.attendances.iter().any(missing);
    note(!in_progress && without(|a| a.check_out.is_none()), Flag::NoCheckOut);
    note(without(|a| a.check_in.is_none()), Flag::NoCheckIn);
    note(off_site(visit).next().is_some(), Flag::OffSite);
    note(visit.evidence().any(|event| event.event.clock_ahead()), Flag::ClockAhead);
    note(visit.status == Status::PartDelivered, Flag::ShortStaffed);
    note(visit.cancellation.is_some() && came, Flag::AttendedCancelled);
    let late = |e: &PlacedEvent| e.event.received_at - e.effective_at > REPORTED_LATE_AFTER;
    note(visit.evidence().any(late), Flag::ReportedLate);
    note(visit.correction.is_some(), Flag::Corrected);
    flags
}

/// The check-ins and check-outs of a visit that were made outside the fence (R19).
pub fn off_site(visit: &Visit) -> impl Iterator<Item = &PlacedEvent> {
    visit
        .attendances
        .iter()
        .flat_map(Attendance::counting)
        .filter(|event| matches!(event.whereabouts, Whereabouts::OffSite { .. }))
}
