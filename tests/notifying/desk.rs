//! What these stories have in common: nights, and the time that passes in the database.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant as Tick};

use chrono::TimeDelta;
use nightrun::domain::instant::Instant;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::daemon::{Daemon, Installation, PATIENCE, Process, VISITS, ago, text};
use crate::support::people::Sender;
use crate::support::within;

pub const ANN: &str = "default/carer/ann";
/// What keeps a story short: nothing waits for others, and nobody for long.
pub const AT_ONCE: &str = "[notify]\ngroup_within_seconds = 0\nmost_per_minute = 600\n";

/// A visit of half an hour to a client of its own, planned so many minutes ago: late after 30, missed
/// after 60.
pub fn visit(name: &str, run: &str, minutes: i64) -> String {
    let start = ago(minutes * 60);
    let (start, end) = (text(start), text(start + TimeDelta::minutes(30)));
    format!("default,{name},Night care,Standard,client-{name},{run},{start},{end},1")
}

/// Starts the daemon, and has a phone heard: the phones of several runs that are all silent would be
/// blindness.
pub async fn start(installation: &Installation) -> (Daemon, Sender) {
    let daemon = installation.start().await;
    (daemon, heard(installation).await)
}

/// A phone that was heard.
pub async fn heard(installation: &Installation) -> Sender {
    let mut phone = installation.sender().await;
    let elsewhere = json!({
        "event_id": uuid::Uuid::new_v4().to_string(), "type": "check_in",
        "client_ref": "client-elsewhere", "occurred_at": text(ago(1)),
    });
    phone.say(ANN, &elsewhere).await;
    phone
}

pub fn plan(installation: &Installation, visits: &[String]) {
    installation.import("visits", VISITS, visits);
}

pub fn check_in(visit: &str, at: Instant) -> Value {
    json!({
        "event_id": uuid::Uuid::new_v4().to_string(), "type": "check_in", "visit_ref": visit,
        "occurred_at": text(at),
    })
}

/// Waits until so many rows are there of which that is so.
pub async fn until(installation: &Installation, table: &str, is_so: &str, count: i64) {
    let query = format!("SELECT count(*) FROM {table} WHERE {is_so}");
    let give_up_at = Tick::now() + PATIENCE;
    loop {
        let found = installation.number(&query).await;
        if found == count {
            return;
        }
        assert!(Tick::now() < give_up_at, "{found}, not {count}: {query}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// So much time has passed that everything is due that waits, and nobody is left alone any longer.
pub async fn time_passes(installation: &Installation) {
    installation
        .execute(
            "UPDATE recipient SET free_at = 0; \
             UPDATE notification SET due_at = 0 WHERE due_at IS NOT NULL",
        )
        .await;
}

/// What was told, to whom, and what became of it; in order.
pub async fn fates(installation: &Installation) -> Vec<String> {
    installation
        .texts(
            "SELECT n.recipient || ' ' || n.occasion || ' ' || a.kind || ' ' || n.state \
             FROM notification n JOIN alert a ON a.id = n.alert_id \
             ORDER BY n.recipient, n.written_at, n.occasion, a.kind",
        )
        .await
}

/// Somebody else's program, which says on each line what it was told.
pub struct Program {
    _process: Process,
    lines: UnboundedReceiver<Value>,
}

impl Program {
    /// Starts it, and waits until it is ready.
    pub async fn start<A: AsRef<OsStr>>(
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/notifying").join(name);
        let mut child = Command::new("/usr/bin/python3")
            .arg(program)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let output = BufReader::new(child.stdout.take().expect("its output")).lines();
        let (say, lines) = unbounded_channel();
        std::thread::spawn(move || {
            for line in output.map_while(Result::ok) {
                // Nobody need listen.
                let _ = say.send(serde_json::from_str(&line).expect("JSON"));
            }
        });
        let mut this = Self { _process: Process(child), lines };
        assert_eq!(this.next().await, "ready");
        this
    }

    /// What it says next.
    pub async fn next(&mut self) -> Value {
        within("a line of the program", self.lines.recv()).await.expect("it goes on")
    }
}
