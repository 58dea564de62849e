//! Server-sent events: every change of a visit or an alert, and a sign of life every few seconds.
//!
//! One task looks for changes in the database, so that a daemon also tells what another one has written.
//! Nothing is looked for while nobody listens. Who cannot keep up is told to load anew.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use serde_json::json;
use tokio::sync::{Notify, Semaphore, broadcast, watch};
use tokio::time::{Instant as Tick, MissedTickBehavior, interval, sleep, timeout};
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_stream::wrappers::{BroadcastStream, IntervalStream};
use tokio_stream::{Stream, StreamExt as _};
use uuid::Uuid;

use super::AppState;
use super::api::nights::{alert_record, is_for};
use super::auth::Visitor;
use super::problem::Problem;
use crate::config::Contracts;
use crate::domain::refs::ContractId;
use crate::mqtt::stopped;
use crate::store::alerts::{About, Found};
use crate::store::cases::CaseKey;
use crate::store::changes::Mark;
use crate::store::{Store, StoreError, alerts};
use crate::wire::records;
use crate::{caseload, clock, view};

/// Where it is.
pub const PATH: &str = "/api/v1/stream";
/// Most streams at the same time.
const STREAMS_MAX: usize = 1_000;
/// Changes that somebody may be behind.
const BEHIND_MAX: usize = 1_024;
/// How often changes are looked for, if nobody says that there are any.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The least time between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// How often there is a sign of life.
const PING_EVERY: Duration = Duration::from_secs(5);
/// After this long a stream ends, and whoever comes back is asked again who they are.
const STREAM_MAX: Duration = Duration::from_mins(5);
/// Most events that one look takes.
const EVENTS_MAX: i64 = 500;

/// A change, as each audience sees it.
#[derive(Debug, Clone)]
struct Change {
    contract: ContractId,
    name: &'static str,
    full: Arc<str>,
    /// For those who see references only; `None`: not for them.
    references: Option<Arc<str>>,
}

/// Who wants to know of changes.
#[derive(Clone)]
pub struct Changes {
    bell: Arc<Notify>,
    told: broadcast::Sender<Change>,
    places: Arc<Semaphore>,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            bell: Arc::new(Notify::new()),
            told: broadcast::channel(BEHIND_MAX).0,
            places: Arc::new(Semaphore::new(STREAMS_MAX)),
        }
    }
}

impl Changes {
    /// There may be some.
    pub fn look(&self) {
        self.bell.notify_one();
    }

    /// Looks for changes and tells them, until the daemon stops.
    pub async fn watch(
        self,
        store: Store,
        contracts: Arc<Contracts>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let mut state = None;
        loop {
            tokio::select! {
                () = stopped(&mut shutdown) => return,
                _ = timeout(LOOK_EVERY, self.bell.notified()) => {}
            }
            if self.told.receiver_count() == 0 {
                state = None;
                continue;
            }
            match self.look_once(&store, &contracts, state.take()).await {
                Ok(next) => state = Some(next),
                // Those who listen see that nothing comes; what they missed they load anew.
                Err(failed) => tracing::debug!("changes are not seen: {failed}"),
            }
            sleep(PAUSE).await;
        }
    }

    async fn look_once(
        &self,
        store: &Store,
        contracts: &Contracts,
        state: Option<Known>,
    ) -> Result<Known, StoreError> {
        let now = clock::now();
        let mut db = store.read().await?;
        let of: BTreeSet<ContractId> = contracts.iter().map(|one| one.id.clone()).collect();
        let open = alerts::open(&mut db, &of).await?;
        let Some(mut known) = state else {
            let said = open.into_iter().map(|one| (one.message.alert_id, text(&one))).collect();
            return Ok(Known { mark: Mark::now(&mut db).await?, said });
        };
        let mut keys = known.mark.next(&mut db, EVENTS_MAX).await?;
        let mut changed: Vec<Found> = Vec::new();
        let mut gone: BTreeSet<Uuid> = known.said.keys().copied().collect();
        for one in open {
            let (id, said) = (one.message.alert_id, text(&one));
            gone.remove(&id);
            if known.said.insert(id, said.clone()).as_ref() != Some(&said) {
                changed.push(one);
            }
        }
        for id in gone {
            known.said.remove(&id);
            changed.extend(alerts::find(&mut db, id).await?);
        }
        keys.extend(changed.iter().filter_map(|one| match &one.about {
            About::Visit(key, _) => Some(key.clone()),
            _ => None,
        }));
        for alert in view::with_acts(&mut db, changed, now).await? {
            let references = is_for(&alert, true);
            let references = references.then(|| json!(alert_record(&alert, true)).to_string());
            self.tell(Change {
                contract: alert.message.contract.clone(),
                name: "alert",
                full: json!(alert_record(&alert, false)).to_string().into(),
                references: references.map(Into::into),
            });
        }
        self.tell_visits(&mut db, contracts, &keys, now).await?;
        Ok(known)
    }

    async fn tell_visits(
        &self,
        db: &mut crate::store::Db,
        contracts: &Contracts,
        keys: &BTreeSet<CaseKey>,
        now: crate::domain::instant::Instant,
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        for (key, case) in &caseload::read(db, contracts, keys).await? {
            for visit in case.reconcile(now).visits {
                let as_seen =
                    |only| json!(records::visit(&case.contract, &visit, only)).to_string();
                self.tell(Change {
                    contract: key.contract.clone(),
                    name: "visit",
                    full: as_seen(false).into(),
                    references: Some(as_seen(true).into()),
                });
            }
        }
        Ok(())
    }

    fn tell(&self, change: Change) {
        // An error means that nobody listens any more.
        let _ = self.told.send(change);
    }
}

/// What has been told.
struct Known {
    mark: Mark,
    said: HashMap<Uuid, String>,
}

fn text(found: &Found) -> String {
    serde_json::to_string(&found.message).unwrap_or_default()
}

/// The changes from now on.
///
/// # Errors
/// When too many listen already.
pub async fn changes(
    State(app): State<AppState>,
    visitor: Visitor,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = Arc::clone(&app.changes.places).try_acquire_owned().map_err(|_| {
        let detail = "too many are listening: close some pages, or try again later";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).again_after(30)
    })?;
    let only = visitor.sees_references_only();
    let told = BroadcastStream::new(app.changes.told.subscribe());
    app.changes.look();
    let told = told.filter_map(move |change| match change {
        Ok(change) if visitor.contracts.has(&change.contract) => {
            let data = if only { change.references? } else { change.full };
            Some(Event::default().event(change.name).data(&*data))
        }
        Ok(_) => None,
        Err(BroadcastStreamRecvError::Lagged(_)) => {
            Some(Event::default().event("reload").data("{}"))
        }
    });
    let mut ping = interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let since = Tick::now();
    let ping = IntervalStream::new(ping).map(move |_| {
        let seconds = since.elapsed().as_secs();
        Event::default().event("ping").data(json!({"seconds": seconds}).to_string())
    });
    let lasts = move |_: &Event| since.elapsed() < STREAM_MAX;
    let stream = told.merge(ping).take_while(lasts).map(move |event| {
        let _keeps_its_place = &place;
        Ok(event)
    });
    Ok(Sse::new(stream))
}
