//! The embedded broker: what the daemon brings along for those who have none.
//!
//! An event's PUBACK is sent when the writer has committed it, and means just that (R7): the phone
//! needs no other broker's word. Whatever is not evidence (receipts, alerts, markers, other
//! people's topics) is routed as any broker does. Sessions and retained messages are kept in memory
//! only, so they end with the process; evidence is in the database before anyone is told.
//!
//! It speaks MQTT 3.1.1 and 5: without TLS on the loopback interface only, and with TLS to anyone
//! whom its users file knows. Without such a file everybody on this machine is let in.

mod access;
mod front;
mod intake;
mod known;
pub mod outlet;
mod reread;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mqtt5::broker::config::{
    AuthConfig, BrokerConfig, RateLimitConfig, StorageBackend, StorageConfig,
};
use mqtt5::broker::router::MessageRouter;
use mqtt5::broker::{AuthProvider, BrokerShutdownHandle, MqttBroker};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::config::ListenTls;
use crate::message::Inbound;
use crate::tls::TlsError;
use crate::users::{Users, UsersError};
use access::Access;
use front::{Certificate, Front};
use intake::Intake;
use reread::Reread;

pub use access::Own;

/// Clients that may be connected at one time.
pub const CLIENTS_MAX: usize = 1_000;
/// The largest packet that a client may send: oversized events arrive and are rejected with a
/// receipt; a client that sends more is disconnected.
pub const PACKET_BYTES_MAX: usize = 1024 * 1024;
/// Messages with QoS 2 that a client may have begun and not completed.
pub const RECEIVE_MAX: u16 = 100;
/// Messages kept for a client that is away, or slow.
pub const QUEUED_PER_CLIENT_MAX: usize = 1_000;
/// Bytes kept for a client that is away, or slow.
pub const QUEUED_BYTES_PER_CLIENT_MAX: usize = 4 * 1024 * 1024;
/// Topics with a retained message.
pub const RETAINED_MAX: usize = 10_000;
/// The longest that the session of a client that is away is kept.
pub const SESSION_HOURS_MAX: u64 = 24;
/// The longest that a client waits for its event to be committed before it is disconnected, to send
/// it again.
pub const COMMIT_SECONDS_MAX: u64 = 60;
/// The longest that a stop waits for the connections to end.
const STOP_SECONDS_MAX: u64 = 10;

/// What the broker is to do.
pub struct Options {
    /// Where it listens without TLS; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where and how it listens with TLS, if it does.
    pub tls: Option<ListenTls>,
    /// The file of its users. Without one it lets everybody in.
    pub users_file: Option<PathBuf>,
    /// The daemon's own connection.
    pub own: Own,
}

