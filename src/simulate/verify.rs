//! Compares what the daemon made of a night with the truth: receipts, visit log, Schedule 3, alerts.
//!
//! Reads what finance reads, and the alerts of the database and of the broker. Every difference is
//! one line: what it is about, what was expected, what is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Context;
use chrono::{NaiveDate, TimeDelta};
use uuid::Uuid;

use super::ear::Listened;
use super::night::{Event, Night, Visit};
use super::phones::{Known, Played};
use super::script::{Answer, Says};
use super::truth::{Row, Truth};
use crate::domain::alert::{AlertKind, Resolution};
use crate::domain::instant::{Instant, format_seconds};
use crate::domain::plan::CancelledBy;
use crate::domain::refs::EventId;
use crate::domain::visit::Status;
use crate::store::audit::Raised;
use crate::wire::alert::State;
use crate::wire::receipt::{ReceiptStatus, VisitWord};
use crate::wire::rejection::RejectCode;

/// An event that the broker had so long before a deadline was there in time.
const ON_ITS_WAY: TimeDelta = TimeDelta::seconds(2);

/// What was found in the database.
pub struct Found {
    /// When each own event was received first.
    pub received: HashMap<EventId, Instant>,
    /// Own alerts.
    pub alerts: Vec<Raised>,
    /// The visit log, as it is given to finance.
    pub log: Vec<u8>,
    /// Schedule 3, as it is given to the council.
    pub schedule: Vec<u8>,
}

/// What is known besides.
#[derive(Default)]
pub struct Heard<'a> {
    /// What the phones know, if they have played.
    pub played: Option<&'a Played>,
    /// Events that the database had before they played.
    pub before: BTreeSet<EventId>,
    /// What was heard of alerts.
    pub listened: Option<Listened>,
    /// Alerts as the database had them before, by their ids: with their states.
    pub alerts_before: BTreeMap<Uuid, State>,
}

/// What was compared, and every difference.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Visits in the log.
    pub visits: usize,
    /// Events whose receipts are right.
    pub receipts: usize,
    /// Alerts.
    pub alerts: usize,
    /// Rows of Schedule 3.
    pub rows: usize,
    /// The differences.
    pub differences: Vec<String>,
}

impl Verdict {
    fn differs(&mut self, about: &str, expected: &str, is: &str) {
        self.differences.push(format!("{about}: expected {expected}, is {is}"));
    }
}

/// Compares everything.
///
/// # Errors
/// When a report cannot be read.
pub fn verify(truth: &Truth<'_>, found: &Found, heard: &Heard<'_>) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    events(truth, heard, &mut verdict);
    visits(truth, &found.log, &mut verdict)?;
    schedule(truth, &found.schedule, &mut verdict)?;
    alerts(truth, found, heard, &mut verdict);
    if let Some(listened) = &heard.listened {
        heard_alerts(found, listened, &heard.alerts_before, &mut verdict);
    }
    Ok(verdict)
}

/// The nights from the first to the last visit.
#[must_use]
pub fn nights(night: &Night, zone: chrono_tz::Tz) -> Option<(NaiveDate, NaiveDate)> {
    let of = |visit: &Visit| super::truth::night_of(zone, visit.start);
    Some((night.visits.iter().map(of).min()?, night.visits.iter().map(of).max()?))
}

fn is_kept(event: &Event, night: &Night) -> bool {
    night.visits[event.visit].script.truth.answer != Answer::WrongSender
}

fn events(truth: &Truth<'_>, heard: &Heard<'_>, verdict: &mut Verdict) {
    let night = truth.night;
    let mut own = BTreeSet::new();
    for (index, event) in night.events.iter().enumerate() {
        let id = event.payload.event_id;
        own.insert(id);
        let name = format!("event {id} ({})", night.visits[event.visit].script.name);
        match (truth.received(event), is_kept(event, night)) {
            (None, true) => verdict.differs(&name, "to be recorded", "not there"),
            (Some(_), false) => verdict.differs(&name, "to be rejected", "recorded"),
            _ => {}
        }
        if let Some(played) = heard.played {
            let before = verdict.differences.len();
            let known_before = heard.before.contains(&id);
            receipts(truth, event, &played.known[index], known_before, &name, verdict);
            verdict.receipts += usize::from(verdict.differences.len() == before);
        }
    }
    for id in truth.received.keys().filter(|id| !own.contains(id)) {
        verdict.differs(&format!("event {id}"), "none of that id", "recorded");
    }
}

