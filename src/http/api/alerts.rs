//! Alerts: which there are, and what is done about them (R21, R23).

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::AppState;
use super::super::auth::Visitor;
use super::super::problem::Problem;
use super::nights::{alert_record, is_for};
use super::{About, Asked, Body, Named, note};
use crate::clock;
use crate::domain::contact::{Act, Contact, ContactOutcome, Deed};
use crate::domain::correction::{BY_MAX_CHARS, COMMENT_MAX_CHARS};
use crate::domain::event::CLOCK_AHEAD_ALLOWED;
use crate::domain::instant::{Instant, parse_instant};
use crate::domain::refs::ContractId;
use crate::store::alerts;
use crate::view;
use crate::wire::alert::State as AlertState;
use crate::wire::records::AlertRecord;

/// Alerts of a page, unless another number is asked for.
const PAGE: i64 = 100;
/// Most alerts of a page.
const PAGE_MAX: i64 = 1_000;

/// Which alerts are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// `open` (acknowledged ones too), `acknowledged` or `resolved`; all, unless given.
    state: Option<String>,
    /// Of that contract only.
    contract: Option<String>,
    /// Those that come after this alert, which was the last of a page.
    after: Option<Uuid>,
    /// How many.
    limit: Option<i64>,
}

/// A page of alerts.
#[derive(Debug, Serialize)]
pub struct AlertPage {
    alerts: Vec<AlertRecord>,
    /// What to ask for to get the next page; null: there is none.
    next: Option<String>,
}

/// The alerts, the latest first, page by page.
///
/// # Errors
/// When what is asked for is not known, or the database fails.
pub async fn list(
    State(app): State<AppState>,
    visitor: Visitor,
    Asked(which): Asked<Which>,
) -> Result<Json<AlertPage>, Problem> {
    let mut of: BTreeSet<ContractId> = app.contracts.iter().map(|one| one.id.clone()).collect();
    of.retain(|id| visitor.contracts.has(id));
    if let Some(contract) = &which.contract {
        of.retain(|id| id.as_str() == contract);
        if of.is_empty() {
            return Err(Problem::not_found("contract"));
        }
    }
    let limit = which.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let (now, only) = (clock::now(), visitor.sees_references_only());
    let mut db = app.store.read().await?;
    let mut after = (Instant::MAX_UTC, Uuid::max());
    if let Some(id) = which.after {
        let found = alerts::find(&mut db, id).await?.ok_or_else(|| Problem::not_found("alert"))?;
        after = (found.message.raised_at, id);
    }
    let mut found;
    let mut next = None;
    match which.state.as_deref() {
        Some("open") => {
            // They are few, and nobody should have to ask twice.
            found = alerts::open(&mut db, &of).await?;
            found.sort_by_key(|one| {
                std::cmp::Reverse((one.message.raised_at, one.message.alert_id))
            });
        }
        None | Some("acknowledged" | "resolved") => {
            found = alerts::before(&mut db, &of, after, limit).await?;
            let full = found.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
            let last = found.last().filter(|_| full).map(|one| one.message.alert_id);
            let path = "/api/v1/alerts?limit=";
            let state = which.state.as_ref().map(|s| format!("&state={s}")).unwrap_or_default();
            let contract =
                which.contract.as_ref().map(|c| format!("&contract={c}")).unwrap_or_default();
            next = last.map(|id| format!("{path}{limit}{state}{contract}&after={id}"));
            found.retain(|one| match which.state.as_deref() {
                Some("acknowledged") => one.message.state == AlertState::Acknowledged,
                Some("resolved") => one.message.state == AlertState::Resolved,
                _ => true,
            });
        }
        Some(_) => {
            let detail = "state is open, acknowledged or resolved; without it all are given";
            return Err(Problem::unusable(detail));
        }
    }
    let found = view::with_acts(&mut db, found, now).await?;
    let alerts = found.iter().filter(|one| is_for(one, only)).map(|one| alert_record(one, only));
    Ok(Json(AlertPage { alerts: alerts.collect(), next }))
}

/// What may be said when an alert is acknowledged or resolved.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noted {
    note: Option<String>,
}

/// That somebody rang the client.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rang {
    spoke_to: String,
    outcome: Option<String>,
    at: Option<String>,
    new_time: Option<String>,
    reason: Option<String>,
    note: Option<String>,
}

/// A body that may be left out.
fn noted(body: Result<Body<Noted>, Problem>) -> Result<Noted, Problem> {
    match body {
        Ok(Body(noted)) => Ok(noted),
        Err(bad) if bad.status == axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Ok(Noted::default())
        }
        Err(bad) => Err(bad),
    }
}

