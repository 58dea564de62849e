//! When visits are and who makes them: scripts drawn, runs laid out.

use std::collections::HashMap;

use anyhow::bail;
use chrono::{NaiveDate, NaiveTime, TimeDelta};
use chrono_tz::Tz;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::{Event, Night, Shape, Visit, named, prefix};
use crate::domain::calendar::{plus_days, read_local};
use crate::domain::instant::Instant;
use crate::domain::plan::{Cancellation, LatLon, PlannedVisit};
use crate::domain::policy::{Contract, Policy};
use crate::domain::quantity::Quantity;
use crate::domain::refs::CarerRef;
use crate::simulate::script::{By, Script, When};
use crate::simulate::scripts;

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
pub(super) struct Maker<'a> {
    pub(super) shape: &'a Shape,
    contract: &'a Contract,
    pub(super) rng: ChaCha8Rng,
    pub(super) prefix: String,
    /// Instants which no past visit goes across: noon, where nights begin (R3), and the ends of
    /// service hours, on which missed instants depend (R18).
    borders: Vec<Instant>,
    noons: Vec<Instant>,
    live_seconds: i64,
    visits: Vec<Visit>,
    pub(super) events: Vec<Event>,
    runs: usize,
    /// The present run of the past: its number, its visits, where the next visit ends.
    run: Option<(usize, usize, Instant)>,
    live: usize,
    by_position: usize,
}

impl<'a> Maker<'a> {
    pub(super) fn new(shape: &'a Shape, contract: &'a Contract) -> anyhow::Result<Self> {
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
        let live_seconds = i64::try_from(shape.visits / 40).unwrap_or(i64::MAX).clamp(6, 300);
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

    pub(super) fn make(mut self) -> anyhow::Result<Night> {
        while self.visits.len() < self.shape.visits {
            let script = if self.visits.is_empty() { &scripts::TO_COME } else { self.draw() };
            self.add(script)?;
        }
        self.number_events();
        let last = 3 + self.live_seconds + LIVE_ENDS_WITHIN;
        let mut by_carer: HashMap<CarerRef, Vec<usize>> = HashMap::new();
        for (index, event) in self.events.iter().enumerate() {
            by_carer.entry(event.carer.clone()).or_default().push(index);
        }
        Ok(Night {
            by_carer,
            prefix: self.prefix,
            contract: self.contract.id.clone(),
            visits: self.visits,
            events: self.events,
            over_at: self.shape.anchor + TimeDelta::seconds(last),
        })
    }

    /// Draws a script that can be played now.
    fn draw(&mut self) -> &'static Script {
        let total: u32 = scripts::all().map(|script| script.weight).sum();
        loop {
            let mut left = self.rng.random_range(0..total);
            let drawn = scripts::all().find(|script| {
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

/// The scripts are written for these values; everything else in a policy may be as it likes.
fn check_policy(policy: &Policy) -> anyhow::Result<()> {
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
