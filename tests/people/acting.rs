//! What coordinators do, and what comes of it.

use chrono::TimeDelta;
use nightrun::clock;
use nightrun::domain::instant::Instant;
use serde_json::{Value, json};

use crate::Someone;
use crate::support::Mosquitto;
use crate::support::daemon::{Installation, VISITS, ago, text};
use crate::support::engine::{Engine, on_both_engines};

const ANN: &str = "default/carer/ann";

fn visit(name: &str, start: Instant) -> String {
    let (start, end) = (text(start), text(start + TimeDelta::minutes(30)));
    format!("default,{name},Night care,Standard,c-{name},run-1,{start},{end},1")
}

fn id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The quantities of a client's week: actual, frustrated, cancelled, missed.
fn quantities(finance: &Someone, installation: &Installation, client: &str) -> Option<[String; 4]> {
    let from = installation.tonight();
    let path = format!("/api/v1/contracts/default/schedule-3?from={from}&weeks=1&format=csv");
    let answer = finance.get(&path);
    assert_eq!(answer.status, 200, "{answer:?}");
    let row = answer.body.lines().find(|line| line.contains(&format!(",{client},")))?.to_owned();
    let cells: Vec<String> = row.split(',').map(str::to_owned).collect();
    Some([4, 5, 6, 7].map(|column| cells[column].clone()))
}

on_both_engines!(a_late_visit_is_looked_after);

/// Acknowledged, rung, and only then resolved (R21, R23).
async fn a_late_visit_is_looked_after(engine: Engine) {
    let broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker).on(engine);
    let daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    let someone = Someone::new(&installation, "coordinator", &[]);
    let mut stream = someone.request("GET", "/api/v1/stream").events();
    stream.until("ping", |_| true);
    let start = ago(20 * 60);
    installation.import("visits", VISITS, &[visit("V-1", start)]);
    let (_, raised) = alerts.until("V-1", "tolerance", "open").await;
    let seen = stream.until("alert", |alert| alert["visit_ref"] == "V-1");
    assert_eq!((&seen["kind"], &seen["contact"]), (&json!("tolerance"), &json!("runs")));
    let alert = format!("/api/v1/alerts/{}", raised["alert_id"].as_str().unwrap());

    let resolve = |note: &str| someone.post(&format!("{alert}/resolve"), &json!({ "note": note }));
    assert!(resolve("nothing to do").body.contains("nobody has been spoken to"));
    let acknowledged = someone.request("POST", &format!("{alert}/acknowledge")).answer().json(200);
    assert_eq!(acknowledged["state"], "acknowledged");
    alerts.until("V-1", "tolerance", "acknowledged").await;
    stream.until("alert", |alert| alert["state"] == "acknowledged");
    // Again changes nothing.
    let again = someone.request("POST", &format!("{alert}/acknowledge")).answer().json(200);
    assert_eq!(again["acts"].as_array().unwrap().len(), 1);

    let contact = |body: &Value| someone.post(&format!("{alert}/contact"), body);
    assert_eq!(contact(&json!({"spoke_to": " "})).status, 422);
    let tomorrow = text(clock::now() + TimeDelta::days(1));
    assert_eq!(contact(&json!({"spoke_to": "her", "at": tomorrow})).status, 422);
    assert_eq!(contact(&json!({"spoke_to": "her", "outcome": "shouted"})).status, 422);
    contact(&json!({"spoke_to": "nobody", "outcome": "left_message"})).json(200);
    assert_eq!(resolve("left word").status, 409);
    let rung = json!({
        "spoke_to": "the client", "new_time": text(start + TimeDelta::minutes(40)), "reason": "ice",
    });
    let rung = contact(&rung).json(200);
    assert_eq!(rung["contact"], "met");
    assert_eq!(rung["acts"][2]["by"], "coordinator on duty");
    assert_eq!(rung["acts"][2]["reason"], "ice");
    assert_eq!(resolve("on the way").json(200)["resolution"], "coordinator");
    let (_, resolved) = alerts.until("V-1", "tolerance", "resolved").await;
    assert_eq!(resolved["resolution"], "coordinator");
    assert_eq!(someone.request("POST", &format!("{alert}/acknowledge")).answer().status, 409);
    // It stays so.
    daemon.terminate().await;
    let daemon = installation.start().await;
    let open = someone.get("/api/v1/alerts?state=open").json(200);
    assert_eq!(open["alerts"], json!([]));
    installation.ledger();
    daemon.terminate().await;
}

