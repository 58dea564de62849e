//! The writer: the one task that changes the database while the daemon runs.
//!
//! Takes messages in batches, each one transaction, and acknowledges them when it has committed, in
//! the order of their receipt, and never before (R7). Between batches it looks at deadlines, draws
//! the consequences of imports and clears the outbox. When the database fails, the same batch is
//! tried again: nothing is acknowledged, and what waits behind it is bounded by the channel.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant as Tick, sleep, timeout_at};
use tracing::{error, info, warn};

use crate::apply;
use crate::clock;
use crate::config::Contracts;
use crate::domain::alert::Sight;
use crate::ingest::{self, Tally};
use crate::message::{Inbound, Message};
use crate::publish::Outcome;
use crate::senders;
use crate::store::{Store, StoreError, outbox};
use crate::watch::{self, LOOK_EVERY, PlanWatch};

/// Most messages of one transaction.
pub const BATCH_MAX: usize = 500;
/// How long a message waits that the broker refused to publish.
const REFUSED_FOR: TimeDelta = TimeDelta::seconds(30);
/// The longest pause before a batch is tried again that the database refused.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How often at most the log speaks of messages that could not be used.
const SAY_REJECTED_EVERY: Duration = Duration::from_secs(10);
/// How often the database may refuse while the daemon stops, before it gives up; what was not
/// acknowledged comes again.
const STOP_TRIES_MAX: u32 = 3;

/// What the writer and the deliverer share about the outbox.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Rung when there may be something new.
    pub news: Notify,
    in_hand: Mutex<HashSet<i64>>,
}

