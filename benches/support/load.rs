//! The load generator: phones that send what their scripts say and wait for the receipts.
//!
//! It shares the machine with what it measures, so it is lean: one thread, payloads made beforehand,
//! MQTT written by hand. Every receipt is matched to its event by id; a run in which an event has no
//! receipt, or another than it must have, is an error and no figure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use super::mqtt::{self, Packet};

/// Filters of one SUBSCRIBE.
const FILTERS_MAX: usize = 100;
/// The longest that connecting and subscribing may take.
const CONNECT_WITHIN: Duration = Duration::from_mins(1);
/// What is read at once.
const READ_BYTES: usize = 16 * 1024;

/// What one phone says, as packets that lack nothing but their identifiers.
#[derive(Default)]
pub struct Script {
    /// The topics of its receipts.
    pub receipts: Vec<String>,
    packets: Vec<u8>,
    events: Vec<Scripted>,
}

struct Scripted {
    id: u128,
    /// Where its packet begins.
    start: usize,
    /// Where its identifier stands.
    identifier: usize,
    /// Its place among the events of all phones, which take turns.
    place: usize,
}

impl Script {
    /// Adds an event.
    pub fn add(&mut self, id: Uuid, topic: &str, payload: &[u8]) {
        let start = self.packets.len();
        let identifier = mqtt::publish(&mut self.packets, topic, payload) - start;
        self.events.push(Scripted { id: id.as_u128(), start, identifier, place: 0 });
    }

    pub fn events(&self) -> usize {
        self.events.len()
    }

    pub fn bytes(&self) -> usize {
        self.packets.len()
    }

    fn packet(&self, number: usize) -> &[u8] {
        let end = self.events.get(number + 1).map_or(self.packets.len(), |next| next.start);
        &self.packets[self.events[number].start..end]
    }
}

/// How the scripts are played.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Where the broker is.
    pub port: u16,
    /// Events that one phone may have sent that have no receipt.
    pub unanswered_max: usize,
    /// Events that one phone may have sent that have no PUBACK.
    pub unacknowledged_max: usize,
    /// Events a second, of all phones together; none sends as many as go.
    pub pace: Option<u32>,
    /// How many in a hundred events are sent a second time, after their receipt.
    pub repeated_percent: u64,
    /// Whether receipts are waited for; otherwise PUBACKs are.
    pub receipts: bool,
    /// How long a phone that waits may hear nothing before the run is an error.
    pub patience: Duration,
}

impl Default for Rules {
    /// As many as go, a few of each phone at a time.
    fn default() -> Self {
        Self {
            port: 0,
            unanswered_max: 10,
            unacknowledged_max: usize::MAX,
            pace: None,
            repeated_percent: 0,
            receipts: true,
            patience: Duration::from_mins(1),
        }
    }
}

/// How far all phones have come.
#[derive(Debug, Default)]
pub struct Progress {
    /// Events with a PUBACK.
    pub acknowledged: AtomicUsize,
    /// Receipts.
    pub answered: AtomicUsize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Played {
    /// From the first event to the last answer.
    pub took: Duration,
    /// Events that were sent, repeated ones left aside.
    pub events: usize,
    /// Events that were sent again.
    pub repeated: usize,
    /// Receipts that were nobody's: said twice.
    pub surplus: usize,
    /// From sending to the answer, in microseconds, unsorted.
    pub latencies: Vec<u32>,
    /// When each answer came, in milliseconds from the beginning.
    pub answered_at: Vec<u32>,
    /// The most that an event was sent later than its pace demands.
    pub behind: Duration,
}

impl Played {
    /// Events that were answered in a second, on average over the whole time.
    pub fn rate(&self) -> f64 {
        count(self.latencies.len()) / self.took.as_secs_f64()
    }

    fn join(&mut self, other: Self) {
        self.took = self.took.max(other.took);
        self.events += other.events;
        self.repeated += other.repeated;
        self.surplus += other.surplus;
        self.latencies.extend(other.latencies);
        self.answered_at.extend(other.answered_at);
        self.behind = self.behind.max(other.behind);
    }
}

/// A number of things, to be divided.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
pub fn count(number: usize) -> f64 {
    number as f64
}

/// Phones that are connected and hear their receipts.
pub struct Phones(Vec<Phone>);

impl Phones {
    /// Connects a phone for each script.
    pub async fn connect(mut scripts: Vec<Script>, rules: Rules) -> anyhow::Result<Self> {
        take_turns(&mut scripts);
        let mut phones = Vec::with_capacity(scripts.len());
        for (number, script) in scripts.into_iter().enumerate() {
            let phone = timeout(CONNECT_WITHIN, Phone::connect(number, script, rules));
            phones.push(phone.await.context("a phone waits in vain for the broker")??);
        }
        Ok(Self(phones))
    }

