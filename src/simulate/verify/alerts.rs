//! The alerts that were raised, in the database and over MQTT, beside those that must be.

use std::collections::{BTreeMap, HashMap};

use chrono::TimeDelta;
use uuid::Uuid;

use super::{Found, Heard, Verdict};
use crate::domain::alert::{AlertKind, Resolution};
use crate::domain::instant::{Instant, format_seconds};
use crate::domain::plan::CancelledBy;
use crate::domain::visit::Status;
use crate::simulate::ear::Listened;
use crate::simulate::night::Visit;
use crate::simulate::script::Says;
use crate::simulate::truth::Truth;
use crate::store::audit::Raised;
use crate::wire::alert::State;

/// An event that the broker had so long before a deadline was there in time.
const ON_ITS_WAY: TimeDelta = TimeDelta::seconds(2);
/// The alerts of the database, visit by visit.
pub(super) fn alerts(truth: &Truth<'_>, found: &Found, heard: &Heard<'_>, verdict: &mut Verdict) {
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
        AlertKind::Missed | AlertKind::ShortStaffed | AlertKind::Late | AlertKind::Tolerance => {
            1 + statements(visit)
        }
        _ => 1,
    }
}

/// Where people came after all, the last of the alerts about their absence says so. If the first of
/// two was heard of while the daemon was blind, `missed` has ended by that, and nothing followed.
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
    let by_two = visit.script.truth.present > 1;
    let right = match words.as_slice() {
        [] => true,
        [Resolution::Over] => by_two,
        _ => (1..=1 + statements(visit)).contains(&staffed),
    };
    if !right {
        let is = format!("{words:?}");
        verdict.differs(about, "its last alert over because the visit was staffed", &is);
    }
}

/// How many statements there are about a visit: one that does not stand in the end may have stood
/// before all evidence was there.
fn statements(visit: &Visit) -> usize {
    visit.script.deeds.iter().filter(|deed| matches!(deed.says, Says::Not(_))).count()
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
pub(super) fn heard_alerts(
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
