//! The account of a night as text, and its messages as CSV.

use std::borrow::Cow;
use std::fmt::Write;

use crate::domain::instant::format_seconds;
use crate::domain::refs::ContractId;
use crate::ledger::{Entry, Fate, InVisit, Ledger};

/// The columns of the messages, in order.
pub const COLUMNS: [&str; 17] = [
    "contract",
    "night",
    "received_at",
    "sender",
    "message",
    "says",
    "times",
    "went",
    "client_ref",
    "visit_ref",
    "part",
    "status",
    "service",
    "service_level",
    "start_date",
    "alerts",
    "receipt",
];

/// The account: the sums, each message if wanted, what has not arrived or is not done yet, what does
/// not agree, and the verdict.
#[must_use]
pub fn text(ledger: &Ledger, messages: bool) -> String {
    let mut text = String::new();
    // Writing to memory does not fail.
    let _ = write(&mut text, ledger, messages);
    text
}

fn write(out: &mut String, ledger: &Ledger, messages: bool) -> std::fmt::Result {
    let (arrived, went) = (ledger.arrived, ledger.went);
    let at = format_seconds(ledger.at);
    match &ledger.contract {
        Some(contract) => writeln!(out, "contract {contract}, night of {}, at {at}", ledger.night)?,
        None => writeln!(out, "no contract of the daemon's, {} UTC, at {at}", ledger.night)?,
    }
    let mut line = |name: &str, number: i64| writeln!(out, "{number:>9}  {name}");
    line("messages arrived, of which", arrived.accepted + arrived.duplicate + arrived.rejected)?;
    line("  accepted", arrived.accepted)?;
    line("  duplicates", arrived.duplicate)?;
    line("  rejected", arrived.rejected)?;
    if ledger.contract.is_some() {
        line("states of units", arrived.status)?;
        line("events are kept, of which", went.events)?;
        line("  in planned visits", went.planned)?;
        line("  in unplanned visits", went.unplanned)?;
        line("  unplaced", went.unplaced)?;
        line("duplicates are counted at their events", went.duplicates)?;
    }
    line("rejected messages are kept", went.rejected)?;
    if ledger.contract.is_some() {
        line("visits, of which", went.counted + went.provisional + went.void)?;
        line("  count in Schedule 3", went.counted)?;
        line("  are provisional", went.provisional)?;
        line("  are void", went.void)?;
        line("rows of Schedule 3", went.rows)?;
        line("alerts, of which", went.alerts)?;
        line("  are open", went.open)?;
        line("receipts not yet sent", went.receipts_waiting)?;
    }
    if messages {
        for entry in &ledger.entries {
            writeln!(out, "{}", message(entry))?;
        }
    }
    for gap in &ledger.gaps {
        writeln!(out, "{gap}")?;
    }
    for waiting in &ledger.waiting {
        writeln!(out, "not yet done: {waiting}")?;
    }
    for fault in &ledger.faults {
        writeln!(out, "DISAGREES: {fault}")?;
    }
    writeln!(out, "{}", verdict(ledger))
}

/// One line on whether the account agrees.
#[must_use]
pub fn verdict(ledger: &Ledger) -> String {
    let arrived = ledger.arrived;
    match ledger.faults.len() {
        0 => format!(
            "the ledger agrees: {} messages = {} events + {} duplicates + {} rejected",
            arrived.accepted + arrived.duplicate + arrived.rejected,
            arrived.accepted,
            arrived.duplicate,
            arrived.rejected
        ),
        1 => "the ledger does not agree: 1 disagreement".to_owned(),
        number => format!("the ledger does not agree: {number} disagreements"),
    }
}

fn message(entry: &Entry) -> String {
    let sender = entry.sender.as_deref().unwrap_or("unknown sender");
    let said = match &entry.event_id {
        Some(id) => format!("{id} {sender} {}", entry.says),
        None => format!("{sender} {}", entry.says),
    };
    let times = if entry.times == 1 { String::new() } else { format!(" ({} times)", entry.times) };
    let receipt = if entry.receipt_waiting { ", receipt not yet sent" } else { "" };
    let went = match &entry.went {
        Fate::Rejected(row) => format!("rejected message {row}"),
        Fate::Unplaced => "unplaced".to_owned(),
        Fate::Visit(visit) => in_visit(visit),
    };
    format!("{said}{times} -> {went}{receipt}")
}

fn in_visit(visit: &InVisit) -> String {
    let row = match &visit.row {
        Some(row) => format!(
            "Schedule 3: {}, {}, {}, week of {}{}",
            row.service,
            row.service_level,
            row.client,
            row.start_date,
            if visit.status.is_final() { "" } else { " (provisional)" }
        ),
        None => "in no row".to_owned(),
    };
    let alerts = match visit.alerts.as_slice() {
        [] => "no alerts".to_owned(),
        alerts => format!("alerts: {}", alerts.join(", ")),
    };
    format!("{} of {} ({}) -> {row} -> {alerts}", visit.part, visit.visit_ref, visit.status)
}

/// The messages of accounts, with a header.
pub fn csv<'a>(ledgers: impl IntoIterator<Item = &'a Ledger>) -> Vec<u8> {
    let mut writer = super::csv_writer();
    super::csv_row(&mut writer, COLUMNS.map(Cow::from));
    for ledger in ledgers {
        for entry in &ledger.entries {
            super::csv_row(&mut writer, cells(ledger, entry));
        }
    }
    super::csv_bytes(writer)
}

fn cells<'a>(ledger: &'a Ledger, entry: &'a Entry) -> [Cow<'a, str>; 17] {
    let (went, visit) = match &entry.went {
        Fate::Rejected(_) => ("rejected", None),
        Fate::Unplaced => ("unplaced", None),
        Fate::Visit(visit) if visit.planned => ("planned", Some(visit)),
        Fate::Visit(visit) => ("unplanned", Some(visit)),
    };
    let name = match &entry.went {
        Fate::Rejected(row) if entry.event_id.is_none() => row.to_string().into(),
        _ => entry.event_id.as_deref().unwrap_or_default().into(),
    };
    let row = visit.and_then(|visit| visit.row.as_ref());
    [
        ledger.contract.as_ref().map_or("", ContractId::as_str).into(),
        super::visits::night(ledger.night).into(),
        super::visits::seconds(entry.received_at),
        entry.sender.as_deref().unwrap_or_default().into(),
        name,
        entry.says.as_str().into(),
        entry.times.to_string().into(),
        went.into(),
        visit.map_or("", |visit| visit.client.as_str()).into(),
        visit.map_or("", |visit| visit.visit_ref.as_str()).into(),
        visit.map_or("", |visit| visit.part).into(),
        visit.map_or("", |visit| visit.status.as_str()).into(),
        row.map_or("".into(), |row| super::harmless(&row.service)),
        row.map_or("".into(), |row| super::harmless(&row.service_level)),
        row.map_or(String::new(), |row| super::visits::night(row.start_date)).into(),
        visit.map_or(String::new(), |visit| visit.alerts.join(";")).into(),
        if entry.receipt_waiting { "waiting".into() } else { "".into() },
    ]
}
