//! The phones: each keeps an event until its receipt has come, and sends it again with growing
//! pauses, for ever, over connections that come and go.
//!
//! A connection carries several phones. Guarantees the protocol's part of an app: a clean session,
//! receipts subscribed to before anything is sent, the same content on every retry.

mod connection;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::task::JoinSet;
use tokio::time::{Instant as Tick, sleep_until, timeout};

use self::connection::Connection;
use super::night::Night;
use super::script::Fault;
use crate::domain::event::Sender;
use crate::domain::instant::Instant;
use crate::mqtt::BrokerSession;
use crate::wire::receipt::Receipt;

/// How often a connection looks whether there is something to send again.
const LOOK_EVERY: Duration = Duration::from_millis(200);
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
    pub faults: BTreeSet<Fault>,
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
