//! A connection that carries several phones, and is made again whenever it breaks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant as Tick, sleep, sleep_until};

use super::{LOOK_EVERY, Shared};
use crate::backoff::Backoff;
use crate::clock;
use crate::simulate::link::{Heard, Link};
use crate::simulate::script::Fault;
use crate::wire::receipt::Receipt;
use crate::wire::topic;

/// Events of one connection that wait for their receipts.
const WAITING_MAX: usize = 64;
/// The pause before an event is sent again; it doubles up to the longest.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
const AGAIN_AFTER_MAX: Duration = Duration::from_mins(1);
/// How many of the events are sent again though they were answered.
const DUPLICATES: f64 = 0.15;
/// How far disorder carries an event from its place.
const DISORDER: u64 = 24;

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

pub(super) struct Connection {
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
    duplicates: bool,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, number: usize, events: &[usize]) -> Self {
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
                past.iter().copied().filter(|_| rng.random_bool(DUPLICATES)).collect();
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
            duplicates: has(Fault::Duplicates),
            shared,
        }
    }

    fn is_done(&self) -> bool {
        self.live.is_empty() && self.past.is_empty() && self.waiting.is_empty()
    }

    pub(super) async fn run(&mut self) {
        let mut backoff = Backoff::default();
        let mut connected_before = false;
        while !self.is_done() {
            let shared = Arc::clone(&self.shared);
            match Link::open(&shared.options.broker, &self.name, &self.filters).await {
                Ok(link) => {
                    backoff.reset();
                    if connected_before {
                        self.shared.reconnects.fetch_add(1, Ordering::Relaxed);
                    }
                    connected_before = true;
                    self.talk(link).await;
                }
                Err(error) => tracing::debug!("no connection for phones: {error:#}"),
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
        let night = &self.shared.night;
        let answered = |event| self.shared.know(event, |known| !known.receipts.is_empty());
        let due = self.live.iter().take_while(|event| night.events[**event].send_from <= present);
        let mut due = due.enumerate();
        let ready = due.find(|(_, event)| night.events[**event].after.is_none_or(answered));
        ready
            .map(|(place, _)| Next::Live(place))
            .or_else(|| (!self.past.is_empty()).then_some(Next::Past))
    }

    fn take(&mut self, next: Next) -> Option<usize> {
        match next {
            Next::Again(event) => Some(event),
            Next::Live(place) => {
                let event = self.live.remove(place)?;
                if self.duplicates && self.rng.random_bool(DUPLICATES) {
                    self.past.push_back(event);
                }
                Some(event)
            }
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
