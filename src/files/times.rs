//! Times of plan files (R2): taken as they are with an offset, read in the contract's zone without.

use std::fmt;

use chrono::NaiveDateTime;
use chrono_tz::Tz;

use super::findings::quoted;
use crate::domain::calendar::{LocalReading, local, read_local};
use crate::domain::instant::{BadInstant, Instant, YEAR_MAX, YEAR_MIN, from_micros, parse_instant};

/// A time as the file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// With an offset.
    Instant(Instant),
    /// Without: on the clock face.
    Local(NaiveDateTime),
}

/// Length of `2019-02-04T`, and of `02:00`.
const DATE_BYTES: usize = 11;
const MINUTES_BYTES: usize = 5;

/// Reads `2019-02-04T02:00`: seconds and their fractions, an offset, a space for the `T` may be.
pub(super) fn written(text: &str) -> Result<Written, String> {
    let format = || {
        format!(
            "{}: write a time as 2019-02-04T02:00 (local) or 2019-02-04T02:00Z or 2019-02-04T02:00+01:00",
            quoted(text)
        )
    };
    let separator = text.as_bytes().get(DATE_BYTES - 1);
    if !text.is_ascii() || !matches!(separator, Some(b'T' | b't' | b' ')) {
        return Err(format());
    }
    let (date, rest) = (&text[..DATE_BYTES - 1], &text[DATE_BYTES..]);
    let offset_at = rest.find(['Z', 'z', '+', '-']);
    let (clock, offset) = rest.split_at(offset_at.unwrap_or(rest.len()));
    let seconds = if clock.len() == MINUTES_BYTES { ":00" } else { "" };
    let zone = if offset.is_empty() { "Z" } else { offset };
    match parse_instant(&format!("{date}T{clock}{seconds}{zone}")) {
        Ok(at) if offset.is_empty() => Ok(Written::Local(at.naive_utc())),
        Ok(at) => Ok(Written::Instant(at)),
        Err(BadInstant::Format) => Err(format()),
        Err(BadInstant::Year) => Err(format!("{}: {}", quoted(text), BadInstant::Year)),
    }
}

/// Why a local time is not what it seems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It occurs twice.
    Repeated(NaiveDateTime),
    /// It never occurs.
    Skipped(NaiveDateTime),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (time, what) = match self {
            Self::Repeated(time) => (time, "occurs twice, because the clocks go back"),
            Self::Skipped(time) => (time, "does not occur, because the clocks go forward"),
        };
        write!(f, "the local time {} {what}", time.format("%Y-%m-%d %H:%M"))
    }
}

fn within_years(at: Instant) -> Result<Instant, String> {
    from_micros(at.timestamp_micros())
        .ok_or_else(|| format!("the year in UTC is not between {YEAR_MIN} and {YEAR_MAX}"))
}

/// The instant of a time that stands by itself.
pub(super) fn resolve(zone: Tz, time: Written) -> Result<(Instant, Option<Change>), String> {
    let time = match time {
        Written::Instant(at) => return Ok((at, None)),
        Written::Local(time) => time,
    };
    let reading = read_local(zone, time);
    let change = match reading {
        LocalReading::Once(_) => None,
        LocalReading::Repeated(_) => Some(Change::Repeated(time)),
        LocalReading::Skipped(_) => Some(Change::Skipped(time)),
    };
    Ok((within_years(reading.instant())?, change))
}

/// An instant in the zone's wall clock, with its offset.
pub(super) fn shown(zone: Tz, at: Instant) -> String {
    local(zone, at).format("%Y-%m-%d %H:%M %:z").to_string()
}

/// When a visit is planned to start and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: Instant,
    pub(super) end: Instant,
    /// What a change of the clocks has to do with it, and how it was read.
    pub(super) clock_change: Option<String>,
}

/// Why two times are not the start and end of a visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadSpan {
    Start(String),
    End(String),
}

/// What is wrong with an end that is not after the start.
pub(super) const END_NOT_AFTER_START: &str = "must be after planned_start";

