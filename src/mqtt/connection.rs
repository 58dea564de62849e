//! One connection of the session, from CONNECT to its first error.

use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{
    AckMode, AsyncClient, Event, EventLoop, Outgoing, Packet, PubAckReason, Publish,
    PublishOptions, QoS, SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::resume::NothingOutstanding;
use super::trouble::{Trouble, refused};
use super::{
    BACKLOG_SECONDS_MAX, BrokerSession, DRAIN_SECONDS_MAX, Hears, INTAKE, Known, MARKER_PAUSE,
    UNACKNOWLEDGED_MAX, stopped,
};
use crate::clock;
use crate::domain::instant::Instant as Wall;
use crate::message::{Ack, Inbound, Message};
use crate::wire::topic::BROKER_DROPPED;

/// The session itself publishes markers, one at a time. The library looks at as many places for
/// every acknowledgement, so this is small.
const OUTGOING_MAX: u16 = 8;
/// Packets that the library takes before it reports them, once the marker has come back: what it took
/// before the connection ended it does not report at all, and a refusal of the marker comes right
/// before Mosquitto closes.
const READ_BATCH: usize = 64;
/// Messages that wait for room in the writer's channel before this stops reading. Those with QoS 1
/// are never so many; this bounds those that publishers send with QoS 0.
const WAITING_MAX: usize = 2 * UNACKNOWLEDGED_MAX as usize;
/// Markers that are known to be on their way; an older one that comes says nothing.
const MARKERS_MAX: usize = 16;

/// Why a connection ended.
pub(super) enum Ended {
    /// The daemon stops, or the writer is gone.
    Stopped,
    /// It broke, or was refused.
    Lost(Trouble),
}

/// How far a connection has come.
enum Phase {
    Connecting,
    Subscribing,
    Live,
    /// Nothing more is handed on; acknowledgements still go out, until then.
    Draining(Instant),
    /// They have gone out, and behind them something that the broker answers.
    Confirming(Instant),
    /// It has answered, so it has read them. The DISCONNECT is on its way.
    Leaving(Instant),
}

/// What the connection knows about how far it has heard.
enum Marker {
    /// One is sent at that instant.
    Next(Instant),
    /// One is on its way, and is waited for until then.
    Out(Instant),
    /// The broker does not take any.
    Refused,
}

/// A marker that has not come back, and when it was sent.
struct Sent {
    id: String,
    at: Wall,
}

/// One connection's state beside its event loop.
struct Connection<'a> {
    settings: &'a BrokerSession,
    client: Arc<AsyncClient>,
    phase: Phase,
    /// Whether the broker had kept the session.
    kept: bool,
    marker: Marker,
    /// The markers that may still come, oldest first: a broker whose queue is full drops some.
    sent: VecDeque<Sent>,
    /// How many markers the broker has not even acknowledged.
    unanswered: u16,
    marker_topic: String,
    /// What waits for room in the writer's channel, in order.
    waiting: VecDeque<Inbound>,
    /// A clone goes with each acknowledgement: when all are gone, all were sent or dropped.
    held: Option<mpsc::Sender<()>>,
}

/// Connects, and stays connected as long as that goes well. The event loop is polled to the end of
/// each step, whatever else happens, and waits for nothing but the broker.
pub(super) async fn connection(
    settings: &BrokerSession,
    inbound: &mpsc::Sender<Inbound>,
    shutdown: &mut watch::Receiver<bool>,
    known: &mut Known,
) -> Ended {
    let (client, mut eventloop) = match build(settings) {
        Ok(built) => built,
        Err(error) => return Ended::Lost(Trouble::Broken(error.to_string())),
    };
    let (held, mut acknowledgements) = mpsc::channel(1);
    let mut this = Connection::new(settings, client, Some(held));
    loop {
        if known.hears == Hears::Everything {
            eventloop.options.set_read_batch_size(READ_BATCH);
        }
        let mut poll = pin!(eventloop.poll());
        let event = loop {
            let stopping = this.stopping();
            let deadline = this.deadline();
            tokio::select! {
                biased;
                () = stopped(shutdown), if !stopping => {
                    if !this.stop() {
                        return Ended::Stopped;
                    }
                }
                _ = acknowledgements.recv(), if matches!(this.phase, Phase::Draining(_)) => {
                    this.confirm();
                }
                room = inbound.reserve(), if !this.waiting.is_empty() => {
                    let Ok(room) = room else {
                        tracing::error!("nobody is left to record messages; leaving the broker");
                        return Ended::Stopped;
                    };
                    let mut room = Some(room);
                    while let Some(room) = room.take().or_else(|| inbound.try_reserve().ok())
                        && let Some(next) = this.waiting.pop_front()
                    {
                        room.send(next);
                    }
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    if stopping {
                        tracing::warn!(
                            "stopped before every message was acknowledged; the broker will send \
                             the rest again"
                        );
                        return Ended::Stopped;
                    }
                    this.see_to_the_marker(known);
                }
                event = &mut poll, if this.waiting.len() < WAITING_MAX => break event,
            }
        };
        match event {
            Ok(Event::Outgoing(Outgoing::Disconnect))
                if matches!(this.phase, Phase::Leaving(_)) =>
            {
                tracing::info!("left the broker; it keeps what comes for the next start");
                return Ended::Stopped;
            }
            Ok(Event::Incoming(packet)) => {
                if let Err(trouble) = this.take(packet, known) {
                    return Ended::Lost(trouble);
                }
            }
            Ok(_) => {}
            Err(_) if this.stopping() => return Ended::Stopped,
            Err(error) => return Ended::Lost(error.into()),
        }
    }
}

