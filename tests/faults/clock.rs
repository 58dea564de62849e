//! The machine's clock, stepped by an hour.

use std::path::PathBuf;

use chrono::TimeDelta;
use nightrun::clock;

use crate::fleet::USUAL;
use crate::judge::Expected;
use crate::night::{Night, SEES, says};
use crate::support::Mosquitto;
use crate::support::daemon::{Daemon, Installation};

/// What the daemon says of it.
const STEPPED: &str = "the machine's clock was stepped";

/// The clock of a machine, as libfaketime makes it.
struct MachineClock(PathBuf);

impl MachineClock {
    /// Sets it so many seconds from what it should be.
    fn set(&self, seconds: i64) {
        // Whole, whenever it is read.
        let new = self.0.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}")).expect("a file");
        std::fs::rename(new, &self.0).expect("renamed");
    }
}

/// A daemon on a machine with a clock of its own.
async fn start(installation: &Installation) -> (Daemon, MachineClock) {
    let folders = std::fs::read_dir("/usr/lib").expect("a folder").map_while(Result::ok);
    let library = folders
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists())
        .expect("libfaketime is installed");
    let clock = MachineClock(installation.path("clock"));
    clock.set(0);
    let mut command = installation.command(["serve"]);
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &clock.0)
        .env("FAKETIME_NO_CACHE", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    let daemon = Installation::spawned(&mut command);
    daemon.logged(SEES).await;
    (daemon, clock)
}

async fn the_clock_is_stepped(installation: Installation) {
    let (daemon, clock) = start(&installation).await;
    let mut night = Night::begin(installation, 20, USUAL).await;
    // Due in the hour that will be left out.
    night.watch("nobody", 3_000, Expected::Unconfirmed);
    night.watch("somebody", 3_000, Expected::Nothing);
    night.comes("somebody");
    night.happen(20);
    night.fleet.is_answered().await;

    clock.set(3_600);
    daemon.logged(STEPPED).await;
    daemon.logged_times(SEES, 2).await;
    night.ear.until("nobody", "tolerance", "open").await;
    // A carer's phone has the same hour.
    night.plan_more(clock::now() + TimeDelta::hours(1));
    night.happen(20);
    night.judge(&daemon).await;
    says(&daemon, STEPPED, 1..=1);

    clock.set(0);
    daemon.logged_times(STEPPED, 2).await;
    daemon.logged_times(SEES, 3).await;
    // By the right time nobody need have come yet.
    night.watched.insert("nobody".to_owned(), Expected::TakenBack);
    night.plan_more(clock::now());
    night.happen(40);
    night.judge(&daemon).await;
    says(&daemon, STEPPED, 2..=2);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_stepped_embedded() {
    the_clock_is_stepped(Installation::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_stepped_mosquitto() {
    the_clock_is_stepped(Installation::at(&Mosquitto::start(&[]))).await;
}
