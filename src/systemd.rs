//! What systemd is told: started, stopping, and, while the daemon works, that it is alive.
//!
//! Outside systemd nothing is said to anybody.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

use crate::health::Health;

/// How often the status line is brought up to date if there is no watchdog.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// The daemon has started.
pub fn started() {
    say(&[NotifyState::Ready]);
}

/// The daemon stops.
pub fn stopping() {
    say(&[NotifyState::Stopping]);
}

/// Feeds the watchdog as long as the daemon hears the broker and commits; otherwise systemd restarts
/// it. Runs until it is dropped.
pub async fn feed(health: Arc<Health>) {
    let watchdog = sd_notify::watchdog_enabled();
    let every = watchdog.map_or(SAY_EVERY, |within| within / 3);
    let mut tick = interval(every.max(Duration::from_millis(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let report = health.report();
        if report.is_well() {
            say(&[NotifyState::Watchdog, NotifyState::Status("hears the broker and commits")]);
        } else {
            say(&[NotifyState::Status(&report.trouble)]);
        }
    }
}

fn say(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        tracing::debug!("systemd was not told: {error}");
    }
}
