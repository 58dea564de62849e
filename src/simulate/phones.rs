//! The phones: each keeps an event until its receipt has come, and sends it again with growing
//! pauses, for ever, over connections that come and go.
//!
//! A connection carries several phones. Guarantees the protocol's part of an app: a clean session,
//! receipts subscribed to before anything is sent, the same content on every retry.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::ProgressBar;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{Instant as Tick, sleep, sleep_until, timeout};

use super::link::{Heard, Link};
use super::night::Night;
use super::script::Fault;
use crate::backoff::Backoff;
use crate::clock;
use crate::domain::event::Sender;
use crate::domain::instant::Instant;
use crate::mqtt::BrokerSession;
use crate::wire::receipt::Receipt;
use crate::wire::topic;

/// Events of one connection that wait for their receipts.
const WAITING_MAX: usize = 64;
/// The pause before an event is sent again; it doubles up to the longest.
const AGAIN_AFTER: Duration = Duration::from_secs(4);
const AGAIN_AFTER_MAX: Duration = Duration::from_mins(1);
/// How often a connection looks whether there is something to send again.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The longest that connecting and subscribing may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// How far disorder carries an event from its place.
const DISORDER: u64 = 24;

/// How to play.
#[derive(Debug, Clone)]
pub struct Options {
    /// The broker.
    pub broker: BrokerSession,
    /// Most connections.
    pub connections: usize,
    /// Most events in a second, of all phones.
    pub rate: Option<u32>,
    /// How long nothing may come before it is given up.
    pub give_up_after: Duration,
    /// The seed of duplicates, disorder and disconnects.
    pub seed: u64,
    /// The misbehaviours.
    pub faults: std::collections::BTreeSet<Fault>,
}

/// What a phone knows of an event.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// How often it was sent.
    pub sent: u32,
    /// When the broker had it first.
    pub with_broker: Option<Instant>,
    /// Its receipts, as they came; the same twice is there once.
    pub receipts: Vec<Receipt>,
    /// From the first sending to the first receipt.
    pub took: Option<Duration>,
}

/// What came of playing.
#[derive(Debug, Default)]
pub struct Played {
    /// By the place of the event.
    pub known: Vec<Known>,
    /// Connections that were made again.
    pub reconnects: u64,
    /// How long it took.
    pub took: Duration,
    /// Whether it was given up.
    pub given_up: bool,
}

/// What all connections share.
struct Shared {
    night: Arc<Night>,
    options: Options,
    known: Mutex<Vec<Known>>,
    pace: tokio::sync::Mutex<Tick>,
    reconnects: AtomicU64,
    last_progress: Mutex<Tick>,
    bar: ProgressBar,
}

impl Shared {
    fn progress(&self) {
        *self.last_progress.lock().unwrap_or_else(PoisonError::into_inner) = Tick::now();
    }

    fn know<T>(&self, event: usize, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner)[event])
    }

    /// Waits until one more event may be sent.
    async fn keep_pace(&self) {
        let Some(rate) = self.options.rate else { return };
        let mut next = self.pace.lock().await;
        // What could not be sent in time is not made up for all at once.
        *next = (*next).max(Tick::now().checked_sub(LOOK_EVERY).unwrap_or(*next));
        sleep_until(*next).await;
        *next += Duration::from_secs(1) / rate;
    }
}

/// Plays the night until each event has its receipt, or it is given up.
pub async fn play(night: &Arc<Night>, options: Options, bar: ProgressBar) -> Played {
    let began = Tick::now();
    let give_up_after = options.give_up_after;
    let shared = Arc::new(Shared {
        night: Arc::clone(night),
        known: Mutex::new(vec![Known::default(); night.events.len()]),
        pace: tokio::sync::Mutex::new(began),
        reconnects: AtomicU64::new(0),
        last_progress: Mutex::new(began),
        bar,
        options,
    });
    let mut connections = JoinSet::new();
    for (number, events) in divide(night, shared.options.connections).into_iter().enumerate() {
        let mut connection = Connection::new(Arc::clone(&shared), number, &events);
        connections.spawn(async move { connection.run().await });
    }
    let mut given_up = false;
    while !connections.is_empty() {
        if timeout(LOOK_EVERY, connections.join_next()).await.is_err() {
            let last = *shared.last_progress.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() > give_up_after {
                given_up = true;
                break;
            }
        }
    }
    connections.shutdown().await;
    shared.bar.finish_and_clear();
    let known = std::mem::take(&mut *shared.known.lock().unwrap_or_else(PoisonError::into_inner));
    let reconnects = shared.reconnects.load(Ordering::Relaxed);
    Played { known, reconnects, took: began.elapsed(), given_up }
}

