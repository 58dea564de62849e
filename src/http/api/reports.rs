//! Reports: the return, the visit log, punctuality. A report that has not changed is not sent again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::NaiveDate;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::AppState;
use super::super::auth::Visitor;
use super::super::problem::Problem;
use super::{About, Asked, Named, note};
use crate::domain::calendar::{plus_days, week_start};
use crate::domain::policy::Contract;
use crate::domain::punctuality::{Punctuality, Tally};
use crate::domain::refs::ContractId;
use crate::domain::schedule3::Row;
use crate::report;
use crate::returns::{self, ReturnError};
use crate::store::evidence::hex;
use crate::view::contacts;
use crate::{book, clock};

/// Most weeks of a report.
const WEEKS_MAX: u32 = 104;

/// Which weeks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asking {
    /// A day of the first week.
    from: String,
    /// How many; 4 unless given.
    weeks: Option<u32>,
    /// `csv` or `json`; else by `Accept`.
    format: Option<String>,
}

/// The first and the last day of the weeks that are asked for.
fn days(contract: &Contract, asked: &Asking) -> Result<(NaiveDate, NaiveDate), Problem> {
    let from: NaiveDate = asked
        .from
        .parse()
        .map_err(|_| Problem::unusable("from: write a day of the first week, as 2026-11-23"))?;
    let weeks = asked.weeks.unwrap_or(4);
    if !(1..=WEEKS_MAX).contains(&weeks) {
        return Err(Problem::unusable(format!("weeks: write 1 to {WEEKS_MAX}")));
    }
    let first = week_start(from, contract.policy(from).week_starts_on);
    Ok((first, plus_days(first, i64::from(weeks) * 7 - 1)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Json,
}

fn format(asked: &Asking, headers: &HeaderMap) -> Result<Format, Problem> {
    let unknown = |status| Problem::new(status, "there are csv and json");
    match asked.format.as_deref() {
        Some("csv") => return Ok(Format::Csv),
        Some("json") => return Ok(Format::Json),
        Some(_) => return Err(unknown(StatusCode::UNPROCESSABLE_ENTITY)),
        None => {}
    }
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    for kind in accept.unwrap_or("*/*").split(',') {
        match kind.split(';').next().unwrap_or_default().trim() {
            "text/csv" => return Ok(Format::Csv),
            "application/json" | "application/*" | "*/*" => return Ok(Format::Json),
            _ => {}
        }
    }
    Err(unknown(StatusCode::NOT_ACCEPTABLE))
}

/// What is asked for, unless whoever asks has it already.
fn conditional(headers: &HeaderMap, kind: &'static str, bytes: Vec<u8>) -> Response {
    let mark = format!("\"{}\"", &hex(&Sha256::digest(&bytes))[..32]);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let has_it = known.is_some_and(|known| {
        known
            .split(',')
            .any(|one| matches!(one.trim().trim_start_matches("W/"), m if m == mark || m == "*"))
    });
    let about = [
        (header::ETAG, mark),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
        (header::VARY, "Accept, Authorization, Cookie".to_owned()),
    ];
    if has_it {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    (about, [(header::CONTENT_TYPE, kind)], bytes).into_response()
}

const CSV: &str = "text/csv; charset=utf-8; header=present";
const JSON: &str = "application/json";

fn contract_of(app: &AppState, name: &str) -> Result<Arc<Contract>, Problem> {
    let id: ContractId = name.parse().map_err(|_| Problem::not_found("contract"))?;
    app.contracts.get(&id).cloned().ok_or_else(|| Problem::not_found("contract"))
}

/// The rows of Schedule 3, as the evidence has them now.
///
/// # Errors
/// When the weeks cannot be read, a row does not balance, or the database fails.
pub async fn schedule3(
    State(app): State<AppState>,
    visitor: Visitor,
    Named(contract): Named<String>,
    Asked(asked): Asked<Asking>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let contract = contract_of(&app, &contract)?;
    let (days, format) = (days(&contract, &asked)?, format(&asked, &headers)?);
    note(&app, &visitor, "GET schedule-3", &contract.id, About::All).await?;
    let now = clock::now();
    let rows = returns::schedule3(&app.store, &app.contracts, &contract, days, now).await;
    let rows = rows.map_err(|failed| match failed {
        ReturnError::Store(failed) => failed.into(),
        ReturnError::Unbalanced(bug) => {
            tracing::error!("{bug}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, bug.to_string())
        }
    })?;
    Ok(match format {
        Format::Csv => conditional(&headers, CSV, report::schedule3::csv(&rows)),
        Format::Json => {
            let rows: Vec<Value> = rows.iter().map(row).collect();
            conditional(&headers, JSON, json!({"rows": rows}).to_string().into_bytes())
        }
    })
}

fn row(row: &Row) -> Value {
    json!({
        "service": row.key.service,
        "service_level_type": row.key.service_level,
        "client_reference": row.key.client.as_str(),
        "start_date": row.key.start_date.to_string(),
        "actual_quantity": row.actual.to_string(),
        "frustrated_quantity": row.frustrated.to_string(),
        "cancelled_quantity": row.cancelled.to_string(),
        "missed_quantity": row.missed.to_string(),
        "extra_quantity": row.extra.to_string(),
        "number_of_visits": row.visits,
        "call_duration": i64::try_from(row.call_minutes).unwrap_or(i64::MAX),
        "end_date": row.end_date.map(|date| date.to_string()),
        "comments": row.comments,
    })
}

/// The visit log.
///
/// # Errors
/// When the weeks cannot be read, or the database fails.
pub async fn visits(
    State(app): State<AppState>,
    visitor: Visitor,
    Named(contract): Named<String>,
    Asked(asked): Asked<Asking>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let contract = contract_of(&app, &contract)?;
    let (days, format) = (days(&contract, &asked)?, format(&asked, &headers)?);
    note(&app, &visitor, "GET visits", &contract.id, About::All).await?;
    let mut db = app.store.read().await?;
    let visits = book::visits(&mut db, &contract, days, clock::now()).await?;
    let only = visitor.sees_references_only();
    Ok(match format {
        Format::Csv => {
            let log = report::visits::csv(visits.iter().map(|visit| (&*contract, visit)));
            conditional(&headers, CSV, log)
        }
        Format::Json => {
            let visits = visits.iter().map(|one| crate::wire::records::visit(&contract, one, only));
            let visits: Vec<_> = visits.collect();
            conditional(&headers, JSON, json!({"visits": visits}).to_string().into_bytes())
        }
    })
}

/// Punctuality, contact within 30 minutes, and missed visits (R17, R23), of the contract and of each
/// client.
///
/// # Errors
/// When the weeks cannot be read, or the database fails.
pub async fn punctuality(
    State(app): State<AppState>,
    visitor: Visitor,
    Named(contract): Named<String>,
    Asked(asked): Asked<Asking>,
) -> Result<Json<Value>, Problem> {
    let contract = contract_of(&app, &contract)?;
    let days = days(&contract, &asked)?;
    note(&app, &visitor, "GET punctuality", &contract.id, About::All).await?;
    let now = clock::now();
    let mut db = app.store.read().await?;
    let visits = book::visits(&mut db, &contract, days, now).await?;
    let contacts = contacts(&mut db, &contract, days, now).await?;
    let measured = Punctuality::of(&contract, &visits, &contacts);
    let clients: Vec<Value> = measured
        .clients
        .iter()
        .map(|(client, tally)| {
            let mut value = tally_value(tally);
            value["client_ref"] = json!(client.as_str());
            value
        })
        .collect();
    Ok(Json(json!({
        "from": days.0.to_string(),
        "to": days.1.to_string(),
        "target_percent": crate::domain::punctuality::TARGET_PERCENT,
        "contract": tally_value(&measured.contract),
        "clients": clients,
    })))
}

fn tally_value(tally: &Tally) -> Value {
    json!({
        "planned": tally.planned,
        "to_deliver": tally.to_deliver,
        "within_tolerance": tally.within_tolerance,
        "start_unknown": tally.start_unknown,
        "late": tally.late,
        "missed": tally.missed,
        "punctuality_percent": tally.punctuality(),
        "contacts_due": tally.contacts_due,
        "contacts_in_time": tally.contacts_in_time,
        "contact_percent": tally.contact(),
    })
}