on_both_engines!(a_correction_counts_until_it_is_withdrawn);

/// (R16, R21, R27)
async fn a_correction_counts_until_it_is_withdrawn(engine: Engine) {
    let broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker).on(engine);
    let daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    let someone = Someone::new(&installation, "coordinator", &[]);
    let finance = Someone::new(&installation, "finance", &[]);
    installation.import("visits", VISITS, &[visit("V-1", ago(90 * 60))]);
    alerts.until("V-1", "missed", "open").await;
    let of_client = || quantities(&finance, &installation, "c-V-1").unwrap();
    assert_eq!(of_client(), ["0.00", "0.00", "0.00", "1.00"]);

    let path = "/api/v1/contracts/default/visits/V-1";
    let correct = |body: &Value| someone.post(&format!("{path}/corrections"), body);
    assert!(correct(&json!({"outcome": "frustrated"})).body.contains("say why"));
    assert_eq!(correct(&json!({"outcome": "void", "reason": "x"})).status, 422);
    assert_eq!(correct(&json!({})).status, 422);
    let nobody = someone.post(
        "/api/v1/contracts/default/visits/V-none/corrections",
        &json!({"outcome": "missed", "reason": "x"}),
    );
    assert_eq!(nobody.status, 404);
    let decision = json!({
        "outcome": "frustrated", "reason": "in_hospital", "comment": "her son rang",
        "return_comment": "admitted at 22:40",
    });
    assert_eq!(correct(&decision).status, 201);
    let (_, resolved) = alerts.until("V-1", "missed", "resolved").await;
    assert_eq!(resolved["resolution"], "corrected");
    assert_eq!(of_client(), ["0.00", "1.00", "0.00", "0.00"]);
    let story = someone.get(path).json(200);
    assert_eq!((&story["status"], &story["flags"]), (&json!("frustrated"), &json!(["corrected"])));
    assert_eq!(story["corrections"][0]["comment"], "her son rang");
    assert!(installation.report("schedule-3").contains("admitted at 22:40"));

    assert_eq!(correct(&json!({"outcome": "withdraw", "reason": "another client"})).status, 201);
    let heard = alerts.heard.len();
    while alerts.heard.len() == heard {
        alerts.next().await;
    }
    assert_eq!(alerts.of("V-1").last().unwrap(), "missed open -");
    assert_eq!(of_client(), ["0.00", "0.00", "0.00", "1.00"]);
    let story = someone.get(path).json(200);
    assert_eq!(story["status"], "missed");
    assert_eq!(story["corrections"].as_array().unwrap().len(), 2, "nothing is forgotten");
    installation.ledger();
    daemon.terminate().await;
}

on_both_engines!(what_nobody_could_place_is_placed);

/// (R12, R16)
async fn what_nobody_could_place_is_placed(engine: Engine) {
    let broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker).on(engine);
    let daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    let mut phone = installation.sender().await;
    let someone = Someone::new(&installation, "coordinator", &[]);
    installation.import("visits", VISITS, &[visit("V-1", ago(20 * 60)), visit("V-2", ago(60))]);
    alerts.until("V-1", "tolerance", "open").await;
    let lost = id();
    let event = json!({
        "event_id": lost, "type": "check_in", "occurred_at": text(ago(15 * 60)),
        "position": {"lat": 51.0, "lon": 0.3},
    });
    assert_eq!(phone.ask(ANN, event.to_string()).await["visit"], "unplaced");
    let night = format!("/api/v1/contracts/default/nights/{}", installation.tonight());
    let unplaced = someone.get(&night).json(200);
    assert_eq!(unplaced["unplaced"][0]["event_id"], json!(lost));

    let place = |visit: &str| {
        let path = format!("/api/v1/contracts/default/events/{lost}/place");
        someone.post(&path, &json!({"visit_ref": visit, "reason": "she said so"}))
    };
    assert_eq!(place("V-none").status, 404);
    assert_eq!(place("V-1").status, 201);
    let (_, resolved) = alerts.until("V-1", "tolerance", "resolved").await;
    assert_eq!(resolved["resolution"], "staffed");
    let status = |visit: &str| {
        someone.get(&format!("/api/v1/contracts/default/visits/{visit}")).json(200)["status"]
            .clone()
    };
    assert_eq!(status("V-1"), "in_progress");
    assert_eq!(someone.get(&night).json(200)["unplaced"], json!([]));
    // It was the other one after all.
    assert_eq!(place("V-2").status, 201);
    assert_eq!((status("V-1"), status("V-2")), (json!("overdue"), json!("in_progress")));
    installation.ledger();
    daemon.terminate().await;
}