fn build(settings: &BrokerSession) -> Result<(AsyncClient, EventLoop), rumqttc::ClientBuildError> {
    let mut options = settings.options(&settings.client_id);
    options.set_clean_start(false);
    options.set_session_expiry_interval(Some(u32::MAX));
    options.set_receive_maximum(Some(UNACKNOWLEDGED_MAX));
    options.set_ack_mode(AckMode::Manual);
    options.set_read_batch_size(1);
    options.set_outgoing_inflight_upper_limit(OUTGOING_MAX);
    options.set_session_store(NothingOutstanding { outgoing_inflight_max: OUTGOING_MAX });
    // Unbounded in form only: what it holds is acknowledgements, of which the broker allows
    // `UNACKNOWLEDGED_MAX`, and the handful of requests below. So nobody ever waits
    // for room in it, and an acknowledgement can be sent from anywhere.
    AsyncClient::builder(options).unbounded().try_build()
}

impl<'a> Connection<'a> {
    fn new(
        settings: &'a BrokerSession,
        client: AsyncClient,
        held: Option<mpsc::Sender<()>>,
    ) -> Self {
        Self {
            settings,
            client: Arc::new(client),
            phase: Phase::Connecting,
            kept: false,
            marker: Marker::Next(Instant::now()),
            sent: VecDeque::new(),
            unanswered: 0,
            marker_topic: settings.marker_topic(),
            waiting: VecDeque::new(),
            held,
        }
    }

    fn stopping(&self) -> bool {
        matches!(self.phase, Phase::Draining(_) | Phase::Confirming(_) | Phase::Leaving(_))
    }

    fn deadline(&self) -> Option<Instant> {
        match (&self.phase, &self.marker) {
            (Phase::Draining(until) | Phase::Confirming(until) | Phase::Leaving(until), _)
            | (Phase::Live, Marker::Next(until) | Marker::Out(until)) => Some(*until),
            _ => None,
        }
    }

    /// Hands nothing more on. False if there is nothing to wait for.
    fn stop(&mut self) -> bool {
        let nothing = matches!(self.phase, Phase::Connecting);
        self.phase = Phase::Draining(Instant::now() + Duration::from_secs(DRAIN_SECONDS_MAX));
        self.waiting.clear();
        self.held = None;
        !nothing
    }

    /// Every acknowledgement is on its way. A broker may drop what it has not read when the next
    /// connection takes over, so ask it for an answer before going: requests keep their order, and a
    /// subscription that exists already changes nothing.
    fn confirm(&mut self) {
        if let Phase::Draining(until) = self.phase {
            self.phase = Phase::Confirming(until);
            self.request(|client| {
                client.try_subscribe(self.marker_topic.clone(), QoS::AtLeastOnce)
            });
        }
    }

    fn leave(&mut self) {
        if let Phase::Confirming(until) = self.phase {
            self.phase = Phase::Leaving(until);
            self.request(AsyncClient::try_disconnect);
        }
    }

    /// Asks the event loop for something. It can only fail when the connection is at its end,
    /// which the next poll reports.
    fn request<E: fmt::Display>(&self, ask: impl FnOnce(&AsyncClient) -> Result<(), E>) {
        if let Err(error) = ask(&self.client) {
            tracing::debug!("a request to the broker was not queued: {error}");
        }
    }

