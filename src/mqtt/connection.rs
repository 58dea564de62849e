//! One connection of the session, from CONNECT to its first error.

use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;
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
/// Packets that the library takes before it reports them. What it took before the connection ended it
/// does not report at all, and a refusal of the marker comes right before Mosquitto closes.
const READ_BATCH: usize = 1;
/// Messages that wait for room in the writer's channel before this stops reading. Those with QoS 1
/// are never so many; this bounds those that publishers send with QoS 0.
const WAITING_MAX: usize = 2 * UNACKNOWLEDGED_MAX as usize;

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
    Out { id: String, sent_at: Wall, until: Instant },
    /// It has been on its way for too long; it may still come.
    Overdue { id: String, sent_at: Wall },
}

/// One connection's state beside its event loop.
struct Connection<'a> {
    settings: &'a BrokerSession,
    client: AsyncClient,
    phase: Phase,
    /// Whether the broker had kept the session.
    kept: bool,
    marker: Marker,
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
                    if let Some(next) = this.waiting.pop_front() {
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
    options.set_read_batch_size(READ_BATCH);
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
            client,
            phase: Phase::Connecting,
            kept: false,
            marker: Marker::Next(Instant::now()),
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
            | (Phase::Live, Marker::Next(until) | Marker::Out { until, .. }) => Some(*until),
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

    /// Sends the next marker, or gives up the one that has not come back.
    fn see_to_the_marker(&mut self, known: &mut Known) {
        match std::mem::replace(&mut self.marker, Marker::Next(Instant::now())) {
            Marker::Next(_) | Marker::Overdue { .. } => self.send_marker(known),
            Marker::Out { id, sent_at, .. } => {
                tracing::warn!(
                    topic = self.marker_topic,
                    "the marker has not come back after {BACKLOG_SECONDS_MAX} s, so old messages \
                     may still be on their way; if this repeats, check that the broker's access \
                     rules let this user write and read the topic"
                );
                self.marker = Marker::Overdue { id, sent_at };
                self.waiting.push_back(Inbound::CaughtUp { as_of: None });
                // Somebody may have changed the rules when there is a next connection.
                known.marker_refused = false;
            }
        }
    }

    /// Asks the broker for everything that it has for the daemon: the marker comes back behind it.
    fn send_marker(&mut self, known: &Known) {
        let id = Uuid::new_v4().to_string();
        let until = Instant::now() + Duration::from_secs(BACKLOG_SECONDS_MAX);
        if !known.marker_refused {
            self.request(|client| {
                let at_least_once = PublishOptions::at_least_once();
                client.try_publish(self.marker_topic.clone(), id.clone(), at_least_once)
            });
        }
        self.marker = Marker::Out { id, sent_at: clock::now(), until };
    }

    fn take(&mut self, packet: Packet, known: &mut Known) -> Result<(), Trouble> {
        match packet {
            Packet::ConnAck(connack) => self.connected(connack.session_present),
            Packet::SubAck(_) if self.stopping() => self.leave(),
            Packet::SubAck(suback) => self.subscribed(&suback.return_codes, known)?,
            Packet::PubAck(puback)
                if !matches!(
                    puback.reason,
                    PubAckReason::Success | PubAckReason::NoMatchingSubscribers
                ) =>
            {
                tracing::error!(
                    topic = self.marker_topic,
                    "the broker refused the marker ({:?}), so nothing tells when its backlog has \
                     been read; its access rules must let this user write and read the topic",
                    puback.reason
                );
                known.marker_refused = true;
            }
            Packet::Publish(publish) if !self.stopping() => self.received(publish, known),
            _ => {}
        }
        Ok(())
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
            match &self.marker {
                Marker::Out { id, sent_at, .. } | Marker::Overdue { id, sent_at }
                    if publish.payload == id.as_bytes() =>
                {
                    if known.hears != Hears::Everything {
                        tracing::info!("has read everything that the broker had kept");
                    }
                    known.hears = Hears::Everything;
                    self.waiting.push_back(Inbound::CaughtUp { as_of: Some(*sent_at) });
                    self.marker = Marker::Next(Instant::now() + MARKER_PAUSE);
                }
                _ => {}
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
        let client = self.client.clone();
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
        // It does not come for too long.
        this.see_to_the_marker(&mut known);
        assert!(matches!(this.waiting.pop_front(), Some(Inbound::CaughtUp { as_of: None })));
        assert!(known.hears == Hears::Backlog, "the next trouble must not try again at once");
        let Marker::Overdue { id, sent_at } = &this.marker else { panic!("it is overdue") };
        let (id, sent) = (id.clone(), *sent_at);
        this.received(marker(&id), &mut known);
        assert!(
            matches!(this.waiting.pop_front(), Some(Inbound::CaughtUp { as_of: Some(at) }) if at == sent)
        );
        this.received(marker(&id), &mut known);
        assert!(this.waiting.is_empty(), "the same again");
        assert!(matches!(this.marker, Marker::Next(_)));
    }
}
