//! Imports: all or nothing, with every bad row named; and what follows from them.

use std::ffi::OsStr;
use std::pin::pin;

use chrono::TimeDelta;
use nightrun::clock;
use nightrun::domain::instant::Instant;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::daemon::{Installation, PATIENCE, Ran, VISITS, ago, csv, text};
use crate::support::engine::{Engine, on_both_engines};
use crate::support::people::Sender;

const ROWS: &str = "SELECT count(*) FROM planned_visit";
const ANN: &str = "default/carer/ann";

fn visit(name: &str, client: &str, start: Instant) -> String {
    let end = start + TimeDelta::minutes(30);
    format!("default,{name},Night care,Standard,{client},run-1,{},{},1", text(start), text(end))
}

fn check_in(fields: &Value) -> Value {
    let mut event = json!({
        "event_id": uuid::Uuid::new_v4().to_string(), "type": "check_in",
        "occurred_at": text(ago(99 * 60)),
    });
    for (name, value) in fields.as_object().expect("an object") {
        event[name] = value.clone();
    }
    event
}

/// A visit's line of the visit log.
fn line<'a>(report: &'a str, name: &str) -> Vec<&'a str> {
    let line = report.lines().find(|line| line.split(',').nth(2) == Some(name));
    line.unwrap_or_else(|| panic!("{name} is not in {report}")).split(',').collect()
}

fn status_and_flags(report: &str, name: &str) -> (String, String) {
    let line = line(report, name);
    (line[15].to_owned(), line[17].to_owned())
}

on_both_engines!(a_file_with_bad_rows_changes_nothing_and_each_is_named);
async fn a_file_with_bad_rows_changes_nothing_and_each_is_named(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let start = ago(600);
    let good = visit("V-1", "client-1", start);
    installation.import("visits", VISITS, &[visit("V-0", "client-0", start)]);
    let bad = [
        good.clone(),
        good.replace("default,V-1", "elsewhere,V-2"),
        visit("U-3", "client-3", start),
        visit("V-4", "client 4", start),
        format!("{}9", visit("V-5", "client-5", start)),
        format!("default,V-6,Night care,Standard,client-6,,{0},{0},1", text(start)),
        good.replace("client-1", "client-7"),
        "default,V-8,Night care,Standard,client-8,,yesterday,today,1".to_owned(),
        visit("V-9", "client-9", start),
    ];
    let ran = installation.try_import("visits", VISITS, &bad);
    ran.failed(1, &["nothing was taken from"]);
    let columns = [
        (3, "contract"),
        (4, "visit_ref"),
        (5, "client_ref"),
        (6, "carers_required"),
        (7, "planned_end"),
        (8, "visit_ref"),
        (9, "planned_start"),
    ];
    for (number, column) in columns {
        let named = ran
            .err
            .lines()
            .any(|line| line.contains(&format!("line {number}")) && line.contains(column));
        assert!(named, "line {number}, {column}: {}", ran.err);
    }
    assert!(!ran.err.contains("line 2,") && !ran.err.contains("line 10,"), "{}", ran.err);
    assert_eq!(installation.number(ROWS).await, 1);
    assert_eq!(installation.number("SELECT count(*) FROM import WHERE seq IS NOT NULL").await, 1);

    let ran = installation.try_import("visits", &format!("{VISITS},colour"), &[good]);
    ran.failed(1, &["colour"]);
    assert_eq!(installation.number(ROWS).await, 1);
}

