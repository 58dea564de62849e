//! One night: a plan, phones, somebody who hears the alerts, and the judge of it all.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};

use chrono::{DateTime, TimeDelta};
use nightrun::clock;
use nightrun::domain::instant::Instant;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::ear::Ear;
use crate::fleet::{Book, Fleet, Habits, id};
use crate::support::daemon::{Daemon, Installation, VISITS, text};

/// How long after its instant an alert may be heard, once the daemon can see.
const LATE_AT_MOST: TimeDelta = TimeDelta::seconds(1);
/// The default of `tolerance_minutes`.
const TOLERANCE: TimeDelta = TimeDelta::minutes(15);

/// What must become of the alert `tolerance` of a visit whose instant has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Somebody came, and the broker had that in time: none.
    Nothing,
    /// Somebody came, but could not say so in time: none or, if the daemon could not see either, one
    /// that says so, and is over.
    NothingFalse,
    /// Somebody came, and was alone in not being able to say so in time: raised, and over.
    Over,
    /// Nobody came: raised.
    Raised,
    /// Nobody came, and the daemon could not see: raised as soon as it can, and says so.
    Unconfirmed,
    /// One of the last two.
    Told,
}

impl Expected {
    /// How an alert may be: whether it is unconfirmed, and how it has ended. Empty: there is none.
    fn allows(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &[""],
            Self::NothingFalse => &["", "1 staffed"],
            Self::Over => &["0 staffed"],
            Self::Raised => &["0 -"],
            Self::Unconfirmed => &["1 -"],
            Self::Told => &["0 -", "1 -"],
        }
    }
}

/// What the broker's word for a message means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Puback {
    /// That it is committed: the broker inside.
    Committed,
    /// That the broker has it.
    Queued,
}

/// A night in which things go wrong.
pub struct Night {
    pub installation: Installation,
    pub fleet: Fleet,
    pub ear: Ear,
    /// Visits that somebody attends, a while before anything is due.
    happened: usize,
    planned: usize,
    from: Instant,
    watched: BTreeMap<String, Expected>,
    /// When the last of them is due.
    due_at: Instant,
    /// Events that are not the fleet's.
    others_said: BTreeSet<String>,
    /// Since when the daemons before the last could see, and speak.
    could_tell: Vec<Instant>,
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

