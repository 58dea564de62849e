//! The keeper of the slots: takes one for this daemon, keeps it, and adopts those that are left.
//!
//! It has a task and a connection to the database of its own: a beat never waits behind a batch. It
//! beats only while the daemon does its work: the broker answers, and the writer is not stuck. So a
//! daemon that is killed, hung or cut off loses its slot, and whoever works adopts it: opens its
//! session, drains it, and ends it. Who has lost a slot lets it go, and takes another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant as Tick, sleep_until, timeout};
use tracing::{error, info, warn};

use super::observer::{Choice, Observer, Rival, Upkeep};
use super::post::{Kept, Outward, Place};
use super::{BREAK_MAX, DatabaseClock, Others, Own, Slots, State};
use crate::clock;
use crate::domain::instant::Instant;
use crate::message::Inbound;
use crate::mqtt::{BACKLOG_SECONDS_MAX, BrokerSession, SlotNumber};
use crate::publish::Outcome;
use crate::store::slots::{self as rows, StoredSlot, application_name};
use crate::store::{Database, Store, StoreError, outbox};
use crate::wire::status::DaemonStatus;
use crate::writer::Outbox;

/// How often the slots are looked at, if nothing else asks for it.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// Two looks are not closer than this.
const LOOKS_APART_MIN: Duration = Duration::from_millis(10);
/// The longest that the database may take for one, and for what follows from it.
const TURN_WITHIN: Duration = Duration::from_secs(2);
/// A session to which the broker has said nothing for this long is cut off.
const CUT_OFF_AFTER: Duration = Duration::from_secs(1);
/// The longest that others wait for what the broker has for a slot that is adopted.
const DRAINED_WITHIN: Duration = Duration::from_secs(BACKLOG_SECONDS_MAX);
/// How often messages are looked for that a daemon wrote when its slot had gone.
const ORPHANS_EVERY: Duration = Duration::from_secs(5);
/// A machine whose clock is this far from the database's is told.
const CLOCKS_APART_MAX: TimeDelta = TimeDelta::seconds(1);
/// How often.
const SAY_CLOCKS_EVERY: Duration = Duration::from_mins(10);

/// What the keeper needs to do the daemon's work at the broker.
pub struct Means {
    /// The other tasks' database.
    pub store: Store,
    /// The broker, and the daemon's name there.
    pub session: BrokerSession,
    /// Where what is heard goes, until the daemon stops.
    pub inbound: Option<mpsc::Sender<Inbound>>,
    /// What is being published.
    pub outbox: Arc<Outbox>,
    /// Where it is said what became of that.
    pub report: mpsc::Sender<Outcome>,
    /// How the daemon is.
    pub status: watch::Receiver<DaemonStatus>,
}

/// What the keeper is asked to do when the daemon stops, in this order. It answers when that is done.
pub enum Request {
    /// To hear nothing more; what was heard is acknowledged.
    StopHearing(oneshot::Sender<()>),
    /// To publish what is left, and nothing more.
    StopPublishing(oneshot::Sender<()>),
    /// To leave the slot.
    Leave(oneshot::Sender<()>),
}

/// Why a daemon has no slot.
#[derive(Debug, thiserror::Error)]
pub enum NoSlot {
    /// Another daemon works that does not go with this one.
    #[error(transparent)]
    Rival(#[from] Rival),
    /// This daemon was held up, and another has taken its place.
    #[error(
        "another nightrun serves from this database since this one was held up: stop one of the two, \
         or give both the same broker.shared_group"
    )]
    Lost,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A slot that is drained for a daemon that is gone.
struct Adoption {
    since: Tick,
    /// None when the broker has nothing for it any more.
    session: Option<Kept<bool>>,
}

impl Adoption {
    /// Whether deadlines wait for what the broker has for it.
    fn is_awaited(&self) -> bool {
        self.since.elapsed() < DRAINED_WITHIN
    }
}

/// This daemon's work at the broker.
struct Post {
    slot: SlotNumber,
    session: Option<Kept<()>>,
    outward: Option<Outward>,
}

/// The keeper.
pub struct Keeper {
    /// A connection of its own.
    store: Store,
    slots: Arc<Slots>,
    observer: Observer,
    /// The name of this process among the holders.
    me: String,
    /// The group that shares; empty if this daemon shares with nobody.
    group: String,
    client_id: String,
    means: Option<Means>,
    post: Option<Post>,
    adopted: BTreeMap<SlotNumber, Adoption>,
    /// The slots as they were seen last.
    stored: BTreeMap<SlotNumber, StoredSlot>,
    /// Since when it hears the broker, and works.
    works_since: Option<Tick>,
    /// The daemon stops; whether it worked when it was told to.
    stopping: Option<bool>,
    failing: bool,
    /// Rung when there is something to do.
    bell: Arc<Notify>,
    orphans_at: Tick,
    say_clocks_at: Tick,
}

