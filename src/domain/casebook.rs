//! A contract's plan, registers and evidence held together in memory: what a replay plays through
//! and what a report is made from.
//!
//! Finds out where each event belongs and hands whole client nights to [`reconcile`]. Decides
//! nothing itself.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::attendance::PlacedEvent;
use super::calendar::Night;
use super::correction::{Correction, CorrectionKind};
use super::event::Event;
use super::instant::Instant;
use super::neighbours::Neighbours;
use super::overlap::mark_overlaps;
use super::place::{Book, Place, place, whereabouts};
use super::plan::{LatLon, PlannedVisit};
use super::policy::Contract;
use super::refs::{CarerRef, ClientRef, EventId, VisitRef};
use super::register::Registers;
use super::visit::{ClientNight, PlanRow, Reconciled, Visit, reconcile};

/// A client's night by its name.
pub type NightKey = (ClientRef, Night);

/// A client's night by its place in the casebook, where it stays.
pub type CaseIndex = usize;

struct Case {
    key: NightKey,
    plan: Vec<PlanRow>,
    events: Vec<Arc<PlacedEvent>>,
}

/// An event, and the client's night in which it is, if any.
struct Kept {
    event: Arc<Event>,
    case: Option<CaseIndex>,
}

/// What a piece of evidence changes about a client's night.
#[derive(Debug, Clone)]
pub enum Change {
    /// The event belongs there now.
    Came(Arc<PlacedEvent>),
    /// The event does not belong there any more.
    Left(Arc<PlacedEvent>),
    /// A coordinator decided something.
    Decided,
}

/// What a piece of evidence changes.
#[derive(Debug, Default)]
pub struct Touched {
    /// The client nights that it changes, and how, in that order.
    pub cases: Vec<(CaseIndex, Change)>,
    /// The carers whose events were placed, or placed anew.
    pub carers: Vec<CarerRef>,
}

/// The plan, registers and evidence of one contract.
pub struct Casebook {
    /// The contract.
    pub contract: Arc<Contract>,
    registers: Registers,
    neighbours: Neighbours,
    visits: HashMap<VisitRef, Arc<PlannedVisit>>,
    nights: BTreeSet<Night>,
    cases: Vec<Case>,
    index: HashMap<NightKey, CaseIndex>,
    events: HashMap<EventId, Kept>,
    /// Events by the event after which the unplanned visit is called that they name.
    naming: HashMap<EventId, BTreeSet<EventId>>,
    /// What was decided about planned visits, and about those called after an event.
    corrections: HashMap<VisitRef, Vec<Correction>>,
    corrections_of_unplanned: HashMap<EventId, Vec<Correction>>,
    placements: HashMap<EventId, VisitRef>,
}

impl Casebook {
    /// An empty casebook with the contract's registers.
    #[must_use]
    pub fn new(contract: Arc<Contract>, registers: Registers) -> Self {
        let fence_m = contract.policies().map(|policy| policy.fence_m).fold(0.0, f64::max);
        let mut neighbours = Neighbours::default();
        for (client, home) in registers.homes() {
            if let Some(at) = home.at {
                neighbours.put(client, at, home.fence_m.unwrap_or(fence_m));
            }
        }
        Self {
            contract,
            registers,
            neighbours,
            visits: HashMap::new(),
            nights: BTreeSet::new(),
            cases: Vec::new(),
            index: HashMap::new(),
            events: HashMap::new(),
            naming: HashMap::new(),
            corrections: HashMap::new(),
            corrections_of_unplanned: HashMap::new(),
            placements: HashMap::new(),
        }
    }

    fn case_of(&mut self, key: NightKey) -> CaseIndex {
        let cases = &mut self.cases;
        *self.index.entry(key).or_insert_with_key(|key| {
            cases.push(Case { key: key.clone(), plan: Vec::new(), events: Vec::new() });
            cases.len() - 1
        })
    }

    /// Enters a planned visit. The whole plan is entered before the first event.
    pub fn add_visit(&mut self, row: PlanRow) {
        let visit = Arc::clone(&row.visit);
        let night = self.contract.night_of(visit.start);
        let case = self.case_of((visit.client_ref.clone(), night));
        self.cases[case].plan.push(row);
        self.visits.insert(visit.visit_ref.clone(), visit);
        self.nights.insert(night);
    }

    /// Enters an event, unless there is one of that id: of two the first stands, whatever the second
    /// says (R6).
    pub fn add_event(&mut self, event: Arc<Event>) -> Option<Touched> {
        let event_id = event.event_id;
        let Entry::Vacant(place) = self.events.entry(event_id) else { return None };
        let says = event.visit_ref.as_ref().filter(|_| event.client_ref.is_none());
        // Both: what a coordinator names may not be there.
        let names = self.placements.get(&event_id).into_iter().chain(says);
        for other in names.filter_map(VisitRef::unplanned_event) {
            self.naming.entry(other).or_default().insert(event_id);
        }
        place.insert(Kept { event, case: None });
        Some(self.place_anew(event_id))
    }

