//! A night from a seed: whose homes, which visits, and what the phones say about them.
//!
//! Pure: the same seed, size, faults and anchor make the same night, to the last event id, so that
//! playing it again says nothing new.

use std::collections::BTreeSet;
use std::str::FromStr;

use anyhow::{Context, bail};
use chrono::{NaiveDate, NaiveTime, TimeDelta};
use chrono_tz::Tz;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use super::script::{By, Deed, Fault, SCRIPTS, Says, Script, TO_COME, When, Who};
use crate::domain::calendar::{plus_days, read_local};
use crate::domain::event::Sender;
use crate::domain::instant::Instant;
use crate::domain::plan::{
    Cancellation, CarerRow, ClientRow, DeviceRow, Employment, LatLon, PlannedVisit, TagRow,
};
use crate::domain::policy::Contract;
use crate::domain::quantity::Quantity;
use crate::domain::refs::{CarerRef, ClientRef, ContractId, EventId, VisitRef};
use crate::store::registers::RegisterRow;
use crate::wire::event_payload::{EventPayload, EventType, Method, PositionPayload};

/// Visits that one pair of carers makes.
const VISITS_A_RUN: usize = 4;
/// From one visit of a run to the next: longer than the longest script.
const BETWEEN_VISITS: TimeDelta = TimeDelta::minutes(140);
/// How long before its planned start a script may begin, and how long after it may end.
const BEFORE: TimeDelta = TimeDelta::minutes(45);
const AFTER: TimeDelta = TimeDelta::minutes(150);
/// Most visits of this moment, so that their events are sent in time.
const LIVE_MAX: usize = 600;
/// The longest that a script of this moment goes on, deadlines included, in seconds.
const LIVE_ENDS_WITHIN: i64 = 12;
/// Most visits that are known by their position only: for each the daemon reads the night's plan.
const BY_POSITION_MAX: usize = 100;

/// How a night is to be.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The seed.
    pub seed: u64,
    /// How many visits, those that no plan knows of included.
    pub visits: usize,
    /// Which misbehaviours.
    pub faults: BTreeSet<Fault>,
    /// The moment around which it is laid.
    pub anchor: Instant,
}

/// A night.
#[derive(Debug)]
pub struct Night {
    /// How all its references begin.
    pub prefix: String,
    /// The contract.
    pub contract: ContractId,
    /// Its visits.
    pub visits: Vec<Visit>,
    /// What the phones and units say.
    pub events: Vec<Event>,
    /// When the last of it has happened, and the last deadline that must be met has passed.
    pub over_at: Instant,
}

/// A visit of the night.
#[derive(Debug)]
pub struct Visit {
    /// What happens.
    pub script: &'static Script,
    /// Whose home.
    pub client: ClientRef,
    /// Where that is.
    pub home: LatLon,
    /// The row of the plan.
    pub plan: Option<PlannedVisit>,
    /// The planned start or, without a plan, that from which the script counts.
    pub start: Instant,
    /// Its events, by their place in [`Night::events`], one for each deed.
    pub events: Vec<usize>,
    carers: [CarerRef; 3],
    number: usize,
}

/// An event of the night.
#[derive(Debug)]
pub struct Event {
    /// Its visit, by its place in [`Night::visits`].
    pub visit: usize,
    /// Who sends it.
    pub sender: Sender,
    /// Who came or went.
    pub carer: CarerRef,
    /// What is sent, `sent_at` left out.
    pub payload: EventPayload,
    /// Not sent before that.
    pub send_from: Instant,
    /// The event whose receipt it waits for.
    pub after: Option<usize>,
}

/// The reference of the visit by which a night of that seed is known in the database, and how long
/// after the anchor it is planned.
///
/// # Errors
/// Never: the reference is well formed.
pub fn landmark(seed: u64) -> anyhow::Result<(VisitRef, TimeDelta)> {
    let When::Ahead(hours) = TO_COME.when else { bail!("the first visit is still to come") };
    Ok((named(&format!("{}V-{:06}", prefix(seed), 1))?, TimeDelta::hours(hours)))
}

