//! JSON Schemas of what goes over MQTT, for makers of apps: made of the words and bounds by which the
//! code itself reads and writes. `docs/schema/` has them as files.
//!
//! An event that fits its schema, its topic and the longest message is accepted and nothing of it
//! dropped. The daemon forgives more than that.

use serde_json::{Map, Value, json};

use super::alert::State;
use super::event_payload::{EventType, Method};
use super::payload::{NOTE_MAX_CHARS, SEQ_MAX};
use super::receipt::{ReceiptStatus, VisitWord};
use super::rejection::RejectCode;
use crate::domain::alert::{AlertKind, Resolution, Severity};
use crate::domain::event::Reason;
use crate::domain::refs::REFERENCE_MAX_BYTES;

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Each by the name of its file.
#[must_use]
pub fn all() -> [(&'static str, Value); 5] {
    [
        ("event", event()),
        ("receipt", receipt()),
        ("alert", alert()),
        ("device-status", device_status()),
        ("daemon-status", daemon_status()),
    ]
}

fn words<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> Value {
    json!({"enum": all.iter().map(|each| word(*each)).collect::<Vec<_>>()})
}

fn reference() -> Value {
    json!({"type": "string", "pattern": format!("^[A-Za-z0-9._-]{{1,{REFERENCE_MAX_BYTES}}}$")})
}

fn of_format(format: &str) -> Value {
    json!({"type": "string", "format": format})
}

fn whole(from: u64, to: u64) -> Value {
    json!({"type": "integer", "minimum": from, "maximum": to})
}

/// The same, or null: there is nothing to say.
fn or_null(schema: &Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

/// An object of these fields, of which the first so many must be there.
fn object(title: &str, required: usize, fields: Vec<(&'static str, Value)>) -> Value {
    let names: Vec<&str> = fields.iter().take(required).map(|(name, _)| *name).collect();
    let fields: Map<String, Value> =
        fields.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    json!({
        "$schema": DRAFT, "title": title, "type": "object", "required": names, "properties": fields,
    })
}

fn event() -> Value {
    let degrees = |most: f64| json!({"type": "number", "minimum": -most, "maximum": most});
    let position = json!({
        "type": "object",
        "required": ["lat", "lon"],
        "properties": {
            "lat": degrees(90.0), "lon": degrees(180.0),
            "accuracy_m": or_null(&json!({"type": "number", "minimum": 0})),
        },
    });
    let mut event = object(
        "An event, as a phone or a telecare unit sends it",
        3,
        vec![
            ("event_id", of_format("uuid")),
            ("type", words(EventType::ALL, EventType::as_str)),
            ("occurred_at", of_format("date-time")),
            ("reason", or_null(&words(Reason::ALL, Reason::as_str))),
            ("carer_ref", or_null(&reference())),
            ("client_ref", or_null(&reference())),
            ("visit_ref", or_null(&reference())),
            ("tag", or_null(&reference())),
            ("position", or_null(&position)),
            ("method", or_null(&words(Method::ALL, Method::as_str))),
            ("informal_carer", json!({"type": ["boolean", "null"]})),
            ("note", json!({"type": ["string", "null"], "maxLength": NOTE_MAX_CHARS})),
            ("sent_at", or_null(&of_format("date-time"))),
            ("seq", or_null(&whole(1, SEQ_MAX))),
        ],
    );
    // A reason is what a statement needs, and means nothing in another event.
    event["if"] = json!({"properties": {"type": {"enum": [EventType::NotDelivered.as_str()]}}});
    event["then"] = json!({
        "required": ["reason"],
        "properties": {"reason": words(Reason::ALL, Reason::as_str)},
    });
    event["else"] = json!({"properties": {"reason": {"type": "null"}}});
    event
}

fn receipt() -> Value {
    object(
        "A receipt, as the daemon answers an event",
        8,
        vec![
            ("event_id", or_null(&of_format("uuid"))),
            ("status", words(ReceiptStatus::ALL, ReceiptStatus::as_str)),
            ("received_at", of_format("date-time")),
            ("visit_ref", or_null(&reference())),
            ("visit", or_null(&words(VisitWord::ALL, VisitWord::as_str))),
            ("dropped", json!({"type": "array", "items": {"type": "string"}})),
            ("code", or_null(&words(RejectCode::ALL, RejectCode::as_str))),
            ("detail", json!({"type": ["string", "null"]})),
            ("payload_sha256", json!({"type": "string", "pattern": "^[0-9a-f]{64}$"})),
        ],
    )
}

fn alert() -> Value {
    let fields = vec![
        ("alert_id", of_format("uuid")),
        ("kind", words(AlertKind::ALL, AlertKind::as_str)),
        ("severity", words(Severity::ALL, Severity::as_str)),
        ("state", words(State::ALL, State::as_str)),
        ("contract", reference()),
        ("night", or_null(&of_format("date"))),
        ("run", or_null(&reference())),
        ("visit_ref", or_null(&reference())),
        ("client_ref", or_null(&reference())),
        ("carer_ref", or_null(&reference())),
        ("planned_start", or_null(&of_format("date-time"))),
        ("present", or_null(&whole(0, u32::MAX.into()))),
        ("carers_required", or_null(&whole(0, u32::MAX.into()))),
        ("raised_at", of_format("date-time")),
        ("due_at", of_format("date-time")),
        ("contact_due_at", or_null(&of_format("date-time"))),
        ("unconfirmed", json!({"type": "boolean"})),
        ("resolution", or_null(&words(Resolution::ALL, Resolution::as_str))),
        ("detail", json!({"type": "string"})),
        ("visits_at_risk", json!({"type": "array", "items": reference()})),
    ];
    // The last one is left out where it is empty.
    object("An alert, at a change of its state", fields.len() - 1, fields)
}

fn device_status() -> Value {
    let state = json!({"enum": ["online", "offline"]});
    object("Whether a telecare unit is online", 1, vec![("state", state)])
}

fn daemon_status() -> Value {
    let state = json!({"enum": ["online", "offline"]});
    let fields = vec![("state", state), ("since", of_format("date-time"))];
    let mut status = object("Whether the daemon is online", 1, fields);
    status["if"] = json!({"properties": {"state": {"enum": ["online"]}}});
    status["then"] = json!({"required": ["since"]});
    status
}
