//! The composition root: open the store, start the tasks, wait for a signal, drain in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::broker::{self, EmbeddedBroker, Own, outlet};
use crate::clock;
use crate::config::{BrokerKind, Settings};
use crate::deliver;
use crate::health::Health;
use crate::hearing::Hearing;
use crate::heartbeat;
use crate::http;
use crate::message::Inbound;
use crate::mqtt::{self, BrokerSession};
use crate::publish;
use crate::store::lock::DatabaseLock;
use crate::store::{Store, daemons};
use crate::wire::status::DaemonStatus;
use crate::writer::{BATCH_MAX, Outbox, Writer};

/// What the embedded broker has not yet taken, the phones have: after a start they get this long to
/// come back with it, and those who listen to alerts to listen again, before deadlines count (R25).
const RECONNECT_WITHIN: Duration = Duration::from_secs(3);

/// The longest that a stop waits for the broker to take what is in the outbox.
const DELIVER_WITHIN: Duration = Duration::from_secs(5);

/// Where messages come from.
enum Intake {
    Embedded(EmbeddedBroker),
    Session { shutdown: watch::Sender<bool>, task: JoinHandle<()> },
}

/// A daemon that runs.
pub struct Daemon {
    store: Store,
    intake: Intake,
    writer: JoinHandle<()>,
    /// Says that the writer has taken everything.
    drained: oneshot::Receiver<()>,
    deliverer: JoinHandle<()>,
    publisher: JoinHandle<()>,
    http: http::Server,
    heartbeat: JoinHandle<()>,
    /// No other daemon may have the file meanwhile.
    _lock: Option<DatabaseLock>,
    /// Stops the deliverer.
    stop_delivering: watch::Sender<bool>,
    /// Stops the publisher.
    stop_publishing: watch::Sender<bool>,
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
        let store = Store::open(&settings.database).await?;
        info!(database = %settings.database, "the database is open");
        let (inbound, messages) = mpsc::channel::<Inbound>(BATCH_MAX);
        let health = Arc::new(Health::default());
        let (stop_http, http_stopping) = watch::channel(false);
        let http = http::Server::start(settings.http.listen, Arc::clone(&health), http_stopping);
        let http = http.await?;
        info!(address = %http.address, "HTTP answers");
        let (intake, session) = take_in(settings, inbound).await?;

        let outbox = Arc::new(Outbox::default());
        let (outgoing, to_publish) = mpsc::channel(BATCH_MAX);
        let (report, outcomes) = mpsc::channel(BATCH_MAX);
        let (stop_publishing, publishing) = watch::channel(false);
        let (status, of_daemon) = watch::channel(DaemonStatus::Offline);
        let of_publisher = session.clone();
        let router = match &intake {
            Intake::Embedded(broker) => Some(broker.router()),
            Intake::Session { .. } => None,
        };
        let publisher = tokio::spawn(async move {
            let Some(router) = router else {
                publish::run(&of_publisher, to_publish, report, of_daemon, publishing).await;
                return;
            };
            // The connection bears nothing but the heartbeat.
            let (_nobody, nothing) = mpsc::channel(1);
            let outlet = outlet::run(router, to_publish, report.clone());
            let heartbeat = publish::run(&of_publisher, nothing, report, of_daemon, publishing);
            tokio::join!(outlet, heartbeat);
        });
        let (stop_delivering, delivering) = watch::channel(false);
        // With the broker inside, who listens to alerts has to come back first as well.
        let grace = match intake {
            Intake::Embedded(_) => RECONNECT_WITHIN,
            Intake::Session { .. } => Duration::ZERO,
        };
        let deliver = deliver::run(store.clone(), Arc::clone(&outbox), outgoing, grace, delivering);
        let deliverer = tokio::spawn(deliver);
        let contracts = Arc::new(settings.contracts.clone());
        let heard = daemons::phones_heard(&mut store.read().await?).await?;
        let hearing = Hearing::starting(grace, Arc::clone(&health), clock::now(), heard);
        let instance = session.instance;
        let of_writer = Arc::clone(&health);
        let writer = Writer::new(store.clone(), contracts, instance, outbox, of_writer, hearing);
        let (say_drained, drained) = oneshot::channel();
        let writer = tokio::spawn(writer.run(messages, outcomes, say_drained));
        heartbeat::started();
        let heartbeat = tokio::spawn(heartbeat::beat(health, status));
        Ok(Self {
            store,
            intake,
            writer,
            drained,
            deliverer,
            publisher,
            http,
            heartbeat,
            _lock: lock,
            stop_delivering,
            stop_publishing,
            stop_http,
        })
    }

    /// Where the embedded broker listens, if there is one.
    #[must_use]
    pub fn broker_addr(&self) -> Option<SocketAddr> {
        match &self.intake {
            Intake::Embedded(broker) => Some(broker.local_addr()),
            Intake::Session { .. } => None,
        }
    }

    /// Stops taking messages, finishes those that were taken, acknowledges them, sends the last
    /// receipts, and leaves.
    ///
    /// # Errors
    /// When a task has died, which is a bug.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let died = "a task of the daemon has died: please report it";
        heartbeat::stopping();
        self.heartbeat.abort();
        let embedded = match self.intake {
            Intake::Embedded(broker) => {
                broker.close_intake();
                Some(broker)
            }
            Intake::Session { shutdown, task } => {
                shutdown.send_replace(true);
                task.await.context(died)?;
                None
            }
        };
        // The writer has taken everything; now it waits for the publisher, to clear what was sent
        // from the outbox.
        self.drained.await.context(died)?;
        self.stop_delivering.send_replace(true);
        if let Ok(stopped) = timeout(DELIVER_WITHIN, &mut self.deliverer).await {
            stopped.context(died)?;
        } else {
            // The broker is away, or slow: what is left is sent after the next start.
            self.deliverer.abort();
            warn!("the broker does not take the last messages; they stay in the outbox");
        }
        self.stop_publishing.send_replace(true);
        self.publisher.await.context(died)?;
        self.writer.await.context(died)?;
        if let Some(broker) = embedded {
            broker.stop().await;
        }
        self.stop_http.send_replace(true);
        self.http.ended().await.context(died)?;
        self.store.close().await;
        info!("stopped: everything that was taken is committed");
        Ok(())
    }
}

/// Starts the embedded broker, or the session with the external one; and says how the publisher
/// reaches it.
async fn take_in(
    settings: &Settings,
    inbound: mpsc::Sender<Inbound>,
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
            let (shutdown, stopping) = watch::channel(false);
            let of_task = session.clone();
            let task = tokio::spawn(async move { mqtt::run(&of_task, inbound, stopping).await });
            Ok((Intake::Session { shutdown, task }, session))
        }
    }
}