    /// Places an event, and those that name the unplanned visit that is called after it.
    fn place_anew(&mut self, event_id: EventId) -> Touched {
        let mut touched = Touched::default();
        let mut done = BTreeSet::new();
        let mut to_place = vec![event_id];
        while let Some(event_id) = to_place.pop() {
            let Some(kept) = self.events.get_mut(&event_id) else { continue };
            if !done.insert(event_id) {
                continue;
            }
            let event = Arc::clone(&kept.event);
            let left = kept.case.take();
            to_place.extend(self.naming.get(&event_id).into_iter().flatten());
            if let Some(case) = left {
                let events = &mut self.cases[case].events;
                let place = events.iter().position(|placed| placed.event.event_id == event_id);
                touched.cases.extend(place.map(|place| (case, Change::Left(events.remove(place)))));
            }
            let following = Following { book: self, followed: vec![event_id] };
            let found = place(&self.contract, &event, &following, &self.registers);
            if let Place::At { client, night, visit_ref, .. } = found {
                let (case, placed) = self.put(Arc::clone(&event), client, night, visit_ref);
                if let Some(kept) = self.events.get_mut(&event_id) {
                    kept.case = Some(case);
                }
                touched.cases.push((case, Change::Came(placed)));
            }
            touched.carers.push(event.carer_ref.clone());
        }
        touched
    }

    /// Enters an event whose place has been decided, and returns the client's night, and the event
    /// as it is there.
    pub fn put(
        &mut self,
        event: Arc<Event>,
        client: ClientRef,
        night: Night,
        visit_ref: Option<VisitRef>,
    ) -> (CaseIndex, Arc<PlacedEvent>) {
        let effective_at = event.effective_at();
        let whereabouts = whereabouts(&self.contract, &event, &client, night, &self.registers);
        let case = self.case_of((client, night));
        let placed = Arc::new(PlacedEvent { event, effective_at, visit_ref, whereabouts });
        self.cases[case].events.push(Arc::clone(&placed));
        (case, placed)
    }

    /// Enters a correction.
    pub fn add_correction(&mut self, correction: Correction) -> Touched {
        if let CorrectionKind::Place { event_id, visit_ref } = &correction.what {
            let event_id = *event_id;
            if let Some(other) = visit_ref.unplanned_event() {
                self.naming.entry(other).or_default().insert(event_id);
            }
            self.placements.insert(event_id, visit_ref.clone());
            return self.place_anew(event_id);
        }
        let Some(about) = correction.about().cloned() else { return Touched::default() };
        let (case, corrections) = if let Some(event) = about.unplanned_event() {
            let case = self.events.get(&event).and_then(|kept| kept.case);
            (case, self.corrections_of_unplanned.entry(event).or_default())
        } else {
            let key = self
                .visits
                .get(&about)
                .map(|visit| (visit.client_ref.clone(), self.contract.night_of(visit.start)));
            let case = key.and_then(|key| self.index.get(&key).copied());
            (case, self.corrections.entry(about).or_default())
        };
        corrections.push(correction);
        let cases = case.map(|case| (case, Change::Decided)).into_iter().collect();
        Touched { cases, carers: Vec::new() }
    }

    /// The client nights in which anything was planned or done.
    #[must_use]
    pub fn cases(&self) -> Range<CaseIndex> {
        0..self.cases.len()
    }

    /// The name of a client's night.
    #[must_use]
    pub fn key(&self, case: CaseIndex) -> &NightKey {
        &self.cases[case].key
    }

    /// The nights for which anything was planned.
    pub fn planned_nights(&self) -> impl Iterator<Item = Night> {
        self.nights.iter().copied()
    }

    /// Reconciles one client's night at `now`.
    #[must_use]
    pub fn reconcile(&self, case: CaseIndex, now: Instant) -> Reconciled {
        self.reconcile_with(case, &self.cases[case].events, now)
    }

    /// The same as if these were its events.
    #[must_use]
    pub fn reconcile_with(
        &self,
        case: CaseIndex,
        events: &[Arc<PlacedEvent>],
        now: Instant,
    ) -> Reconciled {
        let case = &self.cases[case];
        let (client, night) = &case.key;
        let of = ClientNight {
            contract: &self.contract,
            client,
            night: *night,
            plan: &case.plan,
            suspensions: self.registers.suspensions(client),
            events,
            corrections: &self.corrections_of(&case.plan, events),
        };
        reconcile(&of, now)
    }

