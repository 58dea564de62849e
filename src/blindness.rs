//! What the daemon says while it is blind: one `monitoring_blind` for each contract, with the visits
//! at risk, instead of an alert for each visit (R25).
//!
//! Raised in service hours, kept up to date while the blindness lasts, over when the daemon sees
//! again; what still holds is then raised by [`crate::watch`], unconfirmed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use tracing::{error, info};

use crate::caseload::{self, Case, Caseload, alert_id};
use crate::config::Contracts;
use crate::domain::alert::{AlertKind, Resolution, is_awaited};
use crate::domain::calendar::Night;
use crate::domain::instant::Instant;
use crate::domain::policy::Contract;
use crate::domain::refs::{ContractId, RunRef, VisitRef};
use crate::domain::visit::Visit;
use crate::domain::wording;
use crate::sight::{Blindness, Deaf, PHONES_SILENT_FOR, Sights};
use crate::store::alerts::{About, Raised, Said, StoredAlert, ToSave};
use crate::store::{Db, StoreError, alerts, cases, daemons};
use crate::telling;
use crate::wire::alert::{AlertMessage, State};

/// How often the list of visits at risk is brought up to date.
const AGAIN_AFTER: TimeDelta = TimeDelta::seconds(5);
/// Most client nights from which visits at risk are listed, those that fell due last first.
pub const LISTED_MAX: i64 = 200;
/// Most visits that the sentence names; the list has them all.
const NAMED_MAX: usize = 12;
/// Visits of so many runs must be waited for before silent phones are blindness.
const RUNS_MIN: usize = 2;

/// What has been said of each contract.
#[derive(Debug, Clone, Default)]
pub struct BlindWatch {
    /// The contracts that have been said to be blind, and when that is to be brought up to date.
    said: BTreeMap<ContractId, Instant>,
    /// The contracts of which it is known that nothing is open.
    quiet: BTreeSet<ContractId>,
}

impl BlindWatch {
    /// Raises, brings up to date and ends `monitoring_blind`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn look(
        &mut self,
        db: &mut Db,
        contracts: &Contracts,
        sights: &Sights,
        now: Instant,
    ) -> Result<(), StoreError> {
        for contract in contracts.iter() {
            match sights.blindness(&contract.id) {
                Some(blindness) if now >= blindness.due_at => {
                    self.say(db, contracts, contract, blindness, now).await?;
                }
                Some(_) => {}
                None if self.quiet.contains(&contract.id) => {}
                None => {
                    end(db, contract, now).await?;
                    self.said.remove(&contract.id);
                    self.quiet.insert(contract.id.clone());
                }
            }
        }
        Ok(())
    }

    async fn say(
        &mut self,
        db: &mut Db,
        contracts: &Contracts,
        contract: &Contract,
        blindness: Blindness,
        now: Instant,
    ) -> Result<(), StoreError> {
        if self.said.get(&contract.id).is_some_and(|again_at| now < *again_at) {
            return Ok(());
        }
        let open = alerts::open_of_kind(db, &contract.id, AlertKind::MonitoringBlind).await?;
        let night = contract.night_of(now);
        let hours = contract.policy(night).service_hours;
        let begin = hours.begin(contract.zone, night);
        if open.is_empty() && !(begin <= now && now < hours.end(contract.zone, night)) {
            return Ok(());
        }
        self.quiet.remove(&contract.id);
        self.said.insert(contract.id.clone(), now + AGAIN_AFTER);
        let at_risk = at_risk(db, contracts, contract, night, now).await?;
        let detail = detail(contract, blindness, &at_risk);
        let visits_at_risk = at_risk.into_iter().map(|(_, visit_ref)| visit_ref).collect();
        let said = open.into_iter().next();
        let is_new = said.is_none();
        let (night, mut message) = said.map_or_else(
            || (night, raise(contract, night, blindness.due_at.max(begin))),
            |said| (said.night, said.message),
        );
        if !is_new && message.detail == detail && message.visits_at_risk == visits_at_risk {
            return Ok(());
        }
        if is_new {
            let (kind, due_at) = (AlertKind::MonitoringBlind, Some(message.due_at));
            db.raises(Raised { kind, due_at });
            error!(contract = %contract.id, "monitoring_blind: {}", cause(contract, blindness));
        }
        (message.detail, message.visits_at_risk) = (detail, visits_at_risk);
        save(db, contract, night, &message, None, now).await
    }
}

fn raise(contract: &Contract, night: Night, due_at: Instant) -> AlertMessage {
    let kind = AlertKind::MonitoringBlind;
    let micros = due_at.timestamp_micros().to_string();
    let id = alert_id(&[contract.id.as_str(), kind.as_str(), &micros]);
    AlertMessage::open(id, contract.id.clone(), kind, night, due_at, String::new())
}

async fn end(db: &mut Db, contract: &Contract, now: Instant) -> Result<(), StoreError> {
    for Said { night, mut message, .. } in
        alerts::open_of_kind(db, &contract.id, AlertKind::MonitoringBlind).await?
    {
        message.state = State::Resolved;
        message.resolution = Some(Resolution::Over);
        message.visits_at_risk.clear();
        let since = wording::clock(contract.zone, now);
        message.detail = format!("heard again since {since}; what still holds is raised now");
        info!(contract = %contract.id, "monitoring_blind is over");
        save(db, contract, night, &message, Some(now), now).await?;
    }
    Ok(())
}

