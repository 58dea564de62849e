//! A contract's policy: the settings that decide where the specification leaves a choice.
//!
//! Versioned by `effective_from`: a visit is judged by the version in force on its night. The
//! defaults are those of `config/nightrun.toml`, which is where a policy is read from.

use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta, Weekday};
use chrono_tz::Tz;

use super::calendar::{self, DatedBy, Night, ServiceHours};
use super::holidays::BankHolidays;
use super::instant::Instant;
use super::recipient::Recipients;
use super::refs::ContractId;

/// What the contract's planned quantity counts (R27).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Visits.
    Visit,
    /// Hours.
    Hour,
}

/// One version of a contract's policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The first night on which this version is in force; the first version has none.
    pub effective_from: Option<NaiveDate>,
    /// When service is given (R3).
    pub service_hours: ServiceHours,
    /// A start is within tolerance up to this, either side (R17).
    pub tolerance: TimeDelta,
    /// A visit is late beyond this (R17).
    pub late: TimeDelta,
    /// A time-specific visit is late beyond this (R17).
    pub time_specific_late: TimeDelta,
    /// A visit is not missed before this long after its planned start, or before its planned end
    /// (R18).
    pub missed_after: TimeDelta,
    /// How far in time an attendance may lie from the visit that it is taken for (R11).
    pub match_window: TimeDelta,
    /// How long after the planned end a carer may be inside without a check-out (R16, R21).
    pub overdue_checkout: TimeDelta,
    /// A telecare unit that says nothing for so long is offline (R21).
    pub device_silent_after: TimeDelta,
    /// Fence radius of a client without one, in metres (R19).
    pub fence_m: f64,
    /// First day of the contract's week (R4).
    pub week_starts_on: Weekday,
    /// By what a visit is dated (R4).
    pub dated_by: DatedBy,
    /// A first day of a week, from which return periods of four weeks are counted (R4).
    pub periods_from: NaiveDate,
    /// What quantities count (R27).
    pub unit: Unit,
    /// The service of an unplanned visit (R27).
    pub unplanned_service: String,
    /// The service level of an unplanned visit (R27).
    pub unplanned_service_level: String,
}

/// A contract with all versions of its policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    /// The contract's reference.
    pub id: ContractId,
    /// The zone in which its plan is written and its nights are counted (R1). The same for ever:
    /// if it changed, an event would change its night.
    pub zone: Tz,
    /// The version without `effective_from`, in force before all others.
    first: Policy,
    /// The other versions, by `effective_from`.
    later: Vec<Policy>,
    /// The bank holidays that decide about notice (R22).
    pub holidays: BankHolidays,
    /// Who is told of its alerts (R24).
    pub recipients: Arc<Recipients>,
}

impl Contract {
    /// Puts a contract together; `later` may be in any order.
    #[must_use]
    pub fn new(
        id: ContractId,
        zone: Tz,
        first: Policy,
        mut later: Vec<Policy>,
        holidays: BankHolidays,
    ) -> Self {
        later.sort_by_key(|policy| policy.effective_from);
        Self { id, zone, first, later, holidays, recipients: Arc::default() }
    }

    /// The version in force on that night.
    #[must_use]
    pub fn policy(&self, night: Night) -> &Policy {
        self.later
            .iter()
            .rev()
            .find(|policy| policy.effective_from.is_some_and(|from| from <= night))
            .unwrap_or(&self.first)
    }

    /// All versions, the first one first.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        std::iter::once(&self.first).chain(&self.later)
    }

    /// The night that holds the instant (R3).
    #[must_use]
    pub fn night_of(&self, at: Instant) -> Night {
        calendar::night_of(self.zone, at)
    }

    /// The date of a visit of that night which was planned to start, or did, at that instant (R4).
    #[must_use]
    pub fn dated(&self, night: Night, start: Instant) -> NaiveDate {
        match self.policy(night).dated_by {
            DatedBy::Night => night,
            DatedBy::Start => calendar::local_date(self.zone, start),
        }
    }

    /// The first day of the week to which a visit of that night counts (R4).
    #[must_use]
    pub fn week_of(&self, night: Night, start: Instant) -> NaiveDate {
        calendar::week_start(self.dated(night, start), self.policy(night).week_starts_on)
    }
}
