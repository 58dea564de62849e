//! A batch of messages, within one transaction: decode, place, reconcile, assess, save.
//!
//! Guarantees that every message is recorded, as an event, as a duplicate of one, or as rejected
//! with the reason and its bytes (R7); and that the receipts are written with it. Acknowledges
//! nothing: that is for the writer, after the commit.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::arrived::Arrived;
use crate::caseload::{self, Case, Caseload, Seen};
use crate::config::Contracts;
use crate::domain::alert::{Cause, Sight};
use crate::domain::event::{Event, Sender};
use crate::domain::instant::Instant;
use crate::domain::place::{Place, PlacedBy};
use crate::domain::refs::{CarerRef, ContractId, EventId, VisitRef};
use crate::domain::visit::Visit;
use crate::message::{Came, Message};
use crate::parallel;
use crate::placing::{place_all, place_anew};
use crate::senders;
use crate::sight::Sights;
use crate::store::cases::CaseKey;
use crate::store::evidence::{Known, NewEvent, Unusable, hex};
use crate::store::hold::Whole;
use crate::store::ledger::PageKey;
use crate::store::outbox::Kind;
use crate::store::{Db, StoreError, alerts, cases, evidence, outbox};
use crate::wire::payload::{Decoded, decode};
use crate::wire::receipt::{Placed, Receipt};
use crate::wire::rejection::{RejectCode, Rejection};
use crate::wire::status::DeviceStatus;
use crate::wire::topic::{self, Topic};

/// Messages of a batch from which on they are decoded on all processors.
const PARALLEL_FROM: usize = 100;

/// What became of the messages of a batch.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// New events: when they happened, by their devices.
    pub accepted: Vec<Instant>,
    /// Events that were there already.
    pub duplicate: u64,
    /// Messages that could not be used: why.
    pub rejected: Vec<RejectCode>,
    /// The contracts of which a phone was heard.
    pub heard: BTreeSet<ContractId>,
    /// The contracts of which a unit said that something happened.
    pub units: BTreeSet<ContractId>,
}

/// What one message turned out to be.
enum Said {
    /// A new event, by its place among the new ones.
    New(usize),
    /// An event that is there already.
    Again(Box<Decoded>, First),
    /// Nothing that can be used.
    Unusable(Rejection),
    /// How a unit is: no event.
    Status,
}

/// Where an event that is said again was said first.
enum First {
    /// In an earlier batch.
    Before(Known),
    /// In this one, by its place among the new ones.
    Now(usize),
}

/// The client nights in which the batch's events are, and what is known about them.
struct Desk<'a> {
    caseload: Caseload,
    seen: Seen,
    sights: &'a Sights,
}

