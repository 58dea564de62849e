//! The page that Prometheus reads: each family, with its name and its help.

use tokio::time::Instant as Tick;

use super::text::{Kind, Page};
use super::{Metrics, Request};
use crate::domain::alert::AlertKind;
use crate::domain::instant::Instant;
use crate::health::Report;
use crate::store::outbox;

/// What the database holds at the moment.
#[derive(Debug, Clone, Default)]
pub struct Stock {
    /// How many alerts are open, by their kind.
    pub open: Vec<(AlertKind, i64)>,
    /// What waits to be published: how many rows, and since when the oldest does.
    pub waiting: Vec<(outbox::Kind, i64, Instant)>,
}

impl Metrics {
    /// The page at `now`. Without a `stock`, which the database did not give, its families are left out.
    #[must_use]
    pub fn page(&self, health: &Report, stock: Option<&Stock>, now: Instant) -> String {
        let mut page = Page::default();
        self.of_the_process(&mut page, health, stock.is_some());
        self.of_messages(&mut page);
        self.of_alerts(&mut page);
        if let Some(stock) = stock {
            stock.write(&mut page, now);
        }
        self.of_blindness(&mut page);
        self.of_the_database(&mut page);
        self.of_http(&mut page);
        page.into_text()
    }

    fn of_the_process(&self, page: &mut Page, health: &Report, readable: bool) {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        page.family("nightrun_build_info", Kind::Gauge, "The version of the program.")
            .sample(&version, 1);
        let help = "When the daemon started, in seconds since 1970.";
        let started_at = self.started_at.timestamp();
        page.family("process_start_time_seconds", Kind::Gauge, help).sample(&[], started_at);
        let help = "1 while the daemon has a session with the broker and has read its backlog.";
        page.family("nightrun_hears_broker", Kind::Gauge, help)
            .sample(&[], i32::from(health.hears));
        let help = "1 while the database takes what it is given.";
        page.family("nightrun_commits", Kind::Gauge, help).sample(&[], i32::from(health.commits));
        let help = "1 if the database was read for this page; if not, what it holds is left out.";
        page.family("nightrun_database_readable", Kind::Gauge, help)
            .sample(&[], i32::from(readable));
    }

    fn of_messages(&self, page: &mut Page) {
        let counts = self.counts();
        page.family("nightrun_events_total", Kind::Counter, "Events that were committed.")
            .sample(&[("result", "accepted")], counts.accepted)
            .sample(&[("result", "duplicate")], counts.duplicate);
        let help = "Messages that could not be used, by why; they are kept.";
        let mut family = page.family("nightrun_rejected_messages_total", Kind::Counter, help);
        for (code, count) in &counts.rejected {
            family.sample(&[("code", code.as_str())], count);
        }
        let help = "From the moment at which a device says that something happened to its commit.";
        page.family("nightrun_event_lag_seconds", Kind::Histogram, help)
            .histogram(&[], &counts.event_lag);
        let help = "From the receipt of a message to its commit.";
        page.family("nightrun_receipt_to_commit_seconds", Kind::Histogram, help)
            .histogram(&[], &counts.receipt_to_commit);
    }

    fn of_alerts(&self, page: &mut Page) {
        let counts = self.counts();
        let help = "Alerts that were raised and of which people are told.";
        let mut family = page.family("nightrun_alerts_raised_total", Kind::Counter, help);
        for (kind, count) in &counts.raised {
            let labels = [("kind", kind.as_str()), ("severity", kind.severity().as_str())];
            family.sample(&labels, count);
        }
        let help =
            "How long after its instant an alert was committed that time alone brought about.";
        page.family("nightrun_alert_lateness_seconds", Kind::Histogram, help)
            .histogram(&[], &counts.lateness);
    }

    fn of_blindness(&self, page: &mut Page) {
        let (counts, now) = (self.counts(), Tick::now());
        let help =
            "1 while silence proves nothing: the broker or the contract's phones are not heard.";
        let mut family = page.family("nightrun_blind", Kind::Gauge, help);
        for (contract, blind) in &counts.blind {
            let labels = [("contract", contract.as_str())];
            family.sample(&labels, i32::from(blind.since.is_some()));
        }
        let help = "For how long that was so since the daemon started.";
        let mut family = page.family("nightrun_blind_seconds_total", Kind::Counter, help);
        for (contract, blind) in &counts.blind {
            family.sample(&[("contract", contract.as_str())], blind.so_far(now).as_secs_f64());
        }
    }

    fn of_the_database(&self, page: &mut Page) {
        let counts = self.counts();
        let help = "How long a transaction took that was committed, by what it was for.";
        let name = "nightrun_transaction_duration_seconds";
        let mut family = page.family(name, Kind::Histogram, help);
        for (work, durations) in &counts.transactions {
            family.histogram(&[("work", work)], durations);
        }
        let help = "Transactions that failed and were tried again.";
        page.family("nightrun_database_failures_total", Kind::Counter, help)
            .sample(&[], counts.database_failures);
    }

    fn of_http(&self, page: &mut Page) {
        let counts = self.counts();
        let help = "Requests that were answered; of no route: none.";
        let mut family = page.family("nightrun_http_requests_total", Kind::Counter, help);
        for (Request { route, method, status }, count) in &counts.requests {
            let status = status.to_string();
            family.sample(&[("route", route), ("method", method), ("status", &status)], count);
        }
        let help = "How long the answer took to begin.";
        let name = "nightrun_http_request_duration_seconds";
        let mut family = page.family(name, Kind::Histogram, help);
        for (route, durations) in &counts.request_durations {
            family.histogram(&[("route", route)], durations);
        }
    }
}

impl Stock {
    fn write(&self, page: &mut Page, now: Instant) {
        let help = "Alerts that are open and of which people were told.";
        let mut family = page.family("nightrun_alerts_open", Kind::Gauge, help);
        for kind in AlertKind::ALL {
            let count = self.open.iter().find(|(open, _)| open == kind).map_or(0, |(_, n)| *n);
            let labels = [("kind", kind.as_str()), ("severity", kind.severity().as_str())];
            family.sample(&labels, count);
        }
        let waiting = |kind| self.waiting.iter().find(move |(waiting, ..)| *waiting == kind);
        let help = "Batches of messages that wait to be published.";
        let mut family = page.family("nightrun_outbox_rows", Kind::Gauge, help);
        for kind in outbox::Kind::ALL {
            let rows = waiting(*kind).map_or(0, |(_, rows, _)| *rows);
            family.sample(&[("kind", kind.as_str())], rows);
        }
        let help = "For how long the oldest of them has waited; 0 if there is none.";
        let mut family = page.family("nightrun_outbox_oldest_age_seconds", Kind::Gauge, help);
        for kind in outbox::Kind::ALL {
            let age = waiting(*kind).map(|(.., written_at)| super::since(*written_at, now));
            let age = age.unwrap_or_default().as_secs_f64();
            family.sample(&[("kind", kind.as_str())], age);
        }
    }
}
