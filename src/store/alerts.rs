//! Alerts as they were raised, and as they were last said to others.

use std::collections::BTreeSet;

use serde::Deserialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::cases::{CaseKey, read_keys};
use super::sql::{Statement, sql};
use super::{Db, StoreError, at, contract_rows, night_text, read_night, read_word, rows};
use crate::domain::alert::{Alert, AlertKind, Resolution};
use crate::domain::calendar::Night;
use crate::domain::instant::Instant;
use crate::domain::refs::{CarerRef, ContractId, VisitRef};
use crate::store::senders::{self, SenderKey};
use crate::wire::alert::AlertMessage;

/// An alert about a visit, in the database.
#[derive(Debug, Clone)]
pub struct StoredAlert {
    /// The alert.
    pub alert: Alert,
    /// As it was last said to others, or would have been.
    pub message: AlertMessage,
}

/// What an alert about a recipient has for the kind of a sender.
const RECIPIENT: &str = "recipient";

/// An alert that is new, and of which people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raised {
    /// What is wrong.
    pub kind: AlertKind,
    /// If time brought it about: when it was due, or when that became known by which it was.
    pub due_at: Option<Instant>,
}

#[derive(FromRow, Deserialize)]
struct AlertRow {
    id: String,
    contract: String,
    night: String,
    client_ref: Option<String>,
    visit_ref: Option<String>,
    carer_ref: Option<String>,
    kind: String,
    due_at: i64,
    raised_at: i64,
    told: i64,
    resolved_at: Option<i64>,
    resolution: Option<String>,
    message: String,
}

/// An alert as it was last said.
pub(super) fn read_message(text: &str) -> Result<AlertMessage, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Foreign("the message of an alert".into()))
}

/// The alerts of these client nights, resolved ones too, in the order in which they were raised.
///
/// # Errors
/// When the database fails.
pub async fn of_cases(
    db: &mut Db,
    keys: &BTreeSet<CaseKey>,
) -> Result<Vec<(CaseKey, StoredAlert)>, StoreError> {
    let mut found: Vec<AlertRow> = packed!(
        "a.id, a.contract, a.night, a.client_ref, a.visit_ref, a.carer_ref, a.kind, a.due_at, \
         a.raised_at, a.told, a.resolved_at, a.resolution, a.message",
        "FROM jsonb_each($1) k CROSS JOIN alert a WHERE a.contract = k.value->>'contract' \
         AND a.night = k.value->>'night' AND a.client_ref = k.value->>'client'"
    )
    .bind(rows(keys.iter().map(CaseKey::to_row)))
    .fetch_packed(db)
    .await?;
    found.sort_by(|a, b| (a.raised_at, &a.id).cmp(&(b.raised_at, &b.id)));
    let mut alerts = Vec::new();
    for row in found {
        let (Some(client), Some(visit_ref)) = (&row.client_ref, &row.visit_ref) else { continue };
        let key = CaseKey {
            contract: row.contract.parse()?,
            night: read_night(&row.night)?,
            client: client.parse()?,
        };
        let resolved = match (row.resolved_at, &row.resolution) {
            (Some(resolved_at), Some(resolution)) => {
                Some((at(resolved_at), read_word(resolution)?))
            }
            _ => None,
        };
        let message = read_message(&row.message)?;
        let alert = Alert {
            kind: read_word(&row.kind)?,
            visit_ref: visit_ref.parse()?,
            due_at: at(row.due_at),
            raised_at: at(row.raised_at),
            carer: row.carer_ref.as_deref().map(str::parse).transpose()?,
            told: row.told != 0,
            unconfirmed: message.unconfirmed,
            resolved,
        };
        alerts.push((key, StoredAlert { alert, message }));
    }
    Ok(alerts)
}

/// What an alert is about.
#[derive(Debug, Clone)]
pub enum About {
    /// A visit of a client's night.
    Visit(CaseKey, VisitRef),
    /// A phone or unit, in a night.
    Sender(SenderKey, Night),
    /// A contract's night.
    Night(ContractId, Night),
    /// A recipient of notifications, by its name.
    Recipient(ContractId, String, Night),
}