    /// Sends the next marker, also if the last one has not come back: it may have been dropped.
    fn see_to_the_marker(&mut self, known: &mut Known) {
        if let Marker::Out(_) = self.marker {
            tracing::warn!(
                topic = self.marker_topic,
                "the marker has not come back after {BACKLOG_SECONDS_MAX} s, so old messages may \
                 still be on their way; if this repeats, check that the broker's access rules let \
                 this user write and read the topic, and that its queues have room"
            );
            self.waiting.push_back(Inbound::CaughtUp { as_of: None });
            if std::mem::take(&mut known.marker_refused) {
                // Somebody may have changed the rules when there is a next connection.
                self.marker = Marker::Refused;
                return;
            }
        }
        self.send_marker(known);
    }

    /// Asks the broker for everything that it has for the daemon: the marker comes back behind it.
    fn send_marker(&mut self, known: &Known) {
        // More would take the places of which acknowledgements must never wait for one.
        if !known.marker_refused && self.unanswered < OUTGOING_MAX / 2 {
            let id = Uuid::new_v4().to_string();
            self.request(|client| {
                let at_least_once = PublishOptions::at_least_once();
                client.try_publish(self.marker_topic.clone(), id.clone(), at_least_once)
            });
            self.unanswered += 1;
            self.sent.push_back(Sent { id, at: clock::now() });
            if self.sent.len() > MARKERS_MAX {
                self.sent.pop_front();
            }
        }
        self.marker = Marker::Out(Instant::now() + Duration::from_secs(BACKLOG_SECONDS_MAX));
    }

    /// The marker has come back: when it was sent.
    fn returned(&mut self, payload: &[u8]) -> Option<Wall> {
        let place = self.sent.iter().position(|sent| payload == sent.id.as_bytes())?;
        self.sent.drain(..=place).next_back().map(|sent| sent.at)
    }

    fn take(&mut self, packet: Packet, known: &mut Known) -> Result<(), Trouble> {
        match packet {
            Packet::ConnAck(connack) => self.connected(connack.session_present),
            Packet::SubAck(_) if self.stopping() => self.leave(),
            Packet::SubAck(suback) => self.subscribed(&suback.return_codes, known)?,
            Packet::PubAck(puback) => {
                self.unanswered = self.unanswered.saturating_sub(1);
                self.answered(puback.reason, known);
            }
            Packet::Publish(publish) if !self.stopping() => self.received(publish, known),
            _ => {}
        }
        Ok(())
    }

    fn answered(&self, reason: PubAckReason, known: &mut Known) {
        if matches!(reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers) {
            return;
        }
        tracing::error!(
            topic = self.marker_topic,
            "the broker refused the marker ({reason:?}), so nothing tells when its backlog has been \
             read; its access rules must let this user write and read the topic"
        );
        known.marker_refused = true;
    }

    fn connected(&mut self, session_present: bool) {
        self.kept = session_present;
        self.phase = Phase::Subscribing;
        let filters = self.filters();
        self.request(|client| {
            client.try_subscribe_many(
                filters.into_iter().map(|path| SubscribeFilter::new(path, QoS::AtLeastOnce)),
            )
        });
    }

    fn filters(&self) -> Vec<String> {
        INTAKE.iter().map(ToString::to_string).chain([self.marker_topic.clone()]).collect()
    }

    fn subscribed(
        &mut self,
        codes: &[SubscribeReasonCode],
        known: &mut Known,
    ) -> Result<(), Trouble> {
        // The answer to the subscription below: nobody has to have the broker's counters.
        if !matches!(self.phase, Phase::Subscribing) {
            return Ok(());
        }
        let refused = refused(&self.filters(), codes);
        if !refused.is_empty() {
            return Err(Trouble::NotAllowedToRead(refused));
        }
        let BrokerSession { host, port, client_id, .. } = self.settings;
        tracing::info!(host, port, client_id, "connected to the broker; reading what it has kept");
        known.hears = Hears::Backlog;
        known.reported = None;
        known.rivalry.connected();
        self.waiting.push_back(Inbound::Connected { kept: self.kept });
        self.request(|client| client.try_subscribe(BROKER_DROPPED, QoS::AtMostOnce));
        self.phase = Phase::Live;
        self.send_marker(known);
        Ok(())
    }

