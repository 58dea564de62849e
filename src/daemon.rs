//! The composition root: open the store, start the tasks, wait for a signal, drain in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{info, warn};

use crate::acts::Office;
use crate::broker::{self, EmbeddedBroker, Own};
use crate::clock;
use crate::config::{BrokerKind, Settings};
use crate::health::Health;
use crate::hearing::Hearing;
use crate::heartbeat;
use crate::http::stream::Changes;
use crate::http::{self, AppState};
use crate::message::Inbound;
use crate::mqtt::{self, BrokerSession, Seat};
use crate::notify::Notifier;
use crate::slots::Slots;
use crate::slots::keeper::{Keeper, Means, NoSlot, Request};
use crate::slots::post::Outward;
use crate::store::lock::DatabaseLock;
use crate::store::{Store, daemons};
use crate::wire::status::DaemonStatus;
use crate::writer::{BATCH_MAX, Outbox, Writer};

/// What the embedded broker has not yet taken, the phones have: after a start they get this long to
/// come back with it, and those who listen to alerts to listen again, before deadlines count (R25).
const RECONNECT_WITHIN: Duration = Duration::from_secs(3);
/// A task that has ended although it was to go on.
const DIED: &str = "a task of the daemon has died: please report it";

/// Where messages come from.
enum Intake {
    Embedded(EmbeddedBroker),
    Session {
        shutdown: watch::Sender<bool>,
        task: JoinHandle<()>,
    },
    /// The keeper of the slots has the sessions.
    Slots,
}

/// The task that keeps this daemon's slot.
struct Kept {
    requests: mpsc::Sender<Request>,
    task: JoinHandle<Result<(), NoSlot>>,
}

impl Kept {
    /// Asks the keeper for something, and waits until it is done.
    async fn ask(&self, request: impl FnOnce(oneshot::Sender<()>) -> Request) {
        let (done, answer) = oneshot::channel();
        if self.requests.send(request(done)).await.is_ok() {
            // An error means that the keeper has gone, and its sessions with it.
            let _ = answer.await;
        }
    }
}

/// A daemon that runs.
pub struct Daemon {
    store: Store,
    intake: Intake,
    writer: JoinHandle<()>,
    /// Says that the writer has taken everything.
    drained: oneshot::Receiver<()>,
    /// What is published, if it is not for the keeper to do.
    outward: Option<Outward>,
    /// The keeper of the slots, if there are any.
    kept: Option<Kept>,
    http: http::Server,
    /// Who tells those who watch what has changed.
    changes: JoinHandle<()>,
    /// Who tells people.
    notifier: Notifier,
    /// They say how it is.
    heartbeat: JoinSet<()>,
    /// No other daemon may have the file meanwhile.
    _lock: Option<DatabaseLock>,
    /// Stops HTTP.
    stop_http: watch::Sender<bool>,
}

impl Daemon {
    /// Opens the store and starts all tasks.
    ///
    /// # Errors
    /// When the database or the embedded broker cannot be had.
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let lock = settings.database.path().map(DatabaseLock::take).transpose()?;
        let client_id = settings.broker.client_id.clone();
        let slots = Arc::new(Slots::new(settings.broker.shared_group.is_some()));
        let mut database = settings.database.clone();
        let mut keeper = None;
        if lock.is_none() {
            let group = settings.broker.shared_group.clone().unwrap_or_default();
            let slots = Arc::clone(&slots);
            let taken = Keeper::take(&database, slots, client_id.clone(), group).await?;
            // By this it counts what arrives, and can be cut off.
            database = database.known_as(&taken.application_name());
            keeper = Some(taken);
        }
        let store = Store::open(&database).await?;
        info!(database = %database, "the database is open");
        let (inbound, messages) = mpsc::channel::<Inbound>(BATCH_MAX);
        let health = Arc::new(Health::default());
        let (stop_http, http_stopping) = watch::channel(false);
        let listening = http::listen(settings.http.listen).await?;
        let (intake, session) = take_in(settings, inbound.clone(), keeper.is_some()).await?;

