//! Whether the daemon works, as operators and systemd see it (R25): it hears the broker, and commits.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use serde_json::json;
use sqlx::{Connection, SqliteConnection};

use crate::support::Mosquitto;
use crate::support::daemon::{Installation, PATIENCE};
use crate::support::engine::Database;
use crate::support::postgres::{Postgres, Stop};

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_its_broker_is_alive_and_not_ready() {
    let mut broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker);
    let daemon = installation.start().await;
    let ready = installation.until_ready_is(200).await;
    assert_eq!(ready["checks"], json!({"hears_broker": true, "commits": true}));
    broker.kill9();
    let not = installation.until_ready_is(503).await;
    assert_eq!(not["checks"], json!({"hears_broker": false, "commits": true}));
    assert_eq!(not["detail"], "it does not hear the broker");
    assert_eq!(not["title"], "Service Unavailable");
    assert_eq!(installation.get("/healthz"), (200, json!({"status": "alive"})));
    assert_eq!(installation.get("/nothing").0, 404);
    broker.start_again();
    installation.until_ready_is(200).await;
    // What is killed has not written its sessions to the disk.
    daemon.logged("the broker has forgotten the session").await;
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_cannot_commit_is_not_ready() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    installation.until_ready_is(200).await;
    let url = format!("sqlite:{}", installation.path("nightrun.db").display());
    let mut other = SqliteConnection::connect(&url).await.expect("the database");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("locked");
    let not = installation.until_ready_is(503).await;
    assert_eq!(not["checks"], json!({"hears_broker": true, "commits": false}));
    sqlx::query("ROLLBACK").execute(&mut other).await.expect("free");
    installation.until_ready_is(200).await;
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_whose_postgres_is_away_is_not_ready() {
    let server = Arc::new(Postgres::start(&[]));
    let installation = Installation::embedded().with_database(Database::at(&server));
    let daemon = installation.start().await;
    installation.until_ready_is(200).await;
    server.stop(Stop::Fast);
    let not = installation.until_ready_is(503).await;
    assert_eq!(not["checks"], json!({"hears_broker": true, "commits": false}));
    server.start_again();
    installation.until_ready_is(200).await;
    daemon.terminate().await;
}

/// What systemd would be told, and when its watchdog would be fed.
#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_is_fed_only_while_the_daemon_works() {
    let mut broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker);
    let path = installation.path("notify");
    let systemd = UnixDatagram::bind(&path).expect("a socket");
    systemd.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut command = installation.command(["serve"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000");
    let daemon = Installation::spawned(&mut command);
    let next = || {
        let mut buffer = [0; 4096];
        let length = systemd.recv(&mut buffer).expect("a message within a minute");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let until = |words: &str| while !next().contains(words) {};
    until("READY=1");
    until("WATCHDOG=1");
    broker.stop();
    until("STATUS=it does not hear the broker");
    broker.start_again();
    // Nothing was fed in between: what is said next is that it is well again.
    assert_eq!(next(), "STATUS=hears the broker and commits\n");
    until("WATCHDOG=1");
    daemon.ask_to_stop();
    until("STOPPING=1");
    assert!(daemon.ended().await.0.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_on_one_database_are_one_too_many() {
    let broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker);
    let daemon = installation.start().await;
    installation.run(["serve"]).failed(1, &["another nightrun serves from the database"]);
    daemon.kill9();
    installation.start().await.terminate().await;
}
