//! Who is told what: written in the transaction that brings it about, and what became of it (R24).
//!
//! A recipient is in the hand of one daemon at a time, which sends what is due one after the other;
//! so nothing overtakes anything on its way to somebody. Rows that were sent stay: they are the
//! story of the alert.

use std::collections::BTreeSet;

use serde::Deserialize;
use sqlx::FromRow;

use super::alerts::read_message;
use super::sql::{Statement, either, sql};
use super::{Db, StoreError, at, read_word, rows};
use crate::domain::instant::Instant;
use crate::domain::recipient::{Occasion, Telling};
use crate::domain::words::words;
use crate::wire::alert::{AlertMessage, State};

/// Most notifications that are sent as one.
pub const TOGETHER_MAX: i64 = 50;

words! {
    /// What became of a notification.
    Fate {
        /// It is still to be sent.
        Waiting = "waiting",
        /// The recipient has it.
        Sent = "sent",
        /// It could not be sent.
        Failed = "failed",
        /// It was not so any more, or somebody had acknowledged it, before it was sent.
        NotNeeded = "not_needed",
    }
}

/// A notification that is to be written.
#[derive(Debug)]
pub struct ToTell<'a> {
    /// The same whenever the same is to be told.
    pub id: String,
    /// What may be told together agrees in this.
    pub theme: String,
    /// The alert as it is now.
    pub message: &'a AlertMessage,
    /// To whom, why and when.
    pub telling: Telling,
}

/// Writes notifications; one that is there already stays as it is.
///
/// # Errors
/// When the database fails.
pub async fn add(db: &mut Db, to_tell: &[ToTell<'_>], now: Instant) -> Result<(), StoreError> {
    if to_tell.is_empty() {
        return Ok(());
    }
    let values = to_tell.iter().map(|ToTell { id, theme, message, telling }| {
        row! {
            id: id.as_str(),
            contract: message.contract.as_str(),
            alert: message.alert_id.to_string(),
            recipient: telling.recipient.as_str(),
            occasion: telling.occasion.as_str(),
            theme: theme.as_str(),
            message: serde_json::to_string(message).unwrap_or_default(),
            due: telling.due_at.timestamp_micros(),
            give_up: telling.give_up_at.timestamp_micros(),
        }
    });
    sql("INSERT INTO notification (id, contract, alert_id, recipient, occasion, theme, message, \
         state, written_at, due_at, give_up_at) \
         SELECT value->>'id', value->>'contract', value->>'alert', value->>'recipient', \
         value->>'occasion', value->>'theme', value->>'message', $2, CAST($3 AS BIGINT), \
         CAST(value->>'due' AS BIGINT), CAST(value->>'give_up' AS BIGINT) \
         FROM jsonb_each($1) WHERE true ON CONFLICT (id) DO NOTHING")
    .bind(rows(values))
    .bind(Fate::Waiting.as_str())
    .bind(now.timestamp_micros())
    .execute(db)
    .await?;
    Ok(())
}

/// What was told, or is to be, about an alert.
#[derive(Debug, Clone)]
pub struct Told {
    /// The notification.
    pub id: String,
    /// The alert.
    pub alert_id: String,
    /// To whom.
    pub recipient: String,
    /// Whether it is still to be sent.
    pub waits: bool,
    /// Whether the recipient has it, or may have it.
    pub heard: bool,
}

fn ids<T: ToString>(ids: impl IntoIterator<Item = T>) -> String {
    rows(ids.into_iter().map(|id| row! { id: id.to_string() }))
}

macro_rules! about {
    ($hold:literal) => {
        concat!(
            "SELECT n.id, n.alert_id, n.recipient, n.state, n.heard FROM jsonb_each($1) k \
             CROSS JOIN notification n WHERE n.alert_id = k.value->>'id' \
             AND n.occasion <> 'withdrawn' ORDER BY n.id ",
            $hold
        )
    };
}

/// What was told about these alerts, or is to be, except what was withdrawn; nobody changes it until
/// the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn about(db: &mut Db, alerts: &BTreeSet<String>) -> Result<Vec<Told>, StoreError> {
    let found: Vec<(String, String, String, String, i64)> =
        either(about!(""), about!("FOR UPDATE OF n")).bind(ids(alerts)).fetch_all(db).await?;
    let told = |(id, alert_id, recipient, state, heard): (_, _, _, String, _)| {
        let waits = read_word::<Fate>(&state)? == Fate::Waiting;
        Ok(Told { id, alert_id, recipient, waits, heard: heard != 0 })
    };
    found.into_iter().map(told).collect()
}

/// A notification, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The alert.
    pub alert_id: String,
    /// Who is told.
    pub recipient: String,
    /// Why.
    pub occasion: Occasion,
    /// What became of it.
    pub fate: Fate,
    /// When it was written.
    pub written_at: Instant,
    /// How often it was tried.
    pub tries: u32,
    /// When it ended.
    pub ended_at: Option<Instant>,
    /// What went wrong last.
    pub trouble: Option<String>,
}

