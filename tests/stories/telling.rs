//! Alerts over MQTT, at each change of their state (R21).

use std::collections::BTreeSet;

use chrono::TimeDelta;
use nightrun::clock;
use nightrun::domain::instant::Instant;
use serde_json::{Value, json};

use crate::support::Mosquitto;
use crate::support::daemon::{Installation, VISITS, ago, text};
use crate::support::engine::{Engine, on_both_engines};
use crate::support::people::Alerts;

const ANN: &str = "default/carer/ann";
const BEN: &str = "default/carer/ben";
const EXCLUSIVE: [&str; 5] = ["tolerance", "late", "short_staffed", "missed", "not_delivered"];

/// A visit to a client of its own.
fn visit(name: &str, start: Instant, minutes: i64, carers: u8) -> String {
    let end = start + TimeDelta::minutes(minutes);
    let (start, end) = (text(start), text(end));
    format!("default,{name},Night care,Standard,client-{name},run-1,{start},{end},{carers}")
}

fn event(kind: &str, visit: &str, at: Instant) -> Value {
    json!({
        "event_id": uuid::Uuid::new_v4().to_string(), "type": kind, "visit_ref": visit, "occurred_at": text(at),
    })
}

/// At most one alert is open for a visit and kind, and of the five that exclude each other.
fn check_order(alerts: &Alerts) {
    let mut open = BTreeSet::new();
    for (_, alert) in &alerts.heard {
        let word = |name: &str| alert[name].as_str().expect("text").to_owned();
        let key = (word("visit_ref"), word("kind"));
        match word("state").as_str() {
            "open" => assert!(open.insert(key.clone()), "{alert} is open already"),
            "resolved" => assert!(open.remove(&key), "{alert} was not open"),
            state => panic!("{state}"),
        }
        let exclusive = |(visit, kind): &&(String, String)| {
            *visit == key.0 && EXCLUSIVE.contains(&kind.as_str())
        };
        assert!(open.iter().filter(exclusive).count() <= 1, "{open:?}");
    }
}

async fn each_change_is_told(installation: &Installation) {
    let daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    let mut phone = installation.sender().await;
    let soon = |minutes: i64| ago(minutes * 60 - 4);
    let (tolerance, late, missed) = (soon(15), soon(30), soon(60));
    installation.import(
        "visits",
        VISITS,
        &[
            visit("tolerance", tolerance, 30, 1),
            visit("late", late, 30, 1),
            visit("missed", missed, 30, 1),
            visit("short", missed, 30, 2),
        ],
    );
    alerts.until("short", "late", "open").await;
    phone.say(ANN, &event("check_in", "short", ago(60))).await;

    let (_, alert) = alerts.until("tolerance", "tolerance", "open").await;
    assert_eq!(alert["severity"], "warning");
    assert_eq!(alert["planned_start"], json!(text(tolerance)));
    assert_eq!(alert["due_at"], json!(text(tolerance + TimeDelta::minutes(15))));
    assert_eq!(alert["contact_due_at"], json!(text(tolerance + TimeDelta::minutes(30))));
    assert_eq!(
        (&alert["run"], &alert["client_ref"]),
        (&json!("run-1"), &json!("client-tolerance"))
    );
    assert_eq!((&alert["present"], &alert["carers_required"]), (&json!(0), &json!(1)));
    phone.say(ANN, &event("check_in", "tolerance", clock::now())).await;
    alerts.until("tolerance", "tolerance", "resolved").await;
    assert_eq!(alerts.of("tolerance"), ["tolerance open -", "tolerance resolved staffed"]);

    // Late, then refused, then let in after all.
    alerts.until("late", "late", "open").await;
    let mut refused = event("not_delivered", "late", ago(30));
    refused["reason"] = json!("refused");
    phone.say(ANN, &refused).await;
    let (_, alert) = alerts.until("late", "not_delivered", "open").await;
    assert_eq!(alert["severity"], "high");
    phone.say(ANN, &event("check_in", "late", clock::now())).await;
    alerts.until("late", "not_delivered", "resolved").await;
    assert_eq!(
        alerts.of("late"),
        [
            "tolerance open -",
            "tolerance resolved superseded",
            "late open -",
            "late resolved statement",
            "not_delivered open -",
            "not_delivered resolved staffed",
        ]
    );

    // Missed, as it seemed: the carer had come in time, and the phone was offline.
    let (_, opened) = alerts.until("missed", "missed", "open").await;
    assert_eq!(opened["severity"], "critical");
    assert_eq!(opened["due_at"], json!(text(missed + TimeDelta::minutes(60))));
    phone.say(BEN, &event("check_in", "missed", missed + TimeDelta::minutes(2))).await;
    let (_, resolved) = alerts.until("missed", "missed", "resolved").await;
    assert_eq!(resolved["alert_id"], opened["alert_id"]);
    assert_eq!(resolved["present"], 1);
    assert!(resolved["detail"].as_str().expect("text").contains("reported"), "{resolved}");
    assert_eq!(
        alerts.of("missed"),
        ["late open -", "late resolved superseded", "missed open -", "missed resolved staffed"]
    );

    let (_, alert) = alerts.until("short", "short_staffed", "open").await;
    assert_eq!((&alert["present"], &alert["carers_required"]), (&json!(1), &json!(2)));
    phone.say(BEN, &event("check_in", "short", clock::now())).await;
    alerts.until("short", "short_staffed", "resolved").await;
    assert_eq!(
        alerts.of("short"),
        [
            "late open -",
            "late resolved superseded",
            "short_staffed open -",
            "short_staffed resolved staffed",
        ]
    );
    check_order(&alerts);
    assert!(alerts.repeated.is_empty());
    daemon.terminate().await;
}

