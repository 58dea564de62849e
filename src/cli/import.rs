//! `nightrun import`: plan and registers from a file.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use super::{input, say};
use crate::apply::VISITS;
use crate::clock;
use crate::config::Settings;
use crate::domain::plan::{CarerRow, ClientRow, DeviceRow, PlannedVisit, Suspension, TagRow};
use crate::domain::refs::ContractId;
use crate::files::{BadRow, FileRow, Rows};
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
        .then(|| std::env::temp_dir().join(format!("nightrun-{}.db", uuid::Uuid::new_v4())));
    let store = match &nowhere {
        Some(nowhere) => Store::open(&Database::file(nowhere)).await?,
        None => Store::open(database).await?,
    };
    if is_new && !arguments.dry_run {
        eprintln!("{database} is new: see that the daemon uses this database too");
    }
    let imported = import(arguments, settings, &store, kind).await;
    store.close().await;
    if let Some(nowhere) = nowhere {
        let _ = std::fs::remove_file(nowhere);
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
    let contracts = |id: &ContractId| settings.contracts.get(id).cloned();
    let mut rows = Rows::<PlannedVisit, _>::new(input::open(&arguments.file)?, &contracts);
    let mut bad: Vec<BadRow> = Vec::new();
    while let Some(chunk) = next_chunk(&mut rows, arguments)? {
        bad.extend(import.visits(chunk).await?);
    }
    let mut findings = rows.into_findings();
    for row in bad {
        findings.bad.push(row);
    }
    input::report(&arguments.file, &findings)
}

async fn registers<T: FileRow>(
    arguments: &Arguments,
    settings: &Settings,
    import: &mut Import<'_>,
    row: fn(T) -> RegisterRow,
) -> anyhow::Result<()> {
    let contracts = |id: &ContractId| settings.contracts.get(id).cloned();
    let mut rows = Rows::<T, _>::new(input::open(&arguments.file)?, &contracts);
    while let Some(chunk) = next_chunk(&mut rows, arguments)? {
        let chunk: Vec<RegisterRow> = chunk.into_iter().map(|(_, value)| row(value)).collect();
        import.registers(&chunk).await?;
    }
    input::report(&arguments.file, &rows.into_findings())
}

fn next_chunk<T>(
    rows: impl Iterator<Item = std::io::Result<(u64, T)>>,
    arguments: &Arguments,
) -> anyhow::Result<Option<Vec<(u64, T)>>> {
    let chunk = rows
        .take(CHUNK)
        .collect::<std::io::Result<Vec<_>>>()
        .with_context(|| format!("cannot read {}", arguments.file.display()))?;
    Ok((!chunk.is_empty()).then_some(chunk))
}