/// Somebody takes care of it.
///
/// # Errors
/// When there is no such alert, it is over, or the database fails.
pub async fn acknowledge(
    State(app): State<AppState>,
    visitor: Visitor,
    Named(alert): Named<Uuid>,
    body: Result<Body<Noted>, Problem>,
) -> Result<Json<AlertRecord>, Problem> {
    let note = noted(body)?.note;
    done(&app, &visitor, alert, Deed::Acknowledged, note).await.map(Json)
}

/// Somebody rang the client.
///
/// # Errors
/// When there is no such alert, what is said cannot be, or the database fails.
pub async fn contact(
    State(app): State<AppState>,
    visitor: Visitor,
    Named(alert): Named<Uuid>,
    Body(rang): Body<Rang>,
) -> Result<Json<AlertRecord>, Problem> {
    let now = clock::now();
    let instant = |name: &str, text: Option<&String>| match text {
        None => Ok(None),
        Some(text) => parse_instant(text).map(Some).map_err(|_| {
            Problem::unusable(format!("{name}: write an instant, as 2026-11-22T02:05:00Z"))
        }),
    };
    let outcome = match rang.outcome.as_deref() {
        None => ContactOutcome::Spoke,
        Some(word) => word
            .parse()
            .map_err(|_| Problem::unusable("outcome: write spoke, left_message or no_answer"))?,
    };
    let at = instant("at", rang.at.as_ref())?.unwrap_or(now);
    let new_time = instant("new_time", rang.new_time.as_ref())?;
    let contact = Contact { spoke_to: rang.spoke_to, outcome, at, new_time, reason: rang.reason };
    rung(&app, &visitor, alert, contact, rang.note).await.map(Json)
}

/// Records that the client was rung.
///
/// # Errors
/// As [`contact`].
pub async fn rung(
    app: &AppState,
    visitor: &Visitor,
    alert: Uuid,
    contact: Contact,
    note: Option<String>,
) -> Result<AlertRecord, Problem> {
    if contact.at > clock::now() + CLOCK_AHEAD_ALLOWED {
        return Err(Problem::unusable(
            "at: that is in the future; say when you spoke, or leave it out",
        ));
    }
    let contact = Contact {
        spoke_to: said("spoke_to", Some(contact.spoke_to), BY_MAX_CHARS)?
            .ok_or_else(|| Problem::unusable("spoke_to: say who was spoken to, or who was rung"))?,
        reason: said("reason", contact.reason, COMMENT_MAX_CHARS)?,
        ..contact
    };
    done(app, visitor, alert, Deed::Contact(contact), note).await
}

/// A coordinator has dealt with it.
///
/// # Errors
/// When there is no such alert, it may not be resolved yet, or the database fails.
pub async fn resolve(
    State(app): State<AppState>,
    visitor: Visitor,
    Named(alert): Named<Uuid>,
    body: Result<Body<Noted>, Problem>,
) -> Result<Json<AlertRecord>, Problem> {
    let note = noted(body)?.note;
    done(&app, &visitor, alert, Deed::Resolved, note).await.map(Json)
}

/// Text that somebody has said; empty text says nothing.
///
/// # Errors
/// When it is too long, or holds what is no text.
pub fn said(name: &str, text: Option<String>, most: usize) -> Result<Option<String>, Problem> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let fits = |text: &String| {
        text.chars().count() <= most
            && !text.chars().any(|one| one.is_control() && !matches!(one, '\n' | '\r' | '\t'))
    };
    match text {
        Some(text) if !fits(&text) => {
            Err(Problem::unusable(format!("{name}: write at most {most} characters of text")))
        }
        text => Ok(text),
    }
}

/// Does something about an alert.
///
/// # Errors
/// When there is no such alert for that visitor, it may not be done, or the database fails.
pub async fn done(
    app: &AppState,
    visitor: &Visitor,
    alert: Uuid,
    deed: Deed,
    remark: Option<String>,
) -> Result<AlertRecord, Problem> {
    let found = alerts::find(&mut app.store.read().await?, alert).await?;
    let found = found.filter(|found| visitor.contracts.has(&found.message.contract));
    let found = found.ok_or_else(|| Problem::not_found("alert"))?;
    let (what, contract) = ("POST alert", found.message.contract);
    let about = found.message.visit_ref.as_ref().map_or(About::All, About::Named);
    note(app, visitor, what, &contract, about).await?;
    let remark = said("note", remark, COMMENT_MAX_CHARS)?;
    let act = Act { at: clock::now(), by: visitor.name.clone(), note: remark, deed };
    let found = app.office.act(alert, &act).await?;
    app.changes.look();
    let now = clock::now();
    let viewed = view::with_acts(&mut app.store.read().await?, vec![found], now).await?;
    let viewed = viewed.first().ok_or_else(|| Problem::not_found("alert"))?;
    Ok(alert_record(viewed, visitor.sees_references_only()))
}
