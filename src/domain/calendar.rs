//! Nights, weeks and wall clocks (R2, R3, R4).
//!
//! Turns local times of a contract's zone into instants and back, on every night of the year,
//! those included on which the clocks change. Knows nothing of visits. Reads no clock.

use chrono::{
    DateTime, Datelike, Days, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset,
    TimeDelta, TimeZone, Weekday,
};
use chrono_tz::Tz;

use super::instant::Instant;

/// The service night, named by the date on which it begins (R3).
pub type Night = NaiveDate;

/// How a local time was read (R2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalReading {
    /// It occurs once.
    Once(Instant),
    /// It occurs twice, because the clocks go back: the first occurrence.
    Repeated(Instant),
    /// It never occurs, because the clocks go forward: read with the offset before the gap.
    Skipped(Instant),
}

impl LocalReading {
    /// The instant, however it was found.
    #[must_use]
    pub fn instant(self) -> Instant {
        match self {
            Self::Once(at) | Self::Repeated(at) | Self::Skipped(at) => at,
        }
    }
}

/// Reads a wall-clock time of the zone as RFC 5545 section 3.3.5 does (R2).
#[must_use]
pub fn read_local(zone: Tz, local: NaiveDateTime) -> LocalReading {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(at) => LocalReading::Once(at.to_utc()),
        MappedLocalTime::Ambiguous(first, _) => LocalReading::Repeated(first.to_utc()),
        MappedLocalTime::None => {
            // Walk back to a time that exists: its offset is the one before the gap. No gap is
            // longer than a day.
            let offset = (1..=24 * 60)
                .find_map(|back| {
                    zone.from_local_datetime(&(local - TimeDelta::minutes(back))).latest()
                })
                .map_or(0, |before| before.offset().fix().local_minus_utc());
            LocalReading::Skipped((local - TimeDelta::seconds(offset.into())).and_utc())
        }
    }
}

/// The wall clock of the zone at that instant.
#[must_use]
pub fn local(zone: Tz, at: Instant) -> DateTime<Tz> {
    at.with_timezone(&zone)
}

/// The local date at that instant.
#[must_use]
pub fn local_date(zone: Tz, at: Instant) -> NaiveDate {
    local(zone, at).date_naive()
}

const NOON: NaiveTime = NaiveTime::from_hms_opt(12, 0, 0).expect("a time of day");

/// The day after; the last day that there is stays itself.
#[must_use]
pub fn next_day(date: NaiveDate) -> NaiveDate {
    date.succ_opt().unwrap_or(date)
}

/// The day before; the first day that there is stays itself.
#[must_use]
pub fn previous_day(date: NaiveDate) -> NaiveDate {
    date.pred_opt().unwrap_or(date)
}

/// So many days after `date`, or before it if negative.
#[must_use]
pub fn plus_days(date: NaiveDate, days: i64) -> NaiveDate {
    date.checked_add_signed(TimeDelta::days(days)).unwrap_or(date)
}

/// The night that holds the instant: local noon of its date to local noon of the next (R3).
#[must_use]
pub fn night_of(zone: Tz, at: Instant) -> Night {
    let local = local(zone, at);
    if local.time() < NOON { previous_day(local.date_naive()) } else { local.date_naive() }
}

/// Local noon of that date: where the night of that date begins and the one before ends.
#[must_use]
pub fn noon(zone: Tz, date: NaiveDate) -> Instant {
    read_local(zone, date.and_time(NOON)).instant()
}

/// The first instant after the night.
#[must_use]
pub fn night_end(zone: Tz, night: Night) -> Instant {
    noon(zone, next_day(night))
}

/// When service is given in a night (R3): 23:00 to 07:00 local unless the contract says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceHours {
    /// Wall-clock time at which service begins.
    pub from: NaiveTime,
    /// Wall-clock time at which service ends.
    pub to: NaiveTime,
}

impl ServiceHours {
    fn at(zone: Tz, night: Night, time: NaiveTime) -> Instant {
        let date = if time < NOON { next_day(night) } else { night };
        read_local(zone, date.and_time(time)).instant()
    }

    /// The instant at which service begins in that night.
    #[must_use]
    pub fn begin(self, zone: Tz, night: Night) -> Instant {
        Self::at(zone, night, self.from)
    }

    /// The instant at which service ends in that night.
    #[must_use]
    pub fn end(self, zone: Tz, night: Night) -> Instant {
        Self::at(zone, night, self.to)
    }

