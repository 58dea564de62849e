//! `nightrun check`: what the configuration means.

use std::io::Write;

use crate::config::{Settings, explain};

/// Prints what the configuration means. Its mistakes have been found when it was read.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(settings: &Settings) -> anyhow::Result<()> {
    std::io::stdout().write_all(explain(settings).as_bytes())?;
    Ok(())
}