type NoticeRow = (String, String, String, String, i64, i64, Option<i64>, Option<String>);

/// All that was told, or is to be, about these alerts, in order.
///
/// # Errors
/// When the database fails.
pub async fn of_alerts(db: &mut Db, alerts: &BTreeSet<String>) -> Result<Vec<Notice>, StoreError> {
    let found: Vec<NoticeRow> = sql("SELECT n.alert_id, n.recipient, n.occasion, n.state, \
         n.written_at, n.tries, n.ended_at, n.trouble FROM jsonb_each($1) k \
         CROSS JOIN notification n WHERE n.alert_id = k.value->>'id' \
         ORDER BY n.written_at, n.recipient, n.id")
    .bind(ids(alerts))
    .fetch_all(db)
    .await?;
    let read =
        |(alert_id, recipient, occasion, fate, written_at, tries, ended_at, trouble): NoticeRow| {
            Ok(Notice {
                alert_id,
                recipient,
                occasion: read_word(&occasion)?,
                fate: read_word(&fate)?,
                written_at: at(written_at),
                tries: u32::try_from(tries).unwrap_or(u32::MAX),
                ended_at: ended_at.map(at),
                trouble,
            })
        };
    found.into_iter().map(read).collect()
}

/// These are not to be sent any more.
///
/// # Errors
/// When the database fails.
pub async fn not_needed(
    db: &mut Db,
    notifications: &[String],
    now: Instant,
) -> Result<(), StoreError> {
    end(db, notifications, Fate::NotNeeded, now, None).await
}

/// The recipients to whom something is to be sent by `now`, and whom nobody has in hand.
///
/// # Errors
/// When the database fails.
pub async fn recipients_due(
    db: &mut Db,
    now: Instant,
    most: i64,
) -> Result<Vec<String>, StoreError> {
    let found: Vec<(String,)> = sql("SELECT DISTINCT n.recipient FROM notification n \
         WHERE n.due_at <= $1 AND NOT EXISTS (SELECT 1 FROM recipient r \
         WHERE r.name = n.recipient AND (r.leased_until > $1 OR r.free_at > $1)) \
         ORDER BY n.recipient LIMIT $2")
    .bind(now.timestamp_micros())
    .bind(most)
    .fetch_all(db)
    .await?;
    Ok(found.into_iter().map(|(name,)| name).collect())
}

/// Takes a recipient in hand, unless somebody has it or nothing may be sent to it yet. Returns how
/// often in a row it could not be reached.
///
/// # Errors
/// When the database fails.
pub async fn lease(
    db: &mut Db,
    recipient: &str,
    now: Instant,
    until: Instant,
) -> Result<Option<u32>, StoreError> {
    let taken: Option<(i64,)> = sql("INSERT INTO recipient (name, leased_until, free_at) \
         VALUES ($1, $3, 0) ON CONFLICT (name) DO UPDATE SET leased_until = excluded.leased_until \
         WHERE recipient.leased_until <= $2 AND recipient.free_at <= $2 RETURNING failures")
    .bind(recipient)
    .bind(now.timestamp_micros())
    .bind(until.timestamp_micros())
    .fetch_optional(db)
    .await?;
    Ok(taken.map(|(failures,)| u32::try_from(failures).unwrap_or(u32::MAX)))
}

/// Gives a recipient out of hand: nothing is sent to it before `free_at`.
///
/// # Errors
/// When the database fails.
pub async fn release(
    db: &mut Db,
    recipient: &str,
    free_at: Instant,
    failures: u32,
) -> Result<(), StoreError> {
    sql("UPDATE recipient SET leased_until = 0, free_at = $2, failures = $3 WHERE name = $1")
        .bind(recipient)
        .bind(free_at.timestamp_micros())
        .bind(i64::from(failures))
        .execute(db)
        .await?;
    Ok(())
}

/// After a start: a daemon that is alone has left nothing in anybody's hand.
///
/// # Errors
/// When the database fails.
pub async fn release_all(db: &mut Db) -> Result<(), StoreError> {
    sql("UPDATE recipient SET leased_until = 0 WHERE leased_until > 0").execute(db).await?;
    Ok(())
}

/// A notification that is to be sent.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its id.
    pub id: String,
    /// Why it is told.
    pub occasion: Occasion,
    /// The alert as it was.
    pub message: AlertMessage,
    /// The alert as it is now: open, acknowledged, over.
    pub state: Option<State>,
    /// When it was written.
    pub written_at: Instant,
    /// When it has failed.
    pub give_up_at: Instant,
    /// How often it was tried.
    pub tries: u32,
    /// Whether the recipient may have it, from an earlier try.
    pub heard: bool,
    /// Whether the recipient has heard of the alert, or may have, by this or another notification.
    pub knows: bool,
    /// The id under which it was sent before, if it was.
    pub envelope: Option<String>,
}

#[derive(FromRow, Deserialize)]
struct WaitingRow {
    id: String,
    occasion: String,
    message: String,
    alert: Option<String>,
    written_at: i64,
    give_up_at: i64,
    tries: i64,
    heard: i64,
    known: i64,
    envelope: Option<String>,
}

