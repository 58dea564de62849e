//! `nightrun ledger`: the account of every message of a night, for whoever must be sure.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use chrono::NaiveDate;
use clap::{Args, ValueEnum};

use crate::clock;
use crate::config::Settings;
use crate::domain::refs::ContractId;
use crate::ledger::{self, Ledger};
use crate::report::ledger as written;
use crate::store::{Store, ledger as pages};

/// What `nightrun ledger` takes.
#[derive(Args)]
pub struct Arguments {
    /// The contract. Without one: every contract, and the messages that name none of them.
    #[arg(long)]
    contract: Option<ContractId>,
    /// The night, by the date on which it begins.
    #[arg(long, value_name = "DATE")]
    night: NaiveDate,
    /// Lists every message with the visit, the Schedule 3 row and the alerts into which it went.
    #[arg(long)]
    messages: bool,
    /// In which format: csv lists the messages, and says the rest on standard error.
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// Comma-separated values.
    Csv,
}

/// The status where there is no account: of a wrong command line too.
pub const NO_ACCOUNT: u8 = 2;

/// Writes the account. The status is 0 if it agrees, and 1 if not.
///
/// # Errors
/// When the contract is unknown, or something cannot be read or written.
pub async fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let ledgers = accounts(arguments, settings).await?;
    say(arguments, &ledgers)?;
    let agrees = ledgers.iter().all(Ledger::agrees);
    Ok(if agrees { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn accounts(arguments: &Arguments, settings: &Settings) -> anyhow::Result<Vec<Ledger>> {
    let contracts = &settings.contracts;
    let wanted = match &arguments.contract {
        Some(id) => {
            let contract = contracts.get(id).with_context(|| {
                format!("the configuration has no contract {id}: see nightrun check")
            })?;
            vec![contract]
        }
        None => contracts.iter().collect(),
    };
    let store = Store::open_existing(&settings.database).await?;
    let mut ledgers = Vec::new();
    {
        let mut tx = store.read().await?;
        pages::fix_moment(&mut tx).await?;
        let now = clock::now();
        for contract in wanted {
            let night = arguments.night;
            ledgers.push(ledger::account(&mut tx, contracts, contract, night, now).await?);
        }
        if arguments.contract.is_none() {
            ledgers.push(ledger::of_no_contract(&mut tx, arguments.night, now).await?);
        }
    }
    store.close().await;
    Ok(ledgers)
}

fn say(arguments: &Arguments, ledgers: &[Ledger]) -> anyhow::Result<()> {
    let texts = ledgers.iter().map(|ledger| written::text(ledger, arguments.messages));
    let text = texts.collect::<Vec<_>>().join("\n");
    let out = match arguments.format {
        Format::Text => text.into_bytes(),
        Format::Csv => {
            eprint!("{text}");
            written::csv(ledgers)
        }
    };
    std::io::stdout().write_all(&out).context("cannot write to standard output")
}
