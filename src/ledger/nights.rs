//! The client nights: every event in one place, every visit in one row of Schedule 3.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::alerts::{Raised, assess, forgotten, once};
use super::evidence::Found;
use super::{Entry, Fate, InVisit, Ledger};
use crate::book;
use crate::caseload::{self, Case};
use crate::config::Contracts;
use crate::domain::calendar::next_day;
use crate::domain::event::{Event, EventKind};
use crate::domain::instant::Instant;
use crate::domain::policy::Contract;
use crate::domain::quantity::Quantity;
use crate::domain::refs::{EventId, VisitRef};
use crate::domain::schedule3::{Counted, Row, RowKey, Schedule3, planned_quantity, row_key};
use crate::domain::visit::{Reconciled, Status, Visit};
use crate::store::cases::CaseKey;
use crate::store::ledger::{self as pages, EventRow};
use crate::store::{Db, StoreError, plan, senders, settled};

/// Where each event of a night is: how often, and as what.
type Parts = HashMap<EventId, (usize, InVisit)>;

pub(super) async fn check(
    db: &mut Db,
    contracts: &Contracts,
    contract: &Arc<Contract>,
    (found, alerts): (&Found, &Raised),
    now: Instant,
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    let keys = keys(db, contract, found, alerts, ledger).await?;
    let caseload = caseload::load(db, contracts, &keys).await?;
    let seen = caseload::seen(db, &caseload, &[], now).await?;
    let reported = reported(db, contract, now, ledger).await?;
    let rows = schedule3(contract, &reported, ledger);
    let settled = settled::of_cases(db, contract, &keys, now).await?;
    let mut parts = Parts::new();
    let mut visits = 0;
    for (key, case) in &caseload {
        let night = assess(case, key, now, &seen, found.importing, ledger);
        once(case, key, ledger);
        forgotten(db, case, key, &night, ledger).await?;
        let counted = || night.visits.iter().map(|visit| Counted::of(contract, visit));
        if settled.get(key).is_some_and(|settled| !counted().eq(settled.iter().cloned())) {
            let what = format!("client {}: what is settled is not what happened", key.client);
            ledger.undone(found.importing, what);
        }
        for visit in &night.visits {
            visits += 1;
            compare(visit, reported.get(&visit.visit_ref), ledger);
            enter(case, visit, &night, &rows, &mut parts);
        }
    }
    // A coordinator may have placed events of this night at visits of another.
    let elsewhere = in_other_nights(contract, found, ledger)?;
    for case in caseload::read(db, contracts, &elsewhere).await?.values() {
        let night = case.reconcile(now);
        for visit in &night.visits {
            enter(case, visit, &night, &rows, &mut parts);
        }
    }
    if visits != reported.len() {
        let reported = reported.len();
        ledger.fault(format!("{visits} visits are assessed, and {reported} are in the report"));
    }
    entries(db, contract, found, &parts, ledger).await
}

/// The client nights in which anything was planned, reported or raised.
async fn keys(
    db: &mut Db,
    contract: &Contract,
    found: &Found,
    alerts: &Raised,
    ledger: &mut Ledger,
) -> Result<BTreeSet<CaseKey>, StoreError> {
    let night = ledger.night;
    let mut clients = BTreeSet::new();
    for versions in plan::of_nights(db, &contract.id, night, night).await?.values() {
        let of_night = versions.iter().filter(|version| version.night == night);
        clients.extend(of_night.map(|version| version.visit.client_ref.clone()));
    }
    let placed = found.events.iter().map(|(row, _)| Some(row.client_ref.as_str()));
    let raised = alerts.rows.iter().map(|row| row.client_ref.as_deref());
    for client in placed.chain(raised).flatten().filter(|client| !client.is_empty()) {
        clients.insert(client.parse()?);
    }
    let contract = contract.id.clone();
    let key = |client| CaseKey { contract: contract.clone(), night, client };
    Ok(clients.into_iter().map(key).collect())
}

