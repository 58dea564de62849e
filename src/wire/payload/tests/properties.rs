//! What holds for every message: nothing panics, spelling does not matter, values do.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Decoded, PHONE, RejectCode, UNIT, read};
use crate::domain::event::{EventKind, Reason, Sender};
use crate::domain::instant::{Instant, from_micros};
use crate::domain::refs::EventId;
use crate::wire::event_payload::{EventPayload, EventType, Method, PositionPayload};

/// A JSON value, apart from how it is spelt.
#[derive(Debug, Clone, PartialEq)]
enum Json {
    Null,
    Bool(bool),
    /// So many times ten to this power.
    Number(i64, i32),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        (any::<i64>(), Just(0)).prop_map(|(n, e)| Json::Number(n, e)),
        // As many digits as an f64 tells apart, and powers beyond what it holds.
        (-999_999_999_999_999_i64..=999_999_999_999_999, prop_oneof![-20..20, 350..400])
            .prop_map(|(n, e)| Json::Number(n, e)),
        any::<String>().prop_map(Json::Text),
        select(&["1", "null", "[]", "\"", "\\", "\u{1}", "a,b", "{\"a\":1}"][..])
            .prop_map(|s| Json::Text(s.to_owned())),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Json::Array),
            btree_map("[a-c]{0,2}|\\PC", inner, 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

/// Chooses spellings, the same ones from the same seed.
struct Spelling(u64);

impl Spelling {
    fn pick(&mut self, of: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % of
    }

    fn space(&mut self) -> &'static str {
        ["", "", " ", "\n", "\t ", "\r\n"][usize::try_from(self.pick(6)).unwrap()]
    }

    fn text(&mut self, text: &str) -> String {
        let mut out = String::from("\"");
        for c in text.chars() {
            let must = c < ' ' || c == '"' || c == '\\';
            if must || self.pick(3) == 0 {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let lower = format!("\\u{unit:04x}");
                    let upper = format!("\\u{unit:04X}");
                    out.push_str(if self.pick(2) == 0 { &lower } else { &upper });
                }
            } else {
                out.push(c);
            }
        }
        out + "\""
    }

    fn number(&mut self, n: i64, e: i32) -> String {
        let big_e = if self.pick(2) == 0 { "e" } else { "E" };
        let zeros = usize::try_from(self.pick(4)).unwrap();
        match self.pick(4) {
            0 if e == 0 => n.to_string(),
            1 => format!("{n}.{}{big_e}{e:+}", "0".repeat(zeros + 1)),
            2 => {
                let e = e - i32::try_from(zeros).unwrap();
                let zeros = if n == 0 { String::new() } else { "0".repeat(zeros) };
                format!("{n}{zeros}{big_e}{e}")
            }
            3 if n != 0 => {
                let sign = if n < 0 { "-" } else { "" };
                let digits = n.unsigned_abs().to_string();
                let e = e + i32::try_from(digits.len()).unwrap();
                format!("{sign}0.{digits}{big_e}{e}")
            }
            _ => format!("{n}{big_e}{e}"),
        }
    }

    fn object(&mut self, members: &[(String, Json)]) -> String {
        let mut members: Vec<_> = members.iter().collect();
        for last in (1..members.len()).rev() {
            let other = usize::try_from(self.pick(last as u64 + 1)).unwrap();
            members.swap(last, other);
        }
        let members: Vec<String> = members
            .into_iter()
            .map(|(name, value)| {
                let (name, value) = (self.text(name), self.value(value));
                format!("{}{name}{}:{value}", self.space(), self.space())
            })
            .collect();
        format!("{{{}{}}}", members.join(","), self.space())
    }

    fn value(&mut self, value: &Json) -> String {
        let text = match value {
            Json::Null => "null".to_owned(),
            Json::Bool(value) => value.to_string(),
            Json::Number(n, e) => self.number(*n, *e),
            Json::Text(text) => self.text(text),
            Json::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| self.value(item)).collect();
                format!("[{}{}]", self.space(), items.join(","))
            }
            Json::Object(members) => self.object(members),
        };
        format!("{}{text}{}", self.space(), self.space())
    }
}

