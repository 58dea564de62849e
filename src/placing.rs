//! Where events belong, by the plan and registers in the database (R12).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::config::Contracts;
use crate::domain::calendar::Night;
use crate::domain::event::{Event, Sender};
use crate::domain::grid;
use crate::domain::instant::Instant;
use crate::domain::place::{Book, Place, PlacedBy, place};
use crate::domain::plan::{LatLon, PlannedVisit};
use crate::domain::refs::{ClientRef, ContractId, EventId, VisitRef};
use crate::domain::register::Registers;
use crate::domain::visit::PlanRow;
use crate::store::cases::CaseKey;
use crate::store::corrections::Placements;
use crate::store::evidence::Recorded;
use crate::store::registers::{RegisterKind, Wanted};
use crate::store::{Db, StoreError, alerts, corrections, evidence, plan, registers};

/// As much of a contract's plan and evidence as some events need.
#[derive(Default)]
struct Extract {
    visits: HashMap<VisitRef, PlanRow>,
    nights: HashMap<Night, Vec<PlanRow>>,
    events: HashMap<EventId, (ClientRef, Night)>,
    placements: HashMap<EventId, VisitRef>,
}

impl Book for Extract {
    fn visit(&self, visit_ref: &VisitRef) -> Option<&PlannedVisit> {
        self.visits.get(visit_ref).map(|row| row.visit.as_ref())
    }

    fn visits_near(&self, night: Night, _at: LatLon) -> Vec<&PlannedVisit> {
        self.nights.get(&night).into_iter().flatten().map(|row| row.visit.as_ref()).collect()
    }

    fn home_of(&self, event_id: EventId) -> Option<(ClientRef, Night)> {
        self.events.get(&event_id).cloned()
    }

    fn placed(&self, event_id: EventId) -> Option<&VisitRef> {
        self.placements.get(&event_id)
    }
}

/// Finds out where new events belong, each in its turn: a later one may belong to a visit that an
/// earlier one began.
///
/// # Errors
/// When the database fails.
pub async fn place_all(
    db: &mut Db,
    contracts: &Contracts,
    events: &[&Event],
) -> Result<Vec<Place>, StoreError> {
    // Nobody has placed what has only come now.
    place_given(db, contracts, events, Placements::new()).await
}

/// Finds out where recorded events belong, by all that is known and decided now.
///
/// # Errors
/// When the database fails.
pub async fn place_recorded(
    db: &mut Db,
    contracts: &Contracts,
    events: &[&Event],
) -> Result<Vec<Place>, StoreError> {
    let ids = events.iter().map(|event| (event.contract.clone(), event.event_id)).collect();
    let placements = corrections::placements(db, &ids).await?;
    place_given(db, contracts, events, placements).await
}

async fn place_given(
    db: &mut Db,
    contracts: &Contracts,
    events: &[&Event],
    placements: Placements,
) -> Result<Vec<Place>, StoreError> {
    let mut extracts: HashMap<ContractId, Extract> = HashMap::new();
    let mut registers = load(db, events, &placements, &mut extracts).await?;
    for ((contract, event), visit_ref) in placements {
        extracts.entry(contract).or_default().placements.insert(event, visit_ref);
    }
    let places = place_with(contracts, events, &mut extracts, &registers);
    let loose = places
        .iter()
        .zip(events)
        .filter(|(place, event)| **place == Place::Unplaced && event.position.is_some())
        .map(|(_, event)| *event)
        .collect::<Vec<_>>();
    if loose.is_empty() {
        return Ok(places);
    }
    load_near(db, contracts, &loose, &mut extracts, &mut registers).await?;
    Ok(place_with(contracts, events, &mut extracts, &registers))
}

fn place_with(
    contracts: &Contracts,
    events: &[&Event],
    extracts: &mut HashMap<ContractId, Extract>,
    registers: &HashMap<ContractId, Registers>,
) -> Vec<Place> {
    let none = Registers::default();
    let mut places = Vec::with_capacity(events.len());
    for event in events {
        let Some(contract) = contracts.get(&event.contract) else {
            places.push(Place::Unplaced);
            continue;
        };
        let extract = extracts.entry(event.contract.clone()).or_default();
        let registers = registers.get(&event.contract).unwrap_or(&none);
        let found = place(contract, event, extract, registers);
        if let Place::At { client, night, .. } = &found {
            extract.events.insert(event.event_id, (client.clone(), *night));
        }
        places.push(found);
    }
    places
}

/// Loads what events say of themselves that needs looking up: visits, tags, units.
async fn load(
    db: &mut Db,
    events: &[&Event],
    placements: &Placements,
    extracts: &mut HashMap<ContractId, Extract>,
) -> Result<HashMap<ContractId, Registers>, StoreError> {
    let mut visits: BTreeSet<(ContractId, VisitRef)> = BTreeSet::new();
    let mut begun: BTreeSet<(ContractId, EventId)> = BTreeSet::new();
    let mut wanted = Wanted::new();
    let mut look_up = |contract: &ContractId, visit: &VisitRef| {
        match visit.unplanned_event() {
            Some(other) => begun.insert((contract.clone(), other)),
            None => visits.insert((contract.clone(), visit.clone())),
        };
    };
    for ((contract, _), visit) in placements {
        look_up(contract, visit);
    }
    for event in events.iter().filter(|event| event.client_ref.is_none()) {
        let contract = || event.contract.clone();
        if let Some(visit) = &event.visit_ref {
            look_up(&event.contract, visit);
        }
        if let Some(tag) = &event.tag {
            wanted.insert((contract(), RegisterKind::Tag, tag.as_str().to_owned()));
        }
        if let Sender::Device(device) = &event.sender {
            wanted.insert((contract(), RegisterKind::Device, device.as_str().to_owned()));
        }
    }
    for ((contract, visit_ref), versions) in plan::of_refs(db, &visits).await? {
        if let Some((_, row)) = plan::in_force(&versions) {
            extracts.entry(contract).or_default().visits.insert(visit_ref, row);
        }
    }
    for ((contract, event), known) in evidence::known(db, &begun).await? {
        if let Some(case) = known.case {
            extracts.entry(contract).or_default().events.insert(event, case);
        }
    }
    registers::load(db, &wanted).await
}

