//! The API for programs, version 1: JSON, with RFC 9457 problem details.

pub mod alerts;
pub mod clients;
pub mod events;
pub mod imports;
pub mod nights;
pub mod reports;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::auth::Visitor;
use super::doors::Doors;
use super::problem::Problem;
use super::{AppState, stream};
use crate::domain::instant::Instant;
use crate::domain::refs::ContractId;
use crate::domain::role::Deed;
use crate::domain::visit::Visit;
use crate::store::access::{self, Access};
use crate::{clock, view};

/// Adds its routes.
#[must_use]
pub fn doors(doors: Doors) -> Doors {
    let doors = doors
        .get("/api/v1/contracts/{contract}/nights/{night}", Deed::See, nights::night)
        .get("/api/v1/contracts/{contract}/visits/{visit}", Deed::See, nights::visit)
        .get("/api/v1/contracts/{contract}/nights/{night}/plan", Deed::Act, nights::plan)
        .get("/api/v1/contracts/{contract}/suspensions", Deed::Act, clients::suspensions)
        .post(
            "/api/v1/contracts/{contract}/clients/{client}/suspension",
            Deed::Act,
            clients::suspend,
        )
        .get("/api/v1/alerts", Deed::See, alerts::list)
        .post("/api/v1/alerts/{alert}/acknowledge", Deed::Act, alerts::acknowledge)
        .post("/api/v1/alerts/{alert}/contact", Deed::Act, alerts::contact)
        .post("/api/v1/alerts/{alert}/resolve", Deed::Act, alerts::resolve)
        .post("/api/v1/contracts/{contract}/visits/{visit}/corrections", Deed::Act, events::correct)
        .post("/api/v1/contracts/{contract}/events/{event}/place", Deed::Act, events::place)
        .post("/api/v1/contracts/{contract}/events", Deed::Act, events::phone_in)
        .get("/api/v1/rejected", Deed::Act, events::rejected)
        .post("/api/v1/rejected/{rejected}/retry", Deed::Act, events::retry)
        .get("/api/v1/contracts/{contract}/schedule-3", Deed::Report, reports::schedule3)
        .get("/api/v1/contracts/{contract}/visits", Deed::Report, reports::visits)
        .get("/api/v1/contracts/{contract}/punctuality", Deed::Measure, reports::punctuality);
    doors.get(stream::PATH, Deed::See, stream::changes)
}

/// What the path names; what cannot be a name, names nothing.
pub struct Named<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = Path::<T>::from_request_parts(parts, state).await;
        found.map(|Path(named)| Self(named)).map_err(|_| Problem::not_found("thing of that name"))
    }
}

/// What stands behind the question mark.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = Query::<T>::from_request_parts(parts, state).await;
        found.map(|Query(asked)| Self(asked)).map_err(|bad| Problem::unusable(bad.body_text()))
    }
}

/// A body in JSON.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let found = axum::Json::<T>::from_request(request, state).await;
        found.map(|axum::Json(body)| Self(body)).map_err(|bad| {
            // The library's words may repeat what was sent.
            let detail = match &bad {
                axum::extract::rejection::JsonRejection::JsonDataError(_) => {
                    "the JSON lacks a field, or has one that is not known or of the wrong kind: see \
                     the documentation of the API"
                }
                axum::extract::rejection::JsonRejection::MissingJsonContentType(_) => {
                    "send JSON, with Content-Type: application/json"
                }
                _ => "this is no JSON, or too much of it",
            };
            Problem::new(bad.status(), detail)
        })
    }
}

/// Notes that somebody looked at a client's record, or did something about it.
///
/// # Errors
/// When the database fails: what cannot be noted is not shown.
pub async fn note(
    app: &AppState,
    visitor: &Visitor,
    what: &str,
    contract: &ContractId,
    about: About<'_>,
) -> Result<(), Problem> {
    let Some(role) = visitor.role else { return Ok(()) };
    let (client, visit, night) = match about {
        About::Visit(visit) => {
            (Some(visit.client.clone()), Some(visit.visit_ref.clone()), Some(visit.night))
        }
        About::Named(visit) => (None, Some(visit.clone()), None),
        About::Night(night) => (None, None, Some(night)),
        About::All => (None, None, None),
    };
    let access = Access {
        at: clock::now(),
        by: visitor.name.clone(),
        role,
        what: what.to_owned(),
        contract: contract.clone(),
        client,
        visit,
        night,
    };
    let mut tx = app.store.write().await?;
    access::add(&mut tx, &access).await?;
    Ok(tx.commit().await?)
}

/// What somebody looked at.
#[derive(Debug, Clone, Copy)]
pub enum About<'a> {
    /// A visit.
    Visit(&'a Visit),
    /// A visit, by its name alone.
    Named(&'a crate::domain::refs::VisitRef),
    /// A night.
    Night(crate::domain::calendar::Night),
    /// A contract.
    All,
}

/// Reads a night.
///
/// # Errors
/// When the contract is unknown, or the database fails.
pub async fn read_night(
    app: &AppState,
    contract: &ContractId,
    night: crate::domain::calendar::Night,
    now: Instant,
) -> Result<view::NightView, Problem> {
    let contract = app.contracts.get(contract).ok_or_else(|| Problem::not_found("contract"))?;
    Ok(view::night(&mut app.store.read().await?, contract, night, now).await?)
}
