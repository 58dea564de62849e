//! A contract's evidence played again, from receipt to receipt and from deadline to deadline: the
//! same rules as the daemon's, with no daemon, database or network.
//!
//! Guarantees that evidence received at the very instant of a deadline counts first, and that
//! nothing depends on the order of the input, save that of two messages with one event id (R6).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::alert::{
    Alert, AlertKind, Cause, Change, Resolution, Sight, assess, next_deadline,
};
use crate::domain::casebook::{Casebook, NightKey};
use crate::domain::correction::Correction;
use crate::domain::event::{Event, Sender};
use crate::domain::instant::Instant;
use crate::domain::plan_check::nights_without_plan;
use crate::domain::sequence::Sequence;
use crate::report::alerts::Line;

/// What was received or decided, at an instant.
#[derive(Debug, Clone)]
pub enum Evidence {
    /// An event.
    Event(Box<Event>),
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
        cases: HashMap::new(),
        deadlines: BTreeSet::new(),
        overdue: BTreeSet::new(),
        senders: BTreeMap::new(),
        numbers: BTreeMap::new(),
    };
    player.arm();
    let mut evidence = evidence.into_iter().peekable();
    while let Some(&(now, _)) = evidence.peek() {
        player.pass_until(|due_at| due_at < now);
        let mut touched = BTreeSet::new();
        while let Some((_, evidence)) = evidence.next_if(|(at, _)| *at == now) {
            player.take(evidence, &mut touched);
        }
        for key in &touched {
            player.step(key, now, Cause::Receipt);
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
}

struct Player<'a> {
    book: &'a mut Casebook,
    cases: HashMap<NightKey, Case>,
    deadlines: BTreeSet<(Instant, NightKey)>,
    /// The nights in which `overdue_checkout` is open: an event elsewhere ends it.
    overdue: BTreeSet<NightKey>,
    senders: BTreeMap<Sender, (Sequence, Vec<Line>)>,
    /// The numbers that came at the present instant.
    numbers: BTreeMap<Sender, Vec<u64>>,
}

impl Player<'_> {
    /// Sets the first deadline of each client night.
    fn arm(&mut self) {
        let keys: Vec<NightKey> = self.book.keys().cloned().collect();
        for key in keys {
            self.step(&key, Instant::MIN_UTC, Cause::Time);
        }
    }

    /// Lets time pass from deadline to deadline.
    fn pass_until(&mut self, due: impl Fn(Instant) -> bool) {
        while let Some((at, key)) = self.deadlines.first().filter(|(at, _)| due(*at)).cloned() {
            self.step(&key, at, Cause::Time);
        }
    }

    fn take(&mut self, evidence: Evidence, touched: &mut BTreeSet<NightKey>) {
        match evidence {
            Evidence::Event(event) => {
                if let Some(seq) = event.seq {
                    self.numbers.entry(event.sender.clone()).or_default().push(seq);
                }
                // Of two with one id the first stands, whatever the second says (R6).
                if self.book.event(event.event_id).is_some() {
                    return;
                }
                touched.extend(self.book.add_event(*event));
                touched.extend(self.overdue.iter().cloned());
            }
            Evidence::Number(sender, seq) => self.numbers.entry(sender).or_default().push(seq),
            Evidence::Correction(correction) => {
                touched.extend(self.book.add_correction(*correction));
                touched.extend(self.overdue.iter().cloned());
            }
        }
    }

    fn step(&mut self, key: &NightKey, now: Instant, cause: Cause) {
        let reconciled = self.book.reconcile(key, now);
        let case = self.cases.entry(key.clone()).or_default();
        let elsewhere = |carer: &_, after| self.book.seen_elsewhere(carer, after, &key.0);
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
        let overdue =
            |alert: &Alert| alert.kind == AlertKind::OverdueCheckout && alert.resolved.is_none();
        if case.alerts.iter().any(overdue) {
            self.overdue.insert(key.clone());
        } else {
            self.overdue.remove(key);
        }
        if let Some(at) = case.deadline.take() {
            self.deadlines.remove(&(at, key.clone()));
        }
        case.deadline = next_deadline(contract, &reconciled, now);
        if let Some(at) = case.deadline {
            self.deadlines.insert((at, key.clone()));
        }
    }

    /// Takes the numbers that were received at `now`: a gap that was due before is flagged, one that
    /// closes ends (R9).
    fn judge_numbers(&mut self, now: Instant) {
        for (sender, numbers) in std::mem::take(&mut self.numbers) {
            let (sequence, lines) = self.senders.entry(sender).or_default();
            if let Some(due_at) = sequence.due_at().filter(|due_at| *due_at < now) {
                open_gap(&self.book.contract, lines, due_at, due_at);
            }
            for number in numbers {
                sequence.receive(number, now);
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
        for ((_, night), case) in self.cases {
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
