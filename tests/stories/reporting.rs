//! The report of a hostile night is that of its replay, and says the same when it is asked again.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::daemon::{Installation, VISITS, ago, by_line, csv, text};
use crate::support::engine::{Engine, on_both_engines};

const CLIENTS: &str = "contract,client_ref,lat,lon,fence_m";
const DEVICES: &str = "contract,device_ref,client_ref";
const TAGS: &str = "contract,tag,client_ref";
const SUSPENSIONS: &str = "contract,client_ref,from,to,reason,notified_at";
const PLAN: &str = "carers,time_specific,quantity,cancelled_at,cancelled_by,cancel_reason";

struct Event {
    from: &'static str,
    payload: Value,
}

/// What a phone said about something so many minutes ago.
fn event(from: &'static str, kind: &str, minutes_ago: i64, fields: &Value) -> Event {
    let mut payload = json!({
        "event_id": uuid::Uuid::new_v4().to_string(), "type": kind,
        "occurred_at": text(ago(minutes_ago * 60)),
    });
    for (name, value) in fields.as_object().expect("an object") {
        payload[name] = value.clone();
    }
    Event { from, payload }
}

/// Everything lies more than three hours back, so that nothing changes while the test runs.
fn plan() -> Vec<String> {
    let row = |name: &str, client: &str, minutes_ago: i64, rest: &str| {
        let start = ago(minutes_ago * 60);
        let (start, end) = (text(start), text(start + TimeDelta::minutes(30)));
        format!(
            "default,{name},\"Night care, waking\",Standard,{client},run-1,{start},{end},{rest}"
        )
    };
    let cancelled = text(ago(700 * 60));
    vec![
        row("V-both", "c-1", 420, "2,ann;ben,false,,,,"),
        row("V-informal", "c-2", 420, "2,ann,false,1.5,,,"),
        row("V-refused", "c-3", 420, "1,,false,,,,"),
        row("V-reopened", "c-4", 420, "1,,true,,,,"),
        row("V-short", "c-5", 400, "2,,false,,,,"),
        row("V-missed", "c-6", 400, "1,,false,,,,"),
        row("V-cancelled", "c-7", 400, &format!("1,,false,,{cancelled},client,=1+1")),
        row("V-void", "c-8", 400, &format!("1,,false,,{cancelled},error,")),
        row("V-suspended", "c-9", 400, "1,,false,,,,"),
        row("V-first", "c-10", 440, "1,,false,,,,"),
        row("V-second", "c-10", 330, "1,,false,,,,"),
        row("V-unit", "c-11", 350, "1,,false,,,,"),
        row("V-tag", "c-12", 350, "1,dan,false,,,,"),
        row("V-place", "c-13", 350, "1,,false,,,,"),
        row("V-gap", "c-14", 350, "1,,false,,,,"),
    ]
}

const ANN: &str = "default/carer/ann";
const BEN: &str = "default/carer/ben";
const CYD: &str = "default/carer/cyd";
const DAN: &str = "default/carer/dan";

fn events() -> Vec<Event> {
    let place = |lat: f64| json!({"position": {"lat": lat, "lon": 0.3, "accuracy_m": 20.0}});
    let visit = |name: &str| json!({"visit_ref": name});
    let client = |name: &str| json!({"client_ref": name});
    let because = |mut fields: Value, reason: &str| {
        fields["reason"] = json!(reason);
        fields
    };
    let far = json!({"client_ref": "c-14", "position": {"lat": 51.9, "lon": 0.3}, "method": "gps"});
    vec![
        event(ANN, "check_in", 423, &client("c-1")),
        event(ANN, "check_in", 421, &visit("V-both")),
        event(BEN, "check_in", 402, &visit("V-both")),
        event(ANN, "check_out", 385, &client("c-1")),
        event(BEN, "check_out", 384, &client("c-1")),
        event(CYD, "check_in", 418, &json!({"visit_ref": "V-informal", "informal_carer": true})),
        event(CYD, "check_out", 395, &client("c-2")),
        event(DAN, "not_delivered", 419, &because(visit("V-refused"), "refused")),
        event(DAN, "not_delivered", 418, &because(client("c-4"), "no_reply")),
        event(DAN, "check_in", 404, &client("c-4")),
        event(DAN, "check_out", 380, &client("c-4")),
        event(ANN, "check_in", 370, &visit("V-short")),
        event(ANN, "check_out", 360, &visit("V-short")),
        event(BEN, "check_in", 399, &client("c-7")),
        event(BEN, "check_out", 390, &client("c-7")),
        // An attendance that names a visit belongs there, however far away.
        event(CYD, "check_in", 335, &visit("V-first")),
        event(CYD, "check_out", 320, &visit("V-first")),
        event(ANN, "check_in", 329, &client("c-10")),
        event(ANN, "check_out", 310, &client("c-10")),
        // And the walk to the car.
        event(ANN, "check_in", 300, &client("c-10")),
        event(ANN, "check_out", 298, &client("c-10")),
        event("default/device/unit-11", "check_in", 349, &json!({"carer_ref": "ben"})),
        event("default/device/unit-11", "check_out", 320, &json!({"carer_ref": "ben"})),
        event(CYD, "check_in", 352, &json!({"tag": "chip-12"})),
        event(CYD, "check_out", 330, &json!({"tag": "chip-12"})),
        event(DAN, "check_in", 351, &place(51.75)),
        event(DAN, "check_out", 340, &place(51.7501)),
        event(DAN, "check_in", 339, &place(50.0)),
        event(BEN, "check_in", 345, &far),
        event(ANN, "check_in", 260, &client("c-emergency")),
        event(BEN, "check_in", 250, &client("c-emergency")),
        event(BEN, "check_out", 230, &client("c-emergency")),
        event(CYD, "check_out", 200, &client("c-nobody-knows")),
        event(CYD, "not_delivered", 200, &because(client("c-nowhere"), "other")),
        // A clock that is ahead by half an hour: what counts is the receipt.
        event(DAN, "check_in", -30, &client("c-ahead")),
    ]
}

