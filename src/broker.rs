//! The embedded broker: what the daemon brings along for those who have none.
//!
//! An event's PUBACK is sent when the writer has committed it, and means just that (R7): the phone
//! needs no other broker's word. Whatever is not evidence (receipts, alerts, markers, other
//! people's topics) is routed as any broker does. Sessions and retained messages are kept in memory
//! only, so they end with the process; evidence is in the database before anyone is told.
//!
//! It speaks MQTT 3.1.1 and 5 on one port, without TLS and without users: it listens on the loopback
//! interface or not at all.

mod intake;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use mqtt5::broker::config::{
    AuthConfig, BrokerConfig, RateLimitConfig, StorageBackend, StorageConfig,
};
use mqtt5::broker::{BrokerShutdownHandle, MqttBroker};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::message::Inbound;
use intake::Intake;

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

/// Why the embedded broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Anyone who reaches it may speak to it, so only this machine may reach it.
    #[error(
        "broker.listen is {0}, which other machines can reach, and the embedded broker lets everyone \
         in; set broker.listen to 127.0.0.1 and a port, or broker.url to a broker that knows its \
         users"
    )]
    NotLoopback(SocketAddr),
    /// Another program has the port.
    #[error(
        "another program listens on {0}; stop it, or set broker.listen to a free port (or broker.url \
         to that program, if it is the broker that you want)"
    )]
    InUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}; set broker.listen to an address of this machine")]
    Listen(SocketAddr, #[source] io::Error),
    /// The broker itself failed.
    #[error("the embedded broker did not start: {0}")]
    Start(String),
}

/// The running broker. Dropping it stops it without waiting.
pub struct EmbeddedBroker {
    address: SocketAddr,
    intake: Arc<Intake>,
    shutdown: BrokerShutdownHandle,
    task: JoinHandle<()>,
}

/// Starts a broker on `listen` (port 0 takes any free one), which hands events and the states of
/// devices to `inbound`. It has no backlog, so it has caught up at once (R25).
pub async fn start(
    listen: SocketAddr,
    inbound: mpsc::Sender<Inbound>,
) -> Result<EmbeddedBroker, BrokerError> {
    if !listen.ip().is_loopback() {
        return Err(BrokerError::NotLoopback(listen));
    }
    // The broker says why it cannot listen only in prose: ask first.
    match TcpListener::bind(listen) {
        Ok(listener) => drop(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            return Err(BrokerError::InUse(listen));
        }
        Err(error) => return Err(BrokerError::Listen(listen, error)),
    }
    let intake = Arc::new(Intake::new(inbound.clone()));
    let mut broker = MqttBroker::with_config(config(listen, Arc::clone(&intake)))
        .await
        .map_err(|error| BrokerError::Start(error.to_string()))?;
    intake.serves(broker.router());
    let address =
        broker.local_addr().ok_or_else(|| BrokerError::Start("it has no address".to_owned()))?;
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
    // An error means that the writer is gone, and the daemon about to stop.
    let _ = inbound.send(Inbound::CaughtUp { as_of: None }).await;
    Ok(EmbeddedBroker { address, intake, shutdown, task })
}

impl EmbeddedBroker {
    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
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