impl WaitingRow {
    fn read(self) -> Result<Waiting, StoreError> {
        let alert = self.alert.as_deref().map(read_message).transpose()?;
        Ok(Waiting {
            id: self.id,
            occasion: read_word(&self.occasion)?,
            message: read_message(&self.message)?,
            state: alert.map(|alert| alert.state),
            written_at: at(self.written_at),
            give_up_at: at(self.give_up_at),
            tries: u32::try_from(self.tries).unwrap_or(u32::MAX),
            heard: self.heard != 0,
            knows: self.known > 0,
            envelope: self.envelope,
        })
    }
}

macro_rules! together {
    ($hold:literal) => {
        concat!(
            "SELECT n.id, n.occasion, n.message, (SELECT a.message FROM alert a \
             WHERE a.id = n.alert_id) AS alert, n.written_at, n.give_up_at, n.tries, n.heard, \
             (SELECT count(*) FROM notification o WHERE o.alert_id = n.alert_id \
             AND o.recipient = n.recipient AND o.heard = 1) AS known, n.envelope \
             FROM notification n WHERE n.recipient = $1 AND n.due_at <= $2 AND n.theme = $3 \
             AND COALESCE(n.envelope, '') = $4 ORDER BY n.due_at, n.id LIMIT $5 ",
            $hold
        )
    };
}

/// The notification to that recipient which has been due for the longest at `now`, and those that are
/// sent with it: the same as before, if it was tried, and otherwise what is due by `soon`.
///
/// # Errors
/// When the database fails.
pub async fn take(
    db: &mut Db,
    recipient: &str,
    now: Instant,
    soon: Instant,
) -> Result<Vec<Waiting>, StoreError> {
    let first: Option<(String, Option<String>)> = sql("SELECT theme, envelope FROM notification \
         WHERE recipient = $1 AND due_at <= $2 ORDER BY due_at, id LIMIT 1")
    .bind(recipient)
    .bind(now.timestamp_micros())
    .fetch_optional(db)
    .await?;
    let Some((theme, envelope)) = first else { return Ok(Vec::new()) };
    let found: Vec<WaitingRow> = either(together!(""), together!("FOR UPDATE OF n"))
        .bind(recipient)
        .bind(soon.timestamp_micros())
        .bind(theme)
        .bind(envelope.unwrap_or_default())
        .bind(TOGETHER_MAX)
        .fetch_all(db)
        .await?;
    found.into_iter().map(WaitingRow::read).collect()
}

/// These are about to be sent under that id: from now on the recipient may have them.
///
/// # Errors
/// When the database fails.
pub async fn seal(db: &mut Db, notifications: &[String], envelope: &str) -> Result<(), StoreError> {
    of(
        "UPDATE notification SET envelope = $2, tries = tries + 1, heard = 1 \
         WHERE id IN (SELECT value->>'id' FROM jsonb_each($1))",
        notifications,
    )
    .bind(envelope)
    .execute(db)
    .await?;
    Ok(())
}

/// These were not sent: they are tried again at `due_at`, if they still wait. `unheard`: those of them
/// that nobody can have heard.
///
/// # Errors
/// When the database fails.
pub async fn put_off(
    db: &mut Db,
    notifications: &[String],
    unheard: &[String],
    due_at: Instant,
    trouble: &str,
) -> Result<(), StoreError> {
    of(
        "UPDATE notification SET trouble = $2, \
         due_at = CASE WHEN due_at IS NULL THEN due_at ELSE $3 END \
         WHERE id IN (SELECT value->>'id' FROM jsonb_each($1))",
        notifications,
    )
    .bind(trouble)
    .bind(due_at.timestamp_micros())
    .execute(db)
    .await?;
    forget(db, unheard).await
}

/// Nobody can have heard these.
///
/// # Errors
/// When the database fails.
pub async fn forget(db: &mut Db, unheard: &[String]) -> Result<(), StoreError> {
    if unheard.is_empty() {
        return Ok(());
    }
    of(
        "UPDATE notification SET heard = 0 \
         WHERE id IN (SELECT value->>'id' FROM jsonb_each($1))",
        unheard,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// That became of them.
///
/// # Errors
/// When the database fails.
pub async fn end(
    db: &mut Db,
    notifications: &[String],
    fate: Fate,
    now: Instant,
    trouble: Option<&str>,
) -> Result<(), StoreError> {
    if notifications.is_empty() {
        return Ok(());
    }
    of(
        "UPDATE notification SET state = $2, due_at = NULL, ended_at = $3, trouble = $4 \
         WHERE id IN (SELECT value->>'id' FROM jsonb_each($1))",
        notifications,
    )
    .bind(fate.as_str())
    .bind(now.timestamp_micros())
    .bind(trouble.map(str::to_owned))
    .execute(db)
    .await?;
    Ok(())
}

fn of(statement: &'static str, notifications: &[String]) -> Statement {
    sql(statement).bind(ids(notifications))
}
