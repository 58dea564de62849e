//! `nightrun report`: what finance and councils are given.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use chrono::NaiveDate;
use clap::{Args, ValueEnum};

use crate::book;
use crate::clock;
use crate::config::Settings;
use crate::domain::calendar::{plus_days, week_start};
use crate::domain::policy::Contract;
use crate::domain::refs::ContractId;
use crate::domain::visit::Visit;
use crate::report;
use crate::returns;
use crate::store::{Store, StoreError};

/// What `nightrun report` takes.
#[derive(Args)]
pub struct Arguments {
    /// Which report.
    report: Report,
    /// The contract.
    #[arg(long)]
    contract: ContractId,
    /// A date of the first week.
    #[arg(long, value_name = "DATE")]
    from: NaiveDate,
    /// How many weeks.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=520))]
    weeks: u16,
    /// In which format.
    #[arg(long, default_value = "csv")]
    format: Format,
    /// The file; without one, standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Report {
    /// The quantities of each client's week.
    #[value(name = "schedule-3")]
    Schedule3,
    /// The visit log.
    Visits,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Comma-separated values.
    Csv,
}

/// Makes the report from the evidence as it is now.
///
/// # Errors
/// When the contract is unknown, a row does not balance, or something cannot be read or written.
pub async fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<()> {
    let contract = settings.contracts.get(&arguments.contract).with_context(|| {
        format!("the configuration has no contract {}: see nightrun check", arguments.contract)
    })?;
    let store = Store::open_existing(&settings.database).await?;
    let first = week_start(arguments.from, contract.policy(arguments.from).week_starts_on);
    let last = plus_days(first, i64::from(arguments.weeks) * 7 - 1);
    let made = make(arguments, settings, &store, contract, (first, last)).await;
    store.close().await;
    let bytes = made?;
    match &arguments.out {
        Some(path) => {
            std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
        }
        None => std::io::stdout().write_all(&bytes).context("cannot write to standard output"),
    }
}

async fn make(
    arguments: &Arguments,
    settings: &Settings,
    store: &Store,
    contract: &Arc<Contract>,
    (first, last): (NaiveDate, NaiveDate),
) -> anyhow::Result<Vec<u8>> {
    Ok(match (arguments.report, arguments.format) {
        (Report::Visits, Format::Csv) => {
            let visits = visits(store, contract, first, last).await?;
            report::visits::csv(visits.iter().map(|visit| (&**contract, visit)))
        }
        (Report::Schedule3, Format::Csv) => {
            let (of, now) = ((first, last), clock::now());
            let rows = returns::schedule3(store, &settings.contracts, contract, of, now).await?;
            report::schedule3::csv(&rows)
        }
    })
}

/// The visits that are dated from `first` to `last` (R4), as the evidence has them now.
///
/// # Errors
/// When the database fails.
pub async fn visits(
    store: &Store,
    contract: &Arc<Contract>,
    first: NaiveDate,
    last: NaiveDate,
) -> Result<Vec<Visit>, StoreError> {
    let mut tx = store.read().await?;
    book::visits(&mut tx, contract, (first, last), clock::now()).await
}
