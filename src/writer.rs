//! The writer: the one task that changes the database while the daemon runs.
//!
//! Takes messages in batches, each one transaction, and acknowledges them when it has committed, in
//! the order of their receipt, and never before (R7). Between batches it looks at deadlines and draws
//! the consequences of imports. When the database fails, the same batch is tried again: nothing is
//! acknowledged, and what waits behind it is bounded by the channel. Each batch has a mark, by which
//! it is known whether it was committed when the answer to the commit was lost.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant as Tick, sleep, timeout, timeout_at};
use tracing::{debug, error, info, warn};

use crate::apply;
use crate::blindness::BlindWatch;
use crate::clock;
use crate::config::Contracts;
use crate::domain::alert::Sight;
use crate::domain::instant::Instant;
use crate::hearing::Hearing;
use crate::ingest::{self, Tally};
use crate::message::{Inbound, Message};
use crate::metrics::Metrics;
use crate::publish::Outcome;
use crate::senders;
use crate::sight::Sights;
use crate::slots::Slots;
use crate::slots::keeper::name_of;
use crate::store::alerts::Raised;
use crate::store::hold::Whole;
use crate::store::outbox::ToPublish;
use crate::store::{Db, Store, StoreError, daemons, outbox};
use crate::watch::{self, LOOK_EVERY, PlanWatch};

/// Most messages of one transaction.
pub const BATCH_MAX: usize = 500;
/// How long a message waits that the broker refused to publish.
const REFUSED_FOR: TimeDelta = TimeDelta::seconds(30);
/// The longest pause before a batch is tried again that the database refused.
const RETRY_MAX: Duration = Duration::from_millis(500);
/// How often at most a transaction is done again at once because another daemon was there first.
const COLLISIONS_MAX: u32 = 20;
/// A transaction that takes longer has failed: the database does not answer any more.
const TRANSACTION_MAX: Duration = Duration::from_secs(30);
/// How often at most the log speaks of messages that could not be used.
const SAY_REJECTED_EVERY: Duration = Duration::from_secs(10);
/// How often the daemon writes down that it is alive, so that it knows whether it can commit.
const ALIVE_EVERY: Duration = Duration::from_secs(10);
/// A message that was taken from a broker reaches the writer within this.
const ON_ITS_WAY: TimeDelta = TimeDelta::milliseconds(20);
/// How often the database may refuse while the daemon stops, before it gives up; what was not
/// acknowledged comes again.
const STOP_TRIES_MAX: u32 = 3;

/// What the writer and the deliverer share about the outbox.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Rung when there may be something new.
    pub news: Notify,
    /// The rows that have been handed to the publisher and are still in the database, and the places of
    /// their messages of which there is no outcome yet.
    in_hand: Mutex<HashMap<i64, HashSet<usize>>>,
    /// There is something that is older than what was handed on last.
    again: AtomicBool,
}

