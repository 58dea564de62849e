//! Parses arguments and calls one command.

use std::process::ExitCode;

use clap::Parser;
use nightrun::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
