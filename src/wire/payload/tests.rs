//! What is read, what is dropped, what is refused: tables of messages.

use super::*;

mod properties;

pub(super) const PHONE: &str = "nightrun/v1/thurrock/carer/C-7/event";
pub(super) const UNIT: &str = "nightrun/v1/thurrock/device/D-7/event";
const ID: &str = "6e6f7468-0000-4000-8000-000000000001";

fn received_at() -> Instant {
    parse_instant("2019-02-04T02:00:30Z").unwrap()
}

pub(super) fn read(topic: &str, payload: impl AsRef<[u8]>) -> Result<Decoded, Rejection> {
    decode(topic, payload.as_ref(), received_at(), |contract| contract.as_str() == "thurrock")
}

/// A check-in with these fields besides.
fn check_in(more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    format!(
        r#"{{"event_id":"{ID}","type":"check_in","occurred_at":"2019-02-04T02:00:00Z"{comma}{more}}}"#
    )
}

#[test]
fn an_event_with_everything() {
    let payload = r#"{
        "event_id": "6E6F7468-0000-4000-8000-000000000001", "type": "not_delivered",
        "occurred_at": "2019-02-04T03:00:00+01:00", "client_ref": "K-1", "visit_ref": "V-1",
        "carer_ref": "C-9", "method": "telecare",
        "position": {"lat": 51.48, "lon": 0.32, "accuracy_m": 12},
        "informal_carer": true, "reason": "no_reply", "note": "no lights", "tag": "T-1",
        "sent_at": "2019-02-04T02:00:29Z", "seq": 7, "device_ref": "D-8", "firmware": [1e999]
    }"#;
    let decoded = read(UNIT, payload).unwrap();
    assert_eq!(
        decoded.event,
        Event {
            contract: "thurrock".parse().unwrap(),
            event_id: ID.parse().unwrap(),
            sender: Sender::Device("D-7".parse().unwrap()),
            kind: EventKind::NotDelivered(Reason::NoReply),
            carer_ref: "C-9".parse().unwrap(),
            occurred_at: parse_instant("2019-02-04T02:00:00Z").unwrap(),
            received_at: received_at(),
            client_ref: Some("K-1".parse().unwrap()),
            visit_ref: Some("V-1".parse().unwrap()),
            tag: Some("T-1".parse().unwrap()),
            position: Some(Position { at: LatLon { lat: 51.48, lon: 0.32 }, accuracy_m: 12.0 }),
            informal_carer: true,
            seq: Some(7),
        }
    );
    assert_eq!(decoded.dropped, Vec::<String>::new());
}

#[test]
fn an_event_with_nothing_but_what_it_needs() {
    let event = read(PHONE, check_in("")).unwrap().event;
    assert_eq!(event.carer_ref.as_str(), "C-7");
    assert_eq!((event.client_ref, event.visit_ref, event.tag), (None, None, None));
    assert_eq!((event.position, event.informal_carer, event.seq), (None, false, None));
}

