//! `nightrun import`: plan and registers from a file.

use std::io;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use tokio::sync::mpsc;

use super::{input, say};
use crate::apply::VISITS;
use crate::clock;
use crate::config::Settings;
use crate::domain::plan::{CarerRow, ClientRow, DeviceRow, PlannedVisit, Suspension, TagRow};
use crate::domain::refs::ContractId;
use crate::files::{BadRow, FileRow, Findings, Rows};
use crate::import::{CHUNK, Counts, Import};
use crate::store::registers::RegisterRow;
use crate::store::{Database, Store};

/// What `nightrun import` takes.
#[derive(Args)]
pub struct Arguments {
    /// What the file holds.
    pub kind: Kind,
    /// The file, CSV or JSON Lines; - is standard input.
    pub file: PathBuf,
    /// Say what would be imported, and import nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Planned visits.
    Visits,
    /// The client register.
    Clients,
    /// The carer register.
    Carers,
    /// The device register.
    Devices,
    /// The tag register.
    Tags,
    /// Suspensions of clients.
    Suspensions,
}

/// Imports the file, or nothing of it.
///
/// # Errors
/// When the file has bad rows, or it or the database cannot be used.
pub async fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<()> {
    let word = arguments.kind.to_possible_value();
    let kind = word.as_ref().map_or(VISITS, |word| word.get_name());
    let database = &settings.database;
    // A file that is not there makes no database either.
    input::readable(&arguments.file)?;
    let is_new = database.path().is_some_and(|path| !path.try_exists().unwrap_or(true));
    // A dry run makes no database: it compares with one that is empty, and gone afterwards.
    let nowhere = (arguments.dry_run && is_new)
        .then(|| std::env::temp_dir().join(format!("nightrun-{}", uuid::Uuid::new_v4())));
    let store = match &nowhere {
        Some(nowhere) => {
            std::fs::create_dir(nowhere)?;
            Store::open(&Database::file(&nowhere.join("nightrun.db"))).await?
        }
        None => Store::open(database).await?,
    };
    if is_new && !arguments.dry_run {
        eprintln!("{database} is new: see that the daemon uses this database too");
    }
    let imported = import(arguments, settings, &store, kind).await;
    store.close().await;
    if let Some(nowhere) = nowhere {
        let _ = std::fs::remove_dir_all(nowhere);
    }
    let counts = imported?;
    let Counts { changed, unchanged } = counts;
    let rows = |count: u64| if count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
    let did = if arguments.dry_run { "would be imported" } else { "imported" };
    say(format!("{kind}: {} {did}, {} in force already", rows(changed), rows(unchanged)))
}

async fn import(
    arguments: &Arguments,
    settings: &Settings,
    store: &Store,
    kind: &str,
) -> anyhow::Result<Counts> {
    let contracts = &settings.contracts;
    let mut import = Import::begin(store, contracts, kind, arguments.dry_run, clock::now()).await?;
    let taken = match arguments.kind {
        Kind::Visits => visits(arguments, settings, &mut import).await,
        Kind::Clients => {
            registers::<ClientRow>(arguments, settings, &mut import, RegisterRow::Client).await
        }
        Kind::Carers => {
            registers::<CarerRow>(arguments, settings, &mut import, RegisterRow::Carer).await
        }
        Kind::Devices => {
            registers::<DeviceRow>(arguments, settings, &mut import, RegisterRow::Device).await
        }
        Kind::Tags => registers::<TagRow>(arguments, settings, &mut import, RegisterRow::Tag).await,
        Kind::Suspensions => {
            registers::<Suspension>(arguments, settings, &mut import, RegisterRow::Suspension).await
        }
    };
    if let Err(failed) = taken {
        import.discard().await?;
        return Err(failed);
    }
    match import.finish().await? {
        Some(counts) => Ok(counts),
        None => bail!(
            "another import was finished while this one ran; nothing was imported: run it again"
        ),
    }
}

async fn visits(
    arguments: &Arguments,
    settings: &Settings,
    import: &mut Import<'_>,
) -> anyhow::Result<()> {
    let mut file = read::<PlannedVisit>(arguments, settings)?;
    let mut bad: Vec<BadRow> = Vec::new();
    while let Some(part) = file.recv().await {
        match part {
            Part::Rows(chunk) => bad.extend(import.visits(chunk).await?),
            Part::End(findings) => {
                let mut findings = findings.with_context(|| cannot_read(arguments))?;
                for row in bad {
                    findings.bad.push(row);
                }
                return input::report(&arguments.file, &findings);
            }
        }
    }
    bail!(cannot_read(arguments))
}

async fn registers<T: FileRow + Send + 'static>(
    arguments: &Arguments,
    settings: &Settings,
    import: &mut Import<'_>,
    row: fn(T) -> RegisterRow,
) -> anyhow::Result<()> {
    let mut file = read::<T>(arguments, settings)?;
    while let Some(part) = file.recv().await {
        match part {
            Part::Rows(chunk) => {
                let chunk: Vec<RegisterRow> =
                    chunk.into_iter().map(|(_, value)| row(value)).collect();
                import.registers(&chunk).await?;
            }
            Part::End(findings) => {
                let findings = findings.with_context(|| cannot_read(arguments))?;
                return input::report(&arguments.file, &findings);
            }
        }
    }
    bail!(cannot_read(arguments))
}

fn cannot_read(arguments: &Arguments) -> String {
    format!("cannot read {}", arguments.file.display())
}

/// What has been read of a file.
enum Part<T> {
    Rows(Vec<(u64, T)>),
    /// There is no more.
    End(io::Result<Findings>),
}

/// Reads the file one chunk ahead, on a thread of its own: the database has the other.
fn read<T: FileRow + Send + 'static>(
    arguments: &Arguments,
    settings: &Settings,
) -> anyhow::Result<mpsc::Receiver<Part<T>>> {
    let input = input::open(&arguments.file)?;
    let contracts = settings.contracts.clone();
    let (parts, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        let contracts = |id: &ContractId| contracts.get(id).cloned();
        let mut rows = Rows::<T, _>::new(input, &contracts);
        loop {
            let end = match rows.by_ref().take(CHUNK).collect::<io::Result<Vec<_>>>() {
                Err(failed) => Part::End(Err(failed)),
                Ok(chunk) if chunk.is_empty() => Part::End(Ok(rows.into_findings())),
                Ok(chunk) => {
                    if parts.blocking_send(Part::Rows(chunk)).is_err() {
                        return;
                    }
                    continue;
                }
            };
            let _ = parts.blocking_send(end);
            return;
        }
    });
    Ok(receiver)
}
