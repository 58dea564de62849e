//! `nightrun replay`: the rules over files, for whoever checks a bill.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, mem, thread};

use anyhow::Context;
use clap::Args;

use super::input::read_rows;
use crate::config::Settings;
use crate::domain::casebook::Casebook;
use crate::domain::correction::Correction;
use crate::domain::event::{Event, Sender};
use crate::domain::instant::{Instant, parse_instant};
use crate::domain::plan::{CarerRow, ClientRow, DeviceRow, PlannedVisit, Suspension, TagRow};
use crate::domain::policy::Contract;
use crate::domain::refs::{CarerRef, ClientRef, ContractId, VisitRef};
use crate::domain::register::Registers;
use crate::domain::schedule3::Schedule3;
use crate::domain::visit::{PlanRow, Visit};
use crate::files::EventLine;
use crate::replay::{Evidence, play, visits};
use crate::report;
use crate::wire::payload::decode_event;
use crate::wire::rejection::Rejection;

/// What `nightrun replay` takes.
#[derive(Args)]
pub struct Arguments {
    /// The planned visits.
    #[arg(long, value_name = "FILE")]
    visits: PathBuf,
    /// What was received: JSON Lines of topic, `received_at` and payload.
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// The instant up to which time passes, like 2019-03-04T12:00:00Z.
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
    as_of: Instant,
    /// The folder into which visits.csv, alerts.csv and schedule-3.csv are written.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The client register.
    #[arg(long, value_name = "FILE")]
    clients: Option<PathBuf>,
    /// The device register.
    #[arg(long, value_name = "FILE")]
    devices: Option<PathBuf>,
    /// The carer register.
    #[arg(long, value_name = "FILE")]
    carers: Option<PathBuf>,
    /// The tag register.
    #[arg(long, value_name = "FILE")]
    tags: Option<PathBuf>,
    /// The suspensions.
    #[arg(long, value_name = "FILE")]
    suspensions: Option<PathBuf>,
    /// The corrections.
    #[arg(long, value_name = "FILE")]
    corrections: Option<PathBuf>,
}

/// One contract's share of the files.
#[derive(Default)]
struct Share {
    registers: Registers,
    plan: Vec<PlannedVisit>,
    evidence: Vec<(Instant, Evidence)>,
}

/// The contracts that plan and registers may name: those of the configuration or, if it names none,
/// any, each with the default policy. Events may name those that are known by then.
struct Known<'a> {
    settings: &'a Settings,
    assumed: Mutex<BTreeMap<ContractId, Arc<Contract>>>,
}

impl Known<'_> {
    fn has(&self, id: &ContractId) -> bool {
        let assumed = self.assumed.lock().unwrap_or_else(PoisonError::into_inner);
        self.settings.contracts.get(id).is_some() || assumed.contains_key(id)
    }

    fn get(&self, id: &ContractId) -> Option<Arc<Contract>> {
        if let Some(contract) = self.settings.contracts.get(id) {
            return Some(Arc::clone(contract));
        }
        if self.settings.contracts.configured {
            return None;
        }
        let mut assumed = self.assumed.lock().unwrap_or_else(PoisonError::into_inner);
        let contract = assumed
            .entry(id.clone())
            .or_insert_with(|| Arc::new(self.settings.default_contract(id.clone())));
        Some(Arc::clone(contract))
    }
}

/// Replays the files and writes the three reports.
///
/// # Errors
/// When a file cannot be read or written, or has bad rows.
pub fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<()> {
    let known = Known { settings, assumed: Mutex::default() };
    let shares = read(arguments, &known)?;
    let mut lines = Vec::new();
    let mut schedule3 = Schedule3::default();
    let mut log: Vec<(Arc<Contract>, Vec<Visit>)> = Vec::new();
    for (id, share) in shares {
        let contract = known.get(&id).context("a contract that was read is known")?;
        let mut book = Casebook::new(Arc::clone(&contract), share.registers);
        for visit in share.plan {
            let visit = Arc::new(visit);
            book.add_visit(PlanRow { visit, replanned: false, known_from: Instant::MIN_UTC });
        }
        lines.extend(play(&mut book, share.evidence, arguments.as_of));
        let visits = visits(&book, arguments.as_of);
        for visit in &visits {
            schedule3.add(&contract, visit);
        }
        log.push((contract, visits));
    }
    let visits =
        log.iter().flat_map(|(contract, visits)| visits.iter().map(|visit| (&**contract, visit)));
    fs::create_dir_all(&arguments.out)
        .with_context(|| format!("cannot make the folder {}", arguments.out.display()))?;
    write(&arguments.out, "visits.csv", &report::visits::csv(visits))?;
    write(&arguments.out, "alerts.csv", &report::alerts::csv(lines))?;
    write(&arguments.out, "schedule-3.csv", &report::schedule3::csv(&schedule3.rows()?))
}

