//! HTTP: the night board, the API, and whether the daemon is alive and ready.
//!
//! Every route but a few that say nothing about anybody is a [`Door`]: it says what it lets do, and who
//! may not do that does not come in. `/healthz` answers while the process does; `/readyz` is 200 while
//! the daemon hears the broker and commits, else 503; `/metrics` is for Prometheus.

pub mod api;
pub mod auth;
pub mod doors;
pub mod forms;
pub mod openapi;
pub mod pages;
pub mod problem;
pub mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use self::auth::{Peer, Throttle};
use self::doors::{Door, Doors};
use self::problem::Problem;
use self::stream::Changes;
use crate::acts::Office;
use crate::config::{Contracts, HttpSettings};
use crate::health::Health;
use crate::metrics::scrape::{self, Scrape};
use crate::mqtt::stopped;
use crate::store::Store;

/// The longest that a stop waits for answers on their way.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// Most connections at the same time. One too many waits.
const CONNECTIONS_MAX: usize = 2_000;
/// The longest that a request's head may take to come.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// The longest that an answer may take, the request's body included; streams and imports apart.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);
/// The largest body, where nothing else is said.
const BODY_MAX_BYTES: usize = 64 * 1024;
/// How long to wait when the system has no more connections.
const PAUSE: Duration = Duration::from_millis(100);

/// What every request may need.
#[derive(Clone)]
pub struct AppState(Arc<App>);

impl std::ops::Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}

/// What every request may need.
pub struct App {
    /// Whether the daemon works.
    pub health: Arc<Health>,
    /// What Prometheus reads.
    pub scrape: Scrape,
    /// The database.
    pub store: Store,
    /// The contracts.
    pub contracts: Arc<Contracts>,
    /// Where what people do is kept.
    pub office: Office,
    /// What has changed.
    pub changes: Changes,
    /// Tokens that were none.
    pub throttle: Throttle,
    /// Whether who comes needs a token.
    pub asks_for_tokens: bool,
    /// Whether browsers come by TLS.
    pub behind_tls: bool,
    /// What forms say where there are no sessions.
    pub csrf: String,
}

impl AppState {
    /// For a daemon.
    #[must_use]
    pub fn new(
        settings: &HttpSettings,
        health: Arc<Health>,
        store: Store,
        contracts: Arc<Contracts>,
        office: Office,
        changes: Changes,
    ) -> Self {
        Self(Arc::new(App {
            scrape: Scrape::new(Arc::clone(&health), store.clone()),
            health,
            store,
            contracts,
            office,
            changes,
            throttle: Throttle::default(),
            asks_for_tokens: settings.asks_for_tokens,
            behind_tls: settings.behind_tls,
            csrf: uuid::Uuid::new_v4().simple().to_string(),
        }))
    }
}

/// Why the address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} for HTTP: {source}; set http.listen to a free port of this machine"
)]
pub struct HttpError {
    address: SocketAddr,
    source: std::io::Error,
}

/// The server. It ends when `shutdown` is true or its sender is gone.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

/// A place at which the server listens.
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    listener: TcpListener,
}

/// Listens on `address`; port 0 takes any free one. Who connects, waits until [`Server::start`].
///
/// # Errors
/// When the address cannot be listened on.
pub async fn listen(address: SocketAddr) -> Result<Listening, HttpError> {
    let failed = |source| HttpError { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Listening { address, listener })
}

impl Server {
    /// Answers.
    #[must_use]
    pub fn start(listening: Listening, app: AppState, shutdown: watch::Receiver<bool>) -> Self {
        let Listening { address, listener } = listening;
        let task = tokio::spawn(serve(listener, routes(app), shutdown));
        Self { address, task }
    }

    /// Waits until it has ended, but not for those who do not take their answer.
    ///
    /// # Errors
    /// When the task has died, which is a bug.
    pub async fn ended(mut self) -> Result<(), JoinError> {
        if let Ok(ended) = timeout(STOP_WITHIN, &mut self.task).await {
            return ended;
        }
        self.task.abort();
        Ok(())
    }
}

async fn serve(listener: TcpListener, routes: Router, mut shutdown: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stopped(&mut shutdown) => break,
            accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (listener.accept().await, place)
            } => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            (Ok((stream, peer)), Ok(place)) => {
                let (routes, shutdown) = (routes.clone(), shutdown.clone());
                connections.spawn(async move {
                    answer(stream, peer, routes, shutdown).await;
                    drop(place);
                });
            }
            (Err(failed), _) => {
                tracing::warn!("a connection for HTTP was not taken: {failed}");
                sleep(PAUSE).await;
            }
            (_, Err(_)) => break,
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Answers what comes by one connection.
async fn answer(
    stream: TcpStream,
    peer: SocketAddr,
    routes: Router,
    mut shutdown: watch::Receiver<bool>,
) {
    let routes = routes.layer(axum::Extension(Peer(peer.ip())));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    let service = TowerToHyperService::new(routes);
    let connection = server.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // Who goes away in the middle of it is nobody's trouble.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stopped(&mut shutdown) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

fn doors(doors: Doors) -> Doors {
    pages::doors(forms::doors(api::doors(doors)))
}

/// Every route that is guarded, and what it lets do.
#[must_use]
pub fn guarded() -> Vec<Door> {
    api::imports::doors(doors(Doors::unbuilt())).list().to_vec()
}

fn routes(app: AppState) -> Router {
    let doors = doors(Doors::new(app.clone()));
    let known = middleware::from_fn_with_state(app.clone(), auth::known);
    doors
        .into_router()
        .merge(pages::open())
        .route("/sign-in", axum::routing::post(forms::sign_in))
        .route("/sign-out", axum::routing::post(forms::sign_out).route_layer(known))
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .merge(api::imports::routes(&app))
        .route("/api/v1/openapi.json", get(async || Json(openapi::document())))
        .route("/healthz", get(async || Json(json!({"status": "alive"}))))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape::serve).with_state(app.scrape.clone()))
        .fallback(async || Problem::not_found("path"))
        .layer(middleware::from_fn(pages::in_words))
        .layer(middleware::from_fn_with_state(app.clone(), headers))
        .layer(middleware::from_fn_with_state(Arc::clone(&app.scrape.metrics), scrape::count))
        .with_state(app)
}

/// Whatever takes too long is given up; whatever is answered says what browsers may do with it.
async fn headers(State(app): State<AppState>, request: Request, next: Next) -> Response {
    const ALWAYS: [(HeaderName, &str); 7] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
             frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let path = request.uri().path();
    let may_last = path == stream::PATH || path.starts_with(api::imports::PREFIX);
    let mut response = if may_last {
        next.run(request).await
    } else {
        timeout(ANSWER_WITHIN, next.run(request)).await.unwrap_or_else(|_| {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "this took too long: try again")
                .into_response()
        })
    };
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What somebody has seen must not be left behind in a browser.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if app.behind_tls {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    response
}

async fn ready(State(app): State<AppState>) -> Response {
    let report = app.health.report();
    let about = json!({"hears_broker": report.hears, "commits": report.commits});
    if report.is_well() {
        return Json(json!({"status": "ready", "checks": about})).into_response();
    }
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Problem::new(status, report.trouble).with("checks", about).into_response()
}
