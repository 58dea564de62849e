//! Deadlines: client nights, phones and contracts about which something is due (R21).
//!
//! Deadlines are in the database, not in sleeping tasks, so they survive a restart. Looked for every
//! [`LOOK_EVERY`]; one is at most that late, plus the transaction that draws its consequences.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{Days, TimeDelta};

use crate::blindness::look_into_silence;
use crate::caseload::{self, Caseload, alert_id};
use crate::config::Contracts;
use crate::domain::alert::{AlertKind, Cause, Resolution, Sight};
use crate::domain::calendar::{Night, night_end, plus_days, previous_day};
use crate::domain::instant::Instant;
use crate::domain::plan_check::{EXPECTED_AFTER_NIGHTS, plan_due_at};
use crate::domain::policy::Contract;
use crate::domain::refs::ContractId;
use crate::sight::Sights;
use crate::store::alerts::{About, Raised, Said, ToSave};
use crate::store::{Db, StoreError, alerts, cases, plan, senders};
use crate::telling;
use crate::wire::alert::{AlertMessage, State};

/// How often deadlines are looked for.
pub const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Most client nights that are looked at in one transaction.
pub const DUE_MAX: i64 = 500;
/// How often an open `no_plan` is looked at again.
const PLAN_AGAIN_AFTER: TimeDelta = TimeDelta::seconds(20);

/// Assesses the client nights that are due by `now`; those of contracts that cannot be heard, or that
/// the configuration does not have any more, wait. Returns whether there may be more.
///
/// # Errors
/// When the database fails.
pub async fn client_nights(
    db: &mut Db,
    contracts: &Contracts,
    now: Instant,
    sights: &mut Sights,
) -> Result<bool, StoreError> {
    if matches!(sights.broker(), Sight::Blind) {
        return Ok(false);
    }
    let heard = contracts.iter().map(|contract| &contract.id);
    let heard = heard.filter(|id| matches!(sights.of(id), Sight::Seeing { .. })).cloned().collect();
    let keys = cases::due(db, &heard, now, DUE_MAX).await?;
    let mut caseload = Caseload::new();
    if !keys.is_empty() {
        caseload = caseload::load(db, contracts, &keys).await?;
    }
    look_into_silence(db, contracts, sights, &caseload, now).await?;
    caseload.retain(|key, _| matches!(sights.of(&key.contract), Sight::Seeing { .. }));
    if !caseload.is_empty() {
        let seen = caseload::seen(db, &caseload, &[], now).await?;
        for (key, case) in &mut caseload {
            case.assess(now, Cause::Time, sights.of(&key.contract), &seen);
            case.look_again(now);
        }
        caseload::save(db, &caseload, now).await?;
    }
    Ok(keys.len() >= usize::try_from(DUE_MAX).unwrap_or(usize::MAX))
}

/// After the clock was put back: what was raised may not be due yet, and is to become due again.
///
/// # Errors
/// When the database fails.
pub async fn all_again(db: &mut Db, now: Instant) -> Result<(), StoreError> {
    // An offset from UTC is less than a day.
    cases::arm_from(db, now.date_naive() - Days::new(2), now).await?;
    senders::arm_all(db, now).await
}

/// Looks whether the plans of the nights have come.
#[derive(Debug, Clone, Default)]
pub struct PlanWatch {
    next: BTreeMap<ContractId, Instant>,
}

impl PlanWatch {
    /// Whether there is anything to look at by `now`.
    #[must_use]
    pub fn is_due(&self, contracts: &Contracts, now: Instant) -> bool {
        contracts.iter().any(|contract| self.next.get(&contract.id).is_none_or(|at| *at <= now))
    }

    /// Raises `no_plan` for the night of `now` if its instant has come, and ends it when the plan
    /// has.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn look(
        &mut self,
        db: &mut Db,
        contracts: &Contracts,
        now: Instant,
    ) -> Result<(), StoreError> {
        for contract in contracts.iter() {
            if self.next.get(&contract.id).is_some_and(|at| *at > now) {
                continue;
            }
            let night = contract.night_of(now);
            let due_at = plan_due_at(contract, night);
            let next = if now < due_at {
                due_at
            } else if look_at(db, contract, night, due_at, now).await? {
                now + PLAN_AGAIN_AFTER
            } else {
                night_end(contract.zone, night)
            };
            self.next.insert(contract.id.clone(), next);
        }
        Ok(())
    }
}

/// Whether the night is expected to have a plan, and whether it has.
///
/// # Errors
/// When the database fails.
pub async fn plan_of(
    db: &mut Db,
    contract: &Contract,
    night: Night,
) -> Result<(bool, bool), StoreError> {
    let from = plus_days(night, -EXPECTED_AFTER_NIGHTS);
    let has_plan = plan::has_visits(db, &contract.id, night, night).await?;
    let expected = plan::has_visits(db, &contract.id, from, previous_day(night)).await?;
    Ok((expected, has_plan))
}

/// Returns whether the plan is missing.
async fn look_at(
    db: &mut Db,
    contract: &Contract,
    night: Night,
    due_at: Instant,
    now: Instant,
) -> Result<bool, StoreError> {
    let (expected, has_plan) = plan_of(db, contract, night).await?;
    let known = alerts::no_plan(db, &contract.id, night).await?;
    let known = known.into_iter().find(|said| said.night == night);
    let changed = match known {
        None if expected && !has_plan => {
            let told = now < night_end(contract.zone, night);
            if told {
                db.raises(Raised { kind: AlertKind::NoPlan, due_at: Some(due_at) });
            }
            Some((no_plan(contract, night, due_at), told))
        }
        Some(Said { told, mut message, .. }) if has_plan && message.resolution.is_none() => {
            message.state = State::Resolved;
            message.resolution = Some(Resolution::Over);
            message.detail = format!("the plan for the night of {night} has come");
            Some((message, told))
        }
        _ => None,
    };
    if let Some((message, told)) = changed {
        let about = About::Night(contract.id.clone(), night);
        let resolved_at = message.resolution.map(|_| now);
        let said = told.then(|| telling::Said::new(contract, &message));
        let changed = ToSave { about, message: &message, told, resolved_at };
        telling::save(db, &[changed], said.as_slice(), now).await?;
    }
    Ok(expected && !has_plan)
}

fn no_plan(contract: &Contract, night: Night, due_at: Instant) -> AlertMessage {
    let kind = AlertKind::NoPlan;
    let id = alert_id(&[contract.id.as_str(), &night.to_string(), kind.as_str()]);
    let detail = format!("no plan has come for the night of {night}: import the visits");
    AlertMessage::open(id, contract.id.clone(), kind, night, due_at, detail)
}
