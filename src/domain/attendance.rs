//! Attendances: one carer's check-in and check-out at one visit (R10).

use std::sync::Arc;

use chrono::TimeDelta;

use super::event::{Event, EventKind};
use super::instant::{Instant, minutes};
use super::place::Whereabouts;
use super::refs::{CarerRef, EventId, VisitRef};

/// A check-in at most this long after the one that opened the attendance is a repeat (R10).
pub const REPEAT_WITHIN: TimeDelta = minutes(5);

/// An event that has been placed at a client's night.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedEvent {
    /// The event.
    pub event: Arc<Event>,
    /// Its effective time (R5).
    pub effective_at: Instant,
    /// The visit that the event, or a coordinator, says it belongs to.
    pub visit_ref: Option<VisitRef>,
    /// Where it was made.
    pub whereabouts: Whereabouts,
}

/// One carer's check-in and check-out. One of the two may be missing, not both.
#[derive(Debug, Clone)]
pub struct Attendance {
    /// The carer.
    pub carer: CarerRef,
    /// The check-in that opened it.
    pub check_in: Option<Arc<PlacedEvent>>,
    /// Check-ins shortly after the one that opened it.
    pub repeats: Vec<Arc<PlacedEvent>>,
    /// The check-out that closed it.
    pub check_out: Option<Arc<PlacedEvent>>,
}

impl Attendance {
    fn opened(event: Arc<PlacedEvent>) -> Self {
        let carer = event.event.carer_ref.clone();
        Self { carer, check_in: Some(event), repeats: Vec::new(), check_out: None }
    }

    fn only_closed(event: Arc<PlacedEvent>) -> Self {
        let carer = event.event.carer_ref.clone();
        Self { carer, check_in: None, repeats: Vec::new(), check_out: Some(event) }
    }

    /// When the carer checked in.
    #[must_use]
    pub fn began(&self) -> Option<Instant> {
        self.check_in.as_ref().map(|event| event.effective_at)
    }

    /// When the carer checked out.
    #[must_use]
    pub fn ended(&self) -> Option<Instant> {
        self.check_out.as_ref().map(|event| event.effective_at)
    }

    /// Its check-in and its check-out: the events that count. Repeats do not.
    pub fn counting(&self) -> impl Iterator<Item = &PlacedEvent> {
        self.check_in.iter().chain(&self.check_out).map(AsRef::as_ref)
    }

    /// All its events: check-in, repeats, check-out.
    pub fn events(&self) -> impl Iterator<Item = &PlacedEvent> {
        self.check_in.iter().chain(&self.repeats).chain(&self.check_out).map(AsRef::as_ref)
    }

    /// Its place among attendances: by time (check-in, else check-out), then carer, then event.
    #[must_use]
    pub fn order(&self) -> Option<(Instant, &CarerRef, EventId)> {
        self.counting().next().map(|event| (event.effective_at, &self.carer, event.event.event_id))
    }

    /// Its check-in, else its check-out.
    #[must_use]
    pub fn first_event(&self) -> Option<EventId> {
        self.counting().next().map(|event| event.event.event_id)
    }

    /// Whether a check-in or a repeat of it says that an informal carer was there too (R13).
    #[must_use]
    pub fn informal_carer(&self) -> bool {
        self.check_in.iter().chain(&self.repeats).any(|event| event.event.informal_carer)
    }

    /// Whether the event is one of its own.
    #[must_use]
    pub fn holds(&self, event_id: EventId) -> bool {
        self.events().any(|event| event.event.event_id == event_id)
    }

    /// Its `visit_ref`: the first, of its check-in, its repeats, its check-out, that `is_visit`.
    #[must_use]
    pub fn visit_ref(&self, is_visit: impl Fn(&VisitRef) -> bool) -> Option<&VisitRef> {
        self.events().filter_map(|event| event.visit_ref.as_ref()).find(|name| is_visit(name))
    }
}

/// Makes the attendances of a client's night from its check-ins and check-outs (R10). The result is
/// in order of time, then carer, whatever the order of `events`.
#[must_use]
pub fn attendances(events: &[Arc<PlacedEvent>]) -> Vec<Attendance> {
    let mut events: Vec<&Arc<PlacedEvent>> = (events.iter())
        .filter(|event| !matches!(event.event.kind, EventKind::NotDelivered(_)))
        .collect();
    events.sort_by_key(|placed| {
        let event = &placed.event;
        (&event.carer_ref, placed.effective_at, event.kind != EventKind::CheckIn, event.event_id)
    });
    events.dedup_by_key(|event| event.event.event_id);
    let mut all = Vec::with_capacity(events.len());
    for events in events.chunk_by(|a, b| a.event.carer_ref == b.event.carer_ref) {
        of_one_carer(events, &mut all);
    }
    all.sort_by(|a, b| a.order().cmp(&b.order()));
    all
}

fn of_one_carer(events: &[&Arc<PlacedEvent>], all: &mut Vec<Attendance>) {
    let mut open: Option<Attendance> = None;
    for &event in events {
        let event = Arc::clone(event);
        if event.event.kind == EventKind::CheckIn {
            match &mut open {
                Some(attendance)
                    if attendance
                        .began()
                        .is_some_and(|began| event.effective_at - began <= REPEAT_WITHIN) =>
                {
                    attendance.repeats.push(event);
                }
                _ => all.extend(open.replace(Attendance::opened(event))),
            }
        } else {
            all.push(match open.take() {
                Some(attendance) => Attendance { check_out: Some(event), ..attendance },
                None => Attendance::only_closed(event),
            });
        }
    }
    all.extend(open);
}
