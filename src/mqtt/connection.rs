//! One connection of a session, from CONNECT to its first error.
//!
//! A session that *hears* subscribes, and stays. One that *drains* a slot whose daemon is gone
//! unsubscribes instead, hands on what the broker still has for it and, when all of that has been
//! acknowledged, ends the session for good.

use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rumqttc::{
    AckMode, AsyncClient, DisconnectProperties, DisconnectReasonCode, Event, EventLoop, Outgoing,
    Packet, PubAckReason, Publish, PublishOptions, QoS, SubscribeFilter, SubscribeReasonCode,
    UnsubAckReason,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::marker::Markers;
use super::resume::NothingOutstanding;
use super::seat::{Pulse, Seat, Word};
use super::trouble::{Trouble, refused};
use super::{
    BACKLOG_SECONDS_MAX, BrokerSession, DRAIN_SECONDS_MAX, Hears, Known, UNACKNOWLEDGED_MAX,
    stopped,
};
use crate::clock;
use crate::message::{Ack, Came, Inbound, Message};
use crate::wire::topic::{BROKER_DROPPED, DEVICE_STATUS_FILTER};

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

/// How often the keeper of the slots is told that the broker answers.
const PULSE_EVERY: Duration = Duration::from_millis(50);
/// A broker that has said nothing for this long, although a marker is on its way, is asked something
/// that it answers at once, however much it has for the session.
const ASK_AFTER: Duration = Duration::from_millis(400);
/// The pause before it is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It hears, until the daemon stops.
    Hears,
    /// It takes what the broker has for the slot, and ends the session.
    Drains,
}

/// Why a connection ended.
pub(super) enum Ended {
    /// The daemon stops, or the writer is gone.
    Stopped,
    /// The broker has nothing for the session any more, and no session.
    Drained,
    /// It broke, or was refused.
    Lost(Trouble),
}

/// How far a connection has come.
enum Phase {
    Connecting,
    /// The broker has let it in, at that moment; it goes on when the slot is known to be ours.
    LetIn(Instant),
    /// Of a session that drains: nothing new is to come.
    Unsubscribing,
    Subscribing,
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
    seat: &'a mut Seat,
    role: Role,
    client: Arc<AsyncClient>,
    phase: Phase,
    /// Whether the broker had kept the session.
    kept: bool,
    /// Whether it has subscribed to how units are.
    hears_units: bool,
    markers: Markers,
    marker_topic: String,
    /// Everything that the broker had when the session began to drain has come.
    all_here: bool,
    /// Subscriptions that the broker has not answered.
    asked: u32,
    /// When it is asked something, to see whether it answers.
    ask_at: Instant,
    /// When the keeper of the slots was told that it answers.
    pulse_at: Option<Instant>,
    /// What waits for room in the writer's channel, in order.
    waiting: VecDeque<Inbound>,
    /// A clone goes with each acknowledgement: when all are gone, all were sent or dropped.
    held: Option<mpsc::Sender<()>>,
    /// Those that have not been sent.
    unsent: Arc<AtomicUsize>,
}

