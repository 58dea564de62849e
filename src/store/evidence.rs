//! Evidence: events as they were received, where they were placed, and what could not be used.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sqlx::FromRow;

use super::cases::{CaseKey, read_keys};
use super::ledger::PageKey;
use super::sql::sql;
use super::{Db, StoreError, at, night_text, read_night, read_word, rows};
use crate::domain::calendar::Night;
use crate::domain::event::Event;
use crate::domain::instant::Instant;
use crate::domain::place::{Place, PlacedBy};
use crate::domain::refs::{CarerRef, ClientRef, ContractId, EventId, VisitRef};
use crate::wire::payload::{Decoded, decode_event};

/// An event that is to be recorded, with the message that brought it.
pub struct NewEvent<'a> {
    /// What was decoded.
    pub decoded: &'a Decoded,
    /// The topic of the message.
    pub topic: &'a str,
    /// Its payload.
    pub payload: &'a [u8],
    /// Where the event belongs.
    pub place: &'a Place,
    /// The night of its effective time.
    pub night: Night,
}

/// A place in the words of the database: night, client (empty: unplaced), by what.
#[must_use]
pub fn placed(place: &Place, own_night: Night) -> (String, &str, &'static str) {
    match place {
        Place::At { client, night, by, .. } => (night_text(*night), client.as_str(), by.as_str()),
        Place::Unplaced => (night_text(own_night), "", "unplaced"),
    }
}

/// The visit that an event without a client of its own names: where it belongs may change when that
/// visit appears.
#[must_use]
pub fn names_visit(event: &Event) -> Option<&str> {
    if event.client_ref.is_some() {
        return None;
    }
    event.visit_ref.as_ref().map(VisitRef::as_str)
}

/// Records events that are not there yet.
///
/// # Errors
/// When the database fails.
pub async fn insert(db: &mut Db, events: &[NewEvent<'_>]) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let values = events.iter().map(|new| {
        let event = &new.decoded.event;
        let (night, client, by) = placed(new.place, new.night);
        row! {
            contract: event.contract.as_str(),
            id: event.event_id.to_string(),
            content: hex(&new.decoded.content),
            topic: new.topic,
            payload: String::from_utf8_lossy(new.payload),
            received: event.received_at.timestamp_micros(),
            effective: event.effective_at().timestamp_micros(),
            carer: event.carer_ref.as_str(),
            names: names_visit(event),
            night: night,
            client: client,
            by: by,
        }
    });
    sql("INSERT INTO event (contract, event_id, content, topic, payload, received_at, \
         effective_at, carer_ref, names_visit, night, client_ref, placed_by) \
         SELECT value->>'contract', value->>'id', value->>'content', value->>'topic', \
         value->>'payload', CAST(value->>'received' AS BIGINT), \
         CAST(value->>'effective' AS BIGINT), value->>'carer', value->>'names', value->>'night', \
         value->>'client', value->>'by' FROM jsonb_each($1)")
    .bind(rows(values))
    .execute(db)
    .await?;
    Ok(())
}

/// Bytes as hexadecimal text.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An event that has been recorded before.
#[derive(Debug, Clone)]
pub struct Known {
    /// The hash of its content, hexadecimal (R6).
    pub content: String,
    /// When it was received first.
    pub received_at: Instant,
    /// Where it was placed; `None`: unplaced.
    pub case: Option<(ClientRef, Night)>,
}

#[derive(FromRow, Deserialize)]
struct KnownRow {
    contract: String,
    event_id: String,
    content: String,
    received_at: i64,
    night: String,
    client_ref: String,
}

/// The events among these that have been recorded.
///
/// # Errors
/// When the database fails.
pub async fn known(
    db: &mut Db,
    ids: &BTreeSet<(ContractId, EventId)>,
) -> Result<BTreeMap<(ContractId, EventId), Known>, StoreError> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let keys =
        ids.iter().map(|(contract, id)| row! { contract: contract.as_str(), id: id.to_string() });
    let found: Vec<KnownRow> = packed!(
        "e.contract, e.event_id, e.content, e.received_at, e.night, e.client_ref",
        "FROM jsonb_each($1) k CROSS JOIN event e WHERE e.contract = k.value->>'contract' \
         AND e.event_id = k.value->>'id'"
    )
    .bind(rows(keys))
    .fetch_packed(db)
    .await?;
    found
        .into_iter()
        .map(|row| {
            let case = match row.client_ref.as_str() {
                "" => None,
                client => Some((client.parse()?, read_night(&row.night)?)),
            };
            let known = Known { content: row.content, received_at: at(row.received_at), case };
            Ok(((row.contract.parse()?, read_word(&row.event_id)?), known))
        })
        .collect()
}

