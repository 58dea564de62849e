//! What the daemon counts, for Prometheus.
//!
//! Whoever does something says so here: after the commit, and never before. Labels are words of the
//! program and the ids of configured contracts, so there are no more of them than those, and nothing
//! here is about a person. Each daemon counts for itself, from its start.

pub mod page;
pub mod scrape;
pub mod text;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant as Tick;

use self::text::Histogram;
use crate::clock;
use crate::domain::alert::AlertKind;
use crate::domain::instant::Instant;
use crate::domain::refs::ContractId;
use crate::ingest::Tally;
use crate::store::alerts::Raised;
use crate::wire::rejection::RejectCode;

/// From what happened to its commit: phones may be without a network for hours.
const LAG: [f64; 13] =
    [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];
/// What the machine does by itself.
const WORK: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// How late alerts are: a second is promised.
const LATENESS: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 300.0, 1_800.0];

/// The counts of one daemon.
#[derive(Debug)]
pub struct Metrics {
    counts: Mutex<Counts>,
    started_at: Instant,
}

#[derive(Debug)]
struct Counts {
    accepted: u64,
    duplicate: u64,
    rejected: BTreeMap<RejectCode, u64>,
    event_lag: Histogram,
    receipt_to_commit: Histogram,
    raised: BTreeMap<AlertKind, u64>,
    lateness: Histogram,
    transactions: BTreeMap<&'static str, Histogram>,
    database_failures: u64,
    blind: BTreeMap<ContractId, Blind>,
    requests: BTreeMap<Request, u64>,
    request_durations: BTreeMap<String, Histogram>,
}

/// A contract's blindness.
#[derive(Debug, Clone, Copy, Default)]
struct Blind {
    /// Since when it lasts, if it does.
    since: Option<Tick>,
    /// How long the earlier ones were.
    before: Duration,
}

impl Blind {
    fn so_far(&self, now: Tick) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| now - since)
    }
}

/// What was asked for by HTTP, and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// The route as the program has it, with names instead of references.
    pub route: String,
    /// The method.
    pub method: &'static str,
    /// The status of the answer.
    pub status: u16,
}

impl Default for Metrics {
    fn default() -> Self {
        let counts = Counts {
            accepted: 0,
            duplicate: 0,
            rejected: RejectCode::ALL.iter().map(|code| (*code, 0)).collect(),
            event_lag: Histogram::new(&LAG),
            receipt_to_commit: Histogram::new(&WORK),
            raised: AlertKind::ALL.iter().map(|kind| (*kind, 0)).collect(),
            lateness: Histogram::new(&LATENESS),
            transactions: BTreeMap::new(),
            database_failures: 0,
            blind: BTreeMap::new(),
            requests: BTreeMap::new(),
            request_durations: BTreeMap::new(),
        };
        Self { counts: Mutex::new(counts), started_at: clock::now() }
    }
}

impl Metrics {
    /// A transaction for work of that kind was committed, and took so long.
    pub fn committed(&self, work: &'static str, took: Duration) {
        let mut counts = self.counts();
        counts.transactions.entry(work).or_insert_with(|| Histogram::new(&WORK)).observe(took);
    }

    /// Messages were recorded at `now`, which had been received then.
    pub fn recorded(&self, tally: &Tally, received: impl Iterator<Item = Instant>, now: Instant) {
        let mut counts = self.counts();
        counts.duplicate += tally.duplicate;
        for occurred_at in &tally.accepted {
            counts.accepted += 1;
            counts.event_lag.observe(since(*occurred_at, now));
        }
        for code in &tally.rejected {
            *counts.rejected.entry(*code).or_default() += 1;
        }
        for received_at in received {
            counts.receipt_to_commit.observe(since(received_at, now));
        }
    }

    /// Alerts were raised at `now`.
    pub fn raised(&self, raised: &[Raised], now: Instant) {
        let mut counts = self.counts();
        for Raised { kind, due_at } in raised {
            *counts.raised.entry(*kind).or_default() += 1;
            if let Some(due_at) = due_at {
                counts.lateness.observe(since(*due_at, now));
            }
        }
    }

    /// A transaction has failed, and is tried again.
    pub fn database_failed(&self) {
        self.counts().database_failures += 1;
    }

    /// The daemon is blind for a contract (R25), or is not.
    pub fn sees(&self, contract: &ContractId, blind: bool) {
        self.sees_at(contract, blind, Tick::now());
    }

    fn sees_at(&self, contract: &ContractId, blind: bool, now: Tick) {
        let mut counts = self.counts();
        if let Some(known) = counts.blind.get_mut(contract) {
            if blind != known.since.is_some() {
                known.before = known.so_far(now);
                known.since = blind.then_some(now);
            }
        } else {
            let since = blind.then_some(now);
            counts.blind.insert(contract.clone(), Blind { since, before: Duration::ZERO });
        }
    }

    /// A request was answered, after so long.
    pub fn answered(&self, request: Request, took: Duration) {
        let mut counts = self.counts();
        let durations = &mut counts.request_durations;
        if let Some(durations) = durations.get_mut(&request.route) {
            durations.observe(took);
        } else {
            let mut first = Histogram::new(&WORK);
            first.observe(took);
            durations.insert(request.route.clone(), first);
        }
        *counts.requests.entry(request).or_default() += 1;
    }

    /// What the lock guards is whole after each statement.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long ago that was at `now`; nothing if it is still to come, by a clock that goes wrong.
fn since(at: Instant, now: Instant) -> Duration {
    (now - at).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blind_seconds_add_up() {
        let (metrics, contract, start) = (Metrics::default(), "a".parse().unwrap(), Tick::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let so_far = |now| metrics.counts().blind[&contract].so_far(at(now)).as_secs();
        metrics.sees_at(&contract, true, at(0));
        assert_eq!(so_far(7), 7, "while it lasts");
        metrics.sees_at(&contract, true, at(7));
        metrics.sees_at(&contract, false, at(8));
        assert_eq!(so_far(100), 8);
        metrics.sees_at(&contract, true, at(100));
        assert_eq!(so_far(102), 10);
    }
}
