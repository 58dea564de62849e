//! Reading `[[contract]]`: each table is one version of one contract's policy.

use std::collections::{BTreeMap, BTreeSet};

use ::config::ValueKind;
use chrono::{NaiveDate, Weekday};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::Contracts;
use super::keys::{self, CONTRACT, CONTRACT_KEYS, SERVICE_HOURS, SERVICE_HOURS_KEYS};
use super::layers::{BUILT_IN_ORIGIN, Merged, Values};
use super::mistakes::{Mistake, Notes};
use super::read::{Entry, Table};
use crate::domain::calendar::{DatedBy, ServiceHours, week_start};
use crate::domain::holidays::BankHolidays;
use crate::domain::policy::{Contract, Policy, Unit};
use crate::domain::refs::ContractId;

/// Longest name of a service or a service level, in characters.
const SERVICE_MAX_CHARS: usize = 100;

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Mon),
    ("tuesday", Weekday::Tue),
    ("wednesday", Weekday::Wed),
    ("thursday", Weekday::Thu),
    ("friday", Weekday::Fri),
    ("saturday", Weekday::Sat),
    ("sunday", Weekday::Sun),
];

/// One `[[contract]]` table. What could not be read is `None`, and noted.
struct Version {
    number: usize,
    id: ContractId,
    effective_from: Option<NaiveDate>,
    zone: Option<Tz>,
    policy: Option<Policy>,
}

