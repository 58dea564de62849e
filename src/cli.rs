//! The command line: what each command takes. One file per command.

pub mod check;
pub mod copy;
pub mod demo;
pub mod import;
pub mod input;
pub mod ledger;
pub mod migrate;
pub mod replay;
pub mod report;
pub mod serve;
pub mod simulate;
pub mod token;
pub mod user;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::config::{Settings, environment, load};

/// Knows, at night, whether somebody came.
#[derive(Parser)]
#[command(name = "nightrun", version, about, max_term_width = 100)]
pub struct Cli {
    /// The configuration file. Without one every key has its default.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Reads the configuration and says what it means, or every mistake in it.
    Check,
    /// The daemon. Without a configuration: an embedded broker on 127.0.0.1:1883 and a SQLite file.
    Serve,
    /// The same in a temporary place, with a simulated night around the present moment.
    Demo,
    /// Imports plan or registers from a file; all of it or nothing.
    Import(import::Arguments),
    /// Writes a report from the evidence as it is now.
    Report(report::Arguments),
    /// Accounts for every message of a night: status 0 if everything agrees, 1 if not.
    Ledger(ledger::Arguments),
    /// The users of the embedded broker, in the file of its configuration.
    #[command(subcommand)]
    User(user::Command),
    /// Tokens: who may do what over HTTP.
    #[command(subcommand)]
    Token(token::Command),
    /// Brings the tables of the database up to date.
    Migrate,
    /// Copies everything from a SQLite file into PostgreSQL; cut off, it goes on where it was.
    Copy(copy::Arguments),
    /// Applies the rules to files: no daemon, no database, no network.
    Replay(Box<replay::Arguments>),
    /// Plays carers against a running daemon over MQTT; knows the truth and checks it.
    Simulate(simulate::Arguments),
}

impl Cli {
    /// Runs the command, and says what went wrong, in words that say what to do.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let failed = match &self.command {
            Command::Ledger(_) => ledger::NO_ACCOUNT.into(),
            _ => ExitCode::FAILURE,
        };
        self.execute().unwrap_or_else(|error| {
            eprintln!("nightrun: {}", said(&error));
            failed
        })
    }

    fn execute(self) -> anyhow::Result<ExitCode> {
        let broker = match &self.command {
            Command::Simulate(arguments) => arguments.broker.as_deref(),
            _ => None,
        };
        let settings = settings(self.config.as_deref(), broker)?;
        match self.command {
            Command::Check => check::run(&settings),
            Command::User(command) => user::run(&command, &settings),
            Command::Replay(arguments) => replay::run(&arguments, &settings),
            Command::Demo => block_on(demo::run()),
            Command::Serve => block_on(serve::run(&settings)),
            Command::Import(arguments) => block_on(import::run(&arguments, &settings)),
            Command::Report(arguments) => block_on(report::run(&arguments, &settings)),
            Command::Simulate(arguments) => block_on(simulate::run(&arguments, &settings)),
            Command::Token(command) => block_on(token::run(&command, &settings)),
            Command::Migrate => block_on(migrate::run(&settings)),
            Command::Copy(arguments) => return block_on(copy::run(&arguments, &settings)),
            Command::Ledger(arguments) => return block_on(ledger::run(&arguments, &settings)),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What went wrong, and why; a cause that an error has told already is not told again.
fn said(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            let colon = if text.is_empty() { "" } else { ": " };
            text.push_str(colon);
            text.push_str(&cause);
        }
    }
    text
}

/// Writes a line to standard output, which may be gone.
fn say(line: impl Display) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{line}").context("cannot write to standard output")
}

fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads of the runtime")?;
    runtime.block_on(command)
}

/// The settings; a broker that the command line names goes before all others.
fn settings(file: Option<&Path>, broker: Option<&str>) -> anyhow::Result<Settings> {
    const BROKER: &str = "NIGHTRUN__BROKER__URL";
    let named = broker.map(|url| (BROKER.to_owned(), url.to_owned()));
    let environment = environment().filter(|(key, _)| key != BROKER || named.is_none());
    Ok(load(file, environment.chain(named.clone()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let told = anyhow::anyhow!("the disk is full").context("cannot write: the disk is full");
        assert_eq!(said(&told), "cannot write: the disk is full");
        let untold = anyhow::anyhow!("the disk is full").context("cannot write a.csv");
        assert_eq!(said(&untold), "cannot write a.csv: the disk is full");
    }
}
