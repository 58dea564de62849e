//! How soon the daemon is ready, on a database in which there is much. See benches/README.md.

mod support;

use std::time::Instant;

use clap::Parser;
use support::archive::Archive;
use support::database::Engine;
use support::report::{Common, Report, megabytes};
use support::rig::{Rig, Way};

/// Measures the start.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Which database.
    #[arg(long, value_enum, default_values = ["sqlite", "postgres"])]
    database: Vec<Engine>,
    /// Which broker. With the one inside, phones get three seconds to come back, whatever there is.
    #[arg(long, value_enum, default_values = ["embedded", "mosquitto"])]
    broker: Vec<Way>,
    /// Events that are stored already.
    #[arg(long, default_value_t = 10_000_000)]
    archive: u32,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    support::run(all(arguments))
}

async fn all(mut arguments: Arguments) -> anyhow::Result<()> {
    if arguments.common.quick {
        arguments.archive = 20_000;
    }
    let mut report = Report::begin("startup", &arguments.common);
    report.line("seconds: from the start of the process until /readyz answers 200, and once more");
    report.line("");
    report.line("database  broker       events   first s   again s   peak MB");
    for engine in arguments.database.clone() {
        for way in arguments.broker.clone() {
            report.line(start(&arguments, engine, way).await?);
        }
    }
    report.end()
}

async fn start(arguments: &Arguments, engine: Engine, way: Way) -> anyhow::Result<String> {
    let mut rig = Rig::new(engine, way, &arguments.common.folder).await?;
    let (installation, archive) =
        Archive::under(&mut rig, arguments.archive, &arguments.common).await?;
    let mut took = Vec::new();
    let mut peak = 0;
    for _ in 0..2 {
        let began = Instant::now();
        let mut daemon = installation.start()?;
        let ready = installation.until_ready(&mut daemon)?;
        took.push((ready - began).as_secs_f64());
        peak = daemon.usage()?.peak.max(peak);
        daemon.stop()?;
    }
    Ok(format!(
        "{engine:<9} {way:<9} {:>9} {:>9.2} {:>9.2} {:>9.1}",
        archive.events(),
        took[0],
        took[1],
        megabytes(peak),
    ))
}
