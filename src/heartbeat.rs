//! The heartbeat: what others are told about whether the daemon works.
//!
//! It works while it hears the broker and commits, and says so by its status topic and to systemd,
//! whose watchdog is fed only then. Outside systemd nothing is said to anybody there. [`outbound`] says
//! so over HTTP.

pub mod outbound;

use std::sync::Arc;
use std::time::Duration;

use chrono::SubsecRound;
use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock;
use crate::config::HeartbeatSettings;
use crate::health::Health;
use crate::wire::status::DaemonStatus;

/// How often the daemon looks how it is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The daemon has started: from now on it says how it is, until this is dropped.
///
/// # Errors
/// When TLS cannot be set up.
pub fn start(
    outbound: Option<&HeartbeatSettings>,
    health: Arc<Health>,
    status: watch::Sender<DaemonStatus>,
) -> Result<JoinSet<()>, reqwest::Error> {
    let mut tasks = JoinSet::new();
    if let Some(settings) = outbound {
        tasks.spawn(outbound::beat(settings, Arc::clone(&health))?);
    }
    say(&[NotifyState::Ready]);
    tasks.spawn(beat(health, status));
    Ok(tasks)
}

/// The daemon stops.
pub fn stopping() {
    say(&[NotifyState::Stopping]);
}

/// Says how the daemon is.
async fn beat(health: Arc<Health>, status: watch::Sender<DaemonStatus>) {
    let watchdog = sd_notify::watchdog_enabled();
    let every = watchdog.map_or(LOOK_EVERY, |within| LOOK_EVERY.min(within / 3));
    let mut tick = interval(every.max(Duration::from_millis(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = None;
    loop {
        tick.tick().await;
        let report = health.report();
        if said.as_ref() != Some(&report.trouble) {
            let well = "hears the broker and commits";
            let words = if report.is_well() { well } else { &report.trouble };
            say(&[NotifyState::Status(words)]);
        }
        status.send_if_modified(|status| {
            let was_well = matches!(status, DaemonStatus::Online { .. });
            if report.is_well() && !was_well {
                *status = DaemonStatus::Online { since: clock::now().trunc_subsecs(0) };
            } else if !report.is_well() {
                *status = DaemonStatus::Offline;
            }
            was_well != report.is_well()
        });
        if report.is_well() {
            say(&[NotifyState::Watchdog]);
        }
        said = Some(report.trouble);
    }
}

fn say(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        tracing::debug!("systemd was not told: {error}");
    }
}
