//! An event message: the topic on the first line, the payload after it.

use std::collections::{BTreeMap, BTreeSet};

use nightrun::domain::event::{Event, EventKind};
use nightrun::domain::instant::{Instant, parse_instant};
use nightrun::domain::refs::EventId;
use nightrun::wire::event_payload::{EventPayload, EventType, PositionPayload};
use nightrun::wire::payload::{Decoded, PAYLOAD_MAX_BYTES, decode};
use nightrun::wire::receipt::{Placed, Receipt};
use nightrun::wire::rejection::{RejectCode, Rejection};
use nightrun::wire::topic;
use serde_json::value::RawValue;

/// Most bytes of a receipt: every phone has room for it.
const RECEIPT_MAX_BYTES: usize = 2_048;

/// What may be dropped, in the order in which it is named.
const OPTIONAL: [&str; 11] = [
    "client_ref",
    "visit_ref",
    "method",
    "position",
    "position.accuracy_m",
    "informal_carer",
    "reason",
    "note",
    "tag",
    "sent_at",
    "seq",
];

/// Whatever is sent is either an event with all that was not dropped, or rejected with a reason.
pub fn event(input: &[u8]) {
    let Some((topic, payload)) = super::first_line(input) else { return };
    let read = read(topic, payload);
    assert_eq!(read, self::read(topic, payload));
    match read {
        Ok(decoded) => accepted(topic, payload, &decoded),
        Err(rejection) => rejected(topic, payload, &rejection),
    }
}

fn at(text: &str) -> Instant {
    parse_instant(text).expect("an instant")
}

fn read(topic: &str, payload: &[u8]) -> Result<Decoded, Rejection> {
    let received_at = at("2026-11-22T23:31:04.5Z");
    decode(topic, payload, received_at, |contract| contract.as_str() != "elsewhere")
}

fn accepted(topic: &str, payload: &[u8], decoded: &Decoded) {
    let event = &decoded.event;
    assert_eq!(topic::event(&event.contract, &event.sender), topic);
    assert!(topic::receipt_for(topic).is_some(), "whoever is heard can be answered");

    let mut names = OPTIONAL.iter();
    for dropped in &decoded.dropped {
        assert!(names.any(|name| name == dropped), "{:?}", decoded.dropped);
        assert!(!keeps(event, dropped), "{dropped} is dropped and kept: {event:?}");
    }

    // What is understood, written down, is understood alike.
    let bytes = serde_json::to_vec(&written(event)).expect("JSON");
    let again = read(topic, &bytes).expect("it is an event");
    assert_eq!((&again.event, again.dropped.len()), (event, 0));
    assert_eq!(serde_json::from_slice::<EventPayload>(&bytes).expect("JSON"), written(event));

    resent(topic, payload, decoded);
    receipt(&Receipt::accepted(decoded, Placed::Unplaced));
    let longest = "x".repeat(64).parse().expect("a reference");
    receipt(&Receipt::duplicate(decoded, event.received_at, Placed::Unplanned(longest)));
    receipt(&Receipt::rejected(&decoded.reused(), payload, event.received_at));
}

/// Whether the event has a value of that optional field.
fn keeps(event: &Event, name: &str) -> bool {
    match name {
        "client_ref" => event.client_ref.is_some(),
        "visit_ref" => event.visit_ref.is_some(),
        "position" => event.position.is_some(),
        "position.accuracy_m" => event.position.is_none_or(|at| at.accuracy_m != 0.0),
        "informal_carer" => event.informal_carer,
        "reason" => matches!(event.kind, EventKind::NotDelivered(_)),
        "tag" => event.tag.is_some(),
        "seq" => event.seq.is_some(),
        _ => false,
    }
}

fn written(event: &Event) -> EventPayload {
    let (kind, reason) = match event.kind {
        EventKind::CheckIn => (EventType::CheckIn, None),
        EventKind::CheckOut => (EventType::CheckOut, None),
        EventKind::NotDelivered(reason) => (EventType::NotDelivered, Some(reason)),
    };
    let position = event.position.map(|position| PositionPayload {
        lat: position.at.lat,
        lon: position.at.lon,
        accuracy_m: Some(position.accuracy_m),
    });
    EventPayload {
        client_ref: event.client_ref.clone(),
        visit_ref: event.visit_ref.clone(),
        carer_ref: Some(event.carer_ref.clone()),
        position,
        informal_carer: Some(event.informal_carer),
        reason,
        tag: event.tag.clone(),
        seq: event.seq,
        ..EventPayload::new(event.event_id, kind, event.occurred_at)
    }
}

/// Sent again at another time, its fields in another order and spacing, it is the same (R6); under
/// another id it has the same content.
fn resent(topic: &str, payload: &[u8], decoded: &Decoded) {
    // Names that only half a surrogate pair tells apart are beyond this test.
    let fields: BTreeMap<String, Box<RawValue>> = match serde_json::from_slice(payload) {
        Ok(fields) => fields,
        Err(_) => return,
    };
    let spelt = |event_id: EventId| {
        let mut members = vec![
            "\"sent_at\" : \"2026-11-23T00:00:00Z\"".to_owned(),
            format!("\"event_id\":\"{event_id}\""),
        ];
        for (name, value) in fields.iter().rev() {
            if !matches!(name.as_str(), "sent_at" | "event_id") {
                let name = serde_json::to_string(name).expect("JSON");
                members.push(format!("{name} :\n{value}"));
            }
        }
        format!("{{{}\t}}", members.join(" ,"))
    };
    let again = match read(topic, spelt(decoded.event.event_id).as_bytes()) {
        Ok(again) => again,
        Err(rejection) => return assert_eq!(rejection.code, RejectCode::TooLarge),
    };
    let without_sent_at = |decoded: &Decoded| {
        let dropped = decoded.dropped.iter().filter(|name| *name != "sent_at");
        (decoded.event.clone(), decoded.content, dropped.cloned().collect::<Vec<_>>())
    };
    assert_eq!(without_sent_at(&again), without_sent_at(decoded));

    let other: EventId = "00000000-0000-4000-8000-000000000001".parse().expect("an id");
    let other = read(topic, spelt(other).as_bytes()).expect("as long as the one before");
    assert_eq!(other.content, decoded.content);
}

fn rejected(topic: &str, payload: &[u8], rejection: &Rejection) {
    let too_large = payload.len() > PAYLOAD_MAX_BYTES;
    assert_eq!(rejection.code == RejectCode::TooLarge, too_large);
    assert_ne!(rejection.code, RejectCode::EventIdReused, "only the store knows that");
    if matches!(rejection.code, RejectCode::BadField) {
        assert!(topic::parse(topic).is_ok());
    }
    super::check_shown(&rejection.detail, 1_000);
    receipt(&Receipt::rejected(rejection, payload, at("2026-11-22T23:31:04.123456Z")));
}

/// A receipt is JSON of a known shape and of bounded length.
fn receipt(receipt: &Receipt) {
    let bytes = serde_json::to_vec(receipt).expect("JSON");
    assert!(bytes.len() <= RECEIPT_MAX_BYTES, "{} bytes", bytes.len());
    assert_eq!(serde_json::from_slice::<Receipt>(&bytes).expect("a receipt"), *receipt);
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&bytes).expect("JSON");
    let mut names = BTreeSet::from([
        "event_id",
        "status",
        "received_at",
        "visit_ref",
        "visit",
        "dropped",
        "code",
        "detail",
    ]);
    if receipt.event_id.is_none() {
        names.insert("payload_sha256");
    }
    assert_eq!(fields.keys().map(String::as_str).collect::<BTreeSet<_>>(), names);
}