/// Divides the events among connections, phone by phone.
fn divide(night: &Night, connections: usize) -> Vec<Vec<usize>> {
    let mut phones: BTreeMap<&Sender, Vec<usize>> = BTreeMap::new();
    for (index, event) in night.events.iter().enumerate() {
        phones.entry(&event.sender).or_default().push(index);
    }
    let mut divided = vec![Vec::new(); connections.min(phones.len())];
    for (place, events) in phones.into_values().enumerate() {
        let number = place % divided.len();
        divided[number].extend(events);
    }
    divided
}

/// An event that was sent and has no receipt yet.
struct Waiting {
    sent_at: Tick,
    pause: Duration,
}

/// What is to be sent next.
#[derive(Clone, Copy)]
enum Next {
    /// An event that has been sent.
    Again(usize),
    /// An event of this moment, by its place.
    Live(usize),
    /// The first of the past.
    Past,
}

struct Connection {
    shared: Arc<Shared>,
    name: String,
    filters: Vec<String>,
    rng: ChaCha8Rng,
    /// What is to be sent at its moment, by when.
    live: VecDeque<usize>,
    /// What is to be sent as soon as there is room.
    past: VecDeque<usize>,
    waiting: BTreeMap<usize, Waiting>,
    first_sent: BTreeMap<usize, Tick>,
    /// What was handed to the library and has no number yet, in order; then by number.
    handed: VecDeque<usize>,
    numbered: BTreeMap<u16, usize>,
    by_id: BTreeMap<String, usize>,
    /// Events to be sent before the connection breaks.
    breaks_after: Option<u32>,
}

impl Connection {
    fn new(shared: Arc<Shared>, number: usize, events: &[usize]) -> Self {
        let night = &shared.night;
        let seed = shared.options.seed.wrapping_mul(1_000_003).wrapping_add(number as u64);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let has = |fault| shared.options.faults.contains(&fault);
        let is_live = |event: &usize| night.visits[night.events[*event].visit].script.is_live();
        let (mut live, mut past): (Vec<usize>, Vec<usize>) =
            events.iter().partition(|e| is_live(e));
        live.sort_by_key(|&event| (night.events[event].send_from, event));
        past.sort_by_key(|&event| (night.events[event].payload.occurred_at, event));
        if has(Fault::Duplicates) {
            let again: Vec<usize> =
                past.iter().copied().filter(|_| rng.random_bool(0.15)).collect();
            past.extend(again);
        }
        if has(Fault::Disorder) {
            let mut places: Vec<(u64, usize)> = (0_u64..)
                .zip(past)
                .map(|(place, event)| (place + rng.random_range(0..DISORDER), event))
                .collect();
            places.sort_by_key(|(place, _)| *place);
            past = places.into_iter().map(|(_, event)| event).collect();
        }
        let contract = &night.contract;
        let mut filters: Vec<String> = events
            .iter()
            .filter_map(|&event| {
                topic::receipt_for(&topic::event(contract, &night.events[event].sender))
            })
            .collect();
        filters.sort();
        filters.dedup();
        let by_id = events
            .iter()
            .map(|&event| (night.events[event].payload.event_id.to_string(), event))
            .collect();
        let name = format!("{}phones-{number}", night.prefix);
        let breaks_after = has(Fault::Disconnects).then(|| rng.random_range(5..60));
        Self {
            name,
            filters,
            rng,
            live: live.into(),
            past: past.into(),
            waiting: BTreeMap::new(),
            first_sent: BTreeMap::new(),
            handed: VecDeque::new(),
            numbered: BTreeMap::new(),
            by_id,
            breaks_after,
            shared,
        }
    }

    fn is_done(&self) -> bool {
        self.live.is_empty() && self.past.is_empty() && self.waiting.is_empty()
    }

    async fn run(&mut self) {
        let mut backoff = Backoff::default();
        let mut connected_before = false;
        while !self.is_done() {
            let shared = Arc::clone(&self.shared);
            let opening = Link::open(&shared.options.broker, &self.name, &self.filters);
            match timeout(CONNECT_WITHIN, opening).await {
                Ok(Ok(link)) => {
                    backoff.reset();
                    if connected_before {
                        self.shared.reconnects.fetch_add(1, Ordering::Relaxed);
                    }
                    connected_before = true;
                    self.talk(link).await;
                }
                Ok(Err(error)) => tracing::debug!("no connection for phones: {error:#}"),
                Err(_) => tracing::debug!("no connection for phones in time"),
            }
            if !self.is_done() {
                sleep(backoff.next_pause()).await;
            }
        }
    }

