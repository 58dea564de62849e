//! Schedule 3: the quantities of each client's week, from final visits (R27, R28, R29).
//!
//! Every row balances, exactly: Actual = Planned + Extra − Frustrated − Cancelled − Missed. A row
//! that does not is a bug, and is refused.

use std::collections::BTreeMap;

use chrono::{NaiveDate, TimeDelta};

use super::calendar::{Night, local};
use super::instant::{Instant, micros};
use super::policy::{Contract, Unit};
use super::quantity::{Quantity, round_half_away};
use super::refs::{ClientRef, ContractId, VisitRef};
use super::visit::{Status, Visit};

/// What identifies a row, in the order in which rows are listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    /// The service.
    pub service: String,
    /// The service level type.
    pub service_level: String,
    /// The client.
    pub client: ClientRef,
    /// First day of the week.
    pub start_date: NaiveDate,
    /// The contract; not written.
    pub contract: ContractId,
}

/// A row of Schedule 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What identifies it.
    pub key: RowKey,
    /// Actual Quantity.
    pub actual: Quantity,
    /// Frustrated Quantity.
    pub frustrated: Quantity,
    /// Cancelled Quantity.
    pub cancelled: Quantity,
    /// Missed Quantity.
    pub missed: Quantity,
    /// Extra Quantity.
    pub extra: Quantity,
    /// Number of Visits: delivered, part delivered and unplanned.
    pub visits: u64,
    /// Call Duration in whole minutes.
    pub call_minutes: i128,
    /// The last date on which the client received the service.
    pub end_date: Option<NaiveDate>,
    /// Comments (R29).
    pub comments: String,
}

/// A row that does not balance: a bug, which must not leave the house.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the Schedule 3 row of client {client}, week of {start_date}, does not balance: {sums}. This is \
     a bug, please report it; nothing was written"
)]
pub struct Unbalanced {
    client: ClientRef,
    start_date: NaiveDate,
    sums: String,
}

/// What one visit adds to its row (R27).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Share {
    planned: Quantity,
    actual: Quantity,
    frustrated: Quantity,
    cancelled: Quantity,
    missed: Quantity,
    extra: Quantity,
}

/// What Schedule 3 counts of a visit: all that a row needs, and nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The visit.
    pub visit_ref: VisitRef,
    /// The client.
    pub client: ClientRef,
    /// The night.
    pub night: Night,
    /// The service.
    pub service: String,
    /// The service level type.
    pub service_level: String,
    /// When it was to start; of an unplanned visit, when it began.
    pub start: Instant,
    /// What became of it.
    pub status: Status,
    /// The planned quantity; none of an unplanned visit (R27).
    pub planned: Option<Quantity>,
    /// How many people came.
    pub present: u8,
    /// How many it needs.
    pub carers_required: u8,
    /// The call duration, if known (R14).
    pub call: Option<TimeDelta>,
    /// Why it is what it is.
    pub reason: Option<String>,
    /// What people typed for the return, in order (R29).
    pub typed: Vec<String>,
}

impl Counted {
    /// What counts of a visit of that contract.
    #[must_use]
    pub fn of(contract: &Contract, visit: &Visit) -> Self {
        let (service, service_level) = service(contract, visit);
        let in_force = visit.correction.iter().filter_map(|says| says.return_comment.as_ref());
        Self {
            visit_ref: visit.visit_ref.clone(),
            client: visit.client.clone(),
            night: visit.night,
            service: service.to_owned(),
            service_level: service_level.to_owned(),
            start: visit.planned_start,
            status: visit.status,
            planned: planned_quantity(contract, visit),
            present: visit.present,
            carers_required: visit.carers_required,
            call: visit.call,
            reason: visit.reason.clone(),
            typed: in_force.chain(&visit.comments).cloned().collect(),
        }
    }

    fn share(&self, unit: Unit) -> Share {
        let Some(planned) = self.planned else {
            if self.status != Status::Delivered {
                return Share::default();
            }
            let extra = match unit {
                Unit::Visit => Quantity::ONE,
                Unit::Hour => self.call.map_or(Quantity::ZERO, Quantity::hours),
            };
            return Share { extra, actual: extra, ..Share::default() };
        };
        let share = Share { planned, ..Share::default() };
        match self.status {
            Status::Delivered => Share { actual: planned, ..share },
            Status::PartDelivered => {
                let actual = planned.part(self.present, self.carers_required);
                Share { actual, missed: planned - actual, ..share }
            }
            Status::Frustrated => Share { frustrated: planned, ..share },
            Status::Cancelled => Share { cancelled: planned, ..share },
            Status::Missed => Share { missed: planned, ..share },
            Status::Void
            | Status::Planned
            | Status::Due
            | Status::Overdue
            | Status::Late
            | Status::InProgress => Share::default(),
        }
    }
}

/// The planned quantity of a visit; none of an unplanned one (R27).
#[must_use]
pub fn planned_quantity(contract: &Contract, visit: &Visit) -> Option<Quantity> {
    let plan = &visit.plan.as_ref()?.visit;
    Some(plan.quantity.unwrap_or_else(|| match contract.policy(visit.night).unit {
        Unit::Visit => Quantity::ONE,
        Unit::Hour => Quantity::hours(plan.length()),
    }))
}

/// The service and the service level type of a visit (R27).
fn service<'a>(contract: &'a Contract, visit: &'a Visit) -> (&'a str, &'a str) {
    let policy = contract.policy(visit.night);
    match &visit.plan {
        Some(plan) => (&plan.visit.service, &plan.visit.service_level),
        None => (&policy.unplanned_service, &policy.unplanned_service_level),
    }
}

