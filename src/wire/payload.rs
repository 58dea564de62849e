//! Reads one event message: bytes from the broker in, an event or the reason why not out.
//!
//! Guarantees that no bytes make it panic, that a bad value in an optional field costs that field
//! and never the event, and that messages with the same content (R6) give the same event.

use sha2::{Digest, Sha256};

use super::event_payload::{EventType, Method, reason};
use super::json::{self, Fields};
use super::rejection::{RejectCode, Rejection};
use super::topic::{self, BadTopic, Topic};
use crate::domain::event::{Event, EventKind, Position, Reason, Sender};
use crate::domain::instant::{Instant, parse_instant};
use crate::domain::plan::LatLon;
use crate::domain::refs::{BadReference, CarerRef, ContractId, EventId};

/// Most bytes that an event message may have.
pub const PAYLOAD_MAX_BYTES: usize = 8192;
/// Most characters that a note may have.
pub const NOTE_MAX_CHARS: usize = 500;
/// Greatest number that a sender may give an event (R9): the last up to which every program that
/// keeps numbers as `f64` can count.
pub const SEQ_MAX: u64 = 1 << 53;

/// A message that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// What it says.
    pub event: Event,
    /// What makes two messages with the same id the same (R6): SHA-256 of the canonical JSON text
    /// of `[topic, payload]`, the payload without `event_id` (by which the other was found) and
    /// `sent_at` (which differs with each retry). Key order, white space, escapes and the spelling
    /// of numbers do not matter. Every other field does, known or not, dropped or not; an absent
    /// field and one that is null are different JSON values, and so are different content.
    pub content: [u8; 32],
    /// Paths of the optional fields that were dropped for their bad values, in the order of the
    /// interface's table.
    pub dropped: Vec<String>,
}

impl Decoded {
    /// The rejection of this message for having the id of an event with other content (R6).
    #[must_use]
    pub fn reused(&self) -> Rejection {
        Rejection {
            code: RejectCode::EventIdReused,
            detail: "event_id: another event already has it; each event needs its own, and a \
                     retry must repeat the content"
                .to_owned(),
            event_id: Some(self.event.event_id),
            contract: Some(self.event.contract.clone()),
            sender: Some(self.event.sender.clone()),
            seq: self.event.seq,
        }
    }
}

/// Reads one event message. `knows` says whether the daemon has that contract.
///
/// # Errors
/// With the first of: too large; no JSON object; a topic without a known contract; a sender that is
/// not the topic's; bad values in fields without which there is no event (all of them are named).
pub fn decode(
    topic: &str,
    payload: &[u8],
    received_at: Instant,
    knows: impl Fn(&ContractId) -> bool,
) -> Result<Decoded, Rejection> {
    let content = |fields: &Fields<'_>| content(topic, fields);
    let (event, dropped, content) = read(topic, payload, received_at, knows, content)?;
    Ok(Decoded { event, content, dropped })
}

/// Reads one event message for what it says alone, by whoever compares no contents.
///
/// # Errors
/// As [`decode`].
pub fn decode_event(
    topic: &str,
    payload: &[u8],
    received_at: Instant,
    knows: impl Fn(&ContractId) -> bool,
) -> Result<Event, Rejection> {
    Ok(read(topic, payload, received_at, knows, |_| ())?.0)
}