/// What the phone was told of its event.
fn receipts(
    truth: &Truth<'_>,
    event: &Event,
    known: &Known,
    known_before: bool,
    name: &str,
    verdict: &mut Verdict,
) {
    let visit = &truth.night.visits[event.visit];
    if known.receipts.is_empty() {
        let is = format!("none, though it was sent {} times", known.sent);
        return verdict.differs(name, "a receipt", &is);
    }
    let answer = visit.script.truth.answer;
    let name_of_visit = visit.plan.as_ref().map(|plan| plan.visit_ref.clone());
    for receipt in &known.receipts {
        let says = format!(
            "a receipt {} {} {} {}",
            receipt.status,
            receipt.visit.map_or("-", VisitWord::as_str),
            receipt.visit_ref.as_ref().map_or("-", |visit| visit.as_str()),
            receipt.code.map_or("-", RejectCode::as_str),
        );
        if answer == Answer::WrongSender {
            if receipt.code != Some(RejectCode::WrongSender) {
                verdict.differs(name, "a receipt rejected wrong_sender", &says);
            }
            continue;
        }
        let again = known_before || known.sent > 1;
        let status = match receipt.status {
            ReceiptStatus::Accepted => !known_before,
            ReceiptStatus::Duplicate => again,
            ReceiptStatus::Rejected => false,
        };
        if !status {
            let expected = if known_before { "a receipt duplicate" } else { "a receipt accepted" };
            verdict.differs(name, expected, &says);
        }
        if truth.received(event) != Some(receipt.received_at) {
            verdict.differs(name, "its receipt to say when it was recorded", &says);
        }
        let unsure = visit.script.truth.passing.contains(&AlertKind::UnplannedVisit);
        let placed = match answer {
            Answer::Planned => {
                (receipt.visit == Some(VisitWord::Planned) && receipt.visit_ref == name_of_visit)
                    || (unsure && receipt.visit == Some(VisitWord::Unplanned))
            }
            Answer::Unplanned => receipt.visit == Some(VisitWord::Unplanned),
            Answer::Unplaced => receipt.visit == Some(VisitWord::Unplaced),
            Answer::WrongSender => true,
        };
        if !placed {
            let visit = name_of_visit.as_ref().map_or(String::new(), |visit| format!(" {visit}"));
            verdict.differs(name, &format!("a receipt about {answer:?}{visit}"), &says);
        }
    }
}

/// The rows of a file that belong to the night.
fn rows(bytes: &[u8], client: &str, prefix: &str) -> anyhow::Result<Vec<Row>> {
    let mut reader = csv::Reader::from_reader(bytes);
    let rows = reader.deserialize::<Row>().collect::<Result<Vec<_>, _>>();
    let rows = rows.context("a report of ours cannot be read")?;
    Ok(rows.into_iter().filter(|row| row[client].starts_with(prefix)).collect())
}

/// Each cell in which a row is not as expected.
fn compare(about: &str, expected: &Row, is: &Row, verdict: &mut Verdict) {
    for (column, value) in expected {
        let cell = is.get(column).map_or("", String::as_str);
        if cell != value {
            verdict.differs(&format!("{about}, {column}"), &quoted(value), &quoted(cell));
        }
    }
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "nothing".to_owned() } else { text.to_owned() }
}

