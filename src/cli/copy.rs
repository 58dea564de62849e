//! `nightrun copy`: from a SQLite file into PostgreSQL, with everything.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::{input, say};
use crate::config::Settings;
use crate::store::Database;
use crate::store::copy::{Compared, Copy};

/// What `nightrun copy` takes.
#[derive(Args)]
pub struct Arguments {
    /// The SQLite file, sqlite:FILE. No daemon may run on it.
    #[arg(long, value_name = "URL")]
    from: Database,
    /// An empty PostgreSQL database, `postgres://user@host/name`. Without it: that of the
    /// configuration, with its password.
    #[arg(long, value_name = "URL")]
    to: Option<Database>,
}

/// Copies, goes on with a copy that was cut off, and compares. The status is 1 if anything differs.
///
/// # Errors
/// When the source is in use, the target is not empty, or one of them fails.
pub async fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let to = arguments.to.as_ref().unwrap_or(&settings.database);
    let Some(from) = arguments.from.path() else {
        bail!("{} cannot be copied: --from takes a file, \"sqlite:FILE\"", arguments.from);
    };
    let copy = Copy::begin(from, to).await?;
    if copy.copied > 0 {
        eprintln!("{} of {} rows are there already", copy.copied, copy.rows);
    }
    let bar = input::progress(copy.rows);
    bar.set_message("copying");
    bar.set_position(copy.copied);
    copy.run(|rows| bar.inc(rows)).await?;
    bar.set_message("comparing");
    let compared = copy.check().await?;
    bar.finish_and_clear();
    say(table(&compared))?;
    if !compared.iter().all(Compared::is_same) {
        eprintln!(
            "nightrun: {to} is not what {} is, and no daemon starts on it: make the database anew \
             (dropdb, createdb), then copy again",
            from.display()
        );
        return Ok(ExitCode::FAILURE);
    }
    copy.finish().await?;
    say(format!("everything is in {to}: set database.url to it, and start the daemon"))?;
    Ok(ExitCode::SUCCESS)
}

/// What each table holds, by the number of its rows and the beginning of their hash.
fn table(compared: &[Compared]) -> String {
    let mut text = format!("{:14} {:>10}  {:16}", "table", "rows", "SHA-256");
    for Compared { table, source, target } in compared {
        let _ = write!(text, "\n{table:14} {:>10}  {:.16}", source.rows, source.sha256);
        if source != target {
            let _ = write!(text, "  DIFFERS: {:>10}  {:.16}", target.rows, target.sha256);
        }
    }
    text
}
