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
    BACKLOG_SECONDS_MAX, BrokerSession, DRAIN_SECONDS_MAX, Hears, INTAKE, Known,
    UNACKNOWLEDGED_MAX, stopped,
};
use crate::clock;
use crate::message::{Ack, Inbound, Message};

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
    /// The marker is on its way, and is waited for until then.
    CatchingUp(Instant),
    Live,
    /// Nothing more is handed on; acknowledgements still go out, until then.
    Draining(Instant),
    /// They have gone out, and behind them something that the broker answers.
    Confirming(Instant),
    /// It has answered, so it has read them. The DISCONNECT is on its way.
    Leaving(Instant),
}

/// One connection's state beside its event loop.
struct Connection<'a> {
    settings: &'a BrokerSession,
    client: AsyncClient,
    phase: Phase,
    marker: String,
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
                    this.give_up_on_the_marker();
                    // Somebody may have changed the rules when there is a next connection.
                    known.marker_refused = false;
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
            marker: Uuid::new_v4().to_string(),
            marker_topic: settings.marker_topic(),
            waiting: VecDeque::new(),
            held,
        }
    }

    fn stopping(&self) -> bool {
        matches!(self.phase, Phase::Draining(_) | Phase::Confirming(_) | Phase::Leaving(_))
    }

    fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::CatchingUp(until)
            | Phase::Draining(until)
            | Phase::Confirming(until)
            | Phase::Leaving(until) => Some(until),
            Phase::Connecting | Phase::Subscribing | Phase::Live => None,
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

    fn give_up_on_the_marker(&mut self) {
        tracing::warn!(
            topic = self.marker_topic,
            "the marker has not come back after {BACKLOG_SECONDS_MAX} s, so old messages may still \
             be on their way; if this repeats, check that the broker's access rules let this user \
             write and read the topic"
        );
        self.phase = Phase::Live;
        self.waiting.push_back(Inbound::CaughtUp);
    }

    fn take(&mut self, packet: Packet, known: &mut Known) -> Result<(), Trouble> {
        match packet {
            Packet::ConnAck(connack) => self.connected(connack.session_present, known),
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

    fn connected(&mut self, session_present: bool, known: &mut Known) {
        if known.had_session && !session_present {
            tracing::warn!(
                "the broker has forgotten the session, and with it what it kept while the daemon \
                 was away; make its sessions persistent and without expiry"
            );
        }
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
        let refused = refused(&self.filters(), codes);
        if !refused.is_empty() {
            return Err(Trouble::NotAllowedToRead(refused));
        }
        if !matches!(self.phase, Phase::Subscribing) {
            return Ok(());
        }
        let BrokerSession { host, port, client_id, .. } = self.settings;
        tracing::info!(host, port, client_id, "connected to the broker; reading what it has kept");
        known.had_session = true;
        known.hears = Hears::Backlog;
        known.reported = None;
        let until = Instant::now() + Duration::from_secs(BACKLOG_SECONDS_MAX);
        self.phase = Phase::CatchingUp(until);
        if known.marker_refused {
            return Ok(());
        }
        self.request(|client| {
            client.try_publish(
                self.marker_topic.clone(),
                self.marker.clone(),
                PublishOptions::at_least_once(),
            )
        });
        Ok(())
    }

    fn received(&mut self, publish: Publish, known: &mut Known) {
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        if topic == self.marker_topic {
            self.request(|client| client.try_ack(&publish));
            let mine = publish.payload == self.marker.as_bytes();
            if mine && matches!(self.phase, Phase::CatchingUp(_)) {
                tracing::info!("has read everything that the broker had kept");
                known.hears = Hears::Everything;
                self.phase = Phase::Live;
                self.waiting.push_back(Inbound::CaughtUp);
            }
            return;
        }
        let ack = self.ack(&publish);
        self.waiting.push_back(Inbound::Message(Message {
            topic,
            payload: publish.payload.into(),
            received_at: clock::now(),
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
    fn a_marker_that_comes_after_it_was_given_up_says_nothing_again() {
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
        this.received(marker("of an earlier connection"), &mut known);
        assert!(this.waiting.is_empty(), "a stale marker");
        this.give_up_on_the_marker();
        let own = this.marker.clone();
        this.received(marker(&own), &mut known);
        assert!(matches!(this.waiting.make_contiguous(), [Inbound::CaughtUp]));
        assert!(known.hears == Hears::Backlog, "the next trouble must not try again at once");
    }
}
