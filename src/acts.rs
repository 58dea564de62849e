//! What people do about the night: acknowledge, ring, resolve, correct, place, hand in.
//!
//! Each is one transaction, appended with who and when; evidence is never touched. What follows from it
//! is drawn in the same transaction as far as it ends alerts, and by the next look at the deadlines
//! otherwise, so that it holds also while the daemon is blind.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use uuid::Uuid;

use crate::caseload;
use crate::clock;
use crate::config::Contracts;
use crate::domain::alert::Resolution;
use crate::domain::contact::{Act, Deed, Unresolvable, may_resolve};
use crate::domain::correction::{Correction, CorrectionKind};
use crate::domain::event::Reason;
use crate::domain::instant::Instant;
use crate::domain::policy::Contract;
use crate::domain::refs::{ContractId, EventId, VisitRef};
use crate::message::{Ack, Came, Inbound, Message};
use crate::placing::place_anew;
use crate::slots::Slots;
use crate::store::acts::HandedIn;
use crate::store::alerts::{About, Found, ToSave};
use crate::store::cases::CaseKey;
use crate::store::hold::Whole;
use crate::store::{
    Db, Store, StoreError, acts, alerts, cases, corrections, evidence, plan, senders,
};
use crate::telling::{self, Said};
use crate::wire::alert::State;
use crate::wire::payload::decode;
use crate::writer::Outbox;

/// How often at most something is done again because another daemon was there first.
const COLLISIONS_MAX: u32 = 20;
/// The longest that somebody waits until what they hand in is committed.
const COMMIT_WITHIN: Duration = Duration::from_secs(30);

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// There is no such thing.
    #[error("there is no {0} of that name: see whether it is spelt right")]
    NotFound(&'static str),
    /// It is over.
    #[error("the alert is resolved already: there is nothing left to do about it")]
    Over,
    /// Nobody was spoken to.
    #[error(
        "nobody has been spoken to yet, and this alert asks for it (R23): record who was spoken to \
         first; a message left does not count"
    )]
    NobodySpokenTo,
    /// It ends by itself.
    #[error(
        "this alert ends by itself, when the daemon hears again: see to the broker and the network"
    )]
    EndsByItself,
    /// The message cannot be used.
    #[error("this cannot be used: {0}")]
    Unusable(String),
    /// The daemon is stopping, or the database does not answer.
    #[error("it is not known whether this was kept, since the database does not answer: try again")]
    Unanswered,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Tries until no other daemon is in the way.
macro_rules! again {
    ($attempt:expr) => {{
        let mut collisions = 0;
        loop {
            match $attempt.await {
                Err(ActError::Store(failed))
                    if failed.is_collision() && collisions < COLLISIONS_MAX =>
                {
                    collisions += 1;
                }
                done => break done,
            }
        }
    }};
}

/// Where people's acts are kept, and who hears of them.
#[derive(Clone)]
pub struct Office {
    store: Store,
    contracts: Arc<Contracts>,
    slots: Arc<Slots>,
    outbox: Arc<Outbox>,
    /// The writer works until nobody hands on anything any more: people do not keep it.
    inbound: mpsc::WeakSender<Inbound>,
}

impl Office {
    /// The office of a daemon.
    #[must_use]
    pub fn new(
        store: Store,
        contracts: Arc<Contracts>,
        slots: Arc<Slots>,
        outbox: Arc<Outbox>,
        inbound: &mpsc::Sender<Inbound>,
    ) -> Self {
        let inbound = inbound.downgrade();
        Self { store, contracts, slots, outbox, inbound }
    }

    async fn begin(&self) -> Result<Db, StoreError> {
        self.store.write_for(self.slots.own().unwrap_or_default()).await
    }

    async fn commit(&self, tx: Db) -> Result<(), StoreError> {
        tx.commit().await?;
        self.outbox.news.notify_one();
        Ok(())
    }

    /// Records what a coordinator did about an alert. Doing it twice changes nothing.
    ///
    /// # Errors
    /// When there is no such alert, it is over, may not be resolved yet, or the database fails.
    pub async fn act(&self, alert: Uuid, act: &Act) -> Result<Found, ActError> {
        again!(self.try_act(alert, act))
    }