/// How the references of that seed begin.
#[must_use]
pub fn prefix(seed: u64) -> String {
    format!("S{seed}-")
}

fn named<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    text: &str,
) -> anyhow::Result<T> {
    text.parse().with_context(|| format!("the reference {text:?}"))
}

/// Makes the night.
///
/// # Errors
/// When the contract's policy is not the one for which the scripts are written.
pub fn night(shape: &Shape, contract: &Contract) -> anyhow::Result<Night> {
    Maker::new(shape, contract)?.make()
}

struct Maker<'a> {
    shape: &'a Shape,
    contract: &'a Contract,
    rng: ChaCha8Rng,
    prefix: String,
    /// Instants which no past visit goes across: noon, where nights begin (R3), and the ends of
    /// service hours, on which missed instants depend (R18).
    borders: Vec<Instant>,
    noons: Vec<Instant>,
    live_seconds: i64,
    visits: Vec<Visit>,
    events: Vec<Event>,
    runs: usize,
    /// The present run of the past: its number, its visits, where the next visit ends.
    run: Option<(usize, usize, Instant)>,
    live: usize,
    by_position: usize,
}

impl<'a> Maker<'a> {
    fn new(shape: &'a Shape, contract: &'a Contract) -> anyhow::Result<Self> {
        let zone = contract.zone;
        let today = shape.anchor.with_timezone(&zone).date_naive();
        let (mut noons, mut ends) = (Vec::new(), Vec::new());
        for day in -3..=2 {
            let date = plus_days(today, day);
            let policy = contract.policy(date);
            check_policy(policy)?;
            noons.push(at(zone, date, NOON));
            ends.push(at(zone, date, policy.service_hours.to));
        }
        let borders = noons.iter().copied().chain(ends).collect();
        // A longer night has visits of this moment for longer.
        let live_seconds = i64::try_from(shape.visits / 20).unwrap_or(i64::MAX).clamp(6, 300);
        Ok(Self {
            shape,
            contract,
            rng: ChaCha8Rng::seed_from_u64(shape.seed),
            prefix: prefix(shape.seed),
            borders,
            noons,
            live_seconds,
            visits: Vec::new(),
            events: Vec::new(),
            runs: 0,
            run: None,
            live: 0,
            by_position: 0,
        })
    }

    fn make(mut self) -> anyhow::Result<Night> {
        while self.visits.len() < self.shape.visits {
            let script = if self.visits.is_empty() { &SCRIPTS[0] } else { self.draw() };
            self.add(script)?;
        }
        self.number_events();
        let last = 3 + self.live_seconds + LIVE_ENDS_WITHIN;
        Ok(Night {
            prefix: self.prefix,
            contract: self.contract.id.clone(),
            visits: self.visits,
            events: self.events,
            over_at: self.shape.anchor + TimeDelta::seconds(last),
        })
    }

