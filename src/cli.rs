//! The command line: what each command takes. One file per command.

pub mod check;
pub mod demo;
pub mod import;
pub mod input;
pub mod replay;
pub mod report;
pub mod serve;
pub mod user;

use std::path::{Path, PathBuf};

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
    /// The users of the embedded broker, in the file of its configuration.
    #[command(subcommand)]
    User(user::Command),
    /// Applies the rules to files: no daemon, no database, no network.
    Replay(Box<replay::Arguments>),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// What went wrong, in words that say what to do.
    pub fn run(self) -> anyhow::Result<()> {
        let settings = settings(self.config.as_deref())?;
        match self.command {
            Command::Check => check::run(&settings),
            Command::User(command) => user::run(&command, &settings),
            Command::Replay(arguments) => replay::run(&arguments, &settings),
            Command::Demo => block_on(demo::run()),
            Command::Serve => block_on(serve::run(&settings)),
            Command::Import(arguments) => block_on(import::run(&arguments, &settings)),
            Command::Report(arguments) => block_on(report::run(&arguments, &settings)),
        }
    }
}

fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads of the runtime")?;
    runtime.block_on(command)
}

fn settings(file: Option<&Path>) -> anyhow::Result<Settings> {
    Ok(load(file, environment())?)
}
