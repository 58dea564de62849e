//! What is wrong, from when on, and until when (R21).
//!
//! What holds is decided by pure functions of a reconciled visit; [`assess`] compares it with the
//! alerts that have been raised and returns the changes. Knows nothing of who is told.

use chrono::TimeDelta;

use super::attendance::Attendance;
use super::instant::{Instant, minutes};
use super::judge::off_site;
use super::plan::CancelledBy;
use super::policy::{Contract, Policy};
use super::refs::{CarerRef, VisitRef};
use super::visit::{Reconciled, Visit};
use super::words::words;

/// A coordinator has this long, from the planned start, to speak to the client (R23).
pub const CONTACT_WITHIN: TimeDelta = minutes(30);

words! {
    /// What is wrong.
    AlertKind {
        /// Not staffed at the end of the tolerance.
        Tolerance = "tolerance",
        /// Not staffed when it is late.
        Late = "late",
        /// Somebody came, but not enough.
        ShortStaffed = "short_staffed",
        /// Nobody came.
        Missed = "missed",
        /// The carers say that the visit could not be delivered.
        NotDelivered = "not_delivered",
        /// A carer is inside for too long.
        OverdueCheckout = "overdue_checkout",
        /// No plan has come for the night.
        NoPlan = "no_plan",
        /// A check-in or check-out was made outside the fence.
        OffSite = "off_site",
        /// A telecare unit is silent.
        DeviceOffline = "device_offline",
        /// Evidence exists which has not arrived.
        SequenceGap = "sequence_gap",
        /// Somebody came who was not planned.
        UnplannedVisit = "unplanned_visit",
        /// The daemon could not hear.
        MonitoringBlind = "monitoring_blind",
        /// Somebody could not be told.
        NotificationFailed = "notification_failed",
    }
}

words! {
    /// How grave it is.
    Severity {
        /// To be known.
        Info = "info",
        /// To be looked at.
        Warning = "warning",
        /// To be acted on.
        High = "high",
        /// To be acted on at once.
        Critical = "critical",
    }
}

words! {
    /// Why an alert ended.
    Resolution {
        /// A graver one took its place.
        Superseded = "superseded",
        /// Enough people came.
        Staffed = "staffed",
        /// The carers said why not.
        Statement = "statement",
        /// The visit is cancelled.
        Cancelled = "cancelled",
        /// The carer checked out.
        CheckedOut = "checked_out",
        /// The carer was at another client's later.
        SeenElsewhere = "seen_elsewhere",
        /// A coordinator said what became of the visit.
        Corrected = "corrected",
        /// A coordinator dealt with it.
        Coordinator = "coordinator",
        /// Any other end.
        Over = "over",
    }
}

impl AlertKind {
    /// How grave an alert of this kind is (R21).
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::UnplannedVisit => Severity::Info,
            Self::Tolerance | Self::OffSite | Self::DeviceOffline | Self::SequenceGap => {
                Severity::Warning
            }
            Self::Late | Self::NotDelivered | Self::OverdueCheckout | Self::NotificationFailed => {
                Severity::High
            }
            Self::ShortStaffed | Self::Missed | Self::NoPlan | Self::MonitoringBlind => {
                Severity::Critical
            }
        }
    }

    /// Whether the council is told as well (R21).
    #[must_use]
    pub fn is_for_council(self) -> bool {
        matches!(self, Self::ShortStaffed | Self::Missed | Self::NotDelivered)
    }

    /// Whether it is one of the five of which at most one is open (R21).
    #[must_use]
    pub fn is_exclusive(self) -> bool {
        matches!(
            self,
            Self::Tolerance | Self::Late | Self::ShortStaffed | Self::Missed | Self::NotDelivered
        )
    }
}

/// An alert about a visit, as it was raised.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// What is wrong.
    pub kind: AlertKind,
    /// The visit, by the name that it had when the alert was raised.
    pub visit_ref: VisitRef,
    /// The instant of the rule that raised it.
    pub due_at: Instant,
    /// When it was raised.
    pub raised_at: Instant,
    /// Whom it is about, if one carer.
    pub carer: Option<CarerRef>,
    /// Whether anybody is told: not if the night was over when the condition came to hold.
    pub told: bool,
    /// Whether it rests on a silence in which the daemon could not hear (R25).
    pub unconfirmed: bool,
    /// When and how it ended.
    pub resolved: Option<(Instant, Resolution)>,
}

/// What made the daemon look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Time passed, or the plan or a register changed: what holds has held since it was due.
    Time,
    /// Evidence was received at `now`: what comes to hold, does so now.
    Receipt,
}