    fn corrections_of(&self, plan: &[PlanRow], events: &[Arc<PlacedEvent>]) -> Vec<Correction> {
        if self.corrections.is_empty() && self.corrections_of_unplanned.is_empty() {
            return Vec::new();
        }
        let planned = plan.iter().map(|row| self.corrections.get(&row.visit.visit_ref));
        let of_unplanned = &self.corrections_of_unplanned;
        let held = events.iter().map(|event| of_unplanned.get(&event.event.event_id));
        let mut corrections: Vec<Correction> =
            planned.chain(held).flatten().flatten().cloned().collect();
        corrections.sort_by_key(|correction| correction.at);
        corrections
    }

    /// All visits at `now`, overlaps marked, in the order of the visit log.
    #[must_use]
    pub fn visits(&self, now: Instant) -> Vec<Visit> {
        in_order(self.cases().flat_map(|case| self.reconcile(case, now).visits).collect())
    }
}

/// Marks the overlaps of a contract's visits, and puts them in the order of the visit log: by night,
/// planned start (unplanned: first event), client, visit.
#[must_use]
pub fn in_order(mut visits: Vec<Visit>) -> Vec<Visit> {
    mark_overlaps(&mut visits);
    visits.sort_by_cached_key(|visit| {
        (visit.night, visit.listed_at(), visit.client.clone(), visit.visit_ref.clone())
    });
    visits
}

/// The casebook as seen while an event is placed. Names of unplanned visits are followed from event
/// to event; one that leads back to an event on the way leads nowhere.
struct Following<'a> {
    book: &'a Casebook,
    followed: Vec<EventId>,
}

impl Following<'_> {
    fn plan_of(&self, client: &ClientRef, night: Night) -> &[PlanRow] {
        let case = self.book.index.get(&(client.clone(), night));
        case.map_or(&[], |case| self.book.cases[*case].plan.as_slice())
    }
}

impl Book for Following<'_> {
    fn visit(&self, visit_ref: &VisitRef) -> Option<&PlannedVisit> {
        self.book.visits.get(visit_ref).map(AsRef::as_ref)
    }

    fn visits_near(&self, night: Night, at: LatLon) -> Vec<&PlannedVisit> {
        let rows = self.book.neighbours.of(at).flat_map(|client| self.plan_of(client, night));
        rows.map(|row| row.visit.as_ref()).collect()
    }

    fn home_of(&self, event_id: EventId) -> Option<(ClientRef, Night)> {
        if self.followed.contains(&event_id) {
            return None;
        }
        let mut followed = self.followed.clone();
        followed.push(event_id);
        let next = Following { book: self.book, followed };
        let event = &self.book.events.get(&event_id)?.event;
        match place(&self.book.contract, event, &next, &self.book.registers) {
            Place::At { client, night, .. } => Some((client, night)),
            Place::Unplaced => None,
        }
    }

    fn placed(&self, event_id: EventId) -> Option<&VisitRef> {
        self.book.placements.get(&event_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use crate::domain::event::{EventKind, Sender};
    use crate::domain::instant::parse_instant;

    fn event(id: u128, client: Option<&str>, visit: Option<VisitRef>) -> Event {
        let at = parse_instant("2019-02-05T01:00:00Z").unwrap();
        Event {
            contract: "default".parse().unwrap(),
            event_id: EventId(uuid::Uuid::from_u128(id)),
            sender: Sender::Carer("amy".parse().unwrap()),
            kind: EventKind::CheckIn,
            carer_ref: "amy".parse().unwrap(),
            occurred_at: at,
            received_at: at,
            client_ref: client.map(|client| client.parse().unwrap()),
            visit_ref: visit,
            tag: None,
            position: None,
            informal_carer: false,
            seq: None,
        }
    }

    /// The event goes by what it says itself, whichever of the three comes first (R8).
    #[test]
    fn an_event_that_is_placed_at_no_visit_there_is_follows_its_own_words() {
        let contract = load(None, []).unwrap().default_contract("default".parse().unwrap());
        let other = event(2, Some("C-1"), None);
        let follows = event(1, None, Some(VisitRef::unplanned(other.event_id)));
        let what = CorrectionKind::Place {
            event_id: follows.event_id,
            visit_ref: "V-none".parse().unwrap(),
        };
        let correction = Correction {
            at: follows.received_at,
            by: "a coordinator".to_owned(),
            contract: "default".parse().unwrap(),
            reason: None,
            comment: None,
            return_comment: None,
            what,
        };
        let mut book = Casebook::new(Arc::new(contract), Registers::default());
        book.add_correction(correction);
        book.add_event(Arc::new(follows.clone()));
        book.add_event(Arc::new(other));
        assert!(book.events[&follows.event_id].case.is_some());
    }
}
