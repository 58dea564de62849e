//! A plan for nights that are over: its alerts are recorded, and nobody is told of them (R21).

use chrono::TimeDelta;
use serde_json::json;

use crate::support::daemon::{Installation, VISITS, ago, text};
use crate::support::engine::{Engine, on_both_engines};

on_both_engines!(a_plan_for_nights_that_are_over_records_its_alerts_and_tells_nobody);
async fn a_plan_for_nights_that_are_over_records_its_alerts_and_tells_nobody(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    let mut phone = installation.sender().await;
    let row = |visit: &str, minutes_ago: i64| {
        let start = ago(minutes_ago * 60);
        let end = start + TimeDelta::minutes(30);
        format!("default,{visit},Night care,Standard,client,,{},{},1", text(start), text(end))
    };
    let days = 24 * 60;
    let rows: Vec<_> = (1..=20).map(|n| row(&format!("V-{n}"), n * days + 60)).collect();
    installation.import("visits", VISITS, &rows);
    // Late evidence resolves what nobody has heard of, and nobody hears of that either.
    let occurred_at = text(ago((days * 3 + 60) * 60));
    let event = json!({
        "event_id": "6e6f7468-0000-4000-8000-000000000001", "type": "check_in",
        "visit_ref": "V-3", "occurred_at": occurred_at,
    });
    phone.say("default/carer/ann", &event).await;
    // The visit of tonight comes last, and is the first of which anybody hears.
    installation.import("visits", VISITS, &[row("V-0", 100)]);
    let (_, first) = alerts.next().await;
    assert_eq!((&first["visit_ref"], &first["kind"]), (&json!("V-0"), &json!("missed")));

    let open = "SELECT visit_ref FROM alert WHERE kind = 'missed' AND resolved_at IS NULL \
                AND told = 0 AND message LIKE '%\"state\":\"open\"%'";
    let recorded = installation.texts(open).await;
    let expected: Vec<_> = (1..=20).filter(|n| *n != 3).map(|n| format!("V-{n}")).collect();
    assert_eq!(
        recorded.into_iter().collect::<std::collections::BTreeSet<_>>(),
        expected.into_iter().collect()
    );
    let told = "SELECT count(*) FROM alert WHERE told = 1 AND visit_ref <> 'V-0'";
    assert_eq!(installation.number(told).await, 0);
    let of_3 = "SELECT count(*) FROM alert WHERE visit_ref = 'V-3' AND resolved_at IS NULL \
                AND kind IN ('tolerance', 'late', 'missed')";
    assert_eq!(installation.number(of_3).await, 0);
    daemon.terminate().await;
}
