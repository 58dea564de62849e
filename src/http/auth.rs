//! Who comes, and what they may do.
//!
//! Programs show a token in `Authorization: Bearer`; browsers have a session, begun with a token. Every
//! route says what it lets do ([`Deed`]), and is shut to everybody else. A form of a session must say
//! what only its own pages know. Where no token is asked for, only this machine's own pages are let in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::TimeDelta;

use super::AppState;
use super::problem::Problem;
use crate::clock;
use crate::domain::instant::Instant;
use crate::domain::refs::ContractId;
use crate::domain::role::{Deed, Role, Scope};
use crate::store::tokens::{Session, Token};
use crate::tokens;

/// The cookie of a session.
pub const COOKIE: &str = "nightrun_session";
/// A session that was not used for so long is over.
pub const SESSION_UNUSED_MAX: TimeDelta = TimeDelta::hours(4);
/// A session is over after so long, however much it is used.
pub const SESSION_MAX: TimeDelta = TimeDelta::hours(16);
/// How often the use of a session is noted.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(1);
/// Tokens that are none, from one address in a minute, after which no more are looked at.
const FAILURES_MAX: u32 = 10;
const FAILURES_WITHIN: TimeDelta = TimeDelta::minutes(1);
/// Addresses of which failures are counted.
const ADDRESSES_MAX: usize = 10_000;

/// Who comes.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The name of their token.
    pub name: String,
    /// What they are; `None`: anybody on this machine, where no token is asked for.
    pub role: Option<Role>,
    /// For which contracts.
    pub contracts: Scope,
    /// What the forms of their pages must say.
    pub csrf: String,
    /// The name of their session, if they have one.
    pub session: Option<String>,
}

impl Visitor {
    /// Whether they may do this.
    #[must_use]
    pub fn may(&self, deed: Deed) -> bool {
        self.role.is_none_or(|role| role.may(deed))
    }

    /// Whether they see references only.
    #[must_use]
    pub fn sees_references_only(&self) -> bool {
        self.role.is_some_and(Role::sees_references_only)
    }

    fn of(token: &Token) -> Self {
        Self {
            name: token.name.clone(),
            role: Some(token.role),
            contracts: token.contract.clone().map_or(Scope::All, Scope::One),
            csrf: String::new(),
            session: None,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let visitor = parts.extensions.get::<Self>().cloned();
        visitor.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, NO_TOKEN))
    }
}

const NO_TOKEN: &str = "show a token (`nightrun token create` makes one): \
     Authorization: Bearer nr_..., or sign in";