on_both_engines!(each_change_is_told_through_mosquitto);
async fn each_change_is_told_through_mosquitto(engine: Engine) {
    each_change_is_told(&Installation::at(&Mosquitto::start(&[])).on(engine)).await;
}

on_both_engines!(each_change_is_told_through_the_embedded_broker);
async fn each_change_is_told_through_the_embedded_broker(engine: Engine) {
    each_change_is_told(&Installation::embedded().on(engine)).await;
}

on_both_engines!(a_carer_who_does_not_come_out_is_looked_for);
async fn a_carer_who_does_not_come_out_is_looked_for(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    let mut phone = installation.sender().await;
    // Two hours planned, the last of which ended an hour ago but for some seconds.
    let start = ago(3 * 60 * 60 - 5);
    let due_at = text(start + TimeDelta::hours(3));
    installation.import("visits", VISITS, &[visit("A", start, 120, 1), visit("B", start, 120, 1)]);
    alerts.until("A", "missed", "open").await;
    alerts.until("B", "missed", "open").await;
    phone.say(ANN, &event("check_in", "A", start)).await;
    phone.say(BEN, &event("check_in", "B", start)).await;
    for (visit, carer) in [("A", "ann"), ("B", "ben")] {
        let (_, alert) = alerts.until(visit, "overdue_checkout", "open").await;
        assert_eq!((&alert["due_at"], &alert["carer_ref"]), (&json!(due_at), &json!(carer)));
        assert_eq!(alert["severity"], "high");
    }
    phone.say(ANN, &event("check_out", "A", clock::now())).await;
    let mut elsewhere = event("check_in", "C", clock::now());
    elsewhere["client_ref"] = json!("client-C");
    phone.say(BEN, &elsewhere).await;
    alerts.until("A", "overdue_checkout", "resolved").await;
    alerts.until("B", "overdue_checkout", "resolved").await;
    let of = |visit: &str, how: &str| {
        let expected = [
            "missed open -",
            "missed resolved staffed",
            "overdue_checkout open -",
            &format!("overdue_checkout resolved {how}"),
        ];
        assert_eq!(alerts.of(visit), expected);
    };
    of("A", "checked_out");
    of("B", "seen_elsewhere");
    check_order(&alerts);
    daemon.terminate().await;
}

on_both_engines!(a_carer_who_has_moved_on_is_not_looked_for);
async fn a_carer_who_has_moved_on_is_not_looked_for(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let daemon = installation.start().await;
    let mut phone = installation.sender().await;
    let start = ago(4 * 60 * 60);
    installation.import("visits", VISITS, &[visit("A", start, 30, 1), visit("B", start, 30, 1)]);
    // What ann did later arrives first; ben has been nowhere since.
    let mut later = event("check_in", "C", ago(60 * 60));
    later["client_ref"] = json!("client-C");
    phone.say(ANN, &later).await;
    phone.say(ANN, &event("check_in", "A", start)).await;
    phone.say(BEN, &event("check_in", "B", start)).await;
    daemon.terminate().await;
    let looked_for = "SELECT count(*) FROM alert WHERE kind = 'overdue_checkout'";
    assert_eq!(installation.number(looked_for).await, 1);
    let about_ben = "SELECT count(*) FROM alert WHERE kind = 'overdue_checkout' \
                     AND visit_ref = 'B' AND carer_ref = 'ben'";
    assert_eq!(installation.number(about_ben).await, 1);
}