/// The client id of a slot's session, which is also its name in topics.
#[must_use]
pub fn name_of(client_id: &str, slot: SlotNumber) -> String {
    if slot == 0 { client_id.to_owned() } else { format!("{client_id}-{slot}") }
}

impl Keeper {
    /// Waits until this daemon has a slot, or cannot have one.
    ///
    /// # Errors
    /// When another daemon works that does not go with this one, or the database fails.
    pub async fn take(
        database: &Database,
        slots: Arc<Slots>,
        client_id: String,
        group: String,
    ) -> Result<Self, NoSlot> {
        let me = uuid::Uuid::new_v4().to_string();
        let now = Tick::now();
        let store = Store::open_apart(&database.clone().known_as(&application_name(&me))).await?;
        let mut this = Self {
            store,
            slots,
            observer: Observer::new(me.clone(), group.clone()),
            me,
            group,
            client_id,
            means: None,
            post: None,
            adopted: BTreeMap::new(),
            stored: BTreeMap::new(),
            works_since: None,
            stopping: None,
            failing: false,
            bell: Arc::default(),
            orphans_at: now,
            say_clocks_at: now,
        };
        loop {
            let next = Tick::now() + LOOK_EVERY;
            this.look().await?;
            match this.choose().await {
                Ok(true) => return Ok(this),
                Err(NoSlot::Store(failed)) if !failed.is_collision() => return Err(failed.into()),
                Err(refused @ NoSlot::Rival(_)) => return Err(refused),
                _ => sleep_until(next).await,
            }
        }
    }

    /// The name by which the database knows this process.
    #[must_use]
    pub fn application_name(&self) -> String {
        application_name(&self.me)
    }

    /// Keeps the slot until it is asked to leave it. With `means`, it hears and publishes in its name,
    /// and adopts what is left; without, it keeps others away.
    ///
    /// # Errors
    /// When another daemon has taken the slot, and this one may not take another.
    pub async fn keep(
        mut self,
        means: Option<Means>,
        mut requests: mpsc::Receiver<Request>,
    ) -> Result<(), NoSlot> {
        self.means = means;
        self.go_to_post();
        if self.means.is_none() && self.stored.len() > 1 {
            warn!(
                "another broker keeps sessions of daemons that used this database: what waits there \
                 is read when broker.url names that broker again"
            );
        }
        let mut look_at = Tick::now();
        loop {
            tokio::select! {
                request = requests.recv() => match request {
                    Some(Request::StopHearing(done)) => self.stop_hearing(done),
                    Some(Request::StopPublishing(done)) => self.stop_publishing(done),
                    Some(Request::Leave(done)) => {
                        self.leave().await;
                        let _ = done.send(());
                        return Ok(());
                    }
                    None => return Ok(()),
                },
                () = sleep_until(look_at) => {}
                () = self.slots.news.notified() => {}
                () = self.bell.notified() => {}
            }
            let began = Tick::now();
            self.turn().await?;
            look_at = began + LOOK_EVERY;
            sleep_until(began + LOOKS_APART_MIN).await;
        }
    }

    /// Looks, and does what there is to do. What the database refuses is tried again.
    async fn turn(&mut self) -> Result<(), NoSlot> {
        let done = async {
            self.look().await?;
            self.act().await
        };
        let failed = match timeout(TURN_WITHIN, done).await {
            Ok(Ok(())) => {
                if std::mem::take(&mut self.failing) {
                    info!("the slots can be kept again");
                }
                return Ok(());
            }
            Ok(Err(NoSlot::Store(failed))) if failed.is_collision() => return Ok(()),
            Ok(Err(NoSlot::Store(failed))) => failed,
            Ok(Err(refused)) => return Err(refused),
            Err(_) => StoreError::TooSlow,
        };
        self.observer.interrupted();
        if !std::mem::replace(&mut self.failing, true) {
            warn!("this daemon's slot cannot be kept, and may pass to another daemon: {failed}");
        }
        Ok(())
    }

