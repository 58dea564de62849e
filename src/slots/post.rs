//! The post of a daemon: what it does at the broker in the name of its slot. It hears through one
//! connection, and publishes through another what is in the outbox for that slot.

use std::sync::Arc;
use std::time::Duration;

use mqtt5::broker::router::MessageRouter;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant as Tick, timeout};
use tracing::warn;

use crate::broker::outlet;
use crate::deliver;
use crate::message::Inbound;
use crate::mqtt::{self, BrokerSession, Line, Pulse, Seat, SlotNumber, Word};
use crate::publish::{self, Outcome};
use crate::store::Store;
use crate::wire::status::DaemonStatus;
use crate::writer::{BATCH_MAX, Outbox};

/// The longest that a stop waits for the broker to take what is in the outbox.
const DELIVER_WITHIN: Duration = Duration::from_secs(5);

/// What a daemon publishes: from the outbox to the broker.
pub struct Outward {
    deliverer: JoinHandle<()>,
    publisher: JoinHandle<()>,
    stop_delivering: watch::Sender<bool>,
    stop_publishing: watch::Sender<bool>,
}

impl Outward {
    /// Publishes what is there for the slot, alerts `alerts_after` the start, and reports what became
    /// of it. With the broker inside, `inside` takes it, and the connection bears the heartbeat alone.
    pub fn start(
        session: BrokerSession,
        inside: Option<Arc<MessageRouter>>,
        slot: SlotNumber,
        alerts_after: Duration,
        (store, outbox): (Store, Arc<Outbox>),
        report: mpsc::Sender<Outcome>,
        status: watch::Receiver<DaemonStatus>,
    ) -> Self {
        let (outgoing, to_publish) = mpsc::channel(BATCH_MAX);
        let (stop_publishing, publishing) = watch::channel(false);
        let publisher = tokio::spawn(async move {
            let Some(router) = inside else {
                return publish::run(&session, to_publish, report, status, publishing).await;
            };
            let (_nobody, nothing) = mpsc::channel(1);
            let outlet = outlet::run(router, to_publish, report.clone());
            let heartbeat = publish::run(&session, nothing, report, status, publishing);
            tokio::join!(outlet, heartbeat);
        });
        let (stop_delivering, delivering) = watch::channel(false);
        let deliver = deliver::run(store, outbox, slot, outgoing, alerts_after, delivering);
        let deliverer = tokio::spawn(deliver);
        Self { deliverer, publisher, stop_delivering, stop_publishing }
    }

    /// Publishes what is left, if the broker takes it soon. An error means that a task has died.
    pub async fn stop(mut self) -> Result<(), tokio::task::JoinError> {
        self.stop_delivering.send_replace(true);
        if let Ok(stopped) = timeout(DELIVER_WITHIN, &mut self.deliverer).await {
            stopped?;
        } else {
            // The broker is away, or slow: what is left is sent after the next start.
            self.deliverer.abort();
            warn!("the broker does not take the last messages; they stay in the outbox");
        }
        self.stop_publishing.send_replace(true);
        self.publisher.await
    }

    /// Ends without a word.
    pub(super) fn abandon(&self) {
        self.deliverer.abort();
        self.publisher.abort();
    }
}

/// A session of a slot, and the keeper's end of the line to it.
pub(super) struct Kept<T> {
    pub task: JoinHandle<T>,
    pub pulse: watch::Receiver<Pulse>,
    word: watch::Sender<Word>,
    stop: watch::Sender<bool>,
}

impl<T> Kept<T> {
    /// The slot was this daemon's at that moment.
    pub(super) fn is_ours(&self, held_at: Tick, hears_units: bool) {
        self.word.send_replace(Word { held_at, hears_units });
    }

    /// Hands nothing more on, and ends when everything was acknowledged.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// Which slot a session is for, and who is to hear of it.
pub(super) struct Place {
    pub session: BrokerSession,
    pub slot: SlotNumber,
    /// The group that shares with it; empty if none does.
    pub group: String,
    pub inbound: mpsc::Sender<Inbound>,
    /// Rung when there is something for the keeper to do.
    pub bell: Arc<Notify>,
}

impl Place {
    /// Hears, until it is stopped.
    pub(super) fn hear(self) -> Kept<()> {
        let (seat, stopping, kept) = self.line();
        kept(tokio::spawn(async move {
            mqtt::run(&self.session, seat, self.inbound, stopping).await;
        }))
    }

    /// Drains what the broker has for it; whether that was done.
    pub(super) fn drain(self) -> Kept<bool> {
        let (seat, stopping, kept) = self.line();
        kept(tokio::spawn(async move {
            let drained = mqtt::drain(&self.session, seat, self.inbound, stopping).await;
            self.bell.notify_one();
            drained
        }))
    }

    fn line<T>(
        &self,
    ) -> (Seat, watch::Receiver<bool>, impl FnOnce(JoinHandle<T>) -> Kept<T> + use<T>) {
        let (word, of_session) = watch::channel(Word { held_at: Tick::now(), hears_units: false });
        let (pulse, of_keeper) = watch::channel(Pulse::default());
        let (stop, stopping) = watch::channel(false);
        let line = Line { word: of_session, pulse, bell: Arc::clone(&self.bell) };
        let group = Some(self.group.clone()).filter(|group| !group.is_empty());
        let seat = Seat { slot: self.slot, group, line: Some(line) };
        (seat, stopping, move |task| Kept { task, pulse: of_keeper, word, stop })
    }
}