/// Whether alerts may rest on nobody having come (R25).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// The daemon hears.
    Seeing {
        /// Since when: what was due before is raised unconfirmed.
        since: Instant,
    },
    /// It hears, but what was said later than `up_to` may be with another daemon: an absence that is due
    /// later proves nothing yet.
    Behind {
        /// As above.
        since: Instant,
        /// Up to when everything is known, whichever daemon heard it.
        up_to: Instant,
    },
    /// It does not: silence proves nothing.
    Blind,
}

impl Sight {
    /// Whether an absence that was due then is one.
    fn proves(self, due_at: Instant) -> bool {
        match self {
            Self::Seeing { .. } => true,
            Self::Behind { up_to, .. } => due_at <= up_to,
            Self::Blind => false,
        }
    }

    /// The last instant up to `now` of which all is known; none if nothing is.
    #[must_use]
    pub fn knows_up_to(self, now: Instant) -> Option<Instant> {
        match self {
            Self::Seeing { .. } => Some(now),
            Self::Behind { up_to, .. } => Some(up_to.min(now)),
            Self::Blind => None,
        }
    }
}

/// A change of an alert's state.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is raised.
    Open(Alert),
    /// The alert at this place of the list ends.
    Resolve {
        /// Its place in the list that [`assess`] was given, or was extended by `Open`s before.
        index: usize,
        /// How.
        resolution: Resolution,
    },
    /// The alert at this place of the list goes on, but is about another carer now.
    About {
        /// Its place, as above.
        index: usize,
        /// Whom it is about now.
        carer: CarerRef,
    },
}

/// Something that is wrong about a visit now.
#[derive(Debug, Clone, PartialEq)]
struct Condition {
    kind: AlertKind,
    due_at: Instant,
    /// Whom it is about.
    carers: Vec<CarerRef>,
    /// Whether it rests on nobody, or not everybody, having come.
    by_absence: bool,
}

impl Condition {
    fn of(kind: AlertKind, due_at: Instant) -> Self {
        Self { kind, due_at, carers: Vec::new(), by_absence: false }
    }

    fn absence(kind: AlertKind, due_at: Instant) -> Self {
        Self { by_absence: true, ..Self::of(kind, due_at) }
    }
}

/// Whether an event of that carer, with an effective time later than that instant, has been
/// received from another client's home.
pub type SeenElsewhere<'a> = dyn Fn(&CarerRef, Instant) -> bool + 'a;

/// Compares what holds at `now` with the alerts of the client's night, resolved ones included, and
/// returns what changes, in order. The changes are to be applied in that order.
#[must_use]
pub fn assess(
    contract: &Contract,
    night: &Reconciled,
    alerts: &[Alert],
    now: Instant,
    cause: Cause,
    sight: Sight,
    elsewhere: &SeenElsewhere<'_>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut opened = 0;
    // An alert whose visit is not in this night any more has nothing to rest on.
    for (index, alert) in alerts.iter().enumerate() {
        let gone = !night.visits.iter().any(|visit| visit.is_named(&alert.visit_ref));
        if alert.resolved.is_none() && gone {
            changes.push(Change::Resolve { index, resolution: Resolution::Over });
        }
    }
    for visit in &night.visits {
        let own = || alerts.iter().enumerate().filter(|(_, a)| visit.is_named(&a.visit_ref));
        let holding = conditions(visit, contract, now, elsewhere);
        for (index, alert) in own().filter(|(_, alert)| alert.resolved.is_none()) {
            match holding.iter().find(|condition| condition.kind == alert.kind) {
                Some(condition) => {
                    let same = alert.carer.as_ref().is_none_or(|c| condition.carers.contains(c));
                    let carer = condition.carers.first().filter(|_| !same).cloned();
                    changes.extend(carer.map(|carer| Change::About { index, carer }));
                }
                None => changes.extend(
                    ending(visit, alert, &holding, contract, now, sight)
                        .map(|resolution| Change::Resolve { index, resolution }),
                ),
            }
        }
        for condition in holding {
            let known = own().any(|(_, alert)| is_known(alert, &condition));
            if known || (condition.by_absence && !sight.proves(condition.due_at)) {
                continue;
            }
            let alert = raise(visit, contract, condition, now, cause, sight);
            let once = alert.kind == AlertKind::UnplannedVisit;
            changes.push(Change::Open(alert));
            if once {
                let index = alerts.len() + opened;
                changes.push(Change::Resolve { index, resolution: Resolution::Over });
            }
            opened += 1;
        }
    }
    changes
}