    /// Beats, if the daemon works, and looks at all slots.
    async fn look(&mut self) -> Result<(), StoreError> {
        let asked_at = Tick::now();
        let works = self.works();
        self.works_since = works.then(|| self.works_since.unwrap_or(asked_at));
        let own = self.slots.state().own;
        let opens = self.session().is_some_and(|session| session.pulse.borrow().connected)
            && own.is_some_and(|own| own.heard_to.is_none());
        let mut tx = self.store.write().await?;
        if let Some(own) = own {
            let name = (own.number, self.me.as_str());
            if opens {
                rows::make_it_last(&mut tx).await?;
                rows::open(&mut tx, name).await?;
            }
            if works {
                rows::beat(&mut tx, name, own.heard_to, own.sure_from).await?;
                if !self.adopted.is_empty() {
                    rows::beat_for_adopted(&mut tx, name).await?;
                }
            }
        }
        for (number, adoption) in &self.adopted {
            if !adoption.is_awaited() {
                rows::give_up(&mut tx, (*number, &self.me)).await?;
            }
        }
        let (now, stored) = rows::all(&mut tx).await?;
        let by = Tick::now();
        tx.commit().await?;
        self.observer.look(stored.iter().map(|one| one.slot.clone()).collect(), Tick::now());
        self.stored = stored.into_iter().map(|one| (one.slot.number, one)).collect();
        self.compare_clocks(now);
        self.tell(DatabaseClock { said: now, by }, asked_at);
        Ok(())
    }

    fn session(&self) -> Option<&Kept<()>> {
        self.post.as_ref()?.session.as_ref()
    }

    /// Whether this daemon does its work.
    fn works(&self) -> bool {
        if let Some(worked) = self.stopping {
            return worked;
        }
        let hears = match (&self.means, self.session()) {
            // The broker is inside.
            (None, _) => true,
            (Some(_), None) => false,
            (Some(_), Some(session)) => {
                let pulse = *session.pulse.borrow();
                let answers = pulse.answered_at.is_some_and(|at| at.elapsed() < CUT_OFF_AFTER);
                pulse.subscribed && answers
            }
        };
        hears && self.slots.writer_works()
    }

    fn compare_clocks(&mut self, now: Instant) {
        let apart = clock::now() - now;
        if apart.abs() > CLOCKS_APART_MAX && Tick::now() >= self.say_clocks_at {
            self.say_clocks_at = Tick::now() + SAY_CLOCKS_EVERY;
            error!(
                milliseconds = apart.num_milliseconds(),
                "this machine's clock and the database's differ: see to their time services; alerts \
                 may be early or late by as much"
            );
        }
    }

    /// Tells the other tasks, and the sessions, what was seen. The slots that this daemon has, it had
    /// at `held_at` or later.
    fn tell(&mut self, clock: DatabaseClock, held_at: Tick) {
        let mut state = self.slots.state();
        state.clock = Some(clock);
        let own = state.own.map(|own| own.number);
        if let Some((own, stored)) = state.own.as_mut().zip(own.and_then(|n| self.stored.get(&n))) {
            own.heard_to = own.heard_to.max(stored.heard_to);
            own.sure_from = own.sure_from.max(stored.sure_from);
        }
        self.tell_of_others(&mut state);
        drop(state);
        if let (Some(own), Some(session)) = (own, self.session())
            && self.observer.is_mine(own)
            && let Some(stored) = self.stored.get(&own)
            && (stored.heard_to.is_some() || !session.pulse.borrow().connected)
        {
            session.is_ours(held_at, stored.slot.hears_units);
        }
        for (number, adoption) in &self.adopted {
            if let Some(session) = adoption.session.as_ref()
                && self.observer.is_mine(*number)
            {
                session.is_ours(held_at, false);
            }
        }
    }

    fn tell_of_others(&self, state: &mut State) {
        let own = state.own.map(|own| own.number);
        // With the broker inside, nothing is heard by way of slots.
        let hears = self.means.is_some();
        let others = || self.stored.values().filter(|one| hears && Some(one.slot.number) != own);
        state.others = Others {
            heard_to: others().filter_map(|one| one.heard_to).min(),
            sure_from: others().map(|one| one.sure_from).max().unwrap_or_default(),
            work: self.observer.others_work(),
        };
    }