/// Counts messages that said again what these events had said, one for each.
///
/// # Errors
/// When the database fails.
pub async fn count_duplicates(
    db: &mut Db,
    ids: &[(ContractId, EventId)],
) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut times: BTreeMap<&(ContractId, EventId), i64> = BTreeMap::new();
    for id in ids {
        *times.entry(id).or_default() += 1;
    }
    let values = times.iter().map(|((contract, id), times)| {
        row! { contract: contract.as_str(), id: id.to_string(), times: times }
    });
    sql("UPDATE event SET duplicates = duplicates + CAST(k.value->>'times' AS BIGINT) \
         FROM jsonb_each($1) k WHERE event.contract = k.value->>'contract' \
         AND event.event_id = k.value->>'id'")
    .bind(rows(values))
    .execute(db)
    .await?;
    Ok(())
}

/// An event as it was recorded and placed.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its number in the database, rising with receipt.
    pub id: i64,
    /// The event.
    pub event: Event,
    /// Where it was placed; `None`: unplaced.
    pub client: Option<ClientRef>,
    /// The night in which it was placed or, unplaced, that of its effective time.
    pub night: Night,
    /// How it was placed; `None`: unplaced.
    pub by: Option<PlacedBy>,
}

#[derive(FromRow, Deserialize)]
struct EventRow {
    id: i64,
    topic: String,
    payload: String,
    received_at: i64,
    night: String,
    client_ref: String,
    placed_by: String,
}

impl EventRow {
    fn read(self) -> Result<Recorded, StoreError> {
        let event =
            decode_event(&self.topic, self.payload.as_bytes(), at(self.received_at), |_| true)
                .map_err(|rejection| {
                    StoreError::Foreign(format!("an event: {}", rejection.detail))
                })?;
        Ok(Recorded {
            id: self.id,
            event,
            client: match self.client_ref.as_str() {
                "" => None,
                client => Some(client.parse()?),
            },
            night: read_night(&self.night)?,
            by: self.placed_by.parse().ok(),
        })
    }
}

macro_rules! events {
    ($how:ident: $rest:literal) => {
        $how!("e.id, e.topic, e.payload, e.received_at, e.night, e.client_ref, e.placed_by", $rest)
    };
}

/// In order of receipt.
fn read_all(mut found: Vec<EventRow>) -> Result<Vec<Recorded>, StoreError> {
    found.sort_unstable_by_key(|row| row.id);
    found.dedup_by_key(|row| row.id);
    found.into_iter().map(EventRow::read).collect()
}

/// The events of these ids.
///
/// # Errors
/// When the database fails.
pub async fn of_ids(
    db: &mut Db,
    ids: &BTreeSet<(ContractId, EventId)>,
) -> Result<Vec<Recorded>, StoreError> {
    let keys =
        ids.iter().map(|(contract, id)| row! { contract: contract.as_str(), id: id.to_string() });
    let found = events!(
        packed: "FROM jsonb_each($1) k CROSS JOIN event e WHERE e.contract = k.value->>'contract' \
         AND e.event_id = k.value->>'id'"
    )
    .bind(rows(keys))
    .fetch_packed(db)
    .await?;
    read_all(found)
}

/// The events of a contract's night that are unplaced.
///
/// # Errors
/// When the database fails.
pub async fn unplaced(
    db: &mut Db,
    contract: &ContractId,
    night: Night,
) -> Result<Vec<Recorded>, StoreError> {
    let found = events!(
        plain: "FROM event e WHERE e.contract = $1 AND e.night = $2 AND e.client_ref = '' \
         AND e.placed_by = 'unplaced'"
    )
    .bind(contract.as_str())
    .bind(night_text(night))
    .fetch_all(db)
    .await?;
    read_all(found)
}

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Raw {
    /// The topic.
    pub topic: String,
    /// The payload, as text.
    pub payload: String,
    /// How often it came again.
    pub duplicates: i64,
}

