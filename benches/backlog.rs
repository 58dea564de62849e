//! A backlog: what Mosquitto has kept while the daemon was away, and how long the daemon takes to
//! store and answer all of it. See benches/README.md.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use nightrun::clock;
use support::archive::Archive;
use support::ceiling::ROWS;
use support::database::Engine;
use support::load::{Phones, Progress, Rules, count};
use support::night::{Layout, Night};
use support::process::Process;
use support::report::{Common, Report, megabytes};
use support::rig::{Rig, Way};

/// Measures how long the daemon takes for what came while it was away.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Which database.
    #[arg(long, value_enum, default_values = ["sqlite", "postgres"])]
    database: Vec<Engine>,
    /// Events that have been kept. All of England's home care has 2,400,000 in a day.
    #[arg(long, default_value_t = 200_000)]
    events: u32,
    /// Events that the database holds already.
    #[arg(long, default_value_t = 0)]
    archive: u32,
    /// Connections from which they came, and which wait for their receipts.
    #[arg(long, default_value_t = 200)]
    phones: u32,
}

/// A phone hears nothing for as long as the daemon is away.
const PATIENCE: Duration = Duration::from_mins(30);

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    support::run(all(arguments))
}

async fn all(mut arguments: Arguments) -> anyhow::Result<()> {
    if arguments.common.quick {
        arguments.events = 10_000;
    }
    let mut report = Report::begin("backlog", &arguments.common);
    report.line(
        "seconds: from the start of the daemon until every event is stored and has its receipt",
    );
    report.line("");
    report.line(
        "database     events    seconds   events/s   peak MB  Mosquitto peak MB   alerts  \
         (kept in s)",
    );
    for engine in arguments.database.clone() {
        report.line(backlog(&arguments, engine).await?);
    }
    report.end()
}

async fn backlog(arguments: &Arguments, engine: Engine) -> anyhow::Result<String> {
    let mut rig = Rig::new(engine, Way::Mosquitto, &arguments.common.folder).await?;
    let (installation, _) = Archive::under(&mut rig, arguments.archive, &arguments.common).await?;
    let archived = rig.database.number(ROWS).await.unwrap_or_default();
    // It subscribes; from then on the broker keeps what comes.
    let mut daemon = installation.start()?;
    installation.until_ready(&mut daemon)?;
    daemon.stop()?;
    let now = clock::now();
    let layout =
        Layout { events: arguments.events, carers: 1, per_client: 3, later: false, now, salt: 1 };
    let night = Night::new(layout);
    let events = usize::try_from(night.events())?;
    installation.import_night(&rig, &night)?;

    let rules = Rules {
        port: rig.port,
        unanswered_max: usize::MAX,
        unacknowledged_max: 10,
        patience: PATIENCE,
        ..Rules::default()
    };
    let phones = Phones::connect(night.scripts(arguments.phones), rules).await?;
    let progress = Arc::new(Progress::default());
    let of_phones = Arc::clone(&progress);
    let published = Instant::now();
    let playing = tokio::spawn(async move { phones.play(&of_phones).await });
    while progress.acknowledged.load(Ordering::Relaxed) < events {
        ensure!(!playing.is_finished(), "the phones have ended before the daemon began");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let kept_in = published.elapsed();
    ensure!(progress.answered.load(Ordering::Relaxed) == 0, "somebody has answered already");

    let started = Instant::now();
    let mut daemon = installation.start()?;
    let played = playing.await??;
    let took = started.elapsed();
    let stored = rig.database.number(ROWS).await? - archived;
    let answered = played.latencies.len();
    ensure!(
        stored == i64::from(night.events()) && answered == events,
        "{events} events, {answered} answered, {stored} stored"
    );
    ensure!(daemon.runs()?, "the daemon has ended");
    figures(&rig, &daemon, events, [took, kept_in]).await
}

async fn figures(
    rig: &Rig,
    daemon: &Process,
    events: usize,
    [took, kept_in]: [Duration; 2],
) -> anyhow::Result<String> {
    let broker = rig.mosquitto.as_ref().context("there is a broker")?;
    Ok(format!(
        "{engine:<9} {events:>9} {seconds:>10.1} {rate:>10.0} {peak:>9.1} {broker:>18.1} \
         {alerts:>8}  ({kept_in:.1})",
        engine = rig.engine,
        seconds = took.as_secs_f64(),
        rate = count(events) / took.as_secs_f64(),
        peak = megabytes(daemon.usage()?.peak),
        broker = megabytes(broker.process.usage()?.peak),
        alerts = rig.database.number("SELECT count(*) FROM alert").await?,
        kept_in = kept_in.as_secs_f64(),
    ))
}