    fn received(&mut self, publish: Publish, known: &mut Known) {
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        if topic == self.marker_topic {
            self.request(|client| client.try_ack(&publish));
            if let Some(sent_at) = self.returned(&publish.payload) {
                if known.hears != Hears::Everything {
                    tracing::info!("has read everything that the broker had kept");
                }
                known.hears = Hears::Everything;
                self.waiting.push_back(Inbound::CaughtUp { as_of: Some(sent_at) });
                self.marker = Marker::Next(Instant::now() + MARKER_PAUSE);
            }
            return;
        }
        if topic == BROKER_DROPPED {
            known.drops(&publish.payload);
            return;
        }
        let ack = self.ack(&publish);
        self.waiting.push_back(Inbound::Message(Message {
            topic,
            payload: publish.payload.into(),
            received_at: clock::now(),
            retained: publish.retain,
            ack,
        }));
    }

    /// The acknowledgement of a message, good for this connection only.
    fn ack(&self, publish: &Publish) -> Ack {
        let Some(puback) = self.client.prepare_ack(publish) else {
            return Ack::new(|| {});
        };
        let client = Arc::clone(&self.client);
        let held = self.held.clone();
        Ack::new(move || {
            if client.try_manual_ack(puback).is_err() {
                tracing::debug!("too late to acknowledge; the broker sends the message again");
            }
            drop(held);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> BrokerSession {
        BrokerSession {
            host: "localhost".to_owned(),
            port: 1883,
            username: None,
            password: None,
            client_id: "c".to_owned(),
            instance: "i".to_owned(),
            tls: None,
        }
    }

    #[test]
    fn a_marker_says_up_to_when_everything_was_heard() {
        let settings = settings();
        let (client, _eventloop) = build(&settings).expect("valid options");
        let mut known = Known::default();
        let mut this = Connection::new(&settings, client, None);
        let marker = |content: &str| {
            let topic = settings.marker_topic();
            Publish::new(topic, QoS::AtLeastOnce, content.to_owned(), None)
        };
        this.phase = Phase::Subscribing;
        this.subscribed(&[SubscribeReasonCode::Success(QoS::AtLeastOnce); 4], &mut known)
            .unwrap_or_else(|trouble| panic!("{trouble}"));
        assert!(matches!(this.waiting.pop_front(), Some(Inbound::Connected { kept: false })));
        this.received(marker("of an earlier connection"), &mut known);
        assert!(this.waiting.is_empty(), "a stale marker");
        // It does not come for too long, so there is another; either may still come.
        let (first, sent) = (this.sent[0].id.clone(), this.sent[0].at);
        this.see_to_the_marker(&mut known);
        assert!(matches!(this.waiting.pop_front(), Some(Inbound::CaughtUp { as_of: None })));
        assert!(known.hears == Hears::Backlog, "the next trouble must not try again at once");
        let second = this.sent[1].id.clone();
        this.received(marker(&first), &mut known);
        assert!(
            matches!(this.waiting.pop_front(), Some(Inbound::CaughtUp { as_of: Some(at) }) if at == sent)
        );
        this.received(marker(&first), &mut known);
        assert!(this.waiting.is_empty(), "the same again");
        this.received(marker(&second), &mut known);
        assert!(matches!(this.waiting.pop_front(), Some(Inbound::CaughtUp { as_of: Some(_) })));
        assert!(matches!(this.marker, Marker::Next(_)));
    }

    #[test]
    fn markers_that_the_broker_drops_are_followed_by_others() {
        let settings = settings();
        let (client, _eventloop) = build(&settings).expect("valid options");
        let mut known = Known::default();
        let mut this = Connection::new(&settings, client, None);
        this.phase = Phase::Live;
        this.send_marker(&known);
        for _ in 0..100 {
            this.unanswered = 0;
            this.see_to_the_marker(&mut known);
            assert!(this.deadline().is_some(), "it is tried again");
        }
        assert_eq!(this.sent.len(), MARKERS_MAX);
        let last = this.sent.back().map(|sent| sent.id.clone()).unwrap_or_default();
        this.waiting.clear();
        let topic = settings.marker_topic();
        this.received(Publish::new(topic, QoS::AtLeastOnce, last, None), &mut known);
        assert!(matches!(this.waiting.pop_front(), Some(Inbound::CaughtUp { as_of: Some(_) })));
        // Of a broker that does not even answer, or does not take them, no more is asked.
        for _ in 0..100 {
            this.marker = Marker::Next(Instant::now());
            this.see_to_the_marker(&mut known);
        }
        assert!(this.unanswered < OUTGOING_MAX);
        known.marker_refused = true;
        this.see_to_the_marker(&mut known);
        assert!(this.deadline().is_none());
    }
}