/// The event, the optional fields that were dropped, and what is made of all fields.
fn read<T>(
    topic: &str,
    payload: &[u8],
    received_at: Instant,
    knows: impl Fn(&ContractId) -> bool,
    make: impl FnOnce(&Fields<'_>) -> T,
) -> Result<(Event, Vec<String>, T), Rejection> {
    let parsed = topic::parse(topic);
    let fields = Fields::read(payload);
    let reject = |code, detail: String| {
        let (contract, sender) = origin(&parsed);
        let event_id = fields.as_ref().ok().and_then(event_id);
        let seq = fields.as_ref().ok().and_then(seq);
        Rejection { code, detail, event_id, contract, sender, seq }
    };

    if payload.len() > PAYLOAD_MAX_BYTES {
        let detail = format!("{} bytes; at most {PAYLOAD_MAX_BYTES} are read", payload.len());
        return Err(reject(RejectCode::TooLarge, detail));
    }
    let fields = match &fields {
        Ok(fields) => fields,
        Err(why) => return Err(reject(RejectCode::BadJson, why.clone())),
    };
    let (contract, sender) = match &parsed {
        Ok(Topic::Event { contract, sender }) if knows(contract) => (contract, sender),
        Ok(Topic::Event { .. }) => {
            let detail = "the contract in the topic is not one of this daemon's".to_owned();
            return Err(reject(RejectCode::UnknownContract, detail));
        }
        Ok(Topic::Status { .. }) => {
            return Err(reject(RejectCode::UnknownContract, BadTopic::Foreign.to_string()));
        }
        Err(why @ BadTopic::Sender { contract }) if knows(contract) => {
            return Err(reject(RejectCode::WrongSender, why.to_string()));
        }
        Err(why) => return Err(reject(RejectCode::UnknownContract, why.to_string())),
    };
    let claimed = reference::<CarerRef>(fields, "carer_ref");
    if let (Sender::Carer(own), Claim::Good(other)) = (sender, &claimed)
        && own != other
    {
        let detail = "carer_ref: not the carer of the topic; a phone speaks for itself only";
        return Err(reject(RejectCode::WrongSender, detail.to_owned()));
    }

    let Essentials { event_id, kind, occurred_at, carer_ref } = essentials(fields, sender, claimed)
        .map_err(|wrong| reject(RejectCode::BadField, wrong.join("; ")))?;
    let mut optional = Optional { fields, dropped: Vec::new() };
    let client_ref = optional.take("client_ref", reference_in);
    let visit_ref = optional.take("visit_ref", reference_in);
    optional.take("method", |value| json::text(value)?.parse::<Method>().ok());
    let position = optional.position();
    let informal_carer = optional.take("informal_carer", |value| value.parse().ok());
    if !matches!(kind, EventKind::NotDelivered(_)) {
        // A reason for what did happen has no meaning, whatever it says.
        optional.take("reason", |_| None::<Reason>);
    }
    optional.take("note", |value| {
        json::text(value).map(|note| note.chars().count()).filter(|chars| *chars <= NOTE_MAX_CHARS)
    });
    let tag = optional.take("tag", reference_in);
    optional.take("sent_at", instant);
    let seq = optional.take("seq", seq_in);

    let event = Event {
        contract: contract.clone(),
        event_id,
        sender: sender.clone(),
        kind,
        carer_ref,
        occurred_at,
        received_at,
        client_ref,
        visit_ref,
        tag,
        position,
        informal_carer: informal_carer.unwrap_or(false),
        seq,
    };
    Ok((event, optional.dropped, make(fields)))
}

/// See [`Decoded::content`].
fn content(topic: &str, fields: &Fields<'_>) -> [u8; 32] {
    let members: Vec<String> = fields
        .iter()
        .filter(|(name, _)| !matches!(*name, "event_id" | "sent_at"))
        .map(|(name, value)| format!("\"{name}\":{}", json::canonical(value)))
        .collect();
    let text = format!("[{},{{{}}}]", json::quote(topic), members.join(","));
    Sha256::digest(text).into()
}

/// As much as the topic says about where the message came from.
fn origin(topic: &Result<Topic, BadTopic>) -> (Option<ContractId>, Option<Sender>) {
    match topic {
        Ok(Topic::Event { contract, sender }) => (Some(contract.clone()), Some(sender.clone())),
        Ok(Topic::Status { contract, device }) => {
            (Some(contract.clone()), Some(Sender::Device(device.clone())))
        }
        Err(BadTopic::Contract { sender }) => (None, sender.clone()),
        Err(BadTopic::Sender { contract }) => (Some(contract.clone()), None),
        Err(BadTopic::Foreign) => (None, None),
    }
}

/// A field that decides by its presence.
enum Claim<T> {
    Absent,
    Bad,
    Good(T),
}

fn reference<T: std::str::FromStr>(fields: &Fields<'_>, name: &str) -> Claim<T> {
    match fields.get(name).map(reference_in) {
        None => Claim::Absent,
        Some(None) => Claim::Bad,
        Some(Some(reference)) => Claim::Good(reference),
    }
}

fn reference_in<T: std::str::FromStr>(value: &str) -> Option<T> {
    json::text(value)?.parse().ok()
}

fn event_id(fields: &Fields<'_>) -> Option<EventId> {
    fields.get("event_id").and_then(reference_in)
}

fn seq(fields: &Fields<'_>) -> Option<u64> {
    fields.get("seq").and_then(seq_in)
}

fn seq_in(value: &str) -> Option<u64> {
    json::integer(value).filter(|seq| (1..=SEQ_MAX).contains(seq))
}

fn instant(value: &str) -> Option<Instant> {
    parse_instant(&json::text(value)?).ok()
}

/// The fields without which there is no event.
struct Essentials {
    event_id: EventId,
    kind: EventKind,
    occurred_at: Instant,
    carer_ref: CarerRef,
}

/// Reads them, or names each that is wrong and says what would be right.
fn essentials(
    fields: &Fields<'_>,
    sender: &Sender,
    claimed: Claim<CarerRef>,
) -> Result<Essentials, Vec<String>> {
    let mut wrong = Vec::new();
    let event_id = event_id(fields);
    if event_id.is_none() {
        wrong
            .push("event_id: needs a UUID such as 6e6f7468-0000-4000-8000-000000000001".to_owned());
    }
    let kind = match fields.get("type").and_then(json::text).and_then(|text| text.parse().ok()) {
        None => Err(format!("type: needs one of {}", list(EventType::ALL, EventType::as_str))),
        Some(EventType::CheckIn) => Ok(EventKind::CheckIn),
        Some(EventType::CheckOut) => Ok(EventKind::CheckOut),
        Some(EventType::NotDelivered) => fields
            .get("reason")
            .and_then(json::text)
            .and_then(|text| reason::from_word(&text))
            .map(EventKind::NotDelivered)
            .ok_or_else(|| {
                let words = list(Reason::ALL, Reason::as_str);
                format!("reason: what was not delivered needs one of {words}")
            }),
    };
    let occurred_at = match fields.get("occurred_at").and_then(json::text) {
        None => Err("occurred_at: needs an instant such as 2019-02-04T02:00:00Z".to_owned()),
        Some(text) => parse_instant(&text).map_err(|why| format!("occurred_at: {why}")),
    };
    let carer_ref = match (claimed, sender) {
        (Claim::Good(carer), _) => Ok(carer),
        (Claim::Absent, Sender::Carer(own)) => Ok(own.clone()),
        (Claim::Absent, Sender::Device(_)) => {
            Err("carer_ref: a device needs to say which carer it was".to_owned())
        }
        (Claim::Bad, _) => Err(format!("carer_ref: {BadReference}")),
    };
    let kind = kind.map_err(|why| wrong.push(why));
    let occurred_at = occurred_at.map_err(|why| wrong.push(why));
    let carer_ref = carer_ref.map_err(|why| wrong.push(why));
    match (event_id, kind, occurred_at, carer_ref) {
        (Some(event_id), Ok(kind), Ok(occurred_at), Ok(carer_ref)) => {
            Ok(Essentials { event_id, kind, occurred_at, carer_ref })
        }
        _ => Err(wrong),
    }
}

fn list<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> String {
    all.iter().map(|each| word(*each)).collect::<Vec<_>>().join(", ")
}

/// Reads optional fields, and notes those whose values are bad.
struct Optional<'a> {
    fields: &'a Fields<'a>,
    dropped: Vec<String>,
}

impl Optional<'_> {
    fn take<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let read = read(self.fields.get(name)?);
        if read.is_none() {
            self.dropped.push(name.to_owned());
        }
        read
    }

    fn position(&mut self) -> Option<Position> {
        let mut accuracy_dropped = false;
        let position = self.take("position", |value| {
            let fields = Fields::read(value.as_bytes()).ok()?;
            let degrees = |name: &str, most: f64| {
                fields.get(name).and_then(json::number).filter(|degrees| degrees.abs() <= most)
            };
            let at = LatLon { lat: degrees("lat", 90.0)?, lon: degrees("lon", 180.0)? };
            let accuracy = fields
                .get("accuracy_m")
                .map(|value| json::number(value).filter(|metres| *metres >= 0.0));
            accuracy_dropped = accuracy == Some(None);
            Some(Position { at, accuracy_m: accuracy.flatten().unwrap_or(0.0) })
        });
        if accuracy_dropped {
            self.dropped.push("position.accuracy_m".to_owned());
        }
        position
    }
}

#[cfg(test)]
mod tests;