    /// Draws a script that can be played now.
    fn draw(&mut self) -> &'static Script {
        let total: u32 = SCRIPTS.iter().map(|script| script.weight).sum();
        loop {
            let mut left = self.rng.random_range(0..total);
            let drawn = SCRIPTS.iter().find(|script| {
                let found = left < script.weight;
                left = left.saturating_sub(script.weight);
                found
            });
            if let Some(script) = drawn.filter(|script| self.fits(script)) {
                return script;
            }
        }
    }

    fn fits(&self, script: &Script) -> bool {
        let anchor = self.shape.anchor;
        let minutes = TimeDelta::minutes;
        let fault = script.needs.is_none_or(|fault| self.shape.faults.contains(&fault));
        let room = match script.when {
            When::Past => self.by_position < BY_POSITION_MAX || !by_position(script),
            When::Ahead(_) => true,
            When::MinutesAgo(ago) => {
                crossed(&self.borders, anchor - minutes(ago + 10), anchor).is_none()
            }
            When::Now(_) => {
                let (from, to) = (anchor - minutes(20), anchor + minutes(30));
                self.live < LIVE_MAX && crossed(&self.noons, from, to).is_none()
            }
        };
        fault && room
    }

    fn add(&mut self, script: &'static Script) -> anyhow::Result<()> {
        let number = self.visits.len();
        let anchor = self.shape.anchor;
        let (run, start) = match script.when {
            When::Past => self.past(),
            When::MinutesAgo(ago) => (self.new_run(), anchor - TimeDelta::minutes(ago)),
            When::Ahead(hours) => (self.new_run(), anchor + TimeDelta::hours(hours)),
            When::Now(since) => {
                self.live += 1;
                let moment = self.rng.random_range(3..3 + self.live_seconds);
                (self.new_run(), anchor + TimeDelta::seconds(moment - since))
            }
        };
        self.by_position += usize::from(by_position(script));
        // What is still to come is often at a home that has been visited.
        let again = matches!(script.when, When::Ahead(_)) && self.rng.random_bool(0.5);
        let home_of = if again { number.saturating_sub(1) } else { number };
        let client = match self.visits.get(home_of) {
            Some(other) => other.client.clone(),
            None => named(&format!("{}C-{:06}", self.prefix, number + 1))?,
        };
        let carer =
            |place: usize| named(&format!("{}W-{run:05}{}", self.prefix, ["a", "b", "r"][place]));
        let carers = [carer(0)?, carer(1)?, carer(2)?];
        let mut visit = Visit {
            script,
            home: self.visits.get(home_of).map_or_else(|| home(number), |other| other.home),
            client,
            plan: None,
            start,
            events: Vec::new(),
            carers,
            number,
        };
        visit.plan = self.plan(&visit, run)?;
        for deed in script.deeds {
            let event = self.event(&visit, deed)?;
            visit.events.push(self.events.len());
            self.events.push(event);
        }
        if script.by_receipt() {
            for pair in visit.events.windows(2) {
                self.events[pair[1]].after = Some(pair[0]);
            }
        }
        self.visits.push(visit);
        Ok(())
    }

    fn new_run(&mut self) -> usize {
        self.runs += 1;
        self.runs
    }

    /// The run and the start of the next visit of the past, laid from the last to the first.
    fn past(&mut self) -> (usize, Instant) {
        let (run, visits, latest) = match self.run {
            Some((run, visits, start)) if visits < VISITS_A_RUN => {
                (run, visits, start - BETWEEN_VISITS)
            }
            _ => {
                let spread = TimeDelta::seconds(self.rng.random_range(0..1800));
                (self.new_run(), 0, self.shape.anchor - TimeDelta::minutes(210) - spread)
            }
        };
        let mut start = latest;
        while let Some(border) = crossed(&self.borders, start - BEFORE, start + AFTER) {
            start = border - AFTER;
        }
        self.run = Some((run, visits + 1, start));
        (run, start)
    }

    fn plan(&mut self, visit: &Visit, run: usize) -> anyhow::Result<Option<PlannedVisit>> {
        let Some(plan) = visit.script.plan else { return Ok(None) };
        let service = if self.rng.random_bool(0.7) { "Out of Hours" } else { "Night Sitting" };
        Ok(Some(PlannedVisit {
            contract: self.contract.id.clone(),
            visit_ref: named(&format!("{}V-{:06}", self.prefix, visit.number + 1))?,
            service: service.to_owned(),
            service_level: "Planned".to_owned(),
            client_ref: visit.client.clone(),
            run: Some(named(&format!("{}R-{run:05}", self.prefix))?),
            start: visit.start,
            end: visit.start + TimeDelta::seconds(plan.length),
            carers_required: plan.carers,
            carers: visit.carers[..2].to_vec(),
            time_specific: plan.time_specific,
            quantity: plan
                .hundredths
                .map(|hundredths| {
                    format!("{}.{:02}", hundredths / 100, hundredths % 100).parse::<Quantity>()
                })
                .transpose()?,
            cancellation: plan.cancelled.map(|(by, before, why)| Cancellation {
                at: visit.start - TimeDelta::seconds(before),
                by,
                reason: Some(why.to_owned()),
            }),
        }))
    }

    fn event(&mut self, visit: &Visit, deed: &Deed) -> anyhow::Result<Event> {
        let script = visit.script;
        let name = format!("{} {} {}", self.shape.anchor, self.prefix, self.events.len());
        let id = EventId(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()));
        let really = visit.start + TimeDelta::seconds(deed.at);
        let kind = match deed.says {
            Says::In | Says::InWithFamily | Says::ForSomebodyElse => EventType::CheckIn,
            Says::Out => EventType::CheckOut,
            Says::Not(_) => EventType::NotDelivered,
        };
        let mut payload = EventPayload::new(id, kind, really + TimeDelta::seconds(script.clock));
        payload.informal_carer = (deed.says == Says::InWithFamily).then_some(true);
        if let Says::Not(reason) = deed.says {
            payload.reason = Some(reason);
        }
        let carer = match deed.who {
            Who::First => &visit.carers[0],
            Who::Second => &visit.carers[1],
            Who::Relief => &visit.carers[2],
        };
        if deed.says == Says::ForSomebodyElse {
            payload.carer_ref = Some(visit.carers[1].clone());
        }
        let mut sender = Sender::Carer(carer.clone());
        self.locate(visit, deed.by, &mut payload)?;
        if deed.by == By::Unit {
            payload.carer_ref = Some(carer.clone());
            sender = Sender::Device(named(&unit(&visit.client))?);
        }
        let held = TimeDelta::seconds(if script.is_live() { script.held } else { 0 });
        Ok(Event {
            visit: visit.number,
            sender,
            carer: carer.clone(),
            payload,
            send_from: if script.is_live() { really + held } else { self.shape.anchor },
            after: None,
        })
    }

    fn locate(&mut self, visit: &Visit, by: By, payload: &mut EventPayload) -> anyhow::Result<()> {
        let near = |north: f64| PositionPayload {
            lat: visit.home.lat + north,
            lon: visit.home.lon,
            accuracy_m: Some(8.0),
        };
        match by {
            By::Plan => {
                // What an app knows differs.
                let knows = self.rng.random_range(0..3);
                let visit_ref = visit.plan.as_ref().map(|plan| plan.visit_ref.clone());
                payload.client_ref = (knows != 0).then(|| visit.client.clone());
                payload.visit_ref = visit_ref.filter(|_| knows != 1);
                payload.method = Some(Method::Gps);
                payload.position = self.rng.random_bool(0.3).then(|| near(0.0002));
            }
            By::Client => payload.client_ref = Some(visit.client.clone()),
            By::FarAway => {
                payload.client_ref = Some(visit.client.clone());
                payload.position = Some(near(0.009));
            }
            By::Position => {
                payload.method = Some(Method::Gps);
                payload.position = Some(near(0.0001));
            }
            By::Tag => {
                payload.method = Some(Method::Nfc);
                payload.tag = Some(named(&tag(&visit.client))?);
            }
            By::UnknownTag => payload.tag = Some(named(&format!("{}nowhere", self.prefix))?),
            By::Unit => payload.method = Some(Method::Telecare),
        }
        Ok(())
    }

    /// Every phone and unit numbers its events in the order in which they happened (R9).
    fn number_events(&mut self) {
        let mut order: Vec<usize> = (0..self.events.len()).collect();
        order.sort_by_key(|&index| {
            let event = &self.events[index];
            (event.sender.clone(), event.payload.occurred_at, index)
        });
        let mut last: Option<(Sender, u64)> = None;
        for index in order {
            let event = &mut self.events[index];
            let seq = match &last {
                Some((sender, seq)) if *sender == event.sender => seq + 1,
                _ => 1,
            };
            event.payload.seq = Some(seq);
            last = Some((event.sender.clone(), seq));
        }
    }
}