/// Lets a request pass if whoever sends it may do what the route is for, in the contract that it names.
pub async fn guard(
    State((app, deed)): State<(AppState, Deed)>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let from = parts.uri.path().to_owned();
    let page = !from.starts_with("/api/");
    match admit(&app, deed, &params, &parts).await {
        Ok(visitor) => {
            parts.extensions.insert(visitor);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) if page && problem.status == StatusCode::UNAUTHORIZED => {
            Redirect::to(&format!("/sign-in?next={from}")).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

/// Lets a request pass if it is known who sends it, whatever they may do: to sign out.
pub async fn known(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match who(&app, &parts).await {
        Ok(visitor) => {
            parts.extensions.insert(visitor);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(_) => Redirect::to("/sign-in").into_response(),
    }
}

async fn admit(
    app: &AppState,
    deed: Deed,
    params: &RawPathParams,
    request: &Parts,
) -> Result<Visitor, Problem> {
    let visitor = who(app, request).await?;
    if !visitor.may(deed) {
        let role = visitor.role.map_or("", Role::as_str);
        let detail = format!("a token for {role} does not allow this: ask for another one");
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    let contract = params.iter().find(|(name, _)| *name == "contract");
    if let Some((_, contract)) = contract {
        let known = contract
            .parse::<ContractId>()
            .ok()
            .filter(|id| app.contracts.get(id).is_some() && visitor.contracts.has(id));
        // Whether it is another's or nobody's, is not said.
        known.ok_or_else(|| Problem::not_found("contract"))?;
    }
    Ok(visitor)
}

/// Finds out who comes.
async fn who(app: &AppState, request: &Parts) -> Result<Visitor, Problem> {
    let (headers, now) = (&request.headers, clock::now());
    if let Some(shown) = bearer(headers) {
        let address = address(&request.extensions);
        app.throttle.must_not_wait(address, now)?;
        let found = tokens::check(&mut app.store.read().await?, shown, now).await?;
        let Some(token) = found else {
            app.throttle.failed(address, now);
            let detail = "this token is none, or does not count any more: ask for a new one";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
        };
        return Ok(Visitor::of(&token));
    }
    let safe = matches!(request.method, Method::GET | Method::HEAD);
    if !safe && is_from_elsewhere(headers) {
        let detail = "another site's page has sent this: use nightrun's own";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    if !app.asks_for_tokens {
        if !names_this_machine(headers) {
            let detail = "without tokens nightrun answers to 127.0.0.1, localhost and [::1] only";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        return Ok(Visitor {
            name: "anybody on this machine".to_owned(),
            role: None,
            contracts: Scope::All,
            csrf: app.csrf.clone(),
            session: None,
        });
    }
    let Some(name) = cookie(headers) else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, NO_TOKEN));
    };
    let found = tokens::session(&mut app.store.read().await?, name, now).await?;
    let counts = |session: &Session| {
        now - session.seen_at < SESSION_UNUSED_MAX && now - session.created_at < SESSION_MAX
    };
    let Some(session) = found.filter(counts) else {
        let detail = "you are not signed in any more: sign in again";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
    };
    if now - session.seen_at > SEEN_EVERY {
        let mut tx = app.store.write().await?;
        tokens::seen(&mut tx, name, now).await?;
        tx.commit().await?;
    }
    let form = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    // Of a form it is said inside, and looked at there.
    if !safe && !form {
        let said = headers.get("x-csrf-token").map(axum::http::HeaderValue::as_bytes);
        must_be_own(said == Some(session.csrf.as_bytes()))?;
    }
    let session_name = Some(name.to_owned());
    Ok(Visitor { csrf: session.csrf, session: session_name, ..Visitor::of(&session.token) })
}

/// A form must come from a page of the same session.
///
/// # Errors
/// When it does not.
pub fn must_be_own(own: bool) -> Result<(), Problem> {
    if own {
        return Ok(());
    }
    let detail = "this form is not of your session: open the page again, and send it from there";
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = all.flat_map(|value| value.split(';'));
    cookies.find_map(|one| one.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Whether a browser says that another site's page has made this request.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return true;
    }
    // Browsers say "null" for what they do not want to name.
    let host = text("host").unwrap_or_default();
    let own = |origin: &str| origin.split_once("://").is_some_and(|(_, rest)| rest == host);
    text("origin").is_some_and(|origin| !own(origin))
}

/// Whether the request was made to this machine by its own name: another site's name that leads here must
/// not open what is open to this machine.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost")
        || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// From where a request comes.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The address from which a request comes.
#[must_use]
pub fn address(of: &Extensions) -> IpAddr {
    let peer = of.get::<Peer>();
    peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0)
}

/// Counts tokens that are none.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Throttle {
    /// # Errors
    /// When too many from that address were none.
    pub fn must_not_wait(&self, address: IpAddr, now: Instant) -> Result<(), Problem> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.get(&address) {
            Some((count, since)) if *count >= FAILURES_MAX && now < *since + FAILURES_WITHIN => {
                let wait = (*since + FAILURES_WITHIN - now).num_seconds().unsigned_abs() + 1;
                let detail = format!("too many tokens from there were none: wait {wait} s");
                Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).again_after(wait))
            }
            _ => Ok(()),
        }
    }

    /// Counts a token that is none.
    pub fn failed(&self, address: IpAddr, now: Instant) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= ADDRESSES_MAX {
            failures.retain(|_, (_, since)| now < *since + FAILURES_WITHIN);
        }
        if failures.len() < ADDRESSES_MAX || failures.contains_key(&address) {
            let entry = failures.entry(address).or_insert((0, now));
            if now >= entry.1 + FAILURES_WITHIN {
                *entry = (0, now);
            }
            entry.0 += 1;
        }
    }
}
