//! Follows what the broker connections and the clock tell about whether the daemon hears (R25).
//!
//! It hears when the broker's backlog has been read, and not any more when the session is lost, when
//! the database has failed, the daemon was held up or the machine's clock was stepped: messages may
//! have waited meanwhile. These end when the broker has answered once more.
//! While it hears, deadlines are looked at only up to the instant up to which it has heard all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::Instant as Tick;
use tracing::{info, warn};

use crate::domain::alert::Sight;
use crate::domain::instant::Instant;
use crate::domain::refs::ContractId;
use crate::health::Health;
use crate::sight::Sights;

/// A clock that goes wrong by more than this was stepped.
pub const STEP_MIN: TimeDelta = TimeDelta::minutes(2);
/// A daemon that did nothing for longer than this was held up.
pub const HELD_UP_MIN: TimeDelta = TimeDelta::seconds(5);

/// What the daemon hears, and how it comes to know.
pub struct Hearing {
    /// What it hears now.
    pub sights: Sights,
    /// How the daemon is, as it is told to others.
    pub health: Arc<Health>,
    /// How long those who have something to say may take after a broker that keeps nothing is there.
    grace: Duration,
    /// When it will hear, if nothing comes between.
    hears_from: Option<Tick>,
    /// What was heard before then may not be all.
    doubted_at: Option<Instant>,
    /// The clocks, when they were looked at last.
    clocks: (Tick, Instant),
}

impl Hearing {
    /// Hears nothing yet. `heard` says when a phone of each contract was heard last.
    #[must_use]
    pub fn starting(
        grace: Duration,
        health: Arc<Health>,
        now: Instant,
        heard: BTreeMap<ContractId, Instant>,
    ) -> Self {
        Self {
            sights: Sights::starting(now, heard),
            health,
            grace,
            hears_from: None,
            doubted_at: None,
            clocks: (Tick::now(), now),
        }
    }

    /// Everything up to then has been heard; or as good as everything, if nobody can say.
    pub fn caught_up(&mut self, as_of: Option<Instant>) {
        let could_tell = self.sights.up_to().is_some();
        self.sights.heard_up_to(as_of);
        if self.doubted_at.is_some_and(|at| as_of.is_some_and(|as_of| as_of <= at)) {
            return;
        }
        self.doubted_at = None;
        if matches!(self.sights.broker(), Sight::Blind) {
            let grace = if as_of.is_none() { self.grace } else { Duration::ZERO };
            self.health.hears(true);
            self.hears_from.get_or_insert(Tick::now() + grace);
        } else if could_tell && as_of.is_none() {
            // What has waited for a marker is told, but nobody knows whether it is so.
            self.sights.hear_broker(self.clocks.1);
        }
    }

    /// The session with the broker is lost.
    pub fn lost(&mut self, now: Instant) {
        let heard_at = self.sights.up_to().map_or(now, |up_to| up_to.min(now));
        self.sights.heard_up_to(None);
        (self.hears_from, self.doubted_at) = (None, None);
        self.health.hears(false);
        if self.sights.lose_broker(heard_at) {
            warn!("no session with the broker: deadlines are held");
        }
    }

    /// What has been heard so far may not be all: the daemon itself was held up. The next marker
    /// tells, or, without any, a pause.
    pub fn doubt(&mut self, now: Instant) {
        if self.sights.lose_broker(now) {
            self.doubted_at = Some(now);
            if self.sights.up_to().is_none() {
                self.caught_up(None);
            }
        } else if self.hears_from.is_some() && self.sights.up_to().is_none() {
            self.hears_from = Some(Tick::now() + self.grace);
        }
    }

    /// The latest deadline that may be looked at: everything that came before it has been heard.
    #[must_use]
    pub fn up_to(&self, heard: Instant) -> Instant {
        self.sights.up_to().map_or(heard, |up_to| up_to.min(heard))
    }

    /// Whether it begins to hear now.
    pub fn begins(&mut self, now: Instant) -> bool {
        let begins = self.hears_from.is_some_and(|at| at <= Tick::now());
        if begins {
            self.hears_from = None;
            self.sights.hear_broker(now);
            info!("the broker's backlog has been read: deadlines are watched");
        }
        begins
    }

