//! Client nights taken from the database, assessed, and put back.
//!
//! The one way in which evidence, deadlines and changed plans become alerts in the daemon. Within
//! one transaction: load, assess as often as there is cause, save.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::TimeDelta;

use crate::config::Contracts;
use crate::domain::alert::{
    Alert, AlertKind, Cause, Change, Resolution, Sight, assess, contact_due_at, is_awaited,
    next_deadline,
};
use crate::domain::attendance::PlacedEvent;
use crate::domain::correction::Correction;
use crate::domain::event::{Event, EventKind};
use crate::domain::instant::Instant;
use crate::domain::place::{PlacedBy, whereabouts};
use crate::domain::policy::Contract;
use crate::domain::refs::{CarerRef, ClientRef, ContractId, EventId, VisitRef};
use crate::domain::register::Registers;
use crate::domain::schedule3::Counted;
use crate::domain::visit::{ClientNight, PlanRow, Reconciled, UNPLANNED_LENGTH, Visit, reconcile};
use crate::domain::wording;
use crate::store::alerts::{About, Raised, StoredAlert, ToSave};
use crate::store::cases::{CaseKey, Next};
use crate::store::corrections::Placements;
use crate::store::evidence::Recorded;
use crate::store::registers::{RegisterKind, Wanted};
use crate::store::settled::JudgedBy;
use crate::store::{
    Db, StoreError, alerts, cases, corrections, evidence, plan, registers, settled,
};
use crate::telling::{self, Said};
use crate::wire::alert::{AlertMessage, State};

/// A batch of another daemon is committed within this.
const LOOK_AGAIN_AFTER: TimeDelta = TimeDelta::seconds(5);

/// Where carers have been: the events that may show that a carer left another home (R21).
pub type Seen = HashMap<(ContractId, CarerRef), Vec<(Instant, ClientRef)>>;

/// A client's night with everything on which it depends.
pub struct Case {
    /// The contract.
    pub contract: Arc<Contract>,
    key: CaseKey,
    plan: Vec<PlanRow>,
    registers: Arc<Registers>,
    events: Vec<Arc<PlacedEvent>>,
    /// What was decided about its visits.
    corrections: Vec<Correction>,
    /// The night with all these events, as it was reconciled last.
    latest: Option<Reconciled>,
    alerts: Vec<StoredAlert>,
    /// When something is due next, as the database has it.
    pub due_at: Option<Instant>,
    /// The alerts that are new or have changed, by their place.
    changed: BTreeSet<usize>,
    /// Those that are new and of which people are told.
    raised: Vec<Raised>,
    /// What is to be said to others.
    said: Vec<AlertMessage>,
}

/// Client nights by their name, in the order in which they are written.
pub type Caseload = BTreeMap<CaseKey, Case>;

/// Loads client nights, to assess them: nobody else does until the transaction ends. Those of contracts
/// that the configuration does not have are left out.
///
/// # Errors
/// When the database fails.
pub async fn load(
    db: &mut Db,
    contracts: &Contracts,
    keys: &BTreeSet<CaseKey>,
) -> Result<Caseload, StoreError> {
    let due = cases::due_at(db, keys).await?;
    let mut caseload = read(db, contracts, keys).await?;
    for (key, case) in &mut caseload {
        let due_at = due.get(key).copied().flatten();
        case.due_at = due_at.and_then(Instant::from_timestamp_micros);
    }
    for (key, alert) in alerts::of_cases(db, keys).await? {
        if let Some(case) = caseload.get_mut(&key) {
            case.alerts.push(alert);
        }
    }
    Ok(caseload)
}