    async fn act(&mut self) -> Result<(), NoSlot> {
        if self.stopping.is_some() {
            return Ok(());
        }
        let Some(own) = self.slots.own() else {
            if self.choose().await? {
                self.go_to_post();
            }
            return Ok(());
        };
        let observer = &self.observer;
        self.adopted.retain(|number, adoption| {
            let is_mine = observer.is_mine(*number);
            if let Some(session) = adoption.session.as_ref().filter(|_| !is_mine) {
                session.task.abort();
            }
            is_mine
        });
        let adopting = self.adopted.iter().map(|(number, one)| (*number, one.is_awaited()));
        let works_for = self.works_since.map(|since| since.elapsed());
        match self.observer.upkeep(own, works_for, &adopting.collect()) {
            Upkeep::Lost => self.lose(own).await,
            Upkeep::Keep { adopt, hear_units } => {
                if self.means.is_none() {
                    return Ok(());
                }
                if hear_units {
                    let mut tx = self.store.write().await?;
                    rows::make_it_last(&mut tx).await?;
                    rows::hear_units(&mut tx, (own, &self.me)).await?;
                    tx.commit().await?;
                }
                if let Some(number) = adopt {
                    self.adopt(number).await?;
                }
                self.retire(own).await?;
                self.inherit(own).await?;
                Ok(())
            }
        }
    }

    /// Takes a slot, or makes one, if there is one to be had. Returns whether it has one.
    async fn choose(&mut self) -> Result<bool, NoSlot> {
        let adopted = self.adopted.keys().copied().collect();
        let (number, seen) = match self.observer.choose(&adopted) {
            Choice::Wait => return Ok(false),
            Choice::Refuse(rival) => return Err(rival.into()),
            Choice::Take(number) => (number, self.stored.get(&number)),
            Choice::Make(number) => (number, None),
        };
        let mut tx = self.store.write().await?;
        rows::make_it_last(&mut tx).await?;
        let has = match seen {
            Some(seen) => rows::take(&mut tx, &seen.slot, &self.me).await?,
            None => rows::make(&mut tx, (number, &self.me), &self.group).await?,
        };
        tx.commit().await?;
        if has {
            info!(slot = number, name = name_of(&self.client_id, number), "this daemon has a slot");
            let heard_to = seen.and_then(|seen| seen.heard_to);
            let sure_from = seen.map_or_else(Instant::default, |seen| seen.sure_from);
            self.slots.state().own = Some(Own { number, heard_to, sure_from });
        }
        Ok(has)
    }

    fn go_to_post(&mut self) {
        let (Some(slot), Some(means)) = (self.slots.own(), &self.means) else { return };
        let session = self.place(means, slot, self.group.clone()).map(Place::hear);
        let outward = Some(Outward::start(
            self.broker_session(means, slot),
            None,
            slot,
            Duration::ZERO,
            (means.store.clone(), Arc::clone(&means.outbox)),
            means.report.clone(),
            means.status.clone(),
        ));
        self.post = Some(Post { slot, session, outward });
    }

    fn place(&self, means: &Means, slot: SlotNumber, group: String) -> Option<Place> {
        Some(Place {
            session: self.broker_session(means, slot),
            slot,
            group,
            inbound: means.inbound.clone()?,
            bell: Arc::clone(&self.bell),
        })
    }

    fn broker_session(&self, means: &Means, slot: SlotNumber) -> BrokerSession {
        let name = name_of(&self.client_id, slot);
        BrokerSession { client_id: name.clone(), instance: name, ..means.session.clone() }
    }

    /// Another daemon has the slot: it has the session, too, and what is to be published.
    async fn lose(&mut self, own: SlotNumber) -> Result<(), NoSlot> {
        self.slots.state().own = None;
        self.works_since = None;
        if self.group.is_empty() {
            return Err(NoSlot::Lost);
        }
        warn!(
            slot = own,
            "another daemon has this daemon's slot: it was held up, and takes another"
        );
        let (Some(post), Some(means)) = (self.post.take(), &self.means) else { return Ok(()) };
        if let Some(outward) = post.outward {
            outward.abandon();
        }
        means.outbox.take_back();
        if let Some(session) = post.session {
            session.task.abort();
            let _ = session.task.await;
        }
        // An error means that the writer is gone, and the daemon stops.
        if let Some(inbound) = &means.inbound {
            let _ = inbound.send(Inbound::Lost { slot: post.slot }).await;
        }
        Ok(())
    }