/// The message as it is read; `None` if this spelling of it is too long.
fn usable(members: &[(String, Json)], spelling: u64) -> Option<Decoded> {
    match read(PHONE, Spelling(spelling).object(members)) {
        Ok(decoded) => Some(decoded),
        Err(rejection) => {
            assert_eq!(rejection.code, RejectCode::TooLarge, "{rejection}");
            None
        }
    }
}

/// A message that can be used, with fields that version 1 knows and others.
fn message(more: Vec<(String, Json)>) -> Vec<(String, Json)> {
    let text = |text: &str| Json::Text(text.to_owned());
    let mut members = vec![
        ("event_id".to_owned(), text("6e6f7468-0000-4000-8000-000000000001")),
        ("type".to_owned(), text("check_out")),
        ("occurred_at".to_owned(), text("2019-02-04T02:00:00Z")),
    ];
    members.extend(more);
    members
}

const OPTIONAL: &[&str] =
    &["client_ref", "visit_ref", "method", "position", "note", "tag", "seq", "x", "y"];

fn optional_fields() -> impl Strategy<Value = Vec<(String, Json)>> {
    btree_map(select(OPTIONAL), json(), 1..6)
        .prop_map(|fields| fields.into_iter().map(|(n, v)| (n.to_owned(), v)).collect())
}

/// The value with its numbers in one form, so that equal values are equal.
fn normal(value: &Json) -> Json {
    match value {
        Json::Number(0, _) => Json::Number(0, 0),
        Json::Number(n, e) if n % 10 == 0 => normal(&Json::Number(n / 10, e + 1)),
        Json::Array(items) => Json::Array(items.iter().map(normal).collect()),
        Json::Object(members) => {
            Json::Object(members.iter().map(|(name, v)| (name.clone(), normal(v))).collect())
        }
        other => other.clone(),
    }
}

/// With the value itself, or the first or last one so many levels inside it, replaced.
fn replaced(value: &Json, path: &[bool], by: &Json) -> Json {
    let at = |last: bool, count: usize| if last { count - 1 } else { 0 };
    match (path.split_first(), value.clone()) {
        (Some((last, path)), Json::Array(mut items)) if !items.is_empty() => {
            let at = at(*last, items.len());
            items[at] = replaced(&items[at], path, by);
            Json::Array(items)
        }
        (Some((last, path)), Json::Object(mut members)) if !members.is_empty() => {
            let at = at(*last, members.len());
            members[at].1 = replaced(&members[at].1, path, by);
            Json::Object(members)
        }
        _ => by.clone(),
    }
}

fn instant() -> impl Strategy<Value = Instant> {
    (0..4_000_000_000_000_000_i64).prop_map(|micros| from_micros(micros).unwrap())
}

fn reference<T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug>()
-> impl Strategy<Value = Option<T>> {
    option::of("[A-Za-z0-9._-]{1,64}".prop_map(|text| text.parse().unwrap()))
}

prop_compose! {
    fn positions()(
        lat in -90.0..=90.0, lon in -180.0..=180.0, accuracy_m in option::of(0.0..1e9),
    ) -> PositionPayload {
        PositionPayload { lat, lon, accuracy_m }
    }
}

