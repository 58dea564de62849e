//! Several daemons on one PostgreSQL and at one broker. Each is killed in turn, one hangs, one is
//! stopped: nothing is lost, doubled or late.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant as Tick};

use chrono::{DateTime, TimeDelta};
use nightrun::clock;
use nightrun::domain::instant::Instant;
use tokio::time::sleep;

use crate::ear::Ear;
use crate::support::daemon::{Daemon, Installation, PATIENCE, Ran, VISITS, quiet_port, text};
use crate::support::engine::Engine;
use crate::support::{Mosquitto, within};

/// Visits to which nobody comes; one after the other falls due while things are broken.
const AWAITED: i64 = 60;
/// The pause between two of them.
const APART: TimeDelta = TimeDelta::milliseconds(400);
/// So many fall due before anything is broken.
const UNDISTURBED: usize = 5;
/// How long after its instant an alert may be heard when nothing is broken.
const LATE_AT_MOST: TimeDelta = TimeDelta::seconds(1);

/// One more daemon, which has the same configuration and answers elsewhere.
fn spawn(installation: &Installation) -> Daemon {
    let mut command = installation.command(["serve"]);
    let http = format!("127.0.0.1:{}", quiet_port());
    Installation::spawned(command.env("NIGHTRUN__HTTP__LISTEN", http))
}

fn signal(daemon: &Daemon, signal: &str) {
    let pid = daemon.pid().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
}

/// A fleet, and where it works.
struct Several {
    installation: Installation,
    daemons: Vec<Daemon>,
}

impl Several {
    async fn start(broker: &Mosquitto, number: usize) -> Self {
        let lines = format!("url = \"mqtt://127.0.0.1:{}\"\nshared_group = \"g-1\"", broker.port);
        let installation = Installation::at(broker).on(Engine::Postgres).with_broker(&lines);
        let path = installation.path("nightrun.toml");
        let text = std::fs::read_to_string(&path).expect("its configuration");
        // What the simulator knows nothing of has a contract of its own.
        let (_, default) = text.split_once("[[contract]]").expect("a contract");
        let watched = default.replace("\"default\"", "\"watched\"");
        installation.write("nightrun.toml", &format!("{text}[[contract]]{watched}"));
        let mut this = Self { installation, daemons: Vec::new() };
        for _ in 0..number {
            let daemon = spawn(&this.installation);
            this.daemons.push(daemon);
        }
        for daemon in &this.daemons {
            daemon.ready().await;
        }
        this.has_slots(number).await;
        this
    }

    async fn another(&mut self) {
        let daemon = spawn(&self.installation);
        daemon.ready().await;
        self.daemons.push(daemon);
    }