impl Outbox {
    /// Whether the row is to be handed to the publisher now: it has not been.
    pub fn hand_out(&self, row: &ToPublish) -> bool {
        match self.in_hand().entry(row.id) {
            Entry::Vacant(place) => {
                place.insert((0..row.messages.len()).collect());
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// The rows that have been handed to the publisher and are still in the database.
    pub fn rows_in_hand(&self) -> HashSet<i64> {
        self.in_hand().keys().copied().collect()
    }

    /// Nothing is in the publisher's hand any more.
    pub fn take_back(&self) {
        self.in_hand().clear();
    }

    /// The rows of which all messages have an outcome with these.
    fn settled(&self, outcomes: &[Outcome]) -> Vec<i64> {
        let in_hand = self.in_hand();
        of_rows(outcomes)
            .into_iter()
            .filter(|(row, places)| in_hand.get(row).is_some_and(|left| left.is_subset(places)))
            .map(|(row, _)| row)
            .collect()
    }

    /// Takes note that the outcomes are in the database.
    fn settle(&self, outcomes: &[Outcome]) {
        let mut in_hand = self.in_hand();
        for (row, places) in of_rows(outcomes) {
            if let Entry::Occupied(mut left) = in_hand.entry(row) {
                left.get_mut().retain(|place| !places.contains(place));
                if left.get().is_empty() {
                    left.remove();
                }
            }
        }
    }

    fn in_hand(&self) -> MutexGuard<'_, HashMap<i64, HashSet<usize>>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has been put there that is older than what was handed on last.
    pub fn begin_again(&self) {
        self.again.store(true, Ordering::Release);
        self.news.notify_one();
    }

    /// Whether that was said since this was asked last.
    pub fn begins_again(&self) -> bool {
        self.again.swap(false, Ordering::AcqRel)
    }
}

/// The rows that have outcomes among these, and of which of their messages.
fn of_rows(outcomes: &[Outcome]) -> BTreeMap<i64, HashSet<usize>> {
    let mut rows: BTreeMap<i64, HashSet<usize>> = BTreeMap::new();
    for Outcome::Published((row, place)) | Outcome::Refused((row, place), _) in outcomes {
        rows.entry(*row).or_default().insert(*place);
    }
    rows
}

/// The writer, with what it works on.
pub struct Writer {
    store: Store,
    contracts: Arc<Contracts>,
    /// The daemon's name; each of its slots has one of its own.
    client_id: String,
    slots: Arc<Slots>,
    outbox: Arc<Outbox>,
    metrics: Arc<Metrics>,
    hearing: Hearing,
    watches: Watches,
    look_at: Tick,
    /// Messages that could not be used and of which the log has not spoken yet.
    rejected: usize,
    say_rejected_at: Tick,
}

/// What is known from one look at the deadlines to the next, if its transaction commits.
#[derive(Debug, Clone)]
struct Watches {
    plan: PlanWatch,
    blind: BlindWatch,
    /// When the daemon writes down that it is alive.
    alive_at: Tick,
}

impl Default for Watches {
    fn default() -> Self {
        Self { plan: PlanWatch::default(), blind: BlindWatch::default(), alive_at: Tick::now() }
    }
}

/// What is to be done in one transaction.
enum Work {
    /// What has come in, from the brokers and from the publisher.
    Take(Taken),
    /// Deadlines are looked at as of then.
    Look(Instant),
    /// A step is taken of the imports that are not applied yet.
    Apply,
}

#[derive(Default)]
struct Taken {
    messages: Vec<Message>,
    outcomes: Vec<Outcome>,
    /// There is a session with the broker, which had kept it or not.
    connected: Option<bool>,
    /// The machine's clock was put back.
    put_back: bool,
}

/// What has been done in one transaction, once it has committed.
struct Done {
    tally: Tally,
    raised: Vec<Raised>,
    sights: Sights,
    watches: Watches,
    /// There is more to be done of the kind.
    more: bool,
    /// A session that the broker should have kept is gone.
    forgotten: bool,
}

impl Writer {
    /// A writer for the daemon of that name.
    #[must_use]
    pub fn new(
        store: Store,
        contracts: Arc<Contracts>,
        client_id: String,
        slots: Arc<Slots>,
        outbox: Arc<Outbox>,
        metrics: Arc<Metrics>,
        hearing: Hearing,
    ) -> Self {
        let now = Tick::now();
        Self {
            store,
            contracts,
            client_id,
            slots,
            outbox,
            metrics,
            hearing,
            watches: Watches::default(),
            look_at: now,
            rejected: 0,
            say_rejected_at: now,
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
            self.tell_sight();
            let received = timeout_at(self.look_at, inbound.recv_many(&mut buffer, BATCH_MAX));
            open = !matches!(received.await, Ok(0));
            let now = clock::now();
            self.slots.writer_turns();
            let mut work = Taken::default();
            let mut caught_up = Vec::new();
            if let Some(step) = self.hearing.follow_clock(now) {
                // They say when to look next, by the clock as it was.
                self.watches = Watches::default();
                work.put_back = step < TimeDelta::zero();
            }
            while let Ok(outcome) = outcomes.try_recv() {
                work.outcomes.push(outcome);
                if work.outcomes.len() >= BATCH_MAX {
                    break;
                }
            }
            let heard = heard_up_to(&buffer, now);
            for inbound in buffer.drain(..) {
                match inbound {
                    Inbound::Message(message) => work.messages.push(message),
                    Inbound::Connected { kept, .. } => work.connected = Some(kept),
                    Inbound::CaughtUp { slot, as_of } => {
                        let was_blind = matches!(self.hearing.sights.broker(), Sight::Blind);
                        caught_up.push((slot, as_of, was_blind));
                        self.hearing.caught_up(as_of.map(|moment| moment.at));
                    }
                    Inbound::Lost { .. } => {
                        self.commit(Work::Take(std::mem::take(&mut work)), open).await;
                        self.hearing.lost(clock::now());
                    }
                }
            }
            self.commit(Work::Take(work), open).await;
            for (slot, as_of, was_blind) in caught_up {
                self.slots.heard(slot, as_of, was_blind);
            }
            if Tick::now() >= self.look_at {
                let more = self.commit(Work::Look(self.hearing.up_to(heard)), open).await;
                let more = self.commit(Work::Apply, open).await || more;
                self.look_at = if more { Tick::now() } else { Tick::now() + LOOK_EVERY };
            }
            if self.hearing.begins(clock::now()) {
                self.look_at = Tick::now();
                // Another daemon may have said meanwhile that nobody hears.
                self.watches.blind = BlindWatch::default();
            }
        }
        let _ = drained.send(());
        self.clear(&mut outcomes).await;
    }

    /// Tells for whom the daemon is blind.
    fn tell_sight(&self) {
        for contract in self.contracts.iter() {
            let blind = self.hearing.sights.blindness(&contract.id).is_some();
            self.metrics.sees(&contract.id, blind);
        }
    }

    /// Removes from the outbox what the publisher reports until it has stopped.
    async fn clear(&mut self, outcomes: &mut mpsc::Receiver<Outcome>) {
        let mut buffer = Vec::new();
        while outcomes.recv_many(&mut buffer, BATCH_MAX).await > 0 {
            let work = Taken { outcomes: std::mem::take(&mut buffer), ..Taken::default() };
            self.commit(Work::Take(work), false).await;
        }
    }

    /// Does the work in one transaction, however often that takes; then acknowledges. Returns whether
    /// there is more of the kind.
    async fn commit(&mut self, work: Work, open: bool) -> bool {
        if work.is_nothing() {
            return false;
        }
        let (batch, began) = (uuid::Uuid::new_v4().to_string(), Tick::now());
        let mut perhaps = None;
        let mut pause = Duration::from_millis(100);
        let (mut tries, mut collisions) = (0, 0);
        loop {
            self.slots.writer_turns();
            self.hearing.sights.follow(self.slots.fleet(), clock::now());
            let tried_at = Tick::now();
            let tried = self.transact(&work, &batch, &mut perhaps);
            let tried = timeout(TRANSACTION_MAX, tried).await;
            let failed = match tried.unwrap_or(Err(StoreError::TooSlow)) {
                Ok(()) => {
                    if tries > 0 {
                        info!(tries, "the database works again");
                    }
                    let micros = began.elapsed().as_micros();
                    debug!(messages = work.messages(), micros, "committed");
                    self.metrics.committed(work.name(), tried_at.elapsed());
                    return perhaps.is_some_and(|done| self.committed(work, done));
                }
                Err(failed) => failed,
            };
            if failed.is_collision() && collisions < COLLISIONS_MAX {
                collisions += 1;
                debug!("another daemon was there first: {failed}");
                continue;
            }
            tries += 1;
            let why = failed.to_string();
            if tries == 1 {
                let waiting = work.messages();
                error!(waiting, "nothing is acknowledged until this works: {why}");
            } else {
                debug!(tries, "still: {why}");
            }
            // Messages wait outside meanwhile: what has been heard is not all.
            self.hearing.doubt(clock::now());
            self.hearing.health.failed(why);
            self.metrics.database_failed();
            self.tell_sight();
            self.watches.alive_at = Tick::now();
            if !open && tries >= STOP_TRIES_MAX {
                return false;
            }
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// Does the work once, and leaves in `perhaps` what it has done. What it finds there is what an
    /// earlier try has done, the answer to whose commit is missing.
    async fn transact(
        &self,
        work: &Work,
        batch: &str,
        perhaps: &mut Option<Done>,
    ) -> Result<(), StoreError> {
        let slot = self.slots.own();
        let mut tx = self.store.write_for(slot.unwrap_or_default()).await?;
        if perhaps.is_some() && daemons::is_marked(&mut tx, &self.name(), batch).await? {
            return Ok(());
        }
        let mut done = Done {
            tally: Tally::default(),
            raised: Vec::new(),
            sights: self.hearing.sights.clone(),
            watches: self.watches.clone(),
            more: false,
            forgotten: false,
        };
        match work {
            Work::Take(taken) => self.take(&mut tx, taken, batch, &mut done).await?,
            Work::Look(as_of) => self.look(&mut tx, *as_of, &mut done).await?,
            Work::Apply => done.more = apply::step(&mut tx, &self.contracts, clock::now()).await?,
        }
        done.raised = tx.raised().to_vec();
        *perhaps = Some(done);
        tx.commit().await
    }

    fn name(&self) -> String {
        name_of(&self.client_id, self.slots.own().unwrap_or_default())
    }

    async fn take(
        &self,
        tx: &mut Db,
        taken: &Taken,
        batch: &str,
        done: &mut Done,
    ) -> Result<(), StoreError> {
        let now = clock::now();
        if let Some(kept) = taken.connected {
            done.forgotten = daemons::had_session(tx, &self.name(), now).await? && !kept;
        }
        if !taken.messages.is_empty() {
            daemons::mark(tx, &self.name(), batch, now).await?;
        }
        let sights = &mut done.sights;
        done.tally = ingest::record(tx, &self.contracts, &taken.messages, sights).await?;
        let mut again = sights.hear_phones(&done.tally.heard, now);
        again.extend(sights.hear_units(&done.tally.units, now));
        for contract in again {
            info!(%contract, "phones are heard again: deadlines are watched");
        }
        if taken.put_back {
            watch::all_again(tx, now).await?;
        }
        for outcome in &taken.outcomes {
            let Outcome::Refused(id, why) = outcome else { continue };
            if outbox::put_off(tx, *id, now + REFUSED_FOR, now).await? {
                warn!("the broker refused a message, which is tried again in 30 s: {why}");
            } else {
                error!("the broker refused a message for a day, it is given up: {why}");
            }
        }
        outbox::remove(tx, &self.outbox.settled(&taken.outcomes)).await
    }

    async fn look(&self, tx: &mut Db, as_of: Instant, done: &mut Done) -> Result<(), StoreError> {
        let now = clock::now();
        let (contracts, sights, watches) = (&self.contracts, &mut done.sights, &mut done.watches);
        let as_of = sights.knows_up_to(as_of);
        done.more = watch::client_nights(tx, contracts, as_of, sights).await?;
        senders::watch(tx, contracts, as_of, sights.broker()).await?;
        if Whole::Contracts.try_take(tx).await? {
            watches.blind.look(tx, contracts, sights, now).await?;
            if watches.plan.is_due(contracts, now) {
                watches.plan.look(tx, contracts, now).await?;
            }
        }
        if Tick::now() >= watches.alive_at {
            daemons::alive(tx, &self.name(), now).await?;
            watches.alive_at = Tick::now() + ALIVE_EVERY;
        }
        Ok(())
    }

    /// Draws the consequences of a commit. Returns whether there is more to be done of the kind.
    fn committed(&mut self, work: Work, done: Done) -> bool {
        // A transaction that wrote nothing says nothing about the disk.
        if work.messages() > 0 || done.watches.alive_at != self.watches.alive_at {
            self.hearing.health.committed();
        }
        let now = clock::now();
        self.metrics.raised(&done.raised, now);
        (self.hearing.sights, self.watches) = (done.sights, done.watches);
        if let Work::Take(taken) = work {
            let received = taken.messages.iter().map(|message| message.received_at);
            self.metrics.recorded(&done.tally, received, now);
            for message in taken.messages {
                message.ack.send();
            }
            self.outbox.settle(&taken.outcomes);
        }
        if done.forgotten {
            warn!(
                "the broker has forgotten the session, and with it what it kept while the daemon \
                 was away: make its sessions persistent and without expiry (in Mosquitto: \
                 persistence true, and no persistent_client_expiration). Phones send again what \
                 got no receipt"
            );
        }
        self.outbox.news.notify_one();
        self.rejected += done.tally.rejected.len();
        if self.rejected > 0 && Tick::now() >= self.say_rejected_at {
            warn!(rejected = self.rejected, "messages could not be used; they are kept");
            (self.rejected, self.say_rejected_at) = (0, Tick::now() + SAY_REJECTED_EVERY);
        }
        done.more
    }
}

impl Work {
    fn is_nothing(&self) -> bool {
        match self {
            Self::Take(taken) => {
                taken.messages.is_empty()
                    && taken.outcomes.is_empty()
                    && taken.connected.is_none()
                    && !taken.put_back
            }
            Self::Look(_) | Self::Apply => false,
        }
    }

    /// What it is called where transactions are counted.
    fn name(&self) -> &'static str {
        match self {
            Self::Take(_) => "messages",
            Self::Look(_) => "deadlines",
            Self::Apply => "imports",
        }
    }

    /// How many messages it holds.
    fn messages(&self) -> usize {
        match self {
            Self::Take(taken) => taken.messages.len(),
            Self::Look(_) | Self::Apply => 0,
        }
    }
}

/// The instant up to which everything that was received is in the batch or before it: evidence that
/// was received before a deadline must have been read when the deadline is looked at (R21).
fn heard_up_to(batch: &[Inbound], now: Instant) -> Instant {
    let last = batch.iter().rev().find_map(|inbound| match inbound {
        Inbound::Message(message) => Some(message.received_at),
        Inbound::Connected { .. } | Inbound::CaughtUp { .. } | Inbound::Lost { .. } => None,
    });
    match last {
        Some(last) if batch.len() >= BATCH_MAX => last.min(now - ON_ITS_WAY),
        _ => now - ON_ITS_WAY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::outbox::Kind;

    #[test]
    fn a_row_is_settled_when_each_of_its_messages_has_an_outcome() {
        let outbox = Outbox::default();
        let message = || ("topic".to_owned(), "{}".to_owned());
        let row = ToPublish { id: 7, kind: Kind::Receipt, messages: vec![message(), message()] };
        assert!(outbox.hand_out(&row) && !outbox.hand_out(&row));
        let published = |place| Outcome::Published((7, place));
        // The same message twice is not two, and a try that failed counts for nothing.
        let twice = [published(0), published(0)];
        assert!(outbox.settled(&twice).is_empty());
        assert_eq!(outbox.settled(&[published(0), published(1)]), [7]);
        outbox.settle(&twice);
        let last = [Outcome::Refused((7, 1), "no".to_owned())];
        assert_eq!(outbox.settled(&last), [7]);
        outbox.settle(&last);
        assert!(outbox.settled(&last).is_empty() && outbox.hand_out(&row), "it is forgotten");
    }
}