/// Records a batch of messages, which are in the order of their receipt.
///
/// # Errors
/// When the database fails; then nothing may be acknowledged.
pub async fn record(
    db: &mut Db,
    contracts: &Contracts,
    messages: &[Message],
    sights: &Sights,
) -> Result<Tally, StoreError> {
    let Some(now) = messages.iter().map(|message| message.received_at).max() else {
        return Ok(Tally::default());
    };
    let knows = |id: &ContractId| contracts.get(id).is_some();
    let mut heard = senders::Heard::default();
    let decode_one = |index: usize| {
        let Message { topic, payload, received_at, .. } = &messages[index];
        decode(topic, payload, *received_at, knows)
    };
    let decoded: Vec<Result<Decoded, Rejection>> = if messages.len() < PARALLEL_FROM {
        (0..messages.len()).map(decode_one).collect()
    } else {
        parallel::map(0..messages.len(), decode_one)
    };
    let decoded: Vec<Result<Option<Decoded>, Rejection>> = messages
        .iter()
        .zip(decoded)
        .map(|(message, decoded)| hear(message, decoded, knows, &mut heard))
        .collect();
    if decoded.iter().flatten().flatten().any(names_an_event) {
        // That event may be in another daemon's hand.
        Whole::Plan.take(db).await?;
    } else {
        Whole::Plan.share(db).await?;
    }
    let (said, new) = sort_out(db, decoded).await?;

    let events: Vec<_> = new.iter().map(|(_, decoded)| &decoded.event).collect();
    let places = place_all(db, contracts, &events).await?;
    let inserted: Vec<NewEvent<'_>> = new
        .iter()
        .zip(&places)
        .map(|((index, decoded), place)| NewEvent {
            decoded,
            topic: &messages[*index].topic,
            payload: &messages[*index].payload,
            place,
            night: contracts
                .get(&decoded.event.contract)
                .map_or_else(Default::default, |c| c.night_of(decoded.event.effective_at())),
        })
        .collect();

    let at: Vec<(CaseKey, &Event)> = new
        .iter()
        .zip(&places)
        .filter_map(|((_, decoded), place)| Some((case_of(decoded, place)?, &decoded.event)))
        .collect();
    let mut keys: BTreeSet<CaseKey> = at.iter().map(|(key, _)| key.clone()).collect();
    for said in &said {
        if let Said::Again(decoded, first) = said {
            keys.extend(case_of(decoded, &first_said(decoded, first, &new, &places).1));
        }
    }
    let caseload = caseload::load(db, contracts, &keys).await?;
    evidence::insert(db, &inserted).await?;
    evidence::count_duplicates(db, &repeated(&said)).await?;
    let mut desk = Desk { caseload, seen: Seen::new(), sights };
    desk.seen = caseload::seen(db, &desk.caseload, &at, now).await?;
    for ((_, decoded), place) in new.iter().zip(&places) {
        desk.take(decoded, place);
    }
    desk.follow_carers(db, contracts, &new, now).await?;
    let mut tally = Tally { heard: heard.phones(), units: heard.units(), ..Tally::default() };
    senders::save(db, contracts, heard, sights.knows_up_to(now)).await?;

    let mut arrived = Arrived::new(contracts, messages);
    let mut receipts = Vec::new();
    for (message, said) in messages.iter().zip(&said) {
        let receipt = match said {
            Said::Status => {
                arrived.status(message);
                continue;
            }
            Said::New(at) => {
                tally.accepted.push(new[*at].1.event.occurred_at);
                arrived.accepted(&new[*at].1.event);
                Receipt::accepted(&new[*at].1, desk.placed(&new[*at].1, &places[*at], now))
            }
            Said::Again(decoded, first) => {
                tally.duplicate += 1;
                let (received_at, place) = first_said(decoded, first, &new, &places);
                arrived.duplicate(&decoded.event, received_at);
                Receipt::duplicate(decoded, received_at, desk.placed(decoded, &place, now))
            }
            Said::Unusable(rejection) => {
                tally.rejected.push(rejection.code);
                arrived.rejected(message);
                keep(db, message, rejection, &arrived.page_of(message)).await?;
                Receipt::rejected(rejection, &message.payload, message.received_at)
            }
        };
        if let Some(topic) = topic::receipt_for(&message.topic) {
            receipts.push((topic, serde_json::to_string(&receipt).unwrap_or_default()));
        }
    }
    outbox::add(db, Kind::Receipt, &receipts, now).await?;
    arrived.save(db).await?;
    caseload::save(db, &desk.caseload, now).await?;
    // After that: nights that are to be looked at again stay so.
    follow_names(db, contracts, &new, now).await?;
    Ok(tally)
}

/// What one message is, which was decoded as an event: an event, nothing but a unit's status, or nothing
/// that can be used. Whatever it is, its sender has been heard.
fn hear(
    message: &Message,
    decoded: Result<Decoded, Rejection>,
    knows: impl Fn(&ContractId) -> bool,
    heard: &mut senders::Heard,
) -> Result<Option<Decoded>, Rejection> {
    let at = message.received_at;
    if let Ok(Topic::Status { contract, device }) = topic::parse(&message.topic)
        && knows(&contract)
    {
        let status = DeviceStatus::decode(&message.payload);
        let sender = (contract, Sender::Device(device));
        match status {
            Ok(status) if message.came == Came::Retained => heard.kept(sender, status, at),
            Ok(DeviceStatus::Online) => heard.online(sender, at),
            Ok(DeviceStatus::Offline) => heard.lost(sender, at),
            Err(bad) => {
                return Err(Rejection {
                    code: RejectCode::BadField,
                    detail: bad.to_string(),
                    event_id: None,
                    contract: None,
                    sender: None,
                    seq: None,
                });
            }
        }
        return Ok(None);
    }
    let from = match &decoded {
        Ok(Decoded { event, .. }) => {
            Some((event.contract.clone(), event.sender.clone(), event.seq))
        }
        Err(Rejection { contract: Some(contract), sender: Some(sender), seq, .. }) => {
            Some((contract.clone(), sender.clone(), *seq))
        }
        Err(_) => None,
    };
    let from = from.filter(|(contract, ..)| knows(contract) && message.came != Came::HandedIn);
    if let Some((contract, sender, seq)) = from {
        heard.event((contract, sender), seq, at);
    }
    decoded.map(Some)
}

