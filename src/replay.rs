//! A contract's evidence played again, from receipt to receipt and from deadline to deadline: the
//! same rules as the daemon's, with no daemon, database or network.
//!
//! Guarantees that evidence received at the very instant of a deadline counts first, and that
//! nothing depends on the order of the input, save that of two messages with one event id (R6).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::domain::alert::{
    Alert, AlertKind, Cause, Change, Resolution, Sight, assess, next_deadline,
};
use crate::domain::casebook::{CaseIndex, Casebook};
use crate::domain::correction::Correction;
use crate::domain::event::{Event, Sender};
use crate::domain::instant::Instant;
use crate::domain::plan_check::nights_without_plan;
use crate::domain::refs::CarerRef;
use crate::domain::sequence::Sequence;
use crate::domain::visit::Visit;
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
pub fn play(
    book: &mut Casebook,
    mut evidence: Vec<(Instant, Evidence)>,
    as_of: Instant,
) -> Vec<Line> {
    evidence.retain(|(at, _)| *at <= as_of);
    evidence.sort_by_key(|(at, _)| *at);
    let mut player = Player {
        book,
        cases: Vec::new(),
        deadlines: BTreeSet::new(),
        overdue: HashMap::new(),
        senders: BTreeMap::new(),
        numbers: Vec::new(),
    };
    player.arm();
    let mut evidence = evidence.into_iter().peekable();
    while let Some(&(now, _)) = evidence.peek() {
        player.pass_until(|due_at| due_at < now);
        let mut touched = BTreeSet::new();
        while let Some((_, evidence)) = evidence.next_if(|(at, _)| *at == now) {
            player.take(evidence, &mut touched);
        }
        for case in touched {
            player.step(case, now, Cause::Receipt);
        }
        player.judge_numbers(now);
    }
    player.pass_until(|due_at| due_at <= as_of);
    player.finish(as_of)
}

#[derive(Default)]
struct Case {
    alerts: Vec<Alert>,
    deadline: Option<Instant>,
    /// Who is inside, while `overdue_checkout` is open: their events elsewhere end it.
    inside: Vec<CarerRef>,
}

struct Player<'a> {
    book: &'a mut Casebook,
    /// By their places in the casebook.
    cases: Vec<Case>,
    deadlines: BTreeSet<(Instant, CaseIndex)>,
    /// The nights in which `overdue_checkout` is open, by who is inside.
    overdue: HashMap<CarerRef, BTreeSet<CaseIndex>>,
    senders: BTreeMap<Sender, (Sequence, Vec<Line>)>,
    /// The numbers that came at the present instant.
    numbers: Vec<(Sender, u64)>,
}