    /// Sends and hears, until all is done or the connection ends.
    async fn talk(&mut self, mut link: Link) {
        self.handed.clear();
        self.numbered.clear();
        // Whatever was not answered on the last connection is sent again on this one.
        let now = Tick::now();
        for waiting in self.waiting.values_mut() {
            waiting.sent_at = now.checked_sub(waiting.pause).unwrap_or(now);
        }
        let mut look_at = now;
        let shared = Arc::clone(&self.shared);
        while !self.is_done() {
            let next = self.next();
            tokio::select! {
                biased;
                heard = link.heard() => match heard {
                    Some(heard) => self.hear(heard),
                    None => return,
                },
                () = shared.keep_pace(), if next.is_some() => {
                    let sent = next.and_then(|next| self.take(next)).map(|e| self.send(&link, e));
                    if matches!(sent, Some(Err(_))) || self.breaks() {
                        return;
                    }
                }
                () = sleep_until(look_at) => {
                    if self.waiting.is_empty() {
                        // It waits for nobody but the time.
                        self.shared.progress();
                    }
                    look_at = Tick::now() + LOOK_EVERY;
                }
            }
        }
    }

    /// What is to be sent now: something again, of this moment, or of the past.
    fn next(&self) -> Option<Next> {
        let now = Tick::now();
        let again = self.waiting.iter().find(|(_, w)| w.sent_at + w.pause <= now);
        if let Some((&event, _)) = again {
            return Some(Next::Again(event));
        }
        if self.waiting.len() >= WAITING_MAX {
            return None;
        }
        let present = clock::now();
        let ready = self.live.iter().position(|&event| {
            let event = &self.shared.night.events[event];
            let answered = |before| self.shared.know(before, |known| !known.receipts.is_empty());
            event.send_from <= present && event.after.is_none_or(answered)
        });
        ready.map(Next::Live).or_else(|| (!self.past.is_empty()).then_some(Next::Past))
    }

    fn take(&mut self, next: Next) -> Option<usize> {
        match next {
            Next::Again(event) => Some(event),
            Next::Live(place) => self.live.remove(place),
            Next::Past => self.past.pop_front(),
        }
    }

    fn send(&mut self, link: &Link, event: usize) -> anyhow::Result<()> {
        let now = Tick::now();
        let waiting =
            self.waiting.entry(event).or_insert(Waiting { sent_at: now, pause: AGAIN_AFTER / 2 });
        waiting.sent_at = now;
        // Never in step with the others.
        let longer = (waiting.pause * 2).min(AGAIN_AFTER_MAX);
        waiting.pause = longer.mul_f64(self.rng.random_range(0.75..1.0));
        let night = &self.shared.night;
        let mut payload = night.events[event].payload.clone();
        payload.sent_at = Some(clock::now());
        let topic = topic::event(&night.contract, &night.events[event].sender);
        self.handed.push_back(event);
        self.first_sent.entry(event).or_insert(now);
        self.shared.know(event, |known| known.sent += 1);
        link.publish(&topic, serde_json::to_vec(&payload)?)
    }

    /// Whether the connection breaks now.
    fn breaks(&mut self) -> bool {
        let Some(left) = &mut self.breaks_after else { return false };
        *left = left.saturating_sub(1);
        let breaks = *left == 0;
        if breaks {
            *left = self.rng.random_range(20..200);
        }
        breaks
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Numbered(number) => {
                if let Some(event) = self.handed.pop_front() {
                    self.numbered.insert(number, event);
                }
            }
            Heard::Taken(number) => {
                if let Some(event) = self.numbered.remove(&number) {
                    self.shared
                        .know(event, |known| *known.with_broker.get_or_insert_with(clock::now));
                }
            }
            Heard::Message(payload) => self.receipt(&payload),
        }
    }

    fn receipt(&mut self, payload: &[u8]) {
        let Ok(receipt) = serde_json::from_slice::<Receipt>(payload) else { return };
        let Some(id) = receipt.event_id.map(|id| id.to_string()) else { return };
        let Some(&event) = self.by_id.get(&id) else { return };
        self.waiting.remove(&event);
        let took = self.first_sent.get(&event).map(Tick::elapsed);
        let first = self.shared.know(event, |known| {
            let first = known.receipts.is_empty();
            if !known.receipts.contains(&receipt) {
                known.receipts.push(receipt);
            }
            known.took = known.took.or(took);
            first
        });
        if first {
            self.shared.bar.inc(1);
        }
        self.shared.progress();
    }
}