        let outbox = Arc::new(Outbox::default());
        let (report, outcomes) = mpsc::channel(BATCH_MAX);
        let (status, of_daemon) = watch::channel(DaemonStatus::Offline);
        // With the broker inside, who listens to alerts has to come back first as well.
        let grace = match intake {
            Intake::Embedded(_) => RECONNECT_WITHIN,
            Intake::Session { .. } | Intake::Slots => Duration::ZERO,
        };
        let contracts = Arc::new(settings.contracts.clone());
        let of_notifier = (store.clone(), Arc::clone(&contracts), Arc::clone(&slots));
        let heard = daemons::phones_heard(&mut store.read().await?).await?;
        let hearing = Hearing::starting(grace, Arc::clone(&health), clock::now(), heard);
        let changes = Changes::default();
        let office = Office::new(
            store.clone(),
            Arc::clone(&contracts),
            Arc::clone(&slots),
            Arc::clone(&outbox),
            &inbound,
        );
        let app = AppState::new(
            &settings.http,
            Arc::clone(&health),
            store.clone(),
            Arc::clone(&contracts),
            office,
            changes.clone(),
        );
        let metrics = Arc::clone(&app.scrape.metrics);
        let watching = changes.watch(store.clone(), Arc::clone(&contracts), http_stopping.clone());
        let watching = tokio::spawn(watching);
        let http = http::Server::start(listening, app, http_stopping);
        info!(address = %http.address, "HTTP answers");
        if !settings.http.asks_for_tokens {
            warn!("HTTP asks for no token: everybody on this machine may see and do everything");
        }
        let writer = Writer::new(
            store.clone(),
            contracts,
            client_id,
            Arc::clone(&slots),
            Arc::clone(&outbox),
            metrics,
            hearing,
        );
        let (say_drained, drained) = oneshot::channel();
        let writer = tokio::spawn(writer.run(messages, outcomes, say_drained));
        let (mut outward, mut means) = (None, None);
        let at_broker = (store.clone(), Arc::clone(&outbox));
        if let Intake::Slots = intake {
            let (store, outbox) = at_broker;
            let (inbound, status) = (Some(inbound), of_daemon);
            means = Some(Means { store, session, inbound, outbox, report, status });
        } else {
            let inside = match &intake {
                Intake::Embedded(broker) => Some(broker.router()),
                Intake::Session { .. } | Intake::Slots => None,
            };
            outward = Some(Outward::start(session, inside, 0, grace, at_broker, report, of_daemon));
        }
        let kept = keeper.map(|keeper| {
            let (requests, of_keeper) = mpsc::channel(1);
            Kept { requests, task: tokio::spawn(keeper.keep(means, of_keeper)) }
        });
        let notifier = Notifier::start(settings, of_notifier, lock.is_some())?;
        let heartbeat = heartbeat::start(settings.heartbeat.as_ref(), health, status)?;
        Ok(Self {
            store,
            intake,
            writer,
            drained,
            outward,
            kept,
            http,
            changes: watching,
            notifier,
            heartbeat,
            _lock: lock,
            stop_http,
        })
    }

    /// Where the embedded broker listens, if there is one.
    #[must_use]
    pub fn broker_addr(&self) -> Option<SocketAddr> {
        match &self.intake {
            Intake::Embedded(broker) => Some(broker.local_addr()),
            Intake::Session { .. } | Intake::Slots => None,
        }
    }

    /// Returns when the daemon cannot go on, with the reason.
    pub async fn cannot_go_on(&mut self) -> anyhow::Error {
        let Some(kept) = &mut self.kept else { return std::future::pending().await };
        match (&mut kept.task).await {
            Ok(Err(no_slot)) => no_slot.into(),
            Ok(Ok(())) => anyhow::anyhow!(DIED),
            Err(died) => anyhow::Error::from(died).context(DIED),
        }
    }

    /// Stops taking messages, finishes those that were taken, acknowledges them, sends the last
    /// receipts, and leaves.
    ///
    /// # Errors
    /// When a task has died, which is a bug.
    pub async fn stop(self) -> anyhow::Result<()> {
        heartbeat::stopping();
        drop(self.heartbeat);
        self.notifier.stop().await.context(DIED)?;
        let mut embedded = None;
        match self.intake {
            Intake::Embedded(broker) => {
                broker.close_intake();
                embedded = Some(broker);
            }
            Intake::Session { shutdown, task } => {
                shutdown.send_replace(true);
                task.await.context(DIED)?;
            }
            Intake::Slots => {
                if let Some(kept) = &self.kept {
                    kept.ask(Request::StopHearing).await;
                }
            }
        }
        // The writer has taken everything; now it waits for the publisher, to clear what was sent
        // from the outbox.
        self.drained.await.context(DIED)?;
        if let Some(outward) = self.outward {
            outward.stop().await.context(DIED)?;
        }
        if let Some(kept) = &self.kept {
            kept.ask(Request::StopPublishing).await;
        }
        self.writer.await.context(DIED)?;
        if let Some(kept) = self.kept {
            kept.ask(Request::Leave).await;
            kept.task.await.context(DIED)??;
        }
        if let Some(broker) = embedded {
            broker.stop().await;
        }
        self.stop_http.send_replace(true);
        self.http.ended().await.context(DIED)?;
        self.changes.await.context(DIED)?;
        self.store.close().await;
        info!("stopped: everything that was taken is committed");
        Ok(())
    }
}

/// Starts the embedded broker, or the session with the external one unless that is for the keeper of
/// the slots to do; and says how the broker is reached.
async fn take_in(
    settings: &Settings,
    inbound: mpsc::Sender<Inbound>,
    has_keeper: bool,
) -> anyhow::Result<(Intake, BrokerSession)> {
    let client_id = settings.broker.client_id.clone();
    match &settings.broker.kind {
        BrokerKind::Embedded { listen, tls, users_file } => {
            let own = Own::new(&client_id);
            let options = broker::Options {
                listen: *listen,
                tls: tls.clone(),
                users_file: users_file.clone(),
                own: own.clone(),
            };
            let broker = broker::start(options, inbound).await?;
            let session = own.session(broker.local_addr());
            Ok((Intake::Embedded(broker), session))
        }
        BrokerKind::External { host, port, username, password, tls } => {
            let session = BrokerSession {
                host: host.clone(),
                port: *port,
                username: username.clone(),
                password: password.as_ref().map(|password| password.expose().to_owned()),
                instance: client_id.clone(),
                client_id,
                tls: tls.as_ref().map(|tls| Arc::clone(&tls.config)),
            };
            if has_keeper {
                return Ok((Intake::Slots, session));
            }
            let (shutdown, stopping) = watch::channel(false);
            let of_task = session.clone();
            let task = tokio::spawn(async move {
                mqtt::run(&of_task, Seat::alone(), inbound, stopping).await;
            });
            Ok((Intake::Session { shutdown, task }, session))
        }
    }
}
