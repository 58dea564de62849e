//! The clock: the only caller of `Utc::now` (clippy.toml bans it everywhere else), so that what
//! decides takes the present instant as an argument.

use crate::domain::instant::Instant;

/// The present instant, to the microsecond.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> Instant {
    let now = chrono::Utc::now();
    chrono::DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
}
