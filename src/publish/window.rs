//! What is on its way to the broker, in order, and what became of it.
//!
//! The library gives packet identifiers in the order of its requests and tells each when it sends
//! it; the PUBACK that bears it then answers that message and no other.

use std::collections::VecDeque;
use std::time::Duration;

use rumqttc::{AsyncClient, ClientError, ConnAck, PubAck, PubAckReason, PublishOptions};
use tokio::sync::mpsc::{self, Permit};
use tokio::time::Instant;

use super::{ANSWER_SECONDS_MAX, IN_FLIGHT_MAX, Outcome, Outgoing};

/// The most that an MQTT 5 PUBLISH adds to its topic and payload: type and length, the length of
/// the topic, the packet identifier, and the length of the properties.
const HEADER_BYTES_MAX: usize = 10;

/// Connections in a row that answer nothing before the first message is held to be the cause, and
/// goes behind the others. (Some brokers answer a message that they do not allow by closing the
/// connection.) It is not given up: the broker may be at fault in another way.
const FRUITLESS_MAX: u32 = 3;

/// What the broker takes.
#[derive(Debug, Clone, Copy, Default)]
struct Limits {
    packet_bytes_max: Option<u32>,
    retains_nothing: bool,
}

impl Limits {
    fn of(connack: &ConnAck) -> Self {
        let properties = connack.properties.as_ref();
        Self {
            packet_bytes_max: properties.and_then(|given| given.max_packet_size),
            retains_nothing: properties.and_then(|given| given.retain_available) == Some(0),
        }
    }

    /// Why the broker would not take this. The library breaks the connection over such a message,
    /// at every attempt.
    fn refusal(self, message: &Outgoing) -> Option<String> {
        let bytes = message.topic.len() + message.payload.len() + HEADER_BYTES_MAX;
        if let Some(max) = self.packet_bytes_max
            && u32::try_from(bytes).is_ok_and(|bytes| bytes > max)
        {
            return Some(format!("larger than the {max} bytes that the broker takes"));
        }
        (message.retain && self.retains_nothing).then(|| "the broker retains nothing".to_owned())
    }
}

/// A message that was given to the library.
struct Entry {
    /// Its identifier, once it is sent.
    packet: Option<u16>,
    message: Source,
}

impl Entry {
    fn taken(self) -> Option<Outgoing> {
        match self.message {
            Source::Taken(message) => Some(message),
            Source::State => None,
        }
    }
}

/// Whose message it is.
enum Source {
    /// The daemon's own state: nobody waits for the outcome, and it is never sent again.
    State,
    /// Somebody's, who waits for the outcome.
    Taken(Outgoing),
}

/// The messages that have no outcome yet, and the outcomes that have not been reported.
#[derive(Default)]
pub(super) struct Window {
    entries: VecDeque<Entry>,
    /// How many of them are sent: the first ones, for requests keep their order.
    sent: usize,
    /// What the connection before had left and this one has not been given yet.
    again: VecDeque<Outgoing>,
    /// Whether this one has still to answer what that one had left.
    catching_up: bool,
    /// Since when the broker has left unanswered whatever is on its way.
    asked_at: Option<Instant>,
    outcomes: VecDeque<Outcome>,
    limits: Limits,
    /// Whether the present connection has answered any message.
    answered: bool,
    /// How many connections in a row were given messages and answered none.
    fruitless: u32,
}