    async fn try_act(&self, id: Uuid, act: &Act) -> Result<Found, ActError> {
        let mut tx = self.begin().await?;
        let found = alerts::find(&mut tx, id).await?.ok_or(ActError::NotFound("alert"))?;
        hold(&mut tx, &found.about).await?;
        // Held, it may have changed.
        let found = alerts::find(&mut tx, id).await?.ok_or(ActError::NotFound("alert"))?;
        let over = found.message.state == State::Resolved;
        // Who was rung after it was all over is of interest still.
        match (&act.deed, over) {
            (Deed::Resolved, true) if found.message.resolution == Some(Resolution::Coordinator) => {
                return Ok(found);
            }
            (Deed::Acknowledged | Deed::Resolved, true) => return Err(ActError::Over),
            (Deed::Acknowledged, _) if found.message.state == State::Acknowledged => {
                return Ok(found);
            }
            _ => {}
        }
        if act.deed == Deed::Resolved {
            let done = acts::contacts(&mut tx, &found.visit().into_iter().collect()).await?;
            let done: Vec<Act> = done.into_values().flatten().collect();
            let reason = self.reason(&mut tx, &found, act.at).await?;
            let message = &found.message;
            match may_resolve(message.kind, message.contact_due_at, reason, &done) {
                Some(Unresolvable::NobodySpokenTo) => return Err(ActError::NobodySpokenTo),
                Some(Unresolvable::EndsByItself) => return Err(ActError::EndsByItself),
                None => {}
            }
        }
        acts::add(&mut tx, &found.message.contract, id, act).await?;
        match &found.about {
            About::Visit(key, _) => self.change_case(&mut tx, key, id, act).await?,
            About::Sender(..) | About::Night(..) | About::Recipient(..) => {
                let contract = self.contracts.get(&found.message.contract);
                change(&mut tx, contract.map(|contract| &**contract), &found, act).await?;
            }
        }
        let found = alerts::find(&mut tx, id).await?.ok_or(ActError::NotFound("alert"))?;
        self.commit(tx).await?;
        Ok(found)
    }

    /// The reason of the statement that stands about the visit of an alert, if one does.
    async fn reason(
        &self,
        db: &mut Db,
        found: &Found,
        now: Instant,
    ) -> Result<Option<Reason>, StoreError> {
        let About::Visit(key, visit_ref) = &found.about else { return Ok(None) };
        let caseload = caseload::read(db, &self.contracts, &BTreeSet::from([key.clone()])).await?;
        let night = caseload.get(key).map(|case| case.reconcile(now));
        let visits = night.into_iter().flat_map(|night| night.visits);
        let statement = visits
            .filter(|visit| visit.is_named(visit_ref))
            .find_map(|visit| visit.statement.filter(|statement| statement.stands));
        Ok(statement.map(|statement| statement.reason))
    }

    async fn change_case(
        &self,
        db: &mut Db,
        key: &CaseKey,
        id: Uuid,
        act: &Act,
    ) -> Result<(), StoreError> {
        let keys = BTreeSet::from([key.clone()]);
        let mut caseload = caseload::load(db, &self.contracts, &keys).await?;
        for case in caseload.values_mut() {
            match act.deed {
                Deed::Acknowledged => {
                    case.acknowledge(id);
                }
                Deed::Resolved => case.resolve(id, act.at),
                Deed::Contact(_) => {}
            }
        }
        caseload::save(db, &caseload, act.at).await
    }

    /// Records what a coordinator decided about a visit.
    ///
    /// # Errors
    /// When there is no such visit, or the database fails.
    pub async fn correct(&self, correction: &Correction) -> Result<(), ActError> {
        again!(self.try_correct(correction))
    }

    async fn try_correct(&self, correction: &Correction) -> Result<(), ActError> {
        let mut tx = self.begin().await?;
        decide(&mut tx, &self.contracts, correction).await?;
        self.commit(tx).await?;
        Ok(())
    }

    /// Takes an event that somebody hands in, as if it had come through the broker; nobody has been heard
    /// by it. Returns when it is committed, or was there already.
    ///
    /// # Errors
    /// When it cannot be used, is another than the one of its id, or nothing can be committed.
    pub async fn hand_in(
        &self,
        topic: String,
        payload: Vec<u8>,
        handed: &HandedIn,
    ) -> Result<(ContractId, EventId), ActError> {
        let knows = |id: &ContractId| self.contracts.get(id).is_some();
        let decoded = decode(&topic, &payload, handed.at, knows)
            .map_err(|rejection| ActError::Unusable(rejection.detail))?;
        let id = (decoded.event.contract.clone(), decoded.event.event_id);
        let ids = BTreeSet::from([id.clone()]);
        let known = evidence::known(&mut self.store.read().await?, &ids).await?;
        if known.get(&id).is_some_and(|known| known.content != evidence::hex(&decoded.content)) {
            let reused = decoded.reused();
            return Err(ActError::Unusable(reused.detail));
        }
        let mut tx = self.begin().await?;
        acts::hand_in(&mut tx, &id.0, id.1, handed).await?;
        tx.commit().await?;
        if known.is_empty() {
            let (committed, commit) = oneshot::channel();
            let ack = Ack::new(move || {
                let _ = committed.send(());
            });
            let (received_at, came) = (clock::now(), Came::HandedIn);
            let message = Message { topic, payload, received_at, came, ack };
            let inbound = self.inbound.upgrade().ok_or(ActError::Unanswered)?;
            let sent = inbound.send(Inbound::Message(message)).await;
            sent.map_err(|_| ActError::Unanswered)?;
            drop(inbound);
            match timeout(COMMIT_WITHIN, commit).await {
                Ok(Ok(())) => {}
                _ => return Err(ActError::Unanswered),
            }
        }
        Ok(id)
    }

