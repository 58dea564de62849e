//! A four-week Schedule 3 from a database. See benches/README.md.

mod support;

use std::process::Stdio;

use anyhow::ensure;
use clap::Parser;
use support::archive::Archive;
use support::daemon::Installation;
use support::database::Engine;
use support::process;
use support::report::{Common, Report, megabytes};
use support::rig::{Rig, Way};

/// Measures a return.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Which database.
    #[arg(long, value_enum, default_values = ["sqlite", "postgres"])]
    database: Vec<Engine>,
    /// Clients, each with a visit in each night.
    #[arg(long, default_value_t = 100_000)]
    clients: u32,
    /// Events that the database holds from before the four weeks.
    #[arg(long, default_value_t = 0)]
    archive: u32,
}

/// Four weeks.
const NIGHTS: u32 = 28;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    support::run(all(arguments))
}

async fn all(mut arguments: Arguments) -> anyhow::Result<()> {
    if arguments.common.quick {
        (arguments.clients, arguments.archive) = (1_000, arguments.archive.min(20_000));
    }
    let mut report = Report::begin("schedule3", &arguments.common);
    report.line("database     clients     events stored   rows   seconds   peak MB");
    for engine in arguments.database.clone() {
        let clients = arguments.clients;
        let nights = NIGHTS + arguments.archive / 2 / clients;
        let mut rig = Rig::new(engine, Way::Embedded, &arguments.common.folder).await?;
        let (installation, archive) = if arguments.common.archives.is_some() {
            Archive::under(&mut rig, arguments.archive, &arguments.common).await?
        } else {
            let installation = Installation::new(&rig)?;
            let archive = Archive::weeks(clients, nights, &installation);
            archive.fill(&installation, &rig).await?;
            (installation, archive)
        };
        let file = rig.path("schedule-3.csv");
        let mut command = installation.command();
        command
            .args(["report", "schedule-3", "--contract", "default", "--weeks", "4", "--from"])
            .arg(archive.last_weeks(4).to_string())
            .arg("--out")
            .arg(&file)
            .stdout(Stdio::null());
        let ran = process::run(&mut command)?;
        let rows = std::fs::read_to_string(&file)?.lines().count() - 1;
        ensure!(rows == 4 * usize::try_from(clients)?, "{rows} rows");
        if arguments.common.quick {
            // What the archive holds as settled is what its evidence says.
            let night = archive.last_weeks(4).to_string();
            let mut ledger = installation.command();
            let said = ledger.args(["ledger", "--contract", "default", "--night", &night]);
            let said = String::from_utf8_lossy(&said.output()?.stdout).into_owned();
            ensure!(said.contains(&format!("{clients}  rows of Schedule 3")), "no ledger");
            ensure!(!said.contains("what is settled is not"), "the archive is not settled");
        }
        report.line(format!(
            "{engine:<9} {clients:>10} {:>17} {rows:>6} {:>9.1} {:>9.1}",
            archive.events(),
            ran.took.as_secs_f64(),
            megabytes(ran.peak),
        ));
    }
    report.end()
}