/// Whether it names a visit that is called after another event, and no client.
fn names_an_event(decoded: &Decoded) -> bool {
    let event = &decoded.event;
    event.client_ref.is_none()
        && event.visit_ref.as_ref().is_some_and(|visit| visit.unplanned_event().is_some())
}

/// Tells new events from those that are there already and from what cannot be used (R6). Returns
/// what each message is, and the new events with the places of their messages.
async fn sort_out(
    db: &mut Db,
    decoded: Vec<Result<Option<Decoded>, Rejection>>,
) -> Result<(Vec<Said>, Vec<(usize, Decoded)>), StoreError> {
    let ids = decoded.iter().flatten().flatten().map(id_of).collect();
    let recorded = evidence::known(db, &ids).await?;
    let mut in_batch: BTreeMap<(ContractId, EventId), usize> = BTreeMap::new();
    let mut said = Vec::with_capacity(decoded.len());
    let mut new: Vec<(usize, Decoded)> = Vec::new();
    for (index, decoded) in decoded.into_iter().enumerate() {
        let decoded = match decoded {
            Ok(Some(decoded)) => decoded,
            Ok(None) => {
                said.push(Said::Status);
                continue;
            }
            Err(rejection) => {
                said.push(Said::Unusable(rejection));
                continue;
            }
        };
        let id = id_of(&decoded);
        let first = match (recorded.get(&id), in_batch.get(&id)) {
            (Some(known), _) => First::Before(known.clone()),
            (None, Some(at)) => First::Now(*at),
            (None, None) => {
                in_batch.insert(id, new.len());
                said.push(Said::New(new.len()));
                new.push((index, decoded));
                continue;
            }
        };
        let same = match &first {
            First::Before(known) => known.content == hex(&decoded.content),
            First::Now(at) => new[*at].1.content == decoded.content,
        };
        said.push(if same {
            Said::Again(Box::new(decoded), first)
        } else {
            Said::Unusable(decoded.reused())
        });
    }
    Ok((said, new))
}

/// The events that were said again, once for each time.
fn repeated(said: &[Said]) -> Vec<(ContractId, EventId)> {
    let again = said.iter().filter_map(|said| match said {
        Said::Again(decoded, _) => Some(id_of(decoded)),
        _ => None,
    });
    again.collect()
}

fn id_of(decoded: &Decoded) -> (ContractId, EventId) {
    (decoded.event.contract.clone(), decoded.event.event_id)
}

fn case_of(decoded: &Decoded, place: &Place) -> Option<CaseKey> {
    match place {
        Place::At { client, night, .. } => Some(CaseKey {
            contract: decoded.event.contract.clone(),
            night: *night,
            client: client.clone(),
        }),
        Place::Unplaced => None,
    }
}

/// When an event that is said again was received first, and where it belongs.
fn first_said(
    decoded: &Decoded,
    first: &First,
    new: &[(usize, Decoded)],
    places: &[Place],
) -> (Instant, Place) {
    match first {
        First::Now(at) => (new[*at].1.event.received_at, places[*at].clone()),
        First::Before(known) => {
            let place = known.case.clone().map_or(Place::Unplaced, |(client, night)| Place::At {
                client,
                night,
                visit_ref: decoded.event.visit_ref.clone(),
                by: PlacedBy::Client,
            });
            (known.received_at, place)
        }
    }
}

