//! Deadlines are kept to the second, by a daemon that has been away as well (R21, R25). Apart from
//! the other stories, which would make the machine busy.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helpers as well")]

mod support;

use chrono::{DateTime, TimeDelta};
use nightrun::clock;
use nightrun::domain::instant::Instant;
use serde_json::{Value, json};
use support::Mosquitto;
use support::daemon::{Installation, VISITS, ago, text};
use support::engine::{Engine, on_both_engines};
use support::people::Heard;

/// A visit of half an hour that was to start then.
fn visit(visit_ref: &str, start: Instant) -> String {
    let end = start + TimeDelta::minutes(30);
    let (start, end) = (text(start), text(end));
    format!("default,{visit_ref},Night care,Standard,client-{visit_ref},run-1,{start},{end},1")
}

fn check_in(visit_ref: &str, id: u32) -> Value {
    json!({
        "event_id": format!("6e6f7468-0000-4000-8000-{id:012}"), "type": "check_in",
        "visit_ref": visit_ref, "occurred_at": text(clock::now()),
    })
}

fn instant(value: &Value) -> Instant {
    DateTime::parse_from_rfc3339(value.as_str().expect("text")).expect("an instant").to_utc()
}

/// That the alert came within a second of that instant.
fn at_once(instant: Instant, (arrived, alert): &Heard) {
    let after = *arrived - instant;
    assert!(after < TimeDelta::seconds(1), "{after} late: {alert}");
}

async fn late_is_told_within_a_second(installation: &Installation) {
    let daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    let start = ago(29 * 60 + 55);
    installation.import("visits", VISITS, &[visit("V-1", start)]);
    let due_at = start + TimeDelta::minutes(30);
    let tolerance = alerts.until("V-1", "tolerance", "open").await;
    assert!(tolerance.0 < due_at);
    let late = alerts.until("V-1", "late", "open").await;
    assert_eq!(instant(&late.1["due_at"]), due_at);
    assert_eq!(instant(&late.1["raised_at"]), due_at);
    assert_eq!(late.1["unconfirmed"], false);
    assert!(late.0 >= due_at);
    at_once(due_at, &late);
    assert_eq!(alerts.of("V-1")[..2], ["tolerance open -", "tolerance resolved superseded"]);
    daemon.terminate().await;
}

on_both_engines!(late_is_told_within_a_second_through_mosquitto);
async fn late_is_told_within_a_second_through_mosquitto(engine: Engine) {
    late_is_told_within_a_second(&Installation::at(&Mosquitto::start(&[])).on(engine)).await;
}

on_both_engines!(late_is_told_within_a_second_through_the_embedded_broker);
async fn late_is_told_within_a_second_through_the_embedded_broker(engine: Engine) {
    late_is_told_within_a_second(&Installation::embedded().on(engine)).await;
}

on_both_engines!(a_deadline_that_was_slept_through_is_told_once_after_the_backlog);
/// V-1 became late, and V-2 would have, while the daemon was away; but V-2's carer had come.
async fn a_deadline_that_was_slept_through_is_told_once_after_the_backlog(engine: Engine) {
    let broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker).on(engine);
    // Another daemon that stays awake says when the instant has come.
    let awake = Installation::embedded().on(engine);
    let (daemon, waking) = tokio::join!(installation.start(), awake.start());
    let mut alerts = installation.alerts().await;
    let mut clock_strikes = awake.alerts().await;
    let mut phone = installation.sender().await;

    let start = ago(29 * 60 + 57);
    let due_at = start + TimeDelta::minutes(30);
    let visits = [visit("V-1", start), visit("V-2", start)];
    installation.import("visits", VISITS, &visits);
    awake.import("visits", VISITS, &visits);
    alerts.until("V-1", "tolerance", "open").await;
    alerts.until("V-2", "tolerance", "open").await;
    daemon.kill9();
    phone.send("default/carer/ann", check_in("V-2", 1).to_string());
    phone.client.acknowledged(1).await;
    assert!(clock::now() < due_at, "this machine is too slow for this story");
    clock_strikes.until("V-1", "late", "open").await;

    let daemon = installation.start().await;
    let caught_up_at = daemon.ready().await;
    let late = alerts.until("V-1", "late", "open").await;
    at_once(caught_up_at, &late);
    assert_eq!(instant(&late.1["due_at"]), due_at);
    assert_eq!(late.1["unconfirmed"], true);
    alerts.until("V-2", "tolerance", "resolved").await;
    assert_eq!(phone.receipt().await.1["status"], "accepted");

    // What comes after another restart, and after another event, is not the same again.
    daemon.terminate().await;
    let daemon = installation.start().await;
    phone.say("default/carer/ann", &check_in("V-1", 2)).await;
    alerts.until("V-1", "late", "resolved").await;
    assert!(alerts.repeated.iter().all(|(_, alert)| alert["kind"] == "tolerance"));
    let of_1 = ["tolerance open -", "tolerance resolved superseded", "late open -"];
    assert_eq!(alerts.of("V-1")[..3], of_1);
    assert_eq!(alerts.of("V-1")[3..], ["late resolved staffed"]);
    assert_eq!(alerts.of("V-2"), ["tolerance open -", "tolerance resolved staffed"]);
    assert_eq!(installation.number("SELECT count(*) FROM alert WHERE kind = 'late'").await, 1);
    daemon.terminate().await;
    waking.terminate().await;
}

on_both_engines!(what_was_late_before_the_start_is_told_after_it);
/// The plan came while the daemon was away, and so late that nobody could be told in time.
async fn what_was_late_before_the_start_is_told_after_it(engine: Engine) {
    let broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker).on(engine);
    installation.import("visits", VISITS, &[visit("V-1", ago(31 * 60))]);
    let mut alerts = installation.alerts().await;
    let daemon = installation.start().await;
    let caught_up_at = daemon.ready().await;
    let late = alerts.until("V-1", "late", "open").await;
    at_once(caught_up_at, &late);
    assert_eq!(late.1["unconfirmed"], true);
    daemon.terminate().await;
}

on_both_engines!(an_import_while_the_daemon_runs_is_taken_up_within_a_second);
async fn an_import_while_the_daemon_runs_is_taken_up_within_a_second(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    installation.import("visits", VISITS, &[visit("V-1", ago(40 * 60))]);
    let imported_at = clock::now();
    let late = alerts.until("V-1", "late", "open").await;
    at_once(imported_at, &late);
    // It was not the daemon that could not hear.
    assert_eq!(late.1["unconfirmed"], false);
    daemon.terminate().await;
}
