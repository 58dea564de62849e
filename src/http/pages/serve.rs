//! The routes of the pages: what is asked for, read in one transaction, and drawn.
//!
//! A page that brings itself up to date asks for its `<main>` alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use chrono::NaiveDate;
use maud::Markup;
use serde::Deserialize;

use super::assets;
use super::board::Board;
use super::eyes::Eyes;
use super::frame::{self, Frame, Here};
use super::map::Map;
use super::performance::Performance;
use super::plan::Plan;
use super::sign_in;
use super::story::Story;
use crate::domain::calendar::{Night, local_date, plus_days, week_start};
use crate::domain::instant::Instant;
use crate::domain::plan::Suspension;
use crate::domain::policy::Contract;
use crate::domain::punctuality::Punctuality;
use crate::domain::refs::{ContractId, VisitRef};
use crate::domain::role::Deed;
use crate::http::AppState;
use crate::http::api::{About, Asked, Named, note};
use crate::http::auth::Visitor;
use crate::http::doors::Doors;
use crate::http::problem::{Problem, Said};
use crate::store::registers::{self, Names};
use crate::{book, clock, returns, view};

/// Who asks for a `<main>` alone, says so.
const FRAGMENT: &str = "x-fragment";
/// The most weeks that are shown at once.
const WEEKS_MAX: u32 = 13;
/// As many as a return has.
const WEEKS: u32 = 4;

/// Adds the pages that one has to be signed in for.
#[must_use]
pub fn doors(doors: Doors) -> Doors {
    doors
        .get("/", Deed::See, board)
        // Positions are for those who act.
        .get("/map", Deed::Act, map)
        .get("/plan", Deed::Act, plan)
        .get("/contracts/{contract}/visits/{visit}", Deed::See, story)
        .get("/performance", Deed::Measure, performance)
}

/// What is for everybody: the static files, and the way in.
pub fn open() -> Router<AppState> {
    Router::new().route("/assets/{file}", get(assets::get)).route("/sign-in", get(way_in))
}

/// Where to go when one is in, and whether the last try failed.
#[derive(Deserialize)]
struct WayIn {
    next: Option<String>,
    failed: Option<String>,
}

async fn way_in(Asked(WayIn { next, failed }): Asked<WayIn>) -> Response {
    let error = failed.map(|_| {
        "This token is none, or does not count any more. See whether it is whole, or ask for a new one."
    });
    let status = if error.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    html(status, &sign_in::page(error, next.as_deref().unwrap_or("/")))
}

/// Whoever reads pages is told in a page what went wrong.
pub async fn in_words(request: Request, next: Next) -> Response {
    let accepts = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let reads_pages = accepts.is_some_and(|accept| accept.contains("text/html"));
    let response = next.run(request).await;
    let status = response.status();
    let said = response.extensions().get::<Said>().filter(|_| reads_pages);
    match said {
        Some(Said(detail)) => {
            let title = status.canonical_reason().unwrap_or("This did not work");
            html(status, &frame::refusal(title, detail))
        }
        None => response,
    }
}

/// Which night of which contract.
#[derive(Deserialize)]
struct OfNight {
    contract: Option<String>,
    night: Option<NaiveDate>,
    run: Option<String>,
}

/// Which weeks of which contract.
#[derive(Deserialize)]
struct OfWeeks {
    contract: Option<String>,
    from: Option<NaiveDate>,
    weeks: Option<u32>,
}

/// The contracts that somebody may look at.
fn contracts(app: &AppState, visitor: &Visitor) -> Vec<ContractId> {
    let all = app.contracts.iter().map(|contract| contract.id.clone());
    all.filter(|id| visitor.contracts.has(id)).collect()
}

/// The contract that is asked for, or the first that the visitor may look at.
fn chosen<'a>(
    app: &'a AppState,
    visitor: &Visitor,
    asked: Option<&str>,
) -> Result<&'a Arc<Contract>, Problem> {
    let known = || Problem::not_found("contract");
    let id = match asked.filter(|asked| !asked.is_empty()) {
        Some(asked) => asked.parse().map_err(|_| known())?,
        None => contracts(app, visitor).into_iter().next().ok_or_else(known)?,
    };
    app.contracts.get(&id).filter(|_| visitor.contracts.has(&id)).ok_or_else(known)
}