#[test]
fn a_bad_value_costs_its_field_only() {
    let long = |chars: usize| format!(r#""note":"{}""#, "é".repeat(chars));
    let (longest, too_long) = (long(NOTE_MAX_CHARS), long(NOTE_MAX_CHARS + 1));
    for (fields, dropped) in [
        (r#""client_ref":"K 1""#, &["client_ref"][..]),
        (r#""client_ref":"""#, &["client_ref"]),
        (r#""client_ref":7"#, &["client_ref"]),
        (r#""client_ref":null"#, &[]),
        (r#""visit_ref":{"a":1e999}"#, &["visit_ref"]),
        (r#""visit_ref":"\ud800""#, &["visit_ref"]),
        (r#""tag":["T-1"]"#, &["tag"]),
        (r#""method":"carrier_pigeon""#, &["method"]),
        (r#""method":"qr""#, &[]),
        (r#""informal_carer":"true""#, &["informal_carer"]),
        (r#""informal_carer":1"#, &["informal_carer"]),
        (&longest, &[]),
        (&too_long, &["note"]),
        (r#""note":7"#, &["note"]),
        (r#""note":"""#, &[]),
        (r#""sent_at":"yesterday""#, &["sent_at"]),
        (r#""sent_at":1549245600"#, &["sent_at"]),
        (r#""reason":"no_reply""#, &["reason"]),
        (r#""reason":1e999"#, &["reason"]),
        (r#""seq":0"#, &["seq"]),
        (r#""seq":-1"#, &["seq"]),
        (r#""seq":1.5"#, &["seq"]),
        (r#""seq":"1""#, &["seq"]),
        (r#""seq":1e999"#, &["seq"]),
        (r#""seq":9007199254740993"#, &["seq"]),
        (r#""seq":9007199254740992"#, &[]),
        (r#""seq":1.0e0"#, &[]),
        (r#""tag":"","method":0,"client_ref":"""#, &["client_ref", "method", "tag"]),
        (r#""device_ref":"D 9","unknown":"\udfff""#, &[]),
        (r#""\ud800":1"#, &[]),
        (r#""seq":0,"seq":1"#, &[]),
        (r#""seq":1,"seq":0"#, &["seq"]),
    ] {
        let decoded = read(PHONE, check_in(fields)).unwrap();
        assert_eq!(decoded.dropped, dropped, "{fields}");
    }
}

#[test]
fn positions() {
    const BAD: &[&str] = &["position"];
    const ACCURACY: &[&str] = &["position.accuracy_m"];
    for (position, read_as, dropped) in [
        (r#"{"lat":51.48,"lon":0.32}"#, Some((51.48, 0.32, 0.0)), &[][..]),
        (r#"{"lat":-90,"lon":180.0,"accuracy_m":0}"#, Some((-90.0, 180.0, 0.0)), &[]),
        (r#"{"lat":1,"lon":2,"accuracy_m":null,"alt":1e999}"#, Some((1.0, 2.0, 0.0)), &[]),
        (r#"{"lat":1,"lon":2,"accuracy_m":-1}"#, Some((1.0, 2.0, 0.0)), ACCURACY),
        (r#"{"lat":1,"lon":2,"accuracy_m":1e999}"#, Some((1.0, 2.0, 0.0)), ACCURACY),
        (r#"{"lat":1,"lon":2,"accuracy_m":"NaN"}"#, Some((1.0, 2.0, 0.0)), ACCURACY),
        (r#"{"lat":1,"lon":2,"accuracy_m":[5]}"#, Some((1.0, 2.0, 0.0)), ACCURACY),
        (r#"{"lat":90.0000001,"lon":2,"accuracy_m":-1}"#, None, BAD),
        (r#"{"lat":1,"lon":-180.5}"#, None, BAD),
        (r#"{"lat":"1","lon":2}"#, None, BAD),
        (r#"{"lat":1e999,"lon":2}"#, None, BAD),
        (r#"{"lat":null,"lon":2}"#, None, BAD),
        (r#"{"lon":2}"#, None, BAD),
        ("{}", None, BAD),
        ("[51.48,0.32]", None, BAD),
        ("true", None, BAD),
        ("null", None, &[]),
    ] {
        let decoded = read(PHONE, check_in(&format!(r#""position":{position}"#))).unwrap();
        let got = decoded.event.position.map(|p| (p.at.lat, p.at.lon, p.accuracy_m));
        assert_eq!(got, read_as, "{position}");
        assert_eq!(decoded.dropped, dropped, "{position}");
    }
}

#[test]
fn bad_fields_are_named_with_what_would_be_right() {
    let with = |field: &str, value: &str| {
        let mut fields = vec![
            ("event_id", format!("\"{ID}\"")),
            ("type", "\"not_delivered\"".to_owned()),
            ("occurred_at", "\"2019-02-04T02:00:00Z\"".to_owned()),
            ("carer_ref", "\"C-9\"".to_owned()),
            ("reason", "\"other\"".to_owned()),
        ];
        fields.retain(|(name, _)| *name != field);
        if !value.is_empty() {
            fields.push((field, value.to_owned()));
        }
        let members: Vec<String> =
            fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert!(read(UNIT, with("seq", "1")).is_ok());
    for (field, value, detail) in [
        ("event_id", "", "event_id: needs a UUID"),
        ("event_id", "null", "event_id: needs a UUID"),
        ("event_id", "\"Mrs Smith\"", "event_id: needs a UUID"),
        ("type", "", "type: needs one of check_in, check_out, not_delivered"),
        ("type", "\"CHECK_IN\"", "type: needs one of check_in, check_out, not_delivered"),
        ("type", "1e999", "type: needs one of check_in, check_out, not_delivered"),
        ("occurred_at", "", "occurred_at: needs an instant"),
        ("occurred_at", "1549245600", "occurred_at: needs an instant"),
        ("occurred_at", "\"2019-02-04T02:00:00\"", "occurred_at: not an instant: write it as"),
        ("occurred_at", "\"1919-02-04T02:00:00Z\"", "occurred_at: the year is not between"),
        ("carer_ref", "", "carer_ref: a device needs to say which carer it was"),
        ("carer_ref", "null", "carer_ref: a device needs to say which carer it was"),
        ("carer_ref", "\"\"", "carer_ref: a reference is 1 to 64"),
        ("carer_ref", "[]", "carer_ref: a reference is 1 to 64"),
        ("reason", "", "reason: what was not delivered needs one of no_reply, client_absent,"),
        ("reason", "\"tired\"", "reason: what was not delivered needs one of no_reply,"),
    ] {
        let rejection = read(UNIT, with(field, value)).unwrap_err();
        assert_eq!(rejection.code, RejectCode::BadField, "{field} {value}");
        assert!(rejection.detail.starts_with(detail), "{field} {value}: {}", rejection.detail);
        assert!(!rejection.detail.contains(';'), "only that is wrong: {}", rejection.detail);
        assert_eq!(rejection.event_id.is_none(), field == "event_id");
        assert_eq!(rejection.contract.unwrap().as_str(), "thurrock");
    }

    let all = read(PHONE, r#"{"carer_ref":"C 7"}"#).unwrap_err().detail;
    let named: Vec<&str> = all.split("; ").filter_map(|d| Some(d.split_once(':')?.0)).collect();
    assert_eq!(named, ["event_id", "type", "occurred_at", "carer_ref"]);
}

#[test]
fn the_first_that_is_wrong_is_the_reason() {
    let long = |base: &str| format!("{base}{}", " ".repeat(PAYLOAD_MAX_BYTES + 1 - base.len()));
    let good = check_in(r#""seq":3"#);
    let (too_long, broken) = (long(&good), long("{"));
    let exact = &too_long[..PAYLOAD_MAX_BYTES];
    let other = check_in(r#""carer_ref":"C-8""#);
    let foreign = "nightrun/v1/thurrock/alert/late";
    let status = "nightrun/v1/thurrock/device/D-7/status";
    for (topic, payload, code, id) in [
        (PHONE, good.as_str(), None, true),
        (PHONE, exact, None, true),
        (PHONE, &too_long, Some(RejectCode::TooLarge), true),
        (PHONE, &broken, Some(RejectCode::TooLarge), false),
        ("nightrun/v1/x/carer/C-7/event", &broken, Some(RejectCode::TooLarge), false),
        (PHONE, "[]", Some(RejectCode::BadJson), false),
        ("nightrun/v1/x/carer/C-7/event", "[]", Some(RejectCode::BadJson), false),
        ("nightrun/v1/x/carer/C-8/event", &other, Some(RejectCode::UnknownContract), true),
        ("nightrun/v1/x/carer/ /event", "{}", Some(RejectCode::UnknownContract), false),
        ("nightrun/v1/ /carer/C-7/event", &good, Some(RejectCode::UnknownContract), true),
        ("nightrun/v1/ /carer/ /event", &good, Some(RejectCode::UnknownContract), true),
        (foreign, &good, Some(RejectCode::UnknownContract), true),
        (status, &good, Some(RejectCode::UnknownContract), true),
        ("nightrun/v1/thurrock/carer/ /event", "{}", Some(RejectCode::WrongSender), false),
        ("nightrun/v1/thurrock/device//event", &good, Some(RejectCode::WrongSender), true),
        (PHONE, &other, Some(RejectCode::WrongSender), true),
        (PHONE, r#"{"carer_ref":"C-8"}"#, Some(RejectCode::WrongSender), false),
        (PHONE, r#"{"carer_ref":"c-7"}"#, Some(RejectCode::WrongSender), false),
        (UNIT, &other, None, true),
        (UNIT, &good, Some(RejectCode::BadField), true),
        (PHONE, r#"{"carer_ref":7}"#, Some(RejectCode::BadField), false),
    ] {
        let got = read(topic, payload);
        assert_eq!(got.as_ref().err().map(|r| r.code), code, "{topic} {payload:.90}");
        let got = got.map_or_else(|r| r.event_id, |d| Some(d.event.event_id));
        assert_eq!(got.is_some(), id, "{topic} {payload:.90}");
    }
}

#[test]
fn a_rejection_keeps_what_could_be_read() {
    for (topic, contract, sender) in [
        ("nightrun/v1/x/carer/C-7/event", Some("x"), true),
        ("nightrun/v1/ /carer/C-7/event", None, true),
        ("nightrun/v1/thurrock/carer/ /event", Some("thurrock"), false),
        ("elsewhere", None, false),
    ] {
        let rejection = read(topic, check_in(r#""seq":3"#)).unwrap_err();
        assert_eq!(rejection.contract.as_ref().map(ContractId::as_str), contract, "{topic}");
        assert_eq!(rejection.sender.is_some(), sender, "{topic}");
        assert_eq!(rejection.seq, Some(3));
    }
    let reused = read(PHONE, check_in(r#""seq":3"#)).unwrap().reused();
    assert_eq!((reused.code, reused.seq), (RejectCode::EventIdReused, Some(3)));
}

#[test]
fn what_is_the_same_content() {
    let content = |fields: &str| read(PHONE, check_in(fields)).unwrap().content;
    let same = |a: &str, b: &str| content(a) == content(b);
    assert!(same("", r#""sent_at":"2019-02-04T02:00:00Z""#));
    assert!(same(r#""sent_at":1"#, r#""sent_at":"x""#), "even when it is dropped");
    assert!(same(r#""seq":1,"tag":"T""#, r#" "tag" : "\u0054" , "seq" : 1.0"#));
    assert!(same(r#""x":{"b":[1e2],"a":0}"#, r#""x":{"a":-0,"b":[100]}"#));
    assert!(same(r#""x":1e999"#, r#""x" : 10e998"#));
    assert!(same(r#""x":1,"x":2"#, r#""x":2"#), "the last of two counts");
    assert!(!same("", r#""note":null"#), "null is a value");
    assert!(!same("", r#""unknown":1"#));
    assert!(!same(r#""x":1"#, r#""x":"1""#));
    assert!(!same(r#""x":[1,2]"#, r#""x":[2,1]"#));
    assert!(!same(r#""x":9007199254740992"#, r#""x":9007199254740993"#));
    assert!(!same(r#""x":1e999"#, r#""x":1e998"#));
    assert!(!same("", r#""carer_ref":"C-7""#), "though it says nothing new");
    assert!(!same(r#""x":{"sent_at":1}"#, r#""x":{"sent_at":2}"#), "only the message's own");

    let payload = check_in(r#""carer_ref":"C-7""#);
    assert_ne!(read(PHONE, &payload).unwrap().content, read(UNIT, &payload).unwrap().content);
    let other_id = payload.replace("000000000001", "000000000002");
    assert_eq!(read(PHONE, &payload).unwrap().content, read(PHONE, other_id).unwrap().content);
}

#[test]
fn the_hash_is_part_of_what_is_stored_and_never_changes() {
    let decoded = read(PHONE, check_in(r#""position":{"lon":0.32,"lat":51.48}"#)).unwrap();
    let text = r#"["nightrun/v1/thurrock/carer/C-7/event",{"occurred_at":"2019-02-04T02:00:00Z","position":{"lat":5.148e1,"lon":3.2e-1},"type":"check_in"}]"#;
    assert_eq!(decoded.content, <[u8; 32]>::from(Sha256::digest(text)));
}

#[test]
fn event_ids_in_every_form_that_uuids_have() {
    for id in [
        "6e6f7468-0000-4000-8000-000000000001",
        "6E6F7468-0000-4000-8000-000000000001",
        "6e6f7468000040008000000000000001",
        "{6e6f7468-0000-4000-8000-000000000001}",
        "urn:uuid:6e6f7468-0000-4000-8000-000000000001",
    ] {
        let decoded = read(PHONE, check_in("").replace(ID, id)).unwrap();
        assert_eq!(decoded.event.event_id.to_string(), ID, "{id}");
    }
}

#[test]
fn deep_nesting_costs_no_stack() {
    let most = (PAYLOAD_MAX_BYTES - check_in(r#""x":"#).len()) / 2;
    for (open, close) in [("[", "]"), (r#"{"":"#, "}")] {
        let depth = most * 2 / (open.len() + close.len()) - 2;
        let x = format!(r#""x":{}1{}"#, open.repeat(depth), close.repeat(depth));
        assert!(read(PHONE, check_in(&x)).is_ok());
    }
}

#[test]
fn details_repeat_nothing_of_what_came() {
    for payload in [
        r#"{"event_id":"Smith","type":"Smith","occurred_at":"Smith","carer_ref":"Mrs Smith"}"#,
        r#"["Smith"]"#,
        r#""Smith""#,
        r#"{"Smith"}"#,
        r#"{"carer_ref":"Smith"}"#,
    ] {
        let rejection = read(PHONE, payload).unwrap_err();
        assert!(!rejection.detail.contains("Smith"), "{}", rejection.detail);
    }
}