fn visits(truth: &Truth<'_>, log: &[u8], verdict: &mut Verdict) -> anyhow::Result<()> {
    let mut is: BTreeMap<String, Row> = BTreeMap::new();
    for row in rows(log, "client_ref", &truth.night.prefix)? {
        is.insert(row["visit_ref"].clone(), row);
    }
    for visit in &truth.night.visits {
        let Some(expected) = truth.log_row(visit) else { continue };
        verdict.visits += 1;
        let name = &expected["visit_ref"];
        let about = format!("visit {name} ({})", visit.script.name);
        match is.remove(name) {
            None => verdict.differs(&about, "to be in the visit log", "not there"),
            Some(row) if truth.holds(visit) => compare(&about, &expected, &row, verdict),
            Some(_) => {}
        }
    }
    for (name, row) in is {
        let is = format!("{} at {}", row["status"], row["client_ref"]);
        verdict.differs(&format!("visit {name}"), "none of that name", &is);
    }
    Ok(())
}

fn schedule(truth: &Truth<'_>, schedule: &[u8], verdict: &mut Verdict) -> anyhow::Result<()> {
    let (expected, unknown) = truth.schedule();
    let columns = ["Service", "Service Level Type", "Client Reference", "Start Date"];
    let mut is: BTreeMap<[String; 4], Row> = BTreeMap::new();
    for row in rows(schedule, "Client Reference", &truth.night.prefix)? {
        is.insert(columns.map(|column| row[column].clone()), row);
    }
    for (key, expected) in &expected {
        verdict.rows += 1;
        let about = format!("Schedule 3 row {}", key.join(", "));
        match is.remove(key) {
            None => verdict.differs(&about, "to be there", "not there"),
            Some(row) if !unknown.contains(key) => compare(&about, expected, &row, verdict),
            Some(_) => {}
        }
    }
    for (key, row) in is.into_iter().filter(|(key, _)| !unknown.contains(key)) {
        let about = format!("Schedule 3 row {}", key.join(", "));
        verdict.differs(&about, "no such row", &row["Comments"]);
    }
    Ok(())
}

/// The alerts of the database, visit by visit.
fn alerts(truth: &Truth<'_>, found: &Found, heard: &Heard<'_>, verdict: &mut Verdict) {
    let night = truth.night;
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for (index, visit) in night.visits.iter().enumerate() {
        by_name.extend(visit.plan.as_ref().map(|plan| (plan.visit_ref.to_string(), index)));
        by_name.extend(
            visit
                .events
                .iter()
                .map(|&event| (format!("U-{}", night.events[event].payload.event_id), index)),
        );
    }
    let mut of_visits: BTreeMap<usize, Vec<&Raised>> = BTreeMap::new();
    for raised in &found.alerts {
        verdict.alerts += 1;
        let message = &raised.message;
        let Some(name) = &message.visit_ref else {
            // About a phone or a unit. A unit may fall silent long after the night.
            let silent = message.kind == AlertKind::DeviceOffline
                && truth.now > night.over_at + TimeDelta::hours(24);
            if message.resolution.is_none() && !silent {
                verdict.differs("a phone or unit", "no open alert", message.kind.as_str());
            }
            continue;
        };
        match by_name.get(name.as_str()) {
            Some(&visit) => of_visits.entry(visit).or_default().push(raised),
            None => verdict.differs(
                &format!("visit {name}"),
                "no alert, for there is no such visit",
                message.kind.as_str(),
            ),
        }
    }
    for (index, visit) in night.visits.iter().enumerate() {
        if truth.holds(visit) {
            let raised = of_visits.remove(&index).unwrap_or_default();
            alerts_of(truth, visit, &raised, heard, verdict);
        }
    }
}