    /// Plays the scripts to their end.
    pub async fn play(self, progress: &Arc<Progress>) -> anyhow::Result<Played> {
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for phone in self.0 {
            tasks.spawn(phone.play(began, Arc::clone(progress)));
        }
        let mut all = Played::default();
        while let Some(played) = tasks.join_next().await {
            all.join(played??);
        }
        Ok(all)
    }
}

/// Each phone's first event comes before any phone's second.
fn take_turns(scripts: &mut [Script]) {
    let mut next = 0;
    let longest = scripts.iter().map(Script::events).max().unwrap_or(0);
    for turn in 0..longest {
        for event in scripts.iter_mut().filter_map(|script| script.events.get_mut(turn)) {
            event.place = next;
            next += 1;
        }
    }
}

/// What a phone knows of an event that has no receipt.
struct Unanswered {
    number: usize,
    sent: Instant,
    again: bool,
}

struct Phone {
    stream: TcpStream,
    script: Script,
    rules: Rules,
    /// The next event that has never been sent.
    next: usize,
    /// Events that are to be sent again.
    again: Vec<usize>,
    unanswered: HashMap<u128, Unanswered>,
    unacknowledged: usize,
    /// When the events without a PUBACK were sent, by identifier; only if PUBACKs are the answer.
    asked: HashMap<u16, Instant>,
    identifier: u16,
    out: Vec<u8>,
    read: Vec<u8>,
    /// How much of it is there.
    filled: usize,
    played: Played,
}

impl Phone {
    async fn connect(number: usize, script: Script, rules: Rules) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", rules.port)).await?;
        stream.set_nodelay(true)?;
        let mut this = Self {
            stream,
            script,
            rules,
            next: 0,
            again: Vec::new(),
            unanswered: HashMap::new(),
            unacknowledged: 0,
            asked: HashMap::new(),
            identifier: 0,
            out: Vec::new(),
            read: vec![0; READ_BYTES],
            filled: 0,
            played: Played::default(),
        };
        mqtt::connect(&mut this.out, &format!("phone-{number}"));
        let topics = std::mem::take(&mut this.script.receipts);
        let mut waits_for = 1;
        for filters in topics.chunks(FILTERS_MAX).filter(|_| rules.receipts) {
            mqtt::subscribe(&mut this.out, waits_for, filters.iter().map(String::as_str));
            waits_for += 1;
        }
        while waits_for > 0 {
            this.write().await?;
            this.hear().await?;
            while let Some((packet, length)) = mqtt::first(&this.read[..this.filled])? {
                match packet {
                    Packet::ConnAck(0) => {}
                    Packet::SubAck(codes) if codes.iter().all(|code| *code < 0x80) => {}
                    other => bail!("the broker refuses a phone: {other:?}"),
                }
                waits_for -= 1;
                this.forget(length);
            }
        }
        Ok(this)
    }

    async fn write(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        Ok(())
    }

    /// Reads what there is.
    async fn hear(&mut self) -> anyhow::Result<()> {
        if self.filled == self.read.len() {
            self.read.resize(2 * self.filled, 0);
        }
        let read = self.stream.read(&mut self.read[self.filled..]).await?;
        ensure!(read > 0, "the broker has ended a phone's connection");
        self.filled += read;
        Ok(())
    }

    fn forget(&mut self, bytes: usize) {
        self.read.copy_within(bytes..self.filled, 0);
        self.filled -= bytes;
    }

    async fn play(mut self, began: Instant, progress: Arc<Progress>) -> anyhow::Result<Played> {
        self.played.latencies.reserve(self.script.events());
        self.played.answered_at.reserve(self.script.events());
        loop {
            let due = self.send(began);
            if !self.out.is_empty() {
                self.write().await?;
            }
            if self.is_done() {
                self.played.events = self.next;
                return Ok(self.played);
            }
            let patience = Instant::now() + self.rules.patience;
            let until = due.unwrap_or(patience).min(patience);
            let heard = tokio::time::timeout_at(until.into(), self.hear()).await;
            match heard {
                Ok(heard) => heard?,
                Err(_) if until == patience => bail!(
                    "{} events of a phone have had no receipt, {} no PUBACK, for {:?}",
                    self.unanswered.len(),
                    self.unacknowledged,
                    self.rules.patience
                ),
                Err(_) => continue,
            }
            self.read_all(began, &progress)?;
        }
    }

