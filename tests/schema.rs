//! The schemas and the `AsyncAPI` document in `docs/` are what the code makes; they say of payloads what
//! the code says; and what is in the protocol's page is true to them.
//!
//! `NIGHTRUN_WRITE_DOCS=1 cargo test --test schema` writes the files anew.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helpers as well")]

use std::collections::BTreeSet;
use std::path::Path;

use chrono::NaiveDate;
use nightrun::domain::alert::AlertKind;
use nightrun::domain::event::Reason;
use nightrun::domain::instant::{Instant, parse_instant};
use nightrun::domain::refs::{EventId, is_reference};
use nightrun::http::openapi;
use nightrun::wire::alert::AlertMessage;
use nightrun::wire::asyncapi;
use nightrun::wire::event_payload::{EventPayload, EventType, Method, PositionPayload};
use nightrun::wire::payload::{Decoded, decode};
use nightrun::wire::receipt::{Placed, Receipt};
use nightrun::wire::schema;
use nightrun::wire::status::{DaemonStatus, DeviceStatus};
use serde_json::{Value, json};

const PHONE: &str = "nightrun/v1/default/carer/amy/event";
const ID: &str = "6e6f7468-0000-4000-8000-000000000001";

fn docs(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

fn schema(name: &str) -> Value {
    let found = schema::all().into_iter().find(|(own, _)| *own == name);
    found.expect("there is one of that name").1
}

fn now() -> Instant {
    parse_instant("2026-11-22T23:31:04.5Z").expect("an instant")
}

/// Whether the value fits. Knows the keywords that our schemas use, and panics at any other.
fn fits(schema: &Value, value: &Value) -> bool {
    let schema = schema.as_object().expect("a schema");
    let is_whole = value.as_u64().is_some() || value.as_i64().is_some();
    let number = |keyword: &Value| keyword.as_f64().expect("a number");
    let conditional = schema.get("if").is_none_or(|condition| {
        let branch = if fits(condition, value) { "then" } else { "else" };
        schema.get(branch).is_none_or(|branch| fits(branch, value))
    });
    conditional
        && schema.iter().all(|(keyword, says)| match keyword.as_str() {
            "$schema" | "title" | "if" | "then" | "else" => true,
            "type" => {
                let is = |name: &Value| match name.as_str().expect("a type") {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "number" => value.is_number(),
                    "integer" => is_whole,
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("{other} is no type"),
                };
                says.as_array().map_or_else(|| is(says), |names| names.iter().any(is))
            }
            "anyOf" => says.as_array().expect("schemas").iter().any(|one| fits(one, value)),
            "enum" => says.as_array().expect("values").contains(value),
            "required" => {
                let names = says.as_array().expect("names").iter();
                let mut names = names.map(|name| name.as_str().expect("a name"));
                value.as_object().is_none_or(|object| names.all(|name| object.contains_key(name)))
            }
            "properties" => says
                .as_object()
                .expect("schemas")
                .iter()
                .all(|(name, schema)| value.get(name).is_none_or(|value| fits(schema, value))),
            "items" => value.as_array().is_none_or(|items| items.iter().all(|one| fits(says, one))),
            "minimum" => value.as_f64().is_none_or(|value| value >= number(says)),
            // Exact, where a float would not be.
            "maximum" => match (value.as_u64(), says.as_u64()) {
                (Some(value), Some(most)) => value <= most,
                _ => value.as_f64().is_none_or(|value| value <= number(says)),
            },
            "maxLength" => value.as_str().is_none_or(|text| {
                text.chars().count()
                    <= usize::try_from(says.as_u64().expect("whole")).expect("small")
            }),
            "format" => value.as_str().is_none_or(|text| match says.as_str() {
                Some("uuid") => text.parse::<EventId>().is_ok() && text.len() == 36,
                Some("date-time") => parse_instant(text).is_ok(),
                Some("date") => text.parse::<NaiveDate>().is_ok(),
                other => panic!("{other:?} is no format"),
            }),
            "pattern" => value.as_str().is_none_or(|text| match says.as_str() {
                Some("^[A-Za-z0-9._-]{1,64}$") => is_reference(text),
                Some("^[0-9a-f]{64}$") => {
                    text.len() == 64 && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
                }
                other => panic!("{other:?} is no pattern"),
            }),
            other => panic!("{other} is no keyword"),
        })
}

#[test]
fn the_files_are_what_the_code_makes() {
    let mut files: Vec<(String, Value)> = vec![
        ("asyncapi.json".to_owned(), asyncapi::document()),
        ("openapi.json".to_owned(), openapi::document()),
    ];
    for (name, schema) in schema::all() {
        files.push((format!("schema/{name}.json"), schema));
    }
    for (name, is) in files {
        let text = format!("{is:#}\n");
        if std::env::var_os("NIGHTRUN_WRITE_DOCS").is_some() {
            std::fs::create_dir_all(docs("schema")).expect("a folder");
            std::fs::write(docs(&name), &text).expect("written");
        }
        let file = std::fs::read_to_string(docs(&name)).unwrap_or_default();
        assert_eq!(file, text, "docs/{name}: NIGHTRUN_WRITE_DOCS=1 cargo test --test schema");
    }
}

fn read(payload: &Value) -> Option<Decoded> {
    decode(PHONE, payload.to_string().as_bytes(), now(), |_| true).ok()
}

/// An event with everything in it.
fn full() -> Value {
    json!({
        "event_id": ID, "type": "not_delivered", "occurred_at": "2026-11-22T23:31:04+00:00",
        "reason": "no_reply", "carer_ref": "amy", "client_ref": "C-1", "visit_ref": "V-1",
        "tag": "04A2", "position": {"lat": 51.4, "lon": -0.3, "accuracy_m": 12}, "method": "nfc",
        "informal_carer": false, "note": "x", "sent_at": "2026-11-22T23:31:05Z", "seq": 7,
    })
}

/// Changes of one field each: what fits is accepted whole, and what does not is rejected or dropped.
#[test]
fn the_schema_of_an_event_says_what_the_daemon_says() {
    let event = schema("event");
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(9_007_199_254_740_992_u64),
        json!(9_007_199_254_740_993_u64),
        json!(""),
        json!("amy"),
        json!("a b"),
        json!("x".repeat(64)),
        json!("x".repeat(65)),
        json!("é".repeat(500)),
        json!("é".repeat(501)),
        json!(ID),
        json!(ID.to_uppercase()),
        json!("check_in"),
        json!("check_out"),
        json!("left"),
        json!("no_reply"),
        json!("rain"),
        json!("nfc"),
        json!("2026-11-22T23:31:04Z"),
        json!("2026-11-22T23:31:04"),
        json!("1969-12-31T23:59:59Z"),
        json!("9999-12-31T23:59:59-01:00"),
        json!("2026-02-30T00:00:00Z"),
        json!([]),
        json!({}),
        json!({"lat": 90, "lon": 180}),
        json!({"lat": 90.1, "lon": 0}),
        json!({"lat": 0}),
        json!({"lat": 0, "lon": 0, "accuracy_m": -1}),
        json!({"lat": 0, "lon": 0, "accuracy_m": null}),
        json!({"lat": "0", "lon": 0}),
    ];
    let names = event["properties"].as_object().expect("fields").keys();
    let names: Vec<&str> = names.map(String::as_str).chain(["mood"]).collect();
    let (mut good, mut bad) = (0, 0);
    for kind in EventType::ALL {
        let mut whole = full();
        whole["type"] = json!(kind.as_str());
        if *kind != EventType::NotDelivered {
            whole.as_object_mut().expect("an object").remove("reason");
        }
        for name in &names {
            let mut changes = vec![whole.clone()];
            changes[0].as_object_mut().expect("an object").remove(*name);
            for value in &values {
                changes.push(whole.clone());
                changes.last_mut().expect("one")[*name] = value.clone();
            }
            for payload in changes {
                // A schema knows nothing of topics.
                if *name == "carer_ref" && payload["carer_ref"] != "amy" && read(&payload).is_none()
                {
                    continue;
                }
                let whole = read(&payload).is_some_and(|decoded| decoded.dropped.is_empty());
                assert_eq!(fits(&event, &payload), whole, "{payload}");
                *(if whole { &mut good } else { &mut bad }) += 1;
            }
        }
    }
    assert!(good > 300 && bad > 600, "{good} and {bad}");
}