/// The sections of the comment that name visits, in their order (R29).
const SECTIONS: [&str; 5] = ["Actual", "Frustrated", "Cancelled", "Missed", "Extra"];

#[derive(Default)]
struct Week {
    sum: Share,
    visits: u64,
    call: TimeDelta,
    calls_unknown: u64,
    provisional: u64,
    void: u64,
    end_date: Option<NaiveDate>,
    items: [Vec<(Instant, String)>; SECTIONS.len()],
    typed: Vec<(Instant, String)>,
}

/// Gathers visits into the rows of Schedule 3.
#[derive(Default)]
pub struct Schedule3 {
    weeks: BTreeMap<RowKey, Week>,
}

impl Schedule3 {
    /// Adds a visit of that contract.
    pub fn add(&mut self, contract: &Contract, visit: &Visit) {
        self.count(contract, Counted::of(contract, visit));
    }

    /// Adds what counts of a visit of that contract.
    pub fn count(&mut self, contract: &Contract, mut visit: Counted) {
        let key = RowKey {
            service: std::mem::take(&mut visit.service),
            service_level: std::mem::take(&mut visit.service_level),
            client: visit.client.clone(),
            start_date: contract.week_of(visit.night, visit.start),
            contract: contract.id.clone(),
        };
        let week = self.weeks.entry(key).or_default();
        week.typed.extend(visit.typed.drain(..).map(|text| (visit.start, text)));
        match visit.status {
            Status::Void => week.void += 1,
            status if !status.is_final() => week.provisional += 1,
            _ => week.count(contract, &visit),
        }
    }

    /// The rows, in order (R28).
    ///
    /// # Errors
    /// When a row does not balance, which is a bug.
    pub fn rows(self) -> Result<Vec<Row>, Unbalanced> {
        self.weeks
            .into_iter()
            .filter(|(_, week)| week.has_row())
            .map(|(key, week)| week.row(key))
            .collect()
    }
}

/// The row into which a visit goes (R28).
#[must_use]
pub fn row_key(contract: &Contract, visit: &Visit) -> RowKey {
    let (service, service_level) = service(contract, visit);
    RowKey {
        service: service.to_owned(),
        service_level: service_level.to_owned(),
        client: visit.client.clone(),
        start_date: contract.week_of(visit.night, visit.planned_start),
        contract: contract.id.clone(),
    }
}

impl Week {
    fn count(&mut self, contract: &Contract, visit: &Counted) {
        let share = visit.share(contract.policy(visit.night).unit);
        self.sum.planned += share.planned;
        self.sum.actual += share.actual;
        self.sum.frustrated += share.frustrated;
        self.sum.cancelled += share.cancelled;
        self.sum.missed += share.missed;
        self.sum.extra += share.extra;
        if matches!(visit.status, Status::Delivered | Status::PartDelivered) {
            self.visits += 1;
            match visit.call {
                Some(call) => self.call += call,
                None => self.calls_unknown += 1,
            }
            let date = contract.dated(visit.night, visit.start);
            self.end_date = self.end_date.max(Some(date));
        }
        let section = match visit.status {
            Status::PartDelivered => 0,
            Status::Frustrated => 1,
            Status::Cancelled => 2,
            Status::Missed => 3,
            Status::Delivered if visit.planned.is_none() => 4,
            _ => return,
        };
        let at = visit.start;
        let time = local(contract.zone, at).format("%Y-%m-%d %H:%M");
        let reason = match (visit.status, &visit.reason) {
            (Status::PartDelivered, _) => {
                format!(" {} of {} present", visit.present, visit.carers_required)
            }
            (_, Some(reason)) => format!(" {reason}"),
            (_, None) => String::new(),
        };
        let item = format!("{time} {}{reason}", visit.visit_ref);
        self.items[section].push((at, item));
    }

    /// Whether anything was planned or done: void visits alone make no row.
    fn has_row(&self) -> bool {
        let counted = self.items.iter().any(|items| !items.is_empty());
        self.visits > 0 || self.provisional > 0 || counted
    }

    fn row(self, key: RowKey) -> Result<Row, Unbalanced> {
        let Share { planned, actual, frustrated, cancelled, missed, extra } = self.sum;
        if actual != planned + extra - frustrated - cancelled - missed {
            let sums = format!(
                "actual {actual}, planned {planned}, extra {extra}, frustrated {frustrated}, \
                 cancelled {cancelled}, missed {missed}"
            );
            return Err(Unbalanced { client: key.client, start_date: key.start_date, sums });
        }
        Ok(Row {
            key,
            actual,
            frustrated,
            cancelled,
            missed,
            extra,
            visits: self.visits,
            call_minutes: round_half_away(micros(self.call).into(), 60_000_000),
            end_date: self.end_date,
            comments: self.comments(),
        })
    }

    fn comments(mut self) -> String {
        let counted = |number: u64| match number {
            1 => "1 visit".to_owned(),
            _ => format!("{number} visits"),
        };
        let mut sections = Vec::new();
        if self.provisional > 0 {
            sections.push(format!("Provisional: {} not final", counted(self.provisional)));
        }
        if self.void > 0 {
            sections.push(format!("Void: {}", counted(self.void)));
        }
        for (name, items) in SECTIONS.iter().zip(&mut self.items) {
            if !items.is_empty() {
                items.sort();
                let items: Vec<&str> = items.iter().map(|(_, item)| item.as_str()).collect();
                sections.push(format!("{name}: {}", items.join(", ")));
            }
        }
        if self.calls_unknown > 0 {
            sections.push(format!("Call Duration: {} unknown", counted(self.calls_unknown)));
        }
        self.typed.sort();
        sections.extend(self.typed.into_iter().map(|(_, text)| text));
        sections.join("; ")
    }
}
