//! Whose home an event is about, and whether it was made there (R12, R19).

use geo::{Distance, Geodesic, Point};

use super::calendar::{Night, local_date};
use super::event::{Event, Sender};
use super::neighbours::may_be_within;
use super::plan::{LatLon, PlannedVisit};
use super::policy::Contract;
use super::refs::{ClientRef, EventId, VisitRef};
use super::register::{Home, Registers};
use super::words::words;

words! {
    /// By what an event was placed (R12), in the order in which it is tried.
    PlacedBy {
        /// By a coordinator.
        Correction = "correction",
        /// By its own `client_ref`.
        Client = "client",
        /// By the client of its `visit_ref`.
        Visit = "visit",
        /// By the home of its `tag`.
        Tag = "tag",
        /// By the home of the unit that sent it.
        Device = "device",
        /// By its position.
        Position = "position",
    }
}

/// Where an event belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// At this client's, in this night.
    At {
        /// The client.
        client: ClientRef,
        /// The night.
        night: Night,
        /// The visit, if the event or a coordinator says which.
        visit_ref: Option<VisitRef>,
        /// How that was found.
        by: PlacedBy,
    },
    /// Nowhere yet: it is kept for a coordinator to place.
    Unplaced,
}

/// What placing needs to know of the contract's plan and evidence.
pub trait Book {
    /// The planned visit of that reference, in whatever night.
    fn visit(&self, visit_ref: &VisitRef) -> Option<&PlannedVisit>;
    /// The planned visits of that night, save of clients who certainly do not live there.
    fn visits_near(&self, night: Night, at: LatLon) -> Vec<&PlannedVisit>;
    /// The client and night at which another event has been placed.
    fn home_of(&self, event_id: EventId) -> Option<(ClientRef, Night)>;
    /// The visit to which a coordinator has placed the event.
    fn placed(&self, event_id: EventId) -> Option<&VisitRef>;
}

/// Finds out where an event belongs (R12).
#[must_use]
pub fn place(contract: &Contract, event: &Event, book: &impl Book, registers: &Registers) -> Place {
    let night = contract.night_of(event.effective_at());
    let date = local_date(contract.zone, event.effective_at());
    if let Some(visit_ref) = book.placed(event.event_id)
        && let Some((client, night)) = visit_of(contract, book, visit_ref)
    {
        let visit_ref = Some(visit_ref.clone());
        return Place::At { client, night, visit_ref, by: PlacedBy::Correction };
    }
    // Where an event was placed before says nothing about where it belongs.
    let own = |name: &VisitRef| name.unplanned_event() == Some(event.event_id);
    let names = event.visit_ref.as_ref().filter(|name| !own(name));
    let by_visit = || Some(visit_of(contract, book, names?)?.0);
    let by_tag = || registers.tag(event.tag.as_ref()?, date).cloned();
    let by_device = || match &event.sender {
        Sender::Device(device) => registers.device(device, date).cloned(),
        Sender::Carer(_) => None,
    };
    let by_position = || at_position(contract, event, night, book, registers);
    let found = (event.client_ref.clone().map(|client| (client, PlacedBy::Client)))
        .or_else(|| by_visit().map(|client| (client, PlacedBy::Visit)))
        .or_else(|| by_tag().map(|client| (client, PlacedBy::Tag)))
        .or_else(|| by_device().map(|client| (client, PlacedBy::Device)))
        .or_else(|| by_position().map(|client| (client, PlacedBy::Position)));
    match found {
        Some((client, by)) => Place::At { client, night, visit_ref: event.visit_ref.clone(), by },
        None => Place::Unplaced,
    }
}

/// The client and night of a visit by any of its names: `U-x` is the visit that holds event x.
fn visit_of(contract: &Contract, book: &impl Book, visit: &VisitRef) -> Option<(ClientRef, Night)> {
    match visit.unplanned_event() {
        Some(event) => book.home_of(event),
        None => book.visit(visit).map(|v| (v.client_ref.clone(), contract.night_of(v.start))),
    }
}

/// The client at whose home a position lies: one with a visit in that night and that carer in its
/// list, else with any visit in that night, if exactly one qualifies.
fn at_position(
    contract: &Contract,
    event: &Event,
    night: Night,
    book: &impl Book,
    registers: &Registers,
) -> Option<ClientRef> {
    let position = event.position?;
    let date = local_date(contract.zone, event.effective_at());
    let default_fence_m = contract.policy(night).fence_m;
    let mut listed: Vec<&ClientRef> = Vec::new();
    let mut any: Vec<&ClientRef> = Vec::new();
    for visit in book.visits_near(night, position.at) {
        let Some(home) = registers.home(&visit.client_ref, date) else { continue };
        let inside = home
            .at
            .is_some_and(|at| is_within(position.at, at, home.fence_m.unwrap_or(default_fence_m)));
        if !inside {
            continue;
        }
        any.push(&visit.client_ref);
        if visit.carers.contains(&event.carer_ref) {
            listed.push(&visit.client_ref);
        }
    }
    let candidates = if listed.is_empty() { any } else { listed };
    let (first, rest) = candidates.split_first()?;
    rest.iter().all(|client| client == first).then(|| (*first).clone())
}

/// Where a check-in or check-out was made (R19).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Whereabouts {
    /// At the client's home.
    OnSite,
    /// Outside the fence.
    OffSite {
        /// Distance from the client's position, in metres.
        distance_m: f64,
    },
    /// Nobody can say.
    Unknown,
}

/// Where the event was made, seen from that client's home (R19). Positions decide where there are
/// two; without, the client's own unit or tag does.
#[must_use]
pub fn whereabouts(
    contract: &Contract,
    event: &Event,
    client: &ClientRef,
    night: Night,
    registers: &Registers,
) -> Whereabouts {
    let date = local_date(contract.zone, event.effective_at());
    let home = registers.home(client, date).unwrap_or(Home { at: None, fence_m: None });
    if let (Some(position), Some(at)) = (event.position, home.at) {
        let fence_m = home.fence_m.unwrap_or(contract.policy(night).fence_m);
        let distance_m = distance_m(position.at, at);
        let outside = distance_m - position.accuracy_m > fence_m;
        return if outside { Whereabouts::OffSite { distance_m } } else { Whereabouts::OnSite };
    }
    let own_device = matches!(&event.sender, Sender::Device(device)
        if registers.device(device, date) == Some(client));
    let own_tag = event.tag.as_ref().is_some_and(|tag| registers.tag(tag, date) == Some(client));
    if own_device || own_tag { Whereabouts::OnSite } else { Whereabouts::Unknown }
}

/// Whether the distance is at most so many metres. A straight line is soon measured, and almost every
/// home is too far even so.
fn is_within(a: LatLon, b: LatLon, metres: f64) -> bool {
    may_be_within(a, b, metres) && distance_m(a, b) <= metres
}

/// Geodesic distance on WGS 84, in metres (R19).
#[must_use]
pub fn distance_m(a: LatLon, b: LatLon) -> f64 {
    Geodesic.distance(Point::new(a.lon, a.lat), Point::new(b.lon, b.lat))
}