    fn is_done(&self) -> bool {
        self.next == self.script.events()
            && self.again.is_empty()
            && self.unanswered.is_empty()
            && self.unacknowledged == 0
    }

    /// Writes what may be sent now. When there is more to be sent, if time alone decides that.
    fn send(&mut self, began: Instant) -> Option<Instant> {
        let mut now = None;
        while self.unanswered.len() < self.rules.unanswered_max
            && self.unacknowledged < self.rules.unacknowledged_max
        {
            if let Some(number) = self.again.pop() {
                self.publish(number, true, *now.get_or_insert_with(Instant::now));
                continue;
            }
            if self.next == self.script.events() {
                return None;
            }
            if let Some(pace) = self.rules.pace {
                let place = self.script.events[self.next].place;
                let due = began + Duration::from_secs_f64(count(place) / f64::from(pace));
                let late = now.get_or_insert_with(Instant::now).checked_duration_since(due);
                let Some(late) = late else { return Some(due) };
                self.played.behind = self.played.behind.max(late);
            }
            self.publish(self.next, false, *now.get_or_insert_with(Instant::now));
            self.next += 1;
        }
        None
    }

    fn publish(&mut self, number: usize, again: bool, sent: Instant) {
        self.identifier = self.identifier.checked_add(1).unwrap_or(1);
        let at = self.out.len() + self.script.events[number].identifier;
        self.out.extend_from_slice(self.script.packet(number));
        self.out[at..at + 2].copy_from_slice(&self.identifier.to_be_bytes());
        self.unacknowledged += 1;
        if self.rules.receipts {
            let id = self.script.events[number].id;
            self.unanswered.insert(id, Unanswered { number, sent, again });
        } else {
            self.asked.insert(self.identifier, sent);
        }
    }

    /// Looks at all packets that have come as a whole.
    fn read_all(&mut self, began: Instant, progress: &Progress) -> anyhow::Result<()> {
        let now = Instant::now();
        let mut from = 0;
        while let Some((packet, length)) = mqtt::first(&self.read[from..self.filled])? {
            match packet {
                Packet::PubAck(identifier) => {
                    self.unacknowledged -= 1;
                    progress.acknowledged.fetch_add(1, Ordering::Relaxed);
                    if let Some(sent) = self.asked.remove(&identifier) {
                        self.played.answered(began, sent, now);
                    }
                }
                Packet::Publish { packet, payload } => {
                    if let Some(identifier) = packet {
                        mqtt::puback(&mut self.out, identifier);
                    }
                    let (id, status) = receipt(payload)?;
                    match self.unanswered.entry(id) {
                        Entry::Occupied(entry) => {
                            let Unanswered { number, sent, again } = entry.remove();
                            let right = if again { b'd' } else { b'a' };
                            ensure!(status == right, "{}", String::from_utf8_lossy(payload));
                            self.played.answered(began, sent, now);
                            progress.answered.fetch_add(1, Ordering::Relaxed);
                            if !again && u64::try_from(id % 100)? < self.rules.repeated_percent {
                                self.played.repeated += 1;
                                self.again.push(number);
                            }
                        }
                        Entry::Vacant(_) => self.played.surplus += 1,
                    }
                }
                Packet::ConnAck(_) | Packet::SubAck(_) | Packet::Other => {}
            }
            from += length;
        }
        self.forget(from);
        Ok(())
    }
}

impl Played {
    fn answered(&mut self, began: Instant, sent: Instant, now: Instant) {
        self.took = now - began;
        let micros = u32::try_from((now - sent).as_micros()).unwrap_or(u32::MAX);
        let millis = u32::try_from((now - began).as_millis()).unwrap_or(u32::MAX);
        self.latencies.push(micros);
        self.answered_at.push(millis);
    }
}

/// The event that a receipt is about, and the first letter of its status.
fn receipt(payload: &[u8]) -> anyhow::Result<(u128, u8)> {
    let after = |key: &[u8]| {
        let at = payload.windows(key.len()).position(|found| found == key)?;
        payload.get(at + key.len()..)
    };
    let found = after(b"\"event_id\":\"").and_then(|id| id.get(..36)).zip(after(b"\"status\":\""));
    let (id, status) =
        found.with_context(|| format!("no receipt: {}", String::from_utf8_lossy(payload)))?;
    Ok((Uuid::try_parse_ascii(id)?.as_u128(), status.first().copied().unwrap_or_default()))
}
