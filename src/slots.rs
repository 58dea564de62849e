//! The slots of a fleet: several daemons on one database, each with a numbered session at one broker.
//!
//! A slot is a session that the broker keeps, and a row in the database which says whose it is. The
//! [`keeper`] takes one for this daemon, beats in its row while the daemon works, and adopts the slots
//! of daemons that do not. What several tasks have to know of that is here: up to when the others have
//! heard everything, for a deadline waits for all of them (R25), and up to when this one has.
//!
//! Instants in the rows are by the database's clock, so those of the daemons need not agree to the
//! millisecond.

pub mod keeper;
pub mod observer;
pub mod post;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::Notify;
use tokio::time::Instant as Tick;

use crate::clock::Moment;
use crate::domain::instant::Instant;
use crate::mqtt::SlotNumber;
use crate::sight::Fleet;

/// Who hears again after so short a break has missed nothing: the broker kept it, and no deadline was
/// looked at meanwhile.
const BREAK_MAX: TimeDelta = TimeDelta::seconds(5);
/// A writer that has not turned for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// What the keeper of the slots and the other tasks of the daemon tell each other.
#[derive(Debug, Default)]
pub struct Slots {
    state: Mutex<State>,
    /// Rung when the daemon's own slot has heard more.
    news: Notify,
}

/// The database's clock, as it was when it answered last.
#[derive(Debug, Clone, Copy)]
struct DatabaseClock {
    said: Instant,
    /// When its answer was here: it had said so before.
    by: Tick,
}

impl DatabaseClock {
    /// What it shows at that moment, or a little less.
    fn at(self, tick: Tick) -> Instant {
        let ahead = TimeDelta::from_std(tick.saturating_duration_since(self.by));
        let behind = TimeDelta::from_std(self.by.saturating_duration_since(tick));
        self.said + ahead.unwrap_or_default() - behind.unwrap_or_default()
    }
}

/// The slot of this daemon.
#[derive(Debug, Clone, Copy)]
struct Own {
    number: SlotNumber,
    /// Up to when everything that the broker had for it is committed.
    heard_to: Option<Instant>,
    /// What was due before then is unconfirmed.
    sure_from: Instant,
}

/// What is known of the slots that are not this daemon's own.
#[derive(Debug, Clone, Copy, Default)]
struct Others {
    /// Up to when each of them has heard everything; none if there are no others.
    heard_to: Option<Instant>,
    /// What was due before then is unconfirmed.
    sure_from: Instant,
    /// Whether any of them works.
    work: bool,
}

#[derive(Debug, Default)]
struct State {
    /// Whether daemons may share.
    shares: bool,
    clock: Option<DatabaseClock>,
    own: Option<Own>,
    others: Others,
    writer_turned_at: Option<Tick>,
}

impl Slots {
    /// Those of a daemon that may share with others, or does not.
    #[must_use]
    pub fn new(shares: bool) -> Self {
        let state = State { shares, ..State::default() };
        Self { state: Mutex::new(state), news: Notify::new() }
    }

    /// The slot of this daemon, if it has one; 0 where nobody keeps any.
    #[must_use]
    pub fn own(&self) -> Option<SlotNumber> {
        self.state().own.map(|own| own.number)
    }

    /// What the other daemons have heard, if there can be others.
    #[must_use]
    pub fn fleet(&self) -> Option<Fleet> {
        let state = self.state();
        let own = state.own.map_or(Instant::MIN_UTC, |own| own.sure_from);
        let since = state.shares.then(|| own.max(state.others.sure_from));
        let up_to = state.others.heard_to;
        (state.shares || up_to.is_some()).then_some(Fleet {
            up_to,
            since,
            works: state.others.work,
        })
    }

