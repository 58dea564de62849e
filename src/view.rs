//! What people see of a night and of a visit: read in one transaction, so that it belongs together.
//!
//! The board and the API are made from it. Decides nothing and shows everything: who may see what is
//! for those who show it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::acts::case_of;
use crate::book;
use crate::config::Contracts;
use crate::domain::calendar::{Night, next_day, plus_days, previous_day};
use crate::domain::contact::{Act, ContactClock, contact_clock};
use crate::domain::correction::Correction;
use crate::domain::event::EventKind;
use crate::domain::instant::Instant;
use crate::domain::plan_check::{Remark, remarks};
use crate::domain::policy::Contract;
use crate::domain::refs::{CarerRef, ClientRef, ContractId, EventId, VisitRef};
use crate::domain::register::Registers;
use crate::domain::schedule3::{Counted, RowKey};
use crate::domain::visit::Visit;
use crate::store::acts::HandedIn;
use crate::store::alerts::Found;
use crate::store::corrections::Placements;
use crate::store::evidence::{Raw, Recorded};
use crate::store::notifications::Notice;
use crate::store::plan::Version;
use crate::store::registers::Names;
use crate::store::{
    Db, StoreError, acts, alerts, corrections, evidence, notifications, plan, registers,
};
use crate::wire::alert::{AlertMessage, State};

/// An alert, and what was done about it.
#[derive(Debug, Clone)]
pub struct AlertView {
    /// As it was last said.
    pub message: AlertMessage,
    /// Whether anybody is told of it.
    pub told: bool,
    /// What was done, in order.
    pub acts: Vec<Act>,
    /// How its contact clock stands (R23).
    pub clock: ContactClock,
}

impl AlertView {
    /// Whether it goes on.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.message.state != State::Resolved
    }
}

/// A contract's night.
pub struct NightView {
    /// The contract.
    pub contract: Arc<Contract>,
    /// The night.
    pub night: Night,
    /// As of when.
    pub now: Instant,
    /// Its visits, in the order of the visit log.
    pub visits: Vec<Visit>,
    /// Its alerts, and the open ones of other nights, in the order in which they were raised.
    pub alerts: Vec<AlertView>,
    /// Its events that are not placed.
    pub unplaced: Vec<Recorded>,
    /// The registers, by date.
    pub registers: Registers,
    /// What people are called.
    pub names: Names,
}

/// Reads a night as it is at `now`.
///
/// # Errors
/// When the database fails.
pub async fn night(
    db: &mut Db,
    contract: &Arc<Contract>,
    night: Night,
    now: Instant,
) -> Result<NightView, StoreError> {
    // A visit may overlap one of the night before or after.
    let book = book::load(db, contract, previous_day(night), next_day(night)).await?;
    let mut visits = book.visits(now);
    visits.retain(|visit| visit.night == night);
    let mut found = alerts::of_night(db, &contract.id, night).await?;
    let open = alerts::open(db, &BTreeSet::from([contract.id.clone()])).await?;
    found.extend(open.into_iter().filter(|found| found.message.night != Some(night)));
    Ok(NightView {
        contract: Arc::clone(contract),
        night,
        now,
        visits,
        alerts: with_acts(db, found, now).await?,
        unplaced: evidence::unplaced(db, &contract.id, night).await?,
        registers: registers::load_all(db, &contract.id).await?,
        names: registers::names(db, &contract.id, night).await?,
    })
}

/// Alerts, with what was done about them.
///
/// # Errors
/// When the database fails.
pub async fn with_acts(
    db: &mut Db,
    found: Vec<Found>,
    now: Instant,
) -> Result<Vec<AlertView>, StoreError> {
    let ids = found.iter().map(|found| found.message.alert_id).collect();
    let mut acts = acts::of_alerts(db, &ids).await?;
    let owed = found.iter().filter(|found| found.message.contact_due_at.is_some());
    let visits = owed.filter_map(Found::visit).collect();
    let contacts = acts::contacts(db, &visits).await?;
    let view = |found: Found| {
        // Who was told when the visit was out of tolerance need not be told again when it is late.
        let rang = found.visit().and_then(|visit| contacts.get(&visit));
        let rang = rang.map_or(&[][..], Vec::as_slice);
        let Found { message, told, .. } = found;
        let acts = acts.remove(&message.alert_id).unwrap_or_default();
        let clock = contact_clock(message.contact_due_at, rang, now);
        AlertView { message, told, acts, clock }
    };
    Ok(found.into_iter().map(view).collect())
}