/// Connects, and stays connected as long as that goes well. The event loop is polled to the end of
/// each step, whatever else happens, and waits for nothing but the broker.
pub(super) async fn connection(
    settings: &BrokerSession,
    seat: &mut Seat,
    role: Role,
    inbound: &mpsc::Sender<Inbound>,
    shutdown: &mut watch::Receiver<bool>,
    known: &mut Known,
) -> Ended {
    let (client, mut eventloop) = match build(settings) {
        Ok(built) => built,
        Err(error) => return Ended::Lost(Trouble::Broken(error.to_string())),
    };
    let (held, mut acknowledgements) = mpsc::channel(1);
    let mut this = Connection::new(settings, seat, role, client, Some(held));
    loop {
        if known.hears == Hears::Everything {
            eventloop.options.set_read_batch_size(READ_BATCH);
        }
        let mut poll = pin!(eventloop.poll());
        let event = loop {
            this.see_whether_all_is_handed_on();
            let stopping = this.stopping();
            let deadline = this.deadline();
            let ask_at = this.ask_at;
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
                () = sleep_until(ask_at), if this.may_ask() => this.ask(),
                word = this.seat.next_word(), if !stopping => this.heed(word),
                event = &mut poll, if this.waiting.len() < WAITING_MAX => break event,
            }
        };
        match event {
            Ok(Event::Outgoing(Outgoing::Disconnect))
                if matches!(this.phase, Phase::Leaving(_)) =>
            {
                return this.left();
            }
            Ok(Event::Incoming(packet)) => {
                this.answers();
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
        seat: &'a mut Seat,
        role: Role,
        client: AsyncClient,
        held: Option<mpsc::Sender<()>>,
    ) -> Self {
        Self {
            settings,
            seat,
            role,
            client: Arc::new(client),
            phase: Phase::Connecting,
            kept: false,
            hears_units: false,
            markers: Markers::new(OUTGOING_MAX / 2),
            marker_topic: settings.marker_topic(),
            all_here: false,
            asked: 0,
            ask_at: Instant::now(),
            pulse_at: None,
            waiting: VecDeque::new(),
            held,
            unsent: Arc::default(),
        }
    }

    fn stopping(&self) -> bool {
        matches!(self.phase, Phase::Draining(_) | Phase::Confirming(_) | Phase::Leaving(_))
    }

    fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Draining(until) | Phase::Confirming(until) | Phase::Leaving(until) => {
                Some(until)
            }
            Phase::Live => self.markers.at(),
            _ => None,
        }
    }

    /// Hands nothing more on. False if there is nothing to wait for.
    fn stop(&mut self) -> bool {
        let nothing = matches!(self.phase, Phase::Connecting | Phase::LetIn(_));
        self.all_here = false;
        self.waiting.clear();
        self.drain();
        !nothing
    }

    fn drain(&mut self) {
        self.phase = Phase::Draining(Instant::now() + Duration::from_secs(DRAIN_SECONDS_MAX));
        self.held = None;
    }

    fn see_whether_all_is_handed_on(&mut self) {
        if self.all_here && self.waiting.is_empty() && matches!(self.phase, Phase::Live) {
            self.drain();
        }
    }

    /// Every acknowledgement is on its way. A broker may drop what it has not read when the next
    /// connection takes over, so ask it for an answer before going: requests keep their order, and a
    /// subscription that exists already changes nothing.
    fn confirm(&mut self) {
        if let Phase::Draining(until) = self.phase {
            self.phase = Phase::Confirming(until);
            self.subscribe(vec![self.marker_topic.clone()]);
        }
    }

    fn leave(&mut self) {
        if let Phase::Confirming(until) = self.phase {
            self.phase = Phase::Leaving(until);
            if self.is_drained() {
                self.end_session();
            } else {
                self.request(AsyncClient::try_disconnect);
            }
        }
    }

    /// Whether nothing is left for which the broker has to keep the session.
    fn is_drained(&self) -> bool {
        self.role == Role::Drains && self.all_here && self.unsent.load(Ordering::Acquire) == 0
    }

    /// Leaves, and the broker forgets the session.
    fn end_session(&self) {
        let properties = DisconnectProperties {
            session_expiry_interval: Some(0),
            reason_string: None,
            user_properties: Vec::new(),
            server_reference: None,
        };
        let reason = DisconnectReasonCode::NormalDisconnection;
        self.request(|client| client.try_disconnect_with_properties(reason, properties));
    }

    fn left(&self) -> Ended {
        if self.is_drained() {
            return Ended::Drained;
        }
        tracing::info!("left the broker; it keeps what comes for the next start");
        Ended::Stopped
    }

    /// Asks the event loop for something. It can only fail when the connection is at its end,
    /// which the next poll reports.
    fn request<E: fmt::Display>(&self, ask: impl FnOnce(&AsyncClient) -> Result<(), E>) {
        if let Err(error) = ask(&self.client) {
            tracing::debug!("a request to the broker was not queued: {error}");
        }
    }

    fn subscribe(&mut self, filters: Vec<String>) {
        self.asked += 1;
        self.request(|client| {
            client.try_subscribe_many(
                filters.into_iter().map(|path| SubscribeFilter::new(path, QoS::AtLeastOnce)),
            )
        });
    }

    /// The broker has said something, whatever it is.
    fn answers(&mut self) {
        let now = Instant::now();
        self.ask_at = now + ASK_AFTER;
        if self.pulse_at.is_none_or(|at| now - at >= PULSE_EVERY) {
            self.pulse_at = Some(now);
            self.seat.say(|pulse| pulse.answered_at = Some(now));
        }
    }

    fn may_ask(&self) -> bool {
        self.seat.line.is_some() && matches!(self.phase, Phase::Live)
    }

    /// Asks for an answer that no queue holds up.
    fn ask(&mut self) {
        self.ask_at = Instant::now() + ASK_AGAIN_AFTER;
        self.subscribe(vec![self.marker_topic.clone()]);
    }

    /// Sends the next marker, also if the last one has not come back: it may have been dropped.
    fn see_to_the_marker(&mut self, known: &mut Known) {
        if self.markers.is_late() {
            tracing::warn!(
                topic = self.marker_topic,
                "the marker has not come back after {BACKLOG_SECONDS_MAX} s, so old messages may \
                 still be on their way; if this repeats, check that the broker's access rules let \
                 this user write and read the topic, and that its queues have room"
            );
            self.tell(Inbound::CaughtUp { slot: self.seat.slot, as_of: None });
            if std::mem::take(&mut known.marker_refused) && self.role == Role::Hears {
                // Somebody may have changed the rules when there is a next connection.
                self.markers.give_up();
                return;
            }
        }
        self.send_marker(known);
    }

    /// Asks the broker for everything that it has for the session: the marker comes back behind it.
    fn send_marker(&mut self, known: &Known) {
        if known.marker_refused {
            self.markers.wait();
        } else if let Some(id) = self.markers.send() {
            self.request(|client| {
                let at_least_once = PublishOptions::at_least_once();
                client.try_publish(self.marker_topic.clone(), id, at_least_once)
            });
        }
    }

    /// Tells the writer how far the daemon hears, which is for the session that hears to say.
    fn tell(&mut self, inbound: Inbound) {
        if self.role == Role::Hears {
            self.waiting.push_back(inbound);
        }
    }

    fn take(&mut self, packet: Packet, known: &mut Known) -> Result<(), Trouble> {
        match packet {
            Packet::ConnAck(connack) => self.let_in(connack.session_present),
            Packet::UnsubAck(unsuback) => self.unsubscribed(&unsuback.reasons)?,
            Packet::SubAck(suback) => {
                self.asked = self.asked.saturating_sub(1);
                if !self.stopping() {
                    self.subscribed(&suback.return_codes, known)?;
                } else if self.asked == 0 {
                    self.leave();
                }
            }
            Packet::PubAck(puback) => {
                self.markers.answered();
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

    fn let_in(&mut self, session_present: bool) {
        self.kept = session_present;
        if self.seat.line.is_none() {
            self.begin();
            return;
        }
        self.phase = Phase::LetIn(self.seat.ask(|pulse| pulse.connected = true));
    }

    fn heed(&mut self, word: Word) {
        match self.phase {
            Phase::LetIn(since) if word.held_at > since => {
                self.hears_units = word.hears_units;
                self.begin();
            }
            Phase::Live if self.role == Role::Hears && word.hears_units && !self.hears_units => {
                self.hears_units = true;
                if self.seat.group.is_some() {
                    self.subscribe(vec![
                        DEVICE_STATUS_FILTER.to_owned(),
                        self.marker_topic.clone(),
                    ]);
                }
            }
            _ => {}
        }
    }

    /// The slot is ours, and the broker has let us in.
    fn begin(&mut self) {
        if self.role == Role::Hears {
            self.phase = Phase::Subscribing;
            self.subscribe(self.filters());
        } else if self.kept {
            self.phase = Phase::Unsubscribing;
            let filters = self.seat.intake(true);
            self.request(|client| client.try_unsubscribe_many(filters));
        } else {
            // It was made by this connection, and nothing is in it.
            self.all_here = true;
            let until = Instant::now() + Duration::from_secs(DRAIN_SECONDS_MAX);
            self.phase = Phase::Confirming(until);
            self.leave();
        }
    }

    fn filters(&self) -> Vec<String> {
        let intake = match self.role {
            Role::Hears => self.seat.intake(self.hears_units),
            Role::Drains => Vec::new(),
        };
        intake.into_iter().chain([self.marker_topic.clone()]).collect()
    }

    fn unsubscribed(&mut self, reasons: &[UnsubAckReason]) -> Result<(), Trouble> {
        if !matches!(self.phase, Phase::Unsubscribing) {
            return Ok(());
        }
        let ended = |reason: &UnsubAckReason| {
            matches!(reason, UnsubAckReason::Success | UnsubAckReason::NoSubscriptionExisted)
        };
        if !reasons.iter().all(ended) {
            let why = format!("the broker does not end the subscriptions ({reasons:?})");
            return Err(Trouble::Broken(why));
        }
        self.phase = Phase::Subscribing;
        self.subscribe(self.filters());
        Ok(())
    }

    fn subscribed(
        &mut self,
        codes: &[SubscribeReasonCode],
        known: &mut Known,
    ) -> Result<(), Trouble> {
        let filters = match self.phase {
            Phase::Subscribing => self.filters(),
            // How units are, with the marker. Of what else is asked for one by one nobody has to have
            // anything: the broker's counters, and the marker once more.
            Phase::Live if codes.len() > 1 => vec![DEVICE_STATUS_FILTER.to_owned()],
            _ => return Ok(()),
        };
        let refused = refused(&filters, codes);
        if !refused.is_empty() {
            return Err(Trouble::NotAllowedToRead(refused));
        }
        if !matches!(self.phase, Phase::Subscribing) {
            return Ok(());
        }
        self.phase = Phase::Live;
        let BrokerSession { host, port, client_id, .. } = self.settings;
        match self.role {
            Role::Hears => {
                tracing::info!(
                    host,
                    port,
                    client_id,
                    "connected to the broker; reading what it has kept"
                );
                known.hears = Hears::Backlog;
                known.reported = None;
                known.rivalry.connected();
                self.seat.say(|pulse| pulse.subscribed = true);
                self.tell(Inbound::Connected { slot: self.seat.slot, kept: self.kept });
                self.asked += 1;
                self.request(|client| client.try_subscribe(BROKER_DROPPED, QoS::AtMostOnce));
            }
            Role::Drains => {
                tracing::info!(client_id, "reading what the broker has for a slot that nobody has");
            }
        }
        self.send_marker(known);
        Ok(())
    }

    fn received(&mut self, publish: Publish, known: &mut Known) {
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        if topic == self.marker_topic {
            self.request(|client| client.try_ack(&publish));
            if let Some(sent_at) = self.markers.returned(&publish.payload) {
                if self.role == Role::Drains {
                    self.all_here = true;
                    return;
                }
                if known.hears != Hears::Everything {
                    tracing::info!("has read everything that the broker had kept");
                }
                known.hears = Hears::Everything;
                self.tell(Inbound::CaughtUp { slot: self.seat.slot, as_of: Some(sent_at) });
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
            came: if publish.retain { Came::Retained } else { Came::Said },
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
        let unsent = Arc::clone(&self.unsent);
        unsent.fetch_add(1, Ordering::Release);
        Ack::new(move || {
            if client.try_manual_ack(puback).is_err() {
                tracing::debug!("too late to acknowledge; the broker sends the message again");
            } else {
                unsent.fetch_sub(1, Ordering::Release);
            }
            drop(held);
        })
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.seat.say(|pulse| *pulse = Pulse::default());
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
        let mut seat = Seat::alone();
        let mut this = Connection::new(&settings, &mut seat, Role::Hears, client, None);
        let marker = |content: &str| {
            let topic = settings.marker_topic();
            Publish::new(topic, QoS::AtLeastOnce, content.to_owned(), None)
        };
        this.phase = Phase::Subscribing;
        this.subscribed(&[SubscribeReasonCode::Success(QoS::AtLeastOnce); 4], &mut known)
            .unwrap_or_else(|trouble| panic!("{trouble}"));
        assert!(matches!(this.waiting.pop_front(), Some(Inbound::Connected { kept: false, .. })));
        this.received(marker("of an earlier connection"), &mut known);
        assert!(this.waiting.is_empty(), "a stale marker");
        // It does not come for too long, so there is another; either may still come.
        let (first, sent) = this.markers.last_sent().expect("one is on its way");
        this.see_to_the_marker(&mut known);
        assert!(matches!(this.waiting.pop_front(), Some(Inbound::CaughtUp { as_of: None, .. })));
        assert!(known.hears == Hears::Backlog, "the next trouble must not try again at once");
        let (second, _) = this.markers.last_sent().expect("another");
        this.received(marker(&first), &mut known);
        let caught_up = this.waiting.pop_front();
        assert!(matches!(caught_up, Some(Inbound::CaughtUp { as_of: Some(at), .. }) if at == sent));
        this.received(marker(&first), &mut known);
        assert!(this.waiting.is_empty(), "the same again");
        this.received(marker(&second), &mut known);
        let caught_up = this.waiting.pop_front();
        assert!(matches!(caught_up, Some(Inbound::CaughtUp { as_of: Some(_), .. })));
        known.marker_refused = true;
        this.markers.wait();
        this.see_to_the_marker(&mut known);
        assert!(this.deadline().is_none(), "a broker that takes none is asked for none");
    }
}
