//! What comes of a try to tell somebody. Words about it hold no address.

use std::time::Duration;

use chrono::DateTime;
use hyper::StatusCode;

use crate::domain::instant::Instant;

/// The longest that a recipient may ask to be left alone.
pub(super) const AFTER_MAX: Duration = Duration::from_hours(1);

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The recipient has it.
    Sent,
    /// The recipient cannot be reached, or takes nothing now.
    Down {
        why: String,
        /// For how long it asks to be left alone.
        after: Option<Duration>,
        /// It may have it nevertheless.
        heard: bool,
    },
    /// It does not take this one.
    Refused {
        why: String,
        /// For how long it asks to be left alone.
        after: Option<Duration>,
    },
    /// It never will.
    Never(String),
}

impl Outcome {
    /// It could not be reached, and cannot have it.
    pub(super) fn unreached(why: impl Into<String>) -> Self {
        Self::Down { why: why.into(), after: None, heard: false }
    }

    /// It has been said, and there was no answer.
    pub(super) fn lost(why: impl Into<String>) -> Self {
        Self::Down { why: why.into(), after: None, heard: true }
    }

    /// There was no answer for so long.
    pub(super) fn unanswered(within: Duration) -> Self {
        Self::lost(format!("no answer within {} s", within.as_secs()))
    }

    /// It does not take this one.
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into(), after: None }
    }

    /// What an answer over HTTP means.
    pub(super) fn of_status(status: StatusCode, retry_after: Option<&str>, now: Instant) -> Self {
        let why = format!("it answers {status}");
        let after = retry_after.and_then(|text| after(text, now));
        match status.as_u16() {
            200..=299 => Self::Sent,
            410 => Self::Never(why),
            408 | 425 | 429 | 503 => Self::Down { why, after, heard: false },
            // It may have done something before it failed.
            500.. => Self::Down { why, after, heard: true },
            _ => Self::Refused { why, after },
        }
    }
}

/// A time to wait: seconds, or until a date.
fn after(text: &str, now: Instant) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(text).ok()?;
    Some((until.to_utc() - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instant::parse_instant;

    #[test]
    fn what_an_answer_means() {
        let now = parse_instant("2015-10-21T07:27:00Z").unwrap();
        for (status, retry_after, meaning) in [
            (200, None, "sent"),
            (204, None, "sent"),
            (302, None, "refused -"),
            (400, None, "refused -"),
            (404, Some("7"), "refused 7"),
            (410, None, "never"),
            (429, Some("120"), "down 120"),
            (503, Some("Wed, 21 Oct 2015 07:28:00 GMT"), "down 60"),
            (503, Some("Wed, 21 Oct 2015 07:00:00 GMT"), "down 0"),
            (429, Some("soon"), "down -"),
            (500, None, "down - heard"),
            (504, Some("-3"), "down - heard"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let seconds = |after: Option<Duration>| {
                after.map_or("-".to_owned(), |after| after.as_secs().to_string())
            };
            let found = match Outcome::of_status(status, retry_after, now) {
                Outcome::Sent => "sent".to_owned(),
                Outcome::Down { after, heard: true, .. } => {
                    format!("down {} heard", seconds(after))
                }
                Outcome::Down { after, .. } => format!("down {}", seconds(after)),
                Outcome::Refused { after, .. } => format!("refused {}", seconds(after)),
                Outcome::Never(_) => "never".to_owned(),
            };
            assert_eq!(found, meaning, "{status} {retry_after:?}");
        }
    }
}
