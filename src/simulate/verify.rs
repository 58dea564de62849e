//! Compares what the daemon made of a night with the truth: receipts, visit log, Schedule 3, alerts.
//!
//! Reads what finance reads, and the alerts of the database and of the broker. Every difference is
//! one line: what it is about, what was expected, what is.

mod alerts;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Context;
use uuid::Uuid;

use self::alerts::{alerts, heard_alerts};
use super::ear::Listened;
use super::night::{Event, Night};
use super::phones::{Known, Played};
use super::script::Answer;
use super::truth::{Row, Truth};
use crate::domain::alert::AlertKind;
use crate::domain::instant::Instant;
use crate::domain::refs::EventId;
use crate::store::audit::Raised;
use crate::wire::alert::State;
use crate::wire::receipt::{ReceiptStatus, VisitWord};
use crate::wire::rejection::RejectCode;

/// What was found in the database.
pub struct Found {
    /// When each own event was received first.
    pub received: HashMap<EventId, Instant>,
    /// Own alerts.
    pub alerts: Vec<Raised>,
    /// The visit log, as it is given to finance.
    pub log: Vec<u8>,
    /// Schedule 3, as it is given to the council.
    pub schedule: Vec<u8>,
}

/// What is known besides.
#[derive(Default)]
pub struct Heard<'a> {
    /// What the phones know, if they have played.
    pub played: Option<&'a Played>,
    /// Whether a broker of its own is between phones and daemon: it may hand on twice what was sent
    /// once, and the first receipt may have been missed.
    pub redelivers: bool,
    /// Events that the database had before they played.
    pub before: BTreeSet<EventId>,
    /// What was heard of alerts.
    pub listened: Option<Listened>,
    /// Alerts as the database had them before, by their ids: with their states.
    pub alerts_before: BTreeMap<Uuid, State>,
}

/// What was compared, and every difference.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Visits in the log.
    pub visits: usize,
    /// Events whose receipts are right.
    pub receipts: usize,
    /// Alerts.
    pub alerts: usize,
    /// Rows of Schedule 3.
    pub rows: usize,
    /// The differences.
    pub differences: Vec<String>,
}

impl Verdict {
    fn differs(&mut self, about: &str, expected: &str, is: &str) {
        self.differences.push(format!("{about}: expected {expected}, is {is}"));
    }
}

/// Compares everything.
///
/// # Errors
/// When a report cannot be read.
pub fn verify(truth: &Truth<'_>, found: &Found, heard: &Heard<'_>) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    events(truth, heard, &mut verdict);
    visits(truth, &found.log, &mut verdict)?;
    schedule(truth, &found.schedule, &mut verdict)?;
    alerts(truth, found, heard, &mut verdict);
    if let Some(listened) = &heard.listened {
        heard_alerts(found, listened, &heard.alerts_before, &mut verdict);
    }
    Ok(verdict)
}

fn is_kept(event: &Event, night: &Night) -> bool {
    night.visits[event.visit].script.truth.answer != Answer::WrongSender
}

fn events(truth: &Truth<'_>, heard: &Heard<'_>, verdict: &mut Verdict) {
    let night = truth.night;
    let mut own = BTreeSet::new();
    for (index, event) in night.events.iter().enumerate() {
        let id = event.payload.event_id;
        own.insert(id);
        let name = format!("event {id} ({})", night.visits[event.visit].script.name);
        match (truth.received(event), is_kept(event, night)) {
            (None, true) => verdict.differs(&name, "to be recorded", "not there"),
            (Some(_), false) => verdict.differs(&name, "to be rejected", "recorded"),
            _ => {}
        }
        if let Some(played) = heard.played {
            let before = verdict.differences.len();
            let known = &played.known[index];
            let known_before = heard.before.contains(&id);
            let again = known_before || known.sent > 1 || heard.redelivers;
            receipts(truth, event, known, (known_before, again), &name, verdict);
            verdict.receipts += usize::from(verdict.differences.len() == before);
        }
    }
    for id in truth.received.keys().filter(|id| !own.contains(id)) {
        verdict.differs(&format!("event {id}"), "none of that id", "recorded");
    }
}

