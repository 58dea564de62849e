//! The publishing connection: receipts and alerts on their way out, to either kind of broker.
//!
//! It is apart from the session that hears, so that acknowledgements and receipts never wait for
//! each other. Whatever it takes gets an outcome: published (the broker has it) or refused. What
//! has none when a connection breaks is published again, in order, on the next: at least once,
//! and the outbox keeps it until then.
//!
//! It also bears the daemon's heartbeat: a retained status that says whether the daemon works, and a
//! last will that says offline.

mod window;

use std::pin::pin;
use std::time::Duration;

use rumqttc::ConnectReturnCode::RetainNotSupported;
use rumqttc::{
    AsyncClient, ClientBuildError, ConnAck, ConnectionError, Event, EventLoop, LastWill,
    Outgoing as Sent, Packet, QoS,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;
use crate::mqtt::{BrokerSession, Rivalry, Trouble, stopped};
use crate::wire::status::DaemonStatus;
use window::Window;

/// Messages that may be on their way to the broker at one time.
pub const IN_FLIGHT_MAX: u16 = 500;
/// Packets that the library takes at once. What it took together with the end of the connection is
/// lost, and Mosquitto answers a message that it does not allow and closes the connection. Each
/// connection begins with one at a time, until all is answered that the last one had left: so the
/// answer is heard, on the next connection if not on this.
const READ_BATCH: usize = 64;
/// The longest that the broker may leave everything unanswered that is on its way, before the
/// connection is held to be dead and made anew: an alert must not wait for the keep-alive.
pub const ANSWER_SECONDS_MAX: u64 = 5;
/// The longest that a stop waits for what is on its way.
pub const FLUSH_SECONDS_MAX: u64 = 5;

/// What the daemon's status says.
fn status(status: DaemonStatus) -> String {
    serde_json::to_string(&status).unwrap_or_default()
}

/// By what the outcome of a message is reported: its row of the outbox, and its place there. No two on
/// their way at one time have the same.
pub type MessageId = (i64, usize);

/// A message to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// What the outcome is reported by.
    pub id: MessageId,
    /// Where to.
    pub topic: String,
    /// The bytes.
    pub payload: Vec<u8>,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The broker has it.
    Published(MessageId),
    /// The broker will not have it, for this reason. It is not tried again.
    Refused(MessageId, String),
}

/// Publishes what comes from `outgoing` and reports to `outcomes`, until `shutdown` is true (or its
/// sender is gone), or nobody is left who could send or hear.
///
/// It then takes what is already in the channel, waits at most [`FLUSH_SECONDS_MAX`] for the
/// outcomes, says offline and disconnects. So stop it after whoever fills the channel.
pub async fn run(
    settings: &BrokerSession,
    mut outgoing: mpsc::Receiver<Outgoing>,
    outcomes: mpsc::Sender<Outcome>,
    status: watch::Receiver<DaemonStatus>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut publisher = Publisher {
        settings,
        status,
        window: Window::default(),
        rivalry: Rivalry::default(),
        retains_nothing: false,
        stop_by: None,
    };
    let mut backoff = Backoff::default();
    let mut reported = None;
    loop {
        let ended = publisher.connection(&mut outgoing, &outcomes, &mut shutdown).await;
        let Some(Broken { trouble, had_worked }) = ended else { return };
        let trouble = publisher.rivalry.ended(trouble);
        if had_worked {
            backoff.reset();
        }
        let pause = trouble.pause(&mut backoff);
        // Once, not at every attempt, in whatever words the attempts fail.
        let was_said =
            publisher.rivalry.was_said(&trouble) || !had_worked && reported == Some(trouble.kind());
        if !was_said {
            let client_id = client_id(&settings.client_id);
            let unsent = publisher.window.len();
            tracing::warn!(client_id, unsent, ?pause, "receipts and alerts wait: {trouble}");
            reported = Some(trouble.kind());
        }
        let mut until = Instant::now() + pause;
        if let Some(by) = publisher.stop_by {
            until = until.min(by);
        }
        tokio::select! {
            () = stopped(&mut shutdown), if publisher.stop_by.is_none() => {
                publisher.stop(&mut outgoing);
                if publisher.window.is_done() && outgoing.is_empty() {
                    return;
                }
            }
            () = sleep_until(until) => {}
        }
    }
}

/// The client id of this connection of the daemon that has that client id.
pub(crate) fn client_id(of_daemon: &str) -> String {
    format!("{of_daemon}-publish")
}

/// Why a connection ended that was to go on, and whether the broker had answered anything on it.
struct Broken {
    trouble: Trouble,
    had_worked: bool,
}

fn unanswered() -> Trouble {
    Trouble::Broken(format!("the broker has answered nothing for {ANSWER_SECONDS_MAX} s"))
}

/// What one step of a connection brought.
enum Step {
    Polled(Box<Result<Event, ConnectionError>>),
    Taken(Outgoing),
    Beat,
    NoMore,
    Stop,
    Late,
    Unanswered,
    Deaf,
    Reported,
}

struct Publisher<'a> {
    settings: &'a BrokerSession,
    /// What the heartbeat says.
    status: watch::Receiver<DaemonStatus>,
    window: Window,
    /// The broker refuses a client whose will it would have to retain.
    retains_nothing: bool,
    /// When a stop ends, whatever is still on its way.
    stop_by: Option<Instant>,
    rivalry: Rivalry,
}