impl Window {
    /// How many wait for an outcome.
    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.again.len()
    }

    /// When the broker should have answered something, if anything is on its way.
    pub(super) fn answer_by(&self) -> Instant {
        let asked_at = self.asked_at.unwrap_or_else(Instant::now);
        asked_at + Duration::from_secs(ANSWER_SECONDS_MAX)
    }

    fn push(&mut self, message: Source) {
        if self.entries.is_empty() {
            self.asked_at = Some(Instant::now());
        }
        self.entries.push_back(Entry { packet: None, message });
    }

    pub(super) fn has_room(&self) -> bool {
        self.again.is_empty()
            && self.entries.len() + self.outcomes.len() < usize::from(IN_FLIGHT_MAX)
    }

    pub(super) fn has_outcomes(&self) -> bool {
        !self.outcomes.is_empty()
    }

    /// Whether everything has an outcome, and every outcome is reported.
    pub(super) fn is_done(&self) -> bool {
        self.len() == 0 && self.outcomes.is_empty()
    }

    /// Reports outcomes, the oldest first: one for which there is room, and as many more.
    pub(super) fn report(&mut self, room: Permit<'_, Outcome>, to: &mpsc::Sender<Outcome>) {
        let mut room = Some(room);
        while let Some(room) = room.take().or_else(|| to.try_reserve().ok())
            && let Some(outcome) = self.outcomes.pop_front()
        {
            room.send(outcome);
        }
    }

    /// Begins a connection: says the daemon's state, then again all that has no outcome, one after the
    /// other's answer. A broker that ends the connection while it has something unread takes back the
    /// answer that it gave before.
    pub(super) fn begin(
        &mut self,
        connack: &ConnAck,
        status_topic: &str,
        state: &str,
        client: &AsyncClient,
    ) {
        self.limits = Limits::of(connack);
        self.fruitless = if self.is_fruitless() { self.fruitless + 1 } else { 0 };
        self.answered = false;
        self.sent = 0;
        let given = self.entries.drain(..).filter_map(Entry::taken);
        let mut again: VecDeque<_> = given.chain(self.again.drain(..)).collect();
        if self.fruitless >= FRUITLESS_MAX && again.len() > 1 {
            tracing::error!(
                id = ?again[0].id,
                "the broker ends the connection again and again when it is sent this message; the \
                 others go first"
            );
            again.rotate_left(1);
        }
        (self.again, self.catching_up) = (again, true);
        self.say(status_topic, state, client);
        self.go_on(client);
    }

    /// Gives the next that the connection before had left, when everything is answered.
    fn go_on(&mut self, client: &AsyncClient) {
        while self.entries.is_empty() {
            let Some(message) = self.again.pop_front() else {
                self.catching_up = false;
                return;
            };
            self.take(message, client);
        }
    }

    /// Whether the present connection has answered all that the one before had left.
    pub(super) fn has_caught_up(&self) -> bool {
        !self.catching_up
    }

    /// Whether the connection was given messages and has answered none.
    pub(super) fn is_fruitless(&self) -> bool {
        !self.answered && self.entries.iter().any(|entry| matches!(entry.message, Source::Taken(_)))
    }

    /// Says the daemon's state, if the broker keeps such things.
    pub(super) fn say(&mut self, topic: &str, state: &str, client: &AsyncClient) {
        if self.limits.retains_nothing {
            tracing::warn!("the broker retains nothing, so nobody can see whether the daemon runs");
            return;
        }
        let options = PublishOptions::at_least_once().retained();
        match client.try_publish(topic, state, options) {
            Ok(()) => self.push(Source::State),
            Err(error) => tracing::error!(topic, "cannot publish the daemon's state: {error}"),
        }
    }

    /// Gives a message to the library, and what else waits, as far as there is room.
    pub(super) fn take_all(
        &mut self,
        first: Outgoing,
        others: &mut mpsc::Receiver<Outgoing>,
        client: &AsyncClient,
    ) {
        self.take(first, client);
        while self.has_room()
            && let Ok(next) = others.try_recv()
        {
            self.take(next, client);
        }
    }

    /// Gives a message to the library.
    pub(super) fn take(&mut self, message: Outgoing, client: &AsyncClient) {
        let options = PublishOptions::at_least_once().retain(message.retain);
        let refusal = self.limits.refusal(&message).or_else(|| {
            match client.try_publish(message.topic.as_str(), message.payload.clone(), options) {
                Err(ClientError::InvalidRequest(_)) => {
                    Some("not a topic that can be published to".to_owned())
                }
                // The rest is the end of the connection, after which it is given again.
                _ => None,
            }
        });
        match refusal {
            Some(reason) => self.outcomes.push_back(Outcome::Refused(message.id, reason)),
            None => self.push(Source::Taken(message)),
        }
    }

    /// The library has sent the next, under this identifier.
    pub(super) fn sent(&mut self, packet: u16) {
        if let Some(entry) = self.entries.get_mut(self.sent) {
            entry.packet = Some(packet);
            self.sent += 1;
        }
    }

    /// The broker has answered.
    pub(super) fn answered(&mut self, puback: &PubAck, client: &AsyncClient) {
        self.asked_at = Some(Instant::now());
        let answered = |entry: &Entry| entry.packet == Some(puback.pkid);
        let Some(entry) =
            self.entries.iter().position(answered).and_then(|at| self.entries.remove(at))
        else {
            return;
        };
        self.sent -= 1;
        let accepted =
            matches!(puback.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
        self.answered |= matches!(entry.message, Source::Taken(_));
        match entry.message {
            Source::Taken(message) if accepted => {
                self.outcomes.push_back(Outcome::Published(message.id));
            }
            Source::Taken(message) => {
                self.outcomes.push_back(Outcome::Refused(message.id, refused(puback)));
            }
            Source::State if accepted => {}
            Source::State => tracing::error!(
                "the broker refused the daemon's state: {}; its access rules must let this user \
                 write nightrun/v1/daemon/+/status",
                refused(puback)
            ),
        }
        self.go_on(client);
    }
}

