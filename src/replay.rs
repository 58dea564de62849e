//! A contract's evidence played again, from receipt to receipt and from deadline to deadline: the
//! same rules as the daemon's, with no daemon, database or network.
//!
//! Guarantees that evidence received at the very instant of a deadline counts first, and that
//! nothing depends on the order of the input, save that of two messages with one event id (R6).

mod came;
mod numbers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use came::Came;
use numbers::play_numbers;

use crate::domain::alert::{self, Alert, AlertKind, Cause, Sight, assess, next_deadline};
use crate::domain::attendance::PlacedEvent;
use crate::domain::casebook::{CaseIndex, Casebook, Change, in_order};
use crate::domain::correction::Correction;
use crate::domain::event::{Event, Sender};
use crate::domain::instant::Instant;
use crate::domain::plan_check::nights_without_plan;
use crate::domain::refs::CarerRef;
use crate::domain::visit::Visit;
use crate::parallel;
use crate::report::alerts::Line;

/// What was received or decided, at an instant.
#[derive(Debug, Clone)]
pub enum Evidence {
    /// An event.
    Event(Arc<Event>),
    /// The number of a message that could not be used otherwise (R9).
    Number(Sender, u64),
    /// A coordinator's correction.
    Correction(Box<Correction>),
}

/// Plays the evidence of the casebook's contract up to and including `as_of`, and returns the
/// alerts. Afterwards the casebook holds all evidence. `evidence` comes with the instants at which
/// it was received, in any order.
///
/// All evidence is placed first, in the order of its receipt. Then each client's night is played by
/// itself: all it needs of the others is where carers were seen, and since when that was known.
pub fn play(
    book: &mut Casebook,
    mut evidence: Vec<(Instant, Evidence)>,
    as_of: Instant,
) -> Vec<Line> {
    evidence.retain(|(at, _)| *at <= as_of);
    evidence.sort_by_key(|(at, _)| *at);
    let mut numbers: BTreeMap<Sender, Vec<(Instant, u64)>> = BTreeMap::new();
    let mut came = Came::default();
    for (now, evidence) in evidence {
        let touched = match evidence {
            Evidence::Event(event) => {
                if let Some(seq) = event.seq {
                    numbers.entry(event.sender.clone()).or_default().push((now, seq));
                }
                book.add_event(event)
            }
            Evidence::Number(sender, seq) => {
                numbers.entry(sender).or_default().push((now, seq));
                None
            }
            Evidence::Correction(correction) => Some(book.add_correction(*correction)),
        };
        if let Some(touched) = touched {
            came.take(now, touched);
        }
    }
    came.complete();
    let contract = &book.contract;
    let of_senders = numbers.values().flat_map(|numbers| play_numbers(contract, numbers, as_of));
    let mut lines: Vec<Line> = of_senders.collect();
    let nights = parallel::map(book.cases(), |case| play_night(book, &came, case, as_of));
    for (case, alerts) in nights.into_iter().enumerate() {
        let (_, night) = *book.key(case);
        lines.extend(alerts.into_iter().map(|alert| Line {
            contract: contract.id.clone(),
            night,
            visit_ref: Some(alert.visit_ref),
            kind: alert.kind,
            due_at: alert.due_at,
            raised_at: alert.raised_at,
            resolved: alert.resolved,
        }));
    }
    let planned: BTreeSet<_> = book.planned_nights().collect();
    for (night, due_at) in nights_without_plan(contract, &planned, as_of) {
        lines.push(Line {
            contract: contract.id.clone(),
            night,
            visit_ref: None,
            kind: AlertKind::NoPlan,
            due_at,
            raised_at: due_at,
            resolved: None,
        });
    }
    lines
}

/// All visits at `now`, as [`Casebook::visits`] has them.
#[must_use]
pub fn visits(book: &Casebook, now: Instant) -> Vec<Visit> {
    let nights = parallel::map(book.cases(), |case| book.reconcile(case, now).visits);
    in_order(nights.into_iter().flatten().collect())
}

/// Plays one client's night, from deadline to deadline and from receipt to receipt. What is received
/// at the instant of a deadline counts first.
fn play_night(book: &Casebook, came: &Came, case: CaseIndex, as_of: Instant) -> Vec<Alert> {
    let contract = &book.contract;
    let (client, _) = book.key(case);
    let mut changes = came.about(case).iter().peekable();
    let mut events: Vec<Arc<PlacedEvent>> = Vec::new();
    let mut alerts: Vec<Alert> = Vec::new();
    let (mut now, mut cause) = (Instant::MIN_UTC, Cause::Time);
    loop {
        while let Some((_, _, change)) = changes.next_if(|(_, at, _)| *at <= now) {
            match change {
                Change::Came(placed) => events.push(Arc::clone(placed)),
                Change::Left(placed) => events.retain(|other| !Arc::ptr_eq(other, placed)),
                Change::Decided => {}
            }
        }
        let night = book.reconcile_with(case, &events, now);
        let elsewhere =
            |carer: &CarerRef, after| came.seen_elsewhere(book, carer, after, client, now);
        let sight = Sight::Seeing { since: Instant::MIN_UTC };
        for change in assess(contract, &night, &alerts, now, cause, sight, &elsewhere) {
            match change {
                alert::Change::Open(alert) => alerts.push(alert),
                alert::Change::Resolve { index, resolution } => {
                    alerts[index].resolved = Some((now, resolution));
                }
                alert::Change::About { index, carer } => alerts[index].carer = Some(carer),
            }
        }
        let mut received = changes.peek().map(|(_, at, _)| *at);
        let overdue =
            |alert: &Alert| alert.kind == AlertKind::OverdueCheckout && alert.resolved.is_none();
        if alerts.iter().any(overdue) {
            // An event of somebody inside that comes from elsewhere ends it.
            let inside = night.visits.iter().flat_map(Visit::inside);
            let next = inside.filter_map(|event| came.next_of(&event.event.carer_ref, now)).min();
            received = received.into_iter().chain(next).min();
        }
        let due = next_deadline(contract, &night, now);
        (now, cause) = match (received, due) {
            (Some(received), Some(due)) if due < received => (due, Cause::Time),
            (Some(received), _) => (received, Cause::Receipt),
            (None, Some(due)) => (due, Cause::Time),
            (None, None) => return alerts,
        };
        if now > as_of {
            return alerts;
        }
    }
}