fn by_position(script: &Script) -> bool {
    script.deeds.iter().any(|deed| deed.by == By::Position)
}

/// The border that lies between these instants.
fn crossed(borders: &[Instant], from: Instant, to: Instant) -> Option<Instant> {
    borders.iter().copied().find(|border| from < *border && *border < to)
}

const NOON: NaiveTime = NaiveTime::from_hms_opt(12, 0, 0).expect("a time of day");

fn at(zone: Tz, date: NaiveDate, time: NaiveTime) -> Instant {
    read_local(zone, date.and_time(time)).instant()
}

/// Homes stand two kilometres from each other.
#[allow(clippy::cast_precision_loss, reason = "whole numbers far below 2^52")]
fn home(number: usize) -> LatLon {
    LatLon { lat: 50.0 + 0.02 * (number / 300) as f64, lon: -4.0 + 0.03 * (number % 300) as f64 }
}

fn tag(client: &ClientRef) -> String {
    format!("{client}-tag")
}

fn unit(client: &ClientRef) -> String {
    format!("{client}-unit")
}

/// The scripts are written for these values; everything else in a policy may be as it likes.
fn check_policy(policy: &crate::domain::policy::Policy) -> anyhow::Result<()> {
    let is = [
        ("tolerance_minutes", policy.tolerance, 15),
        ("late_minutes", policy.late, 30),
        ("time_specific_late_minutes", policy.time_specific_late, 15),
        ("missed_after_minutes", policy.missed_after, 60),
        ("match_window_minutes", policy.match_window, 120),
        ("overdue_checkout_minutes", policy.overdue_checkout, 60),
    ];
    for (key, value, right) in is {
        if value != TimeDelta::minutes(right) {
            bail!(
                "the simulated night is written for a policy with {key} = {right}, and the \
                 contract has {}: name another with --contract",
                value.num_minutes()
            );
        }
    }
    Ok(())
}

