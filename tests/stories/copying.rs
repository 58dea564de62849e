//! A SQLite file is copied into PostgreSQL, whole, whatever happens meanwhile; the daemon goes on there.

use std::process::Stdio;

use nightrun::clock;
use nightrun::store::{copy, outbox};
use serde_json::json;
use sqlx::Connection;
use tokio::time::{Instant as Tick, sleep};

use super::accounting;
use crate::support::daemon::{Installation, PATIENCE, Process, Ran};
use crate::support::engine::{Database, Engine};

/// What is still to be published: alerts wait for those who listen.
const UNSAID: (&str, &str) = (
    "nightrun/v1/default/alert/missed",
    r#"{"contract":"default","kind":"missed","visit_ref":"V-\u0000","state":"open"}"#,
);

/// A database on PostgreSQL beside the installation's file.
fn target(installation: &Installation) -> Database {
    Database::new(Engine::Postgres, installation.folder.path())
}

fn copied(installation: &Installation, to: &Database) -> Ran {
    installation.run(["copy", "--from", "sqlite:nightrun.db", "--to", &to.url()])
}

/// Everything that can be read of it.
fn read(installation: &Installation) -> Vec<String> {
    let night = installation.tonight().to_string();
    let ledger = installation.run(["ledger", "--night", &night, "--messages"]).succeeded();
    // It says as of which second it is.
    let said = ledger.lines().map(|line| line.split(", at ").next().unwrap_or_default());
    vec![
        said.collect::<Vec<_>>().join("\n"),
        installation.report("visits"),
        installation.report("schedule-3"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_copied_and_the_daemon_goes_on_there() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    accounting::play(&installation).await;
    alerts.until("V-missed", "missed", "open").await;
    let mut phone = installation.sender().await;
    let event = json!({
        "event_id": "6e6f7468-0000-4000-8000-000000000001", "type": "check_in",
        "client_ref": "c-12", "occurred_at": "2026-01-01T00:00:00Z", "note": "tab\t, \\ and\nline",
    });
    phone.say("default/carer/dot", &event).await;
    phone.send("default/carer/dot", &b"no \xff text\0, \\x\t\n"[..]);
    assert_eq!(phone.receipt().await.1["status"], "rejected");
    daemon.terminate().await;
    {
        let store = installation.database.open().await;
        let mut tx = store.write().await.expect("a transaction");
        let unsaid = [(UNSAID.0.to_owned(), UNSAID.1.to_owned())];
        outbox::add(&mut tx, outbox::Kind::Alert, &unsaid, clock::now()).await.expect("the outbox");
        tx.commit().await.expect("the outbox");
        store.close().await;
    }

    let before = std::fs::read(installation.path("nightrun.db")).expect("the file");
    let target = target(&installation);
    let said = copied(&installation, &target).succeeded();
    assert!(said.contains("everything is in ") && !said.contains("DIFFERS"), "{said}");
    assert!(std::fs::read(installation.path("nightrun.db")).expect("the file") == before);
    copied(&installation, &target).failed(1, &["is not empty", "(there are rows in "]);

    let of_file = read(&installation);
    installation.configure(&target.url());
    assert_eq!(read(&installation), of_file);

    let open = "SELECT id FROM alert WHERE resolved_at IS NULL ORDER BY id";
    let still_open = target.texts(open).await;
    assert!(!still_open.is_empty() && still_open == installation.texts(open).await);
    let daemon = installation.spawn();
    daemon.logged("listens").await;
    let mut alerts = installation.alerts().await;
    alerts.until("V-\0", "missed", "open").await;
    let mut phone = installation.sender().await;
    daemon.ready().await;
    let again = phone.ask("default/carer/dot", event.to_string()).await;
    assert_eq!(again["status"], "duplicate", "{again}");
    let next = json!({
        "event_id": "6e6f7468-0000-4000-8000-000000000002", "type": "check_in",
        "client_ref": "c-12", "occurred_at": "2026-01-01T00:10:00Z",
    });
    phone.say("default/carer/dot", &next).await;
    daemon.terminate().await;
    assert_eq!(target.number("SELECT count(*) FROM outbox").await, 0);
    let now_open = target.texts(open).await;
    assert!(still_open.iter().all(|id| now_open.contains(id)), "{still_open:?} {now_open:?}");
    installation.ledger();
}

/// More rows than one transaction takes, and values that need care.
const MANY: &str = "
    INSERT INTO import (id, kind, started_at, seq) VALUES (3, 'clients', 1, 1);
    INSERT INTO register_row (id, import_id, contract, kind, ref, held_from, content)
    WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 12000)
    SELECT n * 2, 3, 'default', 'client', 'C-' || n, '', '{}' FROM n;
    INSERT INTO rejected (id, topic, payload_sha256, code, detail, payload, received_at)
    VALUES (9, 'été', '', 'x', char(9, 92, 10, 13, 92, 46, 10, 92, 78), x'005c780aff', -1);
    INSERT INTO night (contract, client_ref, night) VALUES
    ('a', 'z', '1'), ('a', 'Z', '1'), ('a', 'z.', '1'), ('a', 'é', '1'), ('', '', ''), ('a', 'z-1', '1');
    INSERT INTO alert (id, contract, night, kind, due_at, raised_at, told, message)
    VALUES ('a', 'default', '2026-01-01', 'missed', 1, 2, 3, '\\N'), ('b', '', '', '', 1, 2, 3, '')";

/// Waits until the query finds more than nothing.
async fn until_some(database: &Database, query: &str) {
    let give_up_at = Tick::now() + PATIENCE;
    while database.number(query).await == 0 {
        assert!(Tick::now() < give_up_at, "in vain: {query}");
        sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_killed_goes_on_and_what_was_changed_in_it_is_found() {
    let installation = Installation::embedded();
    installation.database.open().await.close().await;
    installation.execute(MANY).await;
    let target = target(&installation);
    installation.configure(&target.url());
    let made = installation.run(["migrate"]).succeeded();
    assert!(made.contains("made just now"), "{made}");
    let made = installation.run(["migrate"]).succeeded();
    assert!(made.contains("nothing was to do"), "{made}");

    // It cannot come to its end: somebody holds a row that it has to write.
    let mut holder = target.admin().await;
    let row = "BEGIN; INSERT INTO alert (id, contract, night, kind, due_at, raised_at, told, message) \
               VALUES ('b', '', '', '', 1, 2, 3, '')";
    sqlx::raw_sql(row).execute(&mut holder).await.expect("a row");
    let url = target.url();
    let mut command = installation.command(["copy", "--from", "sqlite:nightrun.db", "--to", &url]);
    let mut child = Process(command.stderr(Stdio::null()).spawn().expect("it starts"));
    until_some(&target, "SELECT count(*) FROM register_row").await;
    copied(&installation, &target).failed(1, &["another nightrun serves from the database"]);
    child.0.kill().expect("kill");
    assert_eq!(child.wait().code(), None);
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.expect("the row is gone");
    holder.close().await.expect("it goes");

    let unfinished = ["holds a copy that is not finished"];
    installation.run(["serve"]).failed(1, &unfinished);
    installation.run(["migrate"]).failed(1, &unfinished);
    installation.run(["ledger", "--night", "2026-01-01"]).failed(2, &unfinished);
    target.try_execute("UPDATE register_row SET content = '[]' WHERE id = 2").await.expect("a row");
    let ran = copied(&installation, &target);
    let (differs, same) = ran.out.lines().partition::<Vec<_>, _>(|line| line.contains("DIFFERS"));
    assert_eq!((ran.status, same.len()), (Some(1), copy::TABLES.len()), "{}", ran.err);
    assert!(matches!(differs[..], [line] if line.starts_with("register_row ")), "{}", ran.out);
    assert!(ran.err.contains("no daemon starts on it"), "{}", ran.err);
    installation.run(["serve"]).failed(1, &unfinished);
    target.try_execute("UPDATE register_row SET content = '{}' WHERE id = 2").await.expect("a row");

    // Since an import it is another file.
    let file = std::fs::read(installation.path("nightrun.db")).expect("the file");
    installation.execute("INSERT INTO import (kind, started_at) VALUES ('tags', 1)").await;
    copied(&installation, &target).failed(1, &["of another file, or of this one before"]);
    std::fs::write(installation.path("nightrun.db"), file).expect("the file");

    let ran = copied(&installation, &target);
    assert!(ran.err.contains("12012 of 12012 rows are there already"), "{}", ran.err);
    assert!(ran.succeeded().contains("everything is in "));
    assert_eq!(target.number("SELECT sum(alerts) FROM ledger").await, 2);
    installation.import("clients", "contract,client_ref", &["default,C-new".to_owned()]);
    assert_eq!(target.number("SELECT max(id) FROM register_row").await, 24_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_in_use_are_not_copied() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    let target = target(&installation);
    copied(&installation, &target).failed(1, &["another nightrun serves from the database"]);
    daemon.terminate().await;
    let other = Installation::embedded().with_database(target);
    let daemon = other.start().await;
    copied(&installation, &other.database).failed(1, &["is used by another nightrun"]);
    daemon.terminate().await;
    copied(&installation, &other.database).failed(1, &["is not empty"]);

    installation.execute("DELETE FROM _sqlx_migrations WHERE version = 5").await;
    let fresh = self::target(&installation);
    copied(&installation, &fresh).failed(1, &["of version 4", "run `nightrun migrate`"]);
}
