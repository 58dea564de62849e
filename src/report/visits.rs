//! The visit log as CSV: one line a visit.

use std::borrow::Cow;

use crate::domain::calendar::Night;
use crate::domain::instant::{Instant, format_seconds, micros};
use crate::domain::policy::Contract;
use crate::domain::quantity::hundredths;
use crate::domain::schedule3::row_key;
use crate::domain::visit::Visit;

/// The columns, in order.
pub const COLUMNS: [&str; 18] = [
    "contract",
    "night",
    "visit_ref",
    "client_ref",
    "service",
    "service_level",
    "run",
    "planned_start",
    "planned_end",
    "carers_required",
    "present",
    "start",
    "end",
    "call_minutes",
    "deviation_seconds",
    "status",
    "reason",
    "flags",
];

/// Writes visits, which are in the order of the log, with the contract of each.
pub fn csv<'a>(visits: impl IntoIterator<Item = (&'a Contract, &'a Visit)>) -> Vec<u8> {
    let mut writer = super::csv_writer();
    super::csv_row(&mut writer, COLUMNS.map(Cow::from));
    for (contract, visit) in visits {
        super::csv_row(&mut writer, cells(contract, visit));
    }
    super::csv_bytes(writer)
}

fn cells<'a>(contract: &'a Contract, visit: &'a Visit) -> [Cow<'a, str>; 18] {
    let row = row_key(contract, visit);
    let plan = visit.plan.as_ref().map(|plan| plan.visit.as_ref());
    let planned = |text: String| Cow::from(if plan.is_some() { text } else { String::new() });
    let run = plan.and_then(|plan| plan.run.as_ref());
    let mut flags: Vec<&str> = visit.flags.iter().map(|flag| flag.as_str()).collect();
    flags.sort_unstable();
    [
        contract.id.as_str().into(),
        night(visit.night).into(),
        visit.visit_ref.as_str().into(),
        visit.client.as_str().into(),
        super::harmless(&row.service).into_owned().into(),
        super::harmless(&row.service_level).into_owned().into(),
        run.map_or("", |run| run.as_str()).into(),
        planned(format_seconds(visit.planned_start)),
        planned(format_seconds(visit.planned_end)),
        planned(visit.carers_required.to_string()),
        visit.present.to_string().into(),
        seconds(visit.start),
        seconds(visit.end),
        visit.call.map_or(String::new(), |call| hundredths(micros(call).into(), 60_000_000)).into(),
        visit
            .deviation()
            .map_or(String::new(), |deviation| deviation.num_seconds().to_string())
            .into(),
        visit.status.as_str().into(),
        super::harmless(visit.reason.as_deref().unwrap_or_default()),
        flags.join(";").into(),
    ]
}

/// A night as files have it.
#[must_use]
pub fn night(night: Night) -> String {
    night.to_string()
}

/// An instant to the second; empty where not known.
#[must_use]
pub fn seconds(at: Option<Instant>) -> Cow<'static, str> {
    at.map_or(String::new(), format_seconds).into()
}