/// The client nights of other nights in which events of this one are.
fn in_other_nights(
    contract: &Contract,
    found: &Found,
    ledger: &Ledger,
) -> Result<BTreeSet<CaseKey>, StoreError> {
    let of_night = ledger.night.to_string();
    let elsewhere = found.events.iter().filter(|(row, event)| {
        let own = contract.night_of(event.effective_at()) == ledger.night;
        own && row.night != of_night && !row.client_ref.is_empty()
    });
    let key = |row: &EventRow| {
        let foreign = |_| StoreError::Foreign(format!("the night {:?}", row.night));
        let (contract, client) = (contract.id.clone(), row.client_ref.parse()?);
        Ok(CaseKey { contract, night: row.night.parse().map_err(foreign)?, client })
    };
    elsewhere.map(|(row, _)| key(row)).collect()
}

/// The visits of the night, as a report has them.
async fn reported(
    db: &mut Db,
    contract: &Arc<Contract>,
    now: Instant,
    ledger: &mut Ledger,
) -> Result<BTreeMap<VisitRef, Visit>, StoreError> {
    let night = ledger.night;
    let mut reported = BTreeMap::new();
    for visit in book::visits(db, contract, (night, next_day(night)), now).await? {
        if visit.night != night {
            continue;
        }
        if let Some(twice) = reported.insert(visit.visit_ref.clone(), visit) {
            ledger.fault(format!("visit {}: reported twice", twice.visit_ref));
        }
    }
    Ok(reported)
}

/// The rows of Schedule 3 that the visits of this night alone make. What goes in must come out
/// (R27), and every visit has its row (R28).
fn schedule3(
    contract: &Contract,
    visits: &BTreeMap<VisitRef, Visit>,
    ledger: &mut Ledger,
) -> BTreeSet<RowKey> {
    let mut schedule3 = Schedule3::default();
    let mut planned: BTreeMap<RowKey, (Quantity, u64)> = BTreeMap::new();
    for visit in visits.values() {
        schedule3.add(contract, visit);
        if visit.status == Status::Void {
            ledger.went.void += 1;
            continue;
        }
        let (quantity, attended) = planned.entry(row_key(contract, visit)).or_default();
        if !visit.status.is_final() {
            ledger.went.provisional += 1;
            continue;
        }
        ledger.went.counted += 1;
        *quantity += planned_quantity(contract, visit).unwrap_or_default();
        let delivered = matches!(visit.status, Status::Delivered | Status::PartDelivered);
        *attended += u64::from(delivered);
    }
    let rows: Vec<Row> = match schedule3.rows() {
        Ok(rows) => rows,
        Err(unbalanced) => {
            ledger.fault(unbalanced.to_string());
            return BTreeSet::new();
        }
    };
    let mut keys = BTreeSet::new();
    for row in rows {
        ledger.went.rows += 1;
        let came = row.actual + row.frustrated + row.cancelled + row.missed - row.extra;
        let expected = planned.get(&row.key).copied().unwrap_or_default();
        if (came, row.visits) != expected {
            let (quantity, attended) = expected;
            ledger.fault(format!(
                "Schedule 3 row of client {}, week of {}: {came} planned and {} visits, of visits \
                 with {quantity} planned and {attended} attended",
                row.key.client, row.key.start_date, row.visits
            ));
        }
        keys.insert(row.key);
    }
    for key in planned.keys().filter(|key| !keys.contains(key)) {
        let (client, week) = (&key.client, key.start_date);
        ledger
            .fault(format!("visits of client {client}, week of {week}, are in no Schedule 3 row"));
    }
    keys
}

