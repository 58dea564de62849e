//! HTTP: whether the daemon is alive, and whether it is ready.
//!
//! `/healthz` answers while the process does. `/readyz` is 200 while the daemon hears the broker and
//! commits, else 503. Neither says anything about clients or visits, so neither asks who it is.

pub mod pages;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use crate::health::Health;
use crate::mqtt::stopped;

/// The longest that a stop waits for answers on their way.
const STOP_WITHIN: Duration = Duration::from_secs(2);

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

impl Server {
    /// Listens on `address` (port 0 takes any free one) and answers.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(
        address: SocketAddr,
        health: Arc<Health>,
        mut shutdown: watch::Receiver<bool>,
    ) -> Result<Self, HttpError> {
        let failed = |source| HttpError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stopping = async move { stopped(&mut shutdown).await };
        let task = tokio::spawn(async move {
            let serving = axum::serve(listener, routes(health)).with_graceful_shutdown(stopping);
            if let Err(error) = serving.await {
                tracing::error!("HTTP has stopped: {error}; restart the daemon");
            }
        });
        Ok(Self { address, task })
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

fn routes(health: Arc<Health>) -> Router {
    Router::new()
        .route("/healthz", get(async || Json(json!({"status": "alive"}))))
        .route("/readyz", get(ready))
        .fallback(async || problem(StatusCode::NOT_FOUND, "there is nothing under this path"))
        .with_state(health)
}

async fn ready(State(health): State<Arc<Health>>) -> Response {
    let report = health.report();
    let about = json!({"hears_broker": report.hears, "commits": report.commits});
    if report.is_well() {
        return Json(json!({"status": "ready", "checks": about})).into_response();
    }
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut body = problem_body(status, &report.trouble);
    body["checks"] = about;
    with_type(status, &body)
}

/// An error as RFC 9457 has it.
fn problem(status: StatusCode, detail: &str) -> Response {
    with_type(status, &problem_body(status, detail))
}

fn problem_body(status: StatusCode, detail: &str) -> serde_json::Value {
    json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    })
}

fn with_type(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