/// Reads the plan, registers and evidence of client nights, to reconcile them. Those of contracts that
/// the configuration does not have are left out.
///
/// # Errors
/// When the database fails.
pub async fn read(
    db: &mut Db,
    contracts: &Contracts,
    keys: &BTreeSet<CaseKey>,
) -> Result<Caseload, StoreError> {
    let mut caseload = Caseload::new();
    let wanted: Wanted = keys
        .iter()
        .flat_map(|key| {
            [RegisterKind::Client, RegisterKind::Suspension]
                .map(|kind| (key.contract.clone(), kind, key.client.as_str().to_owned()))
        })
        .collect();
    let registers: HashMap<ContractId, Arc<Registers>> = registers::load(db, &wanted)
        .await?
        .into_iter()
        .map(|(contract, registers)| (contract, Arc::new(registers)))
        .collect();
    for key in keys {
        let Some(contract) = contracts.get(&key.contract) else { continue };
        let case = Case {
            contract: Arc::clone(contract),
            key: key.clone(),
            plan: Vec::new(),
            registers: registers.get(&key.contract).cloned().unwrap_or_default(),
            events: Vec::new(),
            corrections: Vec::new(),
            latest: None,
            alerts: Vec::new(),
            due_at: None,
            changed: BTreeSet::new(),
            raised: Vec::new(),
            said: Vec::new(),
        };
        caseload.insert(key.clone(), case);
    }
    for versions in plan::of_cases(db, keys).await?.values() {
        let Some((night, row)) = plan::in_force(versions) else { continue };
        let (contract, client) = (row.visit.contract.clone(), row.visit.client_ref.clone());
        if let Some(case) = caseload.get_mut(&CaseKey { contract, night, client }) {
            case.plan.push(row);
        }
    }
    let events = evidence::of_cases(db, keys).await?;
    let placements = placements(db, &events).await?;
    for recorded in events {
        let visit_ref = visit_of(&recorded, &placements);
        let Some(client) = recorded.client else { continue };
        let contract = recorded.event.contract.clone();
        if let Some(case) = caseload.get_mut(&CaseKey { contract, night: recorded.night, client }) {
            case.add(&recorded.event, visit_ref);
        }
    }
    let names: BTreeSet<_> = caseload.values().flat_map(Case::names).collect();
    for correction in corrections::of_visits(db, &names).await? {
        let Some(name) = correction.about() else { continue };
        let of_contract = |case: &&mut Case| case.contract.id == correction.contract;
        if let Some(case) = caseload.values_mut().filter(of_contract).find(|case| case.has(name)) {
            case.corrections.push(correction);
        }
    }
    Ok(caseload)
}

/// To which visits a coordinator has placed those of these events that one has placed.
///
/// # Errors
/// When the database fails.
pub async fn placements(db: &mut Db, events: &[Recorded]) -> Result<Placements, StoreError> {
    let placed = events.iter().filter(|recorded| recorded.by == Some(PlacedBy::Correction));
    let placed = placed.map(|one| (one.event.contract.clone(), one.event.event_id)).collect();
    corrections::placements(db, &placed).await
}

/// The visit that a coordinator, or else the event itself, says it belongs to.
#[must_use]
pub fn visit_of(recorded: &Recorded, placements: &Placements) -> Option<VisitRef> {
    let event = &recorded.event;
    let placed = placements.get(&(event.contract.clone(), event.event_id));
    placed.or(event.visit_ref.as_ref()).cloned()
}

/// Finds out where the carers have been who may be inside a home for too long at `now`: those of the
/// caseload, and those who check in by `events`, which are recorded but not in it yet.
///
/// # Errors
/// When the database fails.
pub async fn seen(
    db: &mut Db,
    caseload: &Caseload,
    events: &[(CaseKey, &Event)],
    now: Instant,
) -> Result<Seen, StoreError> {
    let mut after: BTreeMap<(ContractId, CarerRef), Instant> = BTreeMap::new();
    let mut look_from = |contract: &ContractId, carer: &CarerRef, at: Instant| {
        let since = after.entry((contract.clone(), carer.clone())).or_insert(at);
        *since = (*since).min(at);
    };
    let mut first: BTreeMap<&CaseKey, Instant> = BTreeMap::new();
    for (key, event) in events {
        let first = first.entry(key).or_insert(event.effective_at());
        *first = (*first).min(event.effective_at());
    }
    for (key, event) in events.iter().filter(|(_, event)| event.kind == EventKind::CheckIn) {
        let case = caseload.get(key);
        if case.is_some_and(|case| case.may_be_overdue(first.get(key).copied(), now)) {
            look_from(&event.contract, &event.carer_ref, event.effective_at());
        }
    }
    for case in caseload.values().filter(|case| case.may_be_overdue(None, now)) {
        for visit in case.reconcile(now).visits {
            let allowed = case.contract.policy(visit.night).overdue_checkout;
            if now < visit.planned_end + allowed {
                continue;
            }
            for event in visit.inside() {
                look_from(&case.key.contract, &event.event.carer_ref, event.effective_at);
            }
        }
    }
    let mut seen = Seen::new();
    for (contract, carer, at, client) in evidence::seen(db, &after).await? {
        seen.entry((contract, carer)).or_default().push((at, client));
    }
    Ok(seen)
}

