//! `/metrics`, and the counting of requests.
//!
//! However often it is asked for, the database is read at most once a second, and an answer does not
//! wait for a database that does not answer.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Mutex;
use tokio::time::{Instant as Tick, timeout};

use super::page::Stock;
use super::{Metrics, text};
use crate::clock;
use crate::health::Health;
use crate::store::{Store, StoreError, alerts, outbox};

/// How old may be what was read from the database.
const READ_EVERY: Duration = Duration::from_secs(1);
/// How long the database may take. Prometheus waits 10 s, unless told otherwise.
const READ_WITHIN: Duration = Duration::from_secs(3);
/// The methods that are told apart.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// What `/metrics` tells, and where it is taken from.
#[derive(Clone)]
pub struct Scrape {
    /// What was counted.
    pub metrics: Arc<Metrics>,
    health: Arc<Health>,
    store: Store,
    read: Arc<Mutex<Option<Read>>>,
}

/// When the database was read, and what it held if it said so.
type Read = (Tick, Option<Stock>);

impl Scrape {
    /// What these tell, and what is counted from now on.
    #[must_use]
    pub fn new(health: Arc<Health>, store: Store) -> Self {
        Self { metrics: Arc::default(), health, store, read: Arc::default() }
    }

    /// What the database holds, if it says so in time.
    async fn stock(&self) -> Option<Stock> {
        let mut last = self.read.lock().await;
        if let Some((_, stock)) = last.as_ref().filter(|(at, _)| at.elapsed() < READ_EVERY) {
            return stock.clone();
        }
        let read = timeout(READ_WITHIN, read(&self.store)).await;
        let stock = match read.unwrap_or(Err(StoreError::TooSlow)) {
            Ok(stock) => Some(stock),
            Err(failed) => {
                tracing::debug!("what the database holds is not in the metrics: {failed}");
                None
            }
        };
        *last = Some((Tick::now(), stock.clone()));
        stock
    }
}

async fn read(store: &Store) -> Result<Stock, StoreError> {
    let mut tx = store.read().await?;
    let open = alerts::count_open(&mut tx).await?;
    let waiting = outbox::waiting(&mut tx).await?;
    Ok(Stock { open, waiting })
}

/// Answers what was counted.
pub async fn serve(State(scrape): State<Scrape>) -> Response {
    let stock = scrape.stock().await;
    let page = scrape.metrics.page(&scrape.health.report(), stock.as_ref(), clock::now());
    ([(CONTENT_TYPE, text::CONTENT_TYPE)], page).into_response()
}

/// Counts a request when it is answered.
pub async fn count(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let began = Tick::now();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let route = route.to_owned();
    let method = METHODS.into_iter().find(|method| *method == request.method().as_str());
    let response = next.run(request).await;
    let (method, status) = (method.unwrap_or("other"), response.status().as_u16());
    metrics.answered(super::Request { route, method, status }, began.elapsed());
    response
}