    /// Has a message that could not be used tried again, as it came.
    ///
    /// # Errors
    /// When there is none of that number, it still cannot be used, or nothing can be committed.
    pub async fn retry(
        &self,
        rejected: i64,
        handed: HandedIn,
    ) -> Result<(ContractId, EventId), ActError> {
        let found = evidence::rejected(&mut self.store.read().await?, rejected).await?;
        let found = found.ok_or(ActError::NotFound("rejected message"))?;
        if found.payload.len() >= evidence::KEPT_BYTES_MAX {
            return Err(ActError::Unusable("it was too large, and not all of it was kept".into()));
        }
        let handed = HandedIn { rejected: Some(rejected), ..handed };
        self.hand_in(found.topic, found.payload, &handed).await
    }
}

/// Records a decision, and draws what follows from it at once.
///
/// # Errors
/// When there is no such visit or event, or the database fails.
pub async fn decide(
    db: &mut Db,
    contracts: &Contracts,
    correction: &Correction,
) -> Result<(), ActError> {
    let now = correction.at;
    let contract = &correction.contract;
    let keys = if let CorrectionKind::Place { event_id, visit_ref } = &correction.what {
        // It may name an event that is in another daemon's hand.
        Whole::Plan.take(db).await?;
        let ids = BTreeSet::from([(contract.clone(), *event_id)]);
        let recorded = evidence::of_ids(db, &ids).await?;
        if recorded.is_empty() {
            return Err(ActError::NotFound("event"));
        }
        case_of(db, contract, visit_ref).await?.ok_or(ActError::NotFound("visit"))?;
        corrections::add(db, correction).await?;
        place_anew(db, contracts, recorded, now).await?.into_keys().collect()
    } else {
        Whole::Plan.share(db).await?;
        let visit = correction.about().ok_or(ActError::NotFound("visit"))?;
        let key = case_of(db, contract, visit).await?.ok_or(ActError::NotFound("visit"))?;
        corrections::add(db, correction).await?;
        BTreeSet::from([key])
    };
    let mut caseload = caseload::load(db, contracts, &keys).await?;
    let seen = caseload::seen(db, &caseload, &[], now).await?;
    for case in caseload.values_mut() {
        case.decided(now, &seen);
    }
    caseload::save(db, &caseload, now).await?;
    Ok(())
}

/// Nobody else changes the alerts about it until the transaction ends.
async fn hold(db: &mut Db, about: &About) -> Result<(), StoreError> {
    match about {
        About::Visit(key, _) => cases::due_at(db, &BTreeSet::from([key.clone()])).await.map(drop),
        About::Sender(key, _) => senders::load(db, &BTreeSet::from([key.clone()])).await.map(drop),
        About::Night(..) | About::Recipient(..) => Whole::Contracts.take(db).await,
    }
}

/// Changes an alert that is about no visit.
async fn change(
    db: &mut Db,
    contract: Option<&Contract>,
    found: &Found,
    act: &Act,
) -> Result<(), StoreError> {
    let mut message = found.message.clone();
    let mut resolved_at = None;
    match act.deed {
        Deed::Acknowledged => message.state = State::Acknowledged,
        Deed::Resolved => {
            message.state = State::Resolved;
            message.resolution = Some(Resolution::Coordinator);
            "a coordinator dealt with it".clone_into(&mut message.detail);
            resolved_at = Some(act.at);
        }
        Deed::Contact(_) => return Ok(()),
    }
    let (about, told) = (found.about.clone(), found.told);
    let changed = ToSave { about, message: &message, told, resolved_at };
    let said = contract.filter(|_| told).map(|contract| Said::new(contract, &message));
    telling::save(db, &[changed], said.as_slice(), act.at).await
}

/// The client's night in which a visit is, by any of its names.
///
/// # Errors
/// When the database fails.
pub async fn case_of(
    db: &mut Db,
    contract: &ContractId,
    visit: &VisitRef,
) -> Result<Option<CaseKey>, StoreError> {
    let key = |client, night| CaseKey { contract: contract.clone(), night, client };
    if let Some(event) = visit.unplanned_event() {
        let ids = BTreeSet::from([(contract.clone(), event)]);
        let known = evidence::known(db, &ids).await?.into_values().next();
        return Ok(known.and_then(|known| known.case).map(|(client, night)| key(client, night)));
    }
    let history = plan::of_refs(db, &BTreeSet::from([(contract.clone(), visit.clone())])).await?;
    let row = history.values().next().and_then(|versions| plan::in_force(versions));
    Ok(row.map(|(night, row)| key(row.visit.client_ref.clone(), night)))
}
