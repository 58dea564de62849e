//! The rows of alerts: whether each says what it said to others, and is about something.

use crate::domain::alert::{AlertKind, Resolution};
use crate::domain::policy::Contract;
use crate::domain::refs::{CarerRef, ClientRef, VisitRef};
use crate::ledger::Ledger;
use crate::store::ledger::{self as pages, AlertRow};
use crate::store::{Db, StoreError};
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