/// Reads all contracts.
pub(super) fn read(
    merged: &Merged,
    holidays: &BankHolidays,
    notes: &mut Notes,
) -> Option<Contracts> {
    let list = merged.values.get(CONTRACT);
    let origin = list.and_then(|list| list.origin()).unwrap_or(BUILT_IN_ORIGIN);
    let given: Vec<_> = match list.map(|list| &list.kind) {
        Some(ValueKind::Array(tables)) => tables
            .iter()
            .filter_map(|table| match &table.kind {
                ValueKind::Table(values) => Some(values),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    if given.is_empty() {
        let standard = standard(merged, holidays, notes)?;
        return Some(Contracts::new([standard], false));
    }
    let versions: Vec<_> = given
        .iter()
        .zip(1..)
        .map(|(values, number)| version(number, origin, values, &merged.standard_contract, notes))
        .collect();
    // Which versions belong together is known only if all say it.
    let versions: Vec<Version> = versions.into_iter().collect::<Option<_>>()?;
    let mut by_id = BTreeMap::<_, Vec<_>>::new();
    for version in versions {
        by_id.entry(version.id.clone()).or_default().push(version);
    }
    let contracts: Vec<_> = by_id
        .into_iter()
        .map(|(id, versions)| contract(origin, id, versions, holidays, notes))
        .collect();
    let contracts: Vec<Contract> = contracts.into_iter().collect::<Option<_>>()?;
    Some(Contracts::new(contracts, origin != BUILT_IN_ORIGIN))
}

/// The contract that is built in.
pub(super) fn standard(
    merged: &Merged,
    holidays: &BankHolidays,
    notes: &mut Notes,
) -> Option<Contract> {
    let built_in = &merged.standard_contract;
    let version = version(1, BUILT_IN_ORIGIN, built_in, built_in, notes)?;
    contract(BUILT_IN_ORIGIN, version.id.clone(), vec![version], holidays, notes)
}

fn version(
    number: usize,
    origin: &str,
    values: &Values,
    defaults: &Values,
    notes: &mut Notes,
) -> Option<Version> {
    let id = match values.get("id").map(|id| &id.kind) {
        Some(ValueKind::String(id)) if id.parse::<ContractId>().is_ok() => format!(" ({id:?})"),
        _ => String::new(),
    };
    let table = Table {
        name: format!("[[contract]] {number}{id}"),
        separator: ": ",
        origin,
        values: Some(values),
        defaults: Some(defaults),
    };
    unknown_keys(&table, values, &CONTRACT_KEYS, notes);
    let id = table.read("id", notes, |entry| entry.text()?.parse().map_err(|bad| entry.wrong(bad)));
    let effective_from = table.read_optional("effective_from", notes, Entry::date);
    let zone = table.read("time_zone", notes, zone);
    let policy = policy(&table, effective_from.unwrap_or_default(), notes);
    Some(Version { number, id: id?, effective_from: effective_from.ok()?, zone, policy })
}

fn zone(entry: &Entry<'_>) -> Result<Tz, Mistake> {
    let text = entry.text()?;
    text.parse().map_err(|_| {
        let meant = keys::did_you_mean(text, TZ_VARIANTS.iter().map(|zone| zone.name()));
        entry.wrong(format_args!("write the IANA name of a time zone, as \"Europe/London\"{meant}"))
    })
}

fn policy(
    table: &Table<'_>,
    effective_from: Option<NaiveDate>,
    notes: &mut Notes,
) -> Option<Policy> {
    let service_hours = service_hours(table, notes);
    let tolerance = table.read("tolerance_minutes", notes, Entry::minutes);
    let late = table.read("late_minutes", notes, Entry::minutes);
    let time_specific_late = table.read("time_specific_late_minutes", notes, Entry::minutes);
    let missed_after = table.read("missed_after_minutes", notes, Entry::minutes);
    let match_window = table.read("match_window_minutes", notes, Entry::minutes);
    let overdue_checkout = table.read("overdue_checkout_minutes", notes, Entry::minutes);
    let device_silent_after = table.read("device_silent_after_hours", notes, Entry::hours);
    let fence_m = table.read("fence_m", notes, |entry| entry.metres(&(1.0..=100_000.0)));
    let week_starts_on = table.read("week_starts_on", notes, |entry| entry.one_of(&WEEKDAYS));
    let dated_by = table.read("dated_by", notes, |entry| {
        entry.one_of(&[("night", DatedBy::Night), ("start", DatedBy::Start)])
    });
    let periods_from = table.read("periods_from", notes, Entry::date);
    let unit = table
        .read("unit", notes, |entry| entry.one_of(&[("visit", Unit::Visit), ("hour", Unit::Hour)]));
    let service = |entry: &Entry<'_>| entry.text_up_to(SERVICE_MAX_CHARS);
    let unplanned_service = table.read("unplanned_service", notes, service);
    let unplanned_service_level = table.read("unplanned_service_level", notes, service);

    if let (Some(tolerance), Some(late)) = (tolerance, late)
        && tolerance > late
    {
        notes.add(table.mistake(format_args!(
            "tolerance_minutes is {} and late_minutes {}: what is late cannot be within tolerance",
            tolerance.num_minutes(),
            late.num_minutes()
        )));
    }
    if let (Some(from), Some(starts_on)) = (periods_from, week_starts_on)
        && let first = week_start(from, starts_on)
        && first != from
    {
        notes.add(table.mistake(format_args!(
            "periods_from is {from}, a {}, but weeks start on {}: \
             write the first day of a week, as \"{}\"",
            from.format("%A"),
            first.format("%A"),
            first
        )));
    }
    Some(Policy {
        effective_from,
        service_hours: service_hours?,
        tolerance: tolerance?,
        late: late?,
        time_specific_late: time_specific_late?,
        missed_after: missed_after?,
        match_window: match_window?,
        overdue_checkout: overdue_checkout?,
        device_silent_after: device_silent_after?,
        fence_m: fence_m?,
        week_starts_on: week_starts_on?,
        dated_by: dated_by?,
        periods_from: periods_from?,
        unit: unit?,
        unplanned_service: unplanned_service?,
        unplanned_service_level: unplanned_service_level?,
    })
}

fn service_hours(contract: &Table<'_>, notes: &mut Notes) -> Option<ServiceHours> {
    let inner = |values: Option<&'_ Values>| match &values?.get(SERVICE_HOURS)?.kind {
        ValueKind::Table(values) => Some(values.clone()),
        _ => None,
    };
    let right = "write { from = \"23:00\", to = \"07:00\" }";
    contract.read(SERVICE_HOURS, notes, |entry| match entry.kind {
        ValueKind::Table(_) => Ok(()),
        _ => Err(entry.wrong(right)),
    })?;
    let (values, defaults) = (inner(contract.values), inner(contract.defaults));
    let values = values.unwrap_or_default();
    let table = Table {
        name: format!("{}: {SERVICE_HOURS}", contract.name),
        separator: ".",
        origin: contract.origin,
        values: Some(&values),
        defaults: defaults.as_ref(),
    };
    unknown_keys(&table, &values, &SERVICE_HOURS_KEYS, notes);
    let from = table.read("from", notes, Entry::time_of_day);
    let to = table.read("to", notes, Entry::time_of_day);
    let hours = ServiceHours { from: from?, to: to? };
    if hours.is_in_order() {
        return Some(hours);
    }
    notes.add(table.mistake(format_args!(
        "from {} to {} is no night: service begins before it ends, counted from noon to noon",
        hours.from.format("%H:%M"),
        hours.to.format("%H:%M")
    )));
    None
}

pub(super) fn unknown_keys(table: &Table<'_>, values: &Values, known: &[&str], notes: &mut Notes) {
    let mut unknown: Vec<_> = values.keys().filter(|key| !known.contains(&key.as_str())).collect();
    unknown.sort();
    for key in unknown {
        let meant = keys::did_you_mean(key, known);
        notes.add(table.mistake(format_args!("there is no key {key:?}{meant}")));
    }
}

/// Puts the versions of one contract together.
fn contract(
    origin: &str,
    id: ContractId,
    versions: Vec<Version>,
    holidays: &BankHolidays,
    notes: &mut Notes,
) -> Option<Contract> {
    let mut wrong = |what: String| {
        notes.add(Mistake::new(origin, format_args!("contract \"{id}\": {what}")));
    };
    let numbers = |of: &dyn Fn(&Version) -> bool| {
        let numbers: Vec<_> =
            versions.iter().filter(|v| of(v)).map(|v| v.number.to_string()).collect();
        (numbers.len(), numbers.join(" and "))
    };
    match numbers(&|version| version.effective_from.is_none()) {
        (0, _) => wrong(
            "no [[contract]] is in force from the beginning: \
             leave effective_from out of the first version"
                .to_owned(),
        ),
        (1, _) => {}
        (_, several) => wrong(format!(
            "[[contract]] {several} have no effective_from: \
             only the version that is in force from the beginning has none"
        )),
    }
    let dates: BTreeSet<_> = versions.iter().filter_map(|version| version.effective_from).collect();
    for date in dates {
        let (count, several) = numbers(&|version| version.effective_from == Some(date));
        if count > 1 {
            wrong(format!(
                "[[contract]] {several} have the same effective_from, {date}: \
                 one version is in force at a time"
            ));
        }
    }
    let zones: BTreeSet<_> = versions.iter().filter_map(|v| Some(v.zone?.name())).collect();
    if zones.len() > 1 {
        let zones: Vec<_> = zones.into_iter().collect();
        wrong(format!(
            "its versions have different time zones, {}: write the same time_zone in each, \
             for a contract keeps its zone for ever",
            zones.join(" and ")
        ));
    }
    let zone = versions.iter().find_map(|version| version.zone)?;
    let policies: Vec<Policy> =
        versions.into_iter().map(|version| version.policy).collect::<Option<_>>()?;
    let (first, later): (Vec<_>, Vec<_>) =
        policies.into_iter().partition(|policy| policy.effective_from.is_none());
    Some(Contract::new(id, zone, first.into_iter().next()?, later, holidays.clone()))
}
