//! `nightrun import`: plan and registers from a file.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::{input, say};
use crate::clock;
use crate::config::Settings;
use crate::import::Counts;
use crate::import::take::{TakeError, take};
use crate::store::{Database, Store};

pub use crate::import::take::Kind;

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

/// Imports the file, or nothing of it.
///
/// # Errors
/// When the file has bad rows, or it or the database cannot be used.
pub async fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<()> {
    let kind = arguments.kind.as_str();
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
    let imported = import(arguments, settings, &store).await;
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
) -> anyhow::Result<Counts> {
    let input = input::open(&arguments.file)?;
    let (contracts, dry_run) = (&settings.contracts, arguments.dry_run);
    let taken = take(input, arguments.kind, store, contracts, dry_run, clock::now()).await;
    let (findings, counts) = match taken {
        Err(TakeError::Read(failed)) => {
            let cannot = || format!("cannot read {}", arguments.file.display());
            return Err(failed).with_context(cannot);
        }
        taken => taken?,
    };
    input::report(&arguments.file, &findings)?;
    counts.context("nothing was imported")
}