/// Saves what has changed: alerts, what is said to others, and when something is due next.
///
/// # Errors
/// When the database fails.
pub async fn save(db: &mut Db, caseload: &Caseload, now: Instant) -> Result<(), StoreError> {
    let mut changed = Vec::new();
    let mut said = Vec::new();
    for (key, case) in caseload {
        for &index in &case.changed {
            let stored = &case.alerts[index];
            changed.push(ToSave {
                about: About::Visit(key.clone(), stored.alert.visit_ref.clone()),
                message: &stored.message,
                told: stored.alert.told,
                resolved_at: stored.alert.resolved.map(|(at, _)| at),
            });
        }
        said.extend(case.said.iter().map(|message| Said::new(&case.contract, message)));
        case.raised.iter().for_each(|raised| db.raises(*raised));
    }
    telling::save(db, &changed, &said, now).await?;
    let mut judged_by: HashMap<&ContractId, JudgedBy<'_>> = HashMap::new();
    let next = caseload.iter().map(|(key, case)| {
        let judged_by = judged_by.entry(&key.contract);
        let judged_by = judged_by.or_insert_with(|| JudgedBy::new(&case.contract)).of(key.night);
        Next { key, due_at: case.due_at, settled: case.settled(judged_by, now) }
    });
    cases::set_next(db, next.collect::<Vec<_>>()).await
}

impl Case {
    /// Adds an event that was placed here.
    pub fn add(&mut self, event: &Event, visit_ref: Option<VisitRef>) {
        let (client, night) = (&self.key.client, self.key.night);
        self.latest = None;
        self.events.push(Arc::new(PlacedEvent {
            event: Arc::new(event.clone()),
            effective_at: event.effective_at(),
            visit_ref,
            whereabouts: whereabouts(&self.contract, event, client, night, &self.registers),
        }));
    }