impl Outbox {
    /// The messages that have been handed to the publisher and are still in the database.
    pub fn in_hand(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer, with what it works on.
pub struct Writer {
    store: Store,
    contracts: Arc<Contracts>,
    outbox: Arc<Outbox>,
    plan_watch: PlanWatch,
    sight: Sight,
    /// How long after a broker has caught up the daemon begins to see.
    grace: Duration,
    sees_from: Option<Tick>,
    look_at: Tick,
    /// Messages that could not be used and of which the log has not spoken yet.
    rejected: u64,
    say_rejected_at: Tick,
}

/// What is to be done in one transaction.
#[derive(Default)]
struct Work {
    messages: Vec<Message>,
    outcomes: Vec<Outcome>,
    look: bool,
}

impl Writer {
    /// A writer that is blind until `grace` after a broker says that it has caught up (R25).
    #[must_use]
    pub fn new(
        store: Store,
        contracts: Arc<Contracts>,
        outbox: Arc<Outbox>,
        grace: Duration,
    ) -> Self {
        Self {
            store,
            contracts,
            outbox,
            plan_watch: PlanWatch::default(),
            sight: Sight::Blind,
            grace,
            sees_from: None,
            look_at: Tick::now(),
            rejected: 0,
            say_rejected_at: Tick::now(),
        }
    }

    /// Works until the brokers hand on no more, says so by `drained`, and goes on until the publisher
    /// has reported its last.
    pub async fn run(
        mut self,
        mut inbound: mpsc::Receiver<Inbound>,
        mut outcomes: mpsc::Receiver<Outcome>,
        drained: oneshot::Sender<()>,
    ) {
        let mut buffer = Vec::with_capacity(BATCH_MAX);
        let mut open = true;
        while open {
            let received = timeout_at(self.look_at, inbound.recv_many(&mut buffer, BATCH_MAX));
            open = !matches!(received.await, Ok(0));
            let mut work = Work::default();
            while let Ok(outcome) = outcomes.try_recv() {
                work.outcomes.push(outcome);
                if work.outcomes.len() >= BATCH_MAX {
                    break;
                }
            }
            work.look = Tick::now() >= self.look_at;
            for inbound in buffer.drain(..) {
                match inbound {
                    Inbound::Message(message) => work.messages.push(message),
                    Inbound::CaughtUp => {
                        self.sees_from = Some(Tick::now() + self.grace);
                    }
                    Inbound::Lost => {
                        self.commit(std::mem::take(&mut work), open).await;
                        if !matches!(self.sight, Sight::Blind) {
                            warn!("no session with the broker: deadlines are held");
                        }
                        (self.sight, self.sees_from) = (Sight::Blind, None);
                    }
                }
            }
            self.commit(work, open).await;
            if self.sees_from.is_some_and(|at| at <= Tick::now()) {
                self.sees_from = None;
                self.sight = Sight::Seeing { since: clock::now() };
                self.look_at = Tick::now();
                info!("the broker's backlog has been read: deadlines are watched");
            }
        }
        let _ = drained.send(());
        self.clear(&mut outcomes).await;
    }

    /// Removes from the outbox what the publisher reports until it has stopped.
    async fn clear(&mut self, outcomes: &mut mpsc::Receiver<Outcome>) {
        let mut buffer = Vec::new();
        while outcomes.recv_many(&mut buffer, BATCH_MAX).await > 0 {
            let work = Work { outcomes: std::mem::take(&mut buffer), ..Work::default() };
            self.commit(work, false).await;
        }
    }

    /// Does the work in one transaction, however often that takes; then acknowledges.
    async fn commit(&mut self, work: Work, open: bool) {
        if work.messages.is_empty() && work.outcomes.is_empty() && !work.look {
            return;
        }
        let mut pause = Duration::from_millis(100);
        let mut tries = 0;
        loop {
            match self.transact(&work).await {
                Ok((tally, more)) => {
                    self.committed(work, tally, more);
                    return;
                }
                Err(failed) => {
                    tries += 1;
                    error!(
                        waiting = work.messages.len(),
                        "nothing is acknowledged until this works: {failed}"
                    );
                    if !open && tries >= STOP_TRIES_MAX {
                        return;
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
    }

    async fn transact(&mut self, work: &Work) -> Result<(Tally, bool), StoreError> {
        let mut tx = self.store.write().await?;
        let mut more = false;
        let now = clock::now();
        let tally = ingest::record(&mut tx, &self.contracts, &work.messages, self.sight).await?;
        if work.look {
            more |= watch::client_nights(&mut tx, &self.contracts, now, self.sight).await?;
            senders::watch(&mut tx, &self.contracts, now, self.sight).await?;
            if self.plan_watch.is_due(&self.contracts, now) {
                self.plan_watch.look(&mut tx, &self.contracts, now).await?;
            }
            more |= apply::step(&mut tx, &self.contracts, now).await?;
        }
        let mut published = Vec::new();
        for outcome in &work.outcomes {
            match outcome {
                Outcome::Published(id) => published.push(*id),
                Outcome::Refused(id, why) => {
                    if outbox::put_off(&mut tx, *id, now + REFUSED_FOR, now).await? {
                        warn!("the broker refused a message, which is tried again in 30 s: {why}");
                    } else {
                        error!("the broker refused a message for a day, it is given up: {why}");
                    }
                }
            }
        }
        if !published.is_empty() {
            outbox::remove(&mut tx, &published).await?;
        }
        tx.commit().await?;
        Ok((tally, more))
    }

    fn committed(&mut self, work: Work, tally: Tally, more: bool) {
        for message in work.messages {
            message.ack.send();
        }
        {
            let mut in_hand = self.outbox.in_hand();
            for outcome in work.outcomes {
                let (Outcome::Published(id) | Outcome::Refused(id, _)) = outcome;
                in_hand.remove(&id);
            }
        }
        self.outbox.news.notify_one();
        if work.look {
            self.look_at = if more { Tick::now() } else { Tick::now() + LOOK_EVERY };
        }
        self.rejected += tally.rejected;
        if self.rejected > 0 && Tick::now() >= self.say_rejected_at {
            warn!(rejected = self.rejected, "messages could not be used; they are kept");
            (self.rejected, self.say_rejected_at) = (0, Tick::now() + SAY_REJECTED_EVERY);
        }
    }
}
