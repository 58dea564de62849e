//! What is read by itself: a topic, a status, a list of holidays, a single value.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use chrono::{Datelike, TimeDelta, Timelike};
use nightrun::domain::alert::AlertKind;
use nightrun::domain::event::Sender;
use nightrun::domain::holidays::BankHolidays;
use nightrun::domain::instant::{
    YEAR_MAX, YEAR_MIN, format_instant, format_seconds, from_micros, parse_instant,
};
use nightrun::domain::quantity::Quantity;
use nightrun::domain::refs::{CarerRef, ClientRef, EventId, VisitRef};
use nightrun::wire::event_payload::{EventType, Method};
use nightrun::wire::payload::PAYLOAD_MAX_BYTES;
use nightrun::wire::rejection::RejectCode;
use nightrun::wire::status::DeviceStatus;
use nightrun::wire::topic::{self, BadTopic, Topic};

/// A topic that is read is written back as it was, and a receipt goes to its sender alone.
pub fn topic(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let parsed = topic::parse(text);
    match &parsed {
        Ok(Topic::Event { contract, sender }) => {
            assert_eq!(topic::event(contract, sender), text);
            assert!(topic::receipt_for(text).is_some());
        }
        Ok(Topic::Status { contract, device }) => {
            assert_eq!(topic::device_status(contract, device), text);
        }
        Err(BadTopic::Contract { sender: Some(sender) }) => {
            let (Sender::Carer(_) | Sender::Device(_)) = sender;
            assert!(text.starts_with("nightrun/v1/"));
        }
        Err(BadTopic::Sender { contract }) => {
            assert!(text.starts_with(&format!("nightrun/v1/{contract}/")));
        }
        Err(BadTopic::Contract { sender: None } | BadTopic::Foreign) => {}
    }
    if let Some(receipt) = topic::receipt_for(text) {
        assert_ne!(parsed, Err(BadTopic::Foreign));
        assert_eq!(receipt.strip_suffix("receipt"), text.strip_suffix("event"));
        assert!(!receipt.contains(['+', '#', '\0']));
        assert_eq!(topic::parse(&receipt), Err(BadTopic::Foreign), "no receipt is an event");
    }
}

/// A telecare unit's status is what any other reader of JSON finds there.
pub fn status(input: &[u8]) {
    let status = DeviceStatus::decode(input);
    if let Ok(status) = status {
        let written = serde_json::to_vec(&status).expect("JSON");
        assert_eq!(DeviceStatus::decode(&written), Ok(status));
    }
    // Which numbers are beyond it, and how deep it goes, is the other reader's own affair.
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(input) {
        let expected = match value["state"].as_str() {
            _ if input.len() > PAYLOAD_MAX_BYTES => None,
            Some("online") => Some(DeviceStatus::Online),
            Some("offline") => Some(DeviceStatus::Offline),
            _ => None,
        };
        assert_eq!(status.ok(), expected);
    }
}

/// What is read as bank holidays are some, and there is a working day before each.
pub fn bank_holidays(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let dates = match nightrun::wire::bank_holidays::read(text) {
        Ok(dates) => dates,
        Err(error) => return super::check_shown(&error.to_string(), 1_300),
    };
    assert!(!dates.is_empty());
    let mut holidays = BankHolidays::default();
    holidays.publish(dates.clone());
    for date in dates {
        assert!(text.contains(&date.to_string()));
        assert!(holidays.contains(date) && !holidays.is_working_day(date));
        assert!((YEAR_MIN..=YEAR_MAX).contains(&date.year()), "{date}");
        assert!(holidays.working_day_before(date) < date);
    }
}

/// A single value that is read is written, and is read the same again.
pub fn value(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    instant(text);
    quantity(text);
    let is_reference = (1..=64).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    assert_eq!(text.parse::<ClientRef>().is_ok(), is_reference);
    same_text::<CarerRef>(text);
    same_text::<VisitRef>(text);
    same_text::<EventType>(text);
    same_text::<Method>(text);
    same_text::<RejectCode>(text);
    same_text::<AlertKind>(text);
    if let Ok(id) = text.parse::<EventId>() {
        let written = id.to_string();
        assert_eq!(written.parse(), Ok(id));
        assert_eq!((written.len(), written.to_lowercase()), (36, written.clone()));
        let visit = VisitRef::unplanned(id);
        assert_eq!((visit.unplanned_event(), visit.to_string().parse()), (Some(id), Ok(visit)));
    }
}

fn same_text<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

fn instant(text: &str) {
    let Ok(at) = parse_instant(text) else { return };
    assert!((YEAR_MIN..=YEAR_MAX).contains(&at.year()));
    assert_eq!(at.nanosecond() % 1_000, 0);
    let written = format_instant(at);
    assert_eq!(parse_instant(&written), Ok(at));
    assert!(written.ends_with('Z') && written.len() <= 27, "{written}");
    assert_eq!(from_micros(at.timestamp_micros()), Some(at));
    let whole = parse_instant(&format_seconds(at)).expect("an instant");
    assert_eq!(whole.timestamp(), at.timestamp());
    assert!(whole <= at && at - whole < TimeDelta::seconds(1));
}

fn quantity(text: &str) {
    let Ok(quantity) = text.parse::<Quantity>() else { return };
    // As an hour has 3,600 million microseconds, a millionth of it has 3,600.
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let millionths: i64 = format!("{whole}{decimals:0<6}").parse().expect("digits");
    let exact = Quantity::hours(TimeDelta::microseconds(3_600 * millionths));
    assert_eq!(quantity, exact);
    assert!(quantity >= Quantity::ZERO);
    let half_up = (millionths + 5_000) / 10_000;
    assert_eq!(quantity.to_string(), format!("{}.{:02}", half_up / 100, half_up % 100));
}