    /// The names that its visits may have.
    fn names(&self) -> impl Iterator<Item = (ContractId, VisitRef)> + '_ {
        let planned = self.plan.iter().map(|row| row.visit.visit_ref.clone());
        let events = self.events.iter().map(|event| VisitRef::unplanned(event.event.event_id));
        planned.chain(events).map(|name| (self.contract.id.clone(), name))
    }

    fn has(&self, name: &VisitRef) -> bool {
        self.names().any(|(_, other)| other == *name)
    }

    /// Whether a carer may be inside for too long at `now` (R21): whether there is any visit that should
    /// have been over for so long. One that was not planned begins with an event, be it the first of
    /// those that come, which is at `first`.
    fn may_be_overdue(&self, first: Option<Instant>, now: Instant) -> bool {
        let allowed = self.contract.policy(self.key.night).overdue_checkout;
        let planned = self.plan.iter().map(|row| row.visit.end);
        let began = self.events.iter().map(|event| event.effective_at).chain(first);
        planned.chain(began.map(|at| at + UNPLANNED_LENGTH)).any(|end| now >= end + allowed)
    }

    /// The visit to which an event belongs. It depends on the events, and not on the instant.
    pub fn visit_of(&mut self, event: EventId, now: Instant) -> Option<&Visit> {
        if self.latest.is_none() {
            self.latest = Some(self.reconcile(now));
        }
        self.latest.as_ref()?.visit_of(event)
    }

    /// The night as it is at `now`.
    #[must_use]
    pub fn reconcile(&self, now: Instant) -> Reconciled {
        let of = ClientNight {
            contract: &self.contract,
            client: &self.key.client,
            night: self.key.night,
            plan: &self.plan,
            suspensions: self.registers.suspensions(&self.key.client),
            events: &self.events,
            corrections: &self.corrections,
        };
        reconcile(&of, now)
    }

    /// The alerts of the night, resolved ones too.
    #[must_use]
    pub fn alerts(&self) -> &[StoredAlert] {
        &self.alerts
    }

    /// The night as it is at `now`, and what would then change about its alerts.
    #[must_use]
    pub fn changes(
        &self,
        now: Instant,
        cause: Cause,
        sight: Sight,
        seen: &Seen,
    ) -> (Reconciled, Vec<Change>) {
        let night = self.reconcile(now);
        let alerts: Vec<Alert> = self.alerts.iter().map(|stored| stored.alert.clone()).collect();
        let elsewhere = |carer: &CarerRef, after: Instant| {
            let key = (self.key.contract.clone(), carer.clone());
            seen.get(&key).is_some_and(|seen| {
                seen.iter().any(|(at, client)| *at > after && *client != self.key.client)
            })
        };
        let changes = assess(&self.contract, &night, &alerts, now, cause, sight, &elsewhere);
        (night, changes)
    }

    /// What the night came to, if nothing about it is open any more.
    fn settled(&self, judged_by: &str, now: Instant) -> Option<String> {
        if self.due_at.is_some() {
            return None;
        }
        let anew;
        let night = if let Some(night) = &self.latest {
            night
        } else {
            anew = self.reconcile(now);
            &anew
        };
        let counted = night.visits.iter().map(|visit| Counted::of(&self.contract, visit));
        settled::to_keep(self.key.night, judged_by, counted, now)
    }

    /// Raises and ends alerts at `now`.
    pub fn assess(&mut self, now: Instant, cause: Cause, sight: Sight, seen: &Seen) {
        let (night, changes) = self.changes(now, cause, sight, seen);
        for change in changes {
            self.apply(change, &night, now, cause);
        }
        // What is held back while the daemon is blind stays due, or is due when it came to hold.
        let overdue = self.due_at.filter(|due_at| *due_at <= now);
        let awaited = |visit: &Visit| is_awaited(visit, &self.contract, now);
        self.due_at = match sight {
            Sight::Blind if overdue.is_some() => overdue,
            Sight::Blind if night.visits.iter().any(awaited) => Some(now),
            // What is held back because another daemon may know better is due when it is.
            _ => next_deadline(&self.contract, &night, sight.knows_up_to(now).unwrap_or(now)),
        };
        self.latest = Some(night);
    }

    /// After `overdue_checkout` was raised at `now`: another daemon may have had the event in hand by
    /// which the carer was seen elsewhere, and then nobody else would look.
    pub fn look_again(&mut self, now: Instant) {
        let is_new = |stored: &StoredAlert| {
            stored.alert.kind == AlertKind::OverdueCheckout && stored.alert.raised_at == now
        };
        if self.alerts.iter().any(is_new) {
            let soon = now + LOOK_AGAIN_AFTER;
            self.due_at = Some(self.due_at.map_or(soon, |due_at| due_at.min(soon)));
        }
    }

    /// The open alert of that id.
    fn open_alert(&mut self, id: uuid::Uuid) -> Option<usize> {
        let open = |stored: &StoredAlert| stored.alert.resolved.is_none();
        self.alerts.iter().position(|stored| stored.message.alert_id == id && open(stored))
    }

    /// A coordinator takes care of an alert. Returns whether that is new.
    pub fn acknowledge(&mut self, id: uuid::Uuid) -> bool {
        let Some(index) = self.open_alert(id) else { return false };
        let stored = &mut self.alerts[index];
        if stored.message.state != State::Open {
            return false;
        }
        stored.message.state = State::Acknowledged;
        let (told, message) = (stored.alert.told, stored.message.clone());
        self.say(index, told, &message);
        true
    }

    /// A coordinator has dealt with an alert. What else holds then is looked at at once.
    pub fn resolve(&mut self, id: uuid::Uuid, now: Instant) {
        let Some(index) = self.open_alert(id) else { return };
        let night = self.reconcile(now);
        let change = Change::Resolve { index, resolution: Resolution::Coordinator };
        self.apply(change, &night, now, Cause::Receipt);
        self.due_at = Some(now);
    }

    /// Somebody has decided about the night at `now`. What ends by it, ends at once; what it gives rise
    /// to is raised when the night is looked at, which is at once unless the daemon is blind.
    pub fn decided(&mut self, now: Instant, seen: &Seen) {
        let (night, changes) = self.changes(now, Cause::Time, Sight::Blind, seen);
        let known = self.alerts.len();
        for change in changes {
            if matches!(change, Change::Resolve { index, .. } if index < known) {
                self.apply(change, &night, now, Cause::Time);
            }
        }
        self.latest = Some(night);
        self.due_at = Some(now);
    }

    fn apply(&mut self, change: Change, night: &Reconciled, now: Instant, cause: Cause) {
        match change {
            Change::Open(alert) => {
                let visit = night.visits.iter().find(|visit| visit.visit_ref == alert.visit_ref);
                let Some(visit) = visit else { return };
                let before = self.alerts.iter().filter(|stored| {
                    stored.alert.kind == alert.kind && stored.alert.visit_ref == alert.visit_ref
                });
                let message = message(&self.contract, visit, &alert, before.count());
                self.say(self.alerts.len(), alert.told, &message);
                if alert.told {
                    // A plan or a decision that came later could not be acted on before.
                    let known_from = visit.plan.as_ref().map(|plan| plan.known_from);
                    let looked_at = self.due_at.filter(|due_at| *due_at <= now);
                    let due_at = known_from.max(looked_at).max(Some(alert.due_at));
                    let due_at = due_at.filter(|_| cause == Cause::Time);
                    self.raised.push(Raised { kind: alert.kind, due_at });
                }
                self.alerts.push(StoredAlert { alert, message });
            }
            Change::Resolve { index, resolution } => {
                let stored = &mut self.alerts[index];
                stored.alert.resolved = Some((now, resolution));
                stored.message.state = State::Resolved;
                stored.message.resolution = Some(resolution);
                let name = &stored.alert.visit_ref;
                let visit = night.visits.iter().find(|visit| visit.is_named(name));
                if stored.alert.kind != AlertKind::UnplannedVisit {
                    stored.message.detail = wording::resolved(&self.contract, visit, resolution);
                }
                if let Some(visit) = visit {
                    stored.message.present = Some(u32::from(visit.present));
                }
                let (told, message) = (stored.alert.told, stored.message.clone());
                self.say(index, told, &message);
            }
            Change::About { index, carer } => {
                let stored = &mut self.alerts[index];
                stored.message.carer_ref = Some(carer.clone());
                stored.alert.carer = Some(carer);
                self.changed.insert(index);
            }
        }
    }

    fn say(&mut self, index: usize, told: bool, message: &AlertMessage) {
        self.changed.insert(index);
        if told {
            self.said.push(message.clone());
        }
    }
}

