//! What cannot be used: each message is answered, kept and counted (R7), and the daemon goes on.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use nightrun::clock;
use serde_json::{Value, json};

use crate::support::Mosquitto;
use crate::support::daemon::{Installation, text};
use crate::support::engine::{Engine, on_both_engines};

const ANN: &str = "default/carer/ann";

fn id(number: u32) -> String {
    format!("6e6f7468-0000-4000-8000-{number:012}")
}

/// A check-in, changed by these fields.
fn event(number: u32, changes: &Value) -> String {
    let mut event = json!({
        "event_id": id(number), "type": "check_in", "client_ref": "client-1",
        "occurred_at": "2019-02-04T02:00:00Z",
    });
    for (name, value) in changes.as_object().expect("an object") {
        event[name] = value.clone();
    }
    event.to_string()
}

/// An event of so many bytes.
fn long(number: u32, bytes: usize) -> String {
    let bare = event(number, &json!({"x": ""})).len();
    event(number, &json!({"x": "y".repeat(bytes - bare)}))
}

/// Who sends what, and what the receipt says: its code, or of an accepted one what was dropped.
type Case = (&'static str, &'static str, String, Result<&'static [&'static str], &'static str>);

fn cases() -> Vec<Case> {
    let position = |number: u32, position: &str| {
        let event = event(number, &json!({}));
        let event = event.strip_suffix('}').expect("an object");
        format!("{event},\"position\":{position}}}")
    };
    vec![
        ("nothing", ANN, String::new(), Err("bad_json")),
        ("half of it", ANN, event(1, &json!({}))[..40].to_owned(), Err("bad_json")),
        ("no object", ANN, "[1]".to_owned(), Err("bad_json")),
        ("another sender", ANN, event(2, &json!({"carer_ref": "ben"})), Err("wrong_sender")),
        ("8 KiB and a byte", ANN, long(3, 8193), Err("too_large")),
        ("8 KiB", ANN, long(4, 8192), Ok(&[])),
        ("the id again", ANN, event(4, &json!({})), Err("event_id_reused")),
        ("nobody's contract", "nowhere/carer/ann", event(5, &json!({})), Err("unknown_contract")),
        ("NaN", ANN, position(6, r#"{"lat":NaN,"lon":0.3}"#), Err("bad_json")),
        ("NaN as text", ANN, position(7, r#"{"lat":"NaN","lon":0.3}"#), Ok(&["position"])),
        ("beyond any number", ANN, position(8, r#"{"lat":1e999,"lon":0}"#), Ok(&["position"])),
        ("beyond the pole", ANN, position(9, r#"{"lat":90.1,"lon":0.3}"#), Ok(&["position"])),
        ("beyond the date line", ANN, position(10, r#"{"lat":0,"lon":-181}"#), Ok(&["position"])),
        (
            "a bad accuracy",
            ANN,
            position(11, r#"{"lat":51.5,"lon":0.3,"accuracy_m":-1}"#),
            Ok(&["position.accuracy_m"]),
        ),
        (
            "the year 0",
            ANN,
            event(12, &json!({"occurred_at": "0000-01-01T00:00:00Z"})),
            Err("bad_field"),
        ),
        (
            "the year 10000",
            ANN,
            event(13, &json!({"occurred_at": "10000-01-01T00:00:00Z"})),
            Err("bad_field"),
        ),
        (
            "no such day",
            ANN,
            event(14, &json!({"occurred_at": "2019-02-30T02:00:00Z"})),
            Err("bad_field"),
        ),
        (
            "no offset",
            ANN,
            event(15, &json!({"occurred_at": "2019-02-04T02:00:00"})),
            Err("bad_field"),
        ),
        ("no id", ANN, event(16, &json!({"event_id": "16"})), Err("bad_field")),
        ("no such type", ANN, event(17, &json!({"type": "left"})), Err("bad_field")),
        ("no reason", ANN, event(18, &json!({"type": "not_delivered"})), Err("bad_field")),
        (
            "a bad reason",
            ANN,
            event(19, &json!({"type": "not_delivered", "reason": "rain"})),
            Err("bad_field"),
        ),
        (
            "a unit that names no carer",
            "default/device/unit-1",
            event(20, &json!({})),
            Err("bad_field"),
        ),
        ("no carer at all", "default/carer/a b", event(21, &json!({})), Err("wrong_sender")),
        (
            "bad everything that may be left out",
            ANN,
            event(
                22,
                &json!({
                    "client_ref": "", "visit_ref": 7, "method": "telepathy", "position": "here",
                    "informal_carer": "yes", "reason": "refused", "note": "n".repeat(501), "tag": "a b",
                    "sent_at": "now", "seq": 0,
                }),
            ),
            Ok(&[
                "client_ref",
                "visit_ref",
                "method",
                "position",
                "informal_carer",
                "reason",
                "note",
                "tag",
                "sent_at",
                "seq",
            ]),
        ),
        ("a field that nobody knows", ANN, event(23, &json!({"mood": "good"})), Ok(&[])),
    ]
}

async fn nonsense_is_answered_kept_and_counted(installation: &Installation) {
    let daemon = installation.start().await;
    let mut phone = installation.sender().await;
    let mut codes: BTreeMap<&str, i64> = BTreeMap::new();
    // Twice, so that all is counted and nothing is kept twice.
    for again in [false, true] {
        for (what, from, payload, expected) in cases() {
            let receipt = phone.ask(from, payload.clone()).await;
            match expected {
                Ok(dropped) => {
                    let status = if again { "duplicate" } else { "accepted" };
                    assert_eq!(receipt["status"], status, "{what}: {receipt}");
                    assert_eq!(receipt["dropped"], json!(dropped), "{what}");
                }
                Err(code) => {
                    *codes.entry(code).or_default() += 1;
                    let is = (&receipt["status"], &receipt["code"]);
                    assert_eq!(is, (&json!("rejected"), &json!(code)), "{what}: {receipt}");
                    let detail = receipt["detail"].as_str().expect("text");
                    assert!(!detail.is_empty() && !detail.contains("ben"), "{what}: {detail}");
                }
            }
            let known = payload.contains("6e6f7468-0000") && receipt["code"] != "bad_json";
            assert_eq!(receipt["event_id"].is_null(), !known, "{what}: {receipt}");
            assert_eq!(receipt["payload_sha256"].is_null(), known, "{what}: {receipt}");
        }
    }
    let kept = "SELECT code || ' ' || sum(times) FROM rejected GROUP BY code ORDER BY code";
    let expected: Vec<_> = codes.iter().map(|(code, times)| format!("{code} {times}")).collect();
    assert_eq!(installation.texts(kept).await, expected);
    assert_eq!(installation.number("SELECT count(*) FROM rejected WHERE times <> 2").await, 0);
    let whole =
        "SELECT count(*) FROM rejected WHERE code = 'too_large' AND length(payload) >= 8192";
    assert_eq!(installation.number(whole).await, 1);
    let good = event(99, &json!({"occurred_at": text(clock::now() - TimeDelta::minutes(1))}));
    assert_eq!(phone.ask(ANN, good).await["status"], "accepted");
    daemon.terminate().await;
}

on_both_engines!(nonsense_through_mosquitto);
async fn nonsense_through_mosquitto(engine: Engine) {
    nonsense_is_answered_kept_and_counted(&Installation::at(&Mosquitto::start(&[])).on(engine))
        .await;
}

on_both_engines!(nonsense_through_the_embedded_broker);
async fn nonsense_through_the_embedded_broker(engine: Engine) {
    nonsense_is_answered_kept_and_counted(&Installation::embedded().on(engine)).await;
}

const JUNK: u32 = 10_000;

/// Every second message is the same as the one before.
async fn junk_is_answered_kept_and_counted(installation: &Installation) {
    let daemon = installation.start().await;
    let mut phone = installation.sender().await;
    for number in 0..JUNK {
        phone.send("default/carer/junk", format!("junk {}", number / 2));
    }
    let mut answered: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..JUNK {
        let (_, receipt) = phone.receipt().await;
        assert_eq!(receipt["code"], "bad_json");
        let hash = receipt["payload_sha256"].as_str().expect("text").to_owned();
        *answered.entry(hash).or_default() += 1;
    }
    assert!(answered.values().all(|times| *times == 2));
    let half = i64::from(JUNK / 2);
    assert_eq!(i64::try_from(answered.len()).expect("small"), half);
    assert_eq!(installation.number("SELECT count(*) FROM rejected").await, half);
    assert_eq!(installation.number("SELECT sum(times) FROM rejected").await, half * 2);
    let good = event(99, &json!({"occurred_at": text(clock::now() - TimeDelta::minutes(1))}));
    assert_eq!(phone.ask(ANN, good).await["status"], "accepted");
    daemon.terminate().await;
}

// One phone's messages are one batch only behind another broker.
on_both_engines!(ten_thousand_junk_messages_through_mosquitto);
async fn ten_thousand_junk_messages_through_mosquitto(engine: Engine) {
    junk_is_answered_kept_and_counted(&Installation::at(&Mosquitto::start(&[])).on(engine)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_junk_messages_through_the_embedded_broker() {
    junk_is_answered_kept_and_counted(&Installation::embedded()).await;
}
