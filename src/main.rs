//! Parses arguments, calls one command, and says what went wrong.

use std::process::ExitCode;

use clap::Parser;
use nightrun::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nightrun: {error:#}");
            ExitCode::FAILURE
        }
    }
}