    /// Compares the clocks with what they were: a machine that slept, a process that was held up and
    /// a clock that was stepped have in common that messages may wait outside. Returns by how much the
    /// clock was stepped, if it was.
    pub fn follow_clock(&mut self, now: Instant) -> Option<TimeDelta> {
        let tick = Tick::now();
        let (before, then) = std::mem::replace(&mut self.clocks, (tick, now));
        let passed = TimeDelta::from_std(tick - before).unwrap_or(TimeDelta::MAX);
        let step = (now - then).checked_sub(&passed).unwrap_or(TimeDelta::MAX);
        if step.abs() > STEP_MIN {
            warn!(
                seconds = step.num_seconds(),
                "the machine's clock was stepped, or the machine slept: deadlines are held until \
                 the broker has answered; if the clock is wrong, see to its time service"
            );
            self.sights.step(step);
            self.doubted_at = self.doubted_at.and_then(|at| at.checked_add_signed(step));
            self.doubt(now);
            return Some(step);
        } else if passed <= HELD_UP_MIN {
            return None;
        } else if matches!(self.sights.broker(), Sight::Seeing { .. }) {
            let seconds = passed.num_seconds();
            warn!(seconds, "the daemon was held up: deadlines wait until the broker has answered");
        }
        self.doubt(now);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn seconds(count: i64) -> TimeDelta {
        TimeDelta::seconds(count)
    }

    fn hearing(grace: Duration, as_of: Option<Instant>) -> (Hearing, Instant) {
        let now = clock::now();
        let mut hearing =
            Hearing::starting(grace, Arc::new(Health::default()), now, BTreeMap::new());
        hearing.caught_up(as_of.map(|_| now));
        assert!(hearing.begins(now) || !grace.is_zero());
        (hearing, now)
    }

    fn hears(hearing: &Hearing) -> bool {
        matches!(hearing.sights.broker(), Sight::Seeing { .. })
    }

    #[test]
    fn it_hears_when_the_backlog_was_read_and_up_to_the_last_marker() {
        let (mut hearing, t) = hearing(Duration::ZERO, Some(clock::now()));
        assert!(hears(&hearing) && hearing.health.report().hears);
        assert_eq!(hearing.up_to(t + seconds(5)), t, "no marker has come since");
        hearing.caught_up(Some(t + seconds(4)));
        assert_eq!(hearing.up_to(t + seconds(5)), t + seconds(4));
        hearing.caught_up(None);
        assert_eq!(hearing.up_to(t + seconds(5)), t + seconds(5), "nobody can tell");
        hearing.caught_up(Some(t + seconds(6)));
        hearing.lost(t + seconds(30));
        assert!(!hears(&hearing) && !hearing.health.report().hears);
        let due_at = hearing.sights.blindness(&"a".parse().unwrap()).map(|found| found.due_at);
        assert_eq!(due_at, Some(t + seconds(66)), "60 s after it was heard last");
    }

    #[test]
    fn what_has_waited_for_a_marker_in_vain_is_unconfirmed() {
        let (mut hearing, t) = hearing(Duration::ZERO, Some(clock::now()));
        let later = t + seconds(60);
        hearing.clocks.1 = later;
        hearing.caught_up(None);
        assert_eq!(hearing.up_to(later), later, "it is told");
        assert_eq!(hearing.sights.broker(), Sight::Seeing { since: later }, "unconfirmed");
        hearing.clocks.1 = t + seconds(120);
        hearing.caught_up(None);
        assert_eq!(hearing.sights.broker(), Sight::Seeing { since: later });
    }

    #[test]
    fn a_doubt_ends_with_a_marker_that_was_sent_after_it() {
        let (mut hearing, t) = hearing(Duration::ZERO, Some(clock::now()));
        hearing.doubt(t + seconds(10));
        hearing.caught_up(Some(t + seconds(9)));
        assert!(!hearing.begins(t + seconds(10)) && !hears(&hearing), "sent before");
        hearing.caught_up(Some(t + seconds(11)));
        assert!(hearing.begins(t + seconds(11)) && hears(&hearing));
    }

    #[test]
    fn without_markers_a_doubt_ends_after_a_while() {
        let (mut hearing, t) = hearing(Duration::from_hours(1), None);
        hearing.hears_from = Some(Tick::now());
        assert!(hearing.begins(t));
        hearing.doubt(t);
        assert!(!hears(&hearing) && !hearing.begins(t), "not at once");
        assert!(hearing.hears_from.is_some_and(|at| at > Tick::now()));
    }

    #[test]
    fn a_doubt_is_stepped_with_the_clock() {
        let (mut hearing, t) = hearing(Duration::ZERO, Some(clock::now()));
        hearing.doubt(t);
        let back = t - seconds(3600);
        assert_eq!(hearing.follow_clock(back).map(|step| step.num_seconds()), Some(-3600));
        hearing.caught_up(Some(back + seconds(1)));
        assert!(hearing.begins(back + seconds(1)), "it ends at once, and not in an hour");
    }

    #[test]
    fn a_stepped_clock_and_a_daemon_that_was_held_up_are_doubts() {
        for (step, held_up, doubted) in
            [(119, 0, false), (121, 0, true), (-121, 0, true), (0, 4, false), (0, 6, true)]
        {
            let (mut hearing, t) = hearing(Duration::ZERO, Some(clock::now()));
            hearing.clocks = (Tick::now() - Duration::from_secs(held_up), t);
            let held_up = i64::try_from(held_up).unwrap();
            hearing.follow_clock(t + seconds(held_up + step));
            assert_eq!(hears(&hearing), !doubted, "{step} s, held up {held_up} s");
        }
    }
}