/// What the phone was told of its event, which was known before, or may have come again.
fn receipts(
    truth: &Truth<'_>,
    event: &Event,
    known: &Known,
    (known_before, again): (bool, bool),
    name: &str,
    verdict: &mut Verdict,
) {
    let visit = &truth.night.visits[event.visit];
    if known.receipts.is_empty() {
        let is = format!("none, though it was sent {} times", known.sent);
        return verdict.differs(name, "a receipt", &is);
    }
    let answer = visit.script.truth.answer;
    let name_of_visit = visit.plan.as_ref().map(|plan| plan.visit_ref.clone());
    for receipt in &known.receipts {
        let says = format!(
            "a receipt {} {} {} {}",
            receipt.status,
            receipt.visit.map_or("-", VisitWord::as_str),
            receipt.visit_ref.as_ref().map_or("-", |visit| visit.as_str()),
            receipt.code.map_or("-", RejectCode::as_str),
        );
        if answer == Answer::WrongSender {
            if receipt.code != Some(RejectCode::WrongSender) {
                verdict.differs(name, "a receipt rejected wrong_sender", &says);
            }
            continue;
        }
        let status = match receipt.status {
            ReceiptStatus::Accepted => !known_before,
            ReceiptStatus::Duplicate => again,
            ReceiptStatus::Rejected => false,
        };
        if !status {
            let expected = if known_before { "a receipt duplicate" } else { "a receipt accepted" };
            verdict.differs(name, expected, &says);
        }
        if truth.received(event) != Some(receipt.received_at) {
            verdict.differs(name, "its receipt to say when it was recorded", &says);
        }
        let unsure = visit.script.truth.passing.contains(&AlertKind::UnplannedVisit);
        let placed = match answer {
            Answer::Planned => {
                (receipt.visit == Some(VisitWord::Planned) && receipt.visit_ref == name_of_visit)
                    || (unsure && receipt.visit == Some(VisitWord::Unplanned))
            }
            Answer::Unplanned => receipt.visit == Some(VisitWord::Unplanned),
            Answer::Unplaced => receipt.visit == Some(VisitWord::Unplaced),
            Answer::WrongSender => true,
        };
        if !placed {
            let visit = name_of_visit.as_ref().map_or(String::new(), |visit| format!(" {visit}"));
            verdict.differs(name, &format!("a receipt about {answer:?}{visit}"), &says);
        }
    }
}

/// The rows of a file that belong to the night.
fn rows(bytes: &[u8], client: &str, prefix: &str) -> anyhow::Result<Vec<Row>> {
    let mut reader = csv::Reader::from_reader(bytes);
    let rows = reader.deserialize::<Row>().collect::<Result<Vec<_>, _>>();
    let rows = rows.context("a report of ours cannot be read")?;
    Ok(rows.into_iter().filter(|row| row[client].starts_with(prefix)).collect())
}

/// Each cell in which a row is not as expected.
fn compare(about: &str, expected: &Row, is: &Row, verdict: &mut Verdict) {
    for (column, value) in expected {
        let cell = is.get(column).map_or("", String::as_str);
        if cell != value {
            verdict.differs(&format!("{about}, {column}"), &quoted(value), &quoted(cell));
        }
    }
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "nothing".to_owned() } else { text.to_owned() }
}

fn visits(truth: &Truth<'_>, log: &[u8], verdict: &mut Verdict) -> anyhow::Result<()> {
    let mut is: BTreeMap<String, Row> = BTreeMap::new();
    for row in rows(log, "client_ref", &truth.night.prefix)? {
        if let Some(twice) = is.insert(row["visit_ref"].clone(), row) {
            let about = format!("visit {}", twice["visit_ref"]);
            verdict.differs(&about, "one line of the visit log", "several");
        }
    }
    for visit in &truth.night.visits {
        let Some(expected) = truth.log_row(visit) else { continue };
        verdict.visits += 1;
        let name = &expected["visit_ref"];
        let about = format!("visit {name} ({})", visit.script.name);
        match is.remove(name) {
            None => verdict.differs(&about, "to be in the visit log", "not there"),
            Some(row) if truth.holds(visit) => compare(&about, &expected, &row, verdict),
            Some(_) => {}
        }
    }
    for (name, row) in is {
        let is = format!("{} at {}", row["status"], row["client_ref"]);
        verdict.differs(&format!("visit {name}"), "none of that name", &is);
    }
    Ok(())
}

fn schedule(truth: &Truth<'_>, schedule: &[u8], verdict: &mut Verdict) -> anyhow::Result<()> {
    let (expected, unknown) = truth.schedule();
    let columns = ["Service", "Service Level Type", "Client Reference", "Start Date"];
    let mut is: BTreeMap<[String; 4], Row> = BTreeMap::new();
    for row in rows(schedule, "Client Reference", &truth.night.prefix)? {
        let key = columns.map(|column| row[column].clone());
        if is.insert(key.clone(), row).is_some() {
            let about = format!("Schedule 3 row {}", key.join(", "));
            verdict.differs(&about, "one such row", "several");
        }
    }
    for (key, expected) in &expected {
        verdict.rows += 1;
        let about = format!("Schedule 3 row {}", key.join(", "));
        match is.remove(key) {
            None => verdict.differs(&about, "to be there", "not there"),
            Some(row) if !unknown.contains(key) => compare(&about, expected, &row, verdict),
            Some(_) => {}
        }
    }
    for (key, row) in is.into_iter().filter(|(key, _)| !unknown.contains(key)) {
        let about = format!("Schedule 3 row {}", key.join(", "));
        verdict.differs(&about, "no such row", &row["Comments"]);
    }
    Ok(())
}
/// Whether everything that must be heard has been heard: until then it may be on its way.
#[must_use]
pub fn has_heard(found: &Found, heard: &Heard<'_>) -> bool {
    let mut verdict = Verdict::default();
    if let Some(listened) = &heard.listened {
        heard_alerts(found, listened, &heard.alerts_before, &mut verdict);
    }
    verdict.differences.is_empty()
}