/// The messages that brought these events of a contract.
///
/// # Errors
/// When the database fails.
pub async fn raw(
    db: &mut Db,
    contract: &ContractId,
    ids: &BTreeSet<EventId>,
) -> Result<BTreeMap<EventId, Raw>, StoreError> {
    let found: Vec<(String, String, String, i64)> =
        sql("SELECT e.event_id, e.topic, e.payload, e.duplicates FROM jsonb_each($2) k \
             CROSS JOIN event e WHERE e.contract = $1 AND e.event_id = k.value->>'id'")
        .bind(contract.as_str())
        .bind(rows(ids.iter().map(|id| row! { id: id.to_string() })))
        .fetch_all(db)
        .await?;
    found
        .into_iter()
        .map(|(id, topic, payload, duplicates)| {
            Ok((read_word(&id)?, Raw { topic, payload, duplicates }))
        })
        .collect()
}

/// The events that were placed at these client nights.
///
/// # Errors
/// When the database fails.
pub async fn of_cases(db: &mut Db, keys: &BTreeSet<CaseKey>) -> Result<Vec<Recorded>, StoreError> {
    let found = events!(
        packed: "FROM jsonb_each($1) k CROSS JOIN event e WHERE e.contract = k.value->>'contract' \
         AND e.night = k.value->>'night' AND e.client_ref = k.value->>'client'"
    )
    .bind(rows(keys.iter().map(CaseKey::to_row)))
    .fetch_packed(db)
    .await?;
    read_all(found)
}

/// The events that were placed in these nights of a contract, both ends included.
///
/// # Errors
/// When the database fails.
pub async fn of_nights(
    db: &mut Db,
    contract: &ContractId,
    from: Night,
    to: Night,
) -> Result<Vec<Recorded>, StoreError> {
    let found = events!(
        plain: "FROM event e WHERE e.contract = $1 AND e.night BETWEEN $2 AND $3 \
         AND e.client_ref <> ''"
    )
    .bind(contract.as_str())
    .bind(night_text(from))
    .bind(night_text(to))
    .fetch_all(db)
    .await?;
    read_all(found)
}

/// The events that name one of these visits and say no client, and those that a coordinator has placed
/// there.
///
/// # Errors
/// When the database fails.
pub async fn naming(
    db: &mut Db,
    refs: &BTreeSet<(ContractId, VisitRef)>,
) -> Result<Vec<Recorded>, StoreError> {
    if refs.is_empty() {
        return Ok(Vec::new());
    }
    let keys = refs
        .iter()
        .map(|(contract, visit)| row! { contract: contract.as_str(), visit: visit.as_str() });
    let keys = rows(keys);
    let mut found = events!(
        packed: "FROM jsonb_each($1) k CROSS JOIN event e WHERE e.contract = k.value->>'contract' \
         AND e.names_visit = k.value->>'visit'"
    )
    .bind(&keys)
    .fetch_packed(db)
    .await?;
    let placed: Vec<EventRow> = events!(
        packed: "FROM jsonb_each($1) k CROSS JOIN correction c CROSS JOIN event e \
         WHERE c.contract = k.value->>'contract' AND c.visit_ref = k.value->>'visit' \
         AND c.event_id IS NOT NULL AND e.contract = c.contract AND e.event_id = c.event_id"
    )
    .bind(keys)
    .fetch_packed(db)
    .await?;
    found.extend(placed);
    read_all(found)
}

/// The next events of a night that are unplaced or were placed by their position.
///
/// # Errors
/// When the database fails.
pub async fn loosely_placed(
    db: &mut Db,
    contract: &ContractId,
    night: Night,
    after: i64,
    most: i64,
) -> Result<Vec<Recorded>, StoreError> {
    let found = events!(
        plain: "FROM event e WHERE e.contract = $1 AND e.night = $2 AND e.id > $3 \
         AND e.placed_by IN ('unplaced', 'position') ORDER BY e.id LIMIT $4"
    )
    .bind(contract.as_str())
    .bind(night_text(night))
    .bind(after)
    .bind(most)
    .fetch_all(db)
    .await?;
    read_all(found)
}

/// The next events whose place depends on plan or registers, of each contract from a night on;
/// `None`: from the first.
///
/// # Errors
/// When the database fails.
pub async fn to_place_anew(
    db: &mut Db,
    from: &BTreeMap<ContractId, Option<Night>>,
    after: i64,
    most: i64,
) -> Result<Vec<Recorded>, StoreError> {
    let keys = from.iter().map(|(contract, from)| {
        row! { contract: contract.as_str(), from: from.map(night_text).unwrap_or_default() }
    });
    let found = events!(
        plain: "FROM jsonb_each($1) k CROSS JOIN event e WHERE e.contract = k.value->>'contract' \
         AND e.night >= k.value->>'from' AND e.id > $2 AND e.placed_by <> 'client' \
         ORDER BY e.id LIMIT $3"
    )
    .bind(rows(keys))
    .bind(after)
    .bind(most)
    .fetch_all(db)
    .await?;
    read_all(found)
}

