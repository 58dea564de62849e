//! Nights for the tests of the pages, made by the rules themselves.

use std::sync::Arc;

use chrono::TimeDelta;
use uuid::Uuid;

use super::eyes::Eyes;
use crate::config::load;
use crate::domain::alert::AlertKind;
use crate::domain::casebook::Casebook;
use crate::domain::contact::{Act, contact_clock};
use crate::domain::event::{Event, EventKind, Position, Sender};
use crate::domain::instant::{Instant, parse_instant};
use crate::domain::plan::{ClientRow, LatLon, PlannedVisit};
use crate::domain::policy::Contract;
use crate::domain::refs::{CarerRef, EventId};
use crate::domain::register::Registers;
use crate::domain::visit::{PlanRow, Visit};
use crate::store::registers::Names;
use crate::view::{AlertView, NightView};
use crate::wire::alert::AlertMessage;

pub fn contract() -> Contract {
    load(None, []).unwrap().default_contract("default".parse().unwrap())
}

pub fn instant(text: &str) -> Instant {
    parse_instant(text).unwrap()
}

/// Mrs <Jones> of C-1, and amy, who has a name. Her markup must stay text.
pub fn names() -> Names {
    let mut names = Names::default();
    let (name, phone) = ("Mrs <Jones>".to_owned(), "01375 000001".to_owned());
    names.put_client("C-1", Some(name), Some(phone));
    names.put_carer("amy", "Amy Ash".to_owned());
    names
}

pub fn coordinator<'a>(contract: &'a Contract, names: &'a Names) -> Eyes<'a> {
    Eyes { contract, names, sees_people: true, may_act: true, csrf: "its-own" }
}

pub fn client(reference: &str, home: Option<LatLon>) -> ClientRow {
    ClientRow {
        contract: "default".parse().unwrap(),
        client_ref: reference.parse().unwrap(),
        home,
        fence_m: None,
        display_name: None,
        phone: None,
        from: None,
    }
}

/// A row of the plan: of run R1, for one carer, C-1's unless changed.
pub fn row(visit: &str, start: &str, minutes: i64) -> PlannedVisit {
    PlannedVisit {
        contract: "default".parse().unwrap(),
        visit_ref: visit.parse().unwrap(),
        service: "Out of Hours".to_owned(),
        service_level: "Planned".to_owned(),
        client_ref: "C-1".parse().unwrap(),
        run: Some("R1".parse().unwrap()),
        start: instant(start),
        end: instant(start) + TimeDelta::minutes(minutes),
        carers_required: 1,
        carers: Vec::new(),
        time_specific: false,
        quantity: None,
        cancellation: None,
    }
}

pub fn event(number: u128, kind: EventKind, carer: &str, client: &str, at: &str) -> Event {
    let carer: CarerRef = carer.parse().unwrap();
    let client = (!client.is_empty()).then(|| client.parse().unwrap());
    Event {
        contract: "default".parse().unwrap(),
        event_id: EventId(Uuid::from_u128(number)),
        sender: Sender::Carer(carer.clone()),
        kind,
        carer_ref: carer,
        occurred_at: instant(at),
        received_at: instant(at) + TimeDelta::seconds(4),
        client_ref: client,
        visit_ref: None,
        tag: None,
        position: None,
        informal_carer: false,
        seq: None,
    }
}

pub fn at(event: Event, lat: f64, lon: f64) -> Event {
    let at = LatLon { lat, lon };
    Event { position: Some(Position { at, accuracy_m: 8.0 }), ..event }
}

/// The visits of that plan and that evidence.
pub fn visits(
    plan: Vec<PlannedVisit>,
    events: Vec<Event>,
    registers: Registers,
    now: &str,
) -> Vec<Visit> {
    let mut book = Casebook::new(Arc::new(contract()), registers);
    for visit in plan {
        let visit = Arc::new(visit);
        book.add_visit(PlanRow { visit, replanned: false, known_from: Instant::MIN_UTC });
    }
    for event in events {
        book.add_event(Arc::new(event));
    }
    book.visits(instant(now))
}

/// A planned visit to which nobody has come, an hour before it starts.
pub fn planned(visit: &str, start: &str, minutes: i64) -> Visit {
    visits(vec![row(visit, start, minutes)], Vec::new(), Registers::default(), start).remove(0)
}

pub fn alert(number: u128, kind: AlertKind, visit: Option<&Visit>, due: &str) -> AlertView {
    let due = instant(due);
    let contract = contract();
    let night = contract.night_of(due);
    let detail = "planned for 02:00, late: nobody has come".to_owned();
    let id = Uuid::from_u128(number);
    let mut message = AlertMessage::open(id, contract.id.clone(), kind, night, due, detail);
    if let Some(visit) = visit {
        message.visit_ref = Some(visit.visit_ref.clone());
        message.client_ref = Some(visit.client.clone());
        message.planned_start = Some(visit.planned_start);
        message.contact_due_at = crate::domain::alert::contact_due_at(kind, visit);
        message.present = Some(visit.present.into());
        message.carers_required = Some(visit.carers_required.into());
    }
    AlertView { message, told: true, acts: Vec::new(), clock: contact_clock(None, &[], due) }
}

/// The same, after these acts, as it is then.
pub fn after(alert: AlertView, acts: Vec<Act>, now: &str) -> AlertView {
    let clock = contact_clock(alert.message.contact_due_at, &acts, instant(now));
    AlertView { acts, clock, ..alert }
}

pub fn night(visits: Vec<Visit>, alerts: Vec<AlertView>, now: &str) -> NightView {
    let contract = Arc::new(contract());
    let now = instant(now);
    NightView {
        night: contract.night_of(now),
        contract,
        now,
        visits,
        alerts,
        unplaced: Vec::new(),
        registers: Registers::default(),
        names: Names::default(),
    }
}
