//! Instants: points in time, in UTC, to the microsecond (R1).
//!
//! Everything is compared on whole instants, never on rounded minutes. Reads no clock.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc};

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
    if let Some(at) = usual(text.as_bytes()) {
        return if at.year() < YEAR_MIN { Err(BadInstant::Year) } else { Ok(at) };
    }
    let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| BadInstant::Format)?;
    from_micros(parsed.timestamp_micros()).ok_or(BadInstant::Year)
}

/// Reads `2019-02-04T02:00:00Z`, with or without fractions: how almost every instant is written,
/// and several times faster than whatever RFC 3339 allows.
fn usual(text: &[u8]) -> Option<Instant> {
    let (time, fraction) = text.strip_suffix(b"Z")?.split_at_checked(19)?;
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u32, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
        })
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| time[*at] != *mark) {
        return None;
    }
    let micros = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            let kept = &digits[..digits.len().min(6)];
            number(digits)?;
            number(kept)? * 10_u32.pow(6 - u32::try_from(kept.len()).ok()?)
        }
        _ => return None,
    };
    let year = i32::try_from(number(&time[..4])?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(&time[5..7])?, number(&time[8..10])?)?;
    let (hour, minute) = (number(&time[11..13])?, number(&time[14..16])?);
    // A leap second is left to those who know what it is.
    Some(date.and_hms_micro_opt(hour, minute, number(&time[17..])?, micros)?.and_utc())
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
    let (date, time) = (at.date_naive(), at.time());
    format!("{date}T{:02}:{:02}:{:02}Z", time.hour(), time.minute(), time.second())
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