    /// Somebody else says these events as well, and is answered.
    pub fn others_said(&mut self, ids: impl IntoIterator<Item = String>) {
        self.others_said.extend(ids);
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

    /// Waits until all is answered; then nothing may be missing, doubled or false.
    pub async fn judge(&self, daemon: &Daemon) {
        self.fleet.is_answered().await;
        for (visit, expected) in &self.watched {
            if !expected.allows().contains(&"") {
                self.ear.until(visit, "tolerance", "open").await;
            }
            if *expected == Expected::Over {
                self.ear.until(visit, "tolerance", "resolved").await;
            }
        }
        self.every_event_is_stored_once().await;
        self.every_alert_is_right().await;
        self.alerts_are_in_time(daemon);
        self.visits_are_delivered();
        self.installation.ledger();
    }

    /// At any moment, and with the daemon dead: whatever was acknowledged is stored.
    pub async fn acknowledged_is_stored(&self, puback: Puback) {
        // In this order: what is acknowledged between the two has been stored before.
        let Book { acknowledged, answered, .. } = self.fleet.book();
        let stored = self.installation.texts("SELECT event_id FROM event").await;
        let stored: BTreeSet<String> = stored.into_iter().collect();
        let missing: Vec<_> = answered.difference(&stored).collect();
        assert!(missing.is_empty(), "receipts without their rows: {missing:?}");
        if puback == Puback::Committed {
            let missing: Vec<_> = acknowledged.difference(&stored).collect();
            assert!(missing.is_empty(), "PUBACKs without their rows: {missing:?}");
        }
    }

    async fn every_event_is_stored_once(&self) {
        let book = self.fleet.book();
        let stored = self.installation.texts("SELECT event_id FROM event").await;
        let once: BTreeSet<&String> = stored.iter().collect();
        assert_eq!(once.len(), stored.len(), "an event is stored twice");
        let said: BTreeSet<&String> = book.said.keys().chain(&self.others_said).collect();
        assert_eq!(once, said, "what is stored, and what was said");
        let rows = "SELECT event_id || ' ' || received_at FROM event";
        self.receipts_have_rows(&self.installation.texts(rows).await);
    }

    /// Each receipt is true of one of these rows, which are ids with the moments of receipt.
    pub fn receipts_have_rows(&self, rows: &[String]) {
        let rows: BTreeSet<&String> = rows.iter().collect();
        for receipt in &self.fleet.book().receipts {
            assert_ne!(receipt["status"], "rejected", "{receipt}");
            let at = receipt["received_at"].as_str().expect("text");
            let at = DateTime::parse_from_rfc3339(at).expect("an instant").timestamp_micros();
            let row = format!("{} {at}", id(receipt));
            assert!(rows.contains(&row), "without its row: {receipt}");
        }
    }

    /// The alerts in the database are those that are expected and no others, and each was heard.
    async fn every_alert_is_right(&self) {
        let alerts = "SELECT COALESCE(visit_ref, '-') || ' ' || kind || '=' || (message->>'unconfirmed') \
                      || ' ' || COALESCE(resolution, '-') FROM alert";
        let mut alerts = self.installation.texts(alerts).await;
        for (visit, expected) in &self.watched {
            let its = format!("{visit} tolerance=");
            let at = alerts.iter().position(|alert| alert.starts_with(&its));
            let found = at.map(|at| alerts.swap_remove(at)).unwrap_or_default();
            let found = found.trim_start_matches(&its);
            assert!(expected.allows().contains(&found), "{visit}: {found:?}, not {expected:?}");
        }
        assert!(alerts.is_empty(), "nobody expected these: {alerts:#?}");
        let ids = self.installation.texts("SELECT id FROM alert WHERE told").await;
        let ids: BTreeSet<String> = ids.into_iter().collect();
        let heard = self.ear.heard();
        let told: BTreeSet<String> = heard
            .iter()
            .map(|(_, alert)| alert["alert_id"].as_str().expect("text").into())
            .collect();
        assert_eq!(told, ids, "alerts that were heard, and those that are stored");
        // The same change of an alert says the same, however often it is said.
        let mut changes: BTreeMap<(String, String), &Value> = BTreeMap::new();
        for (_, alert) in &heard {
            let key = (alert["alert_id"].to_string(), alert["state"].to_string());
            assert_eq!(*changes.entry(key).or_insert(alert), alert, "said twice, differently");
        }
    }

    /// Each alert was heard in time, counted from when the daemon could see, and speak.
    fn alerts_are_in_time(&self, daemon: &Daemon) {
        let sees_since: Vec<Instant> = could_tell(daemon).chain(self.could_tell.clone()).collect();
        let mut opened = BTreeSet::new();
        for (at, alert) in self.ear.heard() {
            if alert["state"] != "open" || !opened.insert(alert["alert_id"].to_string()) {
                continue;
            }
            let due_at = alert["due_at"].as_str().expect("text");
            let due_at = DateTime::parse_from_rfc3339(due_at).expect("an instant").to_utc();
            let sees = sees_since.iter().filter(|since| **since <= at).max();
            let from = sees.map_or(due_at, |since| due_at.max(*since));
            assert!(at - from <= LATE_AT_MOST, "heard {} late: {alert}", at - from);
        }
    }

    fn visits_are_delivered(&self) {
        let log = self.installation.report("visits");
        let mut lines = log.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let columns = lines.next().expect("a header");
        let column = |name| columns.iter().position(|column| *column == name).expect("a column");
        let (name, status) = (column("visit_ref"), column("status"));
        let status: BTreeMap<&str, &str> = lines.map(|line| (line[name], line[status])).collect();
        for number in 0..self.happened {
            let visit = format!("V-{number:04}");
            assert_eq!(status.get(visit.as_str()), Some(&"delivered"), "{visit}");
        }
    }
}

/// What the daemon logs when it begins to see.
pub const SEES: &str = "the broker's backlog has been read";

/// Since when a daemon could see, and since when it could speak.
fn could_tell(daemon: &Daemon) -> impl Iterator<Item = Instant> + use<> {
    let lines =
        [SEES, "connected to the broker, to publish"].map(|words| daemon.times_logged(words));
    lines.into_iter().flatten().map(|(at, _)| at)
}

/// The lines of a log with these words, of which there must be so many.
pub fn says(daemon: &Daemon, words: &str, times: RangeInclusive<usize>) {
    let lines = daemon.times_logged(words);
    assert!(times.contains(&lines.len()), "{words:?} {} times: {lines:#?}", lines.len());
}