on_both_engines!(a_dry_run_and_the_same_file_twice_change_nothing);
async fn a_dry_run_and_the_same_file_twice_change_nothing(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let rows: Vec<_> =
        (0..50).map(|n| visit(&format!("V-{n}"), &format!("client-{n}"), ago(n * 60))).collect();
    let file = installation.write("visits.csv", &csv(VISITS, &rows));
    let file = file.to_str().expect("text");
    let ran = installation.run(["import", "visits", file, "--dry-run"]).succeeded();
    assert!(ran.contains("50 rows would be imported"), "{ran}");
    assert!(!installation.path("nightrun.db").exists(), "a dry run makes no database");
    let ran = installation.run(["import", "visits", file]).succeeded();
    assert!(ran.contains("50 rows imported, 0 rows in force already"), "{ran}");
    assert_eq!(installation.number(ROWS).await, 50);
    let before = installation.report("visits");
    let ran = installation.run(["import", "visits", file]).succeeded();
    assert!(ran.contains("0 rows imported, 50 rows in force already"), "{ran}");
    // Columns in another order say the same.
    let lines = |row: &String| {
        let (contract, rest) = row.split_once(',').expect("columns");
        format!("{rest},{contract}")
    };
    let (contract, rest) = VISITS.split_once(',').expect("columns");
    let turned = csv(&format!("{rest},{contract}"), &rows.iter().map(lines).collect::<Vec<_>>());
    let ran = installation.run_with_input(["import", "visits", "-"], &turned).succeeded();
    assert!(ran.contains("0 rows imported, 50 rows in force already"), "{ran}");
    assert_eq!(installation.number(ROWS).await, 50);
    assert_eq!(installation.report("visits"), before);

    let more = csv(VISITS, &[visit("V-50", "client-50", ago(0))]);
    let ran = installation.run_with_input(["import", "visits", "-"], &more).succeeded();
    assert!(ran.contains("1 row imported"), "{ran}");
    assert_eq!(installation.number(ROWS).await, 51);
    for (kind, header, row) in [
        ("clients", "contract,client_ref,lat,lon,fence_m", "default,client-1,51.5,0.3,100"),
        ("carers", "contract,carer_ref,employment", "default,ann,agency"),
        ("devices", "contract,device_ref,client_ref,from", "default,unit-1,client-1,2019-02-04"),
        ("tags", "contract,tag,client_ref", "default,tag-1,client-1"),
        (
            "suspensions",
            "contract,client_ref,from,reason",
            "default,client-1,2019-02-04T00:00:00Z,in_hospital",
        ),
    ] {
        let first = installation.import(kind, header, &[row.to_owned()]);
        assert!(first.contains(" 0 rows in force already"), "{kind}: {first}");
        let again = installation.import(kind, header, &[row.to_owned()]);
        assert!(again.contains(" 0 rows imported, 1 row in force already"), "{kind}: {again}");
    }
    assert_eq!(installation.number("SELECT count(*) FROM register_row").await, 5);
}

on_both_engines!(a_moved_start_cannot_quietly_erase_a_miss);
async fn a_moved_start_cannot_quietly_erase_a_miss(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    let mut phone = installation.sender().await;
    let start = ago(100 * 60);
    installation.import("visits", VISITS, &[visit("V-1", "client-1", start)]);
    let (_, missed) = alerts.until("V-1", "missed", "open").await;

    let later = clock::now() + TimeDelta::minutes(20);
    installation.import("visits", VISITS, &[visit("V-1", "client-1", later)]);
    let (_, resolved) = alerts.until("V-1", "missed", "resolved").await;
    for field in ["alert_id", "due_at", "raised_at", "planned_start"] {
        assert_eq!(resolved[field], missed[field], "{field}");
    }
    assert_eq!(resolved["resolution"], "over");
    let report = installation.report("visits");
    assert_eq!(status_and_flags(&report, "V-1"), ("planned".to_owned(), "replanned".to_owned()));
    let kept = "SELECT count(*) FROM alert WHERE kind = 'missed' AND told = 1";
    assert_eq!(installation.number(kept).await, 1);
    // The plan has its history.
    assert_eq!(installation.number(ROWS).await, 2);

    // It has begun in the eyes of everybody who saw the first plan.
    installation.import("visits", VISITS, &[visit("V-1", "client-1", ago(60))]);
    let next_night = clock::now() + TimeDelta::days(1);
    let ran = installation.try_import("visits", VISITS, &[visit("V-1", "client-1", next_night)]);
    ran.failed(1, &["line 2", "planned_start", "V-1 has begun", "reference of its own"]);
    assert_eq!(installation.number(ROWS).await, 3);

    // So has one whose carer is early, and one to which nobody has come yet has not.
    let rows = |start: Instant| [visit("V-2", "client-2", start), visit("V-3", "client-3", start)];
    installation.import("visits", VISITS, &rows(later));
    phone.say(ANN, &check_in(&json!({"visit_ref": "V-2", "occurred_at": text(ago(1))}))).await;
    let ran = installation.try_import("visits", VISITS, &rows(next_night));
    ran.failed(1, &["line 2", "V-2 has begun"]);
    assert!(!ran.err.contains("V-3"), "{}", ran.err);
    installation.import("visits", VISITS, &rows(next_night)[1..]);
    daemon.terminate().await;
}

/// A visit that nobody came to, as far as is known until the register comes.
async fn missed(
    installation: &Installation,
    phone: &mut Sender,
    from: &str,
    event: &Value,
) -> Value {
    let receipt = phone.say(from, event).await;
    assert_eq!(receipt["visit"], "unplaced", "{receipt}");
    assert_eq!(installation.number("SELECT count(*) FROM event WHERE client_ref <> ''").await, 0);
    receipt
}