prop_compose! {
    /// Payloads as a well-behaved device writes them.
    fn payloads()(
        (id, kind, occurred_at) in (any::<u128>(), select(EventType::ALL), instant()),
        (client_ref, visit_ref, tag) in (reference(), reference(), reference()),
        carer_ref in "[A-Za-z0-9._-]{1,64}",
        (method, position) in (option::of(select(Method::ALL)), option::of(positions())),
        (informal_carer, reason) in (any::<Option<bool>>(), select(Reason::ALL)),
        (note, sent_at) in (option::of("\\PC{0,500}"), option::of(instant())),
        seq in option::of(1..=super::super::SEQ_MAX),
    ) -> EventPayload {
        EventPayload {
            event_id: EventId(uuid::Uuid::from_u128(id)),
            carer_ref: Some(carer_ref.parse().unwrap()),
            client_ref, visit_ref, tag, method, position, informal_carer, note, sent_at, seq,
            reason: (kind == EventType::NotDelivered).then_some(reason),
            ..EventPayload::new(EventId(uuid::Uuid::nil()), kind, occurred_at)
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(topic: String, bytes in vec(any::<u8>(), 0..200)) {
        let _ = read(&topic, &bytes);
        let _ = read(PHONE, &bytes);
    }

    #[test]
    fn no_damage_makes_it_panic(
        topic in "nightrun/v1/(thurrock|\\PC{0,3})/(carer|device)/\\PC{0,3}/(event|status)",
        fields in optional_fields(),
        seed: u64,
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut: prop::sample::Index,
        whole: bool,
    ) {
        let mut bytes = Spelling(seed).object(&message(fields)).into_bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = read(&topic, &bytes);
        let _ = read(UNIT, &bytes);
    }

    #[test]
    fn spelling_does_not_matter(fields in optional_fields(), one: u64, other: u64) {
        let members = message(fields);
        let one = usable(&members, one);
        let other = usable(&members, other);
        // All of it: event, hash, and what was dropped.
        if let (Some(one), Some(other)) = (one, other) {
            prop_assert_eq!(one, other);
        }
    }

    #[test]
    fn values_matter(
        fields in optional_fields(),
        at: prop::sample::Index,
        value in json(),
        path in vec(any::<bool>(), 0..3),
        seed: u64,
    ) {
        let members = message(fields);
        let mut changed = members.clone();
        // The event's id is what it is found by; the rest of the required fields need their values.
        let at = 3 + at.index(members.len() - 3);
        changed[at].1 = replaced(&members[at].1, &path, &value);
        prop_assume!(normal(&changed[at].1) != normal(&members[at].1));
        let before = usable(&members, seed);
        let after = usable(&changed, seed);
        if let (Some(before), Some(after)) = (before, after) {
            prop_assert_ne!(before.content, after.content);
        }
    }

    #[test]
    fn when_it_was_sent_does_not_matter(fields in optional_fields(), sent in json(), seed: u64) {
        let members = message(fields);
        let mut resent = members.clone();
        resent.push(("sent_at".to_owned(), sent));
        let before = usable(&members, seed);
        let after = usable(&resent, seed);
        if let (Some(before), Some(after)) = (before, after) {
            prop_assert_eq!((before.event, before.content), (after.event, after.content));
        }
    }

    #[test]
    fn what_clients_of_our_own_write_is_read(payload in payloads()) {
        let bytes = serde_json::to_vec(&payload).unwrap();
        prop_assert_eq!(&serde_json::from_slice::<EventPayload>(&bytes).unwrap(), &payload);

        let decoded = read(UNIT, &bytes).unwrap();
        prop_assert_eq!(decoded.dropped, Vec::<String>::new());
        let event = decoded.event;
        let reason = match event.kind {
            EventKind::NotDelivered(reason) => Some(reason),
            EventKind::CheckIn | EventKind::CheckOut => None,
        };
        prop_assert_eq!(event.sender, Sender::Device("D-7".parse().unwrap()));
        prop_assert_eq!(
            (event.event_id, event.occurred_at, Some(event.carer_ref), reason),
            (payload.event_id, payload.occurred_at, payload.carer_ref, payload.reason)
        );
        prop_assert_eq!(
            (event.client_ref, event.visit_ref, event.tag, event.seq, event.informal_carer),
            (
                payload.client_ref, payload.visit_ref, payload.tag, payload.seq,
                payload.informal_carer.unwrap_or(false),
            )
        );
        prop_assert_eq!(
            event.position.map(|p| (p.at.lat, p.at.lon, p.accuracy_m)),
            payload.position.map(|p| (p.lat, p.lon, p.accuracy_m.unwrap_or(0.0)))
        );
    }
}
