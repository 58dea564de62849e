//! The session with an external broker: subscribe, back off, hand on messages together with their
//! acknowledgements.
//!
//! The broker keeps the session while the daemon is away; nothing is acknowledged before the
//! writer says so (R7). Each connection has a client of its own and is dropped whole at its first
//! error: an acknowledgement can then never reach a later connection, where its packet identifier
//! may stand for another message.
//!
//! What was kept has been read when the marker that the session publishes to itself after
//! subscribing comes back (R25): the broker hands it on after everything older. Markers follow each
//! other as long as the connection lasts, so the writer always knows up to when it has heard
//! everything, also while a connection is dead and nobody has noticed.
//!
//! Where several daemons share what phones and units say, each has such a session, and a session
//! whose daemon is gone is drained by another daemon ([`drain`]).
//!
//! This module never reads a payload, and never waits for the database.

mod connection;
mod gather;
mod marker;
mod resume;
mod seat;
mod trouble;

use std::fmt;
use std::mem::Discriminant;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{MqttOptions, NetworkOptions, TlsConfiguration, Transport};
use rustls::ClientConfig;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant as Tick, sleep};

use crate::backoff::Backoff;
use crate::message::Inbound;
use crate::wire::topic::{self, DEVICE_STATUS_FILTER, EVENT_FILTERS};
use connection::{Ended, Role, connection};
pub use gather::Gathering;
pub use seat::{Line, Pulse, Seat, SlotNumber, Word};
pub(crate) use trouble::{Rivalry, Trouble};

/// Messages that the broker may send ahead of their acknowledgements: the bound of everything that
/// this session holds. More than a batch, so that the next one gathers while one is committed.
pub const UNACKNOWLEDGED_MAX: u16 = 1_000;
/// The largest packet that the daemon takes. What is over the size of an event arrives and is
/// rejected with a receipt; what is over this, the broker drops without a word to anyone.
pub const PACKET_BYTES_MAX: u32 = 1024 * 1024;
/// The longest that a marker is waited for (R25).
pub const BACKLOG_SECONDS_MAX: u64 = 60;
/// The pause between a marker that has come back and the next one.
const MARKER_PAUSE: Duration = Duration::from_millis(250);
/// The longest that a stop waits for the writer's last acknowledgements.
pub const DRAIN_SECONDS_MAX: u64 = 10;
/// How often the log speaks of messages that the broker drops.
const SAY_DROPPED_EVERY_SECONDS: u64 = 600;
/// How often a silent connection is tried. A dead one is noticed within twice this, before the
/// 60 s after which the daemon counts as blind.
pub(crate) const KEEP_ALIVE_SECONDS: u16 = 20;
/// The longest that connecting may take: alerts wait for as long after a broken wire is whole.
pub(crate) const CONNECT_SECONDS_MAX: u64 = 5;
/// The topics under which phones and devices speak to the daemon.
pub(crate) const INTAKE: [&str; 3] = [EVENT_FILTERS[0], EVENT_FILTERS[1], DEVICE_STATUS_FILTER];

/// Which broker, and as whom.
#[derive(Clone)]
pub struct BrokerSession {
    /// The broker's name or address.
    pub host: String,
    /// The broker's port.
    pub port: u16,
    /// The user, if the broker asks for one.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// The name under which the broker keeps the session. No other client may use it.
    pub client_id: String,
    /// The daemon's name in its own topics.
    pub instance: String,
    /// How TLS is spoken, if it is.
    pub tls: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for BrokerSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerSession")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("username", &self.username)
            .field("client_id", &self.client_id)
            .field("instance", &self.instance)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

impl BrokerSession {
    /// What every connection of the daemon has in common.
    pub(crate) fn options(&self, client_id: &str) -> MqttOptions {
        let mut options = MqttOptions::new(client_id, (self.host.as_str(), self.port));
        options.set_keep_alive(KEEP_ALIVE_SECONDS);
        options.set_connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX));
        options.set_max_packet_size(Some(PACKET_BYTES_MAX));
        // Receipts and alerts are small, and each goes out at once.
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        options.set_socket_connector(|address, network| async {
            rumqttc::default_socket_connect(address, network).await.map(Gathering::new)
        });
        if let Some(tls) = &self.tls {
            let tls = TlsConfiguration::Rustls(Arc::clone(tls));
            options.set_transport(Transport::tls_with_config(tls));
        }
        match (&self.username, &self.password) {
            (Some(username), Some(password)) => {
                options.set_credentials(username, password.clone().into_bytes());
            }
            (Some(username), None) => {
                options.set_username(username);
            }
            (None, Some(password)) => {
                options.set_password(password.clone().into_bytes());
            }
            (None, None) => {}
        }
        options
    }

    pub(crate) fn status_topic(&self) -> String {
        topic::daemon_status(&self.instance)
    }

    fn marker_topic(&self) -> String {
        topic::daemon_marker(&self.instance)
    }
}