#[test]
fn what_our_own_clients_write_fits() {
    let event = schema("event");
    for kind in EventType::ALL {
        for method in Method::ALL {
            for reason in Reason::ALL {
                let id: EventId = ID.parse().expect("an id");
                let mut payload = EventPayload::new(id, *kind, now());
                payload.method = Some(*method);
                payload.reason = (*kind == EventType::NotDelivered).then_some(*reason);
                let accuracy_m = Some(0.5);
                payload.position = Some(PositionPayload { lat: -90.0, lon: 180.0, accuracy_m });
                let written = serde_json::to_value(&payload).expect("JSON");
                assert!(fits(&event, &written), "{written}");
            }
        }
    }
}

/// Each fits, has no field that the schema does not know, and fits no more without any required one.
fn check_written(name: &str, written: &Value) {
    let schema = schema(name);
    assert!(fits(&schema, written), "{written}");
    let known: BTreeSet<_> = schema["properties"].as_object().expect("fields").keys().collect();
    for field in written.as_object().expect("an object").keys() {
        assert!(known.contains(field), "{field}");
    }
    for required in schema["required"].as_array().expect("names") {
        let mut less = written.clone();
        less.as_object_mut().expect("an object").remove(required.as_str().expect("a name"));
        assert!(!fits(&schema, &less), "{less}");
    }
}