/// Loads the visits at the homes near events that can be placed by nothing but their position.
async fn load_near(
    db: &mut Db,
    contracts: &Contracts,
    events: &[&Event],
    extracts: &mut HashMap<ContractId, Extract>,
    registers: &mut HashMap<ContractId, Registers>,
) -> Result<(), StoreError> {
    let mut ranges = BTreeSet::new();
    for event in events {
        let Some((contract, position)) = contracts.get(&event.contract).zip(event.position) else {
            continue;
        };
        let night = contract.night_of(event.effective_at());
        let reach = contract.policy(night).fence_m.max(grid::NEAR_M);
        let cells = grid::around(position.at, reach).into_iter();
        let cells = cells.chain([(grid::ANYWHERE, grid::ANYWHERE)]);
        ranges.extend(cells.map(|cells| (contract.id.clone(), night, cells)));
    }
    let keys = registers::near(db, &ranges).await?;
    for versions in plan::of_cases(db, &keys).await?.values() {
        let Some((night, row)) = plan::in_force(versions) else { continue };
        let (contract, client) = (row.visit.contract.clone(), row.visit.client_ref.clone());
        if keys.contains(&CaseKey { contract: contract.clone(), night, client }) {
            let extract = extracts.entry(contract).or_default();
            extract.nights.entry(night).or_default().push(row);
        }
    }
    let homes = keys
        .into_iter()
        .map(|key| (key.contract, RegisterKind::Client, key.client.as_str().to_owned()));
    for (contract, homes) in registers::load(db, &homes.collect()).await? {
        registers.entry(contract).or_default().add_homes(homes);
    }
    Ok(())
}

/// How often events that name each other's visits are followed.
const ROUNDS_MAX: usize = 16;

/// Places events anew, and those that name unplanned visits called after events that have moved;
/// records where they belong now, and returns the client nights that lost or gained one, to be
/// looked at at `now`.
///
/// # Errors
/// When the database fails.
pub async fn place_anew(
    db: &mut Db,
    contracts: &Contracts,
    mut recorded: Vec<Recorded>,
    now: Instant,
) -> Result<BTreeMap<CaseKey, Instant>, StoreError> {
    let mut touched = BTreeMap::new();
    for _ in 0..ROUNDS_MAX {
        let moved = move_all(db, contracts, &recorded, now, &mut touched).await?;
        recorded = evidence::naming(db, &moved).await?;
        if recorded.is_empty() {
            break;
        }
    }
    Ok(touched)
}

/// Returns the names of the unplanned visits that are called after the events that have moved.
async fn move_all(
    db: &mut Db,
    contracts: &Contracts,
    recorded: &[Recorded],
    now: Instant,
    touched: &mut BTreeMap<CaseKey, Instant>,
) -> Result<BTreeSet<(ContractId, VisitRef)>, StoreError> {
    let events: Vec<&Event> = recorded.iter().map(|recorded| &recorded.event).collect();
    let places = place_recorded(db, contracts, &events).await?;
    let mut moved = BTreeSet::new();
    let mut carers = BTreeSet::new();
    let mut gone = Vec::new();
    for (recorded, place) in recorded.iter().zip(&places) {
        let contract = recorded.event.contract.clone();
        let before = recorded.client.clone().map(|client| (client, recorded.night));
        let (after, by) = match place {
            Place::At { client, night, by, .. } => (Some((client.clone(), *night)), Some(*by)),
            Place::Unplaced => (None, None),
        };
        if before == after && recorded.by == by {
            // Another visit of the same home may be meant now.
            let decided = after.filter(|_| by == Some(PlacedBy::Correction));
            touched
                .extend(decided.map(|(client, night)| (CaseKey { contract, night, client }, now)));
            continue;
        }
        let own_night = contracts
            .get(&contract)
            .map_or(recorded.night, |contract| contract.night_of(recorded.event.effective_at()));
        evidence::replace(db, recorded.id, place, own_night).await?;
        moved.insert((contract.clone(), VisitRef::unplanned(recorded.event.event_id)));
        if before.is_some() {
            let home = after.as_ref().map(|(client, _)| client.clone());
            let carer = recorded.event.carer_ref.clone();
            gone.push((contract.clone(), carer, recorded.event.effective_at(), home));
        }
        for (client, night) in before.into_iter().chain(after) {
            touched.insert(CaseKey { contract: contract.clone(), night, client }, now);
        }
        carers.insert((contract, recorded.event.carer_ref.clone()));
    }
    // An event from another home ends `overdue_checkout` about its carer (R21). One that has left
    // there does so no more; one that has come there does.
    touched.extend(evidence::nights_before(db, &gone).await?.into_iter().map(|key| (key, now)));
    if !carers.is_empty() {
        touched.extend(alerts::overdue_of(db, &carers).await?.into_iter().map(|key| (key, now)));
    }
    Ok(moved)
}