fn read(arguments: &Arguments, known: &Known<'_>) -> anyhow::Result<BTreeMap<ContractId, Share>> {
    let contracts = |id: &ContractId| known.get(id);
    let mut shares: BTreeMap<ContractId, Share> = BTreeMap::new();
    macro_rules! each_row {
        ($file:expr, $row:ty, |$share:ident, $value:ident| $put:expr) => {
            if let Some(file) = $file {
                read_rows(file, &contracts, |_, #[allow(unused_mut)] mut $value: $row| {
                    let $share = shares.entry($value.contract.clone()).or_default();
                    $put;
                    Ok(())
                })?;
            }
        };
    }
    let mut names = Names::default();
    each_row!(Some(&arguments.visits), PlannedVisit, |share, visit| {
        names.share_plan(&mut visit);
        share.plan.push(visit);
    });
    each_row!(&arguments.clients, ClientRow, |share, row| share.registers.put_client(&row));
    each_row!(&arguments.devices, DeviceRow, |share, row| share.registers.put_device(row));
    each_row!(&arguments.tags, TagRow, |share, row| share.registers.put_tag(row));
    each_row!(&arguments.suspensions, Suspension, |share, row| {
        share.registers.put_suspension(row);
    });
    // The carer register decides nothing that a replay writes, but a bad one is still said.
    each_row!(&arguments.carers, CarerRow, |share, _row| {
        let _ = share;
    });
    each_row!(&arguments.corrections, Correction, |share, correction| {
        let at = correction.at;
        share.evidence.push((at, Evidence::Correction(Box::new(correction))));
    });
    read_events(&arguments.events, known, &mut names, &mut shares)?;
    Ok(shares)
}

/// Most lines that are handed on at once, and how often so many may lie waiting.
const BATCH_LINES: usize = 500;
const BATCHES_WAITING: usize = 4;

/// Reads what was received: one thread the lines of the file, the other what they say.
fn read_events(
    path: &Path,
    known: &Known<'_>,
    names: &mut Names,
    shares: &mut BTreeMap<ContractId, Share>,
) -> anyhow::Result<()> {
    let (hand_on, batches) = sync_channel::<Vec<EventLine>>(BATCHES_WAITING);
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut batch = Vec::with_capacity(BATCH_LINES);
            read_rows(path, &|id| known.get(id), |_, line: EventLine| {
                batch.push(line);
                if batch.len() == BATCH_LINES {
                    hand_on.send(mem::replace(&mut batch, Vec::with_capacity(BATCH_LINES)))?;
                }
                Ok(())
            })?;
            Ok(hand_on.send(batch)?)
        });
        for line in batches.into_iter().flatten() {
            if let Some((contract, evidence)) = understand(&line, known, names) {
                let share = shares.entry(contract).or_default();
                share.evidence.push((line.received_at, evidence));
            }
        }
        reader.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// What a message says that counts; `None` if nothing.
fn understand(
    line: &EventLine,
    known: &Known<'_>,
    names: &mut Names,
) -> Option<(ContractId, Evidence)> {
    let knows = |id: &ContractId| known.has(id);
    match decode_event(&line.topic, &line.payload, line.received_at, knows) {
        Ok(mut event) => {
            names.share(&mut event);
            Some((event.contract.clone(), Evidence::Event(Arc::new(event))))
        }
        Err(Rejection { contract, sender, seq, .. }) => {
            let contract = contract.filter(|contract| known.has(contract))?;
            Some((contract, Evidence::Number(sender?, seq?)))
        }
    }
}

/// References that events name again and again, each kept once.
#[derive(Default)]
struct Names {
    contracts: HashSet<ContractId>,
    carers: HashSet<CarerRef>,
    clients: HashSet<ClientRef>,
    visits: HashSet<VisitRef>,
}

impl Names {
    fn share(&mut self, event: &mut Event) {
        one(&mut self.contracts, &mut event.contract);
        one(&mut self.carers, &mut event.carer_ref);
        if let Sender::Carer(carer) = &mut event.sender {
            one(&mut self.carers, carer);
        }
        event.client_ref.iter_mut().for_each(|client| one(&mut self.clients, client));
        event.visit_ref.iter_mut().for_each(|visit| one(&mut self.visits, visit));
    }

    fn share_plan(&mut self, visit: &mut PlannedVisit) {
        one(&mut self.contracts, &mut visit.contract);
        one(&mut self.clients, &mut visit.client_ref);
        one(&mut self.visits, &mut visit.visit_ref);
        visit.carers.iter_mut().for_each(|carer| one(&mut self.carers, carer));
    }
}

/// Makes the name the one that is kept.
fn one<T: Clone + Eq + Hash>(kept: &mut HashSet<T>, name: &mut T) {
    match kept.get(name) {
        Some(kept) => name.clone_from(kept),
        None => drop(kept.insert(name.clone())),
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
