//! What the pages' forms do: the same as the API, and back to the page.

use axum::Form;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{NaiveDateTime, NaiveTime, TimeDelta};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::AppState;
use super::api::Named;
use super::api::alerts::{done, rung, said};
use super::api::clients::hold;
use super::api::events::{Decision, Placement, decide, put};
use super::auth::{COOKIE, SESSION_UNUSED_MAX, Visitor, address, must_be_own};
use super::doors::Doors;
use super::problem::Problem;
use crate::domain::calendar::{local, read_local};
use crate::domain::contact::{Contact, ContactOutcome, Deed as ActDeed};
use crate::domain::correction::COMMENT_MAX_CHARS;
use crate::domain::instant::{Instant, parse_instant};
use crate::domain::plan::Suspension;
use crate::domain::refs::BadReference;
use crate::domain::role::Deed;
use crate::store::alerts;
use crate::{clock, tokens};

/// Adds their routes.
#[must_use]
pub fn doors(doors: Doors) -> Doors {
    doors
        .post("/alerts/{alert}/acknowledge", Deed::Act, acknowledge)
        .post("/alerts/{alert}/contact", Deed::Act, contact)
        .post("/alerts/{alert}/resolve", Deed::Act, resolve)
        .post("/contracts/{contract}/visits/{visit}/corrections", Deed::Act, correct)
        .post("/contracts/{contract}/events/{event}/place", Deed::Act, place)
        .post("/contracts/{contract}/suspensions", Deed::Act, suspend)
}

/// A form of a page of the visitor's own session.
pub struct Own<T>(pub T);

#[derive(Deserialize)]
struct Signed<T> {
    #[serde(default)]
    csrf: String,
    #[serde(flatten)]
    form: T,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Own<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let visitor = request.extensions().get::<Visitor>();
        let expected = visitor.map(|visitor| visitor.csrf.clone()).unwrap_or_default();
        let read = Form::<Signed<T>>::from_request(request, state).await;
        let Form(signed) = read.map_err(|_| {
            Problem::unusable("the form lacks a field: open the page again, and send it from there")
        })?;
        must_be_own(!expected.is_empty() && signed.csrf == expected)?;
        Ok(Self(signed.form))
    }
}

/// Where the form came from, if that is a page of ours; else the board.
fn back(headers: &HeaderMap) -> Redirect {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    let from = text(header::REFERER).and_then(|referer| {
        let (_, rest) = referer.split_once("://")?;
        let (site, path) = rest.split_once('/')?;
        (site == host).then(|| format!("/{path}"))
    });
    Redirect::to(&own_path(from.as_deref()))
}

/// A path of this site and nothing else.
fn own_path(path: Option<&str>) -> String {
    let is_own = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && !path.contains('\\')
            && path.bytes().all(|byte| byte.is_ascii_graphic())
    };
    path.filter(is_own).unwrap_or("/").to_owned()
}

/// A remark.
#[derive(Debug, Default, Deserialize)]
struct Remark {
    note: Option<String>,
}

async fn acknowledge(
    State(app): State<AppState>,
    visitor: Visitor,
    Named(alert): Named<Uuid>,
    headers: HeaderMap,
    Own(Remark { note }): Own<Remark>,
) -> Result<Redirect, Problem> {
    done(&app, &visitor, alert, ActDeed::Acknowledged, note).await?;
    Ok(back(&headers))
}

async fn resolve(
    State(app): State<AppState>,
    visitor: Visitor,
    Named(alert): Named<Uuid>,
    headers: HeaderMap,
    Own(Remark { note }): Own<Remark>,
) -> Result<Redirect, Problem> {
    done(&app, &visitor, alert, ActDeed::Resolved, note).await?;
    Ok(back(&headers))
}

/// That the client was rung. Times are the contract's local ones, `HH:MM`, of around now.
#[derive(Debug, Deserialize)]
struct Rang {
    spoke_to: String,
    outcome: String,
    at: Option<String>,
    new_time: Option<String>,
    reason: Option<String>,
    note: Option<String>,
}

async fn contact(
    State(app): State<AppState>,
    visitor: Visitor,
    Named(alert): Named<Uuid>,
    headers: HeaderMap,
    Own(rang): Own<Rang>,
) -> Result<Redirect, Problem> {
    let found = alerts::find(&mut app.store.read().await?, alert).await?;
    let contract = found.and_then(|found| app.contracts.get(&found.message.contract).cloned());
    let contract = contract.ok_or_else(|| Problem::not_found("alert"))?;
    let now = clock::now();
    let time = |name: &str, text: Option<&String>| {
        let text = text.map(|text| text.trim()).filter(|text| !text.is_empty());
        text.map(|text| {
            let wrong = || Problem::unusable(format!("{name}: write a time, as 02:05"));
            let time = NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| wrong())?;
            Ok::<_, Problem>(nearest(contract.zone, time, now))
        })
        .transpose()
    };
    let outcome: ContactOutcome =
        rang.outcome.parse().map_err(|_| Problem::unusable("say what came of it"))?;
    let at = time("at", rang.at.as_ref())?.unwrap_or(now);
    let new_time = time("new time", rang.new_time.as_ref())?;
    let contact = Contact { spoke_to: rang.spoke_to, outcome, at, new_time, reason: rang.reason };
    rung(&app, &visitor, alert, contact, rang.note).await?;
    Ok(back(&headers))
}

