//! `/metrics` of a real daemon, before and after what is known.

use std::sync::Arc;

use chrono::TimeDelta;
use nightrun::clock;
use serde_json::{Value, json};

use crate::page::{Page, until};
use crate::support::Mosquitto;
use crate::support::daemon::{Installation, VISITS, ago, text};
use crate::support::engine::{Database, Engine, on_both_engines};
use crate::support::postgres::{Postgres, Stop};

const AMY: &str = "default/carer/amy";

fn event(kind: &str, place: &str, at: &str, id: u32) -> Value {
    let key = if place.starts_with("V-") { "visit_ref" } else { "client_ref" };
    json!({
        "event_id": format!("6d657472-0000-4000-8000-{id:012}"), "type": kind, key: place,
        "occurred_at": at,
    })
}

on_both_engines!(what_is_known_is_counted);
async fn what_is_known_is_counted(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let daemon = installation.start().await;
    installation.until_ready_is(200).await;
    let before = Page::of(&installation);
    before.passes_promtool();
    before.has(&[
        (&format!("nightrun_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0),
        ("nightrun_hears_broker", 1.0),
        ("nightrun_commits", 1.0),
        ("nightrun_database_readable", 1.0),
        ("nightrun_events_total{result=\"accepted\"}", 0.0),
        ("nightrun_events_total{result=\"duplicate\"}", 0.0),
        ("nightrun_rejected_messages_total{code=\"bad_json\"}", 0.0),
        ("nightrun_rejected_messages_total{code=\"wrong_sender\"}", 0.0),
        ("nightrun_event_lag_seconds_count", 0.0),
        ("nightrun_receipt_to_commit_seconds_count", 0.0),
        ("nightrun_alerts_raised_total{kind=\"late\",severity=\"high\"}", 0.0),
        ("nightrun_alerts_open{kind=\"late\",severity=\"high\"}", 0.0),
        ("nightrun_alert_lateness_seconds_count", 0.0),
        ("nightrun_outbox_rows{kind=\"alert\"}", 0.0),
        ("nightrun_database_failures_total", 0.0),
        ("nightrun_blind{contract=\"default\"}", 0.0),
    ]);
    let started_at = before.get("process_start_time_seconds").expect("it is there");
    let now = f64::from(i32::try_from(clock::now().timestamp()).expect("before 2038"));
    assert!((now - 60.0..=now).contains(&started_at), "{started_at} at {now}");

    let mut alerts = installation.alerts().await;
    let mut phone = installation.sender().await;
    let an_hour_ago = text(ago(3_600));
    let in_c1 = event("check_in", "C-1", &an_hour_ago, 1);
    phone.say(AMY, &in_c1).await;
    phone.say(AMY, &event("check_out", "C-1", &text(clock::now()), 2)).await;
    for _ in 0..2 {
        assert_eq!(phone.ask(AMY, in_c1.to_string()).await["status"], "duplicate");
    }
    assert_eq!(phone.ask(AMY, "{").await["code"], "bad_json");
    let mut of_another = event("check_in", "C-1", &an_hour_ago, 3);
    of_another["carer_ref"] = json!("zora");
    assert_eq!(phone.ask(AMY, of_another.to_string()).await["code"], "wrong_sender");
    // It is late in a few seconds, and was beyond its tolerance before it was known.
    let start = ago(29 * 60 + 54);
    let (start, end) = (text(start), text(start + TimeDelta::minutes(60)));
    let visit = format!("default,V-1,Night care,Standard,C-2,run-1,{start},{end},1");
    installation.import("visits", VISITS, &[visit]);
    alerts.until("V-1", "tolerance", "open").await;
    alerts.until("V-1", "late", "open").await;
    let is_read = |page: &Page| {
        page.get("nightrun_alerts_open{kind=\"late\",severity=\"high\"}") == Some(1.0)
    };
    until(&installation, "the open alert", is_read).await;

    phone.say(AMY, &event("check_in", "V-1", &text(clock::now()), 4)).await;
    alerts.until("V-1", "late", "resolved").await;
    installation.until_published().await;
    let nothing_waits = |page: &Page| {
        page.get("nightrun_outbox_rows{kind=\"alert\"}") == Some(0.0)
            && page.get("nightrun_outbox_rows{kind=\"receipt\"}") == Some(0.0)
            && page.get("nightrun_alerts_open{kind=\"late\",severity=\"high\"}") == Some(0.0)
    };
    let after = until(&installation, "an empty outbox", nothing_waits).await;
    after.passes_promtool();
    after.has(&[
        ("nightrun_events_total{result=\"accepted\"}", 3.0),
        ("nightrun_events_total{result=\"duplicate\"}", 2.0),
        ("nightrun_rejected_messages_total{code=\"bad_json\"}", 1.0),
        ("nightrun_rejected_messages_total{code=\"wrong_sender\"}", 1.0),
        ("nightrun_rejected_messages_total{code=\"bad_field\"}", 0.0),
        ("nightrun_event_lag_seconds_bucket{le=\"900\"}", 2.0),
        ("nightrun_event_lag_seconds_bucket{le=\"14400\"}", 3.0),
        ("nightrun_event_lag_seconds_count", 3.0),
        ("nightrun_receipt_to_commit_seconds_bucket{le=\"30\"}", 7.0),
        ("nightrun_receipt_to_commit_seconds_count", 7.0),
        ("nightrun_alerts_raised_total{kind=\"unplanned_visit\",severity=\"info\"}", 1.0),
        ("nightrun_alerts_raised_total{kind=\"tolerance\",severity=\"warning\"}", 1.0),
        ("nightrun_alerts_raised_total{kind=\"late\",severity=\"high\"}", 1.0),
        ("nightrun_alerts_raised_total{kind=\"missed\",severity=\"critical\"}", 0.0),
        // Not the unplanned visit, which evidence brought about; and the plan came no sooner.
        ("nightrun_alert_lateness_seconds_bucket{le=\"60\"}", 2.0),
        ("nightrun_alert_lateness_seconds_count", 2.0),
        ("nightrun_outbox_oldest_age_seconds{kind=\"alert\"}", 0.0),
        ("nightrun_http_requests_total{route=\"/readyz\",method=\"GET\",status=\"200\"}", 1.0),
    ]);
    let lag = after.get("nightrun_event_lag_seconds_sum").expect("it is there");
    assert!((3_600.0..3_660.0).contains(&lag), "{lag}");
    let commits = "nightrun_transaction_duration_seconds_count{work=\"messages\"}";
    assert!(after.get(commits).expect("it is there") >= 3.0);
    for personal in ["amy", "zora", "C-1", "V-1", "run-1"] {
        assert!(!after.text.contains(personal), "{personal} is in:\n{}", after.text);
    }
    assert_eq!(installation.get("/C-1").0, 404);
    let none = "nightrun_http_requests_total{route=\"none\",method=\"GET\",status=\"404\"}";
    Page::of(&installation).has(&[(none, 1.0)]);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blind_seconds_are_counted_while_the_broker_is_away() {
    const NOW: &str = "nightrun_blind{contract=\"default\"}";
    const SECONDS: &str = "nightrun_blind_seconds_total{contract=\"default\"}";
    let mut broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker);
    let daemon = installation.start().await;
    let sees = |page: &Page| page.get(NOW) == Some(0.0);
    let before = until(&installation, "sight", sees).await;
    broker.stop();
    let is_blind = |page: &Page| page.get(NOW) == Some(1.0);
    let blind = until(&installation, "blindness", is_blind).await;
    blind.has(&[("nightrun_hears_broker", 0.0), ("nightrun_commits", 1.0)]);
    let since = blind.get(SECONDS).expect("it is there");
    assert!(since >= before.get(SECONDS).expect("it is there"));
    let goes_on = |page: &Page| page.get(SECONDS).is_some_and(|now| now > since + 1.0);
    until(&installation, "a second of it", goes_on).await;
    broker.start_again();
    let after = until(&installation, "sight again", sees).await;
    let then = after.get(SECONDS);
    until(&installation, "nothing more", |page| page.get(SECONDS) == then).await;
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_the_page_says_so() {
    let server = Arc::new(Postgres::start(&[]));
    let installation = Installation::embedded().with_database(Database::at(&server));
    let daemon = installation.start().await;
    let readable = |page: &Page| page.get("nightrun_database_readable") == Some(1.0);
    until(&installation, "the database", readable).await;
    server.stop(Stop::Fast);
    let fails = |page: &Page| {
        page.get("nightrun_database_failures_total").is_some_and(|failures| failures > 0.0)
            && !readable(page)
    };
    let without = until(&installation, "its failure", fails).await;
    without.passes_promtool();
    assert!(!without.text.contains("nightrun_alerts_open"));
    without.has(&[("nightrun_commits", 0.0), ("nightrun_blind{contract=\"default\"}", 1.0)]);
    server.start_again();
    let back = |page: &Page| readable(page) && page.get("nightrun_commits") == Some(1.0);
    until(&installation, "the database again", back).await;
    daemon.terminate().await;
}
