//! Working days: Monday to Friday, less the bank holidays of England and Wales (R22).
//!
//! Published dates decide in the years that a published list covers; in every other year the
//! statutory rule does, with its substitute days. One-off holidays are known by publication only.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate, Weekday};

use super::calendar::{next_day, plus_days, previous_day};

/// The bank holidays of England and Wales.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BankHolidays {
    published: BTreeSet<NaiveDate>,
    years: BTreeSet<i32>,
}

impl BankHolidays {
    /// Takes a published list, which decides in each year in which it has a date. In those years it
    /// takes the place of what was published before.
    pub fn publish(&mut self, dates: impl IntoIterator<Item = NaiveDate>) {
        let dates: BTreeSet<NaiveDate> = dates.into_iter().collect();
        let years: BTreeSet<i32> = dates.iter().map(Datelike::year).collect();
        self.published.retain(|date| !years.contains(&date.year()));
        self.published.extend(dates);
        self.years.extend(years);
    }

    /// Whether the date is a bank holiday.
    #[must_use]
    pub fn contains(&self, date: NaiveDate) -> bool {
        if self.years.contains(&date.year()) {
            self.published.contains(&date)
        } else {
            statutory(date.year()).contains(&date)
        }
    }

    /// Whether people work in offices on that date.
    #[must_use]
    pub fn is_working_day(&self, date: NaiveDate) -> bool {
        !matches!(date.weekday(), Weekday::Sat | Weekday::Sun) && !self.contains(date)
    }

    /// The last working day before `date` (R22). Looks back a month at most, which no run of
    /// holidays fills.
    #[must_use]
    pub fn working_day_before(&self, date: NaiveDate) -> NaiveDate {
        let mut day = previous_day(date);
        for _ in 0..31 {
            if self.is_working_day(day) {
                break;
            }
            day = previous_day(day);
        }
        day
    }
}

/// The bank holidays of a year by the Banking and Financial Dealings Act 1971, by common law (Good
/// Friday, Christmas Day) and by the yearly proclamations that have been the same since 1978.
fn statutory(year: i32) -> BTreeSet<NaiveDate> {
    let mut days = BTreeSet::new();
    let Some(easter) = easter_sunday(year) else { return days };
    days.insert(plus_days(easter, -2));
    days.insert(plus_days(easter, 1));
    // Fixed dates that fall on a weekend, or on a day that is taken, move to the next free weekday.
    for (month, day) in [(1, 1), (12, 25), (12, 26)] {
        let Some(mut date) = NaiveDate::from_ymd_opt(year, month, day) else { continue };
        while matches!(date.weekday(), Weekday::Sat | Weekday::Sun) || days.contains(&date) {
            date = next_day(date);
        }
        days.insert(date);
    }
    days.extend(NaiveDate::from_weekday_of_month_opt(year, 5, Weekday::Mon, 1));
    days.extend(last_monday(year, 5));
    days.extend(last_monday(year, 8));
    days
}

fn last_monday(year: i32, month: u32) -> Option<NaiveDate> {
    NaiveDate::from_weekday_of_month_opt(year, month, Weekday::Mon, 5)
        .or_else(|| NaiveDate::from_weekday_of_month_opt(year, month, Weekday::Mon, 4))
}

/// Easter Sunday by the anonymous Gregorian computus (Meeus, Astronomical Algorithms, chapter 8).
fn easter_sunday(year: i32) -> Option<NaiveDate> {
    let (century, in_century) = (year.div_euclid(100), year.rem_euclid(100));
    let golden = year.rem_euclid(19);
    let correction = (century - (century + 8) / 25 + 1) / 3;
    let epact = (19 * golden + century - century / 4 - correction + 15) % 30;
    let weekday = (32 + 2 * (century % 4) + 2 * (in_century / 4) - epact - in_century % 4) % 7;
    let late = (golden + 11 * epact + 22 * weekday) / 451;
    let days = epact + weekday - 7 * late + 114;
    NaiveDate::from_ymd_opt(
        year,
        u32::try_from(days / 31).ok()?,
        u32::try_from(days % 31 + 1).ok()?,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn the_statutory_rule_beyond_the_published_dates() {
        // Written from the calendars of those years, not from the code.
        for (year, days) in [
            (2019, ["01-01", "04-19", "04-22", "05-06", "05-27", "08-26", "12-25", "12-26"]),
            // 26 December 2026 is a Saturday.
            (2026, ["01-01", "04-03", "04-06", "05-04", "05-25", "08-31", "12-25", "12-28"]),
            // 25 and 26 December 2027 are a Saturday and a Sunday.
            (2027, ["01-01", "03-26", "03-29", "05-03", "05-31", "08-30", "12-27", "12-28"]),
            // Christmas Day 2033 is a Sunday: Boxing Day stays, Christmas moves behind it.
            (2033, ["01-03", "04-15", "04-18", "05-02", "05-30", "08-29", "12-26", "12-27"]),
            (2038, ["01-01", "04-23", "04-26", "05-03", "05-31", "08-30", "12-27", "12-28"]),
        ] {
            let want: BTreeSet<_> = days.iter().map(|day| date(&format!("{year}-{day}"))).collect();
            assert_eq!(statutory(year), want, "{year}");
        }
    }

    #[test]
    fn a_published_year_is_believed_and_others_are_not_touched() {
        let mut holidays = BankHolidays::default();
        holidays.publish([date("2022-06-02"), date("2022-06-03")]);
        for (day, holiday) in [
            ("2022-06-02", true),
            ("2022-05-30", false),
            ("2022-12-26", false),
            ("2023-12-25", true),
            ("2021-05-31", true),
        ] {
            assert_eq!(holidays.contains(date(day)), holiday, "{day}");
        }
        holidays.publish([date("2022-01-03")]);
        assert!(!holidays.contains(date("2022-06-02")), "a later list replaces the year");
    }

    #[test]
    fn the_working_day_before() {
        let holidays = BankHolidays::default();
        for (day, before) in [
            ("2019-02-05", "2019-02-04"),
            ("2019-02-04", "2019-02-01"),
            ("2019-02-03", "2019-02-01"),
            ("2019-04-23", "2019-04-18"), // Easter: Tuesday back to Maundy Thursday
            ("2019-12-27", "2019-12-24"),
            ("2020-01-02", "2019-12-31"),
        ] {
            assert_eq!(holidays.working_day_before(date(day)), date(before), "{day}");
        }
    }
}