impl Player<'_> {
    /// Sets the first deadline of each client night.
    fn arm(&mut self) {
        for case in self.book.cases() {
            self.step(case, Instant::MIN_UTC, Cause::Time);
        }
    }

    /// Lets time pass from deadline to deadline.
    fn pass_until(&mut self, due: impl Fn(Instant) -> bool) {
        while let Some(&(at, case)) = self.deadlines.first().filter(|(at, _)| due(*at)) {
            self.step(case, at, Cause::Time);
        }
    }

    fn take(&mut self, evidence: Evidence, touched: &mut BTreeSet<CaseIndex>) {
        let changed = match evidence {
            Evidence::Event(event) => {
                self.numbers.extend(event.seq.map(|seq| (event.sender.clone(), seq)));
                self.book.add_event(event)
            }
            Evidence::Number(sender, seq) => {
                self.numbers.push((sender, seq));
                None
            }
            Evidence::Correction(correction) => Some(self.book.add_correction(*correction)),
        };
        let Some(changed) = changed else { return };
        touched.extend(changed.cases);
        let overdue = changed.carers.iter().filter_map(|carer| self.overdue.get(carer));
        touched.extend(overdue.flatten());
    }

    fn step(&mut self, index: CaseIndex, now: Instant, cause: Cause) {
        if self.cases.len() <= index {
            self.cases.resize_with(index + 1, Case::default);
        }
        let case = &mut self.cases[index];
        let reconciled = self.book.reconcile(index, now);
        let (client, _) = self.book.key(index);
        let elsewhere = |carer: &_, after| self.book.seen_elsewhere(carer, after, client);
        let contract = &self.book.contract;
        let sight = Sight::Seeing { since: Instant::MIN_UTC };
        let changes = assess(contract, &reconciled, &case.alerts, now, cause, sight, &elsewhere);
        for change in changes {
            match change {
                Change::Open(alert) => case.alerts.push(alert),
                Change::Resolve { index, resolution } => {
                    case.alerts[index].resolved = Some((now, resolution));
                }
                Change::About { index, carer } => case.alerts[index].carer = Some(carer),
            }
        }
        for carer in case.inside.drain(..) {
            if let Some(overdue) = self.overdue.get_mut(&carer) {
                overdue.remove(&index);
            }
        }
        let overdue =
            |alert: &Alert| alert.kind == AlertKind::OverdueCheckout && alert.resolved.is_none();
        if case.alerts.iter().any(overdue) {
            let inside = reconciled.visits.iter().flat_map(Visit::inside);
            case.inside = inside.map(|event| event.event.carer_ref.clone()).collect();
            for carer in &case.inside {
                self.overdue.entry(carer.clone()).or_default().insert(index);
            }
        }
        let deadline = next_deadline(contract, &reconciled, now);
        if deadline != case.deadline {
            self.deadlines.extend(deadline.map(|at| (at, index)));
            if let Some(at) = std::mem::replace(&mut case.deadline, deadline) {
                self.deadlines.remove(&(at, index));
            }
        }
    }

    /// Takes the numbers that were received at `now`: a gap that was due before is flagged, one that
    /// closes ends (R9).
    fn judge_numbers(&mut self, now: Instant) {
        let mut numbers = std::mem::take(&mut self.numbers);
        numbers.sort();
        for of_sender in numbers.chunk_by(|(a, _), (b, _)| a == b) {
            let (sequence, lines) = self.senders.entry(of_sender[0].0.clone()).or_default();
            if let Some(due_at) = sequence.due_at().filter(|due_at| *due_at < now) {
                open_gap(&self.book.contract, lines, due_at, due_at);
            }
            for (_, number) in of_sender {
                sequence.receive(*number, now);
            }
            match sequence.due_at().filter(|due_at| *due_at <= now) {
                Some(due_at) => open_gap(&self.book.contract, lines, due_at, now),
                None => {
                    for line in lines.iter_mut().filter(|line| line.resolved.is_none()) {
                        line.resolved = Some((now, Resolution::Over));
                    }
                }
            }
        }
    }

    fn finish(self, as_of: Instant) -> Vec<Line> {
        let contract = &self.book.contract;
        let mut lines = Vec::new();
        for (_, (sequence, mut of_sender)) in self.senders {
            if let Some(due_at) = sequence.due_at().filter(|due_at| *due_at <= as_of) {
                open_gap(contract, &mut of_sender, due_at, due_at);
            }
            lines.extend(of_sender);
        }
        for (index, case) in self.cases.into_iter().enumerate() {
            let (_, night) = *self.book.key(index);
            lines.extend(case.alerts.into_iter().map(|alert| Line {
                contract: contract.id.clone(),
                night,
                visit_ref: Some(alert.visit_ref),
                kind: alert.kind,
                due_at: alert.due_at,
                raised_at: alert.raised_at,
                resolved: alert.resolved,
            }));
        }
        let planned: BTreeSet<_> = self.book.planned_nights().collect();
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
}

/// Raises `sequence_gap` if none is open.
fn open_gap(
    contract: &crate::domain::policy::Contract,
    lines: &mut Vec<Line>,
    due_at: Instant,
    raised_at: Instant,
) {
    if lines.iter().all(|line| line.resolved.is_some()) {
        lines.push(Line {
            contract: contract.id.clone(),
            night: contract.night_of(due_at),
            visit_ref: None,
            kind: AlertKind::SequenceGap,
            due_at,
            raised_at,
            resolved: None,
        });
    }
}