    /// Everything that the broker had for the slot by then is committed; none: nobody can say, and it
    /// is not waited for any longer. `was_blind`: there was a break.
    pub fn heard(&self, slot: SlotNumber, as_of: Option<Moment>, was_blind: bool) {
        let mut state = self.state();
        let Some(clock) = state.clock else { return };
        let Some(own) = state.own.as_mut().filter(|own| own.number == slot) else { return };
        let now = clock.at(Tick::now());
        let heard_to = as_of.map_or(now, |as_of| clock.at(as_of.tick));
        let before = own.heard_to.unwrap_or(heard_to);
        if as_of.is_none() || (was_blind && heard_to - before > BREAK_MAX) {
            own.sure_from = now;
        }
        own.heard_to = Some(before.max(heard_to));
        drop(state);
        self.news.notify_one();
    }

    /// The writer works.
    pub fn writer_turns(&self) {
        self.state().writer_turned_at = Some(Tick::now());
    }

    fn writer_works(&self) -> bool {
        self.state().writer_turned_at.is_some_and(|at| at.elapsed() < STUCK_AFTER)
    }

    /// What the lock guards is whole after each statement.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// One who shares, and has heard everything in slot 3 up to so many seconds ago.
    fn slots(heard_before: u64) -> (Slots, Moment) {
        let slots = Slots::new(true);
        let now = clock::moment();
        let ago = |seconds| now.at - TimeDelta::seconds(i64::try_from(seconds).unwrap());
        {
            let mut state = slots.state();
            state.clock = Some(DatabaseClock { said: now.at, by: now.tick });
            let sure_from = ago(1_000);
            state.own = Some(Own { number: 3, heard_to: Some(ago(heard_before)), sure_from });
        }
        (slots, now)
    }

    fn own(slots: &Slots) -> Own {
        slots.state().own.unwrap()
    }

    #[test]
    fn what_is_heard_is_told_by_the_databases_clock() {
        let (slots, now) = slots(1);
        slots.state().clock =
            Some(DatabaseClock { said: now.at + TimeDelta::hours(1), by: now.tick });
        let earlier = now.tick.checked_sub(Duration::from_millis(300)).unwrap();
        slots.heard(3, Some(Moment { tick: earlier, ..now }), false);
        let heard_to = now.at + TimeDelta::hours(1) - TimeDelta::milliseconds(300);
        assert_eq!(own(&slots).heard_to, Some(heard_to));
        slots.heard(3, Some(Moment { tick: earlier - Duration::from_secs(9), ..now }), false);
        assert_eq!(own(&slots).heard_to, Some(heard_to), "it only grows");
        slots.heard(4, Some(now), false);
        assert_eq!(own(&slots).heard_to, Some(heard_to), "that is another's");
    }

    #[test]
    fn after_a_long_break_what_was_due_is_unconfirmed() {
        for (heard_before, was_blind, unconfirmed) in
            [(4, true, false), (6, true, true), (600, false, false)]
        {
            let (slots, now) = slots(heard_before);
            slots.heard(3, Some(now), was_blind);
            assert_eq!(own(&slots).sure_from >= now.at, unconfirmed, "{heard_before} s");
        }
        let (slots, now) = slots(1);
        slots.heard(3, None, false);
        assert!(own(&slots).sure_from >= now.at, "nobody can say");
    }

    #[test]
    fn a_deadline_waits_for_all_and_is_as_sure_as_the_least_sure() {
        let alone = Slots::new(false);
        assert_eq!(alone.fleet(), None);
        let (slots, now) = slots(1);
        let since = Some(own(&slots).sure_from);
        assert_eq!(slots.fleet(), Some(Fleet { up_to: None, since, works: false }));
        let others = Others { heard_to: Some(now.at), sure_from: now.at, work: true };
        slots.state().others = others;
        let (up_to, since) = (Some(now.at), Some(now.at));
        assert_eq!(slots.fleet(), Some(Fleet { up_to, since, works: true }));
        // What is left of a fleet is waited for by one who shares no more.
        alone.state().others = others;
        assert_eq!(alone.fleet(), Some(Fleet { up_to, since: None, works: true }));
    }
}
