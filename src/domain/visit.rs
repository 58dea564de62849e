//! What became of a visit (R13 to R18, R20): the reconciliation of a client's night, whole.
//!
//! [`reconcile`] is the one function in which plan, evidence, corrections and the present instant
//! become visits. Late, repeated and disordered evidence, a changed plan, a deadline, a correction
//! and a replay are all the same call.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;

use super::attendance::{Attendance, PlacedEvent, attendances};
use super::calendar::Night;
use super::correction::{Correction, Outcome};
use super::event::{EventKind, Reason};
use super::instant::{Instant, minutes};
use super::judge::judge;
use super::matching::match_attendances;
use super::plan::{Cancellation, PlannedVisit, Suspension};
use super::policy::{Contract, Policy};
use super::refs::{ClientRef, EventId, VisitRef};
use super::words::words;

/// Planned length of an unplanned visit (R16).
pub const UNPLANNED_LENGTH: TimeDelta = minutes(60);

/// Everything on which a client's night depends.
pub struct ClientNight<'a> {
    /// The contract.
    pub contract: &'a Contract,
    /// The client.
    pub client: &'a ClientRef,
    /// The night.
    pub night: Night,
    /// The planned visits of the night.
    pub plan: &'a [PlanRow],
    /// The client's suspensions (R22a).
    pub suspensions: &'a [Suspension],
    /// The events that were placed there.
    pub events: &'a [Arc<PlacedEvent>],
    /// The corrections that may be about one of its visits, in the order in which they were made.
    pub corrections: &'a [Correction],
}

/// A planned visit with what is known about the row itself.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRow {
    /// The visit, as the plan in force has it.
    pub visit: Arc<PlannedVisit>,
    /// Whether the plan of the visit was changed after its planned start (R20).
    pub replanned: bool,
    /// When the daemon learnt this plan; what was due before could tell nobody anything.
    pub known_from: Instant,
}

words! {
    /// What became of a visit (R16).
    Status {
        /// It has not begun.
        Planned = "planned",
        /// It should have begun; within tolerance.
        Due = "due",
        /// Beyond tolerance, not yet late.
        Overdue = "overdue",
        /// Late.
        Late = "late",
        /// Somebody is there.
        InProgress = "in_progress",
        /// It was delivered.
        Delivered = "delivered",
        /// Fewer people came than it needs.
        PartDelivered = "part_delivered",
        /// Not delivered, and the provider is not responsible.
        Frustrated = "frustrated",
        /// Cancelled in time.
        Cancelled = "cancelled",
        /// Not delivered, and the provider is responsible.
        Missed = "missed",
        /// The row should never have been.
        Void = "void",
    }
}

impl Status {
    /// Whether it counts in the return (R16). Evidence may still change it.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Planned | Self::Due | Self::Overdue | Self::Late | Self::InProgress)
    }
}

words! {
    /// What is to be noted about a visit (R20).
    Flag {
        /// It is cancelled in the plan, and somebody came.
        AttendedCancelled = "attended_cancelled",
        /// It started after its missed instant.
        AfterMissed = "after_missed",
        /// A device's clock was ahead (R5).
        ClockAhead = "clock_ahead",
        /// A correction is in force.
        Corrected = "corrected",
        /// It started before the tolerance.
        Early = "early",
        /// It started late (R17).
        Late = "late",
        /// It started after the tolerance.
        LateStart = "late_start",
        /// Somebody came without checking in.
        NoCheckIn = "no_check_in",
        /// Somebody left without checking out.
        NoCheckOut = "no_check_out",
        /// A check-in or check-out was made outside the fence (R19).
        OffSite = "off_site",
        /// One of its carers was at another client's at the same time.
        Overlap = "overlap",
        /// It took more than half as long again as planned.
        Overstay = "overstay",
        /// The plan was changed after the planned start.
        Replanned = "replanned",
        /// Evidence took more than an hour to arrive.
        ReportedLate = "reported_late",
        /// It took less than three quarters of the planned time.
        Short = "short",
        /// Fewer people came than it needs.
        ShortStaffed = "short_staffed",
        /// It was not planned.
        Unplanned = "unplanned",
        /// Somebody came whom the plan does not list.
        UnplannedCarer = "unplanned_carer",
    }
}

/// The statement that counts about a visit (R15).
#[derive(Debug, Clone)]
pub struct Statement {
    /// The event.
    pub event: Arc<PlacedEvent>,
    /// The reason that it gives.
    pub reason: Reason,
    /// Whether it stands: no check-in at the visit came later.
    pub stands: bool,
}

/// The correction in force about a visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// What it says.
    pub outcome: Outcome,
    /// Why.
    pub reason: Option<String>,
    /// What the coordinator typed for the return.
    pub return_comment: Option<String>,
}

