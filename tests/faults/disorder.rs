//! Messages twice, in any order, and among junk.

use chrono::TimeDelta;
use nightrun::clock;
use serde_json::json;

use crate::fleet::{Habits, USUAL};
use crate::judge::Expected;
use crate::night::{Night, SEES, event, says};
use crate::support::daemon::Installation;
use crate::support::{Client, Mosquitto, within};

async fn everything_comes_three_times(installation: Installation) {
    let daemon = installation.start().await;
    let habits = Habits { times: 3, ..USUAL };
    let mut night = Night::begin(installation, 60, habits).await;
    night.watch("nobody", 3, Expected::Raised);
    night.watch("somebody", 3, Expected::Nothing);
    night.comes("somebody");
    night.happen(40);
    night.fleet.is_answered().await;
    night.all_due().await;
    night.ear.until("nobody", "tolerance", "open").await;
    night.kill9(daemon);
    night.happen(20);
    let daemon = night.installation.start().await;
    night.fleet.say_again();
    night.judge(&daemon).await;
    let receipts = night.fleet.book().receipts;
    let duplicates = receipts.iter().filter(|receipt| receipt["status"] == "duplicate").count();
    assert!(duplicates > 100, "{duplicates} duplicates");
    says(&daemon, "ERROR", 0..=0);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_three_times_embedded() {
    everything_comes_three_times(Installation::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_three_times_mosquitto() {
    everything_comes_three_times(Installation::at(&Mosquitto::start(&[]))).await;
}

async fn the_end_comes_before_the_beginning(installation: Installation) {
    let daemon = installation.start().await;
    let habits = Habits { backwards: true, ..USUAL };
    let mut night = Night::begin(installation, 60, habits).await;
    night.watch("nobody", 3, Expected::Told);
    night.watch("somebody", 6, Expected::NothingFalse);
    let began = clock::now();
    night.fleet.say(1, event("check_out", "somebody", began));
    let ended = night.happen_ends(40);
    night.fleet.is_answered().await;
    night.kill9(daemon);
    // While nobody hears it, and sent from the last to the first.
    night.happen_beginnings(ended);
    night.fleet.say(1, event("check_in", "somebody", began - TimeDelta::seconds(1)));
    night.happen(20);
    let daemon = night.installation.start().await;
    night.all_due().await;
    night.judge(&daemon).await;
    says(&daemon, "ERROR", 0..=0);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_comes_before_the_beginning_embedded() {
    the_end_comes_before_the_beginning(Installation::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_comes_before_the_beginning_mosquitto() {
    the_end_comes_before_the_beginning(Installation::at(&Mosquitto::start(&[]))).await;
}

/// Ten thousand of them.
const JUNK: usize = 10_000;

/// A topic to which the daemon listens, and a payload that is of no use there.
fn junk(number: usize) -> (String, Vec<u8>) {
    let of = |carer: &str| format!("nightrun/v1/default/carer/{carer}/event");
    let good = event("check_in", "V-0000", clock::now());
    let random = uuid::Uuid::new_v4().into_bytes().repeat(1 + number % 20);
    let with = |key: &str, value: serde_json::Value| {
        let mut bad = good.clone();
        bad[key] = value;
        bad.to_string().into_bytes()
    };
    match number % 10 {
        0 => (of("ann"), random),
        1 => (of("ann"), with("carer_ref", json!("ben"))),
        2 => (of("ann b"), good.to_string().into_bytes()),
        3 => ("nightrun/v1/elsewhere/carer/ann/event".to_owned(), good.to_string().into_bytes()),
        4 => (of("ann"), with("type", json!("looked_in"))),
        5 => (of("ann"), with("occurred_at", json!(number))),
        6 => (of("ann"), format!("{}{number}", "[".repeat(5_000)).into_bytes()),
        7 if number < 500 => (of("ann"), [vec![b' '; 300_000], random].concat()),
        7 => (of("ann"), with("event_id", json!(format!("not a uuid {number}")))),
        8 => ("nightrun/v1/default/device/unit/status".to_owned(), random),
        _ => ("nightrun/v1/default/device//event".to_owned(), random),
    }
}

async fn junk_comes_among_good_ones(installation: Installation) {
    let daemon = installation.start().await;
    let mut night = Night::begin(installation, 100, USUAL).await;
    // A deadline waits until what the broker had before it has been read, be that junk.
    night.late_at_most = TimeDelta::seconds(20);
    night.watch("nobody", 3, Expected::Raised);
    night.watch("somebody", 3, Expected::Nothing);
    night.comes("somebody");
    let mut sender = Client::connect(night.installation.port, "junk").await;
    for part in 0..10 {
        night.happen(10);
        for number in 0..JUNK / 10 {
            let (topic, payload) = junk(part * JUNK / 10 + number);
            sender.send(&topic, payload);
        }
        sender.acknowledged(JUNK / 10).await;
    }
    night.judge(&daemon).await;
    // A topic of no contract or sender is still one that somebody speaks under.
    let kept = "SELECT COALESCE(SUM(times), 0) FROM rejected";
    let all_kept = async {
        while night.installation.number(kept).await < i64::try_from(JUNK).expect("small") {
            tokio::task::yield_now().await;
        }
    };
    within("the last of the junk to be kept", all_kept).await;
    says(&daemon, "messages could not be used; they are kept", 1..=20);
    says(&daemon, "ERROR", 0..=0);
    says(&daemon, SEES, 1..=1);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_comes_among_good_ones_embedded() {
    junk_comes_among_good_ones(Installation::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_comes_among_good_ones_mosquitto() {
    junk_comes_among_good_ones(Installation::at(&Mosquitto::start(&[]))).await;
}
