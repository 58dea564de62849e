//! What cannot be done is said on standard error, in words that help, with the status that scripts
//! look at; and nothing panics.

use std::fs::{Permissions, set_permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::support::daemon::{Installation, Ran, quiet_port};
use crate::support::postgres::Postgres;

#[test]
fn a_port_that_is_in_use() {
    let installation = Installation::embedded();
    let listener = TcpListener::bind(("127.0.0.1", installation.port)).expect("the port");
    let port = format!("127.0.0.1:{}", installation.port);
    installation.run(["serve"]).failed(1, &["another program listens", &port, "broker.listen"]);
    drop(listener);
}

#[test]
fn a_database_in_a_folder_that_is_not_there() {
    let installation = Installation::embedded();
    let config = std::fs::read_to_string(installation.path("nightrun.toml")).expect("text");
    installation.write("nightrun.toml", &config.replace("nightrun.db", "nowhere/nightrun.db"));
    let from = ["--contract", "default", "--from", "2019-02-04"];
    let ran = installation.run(["serve"]);
    ran.failed(1, &["cannot open the database", "nowhere/nightrun.db", "folder exists"]);
    let ran = installation.run([&["report", "visits"], &from[..]].concat());
    ran.failed(1, &["there is no database", "nowhere/nightrun.db", "database.url"]);
    assert!(!installation.path("nowhere").exists());
}

#[test]
fn a_database_that_may_not_be_written() {
    let installation = Installation::embedded();
    installation.import("carers", "contract,carer_ref,employment", &[]);
    for (path, mode) in [("nightrun.db", 0o444), ("nightrun.toml", 0o444), ("", 0o555)] {
        set_permissions(installation.path(path), Permissions::from_mode(mode))
            .expect("the owner's");
    }
    for arguments in [&["serve"][..], &["import", "carers", "-"]] {
        let mut command = installation.command(arguments);
        // Permissions mean nothing to root.
        if installation.folder.path().metadata().expect("a folder").uid() == 0 {
            command.uid(65_534).gid(65_534);
        }
        let ran = Ran::from(command.output().expect("it runs"));
        ran.failed(1, &["database", "nightrun.db", "may be written"]);
    }
    set_permissions(installation.folder.path(), Permissions::from_mode(0o755))
        .expect("the owner's");
}

#[test]
fn a_file_that_is_no_database() {
    let installation = Installation::embedded();
    installation.write("nightrun.db", &"this is no database ".repeat(100));
    installation.run(["serve"]).failed(1, &["nightrun.db", "not a database"]);
}

#[test]
fn mistakes_in_the_configuration_are_said_all_at_once() {
    let installation = Installation::embedded();
    installation.write(
        "nightrun.toml",
        "[broker]\nurl = \"amqp://here\"\n[databse]\nurl = \"x\"\n[log]\nlevel = \"loud\"\n\
         [[contract]]\nid = \"a b\"\ntime_zone = \"Europe/Londn\"\nlate_minutes = 5\n",
    );
    let says =
        ["nightrun.toml", "broker.url", "databse", "log.level", "id", "time_zone", "late_minutes"];
    for command in ["check", "serve"] {
        installation.run([command]).failed(1, &says);
    }
    installation.write("nightrun.toml", "[broker\n");
    installation.run(["check"]).failed(1, &["nightrun.toml"]);
    installation.run(["--config", "missing.toml", "check"]).failed(2, &[]);
}

#[test]
fn a_configuration_that_is_not_there() {
    let installation = Installation::embedded();
    std::fs::remove_file(installation.path("nightrun.toml")).expect("it was there");
    installation.run(["check"]).failed(1, &["nightrun.toml"]);
}

#[test]
fn an_unknown_contract() {
    let installation = Installation::embedded();
    let report = ["report", "visits", "--contract", "elsewhere", "--from", "2019-02-04"];
    installation.run(report).failed(1, &["elsewhere", "nightrun check"]);
    let rows = ["elsewhere,ann,agency".to_owned()];
    let ran = installation.try_import("carers", "contract,carer_ref,employment", &rows);
    ran.failed(1, &["line 2", "contract"]);
}

#[test]
fn what_is_no_command() {
    let installation = Installation::embedded();
    let report = ["report", "visits", "--contract", "default", "--from"];
    let with = |more: &[&'static str]| [&report[..], more].concat();
    let cases: [(Vec<&str>, &[&str]); 9] = [
        (vec![], &["Usage"]),
        (vec!["serv"], &["serv"]),
        (with(&["2019-02-30"]), &["2019-02-30", "--from"]),
        (with(&["yesterday"]), &["yesterday", "--from"]),
        (with(&["2019-02-04", "--weeks", "0"]), &["--weeks"]),
        (with(&["2019-02-04", "--format", "pdf"]), &["pdf", "csv"]),
        (vec!["report", "visits", "--from", "2019-02-04"], &["--contract"]),
        (vec!["import", "visit", "file.csv"], &["visit", "visits"]),
        (
            vec!["replay", "--visits", "v", "--events", "e", "--out", "o", "--as-of", "2019-02-04"],
            &["--as-of", "2019-02-04"],
        ),
    ];
    for (arguments, says) in cases {
        installation.run(arguments).failed(2, says);
    }
}

#[test]
fn a_file_that_is_not_there() {
    let installation = Installation::embedded();
    installation.run(["import", "visits", "nowhere.csv"]).failed(1, &["nowhere.csv"]);
    let replay = ["replay", "--visits", "nowhere.csv", "--events", "e", "--out", "o", "--as-of"];
    let replay = replay.into_iter().chain(["2019-02-04T12:00:00Z"]);
    installation.run(replay).failed(1, &["nowhere.csv"]);
}

#[tokio::test]
async fn a_database_of_another_program() {
    let installation = Installation::embedded();
    let options = SqliteConnectOptions::new()
        .filename(installation.path("nightrun.db"))
        .create_if_missing(true);
    let mut db = SqliteConnection::connect_with(&options).await.expect("a database");
    sqlx::query("CREATE TABLE photograph (taken_at INTEGER)").execute(&mut db).await.expect("it");
    let ledger = ["ledger", "--night", "2019-02-04"];
    for (arguments, status) in [(&["serve"][..], 1), (&ledger, 2)] {
        installation.run(arguments).failed(status, &["nightrun.db", "another program's"]);
    }
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master")
        .fetch_one(&mut db)
        .await
        .expect("a number");
    assert_eq!(tables, 1, "nothing was added to it");
}

#[test]
fn a_postgres_that_cannot_be_used() {
    let server = Postgres::shared();
    let installation = Installation::embedded();
    let nobody = quiet_port();
    let (here, others) = (server.database(), server.database());
    server.sql(&others, "CREATE TABLE photograph (taken_at BIGINT)");
    server.sql(&here, "CREATE ROLE guest LOGIN");
    let url = |user: &str, port: u16, name: &str| {
        format!("postgres://{user}:secret@127.0.0.1:{port}/{name}")
    };
    let ledger = ["ledger", "--night", "2019-02-04"];
    let cases: [(String, &[&str]); 4] = [
        (url("nightrun", nobody, &here), &["cannot open the database", "see that it runs"]),
        (url("nightrun", server.port, "nowhere"), &["nowhere", "make the database first"]),
        (url("stranger", server.port, &here), &["stranger", "see database.url"]),
        (url("nightrun", server.port, &others), &[&others, "another program's"]),
    ];
    for (url, says) in cases {
        installation.configure(&url);
        for (arguments, status) in [(&["serve"][..], 1), (&ledger, 2)] {
            let ran = installation.run(arguments);
            ran.failed(status, says);
            assert!(!ran.err.contains("secret"), "{}", ran.err);
        }
    }
    // Only the daemon makes tables; who reads finds none.
    installation.configure(&url("guest", server.port, &here));
    installation.run(["serve"]).failed(1, &["permission denied", "must own the tables"]);
    installation.run(ledger).failed(2, &[&here, "is empty"]);
    let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(server.sql(&others, tables), "photograph\n", "nothing was added to it");
}

#[test]
fn an_import_of_a_file_that_is_not_there_makes_no_database() {
    let installation = Installation::embedded();
    let ran = installation.run(["import", "visits", "nowhere.csv"]);
    ran.failed(1, &["cannot read nowhere.csv"]);
    assert!(!installation.path("nightrun.db").exists());
}

#[test]
fn a_reader_that_goes_away() {
    let installation = Installation::embedded();
    let mut demo = installation.command(["demo"]).stdout(Stdio::piped()).spawn().expect("it runs");
    drop(demo.stdout.take());
    let status = demo.wait().expect("a status");
    assert_eq!(status.code(), Some(1), "an error, and no panic");
}
