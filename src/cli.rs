//! The command line: what each command takes. One file per command.

pub mod check;
pub mod input;
pub mod replay;

use std::path::{Path, PathBuf};

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
            Command::Replay(arguments) => replay::run(&arguments, &settings),
        }
    }
}

fn settings(file: Option<&Path>) -> anyhow::Result<Settings> {
    Ok(load(file, environment())?)
}