    /// Waits until there are so many slots, and no daemon has two.
    async fn has_slots(&self, number: usize) {
        let give_up_at = Tick::now() + PATIENCE;
        loop {
            let slots = self.installation.texts("SELECT number || ' ' || holder FROM slot").await;
            let holders: BTreeSet<_> =
                slots.iter().filter_map(|one| one.split(' ').nth(1)).collect();
            if slots.len() == number && holders.len() == number && !holders.contains("") {
                return;
            }
            assert!(Tick::now() < give_up_at, "not {number} slots: {slots:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until there are so many of those.
    async fn has(&self, those: &str, number: i64) {
        let give_up_at = Tick::now() + PATIENCE;
        while self.installation.number(those).await < number {
            assert!(Tick::now() < give_up_at, "not {number}: {those}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Plans the visits to which nobody comes; when each is due of which the daemons know in time.
    async fn await_visits(&self) -> Vec<(String, Instant)> {
        let first = clock::now() + TimeDelta::seconds(4);
        let due = (0..AWAITED).map(|number| {
            let apart = APART * i32::try_from(number).expect("few");
            (format!("W-{number:02}"), first + apart)
        });
        let mut due: Vec<_> = due.collect();
        let rows = due.iter().map(|(name, due_at)| {
            let start = *due_at - TimeDelta::minutes(15);
            let end = start + TimeDelta::minutes(30);
            let (start, end) = (text(start), text(end));
            format!("watched,{name},Night care,Standard,c-{name},,{start},{end},1")
        });
        self.installation.import("visits", VISITS, &rows.collect::<Vec<_>>());
        self.has("SELECT count(*) FROM night WHERE contract = 'watched'", AWAITED).await;
        due.retain(|(_, due_at)| *due_at > clock::now());
        due
    }

    fn ledger(&self, contract: &str) {
        let night = self.installation.tonight().to_string();
        self.installation.run(["ledger", "--contract", contract, "--night", &night]).succeeded();
    }
}

/// Each visit has one `tolerance`, which says that it is confirmed. How late they were heard at most.
async fn heard_late_by(ear: &Ear, due: &[(String, Instant)]) -> TimeDelta {
    let mut late_by = TimeDelta::zero();
    for (visit, due_at) in due {
        let (at, alert) = ear.until(visit, "tolerance", "open").await;
        let said = alert["due_at"].as_str().expect("text");
        let said = DateTime::parse_from_rfc3339(said).expect("an instant").to_utc();
        assert_eq!(said, *due_at, "{visit}");
        late_by = late_by.max(at - said);
        assert_eq!(alert["unconfirmed"], false, "{visit}");
        let ids: BTreeSet<String> = ear
            .heard()
            .iter()
            .filter(|(_, one)| one["visit_ref"] == alert["visit_ref"])
            .map(|(_, one)| one["alert_id"].to_string())
            .collect();
        assert_eq!(ids.len(), 1, "{visit} is told once: {ids:?}");
    }
    late_by
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_three_daemons_dies_in_turn_and_nobody_notices() {
    let broker = Mosquitto::start(&[]);
    let mut several = Several::start(&broker, 3).await;
    let ear = Ear::to_alerts(broker.port).await;
    let play = ["simulate", "--seed", "7", "--visits", "150", "--rate", "25/s", "--verify"];
    let simulator = several.installation.command(play).spawn().expect("it starts");
    // The simulated night goes on, so what it planned has been looked at.
    several.has("SELECT count(*) FROM event", 30).await;
    let due = several.await_visits().await;
    // A machine that is too busy even so may take as much longer for the rest.
    let undisturbed = heard_late_by(&ear, &due[..UNDISTURBED]).await.max(LATE_AT_MOST);

    for _ in 0..3 {
        several.daemons.remove(0).kill9();
        several.has_slots(2).await;
        several.another().await;
    }
    // One hangs for so long that another has its slot; then it takes another one.
    signal(&several.daemons[0], "-STOP");
    several.has_slots(2).await;
    signal(&several.daemons[0], "-CONT");
    several.daemons[0].logged("another daemon has this daemon's slot").await;
    several.has_slots(3).await;
    several.daemons.remove(1).terminate().await;
    several.has_slots(2).await;
    several.another().await;

    let late_by = heard_late_by(&ear, &due[UNDISTURBED..]).await;
    assert!(late_by <= undisturbed * 2, "{late_by} late; undisturbed, {undisturbed}");
    println!("{late_by} late; undisturbed, {undisturbed}");
    let ended = tokio::task::spawn_blocking(move || simulator.wait_with_output());
    let ended = within("the simulated night's end", ended).await.expect("no panic");
    let verdict = Ran::from(ended.expect("it ends")).succeeded();
    assert!(verdict.contains("verified: "), "{verdict}");
    several.ledger("default");
    several.ledger("watched");
    several.installation.until_published().await;
    for daemon in several.daemons {
        daemon.terminate().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_shares_with_nobody_bears_nobody_beside() {
    let broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker).on(Engine::Postgres);
    let daemon = installation.start().await;
    let refused = installation.run_with_input(["serve"], "");
    refused.failed(1, &["another nightrun serves from this database", "broker.shared_group"]);
    // What is killed leaves its slot to the next.
    daemon.kill9();
    let daemon = installation.start().await;
    // One that hangs has lost its slot to who comes then, and stops.
    signal(&daemon, "-STOP");
    let next = spawn(&installation);
    next.ready().await;
    signal(&daemon, "-CONT");
    daemon.logged("since this one was held up").await;
    assert!(!daemon.ended().await.0.success());
    next.terminate().await;
}