/// The broker's reason, in its own words if it has any.
fn refused(puback: &PubAck) -> String {
    let said = puback.properties.as_ref().and_then(|given| given.reason_string.as_deref());
    match said {
        Some(said) => format!("the broker answered {:?}: {said}", puback.reason),
        None => format!("the broker answered {:?}", puback.reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::MqttOptions;

    fn message(id: usize, bytes: usize) -> Outgoing {
        Outgoing { id: (1, id), topic: "t".to_owned(), payload: vec![b'x'; bytes], retain: true }
    }

    fn client() -> (AsyncClient, rumqttc::EventLoop) {
        AsyncClient::builder(MqttOptions::new("c", "localhost")).unbounded().build()
    }

    #[test]
    fn a_message_that_would_break_the_connection_is_refused_and_the_others_are_not() {
        let (client, _eventloop) = client();
        let limits = Limits { packet_bytes_max: Some(100), retains_nothing: false };
        let mut window = Window { limits, ..Window::default() };
        window.take(message(1, 89), &client);
        window.take(message(2, 90), &client);
        assert_eq!(window.len(), 1);
        let reason = "larger than the 100 bytes that the broker takes".to_owned();
        assert_eq!(window.outcomes, [Outcome::Refused((1, 2), reason)]);
    }

    #[test]
    fn a_broker_that_retains_nothing_refuses_only_what_is_to_be_retained() {
        let (client, _eventloop) = client();
        let limits = Limits { packet_bytes_max: None, retains_nothing: true };
        let mut window = Window { limits, ..Window::default() };
        window.take(message(1, 5), &client);
        window.take(Outgoing { retain: false, ..message(2, 5) }, &client);
        assert_eq!(window.len(), 1);
        let reason = "the broker retains nothing".to_owned();
        assert_eq!(window.outcomes, [Outcome::Refused((1, 1), reason)]);
    }

    #[test]
    fn each_answer_finds_its_message_in_whatever_order_they_come() {
        let (client, _eventloop) = client();
        let mut window = Window::default();
        for id in 1..=3 {
            window.take(message(id, 5), &client);
        }
        for packet in [7, 8, 9] {
            window.sent(packet);
        }
        let answer = |packet, reason| PubAck { pkid: packet, reason, properties: None };
        window.answered(&answer(8, PubAckReason::NoMatchingSubscribers), &client);
        window.answered(&answer(9, PubAckReason::NotAuthorized), &client);
        window.answered(&answer(7, PubAckReason::Success), &client);
        window.answered(&answer(7, PubAckReason::Success), &client);
        let reason = "the broker answered NotAuthorized".to_owned();
        assert_eq!(
            window.outcomes,
            [
                Outcome::Published((1, 2)),
                Outcome::Refused((1, 3), reason),
                Outcome::Published((1, 1)),
            ]
        );
        window.take(message(4, 5), &client);
        window.sent(10);
        window.answered(&answer(10, PubAckReason::Success), &client);
        assert_eq!(window.outcomes.back(), Some(&Outcome::Published((1, 4))));
        assert_eq!(window.len(), 0);
    }

    #[test]
    fn a_message_that_ends_every_connection_goes_behind_the_others_after_the_third() {
        let (client, _eventloop) = client();
        let connack = ConnAck {
            session_present: false,
            code: rumqttc::ConnectReturnCode::Success,
            properties: None,
        };
        let mut window = Window::default();
        for id in 1..=3 {
            window.take(message(id, 5), &client);
        }
        let order = |window: &Window| {
            let given = window.entries.iter().filter_map(|entry| match &entry.message {
                Source::Taken(message) => Some(message.id.1),
                Source::State => None,
            });
            given.chain(window.again.iter().map(|message| message.id.1)).collect::<Vec<_>>()
        };
        let accepted =
            |packet| PubAck { pkid: packet, reason: PubAckReason::Success, properties: None };
        for expected in [[1, 2, 3], [1, 2, 3], [2, 3, 1]] {
            window.begin(&connack, "s", "{}", &client);
            assert_eq!(order(&window), expected);
            assert!(!window.has_caught_up() && !window.has_room());
            window.sent(1);
            window.answered(&accepted(1), &client);
            assert_eq!(window.entries.len(), 1, "the state is said, and the first of them is next");
        }
        window.sent(2);
        window.answered(&accepted(2), &client);
        window.begin(&connack, "s", "{}", &client);
        assert_eq!(order(&window), [3, 1]);
        assert_eq!(window.fruitless, 0);
        for packet in 1..=3 {
            window.sent(packet);
            window.answered(&accepted(packet), &client);
        }
        assert!(window.has_caught_up() && window.has_room() && window.len() == 0);
    }
}
