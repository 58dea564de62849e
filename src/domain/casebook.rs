//! A contract's plan, registers and evidence held together in memory: what a replay plays through
//! and what a report is made from.
//!
//! Finds out where each event belongs and hands whole client nights to [`reconcile`]. Decides
//! nothing itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::attendance::PlacedEvent;
use super::calendar::Night;
use super::correction::{Correction, CorrectionKind};
use super::event::Event;
use super::instant::Instant;
use super::overlap::mark_overlaps;
use super::place::{Book, Place, place, whereabouts};
use super::plan::PlannedVisit;
use super::policy::Contract;
use super::refs::{CarerRef, ClientRef, EventId, VisitRef};
use super::register::Registers;
use super::visit::{ClientNight, PlanRow, Reconciled, Visit, reconcile};

/// A client's night by its name.
pub type NightKey = (ClientRef, Night);

#[derive(Default)]
struct Case {
    plan: Vec<PlanRow>,
    events: Vec<Arc<PlacedEvent>>,
}

/// The plan, registers and evidence of one contract.
pub struct Casebook {
    /// The contract.
    pub contract: Arc<Contract>,
    registers: Registers,
    visits: HashMap<VisitRef, Arc<PlannedVisit>>,
    nights: BTreeMap<Night, Vec<Arc<PlannedVisit>>>,
    cases: BTreeMap<NightKey, Case>,
    placed: HashMap<EventId, NightKey>,
    /// Events by the event after which the unplanned visit is called that they name.
    naming: HashMap<EventId, BTreeSet<EventId>>,
    corrections: HashMap<VisitRef, Vec<Correction>>,
    placements: HashMap<EventId, VisitRef>,
    events: HashMap<EventId, Arc<Event>>,
    whereabouts: HashMap<CarerRef, Vec<(Instant, ClientRef)>>,
}

impl Casebook {
    /// An empty casebook with the contract's registers.
    #[must_use]
    pub fn new(contract: Arc<Contract>, registers: Registers) -> Self {
        Self {
            contract,
            registers,
            visits: HashMap::new(),
            nights: BTreeMap::new(),
            cases: BTreeMap::new(),
            placed: HashMap::new(),
            naming: HashMap::new(),
            corrections: HashMap::new(),
            placements: HashMap::new(),
            events: HashMap::new(),
            whereabouts: HashMap::new(),
        }
    }

    /// Enters a planned visit. The whole plan is entered before the first event.
    pub fn add_visit(&mut self, row: PlanRow) {
        let visit = Arc::clone(&row.visit);
        let night = self.contract.night_of(visit.start);
        self.cases.entry((visit.client_ref.clone(), night)).or_default().plan.push(row);
        self.visits.insert(visit.visit_ref.clone(), Arc::clone(&visit));
        self.nights.entry(night).or_default().push(visit);
    }

    /// Enters an event that is not there yet, and returns the client nights that it changes.
    pub fn add_event(&mut self, event: Event) -> Vec<NightKey> {
        let event_id = event.event_id;
        let says = event.visit_ref.as_ref().filter(|_| event.client_ref.is_none());
        // Both: what a coordinator names may not be there.
        let names = self.placements.get(&event_id).into_iter().chain(says);
        for other in names.filter_map(VisitRef::unplanned_event) {
            self.naming.entry(other).or_default().insert(event_id);
        }
        self.events.insert(event_id, Arc::new(event));
        self.place_anew(event_id)
    }

    /// Places an event, and those that name the unplanned visit that is called after it.
    fn place_anew(&mut self, event_id: EventId) -> Vec<NightKey> {
        let mut touched = Vec::new();
        let mut done = BTreeSet::new();
        let mut to_place = vec![event_id];
        while let Some(event_id) = to_place.pop() {
            let Some(event) = self.events.get(&event_id).cloned() else { continue };
            if !done.insert(event_id) {
                continue;
            }
            to_place.extend(self.naming.get(&event_id).into_iter().flatten());
            touched.extend(self.take_out(&event));
            let following = Following { book: self, followed: vec![event_id] };
            let found = place(&self.contract, &event, &following, &self.registers);
            if let Place::At { client, night, visit_ref, .. } = found {
                touched.push((client.clone(), night));
                self.put(&event, client, night, visit_ref);
            }
        }
        touched
    }

    /// Takes an event out of the client's night in which it was.
    fn take_out(&mut self, event: &Event) -> Option<NightKey> {
        let key = self.placed.remove(&event.event_id)?;
        if let Some(case) = self.cases.get_mut(&key) {
            case.events.retain(|placed| placed.event.event_id != event.event_id);
        }
        if let Some(seen) = self.whereabouts.get_mut(&event.carer_ref) {
            let was = (event.effective_at(), key.0.clone());
            if let Some(index) = seen.iter().position(|seen| *seen == was) {
                seen.swap_remove(index);
            }
        }
        Some(key)
    }

