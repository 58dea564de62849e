//! Times as people read them: on the contract's wall clock, and along the time line of a night.
//!
//! A time that comes twice, because the clocks go back, always has its zone's name beside it.

use chrono::{MappedLocalTime, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;

use crate::domain::calendar::{Night, local};
use crate::domain::instant::Instant;
use crate::domain::policy::Contract;
use crate::domain::visit::Visit;

/// `02:05`; `01:30 BST` where that time comes twice.
#[must_use]
pub fn time(zone: Tz, at: Instant) -> String {
    written(zone, at, "%H:%M")
}

/// `02:05:17`, in the same way.
#[must_use]
pub fn seconds(zone: Tz, at: Instant) -> String {
    written(zone, at, "%H:%M:%S")
}

/// `Mon 23 Nov 02:05:17`, in the same way.
#[must_use]
pub fn day_and_time(zone: Tz, at: Instant) -> String {
    written(zone, at, "%a %-d %b %H:%M:%S")
}

/// `02:00–02:30`.
#[must_use]
pub fn from_to(zone: Tz, from: Instant, to: Instant) -> String {
    format!("{}–{}", time(zone, from), time(zone, to))
}

/// `Sunday 22 November 2026`.
#[must_use]
pub fn night(night: Night) -> String {
    night.format("%A %-d %B %Y").to_string()
}

/// A length of time in words of which the eye needs two: `4 min`, `1 h 5 min`.
#[must_use]
pub fn length(of: TimeDelta) -> String {
    let minutes = of.num_minutes().abs();
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

fn written(zone: Tz, at: Instant, form: &str) -> String {
    let local = local(zone, at);
    let twice = zone.from_local_datetime(&local.naive_local());
    if matches!(twice, MappedLocalTime::Ambiguous(..)) {
        local.format(&format!("{form} %Z")).to_string()
    } else {
        local.format(form).to_string()
    }
}

/// The time line of a night: its service hours, widened by whole hours to what is planned outside.
#[derive(Debug, Clone, Copy)]
pub struct TimeLine {
    zone: Tz,
    /// Its first instant.
    pub begin: Instant,
    /// The first instant after it.
    pub end: Instant,
}

/// A mark on the time line, every half hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// Minutes from the beginning of the line.
    pub minute: i64,
    /// The time on the wall clock.
    pub label: String,
    /// The zone's name, where that time comes twice.
    pub zone: Option<String>,
    /// Whether it is a full hour.
    pub hour: bool,
}

impl TimeLine {
    /// That of a contract's night with these visits.
    #[must_use]
    pub fn of(contract: &Contract, night: Night, visits: &[Visit]) -> Self {
        let hours = contract.policy(night).service_hours;
        let mut begin = hours.begin(contract.zone, night);
        let mut end = hours.end(contract.zone, night);
        for visit in visits {
            while visit.planned_start < begin {
                begin -= TimeDelta::hours(1);
            }
            while visit.planned_end.min(visit.planned_start + TimeDelta::hours(12)) > end {
                end += TimeDelta::hours(1);
            }
        }
        Self { zone: contract.zone, begin, end }
    }

    /// Its length in minutes.
    #[must_use]
    pub fn minutes(&self) -> i64 {
        (self.end - self.begin).num_minutes().max(1)
    }

    /// How many minutes from its beginning; what lies outside is at its edge.
    #[must_use]
    pub fn minute(&self, at: Instant) -> i64 {
        (at - self.begin).num_minutes().clamp(0, self.minutes())
    }

    /// Whether the instant is on it.
    #[must_use]
    pub fn holds(&self, at: Instant) -> bool {
        (self.begin..self.end).contains(&at)
    }

    /// So many minutes in per cent of its length, as an attribute has it.
    #[must_use]
    pub fn percent(&self, minute: i64) -> String {
        let hundredths = minute * 10_000 / self.minutes();
        format!("{}.{:02}%", hundredths / 100, hundredths % 100)
    }

    /// Its marks, both ends included.
    #[must_use]
    pub fn ticks(&self) -> Vec<Tick> {
        (0..=self.minutes())
            .step_by(30)
            .map(|minute| {
                let at = self.begin + TimeDelta::minutes(minute);
                let text = time(self.zone, at);
                let (label, zone) = match text.split_once(' ') {
                    Some((label, zone)) => (label.to_owned(), Some(zone.to_owned())),
                    None => (text, None),
                };
                Tick { minute, label, zone, hour: local(self.zone, at).minute() == 0 }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instant::parse_instant;
    use crate::http::pages::examples::{contract, planned};

    const LONDON: Tz = chrono_tz::Europe::London;

    fn instant(text: &str) -> Instant {
        parse_instant(text).unwrap()
    }

    #[test]
    fn a_time_that_comes_twice_says_which_it_is() {
        for (at, text) in [
            ("2019-02-04T01:30:00Z", "01:30"),
            ("2019-10-27T00:30:00Z", "01:30 BST"),
            ("2019-10-27T01:30:00Z", "01:30 GMT"),
            ("2019-10-27T02:00:00Z", "02:00"),
            ("2019-03-31T01:00:00Z", "02:00"),
        ] {
            assert_eq!(time(LONDON, instant(at)), text, "{at}");
        }
    }

    #[test]
    fn a_night_is_as_long_as_its_clocks_make_it() {
        for (night, hours, marks) in [
            ("2019-02-03", 8, "23:00 00:00 01:00 02:00 03:00 04:00 05:00 06:00 07:00"),
            ("2019-03-30", 7, "23:00 00:00 02:00 03:00 04:00 05:00 06:00 07:00"),
            ("2019-10-26", 9, "23:00 00:00 01:00BST 01:00GMT 02:00 03:00 04:00 05:00 06:00 07:00"),
        ] {
            let line = TimeLine::of(&contract(), night.parse().unwrap(), &[]);
            assert_eq!(line.minutes(), hours * 60, "{night}");
            let ticks = line.ticks();
            let full: Vec<String> = (ticks.iter().filter(|tick| tick.hour))
                .map(|tick| format!("{}{}", tick.label, tick.zone.as_deref().unwrap_or_default()))
                .collect();
            assert_eq!(full.join(" "), marks, "{night}");
        }
        let line = TimeLine::of(&contract(), "2019-10-26".parse().unwrap(), &[]);
        let both: Vec<(i64, Option<String>)> = (line.ticks().into_iter())
            .filter(|tick| tick.label == "01:30")
            .map(|tick| (tick.minute, tick.zone))
            .collect();
        assert_eq!(both, [(150, Some("BST".to_owned())), (210, Some("GMT".to_owned()))]);
    }

    #[test]
    fn it_is_widened_to_what_is_planned_outside() {
        let night = "2019-02-03".parse().unwrap();
        let visits = [
            planned("V-1", "2019-02-03T22:30:00Z", 30),
            planned("V-2", "2019-02-04T07:15:00Z", 60),
        ];
        let line = TimeLine::of(&contract(), night, &visits);
        assert_eq!(
            (line.begin, line.end),
            (instant("2019-02-03T22:00:00Z"), instant("2019-02-04T09:00:00Z"))
        );
        assert_eq!(line.minute(instant("2019-02-04T00:00:00Z")), 120);
        assert_eq!(line.minute(instant("2019-02-05T00:00:00Z")), line.minutes());
        assert_eq!(line.percent(120), "18.18%");
    }

    #[test]
    fn lengths_in_words() {
        for (minutes, text) in [(0, "0 min"), (4, "4 min"), (60, "1 h"), (-65, "1 h 5 min")] {
            assert_eq!(length(TimeDelta::minutes(minutes)), text);
        }
    }
}