/// An alert as it is to be saved.
#[derive(Debug)]
pub struct ToSave<'a> {
    /// What it is about.
    pub about: About,
    /// As it is said to others.
    pub message: &'a AlertMessage,
    /// Whether anybody is told.
    pub told: bool,
    /// When it ended.
    pub resolved_at: Option<Instant>,
}

/// Saves alerts as they are now; an alert that is there already is brought up to date.
///
/// # Errors
/// When the database fails.
pub async fn save(db: &mut Db, alerts: &[ToSave<'_>]) -> Result<(), StoreError> {
    if alerts.is_empty() {
        return Ok(());
    }
    let values = alerts.iter().map(|ToSave { about, message, told, resolved_at }| {
        let (contract, night, client, visit, sender) = match about {
            About::Visit(key, visit) => {
                (&key.contract, key.night, Some(key.client.as_str()), Some(visit.as_str()), None)
            }
            About::Sender((contract, sender), night) => {
                (contract, *night, None, None, Some(senders::words(sender)))
            }
            About::Night(contract, night) => (contract, *night, None, None, None),
            About::Recipient(contract, name, night) => {
                (contract, *night, None, None, Some((RECIPIENT, name.as_str())))
            }
        };
        row! {
            id: message.alert_id.to_string(),
            contract: contract.as_str(),
            night: night,
            client: client,
            visit: visit,
            sender_kind: sender.map(|(kind, _)| kind),
            sender: sender.map(|(_, reference)| reference),
            carer: message.carer_ref.as_ref().map(CarerRef::as_str),
            kind: message.kind.as_str(),
            due: message.due_at.timestamp_micros(),
            raised: message.raised_at.timestamp_micros(),
            told: i64::from(*told),
            resolved: resolved_at.map(|at| at.timestamp_micros()),
            resolution: message.resolution.map(Resolution::as_str),
            message: serde_json::to_string(message).unwrap_or_default(),
        }
    });
    sql("INSERT INTO alert (id, contract, night, client_ref, visit_ref, sender_kind, sender_ref, \
         carer_ref, kind, due_at, raised_at, told, resolved_at, resolution, message) \
         SELECT value->>'id', value->>'contract', value->>'night', value->>'client', \
         value->>'visit', value->>'sender_kind', value->>'sender', value->>'carer', \
         value->>'kind', CAST(value->>'due' AS BIGINT), CAST(value->>'raised' AS BIGINT), \
         CAST(value->>'told' AS BIGINT), CAST(value->>'resolved' AS BIGINT), \
         value->>'resolution', value->>'message' FROM jsonb_each($1) WHERE true \
         ON CONFLICT (id) DO UPDATE SET carer_ref = excluded.carer_ref, \
         resolved_at = excluded.resolved_at, resolution = excluded.resolution, \
         message = excluded.message")
    .bind(rows(values))
    .execute(db)
    .await?;
    Ok(())
}

/// The client nights in which `overdue_checkout` is open about one of these carers.
///
/// # Errors
/// When the database fails.
pub async fn overdue_of(
    db: &mut Db,
    carers: &BTreeSet<(ContractId, CarerRef)>,
) -> Result<BTreeSet<CaseKey>, StoreError> {
    let keys = carers
        .iter()
        .map(|(contract, carer)| row! { contract: contract.as_str(), carer: carer.as_str() });
    let found = sql("SELECT DISTINCT a.contract, a.night, a.client_ref FROM jsonb_each($1) k \
         CROSS JOIN alert a WHERE a.contract = k.value->>'contract' AND a.kind = $2 \
         AND a.carer_ref = k.value->>'carer' AND a.resolved_at IS NULL \
         AND a.client_ref IS NOT NULL")
    .bind(rows(keys))
    .bind(AlertKind::OverdueCheckout.as_str())
    .fetch_all(db)
    .await?;
    read_keys(found)
}

/// An alert that is about no visit, as it was last said.
#[derive(Debug, Clone)]
pub struct Said {
    /// The night to which it belongs.
    pub night: Night,
    /// Whether anybody was told.
    pub told: bool,
    /// As it was said.
    pub message: AlertMessage,
}

/// The open alerts about a phone or unit.
///
/// # Errors
/// When the database fails.
pub async fn of_sender(db: &mut Db, key: &SenderKey) -> Result<Vec<Said>, StoreError> {
    let (kind, reference) = senders::words(&key.1);
    said(
        db,
        sql("SELECT night, told, message FROM alert WHERE contract = $1 \
             AND kind IN ('device_offline', 'sequence_gap') AND sender_kind = $2 \
             AND sender_ref = $3 AND resolved_at IS NULL")
        .bind(key.0.as_str())
        .bind(kind)
        .bind(reference),
    )
    .await
}

/// The open alerts which say that a recipient could not be told.
///
/// # Errors
/// When the database fails.
pub async fn of_recipient(db: &mut Db, name: &str) -> Result<Vec<Said>, StoreError> {
    said(
        db,
        sql("SELECT night, told, message FROM alert WHERE kind = $1 AND sender_kind = $2 \
             AND sender_ref = $3 AND resolved_at IS NULL")
        .bind(AlertKind::NotificationFailed.as_str())
        .bind(RECIPIENT)
        .bind(name),
    )
    .await
}

/// The open alerts of a kind of a contract.
///
/// # Errors
/// When the database fails.
pub async fn open_of_kind(
    db: &mut Db,
    contract: &ContractId,
    kind: AlertKind,
) -> Result<Vec<Said>, StoreError> {
    said(
        db,
        sql("SELECT night, told, message FROM alert WHERE contract = $1 AND kind = $2 \
             AND resolved_at IS NULL")
        .bind(contract.as_str())
        .bind(kind.as_str()),
    )
    .await
}

/// The `no_plan` alerts of a contract's nights from `from` on, resolved ones too.
///
/// # Errors
/// When the database fails.
pub async fn no_plan(
    db: &mut Db,
    contract: &ContractId,
    from: Night,
) -> Result<Vec<Said>, StoreError> {
    said(
        db,
        sql("SELECT night, told, message FROM alert WHERE contract = $1 AND kind = $2 \
             AND night >= $3")
        .bind(contract.as_str())
        .bind(AlertKind::NoPlan.as_str())
        .bind(night_text(from)),
    )
    .await
}

/// How many alerts are open of which people were told, by their kind.
///
/// # Errors
/// When the database fails.
pub async fn count_open(db: &mut Db) -> Result<Vec<(AlertKind, i64)>, StoreError> {
    let found: Vec<(String, i64)> = sql("SELECT kind, count(*) FROM alert \
         WHERE resolved_at IS NULL AND told = 1 GROUP BY kind")
    .fetch_all(db)
    .await?;
    found.into_iter().map(|(kind, count)| Ok((read_word(&kind)?, count))).collect()
}

type SaidRow = (String, i64, String);

async fn said(db: &mut Db, query: Statement) -> Result<Vec<Said>, StoreError> {
    let found: Vec<SaidRow> = query.fetch_all(db).await?;
    found
        .into_iter()
        .map(|(night, told, message)| {
            let (night, message) = (read_night(&night)?, read_message(&message)?);
            Ok(Said { night, told: told != 0, message })
        })
        .collect()
}

/// An alert, with what it is about.
#[derive(Debug, Clone)]
pub struct Found {
    /// What it is about.
    pub about: About,
    /// Whether anybody was told.
    pub told: bool,
    /// As it was last said.
    pub message: AlertMessage,
}

impl Found {
    /// The visit that it is about, if it is about one.
    #[must_use]
    pub fn visit(&self) -> Option<(CaseKey, VisitRef)> {
        match &self.about {
            About::Visit(key, visit) => Some((key.clone(), visit.clone())),
            About::Sender(..) | About::Night(..) | About::Recipient(..) => None,
        }
    }
}

#[derive(FromRow)]
struct FoundRow {
    contract: String,
    night: String,
    client_ref: Option<String>,
    visit_ref: Option<String>,
    sender_kind: Option<String>,
    sender_ref: Option<String>,
    told: i64,
    message: String,
}

impl FoundRow {
    fn read(self) -> Result<Found, StoreError> {
        let (contract, night) = (self.contract.parse()?, read_night(&self.night)?);
        let about = match (self.client_ref, self.visit_ref, self.sender_kind, self.sender_ref) {
            (Some(client), Some(visit), ..) => {
                About::Visit(CaseKey { contract, night, client: client.parse()? }, visit.parse()?)
            }
            (_, _, Some(kind), Some(name)) if kind == RECIPIENT => {
                About::Recipient(contract, name, night)
            }
            (_, _, Some(kind), Some(sender)) => {
                About::Sender((contract, senders::sender(&kind, &sender)?), night)
            }
            _ => About::Night(contract, night),
        };
        Ok(Found { about, told: self.told != 0, message: read_message(&self.message)? })
    }
}

macro_rules! found {
    ($rest:literal) => {
        sql(concat!(
            "SELECT a.contract, a.night, a.client_ref, a.visit_ref, a.sender_kind, a.sender_ref, \
             a.told, a.message FROM ",
            $rest
        ))
    };
}

/// The alert of that id.
///
/// # Errors
/// When the database fails.
pub async fn find(db: &mut Db, id: Uuid) -> Result<Option<Found>, StoreError> {
    let found: Option<FoundRow> =
        found!("alert a WHERE a.id = $1").bind(id.to_string()).fetch_optional(db).await?;
    found.map(FoundRow::read).transpose()
}

/// The open alerts of these contracts of which anybody was told.
///
/// # Errors
/// When the database fails.
pub async fn open(db: &mut Db, of: &BTreeSet<ContractId>) -> Result<Vec<Found>, StoreError> {
    let found: Vec<FoundRow> = found!(
        "jsonb_each($1) k CROSS JOIN alert a WHERE a.contract = k.value->>'contract' \
         AND a.resolved_at IS NULL AND a.told = 1"
    )
    .bind(contract_rows(of))
    .fetch_all(db)
    .await?;
    found.into_iter().map(FoundRow::read).collect()
}

/// All alerts of a contract's night, resolved ones too, in the order in which they were raised.
///
/// # Errors
/// When the database fails.
pub async fn of_night(
    db: &mut Db,
    contract: &ContractId,
    night: Night,
) -> Result<Vec<Found>, StoreError> {
    let found: Vec<FoundRow> =
        found!("alert a WHERE a.contract = $1 AND a.night = $2 ORDER BY a.raised_at, a.id")
            .bind(contract.as_str())
            .bind(night_text(night))
            .fetch_all(db)
            .await?;
    found.into_iter().map(FoundRow::read).collect()
}

/// The alerts of which somebody was told, in these nights of a contract, both ends included, that ask for
/// the client to be spoken to.
///
/// # Errors
/// When the database fails.
pub async fn with_contact(
    db: &mut Db,
    contract: &ContractId,
    (from, to): (Night, Night),
) -> Result<Vec<Found>, StoreError> {
    let found: Vec<FoundRow> = found!(
        "alert a WHERE a.contract = $1 AND a.night BETWEEN $2 AND $3 AND a.told = 1 \
         AND a.kind IN ('tolerance', 'late')"
    )
    .bind(contract.as_str())
    .bind(night_text(from))
    .bind(night_text(to))
    .fetch_all(db)
    .await?;
    let mut found: Vec<Found> = found.into_iter().map(FoundRow::read).collect::<Result<_, _>>()?;
    found.retain(|found| found.message.contact_due_at.is_some());
    Ok(found)
}

/// The next alerts of these contracts, the latest first, that were raised before that instant and id.
///
/// # Errors
/// When the database fails.
pub async fn before(
    db: &mut Db,
    of: &BTreeSet<ContractId>,
    (raised_at, id): (Instant, Uuid),
    most: i64,
) -> Result<Vec<Found>, StoreError> {
    let found: Vec<FoundRow> = found!(
        "jsonb_each($1) k CROSS JOIN alert a WHERE a.contract = k.value->>'contract' \
         AND (a.raised_at < $2 OR (a.raised_at = $2 AND a.id < $3)) \
         ORDER BY a.raised_at DESC, a.id DESC LIMIT $4"
    )
    .bind(contract_rows(of))
    .bind(raised_at.timestamp_micros())
    .bind(id.to_string())
    .bind(most)
    .fetch_all(db)
    .await?;
    found.into_iter().map(FoundRow::read).collect()
}