/// An event of a visit's client night.
pub struct EventView {
    /// The event, and where it was placed.
    pub recorded: Recorded,
    /// The message that brought it.
    pub raw: Option<Raw>,
    /// Who handed it in, if somebody did.
    pub handed_in: Option<HandedIn>,
    /// To which visit a coordinator has placed it.
    pub placed_at: Option<VisitRef>,
}

/// A visit's whole story.
pub struct StoryView {
    /// The contract.
    pub contract: Arc<Contract>,
    /// As of when.
    pub now: Instant,
    /// The visit.
    pub visit: Visit,
    /// Every version of its plan, the oldest first.
    pub versions: Vec<Version>,
    /// Its events, in order of receipt.
    pub events: Vec<EventView>,
    /// What was decided about it, and about its events, in order.
    pub corrections: Vec<Correction>,
    /// Its alerts, in the order in which they were raised.
    pub alerts: Vec<AlertView>,
    /// Who was told, or is to be, of its alerts, in order.
    pub notifications: Vec<Notice>,
    /// The row of Schedule 3 into which it goes.
    pub row: RowKey,
    /// The registers, by date.
    pub registers: Registers,
    /// What people are called.
    pub names: Names,
}

/// Reads a visit's story, by any of its names. `None`: there is no such visit.
///
/// # Errors
/// When the database fails.
pub async fn story(
    db: &mut Db,
    contracts: &Contracts,
    contract: &ContractId,
    name: &VisitRef,
    now: Instant,
) -> Result<Option<StoryView>, StoreError> {
    let Some(contract) = contracts.get(contract) else { return Ok(None) };
    let Some(key) = case_of(db, &contract.id, name).await? else { return Ok(None) };
    // Overlaps look beyond the client.
    let (from, to) = (plus_days(key.night, -1), plus_days(key.night, 1));
    let book = book::load(db, contract, from, to).await?;
    let found = book.visits(now).into_iter().find(|visit| {
        visit.night == key.night && visit.client == key.client && visit.is_named(name)
    });
    let Some(visit) = found else { return Ok(None) };
    let history = plan::of_refs(db, &BTreeSet::from([(contract.id.clone(), name.clone())])).await?;
    let mut recorded = evidence::of_cases(db, &BTreeSet::from([key])).await?;
    recorded.retain(|one| is_about(one, &visit));
    let events = events(db, &contract.id, recorded).await?;
    let names = events.iter().map(|event| VisitRef::unplanned(event.recorded.event.event_id));
    let names = names.chain([visit.visit_ref.clone()]).filter(|name| visit.is_named(name));
    let names = names.map(|name| (contract.id.clone(), name)).collect();
    let corrections = corrections::of_visits(db, &names).await?;
    let mut of_night = alerts::of_night(db, &contract.id, visit.night).await?;
    of_night.retain(|found| found.message.visit_ref.as_ref().is_some_and(|n| visit.is_named(n)));
    let ids = of_night.iter().map(|found| found.message.alert_id.to_string()).collect();
    let notifications = notifications::of_alerts(db, &ids).await?;
    let alerts = with_acts(db, of_night, now).await?;
    let row = row_of(contract, &visit);
    let registers = registers::load_all(db, &contract.id).await?;
    let names = registers::names(db, &contract.id, visit.night).await?;
    Ok(Some(StoryView {
        contract: Arc::clone(contract),
        now,
        versions: history.into_values().next().unwrap_or_default(),
        visit,
        events,
        corrections,
        alerts,
        notifications,
        row,
        registers,
        names,
    }))
}