/// One page, for one visitor.
struct Page<'a> {
    app: &'a AppState,
    visitor: &'a Visitor,
    contract: &'a Contract,
    night: Night,
    now: Instant,
    /// Whether its `<main>` alone is wanted.
    fragment: bool,
}

impl<'a> Page<'a> {
    fn new(
        app: &'a AppState,
        visitor: &'a Visitor,
        contract: &'a Contract,
        night: Night,
        headers: &HeaderMap,
    ) -> Self {
        let fragment = headers.contains_key(FRAGMENT);
        Self { app, visitor, contract, night, now: clock::now(), fragment }
    }

    fn eyes(&'a self, names: &'a Names) -> Eyes<'a> {
        Eyes {
            contract: self.contract,
            names,
            sees_people: !self.visitor.sees_references_only(),
            may_act: self.visitor.may(Deed::Act),
            csrf: &self.visitor.csrf,
        }
    }

    fn answer(&self, here: Here, title: &str, main: &Markup) -> Response {
        if self.fragment {
            return html(StatusCode::OK, main);
        }
        let contracts = contracts(self.app, self.visitor);
        let frame = Frame {
            title,
            here,
            contract: &self.contract.id,
            contracts: &contracts,
            night: self.night,
            now: self.now,
            zone: self.contract.zone,
            visitor: &self.visitor.name,
            may_sign_out: self.visitor.session.is_some(),
            csrf: &self.visitor.csrf,
            sees_people: !self.visitor.sees_references_only(),
            live: !matches!(here, Here::Performance | Here::Plan),
        };
        html(StatusCode::OK, &frame.page(main))
    }

    /// Notes who looked; that a page brings itself up to date is not another look.
    async fn note(&self, what: &str, about: About<'_>) -> Result<(), Problem> {
        if self.fragment {
            return Ok(());
        }
        note(self.app, self.visitor, what, &self.contract.id, about).await
    }
}

/// A page, which nobody may keep: it is about people.
#[must_use]
pub fn html(status: StatusCode, page: &Markup) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Html(page.0.clone())).into_response()
}

async fn board(
    State(app): State<AppState>,
    visitor: Visitor,
    headers: HeaderMap,
    Asked(asked): Asked<OfNight>,
) -> Result<Response, Problem> {
    let contract = chosen(&app, &visitor, asked.contract.as_deref())?;
    let night = asked.night.unwrap_or_else(|| contract.night_of(clock::now()));
    let page = Page::new(&app, &visitor, contract, night, &headers);
    page.note("GET /", About::Night(night)).await?;
    let mut db = app.store.read().await?;
    let view = view::night(&mut db, contract, night, page.now).await?;
    drop(db);
    let report = app.health.report();
    let trouble = (!report.is_well()).then_some(report.trouble.as_str());
    let eyes = page.eyes(&view.names);
    let board = Board { view: &view, eyes, run: asked.run.as_deref(), trouble };
    Ok(page.answer(Here::Board, &format!("Night of {night}"), &board.main()))
}

async fn map(
    State(app): State<AppState>,
    visitor: Visitor,
    headers: HeaderMap,
    Asked(asked): Asked<OfNight>,
) -> Result<Response, Problem> {
    let contract = chosen(&app, &visitor, asked.contract.as_deref())?;
    let night = asked.night.unwrap_or_else(|| contract.night_of(clock::now()));
    let page = Page::new(&app, &visitor, contract, night, &headers);
    page.note("GET /map", About::Night(night)).await?;
    let mut db = app.store.read().await?;
    let view = view::night(&mut db, contract, night, page.now).await?;
    drop(db);
    let map = Map { view: &view, eyes: page.eyes(&view.names) };
    Ok(page.answer(Here::Map, &format!("Map of {night}"), &map.main()))
}