    /// Whether service begins before it ends, from noon to noon.
    #[must_use]
    pub fn is_in_order(self) -> bool {
        let since_noon = |time: NaiveTime| (time < NOON, time);
        since_noon(self.from) < since_noon(self.to)
    }
}

/// The first day of the week that holds `date` (R4).
#[must_use]
pub fn week_start(date: NaiveDate, starts_on: Weekday) -> NaiveDate {
    let days = u64::from(date.weekday().days_since(starts_on));
    date.checked_sub_days(Days::new(days)).unwrap_or(date)
}

/// By what a visit is dated (R4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatedBy {
    /// By its night.
    Night,
    /// By the local date of its planned start.
    Start,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instant::{format_instant, parse_instant};

    const LONDON: Tz = chrono_tz::Europe::London;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn local_times_on_the_nights_when_the_clocks_change() {
        for (text, read, kind) in [
            ("2019-03-31T00:59:59", "2019-03-31T00:59:59Z", "once"),
            ("2019-03-31T01:00:00", "2019-03-31T01:00:00Z", "skipped"),
            ("2019-03-31T01:30:00", "2019-03-31T01:30:00Z", "skipped"), // 02:30 BST
            ("2019-03-31T02:00:00", "2019-03-31T01:00:00Z", "once"),
            ("2019-10-27T00:59:59", "2019-10-26T23:59:59Z", "once"),
            ("2019-10-27T01:00:00", "2019-10-27T00:00:00Z", "repeated"),
            ("2019-10-27T01:30:00", "2019-10-27T00:30:00Z", "repeated"),
            ("2019-10-27T02:00:00", "2019-10-27T02:00:00Z", "once"),
            ("2019-07-01T02:00:00", "2019-07-01T01:00:00Z", "once"),
        ] {
            let got = read_local(LONDON, text.parse().unwrap());
            let got_kind = match got {
                LocalReading::Once(_) => "once",
                LocalReading::Repeated(_) => "repeated",
                LocalReading::Skipped(_) => "skipped",
            };
            assert_eq!((format_instant(got.instant()).as_str(), got_kind), (read, kind), "{text}");
        }
    }

    #[test]
    fn a_night_runs_from_noon_to_noon() {
        for (at, night) in [
            ("2019-02-04T11:59:59.999999Z", "2019-02-03"),
            ("2019-02-04T12:00:00Z", "2019-02-04"),
            ("2019-02-05T02:00:00Z", "2019-02-04"),
            ("2019-02-05T11:59:59Z", "2019-02-04"),
            ("2019-07-01T10:59:59Z", "2019-06-30"),
            ("2019-07-01T11:00:00Z", "2019-07-01"),
            ("2020-01-01T00:00:00Z", "2019-12-31"),
        ] {
            assert_eq!(night_of(LONDON, parse_instant(at).unwrap()), date(night), "{at}");
        }
    }

    #[test]
    fn service_hours_last_seven_hours_in_march_and_nine_in_october() {
        let hours =
            ServiceHours { from: "23:00:00".parse().unwrap(), to: "07:00:00".parse().unwrap() };
        for (night, length) in [("2019-02-04", 8), ("2019-03-30", 7), ("2019-10-26", 9)] {
            let night = date(night);
            let got = hours.end(LONDON, night) - hours.begin(LONDON, night);
            assert_eq!(got.num_hours(), length, "{night}");
        }
    }

    #[test]
    fn service_hours_are_in_order_from_noon_to_noon() {
        for (from, to, good) in [
            ("23:00", "07:00", true),
            ("00:30", "06:00", true),
            ("13:00", "22:00", true),
            ("07:00", "23:00", false),
            ("23:00", "23:00", false),
        ] {
            let time = |t: &str| NaiveTime::parse_from_str(t, "%H:%M").unwrap();
            let hours = ServiceHours { from: time(from), to: time(to) };
            assert_eq!(hours.is_in_order(), good, "{from} {to}");
        }
    }

    #[test]
    fn weeks_start_on_monday_or_sunday() {
        for (day, starts_on, first) in [
            ("2019-02-04", Weekday::Mon, "2019-02-04"),
            ("2019-02-10", Weekday::Mon, "2019-02-04"),
            ("2019-02-10", Weekday::Sun, "2019-02-10"),
            ("2019-02-09", Weekday::Sun, "2019-02-03"),
            ("2020-01-01", Weekday::Mon, "2019-12-30"),
        ] {
            assert_eq!(week_start(date(day), starts_on), date(first), "{day}");
        }
    }
}
