//! An alert that has changed is saved, and said to everybody whom it concerns, in one transaction.
//!
//! The one way in which alerts reach the database. What is said over MQTT goes to the outbox, and what
//! somebody is told (R24) to the notifications. Guarantees that what is told already is not told
//! again, whoever raises it and how often, and that what is not so any more is not told first.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::domain::instant::Instant;
use crate::domain::policy::Contract;
use crate::domain::recipient::{Occasion, Telling, Then, is_undone, when_over};
use crate::store::alerts::ToSave;
use crate::store::notifications::{self, ToTell};
use crate::store::outbox::Kind;
use crate::store::{Db, StoreError, alerts, outbox};
use crate::wire::alert::{AlertMessage, State};
use crate::wire::topic;

/// An alert, as it is said to others.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// Whose recipients are told.
    pub contract: &'a Contract,
    /// The alert.
    pub message: &'a AlertMessage,
    /// The recipient whom it is about: it is not told.
    pub about: Option<&'a str>,
}

impl<'a> Said<'a> {
    /// An alert that is about no recipient.
    #[must_use]
    pub fn new(contract: &'a Contract, message: &'a AlertMessage) -> Self {
        Self { contract, message, about: None }
    }
}

/// Saves alerts as they are now, and says what is to be said, in that order.
///
/// # Errors
/// When the database fails.
pub async fn save(
    db: &mut Db,
    changed: &[ToSave<'_>],
    said: &[Said<'_>],
    now: Instant,
) -> Result<(), StoreError> {
    alerts::save(db, changed).await?;
    let messages: Vec<_> = said.iter().map(|said| to_publish(said.message)).collect();
    outbox::add(db, Kind::Alert, &messages, now).await?;
    tell(db, said, now).await
}

/// An alert's topic and payload.
fn to_publish(message: &AlertMessage) -> (String, String) {
    let payload = serde_json::to_string(message).unwrap_or_default();
    (topic::alert(&message.contract, message.kind), payload)
}

/// What a transaction says about alerts of which somebody is told.
#[derive(Default)]
struct News<'a> {
    /// Those that are open now, as they were raised.
    opened: BTreeMap<Uuid, Said<'a>>,
    /// Those that are over.
    over: BTreeMap<String, Said<'a>>,
}

impl<'a> News<'a> {
    fn of(said: &[Said<'a>]) -> Self {
        let mut news = Self::default();
        for &said in said.iter().filter(|said| !said.contract.recipients.all.is_empty()) {
            let id = said.message.alert_id;
            match (said.message.state, said.message.resolution) {
                (State::Open, _) => _ = news.opened.insert(id, said),
                (State::Resolved, Some(resolution)) => {
                    if is_undone(said.message.kind, resolution) {
                        news.opened.remove(&id);
                    }
                    news.over.insert(id.to_string(), said);
                }
                (State::Acknowledged | State::Resolved, _) => {}
            }
        }
        news
    }
}

async fn tell(db: &mut Db, said: &[Said<'_>], now: Instant) -> Result<(), StoreError> {
    let News { opened, over } = News::of(said);
    let mut to_tell = Vec::new();
    for Said { contract, message, about } in opened.values() {
        let told = contract.recipients.told(message.kind, now);
        let others = told.into_iter().filter(|told| Some(told.recipient.as_str()) != *about);
        to_tell.extend(others.map(|telling| notification(message, telling)));
    }
    if !over.is_empty() {
        let ids: BTreeSet<String> = over.keys().cloned().collect();
        let mut not_needed = Vec::new();
        let mut withdrawn = BTreeSet::new();
        for told in notifications::about(db, &ids).await? {
            let Some(Said { contract, message, .. }) = over.get(&told.alert_id) else { continue };
            let Some(resolution) = message.resolution else { continue };
            let then = when_over(message.kind, resolution, told.waits, told.heard);
            if told.waits && then != Then::Stays {
                not_needed.push(told.id);
            }
            if then == Then::Withdrawn && withdrawn.insert((told.alert_id, told.recipient.clone()))
            {
                let telling = contract.recipients.withdrawal(&told.recipient, now);
                to_tell.push(notification(message, telling));
            }
        }
        notifications::not_needed(db, &not_needed, now).await?;
    }
    notifications::add(db, &to_tell, now).await
}

fn notification(message: &AlertMessage, telling: Telling) -> ToTell<'_> {
    let Telling { recipient, occasion, .. } = &telling;
    let id = id(message.alert_id, recipient, *occasion);
    let night = message.night.map(|night| night.to_string()).unwrap_or_default();
    let run = message.run.as_ref().map_or("", |run| run.as_str());
    let (contract, kind) = (message.contract.as_str(), message.kind.as_str());
    let theme = [contract, &night, run, kind, occasion.as_str()].join("/");
    ToTell { id, theme, message, telling }
}

/// The id of a notification: the same whenever the same is to be told, so that nothing is told twice.
#[must_use]
pub fn id(alert: Uuid, recipient: &str, occasion: Occasion) -> String {
    Uuid::new_v5(&alert, format!("{recipient}\n{occasion}").as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use crate::domain::alert::{AlertKind, Resolution};
    use crate::domain::instant::parse_instant;
    use crate::domain::recipient::Recipients;

    fn message(kind: AlertKind, resolution: Option<Resolution>) -> AlertMessage {
        let at = parse_instant("2019-02-04T02:00:00Z").unwrap();
        let (id, contract) = (Uuid::nil(), "default".parse().unwrap());
        let open = AlertMessage::open(id, contract, kind, at.date_naive(), at, String::new());
        let state = if resolution.is_some() { State::Resolved } else { State::Open };
        AlertMessage { state, resolution, ..open }
    }

    /// How many are told as raised, and how many are over, of what one transaction says.
    fn news(said: &[(AlertKind, Option<Resolution>)]) -> (usize, usize) {
        let mut contract = (**load(None, []).unwrap().contracts.iter().next().unwrap()).clone();
        let recipient = crate::domain::recipient::Recipient {
            name: "desk".to_owned(),
            audience: crate::domain::recipient::Audience::Coordinator,
            kinds: None,
            least_severity: crate::domain::alert::Severity::Info,
            escalate_to: Vec::new(),
            escalate_after: chrono::TimeDelta::minutes(10),
            by_escalation: false,
        };
        let recipients = Recipients { all: vec![recipient], ..Recipients::default() };
        contract.recipients = std::sync::Arc::new(recipients);
        let messages: Vec<_> =
            said.iter().map(|(kind, resolution)| message(*kind, *resolution)).collect();
        let said: Vec<_> = messages.iter().map(|message| Said::new(&contract, message)).collect();
        let news = News::of(&said);
        (news.opened.len(), news.over.len())
    }

    #[test]
    fn what_is_over_before_it_is_said_is_not_told() {
        use AlertKind::{Late, UnplannedVisit};
        let (staffed, dealt_with) = (Some(Resolution::Staffed), Some(Resolution::Coordinator));
        for (said, told) in [
            (vec![(Late, None)], (1, 0)),
            (vec![(Late, None), (Late, None)], (1, 0)),
            (vec![(Late, None), (Late, staffed)], (0, 1)),
            (vec![(Late, staffed)], (0, 1)),
            (vec![(Late, None), (Late, dealt_with)], (1, 1)),
            // This one is over when it is raised.
            (vec![(UnplannedVisit, None), (UnplannedVisit, Some(Resolution::Over))], (1, 1)),
        ] {
            assert_eq!(news(&said), told, "{said:?}");
        }
    }

    #[test]
    fn the_same_is_told_under_the_same_name() {
        let (alert, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let known = id(alert, "desk", Occasion::Opened);
        assert_eq!(id(alert, "desk", Occasion::Opened), known);
        for other in [
            id(other, "desk", Occasion::Opened),
            id(alert, "manager", Occasion::Opened),
            id(alert, "desk", Occasion::Withdrawn),
        ] {
            assert_ne!(other, known);
        }
    }
}
