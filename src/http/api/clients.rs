//! Clients who are in hospital or away: suspended, and for how long already (R22a).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::super::AppState;
use super::super::auth::Visitor;
use super::super::problem::Problem;
use super::alerts::said;
use super::{About, Body, Named, note};
use crate::clock;
use crate::domain::correction::COMMENT_MAX_CHARS;
use crate::domain::instant::{Instant, format_instant, parse_instant};
use crate::domain::plan::Suspension;
use crate::domain::refs::{ClientRef, ContractId};
use crate::import::Import;
use crate::import::take::Kind;
use crate::store::registers::{self, RegisterRow};

/// Hours are held for so many days [OOH 6.4.4].
pub const HELD_MAX_DAYS: i64 = 42;

/// A suspension that is not over.
#[derive(Debug, Serialize)]
pub struct SuspensionRecord {
    client_ref: String,
    from: String,
    to: Option<String>,
    notified_at: String,
    reason: String,
    /// For how many days the hours have been held.
    held_days: i64,
    /// For how many days they are held at most.
    held_max_days: i64,
}

/// A suspension as programs see it.
#[must_use]
pub fn record(suspension: &Suspension, now: Instant) -> SuspensionRecord {
    SuspensionRecord {
        client_ref: suspension.client_ref.to_string(),
        from: format_instant(suspension.from),
        to: suspension.to.map(format_instant),
        notified_at: format_instant(suspension.notified_at),
        reason: suspension.reason.clone(),
        held_days: (now - suspension.from).num_days().max(0),
        held_max_days: HELD_MAX_DAYS,
    }
}

/// The suspensions of a contract's clients that are not over, the oldest first.
///
/// # Errors
/// When the database fails.
pub async fn suspensions(
    State(app): State<AppState>,
    visitor: Visitor,
    Named(contract): Named<String>,
) -> Result<Json<Vec<SuspensionRecord>>, Problem> {
    let contract: ContractId = contract.parse().map_err(|_| Problem::not_found("contract"))?;
    note(&app, &visitor, "GET suspensions", &contract, About::All).await?;
    let now = clock::now();
    let registers = registers::load_all(&mut app.store.read().await?, &contract).await?;
    let open = registers.all_suspensions().filter(|one| one.to.is_none_or(|to| to > now));
    let mut open: Vec<&Suspension> = open.collect();
    open.sort_by_key(|one| (one.from, one.client_ref.clone()));
    Ok(Json(open.into_iter().map(|one| record(one, now)).collect()))
}

/// From when on, and until when.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Away {
    /// The first instant; one that has the same is replaced.
    from: String,
    /// The first instant after it; left out: until further notice.
    to: Option<String>,
    /// When the provider was told; now, unless given.
    notified_at: Option<String>,
    /// Why.
    reason: Option<String>,
}

/// Suspends a client, or says until when.
///
/// # Errors
/// When what is said cannot be, or the database fails.
pub async fn suspend(
    State(app): State<AppState>,
    visitor: Visitor,
    Named((contract, client)): Named<(String, String)>,
    Body(away): Body<Away>,
) -> Result<(StatusCode, Json<SuspensionRecord>), Problem> {
    let contract: ContractId = contract.parse().map_err(|_| Problem::not_found("contract"))?;
    let client_ref: ClientRef = client.parse().map_err(|_| Problem::not_found("client"))?;
    let instant = |name: &str, text: &str| {
        parse_instant(text).map_err(|_| {
            Problem::unusable(format!("{name}: write an instant, as 2026-11-22T02:05:00Z"))
        })
    };
    let now = clock::now();
    let from = instant("from", &away.from)?;
    let to = away.to.as_deref().map(|to| instant("to", to)).transpose()?;
    let notified_at = away.notified_at.as_deref().map(|at| instant("notified_at", at));
    let notified_at = notified_at.transpose()?.unwrap_or(now);
    let reason = said("reason", away.reason, COMMENT_MAX_CHARS)?
        .ok_or_else(|| Problem::unusable("reason: say why"))?;
    let suspension = Suspension { contract, client_ref, from, to, notified_at, reason };
    hold(&app, &visitor, &suspension, now).await?;
    Ok((StatusCode::CREATED, Json(record(&suspension, now))))
}

/// Keeps a suspension, in place of one with the same beginning.
///
/// # Errors
/// When it ends before it begins, or the database fails.
pub async fn hold(
    app: &AppState,
    visitor: &Visitor,
    suspension: &Suspension,
    now: Instant,
) -> Result<(), Problem> {
    if suspension.to.is_some_and(|to| to <= suspension.from) {
        return Err(Problem::unusable("to: a suspension ends after it begins"));
    }
    note(app, visitor, "POST suspension", &suspension.contract, About::All).await?;
    let kind = Kind::Suspensions.as_str();
    let mut import = Import::begin(&app.store, &app.contracts, kind, false, now).await?;
    import.registers(&[RegisterRow::Suspension(suspension.clone())]).await?;
    if import.finish().await?.is_none() {
        let detail = "an import came in between: send it again";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    app.changes.look();
    Ok(())
}
