//! The daemon killed a hundred times, and the broker killed.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::sleep;

use crate::fleet::{Habits, USUAL};
use crate::judge::{Expected, Puback};
use crate::night::{Night, SEES, says};
use crate::support::Mosquitto;
use crate::support::daemon::Installation;

const KILLS: usize = 100;
/// As an app at a carer's side: it does not wait for long.
const HASTY: Habits = Habits { patience: Duration::from_millis(500), ..USUAL };

/// A random moment: a pause of up to so many milliseconds.
pub async fn random_moment(up_to_millis: u64) {
    let random = u64::from_le_bytes(*uuid::Uuid::new_v4().as_bytes().first_chunk().expect("16"));
    sleep(Duration::from_millis(random % up_to_millis)).await;
}

async fn killed_a_hundred_times(installation: Installation, puback: Puback) {
    let mut daemon = installation.start().await;
    let mut night = Night::begin(installation, 4 * KILLS, HASTY).await;
    // What was raised, and not told before a kill, is told after the next start, and with the broker
    // inside three seconds after.
    night.late_at_most += TimeDelta::seconds(3);
    // Its instant comes somewhere among the kills, like that of one that is attended.
    night.watch("nobody", 10, Expected::Told);
    night.watch("somebody", 10, Expected::Nothing);
    night.comes("somebody");
    for kill in 0..KILLS {
        night.happen(2);
        random_moment(350).await;
        night.kill9(daemon);
        night.acknowledged_is_stored(puback).await;
        night.happen(2);
        random_moment(50).await;
        daemon = night.installation.spawn();
        if kill % 25 == 24 {
            // Long enough to see; else nothing would ever be due.
            daemon.logged(SEES).await;
        }
    }
    daemon.logged(SEES).await;
    night.judge(&daemon).await;
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_is_killed_a_hundred_times_mosquitto() {
    let broker = Mosquitto::start(&[]);
    killed_a_hundred_times(Installation::at(&broker), Puback::Queued).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_is_killed_a_hundred_times_embedded() {
    killed_a_hundred_times(Installation::embedded(), Puback::Committed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_was_not_sent_waits_for_those_who_listen() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    let mut night = Night::begin(installation, 0, USUAL).await;
    night.watch("nobody", 0, Expected::Raised);
    night.ear.until("nobody", "tolerance", "open").await;
    night.kill9(daemon);
    let not_sent = "INSERT INTO outbox (kind, messages, written_at, not_before) \
                    SELECT 'alert', json_array(json_array('nightrun/v1/default/alert/tolerance', \
                    message)), 0, 0 FROM alert";
    night.installation.execute(not_sent).await;
    let daemon = night.installation.start().await;
    night.ear.has_heard(2).await;
    night.judge(&daemon).await;
    daemon.terminate().await;
}

/// The daemon is connected when the broker is killed, then away.
async fn the_broker_is_killed(mut broker: Mosquitto, keeps: bool) {
    let installation = Installation::at(&broker);
    let mut daemon = installation.start().await;
    let mut night = Night::begin(installation, 40, HASTY).await;
    if keeps {
        // It saves after each change, so it takes its time for everything.
        night.late_at_most = TimeDelta::seconds(10);
    }
    night.watch("nobody", 4, Expected::Unconfirmed);
    night.watch("somebody", 4, Expected::NothingFalse);
    night.happen(10);
    night.fleet.has_receipts(20).await;
    night.happen(10);
    broker.kill9();
    night.comes("somebody");
    night.happen(5);
    night.all_due().await;
    broker.start_again();
    daemon.logged_times(SEES, 2).await;
    // The session once, and the connection that publishes.
    says(&daemon, "receipts and alerts wait", 1..=1);
    says(&daemon, "check that the broker runs", 2..=2);
    let forgotten = if keeps { 0..=0 } else { 1..=1 };
    says(&daemon, "make its sessions persistent", forgotten);
    night.fleet.is_answered().await;
    // What the broker has taken while the daemon was away.
    night.kill9(daemon);
    night.happen(15);
    night.fleet.until("PUBACKs", |book| book.acknowledged.len() == book.said.len()).await;
    broker.kill9();
    broker.start_again();
    daemon = night.installation.start().await;
    says(&daemon, "make its sessions persistent", if keeps { 0..=0 } else { 1..=1 });
    night.judge(&daemon).await;
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_is_killed_and_keeps_its_sessions() {
    let keeps = ["autosave_interval 1", "autosave_on_changes true"];
    the_broker_is_killed(Mosquitto::start(&keeps), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_is_killed_and_forgets_its_sessions() {
    the_broker_is_killed(Mosquitto::start(&["persistence false"]), false).await;
}