/// The id of an alert: the same whenever the same is raised, so that nothing is said twice.
#[must_use]
pub fn alert_id(parts: &[&str]) -> uuid::Uuid {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, parts.join("\n").as_bytes())
}

fn message(contract: &Contract, visit: &Visit, alert: &Alert, before: usize) -> AlertMessage {
    let night = visit.night.to_string();
    let (due_at, before) = (alert.due_at.timestamp_micros().to_string(), before.to_string());
    let visit_ref = alert.visit_ref.as_str();
    let kind = alert.kind.as_str();
    // A visit that moves to another client takes its name along, and its alerts are others.
    let client = visit.client.as_str();
    let id = alert_id(&[contract.id.as_str(), &night, client, visit_ref, kind, &due_at, &before]);
    let detail = wording::raised(contract, visit, alert);
    let contract = contract.id.clone();
    AlertMessage {
        run: visit.plan.as_ref().and_then(|plan| plan.visit.run.clone()),
        visit_ref: Some(alert.visit_ref.clone()),
        client_ref: Some(visit.client.clone()),
        carer_ref: alert.carer.clone(),
        planned_start: visit.plan.as_ref().map(|plan| plan.visit.start),
        present: Some(u32::from(visit.present)),
        carers_required: Some(u32::from(visit.carers_required)),
        raised_at: alert.raised_at,
        contact_due_at: contact_due_at(alert.kind, visit),
        unconfirmed: alert.unconfirmed,
        ..AlertMessage::open(id, contract, alert.kind, visit.night, alert.due_at, detail)
    }
}
