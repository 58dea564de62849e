//! Small nights at random: two clients, three carers, a few visits, events and corrections.
//!
//! Times lie on a coarse grid, so that instants coincide with each other and with deadlines.

use std::sync::Arc;

use chrono::{DateTime, NaiveTime, TimeDelta, Weekday};
use chrono_tz::Europe::London;
use nightrun::domain::calendar::{DatedBy, ServiceHours};
use nightrun::domain::casebook::Casebook;
use nightrun::domain::correction::{Correction, CorrectionKind, Outcome};
use nightrun::domain::event::{Event, EventKind, Position, Reason, Sender};
use nightrun::domain::holidays::BankHolidays;
use nightrun::domain::instant::{Instant, minutes};
use nightrun::domain::plan::{
    Cancellation, CancelledBy, ClientRow, LatLon, PlannedVisit, Suspension,
};
use nightrun::domain::policy::{Contract, Policy, Unit};
use nightrun::domain::refs::{EventId, VisitRef};
use nightrun::domain::register::Registers;
use nightrun::domain::visit::PlanRow;
use nightrun::replay::Evidence;
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A night: what is planned, what is received or decided and when, and the present instant.
#[derive(Debug, Clone)]
pub struct Night {
    pub contract: Arc<Contract>,
    pub suspensions: Vec<Suspension>,
    pub plan: Vec<PlannedVisit>,
    pub events: Vec<Event>,
    pub corrections: Vec<Correction>,
    pub as_of: Instant,
}

impl Night {
    /// A casebook with the plan and the registers, and no evidence.
    pub fn book(&self) -> Casebook {
        let mut registers = Registers::default();
        for (client, lat) in [("C-0", 51.48), ("C-1", 51.4805)] {
            registers.put_client(&ClientRow {
                contract: self.contract.id.clone(),
                client_ref: client.parse().unwrap(),
                home: Some(LatLon { lat, lon: 0.32 }),
                fence_m: None,
                display_name: None,
                phone: None,
                from: None,
            });
        }
        for suspension in &self.suspensions {
            registers.put_suspension(suspension.clone());
        }
        let mut book = Casebook::new(Arc::clone(&self.contract), registers);
        for visit in &self.plan {
            let visit = Arc::new(visit.clone());
            book.add_visit(PlanRow { visit, replanned: false, known_from: Instant::MIN_UTC });
        }
        book
    }

    /// All evidence with its moment of receipt.
    pub fn evidence(&self) -> Vec<(Instant, Evidence)> {
        let events = self.events.iter().map(message);
        let corrections = self
            .corrections
            .iter()
            .map(|correction| (correction.at, Evidence::Correction(Box::new(correction.clone()))));
        events.chain(corrections).collect()
    }
}

/// An event as it was received.
pub fn message(event: &Event) -> (Instant, Evidence) {
    (event.received_at, Evidence::Event(Arc::new(event.clone())))
}

/// A small contract.
pub fn contract(unit: Unit, dated_by: DatedBy, together: bool) -> Arc<Contract> {
    let policy = Policy {
        effective_from: None,
        service_hours: ServiceHours {
            from: NaiveTime::from_hms_opt(23, 0, 0).unwrap(),
            to: NaiveTime::from_hms_opt(7, 0, 0).unwrap(),
        },
        tolerance: minutes(15),
        late: minutes(30),
        time_specific_late: minutes(15),
        missed_after: minutes(60),
        match_window: minutes(120),
        overdue_checkout: minutes(60),
        device_silent_after: TimeDelta::hours(24),
        fence_m: 150.0,
        week_starts_on: Weekday::Mon,
        dated_by,
        periods_from: "2019-01-28".parse().unwrap(),
        unit,
        unplanned_service: if together { "Night care" } else { "Out of Hours" }.to_owned(),
        unplanned_service_level: if together { "Planned" } else { "Emergency" }.to_owned(),
    };
    let id = "thurrock".parse().unwrap();
    Arc::new(Contract::new(id, London, policy, Vec::new(), BankHolidays::default()))
}

fn event_id(number: usize) -> EventId {
    EventId(uuid::Uuid::from_u128(number as u128 + 1))
}

