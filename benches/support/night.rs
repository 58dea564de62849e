//! A night: who is to visit whom, and what the phones of those who come say.
//!
//! Pairs of carers, or single ones, make their runs of visits; each client may have another visit
//! later in the night. Everybody comes and goes in the last minutes before now, so that no deadline
//! passes while the events are on their way, however fast or slow they are played; of a real night
//! only the hours are missing. Everything follows from the numbers in [`Layout`].

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use chrono::TimeDelta;
use nightrun::domain::instant::Instant;

use super::load::Script;
use super::said::{Content, Said, event_id, from_chance, home, mixed, text};

/// In how many visits one check-in is sent from somewhere else, a kilometre off.
const OFF_SITE_ONE_IN: u32 = 100;
/// How long the visits take together.
const SPAN: TimeDelta = TimeDelta::minutes(6);
/// Check-out follows check-in by so much.
const STAY: TimeDelta = TimeDelta::seconds(30);
/// Visits of one run, one after the other.
const VISITS_PER_RUN: u32 = 5;

/// How large a night is.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Check-ins and check-outs; rounded up to whole runs.
    pub events: u32,
    /// Carers of each visit.
    pub carers: u32,
    /// Visits of each client in these minutes.
    pub per_client: u32,
    /// Whether each client has another one later in the night.
    pub later: bool,
    /// The present, at which the last of them has gone.
    pub now: Instant,
    /// Nights with different salts have different events at the same visits.
    pub salt: u64,
}

/// A night laid out.
#[derive(Debug, Clone, Copy)]
pub struct Night {
    layout: Layout,
    runs: u32,
}

impl Night {
    pub fn new(layout: Layout) -> Self {
        let runs = layout.events.div_ceil(2 * layout.carers * VISITS_PER_RUN);
        Self { layout, runs }
    }

    pub fn visits(&self) -> u32 {
        self.runs * VISITS_PER_RUN
    }

    pub fn events(&self) -> u32 {
        self.visits() * self.layout.carers * 2
    }

    fn clients(&self) -> u32 {
        self.visits().div_ceil(self.layout.per_client)
    }

    fn client_of(&self, visit: u32) -> u32 {
        visit % self.clients()
    }

    fn start_of(&self, visit: u32) -> Instant {
        let slot = SPAN / i32::try_from(VISITS_PER_RUN).unwrap_or(1);
        let (run, place) = (visit / VISITS_PER_RUN, visit % VISITS_PER_RUN);
        let jitter = TimeDelta::milliseconds(i64::from(run.wrapping_mul(7919) % 20_000));
        self.layout.now - SPAN + slot * i32::try_from(place).unwrap_or(0) + jitter
    }

    /// Writes the register of clients, with their homes.
    pub fn write_clients(&self, path: &Path) -> anyhow::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        writeln!(file, "contract,client_ref,lat,lon,fence_m")?;
        for client in 0..self.clients() {
            let (lat, lon) = home(client);
            writeln!(file, "default,C-{client:07},{lat:.6},{lon:.6},")?;
        }
        Ok(file.flush()?)
    }

    /// Writes the plan.
    pub fn write_visits(&self, path: &Path) -> anyhow::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        writeln!(
            file,
            "contract,visit_ref,service,service_level,client_ref,run,planned_start,planned_end,\
             carers_required,carers"
        )?;
        let Layout { carers, later, .. } = self.layout;
        for visit in 0..self.visits() {
            let (run, client) = (visit / VISITS_PER_RUN, self.client_of(visit));
            let names: Vec<_> = (0..carers).map(|of_run| carer(run * carers + of_run)).collect();
            let names = names.join(";");
            let start = self.start_of(visit);
            let mut row = |name: char, start: Instant, length: TimeDelta| {
                let (start, end) = (text(start), text(start + length));
                writeln!(
                    file,
                    "default,{name}-{visit:07},Out of Hours,Planned,C-{client:07},R-{run:06},\
                     {start},{end},{carers},{names}"
                )
            };
            row('V', start, TimeDelta::minutes(1))?;
            if later && visit < self.clients() {
                row('W', start + TimeDelta::hours(3), TimeDelta::minutes(30))?;
            }
        }
        Ok(file.flush()?)
    }

    /// What each of so many phones says, in the order in which it happens. There are more carers
    /// than phones: a phone speaks for one in so many of them.
    pub fn scripts(&self, phones: u32) -> Vec<Script> {
        let carers = self.runs * self.layout.carers;
        (0..phones.min(carers)).map(|phone| self.script(phone, phones, carers)).collect()
    }

    fn script(&self, phone: u32, phones: u32, carers: u32) -> Script {
        let mut script = Script::default();
        let own = || (phone..carers).step_by(phones as usize);
        for carer_number in own() {
            let carer = carer(carer_number);
            script.receipts.push(format!("nightrun/v1/default/carer/{carer}/receipt"));
        }
        for place in 0..VISITS_PER_RUN {
            for leaving in [false, true] {
                for carer in own() {
                    let said = self.event(carer, place, leaving);
                    script.add(said.id, &said.topic, said.payload.as_bytes());
                }
            }
        }
        script
    }

    /// What everybody says, one carer after the other.
    pub fn said(&self) -> impl Iterator<Item = Said> {
        let steps = || (0..VISITS_PER_RUN).flat_map(|place| [(place, false), (place, true)]);
        (0..self.runs * self.layout.carers).flat_map(move |carer| {
            steps().map(move |(place, leaving)| self.event(carer, place, leaving))
        })
    }

    fn event(&self, carer_number: u32, place: u32, leaving: bool) -> Said {
        let visit = carer_number / self.layout.carers * VISITS_PER_RUN + place;
        let own = u64::from(carer_number * VISITS_PER_RUN + place) * 2 + u64::from(leaving);
        let id = event_id(self.layout.salt, own);
        let chance = mixed(own);
        let mut at = self.start_of(visit) + TimeDelta::milliseconds(from_chance(chance, 8_000));
        if leaving {
            at += STAY;
        }
        let client = self.client_of(visit);
        let (mut lat, mut lon) = home(client);
        lat += f64::from(u32::try_from(chance % 400).unwrap_or(0)) * 1e-6 - 2e-4;
        lon += f64::from(u32::try_from(chance % 397).unwrap_or(0)) * 1e-6 - 2e-4;
        if visit.is_multiple_of(OFF_SITE_ONE_IN) && !leaving {
            lat += 0.01;
        }
        let payload = Content {
            id,
            kind: if leaving { "check_out" } else { "check_in" },
            at,
            client: &format!("C-{client:07}"),
            visit: &format!("V-{visit:07}"),
            home: (lat, lon),
            accuracy: 4 + chance % 20,
            sent_at: self.layout.now,
            seq: place * 2 + u32::from(leaving) + 1,
        };
        let topic = format!("nightrun/v1/default/carer/{}/event", carer(carer_number));
        Said { id, topic, at, payload: payload.to_string() }
    }
}

fn carer(number: u32) -> String {
    format!("w{number:07}")
}
