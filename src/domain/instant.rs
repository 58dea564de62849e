//! Instants: points in time, in UTC, to the microsecond (R1).
//!
//! Everything is compared on whole instants, never on rounded minutes. Reads no clock.

use chrono::{DateTime, Datelike, TimeDelta, Utc};

/// A point in time. What is finer than a microsecond is cut off where a text is read, once, so that
/// every store and every comparison sees the same instant.
pub type Instant = DateTime<Utc>;

/// Earliest year that an instant or a date may have. No device or plan of this service is older.
pub const YEAR_MIN: i32 = 1970;
/// Latest year that an instant or a date may have, so that every date can be written `YYYY-MM-DD`.
pub const YEAR_MAX: i32 = 9999;

/// Why a text is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadInstant {
    /// The text does not follow RFC 3339.
    #[error("not an instant: write it as 2019-02-04T02:00:00Z or 2019-02-04T02:00:00+01:00")]
    Format,
    /// The year is outside what the service can have seen.
    #[error("the year is not between {YEAR_MIN} and {YEAR_MAX}")]
    Year,
}

/// Reads RFC 3339 with an offset.
///
/// # Errors
/// When the text is no RFC 3339 instant, or lies outside [`YEAR_MIN`] to [`YEAR_MAX`].
pub fn parse_instant(text: &str) -> Result<Instant, BadInstant> {
    // RFC 3339 has four digits for the year; chrono would take more.
    if text.as_bytes().get(4) != Some(&b'-') || !text.is_ascii() {
        return Err(BadInstant::Format);
    }
    let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| BadInstant::Format)?;
    from_micros(parsed.timestamp_micros()).ok_or(BadInstant::Year)
}

/// The instant that lies so many microseconds after 1970; `None` outside the years allowed.
#[must_use]
pub fn from_micros(micros: i64) -> Option<Instant> {
    DateTime::from_timestamp_micros(micros).filter(|at| (YEAR_MIN..=YEAR_MAX).contains(&at.year()))
}

/// An instant as the interface writes it: UTC, `Z`, fractions only where there are any.
#[must_use]
pub fn format_instant(at: Instant) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// An instant to the second, fractions cut off, as the visit log has it.
#[must_use]
pub fn format_seconds(at: Instant) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// So many minutes, as a length of time.
#[must_use]
pub const fn minutes(count: i64) -> TimeDelta {
    TimeDelta::minutes(count)
}

/// The length of time in whole microseconds.
#[must_use]
pub fn micros(length: TimeDelta) -> i64 {
    length.num_microseconds().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_instant() {
        for (text, read) in [
            ("2019-02-04T02:00:00Z", Ok("2019-02-04T02:00:00Z")),
            ("2019-02-04T02:00:00+01:00", Ok("2019-02-04T01:00:00Z")),
            ("2019-02-04T02:00:00.1234567Z", Ok("2019-02-04T02:00:00.123456Z")),
            ("2016-12-31T23:59:60Z", Ok("2017-01-01T00:00:00Z")),
            ("9999-12-31T23:59:59Z", Ok("9999-12-31T23:59:59Z")),
            ("9999-12-31T23:59:59-01:00", Err(BadInstant::Year)),
            ("0000-01-01T00:00:00Z", Err(BadInstant::Year)),
            ("1969-12-31T23:59:59Z", Err(BadInstant::Year)),
            ("10000-01-01T00:00:00Z", Err(BadInstant::Format)),
            ("+10000-01-01T00:00:00Z", Err(BadInstant::Format)),
            ("2019-02-04T02:00:00", Err(BadInstant::Format)),
            ("2019-02-30T02:00:00Z", Err(BadInstant::Format)),
            ("", Err(BadInstant::Format)),
        ] {
            let got = parse_instant(text).map(format_instant);
            assert_eq!(got.as_deref(), read.as_ref().map(|s| *s), "{text:?}");
        }
    }
}
