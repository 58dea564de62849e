//! Phones and telecare units: gaps in their numbers and their silence become alerts (R9, R21).

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::caseload::alert_id;
use crate::config::Contracts;
use crate::domain::alert::{AlertKind, Resolution, Sight};
use crate::domain::calendar::{local, night_end};
use crate::domain::event::Sender;
use crate::domain::instant::Instant;
use crate::domain::policy::Contract;
use crate::domain::refs::ContractId;
use crate::store::alerts::{About, Raised, Said, ToSave, of_sender};
use crate::store::senders::{SenderKey, SenderState};
use crate::store::{Db, StoreError, senders};
use crate::telling;
use crate::wire::alert::{AlertMessage, State};
use crate::wire::status::DeviceStatus;

/// A unit that the broker reports lost is offline after this long.
pub const LOST_FOR: TimeDelta = TimeDelta::minutes(15);
/// The shortest time there is.
const MOMENT: TimeDelta = TimeDelta::microseconds(1);
/// Most phones and units that are looked at in one transaction.
pub const DUE_MAX: i64 = 200;

/// What a batch of messages told about phones and units.
#[derive(Debug, Default)]
pub struct Heard(BTreeMap<SenderKey, Vec<News>>);

#[derive(Debug, Clone, Copy)]
enum News {
    Heard(Instant),
    Online(Instant),
    Lost(Instant),
    /// What the broker had retained.
    Kept(DeviceStatus, Instant),
    Number(u64, Instant),
}

impl Heard {
    /// The unit says that it is online.
    pub fn online(&mut self, sender: SenderKey, at: Instant) {
        self.0.entry(sender).or_default().push(News::Online(at));
    }

    /// The broker reports that the sender is lost.
    pub fn lost(&mut self, sender: SenderKey, at: Instant) {
        self.0.entry(sender).or_default().push(News::Lost(at));
    }

    /// The broker repeats, to a new subscriber, what it had been told last.
    pub fn kept(&mut self, sender: SenderKey, status: DeviceStatus, at: Instant) {
        self.0.entry(sender).or_default().push(News::Kept(status, at));
    }

    /// The contracts of which a phone was heard.
    #[must_use]
    pub fn phones(&self) -> BTreeSet<ContractId> {
        let phones = self.0.keys().filter(|(_, sender)| matches!(sender, Sender::Carer(_)));
        phones.map(|(contract, _)| contract.clone()).collect()
    }

    /// The contracts of which a unit said that something happened, and not only how it is.
    #[must_use]
    pub fn units(&self) -> BTreeSet<ContractId> {
        let is_event = |news: &News| matches!(news, News::Heard(_));
        let units = self.0.iter().filter(|((_, sender), news)| {
            matches!(sender, Sender::Device(_)) && news.iter().any(is_event)
        });
        units.map(|((contract, _), _)| contract.clone()).collect()
    }

    /// Something came from the sender, perhaps with a number.
    pub fn event(&mut self, sender: SenderKey, seq: Option<u64>, at: Instant) {
        let news = self.0.entry(sender).or_default();
        news.push(News::Heard(at));
        news.extend(seq.map(|seq| News::Number(seq, at)));
    }
}

impl SenderState {
    fn take(&mut self, news: News) {
        match news {
            News::Heard(at) => {
                self.heard_at = self.heard_at.max(at);
                // Whatever the clock says, it came after the loss.
                self.lost_at = self.lost_at.map(|lost| lost.min(self.heard_at - MOMENT));
            }
            News::Online(at) => {
                self.heard_at = self.heard_at.max(at);
                self.lost_at = None;
            }
            News::Lost(at) if !self.is_lost() => {
                self.lost_at = Some(at.max(self.heard_at + MOMENT));
            }
            // Of a loss that is known already the broker has nothing new to say, be it that the unit
            // has been heard since; and that it is online is no sign of life.
            News::Kept(DeviceStatus::Offline, at) if self.lost_at.is_none() => {
                self.take(News::Lost(at));
            }
            News::Kept(DeviceStatus::Online, _) => self.lost_at = None,
            News::Lost(_) | News::Kept(DeviceStatus::Offline, _) => {}
            News::Number(number, at) => self.sequence.receive(number, at),
        }
    }

    /// Whether the broker reported it lost, and nothing has been heard from it since.
    fn is_lost(&self) -> bool {
        self.lost_at.is_some_and(|lost| lost > self.heard_at)
    }

    /// What is wrong with the sender from which instant on, whether that has come or not.
    #[must_use]
    pub fn conditions(&self, contract: &Contract, sender: &Sender) -> Vec<(AlertKind, Instant)> {
        let gap = self.sequence.due_at().map(|at| (AlertKind::SequenceGap, at));
        let offline = matches!(sender, Sender::Device(_)).then(|| {
            let policy = contract.policy(contract.night_of(self.heard_at));
            let silent = self.heard_at + policy.device_silent_after;
            let lost = self.lost_at.filter(|_| self.is_lost());
            let at = lost.map_or(silent, |lost| silent.min(lost + LOST_FOR));
            (AlertKind::DeviceOffline, at)
        });
        gap.into_iter().chain(offline).collect()
    }
}