/// The row of Schedule 3 into which a visit goes (R28).
#[must_use]
pub fn row_of(contract: &Contract, visit: &Visit) -> RowKey {
    let counted = Counted::of(contract, visit);
    RowKey {
        service: counted.service,
        service_level: counted.service_level,
        client: visit.client.clone(),
        start_date: contract.week_of(visit.night, visit.planned_start),
        contract: contract.id.clone(),
    }
}

/// Whether an event belongs to a visit, or is a statement about it.
fn is_about(recorded: &Recorded, visit: &Visit) -> bool {
    let event = &recorded.event;
    let stated = matches!(event.kind, EventKind::NotDelivered(_))
        && event.visit_ref.as_ref().is_some_and(|name| visit.is_named(name));
    let counts = visit.statement.as_ref().map(|statement| statement.event.event.event_id);
    visit.holds(event.event_id) || stated || counts == Some(event.event_id)
}

async fn events(
    db: &mut Db,
    contract: &ContractId,
    recorded: Vec<Recorded>,
) -> Result<Vec<EventView>, StoreError> {
    let ids: BTreeSet<EventId> = recorded.iter().map(|one| one.event.event_id).collect();
    let mut raw = evidence::raw(db, contract, &ids).await?;
    let mut handed_in: BTreeMap<EventId, HandedIn> = acts::handed_in(db, contract, &ids).await?;
    let named = ids.iter().map(|id| (contract.clone(), *id)).collect();
    let placements: Placements = corrections::placements(db, &named).await?;
    let view = |recorded: Recorded| {
        let id = recorded.event.event_id;
        EventView {
            raw: raw.remove(&id),
            handed_in: handed_in.remove(&id),
            placed_at: placements.get(&(contract.clone(), id)).cloned(),
            recorded,
        }
    };
    Ok(recorded.into_iter().map(view).collect())
}

/// What is remarkable about the plan of a night, as it is in force.
///
/// # Errors
/// When the database fails.
pub async fn plan_remarks(
    db: &mut Db,
    contract: &Contract,
    night: Night,
) -> Result<Vec<Remark>, StoreError> {
    let history = plan::of_nights(db, &contract.id, night, night).await?;
    let in_force = history.values().filter_map(|versions| plan::in_force(versions));
    let rows: Vec<_> = in_force.filter(|(of, _)| *of == night).map(|(_, row)| row.visit).collect();
    let pairs = rows.iter().flat_map(|visit| {
        visit.carers.iter().map(|carer| (visit.client_ref.clone(), carer.clone()))
    });
    let begin = contract.policy(night).service_hours.begin(contract.zone, night);
    let met = evidence::met(db, &contract.id, &pairs.collect(), begin).await?;
    let plan: Vec<_> = rows.iter().map(AsRef::as_ref).collect();
    let has_met =
        |client: &ClientRef, carer: &CarerRef| met.contains(&(client.clone(), carer.clone()));
    Ok(remarks(contract, night, &plan, has_met))
}

/// How the contact clock of each visit stood that was not staffed in time, on these dates (R23). Of
/// `tolerance` and `late` about the same visit, a contact for either counts.
///
/// # Errors
/// When the database fails.
pub async fn contacts(
    db: &mut Db,
    contract: &Arc<Contract>,
    (first, last): (Night, Night),
    now: Instant,
) -> Result<Vec<(ClientRef, ContactClock)>, StoreError> {
    let found = alerts::with_contact(db, &contract.id, (first, last)).await?;
    let mut visits: BTreeMap<(ClientRef, VisitRef), ContactClock> = BTreeMap::new();
    for view in with_acts(db, found, now).await? {
        if let (Some(client), Some(visit)) = (view.message.client_ref, view.message.visit_ref) {
            visits.insert((client, visit), view.clock);
        }
    }
    Ok(visits.into_iter().map(|((client, _), clock)| (client, clock)).collect())
}