/// After a visit has appeared by its first event, events that name it and say no client belong
/// there.
async fn follow_names(
    db: &mut Db,
    contracts: &Contracts,
    new: &[(usize, Decoded)],
    now: Instant,
) -> Result<(), StoreError> {
    let names = new
        .iter()
        .map(|(_, decoded)| {
            let event = &decoded.event;
            (event.contract.clone(), VisitRef::unplanned(event.event_id))
        })
        .collect();
    let naming = evidence::naming(db, &names).await?;
    if naming.is_empty() {
        return Ok(());
    }
    let touched = place_anew(db, contracts, naming, now).await?;
    cases::arm(db, &touched, now).await
}

async fn keep(
    db: &mut Db,
    message: &Message,
    rejection: &Rejection,
    page: &PageKey,
) -> Result<(), StoreError> {
    let unusable = Unusable {
        topic: &message.topic,
        payload: &message.payload,
        sha256: hex(&Sha256::digest(&message.payload)),
        code: rejection.code.as_str(),
        detail: &rejection.detail,
        event_id: rejection.event_id,
        received_at: message.received_at,
    };
    evidence::reject(db, &unusable, page).await
}

impl Desk<'_> {
    /// Lets time pass up to the receipt of the event, then takes it.
    fn take(&mut self, decoded: &Decoded, place: &Place) {
        let Place::At { visit_ref, .. } = place else { return };
        let Some(case) = case_of(decoded, place).and_then(|key| self.caseload.get_mut(&key)) else {
            return;
        };
        let received_at = decoded.event.received_at;
        let sight = self.sights.at_receipt(&decoded.event.contract, received_at);
        let_pass(case, received_at, sight, &self.seen);
        case.add(&decoded.event, visit_ref.clone());
        case.assess(received_at, Cause::Receipt, sight, &self.seen);
    }

    /// The visit that an event turned out to belong to.
    fn placed(&mut self, decoded: &Decoded, place: &Place, now: Instant) -> Placed {
        let case = case_of(decoded, place).and_then(|key| self.caseload.get_mut(&key));
        match case.and_then(|case| case.visit_of(decoded.event.event_id, now)) {
            Some(Visit { plan: Some(_), visit_ref, .. }) => Placed::Planned(visit_ref.clone()),
            Some(Visit { plan: None, visit_ref, .. }) => Placed::Unplanned(visit_ref.clone()),
            None => Placed::Unplaced,
        }
    }

    /// An event from another home ends `overdue_checkout` about its carer.
    async fn follow_carers(
        &mut self,
        db: &mut Db,
        contracts: &Contracts,
        new: &[(usize, Decoded)],
        now: Instant,
    ) -> Result<(), StoreError> {
        let carers: BTreeSet<(ContractId, CarerRef)> = new
            .iter()
            .map(|(_, decoded)| (decoded.event.contract.clone(), decoded.event.carer_ref.clone()))
            .collect();
        if carers.is_empty() {
            return Ok(());
        }
        let overdue = alerts::overdue_of(db, &carers).await?;
        if overdue.is_empty() {
            return Ok(());
        }
        let elsewhere = overdue.iter().filter(|key| !self.caseload.contains_key(key));
        let elsewhere = elsewhere.cloned().collect();
        self.caseload.extend(caseload::load(db, contracts, &elsewhere).await?);
        self.seen = caseload::seen(db, &self.caseload, &[], now).await?;
        for key in &overdue {
            if let Some(case) = self.caseload.get_mut(key) {
                let sight = self.sights.at_receipt(&key.contract, now);
                let_pass(case, now, sight, &self.seen);
                case.assess(now, Cause::Receipt, sight, &self.seen);
            }
        }
        Ok(())
    }
}

/// Lets time pass up to what is received at that instant: what was due before is not its doing.
fn let_pass(case: &mut Case, received_at: Instant, sight: Sight, seen: &Seen) {
    let just_before = received_at - chrono::TimeDelta::microseconds(1);
    let Some(passed) = sight.knows_up_to(just_before) else { return };
    if case.due_at.is_some_and(|due_at| due_at <= passed) {
        case.assess(passed, Cause::Time, sight, seen);
    }
}