fn alerts_of(
    truth: &Truth<'_>,
    visit: &Visit,
    raised: &[&Raised],
    heard: &Heard<'_>,
    verdict: &mut Verdict,
) {
    let script = visit.script;
    let name = truth.name(visit).unwrap_or_else(|| visit.client.to_string());
    let about = format!("alerts of {name} ({})", script.name);
    let elsewhere = visit
        .events
        .iter()
        .any(|&event| truth.seen_elsewhere(visit, &truth.night.events[event].carer));
    let stays = |kind: AlertKind| {
        script.truth.open.contains(&kind) && !(kind == AlertKind::OverdueCheckout && elsewhere)
    };
    for &kind in AlertKind::ALL {
        let of_kind = || raised.iter().map(|raised| &raised.message).filter(|m| m.kind == kind);
        let open: Vec<_> = of_kind().filter(|message| message.resolution.is_none()).collect();
        let over: Vec<_> = of_kind().filter_map(|m| Some((m, m.resolution?))).collect();
        match (open.as_slice(), stays(kind)) {
            ([], true) => verdict.differs(&about, &format!("{kind} open"), "not open"),
            ([one], true) => {
                if !due_as_it_must(truth, visit, kind, one.due_at) {
                    let due = format_seconds(one.due_at);
                    verdict.differs(&about, &format!("{kind} due by its rule"), &due);
                }
            }
            ([], false) => {}
            ([_], false) => verdict.differs(&about, &format!("no {kind}"), "open"),
            (several, _) => {
                let is = format!("{} open", several.len());
                verdict.differs(&about, &format!("one {kind} at most"), &is);
            }
        }
        let must_have_been = script.truth.over.contains(&kind);
        let may_have_been = must_have_been
            || script.truth.passing.contains(&kind)
            || (script.truth.open.contains(&kind) && !stays(kind));
        if must_have_been && over.is_empty() {
            verdict.differs(&about, &format!("{kind} raised, and over"), "never raised");
        }
        if !may_have_been && !over.is_empty() {
            verdict.differs(&about, &format!("never {kind}"), &format!("raised, {}", over[0].1));
        }
        let times = times_at_most(visit, kind);
        if over.len() > times {
            let is = format!("{} times", over.len());
            verdict.differs(&about, &format!("{kind} {times} times at most"), &is);
        }
        for (message, resolution) in &over {
            if may_have_been && !ends(kind).contains(resolution) {
                let expected = format!("{kind} over by {:?}", ends(kind));
                verdict.differs(&about, &expected, resolution.as_str());
            }
            let absence = ends(kind).contains(&Resolution::Staffed);
            if script.is_live()
                && absence
                && kind != AlertKind::NotDelivered
                && is_false_alarm(truth, visit, message.due_at, message.unconfirmed, heard)
            {
                verdict.differs(
                    &about,
                    &format!("no {kind}, for the report was there in time"),
                    &format!("raised, due {}", format_seconds(message.due_at)),
                );
            }
        }
    }
    ended_by_staffing(visit, raised, &about, verdict);
}

/// How an alert of that kind may end here, where no coordinator is.
fn ends(kind: AlertKind) -> &'static [Resolution] {
    match kind {
        AlertKind::Tolerance
        | AlertKind::Late
        | AlertKind::Missed
        | AlertKind::ShortStaffed
        | AlertKind::NotDelivered => {
            &[Resolution::Superseded, Resolution::Staffed, Resolution::Statement, Resolution::Over]
        }
        AlertKind::OverdueCheckout => {
            &[Resolution::CheckedOut, Resolution::SeenElsewhere, Resolution::Over]
        }
        _ => &[Resolution::Over],
    }
}

/// How often an alert of that kind can have been raised and have ended, at most.
fn times_at_most(visit: &Visit, kind: AlertKind) -> usize {
    let says = |what: Says| visit.script.deeds.iter().filter(|deed| deed.says == what).count();
    match kind {
        // Each check-in may be known before its check-out.
        AlertKind::OverdueCheckout => says(Says::In) + says(Says::InWithFamily),
        AlertKind::UnplannedVisit if visit.plan.is_some() => says(Says::In),
        // A statement that does not stand may come in between.
        AlertKind::Missed | AlertKind::ShortStaffed | AlertKind::Late | AlertKind::Tolerance => {
            1 + visit.script.deeds.iter().filter(|d| matches!(d.says, Says::Not(_))).count()
        }
        _ => 1,
    }
}

