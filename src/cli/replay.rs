//! `nightrun replay`: the rules over files, for whoever checks a bill.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use clap::Args;

use super::input::read_rows;
use crate::config::Settings;
use crate::domain::casebook::Casebook;
use crate::domain::correction::Correction;
use crate::domain::instant::{Instant, parse_instant};
use crate::domain::plan::{CarerRow, ClientRow, DeviceRow, PlannedVisit, Suspension, TagRow};
use crate::domain::policy::Contract;
use crate::domain::refs::ContractId;
use crate::domain::register::Registers;
use crate::domain::schedule3::Schedule3;
use crate::domain::visit::{PlanRow, Visit};
use crate::files::EventLine;
use crate::replay::{Evidence, play};
use crate::report;
use crate::wire::payload::decode_event;

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
        let visits = book.visits(arguments.as_of);
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
                read_rows(file, &contracts, |_, $value: $row| {
                    let $share = shares.entry($value.contract.clone()).or_default();
                    $put;
                    Ok(())
                })?;
            }
        };
    }
    each_row!(Some(&arguments.visits), PlannedVisit, |share, visit| share.plan.push(visit));
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
    read_rows(&arguments.events, &contracts, |_, line: EventLine| {
        let at = line.received_at;
        let (contract, evidence) =
            match decode_event(&line.topic, &line.payload, at, |id| known.has(id)) {
                Ok(event) => (event.contract.clone(), Evidence::Event(Arc::new(event))),
                Err(rejection) => match (rejection.contract, rejection.sender, rejection.seq) {
                    (Some(contract), Some(sender), Some(seq)) => {
                        (contract, Evidence::Number(sender, seq))
                    }
                    _ => return Ok(()),
                },
            };
        shares.entry(contract).or_default().evidence.push((at, evidence));
        Ok(())
    })?;
    Ok(shares)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
