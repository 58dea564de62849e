//! The payload of an event, as clients of our own write it.
//!
//! The daemon itself reads events with [`super::payload::decode`], which forgives what this does
//! not.

use serde::{Deserialize, Serialize};

use super::text;
use crate::domain::event::Reason;
use crate::domain::instant::Instant;
use crate::domain::refs::{CarerRef, ClientRef, EventId, Tag, VisitRef};

use crate::domain::words::words;

words! {
    /// What happened.
    EventType {
        /// The carer came.
        CheckIn = "check_in",
        /// The carer left.
        CheckOut = "check_out",
        /// The visit was not delivered.
        NotDelivered = "not_delivered",
    }
}

words! {
    /// How the sender knew where it was. The daemon keeps it as evidence and decides nothing by it
    /// (R19).
    Method {
        /// A chip was read.
        Nfc = "nfc",
        /// A code was read.
        Qr = "qr",
        /// By position.
        Gps = "gps",
        /// By the telecare unit.
        Telecare = "telecare",
        /// The carer phoned, and somebody took it down.
        PhoneLine = "phone_line",
        /// The carer said so.
        Manual = "manual",
    }
}

/// Where an event was made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PositionPayload {
    /// Latitude in degrees, WGS 84.
    #[serde(deserialize_with = "exact::required")]
    pub lat: f64,
    /// Longitude in degrees, WGS 84.
    #[serde(deserialize_with = "exact::required")]
    pub lon: f64,
    /// How wrong that may be, in metres.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "exact::optional"
    )]
    pub accuracy_m: Option<f64>,
}

/// An event, as it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventPayload {
    /// The same on every retry (R6).
    #[serde(with = "text")]
    pub event_id: EventId,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// When, by the device's clock.
    #[serde(with = "text::instant")]
    pub occurred_at: Instant,
    /// Whose home.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::optional")]
    pub client_ref: Option<ClientRef>,
    /// Which visit.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::optional")]
    pub visit_ref: Option<VisitRef>,
    /// Which carer; a device must say so.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::optional")]
    pub carer_ref: Option<CarerRef>,
    /// How the place was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<PositionPayload>,
    /// Whether an informal carer is the second pair of hands (R13).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub informal_carer: Option<bool>,
    /// Why it was not delivered (R15).
    #[serde(default, skip_serializing_if = "Option::is_none", with = "reason")]
    pub reason: Option<Reason>,
    /// What the carer wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The chip or code that was read.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::optional")]
    pub tag: Option<Tag>,
    /// When this message was sent, by the device's clock.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::optional_instant")]
    pub sent_at: Option<Instant>,
    /// The sender's number for the event, from 1 (R9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

impl EventPayload {
    /// An event with nothing in it but what every event needs.
    #[must_use]
    pub fn new(event_id: EventId, kind: EventType, occurred_at: Instant) -> Self {
        Self {
            event_id,
            kind,
            occurred_at,
            client_ref: None,
            visit_ref: None,
            carer_ref: None,
            method: None,
            position: None,
            informal_carer: None,
            reason: None,
            note: None,
            tag: None,
            sent_at: None,
            seq: None,
        }
    }
}

/// Reasons by their words.
pub(super) mod reason {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::domain::event::Reason;
    use crate::domain::words::UnknownWord;

    /// The reason that this word stands for.
    pub(in super::super) fn from_word(word: &str) -> Option<Reason> {
        Reason::ALL.iter().copied().find(|reason| reason.as_str() == word)
    }

    #[allow(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for this signature"
    )]
    pub(in super::super) fn serialize<S: Serializer>(
        reason: &Option<Reason>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        reason.map(Reason::as_str).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Reason>, D::Error> {
        let word = Option::<String>::deserialize(from)?;
        word.map(|word| from_word(&word).ok_or_else(|| D::Error::custom(UnknownWord))).transpose()
    }
}

/// Numbers read to the nearest `f64`, as the daemon reads them; `serde_json` alone may be one off
/// in the last place.
mod exact {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer};
    use serde_json::value::RawValue;

    use crate::wire::json;

    pub(super) fn required<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        let raw = Box::<RawValue>::deserialize(from)?;
        json::number(raw.get()).ok_or_else(|| D::Error::custom("not a finite number"))
    }

    pub(super) fn optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        let raw = Box::<RawValue>::deserialize(from)?;
        if raw.get() == "null" {
            return Ok(None);
        }
        json::number(raw.get()).map(Some).ok_or_else(|| D::Error::custom("not a finite number"))
    }
}