/// Where people came after all, the last of the alerts about their absence says so.
fn ended_by_staffing(visit: &Visit, raised: &[&Raised], about: &str, verdict: &mut Verdict) {
    if visit.script.truth.status != Status::Delivered {
        return;
    }
    let words: Vec<_> = raised
        .iter()
        .filter(|raised| raised.message.kind.is_exclusive())
        .filter_map(|raised| raised.message.resolution)
        .collect();
    let staffed = words.iter().filter(|word| **word == Resolution::Staffed).count();
    if !words.is_empty() && staffed != 1 {
        let is = format!("{words:?}");
        verdict.differs(about, "one of its alerts over because the visit was staffed", &is);
    }
}

/// Whether an alert that stays open is due at the instant of its rule (R21).
fn due_as_it_must(truth: &Truth<'_>, visit: &Visit, kind: AlertKind, due_at: Instant) -> bool {
    let minutes = TimeDelta::minutes;
    let after_start = |count| due_at == visit.start + minutes(count);
    let received = || {
        visit.events.iter().any(|&event| truth.received(&truth.night.events[event]) == Some(due_at))
    };
    let cancelled = visit.script.plan.and_then(|plan| plan.cancelled);
    match kind {
        AlertKind::Missed => match cancelled {
            Some((CancelledBy::Provider, before, _)) => {
                due_at == visit.start - TimeDelta::seconds(before)
            }
            _ => after_start(60) || received(),
        },
        AlertKind::ShortStaffed => after_start(60),
        AlertKind::OverdueCheckout => {
            visit.plan.as_ref().is_some_and(|plan| due_at == plan.end + minutes(60))
        }
        _ => received(),
    }
}

/// Whether all who were needed had reported before that instant, or the broker had their reports.
fn is_false_alarm(
    truth: &Truth<'_>,
    visit: &Visit,
    due_at: Instant,
    unconfirmed: bool,
    heard: &Heard<'_>,
) -> bool {
    let reports: Vec<usize> = match visit.script.truth.start {
        // Who comes up to the deed with which it starts is all who are needed.
        Some(start) => visit.events[..=start].to_vec(),
        None => visit.events.clone(),
    };
    let all = |had: &dyn Fn(usize) -> Option<Instant>, by: Instant| {
        reports.iter().all(|&event| had(event).is_some_and(|at| at <= by))
    };
    let received = |event: usize| truth.received(&truth.night.events[event]);
    let with_broker = |event: usize| heard.played?.known[event].with_broker;
    all(&received, due_at) || (!unconfirmed && all(&with_broker, due_at - ON_ITS_WAY))
}

/// What was said over MQTT is what the database has, and nobody was told of two at a time.
fn heard_alerts(
    found: &Found,
    listened: &Listened,
    before: &BTreeMap<Uuid, State>,
    verdict: &mut Verdict,
) {
    let own: BTreeMap<Uuid, &Raised> =
        found.alerts.iter().map(|raised| (raised.message.alert_id, raised)).collect();
    for (id, raised) in &own {
        let message = &raised.message;
        let visit = message.visit_ref.as_ref().map_or("", |visit| visit.as_str());
        let about = format!("alert {} of {visit} over MQTT", message.kind);
        let said = listened.alerts.get(id).map_or(&[][..], Vec::as_slice);
        if !raised.told && !said.is_empty() {
            verdict.differs(&about, "not to be published", "published");
        }
        let as_before = before.get(id) == Some(&message.state);
        let must_be_said = raised.told && listened.without_a_break && !as_before;
        if must_be_said && !said.iter().any(|said| said.state == message.state) {
            verdict.differs(&about, message.state.as_str(), "never said");
        }
        let wrong = said.iter().find(|said| {
            (said.kind, &said.visit_ref, said.due_at)
                != (message.kind, &message.visit_ref, message.due_at)
        });
        if let Some(wrong) = wrong {
            verdict.differs(&about, "as in the database", &wrong.detail);
        }
    }
}

/// Whether everything that must be heard has been heard: until then it may be on its way.
#[must_use]
pub fn has_heard(found: &Found, heard: &Heard<'_>) -> bool {
    let mut verdict = Verdict::default();
    if let Some(listened) = &heard.listened {
        heard_alerts(found, listened, &heard.alerts_before, &mut verdict);
    }
    verdict.differences.is_empty()
}
