//! Corrections, and events that people hand in.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::AppState;
use super::super::auth::Visitor;
use super::super::problem::Problem;
use super::alerts::said;
use super::{About, Asked, Body, Named, note};
use crate::clock;
use crate::domain::correction::{COMMENT_MAX_CHARS, Correction, CorrectionKind};
use crate::domain::event::Sender;
use crate::domain::instant::format_instant;
use crate::domain::refs::{CarerRef, ContractId, EventId, VisitRef};
use crate::store::acts::HandedIn;
use crate::store::evidence;
use crate::wire::topic;

/// What a coordinator decides about a visit.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// `delivered`, `frustrated`, `missed`, `cancelled`, or `withdraw`; without it only the comments are
    /// added.
    pub outcome: Option<String>,
    /// Why; an outcome needs it.
    pub reason: Option<String>,
    /// A comment that stays inside.
    pub comment: Option<String>,
    /// A comment for the return (R29).
    pub return_comment: Option<String>,
}

/// That something was done.
#[derive(Debug, Serialize)]
pub struct Done {
    /// `done`.
    status: &'static str,
    /// Where to see what came of it.
    see: String,
}

/// A coordinator corrects a visit.
///
/// # Errors
/// When there is no such visit, the decision is none, or the database fails.
pub async fn correct(
    State(app): State<AppState>,
    visitor: Visitor,
    Named((contract, visit)): Named<(String, String)>,
    Body(decision): Body<Decision>,
) -> Result<(StatusCode, Json<Done>), Problem> {
    let (contract, visit) = decide(&app, &visitor, &contract, &visit, decision).await?;
    Ok((StatusCode::CREATED, Json(see(&contract, &visit))))
}

fn see(contract: &ContractId, visit: &VisitRef) -> Done {
    Done { status: "done", see: format!("/api/v1/contracts/{contract}/visits/{visit}") }
}

fn names(contract: &str, visit: &str) -> Result<(ContractId, VisitRef), Problem> {
    Ok((
        contract.parse().map_err(|_| Problem::not_found("contract"))?,
        visit.parse().map_err(|_| Problem::not_found("visit"))?,
    ))
}

/// Records a decision about a visit.
///
/// # Errors
/// As [`correct`].
pub async fn decide(
    app: &AppState,
    visitor: &Visitor,
    contract: &str,
    visit: &str,
    decision: Decision,
) -> Result<(ContractId, VisitRef), Problem> {
    let (contract, visit_ref) = names(contract, visit)?;
    let reason = said("reason", decision.reason, COMMENT_MAX_CHARS)?;
    let comment = said("comment", decision.comment, COMMENT_MAX_CHARS)?;
    let return_comment = said("return_comment", decision.return_comment, COMMENT_MAX_CHARS)?;
    let named = visit_ref.clone();
    let what = match decision.outcome.as_deref().filter(|word| !word.is_empty()) {
        Some("withdraw") => CorrectionKind::Withdraw { visit_ref },
        Some(word) => {
            let outcome = word.parse().map_err(|_| {
                Problem::unusable(
                    "outcome: write delivered, frustrated, missed, cancelled or withdraw",
                )
            })?;
            CorrectionKind::Outcome { visit_ref, outcome }
        }
        None if comment.is_none() && return_comment.is_none() => {
            let detail = "say an outcome, or a comment: nothing was decided";
            return Err(Problem::unusable(detail));
        }
        None => CorrectionKind::Comment { visit_ref },
    };
    if reason.is_none() && !matches!(what, CorrectionKind::Comment { .. }) {
        return Err(Problem::unusable("reason: say why, so that others can follow it"));
    }
    note(app, visitor, "POST correction", &contract, About::Named(&named)).await?;
    let (at, by) = (clock::now(), visitor.name.clone());
    let contract_of = contract.clone();
    let correction =
        Correction { at, by, contract: contract_of, reason, comment, return_comment, what };
    app.office.correct(&correction).await?;
    app.changes.look();
    Ok((contract, named))
}

/// To which visit an event belongs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// The visit.
    pub visit_ref: String,
    /// Why.
    pub reason: Option<String>,
}

/// A coordinator places an event.
///
/// # Errors
/// When there is no such event or visit, or the database fails.
pub async fn place(
    State(app): State<AppState>,
    visitor: Visitor,
    Named((contract, event)): Named<(String, String)>,
    Body(placement): Body<Placement>,
) -> Result<(StatusCode, Json<Done>), Problem> {
    let (contract, visit) = put(&app, &visitor, &contract, &event, placement).await?;
    Ok((StatusCode::CREATED, Json(see(&contract, &visit))))
}

