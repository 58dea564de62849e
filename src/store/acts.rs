//! What coordinators did about alerts, and events that were handed in by people: appended.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::sql::sql;
use super::{Db, StoreError, at, read_word, rows};
use crate::domain::contact::{Act, Contact, Deed};
use crate::domain::refs::{ContractId, EventId};

const ACKNOWLEDGE: &str = "acknowledge";
const CONTACT: &str = "contact";
const RESOLVE: &str = "resolve";

#[derive(FromRow, Deserialize)]
struct ActRow {
    id: i64,
    alert_id: String,
    kind: String,
    at: i64,
    who: String,
    note: Option<String>,
    spoke_to: Option<String>,
    outcome: Option<String>,
    spoke_at: Option<i64>,
    new_time: Option<i64>,
    reason: Option<String>,
}

impl ActRow {
    fn read(self) -> Result<(Uuid, Act), StoreError> {
        let foreign = || StoreError::Foreign("what a coordinator did".to_owned());
        let deed = match self.kind.as_str() {
            ACKNOWLEDGE => Deed::Acknowledged,
            RESOLVE => Deed::Resolved,
            CONTACT => Deed::Contact(Contact {
                spoke_to: self.spoke_to.unwrap_or_default(),
                outcome: read_word(self.outcome.as_deref().ok_or_else(foreign)?)?,
                at: at(self.spoke_at.ok_or_else(foreign)?),
                new_time: self.new_time.map(at),
                reason: self.reason,
            }),
            _ => return Err(foreign()),
        };
        let act = Act { at: at(self.at), by: self.who, note: self.note, deed };
        Ok((read_word(&self.alert_id)?, act))
    }
}

/// Appends what was done about an alert.
///
/// # Errors
/// When the database fails.
pub async fn add(
    db: &mut Db,
    contract: &ContractId,
    alert: Uuid,
    act: &Act,
) -> Result<(), StoreError> {
    let (kind, contact) = match &act.deed {
        Deed::Acknowledged => (ACKNOWLEDGE, None),
        Deed::Resolved => (RESOLVE, None),
        Deed::Contact(contact) => (CONTACT, Some(contact)),
    };
    sql("INSERT INTO act (contract, alert_id, kind, at, who, note, spoke_to, outcome, spoke_at, \
         new_time, reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
    .bind(contract.as_str())
    .bind(alert.to_string())
    .bind(kind)
    .bind(act.at.timestamp_micros())
    .bind(&act.by)
    .bind(act.note.clone())
    .bind(contact.map(|contact| contact.spoke_to.clone()))
    .bind(contact.map(|contact| contact.outcome.as_str().to_owned()))
    .bind(contact.map(|contact| contact.at.timestamp_micros()))
    .bind(contact.and_then(|contact| contact.new_time).map(|at| at.timestamp_micros()))
    .bind(contact.and_then(|contact| contact.reason.clone()))
    .execute(db)
    .await?;
    Ok(())
}

/// What was done about these alerts, in order.
///
/// # Errors
/// When the database fails.
pub async fn of_alerts(
    db: &mut Db,
    alerts: &BTreeSet<Uuid>,
) -> Result<BTreeMap<Uuid, Vec<Act>>, StoreError> {
    if alerts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut found: Vec<ActRow> = sql("SELECT a.id, a.alert_id, a.kind, a.at, a.who, a.note, \
         a.spoke_to, a.outcome, a.spoke_at, a.new_time, a.reason \
         FROM jsonb_each($1) k CROSS JOIN act a WHERE a.alert_id = k.value->>'id'")
    .bind(rows(alerts.iter().map(|id| row! { id: id.to_string() })))
    .fetch_all(db)
    .await?;
    found.sort_unstable_by_key(|row| row.id);
    let mut acts: BTreeMap<Uuid, Vec<Act>> = BTreeMap::new();
    for row in found {
        let (alert, act) = row.read()?;
        acts.entry(alert).or_default().push(act);
    }
    Ok(acts)
}

/// An event that somebody handed in: it was phoned in, or came of a message that could not be used
/// before.
#[derive(Debug, Clone)]
pub struct HandedIn {
    /// When.
    pub at: crate::domain::instant::Instant,
    /// Who took the call, or had the message tried again.
    pub by: String,
    /// Why.
    pub why: Option<String>,
    /// The message that could not be used before, if it is one.
    pub rejected: Option<i64>,
}

/// Notes who hands an event in.
///
/// # Errors
/// When the database fails.
pub async fn hand_in(
    db: &mut Db,
    contract: &ContractId,
    event: EventId,
    handed: &HandedIn,
) -> Result<(), StoreError> {
    sql("INSERT INTO handed_in (contract, event_id, rejected_id, at, who, why) \
         VALUES ($1, $2, $3, $4, $5, $6)")
    .bind(contract.as_str())
    .bind(event.to_string())
    .bind(handed.rejected)
    .bind(handed.at.timestamp_micros())
    .bind(&handed.by)
    .bind(handed.why.clone())
    .execute(db)
    .await?;
    Ok(())
}

/// Who handed these events in.
///
/// # Errors
/// When the database fails.
pub async fn handed_in(
    db: &mut Db,
    contract: &ContractId,
    events: &BTreeSet<EventId>,
) -> Result<BTreeMap<EventId, HandedIn>, StoreError> {
    type Row = (String, Option<i64>, i64, String, Option<String>);
    let found: Vec<Row> =
        sql("SELECT h.event_id, h.rejected_id, h.at, h.who, h.why FROM jsonb_each($2) k \
             CROSS JOIN handed_in h WHERE h.contract = $1 AND h.event_id = k.value->>'id' \
             ORDER BY h.id")
        .bind(contract.as_str())
        .bind(rows(events.iter().map(|id| row! { id: id.to_string() })))
        .fetch_all(db)
        .await?;
    found
        .into_iter()
        .map(|(event, rejected, when, by, why)| {
            Ok((read_word(&event)?, HandedIn { at: at(when), by, why, rejected }))
        })
        .collect()
}