/// Records that an event belongs somewhere else than was thought.
///
/// # Errors
/// When the database fails.
pub async fn replace(
    db: &mut Db,
    id: i64,
    place: &Place,
    own_night: Night,
) -> Result<(), StoreError> {
    let (night, client, by) = placed(place, own_night);
    sql("UPDATE event SET night = $2, client_ref = $3, placed_by = $4 WHERE id = $1")
        .bind(id)
        .bind(night)
        .bind(client)
        .bind(by)
        .execute(db)
        .await?;
    Ok(())
}

/// When and where these carers were, by their events from `after` on.
///
/// # Errors
/// When the database fails.
pub async fn seen(
    db: &mut Db,
    carers: &BTreeMap<(ContractId, CarerRef), Instant>,
) -> Result<Vec<(ContractId, CarerRef, Instant, ClientRef)>, StoreError> {
    if carers.is_empty() {
        return Ok(Vec::new());
    }
    let keys = carers.iter().map(|((contract, carer), after)| {
        row! {
            contract: contract.as_str(),
            carer: carer.as_str(),
            after: after.timestamp_micros(),
        }
    });
    let found: Vec<(String, String, i64, String)> =
        sql("SELECT e.contract, e.carer_ref, e.effective_at, e.client_ref FROM jsonb_each($1) k \
         CROSS JOIN event e WHERE e.contract = k.value->>'contract' \
         AND e.carer_ref = k.value->>'carer' \
         AND e.effective_at > CAST(k.value->>'after' AS BIGINT) AND e.client_ref <> ''")
        .bind(rows(keys))
        .fetch_all(db)
        .await?;
    found
        .into_iter()
        .map(|(contract, carer, effective_at, client)| {
            Ok((contract.parse()?, carer.parse()?, at(effective_at), client.parse()?))
        })
        .collect()
}

/// Which of these clients have had an event by which of these carers before that instant.
///
/// # Errors
/// When the database fails.
pub async fn met(
    db: &mut Db,
    contract: &ContractId,
    pairs: &BTreeSet<(ClientRef, CarerRef)>,
    before: Instant,
) -> Result<BTreeSet<(ClientRef, CarerRef)>, StoreError> {
    let keys =
        pairs.iter().map(|(client, carer)| row! { client: client.as_str(), carer: carer.as_str() });
    let found: Vec<(String, String)> =
        sql("SELECT k.value->>'client', k.value->>'carer' FROM jsonb_each($2) k \
             WHERE EXISTS (SELECT 1 FROM event e WHERE e.contract = $1 \
             AND e.carer_ref = k.value->>'carer' AND e.effective_at < $3 \
             AND e.client_ref = k.value->>'client')")
        .bind(contract.as_str())
        .bind(rows(keys))
        .bind(before.timestamp_micros())
        .fetch_all(db)
        .await?;
    found.into_iter().map(|(client, carer)| Ok((client.parse()?, carer.parse()?))).collect()
}

/// The client nights in which each carer was before that instant: at that client's, or anywhere.
///
/// # Errors
/// When the database fails.
pub async fn nights_before(
    db: &mut Db,
    carers: &[(ContractId, CarerRef, Instant, Option<ClientRef>)],
) -> Result<BTreeSet<CaseKey>, StoreError> {
    if carers.is_empty() {
        return Ok(BTreeSet::new());
    }
    let keys = carers.iter().map(|(contract, carer, before, client)| {
        row! {
            contract: contract.as_str(),
            carer: carer.as_str(),
            before: before.timestamp_micros(),
            client: client.as_ref().map(ClientRef::as_str),
        }
    });
    let found = sql("SELECT DISTINCT e.contract, e.night, e.client_ref FROM jsonb_each($1) k \
         CROSS JOIN event e WHERE e.contract = k.value->>'contract' \
         AND e.carer_ref = k.value->>'carer' \
         AND e.effective_at < CAST(k.value->>'before' AS BIGINT) AND e.client_ref <> '' \
         AND (k.value->>'client' IS NULL OR e.client_ref = k.value->>'client')")
    .bind(rows(keys))
    .fetch_all(db)
    .await?;
    read_keys(found)
}

