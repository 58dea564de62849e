//! Nights and visits.

use axum::Json;
use axum::extract::State;
use chrono::NaiveDate;
use serde::Serialize;

use super::super::AppState;
use super::super::auth::Visitor;
use super::super::problem::Problem;
use super::{About, Named, note, read_night};
use crate::clock;
use crate::domain::plan_check::Remark;
use crate::domain::refs::{ContractId, VisitRef};
use crate::store::notifications::Notice;
use crate::view::{self, AlertView, EventView, StoryView};
use crate::wire::records::{
    self, AlertRecord, CorrectionRecord, EventRecord, NotificationRecord, PlanRecord, RowRecord,
    VisitRecord,
};

/// A night.
#[derive(Debug, Serialize)]
pub struct NightRecord {
    contract: String,
    night: String,
    as_of: String,
    visits: Vec<VisitRecord>,
    alerts: Vec<AlertRecord>,
    unplaced: Vec<EventRecord>,
}

/// An alert as that visitor may see it.
#[must_use]
pub fn alert_record(alert: &AlertView, references_only: bool) -> AlertRecord {
    records::alert(&alert.message, &alert.acts, alert.clock, references_only)
}

/// Whether the council is told of such an alert (R21).
#[must_use]
pub fn is_for(alert: &AlertView, references_only: bool) -> bool {
    !references_only || (alert.told && alert.message.kind.is_for_council())
}

/// The visits of a night, with their alerts, and what is not placed.
///
/// # Errors
/// When the contract or the night is unknown, or the database fails.
pub async fn night(
    State(app): State<AppState>,
    visitor: Visitor,
    Named((contract, night)): Named<(String, String)>,
) -> Result<Json<NightRecord>, Problem> {
    let contract: ContractId = contract.parse().map_err(|_| Problem::not_found("contract"))?;
    let night: NaiveDate =
        night.parse().map_err(|_| Problem::not_found("night: write YYYY-MM-DD"))?;
    let now = clock::now();
    let found = read_night(&app, &contract, night, now).await?;
    note(&app, &visitor, "GET night", &contract, About::Night(night)).await?;
    let only = visitor.sees_references_only();
    let unplaced = found.unplaced.iter().filter(|_| !only);
    Ok(Json(NightRecord {
        contract: contract.to_string(),
        night: night.to_string(),
        as_of: crate::domain::instant::format_instant(now),
        visits: found.visits.iter().map(|v| records::visit(&found.contract, v, only)).collect(),
        alerts: (found.alerts.iter().filter(|alert| is_for(alert, only)))
            .map(|alert| alert_record(alert, only))
            .collect(),
        unplaced: unplaced.map(|recorded| records::event(&recorded.event, only)).collect(),
    }))
}

/// What is remarkable about the plan of a night: what cannot be worked, and what clients should be told.
///
/// # Errors
/// When the contract or the night is unknown, or the database fails.
pub async fn plan(
    State(app): State<AppState>,
    visitor: Visitor,
    Named((contract, night)): Named<(String, String)>,
) -> Result<Json<Vec<String>>, Problem> {
    let contract: ContractId = contract.parse().map_err(|_| Problem::not_found("contract"))?;
    let night: NaiveDate =
        night.parse().map_err(|_| Problem::not_found("night: write YYYY-MM-DD"))?;
    note(&app, &visitor, "GET plan", &contract, About::Night(night)).await?;
    let contract = app.contracts.get(&contract).ok_or_else(|| Problem::not_found("contract"))?;
    let remarks = view::plan_remarks(&mut app.store.read().await?, contract, night).await?;
    Ok(Json(remarks.iter().map(Remark::text).collect()))
}

/// A visit's whole story.
#[derive(Debug, Serialize)]
pub struct StoryRecord {
    #[serde(flatten)]
    visit: VisitRecord,
    plan: Vec<PlanRecord>,
    events: Vec<EventRecord>,
    corrections: Vec<CorrectionRecord>,
    alerts: Vec<AlertRecord>,
    /// Who was told of the alerts; not for the council.
    notifications: Vec<NotificationRecord>,
    schedule_3: RowRecord,
}

/// One visit with its whole story.
///
/// # Errors
/// When there is no such visit, or the database fails.
pub async fn visit(
    State(app): State<AppState>,
    visitor: Visitor,
    Named((contract, visit)): Named<(String, String)>,
) -> Result<Json<StoryRecord>, Problem> {
    let story = read_story(&app, &visitor, &contract, &visit).await?;
    Ok(Json(record(&story, visitor.sees_references_only())))
}

/// Reads a visit's story, and notes who did.
///
/// # Errors
/// When there is no such visit, or the database fails.
pub async fn read_story(
    app: &AppState,
    visitor: &Visitor,
    contract: &str,
    visit: &str,
) -> Result<StoryView, Problem> {
    let contract: ContractId = contract.parse().map_err(|_| Problem::not_found("contract"))?;
    let visit: VisitRef = visit.parse().map_err(|_| Problem::not_found("visit"))?;
    let now = clock::now();
    let mut db = app.store.read().await?;
    let story = view::story(&mut db, &app.contracts, &contract, &visit, now).await?;
    drop(db);
    let story = story.ok_or_else(|| Problem::not_found("visit"))?;
    note(app, visitor, "GET visit", &contract, About::Visit(&story.visit)).await?;
    Ok(story)
}

fn record(story: &StoryView, only: bool) -> StoryRecord {
    let version = |version: &crate::store::plan::Version| {
        records::plan(&version.visit, version.known_from, only)
    };
    StoryRecord {
        visit: records::visit(&story.contract, &story.visit, only),
        plan: story.versions.iter().map(version).collect(),
        events: story.events.iter().map(|event| full(event, only)).collect(),
        corrections: story.corrections.iter().map(|one| records::correction(one, only)).collect(),
        alerts: (story.alerts.iter().filter(|alert| is_for(alert, only)))
            .map(|alert| alert_record(alert, only))
            .collect(),
        notifications: (story.notifications.iter().filter(|_| !only)).map(notification).collect(),
        schedule_3: records::row(&story.row),
    }
}

fn notification(told: &Notice) -> NotificationRecord {
    let at = crate::domain::instant::format_instant;
    NotificationRecord {
        alert_id: told.alert_id.clone(),
        recipient: told.recipient.clone(),
        occasion: told.occasion,
        state: told.fate.as_str(),
        written_at: at(told.written_at),
        tries: told.tries,
        ended_at: told.ended_at.map(at),
        trouble: told.trouble.clone(),
    }
}

fn full(event: &EventView, only: bool) -> EventRecord {
    let mut record = records::event(&event.recorded.event, only);
    if only {
        return record;
    }
    record.placed_by = event.recorded.by.map(crate::domain::place::PlacedBy::as_str);
    if let Some(raw) = &event.raw {
        record.topic = Some(raw.topic.clone());
        record.payload = serde_json::from_str(&raw.payload).ok();
        record.duplicates = Some(raw.duplicates);
    }
    if let Some(handed) = &event.handed_in {
        record.handed_in_by = Some(handed.by.clone());
        record.handed_in_why.clone_from(&handed.why);
    }
    record
}