/// A visit, reconciled at some instant.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Its reference: the plan's, or `U-` and an event.
    pub visit_ref: VisitRef,
    /// The client.
    pub client: ClientRef,
    /// The night.
    pub night: Night,
    /// Its row of the plan; `None`: unplanned.
    pub plan: Option<PlanRow>,
    /// When it was to start; of an unplanned visit, when it began.
    pub planned_start: Instant,
    /// When it was to end.
    pub planned_end: Instant,
    /// How many people it needs.
    pub carers_required: u8,
    /// Its cancellation, by the plan or by a suspension (R22, R22a).
    pub cancellation: Option<Cancellation>,
    /// Its attendances, in order.
    pub attendances: Vec<Attendance>,
    /// The statement that counts.
    pub statement: Option<Statement>,
    /// The correction in force.
    pub correction: Option<InForce>,
    /// What people typed for the return besides, in order (R29).
    pub comments: Vec<String>,
    /// How many people came (R13).
    pub present: u8,
    /// When it started, if staffed and known (R14).
    pub start: Option<Instant>,
    /// Its last check-out.
    pub end: Option<Instant>,
    /// From the first check-in to the last check-out, if known (R14).
    pub call: Option<TimeDelta>,
    /// The instant at which it is late if not staffed (R17).
    pub late_at: Instant,
    /// The instant from which it is missed if nobody came (R18).
    pub missed_at: Instant,
    /// What became of it.
    pub status: Status,
    /// Why, by the statement, the correction or the cancellation that decided the status.
    pub reason: Option<String>,
    /// What is to be noted, save what looks beyond the client's night.
    pub flags: BTreeSet<Flag>,
}

impl Visit {
    /// Whether enough people came (R14).
    #[must_use]
    pub fn is_staffed(&self) -> bool {
        self.present >= self.carers_required
    }

    /// By what it is listed: its planned start or, if unplanned, its first event.
    #[must_use]
    pub fn listed_at(&self) -> Instant {
        let first = || self.attendances.iter().filter_map(Attendance::order).min();
        match &self.plan {
            Some(_) => self.planned_start,
            None => first().map_or(self.planned_start, |(at, _, _)| at),
        }
    }

    /// Whether it was planned with no allowance for lateness.
    #[must_use]
    pub fn is_time_specific(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.visit.time_specific)
    }

    /// Start less planned start (R17); none for an unplanned visit.
    #[must_use]
    pub fn deviation(&self) -> Option<TimeDelta> {
        self.plan.as_ref()?;
        Some(self.start? - self.planned_start)
    }

    /// The check-ins of carers who are inside: whose latest attendance has no check-out (R14).
    pub fn inside(&self) -> impl Iterator<Item = &PlacedEvent> {
        self.attendances.iter().enumerate().filter_map(|(index, attendance)| {
            let later = &self.attendances[index + 1..];
            let latest = !later.iter().any(|other| other.carer == attendance.carer);
            if latest && attendance.check_out.is_none() {
                attendance.check_in.as_deref()
            } else {
                None
            }
        })
    }

    /// Its check-ins and check-outs that count, and the statement that does.
    pub fn evidence(&self) -> impl Iterator<Item = &PlacedEvent> {
        self.attendances
            .iter()
            .flat_map(Attendance::counting)
            .chain(self.statement.iter().map(|statement| statement.event.as_ref()))
    }

    /// Whether the name means this visit: its reference, or `U-` and any event that it holds (R11).
    #[must_use]
    pub fn is_named(&self, name: &VisitRef) -> bool {
        *name == self.visit_ref || name.unplanned_event().is_some_and(|event| self.holds(event))
    }

    /// Whether the event belongs to this visit.
    #[must_use]
    pub fn holds(&self, event: EventId) -> bool {
        self.attendances.iter().any(|attendance| attendance.holds(event))
    }
}

/// A client's night, reconciled.
#[derive(Debug, Clone)]
pub struct Reconciled {
    /// Its visits: planned ones by planned start, then unplanned ones by when they began.
    pub visits: Vec<Visit>,
    /// Where each statement belongs; `None`: unplaced (R15).
    pub statements: Vec<(EventId, Option<VisitRef>)>,
}

impl Reconciled {
    /// The visit to which an event belongs.
    #[must_use]
    pub fn visit_of(&self, event: EventId) -> Option<&Visit> {
        let stated = || {
            let (_, name) = self.statements.iter().find(|(id, _)| *id == event)?;
            let name = name.as_ref()?;
            self.visits.iter().find(|visit| visit.visit_ref == *name)
        };
        self.visits.iter().find(|visit| visit.holds(event)).or_else(stated)
    }
}