/// A message that could not be used.
pub struct Unusable<'a> {
    /// The topic of the message.
    pub topic: &'a str,
    /// Its bytes.
    pub payload: &'a [u8],
    /// Their hash, hexadecimal.
    pub sha256: String,
    /// Why.
    pub code: &'static str,
    /// Why, in words.
    pub detail: &'a str,
    /// The id that it claimed.
    pub event_id: Option<EventId>,
    /// When it was received.
    pub received_at: Instant,
}

/// Most bytes of an unusable message that are kept.
pub const KEPT_BYTES_MAX: usize = 8192;

/// Keeps a message that could not be used; the same one again is counted, at the page of the ledger
/// on which it came.
///
/// # Errors
/// When the database fails.
pub async fn reject(
    db: &mut Db,
    message: &Unusable<'_>,
    (contract, night): &PageKey,
) -> Result<(), StoreError> {
    let kept = &message.payload[..message.payload.len().min(KEPT_BYTES_MAX)];
    let (id,): (i64,) =
        sql("INSERT INTO rejected (topic, payload_sha256, code, detail, payload, event_id, \
         received_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (topic, payload_sha256, code) DO UPDATE SET times = rejected.times + 1 \
         RETURNING id")
        .bind(message.topic)
        .bind(&message.sha256)
        .bind(message.code)
        .bind(message.detail)
        .bind(kept)
        .bind(message.event_id.map(|id| id.to_string()))
        .bind(message.received_at.timestamp_micros())
        .fetch_one(db)
        .await?;
    sql("INSERT INTO rejected_night (rejected_id, contract, night, times) VALUES ($1, $2, $3, 1) \
         ON CONFLICT (rejected_id, contract, night) DO UPDATE SET times = rejected_night.times + 1")
    .bind(id)
    .bind(contract.as_ref().map_or("", ContractId::as_str))
    .bind(night_text(*night))
    .execute(db)
    .await?;
    Ok(())
}

/// A message that could not be used, as it is kept.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// By what it is known.
    pub id: i64,
    /// The topic of the message.
    pub topic: String,
    /// Its bytes, as far as they are kept.
    pub payload: Vec<u8>,
    /// Why it could not be used.
    pub code: String,
    /// Why, in words.
    pub detail: String,
    /// When it was received first.
    pub received_at: Instant,
    /// How often it came.
    pub times: i64,
    /// Whether it was tried again since, and became an event.
    pub taken: bool,
}

#[derive(FromRow)]
struct RejectedRow {
    id: i64,
    topic: String,
    payload: Vec<u8>,
    code: String,
    detail: String,
    received_at: i64,
    times: i64,
    taken: i64,
}

impl From<RejectedRow> for Rejected {
    fn from(row: RejectedRow) -> Self {
        let RejectedRow { id, topic, payload, code, detail, received_at, times, taken } = row;
        let (received_at, taken) = (at(received_at), taken != 0);
        Self { id, topic, payload, code, detail, received_at, times, taken }
    }
}

macro_rules! rejected {
    ($rest:literal) => {
        sql(concat!(
            "SELECT r.id, r.topic, r.payload, r.code, r.detail, r.received_at, r.times, \
             (SELECT count(*) FROM handed_in h JOIN event e ON e.contract = h.contract \
             AND e.event_id = h.event_id WHERE h.rejected_id = r.id) AS taken FROM rejected r ",
            $rest
        ))
    };
}

/// The message of that number that could not be used.
///
/// # Errors
/// When the database fails.
pub async fn rejected(db: &mut Db, id: i64) -> Result<Option<Rejected>, StoreError> {
    let found: Option<RejectedRow> =
        rejected!("WHERE r.id = $1").bind(id).fetch_optional(db).await?;
    Ok(found.map(Rejected::from))
}

/// The last messages that could not be used, the latest first, before that number.
///
/// # Errors
/// When the database fails.
pub async fn rejected_before(
    db: &mut Db,
    before: i64,
    most: i64,
) -> Result<Vec<Rejected>, StoreError> {
    let found: Vec<RejectedRow> = rejected!("WHERE r.id < $1 ORDER BY r.id DESC LIMIT $2")
        .bind(before)
        .bind(most)
        .fetch_all(db)
        .await?;
    Ok(found.into_iter().map(Rejected::from).collect())
}