/// The instant nearest to now at which clocks there show that time.
fn nearest(zone: chrono_tz::Tz, time: NaiveTime, now: Instant) -> Instant {
    let today = local(zone, now).date_naive();
    let days = [-1, 0, 1].into_iter();
    let around = days.map(|days| {
        let date = today + TimeDelta::days(days);
        read_local(zone, NaiveDateTime::new(date, time)).instant()
    });
    around.min_by_key(|at| (*at - now).abs()).unwrap_or(now)
}

async fn correct(
    State(app): State<AppState>,
    visitor: Visitor,
    Named((contract, visit)): Named<(String, String)>,
    headers: HeaderMap,
    Own(decision): Own<Decision>,
) -> Result<Redirect, Problem> {
    decide(&app, &visitor, &contract, &visit, decision).await?;
    Ok(back(&headers))
}

async fn place(
    State(app): State<AppState>,
    visitor: Visitor,
    Named((contract, event)): Named<(String, String)>,
    headers: HeaderMap,
    Own(placement): Own<Placement>,
) -> Result<Redirect, Problem> {
    put(&app, &visitor, &contract, &event, placement).await?;
    Ok(back(&headers))
}

/// A form that says nothing.
#[derive(Deserialize)]
pub struct Nothing {}

/// A client who is in hospital or away. Times are instants, or the contract's local ones.
#[derive(Debug, Deserialize)]
struct Away {
    client_ref: String,
    from: String,
    to: String,
    notified_at: Option<String>,
    reason: String,
}

async fn suspend(
    State(app): State<AppState>,
    visitor: Visitor,
    Named(contract): Named<String>,
    headers: HeaderMap,
    Own(away): Own<Away>,
) -> Result<Redirect, Problem> {
    let id = contract.parse().map_err(|_| Problem::not_found("contract"))?;
    let contract = app.contracts.get(&id).ok_or_else(|| Problem::not_found("contract"))?;
    let client_ref = away
        .client_ref
        .trim()
        .parse()
        .map_err(|bad: BadReference| Problem::unusable(format!("client's reference: {bad}")))?;
    let now = clock::now();
    let time = |name: &str, text: &str| match text.trim() {
        "" => Ok(None),
        "now" => Ok(Some(now)),
        text => {
            let local = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").ok();
            let local = || local().map(|local| read_local(contract.zone, local).instant());
            let wrong = || Problem::unusable(format!("{name}: write a time, as 2026-11-23T02:05"));
            parse_instant(text).ok().or_else(local).ok_or_else(wrong).map(Some)
        }
    };
    let from = time("from", &away.from)?.unwrap_or(now);
    let to = time("until", &away.to)?;
    let notified_at = away.notified_at.as_deref().map(|at| time("told", at)).transpose()?;
    let reason = said("reason", Some(away.reason), COMMENT_MAX_CHARS)?
        .ok_or_else(|| Problem::unusable("reason: say why"))?;
    let suspension = Suspension {
        contract: contract.id.clone(),
        client_ref,
        from,
        to,
        notified_at: notified_at.flatten().unwrap_or(now),
        reason,
    };
    hold(&app, &visitor, &suspension, now).await?;
    Ok(back(&headers))
}

/// A token, and where to go with it.
#[derive(Deserialize)]
pub struct SignIn {
    token: String,
    next: Option<String>,
}

/// Begins a session with a token.
///
/// # Errors
/// When the token is none, or too many were.
pub async fn sign_in(State(app): State<AppState>, request: Request) -> Result<Response, Problem> {
    let (address, now) = (address(request.extensions()), clock::now());
    app.throttle.must_not_wait(address, now)?;
    let read = Form::<SignIn>::from_request(request, &()).await;
    let Form(SignIn { token, next }) =
        read.map_err(|_| Problem::unusable("the form lacks the token"))?;
    let mut tx = app.store.write().await?;
    let Some(token) = tokens::check(&mut tx, &token, now).await? else {
        app.throttle.failed(address, now);
        let next = own_path(next.as_deref());
        return Ok(Redirect::to(&format!("/sign-in?failed=1&next={next}")).into_response());
    };
    let opened = tokens::sign_in(&mut tx, &token, now, now - SESSION_UNUSED_MAX).await?;
    tx.commit().await?;
    let to = Redirect::to(&own_path(next.as_deref()));
    Ok(with_cookie(&app, &opened.name, None, to.into_response()))
}

/// Ends the session.
///
/// # Errors
/// When the database fails.
pub async fn sign_out(
    State(app): State<AppState>,
    visitor: Visitor,
    Own(Nothing {}): Own<Nothing>,
) -> Result<Response, Problem> {
    if let Some(name) = &visitor.session {
        let mut tx = app.store.write().await?;
        tokens::sign_out(&mut tx, name).await?;
        tx.commit().await?;
    }
    Ok(with_cookie(&app, "", Some(0), Redirect::to("/sign-in").into_response()))
}

fn with_cookie(app: &AppState, name: &str, age: Option<u32>, mut response: Response) -> Response {
    let secure = if app.behind_tls { "; Secure" } else { "" };
    let age = age.map(|age| format!("; Max-Age={age}")).unwrap_or_default();
    let cookie = format!("{COOKIE}={name}; Path=/; HttpOnly; SameSite=Lax{secure}{age}");
    match HeaderValue::from_str(&cookie) {
        Ok(cookie) => {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            response
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