    /// Takes a slot that is left, and drains it.
    async fn adopt(&mut self, number: SlotNumber) -> Result<(), StoreError> {
        let (Some(seen), Some(means)) = (self.stored.get(&number), &self.means) else {
            return Ok(());
        };
        let mut tx = self.store.write().await?;
        rows::make_it_last(&mut tx).await?;
        let taken = rows::take(&mut tx, &seen.slot, &self.me).await?;
        tx.commit().await?;
        if taken {
            info!(
                slot = number,
                "nobody works for this slot: what the broker has for it is taken over"
            );
            let session = self.place(means, number, seen.slot.group.clone()).map(Place::drain);
            self.adopted.insert(number, Adoption { since: Tick::now(), session });
        }
        Ok(())
    }

    /// Ends the slots that are drained.
    async fn retire(&mut self, own: SlotNumber) -> Result<(), StoreError> {
        for number in self.adopted.keys().copied().collect::<Vec<_>>() {
            let Some(adoption) = self.adopted.get_mut(&number) else { continue };
            if let Some(session) = &mut adoption.session {
                if !session.task.is_finished() {
                    continue;
                }
                if !matches!((&mut session.task).await, Ok(true)) {
                    // The slot is this daemon's, so it is adopted once more.
                    self.adopted.remove(&number);
                    continue;
                }
                adoption.session = None;
            }
            let mut tx = self.store.write().await?;
            rows::make_it_last(&mut tx).await?;
            let now = rows::clock(&mut tx).await?;
            let sure_from = self.stored.get(&number).map_or(now, |stored| {
                let had_a_break = stored.heard_to.is_some_and(|at| now - at > BREAK_MAX);
                if had_a_break { now } else { stored.sure_from }
            });
            let name = name_of(&self.client_id, number);
            rows::retire(&mut tx, (number, &self.me), &name, (own, sure_from)).await?;
            tx.commit().await?;
            self.adopted.remove(&number);
            self.stored.remove(&number);
            let mut state = self.slots.state();
            if let Some(own) = state.own.as_mut() {
                own.sure_from = own.sure_from.max(sure_from);
            }
            self.tell_of_others(&mut state);
            drop(state);
            info!(slot = number, "everything that the broker had for the slot is taken over");
            self.has_inherited();
        }
        Ok(())
    }

    /// Sees to messages that a daemon wrote when it had lost its slot, and did not know.
    async fn inherit(&mut self, own: SlotNumber) -> Result<(), StoreError> {
        if Tick::now() < self.orphans_at {
            return Ok(());
        }
        self.orphans_at = Tick::now() + ORPHANS_EVERY;
        let mut tx = self.store.write().await?;
        rows::make_it_last(&mut tx).await?;
        let found = outbox::inherit_orphans(&mut tx, own).await?;
        tx.commit().await?;
        if found {
            self.has_inherited();
        }
        Ok(())
    }

    /// There is something to publish that is older than what was published last.
    fn has_inherited(&self) {
        if let Some(means) = &self.means {
            means.outbox.begin_again();
        }
        self.bell.notify_one();
    }

    fn stop_hearing(&mut self, done: oneshot::Sender<()>) {
        self.stopping = Some(self.works());
        let session = self.post.as_mut().and_then(|post| post.session.take());
        let adopted: Vec<_> =
            self.adopted.values_mut().filter_map(|one| one.session.take()).collect();
        if let Some(means) = &mut self.means {
            // The writer's channel ends with the last of them.
            means.inbound = None;
        }
        tokio::spawn(async move {
            session.iter().for_each(Kept::stop);
            adopted.iter().for_each(Kept::stop);
            for session in adopted {
                let _ = session.task.await;
            }
            if let Some(session) = session {
                let _ = session.task.await;
            }
            let _ = done.send(());
        });
    }

    fn stop_publishing(&mut self, done: oneshot::Sender<()>) {
        let outward = self.post.as_mut().and_then(|post| post.outward.take());
        self.means = None;
        tokio::spawn(async move {
            if let Some(outward) = outward
                && let Err(died) = outward.stop().await
            {
                error!("a task of the daemon has died: please report it: {died}");
            }
            let _ = done.send(());
        });
    }

    /// Leaves all slots that this daemon has: whoever works takes them over at once.
    async fn leave(&mut self) {
        let own = self.slots.own();
        let left = async {
            let mut tx = self.store.write().await?;
            rows::make_it_last(&mut tx).await?;
            for number in own.into_iter().chain(self.adopted.keys().copied()) {
                rows::free(&mut tx, (number, &self.me)).await?;
            }
            tx.commit().await
        };
        if !matches!(timeout(TURN_WITHIN, left).await, Ok(Ok(()))) {
            warn!("this daemon's slot was not left; another takes it over in a second");
        }
        self.store.close().await;
    }
}
