//! Alerts in words: what happened, in the contract's local time, by references only (R21, R26).

use chrono_tz::Tz;

use super::alert::{Alert, AlertKind, Resolution};
use super::attendance::Attendance;
use super::calendar::local;
use super::event::EventKind;
use super::instant::Instant;
use super::judge::off_site;
use super::place::Whereabouts;
use super::plan::CancelledBy;
use super::policy::Contract;
use super::visit::Visit;

/// An instant on the contract's wall clock.
#[must_use]
pub fn clock(zone: Tz, at: Instant) -> String {
    local(zone, at).format("%H:%M").to_string()
}

/// What is wrong, as a sentence.
#[must_use]
pub fn raised(contract: &Contract, visit: &Visit, alert: &Alert) -> String {
    let time = |at: Instant| clock(contract.zone, at);
    let planned = time(visit.planned_start);
    let came = match visit.present {
        0 => "nobody has come".to_owned(),
        present => format!("{present} of {} have come", visit.carers_required),
    };
    let carer = alert.carer.as_ref().map_or("a carer", |carer| carer.as_str());
    match alert.kind {
        AlertKind::Tolerance => format!("planned for {planned}, {came} by {}", time(alert.due_at)),
        AlertKind::Late => format!("planned for {planned}, late: {came}"),
        AlertKind::ShortStaffed => format!("planned for {planned}, only {came}"),
        AlertKind::Missed | AlertKind::NotDelivered => {
            format!("planned for {planned}, {}", why_not(contract, visit))
        }
        AlertKind::OverdueCheckout => {
            let since = visit
                .inside()
                .find(|event| Some(&event.event.carer_ref) == alert.carer.as_ref())
                .map_or(String::new(), |event| {
                    format!(" checked in {} and", time(event.effective_at))
                });
            format!("{carer}{since} has not checked out")
        }
        AlertKind::OffSite => {
            let away = off_site(visit).find_map(|event| match event.whereabouts {
                Whereabouts::OffSite { distance_m } => Some((event, distance_m)),
                Whereabouts::OnSite | Whereabouts::Unknown => None,
            });
            match away {
                Some((event, distance_m)) => {
                    let did = match event.event.kind {
                        EventKind::CheckOut => "checked out",
                        EventKind::CheckIn | EventKind::NotDelivered(_) => "checked in",
                    };
                    let at = time(event.effective_at);
                    format!("{carer} {did} {at}, {distance_m:.0} m from the client's home")
                }
                None => format!("{carer} was not at the client's home"),
            }
        }
        AlertKind::UnplannedVisit => {
            format!("{carer} came at {planned}, which no plan says")
        }
        AlertKind::NoPlan
        | AlertKind::DeviceOffline
        | AlertKind::SequenceGap
        | AlertKind::MonitoringBlind
        | AlertKind::NotificationFailed => alert.kind.as_str().replace('_', " "),
    }
}

fn why_not(contract: &Contract, visit: &Visit) -> String {
    if let Some(cancellation) = &visit.cancellation {
        let by = match cancellation.by {
            CancelledBy::Provider => "the provider",
            CancelledBy::Client => "the client",
            CancelledBy::Council => "the council",
            CancelledBy::Error => "the rota",
        };
        return format!("cancelled by {by} {}", clock(contract.zone, cancellation.at));
    }
    match visit.statement.as_ref().filter(|statement| statement.stands) {
        Some(statement) => {
            let event = &statement.event;
            let (at, carer) = (clock(contract.zone, event.effective_at), &event.event.carer_ref);
            format!("the carers say: {} ({carer}, {at})", statement.reason.as_str())
        }
        None => "nobody came".to_owned(),
    }
}

/// How it ended, as a sentence. `visit` is the visit as it is now, if it is still there.
#[must_use]
pub fn resolved(contract: &Contract, visit: Option<&Visit>, resolution: Resolution) -> String {
    let time = |at: Instant| clock(contract.zone, at);
    let Some(visit) = visit else {
        return "the visit is not in this night any more".to_owned();
    };
    match resolution {
        Resolution::Staffed => {
            let last = visit
                .attendances
                .iter()
                .filter_map(|attendance: &Attendance| attendance.counting().next())
                .max_by_key(|event| event.event.received_at);
            last.map_or("enough people came".to_owned(), |event| {
                let did = match event.event.kind {
                    EventKind::CheckOut => "checked out",
                    EventKind::CheckIn | EventKind::NotDelivered(_) => "checked in",
                };
                let (at, received) = (time(event.effective_at), time(event.event.received_at));
                format!("{did} {at}, reported {received}")
            })
        }
        Resolution::CheckedOut => {
            visit.end.map_or("checked out".to_owned(), |end| format!("checked out {}", time(end)))
        }
        Resolution::Statement | Resolution::Cancelled => why_not(contract, visit),
        Resolution::Superseded => "a graver alert took its place".to_owned(),
        Resolution::SeenElsewhere => "the carer was seen at another client's since".to_owned(),
        Resolution::Corrected => "a coordinator said what became of the visit".to_owned(),
        Resolution::Coordinator => "a coordinator dealt with it".to_owned(),
        Resolution::Over => "it holds no longer".to_owned(),
    }
}
