//! The bank holidays of England and Wales, as gov.uk publishes them (R22).
//!
//! The list of 2012 to 2028 is built in, with the days that were moved or given once: no rule knows
//! those. A newer list replaces its own years and leaves the others.

use chrono::{Datelike, NaiveDate};
use serde::Deserialize;

use crate::domain::holidays::BankHolidays;
use crate::domain::instant::{YEAR_MAX, YEAR_MIN};

/// The list that is built in, in the format of <https://www.gov.uk/bank-holidays.json>.
const PUBLISHED: &str = include_str!("bank-holidays.json");

/// Most characters of the text that a message repeats.
const SHOWN_MAX_CHARS: usize = 100;

/// Why a text is not a list of bank holidays.
#[derive(Debug, thiserror::Error)]
pub enum BadBankHolidays {
    /// It is not JSON, or JSON of another shape.
    #[error("not in the format of https://www.gov.uk/bank-holidays.json: {0}")]
    Format(String),
    /// A date is none.
    #[error(
        "event {number} of england-and-wales has the date {date:?}, which is not YYYY-MM-DD, from \
         {YEAR_MIN} to {YEAR_MAX}"
    )]
    Date {
        /// Which event, counted from 1.
        number: usize,
        /// How what stands there begins.
        date: String,
    },
    /// No holidays at all: nobody publishes that.
    #[error("england-and-wales has no events")]
    Empty,
}

#[derive(Deserialize)]
struct Divisions {
    #[serde(rename = "england-and-wales")]
    england_and_wales: Division,
}

#[derive(Deserialize)]
struct Division {
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    date: String,
}

/// The bank holidays as far as they are built in.
#[must_use]
pub fn published() -> BankHolidays {
    let mut holidays = BankHolidays::default();
    // That the built-in list can be read is proved by a test.
    holidays.publish(read(PUBLISHED).unwrap_or_default());
    holidays
}

/// Reads a list in gov.uk's format.
pub fn read(json: &str) -> Result<Vec<NaiveDate>, BadBankHolidays> {
    let divisions: Divisions = serde_json::from_str(json)
        .map_err(|error| BadBankHolidays::Format(beginning(&error.to_string())))?;
    let events = divisions.england_and_wales.events;
    if events.is_empty() {
        return Err(BadBankHolidays::Empty);
    }
    events
        .into_iter()
        .zip(1..)
        .map(|(Event { date }, number)| {
            // Written back it must be the same: chrono alone would take "2027- 5-3" too.
            let day = date.parse().ok().filter(|day: &NaiveDate| {
                day.to_string() == date && (YEAR_MIN..=YEAR_MAX).contains(&day.year())
            });
            day.ok_or(BadBankHolidays::Date { number, date: beginning(&date) })
        })
        .collect()
}

fn beginning(text: &str) -> String {
    let cut = if text.chars().nth(SHOWN_MAX_CHARS).is_some() { "..." } else { "" };
    text.chars().take(SHOWN_MAX_CHARS).chain(cut.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn the_built_in_list_differs_from_the_statutory_rule_only_where_it_was_proclaimed() {
        let (published, statutory) = (published(), BankHolidays::default());
        let days = date("2010-01-01").iter_days().take_while(|day| *day < date("2031-01-01"));
        let differences: Vec<_> = days
            .filter(|day| published.contains(*day) != statutory.contains(*day))
            .map(|day| format!("{}{day}", if published.contains(day) { '+' } else { '-' }))
            .collect();
        assert_eq!(
            differences,
            [
                "-2012-05-28",
                "+2012-06-04",
                "+2012-06-05", // Diamond Jubilee
                "-2020-05-04",
                "+2020-05-08", // 75 years of VE Day
                "-2022-05-30",
                "+2022-06-02",
                "+2022-06-03", // Platinum Jubilee
                "+2022-09-19", // State Funeral of Queen Elizabeth II
                "+2023-05-08", // Coronation of King Charles III
            ]
        );
    }

    #[test]
    fn the_built_in_list_is_whole() {
        let dates = read(PUBLISHED).unwrap();
        assert!(dates.is_sorted_by(|a, b| a < b), "in order, none twice");
        for year in 2012..=2028 {
            let count = dates.iter().filter(|day| day.format("%Y").to_string() == year.to_string());
            assert!(count.count() >= 8, "{year}");
        }
    }

    #[test]
    fn a_newer_list_replaces_its_own_years_only() {
        let newer = r#"{"england-and-wales": {"division": "england-and-wales", "events": [
            {"title": "A day for once", "date": "2027-06-21", "notes": "", "bunting": true}]},
            "scotland": {"division": "scotland", "events": []}}"#;
        let mut holidays = published();
        holidays.publish(read(newer).unwrap());
        for (day, holiday) in [
            ("2027-06-21", true),
            ("2027-12-27", false),
            ("2020-05-08", true),
            ("2020-05-04", false),
            ("2028-12-25", true),
        ] {
            assert_eq!(holidays.contains(date(day)), holiday, "{day}");
        }
    }

    #[test]
    fn what_is_not_a_list_of_bank_holidays() {
        let format = "not in the format of https://www.gov.uk/bank-holidays.json: ";
        for (json, mistake) in [
            ("", format!("{format}EOF while parsing a value at line 1 column 0")),
            (
                r#"{"scotland": {"events": []}}"#,
                format!("{format}missing field `england-and-wales` at line 1 column 28"),
            ),
            (
                r#"{"england-and-wales": {"events": [{"title": "?"}]}}"#,
                format!("{format}missing field `date` at line 1 column 48"),
            ),
            (
                r#"{"england-and-wales": {"events": []}}"#,
                "england-and-wales has no events".to_owned(),
            ),
            (
                r#"{"england-and-wales": {"events": [{"date": "2027-01-01"}, {"date": "3/5/27"}]}}"#,
                r#"event 2 of england-and-wales has the date "3/5/27", which is not YYYY-MM-DD, from 1970 to 9999"#
                    .to_owned(),
            ),
            (
                r#"{"england-and-wales": {"events": [{"date": "+12027-12-27"}]}}"#,
                r#"event 1 of england-and-wales has the date "+12027-12-27", which is not YYYY-MM-DD, from 1970 to 9999"#
                    .to_owned(),
            ),
        ] {
            assert_eq!(read(json).unwrap_err().to_string(), mistake, "{json}");
        }
    }
}
