//! The judge of a night: whether anything is missing, doubled, false or late.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use nightrun::domain::instant::Instant;
use serde_json::Value;

use crate::fleet::{Book, id};
use crate::night::{Night, could_tell};
use crate::support::daemon::Daemon;

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
    /// Nobody has come, and nobody need have: raised by a clock that was wrong, and over.
    TakenBack,
    /// Raised, whether the daemon could see or not.
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
            Self::TakenBack => &["1 over"],
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

impl Night {
    /// Waits until all is answered; then nothing may be missing, doubled or false.
    pub async fn judge(&self, daemon: &Daemon) {
        self.fleet.is_answered().await;
        for (visit, expected) in &self.watched {
            if !expected.allows().contains(&"") {
                self.ear.until(visit, "tolerance", "open").await;
            }
            if matches!(expected, Expected::Over | Expected::TakenBack) {
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
        let alerts = "SELECT COALESCE(visit_ref, '-') || ' ' || kind || '=' || \
                      CASE WHEN message LIKE '%\"unconfirmed\":true%' THEN 1 ELSE 0 END \
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
        let ids = self.installation.texts("SELECT id FROM alert WHERE told = 1").await;
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
            assert!(at - from <= self.late_at_most, "heard {} late: {alert}", at - from);
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