/// Whether the alert already says it: it is open, or is not to be raised again. An unplanned visit
/// is told once; what a coordinator dealt with stays so for the same evidence.
fn is_known(alert: &Alert, condition: &Condition) -> bool {
    let same = alert.kind == condition.kind;
    let dealt_with = matches!(alert.resolved, Some((_, Resolution::Coordinator)))
        && alert.due_at == condition.due_at;
    same && (alert.resolved.is_none() || dealt_with || alert.kind == AlertKind::UnplannedVisit)
}

fn raise(
    visit: &Visit,
    contract: &Contract,
    condition: Condition,
    now: Instant,
    cause: Cause,
    sight: Sight,
) -> Alert {
    let known_from = visit.plan.as_ref().map_or(Instant::MIN_UTC, |plan| plan.known_from);
    let (raised_at, came_to_hold) = match cause {
        Cause::Receipt => (now, now),
        Cause::Time => (condition.due_at, condition.due_at.max(known_from)),
    };
    let unconfirmed = match (cause, sight) {
        (Cause::Time, Sight::Seeing { since } | Sight::Behind { since, .. }) => {
            condition.by_absence && came_to_hold < since
        }
        _ => false,
    };
    Alert {
        kind: condition.kind,
        visit_ref: visit.visit_ref.clone(),
        due_at: condition.due_at,
        raised_at,
        carer: condition.carers.into_iter().next(),
        told: came_to_hold < super::calendar::night_end(contract.zone, visit.night),
        unconfirmed,
        resolved: None,
    }
}

/// Whether somebody should have come by `now` and, by what is known, not everybody did: what rests on
/// that alone is held back while the daemon is blind, and the visit is at risk (R25).
#[must_use]
pub fn is_awaited(visit: &Visit, contract: &Contract, now: Instant) -> bool {
    gravest(visit, contract.policy(visit.night), now).is_some_and(|found| found.by_absence)
}

/// Everything that is wrong about a visit at `now`. Of the five that exclude each other, only the
/// gravest.
fn conditions(
    visit: &Visit,
    contract: &Contract,
    now: Instant,
    elsewhere: &SeenElsewhere<'_>,
) -> Vec<Condition> {
    let policy = contract.policy(visit.night);
    let mut holding: Vec<Condition> = Vec::new();
    holding.extend(gravest(visit, policy, now));
    let overdue_at = visit.planned_end + policy.overdue_checkout;
    if now >= overdue_at {
        let carers: Vec<CarerRef> = visit
            .inside()
            .filter(|event| !elsewhere(&event.event.carer_ref, event.effective_at))
            .map(|event| event.event.carer_ref.clone())
            .collect();
        if !carers.is_empty() {
            let condition = Condition::of(AlertKind::OverdueCheckout, overdue_at);
            holding.push(Condition { carers, ..condition });
        }
    }
    if let Some(event) = off_site(visit).min_by_key(|event| event.event.received_at) {
        let carers = vec![event.event.carer_ref.clone()];
        let condition = Condition::of(AlertKind::OffSite, event.event.received_at);
        holding.push(Condition { carers, ..condition });
    }
    if visit.plan.is_none()
        && let Some(first) = visit.attendances.iter().flat_map(Attendance::counting).next()
    {
        let carers = vec![first.event.carer_ref.clone()];
        let condition = Condition::of(AlertKind::UnplannedVisit, first.event.received_at);
        holding.push(Condition { carers, ..condition });
    }
    holding
}

/// The gravest of the five that exclude each other, if any holds at `now`.
fn gravest(visit: &Visit, policy: &Policy, now: Instant) -> Option<Condition> {
    visit.plan.as_ref()?;
    if visit.correction.is_some() {
        return None;
    }
    if let Some(cancellation) = &visit.cancellation {
        let missed = cancellation.by == CancelledBy::Provider && now >= cancellation.at;
        return missed.then(|| Condition::of(AlertKind::Missed, cancellation.at));
    }
    if let Some(statement) = visit.statement.as_ref().filter(|statement| statement.stands) {
        let frustrated = statement.reason.is_frustrated();
        let kind = if frustrated { AlertKind::NotDelivered } else { AlertKind::Missed };
        return Some(Condition::of(kind, statement.event.event.received_at));
    }
    [AlertKind::Missed, AlertKind::ShortStaffed, AlertKind::Late, AlertKind::Tolerance]
        .into_iter()
        .find_map(|kind| by_deadline(visit, policy, kind, now))
}

