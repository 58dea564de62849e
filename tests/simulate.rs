//! A simulated night of three hundred visits, played by phones that misbehave in every way: what
//! the daemon makes of it is the truth, the second time too; and who compares them can tell.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helpers as well")]

mod support;

use std::fs;

use sqlx::{Connection, SqliteConnection};
use support::Mosquitto;
use support::daemon::{Installation, Ran};
use support::engine::{Engine, on_both_engines};

fn simulate(installation: &Installation, visits: &str, arguments: &[&str]) -> Ran {
    let all = ["simulate", "--seed", "42", "--visits", visits, "--give-up-after", "60"];
    installation.run(all.iter().chain(arguments))
}

/// Events, duplicates of them left out, and alerts.
async fn counts(installation: &Installation) -> [i64; 2] {
    [
        installation.number("SELECT count(*) FROM event").await,
        installation.number("SELECT count(*) FROM alert").await,
    ]
}

async fn twice(installation: &Installation) {
    let daemon = installation.start().await;
    let first = simulate(installation, "300", &["--verify"]).succeeded();
    assert!(first.contains("\nverified: "), "{first}");
    let before = counts(installation).await;
    let second = simulate(installation, "300", &["--verify"]).succeeded();
    assert!(second.contains("\nverified: "), "{second}");
    assert_eq!(counts(installation).await, before, "nothing of it was new");
    // The same again, by a daemon that was away, and without playing.
    daemon.terminate().await;
    let daemon = installation.start().await;
    simulate(installation, "300", &["--verify-only"]).succeeded();
    daemon.terminate().await;
}

on_both_engines!(through_the_embedded_broker);
async fn through_the_embedded_broker(engine: Engine) {
    twice(&Installation::embedded().on(engine)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_mosquitto() {
    twice(&Installation::at(&Mosquitto::start(&[]))).await;
}

/// What is done to the database, and what is said then.
const TAMPERING: [(&str, &[&str]); 8] = [
    (
        "DROP TRIGGER event_is_kept; \
         DELETE FROM event WHERE id = (SELECT max(id) FROM event WHERE payload LIKE '%check_out%')",
        &["to be recorded, is not there"],
    ),
    (
        "DELETE FROM alert WHERE kind = 'missed' AND resolved_at IS NULL",
        &["nobody comes): expected missed open, is not open"],
    ),
    (
        "UPDATE alert SET resolved_at = 1, resolution = 'over', message = json_set(message, \
         '$.state', 'resolved', '$.resolution', 'over') WHERE kind = 'not_delivered'",
        &["refused at the door): expected not_delivered open, is not open"],
    ),
    (
        "INSERT INTO alert SELECT 'again', contract, night, client_ref, visit_ref, sender_kind, \
         sender_ref, carer_ref, kind, due_at, raised_at, told, resolved_at, resolution, message \
         FROM alert WHERE kind = 'off_site' LIMIT 1",
        &["expected one off_site at most, is 2 open"],
    ),
    (
        "INSERT INTO alert SELECT 'more', contract, night, client_ref, visit_ref, sender_kind, \
         sender_ref, carer_ref, kind, due_at, raised_at, told, resolved_at, resolution, \
         json_set(message, '$.kind', 'late') FROM alert WHERE kind = 'short_staffed' \
         AND resolved_at IS NULL LIMIT 1",
        &["one of two comes): expected no late, is open"],
    ),
    (
        "UPDATE planned_visit SET carers_required = 2 WHERE carers_required = 1",
        &["carers_required: expected 1, is 2", "status: expected delivered, is part_delivered"],
    ),
    (
        "DELETE FROM planned_visit WHERE cancelled_by = 'error'",
        &["a row that should not have been): expected to be in the visit log, is not there"],
    ),
    (
        "UPDATE planned_visit SET quantity = '0.5' WHERE quantity IS NOT NULL; \
         UPDATE night SET settled = NULL",
        &["Actual Quantity: expected 0.75, is 0.50"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_judge_can_tell() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    // Without those of this moment, which are not what is tampered with.
    simulate(&installation, "250", &["--faults", "late,clocks", "--verify"]).succeeded();
    daemon.terminate().await;
    let path = installation.path("nightrun.db");
    let truth = fs::read(&path).expect("the database");
    let judge = || simulate(&installation, "250", &["--faults", "late,clocks", "--verify-only"]);
    judge().succeeded();
    for (tamper, says) in TAMPERING {
        let url = format!("sqlite:{}", path.display());
        let mut database = SqliteConnection::connect(&url).await.expect("the database");
        let done = sqlx::query(tamper).execute(&mut database).await.expect("it is done");
        assert!(done.rows_affected() > 0, "{tamper}");
        database.close().await.expect("it is closed");
        let ran = judge();
        assert_eq!(ran.status, Some(1), "{tamper}: {}", ran.out);
        for words in says {
            assert!(ran.err.contains(words), "{tamper}: {words:?} is not in: {}", ran.err);
        }
        fs::write(&path, &truth).expect("the database");
    }
    judge().succeeded();

    let refused = |arguments: &str, status: i32, says: &str| {
        let ran = installation
            .run(["simulate", "--give-up-after", "1"].into_iter().chain(arguments.split(' ')));
        assert_eq!(ran.status, Some(status), "{}", ran.err);
        assert!(ran.err.contains(says), "{says:?} is not in: {}", ran.err);
    };
    refused("--seed 1 --visits 5 --faults nonsense", 2, "nonsense");
    refused("--seed 1 --visits 5 --rate fast", 2, "write a number");
    refused("--seed 1 --visits 5 --verify-only", 1, "never played");
    refused("--seed 42 --visits 240 --faults late,clocks", 1, "is not that of the earlier run");
    refused("--seed 42 --visits 250 --faults none", 1, "is not that of the earlier run");
    refused("--seed 42 --visits 250 --at 2026-01-01T00:00:00Z", 1, "leave --at out");
    // Nobody is there to answer.
    refused("--seed 2 --visits 5", 1, "no phones can be played");
}
