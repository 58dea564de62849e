//! The clock: the only caller of `Utc::now` (clippy.toml bans it everywhere else), so that what
//! decides takes the present instant as an argument.

use tokio::time::Instant as Tick;

use crate::domain::instant::Instant;

/// One moment by two clocks: the machine's, and one that is never set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// By the machine's clock.
    pub at: Instant,
    /// By the other.
    pub tick: Tick,
}

/// The present moment.
#[must_use]
pub fn moment() -> Moment {
    Moment { at: now(), tick: Tick::now() }
}

/// The present instant, to the microsecond.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> Instant {
    let now = chrono::Utc::now();
    chrono::DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
}