on_both_engines!(what_is_phoned_in_counts_and_says_who_took_it);

async fn what_is_phoned_in_counts_and_says_who_took_it(engine: Engine) {
    let broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker).on(engine);
    let daemon = installation.start().await;
    let someone = Someone::new(&installation, "coordinator", &[]);
    installation.import("visits", VISITS, &[visit("V-1", ago(10 * 60))]);
    let path = "/api/v1/contracts/default/events";
    let phoned = json!({
        "event_id": id(), "type": "check_in", "occurred_at": text(ago(9 * 60)), "carer_ref": "ann",
        "client_ref": "c-V-1", "why": "her phone is flat",
    });
    let said = someone.post(path, &phoned).json(201);
    assert_eq!(said["event_id"], phoned["event_id"]);
    // The same again is the same.
    someone.post(path, &phoned).json(201);
    let with = |name: &str, value: Value| {
        let mut other = phoned.clone();
        other[name] = value;
        someone.post(path, &other)
    };
    assert_eq!(with("client_ref", json!("c-V-2")).status, 422, "that id has been used");
    assert_eq!(with("method", json!("nfc")).status, 422);
    assert_eq!(with("carer_ref", json!(null)).status, 422);
    assert!(with("type", json!("checkin")).body.contains("type"));
    let story = someone.get("/api/v1/contracts/default/visits/V-1").json(200);
    assert_eq!(story["status"], "in_progress");
    let event = &story["events"][0];
    assert_eq!(event["payload"]["method"], "phone_line");
    assert_eq!(event["handed_in_by"], "coordinator on duty");
    assert_eq!(event["handed_in_why"], "her phone is flat");
    assert_eq!(installation.number("SELECT count(*) FROM event").await, 1);
    // No phone was heard.
    assert_eq!(installation.number("SELECT count(*) FROM sender").await, 0);
    installation.ledger();
    daemon.terminate().await;
}

on_both_engines!(a_rejected_message_is_tried_again);

async fn a_rejected_message_is_tried_again(engine: Engine) {
    let broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker).on(engine);
    let daemon = installation.start().await;
    let mut phone = installation.sender().await;
    let someone = Someone::new(&installation, "coordinator", &[]);
    let event = json!({
        "event_id": id(), "type": "check_in", "occurred_at": text(ago(60)), "client_ref": "c-1",
    });
    let receipt = phone.ask("newly/carer/ann", event.to_string()).await;
    assert_eq!(receipt["code"], "unknown_contract");
    let rejected = someone.get("/api/v1/rejected").json(200);
    let found = &rejected["rejected"][0];
    assert_eq!((&found["code"], &found["taken"]), (&json!("unknown_contract"), &json!(false)));
    let path = format!("/api/v1/rejected/{}/retry", found["id"]);
    assert_eq!(someone.request("POST", &path).answer().status, 422, "its cause is still there");
    daemon.terminate().await;

    let text = std::fs::read_to_string(installation.path("nightrun.toml")).unwrap();
    let (_, default) = text.split_once("[[contract]]").unwrap();
    let newly = default.replace("\"default\"", "\"newly\"");
    installation.write("nightrun.toml", &format!("{text}[[contract]]{newly}"));
    let daemon = installation.start().await;
    someone.request("POST", &path).answer().json(200);
    assert_eq!(installation.number("SELECT count(*) FROM event").await, 1);
    assert_eq!(someone.get("/api/v1/rejected").json(200)["rejected"][0]["taken"], true);
    assert_eq!(someone.request("POST", "/api/v1/rejected/999/retry").answer().status, 404);
    daemon.terminate().await;
}