/// Keeps the session until `shutdown` is true (or its sender is gone), and hands on to `inbound`.
///
/// Until the first [`Inbound::CaughtUp`] the daemon is blind; after an [`Inbound::Lost`] it is
/// blind until the next (R25).
///
/// At the shutdown nothing more is handed on; what was handed on and is not yet acknowledged has
/// [`DRAIN_SECONDS_MAX`] to be: the connection is kept until every [`crate::message::Ack`] has been
/// sent or dropped. Only then does this return, and the channel close behind it. So the writer goes
/// on until its channel ends, and nobody has to tell this session when.
pub async fn run(
    settings: &BrokerSession,
    mut seat: Seat,
    inbound: mpsc::Sender<Inbound>,
    mut shutdown: watch::Receiver<bool>,
) {
    keep(settings, &mut seat, Role::Hears, &inbound, &mut shutdown).await;
}

/// Hands on what the broker has for a slot whose daemon is gone, and ends its session there. Returns
/// whether that was done: the broker has no such session any more, and everything that it had for it
/// has been acknowledged. If not, the daemon stops.
pub async fn drain(
    settings: &BrokerSession,
    mut seat: Seat,
    inbound: mpsc::Sender<Inbound>,
    mut shutdown: watch::Receiver<bool>,
) -> bool {
    keep(settings, &mut seat, Role::Drains, &inbound, &mut shutdown).await
}

async fn keep(
    settings: &BrokerSession,
    seat: &mut Seat,
    role: Role,
    inbound: &mpsc::Sender<Inbound>,
    shutdown: &mut watch::Receiver<bool>,
) -> bool {
    let mut backoff = Backoff::default();
    let mut known = Known::default();
    loop {
        tokio::select! {
            () = stopped(shutdown) => return false,
            () = seat.is_ours() => {}
        }
        let ended = connection(settings, seat, role, inbound, shutdown, &mut known).await;
        let trouble = match ended {
            Ended::Drained => return true,
            Ended::Stopped if role == Role::Hears || *shutdown.borrow() => return false,
            Ended::Stopped => Trouble::Broken("not everything was acknowledged in time".to_owned()),
            // Another daemon may have the slot now: whether it has, the keeper of the slots knows.
            Ended::Lost(Trouble::TakenOver) if seat.line.is_some() => Trouble::Closed,
            Ended::Lost(trouble) => trouble,
        };
        if known.hears == Hears::Everything {
            backoff.reset();
        }
        let trouble = known.rivalry.ended(trouble);
        let pause = trouble.pause(&mut backoff);
        known.report(settings, &trouble, pause);
        let was_hearing = std::mem::take(&mut known.hears) != Hears::Nothing;
        let lost = async {
            if was_hearing {
                // An error means that the writer is gone; the next connection finds that out.
                let _ = inbound.send(Inbound::Lost { slot: seat.slot }).await;
            }
            sleep(pause).await;
        };
        tokio::select! {
            () = stopped(shutdown) => return false,
            () = lost => {}
        }
    }
}

/// Returns when the daemon is to stop, or when nobody is left who could say so.
pub(crate) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which stops as well.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// How much a connection hears.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Hears {
    /// It has not subscribed.
    #[default]
    Nothing,
    /// It has subscribed; what the broker had kept is on its way.
    Backlog,
    /// It has read what the broker had kept.
    Everything,
}

/// What outlives a connection.
#[derive(Default)]
struct Known {
    /// How much the present connection hears.
    hears: Hears,
    /// The broker does not take the marker, and some brokers close the connection over it: the next
    /// connection does without.
    marker_refused: bool,
    /// How many messages the broker has dropped, as it says, and when the log spoke of it.
    dropped: Option<(u64, Tick)>,
    /// The kind of trouble that was last written to the log: each is written once, not at every
    /// attempt, in whatever words the attempts fail.
    reported: Option<Discriminant<Trouble>>,
    rivalry: Rivalry,
}

impl Known {
    /// Says once in a while that the broker drops messages.
    fn drops(&mut self, text: &[u8]) {
        let count = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
        let Some(count) = count.filter(|count| *count > 0) else { return };
        let said = self.dropped.is_some_and(|(said, at)| {
            count <= said || at.elapsed() < Duration::from_secs(SAY_DROPPED_EVERY_SECONDS)
        });
        if said {
            return;
        }
        tracing::warn!(
            dropped = count,
            "the broker has dropped messages that it had acknowledged: its queues are limited (in \
             Mosquitto: set max_queued_messages 0 and max_queued_bytes 0). Phones send again what \
             got no receipt"
        );
        self.dropped = Some((count, Tick::now()));
    }

    fn report(&mut self, settings: &BrokerSession, trouble: &Trouble, pause: Duration) {
        let BrokerSession { host, port, client_id, .. } = settings;
        let text = trouble.to_string();
        let was_said = self.rivalry.was_said(trouble)
            || self.hears == Hears::Nothing && self.reported == Some(trouble.kind());
        if was_said {
            tracing::debug!(host, port, ?pause, "still no session with the broker: {text}");
            return;
        }
        if matches!(trouble, Trouble::Broken(_) | Trouble::Closed) {
            tracing::warn!(host, port, ?pause, "no session with the broker: {text}");
        } else {
            tracing::error!(host, port, client_id, ?pause, "no session with the broker: {text}");
        }
        self.reported = Some(trouble.kind());
    }
}