on_both_engines!(registers_that_come_after_the_events_place_them);
async fn registers_that_come_after_the_events_place_them(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    let mut phone = installation.sender().await;
    let start = ago(100 * 60);
    let names = ["tag", "unit", "position"];
    let rows = names.map(|name| visit(name, &format!("client-{name}"), start));
    installation.import("visits", VISITS, &rows);
    for name in names {
        alerts.until(name, "missed", "open").await;
    }
    missed(&installation, &mut phone, ANN, &check_in(&json!({"tag": "chip-1"}))).await;
    let position = json!({"position": {"lat": 51.5, "lon": 0.3, "accuracy_m": 10}});
    missed(&installation, &mut phone, "default/carer/cyd", &check_in(&position)).await;
    let unit = check_in(&json!({"carer_ref": "ben", "method": "telecare"}));
    missed(&installation, &mut phone, "default/device/unit-1", &unit).await;

    let imports = [
        ("tags", "contract,tag,client_ref", "default,chip-1,client-tag", "tag"),
        ("devices", "contract,device_ref,client_ref", "default,unit-1,client-unit", "unit"),
        ("clients", "contract,client_ref,lat,lon", "default,client-position,51.5,0.3", "position"),
    ];
    for (kind, header, row, name) in imports {
        assert_eq!(status_and_flags(&installation.report("visits"), name).0, "missed");
        installation.import(kind, header, &[row.to_owned()]);
        alerts.until(name, "missed", "resolved").await;
        let (status, flags) = status_and_flags(&installation.report("visits"), name);
        assert_eq!(status, "delivered", "{kind}");
        assert_eq!(flags, "no_check_out;reported_late", "{kind}");
    }
    // A duplicate is told where it belongs by now.
    let again = phone.ask("default/device/unit-1", unit.to_string()).await;
    let told = (&again["status"], &again["visit"], &again["visit_ref"]);
    assert_eq!(told, (&json!("duplicate"), &json!("planned"), &json!("unit")));
    daemon.terminate().await;
}

on_both_engines!(a_suspension_cancels_what_it_covers);
async fn a_suspension_cancels_what_it_covers(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    let start = ago(100 * 60);
    let rows = ["told", "untold"].map(|name| visit(name, &format!("client-{name}"), start));
    installation.import("visits", VISITS, &rows);
    alerts.until("told", "missed", "open").await;
    alerts.until("untold", "missed", "open").await;
    let row = |client: &str, from: Instant, notified: Instant| {
        format!("default,{client},{},in_hospital,{}", text(from), text(notified))
    };
    let (days_ago, just_now) = (ago(20 * 24 * 60 * 60), ago(110 * 60));
    installation.import(
        "suspensions",
        "contract,client_ref,from,reason,notified_at",
        &[
            row("client-told", days_ago, days_ago),
            // Too late to be no charge (R22).
            row("client-untold", just_now, just_now),
        ],
    );
    for (name, status) in [("told", "cancelled"), ("untold", "frustrated")] {
        let (_, alert) = alerts.until(name, "missed", "resolved").await;
        assert_eq!(alert["resolution"], "cancelled");
        let report = installation.report("visits");
        assert_eq!(line(&report, name)[15..17], [status, "in_hospital"]);
    }
    daemon.terminate().await;
}

on_both_engines!(a_long_import_does_not_keep_phones_waiting);
/// A year's plan is staged and then switched in, and what follows from it is drawn in steps, each of
/// which takes as long as it has rows, however long the plan is.
async fn a_long_import_does_not_keep_phones_waiting(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    let mut phone = installation.sender().await;
    // All of them missed long ago, of which nobody is told; and at last one of tonight.
    let past = |n: i64| {
        let start = ago((3 + n / 200) * 24 * 60 * 60);
        visit(&format!("V-{n}"), &format!("client-{}", n % 200), start)
    };
    let mut rows: Vec<_> = (0..20_000).map(past).collect();
    rows.push(visit("V-tonight", "client-tonight", ago(70 * 60)));
    let file = installation.write("year.csv", &csv(VISITS, &rows));
    let arguments = [OsStr::new("import"), OsStr::new("visits"), file.as_os_str()];
    let mut import = installation.command(arguments);
    let import = std::thread::spawn(move || Ran::from(import.output().expect("it ends")));

    let mut told = pin!(timeout(PATIENCE * 4, alerts.until("V-tonight", "missed", "open")));
    let mut longest = TimeDelta::zero();
    for number in 0.. {
        let event = check_in(&json!({"client_ref": format!("client-{}", number % 200)}));
        let sent_at = clock::now();
        tokio::select! {
            told = &mut told => {
                told.expect("it is told in time");
                break;
            }
            _ = phone.say(ANN, &event) => {}
        }
        longest = longest.max(clock::now() - sent_at);
    }
    import.join().expect("no panic").succeeded();
    assert!(longest < TimeDelta::seconds(10), "a phone waited for {longest}");
    daemon.terminate().await;
}