    /// Enters an event whose place has been decided.
    pub fn put(
        &mut self,
        event: &Event,
        client: ClientRef,
        night: Night,
        visit_ref: Option<VisitRef>,
    ) {
        let effective_at = event.effective_at();
        let whereabouts = whereabouts(&self.contract, event, &client, night, &self.registers);
        let seen = self.whereabouts.entry(event.carer_ref.clone()).or_default();
        seen.push((effective_at, client.clone()));
        self.placed.insert(event.event_id, (client.clone(), night));
        self.cases.entry((client, night)).or_default().events.push(Arc::new(PlacedEvent {
            event: event.clone(),
            effective_at,
            visit_ref,
            whereabouts,
        }));
    }

    /// Enters a correction, and returns the client nights that it changes.
    pub fn add_correction(&mut self, correction: Correction) -> Vec<NightKey> {
        match &correction.what {
            CorrectionKind::Place { event_id, visit_ref } => {
                let event_id = *event_id;
                if let Some(other) = visit_ref.unplanned_event() {
                    self.naming.entry(other).or_default().insert(event_id);
                }
                self.placements.insert(event_id, visit_ref.clone());
                self.place_anew(event_id)
            }
            CorrectionKind::Outcome { visit_ref, .. }
            | CorrectionKind::Withdraw { visit_ref }
            | CorrectionKind::Comment { visit_ref } => {
                let visit_ref = visit_ref.clone();
                let touched = match visit_ref.unplanned_event() {
                    Some(event) => self.placed.get(&event).cloned(),
                    None => self.visits.get(&visit_ref).map(|visit| {
                        (visit.client_ref.clone(), self.contract.night_of(visit.start))
                    }),
                };
                self.corrections.entry(visit_ref).or_default().push(correction);
                touched.into_iter().collect()
            }
        }
    }

    /// The client nights in which anything was planned or done.
    pub fn keys(&self) -> impl Iterator<Item = &NightKey> {
        self.cases.keys()
    }

    /// The nights for which anything was planned.
    pub fn planned_nights(&self) -> impl Iterator<Item = Night> {
        self.nights.keys().copied()
    }

    /// The event of that id.
    #[must_use]
    pub fn event(&self, event_id: EventId) -> Option<&Arc<Event>> {
        self.events.get(&event_id)
    }

    /// Reconciles one client's night at `now`.
    #[must_use]
    pub fn reconcile(&self, key: &NightKey, now: Instant) -> Reconciled {
        let empty = Case::default();
        let case = self.cases.get(key).unwrap_or(&empty);
        let corrections = self.corrections_of(case);
        let of = ClientNight {
            contract: &self.contract,
            client: &key.0,
            night: key.1,
            plan: &case.plan,
            suspensions: self.registers.suspensions(&key.0),
            events: &case.events,
            corrections: &corrections,
        };
        reconcile(&of, now)
    }

    fn corrections_of(&self, case: &Case) -> Vec<Correction> {
        if self.corrections.is_empty() {
            return Vec::new();
        }
        let planned = case.plan.iter().map(|row| row.visit.visit_ref.clone());
        let held = case.events.iter().map(|event| VisitRef::unplanned(event.event.event_id));
        let mut corrections: Vec<Correction> = planned
            .chain(held)
            .filter_map(|name| self.corrections.get(&name))
            .flatten()
            .cloned()
            .collect();
        corrections.sort_by_key(|correction| correction.at);
        corrections
    }

    /// All visits at `now`, overlaps marked, in the order of the visit log: by night, planned start
    /// (unplanned: first event), client, visit.
    #[must_use]
    pub fn visits(&self, now: Instant) -> Vec<Visit> {
        let mut visits: Vec<Visit> =
            self.cases.keys().flat_map(|key| self.reconcile(key, now).visits).collect();
        mark_overlaps(&mut visits);
        visits.sort_by(|a, b| {
            let key = |visit: &Visit| (visit.night, visit.listed_at());
            key(a)
                .cmp(&key(b))
                .then_with(|| (&a.client, &a.visit_ref).cmp(&(&b.client, &b.visit_ref)))
        });
        visits
    }

    /// Whether an event of the carer with an effective time after `after` has been received from
    /// the home of another client (R21).
    #[must_use]
    pub fn seen_elsewhere(&self, carer: &CarerRef, after: Instant, client: &ClientRef) -> bool {
        self.whereabouts.get(carer).is_some_and(|seen| {
            seen.iter().any(|(at, at_client)| *at > after && at_client != client)
        })
    }
}

/// The casebook as seen while an event is placed. Names of unplanned visits are followed from event
/// to event; one that leads back to an event on the way leads nowhere.
struct Following<'a> {
    book: &'a Casebook,
    followed: Vec<EventId>,
}

impl Book for Following<'_> {
    fn visit(&self, visit_ref: &VisitRef) -> Option<&PlannedVisit> {
        self.book.visits.get(visit_ref).map(AsRef::as_ref)
    }

    fn visits_of(&self, night: Night) -> Vec<&PlannedVisit> {
        self.book.nights.get(&night).into_iter().flatten().map(AsRef::as_ref).collect()
    }

    fn home_of(&self, event_id: EventId) -> Option<(ClientRef, Night)> {
        if self.followed.contains(&event_id) {
            return None;
        }
        let mut followed = self.followed.clone();
        followed.push(event_id);
        let next = Following { book: self.book, followed };
        let event = self.book.events.get(&event_id)?;
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
        book.add_event(follows.clone());
        book.add_event(other);
        assert!(book.placed.contains_key(&follows.event_id));
    }
}