/// Reconciles a client's night at the instant `now`.
///
/// The result depends on the arguments only, not on the order of plan, events or suspensions
/// (R8). Events that were received after `now` must not be among them.
#[must_use]
pub fn reconcile(of: &ClientNight<'_>, now: Instant) -> Reconciled {
    let policy = of.contract.policy(of.night);
    let mut plan: Vec<&PlanRow> = of.plan.iter().collect();
    plan.sort_by(|a, b| {
        (a.visit.start, &a.visit.visit_ref).cmp(&(b.visit.start, &b.visit.visit_ref))
    });
    let rows: Vec<&PlannedVisit> = plan.iter().map(|row| row.visit.as_ref()).collect();
    let cancellations: Vec<Option<Cancellation>> =
        rows.iter().map(|visit| cancellation(visit, of.suspensions)).collect();
    let matched = match_attendances(&rows, attendances(of.events), policy.match_window);

    let (mut about, statements) = statements(of.events, &rows, policy.match_window);
    let mut visits = Vec::new();
    for (index, attendances) in matched.planned.into_iter().enumerate() {
        let row = plan[index];
        let next_start = (rows.iter().zip(&cancellations))
            .filter(|(other, cancelled)| cancelled.is_none() && other.start > row.visit.start)
            .map(|(other, _)| other.start)
            .min();
        let (late_at, missed_at) = late_and_missed_at(of, policy, &row.visit, next_start);
        let mut visit = Visit {
            visit_ref: row.visit.visit_ref.clone(),
            client: of.client.clone(),
            night: of.night,
            planned_start: row.visit.start,
            planned_end: row.visit.end,
            carers_required: row.visit.carers_required,
            cancellation: cancellations[index].clone(),
            plan: Some(row.clone()),
            statement: about[index].take(),
            late_at,
            missed_at,
            ..bare(of, attendances)
        };
        judge(&mut visit, of, policy, now);
        visits.push(visit);
    }
    for unplanned in matched.unplanned {
        let Some((began, _, _)) = unplanned.attendances.iter().filter_map(Attendance::order).min()
        else {
            continue;
        };
        let first_check_in = unplanned.attendances.iter().filter_map(Attendance::began).min();
        let start = first_check_in.unwrap_or(began);
        let mut visit = Visit {
            visit_ref: VisitRef::unplanned(unplanned.named_after),
            planned_start: start,
            planned_end: start + UNPLANNED_LENGTH,
            ..bare(of, unplanned.attendances)
        };
        judge(&mut visit, of, policy, now);
        visits.push(visit);
    }
    Reconciled { visits, statements }
}

fn bare(of: &ClientNight<'_>, attendances: Vec<Attendance>) -> Visit {
    Visit {
        visit_ref: VisitRef::unplanned(EventId(uuid::Uuid::nil())),
        client: of.client.clone(),
        night: of.night,
        plan: None,
        planned_start: Instant::MIN_UTC,
        planned_end: Instant::MIN_UTC,
        carers_required: 1,
        cancellation: None,
        attendances,
        statement: None,
        correction: None,
        comments: Vec::new(),
        present: 0,
        start: None,
        end: None,
        call: None,
        late_at: Instant::MAX_UTC,
        missed_at: Instant::MAX_UTC,
        status: Status::Planned,
        reason: None,
        flags: BTreeSet::new(),
    }
}

/// The cancellation of a visit: the plan's own or, while the client is suspended, as if by the
/// council (R22a).
#[must_use]
pub fn cancellation(visit: &PlannedVisit, suspensions: &[Suspension]) -> Option<Cancellation> {
    visit.cancellation.clone().or_else(|| {
        let suspension = suspensions.iter().find(|suspension| suspension.holds(visit.start))?;
        Some(suspension.cancellation())
    })
}

/// The instant at which a visit is late if not staffed, and its missed instant (R17, R18).
fn late_and_missed_at(
    of: &ClientNight<'_>,
    policy: &Policy,
    visit: &PlannedVisit,
    next_start: Option<Instant>,
) -> (Instant, Instant) {
    let allowance = if visit.time_specific { policy.time_specific_late } else { policy.late };
    let late_at = visit.start + allowance;
    let over_at = visit.end.max(visit.start + policy.missed_after);
    let service_end = policy.service_hours.end(of.contract.zone, of.night);
    let service_end = (service_end > visit.start).then_some(service_end);
    let given_up_at = [next_start, service_end].into_iter().flatten().fold(over_at, Instant::min);
    (late_at, late_at.max(given_up_at))
}

/// Finds for each planned visit the statement that counts about it, and for each statement its
/// visit (R15).
#[allow(clippy::type_complexity, reason = "two lists, used in one place")]
fn statements(
    events: &[Arc<PlacedEvent>],
    visits: &[&PlannedVisit],
    window: TimeDelta,
) -> (Vec<Option<Statement>>, Vec<(EventId, Option<VisitRef>)>) {
    let mut about: Vec<Option<Statement>> = vec![None; visits.len()];
    let mut placed = Vec::new();
    for event in events {
        let EventKind::NotDelivered(reason) = event.event.kind else { continue };
        let named = event
            .visit_ref
            .as_ref()
            .and_then(|name| visits.iter().position(|visit| visit.visit_ref == *name));
        let nearest = || {
            (visits.iter().enumerate())
                .map(|(index, visit)| ((event.effective_at - visit.start).abs(), index))
                .filter(|(distance, _)| *distance <= window)
                .min()
                .map(|(_, index)| index)
        };
        let index = named.or_else(nearest);
        let id = event.event.event_id;
        placed.push((id, index.map(|index| visits[index].visit_ref.clone())));
        let Some(index) = index else { continue };
        let later = about[index].as_ref().is_none_or(|other| {
            (event.effective_at, id) > (other.event.effective_at, other.event.event.event_id)
        });
        if later {
            about[index] = Some(Statement { event: Arc::clone(event), reason, stands: true });
        }
    }
    (about, placed)
}
