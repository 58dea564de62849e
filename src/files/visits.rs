//! The plan: rows of a `visits` file.

use std::sync::Arc;

use super::cells::{Cells, Noted};
use super::findings::quoted;
use super::times::{self, BadSpan};
use super::values::{line_of, parsed, word};
use super::{Column, FileRow};
use crate::domain::instant::Instant;
use crate::domain::plan::{Cancellation, CancelledBy, PlannedVisit};
use crate::domain::policy::Contract;
use crate::domain::refs::{CarerRef, ClientRef, RunRef, UNPLANNED_PREFIX, VisitRef};

const SERVICE_MAX_CHARS: usize = 100;
const REASON_MAX_CHARS: usize = 500;

const CARERS_REQUIRED: &[(&str, u8)] = &[("1", 1), ("2", 2), ("3", 3), ("4", 4)];
const BOOLEAN: &[(&str, bool)] = &[("true", true), ("false", false)];
const CANCELLED_BY: &[(&str, CancelledBy)] = &[
    ("client", CancelledBy::Client),
    ("council", CancelledBy::Council),
    ("provider", CancelledBy::Provider),
    ("error", CancelledBy::Error),
];

impl FileRow for PlannedVisit {
    const COLUMNS: &'static [Column] = &[
        Column::required("contract"),
        Column::required("visit_ref"),
        Column::required("service"),
        Column::required("service_level"),
        Column::required("client_ref"),
        Column::may_be_empty("run"),
        Column::required("planned_start"),
        Column::required("planned_end"),
        Column::required("carers_required"),
        Column::list("carers"),
        Column::optional("time_specific"),
        Column::optional("quantity"),
        Column::optional("cancelled_at"),
        Column::optional("cancelled_by"),
        Column::optional("cancel_reason"),
    ];

    fn read(cells: &mut Cells<'_>) -> Result<Self, Noted> {
        let contract = cells.contract();
        let visit_ref = cells.required("visit_ref", visit_ref);
        if let (Ok(contract), Ok(visit_ref)) = (&contract, &visit_ref) {
            let key = [contract.id.as_str(), visit_ref.as_str()];
            cells.once("visit_ref", "contract and visit_ref", &key);
        }
        let service = cells.required("service", line_of(SERVICE_MAX_CHARS));
        let service_level = cells.required("service_level", line_of(SERVICE_MAX_CHARS));
        let client_ref = cells.required("client_ref", parsed::<ClientRef>);
        let run = cells.optional("run", parsed::<RunRef>);
        let span = span(cells, &contract, visit_ref.as_ref().ok());
        let carers_required = cells.required("carers_required", word(CARERS_REQUIRED));
        let carers = cells.optional("carers", carers);
        let time_specific = cells.optional("time_specific", word(BOOLEAN));
        let quantity = cells.optional("quantity", parsed);
        let cancellation = cancellation(cells, &contract);
        let (start, end) = span?;
        Ok(Self {
            contract: contract?.id.clone(),
            visit_ref: visit_ref?,
            service: service?,
            service_level: service_level?,
            client_ref: client_ref?,
            run: run?,
            start,
            end,
            carers_required: carers_required?,
            carers: carers?.unwrap_or_default(),
            time_specific: time_specific?.unwrap_or(false),
            quantity: quantity?,
            cancellation: cancellation?,
        })
    }
}

fn visit_ref(text: &str) -> Result<VisitRef, String> {
    if text.starts_with(UNPLANNED_PREFIX) {
        let text = quoted(text);
        return Err(format!(
            "{text}: {UNPLANNED_PREFIX} begins the names of unplanned visits only"
        ));
    }
    parsed(text)
}

fn carers(text: &str) -> Result<Vec<CarerRef>, String> {
    let mut carers: Vec<CarerRef> = Vec::new();
    for name in text.split(';') {
        let carer: CarerRef = parsed(name.trim())?;
        if carers.contains(&carer) {
            return Err(format!("{} is there twice", quoted(carer.as_str())));
        }
        carers.push(carer);
    }
    Ok(carers)
}

/// Planned start and end (R2), with the warnings that belong to them (R3).
fn span(
    cells: &mut Cells<'_>,
    contract: &Result<Arc<Contract>, Noted>,
    visit_ref: Option<&VisitRef>,
) -> Result<(Instant, Instant), Noted> {
    let from = cells.required("planned_start", times::written);
    let to = cells.required("planned_end", times::written);
    let (from, to) = (from?, to?);
    let contract = match contract {
        Ok(contract) => contract,
        Err(_) if !times::is_in_order(from, to) => {
            return Err(cells.bad("planned_end", times::END_NOT_AFTER_START));
        }
        Err(noted) => return Err(*noted),
    };
    let span = times::span(contract.zone, from, to).map_err(|bad| match bad {
        BadSpan::Start(reason) => cells.bad("planned_start", reason),
        BadSpan::End(reason) => cells.bad("planned_end", reason),
    })?;
    let visit = visit_ref.map_or("the visit", VisitRef::as_str);
    if let Some(change) = span.clock_change {
        cells.warn("planned_start", format!("{visit}: {change}"));
    }
    let night = contract.night_of(span.start);
    let hours = contract.policy(night).service_hours;
    let outside = if span.start < hours.begin(contract.zone, night) {
        Some("planned_start")
    } else if span.end > hours.end(contract.zone, night) {
        Some("planned_end")
    } else {
        None
    };
    if let Some(column) = outside {
        let (from, to) = (hours.from.format("%H:%M"), hours.to.format("%H:%M"));
        let text = format!("{visit}: planned outside the service hours, {from} to {to}");
        cells.warn(column, text);
    }
    Ok((span.start, span.end))
}

/// The cancellation, whose two halves come together (R22).
fn cancellation(
    cells: &mut Cells<'_>,
    contract: &Result<Arc<Contract>, Noted>,
) -> Result<Option<Cancellation>, Noted> {
    let at = cells.time("cancelled_at", contract.as_deref().map_err(|noted| *noted));
    let by = cells.optional("cancelled_by", word(CANCELLED_BY));
    let reason = cells.optional("cancel_reason", line_of(REASON_MAX_CHARS));
    match (cells.has("cancelled_at"), cells.has("cancelled_by")) {
        (true, false) => {
            return Err(cells.bad("cancelled_by", "is missing; cancelled_at needs it"));
        }
        (false, true) => {
            return Err(cells.bad("cancelled_at", "is missing; cancelled_by needs it"));
        }
        (false, false) if cells.has("cancel_reason") => {
            let wanted = "needs cancelled_at and cancelled_by, or must be empty";
            return Err(cells.bad("cancel_reason", wanted));
        }
        _ => {}
    }
    let (at, by, reason) = (at?, by?, reason?);
    Ok(at.zip(by).map(|(at, by)| Cancellation { at, by, reason }))
}
