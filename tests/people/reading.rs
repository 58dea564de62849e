//! What programs read, and import.

use chrono::TimeDelta;
use serde_json::json;

use crate::Someone;
use crate::support::daemon::{Installation, VISITS, ago, text};

fn row(visit: &str, minutes_ago: i64) -> String {
    let start = ago(minutes_ago * 60);
    let (start, end) = (text(start), text(start + TimeDelta::minutes(30)));
    format!("default,{visit},Night care,Standard,c-{visit},run-1,{start},{end},1")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_comes_by_http_all_of_it_or_nothing() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    let planner = Someone::new(&installation, "planner", &[]);
    let import = |kind: &str, file: &str| {
        let path = format!("/api/v1/import/{kind}");
        planner.request("POST", &path).body("text/csv", file).answer()
    };
    let good = format!("{VISITS}\n{}\n{}\n", row("V-1", -60), row("V-2", -90));
    let bad = format!("{good}default,V-3,Night care,Standard,c-3,run-1,soon,later,1\n");
    let refused = import("visits", &bad).json(422);
    assert_eq!(refused["bad"]["rows"][0]["line"], 4);
    assert_eq!(refused["bad"]["rows"][0]["column"], "planned_start");
    assert_eq!(installation.number("SELECT count(*) FROM planned_visit").await, 0);
    let dry = import("visits?dry_run=true", &good).json(200);
    assert_eq!((&dry["imported"], &dry["dry_run"]), (&json!(2), &json!(true)));
    assert_eq!(import("visits", &good).json(200)["imported"], 2);
    assert_eq!(import("visits", &good).json(200)["unchanged"], 2, "the same again changes nothing");
    let suspended =
        "contract,client_ref,from,reason\ndefault,c-V-1,2020-01-01T00:00:00Z,hospital\n";
    assert_eq!(import("suspensions", suspended).json(200)["imported"], 1);
    assert_eq!(import("cats", &good).status, 404);
    // A larger one than other bodies may be.
    let many: Vec<String> = (0..3_000).map(|number| row(&format!("M-{number}"), -90)).collect();
    let many = format!("{VISITS}\n{}\n", many.join("\n"));
    assert!(many.len() > 256 * 1024);
    assert_eq!(import("visits", &many).json(200)["imported"], 3_000);

    installation.until_applied().await;
    let someone = Someone::new(&installation, "coordinator", &[]);
    let path = format!("/api/v1/contracts/default/nights/{}", installation.tonight());
    let night = someone.get(&path).json(200);
    let visits = night["visits"].as_array().unwrap();
    assert_eq!(visits.len(), 3_002);
    let first = visits.iter().find(|visit| visit["visit_ref"] == "V-1").unwrap();
    assert_eq!((&first["status"], &first["reason"]), (&json!("cancelled"), &json!("hospital")));
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_changed_is_not_sent_again() {
    let installation = Installation::embedded();
    installation.import("visits", VISITS, &[row("V-1", 300), row("V-2", 310)]);
    let daemon = installation.start().await;
    let finance = Someone::new(&installation, "finance", &[]);
    let path = |what: &str| {
        format!("/api/v1/contracts/default/{what}?from={}&weeks=1", installation.tonight())
    };
    let csv = finance.request("GET", &path("schedule-3")).header("Accept", "text/csv").answer();
    assert_eq!(csv.body, installation.report("schedule-3"), "the command line says the same");
    let mark = csv.header("etag").unwrap().to_owned();
    let again = |mark: &str| {
        let again = finance.request("GET", &path("schedule-3")).header("Accept", "text/csv");
        again.header("If-None-Match", mark).answer()
    };
    assert_eq!((again(&mark).status, again(&mark).body), (304, String::new()));
    assert_eq!(again("\"other\"").status, 200);
    let json = finance.get(&path("schedule-3")).json(200);
    assert_eq!(json["rows"][0]["missed_quantity"], "1.00");
    let log = finance.request("GET", &path("visits")).header("Accept", "text/csv").answer();
    assert_eq!(log.body, installation.report("visits"));
    for (query, status) in [
        ("from=yesterday", 422),
        ("weeks=4", 422),
        ("from=2026-11-23&weeks=0", 422),
        ("from=2026-11-23&weeks=105", 422),
        ("from=2026-11-23&format=pdf", 422),
        ("from=2026-11-23&form=csv", 422),
    ] {
        let path = format!("/api/v1/contracts/default/schedule-3?{query}");
        assert_eq!(finance.get(&path).status, status, "{query}");
    }
    let odd = finance.request("GET", &path("schedule-3")).header("Accept", "image/png").answer();
    assert_eq!(odd.status, 406);
    let measured = finance.get(&path("punctuality")).json(200);
    assert_eq!(measured["contract"]["planned"], 2);
    assert_eq!(measured["contract"]["missed"], 2);
    assert_eq!(measured["contract"]["punctuality_percent"], 0.0);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_council_sees_references_only_and_who_looked_is_noted() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    let mut phone = installation.sender().await;
    installation.import("visits", VISITS, &[row("V-1", 20), row("V-2", 90)]);
    alerts.until("V-1", "tolerance", "open").await;
    let event = json!({
        "event_id": uuid::Uuid::new_v4().to_string(), "type": "check_in", "occurred_at": text(ago(60)),
        "visit_ref": "V-1", "note": "she was crying",
    });
    phone.ask("default/carer/ann-of-the-south", event.to_string()).await;
    alerts.until("V-2", "missed", "open").await;
    let council = Someone::new(&installation, "council", &["--contract", "default"]);
    let coordinator = Someone::new(&installation, "coordinator", &[]);
    for path in [
        format!("/api/v1/contracts/default/nights/{}", installation.tonight()),
        "/api/v1/contracts/default/visits/V-1".to_owned(),
        "/api/v1/alerts".to_owned(),
    ] {
        let (all, some) = (coordinator.get(&path), council.get(&path));
        assert_eq!((all.status, some.status), (200, 200));
        assert!(!some.body.contains("ann-of-the-south"), "{}", some.body);
        assert!(
            !some.body.contains("crying") && !some.body.contains("tolerance\""),
            "{}",
            some.body
        );
        assert!(some.body.contains("V-"), "{}", some.body);
    }
    let alerts = council.get("/api/v1/alerts?state=open").json(200);
    assert_eq!(alerts["alerts"][0]["kind"], "missed");
    let looked =
        "SELECT who || ' ' || what || ' ' || client_ref FROM access WHERE client_ref <> ''";
    let looked = installation.texts(looked).await;
    assert!(looked.contains(&"council on duty GET visit c-V-1".to_owned()), "{looked:?}");
    let refused = installation.database.try_execute("DELETE FROM access").await;
    assert!(refused.is_err(), "it cannot be forgotten");
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_come_page_by_page() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    let rows: Vec<String> = (0..7).map(|number| row(&format!("V-{number}"), 16 + number)).collect();
    installation.import("visits", VISITS, &rows);
    for number in 0..7 {
        alerts.until(&format!("V-{number}"), "tolerance", "open").await;
    }
    let someone = Someone::new(&installation, "coordinator", &[]);
    let (mut path, mut seen) = ("/api/v1/alerts?limit=3".to_owned(), Vec::new());
    loop {
        let page = someone.get(&path).json(200);
        let of_page = page["alerts"].as_array().unwrap();
        seen.extend(of_page.iter().map(|alert| alert["visit_ref"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut path),
            None => break,
        }
    }
    // The latest first; the one that was planned last fell due last.
    assert_eq!(seen, ["V-0", "V-1", "V-2", "V-3", "V-4", "V-5", "V-6"]);
    assert_eq!(someone.get("/api/v1/alerts?state=closed").status, 422);
    assert_eq!(someone.get("/api/v1/alerts?colour=red").status, 422);
    daemon.terminate().await;
}
