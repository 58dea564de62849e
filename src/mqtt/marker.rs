//! The markers of a connection: how it knows up to when it has been handed everything.
//!
//! A marker is a message that the session sends to itself, one at a time. The broker hands it back
//! behind everything that it had for the session when it was sent.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::{BACKLOG_SECONDS_MAX, MARKER_PAUSE};
use crate::clock::{self, Moment};

/// Markers that are known to be on their way; an older one that comes says nothing.
const MARKERS_MAX: usize = 16;

/// What is to happen next.
enum Next {
    /// One is sent at that instant.
    Send(Instant),
    /// One is on its way, and is waited for until then.
    Wait(Instant),
    /// The broker does not take any.
    Refused,
}

/// A marker that has not come back, and when it was sent.
struct Sent {
    id: String,
    at: Moment,
}

/// The markers of one connection.
pub(super) struct Markers {
    next: Next,
    /// Those that may still come, oldest first: a broker whose queue is full drops some.
    sent: VecDeque<Sent>,
    /// How many the broker has not even acknowledged.
    unanswered: u16,
    /// The most that it may leave so: more would take the places of which acknowledgements must never
    /// wait for one.
    unanswered_max: u16,
}

impl Markers {
    pub(super) fn new(unanswered_max: u16) -> Self {
        Self {
            next: Next::Send(Instant::now()),
            sent: VecDeque::new(),
            unanswered: 0,
            unanswered_max,
        }
    }

    /// When something is to happen, if anything is.
    pub(super) fn at(&self) -> Option<Instant> {
        match self.next {
            Next::Send(at) | Next::Wait(at) => Some(at),
            Next::Refused => None,
        }
    }

    /// Whether one is on its way, and has not come in time.
    pub(super) fn is_late(&self) -> bool {
        matches!(self.next, Next::Wait(_))
    }

    /// The broker takes none: no more is sent.
    pub(super) fn give_up(&mut self) {
        self.next = Next::Refused;
    }

    /// The content of one that is sent now; none if the broker has too many to answer. Either way one
    /// is waited for.
    pub(super) fn send(&mut self) -> Option<String> {
        let id = (self.unanswered < self.unanswered_max).then(|| Uuid::new_v4().to_string());
        if let Some(id) = &id {
            self.unanswered += 1;
            self.sent.push_back(Sent { id: id.clone(), at: clock::moment() });
            if self.sent.len() > MARKERS_MAX {
                self.sent.pop_front();
            }
        }
        self.wait();
        id
    }

    /// Waits without sending.
    pub(super) fn wait(&mut self) {
        self.next = Next::Wait(Instant::now() + Duration::from_secs(BACKLOG_SECONDS_MAX));
    }

    /// The broker has answered to one.
    pub(super) fn answered(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
    }

    /// One has come back, perhaps: when it was sent.
    pub(super) fn returned(&mut self, payload: &[u8]) -> Option<Moment> {
        let place = self.sent.iter().position(|sent| payload == sent.id.as_bytes())?;
        let returned = self.sent.drain(..=place).next_back().map(|sent| sent.at);
        self.next = Next::Send(Instant::now() + MARKER_PAUSE);
        returned
    }
}

#[cfg(test)]
impl Markers {
    /// The marker that was sent last, if it has not come back.
    pub(super) fn last_sent(&self) -> Option<(String, Moment)> {
        self.sent.back().map(|sent| (sent.id.clone(), sent.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_that_the_broker_drops_are_followed_by_others() {
        let mut markers = Markers::new(4);
        let mut last = String::new();
        for _ in 0..100 {
            last = markers.send().expect("it answers");
            markers.answered();
            assert!(markers.at().is_some() && markers.is_late(), "it is tried again");
        }
        assert_eq!(markers.sent.len(), MARKERS_MAX);
        assert!(markers.returned(last.as_bytes()).is_some());
        assert!(markers.sent.is_empty() && !markers.is_late());
        assert!(markers.returned(last.as_bytes()).is_none(), "the same again");
    }

    #[test]
    fn of_a_broker_that_answers_nothing_no_more_is_asked() {
        let mut markers = Markers::new(4);
        assert_eq!((0..100).filter(|_| markers.send().is_some()).count(), 4);
        markers.give_up();
        assert!(markers.at().is_none());
    }
}
