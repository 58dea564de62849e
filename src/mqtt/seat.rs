//! Which slot a session is for, and what it and the keeper of the slots tell each other.
//!
//! Several daemons share what phones and units say: each has a *slot*, a numbered session at the
//! broker. A session connects and subscribes only after the keeper has made sure that the slot is
//! still this daemon's, so that two daemons never fight about one.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::time::Instant as Tick;

use super::INTAKE;
use crate::wire::topic::{DEVICE_STATUS_FILTER, EVENT_FILTERS};

/// The number of a slot. 0 is that of a daemon which shares with nobody.
pub type SlotNumber = u32;

/// What the keeper of the slots says to a session.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    /// The slot was this daemon's at that moment.
    pub held_at: Tick,
    /// This session hears how units are; the others do not. What a unit says is in order only if one
    /// session hears all of it.
    pub hears_units: bool,
}

/// What a session says to the keeper of the slots.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pulse {
    /// When the session has asked for a word last; it waits for a later one.
    pub asked_at: Option<Tick>,
    /// The broker has let it in.
    pub connected: bool,
    /// It has subscribed.
    pub subscribed: bool,
    /// When anything came from the broker last.
    pub answered_at: Option<Tick>,
}

/// A session's part in the fleet.
pub struct Seat {
    /// Its slot.
    pub slot: SlotNumber,
    /// The group that shares what phones and units say, if it is shared.
    pub group: Option<String>,
    /// The line to the keeper of the slots, if anybody keeps them.
    pub line: Option<Line>,
}

/// A session's end of the line to the keeper.
pub struct Line {
    /// What the keeper has said last.
    pub word: watch::Receiver<Word>,
    /// What the session says.
    pub pulse: watch::Sender<Pulse>,
    /// Rung when it asks.
    pub bell: Arc<Notify>,
}

impl Seat {
    /// The seat of a daemon that shares with nobody.
    #[must_use]
    pub fn alone() -> Self {
        Self { slot: 0, group: None, line: None }
    }

    /// What the session subscribes to, beside its marker.
    pub(super) fn intake(&self, hears_units: bool) -> Vec<String> {
        match &self.group {
            None => INTAKE.map(str::to_owned).to_vec(),
            Some(group) => {
                let shared = EVENT_FILTERS.map(|filter| format!("$share/{group}/{filter}"));
                let units = hears_units.then(|| DEVICE_STATUS_FILTER.to_owned());
                shared.into_iter().chain(units).collect()
            }
        }
    }

    /// Says something to the keeper.
    pub(super) fn say(&self, change: impl FnOnce(&mut Pulse)) {
        if let Some(line) = &self.line {
            line.pulse.send_modify(change);
        }
    }

    /// What the keeper says next; never, if nobody keeps the slots or the keeper has gone: then the
    /// daemon stops.
    pub(super) async fn next_word(&mut self) -> Word {
        if let Some(line) = &mut self.line
            && line.word.changed().await.is_ok()
        {
            return *line.word.borrow_and_update();
        }
        std::future::pending().await
    }

    /// Returns when it is sure that the slot is still this daemon's.
    pub(super) async fn is_ours(&mut self) {
        if self.line.is_none() {
            return;
        }
        let asked_at = self.ask(|_| {});
        while self.next_word().await.held_at <= asked_at {}
    }

    /// Says something, and asks for a word that is later than now.
    pub(super) fn ask(&self, change: impl FnOnce(&mut Pulse)) -> Tick {
        let now = Tick::now();
        self.say(|pulse| {
            change(pulse);
            pulse.asked_at = Some(now);
        });
        if let Some(line) = &self.line {
            line.bell.notify_one();
        }
        now
    }
}