impl Publisher<'_> {
    /// Connects, and publishes as long as that goes well. None if the daemon stops.
    async fn connection(
        &mut self,
        outgoing: &mut mpsc::Receiver<Outgoing>,
        outcomes: &mpsc::Sender<Outcome>,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Option<Broken> {
        let (client, mut eventloop) = match self.build() {
            Ok(built) => built,
            Err(error) => {
                let trouble = Trouble::Broken(error.to_string());
                return Some(Broken { trouble, had_worked: false });
            }
        };
        let mut connected = false;
        let mut had_worked = false;
        let mut no_more = false;
        let mut leaving = false;
        loop {
            eventloop.options.set_read_batch_size(self.read_batch(connected));
            let mut poll = pin!(eventloop.poll());
            let event = loop {
                let stop_by = self.stop_by;
                let step = tokio::select! {
                    biased;
                    () = stopped(shutdown), if stop_by.is_none() => Step::Stop,
                    () = sleep_until(stop_by.unwrap_or_else(Instant::now)), if stop_by.is_some() => {
                        Step::Late
                    }
                    room = outcomes.reserve(), if self.window.has_outcomes() => match room {
                        Ok(room) => {
                            self.window.report(room, outcomes);
                            Step::Reported
                        }
                        Err(_) => Step::Deaf,
                    },
                    next = outgoing.recv(), if connected && !no_more && self.window.has_room() => {
                        next.map_or(Step::NoMore, Step::Taken)
                    }
                    Ok(()) = self.status.changed(), if connected && !no_more => Step::Beat,
                    event = &mut poll => Step::Polled(Box::new(event)),
                    () = sleep_until(self.window.answer_by()), if connected && self.window.len() > 0 => {
                        Step::Unanswered
                    }
                };
                match step {
                    Step::Polled(event) => break *event,
                    Step::Taken(message) => self.window.take_all(message, outgoing, &client),
                    Step::Beat => {
                        let now = status(*self.status.borrow_and_update());
                        self.window.say(&self.settings.status_topic(), &now, &client);
                    }
                    Step::Stop => self.stop(outgoing),
                    Step::NoMore => {
                        no_more = true;
                        self.stop(outgoing);
                    }
                    Step::Late => {
                        let unsent = self.window.len() + outgoing.len();
                        tracing::warn!(
                            unsent,
                            "stopped before the broker had answered; what it does not have is \
                             published after the next start"
                        );
                        return None;
                    }
                    Step::Unanswered => return Some(Broken { trouble: unanswered(), had_worked }),
                    Step::Deaf => return None,
                    Step::Reported => {}
                }
                if no_more && self.window.is_done() && !leaving {
                    leaving = true;
                    self.leave(&client);
                }
            };
            match event {
                Ok(Event::Outgoing(Sent::Disconnect)) => return None,
                Ok(Event::Outgoing(Sent::Publish(packet))) => self.window.sent(packet),
                Ok(Event::Incoming(Packet::ConnAck(connack))) => {
                    connected = true;
                    self.rivalry.connected();
                    self.begin(&connack, &client);
                }
                Ok(Event::Incoming(Packet::PubAck(puback))) => {
                    had_worked = true;
                    self.window.answered(&puback, &client);
                }
                Ok(_) => {}
                Err(_) if leaving => return None,
                Err(error) => {
                    if matches!(error, ConnectionError::ConnectionRefused(RetainNotSupported)) {
                        self.retains_nothing = true;
                    }
                    had_worked &= !self.window.is_fruitless();
                    return Some(Broken { trouble: error.into(), had_worked });
                }
            }
            if no_more && self.window.is_done() && !leaving {
                leaving = true;
                self.leave(&client);
            }
        }
    }

    fn build(&self) -> Result<(AsyncClient, EventLoop), ClientBuildError> {
        let mut options = self.settings.options(&client_id(&self.settings.client_id));
        options.set_clean_start(true);
        options.set_outgoing_inflight_upper_limit(IN_FLIGHT_MAX);
        let topic = self.settings.status_topic();
        if !self.retains_nothing {
            let offline = status(DaemonStatus::Offline);
            options.set_last_will(LastWill::new(topic, offline, QoS::AtLeastOnce, true, None));
        }
        // Unbounded in form only: the window bounds it.
        AsyncClient::builder(options).unbounded().try_build()
    }

    /// How many packets the library takes at once.
    fn read_batch(&self, connected: bool) -> usize {
        if connected && self.window.has_caught_up() { READ_BATCH } else { 1 }
    }

    /// Takes what is in the channel and no more, and ends soon.
    fn stop(&mut self, outgoing: &mut mpsc::Receiver<Outgoing>) {
        outgoing.close();
        let by = Instant::now() + Duration::from_secs(FLUSH_SECONDS_MAX);
        self.stop_by.get_or_insert(by);
    }

    /// Says how the daemon is, and then again all that has no outcome.
    fn begin(&mut self, connack: &ConnAck, client: &AsyncClient) {
        let BrokerSession { host, port, .. } = self.settings;
        let unsent = self.window.len();
        tracing::info!(host, port, unsent, "connected to the broker, to publish");
        let now = status(*self.status.borrow_and_update());
        self.window.begin(connack, &self.settings.status_topic(), &now, client);
    }

    /// Says offline, and disconnects when the broker has that.
    fn leave(&mut self, client: &AsyncClient) {
        let offline = status(DaemonStatus::Offline);
        self.window.say(&self.settings.status_topic(), &offline, client);
        if let Err(error) = client.try_disconnect() {
            tracing::debug!("the DISCONNECT was not queued: {error}");
        }
    }
}
