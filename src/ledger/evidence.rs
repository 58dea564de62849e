//! The rows of evidence: whether each is what was received, and where it belongs.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Entry, Fate, Ledger};
use crate::config::Contracts;
use crate::domain::calendar::{night_end, noon};
use crate::domain::event::Event;
use crate::domain::instant::{Instant, from_micros};
use crate::domain::place::{Place, PlacedBy};
use crate::domain::policy::Contract;
use crate::domain::refs::ContractId;
use crate::placing::place_recorded;
use crate::store::evidence::{KEPT_BYTES_MAX, hex, names_visit, placed};
use crate::store::imports;
use crate::store::ledger::{self as pages, EventRow, RejectedRow};
use crate::store::{Db, StoreError, senders};
use crate::wire::payload::decode;
use crate::wire::topic::{self, Topic};

/// The events of a night.
pub(super) struct Found {
    /// Those that could be read, with their rows.
    pub events: Vec<(EventRow, Event)>,
    /// Whether all could be read.
    pub readable: bool,
    /// Whether an import is still being applied.
    pub importing: bool,
    /// When the last of them was received.
    pub latest: Option<Instant>,
}

/// Checks the rows of events: their content, and where they were placed.
pub(super) async fn check(
    db: &mut Db,
    contracts: &Contracts,
    contract: &Arc<Contract>,
    ledger: &mut Ledger,
) -> Result<Found, StoreError> {
    let (zone, night) = (contract.zone, ledger.night);
    let bounds = (noon(zone, night), night_end(zone, night));
    let rows = pages::events(db, &contract.id, night, bounds).await?;
    let importing = imports::to_apply(db).await?.is_some();
    let mut found = Found { events: Vec::new(), readable: true, importing, latest: None };
    for row in rows {
        if (bounds.0.timestamp_micros()..bounds.1.timestamp_micros()).contains(&row.effective_at) {
            ledger.went.events += 1;
            ledger.went.duplicates += row.duplicates;
        }
        match read(&row, contract) {
            Ok((event, differs)) => {
                if !differs.is_empty() {
                    let differs = differs.join(", ");
                    ledger.fault(format!(
                        "event {}: not as it was received: {differs} differs",
                        row.event_id
                    ));
                }
                found.latest = found.latest.max(Some(event.received_at));
                found.events.push((row, event));
            }
            Err(why) => {
                found.readable = false;
                ledger.fault(format!("event {}: cannot be read: {why}", row.event_id));
            }
        }
    }
    places(db, contracts, contract, &found, ledger).await?;
    Ok(found)
}

/// Reads a row as the daemon would read the message, and names what the row says otherwise.
fn read(row: &EventRow, contract: &Contract) -> Result<(Event, Vec<&'static str>), &'static str> {
    let received_at = from_micros(row.received_at).ok_or("its time of receipt is none")?;
    let decoded = decode(&row.topic, row.payload.as_bytes(), received_at, |id| *id == contract.id)
        .map_err(|rejection| rejection.code.as_str())?;
    let event = decoded.event;
    let columns = [
        ("event_id", event.event_id.to_string() == row.event_id),
        ("content", hex(&decoded.content) == row.content),
        ("effective_at", event.effective_at().timestamp_micros() == row.effective_at),
        ("carer_ref", event.carer_ref.as_str() == row.carer_ref),
        ("names_visit", names_visit(&event) == row.names_visit.as_deref()),
    ];
    let differs = columns.into_iter().filter(|(_, same)| !same).map(|(name, _)| name);
    Ok((event, differs.collect()))
}

/// Places the events anew (R12). While an import is being applied, an event that is not placed by
/// its own client may have to wait.
async fn places(
    db: &mut Db,
    contracts: &Contracts,
    contract: &Contract,
    found: &Found,
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    let events: Vec<&Event> = found.events.iter().map(|(_, event)| event).collect();
    let places: Vec<Place> = place_recorded(db, contracts, &events).await?;
    for ((row, event), place) in found.events.iter().zip(&places) {
        let (night, client, by) = placed(place, contract.night_of(event.effective_at()));
        let stored = (row.night.as_str(), row.client_ref.as_str(), row.placed_by.as_str());
        if stored != (night.as_str(), client, by) {
            let name = |client: &str, by: &str| match client {
                "" => "unplaced".to_owned(),
                _ => format!("at client {client} by {by}"),
            };
            // What was placed by a coordinator goes where its visit goes.
            let follows = row.placed_by == PlacedBy::Correction.as_str()
                || (event.client_ref.is_none() && row.placed_by != PlacedBy::Client.as_str());
            ledger.undone(
                found.importing && follows,
                format!(
                    "event {}: kept {}, night {}, and belongs {}, night {night}",
                    row.event_id,
                    name(&row.client_ref, &row.placed_by),
                    row.night,
                    name(client, by),
                ),
            );
        }
    }
    Ok(())
}

/// Checks the messages that could not be used, and enters them.
pub(super) async fn rejected(
    db: &mut Db,
    contract: Option<&ContractId>,
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    for row in pages::rejected(db, contract, ledger.night).await? {
        ledger.went.rejected += row.in_night;
        let id = row.rejected_id;
        if row.times != Some(row.in_all) {
            let kept = row.times.map_or("it is gone".to_owned(), |times| format!("says {times}"));
            let counted = row.in_all;
            ledger.fault(format!(
                "rejected message {id}: its nights have it {counted} times, and its row {kept}"
            ));
        }
        let whole = row.payload.as_ref().filter(|payload| payload.len() < KEPT_BYTES_MAX);
        let hash = whole.map(|payload| hex(&Sha256::digest(payload)));
        if hash.is_some() && hash != row.payload_sha256 {
            ledger.fault(format!("rejected message {id}: not as it was received"));
        }
        ledger.entries.push(entry(row));
    }
    Ok(())
}

fn entry(row: RejectedRow) -> Entry {
    let sender = match row.topic.as_deref().map(topic::parse) {
        Some(Ok(Topic::Event { sender, .. })) => {
            let (word, reference) = senders::words(&sender);
            Some(format!("{word}/{reference}"))
        }
        Some(Ok(Topic::Status { device, .. })) => Some(format!("device/{device}")),
        _ => None,
    };
    Entry {
        event_id: row.event_id,
        sender,
        says: row.code.unwrap_or_default(),
        times: row.in_night,
        received_at: row.received_at.and_then(from_micros),
        went: Fate::Rejected(row.rejected_id),
        receipt_waiting: false,
    }
}