async fn save(
    db: &mut Db,
    contract: &Contract,
    night: Night,
    message: &AlertMessage,
    resolved_at: Option<Instant>,
    now: Instant,
) -> Result<(), StoreError> {
    let about = About::Night(contract.id.clone(), night);
    let changed = ToSave { about, message, told: true, resolved_at };
    telling::save(db, &[changed], &[telling::Said::new(contract, message)], now).await
}

/// The visits of that night whose alerts are held back, in order of their planned start.
async fn at_risk(
    db: &mut Db,
    contracts: &Contracts,
    contract: &Contract,
    night: Night,
    now: Instant,
) -> Result<Vec<(Instant, VisitRef)>, StoreError> {
    let of = BTreeSet::from([contract.id.clone()]);
    let mut keys = cases::due(db, &of, now, LISTED_MAX).await?;
    keys.retain(|key| key.night == night);
    let caseload = caseload::load(db, contracts, &keys).await?;
    let mut at_risk = Vec::new();
    for case in caseload.values() {
        let awaited = awaited(case, now).into_iter();
        at_risk.extend(awaited.map(|visit| (visit.planned_start, visit.visit_ref)));
    }
    at_risk.sort();
    Ok(at_risk)
}

/// The visits to which somebody should have come, and of which it has not been said that they are
/// missed.
fn awaited(case: &Case, now: Instant) -> Vec<Visit> {
    let is_said = |visit: &Visit| {
        case.alerts().iter().any(|StoredAlert { alert, .. }| {
            matches!(alert.kind, AlertKind::Missed | AlertKind::ShortStaffed)
                && alert.resolved.is_none()
                && visit.is_named(&alert.visit_ref)
        })
    };
    let mut visits = case.reconcile(now).visits;
    visits.retain(|visit| is_awaited(visit, &case.contract, now) && !is_said(visit));
    visits
}

/// Finds out of which contracts the phones are silent because the daemon cannot hear them: visits of
/// two runs or more are waited for, and no phone has been heard for a while. `due` are the client
/// nights that are about to be assessed.
///
/// # Errors
/// When the database fails.
pub async fn look_into_silence(
    db: &mut Db,
    contracts: &Contracts,
    sights: &mut Sights,
    due: &Caseload,
    now: Instant,
) -> Result<(), StoreError> {
    for contract in contracts.iter() {
        let of_contract = || due.iter().filter(|(key, _)| key.contract == contract.id);
        let falls_due = of_contract().next().is_some();
        if sights.must_ask_for(&contract.id, falls_due, now) {
            let heard_at = daemons::heard(db, &contract.id, now - PHONES_SILENT_FOR).await?;
            if heard_at.is_some_and(|at| sights.heard_elsewhere(&contract.id, at, now)) {
                info!(contract = %contract.id, "phones are heard again: deadlines are watched");
            }
        }
        if !sights.may_be_deaf(&contract.id, falls_due, now) {
            continue;
        }
        let night = contract.night_of(now);
        let mut runs: BTreeSet<RunRef> = BTreeSet::new();
        for (_, case) in of_contract().filter(|(key, _)| key.night == night) {
            let awaited = awaited(case, now).into_iter();
            runs.extend(awaited.filter_map(|visit| visit.plan.as_ref()?.visit.run.clone()));
        }
        for kind in [AlertKind::Tolerance, AlertKind::Late] {
            let open = alerts::open_of_kind(db, &contract.id, kind).await?;
            let tonight = open.into_iter().filter(|said| said.night == night);
            runs.extend(tonight.filter_map(|said| said.message.run));
        }
        sights.looked_into(&contract.id, runs.len() >= RUNS_MIN, now);
    }
    Ok(())
}

fn cause(contract: &Contract, Blindness { deaf, heard_at, .. }: Blindness) -> String {
    let time = |at: Instant| wording::clock(contract.zone, at);
    match (deaf, heard_at) {
        (Deaf::Broker, at) => {
            let since = at.map(|at| format!(" since {}", time(at))).unwrap_or_default();
            format!("the broker has not been heard{since}: see that it runs and can be reached")
        }
        (Deaf::Phones, at) => {
            let since = at.map_or(" yet".to_owned(), |at| format!(" since {}", time(at)));
            format!(
                "no phone has been heard{since}, although several runs are waited for: see whether \
                 phones can reach the broker (network, certificate, passwords)"
            )
        }
    }
}

fn detail(contract: &Contract, blindness: Blindness, at_risk: &[(Instant, VisitRef)]) -> String {
    let cause = cause(contract, blindness);
    let named: Vec<String> = at_risk
        .iter()
        .take(NAMED_MAX)
        .map(|(start, visit)| format!("{visit} ({})", wording::clock(contract.zone, *start)))
        .collect();
    let more = match at_risk.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match at_risk.len() {
        0 => format!("{cause}; no visit is at risk yet"),
        1 => format!("{cause}; at risk: {}", named.join(", ")),
        count => format!("{cause}; {count} visits at risk: {}{more}", named.join(", ")),
    }
}