/// Whether the end can be seen to lie after the start without knowing the zone.
pub(super) fn is_in_order(start: Written, end: Written) -> bool {
    match (start, end) {
        (Written::Instant(start), Written::Instant(end)) => start < end,
        (Written::Local(start), Written::Local(end)) => start < end,
        _ => true,
    }
}

/// Reads the start and end of a visit together: if both are local, its length is the difference on
/// the clock face (R2).
pub(super) fn span(zone: Tz, from: Written, to: Written) -> Result<Span, BadSpan> {
    let (start, start_change) = resolve(zone, from).map_err(BadSpan::Start)?;
    let (end_by_itself, end_change) = resolve(zone, to).map_err(BadSpan::End)?;
    let end = match (from, to) {
        (Written::Local(from), Written::Local(to)) => {
            within_years(start + (to - from)).map_err(BadSpan::End)?
        }
        _ => end_by_itself,
    };
    if end <= start || !is_in_order(from, to) {
        return Err(BadSpan::End(END_NOT_AFTER_START.to_owned()));
    }
    let mut remarks: Vec<String> =
        [start_change, end_change].iter().flatten().map(Change::to_string).collect();
    if end != end_by_itself {
        remarks.push("its length is that on the clock face".to_owned());
    }
    let clock_change = (!remarks.is_empty()).then(|| {
        let (from, to, minutes) =
            (shown(zone, start), shown(zone, end), (end - start).num_minutes());
        format!("{}; read as {from} to {to}, {minutes} minutes", remarks.join("; "))
    });
    Ok(Span { start, end, clock_change })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instant::format_instant;

    const LONDON: Tz = chrono_tz::Europe::London;

    #[test]
    fn what_is_a_time() {
        for (text, read) in [
            ("2019-02-04T02:00", "local 2019-02-04T02:00:00Z"),
            ("2019-02-04 02:00:00", "local 2019-02-04T02:00:00Z"),
            ("2019-02-04t02:00:00.5", "local 2019-02-04T02:00:00.500Z"),
            ("2019-02-04T02:00:00.1234567", "local 2019-02-04T02:00:00.123456Z"),
            ("2019-02-04T02:00Z", "2019-02-04T02:00:00Z"),
            ("2019-02-04 02:00+01:00", "2019-02-04T01:00:00Z"),
            ("2019-02-04 02:00:30.25-00:30", "2019-02-04T02:30:30.250Z"),
            ("9999-12-31T23:59", "local 9999-12-31T23:59:00Z"),
            ("1970-01-01T00:00", "local 1970-01-01T00:00:00Z"),
            ("2019-02-04", "write"),
            ("2019-02-04T", "write"),
            ("2019-02-04T02", "write"),
            ("2019-02-04T2:00", "write"),
            ("2019-02-04T24:00", "write"),
            ("2019-02-30T02:00", "write"),
            ("2019-02-04T02:00:", "write"),
            ("2019-02-04T02:00.5", "write"),
            ("2019-02-04T02:00+01", "write"),
            ("2019-02-04  02:00", "write"),
            ("2019-02-04T02:00ZZ", "write"),
            ("04/02/2019 02:00", "write"),
            ("02:00", "write"),
            ("２０19-02-04T02:00", "write"),
            ("1969-12-31T23:59", "year"),
            ("0000-01-01T00:00Z", "year"),
            ("9999-12-31T23:59-01:00", "year"),
        ] {
            let got = match written(text) {
                Ok(Written::Local(at)) => format!("local {}", format_instant(at.and_utc())),
                Ok(Written::Instant(at)) => format_instant(at),
                Err(reason) if reason.contains("write a time as") => "write".to_owned(),
                Err(reason) if reason.contains("year") => "year".to_owned(),
                Err(reason) => reason,
            };
            assert_eq!(got, read, "{text:?}");
        }
    }

    /// Reads the two, and writes what comes of it: `start/end`, `!` if the clocks had a say in it.
    fn read(from: &str, to: &str) -> String {
        match span(LONDON, written(from).unwrap(), written(to).unwrap()) {
            Err(BadSpan::Start(_)) => "bad start".to_owned(),
            Err(BadSpan::End(_)) => "bad end".to_owned(),
            Ok(span) => {
                let time = |at: Instant| at.format("%d %H:%M").to_string();
                let mark = if span.clock_change.is_some() { " !" } else { "" };
                format!("{} / {}{mark}", time(span.start), time(span.end))
            }
        }
    }

    #[test]
    fn the_spans_of_visits() {
        for (from, to, result) in [
            // A winter night, a summer night.
            ("2019-02-04T02:00", "2019-02-04T02:30", "04 02:00 / 04 02:30"),
            ("2019-07-04T02:00", "2019-07-04T02:30", "04 01:00 / 04 01:30"),
            // Clocks go forward: 01:00 to 02:00 does not occur.
            ("2019-03-31T00:30", "2019-03-31T01:00", "31 00:30 / 31 01:00 !"), // ends as 02:00 BST
            ("2019-03-31T00:30", "2019-03-31T00:59", "31 00:30 / 31 00:59"),
            ("2019-03-31T01:30", "2019-03-31T02:00", "31 01:30 / 31 02:00 !"), // 02:30 to 03:00 BST
            ("2019-03-31T00:30", "2019-03-31T02:30", "31 00:30 / 31 02:30 !"), // two hours still
            ("2019-03-31T02:00", "2019-03-31T02:30", "31 01:00 / 31 01:30"),
            // Clocks go back: 01:00 to 02:00 occurs twice.
            ("2019-10-27T00:30", "2019-10-27T01:00", "26 23:30 / 27 00:00 !"),
            ("2019-10-27T01:30", "2019-10-27T02:00", "27 00:30 / 27 01:00 !"),
            ("2019-10-27T00:30", "2019-10-27T02:30", "26 23:30 / 27 01:30 !"),
            ("2019-10-27T02:00", "2019-10-27T02:30", "27 02:00 / 27 02:30"),
            // With offsets nothing is left to read.
            ("2019-03-31T00:30Z", "2019-03-31T02:30Z", "31 00:30 / 31 02:30"),
            ("2019-10-27T01:30+01:00", "2019-10-27T01:30Z", "27 00:30 / 27 01:30"),
            // One of each: each by itself.
            ("2019-10-27T00:30Z", "2019-10-27T02:30", "27 00:30 / 27 02:30"),
            ("2019-10-27T01:30", "2019-10-27T02:30Z", "27 00:30 / 27 02:30 !"),
            ("2019-03-31T00:30Z", "2019-03-31T01:30", "31 00:30 / 31 01:30 !"),
            ("2019-07-04T02:00", "2019-07-04T01:30Z", "04 01:00 / 04 01:30"),
            // The end must come after the start, on the clock face if both are local.
            ("2019-02-04T02:00", "2019-02-04T02:00", "bad end"),
            ("2019-02-04T02:00", "2019-02-04T01:00", "bad end"),
            ("2019-10-27T01:45", "2019-10-27T01:15", "bad end"),
            ("2019-02-04T02:00Z", "2019-02-04T02:30+01:00", "bad end"),
            ("2019-07-04T02:00", "2019-07-04T01:00Z", "bad end"),
            // Half past midnight of 1970 in London, an hour ahead then, is 1969 in UTC.
            ("1970-01-01T00:30", "1970-01-01T01:30", "bad start"),
        ] {
            assert_eq!(read(from, to), result, "{from} to {to}");
        }
    }

    #[test]
    fn a_clock_change_is_told_in_words() {
        let told = |from, to| {
            span(LONDON, written(from).unwrap(), written(to).unwrap())
                .unwrap()
                .clock_change
                .unwrap()
        };
        assert_eq!(
            told("2019-03-31T01:30", "2019-03-31T02:00"),
            "the local time 2019-03-31 01:30 does not occur, because the clocks go forward; its length \
             is that on the clock face; read as 2019-03-31 02:30 +01:00 to 2019-03-31 03:00 +01:00, 30 \
             minutes"
        );
        assert_eq!(
            told("2019-10-27T01:00", "2019-10-27T01:30"),
            "the local time 2019-10-27 01:00 occurs twice, because the clocks go back; the local time \
             2019-10-27 01:30 occurs twice, because the clocks go back; read as 2019-10-27 01:00 +01:00 \
             to 2019-10-27 01:30 +01:00, 30 minutes"
        );
    }
}
