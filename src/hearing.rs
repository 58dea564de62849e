//! Follows what the broker connections and the clock tell about whether the daemon hears (R25).
//!
//! It hears when the broker's backlog has been read, and not any more when the session is lost, when
//! the database has failed (messages have waited meanwhile), or when the machine's clock was stepped
//! or stood still (so did the daemon). The last two end when the broker has answered once more.
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

/// What the daemon hears, and how it comes to know.
pub struct Hearing {
    /// What it hears now.
    pub sights: Sights,
    health: Arc<Health>,
    /// How long those who have something to say may take after a broker that keeps nothing is there.
    grace: Duration,
    /// When it will hear, if nothing comes between.
    hears_from: Option<Tick>,
    /// The session says up to when everything was heard, and this is what it said last.
    up_to: Option<Instant>,
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
            up_to: None,
            doubted_at: None,
            clocks: (Tick::now(), now),
        }
    }

    /// Everything up to then has been heard; or as good as everything, if nobody can say.
    pub fn caught_up(&mut self, as_of: Option<Instant>) {
        self.up_to = as_of;
        if self.doubted_at.is_some_and(|at| as_of.is_some_and(|as_of| as_of <= at)) {
            return;
        }
        self.doubted_at = None;
        if matches!(self.sights.broker(), Sight::Blind) {
            let grace = if as_of.is_none() { self.grace } else { Duration::ZERO };
            self.hears_from.get_or_insert(Tick::now() + grace);
        }
    }

    /// The session with the broker is lost.
    pub fn lost(&mut self, now: Instant) {
        let heard_at = self.up_to.take().map_or(now, |up_to| up_to.min(now));
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
            if self.up_to.is_none() {
                self.caught_up(None);
            }
        } else if self.hears_from.is_some() && self.up_to.is_none() {
            self.hears_from = Some(Tick::now() + self.grace);
        }
    }

    /// The latest deadline that may be looked at: everything that came before it has been heard.
    #[must_use]
    pub fn up_to(&self, heard: Instant) -> Instant {
        self.up_to.map_or(heard, |up_to| up_to.min(heard))
    }

    /// Whether it begins to hear now.
    pub fn begins(&mut self, now: Instant) -> bool {
        let begins = self.hears_from.is_some_and(|at| at <= Tick::now());
        if begins {
            self.hears_from = None;
            self.health.hears(true);
            self.sights.hear_broker(now);
            info!("the broker's backlog has been read: deadlines are watched");
        }
        begins
    }

    /// Compares the clocks with what they were.
    pub fn follow_clock(&mut self, now: Instant) {
        let tick = Tick::now();
        let (before, then) = std::mem::replace(&mut self.clocks, (tick, now));
        let passed = TimeDelta::from_std(tick - before).unwrap_or(TimeDelta::MAX);
        let step = (now - then).checked_sub(&passed).unwrap_or(TimeDelta::MAX);
        if step.abs() <= STEP_MIN {
            return;
        }
        warn!(
            seconds = step.num_seconds(),
            "the machine's clock was stepped, or the machine stood still: deadlines are held until \
             the broker has answered; if the clock is wrong, see to its time service"
        );
        self.sights.step(step);
        self.up_to = self.up_to.and_then(|up_to| up_to.checked_add_signed(step));
        self.doubt(now);
    }
}
