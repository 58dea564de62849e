//! One night: a plan, phones, and somebody who hears the alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};

use chrono::TimeDelta;
use nightrun::clock;
use nightrun::domain::instant::Instant;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::ear::Ear;
use crate::fleet::{Fleet, Habits};
use crate::judge::Expected;
use crate::support::daemon::{Daemon, Installation, VISITS, text};

/// The default of `tolerance_minutes`.
const TOLERANCE: TimeDelta = TimeDelta::minutes(15);

/// A night in which things go wrong.
pub struct Night {
    pub installation: Installation,
    pub fleet: Fleet,
    pub ear: Ear,
    /// Visits that somebody attends, a while before anything is due.
    pub happened: usize,
    planned: usize,
    from: Instant,
    pub watched: BTreeMap<String, Expected>,
    /// When the last of them is due.
    due_at: Instant,
    /// Events that are not the fleet's.
    pub others_said: BTreeSet<String>,
    /// How long after its instant an alert may be heard, once the daemon can see.
    pub late_at_most: TimeDelta,
    /// Since when the daemons before the last could see, and speak.
    pub could_tell: Vec<Instant>,
}

/// A visit of half an hour to a client of its own.
fn visit(name: &str, start: Instant) -> String {
    let end = start + TimeDelta::minutes(30);
    format!("default,{name},Night care,Standard,client-{name},R-1,{},{},1", text(start), text(end))
}

/// What a phone says of a visit.
pub fn event(kind: &str, visit: &str, at: Instant) -> Value {
    json!({
        "event_id": uuid::Uuid::new_v4().to_string(), "type": kind, "visit_ref": visit,
        "occurred_at": text(at),
    })
}

impl Night {
    /// A plan with so many visits about now, and these phones and ears at the installation's port.
    /// The daemon has to run already.
    pub async fn begin(installation: Installation, visits: usize, habits: Habits) -> Self {
        let fleet = Fleet::start(8, installation.port, habits);
        let ear = Ear::to_alerts(installation.port).await;
        Self::with(installation, visits, fleet, ear)
    }

    /// As [`Self::begin`], with phones and an ear of one's own.
    pub fn with(installation: Installation, visits: usize, fleet: Fleet, ear: Ear) -> Self {
        let from = clock::now() - TimeDelta::minutes(5);
        let rows: Vec<String> =
            (0..visits).map(|number| visit(&format!("V-{number:04}"), from)).collect();
        installation.import("visits", VISITS, &rows);
        let watched = BTreeMap::new();
        Self {
            installation,
            fleet,
            ear,
            happened: 0,
            planned: visits,
            from,
            watched,
            due_at: from,
            others_said: BTreeSet::new(),
            late_at_most: TimeDelta::seconds(1),
            could_tell: Vec::new(),
        }
    }

    /// Plans a visit whose `tolerance` is due in so many seconds, or was so many ago.
    pub fn watch(&mut self, name: &str, due_in_seconds: i64, expected: Expected) {
        let due_at = clock::now() + TimeDelta::seconds(due_in_seconds);
        self.installation.import("visits", VISITS, &[visit(name, due_at - TOLERANCE)]);
        self.watched.insert(name.to_owned(), expected);
        self.due_at = self.due_at.max(due_at);
    }

    /// As many more visits as were planned first, about then; those that happen next are these.
    pub fn plan_more(&mut self, about: Instant) {
        assert_eq!(self.happened, self.planned, "the earlier ones would be missed");
        self.from = about - TimeDelta::minutes(5);
        let rows: Vec<String> = (0..self.planned)
            .map(|number| visit(&format!("V-{:04}", self.planned + number), self.from))
            .collect();
        self.installation.import("visits", VISITS, &rows);
        self.planned *= 2;
    }

    /// These visits are of another run now: their nights are to be looked at again.
    pub fn replan(&self, visits: Range<usize>) {
        let rows: Vec<String> = visits
            .map(|number| visit(&format!("V-{number:04}"), self.from).replace(",R-1,", ",R-2,"))
            .collect();
        self.installation.import("visits", VISITS, &rows);
    }

    /// Waits until the instants of all watched visits have passed.
    pub async fn all_due(&self) {
        sleep((self.due_at - clock::now()).to_std().unwrap_or_default()).await;
    }

    /// Somebody checks in at that visit now, and says so.
    pub fn comes(&self, name: &str) {
        self.fleet.say(0, event("check_in", name, clock::now()));
    }

    /// Kills a daemon; when it could tell is remembered for the judge.
    pub fn kill9(&mut self, daemon: Daemon) {
        self.could_tell.extend(could_tell(&daemon));
        daemon.kill9();
    }

    /// So many more visits happen: check-in, and check-out.
    pub fn happen(&mut self, visits: usize) {
        for number in self.next(visits) {
            self.say("check_in", number);
            self.say("check_out", number);
        }
    }

    /// So many more visits happen, of which the check-out is said first: those that are returned
    /// still have to be said to have begun.
    pub fn happen_ends(&mut self, visits: usize) -> Range<usize> {
        let ended = self.next(visits);
        for number in ended.clone() {
            self.say("check_out", number);
        }
        ended
    }

    pub fn happen_beginnings(&self, of: Range<usize>) {
        for number in of {
            self.say("check_in", number);
        }
    }

    fn next(&mut self, visits: usize) -> Range<usize> {
        let next = self.happened..self.happened + visits;
        assert!(next.end <= self.planned, "plan more visits");
        self.happened = next.end;
        next
    }

    fn say(&self, kind: &str, number: usize) {
        let minutes = if kind == "check_in" { 1 } else { 4 };
        let at = self.from + TimeDelta::minutes(minutes);
        let phone = number % self.fleet.number();
        self.fleet.say(phone, event(kind, &format!("V-{number:04}"), at));
    }
}

/// What the daemon logs when it begins to see.
pub const SEES: &str = "the broker's backlog has been read";

/// Since when a daemon could see, and since when it could speak.
pub fn could_tell(daemon: &Daemon) -> impl Iterator<Item = Instant> + use<> {
    let lines =
        [SEES, "connected to the broker, to publish"].map(|words| daemon.times_logged(words));
    lines.into_iter().flatten().map(|(at, _)| at)
}

/// The lines of a log with these words, of which there must be so many.
pub fn says(daemon: &Daemon, words: &str, times: RangeInclusive<usize>) {
    let lines = daemon.times_logged(words);
    assert!(times.contains(&lines.len()), "{words:?} {} times: {lines:#?}", lines.len());
}