#[test]
fn what_the_daemon_writes_fits() {
    let decoded = read(&full()).expect("it is an event");
    let visit = || "V-1".parse().expect("a reference");
    let mut receipts = vec![
        Receipt::accepted(&decoded, Placed::Planned(visit())),
        Receipt::accepted(&decoded, Placed::Unplaced),
        Receipt::duplicate(&decoded, now(), Placed::Unplanned(visit())),
        Receipt::rejected(&decoded.reused(), b"", now()),
    ];
    for payload in [&b""[..], b"{}", &[b' '; 9_000]] {
        let rejection = decode(PHONE, payload, now(), |_| true).expect_err("it is no event");
        receipts.push(Receipt::rejected(&rejection, payload, now()));
    }
    for receipt in receipts {
        check_written("receipt", &serde_json::to_value(receipt).expect("JSON"));
    }
    for kind in AlertKind::ALL {
        let id: EventId = ID.parse().expect("an id");
        let contract = "default".parse().expect("a reference");
        let night = now().date_naive();
        let mut alert = AlertMessage::open(id.0, contract, *kind, night, now(), "x".to_owned());
        check_written("alert", &serde_json::to_value(&alert).expect("JSON"));
        alert.visit_ref = Some(visit());
        alert.present = Some(1);
        alert.planned_start = Some(now());
        check_written("alert", &serde_json::to_value(&alert).expect("JSON"));
    }
    for status in [DeviceStatus::Online, DeviceStatus::Offline] {
        check_written("device-status", &serde_json::to_value(status).expect("JSON"));
    }
    for status in [DaemonStatus::Online { since: now() }, DaemonStatus::Offline] {
        check_written("daemon-status", &serde_json::to_value(status).expect("JSON"));
    }
    assert!(!fits(&schema("daemon-status"), &json!({"state": "online"})));
}

/// The names in the first column of the table that comes after a heading.
fn table(page: &str, heading: &str) -> BTreeSet<String> {
    let (_, after) = page.split_once(&format!("\n{heading}\n")).expect("the heading is there");
    let rows = after.lines().skip_while(|line| !line.starts_with('|'));
    rows.take_while(|line| line.starts_with('|'))
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split(',').filter_map(|name| name.trim().strip_prefix('`')))
        .filter_map(|name| name.strip_suffix('`').map(ToOwned::to_owned))
        .collect()
}

#[test]
fn the_page_has_every_field_and_topic() {
    let page = std::fs::read_to_string(docs("protocol.md")).expect("the page");
    for (heading, name) in
        [("## Events", "event"), ("## Receipts", "receipt"), ("## Alerts", "alert")]
    {
        let fields = schema(name)["properties"].as_object().expect("fields").clone();
        let fields: BTreeSet<String> = fields.into_iter().map(|(name, _)| name).collect();
        assert_eq!(table(&page, heading), fields, "{heading}");
    }
    let channels = asyncapi::document()["channels"].as_object().expect("channels").clone();
    let mut topics: BTreeSet<String> = channels
        .values()
        .map(|channel| channel["address"].as_str().expect("text").to_owned())
        .collect();
    assert_eq!(topics.len(), 7);
    // The daemon's own affair.
    topics.insert("nightrun/v1/daemon/{client_id}/marker".to_owned());
    assert_eq!(table(&page, "## Topics"), topics);
}

/// Every JSON example of the page fits one of the schemas.
#[test]
fn the_examples_of_the_page_fit() {
    let page = std::fs::read_to_string(docs("protocol.md")).expect("the page");
    let mut examples = 0;
    for block in page.split("```json\n").skip(1) {
        let block = block.split("```").next().expect("its end");
        for example in serde_json::Deserializer::from_str(block).into_iter::<Value>() {
            let example = example.expect("JSON");
            let name = match () {
                () if example.get("alert_id").is_some() => "alert",
                () if example.get("received_at").is_some() => "receipt",
                () if example.get("state").is_some() => "daemon-status",
                () => "event",
            };
            if name != "daemon-status" || example.get("since").is_some() {
                assert!(fits(&schema(name), &example), "{example}");
            }
            assert!(
                name != "daemon-status" || fits(&schema("device-status"), &example),
                "{example}"
            );
            examples += 1;
        }
    }
    assert!(examples >= 10, "{examples}");
}
