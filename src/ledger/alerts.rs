//! Alerts: whether each says what it said to others and is about something, and whether those that
//! hold are open and no others.

use std::collections::BTreeSet;

use super::Ledger;
use crate::caseload::{Case, Seen};
use crate::domain::alert::{AlertKind, Cause, Change, Resolution, Sight, next_deadline};
use crate::domain::instant::{Instant, format_seconds};
use crate::domain::policy::Contract;
use crate::domain::refs::{CarerRef, ClientRef, ContractId, VisitRef};
use crate::domain::visit::Reconciled;
use crate::store::cases::CaseKey;
use crate::store::ledger::{self as pages, AlertRow};
use crate::store::{Db, StoreError, evidence, plan};
use crate::wire::alert::{AlertMessage, State};

/// The alerts of a night.
pub(super) struct Raised {
    pub rows: Vec<AlertRow>,
    /// Whether all could be read.
    pub readable: bool,
}

/// Compares each alert with its message, which is what others were told.
pub(super) async fn check(
    db: &mut Db,
    contract: &Contract,
    ledger: &mut Ledger,
) -> Result<Raised, StoreError> {
    let rows = pages::alerts(db, &contract.id, ledger.night).await?;
    let mut readable = true;
    for row in &rows {
        ledger.went.alerts += 1;
        ledger.went.open += i64::from(row.resolved_at.is_none());
        let Ok(message) = serde_json::from_str::<AlertMessage>(&row.message) else {
            readable = false;
            ledger.fault(format!("alert {}: its message cannot be read", row.id));
            continue;
        };
        let differs = differs(row, &message, contract, ledger);
        if !differs.is_empty() {
            let differs = differs.join(", ");
            ledger.fault(format!(
                "alert {} ({}): not as it was said: {differs} differs",
                row.id, row.kind
            ));
        }
        let about_contract = matches!(message.kind, AlertKind::NoPlan | AlertKind::MonitoringBlind);
        if row.visit_ref.is_none() && row.sender_ref.is_none() && !about_contract {
            ledger.fault(format!("alert {} ({}): about no visit or sender", row.id, row.kind));
        }
    }
    let kind = AlertKind::MonitoringBlind;
    let blind = rows.iter().filter(|row| row.kind == kind.as_str() && row.resolved_at.is_none());
    if blind.count() > 1 {
        ledger.fault(format!("{kind} is open more than once"));
    }
    Ok(Raised { rows, readable })
}

fn differs(
    row: &AlertRow,
    said: &AlertMessage,
    contract: &Contract,
    ledger: &Ledger,
) -> Vec<&'static str> {
    let over = row.resolved_at.is_some();
    let columns = [
        ("id", said.alert_id.to_string() == row.id),
        ("contract", said.contract == contract.id),
        ("night", said.night == Some(ledger.night)),
        ("kind", said.kind.as_str() == row.kind),
        ("visit_ref", said.visit_ref.as_ref().map(VisitRef::as_str) == row.visit_ref.as_deref()),
        (
            "client_ref",
            said.client_ref.as_ref().map(ClientRef::as_str) == row.client_ref.as_deref(),
        ),
        ("carer_ref", said.carer_ref.as_ref().map(CarerRef::as_str) == row.carer_ref.as_deref()),
        ("due_at", said.due_at.timestamp_micros() == row.due_at),
        ("raised_at", said.raised_at.timestamp_micros() == row.raised_at),
        ("resolution", said.resolution.map(Resolution::as_str) == row.resolution.as_deref()),
        (
            "resolved_at",
            said.resolution.is_some() == over && (said.state == State::Resolved) == over,
        ),
    ];
    columns.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
}

/// Compares the open alerts and the next deadline with what the evidence gives now. What is due and
/// has not been looked at is excused.
pub(super) fn assess(
    case: &Case,
    key: &CaseKey,
    now: Instant,
    seen: &Seen,
    importing: bool,
    ledger: &mut Ledger,
) -> Reconciled {
    let sight = Sight::Seeing { since: now };
    let (night, changes) = case.changes(now, Cause::Time, sight, seen);
    let due = case.due_at.is_some_and(|due_at| due_at <= now);
    for change in changes {
        let what = match &change {
            Change::Open(alert) => format!(
                "visit {}: {} is so since {}, and no alert is open",
                alert.visit_ref,
                alert.kind,
                format_seconds(alert.due_at)
            ),
            Change::Resolve { index, resolution } => {
                // Where one is raised that is over at once, its raising is what is missing.
                let Some(stored) = case.alerts().get(*index) else { continue };
                let alert = &stored.alert;
                format!("visit {}: {} is open, and is {resolution}", alert.visit_ref, alert.kind)
            }
            Change::About { index, carer } => {
                let Some(stored) = case.alerts().get(*index) else { continue };
                let alert = &stored.alert;
                format!("visit {}: {} is about carer {carer} now", alert.visit_ref, alert.kind)
            }
        };
        ledger.undone(due || importing, what);
    }
    let deadline = next_deadline(&case.contract, &night, now);
    if let Some(deadline) = deadline
        && case.due_at.is_none_or(|due_at| due_at > deadline)
    {
        ledger.undone(
            importing,
            format!(
                "client {}: something is due at {}, and nobody is to look then",
                key.client,
                format_seconds(deadline)
            ),
        );
    }
    night
}

/// Of a visit, one alert of a kind is open at most, and one of the five (R21).
pub(super) fn once(case: &Case, key: &CaseKey, ledger: &mut Ledger) {
    let open = case.alerts().iter().filter(|stored| stored.alert.resolved.is_none());
    let mut kinds: BTreeSet<(&VisitRef, AlertKind)> = BTreeSet::new();
    let mut of_five: BTreeSet<&VisitRef> = BTreeSet::new();
    for stored in open {
        let (visit, kind) = (&stored.alert.visit_ref, stored.alert.kind);
        let twice = !kinds.insert((visit, kind));
        if twice || (kind.is_exclusive() && !of_five.insert(visit)) {
            let (id, client) = (stored.message.alert_id, &key.client);
            ledger.fault(format!(
                "alert {id}: {kind} of visit {visit}, client {client}, is one open alert too many"
            ));
        }
    }
}

/// An alert that is over may be about a visit that has left the night; but that visit is known.
pub(super) async fn forgotten(
    db: &mut Db,
    case: &Case,
    key: &CaseKey,
    night: &Reconciled,
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    let names = case.alerts().iter().map(|stored| &stored.alert.visit_ref);
    let gone = names.filter(|name| !night.visits.iter().any(|visit| visit.is_named(name)));
    let gone: BTreeSet<(ContractId, VisitRef)> =
        gone.map(|name| (key.contract.clone(), name.clone())).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let events = gone
        .iter()
        .filter_map(|(contract, name)| Some((contract.clone(), name.unplanned_event()?)));
    let events = evidence::known(db, &events.collect()).await?;
    let planned = plan::of_refs(db, &gone).await?;
    for name in &gone {
        let event = name.1.unplanned_event().map(|event| (key.contract.clone(), event));
        let known = event.map_or(planned.contains_key(name), |event| events.contains_key(&event));
        if !known {
            ledger.fault(format!("an alert is about visit {}, which nobody knows", name.1));
        }
    }
    Ok(())
}