/// Records where an event belongs.
///
/// # Errors
/// As [`place`].
pub async fn put(
    app: &AppState,
    visitor: &Visitor,
    contract: &str,
    event: &str,
    placement: Placement,
) -> Result<(ContractId, VisitRef), Problem> {
    let (contract, visit_ref) = names(contract, &placement.visit_ref)?;
    let event_id: EventId = event.parse().map_err(|_| Problem::not_found("event"))?;
    let reason = said("reason", placement.reason, COMMENT_MAX_CHARS)?;
    note(app, visitor, "POST place", &contract, About::Named(&visit_ref)).await?;
    let correction = Correction {
        at: clock::now(),
        by: visitor.name.clone(),
        contract: contract.clone(),
        reason,
        comment: None,
        return_comment: None,
        what: CorrectionKind::Place { event_id, visit_ref: visit_ref.clone() },
    };
    app.office.correct(&correction).await?;
    app.changes.look();
    Ok((contract, visit_ref))
}

/// An event that came by a call: what a phone would have sent, and why it was not the phone.
#[derive(Debug, Deserialize)]
pub struct PhonedIn {
    /// Why the carer rang.
    pub why: Option<String>,
    /// The fields of an event.
    #[serde(flatten)]
    pub event: Map<String, Value>,
}

/// A carer has phoned in what their phone could not send.
///
/// # Errors
/// When it is no event, or nothing can be committed.
pub async fn phone_in(
    State(app): State<AppState>,
    visitor: Visitor,
    Named(contract): Named<String>,
    Body(phoned): Body<PhonedIn>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let contract: ContractId = contract.parse().map_err(|_| Problem::not_found("contract"))?;
    let PhonedIn { why, mut event } = phoned;
    let carer = event.get("carer_ref").and_then(Value::as_str).and_then(|name| name.parse().ok());
    let carer: CarerRef = carer
        .ok_or_else(|| Problem::unusable("carer_ref: say which carer rang, by their reference"))?;
    match event.get("method").map(|method| method.as_str() == Some("phone_line")) {
        Some(false) => {
            return Err(Problem::unusable("method: what is phoned in has the method phone_line"));
        }
        _ => event.insert("method".to_owned(), json!("phone_line")),
    };
    event.entry("event_id").or_insert_with(|| json!(Uuid::new_v4().to_string()));
    note(&app, &visitor, "POST event", &contract, About::All).await?;
    let handed = HandedIn {
        at: clock::now(),
        by: visitor.name.clone(),
        why: said("why", why, COMMENT_MAX_CHARS)?,
        rejected: None,
    };
    let topic = topic::event(&contract, &Sender::Carer(carer));
    let payload = Value::Object(event).to_string().into_bytes();
    let (contract, id) = app.office.hand_in(topic, payload, &handed).await?;
    app.changes.look();
    Ok((
        StatusCode::CREATED,
        Json(
            json!({"status": "accepted", "contract": contract.as_str(), "event_id": id.to_string()}),
        ),
    ))
}

/// Which messages that could not be used are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    before: Option<i64>,
}

/// Messages of a page.
const PAGE: i64 = 100;

/// The messages that could not be used, the latest first, page by page.
///
/// # Errors
/// When the database fails.
pub async fn rejected(
    State(app): State<AppState>,
    visitor: Visitor,
    Asked(asked): Asked<Before>,
) -> Result<Json<Value>, Problem> {
    let before = asked.before.unwrap_or(i64::MAX);
    let found = evidence::rejected_before(&mut app.store.read().await?, before, PAGE).await?;
    let full = found.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
    let next =
        found.last().filter(|_| full).map(|last| format!("/api/v1/rejected?before={}", last.id));
    let of_visitor = |one: &&evidence::Rejected| match contract_of(&one.topic) {
        Some(contract) => visitor.contracts.has(&contract),
        None => visitor.contracts == crate::domain::role::Scope::All,
    };
    let messages: Vec<Value> = found
        .iter()
        .filter(of_visitor)
        .map(|one| {
            json!({
                "id": one.id,
                "topic": one.topic,
                "code": one.code,
                "detail": one.detail,
                "received_at": format_instant(one.received_at),
                "times": one.times,
                "taken": one.taken,
                "payload": String::from_utf8_lossy(&one.payload),
            })
        })
        .collect();
    Ok(Json(json!({"rejected": messages, "next": next})))
}

/// The contract that a topic names, whether the daemon knows it or not.
fn contract_of(topic: &str) -> Option<ContractId> {
    topic.split('/').nth(2)?.parse().ok()
}

/// A message that could not be used is tried again, once its cause is put right.
///
/// # Errors
/// When there is none of that number, it still cannot be used, or nothing can be committed.
pub async fn retry(
    State(app): State<AppState>,
    visitor: Visitor,
    Named(id): Named<i64>,
) -> Result<Json<Value>, Problem> {
    let found = evidence::rejected(&mut app.store.read().await?, id).await?;
    let contract = found.and_then(|found| contract_of(&found.topic));
    let contract = contract.filter(|contract| visitor.contracts.has(contract));
    let contract = contract.ok_or_else(|| Problem::not_found("rejected message"))?;
    note(&app, &visitor, "POST retry", &contract, About::All).await?;
    let (at, by) = (clock::now(), visitor.name.clone());
    let handed = HandedIn { at, by, why: None, rejected: Some(id) };
    let (contract, event) = app.office.retry(id, handed).await?;
    app.changes.look();
    Ok(Json(
        json!({"status": "accepted", "contract": contract.as_str(), "event_id": event.to_string()}),
    ))
}
