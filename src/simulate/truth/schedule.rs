//! The rows of Schedule 3, added up from the scripts (R27, R28, R29).

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate, TimeDelta};

use super::{Row, Truth, decimal, micros, night_of, rounded};
use crate::domain::calendar::DatedBy;
use crate::domain::policy::Unit;
use crate::simulate::night::Visit;
use crate::simulate::script::Counts;

/// Parts of a visit, or of an hour: half a visit and half a microsecond are whole numbers of them.
const PARTS: i64 = 7_200_000_000;
impl Truth<'_> {
    /// The rows of Schedule 3, by service, level, client and first day of the week; and of whom
    /// nothing can be said any more, because time has gone on.
    #[must_use]
    pub fn schedule(&self) -> (BTreeMap<[String; 4], Row>, Vec<[String; 4]>) {
        let mut weeks: BTreeMap<[String; 4], Week> = BTreeMap::new();
        let mut unknown = Vec::new();
        let mut in_order: Vec<&Visit> = self.night.visits.iter().collect();
        in_order.sort_by_key(|visit| visit.start);
        for visit in in_order {
            let Some(row) = self.log_row(visit) else { continue };
            let date = self.date(visit);
            let policy = self.contract.policy(night_of(self.contract.zone, visit.start));
            let into_week = date.weekday().days_since(policy.week_starts_on);
            let week_start = date - TimeDelta::days(into_week.into());
            let key = [
                row["service"].clone(),
                row["service_level"].clone(),
                row["client_ref"].clone(),
                week_start.to_string(),
            ];
            if !self.holds(visit) {
                unknown.push(key.clone());
            }
            self.add(visit, &row, date, weeks.entry(key).or_default());
        }
        let rows = weeks.into_iter().filter(|(_, week)| week.has_row);
        let rows = rows.map(|(key, week)| (key.clone(), week.row(&key))).collect();
        (rows, unknown)
    }

    /// The date on which a visit counts (R4).
    fn date(&self, visit: &Visit) -> NaiveDate {
        let zone = self.contract.zone;
        let night = night_of(zone, visit.start);
        match self.contract.policy(night).dated_by {
            DatedBy::Night => night,
            DatedBy::Start => visit.start.with_timezone(&zone).date_naive(),
        }
    }

    /// Adds a visit to its week (R27, R28, R29).
    fn add(&self, visit: &Visit, log: &Row, date: NaiveDate, week: &mut Week) {
        let truth = &visit.script.truth;
        let unit = self.contract.policy(night_of(self.contract.zone, visit.start)).unit;
        let length = |length: TimeDelta| match unit {
            Unit::Visit => PARTS,
            Unit::Hour => micros(length) * 2,
        };
        let stated = visit.script.plan.and_then(|plan| plan.hundredths);
        let planned = match (&visit.plan, stated) {
            (Some(_), Some(hundredths)) => PARTS / 100 * hundredths,
            (Some(plan), None) => length(plan.end - plan.start),
            (None, _) => 0,
        };
        let call = self.call(visit);
        let section = match truth.counts {
            Counts::Actual => {
                week.actual += planned;
                None
            }
            Counts::HalfActual => {
                week.actual += planned / 2;
                week.missed += planned / 2;
                Some("Actual")
            }
            Counts::Frustrated => {
                week.frustrated += planned;
                Some("Frustrated")
            }
            Counts::Cancelled => {
                week.cancelled += planned;
                Some("Cancelled")
            }
            Counts::Missed => {
                week.missed += planned;
                Some("Missed")
            }
            Counts::Extra => {
                let extra = call.map_or(0, length);
                week.extra += extra;
                week.actual += extra;
                Some("Extra")
            }
            Counts::Void => {
                week.void += 1;
                return;
            }
            Counts::Provisional => {
                week.provisional += 1;
                week.has_row = true;
                return;
            }
            Counts::Nothing => return,
        };
        week.has_row = true;
        if matches!(truth.counts, Counts::Actual | Counts::HalfActual | Counts::Extra) {
            week.visits += 1;
            week.call += call.map_or(0, micros);
            week.calls_unknown += u32::from(call.is_none());
            week.end_date = week.end_date.max(Some(date));
        }
        if let Some(section) = section {
            let at = visit.start.with_timezone(&self.contract.zone).format("%Y-%m-%d %H:%M");
            let why = match truth.counts {
                Counts::HalfActual => " 1 of 2 present".to_owned(),
                _ if truth.reason.is_empty() => String::new(),
                _ => format!(" {}", truth.reason),
            };
            let said = format!("{at} {}{why}", log["visit_ref"]);
            week.said.entry(section).or_default().push(said);
        }
    }
}

/// A row of Schedule 3 that is being added up.
#[derive(Default)]
struct Week {
    actual: i64,
    frustrated: i64,
    cancelled: i64,
    missed: i64,
    extra: i64,
    visits: u32,
    call: i64,
    calls_unknown: u32,
    provisional: u32,
    void: u32,
    end_date: Option<NaiveDate>,
    said: BTreeMap<&'static str, Vec<String>>,
    has_row: bool,
}

impl Week {
    fn row(self, key: &[String; 4]) -> Row {
        let quantity = |parts: i64| decimal(rounded(parts * 100, PARTS));
        let counted = |number: u32| match number {
            1 => "1 visit".to_owned(),
            _ => format!("{number} visits"),
        };
        let mut comments = Vec::new();
        if self.provisional > 0 {
            comments.push(format!("Provisional: {} not final", counted(self.provisional)));
        }
        if self.void > 0 {
            comments.push(format!("Void: {}", counted(self.void)));
        }
        for section in ["Actual", "Frustrated", "Cancelled", "Missed", "Extra"] {
            if let Some(said) = self.said.get(section) {
                comments.push(format!("{section}: {}", said.join(", ")));
            }
        }
        if self.calls_unknown > 0 {
            comments.push(format!("Call Duration: {} unknown", counted(self.calls_unknown)));
        }
        let [service, level, client, week] = key.clone();
        let date = self.end_date.map_or(String::new(), |date| date.to_string());
        [
            ("Service", service),
            ("Service Level Type", level),
            ("Client Reference", client),
            ("Start Date", week),
            ("Actual Quantity", quantity(self.actual)),
            ("Frustrated Quantity", quantity(self.frustrated)),
            ("Cancelled Quantity", quantity(self.cancelled)),
            ("Missed Quantity", quantity(self.missed)),
            ("Extra Quantity", quantity(self.extra)),
            ("Number of Visits", self.visits.to_string()),
            ("Call Duration", rounded(self.call, 60_000_000).to_string()),
            ("End Date", date),
            ("Comments", comments.join("; ")),
        ]
        .into_iter()
        .map(|(column, value)| (column.to_owned(), value))
        .collect()
    }
}