async fn plan(
    State(app): State<AppState>,
    visitor: Visitor,
    headers: HeaderMap,
    Asked(asked): Asked<OfNight>,
) -> Result<Response, Problem> {
    let contract = chosen(&app, &visitor, asked.contract.as_deref())?;
    let night = asked.night.unwrap_or_else(|| contract.night_of(clock::now()));
    let page = Page::new(&app, &visitor, contract, night, &headers);
    page.note("GET /plan", About::Night(night)).await?;
    let mut db = app.store.read().await?;
    let remarks = view::plan_remarks(&mut db, contract, night).await?;
    let registers = registers::load_all(&mut db, &contract.id).await?;
    let names = registers::names(&mut db, &contract.id, night).await?;
    drop(db);
    let open = registers.all_suspensions().filter(|one| one.to.is_none_or(|to| to > page.now));
    let mut open: Vec<&Suspension> = open.collect();
    open.sort_by_key(|one| (one.from, &one.client_ref));
    let eyes = page.eyes(&names);
    let plan = Plan { eyes, night, now: page.now, remarks: &remarks, suspensions: &open };
    Ok(page.answer(Here::Plan, &format!("Before {night}"), &plan.main()))
}

async fn story(
    State(app): State<AppState>,
    visitor: Visitor,
    headers: HeaderMap,
    Named((contract, name)): Named<(String, String)>,
) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("visit");
    let contract = chosen(&app, &visitor, Some(&contract))?;
    let name: VisitRef = name.parse().map_err(|_| unknown())?;
    let mut db = app.store.read().await?;
    let now = clock::now();
    let story = view::story(&mut db, &app.contracts, &contract.id, &name, now).await?;
    let story = story.ok_or_else(unknown)?;
    let row = returns::row(&mut db, &app.contracts, contract, &story.row, now).await;
    let row = row.map_err(|failed| match failed {
        returns::ReturnError::Store(failed) => failed.into(),
        returns::ReturnError::Unbalanced(bug) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, bug.to_string())
        }
    })?;
    drop(db);
    let page = Page::new(&app, &visitor, contract, story.visit.night, &headers);
    page.note("GET /contracts/{contract}/visits/{visit}", About::Visit(&story.visit)).await?;
    let title = format!("Visit {}", story.visit.visit_ref);
    let eyes = page.eyes(&story.names);
    let main = Story { view: &story, row: row.as_ref(), eyes }.main();
    Ok(page.answer(Here::Elsewhere, &title, &main))
}

async fn performance(
    State(app): State<AppState>,
    visitor: Visitor,
    headers: HeaderMap,
    Asked(asked): Asked<OfWeeks>,
) -> Result<Response, Problem> {
    let contract = chosen(&app, &visitor, asked.contract.as_deref())?;
    let now = clock::now();
    let number = asked.weeks.unwrap_or(WEEKS).clamp(1, WEEKS_MAX);
    let today = local_date(contract.zone, now);
    let from = asked.from.unwrap_or_else(|| plus_days(today, -7 * i64::from(number - 1)));
    let from = week_start(from, contract.policy(from).week_starts_on);
    let last = plus_days(from, 7 * i64::from(number) - 1);
    let page = Page::new(&app, &visitor, contract, contract.night_of(now), &headers);
    let mut db = app.store.read().await?;
    let visits = book::visits(&mut db, contract, (from, last), now).await?;
    let mut weeks = BTreeMap::new();
    for week in (0..number).map(|week| plus_days(from, 7 * i64::from(week))) {
        let contacts = view::contacts(&mut db, contract, (week, plus_days(week, 6)), now).await?;
        let mut of_week = visits.clone();
        of_week.retain(|visit| contract.week_of(visit.night, visit.planned_start) == week);
        weeks.insert(week, Punctuality::of(contract, &of_week, &contacts).contract);
    }
    let clients = Punctuality::of(contract, &visits, &[]).clients;
    let names = registers::names(&mut db, &contract.id, last).await?;
    drop(db);
    let eyes = page.eyes(&names);
    let performance = Performance { eyes, from, weeks: &weeks, clients: &clients };
    Ok(page.answer(Here::Performance, "Performance", &performance.main()))
}
