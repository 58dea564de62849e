//! Late alerts: many visits fall due in one second, among very many that do not. See
//! benches/README.md.

mod support;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono::TimeDelta;
use clap::Parser;
use nightrun::clock;
use nightrun::domain::instant::Instant as Wall;
use serde::Deserialize;
use support::archive::Archive;
use support::daemon::Installation;
use support::database::Engine;
use support::load::{Phones, Progress, Rules};
use support::mqtt;
use support::night::{Layout, Night};
use support::plan::{Planned, write_plan};
use support::reader::Reader;
use support::report::{Common, Report, megabytes, millis, percentile};
use support::rig::{Rig, Way};
use tokio::time::timeout;

/// Measures how late alerts are.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Which database.
    #[arg(long, value_enum, default_values = ["sqlite", "postgres"])]
    database: Vec<Engine>,
    /// Which broker.
    #[arg(long, value_enum, default_values = ["embedded", "mosquitto"])]
    broker: Vec<Way>,
    /// Visits of the night that are planned for later.
    #[arg(long, default_value_t = 1_000_000)]
    visits: u32,
    /// Visits that fall due in the same second.
    #[arg(long, default_value_t = 10_000)]
    due: u32,
    /// Events that the database holds already.
    #[arg(long, default_value_t = 0)]
    archive: u32,
    /// Seconds from the import of those until they fall due.
    #[arg(long, default_value_t = 20)]
    lead: u32,
}

/// From the planned start to the first alert, in the default policy.
const TOLERANCE: TimeDelta = TimeDelta::minutes(15);
/// The longest that the alerts are waited for once they are due.
const PATIENCE: Duration = Duration::from_mins(5);

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    support::run(all(arguments))
}

async fn all(mut arguments: Arguments) -> anyhow::Result<()> {
    if arguments.common.quick {
        (arguments.visits, arguments.due, arguments.lead) = (10_000, 500, 5);
    }
    let Arguments { visits, due, .. } = arguments;
    let mut report = Report::begin("alerts", &arguments.common);
    report
        .line(format!("{visits} visits planned for later, {due} that fall due in the same second"));
    report.line(format!("the database holds {} events already", arguments.archive));
    report.line("ms: from the due instant until a subscriber has the alert");
    report.line("");
    report.line(
        "database  broker       p50 ms    p99 ms    max ms   peak MB  (import s, until applied s)",
    );
    for engine in arguments.database.clone() {
        for way in arguments.broker.clone() {
            report.line(alerts(&arguments, engine, way).await?);
        }
    }
    report.end()
}

async fn alerts(arguments: &Arguments, engine: Engine, way: Way) -> anyhow::Result<String> {
    let mut rig = Rig::new(engine, way, &arguments.common.folder).await?;
    let (installation, _) = Archive::under(&mut rig, arguments.archive, &arguments.common).await?;
    let now = clock::now();
    let file = rig.path("later.csv");
    let later = (0..arguments.visits).map(|visit| Planned {
        visit: format!("W-{visit}"),
        client: format!("C-{}", visit / 3),
        run: visit / 15,
        // All of them in the service hours: it is about two now.
        start: now
            + TimeDelta::minutes(60)
            + TimeDelta::milliseconds(
                i64::from(visit % 3) * 3_600_000 + i64::from(visit) % 1_000_000,
            ),
        minutes: 30,
    });
    write_plan(&file, later)?;
    let began = Instant::now();
    installation.import("visits", &file)?;
    let imported = began.elapsed();
    let mut daemon = installation.start()?;
    installation.until_ready(&mut daemon)?;
    let began = Instant::now();
    installation.until_applied(&rig).await?;
    let applied = began.elapsed();
    hear_phones(&installation, &rig).await?;

    let mut hello = Vec::new();
    mqtt::connect(&mut hello, "coordinator");
    mqtt::subscribe(&mut hello, 1, ["nightrun/v1/+/alert/#"]);
    let mut reader = Reader::begin(rig.port, hello).await?;
    let due_at = clock::now() + TimeDelta::seconds(i64::from(arguments.lead));
    import_due(&installation, &rig, arguments.due, due_at).await?;
    ensure!(clock::now() < due_at, "the import took too long: try a greater --lead");
    let wait = Duration::from_secs(arguments.lead.into()) + PATIENCE;
    let read = timeout(wait, read(&mut reader, arguments.due)).await;
    let mut late = read.context("not all alerts have come")??;
    late.sort_unstable();
    let at = |percent| millis(percentile(&late, percent));
    Ok(format!(
        "{engine:<9} {way:<9} {:>9.0} {:>9.0} {:>9.0} {:>9.1}  ({:.1}, {:.1})",
        at(50),
        at(99),
        at(100),
        megabytes(daemon.usage()?.peak),
        imported.as_secs_f64(),
        applied.as_secs_f64(),
    ))
}

/// While no phone is heard, silence proves nothing (R25).
async fn hear_phones(installation: &Installation, rig: &Rig) -> anyhow::Result<()> {
    let layout =
        Layout { events: 100, carers: 1, per_client: 1, later: false, now: clock::now(), salt: 1 };
    let night = Night::new(layout);
    installation.import_night(rig, &night)?;
    installation.until_applied(rig).await?;
    let rules = Rules { port: rig.port, ..Rules::default() };
    let phones = Phones::connect(night.scripts(5), rules).await?;
    phones.play(&Arc::new(Progress::default())).await?;
    Ok(())
}

async fn import_due(
    installation: &Installation,
    rig: &Rig,
    visits: u32,
    due_at: Wall,
) -> anyhow::Result<()> {
    let file = rig.path("due.csv");
    let due = (0..visits).map(|visit| Planned {
        visit: format!("D-{visit}"),
        client: format!("D-{visit}"),
        run: 1_000_000 + visit / 5,
        start: due_at - TOLERANCE,
        minutes: 60,
    });
    write_plan(&file, due)?;
    installation.import("visits", &file)?;
    installation.until_applied(rig).await
}

/// What is read of an alert.
#[derive(Deserialize)]
struct Alert {
    kind: String,
    state: String,
    visit_ref: Option<String>,
    due_at: Wall,
    unconfirmed: bool,
}

/// How late each alert is, in microseconds. There is one for each of those visits, and no other.
async fn read(reader: &mut Reader, alerts: u32) -> anyhow::Result<Vec<u32>> {
    let mut late = Vec::new();
    let mut visits = BTreeSet::new();
    let all = reader.read(|payload| {
        let now = clock::now();
        let alert: Alert = serde_json::from_slice(payload)?;
        let visit = alert.visit_ref.unwrap_or_default();
        if !visit.starts_with("D-") {
            return Ok(ControlFlow::Continue(()));
        }
        let is_right = alert.kind == "tolerance" && alert.state == "open" && !alert.unconfirmed;
        ensure!(is_right, "{}", String::from_utf8_lossy(payload));
        ensure!(visits.insert(visit), "said twice: {}", String::from_utf8_lossy(payload));
        let micros = (now - alert.due_at).num_microseconds().unwrap_or(i64::MAX);
        late.push(u32::try_from(micros).context("an alert before it is due")?);
        let done = late.len() == usize::try_from(alerts)?;
        Ok(if done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    });
    all.await?;
    Ok(late)
}