on_both_engines!(the_report_is_the_replay_and_does_not_change);
async fn the_report_is_the_replay_and_does_not_change(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let daemon = installation.start().await;
    let mut phone = installation.sender().await;
    let header = format!("{VISITS},{PLAN}");
    let home = |n: u32| format!("default,c-{n},51.{n},0.3,100");
    let homes: Vec<_> = (1..=14).map(home).collect();
    let homes: Vec<_> =
        homes.into_iter().map(|row| row.replace("c-13,51.13", "c-13,51.75")).collect();
    let (from, to) = (text(ago(600 * 60)), text(ago(60 * 60)));
    let notified = text(ago(20 * 24 * 60 * 60));
    let files = [
        ("visits", header.as_str(), plan()),
        ("clients", CLIENTS, homes),
        ("devices", DEVICES, vec!["default,unit-11,c-11".to_owned()]),
        ("tags", TAGS, vec!["default,chip-12,c-12".to_owned()]),
        (
            "suspensions",
            SUSPENSIONS,
            vec![format!("default,c-9,{from},{to},in_hospital,{notified}")],
        ),
    ];
    for (kind, header, rows) in &files {
        installation.write(&format!("{kind}-for-replay.csv"), &csv(header, rows));
        installation.import(kind, header, rows);
    }

    // From the last to the first, each of them said again later, and some of them changed.
    let events = events();
    let mut lines = Vec::new();
    let order = (0..events.len()).rev().chain((0..events.len()).step_by(2));
    for index in order {
        let Event { from, payload } = &events[index];
        let receipt = phone.ask(from, payload.to_string()).await;
        assert_ne!(receipt["status"], "rejected", "{receipt}");
        let topic = format!("nightrun/v1/{from}/event");
        let received_at = &receipt["received_at"];
        lines.push(json!({"topic": topic, "received_at": received_at, "payload": payload}));
        if index % 5 == 0 {
            let mut other = payload.clone();
            other["note"] = json!("not what was said before");
            let receipt = phone.ask(from, other.to_string()).await;
            assert_eq!(receipt["code"], "event_id_reused");
            let received_at = &receipt["received_at"];
            lines.push(json!({"topic": topic, "received_at": received_at, "payload": other}));
        }
    }
    // The order of a file does not matter.
    lines.reverse();
    installation.write("events.jsonl", &by_line(lines));

    let visits = installation.report("visits");
    let schedule = installation.report("schedule-3");
    let replayed = installation.replay(&[
        ("--visits", "visits-for-replay.csv"),
        ("--clients", "clients-for-replay.csv"),
        ("--devices", "devices-for-replay.csv"),
        ("--tags", "tags-for-replay.csv"),
        ("--suspensions", "suspensions-for-replay.csv"),
        ("--events", "events.jsonl"),
    ]);
    assert_eq!(visits, replayed);
    let replayed = std::fs::read_to_string(installation.path("replayed/schedule-3.csv"));
    assert_eq!(schedule, replayed.expect("the schedule"));
    check_statuses(&visits);
    assert!(schedule.contains("\"Night care, waking\""), "{schedule}");

    assert_eq!(installation.report("visits"), visits);
    daemon.terminate().await;
    // Without the daemon, from another process, into a file.
    let from = installation.tonight().to_string();
    let arguments = ["report", "visits", "--contract", "default", "--from", &from, "--weeks", "1"];
    let out = installation.run(arguments.into_iter().chain(["--out", "visits.out"])).succeeded();
    assert_eq!(out, "");
    let written = std::fs::read_to_string(installation.path("visits.out")).expect("the report");
    assert_eq!(written, visits);
    assert_eq!(installation.report("schedule-3"), schedule);
}

/// The statuses, by hand.
fn check_statuses(visits: &str) {
    let mut reader = csv_rows(visits);
    let mut status = |name: &str| {
        let row = reader.iter_mut().find(|row| row[2] == name);
        let row = row.unwrap_or_else(|| panic!("{name} is not in {visits}"));
        row[15].clone()
    };
    for (name, is) in [
        ("V-both", "delivered"),
        ("V-informal", "delivered"),
        ("V-refused", "frustrated"),
        ("V-reopened", "delivered"),
        ("V-short", "part_delivered"),
        ("V-missed", "missed"),
        ("V-cancelled", "frustrated"),
        ("V-void", "void"),
        ("V-suspended", "cancelled"),
        ("V-first", "delivered"),
        ("V-second", "delivered"),
        ("V-unit", "delivered"),
        ("V-tag", "delivered"),
        ("V-place", "delivered"),
        ("V-gap", "delivered"),
    ] {
        assert_eq!(status(name), is, "{name}");
    }
}

fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let rows = reader.records().map(|row| row.expect("a row"));
    rows.map(|row| row.iter().map(ToOwned::to_owned).collect()).collect()
}