/// Takes what a batch told about phones and units, and raises and ends their alerts.
///
/// # Errors
/// When the database fails.
pub async fn save(
    db: &mut Db,
    contracts: &Contracts,
    heard: Heard,
    now: Instant,
) -> Result<(), StoreError> {
    if heard.0.is_empty() {
        return Ok(());
    }
    let keys: BTreeSet<SenderKey> = heard.0.keys().cloned().collect();
    let mut states = senders::load(db, &keys).await?;
    let mut to_look_at = BTreeMap::new();
    for (key, news) in heard.0 {
        let Some(contract) = contracts.get(&key.0) else { continue };
        let state = states.remove(&key).unwrap_or_else(|| SenderState::heard(now));
        // Alerts can only be open where something was due before.
        let may_be_open = state.conditions(contract, &key.1).iter().any(|(_, at)| *at <= now);
        let mut after = state;
        for news in news {
            after.take(news);
        }
        to_look_at.insert(key, (after, may_be_open));
    }
    look(db, contracts, to_look_at, now).await
}

/// Raises the alerts about phones and units that are due by `now`.
///
/// # Errors
/// When the database fails.
pub async fn watch(
    db: &mut Db,
    contracts: &Contracts,
    now: Instant,
    sight: Sight,
) -> Result<(), StoreError> {
    if matches!(sight, Sight::Blind) {
        return Ok(());
    }
    // Those of contracts that the configuration does not have any more wait for it.
    let of = contracts.iter().map(|contract| contract.id.clone()).collect();
    let due = senders::due(db, &of, now, DUE_MAX).await?;
    if due.is_empty() {
        return Ok(());
    }
    let due = due.into_iter().map(|(key, state)| (key, (state, true))).collect();
    look(db, contracts, due, now).await
}

async fn look(
    db: &mut Db,
    contracts: &Contracts,
    states: BTreeMap<SenderKey, (SenderState, bool)>,
    now: Instant,
) -> Result<(), StoreError> {
    let mut saved = BTreeMap::new();
    let mut changed = Vec::new();
    for (key, (mut state, may_be_open)) in states {
        let Some(contract) = contracts.get(&key.0) else { continue };
        let conditions = state.conditions(contract, &key.1);
        let due = conditions.iter().filter(|(_, at)| *at <= now);
        let due: Vec<(AlertKind, Instant)> = due.copied().collect();
        let open = if may_be_open || !due.is_empty() { of_sender(db, &key).await? } else { vec![] };
        for Said { night, told, mut message } in open.iter().cloned() {
            if !due.iter().any(|(kind, _)| *kind == message.kind) {
                message.state = State::Resolved;
                message.resolution = Some(Resolution::Over);
                message.detail = over(&key.1, message.kind);
                changed.push((About::Sender(key.clone(), night), message, told));
            }
        }
        for (kind, due_at) in &due {
            if !open.iter().any(|said| said.message.kind == *kind) {
                let night = contract.night_of(*due_at);
                let told = now < night_end(contract.zone, night);
                let message = raise(contract, &key.1, *kind, *due_at, &state);
                if told {
                    db.raises(Raised { kind: *kind, due_at: Some(*due_at) });
                }
                changed.push((About::Sender(key.clone(), night), message, told));
            }
        }
        // What ends an open alert is a message, not time.
        state.due_at = conditions.iter().map(|(_, at)| *at).filter(|at| *at > now).min();
        saved.insert(key, state);
    }
    let rows = changed.iter().map(|(about, message, told)| ToSave {
        about: about.clone(),
        message,
        told: *told,
        resolved_at: message.resolution.map(|_| now),
    });
    let said = changed.iter().filter(|(_, _, told)| *told).filter_map(|(_, message, _)| {
        let contract = contracts.get(&message.contract)?;
        Some(telling::Said::new(contract, message))
    });
    telling::save(db, &rows.collect::<Vec<_>>(), &said.collect::<Vec<_>>(), now).await?;
    senders::save(db, &saved).await
}

fn over(sender: &Sender, kind: AlertKind) -> String {
    let (word, reference) = senders::words(sender);
    match kind {
        AlertKind::SequenceGap => format!("{word} {reference}: the missing messages have arrived"),
        _ => format!("{word} {reference} has been heard again"),
    }
}

fn raise(
    contract: &Contract,
    sender: &Sender,
    kind: AlertKind,
    due_at: Instant,
    state: &SenderState,
) -> AlertMessage {
    let (word, reference) = senders::words(sender);
    let micros = due_at.timestamp_micros().to_string();
    let heard_at = local(contract.zone, state.heard_at).format("%Y-%m-%d %H:%M");
    let detail = match (kind, state.sequence.gap()) {
        (AlertKind::SequenceGap, Some((missing, highest))) => {
            format!("{word} {reference}: message {missing} has not arrived, although {highest} has")
        }
        _ => format!("{word} {reference} has not been heard since {heard_at}"),
    };
    let id = alert_id(&[contract.id.as_str(), word, reference, kind.as_str(), &micros]);
    let night = contract.night_of(due_at);
    AlertMessage {
        carer_ref: match sender {
            Sender::Carer(carer) => Some(carer.clone()),
            Sender::Device(_) => None,
        },
        ..AlertMessage::open(id, contract.id.clone(), kind, night, due_at, detail)
    }
}