fn instant(text: &str) -> Instant {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// Eleven at night: of an ordinary Sunday, and of the nights when the clocks change.
fn first_instant() -> impl Strategy<Value = Instant> {
    const NIGHTS: [&str; 3] =
        ["2019-02-10T23:00:00Z", "2019-03-30T23:00:00Z", "2019-10-26T22:00:00Z"];
    select(NIGHTS.as_slice()).prop_map(instant)
}

/// An instant of the night, mostly on a grid of five minutes.
fn moment() -> impl Strategy<Value = TimeDelta> {
    prop_oneof![
        4 => (0..96_i64).prop_map(|five| minutes(5 * five)),
        1 => (0..480 * 60_000_i64).prop_map(TimeDelta::milliseconds),
    ]
}

/// A visit, apart from its name: the instants are after eleven at night.
fn visit() -> impl Strategy<Value = (TimeDelta, PlannedVisit)> {
    let by = select(
        [CancelledBy::Client, CancelledBy::Council, CancelledBy::Provider, CancelledBy::Error]
            .as_slice(),
    );
    let quantity = select(["1", "0.5", "0.125", "2.675", "0", "1.5"].as_slice());
    let what = (0..2_usize, 1..=3_u8, any::<bool>(), weighted(0.3, quantity));
    let cancelled = weighted(0.2, (by, -2000..480_i64));
    (moment(), 1..12_i64, what, cancelled, any::<bool>()).prop_map(
        |(start, fives, (client, carers_required, time_specific, quantity), cancelled, listed)| {
            let at = |minute| DateTime::UNIX_EPOCH + minutes(minute);
            let visit = PlannedVisit {
                contract: "thurrock".parse().unwrap(),
                visit_ref: "V".parse().unwrap(),
                service: "Night care".to_owned(),
                service_level: "Planned".to_owned(),
                client_ref: format!("C-{client}").parse().unwrap(),
                run: None,
                start: DateTime::UNIX_EPOCH,
                end: at(5 * fives),
                carers_required,
                carers: if listed { vec!["w0".parse().unwrap()] } else { Vec::new() },
                time_specific,
                quantity: quantity.map(|quantity| quantity.parse().unwrap()),
                cancellation: cancelled.map(|(by, minute)| Cancellation {
                    at: at(minute),
                    by,
                    reason: Some("a reason".to_owned()),
                }),
            };
            (start, visit)
        },
    )
}

/// A planned visit.
fn planned_name() -> impl Strategy<Value = VisitRef> {
    (0..5_usize).prop_map(|number| format!("V-{number}").parse().unwrap())
}

/// A planned visit, or the unplanned visit of an event, that may or may not be there.
fn name() -> impl Strategy<Value = VisitRef> {
    prop_oneof![
        5 => (0..5_usize).prop_map(|number| format!("V-{number}").parse().unwrap()),
        1 => (0..12_usize).prop_map(|number| VisitRef::unplanned(event_id(number))),
    ]
}

/// An event, apart from its id, after eleven at night.
fn event(places: Places) -> impl Strategy<Value = (TimeDelta, TimeDelta, Event)> {
    let kind = prop_oneof![
        5 => Just(EventKind::CheckIn),
        4 => Just(EventKind::CheckOut),
        2 => select(Reason::ALL).prop_map(EventKind::NotDelivered),
    ];
    let delay = prop_oneof![
        3 => Just(TimeDelta::zero()),
        3 => (-1..30_i64).prop_map(|five| minutes(5 * five)),
        1 => (0..600_000_i64).prop_map(TimeDelta::milliseconds),
    ];
    let position = (0..4_i32).prop_map(|step| Position {
        at: LatLon { lat: 51.48 + 0.0005 * f64::from(step), lon: 0.32 },
        accuracy_m: 0.0,
    });
    let client = weighted(0.8, 0..2_usize);
    let what = (weighted(0.3, name()), of(position), weighted(0.1, Just(())), of(1..6_u64));
    ((moment(), delay), kind, 0..3_usize, client, what).prop_map(
        move |((at, delay), kind, carer, client, (visit_ref, position, informal, seq))| {
            let hangs = |name: &VisitRef| client.is_none() && name.unplanned_event().is_some();
            let visit_ref = match places {
                Places::Planned => visit_ref.filter(|name| !hangs(name)),
                Places::Any => visit_ref,
            };
            let carer_ref: nightrun::domain::refs::CarerRef = format!("w{carer}").parse().unwrap();
            let event = Event {
                contract: "thurrock".parse().unwrap(),
                event_id: event_id(0),
                sender: Sender::Carer(carer_ref.clone()),
                kind,
                carer_ref,
                occurred_at: DateTime::UNIX_EPOCH,
                received_at: DateTime::UNIX_EPOCH,
                client_ref: client.map(|client| format!("C-{client}").parse().unwrap()),
                visit_ref,
                tag: None,
                position,
                informal_carer: informal.is_some(),
                seq,
            };
            (at, delay, event)
        },
    )
}

fn correction(place: Places) -> impl Strategy<Value = CorrectionKind> {
    let place = match place {
        Places::Planned => planned_name().boxed(),
        Places::Any => name().boxed(),
    };
    prop_oneof![
        3 => (name(), select(Outcome::ALL))
            .prop_map(|(visit_ref, outcome)| CorrectionKind::Outcome { visit_ref, outcome }),
        1 => name().prop_map(|visit_ref| CorrectionKind::Withdraw { visit_ref }),
        1 => name().prop_map(|visit_ref| CorrectionKind::Comment { visit_ref }),
        3 => (any::<Index>(), place).prop_map(|(event, visit_ref)| CorrectionKind::Place {
            event_id: event_id(event.index(12)),
            visit_ref,
        }),
    ]
}

/// What may say whose home an event was made in.
#[derive(Debug, Clone, Copy)]
pub enum Places {
    /// Itself, or a planned visit.
    Planned,
    /// An unplanned visit too, by one of its events: then one event's place hangs on another's.
    Any,
}

/// A night at random.
pub fn night(places: Places) -> impl Strategy<Value = Night> {
    let unit = select([Unit::Visit, Unit::Hour].as_slice());
    let dated_by = select([DatedBy::Night, DatedBy::Start].as_slice());
    let corrections = vec((moment(), correction(places)), 0..4);
    let suspension = weighted(0.15, (0..2_usize, moment(), moment()));
    let evidence = (vec(visit(), 0..5), vec(event(places), 0..12), corrections, suspension);
    ((unit, dated_by, any::<bool>()), first_instant(), evidence, moment()).prop_map(
        |((unit, dated_by, together), first, (plan, events, corrections, suspension), as_of)| {
            let since = |at: Instant| at - DateTime::UNIX_EPOCH;
            let plan = plan.into_iter().enumerate().map(|(number, (at, visit))| PlannedVisit {
                visit_ref: format!("V-{number}").parse().unwrap(),
                start: first + at,
                end: first + at + since(visit.end),
                cancellation: visit.cancellation.map(|cancellation| Cancellation {
                    at: first + since(cancellation.at),
                    ..cancellation
                }),
                ..visit
            });
            let events = events.into_iter().enumerate().map(|(number, (at, delay, event))| Event {
                event_id: event_id(number),
                occurred_at: first + at,
                received_at: first + at + delay,
                ..event
            });
            // Of two corrections at one instant the later line counts: they are a second apart.
            let corrections = corrections.into_iter().zip(1..).map(|((at, what), second)| {
                let at = first + at + TimeDelta::seconds(second);
                let contract = "thurrock".parse().unwrap();
                let typed = Some(format!("typed {second}"));
                let by = "a coordinator".to_owned();
                let (reason, comment) = (typed.clone(), None);
                Correction { at, by, contract, reason, comment, return_comment: typed, what }
            });
            let suspensions = suspension.into_iter().map(|(client, from, told)| Suspension {
                contract: "thurrock".parse().unwrap(),
                client_ref: format!("C-{client}").parse().unwrap(),
                from: first + from,
                to: None,
                notified_at: first + told,
                reason: "away".to_owned(),
            });
            Night {
                contract: contract(unit, dated_by, together),
                suspensions: suspensions.collect(),
                plan: plan.collect(),
                events: events.collect(),
                corrections: corrections.collect(),
                // Half of the nights are looked at when they are over.
                as_of: first + if as_of.num_minutes() % 2 == 0 { minutes(780) } else { as_of },
            }
        },
    )
}

/// The first and the last instant that can be written, instants near them, and one between.
pub fn extreme() -> impl Strategy<Value = Instant> {
    const ENDS: [&str; 7] = [
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00.000001Z",
        "1970-01-01T12:00:00Z",
        "2019-02-04T23:00:00Z",
        "9999-12-31T12:00:00Z",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59.999999Z",
    ];
    select(ENDS.as_slice()).prop_map(instant)
}