impl Night {
    /// The rows of the plan.
    pub fn plan(&self) -> impl Iterator<Item = &PlannedVisit> {
        self.visits.iter().filter_map(|visit| visit.plan.as_ref())
    }

    /// The rows of each register: its word, and the rows.
    ///
    /// # Errors
    /// Never: the references are well formed.
    pub fn registers(&self) -> anyhow::Result<[(&'static str, Vec<RegisterRow>); 4]> {
        let contract = || self.contract.clone();
        let mut rows =
            [("clients", vec![]), ("carers", vec![]), ("devices", vec![]), ("tags", vec![])];
        let (mut clients, mut carers) = (BTreeSet::new(), BTreeSet::new());
        for visit in &self.visits {
            if clients.insert(&visit.client) {
                rows[0].1.push(RegisterRow::Client(ClientRow {
                    contract: contract(),
                    client_ref: visit.client.clone(),
                    home: Some(visit.home),
                    fence_m: Some(150.0),
                    display_name: None,
                    phone: None,
                    from: None,
                }));
            }
            for carer in &visit.carers[..2] {
                if carers.insert(carer) {
                    rows[1].1.push(RegisterRow::Carer(CarerRow {
                        contract: contract(),
                        carer_ref: carer.clone(),
                        employment: Employment::Permanent,
                        display_name: None,
                    }));
                }
            }
            let uses = |by| visit.script.deeds.iter().any(|deed| deed.by == by);
            if uses(By::Unit) {
                rows[2].1.push(RegisterRow::Device(DeviceRow {
                    contract: contract(),
                    device_ref: named(&unit(&visit.client))?,
                    client_ref: visit.client.clone(),
                    from: None,
                }));
            }
            if uses(By::Tag) {
                rows[3].1.push(RegisterRow::Tag(TagRow {
                    contract: contract(),
                    tag: named(&tag(&visit.client))?,
                    client_ref: visit.client.clone(),
                    from: None,
                }));
            }
        }
        Ok(rows)
    }
}
