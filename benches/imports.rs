//! A large plan is imported while events come: how long that takes, and what phones notice of it. See
//! benches/README.md.

mod support;

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use chrono::TimeDelta;
use clap::Parser;
use nightrun::clock;
use support::archive::Archive;
use support::ceiling::ROWS;
use support::database::Engine;
use support::load::{Phones, Played, Progress, Rules};
use support::night::{Layout, Night};
use support::plan::{Planned, write_plan};
use support::process::Process;
use support::report::{Common, Report, megabytes, millis, percentile};
use support::rig::{Rig, Way};

/// Measures an import while events come.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Which database.
    #[arg(long, value_enum, default_values = ["sqlite", "postgres"])]
    database: Vec<Engine>,
    /// Visits of the file.
    #[arg(long, default_value_t = 1_000_000)]
    visits: u32,
    /// Events a second meanwhile.
    #[arg(long, default_value_t = 200)]
    pace: u32,
    /// Events that the database holds already.
    #[arg(long, default_value_t = 0)]
    archive: u32,
    /// How long events come: until after the import has been applied.
    #[arg(long, default_value_t = 120)]
    seconds: u32,
}

/// Events come for so long before the import begins.
const BEFORE: Duration = Duration::from_secs(5);

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    support::run(all(arguments))
}

async fn all(mut arguments: Arguments) -> anyhow::Result<()> {
    if arguments.common.quick {
        (arguments.visits, arguments.seconds) = (20_000, 30);
    }
    let Arguments { visits, pace, .. } = arguments;
    let mut report = Report::begin("imports", &arguments.common);
    report.line(format!("{visits} visits are imported while {pace} events/s come"));
    report.line(format!("the database holds {} events already", arguments.archive));
    report.line("ms: p50 and p99 from publish to receipt, otherwise, during the import, and while it is applied");
    report.line("");
    report.line(
        "database  import s  peak MB  applied s   otherwise p50 p99   import p50 p99   applied p50 p99",
    );
    for engine in arguments.database.clone() {
        report.line(import(&arguments, engine).await?);
    }
    report.end()
}

async fn import(arguments: &Arguments, engine: Engine) -> anyhow::Result<String> {
    let mut rig = Rig::new(engine, Way::Embedded, &arguments.common.folder).await?;
    let (installation, _) = Archive::under(&mut rig, arguments.archive, &arguments.common).await?;
    let now = clock::now();
    let file = rig.path("plan.csv");
    let plan = (0..arguments.visits).map(|visit| Planned {
        visit: format!("P-{visit}"),
        client: format!("P-{}", visit / 21),
        run: visit / 15,
        // Three visits to a home in each of seven nights, in the service hours.
        start: now
            + TimeDelta::days(1 + i64::from(visit % 21 / 3))
            + TimeDelta::minutes(i64::from(visit % 3) * 60 + i64::from(visit / 21 % 60)),
        minutes: 30,
    });
    write_plan(&file, plan)?;
    let events = arguments.pace * arguments.seconds;
    let night = Night::new(Layout { events, carers: 1, per_client: 1, later: true, now, salt: 1 });
    installation.import_night(&rig, &night)?;
    let mut daemon = installation.start()?;
    installation.until_ready(&mut daemon)?;
    installation.until_applied(&rig).await?;
    let archived = rig.database.number(ROWS).await?;
    let rules = Rules {
        port: rig.port,
        unanswered_max: usize::MAX,
        pace: Some(arguments.pace),
        ..Rules::default()
    };
    let phones = Phones::connect(night.scripts(100), rules).await?;
    let began = Instant::now();
    let playing = tokio::spawn(async move { phones.play(&Arc::new(Progress::default())).await });
    tokio::time::sleep(BEFORE).await;

    let from = began.elapsed();
    let mut command = installation.command();
    command.args(["import", "visits"]).arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
    let mut import = Process::spawn(&mut command)?;
    let mut peak = 0;
    while import.runs()? {
        peak = import.usage().map_or(peak, |usage| usage.peak.max(peak));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ensure!(import.succeeded()?, "the import failed");
    let imported = began.elapsed();
    installation.until_applied(&rig).await?;
    let applied = began.elapsed();
    ensure!(!playing.is_finished(), "the events have ended before the import: try more --seconds");
    let played = playing.await??;
    let stored = rig.database.number(ROWS).await? - archived;
    ensure!(stored == i64::from(night.events()), "{} events, {stored} stored", night.events());
    let during = |span: [Duration; 2]| percentiles(&played, |at| span[0] <= at && at < span[1]);
    Ok(format!(
        "{engine:<9} {:>8.1} {:>8.1} {:>10.1}    {}    {}    {}",
        imported.saturating_sub(from).as_secs_f64(),
        megabytes(peak),
        applied.saturating_sub(imported).as_secs_f64(),
        percentiles(&played, |at| at < from || at >= applied),
        during([from, imported]),
        during([imported, applied]),
    ))
}

/// Of the receipts that came then.
fn percentiles(played: &Played, then: impl Fn(Duration) -> bool) -> String {
    let all = played.answered_at.iter().zip(&played.latencies);
    let then = all.filter(|(at, _)| then(Duration::from_millis(u64::from(**at))));
    let mut latencies: Vec<u32> = then.map(|(_, latency)| *latency).collect();
    latencies.sort_unstable();
    let at = |percent| millis(percentile(&latencies, percent));
    format!("{:>7.1} {:>7.1}", at(50), at(99))
}