/// Why the embedded broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Without TLS others could read along, so only this machine may reach it.
    #[error(
        "broker.listen is {0}, which other machines can reach, without TLS; set broker.listen to \
         127.0.0.1 and a port, and broker.tls_listen for other machines"
    )]
    NotLoopback(SocketAddr),
    /// Anyone who reaches it may speak to it.
    #[error("broker.tls_listen needs users: set broker.users_file as well")]
    NoUsers,
    /// Another program has the port.
    #[error(
        "another program listens on {address}; stop it, or set {key} to a free port (or broker.url \
         to that program, if it is the broker that you want)"
    )]
    InUse {
        /// What sets the address.
        key: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}; set {key} to an address of this machine")]
    Listen {
        /// What sets the address.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The certificate or its key is of no use.
    #[error("broker.tls_cert_file or broker.tls_key_file is of no use: {0}")]
    Certificate(#[from] TlsError),
    /// The users are of no use.
    #[error("broker.users_file is of no use: {0}")]
    Users(#[from] UsersError),
    /// The broker itself failed.
    #[error("the embedded broker did not start: {0}")]
    Start(String),
}

impl BrokerError {
    fn listen(key: &'static str, address: SocketAddr, error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::AddrInUse {
            Self::InUse { key, address }
        } else {
            Self::Listen { key, address, error }
        }
    }
}

/// The running broker. Dropping it stops it without waiting.
pub struct EmbeddedBroker {
    address: SocketAddr,
    intake: Arc<Intake>,
    router: Arc<MessageRouter>,
    shutdown: BrokerShutdownHandle,
    task: JoinHandle<()>,
    /// What ends with the broker.
    _beside: JoinSet<()>,
}

/// Starts a broker, which hands events and the states of devices to `inbound`. It has no backlog,
/// so it has caught up at once (R25).
pub async fn start(
    options: Options,
    inbound: mpsc::Sender<Inbound>,
) -> Result<EmbeddedBroker, BrokerError> {
    let Options { listen, tls, users_file, own } = options;
    if !listen.ip().is_loopback() {
        return Err(BrokerError::NotLoopback(listen));
    }
    if tls.is_some() && users_file.is_none() {
        return Err(BrokerError::NoUsers);
    }
    let users = users_file.as_deref().map(Users::read_if_there).transpose()?;
    if users.as_ref().is_some_and(|users| users.names().len() == 0) {
        tracing::warn!("nobody is in broker.users_file: `nightrun user add` adds users");
    }
    let access = Arc::new(Access::new(own, users));
    let intake = Arc::new(Intake::new(inbound.clone(), Arc::clone(&access)));
    // The broker says why it cannot listen only in prose: ask first.
    TcpListener::bind(listen)
        .map_err(|error| BrokerError::listen("broker.listen", listen, error))?;
    let broker = MqttBroker::with_config(config(listen, Arc::clone(&intake)))
        .await
        .map_err(|error| BrokerError::Start(error.to_string()))?;
    let mut broker = broker.with_auth_provider(Arc::clone(&access) as Arc<dyn AuthProvider>);
    let router = broker.router();
    intake.serves(Arc::clone(&router));
    let address =
        broker.local_addr().ok_or_else(|| BrokerError::Start("it has no address".to_owned()))?;
    let certificate = tls.map(Certificate::read).transpose()?.map(Arc::new);
    let front = match &certificate {
        Some(certificate) => Some(Front::bind(Arc::clone(certificate), address).await?),
        None => None,
    };
    let reread = Reread { users_file, certificate, access, router: Arc::clone(&router) };
    let shutdown = broker.shutdown_handle();
    let mut ready = broker.ready_receiver();
    let task = tokio::spawn(async move {
        if let Err(error) = broker.run().await {
            tracing::error!("the embedded broker stopped: {error}; restart the daemon");
        }
    });
    let running = ready.wait_for(|ready| *ready).await.is_ok();
    if !running {
        return Err(BrokerError::Start("it stopped at once; the log says why".to_owned()));
    }
    tracing::info!(%address, "the embedded broker listens");
    let mut beside = JoinSet::new();
    beside.spawn(reread.run());
    if let Some(front) = front {
        let address = front.local_addr();
        tracing::info!(%address, "the embedded broker listens with TLS");
        beside.spawn(front.run());
    }
    // An error means that the writer is gone, and the daemon about to stop.
    let _ = inbound.send(Inbound::CaughtUp { slot: 0, as_of: None }).await;
    Ok(EmbeddedBroker { address, intake, router, shutdown, task, _beside: beside })
}

impl EmbeddedBroker {
    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What takes its messages to those who have subscribed.
    #[must_use]
    pub fn router(&self) -> Arc<MessageRouter> {
        Arc::clone(&self.router)
    }

    /// Hands nothing more to the writer, whose channel then ends; what was handed on is still
    /// acknowledged. Events that come now get no PUBACK, and are sent again by whoever sent them.
    /// Receipts and alerts are still routed.
    pub fn close_intake(&self) {
        self.intake.close();
    }

    /// Disconnects everyone and ends.
    pub async fn stop(mut self) {
        self.intake.close();
        self.shutdown.shutdown();
        if timeout(Duration::from_secs(STOP_SECONDS_MAX), &mut self.task).await.is_err() {
            tracing::warn!("the embedded broker did not end in {STOP_SECONDS_MAX} s; left behind");
        }
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.intake.close();
        self.shutdown.shutdown();
    }
}

fn config(listen: SocketAddr, intake: Arc<Intake>) -> BrokerConfig {
    let storage = StorageConfig::new()
        .with_backend(StorageBackend::Memory)
        .with_max_queued_messages_per_client(QUEUED_PER_CLIENT_MAX)
        .with_max_queued_bytes_per_client(QUEUED_BYTES_PER_CLIENT_MAX);
    // Who is let in is not decided here, but by what takes its place.
    let mut auth = AuthConfig::new().with_allow_anonymous(true);
    auth.rate_limit = RateLimitConfig { enabled: false, ..RateLimitConfig::default() };
    BrokerConfig::new()
        .with_bind_address(listen)
        .with_max_clients(CLIENTS_MAX)
        .with_max_packet_size(PACKET_BYTES_MAX)
        .with_server_receive_maximum(RECEIVE_MAX)
        .with_max_retained_messages(RETAINED_MAX)
        .with_session_expiry(Duration::from_secs(SESSION_HOURS_MAX * 60 * 60))
        .with_sys_topics_enabled(false)
        .with_storage(storage)
        .with_auth(auth)
        .with_event_handler(intake)
}

/// What the lock guards is whole after each statement: a panic elsewhere leaves it usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