/// The instant of the rule for the first three kinds, and for `missed` by its instant, whoever came.
fn due_at(visit: &Visit, policy: &Policy, kind: AlertKind) -> Option<Instant> {
    match kind {
        AlertKind::Tolerance if !visit.is_time_specific() => {
            Some(visit.planned_start + policy.tolerance)
        }
        AlertKind::Late => Some(visit.late_at),
        AlertKind::ShortStaffed | AlertKind::Missed => Some(visit.missed_at),
        _ => None,
    }
}

/// Whether one of the deadlines' conditions holds at `now`, by who came alone.
fn by_deadline(visit: &Visit, policy: &Policy, kind: AlertKind, now: Instant) -> Option<Condition> {
    let due_at = due_at(visit, policy, kind).filter(|due_at| *due_at <= now)?;
    let holds = match kind {
        AlertKind::Tolerance | AlertKind::Late => !visit.is_staffed(),
        AlertKind::ShortStaffed => visit.present > 0 && !visit.is_staffed(),
        AlertKind::Missed => visit.present == 0,
        _ => false,
    };
    holds.then(|| Condition::absence(kind, due_at))
}

/// Why an alert whose kind is not among `holding` ends; `None` if it does not end, because the
/// graver one that would take its place is held back.
fn ending(
    visit: &Visit,
    alert: &Alert,
    holding: &[Condition],
    contract: &Contract,
    now: Instant,
    sight: Sight,
) -> Option<Resolution> {
    match alert.kind {
        AlertKind::OverdueCheckout => return Some(ending_of_overdue(visit, alert, contract, now)),
        // It is for the coordinator to end it.
        AlertKind::OffSite => return None,
        kind if !kind.is_exclusive() => return Some(Resolution::Over),
        _ => {}
    }
    let policy = contract.policy(visit.night);
    let graver = holding.iter().find(|condition| condition.kind.is_exclusive());
    Some(if visit.correction.is_some() {
        Resolution::Corrected
    } else if visit.cancellation.is_some() {
        Resolution::Cancelled
    } else if visit.statement.as_ref().is_some_and(|statement| statement.stands) {
        Resolution::Statement
    } else if visit.is_staffed() {
        Resolution::Staffed
    } else if by_deadline(visit, policy, alert.kind, now).is_some() {
        if graver.is_some_and(|graver| graver.by_absence && !sight.proves(graver.due_at)) {
            return None;
        }
        Resolution::Superseded
    } else {
        Resolution::Over
    })
}

/// Why `overdue_checkout` ends, by what became of the carer whom it is about.
fn ending_of_overdue(
    visit: &Visit,
    alert: &Alert,
    contract: &Contract,
    now: Instant,
) -> Resolution {
    let is_carer = |carer: &CarerRef| alert.carer.as_ref().is_none_or(|about| about == carer);
    let due = now >= visit.planned_end + contract.policy(visit.night).overdue_checkout;
    if visit.inside().any(|event| is_carer(&event.event.carer_ref)) {
        return if due { Resolution::SeenElsewhere } else { Resolution::Over };
    }
    let latest = visit.attendances.iter().rfind(|attendance| is_carer(&attendance.carer));
    match latest {
        Some(attendance) if attendance.check_out.is_some() => Resolution::CheckedOut,
        _ => Resolution::Over,
    }
}

/// The next instant after `now` at which time alone may change an alert of the night.
#[must_use]
pub fn next_deadline(contract: &Contract, night: &Reconciled, now: Instant) -> Option<Instant> {
    let mut next: Option<Instant> = None;
    for visit in &night.visits {
        let policy = contract.policy(visit.night);
        let mut consider = |at: Option<Instant>| {
            if let Some(at) = at.filter(|at| *at > now) {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        };
        if visit.inside().next().is_some() {
            consider(Some(visit.planned_end + policy.overdue_checkout));
        }
        if let Some(cancellation) = &visit.cancellation {
            consider((cancellation.by == CancelledBy::Provider).then_some(cancellation.at));
        } else if visit.plan.is_some() && !visit.is_staffed() {
            for kind in [AlertKind::Tolerance, AlertKind::Late, AlertKind::Missed] {
                consider(due_at(visit, policy, kind));
            }
        }
    }
    next
}

/// Until when the coordinator has to have spoken to the client (R23): for `tolerance` and `late` of
/// a visit that is not time-specific.
#[must_use]
pub fn contact_due_at(kind: AlertKind, visit: &Visit) -> Option<Instant> {
    let owed = matches!(kind, AlertKind::Tolerance | AlertKind::Late) && !visit.is_time_specific();
    owed.then(|| visit.planned_start + CONTACT_WITHIN)
}