/// The visit as it was assessed, and as a report has it.
fn compare(visit: &Visit, reported: Option<&Visit>, ledger: &mut Ledger) {
    let of = |visit: &Visit| (visit.client.clone(), visit.status, visit.present, visit.call);
    if reported.is_none_or(|reported| of(reported) != of(visit)) {
        let is = reported.map_or("not there", |reported| reported.status.as_str());
        ledger.fault(format!(
            "visit {}: assessed as {}, and {is} in the report",
            visit.visit_ref, visit.status
        ));
    }
}

/// Enters the events of a visit where they are.
fn enter(
    case: &Case,
    visit: &Visit,
    night: &Reconciled,
    rows: &BTreeSet<RowKey>,
    parts: &mut Parts,
) {
    let own = case.alerts().iter().filter(|stored| visit.is_named(&stored.alert.visit_ref));
    let alerts = own.map(|stored| {
        let open = if stored.alert.resolved.is_none() { "+" } else { "" };
        format!("{}{open}", stored.alert.kind)
    });
    let alerts: Vec<String> = alerts.collect();
    let mut put = |event: EventId, part| {
        let key = row_key(&case.contract, visit);
        let place = parts.entry(event).or_insert_with(|| {
            let in_visit = InVisit {
                visit_ref: visit.visit_ref.clone(),
                client: visit.client.clone(),
                planned: visit.plan.is_some(),
                status: visit.status,
                part,
                row: (visit.status != Status::Void && rows.contains(&key)).then_some(key),
                alerts: alerts.clone(),
            };
            (0, in_visit)
        });
        place.0 += 1;
    };
    for attendance in &visit.attendances {
        let counting = [("check_in", &attendance.check_in), ("check_out", &attendance.check_out)];
        let counting =
            counting.into_iter().filter_map(|(part, event)| Some((part, event.as_ref()?)));
        let repeats = attendance.repeats.iter().map(|event| ("repeat", event));
        for (part, event) in counting.chain(repeats) {
            put(event.event.event_id, part);
        }
    }
    for (event, of_visit) in &night.statements {
        if of_visit.as_ref() == Some(&visit.visit_ref) {
            put(*event, "statement");
        }
    }
}

/// Each event is in one visit, or unplaced; a statement may be about no visit (R15).
async fn entries(
    db: &mut Db,
    contract: &Contract,
    found: &Found,
    parts: &Parts,
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    let waiting = pages::receipts_waiting(db, &contract.id).await?;
    for (row, event) in &found.events {
        if contract.night_of(event.effective_at()) != ledger.night {
            continue;
        }
        let statement = matches!(event.kind, EventKind::NotDelivered(_));
        let went = match parts.get(&event.event_id) {
            Some((1, in_visit)) => Fate::Visit(Box::new(in_visit.clone())),
            None if row.client_ref.is_empty() || statement => Fate::Unplaced,
            other => {
                let times = other.map_or(0, |(times, _)| *times);
                ledger.fault(format!("event {}: in {times} visits", event.event_id));
                continue;
            }
        };
        match &went {
            Fate::Visit(visit) if visit.planned => ledger.went.planned += 1,
            Fate::Visit(_) => ledger.went.unplanned += 1,
            _ => ledger.went.unplaced += 1,
        }
        let receipt_waiting = waiting.contains(&event.event_id);
        ledger.went.receipts_waiting += i64::from(receipt_waiting);
        ledger.entries.push(entry(event, row.duplicates, went, receipt_waiting));
    }
    Ok(())
}

fn entry(event: &Event, duplicates: i64, went: Fate, receipt_waiting: bool) -> Entry {
    let (word, reference) = senders::words(&event.sender);
    let says = match event.kind {
        EventKind::CheckIn => "check_in".to_owned(),
        EventKind::CheckOut => "check_out".to_owned(),
        EventKind::NotDelivered(reason) => format!("not_delivered {}", reason.as_str()),
    };
    Entry {
        event_id: Some(event.event_id.to_string()),
        sender: Some(format!("{word}/{reference}")),
        says,
        times: duplicates + 1,
        received_at: Some(event.received_at),
        went,
        receipt_waiting,
    }
}
